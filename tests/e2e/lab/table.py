"""Outcomes of the lab as lines of a table."""

from __future__ import annotations

from collections.abc import Iterator

from tests.e2e.lab.lab import Outcome

_COLUMNS = "{:<20} {:>6}  {:<36} {}"
HEADER = _COLUMNS.format("fault", "after", "alert (-: muted)", "the first line that a person reads")


def rows(outcome: Outcome) -> Iterator[str]:
    """A line for each alert that fired; the first one says of what, and what a person reads."""
    about, says = outcome.fault.name, outcome.line
    for alert, seconds in outcome.fired.items() or [("", None)]:
        mark = "-" if alert in outcome.muted else " "
        after = "" if seconds is None else f"{seconds:.0f} s"
        yield _COLUMNS.format(about, after, f"{mark}{alert}" if alert else " none", says).rstrip()
        about = says = ""
