"""Two versions -> what changes for the people on call: which alerts come, go, fire later or earlier, and for whom."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Any, Literal

from generator import conventions
from generator.diff.expressions import Difference, Node, differences, form, relabelled, renamed, series
from generator.diff.match import Matched, Pair, match, of_profile, owners, successors
from generator.diff.read import Dashboard, Rule, Version
from generator.thresholds import scope_label
from generator.units import Duration, plain

About = Literal["alert", "profile", "series", "dashboard"]
Kind = Literal["added", "removed", "renamed", "changed"]

_DURATION = re.compile(r"(\d+)(ms|[smhdwy])")
_SECONDS = {
    "ms": Decimal("0.001"), "s": Decimal(1), "m": Decimal(60), "h": Decimal(3600), "d": Decimal(86_400),
    "w": Decimal(604_800), "y": Decimal(31_536_000),
}  # fmt: skip
_LINKS = (conventions.RUNBOOK_URL, conventions.DASHBOARD_URL)


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that changes, in words.

    `profile` is empty for rules of others. `effect` says what comes of it for people, where that is known; `read_by`
    are the alerts, series and panels that read what changes.
    """

    about: About
    kind: Kind
    profile: str
    name: str
    says: str
    effect: str = ""
    read_by: tuple[str, ...] = ()


def compare(old: Version, new: Version) -> tuple[Change, ...]:
    """Everything that differs, alerts first."""
    before, after = owners(old.rules), owners(new.rules)
    before.setdefault("", []), after.setdefault("", [])
    heirs = successors(before, after)
    gone, come = before.keys() - heirs.keys(), after.keys() - set(heirs.values())
    found = [
        *(_whole(profile, before[profile], "removed") for profile in sorted(gone)),
        *(_whole(profile, after[profile], "added") for profile in sorted(come)),
    ]
    series_names: dict[str, str] = {}
    for was, now in sorted(heirs.items()):
        if was != now:
            found.append(Change("profile", "renamed", now, was, f"is called {now} now"))
        work = _Profile(was, now, before[was], after[now], old, new)
        found += work.changes()
        series_names |= work.matched.names
    found += _moves(old, new, heirs)
    found += _inhibitions(old, new, heirs)
    found += _dashboards(old.dashboards, new.dashboards, series_names, heirs)
    order = ("profile", "alert", "series", "dashboard")
    return tuple(sorted(dict.fromkeys(found), key=lambda change: order.index(change.about)))


def _whole(profile: str, rules: Sequence[Rule], kind: Kind) -> Change:
    """A profile that comes or goes with all its alerts."""
    alerts = [rule for rule in rules if rule.is_alert]
    by_severity = dict.fromkeys(rule.label(conventions.SEVERITY) or "without severity" for rule in alerts)
    counts = {
        each: sum((rule.label(conventions.SEVERITY) or "without severity") == each for rule in alerts)
        for each in by_severity
    }
    listed = ", ".join(f"{count} {severity}" for severity, count in counts.items())
    effect = "nobody is told any more of these deployments" if kind == "removed" else ""
    return Change("profile", kind, profile, profile, f"{kind}, {len(alerts)} alerts ({listed})", effect)


