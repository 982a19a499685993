"""What a subject makes of numbers: pictures that fit into its network."""

import numpy as np
from subjects import subject

CHANNELS = np.array([[[-3.2, 0.5, 254.6, 300]], [[1.4, 1.5, 2.5, 9]], [[0, 0, 0, 0]]])


def test_whole_numbers_are_rounded_and_stay_in_their_range():
    toy = subject(np.zeros((1, 4, 3), np.uint8), layout="NHWC", dtype="uint8")
    made = toy.tensor_of(CHANNELS)
    assert (made.dtype, made.shape, made.flags.c_contiguous) == (np.uint8, (1, 4, 3), True)
    np.testing.assert_array_equal(made[0].T, [[0, 0, 255, 255], [1, 2, 2, 9], [0, 0, 0, 0]])


def test_real_numbers_stay_as_they_are():
    toy = subject(np.zeros((3, 1, 4), np.float32))
    np.testing.assert_array_equal(toy.tensor_of(CHANNELS), CHANNELS.astype(np.float32))


def test_a_blend_takes_from_both_by_the_mask():
    picture = np.arange(12).reshape(3, 1, 4).astype(np.float32)
    made = subject(picture).blend(np.array([[1, 0.5, 0.25, 0]]), np.zeros((3, 1, 4)))
    np.testing.assert_array_equal(made, picture * [1, 0.5, 0.25, 0])
