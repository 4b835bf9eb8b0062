import numpy as np
import pytest
from fakes import posterior_of
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from alnb.posterior import Posterior, binary_entropy

draws = arrays(np.float64, (4, 3, 5), elements=st.floats(0, 1))


def test_the_entropy_of_nine_in_ten_is_0_325_nats():
    assert binary_entropy(np.array(0.9)) == pytest.approx(0.325, abs=5e-4)


def test_certainty_has_no_entropy():
    assert binary_entropy(np.array([0.0, 1.0])).tolist() == [0, 0]


def test_one_half_has_the_most():
    assert binary_entropy(np.array(0.5)) == pytest.approx(np.log(2))


def test_draws_that_agree_tell_nothing_more():
    posterior = posterior_of([np.full((2, 2), 0.3)] * 5)

    assert posterior.mutual_information == pytest.approx(np.zeros((2, 2)))
    assert posterior.draws == 5


def test_draws_that_contradict_each_other_tell_all():
    posterior = posterior_of([np.array([[0.0]]), np.array([[1.0]])])

    assert posterior.mean == 0.5
    assert posterior.expected_entropy == 0
    assert posterior.mutual_information == pytest.approx(np.log(2))


@given(draws)
def test_mutual_information_lies_between_nothing_and_the_entropy(stack):
    posterior = posterior_of(stack)

    assert (posterior.mutual_information >= 0).all()
    assert (posterior.mutual_information <= posterior.predictive_entropy + 1e-12).all()


def test_float32_stays_float32_in_the_entropy():
    assert binary_entropy(np.array([0.2], np.float32)).dtype == np.float32


def test_no_draws_are_no_posterior():
    with pytest.raises(ValueError, match="at least one draw"):
        Posterior(np.zeros((2, 2)), np.zeros((2, 2)), 0)


def test_maps_of_different_shapes_are_no_posterior():
    with pytest.raises(ValueError, match="must be equal"):
        Posterior(np.zeros((2, 2)), np.zeros((2, 3)), 1)
