"""Profile x catalog x templates -> rule groups, every expression checked."""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from decimal import Decimal
from functools import cache, lru_cache
from typing import Any

import jinja2

from generator import catalog, conventions
from generator.buckets import Measured, Point
from generator.catalog import Release
from generator.findings import Finding, has_errors
from generator.names import Names
from generator.profile import AlertSettings, Profile, Selector
from generator.promql.check import Checker, Quantity, unit_text
from generator.promql.text import go_literal, matcher
from generator.templates import Bindings, Library, RuleTemplate, Variant, lookup
from generator.thresholds import PlacedScope, Scope, SlowQueries, Tier, identity_in_words, place
from generator.units import Duration, Factor, Rate, Share, plain

Texts = tuple[tuple[str, str], ...]

REQUESTS = "milvus_proxy_req_count"
RATE_LIMITED = "milvus_proxy_rate_limit_req_count"

# Scenarios on shares count in this many requests, so that even a small step of the share is a whole number of them.
_MANY = 1_000_000


@dataclass(frozen=True, eq=False)
class Rule:
    """One recording or alerting rule, ready to be written for any platform.

    `result` is the type of what the expression yields, `recorded` that of the series with the rule's own labels,
    `metrics` and `records` are what it reads. `template`, `variant` and `bindings` tell where the rule
    comes from; `scenarios` are the template's, rendered for this rule. Rules are shared between profiles that
    they are the same for, so a rule is equal to itself only.
    """

    name: str
    is_alert: bool
    expr: str
    labels: Texts
    annotations: Texts
    for_: Duration
    keep_firing_for: Duration
    condition: str
    template: RuleTemplate
    variant: str
    bindings: Mapping[str, Any]
    scenarios: tuple[Mapping[str, Any], ...]
    result: Quantity
    recorded: Quantity
    metrics: frozenset[str]
    records: frozenset[str]


@dataclass(frozen=True, slots=True)
class Remark:
    """A rule that was left out (`instead` is empty) or replaced by its named alternative, and why."""

    rule: str
    instead: str
    why: str


@dataclass(frozen=True, eq=False)
class Group:
    """Rules that are evaluated one after the other; each sees what those before it recorded.

    `remarks` are on rules that are not among them, or in another variant. Like rules, groups are shared.
    """

    name: str
    interval: Duration
    rules: tuple[Rule, ...]
    remarks: tuple[Remark, ...]


@dataclass(frozen=True, slots=True)
class RuleSet:
    """Everything that one profile compiles to, before it is written for a platform.

    In the texts of the groups, and in `selector`, placeholders stand for what `names` puts back.
    """

    profile: Profile
    release: Release
    groups: tuple[Group, ...]
    scopes: tuple[PlacedScope, ...]
    findings: tuple[Finding, ...]
    selector: Selector
    names: Names

    @property
    def rules(self) -> tuple[Rule, ...]:
        return tuple(rule for group in self.groups for rule in group.rules)

    @property
    def remarks(self) -> tuple[Remark, ...]:
        """What was left out or replaced, and why."""
        return tuple(remark for group in self.groups for remark in group.remarks)


