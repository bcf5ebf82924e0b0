"""Profile files -> the documents of each profile, one after the other: the compiler from end to end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path, PurePosixPath

from generator import alertmanager, catalog, conventions, fleet, promtests, runbooks, source, templates
from generator.dashboards.documents import Documents, Evidence, documents, fleet_overview
from generator.findings import Finding, has_errors
from generator.manifest import fleet_manifest, manifest
from generator.profile import Loader, Profile, Target
from generator.profile.resolve import resolve
from generator.profile.schema import Schema, compose
from generator.rules import Remark, RuleSet, compile_profile
from generator.targets import kubernetes, text
from generator.targets.files import RuleFiles, dashboard_files, rule_files
from generator.thresholds import place


@dataclass(frozen=True, slots=True)
class Built:
    """What one profile, or one rule set of a fleet, compiles to. Files are by their paths in the output directory.

    `remarks` are on the panels of dashboards; those on rules are the rule set's. `groups` is how many groups of rules
    its platform evaluates, `notes` say what that does otherwise.
    """

    profile: Profile
    rule_set: RuleSet
    files: Mapping[PurePosixPath, bytes]
    remarks: tuple[Remark, ...]
    groups: int
    notes: tuple[str, ...]

    @property
    def name(self) -> str:
        return self.profile.name


@dataclass(frozen=True, slots=True)
class Overview:
    """What a fleet file compiles to beside its rule sets: a dashboard of all its deployments.

    `dashboards` are as Grafana reads them, in whatever form the profile wants them.
    """

    name: str
    files: Mapping[PurePosixPath, bytes]
    dashboards: Mapping[PurePosixPath, bytes]
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


def loader(platform: str = "") -> Loader:
    """A loader for one run: it remembers the names that are taken. `platform` is the target of all profiles."""
    return Loader(schema(), {alert.name: alert.settings for alert in templates.load().alerts.values()}, platform)


def build(paths: Iterable[Path], platform: str = "") -> Iterator[Built | Overview | Finding]:
    """Compiles every profile file, in order; yields what there is to say about the inputs in between.

    `platform` is the target of all profiles, instead of their own.

    Profiles are compiled one at a time and not kept, but for the rule sets of a fleet, which are few, so that memory
    does not grow with their number. After a
    finding that is an error, what was built before must not be used.
    Raises TemplateError when a rule template is wrong.
    """
    load = loader(platform)
    taken: dict[str, str] = {}
    groups: Counter[Target] = Counter()
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
                groups[profile.target] += built.groups
                if loaded.fleet is not None:
                    rule_sets.append(built.rule_set)
        if loaded.fleet is not None and rule_sets:
            overview = _overview(loaded.fleet, rule_sets)
            if isinstance(overview, tuple):
                yield from overview
            else:
                yield overview
    yield from _too_many_groups(groups)


def _too_many_groups(groups: Mapping[Target, int]) -> Iterator[Finding]:
    """Warnings on tenants that would have more groups than they may, if all of these profiles are theirs."""
    for target, count in groups.items():
        if target.most_groups and count > target.most_groups:
            wrong = f"{count} groups in all for {target.platform.name}, and a tenant may have {target.most_groups}"
            right = "load them into several tenants, or raise `ruler.max-rule-groups-per-tenant` and write `max_groups`"
            yield Finding("warning", "all profiles", 0, 0, "target", wrong, right)


def _overview(fleet: str, rule_sets: Sequence[RuleSet]) -> Overview | tuple[Finding, ...]:
    found = fleet_overview(fleet, rule_sets)
    header, profile = text.fleet_header(fleet), rule_sets[0].profile
    files: dict[PurePosixPath, bytes] = {}
    if is_wanted := "dashboards" in profile.outputs:
        dashboards = dashboard_files(header, rule_sets[0], profile.dashboards, found.files)
        if has_errors(dashboards.findings):
            return dashboards.findings
        resources = dashboards.files if profile.dashboards.format.kind else ()
        files = {**dashboards.files, **_kustomization(header, fleet, resources)}
    remarks = found.remarks if is_wanted else ()
    files[conventions.manifest_file(fleet)] = fleet_manifest(fleet, rule_sets, files, remarks).encode()
    return Overview(fleet, files, found.files, remarks)


def _kustomization(header: str, name: str, files: Iterable[PurePosixPath]) -> dict[PurePosixPath, bytes]:
    """The file that ties the Kubernetes resources among these files of a profile together, if there are any."""
    file = conventions.kustomization_file(name)
    resources = [path.relative_to(name) for path in files]
    return {file: kubernetes.kustomization(header, resources).encode()} if resources else {}


def default_rules(milvus: str, settings: str = "", selector: str = "{namespace: milvus}") -> RuleSet:
    """What a profile with no settings of its own but these (lines of YAML) compiles to for a release."""
    text = f'version: 1\nname: default\nmilvus: "{milvus}"\nselector: {selector}\n{settings}'
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


def proven(built: Built) -> Built:
    """What was built, with what proves it: also where the profile wants no tests."""
    if "tests" in built.profile.outputs:
        return built
    tested = build_profile(replace(built.profile, outputs=built.profile.outputs | {"tests"}))
    assert isinstance(tested, Built)
    return tested


def build_profile(profile: Profile) -> Built | tuple[Finding, ...]:
    """Every document of one profile, or what keeps it from being compiled."""
    rule_set = compile_rules(profile)
    if isinstance(rule_set, tuple):
        return rule_set
    rules = rule_files(rule_set)
    if rules.findings:
        return rules.findings
    header = text.header(profile)
    files, notes = dict(rules.files), rules.notes
    resources = list(rules.files) if profile.target.platform.kind else []
    shown = Documents({}, ())
    if "dashboards" in profile.outputs:
        shown = documents(rule_set)
        dashboards = dashboard_files(header, rule_set, profile.dashboards, shown.files)
        if dashboards.findings:
            return dashboards.findings
        files |= dashboards.files
        resources += dashboards.files if profile.dashboards.format.kind else ()
        notes += dashboards.notes
    if "tests" in profile.outputs:
        files |= _test_files(header, rule_set, rules)
    if "runbooks" in profile.outputs:
        files |= _runbook_files(rule_set, shown.evidence)
    if "alertmanager" in profile.outputs:
        config = rule_set.names.filled([alertmanager.config_yaml(rule_set)])
        files[conventions.alertmanager_file(profile.name)] = header.encode() + config
    files |= _kustomization(header, profile.name, resources)
    files[conventions.manifest_file(profile.name)] = manifest(profile, rule_set, files, shown.remarks, notes).encode()
    return Built(profile, rule_set, files, shown.remarks, len(rules.groups), notes)


def _test_files(header: str, rule_set: RuleSet, rules: RuleFiles) -> Iterator[tuple[PurePosixPath, bytes]]:
    """The tests of these rules: those of what lasts for days have a file of their own."""
    head = header.encode()
    tested = [f"../rules/{path.name}" for path in rules.files]
    for path, suite in zip(conventions.tests_files(rule_set.profile.name), promtests.suites(rule_set), strict=False):
        yield path, head + rule_set.names.filled(text.tests_yaml(replace(suite, groups=rules.groups), tested))


def _runbook_files(rule_set: RuleSet, evidence: Sequence[Evidence]) -> Iterator[tuple[PurePosixPath, bytes]]:
    """A page for each alert; `evidence` are the panels that show what alerts decide by."""
    profile = rule_set.profile
    head = runbooks.header(profile).encode()
    for alert, page in runbooks.pages(rule_set, evidence):
        yield conventions.runbook_file(profile.name, alert), head + rule_set.names.filled([page])
