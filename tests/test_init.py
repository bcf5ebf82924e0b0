"""`thresher init`: a repository that is ready to commit, and nothing that was there before is touched."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
import yaml

from generator import __version__
from generator.cli import COMMANDS
from tests.conftest import AsUser, Thresher

OWN = (
    ".gitattributes", ".github/workflows/monitoring.yml", ".gitlab-ci.yml", ".pre-commit-config.yaml", "Makefile",
    "README.md", "profile.schema.json", "profiles/milvus.yaml", "requirements.txt",
)  # fmt: skip


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def files(top: str) -> dict[str, bytes]:
    return {path.relative_to(top).as_posix(): path.read_bytes() for path in Path(top).rglob("*") if path.is_file()}


def test_it_writes_a_repository_and_says_what_comes_next(thresher: Thresher) -> None:
    run = thresher("init", "repo", "--milvus", "2.6.19", "--namespace", "vectors")
    assert (run.exit_code, run.stderr) == (0, "")
    *listed, built, following = run.stdout.splitlines()
    own = sorted(name for name in files("repo") if not name.startswith("monitoring/"))
    assert own == list(OWN)
    assert sorted(listed) == [f"repo/{name}" for name in own]
    assert re.fullmatch(r"repo/monitoring: \d+ files that the profile compiles to, for Milvus 2\.6\.19", built)
    assert following == "next: edit repo/profiles/milvus.yaml, run `make rules` there, commit everything"


def test_what_the_profile_compiles_to_is_there_already(thresher: Thresher, monkeypatch: pytest.MonkeyPatch) -> None:
    thresher("init", "repo", "--name", "prod-search")
    monkeypatch.chdir("repo")
    run = thresher("build", "profiles", "--out", "monitoring", "--prune", "--check")
    assert run.exit_code == 0, run.stdout
    assert run.stdout.splitlines()[-1] == "monitoring: is up to date"


def test_the_profile_is_what_was_asked_for_and_its_schema_accepts_it(thresher: Thresher) -> None:
    thresher("init", "repo", "--name", "prod-search", "--milvus", "2.5.4", "--namespace", 'a"b\\c')
    path = Path("repo/profiles/prod-search.yaml")
    text = path.read_text("utf-8")
    schema = re.match(r"# yaml-language-server: \$schema=(\S+)\n", text)
    assert schema is not None
    profile = yaml.safe_load(text)
    jsonschema.validate(profile, json.loads((path.parent / schema[1]).read_text("utf-8")))
    assert (profile["name"], profile["milvus"], profile["selector"]) == (
        "prod-search",
        "2.5.4",
        {"namespace": 'a"b\\c'},
    )


def test_every_setting_that_is_commented_out_can_be_used(thresher: Thresher, monkeypatch: pytest.MonkeyPatch) -> None:
    thresher("init", "repo", "--milvus", "2.6.19")
    monkeypatch.chdir("repo")
    path = Path("profiles/milvus.yaml")
    settings = r"^# (?=(?:  )*[\w]+:(?: |$))"
    text, count = re.subn(settings, "", path.read_text("utf-8"), flags=re.MULTILINE)
    assert count >= 12
    path.write_text(text, "utf-8")
    run = thresher("build", "profiles", "--out", "monitoring")
    assert run.exit_code == 0, run.stderr


def test_without_a_release_it_is_the_newest_that_is_no_preview(thresher: Thresher) -> None:
    run = thresher("init", "repo")
    release = yaml.safe_load(Path("repo/profiles/milvus.yaml").read_text("utf-8"))["milvus"]
    assert run.stdout.splitlines()[-2].endswith(f" for Milvus {release}")
    assert re.fullmatch(r"\d+\.\d+\.\d+", release)


def test_nothing_that_exists_is_overwritten_and_all_of_it_is_named(thresher: Thresher) -> None:
    Path("repo/profiles").mkdir(parents=True)
    Path("repo/monitoring").mkdir()
    Path("repo/README.md").write_text("mine", "utf-8")
    Path("repo/Makefile").symlink_to("nowhere")
    run = thresher("init", "repo")
    assert run.exit_code == 2
    assert run.stderr.splitlines() == [
        f"repo/{name}: exists already; move it, or choose another directory"
        for name in ("Makefile", "README.md", "monitoring")
    ]
    assert files("repo") == {"README.md": b"mine"}


def test_other_files_of_a_repository_stay(thresher: Thresher) -> None:
    Path("LICENSE").write_text("mine", "utf-8")
    assert thresher("init", ".").exit_code == 0
    assert Path("LICENSE").read_text("utf-8") == "mine"
    assert thresher("init", ".").exit_code == 2


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--name", "../x"), "--name: '../x' is no name for a profile"),
        (("--name", "Prod"), "--name: 'Prod' is no name for a profile"),
        (("--milvus", "9.9"), "profiles/milvus.yaml:8:9: milvus: "),
        (("--milvus", "latest"), "profiles/milvus.yaml:8:9: milvus: "),
        (("--namespace", ""), "profiles/milvus.yaml:11:23: selector.namespace: "),
    ],
)
def test_a_wrong_option_is_a_mistake_and_writes_nothing(
    options: tuple[str, str], says: str, thresher: Thresher
) -> None:
    run = thresher("init", "repo", *options)
    assert run.exit_code == 2
    assert run.stderr.startswith(says)
    assert not Path("repo").exists()


def test_what_cannot_be_written_leaves_nothing_behind(as_user: AsUser) -> None:
    Path("closed").mkdir(mode=0o555)
    done = as_user("init", "closed/repo")
    assert done.returncode == 3
    assert done.stderr.endswith(": Permission denied; nothing was written\n")
    Path("file").write_text("mine", "utf-8")
    assert as_user("init", "file").returncode == 3
    assert Path("file").read_text("utf-8") == "mine"
    Path("half/profiles").mkdir(parents=True)
    Path("half/profiles").chmod(0o555)
    assert as_user("init", "half").returncode == 3
    assert [path.name for path in Path("half").rglob("*")] == ["profiles"]


def test_everything_in_the_repository_calls_what_exists(thresher: Thresher) -> None:
    thresher("init", "repo")
    makefile = Path("repo/Makefile").read_text("utf-8")
    assert set(re.findall(r"\$\(THRESHER\) (\w+)", makefile)) == {"build", "check", "test", "diff", "schema"}
    targets = set(re.findall(r"^(\w+):", makefile, re.MULTILINE))
    workflow = yaml.safe_load(Path("repo/.github/workflows/monitoring.yml").read_text("utf-8"))
    pipeline = yaml.safe_load(Path("repo/.gitlab-ci.yml").read_text("utf-8"))
    hooks = yaml.safe_load(Path("repo/.pre-commit-config.yaml").read_text("utf-8"))["repos"][0]["hooks"]
    steps = [step.get("run", "") for step in workflow["jobs"]["monitoring"]["steps"]]
    called = "\n".join([*steps, *pipeline["monitoring"]["before_script"], *pipeline["monitoring"]["script"]])
    assert set(re.findall(r"\bmake (\w+)", called)) == {"check", "diff"}
    assert {"check", "diff"} <= targets
    commands = set(re.findall(r"\bthresher (\w+)", "\n".join([called, *(hook["entry"] for hook in hooks)])))
    assert commands - {"and", "diff"} == {"build", "check"}
    assert commands - {"and"} <= set(COMMANDS)
    assert f"thresher=={__version__}" in Path("repo/requirements.txt").read_text("utf-8").splitlines()


def test_the_workflow_comments_on_a_pull_request_that_changes_something(thresher: Thresher) -> None:
    thresher("init", "repo", "--milvus", "2.6.19")
    workflow = yaml.safe_load(Path("repo/.github/workflows/monitoring.yml").read_text("utf-8"))
    (step,) = (step for step in workflow["jobs"]["monitoring"]["steps"] if "diff" in step.get("run", ""))
    program = Path("bin/gh").absolute()
    program.parent.mkdir()
    program.write_text('#!/bin/sh\necho "$@" >> "$RUNNER_TEMP/gh"\n', "utf-8")
    program.chmod(0o755)
    environment = {
        "PATH": f"{program.parent}:{Path(sys.executable).parent}:{os.environ['PATH']}",
        "RUNNER_TEMP": str(Path.cwd()), "GITHUB_STEP_SUMMARY": str(Path("summary").absolute()),
        "GITHUB_REPOSITORY": "team/monitoring", "BASE": "HEAD", "NUMBER": "7", "MARKER": step["env"]["MARKER"],
    }  # fmt: skip

    def run(*command: str) -> None:
        done = subprocess.run(command, cwd="repo", env=environment, check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr

    run("git", "init", "-q")
    run("git", "add", ".")
    run("git", "-c", "user.name=t", "-c", "user.email=t@example.com", "commit", "-qm", "first")
    run("bash", "-e", "-c", step["run"])
    assert "nothing changes for the people on call" in Path("summary").read_text("utf-8")
    assert "pr comment" not in Path("gh").read_text("utf-8")
    profile = Path("repo/profiles/milvus.yaml")
    profile.write_text(profile.read_text("utf-8").replace("slow: 1s", "slow: 2s"), "utf-8")
    run("thresher", "build", "profiles", "--out", "monitoring")
    run("bash", "-e", "-c", step["run"])
    assert "threshold 1 s -> 2 s" in Path("summary").read_text("utf-8")
    assert f"pr comment 7 --body-file {Path.cwd()}/diff.md" in Path("gh").read_text("utf-8")


def test_generated_files_are_folded_in_reviews_and_others_are_not(thresher: Thresher) -> None:
    thresher("init", "repo")
    subprocess.run(["git", "init", "-q", "repo"], check=True)

    def folded(path: str) -> bool:
        command = ["git", "-C", "repo", "check-attr", "linguist-generated", "--", path]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.endswith(": set\n")

    assert folded("monitoring/milvus/rules/milvus.rules.yaml")
    assert folded("profile.schema.json")
    assert not folded("profiles/milvus.yaml")


def test_make_runs_what_it_promises(thresher: Thresher) -> None:
    thresher("init", "repo", "--milvus", "2.6.19")
    before = files("repo")

    def make(target: str, **variables: str) -> str:
        command = ["make", "--no-print-directory", target, f"THRESHER={sys.executable} -m generator"]
        command += [f"{name}={value}" for name, value in variables.items()]
        done = subprocess.run(command, cwd="repo", check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    assert make("rules").endswith("monitoring: nothing to change\n")
    make("schema")
    assert files("repo") == before
    profile = Path("repo/profiles/milvus.yaml")
    profile.write_text(profile.read_text("utf-8").replace("slow: 1s", "slow: 2s"), "utf-8")
    Path("repo/before").mkdir()
    subprocess.run(["cp", "-r", "repo/monitoring", "repo/before"], check=True)
    make("rules")
    assert "threshold 1 s -> 2 s (measured at 1024 -> 2048 ms): fires later" in make("diff", BASE="before")
    assert "make rules" in make("help")
