"""Links: experiments as the query parameters of a page's address, which the pages and the command line both read."""

import hashlib
import secrets
from collections.abc import Sequence
from urllib.parse import parse_qs, urlencode, urlsplit

from cifar_core.experiment.experiment import Data, Experiment, Freeze, Head, Phase
from cifar_core.experiment.recipes import recipe
from cifar_core.experiment.record import ExperimentError
from cifar_core.experiment.settings import apply, differences

Query = dict[str, list[str]]
"""The parameters of an address, each with all its values."""

SCRATCH = "scratch"
VIEW_ONLY = "only"
"""The value of `view` in an address that is for watching: beside a page's own view, if it has any."""
FIRST = Experiment(
    data=Data(name="sample"),
    phases=(
        Phase(name="pretrain", train_on="source", epochs=3),
        Phase(
            name="fine-tune",
            train_on="target",
            freeze=Freeze(rule="first_blocks", count=2),
            head=Head(),
            epochs=3,
        ),
    ),
)
"""What the form shows to somebody who has chosen nothing yet: under a minute to a first verdict."""


def start_from(identifier: str) -> Experiment:
    """Return the experiment that a start names: a recipe's, or the form's first."""
    return FIRST if identifier == SCRATCH else recipe(identifier).experiment


def link(start: str, experiment: Experiment, seed: int) -> dict[str, str | list[str]]:
    """Return the query parameters of a link that reopens the form like this."""
    parameters: dict[str, str | list[str]] = {"start": start}
    if changed := differences(start_from(start), experiment):
        parameters["set"] = changed
    if seed:
        parameters["seed"] = str(seed)
    return parameters


def read_link(start: str, assignments: Sequence[str], seed: str) -> tuple[str, Experiment, int]:
    """Return the start, the experiment and the seed that a link means.

    Raises:
        ExperimentError: naming what in the link is wrong.
    """
    chosen = start or SCRATCH
    experiment = apply(start_from(chosen), assignments)
    if not (seed or "0").isdecimal() or len(seed) > 10 or int(seed or "0") >= 2**31:  # Python reads 4300 digits at most
        raise ExperimentError(f"seed: expected a whole number from 0 to {2**31 - 1}, received {seed[:80]}.")
    return chosen, experiment, int(seed or "0")


def linked(query: Query) -> Experiment:
    """Return the experiment that an address's parameters mean.

    Raises:
        ExperimentError: naming what in the link is wrong.
    """
    return read_link(first(query, "start"), query.get("set", []), "")[1]


def first(query: Query, name: str, otherwise: str = "") -> str:
    """Return a parameter's first value."""
    return next(iter(query.get(name, [])), otherwise)


def views(query: Query) -> list[str]:
    """Return what an address says about a page's view, without that it is for watching."""
    return [view for view in query.get("view", []) if view != VIEW_ONLY]


def whole(text: str, otherwise: int, most: int) -> int:
    """Return a whole number of an address, at least 1 and at most `most`; `otherwise` where there is none."""
    return min(max(int(text[:10]), 1), most) if text.isdecimal() else otherwise


def taken_apart(address: str) -> tuple[str, str, Query]:
    """Return the server, the page and the parameters of an address such as `http://localhost:8501/Plan?start=e`.

    The server is "" where the address names none.
    """
    parts = urlsplit(address)
    page = parts.path.rstrip("/").rpartition("/")[2]
    folder = parts.path.rstrip("/").removesuffix(page).rstrip("/")
    server = f"{parts.scheme}://{parts.netloc}{folder}" if parts.netloc else ""
    return server, page, parse_qs(parts.query, keep_blank_values=True)


def address(server: str, page: str, query: Query) -> str:
    """Return the address of a page with its parameters; `server` may be "", for a relative one."""
    return f"{server}/{page}?{urlencode(query, doseq=True)}".lstrip("/")


def lecture_links(subject: Query) -> tuple[Query, Query]:
    """Return the parameters of a new lecture's two links: the presenter's, and the audience's.

    The presenter's carries everything, and a key; the audience's is short, for a code.
    """
    key = new_key()
    return presenter(subject, key), {"lecture": [lecture_of(key)]}


def new_key() -> str:
    """Return a key for a new lecture, which nobody can guess."""
    return secrets.token_urlsafe(12)


def presenter(subject: Query, key: str) -> Query:
    """Return the parameters of the link with which one presents."""
    return {**subject, "role": ["presenter"], "key": [key]}


def lecture_of(key: str) -> str:
    """Return the lecture that a presenter's key opens; the key cannot be told from it."""
    return hashlib.sha256(key.encode()).hexdigest()[:10]
