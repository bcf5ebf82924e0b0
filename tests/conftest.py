"""What all tests share: running the command as a user does, and comparing with committed output."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import yaml
from click.testing import CliRunner

from generator.cli import main

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples"

# A busy machine is no failure.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--refresh", action="store_true", help="write what is printed today into the expected output")


@dataclass(frozen=True)
class Run:
    """What one call of the command did."""

    exit_code: int
    stdout: str
    stderr: str

    @property
    def output(self) -> str:
        return self.stdout + self.stderr


Thresher = Callable[..., Run]
AsUser = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def thresher() -> Thresher:
    """Calls the command with these arguments; a traceback fails the test."""

    def run(*arguments: str | Path) -> Run:
        result = CliRunner().invoke(main, [str(argument) for argument in arguments], prog_name="thresher")
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Run(result.exit_code, result.stdout, result.stderr)

    return run


@pytest.fixture
def as_user() -> AsUser:
    """Calls the command as somebody whom read-only directories stop, which they do not do to root."""
    demoted = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
    if demoted and (not shutil.which("setpriv") or subprocess.run([*demoted, "true"], check=False).returncode):
        pytest.skip("root cannot be made to respect permissions here")

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [*demoted, sys.executable, "-m", "generator", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    return run


@pytest.fixture
def expected(request: pytest.FixtureRequest) -> Callable[[Path, str], None]:
    """Compares text with a committed file; `pytest --refresh` writes the file instead."""

    def compare(path: Path, text: str) -> None:
        if request.config.getoption("--refresh"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
        assert text == (path.read_text("utf-8") if path.exists() else "")

    return compare


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Writes a profile into the current directory, which is a fresh one: `write("a.yaml", thresholds="{slow: 2s}")`."""
    monkeypatch.chdir(tmp_path)

    def write(file: str = "profile.yaml", text: str = "", /, **settings: str) -> Path:
        given = {
            "version": "1",
            "name": Path(file).stem,
            "milvus": '"2.6.19"',
            "selector": "{namespace: vectors}",
            **settings,
        }
        lines = [f"{key}: {value}" for key, value in given.items() if value]
        path = Path(file)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text or "\n".join(lines) + "\n", "utf-8")
        return path

    return write


@dataclass(frozen=True)
class Compiled:
    """The rules that a profile compiles to, as they stand in the file, and what the build said."""

    rules: list[dict[str, Any]]
    groups: list[dict[str, Any]]
    manifest: dict[str, Any]
    run: Run

    def named(self, name: str, **labels: str) -> dict[str, Any]:
        """The one rule with this name (of a record: its middle part will do) and these labels."""
        found = [
            rule
            for rule in self.rules
            if name in (rule.get("alert"), rule.get("record"), rule.get("record", "::").split(":")[1])
            and all(rule["labels"].get(label) == value for label, value in labels.items())
        ]
        assert len(found) == 1, f"{len(found)} rules named {name}"
        return found[0]

    def names(self) -> set[str]:
        return {rule.get("alert") or rule["record"].split(":")[1] for rule in self.rules}


@pytest.fixture
def compiled(write: Callable[..., Path], thresher: Thresher) -> Callable[..., Compiled]:
    """Builds a profile with these settings and reads what was written."""

    def build(**settings: str) -> Compiled:
        path = write("profile.yaml", **settings)
        run = thresher("build", path, "--out", "out")
        assert run.exit_code == 0, run.output
        manifest = json.loads(Path("out/profile/MANIFEST.json").read_text("utf-8"))
        groups = yaml.safe_load(Path("out/profile/rules/profile.rules.yaml").read_text("utf-8"))["groups"]
        return Compiled([rule for group in groups for rule in group["rules"]], groups, manifest, run)

    return build


@pytest.fixture(scope="session")
def promtool() -> str:
    """The promtool to test with."""
    found = shutil.which(os.environ.get("PROMTOOL", "promtool"))
    if not found:
        pytest.skip("there is no promtool on PATH; `make promtool` gets one")
    return found
