"""`thresher lint`: what it finds in files that people wrote, where, and what it must not say."""

from __future__ import annotations

import errno
import json
import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generator import catalog
from generator.lint import nodes
from generator.lint.codes import CODES
from generator.lint.names import Labels
from generator.lint.run import lint
from generator.units import Duration
from tests.conftest import EXAMPLES, ROOT, Thresher

RELEASE = "2.6.19"
DOCUMENTED = re.findall(
    r"^### ([\w-]+)\n(.*?)(?=^### |\Z)", (ROOT / "docs/lint.md").read_text("utf-8"), re.MULTILINE | re.DOTALL
)

Found = list[tuple[int, int, str]]
Linted = Callable[..., Found]


@pytest.fixture
def linted(tmp_path: Path) -> Linted:
    """Lints a text as a file: line, column and code of each finding."""

    def run(text: str, file: str = "rules.yaml", release: str = RELEASE, **options: Any) -> Found:
        path = tmp_path / file
        path.write_text(text, "utf-8")
        report = lint([path], catalog.release(release), **options)
        assert report.unreadable == ()
        assert report.files == 1
        return [(each.line, each.column, each.code) for each in report.findings]

    return run


def rules(*entries: str) -> str:
    """A rule file with these rules, given as YAML."""
    return "groups:\n- name: g\n  rules:\n" + "".join(
        textwrap.indent(each.strip("\n") + "\n", "  ") for each in entries
    )


def alert(expr: str, **annotations: str) -> str:
    """A rule file with one alert."""
    entry = {"alert": "A", "expr": expr, "annotations": annotations}
    return json.dumps({"groups": [{"name": "g", "rules": [entry]}]})


def panel(*exprs: str, kind: str = "timeseries", **settings: Any) -> dict[str, Any]:
    return {"type": kind, "title": "T", "targets": [{"refId": "A", "expr": expr} for expr in exprs], **settings}


def dashboard(*panels: dict[str, Any], **settings: Any) -> str:
    return json.dumps({"panels": panels, **settings}, indent=2)


def codes(found: Found) -> list[str]:
    return [code for _, _, code in found]


# What is documented


def test_every_code_is_documented_and_the_other_way_round() -> None:
    assert [code for code, _ in DOCUMENTED] == sorted(CODES)


@pytest.mark.parametrize(("code", "text"), DOCUMENTED, ids=[code for code, _ in DOCUMENTED])
def test_documented_examples_are_wrong_and_right(linted: Linted, code: str, text: str) -> None:
    wrong, right = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    assert set(codes(linted(rules(wrong)))) == {code}
    assert linted(rules(right)) == []


# What it must not say


@pytest.mark.parametrize(
    "expr",
    [
        # not Milvus'
        'up{job="milvus"} == 0',
        "node_load1",
        "process_resident_memory_bytes / 2^30 > 8",
        'go_goroutines{app="milvus"} > 10000',
        "rate(process_cpu_seconds_total[1s]) > 4",
        "team:milvus_something:rate5m > 5",
        'histogram_quantile(0.9, search_latency_bucket{app="shop"}) > 5',
        "internal_queue_length > 5",
        "milvus_backup_last_success_timestamp_seconds < 5",
        # labels that scraping adds
        'rate(milvus_proxy_req_count{status="total", env="prod", team="x", app_kubernetes_io_name="m"}[5m]) > 5',
        'sum by (namespace, pod, cluster) (rate(milvus_proxy_req_count{status="total"}[5m])) > 5',
        'milvus_num_node * on (pod) group_left (node) kube_pod_info{node!=""} > 1',
        # totals
        "sum by (status) (rate(milvus_proxy_req_count[5m])) > 5",
        'sum without (status) (rate(milvus_proxy_req_count{status!="total"}[5m])) > 5',
        'rate(milvus_proxy_req_count{function_name="Search"}[5m]) > 100',
        # values of other releases beside those of this one
        'sum(rate(milvus_proxy_req_count{status=~"fail|fail_.+|abandon"}[5m])) > 5',
        'rate(milvus_proxy_req_count{status="total", cause!="cancel"}[5m]) > 5',
        (
            'rate(milvus_proxy_req_count{status="fail"}[5m]) > 1 '
            'or rate(milvus_proxy_req_count{status=~"fail_.+"}[5m]) > 1'
        ),
        # units
        "histogram_quantile(0.99, sum by (le) (rate(milvus_proxy_sq_latency_bucket[5m]))) / 1000 > 0.5",
        "histogram_quantile(0.5, rate(milvus_querynode_sq_queue_latency_bucket[5m])) > 0.5",
        "time() - milvus_datacoord_channel_checkpoint_unix_seconds > 600",
        "rate(milvus_datacoord_channel_checkpoint_unix_seconds[5m]) < 0.5",
        "sum(rate(milvus_wal_insert_rows_total[5m])) > 1000",
        (
            '100 * sum(rate(milvus_proxy_req_count{status="retry"}[5m])) '
            '/ sum(rate(milvus_proxy_req_count{status="total"}[5m])) > 5'
        ),
        # conditions without a comparison
        'milvus_rootcoord_quota_states{quota_states="MemoryQuotaExhausted"}',
        'milvus_build_info{version!="2.6.19"}',
        "milvus_num_node offset 1h unless milvus_num_node",
        "absent(milvus_num_node)",
        "milvus_num_node and on (namespace) maintenance",
        # zero
        "sum(rate(milvus_proxy_sq_latency_count[5m])) == 0",
        "(count(milvus_num_node) or vector(0)) == 0",
        'sum(milvus_num_node{role_name="proxy"}) == 0 or absent(milvus_num_node{role_name="proxy"})',
        "milvus_rootcoord_quota_states == 1",
        # counters
        "changes(milvus_proxy_slow_query_count[1h]) > 3",
        "milvus_proxy_slow_query_count - milvus_proxy_slow_query_count offset 5m > 5",
        "count by (pod) (milvus_proxy_slow_query_count) > 1",
        'sum(milvus_proxy_req_count{status="success"}) == 0',
        # two sides
        (
            'rate(milvus_proxy_req_count{status="retry"}[5m]) '
            '/ on (pod, function_name) rate(milvus_proxy_req_count{status="total"}[5m]) > 0.5'
        ),
        "sum by (a) (rate(milvus_proxy_sq_latency_sum[5m])) / sum by (a) (rate(milvus_proxy_sq_latency_count[5m])) > 9",
        'label_replace(milvus_num_node, "x", "$1", "pod", "(.*)") / on (x) label_replace(up, "x", "$1", "a", "b") > 5',
        "sum(rate(milvus_proxy_sq_latency_count[5m])) / sum(rate(milvus_proxy_sq_latency_count[5m] offset 1d)) > 2",
        "rate(milvus_proxy_sq_latency_count[5m]) / rate(milvus_proxy_sq_latency_count[5m] offset 1d) > 2",
        "rate(milvus_proxy_sq_latency_count[5m]) / rate(milvus_proxy_sq_latency_count[1h]) > 2",
        'milvus_proxy_req_count{status="success"} > 0 and on (pod) up == 0',
        # bounds that both servers spell alike
        'rate(milvus_datacoord_task_execute_max_latency_bucket{le="1e+06"}[5m]) > 5',
        'rate(milvus_querynode_sq_queue_latency_bucket{le="0.25"}[5m]) > 5',
        # written in other ways
        "histogram_quantile(0.9, sum(rate({__name__='milvus_proxy_sq_latency_bucket', pod=~`\\d+`}[5m])) by (le)) > 50",
        "max_over_time(sum(rate(milvus_proxy_sq_latency_count[1m]))[1h:1m]) > 1000  # per second",
        "holt_winters(milvus_querynode_read_task_ready_len[1h], 0.5, 0.5) > 5",
    ],
)
def test_sound_expressions_have_no_findings(linted: Linted, expr: str) -> None:
    assert linted(alert(expr)) == []


