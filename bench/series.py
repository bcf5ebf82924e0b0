"""Synthetic series of a Milvus deployment, and the target that Prometheus scrapes them from.

Their past is told by the same way as their present: each line carries its timestamp, and the first scrapes deliver
the steps of the last hours, many at a time, until now is reached. So rules that are evaluated at any later moment
find full windows, in the part of the database (its head) that they would find them in after hours of real scraping.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import queue
import random
import threading
import time
from collections.abc import Iterable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

from generator.buckets import spellings
from generator.catalog import Metric, Release
from generator.profile import OPERATIONS
from generator.units import Duration

Labels = tuple[tuple[str, str], ...]

_NODES = 4
_DATABASES = 5
# What the labels hold whose values the catalog does not list. Of the kinds of requests, those that users send.
_VALUES = {
    "query_type": OPERATIONS,
    "function_name": ("Search", "Query", "HybridSearch"),
    "quota_states": ("DenyToRead",),
}
_LINES_PER_SCRAPE = 500_000
# Most requests are fast: the share above a bound falls by a factor of e with each of these.
_FALL_MS = 12
_SEED = 20


class Series:
    """All series of one deployment: what each is called, and what it gains with every step.

    The numbers do not matter much: what a rule costs depends on the series that it reads, not on their values.
    """

    def __init__(self, release: Release, metrics: Iterable[str], about: int) -> None:
        """Every metric with every label it has in the release; as many collections as yield about so many series."""
        self.families = [_family(release, name) for name in sorted(metrics)]
        one, two = (sum(1 for _ in self._lines(collections)) for collections in (1, 2))
        self.collections = max(1, 1 + round((about - one) / (two - one)))
        self.lines = list(self._lines(self.collections))

    def _lines(self, collections: int) -> Iterator[tuple[str, int]]:
        rng = random.Random(_SEED)  # noqa: S311 - no secret
        for family in self.families:
            for labels in _labels(family, collections):
                yield from _of_family(family, labels, rng.randint(200, 2_000))

    def exposition(self, steps: Iterable[tuple[int, int]]) -> bytes:
        """These steps (number and time in milliseconds) in the text format."""
        types = [f"# TYPE {family.name} {family.type}" for family in self.families]
        lines = [f"{name} {1 + gain * step} {at}" for step, at in steps for name, gain in self.lines]
        return "\n".join([*types, *lines, ""]).encode()


def _of_family(family: Metric, labels: Labels, requests: int) -> Iterator[tuple[str, int]]:
    """The series of one metric with these labels, each with what it gains with every step."""
    if family.type != "histogram":
        yield _written(family.name, labels), requests if family.type == "counter" else 0
        return
    for bound in (*family.buckets, math.inf):
        faster = requests * (1 - math.exp(-bound / _FALL_MS))
        yield _written(f"{family.name}_bucket", (*labels, ("le", spellings(bound)[0]))), round(faster)
    yield _written(f"{family.name}_sum", labels), requests * _FALL_MS
    yield _written(f"{family.name}_count", labels), requests


def _family(release: Release, name: str) -> Metric:
    found = release.series(name) or ((metric, "") if (metric := release.metric(name)) else None)
    assert found is not None, name
    return found[0]


def _labels(family: Metric, collections: int) -> Iterator[Labels]:
    """Every combination of the values of a metric's labels, on every node; a collection is in one database."""
    own = [
        [(label, value) for value in _VALUES.get(label) or family.values.get(label) or ("any",)]
        for label in family.labels
        if label not in ("node_id", "db_name", "collection_name")
    ]
    places: list[Labels] = [()]
    if "collection_name" in family.labels:
        places = [
            (("db_name", f"db_{number % _DATABASES}"), ("collection_name", f"collection_{number}"))
            for number in range(collections)
        ]
    elif "db_name" in family.labels:
        places = [(("db_name", f"db_{number}"),) for number in range(_DATABASES)]
    for node in range(1, _NODES + 1):
        on: Labels = (("instance", f"{family.component or 'proxy'}-{node}:9091"),)
        if "node_id" in family.labels:
            on += (("node_id", str(node)),)
        for place in places:
            for pairs in itertools.product(*own):
                yield (*on, *place, *pairs)


def _written(name: str, labels: Labels) -> str:
    pairs = ",".join([f'{label}="{value}"' for label, value in labels])
    return f"{name}{{{pairs}}}"


class Target:
    """An exposition of the series on a free port of the loopback address: from some time ago until now, and on."""

    def __init__(self, series: Series, interval: Duration, past: Duration) -> None:
        self._series, self._interval = series, int(interval.milliseconds)
        self._start = round(time.time() * 1000 - float(past.milliseconds))
        self._bodies: queue.Queue[bytes] = queue.Queue(maxsize=1)
        bodies = self._bodies

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                """Answers with what is ready: Prometheus does not wait long for a scrape."""
                try:
                    body = bodies.get_nowait()
                except queue.Empty:
                    body = b""
                self.send_response(200)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                # On a busy machine Prometheus may give up on a scrape; it misses a step then, and that is all.
                with contextlib.suppress(ConnectionError):
                    self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Keeps the terminal clean."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        for work in (self._prepare, self._server.serve_forever):
            threading.Thread(target=work, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _prepare(self) -> None:
        """Keeps the next body ready: as many of the steps that are due as one scrape should hold."""
        next_step = 0
        most = max(1, _LINES_PER_SCRAPE // len(self._series.lines))
        while True:
            due = int(time.time() * 1000 - self._start) // self._interval - next_step
            steps = range(next_step, next_step + min(due, most))
            if steps:
                self._bodies.put(
                    self._series.exposition([(step, self._start + step * self._interval) for step in steps])
                )
            else:
                time.sleep(0.1)
            next_step = steps.stop
