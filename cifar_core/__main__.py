"""The command line: the same experiments, runs and store as in the app, without a browser.

Exit codes: 0 done, 1 the run failed, 2 bad arguments or experiment, 130 stopped.
"""

import sys
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import Any, NoReturn

import click
from tqdm import tqdm

from cifar_core import terminal
from cifar_core.analysis import documents
from cifar_core.analysis.labels import SEPARATOR, labels
from cifar_core.analysis.wording import count, loss
from cifar_core.data.catalogue import IMAGE_SIDE, data_at, find_images, open_images
from cifar_core.data.errors import DataError
from cifar_core.data.folders import halves
from cifar_core.data.weights import missing_weights
from cifar_core.experiment.datasets import DATASETS
from cifar_core.experiment.experiment import Data, Experiment
from cifar_core.experiment.measured import MODEL, PhaseHistory, Run, State
from cifar_core.experiment.recipes import RECIPES, recipe, with_random_weights
from cifar_core.experiment.record import MOST_BYTES, ExperimentError
from cifar_core.experiment.settings import SMOKE_PER_CLASS, apply, smoke, with_epochs
from cifar_core.experiment.wording import run_name, trained_share
from cifar_core.home import home
from cifar_core.runs.errors import StoreError, UnknownRun
from cifar_core.runs.policy import Policy
from cifar_core.runs.room import NO_ROOM, has_room
from cifar_core.runs.store import LEASE_SECONDS, Store

EXIT_CODES = {State.DONE: 0, State.FAILED: 1}


def _experiment_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that say which experiment is meant, and pass it on as `meant`.

    `chosen` tells whether the images were named.
    """

    @wraps(command)
    def resolved(
        experiment: str,
        data: str | None,
        epochs: int | None,
        per_class: int | None,
        image_side: int | None,
        assignments: tuple[str, ...],
        **others: Any,
    ) -> None:
        meant = _experiment(experiment, data, epochs, per_class, image_side, assignments)
        command(meant=meant, chosen=data is not None, **others)

    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print one JSON document on standard output."),
        click.option(
            "--set",
            "assignments",
            multiple=True,
            metavar="FIELD=VALUE",
            help="Change any field of the experiment, such as phases.1.epochs=3 or split.source=0,1,2.",
        ),
        click.option("--per-class", type=click.IntRange(min=2), help="Use that many images of each class."),
        click.option(
            "--image-side",
            type=click.IntRange(8, 512),
            help=f"Bring the images of a folder to that many pixels a side. Default: {IMAGE_SIDE}.",
        ),
        click.option("--epochs", type=click.IntRange(min=1), help="Train every phase for that many epochs."),
        click.option(
            "--data",
            metavar="sample|cifar10|PATH",
            help="Which images; PATH is a folder or archive with CIFAR-10, or a folder with a folder of images for "
            "each class. Default: CIFAR-10 where it is there, else the built-in sample.",
        ),
        click.argument("experiment", metavar="RECIPE|FILE"),
    ):
        resolved = option(resolved)
    return resolved


def _text(_context: click.Context, _parameter: click.Parameter, received: str) -> str:
    """Refuse what is no text: no id of a run is like that, and no database takes it."""
    try:
        received.encode()
    except UnicodeEncodeError:
        raise click.BadParameter(f"{received!a} is not valid Unicode.") from None
    return received


_person_option = click.option(
    "--person",
    default="",
    metavar="NAME",
    envvar="TRANSFER_LAB_PERSON",
    callback=lambda context, parameter, received: " ".join(_text(context, parameter, received).split()),
    help="Whose runs they are, as the pages' top has it; nobody's without. TRANSFER_LAB_PERSON sets it, too.",
)


class _Commands(click.Group):
    def invoke(self, ctx: click.Context) -> Any:
        """Do what was asked for; Ctrl-C ends it as it stops a run, also before there is one."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            ctx.exit(terminal.STOPPED)


@click.group(cls=_Commands)
def main() -> None:
    """Transfer Lab: train a CNN on some classes, freeze part of it, fine-tune the rest on others, and compare."""


@main.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document on standard output.")
def recipes(as_json: bool) -> None:
    """List the recipes: named experiments with what was published about them."""
    if as_json:
        _print_json([documents.recipe_document(each) for each in RECIPES.values()])
    else:
        for each in RECIPES.values():
            click.echo(f"{each.id:14} {each.title}: {each.summary}")


