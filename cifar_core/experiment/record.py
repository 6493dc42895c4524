"""Immutable, validated plain data, and errors that say what to do about them."""

import difflib
import json
from collections.abc import Iterable
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator


class ExperimentError(ValueError):
    """An experiment that cannot be meant. The message names the field, what was received and what is allowed."""


def nearest(received: object, allowed: Iterable[str]) -> str:
    """Return ' Did you mean "…"?' for the allowed name closest to what was received, or nothing."""
    close = difflib.get_close_matches(str(received), [str(name) for name in allowed], n=1, cutoff=0.5)
    return f' Did you mean "{close[0]}"?' if close else ""


def choice(kind: str, received: object, allowed: Iterable[str]) -> str:
    """Return the sentence about a name that is not in a table, nearest valid name included."""
    names = list(allowed)
    return f"there is no {kind} {json.dumps(received, default=str)}; there is: {', '.join(names)}." + nearest(
        received, names
    )


class Record(BaseModel):
    """Base of everything an experiment consists of: frozen, and without fields it does not know."""

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

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
        try:
            received = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ExperimentError(
                f"This is not JSON: {error}. Expected an object with an experiment's fields."
            ) from None
        return cls.parse(received)


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
    field = ".".join(str(part) for part in problem["loc"]) or "experiment"
    received = problem["input"]
    context = problem.get("ctx", {})
    match problem["type"]:
        case "value_error":
            return f"{field}: {context['error']}"
        case "missing":
            return f"{field}: this field is required, and is missing."
        case "literal_error":
            allowed = [name.strip("' ") for name in context["expected"].replace(" or ", ", ").split(",")]
            return (
                f"{field}: received {json.dumps(received, default=str)}; allowed: {', '.join(allowed)}."
                + nearest(received, allowed)
            )
        case "union_tag_invalid":
            allowed = [name.strip("' ") for name in context["expected_tags"].split(",")]
            return f"{field}: {choice('kind', context['tag'], allowed)}"
    wanted = problem["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
    shown = json.dumps(received, default=str)
    return f"{field}: expected {wanted}, received {shown if len(shown) <= 80 else shown[:77] + '…'}."
