"""`python -m bench [build] [fleet] [logs] [evaluation]`: measures, and prints one table.

A target that is not met is said so; the exit code stays 0, because a busy machine is no mistake of the code.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator

import click

from bench import builds, evaluation, logs
from bench.report import Row, say, table

_PARTS = ("build", "fleet", "logs", "evaluation")


@click.command()
@click.argument("parts", nargs=-1, type=click.Choice(_PARTS))
@click.option("--series", default=100_000, show_default=True, help="About how many series the rules are evaluated on.")
def main(parts: tuple[str, ...], series: int) -> None:
    """Measure builds, reading of logs, and what the rules cost a real Prometheus. Without PARTS: everything."""
    # Ends servers and removes directories on the way out.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    measures: dict[str, Callable[[], Iterator[Row]]] = {
        "build": builds.measure,
        "fleet": builds.measure_fleet,
        "logs": logs.measure,
        "evaluation": lambda: evaluation.measure(series),
    }
    rows = [row for part in parts or _PARTS for row in measures[part]()]
    say(f"\n{table(rows)}")


if __name__ == "__main__":
    main()
