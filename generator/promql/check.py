"""The type checker: an expression is checked against what a release exposes before it is shipped.

A rule that names a metric, label or bucket that does not exist loads without a word and never fires. So each
expression is parsed, and walked with a type for every part of it: the unit, the labels, whether it is a counter
that must be rated, whether it holds histogram buckets. What is wrong comes back as text; a template with a
violation is not compiled.

Parsing is done once per *shape*: the expression with every matched label value and every number blanked out.
That is sound, because a string or a number is a single token to PromQL's lexer, so two expressions of one shape
have the same tree; nothing in the analysis of the tree looks at a blanked part; and the matched values are
checked one by one for each expression. (Numbers that convert units, 1000 and 1000000, are not blanked.)
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from generator import conventions
from generator.buckets import pattern, spellings
from generator.catalog import ALERTS, UP, Metric, Release, View, exposed, first_with, of_exporters
from generator.names import PLACEHOLDER
from generator.promql import tree
from generator.promql.dimension import Unit, inverse, times, unit_text

if TYPE_CHECKING:
    import promql_parser

    from generator.profile import Disk

# promql-parser ends the process on 10,000 nested parentheses or 5,000 terms; no rule comes near these limits.
MAX_LENGTH = 20_000
MAX_DEPTH = 40
MAX_OPERATORS = 400

_ANY_OTHER = "*"  # labels of the target that Thresher does not know
_STRING = re.compile(r'("(?:[^"\\\n]|\\.)*")')
_NUMBER = re.compile(r"(?<![\w:.])(?!1000(?:000)?(?![\w.]))\d+(?:\.\d+)?(?:[eE][+-]?\d+)?(?![\w:.])")
_UNSAFE = re.compile(r"[`'#]")
_DURATION = r"(?:\d{1,4}(?:ms|[smhdw]))+"
_REGEX = re.compile(r"(?:[\w :/@%,;<>=!~&#`\"'-]|\\[.+*?()\[\]{}|^$\\]|\.[*+?]?|\||\(|\)\??)*")
_TO_SMALLER = {"us": "ms", "ms": "s"}


@dataclass(frozen=True, slots=True)
class Quantity:
    """The type of a vector: its unit and labels.

    `fixed` are labels that have one value throughout. `counter` is a counter that is not rated yet.
    `le_unit` is the unit of the bucket bounds, for vectors of histogram buckets only; `le_value` the index of
    the matched value when a pattern selects among the buckets.
    """

    unit: Unit
    labels: frozenset[str]
    fixed: frozenset[str] = frozenset()
    counter: bool = False
    le_unit: str | None = None
    le_value: int | None = None

    @property
    def varying(self) -> frozenset[str]:
        return self.labels - self.fixed

    def in_words(self) -> str:
        return unit_text(self.unit)


@dataclass(frozen=True, slots=True)
class Checked:
    """What is wrong with an expression (nothing, as a rule), its type, and what it reads.

    `quantity` is None for a scalar, and after an error that leaves no type.
    """

    violations: tuple[str, ...]
    quantity: Quantity | None
    metrics: frozenset[str]
    records: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Plan:
    """The outcome for a shape, and the matched values that are still to be checked for each expression."""

    checked: Checked
    literals: tuple[tuple[int, str, str, str], ...]  # index of the value, series, label, operator
    types: tuple[tuple[str, Quantity | None], ...]  # the types of the recorded series when the plan was made


class Checker:
    """Checks expressions against one release, for deployments that are named by `target_labels`.

    With `selected_by`, every selector must match these labels, and one of a recorded series the profile: without
    them a rule would read what belongs to other deployments. `disk` says which series of another exporter there are.
    """

    def __init__(
        self,
        release: Release | View,
        target_labels: Iterable[str],
        selected_by: frozenset[str] | None = None,
        disk: Disk | None = None,
    ) -> None:
        self.release = release
        self.selected_by = selected_by
        self.disk = disk
        self.target_labels = frozenset(target_labels) | {"job", "instance"}
        self._plans: dict[str, _Plan] = {}
        self._value_problem = lru_cache(maxsize=4096)(self._find_value_problem)

    def check(self, expression: str, records: Mapping[str, Quantity]) -> Checked:
        """Checks one expression that may read the recorded series `records` (by name, with their types)."""
        shape, literals = _shape(expression)
        plan = self._plans.get(shape)
        if plan is None or any(records.get(name) != quantity for name, quantity in plan.types):
            plan = self._plans[shape] = self._plan(shape, records)
        problems = [
            problem
            for index, series, label, op in plan.literals
            if (problem := self._value_problem(series, label, op, literals[index]))
        ]
        if problems:
            return replace(plan.checked, violations=(*plan.checked.violations, *problems))
        return plan.checked

    def requirement(self, selector: str) -> str:
        """Why the release cannot serve a selector such as `metric{label=~"a|b"}`; empty when it can."""
        checked = self.check(f"group(absent({selector}))", {})
        return "; ".join(checked.violations)

    def _plan(self, shape: str, records: Mapping[str, Quantity]) -> _Plan:
        walk = _Walk(self.release, self.target_labels, records, self.selected_by, self.disk)
        tree = None
        if problem := _too_much(shape):
            walk.violations.append(problem)
        else:
            import promql_parser

            numbered = iter(range(shape.count(_BLANK)))
            try:
                tree = promql_parser.parse(re.sub(re.escape(_BLANK), lambda _: f'"L{next(numbered)}"', shape))
            except ValueError as error:
                walk.violations.append(f"does not parse: {error}")
        quantity = walk.vector(tree) if tree is not None else None
        checked = Checked(tuple(walk.violations), quantity, frozenset(walk.metrics), frozenset(walk.read))
        return _Plan(checked, tuple(walk.literals), tuple((name, records.get(name)) for name in sorted(walk.read)))

    def _find_value_problem(self, series: str, label: str, op: str, literal: str) -> str:
        """Why a matcher can never match, or not what it seems to; empty when it is sound."""
        value = _unquoted(literal)
        if op == _ONE_BUCKET:
            first = re.match(r"[\d.e+-]+", value.replace("\\", ""))
            one = first is not None and value == pattern(float(first[0].rstrip(".")))
            return "" if one else f"{series}() adds up buckets: le=~{literal} selects more than one"
        shown = f"{series}{{{label}{op}{literal}}}"
        # Placeholders stand for names.
        if "~" in op and (problem := regex_problem(PLACEHOLDER.sub("name", value))):
            return f"{shown}: {problem}"
        found = exposed(self.release, series)
        if found is None or op.startswith("!"):
            return ""
        metric, part = found

        def matches(text: str) -> bool:
            return bool(re.fullmatch(value, text)) if op == "=~" else text == value

        if label == "le" and part == "_bucket":
            return _bucket_problem(shown, value, op, matches, metric)
        known = metric.values.get(label)
        if known and not any(map(matches, known)):
            return f"{shown} matches none of the values of Milvus {self.release.name}: {', '.join(known)}"
        return ""


_BLANK = '"§"'
_ONE_BUCKET = "one bucket"  # not an operator: asks that a pattern on `le` selects a single bucket


def _shape(expression: str) -> tuple[str, list[str]]:
    """The expression with matched values and numbers blanked out, and the values in their order."""
    pieces = _STRING.split(expression)
    literals = []
    for index in range(1, len(pieces), 2):
        if pieces[index - 1][-1:] in "=~":
            literals.append(pieces[index])
            pieces[index] = _BLANK
    return _NUMBER.sub("0", "".join(pieces)), literals


_BRACKET = re.compile(r"[()\[\]{}]")


def _too_much(shape: str) -> str:
    """What keeps an expression from being parsed safely; empty when nothing does."""
    code = _STRING.sub('""', shape)
    if unsafe := _UNSAFE.search(code):
        return f"{unsafe[0]} is not used in rules: strings are double-quoted, comments belong beside the expression"
    if problem := _unreadable(code):
        return f"{problem} is not used in rules: not every supported Prometheus reads it"
    return too_large(code)


def too_large(code: str) -> str:
    """Which limit of the parser an expression without its strings is beyond; empty when it can be parsed safely."""
    depth = deepest = 0
    for bracket in _BRACKET.findall(code):
        depth += 1 if bracket in "([{" else -1
        deepest = max(deepest, depth)
    if (
        len(code) > MAX_LENGTH
        or deepest > MAX_DEPTH
        or len(re.findall(r"[-+*/%^<>]|[=!]=|\b(?:and|or|unless|atan2)\b", code)) > MAX_OPERATORS
    ):
        return f"over {MAX_LENGTH} characters, {MAX_DEPTH} levels of nesting or {MAX_OPERATORS} operators"
    return ""


def _unreadable(code: str) -> str:
    """What promql-parser accepts and some supported Prometheus refuses, in an expression without its strings."""
    if any(not re.fullmatch(_DURATION, inner) for inner in re.findall(r"\[([^\]]*)\]", code)):
        return "a range that is not one duration"
    rest = re.sub(rf"\[[^\]]*\]|\boffset {_DURATION}(?!\w)", "", code)
    if found := re.search(r"\b(?:offset|fill|fill_left|fill_right|smoothed|anchored)\b|@", rest):
        return found[0]
    if found := re.search(r"(?<![\w:.])\d+(?:ms|[smhdwy])\b", rest):
        return f"{found[0]} as a number"
    if re.search(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\"", rest):
        return "a quoted name of a label"
    return ""


def _unquoted(literal: str) -> str:
    return re.sub(r"\\(.)", lambda found: "\n" if found[1] == "n" else found[1], literal[1:-1])


@lru_cache(maxsize=4096)
def regex_problem(text: str) -> str:
    """Why a regular expression is not accepted: Prometheus (RE2) and promql-parser must read it alike.

    Only plain characters, `.`, `*`, `+`, `?` after a dot or a group, alternation, groups and escaped
    metacharacters are let through; both engines agree on those.
    """
    if not _REGEX.fullmatch(text):
        return "regular expressions are limited to text, `.`, `.*`, `.+`, `|`, groups and escaped metacharacters"
    try:
        re.compile(text)
    except re.error as error:
        return f"no regular expression: {error}"
    return ""


def _bucket_problem(shown: str, value: str, op: str, matches: Callable[[str], bool], metric: Metric) -> str:
    """Why a matcher on `le` does not select whole buckets in every spelling; empty when it does."""
    by_value = [bounds for values in metric.buckets_of_value.values() for bounds in values.values()]
    bounds = sorted({*metric.buckets, *(bound for bounds in by_value for bound in bounds)})
    every = [("+Inf",), *map(spellings, bounds)]
    if not any(map(matches, (text for texts in every for text in texts))):
        return f"{shown}: no such bucket; the bounds are {', '.join(texts[0] for texts in every[1:])}"
    for texts in every:
        if any(map(matches, texts)) and not all(map(matches, texts)):
            missed = next(text for text in texts if not matches(text))
            return f"{shown} misses the spelling `{missed}` of a bucket that it selects"
    alternatives = re.split(r"\|", value) if op == "=~" and "(" not in value.replace(r"(\.0)?", "") else []
    for alternative in alternatives:
        if not any(re.fullmatch(alternative, text) for texts in every for text in texts):
            return (
                f"{shown}: no bucket for `{alternative}`; the bounds are {', '.join(texts[0] for texts in every[1:])}"
            )
    return ""


class _Walk:
    """One pass over a tree. Methods return the type of a part; None where it has none that is known."""

    def __init__(
        self,
        release: Release | View,
        target_labels: frozenset[str],
        records: Mapping[str, Quantity],
        selected_by: frozenset[str] | None,
        disk: Disk | None,
    ) -> None:
        self.release, self.target_labels, self.records, self.selected_by = release, target_labels, records, selected_by
        self.disk = disk
        self.violations: list[str] = []
        self.literals: list[tuple[int, str, str, str]] = []
        self.metrics: set[str] = set()
        self.read: set[str] = set()

    def complain(self, text: str) -> None:
        if text not in self.violations:
            self.violations.append(text)

    def vector(self, node: Any) -> Quantity | None:
        visit: Callable[[Any], Quantity | None] | None = getattr(self, f"_{type(node).__name__}", None)
        if visit is None:
            self.complain(f"{type(node).__name__} is not used in rules")
            return None
        return visit(node)

    def _ParenExpr(self, node: promql_parser.ParenExpr) -> Quantity | None:  # noqa: N802 - named after the node
        return self.vector(node.expr)

    def _NumberLiteral(self, node: promql_parser.NumberLiteral) -> Quantity | None:  # noqa: N802, ARG002
        return None

    def _VectorSelector(self, node: promql_parser.VectorSelector) -> Quantity | None:  # noqa: N802
        quantity = self.selected(node)
        if quantity and quantity.counter:
            self.complain(f"{node.name} is a counter and must be rated: rate({node.name}[...])")
        return quantity

    def selected(self, node: promql_parser.VectorSelector) -> Quantity | None:
        """The type of a selector; its matchers are checked or noted for checking."""
        name = node.name
        if name is None or node.matchers.or_matchers:
            self.complain("a selector must name its metric and must not use `or`")
            return None
        found = self._series(name)
        labels = found.labels if found else frozenset()
        fixed = set()
        le_value = None
        matched = tree.matchers(node)
        for label, op, value in matched:
            if found and label not in labels:
                here = ", ".join(sorted(labels - {_ANY_OTHER} - self.target_labels)) or "none of its own"
                self.complain(f"{name} has no label `{label}` in Milvus {self.release.name}; it has {here}")
            if op == "=":
                fixed.add(label)
            elif op == "=~" and label == "le":
                le_value = int(value[1:])
            self.literals.append((int(value[1:]), name, label, op))
        if self.selected_by is not None:
            positive = {label for label, op, _ in matched if op in ("=", "=~")}
            wanted = {conventions.PROFILE} if ":" in name or name == ALERTS else self.selected_by
            if name in of_exporters():
                wanted = {label for label, _ in self.disk.selector} if self.disk else set()
            if missing := sorted(wanted - positive):
                self.complain(f"{name} is also read of other deployments: match {', '.join(missing)}")
        if not found:
            return None
        family = exposed(self.release, name)
        selected = {label for label, _, _ in matched}
        if family and "total" in family[0].values.get("status", ()) and "status" not in selected:
            self.complain(f"{name} has a series for `total` beside the others: select a `status`")
        if family and family[1] in ("_bucket", "_sum", "_count"):
            for label in family[0].buckets_of_value:
                if label not in fixed:
                    self.complain(f"{name} mixes units: select one value of `{label}`")
        return replace(found, fixed=found.fixed | fixed, le_value=le_value)

    def _series(self, name: str) -> Quantity | None:
        """The type of a series by its name: recorded, of Milvus, or of Prometheus itself."""
        if ":" in name:
            self.read.add(name)
            if name not in self.records:
                self.complain(f"{name} is not recorded before it is read")
            return self.records.get(name)
        everywhere = self.target_labels | {_ANY_OTHER}
        if name == ALERTS:
            return Quantity((), everywhere | conventions.OWN_LABELS)
        if name == UP:
            self.metrics.add(name)
            return Quantity((), everywhere)
        series = self.release.series(name)
        if series is None:
            self.complain(self._missing(name))
            return None
        metric, part = series
        self.metrics.add(metric.name)
        if not metric.fed:
            self.complain(f"{metric.name} is registered in Milvus {self.release.name}, but nothing feeds it")
        if name in of_exporters():
            everywhere = self._labels_of_disk(metric) | {_ANY_OTHER}
        labels = everywhere | set(metric.labels)
        unit: Unit = ((metric.unit, 1),) if metric.unit else ()
        if part == "_bucket":
            return Quantity((), labels | {"le"}, counter=True, le_unit=metric.unit)
        if part == "_count":
            return Quantity((), labels, counter=True)
        return Quantity(unit, labels, counter=part == "_sum" or metric.type == "counter")

    def _labels_of_disk(self, metric: Metric) -> frozenset[str]:
        """The labels of the targets of another exporter, which need not be those of Milvus."""
        if self.disk is None:
            self.complain(
                "the profile does not say which disks are those of Milvus, such as `disk: {exporter: node_exporter, "
                'selector: {instance: "milvus-0:9100"}}`, and Milvus does not expose them'
            )
            return frozenset({"job", "instance"})
        if self.disk.exporter != metric.component:
            self.complain(f"the disks of the profile are measured by {self.disk.exporter}")
        return frozenset({"job", "instance", *self.disk.shared, *(label for label, _ in self.disk.selector)})

    def _missing(self, name: str) -> str:
        metric = self.release.metric(name)
        if metric and metric.type == "histogram":
            return f"{name} is a histogram: read {name}_bucket, {name}_sum or {name}_count"
        first = first_with(name) or first_with(re.sub("_(bucket|sum|count)$", "", name))
        return f"{name} does not exist in Milvus {self.release.name}" + (
            f" (first in {', '.join(first.values())})" if first else ""
        )

    def _Call(self, node: promql_parser.Call) -> Quantity | None:  # noqa: N802
        name = node.func.name
        if name not in _FUNCTIONS:
            self.complain(f"{name}() is not used in rules, or not known to Prometheus 2.42")
            return None
        return _FUNCTIONS[name](self, node)

    def ranged(self, node: Any) -> Quantity | None:
        """The type of a range vector."""
        kind = type(node).__name__
        if kind == "MatrixSelector":
            return self.selected(node.vector_selector)
        if kind == "SubqueryExpr":
            return self.vector(node.expr)
        self.complain("a range is needed here, such as x[5m]")
        return None

    def rated(self, call: promql_parser.Call) -> Quantity | None:
        quantity = self.ranged(call.args[0])
        if quantity is None:
            return None
        if not quantity.counter:
            self.complain(f"{call.func.name}() of a gauge: only counters are rated")
        unit = quantity.unit if call.func.name == "increase" else times(quantity.unit, (("s", -1),))
        return replace(quantity, unit=unit, counter=False)

    def over_time(self, call: promql_parser.Call) -> Quantity | None:
        quantity = self.ranged(call.args[-1])
        if quantity is None:
            return None
        if quantity.counter and call.func.name not in (
            "changes",
            "resets",
            "present_over_time",
            "count_over_time",
        ):
            self.complain(f"{call.func.name}() of a counter: rate it first")
        counts = call.func.name in ("changes", "resets", "present_over_time", "count_over_time")
        return replace(quantity, unit=() if counts else quantity.unit, counter=False)

    def same(self, call: promql_parser.Call) -> Quantity | None:
        return self.vector(call.args[0])

    def absent(self, call: promql_parser.Call) -> Quantity | None:
        quantity = (
            self.selected(call.args[0])
            if type(call.args[0]).__name__ == "VectorSelector"
            else self.vector(call.args[0])
        )
        return Quantity((), quantity.fixed, quantity.fixed) if quantity else None

    def histogram_quantile(self, call: promql_parser.Call) -> Quantity | None:
        quantity = self.vector(call.args[1])
        if quantity is None:
            return None
        if "le" not in quantity.labels or quantity.le_unit is None:
            self.complain("histogram_quantile() needs rated buckets with their `le`")
        unit: Unit = ((quantity.le_unit, 1),) if quantity.le_unit else ()
        return replace(quantity, unit=unit, labels=quantity.labels - {"le"}, le_unit=None)

    def label_replace(self, call: promql_parser.Call) -> Quantity | None:
        quantity = self.vector(call.args[0])
        texts = [arg.val for arg in call.args[1:] if type(arg).__name__ == "StringLiteral"]
        if len(texts) != 4:
            self.complain("label_replace() takes plain strings")
            return None
        target, _, source, regex = texts
        if quantity is None:
            return None
        if not re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_]*", target):
            self.complain(f"label_replace() writes `{target}`, which is no name of a label")
        # With an empty source and pattern it sets the label whatever was there.
        if source not in quantity.labels and (source or regex):
            self.complain(f"label_replace() reads the label `{source}`, which is not there")
        if problem := regex_problem(regex):
            self.complain(f"label_replace(): {problem}")
        return replace(quantity, labels=quantity.labels | {target}, fixed=quantity.fixed - {target})

    def now(self, call: promql_parser.Call) -> Quantity | None:  # noqa: ARG002
        """A scalar, from which a moment is subtracted."""
        return None

    def constant(self, call: promql_parser.Call) -> Quantity | None:  # noqa: ARG002
        return Quantity((), frozenset())

    def _AggregateExpr(self, node: promql_parser.AggregateExpr) -> Quantity | None:  # noqa: N802
        op = str(node.op)
        if op not in ("sum", "max", "min", "count", "avg", "group"):
            self.complain(f"{op}() is not used in rules")
        counts = op in ("count", "group")
        inner: Any = node.expr
        while type(inner).__name__ == "ParenExpr":
            inner = inner.expr
        is_count_of_series = counts and type(inner).__name__ == "VectorSelector"
        quantity = self.selected(inner) if is_count_of_series else self.vector(inner)
        if quantity is None:
            return None
        named = frozenset(node.modifier.labels) if node.modifier else frozenset()
        if unknown := sorted(named - quantity.labels):
            self.complain(f"{op}() groups by `{unknown[0]}`, which is not there")
        without = node.modifier is not None and "Without" in str(node.modifier.type)
        kept = quantity.labels - named if without else named
        if quantity.le_unit is not None and "le" in quantity.varying - kept and not counts:
            if quantity.le_value is None:
                self.complain(f"{op}() adds up buckets: keep `le`, or select one bucket")
            else:
                self.literals.append((quantity.le_value, op, "le", _ONE_BUCKET))
        return Quantity(
            unit=() if counts else quantity.unit,
            labels=kept,
            fixed=quantity.fixed & kept,
            le_unit=quantity.le_unit if "le" in kept else None,
        )

    def _BinaryExpr(self, node: promql_parser.BinaryExpr) -> Quantity | None:  # noqa: N802
        op = str(node.op)
        left, right = self.vector(node.lhs), self.vector(node.rhs)
        numbers = [_number(side) for side in (node.lhs, node.rhs)]
        if node.modifier and node.modifier.return_bool:
            self.complain("`bool` makes a condition that is always there")
        if left is None or right is None:
            found = left or right
            if found is None or op in _COMPARISONS:
                return found
            return replace(found, unit=_scaled(found.unit, op, numbers[1]) if left else _inverted(found.unit, op))
        if op in ("and", "unless", "or"):
            return self._set_operation(node, op, left, right)
        return self._matched(node, op, left, right)

    def _set_operation(self, node: promql_parser.BinaryExpr, op: str, left: Quantity, right: Quantity) -> Quantity:
        on = self._matching(node, left, right)
        if op == "or":
            if left.unit != right.unit:
                self.complain(f"`or` joins {left.in_words()} with {right.in_words()}")
            return replace(left, labels=left.labels & right.labels, fixed=left.fixed & right.fixed)
        if on is None:
            self._compare_all(op, left, right)
        return left

    def _compare_all(self, op: str, left: Quantity, right: Quantity) -> None:
        if differing := sorted((left.labels ^ right.labels) - {_ANY_OTHER}):
            self.complain(f"`{op}` compares all labels, but only one side has {', '.join(differing)}: say on (...)")

    def _matching(self, node: promql_parser.BinaryExpr, left: Quantity, right: Quantity) -> frozenset[str] | None:
        """The labels that two sides are matched on; None when all are compared."""
        matching = node.modifier.matching if node.modifier else None
        if matching is None:
            return None
        named = frozenset(matching.labels)
        for side, quantity in (("left", left), ("right", right)):
            if unknown := sorted(named - quantity.labels):
                self.complain(f"matching on `{unknown[0]}`, which the {side} side does not have")
        return named if "Include" in str(matching.type) else (left.labels | right.labels) - named

    def _matched(self, node: promql_parser.BinaryExpr, op: str, left: Quantity, right: Quantity) -> Quantity:
        on = self._matching(node, left, right)
        card = str(node.modifier.card).rsplit(".", 1)[-1] if node.modifier else "OneToOne"
        for side, quantity in (("left", left), ("right", right)):
            many = card == ("ManyToOne" if side == "left" else "OneToMany")
            if on is not None and not many and (extra := sorted(quantity.varying - on)):
                self.complain(
                    f"the {side} side of `{op}` may have several series per match: they differ in {', '.join(extra)}"
                )
        if on is None:
            self._compare_all(op, left, right)
        if op in _COMPARISONS or op in ("+", "-", "%"):
            if left.unit != right.unit:
                self.complain(f"`{op}` holds {left.in_words()} against {right.in_words()}")
            unit = left.unit
        else:
            unit = times(left.unit, right.unit if op == "*" else inverse(right.unit))
        kept = right if card == "OneToMany" else left
        grouped = frozenset(node.modifier.group_labels or ()) if node.modifier else frozenset()
        labels = kept.labels | grouped if on is None or card != "OneToOne" else on
        return Quantity(unit, labels, kept.fixed & labels, le_unit=kept.le_unit if "le" in labels else None)


_COMPARISONS = ("==", "!=", ">", "<", ">=", "<=")
_OVER_TIME = ("max", "min", "avg", "sum", "count", "last", "present", "quantile")
_FUNCTIONS: dict[str, Callable[[_Walk, Any], Quantity | None]] = {
    **dict.fromkeys(("rate", "increase", "irate"), _Walk.rated),
    **dict.fromkeys(("changes", "resets", *(f"{name}_over_time" for name in _OVER_TIME)), _Walk.over_time),
    **dict.fromkeys(("clamp_min", "clamp_max", "abs", "floor"), _Walk.same),
    "absent": _Walk.absent,
    "histogram_quantile": _Walk.histogram_quantile,
    "label_replace": _Walk.label_replace,
    "time": _Walk.now,
    "vector": _Walk.constant,
}


def _number(node: Any) -> float | None:
    while type(node).__name__ == "ParenExpr":
        node = node.expr
    return node.val if type(node).__name__ == "NumberLiteral" else None


def _scaled(unit: Unit, op: str, number: float | None) -> Unit:
    """The unit after a vector met a number: dividing by 1000 turns us into ms, and ms into s."""
    if op == "/" and number == 1000:
        return tuple(
            sorted((_TO_SMALLER.get(symbol, symbol) if power == 1 else symbol, power) for symbol, power in unit)
        )
    return unit


def _inverted(unit: Unit, op: str) -> Unit:
    return inverse(unit) if op == "/" else unit
