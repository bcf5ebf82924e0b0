"""Which rule of the new version is which rule of the old one, also under another name."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from generator import conventions
from generator.diff.expressions import form, relabelled, renamed
from generator.diff.read import Rule

_WINDOW = re.compile(r"\d+(?:ms|[smhdwy])(?:\d+(?:ms|[smhdwy]))*$")


@dataclass(frozen=True, slots=True)
class Pair:
    """A rule before and after."""

    old: Rule
    new: Rule


@dataclass(slots=True)
class Matched:
    """The rules of one profile, before and after. `names` are the new names of recorded series."""

    pairs: list[Pair] = field(default_factory=list)
    removed: list[Rule] = field(default_factory=list)
    added: list[Rule] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)


def owners(rules: Iterable[Rule]) -> dict[str, list[Rule]]:
    """The rules by the profile that they carry as a label; those of others are under an empty name."""
    found: dict[str, list[Rule]] = {}
    for rule in rules:
        found.setdefault(rule.label(conventions.PROFILE), []).append(rule)
    return found


def successors(old: Mapping[str, Sequence[Rule]], new: Mapping[str, Sequence[Rule]]) -> dict[str, str]:
    """The new name of every profile that is still there: of one that is renamed, what mostly says the same."""
    found = {name: name for name in old if name in new}
    left = [name for name in old if name and name not in new]
    candidates = [name for name in new if name and name not in old]
    sketches = {
        (id(side), name): _sketch(name, side[name])
        for side, names in ((old, left), (new, candidates))
        for name in names
    }
    alike = sorted(
        (
            -sum((sketches[id(old), before] & sketches[id(new), after]).values())
            / max(len(old[before]), len(new[after])),
            before,
            after,
        )
        for before in left
        for after in candidates
    )
    for share, before, after in alike:
        if -share > 0.5 and before not in found and after not in found.values():
            found[before] = after
    return found


def _sketch(profile: str, rules: Iterable[Rule]) -> Counter[Hashable]:
    """What rules say but for the name of their profile."""
    return Counter((rule.name, relabelled(form(rule.expr), conventions.PROFILE, profile, "")) for rule in rules)


def of_profile(rules: Iterable[Rule], old: str, new: str) -> list[Rule]:
    """The rules with another name of their profile in their labels."""
    if old == new:
        return list(rules)
    return [
        replace(rule, labels=tuple((k, new if k == conventions.PROFILE else v) for k, v in rule.labels))
        for rule in rules
    ]


def match(old: Iterable[Rule], new: Iterable[Rule], form_of: Callable[[Rule], Hashable]) -> Matched:
    """Pairs the rules of one profile: those of one name first, then those that say the same under another name.

    `form_of` yields the form of an old rule's expression.
    """
    found = Matched()
    by_name: dict[tuple[bool, str], tuple[list[Rule], list[Rule]]] = {}
    for index, rules in enumerate((old, new)):
        for rule in rules:
            by_name.setdefault((rule.is_alert, rule.name), ([], []))[index].append(rule)
    for before, after in by_name.values():
        for key in _KEYS:
            _pair_by(key, before, after, found.pairs)
        found.removed += before
        found.added += after
    while _rename(found, form_of):
        pass
    return found


_KEYS: tuple[Callable[[Rule], Hashable], ...] = (
    lambda rule: (rule.labels, form(rule.expr)),
    lambda rule: rule.labels,
    lambda rule: tuple(pair for pair in rule.labels if pair[0] != conventions.SEVERITY),
    lambda rule: form(rule.expr),
    lambda _: (),
)


def _pair_by(key: Callable[[Rule], Hashable], before: list[Rule], after: list[Rule], pairs: list[Pair]) -> None:
    waiting: dict[Hashable, list[Rule]] = {}
    for rule in after:
        waiting.setdefault(key(rule), []).append(rule)
    for rule in list(before):
        if others := waiting.get(key(rule)):
            other = others.pop(0)
            pairs.append(Pair(rule, other))
            before.remove(rule)
            after.remove(other)


def _rename(found: Matched, form_of: Callable[[Rule], Hashable]) -> bool:
    """Pairs what says the same under another name, given the names that are known to be new; whether there was any."""
    some = False
    for old in list(found.removed):
        same = renamed(form_of(old), found.names)
        for new in found.added:
            like = old.is_alert == new.is_alert and _told(old) == _told(new)
            if like and (same == form(new.expr) or (not old.is_alert and _base(old.name) == _base(new.name))):
                found.pairs.append(Pair(old, new))
                found.removed.remove(old)
                found.added.remove(new)
                if not old.is_alert:
                    found.names[old.name] = new.name
                some = True
                break
    return some


def _told(rule: Rule) -> Hashable:
    return tuple(pair for pair in rule.labels if pair[0] != conventions.SEVERITY)


def _base(name: str) -> str:
    """The name of a recorded series without the window that it is measured over."""
    return _WINDOW.sub("", name)
