"""Answered dashboards -> one page of HTML that needs nothing else: no network, no script."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from html import escape
from importlib import resources

from generator.preview.answers import EVERY, Answered, Panel
from generator.preview.drawing import drawn


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the page: a dashboard, or what an alert looks like.

    `notes` are paragraphs under its headline. With `clock` times are times of day; without, only panels with data are
    shown, and how long after the start.
    """

    title: str
    notes: tuple[str, ...]
    answered: tuple[Answered, ...]
    clock: bool


def page(title: str, says: Sequence[str], sections: Sequence[Section]) -> str:
    """The page, with a table of contents where there are several sections."""
    contents = "".join(
        f'<a href="#{_anchor(number)}">{escape(section.title)}</a>' for number, section in enumerate(sections)
    )
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">',
            f"<title>{escape(title)}</title><style>{_style()}</style></head><body>",
            f"<header><h1>{escape(title)}</h1>",
            *(f"<p>{escape(each)}</p>" for each in says),
            f"<nav>{contents}</nav></header>" if len(sections) > 1 else "</header>",
            *(part for number, section in enumerate(sections) for part in _section(number, section)),
            "</body></html>",
            "",
        ]
    )


@cache
def _style() -> str:
    return resources.files(__package__).joinpath("page.css").read_text("utf-8")


def _anchor(number: int) -> str:
    return f"part-{number + 1}"


def _section(number: int, section: Section) -> Iterator[str]:
    yield f'<section id="{_anchor(number)}"><h2>{escape(section.title)}</h2>'
    yield from (f"<p>{_prose(note)}</p>" for note in section.notes)
    for answered in section.answered:
        if section.clock:
            yield f'<p class="chosen">{"".join(_chosen(answered))}</p>'
            yield from _rows(answered)
        else:
            shown = [panel for panel in _panels(answered) if answered.has_data(panel)]
            yield _grid(shown, answered, clock=False)
    yield "</section>"


def _chosen(answered: Answered) -> Iterator[str]:
    for variable in answered.dashboard["templating"]["list"]:
        if variable["name"] in answered.chosen:
            value = answered.chosen[variable["name"]]
            text = "all" if value == EVERY else value or "none found"
            yield f"<span>{escape(variable['label'])} <b>{escape(text)}</b></span>"


def _rows(answered: Answered) -> Iterator[str]:
    """The rows of a dashboard, each under its headline."""
    above: list[Panel] = []
    for panel in answered.dashboard["panels"]:
        if panel["type"] != "row":
            above.append(panel)
            continue
        yield _grid(above, answered, clock=True)
        yield f"<h3>{escape(panel['title'])}</h3>"
        above = list(panel["panels"])
    yield _grid(above, answered, clock=True)


def _panels(answered: Answered) -> Iterator[Panel]:
    for panel in answered.dashboard["panels"]:
        yield from panel["panels"] if panel["type"] == "row" else [panel]


def _grid(panels: Iterable[Panel], answered: Answered, *, clock: bool) -> str:
    found = [_panel(panel, answered, clock=clock) for panel in panels]
    return f'<div class="grid">{"".join(found)}</div>' if found else ""


def _panel(panel: Panel, answered: Answered, *, clock: bool) -> str:
    inside = drawn(panel, answered.answers[panel["id"]], answered.span, clock=clock)
    links = "".join(_link(link) for link in panel.get("links", ()))
    says = f"<details><summary>{escape(panel['title'])}</summary><p>{_prose(panel['description'])}</p>{links}</details>"
    return f'<article style="--span:{panel["gridPos"]["w"]}">{says}{inside}</article>'


def _prose(text: str) -> str:
    """Text with code between backticks, as Grafana and Alertmanager's receivers show it."""
    return re.sub("`([^`]+)`", r"<code>\1</code>", escape(text))


def _link(link: Mapping[str, str]) -> str:
    return f'<p><a href="{escape(link["url"])}">{escape(link["title"])}</a></p>'
