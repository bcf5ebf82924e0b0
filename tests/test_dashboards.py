"""Dashboards: what a profile's two show, that every Grafana can import them, and that no query is in vain."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from generator import build, catalog, source, templates
from generator.dashboards import definitions, panels
from generator.dashboards.documents import in_seconds, uid
from generator.profile.resolve import resolve
from generator.units import Duration
from tests.conftest import EXAMPLES, Compiled, Thresher

Dashboard = dict[str, Any]
Write = Callable[..., Path]

EVERY_EXAMPLE = sorted(EXAMPLES.glob("out/*/dashboards/*.json"))
IDS = [path.name for path in EVERY_EXAMPLE]


def load(path: Path) -> Dashboard:
    found: Dashboard = json.loads(path.read_text("utf-8"))
    return found


def panels_of(dashboard: Dashboard) -> Iterator[dict[str, Any]]:
    """Every panel that is no headline, also those in closed rows."""
    for panel in dashboard["panels"]:
        if panel["type"] == "row":
            yield from panel["panels"]
        else:
            yield panel


def titled(dashboard: Dashboard, title: str) -> dict[str, Any]:
    found = [panel for panel in panels_of(dashboard) if panel["title"] == title]
    assert found, title
    return found[0]


def expressions(dashboard: Dashboard) -> str:
    return "\n".join(target["expr"] for panel in panels_of(dashboard) for target in panel["targets"])


@pytest.fixture
def dashboards(write: Write, thresher: Thresher) -> Callable[..., dict[str, Dashboard]]:
    """Builds a profile with these settings and reads its dashboards, by their names."""

    def compiled(**settings: str) -> dict[str, Dashboard]:
        run = thresher("build", write("profile.yaml", **settings), "--out", "out")
        assert run.exit_code == 0, run.output
        return {path.stem.split(".")[1]: load(path) for path in Path("out/profile/dashboards").iterdir()}

    return compiled


Compile = Callable[..., dict[str, Dashboard]]


def test_a_profile_yields_two_dashboards(dashboards: Compile) -> None:
    assert {each["title"] for each in dashboards().values()} == {
        "Milvus search latency / profile",
        "Milvus slow-search diagnosis / profile",
    }


@pytest.mark.parametrize("path", EVERY_EXAMPLE, ids=IDS)
class TestImport:
    """Every way of importing takes every example."""

    def test_it_is_named_for_good(self, path: Path) -> None:
        dashboard = load(path)
        assert dashboard["id"] is None
        assert re.fullmatch(r"[a-z0-9-]{1,40}", dashboard["uid"])
        assert dashboard["uid"].startswith("milvus-")

    def test_nothing_has_to_be_asked_on_import(self, path: Path) -> None:
        text = path.read_text("utf-8")
        assert "__inputs" not in text
        assert "DS_PROMETHEUS" not in text

    def test_it_fits_into_a_config_map(self, path: Path) -> None:
        assert path.stat().st_size < 200_000

    def test_panels_have_ids_and_places_of_their_own(self, path: Path) -> None:
        dashboard = load(path)
        everything = [*panels_of(dashboard), *(each for each in dashboard["panels"] if each["type"] == "row")]
        assert len({panel["id"] for panel in everything}) == len(everything)
        taken = set()
        for panel in dashboard["panels"]:
            place = panel["gridPos"]
            assert place["x"] + place["w"] <= 24
            for cell in (
                (x, y)
                for x in range(place["x"], place["x"] + place["w"])
                for y in range(place["y"], place["y"] + place["h"])
            ):
                assert cell not in taken, panel["title"]
                taken.add(cell)

    def test_it_can_be_read_side_by_side_with_others(self, path: Path) -> None:
        dashboard = load(path)
        assert dashboard["graphTooltip"] == 1
        assert {"milvus", "thresher"} <= set(dashboard["tags"])
        assert all(link["keepTime"] and link["includeVars"] for link in dashboard["links"])

    def test_what_is_not_known_now_is_not_shown_as_if_it_were(self, path: Path) -> None:
        for panel in panels_of(load(path)):
            if panel["type"] in ("stat", "bargauge"):
                assert panel["options"]["reduceOptions"]["calcs"] == ["last"]

    def test_no_key_of_the_sdk_is_left_that_grafana_does_not_have(self, path: Path) -> None:
        text = path.read_text("utf-8")
        for stray in ("inControlsMenu", "auto_min", "auto_count", "footer", "repeatDirection"):
            assert f'"{stray}"' not in text

    def test_legends_lie_below_what_they_explain(self, path: Path) -> None:
        for panel in panels_of(load(path)):
            if panel["type"] == "timeseries":
                assert panel["options"]["legend"]["placement"] == "bottom"


def test_no_two_dashboards_of_the_examples_have_one_uid() -> None:
    uids = [load(path)["uid"] for path in EVERY_EXAMPLE]
    assert len(set(uids)) == len(uids)


def test_a_long_name_makes_a_uid_that_fits_and_stays_its_own() -> None:
    one, other = (uid("diagnosis", f"{'a' * 60}-{end}") for end in ("x", "y"))
    assert one != other
    assert len(one) <= 40
    assert uid("latency", "prod") == "milvus-latency-prod"


def test_thresholds_are_dashed_lines_where_they_are_measured(dashboards: Compile) -> None:
    panel = titled(dashboards(thresholds="{healthy: 30ms, investigate: 100ms, slow: 1s}")["latency"], "Search: latency")
    steps = panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
    assert [(step["value"], step["color"]) for step in steps[1:4]] == [(32, "green"), (128, "orange"), (1024, "red")]
    assert panel["fieldConfig"]["defaults"]["custom"]["thresholdsStyle"] == {"mode": "dashed"}
    assert "investigate 100ms is measured at 128 ms, +28%" in panel["description"]


def test_what_is_interpolated_is_not_called_exact(dashboards: Compile) -> None:
    for panel in panels_of(dashboards(snap="interpolate")["latency"]):
        assert "interpolated between 64 and 128 ms" not in panel["description"] or (
            "exact" not in panel["description"].lower()
        )


def test_an_operation_with_thresholds_of_its_own_has_its_own_lines(dashboards: Compile) -> None:
    found = dashboards(operations="{query: {thresholds: {slow: 2s}}}")["latency"]
    tops = [
        panel["fieldConfig"]["defaults"]["thresholds"]["steps"][3]["value"]
        for panel in panels_of(found)
        if panel["title"].endswith(": latency")
    ]
    assert tops == [1024, 1024, 2048]


def test_a_collection_with_thresholds_of_its_own_has_its_own_row(dashboards: Compile) -> None:
    found = dashboards(milvus='"2.4.23"', collections="{products: {thresholds: {slow: 500ms}}}")["latency"]
    rows = [panel["title"] for panel in found["panels"] if panel["type"] == "row"]
    assert "Search of other collections" in rows
    assert "Search of products" in rows


def test_the_latency_of_other_collections_is_not_that_of_all(dashboards: Compile) -> None:
    found = dashboards(milvus='"2.4.23"', collections="{products: {thresholds: {slow: 500ms}}}")["latency"]
    p99, p95, p50, _ = titled(found, "Search of other collections: latency")["targets"]
    assert all('collection_name!="products"' in target["expr"] for target in (p99, p95, p50))
    assert "Latency of search of other collections, at the proxy." in json.dumps(found)


def test_the_tier_is_decided_by_what_the_alerts_of_the_profile_allow(dashboards: Compile) -> None:
    alerts = "{MilvusSearchLatencySlow: {quantile: 0.95}, MilvusRequestsFailing: {threshold: 2%}}"
    expr = titled(dashboards(alerts=alerts)["latency"], "Tier now")["targets"][0]["expr"]
    assert re.search(r'tier="slow"\} < 0\.95\b', expr)
    assert re.search(r'tier="investigate"\} < 0\.99\b', expr)
    assert re.search(r"> 0\.02\b", expr)


def test_the_tier_is_failing_where_requests_arrive_and_none_has_a_latency(dashboards: Compile) -> None:
    queries = titled(dashboards()["latency"], "Tier now")["targets"]
    for query in queries:
        *_, last_tier, failing, nothing, gone = re.split(r"^or ", query["expr"], flags=re.MULTILINE)
        assert 'tier="healthy"' in last_tier
        assert failing.startswith("5 * max(")
        assert len(re.findall("milvus_searches_received", failing)) == 2
        assert (nothing.split()[0], gone.split()[0]) == ("-1", "6")


def test_every_query_is_about_the_deployment_that_is_chosen(dashboards: Compile) -> None:
    found = dashboards(selector="{job: milvus, namespace: vectors}", identity="[cluster, namespace]")
    for dashboard in found.values():
        for selector in re.findall(r"[\w:]+\{([^{}]*)\}", expressions(dashboard)):
            assert 'cluster="$cluster"' in selector
            assert 'namespace="$namespace"' in selector
            assert 'profile="profile"' in selector or 'job="milvus"' in selector


def test_what_names_a_deployment_is_asked_for_only_where_the_profile_does_not_say_it(dashboards: Compile) -> None:
    found = dashboards(selector="{namespace: vectors}", identity="[cluster, namespace]")["latency"]
    variables = {each["name"]: each for each in found["templating"]["list"]}
    assert variables["namespace"]["type"] == "custom"
    assert variables["namespace"]["current"]["value"] == "vectors"
    assert variables["cluster"]["type"] == "query"
    assert "ALERTS" in variables["cluster"]["query"]["query"]


def test_labels_that_would_clash_with_grafanas_own_names_become_other_variables(dashboards: Compile) -> None:
    found = dashboards(selector="{datasource: a}")["latency"]
    assert [each["name"] for each in found["templating"]["list"]][:2] == ["datasource", "label_datasource"]
    assert 'datasource="$label_datasource"' in expressions(found)
    found = dashboards(selector="{proxy_node: a}")["latency"]
    assert [each["name"] for each in found["templating"]["list"]][1:3] == ["label_proxy_node", "proxy_node"]


def test_grafana_finds_no_variable_in_a_value_of_the_profile(dashboards: Compile) -> None:
    found = dashboards(selector="{namespace: vectors, team: 'a$datasource'}", identity="[namespace]")["diagnosis"]
    assert "a$datasource" not in expressions(found)
    assert 'team=~"a.datasource"' in expressions(found)


def test_hostile_values_are_data(dashboards: Compile) -> None:
    value = '"}) or vector(1) #'
    found = dashboards(selector=f"{{namespace: {json.dumps(value)}}}")["latency"]
    assert "vector(1)" not in expressions(found)
    assert found["templating"]["list"][1]["current"]["value"] == value


def test_runbooks_are_linked_where_the_profile_knows_them(dashboards: Compile) -> None:
    def links(dashboard: Dashboard) -> list[str]:
        return [link["url"] for link in titled(dashboard, "Alerts")["fieldConfig"]["defaults"].get("links", [])]

    assert links(dashboards(runbook_base_url="https://runbooks.example.com")["latency"]) == [
        "https://runbooks.example.com/${__field.labels.alertname}.md"
    ]
    assert links(dashboards()["latency"]) == []


def test_links_to_the_other_dashboard_carry_time_and_variables(dashboards: Compile) -> None:
    found = dashboards()
    (link,) = titled(found["latency"], "Tier now")["fieldConfig"]["defaults"]["links"]
    assert link["url"] == f"/d/{found['diagnosis']['uid']}?${{__url_time_range}}&${{__all_variables}}"


def lines(panel: dict[str, Any]) -> list[float]:
    """Where the dashed lines of a panel lie."""
    steps = panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
    dashed = panel["fieldConfig"]["defaults"]["custom"]["thresholdsStyle"]["mode"] == "dashed"
    return [step["value"] for step in steps if step["value"] is not None] if dashed else []


DISK = "{exporter: node_exporter, selector: {job: node}}"
CAUSES = sorted(alert.name for alert in templates.load().alerts.values() if alert.cause)


@pytest.mark.parametrize("alert", CAUSES)
def test_every_alert_on_a_cause_has_its_evidence_with_a_line_where_it_decides(alert: str) -> None:
    files = of_release("2.6.21", f"cpus: 8\ndisk: {DISK}\nrunbook_base_url: https://runbooks.example.com\n").files
    (diagnosis,) = (json.loads(text) for path, text in files.items() if path.name.endswith(".diagnosis.json"))
    shown = [panel for panel in panels_of(diagnosis) if f"{alert} fires when " in panel["description"]]
    assert shown, f"dashboards/diagnosis.yaml has no panel with `alert: {alert}`"
    for panel in shown:
        assert lines(panel), panel["title"]
        (link,) = panel["links"]
        assert link["url"] == f"https://runbooks.example.com/{alert}.md"


@pytest.mark.parametrize(
    ("alerts", "title", "line"),
    [
        ("{MilvusSearchQueueing: {threshold: 25%}}", "Queue: share of the time", 0.25),
        ("{MilvusRequestsFailing: {threshold: 20%}}", "Failed and rejected", 0.2),
        ("{MilvusSlowQueries: {threshold: 5/m}}", "Slow queries per minute", 5),
        ("{MilvusSearchQueueing: {min_time: 1s}}", "Queue: mean wait", 1000),
        ("{MilvusLargeSearchBatches: {least: 64}}", "Vectors per search (NQ)", 64),
        ("{MilvusColdCache: {threshold: 2h}}", "How long query nodes have run", 7200),
        ("{MilvusVersionRegression: {threshold: 3x}}", "Mean latency against a day ago", 3),
        ("{MilvusCPUSaturated: {threshold: 75%}}", "Processors in use", 6),
        ("{MilvusDiskSaturated: {threshold: 75%}}", "Disks", 0.75),
    ],
)
def test_the_line_is_where_the_profile_puts_it(dashboards: Compile, alerts: str, title: str, line: float) -> None:
    found = dashboards(alerts=alerts, cpus="8", disk=DISK)
    (panel,) = (panel for board in found.values() for panel in panels_of(board) if panel["title"] == title)
    assert lines(panel) == [line]


def test_a_panel_reads_the_disks_that_the_profile_names(dashboards: Compile) -> None:
    disk = "{exporter: cadvisor, selector: {id: /}, shared: [cluster]}"
    found = dashboards(selector="{job: milvus}", identity="[cluster, namespace]", disk=disk)
    (target,) = titled(found["diagnosis"], "Disks")["targets"]
    disks = 'container_fs_io_time_seconds_total{cluster="$cluster", id="/"}'
    assert target["expr"] == f"max by (instance, device) (rate({disks}[$__rate_interval]))"


def test_a_panel_without_disks_is_left_out_and_reported(compiled: Callable[..., Compiled]) -> None:
    left_out = {each["panel"]: each["why"] for each in compiled().manifest["panels_left_out"]}
    assert "the profile does not say which disks" in left_out['the panel "Disks" (diagnosis)']


def test_an_alert_that_is_not_there_has_no_line_and_its_panel_says_why(dashboards: Compile) -> None:
    disabled = json.dumps({name: {"enabled": False} for name in ("MilvusSearchQueueing", "MilvusRequestsFailing")})
    found = dashboards(alerts=disabled, runbook_base_url="https://example.com")
    queue, cores = (titled(found["diagnosis"], title) for title in ("Queue: mean wait", "Processors in use"))
    failed = titled(found["latency"], "Failed and rejected")
    gone = "is left out, and with it the line where it would fire: disabled by the profile."
    assert queue["description"].endswith(f"MilvusSearchQueueing {gone}")
    assert failed["description"].endswith(f"MilvusRequestsFailing {gone}")
    assert "the profile does not say how many CPUs a query node may use" in cores["description"]
    assert (lines(queue), lines(cores), lines(failed)) == ([], [], [])
    assert "links" not in queue


def test_a_panel_says_when_its_alert_fires_for_every_scope(dashboards: Compile) -> None:
    found = dashboards(collections="{hot: {thresholds: {slow_query_span: 10s}}}")
    panel = titled(found["latency"], "Slow queries per minute")
    assert "to other collections take longer than 5s" in panel["description"]
    assert "; or when more than 1/m of search, query and hybrid_search requests to hot take" in panel["description"]
    assert lines(panel) == [1]


def test_variables_that_links_carry_mean_the_same_in_both_dashboards(dashboards: Compile) -> None:
    """A link sets what has the same name there: the number of a proxy is none of a query node."""
    of_name: dict[str, set[str]] = {}
    for board in dashboards().values():
        for variable in board["templating"]["list"]:
            of_name.setdefault(variable["name"], set()).add(json.dumps(variable))
    assert {"proxy_node", "query_node", "namespace"} <= of_name.keys()
    assert all(len(definitions) == 1 for definitions in of_name.values())


def test_every_threshold_is_in_sight_on_a_logarithmic_scale_too(dashboards: Compile) -> None:
    """Grafana passes over the soft maximum of such a scale, and fits it to the series: one of them reaches up."""
    panel = titled(dashboards()["latency"], "Search: latency")
    reaching = [target for target in panel["targets"] if target["expr"] == f"vector({lines(panel)[-1]})"]
    (hidden,) = (
        {each["id"]: each["value"] for each in override["properties"]}
        for override in panel["fieldConfig"]["overrides"]
        if override["matcher"]["options"] == reaching[0]["legendFormat"]
    )
    assert hidden == {"custom.lineWidth": 0, "custom.hideFrom": {"legend": True, "tooltip": True, "viz": False}}


def test_a_release_with_less_has_fewer_panels_and_the_build_says_which(write: Write, thresher: Thresher) -> None:
    write("old.yaml", milvus='"2.3.0"')
    report = thresher("build", "old.yaml").stdout
    assert (
        'the panel "Share of the scalar filter" (diagnosis) are left out: milvus_search_scalar_filter_share is'
        in report
    )
    manifest = json.loads(Path("out/old/MANIFEST.json").read_text("utf-8"))
    named = [each["panel"] for each in manifest["panels_left_out"]]
    assert 'the panel "Share of the scalar filter" (diagnosis)' in named
    assert "scalar_filter_share" not in expressions(load(Path("out/old/dashboards/old.diagnosis.json")))


@cache
def of_release(release: str, settings: str = "") -> build.Built:
    text = f'version: 1\nname: default\nmilvus: "{release}"\nselector: {{namespace: milvus}}\n{settings}'
    document, _ = source.parse(text, "default")
    assert document
    profile, _ = resolve(document, build.loader().defaults)
    assert profile
    built = build.build_profile(profile)
    assert isinstance(built, build.Built)
    return built


@pytest.mark.parametrize("branch", catalog.branches())
def test_every_release_has_dashboards_without_an_unsound_query(branch: str) -> None:
    for release in catalog.releases(branch):
        assert len([path for path in of_release(release).files if path.suffix == ".json"]) == 3, release


def test_the_newest_release_of_today_lacks_nothing() -> None:
    assert of_release("2.6.21", f"disk: {DISK}\n").remarks == ()


def test_a_definition_reads_no_metric_that_never_existed() -> None:
    known = {metric.name for branch in catalog.branches() for metric in catalog.release(branch).metrics()}
    old = {metric.name for release in catalog.releases("2.3") for metric in catalog.release(release).metrics()}
    for definition in definitions.load():
        assert definition.metrics <= known | old | catalog.of_exporters().keys(), definition.name


def test_same_profile_same_bytes(write: Write, thresher: Thresher) -> None:
    write("one.yaml")
    thresher("build", "one.yaml", "--out", "first")
    write("another.yaml", selector="{namespace: elsewhere}")
    thresher("build", "another.yaml", "one.yaml", "--out", "second")
    for path in Path("first/one/dashboards").iterdir():
        assert path.read_bytes() == Path("second/one/dashboards", path.name).read_bytes()


@pytest.mark.parametrize(
    ("given", "written"), [("15s", "15s"), ("1m30s", "90s"), ("1500ms", "1500ms"), ("1h", "3600s")]
)
def test_intervals_are_written_as_grafana_reads_them(given: str, written: str) -> None:
    assert in_seconds(Duration.parse(given)) == written


def definition(**panel: Any) -> str:
    """A dashboard with one panel."""
    query = {"legend": "x", "expr": panel.pop("expr", "sum(deployment:milvus_searches_received:rate{})")}
    whole = {
        "panel": "P", "says": "It says.", "shows": "time series", "size": [8, 8], "unit": "requests per second",
        "queries": [query], **panel,
    }  # fmt: skip
    rows = [{"panels": [whole]}]
    metrics = ["milvus_proxy_sq_latency"]
    return json.dumps({"dashboard": "d", "title": "D", "says": "D.", "order": 1, "metrics": metrics, "rows": rows})


def filled(text: str) -> panels.Filled:
    rule_set = of_release("2.6.19").rule_set
    found = definitions.parse("d.yaml", text)
    view = catalog.view(rule_set.release, found.metrics)
    about = panels.reach(rule_set.setting, view, panels.records_of(rule_set))
    return panels.fill(found, about, panels.context_of(rule_set))


@pytest.mark.parametrize(
    ("panel", "problem"),
    [
        ({"unit": "milliseconds"}, "yields 1/s, which is not shown as milliseconds"),
        ({"expr": "deployment:milvus_searches_received:rate{} > 0 or sum(x)"}, "x is not among the `metrics`"),
        ({"expr": "sum(milvus_proxy_sq_latency_count{})"}, "must be rated"),
        ({"unit": "per minute"}, "60 times"),
        ({"alert": "MilvusSleepy"}, "there is no alert MilvusSleepy"),
        ({"shows": "pie"}, "shows pie; known: stat"),
        ({"colur": "red"}, "unknown key colur"),
        ({"title": "P"}, "unknown key title"),
        ({"says": "<< kinds.nobody >>"}, "nobody"),
    ],
)
def test_a_wrong_definition_is_refused_with_its_place(panel: dict[str, Any], problem: str) -> None:
    with pytest.raises(definitions.DefinitionError, match=problem) as error:
        filled(definition(**panel))
    assert str(error.value).startswith("d.yaml:1: P")


def test_a_mistake_in_a_definition_is_a_message_of_the_command(
    write: Write, thresher: Thresher, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> None:
        raise definitions.DefinitionError("latency.yaml:3: P: unknown key colur")

    monkeypatch.setattr(definitions, "load", broken)
    run = thresher("build", write("prod.yaml"))
    assert run.exit_code == 2
    assert run.stderr == "dashboards/latency.yaml:3: P: unknown key colur\n"


FLEET = """\
version: 1
name: fleet
milvus: "2.6.19"
deployments:
  - selector: {cluster: eu, namespace: a}
  - selector: {cluster: eu, namespace: b}
    thresholds: {slow: 2s}
    alerts: {MilvusSearchLatencySlow: {quantile: 0.9}}
  - selector: {cluster: us, namespace: a}
    window: 10m
