"""What is said of values that no known mistake gives, and of none at all."""

import math

import pytest

import hw2
from hw2 import checks


def test_an_unknown_mistake_is_said_to_be_unknown():
    with pytest.raises(checks.Mistake, match="No known mistake"):
        checks.kl(lambda mu, logvar: 3.7 * hw2.kl_normal(mu, logvar))


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_not_finite_is_said(value):
    with pytest.raises(checks.Mistake, match="not finite"):
        checks.kl(lambda mu, logvar: hw2.kl_normal(mu, logvar) * value)
