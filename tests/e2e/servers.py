"""Milvus, its client, Prometheus and Alertmanager as processes: found, started, awaited, asked, and always stopped."""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

TOOLS = Path(__file__).parents[2] / ".tools"
MILVUS = TOOLS / "milvus"
LOAD = Path(__file__).with_name("milvus_load.py")

# Where a port is taken, Milvus takes the next one, and its client and Prometheus would talk to another server.
METRICS_PORT, CLIENT_PORT = 9091, 19530

# How long to wait for anything: longer than any of it takes on a slow and busy machine.
PATIENCE_S = 180

# Nothing here goes through a proxy: neither what is asked nor the traffic inside Milvus.
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
_open = urllib.request.build_opener(urllib.request.ProxyHandler({})).open


@dataclass(frozen=True)
class Process:
    """A program that was started in a group of its own, with all that it starts itself. Its output is a file."""

    name: str
    output: Path
    handle: subprocess.Popen[bytes]

    @property
    def ended(self) -> bool:
        return self.handle.poll() is not None

    @property
    def last_words(self) -> str:
        return "\n".join(self.output.read_text("utf-8", "replace").splitlines()[-20:])

    def stop(self) -> None:
        """Interrupts the program, and kills what is left of its group when that was not enough."""
        if not self.ended:
            self.handle.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                self.handle.wait(timeout=30)
        with suppress(ProcessLookupError):
            os.killpg(self.handle.pid, signal.SIGKILL)
        self.handle.wait()


@contextmanager
def running(name: str, command: list[str | Path], folder: Path) -> Iterator[Process]:
    """The program, running as long as the context lasts. Its output goes to a file in the folder."""
    output = folder / f"{name}.out"
    with output.open("wb") as file:
        handle = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            env=ENVIRONMENT,
            start_new_session=True,
        )
    process = Process(name, output, handle)
    try:
        yield process
    finally:
        process.stop()


def await_that(what: str, holds: Callable[[], object], process: Process | None = None) -> None:
    """Waits until the condition holds; fails when that takes too long, or when the process that it needs ends first."""
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        ended = process is not None and process.ended
        if ended or time.monotonic() > deadline:
            last_words = f"; {process.name} said last:\n{process.last_words}" if process else ""
            pytest.fail(f"{'it ended' if ended else 'time is up'} before {what}{last_words}", pytrace=False)
        time.sleep(0.2)


@contextmanager
def milvus() -> Iterator[Process]:
    """An empty Milvus 2.3.5 that is ready, in a temporary directory. Skips where none can be started.

    It listens on every interface: this release has no setting for that.
    """
    if not (MILVUS / "ready").exists():
        pytest.skip("there is no Milvus in .tools; `make e2e-parts` gets one")
    import fcntl  # is only there where Milvus can be, too

    with (
        (MILVUS / "lock").open("w") as lock,
        tempfile.TemporaryDirectory(prefix="milvus-", ignore_cleanup_errors=True) as folder,
    ):
        fcntl.flock(lock, fcntl.LOCK_EX)  # one at a time, where tests run in parallel
        for port in (METRICS_PORT, CLIENT_PORT):
            if _answers(port):
                pytest.skip(f"port {port} is in use, and Milvus needs it: is another Milvus running?")
            # The last connections of a server that has just ended keep its port for a minute.
            await_that(f"port {port} was free", partial(_free, port))
        command: list[str | Path] = [MILVUS / "bin" / "milvus-server", "--data", Path(folder, "data")]
        with running("milvus-server", command, Path(folder)) as process:
            await_that("Milvus was healthy", lambda: _healthy(f"http://127.0.0.1:{METRICS_PORT}/healthz"), process)
            yield process


def milvus_load(what: str, folder: Path) -> AbstractContextManager[Process]:
    """A client of Milvus that runs a part of milvus_load.py."""
    return running(f"milvus-load-{what}", [MILVUS / "bin" / "python", LOAD, what], folder)


