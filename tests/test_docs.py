"""What is written about the project is true: every command in the README runs, and every public name is explained."""

from __future__ import annotations

import ast
import functools
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from generator import catalog, promtool, testfile
from tests import test_every_tool
from tests.conftest import EXAMPLES, ROOT

README = (ROOT / "README.md").read_text("utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", README, re.DOTALL)
COMMANDS = [line.split("#")[0].strip() for kind, block in BLOCKS if kind == "sh" for line in block.splitlines()]


def test_the_readme_has_commands() -> None:
    assert "make rules" in COMMANDS
    assert "make test" in COMMANDS
    assert any(command.startswith("thresher ") for command in COMMANDS)


def test_the_numbers_in_the_readme_are_right() -> None:
    manifest = json.loads((EXAMPLES / "out/prod-search/MANIFEST.json").read_text("utf-8"))
    assert f"Among the {manifest['rules'] + manifest['alerts']} rules" in README
    assert f"each of {len(catalog.releases())} Milvus releases" in README


@pytest.mark.parametrize("command", [command for command in COMMANDS if command.startswith("make ")])
def test_every_make_target_in_the_readme_exists(command: str) -> None:
    done = subprocess.run([*command.split(), "--dry-run"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_every_thresher_command_in_the_readme_runs(tmp_path: Path, promtool: str) -> None:
    shutil.copytree(EXAMPLES, tmp_path / "examples")
    for command in ("init -b main", "-c user.name=t -c user.email=t@example.com commit --allow-empty -m first"):
        subprocess.run(["git", *command.split()], cwd=tmp_path, capture_output=True, check=True)
    scripts = Path(sys.executable).parent
    environment = {
        **os.environ,
        "PATH": f"{scripts}:{Path(promtool).parent}:{os.environ['PATH']}",
        "PROMTOOL": promtool,
    }
    for command in COMMANDS:
        if command.startswith("thresher ") and not command.startswith(("thresher test", "thresher check")):
            done = subprocess.run(
                command, shell=True, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
            )
            # In `main` there is nothing yet, so all that was built is new.
            assert done.returncode == (1 if command.startswith("thresher diff") else 0), (
                f"{command}\n{done.stdout}{done.stderr}"
            )


@pytest.mark.parametrize(("kind", "block"), [(kind, block) for kind, block in BLOCKS if kind == "yaml"])
def test_every_piece_of_yaml_in_the_readme_is_from_the_examples(kind: str, block: str) -> None:
    assert kind
    sources = [path.read_text("utf-8") for path in (*EXAMPLES.glob("*.yaml"), *EXAMPLES.glob("out/*/*/*.yaml"))]
    for piece in block.split("...\n"):
        assert any(piece in source for source in sources), piece


@functools.cache
def public_names() -> dict[str, ast.FunctionDef | ast.ClassDef]:
    return {
        f"{path.relative_to(ROOT)}:{node.name}": node
        for path in sorted((ROOT / "generator").rglob("*.py"))
        for node in ast.parse(path.read_text("utf-8")).body
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_")
    }


@pytest.mark.parametrize("name", public_names())
def test_every_public_function_and_class_says_what_it_is_for(name: str) -> None:
    assert ast.get_docstring(public_names()[name])


def test_every_module_says_what_it_is_for() -> None:
    for path in (ROOT / "generator").rglob("*.py"):
        assert ast.get_docstring(ast.parse(path.read_text("utf-8"))), path


def test_no_file_names_the_address_of_a_package_registry() -> None:
    if not shutil.which("git") or not (ROOT / ".git").exists():
        pytest.skip("no git checkout: which files belong to the project is not known")
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    registries = re.compile(r"pypi\.org|pythonhosted|registry\.npmjs|proxy\.golang|deb\.debian\.org", re.IGNORECASE)
    for name in listed:
        if (ROOT / name).suffix in (".txt", ".toml", ".yaml", ".json", ".md", ".cfg", "") and (ROOT / name).is_file():
            assert not registries.search((ROOT / name).read_text("utf-8", "replace")), name


def test_the_table_of_what_was_proven_is_right(expected: Callable[[Path, str], None]) -> None:
    proof = (ROOT / "docs/proof.md").read_text("utf-8")
    rows = []
    for path in sorted(folder.parent for folder in EXAMPLES.glob("out/*/tests")):
        manifest = json.loads((path / "MANIFEST.json").read_text("utf-8"))
        tests = [test for file in sorted((path / "tests").iterdir()) for test in testfile.tests(promtool.read(file))]
        scenarios = sum(len(test.scenarios) for test in tests)
        rules = manifest["rules"] + manifest["alerts"]
        cells = (path.name, manifest["milvus"], rules, len(tests), scenarios)
        rows.append(f"| {' | '.join(map(str, cells))} |")
    head, rule, _ = proof.partition("| --- | --- | --- | --- | --- |\n")
    expected(ROOT / "docs/proof.md", head + rule + "".join(f"{row}\n" for row in rows))
    assert [line.split("`")[1] for line in proof.splitlines() if line.startswith("- `")] == [
        *(f"promtool {version}" for version in test_every_tool.AS_THEY_ARE),
        "vmalert-tool",
    ]
