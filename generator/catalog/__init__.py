"""What each Milvus release exposes on /metrics: names, types, units, labels, bucket bounds.

The data lies beside this module, one JSON file per release branch, one line per metric. A metric's line
is a list of states; each state after the first holds only what changed in that release, so that adding a
release means adding a line for it to `releases` and a state to each metric that it changed.

Source of the data: the metric definitions and the code that writes them, in the Milvus sources at each
release; 2.3.5 was also compared with a running server. A release whose sources could only be approached
carries `unsure` with the reason.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from importlib import resources
from typing import Any, Literal

MetricType = Literal["counter", "gauge", "histogram", "summary"]
_PARTS = ("_bucket", "_sum", "_count")


class UnknownRelease(ValueError):
    """No such release in the catalog. `nearest` lists the closest known ones, best first."""

    def __init__(self, name: str, nearest: tuple[str, ...], why: str = "") -> None:
        self.name, self.nearest, self.why = name, nearest, why
        super().__init__(f"{name} is not in the catalog{f' ({why})' if why else ''}; nearest: {', '.join(nearest)}")


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric family of one release.

    `unit` is that of the exposed number (`ms`, `us`, `s`, `bytes`, `MB`, or empty for a plain count).
    `buckets` are the upper bounds of a histogram in that unit, without +Inf. `values` holds the values that
    a label can have, for labels whose values are fixed in the code. `fed` is false for a metric that is
    registered but never written: no series of it ever appears.
    """

    name: str
    type: MetricType
    unit: str
    component: str
    labels: tuple[str, ...]
    buckets: tuple[float, ...] = ()
    buckets_of_value: Mapping[str, Mapping[str, tuple[float, ...]]] = field(default_factory=dict)
    values: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    fed: bool = True


@dataclass(frozen=True, slots=True)
class SlowQueryCounter:
    """What `milvus_proxy_slow_query_count` counts in a release.

    `default_seconds` is the default of `setting`; None where it is not known, and where there is no counter.
    `compared` says what is held against it: the whole span of a request, or the span divided by the number
    of query vectors (a hybrid search: by the total over its sub-requests; a query: the whole span).
    """

    since: str
    setting: str | None
    default_seconds: int | None
    compared: Literal["span", "span per query vector"] | None
    counts_failed: bool | None
    why: str


@dataclass(frozen=True, eq=False)
class Release:
    """One Milvus release; metrics are looked up by their exposed family name. There is one object per release."""

    name: str
    branch: str
    date: str
    unsure: str
    slow_query_counter: SlowQueryCounter
    _lines: Mapping[str, list[dict[str, Any]]] = field(repr=False)
    _order: Mapping[str, int] = field(repr=False)
    _metrics: dict[str, Metric | None] = field(default_factory=dict, repr=False)

    def metric(self, name: str) -> Metric | None:
        """The metric family, also when nothing feeds it; None when the release does not register it."""
        if name not in self._metrics:
            self._metrics[name] = self._metric(name)
        return self._metrics[name]

    def metrics(self) -> tuple[Metric, ...]:
        """Every registered family, by name."""
        return tuple(metric for name in sorted(self._lines) if (metric := self.metric(name)))

    def series(self, name: str) -> tuple[Metric, str] | None:
        """The family that a series name belongs to, and which part of it: `_bucket`, `_sum`, `_count` or ``."""
        return _series(name, self.metric)

    def _metric(self, name: str) -> Metric | None:
        state: dict[str, Any] | None = None
        for change in self._lines.get(name, ()):
            if self._order[change["since"]] > self._order[self.name]:
                break
            state = None if change.get("gone") else {**(state or {}), **change}
        if state is None:
            return None
        families = _bucket_families()
        return Metric(
            name=name,
            type=state["type"],
            unit=state["unit"],
            component=state["component"],
            labels=tuple(state["labels"]),
            buckets=families[state["buckets"]] if state.get("buckets") else (),
            buckets_of_value={
                label: {value: families[family] for value, family in by_value.items()}
                for label, by_value in (state.get("buckets_of_value") or {}).items()
            },
            values={label: tuple(values) for label, values in (state.get("values") or {}).items()},
            fed=state.get("fed") is not False,
        )


