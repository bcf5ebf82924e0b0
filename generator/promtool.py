"""Running promtool, and catching what it is green for without having tested anything.

Promtool reads the files of Prometheus only. What other platforms put around the same groups is taken off first, and
what remains of the shipped files is tested; where a platform has a tester of its own, that one runs the tests.
"""

from __future__ import annotations

import contextlib
import glob
import json
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from generator import conventions, relevance, vmalert
from generator.findings import EnvironmentProblem, Finding, InputError
from generator.platforms import METRICSQL, PLATFORMS, PROMETHEUS, Platform


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Takes for numbers only what looks like one: `0x7` is seven more samples of 0 to promtool, and 7 to YAML 1.1."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in known if tag != "tag:yaml.org,2002:int"]
    for first, known in _Loader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"[-+]?(?:0|[1-9]\d*)$"), list("-+0123456789"))

INSTALL = """\
promtool was not found. It comes with Prometheus:
  Debian, Ubuntu   apt-get install prometheus
  Fedora           dnf install golang-github-prometheus
  macOS            brew install prometheus
  Go               go install github.com/prometheus/prometheus/cmd/promtool@latest
Put it on PATH, or name it in the environment variable PROMTOOL."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one test file. `problems` is empty when every test in it passed.

    `tested` says whether it came to its tests; then a problem is what promtool printed of them.
    """

    file: Path
    tests: int
    seconds: float
    problems: tuple[str, ...]
    tested: bool


def find() -> str:
    """The promtool to use: `PROMTOOL`, or else the one on PATH. Raises EnvironmentProblem when there is none."""
    named = os.environ.get("PROMTOOL")
    if named:
        found = shutil.which(named)
        if found is None:
            raise EnvironmentProblem(f"PROMTOOL is {named}, which is no program that can be run")
        return found
    found = shutil.which("promtool")
    if found is None:
        raise EnvironmentProblem(INSTALL)
    return found


