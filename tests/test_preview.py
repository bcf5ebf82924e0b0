"""`thresher preview`: dashboards as one page, from the answers of a server or from the scenarios of the tests."""

from __future__ import annotations

import json
import re
import threading
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from generator.preview import prometheus, scales
from tests.conftest import Run, Thresher

Write = Callable[..., Path]
Labels = Mapping[str, str]


@dataclass
class Api:
    """An HTTP API that gives every query the same series; queries with `refused` in them it refuses, and
    those with `hangs` it answers when the test is over. Without `values` it knows of no labels.

    `raw` is what it answers to everything instead, with a status. `asked` are the forms that it got.
    """

    series: list[tuple[Labels, float]] = field(default_factory=lambda: [({"le": "+Inf", "alertname": "A"}, 0.25)])
    values: list[str] | None = field(default_factory=lambda: ["vectors", "other"])
    refused: str = "no such word"
    hangs: str = "no such word"
    over: threading.Event = field(default_factory=threading.Event)
    raw: tuple[int, bytes] | None = None
    asked: list[dict[str, str]] = field(default_factory=list)
    headers: list[Mapping[str, str]] = field(default_factory=list)
    url: str = ""

    def answer(self, path: str, form: dict[str, str]) -> tuple[int, bytes]:
        self.asked.append(form)
        if self.raw:
            return self.raw
        if "values" in path and self.values is None:
            return 405, b"no"
        if self.hangs in form.get("query", ""):
            self.over.wait()
        if "values" in path:
            return 200, json.dumps({"status": "success", "data": self.values}).encode()
        if self.refused in form["query"]:
            error = {"status": "error", "errorType": "execution", "error": "query timed out"}
            return 422, json.dumps(error).encode()
        result: list[Any] = []
        for labels, value in self.series:
            if "start" in form:
                start, step = float(form["start"]), float(form["step"])
                result.append({"metric": labels, "values": [[start + at * step, str(value)] for at in range(181)]})
            else:
                result.append({"metric": labels, "value": [float(form.get("time", 0)), str(value)]})
        return 200, json.dumps({"status": "success", "data": {"result": result}}).encode()


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    """The API on a free port of the loopback interface."""
    monkeypatch.setenv("no_proxy", "*")
    api = Api()

    class Handler(BaseHTTPRequestHandler):
        answering: ClassVar[Api] = api

        def do_GET(self) -> None:
            self._answer(urllib.parse.urlsplit(self.path).query)

        def do_POST(self) -> None:
            self._answer(self.rfile.read(int(self.headers["Content-Length"])).decode())

        def _answer(self, form: str) -> None:
            self.answering.headers.append(dict(self.headers))
            status, body = self.answering.answer(self.path, dict(urllib.parse.parse_qsl(form)))
            with suppress(BrokenPipeError):  # who waits no longer
                self.send_response(status)
                self.end_headers()
                self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Not on the terminal."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        api.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield api
        api.over.set()
        server.shutdown()
        thread.join()


Preview = Callable[..., Run]


@pytest.fixture
def preview(write: Write, thresher: Thresher, api: Api) -> Preview:
    """Previews a profile with these settings from the API."""

    def run(*options: str, **settings: str) -> Run:
        return thresher("preview", write("prod.yaml", **settings), "--prometheus", api.url, *options)

    return run


def page() -> str:
    return Path("prod.html").read_text("utf-8")


def panel(title: str) -> str:
    """What the page has of the first panel of this title."""
    found = re.search(rf"<article[^>]*><details><summary>{re.escape(title)}</summary>.*?</article>", page(), re.DOTALL)
    assert found, title
    return found[0]


def test_the_page_has_every_panel_of_both_dashboards(preview: Preview) -> None:
    run = preview()
    assert (run.exit_code, run.stdout) == (0, "prod.html\n")
    for title in ("Tier now", "Search: latency", "Collections", "Share of each phase", "Queue: share of the time"):
        assert panel(title)


def test_the_page_needs_no_network_and_runs_no_script(preview: Preview) -> None:
    preview()
    assert not re.search(r"<script|<link|<img|<iframe|@import|url\(|src=", page())
    assert set(re.findall(r'href="(.)', page())) == {"#"}


def test_a_panel_says_what_to_conclude_and_leads_to_the_runbook(preview: Preview) -> None:
    preview(runbook_base_url="https://runbooks.example.com")
    queue = panel("Queue: share of the time")
    assert "MilvusSearchQueueing fires when more than 10% of the time of query nodes" in queue
    assert 'href="https://runbooks.example.com/MilvusSearchQueueing.md"' in queue


