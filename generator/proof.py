"""Rules and their tests -> which mutants of the rules the tests notice.

Running a test file once for every mutant would take hours. So many mutants of one rule run side by side, under names
of their own, in a test file that holds only what they touch: the rule, what it reads, and what reads it. They are
first held against the rule's own tests, and those that are left against the tests of the rules that read it, the
nearest first.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from generator import catalog, conventions, equivalence, promtool
from generator.findings import EnvironmentProblem
from generator.mutation import Mutant, mutants

Rule = Mapping[str, Any]

_Dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
_BATCH = 40
_UNCHANGED = 0
_NUMBERED = re.compile(r"_mutant(\d+)\b")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one mutant. `equivalent` is the reason why no test can notice it; empty when one could."""

    rule: str
    what: str
    killed: bool
    equivalent: str


@dataclass(frozen=True, eq=False)
class Suite:
    """The rules and the test files of a profile, as data; `bounds` are those of the latency histogram.

    `file` is the first of the test files.
    """

    file: Path
    groups: Sequence[Mapping[str, Any]]
    tests: Sequence[Mapping[str, Any]]
    bounds: tuple[float, ...]

    @cached_property
    def rules(self) -> list[Rule]:
        return [rule for group in self.groups for rule in group["rules"]]

    @cached_property
    def laws(self) -> equivalence.Laws:
        """By what a mutant can be proven to say the same as its rule."""
        return equivalence.known(self.rules, self.bounds[0] if self.bounds else 0.0)

    @cached_property
    def reads(self) -> dict[str, set[str]]:
        """What the rules of each name read of other rules."""
        found: dict[str, set[str]] = {_name(rule): set() for rule in self.rules}
        for rule in self.rules:
            found[_name(rule)] |= set(conventions.RECORDED.findall(_queries(rule))) & set(found)
        return found


def load(files: Iterable[Path]) -> list[Suite]:
    """Reads generated test files: a suite for those of one profile, with its rules, and the release of its manifest."""
    by_profile: dict[Path, list[Path]] = {}
    for file in files:
        by_profile.setdefault(file.parent.parent, []).append(file)
    return [_suite(profile, tests) for profile, tests in by_profile.items()]


def _suite(profile: Path, files: Sequence[Path]) -> Suite:
    contents = [promtool.read(file) for file in files]
    rules = dict.fromkeys(
        path.resolve()
        for file, content in zip(files, contents, strict=True)
        for path in promtool.rule_files(file, content)
    )
    groups = [group for path in rules for group in promtool.groups(path)]
    manifest = json.loads((profile / conventions.MANIFEST).read_bytes())
    histogram = catalog.release(manifest["milvus"]).metric(manifest["thresholds"][0]["histogram"])
    return Suite(files[0], groups, contents, histogram.buckets if histogram else ())


def prove(tool: str, suite: Suite, jobs: int | None = None) -> Iterator[list[Verdict]]:
    """Holds every mutant against the tests, those of one rule after the other. Raises EnvironmentProblem."""
    with ThreadPoolExecutor(jobs or os.cpu_count()) as pool:
        yield from pool.map(lambda index: _of_rule(tool, suite, index), range(len(suite.rules)))


def _of_rule(tool: str, suite: Suite, index: int) -> list[Verdict]:
    rule = suite.rules[index]
    found = list(mutants(rule, suite.bounds))
    verdicts = []
    for start in range(0, len(found), _BATCH):
        batch = dict(enumerate(found[start : start + _BATCH], 1))
        same = {number: equivalence.reason(rule, mutant.rule, suite.laws) for number, mutant in batch.items()}
        killed: set[int] = set()
        for names in _circles(suite.reads, {_name(rule)}):
            left = {number: mutant for number, mutant in batch.items() if number not in killed}
            if names != {_name(rule)}:  # what says the same, no reader can tell apart either
                left = {number: mutant for number, mutant in left.items() if not same[number]}
            if not left:
                break
            killed |= _killed(tool, suite, index, left, names)
        verdicts += [
            Verdict(_shown(rule), mutant.what, number in killed, same[number]) for number, mutant in batch.items()
        ]
    return verdicts


def _circles(reads: Mapping[str, set[str]], names: set[str]) -> Iterator[set[str]]:
    """The names, then those with the names of what reads any of them, and so on."""
    yield names
    while more := {name for name, read in reads.items() if read & names} - names:
        names = names | more
        yield names


def _killed(tool: str, suite: Suite, index: int, batch: Mapping[int, Mutant], names: set[str]) -> set[int]:
    """The numbers of the mutants that the tests of the rules with these names notice."""
    killed: set[int] = set()
    for content in suite.tests:
        left = {number: mutant for number, mutant in batch.items() if number not in killed}
        killed |= _killed_by(tool, suite, content, index, left, names) if left else set()
    return killed


def _killed_by(
    tool: str, suite: Suite, content: Mapping[str, Any], index: int, batch: Mapping[int, Mutant], names: set[str]
) -> set[int]:
    """The same with the tests of one file."""
    killed: set[int] = set()
    while left := {number: mutant for number, mutant in batch.items() if number not in killed}:
        rules, tests = _written(suite, content, index, left, names)
        if not tests["tests"]:
            break
        output = _run(tool, rules, tests)
        # What breaks the evaluation ends a test before the others are judged.
        broken = set(map(int, re.findall(r"rule: \S+_mutant(\d+),.*err:", output)))
        failed = set(map(int, _NUMBERED.findall(output)))
        if _UNCHANGED in failed and not broken:
            raise EnvironmentProblem(f"{_shown(suite.rules[index])}: its tests fail as it is\n{output}")
        killed |= broken or failed
        if not broken:
            break
    return killed


