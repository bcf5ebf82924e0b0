"""Dashboards drawn by Grafana's own code in a real browser, with what a real Prometheus answers to their queries.

There is no Grafana server here: variables are replaced, and queries sent, as Grafana would; what comes back is given to
Grafana's npm packages, which apply units, overrides, thresholds and transformations and draw the panels.
"""

from __future__ import annotations

import html
import json
import math
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.servers import TOOLS, Prometheus, Span

RENDER = Path(__file__).with_name("render")
INSTALLED = Path(os.environ.get("RENDER_PARTS", TOOLS / "render"))

_POINTS = 240
_CELL, _MARGIN, _TOP = 30, 8, 56


@dataclass(frozen=True)
class Drawn:
    """A dashboard with the answers to its queries. `answers` are by the title of the panel, one per query."""

    dashboard: Mapping[str, Any]
    span: Span
    step: int
    values: Mapping[str, str]
    answers: Mapping[int, list[list[dict[str, Any]]]] = field(repr=False)

    def panels(self) -> Iterator[Mapping[str, Any]]:
        return panels(self.dashboard)


def panels(dashboard: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Every panel that is no headline, also those of closed rows."""
    for panel in dashboard["panels"]:
        yield from panel["panels"] if panel["type"] == "row" else [panel]


def ask(dashboard: Mapping[str, Any], prometheus: Prometheus, span: Span) -> Drawn:
    """Sends every query of a dashboard, as Grafana would with what is chosen when it is opened."""
    step = max(1, math.ceil(span.seconds / _POINTS))
    values = _chosen(dashboard, prometheus)
    answers = {}
    for panel in panels(dashboard):
        rate = f"{math.ceil(max(4 * _seconds(panel['interval']), _seconds(panel['interval']) + step))}s"
        found = []
        for target in panel["targets"]:
            expr = _replaced(target["expr"], {**values, "__rate_interval": rate, "__range": f"{round(span.seconds)}s"})
            if target.get("instant"):
                found.append(prometheus.ask("query", query=expr, time=span.end)["result"])
            else:
                answer = prometheus.ask("query_range", query=expr, start=span.start, end=span.end, step=step)
                found.append(answer["result"])
        answers[panel["id"]] = found
    return Drawn(dashboard, span, step, values, answers)


def _chosen(dashboard: Mapping[str, Any], prometheus: Prometheus) -> dict[str, str]:
    """The value of each variable that Grafana starts with: the one that is set, or the first that there is."""
    values: dict[str, str] = {}
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "datasource":
            continue
        if variable.get("includeAll"):
            values[variable["name"]] = variable["allValue"]
        elif variable["type"] == "custom":
            values[variable["name"]] = variable["current"]["value"]
        else:
            selector, label = re.fullmatch(r"label_values\((.*), (\w+)\)", variable["query"]["query"]).groups()  # type: ignore[union-attr]
            found = prometheus.ask(f"label/{label}/values", **{"match[]": _replaced(selector, values)})
            values[variable["name"]] = found[0] if found else ""
    return values


def _replaced(text: str, values: Mapping[str, str]) -> str:
    return re.sub(r"\$(\w+)", lambda found: values.get(found[1], found[0]), text)


def _seconds(interval: str) -> float:
    return float(interval[:-2]) / 1000 if interval.endswith("ms") else float(interval[:-1])


def browser() -> str:
    """Chromium, by `CHROMIUM` or on PATH. Skips where there is none."""
    found = shutil.which(os.environ.get("CHROMIUM", "chromium"))
    return found or pytest.skip("there is no chromium on PATH (Debian's package `chromium`)")


def bundle() -> Path:
    """The page's script, with Grafana's code in it. Skips where its packages are not installed."""
    esbuild = INSTALLED / "node_modules" / ".bin" / "esbuild"
    if not esbuild.exists():
        pytest.skip("there is no Grafana code in .tools/render; `make render-parts` gets it (640 MB)")
    for script in ("page.jsx", "scrollbars.js"):
        shutil.copy(RENDER / script, INSTALLED / script)
    command: list[str | Path] = [
        esbuild, "page.jsx", "--bundle", "--outfile=page.js", "--format=iife", "--minify", "--log-level=error",
        "--alias:react-custom-scrollbars-2=./scrollbars.js",
        "--loader:.svg=dataurl", "--loader:.png=dataurl", "--loader:.woff2=dataurl", "--loader:.css=empty",
        '--define:process.env.NODE_ENV="production"', "--define:global=window",
    ]  # fmt: skip
    subprocess.run(command, cwd=INSTALLED, check=True)
    return INSTALLED / "page.js"


def draw(
    drawn: Drawn, picture: Path, *, width: int = 1600, rows: int | None = None, sparse: tuple[str, ...] = ()
) -> list[str]:
    """Draws the dashboard into a PNG file; returns what Grafana's code, or the page, found wrong.

    All rows are drawn open, or as many rows of the grid as `rows`, from the top. `sparse` are panels that may lack what
    an override is for.
    """

    def visible(panel: Mapping[str, Any]) -> bool:
        return rows is None or panel["gridPos"]["y"] < rows

    headlines = [panel for panel in drawn.dashboard["panels"] if panel["type"] == "row" and visible(panel)]
    drawable = [panel for panel in drawn.panels() if visible(panel)]
    bottom = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in drawable)
    given = {
        "title": drawn.dashboard["title"],
        "width": width,
        "from": drawn.span.start,
        "to": drawn.span.end,
        "step": drawn.step,
        "sparse": sparse,
        "variables": [
            [variable["label"], "All" if variable.get("includeAll") else drawn.values[variable["name"]]]
            for variable in drawn.dashboard["templating"]["list"]
            if variable["type"] != "datasource"
        ],
        "rows": headlines,
        "panels": [{"panel": panel, "answers": drawn.answers[panel["id"]]} for panel in drawable],
    }
    page = picture.with_suffix(".html")
    script = bundle()
    styles = INSTALLED / "node_modules" / "uplot" / "dist" / "uPlot.min.css"
    data = json.dumps(given).replace("<", "\\u003c")
    page.write_text(
        "<!doctype html><meta charset=utf-8><style>body{margin:0;background:#111217;color:#ccccdc;font-family:Inter,"
        "Helvetica,Arial,sans-serif;font-size:14px;line-height:1.57}*{box-sizing:border-box}h2,h6{font-weight:500;margin:0}"
        "table{border-collapse:collapse}button{background:none;border:0;padding:0;font:inherit;color:inherit}"
        f"{styles.read_text('utf-8')}</style><div id=root></div>"
        f"<script type=application/json id=given>{data}</script><script src='{html.escape(script.as_uri())}'></script>",
        "utf-8",
    )
    size = f"{width},{_TOP + bottom * (_CELL + _MARGIN) + _MARGIN}"
    chromium(page, f"--screenshot={picture}", f"--window-size={size}", "--hide-scrollbars", "--timeout=8000")
    dom = chromium(page, "--dump-dom", f"--window-size={size}", "--virtual-time-budget=20000")
    report = re.search(r'<pre id="report"[^>]*>(.*?)</pre>', dom, re.DOTALL)
    page.unlink()
    return json.loads(html.unescape(report[1])) if report else ["the page was not drawn to its end"]


def chromium(page: Path, *options: str) -> str:
    """Opens a page in headless Chromium, with these options; returns what that prints. Skips where there is none."""
    profile = page.with_suffix(".profile")
    command = [
        browser(), "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync",
        "--allow-file-access-from-files", f"--user-data-dir={profile}", *options, page.as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)
    shutil.rmtree(profile, ignore_errors=True)
    return done.stdout
