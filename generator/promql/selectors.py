"""An expression -> its selectors, and which series each of them may find."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from generator.promql import tree


@dataclass(frozen=True, slots=True)
class Selector:
    """A selector: the name of the series, empty where it names none, and matchers as label, operator, value."""

    name: str
    matchers: tuple[tuple[str, str, str], ...]

    def matches(self, label: str, value: str) -> bool:
        """Whether all matchers of the label let the value pass."""
        return all(
            (re.fullmatch(wanted, value) is not None if "~" in op else wanted == value) is not op.startswith("!")
            for name, op, wanted in self.matchers
            if name == label
        )

    def may_find(self, name: str, labels: Mapping[str, str]) -> bool:
        """Whether it may find a series of this name, as far as these of its labels tell."""
        return self.name in ("", name) and all(self.matches(*each) for each in {**labels, "__name__": name}.items())


def selectors(expr: str) -> tuple[Selector, ...]:
    """Every selector of an expression. Raises ValueError for one that does not parse."""
    import promql_parser

    found, left = [], [promql_parser.parse(expr)]
    while left:
        node: Any = left.pop()
        node = getattr(node, "vector_selector", node)
        if type(node).__name__ == "VectorSelector":
            found.append(Selector(node.name or "", tuple(tree.matchers(node))))
            continue
        left += [node.expr] if type(node).__name__ == "SubqueryExpr" else tree.parts(node)
    return tuple(dict.fromkeys(found))
