"""Hardening against membership and theft, and abstention: what is told, what leaks, and what is copied."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

np = pytest.importorskip("numpy", reason="the ml extra is not installed")
pa = pytest.importorskip("pyarrow", reason="the ml extra is not installed")
pytest.importorskip("onnx", reason="the ml extra is not installed")
pytest.importorskip("lightgbm", reason="the ml extra is not installed")

import msgspec  # noqa: E402
from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from assay.adapters.networks.network import Inputs, Layer, Network  # noqa: E402
from assay.adapters.networks.onnx_network import reader  # noqa: E402
from assay.adapters.onnx_predictor import OnnxPredictor  # noqa: E402
from assay.adapters.predictor_base import BasePredictor  # noqa: E402
from assay.attacks.extraction.schema import Schema  # noqa: E402
from assay.attacks.membership.game import Game  # noqa: E402
from assay.attacks.membership.roc import area  # noqa: E402
from assay.core.errors import CouldNotLook, UsageError  # noqa: E402
from assay.core.subject import Kind, Subject  # noqa: E402
from assay.harden.hardening import adversarial, copying, leaking, options, outputs, regular  # noqa: E402
from assay.harden.hardening.chosen import judged, referred  # noqa: E402
from assay.harden.hardening.compared import Candidate, Part, Terms  # noqa: E402
from assay.harden.hardening.graph import DECIDED, network_to_onnx, with_facts  # noqa: E402
from assay.harden.hardening.result import Gain, Measured, Rate  # noqa: E402
from assay.harden.hardening.workshop import Made  # noqa: E402

NAMES = ("a", "b", "c")


def table(n: int = 200, seed: int = 0) -> Any:
    x = np.random.default_rng(seed).normal(size=(n, 3))
    return pa.table(dict(zip(NAMES, x.T, strict=True)))


def network(seed: int = 0, depth: int = 2) -> Network:
    rng = np.random.default_rng(seed)
    widths = [3, 5, 4][:depth]
    layers = [
        Layer(rng.normal(size=(a, b)), rng.normal(size=b), "tanh" if b > 1 else "identity")
        for a, b in zip(widths, [*widths[1:], 1], strict=True)
    ]
    inputs = Inputs(np.arange(3), np.full(3, np.nan), np.full(3, np.nan))
    return Network(NAMES, reader(NAMES, {}), inputs, tuple(layers), link="logistic")


def opened(content: bytes, **told: Any) -> OnnxPredictor:
    return OnnxPredictor(content, Subject(name="m", kind=Kind.MODEL, uri="m", options=told))


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_the_largest_of_three_networks_is_written_with_their_mean_beside_it(depth: int) -> None:
    nets, rows = [network(seed, depth) for seed in range(3)], table()
    codes = nets[0].read(rows)
    each = np.array([n.margins(codes) for n in nets])
    whole, mean = adversarial.largest(nets), adversarial.together(nets)
    assert whole.margins(codes) == pytest.approx(each.max(axis=0))
    assert mean.margins(codes) == pytest.approx(each.mean(axis=0))
    content = network_to_onnx(whole, (0, 1), 1, mean)
    with opened(content) as model:
        assert model.scores(rows) == pytest.approx(1 / (1 + np.exp(-each.max(axis=0))), abs=1e-9)
        again = model.network(rows)
        assert again.margins(again.read(rows)) == pytest.approx(each.max(axis=0))
    import onnxruntime

    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    told = session.run([DECIDED], {session.get_inputs()[0].name: codes})[0]
    assert told[:, 0] == pytest.approx(1 / (1 + np.exp(-each.mean(axis=0))), abs=1e-9)


def test_only_three_networks_have_a_largest() -> None:
    with pytest.raises(ValueError, match="three"):
        adversarial.largest([network(0), network(1)])


def test_what_is_referred_is_flagged_by_the_largest_and_not_by_the_mean() -> None:
    nets, rows = [network(seed) for seed in range(3)], table(400)
    models = [opened(network_to_onnx(n, (0, 1), 1)) for n in (adversarial.largest(nets), adversarial.together(nets))]
    models[0].threshold = 0.5
    target = np.arange(400) < 100
    told = referred(Made(models[0], None, "onnx", models[1]), rows, target, np.arange(400))
    left = (models[0].scores(rows) >= 0.5) & (models[1].scores(rows) < 0.5)
    assert left.any()
    assert told["referred"].value == pytest.approx(left[:100].mean())
    assert told["referred_negative"].value == pytest.approx(left[100:].mean())
    assert referred(Made(models[0], None, "onnx"), rows, target, np.arange(400)) == {}


def test_labels_are_drawn_in_and_weights_decay_as_they_are_told() -> None:
    rng = np.random.default_rng(0)
    x, target = rng.normal(size=(300, 3)), rng.random(300) < 0.5
    plain, smooth, decayed = (
        adversarial.trained(network(), adversarial.Lesson(x, target, np.ones(300), pace=pace), "plain", seed=1).forward(
            x
        )
        for pace in (
            adversarial.Pace(0.0, 0.1),
            adversarial.Pace(0.0, 0.1, 0.2),
            adversarial.Pace(0.5, 0.1),
        )
    )
    assert np.abs(smooth).mean() < np.abs(plain).mean()
    assert np.abs(decayed).mean() < np.abs(plain).mean() / 2


class Fixed(BasePredictor):
    """Scores that are a column."""

    features = ("a",)

    def __init__(self) -> None:
        super().__init__("fixed")

    def _score(self, rows: Any) -> Any:
        return rows.column("a").to_numpy()


def test_a_model_tells_rounded_scores_or_decisions_and_is_graded_by_what_it_knows() -> None:
    rows = pa.table({"a": [0.004, 0.126, 0.494, 0.496, 1.0]})
    two, label = outputs.Shown(Fixed(), outputs.TWO), outputs.Shown(Fixed(), outputs.LABEL)
    assert two.scores(rows).tolist() == [0.0, 0.13, 0.49, 0.5, 1.0]
    outputs.set_limit(label, 0.495)
    assert label.scores(rows).tolist() == label.flagged(rows).tolist() == [0, 0, 0, 1, 1]
    assert (outputs.limit_of(label), label.threshold, label.access) == (0.495, 0.5, "label")
    assert outputs.graded(label, rows).tolist() == rows.column("a").to_pylist()
    assert outputs.graded(two, rows).tolist() == two.scores(rows).tolist()
    with pytest.raises(CouldNotLook, match="no probabilities"):
        two.scores(pa.table({"a": [1.5]}))


@pytest.mark.parametrize("output", [outputs.TWO, outputs.ONE, outputs.LABEL], ids=lambda o: o.name)
@pytest.mark.parametrize("positive", [0, 1])
def test_the_graph_tells_what_the_predictor_tells(output: Any, positive: int) -> None:
    rows = table(500)
    content = with_facts(network_to_onnx(network(), ("no", "yes"), positive), {"threshold": 0.3})
    model = opened(content)
    shown = outputs.Shown(model, output)
    outputs.set_limit(shown, 0.305)
    made = outputs.shown_graph(content, shown, positive, rows)
    with opened(made) as again:
        assert again.scores(rows) == pytest.approx(shown.scores(rows), abs=1e-9)
        assert (again.flagged(rows) == shown.flagged(rows)).all()
        assert again.threshold == shown.threshold
        told = np.unique(np.round(again.scores(rows), 9))
    most = 2 if output.label else 10**output.decimals + 1
    assert len(told) <= most
    import onnxruntime

    session = onnxruntime.InferenceSession(made, providers=["CPUExecutionProvider"])
    both = session.run(["probabilities"], {session.get_inputs()[0].name: network().read(rows)})[0]
    assert both.shape == (500, 2)
    assert both.sum(axis=1) == pytest.approx(np.ones(500))


@pytest.mark.parametrize("output", [outputs.TWO, outputs.LABEL], ids=lambda o: o.name)
@pytest.mark.parametrize(("zipped", "words"), [(True, True), (True, False), (False, False), (False, True)])
def test_graphs_of_scikit_learn_are_changed_before_their_maps(zipped: bool, words: bool, output: Any) -> None:
    convert = pytest.importorskip("skl2onnx", reason="skl2onnx is not installed")
    import onnxruntime
    from sklearn.linear_model import LogisticRegression

    rows = table(300)
    x = np.column_stack([rows.column(n).to_numpy() for n in NAMES])
    fitted = LogisticRegression().fit(x, np.where(x[:, 0] > 0, "yes", "no") if words else (x[:, 0] > 0).astype(int))
    content = convert.to_onnx(fitted, x[:1].astype(np.float32), options={"zipmap": zipped}).SerializeToString()
    hit = "yes" if words and zipped else 1
    model = opened(content, inputs=list(NAMES), positive=hit)
    model.scores(rows.slice(0, 1))
    shown = outputs.Shown(model, output)
    outputs.set_limit(shown, 0.305)
    if words and not zipped:  # a plain tensor of scores does not say what its classes are called
        with pytest.raises(CouldNotLook, match="not known by name"):
            outputs.shown_graph(content, shown, 1, rows)
        return
    made = outputs.shown_graph(content, shown, 1, rows)
    with opened(made, inputs=list(NAMES), positive=hit) as again:
        assert again.scores(rows) == pytest.approx(shown.scores(rows), abs=1e-6)
    session = onnxruntime.InferenceSession(made, providers=["CPUExecutionProvider"])
    labels = session.run([session.get_outputs()[0].name], {session.get_inputs()[0].name: x.astype(np.float32)})[0]
    assert ((np.asarray(labels) == hit) == shown.flagged(rows)).all(), "the class beside the score is the same decision"


def test_a_graph_whose_score_leaves_by_another_door_is_not_said_to_hide_it() -> None:
    net = network()
    content = network_to_onnx(adversarial.largest([net] * 3), (0, 1), 1, adversarial.together([net] * 3))
    with pytest.raises(CouldNotLook, match="several outputs"):
        outputs.shown_graph(content, outputs.Shown(opened(content), outputs.TWO), 1, table())
    import onnx

    old = onnx.ModelProto.FromString(network_to_onnx(net, (0, 1), 1))
    old.opset_import[0].version = 8
    with pytest.raises(CouldNotLook, match="version 8"):
        outputs.shown_graph(old.SerializeToString(), outputs.Shown(opened(content), outputs.TWO), 1, table())


def game(n: int, shift: float, seed: int = 0) -> Game:
    """Half members, of which the target is surer by `shift`."""
    rng = np.random.default_rng(seed)
    member, base = np.arange(n) < n // 2, rng.uniform(0.2, 0.8, n)
    seen = np.zeros((2, n), dtype=bool)
    seen[0, : n // 4] = seen[1, n // 4 : n // 2] = True
    return Game(np.clip(base + shift * member, 0, 1), np.stack([base, base]), member, np.arange(n), seen, ~seen)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), shift=st.floats(0, 2))
def test_the_gain_is_the_difference_of_the_areas(seed: int, shift: float) -> None:
    rng = np.random.default_rng(seed)
    member = np.arange(240) < 100
    one, two = rng.normal(size=240) + shift * member, rng.normal(size=240)
    told = leaking.less((leaking.Leak({"x": one}, member), "x"), (leaking.Leak({"y": two}, member), "y"))
    assert told.value == pytest.approx(area(one, member).value - area(two, member).value)
    assert told.low <= told.value <= told.high


def test_equal_candidates_seldom_seem_to_leak_less() -> None:
    """Scores of two models that share most of what a row is; 300 draws, nominal 2.5% on either side."""
    ahead = behind = 0
    for seed in range(300):
        rng = np.random.default_rng(seed)
        member, base = np.arange(600) < 300, rng.normal(size=600)
        scores = [base + 0.8 * member + 0.5 * rng.normal(size=600) for _ in range(2)]
        told = leaking.less(*((leaking.Leak({"x": s}, member), "x") for s in scores))
        ahead, behind = ahead + (told.low > 0), behind + (told.high < 0)
    assert max(ahead, behind) <= 15, (ahead, behind)


def _looked(name: str, attacked: tuple[float, float], tail: tuple[float, float], limit: float = 0.4) -> Any:
    """A row of the original (or another at `limit`), what the option `o` gains over it, and what is found of it."""
    shown = Rate(0.8, 0.7, 0.9, 99)
    role: Any = {"original": "original", "o": "option"}.get(name, "control")
    told = Measured(
        name=name, role=role, said=f"{name} said", threshold=limit, clean=shown, alarms=Rate(0.01, 0, 0.02, 99),
        leak=shown, tail=Rate(sum(tail) / 2, *tail, 99),
    )  # fmt: skip
    clean = Rate(0.0, -0.001, 0.001 if limit == 0.4 else 0.002, 99)
    return told, Gain(over=name, attacked=Rate(sum(attacked) / 2, *attacked, 99), clean=clean)


def _said(*others: Any, tail: tuple[float, float] = (0.02, 0.04)) -> Any:
    option, _ = _looked("o", (0, 0), tail, 0.7)
    last, gains = [option, *(m for m, _ in others)], tuple(g for _, g in others)
    verdict, reasons = judged("o", last, gains, Terms(), leaking.WORDS)
    verdict, reasons = leaking._tails(verdict, reasons, "o", last, gains)
    return verdict, " | ".join(reasons)


SAME = (0.01, 0.05)


def test_one_model_is_not_both_surely_better_and_not() -> None:
    """The original attacked again is the original: where the looks at it disagree, neither side is called sure."""
    first, trained = _looked("original", (0.01, 0.05), SAME), _looked("retrained", (-0.09, -0.01), SAME, 0.5)
    verdict, said = _said(first, _looked("attacked-again", (-0.08, -0.02), SAME), trained)
    assert verdict == "nothing helps"
    assert "attacked-again does surely better" not in said
    assert "of one model, the original, it gains original (+0.010 to +0.050), attacked-again (-0.080 to -0.020)" in said
    assert "no interval holds, decides, so that neither is sure" in said
    assert "retrained does surely better than o with these references, and is no more than a control" in said
    _, said = _said(_looked("original", (-0.05, -0.01), SAME), _looked("attacked-again", (-0.08, -0.02), SAME))
    assert (
        "the original does surely better than o with these references, at every look: original, attacked-again" in said
    )
    assert "neither is sure" not in said


def test_what_helps_beats_every_look_at_the_original_and_says_no_more() -> None:
    first, again = _looked("original", (0.1, 0.2), SAME), _looked("attacked-again", (0.05, 0.2), SAME)
    verdict, said = _said(first, again)
    assert verdict == "helps"
    assert "leaks less than the original and the one control there is, attacked-again (attacked-again said)" in said
    assert "measured by the area of the attack with these references" in said
    assert "1% false positives" not in said
    other = _looked("noise", (0.05, 0.2), SAME, 0.5)
    assert "than the original and every control, measured" in _said(first, again, other)[1]
    blind = msgspec.structs.replace(other[0], why="it failed"), other[1]
    assert (
        "the original and every control that could be measured"
        in _said(first, again, _looked("x", (0.1, 0.2), SAME), blind)[1]
    )
    # However much clean recall the option keeps more, the original over again is no control that one may lose to.
    dear = [(m, msgspec.structs.replace(g, clean=Rate(0.1, 0.05, 0.2, 99))) for m, g in (first, again)]
    dear[1] = dear[1][0], msgspec.structs.replace(dear[1][1], attacked=Rate(0.02, -0.01, 0.2, 99))
    assert _said(*dear)[0] == "nothing helps"


def test_what_becomes_of_the_share_found_at_few_false_positives_is_told() -> None:
    ways = ((0.1, 0.2), (0.15, 0.25))
    both = [_looked(n, w, SAME) for n, w in zip(("original", "attacked-again"), ways, strict=True)]
    verdict, said = _said(*both, tail=(0.06, 0.1))
    assert verdict == "nothing helps"
    assert "o lowers the area, but at 1% false positives 8.0% (6.0% to 10.0%) of its members are found" in said
    assert "3.0% (1.0% to 5.0%) of original's" in said
    assert "surely more than of original and attacked-again with these references" in said
    verdict, said = _said(*both, tail=(0.0, 0.005))
    assert verdict == "helps"
    assert "surely fewer than of original and attacked-again" in said
    lost = [_looked(n, (-0.1, 0.1), SAME) for n in ("original", "attacked-again")]
    verdict, said = _said(*lost, tail=(0.06, 0.1))
    assert (verdict, "surely more than of original" in said) == ("nothing helps", True)
    apart = [_looked("original", ways[0], SAME), _looked("attacked-again", ways[1], (0.05, 0.09))]
    verdict, said = _said(*apart, tail=(0.06, 0.1))
    assert verdict == "nothing helps", "at one look more members are found"
    assert said.endswith("'s: more than of original with these references only, so that it is not sure")


def test_the_share_of_members_found_rests_on_members_alone() -> None:
    rng, member = np.random.default_rng(0), np.arange(1500) < 300
    rows = pa.table({"a": rng.random(80)})
    part = Part(rows, np.arange(80), np.arange(80) < 30, np.arange(80))
    one = Candidate("original", "original", "as it is", Made(Fixed(), None, "fixed"), np.full(9, 0.5))
    duel: Any = leaking.Duel(None, None, part, None, None, 0)  # type: ignore[arg-type]
    told = leaking._measured(one, leaking.Leak({"x": rng.normal(size=1500) + member}, member), duel, "x")
    assert told.tail is not None
    assert told.leak is not None
    assert (told.tail.n, told.leak.n) == (300, 1500)


def test_who_tells_decisions_only_is_attacked_by_decisions_only() -> None:
    n = 400
    one = game(n, 0.3)
    rng = np.random.default_rng(1)
    positive = rng.random(n) < 0.5
    own, refs = rng.random((9, n)), rng.random((2, 9, n))
    told = leaking.Told(one, positive, own, refs, np.array([0.5, 0.5, 0.5]))
    label = leaking.attacks_on(told, outputs.LABEL)
    assert set(label) == {"rmia", "loss", "near"}
    assert set(np.unique(label["loss"])) <= {0.0, 1.0}
    assert (label["loss"] == ((own[0] >= 0.5) == positive)).all()
    same = leaking.attacks_on(told._replace(own=(own >= 0.5) * 1.0, refs=(refs >= 0.5) * 1.0), outputs.LABEL)
    assert all((label[k] == same[k]).all() for k in label), "it read more than decisions"
    whole, coarse = leaking.attacks_on(told, outputs.WHOLE), leaking.attacks_on(told, outputs.ONE)
    assert set(coarse) - set(whole) == {"rmia-whole"}
    assert len(np.unique(coarse["loss"])) <= 11
    assert area(whole["rmia"], one.member).value > 0.9


def test_moved_rows_keep_types_levels_and_whole_numbers() -> None:
    rng = np.random.default_rng(0)
    rows = pa.table({"x": rng.normal(size=80), "k": rng.integers(0, 50, 80), "w": pa.array(rng.choice(["u", "v"], 80))})
    schema = Schema(rows, ("x", "k", "w"), {"x": "number", "k": "integer", "w": "category"})
    moved = regular.moved(schema, rows, 0.5, 0.5, rng)
    assert moved.schema.types == rows.schema.types
    assert set(moved.column("w").to_pylist()) <= {"u", "v"}
    assert (moved.column("x").to_numpy() != rows.column("x").to_numpy()).all()
    assert (regular.moved(schema, rows, 0.0, 0.0, rng)).equals(rows.cast(moved.schema))


def _copies(flagged: Any, luck: list[float], rng: Any) -> list[Any]:
    return [flagged ^ (rng.random(len(flagged)) < share) for share in luck]


def test_a_copy_that_agrees_less_is_told_and_equal_ones_seldom_are() -> None:
    ahead = behind = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        flagged = rng.random(500) < 0.2
        sides = [(flagged, _copies(flagged, [0.05 + 0.02 * rng.random() for _ in range(5)], rng)) for _ in range(2)]
        told = copying.less(sides[0], sides[1], np.arange(500), seed)
        ahead, behind = ahead + (told.low > 0), behind + (told.high < 0)
    assert max(ahead, behind) <= 6, (ahead, behind)
    rng = np.random.default_rng(0)
    worse = flagged, _copies(flagged, [0.3] * 5, rng)
    told = copying.less((flagged, _copies(flagged, [0.05] * 5, rng)), worse, np.arange(500), 0)
    assert told.low > 0.2


def test_repeated_rows_are_no_more_rows() -> None:
    rng = np.random.default_rng(0)
    flagged = rng.random(200) < 0.3
    sides = [(flagged, _copies(flagged, [share] * 3, rng)) for share in (0.1, 0.2)]
    alone = copying.less(*sides, np.arange(200), 0)
    repeated = [(np.repeat(f, 4), [np.repeat(c, 4) for c in each]) for f, each in sides]
    copied = copying.less(*repeated, np.repeat(np.arange(200), 4), 0)
    assert (copied.value, copied.n) == (pytest.approx(alone.value), alone.n)
    assert copied.high - copied.low == pytest.approx(alone.high - alone.low, rel=0.05)


def test_every_option_has_controls_and_names_do_not_repeat() -> None:
    names = [w.name for w in regular.LEAK_WAYS]
    assert len(set(names)) == len(names)
    controls = {w.name for w in regular.LEAK_WAYS if w.role == "control"}
    assert controls == {"attacked-again", "retrained", "oversampled", "noise"}
    assert all(w.of == "any" for w in regular.LEAK_WAYS if w.output != outputs.WHOLE), (
        "outputs leave the model as it is"
    )


@pytest.mark.parametrize("asked", [options.ways, regular.leak_ways], ids=["evasion", "membership"])
def test_options_that_do_not_fit_are_refused_alike_by_every_attack(asked: Any) -> None:
    model = SimpleNamespace(access="label")
    network = SimpleNamespace(subject=SimpleNamespace(uri="m"), model=model, trees=False, own=None, network=None)
    with pytest.raises(UsageError, match=r"large-leaves, nothing does not fit m.*these fit it: "):
        asked(network, ("large-leaves", "nothing"))
    with pytest.raises(CouldNotLook, match="m: no option fits it"):
        options.fitted(network, (), (), lambda shop, only: [])
    assert any(way.role == "control" for way in asked(network, ()))


def test_a_recipe_takes_the_first_change_that_its_library_knows(tmp_path: Path) -> None:
    seen: list[Any] = []

    class Picky(regular.Recipe):
        def train(self, rows: Any, places: Any, *, changes: Any = None, seed: int = 0) -> Any:
            seen.append(changes)
            if "known" not in changes:
                raise CouldNotLook("no such parameter")
            return Fixed()

    made = regular.Course(Picky(), ({"odd": 1}, {"known": 2}, {"known": 3}))
    assert isinstance(made.train(table(), np.zeros(200)), Fixed)
    assert seen == [{"odd": 1}, {"known": 2}]
    with pytest.raises(CouldNotLook, match="no such parameter"):
        regular.Course(Picky(), ({"odd": 1},)).train(table(), np.zeros(200))
