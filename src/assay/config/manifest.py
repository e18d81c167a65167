"""assay.yaml: the system, its subjects, what an attacker can change, and the policy, as frozen structs."""

from __future__ import annotations

import math
from datetime import date
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import msgspec

from assay.config.address import SERVED, is_address, is_variable, refused
from assay.config.constraints import Constraint
from assay.config.strict_yaml import Document, convert, parse, read_text
from assay.core.errors import UsageError
from assay.core.finding import Json, Scalar
from assay.core.report import SystemInfo
from assay.core.subject import Attacker, Contract, Feature, Kind, Person, Subject, called
from assay.core.text import nearest

NAME = "assay.yaml"
DEFAULT_THRESHOLD = 0.5
RESERVED = frozenset({"environment", "urn:assay:release"})
"""Names of materials and of signed subjects that are not subjects of a manifest."""


class Entry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A subject of the manifest; the classes below say what each kind may carry."""


class DatasetEntry(Entry, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A table: a CSV, Parquet or Arrow file, or a DuckDB database, of which `table` names one. `holdout_of` names the
    data it was split from.

    `id` … `label_delay` are columns that say something of the row and are no features: its name, its time, whom it is
    about, who brought it, who labelled it, how much it counts, which part it was dealt to, and how long after the row
    its label came. `provenance` is a file: the dataset manifest, with the digests of what the data was made of.
    """

    dataset: str
    table: str | None = None
    label: str | None = None
    positive: Scalar = 1
    id: str | None = None
    time: str | None = None
    entity: str | None = None
    source: str | None = None
    annotator: str | None = None
    weight: str | None = None
    split: str | None = None
    label_delay: str | None = None
    provenance: str | None = None
    protected: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    separator: str | None = None
    header: bool = True
    columns: tuple[str, ...] = ()
    nan: tuple[str, ...] = ()
    holdout_of: str | None = None


