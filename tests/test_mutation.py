"""Mutants are rules that parse, differ from the original in one thing, and come in every kind that people get wrong."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml

from generator import proof
from generator.mutation import Mutant, mutants
from generator.promtool import test_files as promtool_files
from generator.proof import Verdict
from tests.conftest import EXAMPLES, Compiled, Thresher

BOUNDS = (32.0, 64.0, 128.0, 256.0, 1024.0)


def whats(**rule: Any) -> set[str]:
    return {mutant.what for mutant in mutants(rule, BOUNDS)}


def exprs(expr: str) -> dict[str, str]:
    return {mutant.what: mutant.rule["expr"] for mutant in mutants({"record": "a:b:c", "expr": expr}, BOUNDS)}


@pytest.mark.parametrize(
    ("expr", "what", "mutated"),
    [
        ("x > 0.99", "0.99 becomes 0.989", "x > 0.989"),
        ("x > 0.99", "0.99 becomes 0.991", "x > 0.991"),
        ("x >= 3", "3 becomes 2", "x >= 2"),
        ("x > 20", "`>` turned in `x > 20`", "x < 20"),
        ("y / (x > 0)", "guard `> 0` dropped", "y / (x)"),
        ("x and on (a, b) y", "`and y` dropped", "x"),
        ("x unless on (a, b) y", "`unless y` dropped", "x"),
        ("x or y", "`x or` dropped", "y"),
        ("x and on (a, b) y", "`b` dropped from on() of `and`", "x and on (a) y"),
        ("sum by (a, b) (x)", "`b` dropped from sum by", "sum by (a) (x)"),
        ("sum by (a) (x)", "`instance` added to sum by", "sum by (a, instance) (x)"),
        ("sum by (a) (x)", "sum becomes max", "max by (a) (x)"),
        ("rate(x[5m])", "rate becomes increase", "increase(x[5m])"),
        ("rate(x[5m])", "[5m] of x halved", "rate(x[2m30s])"),
        ("rate(x[5m] offset 1h)", "`offset 1h` of x doubled", "rate(x[5m] offset 2h)"),
        ("rate(x[5m] offset 1h)", "[5m] of x doubled", "rate(x[10m] offset 1h)"),
        ('x{a="b",c!="d"}', 'a="b" of x dropped', 'x{c!="d"}'),
        ('x{a="b",c!="d"}', 'c!="d" of x negated', 'x{a="b", c="d"}'),
        (r'x{le=~"128(\\.0)?"}', r'le=~"128(\\.0)?" of x becomes 64(\.0)?', r'x{le=~"64(\\.0)?"}'),
        (r'x{le=~"128(\\.0)?"}', r'le=~"128(\\.0)?" of x becomes 256(\.0)?', r'x{le=~"256(\\.0)?"}'),
        (r'x{le=~"128(\\.0)?"}', r'le=~"128(\\.0)?" of x without .0 only', r'x{le=~"128"}'),
        (r'x{le=~"128(\\.0)?"}', r'le=~"128(\\.0)?" of x with .0 only', r'x{le=~"128\\.0"}'),
        ("quantile_over_time(0.5, x[6h])", "quantile 0.5 becomes 0.55", "quantile_over_time(0.55, x[6h])"),
        ("x * y", "`*` becomes `/` in `x * y`", "x / y"),
    ],
)
def test_what_people_get_wrong_is_a_mutant(expr: str, what: str, mutated: str) -> None:
    assert exprs(expr)[what] == mutated


def test_timing_and_texts_of_an_alert_are_mutated_too() -> None:
    found = whats(
        alert="A", expr="x", **{"for": "5m"}, keep_firing_for="1m", labels={"severity": "info"}, annotations={"a": "b"}
    )
    assert found == {
        "`for` removed",
        "`for` doubled",
        "`keep_firing_for` removed",
        "`keep_firing_for` doubled",
        "label severity changed",
        "annotation a changed",
    }


def test_a_record_is_renamed() -> None:
    assert "record renamed" in whats(record="a:b:c", expr="x")


def test_every_mutant_of_the_examples_parses_and_is_another_rule() -> None:
    content = yaml.safe_load((EXAMPLES / "out/prod-search/rules/prod-search.rules.yaml").read_text("utf-8"))
    for group in content["groups"]:
        for rule in group["rules"]:
            own = str(promql_parser.parse(rule["expr"]))
            for mutant in mutants(rule, BOUNDS):
                changed = str(promql_parser.parse(mutant.rule["expr"])) != own
                assert changed or {**mutant.rule, "expr": ""} != {**rule, "expr": ""}, mutant.what


# The oldest and the newest generation of Milvus; `thresher test examples/out --mutate` does it for all.
MUTATED = ("legacy", "prod-search")
# Rules that look back at what was recorded: also at what other rules recorded, before the profile was changed.
REMEMBERING = (
    "MilvusSearchLatencySpike",
    "MilvusComponentMissing",
    "deployment:milvus_searches_over_tier:ratio_rate",
    "deployment:milvus_searches_judged:avg_rate",
)


@pytest.mark.e2e
@pytest.mark.parametrize("name", MUTATED)
def test_the_generated_tests_notice_every_mutant_that_is_not_the_same_rule(name: str, promtool: str) -> None:
    (suite,) = proof.load(promtool_files([EXAMPLES / "out" / name]))
    verdicts = [verdict for of_rule in proof.prove(promtool, suite) for verdict in of_rule]
    assert len(verdicts) > 1_000
    assert [each for each in verdicts if not each.killed and not each.equivalent] == []
    # What is proven to be the same is not noticed by any test: but by one that has series which no rule here records.
    same = [verdict for verdict in verdicts if verdict.equivalent and verdict.killed]
    same = [each for each in same if not each.rule.startswith(REMEMBERING)]
    assert [each for each in same if not each.what.startswith(("part=", "tier=", "scope=", "phase="))] == []


@pytest.mark.e2e
def test_no_deployment_answers_for_another_unnoticed(promtool: str, monkeypatch: pytest.MonkeyPatch) -> None:
    verdicts = _verdicts("`(cluster|namespace)` dropped", EXAMPLES / "out/fleet-2-6-20", promtool, monkeypatch)
    assert len(verdicts) > 200
    assert [each for each in verdicts if not each.killed and not each.equivalent] == []


@pytest.mark.e2e
@pytest.mark.parametrize(
    ("selector", "identity", "changed"),
    [
        (
            "{cluster: [a, b]}",
            "[cluster, namespace]",
            r'\w+="\w+" of (milvus|internal)_\w+ (dropped|negated)|\[5m\] of process_cpu\w+ halved',
        ),
        ("{job: milvus, namespace: a}", "[namespace]", r'job="milvus" of milvus_\w+ dropped'),
    ],
    ids=["a label of the identity is not in the selector", "a label of the selector is not in the identity"],
)
def test_what_only_one_matcher_keeps_away_is_noticed(
    selector: str,
    identity: str,
    changed: str,
    promtool: str,
    monkeypatch: pytest.MonkeyPatch,
    compiled: Callable[..., Compiled],
) -> None:
    compiled(selector=selector, identity=identity, cpus="8")
    verdicts = _verdicts(f"^({changed})$", Path("out"), promtool, monkeypatch)
    assert len(verdicts) > 20
    assert [each for each in verdicts if not each.killed and not each.equivalent] == []


@pytest.mark.e2e
def test_no_database_answers_for_another_unnoticed(
    promtool: str, monkeypatch: pytest.MonkeyPatch, compiled: Callable[..., Compiled]
) -> None:
    compiled(milvus='"2.5.4"', snap="interpolate", collections="{products: {thresholds: {slow: 500ms}}}")
    verdicts = _verdicts("`db_name` dropped", Path("out"), promtool, monkeypatch)
    assert len(verdicts) > 20
    assert [each for each in verdicts if not each.killed and not each.equivalent] == []


def _verdicts(what: str, folder: Path, promtool: str, monkeypatch: pytest.MonkeyPatch) -> list[Verdict]:
    """The verdicts on those mutants of the rules in a folder that a pattern describes."""

    def described(rule: Mapping[str, Any], bounds: tuple[float, ...]) -> Iterator[Mutant]:
        return (mutant for mutant in mutants(rule, bounds) if re.search(what, mutant.what))

    monkeypatch.setattr(proof, "mutants", described)
    (suite,) = proof.load(promtool_files([folder]))
    return [verdict for of_rule in proof.prove(promtool, suite) for verdict in of_rule]


@pytest.mark.e2e
@pytest.mark.usefixtures("promtool")
def test_mutants_that_survive_are_named(compiled: Callable[..., Compiled], thresher: Thresher) -> None:
    # The address of a runbook holds the name of its alert.
    compiled(milvus='"2.3.5"', runbook_base_url="https://runbooks.example.com")
    rules, tests = (Path("out/profile", part) for part in ("rules/profile.rules.yaml", "tests/profile.tests.yaml"))
    content = yaml.safe_load(rules.read_text("utf-8"))
    outage = next(group for group in content["groups"] if group["name"] == "profile.outage")
    outage["rules"] = [rule for rule in outage["rules"] if "Quota" in rule.get("alert", "")]
    rules.write_text(yaml.safe_dump({"groups": [outage]}), "utf-8")
    content = yaml.safe_load(tests.read_text("utf-8"))
    kept = next(test for test in content["tests"] if "a state becomes active" in test["name"])
    checks = [check for check in kept["alert_rule_test"] if "Quota" in check["alertname"]]
    kept = {**kept, "alert_rule_test": checks, "promql_expr_test": []}
    tests.write_text(yaml.safe_dump({**content, "group_eval_order": ["profile.outage"], "tests": [kept]}), "utf-8")
    run = thresher("test", tests, "--mutate")
    assert run.exit_code == 1
    assert "survives: MilvusQuotaExceeded: `for` removed" in run.stdout
    assert "survives: MilvusQuotaExceeded: guard `> 0` dropped" not in run.stdout
    assert "the same: MilvusQuotaExceeded: group becomes count: nobody sees its value" in run.stdout
