"""One rule set -> the files of its dashboards: everything around the panels."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from generator import catalog, conventions
from generator.catalog import ALERTS
from generator.context import Setting
from generator.dashboards import definitions, panels
from generator.dashboards.definitions import Choice, DashboardDefinition
from generator.dashboards.panels import Reach
from generator.names import Piece
from generator.promql.text import equals
from generator.rules import Remark, RuleSet
from generator.units import Duration

if TYPE_CHECKING:
    from generator.dashboards.grafana import Annotation, Frame, Variable

_UID_LENGTH = 40
FLEET_TAG = "milvus-fleet"
_CHANGED_VERSION = """\
count by (version) (milvus_build_info{}) unless count by (version) (milvus_build_info{} offset 5m)
and on () count(milvus_build_info{} offset 5m)"""


@dataclass(frozen=True, slots=True)
class Documents:
    """The dashboards of one profile, or of one fleet, as files, and the panels that were left out.

    `evidence` names panels that show the conditions of alerts.
    """

    files: Mapping[PurePosixPath, bytes]
    remarks: tuple[Remark, ...]
    evidence: tuple[Evidence, ...] = ()


@dataclass(frozen=True, slots=True)
class Evidence:
    """A panel, by its title and that of its dashboard, which shows the condition of an alert."""

    alert: str
    dashboard: str
    panel: str


def uid(dashboard: str, name: str) -> str:
    """The uid of a dashboard of a profile: the same for ever, and no longer than Grafana allows (40 characters)."""
    full = f"milvus-{dashboard}-{name}"
    if len(full) <= _UID_LENGTH:
        return full
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{full[: _UID_LENGTH - 9].rstrip('-')}-{digest}"


def documents(rule_set: RuleSet) -> Documents:
    """The dashboards of one profile. Raises DefinitionError."""
    name = rule_set.profile.name
    names = rule_set.names
    shown = [each for each in definitions.load() if not each.whole_fleet]
    uids = {each.name: names.stand_in(uid(each.name, name)) for each in shown}
    context = tuple(panels.context_of(rule_set).items())
    records = panels.records_of(rule_set)
    profile = rule_set.profile
    files = {}
    remarks: list[Remark] = []
    evidence: list[Evidence] = []
    for definition in shown:
        view = catalog.view(rule_set.release, definition.metrics)
        about = panels.reach(rule_set.setting, view, records)
        written = _written(
            definition,
            rule_set.setting,
            about,
            context,
            profile.scrape_interval,
            tuple(uids.items()),
            bool(profile.deployments),
        )
        files[conventions.dashboard_file(name, definition.name)] = names.filled([written.text])
        remarks += written.remarks
        evidence += written.evidence
    return Documents(files, rule_set.in_full(remarks), tuple(evidence))


@dataclass(frozen=True, slots=True)
class _Written:
    """A dashboard with placeholders, what was left out, and which panels show the conditions of alerts."""

    text: Piece
    remarks: tuple[Remark, ...]
    evidence: tuple[Evidence, ...]


@lru_cache(maxsize=256)
def _written(
    definition: DashboardDefinition,
    setting: Setting,
    about: Reach,
    context: tuple[tuple[str, Any], ...],
    interval: Duration,
    uids: tuple[tuple[str, str], ...],
    of_fleet: bool,
) -> _Written:
    """A dashboard: the same for profiles that differ in nothing but what placeholders stand for."""
    from generator.dashboards import grafana

    filled = panels.fill(definition, about, dict(context))
    frame = _frame(definition, setting, about, interval, filled.choices, uids, of_fleet)
    shown = (panel for row in filled.rows for panel in row.panels if panel.alert)
    evidence = tuple(Evidence(panel.alert, definition.title, panel.title) for panel in shown)
    text = grafana.dashboard_json(frame, filled.rows)
    return _Written(Piece.of(text), filled.remarks, evidence)


def fleet_overview(fleet: str, rule_sets: Sequence[RuleSet]) -> Documents:
    """The overview of a fleet whose deployments these rule sets serve. Raises DefinitionError."""
    from generator.dashboards import grafana

    files = {}
    remarks: list[Remark] = []
    names = [rule_set.profile.name for rule_set in rule_sets]
    identity = panels.identity_of(rule_sets)
    for definition in (each for each in definitions.load() if each.whole_fleet):
        view = catalog.view(rule_sets[0].release, definition.metrics)
        about, context = panels.fleet_reach(rule_sets, view)
        filled = panels.fill(definition, about, context)
        frame = grafana.Frame(
            uid=uid(definition.name, fleet),
            title=f"{definition.title} / {fleet}",
            says=definition.says,
            tags=("milvus", "thresher", FLEET_TAG),
            variables=(),
            annotations=(),
            links=(),
            interval=in_seconds(min(rule_set.profile.scrape_interval for rule_set in rule_sets)),
            targets=(("deployment", _deployment_url(names, identity)),),
        )
        text = grafana.dashboard_json(frame, filled.rows)
        files[conventions.dashboard_file(fleet, definition.name)] = text.encode()
        remarks += filled.remarks
    return Documents(files, tuple(remarks))


def _deployment_url(names: Sequence[str], identity: Sequence[str]) -> str:
    """Where a row of the overview leads to: the deployment's dashboard, or a list of them where names are too long."""
    if any(uid(_OF_DEPLOYMENT, name) != uid(_OF_DEPLOYMENT, "") + name for name in names):
        return "/dashboards?tag=milvus-${__data.fields.profile}"
    chosen = "".join(f"&var-{panels.variable(label)}=${{__data.fields.{label}}}" for label in identity)
    return f"/d/{uid(_OF_DEPLOYMENT, '')}${{__data.fields.profile}}?${{__url_time_range}}{chosen}"


