"""Links open what they name, and say so in a sentence where they cannot."""

import pytest

from cifar_core.experiment import links
from cifar_core.experiment.recipes import RECIPES
from cifar_core.experiment.settings import apply
from cifar_core.runs.store import Store
from tests.filled_store import finished
from tests.pages.app import App

CHANGES = {
    "another freeze depth": ["phases.1.freeze.rule=first_blocks", "phases.1.freeze.count=3"],
    "surgical": ['phases.1.freeze={"rule":"all_but_block","block":"conv_1"}'],
    "layers": ['phases.1.freeze={"rule":"first_layers","count":5}'],
    "classes in another order": ["split.source=9,3,5", "split.target=1,0"],
    "new layers": ['phases.1.head={"from_layer":"dense_1","layers":[{"kind":"dense","units":128}]}'],
    "layers that have no fields": [
        'phases.1.head={"from_layer":"dense_2","layers":[{"kind":"dense","units":8,"activation":"linear"}]}'
    ],
    "layers from a convolution on": ['phases.1.head={"from_layer":"conv_2","layers":[{"kind":"flatten"}]}'],
    "from a dropout layer on": ['phases.1.head={"from_layer":"dropout_2"}'],
    "a tiny share": ["validation.on=train share", "validation.share=0.004"],
    "a tiny learning rate": ["phases.0.learning_rate=1e-07"],
    "much dropout": [
        'phases.1.head={"from_layer":"dense_2","layers":[{"kind":"dense","units":8},{"kind":"dropout","rate":0.995}]}'
    ],
    "many units": ['phases.1.head={"from_layer":"output","layers":[{"kind":"dense","units":65536}]}'],
    "markup in a name": ["phases.1.name=**<b>$x$"],
    "few images": ["data.name=sample", "data.per_class=2"],
    "a folder": ["data.location=/nowhere/at all"],
    "everything long": ["phases.0.epochs=10000", "phases.1.batch_size=65536"],
}


@pytest.mark.parametrize("changed", CHANGES)
def test_a_link_reopens_exactly_its_form(app: App, changed: str) -> None:
    meant = apply(RECIPES["a-ft1"].experiment, CHANGES[changed])
    link = links.link("a-ft1", meant, 3)
    app.open("Experiment", **link)
    assert not app.test.error, app.test.error
    assert links.read_link(*sent(app)) == ("a-ft1", meant, 3)


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_link_of_a_recipe_stays_short(app: App, recipe: str) -> None:
    assert app.open("Experiment", start=recipe).query == {"start": recipe}


def sent(app: App) -> tuple[str, list[str], str]:
    """The start, the changes and the seed in the page's address."""
    changes = app.query.get("set", [])
    return app.query["start"], [changes] if isinstance(changes, str) else changes, app.query.get("seed", "")


@pytest.mark.parametrize(
    ("link", "said"),
    [
        ({"start": "a-ft9"}, "a-ft9"),
        ({"start": "a-ft1", "set": "phases.0.epoch=3"}, "epochs"),
        ({"start": "a-ft1", "set": "phases.7.epochs=3"}, "7"),
        ({"set": "phases.1.freeze.count=77"}, "77"),
        ({"start": "a-ft1", "set": "phases.1.freeze.count=11"}, "the network has 10 layers, from conv_1 to output."),
        ({"start": "d1", "set": "input_side=32"}, "InceptionV3 needs images of 75×75 pixels or more, received 32"),
        (
            {"start": "c2a", "set": "phases.0.epochs=20"},
            "phases.0.schedule.milestones: the last change comes after 28 epochs, but the phase has 20",
        ),
        ({"seed": "three"}, "three"),
        ({"seed": "9" * 5000}, "seed: expected a whole number from 0 to 2147483647"),
        ({"set": "<b>bold</b>=**1**"}, "<b>bold</b>"),
    ],
)
def test_a_broken_link_is_explained_above_a_form_that_can_be_used(app: App, link: dict[str, str], said: str) -> None:
    app.open("Experiment", **link)
    assert said in app.text()
    assert len(app.test.error) == 1
    assert app.has_button("Start")


