"""Questions of pages to a worker: answered with arrays, or in words."""

import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from cifar_core.runs.inspect import INSIDE, InspectionFailed, augmented, inside, kept_inside, look
from cifar_core.runs.store import Store
from tests.runs.helpers import EXPERIMENT

ANSWER = """
import json, sys, numpy
question = json.loads(sys.stdin.readline())
assert question["inspect"] == "augmentation"
assert json.loads(question["experiment"])["phases"]
images = numpy.full((1, 2, 2, 3), question["seed"], "uint8")
"""


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def failure(home: Path, command: list[str], seconds: float = 30) -> str:
    with pytest.raises(InspectionFailed) as failed:
        augmented(home, EXPERIMENT, 0, seed=7, seconds=seconds, command=command)
    return str(failed.value)


def test_the_answer_is_what_the_worker_wrote(tmp_path: Path) -> None:
    code = f"{ANSWER}\nnumpy.savez(question['result'], images=images, changed=images[:, None])"
    found = augmented(tmp_path, EXPERIMENT, 0, seed=7, command=python(code))
    assert (found.images == 7).all()
    assert found.changed.shape == (1, 1, 2, 2, 3)
    assert found.changed.dtype == np.uint8


def test_what_the_worker_says_in_words_is_passed_on(tmp_path: Path) -> None:
    code = f"{ANSWER}\nnumpy.savez(question['result'], error=numpy.array('There are no images.'))"
    assert failure(tmp_path, python(code)) == "There are no images."


def test_a_worker_that_fails_is_described_with_its_last_words(tmp_path: Path) -> None:
    said = failure(tmp_path, python("raise SystemExit('the network fell over')"))
    assert "stopped with an error (exit code 1)" in said
    assert said.endswith("the network fell over")


def test_half_an_answer_of_a_worker_that_failed_is_none(tmp_path: Path) -> None:
    code = f"{ANSWER}\nopen(question['result'], 'wb').write(b'PK')\nraise OSError(28, 'No space left on device')"
    assert failure(tmp_path, python(code)).endswith("No space left on device")


def test_a_computer_without_room_for_the_answer_is_said_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(**_: str) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tempfile, "TemporaryDirectory", full)
    assert "No space left on device" in failure(tmp_path, python(ANSWER))


def test_a_worker_that_takes_too_long_is_given_up(tmp_path: Path) -> None:
    assert "took longer than 1 s" in failure(tmp_path, python("import time; time.sleep(600)"), seconds=1)


ALONE = """
import time
from pathlib import Path
working, home = Path(question["home"], "working"), Path(question["home"])
working.touch(exist_ok=False)
while not (home / "go").exists():
    time.sleep(0.01)
working.unlink()
numpy.savez(question["result"], images=images, changed=images[:, None])
"""


def test_two_questions_never_overlap_and_who_waits_for_too_long_is_told_so(tmp_path: Path) -> None:
    def ask(seed: int) -> int:
        return int(augmented(tmp_path, EXPERIMENT, 0, seed, command=python(ANSWER + ALONE)).images[0, 0, 0, 0])

    with ThreadPoolExecutor() as threads:
        asked = [threads.submit(ask, seed) for seed in range(3)]
        while not (tmp_path / "working").exists():
            assert not any(each.done() for each in asked), [each.result() for each in asked if each.done()]
        assert failure(tmp_path, python(ANSWER), seconds=0.01).startswith("Others are asking: ")
        (tmp_path / "go").touch()
        assert [each.result() for each in asked] == [0, 1, 2]


def test_a_worker_that_cannot_be_started_is_said_so(tmp_path: Path) -> None:
    assert "could not be started" in failure(tmp_path, ["/nowhere/python"])


INSIDES = """
import json, sys, numpy
question = json.loads(sys.stdin.readline())
assert (question["inspect"], question["run"]) == ("inside", "abcdefgh")
zero, rows = numpy.array(0), numpy.zeros((2, 2))
numpy.savez(question["result"], no_before="", images=zero, labels=zero, class_names=zero, points=rows, explained=rows)
"""


def test_what_was_found_inside_a_network_is_kept_until_the_run_trains_on(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "abcdefgh"
    folder.mkdir(parents=True)
    (folder / "model.keras").touch()
    store = Store(tmp_path)
    assert kept_inside(store, "abcdefgh") is None
    found = inside(tmp_path, "abcdefgh", command=python(INSIDES))
    assert found.points.shape == (2, 2) and found.cka is None
    kept = kept_inside(store, "abcdefgh")
    assert kept is not None and kept.points.shape == (2, 2)
    with np.load(folder / INSIDE) as file:
        answer = {name: array for name, array in file.items() if name != "form"}
    for older in (answer, answer | {"form": 1}):
        np.savez(folder / INSIDE, **older)
        assert kept_inside(store, "abcdefgh") is None
    (folder / INSIDE).write_bytes(b"damaged")
    assert kept_inside(store, "abcdefgh") is None
    store.close()


LOOKS = """
import base64, json, sys, numpy
question = json.loads(sys.stdin.readline())
answer = {}
for place, (run, pixels) in enumerate(zip(question["runs"], question["images"])):
    image = numpy.frombuffer(base64.b64decode(pixels), "uint8")
    one = {"class_names": ["cat", run], "probabilities": image, "explained": [0], "heat": 0, "layer": "conv_1"}
    answer |= {f"{place}/{name}": numpy.array(value) for name, value in one.items()}
    answer[f"{place}/maps/conv_1"] = image
numpy.savez(question["result"], **answer)
"""


def test_every_run_is_shown_the_image_in_its_own_size(tmp_path: Path) -> None:
    images = {"one": np.full((1, 1, 3), 1, np.uint8), "other": np.full((2, 2, 3), 2, np.uint8)}
    found = look(tmp_path, images, command=python(LOOKS))
    assert [each.class_names for each in found.values()] == [("cat", "one"), ("cat", "other")]
    assert found["one"].probabilities.tolist() == [1] * 3
    assert found["other"].maps["conv_1"].tolist() == [2] * 12
    assert found["other"].layer == "conv_1"


def test_nothing_stays_in_the_home(tmp_path: Path) -> None:
    failure(tmp_path, python("pass"))
    assert list(tmp_path.iterdir()) == []