@dataclass(frozen=True, slots=True)
class AlertContext:
    """The settings of an alert as templates and scenarios use them. Rates are per minute."""

    settings: AlertSettings
    window: Duration

    @property
    def quantile(self) -> Decimal:
        assert self.settings.quantile is not None
        return self.settings.quantile

    @property
    def allowed_ratio(self) -> Decimal:
        """The share of requests that may exceed the threshold."""
        if self.settings.quantile is not None:
            return 1 - self.settings.quantile
        return self.threshold_ratio

    @property
    def allowed(self) -> str:
        return f"{plain(self.allowed_ratio * 100)}%"

    @property
    def just_under(self) -> int:
        """A number of requests in a million that is just allowed."""
        return math.floor(self.allowed_ratio * _MANY * Decimal("0.9994"))

    @property
    def just_over(self) -> int:
        """A number of requests in a million that is just too many, and whose percentage no two engines round apart."""
        count = math.floor(self.allowed_ratio * _MANY * Decimal("1.0006")) + 1
        while not _rounds_alike(count):
            count += 1
        return count

    @property
    def just_over_share(self) -> float:
        return self.just_over / _MANY

    @property
    def min_request_rate(self) -> Rate:
        assert self.settings.min_request_rate is not None
        return self.settings.min_request_rate

    @property
    def min_per_minute(self) -> Decimal:
        return self.min_request_rate.per_minute

    @property
    def enough(self) -> float:
        """Requests per minute that are just enough to judge by."""
        return max(float(self.min_per_minute) * 1.02, 1.0)

    @property
    def too_few(self) -> float:
        """Requests per minute that are just too few."""
        return float(self.min_per_minute) * 0.98

    @property
    def threshold(self) -> Share | Factor | Rate | int:
        assert self.settings.threshold is not None
        return self.settings.threshold

    @property
    def threshold_ratio(self) -> Decimal:
        assert isinstance(self.threshold, Share)
        return self.threshold.ratio

    @property
    def threshold_times(self) -> float:
        assert isinstance(self.threshold, Factor)
        return float(self.threshold.times)

    @property
    def threshold_per_minute(self) -> float:
        assert isinstance(self.threshold, Rate)
        return float(self.threshold.per_minute)

    @property
    def past_offset(self) -> Duration:
        """How far back the past begins that a spike is held against: before the spike can have begun."""
        return Duration(2 * self.window.milliseconds + self.settings.for_.milliseconds)


def _rounds_alike(count: int) -> bool:
    """Whether the share of `count` in a million keeps clear of the middle between two percentages of four digits."""
    digits = str(count)
    return len(digits) <= 4 or digits[4] not in "45"


@dataclass(frozen=True, slots=True)
class Limited:
    """The counter of requests that met the rate limiter, and the status of one that was rejected."""

    metric: str
    rejected: str


@dataclass(frozen=True, eq=False)
class Setting:
    """What every template can refer to, beside what it binds itself. Profiles that agree in all of it share it.

    `selector` are the matchers that select the deployment's series, `identity` the labels that name it;
    `foreign_roles` are roles of other releases, `first` is the first latency scope.
    """

    library: Library
    release: Release
    target_labels: frozenset[str]
    profile: str
    selector: str
    identity: str
    identity_and_job: str
    one_deployment: bool
    where: str
    window: Duration
    operations: tuple[str, ...]
    functions: tuple[str, ...]
    foreign_roles: tuple[str, ...]
    vector_index: str
    failed_status: str
    limited: Limited
    runbook_base_url: str
    dashboard_url: str

    def context(self) -> dict[str, Any]:
        """The variables and functions of the templates."""
        names = {field.name: getattr(self, field.name) for field in fields(self)}
        return {
            **names,
            "series": self.series,
            "matcher": matcher,
            "to_ms": self.to_ms,
            "units_per_ms": self.units_per_ms,
        }

    def series(self, record: str, scope: Scope | None = None) -> str:
        """The name of the series that the template `record` records (at the level of the scope)."""
        template = self.library.records[record]
        return self.series_of(template, template.operation, scope)

    def series_of(self, template: RuleTemplate, operation: str, scope: Scope | None) -> str:
        level = (
            template.level
            if isinstance(template.level, str)
            else template.level[scope.level if scope else "deployment"]
        )
        return conventions.series_name(level, template.metric, operation, None if template.windowless else self.window)

    def to_ms(self, metric: str) -> str:
        """What turns the unit of a metric into milliseconds, as the end of an expression."""
        return " / 1000" if self.units_per_ms(metric) == 1000 else ""

    def units_per_ms(self, metric: str) -> int:
        found = self.release.metric(metric)
        return 1000 if found and found.unit == "us" else 1


