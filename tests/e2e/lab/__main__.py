"""`make lab`: induces every fault, and prints what fired, after how many seconds, and what a person reads first.

Exit codes: 0 when everything was named right and health was silent, 1 otherwise, 3 when something to run is missing.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import click
import pytest

from tests.e2e.lab.lab import FAULTS, PROFILE, Experiment, outcomes
from tests.e2e.lab.table import HEADER, rows


@click.command()
@click.argument("only", nargs=-1, metavar="[FAULT]...")
@click.option("--faults", type=click.Path(path_type=Path, exists=True), default=FAULTS, help="Other faults than these.")
@click.option("--profile", type=click.Path(path_type=Path, exists=True), default=PROFILE, help="Another profile.")
def main(only: tuple[str, ...], faults: Path, profile: Path) -> None:
    """Induce faults, all or only those named, on a real Milvus."""
    try:
        experiment = Experiment.read(faults, only)
    except KeyError as error:
        raise click.UsageError(f"{faults} has no fault {error}") from error
    problems: list[str] = []
    click.echo(HEADER)
    try:
        with tempfile.TemporaryDirectory(prefix="lab-") as folder:
            for outcome in outcomes(experiment, Path(folder), profile):
                click.echo("\n".join(rows(outcome)))
                problems += [f"{outcome.fault.name}: {problem}" for problem in outcome.problems]
    except pytest.skip.Exception as missing:
        click.echo(missing, err=True)
        sys.exit(3)
    for problem in problems:
        click.echo(problem, err=True)
    sys.exit(bool(problems))


if __name__ == "__main__":
    main()
