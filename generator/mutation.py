"""Rules -> mutants: the same rules with one thing wrong, which tests worth their name must notice.

Expressions are mutated as trees, so that every mutant is one that somebody could have written; text that would not
parse proves nothing.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from generator.promql import tree
from generator.promql.text import quoted_string
from generator.units import Duration, plain


@dataclass(frozen=True, slots=True)
class Mutant:
    """A rule (as a rule file has it) with one thing changed, and what that is."""

    what: str
    rule: Mapping[str, Any]


def mutants(rule: Mapping[str, Any], bounds: tuple[float, ...] = ()) -> Iterator[Mutant]:
    """Every mutant of one rule; `bounds` are those of the histogram that its `le` matchers select from."""
    import promql_parser

    for what, expr in _of(promql_parser.parse(rule["expr"]), bounds):
        yield Mutant(what, {**rule, "expr": expr})
    if "record" in rule:
        level, metric, operation = rule["record"].split(":")
        yield Mutant("record renamed", {**rule, "record": f"{level}:{metric}_:{operation}"})
        return
    for key, what in (("for", "`for`"), ("keep_firing_for", "`keep_firing_for`")):
        if key in rule:
            yield Mutant(f"{what} removed", {name: value for name, value in rule.items() if name != key})
            yield Mutant(f"{what} doubled", {**rule, key: _times(rule[key], 2)})
    for key in ("labels", "annotations"):
        for name, text in rule.get(key, {}).items():
            yield Mutant(f"{key[:-1]} {name} changed", {**rule, key: {**rule[key], name: f"{text} "}})


# What somebody could have written instead of a part of an expression, and the whole expression then.
_Variants = Iterator[tuple[str, str]]

_TURNED = {">": "<", "<": ">", ">=": "<=", "<=": ">=", "==": "!=", "!=": "=="}
_NEGATED = {"=": "!=", "!=": "=", "=~": "!~", "!~": "=~"}
_SCALED = ((0.5, "halved"), (2, "doubled"))
_AGGREGATED = {"sum": ("avg", "max"), "max": ("min", "sum"), "count": ("group",), "group": ("count",)}


def _of(node: Any, bounds: tuple[float, ...]) -> _Variants:
    """The variants of a node: its own, and those of every part of it."""
    own: Callable[[Any, tuple[float, ...]], _Variants] = _OWN.get(type(node).__name__, _nothing)
    yield from own(node, bounds)
    parts = tree.parts(node)
    for index, part in enumerate(parts):
        for what, text in _of(part, bounds):
            texts = [text if each == index else tree.text(other) for each, other in enumerate(parts)]
            yield what, tree.with_parts(node, texts)


def _nothing(_: Any, __: tuple[float, ...]) -> _Variants:
    yield from ()


def _binary(node: Any, _: tuple[float, ...]) -> _Variants:
    op, left, right = str(node.op), tree.text(node.lhs), tree.text(node.rhs)
    if op in ("and", "unless"):
        yield f"`{op} {_short(right)}` dropped", left
    elif op == "or":
        yield f"`or {_short(right)}` dropped", left
        yield f"`{_short(left)} or` dropped", right
    elif op in _TURNED:
        yield f"`{op}` turned in `{_short(tree.text(node))}`", f"{left} {tree.operator(node, _TURNED[op])} {right}"
        threshold = _number(node.rhs)
        if threshold is not None:
            yield f"guard `{op} {right}` dropped", left
            for near in _near(threshold):
                yield f"{right} becomes {plain(near)}", f"{left} {tree.operator(node)} {plain(near)}"
    elif op in ("*", "/", "+", "-"):
        other = {"*": "/", "/": "*", "+": "-", "-": "+"}[op]
        yield f"`{op}` becomes `{other}` in `{_short(tree.text(node))}`", f"{left} {tree.operator(node, other)} {right}"
    matched: list[str] = list(node.modifier.matching.labels) if node.modifier and node.modifier.matching else []
    for label in matched if len(matched) > 1 else ():
        labels = [each for each in matched if each != label]
        yield f"`{label}` dropped from on() of `{op}`", f"{left} {tree.operator(node, labels=labels)} {right}"


def _aggregate(node: Any, _: tuple[float, ...]) -> _Variants:
    inner = tree.text(node.expr)
    for op in _AGGREGATED.get(str(node.op), ()):
        yield f"{node.op} becomes {op}", tree.aggregation(node, inner, op)
    labels = list(node.modifier.labels) if node.modifier else []
    for label in labels:
        rest = [each for each in labels if each != label]
        yield f"`{label}` dropped from {node.op} by", tree.aggregation(node, inner, labels=rest)
    # A recorded series has no label but those it was recorded with.
    if ":" not in inner and "instance" not in labels:
        yield f"`instance` added to {node.op} by", tree.aggregation(node, inner, labels=[*labels, "instance"])


def _call(node: Any, _: tuple[float, ...]) -> _Variants:
    name, arguments = node.func.name, [tree.text(each) for each in node.args]
    for other in {"rate": ("increase",), "increase": ("rate",), "floor": ("ceil",)}.get(name, ()):
        yield f"{name} becomes {other}", f"{other}({', '.join(arguments)})"
    if name in ("histogram_quantile", "quantile_over_time"):
        for quantile in _near(float(arguments[0])):
            text = f"{name}({plain(quantile)}, {', '.join(arguments[1:])})"
            yield f"quantile {arguments[0]} becomes {plain(quantile)}", text


def _matrix(node: Any, bounds: tuple[float, ...]) -> _Variants:
    selector = node.vector_selector
    yield from _selecting(selector, node.range, bounds)
    for factor, what in _SCALED:
        text = tree.selector(selector, tree.matchers(selector), node.range * factor, selector.offset)
        yield f"[{tree.duration(node.range)}] of {selector.name} {what}", text


def _selector(node: Any, bounds: tuple[float, ...]) -> _Variants:
    yield from _selecting(node, None, bounds)


def _selecting(node: Any, range_: Any, bounds: tuple[float, ...]) -> _Variants:
    """Other series, or another time, than what a selector selects."""
    chosen = tree.matchers(node)
    for index, (name, op, value) in enumerate(chosen):
        others = [*chosen[:index], *chosen[index + 1 :]]
        shown = f"{name}{op}{quoted_string(value)} of {node.name}"
        yield f"{shown} dropped", tree.selector(node, others, range_, node.offset)
        yield f"{shown} negated", tree.selector(node, [*others, (name, _NEGATED[op], value)], range_, node.offset)
        for ending, which in _SPELLINGS if _EITHER in value else ():
            one = [*others, (name, op, value.replace(_EITHER, ending))]
            yield f"{shown} {which} only", tree.selector(node, one, range_, node.offset)
        for moved in _moved(value, bounds) if name == "le" else ():
            yield f"{shown} becomes {moved}", tree.selector(node, [*others, (name, "=~", moved)], range_, node.offset)
    for factor, what in _SCALED if node.offset else ():
        text = tree.selector(node, chosen, range_, node.offset * factor)
        yield f"`offset {tree.duration(node.offset)}` of {node.name} {what}", text


# What a bound may end in, and what it ends in on Prometheus 2 and 3.
_EITHER, _SPELLINGS = r"(\.0)?", (("", "without .0"), (r"\.0", "with .0"))

_OWN: dict[str, Callable[[Any, tuple[float, ...]], _Variants]] = {
    "BinaryExpr": _binary,
    "AggregateExpr": _aggregate,
    "Call": _call,
    "MatrixSelector": _matrix,
    "VectorSelector": _selector,
}


def _moved(pattern: str, bounds: tuple[float, ...]) -> Iterator[str]:
    """The pattern of one bucket with the bound next to it, below and above."""
    from generator.buckets import pattern as bucket

    patterns = [bucket(bound) for bound in bounds]
    for one, other in itertools.pairwise(patterns):
        if pattern == one:
            yield other
        elif pattern == other:
            yield one


def _number(node: Any) -> float | None:
    return node.val if type(node).__name__ == "NumberLiteral" else None


def _near(number: float) -> tuple[float, float]:
    """The number a little lower and a little higher: the smallest step that makes a difference to people."""
    if not number:
        return (-1.0, 1.0)
    if number == int(number) and abs(number) <= 10:
        return (number - 1, number + 1)
    step = min(number, 1 - number) / 10 if 0 < number < 1 else number / 10
    return (round(number - step, 9), round(number + step, 9))


def _short(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:39]}…"


def _times(duration: str, factor: int) -> str:
    return str(Duration.parse(duration).times(factor))
