"""The terms: what the model was judged on, as the judged wrote it and as whoever approves it should read it."""

from __future__ import annotations

from assay.core.canonical import short
from assay.core.decision import Verdict
from assay.core.terms import told
from assay.render.page.escape import code, esc
from assay.render.page.parts import facts, section, status
from assay.render.page.view import View
from assay.render.page.words import plural

_NAMES = {"attacker": "An attacker", "fixed": "Held fixed", "constraints": "Always true", "model": "The model"}


def terms(view: View) -> str:
    """The section, "" where nothing speaks of a release."""
    release = view.body.release
    if release is None:
        return ""
    rules = [r for r in view.trace if r.asks == "contract"]
    if any(r.verdict is Verdict.DENY for r in rules):
        state = status("fail", "not as the policy asks")
    elif rules and all(r.verdict is Verdict.ALLOW for r in rules):
        state = status("pass", "as the policy asks")
    else:
        state = status("declared", "declared, not pinned")
    pairs = told(release.terms)
    rows = "".join(
        f"<dt>{esc(_NAMES.get(what, 'Its ' + what))}</dt><dd>{esc(words, 2000)}</dd>"
        for what, words in pairs
        if what != "terms"
    )
    about = facts(
        [
            ("Terms", code(f"{short(release.terms.digest)}…")),
            ("Thresholds", esc(", ".join(f"{name} {value:g}" for name, value in release.threshold.items()), 200)),
            ("Inputs", plural(len(release.terms.contract.features), "input")),
        ]
    )
    note = (
        '<p class="note">Whoever is judged writes these in <code>assay.yaml</code>: a dearer or smaller choice for the '
        "attacker flatters the figures. They are part of the Release; "
        f"<code>contract: {{digest: {esc(release.terms.digest)}}}</code> in the policy pins them.</p>"
    )
    return section("terms", "What it was judged on", state, about, f'<dl class="proof">{rows}</dl>{note}')
