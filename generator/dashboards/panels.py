"""Definition x rule set -> the rows and panels of one dashboard, every query checked like a rule.

In a definition a series is written with its braces and without what is the same for all: `name{...}` gets the
matchers that keep a query to one deployment, and a recorded series its window. A query whose series the release or the
profile does not have is left out, with its panel when it was the last one; nothing is dropped in silence.

Panels are shared between profiles like rules: one is compiled once for each combination of what it refers to, and of
what the release and the recorded series are as far as it names them.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cache, cached_property, lru_cache
from typing import Any

from generator import catalog, conventions
from generator.catalog import ALERTS, View, of_exporters
from generator.context import FUNCTION_NAMES, Setting
from generator.dashboards import definitions
from generator.dashboards.definitions import (
    Choice,
    DashboardDefinition,
    DefinitionError,
    PanelDefinition,
    QueryDefinition,
)
from generator.names import PLACEHOLDER, PROSE, Names
from generator.objectives import BURN_RATES, ObjectiveView, objectives
from generator.profile import TIERS, AlertSettings, Disk
from generator.promql.check import Checker, Quantity
from generator.promql.dimension import unit_text
from generator.promql.text import equals, escaped, matcher, quoted_string
from generator.rules import Group, Remark, Rule, RuleSet
from generator.thresholds import COLLECTION_LATENCY, LATENCY, PlacedScope, Scope, listed
from generator.units import Duration, Factor, Rate, Share, plain

# What a person calls a unit -> Grafana's id of it, and what the expression must yield.
UNITS = {
    "milliseconds": ("ms", "ms"),
    "share": ("percentunit", "1"),
    "count": ("short", "1"),
    "cores": ("short", "1"),
    "requests per second": ("reqps", "1/s"),
    "per second": ("cps", "1/s"),
    "per minute": ("opm", "1/s"),
    "bytes": ("bytes", "bytes"),
    "bytes per second": ("binBps", "bytes/s"),
    "seconds": ("s", "s"),
}

TIER_COLOURS = {"healthy": "green", "investigate": "orange", "slow": "red", "slow_query_span": "purple"}

_PLACE = re.compile(r"<< ([\w.]+) >>")
_SERIES = re.compile(r"([a-zA-Z_:][\w:]*)\{([^{}]*)\}")
_MATCHER = re.compile(r'(\w+)\s*(=~|!~|!=|=)\s*"((?:[^"\\]|\\.)*)"')
_VARIABLE = re.compile(r"\$(\w+)")
# Names of metrics are of several words.
_WORD = re.compile(r"[a-zA-Z]+_\w+|[a-zA-Z_]\w*:[\w:]*")


@dataclass(frozen=True, slots=True)
class Line:
    """A dashed line at a value, which is a number as text, and the colour of what lies above it."""

    at: str
    colour: str


@dataclass(frozen=True, eq=False)
class Query:
    """One query, ready for Grafana. `look` are settings of what it yields."""

    legend: str
    expr: str
    look: Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Panel:
    """One panel with all that it shows. `unit` is one of `UNITS`. Panels of the same content are equal.

    `alert` is the one whose runbook it leads to; empty where there is none.
    """

    title: str
    says: str
    alert: str
    shows: str
    width: int
    height: int
    unit: str
    look: Mapping[str, Any]
    queries: tuple[Query, ...]

    @cached_property
    def _content(self) -> str:
        about = self.title, self.says, self.alert
        return repr((*about, self.shows, self.width, self.height, self.unit, self.look, self.queries))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Panel) and self._content == other._content

    def __hash__(self) -> int:
        return hash(self._content)


@dataclass(frozen=True, slots=True)
class Row:
    """Panels under a headline, which may be empty."""

    title: str
    closed: bool
    panels: tuple[Panel, ...]


@dataclass(frozen=True, slots=True)
class Filled:
    """A definition filled in: its rows, the choices that the release has the label for, and what was left out."""

    rows: tuple[Row, ...]
    choices: tuple[Choice, ...]
    remarks: tuple[Remark, ...]


@dataclass(frozen=True, slots=True)
class Shares:
    """Per tier: the share of requests that it does not take longer, as an expression."""

    healthy: str
    investigate: str
    slow: str
    slow_query_span: str


@dataclass(frozen=True, slots=True)
class Kind:
    """Requests of one operation that have one set of thresholds, as definitions see them.

    `under` begins the selector of the recorded shares, `raw` are matchers for the histogram `metric`, `healthy` is that
    threshold in milliseconds.
    """

    title: str
    headline: str
    operation: str
    function: str
    of_some_collections: bool
    metric: str
    raw: str
    under: str
    share: Shares
    span_is_measured: bool
    healthy: str
    lines: tuple[Line, ...]
    lines_in_words: str

    @property
    def of_all_collections(self) -> bool:
        return not self.of_some_collections


@dataclass(frozen=True, slots=True)
class Operation:
    """A kind of request by the value of `query_type`."""

    name: str

    @property
    def title(self) -> str:
        return self.name.replace("_", " ")


@dataclass(frozen=True, slots=True)
class BurnWindow:
    """A window that a burn rate is shown for, and the name of what is recorded over it."""

    name: str
    series: str
    colour: str


@dataclass(frozen=True, slots=True)
class Promise:
    """An objective for requests with one set of thresholds, as definitions see it.

    `over` and `judged` are the names of its recorded series, `own` their matchers; `lines` are where alerts fire.
    """

    title: str
    over: str
    judged: str
    own: str
    allowed: str
    period: str
    windows: tuple[BurnWindow, ...]
    lines: tuple[Line, ...]

    @classmethod
    def of(cls, view: ObjectiveView, names: Names) -> Promise:
        over = f"{view.scope.level}:milvus_searches_over_tier"
        colours = [*zip(BURN_RATES, ("red", "orange", "blue"), strict=True)]
        title = f"{view.objective.ratio} of {view.in_words} under {view.objective.tier}"
        return cls(
            title=names.stand_in(title, like=PROSE),
            over=f"{over}:rate",
            judged=f"{view.scope.level}:milvus_searches_judged:rate",
            own=f'tier="{view.tier.name}"{view.and_matching}',
            allowed=plain(view.allowed),
            period=str(view.objective.period),
            windows=tuple(
                BurnWindow(str(rate.long), f"{over}:ratio_rate{rate.long}", colour) for rate, colour in colours
            ),
            lines=tuple(Line(plain(rate.times), colour) for rate, colour in reversed(colours)),
        )


@dataclass(frozen=True, slots=True)
class Limits:
    """Where alerts fire, as shares of requests. All are numbers as text."""

    investigate: str
    slow: str
    failing: str
    rejected: str

    @classmethod
    def of(cls, alerts: Mapping[str, AlertSettings], names: Names) -> Limits:
        def number(name: str) -> str:
            threshold = alerts[name].threshold
            found = threshold.ratio if isinstance(threshold, Share) else alerts[name].quantile
            assert found is not None
            return names.stand_in(plain(found), like=PROSE)

        return cls(
            number("MilvusSearchLatencyInvestigate"),
            number("MilvusSearchLatencySlow"),
            number("MilvusRequestsFailing"),
            number("MilvusRequestsRejected"),
        )


@dataclass(frozen=True, slots=True)
class Decision:
    """What a panel says of the alert whose condition it shows, and the numbers it decides by, as text.

    A number that the alert does not have is empty. `fires` is False where the profile or the release does without it.
    """

    alert: str
    fires: bool
    sentence: str
    threshold: str = ""
    least: str = ""
    milliseconds: str = ""
    seconds: str = ""
    cores: str = ""

    @classmethod
    def of(cls, rules: Sequence[Rule], cpus: float | None, names: Names) -> Decision:
        """Of the rules of one alert: several where scopes differ, which have one threshold."""
        first = rules[0]
        texts = {name: names.stand_in(text, like=PROSE) for name, text in cls._numbers(first, cpus)}
        conditions = "; or when ".join(dict.fromkeys(names.put_back(rule.condition) for rule in rules))
        sentence = f"{first.name} fires when {conditions}."
        return cls(first.name, fires=True, sentence=names.stand_in(sentence, like=PROSE), **texts)

    @staticmethod
    @lru_cache(maxsize=1024)
    def _numbers(rule: Rule, cpus: float | None) -> tuple[tuple[str, str], ...]:
        context = rule.alert
        assert context is not None
        settings = context.settings
        numbers: dict[str, Decimal | float] = {}
        match settings.threshold:
            case Share(ratio=share):
                numbers = {"threshold": share} | ({"cores": float(share) * cpus} if cpus else {})
            case Factor(times=times):
                numbers = {"threshold": times}
            case Rate(per_minute=rate):
                numbers = {"threshold": rate}
            case Duration():
                numbers = {"seconds": context.lately.seconds}
        if settings.least is not None:
            numbers["least"] = Decimal(settings.least)
        if settings.min_time is not None:
            numbers["milliseconds"] = settings.min_time.milliseconds
        return tuple((name, plain(number)) for name, number in numbers.items())


@dataclass(frozen=True, slots=True)
class ByCollection:
    """The latency histogram that tells collections apart: its name, and the labels that name a collection."""

    metric: str
    labels: str

    @property
    def any(self) -> str:
        """A matcher that only a release with the label can serve."""
        return 'collection_name!=""'

    @property
    def chosen(self) -> str:
        return 'collection_name=~"$collection_name"'


@dataclass(frozen=True, eq=False)
class Records:
    """The series that a rule set records: the type of each, and the labels that its rules set themselves."""

    types: Mapping[str, Quantity]
    labels: Mapping[str, tuple[Mapping[str, str], ...]]

    def missing(self, name: str, wanted: list[tuple[str, str, str]]) -> str:
        """Why the series cannot be read with these matchers; empty when it can."""
        bare = name.split(":")[1]
        if name not in self.types:
            return f"{bare} is not recorded"
        own = {label for labels in self.labels[name] for label in labels}
        asked = [each for each in wanted if each[0] in own - {conventions.PROFILE}]
        if any(
            all(_matches(labels.get(label, ""), op, value) for label, op, value in asked)
            for labels in self.labels[name]
        ):
            return ""
        matchers = ", ".join([f'{label}{op}"{value}"' for label, op, value in asked])
        return f"{bare}{{{matchers}}} is not recorded"


def _matches(text: str, op: str, value: str) -> bool:
    found = bool(re.fullmatch(value, text)) if "~" in op else text == value
    return found != op.startswith("!")


def records_of(rule_set: RuleSet) -> Records:
    """What a rule set records; one object for all that record the same."""
    return _merged(tuple(_of_group(group) for group in rule_set.groups))


@lru_cache(maxsize=1024)
def _of_group(group: Group) -> Records:
    found = tuple((rule.name, rule.recorded, rule.labels) for rule in group.rules if not rule.is_alert)
    return _interned(found)


@lru_cache(maxsize=1024)
def _interned(found: tuple[tuple[str, Quantity, tuple[tuple[str, str], ...]], ...]) -> Records:
    labels: dict[str, list[Mapping[str, str]]] = {}
    for name, _, own in found:
        labels.setdefault(name, []).append(dict(own))
    return Records(
        {name: quantity for name, quantity, _ in found}, {name: tuple(each) for name, each in labels.items()}
    )


@lru_cache(maxsize=4096)
def _only(whole: Records, stems: frozenset[str]) -> Records:
    """The series whose names begin so, whatever the operation; one object for all rule sets that record the same."""
    own = [name for name in whole.types if name.rpartition(":")[0] in stems]
    return _interned(
        tuple((name, whole.types[name], tuple(labels.items())) for name in own for labels in whole.labels[name])
    )


@lru_cache(maxsize=1024)
def _merged(parts: tuple[Records, ...]) -> Records:
    types: dict[str, Quantity] = {}
    for name, quantity in ((name, quantity) for part in parts for name, quantity in part.types.items()):
        before = types.get(name)
        # Deployments of a fleet may be told apart by different labels.
        types[name] = replace(quantity, labels=quantity.labels | before.labels) if before else quantity
    labels = {name: tuple(each for part in parts for each in part.labels.get(name, ())) for name in types}
    return Records(types, labels)


@dataclass(frozen=True, eq=False)
class Reach:
    """What the queries of a dashboard are about, and may read.

    `recorded`, `raw` and `disks` are the matchers that keep them to it; `windows` are those that series are recorded
    over.
    """

    recorded: str
    raw: str
    disks: str
    windows: tuple[Duration, ...]
    records: Records
    checker: Checker


@lru_cache(maxsize=4096)
def _narrowed(about: Reach, words: frozenset[str]) -> Reach:
    """The reach of queries that name nothing but what is among the words."""
    checker = about.checker
    assert isinstance(checker.release, View)
    stems = frozenset(word.rpartition(":")[0] for word in words)
    families = {word.removesuffix(part) for word in words for part in ("_bucket", "_sum", "_count")}
    view = catalog.narrowed(checker.release, words | families)
    return _reach(
        about.recorded,
        about.raw,
        about.disks,
        about.windows,
        _only(about.records, stems),
        view,
        checker.target_labels,
        checker.selected_by,
        checker.disk,
    )


@lru_cache(maxsize=4096)
def _reach(
    recorded: str,
    raw: str,
    disks: str,
    windows: tuple[Duration, ...],
    records: Records,
    view: View,
    target_labels: frozenset[str],
    selected_by: frozenset[str] | None,
    disk: Disk | None,
) -> Reach:
    return Reach(recorded, raw, disks, windows, records, Checker(view, target_labels, selected_by, disk))


@lru_cache(maxsize=1024)
def reach(setting: Setting, view: View, records: Records) -> Reach:
    """The reach of a profile's dashboards: one deployment at a time, the one that is chosen."""
    identity = setting.identity.split(", ")
    chosen = [f'{label}="${variable(label)}"' for label in identity]
    others = [_literal(label, values) for label, values in setting.deployment if label not in identity]
    disk = setting.disk.settings if setting.disk else None
    disks = [f'{label}="${variable(label)}"' for label in disk.shared] if disk else []
    disks += [_literal(label, values) for label, values in disk.selector if label not in disk.shared] if disk else []
    return Reach(
        recorded=", ".join([equals(conventions.PROFILE, setting.profile), *chosen]),
        raw=", ".join([*chosen, *others]),
        disks=", ".join(disks),
        windows=(setting.window,),
        records=records,
        checker=Checker(view, setting.target_labels, frozenset(label for label, _ in setting.deployment), disk),
    )


