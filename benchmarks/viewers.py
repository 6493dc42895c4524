"""What many viewers of one live run cost, in a real server and real websocket sessions. Prints JSON.

    python -m benchmarks.viewers --viewers 100 --seconds 20 --json

The server starts with a temporary home and trains one long run. In turns, nobody watches, and `--viewers` sessions
watch its Live page as a browser does (the same messages, runs of fragments as often as the server asks for them, known
messages as references), from one process on the same machine, whose own CPU is `load_cores`.

- `p50_ms`, `p95_ms`: from a measured point's being in the store until a viewer's charts show it, or a later one; of
  all points and all viewers. `points_missed` is the share that had not come when listening ended.
- `updates_per_s`: charts with something new that arrived, all viewers together; `updates_per_viewer_s`: each viewer.
- `looks_per_s`: fragments that were run, all viewers together: none but for a change of the page where news is sent.
- `app_rss_mb`, `app_cores`: the server process alone, at its highest and on average; `app_cores_alone`: without
  viewers. `viewer_cpu_ms` is the difference, per viewer and second.
- `training_slowdown`: 1 - epochs per second with viewers / without, medians of the turns; negative when faster.
"""

import argparse
import asyncio
import json
import multiprocessing
import statistics
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import psutil
import pyarrow  # type: ignore[import-untyped]
from sqlalchemy import func, select
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.asyncio.client import ClientConnection, connect

from benchmarks.app import Server, until
from cifar_core.data.catalogue import open_images
from cifar_core.experiment.experiment import Data, Experiment, Head, Phase
from cifar_core.runs.store import Store
from cifar_core.runs.tables import points

LONG = Experiment(phases=(Phase(name="base", train_on="source", head=Head(), epochs=5000),))
# Between the beginnings of two sessions: a hall does not open a link in one instant.
ARRIVAL_SECONDS = 0.05
LOOK_SECONDS = 0.02
# How long viewers listen after a turn, for points that were measured at its end.
LATE_SECONDS = 3.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--viewers", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=20.0, help="of each turn")
    parser.add_argument("--turns", type=int, default=2, help="with viewers, each after one without")
    parser.add_argument("--json", action="store_true", help="accepted for likeness: the output always is JSON")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        open_images(Data(name="sample"), home=home)
        with Server(home) as server:
            server.wait_for_health()
            run = server.store.submit(LONG, 0, "a lecture's run")
            until(lambda: any(phase.points for phase in server.store.history(run)), 300, pause=0.2)
            time.sleep(5)
            document = _measure(server, run, chosen.viewers, chosen.seconds, chosen.turns)
            document = {"machine": server.store.run(run).environment["hardware"], "settings": vars(chosen)} | document
            server.store.request_stop(run)
            until(lambda: server.store.run(run).state.is_finished, 30)
    print(json.dumps(document, indent=2))


