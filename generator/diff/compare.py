"""Two versions -> what changes for the people on call: which alerts come, go, fire later or earlier, and for whom."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from generator import conventions
from generator.diff.change import Change, Kind, listed
from generator.diff.dashboards import dashboards, readers
from generator.diff.match import owners, successors
from generator.diff.read import Rule, Version
from generator.diff.rules import Rules


def compare(old: Version, new: Version) -> tuple[Change, ...]:
    """Everything that differs, alerts first."""
    before, after = owners(old.rules), owners(new.rules)
    before.setdefault("", []), after.setdefault("", [])
    heirs = successors(before, after)
    gone, come = before.keys() - heirs.keys(), after.keys() - set(heirs.values())
    found = [
        *(_whole(profile, before[profile], "removed", _left_alone(profile, old, new)) for profile in sorted(gone)),
        *(_whole(profile, after[profile], "added") for profile in sorted(come)),
    ]
    series_names: dict[str, str] = {}
    panels = readers(new.dashboards)
    for was, now in sorted(heirs.items()):
        if was != now:
            found.append(Change("profile", "renamed", now, was, f"is called {now} now"))
        work = Rules(was, now, before[was], after[now], old, new, panels)
        found += work.changes()
        series_names |= work.matched.names
    found += _moves(old, new, heirs)
    found += _inhibitions(old, new, heirs)
    found += dashboards(old.dashboards, new.dashboards, series_names, heirs)
    order = ("profile", "alert", "series", "dashboard")
    return tuple(sorted(dict.fromkeys(found), key=lambda change: order.index(change.about)))


def _whole(profile: str, rules: Sequence[Rule], kind: Kind, effect: str = "") -> Change:
    """A profile that comes or goes with all its alerts."""
    alerts = [rule for rule in rules if rule.is_alert]
    counts = Counter(rule.label(conventions.SEVERITY) or "without severity" for rule in alerts)
    listing = ", ".join(f"{count} {severity}" for severity, count in counts.items())
    return Change("profile", kind, profile, profile, f"{kind}, {len(alerts)} alerts ({listing})", effect)


def _left_alone(profile: str, old: Version, new: Version) -> str:
    """Which deployments of a profile that is gone are watched no longer, in words."""
    after = _deployments(new.manifests, {})
    own = _deployments({profile: old.manifests[profile]}, {}) if profile in old.manifests else {}
    alone = [each for each in own if each not in after]
    if not own or len(alone) == len(own):
        return "nobody is told any more of these deployments"
    if alone:
        return f"nobody is told any more of {' and '.join(alone)}"
    return f"its deployments are covered by {' and '.join(dict.fromkeys(after[each] for each in own))} now"


def _deployments(manifests: Mapping[str, Any], called: Mapping[str, str]) -> dict[str, str]:
    """The profile, by its new name, that watches each deployment of a fleet."""
    return {
        ", ".join(
            f"{label}={listed([value] if isinstance(value, str) else value)}"
            for label, value in each["selector"].items()
        ): called.get(profile, profile)
        for profile, manifest in manifests.items()
        for each in manifest.get("deployments", ())
    }


def _moves(old: Version, new: Version, heirs: Mapping[str, str]) -> Iterator[Change]:
    """Deployments of fleets that are watched no longer, watched now, or watched by other rules."""
    before, after = _deployments(old.manifests, heirs), _deployments(new.manifests, {})
    for each in sorted(before.keys() | after.keys()):
        was, now = before.get(each), after.get(each)
        if was == now or (now is None and was not in new.manifests) or (was is None and now not in heirs.values()):
            continue  # a profile that comes or goes as a whole says so itself
        if now is None:
            effect = "covers fewer deployments now"
            yield Change("profile", "changed", str(was), str(was), f"no longer covers {each}", effect)
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
    found = before.keys() | after.keys()
    if old.rules and new.rules:  # of profiles that come or go, that is said
        found &= {*heirs.values(), *(before.keys() & after.keys())}
    for profile in sorted(found):
        gone, come = (
            len(one.get(profile, set()) - other.get(profile, set()))
            for one, other in ((before, after), (after, before))
        )
        counts = [f"{count} {word}" for count, word in ((come, "added"), (gone, "removed")) if count]
        if counts:
            says = f"inhibition rules: {', '.join(counts)}"
            yield Change("profile", "changed", profile, profile, says, "other alerts are muted")
