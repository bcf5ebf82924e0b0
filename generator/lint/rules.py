"""Rule groups -> their expressions: of Prometheus and whatever reads its format, and alerts that Grafana provisions."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from generator.lint.expressions import Expression
from generator.lint.nodes import Node, Passage

_COMMENT = re.compile(r"(?:^|\s)#[^\n]*")
# Keys of groups that only vmalert knows (docs.victoriametrics.com/victoriametrics/vmalert), so that MetricsQL is meant.
_OF_VMALERT = frozenset({
    "concurrency", "debug", "eval_alignment", "eval_delay", "eval_offset", "extra_filter_labels", "headers",
    "notifier_headers", "params", "type",
})  # fmt: skip


def expressions(groups: Node, outer: Passage, *, metricsql: bool = False) -> Iterator[Expression]:
    """The expression of every rule in a list of groups."""
    metricsql = metricsql or any(_OF_VMALERT & group.entries.keys() for group in groups.items)
    for group in groups.items:
        for rule in group.get("rules").items:
            if rule.get("data").items:
                yield from _of_grafana(rule, outer)
            elif rule.get("expr").text:
                yield _of(rule, group.get("labels").entries, outer, metricsql=metricsql)


def _of(rule: Node, of_group: Mapping[str, Node], outer: Passage, *, metricsql: bool) -> Expression:
    alert, record = rule.get("alert").text, rule.get("record").text
    labels = {**of_group, **rule.get("labels").entries}
    texts = [*rule.get("annotations").entries.values(), *labels.values()] if alert else []
    return Expression(
        passage=rule.get("expr").passage(outer),
        where=f"alert {alert}" if alert else f"record {record}",
        kind="alert" if alert else "record",
        record="" if alert else record,
        labels={name: value.text for name, value in labels.items()},
        templates=tuple(text.passage(outer) for text in texts),
        prose="\n".join([alert, *(text.text for text in texts), *_comments(rule, outer)]),
        metricsql=metricsql,
        rule=_lines(rule, outer),
    )


def _of_grafana(rule: Node, outer: Passage) -> Iterator[Expression]:
    """The queries of an alert that Grafana evaluates; its condition is another entry of `data`."""
    for query in rule.get("data").items:
        expr = query.get("model", "expr")
        if expr.text:
            where = f"alert {rule.get('title').text}, query {query.get('refId').text}"
            yield Expression(expr.passage(outer), where, "query", rule=_lines(rule, outer))


def _comments(rule: Node, outer: Passage) -> list[str]:
    """The comments within a rule, and at the end of its last line."""
    end = outer.text.find("\n", max(rule.start, rule.end - 1))
    return _COMMENT.findall(outer.text[rule.start : end if end >= 0 else None])


def _lines(rule: Node, outer: Passage) -> tuple[int, int]:
    """The first and the last line of a rule in its file."""
    if not outer.offsets:
        return 0, 0
    first, last = outer.offsets[rule.start], outer.offsets[min(max(rule.start, rule.end - 1), len(outer.offsets) - 1)]
    return outer.source.position(first)[0], outer.source.position(last)[0]