@pytest.mark.parametrize("page", ["Live", "Results"])
@pytest.mark.parametrize("run", ["nosuchrn", "<b>**x**</b>"])
def test_an_unknown_run_is_named_and_leads_on(app: App, runs: dict[str, str], page: str, run: str) -> None:
    app.open(page, run=run)
    assert f'There is no run "{run}"' in app.text()
    assert app.links()


def named(app: App) -> dict[str, str]:
    """What the address names: all of it but the folds, which are open here."""
    return {field: value for field, value in app.query.items() if not field.startswith("fold.")}


def test_compare_opens_the_runs_of_its_link_with_their_baseline(app: App, runs: dict[str, str]) -> None:
    chosen = [runs["head only"], runs["done"]]
    app.open("Compare", runs=",".join(chosen), baseline=runs["done"])
    assert app.widget("compare.runs").value == chosen
    assert app.widget("compare.baseline").value == runs["done"]
    assert named(app) == {"runs": ",".join(chosen), "baseline": runs["done"]}


def test_compare_opens_another_link_after_the_first(app: App, runs: dict[str, str]) -> None:
    app.open("Compare", runs=f"{runs['head only']},{runs['done']}", baseline=runs["done"])
    second = [runs["done"], runs["stopped"]]
    app.open("Compare", runs=",".join(second), baseline=runs["stopped"])
    assert named(app) == {"runs": ",".join(second), "baseline": runs["stopped"]}


def test_compare_keeps_its_runs_while_other_pages_are_looked_at(app: App, runs: dict[str, str]) -> None:
    app.open("Compare", runs=f"{runs['head only']},{runs['done']}", baseline=runs["done"])
    link = named(app)
    assert named(app.open("Home").open("Compare")) == link


def test_compare_leaves_out_runs_that_are_gone(app: App, runs: dict[str, str]) -> None:
    app.open("Compare", runs=f"gone,{runs['done']}")
    assert "The link names runs that this page cannot show, or that were deleted: gone." in app.text()
    assert app.widget("compare.runs").value == [runs["done"]]


def test_a_plan_says_what_of_its_link_it_does_not_have(app: App) -> None:
    link = {"seeds": "9" * 5000, "view": "film", "strategies": "head,nothing", "block": "x", "baseline": "nobody"}
    said = app.open("Plan", **link).text()
    for field in link:
        assert f"This link's {field}: " in said
    assert "This link's" not in app.run().text()


@pytest.mark.parametrize("path", ["/dev/zero", "~nobody-here/w.h5", "x" * 4000])
def test_weights_that_are_no_file_are_named_and_start_nothing(app: App, path: str) -> None:
    app.open("Experiment", set=f'initial_weights={{"source":"file","path":"{path}"}}')
    assert f"There is no file {path}" in app.text() or f"{path} is no path" in app.text()
    assert not app.has_button("Start")


def test_a_link_opens_the_page_of_a_gallery(app: App, runs: dict[str, str]) -> None:
    first = app.open("Results", run=runs["done"]).widget("true.test").options[0]
    cell = {"true.test": first, "predicted.test": first}
    assert (
        App().open("Results", run=runs["done"], **cell, **{"page.cell.test": "2"}).widget("page.cell.test").value == 2
    )
    for wrong in ("99", "x"):
        again = App().open("Results", run=runs["done"], **cell, **{"page.cell.test": wrong})
        assert again.widget("page.cell.test").value == 1 and "page.cell.test" not in again.query


def test_compare_takes_at_most_eight_runs_of_a_link(app: App, store: Store) -> None:
    many = [finished(store, seed=seed) for seed in range(9)]
    app.open("Compare", runs=",".join(many))
    assert app.widget("compare.runs").value == many[:8]


def test_a_run_chosen_by_hand_is_named_by_the_address(app: App, runs: dict[str, str]) -> None:
    app.open("Live", run=runs["failed"])
    app.widget("run.choice").set_value(runs["done"])
    assert named(app.run()) == {"run": runs["done"]}


def test_a_link_to_another_run_wins_over_the_run_chosen_before(app: App, runs: dict[str, str]) -> None:
    app.open("Live", run=runs["failed"])
    app.open("Home").open("Live", run=runs["done"])
    assert app.widget("run.choice").value == runs["done"]
