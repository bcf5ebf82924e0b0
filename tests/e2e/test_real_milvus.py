"""A real Milvus, searched by a real client, and watched by a real Prometheus through the rules of two profiles.

It is a story in three acts: the server is healthy; a storm of searches breaks the thresholds; the server is gone. Each
act is a fixture that plays it once and returns what the tests look back on, so any test can be run alone.
"""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e import servers
from tests.e2e.servers import METRICS_PORT, Alert, Process, Prometheus, Series, Span, await_that, requests

pytestmark = pytest.mark.e2e

TARGET = {"job": "milvus", "deployment": "e2e"}

# Windows are short, so that the story takes minutes. The thresholds leave a healthy server much room: on a slow machine
# its searches take 3 to 10 ms, and now and then 100. The storm exceeds them on a fast machine, too.
WHOLE: dict[str, Any] = {
    "version": 1,
    "name": "whole",
    "milvus": "2.3.5",
    "selector": TARGET,
    "scrape_interval": "1s",
    "evaluation_interval": "1s",
    "window": "10s",
    "thresholds": {"healthy": "100ms", "investigate": "500ms", "slow": "1s", "slow_query_span": "5s"},
}
# The same deployment with thresholds for one of its collections, which are measured by another histogram.
SPLIT = {
    "version": 1,
    "name": "split",
    "extends": "whole.yaml",
    "collections": {"articles": {"thresholds": {"slow": "1s"}}},
}

# Every alert fires as soon as it can, or its silence would mean nothing. It waits longer, though, than Prometheus may
# take to scrape a target for the first time: 5 s and an interval.
FOR = "10s"
LATENCY_ALERTS = {
    alert: {"for": FOR, "quantile": 0.9, "min_request_rate": "6/m"}
    for alert in ("MilvusSearchLatencyInvestigate", "MilvusSearchLatencySlow")
}

CONFIG = f"""\
global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: ["out/whole/rules/*.yaml", "out/split/rules/*.yaml"]
scrape_configs:
  - job_name: milvus
    static_configs: [{{targets: ["127.0.0.1:{METRICS_PORT}"], labels: {{deployment: e2e}}}}]
"""

# How long the server has been healthy when its last group of rules is evaluated: windows are full, alerts could fire.
BASELINE_S = 30

# What no rule may record on a healthy Milvus 2.3.5, and why. Everything else must be recorded.
EMPTY_IN_HEALTH = {
    "deployment:milvus_searches_failed:rate10s": "the series of failed requests begin with the first failure",
    "deployment:milvus_searches_too_slow:ratio_rate10s": "no request is too slow",
    "deployment:milvus_slow_search_phase_share:ratio_rate10s": "the same",
    "deployment:milvus_slow_search_core_share:ratio_rate10s": "the same",
    "deployment:milvus_search_brute_force_share:ratio_rate10s": "every search goes through an index",
    "deployment:milvus_search_fast_segments:mean10s": "no search visits many segments",
    "deployment:milvus_search_latency_cause:ratio_rate10s": "what is not slow has no cause",
    "deployment:milvus_search_latency_circumstance:current": "the same",
}

RECORDED = '{__name__=~".+:.+:.+", profile=~"whole|split"}'


@dataclass(frozen=True)
class Deployment:
    """The servers, the client of the steady load, and the rules that were built."""

    milvus: Process
    steady: Process
    prometheus: Prometheus
    groups: list[dict[str, Any]]

    @property
    def rules(self) -> list[dict[str, Any]]:
        return [rule for group in self.groups for rule in group["rules"]]

    def await_alerts(self, what: str, expected: list[dict[str, str]], process: Process | None = None) -> list[Alert]:
        """Waits until alerts with just these labels fire, and returns all that fire then."""
        firing: list[Alert] = []

        def fire() -> bool:
            firing[:] = self.prometheus.firing()
            found = [each.labels for each in firing]
            return all(labels in found for labels in expected)

        await_that(what, fire, process)
        return firing


@dataclass(frozen=True)
class Storm:
    """The span until the storm was noticed, the alerts that fired then, and the longest that a search had taken."""

    span: Span
    alerts: list[Alert]
    longest_ms: float


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    servers.prometheus_program()  # where there is none, nothing need be started
    folder = tmp_path_factory.mktemp("e2e")
    groups = build(folder)
    with servers.milvus() as milvus:
        with servers.milvus_load("fill", folder) as fill:
            await_that("Milvus was filled", lambda: fill.ended)
            assert fill.handle.returncode == 0, fill.last_words
        with servers.milvus_load("steady", folder) as steady:
            await_that("the first requests were answered", lambda: len(requests(steady)) > 10, steady)
            with servers.prometheus(CONFIG, folder) as prometheus:
                yield Deployment(milvus, steady, prometheus, groups)


