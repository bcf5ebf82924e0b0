"""The same rules for every platform: nothing is lost or changed on the way, and no platform gets what it refuses."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from generator import conventions, promtool
from generator.platforms import DASHBOARD_FORMATS, PLATFORMS
from generator.profile import Target
from generator.targets.lowering import split
from generator.units import Duration
from tests.conftest import ROOT, Thresher
from tests.kubernetes import RESOURCES

EXPECTED = Path(__file__).parent / "expected/targets"
SETTINGS = {
    "prometheus": '{platform: prometheus, server: "2.53", query_offset: 1m}',
    "prometheus-operator": "{platform: prometheus-operator, labels: {release: kps}, namespace: monitoring}",
    "mimir": "{platform: mimir, source_tenants: [vectors, platform]}",
    "thanos": "{platform: thanos, partial_response: warn}",
    "victoriametrics": "victoriametrics",
    "victoriametrics-operator": "{platform: victoriametrics-operator, namespace: monitoring}",
}
TWO_COLLECTIONS = "{products: {thresholds: {slow: 500ms}}, exports: {thresholds: {investigate: 300ms}}}"
Build = Callable[..., Path]


@pytest.fixture
def build(write: Callable[..., Path], thresher: Thresher) -> Build:
    """Builds a profile with these settings for a platform; yields the directory with its files."""

    def build(**settings: str) -> Path:
        path = write("shop.yaml", **settings)
        run = thresher("build", path, "--out", "out")
        assert run.exit_code == 0, run.output
        return Path("out/shop")

    return build


def rule_files(built: Path) -> list[Path]:
    return sorted((built / "rules").iterdir())


def groups(built: Path) -> list[dict[str, Any]]:
    """The groups of all rule files, as they are written."""
    found = [promtool.read(path) for path in rule_files(built)]
    return [group for content in found for group in content.get("spec", content)["groups"]]


def rules(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [rule for group in found for rule in group["rules"]]


def notes(built: Path) -> str:
    return "\n".join(json.loads((built / "MANIFEST.json").read_text("utf-8")).get("notes", ()))


def outline(path: Path) -> Iterator[str]:
    """The file without what is in its rules."""
    rule = re.compile(r" *- (record|alert): ")
    inside = 0
    for line in path.read_text("utf-8").splitlines():
        indent = len(line) - len(line.lstrip())
        if rule.match(line):
            inside = indent
            yield line
        elif not inside or indent < inside:
            inside = 0
            yield line.split(" (sha256")[0]


def test_the_platforms_of_the_table_are_those_of_the_schema_and_of_the_documentation(thresher: Thresher) -> None:
    schema = json.loads(thresher("schema").stdout)
    assert schema["$defs"]["platform"]["enum"] == list(PLATFORMS) == list(SETTINGS)
    assert schema["$defs"]["dashboardFormat"]["enum"] == list(DASHBOARD_FORMATS)
    told = (ROOT / "docs/targets.md").read_text("utf-8")
    assert re.findall(r"^\| `([a-z-]+)` \|", told, re.MULTILINE) == list(PLATFORMS)
    for setting, rows in (("target", PLATFORMS.values()), ("dashboards", DASHBOARD_FORMATS.values())):
        known = set(schema["properties"][setting]["properties"]) - {"platform", "format"}
        assert known == {option for row in rows for option in row.options}


@pytest.mark.parametrize("platform", PLATFORMS)
def test_files_are_what_the_platform_takes(platform: str, build: Build, expected: Callable[[Path, str], None]) -> None:
    built = build(target=SETTINGS[platform], collections=TWO_COLLECTIONS)
    files = sorted([*rule_files(built), *built.glob("kustomization.yaml")])
    text = "\n".join(f"--- {path.relative_to(built)}\n" + "\n".join(outline(path)) for path in files)
    expected(EXPECTED / f"{platform}.txt", f"{text}\n--- notes\n{notes(built)}\n")


@pytest.mark.parametrize("platform", PLATFORMS)
def test_no_rule_is_lost_or_changed(platform: str, build: Build) -> None:
    def told(built: Path) -> list[str]:
        plain = [group for path in rule_files(built) for group in promtool.groups(path)]
        return sorted(json.dumps(rule, sort_keys=True) for rule in rules(plain))

    usual = told(build(collections=TWO_COLLECTIONS))
    assert told(build(target=SETTINGS[platform], collections=TWO_COLLECTIONS)) == usual


@pytest.mark.parametrize("platform", ["prometheus-operator", "victoriametrics-operator"])
def test_resources_are_what_the_operators_define(platform: str, build: Build) -> None:
    built = build(target=SETTINGS[platform], dashboards="{format: grafana-operator, labels: {dashboards: main}}")
    resources = [promtool.read(path) for path in [*rule_files(built), *(built / "dashboards").iterdir()]]
    assert len({resource["metadata"]["name"] for resource in resources}) == len(resources) == 3
    for resource in resources:
        jsonschema.validate(resource, RESOURCES[resource["apiVersion"], resource["kind"]])


def reading(rule: dict[str, Any], records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Which of the recording rules the rule may read, by the series and the labels that it names."""
    found = []
    for record in records:
        for selector in re.findall(rf"(?<![\w:]){record['record']}\{{(.*?)\}}", rule["expr"]):
            matchers = re.findall(r'(\w+)(!?=)"([^"]*)"', selector)
            own = record["labels"]
            if all((own[label] == text) == (operator == "=") for label, operator, text in matchers if label in own):
                found.append(record)
    return found


