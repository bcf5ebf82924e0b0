"""Objectives: what is recorded of their error budgets, and who is told that one burns too fast."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from tests.conftest import Compiled

Compile = Callable[..., Compiled]
BURN = "MilvusSearchErrorBudgetBurn"
SLOW = "[{tier: slow, ratio: 99.9%}]"


def burns(rules: Compiled) -> list[dict[str, Any]]:
    return [rule for rule in rules.rules if rule.get("alert") == BURN]


def recorded(rules: Compiled) -> list[str]:
    return [rule["record"] for rule in rules.rules if "record" in rule]


def test_a_page_is_for_a_fast_burn_and_a_ticket_for_a_slow_one(compiled: Compile) -> None:
    found = [
        (rule["labels"]["long"], rule["labels"]["short"], rule["labels"]["severity"], rule["for"])
        for rule in burns(compiled(objectives=SLOW))
    ]
    assert found == [
        ("1h", "5m", "critical", "2m"),
        ("6h", "30m", "critical", "15m"),
        ("3d", "6h", "warning", "30m"),
    ]


def test_both_windows_must_burn_and_there_must_be_enough_requests(compiled: Compile) -> None:
    (fast, *_) = burns(compiled(objectives=SLOW))
    long, short, requests = fast["expr"].split("\nand on (namespace, query_type)\n")
    over = 'deployment:milvus_searches_over_tier:ratio_rate1h{profile="profile", tier="slow"} > 0.0144'
    assert long == f"max by (namespace, query_type) (\n  {over}\n)"
    assert short.strip() == over.replace("1h", "5m")
    judged = 'deployment:milvus_searches_judged:avg_rate1h{profile="profile", tier="slow"}'
    # One of 70 requests in five minutes is 1.4%.
    assert requests.strip() == f"60 * {judged} >= 14"


def test_nothing_is_recorded_without_an_objective_and_the_report_says_how_to_state_one(compiled: Compile) -> None:
    rules = compiled()
    assert not burns(rules)
    assert not [name for name in recorded(rules) if "over_tier" in name or "avg_rate" in name]
    left_out = {each["rule"]: each["why"] for each in rules.manifest["left_out"]}
    assert "such as `objectives: [{tier: slow, ratio: 99.9%}]`" in left_out[BURN]
    assert "objectives" not in rules.manifest


def test_an_objective_can_be_for_some_operations(compiled: Compile) -> None:
    objectives = "[{tier: slow, ratio: 99.9%, operations: [search]}, {tier: slow, ratio: 99%, operations: [query]}]"
    rules = compiled(objectives=objectives)
    kinds = {rule["labels"]["objective"]: rule["expr"] for rule in burns(rules)}
    assert kinds.keys() == {"99.9% under slow", "99% under slow"}
    assert kinds["99.9% under slow"].count('query_type="search"') == 3
    assert kinds["99% under slow"].count('query_type="query"') == 3
    # What they are judged by is recorded once for both.
    names = recorded(rules)
    assert names.count("deployment:milvus_searches_over_tier:ratio_rate3d") == 1
    assert [each["operations"] for each in rules.manifest["objectives"]] == [["search"], ["query"]]


def test_collections_with_thresholds_of_their_own_have_budgets_of_their_own(compiled: Compile) -> None:
    rules = compiled(
        milvus='"2.5.4"', objectives=SLOW, collections="{hot: {thresholds: {slow: 500ms}}}", snap="interpolate"
    )
    assert len(burns(rules)) == 6
    names = recorded(rules)
    for level in ("deployment", "collection"):
        assert f"{level}:milvus_searches_over_tier:ratio_rate3d" in names
    (hot,) = [rule for rule in burns(rules) if "hot" in rule["labels"]["scope"] and rule["labels"]["long"] == "1h"]
    assert "requests to collection {{ $labels.collection_name }}" in hot["annotations"]["description"]


def test_a_burn_rate_that_no_share_of_requests_can_reach_is_left_out_and_reported(compiled: Compile) -> None:
    rules = compiled(objectives="[{tier: healthy, ratio: 90%}]")
    assert [rule["labels"]["long"] for rule in burns(rules)] == ["6h", "3d"]
    left_out = {each["rule"]: each["why"] for each in rules.manifest["left_out"]}
    assert left_out[BURN] == "14.4 times the 10% that the objective allows is more than all requests"


def test_the_dashboard_shows_what_is_left_of_the_budget(compiled: Compile) -> None:
    rules = compiled(objectives="[{tier: slow, ratio: 99.9%, period: 28d}]")
    assert not [each for each in rules.manifest["panels_left_out"] if "udget" in each["panel"]]
    dashboard = Path("out/profile/dashboards/profile.latency.json").read_text("utf-8")
    assert "Error budget: 99.9% of search, query and hybrid_search requests under slow" in dashboard
    assert "[28d]" in dashboard


def test_a_page_of_a_budget_mutes_the_ticket_of_the_same_budget(compiled: Compile) -> None:
    compiled(objectives=SLOW)
    config = yaml.safe_load(Path("out/profile/alertmanager/profile.alertmanager.yaml").read_text("utf-8"))
    (rule,) = [each for each in config["inhibit_rules"] if 'tier="objective"' in each["source_matchers"]]
    assert 'severity="critical"' in rule["source_matchers"]
    assert 'severity="warning"' in rule["target_matchers"]
    assert {"namespace", "query_type", "objective"} <= set(rule["equal"])


def test_twenty_minutes_of_slow_searches_page_soon_and_the_page_ends_soon_after_them(
    compiled: Compile, promtool: str
) -> None:
    rules = compiled(objectives=SLOW)
    labels = 'namespace="vectors", node_id="1", query_type="search"'
    # Three hours with 100 searches a minute, 20 minutes in which ten of them are slow, an hour as before.
    parts = {"1024": "0+100x180 18090+90x19 19900+100x60", "+Inf": "0+100x260"}
    series = [
        {"series": f'milvus_proxy_sq_latency_bucket{{{labels}, le="{le}"}}', "values": values}
        for le, values in parts.items()
    ]
    # The page of a fast burn, that of a slower one, and the ticket, by minutes since the first slow request.
    expected = {5: [], 15: ["1h"], 19: ["1h"], 40: ["6h", "3d"], 75: ["3d"]}
    firing = f'group by (long) (ALERTS{{alertname="{BURN}", alertstate="firing"}})'
    checks = [
        {
            "eval_time": f"{180 + minute}m",
            "expr": firing,
            "exp_samples": [{"labels": f'{{long="{long}"}}', "value": 1} for long in windows],
        }
        for minute, windows in expected.items()
    ]
    test = {"interval": "1m", "input_series": series, "promql_expr_test": checks}
    content = {
        "rule_files": ["profile/rules/profile.rules.yaml"],
        "evaluation_interval": "1m",
        "group_eval_order": [group["name"] for group in rules.groups],
        "tests": [test],
    }
    Path("out/burn.yaml").write_text(yaml.safe_dump(content), "utf-8")
    done = subprocess.run([promtool, "test", "rules", "out/burn.yaml"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
