"""Running promtool: what it is green for although nothing was tested, and a promtool that is not there."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Thresher

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
        (("tests", "rule_files:", "---\nrule_files:"), ""),
        (("tests", "tests:\n", "---\ntests:\n"), "must hold one YAML map"),
        (("tests", "alert_rule_test:\n", "alert_rule_test: 5\n    x:\n"), "cannot be read as a test file"),
        (("tests", "      - eval_time: 2m\n", "      - 5\n      - eval_time: 2m\n"), "cannot be read as a test file"),
        (("tests", "alertname: Up", "alertname: [Up]"), "cannot be read as a test file"),
        (("tests", "tests:\n", "tests: [5]\nx:\n"), "cannot be read as a test file"),
        (("tests", "tests:\n", "tests: 5\nx:\n"), "cannot be read as a test file"),
        (("rules", "groups:\n", "---\n"), "cannot be read as a test file with its rules"),
        (("rules", RULES, ""), "cannot be read as a test file with its rules"),
        (("rules", "groups:", "x: [\ngroups:"), "cannot be read as a test file with its rules"),
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
    assert "no test file below it; run `thresher build` first" in run.stderr


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
