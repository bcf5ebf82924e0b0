"""`thresher schema`: the JSON Schema of profiles."""

from __future__ import annotations

import json

import click

from generator.cli.common import exit_codes


@click.command()
@click.option("--markdown", is_flag=True, help="Print a reference for people instead.")
@exit_codes()
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
