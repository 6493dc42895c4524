"""Elements on people's pages, filled anew without running the pages: for what many look at at the same time.

Streamlit shows something new by running a page, or a fragment of it, for each browser, which takes milliseconds even
where nothing has changed. Here elements are remembered as a page has drawn them, and sent again with other contents.
Streamlit has a method for each step but describes none of them to apps; so they are used in this module alone.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from streamlit import runtime
from streamlit.proto.Element_pb2 import Element
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.runtime import SessionClientDisconnectedError
from streamlit.runtime.app_session import AppSession
from streamlit.runtime.scriptrunner import get_script_run_ctx

Content = str | float | Mapping[str, bytes]
"""Words, a share from 0 to 1, or a chart's data sets by name, in Arrow's format."""


class Screen:
    """One browser's page, as far as it can be changed without being run. Made while the page runs.

    Where Streamlit lacks what this needs, nothing is remembered, and sending raises an error of Python's.
    """

    def __init__(self) -> None:
        context = get_script_run_ctx(suppress_warning=True)
        self.session = getattr(context, "session_id", "")
        self._page = getattr(context, "page_script_hash", "")
        self._elements: dict[str, ForwardMsg] = {}

    @contextmanager
    def remember(self, name: str) -> Iterator[None]:
        """Remember the element that is drawn inside."""
        context = get_script_run_ctx(suppress_warning=True)
        send = getattr(context, "enqueue", None)
        if context is None or send is None:
            yield
            return

        def remembering(message: ForwardMsg) -> None:
            send(message)
            if message.delta.WhichOneof("type") == "new_element":
                self._elements[name] = message

        context.enqueue = remembering  # type: ignore[assignment, method-assign]
        try:
            yield
        finally:
            context.enqueue = send  # type: ignore[method-assign]

    # The rest is for the thread of the server's event loop alone.

    @property
    def is_open(self) -> bool:
        """Whether the browser is there, and has not been seen on another page."""
        session = self._find()
        return session is not None and (not _is_at_rest(session) or session.page_script_hash == self._page)

    @property
    def is_ready(self) -> bool:
        """Whether what is sent now will meet the page as it was remembered, as nothing runs for it, and soon."""
        session = self._find()
        if session is None or not _is_at_rest(session) or session.page_script_hash != self._page:
            return False
        # Of a browser that is slower than the news, Streamlit would keep hundreds of messages.
        waiting = getattr(runtime.get_instance().get_client(self.session), "_send_queue", None)
        return waiting is None or bool(waiting.empty())

    def fill(self, name: str, content: Content) -> int:
        """Send a remembered element with another content, and return how many bytes that takes."""
        message = ForwardMsg()  # a new one: what a message held before stays in its memory
        message.CopyFrom(self._elements[name])
        _fill(message.delta.new_element, content)
        # A browser keeps what has a hash, and forgets it only after pages have run.
        message.hash, message.metadata.cacheable = "", False
        self._send(message)
        size: int = message.ByteSize()
        return size

    def run_again(self, seconds: float) -> None:
        """Ask the browser to run the fragment of the remembered elements after so many seconds, again and again."""
        message = ForwardMsg()
        message.auto_rerun.interval = seconds
        message.auto_rerun.fragment_id = next(each.delta.fragment_id for each in self._elements.values())
        self._send(message)

    def _find(self) -> AppSession | None:
        return runtime.get_instance().get_app_session(self.session)

    def _send(self, message: ForwardMsg) -> None:
        client = runtime.get_instance().get_client(self.session)
        try:
            if client is not None:
                client.write_forward_msg(message)
        except SessionClientDisconnectedError:
            pass  # Streamlit will notice, too


def _is_at_rest(session: AppSession) -> bool:
    session.track_settling()
    return session.is_settled


def _fill(element: Element, content: Content) -> None:
    match content:
        case str() if element.WhichOneof("type") == "page_link":
            element.page_link.label = content
        case str():
            element.markdown.body = content
        case Mapping():
            for dataset in element.vega_lite_chart.datasets:
                dataset.data.data = content[dataset.name]
        case _:
            element.progress.value = int(100 * content)