@dataclass(frozen=True, slots=True)
class Part:
    """Rule sets of a fleet whose alerts have the same limits; `profiles` is the matcher for their series."""

    profiles: str
    alerts: Limits


def fleet_reach(rule_sets: Sequence[RuleSet], view: View) -> tuple[Reach, dict[str, Any]]:
    """The reach of the overview of a fleet, all deployments at once, and what it may refer to."""
    alike: dict[Limits, list[str]] = {}
    in_full = Names(unused=True)
    for rule_set in rule_sets:
        alike.setdefault(Limits.of(rule_set.profile.alerts, in_full), []).append(rule_set.profile.name)
    everything = [rule_set.profile.name for rule_set in rule_sets]
    identity = identity_of(rule_sets)
    target_labels = frozenset(label for rule_set in rule_sets for label in rule_set.setting.target_labels)
    about = Reach(
        recorded="",
        raw="",
        disks="",
        windows=tuple(dict.fromkeys(rule_set.profile.window for rule_set in rule_sets)),
        records=_merged(tuple(records_of(rule_set) for rule_set in rule_sets)),
        checker=Checker(view, target_labels, frozenset(identity)),
    )
    context = {
        "identity": ", ".join(identity),
        "profiles": matcher(conventions.PROFILE, everything),
        "parts": tuple(Part(matcher(conventions.PROFILE, names), limits) for limits, names in alike.items()),
        "identity_in_legends": " ".join(f"{{{{{label}}}}}" for label in identity),
    }
    return about, context


