"""`pilotlight tune --remote` in a real account: settings measured, what is live as it was, and nothing of it left.

`pytest -m aws -p no:xdist tests/aws` runs it, as test_account.py says. It takes some minutes and costs cents, and has
not been run where the other tests run: there is no account there.
"""

import json
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator

import pytest
from test_account import ECHO, Service, nothing_is_left

from pilotlight.deploy import names, session, tuning
from pilotlight.deploy.session import Session

pytestmark = [pytest.mark.aws, pytest.mark.timeout(1800)]

SETTINGS = ("hello", "--remote", "--memory", "128,512,1769", "--runs", "2", "--requests", "3", "--yes")


@pytest.fixture(scope="module")
def account() -> Session:
    return session.open()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, account: Session) -> Iterator[Service]:
    name = f"pl-tune-{uuid.uuid4().hex[:8]}"
    made = Service(tmp_path_factory.mktemp("service"), name, 'name = "NAME"\n', hello=ECHO)
    done = made.run("deploy", "--yes")
    assert done.code == 0, done.err
    yield made
    done = made.run("destroy", "--yes", "--allow-data-loss")
    assert done.code == 0, done.err
    nothing_is_left(account, name)


def live(account: Session, service: Service) -> tuple[object, ...]:
    client, name = account.client("lambda"), f"{service.name}--hello"
    found = client.get_function_configuration(FunctionName=name)
    alias = client.get_alias(FunctionName=name, Name=names.ALIAS)
    return found["RevisionId"], found["MemorySize"], alias["FunctionVersion"], alias["RevisionId"]


def test_settings_are_measured(service: Service, account: Session) -> None:
    before = live(account, service)
    done = service.run("tune", *SETTINGS)
    assert done.code == 0, done.err
    settings = done.records[-1]["settings"]
    assert [(each["memory"], each["runs"], each["requests"]) for each in settings] == [
        *((128, 2, 6), (512, 2, 6), (1769, 2, 6))
    ]
    for each in settings:
        assert each["init"] > 0, "each round began with a cold start"
        assert each["billed_cold"] >= each["init"]
        assert 0 < each["warm_p50"] < each["cold_p50"]
    assert live(account, service) == before
    assert tuning.left(account, f"{service.name}--hello") == []


def test_an_interrupt_leaves_nothing(service: Service, account: Session) -> None:
    command = [sys.executable, "-m", "pilotlight", "tune", "--dir", str(service.root), *SETTINGS, "--runs", "100"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        next(line for line in process.stderr if "environments: " in line)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=600)
    assert process.returncode == 130, err
    assert tuning.left(account, f"{service.name}--hello") == []
    clean = service.run("tune", "hello", "--remote", "--clean")
    assert (clean.code, "nothing is left of `tune`" in json.dumps(clean.records)) == (0, True)
