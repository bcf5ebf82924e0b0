"""Quantities as people write them: durations, request rates, shares and factors."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache

_MILLISECONDS = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1_000, "ms": 1}
_DURATION = re.compile(
    r"(?:(?P<d>[0-9]{1,15})d)?(?:(?P<h>[0-9]{1,15})h)?(?:(?P<m>[0-9]{1,15})m(?!s))?(?:(?P<s>[0-9]{1,15})s)?(?:(?P<ms>[0-9]{1,15})ms)?"
)
_DECIMAL = re.compile(r"([0-9]{1,15}\.[0-9]{1,6})(ms|s|m|h|d)")
_PER_SECOND = {"s": Decimal(1), "m": Decimal(60), "h": Decimal(3600)}
_RATE = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)/(s|m|h)")
_SHARE = re.compile(r"([0-9]{1,2}(?:\.[0-9]{1,6})?)%")
_FACTOR = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,6})?)x")


@dataclass(frozen=True, slots=True, order=True)
class Duration:
    """A length of time in milliseconds; prints as Prometheus writes it (`1m30s`)."""

    milliseconds: Decimal

    @classmethod
    @lru_cache(maxsize=4096)
    def parse(cls, text: str) -> Duration:
        """Reads `30ms`, `1.5s`, `5m` or `1h30m`.

        Raises ValueError for anything else: a number without a unit, a sign, an unknown unit.
        """
        if decimal := _DECIMAL.fullmatch(text):
            return cls((Decimal(decimal[1]) * _MILLISECONDS[decimal[2]]).normalize())
        match = _DURATION.fullmatch(text)
        if not text or match is None:
            raise ValueError(f"{text!r} is no duration")
        parts = match.groupdict()
        return cls(Decimal(sum(int(parts[unit]) * size for unit, size in _MILLISECONDS.items() if parts[unit])))

    @classmethod
    def of_seconds(cls, seconds: float | Decimal) -> Duration:
        return cls(Decimal(str(seconds)) * 1000)

    @property
    def seconds(self) -> Decimal:
        return self.milliseconds / 1000

    def times(self, count: int) -> Duration:
        return Duration(self.milliseconds * count)

    def __bool__(self) -> bool:
        return bool(self.milliseconds)

    def __str__(self) -> str:
        return _written(self.milliseconds)


@lru_cache(maxsize=4096)
def _written(milliseconds: Decimal) -> str:
    if milliseconds % 1:
        return f"{plain(milliseconds)}ms"
    whole, text = int(milliseconds), ""
    for unit, size in _MILLISECONDS.items():
        count, whole = divmod(whole, size)
        text += f"{count}{unit}" if count else ""
    return text or "0s"


@dataclass(frozen=True, slots=True)
class Rate:
    """Events per unit of time, as written: `20/m`."""

    count: Decimal
    per: str

    @classmethod
    def parse(cls, text: str) -> Rate:
        """Reads `20/m`, `0.5/s` or `100/h`. Raises ValueError for anything else."""
        match = _RATE.fullmatch(text)
        if match is None:
            raise ValueError(f"{text!r} is no rate")
        return cls(Decimal(match[1]), match[2])

    @property
    def per_minute(self) -> Decimal:
        return self.count * 60 / _PER_SECOND[self.per]

    def __str__(self) -> str:
        return f"{plain(self.count)}/{self.per}"


@dataclass(frozen=True, slots=True)
class Share:
    """A part of a whole, between 0 and 1; written as a percentage."""

    ratio: Decimal

    @classmethod
    def parse(cls, text: str) -> Share:
        """Reads `5%`. Raises ValueError for anything else, and outside 0% to 100%."""
        match = _SHARE.fullmatch(text)
        if match is None or not Decimal(match[1]):
            raise ValueError(f"{text!r} is no share between 0% and 100%")
        return cls(Decimal(match[1]) / 100)

    def __str__(self) -> str:
        return f"{plain(self.ratio * 100)}%"


@dataclass(frozen=True, slots=True)
class Factor:
    """How many times as much, above 1; written `3x`."""

    times: Decimal

    @classmethod
    def parse(cls, text: str) -> Factor:
        """Reads `3x`. Raises ValueError for anything else, and for factors of 1 and less."""
        match = _FACTOR.fullmatch(text)
        if match is None or Decimal(match[1]) <= 1:
            raise ValueError(f"{text!r} is no factor above 1")
        return cls(Decimal(match[1]))

    def __str__(self) -> str:
        return f"{plain(self.times)}x"


def plain(number: Decimal | float) -> str:
    """A number without exponent or trailing zeros: `0.99`, `1024`, `3`."""
    text = format(number if isinstance(number, Decimal) else Decimal(repr(number)), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def rounded(seconds: float) -> str:
    """A measured time as people say it, to about three digits: `0.85ms`, `12.5ms`, `8.31s`, `1m40s`, `2h05m`."""
    for size, unit, smaller, small in ((86_400, "d", 3600, "h"), (3600, "h", 60, "m"), (60, "m", 1, "s")):
        whole = round(seconds / smaller)
        if whole * smaller >= size:
            return f"{whole * smaller // size}{unit}{whole * smaller % size // smaller:02}{small}"
    value, unit = (seconds, "s") if round(seconds, 3) >= 1 else (seconds * 1e3, "ms")
    return f"{plain(float(f'{value:.3g}'))}{unit}"