def identity_of(rule_sets: Iterable[RuleSet]) -> tuple[str, ...]:
    """Every label that tells deployments of a fleet apart; not each of them need have it."""
    return tuple(dict.fromkeys(label for rule_set in rule_sets for label in rule_set.profile.identity))


def variable(label: str) -> str:
    """The name of the variable that chooses the values of a label that names deployments."""
    return f"label_{label}" if label in _taken() or label.startswith("__") else label


@cache
def _taken() -> frozenset[str]:
    """The variables that dashboards have whatever the profiles."""
    return frozenset({"datasource", *(choice.name for each in definitions.load() for choice in each.choices)})


def _literal(label: str, values: tuple[str, ...]) -> str:
    """A matcher for the values, in which Grafana finds no variable: a `$` is matched as any character."""
    if not any("$" in value for value in values):
        return matcher(label, values)
    patterns = [escaped(value).replace("\\$", ".") for value in values]
    return f"{label}=~{quoted_string('|'.join(patterns))}"


def fill(definition: DashboardDefinition, about: Reach, context: Mapping[str, Any]) -> Filled:
    """The panels of a dashboard. `context` is what it may refer to. Raises DefinitionError."""
    rows: list[Row] = []
    remarks: dict[Remark, None] = {}
    decisions = {each.alert: each for each in context.get("decisions", ())}
    for row in definition.rows:
        for bindings in _combinations(row.for_each, context):
            inner = {**context, **bindings}
            panels = []
            for panel in row.panels:
                own = _own(panel, {**inner, "alert": decisions.get(panel.alert)} if panel.alert else inner)
                found, left_out = _panel(panel, _narrowed(about, _words(panel, own)), own)
                remarks |= dict.fromkeys(left_out)
                if found:
                    panels.append(found)
            if panels:
                rows.append(Row(_filled(row.title, inner), row.closed, tuple(panels)))
    choices = []
    for choice in definition.choices:
        selector, why = expanded(_filled(choice.selector, context), about)
        if not why:
            choices.append(replace(choice, selector=selector))
    said = tuple(replace(each, rule=f"{each.rule} ({definition.name})") for each in remarks)
    return Filled(tuple(rows), tuple(choices), said)


