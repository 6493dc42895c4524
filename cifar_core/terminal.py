"""What a terminal shows of work that takes a while: bars, and a run that Ctrl-C stops."""

import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

from tqdm import tqdm

from cifar_core.experiment.measured import Run, State
from cifar_core.runs.errors import StoreUnusable
from cifar_core.runs.policy import Leaving, Policy
from cifar_core.runs.store import Store
from cifar_core.runs.supervisor import run_now

STOPPED = 130
"""The exit code where a run did not reach its end, though it may go on elsewhere."""
SECONDS_TO_SAVE_AFTER_CUT = 2.0


@contextmanager
def bars() -> Iterator[Callable[[str, int, int], None]]:
    """Draw how far each of several steps is; Ctrl-C ends them as it stops a run."""
    drawn: dict[str, tqdm[Any]] = {}

    def step(words: str, done: int, total: int) -> None:
        if words not in drawn:
            drawn[words] = tqdm(total=total or None, desc=words, unit_scale=True)
        drawn[words].update(done - drawn[words].n)

    try:
        yield step
    except KeyboardInterrupt:
        sys.exit(STOPPED)
    finally:
        for bar in drawn.values():
            bar.close()


def follow(store: Store, run_id: str, policy: Policy | None = None) -> Run:
    """Run it in a thread and draw its progress; the first Ctrl-C asks it to stop, the second cuts it off.

    Further ones do nothing more: what was measured is still to be printed.
    """
    leaving, presses = Leaving(), []
    ended: Future[Run] = Future()

    def work() -> None:
        try:
            ended.set_result(run_now(store, run_id, policy, leaving))
        except Exception as error:
            ended.set_exception(error)

    before = signal.signal(signal.SIGINT, lambda *_: presses.append(time.monotonic()))
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        with tqdm(total=1.0, bar_format="{percentage:3.0f} %|{bar}| {desc} [{elapsed}<{remaining}]") as bar:
            asked = False
            while thread.is_alive():
                thread.join(0.25)
                if len(presses) > 1 and not leaving.is_set():
                    leaving.begin(SECONDS_TO_SAVE_AFTER_CUT)
                try:
                    if presses and not asked:
                        store.request_stop(run_id)
                        asked = True
                        bar.write("Stopping, and keeping what was measured …", file=sys.stderr)
                    _draw(bar, store.run(run_id))
                except StoreUnusable:
                    bar.set_description_str("the store cannot be used right now, trying again")
    finally:
        if not presses:
            signal.signal(signal.SIGINT, before)
    return ended.result()


def _draw(bar: "tqdm[Any]", current: Run) -> None:
    progress = current.progress
    if progress is not None and current.state is not State.PREPARING:
        bar.n = progress.fraction
        phase = current.experiment.phases[progress.phase - 1]
        bar.set_description_str(f"{phase.name}, epoch {progress.epoch} of {phase.epochs}", refresh=False)
    elif current.state.is_finished:
        bar.n = 1.0 if current.state is State.DONE else bar.n
        bar.set_description_str(current.state.value, refresh=False)
    else:
        bar.set_description_str(current.step or current.state.value, refresh=False)
    bar.refresh()