def compile_profile(profile: Profile, library: Library) -> RuleSet | tuple[Finding, ...]:
    """Compiles one profile; returns the findings instead when its thresholds do not fit the release.

    Raises TemplateError when a template yields an expression that the type checker refuses.
    """
    release = catalog.release(profile.milvus)
    placed = place(profile, release)
    if has_errors(placed.findings):
        return placed.findings
    names = Names.of(profile.document.data, profile.selector)
    name = names.stand_in(profile.name)
    selector = tuple(
        (label, (names.stand_in(values[0]),) if len(values) == 1 else values) for label, values in profile.selector
    )
    setting = _setting(
        library,
        release,
        name,
        selector,
        profile.identity,
        profile.window,
        profile.operations,
        profile.runbook_base_url,
        profile.dashboard_url,
    )
    scopes = [_ScopeView.of(scope, names) for scope in placed.scopes]
    lists = {"scopes": scopes, "sources": placed.sources, "first": scopes[0]}
    alerts = {alert: _anonymous(settings, names) for alert, settings in profile.alerts.items()}
    groups = []
    for topic in library.topics:
        plan = tuple([(rule, rule.bindings(lists), alerts.get(rule.name)) for rule in topic.rules])
        interval = max(profile.evaluation_interval, topic.interval)
        groups.append(_group(conventions.group_name(name, topic.group), interval, setting, plan))
    return RuleSet(profile, release, tuple(groups), placed.scopes, placed.findings, selector, names)


def _anonymous(alert: AlertSettings, names: Names) -> AlertSettings:
    """The settings with placeholders for the texts that the profile adds to the alert."""
    if not alert.labels and not alert.annotations:
        return alert
    return replace(
        alert,
        labels=tuple((label, names.stand_in(text)) for label, text in alert.labels),
        annotations=tuple((name, names.stand_in(text, prose=True)) for name, text in alert.annotations),
    )


@dataclass(frozen=True, slots=True)
class _TierView:
    """A threshold as templates see it: the point where it is measured, and texts about it."""

    name: str
    point: Point
    threshold: str
    milliseconds: str
    in_words: str

    @classmethod
    def of(cls, measured: Measured, names: Names) -> _TierView:
        return cls(
            measured.name,
            measured.point,
            names.stand_in(str(measured.threshold)),
            names.stand_in(measured.milliseconds, prose=True),
            names.stand_in(measured.in_words, prose=True),
        )


@dataclass(frozen=True, slots=True)
class _SlowQueriesView:
    """How slow queries are counted, as templates see it; `point` is None where Milvus counts them."""

    point: Point | None
    counted_by_milvus: bool
    in_words: str
    why_not_counted: str

    @classmethod
    def of(cls, slow: SlowQueries, names: Names) -> _SlowQueriesView:
        point = slow.measured.point if slow.measured else None
        return cls(point, slow.counted_by_milvus, names.stand_in(slow.in_words, prose=True), slow.why_not_counted)


@dataclass(frozen=True, slots=True)
class _ScopeView:
    """A scope with its thresholds, as templates see it."""

    scope: Scope
    investigate: _TierView
    slow: _TierView
    slow_queries: _SlowQueriesView
    healthy_milliseconds: float
    tiers: tuple[Tier, ...]
    reference: Point

    @classmethod
    def of(cls, placed: PlacedScope, names: Names) -> _ScopeView:
        return cls(
            placed.scope,
            _TierView.of(placed.investigate, names),
            _TierView.of(placed.slow, names),
            _SlowQueriesView.of(placed.slow_queries, names),
            float(placed.healthy.threshold.milliseconds),
            placed.tiers,
            placed.reference,
        )


@lru_cache(maxsize=1024)
def _group(
    name: str,
    interval: Duration,
    setting: Setting,
    plan: tuple[tuple[RuleTemplate, tuple[Bindings, ...], AlertSettings | None], ...],
) -> Group:
    """The rules of one topic: `plan` has each template with its bindings and, for alerts, its settings."""
    records: dict[str, Quantity] = {}
    remarks: dict[Remark, None] = {}
    rules: list[Rule] = []
    for template, combinations, alert in plan:
        if alert and not alert.enabled:
            remarks[Remark(template.name, "", "disabled by the profile")] = None
            continue
        own: Bindings = (("alert", AlertContext(alert, setting.window)),) if alert else ()
        for bindings in combinations:
            body, remark = _rendered(template, setting, bindings + own)
            if remark:
                remarks[remark] = None
            if body:
                rules.append(_checked(body, tuple((name, records.get(name)) for name in body.reads)))
                _note(records, rules[-1])
    return Group(name, interval, tuple(rules), tuple(remarks))


