"""The rule templates themselves: every one is explained and proven, and mistakes in one name their place."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from generator import templates
from generator.build import default_rules
from generator.profile import schema
from generator.templates import TemplateError, _topic
from tests.conftest import EXAMPLES

ALERTS = sorted(templates.load().alerts)
# With what some alerts need to be there.
RULES = default_rules(
    "2.6.19",
    "cpus: 8\ndisk: {exporter: node_exporter, selector: {job: node}}\nobjectives: [{tier: slow, ratio: 99.9%}]\n",
).rules
CAUSES = ("heavy_workload", "inefficient_filtering", "vector_index", "runtime_environment")


def test_every_rule_has_scenarios() -> None:
    for milvus in ("2.3.5", "2.4.4", "2.4.20", "2.5.4", "2.6.19", "3.0.0"):
        for rule in default_rules(milvus).rules:
            assert rule.scenarios, f"{rule.name} on {milvus}"


@pytest.mark.parametrize("name", ALERTS)
def test_every_alert_is_proven_to_fire_and_says_what_it_watches(name: str) -> None:
    rules = [rule for rule in RULES if rule.name == name]
    assert rules
    for rule in rules:
        assert any(scenario["expect"] != "silent" for scenario in rule.scenarios)
        assert rule.condition
        assert rule.template.says
        assert rule.template.tier in ("", "investigate", "slow", "slow_query_span", "spike", "outage", "objective")
        assert rule.template.cause in ("", *CAUSES)
        assert bool(rule.template.tier) != bool(rule.template.cause)


def test_alerts_on_causes_inform_and_fire_before_the_alerts_on_their_symptom() -> None:
    causes = [rule for rule in RULES if rule.is_alert and rule.template.cause]
    symptoms = [rule for rule in RULES if rule.name in ("MilvusSearchLatencyInvestigate", "MilvusSearchLatencySlow")]
    assert len(causes) == 13
    assert {dict(rule.labels)["severity"] for rule in causes} == {"info"}
    assert max(rule.for_ for rule in causes) < min(rule.for_ for rule in symptoms)


@pytest.mark.parametrize("name", ALERTS)
def test_every_alert_with_a_least_rate_is_proven_silent_below_it(name: str) -> None:
    for rule in RULES:
        if rule.name == name and "min_request_rate" in rule.template.settings:
            assert any("too few" in scenario["name"] and scenario["expect"] == "silent" for scenario in rule.scenarios)


def test_every_setting_of_an_alert_is_one_that_the_schema_knows() -> None:
    for alert in templates.load().alerts.values():
        assert set(alert.settings) <= {
            "severity",
            "for",
            "keep_firing_for",
            "quantile",
            "min_request_rate",
            "least",
            "min_time",
            "threshold",
        }
        of_each_rule = {"severity", "for"} & set(alert.variants[0].body.skeleton)
        assert {"severity", "for", "keep_firing_for"} <= set(alert.settings) | of_each_rule
        if "threshold" in alert.settings:
            assert schema.threshold_kind(alert.settings["threshold"]) in (
                "share",
                "factor",
                "rate",
                "count",
                "duration",
            )


def topic(rule: str) -> str:
    metrics = "[milvus_proxy_sq_latency, milvus_proxy_req_count, milvus_nonsense]"
    return (
        f"group: x\norder: 1\nmetrics: {metrics}\nrules:\n"
        + textwrap.indent(textwrap.dedent(rule).strip(), "  ")
        + "\n"
    )


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        ("- record: a\n  says: b\n  exprr: up", "x.yaml:5: a: unknown key exprr"),
        ("- alert: NotMilvus\n  says: b\n  expr: up", "NotMilvus is no name for an alert"),
        ("- record: [", "x.yaml: "),
        ("- record: a\n  says: 2 ^ 3", "x.yaml: ^ marks the places"),
    ],
)
def test_a_mistake_in_a_template_names_its_file_and_rule(rule: str, says: str) -> None:
    with pytest.raises(TemplateError, match=re.escape(says)):
        _topic("x.yaml", topic(rule))


@pytest.mark.parametrize(
    ("expr", "says"),
    [
        ("sum by (<< identity >>) (milvus_nonsense)", "milvus_nonsense does not exist in Milvus 2.6.19"),
        ("sum(rate(milvus_num_node[5m]))", "milvus_num_node is not among the `metrics` that the file lists"),
        ("milvus_proxy_req_count", "is a counter and must be rated"),
        ("sum(up{<< selector >>})", "loses the label namespace of the deployment's identity"),
        ("sum by (<< identity >>) (rate(milvus_proxy_sq_latency_sum{<< selector >>}[5m]))", "yields ms/s, not ms"),
        ("<< nonsense >>", "'nonsense' is undefined"),
        ("<< series('nonsense') >>", "nonsense"),
        ("1", "yields no vector"),
        ("<< library.__class__.__mro__ >>", "access to attribute '__class__' of 'Library' object is unsafe"),
    ],
)
def test_a_rule_that_the_type_checker_refuses_fails_the_build_with_its_place(
    expr: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rule = (
        f"- record: a\n  says: b\n  level: deployment\n  metric: milvus_a\n  operation: b\n  unit: ms\n  expr: {expr}"
    )
    library = templates.Library((_topic("x.yaml", topic(rule)),))
    monkeypatch.setattr(templates, "load", lambda: library)
    with pytest.raises(TemplateError) as error:
        default_rules("2.6.19")
    assert str(error.value).startswith("x.yaml:5: a: ")
    assert says in str(error.value)


def test_an_annotation_that_names_a_label_which_is_not_there_fails_the_build(monkeypatch: pytest.MonkeyPatch) -> None:
    rule = """
        - alert: MilvusDown
          says: b
          tier: outage
          settings: {severity: info, for: 0s, keep_firing_for: 0s}
          expr: sum by (<< identity >>) (up{<< selector >>})
          summary: c
          description: "{{ $labels.node }} of {{ $labels.namespace }}"
    """
    library = templates.Library((_topic("x.yaml", topic(rule)),))
    monkeypatch.setattr(templates, "load", lambda: library)
    with pytest.raises(TemplateError, match="names the label node in an annotation"):
        default_rules("2.6.19")


def test_a_value_of_a_profile_cannot_change_the_structure_of_a_rule() -> None:
    leaves = templates._leaves({"a": "<< x >>", "b": ["c << x >>"]})
    assert leaves.render({"x": "1\n- alert: X"}) == {"a": "1\n- alert: X", "b": ["c 1\n- alert: X"]}


def test_templates_are_kept_parsed_and_compiled_where_python_keeps_modules_and_broken_ones_do_no_harm(
    tmp_path: Path,
) -> None:
    kept, profile = tmp_path / "kept", EXAMPLES / "minimal.yaml"

    def built() -> dict[str, bytes]:
        out = tmp_path / "out"
        environment = {key: text for key, text in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
        command = [sys.executable, "-m", "generator", "build", str(profile), "--out", str(out), "--quiet"]
        subprocess.run(command, check=True, env={**environment, "PYTHONPYCACHEPREFIX": str(kept)}, cwd=EXAMPLES.parent)
        files = {str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*") if path.is_file()}
        shutil.rmtree(out)
        return files

    first = built()
    assert built() == first
    for kind in ("jinja", "yaml"):
        made = list(kept.rglob(f"*.{kind}"))
        assert made
        for number, path in enumerate(made):
            whole = path.read_bytes()
            path.write_bytes((b"", whole[: len(whole) // 2], b"no template")[number % 3])
        assert built() == first
        assert all(path.read_bytes() not in (b"", b"no template") for path in made)
    shutil.rmtree(kept)
    kept.write_text("a file where the directory was")
    assert built() == first
