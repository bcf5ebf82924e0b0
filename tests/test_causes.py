"""Causes are named as they were measured: faults that were induced on a real Milvus 2.3.5, played to the rules."""

from __future__ import annotations

import json
import subprocess
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from generator import catalog, templates
from tests.conftest import Compiled

Compile = Callable[..., Compiled]


@dataclass(frozen=True)
class Run:
    """What one run of about 20 s measured, per request: means in milliseconds, `p99` and `proxy` at the proxy.

    `calls` into segcore took `core` each, `index` of it in the vector index, through which the share `indexed` of them
    went; `flat` of the loaded segments have no index. A segment took `segment`: as long as the call, where it did not
    wait for a thread. `request` is the time on the query node (the proxy's, where it was not noted down). A run without
    `proxy` had no request that ended well. For every search there were healthy ones `beside` it.
    """

    proxy: float | None = 2.9
    p99: float = 10
    request: float | None = None
    queue: float = 0.002
    wait: float = 0
    core: float = 0.95
    calls: int = 1
    index: float = 1.32
    indexed: float = 1
    flat: int = 0
    nq: float = 1
    segment: float | None = None
    beside: float = 0


HEALTHY = Run()
RUNS = {
    "healthy": HEALTHY,
    "four-clients": Run(9.4, p99=69, request=6.8, queue=0.34, core=3.1, index=3.1),
    "batches-of-2000": Run(1863, p99=4030, request=1831, queue=238, core=1150, index=1152, nq=2000),
    "filter-in": Run(3.9, core=1.3, index=0.84),
    "filter-like": Run(4.3, core=1.5, index=0.99),
    "filter-25-or-on-integers": Run(15.3, p99=103, core=6.8, index=2.45),
    "filter-25-or-on-strings": Run(43.8, p99=244, queue=0.1, core=28.9, index=5.9),
    "filter-200-or-all-fail": Run(None, core=0),
    "strong": Run(218, p99=488, request=216.5, wait=210, core=3),
    "strong-with-inserts": Run(226, p99=579, request=222.8, queue=0.006, wait=205, core=6.9, calls=2, indexed=0.5),
    "bounded-with-inserts": Run(5.5, wait=0.001, core=1.5, calls=2, indexed=0.5),
    "flat": Run(12.1, p99=122, core=7.0, indexed=0, flat=1),
    "flat-with-filter": Run(3.1, core=0.9, indexed=0, flat=1),
    "flat-batches-of-800": Run(10_627, p99=12_000, core=10_545, indexed=0, flat=1, nq=800),
    "flat-overload": Run(64_600, p99=70_000, request=32_007, queue=13_123, core=64_000, indexed=0, flat=1, nq=9000),
    "after-the-overload": Run(45_032, p99=60_000, queue=44_920, core=81, index=81),
    "48-small-segments": Run(13.1, p99=62, core=0.28, calls=48, index=0.63, segment=1.56),
    "growing-segments": Run(3.0),
    # Beside a healthy load that goes on, as `make lab` does it.
    "filter-that-leaves-nothing": Run(180, p99=300, core=160, indexed=0, beside=0.5),
    "filter-of-a-large-collection": Run(190, p99=300, core=170, index=20, beside=2),
    "batches-and-small-searches": Run(1313, p99=2100, queue=330, core=700, index=700, nq=2000, beside=0.7),
    "flat-and-ten-times-healthy": Run(10_900, p99=11_000, core=10_400, indexed=0, flat=1, nq=4000, beside=10),
    "strong-and-twice-healthy": Run(200, p99=400, request=195, wait=193, core=0.3, beside=2),
    "48-small-segments-at-once": Run(180, p99=300, queue=30, core=0.43, calls=48, index=0.65, segment=20, beside=0.3),
    "small-segments-without-index": Run(180, p99=300, core=0.9, calls=48, indexed=0, flat=48, segment=20),
}

BATCHES, QUEUE = "MilvusLargeSearchBatches", "MilvusSearchQueueing"
FILTER, WAIT = "MilvusScalarFilteringDominates", "MilvusConsistencyWaitDominates"
FLAT, SEGMENTS = "MilvusBruteForceSearch", "MilvusManySmallSegments"
INDEX = "MilvusVectorSearchDominates"

