"""The report of a run for CI systems: every failure with its scenario, in XML that every reader can read."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from generator import report, testfile
from generator.coverage import Item
from generator.promtool import Outcome
from generator.proof import Verdict
from tests.conftest import Thresher

RULES = """\
groups:
  - name: a
    rules:
      - record: a:ups:sum
        expr: sum(up)
      - alert: Down
        expr: up == 0
        labels: {severity: info}
      - alert: Up
        expr: up == 1
        labels: {severity: info}
"""
TESTS = """\
rule_files: [../rules/a.yaml]
evaluation_interval: 1m
group_eval_order: [a]
tests:
  - name: 'Down: breaks | b:ups:sum: one <target> | Up: works'
    interval: 1m
    input_series: [{series: 'up{job="x"}', values: '0x5 1x20'}]
    alert_rule_test:
      - {eval_time: 2m, alertname: Down, exp_alerts: [{exp_labels: {severity: info, job: x}}]}
      - {eval_time: 8m, alertname: Up, exp_alerts: [{exp_labels: {severity: info, job: x}}]}
    promql_expr_test:
      - {expr: 'a:ups:sum', eval_time: 8m, exp_samples: [{labels: 'a:ups:sum', value: 1}]}
  - name: 'Down: breaks'
    interval: 1m
    alert_rule_test: [{eval_time: 60m, alertname: Down, exp_alerts: []}]
