"""The catalog as text: a release, a metric, and what changes between two releases."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator

from generator import catalog
from generator.catalog import Metric, Release
from generator.units import plain


def listing(release: Release, wanted: str = "") -> Iterator[str]:
    """The metrics of a release as a table; with `wanted`, those whose name contains it."""
    found = [metric for metric in release.metrics() if wanted in metric.name]
    width = max((len(metric.name) for metric in found), default=0)
    yield f"Milvus {release.name} ({release.date}): {len(found)} metrics" + (f" with {wanted}" if wanted else "")
    if release.unsure:
        yield f"not certain: {release.unsure}"
    for metric in found:
        dead = "" if metric.fed else "  never written"
        yield f"{metric.name:{width}}  {metric.type:9}  {metric.unit or '-':5}  {{{','.join(metric.labels)}}}{dead}"


def detail(release: Release, metric: Metric) -> Iterator[str]:
    """Everything that the catalog knows of one metric of a release, and its history."""
    yield f"{metric.name} in Milvus {release.name}"
    yield f"  type       {metric.type}" + (
        "" if metric.fed else ", registered but never written: no series of it appears"
    )
    yield f"  unit       {metric.unit or 'none (a count)'}"
    yield f"  component  {metric.component}"
    yield f"  labels     {', '.join(metric.labels) or 'none'}"
    for label, values in metric.values.items():
        yield f"  {label} is one of {', '.join(value or '(empty)' for value in values)}"
    if metric.buckets:
        yield f"  buckets    {', '.join(map(plain, metric.buckets))}, +Inf"
    for label, by_value in metric.buckets_of_value.items():
        for value, bounds in by_value.items():
            yield f"  buckets of {label}={value}: {', '.join(map(plain, bounds))}, +Inf (a ratio)"
    yield "  history"
    for line in history(metric.name):
        yield f"    {line}"


def history(name: str) -> Iterator[str]:
    """In which releases a metric appeared, changed and disappeared."""
    for branch in catalog.branches():
        before: Metric | None = None
        for index, each in enumerate(catalog.releases(branch)):
            now = catalog.release(each).metric(name)
            if index == 0:
                if now:
                    yield f"{each}: there" + ("" if now.fed else ", never written")
            elif now != before:
                yield f"{each}: " + "; ".join(changes(before, now))
            before = now


def changes(old: Metric | None, new: Metric | None) -> Iterator[str]:
    """What differs between two states of one metric; nothing when they are equal."""
    if old is None or new is None:
        if new is not None:
            yield f"new {new.type}, unit {new.unit or 'none'}, labels {', '.join(new.labels) or 'none'}"
        elif old is not None:
            yield "gone"
        return
    for what in ("type", "unit"):
        if getattr(old, what) != getattr(new, what):
            yield f"{what} {getattr(old, what) or 'none'} -> {getattr(new, what) or 'none'}"
    yield from _gains("label", old.labels, new.labels)
    if old.buckets != new.buckets:
        yield f"buckets {_bounds(old.buckets)} -> {_bounds(new.buckets)}"
    for label in sorted(old.values.keys() & new.values.keys()):
        yield from _gains(f"value of {label}", old.values[label], new.values[label])
    if old.fed != new.fed:
        yield "written again" if new.fed else "never written any more"


def _gains(what: str, old: Iterable[str], new: Iterable[str]) -> Iterator[str]:
    old, new = set(old), set(new)
    yield from (f"new {what} {each or '(empty)'}" for each in sorted(new - old))
    yield from (f"no {what} {each or '(empty)'} any more" for each in sorted(old - new))


def _bounds(bounds: tuple[float, ...]) -> str:
    texts = list(map(plain, bounds))
    return ", ".join(texts if len(texts) <= 6 else [*texts[:4], "...", texts[-1]]) or "none"


def difference(old: Release, new: Release, names: Iterable[str]) -> Iterator[str]:
    """What changes for the named metrics from one release to another."""
    for name in sorted(names):
        found = list(changes(old.metric(name), new.metric(name)))
        if found:
            yield f"{name}: " + "; ".join(found)


def slow_queries(old: Release, new: Release) -> str:
    """What changes in the meaning of the slow query counter; empty when nothing does."""
    before, after = _slow_query_counter(old), _slow_query_counter(new)
    return "" if before == after else f"slow query counter: {before} -> {after}"


def _slow_query_counter(release: Release) -> str:
    counter = release.slow_query_counter
    if counter.setting is None:
        return "none"
    if counter.compared is None:
        return f"not known ({counter.why})"
    return f"the {counter.compared} above {counter.setting}, {counter.default_seconds} s by default"


def similar(release: Release, name: str) -> list[str]:
    """Names of metrics of the release that resemble the given one."""
    return difflib.get_close_matches(name, [metric.name for metric in release.metrics()], n=3, cutoff=0.5)
