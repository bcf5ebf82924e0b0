"""Where thresholds are measured, and how buckets are selected."""

from __future__ import annotations

import math
import re
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generator import catalog
from generator.buckets import OutsideBuckets, le, measure, spellings
from generator.units import Duration

POWERS = tuple(2.0**exponent for exponent in range(18))
COARSE = (5.0, 10, 20, 50, 100, 200, 300, 400, 500, 600, 700, 800, 900, 1000, 1500, 3000, 10000, 60000)


@pytest.mark.parametrize(
    ("bounds", "threshold", "nearest", "down", "up"),
    [
        (POWERS, "30ms", 32, 16, 32), (POWERS, "100ms", 128, 64, 128), (POWERS, "1s", 1024, 512, 1024),
        (POWERS, "5s", 4096, 4096, 8192), (POWERS, "128ms", 128, 128, 128), (POWERS, "1ms", 1, 1, 1),
        (COARSE, "30ms", 20, 20, 50), (COARSE, "100ms", 100, 100, 100), (COARSE, "5s", 3000, 3000, 10000),
        (COARSE, "60s", 60000, 60000, 60000),
    ],
)  # fmt: skip
def test_a_threshold_snaps_to_a_bound(
    bounds: tuple[float, ...], threshold: str, nearest: float, down: float, up: float
) -> None:
    duration = Duration.parse(threshold)
    measured = [measure("t", duration, bounds, snap) for snap in ("nearest", "down", "up")]
    assert [each.point.upper for each in measured] == [nearest, down, up]


def test_interpolation_says_how_far_between_the_bounds_the_threshold_lies() -> None:
    measured = measure("t", Duration.parse("100ms"), POWERS, "interpolate")
    assert (measured.point.lower, measured.point.upper, measured.point.fraction) == (64, 128, Decimal("0.5625"))
    assert measured.in_words == "interpolated between 64 and 128 ms"
    assert measure("t", Duration.parse("128ms"), POWERS, "interpolate").in_words == "measured at 128 ms"


def test_the_deviation_is_said() -> None:
    assert measure("t", Duration.parse("100ms"), POWERS, "nearest").in_words == "measured at 128 ms, +28%"
    assert measure("t", Duration.parse("5s"), POWERS, "nearest").in_words == "measured at 4096 ms, -18%"


@pytest.mark.parametrize(("threshold", "side"), [("0.5ms", "below the first"), ("132s", "above the last")])
def test_outside_the_buckets_nothing_can_be_measured(threshold: str, side: str) -> None:
    with pytest.raises(OutsideBuckets, match=side):
        measure("t", Duration.parse(threshold), POWERS, "nearest")


@pytest.mark.parametrize(
    ("bound", "texts"),
    [
        # Go's %g, OpenMetrics and Prometheus 3, plain decimals: as strconv prints them, and FormatOpenMetricsFloat.
        (128.0, ("128", "128.0")),
        (0.25, ("0.25",)),
        (131072.0, ("131072", "131072.0")),
        (1e6, ("1e+06", "1000000", "1000000.0")),
        (1048576.0, ("1.048576e+06", "1048576", "1048576.0")),
        (3.6e6, ("3.6e+06", "3600000", "3600000.0")),
        (1e-05, ("1e-05", "0.00001")),
        (math.inf, ("+Inf",)),
    ],
)
def test_a_bound_is_spelled_in_several_ways(bound: float, texts: tuple[str, ...]) -> None:
    assert spellings(bound) == texts


ALL_BOUNDS = sorted({bound for metric in catalog.release("2.6.19").metrics() for bound in metric.buckets})


@given(st.lists(st.sampled_from(ALL_BOUNDS), min_size=1, max_size=5, unique=True))
def test_a_matcher_finds_every_spelling_of_its_bounds_and_nothing_else(bounds: list[float]) -> None:
    operator, value = re.fullmatch(r'le(=~?)"(.*)"', le(*bounds)).groups()  # type: ignore[union-attr]
    pattern = value.replace("\\\\", "\\") if operator == "=~" else re.escape(value)
    for bound in ALL_BOUNDS:
        for text in spellings(bound):
            assert bool(re.fullmatch(pattern, text)) is (bound in bounds), (pattern, text)