@pytest.fixture(scope="module")
def healthy(deployment: Deployment) -> Span:
    """Act one: it ends when every group of rules has seen the baseline; some are evaluated once a minute."""
    start = time.time()

    def seen() -> bool:
        groups = deployment.prometheus.ask("rules")["groups"]
        evaluated = [datetime.fromisoformat(group["lastEvaluation"]).timestamp() for group in groups]
        return min(evaluated, default=start) > start + BASELINE_S

    await_that("every group of rules was evaluated", seen, deployment.steady)
    return Span(start, time.time())


@pytest.fixture(scope="module")
def storm(deployment: Deployment, healthy: Span, tmp_path_factory: pytest.TempPathFactory) -> Storm:
    """Act two: it ends when the storm has been noticed."""
    with servers.milvus_load("storm", tmp_path_factory.mktemp("storm")) as client:
        alerts = deployment.await_alerts("the storm was noticed", storm_alerts(), client)
        longest = max(each.milliseconds for each in requests(client))
    return Storm(Span(healthy.end, time.time()), alerts, longest)


@pytest.fixture(scope="module")
def outage(deployment: Deployment, storm: Storm) -> list[Alert]:  # noqa: ARG001 - it comes after the storm
    """Act three: the alerts that fire when the outage has been noticed."""
    deployment.steady.stop()
    deployment.milvus.stop()
    return deployment.await_alerts("the outage was noticed", outage_alerts())


@pytest.mark.usefixtures("healthy")
def test_prometheus_evaluates_every_generated_rule_without_an_error(deployment: Deployment) -> None:
    groups = deployment.prometheus.ask("rules")["groups"]
    assert names(groups) == names(deployment.groups)
    rules = [rule for group in groups for rule in group["rules"]]
    assert [rule for rule in rules if rule["health"] != "ok" or rule.get("lastError")] == []


def test_every_recorded_series_has_data_on_a_healthy_server(deployment: Deployment, healthy: Span) -> None:
    found = deployment.prometheus.samples(RECORDED, healthy)
    empty = {
        rule["record"]
        for rule in deployment.rules
        if "record" in rule and not any(is_recorded_by(rule, series) for series in found)
    }
    assert empty == set(EMPTY_IN_HEALTH)


def test_recorded_values_are_plausible_on_a_healthy_server(deployment: Deployment, healthy: Span) -> None:
    found = deployment.prometheus.samples(RECORDED, healthy)
    assert [str(each) for each in found if not all(0 <= value < math.inf for value in each.values)] == []
    # Phases of a query node may add up to more than the request. As for the others, numerator and denominator are not
    # read at the very same moment.
    shares = [each for each in found if "ratio" in each.labels["__name__"] and each.labels.get("part") != "querynode"]
    assert [str(each) for each in shares if max(each.values) > 1.05] == []


def test_recorded_quantiles_are_in_order(deployment: Deployment, healthy: Span) -> None:
    quantiles: dict[tuple[str, str], list[float]] = defaultdict(list)
    for quantile in ("p50", "p95", "p99"):
        series = f"deployment:milvus_search_latency_milliseconds:{quantile}_rate10s"
        for each in deployment.prometheus.samples(series, healthy):
            quantiles[each.labels["profile"], each.labels["query_type"]].append(each.values[-1])
    assert set(quantiles) == {("whole", "search"), ("whole", "query"), ("split", "search"), ("split", "query")}
    assert all(0 < p50 <= p95 <= p99 for p50, p95, p99 in quantiles.values())


@pytest.mark.parametrize("kind", ["search", "query"])
def test_recorded_rate_of_requests_is_that_of_the_client(deployment: Deployment, healthy: Span, kind: str) -> None:
    series = f'deployment:milvus_searches:rate10s{{profile="whole", query_type="{kind}"}}'
    (recorded,) = deployment.prometheus.samples(series, healthy)
    sent = sum(each.kind == kind and healthy.start < each.end < healthy.end for each in requests(deployment.steady))
    assert sum(recorded.values) / len(recorded.values) == pytest.approx(sent / healthy.seconds, rel=0.5)


