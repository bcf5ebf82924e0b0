"""Values as people read them, by the units of Grafana that dashboards use; and where to mark an axis."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

# From which value on a unit is written in the next larger one: its size, and its sign.
_TIMES = ((0.001, "µs"), (1, "ms"), (1_000, "s"), (60_000, "min"), (3_600_000, "h"), (86_400_000, "d"))
_COUNTS = ((1, ""), (1e3, "K"), (1e6, "M"), (1e9, "G"))
_BYTES = ((1, "B"), (1024, "KiB"), (1024**2, "MiB"), (1024**3, "GiB"), (1024**4, "TiB"))
_AFTER = {"reqps": " req/s", "cps": " /s", "opm": " /min", "short": ""}


def written(value: float, unit: str) -> str:
    """The value with its unit: `1.02 s`, `12.5%`, `2.24 req/s`, `384 MiB`."""
    if math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    match unit:
        case "percentunit":
            return f"{_digits(value * 100)}%"
        case "ms":
            return _sized(value, _TIMES)
        case "s":
            return _sized(value * 1000, _TIMES)
        case "bytes":
            return _sized(value, _BYTES)
        case "binBps":
            return _sized(value, _BYTES) + "/s"
        case _:
            return _sized(value, _COUNTS).replace(" ", "") + _AFTER.get(unit, "")


def _sized(value: float, sizes: Sequence[tuple[float, str]]) -> str:
    """The value in the largest unit of which it is at least one."""
    if not value:
        return f"0 {next(sign for size, sign in sizes if size == 1)}".strip()
    size, sign = next((each for each in reversed(sizes) if abs(value) >= each[0] * 0.9995), sizes[0])
    return f"{_digits(value / size)} {sign}".strip()


def _digits(value: float) -> str:
    """Three digits that matter, none behind the point for the sake of its zeros."""
    if abs(value) >= 100:
        return f"{value:.0f}"
    text = f"{value:.3g}"
    return f"{float(text):g}" if "e" not in text else f"{value:.0e}"


@dataclass(frozen=True, slots=True)
class Axis:
    """From which value to which an axis reaches, and where it is marked."""

    low: float
    high: float
    marks: tuple[float, ...]
    logarithmic: bool

    def place(self, value: float) -> float:
        """Where on the axis a value lies: 0 at its low end, 1 at its high end."""
        if not self.logarithmic:
            return (value - self.low) / (self.high - self.low)
        low, high = math.log10(self.low), math.log10(self.high)
        return (math.log10(max(value, self.low)) - low) / (high - low)


def linear(values: Iterable[float], low: float | None, high: float | None, unit: str, most: int = 5) -> Axis:
    """An axis for the values that begins at `low` and ends at `high`, where these are not None."""
    known = [value for value in values if math.isfinite(value)] or [0.0]
    start = min(known) if low is None else low
    end = max(known) if high is None else high
    if end <= start:
        end = start + (abs(start) or 1.0)
    step = _step((end - start) / most, unit)
    start = math.floor(start / step + 1e-9) * step if low is None else low
    end = math.ceil(end / step - 1e-9) * step if high is None else high
    first = math.ceil(start / step - 1e-9)
    marks = tuple(index * step for index in range(first, math.floor(end / step + 1e-9) + 1))
    return Axis(start, end, marks, logarithmic=False)


def _step(least: float, unit: str) -> float:
    """The roundest number that is no less: of bytes a power of two."""
    if unit in ("bytes", "binBps"):
        return float(2 ** math.ceil(math.log2(least)))
    size = 10.0 ** math.floor(math.log10(least))
    return next(times * size for times in (1, 2, 5, 10) if times * size >= least * 0.999)


def logarithmic(values: Iterable[float]) -> Axis:
    """An axis of whole powers of ten around the values that are above zero."""
    known = [value for value in values if math.isfinite(value) and value > 0] or [1.0]
    low, high = math.floor(math.log10(min(known))), math.ceil(math.log10(max(known)))
    low, high = max(low, high - 9), max(high, low + 1)
    return Axis(10.0**low, 10.0**high, tuple(10.0**power for power in range(low, high + 1)), logarithmic=True)


_CLOCK = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400)


def moments(start: float, end: float, most: int) -> tuple[float, ...]:
    """Round times in a span, in seconds."""
    step = next((each for each in _CLOCK if (end - start) / each <= most), _CLOCK[-1])
    while (end - start) / step > most:
        step *= 2
    return tuple(float(index * step) for index in range(math.ceil(start / step), math.floor(end / step) + 1))