@dataclass(frozen=True, eq=False)
class _Body:
    """A rendered rule that is not checked yet. `reads` are the recorded series that its expression names."""

    setting: Setting
    template: RuleTemplate
    variant: Variant
    bindings: Mapping[str, Any]
    parts: Mapping[str, Any]
    expr: str
    reads: tuple[str, ...]


_RECORDED = re.compile(r"[a-z_]+:[a-z0-9_]+:[a-z0-9_]+")


@lru_cache(maxsize=8192)
def _rendered(template: RuleTemplate, setting: Setting, bindings: Bindings) -> tuple[_Body | None, Remark | None]:
    """The rule in the first variant that the release and the profile support, and what there is to say about that."""
    context = {**setting.context(), **dict(bindings)}
    try:
        variant, reasons = _variant(template, setting, context)
        why = "; ".join(dict.fromkeys(reasons))
        if variant is None:
            return None, Remark(_public_name(template), "", why)
        parts = variant.body.render(context)
    except (jinja2.TemplateError, ValueError, TypeError, ArithmeticError, LookupError, AttributeError) as error:
        raise template.error(error) from error
    expr = _tidy(str(parts["expr"]))
    reads = tuple(dict.fromkeys(_RECORDED.findall(expr)))
    body = _Body(setting, template, variant, dict(bindings), parts, expr, reads)
    return body, Remark(_public_name(template), variant.name, why) if why else None


def _public_name(template: RuleTemplate) -> str:
    """What a rule is called in what was built."""
    return template.metric or template.name


def _variant(template: RuleTemplate, setting: Setting, context: Mapping[str, Any]) -> tuple[Variant | None, list[str]]:
    """The first usable variant (None when there is none), and why those before it are not."""
    checker = _checker(setting.release, setting.target_labels)
    reasons: list[str] = []
    for variant in template.variants:
        missing = [why for each in variant.requires.render(context) if (why := checker.requirement(each))]
        if not missing and variant.when and not lookup(variant.when, context):
            missing = [variant.reason.render(context)]
        if not missing:
            return variant, reasons
        reasons += missing
    return None, reasons


@lru_cache(maxsize=8192)
def _checked(body: _Body, types: tuple[tuple[str, Quantity | None], ...]) -> Rule:
    """The finished rule. `types` are those of the recorded series that it reads. Raises TemplateError."""
    template, setting, parts = body.template, body.setting, body.parts
    known = {name: quantity for name, quantity in types if quantity is not None}
    checked = _checker(setting.release, setting.target_labels).check(body.expr, known)
    problems, result = list(checked.violations), checked.quantity
    if result is not None:
        lost = [label for label in setting.identity.split(", ") if label not in result.labels]
        if lost and not (template.fires_without_data and not setting.one_deployment):
            problems.append(f"loses the label {lost[0]} of the deployment's identity")
        if template.unit and unit_text(result.unit) != template.unit:
            problems.append(f"yields {unit_text(result.unit)}, not {template.unit}")
    elif not problems:
        problems.append("yields no vector")
    if problems or result is None:
        raise template.error("; ".join(problems) + f"\n{body.expr}")
    alert: AlertContext | None = body.bindings.get("alert")
    labels = {label: text for label, text in parts.get("labels", {}).items() if text}
    labels[conventions.PROFILE] = setting.profile
    if alert:
        labels |= {
            conventions.SEVERITY: alert.settings.severity,
            conventions.TIER: template.tier,
            **dict(alert.settings.labels),
        }
        name = template.name
    else:
        name = setting.series_of(template, parts["operation"], body.bindings.get("scope"))
    return Rule(
        name=name,
        is_alert=alert is not None,
        expr=body.expr,
        labels=tuple(sorted(labels.items())),
        annotations=_annotations(body, alert) if alert else (),
        for_=alert.settings.for_ if alert else _AT_ONCE,
        keep_firing_for=alert.settings.keep_firing_for if alert else _AT_ONCE,
        condition=_line(parts["condition"]),
        template=template,
        variant=body.variant.name,
        bindings=body.bindings,
        scenarios=tuple(parts.get("scenarios", ())),
        result=result,
        recorded=Quantity(result.unit, frozenset(result.labels | labels.keys()), le_unit=result.le_unit),
        metrics=checked.metrics,
        records=checked.records,
    )


