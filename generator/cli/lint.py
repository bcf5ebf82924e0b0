"""`thresher lint`: the type checker, for rules and dashboards that Thresher did not write."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from generator.cli.common import FINDINGS, INPUT, PATHS, exit_codes
from generator.findings import Finding, Format, InputError, render, sarif

if TYPE_CHECKING:
    from generator.catalog import Release
    from generator.lint.run import Report


@click.command()
@click.argument("files", nargs=-1, required=True, type=PATHS, metavar="FILE...")
@click.option(
    "--milvus", metavar="RELEASE", required=True,
    help="The release to check against: 2.6.19, or 2.6 for its newest patch.",
)  # fmt: skip
@click.option("--ignore", metavar="CODE", multiple=True, help="Do not report findings of this code; may be repeated.")
@click.option(
    "--target-label", "targets", metavar="LABEL", multiple=True,
    help="A label that scraping adds; may be repeated. If given, there are no others but job and instance.",
)  # fmt: skip
@click.option("--scrape-interval", metavar="DURATION", help="How often Milvus is scraped; without it, 15s is assumed.")
@click.option(
    "--format", "form", type=click.Choice(["text", "json", "github", "sarif"]), default="text", show_default=True,
    help="How findings are printed.",
)  # fmt: skip
@exit_codes(unreadable=[], files=0, expressions=0)
def lint(
    files: tuple[Path, ...],
    milvus: str,
    ignore: tuple[str, ...],
    targets: tuple[str, ...],
    scrape_interval: str | None,
    form: Format,
) -> int:
    """Check rules and dashboards that Thresher did not write against a Milvus release.

    Reads FILEs, directories of them, or standard input (-): rule files, PrometheusRule, VMRule and other resources of
    Kubernetes, Grafana dashboards. Only metrics of Milvus are judged. A comment `# thresher: ignore CODE`, on the line
    or above the rule, silences a finding. Exits with 0 when all is sound, 1 after findings, 2 if a file is unreadable.

    \b
    Examples:
      thresher lint alerts/ dashboards/milvus.json --milvus 2.6.19
      helm template . | thresher lint - --milvus 2.6.19 --format github
    """
    from generator import catalog
    from generator.lint import run
    from generator.lint.codes import CODES, nearest
    from generator.lint.names import Labels
    from generator.units import Duration

    problems = []
    for code in ignore:
        if code not in CODES:
            right = f"did you mean {nearest(code)}?" if nearest(code) else f"there are {', '.join(CODES)}"
            problems.append(Finding("error", "--ignore", 0, 0, "", f"there is no code {code}", right))
    interval = None
    try:
        interval = Duration.parse(scrape_interval) if scrape_interval is not None else None
        if interval is not None and not interval:
            raise ValueError
    except ValueError:
        wrong = f"{scrape_interval!r} is no duration"
        problems.append(Finding("error", "--scrape-interval", 0, 0, "", wrong, "write it like 15s"))
    try:
        release = catalog.release(milvus)
    except catalog.UnknownRelease as unknown:
        raise InputError([*problems, Finding("error", "--milvus", 0, 0, "", str(unknown))]) from unknown
    if problems:
        raise InputError(problems)
    report = run.lint(files, release, labels=Labels.of(targets), scrape_interval=interval, ignored=ignore)
    _print(report, release, form)
    if report.unreadable:
        return INPUT
    return FINDINGS if any(finding.severity != "note" for finding in report.findings) else 0


def _print(report: Report, release: Release, form: Format) -> None:
    from generator.lint.codes import CODES

    everything = (*report.unreadable, *report.findings)
    if form == "json":
        unreadable = [asdict(each) for each in report.unreadable]
        read = {"files": report.files, "expressions": report.expressions, "unreadable": unreadable}
        click.echo(render(report.findings, form, milvus=release.name, **read))
    elif form == "sarif":
        click.echo(sarif(everything, CODES))
    elif everything:
        click.echo(render(everything, form))
    if form == "text":
        checked = f"{_count(report.expressions, 'expression')} in {_count(report.files, 'file')}"
        found = _count(len(report.findings), "finding")
        cannot = f", {_count(len(report.unreadable), 'place')} unreadable" if report.unreadable else ""
        click.echo(f"{checked} against Milvus {release.name}: {found}{cannot}", err=True)


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