OUTPUT = sorted(path for path in (EXAMPLES / "out").iterdir() if path.is_dir())


@pytest.mark.parametrize("folder", OUTPUT, ids=[path.name for path in OUTPUT])
def test_what_thresher_writes_has_no_findings(folder: Path) -> None:
    """Also in the overview of a fleet, whose deployments run different releases."""
    release = json.loads((folder / "MANIFEST.json").read_text("utf-8")).get("milvus", RELEASE)
    report = lint([folder], catalog.release(release))
    assert report.expressions > 5
    assert (report.findings, report.unreadable) == ((), ())


# What it finds


@pytest.mark.parametrize(
    ("expr", "code"),
    [
        ("milvus_proxy_sq_latency > 5", "unknown-metric"),
        ('rate({__name__="milvus_proxy_nope"}[5m]) > 5', "unknown-metric"),
        ("absent(milvus_nope)", "unknown-metric"),
        ("milvus_nope or vector(0) > 5", "unknown-metric"),
        ("rate(internal_core_search_latency_scalar_sum[5m]) > 5", "unknown-metric"),
        ('rate(search_latencies_sum{module="knowhere"}[5m]) > 5', ""),
        ('rate(search_latency_sum{module="knowhere", node_id="5"}[5m]) > 5', "unknown-label"),
        ("max(milvus_proxy_tt_lag_ms) > 5000", "unfed-metric"),
        ('rate(milvus_proxy_sq_latency_count{status="success"}[5m]) > 5', "unknown-label"),
        ('rate(milvus_proxy_sq_latency_count{colection_name="x"}[5m]) > 5', "unknown-label"),
        ('rate(milvus_proxy_sq_latency_count{status!="success"}[5m]) > 5', "unknown-label"),
        ('rate(milvus_proxy_sq_latency_count{status!=""}[5m]) > 5', "unknown-label"),
        ("sum by (function_name) (rate(milvus_proxy_sq_latency_count[5m])) > 5", "unknown-label"),
        ('milvus_num_node{role_name=~"rootcoord|indexnode"} > 5', "impossible-value"),
        ('sum(rate(milvus_proxy_req_count{status!~"fail|success|total"}[5m])) > 5', ""),
        ('sum(rate(milvus_proxy_req_count{status!="fail", status!="total"}[5m])) > 5', "impossible-value"),
        ('rate(milvus_proxy_sq_latency_bucket{le="100.0"}[5m]) > 5', "unknown-bucket"),
        ('rate(milvus_proxy_sq_latency_bucket{le="Inf"}[5m]) > 5', "unknown-bucket"),
        ('rate(milvus_proxy_sq_latency_bucket{le="128.0"}[5m]) > 5', "le-spelling"),
        ('rate(milvus_proxy_sq_latency_bucket{le="128.00"}[5m]) > 5', "le-spelling"),
        ('rate(milvus_proxy_sq_latency_bucket{le=~"64|128"}[5m]) > 5', "le-spelling"),
        ('rate(milvus_datacoord_task_execute_max_latency_bucket{le="1000000"}[5m]) > 5', "le-spelling"),
        ("histogram_quantile(0.9, rate(milvus_proxy_sq_latency_sum[5m])) > 50", "quantile-without-le"),
        ("histogram_quantile(0.9, milvus_querynode_disk_used_size) > 50", "quantile-without-le"),
        ("histogram_quantile(-1, rate(milvus_proxy_sq_latency_bucket[5m])) > 50", "quantile-out-of-range"),
        ("200000 <= histogram_quantile(0.9, rate(milvus_proxy_sq_latency_bucket[5m]))", "unreachable-threshold"),
        ("histogram_quantile(0.9, rate(milvus_proxy_sq_latency_bucket[5m])) / 1000 > 500", "unreachable-threshold"),
        (
            (
                'sum(rate(milvus_proxy_req_count{status="retry"}[5m])) '
                '/ sum(rate(milvus_proxy_req_count{status="total"}[5m])) > 5'
            ),
            "unreachable-threshold",
        ),
        (
            (
                'sum(rate(milvus_proxy_sq_latency_bucket{le=~"128(\\\\.0)?"}[5m])) '
                "/ sum(rate(milvus_proxy_sq_latency_count[5m])) > 99"
            ),
            "unreachable-threshold",
        ),
        ("sum(rate(milvus_proxy_sq_latency_count[5m]))", "no-comparison"),
        ("sum(rate(milvus_proxy_sq_latency_count[5m])) > bool 5", "no-comparison"),
        ("milvus_querynode_entity_num and milvus_querynode_entity_num", "no-comparison"),
        ("irate(milvus_proxy_sq_latency_count[29s]) > 5", "short-window"),
        ("max_over_time(milvus_querynode_read_task_ready_len[10s]) > 5", "short-window"),
        ("increase(milvus_num_node[1h]) > 5", "rate-of-gauge"),
        ("sum(milvus_proxy_sq_latency_sum) / sum(milvus_proxy_sq_latency_count) > 50", "counter-without-rate"),
        ("delta(milvus_proxy_slow_query_count[5m]) > 5", "counter-without-rate"),
        ("avg(rate(milvus_proxy_req_count[5m])) > 5", "counts-total-twice"),
        (
            'histogram_quantile(0.99, sum by (le) (rate(internal_core_search_latency_bucket{type=~".+"}[5m]))) > 50',
            "mixed-units",
        ),
        ('count(milvus_num_node{role_name="proxy"}) < 1', "never-zero"),
        ("milvus_rootcoord_quota_states == 0", "never-zero"),
        ("absent(milvus_rootcoord_quota_states)", "never-zero"),
        (
            (
                "sum by (collection_name) (rate(milvus_proxy_sq_latency_sum[5m])) "
                "/ sum(rate(milvus_proxy_sq_latency_count[5m])) > 50"
            ),
            "sides-never-match",
        ),
        ("rate(milvus_proxy_sq_latency_sum[5m]) / rate(milvus_proxy_req_count[5m]) > 50", "sides-never-match"),
        ("sum by (pod) (milvus_num_node) > 1 and on (node_id) milvus_num_node", "lost-label"),
        ("max(milvus_querynode_consume_tt_lag_ms) > time() - 5", "unit-mismatch"),
        (
            "sum(rate(milvus_proxy_sq_latency_sum[5m])) / sum(rate(milvus_proxy_sq_latency_count[5m])) > 1",
            "unit-mismatch",
        ),
        ("sum(rate(milvus_proxy_req_count[5m]) > 5", "syntax"),
        ("(" * 45 + "milvus_num_node" + ")" * 45 + " > 5", "syntax"),
    ],
)
def test_finds(linted: Linted, expr: str, code: str) -> None:
    assert codes(linted(alert(expr))) == ([code] if code else [])