NAMED = {
    "batches-of-2000": {BATCHES, QUEUE},
    "filter-25-or-on-strings": {FILTER},
    "strong": {WAIT},
    "strong-with-inserts": {WAIT},
    "flat-batches-of-800": {FLAT, BATCHES},
    "flat-overload": {FLAT, BATCHES, QUEUE},
    "after-the-overload": {QUEUE},
    "filter-that-leaves-nothing": {FILTER},
    "filter-of-a-large-collection": {FILTER},
    "batches-and-small-searches": {BATCHES, QUEUE},
    "flat-and-ten-times-healthy": {FLAT, BATCHES},
    "strong-and-twice-healthy": {WAIT},
    "48-small-segments-at-once": {SEGMENTS, QUEUE},
    "small-segments-without-index": {SEGMENTS},
}
# Releases with coarse buckets judge at 100 ms instead of 128 ms.
NAMED_AT_100_MS = {**NAMED, "filter-25-or-on-integers": {FILTER}, "flat": {FLAT}}
# Where a profile asks for 8 ms, more of the runs are slow.
NAMED_WHEN_TIGHT = {
    "bounded-with-inserts": {FLAT},
    "filter-25-or-on-integers": {FILTER},
    "filter-25-or-on-strings": {FILTER},
    "strong": {WAIT},
    "strong-with-inserts": {WAIT},
    "flat": {FLAT},
    "48-small-segments": {SEGMENTS},
    "after-the-overload": {QUEUE},
}
TIGHT = {"thresholds": "{healthy: 4ms, investigate: 8ms, slow: 500ms}"}


def series(run: Run, namespace: str, release: catalog.Release, investigate: float) -> Iterator[tuple[str, float]]:
    """What the run adds to each counter in a minute, at a request per second."""
    rate = 60
    requests = rate if run.proxy is not None else 0
    proxy = run.proxy or 0

    def of(name: str, add: float, **labels: str) -> tuple[str, float]:
        found = release.series(name)
        assert found, name
        known = {"query_type": "search", "scope": "OnLeader", "status": "success", "module": "knowhere", **labels}
        values = {"job": "milvus", "instance": "a", "namespace": namespace}
        values |= {label: known.get(label, "1") for label in (*found[0].labels, *labels)}
        return name + "{" + ", ".join(f'{label}="{text}"' for label, text in values.items()) + "}", add

    def histogram(name: str, count: float, mean: float, **labels: str) -> Iterator[tuple[str, float]]:
        yield of(f"{name}_count", count, **labels)
        yield of(f"{name}_sum", count * mean, **labels)

    slower = requests if proxy > investigate else 0.02 * requests if run.p99 > investigate else 0
    for bound in release.metric("milvus_proxy_sq_latency").buckets:  # type: ignore[union-attr]
        yield of("milvus_proxy_sq_latency_bucket", requests - slower * (bound <= investigate), le=f"{bound:g}")
    yield of("milvus_proxy_sq_latency_bucket", requests, le="+Inf")
    yield from histogram("milvus_proxy_sq_latency", requests, proxy)
    yield from histogram("milvus_querynode_sq_req_latency", requests, run.request or proxy)
    yield of("milvus_querynode_sq_req_count", requests)
    # Requests that fail later wait and queue as well: these two get samples when no other histogram does.
    yield from histogram("milvus_querynode_sq_queue_latency", rate, run.queue)
    yield from histogram("milvus_querynode_sq_wait_tsafe_latency", rate, run.wait)
    yield from histogram("milvus_querynode_sq_core_latency", run.calls * requests, run.core)
    yield from histogram("milvus_querynode_search_nq", requests, run.nq)
    states = {"Growing": 0.5, "Sealed": 0.5} if run.indexed == 0.5 else {"Sealed": 1}
    for state, share in states.items():
        mean = run.core if run.segment is None else run.segment
        yield from histogram(
            "milvus_querynode_sq_segment_latency", share * run.calls * requests, mean, segment_state=state
        )
    knowhere = "knowhere_search_latency" if release.metric("knowhere_search_latency") else "search_latency"
    if run.indexed:
        yield from histogram(knowhere, run.indexed * run.calls * requests, run.index)
    segments = release.metric("milvus_querynode_segment_num")
    if segments and "indexed_field_count" in segments.labels:
        yield of("milvus_querynode_segment_num", run.flat, segment_state="Sealed", indexed_field_count="0")
    if release.metric("internal_core_search_latency"):
        # From 2.4.7 on segcore tells filter and vectors apart; what goes through no index is vector search as well.
        unit = 1000 if release.metric("internal_core_search_latency").unit == "us" else 1  # type: ignore[union-attr]
        vectors = run.core if run.flat or run.indexed == 0.5 else min(run.index, run.core) * run.indexed
        for kind, mean in (("scalar_latency", run.core - vectors), ("vector_latency", vectors)):
            yield of("internal_core_search_latency_count", run.calls * requests, type=kind)
            yield of("internal_core_search_latency_sum", run.calls * requests * mean * unit, type=kind)


