"""What a profile or a fleet compiles to -> the files that its platforms take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from json.encoder import encode_basestring as quoted
from pathlib import PurePosixPath

from generator import conventions
from generator.findings import Finding
from generator.names import Piece
from generator.profile import Dashboards
from generator.rules import RuleSet
from generator.targets import kubernetes, text
from generator.targets.lowering import lowered


@dataclass(frozen=True, slots=True)
class RuleFiles:
    """The rule files of a profile, by their paths, and the names of their groups in the order of evaluation.

    `notes` say what the platform does otherwise, `findings` (all errors) what it cannot express.
    """

    files: Mapping[PurePosixPath, bytes]
    groups: tuple[str, ...]
    notes: tuple[str, ...]
    findings: tuple[Finding, ...]


def rule_files(rule_set: RuleSet) -> RuleFiles:
    """The rules of a profile in files as its target takes them."""
    profile, filled = rule_set.profile, rule_set.names.filled
    target, header = profile.target, text.header(profile).encode()
    found = lowered(rule_set, lambda rule: len(filled([Piece.of(text.rule_yaml(rule))])))
    groups = map(text.group_yaml, found.groups)
    files = {}
    if target.platform.kind is None:
        namespace = f"namespace: {quoted(profile.name)}\n" if target.platform.names_file else ""
        files[conventions.rules_file(profile.name)] = header + filled([Piece.of(f"{namespace}groups:\n"), *groups])
    else:
        written = [filled([group]).decode() for group in groups]
        for number, part in enumerate(_filled(written, target.platform.most_bytes), 1):
            name = conventions.resource_name(profile.name, *([str(number)] if number > 1 else []))
            resource = kubernetes.rules(target, name, "".join(["groups:\n", *part]))
            files[conventions.rules_file(profile.name, number)] = header + resource.encode()
    notes = found.notes
    if len(files) > 1:
        size = target.platform.most_bytes // 1024
        notes += (f"the rules are in {len(files)} resources, each below {size} KiB",)
    return RuleFiles(files, tuple(group.name for group in found.groups), notes, found.findings)


def _filled(groups: list[str], most: int) -> list[list[str]]:
    """The groups, in order, in files of at most so many bytes; an eighth of them is left for what comes around."""
    files: list[list[str]] = []
    room = 0
    for group in groups:
        size = len(group.encode())
        if size > room:
            files.append([])
            room = most * 7 // 8
        files[-1].append(group)
        room -= size
    return files


@dataclass(frozen=True, slots=True)
class DashboardFiles:
    """Dashboards in the form that the profile asks for, and what there is to say about it."""

    files: Mapping[PurePosixPath, bytes]
    notes: tuple[str, ...]
    findings: tuple[Finding, ...]


def dashboard_files(
    header: str, rule_set: RuleSet, written: Dashboards, documents: Mapping[PurePosixPath, bytes]
) -> DashboardFiles:
    """The dashboards, given as JSON by their paths, as the profile wants them; findings are placed in its file."""
    found = kubernetes.dashboards(header, written, documents)
    most = written.format.most_bytes // 1024
    findings = [
        rule_set.profile.document.finding(
            ("dashboards",),
            f"{name} would take {size // 1024} KiB, and a {written.format.name} holds {most} KiB",
            "write dashboards: json, or give fewer collections thresholds of their own",
        )
        for name, size in found.too_big
    ]
    return DashboardFiles(found.files, found.notes, tuple(findings))
