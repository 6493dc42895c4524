"""The command line as scripts use it: every `run` with a real worker, tiny, on the sample.

Two of them are real processes: one that ends well, and one that is interrupted.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from cifar_core import terminal
from cifar_core.__main__ import _print_results, run_command_line
from cifar_core.experiment.experiment import Experiment
from cifar_core.experiment.measured import MODEL, PhaseHistory, State
from cifar_core.experiment.recipes import RECIPES
from cifar_core.experiment.settings import SMOKE_PER_CLASS
from cifar_core.runs import patience
from cifar_core.runs.room import NO_ROOM, SPARE_BYTES, bytes_kept
from cifar_core.runs.store import Store
from cifar_core.terminal import follow
from tests import filled_store
from tests.data.own import fill
from tests.filled_store import claim
from tests.runs.helpers import QUICK, refuse, submit

ROOT = Path(__file__).parents[1]
TINY = ("--data", "sample", "--per-class", "8", "--epochs", "1")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "cifar_core", *arguments]


def environment(home: Path) -> dict[str, str]:
    return {**os.environ, "TRANSFER_LAB_HOME": str(home), "KERAS_HOME": str(home / "keras")}


def call(home: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """What a process would print and how it would end, without the imports of another process."""
    said, complained = StringIO(), StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(said), redirect_stderr(complained):
        patch.setattr(sys, "argv", ["cifar_core", *arguments])
        for name, value in environment(home).items():
            patch.setenv(name, value)
        with pytest.raises(SystemExit) as ended:
            run_command_line()
    return subprocess.CompletedProcess(arguments, int(ended.value.code or 0), said.getvalue(), complained.getvalue())


def document(home: Path, *arguments: str) -> Any:
    ended = call(home, *arguments, "--json")
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


@pytest.fixture(scope="module")
def finished(home: Path) -> Any:
    ended = subprocess.run(
        command("run", "e", *TINY, "--seed", "3", "--json"),
        cwd=ROOT,
        env=environment(home),
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


def test_recipes_lists_every_recipe_by_its_id(home: Path) -> None:
    assert [recipe["id"] for recipe in document(home, "recipes")] == list(RECIPES)


def test_describe_counts_parameters_without_data(home: Path) -> None:
    phases = document(home, "describe", "a-ft1")["phases"]
    assert phases[1]["params"] == {"total": 949_029, "trainable": 645, "non_trainable": 948_384}
    assert [layer["name"] for layer in phases[1]["layers"] if layer["trainable"]] == ["output"]
    assert phases[0]["layers"][0] == {
        "name": "conv_1",
        "type": "Conv2D",
        "block": "conv_1",
        "output_shape": [32, 32, 32],
        "params": 896,
        "trainable": True,
    }


def test_describe_takes_a_file_and_changes_fields(home: Path, tmp_path: Path) -> None:
    file = tmp_path / "mine.json"
    file.write_text(RECIPES["e"].experiment.to_json())
    described = document(home, "describe", str(file), "--set", "phases.1.freeze.count=1", "--epochs", "2")
    assert described["phases"][1]["params"]["non_trainable"] == 2432
    assert [phase["epochs"] for phase in described["experiment"]["phases"]] == [2, 2]


def test_a_run_prints_one_document_with_the_keys_that_scripts_rely_on(finished: Any) -> None:
    assert (finished["state"], finished["seed"]) == ("done", 3)
    assert [phase["name"] for phase in finished["phases"]] == ["stage 1", "stage 2"]
    for phase in finished["phases"]:
        assert {"val_loss", "val_accuracy"} <= phase["before"].keys()
        assert [epoch["epoch"] for epoch in phase["epochs"]] == [1]
        assert {"loss", "accuracy", "val_loss", "val_accuracy", "seconds"} <= phase["epochs"][0].keys()
    test = finished["metrics"]["test"]
    assert {"n", "loss", "accuracy", "macro_precision", "macro_recall", "macro_f1"} <= test.keys()
    assert test["n"] == 40
    assert {"queue", "start", "data", "build", "first_step", "steps", "validation", "evaluation", "saving"} <= set(
        finished["seconds"]
    )
    assert all(change["change"] == 0 for change in finished["phases"][1]["changes"] if change["frozen"])


def test_a_run_of_the_terminal_is_of_whom_it_names(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terminal, "follow", lambda store, run, *_: store.run(run))
    for named, person in ((("--person", " Ada  Lovelace "), "Ada Lovelace"), ((), "Bo"), (("--person", ""), "")):
        monkeypatch.setenv("TRANSFER_LAB_PERSON", "Bo")
        queued = call(home, "run", "e", *TINY, *named).stderr.split()[1].rstrip(":")
        with closing(Store(home)) as store:
            assert store.run(queued).person == person
            store.request_stop(queued)


def test_a_run_can_be_shown_and_listed_afterwards(home: Path, finished: Any) -> None:
    assert document(home, "show", finished["run"]) == finished
    assert finished["run"] in [run["id"] for run in document(home, "runs")]


def test_accuracies_stand_beside_what_must_be_said_about_them(home: Path, finished: Any) -> None:
    assert finished["labels"] == ["synthetic images", "quick look: 8 images per class"]
    said = " · ".join(finished["labels"])
    assert said in call(home, "runs").stdout
    shown = call(home, "show", finished["run"]).stdout
    assert said in shown and all(phase["features"] in shown for phase in finished["phases"])


def test_a_phase_that_another_run_trained_is_said(
    home: Path, finished: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    _print_results(Store(home).run(finished["run"]), (PhaseHistory(0, "stage 1", reused_from="abc"),))
    assert "Reused: trained by run abc." in capsys.readouterr().out


def test_a_run_leaves_model_and_predictions(home: Path, finished: Any) -> None:
    files = {path.name for path in Store(home).files.folder(finished["run"]).iterdir()}
    assert {"model.keras", "test.npz", "validation.npz", "log.txt"} <= files


def test_a_run_keeps_on_the_disk_what_was_said_before_its_start(home: Path, finished: Any) -> None:
    folder = Store(home).files.folder(finished["run"])
    kept = sum((folder / name).stat().st_size for name in (MODEL, "phase-0.npz", "test.npz", "validation.npz"))
    assert kept == pytest.approx(bytes_kept(Experiment.parse(finished["experiment"])), rel=0.05)


@pytest.mark.parametrize("said", [["--no-stored-features"], ["--set", "features=off"]])
def test_a_run_without_stored_features_says_so_in_its_experiment(home: Path, said: list[str]) -> None:
    ended = document(home, "run", "e", *TINY, *said)
    assert ended["experiment"]["features"] == "off"
    assert ended["phases"][1]["features"] == "No stored features: they are switched off in the experiment."


def test_without_room_for_a_run_none_is_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=SPARE_BYTES))
    ended = call(tmp_path, "run", "e", *TINY)
    assert (ended.returncode, ended.stderr) == (1, f"Error: {NO_ROOM}\n")
    assert not list(tmp_path.iterdir())


def test_without_room_no_run_goes_on_and_nothing_is_prepared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path)
    stopped = claim(store)
    stopped.ends(State.STOPPED)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=SPARE_BYTES))
    for asked in (["resume", stopped.run], ["prepare", "e"], ["prepare", "Plan?strategies=head&seeds=1"]):
        ended = call(tmp_path, *asked)
        assert (ended.returncode, ended.stderr) == (1, f"Error: {NO_ROOM}\n")
    assert [run.state for run in store.runs()] == [State.STOPPED]


@pytest.mark.parametrize("form", ["script", "notebook", "report", "csv", "archive", "images"])
def test_a_run_can_be_exported_into_a_file(home: Path, finished: Any, tmp_path: Path, form: str) -> None:
    ended = call(home, "export", finished["run"], "--as", form, "--out", str(tmp_path / "made"))
    assert ended.returncode == 0, ended.stderr
    assert (tmp_path / "made").stat().st_size > 1000 - 900 * (form == "csv")


def test_an_export_that_cannot_be_written_says_so(home: Path, finished: Any, tmp_path: Path) -> None:
    ended = call(home, "export", finished["run"], "--as", "csv", "--out", str(tmp_path / "nowhere" / "made"))
    assert ended.returncode == 1
    assert "cannot be written" in ended.stderr and "Traceback" not in ended.stderr


@pytest.mark.skipif(os.name == "nt", reason="Windows lets few people make links")
def test_an_export_is_written_through_a_link(home: Path, finished: Any, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    assert call(home, "export", finished["run"], "--as", "csv", "--out", str(tmp_path / "link")).returncode == 0
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "elsewhere").stat().st_size > 0


def test_a_folder_of_images_per_class_is_run_with_its_own_classes(home: Path, tmp_path: Path) -> None:
    place = fill(tmp_path / "pets", cat=8, dog=8, owl=8)
    (place / "cat" / "text.png").write_text("no image")
    options = ("--data", str(place), "--image-side", "28", "--epochs", "1", "--set", "validation.drawn=random")
    ran = document(home, "run", "e", *options)
    data, split = ran["experiment"]["data"], ran["experiment"]["split"]
    assert (data["name"], data["classes"], data["image_side"]) == ("folder", ["cat", "dog", "owl"], 28)
    assert split == {"source": [0, 1], "target": [1, 2]}
    assert (ran["state"], ran["metrics"]["test"]["n"]) == ("done", 4)
    assert ran["environment"]["provenance"].endswith("1 file was left out.")


def test_a_failed_run_says_why_and_exits_with_1(home: Path) -> None:
    diverging = ("--set", "phases.0.learning_rate=100", "--set", "phases.0.optimizer=sgd", "--epochs", "40")
    ended = call(home, "run", "a-initial", *TINY, *diverging, "--json")
    assert ended.returncode == 1
    assert "learning rate 100 is probably too high" in json.loads(ended.stdout)["reason"]


@pytest.fixture(scope="module")
def smoke(home: Path) -> "subprocess.CompletedProcess[str]":
    return call(home, "run", "c2c", "--smoke", "--json")


def test_without_cifar10_the_sample_is_used_and_said(smoke: "subprocess.CompletedProcess[str]") -> None:
    assert smoke.returncode == 0
    assert "built-in sample instead" in smoke.stderr
    assert json.loads(smoke.stdout)["experiment"]["data"]["name"] == "sample"


def test_a_smoke_run_is_the_recipe_with_one_epoch_of_few_images_and_counts_for_nothing_published(
    home: Path, smoke: "subprocess.CompletedProcess[str]"
) -> None:
    experiment = json.loads(smoke.stdout)["experiment"]
    assert experiment["data"]["per_class"] == SMOKE_PER_CLASS
    assert [phase["epochs"] for phase in experiment["phases"]] == [1]
    assert experiment["initial_weights"]["source"] == "random"
    assert not any(claim["runs"] for claim in document(home, "published"))


def test_published_lists_every_claim_with_its_verdict(home: Path) -> None:
    claims = {claim["title"]: claim for claim in document(home, "published")}
    assert claims["E, stage 2"]["accuracy"] == 0.7606
    assert claims["E, stage 2"]["verdict"] == "not run yet"
    assert claims["D, strategy 1"]["verdict"] == "needs ImageNet weights"
    lines = call(home, "published").stdout.splitlines()
    assert len(lines) == 1 + len(claims)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("describe", "a-ft3"), 'Did you mean "a-ft'),
        (("describe", "e", "--set", "phases.0.epoch=3"), 'Did you mean "epochs"?'),
        (("describe", "no-such-file.json"), "no-such-file.json cannot be read"),
        (("run", "e", "--data", "no-such-folder"), "no-such-folder"),
        (("run", "e", "--data", "cifar_core"), "There are no images in the folders of"),
        (("describe", "e", "--data", "sample", "--image-side", "64"), "takes no image_side"),
        (("describe", "e", "--image-side", "64"), "takes no image_side"),
        (("run", "e", "--seed", "-1"), "--seed"),
        (("show", "nothing"), 'There is no run "nothing"'),
    ],
)
def test_bad_arguments_are_explained_and_exit_with_2(home: Path, arguments: tuple[str, ...], said: str) -> None:
    ended = call(home, *arguments)
    assert ended.returncode == 2
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr


def test_ctrl_c_before_there_is_a_run_exits_with_130(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("cifar_core.__main__.data_at", interrupted)
    ended = call(home, "run", "e", "--data", "a large folder")
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "", "")


@pytest.fixture
def long_run(home: Path) -> Iterator["subprocess.Popen[str]"]:
    process = subprocess.Popen(
        command("run", "a-initial", "--data", "sample", "--per-class", "100", "--epochs", "500", "--json"),
        cwd=ROOT,
        env=environment(home),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    yield process
    process.kill()
    process.communicate()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for another process")
def test_ctrl_c_twice_ends_the_run_keeps_what_was_measured_and_leaves_no_process(
    long_run: "subprocess.Popen[str]",
) -> None:
    def read_until(words: str) -> None:
        assert long_run.stderr is not None
        seen = ""
        while words not in seen:
            character = long_run.stderr.read(1)
            assert character, f"the run ended early: {seen}"
            seen += character

    read_until("epoch 2 of 500")
    workers = psutil.Process(long_run.pid).children(recursive=True)
    long_run.send_signal(signal.SIGINT)
    read_until("Stopping, and keeping")
    long_run.send_signal(signal.SIGINT)
    stdout, _ = long_run.communicate(timeout=60)
    assert long_run.returncode == 130
    cut_off = json.loads(stdout)
    assert cut_off["state"] in ("stopped", "interrupted")
    assert cut_off["phases"][0]["epochs"]
    assert workers and not any(worker.is_running() for worker in workers)


def test_a_store_that_is_unusable_for_a_moment_does_not_end_a_run_of_the_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path)
    run = submit(store)
    refuse(monkeypatch, "claim", "run", "renew", times=3)
    assert follow(store, run, QUICK).state is State.DONE
    store.close()


def test_a_store_that_stays_unusable_is_said_and_exits_with_1(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "SECONDS_OF_PATIENCE", 0)
    refuse(monkeypatch, "claim")
    ended = call(home, "run", "e", *TINY)
    assert ended.returncode == 1
    assert "There is no room left" in ended.stderr and "Traceback" not in ended.stderr


def test_files_of_earlier_runs_are_put_into_an_object_store_and_exported_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = call(tmp_path / "home", "keep")
    assert (missing.returncode, "Set TRANSFER_LAB_ARTIFACTS" in missing.stderr) == (2, True)
    store = Store(tmp_path / "home")
    run = filled_store.finished(store)
    store.close()
    monkeypatch.setenv("TRANSFER_LAB_ARTIFACTS", f"file://{tmp_path}/bucket")
    assert call(tmp_path / "home", "keep").stderr.splitlines()[-1] == "Files of 1 runs were put into the object store."
    assert call(tmp_path / "home", "keep").stderr.splitlines()[-1] == "Files of 0 runs were put into the object store."
    shutil.rmtree(tmp_path / "home" / "runs")
    exported = call(tmp_path / "home", "export", run, "--as", "report", "--out", str(tmp_path / "report.html"))
    assert exported.returncode == 0
    assert "Confusion" in (tmp_path / "report.html").read_text()
