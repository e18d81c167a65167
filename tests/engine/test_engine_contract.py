"""The contract of every built-in check: declared, indexed, documented, tagged, light to import."""

from __future__ import annotations

import pkgutil
import re
import subprocess
import sys
from importlib import import_module
from inspect import signature

import pytest

import assay.checks
from assay.checks.index import INDEX
from assay.core.check import CheckSpec
from assay.engine.registry import from_function, load
from assay.taxonomy.frameworks import crosswalk_subjects, resolve

BUILT_IN = sorted(i for i in INDEX if not i.startswith("test."))
HEAVY = "numpy scipy pandas sklearn lightgbm duckdb pyarrow onnx onnxruntime sqlalchemy cryptography rich joblib"


def declared() -> dict[str, str]:
    """Every @check function under assay.checks: id → module:function."""
    found = {}
    for module in pkgutil.walk_packages(assay.checks.__path__, "assay.checks."):
        for name, value in vars(import_module(module.name)).items():
            spec = getattr(value, "__assay_check__", None)
            if isinstance(spec, CheckSpec) and value.__module__ == module.name:
                found[spec.id] = f"{module.name}:{name}"
    return found


def test_the_index_equals_the_folder() -> None:
    assert declared() == {i: INDEX[i][1] for i in BUILT_IN}
    assert all(load(i).spec.id == i and load(i).spec.kind is INDEX[i][0] for i in BUILT_IN)


@pytest.mark.parametrize("check_id", BUILT_IN)
def test_each_check_documents_itself(check_id: str) -> None:
    check = load(check_id)
    assert check.info.summary.endswith(".")
    for part in ("Why:", "How it decides:", "Fix:", "References:"):
        assert f"\n{part}" in check.doc, part
    assert check.spec.tags
    assert check_id in crosswalk_subjects()
    assert all(resolve(tag) is not None for tag in check.spec.tags)


def test_every_measure_has_one_home_and_a_key_of_its_own() -> None:
    """A key that two checks gave would be read twice by a rule; a check id is not a measure."""
    keys = [key for i in BUILT_IN for key in load(i).spec.measures]
    assert len(keys) == len(set(keys))
    for key in keys:
        assert re.fullmatch(r"[a-z]+(\.[a-z0-9_]+)+( versus champion)?", key), key


def test_an_undeclared_function_is_refused() -> None:
    with pytest.raises(TypeError, match="not declared"):
        from_function(lambda subject: iter(()))


def test_the_light_rooms_import_nothing_heavy() -> None:
    lines = [f"import {INDEX[i][1].partition(':')[0]}" for i in BUILT_IN]
    lines += ["import assay.cli.main, assay.cli.scan, assay.cli.run, assay.flow.examine, assay.flow.join"]
    lines += ["import assay.policy.decide, assay.render.text, assay.render.sarif, assay.render.structured"]
    lines += [f"import sys; print([m for m in '{HEAVY}'.split() if m in sys.modules])"]
    done = subprocess.run([sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_check_that_is_cut_into_parts_says_into_how_many_and_takes_its_share() -> None:
    """A misspelt name would leave the whole to one worker, without a word."""
    cut = [i for i in BUILT_IN if load(i).spec.parts]
    assert cut
    for check_id in cut:
        module, _, name = INDEX[check_id][1].partition(":")
        named = signature(getattr(import_module(module), name)).parameters
        assert isinstance(named[load(check_id).spec.parts].default, int), check_id
        assert "share" in named, check_id
