"""The wheel is all that anybody needs: installed in a bare environment, far from the sources, every command works.

And so does all that `thresher init` writes: its workflows run as a CI system runs them, with the wheel and promtool.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from generator import __version__
from tests.conftest import EXAMPLES, ROOT

pytestmark = pytest.mark.e2e


def succeeds(*command: str | Path, **options: object) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)  # type: ignore[call-overload]
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return str(done.stdout)


def files(top: Path, below: str = ".") -> dict[Path, bytes]:
    return {path.relative_to(top): path.read_bytes() for path in (top / below).rglob("*") if path.is_file()}


@dataclass(frozen=True)
class Installed:
    """The programs of an environment that holds the wheel and what it needs, run outside the sources."""

    folder: Path
    promtool: str

    def __call__(self, program: str, *arguments: str, **environment: str) -> str:
        clean = {"PATH": os.defpath, "PROMTOOL": self.promtool, "LANG": "C.UTF-8", **environment}
        return succeeds(self.folder / "venv/bin" / program, *arguments, cwd=self.folder, env=clean)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory, promtool: str) -> Installed:
    base = tmp_path_factory.mktemp("installed")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    pinned = {**os.environ, "PIP_CONSTRAINT": str(ROOT / "constraints.txt")}
    succeeds(*pip, "wheel", "--no-deps", "--wheel-dir", base, ROOT, env=pinned)
    succeeds(sys.executable, "-m", "venv", "--without-pip", base / "venv")
    python = base / "venv/bin/python"
    succeeds(*pip, "--python", python, "install", *base.glob("*.whl"), env=pinned)
    shutil.copy(EXAMPLES / "prod-search.yaml", base)
    shutil.copy(EXAMPLES / "proxy.log", base)
    return Installed(base, promtool)


def test_the_wheel_says_its_version(installed: Installed) -> None:
    assert installed("thresher", "--version") == f"thresher, version {__version__}\n"


def test_the_wheel_builds_the_same_files_as_the_sources(installed: Installed) -> None:
    installed("thresher", "build", "prod-search.yaml")
    # Which test_every_tool.py proves; what the wheel proves is in the test of a new repository, below.
    assert files(installed.folder / "out") == files(EXAMPLES / "out", "prod-search")


@pytest.mark.parametrize(
    "arguments",
    [("explain", "prod-search.yaml"), ("schema",), ("catalog", "2.6.19"), ("logs", "proxy.log")],
    ids=" ".join,
)
def test_the_wheel_holds_what_the_other_commands_read(arguments: tuple[str, ...], installed: Installed) -> None:
    assert installed("thresher", *arguments)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_shell_completes_commands(shell: str, installed: Installed) -> None:
    assert "_THRESHER_COMPLETE" in installed("thresher", _THRESHER_COMPLETE=f"{shell}_source")
    words = {"COMP_WORDS": "thresher bui", "COMP_CWORD": "bui" if shell == "fish" else "1"}
    assert "build" in installed("thresher", _THRESHER_COMPLETE=f"{shell}_complete", **words)


GH = """\
#!/bin/sh
echo "$@" >> "$RUNNER_TEMP/gh"
"""


@pytest.fixture
def runner(installed: Installed, tmp_path: Path) -> dict[str, str]:
    """The environment of a CI system that has Python, promtool and a wheel, but no thresher yet."""
    programs = tmp_path / "bin"
    programs.mkdir()
    # Debian's Python makes no environment with a pip in it; the one here installs into a bare one.
    succeeds(sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv")
    for name, text in (("python", f'#!/bin/sh\nexec "{sys.executable}" "$@"\n'), ("gh", GH)):
        (programs / name).write_text(text, "utf-8")
        (programs / name).chmod(0o755)
    (programs / "promtool").symlink_to(installed.promtool)
    who = {f"GIT_{role}_{what}": "t@example.com" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    return {
        **os.environ, **who,
        "PATH": f"{programs}:{tmp_path}/venv/bin:{os.defpath}",
        "PIP_PYTHON": f"{tmp_path}/venv/bin/python", "PIP_FIND_LINKS": str(installed.folder),
        "PIP_CONSTRAINT": str(ROOT / "constraints.txt"),
        "RUNNER_TEMP": str(tmp_path), "GITHUB_STEP_SUMMARY": str(tmp_path / "summary"), "GITHUB_REPOSITORY": "a/b",
    }  # fmt: skip


def test_a_new_repository_passes_its_own_workflows_as_it_is(
    installed: Installed, runner: dict[str, str], tmp_path: Path
) -> None:
    repository = tmp_path / "repository"
    installed("thresher", "init", str(repository), "--milvus", "2.3.5", "--namespace", "vectors")

    def run(command: str, **environment: str) -> str:
        return succeeds("bash", "-e", "-o", "pipefail", "-c", command, cwd=repository, env={**runner, **environment})

    run("git init -q -b main && git add . && git commit -qm first")
    steps = yaml.safe_load((repository / ".github/workflows/monitoring.yml").read_text("utf-8"))
    install, compare, check = [step for step in steps["jobs"]["monitoring"]["steps"] if "run" in step]
    run(install["run"])
    run('make rules && git diff --exit-code && [ -z "$(git status --porcelain)" ]')
    assert "is what the profiles compile to" in run("make check")
    run(compare["run"], BASE="main", NUMBER="7", MARKER=compare["env"]["MARKER"])
    assert "nothing changes for the people on call" in (tmp_path / "summary").read_text("utf-8")
    assert "pr comment" not in (tmp_path / "gh").read_text("utf-8")
    pipeline = yaml.safe_load((repository / ".gitlab-ci.yml").read_text("utf-8"))["monitoring"]
    assert check["run"].split()[:2] == pipeline["script"][-1].split() == ["make", "check"]
    for command in (*pipeline["before_script"], *pipeline["script"][:-1]):
        run(command, CI_MERGE_REQUEST_DIFF_BASE_SHA="main")
