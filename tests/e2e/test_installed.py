"""The wheel is all that anybody needs: installed in a bare environment, far from the sources, every command works."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

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


def test_the_wheel_builds_and_proves_the_same_rules_as_the_sources(installed: Installed) -> None:
    installed("thresher", "build", "prod-search.yaml")
    assert files(installed.folder / "out") == files(EXAMPLES / "out", "prod-search")
    # One of its test files is enough: test_every_tool.py proves the same bytes with every promtool.
    proven = installed("thresher", "test", "out/prod-search/tests/prod-search.long.tests.yaml")
    assert proven.endswith("all passed\n")


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
