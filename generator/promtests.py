"""Rule sets -> promtool unit tests that prove them.

A scenario, declared beside its rule, tells a story in three parts: *calm* (the alert must be silent, for longer than
its `for`), *breach* (it must fire) and calm again (it must resolve). Each part is long enough for windows to fill,
whatever window and `for` a profile asks for; what takes long is played in longer steps.
The stories become promtool test cases whose input series have the names, labels and buckets that the release exposes.

What is generated stays off the edges where promtool versions differ: no sample counts at the border of a window
(left-open since 3.0), no comparison of floats that engines round differently, a fixed order of groups.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import cached_property, lru_cache, reduce
from operator import or_
from typing import Any

from generator import conventions
from generator.buckets import Point, spellings
from generator.bystanders import bystanders, constant
from generator.catalog import View, of_exporters
from generator.context import RATE_LIMITED, margin
from generator.profile import Profile, Selector
from generator.promql.text import equals, labelled, matcher
from generator.rules import Group, Rule, RuleSet
from generator.templates import TemplateError
from generator.thresholds import another_collection
from generator.units import Duration, Factor, plain
from generator.verdict import unknown

Labels = Mapping[str, str]

# Steps after which a change has passed through every window, whatever the promtool version counts at its edges.
_SLACK = 2

# How many steps an average story may have: promtool evaluates every rule at each of them.
_STEPS = 100

# Samples that a window must hold for a rate to be as if measured without gaps.
_IN_WINDOW = 3
# Samples that a window must hold for something to have happened in it, but not in its second half.
_IN_HALVES = 5

# How far back Prometheus looks for a sample, by default.
_LOOKBACK = Duration.parse("5m")


@dataclass(frozen=True, slots=True)
class AlertCheck:
    """At a time (in steps), exactly these alerts of a name fire: labels and annotations of each."""

    step: int
    alert: str
    firing: tuple[tuple[Labels, Labels], ...]


@dataclass(frozen=True, slots=True)
class SampleCheck:
    """At a time (in steps), the expression yields exactly these samples: labels and value of each."""

    step: int
    expr: str
    samples: tuple[tuple[Labels, int], ...]


@dataclass(frozen=True, eq=False)
class Case:
    """One scenario of one rule: input series (name with labels, values) and what must hold.

    `feeds` are the metrics that it has series of, `steps` is how long it lasts, `density` how many samples of each
    series there are in a step.
    """

    name: str
    series: tuple[tuple[str, str], ...]
    alerts: tuple[AlertCheck, ...]
    samples: tuple[SampleCheck, ...]
    feeds: frozenset[str]
    steps: int
    density: int

    @property
    def scenario(self) -> str:
        """What is played: its name without that of the rule, which others of the template need not have."""
        return self.name.partition(": ")[2]

    @cached_property
    def moments(self) -> tuple[int, ...]:
        """When something is checked, how long it all lasts, and in how many samples."""
        steps = (*[check.step for check in self.alerts], *[check.step for check in self.samples])
        return (*steps, self.steps, self.density)


@dataclass(frozen=True, slots=True)
class Suite:
    """The tests of one rule set. Rules are evaluated once in a `step`.

    Each test runs several cases of equal density at once, none of which feeds a metric that the rule of another reads:
    promtool evaluates every rule at every step of a test, so fewer tests are what makes the whole faster.
    """

    profile: Profile
    step: Duration
    groups: tuple[str, ...]
    tests: tuple[tuple[Case, ...], ...]


def suites(rule_set: RuleSet) -> tuple[Suite, ...]:
    """Every scenario of every rule as test cases; those that last for days in a suite of their own, with longer steps.

    Raises TemplateError when a scenario makes no sense.
    """
    profile = rule_set.profile
    usual = _suite(rule_set, step_of(profile), is_long=False)
    steps = [step for group in rule_set.groups if (step := _long_step(group))]
    return (usual, _suite(rule_set, min(steps), is_long=True)) if steps else (usual,)


def _suite(rule_set: RuleSet, step: Duration, *, is_long: bool) -> Suite:
    profile = rule_set.profile
    labels = frozenset().union(*[_mentioned(group) for group in rule_set.groups])
    collection = another_collection(profile.collections)
    setting = step, is_long, profile.window, rule_set.selector, profile.identity, profile.operations[0], collection
    stages = [_stage(group.release, *setting, labels & group.release.labels) for group in rule_set.groups]
    parts: list[_GroupCases] = []
    reads: dict[str, frozenset[str]] = {}
    for group, stage in zip(rule_set.groups, stages, strict=True):
        parts.append(_group_cases(group, stage, tuple([(name, reads[name]) for name in group.borrowed])))
        reads |= parts[-1].reads
    cases = [case for part in parts for case in part.cases]
    behind = frozenset().union(*reads.values())
    plan = _packed(tuple(tuple([_with_verdict(needs, behind) for needs in part.needs]) for part in parts))
    tests = [tuple([cases[index] for index in pack]) for pack in plan]
    if not is_long:
        tests.append((_without_data(rule_set.rules, stages[0]),))
    return Suite(profile, step, tuple(group.name for group in rule_set.groups if group.rules), tuple(tests))


@lru_cache(maxsize=1024)
def _mentioned(group: Group) -> frozenset[str]:
    """What the expressions of a group may name as labels."""
    return frozenset().union(*[_words(rule.expr) for rule in group.rules])


@lru_cache(maxsize=4096)
def _words(expr: str) -> frozenset[str]:
    return frozenset(_WORD.findall(expr))


_WORD = re.compile(r"\b[a-z_]+\b")


@lru_cache(maxsize=1024)
def _long_step(group: Group) -> Duration | None:
    """The steps in which the group's longest scenarios are played; None where it has none that say so."""
    steps = [scenario["step"] for rule in group.rules for scenario in rule.scenarios if "step" in scenario]
    return min(map(Duration.parse, steps), default=None)


