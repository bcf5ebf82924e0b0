"""`thresher catalog`: what releases of Milvus expose."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click

from generator.cli.common import exit_codes
from generator.findings import Finding, InputError


@click.command()
@click.argument("what", nargs=-1, metavar="RELEASE [METRIC] | diff OLD NEW")
@click.option("--all", "everything", is_flag=True, help="With diff: all metrics, not only those that rules read.")
@exit_codes()
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
