"""Running a program, and measuring what it takes."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from bench.report import Failed


@dataclass(frozen=True, slots=True)
class Run:
    """What one run of a program took: seconds by the clock and of processor time, and megabytes at its peak."""

    wall: float
    cpu: float
    system: float
    peak: float


def run(*command: str | Path) -> Run:
    """Runs the program to its end. Raises Failed when that is not a good one."""
    with tempfile.TemporaryFile() as output:
        start = time.perf_counter()
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=_environment())
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            output.seek(0)
            raise Failed(f"{' '.join(map(str, command))}:\n{output.read().decode(errors='replace')[-2000:]}")
    kilobytes = usage.ru_maxrss / (1024 if sys.platform == "darwin" else 1)
    return Run(wall, usage.ru_utime + usage.ru_stime, usage.ru_stime, kilobytes / 1024)


def _environment() -> dict[str, str]:
    """What programs are told by the environment; but Python keeps what it compiles, as it does for users."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def thresher(*arguments: str | Path) -> Run:
    """Runs the command in a fresh process, as a user does."""
    return run(sys.executable, "-m", "generator", *arguments)
