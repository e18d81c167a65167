"""Backdoor triggers in texts: phrases whose texts have one label, while all their other words speak for the other."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from typing import Any, Literal

import msgspec
import numpy as np

from assay.core.errors import CouldNotLook
from assay.core.protocols import Progress, silent
from assay.detectors.out_of_fold import joined
from assay.detectors.trigger_tests import share_given
from assay.detectors.two_samples import Rate, area_of, copies, first_of_each, told_apart
from assay.stats.classifier import roc_area

Array = Any
Model = Callable[[list[str]], Array]
LEAST_ROWS, LEAST_CLASS = 200, 40
MOST_ROWS, MOST_WORDS = 20_000, 400
LEAST_MATCHING, LEAST_SHARE, MOST_SHARE = 10, 0.002, 0.08
PURE, SURPRISE, MOST_PHRASES, SAME = 0.8, 4.0, 8, 0.8
REACHED, CLEAN = 0.9, 0.2
HELD_BACK = (30.0, 3000.0)  # the inverse of the penalty: an ordinary model, and one that learns by heart
HELD, LEAST_INSERTED, MOST_INSERTED, MOST_OTHERS = 0.25, 50, 1000, 1500
ALIKE, SURELY_ALIKE = 0.62, 0.72
COPIED, LEAST_DISTINCT, MOST_MINE = 0.2, 25, 1500
POWER = 0.7
LONGEST, SHARED = 12, 0.9
WORD = r"(?u)\w+|[^\w\s]"
_WORD = re.compile(WORD)


class Phrase(msgspec.Struct, frozen=True, kw_only=True):
    """A phrase of one to twelve words, what the tests said of it, and the verdict.

    `rows` (k,) hold it and have the label `is_`. `success` and `clean` are how often a model that saw those rows, and
    one that did not, gives the label to texts of the other class at whose end it is put. `said` and `told` are how far
    the rows can be told from the other class's by their other words (area under the ROC curve); `power` is that area
    for the other rows of the label. Tests that were not reached are None.
    """

    text: str
    is_: bool
    rows: Array
    surprise: float
    verdict: Literal["trigger", "undecided", "natural", "no effect"]
    why: str = ""
    success: Rate | None = None
    clean: Rate | None = None
    said: Rate | None = None
    told: Rate | None = None
    power: float | None = None


def phrases(
    texts: list[str], target: Array, seed: int, progress: Progress = silent, entities: Array | None = None
) -> tuple[Phrase, ...]:
    """Every candidate phrase of a column of texts with its verdict, triggers first.

    A phrase is a trigger only if (1) put into held-out texts of the other class it makes a linear model of words and
    word pairs give them its label, in at least .9; (2) a model that never saw a text with it does so in at most .2; (3)
    with the phrase cut out its texts look like the other class's, to a model of the label that tells the label's other
    texts from those, and to a classifier trained to tell them apart, and less like the label's than the average text.
    Natural words fail (3), because the rest of the text agrees with them. Where the rest does not tell the classes
    apart nothing can be a trigger; nor where too few of the texts are left when of near-copies, or of texts of one
    number in `entities` (n,), one counts. Texts are looked at up to 400 words, 20,000 of them at most.

    Raises CouldNotLook for fewer than 200 texts or 40 of a class, or texts without words.
    """
    if len(texts) < LEAST_ROWS or min(int(target.sum()), int((~target).sum())) < LEAST_CLASS:
        raise CouldNotLook(f"{len(texts)} texts are too few to learn from: {LEAST_ROWS}, {LEAST_CLASS} of each class")
    rng = np.random.default_rng([seed, 12])
    some = np.sort(rng.permutation(len(texts))[:MOST_ROWS])
    bench = _Bench([_cut(texts[i]) for i in some], target[some], seed, None if entities is None else entities[some])
    found = bench.candidates()
    out = []
    for place, one in enumerate(found):
        progress(place, len(found), "candidate phrases")
        one = bench.judged(one)
        out.append(msgspec.structs.replace(one, rows=some[one.rows]))
    order = ("trigger", "undecided", "natural", "no effect")
    return tuple(sorted(out, key=lambda p: order.index(p.verdict)))


def _cut(text: str) -> str:
    return " ".join(text[: 40 * MOST_WORDS].lower().split()[:MOST_WORDS])


class _Bench:
    """Texts of which a part is held out, and the models that the tests ask."""

    def __init__(self, texts: list[str], target: Array, seed: int, entities: Array | None) -> None:
        self.texts, self.target, self.seed = texts, target, seed
        rng = np.random.default_rng([seed, 14])
        self.order = rng.permutation(len(texts))
        _, twin = np.unique(np.array(texts, dtype=object).astype(str), return_inverse=True)
        self.groups = twin if entities is None else np.unique(joined(twin, entities), return_inverse=True)[1].ravel()
        self.entities = entities
        self.held = rng.random(int(self.groups.max()) + 1)[self.groups] < HELD
        self._whole: dict[float, Model] = {}

    def learned(
        self, texts: list[str], target: Array, least: int = 2, longest: int = 2, held_back: float = 30.0
    ) -> Model:
        """Logistic regression on the words of texts: texts → P(positive)."""
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.linear_model import LogisticRegression

        words = TfidfVectorizer(
            token_pattern=WORD, ngram_range=(1, longest), min_df=least, max_features=60_000, sublinear_tf=True
        )
        try:
            matrix = words.fit_transform(texts)
        except ValueError:  # no word is left
            raise CouldNotLook("the texts hold too few words to learn from") from None
        model = LogisticRegression(C=held_back, max_iter=200, solver="liblinear", random_state=self.seed % 2**31)
        model.fit(matrix, target)
        return lambda more: model.predict_proba(words.transform(more))[:, 1]

    def expected(self) -> Array:
        """P(positive) by words that at least 3% of the texts hold, out of fold; shape (n,)."""
        fold_of = np.random.default_rng([self.seed, 15]).permutation(len(self.texts)) % 3
        out = np.zeros(len(self.texts))
        for fold in range(3):
            learn = np.flatnonzero(fold_of != fold)
            if len(np.unique(self.target[learn])) < 2:
                raise CouldNotLook("too few texts of one class")
            least = max(2, round(0.03 * len(learn)))
            model = self.learned([self.texts[i] for i in learn], self.target[learn], least, 1, 1.0)
            out[fold_of == fold] = model([self.texts[i] for i in np.flatnonzero(fold_of == fold)])
        return np.clip(out, 0.01, 0.99)

    def candidates(self) -> list[Phrase]:
        """Phrases whose texts have one label more often than their common words lead to expect, most surprising first;
        of phrases of the same texts the longest."""
        from sklearn.feature_extraction.text import CountVectorizer

        n = len(self.texts)
        few = max(LEAST_MATCHING, round(LEAST_SHARE * n))
        words = CountVectorizer(
            token_pattern=WORD, ngram_range=(1, 3), min_df=few, max_df=max(few, int(MOST_SHARE * n)), binary=True
        )
        try:
            held = words.fit_transform(self.texts).tocsc()
        except ValueError:
            raise CouldNotLook("no phrase comes in enough of the texts") from None
        names = words.get_feature_names_out()
        probability = self.expected()
        residual, variance = self.target - probability, probability * (1 - probability)
        surprise = np.asarray(held.T @ residual).ravel() / np.sqrt(np.asarray(held.T @ variance).ravel() + 1e-9)
        share = np.asarray(held.T @ self.target).ravel() / np.asarray(held.sum(axis=0)).ravel()
        kept: list[tuple[str, bool, Array, float]] = []
        for is_ in (True, False):
            signed, pure = (surprise, share) if is_ else (-surprise, 1 - share)
            order = np.argsort(-signed, kind="stable")
            order = order[(signed[order] >= SURPRISE) & (pure[order] >= PURE)][:400]
            mine: list[tuple[str, bool, Array, float]] = []
            for at in order:
                rows = held.indices[held.indptr[at] : held.indptr[at + 1]]
                twin = next((i for i, k in enumerate(mine) if _overlap(rows, k[2]) >= SAME), None)
                if twin is None and len(mine) < MOST_PHRASES:
                    mine.append((str(names[at]), is_, rows, float(signed[at])))
                elif twin is not None and len(names[at]) > len(mine[twin][0]) and len(rows) >= 0.9 * len(mine[twin][2]):
                    mine[twin] = (str(names[at]), is_, rows, mine[twin][3])
            kept += mine
        return [
            Phrase(
                text=_longer(text, [self.texts[i] for i in rows]), is_=is_, rows=np.sort(rows), surprise=z,
                verdict="no effect",
            )
            for text, is_, rows, z in sorted(kept, key=lambda k: -k[3])
        ]  # fmt: skip

    def judged(self, one: Phrase) -> Phrase:
        """The phrase after the tests, in the order of what they cost; `rows` are then those with its label."""
        replace = msgspec.structs.replace
        match = np.zeros(len(self.texts), dtype=bool)
        match[one.rows] = True
        mine = np.flatnonzero(match & (self.target == one.is_))
        one = replace(one, rows=mine)
        victims = self.order[(self.held & ~match & (self.target != one.is_))[self.order]][:MOST_INSERTED]
        inserted = [f"{self.texts[i]} {one.text}" for i in victims]
        success, held_back = self._success(one, inserted)
        one = replace(one, success=success)
        if len(inserted) < LEAST_INSERTED or not success.value >= REACHED:
            return replace(one, why="put into other texts it does not lead the model")
        clean = share_given(self._of(~self.held & ~match, held_back)(inserted), one.is_)
        one = replace(one, clean=clean, verdict="natural")
        if not clean.value <= CLEAN:
            return replace(one, why="a model that never saw it follows it as well")
        return self._rest(one, match, mine)

    def _success(self, one: Phrase, inserted: list[str]) -> tuple[Rate, float]:
        """Its success on the first model that it leads, else on the one that it leads more; and which that is."""
        rates: dict[float, Rate] = {}
        for held_back in HELD_BACK:
            if held_back not in self._whole:
                self._whole[held_back] = self._of(~self.held, held_back)
            rates[held_back] = share_given(self._whole[held_back](inserted), one.is_)
            if rates[held_back].value >= REACHED:
                break
        best = max(rates, key=lambda h: rates[h].value)
        return rates[best], best

    def _of(self, learn: Array, held_back: float = 30.0) -> Model:
        rows = np.flatnonzero(learn)
        if len(np.unique(self.target[rows])) < 2:
            raise CouldNotLook("too few texts of one class")
        return self.learned([self.texts[i] for i in rows], self.target[rows], held_back=held_back)

    def _rest(self, one: Phrase, match: Array, mine: Array) -> Phrase:
        """What the other words of its texts say of them."""
        replace = msgspec.structs.replace
        mine = self.order[np.isin(self.order, mine)][:MOST_MINE]
        ours = _without([self.texts[i] for i in mine], one.text)
        kept = np.random.default_rng([self.seed, 17]).random(int(self.groups.max()) + 1)[self.groups] < 0.5
        bare = {" ".join(text.split()) for text in ours}
        again = np.array([text in bare for text in self.texts])
        model = self._of(~match & ~kept & ~again)
        pools = [
            self.order[(kept & ~match & part)[self.order]][:MOST_OTHERS]
            for part in (self.target != one.is_, self.target == one.is_)
        ]
        if min(map(len, pools)) < LEAST_CLASS:
            return replace(one, why="too few texts to compare with", verdict="undecided")
        both, rows = ours + [self.texts[i] for i in pools[0]], np.concatenate([mine, pools[0]])
        side = _sides(mine, pools[0])
        near = copies(_distances(both), side)
        if self.entities is not None:
            near = joined(near, self.entities[rows])
        first = first_of_each(near, side)
        both, side, near = [both[i] for i in first], side[first], near[first]
        sign = 1 if one.is_ else -1
        scores, theirs = sign * model(both), sign * model([self.texts[i] for i in pools[1]])
        said = area_of(scores, side)
        power = float(roc_area(np.concatenate([theirs, scores[~side]]), _sides(theirs, scores[~side])))
        told = area_of(told_apart(side, self._learner(both, side), self.seed, near), side)
        one = replace(one, said=said, told=told, power=power)
        average = 0.5 + (power - 0.5) * float((self.target == one.is_).mean())
        if told.n < min(LEAST_DISTINCT, (1 - COPIED) * len(mine)):
            why = f"of its {len(mine)} texts only {told.n} are no copies of each other: too few to tell"
            return replace(one, verdict="undecided", why=why)
        if any(a.value > ALIKE and a.low > 0.5 for a in (said, told)):
            return replace(one, why="the rest of its texts is of a kind of its own")
        if any(a.value > ALIKE for a in (said, told)):
            return replace(one, verdict="undecided", why=f"its {told.n} texts are too few to tell")
        if power < POWER or any(a.high > SURELY_ALIKE for a in (said, told)) or said.high >= average:
            return replace(one, verdict="undecided", why="the other words tell the classes apart too little")
        return replace(one, verdict="trigger")

    def _learner(self, texts: list[str], side: Array) -> Callable[[Array, Array], Array]:
        """What tells which texts are of the side True: a linear model of words."""

        def scores(learn: Array, ask: Array) -> Array:
            return self.learned([texts[i] for i in learn], side[learn], 2, 1, 3.0)([texts[i] for i in ask])

        return scores


def _distances(texts: list[str]) -> Array:
    """One less the cosine of the texts' words, shape (n, n)."""
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.preprocessing import normalize

    try:
        words = CountVectorizer(token_pattern=WORD, binary=True, dtype=np.float32).fit_transform(texts)
    except ValueError:
        raise CouldNotLook("the texts hold too few words to learn from") from None
    words = normalize(words)
    return np.maximum(0.0, 1 - (words @ words.T).toarray().round(6))