def _measure(server: Server, run: str, viewers: int, seconds: float, turns: int) -> dict[str, Any]:
    watched = _Watched(server.store, run)
    rates: dict[str, list[float]] = {"without": [], "with": []}
    seen: list[_Seen] = []
    ages: list[float] = []
    cpu, idle, load, missed = 0.0, 0.0, 0.0, 0
    for _ in range(turns):
        time.sleep(2)
        before = server.cpu()
        rates["without"].append(watched.rate(lambda: time.sleep(seconds)))
        idle += server.cpu() - before
        ours, theirs = multiprocessing.get_context("spawn").Pipe()
        process = multiprocessing.get_context("spawn").Process(
            target=_watch, args=(f"ws://127.0.0.1:{server.port}/_stcore/stream", run, viewers, theirs)
        )
        process.start()
        assert ours.recv() == "ready"
        began, before, load_before = time.time(), server.cpu(), _cpu(process.pid)
        ours.send("go")
        rates["with"].append(watched.rate(lambda: time.sleep(seconds)))
        cpu, load, ended = cpu + server.cpu() - before, load + _cpu(process.pid) - load_before, time.time()
        time.sleep(LATE_SECONDS)
        ours.send("leave")
        found: list[_Seen] = ours.recv()
        process.join(30)
        new = {point: at for point, at in watched.since.items() if began <= at <= ended}
        for viewer in found:
            for point, at in new.items():
                shown = next((when for last, when in viewer.charts if last >= point), None)
                missed += shown is None
                ages.append((shown or ended + LATE_SECONDS) - at)
        seen += [viewer.until(ended) for viewer in found]
    watched.end()
    whole, updates = seconds * turns, sum(len(viewer.charts) for viewer in seen)
    return {
        **_percentiles(ages),
        "updates_per_s": round(updates / whole, 1),
        "updates_per_viewer_s": round(updates / whole / viewers, 2),
        "app_rss_mb": server.memory_mb()["highest"],
        "training_slowdown": round(1 - statistics.median(rates["with"]) / statistics.median(rates["without"]), 3),
        "epochs_per_s": {name: [round(rate, 4) for rate in those] for name, those in rates.items()},
        "points_missed": round(missed / max(1, len(ages)), 4),
        "points_per_s": round(len(ages) / viewers / whole, 2),
        "looks_per_s": round(sum(len(viewer.looks) for viewer in seen) / whole, 1),
        "viewer_cpu_ms": round(1000 * (cpu - idle) / viewers / whole, 2),
        "app_cores": round(cpu / whole, 3),
        "app_cores_alone": round(idle / whole, 3),
        "load_cores": round(load / whole, 3),
        "kb_per_viewer_s": round(sum(viewer.bytes for viewer in seen) / 1000 / viewers / (whole + LATE_SECONDS), 1),
    }


def _percentiles(seconds: list[float]) -> dict[str, float | None]:
    if len(seconds) < 2:
        return {"p50_ms": None, "p95_ms": None}
    cuts = statistics.quantiles(seconds, n=20)
    return {"p50_ms": round(1000 * cuts[9], 1), "p95_ms": round(1000 * cuts[18], 1)}


def _cpu(pid: int | None) -> float:
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


class _Watched:
    """The run as the store shows it, looked at often: when each point came, and how fast it trains."""

    def __init__(self, store: Store, run: str):
        self.since: dict[float, float] = {}
        self._store = Store(store.home)
        self._query = select(func.max(points.c.epoch)).where(points.c.run == run)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def rate(self, wait: Callable[[], object]) -> float:
        """Epochs per second while `wait` lasts."""
        began, first = time.time(), max(self.since, default=0.0)
        wait()
        later = {epoch: at for epoch, at in self.since.items() if at >= began}
        return (max(later) - first) / (later[max(later)] - self.since.get(first, began))

    def end(self) -> None:
        self._over.set()
        self._thread.join()
        self._store.close()

    def _look(self) -> None:
        while not self._over.wait(LOOK_SECONDS):
            with self._store._database.reading() as connection:
                last = connection.execute(self._query).scalar()
            if last is not None:
                self.since.setdefault(round(last, 6), time.time())


@dataclass
class _Seen:
    """What one viewer saw: the last epoch of each newer chart and when it came, when looks ended, bytes received."""

    charts: list[tuple[float, float]] = field(default_factory=list)
    looks: list[float] = field(default_factory=list)
    bytes: int = 0

    def until(self, end: float) -> "_Seen":
        """The same without what came later, bytes apart."""
        charts = [chart for chart in self.charts if chart[1] <= end]
        return _Seen(charts, [look for look in self.looks if look <= end], self.bytes)


def _watch(url: str, run: str, viewers: int, orders: Connection) -> None:
    """The load's process."""
    asyncio.run(_watch_together(url, run, viewers, orders))


async def _watch_together(url: str, run: str, viewers: int, orders: Connection) -> None:
    async with hall(url, run, viewers) as watching:
        await asyncio.gather(*(viewer.ready.wait() for viewer in watching))
        await asyncio.sleep(2)
        orders.send("ready")
        await asyncio.to_thread(orders.recv)
        for viewer in watching:
            viewer.seen = _Seen()
        await asyncio.to_thread(orders.recv)
        orders.send([viewer.seen for viewer in watching])


