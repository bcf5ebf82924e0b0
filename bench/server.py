"""A real Prometheus: started on a free port of the loopback address, given rules, and watched evaluating them."""

from __future__ import annotations

import contextlib
import http.client
import json
import math
import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from bench.report import Failed

Group = Mapping[str, Any]

# How long anything may take before it has failed.
DEADLINE = 300.0


def find() -> str | None:
    """The Prometheus to use: `PROMETHEUS`, or else the one on PATH."""
    return shutil.which(os.environ.get("PROMETHEUS") or "prometheus")


def version(prometheus: str) -> str:
    """The name and the release of a Prometheus, as it says itself."""
    done = subprocess.run([prometheus, "--version"], capture_output=True, text=True, check=True)
    return (done.stdout + done.stderr).split(" (")[0].replace(", version", "")


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One evaluation of a rule group: how many seconds it took in all, and for each of its rules in turn."""

    seconds: float
    of_rules: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Server:
    """A running Prometheus, and the directory with its configuration."""

    process: subprocess.Popen[bytes]
    address: str
    directory: Path

    def ask(self, path: str, method: str = "GET", **parameters: str) -> bytes:
        """The answer to a request. Raises Failed."""
        connection = http.client.HTTPConnection(self.address, timeout=DEADLINE)
        try:
            connection.request(method, f"{path}?{urlencode(parameters)}")
            answer = connection.getresponse()
            body = answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise Failed(f"{path}: {error}") from error
        finally:
            connection.close()
        if answer.status != http.client.OK:
            raise Failed(f"{path}: {answer.status} {body.decode(errors='replace').strip()}")
        return body

    def query(self, expr: str) -> Any:
        """What an expression yields now, with statistics."""
        return json.loads(self.ask("/api/v1/query", query=expr, stats="all"))["data"]

    def number(self, expr: str) -> float:
        """The value of an expression that yields one sample; 0 when it yields none."""
        result = self.query(expr)["result"]
        return float(result[0]["value"][1]) if result else 0.0

    def samples(self, exprs: Sequence[str]) -> int:
        """How many samples the evaluation of these expressions reads."""
        return sum(self.query(expr)["stats"]["samples"]["totalQueryableSamples"] for expr in exprs)

    @property
    def cpu(self) -> float:
        """The seconds of processor time that Prometheus says it has used; not a number where it does not know."""
        found = re.search(rb"^process_cpu_seconds_total (\S+)", self.ask("/metrics"), re.MULTILINE)
        return float(found[1]) if found else math.nan

    def load(self, groups: Sequence[Group]) -> None:
        """Evaluates these rule groups from now on, and no others. Raises Failed."""
        _write(self.directory / "rules.json", {"groups": groups})
        self.ask("/-/reload", "POST")

    def evaluations(self, name: str, count: int) -> list[Evaluation]:
        """Waits for so many evaluations of a group that is loaded. Raises Failed."""
        seen: dict[str, Evaluation] = {}
        until = time.monotonic() + DEADLINE
        while len(seen) < count:
            if time.monotonic() > until:
                raise Failed(f"group {name} is not evaluated")
            time.sleep(0.1)
            groups = json.loads(self.ask("/api/v1/rules"))["data"]["groups"]
            group = next(each for each in groups if each["name"] == name)
            if broken := [rule["lastError"] for rule in group["rules"] if rule["health"] == "err"]:
                raise Failed(f"group {name}: {broken[0]}")
            if not group["lastEvaluation"].startswith("0001"):
                of_rules = tuple(rule["evaluationTime"] for rule in group["rules"])
                seen.setdefault(group["lastEvaluation"], Evaluation(group["evaluationTime"], of_rules))
        return list(seen.values())


@contextlib.contextmanager
def running(prometheus: str, directory: Path, target: str, labels: Mapping[str, str]) -> Iterator[Server]:
    """A Prometheus that scrapes the target every second, until the block is left. Raises Failed."""
    config = {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s"},
        "rule_files": ["rules.json"],
        "scrape_configs": [
            {"job_name": "milvus", "honor_labels": True, "static_configs": [{"targets": [target], "labels": labels}]}
        ],
    }
    _write(directory / "prometheus.json", config)
    address = f"127.0.0.1:{_free_port()}"
    command = [
        prometheus,
        f"--config.file={directory / 'prometheus.json'}",
        f"--storage.tsdb.path={directory / 'data'}",
        f"--web.listen-address={address}",
        "--web.enable-lifecycle",
        # The head takes samples that are younger than half of this only: enough for the past that the target tells.
        "--storage.tsdb.min-block-duration=6h",
        "--log.level=error",
    ]
    with open(directory / "log", "wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        server = Server(process, address, directory)
        try:
            _wait_until_ready(server)
            yield server
        finally:
            process.terminate()
            try:
                process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                process.kill()


def _wait_until_ready(server: Server) -> None:
    until = time.monotonic() + DEADLINE
    while True:
        if server.process.poll() is not None or time.monotonic() > until:
            raise Failed((server.directory / "log").read_text("utf-8", "replace").strip())
        with contextlib.suppress(Failed):
            server.ask("/-/ready")
            return
        time.sleep(0.1)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _write(path: Path, content: object) -> None:
    path.write_text(json.dumps(content), "utf-8")
