"""A panel with its answers -> HTML: a picture in SVG where that says more than text.

Colours are names of CSS variables, which the page sets for light and for dark, or what a definition spells out.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from typing import Any

from generator.preview import scales
from generator.preview.answers import Answer, Panel, Series, Span, is_scale, named
from generator.preview.scales import Axis, written

# The names of colours that Grafana and the page know; others are written as they are.
COLOURS = (
    "green", "yellow", "orange", "red", "purple", "blue", "light-blue", "dark-green", "dark-red", "text",
)  # fmt: skip
_PALETTE = ("green", "yellow", "blue", "orange", "light-blue", "purple", "dark-green", "red")

# What a 24th of the page's width, and a row of the grid, have of the units in which pictures are drawn.
_WIDTH, _HEIGHT = 52, 24
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 14, 8, 22
_NARROW_ROW, _ROW = 18, 26
_BETWEEN_MARKS = 78
# A series with a gap longer than so many steps is interrupted there.
_GAP = 1.5
# So many rows of a table, or of a timeline, are drawn.
_MOST_ROWS = 40


@dataclass(frozen=True, slots=True)
class Look:
    """How values of one series are shown: the panel's settings under what overrides them for this series."""

    unit: str
    colour: str
    states: Mapping[str, Mapping[str, Any]]
    steps: tuple[tuple[float, str], ...]
    properties: Mapping[str, Any]

    @classmethod
    def of(cls, panel: Panel, name: str) -> Look:
        settings = {**panel["fieldConfig"]["defaults"]}
        for override in panel["fieldConfig"]["overrides"]:
            wanted = override["matcher"]["options"]
            by_name = override["matcher"]["id"] == "byName"
            if name == wanted if by_name else re.search(wanted.strip("/"), name):
                settings |= {each["id"]: each["value"] for each in override["properties"]}
        states = {key: each for mapping in settings["mappings"] for key, each in mapping["options"].items()}
        steps = tuple(
            (-math.inf if step["value"] is None else step["value"], step["color"])
            for step in settings["thresholds"]["steps"]
        )
        return cls(settings["unit"], settings["color"].get("fixedColor", ""), states, steps, settings)

    def colour_of(self, value: float) -> str:
        """The colour of a value: of its state, or of the highest step that it reaches."""
        if state := self._state(value):
            return str(state["color"])
        if self.colour or math.isnan(value):
            return self.colour or "text"
        return [colour for at, colour in self.steps if value >= at][-1]

    def text(self, value: float) -> str:
        state = self._state(value)
        return str(state["text"]) if state else written(value, self.unit)

    def _state(self, value: float) -> Mapping[str, Any] | None:
        return self.states.get(str(int(value))) if math.isfinite(value) and value == int(value) else None


@dataclass(frozen=True, slots=True)
class _Line:
    """A series by the name that its legend gives it."""

    name: str
    look: Look
    series: Series

    @property
    def on_the_right(self) -> bool:
        return self.look.properties.get("custom.axisPlacement") == "right"


def drawn(panel: Panel, answers: Sequence[Answer], span: Span, *, clock: bool) -> str:
    """The inside of a panel. With `clock` times are times of day, else how long after the start."""
    if problems := [answer.problem for answer in answers if answer.problem]:
        return f'<p class="problem">{escape(problems[0])}</p>'
    told = [pair for pair in zip(panel["targets"], answers, strict=True) if not is_scale(pair[0])]
    lines = [_line(panel, target, series) for target, answer in told for series in answer.series if series.has_numbers]
    if not lines:
        return f'<p class="nothing">{escape(panel["fieldConfig"]["defaults"].get("noValue", "No data"))}</p>'
    return _KINDS[panel["type"]](panel, lines, _Times(span, clock=clock))


def _line(panel: Panel, target: Mapping[str, Any], series: Series) -> _Line:
    name = named(target["legendFormat"], series.labels)
    return _Line(name, Look.of(panel, name), series)


