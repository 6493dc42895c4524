"""What can happen to a store on a server, and that nothing secret is told."""

import logging
import os
import socket
import subprocess
import sys
import threading
import time
import traceback

import pytest

from cifar_core.experiment.measured import State
from cifar_core.runs import database, postgresql
from cifar_core.runs.errors import StoreUnusable
from cifar_core.runs.files import Files
from cifar_core.runs.patience import Patience
from cifar_core.runs.store import Store
from tests.runs.helpers import ROOT, submit, wait_for
from tests.runs.postgresql import PASSWORD, Server

pytestmark = pytest.mark.parametrize("address", ["postgresql"], indirect=True)


def cut_off(server: Server) -> None:
    """End all connections but this one, as a restart of the server does."""
    with server.connect() as connection:
        others = "FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND usename = 'postgres'"
        connection.execute(f"SELECT pg_terminate_backend(pid) {others}")


def over_the_network(server: Server, address: str) -> str:
    """The same store where a password is asked for."""
    return (
        address.replace("@/", "@127.0.0.1/")
        .replace(f"host={server.folder}&port={server.port}&", "")
        .replace("127.0.0.1/", f"127.0.0.1:{server.port}/")
    )


def test_the_home_holds_no_database(store: Store) -> None:
    submit(store)
    assert not list(store.home.glob("*.sqlite*"))


def test_homes_with_one_address_share_their_runs(store: Store) -> None:
    run = store.run(submit(store))
    elsewhere = Store(store.home.parent / "elsewhere")
    assert elsewhere.run(run.id) == run
    elsewhere.close()


def test_writers_are_alone_from_their_beginning(store: Store) -> None:
    run = submit(store)
    renamed = threading.Event()

    def rename() -> None:
        store.rename(run, "later")
        renamed.set()

    with store._database.writing() as connection:
        threading.Thread(target=rename).start()
        assert not renamed.wait(0.2)
        assert store._state(connection, run) is State.QUEUED
    assert renamed.wait(5)


def test_a_reader_sees_one_moment(store: Store) -> None:
    run = submit(store)
    with store._database.reading() as connection:
        assert store._state(connection, run) is State.QUEUED
        store.request_stop(run)
        assert store._state(connection, run) is State.QUEUED
    assert store.run(run).state is State.STOPPED


def test_a_machine_lost_while_it_writes_holds_nobody_up(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.3)
    lost = Store(store.home)
    stuck = lost._database.writing()
    stuck.__enter__()
    began = time.monotonic()
    submit(store)  # has to wait for the other, but only until the server drops it
    assert 0.1 < time.monotonic() - began < 5
    with pytest.raises(StoreUnusable, match="idle-in-transaction timeout"):
        stuck.__exit__(None, None, None)
    lost.close()


def test_a_server_that_was_restarted_is_used_again(store: Store, server: Server) -> None:
    run = submit(store)
    cut_off(server)
    assert store.run(run).state is State.QUEUED


def waits_for_its_turn(server: Server) -> bool:
    """Whether a writer waits for another one."""
    with server.connect() as connection:
        waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        return bool((connection.execute(waiting).fetchone() or [0])[0])


def test_what_a_restart_of_the_server_cuts_off_is_written_all_the_same(store: Store, server: Server) -> None:
    run = submit(store)
    store.claim("owner")
    with server.connect() as other:
        other.execute(f"SELECT pg_advisory_lock({postgresql._LOCK})")
        write = threading.Thread(target=Patience(), args=(store.set_state, run, "owner", State.TRAINING))
        write.start()
        wait_for(lambda: waits_for_its_turn(server), "a writer that waits")
        cut_off(server)
    write.join(20)
    assert store.run(run).state is State.TRAINING


def test_a_run_whose_renewal_has_to_wait_as_long_as_the_look_at_leases_is_not_interrupted(
    store: Store, server: Server
) -> None:
    submit(store)
    store.claim("owner", lease=1.0)
    found: list[list[str]] = []
    with server.connect() as other:
        other.execute(f"SELECT pg_advisory_lock({postgresql._LOCK})")
        look = threading.Thread(target=lambda: found.append(store.reconcile()))
        look.start()
        wait_for(lambda: waits_for_its_turn(server), "a look that waits")
        wait_for(lambda: _is_overdue(store), "the end of the lease")
        other.execute(f"SELECT pg_advisory_unlock({postgresql._LOCK})")
    look.join(20)
    assert found == [[]]
    assert store.reconcile()


