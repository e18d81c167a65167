"""The first screen's head: what is spoken of, the one word, the sentence, and the tally."""

from __future__ import annotations

from assay.core.canonical import short
from assay.core.decision import Decision, Verdict
from assay.core.finding import Severity, Status
from assay.core.release import Role
from assay.core.subject import Kind
from assay.render.page.escape import code, esc
from assay.render.page.parts import TONES, mark, status
from assay.render.page.say import tally
from assay.render.page.view import View, grave, is_open
from assay.render.page.why import plainly, why
from assay.render.page.words import listed, moment, plural, seconds

BRAND = (
    '<span class="brand"><svg width="18" height="18" viewBox="0 0 18 18" aria-hidden="true">'
    '<rect width="18" height="18" rx="4" fill="currentColor"/><path d="M4.5 12.6c3-.6 6.2-3.4 9-7.6" fill="none" '
    'stroke="var(--paper)" stroke-width="2" stroke-linecap="round"/></svg>Assay</span>'
)
_NOUNS = {
    Kind.ARTIFACT: ("file", "files"), Kind.DATASET: ("data set", "data sets"), Kind.MODEL: ("model", "models"),
    Kind.TRAFFIC: ("traffic log", "traffic logs"),
}  # fmt: skip


def name_of(view: View) -> str:
    """What the page is about, in plain text."""
    body = view.body
    if body.system is not None and body.system.name:
        return body.system.name
    if body.release is not None and body.release.system:
        return body.release.system
    subjects = {o.subject for o in body.outcomes} | {s.name for s in body.subjects}
    return listed(sorted(subjects), 3) if subjects else "nothing"


def verdict_words(decision: Decision) -> tuple[str, str]:
    """A qualifier ("would" where nothing is enforced or signed) and the word."""
    would = "would be" if decision.verdict is Verdict.INDETERMINATE else "would"
    return (would if decision.mode == "observe" or decision.preview else "", decision.verdict.value.upper())


def found(view: View) -> str:
    """`2 high findings`: the heading where nothing was decided. Unless all was judged it is never "Nothing found"."""
    outcomes = view.body.outcomes
    if not outcomes:
        return "Nothing examined"
    serious = [f for f in view.findings if grave(f) is not Severity.INFO]
    if serious:
        return tally([f for f in serious if grave(f) is grave(serious[0])])
    if any(is_open(o) for o in outcomes):
        return "Not judged to the end"
    if view.findings:
        return plural(len(view.findings), "note")
    return "Nothing found" if any(o.status is Status.PASS for o in outcomes) else "Nothing to look at"


def page_title(view: View) -> str:
    """The browser's title, in plain text."""
    decision = view.decision
    word = " ".join(filter(None, verdict_words(decision))) if decision is not None else found(view)
    release = f" · Release {short(decision.release)}" if decision is not None else ""
    return f"{word} · {name_of(view)}{release} · Assay"


def bar(view: View, links: list[tuple[str, str]]) -> str:
    """The bar that stays: brand, system, verdict, sections."""
    decision = view.decision
    state = ""
    if decision is not None:
        state = status(TONES[decision.verdict], " ".join(filter(None, verdict_words(decision))))
    nav = "".join(f'<a href="#{href}">{esc(words)}</a>' for words, href in links)
    return (
        f'<div class="bar"><div class="wrap">{BRAND}<span class="bar-name">{esc(name_of(view), 60)}</span>{state}'
        f'<nav aria-label="Sections">{nav}</nav></div></div>'
    )


def meta(view: View) -> str:
    """Which system, which release, by which policy, when."""
    cells = [_system(view)]
    release = view.decision.release if view.decision is not None else None
    if release is None and view.body.release is not None:
        release = view.body.release.digest
    if release is not None:
        known = view.body.release
        parts = f"made of {plural(len(known.materials), 'part')}" if known is not None and known.materials else ""
        shipped = {m.name for m in known.materials if m.role is Role.MODEL} if known is not None else set()
        cut = (
            ", ".join(f"says yes from a score of {v:g}" for name, v in known.threshold.items() if name in shipped)
            if known
            else ""
        )
        under = " · ".join(filter(None, (parts, cut)))
        cells.append(_cell("Release", f'<b class="mono">{esc(short(release))}</b>{mark(release)}', esc(under)))
    if view.decision is not None:
        policy = view.decision.policy
        mode = "enforced" if view.decision.mode == "enforce" else "only observed"
        signed = "" if policy.signed_by else " · not signed"
        under = f"“{policy.name}” version {policy.version} · {mode}{signed}"
        cells.append(
            _cell("Policy", f'<b class="mono">{esc(short(policy.digest))}</b>{mark(policy.digest)}', esc(under))
        )
    cells.append(_when(view))
    return f'<dl class="meta n{len(cells)}">{"".join(cells)}</dl>'