@lru_cache(maxsize=4096)
def _panel(
    definition: PanelDefinition, about: Reach, own: tuple[tuple[str, Any], ...]
) -> tuple[Panel | None, tuple[Remark, ...]]:
    """One panel, or None when nothing of it is left, and what was left out of it."""
    context = dict(own)
    decision: Decision | None = context.get("alert")
    try:
        title = _filled(definition.title, context)
        queries: list[Query] = []
        lost: dict[str, str] = {}
        for query in definition.queries:
            for bindings in _combinations(query.for_each, context):
                inner = {**context, **bindings}
                if query.when and not _found(query.when, inner):
                    continue
                legend = _filled(query.legend, inner)
                expr, why = _first(query, inner, about)
                if expr:
                    look = _filled(query.look, inner)
                    unit = look.get("unit", definition.unit)
                    check(definition.where, unit, expr, about, buckets=definition.shows == "heatmap")
                    queries.append(Query(legend, expr, look))
                else:
                    lost[legend] = why
        panel = Panel(
            title=title,
            says=_filled(definition.says, context) + (f" {decision.sentence}" if decision else ""),
            alert=decision.alert if decision and decision.fires else "",
            shows=definition.shows,
            width=definition.width,
            height=definition.height,
            unit=definition.unit,
            look=_filled(definition.look, context),
            queries=tuple(queries),
        )
    except (LookupError, AttributeError, ValueError, TypeError) as error:
        raise definition.error(error) from error
    if not queries:
        return None, (Remark(f'the panel "{title}"', "", "; ".join(dict.fromkeys(lost.values()))),)
    return panel, tuple(Remark(f'"{legend}" of the panel "{title}"', "", why) for legend, why in lost.items())


