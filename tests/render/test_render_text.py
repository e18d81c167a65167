"""The terminal's text: golden, on every verdict, and never a control character from what was examined."""

from __future__ import annotations

import unicodedata

import pytest
from msgspec.structs import replace
from render_dossier import decided, dossier, finding, hostile, outcome, plain

from assay.core.decision import Verdict
from assay.core.exhibit import IntervalRow, Intervals
from assay.core.finding import Location, Severity, Status
from assay.render.text import render_text, render_trace, verdict_word

GOLDEN = """\
critical[artifact.pickle-code]  calls os.system while loading
  --> models/claims.pkl @ byte 28      confidence high      owasp-ml-2023:ML06  atlas:AML.T0011.000
   = fix   convert it: assay harden models/claims.pkl
   = why   assay explain artifact.pickle-code
   = id    00000000000000000000000000000000

open[robustness.evasion]  could not be judged: lightgbm is not installed
  --> model

  performance.recall                                  0.700 [0.650, 0.750]     n=1000     model
  performance.calibration_error                    not measured                               model

  n/a   artifact.unsafe-format on model: does not apply

✓ always    evidence agrees
             saw 4 outcomes in 1 bundle
✗ line 4    findings: {severity: critical}
             saw 1 unwaived
             1 finding, at most 0 allowed
             = fix   mend it

  not asked  robustness.evasion on model is open, and no rule reads it

4 checks · 1 subject · 1 failed (1 critical) · 1 open · 1 passed · 1 n/a      DENY  release 4f1c4f1c  policy 9a2e9a2e  \
4.2 s
"""


def test_golden() -> None:
    assert render_text(plain()) == GOLDEN


def test_colour_changes_no_word() -> None:
    import re

    coloured = render_text(plain(), colour=True)
    assert "\x1b[1;31m" in coloured
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == GOLDEN


def test_findings_come_gravest_first() -> None:
    given = [finding(str(i), severity) for i, severity in enumerate((Severity.LOW, None, Severity.HIGH, Severity.INFO))]
    text = render_text(dossier(outcome(status=Status.FAIL, findings=tuple(given))))
    heads = [line.partition("[")[0] for line in text.splitlines() if "[artifact.pickle-code]" in line]
    assert heads == ["critical", "high", "low", "info"]


def test_nothing_wrong_is_one_line() -> None:
    text = render_text(dossier(outcome()))
    assert text.startswith("1 check · 1 subject · 0 failed · 0 open · 1 passed · 0 n/a      release ")
    assert text.count("\n") == 1


def test_what_was_read_in_part_is_counted() -> None:
    said = outcome(status=Status.FAIL, complete=False, reason="the stream ends", findings=(finding("x", Severity.LOW),))
    assert "1 failed (1 low) · 0 open (and 1 in part) · 0 passed" in render_text(dossier(said))


def test_what_pictures_say_is_told_where_nobody_decides_and_what_is_noted_has_not_passed() -> None:
    row = IntervalRow(label="amount", value=0.3, low=0.2, high=0.4, n=9)
    drawn = Intervals(name="x", title="Its scores rest most on amount", subtitle="", unit="share", rows=(row,))
    said = outcome("explanation.importance", exhibits=(drawn,), findings=(finding("x", Severity.INFO),))
    text = render_text(dossier(said))
    assert "  shown Its scores rest most on amount\n" in text
    assert "0 failed (1 info) · 0 open · 0 passed · 1 noted · " in text
    assert "shown" not in render_text(replace(plain(), report=dossier(said).report))


def test_hostile_text_cannot_forge_the_terminal() -> None:
    text = render_text(hostile())
    assert not [c for c in text if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp") and c != "\n"]
    assert text.encode()
    starts = {line.strip().split(" ")[0] for line in text.splitlines()}
    assert "evil" not in starts, "no line begins where a hostile text says so"


def test_long_text_is_cut() -> None:
    long = finding(message="x" * 100_000, location=Location(uri="y" * 100_000))
    assert len(render_text(dossier(outcome(status=Status.FAIL, findings=(long,))))) < 3000


@pytest.mark.parametrize(
    ("verdict", "mode", "preview", "word"),
    [
        (Verdict.ALLOW, "enforce", False, "ALLOW"), (Verdict.DENY, "enforce", False, "DENY"),
        (Verdict.INDETERMINATE, "enforce", False, "INDETERMINATE"), (Verdict.DENY, "observe", False, "would DENY"),
        (Verdict.ALLOW, "enforce", True, "would ALLOW"),
        (Verdict.INDETERMINATE, "observe", True, "would be INDETERMINATE"),
    ],
)  # fmt: skip
def test_the_verdict_s_word(verdict: Verdict, mode: str, preview: bool, word: str) -> None:
    assert verdict_word(decided(verdict, mode=mode, preview=preview)) == word


def test_the_trace_alone() -> None:
    assert render_trace(decided()) in GOLDEN


def test_the_conditions_of_a_look_are_told_once() -> None:
    note = "claims: sandbox weak\x1b[2J"
    text = render_text(dossier(outcome(notes=(note,)), outcome("data.schema", notes=(note,))))
    assert text.count("claims: sandbox weak") == 1
    assert "\x1b" not in text
