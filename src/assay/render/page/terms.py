"""The terms: what the model was judged on, as the judged wrote it and as whoever approves it should read it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from assay.core.canonical import short
from assay.core.decision import Verdict
from assay.core.finding import Json
from assay.core.subject import BUDGETS, Attacker, budget_of
from assay.core.terms import told
from assay.render.page.escape import code, esc
from assay.render.page.parts import facts, section, status
from assay.render.page.view import View
from assay.render.page.words import number, plural

_NAMES = {
    "attacker": "An attacker",
    "attack": "The attack",
    "fixed": "Held fixed",
    "constraints": "Always true",
    "model": "The model",
}


_ACCESS = {"label": "sees decisions only", "score": "sees scores", "whitebox": "has the model itself"}
_NORMS = {"cost": "what the changes cost", "linf": "the largest change", "l2": "their length", "l1": "their sum"}
_UNIT = (
    "a unit of cost is one standard deviation of the training data (or the column’s own `scale:`), one place in an "
    "order, or one change of a category"
)


def _attack(view: View, attacker: Attacker) -> str:
    """What the attacker sees, asks and may spend: as `robustness.evasion` was told, beside what is declared where that
    is another; else as declared."""
    told = next((o.parameters for o in view.body.outcomes if o.check == "robustness.evasion"), {})
    given = any(told.get(name) is not None for name in BUDGETS)
    asked, declared = (_spoken(attacker, parameters, given=given) for parameters in (told, {}))
    said = asked if declared == asked or attacker == Attacker() else f"{asked}; declared is another: {declared}"
    return f"{said}; {_UNIT}" if "norm cost" in said else said


def _spoken(attacker: Attacker, parameters: Mapping[str, Json], *, given: bool) -> str:
    """An attack in words; a distance that nobody has `given` or declared is the default."""
    asked: dict[str, Any] = attacker.answers({**dict.fromkeys(("access", "queries", "norm", "price")), **parameters})
    norm, access, price = asked["norm"], asked["access"], asked["price"]
    own = asked[budget_of(norm)]
    budget = own if isinstance(own, int | float) else attacker.spent(norm, None)
    default = "" if given or (attacker.budget is not None and attacker.norm == norm) else " (the default)"
    most = "any distance" if math.isinf(budget) else f"at most {number(budget) if budget % 1 else f'{budget:,.0f}'}"
    said = [f"{_ACCESS[access]} (access {access})"]
    said += [f"{plural(asked['queries'], 'query', 'queries')} a row"] if asked["queries"] else []
    said += [f"norm {norm} ({_NORMS[norm]}), {most}{default}"]
    said += [f"a query costs {number(price)}"] if price is not None else []
    return "; ".join(said)


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
    pairs = [(what, words) for what, words in told(release.terms) if what != "attack"]
    contract = release.terms.contract
    if contract.features or contract.attacker != Attacker():
        place = [what for what, _ in pairs].index("attacker") + 1
        pairs.insert(place, ("attack", _attack(view, contract.attacker)))
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
