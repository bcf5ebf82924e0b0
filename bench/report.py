"""What a benchmark found, as a table: each number beside its target."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import click


class Failed(click.ClickException):
    """Something could not be measured; printed without a traceback."""


@dataclass(frozen=True, slots=True)
class Row:
    """One number. `met` is None where there is no target."""

    what: str
    measured: str
    target: str = ""
    met: bool | None = None


def say(text: str = "") -> None:
    """Prints at once: a part of the benchmark takes minutes."""
    click.echo(text)


def table(rows: Sequence[Row]) -> str:
    """The rows in columns."""
    verdicts = {True: "met", False: "NOT MET", None: ""}
    cells = [
        ("what", "measured", "target", ""),
        *((row.what, row.measured, row.target, verdicts[row.met]) for row in rows),
    ]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ["  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip() for line in cells]
    return "\n".join([lines[0], "-" * max(map(len, lines)), *lines[1:]])
