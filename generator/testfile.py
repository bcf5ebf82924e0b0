"""A promtool test file as data: the scenarios that its tests play, and which of them promtool's output is about.

Several scenarios are packed into one test, whose name lists them. Promtool says of a failure which alert or expression
it saw when; what is asked then and there tells the test, and the name of the rule the scenario.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Any

from generator import conventions
from generator.units import Duration

# Where a rule stands in what promtool asks for: a recorded series in an expression, an alert in `ALERTS{...}`.
_ASKED = re.compile(rf'{conventions.RECORDED.pattern}|(?<=alertname=")\w+')
# What promtool's output is made of: its headings, and one block for each failure.
_HEADING = re.compile(r"^(?:Unit Testing: .*| +(?:FAILED|SUCCESS):?)?\n", re.MULTILINE)
_BLOCK = re.compile(
    r"^    (?:name: (?P<test>.*),\n    )?"
    r'(?P<what>(?:alertname: (?P<alert>.+?)|expr: (?P<expr>"(?:[^"\\\n]|\\.)*")|rule: .+?), time: (?P<time>\w+))',
    re.MULTILINE,
)


@dataclass(frozen=True, eq=False)
class Test:
    """One test of a file: its number, and its content as promtool reads it."""

    number: int
    content: Mapping[str, Any]

    @cached_property
    def scenarios(self) -> tuple[str, ...]:
        """Each as `rule: scenario`; a test that nobody named is one scenario."""
        return conventions.scenarios(str(self.content.get("name") or f"test {self.number + 1}"))

    @property
    def alerts(self) -> list[Mapping[str, Any]]:
        """What is asked about alerts: `eval_time`, `alertname`, and `exp_alerts` when any must fire."""
        return self.content.get("alert_rule_test") or []

    @property
    def samples(self) -> list[Mapping[str, Any]]:
        """What is asked about series: `eval_time`, `expr`, and `exp_samples` when there must be any."""
        return self.content.get("promql_expr_test") or []

    @cached_property
    def asked(self) -> frozenset[tuple[str, str]]:
        """The alerts and expressions that are asked about, with the times."""
        alerts = {(str(check.get("alertname")), _time(check)) for check in self.alerts}
        return frozenset(alerts | {(str(check.get("expr")), _time(check)) for check in self.samples})

    def about(self, asked: str) -> tuple[str, ...]:
        """The scenarios that an alert or an expression is asked for; all of them if that cannot be told.

        A scenario of several rules of one template has the name of the first: theirs may differ in the level.
        """
        rules = {conventions.without_level(name) for name in _ASKED.findall(asked) or [asked]}
        own = [each for each in self.scenarios if conventions.without_level(each.partition(": ")[0]) in rules]
        return tuple(own) or self.scenarios


def tests(content: Mapping[str, Any]) -> tuple[Test, ...]:
    """The tests of a file, in its order."""
    return tuple(Test(number, each) for number, each in enumerate(content.get("tests") or ()))


@dataclass(frozen=True, slots=True)
class Failure:
    """What promtool found wrong: in which test (by number) and which of its scenarios, as far as that can be told."""

    text: str
    test: int | None = None
    scenarios: tuple[str, ...] = ()


def failures(tests: Iterable[Test], output: str) -> Iterator[Failure]:
    """Every failure in what `promtool test rules` printed of a file with these tests."""
    known = tuple(tests)
    text = _HEADING.sub("", output if output.endswith("\n") else f"{output}\n")
    blocks = list(_BLOCK.finditer(text))
    starts = [*(block.start() for block in blocks), len(text)]
    if before := text[: starts[0]].strip():
        yield Failure(before)
    last = 0
    for block, end in zip(blocks, starts[1:], strict=True):
        asked = block["alert"] or (_unquoted(block["expr"]) if block["expr"] else "")
        time = _normal(block["time"])
        able = [
            test
            for test in known
            if (asked, time) in test.asked and block["test"] in (None, str(test.content.get("name")))
        ]
        # Failures come in the order of the tests: of tests that ask the same, it is the next one.
        test = next((test for test in able if test.number >= last), next(iter(able), None))
        said = text[block.start("what") : end].strip()
        if test is None:
            yield Failure(said)
        else:
            last = test.number
            yield Failure(said, test.number, test.about(asked))


def moment(check: Mapping[str, Any]) -> Decimal:
    """When something is asked, in milliseconds."""
    return Duration.parse(_time(check)).milliseconds


def _time(check: Mapping[str, Any]) -> str:
    return _normal(str(check.get("eval_time")))


def _normal(time: str) -> str:
    """A duration in one of the ways to write it, `60m` or `1h`; what is none stays as it is."""
    try:
        return str(Duration.parse(time))
    except ValueError:
        return time


def _unquoted(text: str) -> str:
    """What Go printed in quotes, which differs from JSON in control characters only."""
    try:
        return str(json.loads(text))
    except ValueError:
        return text[1:-1]