@dataclass(frozen=True, slots=True)
class _Times:
    """The time axis of a picture."""

    span: Span
    clock: bool

    def place(self, at: float) -> float:
        return (at - self.span.start) / (self.span.end - self.span.start)

    def marks(self, most: int) -> Iterator[tuple[float, str]]:
        """Where to mark the axis, at no more than so many places, and what is written there."""
        start = self.span.start if self.clock else 0.0
        length = self.span.end - self.span.start
        for at in scales.moments(start, start + length, most):
            yield (at - start) / length, self._text(at, length)

    def _text(self, at: float, length: float) -> str:
        if not self.clock:
            return written(at, "s") if at else "0"
        moment = datetime.fromtimestamp(at, UTC)
        return moment.strftime("%d %b %H:%M" if length > 86_400 else "%H:%M:%S" if length < 600 else "%H:%M")


@dataclass(frozen=True, slots=True)
class _Frame:
    """The rectangle of a picture in which values are drawn."""

    width: float
    height: float
    left: float = _LEFT
    right: float = _RIGHT

    @classmethod
    def of(cls, panel: Panel, *, right: float = _RIGHT, below: float = 0) -> _Frame:
        """The frame of a panel of which so much lies `below` it."""
        place = panel["gridPos"]
        return cls(place["w"] * _WIDTH, max(place["h"] * _HEIGHT - below, 90), right=right)

    def x(self, share: float) -> float:
        return self.left + share * (self.width - self.left - self.right)

    def y(self, share: float) -> float:
        return self.height - _BOTTOM - share * (self.height - _BOTTOM - _TOP)


def _svg(frame: _Frame, parts: Iterable[str]) -> str:
    return f'<svg viewBox="0 0 {frame.width:g} {frame.height:g}" role="img">{"".join(parts)}</svg>'


