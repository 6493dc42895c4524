"""Immutable, validated plain data, and errors that say what to do about them."""

import difflib
import json
import re
from collections.abc import Iterable
from typing import Annotated, Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Strict, ValidationError, model_validator

Whole = Annotated[int, Strict()]  # neither true nor "3"
Real = Annotated[float, Strict()]

MOST_BYTES = 5_000_000
"""Of JSON text that is read: a thousand times what an experiment usually takes."""
_LONGEST_NAME = 200


class ExperimentError(ValueError):
    """An experiment that cannot be meant. The message names the field, what was received and what is allowed."""


def nearest(received: object, allowed: Iterable[str]) -> str:
    """Return ' Did you mean "…"?' for the allowed name closest to what was received, or nothing."""
    if not isinstance(received, str) or len(received) > _LONGEST_NAME:  # comparing takes time by its length
        return ""
    close = difflib.get_close_matches(received, list(allowed), n=1, cutoff=0.5)
    return f' Did you mean "{close[0]}"?' if close else ""


def choice(kind: str, received: object, allowed: Iterable[str]) -> str:
    """Return the sentence about a name that is not in a table, nearest valid name included."""
    names = list(allowed)
    return f"there is no {kind} {shown(received)}; there is: {', '.join(names)}." + nearest(received, names)


def shown(received: object) -> str:
    """Return what was received as JSON, cut short where it is long."""
    try:
        text = json.dumps(received, default=str)
    except (ValueError, TypeError, RecursionError):  # endless numbers, odd keys, nested without end
        text = type(received).__name__
    return text if len(text) <= 80 else text[:77] + "…"


class Record(BaseModel):
    """Base of everything an experiment consists of: frozen, and without fields it does not know."""

    # With a length, pydantic looks into every text, and refuses what is no valid Unicode.
    model_config: ClassVar[ConfigDict] = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, str_max_length=MOST_BYTES
    )

    @model_validator(mode="before")
    @classmethod
    def _refuse_unknown_fields(cls, received: Any) -> Any:
        if isinstance(received, dict):
            for name in received:
                if name not in cls.model_fields:
                    raise ValueError(choice("field", name, cls.model_fields))
        return received

    @classmethod
    def parse(cls, received: object) -> Self:
        """Validate plain data (what JSON gives).

        Raises:
            ExperimentError: naming every wrong field, what was received, and what is allowed.
        """
        try:
            return cls.model_validate(received)
        except ValidationError as error:
            raise ExperimentError("\n".join(_sentences(error.errors()))) from None

    @classmethod
    def parse_json(cls, text: str | bytes) -> Self:
        """Validate JSON text.

        Raises:
            ExperimentError: when the text is not JSON, or as `parse`.
        """
        if len(text) > MOST_BYTES:
            raise ExperimentError(
                f"experiment: received {len(text):,} bytes, at most {MOST_BYTES:,} are read. This is another kind of "
                "file."
            )
        try:
            received = json.loads(text, object_pairs_hook=_each_once)
        except ExperimentError:
            raise
        except (ValueError, RecursionError) as error:
            raise ExperimentError(
                f"This is not JSON: {error}. Expected an object with an experiment's fields."
            ) from None
        return cls.parse(received)


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON whose fields are there once: of two values, nobody can say which one is meant."""
    fields = dict(pairs)
    if len(fields) < len(pairs):
        names = [name for name, _ in pairs]
        raise ExperimentError(f"{next(name for name in names if names.count(name) > 1)}: this field is there twice.")
    return fields


def _sentences(problems: list[Any]) -> list[str]:
    """One sentence per cause: a list that is too short only because its entries were refused is not one."""
    places = [problem["loc"] for problem in problems]
    return [
        _sentence(problem)
        for problem in problems
        if not any(place != problem["loc"] and place[: len(problem["loc"])] == problem["loc"] for place in places)
    ]


def _sentence(problem: Any) -> str:
    """Turn one pydantic error into 'field: what is expected, received …'."""
    if not problem["loc"] and problem["type"] == "value_error":
        return str(problem["ctx"]["error"])
    field = ".".join(_fields(problem["loc"])) or "experiment"
    received = problem["input"]
    context = problem.get("ctx", {})
    match problem["type"]:
        case "value_error":
            error = str(context["error"])
            names_a_field = re.match(r"[a-z_]+(\.[a-z_]+)*: ", error)
            return f"{field}.{error}" if names_a_field else f"{field}: {error}"
        case "missing":
            return f"{field}: this field is required, and is missing."
        case "literal_error":
            allowed = [name.strip("' ") for name in context["expected"].replace(" or ", ", ").split(",")]
            return f"{field}: received {shown(received)}; allowed: {', '.join(allowed)}." + nearest(received, allowed)
        case "union_tag_not_found":
            return f"{field}.kind: this field is required, and is missing."
        case "union_tag_invalid":
            allowed = [name.strip("' ") for name in context["expected_tags"].split(",")]
            return f"{field}.kind: {choice('kind', context['tag'], allowed)}"
        case "tuple_type":
            return f"{field}: expected a list, received {shown(received)}."
        case "model_type" | "model_attributes_type":
            return f"{field}: expected an object with its fields, received {shown(received)}."
    wanted = re.sub(r"^\w+ should (be|have) | after validation, not \d+$", "", problem["msg"])
    return f"{field}: expected {wanted}, received {shown(received)}."


def _fields(place: tuple[str | int, ...]) -> list[str]:
    """Leave out what pydantic puts behind what has a kind: the kind, which is no field."""
    return [
        str(part)
        for position, part in enumerate(place)
        if isinstance(part, int)
        or not (
            place[position - 1 : position] == ("schedule",) or place[max(0, position - 2)] in ("layers", "augmentation")
        )
    ]
