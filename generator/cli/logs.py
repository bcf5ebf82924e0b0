"""`thresher logs`: slow queries out of Milvus proxy logs."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import click

from generator.cli.common import INPUT, PATHS, exit_codes
from generator.findings import Format, render

if TYPE_CHECKING:
    from generator.logs.summary import Order

# As shells have it after Ctrl-C.
_INTERRUPTED = 130

# So many groups of slow queries are printed.
_GROUPS = 20


@click.command()
@click.argument("files", nargs=-1, type=PATHS, metavar="[FILE]...")
@click.option(
    "--sort", type=click.Choice(["worst", "total", "count"]), default="worst", show_default=True,
    help="What comes first: the slowest query, the most time, or the most queries.",
)  # fmt: skip
@click.option("--limit", type=click.IntRange(1), help="How many groups to print: by default 20, in JSON all.")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
@exit_codes()
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
        return INPUT
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
