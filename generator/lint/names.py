"""Which metrics and labels are Milvus' own: only of these can the catalog say that they do not exist.

A series is judged when its name begins like those of Milvus. The vector index engine also exposes names that could be
anybody's, such as `search_latency`; those are judged where the selector's `module` is the engine. What scraping and
relabelling add to series, nobody can know from a file, so that a label counts as missing only when it is one that
Milvus puts on other metrics, a slip of one that the metric has, or what people write for one; or when the user has said
which labels scraping adds.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, lru_cache

from generator import catalog
from generator.catalog import Metric, Release

_OURS = re.compile(r"(?:milvus|knowhere|internal_core|internal_cgo|internal_mmap)_")
# Of programs around Milvus, which have catalogs of their own.
_OTHERS = re.compile(
    r"milvus_(?:operator|backup|cdc_server|client|sdk|lite|exporter|status|total_count|unhealthy_count)"
)
_MODULES = ("knowhere", "cardinal")

# Labels of Milvus that pods, scrape jobs or clouds often have, too.
_AMBIGUOUS = frozenset({
    "built", "domain", "fs", "location", "meta", "mode", "mq", "name", "path", "policy", "pool", "priority", "reason",
    "role", "scope", "shard", "source", "term", "version",
})  # fmt: skip
# Labels that scraping adds, mostly in Kubernetes, and that no server is given as its external labels.
_OF_TARGETS = frozenset({"container", "endpoint", "instance", "job", "namespace", "node", "pod", "service"})
# What people write for a label of Milvus.
_MEANT = {
    "code": "status", "coll": "collection_name", "collection": "collection_name", "collectionname": "collection_name",
    "collectionid": "collection_id", "database": "db_name", "database_name": "db_name", "db": "db_name",
    "dbname": "db_name", "error_code": "status", "function": "function_name", "functionname": "function_name",
    "method": "function_name", "nodeid": "node_id", "op": "function_name", "op_type": "function_name",
    "operation": "function_name", "operation_type": "function_name", "partition": "partition_id",
    "partition_name": "partition_id", "query": "query_type", "quota_state": "quota_states", "req_type": "query_type",
    "request_type": "query_type", "response_code": "status", "rolename": "role_name", "search_type": "query_type",
    "segment_status": "segment_state", "state": "segment_state", "status_code": "status", "querytype": "query_type",
    "result": "status",
}  # fmt: skip

# What took the place of a metric that is gone or not written any more.
_SUCCESSORS = {
    "knowhere_search_latency": "search_latency",
    "knowhere_range_search_latency": "range_search_latency",
    "knowhere_load_latency": "load_latency",
    "knowhere_build_latency": "build_latency",
    "knowhere_ann_iterator_init_latency": "ann_iterator_init_latency",
    "milvus_datacoord_index_task_count": "milvus_datacoord_task_count",
    "milvus_datanode_consume_counter": "milvus_datanode_consume_bytes_count",
    "milvus_querynode_read_task_unsolved_len": "milvus_querynode_read_task_ready_len",
    "internal_cache_load_latency": "internal_cache_load_latency_microseconds",
    "internal_cache_cell_access_hit_total": "internal_cache_cell_access_hit_bytes_total",
    "internal_cache_cell_access_miss_total": "internal_cache_cell_access_miss_bytes_total",
    "milvus_proxy_workload_score": "milvus_querynode_read_task_ready_len",
    "milvus_proxy_executing_total_nq": "milvus_querynode_read_task_ready_len",
}

# What people call a thing, and where Milvus has it.
_SUBJECTS = (
    (r"slow_quer", "milvus_proxy_slow_query_count"),
    (r"query_?nodes?_(?:num|count|total)$", "milvus_querycoord_querynode_num"),
    (r"data_?nodes?_(?:num|count|total)$", "milvus_datacoord_datanode_num"),
    (r"core_search_latency", "internal_core_search_latency"),
    (r"_(?:search|query|sq)_.*(?:latency|duration|time|seconds)", "milvus_proxy_sq_latency"),
    (r"_(?:insert|delete|upsert|mutation)_.*(?:latency|duration|time|seconds)", "milvus_proxy_mutation_latency"),
    (r"_(?:search|query|sq|req|requests?|rpc)_.*(?:total|count|rate|fail|error|num|status)", "milvus_proxy_req_count"),
    (r"_qps", "milvus_proxy_req_count"),
    (r"_(?:memory|mem)_", "process_resident_memory_bytes"),
    (r"_cpu_", "process_cpu_seconds_total"),
    (r"_segments?_(?:count|num|total|state)", "milvus_datacoord_segment_num"),
    (r"_(?:entities|entity|rows?)(?:_|$)", "milvus_rootcoord_entity_num"),
    (r"_disk_.*(?:used|usage|size|bytes)", "milvus_querynode_disk_used_size"),
)  # fmt: skip


@cache
def _beginnings() -> frozenset[str]:
    """The first three words of the families that begin with `internal`."""
    return frozenset("_".join(name.split("_")[:3]) for name in catalog.families() if name.startswith("internal_"))


def is_of_milvus(name: str, module: str = "") -> bool:
    """Whether a series is Milvus' own; `module` is the value that a selector asks for, if it does."""
    if ":" in name or _OTHERS.match(name):
        return False
    if _OURS.match(name):
        return True
    if name.startswith("internal_"):
        return "_".join(name.split("_")[:3]) in _beginnings()
    return module in _MODULES and is_known(name)


