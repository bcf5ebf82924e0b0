"""A rule set in words: what fires when, where it is measured, what is left out and why."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from generator import conventions
from generator.profile import Profile
from generator.rules import Remark, Rule, RuleSet
from generator.thresholds import PlacedScope, listed
from generator.units import plain


def summary(
    profile: Profile, rule_set: RuleSet, of_panels: tuple[Remark, ...], notes: tuple[str, ...]
) -> Iterator[str]:
    """The build report of one profile: a line, and below it whatever is not as plain as the profile says.

    `of_panels` says what was left out of its dashboards, `notes` what is different on the target.
    """
    alerts = sum(rule.is_alert for rule in rule_set.rules)
    records = len(rule_set.rules) - alerts
    count = len(profile.deployments)
    deployments = f", {count} deployment{'s' if count > 1 else ''}" if count else ""
    yield f"{profile.name}: Milvus {rule_set.release.name}{deployments}, {records} recorded series, {alerts} alerts"
    if rule_set.release.unsure:
        yield f"  the catalog's facts on {rule_set.release.name} are not certain: {rule_set.release.unsure}"
    for placed in rule_set.scopes:
        yield f"  {placed.scope.in_words}: " + "; ".join(_measured(placed))
    yield from (f"  {text}" for text in _fates((*rule_set.remarks, *of_panels)))
    yield from (f"  on {profile.target.platform.name}: {note}" for note in notes)


def overview(fleet: str, of_panels: tuple[Remark, ...]) -> Iterator[str]:
    """The build report of what belongs to a fleet as a whole."""
    yield f"{fleet}: an overview of its deployments"
    yield from (f"  {text}" for text in _fates(of_panels))


def remarks(rule_set: RuleSet, rule: str) -> Iterator[str]:
    """What was left out or replaced of one rule, and why."""
    yield from _fates(remark for remark in rule_set.remarks if remark.rule.partition("{")[0] == rule)


def _fates(remarks: Iterable[Remark]) -> Iterator[str]:
    """Remarks in words; those with the same fate in one line."""
    alike: dict[tuple[str, str], list[str]] = {}
    for remark in remarks:
        alike.setdefault((remark.instead, remark.why), []).append(remark.rule)
    for (instead, why), rules in alike.items():
        yield _fate(rules, instead, why)


def _fate(rules: list[str], instead: str, why: str) -> str:
    return f"{listed(tuple(rules))} {'is' if len(rules) == 1 else 'are'} {instead or 'left out'}: {why}"


def _remark(remark: Remark) -> str:
    return _fate([remark.rule], remark.instead, remark.why)


def changes(before: RuleSet, after: RuleSet) -> Iterator[str]:
    """What differs between two rule sets of one profile: thresholds, what is left out, every other rule."""
    old, new = (["; ".join(_measured(placed)) for placed in rule_set.scopes] for rule_set in (before, after))
    yield from (f"- {line}" for line in old if line not in new)
    yield from (f"+ {line}" for line in new if line not in old)
    kept = {(remark.rule, remark.instead) for remark in before.remarks}
    left = {(remark.rule, remark.instead) for remark in after.remarks}
    yield from (f"- {_remark(remark)}" for remark in before.remarks if (remark.rule, remark.instead) not in left)
    yield from (f"+ {_remark(remark)}" for remark in after.remarks if (remark.rule, remark.instead) not in kept)
    rules, now = _texts(before), _texts(after)
    for name in dict.fromkeys([*rules, *now]):
        if name in rules and name in now and rules[name] != now[name]:
            parts = [part for part in ("expr", "annotations") if rules[name][part] != now[name][part]]
            yield f"~ {name}: other {' and '.join(parts)}"


def _texts(rule_set: RuleSet) -> dict[str, dict[str, object]]:
    """Expression and annotations of every rule, by its name and labels."""
    put_back = rule_set.names.put_back
    return {
        rule.name + put_back(conventions.telling(rule.labels, is_alert=rule.is_alert)): {
            "expr": put_back(rule.expr),
            "annotations": [put_back(text) for _, text in rule.annotations],
        }
        for rule in rule_set.rules
    }


def _measured(placed: PlacedScope) -> Iterator[str]:
    for each in placed.measured:
        yield f"{each.name} {each.threshold} -> {each.in_words}"
    if placed.slow_queries.counted_by_milvus:
        yield f"slow_query_span {placed.slow_queries.span} -> counted by Milvus"


def explain(
    profile: Profile, rule_set: RuleSet, of_panels: tuple[Remark, ...], notes: tuple[str, ...]
) -> Iterator[str]:
    """The whole profile in words; `of_panels` and `notes` as in `summary`."""
    yield from summary(profile, rule_set, of_panels, notes)
    yield f"  deployments are named by {', '.join(profile.identity)}"
    yield f"  rates and shares are measured over {profile.window}"
    for rule in rule_set.rules:
        if rule.is_alert:
            yield ""
            yield from alert(rule, rule_set)


def alert(rule: Rule, rule_set: RuleSet) -> Iterator[str]:
    """One alert in words."""
    settings = rule_set.profile.alerts[rule.name]
    yield f"{rule.name} ({dict(rule.labels)[conventions.SEVERITY]}): {rule.template.says}"
    hold = f" for {rule.for_}" if rule.for_ else ""
    yield f"  fires when {rule_set.names.put_back(rule.condition)}{hold}"
    if rule.keep_firing_for:
        yield f"  keeps firing for {rule.keep_firing_for} after that has ended"
    if settings.quantile is not None:
        guess = _is_interpolated(rule, rule_set)
        how = "a share interpolated inside a bucket" if guess else "an exact share of requests at a bucket bound"
        yield f"  decided by {how}: fires when less than {plain(settings.quantile)} of them are faster"
    yield f"  reads {', '.join(sorted(_metrics(rule, rule_set)))}"
    parts = [other for other in rule_set.rules if other.template.part_of == rule.name]
    scenarios = [str(each["name"]) for one in (*parts, rule) for each in one.scenarios if each["applies"]]
    if scenarios:
        yield f"  proven by: {'; '.join(dict.fromkeys(scenarios))}"


def _is_interpolated(rule: Rule, rule_set: RuleSet) -> bool:
    """Whether no bucket ends at the threshold of the alert's tier."""
    own = [placed for placed in rule_set.scopes if placed.scope.label == dict(rule.labels).get(conventions.SCOPE, "")]
    return any(each.point.interpolated for placed in own for each in placed.measured if each.name == rule.template.tier)


def _metrics(rule: Rule, rule_set: RuleSet) -> set[str]:
    """The metrics that the rule reads, also through recorded series."""
    found, open_ = set(rule.metrics), set(rule.records)
    for other in reversed(rule_set.rules):
        if other.name in open_ and other.template.part_of in ("", rule.name):
            found |= other.metrics
            open_ |= other.records
    return found
