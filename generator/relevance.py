"""Rules, and what a test feeds and asks -> the rules that the test needs.

Promtool evaluates every rule of a file at every step of every test, though most of them find nothing of what the test
feeds, and most others yield nothing that it asks for. Without these, a test says the same in a fraction of the time.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from generator.promql.selectors import Selector, selectors

Content = Mapping[str, Any]

# What stands for an expression that cannot be read: it may find anything.
_WHATEVER = (Selector("", ()),)
# These yield something where their selectors find nothing, or have none.
_FROM_NOTHING = re.compile(r"\b(?:absent|absent_over_time|vector|time|scalar|hour|minute|month|year|day\w+)\s*\(")
# Alerts are series, too.
_ALERTS = ("ALERTS", "ALERTS_FOR_STATE")
_WORD = re.compile(r"[\w:]+")


def parts(tests: Content, groups: Sequence[Content], shipped: Sequence[Content]) -> list[tuple[Content, list[Content]]]:
    """A test file and its groups cut into parts: tests that need the same rules, and the groups with only these.

    `groups` are what is read, `shipped` what is cut: the same rules, maybe in a platform's own form.
    """
    relevance = Relevance(groups)
    by_need: dict[frozenset[int], list[Content]] = {}
    for test in tests["tests"]:
        by_need.setdefault(relevance.needed(test), []).append(test)
    return [({**tests, "tests": some}, _only(needed, shipped)) for needed, some in by_need.items()]


def _only(needed: Collection[int], groups: Iterable[Content]) -> list[Content]:
    """The groups with only these rules, and without those that have none of them."""
    numbers = itertools.count()
    cut = [{**group, "rules": [rule for rule in group["rules"] if next(numbers) in needed]} for group in groups]
    return [group for group in cut if group["rules"]]


class Relevance:
    """Which of the rules of some groups matter; rules are numbered through all groups."""

    def __init__(self, groups: Sequence[Content]) -> None:
        self._rules = rules = [_Rule(rule) for group in groups for rule in group["rules"]]
        self._readers = [
            {number for number, reader in enumerate(rules) if rule.may_yield(reader.reads)} for rule in rules
        ]
        self._sources = [
            {number for number, source in enumerate(rules) if source.may_be_asked_by(reader)} for reader in rules
        ]
        self._from_nothing = frozenset(number for number, rule in enumerate(rules) if rule.is_from_nothing)
        self._found: dict[str, frozenset[int]] = {}

    def needed(self, test: Content) -> frozenset[int]:
        """The rules that a test asks for, and those without which they might yield something else."""
        alerts = {str(check["alertname"]) for check in test.get("alert_rule_test") or ()}
        asked = {selector for check in test.get("promql_expr_test") or () for selector in _read(str(check["expr"]))}
        live = self.live([test])
        wanted = frozenset(
            number
            for number, rule in enumerate(self._rules)
            if (rule.is_alert and rule.name in alerts) or (number in live and rule.may_yield(asked))
        )
        return _closure(wanted, lambda reader: self._sources[reader] & live)

    def live(self, tests: Iterable[Content]) -> frozenset[int]:
        """The rules that may yield something of what any of the tests feeds."""
        fed = {str(series["series"]) for test in tests for series in test.get("input_series") or ()}
        reached = self._from_nothing.union(*map(self._find, fed))
        return _closure(reached, lambda source: self._readers[source])

    def _find(self, series: str) -> frozenset[int]:
        """The rules that may find a series, which is written as a selector."""
        if series not in self._found:
            one = _fed(series)
            self._found[series] = frozenset(
                number for number, rule in enumerate(self._rules) if any(each.may_find(*one) for each in rule.reads)
            )
        return self._found[series]


def _closure(start: frozenset[int], of: Callable[[int], AbstractSet[int]]) -> frozenset[int]:
    """The start, what each of it leads to, and so on."""
    found, left = set(start), list(start)
    while left:
        more = of(left.pop()) - found
        found |= more
        left += more
    return frozenset(found)


@dataclass(frozen=True, eq=False)
class _Rule:
    """A rule as its file has it."""

    content: Content

    @property
    def is_alert(self) -> bool:
        return "alert" in self.content

    @property
    def name(self) -> str:
        return str(self.content["alert" if self.is_alert else "record"])

    @cached_property
    def reads(self) -> tuple[Selector, ...]:
        return _read(str(self.content["expr"]))

    @cached_property
    def is_from_nothing(self) -> bool:
        """Whether it may yield something where its selectors find nothing."""
        return not self.reads or bool(_FROM_NOTHING.search(str(self.content["expr"])))

    @cached_property
    def words(self) -> frozenset[str]:
        """Those of its annotations and labels, which may hold queries."""
        texts = (self.content.get(key) or {} for key in ("annotations", "labels"))
        return frozenset(word for each in texts for text in each.values() for word in _WORD.findall(str(text)))

    @cached_property
    def _series(self) -> tuple[tuple[str, dict[str, str]], ...]:
        """The names of what it yields, with the labels that are known of it."""
        said = {label: str(text) for label, text in (self.content.get("labels") or {}).items() if "{{" not in str(text)}
        if self.is_alert:
            return tuple((name, {**said, "alertname": self.name}) for name in _ALERTS)
        return ((self.name, said),)

    def may_yield(self, wanted: Iterable[Selector]) -> bool:
        """Whether any of the selectors may find what it yields."""
        return any(each.may_find(*one) for each in wanted for one in self._series)

    def may_be_asked_by(self, reader: _Rule) -> bool:
        """Whether the other rule may read what this one yields, in its expression or in a query of an annotation."""
        return self.name in reader.words or self.may_yield(reader.reads)


def _read(expr: str) -> tuple[Selector, ...]:
    try:
        return selectors(expr)
    except ValueError:
        return _WHATEVER


def _fed(series: str) -> tuple[str, dict[str, str]]:
    """The name and the labels of a series that is written as a selector."""
    read = _read(series)[0]
    labels = {label: value for label, _, value in read.matchers}
    return labels.pop("__name__", "") or read.name, labels
