"""What is shown adds up, and is the number that it stands for."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from tenure.metrics.shown import adding_up, rate
from tenure.subscriptions.amount import exactly, in_units

levels = st.fractions(-1000, 1000, max_denominator=12) | st.integers(-5, 5).map(Fraction) | st.just(Fraction(1, 2))


@given(levels, st.lists(levels, max_size=6))
def test_rows_add_up(opening: Fraction, steps: list[Fraction]) -> None:
    """Opening and closing are rounded as ever; a step is less than two units off, nothing stays nothing, signs stay."""
    closing = opening + sum(steps, Fraction(0))
    first, shown, last = adding_up(opening, steps, closing)
    assert (first, last) == (round(opening), round(closing))
    assert first + sum(shown) == last
    for step, whole in zip(steps, shown, strict=True):
        assert abs(step - whole) < 2
        assert whole * step >= 0
        assert step or not whole


@given(st.integers(-(10**20), 10**20), st.sampled_from(["USD", "JPY", "KWD"]))
def test_amounts_are_in_units_of_their_currency(smallest: int, currency: str) -> None:
    """Two places, none or three; exact amounts have as many as they need, and never fewer."""
    places = {"USD": 2, "JPY": 0, "KWD": 3}[currency]
    assert Decimal(in_units(smallest, currency)).as_tuple() == Decimal(smallest).scaleb(-places).as_tuple()
    exact = exactly(Fraction(smallest, 10**10), currency)
    assert Fraction(exact) == Fraction(smallest, 10 ** (10 + places))
    assert not exact.endswith("0") or len(exact.partition(".")[2]) <= places


def test_rates_have_twelve_places() -> None:
    """Half to even, without zeros at the end; below nothing where more came than went."""
    assert [rate(Fraction(*found)) for found in [(1, 3), (3, 5), (0, 1), (1, 1), (-1, 8)]] == [
        "0.333333333333", "0.6", "0", "1", "-0.125",
    ]  # fmt: skip