def _text(x: float, y: float, text: str, anchor: str, style: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{style}>{escape(text)}</text>'


def _stroke(x1: float, y1: float, x2: float, y2: float, kind: str, colour: str = "") -> str:
    style = f' style="stroke:{css(colour)}"' if colour else ""
    return f'<path class="{kind}" d="M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}"{style}/>'


def css(colour: str) -> str:
    """A colour as style sheets have it."""
    return f"var(--{colour})" if colour in COLOURS else escape(colour)


def _time_axis(frame: _Frame, times: _Times) -> Iterator[str]:
    for share, text in times.marks(int(frame.width / _BETWEEN_MARKS)):
        x = frame.x(share)
        yield _stroke(x, frame.y(0), x, frame.y(1), "axis")
        yield _text(x, frame.height - 6, text, "middle" if frame.left < x < frame.width - 30 else "end")


def _value_axis(frame: _Frame, axis: Axis, unit: str, *, right: bool = False) -> Iterator[str]:
    for mark in axis.marks:
        y = frame.y(axis.place(mark))
        if right:
            yield _text(frame.width - frame.right + 6, y + 4, written(mark, unit), "start")
        else:
            yield _stroke(frame.left, y, frame.width - frame.right, y, "axis")
            yield _text(frame.left - 6, y + 4, written(mark, unit), "end")


def _time_series(panel: Panel, lines: list[_Line], times: _Times) -> str:
    custom = panel["fieldConfig"]["defaults"]["custom"]
    stacking = custom["stacking"]["mode"]
    right = [line for line in lines if line.on_the_right]
    left = [line for line in lines if not line.on_the_right] or lines
    coloured = {line.name: line.look.colour or colour for line, colour in zip(lines, itertools.cycle(_PALETTE))}
    below = 50 if stacking == "none" else 10
    frame = _Frame.of(panel, right=_LEFT if right and left != lines else _RIGHT, below=below)
    parts = list(_time_axis(frame, times))
    if stacking != "none":
        parts += _stack(frame, left, times, coloured, shares=stacking == "percent")
    else:
        axis = _axis(panel, left)
        parts += _value_axis(frame, axis, left[0].look.unit)
        parts += _thresholds(panel, frame, axis)
        parts += (part for line in left for part in _curve(frame, axis, line, times, coloured[line.name], custom))
    if right and left != lines:
        axis = scales.linear((value for line in right for _, value in line.series.points), 0, None, right[0].look.unit)
        parts += _value_axis(frame, axis, right[0].look.unit, right=True)
        parts += (part for line in right for part in _curve(frame, axis, line, times, coloured[line.name], custom))
    return _svg(frame, parts) + _legend(lines, coloured, numbers=stacking == "none")


def _axis(panel: Panel, lines: list[_Line]) -> Axis:
    """The axis of a panel for some of its series. It reaches the last of the dashed lines."""
    defaults = panel["fieldConfig"]["defaults"]
    values = [value for line in lines for _, value in line.series.points]
    values += [step["value"] for step in defaults["thresholds"]["steps"] if step["value"] is not None]
    if defaults["custom"]["scaleDistribution"]["type"] == "log":
        return scales.logarithmic(values)
    return scales.linear(values, defaults.get("min"), defaults.get("max"), lines[0].look.unit)


def _thresholds(panel: Panel, frame: _Frame, axis: Axis) -> Iterator[str]:
    defaults = panel["fieldConfig"]["defaults"]
    if defaults["custom"]["thresholdsStyle"]["mode"] != "off":
        for step in defaults["thresholds"]["steps"]:
            if step["value"] is not None and axis.low <= step["value"] <= axis.high:
                y = frame.y(axis.place(step["value"]))
                yield _stroke(frame.left, y, frame.width - frame.right, y, "threshold", step["color"])


def _runs(series: Series, step: float) -> Iterator[list[tuple[float, float]]]:
    """The points of a series in runs without a gap."""
    run: list[tuple[float, float]] = []
    for at, value in series.points:
        if not math.isfinite(value):
            continue
        if run and at - run[-1][0] > _GAP * step:
            yield run
            run = []
        run.append((at, value))
    if run:
        yield run


def _curve(
    frame: _Frame, axis: Axis, line: _Line, times: _Times, colour: str, custom: Mapping[str, Any]
) -> Iterator[str]:
    fill = custom["fillOpacity"]
    as_points = line.look.properties.get("custom.drawStyle") == "points"
    for run in _runs(line.series, times.span.step):
        places = [(frame.x(times.place(at)), frame.y(min(max(axis.place(value), 0.0), 1.0))) for at, value in run]
        if as_points or len(places) == 1:
            yield from (f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5" style="fill:{css(colour)}"/>' for x, y in places)
            continue
        path = _path(places, steps=custom["lineInterpolation"] == "stepAfter")
        if fill:
            first, last, ground = places[0][0], places[-1][0], frame.y(0)
            shape = f"M{first:.1f} {ground:.1f}L{path[1:]}L{last:.1f} {ground:.1f}Z"
            yield f'<path d="{shape}" style="fill:{css(colour)};opacity:{fill / 100:g}"/>'
        kind = "curve dashed" if line.on_the_right else "curve"
        yield f'<path class="{kind}" d="{path}" style="stroke:{css(colour)}"><title>{escape(line.name)}</title></path>'


def _path(places: Sequence[tuple[float, float]], *, steps: bool = False) -> str:
    (x, y), rest = places[0], places[1:]
    parts = [f"M{x:.1f} {y:.1f}"]
    parts += [f"H{x:.1f}V{y:.1f}" if steps else f"L{x:.1f} {y:.1f}" for x, y in rest]
    return "".join(parts)


def _stack(
    frame: _Frame, lines: list[_Line], times: _Times, coloured: Mapping[str, str], *, shares: bool
) -> Iterator[str]:
    """Series on top of one another; with `shares` as parts of their sum."""
    grid = times.span.times
    values = [[dict(_at(line, times.span)).get(index, 0.0) for index in range(len(grid))] for line in lines]
    sums = [sum(each) for each in zip(*values, strict=True)]
    axis = Axis(0, 1, (0, 0.25, 0.5, 0.75, 1), logarithmic=False)
    if not shares and max(sums) > 1.05:
        axis = scales.linear(sums, 0, None, lines[0].look.unit)
    yield from _value_axis(frame, axis, "percentunit" if shares else lines[0].look.unit)
    below = [0.0] * len(grid)
    for line, own in zip(lines, values, strict=True):
        whole = [each or 1.0 for each in sums] if shares else [1.0] * len(grid)
        above = [low + value / of for low, value, of in zip(below, own, whole, strict=True)]
        for start, end in _present(sums):
            upper = [
                (frame.x(times.place(grid[at])), frame.y(min(axis.place(above[at]), 1))) for at in range(start, end)
            ]
            lower = [
                (frame.x(times.place(grid[at])), frame.y(min(axis.place(below[at]), 1))) for at in range(start, end)
            ]
            shape = f"{_path(upper)}L{_path(lower[::-1])[1:]}Z"
            title = f"<title>{escape(line.name)}</title>"
            yield f'<path class="band" d="{shape}" style="fill:{css(coloured[line.name])}">{title}</path>'
        below = above


def _at(line: _Line, span: Span) -> Iterator[tuple[int, float]]:
    """The values of a series by the number of their step."""
    for at, value in line.series.points:
        if math.isfinite(value):
            yield round((at - span.start) / span.step), max(value, 0.0)


def _present(sums: Sequence[float]) -> Iterator[tuple[int, int]]:
    """Where there is anything: from which point to which."""
    index = 0
    for there, run in itertools.groupby(sums, bool):
        length = len(list(run))
        if there:
            yield index, index + length
        index += length


def _legend(lines: list[_Line], coloured: Mapping[str, str], *, numbers: bool) -> str:
    """The names of the series with their colours and, with `numbers`, their last and highest values."""
    rows = []
    for line in {line.name: line for line in lines}.values():
        known = [value for _, value in line.series.points if math.isfinite(value)]
        values = f"<b>{line.look.text(line.series.last)}</b><i>{line.look.text(max(known))}</i>" if numbers else ""
        rows.append(f'<li><s style="background:{css(coloured[line.name])}"></s>{escape(line.name)}{values}</li>')
    head = "<li><b>last</b><i>highest</i></li>" if numbers else ""
    return f'<ul class="legend{" numbers" if numbers else ""}">{head}{"".join(rows)}</ul>'


def _stat(panel: Panel, lines: list[_Line], times: _Times) -> str:
    mode = panel["options"]["colorMode"]
    boxes = []
    for line in lines:
        value = _last(line, times)
        colour = css(line.look.colour_of(value))
        style = {"background": f"background:{colour};color:var(--inside)", "value": f"color:{colour}"}.get(mode, "")
        name = f"<span>{escape(line.name)}</span>" if len(lines) > 1 else ""
        boxes.append(f'<div style="{style}">{name}<b>{escape(line.look.text(value))}</b></div>')
    return f'<div class="stats">{"".join(boxes)}</div>'


def _last(line: _Line, times: _Times) -> float:
    """The value at the end; what has ended before has none."""
    at, value = line.series.points[-1]
    return value if at >= times.span.end - _GAP * times.span.step else math.nan


def _bars(panel: Panel, lines: list[_Line], times: _Times) -> str:
    del panel
    values = [(line, _last(line, times)) for line in lines]
    most = max((value for _, value in values if math.isfinite(value)), default=0.0) or 1.0
    rows = []
    for line, value in values:
        share = max(value, 0) / most if math.isfinite(value) else 0
        colour = css(line.look.colour_of(value))
        bar = f'<u><s style="width:{share:.1%};background:{colour}"></s></u>'
        rows.append(f"<li><span>{escape(line.name)}</span>{bar}<b>{line.look.text(value)}</b></li>")
    return f'<ul class="bars">{"".join(rows)}</ul>'


def _timeline(panel: Panel, lines: list[_Line], times: _Times) -> str:
    shown = lines[:_MOST_ROWS]
    height = _ROW if len(shown) < 8 else _NARROW_ROW
    frame = _Frame(panel["gridPos"]["w"] * _WIDTH, len(shown) * height + _BOTTOM + _TOP, left=236.0)
    parts = list(_time_axis(frame, times))
    for row, line in enumerate(shown):
        y = _TOP + row * height
        parts.append(_text(frame.left - 10, y + height / 2 + 4, line.name, "end", ' class="name"'))
        for run in _runs(line.series, times.span.step):
            for value, same in itertools.groupby(run, lambda point: point[1]):
                at = [point[0] for point in same]
                start, end = (frame.x(min(times.place(each), 1)) for each in (at[0], at[-1] + times.span.step))
                text = line.look.text(value)
                colour = css(line.look.colour_of(value))
                place = f'x="{start:.1f}" y="{y + 2:.1f}" width="{max(end - start, 2):.1f}" height="{height - 4}"'
                parts.append(f'<rect {place} rx="2" style="fill:{colour}"><title>{escape(text)}</title></rect>')
                if end - start > 8 * len(text):
                    parts.append(_text(start + 6, y + height / 2 + 4, text, "start", ' class="inside"'))
    return _svg(frame, parts) + _more(len(lines) - len(shown))


def _more(count: int) -> str:
    return f'<p class="nothing">and {count} more</p>' if count > 0 else ""


def _heatmap(panel: Panel, lines: list[_Line], times: _Times) -> str:
    unit = panel["options"]["yAxis"]["unit"]
    buckets = sorted((float(line.series.labels.get("le", "nan")), dict(_at(line, times.span))) for line in lines)
    counts: list[tuple[float, dict[int, float]]] = []
    below: dict[int, float] = {}
    for bound, under in buckets:
        counts.append((bound, {at: count - below.get(at, 0.0) for at, count in under.items()}))
        below = under
    most = max((count for _, row in counts for count in row.values()), default=0.0)
    seen = [index for index, (_, row) in enumerate(counts) if any(count > most / 1e6 for count in row.values())]
    if not seen:
        return '<p class="nothing">No requests</p>'
    shown = counts[max(seen[0] - 1, 0) : seen[-1] + 2]
    frame = _Frame.of(panel)
    height = (frame.height - _TOP - _BOTTOM) / len(shown)
    width = max((frame.x(1) - frame.x(0)) / len(times.span.times), 1)
    parts = list(_time_axis(frame, times))
    for index, (bound, row) in enumerate(shown):
        y = frame.y(0) - (index + 1) * height
        if index % math.ceil(len(shown) / 8) == 0:
            parts.append(_text(frame.left - 6, y + height / 2 + 4, written(bound, unit), "end"))
        for at, count in row.items():
            if count > most / 1e6:
                # More requests are warmer: from blue over green and yellow to red.
                hue = 220 - 220 * (count / most) ** 0.4
                place = f'x="{frame.x(times.place(times.span.start + at * times.span.step)):.1f}" y="{y:.1f}"'
                size = f'width="{width:.1f}" height="{height - 0.6:.1f}"'
                parts.append(f'<rect {place} {size} style="fill:hsl({hue:.0f} 75% 50%)"/>')
    return _svg(frame, parts)


def _table(panel: Panel, lines: list[_Line], times: _Times) -> str:
    del times
    (organised,) = (each for each in panel["transformations"] if each["id"] == "organize")
    hidden, headings = organised["options"]["excludeByName"], organised["options"]["renameByName"]
    columns = [target["legendFormat"] for target in panel["targets"]]
    rows: dict[tuple[tuple[str, str], ...], dict[str, _Line]] = {}
    for line in lines:
        labels = {label: text for label, text in line.series.labels.items() if label != "__name__"}
        rows.setdefault(tuple(sorted(labels.items())), {})[line.name] = line
    ordered = list(rows.items())
    for by in reversed(panel["options"].get("sortBy", [])):
        name = by["displayName"]
        ordered.sort(key=lambda row: row[1][name].series.last if name in row[1] else -math.inf, reverse=by["desc"])
    shown = [label for label in dict.fromkeys(label for key in rows for label, _ in key) if not hidden.get(label)]
    head = "".join(f"<th>{escape(headings.get(label, label))}</th>" for label in shown)
    head += "".join(f'<th class="number">{escape(name)}</th>' for name in columns)
    body = "".join(_row(dict(key), shown, columns, found) for key, found in ordered[:_MOST_ROWS])
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    return table + _more(len(ordered) - _MOST_ROWS)


def _row(key: Mapping[str, str], labels: list[str], columns: list[str], found: Mapping[str, _Line]) -> str:
    cells = [f"<td>{escape(key.get(label, ''))}</td>" for label in labels]
    for name in columns:
        line = found.get(name)
        if line is None:
            cells.append('<td class="number"></td>')
            continue
        value = line.series.last
        style = ""
        if kind := line.look.properties.get("custom.cellOptions"):
            colour = css(line.look.colour_of(value))
            style = (
                f"background:{colour};color:var(--inside)" if kind["type"] == "color-background" else f"color:{colour}"
            )
        cells.append(f'<td class="number" style="{style}">{escape(line.look.text(value))}</td>')
    return f"<tr>{''.join(cells)}</tr>"


_KINDS: Mapping[str, Callable[[Panel, list[_Line], _Times], str]] = {
    "timeseries": _time_series,
    "stat": _stat,
    "bargauge": _bars,
    "state-timeline": _timeline,
    "heatmap": _heatmap,
    "table": _table,
}
