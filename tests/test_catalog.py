"""What the catalog says of each release, against facts that are known from elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from generator import catalog
from tests.conftest import Thresher

SNAPSHOTS = Path(__file__).parent / "expected"


def test_releases_from_2_3_0_to_3_0_are_known() -> None:
    assert catalog.branches() == ("2.3", "2.4", "2.5", "2.6", "3.0")
    assert len(catalog.releases()) == 102
    assert catalog.release("2.6").name == "2.6.21"
    assert catalog.release("2.4.13-hotfix").name == "2.4.13-hotfix"


@pytest.mark.parametrize(
    ("milvus", "first", "last"),
    [("2.3.18", 1, 131072), ("2.3.19", 5, 60000), ("2.4.5", 1, 131072), ("2.4.6", 5, 60000), ("2.5.0", 1, 131072)],
)
def test_bucket_families_change_within_branches(milvus: str, first: float, last: float) -> None:
    metric = catalog.release(milvus).metric("milvus_proxy_sq_latency")
    assert metric
    assert (metric.buckets[0], metric.buckets[-1]) == (first, last)


def test_what_is_registered_but_never_written_is_known() -> None:
    assert catalog.release("2.5.4").metric("milvus_datacoord_index_task_count").fed  # type: ignore[union-attr]
    assert not catalog.release("2.5.5").metric("milvus_datacoord_index_task_count").fed  # type: ignore[union-attr]


def test_labels_come_and_go() -> None:
    labels = {name: catalog.release(name).metric("milvus_querynode_segment_num") for name in ("2.5.6", "2.5.7")}
    assert "partition_id" in labels["2.5.6"].labels  # type: ignore[union-attr]
    assert "partition_id" not in labels["2.5.7"].labels  # type: ignore[union-attr]


def test_metrics_disappear() -> None:
    assert catalog.release("2.3.22").metric("knowhere_search_latency")
    assert catalog.release("2.4.0").metric("knowhere_search_latency") is None


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("2.6.22", ("2.6.21", "2.6.20", "2.6.19")),
        ("2.2.0", ("2.3.0", "2.3.1", "2.3.2")),
        ("2.7", ("2.6.21", "2.6.20", "2.6.19")),
        ("v2.5.4", ("2.5.4", "2.5.5", "2.5.3")),
        ("latest", ("3.0.1", "3.0.0", "3.0-beta")),
        ("", ("3.0.1", "3.0.0", "3.0-beta")),
    ],
)
def test_an_unknown_release_names_the_nearest(name: str, nearest: tuple[str, ...]) -> None:
    with pytest.raises(catalog.UnknownRelease) as error:
        catalog.release(name)
    assert error.value.nearest == nearest


@pytest.mark.parametrize("milvus", catalog.releases())
def test_every_metric_is_whole(milvus: str) -> None:
    release = catalog.release(milvus)
    assert release.date
    assert release.slow_query_counter.since
    for metric in release.metrics():
        assert metric.type == "histogram" or not metric.buckets, metric.name
        assert list(metric.buckets) == sorted(set(metric.buckets)), metric.name
        assert metric.unit in ("", "ms", "us", "s", "bytes", "MB", "?"), (metric.name, metric.unit)
        assert set(metric.values) <= set(metric.labels), metric.name


@pytest.mark.parametrize(
    "arguments",
    [
        ("2.3.5", "milvus_proxy_sq_latency"),
        ("2.4.17", "internal_core_search_latency"),
        ("2.5.5", "milvus_datacoord_index_task_count"),
        ("2.6.19", "req_count"),
        ("diff", "2.5.4", "2.6.19"),
        ("diff", "2.4.5", "2.4.6"),
        ("diff", "2.6.18", "2.6.19"),
        ("diff", "2.6.20", "2.6.20"),
    ],
    ids="-".join,
)
def test_the_catalog_command_prints(
    arguments: tuple[str, ...], thresher: Thresher, expected: Callable[[Path, str], None]
) -> None:
    run = thresher("catalog", *arguments)
    assert run.exit_code == 0
    expected(SNAPSHOTS / f"catalog-{'-'.join(arguments)}.txt", run.stdout)


def test_a_release_is_listed_with_all_its_metrics(thresher: Thresher) -> None:
    lines = thresher("catalog", "2.6.19").stdout.splitlines()
    assert lines[0] == f"Milvus 2.6.19 (2026-06-26): {len(lines) - 1} metrics"
    assert any(line.startswith("milvus_proxy_sq_latency ") for line in lines)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("2.6.99",), "2.6.99 is not in the catalog; nearest: 2.6.21, 2.6.20, 2.6.19"),
        (("2.6.19", "milvus_proxy_sq_latencies"), "similar: milvus_proxy_sq_latency"),
        (("2.6.19", "knowhere_search_latency"), "elsewhere: 2.3.1: new histogram"),
        (("diff", "2.6.19", "1.0"), "1.0 is not in the catalog"),
    ],
)
def test_what_the_catalog_does_not_know_is_said_with_what_is_near(
    arguments: tuple[str, ...], says: str, thresher: Thresher
) -> None:
    run = thresher("catalog", *arguments)
    assert run.exit_code == 2
    assert says in run.stderr
