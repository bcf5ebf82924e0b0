"""What a dashboard asks, and what comes back: the same from a server and from promtool."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Dashboard = Mapping[str, Any]
Panel = Mapping[str, Any]

# Stands for every value of a label that several values are chosen of.
EVERY = ".*"
_VARIABLE = re.compile(r"\$(\w+)")
_LEGEND = re.compile(r"\{\{\s*(\w+)\s*\}\}")


@dataclass(frozen=True, slots=True)
class Span:
    """What is shown of time, in seconds: from `start` to `end`, a point every `step`."""

    start: float
    end: float
    step: float

    @property
    def times(self) -> tuple[float, ...]:
        """The points in time, the first of them at the start."""
        return tuple(self.start + index * self.step for index in range(round((self.end - self.start) / self.step) + 1))


@dataclass(frozen=True, slots=True)
class Series:
    """One time series: its labels, and its points as pairs of a time in seconds and a value."""

    labels: Mapping[str, str]
    points: tuple[tuple[float, float], ...]

    @property
    def last(self) -> float:
        return self.points[-1][1]

    @property
    def has_numbers(self) -> bool:
        return any(math.isfinite(value) for _, value in self.points)


@dataclass(frozen=True, slots=True)
class Answer:
    """What comes back to one query: series, or the reason why there is no answer."""

    series: tuple[Series, ...]
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Question:
    """A query of a panel, without variables; `instant` where only the end of the span is asked for."""

    expr: str
    instant: bool


@dataclass(frozen=True, slots=True)
class Answered:
    """A dashboard with what came back to its queries: an answer for each target of a panel, by the panel's id.

    `chosen` is what its variables stand for.
    """

    dashboard: Dashboard
    chosen: Mapping[str, str]
    span: Span
    answers: Mapping[int, tuple[Answer, ...]]

    @classmethod
    def of(
        cls,
        dashboard: Dashboard,
        chosen: Mapping[str, str],
        span: Span,
        answers: Mapping[Question, Answer],
        window: str,
    ) -> Answered:
        """Puts answers to the dashboard's questions, which had the same `window`, where they belong."""
        asked = {panel["id"]: questions(panel, chosen, span, window) for panel in panels(dashboard)}
        found = {number: tuple(answers[each] for each in own) for number, own in asked.items()}
        return cls(dashboard, chosen, span, found)

    @property
    def problems(self) -> tuple[str, ...]:
        """What went wrong, with the title of its panel."""
        return tuple(
            f"{panel['title']}: {answer.problem}"
            for panel in panels(self.dashboard)
            for answer in self.answers[panel["id"]]
            if answer.problem
        )

    def has_data(self, panel: Panel) -> bool:
        """Whether any query of a panel was answered with a number."""
        told = zip(panel["targets"], self.answers[panel["id"]], strict=True)
        return any(series.has_numbers for target, answer in told if not is_scale(target) for series in answer.series)


def panels(dashboard: Dashboard) -> Iterator[Panel]:
    """Every panel that is no headline, also those of closed rows."""
    for panel in dashboard["panels"]:
        yield from panel["panels"] if panel["type"] == "row" else [panel]


def questions(panel: Panel, chosen: Mapping[str, str], span: Span, window: str) -> tuple[Question, ...]:
    """What a panel asks. Rates of raw series are taken over the `window`."""
    values = {**chosen, "__rate_interval": window, "__range": f"{max(math.ceil(span.end - span.start), 1)}s"}
    return tuple(Question(filled(each["expr"], values), each["instant"]) for each in panel["targets"])


def filled(text: str, values: Mapping[str, str]) -> str:
    """The text with every variable that has a value replaced, written as PromQL has it between double quotes."""

    def value(found: re.Match[str]) -> str:
        text = values.get(found[1])
        return found[0] if text is None else text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")

    return _VARIABLE.sub(value, text)


def named(legend: str, labels: Mapping[str, str]) -> str:
    """What the legend calls the series with these labels."""
    return _LEGEND.sub(lambda found: labels.get(found[1], ""), legend).strip()


def is_scale(target: Mapping[str, Any]) -> bool:
    """Whether a target is only there to reach the last line of a logarithmic scale."""
    return str(target["expr"]).startswith("vector(")


def fixed(dashboard: Dashboard) -> dict[str, str]:
    """What the variables stand for that need not be asked for."""
    found = {}
    for variable in dashboard["templating"]["list"]:
        if variable.get("includeAll"):
            found[variable["name"]] = EVERY
        elif variable["type"] == "custom":
            found[variable["name"]] = variable["current"]["value"]
    return found


def to_choose(dashboard: Dashboard, known: Sequence[str] | Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    """The other variables: name, selector, and the label whose values on it they may have."""
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query" and variable["name"] not in known:
            matched = re.fullmatch(r"label_values\((.*), (\w+)\)", variable["query"]["query"], re.DOTALL)
            assert matched is not None
            yield variable["name"], matched[1], matched[2]
