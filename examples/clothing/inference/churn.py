"""Say how likely a telephone company's customer leaves, with a logistic regression of scikit-learn."""

from array import array
from os import environ
from typing import Literal, NamedTuple

from pilotlight import InputError, Model, endpoint

YesNo = Literal["yes", "no"]
OverInternet = Literal["yes", "no", "no_internet_service"]


class Customer(NamedTuple):
    """`tenure` in months; `monthlycharges` and `totalcharges` in dollars; `seniorcitizen` is 0 or 1."""

    gender: Literal["female", "male"]
    seniorcitizen: Literal[0, 1]
    partner: YesNo
    dependents: YesNo
    phoneservice: YesNo
    multiplelines: Literal["yes", "no", "no_phone_service"]
    internetservice: Literal["dsl", "fiber_optic", "no"]
    onlinesecurity: OverInternet
    onlinebackup: OverInternet
    deviceprotection: OverInternet
    techsupport: OverInternet
    streamingtv: OverInternet
    streamingmovies: OverInternet
    contract: Literal["month-to-month", "one_year", "two_year"]
    paperlessbilling: YesNo
    paymentmethod: Literal["electronic_check", "mailed_check", "bank_transfer_(automatic)", "credit_card_(automatic)"]
    tenure: int
    monthlycharges: float
    totalcharges: float


class Churn(NamedTuple):
    """How likely the customer leaves, and whether that is likelier than not."""

    churn_probability: float
    churn: bool


model = Model(environ.get("PILOTLIGHT_MODEL", "models/churn"))
places = {name: place for place, name in enumerate(model.settings["features"])}
threshold = model.settings["threshold"]


@endpoint
def handler(customer: Customer) -> Churn:
    """Give the probability that a customer leaves."""
    for name in ("tenure", "monthlycharges", "totalcharges"):
        if getattr(customer, name) < 0:
            raise InputError((f"customer.{name}", "must not be negative"))
    [[_, probability]] = model.run({"features": features(customer)}, ["probabilities"])["probabilities"].tolist()
    return Churn(probability, probability >= threshold)


def features(customer: Customer) -> memoryview:
    """One row of floats, as scikit-learn's DictVectorizer makes it: `name=value` is 1, a number stands as it is.

    What the model was not trained with counts nothing.
    """
    row = array("f", bytes(4 * len(places)))
    for name, value in zip(customer._fields, customer, strict=True):
        feature, number = (f"{name}={value}", 1.0) if isinstance(value, str) else (name, value)
        if feature in places:
            row[places[feature]] = number
    return memoryview(row).cast("B").cast("f", shape=[1, len(row)])
