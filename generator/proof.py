"""Rules and their tests -> which mutants of the rules the tests notice.

Running a test file once for every mutant would take hours. So many mutants of one rule run side by side, under names
of their own, in a test file that holds only what they touch: the rule, what it reads, and what reads it. They are
first held against the rule's own tests, those before others that see it say something, and those that are left against
the tests of the rules that read it, the nearest first.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import tempfile
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from generator import catalog, conventions, equivalence, promtool, testfile
from generator.findings import EnvironmentProblem
from generator.mutation import Mutant, mutants
from generator.promql.text import equals
from generator.relevance import Relevance
from generator.units import Duration

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

    `file` is the first of the test files; of their contents, those come last that last for days.
    """

    file: Path
    groups: Sequence[Mapping[str, Any]]
    tests: Sequence[Mapping[str, Any]]
    bounds: tuple[float, ...]

    @cached_property
    def rules(self) -> list[Rule]:
        return [rule for group in self.groups for rule in group["rules"]]

    @cached_property
    def relevance(self) -> Relevance:
        """Which of the rules matter to a test; they are numbered as in `rules`."""
        return Relevance(self.groups)

    @cached_property
    def laws(self) -> equivalence.Laws:
        """By what a mutant can be proven to say the same as its rule."""
        return equivalence.known(self.rules, self.bounds[0] if self.bounds else 0.0)

    @cached_property
    def reads(self) -> dict[str, set[str]]:
        """What the rules of each name read of other rules."""
        found: dict[str, set[str]] = {_name(rule): set() for rule in self.rules}
        for rule in self.rules:
            found[_name(rule)] |= _recorded(rule) & found.keys()
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
    contents.sort(key=lambda content: Duration.parse(content["evaluation_interval"]).milliseconds)
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
        left: Mapping[int, Mutant] = batch
        for circle in _circles(suite, rule):
            for content in _rounds(suite, circle):
                killed |= _killed(tool, suite, content, index, left, circle)
                left = {number: mutant for number, mutant in left.items() if number not in killed}
            # What says the same, no reader can tell apart either.
            left = {number: mutant for number, mutant in left.items() if not same[number]}
        verdicts += [
            Verdict(_shown(rule), mutant.what, number in killed, same[number]) for number, mutant in batch.items()
        ]
    return verdicts


@dataclass(frozen=True, slots=True)
class _Circle:
    """What there is once for each mutant: the rules with these names; or one rule `alone`, without others of its name.

    Alone, it is tested by the checks that name all of its labels, as those of another rule would not answer them, and
    of alerts by what is expected with these labels. A verdict rests on most other rules, and is queried anew for every
    alert at every step: in a `brief` circle, alerts do without.
    """

    names: frozenset[str]
    alone: Rule | None = None
    brief: bool = False

    def holds(self, rule: Rule) -> bool:
        return _name(rule) in self.names if self.alone is None else rule is self.alone

    def expected(self, check: Mapping[str, Any]) -> dict[str, Any]:
        """A check of alerts with what is expected of the circle."""
        own = self.alone["labels"] if self.alone else {}
        alerts = [each for each in check.get("exp_alerts", ()) if own.items() <= each["exp_labels"].items()]
        return {**check, "exp_alerts": [self._without_verdict(each, "exp_annotations") for each in alerts]}

    def played(self, rule: Rule) -> Rule:
        """A rule that it holds, as it takes part in the tests."""
        return self._without_verdict(rule, "annotations")

    def _without_verdict(self, content: Mapping[str, Any], key: str) -> Mapping[str, Any]:
        if not self.brief:
            return content
        return {**content, key: {name: text for name, text in content[key].items() if name != conventions.VERDICT}}

    def is_expected(self, check: Mapping[str, Any]) -> bool:
        """Whether a check of a test expects a result of the circle."""
        if not self.is_asked(check):
            return False
        return bool(self.expected(check)["exp_alerts"] if "alertname" in check else check.get("exp_samples"))

    def is_asked(self, check: Mapping[str, Any]) -> bool:
        """Whether a check of a test is about what there is once for each mutant."""
        if "alertname" in check:
            return check["alertname"] in self.names
        expr = check["expr"]
        own = self.alone["labels"] if self.alone else {}
        told = all(equals(label, str(text)) in expr for label, text in own.items())
        return told and any(re.search(rf"(?<![\w:]){re.escape(name)}(?![\w:])", expr) for name in self.names)


def _circles(suite: Suite, rule: Rule) -> Iterator[_Circle]:
    """The rule alone, with the others of its name, with what reads any of them, and so on."""
    names = frozenset([_name(rule)])
    alone = rule if any(_name(other) in names and other is not rule for other in suite.rules) else None
    if conventions.VERDICT in rule.get("annotations", {}):
        yield _Circle(names, alone, brief=True)
    if alone:
        yield _Circle(names, alone)
    yield _Circle(names)
    while more := {name for name, read in suite.reads.items() if read & names} - names:
        names |= more
        yield _Circle(names)


