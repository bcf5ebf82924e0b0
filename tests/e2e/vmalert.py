"""Rule and test files of Prometheus -> the same for vmalert-tool, the unit tester of VictoriaMetrics.

What differs: a group of vmalert sees what other groups recorded, never reliably what its own rules did in the same
round; so each group becomes one per layer of rules that read none of each other. Expressions are asked for under
`metricsql_expr_test`, alerts together with their group.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from generator import conventions

Group = Mapping[str, Any]


def groups(given: list[Group]) -> list[dict[str, Any]]:
    """The groups in the order of evaluation, none of which reads what it records itself; records and alerts apart."""
    return [layer for group in given for layer in _layers(group)]


def _layers(group: Group) -> Iterator[dict[str, Any]]:
    depths: dict[str, int] = {}
    layers: dict[tuple[int, bool], list[Any]] = {}
    for rule in group["rules"]:
        read = [depths[name] for name in conventions.RECORDED.findall(rule["expr"]) if name in depths]
        depth = max(read, default=-1) + 1
        if "record" in rule:
            depths[rule["record"]] = max(depth, depths.get(rule["record"], 0))
        layers.setdefault((depth, "alert" in rule), []).append(rule)
    for (depth, alerts), rules in sorted(layers.items()):
        yield {**group, "name": f"{group['name']}.{'alerts' if alerts else 'records'}{depth}", "rules": rules}


def tests(given: Mapping[str, Any], lowered: list[dict[str, Any]], rules_file: str) -> dict[str, Any]:
    """The test file, for these lowered groups in a rule file of this name."""
    homes = {rule["alert"]: group["name"] for group in lowered for rule in group["rules"] if "alert" in rule}
    order = [group["name"] for group in lowered]
    found = [_test(test, homes) for test in given["tests"]]
    return {**given, "rule_files": [rules_file], "group_eval_order": order, "tests": found}


def _test(test: Mapping[str, Any], homes: Mapping[str, str]) -> dict[str, Any]:
    kept = {key: value for key, value in test.items() if key not in ("promql_expr_test", "alert_rule_test")}
    alerts = [{**check, "groupname": homes[check["alertname"]]} for check in test.get("alert_rule_test", ())]
    return {**kept, "metricsql_expr_test": test.get("promql_expr_test", []), "alert_rule_test": alerts}
