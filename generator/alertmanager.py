"""Rule sets -> what Alertmanager is to do with their alerts: which of them mute which, and how to route them.

A notification should say what a person does not know yet. During an outage nobody needs to hear that searches are slow,
nor, while they are slow, that they are worth investigating. What is muted can still be seen in Alertmanager.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from json.encoder import encode_basestring_ascii as text

from generator.context import FUNCTION_NAMES
from generator.conventions import OBJECTIVE, OWN_LABELS, PROFILE, SEVERITY, TIER
from generator.names import Piece
from generator.rules import Group, Rule, RuleSet

OUTAGE, TIER_OF_OBJECTIVES = "outage", "objective"
# What a tier says already: alerts of these tiers on the same requests add nothing to it.
IMPLIED: Mapping[str, tuple[str, ...]] = {"slow": ("investigate", "slow_query_span", "spike")}
_SEVERITIES = ("info", "warning", "critical")

# Labels that Prometheus servers add to all their alerts. Two servers may run the same rules; to compare these labels
# as well keeps their deployments apart, and changes nothing where there are none: missing labels count as equal.
_EXTERNAL = ("cluster", "prometheus", "region")

_ABOUT = """\
# `inhibit_rules` are to be taken over as they are; `route` and `receivers` show how to route the alerts.
# For Alertmanager 0.22 and later: `amtool check-config` checks this file, docs/alertmanager.md explains it.
"""


@dataclass(frozen=True, slots=True)
class Inhibition:
    """While an alert that `source` matches fires, those that `target` matches and that agree in `equal` are muted."""

    why: str
    source: tuple[str, ...]
    target: tuple[str, ...]
    equal: tuple[str, ...]


def config_yaml(rule_set: RuleSet) -> Piece:
    """A configuration of Alertmanager for the alerts of one profile, without its header.

    Like the texts of rules, it has placeholders for what the names of the rule set put back.
    """
    return _config(rule_set.groups, rule_set.profile.identity, rule_set.profile.operations)


@lru_cache(maxsize=256)
def _config(groups: tuple[Group, ...], identity: tuple[str, ...], operations: tuple[str, ...]) -> Piece:
    alerts = [rule for group in groups for rule in group.rules if rule.is_alert]
    if not alerts:
        return Piece.of(_ABOUT + 'route: {receiver: "chat"}\nreceivers: [{name: "chat"}]\n')
    profile = dict(alerts[0].labels)[PROFILE]
    same = _unique([*identity, *_EXTERNAL])
    rules = list(inhibitions(alerts, profile, identity, operations))
    lines = [
        "route:",
        '  receiver: "chat"',
        "  # One notification for each deployment: symptoms, and the causes that explain them.",
        f"  group_by: {_flow([PROFILE, *same])}",
        "  routes:",
        f"    - matchers: {_flow([_is(PROFILE, profile), _is(SEVERITY, 'critical')])}",
        '      receiver: "pager"',
        "      continue: true",
        f"    - matchers: {_flow([_is(PROFILE, profile)])}",
        '      receiver: "chat"',
        "receivers:",
        '  - name: "chat"',
        '  - name: "pager"',
        *(["inhibit_rules:"] if rules else []),
    ]
    for rule in rules:
        lines += [
            f"  # {rule.why}",
            f"  - source_matchers: {_flow(rule.source)}",
            f"    target_matchers: {_flow(rule.target)}",
            f"    equal: {_flow(rule.equal)}",
        ]
    return Piece.of(_ABOUT + "\n".join(lines) + "\n")


def inhibitions(
    alerts: Sequence[Rule], profile: str, identity: Sequence[str], operations: Iterable[str]
) -> Iterator[Inhibition]:
    """What mutes what among the alerts of a profile; never more severe alerts, nor those of another deployment.

    Everything follows from the labels of the alerts, so that alerts which come later are covered as well.
    """
    # Where an alert does not tell its deployment, it could be any; missing labels count as equal.
    of_deployment = (_is(PROFILE, profile), *(f'{label}!=""' for label in identity))
    same = _unique([*identity, *_EXTERNAL])

    outages = [rule for rule in alerts if _label(rule, TIER) == OUTAGE and _label(rule, SEVERITY) == "critical"]
    outage = (_is(PROFILE, profile), _is(TIER, OUTAGE), _is(SEVERITY, "critical"))
    others = (*of_deployment, f'{TIER}!="{OUTAGE}"')
    if any("function_name" not in rule.result.labels for rule in outages):
        why = "An outage mutes all else that is said of the deployment."
        yield Inhibition(why, (*outage, 'function_name=""'), others, same)
    if any("function_name" in rule.result.labels for rule in outages):
        for operation in operations:
            why = f"An outage of one kind of request mutes what else is said of {operation} requests."
            source = (*outage, _is("function_name", FUNCTION_NAMES[operation]))
            yield Inhibition(why, source, (*others, _is("query_type", operation)), same)

    budget = (_is(PROFILE, profile), _is(TIER, TIER_OF_OBJECTIVES))
    burns = {_label(rule, SEVERITY): rule for rule in alerts if _label(rule, TIER) == TIER_OF_OBJECTIVES}
    if {"critical", "warning"} <= burns.keys():
        labels = sorted(burns["critical"].result.labels - OWN_LABELS)
        yield Inhibition(
            "While an error budget burns fast, nobody needs to hear that it burns.",
            (*budget, _is(SEVERITY, "critical")),
            (*of_deployment, _is(TIER, TIER_OF_OBJECTIVES), _is(SEVERITY, "warning")),
            _unique([*same, *labels, OBJECTIVE]),
        )
    for tier, implied in IMPLIED.items():
        sources = [rule for rule in alerts if _label(rule, TIER) == tier]
        targets = [
            rule
            for rule in alerts
            if _label(rule, TIER) in implied and all(_severity(rule) <= _severity(source) for source in sources)
        ]
        if sources and targets:
            tiers = sorted({_label(rule, TIER) for rule in targets})
            labels = sorted({label for rule in (*sources, *targets) for label in rule.result.labels} - OWN_LABELS)
            yield Inhibition(
                f"While the tier {tier} fires, milder alerts on the same requests say nothing new.",
                (_is(PROFILE, profile), _is(TIER, tier)),
                (*of_deployment, f'{TIER}=~"{"|".join(tiers)}"'),
                _unique([*same, *labels]),
            )


def _label(rule: Rule, name: str) -> str:
    return dict(rule.labels).get(name, "")


def _severity(rule: Rule) -> int:
    return _SEVERITIES.index(_label(rule, SEVERITY))


def _unique(labels: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(labels))


def _is(label: str, value: str) -> str:
    return f'{label}="{value}"'


def _flow(texts: Iterable[str]) -> str:
    """A list in one line; matchers are quoted as they hold quotes themselves."""
    return "[" + ", ".join(f"'{each}'" if '"' in each else text(each) for each in texts) + "]"
