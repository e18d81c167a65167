"""The door to optional libraries: a missing one is one line; one that reports its use is silenced before it loads."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from assay.adapters.extras import SILENCED, library
from assay.core.errors import MissingExtra


def test_what_is_missing_is_said_with_the_extra_that_has_it() -> None:
    with pytest.raises(MissingExtra, match="nothing_is_called_so"):
        library("nothing_is_called_so")


@pytest.mark.parametrize("module", sorted(SILENCED))
@pytest.mark.parametrize("door", ["adapters.extras import library as load", "engine.zygote import preload as load"])
def test_a_library_that_reports_its_use_leaves_no_trace_at_home(module: str, door: str, tmp_path: Path) -> None:
    """Loaded by itself, onnxruntime writes an id of the device, and queues events, under the home folder."""
    pytest.importorskip(module)
    named = f"[{module!r}]" if "preload" in door else repr(module)
    text = f"import sys, time\nfrom assay.{door}\nload({named})\nassert {module!r} in sys.modules\ntime.sleep(1)\n"
    clean = {k: v for k, v in os.environ.items() if not k.startswith("XDG_") and k not in SILENCED.values()}
    subprocess.run([sys.executable, "-c", text], env=clean | {"HOME": str(tmp_path)}, check=True, timeout=60)
    assert list(tmp_path.rglob("*")) == []


def test_onnxruntime_is_loaded_through_the_door_alone() -> None:
    sources = Path(library.__code__.co_filename).parents[1].rglob("*.py")
    straight = [p.name for p in sources if "import onnxruntime" in p.read_text("utf-8")]
    assert straight == []
