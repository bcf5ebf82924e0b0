"""`thresher diff`: what changes for the people on call, between directories, files and git revisions."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from generator.diff import show
from generator.diff.compare import compare as changed
from generator.diff.expressions import differences, form
from generator.diff.read import read
from tests.conftest import Run, Thresher

Write = Callable[..., Path]
Compare = Callable[..., Run]

RULES = """\
groups:
  - name: api
    interval: 30s
    rules:
      - record: job:requests:rate5m
        expr: sum by (job) (rate(requests_total{env="prod"}[5m]))
      - alert: Slow
        expr: histogram_quantile(0.99, sum by (le) (rate(latency_bucket{env="prod"}[5m]))) > 1000
        for: 5m
        labels: {severity: warning, team: api}
        annotations: {summary: The API is slow.}
      - alert: Quiet
        expr: job:requests:rate5m{env="prod"} < 1
        labels: {severity: info}
      - alert: Missed
        expr: sum(rate(latency_bucket{env="prod", le="128"}[5m])) / sum(rate(latency_count{env="prod"}[5m])) < 0.99
"""


@pytest.fixture
def compare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, thresher: Thresher) -> Compare:
    """What is said of rules in which one text is replaced by another."""
    monkeypatch.chdir(tmp_path)

    def run(*replacements: tuple[str, str], options: tuple[str, ...] = ()) -> Run:
        after = RULES
        for old, new in replacements:
            assert old in after
            after = after.replace(old, new)
        Path("old.yaml").write_text(RULES, "utf-8")
        Path("new.yaml").write_text(after, "utf-8")
        return thresher("diff", "old.yaml", "new.yaml", *options)

    return run


@pytest.fixture
def built(write: Write, thresher: Thresher) -> Callable[..., None]:
    """Builds a profile into a directory."""

    def build(out: str, **settings: str) -> None:
        run = thresher("build", write("prod.yaml", **{"name": "prod", **settings}), "--out", out, "--prune")
        assert run.exit_code == 0, run.output

    return build


def lines(run: Run) -> list[str]:
    assert run.exit_code == 1, run.output
    return run.stdout.splitlines()[:-1]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("for: 5m", "for: 300s"),
        ('{env="prod", le="128"}', "{le='128',env='prod'}"),
        ("sum by (job) (rate(requests_total", "sum(rate(requests_total"),
        ("expr: sum by (job) (", "# a comment\n        expr: (sum) by (job) ("),
        ("labels: {severity: warning, team: api}", "labels:\n          team: 'api'\n          severity: \"warning\""),
        ("> 1000", ">   1e3"),
    ],
)
def test_formatting_is_no_difference(old: str, new: str, compare: Compare) -> None:
    if new.startswith("sum(rate"):
        run = compare((old, new), ("[5m]))\n      - alert: Slow", "[5m])) by (job)\n      - alert: Slow"))
    else:
        run = compare((old, new.replace("(sum)", "sum")))
    assert (run.exit_code, run.stdout) == (0, "old.yaml -> new.yaml: nothing changes for the people on call\n")


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (
            "> 1000", "> 2000",
            "Slow: histogram_quantile(0.99, sum(rate(latency_bucket[5m]))) > 1000 -> > 2000: fires later",
        ),
        ("< 1\n", "< 0.5\n", "Quiet: job:requests:rate5m < 1 -> < 0.5: fires later"),
        (
            "< 0.99", "< 0.999",
            "Missed: sum(rate(latency_bucket[5m])) / sum(rate(latency_count[5m])) < 0.99 -> < 0.999: fires earlier",
        ),
        ('le="128"', 'le="256"', "Missed: measured at le 128 -> 256: fires later"),
        ('le="128"', 'le=~"64(\\\\.0)?"', "Missed: measured at le 128 -> 64: fires earlier"),
        ("< 1\n", "<= 1\n", "Quiet: job:requests:rate5m < 1 -> <= 1"),
        (
            'le="128"', 'le=~"128|256"',
            'Missed: latency_bucket{le="128"} -> latency_bucket{le=~"128|256"}',
        ),
        ("for: 5m", "for: 10m", "Slow: for 5m -> 10m: fires 5 min later"),
        ("for: 5m", "keep_firing_for: 90s", "Slow: for 5m -> 0s: fires 5 min earlier"),
        ("severity: warning", "severity: critical", "Slow: severity warning -> critical"),
        ("team: api", "team: web", "Slow: label team api -> web: may reach other people"),
        ("The API is slow.", "The API is too slow.", "Slow: the notification says something else (summary)"),
        ("alert: Quiet", "alert: Calm", "Quiet: is called Calm now: routes and silences by its name no longer match"),
        ("> 1000", "> bool 1000", "Slow: is decided by another expression"),
        ("interval: 30s", "interval: 1m", "rules without a profile: rules are evaluated every 30s -> 1m"),
        (
            'env="prod"', 'env=~"prod|stage"',
            'rules without a profile: env="prod" -> env=~"prod|stage": covers more deployments now',
        ),
        (
            'requests_total{env="prod"}', 'requests_total{env="prod", zone="a"}',
            'Quiet: requests_total -> requests_total{zone="a"}: covers fewer deployments now',
        ),
    ],
)  # fmt: skip
def test_it_says_what_becomes_of_an_alert(old: str, new: str, says: str, compare: Compare) -> None:
    assert says in lines(compare((old, new)))


def test_alerts_that_come_and_go_are_named_with_what_they_tell(compare: Compare) -> None:
    gone = RULES[RULES.index("      - alert: Slow") : RULES.index("      - alert: Quiet")]
    run = compare((gone, "      - alert: Fast\n        expr: up > 5\n        labels: {severity: critical}\n"))
    assert lines(run) == [
        "Slow: removed (warning): The API is slow: nobody is told of this any more",
        "Fast: added (critical)",
    ]
    assert run.stdout.splitlines()[-1] == "old.yaml -> new.yaml: alerts: 1 added, 1 removed"


def test_who_still_reads_a_series_that_is_called_otherwise_now(compare: Compare) -> None:
    renamed = ("record: job:requests:rate5m", "record: job:api_requests:rate5m")
    assert lines(compare(renamed)) == [
        "job:requests:rate5m: is called job:api_requests:rate5m now: still read by Quiet, which will see nothing"
    ]
    run = compare(renamed, ("expr: job:requests:rate5m", "expr: job:api_requests:rate5m"))
    assert lines(run) == ["job:requests:rate5m: is called job:api_requests:rate5m now; read by Quiet"]


def test_no_change_of_a_series_is_lost_where_no_alert_tells_it(compare: Compare) -> None:
    several = ('rate(requests_total{env="prod"}', 'rate(requests_total{env="prod", le=~"1|2"}')
    assert lines(compare(several)) == [
        'job:requests:rate5m: requests_total -> requests_total{le=~"1|2"}; read by Quiet'
    ]
    window = (('requests_total{env="prod"}[5m]', 'errors_total{env="prod"}[10m]'), (":rate5m", ":rate10m"))
    assert lines(compare(*window)) == [
        "job:requests:rate5m: is called job:requests:rate10m now; read by Quiet",
        "job:requests:rate10m: records another expression; read by Quiet",
    ]


def test_expressions_that_no_parser_should_see_are_compared_word_by_word(compare: Compare) -> None:
    deep = "(" * 100_000 + "1" + ")" * 100_000
    assert "Slow: is decided by another expression" in lines(compare(("1000\n", f"{deep}\n")))
    assert form("rate(x[$__rate_interval])  > 1") == form("rate(x[$__rate_interval])>1")
    assert differences(form("up{"), form("up{}"))


def test_a_threshold_of_a_profile_is_told_with_where_it_is_measured(
    built: Callable[..., None], thresher: Thresher
) -> None:
    built("a")
    built("b", thresholds="{slow: 2s}")
    said = lines(thresher("diff", "a", "b"))
    assert said[0] == "MilvusSearchLatencySlow prod: threshold 1 s -> 2 s (measured at 1024 -> 2048 ms): fires later"
    assert all(line.startswith("dashboard ") for line in said[1:])


def test_without_manifests_the_same_is_told_from_the_rules(built: Callable[..., None], thresher: Thresher) -> None:
    built("a")
    built("b", thresholds="{slow: 2s}")
    said = lines(thresher("diff", "a/prod/rules", "b/prod/rules"))
    assert said == [
        "MilvusSearchLatencySlow prod: measured at le 1024 -> 2048: fires later",
        "MilvusLatencyBucketMissing prod: the notification says something else (description)",
    ]


@pytest.mark.parametrize("spoilt", ["thresholds", "selector", "identity", "milvus"])
def test_a_manifest_that_somebody_has_spoilt_is_as_good_as_none(
    spoilt: str, built: Callable[..., None], thresher: Thresher
) -> None:
    built("a")
    built("b", thresholds="{slow: 2s}")
    path = Path("b/prod/MANIFEST.json")
    path.write_text(json.dumps({**json.loads(path.read_text("utf-8")), spoilt: [{"a": 1}]}), "utf-8")
    assert (
        lines(thresher("diff", "a", "b"))[0] == "MilvusSearchLatencySlow prod: measured at le 1024 -> 2048: fires later"
    )


def test_what_else_a_profile_can_change(built: Callable[..., None], thresher: Thresher) -> None:
    built("a", selector="{namespace: [vectors, archive]}")
    built(
        "b", milvus='"2.6.20"', window="10m", scrape_interval="30s",
        alerts="{MilvusDown: {enabled: false}, MilvusSlowQueries: {severity: info, for: 30m, keep_firing_for: 15m}}",
    )  # fmt: skip
    said = lines(thresher("diff", "a", "b"))
    assert said[:3] == [
        "prod: Milvus 2.6.19 -> 2.6.20",
        "prod: namespace vectors or archive -> vectors: covers fewer deployments now",
        "prod: rates and shares are measured over 5m -> 10m: alerts react more slowly",
    ]
    assert "MilvusSlowQueries prod: for 10m -> 30m: fires 20 min later" in said
    assert "MilvusSlowQueries prod: keep_firing_for 5m -> 15m: resolves 10 min later" in said
    assert "MilvusSlowQueries prod: severity warning -> info" in said
    removed = "MilvusDown prod: removed (critical): A Milvus target is down: left out: disabled by the profile"
    assert removed in said
    assert any(line.startswith("MilvusDown prod: added (critical)") for line in lines(thresher("diff", "b", "a")))


def test_requests_that_get_thresholds_of_their_own(built: Callable[..., None], thresher: Thresher) -> None:
    built("a")
    built("b", operations="{query: {thresholds: {slow: 2s}}}")
    said = lines(thresher("diff", "a", "b"))
    rest, query = (f'MilvusSearchLatencySlow{{scope="{each}"}}' for each in ("search+hybrid_search", "query"))
    slower = "Too many Milvus requests are slower than 2s (measured at 2048 ms, +2%)"
    assert said[0] == "prod: thresholds are set for search+query+hybrid_search -> search+hybrid_search and query"
    assert f"{rest} prod: is for search+hybrid_search now: other requests are up to {query}" in said
    assert f"{query} prod: added (critical): {slower}" in said
    # Alerts on causes read the same of all requests as before, and nobody is told of matchers.
    assert not any("Dominates" in line or "deployments" in line or "=~" in line for line in said)
    back = lines(thresher("diff", "b", "a"))
    assert f"{query} prod: removed (critical): {slower}: its requests are up to MilvusSearchLatencySlow" in back


def test_deployments_that_get_other_names(built: Callable[..., None], thresher: Thresher) -> None:
    built("a")
    built("b", selector="{namespace: vectors, app: milvus}")
    said = lines(thresher("diff", "a", "b"))
    assert said[:2] == [
        "prod: app any -> milvus: covers fewer deployments now",
        "prod: deployments are named by namespace -> namespace, app: alerts have other labels",
    ]
    assert not any("another expression" in line for line in said)


def test_what_is_the_same_of_many_alerts_is_said_once(built: Callable[..., None], thresher: Thresher) -> None:
    built("a")
    built("b", labels="{team: search}", runbook_base_url="https://runbooks.example.com")
    said = lines(thresher("diff", "a", "b"))
    assert [line.partition(" prod: ")[2] for line in said] == [
        "label team none -> search: may reach other people",
        "runbook_url none -> https://runbooks.example.com/….md",
    ]
    assert all("MilvusSearchLatencySlow, " in line and "MilvusColdCache" in line for line in said)


def test_labels_of_milvus_do_not_tell_deployments_apart(compare: Compare) -> None:
    said = lines(compare(('requests:rate5m{env="prod"}', 'requests:rate5m{env="prod", query_type="search"}')))
    assert said == ['Quiet: job:requests:rate5m -> job:requests:rate5m{query_type="search"}: covers fewer requests now']


def test_a_profile_with_another_name_is_the_same_profile(built: Callable[..., None], thresher: Thresher) -> None:
    built("a")
    built("b", name="search")
    assert lines(thresher("diff", "a", "b")) == ["prod: is called search now"]


def test_profiles_that_come_and_go_are_told_in_one_line(
    built: Callable[..., None], write: Write, thresher: Thresher
) -> None:
    built("a")
    thresher("build", "prod.yaml", write("other.yaml", milvus='"2.3.5"'), "--out", "b")
    (said, *dashboards) = lines(thresher("diff", "a", "b"))
    assert said.startswith("other: added, ")
    assert "critical" in said
    assert all(line.startswith("dashboard ") and ": added, " in line for line in dashboards)
    (said, *_) = lines(thresher("diff", "b", "a"))
    assert said.endswith(": nobody is told any more of these deployments")


def test_deployments_of_a_fleet_that_are_covered_no_longer_or_by_other_rules(write: Write, thresher: Thresher) -> None:
    def build(out: str, *deployments: str) -> None:
        listed = "".join(f"\n  - {{selector: {{namespace: {each}}}}}" for each in deployments)
        path = write("fleet.yaml", identity="[namespace]", selector="", deployments=listed)
        assert thresher("build", path, "--out", out).exit_code == 0

    build("a", "one", "two", "three")
    build("b", "one", "two}, thresholds: {slow: 2s", "four")
    said = lines(thresher("diff", "a", "b"))
    old, new = (next(path.name for path in Path(out).iterdir() if (path / "rules").is_dir()) for out in ("a", "b"))
    assert any(line.endswith("no longer covers namespace=three: covers fewer deployments now") for line in said), (
        old,
        new,
    )
    assert any(line.endswith("covers namespace=four: covers more deployments now") for line in said)
    assert not any("another expression" in line for line in said)


def test_deployments_that_other_rules_take_over_are_not_left_alone(write: Write, thresher: Thresher) -> None:
    def build(out: str, *deployments: str) -> None:
        listed = "".join(f"\n  - {{selector: {{namespace: {each}}}}}" for each in deployments)
        path = write("fleet.yaml", identity="[namespace]", selector="", deployments=listed)
        assert thresher("build", path, "--out", out).exit_code == 0

    own = '}, milvus: "2.5.4", labels: {team: search'
    build("a", "one", f"two{own}", f"three{own}")
    build("b", "one", "two", "three")
    build("c", "one", "two")
    for out, effect in (
        ("b", "its deployments are covered by fleet-2-6-19 now"),
        ("c", "nobody is told any more of namespace=three"),
    ):
        (said,) = (line for line in lines(thresher("diff", "a", out)) if ": removed, " in line and "alerts" in line)
        assert said.endswith(f": {effect}")


def dashboard(*panels: tuple[str, str]) -> str:
    drawn = [{"title": title, "type": "stat", "targets": [{"expr": query}]} for title, query in panels]
    return json.dumps({"uid": "x", "title": "API", "panels": [{"type": "row", "title": "Top", "panels": drawn}]})


@pytest.mark.parametrize(
    ("kind", "key", "file"), [("ConfigMap", "data", "api.json"), ("GrafanaDashboard", "spec", "json")]
)
def test_panels_that_come_and_go(
    kind: str, key: str, file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, thresher: Thresher
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.json").write_text(dashboard(("Kept", "up"), ("Gone", "up"), ("Other", "up")), "utf-8")
    new = dashboard(("Come", "up"), ("Kept", " up "), ("Other", "up == 0"))
    Path("b.yaml").write_text(yaml.dump({"kind": kind, key: {file: new, "other": 1}}), "utf-8")
    assert lines(thresher("diff", "a.json", "b.yaml")) == [
        "dashboard API: panel Gone (Top) removed",
        "dashboard API: panel Come (Top) added",
        "dashboard API: 1 panel shows something else: Other (Top)",
    ]


def test_dashboards_of_every_age_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, thresher: Thresher) -> None:
    monkeypatch.chdir(tmp_path)
    new = json.loads(dashboard(("Kept", "up"), ("Come", "up")))
    (row,) = json.loads(dashboard(("Kept", "up"), ("Gone", "up")))["panels"]
    Path("a.json").write_text(json.dumps({"uid": "x", "title": "API", "rows": [{**row, "type": None}]}), "utf-8")
    Path("b.json").write_text(json.dumps({"dashboard": new, "meta": {}}), "utf-8")
    assert lines(thresher("diff", "a.json", "b.json")) == [
        "dashboard API: panel Gone (Top) removed",
        "dashboard API: panel Come (Top) added",
    ]


def test_labels_of_a_group_are_those_of_its_rules(compare: Compare) -> None:
    info = "        labels: {severity: info}\n"
    of_group = (info, ""), ("    interval: 30s\n", "    interval: 30s\n    labels: {severity: info}\n")
    said = lines(compare(*of_group))
    assert [line for line in said if line.startswith(("Slow", "Quiet"))] == []
    assert "Missed: severity none -> info" in said


def test_many_panels_share_a_line_and_one_of_several_with_a_title_may_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, thresher: Thresher
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.json").write_text(dashboard(("Same", "up"), ("Same", "up == 0")), "utf-8")
    Path("b.json").write_text(dashboard(("Same", "up"), *((f"New {number}", "up") for number in range(5))), "utf-8")
    run = thresher("diff", "a.json", "b.json")
    assert lines(run) == [
        "dashboard API: panel Same (Top) #2 removed",
        "dashboard API: 5 panels added: New 0 (Top), New 1 (Top), New 2 (Top) and 2 more",
    ]
    assert run.stdout.endswith("a.json -> b.json: dashboards: 1 changed\n")
    assert len(json.loads(thresher("diff", "a.json", "b.json", "--format", "json").stdout)["changes"]) == 6


def test_other_inhibition_rules_are_told(built: Callable[..., None], thresher: Thresher) -> None:
    built("a")
    shutil.copytree("a", "b")
    path = Path("b/prod/alertmanager/prod.alertmanager.yaml")
    config = yaml.safe_load(path.read_text("utf-8"))
    config["inhibit_rules"].pop()
    path.write_text(yaml.dump(config), "utf-8")
    assert lines(thresher("diff", "a", "b")) == ["prod: inhibition rules: 1 removed: other alerts are muted"]
    path.unlink()
    (said,) = lines(thresher("diff", "a", "b"))
    assert re.fullmatch(r"prod: inhibition rules: \d+ removed: other alerts are muted", said)


def test_rules_of_operators_are_read_like_rule_files(compare: Compare, thresher: Thresher) -> None:
    compare()
    resource = {"apiVersion": "monitoring.coreos.com/v1", "kind": "PrometheusRule", "spec": yaml.safe_load(RULES)}
    Path("new.yaml").write_text(yaml.dump_all([{"kind": "Namespace"}, resource]), "utf-8")
    assert thresher("diff", "old.yaml", "new.yaml").exit_code == 0


def git(*command: str) -> None:
    settings = ("-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false")
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    subprocess.run(["git", *settings, *command], check=True, capture_output=True, env=environment)


@pytest.fixture
def repository(compare: Compare) -> None:
    """A repository in whose working tree an alert has changed since the branch main, and since the tag v1."""
    Path("rules").mkdir()
    Path("rules/api rules.yaml").write_text(RULES, "utf-8")
    git("init", "-q", "-b", "main")
    git("add", ".")
    git("commit", "-qm", "rules")
    git("tag", "v1")
    Path("rules/api rules.yaml").write_text(RULES.replace("for: 5m", "for: 10m"), "utf-8")
    compare()


@pytest.mark.usefixtures("repository")
def test_revisions_of_git_can_be_compared_with_the_working_tree_and_with_each_other(
    thresher: Thresher, monkeypatch: pytest.MonkeyPatch
) -> None:
    says = ["Slow: for 5m -> 10m: fires 5 min later"]
    assert lines(thresher("diff", "main", "rules")) == says
    assert lines(thresher("diff", "v1:rules", "rules/api rules.yaml")) == says
    git("add", "rules")
    git("commit", "-qm", "longer")
    assert lines(thresher("diff", "v1", "main")) == says
    assert lines(thresher("diff", "HEAD~1:rules", "HEAD:rules/")) == says
    monkeypatch.chdir("rules")
    assert lines(thresher("diff", "v1", ".")) == says


@pytest.mark.usefixtures("repository")
def test_what_a_revision_does_not_have_yet_is_new(thresher: Thresher) -> None:
    shutil.move("rules", "alerts")
    assert lines(thresher("diff", "main", "alerts"))[-1] == "job:requests:rate5m: added; read by Quiet"


@pytest.mark.usefixtures("repository")
@pytest.mark.parametrize(
    ("places", "says"),
    [
        (("nowhere", "rules"), "nowhere: is no file or directory, and no revision that git knows here"),
        (("--output=x", "rules"), "No such option"),
        (("main:nowhere", "rules"), "main:nowhere: there is no rule file or dashboard at this path in main"),
        (("empty", "empty"), "empty: holds neither rules nor dashboards; give what `thresher build` wrote"),
        (("broken.yaml", "rules"), "broken.yaml: cannot be read: "),
        (("deep.yaml", "rules"), "deep.yaml: cannot be read: it is nested too deeply"),
    ],
)
def test_what_cannot_be_compared_is_a_mistake(places: tuple[str, str], says: str, thresher: Thresher) -> None:
    Path("empty").mkdir()
    Path("broken.yaml").write_text("groups: [\n", "utf-8")
    Path("deep.yaml").write_text("groups: " + "[" * 100_000, "utf-8")
    run = thresher("diff", *places)
    assert run.exit_code == 2
    assert says in run.stderr


def spoilt(data: Any) -> Iterator[Any]:
    """The data with one part after the other replaced by what nobody expects there."""
    yield from (None, 3, "x", [], {}, [1], {"a": 1}, [{"a": [2]}])
    if isinstance(data, dict):
        yield from ({**data, key: other} for key, value in data.items() for other in spoilt(value))
    elif isinstance(data, list):
        yield from ([*data[:at], other, *data[at + 1 :]] for at, value in enumerate(data) for other in spoilt(value))


MANIFEST = {
    "thresher": "1", "profile": "a", "milvus": "2.6.19", "selector": {"namespace": ["b"]}, "identity": ["namespace"],
    "deployments": [{"selector": {"namespace": "b"}}], "left_out": [{"rule": "A", "why": "b"}],
    "thresholds": [{"operations": ["search"], "slow": {"threshold": "1s", "milliseconds": "1024"}}],
}  # fmt: skip


@pytest.mark.parametrize(
    "data",
    [
        {"groups": [{"name": "a", "rules": [{"alert": "B", "expr": "up > 1", "labels": {"profile": "a"}}]}]},
        {"kind": "ConfigMap", "data": {"a.json": '{"panels": []}'}},
        json.loads(dashboard(("A", "up"))),
        {"inhibit_rules": [{"equal": ["a"]}]},
        MANIFEST,
    ],
    ids=["rules", "resource", "dashboard", "inhibition", "manifest"],
)
def test_whatever_stands_in_a_file_there_is_no_traceback(data: Any, compare: Compare) -> None:
    compare()
    for folder in ("one", "two"):
        Path(folder).mkdir()
        Path(folder, "rules.yaml").write_text(RULES.replace("team: api", "profile: a, tier: slow"), "utf-8")
        Path(folder, "MANIFEST.json").write_text(json.dumps(MANIFEST), "utf-8")
    for number, other in enumerate(spoilt(data)):
        Path("two", "MANIFEST.json" if data is MANIFEST else "other.json").write_text(json.dumps(other), "utf-8")
        changes = changed(*read(("one", "two") if number % 2 else ("two", "one")))
        assert show.markdown(changes)
        assert list(show.text(changes)) or not changes


def test_a_file_in_a_directory_that_cannot_be_read_is_named_and_left_out(compare: Compare, thresher: Thresher) -> None:
    compare()
    Path("chart").mkdir()
    Path("chart/template.yaml").write_text("groups:\n{{ range .Values }}\n", "utf-8")
    Path("chart/rules.yaml").write_text(RULES, "utf-8")
    run = thresher("diff", "old.yaml", "chart")
    assert run.exit_code == 0
    assert run.stderr.startswith("chart: template.yaml: warning: cannot be read: ")


def test_without_git_revisions_are_a_matter_of_the_environment(
    compare: Compare, thresher: Thresher, monkeypatch: pytest.MonkeyPatch
) -> None:
    compare()
    monkeypatch.setenv("PATH", "")
    run = thresher("diff", "main", "old.yaml")
    assert (run.exit_code, run.stderr) == (3, "git was not found; it is needed to compare revisions\n")


def test_changes_come_as_json(compare: Compare) -> None:
    report: dict[str, Any] = json.loads(compare(("for: 5m", "for: 10m"), options=("--format", "json")).stdout)
    assert report == {
        "findings": [],
        "changes": [
            {
                "about": "alert", "kind": "changed", "profile": "", "name": "Slow", "says": "for 5m -> 10m",
                "effect": "fires 5 min later", "read_by": [],
            }
        ],
    }  # fmt: skip


def test_markdown_shows_text_as_it_is_and_notifies_nobody(compare: Compare) -> None:
    run = compare(
        ("The API is slow.", "'@here <b>*slow*</b>'"),
        ("team: api", "team: '@web|<i>'"),
        options=("--format", "markdown"),
    )
    assert run.stdout.splitlines() == [
        "### Monitoring: alerts: 1 changed",
        "",
        "- `Slow`: label team api -> &#64;web\\|&lt;i>: **may reach other people**",
    ]


def test_markdown_fits_into_a_comment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, thresher: Thresher) -> None:
    monkeypatch.chdir(tmp_path)
    for name, amount in (("a.yaml", 1), ("b.yaml", 2)):
        rules = [{"alert": f"Alert{number}", "expr": f"up > {amount + number}"} for number in range(3000)]
        Path(name).write_text(yaml.dump({"groups": [{"name": "g", "rules": rules}]}), "utf-8")
    text = thresher("diff", "a.yaml", "b.yaml", "--format", "markdown").stdout
    assert len(text) < 65_536
    assert text.rstrip().endswith("more lines are left out.")


def test_expressions_that_would_end_the_process_are_compared_word_by_word() -> None:
    for count in (1_500, 5_000):
        for operator in (" < ", " atan2 ", " + "):
            assert form(operator.join(["a"] * count))[0] == "words"


def test_what_is_no_number_is_what_it_was() -> None:
    assert form("x or vector(NaN)") == form("x  or  vector(NaN)")
