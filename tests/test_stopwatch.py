import pytest

from alnb.ui.label.editor import Stopwatch


@pytest.mark.parametrize(
    ("moments", "seconds"), [((1.5,), 1.5), ((3, 5, 9), 9), ((2, 3600, 3601), 23), ((-5,), 0)]
)
def test_a_gap_counts_twenty_seconds_at_most(moments, seconds):
    watch = Stopwatch()
    watch.start(0)
    for moment in moments:
        watch.touch(moment)

    assert watch.seconds == seconds


def test_another_region_starts_it_anew():
    watch = Stopwatch()
    watch.start(0)
    watch.touch(5)
    watch.start(7)
    watch.touch(8)

    assert watch.seconds == 1