def version(promtool: str) -> str:
    """The first line of `promtool --version`. Raises EnvironmentProblem when it does not run."""
    try:
        done = subprocess.run([promtool, "--version"], capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EnvironmentProblem(f"{promtool} does not run: {error}") from error
    text = (done.stdout + done.stderr).strip()
    if done.returncode or not text.startswith("promtool"):
        raise EnvironmentProblem(f"{promtool} is no promtool: {text.splitlines()[0] if text else 'no output'}")
    return text.splitlines()[0]


def test_files(paths: Iterable[Path]) -> list[Path]:
    """The test files among the given paths, and in the `tests` directories below the given directories.

    Raises InputError when a path yields none, and OSError when a directory cannot be read.
    """
    found: list[Path] = []
    findings = []
    for path in paths:
        inside: list[Path] = []
        if not os.path.exists(path):
            wrong, right = "there is no such file or directory", "run `thresher build` first"
        elif not os.path.isdir(path):
            inside = [path]
        else:
            inside = sorted(_test_files_below(path))
            wrong = "no test file below it"
            right = "run `thresher build` first, of a profile that wants tests among its `outputs`"
        found += inside
        if not inside:
            findings.append(Finding("error", str(path), 0, 0, "", wrong, right))
    if findings:
        raise InputError(findings)
    return list(dict.fromkeys(found))


def _test_files_below(top: Path) -> Iterator[Path]:
    def refuse(error: OSError) -> None:
        raise error

    for directory, _, names in os.walk(top, onerror=refuse):
        if os.path.basename(directory) == "tests":
            yield from (Path(directory, name) for name in names if name.endswith(".yaml"))


def run(promtool: str, files: Iterable[Path], jobs: int | None = None) -> Iterator[Outcome]:
    """Tests each file, several at a time; outcomes come in the order of the files.

    Raises EnvironmentProblem when the tester of another platform is needed, and missing.
    """
    files = list(files)
    tools = {"promtool": promtool}
    if any(platform(file).tool == "vmalert-tool" for file in files):
        tools["vmalert-tool"] = vmalert.find()
    with ThreadPoolExecutor(jobs or os.cpu_count()) as pool:
        yield from pool.map(lambda file: _outcome(tools, file), files)


def _outcome(tools: Mapping[str, str], file: Path) -> Outcome:
    start = time.monotonic()
    tests, problems = _unproven(file)
    tested = False
    if not problems:
        with _as_prometheus_has_them(file) as (tests_file, rules):
            problems += _refused(tools["promtool"], "check", "rules", "--lint-fatal", *map(_argument, rules))
            tested = not problems
            if tested and platform(file).tool == "promtool" and not _passes_in_parts(tools["promtool"], file):
                problems += _refused(tools["promtool"], "test", "rules", _argument(tests_file))
        if tested and platform(file).tool == "vmalert-tool":
            tests_of_promtool, plain, shipped = _content(file)
            if vmalert.refused(tools["vmalert-tool"], relevance.parts(tests_of_promtool, plain, shipped)):
                problems += vmalert.refused(tools["vmalert-tool"], [(tests_of_promtool, shipped)])
    return Outcome(file, tests, time.monotonic() - start, tuple(problems), tested)


def _content(file: Path) -> tuple[Any, list[dict[str, Any]], list[dict[str, Any]]]:
    """What a test file holds, and the groups of its rule files: as Prometheus has them, and as they are."""
    content = read(file)
    rules = [read(path) for path in rule_files(file, content)]
    return content, [group for each in rules for group in _plain(each)], [g for each in rules for g in _shipped(each)]


def _passes_in_parts(promtool: str, file: Path) -> bool:
    """Whether a test file passes, each test with the rules that it needs: several times as fast as with all of them.

    When it does not, what promtool says of the file itself is what counts, and what people can look up.
    """
    content, groups, _ = _content(file)
    with tempfile.TemporaryDirectory() as folder:
        names = []
        for number, (tests, some) in enumerate(relevance.parts(content, groups, groups)):
            rules = f"{number}.rules.yaml"
            names.append(f"{number}.tests.yaml")
            for name, part in ((rules, {"groups": some}), (names[-1], {**tests, "rule_files": [rules]})):
                Path(folder, name).write_text(json.dumps(part, ensure_ascii=False), "utf-8")
        return not _refused(promtool, "test", "rules", *(str(Path(folder, name)) for name in names))


def platform(file: Path) -> Platform:
    """The platform that the rules of a test file are for, as the manifest beside it says; Prometheus where none is."""
    try:
        target = json.loads((file.parent.parent / conventions.MANIFEST).read_bytes())["target"]
        return PLATFORMS[target]
    except (FileNotFoundError, NotADirectoryError, ValueError, KeyError, TypeError):
        return PROMETHEUS


@contextlib.contextmanager
def _as_prometheus_has_them(file: Path) -> Iterator[tuple[Path, list[Path]]]:
    """The test file and its rule files; copies where the rule files are those of another platform."""
    rules = {path: read(path) for path in rule_files(file, read(file))}
    plain = {path: {"groups": _plain(content)} for path, content in rules.items()}
    if plain == rules:
        yield file, list(rules)
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, "tests", file.name)
        copy.parent.mkdir()
        copy.write_bytes(file.read_bytes())
        copies = [copy.parent / os.path.relpath(path, file.parent) for path in plain]
        for to, content in zip(copies, plain.values(), strict=True):
            to.parent.mkdir(parents=True, exist_ok=True)
            to.write_text(json.dumps(content, ensure_ascii=False), "utf-8")
        yield copy, copies


# What Prometheus knows of a group in every version.
_OF_GROUPS = ("name", "interval", "limit", "rules")
_OWN_FUNCTIONS = {own: function for function, own in METRICSQL.items()}
_CALLS = re.compile(rf"\b({'|'.join(_OWN_FUNCTIONS)})\(")


def groups(file: Path) -> list[dict[str, Any]]:
    """The groups of a shipped rule file as Prometheus has them: without what only another platform knows.

    Raises OSError, yaml.YAMLError, ValueError, KeyError and TypeError for what is no rule file.
    """
    return _plain(read(file))


