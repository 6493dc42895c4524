"""What those see who watch a live run, in sessions of Streamlit's own runtime: the pages run, the browsers are made up.

Also the proof that the installed Streamlit still does what `cifar_core/ui/push.py` needs of it.
"""

import asyncio
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.Delta_pb2 import Delta
from streamlit.proto.Element_pb2 import Element
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.runtime import Runtime, RuntimeConfig, SessionClient
from streamlit.runtime.memory_media_file_storage import MemoryMediaFileStorage
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
from streamlit.web.server.starlette.starlette_websocket import StarletteSessionClient

from cifar_core.experiment.measured import Point, Progress, State
from cifar_core.runs.store import Store
from cifar_core.ui import live, push, reads
from tests.filled_store import Writer, claim, queue
from tests.pages.app import ROOT

PATIENCE_SECONDS = 60


class Browser(SessionClient):
    """One tab, as far as a server sees it."""

    client_context = None

    def __init__(self, runtime: Runtime):
        self.runtime = runtime
        self.session = runtime.connect_session(self, {})
        self.screen: dict[tuple[int, ...], Delta] = {}
        self.runs = self.sent = 0
        self.interval: float | None = None
        self.asked_for = ""
        self.page, self.query = "", ""
        self._send_queue: asyncio.Queue[bytes] | None = None

    def write_forward_msg(self, msg: ForwardMsg) -> None:
        message = ForwardMsg.FromString(msg.SerializeToString())
        match message.WhichOneof("type"):
            case "navigation":
                self.page = message.navigation.page_script_hash
            case "new_session":
                if not message.metadata.run.fragment_ids:
                    self.screen, self.interval = {}, None
            case "auto_rerun" if message.auto_rerun.interval != live_queue_seconds():
                self.interval, self.asked_for = message.auto_rerun.interval, message.auto_rerun.fragment_id
            case "delta":
                self.screen[tuple(message.metadata.delta_path)] = message.delta
                self.sent += 1
            case "script_finished":
                self.runs += 1

    async def open(self, page: str, query: str = "") -> "Browser":
        return await self._run(page_name=page, query_string=query)

    async def tick(self) -> "Browser":
        return await self._run(
            page_script_hash=self.page, query_string=self.query, fragment_id=self.asked_for, is_auto_rerun=True
        )

    async def again(self) -> "Browser":
        return await self._run(page_script_hash=self.page, query_string=self.query)

    async def _run(self, **wanted: Any) -> "Browser":
        before, self.query = self.runs, wanted["query_string"]
        self.ask(**wanted)
        await until(lambda: self.runs > before and self.is_settled)
        return self

    def ask(self, **wanted: Any) -> None:
        message = BackMsg()
        for name, value in wanted.items():
            setattr(message.rerun_script, name, value)
        self.runtime.handle_backmsg(self.session, message)

    @property
    def is_settled(self) -> bool:
        session = self.runtime.get_app_session(self.session)
        assert session is not None
        session.track_settling()
        return session.is_settled

    def elements(self, kind: str) -> list[Element]:
        found = [self.screen[path].new_element for path in sorted(self.screen)]
        return [element for element in found if element.WhichOneof("type") == kind]

    def text(self) -> str:
        links = [element.page_link.label for element in self.elements("page_link")]
        return "\n".join([element.markdown.body for element in self.elements("markdown")] + links)


def live_queue_seconds() -> float:
    """The interval of the queue's own fragment, where pages look by themselves."""
    return 5.0


async def until(holds: Callable[[], Any]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not holds():
            await asyncio.sleep(0.01)


@pytest.fixture
def serving(
    home: object, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[Callable[..., Awaitable[None]]], None]]:
    """Play a scene with a way to come as one more browser, in a server that sends news."""
    monkeypatch.setattr(live, "_LOOK_SECONDS", 0.01)

    @asynccontextmanager
    async def server() -> AsyncIterator[Runtime]:
        runtime = Runtime(
            RuntimeConfig(str(ROOT / "app.py"), MemoryMediaFileStorage("/media"), MemoryUploadedFileManager("/upload"))
        )
        sending = asyncio.create_task(live.send_news())
        try:
            await runtime.start()
            yield runtime
        finally:
            sending.cancel()
            runtime.stop()
            await runtime.stopped
            Runtime._instance = None

    def play(scene: Callable[[Callable[[], Browser]], Awaitable[None]]) -> None:
        async def whole() -> None:
            async with server() as runtime:
                await scene(lambda: Browser(runtime))

        asyncio.run(whole())

    yield play
    assert not live._seats and not live.is_sending()


