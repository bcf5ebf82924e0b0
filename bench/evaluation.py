"""What the generated rules cost a real Prometheus, against the same alerts written by hand.

Prometheus scrapes the series of a synthetic Milvus, more than an hour of past first, and goes on scraping while it
evaluates one rule file after the other. What is compared are the times that it reports for its evaluations; how many
samples they read, and the processor time of the same expressions when they are asked for one by one, stand beside.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import yaml

from bench.report import Failed, Row, say
from bench.series import Series, Target
from bench.server import DEADLINE, Evaluation, Group, Server, find, running, version
from generator import conventions
from generator.build import Built, build
from generator.units import Duration

_RELEASE = "2.6.19"
_SELECTOR = {"namespace": "vectors", "app_kubernetes_io_instance": "prod"}
# The past holds the longest window that any rule reads: the spike by hand, an hour that ends 15 minutes ago.
_SCRAPED_EVERY, _PAST = Duration.parse("15s"), Duration.parse("76m")
# Far more often than in production, so that it does not take long; what one evaluation costs stays the same.
_EVALUATED_EVERY = "1s"
_ROUNDS = 2
_TARGET = 30

# The profiles whose rules are measured, by what is special about them. With the defaults every threshold is read from
# the latency histogram: Milvus 2.6.19 counts slow queries, but above another span.
_DEFAULTS = "default settings"
_PROFILES: Mapping[str, Mapping[str, Any]] = {
    _DEFAULTS: {},
    "slow queries counted by Milvus": {"server_slow_query_span": "5s"},
    "thresholds per operation": {
        "operations": {
            "query": {"thresholds": {"healthy": "10ms", "investigate": "50ms", "slow": "500ms"}},
            "hybrid_search": {"thresholds": {"healthy": "60ms", "investigate": "200ms", "slow": "2s"}},
        }
    },
}


def _quantile(quantile: float, window: str = "5m", offset: str = "") -> str:
    """A latency quantile as people write it, of the requests and with the labels that the generated alerts have."""
    matchers = ", ".join(f'{label}="{value}"' for label, value in _SELECTOR.items())
    return (
        f"histogram_quantile({quantile}, sum by ({', '.join(_SELECTOR)}, query_type, le) (rate("
        f'milvus_proxy_sq_latency_bucket{{{matchers}, query_type=~"search|query|hybrid_search"}}[{window}]{offset})))'
    )


# Without a minimum of requests and the like, which would only make them dearer.
_FOUR_ALERTS = {
    "MilvusSearchLatencyInvestigate": f"{_quantile(0.99)} > 100",
    "MilvusSearchLatencySlow": f"{_quantile(0.99)} > 1000",
    "MilvusSlowQueries": f"{_quantile(0.99)} > 5000",
    "MilvusSearchLatencySpike": f"{_quantile(0.99)} > 3 * {_quantile(0.99, '1h', ' offset 15m')}",
}
_TWELVE_QUANTILES = {
    f"p{quantile * 100:.0f}Above{threshold}": f"{_quantile(quantile)} > {threshold}"
    for threshold in (30, 100, 1000, 5000)
    for quantile in (0.5, 0.95, 0.99)
}


def measure(about: int) -> Iterator[Row]:
    """Everything about evaluation, on about so many series; nothing where there is no Prometheus."""
    prometheus = find()
    if prometheus is None:
        say("evaluation: skipped, there is no prometheus on PATH, nor does PROMETHEUS name one")
        return
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        built = {special: _built(directory, settings) for special, settings in _PROFILES.items()}
        metrics = {metric for each in built.values() for rule in each.rule_set.rules for metric in rule.metrics}
        # Prometheus itself writes `up`.
        series = Series(built[_DEFAULTS].rule_set.release, metrics - {"up"}, about)
        say(f"evaluation: {version(prometheus)}, {len(series.lines):,} series of Milvus {_RELEASE}")
        with (
            Target(series, _SCRAPED_EVERY, _PAST) as target,
            running(prometheus, directory, target.address, _SELECTOR) as server,
        ):
            _wait_for_the_past(server)
            yield from _compared(server, {special: _groups(each) for special, each in built.items()})


def _built(directory: Path, settings: Mapping[str, Any]) -> Built:
    file = directory / "profile.yaml"
    profile = {"version": 1, "name": "bench", "milvus": _RELEASE, "selector": _SELECTOR, **settings}
    file.write_text(json.dumps(profile), "utf-8")
    return next(each for each in build([file]) if isinstance(each, Built))


def _groups(built: Built) -> dict[str, Group]:
    """The rule groups by topic, as the generated file has them."""
    content = yaml.safe_load(built.files[conventions.rules_file("bench")])
    return {group["name"].partition(".")[2]: group for group in content["groups"]}


def _wait_for_the_past(server: Server) -> None:
    """Waits until every latency series has the samples of the last five minutes. Raises Failed."""
    start = time.monotonic()
    full = Duration.parse("5m").seconds // _SCRAPED_EVERY.seconds - 1
    while server.number("min(count_over_time(milvus_proxy_sq_latency_count[5m]))") < full:
        if time.monotonic() - start > DEADLINE:
            raise Failed("Prometheus does not catch up with the past that it scrapes")
        time.sleep(1)
    say(f"  {_PAST} of past scraped in {time.monotonic() - start:.0f} s")


@dataclass(slots=True)
class _Contender:
    """A rule group, and what was measured of it, each time alone in Prometheus."""

    name: str
    group: Group
    evaluations: int
    seen: list[Evaluation] = field(default_factory=list)
    cpus: list[float] = field(default_factory=list)
    samples: int = 0

    def measure(self, server: Server) -> None:
        """Watches some evaluations; then asks for every expression, for what Prometheus does not tell of rules."""
        server.load([{**self.group, "interval": _EVALUATED_EVERY}])
        self.seen += server.evaluations(self.group["name"], self.evaluations)
        server.load([])
        before = server.cpu
        for _ in range(self.evaluations):
            self.samples = server.samples([rule["expr"] for rule in self.group["rules"]])
        self.cpus.append((server.cpu - before) / self.evaluations)

    @property
    def seconds(self) -> float:
        return median(each.seconds for each in self.seen)

    @property
    def fastest(self) -> float:
        return min(each.seconds for each in self.seen)

    @property
    def cpu(self) -> float:
        return median(self.cpus)

    @property
    def of_rules(self) -> dict[str, float]:
        """The seconds of each rule, by its name."""
        times = map(median, zip(*(each.of_rules for each in self.seen), strict=True))
        return dict(zip([rule.get("alert") or rule["record"] for rule in self.group["rules"]], times, strict=True))

    def over(self, other: _Contender) -> str:
        """How many times as much as the other it costs, by every measure."""
        return (
            f"{self.seconds / other.seconds:.0f} x (fastest {self.fastest / other.fastest:.0f} x, "
            f"processor {self.cpu / other.cpu:.0f} x, samples {self.samples / other.samples:.0f} x)"
        )

    @property
    def row(self) -> Row:
        cost = f"{_ms(self.seconds)} (fastest {_ms(self.fastest)}), {self.samples:,} samples"
        return Row(f"  evaluation of {self.name}", cost)


def _compared(server: Server, profiles: Mapping[str, Mapping[str, Group]]) -> Iterator[Row]:
    by_hand = [
        _Contender("4 alerts by hand", _group_by_hand(_FOUR_ALERTS), 2),
        _Contender("12 quantiles by hand", _group_by_hand(_TWELVE_QUANTILES), 2),
    ]
    ours = [_Contender(f"group latency, {special}", groups["latency"], 5) for special, groups in profiles.items()]
    groups = profiles[_DEFAULTS].items()
    others = [_Contender(f"group {topic}", group, 5) for topic, group in groups if topic != "latency"]
    everyone = (*by_hand, *ours, *others)
    # In turn, and more than once, so that what else the machine does slows all of them down.
    for number in range(_ROUNDS):
        say(f"  measuring {len(everyone)} rule groups, round {number + 1} of {_ROUNDS}")
        for each in everyone:
            each.measure(server)
    for rival in by_hand:
        for each in ours:
            ratio = rival.seconds / each.seconds
            yield Row(f"{rival.name} : {each.name}", rival.over(each), f">= {_TARGET} x", ratio >= _TARGET)
    for each in everyone:
        yield each.row
        if each is by_hand[0]:
            yield from (Row(f"    {name}", _ms(seconds)) for name, seconds in each.of_rules.items())


def _group_by_hand(alerts: Mapping[str, str]) -> Group:
    return {"name": "by hand", "rules": [{"alert": name, "expr": expr} for name, expr in alerts.items()]}


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:,.0f} ms"
