"""The release policy and the roster: YAML files, read strictly into frozen structs."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from assay.config.durations import duration
from assay.config.strict_yaml import Document, convert, parse, read_text
from assay.core.canonical import digest_bytes
from assay.core.decision import Roster
from assay.core.finding import Json, Severity

KINDS = ("findings", "measure", "outcome", "contract", "approvals")
Digest = Annotated[str, msgspec.Meta(pattern="^sha256:[0-9a-f]{64}$")]
Count = Annotated[int, msgspec.Meta(ge=0)]


class _Strict(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    pass


class FindingsRule(_Strict, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """At most `unwaived_max` findings of this severity or above that no valid waiver covers."""

    severity: Severity
    unwaived_max: Count = 0
    check: str = "*"
    max_age: str | None = None


class MeasureRule(_Strict, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A measure within bounds. `bound` says which end of the interval is read."""

    name: str
    min: float | None = None
    max: float | None = None
    versus: Literal["champion"] | None = None
    min_change: float | None = None
    max_change: float | None = None
    bound: Literal["value", "lower95", "upper95"] = "value"
    max_age: str | None = None
    min_n: Count = 0
    subject: str | None = None


class OutcomeRule(_Strict, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Every check that the pattern names must have been run and have this status."""

    check: str
    status: Literal["pass"] = "pass"
    subject: str | None = None
    max_age: str | None = None


class ContractRule(_Strict, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What the model may be judged on: the digest of the Release's terms, inputs that an attacker can change, the only
    inputs that may be out of reach (`immutable`), the dearest price of one that is not (`max_cost`), and by role the
    digests of what judges it (holdout, champion).

    Whoever is judged writes the feature contract and names its judges; without this rule costlier moves, an easy
    holdout or a weak champion flatter every figure.
    """

    digest: Digest | None = None
    mutable: tuple[str, ...] = ()
    immutable: tuple[str, ...] | None = None
    max_cost: Annotated[float, msgspec.Meta(gt=0)] | None = None
    materials: dict[Literal["holdout", "champion", "training-data", "environment"], Digest | tuple[Digest, ...]] = {}


class ApprovalsRule(_Strict, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One approval from each role, by at least `distinct` people with different keys, given for `longest` at most."""

    roles: tuple[str, ...]
    distinct: Annotated[int, msgspec.Meta(ge=1)] = 1
    exclude: Literal["author"] | None = None
    longest: str = "90d"


class Rule(_Strict, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One line of `require:`; exactly one of the fields is set."""

    findings: FindingsRule | None = None
    measure: MeasureRule | None = None
    outcome: OutcomeRule | None = None
    contract: ContractRule | None = None
    approvals: ApprovalsRule | None = None


class VouchRule(_Strict, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Only people of these roles may give evidence for the checks that the pattern names."""

    check: str
    roles: tuple[str, ...]


class WaiverRule(_Strict, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Who may waive, and for how long at most. Without it nobody may."""

    roles: tuple[str, ...]
    longest: str = "90d"


class PolicyFile(_Strict, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The release policy as written.

    `roster` is the name of the one that says who people are. `parameters` are what a check must have been asked with;
    where they are silent, with its defaults; `seed` is the run's. Whoever is judged can so neither loosen a check
    unseen nor pick the luckiest seed.
    """

    schema: str = "assay/1"
    policy: str
    version: Annotated[int, msgspec.Meta(ge=1)] = 1
    mode: Literal["enforce", "observe"] = "enforce"
    max_age: str | None = None
    verdict_valid: str = "30d"
    evidence: tuple[VouchRule, ...] = ()
    parameters: dict[str, dict[str, Json]] = {}
    seed: int = 0
    roster: str | None = None
    waivers: WaiverRule | None = None
    require: tuple[Rule, ...]


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """A policy with its text, the digest of its bytes and, for each rule, its line and its words."""

    file: PolicyFile
    text: str
    digest: str
    uri: str
    lines: tuple[int, ...]
    texts: tuple[str, ...]

    @property
    def verdict_valid(self) -> timedelta:
        """How long a verdict under this policy holds."""
        return duration(self.file.verdict_valid)

    @property
    def pinned(self) -> frozenset[str]:
        """The digests of the terms that its owner has agreed to, to the letter."""
        rules = (rule.contract for rule in self.file.require)
        return frozenset(rule.digest for rule in rules if rule is not None and rule.digest is not None)


def load_policy(path: Path) -> Policy:
    """Read a policy file. Raises InputError or UsageError."""
    return policy_from(read_text(path), str(path))


def policy_from(data: bytes, name: str) -> Policy:
    """Parse policy bytes strictly."""
    document = parse(data, name)
    file = convert(document, PolicyFile)
    if file.schema != "assay/1":
        raise document.error("$.schema", f"{file.schema!r} is not known", "this version reads assay/1")
    if not file.require:
        raise document.error("$.require", "asks for nothing, so it could never deny", "add a rule")
    _check_durations(document, file)
    for index, rule in enumerate(file.require):
        _check_rule(document, f"$.require[{index}]", rule)
    count = range(len(file.require))
    lines = tuple(document.line(f"$.require[{i}]") for i in count)
    texts = tuple(_text(document.value["require"][i]) for i in count)
    return Policy(file=file, text=data.decode(), digest=digest_bytes(data), uri=name, lines=lines, texts=texts)


def _check_durations(document: Document, file: PolicyFile) -> None:
    asked: list[tuple[str, str | None]] = [("$.max_age", file.max_age), ("$.verdict_valid", file.verdict_valid)]
    if file.waivers is not None:
        asked.append(("$.waivers.longest", file.waivers.longest))
    for index, rule in enumerate(file.require):
        for key, part in (("findings", rule.findings), ("measure", rule.measure), ("outcome", rule.outcome)):
            if part is not None:
                asked.append((f"$.require[{index}].{key}.max_age", part.max_age))
        if rule.approvals is not None:
            asked.append((f"$.require[{index}].approvals.longest", rule.approvals.longest))
    for path, text in asked:
        if text is not None:
            try:
                duration(text)
            except ValueError as error:
                raise document.error(path, str(error), "mend the duration") from None


def _check_rule(document: Document, at: str, rule: Rule) -> None:
    given = [name for name in KINDS if getattr(rule, name) is not None]
    if len(given) != 1:
        raise document.error(at, f"needs exactly one of {', '.join(KINDS)}", "split the rule")
    if rule.contract is not None and rule.contract == ContractRule():
        raise document.error(
            f"{at}.contract", "asks for nothing", "give digest, mutable, immutable, max_cost or materials"
        )
    if rule.contract is not None and rule.contract.materials and rule.contract.digest is None:
        what = "pins files but not the facts by which they judge (threshold, label, dropped columns)"
        raise document.error(f"{at}.contract.materials", what, "pin `digest:` beside it; `assay approve` prints it")
    if rule.contract is not None and (none := [role for role, pinned in rule.contract.materials.items() if not pinned]):
        what = "is a list of no files: no Release has such terms"
        raise document.error(f"{at}.contract.materials.{none[0]}", what, "list the digests, or take it out")
    measure = rule.measure
    if measure is not None:
        absolute = measure.min is not None or measure.max is not None
        change = measure.min_change is not None or measure.max_change is not None
        if absolute == change or change != (measure.versus is not None):
            fix = "give min or max, or else versus: champion with min_change or max_change"
            raise document.error(f"{at}.measure", "asks for no bound, or for two kinds", fix)
        low, high = (measure.min_change, measure.max_change) if change else (measure.min, measure.max)
        if low is not None and high is not None:
            raise document.error(f"{at}.measure", "asks for a minimum and a maximum", "write two rules, one for each")
        if (measure.bound == "lower95" and low is None) or (measure.bound == "upper95" and high is None):
            fix = "read lower95 with a minimum, upper95 with a maximum"
            raise document.error(f"{at}.measure.bound", f"{measure.bound} does not bound this side", fix)
    approvals = rule.approvals
    if approvals is not None and not approvals.roles:
        raise document.error(f"{at}.approvals", "asks no role", "name the roles")


def _text(rule: Any) -> str:
    """A rule as people read it: `measure: name performance.recall, min 0.6, bound lower95`."""
    key, fields = next((k, f) for k, f in rule.items() if f is not None)
    parts = (f"{k}: {_value(v)}" for k, v in fields.items())
    return f"{key}: {{{', '.join(parts)}}}"


def _value(value: Any) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(_value(v) for v in value) + "]"
    return msgspec.json.encode(value).decode() if isinstance(value, (dict, bool)) or value is None else str(value)


KEY_FORMS = ("ed25519:", "p256:", "p384:", "p521:")
"""How the text form of a public key begins."""


def roster_from(data: bytes, name: str) -> Roster:
    """Parse roster bytes strictly: no person twice, no key twice, every key in text form."""
    document = parse(data, name)
    roster = convert(document, Roster)
    people: set[str] = set()
    keys: set[str] = set()
    for index, person in enumerate(roster.people):
        at = f"$.people[{index}]"
        if person.name in people:
            raise document.error(at, f"{person.name!r} is listed twice", "keep one entry a person")
        people.add(person.name)
        for key in person.keys:
            if not key.startswith(KEY_FORMS):
                what = "a key is not in the form ed25519:… or p256:…"
                raise document.error(f"{at}.keys", what, "`assay key show` prints it")
            if key in keys:
                raise document.error(f"{at}.keys", "a key is listed twice", "one key, one person, once")
            keys.add(key)
    return roster
