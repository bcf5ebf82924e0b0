"""An expression as the tree that promql-parser makes of it: its parts, and writing it again with other ones."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any

from generator.promql.text import quoted_string
from generator.units import Duration, plain

Matcher = tuple[str, str, str]

_OPERATORS = {"Equal": "=", "NotEqual": "!=", "Re": "=~", "NotRe": "!~"}


def matchers(node: Any) -> list[Matcher]:
    """The matchers of a selector: label, operator as PromQL writes it, value."""
    return [(each.name, _OPERATORS[str(each.op).rsplit(".", 1)[-1]], each.value) for each in node.matchers.matchers]


def cardinality(node: Any) -> str:
    """How many series of one side of a binary expression meet one of the other: OneToOne, ManyToOne and so on."""
    return str(node.modifier.card).rsplit(".", 1)[-1] if node.modifier else "OneToOne"


def parts(node: Any) -> list[Any]:
    """The expressions that a node is made of."""
    kind = type(node).__name__
    if kind == "BinaryExpr":
        return [node.lhs, node.rhs]
    if kind in ("AggregateExpr", "ParenExpr", "UnaryExpr"):
        return [node.expr]
    if kind == "Call":
        return list(node.args)
    return []


def text(node: Any) -> str:
    """The node written as PromQL. The parser's own printing loses the escapes of strings."""
    kind = type(node).__name__
    if kind == "NumberLiteral":
        return plain(node.val)
    if kind == "StringLiteral":
        return quoted_string(node.val)
    if kind == "VectorSelector":
        return selector(node, matchers(node), "", node.offset)
    if kind == "MatrixSelector":
        inner = node.vector_selector
        return selector(inner, matchers(inner), node.range, inner.offset)
    return with_parts(node, [text(part) for part in parts(node)])


def selector(node: Any, chosen: Iterable[tuple[str, str, str]], range_: Any, offset: Any) -> str:
    """A selector of the node's metric with other matchers, range or offset."""
    inside = ", ".join(f"{label}{op}{quoted_string(value)}" for label, op, value in chosen)
    written = f"{node.name}{{{inside}}}" if inside else str(node.name)
    written += f"[{duration(range_)}]" if range_ else ""
    return written + (f" offset {duration(offset)}" if offset else "")


def with_parts(node: Any, texts: Sequence[str]) -> str:
    """The node written with other texts for its parts."""
    kind = type(node).__name__
    if kind == "BinaryExpr":
        return f"{texts[0]} {operator(node)} {texts[1]}"
    if kind == "AggregateExpr":
        return aggregation(node, texts[0])
    if kind == "Call":
        return f"{node.func.name}({', '.join(texts)})"
    return f"-{texts[0]}" if kind == "UnaryExpr" else f"({texts[0]})"


def operator(node: Any, op: str = "", labels: Iterable[str] | None = None) -> str:
    """The operator of a binary expression with its matching, or another operator or other labels."""
    modifier: Any = node.modifier
    written = op or str(node.op)
    if modifier is None or modifier.matching is None:
        return written
    keyword = "on" if "Include" in str(modifier.matching.type) else "ignoring"
    written += f" {keyword} ({', '.join(modifier.matching.labels if labels is None else labels)})"
    side = {"ManyToOne": "group_left", "OneToMany": "group_right"}.get(cardinality(node))
    return f"{written} {side} ({', '.join(modifier.group_labels or ())})" if side else written


def aggregation(node: Any, inner: str, op: str = "", labels: Iterable[str] | None = None) -> str:
    """An aggregation of the expression, or with another operator or other labels."""
    modifier: Any = node.modifier
    written = op or str(node.op)
    if modifier is not None or labels is not None:
        keyword = "without" if modifier is not None and "Without" in str(modifier.type) else "by"
        written += f" {keyword} ({', '.join(modifier.labels if labels is None else labels)}) "
    return f"{written}({inner})"


def duration(length: timedelta) -> str:
    """A duration as PromQL writes it, to the millisecond."""
    return str(Duration.of_seconds(round(length.total_seconds(), 3)))
