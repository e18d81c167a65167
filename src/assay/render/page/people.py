"""Approvals and waivers: who signed what, in which role, until when, and whether it counts."""

from __future__ import annotations

from datetime import datetime

from assay.core.canonical import short
from assay.core.decision import ApprovalFact, Decision, Standing, Verdict, WaiverFact
from assay.render.page.escape import code, esc
from assay.render.page.owner import holders
from assay.render.page.parts import Tone, cell, facts, head, meter, row, section, status, table
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
    rows = [_approval(decision, fact) for fact in decision.approvals]
    missing = list(dict.fromkeys(role for rule in asked for role in rule.missing))
    rows += [_waiting(view, decision, role) for role in missing]
    waivers = decision.waivers
    rows += [_waiver(view, decision, fact) for fact in waivers[:MOST_WAIVERS]]
    note = "A new Release inherits none of these. A critical finding needs two people, neither of them the author."
    if len(waivers) > MOST_WAIVERS:
        note = f"{plural(len(waivers) - MOST_WAIVERS, 'more waiver')} not shown. {note}"
    covering = sum(w.standing is Standing.COUNTS for w in waivers)
    standings = [_standing(a) for a in decision.approvals]
    holding, refused = standings.count(Standing.COUNTS), Standing.REFUSES in standings
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
            ("Asked for", esc(", ".join(dict.fromkeys(r for rule in asked for r in rule.roles)))),
            (
                "Waivers",
                f"{covering} of {len(waivers)} count" if waivers else "",
            ),
            ("At", esc(moment(decision.at))),
        ]
    )
    complete = all(r.verdict is Verdict.ALLOW for r in asked)
    caption = _caption(missing, refused, complete, len(waivers))
    columns = ("Kind", "State", "Person", "Binds to", "Signed, UTC", "Expires")
    return section("people", "Approvals and waivers", state, about, table(caption, columns, rows, note))


def _caption(missing: list[str], refused: bool, complete: bool, waivers: int) -> str:
    here = "every signature that the policy asks for is here"
    first = "approval was refused" if refused else here if complete else "the signatures here are not enough"
    if missing and not refused:
        first = f"{counted(len(missing), 'signature')} {'is' if len(missing) == 1 else 'are'} missing"
    return capital(first) + (f"; {counted(waivers, 'waiver')}" if waivers else "")


_APPROVAL: dict[Standing, tuple[Tone, str]] = {
    Standing.COUNTS: ("pass", "valid"),
    Standing.REFUSES: ("fail", "refused"),
    Standing.SET_ASIDE: ("na", "not counted"),
    Standing.NOT_NEEDED: ("na", "not asked for"),
}
_WAIVER: dict[Standing, tuple[Tone, str]] = {**_APPROVAL, Standing.NOT_NEEDED: ("na", "not needed")}


def _standing(fact: ApprovalFact | WaiverFact) -> Standing:
    return fact.standing or Standing.SET_ASIDE


def _approval(decision: Decision, fact: ApprovalFact) -> str:
    tone, word = _APPROVAL[_standing(fact)]
    approval, why = fact.approval, fact.why or fact.approval.comment
    binds = f"Release {code(short(approval.release))}" + (f'<br><span class="s">{esc(why, 200)}</span>' if why else "")
    return _row(
        "Approval", tone, word, f'{esc(fact.signer.person, 80)} <span class="m">{esc(approval.role, 60)}</span>', binds,
        esc(moment(approval.at).removesuffix(" UTC")), _life(decision, approval.at, approval.expires),
    )  # fmt: skip


def _waiting(view: View, decision: Decision, role: str) -> str:
    who = f'{holders(view, role)} <span class="m">{esc(role, 60)}</span>'
    return _row("Approval", "open", "waiting", who, f"Release {code(short(decision.release))}", "–", "–")


def _waiver(view: View, decision: Decision, fact: WaiverFact) -> str:
    tone, word = _WAIVER[_standing(fact)]
    waiver, aside = fact.waiver, f" · {esc(fact.why, 200)}" if fact.why else ""
    found = view.by_fingerprint.get(waiver.fingerprint)
    what = esc(finding_line(found), 160) if found is not None else "no finding of this report"
    why = f"{esc(waiver.reason, 200)}{aside}"
    binds = f'{what}<br><span class="s"><code>{esc(waiver.fingerprint[:12])}</code> · {why}</span>'
    return _row(
        "Waiver", tone, word, f'{esc(fact.signer.person, 80)} <span class="m">{esc(waiver.role, 60)}</span>',
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