@main.command()
@_experiment_options
def describe(meant: Experiment, chosen: bool, as_json: bool) -> None:
    """Show what an experiment trains, layer by layer. Needs neither data nor weights."""
    if as_json:
        _print_json(documents.experiment_document(meant))
        return
    for index, (phase, network) in enumerate(zip(meant.phases, meant.networks, strict=True)):
        click.echo(f"\n{phase.name} (on {phase.train_on} classes): {trained_share(meant, index)}")
        name_width = max(len(layer.name) for layer in network.layers)
        type_width = max(len(layer.layer.keras_type) for layer in network.layers)
        for layer in network.layers:
            shape = " × ".join(map(str, layer.output_shape))
            verdict = "trainable" if layer.trainable else "frozen"
            kind = layer.layer.keras_type
            click.echo(f"  {layer.name:{name_width}} {kind:{type_width}} {shape:>16} {layer.params:>10,}  {verdict}")
        click.echo(
            f"  total {network.total:,} · trainable {network.trainable:,} · non-trainable {network.non_trainable:,}"
        )


@main.command()
@_experiment_options
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0, 2**31 - 1), help="The run's seed.")
@click.option(
    "--smoke",
    "quick",
    is_flag=True,
    help=f"Only a quick look: every phase, one epoch of {SMOKE_PER_CLASS} images of each class, from random weights "
    "where ImageNet's are not on this computer.",
)
@click.option(
    "--no-stored-features",
    "ordinary",
    is_flag=True,
    help="Compute frozen layers again in every epoch, instead of keeping what they make of the images: --set "
    "features=off.",
)
@_person_option
def run(meant: Experiment, chosen: bool, as_json: bool, seed: int, quick: bool, ordinary: bool, person: str) -> None:
    """Run an experiment now, in this terminal; the app shows it too. Ctrl-C stops it and keeps what it has."""
    if ordinary:
        meant = apply(meant, ["features=off"])
    meant = _available(_quick_look(meant) if quick else meant, chosen=chosen)
    _refuse_without_room([meant])
    store = Store(home())
    run_id = store.submit(meant, seed, run_name(meant, seed), person=person, reserved=LEASE_SECONDS)
    click.echo(f"Run {run_id}: {run_name(meant, seed)}", err=True)
    _run_to_its_end(store, run_id, as_json=as_json)


@main.command()
@click.argument("run_id", metavar="RUN", callback=_text)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document on standard output.")
def resume(run_id: str, as_json: bool) -> None:
    """Go on with a run that ended before its end, from its last finished epoch."""
    store = Store(home())
    _refuse_without_room([store.run(run_id).experiment])
    store.resume(run_id, reserved=LEASE_SECONDS)
    _run_to_its_end(store, run_id, as_json=as_json)


def _refuse_without_room(experiments: Sequence[Experiment]) -> None:
    """Say it before anything begins, where the disk has no room for runs."""
    if not has_room(home(), experiments):
        _fail(NO_ROOM, 1)


def _run_to_its_end(store: Store, run_id: str, *, as_json: bool) -> None:
    """Run a queued run here, print what it measured, and exit with the code of its end."""
    ended = terminal.follow(store, run_id)
    if as_json:
        _print_json(documents.run_document(ended, store.history(run_id)))
    else:
        _print_results(ended, store.history(run_id))
    if ended.reason:
        click.echo(ended.reason, err=True)
    sys.exit(EXIT_CODES.get(ended.state, terminal.STOPPED))


@main.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document on standard output.")
def runs(as_json: bool) -> None:
    """List the runs, newest first."""
    found = Store(home()).runs()
    if as_json:
        _print_json([documents.run_summary(each) for each in found])
        return
    for each in found:
        accuracy = each.metrics.get("test", {}).get("accuracy")
        shown = f"{100 * accuracy:.1f} %" if accuracy is not None else ""
        said = f" ({SEPARATOR.join(labels(each))})" if accuracy is not None and labels(each) else ""
        click.echo(f"{each.id}  {each.state:12} {shown:>7}  {each.name}{said}")


@main.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document on standard output.")
def diagnose(as_json: bool) -> None:
    """Print what a bug report needs: versions, hardware, store, data, disk and settings, without secrets."""
    from cifar_core.diagnosis import diagnosis, text

    found = diagnosis(home())
    if as_json:
        _print_json(found)
    else:
        click.echo(text(found))


@main.command()
@click.argument("run_id", metavar="RUN", callback=_text)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document on standard output.")
def show(run_id: str, as_json: bool) -> None:
    """Show one run: what it measured and how it ended."""
    store = Store(home())
    found = store.run(run_id)
    if as_json:
        _print_json(documents.run_document(found, store.history(run_id)))
    else:
        _print_results(found, store.history(run_id))


