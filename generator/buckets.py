"""Thresholds on histogram buckets: where a threshold is measured, and how a bucket is selected.

A share of requests under a threshold is exact only at a bucket bound: it is a ratio of two counters there,
and an interpolation, off by up to the bucket's width, anywhere else (prometheus.io/docs/practices/histograms/).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import lru_cache

from generator.promql.text import escaped, quoted_string
from generator.units import Duration, plain


class OutsideBuckets(ValueError):
    """The threshold lies below the first or above the last bound of the histogram."""


@dataclass(frozen=True, slots=True)
class Point:
    """A place on a histogram: the bound `upper`, or `fraction` of the way from the bound before it (`lower`).

    Bounds are in the unit of the histogram, milliseconds for Milvus' request latencies. `lower` is 0 before the
    first bound, `following` (the bound after `upper`) infinite after the last.
    """

    lower: float
    upper: float
    fraction: Decimal
    following: float

    @property
    def interpolated(self) -> bool:
        return self.fraction != 1

    @property
    def rest(self) -> Decimal:
        """How much of the way remains to `upper`."""
        return 1 - self.fraction

    @property
    def bounds(self) -> tuple[float, ...]:
        """The bounds that must be read."""
        return (self.lower, self.upper) if self.interpolated else (self.upper,)

    @property
    def le(self) -> str:
        """Matcher of the bucket at `upper`."""
        return le(self.upper)

    @property
    def lower_le(self) -> str:
        """Matcher of the bucket at `lower`."""
        return le(self.lower)

    @property
    def spelled(self) -> str:
        """The bound `upper` as Milvus spells it."""
        return spellings(self.upper)[0]

    @property
    def halves(self) -> tuple[dict[str, str], ...]:
        """Labels of the buckets of a node without `upper`, and, between bounds, of one without `lower`, for tests."""
        others = [bound for bound in (self.following, math.inf) if bound != self.upper]
        nodes = (("lower", self.lower), ("upper", self.upper)) if self.interpolated else (("lower", self.lower),)
        return tuple(
            {"node_id": node, "le": spellings(each)[0]}
            for node, bound in nodes
            for each in dict.fromkeys([bound, *others])
            if each
        )

    @property
    def half_nodes(self) -> tuple[dict[str, str], ...]:
        """The labels of these nodes, for tests; none at a bound."""
        return ({"node_id": "lower"}, {"node_id": "upper"}) if self.interpolated else ()

    @property
    def at_bound(self) -> Point:
        """The point at `upper` itself."""
        return replace(self, fraction=Decimal(1))


@dataclass(frozen=True, slots=True)
class Measured:
    """The threshold of a tier, and the point where it is measured."""

    name: str
    threshold: Duration
    point: Point

    @property
    def milliseconds(self) -> str:
        """The latency that is really asked for, as a plain number."""
        return plain(self.threshold.milliseconds) if self.point.interpolated else plain(self.point.upper)

    @property
    def deviation(self) -> float:
        """How far the measured latency lies from the threshold: 0.28 is 28% above."""
        return 0.0 if self.point.interpolated else self.point.upper / float(self.threshold.milliseconds) - 1

    @property
    def in_words(self) -> str:
        """Where the threshold is measured, for people."""
        if self.point.interpolated:
            return f"interpolated between {plain(self.point.lower)} and {plain(self.point.upper)} ms"
        percent = round(self.deviation * 100)
        return f"measured at {plain(self.point.upper)} ms" + (f", {percent:+d}%" if percent else "")


def measure(name: str, threshold: Duration, bounds: tuple[float, ...], snap: str) -> Measured:
    """Where to measure the threshold of the tier `name` on a histogram with these bounds (milliseconds).

    `snap` is `nearest` (on a log scale: the smaller ratio wins), `down`, `up` or `interpolate`.
    Raises OutsideBuckets when the threshold is below the first or above the last bound.
    """
    wanted = float(threshold.milliseconds)
    if not bounds[0] <= wanted <= bounds[-1]:
        side = (
            f"below the first bucket bound ({plain(bounds[0])} ms)"
            if wanted < bounds[0]
            else f"above the last bucket bound ({plain(bounds[-1])} ms)"
        )
        raise OutsideBuckets(side)
    index = next(index for index, bound in enumerate(bounds) if wanted <= bound)
    exact = bounds[index] == wanted
    if not exact and (snap == "down" or (snap == "nearest" and wanted / bounds[index - 1] <= bounds[index] / wanted)):
        index -= 1
    fraction = Decimal(1)
    lower = bounds[index - 1] if index else 0.0
    if snap == "interpolate" and not exact:
        fraction = round((threshold.milliseconds - Decimal(lower)) / (Decimal(bounds[index]) - Decimal(lower)), 6)
    following = bounds[index + 1] if index + 1 < len(bounds) else math.inf
    return Measured(name, threshold, Point(lower, bounds[index], fraction, following))


@lru_cache(maxsize=1024)
def spellings(bound: float) -> tuple[str, ...]:
    """Every way in which a server may spell this bound in `le`.

    Go's `%g` is what client libraries print in the text format and Prometheus 2 keeps; OpenMetrics and
    Prometheus 3 (labels.FormatOpenMetricsFloat) add `.0` where there is neither point nor exponent;
    other exporters print plain decimals.
    """
    if math.isinf(bound):
        return ("+Inf",)
    decimal = plain(bound)
    return tuple(dict.fromkeys([_go_g(bound), _open_metrics(_go_g(bound)), decimal, _open_metrics(decimal)]))


@lru_cache(maxsize=1024)
def spellings_of_go(bound: float) -> tuple[str, ...]:
    """How Prometheus 2 and Prometheus 3 spell a bound that a program in Go, such as Milvus, exposes."""
    if math.isinf(bound):
        return ("+Inf",)
    return tuple(dict.fromkeys([_go_g(bound), _open_metrics(_go_g(bound))]))


@lru_cache(maxsize=1024)
def pattern(bound: float) -> str:
    """A regular expression for every spelling of the bound, and for nothing else."""
    found = spellings(bound)
    pointed = [text for text in found if text + ".0" in found]
    rest = [text for text in found if text not in pointed and text.removesuffix(".0") not in pointed]
    return "|".join([*map(escaped, rest), *(escaped(text) + r"(\.0)?" for text in pointed)])


def le(*bounds: float) -> str:
    """A matcher for the buckets of these bounds, however `le` is spelled."""
    return _le(tuple(sorted(set(bounds))))


@lru_cache(maxsize=4096)
def _le(bounds: tuple[float, ...]) -> str:
    if len(bounds) == 1 and len(spellings(bounds[0])) == 1:
        return f"le={quoted_string(spellings(bounds[0])[0])}"
    return f"le=~{quoted_string('|'.join(map(pattern, bounds)))}"


def union(points: Iterable[Point]) -> tuple[float, ...]:
    """Every bound that the points read, in rising order."""
    return tuple(sorted({bound for point in points for bound in point.bounds}))


def _go_g(number: float) -> str:
    """The number as Go's strconv.FormatFloat(x, 'g', -1, 64) prints it: exponents from 1e+06 and below 1e-04."""
    sign, digits, exponent = Decimal(repr(number)).normalize().as_tuple()
    assert isinstance(exponent, int)
    assert sign == 0
    power = len(digits) + exponent - 1
    if -4 <= power < 6:
        return plain(number)
    text = "".join(map(str, digits))
    mantissa = text[0] + (f".{text[1:]}" if len(text) > 1 else "")
    return f"{mantissa}e{'+' if power >= 0 else '-'}{abs(power):02d}"


def _open_metrics(text: str) -> str:
    return text if "." in text or "e" in text else text + ".0"