def _rounds(suite: Suite, circle: _Circle) -> Iterator[Mapping[str, Any]]:
    """The test files, cut down to the tests that ask for something in the circle: one test, as many again, and so on.

    Those come first that expect something of it, the shorter ones before the longer ones: what these notice, the others
    need not run for.
    """
    for content in suite.tests:
        tests = [test for test in content["tests"] if any(map(circle.is_asked, _checks(test)))]
        tests.sort(
            key=lambda test: (not any(map(circle.is_expected, _checks(test))), max(map(testfile.moment, _checks(test))))
        )
        done = 0
        while part := tests[done : max(2 * done, 1)]:
            yield {**content, "tests": part}
            done += len(part)


def _checks(test: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [*test.get("alert_rule_test", ()), *test.get("promql_expr_test", ())]


def _killed(
    tool: str, suite: Suite, content: Mapping[str, Any], index: int, batch: Mapping[int, Mutant], circle: _Circle
) -> set[int]:
    """The numbers of the mutants that the tests of a file notice."""
    killed: set[int] = set()
    while left := {number: mutant for number, mutant in batch.items() if number not in killed}:
        output = _run(tool, *_written(suite, content, index, left, circle))
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
    suite: Suite, content: Mapping[str, Any], index: int, batch: Mapping[int, Mutant], circle: _Circle
) -> tuple[dict[str, Any], dict[str, Any]]:
    """A rule file and a test file with all of the batch: every rule of the circle once for each mutant."""
    target = suite.rules[index]
    # Alone, it reads what others of its name record, and not what its mutants do.
    names = circle.names if circle.alone is None else frozenset[str]()
    needed: set[str] = set()
    more = {name for rule in suite.rules if circle.holds(rule) for name in _recorded(circle.played(rule))}
    while more := more & suite.reads.keys() - needed:
        needed |= more
        more = {read for name in more for read in suite.reads[name]}
    live = {id(suite.rules[number]) for number in suite.relevance.live(content["tests"])}
    groups = []
    for group in suite.groups:
        rules: list[Rule] = []
        for rule in group["rules"]:
            if circle.holds(rule):
                variants = {
                    _UNCHANGED: rule,
                    **{n: mutant.rule if rule is target else rule for n, mutant in batch.items()},
                }
                rules += [_numbered(circle.played(each), number, names) for number, each in variants.items()]
            elif id(rule) in live and _name(rule) in needed:
                rules.append(rule)
        if rules:
            groups.append({"name": group["name"], "interval": group["interval"], "rules": rules})
    exprs = "\n".join(_queries(rule) for group in groups for rule in group["rules"])
    numbers = (_UNCHANGED, *batch)
    return {"groups": groups}, {
        "rule_files": ["rules.yaml"],
        "evaluation_interval": content["evaluation_interval"],
        "group_eval_order": [group["name"] for group in groups],
        "tests": [_multiplied(test, circle, numbers, exprs) for test in content["tests"]],
    }


def _multiplied(test: Mapping[str, Any], circle: _Circle, numbers: Iterable[int], exprs: str) -> dict[str, Any]:
    """What of a test is about the circle, once for each number."""
    alerts, samples = (
        [check for check in test.get(kind, ()) if circle.is_asked(check)]
        for kind in ("alert_rule_test", "promql_expr_test")
    )
    fed = (each for series in test.get("input_series", ()) for each in _fed(series, circle.names, numbers, exprs))
    return {
        "interval": test["interval"],
        "input_series": list(fed),
        "alert_rule_test": [
            {**circle.expected(check), "alertname": _renamed(check["alertname"], number)}
            for number in numbers
            for check in alerts
        ],
        "promql_expr_test": [
            {**check, "expr": _rewritten(check["expr"], number, circle.names)}
            for number in numbers
            for check in samples
        ],
    }


def _fed(
    series: Mapping[str, Any], names: Collection[str], numbers: Iterable[int], exprs: str
) -> Iterator[Mapping[str, Any]]:
    """The input series if any of the expressions reads it; one of these names once for each number, too."""
    name, brace, labels = series["series"].partition("{")
    if name in names:
        yield from ({**series, "series": _renamed(name, number) + brace + labels} for number in numbers)
    if re.search(rf"(?<![\w:]){re.escape(name)}(?!_mutant)", exprs):
        yield series


def _numbered(rule: Rule, number: int, names: Collection[str]) -> Rule:
    key = "alert" if "alert" in rule else "record"
    recorded = [
        name for name in names if ":" in name
    ]  # an alert's own name may be part of a text, as of its runbook's URL
    texts = {name: _rewritten(text, number, recorded) for name, text in rule.get("annotations", {}).items()}
    return {
        **rule,
        key: _renamed(rule[key], number),
        "expr": _rewritten(rule["expr"], number, names),
        **({"annotations": texts} if texts else {}),
    }


def _rewritten(expr: str, number: int, names: Collection[str]) -> str:
    """The expression with the number in every one of the names."""
    if not names:
        return expr
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


def _recorded(rule: Rule) -> set[str]:
    """The names of recorded series that a rule asks for."""
    return set(conventions.RECORDED.findall(_queries(rule)))


def _name(rule: Rule) -> str:
    name: str = rule.get("alert") or rule["record"]
    return name


def _shown(rule: Rule) -> str:
    """The name of a rule with the labels that tell it from others of the name."""
    return _name(rule) + conventions.telling(rule.get("labels", {}).items(), is_alert="alert" in rule)