"""


@pytest.fixture
def overview(write: Write, thresher: Thresher) -> Dashboard:
    """The overview of a fleet of three deployments, each of its own behaviour."""
    run = thresher("build", write("fleet.yaml", FLEET))
    assert run.exit_code == 0, run.output
    assert "fleet: an overview of its deployments" in run.stdout
    return load(Path("out/fleet/dashboards/fleet.fleet.json"))


def test_a_fleet_has_a_row_for_every_deployment_worst_first(overview: Dashboard) -> None:
    table = titled(overview, "Deployments")
    assert table["options"]["sortBy"][0] == {"displayName": "Tier", "desc": True}
    assert "by (cluster, namespace, profile)" in table["targets"][0]["expr"]


def test_each_deployment_of_a_fleet_is_judged_by_the_limits_of_its_own_alerts(overview: Dashboard) -> None:
    tier = titled(overview, "Deployments")["targets"][0]["expr"]
    assert "< 0.9)" in tier
    assert "< 0.99)" in tier


def test_series_over_different_windows_stand_side_by_side(overview: Dashboard) -> None:
    expr = next(target["expr"] for target in titled(overview, "Deployments")["targets"] if target["refId"] == "C")
    found = re.findall(r"\((deployment:milvus_searches_received:rate\w+)\{[^}]*\} or (deployment:\S+?)\{", expr)
    assert {each.removeprefix("deployment:milvus_searches_received:") for each in found[0]} == {"rate5m", "rate10m"}


def test_a_row_of_a_fleet_opens_that_deployment(overview: Dashboard) -> None:
    (link,) = titled(overview, "Deployments")["fieldConfig"]["defaults"]["links"]
    assert link["url"] == (
        "/d/milvus-latency-${__data.fields.profile}?${__url_time_range}"
        "&var-cluster=${__data.fields.cluster}&var-namespace=${__data.fields.namespace}"
    )
    dashboards = [load(path) for path in Path("out").glob("fleet-*/dashboards/*.latency.json")]
    assert len(dashboards) == 3
    for dashboard in dashboards:
        assert dashboard["uid"] == "milvus-latency-" + dashboard["title"].split(" / ")[1]
        assert [each["name"] for each in dashboard["templating"]["list"]][1:3] == ["cluster", "namespace"]


def test_a_profile_cannot_have_the_name_of_a_fleet(write: Write, thresher: Thresher) -> None:
    write("a.yaml", FLEET)
    run = thresher("build", "a.yaml", write("fleet.yaml"))
    assert run.exit_code == 2
    assert "fleet is also the name in a.yaml:2" in run.stderr