_OF_DEPLOYMENT = "latency"


def _frame(
    definition: DashboardDefinition,
    setting: Setting,
    about: Reach,
    interval: Duration,
    choices: tuple[Choice, ...],
    uids: tuple[tuple[str, str], ...],
    of_fleet: bool,
) -> Frame:
    from generator.dashboards.grafana import Frame

    tag = f"milvus-{setting.profile}"
    links = [("Also of this deployment", tag)]
    if of_fleet:
        links.append(("Fleet", FLEET_TAG))
    runbooks = (("runbook", setting.runbook_base_url),) if setting.runbook_base_url else ()
    return Frame(
        uid=dict(uids)[definition.name],
        title=f"{definition.title} / {setting.profile}",
        says=definition.says,
        tags=("milvus", "thresher", tag),
        variables=(*_identity(setting), *map(_choice, choices)),
        annotations=tuple(_annotations(definition, about)),
        links=tuple(links),
        interval=in_seconds(interval),
        targets=(*uids, *runbooks),
    )


def _identity(setting: Setting) -> Iterator[Variable]:
    """A variable for each label that names a deployment: one is shown at a time.

    Where the profile says the value, it is not asked for: in an outage there would be no answer. Alerts are asked for,
    too, as they are there when nothing else is.
    """
    from generator.dashboards.grafana import Variable

    said = dict(setting.deployment)
    matchers = [equals(conventions.PROFILE, setting.profile)]
    for label in setting.identity.split(", "):
        name, title = panels.variable(label), label.replace("_", " ")
        values = said.get(label, ())
        if len(values) == 1 and "$" not in values[0]:
            yield Variable(name, title, label, values=values)
        else:
            selector = f'{{__name__=~"{_NODES}|{ALERTS}", {", ".join(matchers)}}}'
            yield Variable(name, title, label, selector=selector)
        matchers.append(f'{label}="${name}"')


_NODES = "role:milvus_nodes:count"


def _choice(choice: Choice) -> Variable:
    from generator.dashboards.grafana import Variable

    return Variable(choice.name, choice.title, choice.label, selector=choice.selector, several=True)


def _annotations(definition: DashboardDefinition, about: Reach) -> Iterator[Annotation]:
    """Marks for alerts that fire, and for changes of version. A version that was just scraped first is no change."""
    from generator.dashboards.grafana import Annotation

    marks = [
        (
            "Alerts",
            'max by (alertname, severity) (ALERTS{alertstate="firing", severity=~"critical|warning"})',
            "{{alertname}}",
            "severity",
            "red",
        ),
        (
            "Versions",
            _CHANGED_VERSION,
            "Milvus {{version}}",
            "",
            "blue",
        ),
    ]
    for name, expr, title, tags, colour in marks:
        text, why = panels.expanded(expr, about)
        if not why:
            panels.check(definition.name, "count", text, about)
            yield Annotation(name, text, title, tags, colour, step="60s")


def in_seconds(interval: Duration) -> str:
    """A duration as Grafana reads one: a number with one unit."""
    milliseconds = int(interval.milliseconds)
    return f"{milliseconds}ms" if milliseconds % 1000 else f"{milliseconds // 1000}s"
