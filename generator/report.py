"""What a run of tests has shown, scenario by scenario: as lines for people, as JSON, and as JUnit XML for CI systems.

The XML has the shape that Jenkins, GitLab and the GitHub reporters have in common (Jenkins' `junit-10.xsd`): a suite
per test file, a case per scenario. Promtool runs all tests of a file at once, so only suites have a time.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

from generator import promtool, testfile
from generator.coverage import KINDS, Item, coverage
from generator.findings import Finding
from generator.promtool import Outcome

if TYPE_CHECKING:
    from generator.proof import Verdict


@dataclass(frozen=True, slots=True)
class Case:
    """One thing that was judged, and what is wrong with it; nothing when it passed."""

    name: str
    problems: tuple[str, ...] = ()


# What is judged of a test file as a whole: that it can be read, and what promtool passes over.
SOUND = "rules and tests are sound"


@dataclass(frozen=True, slots=True)
class FileReport:
    """What became of one test file: its scenarios, and what else was asked for (None where nobody did).

    `failed` are the tests, by number, that prove nothing. `mutated` says in how many seconds it was mutated.
    """

    outcome: Outcome
    scenarios: tuple[Case, ...]
    failed: frozenset[int] = frozenset()
    mutants: tuple[Verdict, ...] | None = None
    mutated: float = 0
    coverage: tuple[Item, ...] | None = None

    @property
    def file(self) -> str:
        return str(self.outcome.file)

    @property
    def findings(self) -> Iterator[Finding]:
        """Everything that is wrong."""

        def finding(path: str, wrong: str, right: str = "") -> Finding:
            return Finding("error", self.file, 0, 0, path, wrong, right)

        yield from (finding("", problem) for problem in self.outcome.problems)
        for each in self.survivors:
            yield finding(each.rule, f"a mutant survives: {each.what}", "strengthen its scenarios")
        for item in self.coverage or ():
            for missing in item.missing:
                yield finding(f"{item.kind}: {item.name}", missing, "build it again, or strengthen its scenarios")

    @property
    def survivors(self) -> list[Verdict]:
        """The mutants that no test noticed, though one could."""
        return [each for each in self.mutants or () if not each.killed and not each.equivalent]

    @property
    def killed(self) -> list[Verdict]:
        """The mutants that tests noticed."""
        return [each for each in self.mutants or () if each.killed]

    @property
    def equivalent(self) -> list[Verdict]:
        """The mutants that say the same as their rule."""
        return [each for each in self.mutants or () if not each.killed and each.equivalent]


def of(outcome: Outcome) -> FileReport:
    """The report of a test file that promtool has run, each failure with the scenarios that it is about."""
    if not outcome.tested:
        return FileReport(outcome, (Case(SOUND, outcome.problems),))
    tests = testfile.tests(promtool.read(outcome.file))
    found: dict[tuple[int, str], list[str]] = {
        (test.number, scenario): [] for test in tests for scenario in test.scenarios
    }
    whole: list[str] = []
    for failure in (each for problem in outcome.problems for each in testfile.failures(tests, problem)):
        for scenario in failure.scenarios:
            found[failure.test or 0, scenario].append(failure.text)
        if failure.test is None:
            whole.append(failure.text)
    failed = {number for (number, _), problems in found.items() if problems}
    cases = [Case(SOUND, tuple(whole)), *(Case(name, tuple(problems)) for (_, name), problems in found.items())]
    return FileReport(outcome, tuple(_told_apart(cases)), frozenset(range(len(tests)) if whole else failed))


def _told_apart(cases: Iterable[Case]) -> Iterator[Case]:
    """The cases, those of one name numbered: CI systems know a case by its name."""
    seen: Counter[str] = Counter()
    for case in cases:
        seen[case.name] += 1
        yield replace(case, name=f"{case.name} ({seen[case.name]})") if seen[case.name] > 1 else case


def covered(reports: Iterable[FileReport]) -> list[FileReport]:
    """The reports, with what the tests of a profile prove in that of its first test file.

    Nothing is said of a profile with a file that did not come to its tests. Raises InputError when a manifest is
    missing that says what they must prove.
    """
    found = list(reports)
    first: dict[Path, int] = {}
    for index, report in enumerate(found):
        first.setdefault(report.outcome.file.parent.parent, index)
    for profile, index in first.items():
        own = [report for report in found if report.outcome.file.parent.parent == profile]
        if all(report.outcome.tested for report in own):
            items = coverage({report.outcome.file: report.failed for report in own})
            found[index] = replace(found[index], coverage=items)
    return found


def covered_in_words(reports: Iterable[FileReport]) -> Iterator[str]:
    """Of each kind of thing that tests must prove, how many are proven of how many; and which, where these are few."""
    items = [item for report in reports for item in report.coverage or ()]
    for kind in KINDS:
        own = [item for item in items if item.kind == kind]
        proven = [item for item in own if not item.missing]
        listed = ", ".join(dict.fromkeys(each.value for each in proven if each.value))
        yield f"{kind:12} {len(proven)} of {len(own)}" + (f": {listed}" if listed else "")


def as_data(report: FileReport) -> dict[str, Any]:
    """A report as JSON has it."""
    mutants, items = report.mutants, report.coverage
    return {
        "file": report.file,
        "seconds": round(report.outcome.seconds, 3),
        "tests": report.outcome.tests,
        "scenarios": [{"name": each.name, "problems": list(each.problems)} for each in report.scenarios],
        "mutants": None
        if mutants is None
        else {
            "seconds": round(report.mutated, 3),
            "killed": len(report.killed),
            "equivalent": [
                {"rule": each.rule, "what": each.what, "why": each.equivalent} for each in report.equivalent
            ],
            "survivors": [{"rule": each.rule, "what": each.what} for each in report.survivors],
        },
        "coverage": None
        if items is None
        else {
            kind: [{"name": each.name, "missing": list(each.missing)} for each in items if each.kind == kind]
            for kind in KINDS
        },
    }


def junit(reports: Iterable[FileReport], tool: str) -> bytes:
    """All reports as JUnit XML. `tool` is the promtool that ran the tests."""
    suites = [suite for report in reports for suite in _suites(report, tool)]
    top = ET.Element("testsuites", {"name": "thresher test", **_summed(suites)})
    top.extend(suites)
    ET.indent(top)
    return b"%s\n" % ET.tostring(top, "utf-8", xml_declaration=True)


def _suites(report: FileReport, tool: str) -> Iterator[ET.Element]:
    name = report.outcome.file.name.removesuffix(".yaml").removesuffix(".tests")
    yield _suite(report.file, f"{name}.tests", report.scenarios, report.outcome.seconds, tool)
    if report.mutants is not None:
        of_rule: dict[str, list[str]] = {each.rule: [] for each in report.mutants}
        for each in report.survivors:
            of_rule[each.rule].append(f"survives: {each.what}")
        cases = [Case(rule, tuple(survivors)) for rule, survivors in of_rule.items()]
        yield _suite(f"{report.file}: mutants", f"{name}.mutants", cases, report.mutated, tool)
    if report.coverage is not None:
        cases = [Case(f"{item.kind}: {item.name}", item.missing) for item in report.coverage]
        yield _suite(f"{report.file}: coverage", f"{name}.coverage", _told_apart(cases), None, tool)


def _suite(name: str, group: str, cases: Iterable[Case], seconds: float | None, tool: str) -> ET.Element:
    suite = ET.Element("testsuite", {"name": _xml(name)})
    properties = ET.SubElement(suite, "properties")
    ET.SubElement(properties, "property", {"name": "promtool", "value": _xml(tool)})
    for case in cases:
        element = ET.SubElement(suite, "testcase", {"name": _xml(case.name), "classname": _xml(group)})
        if case.problems:
            message = case.problems[0].partition("\n")[0]
            failure = ET.SubElement(element, "failure", {"message": _xml(message), "type": "failure"})
            failure.text = _xml("\n\n".join(case.problems))
    counts = {"tests": len(suite) - 1, "failures": len(suite.findall("testcase/failure")), "errors": 0, "skipped": 0}
    suite.attrib |= {key: str(count) for key, count in counts.items()}
    if seconds is not None:
        suite.set("time", f"{seconds:.3f}")
    return suite


def _summed(suites: list[ET.Element]) -> dict[str, str]:
    """The sums over the suites, of what the top element can have."""
    counts = {key: str(sum(int(suite.attrib[key]) for suite in suites)) for key in ("tests", "failures", "errors")}
    return {**counts, "time": f"{sum(float(suite.get('time', 0)) for suite in suites):.3f}"}


# What XML 1.0 cannot hold, not even escaped.
_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def _xml(text: str) -> str:
    """The text with what XML cannot hold escaped as Python does, `\\x1b`."""
    return _FORBIDDEN.sub(lambda found: ascii(found[0])[1:-1], text)
