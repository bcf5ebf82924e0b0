"""Objectives: which share of requests must be under a tier, and how fast an error budget burns when somebody is told.

An error budget is what an objective allows to be slower over its period. It burns at a rate of 1 where it is used up
just when the period ends. An alert asks for the same burn rate in two windows: the long one says that it matters, the
short one that it still goes on, so that the alert ends soon after the burn (sre.google/workbook/alerting-on-slos, 6).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from decimal import Decimal

from generator.context import TierView
from generator.names import Names
from generator.profile import Objective
from generator.profile.resolve import enough_requests
from generator.promql.text import matcher
from generator.thresholds import PlacedScope, Scope
from generator.units import Duration, Rate, plain


@dataclass(frozen=True, slots=True)
class BurnRate:
    """How many `times` as fast as allowed is too fast, in which windows, and what is to be done about it.

    `traffic` is the window in which there must be enough requests to judge by.
    """

    times: Decimal
    long: Duration
    short: Duration
    traffic: Duration
    severity: str
    for_: Duration


def _rate(times: str, long: str, short: str, traffic: str, severity: str, for_: str) -> BurnRate:
    duration = Duration.parse
    return BurnRate(Decimal(times), duration(long), duration(short), duration(traffic), severity, duration(for_))


# The recommended table: 2% of a budget for 30 days in an hour, 5% in six hours, 10% in three days.
# sre.google/workbook/alerting-on-slos, "Multiwindow, Multi-Burn-Rate Alerts", table 5-8
BURN_RATES = (
    _rate("14.4", "1h", "5m", "1h", "critical", "2m"),
    _rate("6", "6h", "30m", "6h", "critical", "15m"),
    _rate("1", "3d", "6h", "6h", "warning", "30m"),
)
# What takes longer, or looks back longer, is played in longer steps by tests.
_MINUTES, _LONGEST_SHORT = map(Duration.parse, ("5m", "30m"))


@dataclass(frozen=True, slots=True)
class Window:
    """A window over which requests are counted, and parts of it for tests."""

    length: Duration

    @property
    def is_short(self) -> bool:
        return self.length <= _LONGEST_SHORT

    @property
    def is_long(self) -> bool:
        return not self.is_short

    @property
    def most(self) -> Duration:
        """Clearly more than half of it, by at least a sample."""
        return self._part(7, 10)

    @property
    def rest_and_more(self) -> Duration:
        """What with the most of it is longer than all of it."""
        return self._part(4, 10)

    @property
    def less_than_half(self) -> Duration:
        """Twice that is less than all of it, also in whole steps of an eighth of it."""
        return self._part(3, 8)

    def _part(self, parts: int, of: int) -> Duration:
        return Duration(self.length.milliseconds * parts // of // 1000 * 1000)


@dataclass(frozen=True, slots=True)
class Budget:
    """A tier of a scope that there is an objective for: what is slower is counted over each window."""

    scope: Scope
    tier: TierView

    @property
    def windows(self) -> tuple[Window, ...]:
        lengths = {length for rate in BURN_RATES for length in (rate.long, rate.short)}
        return tuple(map(Window, sorted(lengths)))

    @property
    def windows_of_traffic(self) -> tuple[Window, ...]:
        return tuple(map(Window, sorted({rate.traffic for rate in BURN_RATES})))


@dataclass(frozen=True, slots=True)
class Burn:
    """A burn rate on the budget of an objective; `allowed` is the share of requests that may be too slow."""

    rate: BurnRate
    allowed: Decimal
    period: Duration

    @property
    def threshold(self) -> Decimal:
        """The share of requests that burns the budget at this rate."""
        return self.rate.times * self.allowed

    @property
    def is_quick(self) -> bool:
        """Whether the alert follows within minutes: what is slower is played in longer steps by tests."""
        return self.rate.for_ <= _MINUTES

    @property
    def is_slow(self) -> bool:
        return not self.is_quick

    @property
    def possible(self) -> bool:
        return self.threshold < 1

    @property
    def why_not(self) -> str:
        share = f"{plain(self.allowed * 100)}%"
        return f"{plain(self.rate.times)} times the {share} that the objective allows is more than all requests"

    @property
    def share(self) -> str:
        return f"{plain(self.threshold * 100)}%"

    @property
    def gone(self) -> str:
        """How much of the budget is gone at this rate after the long window."""
        return f"{plain(round(self.rate.times * self.rate.long.seconds / self.period.seconds * 100, 1))}%"

    @property
    def seconds(self) -> str:
        """The whole budget, as the seconds for which every request may be too slow."""
        return plain(self.allowed * self.period.seconds)

    @property
    def min_request_rate(self) -> Rate:
        """With fewer requests, a single slow one in the short window would burn that fast."""
        return enough_requests(1 - self.threshold, self.rate.short)

    @property
    def over(self) -> float:
        """A share just above the threshold, for tests."""
        return float(round(self.threshold + self._little, 9))

    @property
    def under(self) -> float:
        """A share just below the threshold, for tests."""
        return float(round(self.threshold - self._little, 9))

    @property
    def _little(self) -> Decimal:
        return Decimal("0.05") * min(self.threshold, 1 - self.threshold)

    @property
    def enough(self) -> float:
        """Requests per second that are just enough, for tests."""
        return float(self.min_request_rate.per_minute) * 1.02 / 60

    @property
    def too_few(self) -> float:
        """Requests per second that are just too few, for tests."""
        return float(self.min_request_rate.per_minute) * 0.98 / 60


@dataclass(frozen=True, slots=True)
class NoBurn:
    """Stands for all burn rates of a profile that has no objective."""

    possible: bool = False
    why_not: str = "the profile has no objective, such as `objectives: [{tier: slow, ratio: 99.9%}]`"


@dataclass(frozen=True, slots=True)
class ObjectiveView:
    """An objective for the requests of one scope, as templates see it."""

    objective: Objective
    scope: Scope
    tier: TierView
    operations: tuple[str, ...]

    @property
    def allowed(self) -> Decimal:
        return 1 - self.objective.ratio.ratio

    @property
    def burns(self) -> tuple[Burn, ...]:
        return tuple(Burn(rate, self.allowed, self.objective.period) for rate in BURN_RATES)

    @property
    def label(self) -> str:
        """What tells its alerts from those of others."""
        return f"{self.objective.ratio} under {self.objective.tier}"

    @property
    def and_matching(self) -> str:
        """Matchers, with a leading comma, for the recorded series of its requests."""
        fewer = len(self.operations) < len(self.scope.operations)
        return self.scope.and_label + (f", {matcher('query_type', self.operations)}" if fewer else "")

    @property
    def in_words(self) -> str:
        return replace(self.scope, operations=self.operations).in_words

    @property
    def sample(self) -> dict[str, str]:
        """The kind of request that tests are about."""
        return {"query_type": self.operations[0]}

    @property
    def other_operations(self) -> tuple[dict[str, str], ...]:
        """The labels of requests of another kind, for tests; none where it is about one kind."""
        return tuple({"query_type": operation} for operation in self.operations[1:2])


@dataclass(frozen=True, slots=True)
class NoObjective:
    """Stands for the objectives of a profile that has none."""

    burns: tuple[NoBurn, ...] = (NoBurn(),)
    scope: None = None
    tier: None = None


def objectives(
    stated: Iterable[Objective], scopes: Iterable[PlacedScope], names: Names
) -> tuple[ObjectiveView, ...] | tuple[NoObjective, ...]:
    """Every objective once for each scope that it says something of."""
    placed = tuple(scopes)
    return tuple(_views(stated, placed, names)) or (NoObjective(),)


def _views(stated: Iterable[Objective], scopes: tuple[PlacedScope, ...], names: Names) -> Iterator[ObjectiveView]:
    tiers: dict[tuple[int, str], TierView] = {}
    for objective in stated:
        for number, placed in enumerate(scopes):
            operations = tuple(each for each in placed.scope.operations if each in objective.operations)
            measured = next(each for each in placed.measured if each.name == objective.tier)
            if operations:
                key = number, objective.tier
                tiers[key] = tiers.get(key) or TierView.of(measured, names)
                yield ObjectiveView(objective, placed.scope, tiers[key], operations)


def budgets(of: Iterable[ObjectiveView | NoObjective]) -> tuple[Budget, ...]:
    """What must be counted for the objectives, each once."""
    return tuple(dict.fromkeys(Budget(each.scope, each.tier) for each in of if isinstance(each, ObjectiveView)))
