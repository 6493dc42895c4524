"""Whether a server that works for long grows: short runs one after the other, watched by many. Prints JSON.

    python -m benchmarks.soak --minutes 60 --runs 50 --viewers 10 --json

A real server with a temporary home. Each run trains a small CNN on the sample for two epochs and has an equal part of
the time; `--viewers` websocket sessions come, watch it as browsers do (`benchmarks/viewers.py`), and leave when its
part is over, so that as many come and go as `sessions` says.

- `memory_mb`: of the server process alone, medians over the first run's part after the warm-up, a tenth of the time,
  and over the last run's; `growth`: their ratio - 1.
- `done`, `failed`: runs, failed being every other end, no end within its part and `PATIENCE_SECONDS` more included;
  `reasons` says why.
- `unseen`: sessions whose page did not say at last that the run was done.
- `sessions_left`: connections that the server still counts after everybody has left; `processes_left`: of the
  server's, after its end.
"""

import argparse
import asyncio
import json
import re
import statistics
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

from tqdm import tqdm

from benchmarks.app import Server
from benchmarks.viewers import hall
from cifar_core.data.catalogue import open_images
from cifar_core.experiment.experiment import Data, Experiment
from cifar_core.experiment.measured import State

SHORT = Experiment.parse(
    {
        "data": {"name": "sample", "per_class": 20},
        "phases": [
            {"name": "base", "train_on": "source", "epochs": 1},
            {"name": "tuned", "train_on": "target", "epochs": 1, "freeze": {"rule": "first_blocks", "count": 2}},
        ],
    }
)
PATIENCE_SECONDS = 300.0
SECONDS_TO_LEAVE = 5.0
WARM_UP = 0.1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--runs", type=int, default=50)
    parser.add_argument("--viewers", type=int, default=10)
    parser.add_argument("--json", action="store_true", help="accepted for likeness: the output always is JSON")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        open_images(Data(name="sample"), home=home)
        with Server(home) as server:
            server.wait_for_health()
            document = asyncio.run(_soak(server, 60 * chosen.minutes, chosen.runs, chosen.viewers))
    print(json.dumps({"settings": vars(chosen)} | document | {"processes_left": server.left}, indent=2))


async def _soak(server: Server, seconds: float, runs: int, viewers: int) -> dict[str, Any]:
    began, part = time.monotonic(), seconds / runs
    memory: list[float] = []
    reasons: list[str] = []
    unseen = 0
    for number in tqdm(range(runs)):
        run = server.store.submit(SHORT, number, f"run {number + 1} of {runs}")
        samples = []
        async with hall(f"ws://127.0.0.1:{server.port}/_stcore/stream", run, viewers) as watching:
            over = max(began + (number + 1) * part, time.monotonic())  # late as it may be
            while time.monotonic() < over + PATIENCE_SECONDS:
                await asyncio.sleep(min(1.0, part / 10))
                samples.append(server.memory_mb()["after"])
                if time.monotonic() >= over and server.store.run(run).state.is_finished:
                    break
            await asyncio.sleep(SECONDS_TO_LEAVE)
            unseen += sum("done in " not in viewer.status for viewer in watching)
        found = server.store.run(run)
        if found.state is not State.DONE:
            reasons.append(f"{found.state}: {found.reason}")
        memory.append(statistics.median(samples))
    await asyncio.sleep(SECONDS_TO_LEAVE)
    first, last = memory[min(round(WARM_UP * runs), runs - 1)], memory[-1]
    return {
        "machine": found.environment.get("hardware"),
        "memory_mb": {"after_warm_up": round(first, 1), "end": round(last, 1), "highest": max(memory)},
        "growth": round(last / first - 1, 4),
        "done": runs - len(reasons),
        "failed": len(reasons),
        "reasons": reasons,
        "sessions": runs * viewers,
        "unseen": unseen,
        "sessions_left": _connections(server),
        "minutes": round((time.monotonic() - began) / 60, 1),
        "memory_by_run_mb": memory,
    }


def _connections(server: Server) -> int:
    with urllib.request.urlopen(server.url("_stcore/metrics"), timeout=10) as answer:
        found = re.search(r"^active_sessions\S* (\d+)", answer.read().decode(), re.MULTILINE)
    if found is None:
        raise ValueError("Streamlit's metrics no longer tell the number of active sessions.")
    return int(found[1])


if __name__ == "__main__":
    main()
