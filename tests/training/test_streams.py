from itertools import product

import pytest

from cifar_core.training.streams import stream


def test_an_address_always_gives_the_same_number() -> None:
    assert stream(3, "order", 1, 2) == stream(3, "order", 1, 2)


def test_addresses_give_different_numbers() -> None:
    addresses = list(product(range(4), ("order", "layers", "weights"), range(4), range(4)))
    assert len({stream(*address) for address in addresses}) == len(addresses)


@pytest.mark.parametrize("seed", [0, 1, 2**31 - 1, 2**64])
def test_a_number_suits_every_generator(seed: int) -> None:
    assert 0 <= stream(seed, "weights", 0) < 2**31