Scenes = Callable[[Callable[..., Awaitable[None]]], None]


@pytest.fixture
def writer(store: Store) -> Writer:
    """A run that trains, and one that waits."""
    writer = claim(store)
    store.set_state(writer.run, writer.owner, State.TRAINING)
    writer.trains(0.5)
    queue(store, seed=2)
    return writer


def measure(writer: Writer, epoch: float) -> None:
    writer.store.add_points(writer.run, writer.owner, 0, [Point(epoch, 0.5, 0.77, 3 * epoch)])
    writer.store.set_progress(writer.run, writer.owner, Progress(1, int(epoch), 0.25, 42.0))


@pytest.mark.parametrize("x", ["epoch", "seconds"])
def test_watchers_see_without_their_pages_being_run_what_a_run_of_the_page_would_show(
    serving: Scenes, writer: Writer, x: str
) -> None:
    async def scene(come: Callable[[], Browser]) -> None:
        watchers = [await come().open("Live", f"run={writer.run}&live.x={x}") for _ in range(2)]
        runs = [watcher.runs for watcher in watchers]
        before = watchers[0].text()
        measure(writer, 2.25)
        await until(lambda: all("about 42 s left" in watcher.text() for watcher in watchers))
        assert "about 42 s left" not in before and watchers[0].text().count("about 42 s left") == 2
        kinds = ("markdown", "progress", "vega_lite_chart", "page_link")
        pushed = [watchers[0].elements(kind) for kind in kinds]
        assert [watcher.runs for watcher in watchers] == runs
        await watchers[0].again()
        assert [watchers[0].elements(kind) for kind in kinds] == pushed
        assert watchers[0].elements("progress")[0].progress.value == 25

    serving(scene)


