"""Fleet files: as few rule sets as there are behaviours, and no deployment judged by the rules of another."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from generator.build import Built, build
from tests.conftest import Thresher

Write = Callable[..., Path]

HEAD = 'version: 1\nname: fleet\nmilvus: "2.5.4"\ndeployments:\n'


def fleet(*deployments: str) -> str:
    return HEAD + "".join(f"  - {{{deployment}}}\n" for deployment in deployments)


def manifests() -> dict[str, dict[str, Any]]:
    """The manifests of rule sets, by their names; that of the fleet as a whole is none of them."""
    found = {path.parent.name: json.loads(path.read_text("utf-8")) for path in Path("out").glob("*/MANIFEST.json")}
    return {name: manifest for name, manifest in sorted(found.items()) if "rules" in manifest}


def matches(selector: str, labels: dict[str, str]) -> bool:
    """Whether PromQL matchers, as they stand in a rule, match a series with these labels."""
    for label, operator, value in re.findall(r'(\w+)(=~?)"((?:[^"\\]|\\.)*)"', selector):
        pattern = value.replace("\\\\", "\\") if operator == "=~" else re.escape(value)
        if not re.fullmatch(pattern, labels.get(label, "")):
            return False
    return True


def test_the_overview_tells_deployments_apart_by_every_label_that_names_one(write: Write, thresher: Thresher) -> None:
    pods = [f"selector: {{namespace: b, pod: {pod}}}" for pod in "xy"]
    for deployments in (["selector: {namespace: a}", *pods], [*pods, "selector: {namespace: a}"]):
        run = thresher("build", write("fleet.yaml", fleet(*deployments)))
        assert run.exit_code == 0, run.output
        text = Path("out/fleet/dashboards/fleet.fleet.json").read_text("utf-8")
        told = {frozenset(labels.split(", ")) for labels in re.findall(r"by \(([\w, ]*profile)\)", text)}
        assert told == {frozenset({"namespace", "pod", "profile"})}
        assert "var-pod=${__data.fields.pod}" in text


def test_a_thousand_deployments_with_six_behaviours_are_six_rule_sets(write: Write, thresher: Thresher) -> None:
    thresholds = ["", ", thresholds: {slow: 2s}", ", thresholds: {investigate: 200ms}"]
    releases = ["", ', milvus: "2.6.19"']
    write(
        "fleet.yaml",
        fleet(
            *(
                f"selector: {{namespace: t-{number}, app: m-{number}}}{thresholds[number % 3]}{releases[number % 2]}"
                for number in range(1000)
            )
        ),
    )
    assert thresher("build", "fleet.yaml").exit_code == 0
    found = manifests()
    assert len(found) == 6
    assert sum(len(each["deployments"]) for each in found.values()) == 1000
    rules = [group for name in found for group in rule_groups(name)]
    assert len(rules) <= 70
    assert all(len(group["rules"]) <= 20 for group in rules)


def rule_groups(name: str) -> list[dict[str, list[dict[str, str]]]]:
    groups: list[dict[str, list[dict[str, str]]]] = yaml.safe_load(
        Path(f"out/{name}/rules/{name}.rules.yaml").read_text("utf-8")
    )["groups"]
    return groups


def test_patch_releases_with_the_same_rules_share_a_rule_set(write: Write, thresher: Thresher) -> None:
    write("fleet.yaml", fleet('selector: {ns: a}, milvus: "2.6.19"', 'selector: {ns: b}, milvus: "2.6.20"'))
    assert thresher("build", "fleet.yaml").exit_code == 0
    (manifest,) = manifests().values()
    assert manifest["profile"] == "fleet-2-6-20"
    assert manifest["deployments"] == [
        {"milvus": "2.6.19", "selector": {"ns": "a"}},
        {"milvus": "2.6.20", "selector": {"ns": "b"}},
    ]


def test_equal_thresholds_written_differently_are_one_behaviour(write: Write, thresher: Thresher) -> None:
    write(
        "fleet.yaml",
        fleet("selector: {ns: a}, thresholds: {slow: 2s}", "selector: {ns: b}, thresholds: {slow: 2000ms}"),
    )
    assert thresher("build", "fleet.yaml").exit_code == 0
    assert len(manifests()) == 1


def test_different_thresholds_on_one_bucket_stay_apart_because_alerts_name_them(
    write: Write, thresher: Thresher
) -> None:
    write(
        "fleet.yaml",
        fleet("selector: {ns: a}, thresholds: {slow: 1s}", "selector: {ns: b}, thresholds: {slow: 1100ms}"),
    )
    assert thresher("build", "fleet.yaml").exit_code == 0
    assert len(manifests()) == 2


def test_a_merged_selector_that_would_match_a_deployment_of_another_set_is_split(
    write: Write, thresher: Thresher
) -> None:
    write(
        "fleet.yaml",
        fleet(
            "selector: {cluster: eu, ns: a}",
            "selector: {cluster: us, ns: b}",
            "selector: {cluster: eu, ns: b}, thresholds: {slow: 2s}",
        ),
    )
    run = thresher("build", "fleet.yaml")
    assert run.exit_code == 0
    assert "2 deployments with the same rules need 2 rule sets" in run.stderr
    assert "might match cluster=eu, ns=b too" in run.stderr
    assert len(manifests()) == 3


def test_deployments_that_results_could_not_tell_apart_are_not_merged(write: Write, thresher: Thresher) -> None:
    write("fleet.yaml", fleet("selector: {cluster: eu, ns: a}", "selector: {cluster: us, ns: a}") + "identity: [ns]\n")
    assert thresher("build", "fleet.yaml").exit_code == 0
    assert len(manifests()) == 2


def test_a_deployment_keeps_its_rule_set_when_others_come_and_go(write: Write, thresher: Thresher) -> None:
    write("fleet.yaml", fleet("selector: {ns: a}", "selector: {ns: b}, thresholds: {slow: 2s}"))
    assert thresher("build", "fleet.yaml").exit_code == 0
    before = set(manifests())
    write(
        "fleet.yaml",
        fleet(
            "selector: {ns: c}, thresholds: {slow: 3s}",
            "selector: {ns: b}, thresholds: {slow: 2s}",
            "selector: {ns: a}",
        ),
    )
    assert thresher("build", "fleet.yaml").exit_code == 0
    assert before < set(manifests())


_DEPLOYMENTS = st.lists(
    st.tuples(st.sampled_from("abc"), st.sampled_from("abc"), st.sampled_from(["1s", "2s", "4s"])),
    min_size=1, max_size=9, unique_by=lambda each: each[:2],
)  # fmt: skip


@settings(max_examples=60)
@given(_DEPLOYMENTS)
def test_every_deployment_is_matched_by_exactly_one_rule_set_and_that_is_its_own(
    deployments: list[tuple[str, str, str]],
) -> None:
    entries = (f"selector: {{cluster: c-{a}, ns: n-{b}}}, thresholds: {{slow: {slow}}}" for a, b, slow in deployments)
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "fleet.yaml").write_text(fleet(*entries), "utf-8")
        built = [each for each in build([Path(folder, "fleet.yaml")]) if isinstance(each, Built)]
    for a, b, slow in deployments:
        mine = [each for each in built if matches(selector_of(each), {"cluster": f"c-{a}", "ns": f"n-{b}"})]
        assert len(mine) == 1
        assert str(mine[0].profile.scopes[0].thresholds.slow) == slow


def selector_of(built: Built) -> str:
    rules = next(content for path, content in built.files.items() if path.name.endswith(".rules.yaml")).decode()
    found = re.search(r"milvus_num_node\{([^}]*), role_name", rules)
    assert found
    return found[1]


def test_many_kinds_of_selectors_are_refused_at_once(thresher: Thresher, write: Write) -> None:
    write("fleet.yaml", fleet(*(f"selector: {{l{number}: a}}" for number in range(300))))
    run = thresher("build", "fleet.yaml")
    assert run.exit_code == 2
    assert run.stderr.count("may select the same series") == 19
    assert "by more than 20 different sets of labels; select all deployments by the same labels" in run.stderr


def test_a_rule_set_keeps_its_name_when_others_go(thresher: Thresher, write: Write) -> None:
    head = HEAD.replace("deployments", "identity: [namespace]\ndeployments")
    one, other = "  - selector: {namespace: a, env: x}\n", "  - selector: {namespace: b, env: y}\n"
    write("fleet.yaml", head + one + other)
    thresher("build", "fleet.yaml")
    both = set(manifests())
    write("fleet.yaml", head + other)
    thresher("build", "fleet.yaml", "--prune")
    assert len(both) == 2
    assert set(manifests()) < both


def test_more_rule_sets_than_anybody_could_load_are_refused(write: Write, thresher: Thresher) -> None:
    alike = fleet(*(f"selector: {{namespace: t-{number}, app: m}}" for number in range(1001)))
    write("fleet.yaml", alike)
    assert thresher("build", "fleet.yaml").exit_code == 0
    for text in (
        alike.replace("deployments:", "identity: [app]\ndeployments:"),
        fleet(*(f"selector: {{namespace: t-{number}}}, labels: {{team: t-{number}}}" for number in range(1001))),
    ):
        write("fleet.yaml", text)
        run = thresher("build", "fleet.yaml")
        assert run.exit_code == 2
        assert run.stderr.startswith("fleet.yaml: deployments: the deployments need more than 1000 rule sets; ")


def test_more_deployments_than_a_file_may_have_are_refused(write: Write, thresher: Thresher) -> None:
    write("fleet.yaml", fleet(*["selector: {a: b}"] * 10_001))
    run = thresher("build", "fleet.yaml")
    assert run.stderr == "fleet.yaml:5:3: deployments: 10001 entries; at most 10000: split the fleet\n"


def test_what_is_said_twice_parts_no_deployments(write: Write, thresher: Thresher) -> None:
    settings = "identity: [cluster, namespace]\nlabels: {team: search}\nannotations: {note: call us}\n"
    deployments = [
        "selector: {cluster: eu, namespace: a}",
        "selector: {cluster: eu, namespace: b}, alerts: {MilvusDown: {labels: {team: search}}}",
        "selector: {cluster: eu, namespace: c}, alerts: {MilvusDown: {annotations: {note: call us}}}",
    ]
    write("fleet.yaml", fleet(*deployments).replace("deployments:", f"{settings}deployments:"))
    assert thresher("build", "fleet.yaml").exit_code == 0
    assert len(manifests()) == 1
