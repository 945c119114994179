"""The churn function of the clothing example: a model of scikit-learn behind a typed customer."""

import json
import math
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import onnx
import pytest

from conftest import RunningServer

SERVICE = Path(__file__).parents[2] / "examples" / "clothing"
CUSTOMER: dict[str, Any] = json.loads((SERVICE / "events" / "churn.json").read_text(encoding="utf-8"))["customer"]
LOYAL = {
    "tenure": 70,
    "contract": "two_year",
    "paymentmethod": "bank_transfer_(automatic)",
    "internetservice": "dsl",
    "onlinesecurity": "yes",
    "techsupport": "yes",
}


def copy(folder: Path) -> Path:
    """The example as `pilotlight new` would make it, with the churn model alone."""
    left_out = shutil.ignore_patterns("__pycache__", "data", "run", "clothing.py", "clothing", "clothing_tflite")
    service = Path(shutil.copytree(SERVICE, folder / "shop", ignore=left_out))
    toml = (service / "pilotlight.toml").read_text(encoding="utf-8")
    before, _, after = toml.partition("[functions.clothing]")
    (service / "pilotlight.toml").write_text(before + after[after.index("[functions.churn]") :], encoding="utf-8")
    return service


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    server = RunningServer([str(copy(tmp_path_factory.mktemp("churn")))], {})
    yield f"{server.url}/churn"
    server.stop()


def ask(url: str, **changes: object) -> httpx.Response:
    return httpx.post(url, json={"customer": CUSTOMER | changes}, timeout=60)


def test_the_answer_is_the_old_clients(url: str) -> None:
    response = ask(url)
    assert response.status_code == 200
    assert list(response.json()) == ["churn_probability", "churn"]
    assert response.json()["churn"] is True
    assert 0.5 < response.json()["churn_probability"] < 1


def test_a_loyal_customer_stays(url: str) -> None:
    answer = ask(url, **LOYAL).json()
    assert answer["churn"] is False
    assert 0 < answer["churn_probability"] < 0.2


def by_hand(customer: dict[str, Any]) -> float:
    """The logistic regression worked out from the file's numbers, with features made as DictVectorizer makes them."""
    graph = onnx.load(SERVICE / "models" / "churn" / "model.onnx").graph
    scaler, classifier = ({a.name: onnx.helper.get_attribute_value(a) for a in node.attribute} for node in graph.node)
    names = json.loads((SERVICE / "models" / "churn" / "model.json").read_text(encoding="utf-8"))["features"]
    given = {f"{k}={v}" if isinstance(v, str) else k: 1 if isinstance(v, str) else v for k, v in customer.items()}
    assert set(given) <= set(names)
    row = (np.array([given.get(name, 0) for name in names]) - scaler["offset"]) * scaler["scale"]
    leaving = np.array(classifier["coefficients"]).reshape(2, -1)[1]
    return float(1 / (1 + math.exp(-(row @ leaving + classifier["intercepts"][1]))))


@pytest.mark.parametrize("changes", [{}, LOYAL, {"tenure": 30}, {"monthlycharges": 99.5, "seniorcitizen": 1}])
def test_the_probability_is_that_of_the_regression(url: str, changes: dict[str, object]) -> None:
    assert ask(url, **changes).json()["churn_probability"] == pytest.approx(by_hand(CUSTOMER | changes), abs=1e-5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"contract": "monthly"}, "customer.contract: expected "),
        ({"seniorcitizen": 2}, "customer.seniorcitizen: expected "),
        ({"tenure": "long"}, "customer.tenure: expected int"),
        ({"tenure": -1}, "customer.tenure: must not be negative"),
        ({"totalcharges": -0.5}, "customer.totalcharges: must not be negative"),
    ],
)
def test_a_customer_that_cannot_be_is_told_why(url: str, changes: dict[str, object], message: str) -> None:
    response = ask(url, **changes)
    assert response.status_code == 400
    assert response.json()["message"].startswith(message)


def test_fields_that_are_missing_are_all_named(url: str) -> None:
    response = httpx.post(url, json={"customer": {name: CUSTOMER[name] for name in ("gender", "tenure")}}, timeout=60)
    assert response.status_code == 400
    fields = {error["field"] for error in response.json()["errors"]}
    assert fields == {f"customer.{name}" for name in CUSTOMER} - {"customer.gender", "customer.tenure"}


TELCO = """\
customerID,gender,SeniorCitizen,Partner,Dependents,tenure,PhoneService,MultipleLines,InternetService,OnlineSecurity,\
OnlineBackup,DeviceProtection,TechSupport,StreamingTV,StreamingMovies,Contract,PaperlessBilling,PaymentMethod,\
MonthlyCharges,TotalCharges,Churn
"""
STAYS = "Female,0,Yes,No,60,Yes,No,DSL,Yes,Yes,No,Yes,No,No,Two year,No,Mailed check,55.5,3330,No"
LEAVES = "Male,1,No,No,1,Yes,No,Fiber optic,No,No,No,No,Yes,Yes,Month-to-month,Yes,Electronic check,95.1, ,Yes"


@pytest.mark.system
@pytest.mark.timeout(900)
def test_training_gives_the_model_that_ships_and_takes_the_public_table(tmp_path: Path) -> None:
    service = copy(tmp_path)
    shipped = shutil.move(service / "models", tmp_path / "shipped") / "churn"
    train = ["sh", "train/install.sh", "churn"]
    environ = {**os.environ, "PYTHON": sys.executable}
    done = subprocess.run(train, cwd=service, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("7000 customers, 27.1% leave; area under ROC 0.80")
    for name in ("model.json", "model.onnx"):
        assert (service / "models" / "churn" / name).stat().st_size == (shipped / name).stat().st_size

    rows = [f"{number},{row}" for number, row in enumerate([STAYS, LEAVES] * 20)]
    (tmp_path / "telco.csv").write_text(TELCO + "\n".join(rows) + "\n", encoding="utf-8")
    done = subprocess.run(
        [*train, "--data", tmp_path / "telco.csv"],
        cwd=service,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "40 customers, 50.0% leave; area under ROC 1.000 on a fifth kept apart\n", done.stderr

    (tmp_path / "other.csv").write_text("name,age\nAda,36\n", encoding="utf-8")
    done = subprocess.run(
        [*train, "--data", tmp_path / "other.csv"],
        cwd=service,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "other.csv: there is no column churn, contract, dependents" in done.stderr
