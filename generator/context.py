"""What the strings of a rule template can refer to: the setting of a profile, its scopes, an alert's numbers.

All of it is hashable, and holds placeholders for what differs between otherwise equal profiles: a rule is rendered
once for each combination of what it refers to, and then shared.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from decimal import ROUND_UP, Decimal
from functools import cached_property, lru_cache
from typing import Any

from generator import catalog, conventions
from generator.buckets import Measured, Point
from generator.catalog import Release, View
from generator.names import PROSE, Names
from generator.profile import AlertSettings, Disk, Profile, Selector, Texts
from generator.promql.text import matcher, matchers_of
from generator.templates import Library, RuleTemplate
from generator.thresholds import PlacedScope, Scope, SlowQueries, Tier, identity_in_words
from generator.units import Duration, Factor, Rate, Share, plain

RATE_LIMITED = "milvus_proxy_rate_limit_req_count"
_REQUESTS = "milvus_proxy_req_count"

# Scenarios on shares count in this many requests, so that even a small step of the share is a whole number of them.
_MANY = 1_000_000
# More samples than a window has in tests.
_SAMPLES = 40


@dataclass(frozen=True, eq=False)
class Milvus:
    """What templates can ask about the release, as far as their file lists the metrics."""

    release: View

    @cached_property
    def foreign_roles(self) -> tuple[str, ...]:
        """Roles that other releases have, and this one has not."""

        def roles(release: View | Release) -> tuple[str, ...]:
            metric = release.metric("milvus_num_node")
            return metric.values["role_name"] if metric else ()

        every = dict.fromkeys(role for branch in catalog.branches() for role in roles(catalog.release(branch)))
        return tuple(role for role in every if role not in roles(self.release))

    @cached_property
    def vector_index(self) -> str:
        """The histogram of the time in the vector index."""
        return "search_latency" if self.release.metric("search_latency") else "knowhere_search_latency"

    @cached_property
    def other_index_calls(self) -> tuple[str, ...]:
        """The histograms of calls into the vector index that are no plain searches: range searches and iterators."""
        names = ("range_search_latency", "knowhere_range_search_latency", "ann_iterator_init_latency")
        return tuple(name for name in names if self.release.metric(name))

    @cached_property
    def has_iterators(self) -> bool:
        """Whether the vector index counts iterators."""
        return self.release.metric("ann_iterator_init_latency") is not None

    @cached_property
    def failed_status(self) -> str:
        """The status of a request that failed."""
        return self._status(_REQUESTS, "fail") or "fail"

    @cached_property
    def counts_abandoned(self) -> bool:
        """Whether requests that were not enqueued have a status of their own."""
        return bool(self._status(_REQUESTS, "abandon"))

    @cached_property
    def tells_cause(self) -> bool:
        """Whether failures say who caused them, in a label of their own."""
        metric = self.release.metric(_REQUESTS)
        return metric is not None and "cause" in metric.labels

    def rejected_status(self, part: Mapping[str, str]) -> str:
        """The status of a request that the part of the proxy rejected."""
        return self._status(part["metric"], part["rejected"])

    def _status(self, metric: str, kind: str) -> str:
        """The first value of `status` that is of this kind: `fail` itself, or one that starts with `fail_`."""
        found = self.release.metric(metric)
        values = found.values.get("status", ()) if found else ()
        return next((value for value in reversed(values) if value == kind or value.startswith(f"{kind}_")), "")

    def to_ms(self, metric: str) -> str:
        """What turns the unit of a metric into milliseconds, as the end of an expression."""
        return " / 1000" if self.units_per_ms(metric) == 1000 else ""

    def units_per_ms(self, metric: str) -> int:
        found = self.release.metric(metric)
        return 1000 if found and found.unit == "us" else 1


@dataclass(frozen=True, slots=True)
class DiskView:
    """The disks of a deployment as templates see them."""

    settings: Disk

    @property
    def metric(self) -> str:
        """The counter of the seconds in which a disk had something to do."""
        return catalog.DISK_TIME[self.settings.exporter].name

    @property
    def selector(self) -> str:
        return matchers_of(self.settings.selector)

    @property
    def shared(self) -> str:
        """The labels that tell whose disk it is; empty where there is nothing to tell."""
        return ", ".join(self.settings.shared)

    @property
    def sample(self) -> dict[str, str]:
        """The labels by which a disk is found, for tests."""
        return {label: values[0] for label, values in self.settings.selector}

    @property
    def second(self) -> dict[str, str]:
        """In what another disk can differ that is found, too, for tests."""
        several = [(label, values[1]) for label, values in self.settings.selector if len(values) > 1]
        free = [(label, "second") for label in ("instance", "device", "disk", "other") if label not in self.sample]
        return dict([*several, *free][:1])


@dataclass(frozen=True, eq=False)
class Setting:
    """What every template can refer to, beside what it binds itself. Profiles that agree in all of it share it.

    `selector` is the profile's, as matchers; `deployment` has its labels and their values, but of labels that name a
    deployment at most two. These are the `identity`, and `open_labels` those of them that are not fixed to one value.
    Scenarios are rendered where it `is_tested`.
    """

    library: Library
    milvus: Milvus
    deployment: Selector
    target_labels: frozenset[str]
    profile: str
    selector: str
    identity: str
    identity_and_job: str
    identity_and_target: str
    open_labels: tuple[str, ...]
    where: str
    window: Duration
    operations: tuple[str, ...]
    functions: tuple[str, ...]
    cpus: float | None
    disk: DiskView | None
    runbook_base_url: str
    dashboard_url: str
    is_tested: bool

    @property
    def has_targets(self) -> bool:
        """Whether a deployment can have several targets, as far as its labels tell."""
        return "instance" not in self.target_labels

    @property
    def nowhere(self) -> tuple[dict[str, str], ...]:
        """The labels of what is absent without a word about which deployment it should be, for tests."""
        return (dict.fromkeys(self.open_labels, "unknown"),)

    @property
    def other_job(self) -> str:
        """The scrape job of what is not Milvus, for tests."""
        jobs = dict(self.deployment).get("job", ("milvus",))
        return conventions.other_than(jobs[0], jobs)

    @property
    def other_functions(self) -> tuple[dict[str, str], ...]:
        """The labels of requests of another kind than searches, for tests; none where only searches are watched."""
        return tuple({"function_name": name} for name in self.functions if name != "Search")[:1]

    @property
    def limited_queries(self) -> tuple[dict[str, str], ...]:
        """The labels of queries at the rate limiter, for tests."""
        return ({"msg_type": "DQLQuery"},)

    @property
    def queries(self) -> tuple[dict[str, str], ...]:
        """The labels of queries, for tests; none where they are not watched."""
        return tuple({"function_name": name} for name in self.functions if name == "Query")

    @property
    def hybrid_searches(self) -> tuple[dict[str, str], ...]:
        """The labels of hybrid searches, for tests; none where they are not watched."""
        return tuple({"function_name": name} for name in self.functions if name == "HybridSearch")

    @cached_property
    def context(self) -> dict[str, Any]:
        """The variables and functions of the templates. Treat it as read-only."""
        names = {field.name: getattr(self, field.name) for field in fields(self)}
        return {**names, "series": self.series, "matcher": matcher, "other_job": self.other_job}

    def series(self, record: str, scope: Scope | None = None, operation: str = "") -> str:
        """The name of the series that the template `record` records (at the level of the scope).

        `operation` is that of one of several series, where the template records several.
        """
        template = self.library.records[record]
        return self.series_of(template, operation or template.operation, scope)

    def series_of(self, template: RuleTemplate, operation: str, scope: Scope | None) -> str:
        level = (
            template.level
            if isinstance(template.level, str)
            else template.level[scope.level if scope else "deployment"]
        )
        return conventions.series_name(level, template.metric, operation, None if template.windowless else self.window)


def settings_of(profile: Profile, release: Release, library: Library, names: Names) -> tuple[Setting, ...]:
    """The setting of each topic: the same objects for profiles that differ in nothing but names."""
    name = names.stand_in(profile.name)
    deployment, selector = _selected(profile, names)
    return tuple(
        _shared_setting(
            library,
            catalog.view(release, topic.metrics),
            name,
            deployment,
            selector,
            profile.identity,
            profile.window,
            profile.operations,
            profile.cpus,
            profile.disk,
            profile.runbook_base_url,
            profile.dashboard_url,
            "tests" in profile.outputs,
        )
        for topic in library.topics
    )


def _selected(profile: Profile, names: Names) -> tuple[Selector, str]:
    """The deployment and the matchers of a setting. A fleet has hundreds of names: in matchers, one text for most."""
    deployment: list[tuple[str, tuple[str, ...]]] = []
    matchers = []
    for label, values in profile.selector:
        if label in profile.identity and (shortened := names.alternatives(values)):
            deployment.append((label, shortened[:2]))
            matchers.append(f'{label}=~"{"|".join(shortened)}"')
        else:
            deployment.append((label, (names.stand_in(values[0]),) if len(values) == 1 else values))
            matchers.append(matcher(*deployment[-1]))
    return tuple(deployment), ", ".join(matchers)


@lru_cache(maxsize=1024)
def _shared_setting(
    library: Library,
    release: View,
    name: str,
    deployment: Selector,
    selector: str,
    identity: tuple[str, ...],
    window: Duration,
    operations: tuple[str, ...],
    cpus: float | None,
    disk: Disk | None,
    runbook_base_url: str,
    dashboard_url: str,
    is_tested: bool,
) -> Setting:
    names = ", ".join(identity)
    fixed = {label for label, values in deployment if len(values) == 1}
    return Setting(
        library=library,
        milvus=Milvus(release),
        deployment=deployment,
        target_labels=frozenset([*identity, *(label for label, _ in deployment)]),
        profile=name,
        selector=selector,
        identity=names,
        identity_and_job=names if "job" in identity else f"{names}, job",
        identity_and_target=", ".join(dict.fromkeys([*identity, "job", "instance"])),
        open_labels=tuple(label for label in identity if label not in fixed),
        where=identity_in_words(identity),
        window=window,
        operations=operations,
        functions=tuple(FUNCTION_NAMES[operation] for operation in operations),
        cpus=cpus,
        disk=DiskView(disk) if disk else None,
        runbook_base_url=runbook_base_url,
        dashboard_url=dashboard_url,
        is_tested=is_tested,
    )


# What req_count calls the operations that sq_latency knows by their query_type.
FUNCTION_NAMES = {"search": "Search", "query": "Query", "hybrid_search": "HybridSearch"}


@dataclass(frozen=True, slots=True)
class TierView:
    """A threshold as templates see it: the point where it is measured, and texts about it."""

    name: str
    point: Point
    threshold: str
    milliseconds: str
    in_words: str

    @classmethod
    def of(cls, measured: Measured, names: Names) -> TierView:
        return cls(
            measured.name,
            measured.point,
            names.stand_in(str(measured.threshold)),
            names.stand_in(measured.milliseconds, like=PROSE),
            names.stand_in(measured.in_words, like=PROSE),
        )


@dataclass(frozen=True, slots=True)
class SlowQueriesView:
    """How slow queries are counted, as templates see it; `point` is None where Milvus counts them."""

    point: Point | None
    counted_by_milvus: bool
    in_words: str
    why_not_counted: str

    @classmethod
    def of(cls, slow: SlowQueries, names: Names) -> SlowQueriesView:
        point = slow.measured.point if slow.measured else None
        in_words, why = (names.stand_in(text, like=PROSE) for text in (slow.in_words, slow.why_not_counted))
        return cls(point, slow.counted_by_milvus, in_words, why)


@dataclass(frozen=True, slots=True)
class ScopeView:
    """A scope with its thresholds, as templates see it."""

    scope: Scope
    investigate: TierView
    slow: TierView
    slow_queries: SlowQueriesView
    healthy_milliseconds: float
    tiers: tuple[Tier, ...]
    reference: Point
    lowest: Point

    @classmethod
    def of(cls, placed: PlacedScope, names: Names) -> ScopeView:
        return cls(
            placed.scope,
            TierView.of(placed.investigate, names),
            TierView.of(placed.slow, names),
            SlowQueriesView.of(placed.slow_queries, names),
            float(placed.healthy.threshold.milliseconds),
            placed.tiers,
            placed.reference,
            placed.lowest,
        )


@dataclass(frozen=True, slots=True)
class Added:
    """Labels and annotations that a profile adds to alerts."""

    labels: Texts = ()
    annotations: Texts = ()

    @classmethod
    def of(cls, settings: Profile | AlertSettings, names: Names) -> Added:
        """What is added to every alert, or to one of them, with placeholders for the texts."""
        labels = tuple([(label, names.stand_in(text)) for label, text in settings.labels])
        annotations = tuple([(name, names.stand_in(text, like=PROSE)) for name, text in settings.annotations])
        return cls(labels, annotations)


def anonymous(alerts: Mapping[str, AlertSettings], names: Names) -> dict[str, AlertSettings]:
    """The settings with placeholders for the texts that the profile adds to single alerts."""
    found = dict(alerts)
    for alert, settings in alerts.items():
        if settings.labels or settings.annotations:
            own = Added.of(settings, names)
            found[alert] = replace(settings, labels=own.labels, annotations=own.annotations)
    return found


@dataclass(frozen=True, slots=True)
class Deployments:
    """Some of the deployments of a profile; none where the profile does not name them one by one.

    `label` tells the rules of several such lists apart; it is empty when there is one.
    """

    each: tuple[Selector, ...]
    label: str

    @property
    def unnamed(self) -> bool:
        """Whether the profile does not say which deployments there are."""
        return not self.each

    @property
    def selectors(self) -> tuple[str, ...]:
        """Each deployment as matchers."""
        return tuple(map(matchers_of, self.each))

    @property
    def sample(self) -> dict[str, str]:
        """The labels of the first deployment, for tests."""
        return {label: values[0] for selector in self.each[:1] for label, values in selector}

    @property
    def others(self) -> tuple[dict[str, str], ...]:
        """The labels of the other deployments, for tests."""
        return tuple({label: values[0] for label, values in selector} for selector in self.each[1:])


# An expression with a term for each deployment stays readable, and far from the limits of any parser.
_DEPLOYMENTS_PER_RULE = 100


def expected(profile: Profile, setting: Setting) -> tuple[Deployments, ...]:
    """The deployments that a profile names one by one, and so can miss when they were never there."""
    several = {label: values for label, values in profile.selector if len(values) > 1}
    known = [selector for _, selector in profile.deployments] or [
        tuple((label, several.get(label, values)) for label, values in setting.deployment)
    ]
    single = [each for selector in known for each in _single(selector, profile.identity)]
    parts = [single[start : start + _DEPLOYMENTS_PER_RULE] for start in range(0, len(single), _DEPLOYMENTS_PER_RULE)]
    if not parts:
        return (Deployments((), ""),)
    return tuple(
        Deployments(tuple(part), f"deployments {number}" if len(parts) > 1 else "")
        for number, part in enumerate(parts, 1)
    )


def _single(selector: Selector, identity: tuple[str, ...]) -> list[Selector]:
    """The selector once for each of its deployments; nothing where it does not say which there are.

    Of two labels with several values each, not every combination need exist.
    """
    several = [label for label, values in selector if len(values) > 1]
    if not set(identity) <= {label for label, _ in selector} or len(several) > 1 or not set(several) <= set(identity):
        return []
    values = dict(selector)[several[0]] if several else ("",)
    return [tuple((label, (value,) if label in several else given) for label, given in selector) for value in values]


@dataclass(frozen=True, slots=True)
class AlertContext:
    """The settings of an alert as templates and scenarios use them. Rates are per minute.

    `added` is what the alert has beside its own labels and annotations; nothing for a record that uses its settings.
    """

    settings: AlertSettings
    window: Duration
    added: Added = Added()

    @property
    def labels(self) -> dict[str, str]:
        """The labels that the profile adds; those for this alert alone come last."""
        return dict([*self.added.labels, *self.settings.labels])

    @property
    def annotations(self) -> dict[str, str]:
        """The annotations that the profile adds; those for this alert alone come last."""
        return dict([*self.added.annotations, *self.settings.annotations])

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
    def plenty(self) -> int:
        """Requests per minute, in whole millions, that are enough to judge by after a thousandth of the window."""
        return _MANY * max(math.ceil(self.min_per_minute / 1000), 1)

    @property
    def until_outnumbered(self) -> Duration:
        """How long it takes until plenty of good requests make a window of just enough bad ones an allowed share.

        No time where a single sample of them does, for all the samples that a window has in tests.
        """
        at_once = self.plenty * float(self.allowed_ratio) >= _SAMPLES * self.enough
        return Duration(Decimal(0)) if at_once else self.window

    @property
    def just_under(self) -> int:
        """How many of plenty are just allowed."""
        return self._of_plenty(math.floor((self.allowed_ratio - self._margin) * _MANY))

    @property
    def just_over(self) -> int:
        """How many of plenty are just too many."""
        return self._of_plenty(self._just_over)

    @property
    def just_over_share(self) -> float:
        return self._just_over / _MANY

    @property
    def _just_over(self) -> int:
        """A number in a million that is just too many, and whose percentage no two engines round apart."""
        count = math.floor((self.allowed_ratio + self._margin) * _MANY) + 1
        while not _rounds_alike(count):
            count += 1
        return count

    @property
    def _margin(self) -> Decimal:
        """How far from the allowed share is just under and just over it."""
        return Decimal("0.0006") * min(self.allowed_ratio, 1 - self.allowed_ratio)

    def _of_plenty(self, of_a_million: int) -> int:
        return of_a_million * (self.plenty // _MANY)

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
    def threshold(self) -> Share | Factor | Rate | Duration | int:
        assert self.settings.threshold is not None
        return self.settings.threshold

    @property
    def between_changes(self) -> Duration:
        """How much later there are too few changes in an hour, after as many as the threshold, and one at the end.

        They lie an hour apart for a threshold of 1; at each end one sample may count or not. Many changes are too close
        to tell.
        """
        assert isinstance(self.threshold, int)
        if self.threshold > _FEW_CHANGES:
            return _HOUR
        hour, count = float(_HOUR.seconds), self.threshold
        return Duration.of_seconds(math.ceil(hour / count + 2 * hour / (count + 1) ** 2))

    @property
    def threshold_ratio(self) -> Decimal:
        assert isinstance(self.threshold, Share)
        return self.threshold.ratio

    @property
    def min_milliseconds(self) -> float:
        """The mean time that is still too short for the alert."""
        assert self.settings.min_time is not None
        return float(self.settings.min_time.milliseconds)

    @property
    def least(self) -> int:
        assert self.settings.least is not None
        return self.settings.least

    @property
    def over_ratio(self) -> float:
        """A share just above the threshold."""
        return float(self.threshold_ratio + self._little)

    @property
    def under_ratio(self) -> float:
        """A share just below the threshold."""
        return float(self.threshold_ratio - self._little)

    @property
    def _little(self) -> Decimal:
        return Decimal("0.05") * min(self.threshold_ratio, 1 - self.threshold_ratio)

    @property
    def threshold_times(self) -> float:
        assert isinstance(self.threshold, Factor)
        return float(self.threshold.times)

    @property
    def threshold_per_minute(self) -> float:
        assert isinstance(self.threshold, Rate)
        return float(self.threshold.per_minute)

    @property
    def over_rate(self) -> float:
        """Just more than the threshold, per minute, and not where two engines round two decimals apart."""
        rate = self.threshold_per_minute * 1.01
        while 0.4 < rate * 100 % 1 < 0.6:
            rate *= 1.003
        return rate

    @property
    def under_rate(self) -> float:
        """Just less than the threshold, per minute."""
        return self.threshold_per_minute * 0.91

    @property
    def until_under_rate(self) -> Duration:
        """How long it takes until what is just under the threshold again outweighs what was just over it."""
        limit = self.threshold_per_minute
        share = (self.over_rate - limit) / (self.over_rate - self.under_rate)
        return Duration.of_seconds(math.ceil(float(self.window.seconds) * share * 1.2))

    @property
    def past_offset(self) -> Duration:
        """How far back the past begins that a spike is held against: before the spike can have begun.

        The spike must have filled the window and lasted for `for`; the rest leaves time for evaluations.
        """
        return Duration(
            self.window.milliseconds + self.settings.for_.milliseconds + margin(self.settings, self.window).milliseconds
        )

    @property
    def lately(self) -> Duration:
        """For how long something has happened lately: long enough to be still so when the alert fires."""
        assert isinstance(self.threshold, Duration)
        return max(self.threshold, self.past_offset)

    @property
    def lately_almost(self) -> Duration:
        """A time, for tests, that is clearly shorter than lately."""
        return Duration(math.floor(self.lately.milliseconds * Decimal("0.8")) * Decimal(1))

    @property
    def lately_hardly_half(self) -> Duration:
        """A time, for tests, that with a few evaluations more is longer than half of lately, but shorter than lately.

        That is so where it `is_long`.
        """
        return Duration(math.ceil(self.lately.milliseconds * Decimal("0.45")) * Decimal(1))

    @property
    def is_long(self) -> bool:
        """Whether lately lasts for many evaluations: eight at least, as four fit into the margin."""
        return self.lately.milliseconds >= 2 * margin(self.settings, self.window).milliseconds

    @property
    def lately_and_more(self) -> Duration:
        """A time, for tests, that is clearly longer than lately."""
        return Duration(math.ceil(self.lately.milliseconds * Decimal("1.3")) * Decimal(1))

    @property
    def bridged(self) -> Duration:
        """How long what was there may not be scraped, up to when lately begins, without being taken for new."""
        return margin(self.settings, self.window).times(3)

    @property
    def gap(self) -> Duration:
        """A gap, for tests, that is bridged where lately begins within it, but not in half of the time."""
        return _part(self.bridged, 5, 6)

    @property
    def long_gap(self) -> Duration:
        """A gap, for tests, that is not bridged where lately begins at its end, but would be in twice the time."""
        return _part(self.bridged, 3, 2)

    @property
    def lately_since_gap(self) -> Duration:
        """A time, for tests, that is shorter than lately by a sixth of what is bridged."""
        return Duration(self.lately.milliseconds - _part(self.bridged, 1, 6).milliseconds)

    @property
    def spiked(self) -> float:
        """A factor that is just above the threshold, with as many digits as annotations have."""
        assert isinstance(self.threshold, Factor)
        return float((self.threshold.times * Decimal("1.05")).quantize(Decimal("0.01"), ROUND_UP))

    @property
    def comes_and_goes_soon(self) -> bool:
        """Whether the alert follows its condition within hours."""
        times = (self.settings.for_, self.settings.keep_firing_for, self.window)
        return sum(time.milliseconds for time in times) <= 3 * _HOUR.milliseconds

    @property
    def fits_in_an_hour(self) -> bool:
        """Whether a spike is over before the hour of the past that it is held against has passed.

        And whether it is of a size that a counter of a quiet past can tell beside it.
        """
        assert isinstance(self.threshold, Factor)
        if self.threshold.times > _LARGE_FACTOR:
            return False
        return 2 * self.window.milliseconds + self.settings.for_.milliseconds <= _HOUR.milliseconds * 5 / 12

    @property
    def past_of_1h(self) -> Duration:
        """A calm, for tests, that is all of the past that a spike is held against, once it has filled the window."""
        return Duration(self.past_offset.milliseconds + _HOUR.milliseconds + self.window.milliseconds)

    @property
    def past_of_45m(self) -> Duration:
        """A calm, for tests, of which the past that a spike is held against has 45 minutes when the spike is over."""
        return Duration(margin(self.settings, self.window).milliseconds + _HOUR.milliseconds * 3 / 4)

    @property
    def norm(self) -> Duration:
        """How much of the past is taken for normal: far longer than what must hold before the alert fires."""
        return max(_NORM, self.settings.for_.times(6))

    @property
    def memory(self) -> Duration:
        """For how long what was there is missed: longer than it must be away before the alert fires."""
        return max(_MEMORY, self.settings.for_.times(2))

    @property
    def long_step(self) -> Duration:
        """The steps, for tests, of what lasts for a day: both parts of the norm have several."""
        return _part(self.norm, 1, 48)

    @property
    def just_normal(self) -> Duration:
        """Just more than half of the norm, for tests: by more than a step, and by less than a tenth."""
        return _part(self.norm, 13, 24)

    @property
    def hardly_normal(self) -> Duration:
        """Just less than half of the norm, for tests."""
        return _part(self.norm, 23, 48)

    @property
    def most_of_memory(self) -> Duration:
        return _part(self.memory, 4, 5)

    @property
    def beyond_memory(self) -> Duration:
        """Longer than the memory by what must hold before the alert fires, and what keeps it firing afterwards."""
        more = self.settings.for_.milliseconds + self.settings.keep_firing_for.milliseconds
        return Duration(_part(self.memory, 6, 5).milliseconds + more)

    @property
    def norm_in_words(self) -> str:
        return "six hours" if self.norm == _NORM else str(self.norm)

    @property
    def memory_in_words(self) -> str:
        return "day" if self.memory == _MEMORY else str(self.memory)

    @property
    def twice(self) -> float:
        """A factor that is far above the threshold, with as many digits as annotations have."""
        assert isinstance(self.threshold, Factor)
        return float((self.threshold.times * 2).quantize(Decimal("0.01"), ROUND_UP))

    @property
    def past(self) -> Duration:
        """A past, for tests, that outweighs a breach in what is taken for normal."""
        return Duration(_PAST.milliseconds + 2 * self.settings.for_.milliseconds)


_FEW_CHANGES, _LARGE_FACTOR = 10, 100
_NORM, _MEMORY, _PAST, _MARGIN, _HOUR = map(Duration.parse, ("6h", "1d", "2h", "5m", "1h"))


def _part(whole: Duration, parts: int, of: int) -> Duration:
    """So many parts of a duration, in whole seconds."""
    return Duration(whole.milliseconds * parts // of // 1000 * 1000)


def margin(alert: AlertSettings, window: Duration) -> Duration:
    """How much time lies at least between the beginning of a spike and the past that it is held against."""
    return max(window, alert.for_, _MARGIN)


def _rounds_alike(count: int) -> bool:
    """Whether the share of `count` in a million keeps clear of the middle between two percentages of four digits."""
    digits = str(count)
    return len(digits) <= 4 or digits[4] not in "45"
