"""The rules of the target `victoriametrics`, loaded and evaluated by a real vmalert on a real VictoriaMetrics."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.conftest import Thresher
from tests.e2e.servers import VictoriaMetrics, await_that, victoriametrics
from tests.test_every_tool import tool

pytestmark = pytest.mark.e2e

PROFILE = """\
version: 1
name: real
milvus: "2.6.19"
selector: {namespace: vectors}
scrape_interval: 5s
evaluation_interval: 10s
window: 1m
alerts:
  MilvusSearchLatencySlow: {for: 0s}
"""
BOUNDS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192)


def slow_searches(begin: int, since: int) -> str:
    """Ten searches a second that take 2 s each, from `begin` to now: what is scraped of them `since` a time.

    As text, with times in milliseconds.
    """
    labels = 'namespace="vectors",job="milvus",instance="milvus-0:9091",node_id="1",query_type="search"'
    lines = []
    for moment in range(since, int(time.time()) + 1, 5):
        count = 10 * (moment - begin)
        for bound in (*BOUNDS, "+Inf"):
            fast = bound != "+Inf" and int(bound) < 2048
            lines.append(f'milvus_proxy_sq_latency_bucket{{{labels},le="{bound}"}} {0 if fast else count} {moment}000')
        lines.append(f"milvus_proxy_sq_latency_sum{{{labels}}} {2000 * count} {moment}000")
        lines.append(f'up{{namespace="vectors",job="milvus",instance="milvus-0:9091"}} 1 {moment}000')
    return "\n".join(lines) + "\n"


def test_vmalert_loads_the_rules_and_an_alert_fires_through_all_layers(tmp_path: Path, thresher: Thresher) -> None:
    (tmp_path / "real.yaml").write_text(PROFILE, "utf-8")
    built = thresher("build", tmp_path / "real.yaml", "--out", tmp_path / "out", "--target", "victoriametrics")
    assert built.exit_code == 0, built.output
    rules = tmp_path / "out/real/rules/real.rules.yaml"
    programs = tool("victoria-metrics", "victoria-metrics"), tool("victoria-metrics", "vmalert")
    with victoriametrics(*programs, rules, tmp_path) as server:
        begin = int(time.time()) - 180
        server.write(slow_searches(begin, begin))

        def fires() -> bool:
            server.write(slow_searches(begin, int(time.time()) - 5))
            return "MilvusSearchLatencySlow" in server.firing()

        await_that("MilvusSearchLatencySlow fired", fires, server.vmalert)
        assert_sound(server)


def assert_sound(server: VictoriaMetrics) -> None:
    groups = server.groups()
    assert {group["name"] for group in groups} >= {"real.latency.records0", "real.latency.alerts", "real.index.alerts"}
    wrong = [(rule["name"], rule["lastError"]) for group in groups for rule in group["rules"] if rule["lastError"]]
    assert not wrong
    assert {rule["health"] for group in groups for rule in group["rules"] if group["lastEvaluation"]} == {"ok"}
