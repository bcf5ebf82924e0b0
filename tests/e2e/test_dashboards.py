"""Dashboards on a real Milvus: every query is answered, and Grafana's own code draws what comes back.

One story, played once: a healthy server, then a storm of searches. Tests look back on both.
"""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e import servers
from tests.e2e.drawing import Drawn, ask, browser, bundle, chromium, draw
from tests.e2e.servers import ENVIRONMENT, METRICS_PORT, Prometheus, Span, await_that, requests

pytestmark = pytest.mark.e2e

PROFILE: dict[str, Any] = {
    "version": 1,
    "name": "drawn",
    "milvus": "2.3.5",
    "selector": {"job": "milvus", "deployment": "e2e"},
    "scrape_interval": "1s",
    "evaluation_interval": "1s",
    "window": "10s",
    "alerts": {
        alert: {"for": "5s", "min_request_rate": "6/m"}
        for alert in ("MilvusSearchLatencyInvestigate", "MilvusSearchLatencySlow")
    },
}
CONFIG = f"""\
global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: ["out/drawn/rules/*.yaml"]
scrape_configs:
  - job_name: milvus
    static_configs: [{{targets: ["127.0.0.1:{METRICS_PORT}"], labels: {{deployment: e2e}}}}]
"""

# Queries that a Milvus that is only busy does not answer, and why.
UNANSWERED = {
    ("Mean latency against a day ago", "times as long"): "there was no Prometheus a day ago",
    ("Memory, and restarts", "restarts of {{instance}}"): "no process started anew",
    ("Vector search: share of the time", "and nothing else explains it"): "large batches explain it",
}
# What a preview is asked for when the story is over, and nobody searches any more: panels of this moment.
OVER = {"Now", "Not served", "p99 now"}
SPARSE = tuple(dict.fromkeys(title for title, _ in UNANSWERED))


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Prometheus, Span, Path]]:
    """A Prometheus with the whole story in it, when it began and ended, and the folder with what was built."""
    folder = tmp_path_factory.mktemp("drawn")
    (folder / "drawn.yaml").write_text(yaml.safe_dump(PROFILE), "utf-8")
    command = [sys.executable, "-m", "generator", "build", "drawn.yaml", "--out", "out"]
    subprocess.run(command, cwd=folder, check=True)
    # Quantiles are recorded once a minute, which is too seldom for a story of two.
    rules = folder / "out/drawn/rules/drawn.rules.yaml"
    rules.write_text(rules.read_text("utf-8").replace("interval: 1m\n", "interval: 1s\n"), "utf-8")
    with servers.milvus(), servers.prometheus(CONFIG, folder) as prometheus:
        with servers.milvus_load("fill", folder) as fill:
            await_that("the collections were filled", lambda: fill.ended, None)
        begin = time.time()
        with servers.milvus_load("steady", folder) as steady:
            await_that("the healthy server had answered for a minute", lambda: time.time() > begin + 60, steady)
            with servers.milvus_load("storm", folder) as storm:
                await_that("the storm was answered", lambda: len(requests(storm)) > 8, storm)
                slow = {"MilvusSearchLatencySlow"}
                await_that("an alert fired", lambda: slow & {each.labels["alertname"] for each in prometheus.firing()})
                fired = time.time()
                await_that("the storm had gone on for a while", lambda: time.time() > fired + 15, storm)
                end = time.time()
        yield prometheus, Span(begin, end), folder / "out/drawn/dashboards"


@pytest.fixture(scope="module", params=["latency", "diagnosis"])
def drawn(story: tuple[Prometheus, Span, Path], request: pytest.FixtureRequest) -> Drawn:
    """A dashboard with what Prometheus answers to it during the storm."""
    prometheus, span, folder = story
    dashboard = json.loads((folder / f"drawn.{request.param}.json").read_text("utf-8"))
    return ask(dashboard, prometheus, span)


