"""What stands together in a shell script - groups, loops, functions - and what flows into and out of it as a whole.

What a group reads at its standard input is not known while its commands are read (`done < <(curl …)` comes last, and a
function is called later): it is marked as given, and weighed when the group ends or the function is called.
"""

from __future__ import annotations

import msgspec

_MOST_TEXT = 4_096
MOST_BLOCKS = 60
OPENS = frozenset({"{", "(", "while", "until", "if", "for", "select", "case"})
CLOSES = {
    "}": ("{",), ")": ("(",), "done": ("while", "until", "for", "select"), "fi": ("if",), "esac": ("case",),
}  # fmt: skip


class Stuff(msgspec.Struct, frozen=True):
    """What a value is made of: where it was fetched, whether it was decoded, whether it holds keys."""

    fetched: bool = False
    settled: bool = False  # fetched from where programs are commonly had
    decoded: bool = False
    secret: bool = False
    given: bool = False  # what the group or function about it is given
    text: str = ""  # what it says, where that is known

    def __or__(self, other: Stuff) -> Stuff:
        if self in (NOTHING, other):
            return other
        if other == NOTHING:
            return self
        fetched = self.fetched or other.fetched
        settled = all(s.settled for s in (self, other) if s.fetched) and fetched
        text = f"{self.text}\n{other.text}"[:_MOST_TEXT] if self.text and other.text else self.text or other.text
        return Stuff(
            fetched, settled, self.decoded or other.decoded, self.secret or other.secret, self.given or other.given,
            text,
        )  # fmt: skip

    def of(self, given: Stuff) -> Stuff:
        """The same, with what was given in place of its mark."""
        return msgspec.structs.replace(self, given=False) | given if self.given else self


NOTHING = Stuff()
GIVEN = Stuff(given=True)


class Block(msgspec.Struct):
    """A group of commands that is being read, or a function that was: its input, its output, what it does to it."""

    opener: str = ""
    stdin: Stuff = NOTHING
    name: str = ""  # of a function
    out: Stuff = NOTHING
    runs: bool = False  # what it is given
    sends: bool = False  # what it is given
    calls: bool = False  # its arguments as a command

    def inside(self) -> Stuff:
        """What its commands find at their standard input."""
        return self.stdin | GIVEN if self.opener else self.stdin


class Blocks:
    """The groups that are open at a place of a script, outermost first, and the functions that were defined."""

    def __init__(self) -> None:
        self.open: list[Block] = [Block()]
        self.functions: dict[str, Block] = {}
        self.named = ""  # the function whose body is about to begin

    @property
    def inner(self) -> Block:
        """The innermost group that is open."""
        return self.open[-1]

    @property
    def in_function(self) -> bool:
        """Whether `$1` is an argument of a function."""
        return any(block.name for block in self.open)

    def opens(self, opener: str, stdin: Stuff) -> Stuff:
        """A group begins; gives what its commands find at their standard input."""
        name, self.named = self.named, ""
        if len(self.open) < MOST_BLOCKS:
            self.open.append(Block(opener, NOTHING if name else stdin, name))
        return self.inner.inside()

    def closes(self, closer: str) -> Block | None:
        """A group ends, and with it those left open inside; None where none was open that ends so."""
        openers = CLOSES[closer]
        for at in range(len(self.open) - 1, 0, -1):
            if self.open[at].opener in openers:
                block = self.open[at]
                for lost in self.open[at + 1 :]:
                    block.out |= lost.out.of(lost.stdin)
                    block.runs |= lost.runs
                    block.sends |= lost.sends
                del self.open[at:]
                if block.name:
                    self.functions[block.name] = block
                return block
        return None
