"""Split the public vehicle-insurance table by year, train two small models, and write what assay.yaml names.

    python prepare.py --data PATH/fraud_oracle.csv

1994 and 1995 are trained on, 1996 is kept untouched: a claim of tomorrow is never used to learn yesterday's.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import lightgbm as lgb
import numpy as np
import pandas as pd

HERE = Path(__file__).parent
LABEL, ID, TIME = "FraudFound_P", "PolicyNumber", "Year"
NOT_FEATURES = [LABEL, ID, TIME, "RepNumber"]
SEED = 7


def train(table: pd.DataFrame, leaves: int, rounds: int) -> lgb.Booster:
    """A small LightGBM model on raw categories."""
    features = table.drop(columns=NOT_FEATURES)
    words = features.select_dtypes(exclude="number").columns
    features = features.astype(dict.fromkeys(words, "category"))
    data = lgb.Dataset(features, label=table[LABEL])
    parameters = {
        "objective": "binary", "learning_rate": 0.05, "num_leaves": leaves, "min_data_in_leaf": 40,
        "cat_smooth": 30.0, "seed": SEED, "deterministic": True, "force_row_wise": True, "num_threads": 1,
        "verbose": -1,
    }  # fmt: skip
    return lgb.train(parameters, data, num_boost_round=rounds)


def threshold_for(model: lgb.Booster, table: pd.DataFrame, share: float) -> float:
    """The score above which `share` of the training claims would be reviewed."""
    features = table.drop(columns=NOT_FEATURES)
    words = features.select_dtypes(exclude="number").columns
    scores = model.predict(features.astype(dict.fromkeys(words, "category")))
    return round(float(np.quantile(scores, 1 - share)), 3)


def main() -> int:
    """Prepare data/ and models/; one line for a file that is not the expected table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, type=Path, help="fraud_oracle.csv (semicolons)")
    given = parser.parse_args().data
    try:
        table = pd.read_csv(given, sep=";", encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        print(f"{given}: cannot be read: {error}", file=sys.stderr)
        return 2
    if LABEL not in table or TIME not in table:
        print(f"{given}: has no columns {LABEL} and {TIME}; give the vehicle-insurance table", file=sys.stderr)
        return 2
    (HERE / "data").mkdir(exist_ok=True)
    (HERE / "models").mkdir(exist_ok=True)
    past, future = table[table[TIME] < 1996], table[table[TIME] == 1996]
    past.to_csv(HERE / "data/train.csv", index=False)
    future.to_csv(HERE / "data/holdout.csv", index=False)
    model, champion = train(past, leaves=31, rounds=200), train(past, leaves=4, rounds=80)
    model.save_model(HERE / "models/claims.txt")
    champion.save_model(HERE / "models/champion.txt")
    print(f"{len(past)} claims to train on, {len(future)} kept untouched, {int(future[LABEL].sum())} of them fraud")
    thresholds = [threshold_for(m, past, 1 / 6) for m in (model, champion)]
    print(f"thresholds that review 1 claim in 6: model {thresholds[0]}, champion {thresholds[1]}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