def test_thresholds_are_lines_in_the_colours_of_their_tiers(preview: Preview) -> None:
    preview()
    lines = re.findall(r'class="threshold"[^>]*var\(--([\w-]+)\)', panel("Search: latency"))
    assert lines == ["green", "orange", "red", "purple"]


def test_values_have_the_units_of_their_panels(preview: Preview) -> None:
    preview()
    assert "250 µs" in panel("p99 now")
    assert "0.25 req/s" in panel("Requests")
    assert "25%" in panel("Not served")
    assert "0.25 B" in panel("Memory, and restarts")
    assert "0.25 /min" in panel("Slow queries per minute")


def test_a_state_has_its_name_and_colour(preview: Preview, api: Api) -> None:
    api.series = [({"alertname": "MilvusDown"}, 2.0)]
    preview()
    assert "Investigate" in panel("Tier now")
    assert "background:var(--orange)" in panel("Tier now")
    assert re.search(r"var\(--red\)[^>]*><title>firing<", panel("Alerts"))
    assert "MilvusDown" in panel("Alerts")


def test_a_heatmap_has_a_row_for_each_bucket(preview: Preview, api: Api) -> None:
    api.series = [({"le": "64.0"}, 3.0), ({"le": "128.0"}, 3.0), ({"le": "256.0"}, 9.0), ({"le": "+Inf"}, 9.0)]
    preview()
    rows = set(re.findall(r'<rect [^>]*y="([\d.]+)"[^>]*hsl', panel("Search: distribution")))
    assert len(rows) == 2
    assert "64 ms" in panel("Search: distribution")


def test_a_table_is_sorted_and_coloured_like_the_dashboards(preview: Preview, api: Api) -> None:
    api.series = [({"collection_name": "fast"}, 2.0), ({"collection_name": "slow"}, 2000.0)]
    preview(milvus='"2.4.23"')
    rows = re.findall(r"<tr><td>(?:default)?(\w+)?</td>", panel("Collections"))
    assert rows == ["slow", "fast"]
    assert "color:var(--red)" in panel("Collections")


def test_labels_are_text_whatever_they_hold(preview: Preview, api: Api) -> None:
    api.series = [({"alertname": "<img src=x>", "instance": "a&b"}, 1.0)]
    preview()
    assert "<img" not in page()
    assert "&lt;img src=x&gt;" in page()


def test_numbers_that_are_none_leave_gaps(preview: Preview, api: Api) -> None:
    api.series = [({}, float("nan")), ({"le": "1"}, float("inf"))]
    assert preview().exit_code == 0
    assert "No data" in panel("Queue: mean wait")


def test_without_data_every_panel_says_so_and_the_page_asks_why(preview: Preview, api: Api) -> None:
    api.series, api.values = [], []
    assert preview(identity="[cluster]").exit_code == 0
    assert "No alert is pending or firing" in panel("Alerts")
    assert "No data" in panel("Search: latency")
    assert "does this Prometheus scrape the deployment" in page()
    assert "cluster <b>none found</b>" in page()


def test_a_query_that_fails_is_told_in_its_panel_and_the_others_are_drawn(preview: Preview, api: Api) -> None:
    api.refused = "process_resident_memory_bytes"
    run = preview()
    assert run.exit_code == 1
    assert run.stderr == "Memory, and restarts: query timed out\n"
    assert "query timed out" in panel("Memory, and restarts")
    assert "<svg" in panel("Processors in use")


def test_a_query_that_takes_too_long_does_not_keep_the_others_from_being_drawn(
    preview: Preview, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prometheus, "_TIMEOUT_S", 2)
    api.hangs = "process_resident_memory_bytes"
    run = preview()
    assert (run.exit_code, run.stderr) == (1, "Memory, and restarts: no answer within 2 s\n")
    assert "<svg" in panel("Search: latency")


def test_a_server_that_does_not_tell_which_deployments_there_are_is_named(preview: Preview, api: Api) -> None:
    api.values = None
    run = preview(selector="{job: milvus}", identity="[namespace]")
    message = f"{api.url} does not tell the values of namespace: HTTP status 405 (Method Not Allowed)\n"
    assert (run.exit_code, run.stderr) == (3, message)


