"""Approvals and waivers: who signed what, in which role, until when, and whether it counts."""

from __future__ import annotations

from datetime import datetime

from assay.core.canonical import short
from assay.core.decision import ApprovalFact, Decision, Verdict, WaiverFact
from assay.render.page.escape import code, esc
from assay.render.page.parts import Tone, cell, facts, head, meter, row, section, status, table
from assay.render.page.say import roles_of
from assay.render.page.view import View, finding_line
from assay.render.page.words import capital, counted, day, moment, plural, span

MOST_WAIVERS = 100


def people(view: View) -> str:
    """The section, "" without a decision or where nobody was asked and nobody spoke."""
    decision = view.decision
    if decision is None:
        return ""
    asked = [r for r in decision.trace if r.asks == "approvals"]
    if not asked and not decision.approvals and not decision.waivers:
        return ""
    states = [(_approval_state(view, decision, a), a) for a in decision.approvals]
    rows = [_approval(decision, state, fact) for state, fact in states]
    missing = _missing(view, [a for s, a in states if s[0] == "pass"])
    rows += [_waiting(decision, role) for role in missing]
    waivers = [(_waiver_state(view, decision, w), w) for w in decision.waivers]
    rows += [_waiver(view, decision, state, fact) for state, fact in waivers[:MOST_WAIVERS]]
    note = "A new Release inherits none of these. A critical finding needs two people, neither of them the author."
    if len(waivers) > MOST_WAIVERS:
        note = f"{plural(len(waivers) - MOST_WAIVERS, 'more waiver')} not shown. {note}"
    holding = sum(s[0] == "pass" for s, _ in states)
    refused = any(s[0] == "fail" for s, _ in states)
    if refused:
        state = status("fail", "refused")
    elif missing:
        state = status("open", f"{holding} of {holding + len(missing)} signed")
    elif asked and any(r.verdict is not Verdict.ALLOW for r in asked):
        state = status("open", "not complete")
    else:
        state = status("pass", "complete") if asked else status("na", "no rule asks")
    about = facts(
        [
            ("Asked for", esc(", ".join(dict.fromkeys(r for rule in asked for r in roles_of(rule))))),
            ("Waivers", f"{sum(s[0] == 'pass' for s, _ in waivers)} of {len(waivers)} hold" if waivers else ""),
            ("At", esc(moment(decision.at))),
        ]
    )
    caption = _caption(missing, refused, len(waivers))
    columns = ("Kind", "State", "Person", "Binds to", "Signed, UTC", "Expires")
    return section("people", "Approvals and waivers", state, about, table(caption, columns, rows, note))


def _caption(missing: list[str], refused: bool, waivers: int) -> str:
    first = "approval was refused" if refused else "every signature that the policy asks for is here"
    if missing and not refused:
        first = f"{counted(len(missing), 'signature')} {'is' if len(missing) == 1 else 'are'} missing"
    return capital(first) + (f"; {counted(waivers, 'waiver')}" if waivers else "")


def _missing(view: View, valid: list[ApprovalFact]) -> list[str]:
    have = {a.approval.role for a in valid}
    asked = dict.fromkeys(role for rule in view.trace if rule.asks == "approvals" for role in roles_of(rule))
    return [role for role in asked if role not in have]


def _approval_state(view: View, decision: Decision, fact: ApprovalFact) -> tuple[Tone, str, str]:
    """The sign, the word, and why where it does not count."""
    approval, who = fact.approval, fact.signer.person
    if approval.release != decision.release:
        return "na", "not counted", f"speaks of Release {short(approval.release)}"
    if decision.at >= approval.expires:
        return "na", "expired", ""
    if approval.role not in fact.signer.roles:
        return "na", "not counted", f"does not hold the role {approval.role}"
    reasons = " ".join(r.reason for r in view.trace if r.asks == "approvals")
    if f"{who} is the author" in reasons:
        return "na", "not counted", "the author cannot approve"
    if f"approval by {who} is dated in the future" in reasons:
        return "na", "not counted", "dated in the future"
    if approval.decision == "refuse":
        return "fail", "refused", approval.comment
    return "pass", "valid", approval.comment


def _approval(decision: Decision, state: tuple[Tone, str, str], fact: ApprovalFact) -> str:
    tone, word, why = state
    approval = fact.approval
    binds = f"Release {code(short(approval.release))}" + (f'<br><span class="s">{esc(why, 200)}</span>' if why else "")
    return _row(
        "Approval", tone, word, f'{esc(fact.signer.person, 80)} <span class="m">{esc(approval.role, 60)}</span>', binds,
        esc(moment(approval.at).removesuffix(" UTC")), _life(decision, approval.at, approval.expires),
    )  # fmt: skip


def _waiting(decision: Decision, role: str) -> str:
    who = f'<span class="m">{esc(role, 60)}</span>'
    return _row("Approval", "open", "waiting", who, f"Release {code(short(decision.release))}", "–", "–")


def _waiver_state(view: View, decision: Decision, fact: WaiverFact) -> tuple[Tone, str]:
    waiver = fact.waiver
    if waiver.release != decision.release:
        return "na", "not counted"
    if decision.at >= waiver.expires:
        return "na", "expired"
    if waiver.fingerprint in view.waived:
        return "pass", "valid"
    counted_ = {f for rule in view.trace for f in rule.fingerprints}
    return ("na", "not counted") if waiver.fingerprint in counted_ else ("na", "not needed")


def _waiver(view: View, decision: Decision, state: tuple[Tone, str], fact: WaiverFact) -> str:
    waiver = fact.waiver
    found = view.by_fingerprint.get(waiver.fingerprint)
    what = esc(finding_line(found), 160) if found is not None else "no finding of this report"
    binds = f'{what}<br><span class="s"><code>{esc(waiver.fingerprint[:12])}</code> · {esc(waiver.reason, 200)}</span>'
    return _row(
        "Waiver", state[0], state[1], f'{esc(fact.signer.person, 80)} <span class="m">{esc(waiver.role, 60)}</span>',
        binds, esc(moment(waiver.at).removesuffix(" UTC")), _life(decision, waiver.at, waiver.expires),
    )  # fmt: skip


def _life(decision: Decision, start: datetime, end: datetime) -> str:
    left, whole = end - decision.at, end - start
    if left.total_seconds() <= 0:
        return f'<span class="life" aria-hidden="true"></span><span class="nw">ended {esc(day(end))}</span>'
    share = left / whole if whole.total_seconds() > 0 else 0.0
    return f'{meter(share)}<span class="nw">{esc(span(left))} left</span>'


def _row(kind: str, tone: Tone, word: str, who: str, binds: str, signed: str, expires: str) -> str:
    return row(
        head(kind),
        cell("State", status(tone, word), "nw"),
        cell("Person", who),
        cell("Binds to", binds),
        cell("Signed", signed, "nw"),
        cell("Expires", expires, "nw"),
    )
