"""Grafana dashboards -> their expressions: panels at any depth, library panels, annotations, variables.

Reads the classic model of every age (rows of panels before schema 16, nested rows after it), as exported, provisioned
or wrapped by the API, and the dashboards of schema v2 (`elements` and a `layout`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from generator.lint.expressions import Expression
from generator.lint.nodes import Node, Passage

_PROMETHEUS = re.compile(r"prometheus|victoriametrics(?!-logs)|mimir|cortex|thanos", re.IGNORECASE)
_VARIABLE = re.compile(r"\$\{?(\w+)(?::\w+)?\}?|\[\[(\w+)(?::\w+)?\]\]")
_LABEL_VALUES = re.compile(r"\s*label_values\(\s*(?:(?P<of>.*),\s*)?(?P<label>\w+)\s*\)\s*", re.DOTALL)
_QUERY_RESULT = re.compile(r"\s*query_result\((?P<of>.*)\)\s*", re.DOTALL)
IGNORED = re.compile(r"thresher:\s*ignore\s+([\w-]+(?:\s*,\s*[\w-]+)*)")

# What a name of a data source stands for: the type of plugin behind a variable or an input of an export.
Plugins = Mapping[str, str]


def is_dashboard(document: Node) -> bool:
    """Whether a document is a dashboard, or a library panel."""
    lists = ("panels", "rows")
    return (
        any(isinstance(document.get(each).value, list) for each in lists)
        or bool(document.get("elements").entries or document.get("model", "targets").items)
        or isinstance(document.get("templating", "list").value, list)
    )


def expressions(dashboard: Node, outer: Passage) -> Iterator[Expression]:
    """Every expression of a dashboard that goes to a Prometheus, as far as its data sources tell."""
    plugins = _plugins(dashboard)
    if dashboard.get("elements").entries:
        yield from _of_v2(dashboard, outer)
        return
    for panel in _panels(dashboard):
        yield from _of_panel(panel, outer, plugins)
    for annotation in dashboard.get("annotations", "list").items:
        # Grafana 9 moved the query into a target.
        expr = annotation.get("expr") if annotation.get("expr").text else annotation.get("target", "expr")
        if expr.text and _is_prometheus(plugins, annotation.get("datasource")):
            where = f"annotation {annotation.get('name').text}"
            yield Expression(expr.passage(outer), where, "query")
    for variable in dashboard.get("templating", "list").items:
        if variable.get("type").text == "query" and _is_prometheus(plugins, variable.get("datasource")):
            yield from _of_variable(variable.get("name").text, variable.get("query"), outer)


def _panels(dashboard: Node) -> Iterator[Node]:
    """Panels, those within rows, and the library panels that an export brings along."""
    library = [element.get("model") for element in dashboard.get("__elements").entries.values()]
    waiting = [*dashboard.get("panels").items, *dashboard.get("rows").items, *library, dashboard.get("model")][::-1]
    seen: set[int] = set()
    while waiting:
        panel = waiting.pop()
        if id(panel) in seen:  # by an alias of YAML
            continue
        seen.add(id(panel))
        yield panel
        waiting += panel.get("panels").items[::-1]


def _of_panel(panel: Node, outer: Passage, plugins: Plugins) -> Iterator[Expression]:
    name = panel.get("title").text or panel.get("type").text
    silenced = silenced_by(panel.get("description").text)
    for target in panel.get("targets").items:
        expr = target.get("expr")
        if not expr.text or not _is_prometheus(plugins, target.get("datasource"), panel.get("datasource")):
            continue
        where = f'panel "{name}"' + (f", query {target.get('refId').text}" if target.get("refId").text else "")
        unit = _unit(panel)
        yield Expression(expr.passage(outer), where, "query", unit=unit, silenced=silenced)


def silenced_by(text: str) -> frozenset[str]:
    """The codes that a comment, or the description of a panel, asks not to report."""
    return frozenset(code for found in IGNORED.findall(text) for code in re.split(r"\s*,\s*", found))


def _unit(panel: Node) -> str:
    """Grafana's id of the unit that all values of a panel are shown in; empty when it is not one for all."""
    config = panel.get("fieldConfig")
    overridden = any(
        each.get("id").text == "unit"
        for override in config.get("overrides").items
        for each in override.get("properties").items
    )
    if overridden or panel.get("transformations").items or panel.get("seriesOverrides").items:
        return ""
    axes = panel.get("yaxes").items
    return config.get("defaults", "unit").text or (axes[0].get("format").text if axes else panel.get("format").text)


def _of_variable(name: str, query: Node, outer: Passage) -> Iterator[Expression]:
    """What the query of a variable reads: of `label_values(series, label)` the series, with the label."""
    node = query if query.text else query.get("query")
    passage = node.passage(outer)
    for pattern in (_LABEL_VALUES, _QUERY_RESULT):
        found = pattern.fullmatch(node.text)
        if found and found["of"]:
            of_label = _part(passage, *found.span("label")) if pattern is _LABEL_VALUES else None
            where = f"variable {name}"
            yield Expression(_part(passage, *found.span("of")), where, "query", of_label=of_label)


def _part(passage: Passage, start: int, end: int) -> Passage:
    return Passage(passage.source, passage.text[start:end], passage.offsets[start:end])


def _of_v2(dashboard: Node, outer: Passage) -> Iterator[Expression]:
    for element in dashboard.get("elements").entries.values():
        spec = element.get("spec")
        silenced = silenced_by(spec.get("description").text)
        unit = _unit(spec.get("vizConfig", "spec"))
        for query in spec.get("data", "spec", "queries").items:
            asked = query.get("spec", "query")
            expr = asked.get("spec", "expr")
            plugin = asked.get("group").text or asked.get("kind").text
            if expr.text and _PROMETHEUS.search(plugin):
                where = f'panel "{spec.get("title").text}", query {query.get("spec", "refId").text}'
                yield Expression(expr.passage(outer), where, "query", unit=unit, silenced=silenced)
    for variable in dashboard.get("variables").items:
        asked = variable.get("spec", "query")
        if variable.get("kind").text == "QueryVariable" and asked.entries:
            yield from _of_variable(variable.get("spec", "name").text, asked.get("spec", "query"), outer)
    for annotation in dashboard.get("annotations").items:
        expr = annotation.get("spec", "query", "spec", "expr")
        if expr.text:
            where = f"annotation {annotation.get('spec', 'name').text}"
            yield Expression(expr.passage(outer), where, "query")


def _plugins(dashboard: Node) -> Plugins:
    plugins = {each.get("name").text: each.get("pluginId").text for each in dashboard.get("__inputs").items}
    for variable in dashboard.get("templating", "list").items:
        if variable.get("type").text == "datasource":
            plugins[variable.get("name").text] = variable.get("query").text
    return plugins


def _is_prometheus(plugins: Plugins, *sources: Node) -> bool:
    """Whether a query goes to a Prometheus. Without a word on it that is taken for granted."""
    for source in sources:
        if kind := source.get("type").text:
            if kind == "datasource":  # "-- Mixed --", which says nothing, or Grafana itself
                continue
            return bool(_PROMETHEUS.search(kind))
        name = source.text or source.get("uid").text
        if variable := _VARIABLE.fullmatch(name):
            plugin = plugins.get(variable[1] or variable[2], "")
            return not plugin or bool(_PROMETHEUS.search(plugin))
        if re.search("loki|influx|elastic|tempo|jaeger|sql|graphite|cloudwatch", name, re.IGNORECASE):
            return False
    return True
