"""Models behind an address: both protocols and their forms, patience with refusals, and one clear line for the rest."""

from __future__ import annotations

import email.utils
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

np = pytest.importorskip("numpy")
pa = pytest.importorskip("pyarrow")
pytest.importorskip("duckdb")

from served_models import body, reset, silence, status  # noqa: E402

from assay.adapters.endpoint.answers import as_hits  # noqa: E402
from assay.adapters.endpoint.predictor import EndpointPredictor  # noqa: E402
from assay.adapters.predictors import open_predictor  # noqa: E402
from assay.adapters.remote.wire import Timing  # noqa: E402
from assay.attacks import sanity  # noqa: E402
from assay.core.errors import CouldNotLook  # noqa: E402
from assay.core.subject import Kind, Subject  # noqa: E402

NAMES = ("amount", "hour", "shop")
ROWS = 60
Serve = Callable[..., Any]


def rule(columns: dict[str, Any]) -> Any:
    numbers = [np.asarray(columns[n], dtype=float) for n in NAMES]
    return 1 / (1 + np.exp(-(0.7 * numbers[0] - 0.3 * numbers[1] + 0.1 * numbers[2])))


def rows(n: int = ROWS, seed: int = 0) -> Any:
    rng = np.random.default_rng(seed)
    return pa.table({name: rng.normal(size=n) for name in NAMES})


def expected(table: Any) -> Any:
    return rule({n: table.column(n).to_numpy() for n in NAMES})


