"""`thresher check`: drift, whoever caused it, and what promtool says; in every format.

Here a program that is always content (or never) stands for promtool; tests/e2e/test_installed.py has the real one.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import AsUser, Run, Thresher

Write = Callable[..., Path]

CONTENT = """\
#!/bin/sh
[ "$1" = --version ] && echo 'promtool, version 3.5.0'
exit 0
"""
# One that refuses whatever it is given.
REFUSING = CONTENT.replace("exit 0", "[ $1 = --version ] && exit 0; echo it is wrong; exit 1")
# One during which whoever runs `thresher check` is told to terminate.
ENDING = CONTENT.replace("exit 0", "[ $1 = --version ] || kill $PPID")
RULES = Path("out/prod/rules/prod.rules.yaml")
TESTS = Path("out/prod/tests/prod.tests.yaml")


@pytest.fixture
def promtool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "promtool"
    path.write_text(CONTENT, "utf-8")
    path.chmod(0o755)
    monkeypatch.setenv("PROMTOOL", str(path))
    return path


@pytest.fixture
def check(write: Write, promtool: Path, thresher: Thresher) -> Callable[..., Run]:
    """Builds a profile; the result checks it."""
    assert promtool.exists()
    write("profiles/prod.yaml")
    assert thresher("build", "profiles").exit_code == 0
    return lambda *options: thresher("check", "profiles", *options)


def test_a_fresh_tree_is_fine(check: Callable[..., Run]) -> None:
    run = check()
    assert (run.exit_code, run.stderr) == (0, "")
    assert run.stdout.startswith("out is what the profiles compile to, proven by ")


def stale(write: Write) -> None:
    write("profiles/prod.yaml", thresholds="{slow: 2s}")


def missing() -> None:
    RULES.unlink()


def all_missing() -> None:
    shutil.rmtree("out")


def edited() -> None:
    RULES.write_text(RULES.read_text("utf-8").replace("for: 10m", "for: 1h", 1), "utf-8")


def foreign() -> None:
    Path("out/prod/rules/mine.yaml").write_text("groups: []\n", "utf-8")


def foreign_on_top() -> None:
    Path("out/kustomization.yml").write_text("resources: []\n", "utf-8")


def directory() -> None:
    RULES.unlink()
    RULES.mkdir()


def left_over() -> None:
    shutil.copytree("out/prod", "out/gone")
    manifest = Path("out/gone/MANIFEST.json")
    manifest.write_text(manifest.read_text("utf-8").replace('"profile": "prod"', '"profile": "gone"'), "utf-8")


NOT_WRITTEN = "Thresher did not write this file, and nothing proves it; keep it outside out [foreign]"
NOT_GIVEN = (
    "which no given profile yields; give its profile, too, or remove it with `thresher build --prune` [left-over]"
)


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (missing, f"{RULES}: is missing; run `thresher build` [missing]"),
        (foreign, f"out/prod/rules/mine.yaml: {NOT_WRITTEN}"),
        (directory, f"{RULES}: is a directory, and in the way of a file; move it [foreign]"),
        (foreign_on_top, f"out/kustomization.yml: {NOT_WRITTEN}"),
        (left_over, f"out/gone/MANIFEST.json: the output of gone, {NOT_GIVEN}"),
    ],
)
def test_every_kind_of_drift_is_named(fault: Callable[[], None], says: str, check: Callable[..., Run]) -> None:
    fault()
    run = check()
    assert run.exit_code == 1
    said, verdict = run.stdout.splitlines()
    assert said == says
    assert verdict.startswith("out: 1 finding; ")


def test_an_edited_file_is_told_from_a_stale_one_and_the_line_is_named(check: Callable[..., Run]) -> None:
    edited()
    line = next(at for at, text in enumerate(RULES.read_text("utf-8").splitlines(), 1) if "for: 1h" in text)
    (said, _) = check().stdout.splitlines()
    assert said == (
        f"{RULES}:{line}:1: was edited by hand; change the profile instead, and run `thresher build` [edited]"
    )


def test_a_changed_profile_makes_files_stale(write: Write, check: Callable[..., Run]) -> None:
    stale(write)
    *said, verdict = check().stdout.splitlines()
    assert f"{RULES}:1:1: is not what its profile compiles to; run `thresher build` [stale]" in said
    assert all(line.endswith("[stale]") for line in said)
    assert verdict.startswith(f"out: {len(said)} findings; ")


def test_what_was_built_for_a_platform_is_checked_for_it(check: Callable[..., Run], thresher: Thresher) -> None:
    assert thresher("build", "profiles", "--target", "mimir").exit_code == 0
    assert check("--target", "mimir").exit_code == 0
    assert check().exit_code == 1


def test_a_file_that_is_not_yielded_any_more_is_left_over(write: Write, check: Callable[..., Run]) -> None:
    write("profiles/prod.yaml", alerts="{MilvusDown: {enabled: false}}")
    runbook = "out/prod/runbooks/MilvusDown.md: the profile prod does not yield this file any more"
    assert any(line.startswith(runbook) for line in check().stdout.splitlines())


def test_without_any_output_everything_is_missing(check: Callable[..., Run]) -> None:
    all_missing()
    run = check()
    assert run.exit_code == 1
    *said, verdict = run.stdout.splitlines()
    assert all(line.endswith("is missing; run `thresher build` [missing]") for line in said)
    assert verdict == f"out: {len(said)} findings; 0 tests in 0 files"


def test_hidden_files_are_nobodys(check: Callable[..., Run]) -> None:
    Path("out/.gitattributes").write_text("* linguist-generated\n", "utf-8")
    Path("out/.cache").mkdir()
    Path("out/.cache/x.yaml").write_text("", "utf-8")
    assert check().exit_code == 0


def test_what_promtool_does_not_accept_is_a_finding(check: Callable[..., Run], promtool: Path) -> None:
    promtool.write_text(REFUSING, "utf-8")
    run = check()
    assert run.exit_code == 1
    assert f"{TESTS}: rules and tests are sound: it is wrong [test-failed]" in run.stdout.splitlines()


def test_rules_whose_tests_are_not_written_are_tested_all_the_same(
    write: Write, check: Callable[..., Run], thresher: Thresher, promtool: Path
) -> None:
    proven = check().stdout.partition("proven by ")[2]
    write("profiles/prod.yaml", outputs="[rules]")
    assert thresher("build", "profiles").exit_code == 0
    assert not TESTS.exists()
    assert check().stdout == f"out is what the profiles compile to, proven by {proven}"
    promtool.write_text(REFUSING, "utf-8")
    run = check()
    assert run.exit_code == 1
    assert f"{RULES}: rules and tests are sound: it is wrong [test-failed]" in run.stdout.splitlines()


def test_rules_for_another_platform_are_proven_by_its_own_tool_also_where_no_tests_are(
    write: Write, check: Callable[..., Run], thresher: Thresher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VMALERT_TOOL", "nowhere")
    for outputs in ("[rules, tests]", "[rules]"):
        write("profiles/prod.yaml", outputs=outputs, target="victoriametrics")
        assert thresher("build", "profiles").exit_code == 0
        run = check()
        assert (run.exit_code, run.stderr.split(",")[0]) == (3, "VMALERT_TOOL is nowhere")


def test_who_is_told_to_terminate_leaves_nothing_behind(
    write: Write, check: Callable[..., Run], thresher: Thresher, promtool: Path, tmp_path: Path
) -> None:
    write("profiles/prod.yaml", outputs="[rules]")
    assert thresher("build", "profiles").exit_code == 0
    assert check().exit_code == 0
    promtool.write_text(ENDING, "utf-8")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    command = [sys.executable, "-m", "generator", "check", "profiles"]
    done = subprocess.run(command, env={**os.environ, "TMPDIR": str(scratch)}, capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (128 + signal.SIGTERM, b"", b"")
    assert not list(scratch.iterdir())


def test_rules_that_are_stale_are_not_tested_with_tests_of_others(
    write: Write, check: Callable[..., Run], thresher: Thresher, promtool: Path
) -> None:
    write("profiles/prod.yaml", outputs="[rules]")
    assert thresher("build", "profiles").exit_code == 0
    promtool.write_text(REFUSING, "utf-8")
    write("profiles/prod.yaml", outputs="[rules]", thresholds="{slow: 2s}")
    run = check()
    assert run.exit_code == 1
    assert "[stale]" in run.stdout
    assert "[test-failed]" not in run.stdout


@pytest.mark.usefixtures("promtool")
def test_a_profile_may_be_named_like_a_directory_of_its_output(write: Write, thresher: Thresher) -> None:
    write("profiles/tests.yaml")
    write("profiles/rules.yaml")
    assert thresher("build", "profiles").exit_code == 0
    assert thresher("check", "profiles").exit_code == 0


def test_warnings_about_profiles_are_printed_and_fail_nothing(
    write: Write, check: Callable[..., Run], thresher: Thresher
) -> None:
    write("profiles/prod.yaml", thresholds="{slow_query_span: 5s}")
    assert thresher("build", "profiles").exit_code == 0
    run = check()
    assert run.exit_code == 0
    said, verdict = run.stdout.splitlines()
    assert said.startswith("profiles/prod.yaml:5:31: warning: thresholds.slow_query_span: 5s, but ")
    assert verdict.startswith("out is what the profiles compile to")


def test_without_promtool_drift_is_named_all_the_same(
    check: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROMTOOL", "nowhere")
    foreign()
    run = check()
    assert run.exit_code == 3
    assert "[foreign]" in run.stderr
    assert run.stderr.splitlines()[-1] == "PROMTOOL is nowhere, which is no program that can be run"


def test_a_mistake_in_a_profile_is_wrong_input(write: Write, check: Callable[..., Run]) -> None:
    write("profiles/prod.yaml", thresholds="{slow: 0s}")
    run = check()
    assert run.exit_code == 2
    assert "profiles/prod.yaml:5:20: thresholds.slow: 0s" in run.stderr


def test_findings_come_as_json_as_workflow_commands_and_as_sarif(check: Callable[..., Run]) -> None:
    edited()
    report: dict[str, Any] = json.loads(check("--format", "json").stdout)
    assert [(each["file"], each["code"]) for each in report["findings"]] == [(str(RULES), "edited")]
    assert report["promtool"] == "promtool, version 3.5.0"
    assert report["tests"] > 0
    (command,) = check("--format", "github").stdout.splitlines()
    assert command.startswith(f"::error file={RULES},line=")
    log: dict[str, Any] = json.loads(check("--format", "sarif").stdout)
    (run,) = log["runs"]
    (result,) = run["results"]
    assert result["ruleId"] == "edited"
    assert result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == str(RULES)
    assert {rule["id"] for rule in run["tool"]["driver"]["rules"]} > {"edited", "test-failed"}


def test_what_cannot_be_read_is_a_matter_of_the_environment(check: Callable[..., Run], as_user: AsUser) -> None:
    assert check().exit_code == 0
    RULES.chmod(0)
    done = as_user("check", "profiles")
    assert (done.returncode, done.stderr) == (3, f"{RULES}: Permission denied\n")
