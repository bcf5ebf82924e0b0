"""`thresher init`: a GitOps repository to begin with."""

from __future__ import annotations

from pathlib import Path

import click

from generator.cli.common import PATHS, exit_codes


@click.command()
@click.argument("directory", metavar="DIR", type=PATHS)
@click.option("--name", default="milvus", show_default=True, help="Name of the first profile.")
@click.option("--milvus", help="Release that runs; by default the newest that Thresher knows.")
@click.option("--namespace", default="milvus", show_default=True, help="Label `namespace` of the deployment's series.")
@exit_codes()
def init(directory: Path, name: str, milvus: str | None, namespace: str) -> int:
    """Set up a GitOps repository in DIR, ready to commit.

    A commented profile with what it compiles to, a Makefile, workflows for GitHub and GitLab, hooks for pre-commit, the
    schema for editors. Asks nothing, and overwrites nothing.

    \b
    Example:
      thresher init monitoring --milvus 2.6.19 --namespace vectors
    """
    from generator import catalog
    from generator import init as new

    milvus = milvus or new.newest(catalog.releases())
    own, compiled = new.repository(name, milvus, namespace)
    new.write(directory, {**own, **compiled})
    for path in own:
        click.echo(directory / path)
    click.echo(f"{directory / new.OUT}: {len(compiled)} files that the profile compiles to, for Milvus {milvus}")
    click.echo(f"next: edit {directory / 'profiles' / name}.yaml, run `make rules` there, commit everything")
    return 0
