"""The latency alerts fire exactly when the true share of slow requests exceeds what the profile allows.

Requests are drawn one latency at a time, for nodes that restart, come, go, or expose other buckets. What is true of
them is computed here, in fractions, from nothing but the latencies; promtool evaluates the built rules on the
counters that Milvus would expose for them. All drawn deployments stand side by side in one test of promtool, told
apart by their label `case`.
"""

from __future__ import annotations

import json
import math
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from generator.cli import main

# Bucket bounds in milliseconds: of most releases (pkg/metrics: ExponentialBuckets(1, 2, 18)), and of 2.4.6 and later.
POWERS = tuple(2**exponent for exponent in range(18))
COARSE = (5, 10, 20, 50, 100, 200, 300, 400, 500, 600, 700, 800, 900, 1000, 1500, 3000, 10_000, 60_000)
RELEASES = {"2.3.5": POWERS, "2.4.5": POWERS, "2.4.23": COARSE, "2.5.27": POWERS, "2.6.20": POWERS}
TIERS = ("healthy", "investigate", "slow", "slow_query_span")

# Counters have a sample each minute. The window ends half a minute after the last one, so that it holds five samples
# whether its left edge belongs to it (Prometheus 2) or not (Prometheus 3).
LAST, WINDOW = 12, 5
FIRST_SEEN = LAST - WINDOW + 1


@dataclass(frozen=True)
class Node:
    """A node with the same requests every minute: latencies in milliseconds, and how many took so long.

    It is scraped from the minute `born` (when it has not answered any request) to `gone`, its counters begin anew
    after the minute before `restarts`, and a `broken` one exposes no numbers.
    """

    requests: tuple[tuple[float, int], ...]
    bounds: tuple[int, ...]
    dotted: bool = False
    born: int = 0
    gone: int = LAST
    stale: bool = False
    restarts: int = 0
    broken: bool = False

    @property
    def minutes(self) -> Fraction:
        """For how many minutes of requests `rate` makes it count in the window.

        Between samples it counts what happened, and extends that by half a minute to both sides; but not to the time
        before a counter was 0. Of a single sample it says nothing.
        """
        samples = self.gone - max(self.born, FIRST_SEEN) + 1
        if samples < 2:
            return Fraction(0)
        return Fraction(samples) - (Fraction(1, 2) if self.born >= FIRST_SEEN else 0)

    def within(self, bound: float) -> int:
        """How many requests a minute take no longer."""
        return sum(count for latency, count in self.requests if latency <= bound)

    def counter(self, each_minute: int) -> str:
        """The samples of a counter that grows by so much."""
        return " ".join(self._sample(minute, each_minute) for minute in range(LAST + 1))

    def _sample(self, minute: int, each_minute: int) -> str:
        if minute < self.born:
            return "_"
        if minute > self.gone:
            return "stale" if self.stale else "_"
        began = self.restarts - 1 if 0 < self.restarts <= minute else self.born
        return "NaN" if self.broken else str(each_minute * (minute - began))

    def slower(self, latency: float) -> int:
        """How many requests a minute take longer."""
        return self.within(math.inf) - self.within(latency)

    def spelled(self, bound: float) -> str:
        return "+Inf" if bound == math.inf else f"{bound}.0" if self.dotted else f"{bound}"


@dataclass(frozen=True)
class Case:
    """A deployment: its nodes, and the kind of all its requests."""

    kind: str
    nodes: tuple[Node, ...]

    def series(self, target: dict[str, str], more: dict[str, str], span: float) -> Iterable[tuple[str, str]]:
        """What Milvus exposes about the requests: names of series, and their samples."""
        for number, node in enumerate(self.nodes):
            own = {**target, "node_id": str(number)}
            for bound in (*node.bounds, math.inf):
                labels = {**own, **more, "query_type": self.kind, "le": node.spelled(bound)}
                yield written("milvus_proxy_sq_latency_bucket", labels), node.counter(node.within(bound))
            counter = written("milvus_proxy_slow_query_count", {**own, "msg_type": self.kind})
            yield counter, node.counter(node.slower(span))


def written(metric: str, labels: dict[str, str]) -> str:
    matchers = ", ".join(f'{name}="{value}"' for name, value in labels.items())
    return f"{metric}{{{matchers}}}"


