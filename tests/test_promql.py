"""The type checker: what it lets through, and every kind of mistake that it must not."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generator import catalog
from generator.promql.check import Checker, Quantity, _shape, regex_problem
from generator.promql.dimension import unit_text
from generator.promql.text import escaped, go_literal, matcher, quoted_string

RECORDS = {
    "deployment:milvus_searches:rate5m": Quantity((("s", -1),), frozenset({"namespace", "query_type", "profile"})),
    "deployment:milvus_search_latency_milliseconds:mean5m": Quantity(
        (("ms", 1),), frozenset({"namespace", "query_type", "profile"})
    ),
}


@pytest.fixture
def checker() -> Checker:
    return Checker(catalog.release("2.6.19"), ["namespace"])


@pytest.mark.parametrize(
    ("expression", "unit"),
    [
        ('sum by (namespace, le) (rate(milvus_proxy_sq_latency_bucket{le=~"128(\\\\.0)?"}[5m]))', "1/s"),
        ("rate(milvus_proxy_sq_latency_sum[5m])", "ms/s"),
        ("sum(rate(milvus_proxy_sq_latency_sum[5m])) / sum(rate(milvus_proxy_sq_latency_count[5m]))", "ms"),
        ('histogram_quantile(0.99, sum by (le) (rate(milvus_proxy_sq_latency_bucket{query_type="search"}[5m])))', "ms"),
        ("increase(process_cpu_seconds_total[5m])", "s"),
        ("count by (role_name) (milvus_num_node)", "1"),
        ("up == 0", "1"),
        ("milvus_querynode_consume_tt_lag_ms / 1000", "s"),
        ("max_over_time(deployment:milvus_searches:rate5m[1h] offset 5m)", "1/s"),
        ('absent(milvus_num_node{namespace="x"})', "1"),
        ('rate(milvus_proxy_req_count{status=~"fail|fail_.+"}[5m])', "1/s"),
        ('rate(milvus_proxy_req_count{status!~"total|success"}[5m])', "1/s"),
    ],
)
def test_sound_expressions_have_a_type(checker: Checker, expression: str, unit: str) -> None:
    checked = checker.check(expression, RECORDS)
    assert checked.violations == ()
    assert checked.quantity
    assert unit_text(checked.quantity.unit) == unit


@pytest.mark.parametrize(
    ("expression", "says"),
    [
        (
            "rate(milvus_proxy_search_latency_sum[5m])",
            "milvus_proxy_search_latency_sum does not exist in Milvus 2.6.19",
        ),
        ("rate(knowhere_search_latency_sum[5m])", "(first in 2.3.1)"),
        ("milvus_proxy_sq_latency", "is a histogram: read milvus_proxy_sq_latency_bucket"),
        ("rate(milvus_proxy_tt_lag_ms[5m])", "registered in Milvus 2.6.19, but nothing feeds it"),
        ('rate(milvus_proxy_sq_latency_sum{collection="x"}[5m])', "has no label `collection`"),
        ('rate(milvus_proxy_req_count{status="fail"}[5m])', "matches none of the values of Milvus 2.6.19: total,"),
        ('milvus_num_node{role_name="rootcoord"}', "matches none of the values"),
        ('rate(milvus_proxy_sq_latency_bucket{le="100"}[5m])', "no such bucket; the bounds are 1, 2, 4"),
        ('rate(milvus_proxy_sq_latency_bucket{le="128"}[5m])', "misses the spelling `128.0`"),
        ('rate(milvus_proxy_sq_latency_bucket{le=~"128(\\\\.0)?|100(\\\\.0)?"}[5m])', "no bucket for `100"),
        ("sum by (namespace) (rate(milvus_proxy_sq_latency_bucket[5m]))", "adds up buckets"),
        (
            'sum by (namespace) (rate(milvus_proxy_sq_latency_bucket{le=~"64(\\\\.0)?|128(\\\\.0)?"}[5m]))',
            "selects more than one",
        ),
        ("milvus_proxy_req_count > 5", "is a counter and must be rated"),
        ("sum(milvus_proxy_req_count)", "is a counter and must be rated"),
        ("max_over_time(milvus_proxy_req_count[5m])", "of a counter: rate it first"),
        ('sum(last_over_time(milvus_proxy_req_count{status="total"}[5m])) > 5', "of a counter: rate it first"),
        ("rate(milvus_proxy_req_count[5m])", "has a series for `total` beside the others: select a `status`"),
        ('label_replace(milvus_num_node, ("a"), "b", "c", "d")', "takes plain strings"),
        ('label_replace(milvus_num_node, "a-b", "", "", "")', "`a-b`, which is no name of a label"),
        ("rate(milvus_num_node[5m])", "of a gauge: only counters are rated"),
        ("sum by (pod) (milvus_num_node)", "groups by `pod`, which is not there"),
        ("histogram_quantile(0.99, sum(rate(milvus_proxy_sq_latency_bucket[5m])))", "needs rated buckets"),
        ("sum(rate(internal_core_search_latency_sum[5m]))", "mixes units: select one value of `type`"),
        (
            "sum(rate(milvus_proxy_sq_latency_sum[5m])) > sum(rate(milvus_proxy_sq_latency_count[5m]))",
            "`>` holds ms/s against 1/s",
        ),
        (
            "deployment:milvus_search_latency_milliseconds:mean5m > deployment:milvus_searches:rate5m",
            "`>` holds ms against 1/s",
        ),
        ("deployment:milvus_searches:rate1m", "is not recorded before it is read"),
        (
            "sum by (namespace, node_id) (milvus_num_node) + on (namespace) sum by (namespace) (milvus_num_node)",
            "may have several series per match: they differ in node_id",
        ),
        (
            "sum by (namespace) (milvus_num_node) + sum by (role_name) (milvus_num_node)",
            "compares all labels, but only one side has namespace, role_name",
        ),
        ("sum(milvus_num_node) > bool 1", "`bool` makes a condition that is always there"),
        ("topk(3, milvus_num_node)", "topk() is not used in rules"),
        ("histogram_fraction(0, 128, milvus_num_node)", "not known to Prometheus 2.42"),
        ('{__name__="milvus_num_node"}', "must name its metric"),
        (
            "(sum by (namespace) (milvus_num_node) or sum(milvus_num_node)) > on (namespace) count by (namespace) (up)",
            "matching on `namespace`, which the left side does not have",
        ),
        ("milvus_num_node[", "does not parse"),
        ("max_over_time(milvus_num_node[300])", "a range that is not one duration"),
        ("max_over_time(milvus_num_node[1000y])", "a range that is not one duration"),
        ("max_over_time(milvus_num_node[1h:1m])", "a range that is not one duration"),
        ("milvus_num_node > 100ms", "100ms as a number"),
        ("milvus_num_node offset -1h", "offset is not used in rules"),
        ("milvus_num_node @ 1000", "@ is not used in rules"),
        ('sum by ("namespace") (milvus_num_node)', "a quoted name of a label"),
        ("milvus_num_node # comment", "# is not used in rules"),
        ("milvus_num_node{namespace=`x`}", "` is not used in rules"),
        ('milvus_num_node{namespace=~"(?P<n>x)"}', "regular expressions are limited"),
        ('milvus_num_node{namespace=~"a{1001}"}', "regular expressions are limited"),
        ('milvus_num_node{namespace=~"\\\\Qa\\\\E"}', "regular expressions are limited"),
        ('milvus_num_node{namespace=~"(a"}', "no regular expression"),
    ],
)
def test_every_kind_of_mistake_is_a_violation(checker: Checker, expression: str, says: str) -> None:
    assert says in "; ".join(checker.check(expression, RECORDS).violations)


@pytest.mark.parametrize(
    ("expression", "missing"),
    [
        ("milvus_num_node", "match app, namespace"),
        ('milvus_num_node{namespace="x", app!="y"}', "match app"),
        ("max_over_time(deployment:milvus_searches:rate5m[1h])", "match profile"),
        ('milvus_num_node{namespace=~"x|y", app="z"}', ""),
        ('deployment:milvus_searches:rate5m{profile="p"}', ""),
    ],
)
def test_a_rule_reads_its_own_deployments_only(expression: str, missing: str) -> None:
    labels = frozenset({"namespace", "app"})
    checker = Checker(catalog.release("2.6.19"), labels, selected_by=labels)
    assert missing in "; ".join(checker.check(expression, RECORDS).violations)
    assert bool(checker.check(expression, RECORDS).violations) is bool(missing)


@pytest.mark.parametrize("expression", ["(" * 10_000 + "1" + ")" * 10_000, " + ".join(["up"] * 5_000), "u" * 30_000])
def test_expressions_that_would_end_the_process_never_reach_the_parser(checker: Checker, expression: str) -> None:
    assert "levels of nesting or" in checker.check(expression, {}).violations[0]


def test_the_type_of_a_record_is_part_of_what_is_remembered(checker: Checker) -> None:
    expression = "deployment:milvus_searches:rate5m > 1"
    assert not checker.check(expression, RECORDS).violations
    assert checker.check(expression, {}).violations
    assert not checker.check(expression, RECORDS).violations


def test_values_are_checked_for_each_expression_also_when_the_shape_is_known(checker: Checker) -> None:
    sound = 'rate(milvus_proxy_req_count{status="total"}[5m]) > 5'
    assert not checker.check(sound, {}).violations
    assert checker.check(sound.replace("total", "fail"), {}).violations
    assert not checker.check(sound.replace("5m", "7m").replace("> 5", "> 0.001"), {}).violations


_LITERALS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=12)


@given(_LITERALS, st.decimals(0, 10**6, places=3, allow_nan=False))
def test_expressions_of_one_shape_have_one_tree(value: str, number: object) -> None:
    import promql_parser

    expression = f"rate(x{{a={quoted_string(value)}}}[5m]) > {number}"
    other = 'rate(x{a="v"}[5m]) > 1'
    if number not in (1000, 1_000_000):
        assert _shape(expression)[0] == _shape(other)[0]
    mine: Any = promql_parser.parse(expression)
    theirs: Any = promql_parser.parse(other)
    mine.lhs.args[0].vector_selector.matchers.matchers[0].value = "v"
    assert type(mine) is type(theirs)
    assert [type(mine.lhs), type(mine.rhs)] == [type(theirs.lhs), type(theirs.rhs)]


@given(_LITERALS)
def test_any_text_survives_as_a_promql_string(text: str) -> None:
    import promql_parser

    selector: Any = promql_parser.parse(f"x{{a={quoted_string(text)}}}")
    assert selector.matchers.matchers[0].value == text


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=12))
def test_an_escaped_text_is_a_regex_for_itself_that_both_engines_accept(text: str) -> None:
    import re

    assert re.fullmatch(escaped(text), text)
    assert not regex_problem(escaped(text))
    assert matcher("a", [text]) == f"a={quoted_string(text)}"


def test_braces_in_free_text_are_written_so_that_prometheus_prints_them() -> None:
    assert go_literal("a {{ b }}") == 'a {{ "{{" }} b }}'
