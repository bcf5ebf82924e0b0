"""Profile x catalog x templates -> rule groups, every expression checked."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from functools import cache, cached_property, lru_cache
from typing import Any

import jinja2

from generator import catalog, conventions, verdict
from generator.catalog import Release, Unlisted, View
from generator.context import Added, AlertContext, DiskView, ScopeView, Setting, anonymous, expected, settings_of
from generator.findings import Finding, has_errors
from generator.names import Names
from generator.objectives import budgets, objectives
from generator.profile import AlertSettings, Disk, Profile, Selector, Texts
from generator.promql.check import Checker, Quantity
from generator.promql.dimension import unit_text
from generator.promql.text import go_literal
from generator.templates import Bindings, Library, RuleTemplate, TemplateError, Variant, combinations, lookup, one_line
from generator.thresholds import PlacedScope, place
from generator.units import Duration

# What the variables of a template stand for, by name.
Bound = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Advice:
    """One thing to look at or to do; `query` answers it, or is empty.

    It holds for releases from `since` on, up to but not including `before`; where they are empty, for all. What is
    `on_dashboards` is of no use without them.
    """

    text: str
    query: str = ""
    since: str = ""
    before: str = ""
    on_dashboards: bool = False

    def holds_for(self, milvus: str) -> bool:
        """Whether the advice is any good for a release."""
        return not (self.since and catalog.is_before(milvus, self.since)) and (
            not self.before or catalog.is_before(milvus, self.before)
        )


@dataclass(frozen=True, slots=True)
class Runbook:
    """What somebody whom an alert wakes has to know: what it means, where to look next, how to mend it."""

    means: str
    look: tuple[Advice, ...]
    fix: tuple[Advice, ...]


@dataclass(frozen=True, eq=False)
class Rule:
    """One recording or alerting rule, ready to be written for any platform.

    `result` is the type of what the expression yields, `recorded` that of the series with the rule's own labels,
    `metrics` and `records` are what it reads. `template` and `variant` tell where the rule comes from, `alert` has the
    settings that it uses. `scenarios` are the template's, rendered for this rule if it is to be tested: `applies` says
    whether one is played, and what they refer to by a path (`at`, `also`, `for_each`) is looked up. Their series have
    the labels of `sample`, or are those of `disks`. Rules are shared between profiles that they are the same for, so a
    rule is equal to itself only.
    """

    name: str
    is_alert: bool
    expr: str
    labels: Texts
    annotations: Texts
    for_: Duration
    keep_firing_for: Duration
    condition: str
    runbook: Runbook | None
    template: RuleTemplate
    variant: str
    alert: AlertContext | None
    scenarios: tuple[Mapping[str, Any], ...]
    sample: Texts
    disks: DiskView | None
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
class Types:
    """The types of the series that a group records, by name. Groups that record the same have one such object."""

    of: Mapping[str, Quantity]


@dataclass(frozen=True, eq=False)
class Group:
    """Rules that are evaluated one after the other; each sees what those before it recorded.

    `release` is what they know of it. `remarks` are on rules that are not among them, or in another variant. Like
    rules, groups are shared.
    """

    name: str
    release: View
    interval: Duration
    rules: tuple[Rule, ...]
    remarks: tuple[Remark, ...]

    @cached_property
    def types(self) -> Types:
        """The types of what is recorded, for groups that read it."""
        return _types(tuple({rule.name: rule.recorded for rule in self.rules if not rule.is_alert}.items()))

    @cached_property
    def borrowed(self) -> tuple[str, ...]:
        """The series that are read here before they are recorded here: those of other groups."""
        borrowed: dict[str, None] = {}
        own: set[str] = set()
        for rule in self.rules:
            borrowed |= dict.fromkeys(name for name in rule.records if name not in own)
            own.add(rule.name)
        return tuple(borrowed)


@dataclass(frozen=True, slots=True)
class RuleSet:
    """Everything that one profile compiles to, before it is written for a platform.

    `setting` is that of its first group. In it, in the texts of the groups, and in `selector`, placeholders stand for
    what `names` puts back.
    """

    profile: Profile
    release: Release
    groups: tuple[Group, ...]
    scopes: tuple[PlacedScope, ...]
    findings: tuple[Finding, ...]
    setting: Setting
    names: Names

    @property
    def selector(self) -> Selector:
        return self.setting.deployment

    @property
    def rules(self) -> tuple[Rule, ...]:
        return tuple(rule for group in self.groups for rule in group.rules)

    @property
    def remarks(self) -> tuple[Remark, ...]:
        """What was left out or replaced, and why."""
        remarks = (remark for group in self.groups for remark in group.remarks)
        return self.in_full(remarks)

    def in_full(self, remarks: Iterable[Remark]) -> tuple[Remark, ...]:
        """The remarks, each once, with the profile's own texts and the name of the release."""
        return tuple(
            dict.fromkeys(Remark(self._put_back(each.rule), each.instead, self._put_back(each.why)) for each in remarks)
        )

    def _put_back(self, why: str) -> str:
        return self.names.put_back(why).replace(catalog.THIS_RELEASE, self.release.name)


