"""The experiment file, --set, and the form."""

import json
import random
from pathlib import Path

from benchmarks.bad_inputs.inputs import Input
from benchmarks.bad_inputs.nasty import NASTY, damaged, field_pattern, mangled, places, recipes, some_value
from cifar_core.experiment.experiment import Experiment
from cifar_core.experiment.recipes import RECIPES
from cifar_core.experiment.settings import apply

TYPED = ("location", "weights_path", "name", "milestones", "units")
"""The form's fields that text is typed into."""


def experiment_file(draws: random.Random, place: Path) -> Input:
    content = experiment_text(draws)

    def give() -> str | None:
        Experiment.parse_json(content)
        return None

    return Input(give, f"{field_pattern()}|not JSON|not text", repr(content[:300]))


def experiment_text(draws: random.Random) -> bytes:
    recipe = draws.choice(recipes())
    if draws.random() < 0.75:
        return json.dumps(mangled(draws, recipe)).encode()
    text = json.dumps(recipe, indent=draws.choice((None, 2)))
    match draws.randrange(12):
        case 0:
            return damaged(draws, text.encode())
        case 1:
            return (draws.choice("[{") * draws.choice((50, 2000, 200_000))).encode()
        case 2:
            return ('{"a":' * draws.choice((50, 2000, 100_000)) + "1" + "}" * 100).encode()
        case 3:
            field = draws.choice([name for name in recipe if name != "version"])
            return (text.rstrip("}\n ") + f', "{field}": {json.dumps(recipe[field])}}}').encode()  # twice
        case 4:
            return text.replace(
                '"epochs": ', f'"epochs": {draws.choice(("9" * 5000, "1e400", "-", "0x1", "NaN"))}', 1
            ).encode()
        case 5 if draws.random() < 0.05:
            return json.dumps(recipe | {draws.choice(("backbone", "pixels", "x")): "x" * 10_000_000}).encode()
        case 6:
            return text.encode(draws.choice(("utf-16", "utf-32", "utf-16-le", "cp037")))
        case 7:
            return draws.choice(
                (b"", b" ", b"null", b"true", b"3", b'"x"', b"[]", b"{}", b"\xff\xfe", b"\0", b"\xef\xbb\xbf")
            )
        case 8:
            return draws.choice(NASTY).encode("utf-8", "surrogatepass")
        case 9:
            return draws.randbytes(draws.randrange(200))
        case 10:
            return text[: draws.randrange(len(text))].encode()
        case _:
            return text.replace('"', draws.choice(("'", "“", "")), draws.choice((1, -1))).encode()


def set_option(draws: random.Random, place: Path) -> Input:
    base = draws.choice(list(RECIPES.values())).experiment
    assignments = [assignment(draws) for _ in range(draws.choice((1, 1, 2)))]

    def give() -> str | None:
        apply(base, assignments)
        return None

    return Input(give, f"{field_pattern()}|field=value|: expected a number from ", repr(assignments)[:300])


def assignment(draws: random.Random) -> str:
    recipe = draws.choice(recipes())
    path = [str(part) for part in draws.choice(places(recipe))]
    match draws.randrange(8):
        case 0:
            path[draws.randrange(len(path))] = draws.choice(NASTY)
        case 1:
            path.append(draws.choice(("x", "0", "-1", "99", "")))
        case 2:
            return draws.choice(NASTY)
        case 3:
            return f"{draws.choice(NASTY)}={draws.choice(NASTY)}"
        case 4:
            path = path[:-1] or ["phases"]
    value = draws.choice(NASTY) if draws.random() < 0.4 else json.dumps(some_value(draws))
    return f"{'.'.join(path)}={value}"


def filled_form(draws: random.Random, place: Path) -> Input:
    """The form's widgets with values that a browser could send, whatever the widget's bounds."""
    from cifar_core.experiment import links
    from cifar_core.ui import form

    values = form.fields(draws.choice([links.FIRST, *(recipe.experiment for recipe in RECIPES.values())]))
    for _ in range(draws.choice((1, 2, 3))):
        name = draws.choice([name for name in values if not name.endswith(("as_loaded", "form.phases"))])
        kept = values[name]
        if isinstance(kept, str) and name.rpartition(".")[2] in TYPED:
            values[name] = draws.choice([each for each in NASTY if "\ud800" not in each])
            phase = ".".join(name.split(".")[:2])
            values |= {f"{phase}.schedule": "steps"} if "milestones" in name else {}
            values |= {f"{phase}.head": "layers"} if "units" in name else {}
        elif isinstance(kept, int):
            values[name] = draws.choice((0, -1, 1, 2, 3, 65_537, 10**9))
        elif isinstance(kept, float):
            values[name] = draws.choice((-1.0, 0.0, 5e-324, 0.5, 1.0, 1e308))
        elif kept is None and name.endswith(("per_class", "input_side", "clip_norm")):  # what may be left empty
            values[name] = draws.choice((0, -1, 1, 3, 10**9))
        elif isinstance(kept, list) and name.endswith(("source", "target")):
            values[name] = draws.choice(([], [0], [0, 99], [1, 1], [-1, 2], list(range(10))))
    if draws.random() < 0.2:
        values |= {"form.weights": "file", "form.weights_path": draws.choice(("", *NASTY))}

    def give() -> str | None:
        form.shorten(values)
        form.clamp(values, Experiment.parse(form.without_freezing(form.draft(values))))
        Experiment.parse(form.draft(values))
        return None

    by_label = "^(Initial weights|Steps of the learning rate|Dense units)"
    return Input(give, f"{field_pattern()}|{by_label}", repr(values)[:300])
