"""An expression out of a file -> what is wrong with it, and the type of what it yields."""

from __future__ import annotations

import re
from typing import Any

from generator.findings import Finding, quoted
from generator.lint import variables
from generator.lint.complaints import Complaint, Context
from generator.lint.expressions import Expression
from generator.lint.names import mentions_milvus
from generator.lint.nodes import Passage, Unreadable
from generator.lint.quantities import printed, shown
from generator.lint.types import Vector
from generator.lint.variables import Prepared
from generator.lint.walk import Walk
from generator.promql.check import too_large

_STRINGS = re.compile(r"""(?s)"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'""")
_LABEL_IN_TEXT = re.compile(r"\$labels\.(\w+)|index\s+\$labels\s+[\"`](\w+)[\"`]")
# Complaints of the parser that no dialect can be the reason of.
_UNBALANCED = re.compile(r"unclosed|unterminated|unexpected (?:right|end)|inside brackets")
# What other versions of Prometheus know and promql-parser does not.
_UNKNOWN_TO_PARSER = re.compile(r"\bholt_winters\b")


def check(expression: Expression, context: Context) -> tuple[list[Finding], Vector]:
    """What is wrong with an expression, and its type; of one that cannot be read, the type that says nothing.

    Raises Unreadable for an expression that a template has yet to make.
    """
    text = expression.passage.text
    if "{{" in text:
        right = "render it first, such as `helm template . | thresher lint - ...`"
        where = expression.passage.offsets[text.index("{{")]
        raise Unreadable(
            where, f"{expression.where}: a template, not PromQL: {quoted(text[text.index('{{') :], 40)}", right
        )
    prepared, found = _parsed(text)
    if isinstance(found, str):
        if not found or not (mentions_milvus(_STRINGS.sub('""', text)) or _reads_records(text, context)):
            return [], Vector()
        extended = expression.metricsql and not _UNBALANCED.search(found)
        right = "it is not checked, if it is MetricsQL" if extended else "correct the expression"
        complaint = Complaint("syntax", 0, found, right, "note" if extended else "error")
        return [_finding(expression, expression.passage, complaint)], Vector()
    walk = Walk(context, prepared.text, expression.prose)
    vector = walk.vector(found)
    _as_a_whole(expression, walk, vector)
    if expression.of_label and walk.lacks(vector, expression.of_label.text):
        _of_label(expression, walk, vector)
    findings = [
        _finding(expression, expression.passage, complaint, _original(prepared, complaint.at))
        for complaint in walk.complaints
    ]
    for template in expression.templates:
        findings += _in_template(expression, template, walk, vector)
    return findings, vector


def _parsed(text: str) -> tuple[Prepared, Any]:
    """The PromQL that was parsed with its tree, or with why there is none; an empty reason where nobody can know."""
    import promql_parser

    first = None
    for prepared in variables.prepared(text):
        first = first or prepared
        code = _STRINGS.sub('""', prepared.text)
        if problem := too_large(code):
            return first, problem
        try:
            return prepared, promql_parser.parse(prepared.text)
        except ValueError as error:
            problem = f"does not parse as PromQL: {' '.join(str(error).split())}"
    assert first is not None
    unknown = first.has_variables or _UNKNOWN_TO_PARSER.search(text)
    return first, "" if unknown else problem


def _reads_records(text: str, context: Context) -> bool:
    return any(name in text for name, vector in context.records.items() if vector.series)


def _original(prepared: Prepared, at: int) -> int:
    return prepared.offsets[at] if at < len(prepared.offsets) else 0


def _finding(expression: Expression, passage: Passage, complaint: Complaint, at: int = 0) -> Finding:
    line, column = passage.position(at)
    return Finding(
        complaint.severity,
        passage.source.file,
        line,
        column,
        expression.where,
        complaint.wrong,
        complaint.right,
        complaint.code,
    )


def _as_a_whole(expression: Expression, walk: Walk, vector: Vector) -> None:
    """Complains of what an expression yields as a whole, going by what it is for."""
    if not vector.series:
        return
    if expression.kind == "alert" and not vector.conditional and not vector.presence:
        wrong = f"there is no condition: the alert fires whenever there is any series of {vector.series}"
        walk.complain(
            "no-comparison", vector.at, wrong, "compare with a threshold, such as ... > 100; `bool` makes no condition"
        )
    if expression.kind == "alert" and vector.counter:
        right = f"use rate({vector.counter}[...]) or increase({vector.counter}[...])"
        wrong = f"{vector.counter} is a counter: it only rises until a restart"
        walk.complain("counter-without-rate", vector.at, wrong, right)
    if expression.unit:
        wrong, right = shown(vector, expression.unit)
        if wrong:
            walk.complain("unit-mismatch", vector.at, wrong, right)


def _of_label(expression: Expression, walk: Walk, vector: Vector) -> None:
    """Complains of a variable that lists the values of a label that there is not."""
    assert expression.of_label is not None
    label = expression.of_label.text
    own = ", ".join(sorted(vector.labels)) or "none of its own"
    wrong = f"{vector.series} has no label `{label}` in Milvus {walk.release.name}: the variable has no values"
    walk.complain("unknown-label", vector.at, wrong, f"it has {own}")


def _in_template(expression: Expression, template: Passage, walk: Walk, vector: Vector) -> list[Finding]:
    """What is wrong with the values and labels that an annotation or a label of an alert prints."""
    findings = []
    at, wrong, right = printed(vector, template.text)
    if wrong and vector.series:
        findings.append(
            _finding(expression, template, Complaint("unit-mismatch", at, wrong, right, severity="warning"), at)
        )
    for found in _LABEL_IN_TEXT.finditer(template.text):
        label = found[1] or found[2]
        if not vector.series or not walk.lacks(vector, label) or label in ("alertname", *expression.labels):
            continue
        if vector.closed:
            kept = ", ".join(sorted(vector.labels)) or "no label"
            wrong = f"`{found[0]}` prints nothing: the expression keeps {kept}"
            complaint = Complaint("lost-label", 0, wrong, f"keep {label} in the aggregation", severity="warning")
        else:
            wrong = f"`{found[0]}` prints nothing: {vector.series} has no label `{label}` in Milvus {walk.release.name}"
            own = ", ".join(sorted(vector.labels)) or "none of its own"
            complaint = Complaint("unknown-label", 0, wrong, f"it has {own}", severity="warning")
        findings.append(_finding(expression, template, complaint, found.start()))
    return findings
