from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alnb.errors import ConfigError
from alnb.phantom import CONSOLIDATION, GROUND_GLASS, phantom
from alnb.phantom.anatomy import Chest, cover, smooth_min, spline, spread, tube


@pytest.fixture(scope="module")
def scans():
    return list(phantom(size=96))


def test_a_tube_is_measured_from_its_wall():
    ends = np.array([[0, 0, 0, 2], [10, 0, 0, 2]], np.float32)
    x, y = np.array([[5.0, 13.0, -4.0]], np.float32), np.array([[6.0, 4.0, 0.0]], np.float32)

    assert tube(x, y, 0.0, ends).tolist() == [[4, 3, 2]]
    assert tube(x, y, 8.0, ends)[0, 0] == pytest.approx(8)  # 6 aside, 8 above
    assert tube(x, y, 8.0, ends, slab=8.0).tolist() == [[4, 3, 2]]


def test_a_pixel_on_a_surface_is_half_covered():
    assert cover(np.array([-3.0, -0.25, 0, 0.25, 3]), 1.0).tolist() == [1, 0.75, 0.5, 0.25, 0]


def test_a_smooth_union_holds_both_and_fills_the_seam():
    one, two = np.array([-5.0, 9.0, 1.0]), np.array([9.0, -5.0, 1.0])

    assert smooth_min([one, two], 1.0) == pytest.approx([-5, -5, 1 - np.log(2)], abs=1e-5)


@settings(deadline=None, max_examples=30)
@given(nodes=st.integers(1, 40), size=st.integers(1, 60), value=st.floats(-1e3, 1e3, width=32))
def test_a_constant_spreads_to_itself(nodes, size, value):
    fine = spread(spline(nodes, size), np.full((nodes, nodes), value, np.float32))

    assert fine.shape == (size, size)
    assert fine == pytest.approx(np.full((size, size), value), rel=1e-5, abs=1e-5)


def test_the_same_seed_makes_the_same_scan_whatever_the_count():
    [(one, labels)] = phantom(scans=1, slices=4, size=64, seed=3)
    (again, again_labels), _ = phantom(scans=2, slices=4, size=64, seed=3)

    assert one.scan == again.scan == "phantom_01"
    assert np.array_equal(one.voxels, again.voxels)
    assert np.array_equal(labels, again_labels)


def test_another_seed_and_another_number_make_another_patient():
    (one, _), (two, _) = phantom(scans=2, slices=2, size=64, seed=0)
    [(other, _)] = phantom(scans=1, slices=2, size=64, seed=1)

    assert not np.array_equal(one.voxels, two.voxels)
    assert not np.array_equal(one.voxels, other.voxels)


def test_the_global_random_state_stays_untouched():
    before = np.random.get_state()[1].copy()
    list(phantom(scans=1, slices=2, size=64))

    assert np.array_equal(before, np.random.get_state()[1])


def test_voxels_are_hu_within_the_scanner_range(scans):
    for volume, labels in scans:
        assert volume.unit == "hu"
        assert volume.voxels.dtype == np.int16
        assert volume.voxels.min() >= -1024
        assert volume.voxels.max() <= 3071
        assert labels.dtype == np.uint8
        assert labels.shape == volume.voxels.shape == (20, 96, 96)


def test_tissues_have_their_hu(scans):
    for volume, labels in scans:
        middle = volume.voxels[9]
        lung = (middle > -950) & (middle < -700) & (labels[9] == 0)
        soft = (middle > 0) & (middle < 110)

        assert np.all(volume.voxels[:, :3, :3] == -1024)  # outside the circle
        assert np.median(middle[3:8, 30:-30]) == pytest.approx(-1000, abs=15)  # room air
        assert np.median(middle[lung]) == pytest.approx(-850, abs=40)
        assert lung.mean() > 0.1
        assert 20 < np.median(middle[soft]) < 80
        assert soft.mean() > 0.1
        assert 0.005 < (middle > 200).mean() < 0.08  # bone


def test_the_liver_is_on_the_left_of_the_picture_and_the_spine_at_its_bottom(scans):
    for volume, _ in scans:
        lowest = volume.voxels[0]
        bone_rows, _ = np.nonzero(lowest[:, 42:54] > 200)

        assert (lowest[30:60, 15:45] > 0).mean() > (lowest[30:60, 51:81] > 0).mean()
        assert np.median(bone_rows) > 57


def test_lungs_shrink_to_the_apex_and_end_at_the_diaphragm(scans):
    for volume, _ in scans:
        inside = volume.voxels[:, 22:75, 11:85]
        air = ((inside > -950) & (inside < -500)).mean(axis=(1, 2))

        assert air[9] > 2 * air[0]
        assert air[9] > 1.5 * air[19]


def test_lesions_lie_between_lung_and_soft_tissue(scans):
    voxels = np.concatenate([volume.voxels for volume, _ in scans])
    labels = np.concatenate([labels for _, labels in scans])

    assert set(np.unique(labels)) == {0, GROUND_GLASS, CONSOLIDATION}
    assert -700 < voxels[labels == GROUND_GLASS].mean() < -400
    assert -100 < np.median(voxels[labels == CONSOLIDATION]) < 60


def test_lesions_hold_over_neighbouring_slices(scans):
    for _, labels in scans:
        ill = np.flatnonzero((labels > 0).any(axis=(1, 2)))

        assert len(ill) == ill[-1] - ill[0] + 1


def test_lesions_lie_in_the_lungs(scans):
    labels = scans[1][1]
    patient = Chest(np.random.default_rng([0, 2]), 20, 96)  # the patient is drawn first

    for surface, level in zip(patient.surfaces.lung, labels, strict=True):
        assert np.all(patient.fine(surface)[level > 0] < 0)


def test_about_45_percent_of_slices_and_2_percent_of_pixels_are_infected(scans):
    ill = np.stack([labels for _, labels in scans]) > 0
    shares = ill.mean(axis=(1, 2, 3))

    assert 0.35 < ill.any(axis=(2, 3)).mean() < 0.55
    assert 0.01 < ill.mean() < 0.03
    assert shares.max() > 3 * shares.min() > 0  # from mild to severe
    assert all(0 < scan.any(axis=(1, 2)).sum() < 20 for scan in ill)


@pytest.mark.parametrize(
    "wrong",
    [
        {"scans": 0},
        {"scans": 2**63},
        {"slices": 0},
        {"slices": 1001},
        {"size": 8},
        {"size": 2000},
        {"seed": -1},
    ],
    ids=str,
)
def test_a_number_out_of_range_is_named(wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        phantom(**wrong)
