"""One line of a log -> the slow query that it tells of.

What each Milvus release writes was read from its sources (`internal/proxy/impl.go`, `task_search.go`) and from running
servers: 2.3 to 2.6 name the request in the line; the new logger of 3.0 leaves much of it out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

# In whatever tells of a slow query. Literal text first: a regular expression that begins with it is found several times
# as fast as one that begins with a choice.
MARK = re.compile(rb" slow(?:(?<=Search slow)|(?<=Query slow))")

_OPERATIONS = {"Search slow": "search", "Query slow": "query", "HybridSearch slow": "hybrid_search"}
# The text format of a line: `[time] [level] [file:line] ["Search slow"] [key=value] ...`, after whatever a collector
# put before it. A value in quotes is escaped as in JSON.
_MESSAGE = re.compile(r'\["((?:Hybrid)?Search slow|Query slow)"\]')
_FIELD = re.compile(r'\s*+\[("[^"]*+"|[^\s="\]]++)=(?:"([^"\\]*+(?:\\.[^"\\]*+)*+)"|([^\]"]*+))\]')
# Within so many characters before the message.
_HEADER = 200
_TIME = re.compile(r"\[([0-9]{4}[^\]]{5,60})\]")
# A message, whatever became of the line around it: quotes may be escaped, once or more.
_REMAINS = re.compile(r'(?:\[|:\s?)\\*+"++(?:(?:Hybrid)?Search|Query) slow(?:\\*+"|$)')
_DURATION = re.compile(
    r"(?:(?P<h>[0-9]{1,9}(?:\.[0-9]{0,12})?)h)?(?:(?P<m>[0-9]{1,9}(?:\.[0-9]{0,12})?)m(?!s))?"
    r"(?:(?P<s>[0-9]{1,12}(?:\.[0-9]{0,12})?)s)?(?:(?P<ms>[0-9]{1,12}(?:\.[0-9]{0,12})?)ms)?"
    r"(?:(?P<us>[0-9]{1,15}(?:\.[0-9]{0,12})?)[uµμ]s)?(?:(?P<ns>[0-9]{1,18})ns)?"
)
_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
# What fits into Go's duration, 64 bits of nanoseconds.
_LONGEST = 2**63 / 1e9
_TOPK = re.compile(r"(?<!\w)topk\W{1,20}value\W{1,20}([0-9]{1,18})(?![0-9])")
# Sub-requests of a hybrid search are logged as `[No.0 req, expr: ...][No.1 req, expr: ...]`.
_SUB_REQUEST = re.compile(r"\]?\s*\[No\.[0-9]{1,9} req, expr: ")

_LEVELS = {"strong": "Strong", "bounded": "Bounded", "session": "Session", "eventually": "Eventually",
           "customized": "Customized"}  # fmt: skip
# As clients send the level, where releases log just this (2.3, and 2.4 at first).
_SENT = {0: "Strong", 1: "Eventually", 2: "Bounded"}
# A timestamp of Milvus: milliseconds since 1970, and 18 bits of a counter.
_COUNTER_BITS = 18
# common.gracefulTime: how far Bounded looks back.
_GRACEFUL = 5.0


_DIGITS = 20
# JSON objects that collectors and their servers put around a line.
_WRAPPERS = 6
_DECODER = json.JSONDecoder(strict=False)


class Broken(ValueError):
    """A line that tells of a slow query, and cannot be read to its end."""


@dataclass(frozen=True, slots=True)
class SlowQuery:
    """One request that was slow. Durations are in seconds; None and "" stand for what the line does not say.

    `consistency` is the level that the request was served with, `default` if that is the collection's,
    and the line does not tell which.
    """

    operation: str
    database: str
    collection: str
    expression: str
    nq: int | None
    topk: int | None
    consistency: str
    seconds: float
    time: datetime | None
    trace: str

    @property
    def seconds_per_vector(self) -> float:
        return self.seconds / (self.nq or 1)


def parse(line: bytes) -> Iterator[SlowQuery]:
    """The slow queries that a line tells of: mostly one, or none; several where what separates lines was lost.

    The line is in text or JSON format, perhaps inside the JSON of a container runtime or log collector.
    Raises Broken where it is damaged, after what is whole.
    """
    return _parse(line.decode("utf-8", "replace"), _WRAPPERS)


def _parse(line: str, wrappers: int) -> Iterator[SlowQuery]:
    """As `parse`; so many JSON objects may be around the line."""
    messages = [] if line.startswith("{") else list(_MESSAGE.finditer(line))
    found = False
    for match in messages:
        fields = _text_fields(line, match.end())
        # Where one line was written into another, the fields of the first break off.
        if "duration" in fields:
            before = line[max(0, match.start() - _HEADER) : match.start()]
            times = _TIME.findall(before)
            yield _query(match[1], {"time": times[-1] if times else "", **fields})
            found = True
    rest, brace = 0, -1 if messages else line.find("{")
    while brace >= 0:
        try:
            data, rest = _DECODER.raw_decode(line, brace)
        except (ValueError, RecursionError):
            break
        yield from _unwrapped(data, wrappers)
        brace = line.find("{", rest)
    if not found and _REMAINS.search(line, rest):
        raise Broken


def _text_fields(line: str, start: int) -> dict[str, str]:
    """The fields of the text format from here on, up to where they end or are damaged."""
    fields = {}
    while match := _FIELD.match(line, start):
        key, escaped, bare = match.groups()
        fields[key] = bare if escaped is None else _unescaped(escaped)
        start = match.end()
    return fields


def _unescaped(text: str) -> str:
    if "\\" not in text:
        return text
    try:
        return str(_DECODER.decode(f'"{text}"'))
    except ValueError:
        return text


def _unwrapped(data: Any, wrappers: int) -> Iterator[SlowQuery]:
    """The slow queries that a JSON value is, or holds as lines or objects."""
    if isinstance(data, list):
        for value in data:
            yield from _unwrapped(value, wrappers)
    elif isinstance(data, str):
        if wrappers and " slow" in data:
            yield from _parse(data, wrappers - 1)
    elif isinstance(data, dict):
        message = data.get("message", data.get("msg"))
        if isinstance(message, str) and message in _OPERATIONS:
            yield _query(message, data)
        elif wrappers:
            for value in data.values():
                yield from _unwrapped(value, wrappers - 1)


def _query(message: str, fields: Mapping[str, Any]) -> SlowQuery:
    """Raises Broken where there is no duration."""
    seconds = _seconds(_text(fields, "duration"))
    time = _time(_text(fields, "time", "ts"))
    return SlowQuery(
        operation=_OPERATIONS[message],
        database=_text(fields, "db") or "default",
        collection=_text(fields, "collection"),
        expression=_expression(_text(fields, "dsl", "expr", "dsls")),
        nq=_count(fields.get("nq", fields.get("totalNq"))),
        topk=_topk(fields.get("search_params")),
        consistency=_consistency(fields, seconds, time),
        seconds=seconds,
        time=time,
        trace=_text(fields, "traceID", "trace_id"),
    )


def _text(fields: Mapping[str, Any], *keys: str) -> str:
    """The first of these fields that is there and a string."""
    return next((value for key in keys if isinstance(value := fields.get(key), str)), "")


def _count(value: Any) -> int | None:
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < _DIGITS:
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**64 else None


def _seconds(text: str) -> float:
    """Reads a duration as Go prints it: `53.2s`, `1m16s`, `845.1\u00b5s`. Raises Broken for anything else."""
    match = _DURATION.fullmatch(text)
    if not text or match is None:
        raise Broken
    seconds = sum(float(match[unit]) * size for unit, size in _SECONDS.items() if match[unit])
    if seconds > _LONGEST:
        raise Broken
    return round(seconds, 9)


def _time(text: str) -> datetime | None:
    """Reads `2026/11/22 07:42:35.638 +00:00`, or what ISO 8601 makes of it; without an offset it is UTC."""
    try:
        time = datetime.fromisoformat(text.replace("/", "-").replace(" +", "+").replace(" -", "-"))
        return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None


def _expression(text: str) -> str:
    """The filter; of a hybrid search, those of its requests that have one."""
    if not text.startswith("[No."):
        return text
    return "; ".join(filter(None, _SUB_REQUEST.split(text.removesuffix("]"))))


def _topk(params: Any) -> int | None:
    """The limit among search parameters: pairs of a key and a value, as objects or written out."""
    if isinstance(params, str):
        match = _TOPK.search(params)
        return int(match[1]) if match else None
    pairs = params if isinstance(params, list) else ()
    return next(
        (_count(each.get("value")) for each in pairs if isinstance(each, dict) and each.get("key") == "topk"), None
    )


def _consistency(fields: Mapping[str, Any], seconds: float, time: datetime | None) -> str:
    """The level that the request was served with.

    Until 3.0 lines hold the level of the request, which is Strong, its zero value, where the request leaves it to the
    collection (github.com/milvus-io/milvus/pull/52609). The guarantee timestamp tells what came of that: how far
    it lies before the start of the request.
    """
    level = _text(fields, "ConsistencyLevel")
    known = _LEVELS.get(level.removeprefix("ACT-").removeprefix("REQ-").lower(), "")
    is_default = fields.get("useDefaultConsistency") in (True, "true")
    if known and (level.startswith("ACT-") or not is_default):
        return known
    stamp = _count(fields.get("guarantee_timestamp"))
    if stamp in _SENT and (stamp == 1 or not level):
        return _SENT[stamp]
    if stamp and time:
        looks_back = time.timestamp() - seconds - (stamp >> _COUNTER_BITS) / 1000
        for lag, name in ((0.0, "Strong"), (_GRACEFUL, "Bounded")):
            if abs(looks_back - lag) < 1:
                return name
    return "default" if is_default else ""
