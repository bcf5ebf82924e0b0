"""What commands share: exit codes, options, messages for what goes wrong."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click

from generator.findings import EnvironmentProblem, Finding, Format, InputError, has_errors, in_order, render
from generator.platforms import PLATFORMS

if TYPE_CHECKING:
    from generator.build import Built, Overview

# Exit codes: 0 fine, 1 findings, 2 the input is wrong, 3 the environment is.
FINDINGS, INPUT, ENVIRONMENT = 1, 2, 3

# Whoever reads a path says what is wrong with it.
PATHS = click.Path(path_type=Path, readable=False)
formats = click.option(
    "--format", "form", type=click.Choice(["text", "json", "github"]), default="text", show_default=True,
    help="How findings and the report are printed.",
)  # fmt: skip
target = click.option(
    "--target", "platform", type=click.Choice(list(PLATFORMS)), metavar="PLATFORM",
    help=f"What evaluates the rules, instead of what profiles say: {', '.join(PLATFORMS)}.",
)  # fmt: skip


def exit_codes(**report: Any) -> Callable[[Callable[..., int | None]], Callable[..., None]]:
    """Turns what a command raises and returns into messages and exit codes.

    `report` is what its JSON report holds beside findings when the input is wrong.
    """

    def decorate(function: Callable[..., int | None]) -> Callable[..., None]:
        @wraps(function)
        def run(*args: Any, **options: Any) -> None:
            from generator.templates import TemplateError

            form: Format = options["form"] if options.get("form") in get_args(Format) else "text"
            try:
                sys.exit(function(*args, **options) or 0)
            except InputError as error:
                click.echo(render(error.findings, form, **report), err=form == "text")
                sys.exit(INPUT)
            except TemplateError as error:
                click.echo(f"{error.folder}/{error}", err=True)
                sys.exit(INPUT)
            except EnvironmentProblem as error:
                click.echo(str(error), err=True)
                sys.exit(ENVIRONMENT)

        return run

    return decorate


def bases(paths: Sequence[Path]) -> Iterator[Finding]:
    """What is wrong with files that are all without mistakes, and yield nothing."""
    for path in paths:
        wrong, right = "a base, which yields nothing by itself", "give a profile that extends it"
        yield Finding("error", str(path), 0, 0, "", wrong, right)


def compiled(profile: Path) -> list[Built | Overview]:
    """What one profile or fleet compiles to, with what proves it; prints what there is to say. Raises InputError."""
    from generator.build import Built, build, proven

    results = list(build([profile]))
    findings = [each for each in results if isinstance(each, Finding)]
    if has_errors(findings):
        raise InputError(findings)
    if len(findings) == len(results):
        raise InputError([*findings, *bases([profile])])
    if findings:
        click.echo(render(in_order(findings), "text"), err=True)
    return [proven(each) if isinstance(each, Built) else each for each in results if not isinstance(each, Finding)]


def progress(steps: Iterator[Any], length: int, *, label: str = "compiling", many: int = 50) -> Iterator[Any]:
    """The steps, with a progress bar on a terminal when there are many."""
    if length <= many or not sys.stderr.isatty():
        yield from steps
        return
    with click.progressbar(steps, label=label, file=sys.stderr, show_pos=True) as bar:
        yield from bar
