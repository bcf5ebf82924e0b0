"""Rows and panels -> the classic JSON that Grafana 11.6 and later imports, by any way of importing.

The one module that knows grafana-foundation-sdk. Its types are used, not its builders: those also load the types of two
other dashboard formats, and take twice as long to import. What the SDK does not do is done here: ids, places on the
grid, and the removal of what Grafana itself would not write.
"""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

with warnings.catch_warnings():
    # The classic format is what every version and every way of importing reads.
    warnings.simplefilter("ignore", DeprecationWarning)
    from grafana_foundation_sdk.models import (
        bargauge,
        common,
        heatmap,
        prometheus,
        stat,
        statetimeline,
        table,
        timeseries,
    )
    from grafana_foundation_sdk.models import dashboard as grafana

from generator.dashboards.panels import UNITS, Line, Panel, Query, Row

_WIDTH = 24
_DATASOURCE = common.DataSourceRef(type_val="prometheus", uid="${datasource}")
_TYPES = {
    "stat": "stat",
    "time series": "timeseries",
    "heatmap": "heatmap",
    "table": "table",
    "state timeline": "state-timeline",
    "bar gauge": "bargauge",
}
# What links of panels lead to, by the names that definitions use.
Targets = tuple[tuple[str, str], ...]

# What is shown as it is now, and not over time.
_INSTANT = {"stat", "table", "bar gauge"}
_FINE, _HEALTHY, _ACCEPTABLE = "text", "green", "#8ab83f"


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable at the top of a dashboard: values of a label.

    With `values` there is nothing to ask Prometheus for; else they are those of the label on `selector`.
    """

    name: str
    title: str
    label: str
    values: tuple[str, ...] = ()
    selector: str = ""
    several: bool = False


@dataclass(frozen=True, slots=True)
class Annotation:
    """Moments that are marked in every panel."""

    name: str
    expr: str
    title: str
    tags: str
    colour: str
    step: str


@dataclass(frozen=True, slots=True)
class Frame:
    """All of a dashboard but its panels. `interval` is how far samples lie apart, `links` lead to tagged dashboards."""

    uid: str
    title: str
    says: str
    tags: tuple[str, ...]
    variables: tuple[Variable, ...]
    annotations: tuple[Annotation, ...]
    links: tuple[tuple[str, str], ...]
    interval: str
    targets: Targets


def dashboard_json(frame: Frame, rows: Sequence[Row]) -> str:
    """The dashboard as JSON: a line per setting of a panel, so that a change is a small difference."""
    panels = ",\n".join(_placed(rows, frame.interval, frame.targets))
    around = _around(frame.title, frame.says, frame.tags, frame.variables, frame.annotations, frame.links)
    whole = f'{{\n  "uid": {json.dumps(frame.uid)},\n{around},\n  "panels": [\n{panels}\n  ]\n}}\n'
    return whole.replace(f'"{_BARE}', "").replace(f'{_BARE}"', "")


@lru_cache(maxsize=1024)
def _around(
    title: str,
    says: str,
    tags: tuple[str, ...],
    variables: tuple[Variable, ...],
    annotations: tuple[Annotation, ...],
    links: tuple[tuple[str, str], ...],
) -> str:
    found = grafana.Dashboard(
        title=title,
        description=says,
        tags=list(tags),
        timezone="browser",
        editable=False,
        graph_tooltip=grafana.DashboardCursorSync.CROSSHAIR,
        time=grafana.DashboardDashboardTime("now-1h", "now"),
        refresh="30s",
        schema_version=39,
        templating=grafana.DashboardDashboardTemplating([_datasource(), *map(_variable, variables)]),
        annotations=grafana.AnnotationContainer([_built_in(), *map(_annotation, annotations)]),
        links=[_tagged(title, tag) for title, tag in links],
    )
    settings = {"id": None, **_json(found)}
    return ",\n".join(_lines(settings, "  ", 3))


def _datasource() -> grafana.VariableModel:
    return grafana.VariableModel(
        type_val=grafana.VariableType.DATASOURCE,
        name="datasource",
        label="Data source",
        query="prometheus",
        # Without a real value, Grafana 12 shows panels that ask nobody, once after an import.
        current=grafana.VariableOption(text="default", value="default"),
        refresh=grafana.VariableRefresh.ON_DASHBOARD_LOAD,
    )


def _variable(given: Variable) -> grafana.VariableModel:
    if given.values:
        options = [
            grafana.VariableOption(text=value, value=value, selected=not at) for at, value in enumerate(given.values)
        ]
        return grafana.VariableModel(
            type_val=grafana.VariableType.CUSTOM,
            name=given.name,
            label=given.title,
            query=",".join(value.replace(",", "\\,") for value in given.values),
            current=options[0],
            options=options,
        )
    every = grafana.VariableOption(text="All", value="$__all", selected=True) if given.several else None
    return grafana.VariableModel(
        type_val=grafana.VariableType.QUERY,
        name=given.name,
        label=given.title,
        datasource=_DATASOURCE,
        query={"query": f"label_values({given.selector}, {given.label})", "refId": given.name, "qryType": 1},
        current=every,
        multi=given.several,
        include_all=given.several,
        all_value=".*" if given.several else None,
        refresh=grafana.VariableRefresh.ON_TIME_RANGE_CHANGED,
        sort=grafana.VariableSort.ALPHABETICAL_ASC,
    )


def _built_in() -> grafana.AnnotationQuery:
    """What Grafana adds by itself to a dashboard that has it not, which would then seem to be changed."""
    return grafana.AnnotationQuery(
        name="Annotations & Alerts",
        datasource=common.DataSourceRef(type_val="grafana", uid="-- Grafana --"),
        enable=True,
        hide=True,
        icon_color="rgba(0, 211, 255, 1)",
        type_val="dashboard",
        built_in=1,
    )


def _annotation(given: Annotation) -> grafana.AnnotationQuery:
    return grafana.AnnotationQuery(
        name=given.name,
        datasource=_DATASOURCE,
        enable=True,
        icon_color=given.colour,
        expr=given.expr,
        step=given.step,
        title_format=given.title,
        tag_keys=given.tags,
        use_value_for_time=False,
    )


def _tagged(title: str, tag: str) -> grafana.DashboardLink:
    return grafana.DashboardLink(
        title=title,
        type_val=grafana.DashboardLinkType.DASHBOARDS,
        icon="external link",
        tooltip="",
        tags=[tag],
        as_dropdown=False,
        include_vars=True,
        keep_time=True,
    )


def _placed(rows: Sequence[Row], interval: str, targets: Targets) -> Iterator[str]:
    """Every panel and headline with its id and its place. Panels of a closed row lie inside its headline."""
    number, y = 0, 0
    for row in rows:
        top = y
        if row.title:
            number, y = number + 1, y + 1
        x = height = 0
        texts = []
        for panel in row.panels:
            if x + panel.width > _WIDTH:
                x, y, height = 0, y + height, 0
            number += 1
            place = f'{{"h": {panel.height}, "w": {panel.width}, "x": {x}, "y": {y}}}'
            start = f'    {{\n      "id": {number},\n      "gridPos": {place},\n'
            texts.append(f"{start}{_panel(panel, interval, targets)}\n    }}")
            x, height = x + panel.width, max(height, panel.height)
        y += height
        if row.title:
            yield _headline(row.title, number - len(texts), top, texts if row.closed else [])
        if row.closed:
            y = top + 1
        else:
            yield from texts


def _headline(title: str, number: int, y: int, inside: list[str]) -> str:
    panels = ",\n".join(inside)
    return "\n".join(
        [
            "    {",
            f'      "id": {number},',
            f'      "gridPos": {{"h": 1, "w": {_WIDTH}, "x": 0, "y": {y}}},',
            '      "type": "row",',
            f'      "title": {json.dumps(title)},',
            f'      "collapsed": {json.dumps(bool(inside))},',
            f'      "panels": [\n{panels}\n      ]' if inside else '      "panels": []',
            "    }",
        ]
    )


@lru_cache(maxsize=4096)
def _panel(panel: Panel, interval: str, targets: Targets) -> str:
    """The settings of a panel as lines of JSON; `targets` are what its links lead to, by their names."""
    custom, options = _DRAWN[panel.shows](panel)
    look = panel.look
    steps = _thresholds(look.get("lines", ()), coloured=panel.shows != "time series")
    reaching = _reaching(panel)
    found = grafana.Panel(
        type_val=_TYPES[panel.shows],
        title=panel.title,
        description=panel.says,
        datasource=_DATASOURCE,
        targets=[_target(panel, query, index, interval) for index, query in enumerate((*panel.queries, *reaching))],
        transformations=_transformations(panel),
        interval=interval,
        links=_runbook(panel.alert, dict(targets)),
        options=options,
        field_config=grafana.FieldConfigSource(
            defaults=grafana.FieldConfig(
                unit=UNITS[panel.unit][0],
                min_val=(look.get("range") or (None,))[0],
                max_val=(look.get("range") or (None,))[-1] if len(look.get("range", ())) > 1 else None,
                mappings=_mappings(look.get("states", ())),
                thresholds=steps,
                color=_colour_mode(panel),
                links=_data_links(look.get("link", ""), dict(targets)),
                no_value=look.get("empty"),
                custom=custom,
            ),
            overrides=[each for query in (*panel.queries, *reaching) for each in _overrides(panel, query)],
        ),
    )
    written = _json(found)
    first = {key: written.pop(key) for key in ("title", "type", "description")}
    return ",\n".join(_lines({**first, **written}, "      ", 1))


def _reaching(panel: Panel) -> tuple[Query, ...]:
    """What keeps every line in sight on a logarithmic scale, where Grafana passes over a soft maximum: a series."""
    lines = _lines_of(panel.look.get("lines", ()))
    if panel.look.get("scale") != "logarithmic" or not lines:
        return ()
    return (Query("up to the last line", f"vector({lines[-1].at})", {"invisible": True}),)


def _target(panel: Panel, query: Query, index: int, interval: str) -> prometheus.Dataquery:
    formats = {"heatmap": prometheus.PromQueryFormat.HEATMAP, "table": prometheus.PromQueryFormat.TABLE}
    instant = panel.shows in _INSTANT and not panel.look.get("sparkline")
    return prometheus.Dataquery(
        ref_id=_ref(index),
        datasource=_DATASOURCE,
        expr=query.expr,
        format_val=formats.get(panel.shows, prometheus.PromQueryFormat.TIME_SERIES),
        legend_format=query.legend,
        instant=instant,
        range_val=not instant,
        editor_mode=prometheus.QueryEditorMode.CODE,
        interval=interval,
    )


def _ref(index: int) -> str:
    """A, B ... Z, AA, AB ..., as Grafana counts queries."""
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    return letters[index] if index < len(letters) else _ref(index // len(letters) - 1) + letters[index % len(letters)]


def _thresholds(lines: Iterable[Any], *, coloured: bool) -> grafana.ThresholdsConfig:
    """Steps at the lines; where values are `coloured` by them, what is below the first is healthy."""
    steps = [grafana.Threshold(value=None, color=_HEALTHY if coloured else _FINE)]
    for line in _lines_of(lines):
        colour = _ACCEPTABLE if coloured and line.colour == _HEALTHY else line.colour
        steps.append(grafana.Threshold(value=_number(line.at), color=colour))
    return grafana.ThresholdsConfig(mode=grafana.ThresholdsMode.ABSOLUTE, steps=steps)


def _lines_of(lines: Iterable[Any]) -> list[Line]:
    """The lines; one at a number that the profile does not have is none."""
    found = [line if isinstance(line, Line) else Line(line["at"], line["colour"]) for line in lines]
    return [line for line in found if line.at]


def _number(text: str) -> Any:
    """A number that is written as its text, which may be a placeholder: a string to the SDK, but not in the end."""
    return f"{_BARE}{text}{_BARE}"


_BARE = "@@"


def _colour_mode(panel: Panel) -> grafana.FieldColor:
    if panel.shows == "time series":
        return grafana.FieldColor(mode=grafana.FieldColorModeId.PALETTE_CLASSIC)
    if panel.look.get("colour") == "none":
        return grafana.FieldColor(mode=grafana.FieldColorModeId.FIXED, fixed_color="blue")
    return grafana.FieldColor(mode=grafana.FieldColorModeId.THRESHOLDS)


def _mappings(states: Iterable[Mapping[str, Any]]) -> list[grafana.ValueMapping]:
    options = {
        str(state["value"]): grafana.ValueMappingResult(text=state["text"], color=state["colour"], index=index)
        for index, state in enumerate(states)
    }
    return [grafana.ValueMap(options=options)] if options else []


def _data_links(link: str, targets: Mapping[str, str]) -> list[grafana.DashboardLink] | None:
    """What a click on a value leads to, with time and variables where that is another dashboard."""
    if link not in targets:
        return None
    title, url = {
        "diagnosis": ("Why is it slow?", "/d/{}?${{__url_time_range}}&${{__all_variables}}"),
        "latency": ("Is it healthy?", "/d/{}?${{__url_time_range}}&${{__all_variables}}"),
        "runbook": ("Runbook", "{}/${{__field.labels.alertname}}.md"),
        "deployment": ("Open this deployment", "{}"),
    }[link]
    return [_Link(title, url.format(targets[link]))]  # type: ignore[list-item]


def _runbook(alert: str, targets: Mapping[str, str]) -> list[grafana.DashboardLink] | None:
    """The link of a panel to the runbook of the alert whose condition it shows."""
    if not alert or "runbook" not in targets:
        return None
    url = f"{targets['runbook']}/{alert}.md"
    return [
        grafana.DashboardLink(
            title=f"Runbook of {alert}", type_val=grafana.DashboardLinkType.LINK, icon="external link", url=url
        )
    ]


@dataclass(frozen=True, slots=True)
class _Link:
    """A data link. The SDK has the type of links between dashboards here, with keys that Grafana refuses."""

    title: str
    url: str

    def to_json(self) -> dict[str, object]:
        return {"title": self.title, "url": self.url, "targetBlank": False}


def _overrides(panel: Panel, query: Query) -> Iterator[grafana.DashboardFieldConfigSourceOverrides]:
    """What one query sets apart from the others of its panel."""
    look = query.look
    properties: dict[str, Any] = {}
    if colour := look.get("colour"):
        properties["color"] = {"mode": "fixed", "fixedColor": colour}
    if unit := look.get("unit"):
        properties["unit"] = UNITS[unit][0]
    if lines := look.get("lines"):
        properties["thresholds"] = _thresholds(lines, coloured=panel.shows != "time series")
    if states := look.get("states"):
        properties["mappings"] = _mappings(states)
    if look.get("right"):
        properties |= {"custom.axisPlacement": "right", "custom.lineStyle": {"fill": "dash", "dash": [4, 4]}}
    if look.get("invisible"):
        properties["custom.lineWidth"] = 0
        properties["custom.hideFrom"] = {"legend": True, "tooltip": True, "viz": False}
    if look.get("points"):
        properties |= {"custom.drawStyle": "points", "custom.pointSize": 8}
    if width := look.get("width"):
        properties["custom.width"] = width
    if panel.shows == "table" and ("lines" in look or "states" in look):
        properties["custom.cellOptions"] = {"type": "color-text" if lines else "color-background", "mode": "basic"}
    if properties:
        by = "byRegexp" if "{{" in query.legend else "byName"
        name = _pattern(query.legend) if "{{" in query.legend else query.legend
        yield grafana.DashboardFieldConfigSourceOverrides(
            matcher=grafana.MatcherConfig(id_val=by, options=name),
            properties=[grafana.DynamicConfigValue(id_val=key, value=value) for key, value in properties.items()],
        )


def _pattern(legend: str) -> str:
    """What matches every legend that comes of a template with labels in it."""
    return "/" + ".*".join(re.escape(part).replace("\\ ", " ") for part in re.split(r"\{\{\w+\}\}", legend)) + "/"


def _transformations(panel: Panel) -> list[grafana.DataTransformerConfig] | None:
    if panel.shows != "table":
        return None
    names = {f"Value #{_ref(index)}": query.legend for index, query in enumerate(panel.queries)}
    return [
        grafana.DataTransformerConfig(id_val="merge", options={}),
        grafana.DataTransformerConfig(
            id_val="organize",
            options={
                "excludeByName": dict.fromkeys(("Time", *panel.look.get("hide", ())), True),
                "renameByName": {**_HEADINGS, **names},
            },
        ),
    ]


# Labels, as the headings of a table.
_HEADINGS = {"db_name": "Database", "collection_name": "Collection"}


Drawn = tuple[object, object]


def _stat(panel: Panel) -> Drawn:
    modes = {
        "background": common.BigValueColorMode.BACKGROUND,
        "value": common.BigValueColorMode.VALUE,
        "none": common.BigValueColorMode.NONE,
    }
    several = len(panel.queries) > 1
    return None, stat.Options(
        graph_mode=common.BigValueGraphMode.AREA if panel.look.get("sparkline") else common.BigValueGraphMode.NONE,
        color_mode=modes[panel.look["colour"]],
        text_mode=common.BigValueTextMode.VALUE_AND_NAME if several else common.BigValueTextMode.VALUE,
        justify_mode=common.BigValueJustifyMode.CENTER if several else common.BigValueJustifyMode.AUTO,
        orientation=common.VizOrientation.VERTICAL if several else common.VizOrientation.AUTO,
        reduce_options=_last(),
    )


def _last() -> common.ReduceDataOptions:
    """The last value, also where it is missing: the last that is not missing would hide that there are none."""
    return common.ReduceDataOptions(calcs=["last"], fields="", values=False)


def _time_series(panel: Panel) -> Drawn:
    look = panel.look
    stack = look.get("stack")
    lines = _lines_of(look.get("lines", ()))
    scale = common.ScaleDistributionConfig(type_val=common.ScaleDistribution.LINEAR)
    if look.get("scale") == "logarithmic":
        scale = common.ScaleDistributionConfig(type_val=common.ScaleDistribution.LOG, log=10)
    modes = {None: common.StackingMode.NONE, "sum": common.StackingMode.NORMAL, "share": common.StackingMode.PERCENT}
    style = common.GraphThresholdsStyleMode.DASHED if lines else common.GraphThresholdsStyleMode.OFF
    logarithmic = look.get("scale") == "logarithmic"
    custom = common.GraphFieldConfig(
        draw_style=common.GraphDrawStyle.LINE,
        line_width=0 if stack else 1.5,
        line_interpolation=common.LineInterpolation.STEP_AFTER
        if look.get("steps")
        else common.LineInterpolation.LINEAR,
        fill_opacity=75 if stack else look.get("fill", 0),
        show_points=common.VisibilityMode.NEVER,
        stacking=common.StackingConfig(mode=modes[stack], group="A"),
        thresholds_style=common.GraphThresholdsStyleConfig(mode=style),
        scale_distribution=scale,
        axis_soft_max=_number(lines[-1].at) if lines and not logarithmic else None,
    )
    return custom, timeseries.Options(
        legend=common.VizLegendOptions(
            display_mode=common.LegendDisplayMode.LIST if stack else common.LegendDisplayMode.TABLE,
            placement=common.LegendPlacement.BOTTOM,
            show_legend=True,
            calcs=[] if stack else ["last", "max"],
        ),
        tooltip=common.VizTooltipOptions(
            mode=common.TooltipDisplayMode.MULTI, sort=common.SortOrder.NONE if stack else common.SortOrder.DESCENDING
        ),
    )


def _heatmap(panel: Panel) -> Drawn:
    return None, heatmap.Options(
        calculate=False,
        color=heatmap.HeatmapColorOptions(
            mode=heatmap.HeatmapColorMode.SCHEME,
            scheme="Turbo",
            scale=heatmap.HeatmapColorScale.EXPONENTIAL,
            exponent=0.4,
            steps=64,
            fill="dark-blue",
        ),
        cell_gap=1,
        filter_values=heatmap.FilterValueRange(le=1e-9),
        rows_frame=heatmap.RowsHeatmapOptions(layout=common.HeatmapCellLayout.AUTO),
        show_value=common.VisibilityMode.NEVER,
        y_axis=heatmap.YAxisConfig(unit=UNITS[panel.unit][0], axis_placement=common.AxisPlacement.LEFT),
        cell_values=heatmap.CellValues(unit="short", decimals=0),
        tooltip=heatmap.HeatmapTooltip(mode=common.TooltipDisplayMode.SINGLE, y_histogram=True, show_color_scale=True),
        legend=heatmap.HeatmapLegend(show=True),
    )


def _table(panel: Panel) -> Drawn:
    by = [common.TableSortByFieldState(display_name=name, desc=True) for name in _several(panel.look.get("sort", ()))]
    return common.TableFieldOptions(filterable=True), _TableOptions(sort_by=by, cell_height=common.TableCellHeight.SM)


def _several(given: Any) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given)


class _TableOptions(table.Options):
    """Without the footer, which Grafana 12 has moved elsewhere."""

    def to_json(self) -> dict[str, object]:
        return {key: value for key, value in super().to_json().items() if key != "footer"}


def _state_timeline(panel: Panel) -> Drawn:
    del panel
    return statetimeline.FieldConfig(fill_opacity=80, line_width=0), statetimeline.Options(
        merge_values=True,
        show_value=common.VisibilityMode.AUTO,
        align_value=common.TimelineValueAlignment.LEFT,
        row_height=0.85,
        legend=common.VizLegendOptions(
            display_mode=common.LegendDisplayMode.LIST,
            placement=common.LegendPlacement.BOTTOM,
            show_legend=True,
            calcs=[],
        ),
        tooltip=common.VizTooltipOptions(mode=common.TooltipDisplayMode.SINGLE, sort=common.SortOrder.NONE),
    )


def _bar_gauge(panel: Panel) -> Drawn:
    del panel
    return None, bargauge.Options(
        display_mode=common.BarGaugeDisplayMode.BASIC,
        value_mode=common.BarGaugeValueMode.TEXT,
        name_placement=common.BarGaugeNamePlacement.LEFT,
        orientation=common.VizOrientation.HORIZONTAL,
        show_unfilled=True,
        sizing=common.BarGaugeSizing.AUTO,
        reduce_options=_last(),
    )


_DRAWN = {
    "stat": _stat,
    "time series": _time_series,
    "heatmap": _heatmap,
    "table": _table,
    "state timeline": _state_timeline,
    "bar gauge": _bar_gauge,
}

# What the SDK writes and Grafana does not have there.
_STRAY = {"repeatDirection", "auto", "auto_min", "auto_count"}
_STRAY_VALUE = grafana.DashboardLinkPlacement.IN_CONTROLS_MENU


def _json(value: Any) -> Any:
    """The value as JSON has it, without what is not set and what does not belong there."""
    to_json = getattr(value, "to_json", None)
    if to_json:
        value = to_json()
    if isinstance(value, Mapping):
        kept = {key: inner for key, inner in value.items() if inner is not None and key not in _STRAY}
        return {key: _json(inner) for key, inner in kept.items() if inner != _STRAY_VALUE}
    if isinstance(value, list | tuple):
        return [_step(each) if isinstance(each, grafana.Threshold) else _json(each) for each in value]
    return value


def _step(threshold: grafana.Threshold) -> dict[str, object]:
    """The lowest step has no value, and says so."""
    return {"color": threshold.color, "value": threshold.value}


def _lines(value: Mapping[str, Any], indent: str, depth: int) -> list[str]:
    """Key by key: what is nested no deeper than `depth` on lines of its own, the rest on one."""
    return [f"{indent}{json.dumps(key)}: {_text(inner, indent, depth)}" for key, inner in value.items()]


def _text(value: Any, indent: str, depth: int) -> str:
    if not depth or not value or not isinstance(value, dict | list):
        return json.dumps(value)
    inside = indent + "  "
    if isinstance(value, dict):
        lines, (start, end) = _lines(value, inside, depth - 1), "{}"
    else:
        lines, (start, end) = [inside + _text(each, inside, depth - 1) for each in value], "[]"
    return f"{start}\n" + ",\n".join(lines) + f"\n{indent}{end}"
