"""Leaving out rules that do not matter to a test: promtool must see the same with and without them."""

from __future__ import annotations

import json
import re
import subprocess
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generator import relevance

RULES: list[dict[str, Any]] = [
    {"record": "a:sum", "expr": "sum(a)"},
    {"record": "b:sum", "expr": "sum(b)"},
    {"record": "ab:sum", "expr": "a:sum + b:sum"},
    {"record": "tier:share", "expr": "sum(a)", "labels": {"tier": "slow"}},
    {"record": "tier:share", "expr": "sum(b)", "labels": {"tier": "fast"}},
    {"alert": "Slow", "expr": 'tier:share{tier="slow"} > 1', "annotations": {"why": '{{ query "b:sum" }}'}},
    {"alert": "Gone", "expr": "absent(c)"},
    {"alert": "Any", "expr": 'ALERTS{alertname="Gone"}'},
    {"record": "subquery", "expr": "max_over_time(sum(a)[5m:1m])"},
    {"record": "every", "expr": 'count({job="x"})'},
    {"record": "own", "expr": "median_over_time(sum(b) by (x)) keep_metric_names"},
]
SHOWN = [f"{rule.get('record') or rule['alert']} {number}" for number, rule in enumerate(RULES)]


def needed(feeds: tuple[str, ...], *, alert: str = "", expr: str = "") -> set[str]:
    """The rules that are left of all of these, when a test feeds this and asks for that; `own` reads anything."""
    alerts = [{"eval_time": "1m", "alertname": alert, "exp_alerts": []}] if alert else []
    samples = [{"eval_time": "1m", "expr": expr, "exp_samples": []}] if expr else []
    series = [{"series": each, "values": "1x9"} for each in feeds]
    test = {"interval": "1m", "input_series": series, "alert_rule_test": alerts, "promql_expr_test": samples}
    groups = [{"name": "one", "rules": RULES[:5]}, {"name": "two", "rules": RULES[5:]}]
    ((_, left),) = relevance.parts({"tests": [test]}, groups, groups)
    return {SHOWN[RULES.index(rule)] for group in left for rule in group["rules"]}


@pytest.mark.parametrize(
    ("feeds", "asked", "left"),
    [
        (("a",), {"expr": "a:sum"}, {"a:sum 0"}),
        (("a",), {"expr": "sum(ab:sum)"}, {"a:sum 0", "ab:sum 2"}),
        (("a", "b"), {"expr": "ab:sum"}, {"a:sum 0", "b:sum 1", "ab:sum 2"}),
        ((), {"expr": "ab:sum"}, set()),
        (("a", "b"), {"expr": 'tier:share{tier="slow"}'}, {"tier:share 3"}),
        (("a", "b"), {"alert": "Slow"}, {"b:sum 1", "tier:share 3", "Slow 5"}),
        (("a",), {"alert": "Slow"}, {"tier:share 3", "Slow 5"}),
        ((), {"alert": "Slow"}, {"Slow 5"}),
        ((), {"alert": "Any"}, {"Gone 6", "Any 7"}),
        ((), {"expr": 'ALERTS{alertname="Gone", alertstate="firing"}'}, {"Gone 6"}),
        (("a",), {"expr": "subquery"}, {"subquery 8"}),
        (("{__name__='a'}",), {"expr": "a:sum"}, {"a:sum 0"}),
    ],
)
def test_a_test_needs_what_it_feeds_on_the_way_to_what_it_asks_for(
    feeds: tuple[str, ...], asked: dict[str, str], left: set[str]
) -> None:
    assert needed(feeds, **asked) == left


def test_an_expression_that_cannot_be_read_may_read_anything() -> None:
    assert needed(("a",), expr="own") >= {"own 10", "a:sum 0", "tier:share 3"}
    assert needed(("a{job='x'}",), expr="every") >= {"every 9", "a:sum 0", "tier:share 3"}


