import math

import numpy as np
import pytest

from alnb.annotation import Answer, Verdict, fill
from alnb.dataset import SliceId
from alnb.regions import Region
from alnb.ui.label.editor import Stopwatch, outline_of

REGION = Region(SliceId("one", 0), 10, 20, 32, 32)


def circle(row, col, radius, count=200):
    angles = [2 * math.pi * n / count for n in range(count)]
    return [(row + radius * math.sin(a), col + radius * math.cos(a)) for a in angles]


def test_a_circle_needs_few_points_and_keeps_its_area():
    outline = outline_of(circle(26, 36, 10), REGION, 1.0)

    assert 5 <= len(outline) <= 16
    assert fill([outline], (60, 60)).sum() == pytest.approx(math.pi * 100, rel=0.1)


def test_what_leaves_the_region_ends_at_its_edge():
    outline = outline_of(circle(12, 22, 8), REGION, 0.5)

    Answer(REGION, Verdict.INFECTED, outlines=(outline,))  # else it would be refused
    assert min(np.array(outline)[:, 0]) == 9.5


@pytest.mark.parametrize("points", [[(12, 22)], [(12, 22), (15, 25)], circle(12, 22, 0.2)])
def test_a_line_that_encloses_nothing_is_no_outline(points):
    assert outline_of(points, REGION, 1.0) == ()


@pytest.mark.parametrize(
    ("moments", "seconds"), [((1.5,), 1.5), ((3, 5, 9), 9), ((2, 3600, 3601), 23), ((-5,), 0)]
)
def test_a_gap_counts_twenty_seconds_at_most(moments, seconds):
    watch = Stopwatch()
    watch.start(0)
    for moment in moments:
        watch.touch(moment)

    assert watch.seconds == seconds


def test_another_region_starts_it_at_zero():
    watch = Stopwatch()
    watch.start(0)
    watch.touch(5)
    watch.start(7)
    watch.touch(8)

    assert watch.seconds == 1
