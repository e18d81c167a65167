"""What names in Python source can do: tables from dotted names to the kind of harm, and how grave each is where."""

from __future__ import annotations

import re
from enum import StrEnum

from assay.core.finding import Severity


class Does(StrEnum):
    """What a call does, in words that complete "… when it is imported"."""

    COMMAND = "runs commands"
    EVALUATE = "runs text as code"
    CODE_OBJECT = "runs code objects"
    UNPICKLE = "loads a pickle"
    FETCH = "fetches from the network"
    CONNECT = "opens network connections"
    NATIVE = "calls native code"
    BUILD = "builds or loads native code"
    INSTALL = "fetches and runs other code"
    HOOK = "changes how Python itself works"
    DELETE = "deletes files"
    REACH = "reaches the interpreter's inside"
    IMPORT = "imports a module by a name that is computed"


_H, _C, _M, _L, _I = Severity.HIGH, Severity.CRITICAL, Severity.MEDIUM, Severity.LOW, Severity.INFO

# Severity when it runs at import, in what a model's loader calls (constructors, forward, …), and in other functions.
GRAVITY: dict[Does, tuple[Severity, Severity, Severity]] = {
    Does.COMMAND: (_C, _H, _M),
    Does.EVALUATE: (_H, _M, _M),
    Does.CODE_OBJECT: (_C, _H, _M),
    Does.UNPICKLE: (_H, _L, _L),
    Does.FETCH: (_H, _L, _I),
    Does.CONNECT: (_H, _M, _M),
    Does.NATIVE: (_M, _L, _L),
    Does.BUILD: (_H, _M, _M),
    Does.INSTALL: (_H, _H, _M),
    Does.HOOK: (_M, _L, _L),
    Does.DELETE: (_M, _L, _I),
    Does.REACH: (_H, _H, _H),
    Does.IMPORT: (_L, _I, _I),
}


def words(text: str) -> frozenset[str]:
    """The words of a table."""
    return frozenset(text.split())


def _rows(does: Does, names: str) -> dict[str, Does]:
    return dict.fromkeys(names.split(), does)


