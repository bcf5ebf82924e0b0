"""What tests prove of their rules is read off the files: whatever is taken away from them shows, by name."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from generator import catalog, templates
from generator.build import default_rules
from generator.conventions import without_level
from generator.coverage import KINDS, Item, coverage
from generator.promtests import suites
from generator.units import Duration
from tests.conftest import EXAMPLES, Compiled, Thresher

TESTS = Path("out/profile/tests/profile.tests.yaml")
RULES = Path("out/profile/rules/profile.rules.yaml")
MANIFEST = Path("out/profile/MANIFEST.json")

# What rules can know of releases changed between these.
LINES = ("2.3.0", "2.4.4", "2.4.6", "2.5.0", "2.6.0", "2.6.19", "3.0.0")

Tests = list[dict[str, Any]]


def unproven(failed: tuple[int, ...] = ()) -> dict[str, tuple[str, ...]]:
    """What is missing in the compiled profile, by what it is missing of."""
    return {f"{each.kind}: {each.name}": each.missing for each in items(failed) if each.missing}


def items(failed: tuple[int, ...] = (), folder: Path = TESTS.parent) -> tuple[Item, ...]:
    """What the tests in the folder prove, but for those that failed."""
    return coverage(dict.fromkeys(sorted(folder.iterdir(), reverse=True), failed))


def edit(change: Callable[[Tests], Tests]) -> None:
    """Changes the tests in the test file."""
    for file in TESTS.parent.iterdir():
        content = yaml.safe_load(file.read_text("utf-8"))
        file.write_text(yaml.safe_dump({**content, "tests": change(content["tests"])}), "utf-8")


def of_rule(missing: dict[str, tuple[str, ...]], rule: str) -> tuple[str, ...]:
    return missing.get(f"rules: {rule}", ())


@pytest.mark.parametrize("example", sorted(path.parent.name for path in EXAMPLES.glob("out/*/tests")))
def test_the_examples_are_proven_in_full(example: str) -> None:
    found = items(folder=EXAMPLES / "out" / example / "tests")
    assert {each.kind for each in found} == set(KINDS)
    assert [each for each in found if each.missing] == []


@pytest.mark.parametrize("milvus", LINES)
@pytest.mark.parametrize("snap", ["nearest", "interpolate"])
def test_every_release_line_is_proven_in_full(milvus: str, snap: str, compiled: Callable[..., Compiled]) -> None:
    compiled(milvus=f'"{milvus}"', snap=snap)
    assert unproven() == {}
    assert [each.name for each in items() if each.kind == "releases"] == [milvus]


def test_the_release_lines_are_all_there_are() -> None:
    assert {milvus.rpartition(".")[0] for milvus in LINES} == set(catalog.branches())


def test_every_scenario_of_the_templates_is_played_in_some_release_line() -> None:
    declared = {
        (rule.name, scenario["name"])
        for topic in templates.load().topics
        for rule in topic.rules
        for variant in rule.variants
        for scenario in variant.scenarios.skeleton
    }
    played = set()
    everything = "cpus: 8\ndisk: {exporter: cadvisor, selector: {id: /}}\nobjectives: [{tier: slow, ratio: 99.9%}]"
    of_a_collection = "collections: {products: {thresholds: {slow: 500ms}}}"
    several = "{namespace: [search-a, search-b]}"
    rule_sets = [
        *(default_rules(milvus, everything) for milvus in LINES),
        default_rules("2.4.23", of_a_collection),
        default_rules("2.6.19", f"{everything}\nsnap: interpolate", several),
        default_rules("2.6.19", "identity: [namespace, release]"),
    ]
    for rule_set in rule_sets:
        names = [case.name.partition(": ") for each in suites(rule_set) for test in each.tests for case in test]
        cases = {(without_level(rule), name.partition(" (`le`")[0]) for rule, _, name in names}
        for rule in rule_set.rules:
            own = {scenario["name"] for scenario in rule.scenarios}
            played |= {(rule.template.name, name) for name in own if (without_level(rule.name), name) in cases}
    assert declared - played == set()


def keep(wanted: Callable[[dict[str, Any]], bool], *kinds: str) -> Callable[[Tests], Tests]:
    """Keeps only some of what tests ask."""

    def change(tests: Tests) -> Tests:
        return [
            {**test, **{kind: [each for each in test.get(kind, ()) if wanted(each)] for kind in kinds}}
            for test in tests
        ]

    return change


def fed(wanted: Callable[[str], bool]) -> Callable[[Tests], Tests]:
    """Keeps only some of the series that tests feed."""
    return keep(lambda series: wanted(series["series"]), "input_series")


def test_an_alert_that_nobody_asks_for_is_not_proven(compiled: Callable[..., Compiled]) -> None:
    compiled()
    edit(keep(lambda check: check["alertname"] != "MilvusDown", "alert_rule_test"))
    assert unproven() == {
        "rules: MilvusDown": (
            "no test sees it fire",
            "no test sees it silent beside data",
            "no test sees it resolve",
            "no test sees it silent without data",
        )
    }


@pytest.mark.parametrize(
    ("wanted", "missing"),
    [
        (lambda check: not check["exp_alerts"], ("no test sees it fire", "no test sees it resolve")),
        (
            lambda check: check["exp_alerts"],
            ("no test sees it silent beside data", "no test sees it resolve", "no test sees it silent without data"),
        ),
    ],
    ids=["never asked to fire", "never asked to be silent"],
)
def test_an_alert_must_be_seen_firing_and_silent(
    wanted: Callable[[dict[str, Any]], bool], missing: tuple[str, ...], compiled: Callable[..., Compiled]
) -> None:
    compiled()
    edit(keep(lambda check: check["alertname"] != "MilvusQuotaExceeded" or wanted(check), "alert_rule_test"))
    assert of_rule(unproven(), "MilvusQuotaExceeded") == missing


def test_an_alert_must_be_seen_to_resolve(compiled: Callable[..., Compiled]) -> None:
    compiled()

    def change(tests: Tests) -> Tests:
        for test in tests:
            checks = test.get("alert_rule_test", [])
            fired = {check["alertname"]: minutes(check) for check in checks if check["exp_alerts"]}
            wanted = [each for each in checks if minutes(each) <= fired.get(each["alertname"], 1e9)]
            test["alert_rule_test"] = wanted
        return tests

    edit(change)
    missing = unproven()
    assert of_rule(missing, "MilvusDown") == of_rule(missing, "MilvusQuotaExceeded") == ("no test sees it resolve",)
    assert not any(name.startswith(("scenarios", "releases", "le")) for name in missing)


def minutes(check: dict[str, Any]) -> float:
    return float(Duration.parse(check["eval_time"]).seconds / 60)


def test_silence_before_there_is_any_data_proves_nothing_of_data(compiled: Callable[..., Compiled]) -> None:
    compiled()

    def change(tests: Tests) -> Tests:
        for series in (
            each for test in tests for each in test.get("input_series", ()) if "quota_states" in each["series"]
        ):
            series["values"] = f"_x1 {series['values']}"
        return tests

    edit(change)
    assert of_rule(unproven(), "MilvusQuotaExceeded") == ("no test sees it silent beside data",)


def test_the_alert_that_fires_without_data_need_not_be_silent_then(compiled: Callable[..., Compiled]) -> None:
    compiled()
    assert json.loads(MANIFEST.read_text("utf-8"))["fire_without_data"] == ["MilvusMetricsAbsent"]
    assert unproven() == {}


@pytest.mark.parametrize("change", ["not asked", "asked to be nothing", "asked for another tier"])
def test_a_recorded_series_that_no_test_reads_is_not_proven(change: str, compiled: Callable[..., Compiled]) -> None:
    compiled()
    name = 'deployment:milvus_searches_judged:rate5m{tier="slow"}'

    def read(check: dict[str, Any]) -> bool:
        return "milvus_searches_judged" in check["expr"] and 'tier="slow"' in check["expr"]

    def of_test(tests: Tests) -> Tests:
        for check in (each for test in tests for each in test.get("promql_expr_test", ()) if read(each)):
            if change == "asked to be nothing":
                check["exp_samples"] = []
            else:
                check["expr"] = check["expr"].replace('tier="slow"', 'tier="healthy"')
        return tests

    edit(keep(lambda check: not read(check), "promql_expr_test") if change == "not asked" else of_test)
    assert unproven() == {f"rules: {name}": ("no test reads it",)}


def test_a_rule_that_somebody_adds_is_not_proven(compiled: Callable[..., Compiled]) -> None:
    compiled()
    added = "      - alert: MilvusNew\n        expr: up == 0\n        labels:\n          severity: info\n"
    RULES.write_text(RULES.read_text("utf-8") + added, "utf-8")
    assert "no test sees it fire" in of_rule(unproven(), "MilvusNew")


@pytest.mark.parametrize(("spelling", "other"), [(r"\d+\.0", r"\d+"), (r"\d+", r"\d+\.0")])
def test_one_spelling_of_a_bucket_is_not_enough(spelling: str, other: str, compiled: Callable[..., Compiled]) -> None:
    compiled()
    edit(fed(lambda series: not re.search(f'le="{spelling}"', series)))
    missing = unproven()
    unfed = {re.sub(r".* at ", "", name) for name in missing if name.startswith("le spellings")}
    assert unfed
    assert all(re.fullmatch(f'le="{spelling}"', each) for each in unfed)
    every = {each.value for each in items() if each.kind == "le spellings"}
    assert {each[4:-1] for each in unfed} == {each for each in every if not re.fullmatch(other, each)}


def test_a_bucket_must_be_fed_where_the_rule_that_asks_for_it_is_seen(compiled: Callable[..., Compiled]) -> None:
    compiled()
    edit(lambda tests: [{**test, "promql_expr_test": [], "alert_rule_test": []} for test in tests])
    missing = [name for name in unproven() if name.startswith("le spellings")]
    assert len(missing) == sum(each.kind == "le spellings" for each in items())


def test_a_scenario_that_no_test_plays_is_named(compiled: Callable[..., Compiled]) -> None:
    scenario = f"MilvusRestartLoop: {compiled().manifest['scenarios']['MilvusRestartLoop'][0]}"

    def change(tests: Tests) -> Tests:
        return [{**test, "name": test["name"].replace(scenario, "MilvusRestartLoop: else")} for test in tests]

    edit(change)
    assert unproven() == {f"scenarios: {scenario}": ("no test plays it",)}


def test_scenarios_that_are_not_for_the_release_are_told_apart_from_those_that_nobody_plays(
    compiled: Callable[..., Compiled],
) -> None:
    manifest = compiled(milvus='"2.5.4"').manifest
    assert manifest["scenarios_left_out"]["milvus_searches_failed:rate5m"] == ["what clients cancelled is left out"]
    assert "requests that found no place in the queue" in manifest["scenarios"]["milvus_searches_failed:rate5m"]


@pytest.mark.parametrize(
    ("pattern", "with_", "says"),
    [
        (
            "^milvus_rootcoord_quota_states{",
            "milvus_no_such_metric{",
            "milvus_no_such_metric is fed, which Milvus 2.6.19 does not expose",
        ),
        (r"^(milvus_num_node{.*)role_name=", r"\1role=", "it lacks the label role_name"),
        ("^milvus_num_node{", 'milvus_num_node{db_name="x",', "it has the label db_name"),
        ('status="total"', 'status="all"', 'milvus_proxy_req_count is fed with status="all", a value'),
        ('le="1024"', 'le="1000"', 'le="1000", which is no bucket of Milvus 2.6.19'),
    ],
)
def test_series_that_the_release_does_not_expose_prove_nothing_for_it(
    pattern: str, with_: str, says: str, compiled: Callable[..., Compiled]
) -> None:
    compiled()

    def change(tests: Tests) -> Tests:
        for series in (each for test in tests for each in test.get("input_series", ())):
            series["series"] = re.sub(pattern, with_, series["series"])
        return tests

    edit(change)
    assert says in " ".join(unproven()["releases: 2.6.19"])


def test_a_metric_that_no_test_feeds_is_named(compiled: Callable[..., Compiled]) -> None:
    compiled()
    edit(fed(lambda series: not series.startswith("milvus_rootcoord_quota_states")))
    assert unproven()["releases: 2.6.19"] == ("no test feeds milvus_rootcoord_quota_states",)


def test_tests_made_for_another_release_prove_nothing_for_this_one(compiled: Callable[..., Compiled]) -> None:
    compiled(milvus='"2.5.4"')
    manifest = json.loads(MANIFEST.read_text("utf-8"))
    MANIFEST.write_text(json.dumps({**manifest, "milvus": "2.4.6"}), "utf-8")
    assert any("is no bucket of Milvus 2.4.6" in each for each in unproven()["releases: 2.4.6"])


def test_every_release_of_a_fleet_is_asked_for(write: Callable[..., Path], thresher: Thresher) -> None:
    fleet = """\
