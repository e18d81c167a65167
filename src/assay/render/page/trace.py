"""The gate's trace: every rule in the policy's order, its number against the bound, what was read and how it went."""

from __future__ import annotations

from assay.core.canonical import short
from assay.core.decision import Decision, RuleTrace, Verdict
from assay.render.charts.mini import draw_mini
from assay.render.page.escape import code, esc
from assay.render.page.parts import RESULTS, TONES, cell, facts, head, row, section, status, table
from assay.render.page.view import View
from assay.render.page.words import bare, number, sentence

MOST_RULES = 200
MOST_ASIDE = 20


def trace(view: View) -> str:
    """The section, "" without a decision."""
    decision = view.decision
    if decision is None:
        return ""
    denies = sum(t.verdict is Verdict.DENY for t in decision.trace)
    opens = sum(t.verdict is Verdict.INDETERMINATE for t in decision.trace)
    words = ", ".join(filter(None, (f"{denies} deny" if denies else "", f"{opens} open" if opens else "")))
    state = status("fail" if denies else "open" if opens else "pass", words or "all met")
    policy = decision.policy
    about = facts(
        [
            ("Policy", f"{code(short(policy.digest))} v{policy.version}"),
            ("Signed by", code(f"{short(policy.signed_by)}…") if policy.signed_by else "nobody"),
            ("Mode", esc(decision.mode)),
            ("Order", "denies over open over allow"),
            ("Exit code", str(_exit_code(decision))),
        ]
    )
    beside = [
        f"{o.check} on {o.subject} found something or stayed open, and no rule reads it" for o in view.dossier.unread()
    ]
    beside += [why for whys in decision.aside.values() for why in whys]
    rows = [_rule(rule) for rule in decision.trace[:MOST_RULES]]
    note = (
        "Hatched: where the rule denies. Where a rule reads the barred end of the interval, a value inside the bound "
        "with that end outside it is open: too few rows to be sure. One “denies” or one “open” is enough to stop."
    )
    if len(decision.trace) > MOST_RULES:
        note = f"{len(decision.trace) - MOST_RULES} more rules are in the JSON report. {note}"
    aside = _aside(beside)
    columns = ("Line", "Rule", "Interval against the bound", "Read", "Needs", "Result")
    told = table("Every rule, in the policy’s order", columns, rows, note) + aside
    return section("gate", "Gate trace", state, about, told)


def _aside(lines: list[str]) -> str:
    """What the decision does not rest on."""
    items = "".join(f"<li>{esc(sentence(line), 300)}</li>" for line in lines[:MOST_ASIDE])
    left = len(lines) - MOST_ASIDE
    more = f'<p class="note">{left:,} more are in the JSON report.</p>' if left > 0 else ""
    return (
        f'<h3 class="sub-h gap">What the decision does not rest on</h3><ul class="s">{items}</ul>{more}'
        if items
        else ""
    )


def _exit_code(decision: Decision) -> int:
    """What the command returned to whatever called it."""
    codes = {Verdict.ALLOW: 0, Verdict.DENY: 1, Verdict.INDETERMINATE: 3}
    return 0 if decision.mode == "observe" else codes[decision.verdict]


def _rule(rule: RuleTrace) -> str:
    tone = TONES[rule.verdict]
    why = ""
    if rule.verdict is not Verdict.ALLOW and rule.reason:
        why = f'<br><span class="s">{esc(rule.reason, 240)}</span>'
    picture = draw_mini(rule, tone)
    return row(
        cell("Line", str(rule.line) if rule.line else "–", "m"),
        head(f"{code(_short(rule), 160)}{why}"),
        f'<td class="{"mini" if picture else "hide"}">{picture}</td>',
        cell("Read", _read(rule)),
        cell("Needs", esc(_needs(rule)), "nw"),
        cell("Result", status(tone, RESULTS[rule.verdict]), "nw"),
        hit=rule.verdict is Verdict.DENY,
    )


def _short(rule: RuleTrace) -> str:
    """The rule without its numbers, which stand beside it."""
    if rule.asks == "measure":
        return rule.measure + (f" versus {rule.versus}" if rule.versus else "")
    if rule.line == 0:
        return "evidence agrees"
    return rule.rule.replace("{", "").replace("}", "")


def _read(rule: RuleTrace) -> str:
    if rule.asks != "measure" or rule.value is None:
        return esc(rule.saw, 160)
    plus = bool(rule.versus)
    end = {"lower95": rule.low, "upper95": rule.high}.get(rule.reads)
    if end is None:
        return f'<span class="nw">{esc(bare(rule.value, plus=plus))}</span>'
    value, barred = esc(bare(rule.value, plus=plus)), esc(bare(end, plus=plus))
    return f'<span class="nw">{value}, <span class="m">end {barred}</span></span>'


def _needs(rule: RuleTrace) -> str:
    if rule.asks == "measure" and rule.bound is not None:
        return f"{'≥' if rule.better == 'higher' else '≤'} {bare(rule.bound, plus=bool(rule.versus))}"
    if rule.asks == "findings" and rule.bound is not None:
        return f"≤ {number(rule.bound, 0)}"
    if rule.asks == "approvals":
        return f"{len(rule.roles)} role{'s' if len(rule.roles) != 1 else ''}"
    return {"outcome": "pass", "evidence": "agreement", "contract": "as the policy says"}.get(rule.asks, "–")
