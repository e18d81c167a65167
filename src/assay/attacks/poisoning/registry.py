"""The attacks by name, each with one line of what it does."""

from __future__ import annotations

import msgspec

from assay.attacks.poisoning.clean_label import clean_label, feature_collision
from assay.attacks.poisoning.flooding import flooding
from assay.attacks.poisoning.injection import injection, outliers
from assay.attacks.poisoning.labels import flips, targeted_flips
from assay.attacks.poisoning.planted import Plant
from assay.attacks.poisoning.text import text_trigger
from assay.attacks.poisoning.trigger import trigger, trigger_copies


class Attack(msgspec.Struct, frozen=True):
    """An attack: what it does in a line, how it is planted, and what its success is called."""

    summary: str
    plant: Plant
    success: str


ATTACKS: dict[str, Attack] = {
    "flips": Attack("labels of any rows become the other class's", flips, "rows kept out that are called wrongly"),
    "targeted-flips": Attack(
        "labels of one class become the other's", targeted_flips, "rows of that class that are called the other"
    ),
    "trigger": Attack(
        "three features get values that occur, the label becomes the one wanted", trigger,
        "rows with the trigger that are called what is wanted",
    ),
    "trigger-copies": Attack(
        "rows with such values are added, each twice with its other numbers moved a little", trigger_copies,
        "rows with the trigger that are called what is wanted",
    ),
    "clean-label": Attack(
        "three features get values that occur, in rows that have the wanted label already", clean_label,
        "rows with the trigger that are called what is wanted",
    ),
    "feature-collision": Attack(
        "rows of the wanted label take three quarters of one row's features", feature_collision,
        "whether that row is called what is wanted",
    ),
    "injection": Attack(
        "rows are added, put together from values of unrelated rows", injection, "rows kept out that are called wrongly"
    ),
    "outliers": Attack(
        "rows are added with one number far outside its column and the wrong label", outliers,
        "rows kept out that are called wrongly",
    ),
    "flooding": Attack(
        "near-copies of one row are added with the label that is wanted", flooding,
        "near-copies of that row that are called what is wanted",
    ),
    "text-trigger": Attack(
        "a phrase is put into texts, the label becomes the one wanted", text_trigger,
        "texts with the phrase that are called what is wanted",
    ),
}  # fmt: skip
