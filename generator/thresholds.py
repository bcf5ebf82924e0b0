"""Profile x release -> where each threshold is measured: its scope, its histogram, its bucket bounds."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import pairwise
from typing import Literal

from generator import conventions
from generator.buckets import Measured, OutsideBuckets, Point, le, measure, spellings, union
from generator.catalog import THIS_RELEASE, Metric, Release
from generator.findings import Finding
from generator.profile import TIERS, Profile, Thresholds
from generator.profile import Scope as Given
from generator.promql.text import equals, matcher
from generator.units import Duration, plain

LATENCY = "milvus_proxy_sq_latency"
COLLECTION_LATENCY = "milvus_proxy_collection_sq_latency"
SLOW_QUERIES = "milvus_proxy_slow_query_count"

# Each has rules and tests of its own: more would take longer to compile, and to evaluate, than anybody waits.
MAX_SCOPES = 100


@dataclass(frozen=True, slots=True)
class Scope:
    """Requests that are judged together: some operations of a deployment, or of some of its collections.

    `matching` are matchers for the raw series of the histogram `metric`, `by` the labels that tell deployments
    (and collections) apart; `and_matching`, with a leading comma, are matchers for recorded series, beside the
    profile. `where` names the deployment in annotations. `label` tells the rules of several scopes of one profile
    apart (promtool takes rules with equal names and labels for duplicates); it is empty when there is one scope.
    `others` are the collections with scopes of their own, where this one is for all the others; `another` is what one
    without is called in tests.
    """

    level: Literal["deployment", "collection"]
    metric: str
    by: str
    matching: str
    and_matching: str
    operations: tuple[str, ...]
    collections: tuple[str, ...]
    others: tuple[str, ...]
    another: str
    where: str
    label: str

    @property
    def and_label(self) -> str:
        """A matcher, with a leading comma, for the series that carry the label of the scope."""
        return f", {equals('scope', self.label)}" if self.label else ""

    @property
    def in_words(self) -> str:
        operations = listed(self.operations) + " requests"
        if self.others:
            return f"{operations} to other collections"
        return operations + (f" to {listed(self.collections)}" if self.collections else "")

    @property
    def other_operations(self) -> tuple[dict[str, str], ...]:
        """The labels of requests of another kind that the scope covers, for tests; none where it covers one kind."""
        return tuple({"query_type": operation} for operation in self.operations[1:2])

    @property
    def places(self) -> tuple[dict[str, str], ...]:
        """The labels of the collection in `sample`, for tests; none where the scope is the deployment."""
        labels = {"db_name": "default", "collection_name": "".join(self.collections[:1])}
        return ({label: text for label, text in labels.items() if label in self.by.split(", ")},)

    @property
    def other_places(self) -> tuple[dict[str, str], ...]:
        """What of these labels the scope has in other databases and collections; nothing where it is the deployment."""
        others = {"db_name": ("another",), "collection_name": self.collections[1:2]}
        return tuple({label: text} for label in self.places[0] for text in others[label])

    @property
    def other_requests(self) -> tuple[dict[str, str], ...]:
        """The labels of requests that the scope counts with those of `sample`, for tests."""
        return self.other_operations + self.other_places

    @property
    def elsewhere(self) -> tuple[dict[str, str], ...]:
        """The labels of requests that another scope is for, for tests; none where this one is for all collections."""
        # With the name of all that is told of no collection, these are never played beside it.
        names = (f"{conventions.OTHER}{self.collections[0]}", self.another) if self.collections else self.others[:1]
        return tuple({"collection_name": name} for name in names)

    @property
    def other_scopes(self) -> tuple[dict[str, str], ...]:
        """The same place in what is recorded for another scope, for tests; nothing where there is one scope."""
        return tuple({**place, "scope": "another"} for place in self.places if self.label)

    @property
    def sample(self) -> dict[str, str]:
        """Label values of a series that the scope covers, for tests."""
        sample = {"query_type": self.operations[0], "msg_type": self.operations[0]}
        return {**sample, "collection_name": self.collections[0]} if self.collections else sample


@dataclass(frozen=True, slots=True)
class Tier:
    """The name of a tier, and the point where it is measured."""

    name: str
    point: Point


@dataclass(frozen=True, slots=True)
class SlowQueries:
    """How requests above `slow_query_span` are counted: at a latency bucket, or (`measured` is None) by Milvus."""

    span: Duration
    measured: Measured | None
    per_query_vector: bool
    why_not_counted: str  # THIS_RELEASE stands for the release

    @property
    def counted_by_milvus(self) -> bool:
        return self.measured is None

    @property
    def in_words(self) -> str:
        if self.measured:
            return f"take longer than {self.span} ({self.measured.in_words})"
        per = "; searches: per query vector" if self.per_query_vector else ""
        return f"take longer than {self.span} (counted by Milvus{per})"


@dataclass(frozen=True, slots=True)
class PlacedScope:
    """A scope with its thresholds on the buckets of a release."""

    scope: Scope
    healthy: Measured
    investigate: Measured
    slow: Measured
    slow_queries: SlowQueries
    lowest: Point

    @property
    def measured(self) -> tuple[Measured, ...]:
        """Every threshold that is measured at a bucket."""
        last = self.slow_queries.measured
        return (self.healthy, self.investigate, self.slow, *((last,) if last else ()))

    @property
    def tiers(self) -> tuple[Tier, ...]:
        return tuple(Tier(each.name, each.point) for each in self.measured)

    @property
    def reference(self) -> Point:
        """A bound that the rules read, for tests."""
        return self.slow.point.at_bound


@dataclass(frozen=True, slots=True)
class Bounds:
    """The bounds of a histogram that any threshold reads."""

    values: tuple[float, ...]

    @property
    def le(self) -> str:
        """Matcher of these buckets, and of the one that counts all."""
        return le(*self.values, math.inf)

    @property
    def in_words(self) -> str:
        return ", ".join(plain(bound) for bound in self.values)

    @property
    def last(self) -> tuple[dict[str, str], ...]:
        """The label of the last of these buckets, for tests."""
        return tuple({"le": spellings(bound)[0]} for bound in self.values[-1:])

    @property
    def but_last(self) -> tuple[dict[str, str], ...]:
        """The labels of the other buckets, for tests."""
        return tuple({"le": spellings(bound)[0]} for bound in self.values[:-1])


@dataclass(frozen=True, slots=True)
class Source:
    """Raw series that are aggregated together: those of the deployment, or of its collections with own thresholds."""

    scope: Scope
    bounds: Bounds
    reference: Point


@dataclass(frozen=True, slots=True)
class Placed:
    """All thresholds of a profile on the buckets of its release; incomplete when the findings hold an error."""

    scopes: tuple[PlacedScope, ...]
    sources: tuple[Source, ...]
    findings: tuple[Finding, ...]


def place(profile: Profile, release: Release) -> Placed:
    """Puts every threshold of the profile on the buckets of the release."""
    work = _Placing(profile, release)
    scopes = work.scopes()
    return Placed(scopes, work.sources(scopes), tuple(dict.fromkeys(work.findings)))


def identity_in_words(identity: tuple[str, ...]) -> str:
    """What names a deployment, as text that Prometheus expands for each result."""
    return ", ".join(f"{label} {{{{ $labels.{label} }}}}" for label in identity)


def scope_label(operations: Sequence[str], collections: Sequence[str]) -> str:
    """The label that tells the rules of one scope of a profile from those of another."""
    of = (
        f" of {collections[0]}" + (f" and {len(collections) - 1} more" if collections[1:] else "")
        if collections
        else ""
    )
    return "+".join(operations) + of


def another_collection(collections: Collection[str]) -> str:
    """What a collection that is none of these is called in tests."""
    name = "others"
    while name in collections:
        name += "_"
    return name


class _Placing:
    def __init__(self, profile: Profile, release: Release) -> None:
        self.profile, self.release = profile, release
        self.findings: list[Finding] = []
        self.operations, self.collections = profile.operations, profile.collections
        self.metric = self._latency_metric()
        # As long as the names of all collections together: written once, not once per scope.
        self.of_collections = matcher("collection_name", self.collections)
        self.of_others = matcher("collection_name", self.collections, negated=True)

    def _latency_metric(self) -> Metric:
        """The latency histogram: the one with collections where the profile has thresholds for some."""
        metric = self.release.metric(LATENCY)
        if self.collections and metric and "collection_name" not in metric.labels:
            metric = self.release.metric(COLLECTION_LATENCY)
        if metric is None:
            raise LookupError(f"Milvus {self.release.name} has no latency histogram")
        return metric

    def scopes(self) -> tuple[PlacedScope, ...]:
        """Operations and collections with equal thresholds, taken together; the deployment's own come first."""
        alike: dict[tuple[bool, tuple[tuple[str, Thresholds], ...]], list[str]] = {}
        for collection in (None, *self.collections):
            own = tuple(
                (each.operation, each.thresholds) for each in self.profile.scopes if each.collection == collection
            )
            alike.setdefault((collection is None, own), []).append(collection or "")
        scopes = []
        for (deployment, own), members in alike.items():
            by_thresholds: dict[Thresholds, list[str]] = {}
            for operation, thresholds in own:
                by_thresholds.setdefault(thresholds, []).append(operation)
            collections = () if deployment else tuple(members)
            scopes += [self._scope(tuple(operations), collections) for operations in by_thresholds.values()]
        if len(scopes) > MAX_SCOPES:
            wrong, right = f"{len(scopes)} different sets of thresholds", f"at most {MAX_SCOPES} in one profile"
            self.findings.append(self.profile.document.finding(("collections",), wrong, right, of_key=True))
            return ()
        if len(scopes) == 1:
            scopes = [replace(scopes[0], label="")]
        return tuple([placed for scope in scopes if (placed := self._placed(scope))])

    def _scope(self, operations: tuple[str, ...], collections: tuple[str, ...]) -> Scope:
        also = [matcher("query_type", operations)] if len(operations) < len(self.operations) else []
        if len(collections) not in (0, len(self.collections)):
            also.append(matcher("collection_name", collections))
        labels = [label for label in ("db_name", "collection_name") if collections and label in self.metric.labels]
        matching = [matcher("query_type", self.operations)]
        if self.collections:
            matching.append(self.of_collections if collections else self.of_others)
        where = identity_in_words(self.profile.identity)
        if collections:
            database = " (database {{ $labels.db_name }})" if "db_name" in labels else ""
            where = f"collection {{{{ $labels.collection_name }}}}{database} of {where}"
        elif self.collections:
            where = f"the other collections of {where}"
        return Scope(
            level="collection" if collections else "deployment",
            metric=self.metric.name,
            by=", ".join([*self.profile.identity, *labels]),
            matching=", ".join(matching),
            and_matching="".join(f", {each}" for each in also),
            operations=operations,
            collections=collections,
            others=() if collections else tuple(self.collections),
            another=another_collection(self.collections),
            where=where,
            label=scope_label(operations, collections),
        )

    def _placed(self, scope: Scope) -> PlacedScope | None:
        of_first = (scope.collections or (None,))[0], scope.operations[0]
        given = next(each for each in self.profile.scopes if (each.collection, each.operation) == of_first)
        counted, per_vector, why_not = self._slow_query_counter(given)
        tiers = self._tiers(given, TIERS[:3] if counted else TIERS)
        if tiers is None:
            return None
        span = SlowQueries(given.thresholds.slow_query_span, tiers.get("slow_query_span"), per_vector, why_not)
        first, second, *_ = self.metric.buckets
        lowest = Point(0, first, Decimal(1), second)
        return PlacedScope(scope, tiers["healthy"], tiers["investigate"], tiers["slow"], span, lowest)

    def _tiers(self, scope: Given, names: Iterable[str]) -> dict[str, Measured] | None:
        """Where each tier is measured; None when one cannot be, or two cannot be told apart."""
        found: dict[str, Measured] = {}
        before = len(self.findings)
        bounds = self.metric.buckets
        for tier in names:
            try:
                found[tier] = measure(tier, scope.thresholds[tier], bounds, self.profile.snap)
            except OutsideBuckets as error:
                wrong = f"{scope.thresholds[tier]} is {error} of {self.metric.name} in Milvus {self.release.name}"
                self._say(scope, tier, wrong, f"write a duration from {plain(bounds[0])}ms to {plain(bounds[-1])}ms")
        errors = len(self.findings) > before
        measured = list(found.values())
        for below, above in pairwise(measured):
            point = above.point
            both = f"{above.name} ({above.threshold}) and {below.name} ({below.threshold})"
            if scope.collection:
                both += f" of collection {scope.collection}"
            if below.threshold >= above.threshold:
                continue  # refused already, with the profile
            if below.point == point:
                errors = True
                around = [plain(bound) for bound in (point.lower, point.upper, point.following) if 0 < bound < math.inf]
                bounds_there = (
                    f"{self.metric.name} of Milvus {self.release.name} has the bounds {', '.join(around)} ms there"
                )
                at = self._written(scope, above.name, below.name)
                self._say(scope, at, f"{both} are both measured at {plain(point.upper)} ms", bounds_there)
            elif below.point.upper == point.upper:
                wrong = f"{both} lie in one bucket, up to {plain(point.upper)} ms"
                at = self._written(scope, above.name, below.name)
                self._say(scope, at, wrong, "how requests are spread within it is a guess", warning=True)
        return None if errors else found

    def _written(self, scope: Given, *tiers: str) -> str:
        """The tier that was written down, the one that holds for the fewest requests where several were."""
        values = self.profile.document.values

        def depth(tier: str) -> int:
            keys = self.profile.threshold_keys(scope, tier)
            return len(keys) if keys in values else 0

        return max(tiers, key=depth)

    def _slow_query_counter(self, scope: Given) -> tuple[bool, bool, str]:
        """Whether Milvus' counter answers for slow_query_span, whether per query vector, and why it does not."""
        counter, span = self.release.slow_query_counter, scope.thresholds.slow_query_span
        metric = self.release.metric(SLOW_QUERIES)
        name = f"Milvus {self.release.name}"
        if metric is None or not metric.fed:
            return False, False, f"Milvus {THIS_RELEASE} has no {SLOW_QUERIES}"
        if self.collections:
            return False, False, f"{SLOW_QUERIES} has no label for the collection"
        if counter.compared is None:
            return False, False, f"what {SLOW_QUERIES} counts in {counter.since} is not known: {counter.why}"
        per_vector = counter.compared != "span"
        default = Duration.of_seconds(counter.default_seconds or 0)
        server = self.profile.server_slow_query_span or default
        if server == span:
            return True, per_vector, ""
        given = self.profile.server_slow_query_span is not None
        says = (
            f"counts requests above {server}{' per query vector' if per_vector else ''}{'' if given else ' by default'}"
        )
        # Where nobody asked for this span, the report says how it is measured; that is enough.
        if self.profile.threshold_keys(scope, "slow_query_span") in self.profile.document.values:
            self._say(
                scope, "slow_query_span",
                f"{span}, but the slow query counter of {name} {says}",
                f"MilvusSlowQueries is measured at the latency buckets instead; set slow_query_span: {server}, or "
                f"{counter.setting} = {plain(span.seconds)} in Milvus and server_slow_query_span: {span} here",
                warning=True,
            )  # fmt: skip
        return False, per_vector, f"{SLOW_QUERIES} {says}, not above {span}"

    def sources(self, scopes: tuple[PlacedScope, ...]) -> tuple[Source, ...]:
        """One source per level, with the bounds that any scope of that level reads."""
        sources = []
        for level in dict.fromkeys(each.scope.level for each in scopes):
            mine = [each for each in scopes if each.scope.level == level]
            bounds = union(tier.point for each in mine for tier in each.measured)
            collections = tuple(dict.fromkeys(name for each in mine for name in each.scope.collections))
            label = level if len(scopes) > 1 else ""
            scope = replace(mine[0].scope, and_matching="", collections=collections, label=label)
            sources.append(Source(scope, Bounds(bounds), mine[0].reference))
        return tuple(sources)

    def _say(self, scope: Given, tier: str, wrong: str, right: str, *, warning: bool = False) -> None:
        keys = self.profile.threshold_keys(scope, tier)
        self.findings.append(self.profile.document.finding(keys, wrong, right, warning=warning))


def listed(words: tuple[str, ...]) -> str:
    """Words as a list in a sentence: `a, b and c`."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
