"""Rule groups -> the groups that a platform evaluates, and what there is to say about the difference.

Most platforms take the groups as they are. Where a group may only have so many rules, it is split where nothing is
read across, as far as that goes; where the rules of a group do not see what others in it have recorded, they are
spread over layers that are evaluated one after the other.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import promql_parser

from generator import conventions
from generator.findings import Finding
from generator.platforms import METRICSQL
from generator.profile import Target, Texts
from generator.promql import tree
from generator.rules import Group, Rule, RuleSet
from generator.units import Duration

_CALLS = re.compile(rf"\b({'|'.join(METRICSQL)})\(")

# What a layer records is seen after this time, with `-search.latencyOffset=1s`; after 3 s it was not. Measured with
# VictoriaMetrics 1.145. Its default of 30 s lets every query look back so far.
_SEEN_AFTER = Duration.parse("5s")


@dataclass(frozen=True, eq=False)
class TargetGroup:
    """A group as a platform evaluates it. `settings` are what else the platform is told of it, as YAML."""

    name: str
    interval: Duration
    settings: Texts
    rules: tuple[Rule, ...]


@dataclass(frozen=True, slots=True)
class Lowered:
    """The groups of a rule set on its platform, in an order in which nothing is read before it is recorded.

    `notes` say what is different there, `findings` (all errors) what cannot be expressed.
    """

    groups: tuple[TargetGroup, ...]
    notes: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()


def lowered(rule_set: RuleSet, size: Callable[[Rule], int]) -> Lowered:
    """The rule set for the target of its profile. `size` is how many bytes a rule takes in a file."""
    target = rule_set.profile.target
    settings = _settings(target)
    groups = tuple([_whole(group, settings) for group in rule_set.groups if group.rules])
    if target.platform.evaluates == "apart":
        return _in_layers(groups)
    if target.most_rules:
        return _counted(rule_set, _split(groups, lambda _: 1, target.most_rules, f"{target.most_rules} rules"))
    if target.platform.most_bytes:
        # A file also has a head, and indents its content.
        most = target.platform.most_bytes * 7 // 8
        return _split(groups, size, most, f"{target.platform.most_bytes // 1024} KiB")
    return Lowered(groups)


@lru_cache(maxsize=1024)
def _whole(group: Group, settings: Texts) -> TargetGroup:
    return TargetGroup(group.name, group.interval, settings, group.rules)


@lru_cache(maxsize=64)
def _settings(target: Target) -> Texts:
    """What every group of the target is told."""
    said = {
        "query_offset": str(target.query_offset or ""),
        "partial_response_strategy": target.partial_response,
        "source_tenants": ", ".join(f'"{tenant}"' for tenant in target.source_tenants),
    }
    return tuple((key, f"[{value}]" if key == "source_tenants" else value) for key, value in said.items() if value)


def _counted(rule_set: RuleSet, lowered: Lowered) -> Lowered:
    """The same, or a finding when there are more groups than the platform takes."""
    most, count = rule_set.profile.target.most_groups, len(lowered.groups)
    if not most or count <= most:
        return lowered
    wrong = f"{count} groups, and a tenant may have {most}"
    right = (
        f"raise `ruler.max-rule-groups-per-tenant` of the tenant and write `max_groups: {count}`, raise "
        "`ruler.max-rules-per-rule-group` and write `max_rules_per_group`, or split the profile"
    )
    return replace(lowered, findings=(rule_set.profile.document.finding(("target",), wrong, right),))


def _split(groups: tuple[TargetGroup, ...], weight: Callable[[Rule], int], most: int, limit: str) -> Lowered:
    """The groups, those that are too heavy in parts; `limit` says in words how much a group may hold."""
    found: list[TargetGroup] = []
    notes: list[str] = []
    for group in groups:
        if sum(map(weight, group.rules)) <= most:
            found.append(group)
            continue
        parts = [
            replace(group, name=conventions.part_name(group.name, number), rules=rules)
            for number, rules in enumerate(split(group.rules, weight, most), 1)
        ]
        found += parts
        topic = group.name.partition(".")[2]
        notes.append(f"the group {topic} is in {len(parts)} parts: a group may have {limit}")
        notes += _late(parts)
    return Lowered(tuple(found), tuple(notes))


def _late(parts: Sequence[TargetGroup]) -> Iterator[str]:
    """What the parts of a group read of each other."""
    homes = [(part, rule) for part in parts for rule in part.rules]
    across: dict[str, list[str]] = {}
    for (part, _), read in zip(homes, reading([rule for _, rule in homes]), strict=True):
        for home, record in (homes[index] for index in sorted(read)):
            if home is not part:
                across.setdefault(record.name, []).append(part.name.partition(".")[2])
    for name, found in across.items():
        readers = list(dict.fromkeys(found))
        late = f"{name} up to one evaluation ({parts[0].interval}) late"
        yield f"{' and '.join(readers)} see{'s' * (len(readers) == 1)} {late}: another part records it"


def split(rules: Sequence[Rule], weight: Callable[[Rule], int], most: int) -> list[tuple[Rule, ...]]:
    """The rules in parts that weigh no more than `most`, each in the given order.

    What reads each other stays together. Where that is too much for one part, what most of it is derived from is
    taken out first, as if it came from elsewhere, and recorded no later than it is read.
    """
    reads = reading(rules)
    parts: list[list[int]] = []
    loads: list[int] = []
    home: dict[int, int] = {}
    for piece in _pieces(frozenset(range(len(rules))), reads, lambda index: weight(rules[index]), most):
        load = sum(weight(rules[index]) for index in piece)
        first = max((home[read] for index in piece for read in reads[index] if read in home), default=0)
        number = next((each for each in range(first, len(parts)) if loads[each] + load <= most), len(parts))
        if number == len(parts):
            parts.append([])
            loads.append(0)
        parts[number] += piece
        loads[number] += load
        home |= dict.fromkeys(piece, number)
    return [tuple(rules[index] for index in sorted(part)) for part in parts]


def _pieces(
    rules: frozenset[int], reads: Sequence[frozenset[int]], weight: Callable[[int], int], most: int
) -> Iterator[list[int]]:
    """What has to stay together, as far as it can; what is read before what reads it."""
    for piece in _connected(rules, reads):
        if len(piece) == 1 or sum(map(weight, piece)) <= most:
            yield sorted(piece)
            continue
        sources = [index for index in sorted(piece) if not reads[index] & piece]
        source = max(sources, key=lambda index: sum(index in reads[other] for other in piece))
        yield [source]
        yield from _pieces(piece - {source}, reads, weight, most)


def _connected(rules: frozenset[int], reads: Sequence[frozenset[int]]) -> list[frozenset[int]]:
    """The rules in sets of which none reads anything of another, in order of their first."""
    found: list[frozenset[int]] = []
    for index in sorted(rules):
        near = frozenset({index}) | (reads[index] & rules)
        touched = [each for each in found if each & near]
        found = [each for each in found if not each & near] + [near.union(*touched)]
    return sorted(found, key=min)


def _in_layers(groups: tuple[TargetGroup, ...]) -> Lowered:
    """Each group as one of alerts, and one of records for each layer; none reads what is recorded in its own layer."""
    rules = [rule for group in groups for rule in group.rules]
    depths: list[int] = []
    for read in reading(rules):
        depths.append(max((depths[index] for index in read), default=-1) + 1)
    depth_of = dict(zip(rules, depths, strict=True))
    found = []
    for group in groups:
        layers: dict[int | None, list[Rule]] = {}
        for rule in sorted(group.rules, key=lambda rule: (rule.is_alert, depth_of[rule])):
            layers.setdefault(None if rule.is_alert else depth_of[rule], []).append(rule)
        for layer, members in layers.items():
            # Where the layers take longer than a round, the later ones go on in the next.
            offset = (
                _SEEN_AFTER.times(max(depth_of[rule] for rule in members)).milliseconds % group.interval.milliseconds
            )
            name = conventions.layer_name(group.name, layer)
            found.append(
                TargetGroup(name, group.interval, (("eval_offset", str(Duration(offset))),), tuple(map(_own, members)))
            )
    return Lowered(tuple(found), tuple(_of_layers(rules, found, max(depths))))


@lru_cache(maxsize=4096)
def _own(rule: Rule) -> Rule:
    """The rule in MetricsQL."""
    expr = _CALLS.sub(lambda found: f"{METRICSQL[found[1]]}(", rule.expr)
    return rule if expr == rule.expr else replace(rule, expr=expr)


def _of_layers(rules: Sequence[Rule], groups: Sequence[TargetGroup], last: int) -> Iterator[str]:
    """What is different where rules are evaluated in layers, of which the last has this number."""
    yield (
        f"records and alerts are in {len(groups)} groups, in layers {_SEEN_AFTER} apart, as vmalert does not see what "
        f"a group has just recorded: what is derived last comes {_SEEN_AFTER.times(last)} after the first"
    )
    yield (
        "start VictoriaMetrics with -search.latencyOffset=1s: by default every query looks 30s back, and each layer "
        "adds that and up to one evaluation"
    )
    for function, own in METRICSQL.items():
        changed = dict.fromkeys(rule.name for rule in rules if re.search(rf"\b{function}\(", rule.expr))
        if changed:
            yield f"{function}() is {own}() in {', '.join(changed)}: MetricsQL counts otherwise"
    yield "vmalert adds the label alertgroup to every alert"


def reading(rules: Sequence[Rule]) -> list[frozenset[int]]:
    """For each rule, which of those before it record what it may read, by their numbers."""
    by_name: dict[str, list[int]] = {}
    found = []
    for number, rule in enumerate(rules):
        wanted = _wanted(rule)
        found.append(
            frozenset(
                index
                for name in rule.records
                for index in by_name.get(name, ())
                if any(_may_match(rules[index].labels, matchers) for matchers in wanted.get(name, ((),)))
            )
        )
        if not rule.is_alert:
            by_name.setdefault(rule.name, []).append(number)
    return found


@lru_cache(maxsize=4096)
def _wanted(rule: Rule) -> dict[str, tuple[tuple[tree.Matcher, ...], ...]]:
    """The matchers of each selector of the rule's expression, by the name of the series."""
    found: dict[str, list[tuple[tree.Matcher, ...]]] = {}
    nodes: list[Any] = [promql_parser.parse(rule.expr)]
    while nodes:
        node = nodes.pop()
        kind = type(node).__name__
        if kind in ("VectorSelector", "MatrixSelector"):
            inner = node.vector_selector if kind == "MatrixSelector" else node
            found.setdefault(inner.name, []).append(tuple(tree.matchers(inner)))
        elif kind == "SubqueryExpr":
            nodes.append(node.expr)
        else:
            nodes += tree.parts(node)
    return {name: tuple(selectors) for name, selectors in found.items()}


def _may_match(labels: Texts, matchers: tuple[tree.Matcher, ...]) -> bool:
    """Whether series with these labels, and others that are not known, may be selected."""
    own = dict(labels)
    return not any(
        (operator == "=" and own.get(label, value) != value) or (operator == "!=" and own.get(label) == value)
        for label, operator, value in matchers
    )
