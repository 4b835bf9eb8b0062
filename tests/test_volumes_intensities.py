import numpy as np
import pytest
from scans import chest, noisy_chest, soft_tissue
from scipy import ndimage

from alnb.errors import DataError
from alnb.volumes import to_labels, to_unit


@pytest.mark.parametrize(
    ("values", "unit", "expected"),
    [
        (np.array([-1024, 3071], np.int16), "hu", [-1024, 3071]),
        (np.array([-1000.4, 70000.0]), "hu", [-1000, 32767]),
        (np.array([0, 255], np.uint8), "grey", [0, 255]),
        (np.array([0, 200], np.int32), "grey", [0, 200]),
        (np.array([0.0, 0.5, 1.0]), "grey", [0, 128, 255]),
        (np.array([0.0, 99.6]), "grey", [0, 100]),
        (np.array([False, True]), "grey", [0, 1]),
    ],
)
def test_the_range_of_values_decides_their_unit(values, unit, expected):
    voxels, decided = to_unit(values, None, "a.nii")

    assert decided == unit
    assert voxels.dtype == (np.int16 if unit == "hu" else np.uint8)
    assert voxels.tolist() == expected


@pytest.mark.parametrize("values", [[0, 4095], [-100, 300]])
def test_an_ambiguous_range_asks_for_the_unit(values):
    with pytest.raises(DataError, match=r"a\.nii: .* Say which it is with --unit hu or --unit"):
        to_unit(np.array(values, np.int16), None, "a.nii")
    assert to_unit(np.array(values, np.int16), "hu", "a.nii")[1] == "hu"


@pytest.mark.parametrize("offset", [np.nan, np.inf])
def test_an_offset_is_a_number(offset):
    with pytest.raises(DataError, match="this is no number"):
        to_unit(chest(), "hu", "a.nii", offset=offset)


def test_an_offset_is_added_before_the_unit_is_decided():
    voxels, decided = to_unit(np.array([24, 4095], np.uint16), None, "a.nii", offset=-1024)

    assert decided == "hu"
    assert voxels.tolist() == [-1000, 3071]


def test_hu_are_not_taken_for_grey_even_if_told():
    with pytest.raises(DataError, match="not 8-bit grey"):
        to_unit(chest(), "grey", "a.nii")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_not_finite_is_refused(value):
    with pytest.raises(DataError, match="NaN or infinite"):
        to_unit(np.array([-1000.0, value, 0.0]), None, "a.nii")


def test_voxels_that_are_no_numbers_are_refused():
    with pytest.raises(DataError, match="are not CT"):
        to_unit(np.zeros(3, np.complex64), None, "a.nii")
    with pytest.raises(DataError, match="empty"):
        to_unit(np.zeros(0, np.int16), None, "a.nii")


def test_a_unit_that_does_not_exist_is_a_sentence():
    with pytest.raises(DataError, match=r"a: there is no unit 'HU'\. Say --unit hu or --unit grey"):
        to_unit(chest(), "HU", "a")


def padded(values, *paddings):
    """Fill the outer columns with values that no scanner measures."""
    values = np.asarray(values).copy()
    for number, padding in enumerate(paddings):
        values[..., 3 * number : 3 * number + 3] = padding
    return values


@pytest.mark.parametrize("padding", [(), (-2000,), (-3024,), (-32768,), (-3024, -2000)])
def test_padding_does_not_hide_that_1024_was_added(padding):
    shifted = padded(noisy_chest() + 1024, *padding)

    for unit in (None, "hu"):
        with pytest.raises(DataError, match=r"look like HU \+ 1024: .* --unit hu --offset -1024"):
            to_unit(shifted, unit, "a.nii")


@pytest.mark.parametrize(
    ("voxels", "shift"),
    [
        ((noisy_chest() + 1024).astype(np.uint16), 1024),
        (padded(noisy_chest() + 1024, 0).astype(np.uint16), 1024),
        (noisy_chest() + 1000, 1024),
        (soft_tissue() + 1024, 1024),
        (noisy_chest() + 1024.0, 1024),
        ((noisy_chest() + 32768.0).astype(np.uint16), 32768),
        (padded(noisy_chest() + 32768.0, 0).astype(np.uint16), 32768),
        (noisy_chest() + 8192, 8192),
    ],
)
def test_hu_that_were_shifted_are_refused_and_the_offset_is_named(voxels, shift):
    for unit in (None, "hu"):
        with pytest.raises(DataError, match=rf"look like HU \+ {shift}: .*--offset -{shift}"):
            to_unit(voxels, unit, "a.nii")


