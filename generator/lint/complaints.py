"""What is wrong with an expression, and what it is checked against."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from generator.catalog import Release
from generator.findings import Severity
from generator.lint.names import Labels
from generator.lint.types import Vector
from generator.lint.variables import as_written
from generator.units import Duration


@dataclass(frozen=True, slots=True)
class Complaint:
    """One thing that is wrong, at a place in the PromQL that was checked.

    `elsewhere` is whether another release has what this one lacks.
    """

    code: str
    at: int
    wrong: str
    right: str
    severity: Severity = "error"
    elsewhere: bool = False


@dataclass(frozen=True, slots=True)
class Context:
    """What expressions are checked against: a release, the labels of scraping, the scrape interval, recorded series.

    `interval_given` is whether the user said the scrape interval, or it is only assumed.
    """

    release: Release
    labels: Labels
    scrape_interval: Duration
    interval_given: bool
    records: Mapping[str, Vector]


class Reporter:
    """Collects what is wrong with one expression."""

    def __init__(self, context: Context) -> None:
        self.context, self.release, self.labels = context, context.release, context.labels
        self.complaints: list[Complaint] = []

    def complain(
        self, code: str, at: int, wrong: str, right: str, *, severity: Severity = "error", elsewhere: bool = False
    ) -> None:
        """Notes what is wrong, once for each place."""
        found = Complaint(code, at, as_written(wrong), as_written(right), severity, elsewhere)
        if found not in self.complaints:
            self.complaints.append(found)
