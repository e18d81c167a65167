"""Who answers for an open thing and how old it is, as far as the dossier names anybody; where it does not, that."""

from __future__ import annotations

from assay.core.canonical import short
from assay.core.decision import RuleTrace, Standing, Verdict
from assay.core.dossier import Entry
from assay.render.page.escape import code, esc
from assay.render.page.parts import age, vouched
from assay.render.page.view import View
from assay.render.page.words import day, span

UNNAMED = "not named"


def system_owner(view: View) -> str:
    """Who answers for the system, in plain text; "" where the manifest names nobody."""
    return view.body.system.owner if view.body.system is not None else ""


def policy_owner(view: View) -> str:
    """Who answers for the policy, as HTML: a signature names a key, and the roster may name whose it is."""
    key = view.decision.policy.signed_by if view.decision is not None else ""
    if view.dossier.owner:
        return esc(view.dossier.owner, 80)
    return f"key {code(short(key) + '…')}" if key else f"{UNNAMED}, nobody signed it"


def owned(view: View, rule: RuleTrace) -> str:
    """A rule that stops the release: its owner, when and by whom it was seen, and what was signed, as HTML."""
    rows = [("Owner", _owner(view, rule)), ("Seen", _seen(view, rule)), *_signed(view, rule)]
    return '<dl class="own">' + "".join(f"<div><dt>{t}</dt><dd>{v}</dd></div>" for t, v in rows if v) + "</dl>"


def _owner(view: View, rule: RuleTrace) -> str:
    if rule.asks == "approvals":
        if rule.missing:
            return "; ".join(f"{holders(view, role)} ({esc(role, 40)})" for role in rule.missing)
        refused = _words(view, Standing.REFUSES)
        if refused:
            return refused[0]
    return esc(system_owner(view) or UNNAMED, 80)


def holders(view: View, role: str) -> str:
    """Who can sign in a role, as far as the roster was at hand, as HTML."""
    return esc(" or ".join(view.dossier.holders.get(role, ())) or UNNAMED, 80)


def _seen(view: View, rule: RuleTrace) -> str:
    checks = [c for c in rule.decided_by if c in view.vouches]
    if not checks:
        return ""
    who, old = vouched(view, checks), age(view, checks)
    return esc(who if who == "this run" else f"{old} ago by {who}", 160)


def _signed(view: View, rule: RuleTrace) -> list[tuple[str, str]]:
    """The approvals that count so far, and the waivers of what the rule counted, each with its end."""
    if view.decision is None:
        return []
    if rule.asks == "approvals" and rule.verdict is not Verdict.DENY:
        return [("Signed", words) for words in _words(view, Standing.COUNTS)[:3]]
    rows = []
    for fact in view.decision.waivers:
        if fact.waiver.fingerprint in rule.fingerprints:
            left = fact.waiver.expires - view.now
            end = f"{span(left)} left" if left.total_seconds() > 0 else f"ended {day(fact.waiver.expires)}"
            rows.append(("Waiver", esc(f"{fact.signer.person}, {end}, does not count", 160)))
    return rows[:3]


def _words(view: View, standing: Standing) -> list[str]:
    """People's words of one standing: who, in which role, when or until when."""
    assert view.decision is not None
    found = []
    for fact in view.decision.approvals:
        if fact.standing is standing:
            word = fact.approval
            when = f"on {day(word.at)}" if standing is Standing.REFUSES else f"until {day(word.expires)}"
            found.append(f"{esc(fact.signer.person, 80)} ({esc(word.role, 40)}) {when}")
    return found


def entry_owner(view: View, entry: Entry) -> str:
    """Who can fill a framework's missing entry, as HTML: roles where people must sign, else the system's owner."""
    if set(entry.checks) & {"gate.approvals", "gate.waivers"}:
        roles = dict.fromkeys(role for r in view.trace if r.asks == "approvals" for role in r.roles)
        if roles:
            return f"roles {esc(', '.join(roles), 80)}"
    return esc(system_owner(view) or f"owner: {UNNAMED}", 80)