def test_a_run_whose_lease_ended_while_the_look_at_leases_was_not_answered_is_not_interrupted(
    store: Store, server: Server
) -> None:
    submit(store)
    store.claim("owner", lease=1.0)
    over, found = time.monotonic() + 1.5, list[list[str]]()
    look = threading.Thread(target=lambda: found.append(store.reconcile()))
    frozen = server.processes()
    for process in frozen:
        process.suspend()
    look.start()
    wait_for(lambda: time.monotonic() > over, "the end of the lease")
    for process in frozen:
        process.resume()
    look.join(20)
    assert found == [[]]
    assert store.reconcile()


def _is_overdue(store: Store) -> bool:
    return not store.is_claimed(store.runs()[0].id, "owner")


def test_text_that_postgresql_cannot_hold_is_no_reason_to_lose_a_run(store: Store) -> None:
    run = submit(store)
    store.claim("owner")
    store.finish(run, "owner", State.FAILED, reason="its last words: \0\0")
    assert store.run(run).reason == "its last words: ␀␀"


def test_artifacts_of_many_gigabytes_have_a_size(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    run = submit(store)
    store.claim("owner")
    monkeypatch.setattr(Files, "size", lambda *_: 5_000_000_000)
    store.finish(run, "owner", State.DONE)
    assert store.run(run).size == 5_000_000_000


def test_leases_go_by_the_clock_of_the_server(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    submit(store)
    store.claim("owner")
    monkeypatch.setattr(time, "time", lambda: 4e9)
    assert store.reconcile() == []


def test_the_password_comes_from_the_environment_and_is_never_told(
    store: Store, server: Server, address: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("TRANSFER_LAB_STORE", over_the_network(server, address))
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    with caplog.at_level(logging.DEBUG):
        remote = Store(store.home)
        submit(remote)
        cut_off(server)
        monkeypatch.setenv("PGPASSWORD", f"not {PASSWORD}")
        with pytest.raises(StoreUnusable, match=r"on 127\.0\.0\.1 cannot be reached: .*password") as refused:
            remote.runs()
    assert PASSWORD not in caplog.text + "".join(traceback.format_exception(refused.value))
    remote.close()


def test_a_worker_reaches_the_server_with_encryption(
    store: Store, server: Server, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRANSFER_LAB_STORE", f"{over_the_network(server, address)}&sslmode=require")
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    program = (
        "import sys; from pathlib import Path; import cifar_core.worker.__main__; assert 'tensorflow' in sys.modules; "
        "from cifar_core.runs.store import Store; Store(Path(sys.argv[1])).runs()"
    )
    done = subprocess.run([sys.executable, "-c", program, str(store.home)], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]


def test_both_ends_notice_that_the_other_is_lost_within_seconds(
    store: Store, server: Server, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRANSFER_LAB_STORE", over_the_network(server, address))
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    remote = Store(store.home)
    names = ("tcp_keepalives_idle", "tcp_keepalives_interval")
    with remote._database.reading() as connection:
        theirs = [int(connection.exec_driver_sql(f"SHOW {name}").scalar_one()) for name in names]
        with socket.socket(fileno=os.dup(connection.connection.driver_connection.fileno())) as own:  # type: ignore[union-attr]
            ours = [own.getsockopt(socket.IPPROTO_TCP, at) for at in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL)]
    remote.close()
    assert all(sum(seconds) <= 20 for seconds in (theirs, ours))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("postgresql://ada:topsecret@localhost/lab", "holds a password.*PGPASSWORD"),
        ("postgresql://ada@localhost/lab?password=topsecret", "holds a password.*PGPASSWORD"),
        ("mysql://ada:topsecret@localhost/lab", "begins with mysql"),
        ("topsecret", "expects an address such as postgresql"),
        ("postgresql://localhost:1/lab", "cannot be reached: .*Check that PostgreSQL runs there"),
    ],
)
def test_a_wrong_address_is_said_without_secrets(
    store: Store, wrong: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRANSFER_LAB_STORE", wrong)
    with pytest.raises(StoreUnusable, match=said) as refused:
        Store(store.home)
    assert "topsecret" not in str(refused.value)
