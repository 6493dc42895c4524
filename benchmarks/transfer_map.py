"""How long a full transfer map takes: system A's network, four depths, four curves and both bases. Prints JSON.

    python -m benchmarks.transfer_map [--data sample|cifar10] [--per-class N] [--epochs N] [--seeds 3] [--slots N]
                                      [--compare]

The runs are queued in an empty home as the Plan page queues them, and done by a supervisor, `--slots` at a time, each
with an equal part of the processors (as TRANSFER_LAB_RUNS_AT_ONCE and TRANSFER_LAB_RUN_THREADS set it): what begins
alike is trained once, and frozen blocks are computed once (`plan`). With `--compare` the same plan is done once more
with both switched off (`anew`), in another empty home; `ratio` is its minutes / those of `plan`. `seconds` are the
ledgers of all runs, summed by entry; `between` is what passes between two runs. Accuracies differ between the two by
rounding only, which `largest_difference` (of test accuracy, at a point of the map) shows.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from cifar_core.analysis import transfer_map
from cifar_core.data.catalogue import open_images
from cifar_core.data.feature_store import KEPT
from cifar_core.experiment.measured import State
from cifar_core.experiment.recipes import RECIPES
from cifar_core.experiment.settings import apply
from cifar_core.experiment.transfer_map import TransferMap
from cifar_core.limits import THREADS
from cifar_core.runs.store import Store
from cifar_core.runs.supervisor import Supervisor

REUSE = "TRANSFER_LAB_REUSE"  # as `cifar_core.worker` reads it, which imports TensorFlow
SECONDS_BETWEEN_LOOKS = 1.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", choices=["sample", "cifar10"], default="sample")
    parser.add_argument("--per-class", type=int)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--slots", type=int, default=1)
    parser.add_argument("--compare", action="store_true", help="once more, with reuse and stored features switched off")
    parser.add_argument("--json", action="store_true", help="accepted for likeness: the output always is JSON")
    chosen = parser.parse_args()
    settings = [f"data.name={chosen.data}", f"data.per_class={json.dumps(chosen.per_class)}"]
    map = TransferMap.of(apply(RECIPES["a-initial"].experiment, settings), chosen.epochs)
    document: dict[str, Any] = {"settings": vars(chosen)}
    if chosen.slots > 1:
        os.environ[THREADS] = str(max(1, (os.cpu_count() or 1) // chosen.slots))
    document["plan"], accuracies = _timed(map, chosen.seeds, chosen.slots, "on")
    if chosen.compare:
        document["anew"], others = _timed(map, chosen.seeds, chosen.slots, "off")
        document["ratio"] = round(document["anew"]["minutes"] / document["plan"]["minutes"], 2)
        document["largest_difference"] = max(abs(accuracies[point] - others[point]) for point in accuracies)
    print(json.dumps(document, indent=2))


def _timed(map: TransferMap, seeds: int, slots: int, shortcuts: str) -> tuple[dict[str, Any], dict[str, float]]:
    """Do the whole plan in a home of its own; return what it took, and each point's mean accuracy."""
    os.environ |= {REUSE: shortcuts, KEPT: "full" if shortcuts == "on" else "off"}
    plan = transfer_map.plan(map, seeds)
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        images = open_images(map.target.data, home=home)
        store, supervisor = Store(home), Supervisor(home, slots=slots)
        for wanted in plan:
            store.submit(wanted.experiment, wanted.seed, wanted.name)
        began = time.perf_counter()
        supervisor.start()
        try:
            done = -1
            while any(not run.state.is_finished for run in store.runs()):
                time.sleep(SECONDS_BETWEEN_LOOKS)
                if (now := sum(run.state.is_finished for run in store.runs())) != done:
                    done = now
                    print(f"shortcuts {shortcuts}: {done} of {len(list(plan))} runs done", file=sys.stderr)
            took = time.perf_counter() - began
        finally:
            supervisor.stop()
        runs = store.runs()
        if failed := [f"{run.name}: {run.reason}" for run in runs if run.state is not State.DONE]:
            sys.exit("\n".join(failed))
        ledger: Counter[str] = Counter()
        for run in runs:
            ledger.update({entry: seconds for entry, seconds in run.seconds.items() if entry != "queue"})
        rows = transfer_map.table(map, plan.runs(runs))
        environment = runs[0].environment
        store.close()
    document = {
        "runs": len(runs),
        "minutes": round(took / 60, 2),
        "reused": sum("reused" in run.environment for run in runs),
        "seconds": {entry: round(seconds, 1) for entry, seconds in ledger.most_common()}
        | {"between": round(took - ledger.total(), 1)},
        "findings": transfer_map.findings(map, rows),
        "accuracies": {row["point"]: [row["mean"], row["spread"]] for row in rows.to_dict("records")},
        "images": images.provenance,
        "hardware": environment["hardware"],
        "versions": environment["versions"],
    }
    return document, dict(zip(rows["point"], rows["mean"], strict=True))


if __name__ == "__main__":
    main()
