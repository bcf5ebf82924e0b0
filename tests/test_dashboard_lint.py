"""What Grafana's dashboard-linter demands in strict mode, rule by rule, of every dashboard of the examples.

Four of its rules are wrong here, and stand at the end with the reason. The rules on LogQL have nothing to look at.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import promql_parser
import pytest

from generator import catalog
from tests.test_dashboards import EVERY_EXAMPLE, IDS, Dashboard, load, panels_of

pytestmark = pytest.mark.parametrize("path", EVERY_EXAMPLE, ids=IDS)

# What the linter looks at: it has no rules for heatmaps and bar gauges.
_VISIBLE = {"stat", "singlestat", "graph", "table", "timeseries", "gauge"}

# A value that nothing else in a query has, so that it is known after parsing.
_RATE_INTERVAL = timedelta(seconds=197)
_EXPANDED = {"__rate_interval": "197s", "__range": "4243s"}

# Ids of Grafana's units that dashboards use, as they stand in the linter's list.
_UNITS = {"ms", "s", "percentunit", "short", "reqps", "cps", "opm", "bytes", "binBps"}


def expand(text: str) -> str:
    return re.sub(r"\$\{?(\w+)\}?", lambda found: _EXPANDED.get(found[1], "any"), text)


def targets(dashboard: Dashboard) -> Iterator[tuple[str, Any]]:
    """The tree of every query, with the title of its panel."""
    for panel in panels_of(dashboard):
        for target in panel["targets"]:
            yield panel["title"], promql_parser.parse(expand(target["expr"]))


def nodes(tree: Any, above: Any = None) -> Iterator[tuple[Any, Any]]:
    """Every node of a tree, with the one above it."""
    yield tree, above
    for name in ("expr", "lhs", "rhs", "vector_selector"):
        if (inner := getattr(tree, name, None)) is not None:
            yield from nodes(inner, tree)
    for argument in getattr(tree, "args", ()):
        yield from nodes(argument, tree)


def variables(dashboard: Dashboard, kind: str) -> list[dict[str, Any]]:
    return [variable for variable in dashboard["templating"]["list"] if variable["type"] == kind]


def test_template_datasource_rule(path: Path) -> None:
    (found,) = variables(load(path), "datasource")
    assert (found["name"], found["label"], found["query"]) == ("datasource", "Data source", "prometheus")
    assert found["current"]["value"]


def test_template_label_promql_rule(path: Path) -> None:
    for variable in variables(load(path), "query"):
        matched = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"]["query"])
        assert matched, variable
        promql_parser.parse(expand(matched[1]))


def test_template_on_time_change_reload_rule(path: Path) -> None:
    assert all(variable["refresh"] == 2 for variable in variables(load(path), "query"))


def test_variables_have_what_the_linter_cannot_do_without(path: Path) -> None:
    for variable in load(path)["templating"]["list"]:
        assert variable["query"]
        assert variable.get("current", {}).get("value") != []


def test_panel_datasource_rule(path: Path) -> None:
    for panel in panels_of(load(path)):
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        assert all(target["datasource"] == panel["datasource"] for target in panel["targets"])


def test_panel_title_description_rule(path: Path) -> None:
    for panel in panels_of(load(path)):
        assert panel["title"]
        assert len(panel["description"]) > 40, panel["title"]
        assert panel["description"].endswith("."), panel["title"]


def test_panel_units_rule(path: Path) -> None:
    for panel in panels_of(load(path)):
        if panel["type"] in _VISIBLE:
            assert panel["fieldConfig"]["defaults"]["unit"] in _UNITS, panel["title"]


def test_panel_no_targets_rule(path: Path) -> None:
    assert all(panel["targets"] for panel in panels_of(load(path)))


def test_target_promql_rule(path: Path) -> None:
    assert len(list(targets(load(path)))) >= 6


def test_target_rate_interval_rule(path: Path) -> None:
    for title, tree in targets(load(path)):
        for node, above in nodes(tree):
            if type(node).__name__ == "MatrixSelector":
                assert type(above).__name__ == "Call", title
                if above.func.name in ("rate", "irate"):
                    assert node.range == _RATE_INTERVAL, title


def test_target_counter_agg_rule(path: Path) -> None:
    for title, tree in targets(load(path)):
        for node, above in nodes(tree):
            if type(node).__name__ == "MatrixSelector" and str(node.vector_selector.name).endswith("_total"):
                assert above.func.name in ("rate", "irate", "increase"), title
            if type(node).__name__ == "VectorSelector" and str(node.name).endswith("_total"):
                assert type(above).__name__ == "MatrixSelector", title


def test_uneditable_dashboard(path: Path) -> None:
    assert load(path)["editable"] is False


def test_instead_of_job_and_instance_every_query_names_the_deployment(path: Path) -> None:
    """In place of template-job-rule, template-instance-rule, target-job-rule and target-instance-rule.

    They ask for the variables `job` and `instance` in every selector. Here a deployment is named by the identity labels
    of its profile, `job` and `instance` often not among them; recorded series have no `instance` at all. What the rules
    are for, that no panel mixes what belongs to different systems, is what this asks for.
    Whose a disk is, the profile says.
    """
    dashboard = load(path)
    names = {variable["name"] for variable in dashboard["templating"]["list"]} - {
        "datasource",
        "proxy_node",
        "query_node",
        "collection_name",
    }
    of_fleet = "milvus-fleet" in dashboard["tags"]
    assert bool(names) is not of_fleet
    for panel in panels_of(dashboard):
        for target in panel["targets"]:
            for series, selector in re.findall(r"([\w:]+)\{([^{}]*)\}", target["expr"]):
                if series in catalog.of_exporters():
                    continue
                assert all(f'="${name}"' in selector for name in names), panel["title"]
                assert not of_fleet or "profile=" in selector, panel["title"]