METRICS, RECORDS = ("m0", "m1", "m2"), ("r0", "r1", "r2", "r3", "r4", "r5")
FORMS = (
    "sum by (a) ({x})", 'sum by (a) ({x}{{a="1"}})', "({x} > 1) or {y}", "{x} unless {y}", "absent({x})",
    'count({{__name__=~"m.", a="2"}})', "max_over_time({x}[3m])", "sum_over_time(sum({x})[3m:1m])",
    "sum({x}) + vector(1)", "count(ALERTS)", 'ALERTS{{alertname="A1"}}', "sum({x}) * sum({y})",
)  # fmt: skip
names = st.sampled_from(METRICS + RECORDS)
expressions = st.builds(lambda form, x, y: form.format(x=x, y=y), st.sampled_from(FORMS), names, names)
alerts = st.builds(
    lambda name, expr, asked: {
        "alert": name,
        "expr": expr,
        "annotations": {"why": f'{{{{ range query "{asked}" }}}}{{{{ .Value }}}} {{{{ end }}}}'},
    },
    st.sampled_from(("A0", "A1")),
    expressions,
    names,
)
fed = st.lists(st.builds("{}{{a='{}'}}".format, st.sampled_from(METRICS), st.sampled_from("12")), unique=True)


@pytest.mark.usefixtures("promtool")
@settings(max_examples=25)
@given(
    others=st.lists(expressions, min_size=5, max_size=5),
    some=st.lists(alerts, max_size=3, unique_by=lambda rule: rule["alert"]),
    first=fed,
    second=fed,
)
def test_promtool_sees_the_same_without_the_other_rules(
    tmp_path_factory: pytest.TempPathFactory,
    promtool: str,
    others: list[str],
    some: list[dict[str, Any]],
    first: list[str],
    second: list[str],
) -> None:
    rules = [{"record": name, "expr": expr} for name, expr in zip(RECORDS, ("count({a=~'.'})", *others), strict=True)]
    groups = [{"name": "records", "rules": rules[:3]}, {"name": "others", "rules": [*rules[3:], *some]}]
    # Nothing is expected anywhere, so that promtool prints whatever there is.
    asked = [{"eval_time": "4m", "expr": name} for name in (*RECORDS, "ALERTS")]
    firing = [{"eval_time": "4m", "alertname": name} for name in ("A0", "A1")]
    tests = [
        {
            "interval": "1m",
            "input_series": [{"series": series, "values": "1+1x5"} for series in feeds],
            **({"promql_expr_test": [question]} if "expr" in question else {"alert_rule_test": [question]}),
        }
        for feeds in (first, second)
        for question in (*asked, *firing)
    ]
    content = {"evaluation_interval": "1m", "group_eval_order": ["records", "others"], "tests": tests}
    folder = tmp_path_factory.mktemp("parts")

    def seen(parts: list[tuple[relevance.Content, list[relevance.Content]]]) -> list[str]:
        files = []
        for number, (test, kept) in enumerate(parts):
            files.append(f"{len(parts)}-{number}.tests.json")
            (folder / f"{files[-1]}.rules").write_text(json.dumps({"groups": kept}))
            (folder / files[-1]).write_text(json.dumps({**test, "rule_files": [f"{files[-1]}.rules"]}))
        done = subprocess.run(
            [promtool, "test", "rules", *files], cwd=folder, capture_output=True, text=True, check=False
        )
        output = re.sub(
            r"^(Unit Testing: .*|  (FAILED|SUCCESS):?)\n", "", done.stdout + done.stderr, flags=re.MULTILINE
        )
        assert "err" not in output
        return sorted(re.split(r"\n(?=    (?:expr|alertname):)", output.strip("\n")))

    whole = seen([(content, list(groups))])
    assert seen(relevance.parts(content, groups, groups)) == whole
    assert any("r0" in each for each in whole) == bool(first or second)