def named(
    promtool: str, runs: dict[str, Run], milvus: str, investigate: float, groups: list[str]
) -> dict[str, set[str]]:
    """The alerts on causes that fire for each run, which is a deployment of its own."""
    release = catalog.release(milvus)
    fed: dict[str, float] = defaultdict(float)
    for name, run in runs.items():
        for weight, part in ((1, run), (run.beside, HEALTHY)):
            for each, add in series(part, name, release, investigate):
                fed[each] += weight * add
    question = 'count by (namespace, alertname) (ALERTS{alertstate="firing", severity="info"})'
    test: dict[str, Any] = {
        "interval": "30s",
        "input_series": [{"series": name, "values": f"0+{add / 2}x40"} for name, add in fed.items()],
        # Promtool prints what it got in the place of what it should have got.
        "promql_expr_test": [{"expr": question, "eval_time": "15m", "exp_samples": [{"labels": "x", "value": -1}]}],
    }
    content = {
        "rule_files": ["profile/rules/profile.rules.yaml"],
        "evaluation_interval": "30s",
        "group_eval_order": groups,
        "tests": [test],
    }
    Path("out/runs.yaml").write_text(json.dumps(content), "utf-8")
    done = subprocess.run([promtool, "test", "rules", "out/runs.yaml"], capture_output=True, text=True, check=False)
    found: dict[str, set[str]] = {}
    assert "got:" in done.stdout + done.stderr, done.stdout + done.stderr
    for sample in (done.stdout + done.stderr).split("got:")[1].split("{")[1:]:
        labels = dict(pair.split("=") for pair in sample.split("}")[0].replace('"', "").split(", "))
        found.setdefault(labels["namespace"], set()).add(labels["alertname"])
    return found


@pytest.fixture
def causes(compiled: Compile, promtool: str) -> Callable[..., dict[str, set[str]]]:
    """Which alerts on causes fire for which of some runs, on a release."""

    def find(runs: dict[str, Run], milvus: str = "2.3.5", **settings: str) -> dict[str, set[str]]:
        built = compiled(milvus=f'"{milvus}"', selector="{job: milvus}", identity="[namespace]", **settings)
        investigate = built.manifest["thresholds"][0]["investigate"]["milliseconds"]
        return named(promtool, runs, milvus, float(investigate), [group["name"] for group in built.groups])

    return find


@pytest.mark.parametrize("milvus", ["2.3.5", "2.4.4", "2.4.17", "2.5.4", "2.6.19", "3.0.0"])
def test_every_fault_is_named_and_healthy_runs_are_silent(
    milvus: str, causes: Callable[..., dict[str, set[str]]]
) -> None:
    assert causes(RUNS, milvus) == (NAMED_AT_100_MS if milvus == "2.4.17" else NAMED)


def test_a_profile_with_tight_thresholds_names_the_lighter_faults_too(
    causes: Callable[..., dict[str, set[str]]],
) -> None:
    runs = {name: RUNS[name] for name in (*NAMED_WHEN_TIGHT, "healthy", "growing-segments")}
    assert causes(runs, **TIGHT) == NAMED_WHEN_TIGHT


def test_faults_of_other_shapes_and_sizes_are_named_too(causes: Callable[..., dict[str, set[str]]]) -> None:
    runs = {
        "batches-of-50": Run(200, 400, core=190, index=190, nq=50),
        "half-of-it-in-the-queue": Run(400, 900, queue=200, core=190, index=190),
        "a-costly-index": Run(400, 900, core=390, index=385),
        "filter-and-batches": Run(900, 2000, core=850, index=150, nq=100),
        "strong-of-small-segments": Run(300, 600, wait=280, core=0.3, calls=48),
        "100-segments": Run(300, 600, core=2, calls=100, index=1.9),
    }
    assert causes(runs) == {
        "batches-of-50": {BATCHES},
        "half-of-it-in-the-queue": {QUEUE},
        "a-costly-index": {INDEX},
        "filter-and-batches": {FILTER},
        "strong-of-small-segments": {WAIT},
        "100-segments": {SEGMENTS},
    }


