"""Running promtool: what it is green for although nothing was tested, and a promtool that is not there."""

from __future__ import annotations

import json
import os
import random
import shutil
import stat
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from generator import templates
from generator.profile.schema import threshold_kind
from tests.conftest import ROOT, Thresher

RULES = """\
groups:
  - name: a
    rules:
      - alert: Up
        expr: up == 0
        labels: {severity: info}
"""
TESTS = """\
rule_files: [../rules/a.yaml]
evaluation_interval: 1m
tests:
  - interval: 1m
    input_series: [{series: 'up{job="x"}', values: '0x5'}]
    alert_rule_test:
      - eval_time: 2m
        alertname: Up
        exp_alerts: [{exp_labels: {severity: info, job: x}}]
"""


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """A small tree of rules and tests, in the current directory."""
    monkeypatch.chdir(tmp_path)

    def make(rules: str = RULES, tests: str = TESTS) -> None:
        for name, text in (("rules/a.yaml", rules), ("tests/a.yaml", tests)):
            path = Path("out/p", name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")

    return make


@pytest.mark.usefixtures("promtool")
def test_sound_tests_pass(tree: Callable[..., None], thresher: Thresher) -> None:
    tree()
    run = thresher("test")
    assert run.exit_code == 0
    assert run.stdout.splitlines()[0].startswith("promtool, version ")
    assert run.stdout.splitlines()[-1] == "1 tests in 1 files: all passed"


@pytest.mark.usefixtures("promtool")
@pytest.mark.parametrize("folder", ["has-FAILED", "-o", "o\udcff", "[a]"])
def test_a_directory_may_have_any_name(folder: str, tree: Callable[..., None], thresher: Thresher) -> None:
    tree()
    Path("out").rename(folder)
    run = thresher("test", "--", folder, f"{folder}/p")
    assert run.exit_code == 0, run.output
    assert run.stdout.splitlines()[-1] == "1 tests in 1 files: all passed"
    Path(folder, "p/rules/a.yaml").write_text(RULES.replace("up == 0", "up == 1"), "utf-8")
    assert thresher("test", "--", folder).exit_code == 1


@pytest.mark.usefixtures("promtool")
@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("tests", "alertname: Up", "alertname: UP"), "UP is tested, but no rule has this name"),
        (
            ("tests", "exp_alerts: [{exp_labels: {severity: info, job: x}}]", "exp_alerts: []"),
            "Up is never seen firing",
        ),
        (("tests", "tests:\n", "tests: []\nx:\n"), "there is no test in it"),
        (("tests", "rules/a.yaml", "rules/b.yaml"), "rule_files names files that do not exist"),
        (
            ("tests", "rules/a.yaml", "rules/*.yaml, ../rules/b.yaml"),
            "rule_files names files that do not exist: ../rules/b",
        ),
        (("tests", "../rules/a.yaml", "/nowhere/a.yaml"), "rule_files names files that do not exist: /nowhere/a.yaml"),
        (("tests", "rule_files: [../rules/a.yaml]\n", ""), "it names no rule_files: is it a test file?"),
        (("tests", "rule_files:", "---\nrule_files:"), ""),
        (("tests", "tests:\n", "---\ntests:\n"), "must hold one YAML map"),
        (("tests", "alert_rule_test:\n", "alert_rule_test: 5\n    x:\n"), "cannot be read as a test file"),
        (("tests", "      - eval_time: 2m\n", "      - 5\n      - eval_time: 2m\n"), "cannot be read as a test file"),
        (("tests", "alertname: Up", "alertname: [Up]"), "cannot be read as a test file"),
        (("tests", "tests:\n", "tests: [5]\nx:\n"), "cannot be read as a test file"),
        (("tests", "tests:\n", "tests: 5\nx:\n"), "cannot be read as a test file"),
        (("rules", "groups:\n", "---\n"), "cannot be read as a test file with its rules"),
        (("rules", RULES, ""), "cannot be read as a test file with its rules"),
        (("rules", "groups:", "x: [\ngroups:"), "with its rules: out/p/tests/../rules/a.yaml is not YAML: while"),
        (("rules", "expr: up == 0", "expr: up =="), "parse error"),
        (("rules", "expr: up == 0", "expr: up == 1"), "FAILED"),
        (
            (
                "rules",
                "labels: {severity: info}",
                "labels: {severity: info}\n      - alert: Up\n        expr: up == 0\n        labels: {severity: info}",
            ),
            "duplicate rule",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_promtool_passes_over_is_caught(
    change: tuple[str, str, str], says: str, tree: Callable[..., None], thresher: Thresher
) -> None:
    which, old, new = change
    texts = {"rules": RULES, "tests": TESTS}
    assert old in texts[which]
    texts[which] = texts[which].replace(old, new)
    tree(**texts)
    run = thresher("test")
    assert run.exit_code == (1 if says else 0)
    assert says in run.stdout


@pytest.mark.usefixtures("promtool")
def test_findings_come_as_json_and_as_workflow_commands(tree: Callable[..., None], thresher: Thresher) -> None:
    tree(tests=TESTS.replace("alertname: Up", "alertname: UP"))
    assert '"file": "out/p/tests/a.yaml"' in thresher("test", "--format", "json").stdout
    assert thresher("test", "--format", "github").stdout.startswith("::error file=out/p/tests/a.yaml::UP is tested")


def test_a_tree_without_tests_is_an_error(tmp_path: Path, thresher: Thresher) -> None:
    run = thresher("test", tmp_path)
    assert run.exit_code == 2
    assert "no test file below it; run `thresher build` first, of a profile that wants tests" in run.stderr


def test_without_promtool_the_message_says_how_to_get_it(
    tree: Callable[..., None], thresher: Thresher, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    tree()
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("PROMTOOL", raising=False)
    run = thresher("test")
    assert run.exit_code == 3
    assert "apt-get install prometheus" in run.stderr
    assert "PROMTOOL" in run.stderr


@pytest.mark.parametrize(
    ("script", "says"),
    [
        ("#!/bin/sh\necho hello\n", "is no promtool: hello"),
        ("#!/bin/sh\nexit 1\n", "is no promtool: no output"),
        ("nonsense", "does not run"),
        (None, "no program that can be run"),
    ],
)
def test_a_promtool_that_is_none_is_named(
    script: str | None,
    says: str,
    tree: Callable[..., None],
    thresher: Thresher,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    tree()
    if script is not None:
        (tmp_path / "tool").write_text(script, "utf-8")
        os.chmod(tmp_path / "tool", stat.S_IRWXU)
    monkeypatch.setenv("PROMTOOL", str(tmp_path / "tool"))
    run = thresher("test")
    assert run.exit_code == 3
    assert says in run.stderr


ALERTS = {name: template.settings for name, template in templates.load().alerts.items()}
TARGETS: tuple[dict[str, Any], ...] = (
    {"selector": {"namespace": "a"}},
    {"selector": {"instance": "h:9091"}},
    {"selector": {"namespace": "a"}, "identity": ["namespace", "instance"]},
    {"selector": {"job": "x"}},
    {"selector": {"namespace": ["a", "b"]}, "identity": ["namespace", "job"]},
    {"selector": {"job": "x", "instance": "h", "pod": "p"}},
)
RHYTHMS = [
    dict(zip(("scrape_interval", "evaluation_interval", "window"), rhythm.split(), strict=True))
    for rhythm in ("15s 30s 5m", "1s 1s 4s", "15s 30s 1m", "7s 7s 7m", "5m 5m 20m", "1m 1m 1h", "1m 5m 6h", "5m 5m 1d")
]
PARTS: tuple[dict[str, Any], ...] = (
    {},
    {"snap": "interpolate", "cpus": 0.5, "disk": {"exporter": "cadvisor", "selector": {"id": "/"}}},
    {"thresholds": {"slow": "500ms", "slow_query_span": "1s"}},
    {"collections": {"c": {"thresholds": {"slow": "300ms"}}, "d": {"thresholds": {"healthy": "20ms"}}}},
    {
        "operations": {"query": {"thresholds": {"slow": "300ms"}}},
        "objectives": [
            {"tier": "slow", "ratio": "99.9%"},
            {"tier": "healthy", "ratio": "90%", "operations": ["query"]},
        ],
        "snap": "up",
    },
)
RELEASES = ["2.3.0", "2.3.5", "2.4.6", "2.4.20", "2.5.4", "2.6.0", "2.6.9", "2.6.19", "2.6.20", "3.0.0"]
DURATIONS = ["0s", "1ms", "7s", "30s", "2m", "10m", "1h", "6h", "1d"]
VALUES: dict[str, list[Any]] = {
    "for": DURATIONS,
    "keep_firing_for": DURATIONS,
    "quantile": [0.5, 0.61803, 0.9, 0.995, 0.9999, 0.99999],
    "min_request_rate": ["0/m", "0.001/h", "3/m", "100/s", "99999.999/s"],
    "share": ["0.001%", "0.01%", "1.7%", "50%", "99%", "99.999%"],
    "factor": ["1.000001x", "1.01x", "2.5x", "1000x", "9999x"],
    "rate": ["0.001/h", "1/m", "100/s", "99999.999/s", "100000/s"],
    "count": [2, 3, 7, 10, 20, 30],
    "duration": ["1ms", "7s", "2m", "30m", "1h", "6h"],
    "least": [2, 3, 48, 99_999, 100_000],
    "min_time": ["1ms", "7s", "2m", "6h", "1d"],
}


def values(setting: str, default: object) -> list[Any]:
    """What to try for a setting of an alert, in rising order."""
    return VALUES.get(threshold_kind(default) if setting == "threshold" else setting, [default])


def everywhere(index: int, *only: str) -> dict[str, Any]:
    """The value at this place of what there is to try, for these settings of every alert (or for all settings)."""
    return {
        alert: {key: values(key, default)[index] for key, default in settings.items() if not only or key in only}
        for alert, settings in ALERTS.items()
    }


def at_random(draw: random.Random) -> dict[str, Any]:
    """A profile that `thresher build` accepts, far from the defaults."""
    alerts = {
        alert: {key: draw.choice(values(key, default)) for key, default in settings.items() if draw.random() < 0.4}
        for alert, settings in ALERTS.items()
    }
    parts = [draw.choice(list(group)) for group in (TARGETS, RHYTHMS, PARTS)]
    settings = {key: value for part in parts for key, value in part.items()}
    return {**settings, "milvus": draw.choice(RELEASES), "alerts": alerts}


LIMITS = ("quantile", "min_request_rate", "threshold", "least", "min_time")
# What is least and most, and what is nearly so, where it takes few steps to test.
CORNERS: list[dict[str, Any]] = [
    {**TARGETS[1], **PARTS[1], **RHYTHMS[1], "alerts": everywhere(0)},
    {**TARGETS[2], **RHYTHMS[4], "cpus": 2, "alerts": everywhere(-1)},
    {**TARGETS[4], **RHYTHMS[3], "cpus": 3, "alerts": everywhere(1, *LIMITS, "for")},
    {**TARGETS[5], **PARTS[4], **RHYTHMS[6], "cpus": 4, "alerts": everywhere(-2, *LIMITS, "keep_firing_for")},
]


@pytest.mark.e2e
@pytest.mark.parametrize(
    "profiles", [CORNERS, [at_random(random.Random(seed)) for seed in range(2)]], ids=["corners", "random"]
)
def test_whatever_a_profile_asks_for_is_proven(
    profiles: Iterable[dict[str, Any]],
    promtool: str,
    thresher: Thresher,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PROMTOOL", promtool)
    for number, settings in enumerate(profiles):
        profile = {"version": 1, "name": f"p{number}", "milvus": "2.6.20", "selector": {"namespace": "a"}, **settings}
        (tmp_path / f"p{number}.yaml").write_text(json.dumps(profile), "utf-8")
    built = thresher("build", tmp_path, "--out", tmp_path / "out")
    assert built.exit_code == 0, built.output
    run = thresher("test", tmp_path / "out")
    assert run.exit_code == 0, run.stdout


RESOURCE = "apiVersion: monitoring.coreos.com/v1\nkind: PrometheusRule\nmetadata: {name: a}\nspec:\n  "
WRAPPED = {
    "mimir": "namespace: a\n" + RULES.replace("- name: a", "- name: a\n    source_tenants: [a, b]"),
    "thanos": RULES.replace("- name: a", "- name: a\n    partial_response_strategy: abort"),
    "newer prometheus": RULES.replace("- name: a", "- name: a\n    query_offset: 1m"),
    "prometheus-operator": RESOURCE + RULES.replace("\n", "\n  ").rstrip(),
}


@pytest.mark.usefixtures("promtool")
@pytest.mark.parametrize("platform", WRAPPED)
def test_the_files_of_other_platforms_are_proven_as_they_are_shipped(
    platform: str, tree: Callable[..., None], thresher: Thresher
) -> None:
    tree(WRAPPED[platform])
    assert thresher("test").stdout.endswith("1 tests in 1 files: all passed\n")
    tree(WRAPPED[platform].replace("up == 0", "up == 1"))
    run = thresher("test")
    assert run.exit_code == 1
    assert "FAILED out/p/tests/a.yaml" in run.stdout


@pytest.fixture
def for_vmalert(tree: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """The small tree with a rule for VictoriaMetrics; vmalert-tool is where `make e2e-parts` puts it."""
    if "VMALERT_TOOL" not in os.environ and not shutil.which("vmalert-tool"):
        monkeypatch.setenv("VMALERT_TOOL", str(ROOT / ".tools/matrix/victoria-metrics/vmalert-tool"))

    def make(expr: str = "up == 0") -> None:
        tree(RULES.replace("- name: a", "- name: a\n    interval: 1m\n    eval_offset: 5s").replace("up == 0", expr))
        Path("out/p/MANIFEST.json").write_text('{"target": "victoriametrics"}', "utf-8")

    return make


@pytest.mark.usefixtures("promtool")
def test_vmalert_tool_proves_rules_for_victoriametrics(for_vmalert: Callable[..., None], thresher: Thresher) -> None:
    for_vmalert()
    if not shutil.which(os.environ.get("VMALERT_TOOL", "vmalert-tool")):
        pytest.skip("there is no vmalert-tool; `make e2e-parts` gets one on Debian")
    assert thresher("test").stdout.endswith("1 tests in 1 files: all passed\n")
    for_vmalert("changes_prometheus(up[2m]) == 0 and up == 0")
    assert thresher("test").exit_code == 0
    for_vmalert("up == 1")
    run = thresher("test")
    assert run.exit_code == 1
    assert "Up" in run.stdout


@pytest.mark.usefixtures("promtool")
def test_a_missing_vmalert_tool_is_named(
    for_vmalert: Callable[..., None], thresher: Thresher, monkeypatch: pytest.MonkeyPatch, promtool: str
) -> None:
    for_vmalert()
    monkeypatch.setenv("PROMTOOL", promtool)
    monkeypatch.setenv("VMALERT_TOOL", "/nowhere/vmalert-tool")
    run = thresher("test")
    assert (run.exit_code, run.stderr) == (
        3,
        "VMALERT_TOOL is /nowhere/vmalert-tool, which is no program that can be run\n",
    )
    monkeypatch.delenv("VMALERT_TOOL")
    monkeypatch.setenv("PATH", "")
    run = thresher("test")
    assert run.exit_code == 3
    assert run.stderr.startswith("vmalert-tool was not found. It proves rules for VictoriaMetrics")
