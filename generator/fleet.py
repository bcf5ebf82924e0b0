"""Deployments of a fleet file -> the rule sets that they share.

Rules grow with distinct behaviour, not with deployments: those that compile to the same rules are served by one
rule set, whose selector matches all of them, and whose results are told apart by the identity labels. A merged
selector must not match a deployment of another rule set; where it would, the deployments are kept apart.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from generator import catalog
from generator.findings import Finding, has_errors
from generator.profile import Profile, Selector
from generator.rules import Rule, RuleSet

Compile = Callable[[Profile], RuleSet | tuple[Finding, ...]]

# Rule sets that one fleet file may need; one for each collection with thresholds of its own counts like another.
MAX_RULE_SETS = 1_000

# What matters of a selector is which labels it has. Most rule sets select several deployments: then they are compiled
# for these names already.
_ANY, _SEVERAL = ("any",), ("one", "another", "more")


@dataclass(frozen=True, slots=True)
class Merged:
    """The rule sets of a fleet, as profiles; none when the findings hold an error."""

    profiles: tuple[Profile, ...]
    findings: tuple[Finding, ...]


def merge(fleet: str, deployments: Sequence[Profile], compile_profile: Compile) -> Merged:
    """Groups the deployments of a fleet file into the fewest rule sets that are safe."""
    findings = list(overlaps(deployments))
    if has_errors(findings):
        return Merged((), tuple(findings))
    like: dict[object, list[Profile]] = {}
    for profile in deployments:
        key = (profile.digest, profile.milvus, tuple(sorted(dict(profile.selector))), profile.identity)
        like.setdefault(key, []).append(profile)
    if sum(max(len(members[0].collections), 1) for members in like.values()) > MAX_RULE_SETS:
        return Merged((), (_too_many(deployments[0]),))
    alike: dict[object, list[Profile]] = {}
    for members in like.values():
        compiled = compile_profile(_nameless(members[0]))
        if isinstance(compiled, tuple):
            findings += compiled
        else:
            findings += compiled.findings
            alike.setdefault(_signature(compiled), []).extend(members)
    if has_errors(findings):
        return Merged((), tuple(findings))
    sets: dict[str, Profile] = {}
    kinds = _by_labels(deployments)
    for members in alike.values():
        for part in _parts(members):
            pieces, conflict = _apart(part, kinds)
            if len(sets) + len(pieces) > MAX_RULE_SETS:
                return Merged((), (_too_many(deployments[0]),))
            if conflict:
                wrong = f"{len(part)} deployments with the same rules need {len(pieces)} rule sets"
                right = f"one selector for all of them might match {_in_words(conflict.selector)} too"
                findings.append(replace(part[0].document.finding(("selector",), wrong, right), severity="note"))
            for shared, piece in pieces:
                merged = _merged(fleet, piece, shared)
                if merged.name in sets:
                    merged = replace(merged, name=f"{merged.name}-{_hash(repr(merged.selector))}")
                sets[merged.name] = merged
    return Merged(tuple(sets.values()), tuple(dict.fromkeys(findings)))


def _too_many(profile: Profile) -> Finding:
    """The finding that no file of so many behaviours is compiled; `profile` is any of its deployments."""
    wrong = f"the deployments need more than {MAX_RULE_SETS} rule sets"
    right = "let more of them have the same settings and identity labels, or split the file"
    return Finding("error", profile.document.file, 0, 0, "deployments", wrong, right)


def _nameless(profile: Profile) -> Profile:
    """The profile without what tells it from a deployment of the same behaviour."""
    labels = sorted(label for label, _ in profile.selector)
    selector = tuple((label, _SEVERAL if label in profile.identity else _ANY) for label in labels)
    return replace(profile, name="fleet", selector=selector)


def _signature(rule_set: RuleSet) -> object:
    """What two rule sets must have in common to be one."""
    groups = tuple((group.interval, tuple(map(_of_rule, group.rules))) for group in rule_set.groups)
    return groups, tuple(rule_set.names.texts), rule_set.profile.identity


def _of_rule(rule: Rule) -> object:
    return rule.name, rule.expr, rule.labels, rule.annotations, rule.for_, rule.keep_firing_for


def overlaps(deployments: Sequence[Profile]) -> Iterable[Finding]:
    """Deployments whose selectors match the same series, or may do so for all that the file says: one finding each."""
    kinds: dict[frozenset[str], _Kind] = {}
    for profile in deployments:
        labels = frozenset(label for label, _ in profile.selector)
        if labels not in kinds and len(kinds) == _MOST_KINDS:
            wrong = f"deployments are selected by more than {_MOST_KINDS} different sets of labels"
            yield profile.document.finding(("selector",), wrong, "select all deployments by the same labels")
            return
        own = kinds.setdefault(labels, _Kind())
        if first := own.meeting(profile.selector):
            at = first.document.position(("selector",))
            wrong = f"selects the same series as the deployment in line {at.line}"
            yield profile.document.finding(("selector",), wrong, "give each deployment a selector of its own")
        elif other := next(
            (other for other in kinds if other != labels and kinds[other].meeting(profile.selector)), None
        ):
            wrong = "may select the same series as a deployment that is selected by other labels"
            right = f"select all deployments by the same labels: {', '.join(sorted(labels | other))}"
            yield profile.document.finding(("selector",), wrong, right)
        own.add(profile)


_MOST_KINDS = 20


class _Kind:
    """Deployments that are selected by the same labels, to be found by what they select."""

    def __init__(self) -> None:
        self._members: list[Profile] = []
        self._with: dict[tuple[str, str], list[Profile]] = {}

    def add(self, profile: Profile) -> None:
        self._members.append(profile)
        for label, values in profile.selector:
            for value in values:
                self._with.setdefault((label, value), []).append(profile)

    def meeting(self, selector: Selector, besides: frozenset[int] = frozenset()) -> Profile | None:
        """A member that may select a series which the selector selects too: each label of both has a value of both.

        `besides` are the identities of members that do not count.
        """
        if not self._members:
            return None
        shared = {label for label, _ in self._members[0].selector}
        wanted = {label: set(values) for label, values in selector if label in shared}
        if not wanted:
            return next((member for member in self._members if id(member) not in besides), None)

        def candidates(label: str) -> list[list[Profile]]:
            return [self._with.get((label, value), []) for value in wanted[label]]

        rarest = min(wanted, key=lambda label: sum(map(len, candidates(label))))
        return next(
            (
                member
                for members in candidates(rarest)
                for member in members
                if id(member) not in besides
                and all(wanted[label] & set(values) for label, values in member.selector if label in wanted)
            ),
            None,
        )


def _by_labels(deployments: Iterable[Profile]) -> tuple[_Kind, ...]:
    """The deployments by the labels that select them."""
    kinds: dict[frozenset[str], _Kind] = {}
    for profile in deployments:
        kinds.setdefault(frozenset(label for label, _ in profile.selector), _Kind()).add(profile)
    return tuple(kinds.values())


def _parts(members: list[Profile]) -> Iterable[list[Profile]]:
    """Deployments that differ in identity labels only: others would be added up in one result."""
    parts: dict[object, list[Profile]] = {}
    for member in members:
        parts.setdefault(tuple(pair for pair in member.selector if pair[0] not in member.identity), []).append(member)
    return parts.values()


def _apart(part: list[Profile], kinds: Iterable[_Kind]) -> tuple[list[tuple[Selector, list[Profile]]], Profile | None]:
    """The part as it is, or split until no piece matches another deployment, which is named then.

    Each piece comes with the labels that its members share and the other pieces do not have.
    """
    mine = frozenset(map(id, part))
    merged = _union(part)
    conflict = next((found for kind in kinds if (found := kind.meeting(merged, mine))), None)
    if conflict is None:
        return [((), part)], None
    # Pieces that differ in a single label select exactly their members.
    free = max((label for label, _ in part[0].selector), key=lambda label: len({dict(p.selector)[label] for p in part}))
    pieces: dict[Selector, list[Profile]] = {}
    for member in part:
        pieces.setdefault(tuple(sorted(pair for pair in member.selector if pair[0] != free)), []).append(member)
    return list(pieces.items()), conflict


def _union(part: list[Profile]) -> Selector:
    values: Mapping[str, dict[str, None]] = {label: {} for label, _ in part[0].selector}
    for member in part:
        for label, texts in member.selector:
            values[label].update(dict.fromkeys(texts))
    return tuple((label, tuple(sorted(texts))) for label, texts in values.items())


def _merged(fleet: str, part: list[Profile], shared: Selector) -> Profile:
    """One profile for all of the part; `shared` are labels by which it was split from others with the same rules.

    Its name is part of every series and alert, so it should not change when other deployments come and go.
    """
    order = {name: index for index, name in enumerate(catalog.releases())}
    newest = max(part, key=lambda profile: order[profile.milvus])
    overrides = min(profile.overrides for profile in part)
    fixed = sorted({pair for pair in part[0].selector if pair[0] not in newest.identity} | set(shared))
    suffixes = [overrides[:6], _hash(repr(fixed)) if fixed else ""]
    name = "-".join([fleet, newest.milvus.replace(".", "-"), *filter(None, suffixes)])
    deployments = tuple(sorted((profile.milvus, tuple(sorted(profile.selector))) for profile in part))
    return replace(
        newest,
        name=name,
        selector=_union(part),
        deployments=deployments,
        digest=_hash(repr((sorted({profile.digest for profile in part}), deployments)), 64),
    )


def _hash(text: str, length: int = 6) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:length]


def _in_words(selector: Selector) -> str:
    return ", ".join(f"{label}={'|'.join(values)}" for label, values in selector)