def test_lungs_that_were_cut_out_of_shifted_hu_are_refused():
    lungs = np.random.default_rng(0).normal(-800, 80, (4, 40, 40)).clip(-1000, -300) + 1024
    lungs[:, :, :20] = 0

    with pytest.raises(DataError, match=r"look like HU \+ 1024"):
        to_unit(lungs, "hu", "a.nii")


def test_hu_from_which_1024_was_taken_twice_are_refused():
    with pytest.raises(DataError, match=r"look like HU - 1024: .*--offset 1024"):
        to_unit(noisy_chest() - 1024, None, "a.nii")


def test_an_offset_brings_shifted_values_back_to_hu():
    stored = (noisy_chest() + 1024).astype(np.uint16)

    voxels, unit = to_unit(stored, "hu", "a.nii", offset=-1024)
    insisted, _ = to_unit(stored, "hu", "a.nii", offset=0)

    assert unit == "hu"
    assert np.array_equal(voxels, noisy_chest())
    assert np.array_equal(insisted, stored)


@pytest.mark.parametrize(
    "voxels",
    [
        noisy_chest(),
        noisy_chest().astype(np.float32) + np.float32(0.25),
        padded(noisy_chest(), -2000),
        padded(noisy_chest(), -3024),
        padded(noisy_chest(), -32768),
        padded(noisy_chest(), -3024, -1024),
        noisy_chest().clip(-1000, 400),
        noisy_chest().clip(-1250, 250),
        noisy_chest().clip(-1024, -700),
        np.full((4, 40, 40), -1000, np.int16),
        padded(soft_tissue(), -1024),
        np.where(noisy_chest() < -700, noisy_chest(), 0),  # all but the lungs set to 0
        np.where(soft_tissue() > 490, -700, soft_tissue()),
    ],
)
def test_hu_stay_hu_whatever_part_of_a_chest_they_show(voxels):
    stored, unit = to_unit(voxels, None, "a.nii")

    assert unit == "hu"
    assert np.array_equal(stored, np.rint(voxels))
    assert np.array_equal(to_unit(voxels, "hu", "a.nii")[0], stored)


def test_nothing_is_added_to_grey():
    with pytest.raises(DataError, match="values 0…200 are 8-bit grey, to which nothing is added"):
        to_unit(np.array([0, 200], np.uint8), None, "a.nii", offset=-1024)


def test_soft_tissue_without_air_is_hu_if_a_person_says_so():
    with pytest.raises(DataError, match="could be HU or something else"):
        to_unit(soft_tissue(), None, "a.nii")
    assert np.array_equal(to_unit(soft_tissue(), "hu", "a.nii")[0], soft_tissue())


def test_values_that_are_no_hu_are_refused_even_if_told():
    sixteen_bits = np.random.default_rng(0).integers(0, 65535, (4, 40, 40)).astype(np.uint16)

    with pytest.raises(DataError, match="look neither like HU nor like 8-bit grey"):
        to_unit(sixteen_bits, "hu", "a.nii")
    for low, high in ((0, 1), (-1, 1), (-1.5, 4)):  # fractions and standard scores
        with pytest.raises(DataError, match="are no HU"):
            to_unit(np.linspace(low, high, 2000).reshape(2, 1000), "hu", "a.nii")


def test_grey_beside_padding_below_air_asks_for_the_unit():
    grey = np.random.default_rng(0).integers(0, 255, (4, 40, 40)).astype(np.int16)

    with pytest.raises(DataError, match="0…254 beside this padding could be HU"):
        to_unit(padded(grey, -2000), None, "a.nii")


@pytest.mark.parametrize(
    ("ends", "expected"),
    [
        ((0.0, 1.0000001), [0, 255]),
        ((-1e-4, 1.0003), [0, 255]),
        ((0.0, 255.0002), [0, 255]),
        ((-1e-4, 254.9998), [0, 255]),
    ],
)
def test_programs_that_scale_may_miss_the_ends_of_a_range_a_little(ends, expected):
    voxels, unit = to_unit(np.array(ends, np.float32), None, "a.nii")

    assert unit == "grey"
    assert voxels.tolist() == expected


