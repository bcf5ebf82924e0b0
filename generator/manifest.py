"""What was built from a profile, and how: a summary for people and for tools.

`MANIFEST.json` lists the files of a profile (which makes them Thresher's to replace and to remove), where each
threshold is measured, what was left out or replaced, and why, and the scenarios that prove the rules, if they are
tested.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import PurePosixPath
from typing import Any

from generator import __version__
from generator.conventions import without_level
from generator.output import sha256
from generator.profile import Objective, Profile
from generator.rules import Group, Remark, RuleSet
from generator.thresholds import PlacedScope


def manifest(
    profile: Profile,
    rule_set: RuleSet,
    files: Mapping[PurePosixPath, bytes],
    of_panels: tuple[Remark, ...],
    notes: tuple[str, ...],
) -> str:
    """The manifest of one profile; `files` are by their paths in the output, `of_panels` what dashboards leave out.

    `notes` say what is different on the platform that evaluates the rules.
    """
    remarks = rule_set.remarks
    alerts = sum(rule.is_alert for rule in rule_set.rules)
    content = {
        "thresher": __version__,
        "profile": profile.name,
        "sha256": profile.digest,
        "milvus": rule_set.release.name,
        **({"milvus_unsure": rule_set.release.unsure} if rule_set.release.unsure else {}),
        "target": profile.target.platform.name,
        **({"notes": list(notes)} if notes else {}),
        "selector": {label: list(values) for label, values in profile.selector},
        "identity": list(profile.identity),
        **({"deployments": [_deployment(each) for each in profile.deployments]} if profile.deployments else {}),
        "thresholds": [_thresholds(scope) for scope in rule_set.scopes],
        **({"objectives": [_objective(each) for each in profile.objectives]} if profile.objectives else {}),
        "left_out": [{"rule": each.rule, "why": each.why} for each in remarks if not each.instead],
        "panels_left_out": [{"panel": each.rule, "why": each.why} for each in of_panels],
        "replaced": [{"rule": each.rule, "by": each.instead, "why": each.why} for each in remarks if each.instead],
    }
    counted = {
        "rules": len(rule_set.rules) - alerts,
        "alerts": alerts,
        "files": _hashes(profile.name, files),
    }
    proof = [_proof(rule_set.groups)] if "tests" in profile.outputs else []
    return _object(*_lines(content), *proof, *_lines(counted))


def fleet_manifest(
    fleet: str, rule_sets: Sequence[RuleSet], files: Mapping[PurePosixPath, bytes], of_panels: tuple[Remark, ...]
) -> str:
    """The manifest of what belongs to a fleet as a whole; each of its rule sets has its own."""
    content = {
        "thresher": __version__,
        "profile": fleet,
        "rule_sets": [rule_set.profile.name for rule_set in rule_sets],
        "panels_left_out": [{"panel": each.rule, "why": each.why} for each in of_panels],
        "files": _hashes(fleet, files),
    }
    return _object(*_lines(content))


def _hashes(profile: str, files: Mapping[PurePosixPath, bytes]) -> dict[str, str]:
    return dict(sorted((str(path)[len(profile) + 1 :], sha256(content)) for path, content in files.items()))


def _object(*lines: str) -> str:
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _lines(content: Mapping[str, Any]) -> Iterator[str]:
    """A line for each key: who compares two manifests sees what has changed."""
    yield from (f'  "{key}": {_json(value)}' for key, value in content.items())


_json = json.JSONEncoder(ensure_ascii=False).encode


def _objective(objective: Objective) -> dict[str, Any]:
    return {
        "tier": objective.tier,
        "ratio": str(objective.ratio),
        "period": str(objective.period),
        "operations": list(objective.operations),
    }


def _deployment(deployment: tuple[str, Any]) -> dict[str, Any]:
    milvus, selector = deployment
    return {
        "milvus": milvus,
        "selector": {label: values[0] if len(values) == 1 else list(values) for label, values in selector},
    }


def _proof(groups: Iterable[Group]) -> str:
    """Lines with the scenarios of each rule: what its tests must play, and what is not for this release or profile.

    Rules of one template that differ in their level only have them in common.
    """
    return _proof_of(tuple([_plays(group) for group in groups]))


# Of a rule: its name, its scenarios with whether they are played, and whether it fires without data.
_Plays = tuple[str, tuple[tuple[str, bool], ...], bool]


@lru_cache(maxsize=1024)
def _plays(group: Group) -> tuple[_Plays, ...]:
    """What the tests of the rules play; groups that differ in thresholds only play the same."""
    return tuple(
        (rule.name, tuple((each["name"], each["applies"]) for each in rule.scenarios), rule.template.fires_without_data)
        for rule in group.rules
    )


@lru_cache(maxsize=64)
def _proof_of(groups: tuple[tuple[_Plays, ...], ...]) -> str:
    played: dict[str, dict[str, bool]] = {}
    without_data = []
    for name, scenarios, fires_without_data in (plays for group in groups for plays in group):
        of_rule = played.setdefault(without_level(name), {})
        for scenario, applies in scenarios:
            of_rule[scenario] = applies or of_rule.get(scenario, False)
        if fires_without_data:
            without_data.append(name)
    content = {
        "scenarios": _named(played, wanted=True),
        "scenarios_left_out": _named(played, wanted=False),
        "fire_without_data": list(dict.fromkeys(without_data)),
    }
    return ",\n".join(_lines(content))


def _named(played: Mapping[str, Mapping[str, bool]], *, wanted: bool) -> dict[str, list[str]]:
    found = {rule: [name for name, each in of_rule.items() if each is wanted] for rule, of_rule in played.items()}
    return {rule: names for rule, names in found.items() if names}


def _thresholds(placed: PlacedScope) -> dict[str, Any]:
    span = placed.slow_queries
    return {
        "operations": list(placed.scope.operations),
        **({"collections": list(placed.scope.collections)} if placed.scope.collections else {}),
        "histogram": placed.scope.metric,
        **{
            each.name: {"threshold": str(each.threshold), "measured": each.in_words, "milliseconds": each.milliseconds}
            for each in placed.measured
        },
        **(
            {"slow_query_span": {"threshold": str(span.span), "measured": "counted by Milvus"}}
            if span.counted_by_milvus
            else {}
        ),
    }