@pytest.mark.parametrize(
    ("expr", "annotations", "wrong"),
    [
        ("> 5", {"summary": "slower than 5s"}, True),
        ("> 5", {"summary": "slower than 5 ms"}, False),
        ("> 5000", {"summary": "slower than 5s"}, False),
        ("> 2", {"summary": "P99 延迟超过2秒"}, True),
        ("/ 1000 > 50", {"summary": "slower than 50 ms"}, True),
        ("/ 1000 > 0.5", {"summary": "slower than 500 ms"}, False),
        ("> 500", {"summary": "p99 is {{ $value }}s"}, True),
        ("> 500", {"summary": "p99 is {{ $value | humanizeDuration }}"}, True),
        ("> 500", {"summary": 'p99 is {{ $value | printf "%.0f" }} ms'}, False),
    ],
)
def test_thresholds_are_held_against_what_their_author_says(
    linted: Linted, expr: str, annotations: dict[str, str], wrong: bool
) -> None:
    text = alert(
        f"histogram_quantile(0.99, sum by (le) (rate(milvus_proxy_sq_latency_bucket[5m]))) {expr}", **annotations
    )
    assert codes(linted(text)) == (["unit-mismatch"] if wrong else [])


def test_a_comment_beside_the_expression_is_heard_too(linted: Linted) -> None:
    entry = "- alert: A\n  expr: max(milvus_querynode_consume_tt_lag_ms) > 30  # more than 30s"
    assert codes(linted(rules(entry))) == ["unit-mismatch"]


def test_buckets_of_other_releases(linted: Linted) -> None:
    text = alert('sum(rate(milvus_proxy_sq_latency_bucket{le=~"100(\\\\.0)?"}[5m])) > 5')
    assert codes(linted(text, release="2.5.27")) == ["unknown-bucket"]
    assert linted(text, release="2.4.23") == []


def test_states_are_always_there_in_2_3(linted: Linted) -> None:
    assert codes(linted(alert("milvus_rootcoord_quota_states"), release="2.3.5")) == ["no-comparison"]
    assert linted(alert("milvus_rootcoord_quota_states == 0"), release="2.3.5") == []


