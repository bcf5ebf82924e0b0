"""`thresher preview`: the dashboards of a profile as one page of HTML."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from generator.cli.common import FINDINGS, PATHS, compiled, exit_codes, progress

if TYPE_CHECKING:
    from generator.build import Built, Overview
    from generator.preview.answers import Span
    from generator.preview.page import Section

# So many points a curve has.
_POINTS = 180

# How far back a preview looks at most, in seconds.
_LONGEST = 3650 * 24 * 3600


@click.command()
@click.argument("profile", type=PATHS)
@click.option(
    "--prometheus", "url", metavar="URL", help="Draw what this server has (or Thanos, Mimir, VictoriaMetrics)."
)
@click.option("--out", type=click.Path(path_type=Path), help="File to write; by default PROFILE.html, here.")
@click.option("--last", show_default="1h", help="With --prometheus: how far to look back.")
@click.option(
    "--choose", multiple=True, metavar="VARIABLE=VALUE",
    help="With --prometheus: which deployment, where the profile matches several, such as namespace=eu.",
)  # fmt: skip
@exit_codes()
def preview(profile: Path, url: str | None, out: Path | None, last: str | None, choose: tuple[str, ...]) -> int:
    """Draw the dashboards of a profile into one HTML file, for a pull request or where there is no Grafana.

    With --prometheus, panels show what that server knows now. Without, they show what each alert looks like when it
    fires: the scenarios of the generated tests, played by promtool (from the variable PROMTOOL, or from PATH).
    The file needs no network, and has light and dark colours.

    \b
    Examples:
      thresher preview profiles/prod-search.yaml
      thresher preview profiles/prod-search.yaml --prometheus http://localhost:9090 --last 6h
    """
    from generator.preview.page import page

    if url is None and (last is not None or choose):
        raise click.UsageError("--last and --choose are about a server: name it with --prometheus URL")
    asked = None if url is None else (url, _span(last or "1h"), _chosen(choose))
    built = compiled(profile)
    said, sections = _now(built, *asked) if asked else _scenarios(built)
    problems = [problem for section in sections for each in section.answered for problem in each.problems]
    out = out or Path(f"{profile.stem}.html")
    name = built[0].name if len(built) == 1 else profile.stem
    out.write_text(page(f"Dashboards of {name}", said, sections), "utf-8")
    for problem in dict.fromkeys(problems):
        click.echo(problem, err=True)
    click.echo(str(out))
    return FINDINGS if problems else 0


def _now(
    built: Sequence[Built | Overview], url: str, span: Span, chosen: dict[str, str]
) -> tuple[list[str], list[Section]]:
    """What a server has, in the span, and what there is to say of it."""
    from generator.preview.prometheus import Server
    from generator.preview.sections import of_server

    try:
        server = Server.at(url)
    except ValueError as error:
        raise click.BadParameter(f"{error}; write http://HOST:PORT", param_hint="--prometheus") from error
    server.check()
    sections = [
        section
        for each in built
        for section in of_server(server, each, span, chosen, partial(progress, label=f"asking about {each.name}"))
    ]
    said = [f"From {server.url}; {_moment(span.start)} to {_moment(span.end)}, in UTC."]
    return said, sections


def _scenarios(built: Sequence[Built | Overview]) -> tuple[list[str], list[Section]]:
    """What alerts look like when they fire, and what there is to say of it."""
    from generator import promtool
    from generator.build import Built
    from generator.preview.sections import of_scenarios

    tool = promtool.find()
    promtool.version(tool)
    sections = [
        section
        for each in built
        if isinstance(each, Built)
        for section in of_scenarios(tool, each, partial(progress, label=f"playing {each.name}", many=1))
    ]
    return [_PLAYED, _LEFT_OUT], sections


_PLAYED = "What each alert looks like when it fires: the scenario that proves it in the generated tests, by promtool."
_LEFT_OUT = "Scenarios feed only what their alert reads: panels without data are left out, and so are other alerts."


def _span(last: str) -> Span:
    """The time that ends now. Raises click.BadParameter."""
    from generator.preview.answers import Span
    from generator.units import Duration

    try:
        seconds = float(Duration.parse(last).seconds)
    except ValueError:
        seconds = 0.0
    if not _POINTS / 10 <= seconds <= _LONGEST:
        raise click.BadParameter(f"`{last}` is no duration from 18s to 3650d, such as 1h or 30m", param_hint="--last")
    end = float(int(time.time()))
    return Span(end - seconds, end, seconds / _POINTS)


def _chosen(given: Sequence[str]) -> dict[str, str]:
    """Variables with their values. Raises click.BadParameter."""
    pairs = [each.partition("=") for each in given]
    for name, sign, _ in pairs:
        if not name or not sign:
            raise click.BadParameter(f"`{name}` is not of the form VARIABLE=VALUE", param_hint="--choose")
    return {name: value for name, _, value in pairs}


def _moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M")
