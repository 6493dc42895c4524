"""Runs on machines that a Dask cluster offers, with a store in PostgreSQL; processes stand for the machines."""

import dataclasses
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import dask
import pytest
import trustme
from sqlalchemy import select

from cifar_core.experiment.measured import State
from cifar_core.runs import places, postgresql, tables
from cifar_core.runs.cluster import refusal
from cifar_core.runs.places import Capacity, Machine
from cifar_core.runs.store import Store
from cifar_core.runs.supervisor import Supervisor
from tests.runs.helpers import QUICK, ROOT, ended, is_alive, start, submit, training, wait_for
from tests.runs.machines import Machines, cluster
from tests.runs.postgresql import Server

PATIENT = dataclasses.replace(QUICK, lease=3.0, heartbeat=0.3, poll=0.1)
NO_RERUNS = {"DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "0"}


@pytest.fixture(scope="module")
def machines(server: Server) -> Iterator[Machines]:
    """Two machines, which know the store from their environment."""
    address = server.new_store()
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("TRANSFER_LAB_STORE", address)
        with cluster({}, "--host", "127.0.0.1") as machines:
            machines.join("a")
            machines.join("b")
            yield machines


@pytest.fixture
def store(machines: Machines, tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "home")
    yield store
    for run in store.runs():
        store.request_stop(run.id)
    store.close()


@pytest.fixture
def supervisor(machines: Machines, store: Store) -> Iterator[Supervisor]:
    supervisor = Supervisor(store.home, policy=PATIENT, cluster=machines.address)
    supervisor.start()
    yield supervisor
    supervisor.stop(timeout=5)


def places_are(sentence: str) -> None:
    wait_for(lambda: str(places.capacity()) == sentence, sentence)


def working_on(store: Store, run: str, machines: Machines, name: str) -> bool:
    """Whether the run's process belongs to a machine."""
    pid = int((store.files.folder(run) / "pid.txt").read_text())
    return pid in [process.pid for process in machines[name].children(recursive=True)]


def lease_is_over(store: Store, run: str) -> bool:
    """Whether the lease of a run ended a second ago, and nobody has renewed it."""
    overdue = select(tables.runs.c.id).where(
        tables.runs.c.id == run, tables.runs.c.lease_until < store._database.now() - 1
    )
    with store._database.reading() as connection:
        return connection.execute(overdue).first() is not None


def test_runs_are_worked_on_by_the_machines_and_the_places_are_shown(
    store: Store, supervisor: Supervisor, machines: Machines
) -> None:
    places_are("0 of 2 places busy: a 0 of 1, b 0 of 1.")
    runs = [submit(store, "trains") for _ in range(2)]
    following = submit(store)
    for run in runs:
        training(store, run)
    places_are("2 of 2 places busy: a 1 of 1, b 1 of 1.")
    assert [working_on(store, run, machines, "a") for run in runs].count(True) == 1
    assert store.run(following).state is State.QUEUED
    store.request_stop(runs[0])
    assert (ended(store, runs[0]).state, ended(store, runs[0]).reason) == (State.STOPPED, "by itself")
    assert ended(store, following).state is State.DONE
    assert "this worker finishes" in (store.files.folder(following) / "log.txt").read_text()


def test_a_worker_that_dies_on_a_machine_fails_its_run_with_the_end_of_its_log(
    store: Store, supervisor: Supervisor
) -> None:
    failed = ended(store, submit(store, "raises"))
    assert failed.state is State.FAILED
    assert "the network fell over" in failed.reason and "exit code 1" in failed.reason
    assert failed.reason.startswith(("Its process on a ", "Its process on b "))


def test_a_worker_that_does_not_stop_is_killed_where_it_is(store: Store, supervisor: Supervisor) -> None:
    run = submit(store, "ignores everything")
    worker = training(store, run)
    store.request_stop(run)
    assert ended(store, run).state is State.STOPPED
    assert "did not stop by itself" in store.run(run).reason
    assert not is_alive(worker)


@pytest.mark.parametrize("loss", ["killed", "frozen"])
def test_a_lost_machine_is_told_within_the_lease_and_nothing_is_run_again(
    store: Store, supervisor: Supervisor, machines: Machines, loss: str
) -> None:
    run = submit(store, "trains")
    training(store, run)
    name = "a" if working_on(store, run, machines, "a") else "b"
    frozen = [machines[name], *machines[name].children(recursive=True)]
    began = time.monotonic()
    if loss == "killed":
        machines.kill(name)  # this scheduler may start the task again on the other machine, and does
    else:
        for process in frozen:
            process.suspend()
    assert ended(store, run).state is State.INTERRUPTED
    assert time.monotonic() - began < PATIENT.lease + 2
    assert f"The machine {name} that ran it was lost." in store.run(run).reason
    assert ended(store, submit(store)).state is State.DONE
    assert (store.files.folder(run) / "executions.txt").read_text() == "once\n"
    if loss == "killed":
        machines.join(name)
    else:
        for process in frozen:
            process.resume()
        wait_for(lambda: not is_alive(frozen[1].pid), "the end of a process whose run is not its own any more")
    places_are("0 of 2 places busy: a 0 of 1, b 0 of 1.")


@pytest.mark.parametrize("database", ["busy", "silent"])
def test_a_database_that_is_away_for_longer_than_a_lease_costs_no_run(
    store: Store, supervisor: Supervisor, server: Server, database: str
) -> None:
    run = submit(store, "trains")
    training(store, run)
    if database == "busy":  # it can be read, but nobody can renew a lease
        with server.connect() as other:
            other.execute(f"SELECT pg_advisory_lock({postgresql._LOCK})")
            wait_for(lambda: lease_is_over(store, run), "the end of the lease")
    else:
        frozen, back = server.processes(), time.monotonic() + PATIENT.lease + 2
        for process in frozen:
            process.suspend()
        wait_for(lambda: time.monotonic() > back, "longer than the lease")
        for process in frozen:
            process.resume()
    before = len(store.history(run)[0].epochs)
    wait_for(lambda: not lease_is_over(store, run), "a renewed lease")
    wait_for(lambda: len(store.history(run)[0].epochs) > before + 20, "more epochs")
    assert store.run(run).state is State.TRAINING
    store.request_stop(run)
    assert (ended(store, run).state, ended(store, run).reason) == (State.STOPPED, "by itself")
    assert (store.files.folder(run) / "executions.txt").read_text() == "once\n"


def test_a_server_that_stops_lets_the_machines_save(store: Store, supervisor: Supervisor, machines: Machines) -> None:
    run = submit(store, "trains")
    worker = training(store, run)
    supervisor.stop(timeout=5)
    assert (store.run(run).state, store.run(run).reason) == (State.INTERRUPTED, "by itself")
    assert not is_alive(worker)


def test_a_killed_server_leaves_no_process_on_a_machine(store: Store, machines: Machines) -> None:
    run = submit(store, "hangs")
    supervising = start("supervising", store.home, machines.address)
    worker = training(store, run)
    supervising.kill()
    supervising.communicate()
    wait_for(store.reconcile, "the truth")
    assert store.run(run).state is State.INTERRUPTED
    wait_for(lambda: not is_alive(worker), "the end of the worker")


def test_machines_that_share_files_through_an_object_store_have_homes_of_their_own(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRANSFER_LAB_STORE", server.new_store())
    monkeypatch.setenv("TRANSFER_LAB_ARTIFACTS", f"file://{tmp_path}/bucket")
    store = Store(tmp_path / "home")
    with cluster({"TRANSFER_LAB_HOME": str(tmp_path / "machine")}, "--host", "127.0.0.1") as machines:
        machines.join("a")
        supervisor = Supervisor(store.home, policy=PATIENT, cluster=machines.address)
        supervisor.start()
        try:
            wait_for(lambda: str(places.capacity()) == "0 of 1 places busy: a 0 of 1.", "the machine", 60)
            run = submit(store)
            assert ended(store, run).state is State.DONE
            assert {path.name for path in (tmp_path / "machine" / "runs" / run).iterdir()} >= {"pid.txt", "log.txt"}
            assert not list(store.files.folder(run).iterdir())
            monkeypatch.setenv("TRANSFER_LAB_ARTIFACTS", f"file://{tmp_path}/another")
            assert ended(store, run := submit(store)).state is State.FAILED
            assert "Set TRANSFER_LAB_ARTIFACTS there as on the server." in store.run(run).reason
        finally:
            supervisor.stop(timeout=5)
            store.close()


def test_a_machine_that_sees_another_store_says_so(
    machines: Machines, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TRANSFER_LAB_STORE")
    in_a_file = Store(tmp_path)
    run = submit(in_a_file)
    supervisor = Supervisor(tmp_path, policy=PATIENT, cluster=machines.address)
    supervisor.start()
    assert ended(in_a_file, run).state is State.FAILED
    assert "does not find this run in its store. Set TRANSFER_LAB_STORE there" in in_a_file.run(run).reason
    supervisor.stop(timeout=5)
    in_a_file.close()


def test_two_servers_share_the_machines(store: Store, supervisor: Supervisor, machines: Machines) -> None:
    other = Supervisor(store.home, policy=PATIENT, cluster=machines.address)
    other.start()
    runs = [submit(store) for _ in range(3)]
    for run in runs:
        assert ended(store, run).state is State.DONE
        assert (store.files.folder(run) / "executions.txt").read_text() == "once\n"
    other.stop(timeout=5)


def certificates(folder: Path) -> dict[str, str]:
    """Make an authority and one certificate for all; return Dask's settings that name the files, by variable."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "authority.pem")
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(folder / "own.pem")
    roles = [f"{role}__{kind}" for role in ("SCHEDULER", "WORKER", "CLIENT") for kind in ("CERT", "KEY")]
    files = {"CA_FILE": "authority.pem"} | dict.fromkeys(roles, "own.pem")
    return {f"DASK_DISTRIBUTED__COMM__TLS__{name}": str(folder / file) for name, file in files.items()}


def test_an_encrypted_cluster_without_reruns_tells_a_lost_machine_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TRANSFER_LAB_STORE", raising=False)
    settings = certificates(tmp_path)
    store = Store(tmp_path / "home")
    run, following = submit(store, "trains"), submit(store)
    with (
        dask.config.set({name[len("DASK_") :].lower().replace("__", "."): file for name, file in settings.items()}),
        cluster(settings | NO_RERUNS, "--host", "tls://127.0.0.1") as machines,
    ):
        assert machines.address.startswith("tls://")
        machines.join("a", places=2)
        supervisor = Supervisor(store.home, policy=PATIENT, cluster=machines.address)
        supervisor.start()
        training(store, run)
        assert ended(store, following).state is State.DONE  # beside it, on the same machine
        machines.kill("a")
        killed = time.monotonic()
        assert ended(store, run).state is State.INTERRUPTED
        assert time.monotonic() - killed < PATIENT.lease
        assert "The machine a that ran it was lost." in store.run(run).reason
        assert (store.files.folder(run) / "executions.txt").read_text() == "once\n"
        supervisor.stop(timeout=5)
    store.close()


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("tcp://192.0.2.1:8786", "without encryption"),
        ("192.0.2.1:8786", "without encryption"),
        ("tcp://scheduler:8786", "without encryption"),
        ("tcp://[2001:db8::1]:8786", "without encryption"),
        ("http://192.0.2.1", "expects an address such as tls://"),
        ("tls://scheduler:8786", "cannot share a store in a file"),
        ("tcp://127.0.0.1:8786", ""),
        ("localhost:8786", ""),
        ("tcp://[::1]:8786", ""),
    ],
)
def test_an_address_that_is_not_safe_is_refused(address: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRANSFER_LAB_STORE", raising=False)
    found = refusal(address)
    assert said in found
    assert bool(said) == bool(found)


def test_places_are_told_in_words() -> None:
    assert str(Capacity([Machine("a", 2, 1), Machine("b", 2, 1)])) == "2 of 4 places busy: a 1 of 2, b 1 of 2."
    assert str(Capacity(problem="Nothing is there.")) == "Nothing is there."


def test_a_server_without_a_cluster_knows_neither_dask_nor_psycopg(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TRANSFER_LAB_STORE", raising=False)
    program = (
        "import sys; from pathlib import Path; from cifar_core.runs.supervisor import Supervisor; "
        "Supervisor(Path(sys.argv[1])); print(*{'distributed', 'dask', 'psycopg'} & sys.modules.keys())"
    )
    found = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert found.stdout == "\n"