COLLECTIONS = "{" + ", ".join(f"c{n}: {{thresholds: {{slow: {700 + n}ms}}}}" for n in range(60)) + "}"


def test_mimir_gets_groups_of_20_rules_and_what_is_read_comes_no_later_than_its_reader(build: Build) -> None:
    built = build(target="{platform: mimir, max_groups: 200}", collections=TWO_COLLECTIONS)
    written, said = groups(built), notes(built)
    assert max(len(group["rules"]) for group in written) <= 20
    assert any(len(group["rules"]) > 20 for group in groups(build(collections=TWO_COLLECTIONS)))
    seen: list[dict[str, Any]] = []
    for rule in rules(written):
        topic = [each for each in rules(written) if "record" in each]
        assert all(record in seen for record in reading(rule, topic)), rule
        seen.append(rule)
    # Every series that is read in another part of its group is named, and only the raw material is.
    home = {id(rule): group["name"] for group in written for rule in group["rules"]}
    parts = [group for group in written if group["name"].startswith("shop.latency")]
    late = {
        record["record"]
        for group in parts
        for rule in group["rules"]
        for record in reading(rule, [each for each in rules(parts) if "record" in each])
        if home[id(record)] != group["name"]
    }
    assert late == set(re.findall(r"sees? (\S+) up to one evaluation \(30s\) late", said))
    assert late <= {
        "deployment_node:milvus_search_latency_milliseconds_bucket:rate5m",
        "collection_node:milvus_search_latency_milliseconds_bucket:rate5m",
    }


def test_a_tenant_with_higher_limits_gets_whole_groups(build: Build) -> None:
    built = build(target="{platform: mimir, max_rules_per_group: 100}", collections=TWO_COLLECTIONS)
    assert [group["name"] for group in groups(built)] == [
        group["name"] for group in groups(build(collections=TWO_COLLECTIONS))
    ]
    assert not notes(built)


def test_profiles_that_are_too_many_groups_for_one_tenant_are_warned_of(
    write: Callable[..., Path], thresher: Thresher
) -> None:
    files = [write(f"p{n}.yaml", selector=f"{{namespace: p{n}}}", target="mimir") for n in range(8)]
    run = thresher("build", *files[:7], "--out", "out", "--quiet")
    assert run.stderr == ""
    run = thresher("build", *files, "--out", "out", "--quiet")
    assert run.exit_code == 0
    assert run.stderr.startswith(
        "all profiles: warning: target: 80 groups in all for mimir, and a tenant may have 70; load them into several"
    )


