"""The schema of profiles as a reference for people: docs/profile.md."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from generator.objectives import BURN_RATES
from generator.platforms import DASHBOARD_FORMATS, PLATFORMS, DashboardFormat, Platform
from generator.profile.schema import Schema
from generator.units import plain

_HEAD = """\
# Profile reference

Written by `make rules` from the schema (`thresher schema`); do not edit.

A profile is one YAML file. `version`, `name`, `milvus` and `selector` must be given, by the file itself or by what it
extends; everything else has a default. Durations are text with a unit (`30ms`, `1.5s`, `5m`, `1h30m`), rates too
(`20/m`, `0.5/s`). Anchors, aliases, tags and values that YAML readers disagree on (`010`, `1:30`, `yes`) are refused.
"""


def reference(schema: Schema) -> Iterator[str]:
    """The lines of the reference, in Markdown."""
    yield _HEAD
    yield "## Settings"
    yield ""
    yield from _table(schema, schema["properties"])
    yield ""
    yield "## Thresholds"
    yield ""
    yield "The tiers, in `thresholds`, `operations.<operation>.thresholds` and `collections.<collection>.thresholds`:"
    yield ""
    yield from _table(schema, schema["$defs"]["thresholds"]["properties"])
    yield ""
    yield from _objectives(schema)
    yield from _disks(schema)
    rows: Mapping[str, Platform] | Mapping[str, DashboardFormat]
    for setting, named, rows, says in (
        ("target", "platform", PLATFORMS, "What evaluates the rules"),
        ("dashboards", "format", DASHBOARD_FORMATS, "How the dashboards are written"),
    ):
        yield f"## {says}"
        yield ""
        yield f"`{setting}` is one of the names below, or a map of `{named}` and settings: [targets.md](targets.md)."
        yield ""
        yield f"| {named} | its settings (in bold: required) |"
        yield "| --- | --- |"
        for name, row in rows.items():
            own = [f"**`{option}`**" if option in row.required else f"`{option}`" for option in row.options]
            yield f"| `{name}` | {', '.join(own) or 'none'} |"
        yield ""
        yield from _table(schema, schema["properties"][setting]["properties"])
        yield ""
    yield "## Alerts"
    yield ""
    yield "`alerts.<name>` takes these settings; `labels`, `annotations` and `enabled` work for every alert."
    yield ""
    yield "| alert | says | settings and defaults |"
    yield "| --- | --- | --- |"
    for name, alert in schema["properties"]["alerts"]["properties"].items():
        settings = {
            key: part for key, part in alert["properties"].items() if key not in ("enabled", "labels", "annotations")
        }
        defaults = ", ".join(f"`{key}: {part.get('default', 'derived')}`" for key, part in settings.items())
        yield f"| `{name}` | {alert['description']} | {defaults} |"
    yield ""
    yield "`threshold` is where the condition begins: a share (`5%`), a factor (`3x`), a rate (`1/m`), a time, a count."
    yield "Where `min_request_rate` is derived from the quantile, one slow request alone is never too many."
    yield ""
    yield "What the defaults of the alerts on causes rest on: faults that were induced on a real Milvus 2.3.5."
    yield ""
    yield "| alert | measured |"
    yield "| --- | --- |"
    for name, alert in schema["properties"]["alerts"]["properties"].items():
        if evidence := alert.get("x-evidence"):
            yield f"| `{name}` | {evidence} |"


def _objectives(schema: Schema) -> Iterator[str]:
    yield "## Objectives"
    yield ""
    yield "Each entry of `objectives` says:"
    yield ""
    yield from _table(schema, schema["properties"]["objectives"]["items"]["properties"])
    yield ""
    yield "An error budget is what an objective allows to be slower. MilvusSearchErrorBudgetBurn fires where it burns"
    yield "too fast in a long window, and still does in a short one, if there are enough requests to judge by:"
    yield ""
    yield "| times as fast as allowed | windows | severity | for |"
    yield "| --- | --- | --- | --- |"
    for rate in BURN_RATES:
        yield f"| {plain(rate.times)} | {rate.long} and {rate.short} | {rate.severity} | {rate.for_} |"
    yield ""


def _disks(schema: Schema) -> Iterator[str]:
    yield "## Disks"
    yield ""
    yield "`disk` says which disks are those of Milvus, as another exporter measures them:"
    yield ""
    yield from _table(schema, schema["properties"]["disk"]["properties"])
    yield ""


def _table(schema: Schema, properties: Schema) -> Iterator[str]:
    yield "| setting | what it is | default or example |"
    yield "| --- | --- | --- |"
    for name, part in properties.items():
        yield f"| `{name}` | {part['description']} | {_example(schema, part)} |"


def _example(schema: Schema, part: dict[str, Any]) -> str:
    if "default" in part:
        return f"`{_yaml(part['default'])}`"
    target = part
    if "$ref" in part:
        for step in part["$ref"].removeprefix("#/").split("/"):
            target = schema[step] if target is part else target[step]
    examples = part.get("examples") or target.get("examples") or ([part["const"]] if "const" in part else [])
    return f"such as `{_yaml(examples[0])}`" if examples else ""


def _yaml(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value).replace('"', "")
