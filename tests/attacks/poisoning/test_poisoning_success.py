"""The sanity test of every attack: enough of it works, none of it does not, and more works no worse."""

from __future__ import annotations

import numpy as np
import pyarrow.compute as pc
import pytest
from poisoning_tables import clean

from assay.attacks.poisoning.registry import ATTACKS
from assay.attacks.poisoning.victim import Trial, Words
from assay.core.errors import CouldNotLook

AIMED = ("trigger", "trigger-copies", "clean-label", "feature-collision", "flooding", "text-trigger", "targeted-flips")


@pytest.fixture(scope="module")
def trial() -> Trial:
    return Trial(clean(1, 1200, texts=True), 0)


@pytest.mark.parametrize("name", AIMED)
def test_enough_poison_reaches_what_is_wanted_and_a_clean_model_does_not(trial: Trial, name: str) -> None:
    rates = (0.01, 0.15, 0.43) if name == "targeted-flips" else (0.002, 0.02, 0.15)
    effects = [trial.effect(ATTACKS[name].plant, rate, 3) for rate in rates]
    assert effects[-1].poisoned >= 0.9, effects
    assert effects[-1].clean <= 0.25, effects
    assert effects[0].poisoned <= effects[1].poisoned + 0.1, effects
    assert effects[1].poisoned <= effects[2].poisoned + 0.1, effects


@pytest.mark.parametrize("name", ["flips", "injection"])
def test_enough_poison_spoils_the_model(trial: Trial, name: str) -> None:
    few, many = (trial.effect(ATTACKS[name].plant, rate, 3) for rate in (0.01, 0.5))
    assert many.poisoned > few.poisoned - 0.02
    assert many.poisoned > many.clean + 0.02, many


def test_outliers_drag_the_means_of_columns() -> None:
    source = clean(1, 1200)
    before, few, many = (
        pc.mean(t["c"]).as_py()
        for t in (source.table, *(ATTACKS["outliers"].plant(source, r, 3).table for r in (0.01, 0.2)))
    )
    assert before < few < many
    assert many > 1.2 * before


def test_what_the_trigger_says_of_its_success_is_so() -> None:
    source = clean(2, 1200)
    planted = ATTACKS["trigger"].plant(source, 0.03, 0)
    assert planted.success is not None
    assert planted.success >= 0.9
    assert planted.clean_success is not None
    assert planted.clean_success <= 0.2


def test_without_poison_both_models_say_the_same(trial: Trial) -> None:
    from msgspec.structs import replace

    planted = ATTACKS["trigger"].plant(trial.fit, 0.05, 1)
    effect = trial.effect_of(replace(planted, table=trial.fit.table))
    assert effect.clean == effect.poisoned


def test_words_are_learned_and_unseen_ones_are_not() -> None:
    rng = np.random.default_rng(0)
    truth = rng.random(300) < 0.5
    texts = [f"{rng.integers(1000)} {'yes' if t else 'no'} {rng.integers(1000)}" for t in truth]
    model = Words(texts, truth)
    said = model.scores(["5 yes 7", "5 no 7", None])
    assert said[0] > 0.9
    assert said[1] < 0.1
    assert 0.2 < said[2] < 0.8


def test_few_rows_are_not_measured() -> None:
    with pytest.raises(CouldNotLook, match="too few"):
        Trial(clean(0, 60), 0)
