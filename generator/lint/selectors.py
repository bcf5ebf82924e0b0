"""Selectors of series: what the release exposes of what they ask for."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import lru_cache

from generator.buckets import pattern, spellings_of_go
from generator.catalog import Metric, ever_labelled
from generator.lint.complaints import Reporter
from generator.lint.names import meant
from generator.lint.types import Origin, Vector
from generator.lint.variables import is_variable
from generator.promql import tree
from generator.promql.text import quoted_string
from generator.units import plain

# Patterns that can take Python's engine for ever; Prometheus' own cannot be taken in.
_SLOW = re.compile(r"[*+}]\)+[*+{]")

# What is compared with it cannot be 0, since the series is gone instead. From 2.4 on both are only ever written as 1.
_ONES = {
    "milvus_num_node": "its series go away with the node",
    "milvus_rootcoord_quota_states": "its series are there only while the state lasts",
    "milvus_build_info": "it is always 1",
    "milvus_runtime_info": "it is always 1",
}
_PRESENCE = frozenset({"milvus_rootcoord_quota_states", "milvus_build_info", "milvus_runtime_info"})


class Selectors(Reporter):
    """Checks selectors: labels, values, buckets."""

    def selected(
        self, name: str, metric: Metric, part: str, matchers: list[tree.Matcher], at: int, places: Mapping[str, int]
    ) -> Vector:
        labels = frozenset(metric.labels) | ({"le"} if part == "_bucket" else set())
        fixed = frozenset((label, value) for label, op, value in matchers if op == "=" and not is_variable(value))
        bounds = _bounds(metric, fixed)
        for matcher in matchers:
            place = places.get(matcher[0], at)
            if is_variable(matcher[0]):
                continue
            if matcher[0] not in labels:
                self._no_label(name, metric, labels, matcher, place)
            elif matcher[0] == "le":
                self._le(name, bounds, matcher, place)
            else:
                self._value(name, metric, matcher, place)
        unit = ((metric.unit, 1),) if metric.unit and part in ("", "_sum") else ()
        by = next((label for label in metric.buckets_of_value if label not in dict(fixed)), "")
        one = _ONES.get(metric.name, "")
        if metric.name in ("milvus_num_node", "milvus_rootcoord_quota_states") and self.release.branch == "2.3":
            one = ""
        origin = Origin(metric.name + ("" if part in ("_bucket", "_count") else part), "", "", frozenset(matchers))
        return Vector(
            series=name,
            at=at,
            known=True,
            labels=labels,
            sure=frozenset(label for label in labels if "" not in metric.values.get(label, ())),
            fixed=fixed,
            valued_by=metric,
            unit=unit,
            metric=metric,
            counter=name if part or metric.type == "counter" else "",
            buckets=metric if part == "_bucket" else None,
            bounds=bounds,
            one_bucket=part != "_bucket" or any(label == "le" and op in ("=", "=~") for label, op, _ in matchers),
            presence=bool(one) and metric.name in _PRESENCE,
            one=one,
            statuses=_selected_values(metric, "status", matchers),
            units_by=by,
            origin=origin if all(_accepts(op, value, "") or label in labels for label, op, value in matchers) else None,
        )

    def _no_label(self, name: str, metric: Metric, labels: frozenset[str], matcher: tree.Matcher, place: int) -> None:
        label = matcher[0]
        if not self.labels.lacks(label, labels):
            return
        wrong = f"{name} has no label `{label}` in Milvus {self.release.name}"
        elsewhere = label in ever_labelled(metric.name)
        self.no_label("unknown-label", wrong, self.instead_of_label(label, labels), matcher, place, elsewhere=elsewhere)

    def no_label(
        self, code: str, wrong: str, right: str, matcher: tree.Matcher, place: int, *, elsewhere: bool = False
    ) -> None:
        """Complains of what a matcher does to series without its label; `elsewhere` says whether others have it."""
        label, op, value = matcher
        wrong += f", so that `{label}{op}{quoted_string(value)}` "
        if is_variable(value):
            if op in ("=", "=~"):
                wrong += "finds nothing" if op == "=" else "finds nothing unless the variable matches everything"
                self.complain(code, place, wrong, right, severity="warning" if op == "=~" else "error")
        elif not _accepts(op, value, ""):
            self.complain(code, place, wrong + "never matches", right, elsewhere=elsewhere)
        elif op in ("!=", "!~") and not elsewhere:
            self.complain(code, place, wrong + "excludes nothing", right, severity="warning")

    def recorded_value(self, name: str, vector: Vector, matcher: tree.Matcher, place: int) -> None:
        """Complains of a value that a label of recorded series never has."""
        label, op, value = matcher
        recorded = dict(vector.fixed).get(label)
        if label == "le":
            self._le(name, vector.bounds if vector.buckets else (), matcher, place)
        elif recorded is None:
            if vector.valued_by:
                self._value(name, vector.valued_by, matcher, place)
        elif op in ("=", "=~") and not is_variable(value) and not _accepts(op, value, recorded):
            shown = f"{label}{op}{quoted_string(value)}"
            wrong = f"{name} never has `{shown}`: it is recorded with {label}={quoted_string(recorded)}"
            right = "ask for that; if another rule records it, give the file of the rule, too"
            self.complain("impossible-value", place, wrong, right)

    def instead_of_label(self, label: str, labels: Iterable[str]) -> str:
        if likely := meant(label, labels):
            return f"did you mean {likely}?"
        own = ", ".join(sorted(labels)) or "none of its own"
        return f"it has {own}"

    def _value(self, name: str, metric: Metric, matcher: tree.Matcher, place: int) -> None:
        """Complains of a value that a label never has."""
        label, op, value = matcher
        known = metric.values.get(label)
        if not known or is_variable(value) or (op in ("=~", "!~") and _compiled(value) is None):
            return
        shown = f"{label}{op}{quoted_string(value)}"
        if op in ("=", "=~"):
            if not any(_accepts(op, value, each) for each in known) and not _accepts(op, value, ""):
                wrong = f"{name} never has `{shown}` in Milvus {self.release.name}"
                self.complain("impossible-value", place, wrong, self._values(label, value, known), elsewhere=True)
        elif all(_accepts(op, value, each) for each in known):
            texts = [value] if op == "!=" else value.split("|")
            split = [each for text in texts for each in known if each.startswith(f"{text}_")]
            if split:
                wrong = f"`{shown}` excludes nothing: Milvus {self.release.name} has {', '.join(split)} instead"
                right = f"write {label}!~{quoted_string('|'.join(f'{text}|{text}_.+' for text in texts))}"
                self.complain("impossible-value", place, wrong, right)

    def _values(self, label: str, value: str, known: Iterable[str]) -> str:
        """What to ask for instead of a value: also where other releases have it, and this one has it split."""
        every = f"its values are {', '.join(each or '(empty)' for each in known)}"
        texts = value.split("|")
        split = [text for text in texts if any(each.startswith(f"{text}_") for each in known)]
        if not split:
            return every
        pattern_of_all = "|".join(f"{text}|{text}_.+" if text in split else text for text in texts)
        return f"{every}; {label}=~{quoted_string(pattern_of_all)} holds in every release"

    def _le(self, name: str, bounds: tuple[float, ...], matcher: tree.Matcher, place: int) -> None:
        """Complains of a bucket that does not exist, or is found in one of its spellings only."""
        _, op, value = matcher
        if is_variable(value) or not bounds or (op in ("=~", "!~") and _compiled(value) is None):
            return
        positive = {"!=": "=", "!~": "=~"}.get(op, op)
        every = [("+Inf",), *map(spellings_of_go, bounds)]
        shown = f"le{op}{quoted_string(value)}"
        if not any(_accepts(positive, value, text) for texts in every for text in texts):
            if op not in ("=", "=~") or _accepts(op, value, ""):
                return
            number = _float(re.split(r"[|(\\]", value)[0])
            if number in bounds:
                right = f"write le=~{quoted_string(pattern(number))}"
                self.complain("le-spelling", place, f"no server spells a bucket of {name} like `{shown}`", right)
                return
            wrong = f"{name} has no bucket for `{shown}` in Milvus {self.release.name}, so that nothing is found"
            self.complain("unknown-bucket", place, wrong, _neighbours(number, bounds), elsewhere=True)
            return
        found = [
            (bound, texts)
            for bound, texts in zip((math.inf, *bounds), every, strict=True)
            if any(_accepts(positive, value, text) for text in texts)
        ]
        missed = next((text for _, texts in found for text in texts if not _accepts(positive, value, text)), "")
        if missed:
            server = "Prometheus 3" if missed.endswith(".0") or "e" in missed else "Prometheus 2"
            every_spelling = quoted_string("|".join(pattern(bound) for bound, _ in found))
            right = f"write le{'=~' if op in ('=', '=~') else '!~'}{every_spelling}"
            self.complain("le-spelling", place, f"`{shown}` misses a bucket: {server} spells it `{missed}`", right)


def narrowed(vector: Vector, matchers: Iterable[tree.Matcher]) -> Vector:
    """The series among recorded ones that matchers select."""
    matchers = list(matchers)
    asked = frozenset((label, value) for label, op, value in matchers if op == "=" and not is_variable(value))
    statuses = vector.statuses
    for label, op, value in matchers:
        if label == "status":
            told = not is_variable(value) and (op in ("=", "!=") or _compiled(value) is not None)
            statuses = frozenset(each for each in statuses if told and _accepts(op, value, each))
    return replace(
        vector,
        fixed=vector.fixed | frozenset(each for each in asked if each[0] not in dict(vector.fixed)),
        one_bucket=vector.one_bucket or any(label == "le" and op in ("=", "=~") for label, op, _ in matchers),
        statuses=statuses,
        units_by="" if vector.units_by in dict(asked) else vector.units_by,
    )


def _bounds(metric: Metric, fixed: Iterable[tuple[str, str]]) -> tuple[float, ...]:
    """The bucket bounds of the series that are selected."""
    values = dict(fixed)
    bounds = set(metric.buckets)
    for label, by_value in metric.buckets_of_value.items():
        if label in values:
            bounds = set(by_value.get(values[label], metric.buckets))
        else:
            bounds.update(*by_value.values())
    return tuple(sorted(bounds))


def _selected_values(metric: Metric, label: str, matchers: Iterable[tree.Matcher]) -> frozenset[str]:
    """The known values of a label that matchers let through; none where a matcher cannot be told."""
    values = frozenset(metric.values.get(label, ()))
    for name, op, value in matchers:
        if name == label:
            if is_variable(value) or (op in ("=~", "!~") and _compiled(value) is None):
                return frozenset()
            values = frozenset(each for each in values if _accepts(op, value, each))
    return values


@lru_cache(maxsize=4096)
def _compiled(text: str) -> re.Pattern[str] | None:
    """A regular expression of a matcher; None for one that Python reads otherwise, or not within any useful time."""
    if len(text) > 2_000 or _SLOW.search(text) or text.count("*") + text.count("+") > 20:
        return None
    try:
        return re.compile(text, re.DOTALL)
    except (re.error, RecursionError, OverflowError):
        return None


def _accepts(op: str, value: str, text: str) -> bool:
    """Whether a matcher lets through a label of this text. A pattern that cannot be told lets through everything."""
    if op in ("=", "!="):
        return (text == value) is (op == "=")
    compiled = _compiled(value)
    return compiled is None or bool(compiled.fullmatch(text)) is (op == "=~")


def _float(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")


def _neighbours(number: float, bounds: tuple[float, ...]) -> str:
    below = [plain(bound) for bound in bounds if bound < number][-1:]
    above = [plain(bound) for bound in bounds if bound > number][:1]
    every = f"the bounds are {', '.join(map(plain, bounds))}"
    beside = [*below, *above]
    return f"next to it {'is' if len(beside) == 1 else 'are'} {' and '.join(beside)}; {every}" if beside else every
