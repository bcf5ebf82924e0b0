"""What was built -> the sections of a page: dashboards as they are now, or what each alert looks like."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from generator.build import Built, Overview
from generator.dashboards.documents import documents
from generator.preview.answers import Answer, Answered, Dashboard, Question, Span, panels, questions
from generator.preview.page import Section
from generator.preview.prometheus import Server
from generator.preview.scenarios import shown

# Shows that so many questions are answered one after the other.
Progress = Callable[[Iterator[Any], int], Iterable[Any]]


def dashboards(built: Built | Overview) -> list[Dashboard]:
    """The dashboards of a profile or a fleet, in the order in which a person reads them: first whether all is well."""
    found = documents(built.rule_set).files if isinstance(built, Built) else built.dashboards
    return sorted(map(json.loads, found.values()), key=lambda each: "diagnosis" in each["uid"])


def of_server(
    server: Server, built: Built | Overview, span: Span, given: Mapping[str, str], progress: Progress
) -> Iterator[Section]:
    """A section for each dashboard, with what the server has. Raises EnvironmentProblem when it cannot be asked."""
    for dashboard in dashboards(built):
        chosen = server.choose(dashboard, given, span)
        window = _rate_interval(dashboard, span)
        asked = list(
            dict.fromkeys(
                question for panel in panels(dashboard) for question in questions(panel, chosen, span, window)
            )
        )
        answers: dict[Question, Answer] = dict(progress(server.answers(asked, span), len(asked)))
        answered = Answered.of(dashboard, chosen, span, answers, window)
        nothing = not any(answered.has_data(panel) for panel in panels(dashboard))
        notes = (_NOTHING,) if nothing else ()
        yield Section(dashboard["title"], (dashboard["description"], *notes), (answered,), clock=True)


_NOTHING = "There is nothing to show: does this Prometheus scrape the deployment, and have its rules been loaded?"


def _rate_interval(dashboard: Dashboard, span: Span) -> str:
    """What Grafana makes of `$__rate_interval`: four scrape intervals, or a step and one more of them."""
    interval = next(panels(dashboard))["interval"]
    seconds = float(interval[:-2]) / 1000 if interval.endswith("ms") else float(interval[:-1])
    return f"{round(1000 * max(4 * seconds, span.step + seconds))}ms"


def of_scenarios(promtool: str, built: Built, progress: Progress) -> Iterator[Section]:
    """A section for each alert of a profile. Raises EnvironmentProblem when promtool does not do what it should."""
    drawn = dashboards(built)
    alerts = {rule.name: rule for rule in built.rule_set.rules if rule.is_alert}
    for each in progress(shown(promtool, built, drawn), len(alerts)):
        notes = [*_said(each.annotations), f"Scenario: {each.scenario}."]
        yield Section(each.alert, tuple(notes), each.answered, clock=False)


def _said(annotations: Mapping[str, str]) -> Sequence[str]:
    """What the alert says of itself when it fires."""
    return [annotations[name] for name in ("summary", "description", "verdict") if annotations.get(name)]