@dataclass(frozen=True)
class Question:
    """What a profile asks for, in milliseconds, shares and requests a minute."""

    release: str
    snap: str
    thresholds: dict[str, int]
    counted_by_milvus: bool
    quantiles: dict[str, Fraction]
    at_least: int
    slow_queries: Fraction

    @property
    def profile(self) -> dict[str, Any]:
        always = {"for": "0s", "keep_firing_for": "0s"}
        shares = {
            f"MilvusSearchLatency{tier.capitalize()}": {
                **always,
                "quantile": float(quantile),
                "min_request_rate": f"{self.at_least}/m",
            }
            for tier, quantile in self.quantiles.items()
        }
        return {
            "version": 1,
            "name": "drawn",
            "milvus": self.release,
            "selector": {"job": "milvus"},
            "identity": ["case"],
            "scrape_interval": "1m",
            "window": f"{WINDOW}m",
            "snap": self.snap,
            "thresholds": {tier: f"{threshold}ms" for tier, threshold in self.thresholds.items()},
            "server_slow_query_span": f"{self.thresholds['slow_query_span']}ms" if self.counted_by_milvus else "1h",
            "alerts": {
                **shares,
                "MilvusSlowQueries": {**always, "threshold": f"{float(self.slow_queries)}/m"},
                "MilvusLatencyBucketMissing": always,
            },
        }

    def points(self, tier: str) -> dict[int, Fraction]:
        """The bucket bounds at which a tier is measured, with their weights."""
        bounds, threshold = RELEASES[self.release], self.thresholds[tier]
        below = max(bound for bound in bounds if bound <= threshold)
        above = min(bound for bound in bounds if bound >= threshold)
        if below == above or self.snap == "up":
            return {above: Fraction(1)}
        if self.snap == "interpolate":
            way = Fraction(round((threshold - below) / (above - below), 6)).limit_denominator(10**6)
            return {below: 1 - way, above: way}
        nearer = below if Fraction(threshold, below) < Fraction(above, threshold) else above
        return {below if self.snap == "down" else nearer: Fraction(1)}

    def judged(self, case: Case, tier: str) -> tuple[Fraction, Fraction] | None:
        """Requests a minute that can be judged, and those of them that are slower; None if that is not known."""
        points = self.points(tier)
        nodes = [node for node in case.nodes if node.minutes and points.keys() <= set(node.bounds)]
        if any(node.broken for node in nodes):
            return None
        total = sum((node.minutes * node.within(math.inf) for node in nodes), Fraction(0))
        within = sum(
            (node.minutes * node.within(at) * part for node in nodes for at, part in points.items()), Fraction(0)
        )
        return total / WINDOW, (total - within) / WINDOW

    def share_fires(self, case: Case, tier: str) -> bool | None:
        found = self.judged(case, tier)
        if found is None or not found[0] or found[0] < self.at_least:
            return False
        total, slower = found
        return exceeds(slower / total, 1 - self.quantiles[tier])

    def slow_queries_fire(self, case: Case) -> bool | None:
        if not self.counted_by_milvus:
            found = self.judged(case, "slow_query_span")
            return found is not None and exceeds(found[1], self.slow_queries)
        nodes = [node for node in case.nodes if node.minutes]
        if any(node.broken for node in nodes):
            return False
        span = self.thresholds["slow_query_span"]
        slower = sum((node.minutes * node.slower(span) for node in nodes), Fraction(0))
        return exceeds(slower / WINDOW, self.slow_queries)

    def bucket_missing(self, case: Case) -> bool:
        tiers = TIERS[:3] if self.counted_by_milvus else TIERS
        needed = {bound for tier in tiers for bound in self.points(tier)}
        serving = [node for node in case.nodes if node.minutes and node.within(math.inf) and not node.broken]
        return any(not needed <= set(node.bounds) for node in serving)


def exceeds(value: Fraction, limit: Fraction) -> bool | None:
    """Whether the value is above the limit; None where both are equal, which floating point cannot tell."""
    return None if value == limit else value > limit


def checks(question: Question, case: Case, label: str) -> Iterable[tuple[str, bool | None]]:
    """Expressions that yield something exactly if what stands beside them is true."""
    alerts = {
        "MilvusSearchLatencyInvestigate": question.share_fires(case, "investigate"),
        "MilvusSearchLatencySlow": question.share_fires(case, "slow"),
        "MilvusSlowQueries": question.slow_queries_fire(case),
        "MilvusLatencyBucketMissing": question.bucket_missing(case),
    }
    for alert, fires in alerts.items():
        yield f'count(ALERTS{{alertname="{alert}", alertstate="firing", case="{label}"}}) > 0', fires
    found = question.judged(case, "healthy")
    known = found is not None and found[0] > 0
    share = f'deployment:milvus_searches_under_tier:ratio_rate5m{{tier="healthy", case="{label}"}}'
    yield f"count({share}) > 0", known
    if found and known:
        yield f"count(abs({share} - {float(1 - found[1] / found[0])!r}) < 1e-9) > 0", True