# A name, or "name.*" for all below it; the longest match wins.
_TABLE: dict[str, Does] = {
    **_rows(
        Does.COMMAND,
        """os.system os.popen os.popen2 os.popen3 os.popen4 os.execl os.execle os.execlp os.execlpe os.execv os.execve
        os.execvp os.execvpe os.spawnl os.spawnle os.spawnlp os.spawnlpe os.spawnv os.spawnve os.spawnvp os.spawnvpe
        os.posix_spawn os.posix_spawnp os.startfile os.forkpty posix.* nt.* subprocess.Popen subprocess.run
        subprocess.call subprocess.check_call subprocess.check_output subprocess.getoutput subprocess.getstatusoutput
        _posixsubprocess.fork_exec
        commands.* popen2.* pty.spawn pty.fork platform.popen platform._syscmd_file asyncio.create_subprocess_exec
        asyncio.create_subprocess_shell asyncio.subprocess.create_subprocess_exec
        asyncio.subprocess.create_subprocess_shell distutils.spawn.spawn setuptools._distutils.spawn.spawn
        distutils.util.execute webbrowser.get webbrowser.open webbrowser.open_new webbrowser.open_new_tab
        pydoc.pipepager pydoc.tempfilepager imaplib.IMAP4_stream uuid._popen
        ctypes.util._findLib_gcc multiprocessing.util.spawnv_passfds test.support.script_helper.* pexpect.* plumbum.*
        sh.Command fabric.* invoke.run psutil.Popen torch.utils.collect_env.run
        numpy.distutils.exec_command.exec_command numpy.testing.runstring numpy.testing.measure
        numpy.testing._private.utils.runstring numpy.testing._private.utils.measure""",
    ),
    **_rows(
        Does.COMMAND,
        """ctypes.windll.shell32.ShellExecuteA ctypes.windll.shell32.ShellExecuteW ctypes.windll.shell32.ShellExecuteExA
        ctypes.windll.shell32.ShellExecuteExW ctypes.windll.kernel32.WinExec ctypes.windll.kernel32.CreateProcessA
        ctypes.windll.kernel32.CreateProcessW ctypes.CDLL().system ctypes.CDLL().popen ctypes.CDLL().execve
        ctypes.cdll.msvcrt.system ctypes.PyDLL().system IPython.get_ipython().system IPython.get_ipython().getoutput
        IPython.get_ipython().run_cell cffi.FFI().dlopen().system cffi.FFI().dlopen().popen cffi.FFI().dlopen().execve
        cffi.FFI().verify().system asyncio.new_event_loop().subprocess_shell asyncio.new_event_loop().subprocess_exec
        asyncio.get_event_loop().subprocess_shell asyncio.get_event_loop().subprocess_exec
        asyncio.get_running_loop().subprocess_shell asyncio.get_running_loop().subprocess_exec""",
    ),
    **_rows(
        Does.EVALUATE,
        """builtins.exec builtins.eval builtins.compile builtins.execfile code.* codeop.* timeit.timeit timeit.repeat
        timeit.Timer timeit.main cProfile.run cProfile.runctx profile.run profile.runctx pdb.run pdb.runeval pdb.runcall
        bdb.Bdb trace.Trace doctest.run_docstring_examples runpy.* zipimport.* imp.load_source imp.load_module
        imp.load_compiled imp.load_dynamic importlib.util.spec_from_file_location importlib.machinery.SourceFileLoader
        importlib.machinery.SourcelessFileLoader importlib.machinery.ExtensionFileLoader
        importlib._bootstrap_external.* logging.config.listen numexpr.evaluate
        torch.package.* setuptools.sandbox.run_setup distutils.core.run_setup lib2to3.*
        test.support.run_code ctypes.pythonapi.PyRun_SimpleString ctypes.pythonapi.PyRun_String
        ctypes.pythonapi.PyRun_SimpleStringFlags ctypes.pythonapi.PyEval_EvalCode""",
    ),
    **_rows(
        Does.CODE_OBJECT,
        "marshal.loads marshal.load types.CodeType types.FunctionType new.code new.function dis.code_info",
    ),
    **_rows(
        Does.UNPICKLE,
        """pickle.loads pickle.load pickle.Unpickler _pickle.loads _pickle.load _pickle.Unpickler cPickle.loads
        cPickle.load dill.loads dill.load dill.load_session dill.load_module cloudpickle.loads cloudpickle.load
        joblib.load shelve.open shelve.DbfilenameShelf jsonpickle.decode jsonpickle.loads pandas.read_pickle
        sklearn.externals.joblib.load yaml.unsafe_load yaml.unsafe_load_all pickle._loads pickle._load""",
    ),
    **_rows(
        Does.FETCH,
        """requests.* urllib.request.* urllib2.* urllib.urlopen urllib.urlretrieve httpx.* urllib3.* aiohttp.*
        pycurl.* wget.download http.client.HTTPConnection http.client.HTTPSConnection httplib2.*
        torch.hub.load_state_dict_from_url torch.hub.download_url_to_file""",
    ),
    **_rows(
        Does.CONNECT,
        """socket.socket socket.create_connection socket.create_server socket.socketpair _socket.* ftplib.*
        smtplib.* telnetlib.* poplib.* nntplib.* imaplib.* xmlrpc.client.ServerProxy xmlrpc.server.* paramiko.*
        websocket.* websockets.* dns.resolver.* asyncio.open_connection asyncio.start_server socketserver.*
        http.server.HTTPServer http.server.ThreadingHTTPServer multiprocessing.connection.*
        multiprocessing.managers.BaseManager scapy.* discord.* telegram.* telebot.* pynput.* keyboard.*""",
    ),
    **_rows(
        Does.NATIVE,
        """ctypes.CDLL ctypes.PyDLL ctypes.WinDLL ctypes.OleDLL ctypes.cdll.* ctypes.windll.* ctypes.pydll.*
        ctypes.pythonapi.*
        ctypes.CFUNCTYPE()() ctypes.PYFUNCTYPE()() ctypes.LibraryLoader _ctypes.dlopen numpy.ctypeslib.load_library""",
    ),
    **_rows(
        Does.BUILD,
        """torch.utils.cpp_extension.load torch.utils.cpp_extension.load_inline torch.ops.load_library
        torch.classes.load_library cupy.RawModule cupy.RawKernel tensorflow.load_op_library
        tensorflow.load_library cffi.FFI().verify
        numpy.f2py.compile scipy.weave.inline weave.inline pyximport.install""",
    ),
    **_rows(
        Does.INSTALL,
        """pip.main pip._internal.main pip._internal.cli.main.main ensurepip.bootstrap venv.create torch.hub.load
        setuptools.command.easy_install.main pkg_resources.require easy_install.main
        transformers.dynamic_module_utils.*""",
    ),
    **_rows(
        Does.HOOK,
        """sys.settrace sys.setprofile sys.meta_path.insert sys.meta_path.append sys.path_hooks.insert
        sys.path_hooks.append threading.settrace gc.get_referrers gc.get_objects sys._getframe().f_globals.update
        site.addsitedir sys.addaudithook winreg.SetValue winreg.SetValueEx winreg.CreateKey winreg.CreateKeyEx""",
    ),
    **_rows(
        Does.DELETE,
        "shutil.rmtree os.remove os.unlink os.rmdir os.removedirs os.truncate",
    ),
    **_rows(Does.IMPORT, "builtins.__import__ importlib.import_module importlib.__import__ pkgutil.resolve_name"),
}
# Below names that are listed with "*", what only describes or quotes.
_HARMLESS = words(
    """subprocess.PIPE subprocess.DEVNULL subprocess.STDOUT subprocess.CalledProcessError subprocess.TimeoutExpired
    subprocess.SubprocessError subprocess.CompletedProcess subprocess.list2cmdline subprocess.STARTUPINFO
    posix.getcwd posix.environ requests.exceptions requests.adapters requests.utils requests.codes
    requests.compat requests.models requests.Response requests.structures urllib.request.Request
    urllib.request.pathname2url urllib.request.url2pathname urllib.request.quote urllib.request.unquote
    urllib.request.getproxies httpx.URL httpx.Timeout httpx.Headers httpx.HTTPError httpx.Response
    urllib3.exceptions urllib3.util urllib3.disable_warnings aiohttp.ClientError aiohttp.ClientTimeout
    aiohttp.web code.co_code smtplib.SMTPException ftplib.Error importlib.util.find_spec websockets.exceptions
    subprocess.list2cmdline discord.Embed socketserver.BaseServer fabric.version invoke.version posix.stat
    urllib.request.parse_http_list urllib.request.proxy_bypass codeop.PyCF_DONT_IMPLY_DEDENT pexpect.EOF
    pexpect.TIMEOUT runpy.__name__ multiprocessing.connection.wait multiprocessing.connection.Pipe"""
)
_MOST_PARTS = 8
# Modules that others hold as their own attribute: `torch.os`, `shutil.os`.
_HELD = words("os subprocess builtins importlib pty socket pickle marshal ctypes runpy")
COMPUTED = "?"  # stands for an attribute whose name nobody can tell
_OF_COMMANDS = words("os subprocess builtins posix nt pty runpy marshal _posixsubprocess")


