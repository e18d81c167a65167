"""What blocks it: for each rule that stops the release what was seen, the policy's words, who asks, and the fix."""

from __future__ import annotations

from assay.core.decision import RuleTrace, Verdict
from assay.core.finding import Finding, Outcome
from assay.render.page.escape import code, esc, split_command
from assay.render.page.figures import policy_name
from assay.render.page.owner import UNNAMED, owned, policy_owner, system_owner
from assay.render.page.parts import TONES, severity, sign
from assay.render.page.say import advised, blind_of, clause, findings_of, headline, reader, tally
from assay.render.page.view import View, finding_line, grave
from assay.render.page.words import bare, capital, clip, count_word, counted, plural, sentence

MOST_BLOCKS = 20
MOST_FINDINGS = 3
MOST_TAGS = 5


def blocks(view: View) -> str:
    """The section as HTML, "" where nothing blocks."""
    stopped = view.blocking
    if not stopped:
        return ""
    causes = _causes(view, stopped)
    count = capital(counted(len(causes), "thing"))
    clear = "Clear it and" if len(causes) == 1 else f"Clear all {count_word(len(causes))} and"
    lead = f"{count}, what denies first. {clear} the same policy allows."
    answer = (
        f"Owner of the system: {esc(system_owner(view) or UNNAMED, 80)}. Owner of the policy: {policy_owner(view)}. "
        "No due date is on record."
    )
    left = sum(len(rules) for rules in causes[MOST_BLOCKS:])
    more = f'<p class="note">{plural(left, "more rule")} below, in the gate trace.</p>' if left > 0 else ""
    told: set[str] = set()
    articles = ""
    for rules in causes[:MOST_BLOCKS]:
        articles += _block(view, rules, frozenset(told))
        told |= {f for rule in rules for f in rule.fingerprints}
    return (
        f'<section class="blocks" id="blocks" aria-labelledby="bh"><h2 id="bh">What blocks it</h2>'
        f"<p>{esc(lead)} {answer}</p>"
        f"{articles}{more}</section>"
    )


def _causes(view: View, stopped: tuple[RuleTrace, ...]) -> list[list[RuleTrace]]:
    """The rules that stop it; those left open by the very same outcomes are one thing to clear."""
    causes: dict[object, list[RuleTrace]] = {}
    for index, rule in enumerate(stopped):
        blind = blind_of(view, rule) if rule.verdict is Verdict.INDETERMINATE and rule.asks != "measure" else []
        key = tuple((o.check, o.subject) for o in blind) or index
        causes.setdefault(key, []).append(rule)
    return list(causes.values())


def _block(view: View, rules: list[RuleTrace], told: frozenset[str]) -> str:
    rule = rules[0]
    found = _behind(view, rule)
    fresh = [f for f in found if f.fingerprint not in told]
    said = "Denies: " if rule.verdict is Verdict.DENY else "Could not be judged: "
    levels = severity(max((grave(f) for f in fresh or found), key=lambda s: s.rank)) if found else ""
    state = levels or ("" if rule.verdict is Verdict.DENY else '<span class="open">open</span>')
    who = state + owned(view, rule)
    title = headline(view, rule, told)
    said_by = "".join(_policy(view, r) for r in rules)
    return (
        f'<article class="blk"><div><h3>{sign(TONES[rule.verdict])}<span><span class="sr">{said}</span>'
        f'{esc(title, 160)}</span></h3><div class="who">{who}</div></div>'
        f"<div><h4>What we saw</h4>{_saw(view, rule, fresh, len(found) - len(fresh))}</div>"
        f"<div>{said_by}</div><div>{_asks(view, rule, fresh or found)}</div>"
        f"{_fix(view, rule, fresh or found)}</article>"
    )


