import os

from cifar_core.training.hardware import hardware, versions


def test_the_machine_is_named_in_one_line() -> None:
    assert f"({os.cpu_count()} cores" in hardware()
    assert "\n" not in hardware()


def test_the_versions_that_decide_numbers_are_named() -> None:
    assert versions().keys() >= {"python", "tensorflow", "keras", "numpy"}
    assert all(versions().values())