def test_queries_are_about_one_deployment(preview: Preview, api: Api) -> None:
    preview(selector="{job: milvus}", identity="[cluster, namespace]")
    asked = [form["query"] for form in api.asked if "query" in form]
    assert all("$" not in query for query in asked)
    assert any('cluster="vectors", namespace="vectors"' in query for query in asked)


def test_another_deployment_can_be_chosen(preview: Preview, api: Api) -> None:
    preview("--choose", 'namespace=a"b', selector="{job: milvus}", identity="[namespace]")
    assert any('namespace="a\\"b"' in form.get("query", "") for form in api.asked)
    assert not any("match[]" in form for form in api.asked)


def test_rates_are_taken_over_a_time_that_holds_several_samples(preview: Preview, api: Api) -> None:
    preview("--last", "6h", scrape_interval="15s")
    windows = {found for form in api.asked for found in re.findall(r"rate\([^()]*\[(\w+)\]", form.get("query", ""))}
    assert windows == {"135000ms"}


def test_a_user_and_a_password_are_sent_and_not_shown(preview: Preview, api: Api) -> None:
    api.url = api.url.replace("//", "//ann:secret@")
    assert preview().exit_code == 0
    assert api.headers[0]["Authorization"] == "Basic YW5uOnNlY3JldA=="
    assert "secret" not in page()


def test_a_fleet_has_its_overview_and_the_dashboards_of_every_rule_set(
    write: Write, thresher: Thresher, api: Api
) -> None:
    fleet = write(
        "fleet.yaml",
        'version: 1\nname: fleet\nmilvus: "2.6.19"\ndeployments:\n'
        "  - selector: {namespace: a}\n  - selector: {namespace: b}\n    thresholds: {slow: 2s}\n",
    )
    assert thresher("preview", fleet, "--prometheus", api.url, "--out", "prod.html").exit_code == 0
    assert len(re.findall("<section ", page())) == 5
    assert "Deployments that are not well" in page()


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ((200, b"<html>It works!</html>"), "is no Prometheus: its answer is none of the HTTP API"),
        ((200, b"[]"), "is no Prometheus: its answer is none of the HTTP API"),
        ((200, b'{"data": {}}'), "is no Prometheus: its answer is none of the HTTP API"),
        ((200, b'{"data": null}'), "is no Prometheus: its answer is none of the HTTP API"),
        (
            (200, b'{"data": {"result": [{"values": [["x", "y"]]}]}}'),
            "is no Prometheus: its answer is none of the HTTP API",
        ),
        ((401, b""), "does not answer queries: HTTP status 401 (Unauthorized)"),
        ((404, b"not here"), "does not answer queries: HTTP status 404 (Not Found)"),
    ],
)
def test_a_server_that_is_no_prometheus_is_named_and_nothing_written(
    preview: Preview, api: Api, raw: tuple[int, bytes], message: str
) -> None:
    api.raw = raw
    run = preview()
    assert (run.exit_code, run.stderr) == (3, f"{api.url} {message}\n")
    assert not Path("prod.html").exists()


def test_a_server_that_is_not_there_is_one_line(
    write: Write, thresher: Thresher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("no_proxy", "*")
    run = thresher("preview", write("prod.yaml"), "--prometheus", "http://127.0.0.1:1")
    assert (run.exit_code, run.stderr) == (3, "http://127.0.0.1:1 cannot be reached: Connection refused\n")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--prometheus", "localhost:9090"), "`localhost:9090` is no address of a server; write http://HOST:PORT"),
        (("--prometheus", "http://h:x"), "write http://HOST:PORT"),
        (("--prometheus", "http://h", "--last", "soon"), "`soon` is no duration from 18s to 3650d, such as 1h or 30m"),
        (("--prometheus", "http://h", "--last", "1000000d"), "`1000000d` is no duration from 18s to 3650d"),
        (("--prometheus", ""), "`` is no address of a server; write http://HOST:PORT"),
        (("--last", "2h"), "--last and --choose are about a server: name it with --prometheus URL"),
        (("--choose", "namespace=eu"), "--last and --choose are about a server: name it with --prometheus URL"),
        (("--prometheus", "http://h", "--choose", "eu"), "`eu` is not of the form VARIABLE=VALUE"),
    ],
)
def test_wrong_options_are_told(write: Write, thresher: Thresher, options: tuple[str, ...], message: str) -> None:
    run = thresher("preview", write("prod.yaml"), *options)
    assert run.exit_code == 2
    assert message in run.stderr


def test_a_profile_with_mistakes_is_not_drawn(write: Write, thresher: Thresher) -> None:
    run = thresher("preview", write("prod.yaml", thresholds="{slow: 2}"))
    assert run.exit_code == 2
    assert "prod.yaml:5" in run.stderr


