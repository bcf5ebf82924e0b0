"""The same generated tests on every generation of promtool, and the same scenarios on VictoriaMetrics' vmalert-tool."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml

from generator import promtool, testfile
from tests.conftest import EXAMPLES, ROOT, Thresher
from tests.e2e import vmalert

MATRIX = ROOT / ".tools/matrix"
PROMTOOLS = ("2.42", "2.53", "3.5")
FILES = {path.name.removesuffix(".yaml"): path for path in sorted((EXAMPLES / "out").glob("*/tests/*.yaml"))}

# One example for each generation of Milvus. Promtool 2.42 takes all of them; what one of the others judges otherwise
# lies in the kinds of rules and scenarios there are, which these have, and vmalert-tool takes several times as long.
GENERATIONS = ("legacy", "minimal", "prod-search")
ON_VMALERT = [name for name in FILES if name.partition(".")[0] in GENERATIONS]

# Scenarios that vmalert-tool cannot play or judges otherwise, each with the reason. None is known.
EXCEPTIONS: dict[str, str] = {}

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


def unittest(folder: Path, example: str, *, layered: bool = True) -> subprocess.CompletedProcess[str]:
    """Runs the tests of a file, but for the exceptions, through vmalert-tool."""
    path = FILES[example]
    content = promtool.read(path)
    given = [group for rules in promtool.rule_files(path, content) for group in promtool.read(rules)["groups"]]
    played = [test for test in testfile.tests(content) if not EXCEPTIONS.keys() & set(test.scenarios)]
    lowered = vmalert.groups(given) if layered else given
    tests = vmalert.tests({**content, "tests": [test.content for test in played]}, lowered, "rules.yaml")
    for name, data in (("rules.yaml", {"groups": lowered}), ("tests.yaml", tests)):
        (folder / name).write_text(yaml.dump(data, Dumper=yaml.CSafeDumper, sort_keys=False, width=1_000_000), "utf-8")
    command: list[str | Path] = [tool("vmalert-tool", "vmalert-tool"), "unittest", "--files", "tests.yaml"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("example", ON_VMALERT)
def test_vmalert_tool_proves_the_examples(example: str, tmp_path: Path) -> None:
    done = unittest(tmp_path, example)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "SUCCESS" in done.stdout


def test_every_exception_is_a_scenario_that_there_is() -> None:
    there = {
        scenario
        for file in FILES.values()
        for test in testfile.tests(promtool.read(file))
        for scenario in test.scenarios
    }
    assert EXCEPTIONS.keys() <= there


def test_without_layers_vmalert_sees_what_its_own_group_recorded_too_late(tmp_path: Path) -> None:
    done = unittest(tmp_path, "minimal.tests", layered=False)
    assert done.returncode == 1
    assert "MilvusSearchLatencySlow" in done.stdout
