"""The command line: parses arguments, calls one function, prints."""

from __future__ import annotations

import contextlib
import gc
import io
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TextIO

import click

from generator import __version__
from generator.findings import EnvironmentProblem, Finding, Format, InputError, has_errors, in_order, render

if TYPE_CHECKING:
    from generator.build import Built
    from generator.logs.summary import Order
    from generator.output import Tree
    from generator.proof import Suite
    from generator.report import FileReport

# Exit codes: 0 fine, 1 findings, 2 the input is wrong, 3 the environment is.
_FINDINGS, _INPUT, _ENVIRONMENT = 1, 2, 3
# As shells have it after Ctrl-C.
_INTERRUPTED = 130

# Above this number of profiles a build report has a line per profile, without details.
_DETAILED = 10

# So many groups of slow queries are printed.
_GROUPS = 20

# So many of the other profiles in an output directory are named.
_NAMED = 3

# Whoever reads a path says what is wrong with it.
_PATHS = click.Path(path_type=Path, readable=False)
_formats = click.option(
    "--format", "form", type=click.Choice(["text", "json", "github"]), default="text", show_default=True,
    help="How findings and the report are printed.",
)  # fmt: skip


def _command(**report: Any) -> Callable[[Callable[..., int | None]], Callable[..., None]]:
    """Turns what a command raises and returns into messages and exit codes.

    `report` is what its JSON report holds beside findings when the input is wrong.
    """

    def decorate(function: Callable[..., int | None]) -> Callable[..., None]:
        @wraps(function)
        def run(*args: Any, **options: Any) -> None:
            from generator.templates import TemplateError

            form: Format = options.get("form", "text")
            try:
                sys.exit(function(*args, **options) or 0)
            except InputError as error:
                click.echo(render(error.findings, form, **report), err=form == "text")
                sys.exit(_INPUT)
            except TemplateError as error:
                click.echo(f"rules_templates/{error}", err=True)
                sys.exit(_INPUT)
            except EnvironmentProblem as error:
                click.echo(str(error), err=True)
                sys.exit(_ENVIRONMENT)

        return run

    return decorate


@contextlib.contextmanager
def _system_errors() -> Iterator[None]:
    """Turns what the system refuses into one line and an exit code: mostly printing, where there is no room."""
    try:
        yield
    except OSError as error:
        _discard(sys.stdout)
        # After a broken pipe, as in `| head`, nobody is interested.
        if not isinstance(error, BrokenPipeError):
            with contextlib.suppress(OSError):
                click.echo(f"{error.filename or 'standard output'}: {error.strerror or error}", err=True)
        _discard(sys.stderr)
        sys.exit(_ENVIRONMENT)


def _discard(stream: TextIO) -> None:
    """Lets go what a stream still holds: on leaving, Python would try to print it again, and end with 120."""
    with contextlib.suppress(OSError, AttributeError):  # there is no stream, or no file behind it
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


class _Program(click.Group):
    """All commands. Whatever they have to print can be printed, or ends with an exit code that says so."""

    def main(self, *args: Any, **options: Any) -> Any:
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors="backslashreplace")
        with _system_errors():
            return super().main(*args, **options)

    def invoke(self, ctx: click.Context) -> Any:
        # Here, too, because `main` of click ends with 1 after a broken pipe, which means findings.
        with _system_errors():
            return super().invoke(ctx)


@click.group(cls=_Program, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="thresher")
def main() -> None:
    """Compiles threshold profiles for Milvus into proven Prometheus rules.

    \b
    thresher build profiles/*.yaml --out monitoring    write rules and their tests
    thresher test monitoring                           run the tests through promtool
    thresher logs proxy.log                            which queries are slow, and likely why
    """