def _plain(content: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {**{key: group[key] for key in group if key in _OF_GROUPS}, "rules": list(map(_in_promql, group["rules"]))}
        for group in _shipped(content)
    ]


def _shipped(content: dict[str, Any]) -> list[dict[str, Any]]:
    """The groups of a rule file, or of the resource in it, as they are."""
    found: list[dict[str, Any]] = content.get("spec", content)["groups"]
    return found


def _in_promql(rule: dict[str, Any]) -> dict[str, Any]:
    return {**rule, "expr": _CALLS.sub(lambda found: f"{_OWN_FUNCTIONS[found[1]]}(", rule["expr"])}


def _refused(promtool: str, *command: str) -> list[str]:
    """What promtool prints when it is not content; nothing when it is."""
    done = subprocess.run([promtool, *command], capture_output=True, errors="backslashreplace", check=False)
    output = done.stdout + done.stderr
    failed = done.returncode or _FAILED.search(output)
    return [output.strip() or f"promtool ended with {done.returncode}"] if failed else []


# At the beginning of a line: a path may hold the word, too.
_FAILED = re.compile(r"^\s*FAILED", re.MULTILINE)


def _argument(path: Path) -> str:
    """A path as promtool takes it: not for an option."""
    return f"./{path}" if str(path).startswith("-") else str(path)


def _unproven(file: Path) -> tuple[int, list[str]]:
    """How many tests the file has, and what promtool would pass over without a word."""
    try:
        return _passed_over(file)
    except (OSError, yaml.YAMLError, KeyError, TypeError, AttributeError, ValueError) as error:
        reason = " ".join(str(error).split())  # of YAML, it is several lines
        return 0, [f"{file} cannot be read as a test file with its rules: {reason}"]


def _passed_over(file: Path) -> tuple[int, list[str]]:
    data = read(file)
    tests = list(data.get("tests") or ())
    named = {str(pattern): _matching(file, pattern) for pattern in data.get("rule_files") or ()}
    paths = [path for found in named.values() for path in found]
    alerts = {rule["alert"] for path in paths for group in groups(path) for rule in group["rules"] if "alert" in rule}
    problems = [] if tests else ["there is no test in it"]
    if not named:
        problems.append("it names no rule_files: is it a test file?")
    elif missing := [pattern for pattern, found in named.items() if not found]:
        problems.append(f"rule_files names files that do not exist: {', '.join(missing)}")
    asked = {check.get("alertname") for check in _alert_checks(data)}
    others = [read(other) for other in sorted(file.parent.glob("*.yaml")) if other != file]
    beside = [other for other in others if other.get("rule_files") == data.get("rule_files")]
    checks = [check for content in (data, *beside) for check in _alert_checks(content)]
    fired = {check.get("alertname") for check in checks if check.get("exp_alerts")}
    problems += [f"{name} is tested, but no rule has this name" for name in sorted(map(str, asked - alerts))]
    problems += [f"{name} is never seen firing" for name in sorted(alerts - fired)]
    return len(tests), problems


def _alert_checks(data: Any) -> Iterator[Any]:
    """What a test file asks of alerts."""
    for test in data.get("tests") or ():
        yield from test.get("alert_rule_test") or ()


def rule_files(file: Path, data: Any) -> Iterator[Path]:
    """The rule files that a test file names and that exist; `data` is its content."""
    for pattern in data.get("rule_files") or ():
        yield from _matching(file, pattern)


def _matching(file: Path, pattern: str) -> list[Path]:
    """The files that an entry of `rule_files` in a test file stands for."""
    return sorted(map(Path, glob.glob(os.path.join(glob.escape(str(file.parent)), pattern))))


def read(file: Path) -> Any:
    """The one YAML map that a rule or test file holds. Raises OSError and ValueError."""
    try:
        documents = list(yaml.load_all(file.read_text("utf-8"), _Loader))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{file} is not YAML: {error}") from error
    if len(documents) != 1 or not isinstance(documents[0], dict):
        raise ValueError(f"{file} must hold one YAML map, and nothing else")
    return documents[0]
