"""Mutants that no test can tell from their rule, because they say the same: found by proof, and named with the reason.

An expression is written out in full: to each selector comes every matcher that holds for whatever it selects *and*
makes a difference. Two expressions that are the same in full yield the same from any data. The laws are these:

- Series that meet in a join agree in the labels that it matches on, so a matcher on one side holds for the other.
- What a recorded series was recorded with (its labels, the matchers that its labels passed) holds for it wherever it
  is read by the label of this profile.
- A set operation that matches on a label which both sides have with one and the same value may as well ignore it.
- What is never below some number is at least any number that is not above that one.
- What adds up a single series for each result is as good as its largest or its mean.
- Where only matters whether a series is there, its value is as good as any other.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from generator import conventions
from generator.promql import tree
from generator.units import plain

Held = Mapping[str, frozenset[tuple[str, str]]]
"""What is known of labels: for each, the matchers (operator and value) that hold."""


@dataclass(frozen=True, slots=True)
class _Outside:
    """What surrounds a part of an expression.

    What fails the matchers that are `held` makes no difference; if `only_there`, no value does either.
    """

    held: Held
    only_there: bool


_NOTHING: Held = {}
# A pattern that is a list of values.
_ALTERNATIVES = re.compile(r"[\w-]+(?:\|[\w-]+)*")
_SETS = ("and", "or", "unless")
_COMPARED = ("==", "!=", ">", "<", ">=", "<=")
_COUNTING = ("count", "group")
_SINGLE = ("sum", "avg", "max", "min")
# Functions that neither add nor drop a label, and yield something for a series of theirs only.
_PASSING = frozenset({
    "rate", "increase", "changes", "floor", "ceil", "abs", "clamp_min", "clamp_max", "sum_over_time", "avg_over_time",
    "max_over_time", "min_over_time", "present_over_time", "last_over_time", "quantile_over_time", "count_over_time",
})  # fmt: skip
_NEVER_NEGATIVE = frozenset({"rate", "increase", "changes", "count_over_time", "present_over_time"})


@dataclass(frozen=True, slots=True)
class Recorded:
    """What is known of one recorded series: the matchers that hold, the labels it can have, its least value."""

    held: Held
    labels: frozenset[str] | None
    least: float | None


@dataclass(frozen=True)
class Laws:
    """Which laws are used, what is known of the recorded series, and the profile whose they are.

    `lowest` is the lowest bound of the latency histogram.
    """

    profile: str
    lowest: float
    records: Mapping[str, Sequence[Recorded]] = field(default_factory=dict)
    joins: bool = True
    sets: bool = True
    signs: bool = True
    singles: bool = True
    values: bool = True

    def only(self, law: str) -> Laws:
        """The same with no other law than this one."""
        joins, sets, signs, singles, values = (law == each for each in _REASONS)
        return replace(self, joins=joins, sets=sets, signs=signs, singles=singles, values=values)


_REASONS = {
    "joins": "what it meets in a join has only such labels",
    "sets": "both sides have one and the same value of the label",
    "signs": "it cannot be lower",
    "singles": "there is one series for each result",
    "values": "nobody sees its value",
}


def known(rules: Iterable[Mapping[str, Any]], lowest: float) -> Laws:
    """The laws for rules (as a rule file has them), with what can be proven of those that record series."""
    import promql_parser

    recording = [rule for rule in rules if "record" in rule]
    profile = next((rule["labels"][conventions.PROFILE] for rule in recording), "")
    records: dict[str, list[Recorded]] = {}
    for rule in recording:
        node = promql_parser.parse(rule["expr"])
        laws = Laws(profile, lowest, records)
        own = {label: frozenset({("=", text)}) for label, text in rule["labels"].items()}
        labels = _labels(node, laws)
        entry = Recorded(
            {**_held(node, laws), **own}, None if labels is None else labels | own.keys(), _least(node, laws)
        )
        records.setdefault(rule["record"], []).append(entry)
    return Laws(profile, lowest, records)


def reason(rule: Mapping[str, Any], mutant: Mapping[str, Any], laws: Laws) -> str:
    """Why the mutant says the same as the rule; empty when that cannot be proven."""
    if {**rule, "expr": ""} != {**mutant, "expr": ""}:
        return ""
    silent = "alert" in rule and not any("$value" in text for text in rule.get("annotations", {}).values())
    for name, why in _REASONS.items():
        if _same(rule["expr"], mutant["expr"], silent, laws.only(name)):
            return why
    return "; ".join(_REASONS.values()) if _same(rule["expr"], mutant["expr"], silent, laws) else ""


def _same(one: str, other: str, silent: bool, laws: Laws) -> bool:
    import promql_parser

    outside = _Outside(_NOTHING, silent)
    first, second = (_full(promql_parser.parse(expr), outside, laws) for expr in (one, other))
    return first == second


def _full(node: Any, outside: _Outside, laws: Laws) -> str:
    """The node written in full."""
    write = _WRITERS.get(type(node).__name__)
    return write(node, outside, laws) if write else tree.text(node)


def _full_paren(node: Any, outside: _Outside, laws: Laws) -> str:
    return tree.with_parts(node, [_full(part, outside, laws) for part in tree.parts(node)])


def _full_selector(node: Any, outside: _Outside, laws: Laws) -> str:
    return _filled(node, None, outside.held, laws)


def _full_matrix(node: Any, outside: _Outside, laws: Laws) -> str:
    return _filled(node.vector_selector, node.range, outside.held, laws)


def _filled(selector: Any, range_: Any, imposed: Held, laws: Laws) -> str:
    held = _all_held(_both(_own(selector), imposed), selector.name, laws) if laws.joins else _own(selector)
    every = sorted((label, op, value) for label, matchers in held.items() for op, value in matchers)
    return tree.selector(selector, every, range_, selector.offset)


def _full_call(node: Any, outside: _Outside, laws: Laws) -> str:
    name = node.func.name
    if name.startswith("absent"):
        return tree.text(node)
    passed = outside.held if name in _PASSING else _NOTHING
    if name == "histogram_quantile":
        passed = _without(outside.held, "le")
    elif name == "label_replace":
        passed = _without(outside.held, node.args[1].val)
    inside = _Outside(passed, only_there=False)
    return tree.with_parts(node, [_full(part, inside, laws) for part in tree.parts(node)])


def _full_aggregation(node: Any, outside: _Outside, laws: Laws) -> str:
    by = _by(node)
    if by is None:
        return tree.text(node)
    op = str(node.op)
    labels = _labels(node.expr, laws)
    if laws.singles and op in _SINGLE and _unique(node.expr, frozenset(by), laws):
        op = _SINGLE[0]
        by = [label for label in by if labels is None or label in labels]
    if laws.values and outside.only_there and op in (*_SINGLE, *_COUNTING):
        op = "group"
    inside = _Outside(_only(outside.held, by), only_there=op in _COUNTING)
    return tree.aggregation(node, _full(node.expr, inside, laws), op, by)


def _full_binary(node: Any, outside: _Outside, laws: Laws) -> str:
    op = str(node.op)
    if _is_number(node.lhs) or _is_number(node.rhs):
        return _full_with_number(node, outside, laws)
    on = _on(node)
    left, right = _held(node.lhs, laws), _held(node.rhs, laws)
    labels = None if on is None else sorted(on)
    if on is not None and laws.sets and (op in _SETS or tree.cardinality(node) == "ManyToOne"):
        labels = sorted(label for label in on if not _fixed(left, right, label))
    to_left, to_right = _passed(node, outside, laws)
    if laws.joins and op != "or" and _free_of_errors(node, on, laws):
        to_right = _both(to_right, left if on is None else _only(left, on))
        if op != "unless":
            to_left = _both(to_left, right if on is None else _only(right, on))
    sides = (
        _full(node.lhs, _Outside(to_left, outside.only_there and op in _SETS), laws),
        _full(node.rhs, _Outside(to_right, op in ("and", "unless") or (op == "or" and outside.only_there)), laws),
    )
    return f"{sides[0]} {tree.operator(node, labels=labels)} {sides[1]}"


def _passed(node: Any, outside: _Outside, laws: Laws) -> tuple[Held, Held]:
    """What of that which holds outside of a binary expression does for its sides."""
    op, on = str(node.op), _on(node)
    if not _free_of_errors(node, on, laws):
        return _NOTHING, _NOTHING
    shared = outside.held if on is None else _only(outside.held, on)
    return (outside.held if op in ("and", "unless") or tree.cardinality(node) == "ManyToOne" else shared), shared


def _free_of_errors(node: Any, on: list[str] | None, laws: Laws) -> bool:
    """Whether no series of a binary expression can meet two: an error, even if the result would make no difference."""
    if on is None or str(node.op) in _SETS:
        return True
    sides = [node.rhs] if tree.cardinality(node) == "ManyToOne" else [node.lhs, node.rhs]
    return all(_unique(side, frozenset(on), laws) for side in sides)


def _full_with_number(node: Any, outside: _Outside, laws: Laws) -> str:
    inside = _Outside(outside.held, only_there=False)
    texts = [_full(part, inside, laws) for part in (node.lhs, node.rhs)]
    op = str(node.op)
    least = _least(node.lhs, laws)
    if laws.values and outside.only_there and _is_rate(node.lhs) and (op, _number(node.rhs)) == (">", 0):
        texts[0] = texts[0].replace("rate(", "increase(")  # one is above zero where the other is
    if laws.signs and least is not None and _is_number(node.rhs):
        limit = node.rhs.val
        if (op == ">=" and limit <= least) or (op == ">" and limit < least):
            op, texts[1] = ">=", plain(least)
    return f"{texts[0]} {tree.operator(node, op)} {texts[1]}"


def _is_rate(node: Any) -> bool:
    """Whether a node is a rate (or an increase), or rates together: nothing asks how large they are."""
    match type(node).__name__:
        case "ParenExpr":
            return _is_rate(node.expr)
        case "AggregateExpr":
            return str(node.op) in ("sum", "max", "min", "avg", "group") and _is_rate(node.expr)
        case "Call":
            return node.func.name in ("rate", "increase")
    return False


_WRITERS: dict[str, Callable[[Any, _Outside, Laws], str]] = {
    "ParenExpr": _full_paren,
    "UnaryExpr": _full_paren,
    "VectorSelector": _full_selector,
    "MatrixSelector": _full_matrix,
    "Call": _full_call,
    "AggregateExpr": _full_aggregation,
    "BinaryExpr": _full_binary,
}


def _held(node: Any, laws: Laws) -> Held:
    """The matchers that hold for everything that a node yields."""
    kind = type(node).__name__
    if kind == "MatrixSelector":
        return _held(node.vector_selector, laws)
    if kind == "VectorSelector":
        return _all_held(_own(node), node.name, laws)
    if kind in ("ParenExpr", "UnaryExpr"):
        return _held(node.expr, laws)
    if kind == "Call":
        name = node.func.name
        if name in _PASSING:
            return _either([_held(part, laws) for part in node.args if not _is_number(part)])
        if name == "histogram_quantile":
            return _without(_held(node.args[1], laws), "le")
        if name == "absent":
            return {
                label: matchers for label, matchers in _own(node.args[0]).items() if _value({label: matchers}, label)
            }
        return _without(_held(node.args[0], laws), node.args[1].val) if name == "label_replace" else _NOTHING
    if kind == "AggregateExpr":
        by = _by(node)
        return _NOTHING if by is None else _only(_held(node.expr, laws), by)
    if kind == "BinaryExpr":
        return _held_binary(node, laws)
    return _NOTHING


def _held_binary(node: Any, laws: Laws) -> Held:
    if _is_number(node.lhs) or _is_number(node.rhs):
        return _held(node.rhs if _is_number(node.lhs) else node.lhs, laws)
    op, on = str(node.op), _on(node)
    left, right = _held(node.lhs, laws), _held(node.rhs, laws)
    if op == "or":
        return _either([left, right])
    if op == "unless":
        return left
    met = right if on is None else _only(right, on)
    if op == "and" or on is None or tree.cardinality(node) == "ManyToOne":
        return _both(left, met)
    return _both(_only(left, on), met) if tree.cardinality(node) == "OneToOne" else _NOTHING


def _labels(node: Any, laws: Laws) -> frozenset[str] | None:
    """The labels that what a node yields can have at most; None when that is not known."""
    kind = type(node).__name__
    if kind == "MatrixSelector":
        return _labels(node.vector_selector, laws)
    if kind == "VectorSelector":
        entries = [entry.labels for entry in _recorded(_own(node), node.name, laws)]
        return frozenset().union(*[each or () for each in entries]) if entries and None not in entries else None
    if kind in ("ParenExpr", "UnaryExpr"):
        return _labels(node.expr, laws)
    if kind == "Call" and node.func.name == "absent":
        return frozenset(_held(node, laws))
    if kind == "Call" and node.func.name in _PASSING:
        return next((_labels(part, laws) for part in node.args if not _is_number(part)), None)
    if kind == "AggregateExpr":
        by = _by(node)
        return None if by is None else frozenset(by)
    if kind == "BinaryExpr":
        if _is_number(node.lhs) or _is_number(node.rhs):
            return _labels(node.rhs if _is_number(node.lhs) else node.lhs, laws)
        on = _on(node)
        if str(node.op) not in _SETS and on is not None and tree.cardinality(node) == "OneToOne":
            return frozenset(on)
        return _labels(node.lhs, laws) if str(node.op) in ("and", "unless") or on is None else None
    return None


def _unique(node: Any, by: frozenset[str], laws: Laws) -> bool:
    """Whether no two series that a node yields agree in these labels: all they can differ in is among them."""
    labels, held = _labels(node, laws), _held(node, laws)
    return labels is not None and all(label in by or _value(held, label) is not None for label in labels)


def _least(node: Any, laws: Laws) -> float | None:
    """A number that nothing which a node yields is below; None when none is known."""
    kind = type(node).__name__
    if kind == "NumberLiteral":
        return float(node.val)
    if kind in ("ParenExpr", "MatrixSelector"):
        return _least(node.expr if kind == "ParenExpr" else node.vector_selector, laws)
    if kind == "VectorSelector":
        return _lowest([entry.least for entry in _recorded(_own(node), node.name, laws)])
    if kind == "Call":
        name = node.func.name
        if name == "histogram_quantile":  # from the lowest bucket on, it is interpolated between 0 and the bound
            return float(node.args[0].val * laws.lowest) if _is_number(node.args[0]) else None
        return 0.0 if name in _NEVER_NEGATIVE else None
    if kind == "AggregateExpr":
        least = _least(node.expr, laws)
        if str(node.op) in _COUNTING:
            return 1.0
        return (
            least if str(node.op) in _SINGLE and (str(node.op) != "sum" or (least is not None and least >= 0)) else None
        )
    if kind != "BinaryExpr":
        return None
    op, left, right = str(node.op), _least(node.lhs, laws), _least(node.rhs, laws)
    if op in ("and", "unless") or (op in _COMPARED and not _is_number(node.lhs)):
        return left
    if op == "or":
        return _lowest([left, right])
    if left is None or right is None or left < 0 or right < 0:
        return None
    return {"+": left + right, "*": left * right, "/": 0.0}.get(op)


def _lowest(numbers: Sequence[float | None]) -> float | None:
    known_ones = [number for number in numbers if number is not None]
    return min(known_ones) if known_ones and len(known_ones) == len(numbers) else None


def _recorded(held: Held, name: str, laws: Laws) -> list[Recorded]:
    """What is known of the recorded series of a name, if they are this profile's; nothing of any others."""
    if _value(held, conventions.PROFILE) != laws.profile:
        return []
    fixed = {label: value for label in held if (value := _value(held, label)) is not None}
    return [
        entry
        for entry in laws.records.get(name, ())
        if all(_value(entry.held, label) in (None, value) for label, value in fixed.items())
    ]


