"""The type of an expression, as far as it is known: what can be said of every series that it yields."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from generator.catalog import Metric
from generator.promql.dimension import Unit

# How many seconds a unit of time is.
TIME = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0}
# How many bytes a unit of data may be: some count in thousands, and some in steps of 1024.
DATA = {"bytes": (1.0,), "KB": (1e3, 2.0**10), "MB": (1e6, 2.0**20), "GB": (1e9, 2.0**30), "TB": (1e12, 2.0**40)}
_SIZES = {**{name: (size,) for name, size in TIME.items()}, **DATA}


@dataclass(frozen=True, slots=True)
class Origin:
    """The counter that a rate is of, by which the two sides of a division are compared."""

    family: str
    function: str
    window: str
    matchers: frozenset[tuple[str, str, str]]
    aggregated: bool = False


@dataclass(frozen=True, slots=True)
class Vector:
    """What is known of the series of a vector. The default says nothing, as of metrics that are not Milvus'.

    `series` is the Milvus series that it comes from, and `at` the place of that in the expression. With `known`, the
    labels are: `labels` are those that it may have of Milvus and those it is grouped by, `closed` that there are no
    others (but those that a server adds to all that it has `recorded`), `sure` those that no series lacks, `fixed` the
    values that matchers ask for; `valued_by` is the metric that says which values there are. `unit` is None where it is
    not known. `counter` is the name of a counter that is not rated. `buckets` is the histogram, while its buckets are
    told apart by `le`, `bounds` are theirs, `rated` is whether they are rated, `one_bucket` whether a matcher selects
    among them. `ceiling` is the largest possible value, and `capped_by` says why; `one` says why the value is never 0.
    With `presence` it tells something that there are series at all, and `conditional` is that there is a condition for
    it. `statuses` are the values of `status` that are selected; `units_by` is the label that tells series of different
    units apart, where no matcher does. A `quantile` or a `mean` is one of a histogram.
    """

    series: str = ""
    at: int = 0
    known: bool = False
    labels: frozenset[str] = frozenset()
    closed: bool = False
    sure: frozenset[str] = frozenset()
    fixed: frozenset[tuple[str, str]] = frozenset()
    valued_by: Metric | None = None
    unit: Unit | None = None
    metric: Metric | None = None
    recorded: bool = False
    counter: str = ""
    buckets: Metric | None = None
    bounds: tuple[float, ...] = ()
    rated: bool = False
    one_bucket: bool = False
    ceiling: float | None = None
    capped_by: str = ""
    conditional: bool = False
    presence: bool = False
    one: str = ""
    statuses: frozenset[str] = frozenset()
    units_by: str = ""
    quantile: bool = False
    mean: bool = False
    origin: Origin | None = field(default=None)

    @property
    def time(self) -> str:
        """The unit when it is one of time, and else an empty text."""
        return self.simple_unit if self.simple_unit in TIME else ""

    @property
    def data(self) -> str:
        """The unit when it is one of data, and else an empty text."""
        return self.simple_unit if self.simple_unit in DATA else ""

    @property
    def simple_unit(self) -> str:
        """The unit when it is a single one, and else an empty text."""
        return self.unit[0][0] if self.unit and len(self.unit) == 1 and self.unit[0][1] == 1 else ""

    def scaled(self, op: str, number: float | None) -> Vector:
        """The vector multiplied or divided by a number, which may not be known."""
        if not number or number < 0 or number != number:  # noqa: PLR0124 - not a number
            return replace(self, unit=None, ceiling=None, origin=None, mean=False, quantile=False)
        factor = number if op == "/" else 1 / number
        ceiling = None if self.ceiling is None else self.ceiling / factor
        return replace(self, unit=_scaled(self.unit, factor), ceiling=ceiling, origin=None)


def _scaled(unit: Unit | None, factor: float) -> Unit | None:
    """The unit of a number that is this many times smaller: 1000 makes seconds of milliseconds."""
    if not unit or factor == 1:
        return unit
    symbol, power = unit[0]
    kind = TIME if symbol in TIME else DATA
    if len(unit) > 1 or power != 1 or symbol not in kind:
        return None
    for size in _SIZES[symbol]:
        for name in kind:
            if any(abs(size * factor / each - 1) < 1e-9 for each in _SIZES[name]):
                return ((name, 1),)
    return None
