"""A summary of slow queries, as a table for people and as data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from generator.findings import visible
from generator.logs import causes
from generator.logs.lines import LONGEST
from generator.logs.summary import Group, Order, Range, Summary
from generator.units import plain, rounded

_COLUMNS = ("worst", "total", "count", "NQ", "topk", "consistency", "collection", "operation", "likely cause", "filter")
_RIGHT = ("worst", "total", "count", "NQ", "topk")
# Characters of a filter that a line of the table has room for.
_FILTER = 120


def table(summary: Summary, by: Order, limit: int) -> Iterator[str]:
    """The groups that matter most, one a line, what to do about their causes, and what was read."""
    groups = summary.ordered(by)
    shown = groups[:limit]
    if shown:
        yield from _aligned([_COLUMNS, *map(_cells, shown)])
        if len(groups) > len(shown):
            yield f"... and {_many(len(groups) - len(shown), 'more group')} (--limit {len(groups)} shows all)"
        if summary.rest.count:
            rest = summary.rest
            yield (
                f"... and {_many(rest.count, 'query', 'queries')} of too many shapes to be told apart: "
                f"{rounded(rest.total)} in total, worst {rounded(rest.worst)}"
            )
        yield ""
        found = {name for group in shown for name in group.causes}
        named = [cause for cause in (*causes.CAUSES, causes.UNKNOWN) if cause.name in found]
        width = max(len(cause.name) for cause in named)
        yield from (f"{cause.name.ljust(width)}  {cause.advice}" for cause in named)
        yield ""
    yield _totals(summary)


def _totals(summary: Summary) -> str:
    counts = summary.counts
    slow = _many(summary.slow, "slow query", "slow queries") if summary.slow else "no slow query"
    text = f"{slow} in {_many(counts.lines, 'line')} ({_size(counts.bytes)})"
    if summary.slow:
        text += f", {rounded(summary.total)} in total, worst {rounded(summary.worst)}"
    if summary.first and summary.last:
        text += f", {_span(summary.first, summary.last)}"
    if summary.damaged:
        text += f"; skipped {_many(summary.damaged, 'damaged line')} (the first: {visible(summary.first_damaged)})"
    if counts.too_long:
        text += f"; skipped {_many(counts.too_long, 'line')} above {LONGEST >> 20} MB"
    return text + ("; interrupted" if summary.interrupted else "")


def data(summary: Summary, by: Order, limit: int | None) -> dict[str, Any]:
    """The summary as JSON has it; times in seconds."""
    counts = summary.counts
    return {
        "groups": [_group(group) for group in summary.ordered(by)[:limit]],
        "rest": asdict(summary.rest),
        "slow_queries": summary.slow,
        "worst": summary.worst,
        "total": round(summary.total, 9),
        "first": summary.first and summary.first.isoformat(),
        "last": summary.last and summary.last.isoformat(),
        "read": {"lines": counts.lines, "bytes": counts.bytes},
        "skipped": {"damaged": summary.damaged, "too_long": counts.too_long},
        "interrupted": summary.interrupted,
    }


def _group(group: Group) -> dict[str, Any]:
    slowest = group.slowest
    return {
        "operation": group.operation,
        "database": group.database,
        "collection": group.collection or None,
        "filter": group.shape,
        "count": group.count,
        "worst": group.worst,
        "total": round(group.total, 9),
        "nq": asdict(group.nq),
        "topk": asdict(group.topk),
        "consistency": {level or "unknown": count for level, count in group.consistency.most_common()},
        "causes": [{"cause": name, "count": cause.count, "evidence": cause.evidence} for name, cause in _ranked(group)],
        "slowest": {
            "time": slowest.time and slowest.time.isoformat(),
            "trace": slowest.trace,
            "seconds": slowest.seconds,
            "seconds_per_vector": slowest.nq and round(slowest.seconds_per_vector, 9),
            "nq": slowest.nq,
            "expression": slowest.expression,
        },
    }


def _cells(group: Group) -> tuple[str, ...]:
    collection = group.collection or "?"
    if group.database != "default":
        collection = f"{group.database}.{collection}"
    shape = group.shape if len(group.shape) <= _FILTER else group.shape[:_FILTER] + "..."
    return (
        rounded(group.worst),
        rounded(group.total),
        f"{group.count:,}",
        _range(group.nq),
        _range(group.topk),
        ", ".join(level or "?" for level, _ in group.consistency.most_common()),
        visible(collection),
        group.operation,
        "; ".join(_said(group, name, cause.count, cause.evidence) for name, cause in _ranked(group)),
        visible(shape),
    )


def _ranked(group: Group) -> list[tuple[str, Any]]:
    """The causes of a group: those of most queries first, and what explains most where they are even."""
    order = [cause.name for cause in (*causes.CAUSES, causes.UNKNOWN)]
    return sorted(group.causes.items(), key=lambda item: (-item[1].count, order.index(item[0])))


def _said(group: Group, name: str, count: int, evidence: str) -> str:
    some = f"{count:,} of {group.count:,}" if count < group.count else ""
    more = ", ".join(filter(None, (evidence, some)))
    return f"{name} ({more})" if more else name


def _range(numbers: Range) -> str:
    if numbers.low is None:
        return ""
    return f"{numbers.low}" if numbers.low == numbers.high else f"{numbers.low}-{numbers.high}"


def _aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = zip(_COLUMNS, row, widths, strict=True)
        yield "  ".join(
            text.rjust(width) if column in _RIGHT else text.ljust(width) for column, text, width in cells
        ).rstrip()


def _many(count: int, one: str, several: str = "") -> str:
    return f"{count:,} {one if count == 1 else several or one + 's'}"


def _size(count: int) -> str:
    """A number of bytes, as people say it."""
    power = max(0, min(3, (len(str(count)) - 1) // 3))
    return f"{plain(float(f'{count / 1000**power:.3g}'))} {('bytes', 'kB', 'MB', 'GB')[power]}"


def _span(first: datetime, last: datetime) -> str:
    """From when to when, in UTC."""
    end = f"{last:%H:%M:%S}" if first.date() == last.date() else f"{last:%Y-%m-%d %H:%M:%S}"
    return f"{first:%Y-%m-%d %H:%M:%S} to {end} UTC"