@main.command()
@click.argument("profiles", nargs=-1, required=True, type=_PATHS)
@click.option("--out", type=_PATHS, default=Path("out"), show_default=True, help="Directory to write to.")
@click.option("--check", is_flag=True, help="Write nothing; print a diff and exit with 1 where the directory is stale.")
@click.option("--prune", is_flag=True, help="Also remove the output of profiles that are not given.")
@click.option("--quiet", is_flag=True, help="Print findings only.")
@_formats
@_command(profiles=[], changes={}, diffs={}, strangers=[])
def build(profiles: tuple[Path, ...], out: Path, check: bool, prune: bool, quiet: bool, form: Format) -> int:
    """Compile profiles (files, or directories of them) into rules and tests.

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
        _fill(tree, paths, report, prune=prune)
        verdict = "is up to date" if not tree.changes else f"is stale: {output.described(tree.changes.values())}"
    else:
        with output.building(out) as tree:
            _fill(tree, paths, report, prune=prune)
        verdict = output.described(tree.changes.values()) or "nothing to change"
    report.end(out, verdict, tree, () if prune else tree.strangers())
    return _FINDINGS if check and tree.changes else 0


def _fill(tree: Tree, paths: list[Path], report: _Report, *, prune: bool) -> None:
    """Puts everything that the profiles compile to into the tree.

    Raises InputError when any has a mistake, or when there is nothing to put.
    """
    from generator.build import build as build_all

    failed, empty = False, True
    for each in _progress(build_all(paths), len(paths)):
        if isinstance(each, Finding):
            report.findings.append(each)
            failed = failed or each.severity == "error"
        elif not failed:
            tree.put(each.profile.name, each.files)
            report.built(each)
            empty = False
    if failed:
        raise InputError(report.findings)
    if empty:
        raise InputError([*report.findings, *_bases(paths)])
    if prune:
        tree.prune()
    wrong, right = "kept, as it is not what Thresher wrote any more", "remove it if nobody needs it"
    report.findings += [Finding("warning", str(tree.out / path), 0, 0, "", wrong, right) for path in tree.kept]


def _bases(paths: Sequence[Path]) -> Iterator[Finding]:
    """What is wrong with files that are all without mistakes, and yield nothing."""
    for path in paths:
        wrong, right = "a base, which yields nothing by itself", "give a profile that extends it"
        yield Finding("error", str(path), 0, 0, "", wrong, right)


def _progress(steps: Iterator[Any], length: int) -> Iterator[Any]:
    """The steps, with a progress bar on a terminal when there are many."""
    if length <= 50 or not sys.stderr.isatty():
        yield from steps
        return
    with click.progressbar(steps, label="compiling", file=sys.stderr, show_pos=True) as bar:
        yield from bar


class _Report:
    """What a build has to say, printed in one of the formats."""

    def __init__(self, form: Format, *, quiet: bool, detailed: bool) -> None:
        self.form, self.quiet, self.detailed = form, quiet, detailed
        self.findings: list[Finding] = []
        self.profiles: list[dict[str, Any]] = []
        self.lines: list[str] = []

    def built(self, built: Built) -> None:
        from generator.conventions import manifest_file
        from generator.explain import summary

        if self.form == "json":
            self.profiles.append(json.loads(built.files[manifest_file(built.profile.name)]))
        elif not self.quiet:
            lines = list(summary(built.profile, built.rule_set))
            self.lines += lines if self.detailed else lines[:1]

    def end(self, out: Path, verdict: str, tree: Tree, strangers: Sequence[str]) -> None:
        findings = in_order(self.findings)
        if self.form == "json":
            changes = {str(path): change for path, change in sorted(tree.changes.items())}
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


@main.command()
@click.argument("paths", nargs=-1, type=_PATHS)
@click.option("--jobs", type=click.IntRange(1), help="How many files to test at once; by default one per core.")
@click.option(
    "--mutate", is_flag=True, help="Also prove the tests: change each rule in many ways, and see each noticed."
)
@click.option(
    "--coverage", is_flag=True, help="Also say what of the rules the tests prove, and exit with 1 when that is not all."
)
@click.option("--junit", type=click.Path(path_type=Path, dir_okay=False), help="Also write a report as JUnit XML.")
@_formats
@_command(promtool=None, tests=0, files=[])
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
    return _FINDINGS if findings else 0


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
    verdicts = [each for of_rule in _progress(proof.prove(tool, suite, jobs), len(suite.rules)) for each in of_rule]
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


@main.command()
@click.argument("profile", type=_PATHS)
@click.argument("alert", required=False)
@_command()
def explain(profile: Path, alert: str | None) -> int:
    """Say in words what a profile's alerts watch: what fires when, where it is measured, what is left out and why.

    \b
    Example:
      thresher explain profiles/prod-search.yaml MilvusSearchLatencySlow
    """
    from generator import explain as words
    from generator.build import build as build_all

    results = list(build_all([profile]))
    findings = [each for each in results if isinstance(each, Finding)]
    if has_errors(findings):
        raise InputError(findings)
    if len(findings) == len(results):
        raise InputError([*findings, *_bases([profile])])
    if findings:
        click.echo(render(in_order(findings), "text"), err=True)
    for built in (each for each in results if not isinstance(each, Finding)):
        if alert is None:
            click.echo("\n".join(words.explain(built.profile, built.rule_set)))
            continue
        _known_alert(profile, alert)
        for rule in built.rule_set.rules:
            if rule.name == alert:
                click.echo("\n".join(words.alert(rule, built.rule_set)))
        for text in words.remarks(built.rule_set, alert):
            click.echo(text)
    return 0


def _known_alert(profile: Path, alert: str) -> None:
    import difflib

    from generator import templates

    known = templates.load().alerts
    if alert not in known:
        close = difflib.get_close_matches(alert, known, n=1, cutoff=0.4)
        right = f"did you mean {close[0]}?" if close else f"known: {', '.join(known)}"
        raise InputError([Finding("error", str(profile), 0, 0, "", f"there is no alert {alert}", right)])


@main.command()
@click.argument("what", nargs=-1, metavar="RELEASE [METRIC] | diff OLD NEW")
@click.option("--all", "everything", is_flag=True, help="With diff: all metrics, not only those that rules read.")
@_command()
def catalog(what: tuple[str, ...], everything: bool) -> int:
    """Print what a Milvus release exposes, or what changes for the rules from one release to another.

    METRIC is a name, or a part of names.

    \b
    Examples:
      thresher catalog 2.6.19
      thresher catalog 2.6.19 milvus_proxy_sq_latency
      thresher catalog diff 2.5.4 2.6.19
    """
    from generator import catalog as data
    from generator.catalog import show

    def release(name: str) -> data.Release:
        try:
            return data.release(name)
        except data.UnknownRelease as unknown:
            raise InputError([Finding("error", "catalog", 0, 0, "", str(unknown))]) from unknown

    if what[:1] == ("diff",) and len(what) == 3:
        click.echo("\n".join(_upgrade(release(what[1]), release(what[2]), everything=everything)))
    elif len(what) == 1 and what[0] != "diff":
        click.echo("\n".join(show.listing(release(what[0]))))
    elif len(what) == 2 and what[0] != "diff":
        found = release(what[0])
        metric = found.metric(what[1])
        if metric is None and not any(what[1] in each.name for each in found.metrics()):
            history = "; ".join(show.history(what[1]))
            right = (
                f"elsewhere: {history}" if history else f"similar: {', '.join(show.similar(found, what[1])) or 'none'}"
            )
            raise InputError(
                [Finding("error", "catalog", 0, 0, "", f"Milvus {found.name} has no metric {what[1]}", right)]
            )
        click.echo("\n".join(show.detail(found, metric) if metric else show.listing(found, what[1])))
    else:
        raise click.UsageError("give RELEASE, RELEASE METRIC, or diff OLD NEW")
    return 0


def _upgrade(old: Any, new: Any, *, everything: bool) -> Iterator[str]:
    """What an upgrade of Milvus changes for the rules of a default profile."""
    from generator.build import default_rules
    from generator.catalog import show
    from generator.explain import changes

    before, after = default_rules(old.name), default_rules(new.name)
    read = {name for rules in (before, after) for rule in rules.rules for name in rule.metrics}
    names = {metric.name for release in (old, new) for metric in release.metrics()} if everything else read
    yield f"Milvus {old.name} -> {new.name}, metrics {'' if everything else 'that the rules read'}".rstrip()
    yield from (f"  {line}" for line in list(show.difference(old, new, names)) or ["nothing changes"])
    if slow := show.slow_queries(old, new):
        yield f"  {slow}"
    yield "rules of a profile with default thresholds"
    yield from (f"  {line}" for line in list(changes(before, after)) or ["nothing changes"])


@main.command()
@click.option("--markdown", is_flag=True, help="Print a reference for people instead.")
@_command()
def schema(markdown: bool) -> int:
    """Print the JSON Schema of profiles, for editors and other tools.

    \b
    Example:
      thresher schema > profile.schema.json
    """
    from generator.build import schema as composed
    from generator.profile.reference import reference

    click.echo("\n".join(reference(composed())) if markdown else json.dumps(composed(), indent=2))
    return 0


@main.command()
@click.argument("files", nargs=-1, type=_PATHS, metavar="[FILE]...")
@click.option(
    "--sort", type=click.Choice(["worst", "total", "count"]), default="worst", show_default=True,
    help="What comes first: the slowest query, the most time, or the most queries.",
)  # fmt: skip
@click.option("--limit", type=click.IntRange(1), help="How many groups to print: by default 20, in JSON all.")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
@_command()
def logs(files: tuple[Path, ...], sort: Order, limit: int | None, form: Format) -> int:
    """Tell from Milvus proxy logs which queries are slow, and what likely makes them so.

    Reads FILEs, also gzip, or standard input; of all releases, in text or JSON format. Slow queries are grouped by
    collection and by the shape of their filter: `id == 5` and `id == 7` are one.

    \b
    Examples:
      thresher logs proxy.log proxy.log.1.gz
      kubectl logs deploy/milvus-proxy --since 1h | thresher logs --sort total
    """
    from generator.logs import show
    from generator.logs.summary import summarise

    if not files and sys.stdin is not None and sys.stdin.isatty():
        raise click.UsageError("give files, or pipe a log into the command")
    summary = summarise(map(_log, files or (Path("-"),)))
    if form == "json":
        click.echo(render(summary.findings, "json", **show.data(summary, sort, limit)))
    else:
        for line in show.table(summary, sort, limit or _GROUPS):
            click.echo(line)
        if summary.findings:
            click.echo(render(summary.findings, "text"), err=True)
    if summary.findings:
        return _INPUT
    return _INTERRUPTED if summary.interrupted else 0


def _log(path: Path) -> tuple[str, Callable[[], AbstractContextManager[BinaryIO]]]:
    """The name of a log, and what opens it; `-` is standard input."""
    if str(path) != "-":
        return str(path), lambda: open(path, "rb")
    return "standard input", _stdin


def _stdin() -> AbstractContextManager[BinaryIO]:
    if sys.stdin is None:
        raise OSError("it is closed")
    return contextlib.nullcontext(sys.stdin.buffer)
