"""The unit of an expression, against a threshold and the words of its author, and against the unit of a panel."""

from __future__ import annotations

import re

from generator.lint.types import DATA, TIME, Vector
from generator.units import plain

_UNIT = r"(us|µs|microseconds?|微秒|ms|msecs?|milliseconds?|毫秒|s|secs?|seconds?|秒)(?![A-Za-z0-9_])"
_SAID = re.compile(rf"(?<![A-Za-z0-9_.])(\d+(?:\.\d+)?)\s?{_UNIT}", re.IGNORECASE)
# How long something lasts, which is no threshold.
_LASTS = re.compile(
    rf"\b(?:for|last|past|within|after|every|window)\s+(?:the\s+|of\s+)?\d[\d.]*\s?{_UNIT}", re.IGNORECASE
)
_PRINTED = re.compile(rf"\$value\b[^{{}}]*\}}\}}\s?{_UNIT}", re.IGNORECASE)
_HUMANIZED = re.compile(r"\$value\b[^{}|]*\|\s*humanizeDuration\b")
_NAMES = {"us": "microseconds", "ms": "milliseconds", "s": "seconds"}

# Grafana's ids of units, as numbers of seconds and of bytes, and of shares as the value of 100%.
_TIMES = {
    "ns": 1e-9, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "dtdurations": 1.0, "dtdurationms": 1e-3,
    "clocks": 1.0, "clockms": 1e-3,
}  # fmt: skip
_SIZES = {"bytes": 1.0, "decbytes": 1.0, "kbytes": 1024.0, "deckbytes": 1e3, "mbytes": 2.0**20, "decmbytes": 1e6,
          "gbytes": 2.0**30, "decgbytes": 1e9}  # fmt: skip
_SHARES = {"percent": 100.0, "percentunit": 1.0}


def threshold(vector: Vector, op: str, number: float, prose: str) -> tuple[str, str]:
    """Why a number is no threshold in the unit of the vector, and what would be right; empty where it may be one."""
    unit = vector.time
    if unit not in _NAMES or number <= 0:
        return "", ""
    said = {(float(count), _symbol(name)) for count, name in _SAID.findall(_LASTS.sub("", prose))}
    seconds = [count * TIME[symbol] for count, symbol in said]
    if any(_same(number * TIME[unit], each) for each in seconds):
        return "", ""
    for other, size in TIME.items():
        for count, symbol in sorted(said):
            if other != unit and other in _NAMES and _same(number * size, count * TIME[symbol]):
                right = f"{plain(count)} {symbol} is {plain(round(count * TIME[symbol] / TIME[unit], 9))}"
                return _taken(vector, op, number, unit, other), right
    if unit == "ms" and _below_all(vector, number):
        return _taken(
            vector, op, number, unit, "s"
        ), f"if {plain(number)} s is meant, compare with {plain(number * 1000)}"
    return "", ""


def _taken(vector: Vector, op: str, number: float, unit: str, other: str) -> str:
    return f"{vector.series} is in {_NAMES[unit]}, and `{op} {plain(number)}` takes it for {_NAMES[other]}"


def _below_all(vector: Vector, number: float) -> bool:
    """Whether a number of milliseconds is smaller than what can be told of requests.

    No request gets through a proxy within a millisecond, and a quantile below the first bucket bound is a guess.
    """
    if not (vector.quantile or vector.mean):
        return False
    first = vector.bounds[0] if vector.bounds else 1.0
    metric = vector.valued_by.name if vector.valued_by else vector.series
    of_proxy = re.match(r"milvus_proxy_(?:\w+_)?(?:sq|req|mutation|grpc)_latency", metric)
    if of_proxy and first >= 1:
        return number <= 1
    return vector.quantile and number < first


def _symbol(name: str) -> str:
    name = name.lower()
    if name[0] in "uµ微" or name.startswith("micro"):
        return "us"
    return "ms" if name[0] in "m毫" else "s"


def _same(left: float, right: float) -> bool:
    return abs(left - right) <= 1e-9 * max(left, right)


def printed(vector: Vector, text: str) -> tuple[int, str, str]:
    """Where a text prints the value in a unit that is not its own, why, and what would be right; empty where not."""
    if vector.time not in _NAMES:
        return 0, "", ""
    for pattern in (_PRINTED, _HUMANIZED):
        for found in pattern.finditer(text):
            unit = _symbol(found[1]) if pattern is _PRINTED else "s"
            if unit != vector.time:
                wrong = f"the value is in {_NAMES[vector.time]}, and is printed as {_NAMES[unit]}"
                right = f"print it as {vector.time}" if pattern is _PRINTED else "humanizeDuration takes seconds"
                return found.start(), wrong, right
    return 0, "", ""


def shown(vector: Vector, unit: str) -> tuple[str, str]:
    """Why a panel's unit, by Grafana's id, is not the vector's, and what would be right; empty where it may be."""
    if vector.time and unit in _TIMES and not _same(_TIMES[unit], TIME[vector.time]):
        right = "choose the unit " + next(name for name, size in _TIMES.items() if _same(size, TIME[vector.time]))
        return f"the expression is in {_NAMES.get(vector.time, vector.time)}, and the panel shows it as `{unit}`", right
    if vector.data and unit in _SIZES and _SIZES[unit] not in DATA[vector.data]:
        right = {"bytes": "bytes", "KB": "kbytes", "MB": "mbytes", "GB": "gbytes"}.get(vector.data, "")
        return f"the expression is in {vector.data}, and the panel shows it as `{unit}`", right and f"choose {right}"
    if (
        vector.ceiling in (1.0, 100.0)
        and vector.capped_by
        and vector.unit == ()
        and _SHARES.get(unit, vector.ceiling) != vector.ceiling
    ):
        right = "percentunit" if vector.ceiling == 1 else "percent"
        return (
            f"the expression is a share of {plain(vector.ceiling)}, and the panel shows it as `{unit}`",
            f"choose {right}",
        )
    return "", ""