# Stands for the name of a release in what is said of all releases that have one view.
THIS_RELEASE = "{release}"


class Unlisted(LookupError):
    """Rules look at a metric that they do not list."""


@dataclass(frozen=True, eq=False)
class View:
    """What rules that read a few metrics only can know of a release.

    Releases that agree in these metrics have one view: most rules are the same for a dozen patch releases in a row,
    and are compiled once for all of them.
    """

    _known: Mapping[str, Metric | None] = field(repr=False)
    name: str = THIS_RELEASE

    @cached_property
    def labels(self) -> frozenset[str]:
        """Every label of these metrics."""
        return frozenset({"le"}.union(*[metric.labels for metric in self._known.values() if metric]))

    def metric(self, name: str) -> Metric | None:
        """As of a release. Raises Unlisted."""
        if not any(name in (family, *(family + part for part in _PARTS)) for family in self._known):
            raise Unlisted(f"{name} is not among the `metrics` that the file lists")
        return self._known.get(name)

    def series(self, name: str) -> tuple[Metric, str] | None:
        """As of a release. Raises Unlisted."""
        self.metric(name)
        return _series(name, self._known.get)


@cache
def view(release: Release, metrics: frozenset[str]) -> View:
    """The view of a release by rules that read these metrics."""
    known = {metric: release.metric(metric) or of_exporters().get(metric) for metric in sorted(metrics)}
    return _views().setdefault(repr(known), View(known))


@cache
def narrowed(whole: View, metrics: frozenset[str]) -> View:
    """The view with nothing but these of its metrics: releases agree in few metrics more often than in many."""
    known = {name: metric for name, metric in whole._known.items() if name in metrics}  # noqa: SLF001
    return _views().setdefault(repr(known), View(known))


@cache
def _views() -> dict[str, View]:
    return {}


def _series(name: str, metric_of: Callable[[str], Metric | None]) -> tuple[Metric, str] | None:
    for part in _PARTS:
        family = name.removesuffix(part)
        if family != name and (metric := metric_of(family)) and metric.type == "histogram":
            return metric, part
    metric = metric_of(name)
    return (metric, "") if metric and metric.type != "histogram" else None


# Series that Prometheus itself writes: of targets, and of alerts that are pending or fire.
UP, ALERTS = "up", "ALERTS"


# Seconds in which a disk had something to do, by the exporter that counts them.
# github.com/prometheus/node_exporter collector/diskstats_linux.go,
# github.com/google/cadvisor docs/storage/prometheus.md
DISK_TIME: Mapping[str, Metric] = {
    "node_exporter": Metric("node_disk_io_time_seconds_total", "counter", "s", "node_exporter", ("device",)),
    "cadvisor": Metric(
        "container_fs_io_time_seconds_total", "counter", "s", "cadvisor",
        ("container", "device", "id", "image", "name", "namespace", "pod"),
    ),
}  # fmt: skip


@cache
def of_exporters() -> dict[str, Metric]:
    """The metrics that rules read beside those of Milvus; their `component` is the exporter."""
    return {metric.name: metric for metric in DISK_TIME.values()}


def exposed(release: Release | View, name: str) -> tuple[Metric, str] | None:
    """The metric of a series that Milvus exposes, and which part of it; None for a series of Prometheus' own."""
    return None if ":" in name or name in (UP, ALERTS) else release.series(name)


@cache
def branches() -> tuple[str, ...]:
    """The release branches of the catalog, oldest first: `2.3`, `2.4` and so on."""
    names = [entry.name.removesuffix(".json") for entry in _data().iterdir() if entry.name[0].isdigit()]
    return tuple(sorted(names, key=_numbers))


def releases(branch: str | None = None) -> tuple[str, ...]:
    """Every known release (of one branch), oldest first within a branch."""
    return tuple(name for each in ([branch] if branch else branches()) for name in _branch(each)["releases"])