def test_labels_may_miss_whole_numbers_a_little():
    near = np.array([0.99999994, 1e-9, -1e-7, 2.0004, 254.9995])

    assert to_labels(near, "m.nii").tolist() == [1, 0, 0, 2, 255]


def test_a_value_that_is_no_label_is_named_as_it_is():
    with pytest.raises(DataError, match=r"m\.nii: the mask holds 1\.01, which is no label"):
        to_labels(np.array([0, 1.01]), "m.nii")


def test_a_mask_with_soft_edges_says_so_and_takes_a_threshold():
    soft = np.linspace(0, 1, 101)

    with pytest.raises(
        DataError, match=r"99 levels .* edges seem soft\. Say with --infected-above"
    ):
        to_labels(soft, "m.nii")
    assert to_labels(soft, "m.nii", above=0.5).sum() == 50
    with pytest.raises(DataError, match="holds nan"):
        to_labels(np.array([np.nan, 1.0]), "m.nii", above=0.5)


def test_a_rod_in_a_phantom_of_lung_is_no_shifted_scan_beside_padding():
    values = np.full((4, 30, 30), -800, np.int16)
    values[1, 5:9, 5:9] = 1000

    assert to_unit(values, None, "a.nii")[1] == "hu"


@pytest.mark.parametrize("padding", [-1024, -2000, -3024])
def test_padding_that_a_spline_smeared_does_not_hide_that_1024_was_added(padding):
    shifted = np.repeat(padded(noisy_chest() + 1024.0, padding), 4, axis=-1)
    smeared = ndimage.zoom(shifted, (1, 1, 0.6), order=3)

    for unit in (None, "hu"):
        with pytest.raises(DataError, match=r"look like HU \+ 1024"):
            to_unit(smeared, unit, "a.nii")
    assert to_unit(smeared, "hu", "a.nii", offset=-1024)[1] == "hu"


@pytest.mark.parametrize("air", [-1000, -1024])
@pytest.mark.parametrize("rods", [(), (100,), (-200, -100, 120, 340, 990)])
def test_air_around_a_phantom_without_noise_is_no_padding(air, rods):
    values = np.full((4, 60, 60), air, np.int16)
    values[:, 10:50, 10:50] = 0
    for number, rod in enumerate(rods):
        values[:, 12 + 7 * number : 17 + 7 * number, 20:30] = rod

    assert to_unit(values, None, "a.nii")[1] == "hu"


@pytest.mark.parametrize("offset", [-1024, -1000, 1024])
def test_an_offset_that_hu_do_not_need_is_not_added(offset):
    voxels, unit = to_unit(noisy_chest(), "hu", "a.nii", offset=offset)

    assert unit == "hu"
    assert np.array_equal(voxels, noisy_chest())


def test_the_offset_that_is_named_makes_hu_of_shifted_values_that_had_another():
    with pytest.raises(DataError, match=r"Say --unit hu --offset -1023\.5, or"):
        to_unit(noisy_chest() + 1024.0, "hu", "a.nii", offset=0.5)


@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.float32])
def test_hu_that_lost_their_sign_get_it_back(dtype):
    stored = padded(noisy_chest(), -3024).astype(np.uint16).astype(dtype)  # -1000 is 64536

    for unit in (None, "hu"):
        voxels, decided = to_unit(stored, unit, "a.nii")
        assert decided == "hu"
        assert np.array_equal(voxels, padded(noisy_chest(), -3024))


@pytest.mark.parametrize("padding", [65535, 64512])
def test_padding_of_16_bits_is_no_lost_sign(padding):
    stored = padded((noisy_chest() + 1024).astype(np.uint16), padding)

    with pytest.raises(DataError, match=r"look like HU \+ 1024"):
        to_unit(stored, None, "a.nii")


@pytest.mark.parametrize("times", [4, 10, 16])
def test_hu_times_a_number_are_refused(times):
    stored = padded(np.clip(times * noisy_chest().astype(np.int32), -(2**15), 2**15 - 1), -32768)

    with pytest.raises(DataError, match="are no HU: air lies at -1000, and a part of them below"):
        to_unit(stored.astype(np.int16), None, "a.nii")
    assert to_unit(stored.astype(np.int16), "hu", "a.nii")[1] == "hu"
