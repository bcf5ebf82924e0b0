"""The type checker: gives every part of an expression a type, and says what cannot be right.

Where nothing is known (of a metric that is not Milvus', after a function that it does not follow) it says nothing.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from generator.lint.complaints import Context
from generator.lint.constants import constant, is_scalar
from generator.lint.names import instead, is_known, is_of_milvus
from generator.lint.quantities import threshold
from generator.lint.selectors import Selectors, narrowed
from generator.lint.types import Vector
from generator.lint.variables import UNKNOWN_WINDOW, is_variable
from generator.promql import tree
from generator.promql.dimension import inverse, times, unit_text
from generator.promql.text import quoted_string
from generator.units import plain

_COMPARISONS = ("==", "!=", ">", "<", ">=", "<=")
_MIRRORED = {">": "<", "<": ">", ">=": "<=", "<=": ">="}

_STRING = re.compile(r'"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\'', re.DOTALL)
_LIST = re.compile(r"\b(by|without|on|ignoring|group_left|group_right)\s*\(([^()]*)\)")


class Walk(Selectors):
    """One pass over the tree of one expression; `prose` is what its author says of it."""

    def __init__(self, context: Context, text: str, prose: str = "") -> None:
        super().__init__(context)
        self.prose = prose
        self.code = _STRING.sub(lambda found: '"' + "_" * (len(found[0]) - 2) + '"', text)
        self.seen: Counter[str] = Counter()
        self.in_quantile = False

    def vector(self, node: Any) -> Vector:
        """The type of a part of the expression."""
        visit: Callable[[Any], Vector] | None = getattr(self, f"_{type(node).__name__}", None)
        return visit(node) if visit else Vector()

    def lacks(self, vector: Vector, label: str) -> bool:
        """Whether a label is surely on none of the series."""
        if not vector.known or label in vector.labels or is_variable(label):
            return False
        if vector.closed:
            return not vector.recorded or not self.labels.may_be_external(label)
        return self.labels.lacks(label, vector.labels)

    # Selectors

    def _VectorSelector(self, node: Any) -> Vector:  # noqa: N802 - named after the node, as the ones below
        matchers = tree.matchers(node)
        name = node.name or next((value for label, op, value in matchers if (label, op) == ("__name__", "=")), "")
        at, end = self._place(name if node.name else "__name__")
        if not name or is_variable(name):
            return Vector(at=at)
        if name in self.context.records:
            recorded = replace(self.context.records[name], at=at)
            return self._recorded(name, recorded, self._places(end, node), tree.matchers(node))
        module = next((value for label, _, value in matchers if label == "module"), "")
        if node.matchers.or_matchers or not is_of_milvus(name, module):
            return Vector(at=at)
        found = self.release.series(name)
        if found is None:
            wrong = f"{name} does not exist in Milvus {self.release.name}"
            self.complain("unknown-metric", at, wrong, instead(self.release, name), elsewhere=is_known(name))
            return Vector(series=name, at=at, conditional=True)
        metric, part = found
        if not metric.fed:
            wrong = (
                f"{metric.name} is registered in Milvus {self.release.name}, but nothing writes it: there are no series"
            )
            self.complain("unfed-metric", at, wrong, instead(self.release, metric.name), elsewhere=True)
        vector = self.selected(
            name, metric, part, [m for m in matchers if m[0] != "__name__"], at, self._places(end, node)
        )
        return replace(vector, origin=None) if node.offset or node.at else vector

    def _recorded(
        self, name: str, vector: Vector, places: Mapping[str, int], matchers: Iterable[tree.Matcher]
    ) -> Vector:
        """What a selector reads of recorded series; complains of what its matchers cannot find among them."""
        matchers = [each for each in matchers if each[0] != "__name__" and not is_variable(each[0])]
        if not vector.known:
            return vector
        for matcher in matchers:
            label = matcher[0]
            place = places.get(label, vector.at)
            if self.lacks(vector, label):
                kept = ", ".join(sorted(vector.labels)) or "no label"
                wrong = f"{name} has lost the label `{label}`: what is recorded keeps {kept}"
                self.no_label("lost-label", wrong, f"keep {label} where it is recorded", matcher, place)
            else:
                self.recorded_value(name, vector, matcher, place)
        return narrowed(vector, matchers)

    def _place(self, name: str) -> tuple[int, int]:
        """Where the next selector of this name begins and where the name ends."""
        found = (
            [each.span() for each in re.finditer(rf"(?<![\w:]){re.escape(name)}(?![\w:])", self.code)] if name else []
        )
        self.seen[name] += 1
        return found[min(self.seen[name], len(found)) - 1] if found else (0, 0)

    def _places(self, end: int, node: Any) -> dict[str, int]:
        """Where the labels in the braces after a name stand."""
        opening = self.code.rfind("{", 0, end) if node.name is None else self.code.find("{", end)
        if opening < 0 or (node.name and self.code[end:opening].strip()):
            return {}
        closing = self.code.find("}", opening)
        inside = self.code[opening : closing if closing > 0 else None]
        return {found[1]: opening + found.start(1) for found in re.finditer(r"(\w+)\s*(?:=|!)", inside)}

    def window(self, node: Any, vector: Vector, samples: int) -> None:
        """Complains of a range that is too short for a function that needs so many samples."""
        length, interval = node.range, self.context.scrape_interval
        if type(node).__name__ != "MatrixSelector" or not vector.metric or length == UNKNOWN_WINDOW:
            return
        every = timedelta(milliseconds=float(interval.milliseconds))
        assumed = "a scrape" if self.context.interval_given else "an assumed scrape"
        lasts = tree.duration(length)
        if length < samples * every:
            holds = "fewer than two samples" if samples > 1 else "no sample at times"
            wrong = f"a window of {lasts} holds {holds}, at {assumed} interval of {interval}"
        elif samples > 1 and self.context.interval_given and length < 4 * every:
            wrong = f"a window of {lasts} is empty after one failed scrape, at {assumed} interval of {interval}"
        else:
            return
        right = f"use {interval.times(4)} or more"
        if not self.context.interval_given:
            right += ", or say --scrape-interval"
        self.complain(
            "short-window", vector.at, wrong, right, severity="warning" if length >= samples * every else "error"
        )

    # Functions

    def _Call(self, node: Any) -> Vector:  # noqa: N802
        name = node.func.name
        if name == "histogram_quantile":
            return self._quantile(node)
        if name in _RATES or name in _OF_GAUGES or name.endswith("_over_time") or name in ("changes", "resets"):
            return self._ranged(name, node)
        arguments = [self.vector(each) for each in node.args]
        if name == "absent":
            return self._absent(arguments[0])
        if name in ("time", "timestamp"):
            return Vector(unit=(("s", 1),))
        if name in _SAME:
            inner = arguments[0] if arguments else Vector()
            return inner if name.startswith("sort") else replace(inner, one="", ceiling=None, origin=None)
        series = next((each for each in arguments if each.series), Vector())
        return Vector(series=series.series, at=series.at, conditional=any(each.conditional for each in arguments))

    def _absent(self, inner: Vector) -> Vector:
        if inner.series == "milvus_rootcoord_quota_states" and inner.one:
            wrong = f"{inner.series} is absent while all is well: {inner.one}"
            self.complain("never-zero", inner.at, wrong, "alert when it is there: > 0")
        return Vector(conditional=True)

    def _ranged(self, name: str, call: Any) -> Vector:
        node = next((each for each in call.args if type(each).__name__ in ("MatrixSelector", "SubqueryExpr")), None)
        for each in call.args:
            if each is not node and type(each).__name__ not in ("MatrixSelector", "SubqueryExpr"):
                self.vector(each)
        if node is None:
            return Vector()
        is_subquery = type(node).__name__ == "SubqueryExpr"
        inner = self.vector(node.expr if is_subquery else node.vector_selector)
        if not inner.series:
            return inner
        if name == "absent_over_time":
            return self._absent(inner)
        self.window(node, inner, 2 if name in _RATES or name in _OF_GAUGES else 1)
        counts = replace(
            inner, unit=(), counter="", ceiling=None, origin=None, one="", presence=False, mean=False, quantile=False
        )
        if name in _RATES:
            return self._rated(name, inner, node, is_subquery=is_subquery)
        if name in ("changes", "resets", "count_over_time", "present_over_time"):
            return counts
        if name in _OF_GAUGES:
            if inner.counter:
                wrong = f"{name}() of the counter {inner.counter} is wrong whenever it starts again from 0"
                self.complain("counter-without-rate", inner.at, wrong, "use rate() or increase()")
            return replace(counts, unit=None)
        keeps = name in ("min_over_time", "max_over_time", "avg_over_time", "last_over_time", "quantile_over_time")
        return inner if keeps else replace(counts, unit=inner.unit if name == "sum_over_time" else None)

    def _rated(self, name: str, inner: Vector, node: Any, *, is_subquery: bool) -> Vector:
        metric = inner.metric
        if inner.counter and inner.closed:
            wrong = f"{name}() of a sum of the counter {inner.counter} jumps whenever one of them starts again from 0"
            self.complain("rate-of-sum", inner.at, wrong, f"rate first, then sum: sum({name}({inner.counter}[...]))")
        elif inner.rated and inner.recorded:
            wrong = f"{name}() of {inner.series}, which is recorded as a rate already: it also falls"
            self.complain("rate-of-gauge", inner.at, wrong, "read it as it is, or take avg_over_time() of it")
        elif metric and metric.type == "gauge" and not is_subquery and not metric.name.endswith(_RISING):
            wrong = f"{name}() of {metric.name}, which is a gauge in Milvus {self.release.name}: it also falls"
            self.complain("rate-of-gauge", inner.at, wrong, _for_gauge(name))
        unit = inner.unit
        if unit is not None and name != "increase":
            unit = times(unit, (("s", -1),))
        origin = inner.origin and replace(inner.origin, function=name, window=tree.duration(node.range))
        return replace(inner, unit=unit, counter="", rated=True, one="", presence=False, origin=origin)

    def _quantile(self, node: Any) -> Vector:
        self.vector(node.args[0])
        quantile = constant(node.args[0])
        before, self.in_quantile = self.in_quantile, True
        inner = self.vector(node.args[1])
        self.in_quantile = before
        if not inner.series:
            return inner
        if quantile is not None and not 0 <= quantile <= 1:
            right = f"did you mean {plain(quantile / 100)}?" if 1 < quantile <= 100 else "give a share, such as 0.99"
            wrong = f"histogram_quantile({plain(quantile)}, ...) is not a quantile: the result is infinite"
            self.complain("quantile-out-of-range", inner.at, wrong, right)
        if not inner.known:
            return Vector(series=inner.series, at=inner.at, conditional=inner.conditional)
        metric = inner.buckets
        if metric is None:
            metric = inner.metric
            if metric is None:
                return Vector(series=inner.series, at=inner.at, conditional=inner.conditional)
            if "_bucket" not in inner.series:
                wrong = f"histogram_quantile() of {inner.series}, which has no buckets: there is no result"
                is_histogram = metric.type == "histogram"
                right = f"read {metric.name}_bucket" if is_histogram else "it works on `_bucket` series of histograms"
            else:
                wrong = f"histogram_quantile() of {inner.series} without its label `le`: there is no result"
                right = "keep le in the aggregation: sum by (le, ...) (rate(...))"
            self.complain("quantile-without-le", inner.at, wrong, right)
        elif not inner.rated:
            wrong = f"histogram_quantile() of {inner.series} without a rate is over all requests since the start"
            self.complain("quantile-without-rate", inner.at, wrong, f"use rate({inner.series}[5m])")
        self._mixed(inner, inner.labels if inner.closed else inner.labels | {inner.units_by})
        top = inner.bounds[-1] if inner.bounds else None
        return replace(
            inner,
            labels=inner.labels - {"le"},
            sure=inner.sure - {"le"},
            unit=((metric.unit, 1),) if metric.unit and not inner.units_by else None if inner.units_by else (),
            counter="",
            buckets=None,
            ceiling=top,
            capped_by=f"the last bucket of {metric.name} ends at {plain(top)}" if top is not None else "",
            quantile=True,
            origin=None,
        )

    # Aggregations

    def _AggregateExpr(self, node: Any) -> Vector:  # noqa: N802
        op = str(node.op)
        if node.param is not None:
            self.vector(node.param)
        inner = self.vector(node.expr)
        named = frozenset(node.modifier.labels) if node.modifier else frozenset()
        without = node.modifier is not None and "Without" in str(node.modifier.type)
        picks = op in ("topk", "bottomk", "limitk", "limit_ratio")
        if not without:
            self._grouped(op, named, inner)
        if picks:
            return inner
        if without:
            labels, closed = inner.labels - named, inner.closed
        else:
            labels, closed = frozenset(label for label in named if not self.lacks(inner, label)), True
        if op in ("sum", "avg"):
            self._added_up(op, inner, labels)
        if op in ("sum", "avg", "min", "max", "quantile", "stddev", "stdvar"):
            self._mixed(inner, labels)
        kept = replace(
            inner,
            known=(inner.known or not without) and not any(map(is_variable, named)),
            labels=labels,
            closed=closed,
            sure=inner.sure & labels,
            fixed=frozenset(each for each in inner.fixed if each[0] in labels),
            buckets=inner.buckets if "le" in labels else None,
            presence=False,
            recorded=inner.recorded and without,
            units_by=inner.units_by if inner.units_by in labels else "",
            statuses=inner.statuses if "status" in labels else frozenset(),
            origin=inner.origin and replace(inner.origin, aggregated=True) if op == "sum" else None,
        )
        if op in ("count", "group", "count_values"):
            if op == "count_values":  # which makes a label
                return Vector(series=inner.series, at=inner.at, conditional=inner.conditional)
            never = f"{op}() of no series is empty, not 0"
            ceiling = 1.0 if op == "group" else None
            return replace(
                kept, unit=(), counter="", buckets=None, ceiling=ceiling, one=never if inner.series else "", mean=False
            )
        if op in ("sum", "stddev", "stdvar"):
            return replace(kept, ceiling=None, unit=kept.unit if op == "sum" else None, mean=False, quantile=False)
        return kept

    def _grouped(self, op: str, named: Iterable[str], inner: Vector) -> None:
        """Complains of labels that results are to be told apart by, and that are not there."""
        for label in sorted(named):
            if self.lacks(inner, label):
                self._missing(label, inner, f"{op} by ({label})", "tells nothing apart", ("by",))

    def _missing(self, label: str, vector: Vector, shown: str, so: str, keywords: tuple[str, ...]) -> None:
        """Complains of a label in a list that is on no series of the vector."""
        at = self._in_list(label, keywords, vector.at)
        metric = vector.metric
        if vector.closed and (metric is None or label in metric.labels or not self.labels.lacks(label, metric.labels)):
            kept = ", ".join(sorted(vector.labels)) or "no label"
            wrong = f"`{shown}` {so}: an aggregation before it keeps {kept}"
            self.complain("lost-label", at, wrong, f"keep {label} in the aggregation, or leave it out here")
        elif metric:
            wrong = f"`{shown}` {so}: {vector.series} has no label `{label}` in Milvus {self.release.name}"
            right = self.instead_of_label(label, vector.labels if not vector.closed else metric.labels)
            self.complain("unknown-label", at, wrong, right, severity="warning" if "by" in keywords else "error")

    def _in_list(self, label: str, keywords: tuple[str, ...], otherwise: int) -> int:
        """Where a label stands in a list after one of the keywords."""
        for found in _LIST.finditer(self.code):
            if found[1] in keywords and (inside := re.search(rf"\b{re.escape(label)}\b", found[2])):
                return found.start(2) + inside.start()
        return otherwise

    def _added_up(self, op: str, inner: Vector, labels: frozenset[str]) -> None:
        if inner.buckets and not inner.one_bucket and "le" not in labels and not self.in_quantile:
            wrong = f"{op}() adds up the buckets of {inner.series}, each of which holds those below it"
            right = f"keep le, select one bucket, or read {inner.buckets.name}_count for all requests"
            self.complain("buckets-added-up", inner.at, wrong, right)
        if (
            "total" in inner.statuses
            and len(inner.statuses) > 1
            and "status" not in labels
            and not inner.fixed & _TOTAL
        ):
            wrong = f"{op}() over `total` and other values of `status` counts requests twice: `total` is all of them"
            right = 'select one: status="total" for all requests'
            every = inner.valued_by.values["status"] if inner.valued_by else ()
            left_out = [each for each in every if each not in inner.statuses]
            if 0 < len(left_out) < len(inner.statuses):
                right = f"leave out `total`, too: status!~{quoted_string('|'.join([*left_out, 'total']))}"
            self.complain("counts-total-twice", inner.at, wrong, right)

    def _mixed(self, inner: Vector, labels: frozenset[str]) -> None:
        if inner.units_by and inner.units_by not in labels and inner.valued_by:
            values = ", ".join(inner.valued_by.buckets_of_value[inner.units_by])
            wrong = f"{inner.series} holds times as well as ratios ({values}), which are put together here"
            self.complain("mixed-units", inner.at, wrong, f"select one value of `{inner.units_by}`, or group by it")

    # Operators

    def _ParenExpr(self, node: Any) -> Vector:  # noqa: N802
        return self.vector(node.expr)

    def _UnaryExpr(self, node: Any) -> Vector:  # noqa: N802
        return replace(self.vector(node.expr), ceiling=None, one="", origin=None)

    def _MatrixSelector(self, node: Any) -> Vector:  # noqa: N802
        return self.vector(node.vector_selector)

    def _SubqueryExpr(self, node: Any) -> Vector:  # noqa: N802
        return self.vector(node.expr)

    def _BinaryExpr(self, node: Any) -> Vector:  # noqa: N802
        op = str(node.op)
        before = len(self.complaints)
        left = self.vector(node.lhs)
        between = len(self.complaints)
        right = self.vector(node.rhs)
        if op == "or":
            self._either(node, before, between, left, right)
        scalars = [is_scalar(side) for side in (node.lhs, node.rhs)]
        numbers = [
            constant(side) if scalar else None for side, scalar in zip((node.lhs, node.rhs), scalars, strict=True)
        ]
        if any(scalars):
            return self._with_number(node, op, left, right, scalars[0], numbers)
        if op in ("and", "or", "unless"):
            return self._set(node, op, left, right)
        return self._joined(node, op, left, right)

    def _with_number(
        self, node: Any, op: str, left: Vector, right: Vector, number_first: bool, numbers: list[float | None]
    ) -> Vector:
        inner, number = (right, numbers[0]) if number_first else (left, numbers[1])
        if op in _COMPARISONS:
            if number is not None:
                self.compare(inner, _MIRRORED.get(op, op) if number_first else op, number)
            if node.modifier and node.modifier.return_bool:
                return replace(
                    inner, unit=(), counter="", ceiling=1.0, capped_by="a comparison with bool is 0 or 1", one=""
                )
            # That something never happened is a condition; how often since the start is none.
            return replace(inner, conditional=True, counter="" if op == "==" and number == 0 else inner.counter)
        if op in ("*", "/") and not (number_first and op == "/"):
            return inner.scaled(op, number)
        if op == "-" and number_first and inner.ceiling is not None and number is not None:
            return replace(inner, ceiling=number, one="", origin=None)
        same = op in ("+", "-") and not number_first
        return replace(
            inner, unit=inner.unit if same or inner.unit == () else None, ceiling=None, one="", origin=None,
            quantile=inner.quantile and same, mean=inner.mean and same,
        )  # fmt: skip

    def compare(self, inner: Vector, op: str, number: float) -> None:
        """Complains of a comparison with a number that is never true, or takes the series for one in another unit."""
        shown = f"{op} {plain(number)}"
        if inner.one and ((op in ("==", "<=") and number == 0) or (op == "<" and 0 < number <= 1)):
            name = "the count" if inner.one.startswith(("count", "group")) else inner.series
            right = "use absent(), or compare with what was there before: ... offset 1h unless ..."
            self.complain("never-zero", inner.at, f"`{shown}` is never true of {name}: {inner.one}", right)
        if inner.ceiling is not None and (
            (op in (">", "==") and number > inner.ceiling)
            or (op == ">=" and number > inner.ceiling)
            or (op == ">" and number == inner.ceiling)
        ):
            wrong = f"`{shown}` is never true: {inner.capped_by}"
            self.complain("unreachable-threshold", inner.at, wrong, _reachable(inner, number))
            return
        wrong, right = threshold(inner, op, number, self.prose)
        if wrong:
            self.complain("unit-mismatch", inner.at, wrong, right)

    def _either(self, node: Any, before: int, between: int, left: Vector, right: Vector) -> None:
        """Takes back what makes one side of `or` useless, but not the whole.

        That is what is missing on one side when the other one has it, as each may be for other releases; and that
        something is never 0, beside a condition for its absence.
        """
        sides = [self.complaints[before:between], self.complaints[between:]]
        if _is_absence(node.lhs) or _is_absence(node.rhs):
            sides = [[each for each in side if each.code != "never-zero"] for side in sides]
        missing = [any(each.code in _MISSING for each in side) for side in sides]
        one_sided = bool(left.series and right.series) and missing.count(True) == 1
        self.complaints[before:] = [
            each for side in sides for each in side if not (one_sided and each.elsewhere and each.code in _MISSING)
        ]

    def _set(self, node: Any, op: str, left: Vector, right: Vector) -> Vector:
        if op == "or":
            both = left.known and right.known
            return replace(
                left,
                series=left.series or right.series,
                known=both,
                labels=left.labels | right.labels,
                closed=left.closed and right.closed,
                sure=left.sure & right.sure,
                fixed=left.fixed & right.fixed,
                valued_by=left.valued_by if left.valued_by == right.valued_by else None,
                recorded=left.recorded or right.recorded,
                unit=left.unit if left.unit == right.unit else None,
                conditional=left.conditional and right.conditional,
                ceiling=None,
                one="",
                origin=None,
            )
        self._match(node, op, left, right)
        foreign = not right.series and not right.known
        conditional = op == "unless" or left.conditional or right.conditional or foreign
        # Beside another condition, a counter may only say which processes are meant: those that did something.
        counter = "" if right.conditional or foreign else left.counter
        return replace(left, conditional=conditional, counter=counter)

    def _joined(self, node: Any, op: str, left: Vector, right: Vector) -> Vector:
        self._match(node, op, left, right)
        self._units(op, left, right)
        share = self._share(node, op, left, right)
        card = tree.cardinality(node)
        kept = right if card == "OneToMany" else left
        matching = node.modifier.matching if node.modifier else None
        labels, closed, sure, fixed = kept.labels, kept.closed, kept.sure, kept.fixed
        if matching is not None and card == "OneToOne":
            named = frozenset(matching.labels)
            if "Include" in str(matching.type):
                labels, closed = frozenset(each for each in named if not self.lacks(kept, each)), True
            else:
                labels = labels - named
            sure, fixed = sure & labels, frozenset(each for each in fixed if each[0] in labels)
        grouped = frozenset(node.modifier.group_labels or ()) if node.modifier else frozenset()
        labels |= grouped
        unit = None
        if op in ("+", "-", *_COMPARISONS):
            unit = left.unit if left.unit == right.unit or op in _COMPARISONS else None
        elif op in ("*", "/") and left.unit is not None and right.unit is not None:
            unit = times(left.unit, right.unit if op == "*" else inverse(right.unit))
        compares = op in _COMPARISONS
        is_bool = compares and bool(node.modifier and node.modifier.return_bool)
        # Of one histogram, only its sum divided by its count is a time; also where both are recorded.
        histogram = left.valued_by if left.valued_by == right.valued_by else None
        mean = op == "/" and histogram is not None and bool(histogram.unit) and unit == ((histogram.unit, 1),)
        counter = left.counter if compares or op == "/" else ""
        first = left if left.series else right
        return Vector(
            series=first.series,
            at=first.at,
            known=kept.known,
            labels=labels,
            closed=closed,
            sure=sure,
            fixed=fixed,
            valued_by=None if grouped else kept.valued_by,
            recorded=kept.recorded and not (matching is not None and "Include" in str(matching.type)),
            unit=() if is_bool else unit,
            metric=first.metric,
            counter=counter,
            conditional=(compares and not is_bool) or left.conditional or right.conditional,
            ceiling=1.0 if share else left.ceiling if compares and not is_bool else None,
            capped_by="a share of requests is at most 1" if share else left.capped_by if compares else "",
            buckets=kept.buckets if "le" in labels else None,
            bounds=kept.bounds if not (left.bounds and right.bounds) or left.bounds == right.bounds else (),
            rated=kept.rated,
            one_bucket=kept.one_bucket,
            mean=mean,
            quantile=left.quantile and compares,
        )

    def _share(self, node: Any, op: str, left: Vector, right: Vector) -> bool:
        """Whether a division is of a part by its whole; complains when it is of each series by itself."""
        ours, theirs = left.origin, right.origin
        if op != "/" or not ours or not theirs or not ours.function:
            return False
        if (ours.family, ours.function, ours.window) != (theirs.family, theirs.function, theirs.window):
            return False
        without_total = theirs.matchers - {("status", "=", "total")}
        is_share = without_total <= ours.matchers and ("status", "=", "total") not in ours.matchers - theirs.matchers
        plain_match = node.modifier is None or node.modifier.matching is None
        if plain_match and not ours.aggregated and not theirs.aggregated and theirs.matchers <= ours.matchers:
            wrong = f"each series of {left.series} is divided by itself here, so that the result is always 1"
            self.complain("divided-by-itself", left.at, wrong, "sum both sides: sum(rate(...)) / sum(rate(...))")
        return is_share

    def _units(self, op: str, left: Vector, right: Vector) -> None:
        if op not in ("+", "-", *_COMPARISONS) or not left.unit or not right.unit or left.unit == right.unit:
            return
        if left.metric or right.metric:
            wrong = f"`{op}` holds {unit_text(left.unit)} against {unit_text(right.unit)}"
            series = f" ({left.series} and {right.series})" if left.series and right.series else ""
            at = left.at if left.series else right.at
            self.complain(
                "unit-mismatch", at, wrong + series, "convert one of them: / 1000 makes seconds of milliseconds"
            )

    def _match(self, node: Any, op: str, left: Vector, right: Vector) -> None:
        """Complains when no series of one side has the labels of one of the other."""
        matching = node.modifier.matching if node.modifier else None
        named = frozenset(matching.labels) if matching else frozenset()
        on = matching is not None and "Include" in str(matching.type)
        if on:
            for label in sorted(named):
                gone = [side for side in (left, right) if side.series and self.lacks(side, label)]
                if gone and (len(gone) == 2 or label in (left.sure | right.sure) or gone[0].closed):
                    self._missing(label, gone[0], f"on ({label})", "finds nothing to compare", ("on",))
            if any(self.lacks(side, label) for label in named for side in (left, right)):
                return
        if node.modifier:
            for label in sorted(node.modifier.group_labels or ()):
                one = right if tree.cardinality(node) == "ManyToOne" else left
                if one.series and self.lacks(one, label):
                    self._missing(label, one, f"group_left ({label})", "adds nothing", ("group_left", "group_right"))
        if not left.known or not right.known or not (left.series or right.series):
            return

        def compared(label: str) -> bool:
            return (label in named) if on else (label not in named)

        pinned, other = dict(left.fixed), dict(right.fixed)
        sides = f"{left.series or 'the left side'} and {right.series or 'the right side'}"
        for label in sorted(pinned.keys() & other.keys()):
            if compared(label) and pinned[label] != other[label] and label in left.labels & right.labels:
                wrong = (
                    f"`{op}` finds no series in common: one side has {label}={quoted_string(pinned[label])}, the other "
                )
                wrong += f"{label}={quoted_string(other[label])}"
                self.complain("sides-never-match", left.at, wrong, f"sum both sides, or say ignoring ({label})")
                return
        if on:
            return
        for one, another in ((left, right), (right, left)):
            extra = [each for each in sorted(one.sure) if compared(each) and self.lacks(another, each)]
            if extra:
                wrong = f"`{op}` finds no series in common: of {sides} only one has {', '.join(extra)}"
                right_ = "aggregate both sides by the same labels, or say on (...) with group_left or group_right"
                self.complain("sides-never-match", one.at or another.at, wrong, right_)
                return


_MISSING = ("unknown-metric", "unfed-metric", "unknown-label", "impossible-value", "unknown-bucket")
_TOTAL = frozenset({("status", "total")})
_RATES = ("rate", "irate", "increase")
# Ends of the names of gauges that may be meant to rise only: points in time, and sums that the code keeps itself.
_RISING = ("_unix_seconds", "_total")
_OF_GAUGES = ("delta", "idelta", "deriv", "predict_linear", "double_exponential_smoothing")
_SAME = (
    "abs", "ceil", "floor", "round", "clamp", "clamp_min", "clamp_max", "sort", "sort_desc", "sort_by_label",
    "sort_by_label_desc",
)  # fmt: skip


def _is_absence(node: Any) -> bool:
    while type(node).__name__ == "ParenExpr":
        node = node.expr
    return type(node).__name__ == "Call" and node.func.name in ("absent", "absent_over_time")


def _for_gauge(name: str) -> str:
    return {"rate": "use deriv() for its slope, or look at its value", "irate": "use idelta()"}.get(name, "use delta()")


def _reachable(inner: Vector, number: float) -> str:
    if inner.time and inner.quantile:
        return f"the value is in {inner.time}; a threshold must be below {plain(inner.ceiling or 0)}"
    if inner.ceiling == 1:
        return f"did you mean {plain(number / 100)}?" if 1 < number <= 100 else "compare with a share between 0 and 1"
    return f"the largest possible value is {plain(inner.ceiling or 0)}"
