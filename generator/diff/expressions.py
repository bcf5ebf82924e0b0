"""Two PromQL expressions -> where they differ, however they are formatted.

An expression is brought into one form: nested tuples, with matchers and labels sorted and without parentheses. What
promql-parser does not read (or could not without ending the process) is compared word by word.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from generator.promql import tree
from generator.promql.check import MAX_LENGTH, too_large
from generator.units import plain

# An expression in its one form: the kind of node, then its parts.
Node = tuple[Any, ...]

_WORD = re.compile(r"#[^\n]*|\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'|`[^`]*`|[\w:.]+|[=!<>]=?~?|\S", re.DOTALL)
_COMPARISONS = ("<", "<=", ">", ">=", "==", "!=")


@dataclass(frozen=True, slots=True)
class Difference:
    """One place where two expressions differ.

    `kind` is `limit` (of a comparison), `window` (of a range), `matcher` (`where` names series and label) or `other`.
    `looser` says whether the new expression is true less often (False), more often (True) or whether nobody knows
    (None).
    """

    kind: str
    where: str
    before: str
    after: str
    looser: bool | None = None


@lru_cache(maxsize=16384)
def form(expr: str) -> Node:
    """The one form of an expression."""
    words = [word for word in _WORD.findall(expr) if not word.startswith("#")]
    code = " ".join('""' if word[0] in "\"'`" else word for word in words)
    if len(expr) <= MAX_LENGTH and not too_large(code):
        import promql_parser

        try:
            return _form(promql_parser.parse(expr))
        except (ValueError, NotImplementedError):
            pass
    return ("words", *words)


def _form(node: Any) -> Node:
    match type(node).__name__:
        case "ParenExpr":
            return _form(node.expr)
        case "NumberLiteral":
            return ("number", math.nan if math.isnan(node.val) else node.val)  # but for the same one, NaN equals none
        case "StringLiteral":
            return ("string", node.val)
        case "UnaryExpr":
            return ("unary", _form(node.expr))
        case "VectorSelector":
            if node.matchers.or_matchers:
                raise NotImplementedError
            return ("series", node.name or "", tuple(sorted(tree.matchers(node))), str(node.offset), str(node.at))
        case "MatrixSelector":
            return ("range", tree.duration(node.range), _form(node.vector_selector))
        case "SubqueryExpr":
            times = (tree.duration(node.range), str(node.step), str(node.offset), str(node.at))
            return ("subquery", times, _form(node.expr))
        case "Call":
            return ("call", node.func.name, *map(_form, node.args))
        case "AggregateExpr":
            modifier = node.modifier
            by = (str(modifier.type).rsplit(".", 1)[-1], tuple(sorted(modifier.labels))) if modifier else ("By", ())
            return ("aggregate", str(node.op), by, _form(node.param) if node.param else (), _form(node.expr))
        case "BinaryExpr":
            matching = node.modifier.matching if node.modifier else None
            on = (str(matching.type), tuple(sorted(matching.labels))) if matching else ()
            many = (tree.cardinality(node), tuple(sorted(node.modifier.group_labels or ()))) if node.modifier else ()
            returned = (bool(node.modifier and node.modifier.return_bool), _filled(node.modifier))
            return ("binary", str(node.op), (on, many, returned), _form(node.lhs), _form(node.rhs))
    raise NotImplementedError


def _filled(modifier: Any) -> tuple[float | None, float | None]:
    """What is taken where one side of an operation has no sample, an experiment of Prometheus."""
    values = modifier.fill_values if modifier else None
    return (values.lhs, values.rhs) if values else (None, None)


def series(node: Node) -> Iterator[tuple[str, tuple[tree.Matcher, ...]]]:
    """Every selector in an expression: its metric and its matchers."""
    if node[0] == "series":
        yield node[1], node[2]
    for part in node[1:]:
        if isinstance(part, tuple) and part and isinstance(part[0], str):
            yield from series(part)


def renamed(node: Any, new: Mapping[str, str]) -> Any:
    """The expression with other names, of metrics and of words."""
    if not isinstance(node, tuple):
        return node
    if node and node[0] == "series":
        return ("series", new.get(node[1], node[1]), *node[2:])
    if node and node[0] == "words":
        return tuple(new.get(word, word) for word in node)
    return tuple(renamed(part, new) for part in node)


def relabelled(node: Any, label: str, old: str, new: str) -> Any:
    """The expression with another value wherever the label is matched for equality."""
    if not isinstance(node, tuple):
        return node
    if node == (label, "=", old):
        return (label, "=", new)
    return tuple(relabelled(part, label, old, new) for part in node)


def regrouped(node: Any, old: frozenset[str], new: frozenset[str]) -> Any:
    """The expression with other labels wherever results are told apart, or paired, by all of the old ones."""
    if not isinstance(node, tuple):
        return node

    def by(labels: tuple[str, tuple[str, ...]]) -> tuple[str, tuple[str, ...]]:
        named = frozenset(labels[1])
        keeps = "By" in labels[0] or "Include" in labels[0]
        return (labels[0], tuple(sorted(named - old | new))) if keeps and old <= named else labels

    parts = tuple(regrouped(part, old, new) for part in node)
    if node and node[0] == "aggregate":
        return (*node[:2], by(node[2]), *parts[3:])
    if node and node[0] == "binary" and node[2][0]:
        return (*node[:2], (by(node[2][0]), *node[2][1:]), *parts[3:])
    return parts


def of_any(node: Any, labels: Iterable[str]) -> Any:
    """The expression without matchers of these labels; where several sides of `or` are then the same, with one."""
    if not isinstance(node, tuple):
        return node
    if node and node[0] == "series":
        return (*node[:2], tuple(each for each in node[2] if each[0] not in labels), *node[3:])
    parts = tuple(of_any(part, labels) for part in node)
    return parts[3] if parts[:2] == ("binary", "or") and parts[3] == parts[4] else parts


def differences(old: Node, new: Node) -> list[Difference]:
    """Where two expressions differ; a single `other` when they are built differently."""
    if old == new:
        return []
    found = list(_differences(old, new, 1))
    others = [each for each in found if each.kind == "other"]
    return others[:1] or list(dict.fromkeys(found))


_OTHER = Difference("other", "", "", "")


def _differences(old: Node, new: Node, sign: int) -> Iterator[Difference]:
    """`sign` is 1 where the expression holds when the part does, -1 where it then does not, 0 where nobody knows."""
    if old == new:
        return
    kind = old[0]
    if kind != new[0] or len(old) != len(new):
        yield _OTHER
    elif kind == "series":
        yield from _of_series(old, new)
    elif kind == "range" and old[1] != new[1]:
        yield Difference("window", _written(old[2]), old[1], new[1])
        yield from _differences(old[2], new[2], 0)
    elif kind == "binary" and _limits(old, new):
        if (old[1], old[4]) != (new[1], new[4]):
            was, now = (f"{node[1]} {plain(node[4][1])}" for node in (old, new))
            yield Difference("limit", _written(old[3]), was, now, _looser(old, new, sign))
        # A comparison filters: what is compared must be there, and how large it is nobody knows.
        yield from _differences(old[3], new[3], sign if old[3][0] == "binary" and old[3][1] in _COMPARISONS else 0)
    elif kind == "binary" and old[1:3] == new[1:3]:
        signs = (sign, -sign) if old[1] == "unless" else (sign, sign)
        yield from _differences(old[3], new[3], signs[0])
        yield from _differences(old[4], new[4], signs[1])
    elif kind in ("aggregate", "call", "unary", "range") and old[1:-1] == new[1:-1] and kind != "call":
        yield from _differences(old[-1], new[-1], sign)
    elif kind == "call" and old[1] == new[1]:
        for before, after in zip(old[2:], new[2:], strict=True):
            yield from _differences(before, after, 0)
    else:
        yield _OTHER


def _limits(old: Node, new: Node) -> bool:
    """Whether both are comparisons with a number, made in the same way."""
    return all(node[1] in _COMPARISONS and node[4][0] == "number" for node in (old, new)) and old[2] == new[2]


def _looser(old: Node, new: Node, sign: int) -> bool | None:
    """Whether the whole is true more often with the new limit; None where nobody knows."""
    grows = new[4][1] > old[4][1]
    looser = {"<": grows, "<=": grows, ">": not grows, ">=": not grows}.get(old[1])
    return None if looser is None or sign == 0 or old[1] != new[1] else looser == (sign > 0)


def _of_series(old: Node, new: Node) -> Iterator[Difference]:
    (before, after) = ({(label, op): value for label, op, value in node[2]} for node in (old, new))
    if old[1] != new[1] or old[3:] != new[3:] or len(before) != len(old[2]) or len(after) != len(new[2]):
        yield _OTHER
        return
    for label in sorted({label for label, _ in before.keys() ^ after.keys() | _changed(before, after)}):
        was, now = (
            ", ".join(f'{op}"{value}"' for (each, op), value in found.items() if each == label) or "any"
            for found in (before, after)
        )
        yield Difference("matcher", f"{old[1]} {label}", was, now)


def _changed(before: Mapping[Any, str], after: Mapping[Any, str]) -> set[Any]:
    return {key for key in before.keys() & after.keys() if before[key] != after[key]}


def _written(node: Node) -> str:
    """An expression in short: without matchers and labels."""
    match node[0]:
        case "number":
            return plain(node[1])
        case "series":
            return str(node[1])
        case "range":
            return f"{_written(node[2])}[{node[1]}]"
        case "subquery":
            return f"{_written(node[2])}[{node[1][0]}]"
        case "call":
            return f"{node[1]}({', '.join(map(_written, node[2:]))})"
        case "aggregate":
            param = f"{_written(node[3])}, " if node[3] else ""
            return f"{node[1]}({param}{_written(node[4])})"
        case "binary":
            return f"{_written(node[3])} {node[1]} {_written(node[4])}"
        case "unary":
            return f"-{_written(node[1])}"
        case "string":
            return f'"{node[1]}"'
    return " ".join(map(str, node[1:]))
