"""What likely makes a query slow, as far as its log line tells.

A line says what was asked for, not where the time went; metrics tell that. Numbers are from faults that were induced on
a Milvus 2.3.5 with 100,000 vectors of 128 dimensions, unless said otherwise.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from generator.logs.parse import SlowQuery
from generator.logs.shape import Shape
from generator.units import rounded

# Vectors that take no longer than what is worth investigating by itself: there are only too many of them.
_VECTOR = 0.1
# A chain of 25 terms made searches 15 times slower on a varchar field, and 5 times on an integer.
_TERMS = 5
# Not measured: a thousand and more are where expressions become long to parse, and results long to merge.
_VALUES, _TOPK = 1000, 1000


@dataclass(frozen=True, slots=True)
class Cause:
    """A reason why queries are slow: its name in reports, when it holds, what shows it, and what to do about it."""

    name: str
    holds: Callable[[SlowQuery, Shape], bool]
    evidence: Callable[[SlowQuery, Shape], str]
    advice: str


# In the order of how much they explain.
CAUSES = (
    Cause(
        "large NQ",
        lambda query, _: (query.nq or 0) > 1 and query.seconds_per_vector <= _VECTOR,
        lambda query, _: f"{query.nq:,} vectors, {rounded(query.seconds_per_vector)} each",
        "send fewer vectors in a request, several requests at a time; add query nodes",
    ),
    Cause(
        "OR chain",
        lambda _, shape: shape.terms >= _TERMS,
        lambda _, shape: f"{shape.terms:,} terms",
        "write `field in [...]` for equal fields; index the field; store what is searched for in a field of its own",
    ),
    Cause(
        "long list",
        lambda _, shape: shape.values >= _VALUES,
        lambda _, shape: f"{shape.values:,} values",
        "from 2.5 pass values as a filter template; split the request; store what the values have in common in a field",
    ),
    Cause(
        "LIKE without prefix",
        lambda _, shape: shape.unanchored,
        lambda *_: "starts with a wildcard",
        "compare a prefix; from 2.5 match text with TEXT_MATCH, from 2.6 with an NGRAM index",
    ),
    Cause(
        "large topk",
        lambda query, _: (query.topk or 0) >= _TOPK,
        lambda query, _: f"{query.topk:,}",
        "ask for fewer results; page through them with an iterator",
    ),
    Cause(
        "Strong consistency",
        lambda query, _: query.consistency == "Strong",
        lambda *_: "waits for all writes",
        "use Bounded unless reads must see the last write; the wait is about 0.2 s, more where query nodes lag",
    ),
)
UNKNOWN = Cause(
    "unknown",
    lambda *_: True,
    lambda query, _: f"{rounded(query.seconds_per_vector)} a vector" if (query.nq or 0) > 1 else "",
    "the log does not tell; the query nodes' metrics do: waiting for tSafe, queue, filter and vector index time",
)


def of(query: SlowQuery, shape: Shape) -> list[Cause]:
    """The causes that hold for a query, what explains most first; empty where its line shows none."""
    return [cause for cause in CAUSES if cause.holds(query, shape)]


def advice(name: str) -> str:
    """What to do about the cause of this name."""
    return next(cause.advice for cause in (*CAUSES, UNKNOWN) if cause.name == name)
