import keras
from keras import layers

from cifar_core.training.cost import largest_values, operations, seconds_for_image


def network() -> keras.Model:
    image = keras.Input((8, 8, 3))
    values = layers.Conv2D(4, 3)(image)
    values = layers.BatchNormalization()(values)
    return keras.Model(image, layers.Dense(5)(layers.Flatten()(values)))


def test_a_kernel_counts_once_for_each_place_of_the_output() -> None:
    assert operations(network()) == 2 * (3 * 3 * 3 * 4 * 36 + 4 * 36 + 144 * 5)


def test_the_largest_tensor_of_an_image_may_be_the_image() -> None:
    assert largest_values(network()) == 8 * 8 * 3


def test_more_layers_take_longer() -> None:
    shorter, whole = network(), network()
    assert 0 < seconds_for_image(keras.Model(shorter.inputs, shorter.layers[2].output)) < seconds_for_image(whole)
