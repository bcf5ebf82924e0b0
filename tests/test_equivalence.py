"""Mutants that say the same as their rule are proven to; nothing is claimed where a series could tell them apart."""

from __future__ import annotations

from typing import Any

import pytest

from generator import equivalence

PROFILE = {"profile": "p"}
# What other rules record; `a:x:rate` of two tiers.
RECORDED = [
    {
        "record": "a:x:rate",
        "expr": 'sum by (ns, kind) (rate(x{ns="v", kind=~"s|q"}[5m]))',
        "labels": {**PROFILE, "tier": t},
    }
    for t in ("low", "high")
] + [{"record": "a:y:rate", "expr": 'sum by (ns, kind) (rate(y{ns="v"}[5m]))', "labels": PROFILE}]
X, Y = 'a:x:rate{profile="p", tier="low"}', 'a:y:rate{profile="p"}'


def reason(one: str, other: str, **rule: Any) -> str:
    laws = equivalence.known(RECORDED, lowest=5.0)
    return equivalence.reason({"expr": one, **rule}, {"expr": other, **rule}, laws)


@pytest.mark.parametrize(
    ("one", "other", "why"),
    [
        # The labels that a join matches on are those of the other side.
        (f'{X} / on (ns, kind) sum by (ns, kind) (z{{ns="v"}})', f"{X} / on (ns, kind) sum by (ns, kind) (z)", "join"),
        (f'z{{ns="v"}} and on (ns) {Y}', f"z and on (ns) {Y}", "join"),
        (f'{Y} unless on (ns) z{{ns="v"}}', f"{Y} unless on (ns) z", "join"),
        (f"{Y} / {Y}", f"{Y} / a:y:rate", "join"),
        # A label that is one and the same on both sides.
        (f"{X} and on (ns, kind) {Y}", f"{X} and on (kind) {Y}", "same value"),
        (f"{X} / on (ns, kind) group_left () {Y}", f"{X} / on (kind) group_left () {Y}", "same value"),
        # Numbers that nothing is below.
        (f"histogram_quantile(0.5, {X}) >= 0", f"histogram_quantile(0.5, {X}) >= 1", "lower"),
        (f"{Y} >= 0", f"{Y} > -1", "lower"),
        ("count by (ns) (z) >= 1", "count by (ns) (z) > 0", "lower"),
        # A single series for each result.
        ('sum by (ns) (absent(z{ns="v"}))', 'avg by (ns) (absent(z{ns="v"}))', "one series"),
        ('sum by (ns) (absent(z{ns="v"}))', 'sum by (ns, instance) (absent(z{ns="v"}))', "one series"),
        (f"sum by (ns, kind) ({Y})", f"max by (ns, kind) ({Y})", "one series"),
        (f'sum by (ns) ({X[:-1]}, kind=~"s|r"}})', f'max by (ns) ({X[:-1]}, kind=~"s|r"}})', "one series"),
        # Values that nobody sees.
        (f"{Y} and on (ns) count by (ns) (z)", f"{Y} and on (ns) group by (ns) (z)", "value"),
        (f"{Y} unless on (ns) rate(z[5m]) > 0", f"{Y} unless on (ns) increase(z[5m]) > 0", "value"),
    ],
)  # fmt: skip
def test_what_says_the_same_is_proven_with_the_reason(one: str, other: str, why: str) -> None:
    assert why in reason(one, other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        # The label is not among those that are matched on.
        (f'{X} and on (kind) z{{ns="v"}}', f"{X} and on (kind) z"),
        # Two series of the mutant could meet one: an error.
        (f'{X} / on (ns, kind) z{{ns="v"}}', f"{X} / on (ns, kind) z"),
        # What is kept out on the right of `unless` does make a difference on the left.
        ('z{ns="v"} unless on (ns) ' + Y, f"z unless on (ns) {Y}"),
        (f'z{{ns="v"}} or on (ns) {Y}', f"z or on (ns) {Y}"),
        # Another profile may have recorded it.
        (f"sum by (ns) ({Y})", "sum by (ns) (a:y:rate)"),
        (f"{X} and on (ns, kind) {Y}", f"{X} and on (ns, kind) a:y:rate"),
        # Both tiers, and one of them.
        (f"sum by (ns) ({X})", 'sum by (ns) (a:x:rate{profile="p"})'),
        # A label with several values, and a result that loses a label.
        (f"{X} and on (ns, kind) {Y}", f"{X} and on (ns) {Y}"),
        (f"{X} / on (ns, kind) {Y}", f"{X} / on (kind) {Y}"),
        (f"{Y} > 0", f"{Y} > -1"),
        (f"{Y} * (sum by (ns) (rate(z[5m])) > 0)", f"{Y} * (sum by (ns) (increase(z[5m])) > 0)"),
        (f"{Y} and (rate(z[5m]) > 3) > 0", f"{Y} and (increase(z[5m]) > 3) > 0"),
        (f"{Y} unless rate(z[5m]) > 1", f"{Y} unless increase(z[5m]) > 1"),
        (f"{Y} - 1 >= 0", f"{Y} - 1 >= -1"),
        (f"histogram_quantile(0.5, {X}) >= 0", f"histogram_quantile(0.5, {X}) >= 3"),
        (f"histogram_quantile(0.5, {X}) >= 0", f"histogram_quantile(0.5, {X})"),
        ("sum by (ns) (z)", "avg by (ns) (z)"),
        (f'sum by (ns) ({X[:-1]}, kind=~"s|q"}})', f'max by (ns) ({X[:-1]}, kind=~"s|q"}})'),
        (f'sum by (ns) ({X[:-1]}, kind=~"s.*|r"}})', f'max by (ns) ({X[:-1]}, kind=~"s.*|r"}})'),
        (f"sum by (ns) ({Y})", f"max by (ns) ({Y})"),
        (f"{Y} * on (ns) count by (ns) (z)", f"{Y} * on (ns) group by (ns) (z)"),
        ("rate(z[5m])", "rate(z[10m])"),
        ('absent(z{ns="v"})', "absent(z)"),
    ],
)
def test_what_a_series_could_tell_apart_is_not_claimed(one: str, other: str) -> None:
    assert reason(one, other) == ""
    assert reason(one, one) != ""


def test_the_value_of_an_alert_counts_where_an_annotation_shows_it() -> None:
    one, other = 'group by (ns) (z{ns="v"} > 0)', 'count by (ns) (z{ns="v"} > 0)'
    assert reason(one, other, alert="A", annotations={"summary": "It is there."}) == "nobody sees its value"
    assert reason(one, other, alert="A", annotations={"summary": "{{ $value }} of them"}) == ""
    assert reason(one, other, record="a:z:count") == ""


def test_only_expressions_are_proven_the_same() -> None:
    laws = equivalence.known(RECORDED, lowest=5.0)
    assert equivalence.reason({"expr": "x", "for": "5m"}, {"expr": "x"}, laws) == ""
