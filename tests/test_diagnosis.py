"""What a bug report says: all parts of it, what is wrong, and no secret."""

import json
import sqlite3
import sys
from pathlib import Path

import pytest

from cifar_core.diagnosis import diagnosis, switches, text
from cifar_core.runs.store import Store
from tests.filled_store import claim, queue


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.delenv("TRANSFER_LAB_STORE", raising=False)
    return tmp_path / "home"


ENVIRONMENT = {"STREAMLIT_SERVER_PORT": "1"}


def test_an_installation_that_was_never_used_has_no_problems_and_stays_untouched(home: Path) -> None:
    found = diagnosis(home, ENVIRONMENT)
    assert found["problems"] == []
    assert found["store"]["runs"] == "none yet"
    assert found["data"] == {"CIFAR-10": "not on this computer"}
    assert "nothing answers" in found["app"]["health"]
    assert not home.exists()


def test_runs_are_counted_by_their_state(home: Path) -> None:
    store = Store(home)
    claim(store)
    queue(store)
    queue(store, seed=1)
    store.close()
    found = diagnosis(home, ENVIRONMENT)
    assert found["store"]["runs"] == {"preparing": 1, "queued": 2}
    assert found["store"]["check"] == "ok"
    assert "runs: preparing 1, queued 2" in text(found)
    json.dumps(found)


def test_a_damaged_store_is_a_problem(home: Path) -> None:
    Store(home).close()
    (home / "store.sqlite").write_bytes(b"SQLite format 3\0" + bytes(2000))
    (problem,) = diagnosis(home, ENVIRONMENT)["problems"]
    assert problem.startswith("The store is damaged: ")


def test_the_store_of_another_version_is_left_as_it_is(home: Path) -> None:
    Store(home).close()
    with sqlite3.connect(home / "store.sqlite") as connection:
        connection.execute("UPDATE schema SET version = 99")
    assert diagnosis(home, ENVIRONMENT)["store"]["schema"] == 99
    with sqlite3.connect(home / "store.sqlite") as connection:
        assert connection.execute("SELECT version FROM schema").fetchone() == (99,)


def test_a_limit_that_cannot_be_meant_is_a_problem_and_the_rest_is_still_told(home: Path) -> None:
    found = diagnosis(home, ENVIRONMENT | {"TRANSFER_LAB_RUN_MINUTES": "soon"})
    assert found["problems"] == ['TRANSFER_LAB_RUN_MINUTES: expected a number above 0, received "soon".']
    assert found["disk"]["free"] > 0


def test_a_number_of_runs_that_cannot_be_meant_is_a_problem(home: Path) -> None:
    wrong = {"TRANSFER_LAB_RUNS_PER_PERSON": "five", "TRANSFER_LAB_RUNS_AT_ONCE": "2"}
    assert diagnosis(home, ENVIRONMENT | wrong)["problems"] == [
        'TRANSFER_LAB_RUNS_PER_PERSON: expected a whole number from 1 on, received "five". It counts as 1.'
    ]


@pytest.mark.skipif(sys.platform == "win32", reason="what stands for the driver is a shell script")
@pytest.mark.parametrize(
    ("script", "found"),
    [
        ("echo GPU 0: NVIDIA A100; echo GPU 1: NVIDIA A100", ["GPU 0: NVIDIA A100", "GPU 1: NVIDIA A100"]),
        ("echo the driver is not loaded >&2; exit 9", ["the driver is not loaded"]),
        (None, []),
    ],
)
def test_graphics_cards_are_told_as_their_driver_does(
    script: str | None, found: list[str], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if script is not None:
        command = home.with_name("nvidia-smi")
        command.write_text(f"#!/bin/sh\n{script}\n")
        command.chmod(0o755)
    monkeypatch.setenv("PATH", str(home.parent))
    assert diagnosis(home, ENVIRONMENT)["hardware"]["graphics cards"] == found


def test_no_secret_is_shown() -> None:
    shown = switches(
        {
            "TRANSFER_LAB_PRESENTER": "hidden",
            "STREAMLIT_COOKIE_SECRET": "hidden",
            "TRANSFER_LAB_STORE": "postgresql://me:hidden@host/db?sslpassword=hidden&sslmode=require",
            "TRANSFER_LAB_REUSE": "off",
            "HOME": "/somewhere",
        }
    )
    assert "hidden" not in json.dumps(shown)
    assert shown["TRANSFER_LAB_REUSE"] == "off"
    assert "host/db" in shown["TRANSFER_LAB_STORE"]
    assert "HOME" not in shown


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("postgresql://lab:hid/den@head/lab", "postgresql://…@head/lab"),
        ("postgresql://lab:hid den@head/lab", "postgresql://…@head/lab"),
        ("s3://key:hid@den@bucket/runs", "s3://…@bucket/runs"),
        ("postgresql+psycopg://lab@head/lab", "postgresql+psycopg://…@head/lab"),
        ("tls://head:8786", "tls://head:8786"),
    ],
)
def test_whatever_signs_a_password_holds_none_of_it_is_shown(address: str, shown: str) -> None:
    assert switches({"TRANSFER_LAB_STORE": address}) == {"TRANSFER_LAB_STORE": shown}


def test_the_object_store_is_asked_and_what_is_wrong_with_it_is_a_problem(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert diagnosis(home, ENVIRONMENT)["object store"] == {"at": "none: files of runs are in the home only"}
    monkeypatch.setenv("TRANSFER_LAB_ARTIFACTS", f"file://{tmp_path}/bucket")
    assert diagnosis(home, ENVIRONMENT)["object store"] == {"at": f"file://{tmp_path}/bucket", "check": "answers"}
    monkeypatch.setenv("TRANSFER_LAB_ARTIFACTS", "s3://ada:topsecret@lab")
    (problem,) = diagnosis(home, ENVIRONMENT)["problems"]
    assert "holds a password" in problem and "topsecret" not in problem


def test_keys_of_an_object_store_are_not_shown() -> None:
    found = switches({"AWS_SECRET_ACCESS_KEY": "topsecret", "FSSPEC_S3": "topsecret", "AWS_ENDPOINT_URL": "http://s3"})
    assert found == {"AWS_ENDPOINT_URL": "http://s3"}