@main.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document on standard output.")
def published(as_json: bool) -> None:
    """Show what was published beside what the runs of this store measured."""
    # pandas: a second that other commands do without
    from cifar_core.analysis.published import claims, document, following, table

    store = Store(home())
    runs = following([each for each in store.runs(archived=True) if each.state.is_finished])
    histories = store.epochs([each.id for each in runs])
    lacking = {each.id for each in RECIPES.values() if missing_weights(each.experiment)}
    found = claims([(each, histories[each.id]) for each in runs], lacking)
    if as_json:
        _print_json([document(claim) for claim in found])
        return
    rows = table(found)
    width = max(map(len, rows["recipe"]))
    click.echo(f"{'':{width}}  {'published':>9}  {'measured here':>21}  {'difference':>12}")
    for row in rows.to_dict("records"):
        click.echo(
            f"{row['recipe']:{width}}  {row['published']:>9}  {row['measured here']:>21}  {row['difference']:>12}  "
            f"{row['verdict']}"
        )


@main.command()
def keep() -> None:
    """Put into the object store what it lacks of this computer's runs: those of before there was one, or what is left.

    TRANSFER_LAB_ARTIFACTS says where it is; a run does the same with its files while it trains.
    """
    store = Store(home())
    if not store.files.are_shared:
        _fail("There is no object store. Set TRANSFER_LAB_ARTIFACTS to its address, such as s3://bucket/folder.", 2)
    store.files.check()
    ended = [run for run in store.runs(archived=True) if run.state.is_finished]
    kept = sum(store.files.keep(run.id, None) for run in tqdm(ended, unit=" runs"))
    click.echo(f"Files of {kept} runs were put into the object store.", err=True)


@main.command()
@click.argument("run_id", metavar="RUN", callback=_text)
@click.option(
    "--as",
    "form",
    required=True,
    type=click.Choice(["script", "notebook", "report", "csv", "archive", "images", "tensorboard", "mlflow"]),
    help="A Keras script or notebook, a report in HTML, the epochs as CSV, everything in a zip file, the images "
    "that script and notebook need where they are not CIFAR-10's, TensorBoard's event files; or a copy in the MLflow "
    "that MLFLOW_TRACKING_URI names.",
)
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Default: the run's id, in this folder.")
def export(run_id: str, form: str, out: Path | None) -> None:
    """Write a run as a file that needs no Transfer Lab."""
    from cifar_core.analysis import exports, moments, trackers  # pandas: a second that other commands do without

    store = Store(home())
    found = store.run(run_id)
    predictions = [f"{split}.npz" for split in exports.SPLITS]
    archived = [*predictions, moments.FILE]
    for needed in {"mlflow": [MODEL], "report": predictions, "archive": archived}.get(form, []):
        store.files.path(run_id, needed)  # from another machine, if it is there
    try:
        if form == "mlflow":
            click.echo(trackers.send_to_mlflow((found, store.history(run_id)), store.files.folder(run_id)), err=True)
            return
        content = (
            exports.images_file(open_images(found.experiment.data, home=home()))
            if form == "images"
            else exports.exported(form, (found, store.history(run_id)), store.files.folder(run_id))
        )
    except trackers.TrackerError as error:
        _fail(str(error), 1)
    out = out or Path("images.npz" if form == "images" else f"{run_id}.{exports.ENDINGS[form]}")
    try:
        out.write_bytes(content)  # not replaced: it may be a link, or /dev/stdout
    except OSError as error:
        _fail(f"{out} cannot be written: {error.strerror}.", 1)
    click.echo(f"{out}, {len(content):,} bytes", err=True)


@main.command()
@click.argument("what", metavar="LINK|RECIPE|FILE")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document on standard output.")
@_person_option
def prepare(what: str, as_json: bool, person: str) -> None:
    """Prepare a lecture: fetch data and weights, record the runs, and check that all of it works without a network.

    LINK is the address of the Experiment, Plan or Lecture page, or of runs: of one, or of a comparison. What has been
    run here is not run again.
    """
    from cifar_core import prepare as preparing  # pandas: a second that other commands do without

    store, is_link = Store(home()), "?" in what or "://" in what
    preparation = (
        preparing.Preparation.of_link(what, store.comparisons())
        if is_link
        else preparing.Preparation.of_experiment(_experiment(what, None, None, None, None, ()))
    )
    given = [store.run(id).experiment for id in preparation.given]
    experiments = [*preparation.experiments, *dict.fromkeys(given)]
    _refuse_without_room(preparing.to_run(preparation, store))
    with terminal.bars() as step:
        preparing.bring_images(experiments, home(), step)

    def follow(store: Store, run_id: str, policy: Policy) -> Run:
        click.echo(f"Run {run_id}: {store.run(run_id).name}", err=True)
        return terminal.follow(store, run_id, policy)

    recorded = preparing.record(preparation, store, follow, person)
    tried = preparing.check(experiments, store, follow) if recorded[-1].state is State.DONE else []
    last = [*recorded, *tried][-1]
    links = preparation.lecture(recorded) if last.state is State.DONE else None
    if as_json:
        without_network = [{"name": each.name, "state": each.state, "reason": each.reason} for each in tried]
        runs = [documents.run_summary(each) | {"reason": each.reason} for each in recorded]
        _print_json({"runs": runs, "without_network": without_network, "lecture": links})
    elif last.state is State.DONE:
        click.echo(f"Recorded: {len(recorded)}. Tried without a network: {len(tried)}. Everything is here.")
    for who, link in (links or {}).items():
        click.echo(f"{who}: {link}", err=as_json)
    if last.reason or last.state is not State.DONE:
        click.echo(last.reason or f"The run {last.id} did not reach its end: {last.state}.", err=True)
    sys.exit(EXIT_CODES.get(last.state, terminal.STOPPED))


