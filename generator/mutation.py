"""Rules -> mutants: the same rules with one thing wrong, which tests worth their name must notice.

Expressions are mutated as trees, so that every mutant is one that somebody could have written; text that would not
parse proves nothing.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from generator.promql.check import matchers
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
    parts = _parts(node)
    for index, part in enumerate(parts):
        for what, text in _of(part, bounds):
            texts = [text if each == index else _text(other) for each, other in enumerate(parts)]
            yield what, _with(node, texts)


def _parts(node: Any) -> list[Any]:
    kind = type(node).__name__
    if kind == "BinaryExpr":
        return [node.lhs, node.rhs]
    if kind in ("AggregateExpr", "ParenExpr", "UnaryExpr"):
        return [node.expr]
    if kind == "Call":
        return list(node.args)
    return []


def _text(node: Any) -> str:
    """The node written as PromQL. The parser's own printing loses the escapes of strings."""
    kind = type(node).__name__
    if kind == "NumberLiteral":
        return plain(node.val)
    if kind == "StringLiteral":
        return quoted_string(node.val)
    if kind == "VectorSelector":
        return _selected(node, matchers(node), "", node.offset)
    if kind == "MatrixSelector":
        selector = node.vector_selector
        return _selected(selector, matchers(selector), node.range, selector.offset)
    return _with(node, [_text(part) for part in _parts(node)])


def _selected(node: Any, chosen: Iterable[tuple[str, str, str]], range_: Any, offset: Any) -> str:
    inside = ", ".join(f"{label}{op}{quoted_string(value)}" for label, op, value in chosen)
    text = f"{node.name}{{{inside}}}" if inside else str(node.name)
    text += f"[{_written(range_)}]" if range_ else ""
    return text + (f" offset {_written(offset)}" if offset else "")


def _with(node: Any, parts: list[str]) -> str:
    """The node written with other texts for its parts."""
    kind = type(node).__name__
    if kind == "BinaryExpr":
        return f"{parts[0]} {_operator(node)} {parts[1]}"
    if kind == "AggregateExpr":
        return _aggregated(node, parts[0])
    if kind == "Call":
        return f"{node.func.name}({', '.join(parts)})"
    return f"-{parts[0]}" if kind == "UnaryExpr" else f"({parts[0]})"


def _operator(node: Any, op: str = "", labels: Iterable[str] | None = None) -> str:
    """The operator of a binary expression with its matching, or another operator or other labels."""
    modifier: Any = node.modifier
    text = op or str(node.op)
    if modifier is None or modifier.matching is None:
        return text
    keyword = "on" if "Include" in str(modifier.matching.type) else "ignoring"
    text += f" {keyword} ({', '.join(modifier.matching.labels if labels is None else labels)})"
    side = {"ManyToOne": "group_left", "OneToMany": "group_right"}.get(str(modifier.card).rsplit(".", 1)[-1])
    return f"{text} {side} ({', '.join(modifier.group_labels or ())})" if side else text


def _aggregated(node: Any, inner: str, op: str = "", labels: Iterable[str] | None = None) -> str:
    """An aggregation of the expression, or with another operator or other labels."""
    modifier: Any = node.modifier
    text = op or str(node.op)
    if modifier is not None or labels is not None:
        keyword = "without" if modifier is not None and "Without" in str(modifier.type) else "by"
        text += f" {keyword} ({', '.join(modifier.labels if labels is None else labels)}) "
    return f"{text}({inner})"


def _nothing(_: Any, __: tuple[float, ...]) -> _Variants:
    yield from ()


def _binary(node: Any, _: tuple[float, ...]) -> _Variants:
    op, left, right = str(node.op), _text(node.lhs), _text(node.rhs)
    if op in ("and", "unless"):
        yield f"`{op} {_short(right)}` dropped", left
    elif op == "or":
        yield f"`or {_short(right)}` dropped", left
        yield f"`{_short(left)} or` dropped", right
    elif op in _TURNED:
        yield f"`{op}` turned in `{_short(_text(node))}`", f"{left} {_operator(node, _TURNED[op])} {right}"
        threshold = _number(node.rhs)
        if threshold is not None:
            yield f"guard `{op} {right}` dropped", left
            for near in _near(threshold):
                yield f"{right} becomes {plain(near)}", f"{left} {_operator(node)} {plain(near)}"
    elif op in ("*", "/", "+", "-"):
        other = {"*": "/", "/": "*", "+": "-", "-": "+"}[op]
        yield f"`{op}` becomes `{other}` in `{_short(_text(node))}`", f"{left} {_operator(node, other)} {right}"
    matched: list[str] = list(node.modifier.matching.labels) if node.modifier and node.modifier.matching else []
    for label in matched if len(matched) > 1 else ():
        labels = [each for each in matched if each != label]
        yield f"`{label}` dropped from on() of `{op}`", f"{left} {_operator(node, labels=labels)} {right}"


def _aggregate(node: Any, _: tuple[float, ...]) -> _Variants:
    inner = _text(node.expr)
    for op in _AGGREGATED.get(str(node.op), ()):
        yield f"{node.op} becomes {op}", _aggregated(node, inner, op)
    labels = list(node.modifier.labels) if node.modifier else []
    for label in labels:
        rest = [each for each in labels if each != label]
        yield f"`{label}` dropped from {node.op} by", _aggregated(node, inner, labels=rest)
    # A recorded series has no label but those it was recorded with.
    if ":" not in inner and "instance" not in labels:
        yield f"`instance` added to {node.op} by", _aggregated(node, inner, labels=[*labels, "instance"])


def _call(node: Any, _: tuple[float, ...]) -> _Variants:
    name, arguments = node.func.name, [_text(each) for each in node.args]
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
        text = _selected(selector, matchers(selector), node.range * factor, selector.offset)
        yield f"[{_written(node.range)}] of {selector.name} {what}", text


def _selector(node: Any, bounds: tuple[float, ...]) -> _Variants:
    yield from _selecting(node, None, bounds)


def _selecting(node: Any, range_: Any, bounds: tuple[float, ...]) -> _Variants:
    """Other series, or another time, than what a selector selects."""
    chosen = matchers(node)
    for index, (name, op, value) in enumerate(chosen):
        others = [*chosen[:index], *chosen[index + 1 :]]
        shown = f"{name}{op}{quoted_string(value)} of {node.name}"
        yield f"{shown} dropped", _selected(node, others, range_, node.offset)
        yield f"{shown} negated", _selected(node, [*others, (name, _NEGATED[op], value)], range_, node.offset)
        for moved in _moved(value, bounds) if name == "le" else ():
            yield f"{shown} becomes {moved}", _selected(node, [*others, (name, "=~", moved)], range_, node.offset)
    for factor, what in _SCALED if node.offset else ():
        text = _selected(node, chosen, range_, node.offset * factor)
        yield f"`offset {_written(node.offset)}` of {node.name} {what}", text


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


def _written(length: timedelta) -> str:
    return str(Duration.of_seconds(round(length.total_seconds(), 3)))


def _times(duration: str, factor: int) -> str:
    return str(Duration.parse(duration).times(factor))