version: 1
name: fleet
deployments:
  - {milvus: "2.6.19", selector: {namespace: a}}
  - {milvus: "2.6.20", selector: {namespace: b}}
"""
    assert thresher("build", write("fleet.yaml", fleet)).exit_code == 0
    file = next(Path("out").glob("*/tests/*.yaml"))
    assert [each.name for each in items(folder=file.parent) if each.kind == "releases"] == ["2.6.20", "2.6.19"]


@pytest.mark.e2e
@pytest.mark.usefixtures("promtool")
@pytest.mark.parametrize(
    "settings",
    [
        {"selector": "{cluster: not-prod, namespace: not-}"},
        {"selector": "{cluster: [prod, not-prod]}"},
        {"collections": "{others: {thresholds: {slow: 500ms}}, others_: {thresholds: {slow: 2s}}}"},
        {"name": "another"},
        {"selector": "{job: [etcd, not-etcd]}"},
    ],
    ids=["what is not read", "what is not read, in a list", "other collections", "other profiles", "other jobs"],
)
def test_names_that_tests_use_for_what_is_not_of_the_profile_may_be_its_own(
    settings: dict[str, str], write: Callable[..., Path], thresher: Thresher
) -> None:
    assert thresher("build", write(milvus='"2.5.4"', **settings)).exit_code == 0
    run = thresher("test", "--coverage")
    assert run.exit_code == 0, run.output


def test_a_test_that_failed_proves_nothing(compiled: Callable[..., Compiled]) -> None:
    compiled()
    count = len(yaml.safe_load(TESTS.read_text("utf-8"))["tests"])
    assert unproven(failed=tuple(range(count))).keys() == {f"{each.kind}: {each.name}" for each in items()}


@pytest.mark.e2e
@pytest.mark.usefixtures("promtool")
def test_what_is_not_proven_is_printed_and_fails_the_run(thresher: Thresher, compiled: Callable[..., Compiled]) -> None:
    compiled()
    whole = thresher("test", "--coverage")
    assert whole.exit_code == 0, whole.output
    assert re.search(r"^  rules        (\d+) of \1$", whole.stdout, re.MULTILINE)
    assert "  releases     1 of 1: 2.6.19\n" in whole.stdout
    assert "32, 32.0, 128, 128.0" in whole.stdout
    edit(keep(lambda check: check["alertname"] != "MilvusDown" or check["exp_alerts"], "alert_rule_test"))
    assert thresher("test").exit_code == 0
    run = thresher("test", "--coverage")
    assert run.exit_code == 1
    first = TESTS.with_name("profile.long.tests.yaml")
    assert f"{first}: rules: MilvusDown: no test sees it resolve\n" in run.stdout
    report = json.loads(thresher("test", "--coverage", "--format", "json").stdout)
    assert {(each["file"], each["path"]) for each in report["findings"]} == {(str(first), "rules: MilvusDown")}
    rules = {each["name"]: each["missing"] for each in report["files"][0]["coverage"]["rules"]}
    assert "no test sees it resolve" in rules.pop("MilvusDown")
    assert not any(rules.values())


@pytest.mark.usefixtures("promtool")
@pytest.mark.parametrize("content", [None, "", "[]", '{"milvus": "9.9"}', '{"milvus": "2.6.19"}'])
def test_coverage_without_a_usable_manifest_says_what_to_do(
    content: str | None, thresher: Thresher, compiled: Callable[..., Compiled]
) -> None:
    compiled()
    MANIFEST.unlink()
    if content is not None:
        MANIFEST.write_text(content, "utf-8")
    run = thresher("test", "--coverage")
    assert run.exit_code == 2
    assert run.stderr.startswith(f"{MANIFEST}: coverage needs the manifest of a profile with its tests")
    assert "run `thresher build`" in run.stderr
