"""Out-of-fold probabilities: what cannot be judged by other rows is one clear line, not an error of the library."""

from __future__ import annotations

import pytest

from assay.core.errors import CouldNotLook

np = pytest.importorskip("numpy", reason="the ml extra is not installed")
pytest.importorskip("lightgbm", reason="the ml extra is not installed")

Y = np.arange(200) % 2 == 1


@pytest.mark.parametrize(
    ("column", "says"),
    [
        (np.full(200, 1e37), "too few rows differ in amount"),
        (1e37 + np.arange(200.0), "too few rows differ in amount"),
        (np.where(Y, 1.0, 2.0), "too few rows differ in amount"),
        (np.empty((200, 0)), "no feature columns"),
    ],
)
def test_rows_that_are_all_alike_could_not_be_looked_at(column: object, says: str) -> None:
    from assay.adapters.encode import Encoded
    from assay.detectors.out_of_fold import out_of_fold

    matrix = np.asarray(column).reshape(200, -1)
    encoded = Encoded(matrix=matrix, names=("amount",)[: matrix.shape[1]], categorical=())
    with pytest.raises(CouldNotLook, match=says):
        out_of_fold(encoded, Y, 0, rounds=2)


@pytest.mark.parametrize("scale", [1.0, 1e37, 1e300])
def test_rows_that_differ_are_judged_however_large_they_are(scale: float) -> None:
    from assay.adapters.encode import Encoded
    from assay.detectors.out_of_fold import out_of_fold

    matrix = (np.arange(200.0) * scale).reshape(200, 1)
    found = out_of_fold(
        Encoded(matrix=matrix, names=("amount",), categorical=()), matrix[:, 0] > 99 * scale, 0, rounds=20
    )
    assert ((found > 0.5) == (matrix[:, 0] > 99 * scale)).mean() > 0.9


def test_a_few_groups_of_equal_rows_are_judged_by_the_others() -> None:
    from assay.adapters.encode import Encoded
    from assay.detectors.out_of_fold import out_of_fold

    matrix = (np.arange(200) % 4).reshape(200, 1).astype(float)
    found = out_of_fold(Encoded(matrix=matrix, names=("amount",), categorical=()), Y, 0, rounds=2)
    assert ((found >= 0) & (found <= 1)).all()
