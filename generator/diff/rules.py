"""The rules of one profile, before and after -> what changes of its alerts and recorded series."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Any

from generator import catalog, conventions
from generator.diff.change import Change, Renames, coverage, listed, seconds, shortly, spaced, values
from generator.diff.dashboards import Readers
from generator.diff.expressions import (
    Difference,
    Node,
    differences,
    form,
    of_any,
    regrouped,
    relabelled,
    renamed,
    series,
)
from generator.diff.match import Matched, Pair, match, of_profile
from generator.diff.read import Rule, Version
from generator.promql.tree import Matcher
from generator.thresholds import scope_label
from generator.units import Duration, plain

_LINKS = (conventions.RUNBOOK_URL, conventions.DASHBOARD_URL)
# Labels that tell kinds of requests apart, rather than deployments.
_OF_REQUESTS = frozenset({
    conventions.SCOPE, "query_type", "function_name", "msg_type", "collection_name", "db_name",
})  # fmt: skip


@dataclass
class Rules:
    """The rules of one profile (or all rules without one), called `was` before and `now` after, of two versions.

    `panels` are those of the new version.
    """

    was: str
    now: str
    before: Sequence[Rule]
    after: Sequence[Rule]
    old: Version
    new: Version
    panels: Readers

    @cached_property
    def matched(self) -> Matched:
        return match(of_profile(self.before, self.was, self.now), self.after, self._form)

    def _form(self, rule: Rule) -> Node:
        """The form of an old rule's expression, under the new name of the profile and of its deployments."""
        node = form(rule.expr)
        if self.was != self.now:
            node = relabelled(node, conventions.PROFILE, self.was, self.now)
        before, after = (frozenset(each.get("identity", ())) for each in self.manifests)
        return regrouped(node, before, after) if before != after else node

    @cached_property
    def manifests(self) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        """What the manifests say, where there is one on both sides."""
        if self.was in self.old.manifests and self.now in self.new.manifests:
            return self.old.manifests[self.was], self.new.manifests[self.now]
        return {}, {}

    @cached_property
    def thresholds(self) -> tuple[dict[tuple[str, str], Any], dict[tuple[str, str], Any]]:
        """Where thresholds are measured, by scope and tier."""
        before, after = map(_thresholds, self.manifests)
        return before, after

    @cached_property
    def differences(self) -> dict[int, list[Difference]]:
        """Where the expression of each pair differs, by its place among the pairs; new names are no difference."""
        found = {}
        for index, pair in enumerate(self.matched.pairs):
            as_it_is, new = self._form(pair.old), form(pair.new.expr)
            old = renamed(as_it_is, self.matched.names)
            same = as_it_is == new or of_any(old, self._deployments_by) == of_any(new, self._deployments_by)
            found[index] = [] if same else differences(old, new)
        return found

    def changes(self) -> Iterator[Change]:
        yield from self._about_profile()
        for index, pair in enumerate(self.matched.pairs):
            if pair.new.is_alert:
                yield from self._of_alert(index, pair)
        for kind, rules in (("removed", self.matched.removed), ("added", self.matched.added)):
            for rule in rules:
                if rule.is_alert:
                    yield self._alert(kind, rule)
        yield from self._of_series()

    def _alert(self, kind: Any, rule: Rule) -> Change:
        severity = rule.label(conventions.SEVERITY)
        summary = dict(rule.annotations).get(conventions.SUMMARY, "")
        says = kind + (f" ({severity})" if severity else "") + (f": {summary.rstrip('.')}" if summary else "")
        why = next(
            (each["why"] for each in self.manifests[1].get("left_out", ()) if each["rule"] in (rule.name, rule.shown)),
            "",
        )
        effect = (f"left out: {why}" if why else "nobody is told of this any more") if kind == "removed" else ""
        if kind == "removed" and not why and self._scopes[0] != self._scopes[1]:
            others = [each.shown for each in self.after if each.is_alert and each.name == rule.name]
            effect = f"its requests are up to {shortly(others)}" if others else effect
        return Change("alert", kind, self.now, rule.shown, says, effect)

    def _about_profile(self) -> Iterator[Change]:
        """What is true of all rules of the profile: release, deployments, window, interval."""

        def change(says: str, effect: str = "") -> Change:
            return Change("profile", "changed", self.now, self.now, says, effect)

        before, after = self.manifests
        if before.get("milvus") != after.get("milvus"):
            yield change(f"Milvus {before['milvus']} -> {after['milvus']}")
        if "deployments" not in before and "deployments" not in after:
            for label in sorted(before.get("selector", {}).keys() | after.get("selector", {}).keys()):
                was, now = (each["selector"].get(label) for each in (before, after))
                if was != now:
                    effect = coverage(set(was) if was else None, set(now) if now else None)
                    yield change(f"{label} {listed(was)} -> {listed(now)}", effect)
        if before.get("identity") != after.get("identity"):
            was, now = (", ".join(each["identity"]) for each in (before, after))
            yield change(f"deployments are named by {was} -> {now}", "alerts have other labels")
        if self._scopes[0] != self._scopes[1]:
            yield change(f"thresholds are set for {' and '.join(self._scopes[0])} -> {' and '.join(self._scopes[1])}")
        for label, texts in self._matchers_of_all:
            was, now = (f"any {label}" if text == "any" else f"{label}{text}" for text in texts)
            yield change(f"{was} -> {now}", coverage(values(texts[0]), values(texts[1]), _told_apart_by(label)))
        windows = {
            (each.before, each.after)
            for index, found in self.differences.items()
            if self._is_rename(self.matched.pairs[index])
            for each in found
            if each.kind == "window"
        }
        for old, new in sorted(windows):
            effect = "alerts react more slowly" if seconds(new) > seconds(old) else "alerts react faster"
            yield change(f"rates and shares are measured over {old} -> {new}", effect)
        intervals = {(pair.old.interval, pair.new.interval) for pair in self.matched.pairs}
        for old, new in sorted(intervals):
            if seconds(old) != seconds(new):
                yield change(f"rules are evaluated every {old or 'default interval'} -> {new or 'default interval'}")

    @cached_property
    def _deployments_by(self) -> set[str]:
        """The labels that deployments are selected by, where the manifests tell that these change."""
        before, after = (
            (each.get("selector", {}), each.get("deployments"), each.get("identity")) for each in self.manifests
        )
        if before == after:
            return set()
        return {label for side in self.manifests for label in (*side.get("selector", {}), *side["identity"])}

    @cached_property
    def _selected_by(self) -> set[str]:
        """The labels whose change the manifests tell of."""
        return self._deployments_by | (_OF_REQUESTS if self._scopes[0] != self._scopes[1] else set())

    @cached_property
    def _scopes(self) -> tuple[list[str], list[str]]:
        """The requests that thresholds of their own are set for, as the manifests have it."""
        before, after = (
            [scope_label(each["operations"], each.get("collections", ())) for each in side.get("thresholds", ())]
            for side in self.manifests
        )
        return before, after

    @cached_property
    def _matchers_of_all(self) -> list[tuple[str, tuple[str, str]]]:
        """The changes of matchers that all alerts have in common, each with its label."""
        alerts = [index for index, pair in enumerate(self.matched.pairs) if pair.new.is_alert]
        common: set[tuple[str, tuple[str, str]]] | None = None
        for index in alerts:
            own = {(_label(each), (each.before, each.after)) for each in self._matchers(index)}
            common = own if common is None else common & own
        found = [each for each in common or () if each[0] != "le"] if len(alerts) > 1 else []
        return sorted(found)

    def _matchers(self, index: int) -> list[Difference]:
        """How a rule, and the series that it reads, select other series; but for what the manifests tell."""
        found: dict[Difference, None] = {}
        open_, seen = [index], {index}
        while open_:
            current = open_.pop()
            for each in self.differences[current]:
                if each.kind == "matcher" and _label(each) not in self._selected_by:
                    where = "le" if _is_bound(each) else each.where
                    if current == index or _label(each) != "le" or _is_bound(each):
                        found[Difference("matcher", where, each.before, each.after)] = None
            for other in self._reads(current):
                if other not in seen:
                    seen.add(other)
                    open_.append(other)
        return list(found)

    def _reads(self, index: int) -> Iterator[int]:
        """The pairs of recorded series that a rule reads."""
        for name, matchers in series(form(self.matched.pairs[index].new.expr)):
            for other in self._recording.get(name, ()):
                if _selects(matchers, dict(self.matched.pairs[other].new.labels)):
                    yield other

    @cached_property
    def _recording(self) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        for index, pair in enumerate(self.matched.pairs):
            if not pair.new.is_alert:
                found.setdefault(pair.new.name, []).append(index)
        return found

    def _of_alert(self, index: int, pair: Pair) -> Iterator[Change]:
        old, new = pair.old, pair.new
        found = list(self._alert_changes(index, old, new))
        if old.name != new.name:
            effect = "routes and silences by its name no longer match"
            yield Change("alert", "renamed", self.now, old.shown, f"is called {new.name} now", effect)
        followed = Renames({**self.matched.names, **({self.was: self.now} if self.was != self.now else {})})
        before, after = {name: followed(text) for name, text in old.annotations}, dict(new.annotations)
        others = [name for name in sorted(before.keys() | after.keys()) if before.get(name) != after.get(name)]
        found += [
            (f"{name} {before.get(name, 'none')} -> {after.get(name, 'none')}", "") for name in others if name in _LINKS
        ]
        if others and not found and old.name == new.name and not self._threshold_texts:
            found.append((f"the notification says something else ({', '.join(others)})", ""))
        for says, effect in found:
            yield Change("alert", "changed", self.now, new.shown, says, effect)

    @cached_property
    def _threshold_texts(self) -> bool:
        """Whether annotations may differ because of what is said of the profile already."""
        before, after = self.manifests
        return any(before.get(key) != after.get(key) for key in ("thresholds", "milvus", "selector", "identity"))

    def _alert_changes(self, index: int, old: Rule, new: Rule) -> Iterator[tuple[str, str]]:
        """What changes of an alert, and the effect."""
        threshold = self._threshold(old, new)
        if threshold:
            yield threshold
        matchers = self._matchers(index)
        everywhere = {label for label, _ in self._matchers_of_all}
        for each in matchers:
            label = _label(each)
            if _is_bound(each):
                was, now = _bound(each.before), _bound(each.after)
                if not threshold:
                    yield f"measured at le {plain(was)} -> {plain(now)}", f"fires {'later' if now > was else 'earlier'}"
            elif label == "le":
                yield _shown(each), ""
            elif label not in everywhere:
                yield _shown(each), coverage(values(each.before), values(each.after), _told_apart_by(label))
        for each in self.differences[index]:
            if each.kind == "limit" and each.where.startswith("count(") and self.thresholds[0] != self.thresholds[1]:
                continue  # of how many buckets there must be
            if each.kind == "limit":
                effect = {True: "fires earlier", False: "fires later", None: ""}[each.looser]
                yield _shown(each), effect
            elif each.kind == "window":
                effect = "reacts more slowly" if seconds(each.after) > seconds(each.before) else "reacts faster"
                yield f"{each.where} over {each.before} -> {each.after}", effect
            elif each.kind == "other":
                yield "is decided by another expression", ""
        yield from _times(old, new)
        labels = dict(old.labels), dict(new.labels)
        for name in sorted(labels[0].keys() | labels[1].keys()):
            before, after = (each.get(name, "none") for each in labels)
            if before != after and name == conventions.SCOPE and after in self._scopes[1]:
                others = [each.shown for each in self.after if each.name == new.name and each.label(name) != after]
                yield f"is for {after} now", f"other requests are up to {shortly(others)}" if others else ""
            elif before != after:
                what = name if name == conventions.SEVERITY else f"label {name}"
                yield f"{what} {before} -> {after}", "" if name == conventions.SEVERITY else "may reach other people"

    def _threshold(self, old: Rule, new: Rule) -> tuple[str, str] | None:
        """What changes of the threshold that the alert's tier stands for, as the manifests have it."""
        tier = new.label(conventions.TIER)
        before = self.thresholds[0].get((old.label(conventions.SCOPE), tier))
        after = self.thresholds[1].get((new.label(conventions.SCOPE), tier))
        if before is None or after is None or before == after:
            return None
        given = [spaced(each["threshold"]) for each in (before, after)]
        points = [each.get("milliseconds") for each in (before, after)]
        if None not in points:
            at = f"{points[0]} -> {points[1]}" if points[0] != points[1] else points[0]
            where = f"measured at {at} ms"
            was, now = (Decimal(point) for point in points)
        else:
            ways = dict.fromkeys(f"measured at {point} ms" if point else "counted by Milvus" for point in points)
            where = " -> ".join(ways)
            was, now = (seconds(each["threshold"]) for each in (before, after))
        threshold = f"{given[0]} -> {given[1]}" if given[0] != given[1] else given[0]
        return f"threshold {threshold} ({where})", f"fires {'later' if now > was else 'earlier'}" if now != was else ""

    def _of_series(self) -> Iterator[Change]:
        """Recorded series that come, go, are renamed, or record something else."""
        recorded = {rule.name for rule in self.after if not rule.is_alert}
        for rule in self.matched.removed:
            if not rule.is_alert:
                readers = self._readers(rule.name) if rule.name not in recorded else ()
                yield Change("series", "removed", self.now, rule.shown, "removed", _broken(readers), readers)
        for rule in self.matched.added:
            if not rule.is_alert:
                readers = self._readers(rule.name, dict(rule.labels))
                yield Change("series", "added", self.now, rule.shown, "added", "", readers)
        for index, pair in enumerate(self.matched.pairs):
            if pair.new.is_alert:
                continue
            says = self._recorded(index)
            if self._is_rename(pair):
                readers = self._readers(pair.old.name) if pair.old.name not in recorded else ()
                effect = _broken(readers)
                new_readers = self._readers(pair.new.name, dict(pair.new.labels))
                called = f"is called {pair.new.name} now"
                yield Change("series", "renamed", self.now, pair.old.shown, called, effect, readers or new_readers)
            if says:
                readers = self._readers(pair.new.name, dict(pair.new.labels))
                yield Change("series", "changed", self.now, pair.new.shown, says, "", readers)

    def _is_rename(self, pair: Pair) -> bool:
        return not pair.new.is_alert and pair.old.name != pair.new.name

    def _recorded(self, index: int) -> str:
        """What is recorded otherwise than before; empty where alerts or the profile say it already."""
        known = {label for label, _ in self._matchers_of_all} | self._selected_by
        parts = []
        for each in self.differences[index]:
            if each.kind == "other":
                return "records another expression"
            if each.kind == "matcher":
                label = _label(each)
                told = label in known or ((label != "le" or self._bounds_told) and any(self._alerts_above(index)))
            else:
                told = each.kind == "window" and self._is_rename(self.matched.pairs[index])
            if not told:
                parts.append(_shown(each))
        return "; ".join(dict.fromkeys(parts))

    @cached_property
    def _bounds_told(self) -> bool:
        """Whether it is said of an alert that it is measured at another bound, so that series read other buckets."""
        alerts = [index for index, pair in enumerate(self.matched.pairs) if pair.new.is_alert]
        return self.thresholds[0] != self.thresholds[1] or any(
            _is_bound(each) for index in alerts for each in self._matchers(index)
        )

    def _alerts_above(self, index: int) -> Iterator[int]:
        """The alerts that read a recorded series, also through others."""
        open_, seen = [index], {index}
        while open_:
            for other in self._read_by.get(open_.pop(), ()):
                if other not in seen:
                    seen.add(other)
                    open_.append(other)
                    if self.matched.pairs[other].new.is_alert:
                        yield other

    @cached_property
    def _read_by(self) -> dict[int, set[int]]:
        """The pairs that read each pair of recorded series."""
        found: dict[int, set[int]] = {}
        for index in range(len(self.matched.pairs)):
            for other in self._reads(index):
                found.setdefault(other, set()).add(index)
        return found

    @cached_property
    def _selectors(self) -> dict[str, list[tuple[Rule, tuple[Matcher, ...]]]]:
        """Every selector of the new rules, with the rule that it is in, by the name of the series."""
        found: dict[str, list[tuple[Rule, tuple[Matcher, ...]]]] = {}
        for rule in self.after:
            for name, matchers in series(form(rule.expr)):
                found.setdefault(name, []).append((rule, matchers))
        return found

    def _readers(self, name: str, labels: Mapping[str, str] | None = None) -> tuple[str, ...]:
        """Who reads a series in the new version: rules of the profile, and panels that do not ask for another one.

        With labels, only rules that select these.
        """
        found = [rule.shown for rule, matchers in self._selectors.get(name, ()) if _selects(matchers, labels or {})]
        found += [panel for panel, profiles in self.panels.get(name, ()) if not profiles or self.now in profiles]
        return tuple(dict.fromkeys(found))