def held_module(name: str) -> str:
    """The module that a dotted name ends in, as another module's attribute: `os` of `torch.os`, `random._os`."""
    last = name.rpartition(".")[2].strip("_")
    return last if last in _HELD and "()" not in name else name


def is_dangerous_module(name: str) -> bool:
    """Whether a name is that of a module whose functions run things."""
    return held_module(name) in _OF_COMMANDS


def what_it_does(name: str) -> Does | None:
    """The kind of harm of a dotted name ("os.system"), or None. `x().y` stands for y of what a call of x gives."""
    if not name or name in _HARMLESS:
        return None
    if exact := _TABLE.get(name):
        return exact
    parts = name.split(".")[:_MOST_PARTS]
    for count in range(len(parts) - 1, 0, -1):
        head = ".".join(parts[:count])
        if head in _HARMLESS:
            return None
        if found := _TABLE.get(f"{head}.*"):
            return found
    for at in range(len(parts) - 1, 0, -1):
        if parts[at].strip("_") in _HELD and "()" not in name:
            return what_it_does(".".join([parts[at].strip("_"), *parts[at + 1 :]]))
    return None


def matters(name: str) -> bool:
    """Whether a name, or one below it, runs things."""
    return (
        what_it_does(name) is not None
        or what_it_does(f"{name}.x") is not None
        or is_dangerous_module(name)
        or name.endswith(f".{COMPUTED}")
    )


# Calls whose result is text or bytes that were written so as not to be read.
DECODERS = words(
    """base64.b64decode base64.b32decode base64.b16decode base64.b85decode base64.a85decode
    base64.urlsafe_b64decode base64.standard_b64decode base64.decodebytes base64.decodestring
    binascii.a2b_base64 binascii.unhexlify binascii.a2b_hex binascii.a2b_uu zlib.decompress lzma.decompress
    bz2.decompress gzip.decompress codecs.decode bytes.fromhex bytearray.fromhex builtins.bytes.fromhex
    marshal.loads zlib.decompressobj cryptography.fernet.Fernet().decrypt"""
)
NETWORK = frozenset({Does.FETCH, Does.CONNECT})
# Calls that carry what they are given to other machines, if only as a name to be looked up.
RESOLVERS = words(
    """socket.gethostbyname socket.gethostbyname_ex socket.gethostbyaddr socket.getaddrinfo socket.getnameinfo
    socket.getfqdn _socket.gethostbyname dns.resolver.resolve dns.resolver.query"""
)
# Openers of addresses that are no network library by name.
OPENERS = words(
    """fsspec.open fsspec.open_files fsspec.open_local fsspec.filesystem().open fsspec.filesystem().cat smart_open.open
    smart_open.smart_open fsspec.core.url_to_fs tensorflow.io.gfile.GFile universal_pathlib.UPath upath.UPath"""
)
# Where Python keeps what it imports by itself.
SITE = words(
    """site.getsitepackages site.getusersitepackages site.USER_SITE site.USER_BASE sysconfig.get_path
    sysconfig.get_paths distutils.sysconfig.get_python_lib site.PREFIXES"""
)