_AT_ONCE = Duration.parse("0s")


def _annotations(body: _Body, alert: AlertContext) -> Texts:
    texts = {
        conventions.SUMMARY: _line(body.parts["summary"]),
        conventions.DESCRIPTION: _line(body.parts["description"]),
    }
    if body.setting.runbook_base_url:
        texts[conventions.RUNBOOK_URL] = f"{body.setting.runbook_base_url}/{body.template.name}.md"
    if body.setting.dashboard_url:
        texts[conventions.DASHBOARD_URL] = body.setting.dashboard_url
    return tuple({**texts, **{name: go_literal(text) for name, text in alert.settings.annotations}}.items())


def _note(records: dict[str, Quantity], rule: Rule) -> None:
    """Remembers what a rule records. Raises TemplateError on a contradiction."""
    if rule.is_alert:
        return
    known = records.setdefault(rule.name, rule.recorded)
    if known is not rule.recorded and known != rule.recorded:
        raise rule.template.error(f"{rule.name} is recorded twice, with different labels or units")


@cache
def _checker(release: Release, target_labels: frozenset[str]) -> Checker:
    return Checker(release, target_labels)


@lru_cache(maxsize=1024)
def _setting(
    library: Library,
    release: Release,
    name: str,
    selector: Selector,
    identity: tuple[str, ...],
    window: Duration,
    operations: tuple[str, ...],
    runbook_base_url: str,
    dashboard_url: str,
) -> Setting:
    names = ", ".join(identity)
    fixed = {label for label, values in selector if len(values) == 1}
    return Setting(
        library=library,
        release=release,
        target_labels=frozenset([*identity, *(label for label, _ in selector)]),
        profile=name,
        selector=", ".join(matcher(label, values) for label, values in selector),
        identity=names,
        identity_and_job=names if "job" in identity else f"{names}, job",
        one_deployment=set(identity) <= fixed,
        where=identity_in_words(identity),
        window=window,
        operations=operations,
        functions=tuple(_FUNCTION_NAMES[operation] for operation in operations),
        foreign_roles=_foreign_roles(release),
        vector_index="search_latency" if release.metric("search_latency") else "knowhere_search_latency",
        failed_status=_status(release, REQUESTS, "fail") or "fail",
        limited=_limited(release),
        runbook_base_url=runbook_base_url,
        dashboard_url=dashboard_url,
    )


# What req_count calls the operations that sq_latency knows by their query_type.
_FUNCTION_NAMES = {"search": "Search", "query": "Query", "hybrid_search": "HybridSearch"}


def _limited(release: Release) -> Limited:
    status = _status(release, REQUESTS, "rejected")
    return Limited(REQUESTS, status) if status else Limited(RATE_LIMITED, "fail")


def _status(release: Release, metric: str, kind: str) -> str:
    """The first value of `status` that is of this kind: `fail` itself, or one that starts with `fail_`."""
    found = release.metric(metric)
    values = found.values.get("status", ()) if found else ()
    return next((value for value in reversed(values) if value == kind or value.startswith(f"{kind}_")), "")


@cache
def _foreign_roles(release: Release) -> tuple[str, ...]:
    """Roles that other releases have, and this one has not."""

    def roles(name: str) -> tuple[str, ...]:
        metric = catalog.release(name).metric("milvus_num_node")
        return metric.values["role_name"] if metric else ()

    every = dict.fromkeys(role for branch in catalog.branches() for role in roles(branch))
    return tuple(role for role in every if role not in roles(release.name))


def _tidy(expr: str) -> str:
    """An expression without the blank lines and the indentation that templating leaves."""
    lines = [line.rstrip() for line in expr.splitlines() if line.strip()]
    return textwrap.dedent("\n".join(lines))


def _line(text: str) -> str:
    return " ".join(text.split())
