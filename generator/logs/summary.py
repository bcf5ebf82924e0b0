"""Slow queries grouped by collection and shape, in memory that is bounded whatever the logs hold."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import BinaryIO, Literal

from generator.findings import Finding
from generator.logs import causes
from generator.logs.lines import Counts, Unreadable, lines_with
from generator.logs.parse import MARK, Broken, SlowQuery, parse
from generator.logs.shape import Shape, shape

Order = Literal["worst", "total", "count"]

# So many groups are told apart. Where there are more, those that matter are kept: so many of the slowest, of those that
# took most time together, and of the most frequent.
GROUPS, _KEPT = 4000, 1000
# Characters that are kept of a name, of a shape and of an expression.
_NAME, _SHAPE, _EXPRESSION = 256, 400, 1000


@dataclass(slots=True)
class Range:
    """The smallest and the largest of some numbers; None where there is none."""

    low: int | None = None
    high: int | None = None

    def add(self, number: int | None) -> None:
        if number is not None:
            self.low = number if self.low is None else min(self.low, number)
            self.high = number if self.high is None else max(self.high, number)


@dataclass(slots=True)
class CauseCount:
    """How many queries of a group a cause holds for, and what shows it in the slowest of them."""

    count: int = 0
    worst: float = -1
    evidence: str = ""


@dataclass(slots=True)
class Group:
    """The slow queries of one operation on one collection whose filters have the same shape; times in seconds.

    `slowest` is one of them, with long texts cut. `causes` are by name.
    """

    operation: str
    database: str
    collection: str
    shape: str
    slowest: SlowQuery
    count: int = 0
    total: float = 0
    nq: Range = field(default_factory=Range)
    topk: Range = field(default_factory=Range)
    consistency: Counter[str] = field(default_factory=Counter)
    causes: dict[str, CauseCount] = field(default_factory=dict)

    @property
    def worst(self) -> float:
        return self.slowest.seconds

    def add(self, query: SlowQuery, looks: Shape) -> None:
        self.count += 1
        self.total += query.seconds
        if query.seconds > self.slowest.seconds:
            self.slowest = _cut(query)
        self.nq.add(query.nq)
        self.topk.add(query.topk)
        self.consistency[query.consistency] += 1
        for cause in causes.of(query, looks) or (causes.UNKNOWN,):
            counted = self.causes.setdefault(cause.name, CauseCount())
            counted.count += 1
            if query.seconds > counted.worst:
                counted.worst, counted.evidence = query.seconds, cause.evidence(query, looks)


@dataclass(slots=True)
class Rest:
    """Queries of groups that are not told apart any more; times in seconds."""

    count: int = 0
    worst: float = 0
    total: float = 0


@dataclass(slots=True)
class Summary:
    """What logs hold of slow queries. `damaged` are lines of slow queries that cannot be read."""

    counts: Counts = field(default_factory=Counts)
    slow: int = 0
    damaged: int = 0
    first_damaged: str = ""
    first: datetime | None = None
    last: datetime | None = None
    worst: float = 0
    total: float = 0
    groups: dict[tuple[str, ...], Group] = field(default_factory=dict)
    rest: Rest = field(default_factory=Rest)
    interrupted: bool = False
    findings: list[Finding] = field(default_factory=list)

    def add(self, query: SlowQuery) -> None:
        """Counts one slow query."""
        self.slow += 1
        self.worst = max(self.worst, query.seconds)
        self.total += query.seconds
        if query.time:
            self.first = min(self.first or query.time, query.time)
            self.last = max(self.last or query.time, query.time)
        looks = shape(query.expression)
        key = (query.operation, _bounded(query.database, _NAME), _bounded(query.collection, _NAME),
               _bounded(looks.text, _SHAPE))  # fmt: skip
        group = self.groups.get(key)
        if group is None:
            if len(self.groups) >= GROUPS:
                self._forget()
            group = self.groups[key] = Group(*key, slowest=_cut(query))
        group.add(query, looks)

    def _forget(self) -> None:
        """Keeps the groups that matter, and adds up the others."""
        kept: dict[tuple[str, ...], Group] = {}
        for order in ("worst", "total", "count"):
            kept |= dict(sorted(self.groups.items(), key=lambda item: -getattr(item[1], order))[:_KEPT])
        for key, group in self.groups.items():
            if key not in kept:
                self.rest.count += group.count
                self.rest.worst = max(self.rest.worst, group.worst)
                self.rest.total += group.total
        self.groups = kept

    def ordered(self, by: Order) -> list[Group]:
        """The groups, those first that matter most."""
        names = dict.fromkeys((by, "worst", "total", "count"))
        return sorted(
            self.groups.values(),
            key=lambda group: (*(-getattr(group, name) for name in names), group.database, group.collection,
                               group.operation, group.shape),
        )  # fmt: skip


def summarise(logs: Iterable[tuple[str, Callable[[], AbstractContextManager[BinaryIO]]]]) -> Summary:
    """Reads logs one after the other; each comes with its name, and what opens it.

    A log that cannot be read, or not to its end, is a finding. An interrupt (Ctrl-C) ends reading, not the summary.
    """
    summary = Summary()
    try:
        for name, opened in logs:
            try:
                with opened() as stream:
                    _read(name, stream, summary)
            except Unreadable as unreadable:
                summary.findings.append(Finding("error", name, 0, 0, "", unreadable.wrong, unreadable.right))
            except OSError as error:
                wrong = f"cannot be read: {error.strerror or error}"
                summary.findings.append(Finding("error", name, 0, 0, "", wrong, "give a file that can be read"))
    except KeyboardInterrupt:
        summary.interrupted = True
    return summary


def _read(name: str, stream: BinaryIO, summary: Summary) -> None:
    for number, line in lines_with(MARK, stream, summary.counts):
        try:
            for query in parse(line):
                summary.add(query)
        except Broken:
            summary.damaged += 1
            summary.first_damaged = summary.first_damaged or f"{name}:{number}"


def _cut(query: SlowQuery) -> SlowQuery:
    return replace(
        query,
        database=query.database[:_NAME],
        collection=query.collection[:_NAME],
        expression=query.expression[:_EXPRESSION],
        trace=query.trace[:_NAME],
    )


def _bounded(text: str, limit: int) -> str:
    """The text, or its beginning and a digest that tells it from others of the same beginning."""
    if len(text) <= limit:
        return text
    digest = hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=4).hexdigest()
    return f"{text[:limit]}...#{digest}"
