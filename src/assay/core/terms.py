"""The terms of a release in words, for whoever approves them: what an attacker can change, and what counts as true."""

from __future__ import annotations

from collections.abc import Iterator

from assay.core.finding import Json
from assay.core.release import Terms
from assay.core.subject import Attacker, Feature

MOST = 12


def told(terms: Terms, most: int = MOST) -> tuple[tuple[str, str], ...]:
    """(what, words) in a fixed order, the digest that a policy can pin first; lists longer than `most` are cut."""
    aside = set(_named(terms))
    features = {name: f for name, f in terms.contract.features.items() if name not in aside}
    free = [_feature(name, f) for name, f in features.items() if f.mutable]
    fixed = [name for name, f in features.items() if not f.mutable]
    pairs = [("terms", terms.digest)]
    if features:
        pairs.append(("attacker", f"can change {len(free)} of {len(features)} declared columns: {_listed(free, most)}"))
    else:
        pairs.append(("attacker", "nothing is said of what an attacker can change"))
    if (attacker := terms.contract.attacker) != Attacker():
        far = "default" if attacker.budget is None else f"{attacker.budget:g}"
        asks = "" if attacker.access == "whitebox" else f", {attacker.queries} queries a row"
        seen = f"access {attacker.access}{asks}, norm {attacker.norm}, budget {far}"
        pairs.append(("attack", seen if attacker.price is None else f"{seen}, {attacker.price:g} a query"))
    if fixed:
        pairs.append(("fixed", _listed(fixed, most)))
    if terms.contract.constraints:
        pairs.append(("constraints", _listed(list(terms.contract.constraints), most)))
    if terms.model:
        pairs.append(("model", _facts({**terms.model, **_positive(terms)})))
    pairs += [(role, _facts(facts)) for role, facts in terms.reads.items() if facts]
    return tuple(pairs)


def _named(terms: Terms) -> Iterator[str]:
    """The columns that the manifest says are no inputs: label, id and the like."""
    for facts in terms.reads.values():
        for role in ("label", "id", "time", "entity", "drop"):
            said = facts.get(role)
            yield from (str(v) for v in (said if isinstance(said, (list, tuple)) else [said]) if v is not None)


def _listed(items: list[str], most: int = MOST) -> str:
    more = f" and {len(items) - most} more" if len(items) > most else ""
    return (", ".join(items[:most]) or "none") + more


def _feature(name: str, feature: Feature) -> str:
    """A changeable input with whatever bounds or prices it: `amount (only up, 0 to 500, cost 2 per 100)`."""
    said = [] if feature.direction == "both" else [f"only {feature.direction}"]
    if feature.min is not None or feature.max is not None:
        ends = ("any" if end is None else f"{end:g}" for end in (feature.min, feature.max))
        said.append(" to ".join(ends))
    if feature.step is not None:
        said.append(f"steps of {feature.step:g}")
    levels = feature.order or feature.categories or feature.levels
    if levels:
        said.append(f"{len(levels)} categories")
    if feature.cost != 1 or feature.scale is not None:
        said.append(f"cost {feature.cost:g}" + (f" per {feature.scale:g}" if feature.scale is not None else ""))
    if feature.costs:
        prices = [price for price in feature.costs.values() if price is not None]
        never = len(feature.costs) - len(prices)
        dear = f"{min(prices):g} to {max(prices):g} into {len(prices)} of them" if prices else ""
        said += [words for words in (dear, f"never into {never} of them" if never else "") if words]
    return f"{name} ({', '.join(said)})" if said else name


def _facts(facts: dict[str, Json]) -> str:
    return ", ".join(f"{key} {_value(value)}" for key, value in facts.items())


def _positive(terms: Terms) -> dict[str, Json]:
    """The class that the model calls positive, with the labels that stand for it in the data where they are others."""
    own = terms.model.get("positive")
    labels = [str(facts["positive"]) for facts in terms.reads.values() if "label" in facts and "positive" in facts]
    others = [label for label in dict.fromkeys(labels) if label != str(own)]
    return {} if own is None or not others else {"positive": f"{own} ({' or '.join(others)} in its data)"}


def _value(value: Json) -> str:
    return f"[{_listed([str(v) for v in value])}]" if isinstance(value, (list, tuple)) else str(value)