@dataclass
class _Profile:
    """The rules of one profile (or all rules without one), before and after."""

    was: str
    now: str
    before: Sequence[Rule]
    after: Sequence[Rule]
    old: Version
    new: Version

    @cached_property
    def matched(self) -> Matched:
        return match(of_profile(self.before, self.was, self.now), self.after, self._form)

    def _form(self, rule: Rule) -> Node:
        """The form of an old rule's expression, under the new name of the profile."""
        node = form(rule.expr)
        if self.was == self.now:
            return node
        found: Node = relabelled(node, conventions.PROFILE, self.was, self.now)
        return found

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
            old, new = self._form(pair.old), form(pair.new.expr)
            found[index] = differences(renamed(old, self.matched.names), new) if old != new else []
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
                values = [each["selector"].get(label) for each in (before, after)]
                if values[0] != values[1]:
                    shown = [_listed(each) for each in values]
                    effect = _coverage(*(set(each) if each else None for each in values))
                    yield change(f"{label} {shown[0]} -> {shown[1]}", effect)
        for label, texts in self._matchers_of_all:
            was, now = (f"any {label}" if text == "any" else f"{label}{text}" for text in texts)
            yield change(f"{was} -> {now}", _coverage(*map(_values, texts)))
        windows = {
            (each.before, each.after)
            for index, found in self.differences.items()
            if self._is_rename(self.matched.pairs[index])
            for each in found
            if each.kind == "window"
        }
        for old, new in sorted(windows):
            slower = _seconds(new) > _seconds(old)
            yield change(
                f"rates and shares are measured over {old} -> {new}",
                f"alerts react {'more slowly' if slower else 'faster'}",
            )
        intervals = {(pair.old.interval, pair.new.interval) for pair in self.matched.pairs}
        for old, new in sorted(intervals):
            if _seconds(old) != _seconds(new):
                yield change(f"rules are evaluated every {old or 'default interval'} -> {new or 'default interval'}")

    @cached_property
    def _selected_by(self) -> set[str]:
        """The labels whose change the manifests tell of."""
        before, after = (
            (each.get("selector", {}), each.get("deployments"), each.get("identity")) for each in self.manifests
        )
        if before == after:
            return set()
        return {label for side in self.manifests for label in (*side.get("selector", {}), *side.get("identity", ()))}

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
        followed = _Renames({**self.matched.names, **({self.was: self.now} if self.was != self.now else {})})
        texts = {name: followed(text) for name, text in old.annotations}, dict(new.annotations)
        for name in sorted(texts[0].keys() | texts[1].keys()):
            before, after = (each.get(name, "") for each in texts)
            if before != after and name in _LINKS:
                found.append((f"{name} {before or 'none'} -> {after or 'none'}", ""))
        others = [
            name
            for name in sorted(texts[0].keys() | texts[1].keys())
            if texts[0].get(name) != texts[1].get(name) and name not in _LINKS
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
                yield (
                    _shown(each),
                    _coverage(_values(each.before), _values(each.after)),
                )
        for each in self.differences[index]:
            if each.kind == "limit":
                effect = {True: "fires earlier", False: "fires later", None: ""}[each.looser]
                yield _shown(each), effect
            elif each.kind == "window":
                slower = _seconds(each.after) > _seconds(each.before)
                yield (
                    f"{each.where} over {each.before} -> {each.after}",
                    f"reacts {'more slowly' if slower else 'faster'}",
                )
            elif each.kind == "other":
                yield "is decided by another expression", ""
        yield from _times(old, new)
        labels = dict(old.labels), dict(new.labels)
        for name in sorted(labels[0].keys() | labels[1].keys()):
            before, after = (each.get(name, "none") for each in labels)
            if before != after:
                what = name if name == conventions.SEVERITY else f"label {name}"
                yield f"{what} {before} -> {after}", "" if name == conventions.SEVERITY else "may reach other people"

    def _threshold(self, old: Rule, new: Rule) -> tuple[str, str] | None:
        """What changes of the threshold that the alert's tier stands for, as the manifests have it."""
        tier = new.label(conventions.TIER)
        before = self.thresholds[0].get((old.label(conventions.SCOPE), tier))
        after = self.thresholds[1].get((new.label(conventions.SCOPE), tier))
        if before is None or after is None or before == after:
            return None
        given = [_spaced(each["threshold"]) for each in (before, after)]
        points = [each.get("milliseconds") for each in (before, after)]
        if None not in points:
            at = f"{points[0]} -> {points[1]}" if points[0] != points[1] else points[0]
            where = f"measured at {at} ms"
            was, now = (Decimal(point) for point in points)
        else:
            ways = dict.fromkeys(f"measured at {point} ms" if point else "counted by Milvus" for point in points)
            where = " -> ".join(ways)
            was, now = (Duration.parse(each["threshold"]).milliseconds for each in (before, after))
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
            current = open_.pop()
            for other, _ in enumerate(self.matched.pairs):
                if other not in seen and current in self._all_reads[other]:
                    seen.add(other)
                    open_.append(other)
                    if self.matched.pairs[other].new.is_alert:
                        yield other

    @cached_property
    def _all_reads(self) -> list[set[int]]:
        return [set(self._reads(index)) for index in range(len(self.matched.pairs))]

    def _readers(self, name: str, labels: Mapping[str, str] | None = None) -> tuple[str, ...]:
        """Who reads a series in the new version: rules of the profile, and panels that do not ask for another one.

        With labels, only rules that select these.
        """
        found = [
            rule.shown
            for rule in self.after
            if any(each == name and _selects(matchers, labels or {}) for each, matchers in series(form(rule.expr)))
        ]
        found += [
            f"panel {panel.title} of {dashboard.title}"
            for dashboard in self.new.dashboards
            for panel in dashboard.panels
            if any(_asks(query, name, self.now) for query in panel.queries)
        ]
        return tuple(dict.fromkeys(found))


def _selects(matchers: Iterable[tuple[str, str, str]], labels: Mapping[str, str]) -> bool:
    """Whether a selector may find a series that is recorded with these labels, and others that nobody knows."""
    return all(labels.get(label, value) == value for label, op, value in matchers if op == "=")


def _asks(query: str, name: str, profile: str) -> bool:
    """Whether a query of a dashboard, which may have variables in it, reads a series of this profile."""
    for selector in re.findall(rf"(?<![\w:]){re.escape(name)}(?![\w:])(?:\{{([^}}]*)\}})?", query):
        matched = re.search(rf'\b{conventions.PROFILE}=(~?)"([^"]*)"', selector)
        values = matched[2].split("|") if matched and matched[1] else [matched[2]] if matched else []
        if not matched or profile in values or any("$" in value for value in values):
            return True
    return False


class _Renames:
    """Puts new names where the old ones stand in a text."""

    def __init__(self, new: Mapping[str, str]) -> None:
        self._new = new
        longest_first = sorted(new, key=len, reverse=True)
        self._pattern = re.compile("|".join(rf"(?<![\w:-]){re.escape(each)}(?![\w:-])" for each in longest_first))

    def __call__(self, text: str) -> str:
        return self._pattern.sub(lambda found: self._new[found[0]], text) if self._new else text


def _broken(readers: Sequence[str]) -> str:
    return f"still read by {_shortly(readers)}, which will see nothing" if readers else ""


def _shortly(items: Sequence[str], most: int = 3) -> str:
    more = f" and {len(items) - most} more" if len(items) > most else ""
    return ", ".join(items[:most]) + more


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
        by = _seconds(after) - _seconds(before)
        if by:
            amount = _spaced(str(Duration.of_seconds(abs(by))))
            yield f"{what} {before or '0s'} -> {after or '0s'}", f"{verb} {amount} {'later' if by > 0 else 'earlier'}"


def _seconds(text: str) -> Decimal:
    """A duration as Prometheus writes it, in seconds; 0 for none."""
    return sum((int(number) * _SECONDS[unit] for number, unit in _DURATION.findall(text)), Decimal())


def _spaced(duration: str) -> str:
    """A duration for prose: `1 s`, `5 min`, `1 h 30 min`."""
    units = {"m": "min"}
    return " ".join(f"{number} {units.get(unit, unit)}" for number, unit in _DURATION.findall(duration)) or duration


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


def _values(matcher: str) -> set[str] | None:
    """The values that a matcher lets through; None for any. What cannot be listed stands for itself."""
    if matcher == "any":
        return None
    found = re.fullmatch(r"(=~?)\"(.*)\"", matcher)
    if found is None:
        return {matcher}
    return (
        {found[2]} if found[1] == "=" else {re.sub(r"\\(.)", r"\1", each) for each in re.split(r"(?<!\\)\|", found[2])}
    )


def _listed(values: Iterable[str] | None) -> str:
    return "any" if values is None else " or ".join(values)


def _coverage(before: set[str] | None, after: set[str] | None) -> str:
    """Whether fewer deployments are covered, or more; None stands for any value."""
    if before is None or (after is not None and after < before):
        return "covers fewer deployments now"
    if after is None or before < after:
        return "covers more deployments now"
    return "covers other deployments now"


def _moves(old: Version, new: Version, heirs: Mapping[str, str]) -> Iterator[Change]:
    """Deployments of fleets that are watched no longer, watched now, or watched by other rules."""

    def deployments(manifests: Mapping[str, Any], called: Mapping[str, str]) -> dict[str, str]:
        return {
            ", ".join(
                f"{label}={_listed([value] if isinstance(value, str) else value)}"
                for label, value in each["selector"].items()
            ): called.get(profile, profile)
            for profile, manifest in manifests.items()
            for each in manifest.get("deployments", ())
        }

    before, after = deployments(old.manifests, heirs), deployments(new.manifests, {})
    for each in sorted(before.keys() | after.keys()):
        was, now = before.get(each), after.get(each)
        if was == now or (now is None and was not in new.manifests) or (was is None and now not in heirs.values()):
            continue  # a profile that comes or goes as a whole says so itself
        if now is None:
            yield Change(
                "profile", "changed", str(was), str(was), f"no longer covers {each}", "covers fewer deployments now"
            )
        elif was is None:
            yield Change("profile", "changed", now, now, f"covers {each}", "covers more deployments now")
        else:
            yield Change("profile", "changed", now, now, f"covers {each}, which {was} covered before")


def _inhibitions(old: Version, new: Version, heirs: Mapping[str, str]) -> Iterator[Change]:
    """Inhibition rules that come or go, counted for each profile."""

    def by_profile(version: Version, called: Mapping[str, str]) -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}
        for rule in (rule for rules in version.inhibitions.values() for rule in rules):
            own = re.search(r"profile=\\\"([^\"\\]*)", rule)
            name = own[1] if own else ""
            kept = called.get(name, name)
            found.setdefault(kept, set()).add(rule.replace(f'profile=\\"{name}\\"', f'profile=\\"{kept}\\"'))
        return found

    before, after = by_profile(old, heirs), by_profile(new, {})
    for profile in sorted(before.keys() & after.keys() if old.rules and new.rules else before.keys() | after.keys()):
        gone, come = (
            len(one.get(profile, set()) - other.get(profile, set()))
            for one, other in ((before, after), (after, before))
        )
        counts = [f"{count} {word}" for count, word in ((come, "added"), (gone, "removed")) if count]
        if counts:
            yield Change(
                "profile",
                "changed",
                profile,
                profile,
                f"inhibition rules: {', '.join(counts)}",
                "other alerts are muted",
            )


