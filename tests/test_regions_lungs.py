import numpy as np
import pytest
from benchmarks.lungs import asked_and_lost
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.draw import disk, ellipse

from alnb.dataset import SliceId, import_medseg, import_nifti
from alnb.regions import Region, bare, find_lungs, grid, in_lungs

HERE = SliceId("scan_01", 23)
SIZE = 192
AIR, LUNG, TISSUE, BONE, FOAM = -1000, -850, 40, 500, -920
LEFT, RIGHT = (92, 62), (92, 130)  # middles of the lungs in the picture
CUT = (slice(42, 142), slice(30, 162))  # around the lungs


def oval(row, col, height, width):
    return ellipse(row, col, height, width, shape=(SIZE, SIZE))


def chest(*, seed=0):
    """A chest in HU, from above: skin, two lungs with vessels, spine, windpipe, noise."""
    hu = np.full((SIZE, SIZE), AIR, np.int16)
    hu[oval(96, 96, 62, 84)] = TISSUE
    for row, col in (LEFT, RIGHT):
        hu[oval(row, col, 42, 26)] = LUNG
        for angle in range(5):
            hu[oval(row - 20 + 9 * angle, col, 2, 4)] = TISSUE
    hu[disk((140, 96), 9)] = BONE
    hu[disk((78, 96), 5)] = AIR
    return hu + np.random.default_rng(seed).normal(0, 12, hu.shape).astype(np.int16)


def lungs_of_chest():
    lungs = np.zeros((SIZE, SIZE), bool)
    for row, col in (LEFT, RIGHT):
        lungs[oval(row, col, 42, 26)] = True
    return lungs


def with_table(hu):
    """A curved shell of 3 mm, with foam inside, on which the back lies."""
    table = np.zeros(hu.shape, bool)
    table[oval(140, 96, 46, 92)] = True
    inner = np.zeros(hu.shape, bool)
    inner[oval(138, 96, 44, 90)] = True
    below = np.arange(SIZE)[:, None] > 150
    hu = hu.copy()
    air = hu < -960
    hu[inner & below & air] = FOAM
    hu[table & ~inner & below] = 100
    hu[164:167, 20:172] = 100
    return hu


def with_arms(hu):
    hu = hu.copy()
    for col in (2, 190):
        hu[oval(110, col, 16, 9)] = TISSUE
    return hu


def with_a_white_lung(hu):
    hu = hu.copy()
    hu[oval(*LEFT, 42, 26)] = 30
    return hu


def consolidated_at_the_back(hu):
    hu = hu.copy()
    below = np.arange(SIZE)[:, None] > 110
    hu[lungs_of_chest() & below] = 30
    return hu


def grey(hu, low=-1000, high=400):
    return np.clip((hu.astype(float) - low) / (high - low) * 255, 0, 255).astype(np.uint8)


CHANGES = {
    "plain": lambda hu: hu,
    "table": with_table,
    "arms": with_arms,
    "table and arms": lambda hu: with_arms(with_table(hu)),
    "a white lung": with_a_white_lung,
    "consolidated": consolidated_at_the_back,
    "consolidated on a table": lambda hu: with_table(consolidated_at_the_back(hu)),
}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize(
    "shown", [None, (-1000, 400), (-1350, 150), (-1024, 1500)], ids=["hu", "-300", "-600", "wide"]
)
def test_both_lungs_are_found_and_little_else(change, shown, seed):
    values = change(chest(seed=seed))
    found = find_lungs(values if shown is None else grey(values, *shown), hu=shown is None)
    lungs, rows = lungs_of_chest(), np.arange(SIZE)[:, None]

    assert found[lungs].mean() > 0.97
    assert not found[rows.repeat(SIZE, axis=1) > 152].any()  # skin, table and air below
    assert not found[:36].any() and not found[:, :16].any() and not found[:, -16:].any()
    assert found.sum() < 1.6 * lungs.sum()  # the heart and some of the back


