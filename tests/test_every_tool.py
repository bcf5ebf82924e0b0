"""The same generated tests on every generation of promtool, and the same scenarios on VictoriaMetrics' vmalert-tool."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from generator import promtool, vmalert
from tests.conftest import EXAMPLES, ROOT, Thresher

MATRIX = ROOT / ".tools/matrix"
# One example for each generation of Milvus, and the promtool that runs its files as they are, too, without Thresher.
AS_THEY_ARE = {"2.42": "legacy", "2.53": "minimal", "3.5": "prod-search"}

pytestmark = pytest.mark.e2e


def tool(name: str, program: str = "promtool") -> Path:
    path = MATRIX / name / program
    if not path.exists():
        pytest.skip(f"there is no {path.relative_to(ROOT)}; `make e2e-parts` gets it on Debian")
    return path


@pytest.mark.parametrize("version", AS_THEY_ARE)
def test_every_promtool_proves_the_examples(version: str, thresher: Thresher, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROMTOOL", str(tool(version)))
    run = thresher("test", EXAMPLES / "out", "--coverage")
    assert run.exit_code == 0, run.stdout
    assert run.stdout.startswith(f"promtool, version {version}.")


@pytest.mark.parametrize(("version", "example"), AS_THEY_ARE.items())
def test_every_promtool_proves_the_files_as_they_are(version: str, example: str) -> None:
    files = sorted((EXAMPLES / "out" / example / "tests").iterdir())
    run = subprocess.run([tool(version), "test", "rules", *files], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    assert run.stdout.count("SUCCESS") == len(files)


@pytest.mark.parametrize("example", ["legacy", "prod-search"])
def test_vmalert_tool_proves_the_examples(
    example: str, tmp_path: Path, thresher: Thresher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VMALERT_TOOL", str(tool("victoria-metrics", "vmalert-tool")))
    profile = EXAMPLES / f"{example}.yaml"
    run = thresher("build", profile, "--out", tmp_path / "out", "--target", "victoriametrics", "--quiet")
    assert run.exit_code == 0, run.output
    run = thresher("test", tmp_path / "out", "--coverage")
    assert run.exit_code == 0, run.stdout


def test_without_layers_vmalert_sees_what_its_own_group_recorded_too_late() -> None:
    file = EXAMPLES / "out/minimal/tests/minimal.tests.yaml"
    content = promtool.read(file)
    whole = [group for rules in promtool.rule_files(file, content) for group in promtool.groups(rules)]
    (said,) = vmalert.refused(str(tool("victoria-metrics", "vmalert-tool")), [(content, whole)])
    assert "MilvusSearchLatencySlow" in said