def _all_held(held: Held, name: str, laws: Laws) -> Held:
    """What holds for series of a name for which these matchers do."""
    entries = _recorded(held, name, laws)
    return _both(held, _either([entry.held for entry in entries])) if entries else held


def _own(selector: Any) -> Held:
    """The matchers of a selector itself."""
    found: dict[str, frozenset[tuple[str, str]]] = {}
    for label, op, value in tree.matchers(selector):
        found[label] = found.get(label, frozenset()) | {(op, value)}
    return found


def _value(held: Held, label: str) -> str | None:
    """The one value that a label can have; None when it can have others."""
    choices = [
        {value} if op == "=" else set(value.split("|"))
        for op, value in held.get(label, ())
        if op == "=" or (op == "=~" and _ALTERNATIVES.fullmatch(value))
    ]
    left = set.intersection(*choices) if choices else set()
    return left.pop() if len(left) == 1 else None


def _fixed(left: Held, right: Held, label: str) -> bool:
    value = _value(left, label)
    return value is not None and value == _value(right, label)


def _both(one: Held, other: Held) -> Held:
    return {label: one.get(label, frozenset()) | other.get(label, frozenset()) for label in one.keys() | other.keys()}


def _either(all_held: Iterable[Held]) -> Held:
    """What holds in each case."""
    first, *others = all_held
    return {
        label: frozenset.intersection(held, *[each.get(label, frozenset()) for each in others])
        for label, held in first.items()
    }


def _only(held: Held, labels: Iterable[str]) -> Held:
    return {label: held[label] for label in labels if label in held}


def _without(held: Held, label: str) -> Held:
    return {name: matchers for name, matchers in held.items() if name != label}


def _by(node: Any) -> list[str] | None:
    """The labels that an aggregation keeps; None when it names those it drops."""
    if node.modifier is None:
        return []
    return None if "Without" in str(node.modifier.type) else list(node.modifier.labels)


def _on(node: Any) -> list[str] | None:
    """The labels that a binary expression matches on; None when on all."""
    matching = node.modifier.matching if node.modifier else None
    return None if matching is None or "Include" not in str(matching.type) else list(matching.labels)


def _number(node: Any) -> float | None:
    return float(node.val) if type(node).__name__ == "NumberLiteral" else None


def _is_number(node: Any) -> bool:
    kind = type(node).__name__
    return kind == "NumberLiteral" or (kind == "ParenExpr" and _is_number(node.expr))