"""

# What `junit-10.xsd` of Jenkins lets each element have, in its order, and what must be there.
SHAPE: dict[str, tuple[set[str], set[str], list[str]]] = {
    "testsuites": ({"name", "time", "tests", "failures", "disabled", "errors"}, set(), ["testsuite"]),
    "testsuite": (
        {
            "name",
            "tests",
            "failures",
            "errors",
            "time",
            "disabled",
            "skipped",
            "timestamp",
            "hostname",
            "id",
            "package",
        },
        {"name", "tests"},
        ["properties", "testcase", "system-out", "system-err"],
    ),
    "properties": (set(), set(), ["property"]),
    "property": ({"name", "value"}, {"name", "value"}, []),
    "testcase": ({"name", "assertions", "time", "classname", "status"}, {"name"}, ["skipped", "error", "failure"]),
    "failure": ({"type", "message"}, set(), []),
}


def read(xml: bytes) -> ET.Element:
    """The report, if every element has the shape that readers have in common and the counts are right."""
    top = ET.fromstring(xml)
    assert top.tag == "testsuites"
    for element in top.iter():
        allowed, required, children = SHAPE[element.tag]
        assert required <= set(element.keys()) <= allowed
        order = [children.index(child.tag) for child in element]
        assert order == sorted(order)
    for suite in top:
        assert int(suite.attrib["tests"]) == len(suite.findall("testcase"))
        assert int(suite.attrib["failures"]) == len(suite.findall("testcase/failure"))
        names = [(case.get("classname"), case.get("name")) for case in suite.findall("testcase")]
        assert len(names) == len(set(names))
    for count in ("tests", "failures", "errors"):
        assert int(top.attrib[count]) == sum(int(suite.attrib[count]) for suite in top)
    return top


def failing(top: ET.Element) -> dict[str, str]:
    """The text of each failure, by the name of its case."""
    cases = [case for case in top.iter("testcase") if case.find("failure") is not None]
    return {case.attrib["name"]: case.findtext("failure") or "" for case in cases}


@pytest.fixture
def run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, thresher: Thresher, promtool: str
) -> Callable[..., tuple[int, ET.Element]]:
    """Tests these rules with these tests, and reads the XML."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PROMTOOL", promtool)

    def run(rules: str = RULES, tests: str = TESTS) -> tuple[int, ET.Element]:
        for name, text in (("rules/a.yaml", rules), ("tests/a.tests.yaml", tests)):
            path = Path("out/p", name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
        done = thresher("test", "--junit", "made/report.xml")
        return done.exit_code, read(Path("made/report.xml").read_bytes())

    return run


def test_every_scenario_is_a_case(run: Callable[..., tuple[int, ET.Element]]) -> None:
    code, top = run()
    assert code == 0
    (suite,) = top
    assert suite.attrib["name"] == "out/p/tests/a.tests.yaml"
    assert float(suite.attrib["time"]) > 0
    assert [case.attrib["name"] for case in suite.findall("testcase")] == [
        "rules and tests are sound",
        "Down: breaks",
        "b:ups:sum: one <target>",
        "Up: works",
        "Down: breaks (2)",
    ]
    assert {case.attrib["classname"] for case in suite.findall("testcase")} == {"a.tests"}


@pytest.mark.parametrize(
    ("old", "new", "name", "says"),
    [
        ("up == 0", "up == 2", "Down: breaks", "alertname: Down, time: 2m"),
        ("up == 1", "up == 2", "Up: works", "alertname: Up, time: 8m"),
        ("sum(up)", "2 * sum(up)", "b:ups:sum: one <target>", 'expr: "a:ups:sum", time: 8m'),
        ("up == 0", "up == 0 or vector(60)", "Down: breaks (2)", "alertname: Down, time: 1h"),
    ],
)
def test_a_failure_is_with_the_scenario_that_it_is_about(
    old: str, new: str, name: str, says: str, run: Callable[..., tuple[int, ET.Element]]
) -> None:
    code, top = run(RULES.replace(old, new))
    assert code == 1
    assert failing(top)[name].startswith(says)
    others = {"Down: breaks"} if name.endswith("(2)") else set()
    assert failing(top).keys() - others == {name}


@pytest.mark.parametrize(
    ("rules", "tests"),
    [
        (RULES.replace("up == 0", "up =="), TESTS),
        (RULES, TESTS.replace("alertname: Up", "alertname: UP")),
        (RULES, "tests: ["),
    ],
)
def test_what_is_wrong_with_a_whole_file_is_a_case_too(
    rules: str, tests: str, run: Callable[..., tuple[int, ET.Element]]
) -> None:
    code, top = run(rules, tests)
    assert code == 1
    assert failing(top).keys() == {"rules and tests are sound"}


def test_what_promtool_says_of_no_test_is_about_all_of_them() -> None:
    tests = testfile.tests({"tests": [{"name": "A: x"}]})
    (failure,) = testfile.failures(tests, "Unit Testing:  a\n  FAILED:\n    rule: A, time: 3m, err: many-to-many\n\n")
    assert failure == testfile.Failure("rule: A, time: 3m, err: many-to-many")
    assert not list(testfile.failures(tests, "Unit Testing:  a\n  SUCCESS\n\n"))


def test_scenarios_come_as_json_too(run: Callable[..., tuple[int, ET.Element]], thresher: Thresher) -> None:
    run(RULES.replace("up == 0", "up == 2"))
    (file,) = json.loads(thresher("test", "--format", "json").stdout)["files"]
    assert (file["file"], file["tests"], file["mutants"], file["coverage"]) == (
        "out/p/tests/a.tests.yaml",
        2,
        None,
        None,
    )
    assert {each["name"] for each in file["scenarios"] if each["problems"]} == {"Down: breaks"}
    assert file["seconds"] > 0


HOSTILE = "\x00\x1b[31m]]> & <a b='\"'>\ud800\ufffe \U0001f600\r\nend"


def test_hostile_names_are_escaped() -> None:
    outcome = Outcome(Path(f"{HOSTILE}/tests/x.tests.yaml"), 1, 1.5, (), tested=True)
    cases = (report.Case(HOSTILE, (HOSTILE,)),)
    top = read(report.junit([report.FileReport(outcome, cases)], HOSTILE))
    (case,) = top.iter("testcase")
    assert case.attrib["name"] == r"\x00\x1b[31m]]> & <a b='" + '"' + r"'>\ud800\ufffe " + "\U0001f600\r\nend"
    assert (case.findtext("failure") or "").startswith(r"\x00\x1b[31m]]> & <a b=")


def test_survivors_and_what_is_not_proven_are_failures_of_their_rules() -> None:
    outcome = Outcome(Path("out/p/tests/p.tests.yaml"), 1, 1.5, (), tested=True)
    whole = report.FileReport(
        outcome,
        (report.Case("A: x"),),
        mutants=(
            Verdict("A", "for removed", killed=False, equivalent=""),
            Verdict("A", "y", killed=False, equivalent="it says the same"),
            Verdict("B", "z", killed=True, equivalent=""),
        ),
        mutated=2.5,
        coverage=(Item("rules", "A", ("no test sees it fire",)), Item("rules", "B", ())),
    )
    top = read(report.junit([whole], "promtool"))
    names = [(suite.attrib["name"].partition(": ")[2], suite.get("time"), suite.attrib["failures"]) for suite in top]
    assert names == [("", "1.500", "0"), ("mutants", "2.500", "1"), ("coverage", None, "1")]
    assert failing(top) == {"A": "survives: for removed", "rules: A": "no test sees it fire"}
    assert [finding.path for finding in whole.findings] == ["A", "rules: A"]


def test_a_report_that_cannot_be_written_is_a_wrong_argument(thresher: Thresher, tmp_path: Path) -> None:
    run = thresher("test", tmp_path, "--junit", tmp_path)
    assert run.exit_code == 2
    assert "--junit" in run.stderr
