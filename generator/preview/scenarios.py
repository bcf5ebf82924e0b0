"""What dashboards show while an alert of a profile fires, by the scenario that proves that it does.

promtool evaluates the rules and the queries: it is there for the tests anyway, and needs no server. As it tells what a
query yields only where that differs from what is expected, every query expects what cannot be.
"""

from __future__ import annotations

import json
import math
import os
import re
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from generator import promtests
from generator.build import Built
from generator.bystanders import constant
from generator.catalog import ALERTS
from generator.findings import EnvironmentProblem
from generator.preview.answers import (
    Answer,
    Answered,
    Dashboard,
    Question,
    Series,
    Span,
    fixed,
    panels,
    questions,
    to_choose,
)
from generator.profile import Target
from generator.promql.text import labelled
from generator.promtests import AlertCheck, Case, Suite
from generator.targets import text
from generator.targets.files import rule_files
from generator.units import Duration

# In so many points a scenario is drawn, unless its steps are fewer.
_POINTS = 48
_NODES = "milvus_num_node"
# No series has this label.
_IMPOSSIBLE = '{thresher="impossible"}'

_FAILURE = re.compile(
    r'^ {4}expr: "(?:[^"\\\n]|\\.)*", time: \w+,(?: err: (?P<error>.*)|\n.*\n +got: (?P<got>.*))', re.MULTILINE
)
_SAMPLE = re.compile(r'\{((?:[\w.:]+="(?:[^"\\]|\\.)*"(?:, )?)*)\} ([^\s,]+)')
_SELECTED = re.compile(r"[a-zA-Z_:][\w:]*(?=\{)")
_LABEL = re.compile(r'([\w.:]+)="((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True, slots=True)
class Shown:
    """An alert that fires in a scenario, with its annotations, and what dashboards show of it."""

    alert: str
    scenario: str
    annotations: Mapping[str, str]
    answered: tuple[Answered, ...]


@dataclass(frozen=True, slots=True)
class _Play:
    """A scenario in which an alert fires."""

    suite: Suite
    case: Case
    check: AlertCheck


def shown(promtool: str, built: Built, dashboards: Sequence[Dashboard]) -> Iterator[Shown]:
    """What dashboards show for each alert of a profile, in the order of its rules.

    Raises EnvironmentProblem when promtool does not do what it should.
    """
    plays = _plays(built)
    order = [
        name for name in dict.fromkeys(rule.name for rule in built.rule_set.rules if rule.is_alert) if name in plays
    ]
    with tempfile.TemporaryDirectory(prefix="thresher-") as folder, ThreadPoolExecutor(os.cpu_count()) as pool:
        # As Prometheus has them, whatever the platform of the profile is: it is promtool that plays them.
        plain = replace(built.rule_set, profile=replace(built.profile, target=Target()))
        (rules,) = rule_files(plain).files.values()
        Path(folder, "rules.yaml").write_bytes(rules)

        def watched(name: str) -> Shown:
            return _shown(promtool, built, dashboards, plays[name], Path(folder, f"{name}.yaml"))

        yield from pool.map(watched, order)


def _plays(built: Built) -> dict[str, _Play]:
    """For each alert the first scenario in which it fires."""
    found: dict[str, _Play] = {}
    for suite in promtests.suites(built.rule_set):
        for case in (case for pack in suite.tests for case in pack):
            for check in case.alerts:
                if check.firing:
                    found.setdefault(check.alert, _Play(suite, case, check))
    return found


def _shown(promtool: str, built: Built, dashboards: Sequence[Dashboard], play: _Play, file: Path) -> Shown:
    put_back = built.rule_set.names.put_back
    labels, annotations = ({name: put_back(value) for name, value in pairs.items()} for pairs in play.check.firing[0])
    step = float(play.suite.step.seconds)
    every = math.ceil(play.case.steps / _POINTS)
    span = Span(0.0, play.case.steps // every * every * step, every * step)
    fires = play.check.step * step
    window = str(built.profile.window)
    answered = []
    chosen = [_chosen(dashboard, labels) for dashboard in dashboards]
    case = replace(play.case, series=(*play.case.series, *_alive(built, play, labels)))
    there = _there(built, play.case)
    asked = dict.fromkeys(
        question
        for dashboard, values in zip(dashboards, chosen, strict=True)
        for panel in panels(dashboard)
        for question in questions(panel, values, span, window)
    )
    able = tuple(question for question in asked if not there.isdisjoint(_SELECTED.findall(question.expr)))
    found = dict.fromkeys(asked, Answer(()))
    found |= _answers(promtool, built, replace(play, case=case), file, able, span, fires)
    # What is asked for at the end is told of the moment at which the alert fires.
    for dashboard, values in zip(dashboards, chosen, strict=True):
        answered.append(Answered.of(dashboard, values, span, found, window))
    scenario = put_back(play.case.scenario)
    return Shown(play.check.alert, scenario, annotations, tuple(answered))


def _chosen(dashboard: Dashboard, labels: Mapping[str, str]) -> dict[str, str]:
    """What variables stand for: the deployment that the alert is about."""
    known = fixed(dashboard)
    return known | {name: labels.get(label, "") for name, _, label in to_choose(dashboard, known)}


def _answers(
    promtool: str, built: Built, play: _Play, file: Path, asked: Sequence[Question], span: Span, fires: float
) -> dict[Question, Answer]:
    # Between two evaluations an alert is what it was at the last one; samples lie closer.
    times = [[fires] if question.instant else list(span.times) for question in asked]
    file.write_text(_test_file(built, play, asked, times), "utf-8")
    done = subprocess.run([promtool, "test", "rules", str(file)], capture_output=True, text=True, check=False)
    output = done.stdout + done.stderr
    told = list(_FAILURE.finditer(output))
    if len(told) != sum(map(len, times)):
        raise EnvironmentProblem(f"{promtool} does not tell what queries yield:\n{output.strip()[:2000]}")
    answers = {}
    at = iter(told)
    for question, moments in zip(asked, times, strict=True):
        series: dict[str, list[tuple[float, float]]] = {}
        problem = ""
        for moment in moments:
            each = next(at)
            problem = problem or each["error"] or ""
            for labels, value in _SAMPLE.findall(each["got"] or ""):
                series.setdefault(labels, []).append((span.end if question.instant else moment, float(value)))
        known = [Series(_labels(labels), tuple(points)) for labels, points in series.items()]
        # Others fire only because a scenario feeds so little.
        own = [each for each in known if each.labels.get("alertname", play.check.alert) == play.check.alert]
        answers[question] = Answer(tuple(own), problem)
    return answers


def _there(built: Built, case: Case) -> frozenset[str]:
    """The names of all series that there may be in a scenario: what it feeds, and what rules make of that."""
    names = {series.partition("{")[0] for series, _ in case.series}
    for rule in built.rule_set.rules:
        if "absent(" in rule.expr or not names.isdisjoint(_SELECTED.findall(rule.expr)):
            names.add(ALERTS if rule.is_alert else rule.name)
    return frozenset(names)


def _alive(built: Built, play: _Play, labels: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """A node of every role, where a scenario leaves it open whether there is any: else there would be no metrics."""
    metric = built.rule_set.release.metric(_NODES)
    if metric is None or _NODES in play.case.feeds:
        return
    selected = {label: values[0] for label, values in built.profile.selector}
    named = {label: labels[label] for label in built.profile.identity if label in labels}
    for role in metric.values.get("role_name", ()):
        own = {"job": "milvus", "instance": "milvus-0:9091", "node_id": "1", "role_name": role}
        series = labelled(_NODES, {**own, **selected, **named})
        yield series, constant("1", play.case.steps * play.case.density + 1)


def _labels(written: str) -> dict[str, str]:
    return {name: json.loads(f'"{value}"') for name, value in _LABEL.findall(written)}


def _test_file(built: Built, play: _Play, asked: Sequence[Question], times: Sequence[Sequence[float]]) -> str:
    """The scenario, with questions in place of what must hold."""
    case = replace(play.case, alerts=(), samples=())
    suite = replace(play.suite, tests=((case,),))
    played = built.rule_set.names.filled(text.tests_yaml(suite, ["rules.yaml"]))
    parts = [played.decode(), "    promql_expr_test:\n"]
    for question, moments in zip(asked, times, strict=True):
        expr, expected = json.dumps(question.expr), json.dumps([{"labels": _IMPOSSIBLE, "value": 0}])
        parts += [
            f"      - {{expr: {expr}, eval_time: {Duration.of_seconds(moment)}, exp_samples: {expected}}}\n"
            for moment in moments
        ]
    return "".join(parts)
