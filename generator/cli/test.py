"""`thresher test`: built rules through promtool."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from generator.cli.common import FINDINGS, PATHS, exit_codes, formats, progress
from generator.findings import Format, render

if TYPE_CHECKING:
    from generator.proof import Suite
    from generator.report import FileReport


@click.command()
@click.argument("paths", nargs=-1, type=PATHS)
@click.option("--jobs", type=click.IntRange(1), help="How many files to test at once; by default one per core.")
@click.option(
    "--mutate", is_flag=True, help="Also prove the tests: change each rule in many ways, and see each noticed."
)
@click.option(
    "--coverage", is_flag=True, help="Also say what of the rules the tests prove, and exit with 1 when that is not all."
)
@click.option("--junit", type=click.Path(path_type=Path, dir_okay=False), help="Also write a report as JUnit XML.")
@formats
@exit_codes(promtool=None, tests=0, files=[])
def test(
    paths: tuple[Path, ...], jobs: int | None, mutate: bool, coverage: bool, junit: Path | None, form: Format
) -> int:
    """Prove built rules with promtool: every test file below PATHS (by default: out).

    promtool is taken from the environment variable PROMTOOL, or from PATH.

    \b
    Example:
      thresher test monitoring --coverage --junit report.xml
    """
    from generator import promtool, report
    from generator.coverage import required

    files = promtool.test_files(paths or (Path("out"),))
    for file in files if coverage else ():
        required(file)
    tool = promtool.find()
    version = promtool.version(tool)
    if junit:
        junit.parent.mkdir(parents=True, exist_ok=True)
    if form == "text":
        click.echo(version)
    reports = []
    for outcome in promtool.run(tool, files, jobs):
        reports.append(report.of(outcome))
        if form == "text":
            verdict = "FAILED" if outcome.problems else "ok"
            click.echo(f"{verdict:6} {outcome.file} ({outcome.tests} tests, {outcome.seconds:.1f} s)")
            for problem in outcome.problems:
                click.echo("  " + problem.replace("\n", "\n  "))
    failed = any(each.outcome.problems for each in reports)
    tests = sum(each.outcome.tests for each in reports)
    if form == "text":
        click.echo(f"{tests} tests in {len(files)} files: {'FAILED' if failed else 'all passed'}")
    if mutate and not failed:
        reports = list(_mutated(tool, reports, jobs, form))
    if coverage:
        reports = report.covered(reports)
        if form == "text":
            _print_coverage(reports)
    if junit:
        junit.write_bytes(report.junit(reports, version))
    findings = [finding for each in reports for finding in each.findings]
    if form == "json":
        click.echo(render(findings, form, promtool=version, tests=tests, files=list(map(report.as_data, reports))))
    elif form == "github" and findings:
        click.echo(render(findings, form))
    return FINDINGS if findings else 0


def _mutated(tool: str, reports: Sequence[FileReport], jobs: int | None, form: Format) -> Iterator[FileReport]:
    """The reports, with what became of each change of a rule in that of the first test file of its profile."""
    from generator import proof

    suites = {suite.file: suite for suite in proof.load(report.outcome.file for report in reports)}
    for report in reports:
        suite = suites.get(report.outcome.file)
        yield _of_mutants(tool, suite, report, jobs, form) if suite else report


def _of_mutants(tool: str, suite: Suite, report: FileReport, jobs: int | None, form: Format) -> FileReport:
    """The report with what became of each mutant of the suite."""
    from generator import proof

    start = time.monotonic()
    verdicts = [each for of_rule in progress(proof.prove(tool, suite, jobs), len(suite.rules)) for each in of_rule]
    report = replace(report, mutants=tuple(verdicts), mutated=time.monotonic() - start)
    killed, lost, same = report.killed, report.survivors, report.equivalent
    if form == "text":
        share = 100 * len(killed) / max(len(killed) + len(lost), 1)
        click.echo(
            f"{suite.file}: {len(killed)} of {len(killed) + len(lost)} mutants killed, {share:.1f}%, and {len(same)} "
            f"that say the same as their rule ({report.mutated:.0f} s)"
        )
        for each in same:
            click.echo(f"  the same: {each.rule}: {each.what}: {each.equivalent}")
        for each in lost:
            click.echo(f"  survives: {each.rule}: {each.what}")
    return report


def _print_coverage(reports: Sequence[FileReport]) -> None:
    from generator.report import covered_in_words

    click.echo("proven by tests that passed")
    for line in covered_in_words(reports):
        click.echo(f"  {line}")
    for each in reports:
        for item in each.coverage or ():
            for missing in item.missing:
                click.echo(f"{each.file}: {item.kind}: {item.name}: {missing}")
