"""How fast logs are read: of a busy proxy, and of nothing but slow queries; and in how much memory."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from bench.child import Run, thresher
from bench.report import Row, say

# Lines of every release.
_SAMPLE = Path(__file__).parent.parent / "examples/proxy.log"
_MEGA = 1_000_000
_REPEATS = 3
# In a log of which a thousandth are slow queries.
_EVERY = 1000
_TARGET, _FLAT = 200, 1.2


def measure() -> Iterator[Row]:
    """A gigabyte of a proxy's log, a tenth of it, and a log of slow queries alone."""
    say(f"logs: 1 GB and 100 MB with a slow query in {_EVERY:,} lines, 30 MB of slow queries; {_REPEATS} runs each")
    lines = _SAMPLE.read_bytes().splitlines(keepends=True)
    slow = [line for line in lines if b' slow"' in line and b"duration" in line]
    others = [line for line in lines if line not in slow and b"Search slow" not in line]
    busy = b"".join(others[number % len(others)] for number in range(_EVERY - 1))
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "proxy.log")
        few = _runs(path, [busy + line for line in slow], 100 * _MEGA)
        many = _runs(path, [busy + line for line in slow], 1000 * _MEGA)
        only = _runs(path, slow, 30 * _MEGA)
    speed = _speed(1000, many)
    yield Row(
        "log of 1 GB, a line in 1,000 a slow query (median)", f"{speed:.0f} MB/s", f"> {_TARGET}", speed > _TARGET
    )
    yield Row("  processor time", f"{median(run.cpu for run in many):.2f} s")
    peak, before = (max(run.peak for run in runs) for runs in (many, few))
    growth = f"{peak:.0f} against {before:.0f} MB, {peak / before:.2f} x"
    yield Row("  memory at its peak, against 100 MB", growth, f"<= {_FLAT} x", peak / before <= _FLAT)
    yield Row("log of slow queries alone (median)", f"{_speed(30, only):.0f} MB/s")


def _runs(path: Path, pieces: list[bytes], size: int) -> list[Run]:
    """Runs over a log of about this size, made of the pieces in turn."""
    with open(path, "wb") as file:
        while file.tell() < size:
            file.writelines(pieces)
    return [thresher("logs", path) for _ in range(_REPEATS)]


def _speed(megabytes: int, runs: list[Run]) -> float:
    """Megabytes a second, from the start of the command to its end."""
    return megabytes / median(run.wall for run in runs)
