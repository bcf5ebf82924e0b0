"""The GitHub action and the pre-commit hooks: what they run exists, and says on a pull request what changes.

The script runs in a repository of its own; a program that writes down its arguments stands for `gh`.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from generator.cli import COMMANDS
from tests.conftest import ROOT

GH = """\
#!/bin/sh
echo "$@" >> "$RUNNER_TEMP/gh"
case "$*" in *--paginate*) echo "${EARLIER:-}" ;; esac
"""
PROMTOOL = "#!/bin/sh\necho promtool, version 3.5.0\n"
PROFILE = """\
version: 1
name: prod
milvus: "2.6.19"
selector: {namespace: vectors}
"""


class Repository:
    """A repository with a profile and what it compiles to, in the first commit of its branch main."""

    def __init__(self, folder: Path) -> None:
        self.temp, self.folder = folder / "temp", folder / "repository"
        programs = folder / "bin"
        for directory in (self.temp, self.folder / "profiles", programs):
            directory.mkdir(parents=True)
        for name, text in (("gh", GH), ("promtool", PROMTOOL)):
            (programs / name).write_text(text, "utf-8")
            (programs / name).chmod(0o755)
        self.environment = {
            "PATH": f"{programs}:{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(folder), "PROFILES": "profiles", "OUT": "monitoring", "BASE": "main", "PULL_REQUEST": "7",
            "RUNNER_TEMP": str(self.temp), "GITHUB_STEP_SUMMARY": str(self.temp / "summary"),
            "GITHUB_REPOSITORY": "team/monitoring",
        }  # fmt: skip
        self.profile(PROFILE)
        self.run("thresher", "build", "profiles", "--out", "monitoring")
        self.run("git", "init", "-q", "-b", "main")
        self.run("git", "add", ".")
        self.run("git", "-c", "user.name=t", "-c", "user.email=t@example.com", "commit", "-qm", "first")

    def profile(self, text: str) -> None:
        (self.folder / "profiles/prod.yaml").write_text(text, "utf-8")

    def run(self, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            cwd=self.folder,
            env={**self.environment, **environment},
            capture_output=True,
            text=True,
            check=False,
        )

    def review(self, **environment: str) -> subprocess.CompletedProcess[str]:
        return self.run(str(ROOT / ".ci/review"), **environment)

    def written(self, name: str) -> str:
        path = self.temp / name
        return path.read_text("utf-8") if path.exists() else ""


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path)


def test_what_changes_is_said_in_the_summary_and_in_a_comment(repository: Repository) -> None:
    repository.profile(PROFILE + "thresholds: {slow: 2s}\n")
    repository.run("thresher", "build", "profiles", "--out", "monitoring")
    done = repository.review()
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert "threshold 1 s -> 2 s (measured at 1024 -> 2048 ms): **fires later**" in repository.written("summary")
    assert repository.written("comment.md").startswith("<!-- thresher diff -->\n### Monitoring: alerts: 1 changed")
    assert "pr comment 7 --repo team/monitoring --body-file" in repository.written("gh")
    repository.review(EARLIER="99")
    assert "--method PATCH repos/team/monitoring/issues/comments/99" in repository.written("gh")


def test_without_a_change_or_a_pull_request_nobody_is_bothered(repository: Repository) -> None:
    assert repository.review().returncode == 0
    assert "pr comment" not in repository.written("gh")
    repository.profile(PROFILE + "thresholds: {slow: 2s}\n")
    (repository.temp / "gh").unlink()
    repository.review(PULL_REQUEST="")
    assert repository.written("gh") == ""


def test_what_was_not_built_again_fails_and_is_compared_all_the_same(repository: Repository) -> None:
    repository.profile(PROFILE + "thresholds: {slow: 2s}\n")
    done = repository.review()
    assert done.returncode == 1
    assert "::error file=monitoring/prod/rules/prod.rules.yaml,line=1,col=1,title=stale::" in done.stdout
    assert "fires later" in repository.written("summary")


def test_the_first_output_of_all_is_new(repository: Repository) -> None:
    repository.run("git", "rm", "-rq", "--cached", "monitoring")
    repository.run("git", "-c", "user.name=t", "-c", "user.email=t@example.com", "commit", "-qm", "none")
    assert repository.review().returncode == 0
    assert "`prod`: added, " in repository.written("summary")


def test_a_mistake_is_shown_where_it_is_and_nothing_is_said_of_changes(repository: Repository) -> None:
    repository.profile(PROFILE + "thresholds: {slow: 0s}\n")
    done = repository.review()
    assert done.returncode == 2
    assert done.stdout.startswith("::error file=profiles/prod.yaml,line=5,col=20::thresholds.slow: 0s")
    assert repository.written("summary") == ""


def test_a_comment_that_may_not_be_posted_is_a_warning(repository: Repository) -> None:
    repository.profile(PROFILE + "thresholds: {slow: 2s}\n")
    repository.run("thresher", "build", "profiles", "--out", "monitoring")
    forbidden = repository.folder.parent / "bin/gh"
    forbidden.write_text("#!/bin/sh\nexit 1\n", "utf-8")
    done = repository.review()
    assert done.returncode == 0
    assert done.stdout.startswith("::warning::The comment could not be posted")


def test_the_action_runs_what_is_there_with_its_own_inputs() -> None:
    action = yaml.safe_load((ROOT / "action.yml").read_text("utf-8"))
    *_, step = action["runs"]["steps"]
    assert step["run"] == '"$GITHUB_ACTION_PATH/.ci/review"'
    assert os.access(ROOT / ".ci/review", os.X_OK)
    used = {word for value in step["env"].values() for word in value.replace("'", " ").split() if word[:7] == "inputs."}
    assert used == {f"inputs.{name}" for name in action["inputs"]}
    assert all(each["shell"] == "bash" for each in action["runs"]["steps"] if "run" in each)


def test_the_hooks_of_pre_commit_run_commands_that_exist() -> None:
    hooks = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text("utf-8"))
    assert {hook["entry"] for hook in hooks} == {"thresher build", "thresher check"}
    assert all(hook["entry"].split()[1] in COMMANDS and hook["id"].replace("-", " ") == hook["entry"] for hook in hooks)