# Of one case: how long it lasts, to within four times (then more profiles share a plan), its density, the metrics that
# it feeds, the metrics that its rule reads.
_Needs = tuple[int, int, frozenset[str], frozenset[str]]


# Stands for what lies behind a verdict, which is recorded in later groups.
_VERDICT = "verdict"


def _with_verdict(needs: _Needs, behind: frozenset[str]) -> _Needs:
    """The needs of a case; with a verdict in an annotation, it reads whatever is recorded."""
    return (*needs[:3], needs[3] | behind) if _VERDICT in needs[3] else needs


@dataclass(frozen=True, slots=True)
class _GroupCases:
    """The cases of a group, and what lies behind each series that it records: metrics and other recorded series."""

    cases: tuple[Case, ...]
    needs: tuple[_Needs, ...]
    reads: Mapping[str, frozenset[str]]


@lru_cache(maxsize=2048)
def _group_cases(group: Group, stage: _Stage, borrowed: tuple[tuple[str, frozenset[str]], ...]) -> _GroupCases:
    """The cases of the rules of one group. `borrowed` is what lies behind the series that it reads of other groups."""
    reads = dict(borrowed)
    siblings: dict[object, list[tuple[Case, frozenset[str]]]] = {}
    fed: dict[object, set[str]] = {}  # the series of all siblings, of which a case must not have any
    for rule in group.rules:
        own = rule.metrics.union((rule.name,), rule.records, *[reads[name] for name in rule.records])
        own |= {_VERDICT} if rule.template.verdict else frozenset()
        reads[rule.name] = reads.get(rule.name, own) | own
        for case in _cases(rule, stage):
            key: tuple[object, ...] = rule.template, case.scenario, case.moments
            series = {name for name, _ in case.series}
            while not series.isdisjoint(fed.setdefault(key, set())):
                key = (*key, "again")
            fed[key] |= series
            siblings.setdefault(key, []).append((case, own))
    found = [_combined(tuple(members)) for members in siblings.values()]
    # Of an alert, only one case can say when it fires.
    needs = [
        (case.steps.bit_length() // 2, case.density, case.feeds | {check.alert for check in case.alerts}, read)
        for case, read in found
    ]
    return _GroupCases(tuple(case for case, _ in found), tuple(needs), reads)


@lru_cache(maxsize=8192)
def _combined(members: tuple[tuple[Case, frozenset[str]], ...]) -> tuple[Case, frozenset[str]]:
    """The same scenario of several rules of one template (for other operations, say) as one case."""
    cases, reads = [case for case, _ in members], frozenset().union(*[read for _, read in members])
    first = cases[0]
    if len(cases) == 1:
        return first, reads
    alerts = tuple(
        AlertCheck(check.step, check.alert, tuple(alert for case in cases for alert in case.alerts[index].firing))
        for index, check in enumerate(first.alerts)
    )
    timing = first.samples if first.alerts else tuple(sample for case in cases for sample in case.samples)
    if first.alerts:  # each rule has its own pending or firing alert
        timing = tuple(
            replace(check, samples=tuple((labels, len(cases)) for labels, _ in check.samples)) for check in timing
        )
    series = tuple(each for case in cases for each in case.series)
    feeds = frozenset().union(*[case.feeds for case in cases])
    return replace(first, series=series, alerts=alerts, samples=timing, feeds=feeds), reads


@lru_cache(maxsize=256)
def _packed(groups: tuple[tuple[_Needs, ...], ...]) -> tuple[tuple[int, ...], ...]:
    """Which cases, by their number, go into one test: the longest first, each where it fits."""
    cases = [needs for group in groups for needs in group]
    bits = _Bits()
    packs: list[_Pack] = []
    for index in sorted(range(len(cases)), key=lambda index: (-cases[index][0], index)):
        _, density, feeds, reads = cases[index]
        fed, read = bits.of(feeds), bits.of(reads)
        fitting = (pack for pack in packs if pack.density == density and not fed & pack.touched | read & pack.fed)
        pack = next(fitting, None)
        if pack is None:
            packs.append(pack := _Pack(density))
        pack.members.append(index)
        pack.fed |= fed
        pack.touched |= fed | read
    return tuple(tuple(sorted(pack.members)) for pack in packs)


@dataclass(slots=True)
class _Pack:
    """Cases that go into one test. Bits stand for the metrics that they feed, and for those that they feed or read."""

    density: int
    members: list[int] = field(default_factory=list)
    fed: int = 0
    touched: int = 0


class _Bits(dict[str, int]):
    """A bit for each name: whether sets have something in common, one `&` tells."""

    def __missing__(self, name: str) -> int:
        return self.setdefault(name, 1 << len(self))

    def of(self, names: Iterable[str]) -> int:
        return reduce(or_, map(self.__getitem__, names), 0)


def step_of(profile: Profile) -> Duration:
    """The evaluation interval of the tests, in whole seconds: `for`s are several steps long, stories not too many.

    Four steps must pass between the beginning of a spike and the past that it is held against.
    """
    alerts = [alert for alert in profile.alerts.values() if alert.enabled]
    margins = (
        margin(alert, profile.window).seconds / 4 for alert in alerts if isinstance(alert.threshold, Factor | Duration)
    )
    most = min([_LONGEST_STEP.seconds, *margins])
    shortest = min((alert.for_.seconds for alert in alerts if alert.for_), default=2 * most)
    waits = sum((2 * alert.for_.seconds + alert.keep_firing_for.seconds for alert in alerts), Decimal(0))
    story = 3 * profile.window.seconds + waits / max(len(alerts), 1)
    return Duration.of_seconds(max(math.floor(min(max(shortest / 2, story / _STEPS), most)), 1))


# Rules that look back an hour must find several steps in it.
_LONGEST_STEP = Duration.parse("30m")


@dataclass(frozen=True, eq=False)
class _Stage:
    """What the scenarios of a profile are played on: `deployment` are the labels of its targets.

    `is_long` says which scenarios: those that tell their step, or the others. `second` is a label in which two targets
    of one deployment differ, `neighbours` are labels in which another deployment of the same rules may differ, with its
    values. Labels of series that are not `mentioned` by any expression are left out. What the selector keeps away by
    labels that are `lost`, as they are not of the identity, would be taken for the deployment's own.
    """

    release: View
    step: Duration
    is_long: bool
    window: Duration
    deployment: Labels
    samples: Labels
    second: str
    neighbours: Labels
    mentioned: frozenset[str]
    lost: frozenset[str]

    @property
    def target(self) -> tuple[str, ...]:
        """The labels that a series has from its target."""
        return ("job", "instance", *self.deployment)

    def density(self, within: Duration, samples: int) -> int:
        """How many samples a step must have for at least so many in the time; they lie whole milliseconds apart."""
        least = math.ceil(samples * self.step.milliseconds / within.milliseconds)
        return next(count for count in itertools.count(max(least, 1)) if not self.step.milliseconds % count)

    def steps(self, duration: Duration | str) -> int:
        length = Duration.parse(duration) if isinstance(duration, str) else duration
        return math.ceil(length.milliseconds / self.step.milliseconds)


@lru_cache(maxsize=256)
def _stage(
    release: View,
    step: Duration,
    is_long: bool,
    window: Duration,
    selector: Selector,
    identity: tuple[str, ...],
    operation: str,
    collection: str,
    mentioned: frozenset[str],
) -> _Stage:
    names = {label: values[0] for label, values in selector}
    deployment = {**{label: f"some-{label.replace('_', '-')}" for label in identity}, **names}
    samples = {
        "job": "milvus", "instance": "milvus-0:9091", "node_id": "1", "db_name": "default",
        "collection_name": collection, "query_type": operation, "msg_type": operation, "function_name": "Search",
        **deployment,
    }  # fmt: skip
    second = next(label for label in ("instance", "pod", "_".join(deployment)) if label not in deployment)
    values = {label: (deployment[label], f"another-{label.replace('_', '-')}") for label in identity} | dict(selector)
    neighbours = {label: values[label][1] for label in identity if len(values[label]) > 1}
    lost = frozenset(names) - frozenset(identity)
    return _Stage(release, step, is_long, window, deployment, samples, second, neighbours, mentioned, lost)


@dataclass(frozen=True, slots=True)
class _Story:
    """How many steps each part of a scenario lasts, and how many samples there are in a step.

    At the end of the recovery everything stands `still` for so many samples.
    """

    before: int
    calm: int
    breach: int
    recovery: int
    density: int
    still: int = 0

    @classmethod
    def of(cls, rule: Rule, scenario: Mapping[str, Any], stage: _Stage) -> _Story:
        # What looks back by an offset meets no evaluation there, but must meet a sample.
        least = stage.density(_LOOKBACK, 1) if " offset " in rule.expr and not stage.is_long else 1
        density = max(least, *(_density(stimulus, stage) for stimulus in scenario["given"]))
        # After so many steps the condition is what the part of the story makes it.
        settled = stage.steps(scenario.get("within", stage.window)) + _SLACK

        def steps(key: str) -> int:
            return stage.steps(scenario[key]) if key in scenario else 0

        if not rule.is_alert:
            return cls(steps("before_for"), steps("calm_for"), max(steps("breach_for"), settled + 1), 0, density)
        least = settled + stage.steps(rule.for_) + 1
        recovery = settled + stage.steps(rule.keep_firing_for) + _SLACK
        return cls(
            steps("before_for"), max(steps("calm_for"), least), max(steps("breach_for"), least), recovery, density
        )

    def and_still(self, stage: _Stage) -> _Story:
        """The story with an end at which nothing has happened in half of the window, but something in the other."""
        density = max(self.density, stage.density(stage.window, _IN_HALVES))
        in_window = stage.window.milliseconds * density / stage.step.milliseconds
        still = math.ceil(in_window / 2)
        return replace(self, recovery=math.ceil(still / density), density=density, still=still)

    @property
    def breach_end(self) -> int:
        return self.before + self.calm + self.breach

    @property
    def steps(self) -> int:
        return self.breach_end + self.recovery

    @property
    def parts(self) -> tuple[tuple[int, str], ...]:
        """The parts one after the other: how many samples each has, and what it is."""
        if self.still:
            moving = (self.steps - 1) * self.density - self.still + 1
            return (moving, "breach"), (self.steps * self.density - moving, "still")
        every = (self.before, "before"), (self.calm, "calm"), (self.breach, "breach"), (self.recovery, "calm")
        return tuple((steps * self.density, part) for steps, part in every if steps)


def _density(stimulus: Mapping[str, Any], stage: _Stage) -> int:
    """How many samples in a step the series of an entry of `given` needs."""
    if "gauge" not in stimulus:
        return stage.density(stage.window, _IN_WINDOW)
    breach = stimulus.get("breach")
    changes = breach.get("changes", breach.get("times")) if isinstance(breach, dict) else None
    return 1 if changes is None else stage.density(_HOUR, math.ceil((float(changes) + 1) ** 2))


_HOUR = Duration.parse("1h")


@lru_cache(maxsize=8192)
def _cases(rule: Rule, stage: _Stage) -> tuple[Case, ...]:
    """The cases of one rule: one per scenario, two where a scenario runs in both spellings of `le`."""
    samples = {**stage.samples, **dict(rule.sample)}
    cases: list[Case] = []
    for scenario in rule.scenarios:
        try:
            if ("step" in scenario) != stage.is_long:
                continue
            if not scenario["applies"]:
                continue
            spellings = (0, 1) if scenario.get("spellings") == "both" else (None,)
            first = not cases and not stage.is_long
            cases += [_case(rule, scenario, stage, samples, spelling, first=first) for spelling in spellings]
            whole = first or scenario.get("alone", False)
            if whole or stage.lost or (rule.is_alert and scenario["expect"] == "silent"):
                at = -len(spellings)
                cases[at] = _beside_others(cases[at], rule, scenario, stage, samples, None if whole else stage.lost)
        except (LookupError, ValueError, AttributeError, TypeError, ZeroDivisionError) as error:
            raise rule.template.error(f"scenario `{scenario.get('name')}`: {error!r}") from error
    return (*cases, *_beside_neighbours(rule, stage, samples))


def _beside_neighbours(rule: Rule, stage: _Stage, samples: Labels) -> Iterator[Case]:
    """Scenarios of a rule that holds series against others, beside deployments that it reads, too.

    Each neighbour differs from the deployment in one label only. If the rule matched series without it, the neighbour
    would make up for what the deployment lacks, or take away what it has. Neighbours play the last scenario that has a
    result. An alert need not be played in all of its scenarios beside that: those in which it is silent lack something.
    """
    if not stage.neighbours:
        return
    matched = {label for labels in map("".join, _SIDES.findall(rule.expr)) for label in labels.split(", ")}
    neighbours = [{**samples, label: value} for label, value in stage.neighbours.items() if label in matched]
    able = [each for each in rule.scenarios if each["applies"] and not each.get("alone")]
    played = [each for each in able if ("step" in each) == stage.is_long]
    theirs = next((each for each in reversed(played) if each["expect"] not in _WITHOUT_RESULT), None)
    if not neighbours or theirs is None:
        return
    silent = [each for each in played if each["expect"] == "silent"]
    for own in silent or played:
        case = _side_by_side(rule, stage, own, samples, theirs, neighbours)
        if case is not None:
            yield case


# The labels on which series are matched, where those of the result are the labels of one side.
_SIDES = re.compile(r"\b(?:and|or|unless)\s+on \(([\w, ]*)\)|\bon \(([\w, ]*)\)\s+group_")
# What scenarios expect that have none.
_WITHOUT_RESULT = ("silent", "nothing")


def _side_by_side(
    rule: Rule,
    stage: _Stage,
    own: Mapping[str, Any],
    samples: Labels,
    theirs: Mapping[str, Any],
    neighbours: Iterable[Labels],
) -> Case | None:
    """One scenario with these samples, and at the same time another with those of each neighbour.

    None where what they feed is the same series: what deployments share cannot tell them apart.
    """
    story, other = (_Story.of(rule, each, stage) for each in (own, theirs))
    # Both breaches end at once. Of two that play the same, one is in its calm while the other is in its breach.
    ahead = other.breach_end - story.breach_end + (story.breach if own is theirs and story.calm else 0)
    begin, their_begin = max(ahead, 0), max(-ahead, 0)
    end = max(begin + story.steps, their_begin + other.steps)
    density = max(story.density, other.density)

    def played(scenario: Mapping[str, Any], story: _Story, begin: int, samples: Labels) -> Case:
        lasting = replace(story, recovery=end - begin - story.breach_end, density=density)
        return _later(begin, _of_one(rule, stage, _told(rule, scenario, lasting, stage, samples), samples))

    first = played(own, story, begin, samples)
    fed = {name for name, _ in first.series}
    cases = [played(theirs, other, their_begin, each) for each in neighbours]
    others = [case for case in cases if fed.isdisjoint(name for name, _ in case.series)]
    if not others:
        return None
    return replace(
        first,
        name=f"{first.name}, beside other deployments",
        series=tuple(each for case in (first, *others) for each in case.series),
        samples=tuple(each for case in (first, *others) for each in case.samples),
        # Of an alert, only one case can say when it fires.
        feeds=first.feeds.union(others[0].feeds, [rule.name] if rule.is_alert else []),
    )


def _of_one(rule: Rule, stage: _Stage, case: Case, samples: Labels) -> Case:
    """The case with checks that ask for one deployment only: whether an alert fires is read off its series."""
    if not rule.is_alert:
        return case
    own = {"alertname": rule.name, "alertstate": "firing", **dict(rule.labels)}
    own |= {label: samples[label] for label in stage.deployment if label in rule.result.labels}
    checks = tuple(
        SampleCheck(check.step, f"count({labelled('ALERTS', {**own, **labels})})", (({}, 1),) if labels else ())
        for check in case.alerts
        for labels in [labels for labels, _ in check.firing] or [{}]
    )
    return replace(case, alerts=(), samples=checks)


def _later(steps: int, case: Case) -> Case:
    """The case so many steps later."""
    gap = f"{_gone(steps * case.density, there=False)} " if steps else ""
    return replace(
        case,
        series=tuple((name, gap + values) for name, values in case.series),
        samples=tuple(replace(check, step=check.step + steps) for check in case.samples),
        steps=case.steps + steps,
    )


def _beside_others(
    case: Case,
    rule: Rule,
    scenario: Mapping[str, Any],
    stage: _Stage,
    samples: Labels,
    only: frozenset[str] | None,
) -> Case:
    """The case with series beside its own that the rule must not read, and nothing of which may show in the result.

    Where nothing may fire, it must not fire either with what was recorded for other profiles.
    """
    stimuli = list(_unfolded(scenario["given"]))
    bucket = next(({"le": spellings(each["at"].upper)[0]} for each in stimuli if "at" in each), {})
    base = {**samples, **stage.deployment, **bucket}
    given = [{label: str(text) for label, text in each.get("labels", {}).items()} for each in stimuli]
    every = [base, *({**base, **labels} for labels in given)]
    others = bystanders(rule.expr, every, stage.target, stage.release, case.steps * case.density, only)
    own = {name for name, _ in case.series}
    series = tuple((name, values) for name, values in others.items() if name not in own)
    checks = case.samples
    if not rule.is_alert:
        labels = sorted(rule.result.labels - dict(rule.labels).keys())
        results = " or ".join(_of_others(rule.name, label, samples.get(label, "")) for label in labels)
        checks = (*checks, SampleCheck(checks[0].step, results, ()))
    return replace(case, series=case.series + series, samples=checks, feeds=case.feeds | rule.records)


def _of_others(name: str, label: str, own: str) -> str:
    """Results with the label of a bystander, or without it."""
    but = f", {matcher(label, [own], negated=True)}" if own.startswith(conventions.OTHER) else ""
    return f'{name}{{{label}=~"({conventions.OTHER}.*)?"{but}}}'


# What is appended to the name of a scenario that runs in both spellings of `le`.
SPELLED = (" (`le` as Prometheus 2 keeps it)", " (`le` as Prometheus 3 has it)")


def _case(
    rule: Rule, scenario: Mapping[str, Any], stage: _Stage, samples: Labels, spelling: int | None, *, first: bool
) -> Case:
    story = _Story.of(rule, scenario, stage)
    if not rule.is_alert and not story.calm and "[" in rule.expr:
        usual = first and scenario["expect"] != "nothing"
        story = story.and_still(stage) if usual or scenario.get("still") else story
    return _told(rule, scenario, story, stage, samples, spelling)


def _told(
    rule: Rule,
    scenario: Mapping[str, Any],
    story: _Story,
    stage: _Stage,
    samples: Labels,
    spelling: int | None = None,
) -> Case:
    """The story of a scenario as a case, as long and as dense as it says."""
    series: list[tuple[str, str]] = []
    feeds = set()
    for stimulus in _unfolded(scenario["given"]):
        name, made = _series(rule, stimulus, story, stage, samples, spelling or 0)
        series += made
        feeds.add(name)
    if rule.is_alert:
        alerts, checks = _alerting(rule, scenario, samples, story, stage)
    else:
        alerts, checks = (), tuple(_recorded(rule, scenario, samples, story))
    name = f"{rule.name}: {scenario['name']}{'' if spelling is None else SPELLED[spelling]}"
    return Case(name, tuple(series), alerts, checks, frozenset(feeds), story.steps, story.density)


def _unfolded(given: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """The entries of `given`, those with `for_each` once for each combination of the labels that it names."""
    for stimulus in given:
        for combination in itertools.product([stimulus.get("labels", {})], *stimulus.get("for_each", [])):
            yield {**stimulus, "labels": {label: text for labels in combination for label, text in labels.items()}}


def _recorded(rule: Rule, scenario: Mapping[str, Any], samples: Labels, story: _Story) -> Iterator[SampleCheck]:
    """That the recorded series has the expected value, give or take what gains were rounded by; or is not there.

    When half of the window has passed without anything, it must still say (or not) what happened in the other half.
    """
    expect = scenario["expect"]
    nothing = expect == "nothing"
    anything = {**dict(rule.labels), **{label: samples[label] for label in rule.result.labels if label in samples}}
    labels = anything if nothing else _labels(rule, expect, samples)
    series = f"{rule.name}{{{', '.join(equals(label, text) for label, text in sorted(labels.items()))}}}"
    last = story.before + story.calm + story.breach - 1
    if nothing:
        yield from [SampleCheck(step, series, ()) for step in (last, *([story.steps - 1] if story.still else []))]
        return
    value = float(expect["value"])
    still = scenario.get("still", True)
    is_rate = rule.template.unit.endswith("/s") if still is True else still == "less"
    expr = f"abs({series} - {plain(round(value, 9))}) < bool {plain(max(value, 0.1) * 1e-5)}"
    # What reads its own name could mute itself at every other evaluation.
    for step in (last - 1, last) if rule.name in rule.records else (last,):
        yield SampleCheck(step, expr, ((labels, 1),))
    if story.still:
        # Of a rate, there is less left then; of a ratio, all of it.
        rest = f"({series} > 0) < bool {plain(0.7 * value)}" if is_rate else expr
        yield SampleCheck(story.steps - 1, rest, ((labels, 1),))


def _alerting(
    rule: Rule, scenario: Mapping[str, Any], samples: Labels, story: _Story, stage: _Stage
) -> tuple[tuple[AlertCheck, ...], tuple[SampleCheck, ...]]:
    """Silent at the end of the calm, firing (or not) at the end of the breach, silent when all is over."""
    expect = scenario["expect"]
    firing: tuple[tuple[Labels, Labels], ...] = ()
    if expect != "silent":
        firing = tuple(_fires(rule, each, samples) for each in _unfolded([expect]))
    breach, recovery = story.before + story.calm, story.before + story.calm + story.breach
    silent = [breach - 1, recovery + story.recovery - 1]
    timing = list(_begin(rule, breach, stage.steps(rule.for_))) if scenario.get("sharp") else []
    if "ends_within" in scenario and firing:
        ended = recovery + _within(scenario["ends_within"], story, stage) + 1
        kept = stage.steps(rule.keep_firing_for)
        silent.append(ended + kept)
        if recovery + kept > ended:
            timing.append(_state(rule, recovery + kept - 1, "firing"))
    checks = [AlertCheck(step, rule.name, ()) for step in silent]
    return (*checks, AlertCheck(recovery - 1, rule.name, firing)), tuple(timing)


def _fires(rule: Rule, expect: Mapping[str, Any], samples: Labels) -> tuple[Labels, Labels]:
    """The labels and annotations of an alert that fires."""
    labels = _labels(rule, expect, samples)
    value = float(expect["value"])
    verdict = str(expect.get("verdict", unknown(rule.template.verdict)))
    texts = {
        name: verdict if name == conventions.VERDICT else _expanded(rule, text, labels, value)
        for name, text in rule.annotations
    }
    return labels, texts


def _within(length: str, story: _Story, stage: _Stage) -> int:
    """The steps of a duration, or of so many samples."""
    count, _, unit = length.partition(" ")
    return math.ceil(int(count) / story.density) if unit == "samples" else stage.steps(length)


def _begin(rule: Rule, breach: int, hold: int) -> Iterator[SampleCheck]:
    """That the alert is pending until `for` has passed, and fires then."""
    if hold >= 2:
        yield _state(rule, breach + hold - 1, "pending")
    yield _state(rule, breach + hold + 1, "firing")


def _state(rule: Rule, step: int, state: str) -> SampleCheck:
    """That the alert is in this state, whatever its value."""
    return SampleCheck(
        step, f'count by (alertstate) (ALERTS{{alertname="{rule.name}"}})', (({"alertstate": state}, 1),)
    )


@lru_cache(maxsize=1024)
def _without_data(rules: tuple[Rule, ...], stage: _Stage) -> Case:
    """No series at all: every alert is silent but the ones that watch for exactly that."""
    alerts = [rule for rule in rules if rule.is_alert and not rule.template.fires_without_data]
    step = max([stage.steps(rule.for_) for rule in alerts], default=0) + stage.steps(stage.window)
    names = dict.fromkeys(rule.name for rule in alerts)
    checks = tuple(AlertCheck(step, name, ()) for name in names)
    return Case("no series at all: every alert is silent", (), checks, (), frozenset(), step, 1)


def _labels(rule: Rule, expect: Mapping[str, Any], samples: Labels) -> dict[str, str]:
    """Every label that the result must have: the type checker knows the names, the scenario the values."""
    values = {**samples, **{label: str(text) for label, text in expect.get("labels", {}).items()}}
    own = dict(rule.labels)
    return {**{label: values[label] for label in rule.result.labels if label not in own}, **own}


def _series(
    rule: Rule, stimulus: Mapping[str, Any], story: _Story, stage: _Stage, samples: Labels, spelling: int
) -> tuple[str, list[tuple[str, str]]]:
    """The input series of one entry of `given`, and the metric that they belong to."""
    kind = next(kind for kind in ("histogram", "counter", "gauge") if kind in stimulus)
    name = stimulus[kind]
    given = {label: str(value) for label, value in stimulus.get("labels", {}).items()}
    if ":" in name:  # a recorded series, fed directly
        # Beside those of the collection, where it has some.
        level = {*samples} if name.startswith("collection") else {"query_type", *stage.deployment}
        carried = {label: samples[label] for label in sorted(rule.result.labels & level) if label in samples}
        labels = {label: text for label, text in {**carried, **given}.items() if text}
        return name, [(labelled(name, labels), _gauge(_levels(stimulus), story, stage))]
    metric, own, known = _own_labels(stage.release, name, kind)
    if unknown := sorted(set(given) - set(own) - set(stage.target)):
        raise ValueError(f"{name} has no label {unknown[0]}")
    special = {"msg_type": "DQLSearch"} if name == RATE_LIMITED else {}
    own = tuple(label for label in own if label in stage.mentioned)
    labels = {label: known[label][0] if label in known else "x" for label in own}
    labels |= {label: samples[label] for label in (*own, *stage.target) if label in samples}
    second = {stage.second: stimulus.get("target", "")}
    if name in of_exporters():  # whose targets are others than those of Milvus
        disks = rule.disks
        assert disks is not None
        labels = dict.fromkeys(own, "x") | {label: samples[label] for label in disks.settings.shared} | disks.sample
        second = disks.second
    labels |= {**special, **given}
    if "target" in stimulus:
        labels |= second
    levels = _levels(stimulus)
    if kind == "gauge":
        return metric, [(labelled(name, labels), _gauge(levels, story, stage))]
    minutes = float(stage.step.seconds) / 60 / story.density
    if kind == "counter":
        gains = {part: None if level == "absent" else float(level["add"]) * minutes for part, level in levels.items()}
        return metric, [(labelled(name, labels), _counter(gains, story))]
    at, also = stimulus["at"], stimulus.get("also", ())
    played = {part: _histogram(level, at, also, minutes) for part, level in levels.items()}
    made = []
    before, after = labelled(f"{name}_bucket", {**labels, "le": "?"}).split('le="?"')
    for bound in played["calm"][0]:
        values = _counter({part: buckets[bound] for part, (buckets, _) in played.items()}, story)
        texts = spellings(bound)
        spelled = int(stimulus["spelled"]) - 2 if "spelled" in stimulus else spelling
        made.append((f'{before}le="{texts[min(spelled, len(texts) - 1)]}"{after}', values))
    totals = {part: total for part, (_, total) in played.items()}
    if any(total is not None for total in totals.values()):
        made.append((labelled(f"{name}_sum", labels), _counter(totals, story)))
    return metric, made


def _levels(stimulus: Mapping[str, Any]) -> dict[str, Any]:
    """What a series does before the calm, in it, and in the breach. A part that is not given is like the calm."""
    calm = stimulus.get("calm", stimulus.get("breach"))
    return {"before": stimulus.get("before", calm), "calm": calm, "breach": stimulus.get("breach", calm)}


def _histogram(
    level: Any, at: Point, also: Iterable[float], minutes: float
) -> tuple[dict[float, float | None], float | None]:
    """What each bucket and the sum of a histogram gain per sample; None while it is absent.

    The buckets are those around the point, and `also` others. All requests lie in the buckets next to it. There is
    a sum only where the level says what the mean is.
    """
    bounds = [*sorted({*also, at.lower, at.upper, at.following} - {0.0, math.inf}), math.inf]
    if level == "absent":
        return dict.fromkeys(bounds), None
    requests, slower = float(level["requests"]) * minutes, float(level["slower"]) * minutes
    lower, upper = _spread(requests, slower, float(at.fraction))

    def under(bound: float) -> float:
        return requests if bound > at.upper else upper if bound == at.upper else lower if bound == at.lower else 0.0

    total = requests * float(level["mean"]) if "mean" in level else None
    return {bound: under(bound) for bound in bounds}, total


def _exact(gains: Mapping[str, float | None], samples: int) -> dict[str, float | None]:
    """The gains as multiples of one binary fraction: sums of them are exact, no counter seems to fall by a rounding.

    A float has 53 bits; those that the sum of so many samples does not need are left to the gain.
    """
    largest = max((gain for gain in gains.values() if gain is not None), default=0.0)
    exponent = 53 - samples.bit_length() - math.frexp(largest)[1]
    return {
        part: None if gain is None else math.ldexp(round(math.ldexp(gain, exponent)), -exponent)
        for part, gain in gains.items()
    }


def _spread(requests: float, slower: float, fraction: float) -> tuple[float, float]:
    """How many requests lie under the lower and under the upper bound, for `slower` of them to be too slow.

    At a bound (`fraction` 1) all others lie between both bounds. Interpolated, the share under the threshold is
    lower + fraction * (upper - lower).
    """
    if fraction == 1:
        return 0.0, requests - slower
    outside = slower / (1 - fraction)
    if outside <= requests:
        return requests - outside, requests
    return 0.0, (requests - slower) / fraction


def _counter(gains: Mapping[str, float | None], story: _Story) -> str:
    """Promtool's notation for a counter that gains so much per sample in each part of the story."""
    exact = _exact(gains, story.steps * story.density)
    exact["still"] = None if exact["breach"] is None else 0.0
    parts, total, there = [], 0.0, False
    for samples, part in story.parts:
        gain = exact[part]
        if gain is None:
            parts.append(_gone(samples, there))
            there = False
            continue
        start = total + gain if there else total
        parts.append(f"{_number(start)}+{_number(gain)}x{samples - 1}")
        total, there = start + gain * (samples - 1), True
    return " ".join(parts)


def _gauge(levels: Mapping[str, Any], story: _Story, stage: _Stage) -> str:
    """Promtool's notation for a gauge that has a value in each part of the story, or changes it in the breach."""
    parts, there, risen = [], False, 0
    for samples, part in story.parts:
        level = levels.get(part, levels["breach"])
        if level == "absent":
            parts.append(_gone(samples, there))
        elif "is" in level:
            parts.append(constant(_number(float(level["is"]) + risen), samples))
        else:
            if "times" in level:
                at_once = int(level["times"]) - 1
                lengths = [1] * at_once + [samples - at_once]
            else:
                lengths = _runs(float(level["changes"]), samples, story.density, stage.step)
            first = float(levels["calm"]["is"]) + ("times" in level)
            parts += [constant(_number(first + index), length) for index, length in enumerate(lengths)]
            risen = len(lengths)
        there = level != "absent"
    return " ".join(parts)


def _runs(changes: float, samples: int, density: int, step: Duration) -> list[int]:
    """How many samples each value lasts, for an hour to hold so many changes, at times one more, but never fewer.

    The next change is due right after the last step, where it is checked: then there is not one more. It is left to the
    end, with which the value changes anyway: two at once would take longer to pass. Whether the sample that is just an
    hour old counts, as it does before Prometheus 3, makes no difference.
    """
    in_hour = _HOUR.milliseconds * density / step.milliseconds
    each = math.floor((in_hour - 1) / Decimal(changes))
    checked = samples - density + 1
    first = checked % each
    bounds = [*([0] if first else []), *range(first, checked, each), samples]
    return [end - start for start, end in itertools.pairwise(bounds)]


def _gone(steps: int, there: bool) -> str:
    """A series that is not there; if it was there before, Prometheus marks it stale at once."""
    if not there:
        return f"_x{steps}"
    return "stale" + (f" _x{steps - 1}" if steps > 1 else "")


def _number(value: float) -> str:
    return plain(value) if value % 1 else str(int(value))


@lru_cache(maxsize=4096)
def _own_labels(release: View, name: str, kind: str) -> tuple[str, tuple[str, ...], Mapping[str, tuple[str, ...]]]:
    """The metric of a series, the labels that Milvus puts on it, and their values as far as they are known."""
    if name == "up":
        return name, (), {}
    whole = release.metric(name) if kind == "histogram" else None
    found = (whole, "") if whole else release.series(name)
    if found is None:
        raise ValueError(f"{name} does not exist in Milvus {release.name}")
    metric, part = found
    return metric.name, (*metric.labels, *(("le",) if part == "_bucket" else ())), metric.values


_ACTION = re.compile(r"\{\{ (.*?) \}\}")
_LABEL = re.compile(r"\$labels\.(\w+)")
_LASTS = re.compile(r'printf "([\d.]+) / %g" \$value \| query \| first \| value \| humanizeDuration')
_PRINTF = re.compile(r'printf "(%\.\df)" \$value')


def _humanized(seconds: float) -> str:
    """A time of a minute or more as `humanizeDuration` of Prometheus prints it."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    return (f"{days}d " if days else "") + (f"{hours}h " if days or hours else "") + f"{minutes}m {rest}s"


def _expanded(rule: Rule, text: str, labels: Labels, value: float) -> str:
    """The annotation as Prometheus expands it, for the few actions that templates use."""

    def expand(found: re.Match[str]) -> str:
        action = found[1]
        if label := _LABEL.fullmatch(action):
            return labels[label[1]]
        if action == "$value | humanizePercentage":
            return f"{value * 100:.4g}%"
        if lasts := _LASTS.fullmatch(action):
            return _humanized(float(lasts[1]) / value)
        if printf := _PRINTF.fullmatch(action):
            return printf[1] % value
        if action == '"{{"':
            return "{{"
        raise TemplateError(
            f"{rule.template.file}: {rule.name}: the annotation uses an action that is not known: {action}"
        )

    return _ACTION.sub(expand, text)
