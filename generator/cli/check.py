"""`thresher check`: whether what is committed is what the profiles compile to, and proven."""

from __future__ import annotations

import gc
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import click

from generator.cli.common import FINDINGS, PATHS, bases, exit_codes, progress, target
from generator.findings import EnvironmentProblem, Finding, Format, InputError, has_errors, in_order, render, sarif

if TYPE_CHECKING:
    from generator.build import Built, Overview
    from generator.promtool import Outcome

_FAILED = "test-failed"


@click.command()
@click.argument("profiles", nargs=-1, required=True, type=PATHS)
@click.option("--out", type=PATHS, default=Path("out"), show_default=True, help="Directory that was built.")
@target
@click.option("--jobs", type=click.IntRange(1), help="How many files to test at once; by default one per core.")
@click.option(
    "--format", "form", type=click.Choice(get_args(Format)), default="text", show_default=True,
    help="How findings are printed.",
)  # fmt: skip
@exit_codes(promtool=None, tests=0)
def check(profiles: tuple[Path, ...], out: Path, platform: str | None, jobs: int | None, form: Format) -> int:
    """Check that a directory holds what all PROFILES compile to, nothing else, and that promtool proves it.

    Says which files are stale, missing, edited by hand, left over or foreign, what promtool finds wrong, and what the
    catalog has to say about the profiles. Writes nothing.

    \b
    Example:
      thresher check profiles --out monitoring --format sarif
    """
    from generator import drift, promtool

    gc.disable()  # as in `build`
    with tempfile.TemporaryDirectory(prefix="thresher-") as folder:
        findings, tests = _drift(profiles, out, platform or "", Path(folder))
        version, played = None, 0
        try:
            tool = promtool.find() if tests else None
            version = promtool.version(tool) if tool else None
            for outcome in promtool.run(tool, list(tests), jobs) if tool else ():
                played += outcome.tests
                findings += _failures(outcome, tests[outcome.file])
        except EnvironmentProblem:
            if findings:
                click.echo(render(findings, form), err=form == "text")
            raise
    findings = list(in_order(findings))
    kinds = {**drift.KINDS, _FAILED: "a test of the rules does not pass"}
    if form == "json":
        click.echo(render(findings, form, promtool=version, tests=played))
    elif form == "sarif":
        click.echo(sarif(findings, kinds))
    elif findings:
        click.echo(render(findings, form))
    errors = sum(finding.severity == "error" for finding in findings)
    if form == "text":
        wrong = f"{errors} finding{'s' if errors > 1 else ''}"
        proven = f"{played} tests in {len(tests)} files"
        click.echo(
            f"{out}: {wrong}; {proven}" if errors else f"{out} is what the profiles compile to, proven by {proven}"
        )
    return FINDINGS if errors else 0


def _drift(profiles: Sequence[Path], out: Path, platform: str, scratch: Path) -> tuple[list[Finding], dict[Path, Path]]:
    """Where the directory differs from what the profiles compile to, and test files of what is in it.

    Each comes with the file to name where it fails. Tests that a profile does not want written go into `scratch`.
    Raises InputError when a profile has a mistake.
    """
    from generator import drift
    from generator.build import build
    from generator.profile.load import files

    paths = files(profiles)
    tree = drift.Drift(out)
    said: list[Finding] = []
    found: list[Finding] = []
    tests: dict[Path, Path] = {}
    for each in progress(build(paths, platform), len(paths)):
        if isinstance(each, Finding):
            said.append(each)
        else:
            found += tree.of(each.name, each.files)
            tests |= _tests(each, out, scratch)
    if has_errors(said):
        raise InputError(said)
    if not tree.compiled:
        raise InputError([*said, *bases(paths)])
    return [*said, *found, *tree.rest()], tests


def _tests(built: Built | Overview, out: Path, scratch: Path) -> dict[Path, Path]:
    """The test files of the rules that are in the directory, each with the file to name where it fails.

    What is missing is said already, and so are rules that a profile that wants no tests does not compile to.
    """
    from generator.build import Built, proven
    from generator.conventions import manifest_file

    if not isinstance(built, Built):
        return {}
    tested = proven(built)
    rules, tests = ([path for path in tested.files if path.parts[1] == kind] for kind in ("rules", "tests"))
    if not all((out / path).is_file() for path in rules + tests if path in built.files):
        return {}
    if tested is built:
        return {out / path: out / path for path in tests}
    if any((out / path).read_bytes() != tested.files[path] for path in rules):
        return {}
    try:
        # The manifest says what evaluates the rules, and so what proves them.
        for path in (*rules, *tests, manifest_file(built.name)):
            (scratch / path).parent.mkdir(parents=True, exist_ok=True)
            (scratch / path).write_bytes(tested.files[path])
    except OSError as error:
        raise EnvironmentProblem(f"{scratch}: {error.strerror} (TMPDIR names another directory)") from error
    return {scratch / path: out / rules[0] for path in tests}


def _failures(outcome: Outcome, file: Path) -> Iterator[Finding]:
    """A finding in the file for each scenario that does not pass."""
    from generator import report

    for case in report.of(outcome).scenarios:
        if case.problems:
            yield Finding("error", str(file), 0, 0, case.name, "\n".join(case.problems), "", _FAILED)
