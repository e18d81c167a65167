"""A streaming abstract stack-and-memo machine: what loading a pickle would import and call, without loading it."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from typing import IO, Any

from assay.core.finding import Severity
from assay.formats.pickle import carried, exhaust, leaks, tiers, uses
from assay.formats.pickle.calls import HOLDERS, Slice, call_ref, held_call
from assay.formats.pickle.evaluated import watched
from assay.formats.pickle.facts import Ending, GlobalFact, Held, PickleFacts
from assay.formats.pickle.joblib_arrays import array_layout
from assay.formats.pickle.ops import HANDLERS
from assay.formats.pickle.source import Exceeded, Short, Source, Torn
from assay.formats.pickle.tier_tables import ONLY_HELD
from assay.formats.pickle.values import FLOAT, PERSISTENT, Cut, Made, Ref
from assay.formats.reading import Note, Topic

BATCH = 1 << 15
_LONG_INDEX = struct.Struct("<I").unpack_from
HELD_BYTES = 8 << 20
HELD_HEADS = 10_000
HELD_LINKS = 4_000_000  # values inside values: an endless chain of them would take 48 bytes a byte of the file
MAX_NAMES = 10_000
MAX_NESTED = 64
# Operand bytes that an opcode reads by index: BININT1, BININT2, PROTO, LONG1, SHORT_BINUNICODE, BINGET, BINPUT.
INDEXED = {0x4B: 1, 0x4D: 2, 0x80: 1, 0x8A: 1, 0x8C: 1, 0x68: 1, 0x71: 1}
MARK_COST = 8  # what a mark takes in memory, in stack slots

MOST_SEARCHED = 4 << 20  # bytes given to unlisted classes that are searched for pickles
MOST_SEARCHED_AT_ONCE = 1 << 20

NestedReader = Callable[[IO[bytes], str, int, bool], tuple[PickleFacts, ...]]


class Machine:
    """Executes one pickle on abstract values, with CPython's stack, metastack and memo.

    `joblib` reads raw array bytes after a `NumpyArrayWrapper` as joblib does; a plain loader takes them for opcodes.
    `reader` follows the bytes given to a nested loader (file, where, depth, whether they are to be searched only).
    """

    __slots__ = (
        "arrays",
        "asked",
        "binds",
        "buried",
        "depth",
        "files",
        "frame_end",
        "hash_left",
        "heads",
        "held_bytes",
        "inside",
        "joblib",
        "limits",
        "links",
        "memo",
        "meta",
        "nested",
        "notes",
        "offset",
        "opcodes",
        "pairs",
        "persistent_ids",
        "protocol",
        "reader",
        "refs",
        "said",
        "searched",
        "sparse",
        "src",
        "stack",
        "start",
        "text_left",
        "texts",
        "tupled",
        "where",
    )  # fmt: skip

    def __init__(
        self,
        src: Source,
        *,
        where: str = "",
        depth: int = 0,
        joblib: bool = True,
        pos: int = 0,
        reader: NestedReader | None = None,
    ) -> None:
        self.src, self.where, self.depth, self.joblib, self.reader = src, where, depth, joblib, reader
        self.limits = src.limits
        self.start = src.base + pos
        self.stack: list[Any] = []
        self.meta: list[list[Any]] = []
        self.memo: list[Any] = []
        self.sparse: dict[int, Any] = {}
        self.refs: dict[tuple[str, str], Ref] = {}
        self.nested: list[PickleFacts] = []
        self.notes: list[str] = []
        self.files: list[Held] = []
        self.said: dict[str, Note] = {}
        self.texts: list[str] = []
        self.text_left, self.pairs = leaks.MOST_TEXT, leaks.MOST_PAIRS
        self.tupled = self.searched = self.asked = 0
        self.hash_left = exhaust.MOST_LOOKED_AT
        self.binds = self.inside = False  # `inside` another pickle's constant
        self.protocol = self.opcodes = self.persistent_ids = self.arrays = self.buried = self.frame_end = 0
        self.heads, self.links, self.held_bytes = HELD_HEADS, HELD_LINKS, HELD_BYTES

    def run(self, pos: int) -> tuple[int, Torn | None]:
        """Execute from window position `pos` to STOP or a break; the position, and what broke it off (None at STOP)."""
        self.offset = self.src.base + pos
        try:
            while True:
                stopped, pos = self._batch(pos)
                if stopped:
                    self.stack.pop()
                    return pos, None
                self.check_limits()
        except Torn as torn:
            return pos, torn
        except IndexError:  # of the stack, or of the window
            if self._operand_is_cut():
                return pos, Short(f"the stream ends inside an operand, at byte {self.offset}")
            return pos, Torn(f"an opcode takes more than the stack holds, at byte {self.offset}")
        except (struct.error, EOFError):
            return pos, Short(f"the stream ends before STOP, at byte {self.src.base + len(self.src.buf)}")
        except UnicodeDecodeError:
            return pos, Torn(f"a text or name at byte {self.offset} is not valid UTF-8")

    def _operand_is_cut(self) -> bool:
        """Whether the opcode at `offset` wants more bytes by index than the stream has left."""
        src, at = self.src, self.offset - self.src.base
        return 0 <= at < len(src.buf) and len(src.buf) - at - 1 < INDEXED.get(src.buf[at], 0)

    def _batch(self, pos: int) -> tuple[bool, int]:
        """Execute up to BATCH opcodes from `pos`. The commonest are spelled out: a call costs more than they do."""
        src, handlers, memo, sparse = self.src, HANDLERS, self.memo, self.sparse
        buf, end, base, stack = src.buf, src.end, src.base, self.stack
        count, long_text = 0, leaks.LONG_TEXT
        try:
            for count in range(1, BATCH + 1):  # noqa: B007 - the count is used when the loop is left
                if pos >= end:
                    if not src.refill(pos):
                        raise EOFError
                    pos, buf, end, base = 0, src.buf, src.end, src.base
                op = buf[pos]
                if op == 0x94 and not sparse:  # MEMOIZE
                    memo.append(stack[-1])
                    pos += 1
                elif op == 0x4B:  # BININT1
                    stack.append(buf[pos + 1])
                    pos += 2
                elif op == 0x4D:  # BININT2
                    stack.append(buf[pos + 1] | buf[pos + 2] << 8)
                    pos += 3
                elif op == 0x8C and (size := buf[pos + 1]) < long_text and (stop := pos + 2 + size) < end:
                    # SHORT_BINUNICODE of a text too short to hold a secret
                    stack.append(buf[pos + 2 : stop].decode("utf-8", "surrogatepass"))
                    pos = stop
                elif op == 0x68 and (index := buf[pos + 1]) < len(memo):  # BINGET
                    stack.append(memo[index])
                    pos += 2
                elif op == 0x6A and (index := _LONG_INDEX(buf, pos + 1)[0]) < len(memo):  # LONG_BINGET
                    stack.append(memo[index])
                    pos += 5
                elif op == 0x72 and _LONG_INDEX(buf, pos + 1)[0] == len(memo) and not sparse:  # LONG_BINPUT
                    memo.append(stack[-1])
                    pos += 5
                elif op == 0x47:  # BINFLOAT
                    stack.append(FLOAT)
                    pos += 9
                elif op == 0x2E:  # STOP
                    return True, pos + 1
                else:
                    pos = handlers[op](self, pos + 1)
                    buf, end, base, stack = src.buf, src.end, src.base, self.stack
        finally:
            self.opcodes += count
            self.offset = base + pos
        return False, pos

    def check_limits(self) -> None:
        """Raise Exceeded where a limit of the examination is passed. Called every BATCH opcodes."""
        limits, at = self.limits, f"stopped at byte {self.offset}"
        if self.opcodes > limits.max_opcodes:
            raise Exceeded(f"more than {limits.max_opcodes} opcodes; {at}")
        if len(self.memo) + len(self.sparse) > limits.max_memo:
            raise Exceeded(f"more than {limits.max_memo} memo entries; {at}")
        if len(self.stack) + self.buried + MARK_COST * len(self.meta) > limits.max_stack:
            raise Exceeded(f"more than {limits.max_stack} values on the stack; {at}")
        if limits.clock is not None and limits.clock() > limits.deadline:
            raise Exceeded(f"out of time; {at}")

    # --- what the handlers need
    # ----------------------------------------------------------------------------------------

    def pop_mark(self) -> list[Any]:
        """The values above the topmost mark; the mark is removed. Raises IndexError where there is none."""
        items = self.stack
        self.stack = self.meta.pop()
        self.buried -= len(self.stack)
        return items

    def number(self, line: bytes, base: int) -> int:
        """The integer in a text operand, read as CPython reads it."""
        try:
            return int(line, base)
        except ValueError:
            raise Torn(f"an operand before byte {self.offset + len(line)} holds no integer") from None

    def put(self, index: int, value: Any) -> None:
        """Set a memo entry: in a list while indexes are dense, else in a dict. MEMOIZE counts both."""
        if index < len(self.memo):
            self.memo[index] = value
        elif index == len(self.memo):
            self.sparse.pop(index, None)
            self.memo.append(value)
        else:
            self.sparse[index] = value
            if index >= exhaust.FAR:
                exhaust.memo_index(self, index, self.opcodes + BATCH)

    def get(self, index: int) -> Any:
        """A memo entry. Raises Torn where it was never set."""
        if 0 <= index < len(self.memo):
            return self.memo[index]
        if index in self.sparse:
            return self.sparse[index]
        raise Torn(f"memo entry {index} is read but never set, at byte {self.offset}")

    def ref(self, module: str, name: str, offset: int, *, resolved: bool = True, why: str = "", via: str = "") -> Ref:
        """The one Ref of this pickle for `module` and `name`."""
        found = self.refs.get((module, name))
        if found is None:
            if len(self.refs) >= MAX_NAMES:
                raise Exceeded(f"more than {MAX_NAMES} different names; stopped at byte {offset}")
            found = self.refs[module, name] = Ref(module, name, offset, resolved=resolved, why=why, via=via)
            found.watch = watched(module, name)
            found.still = (module, name) in ONLY_HELD
            self.binds |= found.still  # whatever may call it is looked for from here on
        elif not via:
            found.via = ""
        return found

    def dynamic_ref(self, module: Any, name: Any, offset: int) -> Ref:
        """The Ref for two stack values: text as written; what is made at load time is unresolvable."""
        if type(module) is str and type(name) is str:
            return self.ref(module, name, offset)
        for part in (module, name):
            made = type(part) in (Made, str, bytes) or part is PERSISTENT or (type(part) is Cut and part.kind == "str")
            if not made:
                raise Torn(f"STACK_GLOBAL at byte {offset} takes something other than text")
        long = Cut in (type(module), type(name))
        why = "the name is too long to be one" if long else "the name is made at load time"
        return self.ref(_shown(module), _shown(name), offset, resolved=False, why=why)

    def foreign(self, kind: str, offset: int) -> Ref:
        """The Ref that stands for a value that the loader supplies."""
        return self.ref("", f"<{kind}>", offset, resolved=False, why=f"a {kind} comes from the loading process")

    def call(self, func: Any, args: Any, offset: int) -> Any:
        """Note that `func` is called with `args`; what the call returns."""
        if type(func) is Ref:
            return call_ref(self, func, args, offset)
        if type(func) is Made and (func.ref.module, func.ref.name) in HOLDERS:
            inner = held_call(func, args)
            if inner is not None and tiers.classify(inner[0].module, inner[0].name)[0] == tiers.SAFE:
                return call_ref(self, *inner, offset)
        if type(func) is Made:
            func.ref.result_called = True
            return func.ref.made
        if func is PERSISTENT:
            return call_ref(self, self.foreign("persistent object", offset), args, offset)
        raise Torn(f"the opcode at byte {offset} calls something that is no callable")

    def follow(self, file: IO[bytes], where: str, *, sure: bool = True) -> bool:
        """Read the pickles in bytes that a nested loader would open; False (and a note) past the bounds on nesting.

        Without `sure` they may be no pickles at all, and count only if they name something.
        """
        if self.reader is None or self.depth >= self.limits.max_nesting or len(self.nested) >= MAX_NESTED:
            if not self.notes:
                self.notes.append(f"{where}: nested too deep or too often to be followed, as others after it may be")
            return False
        found = self.reader(file, where, self.depth + 1, False)
        self.nested += (item for item in found if sure or item.globals or item.nested)
        return True

    def look_inside(self, ref: Ref, value: bytes | Cut, offset: int) -> None:
        """Search bytes that a class of no list is given, as its arguments or state, for pickles that it may load.

        Those at their beginning are followed by `follow`; deeper in, only one that names what is refused counts.
        """
        left = min(MOST_SEARCHED - self.searched, MOST_SEARCHED_AT_ONCE)
        if self.reader is None or self.depth >= self.limits.max_nesting or len(self.nested) >= MAX_NESTED or left <= 0:
            return
        if tiers.classify(ref.module, ref.name)[0] == tiers.SAFE:
            return
        size = min(value.length if isinstance(value, Cut) else len(value), left)
        file: Any
        file = Slice(self.src.file, value.offset, size) if isinstance(value, Cut) else io.BytesIO(value[:size])
        self.searched += size
        where = f"{self.where}!{ref.module}.{ref.name}@{offset}"
        self.nested += self.reader(file, where, self.depth + 1, True)

    def keep_file(self, data: Cut, where: str, name: str) -> bool:
        """Remember a file inside a constant; False where it lies inside another constant, or there are too many."""
        if self.inside or len(self.files) >= MAX_NESTED:
            return False
        self.files.append(Held(where, name, data.offset, data.length))
        return True

    def whole_text(self, value: str | Cut, most: int) -> str | None:
        """A text constant to its end; None for one of more than `most` bytes."""
        if isinstance(value, str):
            return value
        if value.length > most:
            return None
        return Slice(self.src.file, value.offset, value.length).read().decode("utf-8", "replace")

    def say(self, key: str, message: str) -> None:
        """Note what exhausts memory or time when the pickle is loaded, each kind once."""
        note = Note(
            topic=Topic.PICKLE, message=f"{message}, when it is loaded", severity=Severity.MEDIUM,
            key=f"exhausts: {key}", offset=self.offset, fix="do not load it; ask its author for one of ordinary size",
        )  # fmt: skip
        self.said.setdefault(key, note)

    def build_special(self, inst: Made, state: Any, pos: int) -> int:
        """BUILD on an array wrapper or dtype: as joblib does, raw array bytes follow the wrapper's state."""
        inst.state = state
        uses.judge_dtype(inst)
        if inst.ref.name != "NumpyArrayWrapper" or not self.joblib:
            return pos
        self.arrays += 1
        src = self.src
        if self.frame_end > src.base + pos:
            raise Torn(f"array bytes inside a pickle frame at byte {src.base + pos}: loaders disagree on what follows")
        layout = array_layout(state)
        if layout is None:
            raise Torn(f"the size of the array at byte {src.base + pos} cannot be told")
        self.stack[-1] = inst.ref.made
        if layout.has_objects:
            inner = Machine(src, where=self.where, depth=self.depth + 1, joblib=False, pos=pos, reader=self.reader)
            pos, broken = inner.run(pos)
            self.nested.append(inner.facts(src.base + pos, broken))
            if broken is not None:
                raise broken
            return pos
        if layout.aligned:
            pos = src.need(pos, 1)
            pos = src.skip(pos, 1 + src.buf[pos])
        return src.skip(pos, layout.size)

    def facts(self, end: int, broken: Torn | None) -> PickleFacts:
        """What was learned; `end` is the offset after the last byte read, `broken` what `run` says."""
        reasons = [str(broken)] if broken is not None else []
        reasons += self.notes
        return PickleFacts(
            where=self.where, start=self.start, end=end, protocol=self.protocol, opcodes=self.opcodes,
            globals=tuple(_global_fact(ref, self.nested) for ref in self.refs.values()),
            complete=not reasons and all(inner.complete for inner in self.nested),
            reason="; ".join(reasons), ending=Ending.STOP if broken is None else broken.ending,
            persistent_ids=self.persistent_ids, arrays=self.arrays,
            nested=tuple(self.nested), files=tuple(self.files),
            notes=(*self.said.values(), *leaks.judge(self.texts)),
        )  # fmt: skip


def _shown(part: Any) -> str:
    """A module or name for people: as written, cut short, or what stands for one that is made at load time."""
    if type(part) is Cut:
        return part.head[:60].decode("utf-8", "replace") + "…"
    return part if type(part) is str else "<made at load time>"


def _global_fact(ref: Ref, nested: list[PickleFacts]) -> GlobalFact:
    uses = ["imported"]
    uses += ["called"] * bool(ref.called) + ["build"] * ref.built
    uses += ["patched"] * ref.patched + ["result-called"] * ref.result_called
    tier, why = tiers.judge(ref, nested)
    return GlobalFact(
        module=ref.module, name=ref.name, offset=ref.offset, tier=tier, why=why, uses=tuple(uses),
        calls=tuple(ref.calls), call_count=ref.called, via=ref.via, by_value=carried.by_value(ref),
    )  # fmt: skip
