"""mlflow: models, versions and runs of an MLflow server, or of a folder in which MLflow keeps them.

Source: MLflow's REST API 2.0 and the layout of its file store.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from assay.adapters.remote.access import Access
from assay.adapters.remote.listed import name_problem
from assay.adapters.remote.mlflow_store import Store, Wanted, local_path
from assay.core.artifact import Source
from assay.core.errors import InputError, UsageError
from assay.core.protocols import Progress, silent
from assay.core.text import visible

_FIX = "write mlflow:models:/NAME/VERSION, mlflow:models:/NAME@ALIAS or mlflow:runs:/RUN_ID/PATH"
_LOGGED = re.compile(r"m-[0-9a-f]{32}")


def parse_mlflow(uri: str) -> Wanted:
    """Take an mlflow: address apart. Raises UsageError."""
    shown = visible(uri, 200)
    rest = uri.partition(":")[2]
    scheme, colon, path = rest.partition(":/")
    parts = path.strip("/").split("/", 1)
    name, tail = parts[0], parts[1] if len(parts) > 1 else ""
    good = bool(colon) and rest.isprintable() and not name_problem(name) and not (tail and name_problem(tail))
    if good and scheme == "runs" and re.fullmatch(r"[A-Za-z0-9_-]{1,256}", name):
        return Wanted("run", name, path=tail)
    if good and scheme == "models" and "\\" not in name:
        if _LOGGED.fullmatch(name) and not tail:
            return Wanted("logged", name)
        if not tail and "@" in name:
            model, _, alias = name.rpartition("@")
            if model and re.fullmatch(r"[\w.-]{1,255}", alias) and not name_problem(alias):
                return Wanted("alias", model, alias=alias)
        elif tail.isascii() and tail.isdigit() and len(tail) < 19:
            return Wanted("version", name, version=str(int(tail)))
    raise UsageError("is no model or run of MLflow", where=shown, fix=_FIX)


def settle_mlflow(uri: str, access: Access) -> str:
    """`uri` with an alias as the version it stands for now. Raises InputError, UsageError."""
    wanted = parse_mlflow(uri)
    if wanted.kind != "alias":
        return wanted.uri
    return _store(access).version_of(wanted).uri


def open_mlflow(uri: str, access: Access, progress: Progress = silent) -> Source:
    """The files behind `uri`, an alias settled first. Raises InputError, UsageError."""
    wanted = parse_mlflow(uri)
    store = _store(access)
    if wanted.kind == "alias":
        wanted = store.version_of(wanted)
    return store.open(wanted, progress)


def _store(access: Access) -> Store:
    from assay.adapters.remote.mlflow_folder import Folder
    from assay.adapters.remote.mlflow_server import Server

    named = os.environ.get("MLFLOW_TRACKING_URI", "").strip()
    registry = os.environ.get("MLFLOW_REGISTRY_URI", "").strip()
    if registry and registry != named:
        fix = "set MLFLOW_TRACKING_URI to the server that has the model, and unset it"
        raise UsageError("a registry apart from the tracking server is not read", where="MLFLOW_REGISTRY_URI", fix=fix)
    if named.lower().startswith(("http://", "https://")):
        return Server(access, named)
    scheme = named.partition(":")[0].lower() if ":" in named else ""
    if scheme not in ("", "file") or named == "databricks":
        fix = "name the http(s):// address of a server, or the folder of a file store"
        raise UsageError(f"{visible(scheme or named, 40)}: is not read from", where="MLFLOW_TRACKING_URI", fix=fix)
    folder = Path(local_path(named) or "mlruns")
    if not folder.is_dir():
        raise InputError(
            "is no folder", where=str(folder), fix="set MLFLOW_TRACKING_URI to where MLflow keeps its runs"
        )
    return Folder(folder)
