"""The lab: faults are induced on a real Milvus, one after the other, and held against the alerts that they fire.

Milvus is watched by a real Prometheus with the rules that Thresher has compiled, and its alerts go through a real
Alertmanager with the compiled inhibition, so that what is looked at is what a person would be told.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.e2e import servers
from tests.e2e.servers import Alert, Alertmanager, Notified, Process, Prometheus, Span, await_that

HERE = Path(__file__).parent
LOAD = HERE / "load.py"
PROFILE = HERE / "profile.yaml"
FAULTS = HERE / "faults.yaml"

# How long the server is healthy before each fault, how long to wait for the alerts of a fault, and how long it goes on
# once they have fired: windows are full, and what fires late or wrongly has had the time to.
BASELINE_S, NOTICED_WITHIN_S, HOLD_S = 15, 90, 12

_SEVERITIES = ("critical", "warning", "info")

_CONFIG = """\
global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: ["{rules}/*.yaml"]
alerting: {{alertmanagers: [{{static_configs: [{{targets: ["{alertmanager}"]}}]}}]}}
scrape_configs:
  - job_name: milvus
    static_configs: [{{targets: ["127.0.0.1:{port}"], labels: {{deployment: lab}}}}]
"""

Load = Mapping[str, Any]


@dataclass(frozen=True)
class Fault:
    """What is done to the server, and what must be said of it. The healthy server is one, too, with nothing to say.

    After the fault, nothing may have fired for `settles_s` on end before the server is called healthy again.
    """

    name: str
    loads: tuple[Load, ...] = ()
    stop: bool = False
    settles_s: float = 0
    fires: tuple[str, ...] = ()
    may: tuple[str, ...] = ()
    verdict: str = ""


@dataclass(frozen=True)
class Outcome:
    """What was said of a fault: the seconds until each alert fired, and the first line that a person reads."""

    fault: Fault
    fired: Mapping[str, float]
    muted: frozenset[str] = frozenset()
    line: str = ""

    @property
    def problems(self) -> Iterator[str]:
        """What should have been said and was not, and the other way round."""
        for alert in self.fault.fires:
            if alert not in self.fired:
                yield f"{alert} did not fire"
        for alert in self.fired:
            if alert not in (*self.fault.fires, *self.fault.may):
                yield f"{alert} fired"
        if self.fault.verdict not in self.line:
            yield f"the first line does not say `{self.fault.verdict}`"


def _fault(
    name: str,
    *,
    fires: list[str],
    loads: list[Load] | None = None,
    may: list[str] | None = None,
    stop: bool = False,
    settles_s: float = 0,
    verdict: str = "",
) -> Fault:
    """A fault as a file describes it."""
    return Fault(name, tuple(loads or ()), stop, settles_s, tuple(fires), tuple(may or ()), verdict)


@dataclass(frozen=True)
class Experiment:
    """The faults that are induced, on which collections, beside which load."""

    faults: tuple[Fault, ...]
    collections: Mapping[str, Mapping[str, Any]]
    steady: Load

    @classmethod
    def read(cls, file: Path = FAULTS, only: Iterable[str] = ()) -> Experiment:
        """The experiment that a file describes, with all of its faults, or only these.

        Raises KeyError for a fault that the file does not have.
        """
        found = yaml.safe_load(file.read_text("utf-8"))
        faults = tuple(_fault(name, **found["faults"][name]) for name in tuple(only) or found["faults"])
        return cls(faults, found["collections"], found["steady"])

    @property
    def searched(self) -> dict[str, Mapping[str, Any]]:
        """The collections that are needed."""
        loads = (self.steady, *(load for fault in self.faults for load in fault.loads))
        return {name: self.collections[name] for name in dict.fromkeys(load["collection"] for load in loads)}


@dataclass(frozen=True)
class Lab:
    """The servers while they run."""

    milvus: Process
    prometheus: Prometheus
    alertmanager: Alertmanager
    folder: Path

    def induce(self, fault: Fault) -> Iterator[Outcome]:
        """A while of health, and then the fault until its alerts have fired, and for a while longer."""
        begin = self.folder / f"{fault.name}.begin"
        with ExitStack() as loads:
            for number, load in enumerate(fault.loads):
                loads.enter_context(searching(load, self.folder, f"{fault.name}-{number}", begin))
            yield self.healthy()
            start = time.time()
            begin.touch()
            if fault.stop:
                self.milvus.stop()
            told: list[Notified] = []
            noticed, until = False, start + NOTICED_WITHIN_S
            while time.time() < until:
                time.sleep(0.5)
                # What is told at the end, unless some of it has ended by then: it is still what a person was told.
                alerts = self.alertmanager.alerts()
                told = alerts if names(alerts) >= names(told) else told
                if not noticed and set(fault.fires) <= {
                    alert.labels["alertname"] for alert in self.prometheus.firing()
                }:
                    noticed, until = True, time.time() + HOLD_S
        muted = frozenset(alert.labels["alertname"] for alert in told if alert.muted)
        yield Outcome(fault, self.fired(Span(start, until)), muted, first_line(told))

    def settle(self, seconds: float) -> None:
        """Waits until nothing has been pending or fired for so long: the server may still work on what nobody wants."""
        last = time.time()

        def settled() -> bool:
            nonlocal last
            if not self.silent():
                last = time.time()
            return time.time() - last >= seconds

        await_that(f"nothing had fired for {seconds} s", settled, self.milvus)

    def silent(self) -> bool:
        """Whether nothing is pending or fires."""
        return not self.prometheus.ask("alerts")["alerts"] and not self.alertmanager.alerts()

    def healthy(self) -> Outcome:
        """Waits until nothing fires any more, and then looks on for a while."""
        await_that("nothing fired any more", self.silent, self.milvus)
        start = time.time()
        time.sleep(BASELINE_S)
        # Where other programs take the CPU, an alert may be pending now and then: it would be taken for the fault's.
        await_that("nothing was pending", self.silent, self.milvus)
        return Outcome(Fault("healthy"), self.fired(Span(start, time.time())))

    def fired(self, span: Span) -> dict[str, float]:
        """The alerts that fired within the span, by name: after how many seconds, soonest first."""
        query = f'ALERTS{{alertstate="firing"}}[{span.seconds:.0f}s]'
        found: dict[str, float] = {}
        for each in self.prometheus.ask("query", query=query, time=span.end)["result"]:
            name, after = each["metric"]["alertname"], float(each["values"][0][0]) - span.start
            found[name] = min(after, found.get(name, after))
        return dict(sorted(found.items(), key=lambda item: item[1]))


def outcomes(experiment: Experiment, folder: Path, profile: Path = PROFILE) -> Iterator[Outcome]:
    """Induces every fault of the experiment, each after a while of health. What is needed and missing skips."""
    servers.prometheus_program()
    servers.program("alertmanager")
    build = [sys.executable, "-m", "generator", "build", str(profile), "--out", str(folder / "out"), "--quiet"]
    subprocess.run(build, check=True)
    (inhibition,) = folder.glob("out/*/alertmanager/*.yaml")
    (rules,) = folder.glob("out/*/rules")
    with ExitStack() as running:
        milvus = running.enter_context(servers.milvus())
        for name, collection in experiment.searched.items():
            fill(name, collection, folder)
        running.enter_context(searching(experiment.steady, folder, "steady"))
        alertmanager = running.enter_context(servers.alertmanager(inhibition, folder))
        config = _CONFIG.format(
            rules=rules, alertmanager=alertmanager.url.removeprefix("http://"), port=servers.METRICS_PORT
        )
        prometheus = running.enter_context(servers.prometheus(config, folder, "--rules.alert.resend-delay=2s"))
        lab = Lab(milvus, prometheus, alertmanager, folder)
        for fault in experiment.faults:
            yield from lab.induce(fault)
            if fault.settles_s:
                lab.settle(fault.settles_s)


def fill(name: str, collection: Mapping[str, Any], folder: Path) -> None:
    """Makes a collection. Raises RuntimeError when that fails."""
    with client("fill", {"name": name, **collection}, folder, f"fill-{name}") as process:
        await_that(f"the collection {name} was filled", lambda: process.ended)
        if process.handle.returncode:
            raise RuntimeError(f"the collection {name} could not be filled: {process.last_words}")


@contextmanager
def searching(load: Load, folder: Path, name: str, begin: Path | None = None) -> Iterator[None]:
    """A client that searches as soon as the file `begin` is there: to start one takes seconds, and much CPU."""
    with client("search", {**load, **({"begin": str(begin)} if begin else {})}, folder, f"search-{name}") as process:
        await_that(f"{name} was ready", lambda: process.output.stat().st_size > 0, process)
        yield


def client(what: str, settings: Mapping[str, Any], folder: Path, name: str) -> AbstractContextManager[Process]:
    command: list[str | Path] = [servers.MILVUS / "bin" / "python", LOAD, what, json.dumps(settings)]
    return servers.running(name, command, folder)


def names(alerts: Iterable[Alert | Notified]) -> set[str]:
    return {alert.labels["alertname"] for alert in alerts}


def first_line(alerts: Iterable[Notified]) -> str:
    """The first line that a person reads of alerts: that of the most severe one which is not muted."""
    told = [alert for alert in alerts if not alert.muted]
    worst = sorted(told, key=lambda alert: _SEVERITIES.index(alert.labels["severity"]))
    return next((alert.annotations.get("verdict") or alert.annotations["summary"] for alert in worst), "")