def test_the_fix_of_a_spelling_finds_every_bucket_that_is_selected(thresher: Thresher, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(alert('rate(milvus_proxy_sq_latency_bucket{le=~"64|128.0"}[5m]) > 5'), "utf-8")
    run = thresher("lint", tmp_path, "--milvus", RELEASE)
    assert '`le=~"64|128.0"` misses a bucket: Prometheus 3 spells it `64.0`' in run.stdout
    assert 'write le=~"64(\\\\.0)?|128(\\\\.0)?"' in run.stdout


@pytest.mark.parametrize(
    "buckets",
    [
        (
            "sum by (le) (rate(milvus_proxy_sq_latency_bucket[5m]))"
            " + sum by (le) (rate(milvus_proxy_req_latency_bucket[5m]))"
        ),
        "sum by (le, pod) (rate(milvus_proxy_sq_latency_bucket[5m])) * on (pod) group_left (node) kube_pod_info",
        "kube_pod_info * on (pod) group_right () sum by (le, pod) (rate(milvus_proxy_sq_latency_bucket[5m]))",
    ],
)
def test_quantiles_of_buckets_that_are_joined_with_something(linted: Linted, buckets: str) -> None:
    assert linted(alert(f"histogram_quantile(0.99, {buckets}) > 1000")) == []
    assert codes(linted(alert(f"histogram_quantile(0.99, {buckets}) > 0.5"))) == ["unit-mismatch"]
    without = buckets.replace("le, ", "").replace("by (le) ", "")
    assert set(codes(linted(alert(f"histogram_quantile(0.99, {without}) > 1000")))) == {"quantile-without-le"}


@pytest.mark.parametrize(
    ("expr", "right"),
    [
        ("milvus_querynode_num < 3", "the nearest that Milvus has is milvus_querycoord_querynode_num"),
        ("milvus_proxy_req_total > 3", "did you mean milvus_proxy_req_count?"),
        ("milvus_datacoord_index_task_count > 3", "; read milvus_datacoord_task_count"),
        ('milvus_datacoord_segment_num{state="Growing"} > 3', "did you mean segment_state?"),
    ],
)
def test_the_fix_names_what_is_meant(thresher: Thresher, tmp_path: Path, expr: str, right: str) -> None:
    (tmp_path / "a.yaml").write_text(alert(expr), "utf-8")
    assert right in thresher("lint", tmp_path, "--milvus", RELEASE).stdout


def test_how_long_something_lasts_is_no_threshold(linted: Linted) -> None:
    expr = "histogram_quantile(0.99, sum by (le) (rate(milvus_proxy_sq_latency_bucket[5m]))) > 30"
    assert linted(alert(expr, summary="p99 too high for 30s")) == []
    assert codes(linted(alert(expr, summary="p99 above 30s for 5m"))) == ["unit-mismatch"]


@pytest.mark.parametrize(
    ("matchers", "right"),
    [
        ("", 'select one: status="total" for all requests'),
        ('{status!="success"}', 'leave out `total`, too: status!~"success|total"'),
        ('{status=~"total|retry"}', 'select one: status="total" for all requests'),
    ],
)
def test_the_fix_of_counting_twice_says_what_to_leave_out(
    thresher: Thresher, tmp_path: Path, matchers: str, right: str
) -> None:
    (tmp_path / "a.yaml").write_text(alert(f"sum(rate(milvus_proxy_req_count{matchers}[5m])) > 5"), "utf-8")
    assert f"; {right} [counts-total-twice]" in thresher("lint", tmp_path, "--milvus", RELEASE).stdout


def test_labels_of_other_releases(linted: Linted) -> None:
    grouped = alert("sum by (collection_name) (rate(milvus_proxy_sq_latency_count[5m])) > 5")
    joined = alert("sum(milvus_num_node) > 5 and on (collection_name) rate(milvus_proxy_sq_latency_count[5m])")
    assert linted(grouped) == []
    assert codes(linted(grouped, release="2.3.5")) == ["unknown-label"]
    assert codes(linted(joined, release="2.3.5")) == ["unknown-label"]


def test_scrape_interval(linted: Linted) -> None:
    text = alert("rate(milvus_proxy_sq_latency_count[1m]) > 5")
    assert linted(text) == []
    assert linted(text, scrape_interval=Duration.parse("15s")) == []
    assert codes(linted(text, scrape_interval=Duration.parse("30s"))) == ["short-window"]
    assert codes(linted(text, scrape_interval=Duration.parse("1m"))) == ["short-window"]


def test_target_labels_can_be_said(linted: Linted) -> None:
    text = alert('rate(milvus_proxy_sq_latency_count{shop="x", pod="y", job="z"}[5m]) > 5')
    assert linted(text) == []
    assert codes(linted(text, labels=Labels.of(["pod"]))) == ["unknown-label"]
    assert linted(text, labels=Labels.of(["pod", "shop"])) == []


# Records


def test_records_have_the_type_of_their_expression_wherever_they_are_read(linted: Linted) -> None:
    found = linted(
        rules(
            "- alert: A\n  expr: search_p99 > 0.5",
            "- alert: B\n  expr: rate(milvus_requests[5m]) > 5",
            "- record: search_p99\n  expr: histogram_quantile(0.9, rate(milvus_proxy_sq_latency_bucket[5m]))",
            '- record: milvus_requests\n  expr: sum(milvus_proxy_req_count{status="total"})',
        )
    )
    assert found == [(5, 11, "unit-mismatch"), (7, 16, "rate-of-sum")]


def test_records_of_one_file_are_known_to_the_others(tmp_path: Path) -> None:
    records = rules("- record: milvus_requests\n  expr: sum(rate(milvus_proxy_sq_latency_count[5m]))")
    (tmp_path / "records.yaml").write_text(records, "utf-8")
    (tmp_path / "board.json").write_text(dashboard(panel("milvus_requests")), "utf-8")
    assert lint([tmp_path], catalog.release(RELEASE)).findings == ()
    alone = lint([tmp_path / "board.json"], catalog.release(RELEASE)).findings
    assert [each.code for each in alone] == ["unknown-metric"]
    assert "give the file of the rule" in alone[0].right


RECORDS = (
    """
- record: searches:p99
  expr: >
    histogram_quantile(0.99, sum by (le, namespace) (rate(milvus_proxy_sq_latency_bucket{query_type="search"}[5m])))
""",
    "- record: searches:rate5m\n  expr: sum by (le, namespace) (rate(milvus_proxy_sq_latency_bucket[5m]))",
    "- record: requests:rate5m\n  expr: sum by (status) (rate(milvus_proxy_req_count[5m]))\n  labels: {tier: gold}",
    "- record: core:rate5m\n  expr: sum by (type) (rate(internal_core_search_latency_sum[5m]))",
    "- record: time:rate5m\n  expr: sum by (pod) (rate(milvus_proxy_sq_latency_sum[5m]))",
    "- record: count:rate5m\n  expr: sum by (pod) (rate(milvus_proxy_sq_latency_count[5m]))",
    "- record: searches:mean5m\n  expr: time:rate5m / count:rate5m",
)


@pytest.mark.parametrize(
    "expr",
    [
        'sum(requests:rate5m{status="total"}) > 5',
        'sum(requests:rate5m{status=~"fail_.+"}) / sum(requests:rate5m{status="total", tier="gold"}) > 0.5',
        'requests:rate5m{status="fail_input"} / ignoring (status) requests:rate5m{status="total"} > 0.5',
        'requests:rate5m{status="$status", tier=~"$tier"} > 5',
        'sum(core:rate5m{type="vector_latency"}) > 5',
        'sum(searches:rate5m{le=~"128(\\\\.0)?"}) > 5',
        'sum by (cluster) (searches:rate5m{le="+Inf", region="eu"}) > 5',
        'max by (cluster) (searches:p99{cluster=~".+"} + searches:p99) > 500',
        'searches:p99{namespace="vectors"} > 500',
        "time:rate5m / count:rate5m > 500",
        "time:rate5m > 0.5",
        "count:rate5m / time:rate5m > 0.5",
        'searches:p99{query_type=""} > 500',
    ],
)
def test_matchers_select_among_records(linted: Linted, expr: str) -> None:
    assert linted(rules(*RECORDS, f"- alert: A\n  expr: '{expr}'")) == []


@pytest.mark.parametrize(
    ("expr", "code"),
    [
        ('searches:p99{collection_name="x"} > 500', "lost-label"),
        ('searches:p99{query_type!="query"} > 500', "lost-label"),
        ('searches:p99{pod="x"} > 500', "lost-label"),
        ('searches:p99{namespace="x"} > 1', "unit-mismatch"),
        ('searches:mean5m{pod="x"} > 0.5', "unit-mismatch"),
        ('searches:p99{namespace="x"} > 0.5', "unit-mismatch"),
        ('sum by (cluster) (sum(searches:rate5m{le="+Inf"})) > 500', "lost-label"),
        ('searches:rate5m{le="100"} > 5', "unknown-bucket"),
        ('searches:rate5m{le="128"} > 5', "le-spelling"),
        ('requests:rate5m{status="fail"} > 5', "impossible-value"),
        ('requests:rate5m{status!~"total", tier="silver"} > 5', "impossible-value"),
        ('sum(requests:rate5m{status!="success"}) > 5', "counts-total-twice"),
        ('requests:rate5m{status="fail_input"} / requests:rate5m{status="total"} > 0.5', "sides-never-match"),
        ('sum(core:rate5m{type!=""}) > 5', "mixed-units"),
        ('rate(requests:rate5m{status="total"}[5m]) > 5', "rate-of-gauge"),
    ],
)
def test_what_matchers_do_not_find_among_records(linted: Linted, expr: str, code: str) -> None:
    entry = f"- alert: A\n  expr: '{expr}'"
    found = linted(rules(*RECORDS, entry))
    assert codes(found) == [code]
    assert found[0][0] == rules(*RECORDS, entry).count("\n")


def test_records_have_the_labels_of_their_group(linted: Linted) -> None:
    entry = "- record: searches:rate5m\n  expr: sum(rate(milvus_proxy_sq_latency_count[5m]))"
    text = rules(entry, '- alert: A\n  expr: searches:rate5m{query_type="search"} > 5')
    assert codes(linted(text)) == ["lost-label"]
    assert linted(text.replace("- name: g", "- name: g\n  labels: {query_type: search}")) == []


def test_records_that_differ_in_the_value_of_a_label_only(linted: Linted) -> None:
    entry = (
        "- record: searches:quantile\n  labels: {{quantile: '{0}'}}\n"
        "  expr: histogram_quantile({0}, sum by (le) (rate(milvus_proxy_sq_latency_bucket[5m])))"
    )
    asked = '- alert: A\n  expr: searches:quantile{quantile="0.99"} > 0.5'
    text = rules(entry.format(0.5), entry.format(0.99), asked)
    assert codes(linted(text)) == ["unit-mismatch"]


def test_nothing_is_known_of_records_that_are_written_in_two_ways(linted: Linted) -> None:
    entry = "- record: milvus_x\n  expr: max({}) by (pod)\n"
    both = ("milvus_querynode_consume_tt_lag_ms", "milvus_querynode_read_task_ready_len")
    found = linted(rules(*(entry.format(each) for each in both), "- alert: A\n  expr: milvus_x > 5\n  # 5s"))
    assert found == []


# Positions


@pytest.mark.parametrize(
    "expr",
    [
        "HERE > 5",
        "sum(up) + HERE > 5",
        "'sum(up{a=\"''\"}) + HERE > 5'",
        '"sum(up{a=\\"é𝄞\\"}) + HERE > 5"',
        "|\n      sum(up)\n        + HERE > 5",
        ">-\n      sum(up)\n      + HERE > 5",
        ">\n      sum(up)\n\n      + HERE > 5\n",
        "sum(up)\n      + HERE > 5",
        '"sum(up)\n      + HERE > 5"',
        "|2-\n      up  # milvus_nope\n      + HERE > 5",
        'up{a="milvus_nope"} + HERE > 5',
        "up + milvus_nope:x + HERE > 5",
    ],
)
def test_position_in_yaml(linted: Linted, expr: str) -> None:
    before = f"groups:\n- name: g\n  rules:\n  - alert: A\n    expr: {expr}".split("HERE")[0]
    text = f"groups:\n- name: g\n  rules:\n  - alert: A\n    expr: {expr}\n".replace("HERE", "milvus_nope")
    line, column = before.count("\n") + 1, len(before.rsplit("\n", 1)[-1]) + 1
    assert linted(text) == [(line, column, "unknown-metric")]


def test_position_of_labels_in_matchers_lists_and_annotations(linted: Linted) -> None:
    entry = """
- alert: A
  expr: |
    sum by (pod,
      collection) (rate(milvus_proxy_sq_latency_count{pod="x",
        operation="search"}[5m])) > 5
  annotations:
    summary: 'on {{ $labels.instance }}'
"""
    assert linted(rules(entry)) == [(7, 9, "unknown-label"), (8, 11, "unknown-label"), (10, 23, "lost-label")]


def test_position_of_each_of_several_equal_selectors(linted: Linted) -> None:
    expr = 'milvus_num_node{role_name="proxy"} + on (pod) milvus_num_node{role_name="rootcoord"} > 5'
    ((line, column, code),) = linted(rules(f"- alert: A\n  expr: {expr}"))
    assert (line, column, code) == (5, 11 + expr.index('role_name="rootcoord"'), "impossible-value")


def test_position_in_json(linted: Linted) -> None:
    text = '{"panels": [\n {"targets": [\n  {"expr": "sum(up{a=\\"\\u00e9\\"})\\n+ milvus_nope"}]}]}'
    assert linted(text, "board.json") == [(3, text.splitlines()[2].index("milvus_nope") + 1, "unknown-metric")]


@given(st.text(max_size=30), st.sampled_from(["json", "double", "single", "literal", "folded"]))
@settings(max_examples=200)
def test_every_character_of_a_text_is_found_where_it_stands(value: str, style: str) -> None:
    value = "".join(char for char in value if char.isprintable()).strip() + "x"
    if style == "json":
        text = json.dumps({"a": value}) if '"' in value else json.dumps({"a": value}, ensure_ascii=False)
    elif style == "double":
        text = "a: " + json.dumps(value, ensure_ascii=False)
    elif style == "single":
        text = "a: '" + value.replace("'", "''") + "'"
    else:
        text = f"a: {'|' if style == 'literal' else '>'}-\n   {value}"
    (document,) = nodes.documents(text, is_json=style == "json")
    passage = document.get("a").passage(nodes.whole("f", text))
    assert passage.text == value
    places = list(passage.offsets)
    assert places == sorted(places)
    for char, place in zip(value, places, strict=True):
        assert text[place] in (char, "\\")


# Files


def test_documents_resources_lists_and_config_maps(linted: Linted) -> None:
    inner = dashboard(panel("milvus_nope"))
    text = f"""
apiVersion: milvus.io/v1beta1
kind: Milvus
spec: {{mode: cluster}}
---
apiVersion: v1
kind: List
items:
- apiVersion: monitoring.coreos.com/v1
  kind: PrometheusRule
  spec:
    groups:
    - name: g
      rules: &rules
      - {{alert: A, expr: milvus_nope > 1}}
- apiVersion: operator.victoriametrics.com/v1beta1
  kind: VMRule
  spec:
    groups:
    - {{name: g, rules: *rules}}
    - name: h
      rules:
      - {{alert: B, expr: sum(rate(milvus_proxy_sq_latency_count)) default 0 > 1}}
---
apiVersion: v1
kind: ConfigMap
data:
  notes.txt: milvus_nope
  other.json: '["milvus"]'
  rules.yaml: |
    groups:
    - name: g
      rules:
      - alert: C
        expr: up +
          milvus_nope > 1
  board.json: |
{textwrap.indent(inner, "    ")}
---
apiVersion: grafana.integreatly.org/v1beta1
kind: GrafanaDashboard
spec:
  json: '{json.dumps(json.loads(inner))}'
---
"""
    found = linted(text)
    assert codes(found) == ["unknown-metric", "syntax", "unknown-metric", "unknown-metric", "unknown-metric"]
    for number, column, code in found:
        if code == "unknown-metric":
            assert text.splitlines()[number - 1][column - 1 :].startswith("milvus_nope")


@pytest.mark.parametrize(
    ("expr", "severity"),
    [
        ("rate(milvus_proxy_sq_latency_count) keep_metric_names > 5", "note"),
        ("sum(rate(milvus_proxy_sq_latency_count[5m]) > 5", "error"),
    ],
)
def test_metricsql_is_no_failure(thresher: Thresher, tmp_path: Path, expr: str, severity: str) -> None:
    groups = json.loads(alert(expr))
    resource = {"apiVersion": "operator.victoriametrics.com/v1beta1", "kind": "VMRule", "spec": groups}
    of_vmalert = {"groups": [{**groups["groups"][0], "eval_offset": "5s"}]}
    for content in (resource, of_vmalert):
        (tmp_path / "a.yaml").write_text(json.dumps(content), "utf-8")
        run = thresher("lint", tmp_path / "a.yaml", "--milvus", RELEASE, "--format", "json")
        (found,) = json.loads(run.stdout)["findings"]
        assert (run.exit_code, found["code"], found["severity"]) == (int(severity == "error"), "syntax", severity)


@pytest.mark.parametrize("platform", ["mimir", "victoriametrics"])
def test_what_is_built_for_a_platform_is_sound(write: Callable[..., Path], thresher: Thresher, platform: str) -> None:
    assert thresher("build", write(), "--target", platform).exit_code == 0
    run = thresher("lint", "out", "--milvus", RELEASE)
    assert run.exit_code == 0, run.stdout


def test_rule_groups_within_the_values_of_a_chart(linted: Linted) -> None:
    entry = textwrap.indent(rules("- alert: A\n  expr: milvus_nope > 1"), "      ")
    assert codes(linted(f"prometheus:\n  additionalRules:\n    milvus:\n{entry}")) == ["unknown-metric"]


def test_alerts_that_grafana_provisions(linted: Linted) -> None:
    entry = (
        "- title: T\n  data:\n  - refId: A\n    model: {expr: milvus_nope}\n  - refId: C\n    model: {type: threshold}"
    )
    assert codes(linted(rules(entry))) == ["unknown-metric"]


def test_yaml_that_prometheus_reads(linted: Linted) -> None:
    text = """
x: &common {for: 5m, expr: milvus_nope > 1}
groups:
- name: g
  rules:
  - <<: *common
    alert: !!str A
  - {<<: *common, alert: B, expr: milvus_num_node > 1}
"""
    assert linted(text) == [(2, 28, "unknown-metric")]


def test_directories_are_searched_for_what_is_about_milvus(tmp_path: Path) -> None:
    files = {
        "a/rules.yml": rules("- alert: A\n  expr: milvus_nope > 1"),
        "a/b/board.json": dashboard(panel("milvus_nope")),
        "a/values.yaml": "image: milvus_proxy\n",
        "a/chart.yaml": "{{ if .Values.etcd }}\nimage: etcd\n",
        "a/.hidden/rules.yaml": rules("- alert: A\n  expr: milvus_nope > 1"),
        "a/notes.md": "milvus_nope",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, "utf-8")
    report = lint([tmp_path], catalog.release(RELEASE))
    assert report.unreadable == ()
    assert [Path(each.file).name for each in report.findings] == ["board.json", "rules.yml"]


# Dashboards


def test_panels_of_every_age_and_at_any_depth(linted: Linted) -> None:
    asked = panel("milvus_nope")
    text = dashboard(
        asked,
        {"type": "row", "panels": [asked]},
        {"type": "library", "libraryPanel": {"uid": "u"}},
        rows=[{"panels": [asked]}],
        __elements={"u": {"kind": 1, "model": asked}},
        annotations={
            "list": [
                {"name": "N", "expr": "milvus_nope > 1"},
                {"name": "since Grafana 9", "target": {"expr": "milvus_nope > 1", "refId": "A"}},
                {"builtIn": 1},
            ]
        },
    )
    wrapped = json.dumps({"dashboard": json.loads(text), "meta": {}})
    assert codes(linted(text, "board.json")) == ["unknown-metric"] * 6
    assert codes(linted(wrapped, "board.json")) == ["unknown-metric"] * 6


def test_dashboards_of_schema_v2(linted: Linted) -> None:
    def query(kind: str, **asked: str) -> dict[str, Any]:
        return {
            "kind": "PanelQuery",
            "spec": {"refId": "A", "query": {"kind": "DataQuery", "group": kind, "spec": asked}},
        }

    data = {"spec": {"queries": [query("prometheus", expr="milvus_nope"), query("loki", expr="milvus_nope")]}}
    variable = {"name": "v", "query": {"kind": "prometheus", "spec": {"query": "label_values(milvus_nope, pod)"}}}
    spec = {
        "elements": {"panel-1": {"kind": "Panel", "spec": {"title": "T", "data": data}}},
        "layout": {},
        "variables": [{"kind": "QueryVariable", "spec": variable}],
    }
    text = json.dumps({"apiVersion": "dashboard.grafana.app/v2beta1", "kind": "Dashboard", "spec": spec})
    assert codes(linted(text, "board.json")) == ["unknown-metric"] * 2


@pytest.mark.parametrize(
    "source",
    [
        {"type": "loki", "uid": "x"},
        {"type": "grafana-clickhouse-datasource"},
        {"type": "__expr__", "uid": "__expr__"},
        {"uid": "${logs}"},
        "$logs",
        "[[logs]]",
        "${DS_LOKI}",
        "Loki",
    ],
)
def test_other_data_sources_are_left_alone(linted: Linted, source: Any) -> None:
    text = dashboard(
        panel('milvus_nope{a="b"} |= "x"', datasource=source),
        templating={"list": [{"type": "datasource", "name": "logs", "query": "loki"}]},
        __inputs=[{"name": "DS_LOKI", "pluginId": "loki"}],
    )
    assert linted(text, "board.json") == []


@pytest.mark.parametrize(
    "source", [None, "$datasource", {"type": "prometheus"}, {"type": "datasource", "uid": "-- Mixed --"}]
)
def test_queries_of_prometheus_are_not(linted: Linted, source: Any) -> None:
    settings = {"datasource": source} if source else {}
    variables = [{"type": "datasource", "name": "datasource", "query": "prometheus"}]
    text = dashboard(panel("milvus_nope", **settings), templating={"list": variables})
    assert codes(linted(text, "board.json")) == ["unknown-metric"]


@pytest.mark.parametrize(
    "expr",
    [
        'rate(milvus_proxy_req_count{status="total", namespace="$namespace"}[$__rate_interval])',
        'rate(milvus_proxy_req_count{status="total"}[${interval}])',
        'rate(milvus_proxy_req_count{status="total"}[[[interval]]])',
        'rate(milvus_proxy_req_count{status="total"}[${__range_s}s])',
        'max_over_time(sum(rate(milvus_proxy_req_count{status="total"}[1m]))[$__range:$__interval])',
        'rate(milvus_proxy_req_count{status="total"}[5m] offset $shift)',
        'rate(milvus_proxy_req_count{status="$status"}[5m])',
        'rate(milvus_proxy_req_count{status=~"${status:regex}"}[5m])',
        'rate(milvus_proxy_req_count{status=~"[[status:pipe]]"}[5m])',
        'rate(milvus_proxy_sq_latency_bucket{le="$bound"}[5m])',
        "histogram_quantile($quantile, sum by (le) (rate(milvus_proxy_sq_latency_bucket[5m])))",
        "topk($count, milvus_num_node)",
        "rate(milvus_${role}_latency_count[5m])",
        "rate($metric[5m])",
        'rate($metric{status="x"}[5m])',
        'sum by ($by) (rate(milvus_proxy_req_count{status="total"}[5m]))',
        'milvus_num_node{$label="x"}',
        "milvus_num_node $op 5",
        'sum(rate(milvus_proxy_req_count{$match, status="total"}[$rate]))',
        "sum(rate(milvus_proxy_sq_latency_count{${selector}}[${rate}]))",
        "${query}",
    ],
)
def test_variables_may_hold_anything(linted: Linted, expr: str) -> None:
    assert linted(dashboard(panel(expr)), "board.json") == []


def test_what_is_wrong_beside_a_variable_is_found_in_its_place(linted: Linted) -> None:
    expr = "sum by (${by:csv}) (rate(up[$interval])) + milvus_nope{a=`$x`, b='[[y]]'} > $limit + milvus_nope2"
    text = dashboard(panel(expr))
    lines = text.splitlines()
    number = next(index for index, line in enumerate(lines) if "milvus_nope" in line)
    places = [lines[number].index(name) + 1 for name in ("milvus_nope{", "milvus_nope2")]
    assert linted(text, "board.json") == [(number + 1, place, "unknown-metric") for place in places]


def test_what_is_wrong_beside_a_variable_for_matchers_is_found(linted: Linted) -> None:
    found = linted(dashboard(panel('rate(milvus_proxy_sq_latency_count{$match, status="x"}[$rate])')), "board.json")
    assert codes(found) == ["unknown-label"]


def test_a_label_that_is_not_there_is_a_warning_where_a_variable_may_match_everything(
    thresher: Thresher, tmp_path: Path
) -> None:
    board = tmp_path / "board.json"
    board.write_text(
        dashboard(panel('rate(milvus_proxy_slow_query_count{db_name=~"$db", collection_name="$collection"}[5m])')),
        "utf-8",
    )
    run = thresher("lint", board, "--milvus", RELEASE)
    assert run.exit_code == 1
    assert 'warning: panel "T", query A: milvus_proxy_slow_query_count has no label `db_name`' in run.stdout
    assert '`db_name=~"$db"` finds nothing unless the variable matches everything' in run.stdout
    assert '`collection_name="$collection"` finds nothing; it has msg_type, node_id [unknown-label]' in run.stdout


def test_queries_of_variables(linted: Linted) -> None:
    def variable(query: Any) -> dict[str, Any]:
        return {"type": "query", "name": "v", "query": query}

    sound = ["label_values(pod)", 'label_values(milvus_num_node{a="b"}, pod)', "metrics(milvus_.*)", "label_names()"]
    wrong = [
        "label_values(milvus_proxy_slow_query_count, collection_name)",
        {"query": "label_values(milvus_nope, pod)", "refId": "A"},
        "query_result(topk(5, milvus_nope))",
    ]
    text = dashboard(templating={"list": [variable(query) for query in (*sound, *wrong)]})
    assert codes(linted(text, "board.json")) == ["unknown-label", "unknown-metric", "unknown-metric"]


@pytest.mark.parametrize(
    ("expr", "unit", "wrong"),
    [
        ("histogram_quantile(0.9, sum by (le) (rate(milvus_proxy_sq_latency_bucket[5m])))", "s", True),
        ("histogram_quantile(0.9, sum by (le) (rate(milvus_proxy_sq_latency_bucket[5m])))", "ms", False),
        ("histogram_quantile(0.9, sum by (le) (rate(milvus_proxy_sq_latency_bucket[5m]))) / 1000", "s", False),
        ("histogram_quantile(0.9, sum by (le) (rate(milvus_proxy_sq_latency_bucket[5m])))", "short", False),
        ("internal_cache_loaded_bytes", "mbytes", True),
        ("internal_cache_loaded_bytes / 1024 / 1024", "mbytes", False),
        ("process_resident_memory_bytes", "s", False),
    ],
)
def test_units_of_panels(linted: Linted, expr: str, unit: str, wrong: bool) -> None:
    expected = ["unit-mismatch"] if wrong else []
    assert codes(linted(dashboard(panel(expr, fieldConfig={"defaults": {"unit": unit}})), "board.json")) == expected
    assert codes(linted(dashboard(panel(expr, kind="graph", yaxes=[{"format": unit}])), "board.json")) == expected
    override = {"overrides": [{"properties": [{"id": "unit", "value": "ms"}]}]}
    settings = {"defaults": {"unit": unit}, **override}
    assert linted(dashboard(panel(expr, fieldConfig=settings)), "board.json") == []


def test_panels_may_show_counters(linted: Linted) -> None:
    assert linted(dashboard(panel("sum(milvus_proxy_slow_query_count)")), "board.json") == []


# Silencing


@pytest.mark.parametrize(
    ("entry", "silent"),
    [
        ("- alert: A\n  expr: milvus_nope > 1  # thresher: ignore unknown-metric", True),
        ("- alert: A\n  expr: milvus_nope > 1  # known; thresher: ignore unknown-label, unknown-metric", True),
        ("- alert: A\n  expr: milvus_nope > 1  # thresher: ignore unknown-metric of an exporter of ours", True),
        ("- alert: A\n  expr: milvus_nope > 1  # thresher: ignore unknown-label", False),
        (
            "# thresher: ignore unknown-metric\n# because\n- alert: A\n  for: 5m\n  expr: |\n    up + milvus_nope > 1",
            True,
        ),
        ("# thresher: ignore unknown-metric\n\n- alert: A\n  expr: milvus_nope > 1", False),
        ("- alert: B\n  expr: up == 0  # thresher: ignore unknown-metric\n- alert: A\n  expr: milvus_nope > 1", False),
        ("- alert: A\n  expr: |\n    up\n    # thresher: ignore unknown-metric\n    + milvus_nope > 1", True),
        ("- alert: A\n  # thresher: ignore unknown-metric\n  for: 5m\n  expr: |\n    up\n    + milvus_nope > 1", True),
        ("- alert: A\n  expr: milvus_nope > 1\n  annotations: {summary: 'thresher: ignore unknown-metric'}", False),
    ],
)
def test_comments_silence_a_code(linted: Linted, entry: str, silent: bool) -> None:
    assert codes(linted(rules(entry))) == ([] if silent else ["unknown-metric"])


def test_the_description_of_a_panel_silences_a_code(linted: Linted) -> None:
    assert linted(dashboard(panel("milvus_nope", description="Old. thresher: ignore unknown-metric")), "b.json") == []


def test_codes_can_be_ignored_everywhere(thresher: Thresher, tmp_path: Path) -> None:
    path = tmp_path / "rules.json"
    path.write_text(alert("sum(rate(milvus_proxy_req_count[5s])) > 5"), "utf-8")
    command = ("lint", path, "--milvus", RELEASE)
    assert thresher(*command).exit_code == 1
    assert thresher(*command, "--ignore", "short-window").exit_code == 1
    assert thresher(*command, "--ignore", "short-window", "--ignore", "counts-total-twice").exit_code == 0


# The command


def test_exit_codes_and_summary(thresher: Thresher, tmp_path: Path) -> None:
    sound, wrong = tmp_path / "sound.yaml", tmp_path / "wrong.yaml"
    sound.write_text(rules("- alert: A\n  expr: up == 0"), "utf-8")
    wrong.write_text(rules("- alert: A\n  expr: milvus_nope > 1"), "utf-8")
    run = thresher("lint", sound, "--milvus", "2.6")
    newest = catalog.releases("2.6")[-1]
    assert (run.exit_code, run.stdout) == (0, "")
    assert run.stderr == f"1 expression in 1 file against Milvus {newest}: 0 findings\n"
    run = thresher("lint", sound, wrong, "--milvus", RELEASE)
    assert run.exit_code == 1
    assert run.stdout.startswith(f"{wrong}:5:11: alert A: milvus_nope does not exist in Milvus 2.6.19; ")
    assert run.stdout.endswith(" [unknown-metric]\n")
    run = thresher("lint", wrong, tmp_path / "none.yaml", "--milvus", RELEASE)
    assert run.exit_code == 2
    assert "none.yaml: cannot be read: No such file or directory" in run.stdout
    assert "[unknown-metric]" in run.stdout


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        (
            "a.yaml",
            "{{- if .Values.x }}\ngroups:\n- name: milvus_x\n{{- end }}",
            "1:1: a template rather than YAML, likely of Helm; render",
        ),
        (
            "a.yaml",
            rules("- alert: A\n  expr: 'milvus_num_node > {{ .Values.x }}'"),
            "5:30: alert A: a template, not PromQL",
        ),
        ("a.yaml", "groups: [", "1:9: not YAML"),
        ("a.yaml", "groups:\n\t- x", "not YAML"),
        ("a.yaml", "a: 1\na: 2", "2:1: not YAML that Prometheus reads: `a` is given twice"),
        ("a.yaml", "a: *b", "1:4: not YAML: there is no anchor `b`"),
        ("a.yaml", "a: \x07", "not YAML"),
        ("a.yaml", "{a: " * 100_000, "nested deeper than 100 levels"),
        ("a.yaml", "just words", "neither rules, nor a dashboard"),
        ("a.yaml", "groups: x", "neither rules, nor a dashboard"),
        ("a.json", "[" * 100_000, "JSON that no program reads"),
        ("a.json", '{"a":' * 150 + "1" + "}" * 150, "nested deeper than 100 levels"),
        ("a.json", '{"panels": [],}', "1:15: not JSON"),
        ("a.json", '{"x": 1}', "1:1: neither rules, nor a dashboard"),
        ("a.json", "9" * 5000, "JSON that no program reads"),
    ],
)
def test_what_cannot_be_read(thresher: Thresher, tmp_path: Path, name: str, text: str, says: str) -> None:
    path = tmp_path / name
    path.write_text(text, "utf-8")
    run = thresher("lint", path, "--milvus", RELEASE)
    assert run.exit_code == 2
    assert says in run.stdout