def test_vmalert_evaluates_what_is_read_at_least_5_seconds_before_its_reader(build: Build) -> None:
    written = groups(build(target="victoriametrics", collections=TWO_COLLECTIONS))
    assert not any("query_offset" in group for group in written)
    records = [rule for rule in rules(written) if "record" in rule]
    layer: dict[int, int] = {}  # of each record
    for group in written:
        assert len({"record" in rule for rule in group["rules"]}) == 1, "records and alerts are apart"
        read = [layer[id(record)] for rule in group["rules"] for record in reading(rule, records)]
        own = max(read, default=-1) + 1
        if "record" in group["rules"][0]:
            layer |= {id(rule): own for rule in group["rules"]}
            assert group["name"].endswith(f".records{own}")
        # The round lasts 30 s: what is in the sixth layer follows in the next round.
        assert Duration.parse(group["eval_offset"]).seconds == 5 * own % Duration.parse(group["interval"]).seconds


def test_rules_that_do_not_fit_into_one_resource_are_spread_over_several(build: Build) -> None:
    built = build(target=SETTINGS["prometheus-operator"], collections=COLLECTIONS)
    files = rule_files(built)
    assert len(files) > 1
    assert [path.name for path in files] == [
        conventions.rules_file("shop", n).name for n in (2, 3)[: len(files) - 1]
    ] + ["shop.rules.yaml"]
    for path in files:
        assert path.stat().st_size < 512 * 1024
        # What the operator makes of it for Prometheus is written with other quotes and indentation.
        spec = promtool.read(path)["spec"]
        for style in (None, '"'):
            assert len(yaml.dump(spec, Dumper=yaml.CSafeDumper, default_style=style, width=1_000_000)) < 512 * 1024
    tested = promtool.read(built / "tests/shop.tests.yaml")
    assert sorted(path.resolve() for path in promtool.rule_files(built / "tests/shop.tests.yaml", tested)) == [
        path.resolve() for path in files
    ]
    assert tested["group_eval_order"][0] == "shop.latency"


def test_a_target_on_the_command_line_keeps_the_settings_that_it_knows_and_names_the_others(
    write: Callable[..., Path], thresher: Thresher
) -> None:
    path = write("shop.yaml", target="{platform: prometheus-operator, labels: {a: b}, partial_response: warn}")
    run = thresher("build", path, "--out", "out", "--target", "thanos", "--quiet")
    assert run.stderr == "shop.yaml:5:41: note: target.labels: not used: thanos has no such setting\n"
    assert {group["partial_response_strategy"] for group in groups(Path("out/shop"))} == {"warn"}
    wrong = thresher("build", path, "--target", "promethius")
    assert wrong.exit_code == 2
    assert "'promethius' is not one of 'prometheus', 'prometheus-operator'" in wrong.stderr


def test_a_base_says_the_platform_and_the_profile_its_labels(write: Callable[..., Path], thresher: Thresher) -> None:
    write("base.yaml", "version: 1\nbase: true\ntarget: {platform: prometheus-operator}\n")
    path = write("shop.yaml", extends="base.yaml", target="{labels: {release: kps}}")
    assert thresher("build", path, "base.yaml", "--out", "out").exit_code == 0
    assert promtool.read(Path("out/shop/rules/shop.rules.yaml"))["metadata"]["labels"] == {"release": "kps"}