def _quick_look(meant: Experiment) -> Experiment:
    """Return the experiment's smoke size, which needs no weights that are not there."""
    missing = missing_weights(meant)
    if missing:
        click.echo(f"ImageNet weights ({missing.name}) are not on this computer: from random ones instead.", err=True)
    return smoke(with_random_weights(meant) if missing else meant)


def _experiment(
    name: str,
    data: str | None,
    epochs: int | None,
    per_class: int | None,
    image_side: int | None,
    assignments: tuple[str, ...],
) -> Experiment:
    file = Path(name)
    meant = recipe(name).experiment if name in RECIPES or not _is_there(file) else Experiment.parse_json(_read(file))
    if data is not None:
        meant = meant.model_copy(update=_images(data, image_side))
    elif image_side is not None:
        meant = apply(meant, [f"data.image_side={image_side}"])
    if epochs is not None:
        meant = with_epochs(meant, epochs)
    if per_class is not None:
        meant = apply(meant, [f"data.per_class={per_class}"])
    return apply(meant, assignments)


def _is_there(file: Path) -> bool:
    """Whether a file is meant, and not a recipe: by its name, or because there is one."""
    try:
        return file.suffix == ".json" or file.exists()
    except (OSError, ValueError):  # no file can have such a name
        return False


def _read(file: Path) -> bytes:
    """What is in a file, or the beginning of it where it is far too long for an experiment."""
    try:
        if file.exists() and not file.is_file():  # some devices have no end, and nobody may write into a pipe
            raise ExperimentError(f"{file} is no file.")
        with file.open("rb") as content:
            return content.read(MOST_BYTES + 1)
    except OSError as error:
        raise ExperimentError(f"{file} cannot be read: {error.strerror}.") from None


def _images(data: str, image_side: int | None) -> dict[str, Any]:
    """Return the fields of an experiment on the named images: their classes say how to split the user's own."""
    if data in DATASETS and DATASETS[data].classes:
        return {"data": Data.parse({"name": data, "image_side": image_side})}
    images = data_at(data, image_side)
    return {"data": images} | ({"split": halves(len(images.classes))} if images.classes else {})


def _available(meant: Experiment, *, chosen: bool) -> Experiment:
    """Fall back to the sample where the images are not there and nobody asked for them by name."""
    data = meant.data
    if find_images(data, home=home()) is not None:
        return meant
    if chosen or data.location is not None:
        open_images(data, home=home())  # raises, and says what is wrong
    click.echo(
        "CIFAR-10 is not on this computer: running on the built-in sample instead (synthetic images). "
        "Name a folder or archive with --data to run on CIFAR-10.",
        err=True,
    )
    return meant.model_copy(update={"data": Data(name="sample", per_class=data.per_class)})


def _print_results(found: Run, history: tuple[PhaseHistory, ...]) -> None:
    click.echo(f"{found.name} ({found.id}): {found.state}")
    if said := labels(found):
        click.echo(f"  {SEPARATOR.join(said)}")
    for phase in history:
        if phase.epochs:
            last = phase.epochs[-1]
            click.echo(
                f"  {phase.name}: {count(len(phase.epochs), 'epoch')}, loss {loss(last.loss)}, "
                f"accuracy {100 * last.accuracy:.1f} %, "
                f"validation {loss(last.val_loss)}, {100 * last.val_accuracy:.1f} %"
            )
        if phase.reused_from is not None:
            click.echo(f"    Reused: trained by run {phase.reused_from}.")
        if phase.features:
            click.echo(f"    {phase.features}")
    if "test" in found.metrics:
        test = found.metrics["test"]
        click.echo(f"  test: {100 * test['accuracy']:.1f} % of {test['n']:,} images, loss {loss(test['loss'])}")


def _print_json(document: object) -> None:
    click.echo(documents.as_json(document))


def _fail(message: str, code: int) -> NoReturn:
    click.echo(f"Error: {message}", err=True)
    sys.exit(code)


def run_command_line() -> None:
    """Entry point: errors become sentences and exit codes."""
    try:
        main(prog_name="python -m cifar_core")
    except (ExperimentError, UnknownRun, DataError) as error:
        _fail(str(error), 2)
    except StoreError as error:
        _fail(str(error), 1)


if __name__ == "__main__":
    run_command_line()
