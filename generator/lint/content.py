"""Values -> the expressions in them, whatever holds them: rule files, resources of Kubernetes, dashboards."""

from __future__ import annotations

import re
from collections.abc import Iterator

from generator.lint import dashboards, nodes, rules
from generator.lint.expressions import Expression
from generator.lint.nodes import Node, Passage

# Keys in a ConfigMap whose values are files of rules or dashboards.
_FILE = re.compile(r".+\.(?:json|ya?ml|rules)")


class UnknownContent(Exception):
    """A document that is neither rules nor a dashboard nor a resource of Kubernetes."""


def expressions(document: Node, outer: Passage) -> Iterator[Expression]:
    """Every expression of a document. Raises UnknownContent, and Unreadable for a file within a ConfigMap."""
    kind, spec = document.get("kind").text, document.get("spec")
    if document.value is None:
        return
    if document.get("apiVersion").text and kind:
        if document.get("items").items:
            for item in document.get("items").items:
                yield from expressions(item, outer)
        elif kind == "ConfigMap":
            yield from _config_map(document, outer)
        elif spec.get("groups").items:
            yield from rules.expressions(spec.get("groups"), outer, metricsql=kind == "VMRule")
        elif kind == "GrafanaDashboard" and spec.get("json").text:
            yield from _embedded(spec.get("json"), outer, is_json=True)
        elif kind == "Dashboard":
            yield from dashboards.expressions(spec, outer)
    elif document.get("groups").items:
        yield from rules.expressions(document.get("groups"), outer)
    elif isinstance(document.get("groups").value, list):
        return
    elif document.get("dashboard").entries:
        yield from dashboards.expressions(document.get("dashboard"), outer)
    elif dashboards.is_dashboard(document):
        yield from dashboards.expressions(document, outer)
    elif groups := _groups_within(document):
        for each in groups:
            yield from rules.expressions(each, outer)
    else:
        raise UnknownContent


def _groups_within(document: Node) -> list[Node]:
    """Lists of rule groups at any depth of what is something else, such as the values of a Helm chart."""
    found, waiting, seen = [], [document], set()
    while waiting:
        node = waiting.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        groups = node.get("groups")
        if any(group.get("rules").items for group in groups.items):
            found.append(groups)
        else:
            waiting += [*node.items, *node.entries.values()][::-1]
    return found


def _config_map(document: Node, outer: Passage) -> Iterator[Expression]:
    for name, content in document.get("data").entries.items():
        if _FILE.fullmatch(name) and "milvus" in content.text:
            try:
                yield from _embedded(content, outer, is_json=name.endswith(".json"))
            except UnknownContent:  # a file of something else
                continue


def _embedded(content: Node, outer: Passage, *, is_json: bool) -> Iterator[Expression]:
    """The expressions of a file that stands in a string of another one."""
    inner = content.passage(outer)
    try:
        for document in nodes.documents(inner.text, is_json=is_json):
            yield from expressions(document, inner)
    except nodes.Unreadable as error:
        offset = inner.offsets[min(error.offset, len(inner.text) - 1)] if inner.text else 0
        raise nodes.Unreadable(offset, error.wrong, error.right) from None
