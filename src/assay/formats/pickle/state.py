"""What the opcode handlers see of the machine that runs them, so that neither imports the other."""

from __future__ import annotations

from collections.abc import Callable
from typing import IO, Any, Protocol

from assay.formats.pickle.source import Source
from assay.formats.pickle.values import Cut, Made, Ref


class State(Protocol):
    """The machine's stacks, memo and counters, and what a handler may ask of it; see pickle_machine.Machine."""

    src: Source
    where: str
    stack: list[Any]
    meta: list[list[Any]]
    memo: list[Any]
    sparse: dict[int, Any]
    protocol: int
    persistent_ids: int
    frame_end: int
    buried: int
    heads: int
    links: int
    held_bytes: int
    tupled: int
    hash_left: int
    asked: int
    pairs: int
    text_left: int
    texts: list[str]
    notes: list[str]
    binds: bool

    def pop_mark(self) -> list[Any]:
        """The values above the topmost mark; the mark is removed."""

    def number(self, line: bytes, base: int) -> int:
        """The integer in a text operand."""

    def put(self, index: int, value: Any) -> None:
        """Set a memo entry."""

    def get(self, index: int) -> Any:
        """A memo entry."""

    def ref(self, module: str, name: str, offset: int, *, resolved: bool = True, why: str = "", via: str = "") -> Ref:
        """The one Ref of this pickle for `module` and `name`."""

    def dynamic_ref(self, module: Any, name: Any, offset: int) -> Ref:
        """The Ref for two stack values."""

    def foreign(self, kind: str, offset: int) -> Ref:
        """The Ref that stands for a value that the loader supplies."""

    def call(self, func: Any, args: Any, offset: int) -> Any:
        """Note that `func` is called with `args`; what the call returns."""

    def follow(self, file: IO[bytes], where: str, *, sure: bool = True) -> bool:
        """Read the pickles in bytes that a nested loader would open; False past the bounds on nesting."""

    def look_inside(self, ref: Ref, value: bytes | Cut, offset: int) -> None:
        """Search bytes that a class of no list is given for pickles that name what is refused."""

    def keep_file(self, data: Cut, where: str, name: str) -> bool:
        """Remember a file inside a constant; False where its place in the stream is not known."""

    def whole_text(self, value: str | Cut, most: int) -> str | None:
        """A text constant to its end; None for one of more than `most` bytes."""

    def say(self, key: str, message: str) -> None:
        """Note what exhausts memory or time when the pickle is loaded."""

    def build_special(self, inst: Made, state: Any, pos: int) -> int:
        """BUILD on an array wrapper or dtype."""


Handler = Callable[[State, int], int]
