"""`thresher build`: profiles to files."""

from __future__ import annotations

import gc
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from generator.cli.common import FINDINGS, PATHS, bases, exit_codes, formats, progress, target
from generator.findings import Finding, Format, InputError, in_order, render

if TYPE_CHECKING:
    from generator.build import Built, Overview
    from generator.output import Tree

# Above this number of profiles a build report has a line per profile, without details.
_DETAILED = 10

# So many of the other profiles in an output directory are named.
_NAMED = 3


@click.command()
@click.argument("profiles", nargs=-1, required=True, type=PATHS)
@click.option("--out", type=PATHS, default=Path("out"), show_default=True, help="Directory to write to.")
@target
@click.option("--check", is_flag=True, help="Write nothing; print a diff and exit with 1 where the directory is stale.")
@click.option("--prune", is_flag=True, help="Also remove the output of profiles that are not given.")
@click.option("--quiet", is_flag=True, help="Print findings only.")
@formats
@exit_codes(profiles=[], changes={}, diffs={}, strangers=[])
def build(
    profiles: tuple[Path, ...], out: Path, platform: str | None, check: bool, prune: bool, quiet: bool, form: Format
) -> int:
    """Compile profiles (files, or directories of them) into rules, their tests, and dashboards.

    Everything is written at once or, when any profile has a mistake, nothing at all.

    \b
    Example:
      thresher build profiles/prod-search.yaml --out monitoring
    """
    from generator import output
    from generator.profile.load import files

    # A build creates much that lives to its end, and no cycles: looking for garbage would be a tenth of its time.
    gc.disable()
    paths = files(profiles)
    report = _Report(form, quiet=quiet, detailed=len(paths) <= _DETAILED)
    if check:
        tree = output.Tree(out)
        _fill(tree, paths, platform or "", report, prune=prune)
        verdict = "is up to date" if not tree.changes else f"is stale: {output.described(tree.changes.values())}"
    else:
        with output.building(out) as tree:
            _fill(tree, paths, platform or "", report, prune=prune)
        verdict = output.described(tree.changes.values()) or "nothing to change"
    report.end(out, verdict, tree, () if prune else tree.strangers())
    return FINDINGS if check and tree.changes else 0


def _fill(tree: Tree, paths: list[Path], platform: str, report: _Report, *, prune: bool) -> None:
    """Puts everything that the profiles compile to into the tree.

    Raises InputError when any has a mistake, or when there is nothing to put.
    """
    from generator.build import build as build_all

    failed, empty = False, True
    for each in progress(build_all(paths, platform), len(paths)):
        if isinstance(each, Finding):
            report.findings.append(each)
            failed = failed or each.severity == "error"
        elif not failed:
            tree.put(each.name, each.files)
            report.built(each)
            empty = False
    if failed:
        raise InputError(report.findings)
    if empty:
        raise InputError([*report.findings, *bases(paths)])
    if prune:
        tree.prune()
    wrong, right = "kept, as it is not what Thresher wrote any more", "remove it if nobody needs it"
    report.findings += [Finding("warning", str(tree.out / path), 0, 0, "", wrong, right) for path in tree.kept]


class _Report:
    """What a build has to say, printed in one of the formats."""

    def __init__(self, form: Format, *, quiet: bool, detailed: bool) -> None:
        self.form, self.quiet, self.detailed = form, quiet, detailed
        self.findings: list[Finding] = []
        self.profiles: list[dict[str, Any]] = []
        self.lines: list[str] = []

    def built(self, built: Built | Overview) -> None:
        from generator.build import Overview
        from generator.conventions import manifest_file
        from generator.explain import overview, summary

        if self.form == "json":
            self.profiles.append(json.loads(built.files[manifest_file(built.name)]))
        elif self.quiet:
            pass
        elif isinstance(built, Overview):
            if len(built.files) > 1:  # not the manifest alone
                self.lines += overview(built.name, built.remarks)
        else:
            lines = list(summary(built.profile, built.rule_set, built.remarks, built.notes))
            self.lines += lines if self.detailed else lines[:1]

    def end(self, out: Path, verdict: str, tree: Tree, strangers: Sequence[str]) -> None:
        findings = in_order(self.findings)
        if self.form == "json":
            changes = dict(sorted(tree.changes.items()))
            diffs = {str(each.path): each.diff for each in tree.drift}
            report = {"profiles": self.profiles, "changes": changes, "diffs": diffs, "strangers": strangers}
            click.echo(render(findings, "json", **report))
            return
        if findings:
            click.echo(render(findings, self.form), err=self.form == "text")
        for line in self.lines:
            click.echo(line)
        for each in tree.drift:
            click.echo(each.diff.rstrip("\n") or f"{each.change}: {each.path}")
        if self.quiet:
            return
        if strangers:
            more = f" and {len(strangers) - _NAMED} more" if len(strangers) > _NAMED else ""
            named = ", ".join(strangers[:_NAMED]) + more
            click.echo(f"{out} also holds {named}, which no given profile yields (--prune removes such output)")
        click.echo(f"{out}: {verdict}")