def _told_apart_by(label: str) -> str:
    """What a label tells apart: kinds of requests, series of one deployment, or deployments."""
    return "requests" if label in _OF_REQUESTS else "series" if label in catalog.every_label() else "deployments"


def _selects(matchers: Iterable[Matcher], labels: Mapping[str, str]) -> bool:
    """Whether a selector may find a series that is recorded with these labels, and others that nobody knows."""
    return all(labels.get(label, value) == value for label, op, value in matchers if op == "=")


def _broken(readers: Sequence[str]) -> str:
    return f"still read by {shortly(readers)}, which will see nothing" if readers else ""


def _shown(difference: Difference) -> str:
    """A difference in words: `up{job="a"} -> up{job="b"}`, `errors > 5 -> > 10`."""
    if difference.kind != "matcher":
        return f"{difference.where} {difference.before} -> {difference.after}"
    name, _, label = difference.where.rpartition(" ")
    was, now = (name if text == "any" else f"{name}{{{label}{text}}}" for text in (difference.before, difference.after))
    return f"{was} -> {now}"


def _label(difference: Difference) -> str:
    return difference.where.rpartition(" ")[2]


def _thresholds(manifest: Mapping[str, Any]) -> dict[tuple[str, str], Any]:
    scopes = manifest.get("thresholds", ())
    found: dict[tuple[str, str], Any] = {}
    for scope in scopes:
        label = scope_label(scope["operations"], scope.get("collections", ())) if len(scopes) > 1 else ""
        found |= {(label, tier): point for tier, point in scope.items() if isinstance(point, dict)}
    return found


def _times(old: Rule, new: Rule) -> Iterator[tuple[str, str]]:
    for what, verb, before, after in (
        ("for", "fires", old.for_, new.for_),
        ("keep_firing_for", "resolves", old.keep_firing_for, new.keep_firing_for),
    ):
        by = seconds(after) - seconds(before)
        if by:
            amount = spaced(str(Duration.of_seconds(abs(by))))
            yield f"{what} {before or '0s'} -> {after or '0s'}", f"{verb} {amount} {'later' if by > 0 else 'earlier'}"


def _is_bound(difference: Difference) -> bool:
    """Whether the difference is one bucket bound in the place of another."""
    return _label(difference) == "le" and not {_bound(difference.before), _bound(difference.after)} & {math.inf}


def _bound(matcher: str) -> float:
    """The one bucket bound that a matcher of `le` selects; infinite where it is none, or several."""
    value = re.sub(r"\(\\+\.0\)\??|^=~?\"|\"$|\\", "", matcher)
    try:
        numbers = {float(each) for each in value.split("|")} - {math.inf}
    except ValueError:
        return math.inf
    return numbers.pop() if len(numbers) == 1 else math.inf
