"""Changes as lines for people, and as Markdown for a comment on a pull request."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from generator.diff.change import Change, shortly

_CALLED = {"alert": "alerts", "profile": "profiles", "series": "recorded series", "dashboard": "dashboards"}
_KINDS = ("added", "removed", "renamed", "changed")

# From so many changes of one kind on, alerts, panels, and series that nobody misses share a line.
_TOGETHER = 4
# So many alerts are named in a line.
_IN_A_LINE = 50
# GitHub takes comments of 65,536 characters, GitLab longer ones.
_LONGEST = 60_000
_PANEL = re.compile(r"panel (.*) (added|removed)", re.DOTALL)


def verdict(changes: Sequence[Change]) -> str:
    """How many of what changes: `alerts: 1 added, 2 changed; dashboards: 1 changed`."""
    if not changes:
        return "nothing changes for the people on call"
    counts = []
    for about, called in _CALLED.items():
        own = {kind: {(c.profile, c.name) for c in changes if (c.about, c.kind) == (about, kind)} for kind in _KINDS}
        if any(own.values()):
            counts.append(f"{called}: " + ", ".join(f"{len(each)} {kind}" for kind, each in own.items() if each))
    return "; ".join(counts)


def text(changes: Iterable[Change]) -> Iterator[str]:
    """A line for each change; what is the same in several profiles is said once."""
    for change in _together(changes):
        yield f"{_subject(change)}: {_said(change)}" + (f": {change.effect}" if change.effect else "")


def markdown(changes: Sequence[Change]) -> str:
    """All changes as Markdown, within what a comment may hold: alerts first, series and dashboards folded."""
    lines = [f"### Monitoring: {_plain(verdict(changes))}"]
    together = list(_together(changes))
    for folded, kinds in ((False, ("profile", "alert")), (True, ("series",)), (True, ("dashboard",))):
        items = [_item(change) for change in together if change.about in kinds]
        if not items:
            continue
        if folded:
            lines += ["", f"<details><summary>{_CALLED[kinds[0]].capitalize()}</summary>", "", *items, "", "</details>"]
        else:
            lines += ["", *items]
    return _cut(lines)


def _item(change: Change) -> str:
    subject = _subject(replace(change, profile="") if change.name else change).removeprefix("dashboard ")
    profiles = f" {_plain(change.profile)}" if change.profile and change.about in ("alert", "series") else ""
    effect = f": **{_plain(change.effect)}**" if change.effect else ""
    return f"- `{subject.replace('`', '´')}`{profiles}: {_plain(_said(change))}{effect}"


def _plain(text: str) -> str:
    """Text that Markdown shows as it is: no markup, no HTML, nobody notified."""
    text = re.sub(r"([\\`*_{}\[\]|#~])", r"\\\1", " ".join(text.split()))
    return text.replace("&", "&amp;").replace("<", "&lt;").replace("@", "&#64;")


def _cut(lines: Sequence[str]) -> str:
    """The lines that fit, each whole, and how many do not."""
    size = 0
    kept: list[str] = []
    for number, line in enumerate(lines):
        size += len(line) + 1
        if size > _LONGEST:
            open_ = sum(each.startswith("<details>") for each in kept) - kept.count("</details>")
            return "\n".join(
                [*kept, *["", "</details>"] * open_, "", f"{len(lines) - number} more lines are left out."]
            )
        kept.append(line)
    return "\n".join(kept)


def _subject(change: Change) -> str:
    if change.about == "profile":
        return change.name or change.profile or "rules without a profile"
    if change.about == "dashboard":
        return f"dashboard {change.name}"
    return f"{change.name} {change.profile}".rstrip()


def _said(change: Change) -> str:
    readers = f"; read by {shortly(change.read_by)}" if change.read_by and not change.effect else ""
    return change.says + readers


def _together(changes: Iterable[Change]) -> Iterator[Change]:
    """Changes with the profiles that have them in common, and series that come, go or are renamed, in one."""
    shared: dict[Change, list[Change]] = {}
    for change in changes:
        # Who reads a series differs from profile to profile: their dashboards have their names.
        subject = (
            ""
            if change.about == "dashboard" or (change.about == "profile" and change.kind != "renamed")
            else change.name
        )
        shared.setdefault(replace(change, profile="", name=subject, read_by=()), []).append(change)
    alike: dict[tuple[str, ...], list[Change]] = {}
    for alone in shared.values():
        profiles = shortly(list(dict.fromkeys(change.profile for change in alone)))
        names = shortly(list(dict.fromkeys(change.name for change in alone)))
        common = [reader for reader in alone[0].read_by if all(reader in change.read_by for change in alone)]
        first = alone[0] if len(alone) == 1 else replace(alone[0], read_by=tuple(common))
        each = replace(first, profile=profiles, name=names if first.about in ("dashboard", "profile") else first.name)
        alike.setdefault(_likeness(each) or (str(len(alike)),), []).append(each)
    for own in alike.values():
        if len(own) < _TOGETHER:
            yield from own
        else:
            size = _IN_A_LINE if own[0].about == "alert" else len(own)
            yield from (_as_one(own[start : start + size]) for start in range(0, len(own), size))


def _likeness(change: Change) -> tuple[str, ...]:
    """What changes have in common that can share a line; empty for a change that stands alone."""
    panel = _PANEL.fullmatch(change.says)
    if change.about == "series" and not change.effect and change.kind != "changed":
        return ("series", change.kind, change.profile)
    if change.about == "alert" and change.kind == "changed":
        return ("alert", change.profile, _of_any_alert(change), change.effect)
    if change.about == "dashboard" and panel:
        return ("panel", change.name, panel[2])
    return ()


def _as_one(changes: Sequence[Change]) -> Change:
    """One change in the place of several that are alike."""
    first, called = changes[0], f"{len(changes)} recorded series"
    if first.about == "alert":
        names = ", ".join(dict.fromkeys(change.name for change in changes))
        return replace(first, name=names, says=_of_any_alert(first))
    if first.about == "dashboard":
        panels = [found for change in changes if (found := _PANEL.fullmatch(change.says))]
        titles = shortly([found[1] for found in panels])
        return replace(first, says=f"{len(panels)} panels {panels[0][2]}: {titles}")
    names = shortly([f"{c.name} -> {c.says.split()[2]}" if c.kind == "renamed" else c.name for c in changes])
    return Change("series", first.kind, first.profile, called, f"{first.kind}: {names}")


def _of_any_alert(change: Change) -> str:
    """What is said of an alert, with an ellipsis in the place of its name: in a link, say."""
    return change.says.replace(change.name.partition("{")[0], "…")
