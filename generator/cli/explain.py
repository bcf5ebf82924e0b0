"""`thresher explain`: a profile in words."""

from __future__ import annotations

from pathlib import Path

import click

from generator.cli.common import PATHS, compiled, exit_codes
from generator.findings import Finding, InputError


@click.command()
@click.argument("profile", type=PATHS)
@click.argument("alert", required=False)
@exit_codes()
def explain(profile: Path, alert: str | None) -> int:
    """Say in words what a profile's alerts watch: what fires when, where it is measured, what is left out and why.

    \b
    Example:
      thresher explain profiles/prod-search.yaml MilvusSearchLatencySlow
    """
    from generator import explain as words
    from generator.build import Built

    every = [each for each in compiled(profile) if isinstance(each, Built)]
    for built in every:
        if alert is None:
            click.echo("\n".join(words.explain(built.profile, built.rule_set, built.remarks, built.notes)))
            continue
        _known_alert(profile, alert)
        if len(every) > 1:
            click.echo(f"{built.name}:")
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
