"""Dashboards have the types that three generations of Grafana publish for them: 11.6, 12 and 13."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import EXAMPLES
from tests.e2e.drawing import INSTALLED, panels
from tests.test_dashboards import EVERY_EXAMPLE, load

pytestmark = pytest.mark.e2e

GENERATIONS = ("11", "12", "13")

# JSON has the values of enumerations, not their names. `OfPrometheus` are keys that its data source reads of an
# annotation, and that the type of annotations does not list.
PREAMBLE = """\
import type { AnnotationQuery, Dashboard } from "schema-%(generation)s";
type Json<T> = T extends string ? `${T}` : T extends (infer E)[] ? Json<E>[]
  : T extends object ? { [K in keyof T]: Json<T[K]> } : T;
type OfPrometheus = { expr?: string; step?: string; titleFormat?: string; tagKeys?: string; useValueForTime?: boolean };
type Mark = Json<AnnotationQuery> & OfPrometheus;
type Ours = Omit<Json<Dashboard>, "annotations"> & { annotations?: { list?: Mark[] } };
"""
COMPILER_OPTIONS = (
    "--noEmit", "--strict", "--skipLibCheck", "--moduleResolution", "bundler", "--module", "esnext", "--target",
    "es2022",
)  # fmt: skip
OPTIONS = {
    "bargauge": "BarGauge",
    "heatmap": "Heatmap",
    "stat": "Stat",
    "state-timeline": "StateTimeline",
    "table": "Table",
    "timeseries": "TimeSeries",
}
OF_FIELDS = {"state-timeline", "timeseries"}


def script(generation: str, dashboards: list[dict[str, Any]]) -> str:
    """A TypeScript program that only says of what type everything is."""
    lines = [PREAMBLE % {"generation": generation}]
    for kind, name in OPTIONS.items():
        # By its path, because 11.6 does not export it by a name.
        folder = f"./node_modules/schema-{generation}/dist/esm/raw/composable/{kind.replace('-', '')}/panelcfg/x"
        lines.append(f'import type * as {name} from "{folder}/{name}PanelCfg_types.gen";')
    lines += [
        f"const _{number}: {kind} = {json.dumps(value)};"
        for number, (kind, value) in enumerate(pair for dashboard in dashboards for pair in typed(dashboard))
    ]
    return "\n".join(lines)


def typed(dashboard: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """The parts of a dashboard that have a type, with its name."""
    yield "Ours", dashboard
    for panel in panels(dashboard):
        name = OPTIONS[panel["type"]]
        yield f"Json<{name}.Options>", panel["options"]
        if panel["type"] in OF_FIELDS:
            yield f"Json<{name}.FieldConfig>", panel["fieldConfig"]["defaults"]["custom"]


def complaints(folder: Path, generation: str, dashboards: list[dict[str, Any]]) -> str:
    """What the TypeScript compiler says. Skips where it is not installed."""
    compiler = INSTALLED / "node_modules" / ".bin" / "tsc"
    if not compiler.exists():
        pytest.skip("there is no TypeScript in .tools/render; `make render-parts` gets it")
    (folder / "node_modules").symlink_to(INSTALLED / "node_modules")
    (folder / "check.ts").write_text(script(generation, dashboards), "utf-8")
    command: list[str | Path] = [compiler, *COMPILER_OPTIONS, "check.ts"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False).stdout


@pytest.mark.parametrize("generation", GENERATIONS)
def test_every_example_has_the_types_of_this_grafana(tmp_path: Path, generation: str) -> None:
    assert complaints(tmp_path, generation, [load(path) for path in EVERY_EXAMPLE]) == ""


@pytest.mark.parametrize(
    ("where", "wrong"),
    [
        (("panels", 0, "gridPos", "w"), "wide"),
        (("panels", 0, "options", "colorMode"), "rainbow"),
        (("panels", 0, "fieldConfig", "defaults", "thresholds", "mode"), "relative"),
        (("templating", "list", 0, "refresh"), 7),
        (("links", 0, "keepTime"), "yes"),
        (("graphTooltip",), 9),
    ],
)
def test_the_types_catch_what_is_wrong(tmp_path: Path, where: tuple[str | int, ...], wrong: object) -> None:
    dashboard = load(EXAMPLES / "out/prod-search/dashboards/prod-search.latency.json")
    part: Any = dashboard
    for step in where[:-1]:
        part = part[step]
    part[where[-1]] = wrong
    assert "error TS" in complaints(tmp_path, "12", [dashboard])