def test_thresholds_of_causes_are_settings(causes: Callable[..., dict[str, set[str]]]) -> None:
    runs = {"strong": RUNS["strong"], "batches": RUNS["batches-of-2000"]}
    settings = f"{{{WAIT}: {{threshold: 98%}}, {QUEUE}: {{min_time: 300ms}}, {BATCHES}: {{least: 3000}}}}"
    assert causes(runs, alerts=settings) == {"batches": {INDEX}}


def test_a_cause_that_the_profile_disables_is_left_out_whole(compiled: Compile) -> None:
    rules = compiled(alerts=f"{{{WAIT}: {{enabled: false}}}}")
    assert WAIT not in rules.names()
    assert "waiting for tSafe" not in str(rules.rules)
    assert {"rule": WAIT, "why": "disabled by the profile"} in rules.manifest["left_out"]


def test_the_symptom_outlives_its_alert(compiled: Compile) -> None:
    rules = compiled(alerts="{MilvusSearchLatencyInvestigate: {enabled: false, quantile: 0.9}}")
    assert "MilvusSearchLatencyInvestigate" not in rules.names()
    assert "< 0.9)" in rules.named("milvus_searches_too_slow")["expr"]


def test_the_verdict_asks_for_the_causes_of_the_deployment_that_is_slow(compiled: Compile) -> None:
    rules = compiled(selector="{namespace: vectors}", identity="[namespace, cluster]")
    for alert in ("MilvusSearchLatencyInvestigate", "MilvusSearchLatencySlow"):
        verdict = rules.named(alert)["annotations"]["verdict"]
        assert 'milvus_search_latency_cause:ratio_rate5m{profile="profile", namespace=%[1]q, cluster=%[2]q}' in verdict
        assert "` $labels.namespace $labels.cluster)" in verdict
        assert "{{ else }}No known cause takes most of the time{{ end }}" in verdict


def test_the_verdict_says_whose_latency_it_tells_where_collections_have_their_own_thresholds(compiled: Compile) -> None:
    rules = compiled(collections="{hot: {thresholds: {slow: 500ms}}}")
    for rule in rules.rules:
        if "verdict" in rule.get("annotations", {}) and rule["alert"] != "MilvusRequestsFailing":
            assert "}}p99 of all collections {{" in rule["annotations"]["verdict"]


def test_cpu_is_judged_where_the_profile_says_how_much_there_is(compiled: Compile) -> None:
    assert "/ 8 > 0.9" in next(rule["expr"] for rule in compiled(cpus="8").rules if "process_cpu" in rule["expr"])
    left_out = {each["rule"]: each["why"] for each in compiled().manifest["left_out"]}
    assert "how many CPUs" in left_out["MilvusCPUSaturated"]


DISK = '{exporter: node_exporter, selector: {instance: ["milvus-0:9100", "milvus-1:9100"]}'


def test_disks_are_judged_where_the_profile_says_which_they_are(compiled: Compile) -> None:
    (busy,) = [rule for rule in compiled(disk=DISK + "}").rules if "node_disk" in rule["expr"]]
    assert busy["labels"]["finding"] == "disks are busy"
    assert (
        'max by () (rate(node_disk_io_time_seconds_total{instance=~"milvus-0:9100|milvus-1:9100"}[5m]))' in busy["expr"]
    )
    left_out = {each["rule"]: each["why"] for each in compiled().manifest["left_out"]}
    assert "which disks are those of Milvus, such as `disk: {exporter: " in left_out["MilvusDiskSaturated"]


def test_a_disk_is_that_of_the_deployments_with_the_same_labels(compiled: Compile) -> None:
    disk = "{exporter: cadvisor, selector: {id: /}, shared: [cluster]}"
    rules = compiled(selector="{job: milvus}", identity="[cluster, namespace]", disk=disk)
    (expr,) = [rule["expr"] for rule in rules.rules if "container_fs" in rule["expr"]]
    assert "* on (cluster) group_left ()\nmax by (cluster) (rate(container_fs_io_time_seconds_total{id=" in expr


@pytest.mark.parametrize("alert", sorted(templates.load().alerts))
def test_a_profile_can_do_without_any_one_alert(compiled: Compile, alert: str) -> None:
    assert alert not in compiled(alerts=f"{{{alert}: {{enabled: false}}}}").names()