def compile_profile(profile: Profile, library: Library) -> RuleSet | tuple[Finding, ...]:
    """Compiles one profile; returns the findings instead when its thresholds do not fit the release.

    Raises TemplateError when a template yields an expression that the type checker refuses.
    """
    release = catalog.release(profile.milvus)
    placed = place(profile, release)
    if has_errors(placed.findings):
        return placed.findings
    names = Names.of(profile.document.data, profile.selector)
    settings = settings_of(profile, release, library, names)
    added, alerts = Added.of(profile, names), anonymous(profile.alerts, names)
    scopes = [ScopeView.of(scope, names) for scope in placed.scopes]
    stated = objectives(profile.objectives, placed.scopes, names)
    lists = {
        "scopes": scopes,
        "objectives": stated,
        "budgets": budgets(stated),
        "sources": placed.sources,
        "first": scopes[0],
        "expected": expected(profile, settings[0]),
    }
    combined = {loops: combinations(loops, lists) for loops in library.loops}
    groups: dict[str, Group] = {}
    for topic, setting in zip(library.topics, settings, strict=True):
        plan = tuple([(rule, combined[rule.loops], alerts.get(rule.alert)) for rule in topic.rules])
        # What is evaluated less often than its window would miss requests, and be old where the rest is new.
        interval = max(profile.evaluation_interval, min(topic.interval, profile.window))
        known = tuple([groups[group].types for group in topic.reads])
        try:
            name = conventions.group_name(setting.profile, topic.group)
            groups[topic.group] = _group(name, interval, setting, plan, added, known)
        except TemplateError as error:
            raise TemplateError(str(error).replace(catalog.THIS_RELEASE, release.name)) from error
    return RuleSet(profile, release, tuple(groups.values()), placed.scopes, placed.findings, settings[0], names)


@lru_cache(maxsize=1024)
def _group(
    name: str,
    interval: Duration,
    setting: Setting,
    plan: tuple[tuple[RuleTemplate, tuple[Bindings, ...], AlertSettings | None], ...],
    added: Added,
    known: tuple[Types, ...],
) -> Group:
    """The rules of one topic: `plan` has each template with its bindings and the settings of its alert.

    `added` goes to every alert, `known` are the types of what other groups have recorded.
    """
    records: dict[str, Quantity] = {name: quantity for types in known for name, quantity in types.of.items()}
    remarks: dict[Remark, None] = {}
    rules: list[Rule] = []
    gone: set[str] = set()
    for template, combined, alert in plan:
        if alert and not alert.enabled and not template.settings_of:
            remarks[Remark(template.alert, "", "disabled by the profile")] = None
            continue
        if template.name in gone:
            continue
        own: Bindings = ()
        if alert:
            own += (("alert", AlertContext(alert, setting.window, added if template.is_alert else Added())),)
        if template.if_recorded:
            own += (("is_recorded", setting.series(template.if_recorded) in records),)
        for bindings in combined:
            body, remark = _rendered(template, setting, bindings + own)
            if remark:
                remarks[remark] = None
            if body is None and template.part_of:
                gone.add(template.part_of)
            if body:
                rules.append(_checked(body, tuple((name, records.get(name)) for name in body.reads)))
                _note(records, rules[-1])
    return _shared_group(name, setting.milvus.release, interval, tuple(rules), tuple(remarks))