def _first(query: QueryDefinition, context: Mapping[str, Any], about: Reach) -> tuple[str, str]:
    """The first expression of a query that can be served; or none, and why not even the last can."""
    why = ""
    for expr in query.exprs:
        parts = [_filled(expr, {**context, **bindings}) for bindings in _combinations(query.join_over, context)]
        text, why = expanded("\nor\n".join(parts), about)
        if not why:
            return text, ""
    return "", why


def expanded(expr: str, about: Reach) -> tuple[str, str]:
    """The expression with the matchers and windows that definitions leave out, and why it cannot be served, if so."""
    reasons: dict[str, None] = {}

    def in_full(found: re.Match[str]) -> str:
        name, given = found[1], found[2].strip()
        matchers = about.disks if name in of_exporters() else about.raw
        matchers = about.recorded if ":" in name or name == ALERTS else matchers
        selector = "{" + ", ".join(filter(None, (matchers, given))) + "}"
        if ":" in name:
            names, why = _recorded(name, given, about)
            reasons.update(dict.fromkeys(why))
            selectors = [each + selector for each in names] or [name + selector]
            return selectors[0] if len(selectors) == 1 else f"({' or '.join(selectors)})"
        if name != ALERTS and (problem := about.checker.requirement(_sampled(name + selector, about))):
            reasons[problem] = None
        return name + selector

    text = _SERIES.sub(in_full, expr)
    return text, "; ".join(reasons)