def ask_promtool(promtool: str, question: Question, cases: Sequence[Case]) -> str:
    """What promtool finds other than it should be; empty if nothing."""
    more = {} if question.release.startswith("2.3") else {"db_name": "d", "collection_name": "c"}
    series, tests = [], []
    for number, case in enumerate(cases):
        target = {"job": "milvus", "instance": "i", "case": f"c{number}"}
        found = case.series(target, more, question.thresholds["slow_query_span"])
        series += [{"series": name, "values": values} for name, values in found]
        tests += [
            {
                "expr": f"({expression}) * 0",
                "eval_time": f"{LAST}m30s",
                "exp_samples": [{"labels": "{}", "value": 0}] if holds else [],
            }
            for expression, holds in checks(question, case, f"c{number}")
            if holds is not None
        ]
    with tempfile.TemporaryDirectory() as directory:
        profile = Path(directory, "drawn.yaml")
        profile.write_text(json.dumps(question.profile), "utf-8")
        built = CliRunner().invoke(main, ["build", str(profile), "--out", f"{directory}/out", "--quiet"])
        assert built.exit_code == 0, built.output
        rules = Path(directory, "out/drawn/rules/drawn.rules.yaml")
        assert ("rate(milvus_proxy_slow_query_count" in rules.read_text("utf-8")) == question.counted_by_milvus
        suite = {
            "rule_files": [str(rules)],
            "evaluation_interval": "30s",
            "tests": [{"interval": "1m", "input_series": series, "promql_expr_test": tests}],
        }
        file = Path(directory, "tests.yaml")
        file.write_text(json.dumps(suite), "utf-8")
        done = subprocess.run([promtool, "test", "rules", str(file)], capture_output=True, text=True, check=False)
        return done.stdout + done.stderr if done.returncode else ""


@st.composite
def questions(draw: st.DrawFn, release: str, snap: str) -> Question:
    """Thresholds that do not meet on any release's bounds, and limits of all sizes."""
    ranges = ((6, 20), (70, 190), (650, 1400), (4200, 9500))
    quantile = st.sampled_from([Fraction(1, 2), Fraction(9, 10), Fraction(99, 100), Fraction(999, 1000)])
    return Question(
        release,
        snap,
        {tier: draw(st.integers(*range_)) for tier, range_ in zip(TIERS, ranges, strict=True)},
        counted_by_milvus=release != "2.3.5" and draw(st.booleans()),
        quantiles={"investigate": draw(quantile), "slow": draw(quantile)},
        at_least=draw(st.sampled_from([0, 1, 20])),
        slow_queries=Fraction(draw(st.sampled_from(["0.5", "1", "30"]))),
    )


@st.composite
def cases(draw: st.DrawFn, question: Question) -> Case:
    """A deployment whose nodes mostly have about as many slow requests as one of the tiers allows."""
    tier = draw(st.sampled_from(TIERS))
    found = draw(st.lists(nodes(question, tier), min_size=1, max_size=3))
    return Case(draw(st.sampled_from(["search", "query"])), () if draw(st.integers(0, 9)) == 9 else tuple(found))


@st.composite
def nodes(draw: st.DrawFn, question: Question, tier: str) -> Node:
    bounds = RELEASES[question.release]
    edge = draw(st.sampled_from([*question.points(tier)] * 3 + [question.thresholds[tier]]))
    fast, slow = draw(st.sampled_from([(edge, edge + 0.1), (edge, edge + 0.1), (edge, 2 * edge), (0.5, 200_000)]))
    total = draw(st.sampled_from([100_000, 100_000, 100_000, 1000, 21, 20, 19, 1, 0]))
    allowed = 1 - question.quantiles.get(tier, Fraction(9, 10))
    near = int(allowed * total) + draw(st.integers(-2, 2))
    slower = max(0, min(total, draw(st.sampled_from([near, near, near, near, near, 0, total // 3, total]))))
    life = draw(
        st.sampled_from([{}, {}, {"dotted": True}, {"broken": True}])
        | st.builds(dict, restarts=st.integers(3, LAST))
        | st.builds(dict, born=st.integers(1, LAST))
        | st.builds(dict, gone=st.integers(FIRST_SEEN - 2, LAST - 1), stale=st.booleans())
    )
    other = COARSE if bounds == POWERS else POWERS
    exposed = draw(st.sampled_from([bounds, bounds, bounds, other, tuple(sorted({*bounds, *other})), ()]))
    return Node(((fast, total - slower), (slow, slower)), exposed, **life)


@pytest.mark.e2e
@pytest.mark.parametrize("snap", ["nearest", "down", "up", "interpolate"])
@pytest.mark.parametrize("release", RELEASES)
def test_alerts_fire_exactly_when_more_requests_are_slow_than_the_profile_allows(
    release: str, snap: str, promtool: str
) -> None:
    @seed(f"{release} {snap}")
    @settings(max_examples=3, database=None, suppress_health_check=list(HealthCheck))
    @given(st.data())
    def holds(data: st.DataObject) -> None:
        question = data.draw(questions(release, snap))
        drawn = data.draw(st.lists(cases(question), min_size=40, max_size=40))
        assert not ask_promtool(promtool, question, drawn)

    holds()
