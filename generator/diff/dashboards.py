"""Dashboards, before and after -> which of them and of their panels come, go, and ask for something else."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from generator import conventions
from generator.diff.change import Change, Renames, shortly
from generator.diff.expressions import form
from generator.diff.read import Dashboard

# Panels by the name of a series that they read, each with the profiles whose series it asks for: none for those of any.
Readers = Mapping[str, Sequence[tuple[str, frozenset[str]]]]

# Queries have variables in them, which no parser of PromQL reads.
_SELECTOR = re.compile(r"(?<![\w:$\"])([a-zA-Z_:][\w:]*)(?:\{([^}]*)\})?")
_PROFILE = re.compile(rf'\b{conventions.PROFILE}=~?"([^"$]*)"')


def readers(given: Iterable[Dashboard]) -> Readers:
    """Which panels read which series."""
    found: dict[str, dict[tuple[str, frozenset[str]], None]] = {}
    for dashboard in given:
        for panel in dashboard.panels:
            for name, matchers in (selector for query in panel.queries for selector in _SELECTOR.findall(query)):
                asked = _PROFILE.search(matchers)
                profiles = frozenset(asked[1].split("|")) if asked else frozenset()
                found.setdefault(name, {})[f"panel {panel.title} of {dashboard.title}", profiles] = None
    return {name: list(panels) for name, panels in found.items()}


def dashboards(
    old: Sequence[Dashboard], new: Sequence[Dashboard], series_names: Mapping[str, str], heirs: Mapping[str, str]
) -> Iterator[Change]:
    """Dashboards and panels that come or go, and panels that ask for something else."""
    profile_names = {was: now for was, now in heirs.items() if was != now}
    called = Renames(profile_names)
    # Series may have new names in some profiles, and not in others.
    known_as = (called, Renames({**series_names, **profile_names}))

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
            panels = [_by_title(each) for each in (was, now)]
            for title in panels[0]:
                if title not in panels[1]:
                    yield Change("dashboard", "changed", "", now.title, f"panel {title} removed")
            for title in panels[1]:
                if title not in panels[0]:
                    yield Change("dashboard", "changed", "", now.title, f"panel {title} added")
            others = [
                title
                for title in panels[0]
                if title in panels[1] and not _same(panels[0][title], panels[1][title], known_as)
            ]
            if others:
                what = "panels show" if len(others) > 1 else "panel shows"
                says = f"{len(others)} {what} something else: {shortly(others)}"
                yield Change("dashboard", "changed", "", now.title, says)


def _by_title(dashboard: Dashboard) -> dict[str, tuple[str, ...]]:
    """The queries of each panel by its title, with a number where others before it have the same."""
    found: dict[str, tuple[str, ...]] = {}
    seen: Counter[str] = Counter()
    for panel in dashboard.panels:
        seen[panel.title] += 1
        number = f" #{seen[panel.title]}" if seen[panel.title] > 1 else ""
        found[panel.title + number] = panel.queries
    return found


def _same(before: Sequence[str], after: Sequence[str], known_as: Iterable[Renames]) -> bool:
    """Whether queries ask for the same, also under new names."""
    return any(list(map(form, after)) == [form(renames(query)) for query in before] for renames in known_as)
