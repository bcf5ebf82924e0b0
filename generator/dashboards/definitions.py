"""`dashboards/*.yaml` -> what each dashboard shows: rows of panels, each with its queries.

Strings may hold `<< path >>`, a dotted path into what `panels` offers. That is all the templating there is, so that
a build of one profile does not spend its time on compiling templates.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Any

from generator.templates import LINE, TemplateError, one_line, parsed, shipped

KINDS = ("stat", "time series", "heatmap", "table", "state timeline", "bar gauge")


class DefinitionError(TemplateError):
    """A definition of a dashboard is wrong: a bug of the definition, not of a profile. Names its file and panel."""

    folder = "dashboards"


@dataclass(frozen=True, eq=False)
class QueryDefinition:
    """One query of a panel. Of several `exprs` the first that the release can serve is taken.

    `for_each` makes one query for each of some values, `join_over` one query of several parts joined by `or`.

    `look` are settings of what the query yields: `colour`, `unit`, `lines` and the like.
    """

    legend: str
    exprs: tuple[str, ...]
    for_each: Mapping[str, Any]
    join_over: Mapping[str, Any]
    when: str
    look: Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class PanelDefinition:
    """One panel, of `width` 24ths of the screen. `look` are its settings beside these.

    `alert` is the one whose condition it shows; empty where it shows none.
    """

    where: str
    title: str
    says: str
    alert: str
    shows: str
    width: int
    height: int
    unit: str
    look: Mapping[str, Any]
    queries: tuple[QueryDefinition, ...]

    def error(self, problem: object) -> DefinitionError:
        return DefinitionError(f"{self.where}: {problem}")


@dataclass(frozen=True, eq=False)
class RowDefinition:
    """Panels under a headline, which may be empty; the whole row is repeated `for_each`."""

    title: str
    closed: bool
    for_each: Mapping[str, Any]
    panels: tuple[PanelDefinition, ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """A variable by which a person narrows a dashboard down to some values of a label that the selector has.

    Links between dashboards carry variables by their name: what one means must be the same in all.
    """

    name: str
    label: str
    title: str
    selector: str


@dataclass(frozen=True, eq=False)
class DashboardDefinition:
    """One dashboard; of a profile, or of a whole fleet. `metrics` are all that its panels may read."""

    name: str
    title: str
    says: str
    order: int
    whole_fleet: bool
    metrics: frozenset[str]
    choices: tuple[Choice, ...]
    rows: tuple[RowDefinition, ...]


@cache
def load() -> tuple[DashboardDefinition, ...]:
    """The dashboards that Thresher ships, in their order. Raises DefinitionError."""
    found = [parse(path.name, path.read_text("utf-8")) for path in shipped("dashboards")]
    return tuple(sorted(found, key=lambda each: each.order))


@cache
def alerts() -> tuple[str, ...]:
    """The alerts whose conditions panels show. Raises DefinitionError."""
    panels = (panel for each in load() for row in each.rows for panel in row.panels)
    return tuple(dict.fromkeys(panel.alert for panel in panels if panel.alert))


def parse(file: str, text: str) -> DashboardDefinition:
    """The definition in the text of a file. Raises DefinitionError."""
    data = parsed(file, text, DefinitionError)
    _only(file, data, {"dashboard", "title", "says", "order", "whole_fleet", "metrics", "choose", "rows"})
    return DashboardDefinition(
        name=data["dashboard"],
        title=data["title"],
        says=one_line(data["says"]),
        order=data["order"],
        whole_fleet=data.get("whole_fleet", False),
        metrics=frozenset(data["metrics"]),
        choices=tuple(
            Choice(each["variable"], each["label"], each["title"], each["from"]) for each in data.get("choose", ())
        ),
        rows=tuple(_row(file, row) for row in data["rows"]),
    )


def _row(file: str, data: dict[str, Any]) -> RowDefinition:
    _only(file, data, {"row", "closed", "for_each", "panels"})
    panels = tuple(_panel(file, panel) for panel in data["panels"])
    return RowDefinition(data.get("row", ""), data.get("closed", False), _plain(data.get("for_each", {})), panels)


_PANEL = {"alert", "panel", "says", "shows", "size", "unit", "queries"}
_PANEL_LOOK = {
    "colour", "empty", "fill", "lines", "link", "points", "range", "scale", "sort", "sparkline", "stack", "states",
    "steps",
}  # fmt: skip
_QUERY = {"legend", "column", "expr", "for_each", "join_over", "when"}
_QUERY_LOOK = {"colour", "lines", "points", "right", "states", "unit", "width"}


def _panel(file: str, data: dict[str, Any]) -> PanelDefinition:
    where = f"{file}:{data[LINE]}: {data.get('panel')}"
    _only(where, data, _PANEL | _PANEL_LOOK)
    if data["shows"] not in KINDS:
        raise DefinitionError(f"{where}: shows {data['shows']}; known: {', '.join(KINDS)}")
    return PanelDefinition(
        where=where,
        title=data["panel"],
        says=one_line(data["says"]),
        alert=data.get("alert", ""),
        shows=data["shows"],
        width=data["size"][0],
        height=data["size"][1],
        unit=data["unit"],
        look=_plain({key: value for key, value in data.items() if key in _PANEL_LOOK}),
        queries=tuple(_query(where, query) for query in data["queries"]),
    )


def _query(where: str, data: dict[str, Any]) -> QueryDefinition:
    _only(where, data, _QUERY | _QUERY_LOOK)
    exprs = data["expr"] if isinstance(data["expr"], list) else [data["expr"]]
    return QueryDefinition(
        legend=data.get("column") or data["legend"],
        exprs=tuple(map(str.strip, exprs)),
        for_each=_plain(data.get("for_each", {})),
        join_over=_plain(data.get("join_over", {})),
        when=data.get("when", ""),
        look=_plain({key: value for key, value in data.items() if key in _QUERY_LOOK}),
    )


def _only(where: str, data: Mapping[str, Any], known: set[str]) -> None:
    if unknown := sorted(set(data) - known - {LINE}):
        raise DefinitionError(f"{where}: unknown key {unknown[0]}")


def _plain(value: Any) -> Any:
    """The value without what the loader remembers, and read-only."""
    if isinstance(value, dict):
        return MappingProxyType({key: _plain(inner) for key, inner in value.items() if key != LINE})
    return tuple(map(_plain, value)) if isinstance(value, list) else value
