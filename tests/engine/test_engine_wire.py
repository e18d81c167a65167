"""Frames between worker and pool: any split of the bytes gives the same messages; nonsense is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.core.finding import Finding, Location, Measure, Status
from assay.engine.ask import End
from assay.engine.wire import Inbox, Ready, Step, frame, pack, said

MESSAGES = [
    Ready(5),
    Step(0.5),
    said(Finding(message="m", location=Location(uri="u"))),
    said(Measure(name="n", value=None)),
    End(Status.OPEN, False, "why"),
]


@given(st.lists(st.integers(1, 40), min_size=1, max_size=60))
def test_any_split_gives_the_same_messages(sizes: list[int]) -> None:
    data = b"".join(pack(m) for m in MESSAGES)
    inbox, found, at = Inbox(), [], 0
    for size in [*sizes, len(data)]:
        found += inbox.feed(data[at : at + size])
        at += size
    assert found == MESSAGES


def test_a_frame_that_no_worker_sends_is_refused() -> None:
    with pytest.raises(ValueError, match="too large"):
        Inbox().feed(b"\xff\xff\xff\xff")
    with pytest.raises(ValueError, match="too large"):
        frame(bytes(65 << 20))


def test_a_number_of_numpy_travels_as_python_would_have_it_and_nothing_else_does() -> None:
    np = pytest.importorskip("numpy")
    sent = pack(said(Measure(name="m", value=np.float64(0.25), low=np.float64(0.1), n=np.int64(7))))
    assert sent == pack(said(Measure(name="m", value=0.25, low=0.1, n=7)))
    for bad in (np.zeros(2), object()):
        with pytest.raises(TypeError, match="cannot be sent"):
            pack(said(Measure(name="m", value=bad)))