def _written(
    suite: Suite, content: Mapping[str, Any], index: int, batch: Mapping[int, Mutant], names: set[str]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """A rule file and a test file with all of the batch: every rule with one of the names once for each mutant."""
    target = suite.rules[index]
    needed = set(names)
    while more := {read for name in needed for read in suite.reads[name]} - needed:
        needed |= more
    groups = []
    for group in suite.groups:
        rules: list[Rule] = []
        for rule in group["rules"]:
            if _name(rule) in names:
                rules.append(_numbered(rule, _UNCHANGED, names))
                rules += [
                    _numbered(mutant.rule if rule is target else rule, number, names)
                    for number, mutant in batch.items()
                ]
            elif _name(rule) in needed:
                rules.append(rule)
        if rules:
            groups.append({"name": group["name"], "interval": group["interval"], "rules": rules})
    exprs = "\n".join(_queries(rule) for group in groups for rule in group["rules"])
    numbers = (_UNCHANGED, *batch)
    tests = [kept for test in content["tests"] if (kept := _kept(test, names, numbers, exprs))]
    order = [group["name"] for group in groups]
    return {"groups": groups}, {
        "rule_files": ["rules.yaml"],
        "evaluation_interval": content["evaluation_interval"],
        "group_eval_order": order,
        "tests": tests,
    }


def _kept(test: Mapping[str, Any], names: set[str], numbers: Iterable[int], exprs: str) -> dict[str, Any] | None:
    """What of a test is about rules with these names, once for each number; None when nothing is."""
    alerts = [check for check in test.get("alert_rule_test", ()) if check["alertname"] in names]
    samples = [check for check in test.get("promql_expr_test", ()) if _about(check["expr"], names)]
    if not alerts and not samples:
        return None
    return {
        "interval": test["interval"],
        "input_series": [fed for series in test.get("input_series", ()) for fed in _fed(series, names, numbers, exprs)],
        "alert_rule_test": [
            {**check, "alertname": _renamed(check["alertname"], number)} for number in numbers for check in alerts
        ],
        "promql_expr_test": [
            {**check, "expr": _rewritten(check["expr"], number, names)} for number in numbers for check in samples
        ],
    }


def _fed(series: Mapping[str, Any], names: set[str], numbers: Iterable[int], exprs: str) -> Iterator[Mapping[str, Any]]:
    """The input series if any of the expressions reads it; a recorded one once for each number."""
    name, brace, labels = series["series"].partition("{")
    if name in names:
        yield from ({**series, "series": _renamed(name, number) + brace + labels} for number in numbers)
    elif name in exprs:
        yield series


def _about(expr: str, names: set[str]) -> bool:
    return any(re.search(rf"(?<![\w:]){re.escape(name)}(?![\w:])", expr) for name in names)


def _numbered(rule: Rule, number: int, names: set[str]) -> Rule:
    key = "alert" if "alert" in rule else "record"
    texts = {name: _rewritten(text, number, names) for name, text in rule.get("annotations", {}).items()}
    return {
        **rule,
        key: _renamed(rule[key], number),
        "expr": _rewritten(rule["expr"], number, names),
        **({"annotations": texts} if texts else {}),
    }


def _rewritten(expr: str, number: int, names: set[str]) -> str:
    """The expression with the number in every one of the names."""
    pattern = "|".join(sorted(map(re.escape, names), key=len, reverse=True))
    return re.sub(rf"(?<![\w:])(?:{pattern})(?![\w:])", lambda found: _renamed(found[0], number), expr)


def _renamed(name: str, number: int) -> str:
    return f"{name}_mutant{number}"


def _run(tool: str, rules: Mapping[str, Any], tests: Mapping[str, Any]) -> str:
    """What promtool prints of these files; empty when every test passes. Raises EnvironmentProblem."""
    with tempfile.TemporaryDirectory() as directory:
        for name, content in (("rules.yaml", rules), ("tests.yaml", tests)):
            with open(Path(directory, name), "w", encoding="utf-8") as file:
                yaml.dump(content, file, _Dumper, sort_keys=False, width=1_000_000)
        done = subprocess.run(
            [tool, "test", "rules", "tests.yaml"], cwd=directory, capture_output=True, text=True, check=False
        )
    output = done.stdout + done.stderr
    if done.returncode and not _NUMBERED.search(output):
        raise EnvironmentProblem(output.strip())
    return output if done.returncode else ""


def _queries(rule: Rule) -> str:
    """All PromQL of a rule: its expression, and the annotations, which may hold queries."""
    return "\n".join([rule["expr"], *rule.get("annotations", {}).values()])


def _name(rule: Rule) -> str:
    name: str = rule.get("alert") or rule["record"]
    return name


def _shown(rule: Rule) -> str:
    """The name of a rule with the labels that tell it from others of the name."""
    return _name(rule) + conventions.telling(rule.get("labels", {}).items(), is_alert="alert" in rule)
