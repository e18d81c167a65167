"""What can be examined: a subject with its kind and digest, and the feature contract an attacker is bound by."""

from __future__ import annotations

import math
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Literal

import msgspec

from assay.core.finding import Json, Scalar

Norm = Literal["linf", "l2", "l1", "cost"]
"""How far a change is: the largest, the Euclidean length, the sum, or what the feature contract prices."""
Access = Literal["label", "score", "whitebox"]
"""What an attacker sees: decisions, scores, or the model itself."""
COST = 3.0
"""The budget of the norm `cost` where nobody declares one."""
BUDGETS = ("cost", "budget")
"""The parameters of a check that say how far a change may go, in the norm `cost` and in the others."""


class Kind(StrEnum):
    """What a subject is; a check is asked of one kind."""

    ARTIFACT = "artifact"
    DATASET = "dataset"
    MODEL = "model"
    TRAFFIC = "traffic"


class Stage(StrEnum):
    """The link of the chain Data → Training → Model → Package → Approval → Live that a check gives evidence for."""

    DATA = "data"
    TRAINING = "training"
    MODEL = "model"
    PACKAGE = "package"
    APPROVAL = "approval"
    LIVE = "live"


class Subject(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A named thing to examine. `uri` is relative to the project; `options` are the manifest's facts about it.

    `reads` maps a role (data, holdout, champion, reference) to the name of another subject that its checks read too.
    """

    name: str
    kind: Kind
    uri: str
    digest: str = ""
    options: dict[str, Json] = {}
    reads: dict[str, str] = {}


class Person(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What an honest person can change in a column, and what it costs them: said in place of the attacker's word.

    `min`, `max`, `step`, `scale` are the column's own where they are not said here.
    """

    mutable: bool = True
    direction: Literal["up", "down", "both"] = "both"
    min: float | None = None
    max: float | None = None
    step: float | None = None
    scale: float | None = None
    cost: float = 1.0
    costs: dict[str, float | None] = {}


def called(level: Scalar) -> tuple[str, ...]:
    """How `costs:` may call a listed value: a word as it is written, a truth value or number as YAML writes it too."""
    if isinstance(level, bool):
        return str(level), str(level).lower()
    if isinstance(level, float) and level.is_integer():
        return str(level), str(int(level))
    return (str(level),)


class Feature(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What is known of one input column, and what an attacker can change in it.

    `order` lists ordered categories from low to high, `categories` unordered ones; `direction` is the only way it can
    move; `cost` is the price of one unit (numeric: per `scale`, by default the training data's standard deviation;
    ordered: per place; unordered: per change), and `costs` of a change into single categories (null: not possible).
    `person` says what an honest person can change in it, which an attacker's word says nothing of.

    With `one_hot` the name is no column but a category that these columns of 0 and 1 tell together, one of them 1; its
    values are called as the columns are, and `all_zero` is what the one without a column is called.
    """

    mutable: bool = True
    direction: Literal["up", "down", "both"] = "both"
    min: float | None = None
    max: float | None = None
    step: float | None = None
    integer: bool = False
    scale: float | None = None
    order: tuple[Scalar, ...] = ()
    categories: tuple[Scalar, ...] = ()
    cost: float = 1.0
    costs: dict[str, float | None] = {}
    type: Literal["number", "category", ""] = ""
    nullable: bool = True
    person: Person | None = None
    one_hot: tuple[str, ...] = ()
    all_zero: str = ""

    @property
    def levels(self) -> tuple[str, ...]:
        """What the category of a one-hot group can be."""
        return (*self.one_hot, *([self.all_zero] if self.all_zero else []))

    def folded(self) -> Feature:
        """A one-hot group as the one category that it tells."""
        listed = () if self.order else self.categories or self.levels
        return msgspec.structs.replace(self, categories=listed, one_hot=(), all_zero="", type="category")

    def of_person(self) -> Feature:
        """The column as an honest person can change it; unchangeable where `person:` is not said."""
        said = self.person
        if said is None:
            return msgspec.structs.replace(self, mutable=False)
        facts = {"min": said.min, "max": said.max, "step": said.step, "scale": said.scale}
        return msgspec.structs.replace(
            self,
            mutable=said.mutable,
            direction=said.direction,
            cost=said.cost,
            costs=said.costs,
            person=None,
            **{name: value for name, value in facts.items() if value is not None},
        )


class Attacker(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What an attacker sees and can spend, where a check is not told otherwise.

    `access` is what the model shows (decisions, scores, or itself), `queries` how often a row may ask, `norm` how a
    change is measured, `budget` how far it may go (None: 3 cost units, or in the other norms any distance), `price`
    what a query costs in money, `threshold` the score from which the model flags.
    """

    access: Access = "label"
    queries: int = 600
    norm: Norm = "cost"
    budget: float | None = None
    price: float | None = None
    threshold: float | None = None

    def spent(self, norm: Norm, given: float | None) -> float:
        """How far a change may go: what is given, else what is declared for that norm, else `COST`, or any distance."""
        declared = self.budget if norm == self.norm else None
        return given or declared or (COST if norm == "cost" else math.inf)

    def answers(self, parameters: Mapping[str, Json]) -> dict[str, Json]:
        """A check's parameters as they are really asked: what it has of an attacker, and was left None, is as declared.

        Who has the model itself asks nothing of it. Of a check with a `norm`, how far a change may go stands under
        `budget_of` that norm, never None; the other one of `cost` and `budget` is left out, unless it was given, which
        contradicts the norm.
        """
        asked: dict[str, Any] = dict(parameters)
        for name in ("access", "queries", "norm", "price"):
            if name in asked and asked[name] is None:
                asked[name] = getattr(self, name)
        if asked.get("access") == "whitebox" and "queries" in asked:
            asked["queries"] = 0
        if "norm" in asked:
            asked = {name: value for name, value in asked.items() if name not in BUDGETS or value is not None}
            asked.setdefault(budget_of(asked["norm"]), self.spent(asked["norm"], None))
        return asked

    def contradicts(self, parameters: Mapping[str, Json]) -> str:
        """Why a check's parameters cannot be asked: a distance is given that is not read in their norm. "" if not."""
        asked: dict[str, Any] = self.answers(parameters)
        read = budget_of(asked["norm"]) if "norm" in asked else ""
        other = next((name for name in BUDGETS if read and name != read and name in asked), "")
        return f"`{other}` is given, but in norm {asked['norm']} `{read}` says how far a change may go" if other else ""


def budget_of(norm: Norm) -> Literal["cost", "budget"]:
    """Which parameter of a check says how far a change may go in this norm."""
    return "cost" if norm == "cost" else "budget"


class Contract(msgspec.Struct, frozen=True, kw_only=True):
    """The feature contract: the facts of `features:` and the relations of `constraints:` in the manifest.

    `free` where nobody declared one: every input may move, beyond the range of the data too.
    """

    features: dict[str, Feature] = {}
    constraints: tuple[str, ...] = ()
    attacker: Attacker = Attacker()
    free: bool = False

    @property
    def groups(self) -> dict[str, Feature]:
        """The one-hot groups by name."""
        return {name: feature for name, feature in self.features.items() if feature.one_hot}

    @property
    def columns(self) -> dict[str, Feature]:
        """What is known of every column, those of one-hot groups one by one."""
        found: dict[str, Feature] = {}
        for name, told in self.features.items():
            one = Feature(mutable=told.mutable, min=0, max=1, integer=True, cost=told.cost, nullable=told.nullable)
            found |= dict.fromkeys(told.one_hot, one) if told.one_hot else {name: told}
        return found

    @property
    def speaks_of_people(self) -> bool:
        """Whether any column says what an honest person can change."""
        return any(feature.person is not None for feature in self.features.values())

    def of_person(self) -> Contract:
        """What an honest person can change: by `person:`, or as an attacker could where no column says it."""
        if not self.speaks_of_people:
            return self
        features = {name: feature.of_person() for name, feature in self.features.items()}
        return msgspec.structs.replace(self, features=features)
