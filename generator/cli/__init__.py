"""The command line: each command parses arguments, calls one function, prints."""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import signal
import sys
from collections.abc import Iterator
from typing import Any, NoReturn, TextIO

import click

from generator import __version__
from generator.cli.common import ENVIRONMENT

# Each is a function of this name in a module of this name, which is imported when somebody asks for it.
COMMANDS = ("build", "catalog", "check", "diff", "explain", "init", "lint", "logs", "preview", "schema", "test")


@contextlib.contextmanager
def system_errors() -> Iterator[None]:
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
        sys.exit(ENVIRONMENT)


def _end(number: int, _: object) -> NoReturn:
    """Lets a command that is told to terminate, as CI systems do, remove what it has made for the time being."""
    signal.signal(number, signal.SIG_IGN)
    sys.exit(128 + number)


def _discard(stream: TextIO) -> None:
    """Lets go what a stream still holds: on leaving, Python would try to print it again, and end with 120."""
    with contextlib.suppress(OSError, AttributeError):  # there is no stream, or no file behind it
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


class Program(click.Group):
    """All commands. Whatever they have to print can be printed, or ends with an exit code that says so."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        found: click.Command = getattr(importlib.import_module(f"generator.cli.{cmd_name}"), cmd_name)
        return found

    def main(self, *args: Any, **options: Any) -> Any:
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors="backslashreplace")
        signal.signal(signal.SIGTERM, _end)
        with system_errors():
            return super().main(*args, **options)

    def invoke(self, ctx: click.Context) -> Any:
        # Here, too, because `main` of click ends with 1 after a broken pipe, which means findings.
        with system_errors():
            return super().invoke(ctx)


@click.group(cls=Program, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="thresher")
def main() -> None:
    """Compiles threshold profiles for Milvus into proven Prometheus rules and Grafana dashboards.

    \b
    thresher build profiles/*.yaml --out monitoring    write rules, their tests, and dashboards
    thresher test monitoring                           run the tests through promtool
    thresher logs proxy.log                            which queries are slow, and likely why
    """