def test_dashboards_in_resources_are_the_same_as_in_files(build: Build) -> None:
    plain = {path.name: path.read_bytes() for path in (build() / "dashboards").iterdir()}
    found: dict[str, bytes] = {}
    for path in (build(dashboards='{format: configmap, folder: "A: b"}') / "dashboards").iterdir():
        resource = promtool.read(path)
        assert resource["metadata"]["labels"] == {"grafana_dashboard": "1"}
        assert resource["metadata"]["annotations"] == {"grafana_folder": "A: b"}
        found |= {name: text.encode() for name, text in resource["data"].items()}
    assert found == plain
    built = build(dashboards="{format: grafana-operator, labels: {a: b}, folder: Milvus}")
    resources = [promtool.read(path)["spec"] for path in (built / "dashboards").iterdir()]
    assert sorted(spec["json"].encode() for spec in resources) == sorted(plain.values())
    assert {spec["folder"] for spec in resources} == {"Milvus"}


def test_the_kustomization_names_every_resource_and_nothing_else(build: Build) -> None:
    built = build(target=SETTINGS["prometheus-operator"], dashboards="configmap")
    named = promtool.read(built / "kustomization.yaml")["resources"]
    assert named == ["dashboards/shop.diagnosis.yaml", "dashboards/shop.latency.yaml", "rules/shop.rules.yaml"]
    assert not (build() / "kustomization.yaml").exists()
    if shutil.which("kubectl"):
        built = build(target=SETTINGS["prometheus-operator"], dashboards="configmap")
        done = subprocess.run(["kubectl", "kustomize", built], capture_output=True, text=True, check=True)
        assert sorted(each["kind"] for each in yaml.safe_load_all(done.stdout)) == [
            "ConfigMap",
            "ConfigMap",
            "PrometheusRule",
        ]


def test_a_fleet_has_its_overview_in_the_same_form(write: Callable[..., Path], thresher: Thresher) -> None:
    deployments = "[{selector: {namespace: a}}, {selector: {namespace: b}}]"
    path = write("fleet.yaml", selector="", deployments=deployments, dashboards="configmap", target="mimir")
    assert thresher("build", path, "--out", "out").exit_code == 0
    assert promtool.read(Path("out/fleet/dashboards/fleet.fleet.yaml"))["kind"] == "ConfigMap"
    assert promtool.read(Path("out/fleet/kustomization.yaml"))["resources"] == ["dashboards/fleet.fleet.yaml"]


def test_prometheus_is_what_is_built_without_a_target(build: Build) -> None:
    usual = (build() / "rules/shop.rules.yaml").read_text("utf-8")
    named = (build(target="prometheus") / "rules/shop.rules.yaml").read_text("utf-8")
    assert named.splitlines()[1:] == usual.splitlines()[1:]
    assert Target() == Target(platform=PLATFORMS["prometheus"])


class _Rule:
    """A rule of which only its number counts."""

    is_alert = False
    labels = ()

    def __init__(self, name: str, *reads: str) -> None:
        self.name, self.records = name, frozenset(reads)
        self.expr = " + ".join(reads) or "1"

    def __repr__(self) -> str:
        return self.name


@pytest.mark.parametrize(
    ("reads", "parts"),
    [
        ({"a": "", "b": "a", "c": "", "d": "c"}, ["ab", "cd"]),
        ({"a": "", "b": "a", "c": "b"}, ["a", "bc"]),
        ({"a": "", "b": "a", "c": "a", "d": "b", "e": "c"}, ["a", "bd", "ce"]),
        ({"a": "", "b": "", "c": "", "d": "", "e": ""}, ["ab", "cd", "e"]),
        ({"a": "", "b": "a", "c": "b", "d": "c", "e": "d"}, ["ab", "c", "de"]),
    ],
    ids=["chains stay whole", "a chain that is too long", "one source", "no chains", "a long chain"],
)
def test_splitting_keeps_chains_together_and_in_order(reads: dict[str, str], parts: list[str]) -> None:
    made: Any = [_Rule(f"l:{name}:o", *[f"l:{each}:o" for each in read]) for name, read in reads.items()]
    found = split(made, lambda _: 1, 2)
    assert sorted("".join(rule.name[2] for rule in part) for part in found) == sorted(parts)
    order = [rule.name[2] for part in found for rule in part]
    assert all(order.index(read) < order.index(name) for name, all_read in reads.items() for read in all_read)