@lru_cache(maxsize=1024)
def _shared_group(
    name: str, release: View, interval: Duration, rules: tuple[Rule, ...], remarks: tuple[Remark, ...]
) -> Group:
    return Group(name, release, interval, rules, remarks)


@dataclass(frozen=True, eq=False)
class _Body:
    """A rendered rule that is not checked yet. `reads` are the recorded series that it names."""

    setting: Setting
    template: RuleTemplate
    variant: Variant
    bindings: Bound
    parts: Mapping[str, Any]
    scenarios: list[Mapping[str, Any]]
    expr: str
    reads: tuple[str, ...]


@lru_cache(maxsize=4096)
def _rendered(template: RuleTemplate, setting: Setting, bindings: Bindings) -> tuple[_Body | None, Remark | None]:
    """The rule in the first variant that the release and the profile support, and what there is to say about that."""
    context = {**setting.context, **dict(bindings)}
    try:
        variant, reasons = _variant(template, setting, context)
        why = "; ".join(dict.fromkeys(reasons))
        if variant is None:
            return None, Remark(_public_name(template, bindings), "", why)
        parts = variant.body.render(context)
        scenarios = variant.scenarios.render(context) if setting.is_tested else []
    except (jinja2.TemplateError, ValueError, TypeError, ArithmeticError, LookupError, AttributeError) as error:
        raise template.error(error) from error
    expr = _tidy(str(parts["expr"]))
    queries = [str(each.get("query", "")) for each in parts.get("runbook", {}).get("look", ())]
    reads = tuple(dict.fromkeys(name for text in (expr, *queries) for name in conventions.RECORDED.findall(text)))
    body = _Body(setting, template, variant, dict(bindings), parts, scenarios, expr, reads)
    return body, Remark(_public_name(template, bindings), variant.name, why) if why else None


@lru_cache(maxsize=1024)
def _types(recorded: tuple[tuple[str, Quantity], ...]) -> Types:
    return Types(dict(recorded))


def _public_name(template: RuleTemplate, bindings: Bindings) -> str:
    """What a rule is called in what was built, with what tells it from the others of its template."""
    if template.part_of:
        return template.part_of
    parts = [f'{label}="{value["name"]}"' for label, value in bindings if isinstance(value, dict)]
    return (template.metric or template.name) + (f"{{{', '.join(parts)}}}" if parts else "")


def _variant(template: RuleTemplate, setting: Setting, context: Mapping[str, Any]) -> tuple[Variant | None, list[str]]:
    """The first usable variant (None when there is none), and why those before it are not."""
    checker = _checker(setting, None)
    reasons: list[str] = []
    for variant in template.variants:
        missing = [why for each in variant.requires.render(context) if (why := checker.requirement(each))]
        if not missing and variant.when and not lookup(variant.when, context):
            missing = [variant.reason.render(context)]
        if not missing:
            return variant, reasons
        reasons += missing
    return None, reasons


