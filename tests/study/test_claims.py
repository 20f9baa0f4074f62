"""A claim holds within its bounds, and its line in a notebook is the same on every machine."""

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hw2.study.claims import Claim, check, measured

NUMBERS = st.floats(-1e6, 1e6)


def claim(value, **bounds):
    return Claim("C2.3", "the KL of a collapsed model is nearly zero", value, **bounds)


@given(value=NUMBERS, at_least=NUMBERS, at_most=NUMBERS)
def test_a_claim_holds_exactly_within_its_bounds(value, at_least, at_most):
    assert claim(value, at_least=at_least).holds == (value >= at_least)
    assert claim(value, at_most=at_most).holds == (value <= at_most)
    assert claim(value, at_least=at_least, at_most=at_most).holds == (at_least <= value <= at_most)


@pytest.mark.parametrize("bounds", [{"at_least": 3}, {"at_most": 3}, {"at_least": 3, "at_most": 3}])
def test_bounds_are_inclusive(bounds):
    assert claim(3.0, **bounds).holds


@pytest.mark.parametrize("bounds", [{"at_least": 0}, {"at_most": 0}, {"at_least": -1, "at_most": 1}])
def test_nan_never_holds(bounds):
    assert not claim(math.nan, **bounds).holds
    with pytest.raises(AssertionError, match="measured nan"):
        check(claim(math.nan, **bounds))


@pytest.mark.parametrize("bounds", [{}, {"at_least": -math.inf}, {"at_most": math.inf}])
def test_claim_that_could_not_fail_is_refused(bounds):
    with pytest.raises(ValueError, match=r"C2\.3 has no bound"):
        claim(1.0, **bounds)


def test_check_prints_id_sentence_and_verdict_and_no_digit_of_the_value(capsys):
    check(claim(0.0718281, at_most=0.5))
    out = capsys.readouterr().out
    assert out == "C2.3  the KL of a collapsed model is nearly zero: holds\n"
    assert re.findall(r"\d+", out.removeprefix("C2.3")) == []


def test_check_prints_the_same_whatever_was_measured(capsys):
    printed = []
    for value in (0.1, 0.2, 1e-30):
        check(claim(value, at_most=0.5), claim(value, at_least=0))
        printed.append(capsys.readouterr().out)
    assert len(set(printed)) == 1
    assert printed[0].count("holds") == 2


def test_check_of_what_does_not_hold_says_value_and_bound_of_each(capsys):
    claims = [
        Claim("C1.1", "good", 1.0, at_least=0),
        Claim("C1.2", "too small", 0.25, at_least=0.75),
        Claim("C1.3", "outside", 8.5, at_least=1, at_most=2.5),
    ]
    with pytest.raises(AssertionError) as caught:
        check(*claims)
    message = str(caught.value)
    assert "C1.1" not in message
    assert re.search(r"C1\.2.*too small.*0\.25.*>= 0\.75", message)
    assert re.search(r"C1\.3.*outside.*8\.5.*>= 1 and <= 2\.5", message)
    assert [line.endswith("DOES NOT HOLD") for line in capsys.readouterr().out.splitlines()] == [False, True, True]


def test_measured_prints_value_and_bound(capsys):
    measured(claim(0.0718281, at_most=0.5), claim(7.25, at_least=2))
    first, second = capsys.readouterr().out.splitlines()
    assert re.search(r"C2\.3 +0\.07183 .*<= 0\.5", first)
    assert re.search(r"C2\.3 +7\.25 .*>= 2", second)


def test_measured_does_not_judge(capsys):
    measured(claim(9.0, at_most=0.5), claim(math.nan, at_most=0.5))
    assert "nan" in capsys.readouterr().out


def test_a_claim_cannot_be_changed():
    with pytest.raises(AttributeError):
        claim(1.0, at_least=0).value = 2.0


def test_a_claim_about_another_data_set_is_said_not_to_apply_and_cannot_fail(capsys):
    about_digits, about_any = claim(9.0, at_most=0.5), Claim("C2.8", "the KL is nothing", 0.0, at_most=0.01, of="any")
    check(about_digits, about_any, dataset="fashion-mnist")
    first, second = capsys.readouterr().out.splitlines()
    assert first.endswith(": only about mnist")
    assert second.endswith(": holds")
    measured(about_digits, about_any, dataset="fashion-mnist")
    first, second = capsys.readouterr().out.splitlines()
    assert re.search(r"9 +has no bound for fashion-mnist", first)
    assert second.endswith("must be <= 0.01")


def test_a_claim_about_any_data_set_can_fail_on_each():
    for dataset in ("mnist", "fashion-mnist"):
        with pytest.raises(AssertionError, match=r"C2\.8"):
            check(Claim("C2.8", "the KL is nothing", 1.0, at_most=0.01, of="any"), dataset=dataset)


def test_a_claim_about_another_network_is_said_not_to_apply_and_cannot_fail(capsys):
    about_mlp = claim(9.0, at_most=0.5, arch="mlp")
    with pytest.raises(AssertionError, match=r"C2\.3"):
        check(about_mlp)
    capsys.readouterr()
    check(about_mlp, arch="conv")
    measured(about_mlp, arch="conv")
    first, second = capsys.readouterr().out.splitlines()
    assert first.endswith(": only about mnist and mlp")
    assert second.endswith("has no bound for mnist, conv")
    with pytest.raises(AssertionError, match=r"C2\.3"):
        check(claim(9.0, at_most=0.5), arch="conv")


def test_an_unknown_network_is_refused_because_such_a_claim_could_not_fail():
    with pytest.raises(ValueError, match=r"C2\.3 is about 'mpl': expected any, mlp, conv"):
        claim(1.0, at_most=0.5, arch="mpl")
    with pytest.raises(ValueError, match="unknown arch 'mpl': expected one of mlp, conv"):
        check(claim(1.0, at_most=0.5), arch="mpl")