def is_known(name: str) -> bool:
    """Whether any release registers the metric of a series."""
    return _family(name) in catalog.families()


def _family(name: str) -> str:
    return name if name in catalog.families() else re.sub("_(?:bucket|sum|count)$", "", name)


def mentions_milvus(text: str) -> bool:
    """Whether there is anything in a text that could be Milvus' own."""
    return bool(_OURS.search(text)) or "internal_" in text or any(f'"{module}"' in text for module in _MODULES)


@dataclass(frozen=True)
class Labels:
    """Tells labels of Milvus from those that scraping adds, `targets`. With `complete`, these are all there are."""

    targets: frozenset[str] = frozenset()
    complete: bool = False

    @classmethod
    def of(cls, targets: Iterable[str]) -> Labels:
        given = frozenset(targets)
        return cls(given | {"job", "instance"}, bool(given))

    def lacks(self, label: str, having: Iterable[str]) -> bool:
        """Whether a series with these labels of Milvus surely lacks another one."""
        if label in self.targets or label in having or label.startswith("__"):
            return False
        if self.complete:
            return True
        return _is_meant_for_milvus(label, frozenset(having))

    def may_be_external(self, label: str) -> bool:
        """Whether a label may be one of those that a server adds to all of its series, also to what it records."""
        known = self.targets | _OF_TARGETS | catalog.every_label()
        return not self.complete and label not in known and label.lower() not in _MEANT


@lru_cache(maxsize=4096)
def _is_meant_for_milvus(label: str, having: frozenset[str]) -> bool:
    """Whether a label is one that Milvus puts on other metrics, or a slip of one that this metric has."""
    if label in _AMBIGUOUS:
        return False
    return label in catalog.every_label() or label.lower() in _MEANT or bool(_slip(label, having))


def meant(label: str, having: Iterable[str]) -> str:
    """The label of the metric that is likely meant; empty when there is none."""
    having = tuple(having)
    likely = _MEANT.get(label.lower(), "")
    if likely in having:
        return likely
    # Who asks a count of requests for its method asks a histogram of searches for its kind of query.
    alike = {"function_name": "query_type", "query_type": "function_name", "msg_type": "query_type"}
    if alike.get(likely or label) in having:
        return alike[likely or label]
    return _slip(label, having)


def _slip(label: str, having: Iterable[str]) -> str:
    return next(iter(difflib.get_close_matches(label, list(having), n=1, cutoff=0.82)), "")


@cache
def instead(release: Release, name: str) -> str:
    """What to read instead of a series that the release does not have, or does not write, and where it exists."""
    metric = release.metric(name)
    if metric and metric.fed and metric.type == "histogram":
        return f"it is a histogram: read {name}_bucket, {name}_sum or {name}_count"
    family = _family(name)
    said = []
    if spans := catalog.fed_in(family):
        said.append("it is written in " + ", ".join(f"{a} to {b}" if a != b else a for a, b in spans))
    if successor := _successor(release, name, family):
        said.append(successor)
    elif is_known(name) and not spans:
        said.append("no release of Milvus writes it")
    elif not spans:
        said.append(_likely(release, name, family) or "no release of Milvus exposes it")
        said.append("if a rule records it, give the file of the rule, too")
    return "; ".join(said)


def _successor(release: Release, name: str, family: str) -> str:
    """What took the place of a series that the release does not have or write; perhaps nothing."""
    found = _there(release, _SUCCESSORS.get(family, ""))
    return f"read {_written(found, name)}" if found else ""


def _there(release: Release, metric: str) -> Metric | None:
    found = release.metric(metric)
    return found if found and found.fed else None


def _written(metric: Metric, name: str) -> str:
    """The series of a metric that takes the place of a series of this name."""
    part = re.search("_(?:bucket|sum|count)$", name)
    return metric.name + ((part[0] if part else "_bucket") if metric.type == "histogram" else "")


def _likely(release: Release, name: str, family: str) -> str:
    """What the name of a series is a slip of, or what is about the same thing; perhaps nothing."""
    for part in ("_total", "_count", "_bucket", "_sum", "_seconds", "_num"):
        shorter = name.removesuffix(part)
        for candidate in (shorter, *(shorter + other for other in ("_count", "_total", "_num") if other != part)):
            if candidate != name and (found := _there(release, candidate)):
                return f"did you mean {_written(found, name)}?"
    known = [metric.name for metric in release.metrics() if metric.fed and is_of_milvus(metric.name)]
    of_component = [each for each in known if each.split("_")[:2] == name.split("_")[:2]]

    def close(among: list[str], cutoff: float) -> Metric | None:
        return next((_there(release, each) for each in difflib.get_close_matches(family, among, 1, cutoff)), None)

    if found := close(known, 0.93):
        return f"did you mean {_written(found, name)}?"
    about = next((_there(release, subject) for pattern, subject in _SUBJECTS if re.search(pattern, name)), None)
    found = about or close(of_component, 0.75) or close(known, 0.8)
    return f"the nearest that Milvus has is {_written(found, name)}" if found else ""