@lru_cache(maxsize=4096)
def _checked(body: _Body, types: tuple[tuple[str, Quantity | None], ...]) -> Rule:
    """The finished rule. `types` are those of the recorded series that it reads. Raises TemplateError."""
    template, setting, parts = body.template, body.setting, body.parts
    alert: AlertContext | None = body.bindings["alert"] if template.is_alert else None
    labels = {label: text for label, text in parts.get("labels", {}).items() if text}
    labels[conventions.PROFILE] = setting.profile
    if alert:
        name = template.name
        labels[conventions.SEVERITY] = parts.get("severity", alert.settings.severity)
        labels |= {conventions.CAUSE: template.cause} if template.cause else {conventions.TIER: template.tier}
        labels |= alert.labels
    else:
        name = setting.series_of(template, parts["operation"], body.bindings.get("scope"))
    annotations = _annotations(body, alert) if alert else ()
    known = {record: quantity for record, quantity in types if quantity is not None}
    try:
        selected_by = frozenset(label for label, _ in setting.deployment)
        checker = _checker(setting, selected_by)
        checked = checker.check(body.expr, known)
        runbook = _runbook(parts["runbook"]) if "runbook" in parts else None
        for each in runbook.look if runbook else ():
            if each.query and (wrong := checker.check(each.query, known).violations):
                raise template.error(f"runbook: {'; '.join(wrong)}\n{each.query}")
    except Unlisted as error:
        raise template.error(error) from error
    result = checked.quantity
    problems = [*checked.violations, *_contradictions(body, result, labels, annotations)]
    if problems or result is None:
        raise template.error("; ".join(problems or ["yields no vector"]) + f"\n{body.expr}")
    bindings = {**body.bindings, "milvus": setting.milvus, "setting": setting}
    samples = [getattr(bound, "sample", {}) for bound in body.bindings.values()]
    rule = Rule(
        name=name,
        is_alert=alert is not None,
        expr=body.expr,
        labels=tuple(sorted(labels.items())),
        annotations=annotations,
        for_=Duration.parse(parts["for"]) if "for" in parts else alert.settings.for_ if alert else _AT_ONCE,
        keep_firing_for=alert.settings.keep_firing_for if alert else _AT_ONCE,
        condition=one_line(parts["condition"]),
        runbook=runbook,
        template=template,
        variant=body.variant.name,
        alert=alert,
        scenarios=tuple(_scenario(template, given, bindings) for given in body.scenarios),
        sample=tuple({label: text for sample in samples for label, text in sample.items()}.items()),
        disks=setting.disk,
        result=result,
        recorded=Quantity(result.unit, frozenset(result.labels | labels.keys()), le_unit=result.le_unit),
        metrics=checked.metrics,
        records=checked.records,
    )
    return _first(_Alike((*[getattr(rule, name) for name in _HASHABLE], repr(rule.scenarios)), rule))


_HASHABLE = tuple(field.name for field in fields(Rule) if field.name != "scenarios")


@dataclass(frozen=True, slots=True)
class _Alike:
    """A rule that stands for every other of the same content."""

    content: tuple[object, ...]
    rule: Rule = field(compare=False)


@lru_cache(maxsize=4096)
def _first(alike: _Alike) -> Rule:
    """Of rules that are alike, the first: where thresholds differ, most rules do not."""
    return alike.rule


def _scenario(template: RuleTemplate, given: Mapping[str, Any], bindings: Bound) -> Mapping[str, Any]:
    """A scenario with what its paths lead to. Raises TemplateError when one leads nowhere."""
    try:
        if not all(_named(given.get("when", []), bindings)):
            return {**given, "applies": False}
        stimuli = [_stimulus(each, bindings) for each in given["given"]]
        expect = given["expect"] if isinstance(given["expect"], str) else _stimulus(given["expect"], bindings)
    except (LookupError, AttributeError, TypeError) as error:
        raise template.error(f"scenario `{given.get('name')}`: {error!r}") from error
    return {**given, "applies": True, "given": stimuli, "expect": expect}


def _stimulus(given: Mapping[str, Any], bindings: Bound) -> dict[str, Any]:
    """An entry of `given` (or `expect`), with the points and buckets of a histogram and the labels to go through."""
    found = dict(given)
    if "for_each" in given:
        found["for_each"] = _named(given["for_each"], bindings)
    if "at" in given:
        found["at"] = lookup(given["at"], bindings)
    if "also" in given:
        found["also"] = tuple(lookup(given["also"], bindings).values)
    return found