@dataclass(frozen=True)
class Request:
    """A request that a client of Milvus has had answered: when, in seconds since the epoch, and how soon."""

    kind: str
    end: float
    milliseconds: float


def requests(client: Process) -> list[Request]:
    """The requests that have been answered to a client."""
    lines = re.findall(r"^(search|query) (\S+) (\S+)\n", client.output.read_text("utf-8"), re.MULTILINE)
    return [Request(kind, float(end), float(milliseconds)) for kind, end, milliseconds in lines]


@dataclass(frozen=True)
class Span:
    """A span of time, in seconds since the epoch."""

    start: float
    end: float

    @property
    def seconds(self) -> float:
        return self.end - self.start


@dataclass(frozen=True)
class Series:
    """The samples of one time series."""

    labels: Mapping[str, str]
    values: tuple[float, ...]

    def __str__(self) -> str:
        labels = ", ".join(f'{label}="{value}"' for label, value in self.labels.items() if label != "__name__")
        return f"{self.labels['__name__']}{{{labels}}}"


@dataclass(frozen=True)
class Alert:
    """An alert that fires, as Prometheus has expanded it."""

    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    value: float


@dataclass(frozen=True)
class Notified:
    """An alert as Alertmanager has it, and whether other alerts mute it."""

    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    muted: bool


@dataclass(frozen=True)
class Alertmanager:
    """A running Alertmanager, by its address."""

    url: str

    def send(self, alerts: Sequence[Mapping[str, str]]) -> None:
        """Lets alerts with these labels fire."""
        body = json.dumps([{"labels": labels} for labels in alerts]).encode()
        request = urllib.request.Request(f"{self.url}/api/v2/alerts", body, {"Content-Type": "application/json"})
        with _open(request, timeout=60):
            pass

    def alerts(self) -> list[Notified]:
        """The alerts that fire."""
        with _open(f"{self.url}/api/v2/alerts", timeout=60) as answer:
            return [
                Notified(alert["labels"], alert["annotations"], bool(alert["status"]["inhibitedBy"]))
                for alert in json.load(answer)
            ]

    def muted(self) -> dict[bool, list[Mapping[str, str]]]:
        """The labels of the alerts that other alerts mute (True), and of the rest (False)."""
        found: dict[bool, list[Mapping[str, str]]] = {True: [], False: []}
        for alert in self.alerts():
            found[alert.muted].append(alert.labels)
        return found


@dataclass(frozen=True)
class Prometheus:
    """A running Prometheus, by its address."""

    url: str

    def ask(self, path: str, **parameters: object) -> Any:
        with _open(f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(parameters)}", timeout=60) as answer:
            return json.load(answer)["data"]

    def samples(self, selector: str, span: Span) -> list[Series]:
        """The samples in the span, as they were stored, of the series that the selector matches."""
        range_ = f"[{math.ceil(1000 * span.seconds)}ms]"
        found = self.ask("query", query=selector + range_, time=span.end)["result"]
        return [Series(each["metric"], tuple(float(value) for _, value in each["values"])) for each in found]

    def firing(self) -> list[Alert]:
        """The alerts that fire now."""
        alerts = [alert for alert in self.ask("alerts")["alerts"] if alert["state"] == "firing"]
        return [Alert(each["labels"], each["annotations"], float(each["value"])) for each in alerts]


def prometheus_program() -> str:
    """The Prometheus named by `PROMETHEUS`, on PATH, or from `make e2e-parts`. Skips where there is none."""
    return program("prometheus")


def program(name: str) -> str:
    """The program named by the variable of its name, on PATH, or from `make e2e-parts`. Skips where there is none."""
    if named := os.environ.get(name.upper()):
        return shutil.which(named) or pytest.skip(f"{name.upper()} is {named}, which is no program that can be run")
    found = shutil.which(name) or shutil.which(TOOLS / "bin" / name)
    return found or pytest.skip(f"there is no {name} on PATH or in .tools; `make e2e-parts` gets one")


