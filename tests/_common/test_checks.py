"""What each checker takes, what it refuses, and in which words."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dpm_ppl import InputError
from dpm_ppl._common import checks

RANGE = {"expected": "a share", "remedy": "use 0.5"}
SOME = {"expected": "some", "remedy": "bring some"}
INTEGERS = [4, np.int64(4), np.uint8(4), np.array(4), jnp.asarray(4)]
REALS = [0.25, np.float32(0.25), np.float64(0.25), np.array(0.25), jnp.asarray(0.25)]
BOOLEANS = [True, np.True_, np.array(True), jnp.asarray(True)]


@pytest.mark.parametrize("number", INTEGERS, ids=repr)
def test_integers_of_every_origin(number):
    for found in (checks.whole_number("n", number, most=4), *checks.check_sizes(n=number, m_chunk=number)):
        assert (found, type(found)) == (4, int)
    assert checks.event_sizes((number,)) == (4,)


@pytest.mark.parametrize("number", REALS, ids=repr)
def test_reals_of_every_origin(number):
    for found in (checks.real_number("x", number), checks.number_in("x", number, 0, 1, **RANGE)):
        assert (found, type(found)) == (0.25, float)


@pytest.mark.parametrize("value", BOOLEANS, ids=repr)
def test_booleans_are_no_numbers(value):
    for check in (checks.whole_number, checks.real_number, lambda name, x: checks.number_in(name, x, 0, 2, **RANGE)):
        with pytest.raises(InputError, match=r"^x: expected a"):
            check("x", value)


class Holder:
    """Of an array, as a data set is."""

    values = np.ones(3)


REFUSED = {
    "below": (lambda: checks.whole_number("n", 0), "n: expected a positive integer, got 0; pass 1 or more"),
    "above": (lambda: checks.whole_number("n", 5, most=4), "n: expected a positive integer, got 5; pass 1 to 4"),
    "what holds an array": (
        lambda: checks.real_array(Holder()),
        "x_0: expected real numbers, got a Holder; pass its array, .values",
    ),
    "no size": (lambda: checks.check_sizes(n=None), "n: expected a positive integer, got None; pass 1 or more"),
    "traced": (
        lambda: jax.jit(lambda x: checks.real_number("x", x))(1.0),
        "x: expected a number, got a traced value; pass a Python float",
    ),
    "an open end": (lambda: checks.number_in("x", 1.0, 0, 1, **RANGE), "x: expected a share, got 1.0; use 0.5"),
    "infinite": (lambda: checks.number_in("x", np.inf, 0, **RANGE), "x: expected a share, got inf; use 0.5"),
    "NaN": (lambda: checks.number_in("x", np.nan, **RANGE), "x: expected a share, got nan; use 0.5"),
    "one of two": (
        lambda: checks.one_of("unit", "dits", ("bits", "nats")),
        "unit: expected 'bits' or 'nats', got 'dits'; choose one of these",
    ),
    "one of many": (
        lambda: checks.one_of("--kind", "d", ["a", "b", "c"], "name one"),
        "--kind: expected one of a, b, c, got 'd'; name one",
    ),
    "a name": (
        lambda: checks.check_names("groups", ["a", "d"], ["a", "b"], remedy="rename it"),
        "groups: expected any of a, b, got d; rename it",
    ),
    "a kind": (lambda: checks.check_kind("t", {1}, dict, **SOME), "t: expected some, got set; bring some"),
    "a kind of text": (lambda: checks.check_kind("t", "smc", dict, **SOME), "t: expected some, got 'smc'; bring some"),
    "none": (lambda: checks.check_some("t", {}, **SOME), "t: expected some, got none; bring some"),
    "a shape": (
        lambda: checks.check_shape("x", np.ones((0, 2)), ("datum", 2)),
        "x: expected shape (datum, 2), got shape (0, 2); reshape or select",
    ),
    "the shape of a datum": (
        lambda: checks.check_event_shape("x", np.ones((3, 2)), (3,)),
        "x: expected data of event shape (3,) behind one data axis, got shape (3, 2); "
        "reshape the data, or build the method for their shape",
    ),
    "not finite": (
        lambda: checks.finite_array("x", [1.0, np.nan]),
        "x: expected finite real numbers, got NaN or infinity; convert, or drop these entries",
    ),
    "no numbers": (
        lambda: checks.finite_array("x", ["a"]),
        "x: expected finite real numbers, got dtype <U1; convert, or drop these entries",
    ),
    "not installed": (
        lambda: checks.check_installed("no_such", expected="a package", extra="all"),
        "no_such: expected a package, got no such package; pip install 'dpm-ppl[all]'",
    ),
}


@pytest.mark.parametrize(("check", "message"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused_and_how(check, message):
    with pytest.raises(InputError) as caught:
        check()
    assert str(caught.value) == message


def test_what_fits_is_given_back():
    assert checks.one_of("unit", "bits", ("bits", "nats")) == "bits"
    assert checks.number_in("x", 1, 0, 1, closed="high", **RANGE) == 1.0
    np.testing.assert_array_equal(checks.finite_array("x", [[1, 2]], ("datum", 2)), [[1, 2]])
    checks.check_event_shape("x", np.ones((0, 3)), (3,))
    checks.check_installed("numpy", expected="a package", extra="all")