def test_no_alert_fires_on_a_healthy_server(deployment: Deployment, healthy: Span) -> None:
    assert {rule["for"] for rule in deployment.rules if "alert" in rule} == {FOR}
    firing = deployment.prometheus.samples('ALERTS{alertstate="firing"}', healthy)
    assert [str(each) for each in firing] == []


@pytest.mark.parametrize(("tier", "milliseconds"), [("investigate", 512), ("slow", 1024)])
def test_a_storm_of_searches_fires_the_latency_alerts(storm: Storm, tier: str, milliseconds: int) -> None:
    expected = [labels for labels in storm_alerts() if labels["tier"] == tier]
    fired = [alert for alert in storm.alerts if alert.labels in expected]
    assert len(fired) == len(expected) == 2
    for alert in fired:
        assert 0.1 < alert.value <= 1
        assert f"longer than {milliseconds} ms" in alert.annotations["description"]


def test_a_storm_is_no_outage(deployment: Deployment, storm: Storm) -> None:
    firing = deployment.prometheus.samples('ALERTS{alertstate="firing", tier="outage"}', storm.span)
    assert [str(each) for each in firing] == []


def test_recorded_latency_of_a_storm_is_that_of_the_client(deployment: Deployment, storm: Storm) -> None:
    series = 'deployment:milvus_search_latency_milliseconds:mean10s{profile="whole", query_type="search"}'
    (recorded,) = deployment.prometheus.samples(series, storm.span)
    assert 100 < max(recorded.values) <= storm.longest_ms


def test_a_server_that_is_gone_fires_the_outage_alerts(outage: list[Alert]) -> None:
    fired = [alert.labels for alert in outage]
    assert [labels for labels in outage_alerts() if labels not in fired] == []


def test_texts_of_alerts_that_fire_are_complete(storm: Storm, outage: list[Alert]) -> None:
    texts = [text for alert in storm.alerts + outage for text in alert.annotations.values()]
    # Prometheus puts in nothing for a label that is missing, and <error ...> where it cannot expand a text.
    assert [text for text in texts if re.search(r"^$|<error|<no value>|%!|\{\{|\s(\s|[,.:;]|$)", text)] == []


def build(folder: Path) -> list[dict[str, Any]]:
    """Compiles the profiles with the command, as a user does; returns the groups of rules that it wrote."""

    def thresher(*arguments: str | Path) -> str:
        command = [sys.executable, "-m", "generator", *arguments]
        return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout

    known = json.loads(thresher("schema"))["properties"]["alerts"]["properties"]
    alerts = {alert: {"for": FOR} for alert, its in known.items() if "for" in its["properties"]} | LATENCY_ALERTS
    profiles = folder / "profiles"
    profiles.mkdir()
    for profile in ({**WHOLE, "alerts": alerts}, SPLIT):
        (profiles / f"{profile['name']}.yaml").write_text(json.dumps(profile), "utf-8")
    thresher("build", profiles, "--out", folder / "out")
    files = sorted(folder.glob("out/*/rules/*.yaml"))
    return [group for file in files for group in yaml.safe_load(file.read_text("utf-8"))["groups"]]


def names(groups: list[dict[str, Any]]) -> dict[str, list[str]]:
    """The rules of each group by name, of a rules file as well as of an answer of Prometheus."""
    return {
        group["name"]: [rule.get("alert") or rule.get("record") or rule["name"] for rule in group["rules"]]
        for group in groups
    }


def is_recorded_by(rule: Mapping[str, Any], series: Series) -> bool:
    """Whether the rule may have recorded the series, by its name and the labels that it sets."""
    return {"__name__": rule["record"], **rule["labels"]}.items() <= series.labels.items()


def storm_alerts() -> list[dict[str, str]]:
    """The labels with which the storm must make the alerts of both profiles fire."""
    alerts = (
        {"alertname": "MilvusSearchLatencyInvestigate", "severity": "warning", "tier": "investigate"},
        {"alertname": "MilvusSearchLatencySlow", "severity": "critical", "tier": "slow"},
    )
    scopes = (
        {"profile": "whole"},
        {"profile": "split", "scope": "search+query of articles", "collection_name": "articles"},
    )
    return [{**TARGET, "query_type": "search", **alert, **scope} for alert in alerts for scope in scopes]


def outage_alerts() -> list[dict[str, str]]:
    """The labels with which the outage must make the alerts of both profiles fire."""
    return [
        {**TARGET, "alertname": alert, "severity": "critical", "tier": "outage", "profile": profile}
        for alert in ("MilvusDown", "MilvusMetricsAbsent")
        for profile in ("whole", "split")
    ]