@contextmanager
def alertmanager(config: Path, folder: Path) -> Iterator[Alertmanager]:
    """An Alertmanager with this configuration, alone, on a free port of the loopback interface."""
    address = _free_address()
    command: list[str | Path] = [
        program("alertmanager"),
        f"--config.file={config}",
        f"--storage.path={folder / 'alertmanager'}",
        f"--web.listen-address={address}",
        "--cluster.listen-address=",
    ]
    with running("alertmanager", command, folder) as process:
        await_that("Alertmanager was ready", lambda: _healthy(f"http://{address}/-/ready"), process)
        yield Alertmanager(f"http://{address}")


def _free_address() -> str:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return f"127.0.0.1:{probe.getsockname()[1]}"


@contextmanager
def prometheus(config: str, folder: Path, *options: str) -> Iterator[Prometheus]:
    """A Prometheus with this configuration, on a free port of the loopback interface."""
    address = _free_address()
    file = folder / "prometheus.yml"
    file.write_text(config, "utf-8")
    command: list[str | Path] = [
        prometheus_program(),
        f"--config.file={file}",
        f"--storage.tsdb.path={folder / 'tsdb'}",
        f"--web.listen-address={address}",
        *options,
    ]
    with running("prometheus", command, folder) as process:
        await_that("Prometheus was ready", lambda: _healthy(f"http://{address}/-/ready"), process)
        yield Prometheus(f"http://{address}")


@dataclass(frozen=True)
class VictoriaMetrics:
    """A running VictoriaMetrics by its address, and the vmalert that evaluates rules on it."""

    url: str
    vmalert_url: str
    vmalert: Process

    def write(self, samples: str) -> None:
        """Stores samples, given as text with times in milliseconds."""
        with _open(f"{self.url}/api/v1/import/prometheus", samples.encode(), timeout=60):
            pass

    def groups(self) -> list[dict[str, Any]]:
        """The groups of rules, and what became of each rule."""
        with _open(f"{self.vmalert_url}/api/v1/rules", timeout=60) as answer:
            found: list[dict[str, Any]] = json.load(answer)["data"]["groups"]
            return found

    def firing(self) -> set[str]:
        """The names of the alerts that fire now."""
        with _open(f"{self.vmalert_url}/api/v1/alerts", timeout=60) as answer:
            alerts = json.load(answer)["data"]["alerts"]
        return {alert["name"] for alert in alerts if alert["state"] == "firing"}


@contextmanager
def victoriametrics(program: Path, vmalert: Path, rules: Path, folder: Path) -> Iterator[VictoriaMetrics]:
    """A VictoriaMetrics that answers for what it has just stored, and a vmalert with these rules, on free ports."""
    address, alert_address = _free_address(), _free_address()
    url = f"http://{address}"
    command: list[str | Path] = [
        program,
        f"-storageDataPath={folder / 'victoria-metrics-data'}",
        f"-httpListenAddr={address}",
        "-search.latencyOffset=1s",
    ]
    evaluate: list[str | Path] = [
        vmalert,
        f"-rule={rules}",
        f"-datasource.url={url}",
        f"-remoteWrite.url={url}",
        "-notifier.blackhole",
        f"-httpListenAddr={alert_address}",
    ]
    with running("victoria-metrics", command, folder) as process:
        await_that("VictoriaMetrics was ready", lambda: _healthy(f"{url}/health"), process)
        with running("vmalert", evaluate, folder) as alerting:
            await_that("vmalert was ready", lambda: _healthy(f"http://{alert_address}/health"), alerting)
            yield VictoriaMetrics(url, f"http://{alert_address}", alerting)


def _healthy(url: str) -> bool:
    try:
        with _open(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _free(port: int) -> bool:
    """Whether Milvus can take the port; it tries in the same way."""
    with socket.socket() as probe, suppress(OSError):
        probe.bind(("127.0.0.1", port))
        return True
    return False
