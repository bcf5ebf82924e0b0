"""What is said of two versions: changes, and the words for durations, labels and names in them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

About = Literal["alert", "profile", "series", "dashboard"]
Kind = Literal["added", "removed", "renamed", "changed"]

_DURATION = re.compile(r"(\d+)(ms|[smhdwy])")
_SECONDS = {
    "ms": Decimal("0.001"), "s": Decimal(1), "m": Decimal(60), "h": Decimal(3600), "d": Decimal(86_400),
    "w": Decimal(604_800), "y": Decimal(31_536_000),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that changes, in words.

    `profile` is empty for rules of others. `effect` says what comes of it for people, where that is known; `read_by`
    are the alerts, series and panels that read what changes.
    """

    about: About
    kind: Kind
    profile: str
    name: str
    says: str
    effect: str = ""
    read_by: tuple[str, ...] = ()


class Renames:
    """Puts new names where the old ones stand in a text."""

    def __init__(self, new: Mapping[str, str]) -> None:
        self._new = new
        longest_first = sorted(new, key=len, reverse=True)
        self._pattern = re.compile("|".join(rf"(?<![\w:-]){re.escape(each)}(?![\w:-])" for each in longest_first))

    def __call__(self, text: str) -> str:
        return self._pattern.sub(lambda found: self._new[found[0]], text) if self._new else text


def shortly(items: Sequence[str], most: int = 3) -> str:
    """The first items, and how many more there are."""
    more = f" and {len(items) - most} more" if len(items) > most else ""
    return ", ".join(items[:most]) + more


def seconds(text: str) -> Decimal:
    """A duration as Prometheus writes it, in seconds; 0 for none."""
    return sum((int(number) * _SECONDS[unit] for number, unit in _DURATION.findall(text)), Decimal())


def spaced(duration: str) -> str:
    """A duration for prose: `1 s`, `5 min`, `1 h 30 min`."""
    units = {"m": "min"}
    return " ".join(f"{number} {units.get(unit, unit)}" for number, unit in _DURATION.findall(duration)) or duration


def values(matcher: str) -> set[str] | None:
    """The values that a matcher lets through; None for any. What cannot be listed stands for itself."""
    if matcher == "any":
        return None
    found = re.fullmatch(r"(=~?)\"(.*)\"", matcher)
    if found is None:
        return {matcher}
    return (
        {found[2]} if found[1] == "=" else {re.sub(r"\\(.)", r"\1", each) for each in re.split(r"(?<!\\)\|", found[2])}
    )


def listed(values: Iterable[str] | None) -> str:
    """Label values in words; None stands for any."""
    return "any" if values is None else " or ".join(values)


def coverage(before: set[str] | None, after: set[str] | None, of: str = "deployments") -> str:
    """Whether fewer deployments are covered, or more; None stands for any value."""
    if before is None or (after is not None and after < before):
        return f"covers fewer {of} now"
    if after is None or before < after:
        return f"covers more {of} now"
    return f"covers other {of} now"