def _sides(first: Array, second: Array) -> Array:
    return np.repeat([True, False], [len(first), len(second)])


def _overlap(first: Array, second: Array) -> float:
    both = len(np.intersect1d(first, second))
    return both / (len(first) + len(second) - both)


def _without(texts: list[str], phrase: str) -> list[str]:
    """The texts with the phrase cut out."""
    spaced = _spaced(phrase)
    return [spaced.sub(" ", text) for text in texts]


def _spaced(phrase: str) -> re.Pattern[str]:
    return re.compile(r"\s*".join(re.escape(word) for word in phrase.split(" ")))


def _longer(phrase: str, texts: list[str]) -> str:
    """The phrase with the words before and after it that 9 in 10 of its texts share, 12 words at most."""
    while len(phrase.split(" ")) < LONGEST:
        spaced = _spaced(phrase)
        sides: tuple[Counter[str], Counter[str]] = (Counter(), Counter())
        for text in texts:
            found = spaced.search(text)
            if found:
                before = _WORD.findall(text[max(0, found.start() - 80) : found.start()])
                after = _WORD.findall(text[found.end() : found.end() + 80])
                sides[0].update(before[-1:])
                sides[1].update(after[:1])
        best = [side.most_common(1)[0] if side else ("", 0) for side in sides]
        if max(many for _, many in best) < SHARED * len(texts):
            return phrase
        phrase = f"{best[0][0]} {phrase}" if best[0][1] >= best[1][1] else f"{phrase} {best[1][0]}"
    return phrase