def test_what_can_be_read_of_a_file_is_checked(thresher: Thresher, tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(rules("- alert: A\n  expr: milvus_nope > 1") + "\n---\njust: values\n", "utf-8")
    run = thresher("lint", path, "--milvus", RELEASE)
    assert run.exit_code == 2
    assert "neither rules, nor a dashboard" in run.stdout
    assert "[unknown-metric]" in run.stdout


def test_a_directory_that_cannot_be_read_is_not_sound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "secret").mkdir()

    def refused(path: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(os, "scandir", refused)  # to root, everything is readable
    (finding,) = lint([tmp_path / "secret"], catalog.release(RELEASE)).unreadable
    assert finding.wrong == "cannot be read: Permission denied"


def test_a_closed_standard_input_cannot_be_read() -> None:
    command = [sys.executable, "-m", "generator", "lint", "-", "--milvus", RELEASE]
    closed = subprocess.run(["sh", "-c", 'exec "$@" <&-', "sh", *command], capture_output=True, text=True, check=False)
    assert (closed.returncode, "Traceback" in closed.stderr) == (2, False)
    assert "standard input: cannot be read: it is closed" in closed.stdout


def test_panels_that_are_repeated_by_aliases_are_read_once(thresher: Thresher, tmp_path: Path) -> None:
    lines = ["a0: &a0 {targets: [{expr: milvus_nope}]}"]
    lines += [f"a{n}: &a{n} {{panels: [{', '.join([f'*a{n - 1}'] * 10)}]}}" for n in range(1, 12)]
    (tmp_path / "a.yaml").write_text("\n".join([*lines, "panels: [*a11]"]), "utf-8")
    run = thresher("lint", tmp_path / "a.yaml", "--milvus", RELEASE)
    assert run.stdout.count("[unknown-metric]") == 1


def test_bytes_that_are_no_text(thresher: Thresher, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(b"groups: \xff")
    run = thresher("lint", tmp_path / "a.yaml", "--milvus", RELEASE)
    assert (run.exit_code, "byte 0xff is not UTF-8" in run.stdout) == (2, True)


def test_empty_files_are_sound(thresher: Thresher, tmp_path: Path) -> None:
    for text in ("", "---\n", "# nothing\n", "groups: []\n"):
        (tmp_path / "a.yaml").write_text(text, "utf-8")
        assert thresher("lint", tmp_path / "a.yaml", "--milvus", RELEASE).exit_code == 0


def test_mistakes_in_options_are_told_together(thresher: Thresher, tmp_path: Path) -> None:
    run = thresher("lint", tmp_path, "--milvus", "2.6.99", "--ignore", "unknown", "--scrape-interval", "15")
    assert run.exit_code == 2
    assert "--milvus: 2.6.99 is not in the catalog; nearest: 2.6.21" in run.stderr
    assert "--ignore: there is no code unknown; did you mean" in run.stderr
    assert "--scrape-interval: '15' is no duration; write it like 15s" in run.stderr


def test_json(thresher: Thresher, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(rules("- alert: A\n  expr: milvus_nope > 1"), "utf-8")
    (tmp_path / "b.yaml").write_text("milvus_: [", "utf-8")
    run = thresher("lint", tmp_path, "--milvus", RELEASE, "--format", "json")
    report = json.loads(run.stdout)
    assert (run.exit_code, report["milvus"], report["files"], report["expressions"]) == (2, RELEASE, 1, 1)
    (found,) = report["findings"]
    assert (found["code"], found["line"], found["column"], found["path"]) == ("unknown-metric", 5, 11, "alert A")
    assert [Path(each["file"]).name for each in report["unreadable"]] == ["b.yaml"]


def test_github(thresher: Thresher, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(rules("- alert: A\n  expr: milvus_nope > 1"), "utf-8")
    run = thresher("lint", tmp_path, "--milvus", RELEASE, "--format", "github")
    assert run.stdout.startswith(
        f"::error file={tmp_path}/a.yaml,line=5,col=11,title=unknown-metric::alert A: milvus_nope"
    )


# The parts of the SARIF 2.1.0 schema that code scanning asks for.
_TEXT = {"type": "object", "required": ["text"], "properties": {"text": {"type": "string", "minLength": 1}}}
_PLACE = {
    "type": "object",
    "required": ["artifactLocation"],
    "additionalProperties": False,
    "properties": {
        "artifactLocation": {
            "type": "object",
            "required": ["uri"],
            "properties": {"uri": {"type": "string", "pattern": r"^[A-Za-z0-9%._~/:+-]+$"}},
        },
        "region": {
            "type": "object",
            "properties": {key: {"type": "integer", "minimum": 1} for key in ("startLine", "startColumn")},
            "required": ["startLine"],
            "additionalProperties": False,
        },
    },
}
_RESULT = {
    "type": "object",
    "required": ["message", "level", "locations"],
    "additionalProperties": False,
    "properties": {
        "ruleId": {"type": "string"},
        "ruleIndex": {"type": "integer", "minimum": 0},
        "level": {"enum": ["none", "note", "warning", "error"]},
        "message": _TEXT,
        "locations": {
            "type": "array",
            "minItems": 1,
            "items": {"type": "object", "properties": {"physicalLocation": _PLACE}, "additionalProperties": False},
        },
    },
}
_DRIVER = {
    "type": "object",
    "required": ["name"],
    "properties": {
        "rules": {
            "type": "array",
            "uniqueItems": True,
            "items": {"type": "object", "required": ["id"], "properties": {"shortDescription": _TEXT}},
        }
    },
}
SARIF = {
    "type": "object",
    "required": ["version", "runs"],
    "properties": {
        "version": {"const": "2.1.0"},
        "$schema": {"type": "string", "format": "uri"},
        "runs": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["tool"],
                "additionalProperties": False,
                "properties": {
                    "tool": {"type": "object", "required": ["driver"], "properties": {"driver": _DRIVER}},
                    "columnKind": {"enum": ["utf16CodeUnits", "unicodeCodePoints"]},
                    "results": {"type": "array", "items": _RESULT},
                },
            },
        },
    },
}


def test_sarif(thresher: Thresher, tmp_path: Path) -> None:
    (tmp_path / "my rules é.yaml").write_text(rules("- alert: A\n  expr: milvus_nope > 1"), "utf-8")
    (tmp_path / "bad.yaml").write_text("milvus_: [", "utf-8")
    run = thresher("lint", tmp_path, tmp_path / "none.yaml", "--milvus", RELEASE, "--format", "sarif")
    log = json.loads(run.stdout)
    jsonschema.validate(log, SARIF)
    (only,) = log["runs"]
    found = [(each.get("ruleId"), each["level"]) for each in only["results"]]
    assert sorted(found, key=str) == [("unknown-metric", "error"), (None, "error"), (None, "error")]
    listed = [each["id"] for each in only["tool"]["driver"]["rules"]]
    assert listed == sorted(CODES)
    for result in only["results"]:
        if "ruleId" in result:
            assert listed[result["ruleIndex"]] == result["ruleId"]


# Anything at all


@pytest.mark.parametrize("operator", ["+", "==", "!=", "atan2", "unless", ">="])
def test_expressions_of_any_length_end_in_a_finding(thresher: Thresher, tmp_path: Path, operator: str) -> None:
    for count in (399, 3000):
        (tmp_path / "a.json").write_text(alert(f" {operator} ".join(["milvus_nope", *["a"] * count])), "utf-8")
        run = thresher("lint", tmp_path / "a.json", "--milvus", RELEASE)
        assert run.exit_code == 1
        assert ("400 operators" in run.stdout) is (count == 3000)


def _nested(leaves: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    keys = st.sampled_from(
        ["groups", "rules", "expr", "panels", "targets", "kind", "spec", "data", "items", "apiVersion"]
    )
    return st.lists(leaves, max_size=4) | st.dictionaries(keys, leaves, max_size=6)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.just("milvus_nope"), _nested))
@settings(max_examples=150)
def test_no_document_is_too_strange(tmp_path_factory: pytest.TempPathFactory, document: Any) -> None:
    path = tmp_path_factory.mktemp("strange") / "a.json"
    path.write_text(json.dumps(document), "utf-8")
    report = lint([path], catalog.release(RELEASE))
    assert report.files + len(report.unreadable) >= 1


_PIECES = st.sampled_from(
    [
        "milvus_proxy_req_count", "milvus_proxy_sq_latency_bucket", "milvus_nope", "up", "rate", "sum", "le", "(le)",
        "histogram_quantile", "{", "}", "(", ")", "[5m]", "[", "]", 'status="fail"', 'le=~"1(|', ",", " by ", " on ",
        " > ", " / ", " or ", " unless ", " bool ", " offset 5m", "$x", "${y:regex}", "[[z]]", "`", '"', "'", "#", "\\",
        "5", "0.9", "NaN", "é",
    ]
)  # fmt: skip


@given(st.lists(_PIECES, max_size=14))
@settings(max_examples=400)
def test_no_expression_is_too_strange(tmp_path_factory: pytest.TempPathFactory, pieces: Iterable[str]) -> None:
    path = tmp_path_factory.mktemp("strange") / "a.json"
    path.write_text(dashboard(panel("".join(pieces), kind="graph")), "utf-8")
    report = lint([path], catalog.release(RELEASE))
    assert report.expressions == ("".join(pieces) != "")
    assert len(report.unreadable) == ("{{" in "".join(pieces))


def test_patterns_that_take_for_ever_elsewhere_take_no_time_here(linted: Linted) -> None:
    assert linted(alert('rate(milvus_proxy_req_count{status=~"(.+)+$", status=~"((a*)*)*b"}[5m]) > 5')) == []
