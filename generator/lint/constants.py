"""The numbers in an expression that do not depend on any series."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any


def is_scalar(node: Any) -> bool:
    """Whether a node is a number rather than a vector."""
    kind = type(node).__name__
    if kind in ("ParenExpr", "UnaryExpr"):
        return is_scalar(node.expr)
    if kind == "BinaryExpr":
        return is_scalar(node.lhs) and is_scalar(node.rhs)
    return kind == "NumberLiteral" or (kind == "Call" and node.func.name in ("scalar", "pi"))


def constant(node: Any) -> float | None:
    """The value of a constant; None for anything else, and what is not finite."""
    kind = type(node).__name__
    if kind == "NumberLiteral":
        value = float(node.val)
        return value if abs(value) < 1e300 else None
    if kind == "ParenExpr":
        return constant(node.expr)
    if kind == "UnaryExpr":
        inner = constant(node.expr)
        return None if inner is None else -inner
    if kind != "BinaryExpr":
        return None
    left, right = constant(node.lhs), constant(node.rhs)
    if left is None or right is None:
        return None
    try:
        value = _COMPUTED[str(node.op)](left, right)
    except (ArithmeticError, KeyError):
        return None
    return value if isinstance(value, float) and abs(value) < 1e300 else None


_COMPUTED: dict[str, Callable[[float, float], Any]] = {
    "+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv, "^": operator.pow,
}  # fmt: skip
