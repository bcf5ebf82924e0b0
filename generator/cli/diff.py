"""`thresher diff`: what a change of rules and dashboards means for the people on call."""

from __future__ import annotations

from dataclasses import asdict
from typing import Literal

import click

from generator.cli.common import FINDINGS, exit_codes
from generator.findings import render


@click.command()
@click.argument("before", metavar="A")
@click.argument("after", metavar="B")
@click.option(
    "--format", "form", type=click.Choice(["text", "markdown", "json"]), default="text", show_default=True,
    help="How changes are printed; Markdown is for a comment on a pull request.",
)  # fmt: skip
@exit_codes(changes=[])
def diff(before: str, after: str, form: Literal["text", "markdown", "json"]) -> int:
    """Say what changes from A to B for the people on call.

    A and B are directories, files, or git revisions: `main` is the path of the other one in main, `main:monitoring`
    names a path. Reads what is built or written by hand: rules, dashboards, manifests, inhibition rules. Formatting is
    no difference. Exits with 0 when nothing changes, and with 1 when something does.

    \b
    Examples:
      thresher diff main monitoring
      thresher diff v1.4:monitoring v1.5:monitoring --format markdown
    """
    from generator.diff import show
    from generator.diff.compare import compare
    from generator.diff.read import read

    old, new = read((before, after))
    changes = compare(old, new)
    findings = (*old.findings, *new.findings)
    if form == "json":
        click.echo(render(findings, "json", changes=[asdict(change) for change in changes]))
        return FINDINGS if changes else 0
    if findings:
        click.echo(render(findings, "text"), err=True)
    if form == "markdown":
        click.echo(show.markdown(changes))
    else:
        for line in show.text(changes):
            click.echo(line)
        click.echo(f"{before} -> {after}: {show.verdict(changes)}")
    return FINDINGS if changes else 0
