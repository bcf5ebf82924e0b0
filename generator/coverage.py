"""Rules and the tests that passed -> what of the rules is proven: rules, scenarios, releases, spellings of `le`.

All of it is read off the files that were just tested: the rule file, the test file, and the manifest beside them.
Promtool is content with whatever is asked; this tells what nobody asked.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

from generator import catalog, conventions, promtool
from generator.buckets import spellings
from generator.catalog import Metric, Release, exposed
from generator.findings import Finding, InputError
from generator.promql.selectors import Selector, selectors
from generator.promtests import SPELLED
from generator.testfile import Test, moment, tests

Kind = Literal["rules", "scenarios", "releases", "le spellings"]
KINDS: tuple[Kind, ...] = ("rules", "scenarios", "releases", "le spellings")


@dataclass(frozen=True, slots=True)
class Item:
    """One thing that the tests of a file must prove, and what is missing; it is proven when nothing is.

    `value` is the release or the spelling itself.
    """

    kind: Kind
    name: str
    missing: tuple[str, ...]
    value: str = ""


def coverage(tested: Mapping[Path, Collection[int]]) -> tuple[Item, ...]:
    """What of its rules the test files of a profile prove, but for the tests (by number) that failed in each.

    Raises InputError when there is no manifest beside them.
    """
    contents = {file: promtool.read(file) for file in tested}
    manifest = required(next(iter(tested)))
    files = dict.fromkeys(path.resolve() for file in tested for path in promtool.rule_files(file, contents[file]))
    rules = tuple(_Rule(rule) for path in files for group in promtool.groups(path) for rule in group["rules"])
    releases = [catalog.release(name) for name in _releases(manifest)]
    reading = _Reading(rules)
    played = [
        _Played(test, reading)
        for file, failed in tested.items()
        for test in tests(contents[file])
        if test.number not in failed
    ]
    return (
        *(Item("rules", rule.shown, tuple(_unproven(rule, reading, played, manifest))) for rule in rules),
        *_scenarios(played, manifest),
        *(Item("releases", release.name, _unlike(release, reading, played), release.name) for release in releases),
        *_spelled(reading, played, releases),
    )


def required(file: Path) -> Mapping[str, Any]:
    """The manifest beside a test file, which says what its tests must prove. Raises InputError when none does."""
    path = file.parent.parent / conventions.MANIFEST
    try:
        manifest: dict[str, Any] = json.loads(path.read_bytes())
        for name in _releases(manifest):
            catalog.release(name)
        _ = manifest["scenarios"].items(), list(manifest["fire_without_data"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        wrong = "coverage needs the manifest of a profile with its tests, and "
        wrong += f"this is none: {error!r}" if path.is_file() else "there is none"
        right = "run `thresher build`, with tests among the `outputs` of the profile"
        raise InputError([Finding("error", str(path), 0, 0, "", wrong, right)]) from error
    return manifest


def _releases(manifest: Mapping[str, Any]) -> list[str]:
    """The release that the profile names, and those of the deployments that share its rules."""
    return list(dict.fromkeys([manifest["milvus"], *(each["milvus"] for each in manifest.get("deployments", ()))]))


@dataclass(frozen=True, eq=False)
class _Rule:
    """A rule as its file has it."""

    content: Mapping[str, Any]

    @property
    def is_alert(self) -> bool:
        return "alert" in self.content

    @property
    def name(self) -> str:
        return str(self.content["alert" if self.is_alert else "record"])

    @cached_property
    def labels(self) -> dict[str, str]:
        return {label: str(text) for label, text in (self.content.get("labels") or {}).items()}

    @property
    def shown(self) -> str:
        """Its name, with the labels that tell it from others of the name."""
        return self.name + conventions.telling(self.labels.items(), is_alert=self.is_alert)

    @property
    def is_bare(self) -> bool:
        """Whether it is a selector and nothing else: an alert fires whenever there is what it reads."""
        import promql_parser

        return type(promql_parser.parse(str(self.content["expr"]))).__name__ == "VectorSelector"

    @cached_property
    def selectors(self) -> tuple[Selector, ...]:
        return selectors(str(self.content["expr"]))


class _Reading:
    """Which rules read which, and which series each rests on."""

    def __init__(self, rules: tuple[_Rule, ...]) -> None:
        self.rules = rules
        self.selectors = frozenset(selector for rule in rules for selector in rule.selectors)
        self._asked = {
            (matcher[0], Selector("", (matcher,)))
            for each in self.selectors
            for matcher in each.matchers
            if "!" not in matcher[1]
        }
        self._read = {
            rule: [other for other in rules if any(each.may_find(other.name, other.labels) for each in rule.selectors)]
            for rule in rules
        }
        self._readers = {rule: [other for other in rules if rule in self._read[other]] for rule in rules}

    def is_bystander(self, labels: Mapping[str, str]) -> bool:
        """Whether a series is there to be left alone: no rule asks for the value of one of its labels."""
        others = [(label, value) for label, value in labels.items() if value.startswith(conventions.OTHER)]
        return not all(
            any(label == asked and selector.matches(label, value) for asked, selector in self._asked)
            for label, value in others
        )

    def sources(self, rule: _Rule) -> frozenset[str]:
        """The names of the series that the rule rests on: what it reads, and what that was recorded from."""
        return frozenset(selector.name for each in _closure(rule, self._read) for selector in each.selectors)

    def readers(self, rule: _Rule) -> list[_Rule]:
        """The rule itself, and all rules whose results depend on it."""
        return _closure(rule, self._readers)


def _closure(rule: _Rule, of: Mapping[_Rule, Iterable[_Rule]]) -> list[_Rule]:
    found = [rule]
    for each in found:
        found += [other for other in of[each] if other not in found]
    return found


class _Played:
    """A test that passed: what it fed, what it saw firing and silent, and what it read."""

    def __init__(self, test: Test, reading: _Reading) -> None:
        self.scenarios = test.scenarios
        series = [selectors(each["series"])[0] for each in test.content.get("input_series") or ()]
        self.fed = [(each.name, {label: value for label, _, value in each.matchers}) for each in series]
        own = [not reading.is_bystander(labels) for _, labels in self.fed]
        self.names = frozenset(name for (name, _), is_own in zip(self.fed, own, strict=True) if is_own)
        values = [str(each["values"]) for each in test.content.get("input_series") or ()]
        # What is there from the beginning, when an alert that breaks out later must still be silent.
        self.calm = frozenset(
            name
            for (name, _), is_own, text in zip(self.fed, own, values, strict=True)
            if is_own and not text.startswith("_")
        )
        self._alerts = sorted(test.alerts, key=moment)
        self._read = [
            selector for check in test.samples if check.get("exp_samples") for selector in selectors(check["expr"])
        ]

    def states(self, alert: _Rule) -> list[bool]:
        """Whether the alert fires each time that it is asked for, in the order of time."""
        return [
            any(
                alert.labels.items() <= firing.get("exp_labels", {}).items() for firing in check.get("exp_alerts") or ()
            )
            for check in self._alerts
            if check["alertname"] == alert.name
        ]

    def sees(self, rule: _Rule) -> bool:
        """Whether a result of the rule is expected, and of no other with it."""
        if rule.is_alert:
            return any(self.states(rule))
        return any(
            selector.may_find(rule.name, rule.labels)
            and rule.labels.items() <= {(label, value) for label, op, value in selector.matchers if op == "="}
            for selector in self._read
        )


def _unproven(rule: _Rule, reading: _Reading, played: Iterable[_Played], manifest: Mapping[str, Any]) -> Iterator[str]:
    """What no test shows of a rule."""
    if not rule.is_alert:
        if not any(test.sees(rule) for test in played):
            yield "no test reads it"
        return
    sources = reading.sources(rule)
    states = [(test, found) for test in played if (found := test.states(rule))]
    with_data = [found for test, found in states if test.names & sources]
    if not any(map(any, with_data)):
        yield "no test sees it fire"
    if not rule.is_bare and not any(test.calm & sources and not found[0] for test, found in states):
        yield "no test sees it silent beside data"
    if not any(before and not after for found in with_data for before, after in pairwise(found)):
        yield "no test sees it resolve"
    if rule.name not in manifest["fire_without_data"] and not any(
        not test.names & sources and not any(found) for test, found in states
    ):
        yield "no test sees it silent without data"


def _scenarios(played: Iterable[_Played], manifest: Mapping[str, Any]) -> Iterator[Item]:
    """The scenarios that the manifest promises."""
    found = {_plain(scenario) for test in played for scenario in test.scenarios}
    for rule, names in manifest["scenarios"].items():
        for name in names:
            missing = () if (rule, name) in found else ("no test plays it",)
            yield Item("scenarios", f"{rule}: {name}", missing)


def _plain(scenario: str) -> tuple[str, str]:
    """The rule without its level, and the scenario without its spelling of `le`."""
    rule, _, name = scenario.partition(": ")
    for spelled in SPELLED:
        name = name.removesuffix(spelled)
    return conventions.without_level(rule), name


def _unlike(release: Release, reading: _Reading, played: Iterable[_Played]) -> tuple[str, ...]:
    """What the rules read but no test feeds, and in what that is fed differs from what the release exposes.

    What a rule keeps out stands for other releases or deployments, and a label that no rule names makes no difference.
    """
    named = frozenset(word for rule in reading.rules for word in re.findall(r"\w+", str(rule.content["expr"])))
    fed = [series for test in played for series in test.fed if not _kept_out(*series, reading)]
    names = {name for name, _ in fed}
    read = sorted({selector.name for selector in reading.selectors} - names)
    unfed = [f"no test feeds {name}" for name in read if name and exposed(release, name)]
    return tuple(dict.fromkeys([*unfed, *(wrong for series in fed for wrong in _wrong(release, *series, named))]))


def _kept_out(name: str, labels: Mapping[str, str], reading: _Reading) -> bool:
    """Whether a series is there to be left alone: a bystander, or of a value that a matcher excludes by name."""
    if reading.is_bystander(labels):
        return True
    own = [selector for selector in reading.selectors if selector.name == name]
    excluding = [(each, label) for each in own for label, op, _ in each.matchers if op.startswith("!")]
    return any(not each.matches(label, labels.get(label, "")) for each, label in excluding)


def _wrong(release: Release, name: str, labels: Mapping[str, str], named: frozenset[str]) -> Iterator[str]:
    if ":" in name or name == "up" or name in catalog.of_exporters():
        return
    found = exposed(release, name)
    if found is None or not found[0].fed:
        yield f"{name} is fed, which Milvus {release.name} does not expose"
        return
    metric, part = found
    own = {*metric.labels, *(["le"] if part == "_bucket" else [])}
    lacks = {f"lacks the label {label}" for label in own & named - labels.keys()}
    has = {f"has the label {label}" for label in labels.keys() & catalog.milvus_labels(release.branch) - own}
    for what in sorted(lacks | has):
        yield f"{name} is fed in a form that Milvus {release.name} does not expose: it {what}"
    for label, known in metric.values.items():
        if (value := labels.get(label, known[0])) not in known:
            yield f'{name} is fed with {label}="{value}", a value that Milvus {release.name} does not have'
    if "le" in labels and not _is_bound(labels["le"], metric):
        yield f'{name} is fed with le="{labels["le"]}", which is no bucket of Milvus {release.name}'


def _is_bound(le: str, metric: Metric) -> bool:
    """Whether a metric has the bucket, which may depend on the value of one of its labels."""
    others = [bounds for by_value in metric.buckets_of_value.values() for bounds in by_value.values()]
    return any(le in spellings(bound) for bounds in (metric.buckets, *others, (math.inf,)) for bound in bounds)


def _spelled(reading: _Reading, played: Collection[_Played], releases: Iterable[Release]) -> Iterator[Item]:
    """For each bucket that a rule asks for: a result of the rule, with the bucket as either Prometheus spells it."""
    for rule in reading.rules:
        asking = [
            each for each in rule.selectors if any(label == "le" and "!" not in op for label, op, _ in each.matchers)
        ]
        if not asking:
            continue
        found = {name: exposed(release, name) for release in releases for name in reading.sources(rule)}
        buckets = {name: each[0].buckets for name, each in found.items() if each and each[1] == "_bucket"}
        seen = [test for test in played if any(test.sees(reader) for reader in reading.readers(rule))]
        fed = {(name, labels.get("le")) for test in seen for name, labels in test.fed}
        for bound in sorted({bound for bounds in buckets.values() for bound in bounds}):
            texts = spellings(bound)
            if not any(each.matches("le", text) for each in asking for text in texts):
                continue
            for text in texts[:2]:  # the first is what Prometheus 2 keeps, the next what Prometheus 3 has
                proven = any((name, text) in fed for name in buckets)
                missing = () if proven else ("no test feeds it and sees what the rule makes of it",)
                yield Item("le spellings", f'{rule.shown} at le="{text}"', missing, text)