class ModelEntry(Entry, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A model file, or the address of a served one, with the data it was trained on, the untouched data it is judged
    on, and its champion.

    `protocol` … `wait` say how an address is asked: Open Inference Protocol or MLflow scoring (where the address does
    not tell), which output holds the score, the variable with a token, requests a second, rows a request, seconds an
    answer may take, and seconds of waiting in all.

    `latency` is how many milliseconds a row may take, where that is promised.
    """

    model: str
    data: str | None = None
    holdout: str | None = None
    champion: str | None = None
    threshold: float | None = None
    latency: float | None = None
    positive: Scalar = 1
    inputs: tuple[str, ...] = ()
    preprocessing: str | None = None
    guard_rules: str | None = None
    allow: tuple[str, ...] = ()
    allow_until: date | None = None
    modules: str | None = None
    protocol: Literal["oip", "mlflow"] | None = None
    output: str | None = None
    token_env: str | None = None
    rate: float | None = None
    batch: int | None = None
    timeout: float | None = None
    wait: float | None = None


class ArtifactEntry(Entry, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Any other file that ships."""

    artifact: str


class Training(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What training used, as declared: the code's commit and a file that pins the environment."""

    code: str = ""
    environment: str | None = None


class PackEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The threat pack in force: its file (the signature lies beside it) and its publisher's public key, as text."""

    pack: str
    key: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole of assay.yaml. `release` names the model that ships (needed only where several could)."""

    schema: str = "assay/1"
    system: SystemInfo
    subjects: dict[str, dict[str, Json]] = {}
    features: dict[str, Feature] = {}
    constraints: tuple[str, ...] = ()
    attacker: Attacker = Attacker()
    checks: dict[str, dict[str, Json]] = {}
    release: str | None = None
    training: Training = Training()
    policy: str | None = None
    threats: PackEntry | None = None


_KEYS: dict[str, tuple[Kind, type[Entry]]] = {
    "dataset": (Kind.DATASET, DatasetEntry),
    "model": (Kind.MODEL, ModelEntry),
    "artifact": (Kind.ARTIFACT, ArtifactEntry),
}
_NUMBERS = ("min", "max", "step", "scale", "integer", "type")
_ROLES = ("data", "holdout", "champion", "holdout_of")


class Threat(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an attacker can change and sees, where no manifest says it: the same keys."""

    features: dict[str, Feature]
    constraints: tuple[str, ...] = ()
    attacker: Attacker = Attacker()


class Project(msgspec.Struct, frozen=True, kw_only=True):
    """A manifest that holds together: every subject opened as a noun, every name resolved."""

    root: Path
    manifest: Manifest
    subjects: dict[str, Subject]
    contract: Contract
    model: str | None
    lines: dict[str, int]

    def path(self, uri: str) -> Path:
        """Where a subject's file lies."""
        return self.root / uri


def load_project(where: Path) -> Project:
    """Read assay.yaml (a file, or the folder that holds it). Raises InputError or UsageError, one clear line."""
    path = where / NAME if where.is_dir() else where
    document = parse(read_text(path), str(path))
    return project_from(document, path.parent)


def load_threat(path: Path) -> Contract:
    """Read a threat file, or the same keys of a manifest, into a contract. Raises InputError or UsageError."""
    document = parse(read_text(path, by="assay attack init"), str(path))
    if not isinstance(document.value, dict):
        fix = "name a YAML file with `features:` (`assay attack init` drafts one)"
        raise document.error("$", "is no threat model", fix)
    whole = isinstance(document.value, dict) and "subjects" in document.value
    threat = convert(document, Manifest) if whole else convert(document, Threat)
    _check_features(document, threat)
    return Contract(features=threat.features, constraints=threat.constraints, attacker=threat.attacker)


def project_from(document: Document, root: Path) -> Project:
    """Check a parsed manifest and resolve its names."""
    manifest = convert(document, Manifest)
    if manifest.attacker.threshold is not None:
        fix = "give the model its `threshold:` under `subjects:`; this one is for threat files"
        raise document.error("$.attacker.threshold", "says again what the model says", fix)
    if manifest.schema != "assay/1":
        raise document.error("$.schema", f"{manifest.schema!r} is not known", "this version reads assay/1")
    entries = {name: _entry(document, name, raw) for name, raw in manifest.subjects.items()}
    subjects = {name: _subject(document, name, kind, entry, entries) for name, (kind, entry) in entries.items()}
    subjects = _with_splits(document, subjects)
    _check_features(document, manifest)
    _check_files(document, manifest)
    contract = Contract(features=manifest.features, constraints=manifest.constraints, attacker=manifest.attacker)
    model = _release_model(document, manifest, subjects)
    return Project(
        root=root, manifest=manifest, subjects=subjects, contract=contract, model=model, lines=document.lines
    )


def _with_splits(document: Document, subjects: dict[str, Subject]) -> dict[str, Subject]:
    """A model's holdout was split from its training data whether the manifest says so or not, and has its label."""
    found = dict(subjects)
    for model in subjects.values():
        data, holdout = model.reads.get("data"), model.reads.get("holdout")
        if not data or not holdout:
            continue
        at = f"$.subjects.{model.name}.holdout"
        if data == holdout:
            raise document.error(at, "is the data it was trained on", "name rows that the model has not seen")
        table, trained = found[holdout], found[data]
        for key in ("label", "positive"):
            if table.options.get(key) != trained.options.get(key):
                raise document.error(at, f"has another {key} than {data}", f"give both the same {key}")
        if "holdout_of" not in table.reads:
            found[holdout] = msgspec.structs.replace(table, reads={**table.reads, "holdout_of": data})
    return found


def _entry(document: Document, name: str, raw: dict[str, Json]) -> tuple[Kind, Entry]:
    at = f"$.subjects.{name}"
    if not name or name != name.strip() or "/" in name or not name.isprintable():
        raise document.error(at, "is not a usable subject name", "use letters, digits, - and _")
    if name in RESERVED or name.endswith((".preprocessing", ".guard_rules")):
        raise document.error(at, "is a name that Assay uses itself", "choose another")
    kinds = [key for key in _KEYS if key in raw]
    if len(kinds) != 1:
        raise document.error(at, "needs exactly one of dataset, model, artifact", "name its file under that key")
    kind, type_ = _KEYS[kinds[0]]
    return kind, convert(document, type_, raw, at)


def _subject(
    document: Document, name: str, kind: Kind, entry: Entry, entries: dict[str, tuple[Kind, Entry]]
) -> Subject:
    at = f"$.subjects.{name}"
    fields: dict[str, Any] = msgspec.to_builtins(entry)
    if isinstance(entry, (DatasetEntry, ModelEntry)):
        fields["positive"] = entry.positive  # said or not: a default is left out of what is written
    if isinstance(entry, ModelEntry):
        fields.setdefault("threshold", DEFAULT_THRESHOLD)  # what the Release says is what the predictors use
        if entry.latency is not None and not 0 < entry.latency < math.inf:
            raise document.error(f"{at}.latency", f"is {entry.latency:g}, not a positive number", "say milliseconds")
    uri = fields.pop(kind.value)
    if isinstance(entry, ModelEntry):
        _check_place(document, at, entry)
    if kind is not Kind.MODEL or not is_address(uri):
        _inside(document, f"{at}.{kind.value}", uri)
    for key in ("preprocessing", "guard_rules", "modules", "provenance"):
        if key in fields:
            _inside(document, f"{at}.{key}", fields[key])
    reads = {role: fields.pop(role) for role in _ROLES if fields.get(role) is not None}
    for role, other in reads.items():
        wanted = Kind.MODEL if role == "champion" else Kind.DATASET
        if other == name:
            raise document.error(f"{at}.{role}", "names itself", f"name another {wanted}")
        if other not in entries or entries[other][0] is not wanted:
            raise document.error(f"{at}.{role}", f"{other!r} is not a {wanted} subject of this manifest", "name one")
    return Subject(name=name, kind=kind, uri=uri, options=fields, reads=reads)


def _check_place(document: Document, at: str, entry: ModelEntry) -> None:
    """A model lies in a file or behind an address; what is said of it must be of that kind."""
    if not is_address(entry.model):
        if given := [key for key in SERVED if getattr(entry, key) is not None]:
            raise document.error(f"{at}.{given[0]}", "is for a model behind an address", "take it out")
        return
    what, fix = refused(entry.model)
    if what:
        raise document.error(f"{at}.model", what, fix)
    if given := [key for key in ("allow", "allow_until", "modules") if getattr(entry, key)]:
        raise document.error(f"{at}.{given[0]}", "is for a model file that is loaded here", "take it out")
    if entry.token_env is not None and not is_variable(entry.token_env):
        fix = "name a variable, and put the token there, never here"
        raise document.error(f"{at}.token_env", "is no name of an environment variable", fix)
    for key in ("rate", "batch", "timeout", "wait"):
        value = getattr(entry, key)
        if value is not None and not 0 < value < math.inf:
            raise document.error(f"{at}.{key}", f"is {value:g}, not a positive number", "mend the number")


def _inside(document: Document, at: str, uri: str) -> None:
    path = PurePosixPath(uri)
    if not uri or path.is_absolute() or ".." in path.parts or "\0" in uri:
        raise document.error(at, f"{uri!r} must be a path inside the project", "move the file into the project")


def _check_files(document: Document, manifest: Manifest) -> None:
    environment, policy = manifest.training.environment, manifest.policy
    if environment is not None:
        _inside(document, "$.training.environment", environment)
    if manifest.threats is not None:
        _inside(document, "$.threats.pack", manifest.threats.pack)
    if policy is not None and (not policy or "\0" in policy):
        raise document.error("$.policy", "is not a path", "name the policy's file")


def _check_features(document: Document, manifest: Manifest | Threat) -> None:
    for name, feature in manifest.features.items():
        at = f"$.features.{name}"
        if feature.order and feature.categories:
            raise document.error(at, "has both order and categories", "keep one")
        listed = feature.order or feature.categories or feature.one_hot
        if twice := [v for n, v in enumerate(listed) if v in listed[:n]]:
            raise document.error(at, f"lists {twice[0]!r} twice", "list it once")
        ways = {"direction": feature.direction, "person.direction": feature.person.direction if feature.person else ""}
        for key, way in ways.items():
            if listed and not feature.order and way in ("up", "down"):
                raise document.error(f"{at}.{key}", "needs an order", "list the values from low to high in `order:`")
        _check_change(document, at, feature, feature)
        if feature.person is not None:
            _check_change(document, f"{at}.person", feature.person, feature)
            person = feature.of_person()
            if person.min is not None and person.max is not None and person.min > person.max:
                raise document.error(f"{at}.person", "leaves no value between min and max", "mend the numbers")
    _check_attacker(document, manifest.attacker)
    grouped = _check_groups(document, manifest.features)
    for index, text in enumerate(manifest.constraints):
        at = f"$.constraints[{index}]"
        try:
            constraint = Constraint(text)
        except UsageError as error:
            raise document.error(at, error.what, error.fix) from None
        for name in constraint.columns:
            group = manifest.features.get(name)
            if group is not None and group.one_hot:
                other = [v for v in constraint.compared(name) if v not in group.levels]
                if other:
                    guess = nearest(other[0], group.levels) or group.levels[0]
                    raise document.error(at, f"{name} is never {other[0]!r}", f"its values are called as {guess!r} is")
            if name in grouped:
                what = f"reads {name}, a column of the one-hot group {grouped[name]}"
                raise document.error(at, what, f"say it of the group: `{grouped[name]} == '{name}'`")


def _spelled(level: str) -> str | float:
    """What a value is taken for: words that spell one number are one value."""
    try:
        return float(level)
    except ValueError:
        return level


def _check_groups(document: Document, features: dict[str, Feature]) -> dict[str, str]:
    """The group of every column that belongs to a one-hot group."""
    grouped: dict[str, str] = {}
    for name, feature in features.items():
        at = f"$.features.{name}"
        if not feature.one_hot:
            if feature.all_zero:
                raise document.error(f"{at}.all_zero", "is for one-hot groups", "list the columns in `one_hot:`")
            continue
        levels = feature.levels
        if len(levels) < 2 or len({_spelled(v) for v in levels}) < len(levels):
            raise document.error(f"{at}.one_hot", "needs two different values or more", "list every column once")
        said = [key for key in _NUMBERS if getattr(feature, key) not in (None, False, "")]
        said += [f"person.{key}" for key in _NUMBERS if getattr(feature.person, key, None) is not None]
        if said:
            raise document.error(f"{at}.{said[0]}", "is for numbers; this is a one-hot group", "take it out")
        if feature.order and (rest := [v for v in levels if v not in feature.order]):
            raise document.error(f"{at}.order", f"leaves out {rest[0]!r}", "list every value of the group")
        if other := [v for v in (*feature.order, *feature.categories) if v not in levels]:
            what = f"lists {other[0]!r}, which is none of the group's columns"
            raise document.error(at, what, "list columns of `one_hot:`, or what `all_zero:` says")
        for column in feature.one_hot:
            if column in features:
                fix = f"say of {name} what an attacker can change, and take {column} out"
                raise document.error(f"$.features.{column}", f"is a column of the one-hot group {name}", fix)
            if column in grouped:
                what = f"lists {column}, which belongs to {grouped[column]}"
                raise document.error(f"{at}.one_hot", what, "list it once")
            grouped[column] = name
    return grouped


def _check_change(document: Document, at: str, change: Feature | Person, column: Feature) -> None:
    """The numbers by which an attacker or a person can change a column."""
    if change.min is not None and change.max is not None and change.min > change.max:
        raise document.error(at, "min is greater than max", "swap them")
    positive = {"step": change.step, "cost": change.cost, "scale": change.scale}
    for key, value in {**positive, "min": change.min, "max": change.max}.items():
        if value is not None and (not math.isfinite(value) or (key in positive and value <= 0)):
            word = "positive" if key in positive else "a finite number"
            raise document.error(f"{at}.{key}", f"is {value:g}, not {word}", "mend the number")
    listed = {name for level in column.categories or column.levels for name in called(level)}
    if change.costs and (column.order or not listed >= change.costs.keys()):
        whose = "the group does not hold" if column.one_hot else "`categories:` does not list"
        fix = f"its values are called as {column.levels[0]!r} is" if column.one_hot else "list every priced category"
        raise document.error(f"{at}.costs", f"prices what {whose}", fix)
    for level, value in change.costs.items():
        if value is not None and not 0 < value < math.inf:
            raise document.error(f"{at}.costs.{level}", f"is {value:g}, not a positive number", "mend the number")


def _check_attacker(document: Document, attacker: Attacker) -> None:
    positive = {"queries": attacker.queries, "budget": attacker.budget, "price": attacker.price}
    for key, value in positive.items():
        if value is not None and not 0 < value < math.inf:
            raise document.error(f"$.attacker.{key}", f"is {value:g}, not a positive number", "mend the number")
    if attacker.threshold is not None and not math.isfinite(attacker.threshold):
        raise document.error("$.attacker.threshold", "is not a finite number", "mend the number")


def _no_circle(document: Document, name: str, subjects: dict[str, Subject]) -> None:
    seen, current = {name}, subjects[name].reads.get("champion")
    while current is not None and current not in seen:
        seen.add(current)
        current = subjects[current].reads.get("champion")
    if current == name:
        raise document.error(f"$.subjects.{name}.champion", "champions form a circle", "a champion came first")


def _release_model(document: Document, manifest: Manifest, subjects: dict[str, Subject]) -> str | None:
    champions = {s.reads["champion"] for s in subjects.values() if "champion" in s.reads}
    models = [name for name, s in subjects.items() if s.kind is Kind.MODEL]
    for name in models:
        _no_circle(document, name, subjects)
    if manifest.release is not None:
        if manifest.release not in models:
            raise document.error("$.release", f"{manifest.release!r} is not a model subject", "name one")
        return manifest.release
    candidates = [name for name in models if name not in champions]
    if len(candidates) > 1:
        raise document.error("$.subjects", f"several models could ship: {', '.join(candidates)}", "add `release: NAME`")
    return candidates[0] if candidates else None
