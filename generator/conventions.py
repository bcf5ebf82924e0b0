"""Every name that Thresher emits: series, labels, annotations, groups, alerts, files.

Recorded series are named `level:metric:operations` (prometheus.io/docs/practices/rules/): the level says which
labels are kept, the metric carries its unit, the operations come newest first.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from pathlib import PurePosixPath

from generator.units import Duration

# The labels that tell results apart beside those of the deployment's identity.
PROFILE, SEVERITY, TIER, CAUSE, FINDING = "profile", "severity", "tier", "cause", "finding"
PHASE, PART, SCOPE = "phase", "part", "scope"
OBJECTIVE, LONG, SHORT = "objective", "long", "short"

OWN_LABELS = frozenset({
    "alertname", "alertstate", PROFILE, SEVERITY, TIER, CAUSE, FINDING, PHASE, PART, SCOPE, OBJECTIVE, LONG, SHORT,
})  # fmt: skip
# Labels that series carry, or that Prometheus servers add: setting one on an alert would merge alerts or be lost.
RESERVED_LABELS = OWN_LABELS | {
    "le", "quantile", "query_type", "node_id", "collection_name", "db_name", "role_name", "function_name", "msg_type",
    "quota_states", "status", "job", "instance", "cluster", "alertgroup", "alertgroup_interval",
}  # fmt: skip

SUMMARY, DESCRIPTION, VERDICT = "summary", "description", "verdict"
RUNBOOK_URL, DASHBOARD_URL = "runbook_url", "dashboard_url"
RESERVED_ANNOTATIONS = frozenset({SUMMARY, DESCRIPTION, VERDICT})

LEVELS = {
    "deployment": "the identity of the deployment, and what tells its kinds of requests apart",
    "deployment_node": "those, and node_id",
    "collection": "the identity of the deployment, collection and kind of request",
    "collection_node": "those, and node_id",
    "role": "the identity of the deployment and role_name",
    "job": "the identity of the deployment and the scrape job",
}

MANIFEST = "MANIFEST.json"

# How the values begin that no matcher asks for, in tests.
OTHER = "not-"


def other_than(value: str, taken: Collection[str]) -> str:
    """A value that no matcher asks for, as it is none of those that are taken."""
    other = f"{OTHER}{value}"
    while other in taken:
        other = f"{OTHER}{other}"
    return other


_METRIC = re.compile(r"milvus_[a-z][a-z0-9_]*")
_OPERATION = re.compile(r"[a-z][a-z0-9_]*")
_ALERT = re.compile(r"Milvus[A-Z][A-Za-z]{2,33}")
_GROUP = re.compile(r"[a-z][a-z_]*")


# A name that `series_name` makes, where it stands in an expression.
RECORDED = re.compile(r"[a-z_]+:[a-z0-9_]+:[a-z0-9_]+")


def telling(labels: Iterable[tuple[str, str]], *, is_alert: bool) -> str:
    """The labels that tell a rule from others of its name, as a selector; empty where none does."""
    kept = (PART, SCOPE, OBJECTIVE, LONG) if is_alert else (PART, SCOPE, TIER, PHASE, FINDING)
    pairs = [f'{label}="{text}"' for label, text in labels if label in kept]
    return f"{{{', '.join(pairs)}}}" if pairs else ""


# Between the scenarios that the name of a test lists.
_BETWEEN = " | "


def test_name(scenarios: Iterable[str]) -> str:
    """The name of a test that plays these scenarios, each given as `rule: scenario`."""
    return _BETWEEN.join(scenarios)


def scenarios(test: str) -> tuple[str, ...]:
    """The scenarios that the name of a test lists."""
    return tuple(test.split(_BETWEEN))


def without_level(name: str) -> str:
    """What rules of one template have in common in their names: all of an alert's, and all but a series' level."""
    return name.split(":", 1)[-1] if RECORDED.fullmatch(name) else name


def series_name(level: str, metric: str, operation: str, window: Duration | None) -> str:
    """The name of a recorded series, with the window that it is measured over.

    Raises ValueError when a part does not follow the conventions.
    """
    if level not in LEVELS or not _METRIC.fullmatch(metric) or not _OPERATION.fullmatch(operation):
        raise ValueError(f"{level}:{metric}:{operation} is no name for a recorded series")
    return f"{level}:{metric}:{operation}{window or ''}"


def alert_name(name: str) -> str:
    """The name itself, checked: CamelCase, at most 40 characters. Raises ValueError."""
    if not _ALERT.fullmatch(name):
        raise ValueError(f"{name} is no name for an alert")
    return name


def group_name(profile: str, topic: str) -> str:
    """The name of a rule group. Raises ValueError when the topic does not follow the conventions."""
    if not _GROUP.fullmatch(topic):
        raise ValueError(f"{topic} is no name for a group")
    return f"{profile}.{topic}"


def part_name(group: str, number: int) -> str:
    """The name of a part of a rule group that was too long for its platform; the first keeps the group's."""
    return f"{group}.{number}" if number > 1 else group


def layer_name(group: str, layer: int | None) -> str:
    """The name of those records of a rule group that are evaluated in one layer; of its alerts if None."""
    return f"{group}.alerts" if layer is None else f"{group}.records{layer}"


def rules_file(profile: str, number: int = 1) -> PurePosixPath:
    """Where the rules of a profile lie in the output. Unique also without its directory, for flat rule folders.

    There are several such files, with numbers, where one is too small.
    """
    return PurePosixPath(profile, "rules", f"{profile}.{f'{number}.' if number > 1 else ''}rules.yaml")


def tests_files(profile: str) -> tuple[PurePosixPath, PurePosixPath]:
    """Where the tests of a profile lie in the output: the usual ones, and those of what lasts for days."""
    directory = PurePosixPath(profile, "tests")
    return directory / f"{profile}.tests.yaml", directory / f"{profile}.long.tests.yaml"


def runbook_file(profile: str, alert: str) -> PurePosixPath:
    """Where the runbook of an alert lies in the output."""
    return PurePosixPath(profile, "runbooks", f"{alert}.md")


def alertmanager_file(profile: str) -> PurePosixPath:
    """Where the inhibition rules of a profile lie in the output, with an example of routes."""
    return PurePosixPath(profile, "alertmanager", f"{profile}.alertmanager.yaml")


def dashboard_file(profile: str, dashboard: str) -> PurePosixPath:
    """Where a dashboard of a profile lies in the output. Unique also without its directory, for flat folders."""
    return PurePosixPath(profile, "dashboards", f"{profile}.{dashboard}.json")


def resource_file(path: PurePosixPath) -> PurePosixPath:
    """Where a document lies in the output when it is inside a Kubernetes resource."""
    return path.with_suffix(".yaml")


def resource_name(*parts: str) -> str:
    """What a Kubernetes resource is called. They share a namespace with those of other programs."""
    return "-".join(["milvus", *parts])


def kustomization_file(profile: str) -> PurePosixPath:
    """Where the list of the Kubernetes resources of a profile lies in the output."""
    return PurePosixPath(profile, "kustomization.yaml")


def manifest_file(profile: str) -> PurePosixPath:
    """Where the manifest of a profile lies in the output."""
    return PurePosixPath(profile, MANIFEST)