def release(name: str) -> Release:
    """The release by its name (`2.6.19`), or the newest known patch of a branch (`2.6`).

    Raises UnknownRelease for any other name.
    """
    branch = ".".join(name.split(".")[:2]).split("-")[0]
    if branch not in branches():
        raise UnknownRelease(name, _nearest(name))
    data = _branch(branch)
    known = list(data["releases"])
    full = known[-1] if name == branch else name
    if full not in known:
        raise UnknownRelease(name, _nearest(name), data["known_missing"].get(name, ""))
    return _release(branch, full)


@cache
def _release(branch: str, name: str) -> Release:
    data = _branch(branch)
    order = {each: index for index, each in enumerate(data["releases"])}
    slow = [state for state in data["slow_query_counter"] if order[state["since"]] <= order[name]][-1]
    facts = data["releases"][name]
    return Release(
        name, branch, facts["date"], facts.get("unsure", ""), SlowQueryCounter(**slow), data["metrics"], order
    )


def is_before(name: str, other: str) -> bool:
    """Whether a release is older than another one; a branch (`2.6`) stands for its first release."""
    return _numbers(name) < tuple(map(int, other.split(".")))


def first_with(metric: str, label: str | None = None) -> dict[str, str]:
    """The first release of each branch that feeds the metric (with the label)."""
    found: dict[str, str] = {}
    for branch in branches():
        for name in releases(branch):
            facts = release(name).metric(metric)
            if facts and facts.fed and (label is None or label in facts.labels):
                found[branch] = name
                break
    return found


@cache
def families() -> frozenset[str]:
    """Every metric family that any release registers."""
    return frozenset(name for branch in branches() for name in _branch(branch)["metrics"])


@cache
def fed_in(metric: str) -> tuple[tuple[str, str], ...]:
    """From which to which release of each branch something writes the metric."""
    found = []
    for branch in branches():
        states = {name: release(name).metric(metric) for name in releases(branch)}
        fed = [name for name, facts in states.items() if facts and facts.fed]
        if fed:
            found.append((fed[0], fed[-1]))
    return tuple(found)


@cache
def ever_labelled(metric: str) -> frozenset[str]:
    """The labels that the metric has in any release."""
    return frozenset(
        label
        for branch in branches()
        for state in _branch(branch)["metrics"].get(metric, ())
        for label in state.get("labels") or ()
    )


@cache
def milvus_labels(branch: str) -> frozenset[str]:
    """Every label that a release of the branch puts on any metric: no such label can name a deployment."""
    labels = {"le", "quantile"}
    for states in _branch(branch)["metrics"].values():
        for state in states:
            labels.update(state.get("labels") or ())
    return frozenset(labels)


@cache
def every_label() -> frozenset[str]:
    """Every label that any release puts on any metric."""
    return frozenset(label for branch in branches() for label in milvus_labels(branch))


def _nearest(name: str, count: int = 3) -> tuple[str, ...]:
    wanted = _numbers(name)

    def distance(known: str) -> tuple[int, ...]:
        have = _numbers(known)
        return tuple(abs(a - b) for a, b in zip(wanted, have, strict=True))

    newest_first = releases()[::-1]
    return tuple(sorted(newest_first, key=distance)[:count])


def _numbers(name: str) -> tuple[int, int, int]:
    """The version as numbers; what is missing or no number counts as very new, but a beta as the first of all."""
    version, _, suffix = name.partition("-")
    digits = ["".join(char for char in part if char in "0123456789")[:6] for part in version.split(".")]
    missing = 0 if suffix else 999
    major, minor, patch = [int(part) if part else missing for part in [*digits, "", "", ""][:3]]
    return major, minor, patch


def _data() -> Any:
    return resources.files(__package__) / "data"


@cache
def _branch(name: str) -> dict[str, Any]:
    data: dict[str, Any] = json.loads((_data() / f"{name}.json").read_text("utf-8"))
    return data


@cache
def _bucket_families() -> dict[str, tuple[float, ...]]:
    families = json.loads((_data() / "buckets.json").read_text("utf-8"))
    return {name: tuple(float(bound) for bound in bounds) for name, bounds in families.items()}