def test_every_query_is_answered_with_numbers(drawn: Drawn) -> None:
    empty = []
    for panel in drawn.panels():
        for target, series in zip(panel["targets"], drawn.answers[panel["id"]], strict=True):
            values = [float(value) for each in series for _, value in each.get("values", [each.get("value")])]
            if not any(math.isfinite(value) for value in values):
                empty.append((panel["title"], target["legendFormat"]))
    assert set(empty) <= set(UNANSWERED)


def test_shares_are_shares_and_nothing_is_negative(drawn: Drawn) -> None:
    for panel in drawn.panels():
        for series in (each for answer in drawn.answers[panel["id"]] for each in answer):
            for _, value in series.get("values", [series.get("value")]):
                assert float(value) >= -1e-9 or math.isnan(float(value)), panel["title"]
                if panel["fieldConfig"]["defaults"].get("max") == 1:
                    assert float(value) <= 1.2, panel["title"]


def test_the_tier_says_what_the_alerts_say(drawn: Drawn) -> None:
    if not drawn.dashboard["title"].startswith("Milvus search latency"):
        pytest.skip("the other dashboard shows the tier")
    (tier,) = (panel for panel in drawn.panels() if panel["title"] == "Tier now")
    (search,) = drawn.answers[tier["id"]][0]
    assert float(search["value"][1]) >= 3
    alerts = next(panel for panel in drawn.panels() if panel["title"] == "Alerts")
    named = {series["metric"]["alertname"] for series in drawn.answers[alerts["id"]][0]}
    assert "MilvusSearchLatencySlow" in named


def test_grafanas_own_code_draws_it_and_finds_nothing_wrong(drawn: Drawn, tmp_path: Path) -> None:
    browser()
    bundle()
    picture = tmp_path / "dashboard.png"
    assert draw(drawn, picture, sparse=SPARSE) == []
    assert picture.stat().st_size > 100_000


def test_a_preview_shows_the_same_without_a_grafana(story: tuple[Prometheus, Span, Path], tmp_path: Path) -> None:
    prometheus, span, folder = story
    profile, page = folder.parents[2] / "drawn.yaml", tmp_path / "drawn.html"
    last = f"{math.ceil(time.time() - span.start)}s"
    options = ["--prometheus", prometheus.url, "--last", last, "--out", str(page)]
    subprocess.run([sys.executable, "-m", "generator", "preview", str(profile), *options], check=True, env=ENVIRONMENT)
    # What Chromium makes of it: pictures that are there, wide enough for their panels, and with curves in them.
    dom = chromium(page, "--dump-dom", "--window-size=1600,4000")
    missing = {title for title, text in panels_in(dom) if not re.search("<svg|<table|class=.(stats|bars)", text)}
    assert missing <= {title for title, _ in UNANSWERED} | OVER
    assert "MilvusSearchLatencySlow</text>" in dom
    picture = tmp_path / "preview.png"
    chromium(page, f"--screenshot={picture}", "--window-size=1600,4000", "--hide-scrollbars")
    assert picture.stat().st_size > 200_000


def panels_in(dom: str) -> list[tuple[str, str]]:
    """The title of each panel of a preview, and what it holds."""
    return re.findall(r"<summary>([^<]*)</summary>.*?</details>(.*?)</article>", dom, re.DOTALL)


@pytest.mark.parametrize(
    ("key", "value", "problem"),
    [
        ("unit", "parsecs", "the unit parsecs is not known"),
        ("custom", {"drawStyle": "line", "lineWdth": 2}, "sets lineWdth, which is not known"),
    ],
)
def test_what_grafana_would_pass_over_in_silence_is_found(
    drawn: Drawn, tmp_path: Path, key: str, value: object, problem: str
) -> None:
    browser()
    bundle()
    panel = next(panel for panel in drawn.panels() if panel["type"] == "timeseries")
    defaults = panel["fieldConfig"]["defaults"]
    before = defaults[key]
    defaults[key] = value
    try:
        assert any(problem in each for each in draw(drawn, tmp_path / "broken.png", sparse=SPARSE))
    finally:
        defaults[key] = before