@asynccontextmanager
async def hall(url: str, run: str, viewers: int) -> AsyncIterator[list["Viewer"]]:
    """Viewers of a run, who have come one after the other and stay as long as the context lasts."""
    watching = [Viewer(url, run) for _ in range(viewers)]
    tasks = []
    for viewer in watching:
        tasks.append(asyncio.create_task(viewer.look()))
        await asyncio.sleep(ARRIVAL_SECONDS)
    try:
        yield watching
    finally:
        for task in tasks:
            task.cancel()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
    if failures := [end for end in ends if isinstance(end, Exception)]:
        raise failures[0]


class Viewer:
    """One browser tab on the Live page."""

    def __init__(self, url: str, run: str):
        self.seen = _Seen()
        self.status = ""
        self.ready = asyncio.Event()
        self._url, self._query = url, f"run={run}"
        self._page = ""
        self._due: dict[str, float] = {}
        self._intervals: dict[str, float] = {}
        self._known: set[str] = set()
        self._last = -1.0

    async def look(self) -> None:
        async with connect(self._url, subprotocols=["streamlit"], max_size=None, compression=None) as socket:  # type: ignore[list-item]
            opening = BackMsg()
            opening.rerun_script.query_string, opening.rerun_script.page_name = self._query, "Live"
            await socket.send(opening.SerializeToString())
            ticking = asyncio.create_task(self._tick(socket))
            try:
                async for frame in socket:
                    assert isinstance(frame, bytes)
                    self._receive(frame)
                raise ConnectionError(f"The server closed a session: {socket.close_code} {socket.close_reason}")
            finally:
                ticking.cancel()

    async def _tick(self, socket: ClientConnection) -> None:
        """Ask for each fragment again as often as the server said, as the browser's intervals do."""
        await self.ready.wait()
        while True:
            fragment = min(self._due, key=self._due.__getitem__, default=None)
            if fragment is None or self._due[fragment] > time.time():
                await asyncio.sleep(0.01 if fragment is None else min(0.05, self._due[fragment] - time.time()))
                continue
            self._due[fragment] += self._intervals[fragment]
            again = BackMsg()
            wanted = again.rerun_script
            wanted.query_string, wanted.page_script_hash = self._query, self._page
            wanted.fragment_id, wanted.is_auto_rerun = fragment, True
            wanted.cached_message_hashes.extend(self._known)
            await socket.send(again.SerializeToString())

    def _receive(self, frame: bytes) -> None:
        message = ForwardMsg.FromString(frame)
        self.seen.bytes += len(frame)
        if message.metadata.cacheable:
            self._known.add(message.hash)
        match message.WhichOneof("type"):
            case "navigation":
                self._page = message.navigation.page_script_hash
            case "new_session":
                if not message.metadata.run.fragment_ids:  # the whole page says anew what ticks
                    self._due, self._intervals = {}, {}
            case "auto_rerun":
                every, fragment = message.auto_rerun.interval, message.auto_rerun.fragment_id
                if self._intervals.get(fragment) != every:
                    self._intervals[fragment], self._due[fragment] = every, time.time() + every
            case "delta":
                self._see(message)
            case "script_finished":
                self.seen.looks.append(time.time())
                self.ready.set()

    def _see(self, message: ForwardMsg) -> None:
        """Note the page's words in bold, and the last epoch that a chart's dots reach, where it is a later one."""
        element = message.delta.new_element
        if element.markdown.body.startswith("**") and element.markdown.body not in ("**Accuracy**", "**Loss**"):
            self.status = element.markdown.body
        for dataset in element.vega_lite_chart.datasets:
            if dataset.name == "dots":
                table = pyarrow.ipc.open_stream(dataset.data.data).read_all()
                last = round(max(table["x"].to_pylist(), default=0.0), 6)
                if last > self._last:
                    self._last = last
                    self.seen.charts.append((last, time.time()))


if __name__ == "__main__":
    main()