@pytest.mark.parametrize("change", [with_table, consolidated_at_the_back])
@pytest.mark.parametrize("hu", [True, False])
def test_lungs_are_found_in_pictures_cut_to_them(change, hu):
    values = change(chest())[CUT]
    values = values if hu else np.pad(grey(values), [(30, 30), (0, 0)])
    lungs = lungs_of_chest()[CUT] if hu else np.pad(lungs_of_chest()[CUT], [(30, 30), (0, 0)])

    found = find_lungs(values, hu=hu)
    assert found[lungs].mean() > 0.97
    if not hu:
        assert not found[:30].any() and not found[-30:].any()


def test_a_windpipe_alone_is_no_lung():
    hu = chest()
    hu[lungs_of_chest()] = TISSUE

    assert not find_lungs(hu, hu=True).any()


def test_the_abdomen_with_gas_holds_no_lung():
    hu = chest()
    hu[lungs_of_chest()] = TISSUE
    for col in (70, 90, 120):
        hu[disk((60, col), 6)] = AIR

    assert not find_lungs(with_table(hu), hu=True).any()


@settings(deadline=None)
@given(st.floats(0.3, 1), st.integers(0, 60))
def test_lungs_hardly_depend_on_the_window(contrast, level):
    values = np.clip(grey(chest()) * contrast + level, 0, 255).astype(np.uint8)
    found, known = find_lungs(values, hu=False), find_lungs(grey(chest()), hu=False)

    assert (found ^ known).sum() < 0.1 * known.sum()


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 80), st.integers(1, 80), st.booleans())
def test_any_picture_is_taken(seed, height, width, hu):
    rng = np.random.default_rng(seed)
    values = rng.integers(-1200, 1200, (height, width)).astype(np.int16)
    values[rng.random(values.shape) < rng.random()] = -1000

    assert find_lungs(values, hu=hu).shape == values.shape


@pytest.mark.parametrize("value", [-1000, 0, 255])
def test_a_slice_that_shows_nothing_holds_no_lung(value):
    assert not find_lungs(np.full((64, 64), value, np.int16), hu=value < 0).any()


def test_real_infection_is_asked_about(shared, tmp_path):
    dataset = import_medseg(shared / "data" / "medseg", tmp_path / "data", size=128)

    assert asked_and_lost(dataset, dataset.part("train"))[1] < 0.01


def test_a_real_table_is_not_asked_about(shared, tmp_path):
    dataset = import_nifti(shared / "data" / "hu_volumes", tmp_path / "data", size=176)
    regions = grid(HERE, (176, 176), 64)
    for where in dataset.slices:
        inside = in_lungs(dataset.raw(where), regions, hu=True).reshape(8, 8)
        assert not inside[7].any() and inside.mean() < 0.6, where
    assert asked_and_lost(dataset, dataset.slices)[0] < 0.4  # of all regions


def test_regions_in_lungs_are_those_that_hold_some():
    inside = in_lungs(with_table(chest()), grid(HERE, (SIZE, SIZE), 36), hu=True).reshape(6, 6)

    assert inside[2:4, [1, 4]].all()
    assert not inside[0].any()
    assert not inside[5].any()
    assert not inside[:, [0, 5]].any()


def test_padding_and_air_show_nothing():
    hu = np.full((64, 64), -800, np.int16)  # lung
    hu[:32, :32] = -1024  # padding
    hu[:32, 32:] = -1000 + 10 * np.arange(32)[:, None] % 40  # air with noise
    hu[32, 33] = -300
    regions = grid(HERE, (64, 64), 4)

    assert bare(hu, regions, hu=True).tolist() == [True, True, True, False]
    assert bare(hu, regions, hu=False).tolist() == [True, False, True, False]


def test_a_shape_of_one_value_in_a_rectangle_of_several_shows_something():
    grey = np.full((4, 4), 255, np.uint8)
    grey[0] = 40
    below = np.ones((4, 4), bool)
    below[0] = False
    shape = Region(HERE, 0, 0, 4, 4, mask=below)  # white may be what a narrow window clips

    assert bare(grey, [shape], hu=False).tolist() == [False]
    assert bare(np.where(below, -1024, 0), [shape], hu=True).tolist() == [True]