def test_where_nothing_is_new_nothing_is_sent(serving: Scenes, writer: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[live.News] = []

    def looking(run: str, look: Callable[[str], live.News] = live.look) -> live.News:
        looks.append(look(run))
        return looks[-1]

    async def scene(come: Callable[[], Browser]) -> None:
        monkeypatch.setattr(live, "look", looking)
        watcher = await come().open("Live", f"run={writer.run}")
        await until(lambda: live._seats[watcher.session].shows)
        sent, before = watcher.sent, len(looks)
        await until(lambda: len(looks) > before + 3)
        assert watcher.sent == sent

    serving(scene)


def test_who_goes_to_another_page_or_away_is_sent_nothing_more(serving: Scenes, writer: Writer) -> None:
    async def scene(come: Callable[[], Browser]) -> None:
        stays, moves, leaves = [await come().open("Live", f"run={writer.run}") for _ in range(3)]
        assert len(live._seats) == 3
        await moves.open("Glossary")
        leaves.runtime.disconnect_session(leaves.session)
        sent = moves.sent, leaves.sent
        measure(writer, 2.25)
        await until(lambda: "about 42 s left" in stays.text())
        assert list(live._seats) == [stays.session] and (moves.sent, leaves.sent) == sent

    serving(scene)


def test_while_a_page_runs_it_is_sent_nothing(serving: Scenes, writer: Writer) -> None:
    async def scene(come: Callable[[], Browser]) -> None:
        watcher = await come().open("Live", f"run={writer.run}")
        seat = live._seats[watcher.session]
        await until(lambda: seat.screen.is_ready)
        watcher.ask(page_script_hash=watcher.page, query_string=watcher.query)
        assert seat.screen.is_open and not seat.screen.is_ready
        await until(lambda: watcher.is_settled)

    serving(scene)


def test_a_browser_that_is_behind_is_sent_only_the_newest(serving: Scenes, writer: Writer) -> None:
    async def scene(come: Callable[[], Browser]) -> None:
        slow, watcher = [await come().open("Live", f"run={writer.run}") for _ in range(2)]
        await until(lambda: live._seats[slow.session].shows)
        slow._send_queue = asyncio.Queue()
        slow._send_queue.put_nowait(b"not yet sent")
        sent = slow.sent
        measure(writer, 2.25)
        await until(lambda: "about 42 s left" in watcher.text())
        assert slow.sent == sent
        slow._send_queue.get_nowait()
        await until(lambda: "about 42 s left" in slow.text())

    serving(scene)


def test_streamlit_keeps_what_a_browser_has_not_received_where_it_is_looked_for() -> None:
    class Stuck:
        headers: ClassVar[dict[str, str]] = {}
        cookies: ClassVar[dict[str, str]] = {}
        client = None

        async def send_bytes(self, _: bytes) -> None:
            await asyncio.Event().wait()

    async def scene() -> None:
        client = StarletteSessionClient(Stuck())  # type: ignore[arg-type]
        for _ in range(2):
            assert client._send_queue.empty()
            client.write_forward_msg(ForwardMsg())
            await asyncio.sleep(0)
        assert not client._send_queue.empty()
        await client.aclose()

    asyncio.run(scene())


def test_a_run_that_ends_says_so_at_once_and_its_page_is_asked_to_run_and_then_rests(
    serving: Scenes, writer: Writer, store: Store
) -> None:
    async def scene(come: Callable[[], Browser]) -> None:
        watcher = await come().open("Live", f"run={writer.run}")
        assert watcher.interval == live.TICK_SECONDS and "See the results" not in watcher.text()
        for waiting in store.queue():
            store.request_stop(waiting.id)
        writer.ends(State.DONE)
        await until(lambda: watcher.interval != live.TICK_SECONDS)
        assert "**done in" in watcher.text() and "See the results" not in watcher.text()
        await watcher.tick()
        assert "See the results" in watcher.text() and watcher.interval is None
        assert not live._seats

    serving(scene)


def test_a_queue_that_changes_asks_the_page_to_run_once(serving: Scenes, writer: Writer, store: Store) -> None:
    async def scene(come: Callable[[], Browser]) -> None:
        watcher = await come().open("Live", f"run={writer.run}")
        assert "2nd in line" not in watcher.text()
        queue(store, seed=3)
        await until(lambda: watcher.interval != live.TICK_SECONDS)
        assert (await watcher.tick()).interval == live.TICK_SECONDS
        assert "2nd in line" in watcher.text()

    serving(scene)


def test_a_full_disk_is_said_on_the_page_of_a_run_that_works(
    serving: Scenes, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene(come: Callable[[], Browser]) -> None:
        watcher = await come().open("Live", f"run={writer.run}")
        monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=0))
        await until(lambda: watcher.interval != live.TICK_SECONDS)
        assert not watcher.elements("alert")
        await watcher.tick()
        assert ["is full" in each.alert.body for each in watcher.elements("alert")] == [True]

    serving(scene)


def test_a_run_that_was_deleted_asks_the_page_to_run(serving: Scenes, writer: Writer, store: Store) -> None:
    writer.ends(State.DONE)

    async def scene(come: Callable[[], Browser]) -> None:
        watcher = await come().open("Live", f"run={writer.run}")
        assert watcher.interval == live.TICK_SECONDS  # another one waits
        store.delete(writer.run)
        await until(lambda: watcher.interval != live.TICK_SECONDS)

    serving(scene)


def test_where_news_cannot_be_sent_pages_look_by_themselves(
    serving: Scenes, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(*_: object) -> int:
        raise AttributeError("another Streamlit")

    async def scene(come: Callable[[], Browser]) -> None:
        watcher = await come().open("Live", f"run={writer.run}")
        monkeypatch.setattr(push.Screen, "fill", missing)
        measure(writer, 2.25)
        await until(lambda: not live.is_sending())
        reads.standing.clear()
        assert (await watcher.tick()).interval == 1
        assert "about 42 s left" in (await watcher.tick()).text() and not live._seats

    serving(scene)
