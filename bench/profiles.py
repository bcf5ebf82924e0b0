"""Profiles to compile: random, but the same in every run, and no two of them alike in what they ask for."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from generator import catalog

Content = dict[str, Any]

_Dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
_SEED = 20

# What people write: round numbers. Any value of one tier is at least twice any of the tier before it.
_ROUND = {
    "healthy": ("10ms", "20ms", "30ms", "50ms"),
    "investigate": ("100ms", "150ms", "200ms", "250ms", "300ms"),
    "slow": ("800ms", "1s", "1.5s", "2s"),
    "slow_query_span": ("5s", "8s", "10s", "15s", "30s"),
}
# Any millisecond in between; far enough apart for two tiers never to be measured at one bucket of any release.
_BETWEEN = {"healthy": (8, 45), "investigate": (91, 300), "slow": (800, 2_000), "slow_query_span": (5_500, 40_000)}

_QUANTILES = (0.9, 0.95, 0.99, 0.995, 0.999)
_FOR = ("2m", "5m", "10m", "15m", "30m")
_RELEASES = 12


@dataclass(frozen=True, slots=True)
class Kind:
    """A set of profiles. `releases` is how many Milvus releases they are on, None for all that are known."""

    name: str
    threshold: Callable[[random.Random, str], str]
    releases: int | None


def _rounded(rng: random.Random, tier: str) -> str:
    return rng.choice(_ROUND[tier])


def _any_millisecond(rng: random.Random, tier: str) -> str:
    return f"{rng.randint(*_BETWEEN[tier])}ms"


ROUND = Kind("round thresholds", _rounded, _RELEASES)
HARSH = Kind("any millisecond, any release", _any_millisecond, None)


def write(directory: Path, count: int, kind: Kind, **settings: object) -> None:
    """Writes that many profiles into the directory, one file each, with these settings in common."""
    directory.mkdir()
    for content in _distinct(count, kind):
        _write(directory / f"{content['name']}.yaml", content | settings)


def _distinct(count: int, kind: Kind) -> Iterator[Content]:
    """Profiles of which no two say the same, even if names and selectors are left out."""
    rng = random.Random(_SEED)  # noqa: S311 - no secret
    releases = rng.sample(catalog.releases(), kind.releases) if kind.releases else catalog.releases()
    seen: set[str] = set()
    while len(seen) < count:
        settings = _settings(rng, kind, releases)
        told = json.dumps(settings, sort_keys=True)
        if told in seen:
            continue
        seen.add(told)
        name = f"{rng.choice(('search', 'feed', 'ads', 'chat', 'photos'))}-{len(seen)}"
        selector = {"namespace": name, "app_kubernetes_io_instance": f"milvus-{rng.randrange(10**6)}"}
        yield {"version": 1, "name": name, "selector": selector, **settings}


def _settings(rng: random.Random, kind: Kind, releases: Sequence[str]) -> Content:
    def tiers() -> Content:
        return {tier: kind.threshold(rng, tier) for tier in _ROUND}

    def threshold_alert() -> Content:
        return {"for": rng.choice(_FOR), "quantile": rng.choice(_QUANTILES)}

    settings: Content = {
        "milvus": rng.choice(releases),
        "thresholds": tiers(),
        "labels": {"team": f"team-{rng.randrange(50)}", "cost_center": str(rng.randrange(1000))},
        "alerts": {
            "MilvusSearchLatencyInvestigate": threshold_alert(),
            "MilvusSearchLatencySlow": threshold_alert(),
            "MilvusRequestsFailing": {"threshold": f"{rng.randint(1, 10)}%"},
        },
    }
    if rng.random() < 0.5:
        settings["server_slow_query_span"] = settings["thresholds"]["slow_query_span"]
    if rng.random() < 0.2:
        settings["operations"] = {"query": {"thresholds": tiers()}}
    return settings


DEPLOYMENTS, _THRESHOLD_SETS, _FLEET_RELEASES = 1_000, ("100ms", "300ms", "600ms"), ("2.5.4", "2.6.19")
BEHAVIOURS = len(_THRESHOLD_SETS) * len(_FLEET_RELEASES)


def write_fleet(file: Path) -> None:
    """Writes a fleet file: deployments with namespaces of their own in a few clusters, and few behaviours."""
    rng = random.Random(_SEED)  # noqa: S311 - no secret
    deployments = [
        {
            "selector": {"cluster": rng.choice(("eu", "us", "asia")), "namespace": f"search-{number}"},
            "milvus": rng.choice(_FLEET_RELEASES),
            "thresholds": {"investigate": rng.choice(_THRESHOLD_SETS)},
        }
        for number in range(DEPLOYMENTS)
    ]
    _write(file, {"version": 1, "name": "fleet", "deployments": deployments})


def _write(path: Path, content: Content) -> None:
    with path.open("w", encoding="utf-8") as file:
        yaml.dump(content, file, _Dumper, sort_keys=False)
