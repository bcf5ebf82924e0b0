"""What a profile says, checked and complete: frozen, so that every later stage is a pure function of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from generator import platforms
from generator.platforms import DashboardFormat, Platform
from generator.source import Document, Keys
from generator.units import Duration, Factor, Rate, Share

TIERS = ("healthy", "investigate", "slow", "slow_query_span")
OPERATIONS = ("search", "query", "hybrid_search")

Threshold = Share | Factor | Rate | Duration | int
Texts = tuple[tuple[str, str], ...]
# Label names with the values that select a deployment: all labels must match, each with any of its values.
Selector = tuple[tuple[str, tuple[str, ...]], ...]


@dataclass(frozen=True, slots=True)
class Thresholds:
    """The latency tiers of one kind of request, in rising order."""

    healthy: Duration
    investigate: Duration
    slow: Duration
    slow_query_span: Duration

    def __getitem__(self, tier: str) -> Duration:
        found: Duration = getattr(self, tier)
        return found


@dataclass(frozen=True, slots=True)
class Scope:
    """What one set of thresholds holds for: an operation, of one collection or of the others (None)."""

    collection: str | None
    operation: str
    thresholds: Thresholds


@dataclass(frozen=True, slots=True)
class AlertSettings:
    """The settings of one alert: the template's defaults under what the profile says.

    `quantile`, `min_request_rate`, `least`, `min_time` and `threshold` are None for alerts that have no such setting;
    `severity` is empty, and `for_` no time, where each rule of the alert has its own. `labels` and `annotations` are
    those that only this alert has.
    """

    enabled: bool
    severity: str
    for_: Duration
    keep_firing_for: Duration
    quantile: Decimal | None
    min_request_rate: Rate | None
    least: int | None
    min_time: Duration | None
    threshold: Threshold | None
    labels: Texts
    annotations: Texts


@dataclass(frozen=True, slots=True)
class Disk:
    """The disks that a deployment works with: series of an exporter, which is one of `catalog.DISK_TIME`.

    `shared` are the labels of the identity that these series carry, too; none where all of them belong to every
    deployment of the profile.
    """

    exporter: str
    selector: Selector
    shared: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Objective:
    """What share of the requests of some operations must take no longer than a tier, over a period."""

    tier: str
    ratio: Share
    period: Duration
    operations: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Target:
    """What evaluates the rules, and what it has to be told; what its platform has no use for is empty.

    `server` is the version that the Prometheus servers have at least. `most_rules` may be in a group, `most_groups` in
    a profile; 0 is no limit.
    """

    platform: Platform = platforms.PROMETHEUS
    labels: Texts = ()
    namespace: str = ""
    server: tuple[int, ...] = ()
    query_offset: Duration | None = None
    partial_response: str = ""
    source_tenants: tuple[str, ...] = ()
    most_rules: int = 0
    most_groups: int = 0


@dataclass(frozen=True, slots=True)
class Dashboards:
    """How the dashboards are written. `labels` are those of a ConfigMap, or those that select a Grafana."""

    format: DashboardFormat = platforms.JSON
    labels: Texts = ()
    namespace: str = ""
    folder: str = ""


@dataclass(frozen=True, slots=True)
class Profile:
    """One checked profile, or one rule set of a fleet file.

    `scopes` has one entry per operation, and one per operation and collection with thresholds of its own.
    `labels` and `annotations` go to every alert, `outputs` are the directories that are written. `deployments` holds
    the selectors of a fleet's deployments that share this rule set, with the release that each of them runs. `digest`
    is the SHA-256 of the settings, for a deployment of a fleet without its selector; `overrides` that of what the
    deployment's entry sets itself (empty if nothing).
    """

    name: str
    milvus: str
    selector: Selector
    identity: tuple[str, ...]
    scrape_interval: Duration
    evaluation_interval: Duration
    window: Duration
    snap: str
    scopes: tuple[Scope, ...]
    objectives: tuple[Objective, ...]
    server_slow_query_span: Duration | None
    cpus: float | None
    disk: Disk | None
    labels: Texts
    annotations: Texts
    alerts: Mapping[str, AlertSettings]
    runbook_base_url: str
    dashboard_url: str
    target: Target
    dashboards: Dashboards
    outputs: frozenset[str]
    digest: str
    overrides: str = ""
    deployments: tuple[tuple[str, Selector], ...] = ()
    document: Document = field(repr=False, compare=False, kw_only=True)

    @property
    def operations(self) -> tuple[str, ...]:
        """The operations that have thresholds, which are those that the release offers."""
        return tuple(dict.fromkeys(scope.operation for scope in self.scopes))

    @property
    def collections(self) -> tuple[str, ...]:
        """The collections that have thresholds of their own."""
        return tuple(dict.fromkeys(scope.collection for scope in self.scopes if scope.collection))

    def threshold_keys(self, scope: Scope, tier: str) -> Keys:
        """The setting that the threshold of this scope comes from."""
        candidates: list[Keys] = [("operations", scope.operation, "thresholds", tier)]
        if scope.collection:
            candidates.insert(0, ("collections", scope.collection, "thresholds", tier))
        return next((keys for keys in candidates if keys in self.document.values), ("thresholds", tier))
