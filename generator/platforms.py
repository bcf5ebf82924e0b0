"""What evaluates the rules and what shows the dashboards: one row each, with what it can take.

The rest of the compiler asks these tables, never for a name. What a platform cannot express is refused where the
profile asks for it, or reported in the build report and the manifest.

Sources: prometheus.io/docs/prometheus/latest/configuration/recording_rules/ and the server's change log (fields by
version), the API types of prometheus-operator (`monitoring.coreos.com/v1`, 0.95: `query_offset` from Prometheus 2.53,
ignored by Thanos Ruler; a rendered file above half of the 1 MiB of a ConfigMap is refused), of the VictoriaMetrics
operator (`operator.victoriametrics.com/v1beta1`: the same size) and of the Grafana operator
(`grafana.integreatly.org/v1beta1`: `instanceSelector` is required and cannot be changed later), Mimir's flags
`ruler.max-rules-per-rule-group` and `ruler.max-rule-groups-per-tenant` with their defaults, and of Thanos and vmalert
thanos.io/tip/components/rule.md and docs.victoriametrics.com/victoriametrics/vmalert (chaining, and `eval_offset`,
which it respects for every group since 1.113).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

_HALF_A_CONFIG_MAP = 512 * 1024


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of Kubernetes resource."""

    api: str
    name: str


@dataclass(frozen=True, slots=True)
class Platform:
    """What evaluates rules.

    `options` are the settings of a profile's `target` that it knows, `required` those that it does not do without.
    Rules of a group are evaluated `in sequence`, each seeing what those before it recorded, or `apart`: then whatever
    is read must come from another group, earlier. `most_rules` of a group and `most_groups` of a profile are defaults
    (0 for no limit), `most_bytes` is what one file can hold. A file that `names_file` says its namespace.
    `partial_response` is the default of that setting, `tool` proves the rules.
    """

    name: str
    evaluates: Literal["in sequence", "apart"] = "in sequence"
    options: tuple[str, ...] = ()
    required: tuple[str, ...] = ()
    most_rules: int = 0
    most_groups: int = 0
    most_bytes: int = 0
    kind: Kind | None = None
    names_file: bool = False
    partial_response: str = ""
    tool: Literal["promtool", "vmalert-tool"] = "promtool"


PROMETHEUS = Platform("prometheus", options=("server", "query_offset"))

PLATFORMS = {
    platform.name: platform
    for platform in (
        PROMETHEUS,
        Platform(
            "prometheus-operator",
            kind=Kind("monitoring.coreos.com/v1", "PrometheusRule"),
            options=("labels", "namespace", "server", "query_offset", "partial_response"),
            required=("labels",),
            most_bytes=_HALF_A_CONFIG_MAP,
        ),
        Platform(
            "mimir",
            names_file=True,
            options=("source_tenants", "max_rules_per_group", "max_groups"),
            most_rules=20,
            most_groups=70,
        ),
        Platform("thanos", options=("partial_response",), partial_response="abort"),
        Platform("victoriametrics", evaluates="apart", tool="vmalert-tool"),
        Platform(
            "victoriametrics-operator",
            kind=Kind("operator.victoriametrics.com/v1beta1", "VMRule"),
            options=("labels", "namespace"),
            evaluates="apart",
            most_bytes=_HALF_A_CONFIG_MAP,
            tool="vmalert-tool",
        ),
    )
}


@dataclass(frozen=True, slots=True)
class DashboardFormat:
    """How dashboards are written: as what they are, or inside a resource that `most_bytes` fit into."""

    name: str
    options: tuple[str, ...] = ()
    required: tuple[str, ...] = ()
    kind: Kind | None = None
    labels: tuple[tuple[str, str], ...] = ()
    most_bytes: int = 0


JSON = DashboardFormat("json")

DASHBOARD_FORMATS = {
    each.name: each
    for each in (
        JSON,
        DashboardFormat(
            "configmap",
            kind=Kind("v1", "ConfigMap"),
            options=("labels", "namespace", "folder"),
            labels=(("grafana_dashboard", "1"),),
            most_bytes=1024 * 1024,
        ),
        DashboardFormat(
            "grafana-operator",
            kind=Kind("grafana.integreatly.org/v1beta1", "GrafanaDashboard"),
            options=("labels", "namespace", "folder"),
            required=("labels",),
            most_bytes=1024 * 1024,
        ),
    )
}

# The oldest server that takes a field; older ones refuse the whole file. `keep_firing_for` is in every rule file.
OLDEST_SERVER = {"keep_firing_for": (2, 42), "query_offset": (2, 53)}

# Functions of PromQL with the one of MetricsQL that does the same: its own `changes` also counts a change from the last
# sample before the window. docs.victoriametrics.com/victoriametrics/metricsql/#changes
METRICSQL = {"changes": "changes_prometheus"}