def _behind(view: View, rule: RuleTrace) -> list[Finding]:
    """The findings that a denying rule rests on: those it counted, or those of the checks that failed it."""
    if rule.verdict is not Verdict.DENY or rule.asks not in ("findings", "outcome"):
        return []
    if rule.asks == "findings":
        return findings_of(view, rule)
    return [f for f in view.findings if f.check in rule.decided_by and grave(f).rank > 0]


def _saw(view: View, rule: RuleTrace, found: list[Finding], told: int) -> str:
    if rule.asks == "measure" and rule.value is not None:
        read = reader(view, rule)
        interval = read.interval(rule.low, rule.high)
        rows = f" on {rule.n:,} rows" if rule.n is not None else ""
        text = sentence(clause(view, rule)) + (f" The 95% interval{rows} is {interval}." if interval else "")
        return f"<p>{esc(text, 600)}</p>"
    if found or told:
        return _found(rule, found, told)
    blind = blind_of(view, rule) if rule.verdict is not Verdict.DENY else []
    if blind and rule.asks in ("findings", "outcome"):
        return _blind(blind)
    return f"<p>{esc(sentence(rule.reason or rule.saw), 700)}</p>"


def _found(rule: RuleTrace, found: list[Finding], told: int) -> str:
    items = "".join(_finding(f) for f in found[:MOST_FINDINGS])
    left = len(found) - MOST_FINDINGS
    more = f'<p class="s"><a href="#findings">{left:,} more below</a></p>' if left > 0 else ""
    if rule.asks == "outcome":
        more += f"<p>{esc(sentence(rule.reason or rule.saw), 300)}</p>"
    if told:
        which = "finding is" if told == 1 else "findings are"
        more += f'<p class="s">{capital(count_word(told))} {which} told above.</p>'
    head = f"<p>{esc(sentence(tally(found)))}</p>" if len(found) > 1 else ""
    return f'{head}<ul class="saw">{items}</ul>{more}' if items else more


def _blind(blind: list[Outcome]) -> str:
    items = "".join(
        f"<li>{esc(sentence(o.subject + ': ' + (o.reason or 'not read to the end')), 300)}<br>"
        f'<span class="s">{code(o.check)}</span></li>'
        for o in blind[:MOST_FINDINGS]
    )
    left = len(blind) - MOST_FINDINGS
    more = f'<p class="s"><a href="#files">{left:,} more below</a></p>' if left > 0 else ""
    return f'<ul class="saw">{items}</ul>{more}'


def _finding(finding: Finding) -> str:
    return (
        f"<li>{esc(sentence(finding_line(finding)), 240)}<br>"
        f'<span class="s"><code>{esc(finding.location, 120)}</code> · {code(finding.check)} · '
        f"confidence {esc(finding.confidence.value)} · <code>{esc(finding.fingerprint[:8])}</code></span></li>"
    )


def _policy(view: View, rule: RuleTrace) -> str:
    where = f" · <code>{esc(policy_name(view))}:{rule.line}</code>" if rule.line else ""
    text = _breakable(rule.rule, 900)
    if rule.line == 0:
        words, read = "What always holds", f'<p class="plain">{esc(capital(rule.rule), 600)}.</p>'
    else:
        words, read = f"What the policy says{where}", f'<code class="rule">{text}</code>'
    return f'<h4>{words}</h4>{read}<p class="s read">{esc(read_line(rule), 300)}</p>'


def _breakable(text: str, limit: int) -> str:
    """Text that may wrap after a dot or an underscore."""
    return esc(text, limit).replace("_", "_<wbr>").replace(".", ".<wbr>")


def read_line(rule: RuleTrace) -> str:
    """What the gate read beside what the rule needs, as numbers beside policy text."""
    if rule.asks == "measure" and rule.value is not None and rule.bound is not None:
        versus = bool(rule.versus)
        end = {"lower95": rule.low, "upper95": rule.high}.get(rule.reads)
        least = "at least" if rule.better == "higher" else "at most"
        barred = f", its {rule.reads} {bare(end, plus=versus)}" if end is not None else ""
        return f"read {bare(rule.value, plus=versus)}{barred} · needs {least} {bare(rule.bound, plus=versus)}"
    return rule.saw


