"""Train the churn model: does a telephone company's customer leave within the month?

    python train/churn.py --out models/churn                     on synthetic customers, as the model that ships
    python train/churn.py --data Telco.csv --out models/churn    on the public ones

It runs in an environment of its own, made from `train/churn.txt`. The public customers are IBM's sample "Telco customer
churn", which Kaggle offers as blastchar/telco-customer-churn; they do not come with this.
"""

import argparse
import csv
import json
import math
import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from onnx import ModelProto
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.feature_extraction import DictVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import MaxAbsScaler

Customer = dict[str, str | float]

_YES = ("yes", "no")
_WITH_INTERNET = ("yes", "no", "no_internet_service")
CATEGORIES: dict[str, tuple[str, ...]] = {
    "gender": ("female", "male"),
    "partner": _YES,
    "dependents": _YES,
    "phoneservice": _YES,
    "multiplelines": ("yes", "no", "no_phone_service"),
    "internetservice": ("dsl", "fiber_optic", "no"),
    "onlinesecurity": _WITH_INTERNET,
    "onlinebackup": _WITH_INTERNET,
    "deviceprotection": _WITH_INTERNET,
    "techsupport": _WITH_INTERNET,
    "streamingtv": _WITH_INTERNET,
    "streamingmovies": _WITH_INTERNET,
    "contract": ("month-to-month", "one_year", "two_year"),
    "paperlessbilling": _YES,
    "paymentmethod": ("electronic_check", "mailed_check", "bank_transfer_(automatic)", "credit_card_(automatic)"),
}
NUMBERS = ("seniorcitizen", "tenure", "monthlycharges", "totalcharges")
EXTRAS = ("onlinesecurity", "onlinebackup", "deviceprotection", "techsupport", "streamingtv", "streamingmovies")
PRICES = {"dsl": 25.0, "fiber_optic": 50.0, "no": 0.0}


def synthetic(count: int, seed: int) -> tuple[list[Customer], list[int]]:
    """Customers that were never anybody's, and whether each leaves.

    What hangs together in them: no internet, no services over it; each service has its price; the total is about months
    times the price; longer contracts have been customers for longer. Who leaves is drawn with the chance of `_chance`.
    """
    draw = random.Random(seed)
    customers = [_customer(draw) for _ in range(count)]
    return customers, [int(draw.random() < _chance(customer)) for customer in customers]


def _customer(draw: random.Random) -> Customer:
    customer: Customer = {name: draw.choice(values) for name, values in CATEGORIES.items()}
    customer["phoneservice"] = "yes" if customer["internetservice"] == "no" or draw.random() < 0.9 else "no"
    if customer["phoneservice"] == "no":
        customer["multiplelines"] = "no_phone_service"
    else:
        customer["multiplelines"] = draw.choice(_YES)
    for extra in EXTRAS:
        customer[extra] = "no_internet_service" if customer["internetservice"] == "no" else draw.choice(_YES)
    customer["contract"] = draw.choices(CATEGORIES["contract"], (55, 21, 24))[0]
    months = {"month-to-month": (1, 50), "one_year": (6, 72), "two_year": (12, 72)}[str(customer["contract"])]
    tenure, monthly = draw.randint(*months), round(_price(customer) + draw.uniform(-2, 2), 2)
    total = round(tenure * monthly * draw.uniform(0.95, 1.05), 2)
    senior = int(draw.random() < 0.16)
    return customer | {"seniorcitizen": senior, "tenure": tenure, "monthlycharges": monthly, "totalcharges": total}


def _price(customer: Customer) -> float:
    lines = {"yes": 25.0, "no": 20.0, "no_phone_service": 0.0}[str(customer["multiplelines"])]
    return lines + PRICES[str(customer["internetservice"])] + 6.0 * sum(customer[extra] == "yes" for extra in EXTRAS)


def _chance(customer: Customer) -> float:
    """That a customer leaves: an invented rule, in the directions that people of the trade speak of."""
    score = {"month-to-month": 0.4, "one_year": -1.0, "two_year": -2.2}[str(customer["contract"])]
    score += {"fiber_optic": 0.7, "dsl": 0.0, "no": -0.9}[str(customer["internetservice"])]
    score += 0.5 * (customer["paymentmethod"] == "electronic_check") + 0.3 * (customer["paperlessbilling"] == "yes")
    score -= 0.4 * (customer["onlinesecurity"] == "yes") + 0.4 * (customer["techsupport"] == "yes")
    score += 0.2 * float(customer["seniorcitizen"]) - 0.03 * float(customer["tenure"])
    return 1 / (1 + math.exp(-score))


def public(file: Path) -> tuple[list[Customer], list[int]]:
    """The customers of IBM's table. Texts become lower case with `_` for a blank, an empty total becomes 0."""
    with file.open(encoding="utf-8", newline="") as opened:
        rows = [{name.lower(): _plain(text) for name, text in row.items()} for row in csv.DictReader(opened)]
    lacking = sorted({*CATEGORIES, *NUMBERS, "churn"} - {*(rows[0] if rows else ())})
    if lacking:
        raise SystemExit(
            f"reading {file}: there is no column {', '.join(lacking)}: is it the table of Telco customers?"
        )
    customers = [
        {name: row[name] for name in CATEGORIES} | {name: float(row[name] or 0) for name in NUMBERS} for row in rows
    ]
    return customers, [int(row["churn"] == "yes") for row in rows]


def _plain(text: str) -> str:
    return text.strip().lower().replace(" ", "_")


def fit(customers: Sequence[Customer], churn: Sequence[int], seed: int) -> tuple[DictVectorizer, Pipeline, float]:
    """The features, the model, and its area under the ROC curve on a fifth kept apart."""
    given, apart, left, left_apart = train_test_split(
        customers, churn, test_size=0.2, random_state=seed, stratify=churn
    )
    features = DictVectorizer(sparse=False)
    model = Pipeline([("scale", MaxAbsScaler()), ("regression", LogisticRegression(C=1.0, max_iter=1000))])
    model.fit(features.fit_transform(given), left)
    return features, model, roc_auc_score(left_apart, model.predict_proba(features.transform(apart))[:, 1])


def exported(features: DictVectorizer, model: Pipeline) -> ModelProto:
    """The model as a graph: `features` float32 `[n, features]` to `probabilities` `[n, 2]` of staying and leaving.

    Texts become features before it, in the function: Pilotlight's sessions take numbers.
    """
    taken = [("features", FloatTensorType([None, len(features.feature_names_)]))]
    options = {id(model): {"zipmap": False}}
    return to_onnx(model, initial_types=taken, options=options, target_opset={"": 17, "ai.onnx.ml": 3})


def save(features: DictVectorizer, graph: ModelProto, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(graph.SerializeToString())
    text = json.dumps({"format": 1, "features": list(features.feature_names_), "threshold": 0.5}, indent=1)
    (folder / "model.json").write_text(text + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="the model folder to write")
    parser.add_argument("--data", type=Path, help="the table of Telco customers (CSV); without it synthetic ones")
    parser.add_argument("--count", type=int, default=7000, help="how many synthetic customers (default 7000)")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    customers, churn = public(options.data) if options.data else synthetic(options.count, options.seed)
    features, model, area = fit(customers, churn, options.seed)
    save(features, exported(features, model), options.out)
    print(f"{len(customers)} customers, {np.mean(churn):.1%} leave; area under ROC {area:.3f} on a fifth kept apart")


if __name__ == "__main__":
    main()