class Waits:
    """A clock that only waiting moves."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    def timing(self, **more: Any) -> Timing:
        return Timing(**{"connect": 2.0, "read": 2.0, "base": 4.0, **more}, pause=self.slept.append)


@pytest.fixture
def data(dataset: Callable[..., Any]) -> Any:
    table = rows()
    lines = [",".join(NAMES), *(",".join(map(str, r)) for r in zip(*table.to_pydict().values(), strict=True))]
    return dataset("\n".join(lines))


def opened(uri: str, data: Any, *, answers: Path | None = None, waits: Waits | None = None, **options: Any) -> Any:
    subject = Subject(name="m", kind=Kind.MODEL, uri=uri, options=options)
    timing = (waits or Waits()).timing()
    return EndpointPredictor(subject, data, answers=answers, timing=timing)


@pytest.mark.parametrize("types", ["FP32", "FP64"])
@pytest.mark.parametrize("form", ["", "nested", "single", "bare"])
def test_one_tensor_of_all_columns(serve: Serve, data: Any, types: str, form: str) -> None:
    site = serve(NAMES, rule, types=types)
    site.switches = {form}
    with opened(site.oip, data) as model:
        assert (model.features, model.access) == (NAMES, "score")
        assert model.scores(rows()) == pytest.approx(expected(rows()), rel=1e-6)
        assert model.queries == site.rows == ROWS + 32, "the rows that taught the form are counted"
        assert any("declared" in note for note in model.notes)


def test_one_tensor_for_each_column_with_words_and_whole_numbers(serve: Serve, dataset: Any) -> None:
    data = dataset("\n".join(["shop,hour", *(f"{'abc'[i % 3]},{i}" for i in range(20))]))
    site = serve(("hour", "shop"), lambda c: np.where(c["shop"] == "a", 0.9, 0.2), named=True, types="BYTES")
    with opened(site.oip, data) as model:
        table = pa.table({"shop": ["a", "b", "é"], "hour": [1, 2, 3]})
        assert model.features == ("hour", "shop")
        assert model.scores(table) == pytest.approx([0.9, 0.2, 0.2])
    assert ("3", "é") in site.asked


@pytest.mark.parametrize("shown", ["", "pairs", "records", "named", "columns"])
def test_the_forms_of_mlflow(serve: Serve, data: Any, shown: str) -> None:
    site = serve(NAMES, rule)
    site.shown = shown
    options = {"output": "fraud_score"} if shown == "named" else {}
    with opened(site.mlflow, data, **options) as model:
        assert model.access == "score"
        assert model.scores(rows()) == pytest.approx(expected(rows()), rel=1e-9)


@pytest.mark.parametrize("shown", ["words", "ints"])
def test_labels_only_are_labels_and_score_attacks_are_refused(serve: Serve, data: Any, shown: str) -> None:
    site = serve(NAMES, rule)
    site.shown = shown
    with opened(site.mlflow, data, positive="fraud" if shown == "words" else 1) as model:
        assert model.access == "label"
        assert np.array_equal(model.flagged(rows()), expected(rows()) >= 0.5)
        with pytest.raises(CouldNotLook, match="labels only"):
            sanity.refuse_access(model, "score")


def test_numbers_that_looked_like_labels_are_not_taken_for_them(serve: Serve, data: Any) -> None:
    site = serve(NAMES, lambda c: np.ones(len(c["amount"])))
    with opened(site.mlflow, data) as model:
        assert model.access == "label"
        site.scores = rule
        with pytest.raises(CouldNotLook, match="whole numbers at first"):
            model.scores(rows())


def test_labels_of_the_open_inference_protocol(serve: Serve, data: Any) -> None:
    site = serve(NAMES, rule)
    site.switches = {"labels"}
    with opened(site.oip, data) as model:
        assert model.access == "label"
        assert np.array_equal(model.flagged(rows()), expected(rows()) >= 0.5)


def test_missing_values_are_null_for_mlflow_and_refused_where_no_tensor_holds_them(serve: Serve, data: Any) -> None:
    site = serve(NAMES, lambda c: np.where(c["hour"] == None, 0.9, 0.1))  # noqa: E711 - of an array
    table = pa.table({"amount": [1.0, 2.0], "hour": [None, 3.0], "shop": [1.0, 2.0]})
    with opened(site.mlflow, data) as model:
        assert model.scores(table) == pytest.approx([0.9, 0.1])
    with opened(site.oip, data) as model, pytest.raises(CouldNotLook, match=r"'hour' has rows without a finite value"):
        model.scores(table)


def test_batches_are_as_large_as_declared_and_the_pace_is_kept(serve: Serve, data: Any, tmp_path: Path) -> None:
    site, waits = serve(NAMES, rule), Waits()
    with opened(site.oip, data, answers=tmp_path, waits=waits, batch=10, rate=2) as model:
        asked = site.requests
        model.scores(rows())
        assert site.requests - asked == 6
    # Nothing passes while waiting here, so that each turn lies half a second further off than the last.
    assert waits.slept == pytest.approx([0.5 * turn for turn in range(1, 8)], abs=0.3)


def test_what_is_asked_again_at_the_end_is_counted_too(serve: Serve, data: Any, tmp_path: Path) -> None:
    site = serve(NAMES, rule)
    with opened(site.oip, data, answers=tmp_path) as model:
        model.scores(rows())
        told = int(model.notes[1].split(" rows were sent in ")[0])
        before = site.requests
        model.settle()
        again = site.requests - before
        assert again
        assert model.notes[1].startswith(f"{told + again} rows were sent in "), "every one of them alone"


@pytest.mark.parametrize(
    "fault", [status(429, Retry_After="3"), status(503, Retry_After="3"), status(503)], ids=["429", "503", "no header"]
)
def test_refusals_are_waited_out_as_the_server_says(serve: Serve, data: Any, fault: Any) -> None:
    site, waits = serve(NAMES, rule), Waits()
    with opened(site.oip, data, waits=waits) as model:
        site.faults = [fault, fault]
        before = model.queries
        assert model.scores(rows()) == pytest.approx(expected(rows()), rel=1e-6)
        assert model.queries - before == 3 * ROWS, "rows that were sent again are counted again"
        assert any("again" in note for note in model.notes)
    assert len(waits.slept) == 2
    assert waits.slept == [3, 3] or 0.2 < waits.slept[0] < waits.slept[1] < 2


def test_retry_after_may_be_a_date(serve: Serve, data: Any) -> None:
    site, waits = serve(NAMES, rule), Waits()
    with opened(site.oip, data, waits=waits) as model:
        site.faults = [status(429, Retry_After=email.utils.formatdate(time.time() + 100, usegmt=True))]
        model.scores(rows())
    assert 80 < waits.slept[0] <= 100


def test_waiting_ends(serve: Serve, data: Any, tmp_path: Path) -> None:
    site, waits = serve(NAMES, rule), Waits()
    with opened(site.oip, data, waits=waits, answers=tmp_path, batch=20, wait=50) as model:
        site.faults = [lambda _: False, status(429, Retry_After="40"), status(429, Retry_After="40")]
        with pytest.raises(
            CouldNotLook, match=r"/v2/models/fraud: asks to wait .*50 s.*run again: 20 answers are kept"
        ):
            model.scores(rows())
    assert waits.slept == [40], "what is above the bound is not begun"


@pytest.mark.parametrize(
    "fault",
    [reset, silence(0.3), body(b'{"outputs":[', Content_Length="90")],
    ids=["reset", "time-out", "cut off"],
)
def test_broken_lines_are_asked_again_and_not_for_ever(serve: Serve, data: Any, fault: Any) -> None:
    site = serve(NAMES, rule)
    subject = Subject(name="m", kind=Kind.MODEL, uri=site.oip)
    slept: list[float] = []
    timing = Timing(connect=2.0, read=0.2, base=0.2, pause=slept.append)
    with EndpointPredictor(subject, data, timing=timing) as model:
        site.faults = [fault]
        assert model.scores(rows()) == pytest.approx(expected(rows()), rel=1e-6)
        assert len(slept) == 1
        site.faults = [fault] * 9
        with pytest.raises(CouldNotLook, match=r"\(5 times\); run again"):
            model.scores(rows())


HUGE = b'{"predictions": [' + b"1," * (4 << 20) + b"1]}"
DEEP = b'{"predictions": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (status(302, Location="http://169.254.169.254/"), "redirects elsewhere"),
        (status(307, Location="/v2/models/other/infer"), "redirects elsewhere"),
        (status(401), "asks for a login; name a variable"),
        (status(404), "is not there"),
        (status(400), "does not take these rows"),
        (status(413), "lower `batch:`"),
        (status(500), "status 500"),
        (body(HUGE), "is longer than"),
        (body(DEEP), "proper JSON"),
        (body(b'{"outputs": [{'), "proper JSON"),
        (body(b'{"predictions": [1], "predictions": [2]}'), "proper JSON"),
        (body(b'{"predictions": [NaN], "outputs": []}'), "NaN"),
        (body(b"[1, 2]"), "proper JSON"),
        (body(b"{}"), "no outputs|no list of predictions"),
        (body(b'{"predictions": 4711, "outputs": 4711}'), "no outputs|no list of predictions"),
        (body(b'{"predictions": [[1],[2,3]], "outputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 2]}]}'),
         "for 60 rows"),
        (body(b"\x1f\x8b", Content_Encoding="gzip"), "compressed"),
    ],
    ids=["elsewhere", "redirect", "login", "absent", "rows", "size", "broken", "huge", "deep", "torn", "twice", "nan",
         "list", "empty", "number", "shape", "gzip"],
)  # fmt: skip
@pytest.mark.parametrize("protocol", ["oip", "mlflow"])
def test_what_no_model_should_answer_is_one_line(serve: Serve, data: Any, fault: Any, said: str, protocol: str) -> None:
    site = serve(NAMES, rule)
    with opened(getattr(site, protocol), data) as model:
        site.faults = [fault]
        with pytest.raises(CouldNotLook, match=said) as told:
            model.scores(rows())
    assert site.root in str(told.value)
    assert "4711" not in str(told.value)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("protocol", ["oip", "mlflow"])
@pytest.mark.parametrize(("switch", "said"), [("short", "60 rows"), ("null", "no number")])
def test_wrong_counts_and_empty_answers(serve: Serve, data: Any, protocol: str, switch: str, said: str) -> None:
    site = serve(NAMES, rule)
    with opened(getattr(site, protocol), data) as model:
        site.switches = {switch}
        if switch == "null" and protocol == "oip":
            site.switches |= {"single"}
        with pytest.raises(CouldNotLook, match=said):
            model.scores(rows())


@pytest.mark.parametrize("single", [True, False])
@pytest.mark.parametrize("protocol", ["oip", "mlflow"])
def test_numbers_in_quotes_are_no_labels(serve: Serve, data: Any, protocol: str, single: bool) -> None:
    """Taken for class words they would say that nothing is ever flagged."""
    site = serve(NAMES, rule)
    site.switches = {"quoted", "single"} if single else {"quoted"}
    with pytest.raises(CouldNotLook, match="quotes"), opened(getattr(site, protocol), data) as model:
        model.scores(rows())


def test_what_a_number_in_quotes_is() -> None:
    for words in (["0.93", "0.1"], ["1e-05", "9e-1"], ["0,1", "0,9"], ["93%", "4%"]):
        with pytest.raises(CouldNotLook, match="in quotes"):
            as_hits(words, 1, "m")
    assert as_hits(["3.11", "3.12"], "3.12", "m") == [0.0, 1.0], "where the positive class is called so"
    assert as_hits(["1.0", "0"], "1.0", "m")[0] == 1.0
    assert as_hits(["nan", "good", "1/2"], "good", "m") == [0.0, 1.0, 0.0]


def test_noise_is_caught_and_rounding_is_told(serve: Serve, data: Any) -> None:
    site = serve(NAMES, rule)
    site.switches = {"noise"}
    with opened(site.oip, data) as model, pytest.raises(CouldNotLook, match="the same row gets different scores"):
        sanity.refuse_unstable(model, rows())
    site.switches = {"round"}
    with opened(site.oip, data) as model:
        model.scores(rows())
        assert any("rounded to 2 digits" in note for note in model.notes)
    site.switches = set()
    with opened(site.oip, data) as model:
        model.scores(rows())
        assert not any("rounded" in note for note in model.notes)


def test_another_version_in_the_middle_is_noticed(serve: Serve, data: Any) -> None:
    site = serve(NAMES, rule)
    with opened(site.oip, data) as model:
        site.version = "8"
        with pytest.raises(CouldNotLook, match="another version"):
            model.scores(rows())


def test_the_token_goes_to_that_host_alone_and_is_never_said(
    serve: Serve, data: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = serve(NAMES, rule)
    site.token = "s3cret-of-ours"
    with pytest.raises(CouldNotLook, match="asks for a login"):
        opened(site.oip, data)
    monkeypatch.setenv("FRAUD_TOKEN", site.token)
    with opened(site.oip, data, token_env="FRAUD_TOKEN") as model:
        model.scores(rows())
        assert site.token not in json.dumps([*model.notes, repr(vars(model))])
    site.token = "another"
    with pytest.raises(CouldNotLook) as told:
        opened(site.oip, data, token_env="FRAUD_TOKEN")
    assert "s3cret" not in str(told.value)
    for name in ("NOT_SET", "s3cret of ours!"):
        with pytest.raises(CouldNotLook) as told:
            opened(site.oip, data, token_env=name)
        assert "s3cret" not in str(told.value)


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("http://user:pw@127.0.0.1:1/v2/models/x", "credentials"),
        ("http://127.0.0.1:1/v2/models/x?key=pw", "query"),
        ("http://127.0.0.1:1/predict", "does not tell how to ask"),
        ("http://127.0.0.1:1/", "no model on it"),
        ("http://127.0.0.1:99999/v2/models/x", "malformed"),
        ("http://169.254.169.254/v2/models/x", "special use"),
        ("http://8.8.8.8/v2/models/x", "not encrypted"),
        ("http://127.0.0.1:1/v2/models/x", "refuses connections .5 times"),
    ],
    ids=["login", "query", "protocol", "server", "port", "metadata", "public", "nobody"],
)
def test_addresses_that_are_not_asked(data: Any, uri: str, said: str) -> None:
    with pytest.raises(CouldNotLook, match=said) as told:
        opened(uri, data)
    assert "pw" not in str(told.value)


def test_a_token_is_not_sent_where_it_can_be_read_on_the_way(data: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRAUD_TOKEN", "s3cret")
    with pytest.raises(CouldNotLook, match="only over https://, or on this machine") as told:
        opened("http://10.0.0.1/v2/models/x", data, token_env="FRAUD_TOKEN")
    assert "s3cret" not in str(told.value)


@pytest.mark.parametrize("option", ["rate", "batch", "timeout", "wait"])
@pytest.mark.parametrize("value", [0, -1, "fast", float("nan"), True], ids=["zero", "negative", "word", "nan", "truth"])
def test_options_that_make_no_sense(data: Any, option: str, value: Any) -> None:
    with pytest.raises(CouldNotLook, match=f"`{option}`"):
        opened("http://127.0.0.1:1/v2/models/x", data, **{option: value})


def test_it_is_opened_as_any_other_model_and_shows_nothing_inside(
    serve: Serve, data: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    site = serve(NAMES, rule)
    with open_predictor(Subject(name="m", kind=Kind.MODEL, uri=site.oip), tmp_path, data=data) as model:
        with pytest.raises(CouldNotLook, match="only its answers are seen"):
            model.trees()
        with pytest.raises(CouldNotLook, match="only its answers are seen"):
            model.network(rows())
        model.scores(rows())
    kept = sorted((tmp_path / "assay" / "endpoints").iterdir(), key=lambda p: p.suffix)
    assert [p.suffix for p in kept] == [".answers", ".open"]
    assert kept[0].stat().st_mode & 0o777 == 0o600


def test_a_model_whose_columns_the_data_lacks(serve: Serve, data: Any) -> None:
    site = serve((*NAMES, "more"), rule)
    with pytest.raises(CouldNotLook, match="the model takes 4 inputs"):
        opened(site.oip, data)
    named = serve((*NAMES, "more"), rule, named=True)
    with pytest.raises(CouldNotLook, match="reads more, which"):
        opened(named.oip, data)