def test_without_a_server_promtool_is_needed(write: Write, thresher: Thresher, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("PROMTOOL", raising=False)
    run = thresher("preview", write("prod.yaml"))
    assert run.exit_code == 3
    assert run.stderr.startswith("promtool was not found. It comes with Prometheus")


# All but two alerts are disabled, as each costs a run of promtool.
_KEPT = ("MilvusSearchLatencySlow", "MilvusConsistencyWaitDominates")


@pytest.fixture(params=[{}, {"target": "victoriametrics", "dashboards": "configmap"}], ids=["plain", "elsewhere"])
def played(
    request: pytest.FixtureRequest,
    write: Write,
    thresher: Thresher,
    promtool: str,
    monkeypatch: pytest.MonkeyPatch,
) -> Mapping[str, str]:
    """The sections of the page of a profile that is drawn from its scenarios, by their headlines."""
    from generator.templates import load

    monkeypatch.setenv("PROMTOOL", promtool)
    others = ", ".join(f"{name}: {{enabled: false}}" for name in load().alerts if name not in _KEPT)
    run = thresher("preview", write("prod.yaml", alerts=f"{{{others}}}", **request.param))
    assert (run.exit_code, run.stdout) == (0, "prod.html\n"), run.stderr
    sections = re.findall(r"<section [^>]*><h2>(.*?)</h2>(.*?)</section>", page(), re.DOTALL)
    return dict(sections)


def test_scenarios_show_what_each_alert_looks_like_when_it_fires(played: Mapping[str, str]) -> None:
    assert tuple(played) == _KEPT
    slow, waiting = played.values()
    assert "Too many Milvus requests are slower than 1s (measured at 1024 ms, +2%)." in slow
    assert "<title>pending</title>" in slow
    assert "<title>firing</title>" in slow
    assert re.search(r"background:var\(--red\)[^>]*><span>search</span><b>Slow</b>", slow)
    assert "1.02 s" in slow
    assert "firing (info)" in waiting
    assert "waiting for tSafe (consistency Strong)" in waiting


def test_scenarios_show_nothing_that_they_do_not_feed(played: Mapping[str, str]) -> None:
    for section in played.values():
        assert "No data" not in section
        assert "No metrics" not in section
        assert "MilvusMetricsAbsent" not in section
        assert "Nodes by role" not in section
    assert "Tier now" not in played["MilvusConsistencyWaitDominates"]


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.0, "ms", "0 ms"),
        (0.0647, "ms", "64.7 µs"),
        (32, "ms", "32 ms"),
        (1024, "ms", "1.02 s"),
        (999.9, "ms", "1 s"),
        (90_000, "ms", "1.5 min"),
        (1800, "s", "30 min"),
        (0.125, "percentunit", "12.5%"),
        (1, "percentunit", "100%"),
        (0.00002, "percentunit", "0.002%"),
        (2.236, "reqps", "2.24 req/s"),
        (12_345, "short", "12.3K"),
        (3, "short", "3"),
        (402_653_184, "bytes", "384 MiB"),
        (1024, "binBps", "1 KiB/s"),
        (60, "opm", "60 /min"),
        (-5, "ms", "-5 ms"),
        (float("nan"), "ms", "–"),
        (float("inf"), "ms", "∞"),
    ],
)
def test_a_value_is_written_as_people_read_it(value: float, unit: str, text: str) -> None:
    assert scales.written(value, unit) == text


@pytest.mark.parametrize(
    ("values", "unit", "marks"),
    [
        ([0.0, 0.9], "percentunit", (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)),
        ([3.0, 3.0], "short", (3.0, 4.0, 5.0, 6.0)),
        ([0.0, 300 * 2.0**20], "bytes", tuple(index * 2.0**26 for index in range(6))),
        ([], "ms", (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)),
    ],
)
def test_an_axis_is_marked_at_round_values(values: list[float], unit: str, marks: tuple[float, ...]) -> None:
    axis = scales.linear(values, None, None, unit)
    assert axis.marks == pytest.approx(marks)


def test_a_logarithmic_axis_has_whole_powers_of_ten() -> None:
    axis = scales.logarithmic([3.0, 4096.0, 0.0, -1.0])
    assert axis.marks == (1, 10, 100, 1000, 10_000)
    assert axis.place(100) == pytest.approx(0.5)
    assert axis.place(0) == 0