# Commands that only ask what the machine has, or build what lies there: ordinary even at import.
TOOLCHAIN = words(
    """git nvcc nvidia-smi rocm-smi rocminfo hipcc hipconfig uname lscpu sw_vers ldconfig ldd pkg-config
    llvm-config which gcc g++ cc c++ clang clang++ cl cmake make ninja meson ld ar nm otool install_name_tool
    lipo vswhere swig protoc cython gfortran sysctl"""
)
# And those that are ordinary in a function that somebody must call.
PLAIN_TOOLS = TOOLCHAIN | words(
    """mkdir unzip cp mv wget tar gunzip where whereis file dpkg rpm brew free df du ls dir pwd date true false
    sleep ps wc sort     lsb_release ffmpeg     ffprobe sox convert pdftotext pandoc tesseract latexmk pdflatex
    latex dot espeak java javac node cargo rustc     go flatc doxygen sphinx-build pytest mypy ruff black isort
    flake8 tput stty locale getconf codesign ulimit     taskset numactl squeue sinfo scontrol sbatch srun mpirun
    torchrun accelerate deepspeed xdg-open open less     more man"""
)
FETCHES = words(
    """get post put patch delete head options request urlopen urlretrieve retrieve stream send fetch download open
    load_state_dict_from_url download_url_to_file getresponse connect perform ws_connect"""
)
SENSITIVE = re.compile(
    r"(?:^|[/~\\])\.ssh(?:[/\\]|$)|\bid_(?:rsa|ed25519|ecdsa|dsa)\b|authorized_keys|[/~\\]\.aws[/\\]"
    r"|(?:^|[/~\\])\.netrc\b|\.git-credentials|/etc/(?:passwd|shadow|sudoers)|[/~\\]\.kube[/\\]config|\.docker/config\.json"
    r"|[/~\\]\.gnupg|\.npmrc\b|\.pypirc\b|Login Data$|Local State$|wallet\.dat|[/~\\]\.config/gcloud"
    r"|huggingface/(?:token|stored_tokens)\b|logins\.json|key4\.db|/proc/self/environ"
)
PERSISTENT = re.compile(
    r"(?:^|[/~\\])\.(?:bashrc|bash_profile|profile|zshrc|zprofile|zshenv)$|authorized_keys|/etc/(?:cron|systemd|profile|ld\.so)"
    r"|crontab|LaunchAgents|LaunchDaemons|\\Startup\\|Start Menu|autostart/|(?:site|user)customize\.py$"
    r"|\.ipython[/\\]profile_\w+[/\\](?:startup|ipython_\w*config)|\.jupyter[/\\]\w+|ipython_\w*config\.py$|\.pythonrc|PYTHONSTARTUP"
    r"|\.git[/\\]hooks[/\\]|\.(?:zlogin|zlogout|bash_login|bash_logout|xinitrc|xprofile|tcshrc|cshrc|kshrc)$|/etc/(?:rc\.local|bash|zsh|sudoers)"
    r"|\.config/(?:fish|nushell|autostart)|\.(?:pip/pip\.conf|condarc|npmrc|gitconfig|vimrc)$|(?:^|/)pip\.conf$|WindowsPowerShell"
    r"|site-packages[/\\][^/\\]*\.pth$|\.config/systemd|CurrentVersion\\\\?Run"
)
SECRET_NAME = re.compile(r"(?i)token|secret|passw|api_?key|access_?key|credential|private_?key")
INJECTORS = frozenset(
    {"VirtualAlloc", "VirtualProtect", "RtlMoveMemory", "CreateRemoteThread", "WriteProcessMemory", "CreateThread"}
    | {"NtAllocateVirtualMemory", "mprotect", "memfd_create", "ptrace", "EnumWindows", "SetWindowsHookExA"}
)
# Methods that a model's, tokenizer's or server's loader calls by itself.
LOADED = words(
    """__init__ __new__ __post_init__ __call__ __del__ __init_subclass__ __setstate__ __reduce__ __reduce_ex__
    __getattr__ __getattribute__ __set_name__ __class_getitem__ __enter__ forward from_pretrained _from_config
    from_config load_context load_model _load_pyfunc load_pyfunc predict predict_stream generate setup build
    call post_init _init_weights init_weights load_state_dict _load_from_state_dict _load_from_checkpoint
    tokenize _tokenize _encode_plus _batch_encode_plus preprocess postprocess handle initialize inference
    _forward_unimplemented apply_chat_template __torch_function__ model_fn input_fn predict_fn output_fn
    init_model initialize_worker on_load_checkpoint configure_model"""
)
INSTALLED = frozenset({"run", "finalize_options", "initialize_options", "do_egg_install", "build_extension"})
