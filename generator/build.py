"""Profile files -> the documents of each profile, one after the other: the compiler from end to end."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath

from generator import alertmanager, catalog, conventions, fleet, promtests, runbooks, source, targets, templates
from generator.dashboards.documents import documents, fleet_overview
from generator.findings import Finding
from generator.manifest import fleet_manifest, manifest
from generator.profile import Loader, Profile
from generator.profile.resolve import resolve
from generator.profile.schema import Schema, compose
from generator.rules import Remark, RuleSet, compile_profile
from generator.thresholds import place


@dataclass(frozen=True, slots=True)
class Built:
    """What one profile, or one rule set of a fleet, compiles to. Files are by their paths in the output directory.

    `remarks` are on panels of its dashboards; those on rules are the rule set's.
    """

    profile: Profile
    rule_set: RuleSet
    files: Mapping[PurePosixPath, bytes]
    remarks: tuple[Remark, ...]

    @property
    def name(self) -> str:
        return self.profile.name


@dataclass(frozen=True, slots=True)
class Overview:
    """What a fleet file compiles to beside its rule sets: a dashboard of all its deployments."""

    name: str
    files: Mapping[PurePosixPath, bytes]
    remarks: tuple[Remark, ...]


def _more_mistakes(profiles: Iterable[Profile]) -> Iterator[Finding]:
    """What later stages would refuse, of profiles that have mistakes already: one run reports them all."""
    profiles = tuple(profiles)
    for profile in profiles:
        findings = place(profile, catalog.release(profile.milvus)).findings
        yield from (finding for finding in findings if finding.severity == "error")
    yield from fleet.overlaps([profile for profile in profiles if profile.selector])


@cache
def schema() -> Schema:
    """The JSON Schema of profiles, with the settings of every alert. Treat it as read-only."""
    alerts = templates.load().alerts.values()
    return compose(
        {alert.name: (alert.says, alert.settings) for alert in alerts}, {alert.name: alert.evidence for alert in alerts}
    )


def loader() -> Loader:
    """A loader for one run: it remembers the names that are taken."""
    return Loader(schema(), {alert.name: alert.settings for alert in templates.load().alerts.values()})


def build(paths: Iterable[Path]) -> Iterator[Built | Overview | Finding]:
    """Compiles every profile file, in order; yields what there is to say about the inputs in between.

    Profiles are compiled one at a time and not kept, but for the rule sets of a fleet, which are few, so that memory
    does not grow with their number. After a
    finding that is an error, what was built before must not be used.
    Raises TemplateError when a rule template is wrong.
    """
    load = loader()
    taken: dict[str, str] = {}
    for path in paths:
        loaded = load.load(path)
        yield from loaded.findings
        profiles = loaded.profiles
        if not loaded.usable:
            yield from _more_mistakes(profiles)
            continue
        if loaded.fleet is not None:
            merged = fleet.merge(loaded.fleet, profiles, compile_rules)
            yield from merged.findings
            profiles = merged.profiles
        rule_sets: list[RuleSet] = []
        for profile in profiles:
            first = taken.setdefault(profile.name, loaded.file)
            if first != loaded.file:
                yield profile.document.finding(
                    ("name",), f"{profile.name} is also built from {first}", "choose another name"
                )
                continue
            built = build_profile(profile)
            if isinstance(built, tuple):
                yield from built
            else:
                yield from built.rule_set.findings
                yield built
                if loaded.fleet is not None:
                    rule_sets.append(built.rule_set)
        if loaded.fleet is not None and rule_sets:
            yield _overview(loaded.fleet, rule_sets)


def _overview(fleet: str, rule_sets: Sequence[RuleSet]) -> Overview:
    found = fleet_overview(fleet, rule_sets)
    manifest = fleet_manifest(fleet, rule_sets, found.files, found.remarks).encode()
    return Overview(fleet, {**found.files, conventions.manifest_file(fleet): manifest}, found.remarks)


def default_rules(milvus: str, settings: str = "") -> RuleSet:
    """What a profile with no settings of its own but these (lines of YAML) compiles to for a release."""
    text = f'version: 1\nname: default\nmilvus: "{milvus}"\nselector: {{namespace: milvus}}\n{settings}'
    document, _ = source.parse(text, "default")
    assert document is not None
    profile, _ = resolve(document, loader().defaults)
    assert profile is not None
    rule_set = compile_rules(profile)
    assert isinstance(rule_set, RuleSet)
    return rule_set


def compile_rules(profile: Profile) -> RuleSet | tuple[Finding, ...]:
    """The rules of one profile, or what keeps it from being compiled."""
    return compile_profile(profile, templates.load())


def build_profile(profile: Profile) -> Built | tuple[Finding, ...]:
    """Every document of one profile, or what keeps it from being compiled."""
    rule_set = compile_rules(profile)
    if isinstance(rule_set, tuple):
        return rule_set
    rules_file = conventions.rules_file(profile.name)
    filled = rule_set.names.filled
    header = targets.header(profile).encode()
    files = {
        rules_file: header + filled(targets.rules_yaml(rule_set)),
        conventions.alertmanager_file(profile.name): header + filled([alertmanager.config_yaml(rule_set)]),
    }
    for path, suite in zip(conventions.tests_files(profile.name), promtests.suites(rule_set), strict=False):
        files[path] = header + filled(targets.tests_yaml(suite, f"../rules/{rules_file.name}"))
    header = runbooks.header(profile).encode()
    for alert, page in runbooks.pages(rule_set):
        files[conventions.runbook_file(profile.name, alert)] = header + filled([page])
    dashboards = documents(rule_set)
    files |= dashboards.files
    files[conventions.manifest_file(profile.name)] = manifest(profile, rule_set, files, dashboards.remarks).encode()
    return Built(profile, rule_set, files, dashboards.remarks)
