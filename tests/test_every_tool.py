"""The same generated tests on every generation of promtool, and the same scenarios on VictoriaMetrics' vmalert-tool."""

from __future__ import annotations

from pathlib import Path

import pytest

from generator import promtool, vmalert
from tests.conftest import EXAMPLES, ROOT, Thresher

MATRIX = ROOT / ".tools/matrix"
PROMTOOLS = ("2.42", "2.53", "3.5")

# One example for each generation of Milvus. Promtool 2.42 takes all of them; what one of the others judges otherwise
# lies in the kinds of rules and scenarios there are, which these have, and vmalert-tool takes several times as long.
GENERATIONS = ("legacy", "minimal", "prod-search")

pytestmark = pytest.mark.e2e


def tool(name: str, program: str = "promtool") -> Path:
    path = MATRIX / name / program
    if not path.exists():
        pytest.skip(f"there is no {path.relative_to(ROOT)}; `make e2e-parts` gets it on Debian")
    return path


@pytest.mark.parametrize("version", PROMTOOLS)
def test_every_promtool_proves_the_examples(version: str, thresher: Thresher, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROMTOOL", str(tool(version)))
    examples = sorted(EXAMPLES.glob("out/*/tests")) if version == PROMTOOLS[0] else GENERATIONS
    run = thresher("test", *(EXAMPLES / "out" / example for example in examples), "--coverage")
    assert run.exit_code == 0, run.stdout
    assert run.stdout.startswith(f"promtool, version {version}.")


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
    (said,) = vmalert.refused(str(tool("victoria-metrics", "vmalert-tool")), content, whole)
    assert "MilvusSearchLatencySlow" in said
