from cifar_core.experiment.measured import Epoch, PhaseHistory

EPOCHS = tuple(Epoch(number, 1.0, 0.5, 1.1, 0.4, 1e-3, 0.5, 1000.0, 500, number * 0.5) for number in (1, 2, 3))


def test_a_phase_results_in_its_last_epoch() -> None:
    assert PhaseHistory(0, "base", epochs=EPOCHS).result is EPOCHS[2]
    assert PhaseHistory(0, "base").result is None


def test_a_phase_that_kept_an_earlier_epochs_weights_results_in_that_epoch() -> None:
    assert PhaseHistory(0, "base", epochs=EPOCHS, kept_epoch=2).result is EPOCHS[1]


def test_a_phase_is_complete_with_all_its_epochs_or_when_it_decided_to_end() -> None:
    assert PhaseHistory(0, "base", epochs=EPOCHS).is_complete(3)
    assert not PhaseHistory(0, "base", epochs=EPOCHS).is_complete(4)
    assert PhaseHistory(0, "base", epochs=EPOCHS, kept_epoch=1).is_complete(4)
