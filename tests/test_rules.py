"""What a profile compiles to: the traps of each Milvus release, and what the settings change."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from generator import catalog, templates
from generator.build import default_rules
from tests.conftest import Compiled

Compile = Callable[..., Compiled]


@pytest.mark.parametrize(
    ("milvus", "bounds"),
    [
        ("2.3.5", ["32", "128", "1024", "4096"]),  # powers of two, and no counter of slow queries
        ("2.3.18", ["32", "128", "1024"]),
        ("2.3.19", ["20", "100", "1000"]),  # the coarse buckets reach the 2.3 branch; the counter answers for 5 s
        ("2.4.5", ["32", "128", "1024"]),
        ("2.4.6", ["20", "100", "1000"]),
        ("2.5.0", ["32", "128", "1024"]),
        ("2.6.9", ["32", "128", "1024", "4096"]),  # what the counter compares is not known
    ],
)
def test_thresholds_are_measured_at_the_bounds_of_the_release(
    compiled: Compile, milvus: str, bounds: list[str]
) -> None:
    rules = compiled(milvus=f'"{milvus}"')
    expr = rules.groups[0]["rules"][0]["expr"]
    assert re.findall(r"(\d+)\(", expr) == bounds


def test_a_bucket_is_selected_in_every_spelling(compiled: Compile) -> None:
    expr = compiled().named("milvus_searches_under_tier", tier="slow")["expr"]
    assert 'le=~"1024(\\\\.0)?"' in expr
    assert not re.search(r'le="\d', expr)


@pytest.mark.parametrize(
    ("milvus", "settings", "counted"),
    [
        ("2.3.5", {}, False),  # no counter before 2.3.13
        ("2.3.13", {}, True),
        ("2.5.27", {}, True),
        ("2.6.8", {}, True),
        ("2.6.9", {}, False),  # 5 s and the whole span, or 1 s per query vector: not known
        ("2.6.9", {"server_slow_query_span": "5s"}, False),
        ("2.6.10", {}, False),  # counts from 1 s, the profile asks for 5 s
        ("2.6.10", {"server_slow_query_span": "5s"}, True),
        ("2.6.10", {"thresholds": "{slow_query_span: 1s}"}, True),
        ("2.5.27", {"server_slow_query_span": "2s"}, False),
        ("3.0.1", {"server_slow_query_span": "5s"}, True),
    ],
)
def test_the_slow_query_counter_is_read_only_where_it_counts_what_the_profile_asks_for(
    compiled: Compile, milvus: str, settings: dict[str, str], counted: bool
) -> None:
    rules = compiled(milvus=f'"{milvus}"', **settings)
    assert ("milvus_proxy_slow_query_count" in rules.named("milvus_slow_queries")["expr"]) is counted
    replaced = [each["rule"] for each in rules.manifest["replaced"]]
    assert ("milvus_slow_queries" in replaced) is not counted
    text = rules.named("MilvusSlowQueries")["annotations"]["description"]
    assert ("counted by Milvus" in text) is counted


def test_a_counter_that_compares_per_query_vector_says_so(compiled: Compile) -> None:
    rules = compiled(milvus='"2.6.19"', server_slow_query_span="5s")
    assert (
        "counted by Milvus; searches: per query vector"
        in rules.named("MilvusSlowQueries")["annotations"]["description"]
    )
    rules = compiled(milvus='"2.5.4"')
    assert "query vectors" not in rules.named("MilvusSlowQueries")["annotations"]["description"]


def test_a_disagreement_with_the_servers_default_is_said(compiled: Compile) -> None:
    run = compiled(milvus='"2.6.19"', thresholds="{slow_query_span: 5s}").run
    assert "counts requests above 1s per query vector by default" in run.stderr
    assert "counts requests" not in compiled(milvus='"2.5.4"').run.stderr


@pytest.mark.parametrize("milvus", ["2.3.0", "2.6.0", "2.6.1", "2.6.18", "2.6.19", "3.0-beta", "3.0.0"])
def test_failures_are_counted_under_every_name_that_they_have_had(compiled: Compile, milvus: str) -> None:
    expr = compiled(milvus=f'"{milvus}"').named("milvus_searches_failed")["expr"]
    matcher = re.search(r'status=~"([^"]+)"', expr)
    assert matcher
    status = catalog.release(milvus).metric("milvus_proxy_req_count").values["status"]  # type: ignore[union-attr]
    failures = [value for value in status if value.startswith("fail") or value == "abandon"]
    assert failures
    assert all(re.fullmatch(matcher[1], value) for value in failures)
    assert not any(re.fullmatch(matcher[1], value) for value in status if value not in failures)


@pytest.mark.parametrize(("milvus", "there"), [("2.6.19", False), ("3.0-beta", False), ("3.0.0", True)])
def test_what_clients_cancel_is_no_failure(compiled: Compile, milvus: str, there: bool) -> None:
    assert ('cause!="cancel"' in compiled(milvus=f'"{milvus}"').named("milvus_searches_failed")["expr"]) is there


@pytest.mark.parametrize(
    ("milvus", "parts"),
    [
        ("2.3.5", set()),
        ("2.3.6", {"limiter"}),
        ("2.6.0", {"limiter"}),
        ("2.6.1", {"limiter", "proxy"}),
        ("2.6.19", {"limiter", "proxy"}),
        ("3.0.0", {"limiter", "proxy"}),
    ],
)
def test_rejections_by_the_rate_limiter_are_told_from_those_before_it(
    compiled: Compile, milvus: str, parts: set[str]
) -> None:
    rules = compiled(milvus=f'"{milvus}"')
    alerts = [rule for rule in rules.rules if rule.get("alert") == "MilvusRequestsRejected"]
    assert {alert["labels"]["part"] for alert in alerts} == parts
    for part, metric in (("limiter", "milvus_proxy_rate_limit_req_count"), ("proxy", "milvus_proxy_req_count")):
        if part in parts:
            assert metric in rules.named("milvus_searches_rejected", part=part)["expr"]
            assert f'part="{part}"' in rules.named("MilvusRequestsRejected", part=part)["expr"]
    left_out = {each["rule"]: each["why"] for each in rules.manifest["left_out"]}
    if not parts:
        assert "first in 2.3.6" in left_out['MilvusRequestsRejected{part="limiter"}']


@pytest.mark.parametrize(
    ("milvus", "foreign"),
    [("2.5.4", "mixcoord"), ("2.6.19", "rootcoord|querycoord|datacoord|indexnode")],
)
def test_roles_of_other_releases_do_not_look_lost(compiled: Compile, milvus: str, foreign: str) -> None:
    assert f'"{foreign}"' in compiled(milvus=f'"{milvus}"').named("role:milvus_nodes:count")["expr"]


def test_a_quota_state_is_watched_by_its_value_not_by_its_absence(compiled: Compile) -> None:
    expr = compiled().named("MilvusQuotaExceeded")["expr"]
    assert "} > 0" in expr
    assert "absent" not in expr


@pytest.mark.parametrize(
    ("milvus", "end"),
    [("2.4.7", " / 1000"), ("2.4.17", " / 1000"), ("2.4.18", ""), ("2.5.0", "")],
)
def test_microseconds_of_segcore_become_milliseconds(compiled: Compile, milvus: str, end: str) -> None:
    expr = compiled(milvus=f'"{milvus}"').named("milvus_search_core_milliseconds_sum", part="scalar_filter")["expr"]
    assert "internal_core_search_latency_sum" in expr
    assert expr.endswith("))" + end)


@pytest.mark.parametrize(
    ("milvus", "index"),
    [("2.3.1", "knowhere_search_latency_sum"), ("2.4.6", "search_latency_sum")],
)
def test_before_segcore_measured_itself_the_rest_of_the_core_call_stands_for_the_filter(
    compiled: Compile, milvus: str, index: str
) -> None:
    expr = compiled(milvus=f'"{milvus}"').named("milvus_search_core_milliseconds_sum", part="scalar_filter")["expr"]
    assert f"rate({index}" in expr
    assert expr.startswith("clamp_min(")


def test_without_any_measure_of_the_core_the_rules_are_left_out_with_the_reason(compiled: Compile) -> None:
    rules = compiled(milvus='"2.3.0"')
    assert "milvus_search_core_milliseconds" not in rules.names()
    left_out = {each["rule"]: each["why"] for each in rules.manifest["left_out"]}
    assert (
        "knowhere_search_latency_count does not exist in Milvus 2.3.0 (first in 2.3.1)"
        in left_out['milvus_search_core_milliseconds{part="vector_search"}']
    )


@pytest.mark.parametrize("milvus", catalog.releases())
def test_every_release_compiles_with_every_alert_but_those_it_cannot_support(milvus: str) -> None:
    rule_set = default_rules(milvus)
    missing = {remark.rule for remark in rule_set.remarks if not remark.instead and remark.rule.startswith("Milvus")}
    no_limiter = milvus in ("2.3.0", "2.3.1", "2.3.2", "2.3.3", "2.3.4", "2.3.5")
    no_rejections = milvus == "2.6.0" or milvus.startswith(("2.3.", "2.4.", "2.5."))
    no_index_timer = milvus == "2.3.0"
    expected = {
        'MilvusRequestsRejected{part="limiter"}': no_limiter,
        'MilvusRequestsRejected{part="proxy"}': no_rejections,
        "MilvusScalarFilteringDominates": no_index_timer,
        "MilvusVectorSearchDominates": no_index_timer,
        "MilvusBruteForceSearch": no_index_timer,
        "MilvusCompactionBacklog": milvus.startswith("2.3."),
        "MilvusVersionRegression": milvus in [f"2.3.{patch}" for patch in range(8)],
        "MilvusCPUSaturated": True,  # no release says how many CPUs there are
        "MilvusDiskSaturated": True,  # nor anything of its disks
        "MilvusSearchErrorBudgetBurn": True,  # and nobody stated an objective
    }
    assert missing == {alert for alert, gone in expected.items() if gone}


def test_every_alert_carries_what_routes_and_explains_it(compiled: Compile) -> None:
    rules = compiled(
        labels="{team: search}",
        annotations='{contact: "#search"}',
        runbook_base_url="https://runbooks.example.com/milvus/",
        dashboard_url="https://grafana.example.com/d/x",
    )
    for rule in rules.rules:
        if "alert" in rule:
            assert rule["labels"].keys() >= {"severity", "profile", "team"}
            assert ("tier" in rule["labels"]) != ("cause" in rule["labels"])
            verdict = (
                ["verdict"]
                if rule["labels"].get("tier") in ("investigate", "slow") or rule["alert"] == "MilvusRequestsFailing"
                else []
            )
            texts = ["summary", "description", *verdict, "runbook_url", "dashboard_url", "contact"]
            assert list(rule["annotations"]) == texts
            assert rule["annotations"]["runbook_url"] == f"https://runbooks.example.com/milvus/{rule['alert']}.md"


def test_text_of_a_profile_is_literal_in_annotations(compiled: Compile) -> None:
    rule = compiled(annotations="{hint: 'write {{ $value }} & \"it\"'}").named("MilvusDown")
    assert rule["annotations"]["hint"] == 'write {{ "{{" }} $value }} & "it"'


def test_settings_of_an_alert_take_the_place_of_its_defaults(compiled: Compile) -> None:
    rules = compiled(
        alerts="""
  MilvusSearchLatencySlow: {severity: info, for: 7m, keep_firing_for: 0s, quantile: 0.9, min_request_rate: 2/s}
  MilvusDown: {enabled: false}
  MilvusRequestsFailing: {threshold: 12.5%}"""
    )
    slow = rules.named("MilvusSearchLatencySlow")
    assert (slow["labels"]["severity"], slow["for"], slow.get("keep_firing_for")) == ("info", "7m", None)
    assert "< 0.9\n" in slow["expr"]
    assert slow["expr"].endswith(">= 120")
    assert "> 0.125" in rules.named("MilvusRequestsFailing")["expr"]
    assert "MilvusDown" not in rules.names()
    assert {"rule": "MilvusDown", "why": "disabled by the profile"} in rules.manifest["left_out"]


@pytest.mark.parametrize(
    ("quantile", "window", "per_minute"),
    [("0.99", "5m", "20"), ("0.999", "5m", "200"), ("0.95", "10m", "2"), ("0.5", "10m", "0.2")],
)
def test_below_the_least_rate_one_slow_request_would_be_too_many(
    compiled: Compile, quantile: str, window: str, per_minute: str
) -> None:
    rules = compiled(window=window, alerts=f"{{MilvusSearchLatencySlow: {{quantile: {quantile}}}}}")
    assert rules.named("MilvusSearchLatencySlow")["expr"].endswith(f">= {per_minute}")


def test_operations_with_thresholds_of_their_own_get_rules_of_their_own(compiled: Compile) -> None:
    rules = compiled(milvus='"2.5.4"', operations="{query: {thresholds: {investigate: 300ms}}}")
    both = [rule for rule in rules.rules if rule.get("alert") == "MilvusSearchLatencyInvestigate"]
    assert [rule["labels"]["scope"] for rule in both] == ["search+hybrid_search", "query"]
    under = {
        rule["labels"]["scope"]: rule["expr"]
        for rule in rules.rules
        if rule["labels"].get("tier") == "investigate" and "under_tier" in rule.get("record", "")
    }
    assert 'query_type=~"search|hybrid_search", le=~"128' in under["search+hybrid_search"]
    assert 'query_type="query", le=~"256' in under["query"]


def test_a_collection_with_thresholds_of_its_own_is_not_judged_with_the_others(compiled: Compile) -> None:
    rules = compiled(milvus='"2.5.4"', collections="{hot: {thresholds: {slow: 500ms}}}")
    raw = {
        rule["record"].split(":")[0]: rule["expr"]
        for rule in rules.rules
        if "milvus_proxy_sq_latency_bucket" in rule["expr"] and "le=~" in rule["expr"]
    }
    assert 'collection_name!="hot"' in raw["deployment_node"]
    assert 'collection_name="hot"' in raw["collection_node"]
    assert "db_name, collection_name" in raw["collection_node"]
    hot = rules.named("MilvusSearchLatencySlow", scope="search+query+hybrid_search of hot")
    of = "collection {{ $labels.collection_name }} (database {{ $labels.db_name }}) of"
    assert of in hot["annotations"]["description"]


def test_before_2_4_collections_are_read_from_the_histogram_that_has_them(compiled: Compile) -> None:
    rules = compiled(milvus='"2.3.5"', collections="{hot: {thresholds: {slow: 500ms}}}")
    raw = [
        rule["expr"]
        for rule in rules.rules
        if rule.get("record", "").startswith(("deployment_node", "collection_node"))
    ]
    assert len(raw) == 2
    assert all("milvus_proxy_collection_sq_latency_bucket" in expr for expr in raw)


def test_collections_with_equal_thresholds_share_their_rules(compiled: Compile) -> None:
    names = ", ".join(f"c{number}: {{thresholds: {{slow: 500ms}}}}" for number in range(50))
    many = compiled(milvus='"2.5.4"', collections=f"{{{names}}}")
    one = compiled(milvus='"2.5.4"', collections="{c0: {thresholds: {slow: 500ms}}}")
    assert len(many.rules) == len(one.rules)


def test_interpolation_weighs_the_buckets_on_both_sides(compiled: Compile) -> None:
    expr = compiled(snap="interpolate", milvus='"2.5.4"').named("milvus_searches_under_tier", tier="investigate")[
        "expr"
    ]
    assert "0.4375 * sum" in expr  # (128 - 100) / 64
    assert "0.5625 * sum" in expr
    assert 'le=~"64(' in expr
    assert 'le=~"128(' in expr


def test_a_threshold_on_a_bound_is_exact_in_every_mode(compiled: Compile) -> None:
    for snap in ("nearest", "down", "up", "interpolate"):
        rules = compiled(snap=snap, milvus='"2.4.20"', thresholds="{healthy: 20ms}")
        assert rules.manifest["thresholds"][0]["investigate"]["measured"] == "measured at 100 ms"


def test_series_are_recorded_before_they_are_read(compiled: Compile) -> None:
    rules = compiled(milvus='"2.5.4"', collections="{hot: {thresholds: {slow: 500ms}}}")
    recorded: set[str] = set()
    for group in rules.groups:
        for rule in group["rules"]:
            assert set(re.findall(r"[a-z_]+:[a-z0-9_]+:[a-z0-9_]+", rule["expr"])) <= recorded
            recorded |= {rule["record"]} if "record" in rule else set()


def test_groups_fit_the_default_limits_of_a_ruler(compiled: Compile) -> None:
    assert all(len(group["rules"]) <= 20 for group in compiled().groups)


def test_no_key_is_written_that_the_oldest_supported_prometheus_does_not_know(compiled: Compile) -> None:
    rules = compiled()
    assert {key for group in rules.groups for key in group} == {"name", "interval", "rules"}
    keys = {key for rule in rules.rules for key in rule}
    assert keys == {"record", "alert", "expr", "for", "keep_firing_for", "labels", "annotations"}


def test_many_deployments_behind_one_selector_are_told_apart(compiled: Compile) -> None:
    rules = compiled(selector="{namespace: vectors}", identity="[namespace, instance_of]")
    for rule in rules.rules:
        if "alert" in rule and rule["alert"] != "MilvusMetricsAbsent":
            assert "{{ $labels.instance_of }}" in rule["annotations"]["description"]
    absent = rules.named("MilvusMetricsAbsent")["expr"]
    assert "present_over_time" in absent
    assert 'label_replace(absent(milvus_num_node{namespace="vectors"}), "instance_of", "unknown", "", "")' in absent
    assert "present_over_time" not in compiled().named("MilvusMetricsAbsent")["expr"]


def test_deployments_that_the_profile_names_are_missed_one_by_one(compiled: Compile) -> None:
    listed = compiled(selector="{namespace: [a, b], job: milvus}", identity="[namespace]").named("MilvusMetricsAbsent")
    assert listed["expr"] == (
        'sum by (namespace) (absent(milvus_num_node{namespace="a", job="milvus"}))\n'
        'or sum by (namespace) (absent(milvus_num_node{namespace="b", job="milvus"}))'
    )
    any_of = compiled(selector="{cluster: [x, y], namespace: [a, b]}", identity="[cluster, namespace]")
    assert "present_over_time" in any_of.named("MilvusMetricsAbsent")["expr"]


def test_many_deployments_are_watched_by_several_rules(compiled: Compile) -> None:
    names = ", ".join(f"n{number}" for number in range(220))
    rules = compiled(selector=f"{{namespace: [{names}]}}", identity="[namespace]").rules
    alerts = [rule for rule in rules if rule.get("alert") == "MilvusMetricsAbsent"]
    assert [alert["expr"].count("absent(") for alert in alerts] == [100, 100, 20]
    assert [alert["labels"]["scope"] for alert in alerts] == ["deployments 1", "deployments 2", "deployments 3"]


def test_with_thresholds_per_collection_the_counter_without_collections_is_not_read(compiled: Compile) -> None:
    rules = compiled(milvus='"2.5.4"', collections="{nightly: {thresholds: {slow: 2s}}}")
    assert not any("milvus_proxy_slow_query_count" in rule["expr"] for rule in rules.rules)
    others = rules.named("MilvusSearchLatencySlow", scope="search+query+hybrid_search")
    assert "requests to the other collections of namespace" in others["annotations"]["description"]


def test_a_list_in_the_selector_matches_each_of_its_values_literally(compiled: Compile) -> None:
    expr = compiled(selector='{namespace: ["a.b", "c|d"], job: milvus}').named("MilvusQuotaExceeded")["expr"]
    assert r'namespace=~"a\\.b|c\\|d", job="milvus"' in expr


def test_hostile_selector_values_stay_inside_their_strings(compiled: Compile) -> None:
    value = 'a"} or vector(1) or up{b="\\'
    expr = compiled(selector=f"{{namespace: {value!r}}}".replace("'a", "'a")).named("MilvusQuotaExceeded")["expr"]
    assert 'namespace="a\\"} or vector(1) or up{b=\\"\\\\' in expr


def test_characters_of_every_plane_come_through(compiled: Callable[..., Compiled]) -> None:
    rules = compiled(selector="{namespace: 'é 你 😀'}", labels="{mood: 'ö 好 😀'}", annotations="{hint: 'ü 吗 🔥'}")
    slow = rules.named("MilvusSearchLatencySlow")
    assert slow["labels"]["mood"] == "ö 好 😀"
    assert slow["annotations"]["hint"] == "ü 吗 🔥"
    assert 'namespace="é 你 😀"' in rules.rules[0]["expr"]
    tests = yaml.safe_load(Path("out/profile/tests/profile.tests.yaml").read_text("utf-8"))["tests"]
    fired = [alert for test in tests for check in test.get("alert_rule_test", ()) for alert in check["exp_alerts"]]
    assert {alert["exp_labels"]["mood"] for alert in fired} == {"ö 好 😀"}


@pytest.mark.parametrize("milvus", ["2.3.5", "2.4.23", "2.5.27", "2.6.20"])
def test_whatever_alerts_are_disabled_the_others_compile(milvus: str) -> None:
    names = templates.load().alerts
    for kept in names:
        disabled = "\n".join(f"  {name}: {{enabled: false}}" for name in names if name != kept)
        rules = default_rules(milvus, f"cpus: 4\nobjectives: [{{tier: slow, ratio: 99%}}]\nalerts:\n{disabled}\n").rules
        assert {rule.name for rule in rules if rule.is_alert} <= {kept}


def test_annotations_may_be_written_in_any_language_and_hold_emoji(compiled: Compile) -> None:
    notes = {"note": "\u26a0\ufe0f slow above 500 \u00b5s", "hint": "\u691c\u7d22\u304c\u9045\u3044 (slow)"}
    rules = compiled(annotations=json.dumps(notes))
    assert rules.run.stderr == ""
    assert notes.items() <= rules.named("MilvusDown")["annotations"].items()