def _asks(view: View, rule: RuleTrace, found: list[Finding]) -> str:
    rows = [
        f"<li><code>{esc(i, 40)}</code><span>{esc(name, 120)} "
        f"<i>{esc(framework, 60)}{'' if sure else ', unverified list'}</i></span></li>"
        for i, name, framework, sure in _tags(view, rule, found)[:MOST_TAGS]
    ]
    if not rows:
        return (
            '<h4>Who asks for it</h4><p class="plain">The policy’s owner; no framework entry is tied to this rule.</p>'
        )
    return f'<h4>Who asks for it</h4><ul class="ids">{"".join(rows)}</ul>'


def _tags(view: View, rule: RuleTrace, found: list[Finding]) -> list[tuple[str, str, str, bool]]:
    tags: dict[str, None] = {}
    for finding in found:
        tags.update(dict.fromkeys(finding.tags))
    for check in sorted({f.check for f in found} or set(rule.decided_by)):
        if check not in view.checks:
            continue
        tags.update(dict.fromkeys(view.checks[check].tags))
    known = [(t.id, t.name, t.framework, t.verified) for tag in tags if (t := view.tags.get(tag)) is not None]
    asked = {"approvals": "gate.approvals", "evidence": "gate.evidence"}.get(rule.asks)
    if not known and asked:
        known = [
            (e.id, e.name, c.framework, c.verified)
            for c in view.dossier.coverage
            for e in c.entries
            if asked in e.checks
        ]
    return _mixed(known)


def _mixed(known: list[tuple[str, str, str, bool]]) -> list[tuple[str, str, str, bool]]:
    """One entry of each framework before a second of any."""
    seen: dict[str, int] = {}
    ranked = []
    for index, entry in enumerate(known):
        seen[entry[2]] = seen.get(entry[2], 0) + 1
        ranked.append((seen[entry[2]], index, entry))
    return [entry for _, _, entry in sorted(ranked, key=lambda r: r[:2])]


def _fix(view: View, rule: RuleTrace, found: list[Finding]) -> str:
    before, command = split_command(_fix_text(view, rule, found))
    if not command and found:
        command = f"assay explain {found[0].check}"
    after = '<span class="aft">it is a new Release then, measured anew</span>' if rule.asks == "measure" else ""
    parts = [f"<span class=say>{esc(sentence(before), 300)}</span>" if before else ""]
    parts.append(f'<code class="cmd">{esc(command, 200)}</code>' if command else "")
    html = " ".join(filter(None, parts))
    if not html:
        html = esc(_last_resort(rule))
        after = ""
    return f'<div class="fix"><span>Fix</span><div>{html} {after}</div></div>'


def _fix_text(view: View, rule: RuleTrace, found: list[Finding]) -> str:
    if rule.fix:
        return rule.fix
    for finding in found:
        if finding.fix:
            return finding.fix
    blind = blind_of(view, rule) if rule.verdict is Verdict.INDETERMINATE else []
    if blind and rule.asks in ("findings", "outcome", "measure"):
        first = blind[0]
        why = f" ({clip(advised(view, first.reason), 150)})" if first.reason else ""
        return f"mend what kept {first.check} from looking at {first.subject}{why}, then look again: assay run"
    return next((view.checks[c].fix for c in rule.decided_by if c in view.checks and view.checks[c].fix), "")


def _last_resort(rule: RuleTrace) -> str:
    return {
        "approvals": "Talk to whoever refused, change what they name, and ask again on the new Release.",
        "contract": "Restore the contract in assay.yaml, or ask the policy’s owner to pin the new one.",
        "evidence": "Run the checks again on this Release and join only bundles that speak of it.",
    }.get(rule.asks, "Run the checks that the rule names again: assay run.")
