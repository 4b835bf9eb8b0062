import pytest

from alnb.cli.options import arms_of, config_of, seeds_of, shared_of
from alnb.errors import ConfigError


def test_heuristics_to_compare_are_read():
    assert arms_of("entropy, random") == ("entropy", "random")


@pytest.mark.parametrize("text", ["entropy", "bald,bald", ""])
def test_a_heuristic_is_not_compared_with_itself(text):
    with pytest.raises(ConfigError, match=r"two or more|unknown"):
        arms_of(text)


def test_seeds_are_read():
    assert seeds_of("0, 1,12") == (0, 1, 12)


@pytest.mark.parametrize("text", ["", "a", "0,,1", "-1", "1,1", "0.5", "1" * 5000])
def test_seeds_that_can_not_be_read_are_a_sentence(text):
    with pytest.raises(ConfigError, match=r"give different numbers, as 0,1,2\."):
        seeds_of(text)


@pytest.mark.parametrize("named", ["", "a\0b", "x" * 200, "/"])
def test_weights_that_are_no_file_are_said_before_a_session_is_made(named):
    with pytest.raises(ConfigError, match="there is no such file"):
        config_of("default", weights=named)


def test_a_share_is_a_part_of_several():
    assert shared_of("2/3", 0.1) == {"share": 2, "shares": 3, "overlap": 0.1}
    assert shared_of("2/3", None) == {"share": 2, "shares": 3}
    assert shared_of(None, None) == {}
    for text in ("2", "2/", "a/b", "-1/3", "2/3/4", "9" * 99 + "/3"):
        with pytest.raises(ConfigError, match=r"--share .* can't be read; give PART/PARTS"):
            shared_of(text, None)
