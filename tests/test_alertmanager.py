"""What mutes what in Alertmanager: the rules that are generated for it, as far as they show without one."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from generator import templates
from generator.alertmanager import IMPLIED, OUTAGE, TIER_OF_OBJECTIVES
from tests.conftest import EXAMPLES, Compiled
from tests.e2e.servers import program

CONFIGS = sorted(EXAMPLES.glob("out/*/alertmanager/*.yaml"))
CRITICAL_OUTAGES = ("MilvusDown", "MilvusMetricsAbsent", "MilvusRequestsFailing", "MilvusNoSuccessfulSearches")


def config() -> Any:
    return yaml.safe_load(Path("out/profile/alertmanager/profile.alertmanager.yaml").read_text("utf-8"))


def sources(rules: list[Any]) -> list[str]:
    """The tier that each rule has as its source."""
    return [tier for rule in rules for tier in re.findall('tier="(.*)"', "\n".join(rule["source_matchers"]))]


def matches(matchers: list[str], labels: dict[str, str]) -> bool:
    """Whether Alertmanager would call this a match."""

    def match(matcher: str) -> bool:
        found = re.fullmatch(r'(\w+)(=~|!~|!=|=)"(.*)"', matcher)
        assert found, matcher
        label, operator, value = found.groups()
        own = labels.get(label, "")
        equal = bool(re.fullmatch(value, own)) if "~" in operator else own == value
        return equal != operator.startswith("!")

    return all(map(match, matchers))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_amtool_accepts_the_configuration_of_every_example(path: Path) -> None:
    done = subprocess.run([program("amtool"), "check-config", path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search("[1-9] inhibit rules", done.stdout)


@pytest.mark.parametrize(("severity", "receivers"), [("critical", "pager,chat"), ("warning", "chat"), ("info", "chat")])
def test_only_what_is_critical_reaches_the_pager(severity: str, receivers: str) -> None:
    file = EXAMPLES / "out/prod-search/alertmanager/prod-search.alertmanager.yaml"
    labels = ["profile=prod-search", f"severity={severity}", "namespace=vectors"]
    command = [program("amtool"), "config", "routes", "test", f"--config.file={file}", *labels]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == receivers


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_no_alert_is_on_both_sides_and_every_rule_has_both(path: Path) -> None:
    document = yaml.safe_load(path.read_text("utf-8"))
    rules = path.parent.parent / "rules"
    groups = [group for file in rules.iterdir() for group in yaml.safe_load(file.read_text("utf-8"))["groups"]]
    alerts = [rule["labels"] for group in groups for rule in group["rules"] if "alert" in rule]
    for rule in document["inhibit_rules"]:
        identity = dict.fromkeys(re.findall('(\\w+)!=""', "\n".join(rule["target_matchers"])), "x")
        given = [
            {**labels, **identity, "query_type": query_type, "function_name": function_name}
            for labels in alerts
            for query_type in ("search", "query", "hybrid_search")
            for function_name in ("Search", "Query", "HybridSearch", "")
        ]
        source = [each for each in given if matches(rule["source_matchers"], each)]
        target = [each for each in given if matches(rule["target_matchers"], each)]
        assert source
        assert target
        assert not [each for each in source if each in target]


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_nothing_is_muted_across_profiles_or_deployments(path: Path) -> None:
    profile = path.parent.parent.name
    manifest = yaml.safe_load((path.parent.parent / "MANIFEST.json").read_text("utf-8"))
    document = yaml.safe_load(path.read_text("utf-8"))
    for rule in document["inhibit_rules"]:
        assert f'profile="{profile}"' in rule["source_matchers"]
        assert f'profile="{profile}"' in rule["target_matchers"]
        assert {f'{label}!=""' for label in manifest["identity"]} <= set(rule["target_matchers"])
        assert set(manifest["identity"]) < set(rule["equal"])
    assert set(manifest["identity"]) < set(document["route"]["group_by"])


def test_of_every_tier_it_is_known_whether_it_is_muted() -> None:
    tiers = {alert.tier for alert in templates.load().alerts.values() if alert.tier}
    assert tiers == {OUTAGE, TIER_OF_OBJECTIVES, *IMPLIED, *(tier for implied in IMPLIED.values() for tier in implied)}


def test_what_is_slow_mutes_other_latency_alerts_on_the_same_requests_only(compiled: Callable[..., Compiled]) -> None:
    compiled(milvus='"2.4.23"', collections="{products: {thresholds: {slow: 500ms}}}")
    (rule,) = [each for each in config()["inhibit_rules"] if 'tier="slow"' in each["source_matchers"]]
    assert 'tier=~"investigate|slow_query_span|spike"' in rule["target_matchers"]
    assert {"query_type", "collection_name", "db_name"} < set(rule["equal"])


def test_a_milder_alert_never_mutes_a_more_severe_one(compiled: Callable[..., Compiled]) -> None:
    compiled(
        alerts="{MilvusSearchLatencySlow: {severity: warning}, MilvusSearchLatencyInvestigate: {severity: critical}}"
    )
    (rule,) = [each for each in config()["inhibit_rules"] if 'tier="slow"' in each["source_matchers"]]
    assert 'tier=~"slow_query_span|spike"' in rule["target_matchers"]


def test_outages_that_page_nobody_mute_nothing(compiled: Callable[..., Compiled]) -> None:
    compiled(alerts=json.dumps({name: {"severity": "warning"} for name in CRITICAL_OUTAGES}))
    assert sources(config()["inhibit_rules"]) == ["slow"]


def test_alerts_that_are_disabled_mute_nothing(compiled: Callable[..., Compiled]) -> None:
    compiled(alerts="{MilvusSearchLatencySlow: {enabled: false}, MilvusRequestsFailing: {enabled: false}}")
    assert sources(config()["inhibit_rules"]) == ["outage"]
    compiled(alerts=json.dumps({name: {"enabled": False} for name in templates.load().alerts}))
    assert config() == {"route": {"receiver": "chat"}, "receivers": [{"name": "chat"}]}


def test_a_failing_operation_mutes_what_is_said_of_it(compiled: Callable[..., Compiled]) -> None:
    compiled(milvus='"2.3.5"')
    pairs = [
        (matcher, rule["target_matchers"][-1])
        for rule in config()["inhibit_rules"]
        for matcher in rule["source_matchers"]
        if matcher.startswith("function_name=") and matcher != 'function_name=""'
    ]
    assert pairs == [('function_name="Search"', 'query_type="search"'), ('function_name="Query"', 'query_type="query"')]