def _named(paths: str | Iterable[str], bindings: Bound) -> list[Any]:
    """What a scenario refers to by a path, or by several."""
    return [lookup(path, bindings) for path in ([paths] if isinstance(paths, str) else paths)]


_AT_ONCE = Duration.parse("0s")


def _contradictions(
    body: _Body, result: Quantity | None, labels: Mapping[str, str], annotations: Texts
) -> Iterator[str]:
    """What a rule says of itself that its expression does not keep."""
    if result is None:
        return
    for label in body.setting.identity.split(", "):
        if label not in result.labels:
            yield f"loses the label {label} of the deployment's identity"
    if body.template.unit and unit_text(result.unit) != body.template.unit:
        yield f"yields {unit_text(result.unit)}, not {body.template.unit}"
    own = "".join(text for name, text in annotations if name in conventions.RESERVED_ANNOTATIONS)
    for label in dict.fromkeys(re.findall(r"\$labels\.(\w+)", own)):
        if label not in result.labels | labels.keys():
            yield f"names the label {label} in an annotation, where Prometheus would leave a gap"


def _runbook(parts: Mapping[str, Any]) -> Runbook:
    def advice(given: Mapping[str, Any], text: str) -> Advice:
        query, since, before = [given.get(key, "") for key in ("query", "since", "before")]
        return Advice(one_line(given[text]), one_line(query), since, before, given.get("on_dashboards", False))

    look = tuple([advice(each, "ask") for each in parts["look"]])
    fix = tuple([advice(each if isinstance(each, dict) else {"do": each}, "do") for each in parts["fix"]])
    return Runbook(one_line(parts["means"]), look, fix)


def _annotations(body: _Body, alert: AlertContext) -> Texts:
    texts = {
        conventions.SUMMARY: one_line(body.parts["summary"]),
        conventions.DESCRIPTION: one_line(body.parts["description"]),
    }
    if body.template.verdict:
        parts = [record.partition(" ") for record in body.template.verdict]
        asked = [body.setting.series(record, operation=operation) for record, _, operation in parts]
        scope = body.bindings.get("scope")
        whose = " of all collections" if scope and (scope.collections or scope.others) else ""
        identity = body.setting.identity.split(", ")
        texts[conventions.VERDICT] = verdict.annotation(body.setting.profile, identity, asked, whose)
    if body.setting.runbook_base_url:
        texts[conventions.RUNBOOK_URL] = f"{body.setting.runbook_base_url}/{body.template.name}.md"
    if body.setting.dashboard_url:
        texts[conventions.DASHBOARD_URL] = body.setting.dashboard_url
    return tuple({**texts, **{name: go_literal(text) for name, text in alert.annotations.items()}}.items())


def _note(records: dict[str, Quantity], rule: Rule) -> None:
    """Remembers what a rule records. Raises TemplateError on a contradiction."""
    if rule.is_alert:
        return
    known = records.setdefault(rule.name, rule.recorded)
    if known is not rule.recorded and known != rule.recorded:
        raise rule.template.error(f"{rule.name} is recorded twice, with different labels or units")


def _checker(setting: Setting, selected_by: frozenset[str] | None) -> Checker:
    disk = setting.disk.settings if setting.disk else None
    return _shared_checker(setting.milvus.release, setting.target_labels, selected_by, disk)


@cache
def _shared_checker(
    release: View, target_labels: frozenset[str], selected_by: frozenset[str] | None, disk: Disk | None
) -> Checker:
    return Checker(release, target_labels, selected_by, disk)


def _tidy(expr: str) -> str:
    """An expression without the blank lines and the indentation that templating leaves."""
    lines = [line.rstrip() for line in expr.splitlines() if line.strip()]
    return textwrap.dedent("\n".join(lines))