def _recorded(name: str, matchers: str, about: Reach) -> tuple[list[str], tuple[str, ...]]:
    """The series of this name, over whatever windows they are recorded, and why there is none."""
    wanted = _MATCHER.findall(matchers)
    names = list(dict.fromkeys([name, *(f"{name}{window}" for window in about.windows)]))
    found = [each for each in names if not about.records.missing(each, wanted)]
    return found, () if found else (about.records.missing(names[-1], wanted),)


def _sampled(expr: str, about: Reach) -> str:
    """The expression with every variable of Grafana, and every placeholder, replaced by a value that it might have."""
    samples = {"__rate_interval": str(about.windows[0]), "__range": "1h"}
    return _VARIABLE.sub(lambda found: samples.get(found[1], "any"), PLACEHOLDER.sub("1", expr))


def check(where: str, unit: str, expr: str, about: Reach, *, buckets: bool = False) -> None:
    """Raises DefinitionError when an expression is not sound, or not of the unit that is shown.

    `buckets` are counts by bucket, whose bounds have the unit.
    """
    checked = about.checker.check(_sampled(expr, about), about.records.types)
    problems = list(checked.violations)
    if checked.quantity is None:
        problems.append("yields no vector")
    else:
        found = checked.quantity.le_unit if buckets else unit_text(checked.quantity.unit)
        if found != UNITS[unit][1]:
            problems.append(f"yields {found}, which is not shown as {unit}")
    if (unit == "per minute") != expr.startswith("60 * "):
        problems.append("what is shown per minute is 60 times what comes per second")
    if problems:
        raise DefinitionError(f"{where}: {'; '.join(problems)}\n{expr}")


