"""How long pages take to open on a store of thousands of runs, in a real server. Prints JSON.

    python -m benchmarks.many_runs [--runs 10000] [--points 1000000] --json

The runs are made up and written with bulk statements. `first_ms` is the first opening of each page after the server's
start, `again_ms` the median of three more: from asking for the page until the server has sent all of it, without the
browser's part. `kb` is what it sends.
"""

import argparse
import json
import statistics
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import insert
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.sync.client import connect

from benchmarks.app import Server
from cifar_core.experiment.experiment import Experiment
from cifar_core.experiment.links import FIRST
from cifar_core.experiment.measured import State
from cifar_core.experiment.settings import apply
from cifar_core.experiment.wording import run_name
from cifar_core.runs.store import Store
from cifar_core.runs.tables import epochs, phases, points, runs

EXPERIMENTS = 2000
EPOCHS = 5
PAGES = ("", "Live", "Results", "Compare", "Plan", "Notebook", "Published")
ENVIRONMENT = {"hardware": "2 cores", "official": True, "provenance": "made up", "fingerprint": "made up"}
METRICS = {"test": {"accuracy": 0.7, "accuracy_low": 0.65, "accuracy_high": 0.75, "n": 400, "loss": 0.8}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--points", type=int, default=1_000_000)
    parser.add_argument("--json", action="store_true", help="accepted for likeness: the output always is JSON")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder))
        fill(store, chosen.runs, chosen.points)
        compared = ",".join(run.id for run in store.runs(limit=2))
        store.close()
        with Server(Path(folder)) as server:
            server.wait_for_health()
            time.sleep(5)  # the supervisor's first steps
            found: dict[str, Any] = {}
            for page in PAGES:
                query = f"runs={compared}" if page == "Compare" else ""
                first, *again = (_open(server.port, page, query) for _ in range(4))
                found[page or "Home"] = {
                    "first_ms": round(1000 * first[0]),
                    "again_ms": round(1000 * statistics.median(seconds for seconds, _ in again)),
                    "kb": round(first[1] / 1000),
                }
            document = {"settings": vars(chosen), "pages": found, "memory_mb": server.memory_mb()}
    print(json.dumps(document, indent=2))


def fill(store: Store, count: int, points_in_all: int) -> None:
    """Add so many finished runs, with so many points among all of their phases."""
    experiments = [_experiment(number) for number in range(min(count, EXPERIMENTS))]
    written = [(each.to_json(), each) for each in experiments]
    began = datetime.now(UTC) - timedelta(minutes=count)
    of_each = max(1, points_in_all // (count * len(FIRST.phases)))
    for start in range(0, count, 500):
        numbers = range(start, min(start + 500, count))
        ids = {number: f"r{number:07d}" for number in numbers}
        of_phase = [(run, phase) for run in ids.values() for phase in range(len(FIRST.phases))]
        with store._database.writing() as connection:
            connection.execute(
                insert(runs),
                [
                    {
                        "id": run,
                        "name": run_name(written[number % len(written)][1], number // len(written)),
                        "experiment": written[number % len(written)][0],
                        "seed": number // len(written),
                        "state": State.DONE,
                        "position": number,
                        "created": began + timedelta(minutes=number),
                        "started": began + timedelta(minutes=number),
                        "finished": began + timedelta(minutes=number + 1),
                        "metrics": METRICS,
                        "environment": ENVIRONMENT,
                        "seconds": {"steps": 40.0, "evaluation": 1.0},
                        "person": f"person {number % 20}",
                        "version": 60,
                    }
                    for number, run in ids.items()
                ],
            )
            connection.execute(
                insert(phases),
                [{"run": run, "phase": phase, "name": FIRST.phases[phase].name} for run, phase in of_phase],
            )
            connection.execute(
                insert(epochs),
                [
                    {
                        "run": run, "phase": phase, "epoch": epoch, "loss": 1 / epoch, "accuracy": 0.5, "val_loss": 1.1,
                        "val_accuracy": 0.4, "learning_rate": 1e-3, "seconds": 2.0, "images_per_second": 500.0,
                        "images": 1000, "at": 2.0 * epoch,
                    }
                    for run, phase in of_phase
                    for epoch in range(1, EPOCHS + 1)
                ],
            )  # fmt: skip
            connection.execute(
                insert(points),
                [
                    {"run": run, "phase": phase, "number": number, "epoch": EPOCHS * number / of_each,
                     "loss": 1.0, "accuracy": 0.5, "at": float(number)}
                    for run, phase in of_phase
                    for number in range(1, of_each + 1)
                ],
            )  # fmt: skip


def _experiment(number: int) -> Experiment:
    return apply(FIRST, [f"phases.1.learning_rate={1e-4 * (1 + number)}"])


def _open(port: int, page: str, query: str) -> tuple[float, int]:
    """Open a page in a session of its own; return the seconds until all of it had come, and its bytes."""
    received, url = 0, f"ws://127.0.0.1:{port}/_stcore/stream"
    with connect(url, subprotocols=["streamlit"], max_size=None, compression=None) as socket:  # type: ignore[list-item]
        opening = BackMsg()
        opening.rerun_script.query_string, opening.rerun_script.page_name = query, page
        asked = time.perf_counter()
        socket.send(opening.SerializeToString())
        while True:
            frame = socket.recv(timeout=120)
            assert isinstance(frame, bytes)
            received += len(frame)
            message = ForwardMsg.FromString(frame)
            if message.WhichOneof("type") == "script_finished":
                return time.perf_counter() - asked, received


if __name__ == "__main__":
    main()