def _cell(term: str, value: str, under: str) -> str:
    below = f'<br><span class="m">{under}</span>' if under else ""
    return f"<div><dt>{term}</dt><dd>{value}{below}</dd></div>"


def _system(view: View) -> str:
    system = view.body.system
    if system is None:
        counts: dict[Kind, int] = {}
        for subject in view.body.subjects:
            counts[subject.kind] = counts.get(subject.kind, 0) + 1
        under = " · ".join(plural(n, *(view.noun if k is Kind.ARTIFACT else _NOUNS[k])) for k, n in counts.items())
        return f'<div><dt>Examined</dt><dd><h1>{esc(name_of(view))}</h1><span class="m">{esc(under)}</span></dd></div>'
    facts = (system.purpose, system.role, f"{system.risk} risk" if system.risk else "")
    about = " · ".join(filter(None, (*facts, f"owner: {system.owner or 'not named'}")))
    return f'<div><dt>System</dt><dd><h1>{esc(system.name)}</h1><span class="m">{esc(about)}</span></dd></div>'


def _when(view: View) -> str:
    decision, run = view.decision, view.run
    if decision is None:
        return _cell("When", f"<b>{esc(moment(run.started))}</b>", esc(f"took {seconds(run.seconds)}, nothing decided"))
    if decision.preview:
        return _cell(
            "Previewed", f"<b>{esc(moment(decision.at))}</b>", esc(f"run took {seconds(run.seconds)}, not signed")
        )
    bundles = {v.bundle for v in view.dossier.vouches}
    people = {v.person for v in view.dossier.vouches}
    under = f"{plural(len(bundles), 'bundle')} from {plural(len(people), 'signer')}" if bundles else ""
    return _cell("Decided", f"<b>{esc(moment(decision.at))}</b>", esc(under))


def verdict(view: View) -> str:
    """The word, the sentence, the tally, and what a preview is."""
    decision = view.decision
    if decision is None:
        word = f'<h2 class="word plain">{esc(found(view))}</h2>'
        layout = " long"
    else:
        would, name = verdict_words(decision)
        lead = f'<span class="would">{would}</span> ' if would else ""
        word = f'<h2 class="word {decision.verdict.value}">{lead}{name}</h2>'
        layout = " long" if decision.verdict is Verdict.INDETERMINATE else ""
    said = why(view)
    plain = plainly(said) if decision is not None else ""
    terms = f'<p class="plainly">{esc(plain, 600)}</p>' if plain else ""
    preview = ""
    if decision is not None and decision.preview:
        reason = decision.preview_reason.removeprefix("unsigned: ").rstrip(".")
        preview = (
            f'<p class="preview"><b>Preview, not signed:</b> {esc(reason)}. '
            f"Only {code('assay gate')} decides, on signed evidence.</p>"
        )
    elif decision is not None and decision.mode == "observe":
        preview = '<p class="preview"><b>Observed, not enforced.</b> The policy says so: no verdict is signed.</p>'
    return (
        f'<div class="verdict{layout}">{word}<div><p class="why">{esc(said, 900)}</p>{terms}{preview}'
        f'<p class="tally">{_tally(view)}</p></div></div>'
    )


def _tally(view: View) -> str:
    if view.decision is None:
        return _run_tally(view)
    counts = {v: sum(t.verdict is v for t in view.trace) for v in Verdict}
    deny, open_, met = (counts[v] for v in (Verdict.DENY, Verdict.INDETERMINATE, Verdict.ALLOW))
    parts = []
    if deny:
        parts.append(status("fail", f"{plural(deny, 'rule')} {'denies' if deny == 1 else 'deny'}"))
    if open_:
        parts.append(status("open", f"{open_ if parts else plural(open_, 'rule')} could not be judged"))
    if met:
        parts.append(status("pass", f"{met if parts else plural(met, 'rule')} {'is' if met == 1 else 'are'} met"))
    return "".join(parts)


def _run_tally(view: View) -> str:
    outcomes = view.body.outcomes
    failed = sum(o.status is Status.FAIL for o in outcomes)
    blind = sum(is_open(o) for o in outcomes)
    noted = sum(o.noted and o.complete for o in outcomes)
    passed = sum(o.status is Status.PASS and o.complete for o in outcomes) - noted
    rest = sum(o.status is Status.NOT_APPLICABLE and o.complete for o in outcomes)
    parts = []
    if failed:
        parts.append(status("fail", f"{plural(failed, 'check')} found something"))
    if blind:
        parts.append(status("open", f"{blind} could not be judged to the end"))
    if noted:
        parts.append(status("na", f"{noted} noted something"))
    if passed:
        parts.append(status("pass", f"{passed} passed"))
    if rest:
        parts.append(status("na", f"{rest} not applicable"))
    return "".join(parts) or status("na", "nothing was asked")