def _own(definition: PanelDefinition, context: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
    """What a panel refers to, by its path. Raises DefinitionError."""
    if definition.alert and context.get("alert") is None:
        raise definition.error(f"there is no alert {definition.alert}")
    try:
        own = [(path, _found(path, context)) for root, path in _paths(definition) if root in context]
        return (*own, ("alert", context["alert"])) if definition.alert else tuple(own)
    except (LookupError, AttributeError) as error:
        raise definition.error(error) from error


@lru_cache(maxsize=256)
def _paths(definition: PanelDefinition) -> tuple[tuple[str, str], ...]:
    """Every path in a panel, with the name that it begins with: all that the panel depends on."""
    found = _PLACE.findall(repr((definition.title, definition.says)) + _texts(definition))
    return tuple((path.partition(".")[0], path) for path in dict.fromkeys(found))


@lru_cache(maxsize=4096)
def _words(definition: PanelDefinition, own: tuple[tuple[str, Any], ...]) -> frozenset[str]:
    """Whatever may be the name of a series in the queries of a panel, as definitions write it."""
    return frozenset(_WORD.findall(_texts(definition) + repr(own)))


@lru_cache(maxsize=256)
def _texts(definition: PanelDefinition) -> str:
    """All of a panel in which something may be referred to, but its own texts."""
    texts = repr(definition.look)
    for query in definition.queries:
        repeated = (*query.for_each.values(), *query.join_over.values())
        texts += repr((query.legend, query.exprs, query.look, repeated)) + f"<< {query.when} >>"
        texts += "".join(f"<< {path} >>" for path in repeated if isinstance(path, str))
    return texts


def _combinations(for_each: Mapping[str, Any], context: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Every combination of values for the variables of `for_each`."""
    names = list(for_each)
    lists = [_found(each, context) if isinstance(each, str) else each for each in for_each.values()]
    for values in itertools.product(*lists):
        yield dict(zip(names, values, strict=True))


def _filled(value: Any, context: Mapping[str, Any]) -> Any:
    """The value with every `<< path >>` replaced; a text that is nothing else becomes what the path leads to."""
    if isinstance(value, Mapping):
        return {key: _filled(inner, context) for key, inner in value.items()}
    if isinstance(value, tuple):
        return tuple([_filled(item, context) for item in value])
    if not isinstance(value, str) or "<<" not in value:
        return value
    if whole := _PLACE.fullmatch(value):
        return _found(whole[1], context)
    return _PLACE.sub(lambda found: str(_found(found[1], context)), value)


def _found(path: str, context: Mapping[str, Any]) -> Any:
    """What a dotted path leads to, through attributes and keys. A panel's context has it as a whole."""
    if path in context:
        return context[path]
    value: Any = context
    for name in path.split("."):
        value = value[name] if isinstance(value, Mapping) else getattr(value, name)
    return value


def context_of(rule_set: RuleSet) -> dict[str, Any]:
    """What the dashboards of a profile may refer to."""
    profile = rule_set.profile
    kinds = tuple(_kinds(rule_set.scopes, rule_set.names))
    histogram = rule_set.release.metric(LATENCY)
    by_collection = histogram if histogram and "collection_name" in histogram.labels else None
    by_collection = by_collection or rule_set.release.metric(COLLECTION_LATENCY) or histogram
    assert by_collection is not None
    labels = [label for label in ("db_name", "collection_name") if label in by_collection.labels]
    return {
        "kinds": kinds,
        "first": kinds[0],
        "objectives": tuple(
            Promise.of(each, rule_set.names)
            for each in objectives(profile.objectives, rule_set.scopes, rule_set.names)
            if isinstance(each, ObjectiveView)
        ),
        "operations": tuple(Operation(name) for name in profile.operations),
        "query_types": matcher("query_type", profile.operations),
        "alerts": Limits.of(profile.alerts, rule_set.names),
        "by_collection": ByCollection(by_collection.name, ", ".join(labels)),
        "decisions": tuple(_decisions(rule_set)),
        "identity_and_job": rule_set.setting.identity_and_job,
        "identity_and_target": rule_set.setting.identity_and_target,
    }


def _decisions(rule_set: RuleSet) -> Iterator[Decision]:
    """What there is to say of each alert whose condition some panel shows."""
    shown = definitions.alerts()
    wanted = frozenset(shown)
    rules: dict[str, list[Rule]] = {}
    for rule in (rule for group in rule_set.groups for rule in group.rules if rule.name in wanted):
        rules.setdefault(rule.name, []).append(rule)
    why_not = {} if len(rules) == len(shown) else {each.rule: each.why for each in rule_set.remarks if not each.instead}
    for name in shown:
        if alike := rules.get(name):
            yield Decision.of(alike, rule_set.profile.cpus, rule_set.names)
        else:
            sentence = f"{name} is left out, and with it the line where it would fire: {why_not[name]}."
            yield Decision(name, fires=False, sentence=rule_set.names.stand_in(sentence, like=PROSE))


def _kinds(scopes: tuple[PlacedScope, ...], names: Names) -> Iterator[Kind]:
    for placed in scopes:
        scope = placed.scope
        in_words = "; ".join(f"{each.name} {each.threshold} is {each.in_words}" for each in placed.measured)
        in_words = names.stand_in(in_words, like=PROSE)
        healthy = names.stand_in(plain(placed.healthy.threshold.milliseconds), like=PROSE)
        lines = tuple(
            Line(names.stand_in(each.milliseconds, like=PROSE), TIER_COLOURS[each.name]) for each in placed.measured
        )
        which = (
            f" of {listed(scope.collections)}" if scope.collections else " of other collections" if scope.others else ""
        )
        for operation in scope.operations:
            title = Operation(operation).title + which
            also = f'query_type="{operation}"{scope.and_label}'
            under, judged = (
                f"{scope.level}:milvus_searches_{what}{{{also}" for what in ("under_tier:ratio_rate", "judged:rate")
            )
            yield Kind(
                title=title,
                headline=title[0].upper() + title[1:],
                operation=operation,
                function=FUNCTION_NAMES[operation],
                of_some_collections=bool(scope.collections or scope.others),
                metric=scope.metric,
                raw=f'query_type="{operation}"{_collections(scope)}',
                under=under,
                share=Shares(*(_share(tier, under, judged, several=bool(scope.collections)) for tier in TIERS)),
                span_is_measured=placed.slow_queries.measured is not None,
                healthy=healthy,
                lines=lines,
                lines_in_words=in_words,
            )


def _collections(scope: Scope) -> str:
    """Matchers, with a leading comma, for the collections of a scope in the raw histogram."""
    rest = _MATCHER.findall(scope.matching)
    return "".join(f', {label}{op}"{value}"' for label, op, value in rest if label == "collection_name") + (
        f", {matcher('collection_name', scope.collections)}" if scope.collections else ""
    )


def _share(tier: str, under: str, judged: str, *, several: bool) -> str:
    """The share of requests under a tier; weighted by requests where there are several collections."""
    share, weight = (f'{selector}, tier="{tier}"}}' for selector in (under, judged))
    return f"sum({share} * {weight}) / (sum({weight}) > 0)" if several else f"max({share})"
