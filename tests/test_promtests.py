"""The generated tests: what they hold, and that the real promtool proves the rules with them, and only sound rules."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from generator import catalog, promtests
from generator.build import default_rules
from tests.conftest import EXAMPLES, ROOT, Compiled, Thresher


def read_tests(name: str = "profile") -> dict[str, Any]:
    tests: dict[str, Any] = yaml.safe_load(Path(f"out/{name}/tests/{name}.tests.yaml").read_text("utf-8"))
    return tests


def test_every_alert_is_tested_firing_silent_and_without_data(compiled: Callable[..., Compiled]) -> None:
    rules = compiled()
    checks = [check for test in read_tests()["tests"] for check in test.get("alert_rule_test", ())]
    without_data = read_tests()["tests"][-1]
    assert "input_series" not in without_data
    for alert in {rule["alert"] for rule in rules.rules if "alert" in rule}:
        assert any(check["alertname"] == alert and check["exp_alerts"] for check in checks)
        assert any(check["alertname"] == alert and not check["exp_alerts"] for check in checks)
        if alert != "MilvusMetricsAbsent":
            assert any(check["alertname"] == alert for check in without_data["alert_rule_test"])


def test_expectations_hold_every_label_and_annotation_in_full(compiled: Callable[..., Compiled]) -> None:
    rules = compiled(labels="{team: search}", annotations="{hint: 'see {{ docs }}'}")
    for test in read_tests()["tests"]:
        for check in test.get("alert_rule_test", ()):
            for alert in check["exp_alerts"]:
                part = alert["exp_labels"].get("part")
                rule = rules.named(check["alertname"], **({"part": part} if part else {}))
                assert alert["exp_labels"].items() >= rule["labels"].items()
                assert "namespace" in alert["exp_labels"]
                assert alert["exp_annotations"].keys() == rule["annotations"].keys()
                assert alert["exp_annotations"]["hint"] == "see {{ docs }}"
                assert "{{" not in alert["exp_annotations"]["description"]


def test_both_spellings_of_le_are_fed(compiled: Callable[..., Compiled]) -> None:
    compiled()
    by_name = {test["name"]: str(test["input_series"]) for test in read_tests()["tests"][:-1]}
    for alert in ("MilvusSearchLatencyInvestigate", "MilvusSearchLatencySlow", "MilvusSlowQueries"):
        spelled = {
            spelling: text
            for name, text in by_name.items()
            for spelling in ("Prometheus 2", "Prometheus 3")
            if f"{alert}: just under" in name and spelling in name.split(f"{alert}: just under")[1]
        }
        assert (
            'le="1024"' in spelled["Prometheus 2"]
            or 'le="128"' in spelled["Prometheus 2"]
            or 'le="4096"' in spelled["Prometheus 2"]
        )
        assert re.search(r'le="\d+\.0"', spelled["Prometheus 3"])


def test_every_group_has_its_place_in_the_order_of_evaluation(compiled: Callable[..., Compiled]) -> None:
    rules = compiled()
    tests = read_tests()
    assert tests["group_eval_order"] == [group["name"] for group in rules.groups]
    assert all("interval" in test for test in tests["tests"])


@pytest.mark.parametrize("milvus", ["2.3.5", "2.4.20", "2.6.19"])
def test_input_series_have_the_labels_and_buckets_of_the_release(milvus: str) -> None:
    from generator import catalog

    release = catalog.release(milvus)
    named = {word for rule in default_rules(milvus).rules for word in re.findall(r"\w+", rule.expr)}
    for test in promtests.suites(default_rules(milvus))[0].tests:
        for case in test:
            for series, _ in case.series:
                name, labels = re.fullmatch(r"([\w:]+)\{(.*)\}", series).groups()  # type: ignore[union-attr]
                if name == "up" or ":" in name:
                    continue
                found = release.series(name)
                assert found, series
                names = set(re.findall(r"(\w+)=", labels)) - {"namespace", "job", "instance", "le"}
                # What must not be read needs no more labels than the rule that it stands beside.
                assert names <= set(found[0].labels), series
                assert "not-" in series or names == set(found[0].labels) & named, series
                if bound := re.search(r'le="(\d+)"', labels):
                    assert float(bound[1]) in found[0].buckets, series


def test_every_matcher_of_a_rule_keeps_a_series_away() -> None:
    cases = [case for test in promtests.suites(default_rules("2.6.19"))[0].tests for case in test]
    (case,) = (
        case
        for case in cases
        if case.name == "deployment:milvus_searches_received:rate5m: the requests of two nodes together"
    )
    others = {name for name, _ in case.series if "not-" in name}
    kept_away = {re.findall(r'(\w+)="not-', name)[0] for name in others}
    assert kept_away == {"namespace", "function_name", "status"}
    assert all(len(re.findall("not-", name)) == 1 for name in others)


# Rules that stand for several deployments: by a label with several values, by one that the selector does not have.
OPEN = {
    "selector": "{cluster: eu, namespace: [search-a, search-b]}",
    "identity": "[cluster, namespace, release]",
}


def of_deployments(test: dict[str, Any]) -> set[tuple[str, ...]]:
    """The labels of the deployments that are fed to a test, but for those that no rule must read."""
    series = [each["series"] for each in test.get("input_series", ()) if "not-" not in each["series"]]
    found = [dict(re.findall(r'(\w+)="([^"]*)"', each)) for each in series]
    return {tuple(each.get(label, "") for label in ("cluster", "namespace", "release")) for each in found}


def test_deployments_that_share_rules_are_played_beside_each_other_and_differ_in_one_label_each(
    compiled: Callable[..., Compiled],
) -> None:
    compiled(**OPEN)
    together = [test for test in read_tests()["tests"] if test["name"].endswith("beside other deployments")]
    assert len(together) > 20
    for test in together:
        own = ("eu", "search-a", "some-release")
        assert of_deployments(test) == {own, ("eu", "search-b", own[2]), ("eu", own[1], "another-release")}


def test_what_a_rule_must_not_read_is_of_one_of_the_deployments(compiled: Callable[..., Compiled]) -> None:
    compiled(**OPEN)
    fed = [each["series"] for test in read_tests()["tests"] for each in test.get("input_series", ())]
    others = [each for each in fed if each.startswith("milvus_") and "not-" in each]
    assert len(others) > 20
    assert [each for each in others if not re.search('cluster=".*namespace=".*release="', each)] == []


def test_what_is_played_for_several_scopes_at_once_is_the_same_scenario_of_each(
    compiled: Callable[..., Compiled],
) -> None:
    collections = "{hot: {thresholds: {slow: 1500ms}}}"
    compiled(selector="{team: a, job: milvus}", identity="[team, cluster]", milvus='"2.4.0"', collections=collections)
    names = [name for test in read_tests()["tests"] for name in test["name"].split(" | ")]
    of_symptom = [name.partition(": ")[2] for name in names if "searches_too_slow" in name]
    assert "the worst of two databases" in of_symptom


def test_what_an_alert_does_for_one_deployment_is_asked_whatever_it_does_for_others(
    compiled: Callable[..., Compiled],
) -> None:
    compiled(**OPEN)
    name = "MilvusDown: a target of another job goes down, beside other deployments"
    (test,) = (test for test in read_tests()["tests"] if name in test["name"])
    fires: dict[tuple[str, str], list[bool]] = {}
    for check in test["promql_expr_test"]:
        labels = dict(re.findall(r'(\w+)="([^"]*)"', check["expr"]))
        if labels.get("alertname") == "MilvusDown":
            fires.setdefault((labels["namespace"], labels["release"]), []).append(bool(check["exp_samples"]))
    assert not any(fires.pop(("search-a", "some-release")))
    assert fires.keys() == {("search-b", "some-release"), ("search-a", "another-release")}
    assert all(map(any, fires.values()))


def test_rules_of_a_single_deployment_are_tested_without_others(compiled: Callable[..., Compiled]) -> None:
    compiled(selector="{cluster: eu, namespace: vectors}")
    assert all("beside other deployments" not in test["name"] for test in read_tests()["tests"])
    assert all(len(of_deployments(test)) <= 1 for test in read_tests()["tests"])


def test_of_deployments_that_are_named_each_is_missed(compiled: Callable[..., Compiled]) -> None:
    compiled(selector="{cluster: eu, namespace: [search-a, search-b, batch]}")
    missed = {
        frozenset(alert["exp_labels"]["namespace"] for alert in check["exp_alerts"])
        for test in read_tests()["tests"]
        for check in test.get("alert_rule_test", ())
        if check["alertname"] == "MilvusMetricsAbsent"
    }
    assert missed == {frozenset(), frozenset({"search-a"}), frozenset({"search-b", "batch"})}


@pytest.mark.parametrize(
    ("settings", "step"),
    [
        ({}, "1m"),
        ({"window": "4s", "scrape_interval": "1s", "evaluation_interval": "1s"}, "1m"),
        ({"window": "1d"}, "30m"),
    ],
)
def test_fors_are_several_steps_long_but_stories_not_too_many(
    settings: dict[str, str], step: str, compiled: Callable[..., Compiled]
) -> None:
    compiled(**settings)
    assert read_tests()["evaluation_interval"] == step


@pytest.mark.parametrize(
    ("settings", "label"),
    [({}, "instance"), ({"selector": "{instance: h}"}, "pod"), ({"identity": "[instance]"}, "pod")],
)
def test_a_second_target_is_still_of_the_same_deployment(
    settings: dict[str, str], label: str, compiled: Callable[..., Compiled]
) -> None:
    compiled(**settings)
    names = {series["series"] for test in read_tests()["tests"] for series in test.get("input_series", ())}
    assert any(name.startswith("up{") and f'{label}="second"' in name for name in names)


def test_for_is_written_and_proven_as_it_takes_effect(compiled: Callable[..., Compiled]) -> None:
    rules = compiled(alerts="{MilvusDown: {for: 7s, keep_firing_for: 31s}}")
    assert (rules.named("MilvusDown")["for"], rules.named("MilvusDown")["keep_firing_for"]) == ("30s", "1m")
    assert "takes effect as 30s" in rules.run.output


def test_tests_do_not_multiply_with_scopes(compiled: Callable[..., Compiled]) -> None:
    compiled(milvus='"2.5.4"')
    one = len(read_tests()["tests"])
    names = ", ".join(f"c{number}: {{thresholds: {{slow: {600 + number}ms}}}}" for number in range(10))
    compiled(milvus='"2.5.4"', collections=f"{{{names}}}")
    assert len(read_tests()["tests"]) < 1.5 * one


@pytest.mark.e2e
@pytest.mark.parametrize("window", ["2m", "10m", "3h"])
def test_promtool_proves_rules_of_other_windows(
    window: str, compiled: Callable[..., Compiled], thresher: Thresher
) -> None:
    compiled(milvus='"2.4.6"', window=window, scrape_interval="10s", evaluation_interval="15s")
    run = thresher("test", "--coverage")
    assert run.exit_code == 0, run.stdout


def test_counters_never_seem_to_fall() -> None:
    for milvus in ("2.3.5", "2.6.19"):
        for test in promtests.suites(default_rules(milvus))[0].tests:
            for case in test:
                for series, values in case.series:
                    name = series.partition("{")[0]
                    metric = catalog.release(milvus).metric(name)
                    if name != "up" and ":" not in name and not (metric and metric.type == "gauge"):
                        samples = expanded(values)
                        present = [sample for sample in samples if sample is not None]
                        assert present == sorted(present), series


def expanded(values: str) -> list[float | None]:
    samples: list[float | None] = []
    for part in values.split():
        if part == "stale":
            samples.append(None)
        elif part.startswith("_x"):
            samples += [None] * int(part[2:])
        else:
            start, gain, count = re.fullmatch(r"([\d.]+)(?:\+([\d.]+))?x(\d+)", part).groups()  # type: ignore[union-attr]
            samples += [float(start) + float(gain or 0) * index for index in range(int(count) + 1)]
    return samples


@pytest.mark.e2e
@pytest.mark.parametrize("name", sorted(path.parent.name for path in EXAMPLES.glob("out/*/tests")))
def test_promtool_proves_the_examples(
    name: str, promtool: str, thresher: Thresher, monkeypatch: pytest.MonkeyPatch
) -> None:
    if (ROOT / ".tools/matrix/ready").exists():
        pytest.skip("tests/test_every_tool.py does it with three of them")
    monkeypatch.setenv("PROMTOOL", promtool)
    run = thresher("test", EXAMPLES / "out" / name)
    assert run.exit_code == 0, run.stdout
