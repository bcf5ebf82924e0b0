"""Real alerts in a real Alertmanager: which are muted, and which are not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from generator.cli import main
from tests.e2e import servers
from tests.e2e.servers import Alertmanager, await_that

pytestmark = pytest.mark.e2e

PROFILE = """\
version: 1
name: prod
milvus: "2.4.23"
selector: {namespace: vectors}
identity: [namespace, instance_name]
collections: {products: {thresholds: {slow: 500ms}}}
"""

SEARCH, QUERY = {"query_type": "search"}, {"query_type": "query"}
OTHERS = {**SEARCH, "scope": "search+query+hybrid_search"}
PRODUCTS = {
    **SEARCH,
    "scope": "search+query+hybrid_search of products",
    "collection_name": "products",
    "db_name": "default",
}
INVESTIGATE, SLOW = "MilvusSearchLatencyInvestigate", "MilvusSearchLatencySlow"
CAUSE, HEAVY = "MilvusSearchQueueing", {"cause": "heavy_workload"}
SPIKE, SLOW_QUERIES = "MilvusSearchLatencySpike", "MilvusSlowQueries"

# What fires at the same time in one deployment, and whether it is muted.
Case = list[tuple[str, dict[str, str], bool]]
CASES: dict[str, Case] = {
    "slow alone": [(SLOW, OTHERS, False)],
    "slow mutes the milder alerts on the same requests": [
        (SLOW, OTHERS, False), (INVESTIGATE, OTHERS, True), (SPIKE, OTHERS, True), (SLOW_QUERIES, OTHERS, True),
    ],
    "slow mutes nothing of other operations and collections": [
        (SLOW, OTHERS, False), (INVESTIGATE, {**OTHERS, **QUERY}, False), (INVESTIGATE, PRODUCTS, False),
    ],
    "slow of a collection mutes what is said of it": [
        (SLOW, PRODUCTS, False), (INVESTIGATE, PRODUCTS, True), (INVESTIGATE, OTHERS, False),
    ],
    "a milder alert mutes nothing": [(INVESTIGATE, OTHERS, False), (SPIKE, OTHERS, False)],
    "an outage mutes all about latency, and causes": [
        ("MilvusDown", {}, False), (SLOW, OTHERS, True), (SLOW, PRODUCTS, True),
        (INVESTIGATE, {**OTHERS, **QUERY}, True), (SPIKE, OTHERS, True), (SLOW_QUERIES, OTHERS, True),
        (CAUSE, HEAVY, True),
    ],
    "an outage mutes no other outage": [
        ("MilvusDown", {}, False), ("MilvusNoSuccessfulSearches", {}, False), ("MilvusRestartLoop", {}, False),
    ],
    "failing requests of one kind mute what is said of it": [
        ("MilvusRequestsFailing", {"function_name": "Search"}, False), (SLOW, OTHERS, True),
        (SLOW, {**OTHERS, **QUERY}, False), (CAUSE, HEAVY, False),
    ],
    "a warning of an outage mutes nothing": [
        ("MilvusRestartLoop", {}, False), ("MilvusLatencyBucketMissing", {"scope": "deployment"}, False),
        (SLOW, OTHERS, False), (SPIKE, PRODUCTS, False),
    ],
    "causes come with their symptom": [
        (SLOW, OTHERS, False), (INVESTIGATE, OTHERS, True), (CAUSE, HEAVY, False),
    ],
    "an outage of no known deployment mutes nothing": [
        ("MilvusMetricsAbsent", {"instance_name": ""}, False), (SLOW, {**OTHERS, "instance_name": ""}, False),
    ],
    "nor does one that another Prometheus sees": [
        ("MilvusDown", {"cluster": "eu"}, False), (SLOW, {**OTHERS, "cluster": "us"}, False),
    ],
    "nor one of another profile": [
        ("MilvusDown", {"profile": "test"}, False), (SLOW, OTHERS, False),
        ("MilvusDown", {"profile": "test", "namespace": "other"}, False),
    ],
    "nor one in another namespace": [("MilvusDown", {"namespace": "other"}, False), (SLOW, OTHERS, False)],
}  # fmt: skip


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory with what the profile compiles to."""
    folder = tmp_path_factory.mktemp("alertmanager")
    (folder / "prod.yaml").write_text(PROFILE, "utf-8")
    run = CliRunner().invoke(main, ["build", str(folder / "prod.yaml"), "--out", str(folder / "out"), "--quiet"])
    assert run.exit_code == 0, run.output
    return folder


@pytest.fixture(scope="module")
def alertmanager(built: Path) -> Iterator[Alertmanager]:
    with servers.alertmanager(built / "out/prod/alertmanager/prod.alertmanager.yaml", built) as running:
        yield running


@pytest.fixture(scope="module")
def labels(built: Path) -> dict[str, dict[str, str]]:
    """The labels that the rules set, by the name of the alert; those of causes as they will be."""
    groups = yaml.safe_load((built / "out/prod/rules/prod.rules.yaml").read_text("utf-8"))["groups"]
    found = {rule["alert"]: rule["labels"] for group in groups for rule in group["rules"] if "alert" in rule}
    return {CAUSE: {"profile": "prod", "severity": "info"}, **found}


def test_alerts_are_muted_by_what_says_more_about_the_same(
    alertmanager: Alertmanager, labels: dict[str, dict[str, str]]
) -> None:
    def fired(case: str, name: str, own: dict[str, str]) -> dict[str, str]:
        found = {"alertname": name, "namespace": "vectors", "instance_name": case, **labels[name], **own}
        return {label: value for label, value in found.items() if value}

    cases = [(case, fired(case, name, own), muted) for case, alerts in CASES.items() for name, own, muted in alerts]
    alertmanager.send([alert for _, alert, _ in cases])
    # Alerts are looked at in the order in which they come: once these are, all are.
    last = [fired("last", "MilvusDown", {}), fired("last", SLOW, OTHERS)]
    alertmanager.send(last)
    await_that("the last alert was muted", lambda: last[1] in alertmanager.muted()[True])
    found = alertmanager.muted()
    for case, alert, muted in cases:
        assert alert in found[muted], f"{case}: {alert}"
    assert len(found[True]) + len(found[False]) == len(cases) + len(last)
