"""Quantities as people write them."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generator.units import Duration, Factor, Rate, Share, plain


@pytest.mark.parametrize(
    ("text", "milliseconds", "printed"),
    [
        ("30ms", 30, "30ms"), ("1s", 1000, "1s"), ("1.5s", 1500, "1s500ms"), ("0.5ms", Decimal("0.5"), "0.5ms"),
        ("5m", 300_000, "5m"), ("90s", 90_000, "1m30s"), ("1h30m", 5_400_000, "1h30m"), ("1d", 86_400_000, "1d"),
        ("0s", 0, "0s"), ("1m5ms", 60_005, "1m5ms"),
    ],
)  # fmt: skip
def test_durations_are_read_and_printed_as_prometheus_writes_them(
    text: str, milliseconds: Decimal, printed: str
) -> None:
    assert Duration.parse(text).milliseconds == milliseconds
    assert str(Duration.parse(text)) == printed


@pytest.mark.parametrize(
    "text", ["", "5", "-5m", "5 m", "m", "5M", "1s1m", "5us", "1e3s", "5m ", "1.5m30s", "９s", "nan", "inf"]
)
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no duration"):
        Duration.parse(text)


@given(st.integers(min_value=0, max_value=10**12))
def test_a_printed_duration_reads_as_itself(milliseconds: int) -> None:
    duration = Duration(Decimal(milliseconds))
    assert Duration.parse(str(duration)) == duration


@pytest.mark.parametrize(("text", "per_minute"), [("20/m", 20), ("0.5/s", 30), ("120/h", 2)])
def test_rates_carry_their_unit(text: str, per_minute: int) -> None:
    assert Rate.parse(text).per_minute == per_minute


@pytest.mark.parametrize("text", ["20", "20/", "/m", "-1/m", "1/d", "1e3/m"])
def test_what_is_no_rate_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no rate"):
        Rate.parse(text)


def test_shares_and_factors() -> None:
    assert Share.parse("12.5%").ratio == Decimal("0.125")
    assert str(Share.parse("5%")) == "5%"
    assert Factor.parse("2.50x").times == Decimal("2.5")
    for text in ("0%", "100%", "5", "-1%"):
        with pytest.raises(ValueError, match="is no share"):
            Share.parse(text)
    for text in ("1x", "0.5x", "3"):
        with pytest.raises(ValueError, match="is no factor"):
            Factor.parse(text)


@pytest.mark.parametrize(
    ("number", "text"),
    [(1e-7, "0.0000001"), (1024.0, "1024"), (0.99, "0.99"), (1e16, "10000000000000000"), (Decimal("5.00"), "5")],
)
def test_numbers_are_written_without_exponent(number: float, text: str) -> None:
    assert plain(number) == text