def _dashboards(
    old: Sequence[Dashboard], new: Sequence[Dashboard], series_names: Mapping[str, str], heirs: Mapping[str, str]
) -> Iterator[Change]:
    """Dashboards and panels that come or go, and panels that ask for something else."""
    profile_names = {was: now for was, now in heirs.items() if was != now}
    called = _Renames(profile_names)
    # Series may have new names in some profiles, and not in others.
    known_as = (called, _Renames({**series_names, **profile_names}))

    def moved(uid: str) -> str:
        for was, now in heirs.items():
            if was != now and uid.endswith(f"-{was}"):
                return uid.removesuffix(was) + now
        return uid

    before, after = {moved(each.uid): each for each in old}, {each.uid: each for each in new}
    for uid in dict.fromkeys([*before, *after]):
        if uid not in after:
            yield Change("dashboard", "removed", "", before[uid].title, "removed")
        elif uid not in before:
            yield Change("dashboard", "added", "", after[uid].title, f"added, {len(after[uid].panels)} panels")
        else:
            was, now = before[uid], after[uid]
            if called(was.title) != now.title:
                yield Change("dashboard", "renamed", "", was.title, f"is called {now.title} now")
            panels = [{panel.title: panel.queries for panel in each.panels} for each in (was, now)]
            for title in panels[0]:
                if title not in panels[1]:
                    yield Change("dashboard", "removed", "", now.title, f"panel {title} removed")
            for title in panels[1]:
                if title not in panels[0]:
                    yield Change("dashboard", "added", "", now.title, f"panel {title} added")
            others = [
                title
                for title in panels[0]
                if title in panels[1] and not _same(panels[0][title], panels[1][title], known_as)
            ]
            if others:
                what = "panels show" if len(others) > 1 else "panel shows"
                says = f"{len(others)} {what} something else: {_shortly(others)}"
                yield Change("dashboard", "changed", "", now.title, says)


def _same(before: Sequence[str], after: Sequence[str], known_as: Iterable[_Renames]) -> bool:
    """Whether queries ask for the same, also under new names."""
    return any(list(map(form, after)) == [form(renames(query)) for query in before] for renames in known_as)
