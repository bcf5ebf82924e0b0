"""Slow-query lines: what every release writes is read, grouped and explained, and nothing in a log does harm."""

from __future__ import annotations

import gzip
import io
import itertools
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generator.logs import lines, summary
from generator.logs.causes import CAUSES
from generator.logs.lines import Counts, lines_with
from generator.logs.parse import Broken, SlowQuery, parse
from generator.logs.shape import shape
from generator.logs.summary import summarise
from generator.units import rounded
from tests.conftest import ROOT, Thresher

EXPECTED = Path(__file__).parent / "expected"
# Lines of each release line and in both formats, with others that a proxy writes.
PROXY_LOG = "examples/proxy.log"

HEAD = "[2026/11/22 07:42:35.638 +00:00] [INFO] [proxy/impl.go:2578]"
PARAMS = r'"[{\"key\":\"topk\",\"value\":\"10\"},{\"key\":\"params\",\"value\":\"{\\\"ef\\\":64}\"}]"'


def line(message: str = "Search slow", /, **fields: str) -> bytes:
    """A line in text format; a field is left out where it is empty."""
    given = {"traceID": "7c3a", "role": "proxy", "db": "default", "collection": "docs"} | fields
    given["duration"] = given.pop("duration", "2s")
    return " ".join([HEAD, f'["{message}"]', *(f"[{key}={value}]" for key, value in given.items() if value)]).encode()


def query(text: bytes | str) -> SlowQuery:
    (found,) = parse(text if isinstance(text, bytes) else text.encode())
    return found


@pytest.fixture
def logs(thresher: Thresher, tmp_path: Path) -> Callable[..., Any]:
    """The JSON report on these lines."""

    def report(*texts: bytes, options: tuple[str, ...] = ()) -> Any:
        path = tmp_path / "proxy.log"
        path.write_bytes(b"\n".join(texts) + b"\n")
        run = thresher("logs", path, "--format", "json", *options)
        assert run.exit_code == 0
        return json.loads(run.stdout)

    return report


@pytest.fixture
def in_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


@pytest.mark.usefixtures("in_root")
def test_the_log_of_a_proxy_becomes_a_table(thresher: Thresher, expected: Callable[[Path, str], None]) -> None:
    run = thresher("logs", PROXY_LOG)
    assert (run.exit_code, run.stderr) == (0, "")
    expected(EXPECTED / "logs.txt", run.stdout)


@pytest.mark.usefixtures("in_root")
def test_the_same_comes_as_json(thresher: Thresher, expected: Callable[[Path, str], None]) -> None:
    run = thresher("logs", PROXY_LOG, "--format", "json")
    expected(EXPECTED / "logs.json", run.stdout)
    report = json.loads(run.stdout)
    assert sum(group["count"] for group in report["groups"]) == report["slow_queries"]


@pytest.mark.usefixtures("in_root")
def test_the_page_on_logs_shows_what_is_printed_and_names_every_cause(thresher: Thresher) -> None:
    page = (ROOT / "docs/logs.md").read_text("utf-8")
    shown = "\n".join(thresher("logs", "examples/proxy.log", "--limit", "2").stdout.splitlines()[:3])
    assert f"$ thresher logs examples/proxy.log --limit 2\n{shown}\n```" in page
    assert re.findall(r"^\| ([A-Za-z ]+) \|.*\|.*\|$", page, re.MULTILINE)[-len(CAUSES) - 1 :] == [
        *(cause.name for cause in CAUSES),
        "unknown",
    ]


def test_standard_input_is_read_where_no_file_is_given() -> None:
    command = [sys.executable, "-m", "generator", "logs"]
    for more in ([], ["-"]):
        done = subprocess.run([*command, *more], input=line(), capture_output=True, check=True)
        assert b"1 slow query in 1 line" in done.stdout


def test_files_packed_with_gzip_are_read(thresher: Thresher, tmp_path: Path) -> None:
    path = tmp_path / "proxy.log.1.gz"
    path.write_bytes(gzip.compress(line() + b"\n") + gzip.compress(line() + b"\n"))
    assert "2 slow queries in 2 lines" in thresher("logs", path).stdout


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (gzip.compress(line() * 10_000)[:-20], "damaged gzip: Compressed file ended before the end-of-stream marker"),
        (b"\x1f\x8b\x08\x00garbage", "damaged gzip: "),
        ("\ufeff[2026".encode("utf-16-le"), "UTF-16 text; convert it, for example with `iconv -f UTF-16 -t UTF-8`"),
        (b"\x28\xb5\x2f\xfd...", "compressed with zstd; give it as `zstd -dc FILE | thresher logs`"),
        (b"\xfd7zXZ\x00...", "compressed with xz; give it as `xz -dc FILE | thresher logs`"),
        (b"PK\x03\x04...", "a zip archive; give what is in it, as `unzip -p FILE | thresher logs`"),
        (None, "cannot be read: No such file or directory; give a file that can be read"),
    ],
)
def test_what_cannot_be_read_is_said_and_the_other_files_are_read(
    content: bytes | None, says: str, thresher: Thresher, tmp_path: Path
) -> None:
    good, bad = tmp_path / "good.log", tmp_path / "bad.log"
    good.write_bytes(line())
    if content is not None:
        bad.write_bytes(content)
    run = thresher("logs", bad, good)
    assert run.exit_code == 2
    assert run.stderr.startswith(f"{bad}: {says}")
    assert "1 slow query in 1 line" in run.stdout
    report = json.loads(thresher("logs", bad, good, "--format", "json").stdout)
    assert (len(report["findings"]), report["slow_queries"]) == (1, 1)


def test_a_directory_is_no_log(thresher: Thresher, tmp_path: Path) -> None:
    run = thresher("logs", tmp_path)
    assert run.exit_code == 2
    assert run.stderr == f"{tmp_path}: cannot be read: Is a directory; give a file that can be read\n"


def test_a_log_without_slow_queries_is_told_from_one_with(thresher: Thresher, tmp_path: Path) -> None:
    path = tmp_path / "proxy.log"
    path.write_bytes(b"GC Tune done, and the gc is slow\n" * 3)
    run = thresher("logs", path)
    assert (run.exit_code, run.stdout) == (0, "no slow query in 3 lines (99 bytes)\n")


RELEASES = {
    "search, 2.3": (
        line(partitions='"[]"', dsl='"tag > 500"', **{"len(PlaceholderGroup)": "4120011"}, OutputFields='"[tag]"',
             search_params=PARAMS, guarantee_timestamp="0", nq="8000", duration="1m39.875032441s"),
        ("search", "tag > 500", 8000, 10, "Strong", 99.875032441),
    ),
    "query, 2.3": (
        line("Query slow", partitions='"[]"', expr=r'"tag < 5 and name like \"u0%\""', OutputFields='"[id,tag]"',
             travel_timestamp="0", guarantee_timestamp="2", duration="1m39.98910478s"),
        ("query", 'tag < 5 and name like "u0%"', None, None, "Bounded", 99.98910478),
    ),
    "hybrid search, 2.4": (
        line("HybridSearch slow", partitions='"[]"', OutputFields='"[]"', guarantee_timestamp="1", duration="6.02s"),
        ("hybrid_search", "", None, None, "Eventually", 6.02),
    ),
    "search, late 2.4": (
        line(dsl='"id in [1, 2]"', search_params=PARAMS, ConsistencyLevel="Session", useDefaultConsistency="false",
             guarantee_timestamp="460318735832711168", nq="1", duration="5.1s"),
        ("search", "id in [1, 2]", 1, 10, "Session", 5.1),
    ),
    "search, 2.5.13": (
        line(dsl="", search_params=PARAMS, ConsistencyLevel="Strong", useDefaultConsistency="false", nq="4",
             duration="4.5s", durationPerNq="1.125s"),
        ("search", "", 4, 10, "Strong", 4.5),
    ),
    "hybrid search, 2.6": (
        line("HybridSearch slow", ConsistencyLevel="Bounded", useDefaultConsistency="false",
             dsls='"[No.0 req, expr: id == 5][No.1 req, expr: ][No.2 req, expr: tag in [1]]"',
             guarantee_timestamp="460318735832711168", totalNq="3", duration="3.3s", durationPerNq="1.1s"),
        ("hybrid_search", "id == 5; tag in [1]", 3, None, "Bounded", 3.3),
    ),
    "query, 2.6": (
        line("Query slow", ConsistencyLevel="Eventually", useDefaultConsistency="false", queryLabel="query",
             expr='"id > 5"', guarantee_timestamp="1", duration="1.5s"),
        ("query", "id > 5", None, None, "Eventually", 1.5),
    ),
    "search, 3.0": (
        f'{HEAD} ["Search slow"] [traceID=7c3a] [guarantee_timestamp=1] [nq=2] [duration=1.5s] '
        "[durationPerNq=750ms]".encode(),
        ("search", "", 2, None, "Eventually", 1.5),
    ),
    "query, 3.0.1": (
        line("Query slow", expr='"id > 5"', ConsistencyLevel="ACT-Bounded", useDefaultConsistency="true",
             guarantee_timestamp="460318735832711168"),
        ("query", "id > 5", None, None, "Bounded", 2.0),
    ),
}  # fmt: skip


@pytest.mark.parametrize("release", RELEASES)
def test_every_release_line_is_read(release: str) -> None:
    text, (operation, expression, nq, topk, consistency, seconds) = RELEASES[release]
    found = query(text if isinstance(text, bytes) else str(text))
    assert (found.operation, found.expression, found.nq, found.topk) == (operation, expression, nq, topk)
    assert (found.consistency, found.seconds) == (consistency, seconds)
    assert found.trace == "7c3a"
    assert found.time is not None
    assert found.time.isoformat() == "2026-11-22T07:42:35.638000+00:00"


def as_json(**fields: object) -> str:
    return json.dumps(
        {"level": "INFO", "time": "2026/11/22 07:42:35.638 +00:00", "caller": "proxy/impl.go:2578",
         "message": "Search slow", "traceID": "7c3a", "db": "default", "collection": "docs", "partitions": [],
         "dsl": 'name == "a"', "search_params": [{"key": "topk", "value": "10"}], "nq": 3, "duration": "1.5s"} | fields
    )  # fmt: skip


AS_TEXT = line(dsl=r'"name == \"a\""', search_params=PARAMS, nq="3", duration="1.5s").decode()


@pytest.mark.parametrize(
    "text",
    [
        as_json(),
        as_json(search_params='[{"key":"topk","value":"10"}]', nq="3"),
        f"milvus-proxy-0 {as_json()}",
        json.dumps({"log": as_json() + "\n", "stream": "stdout"}),
        json.dumps({"kubernetes": {"pod": "proxy"}, "jsonPayload": json.loads(as_json())}),
        AS_TEXT + "\r",
        f"[pod/milvus-proxy-0/proxy] {AS_TEXT}",
        f"2026-11-22T07:42:35.638Z stdout F {AS_TEXT}",
        json.dumps({"log": AS_TEXT + "\n"}),
    ],
    ids=[
        "json", "json of strings", "prefixed json", "json in docker's", "json in a collector's",
        "text", "prefixed text", "text of a container runtime", "text in docker's",
    ],
)  # fmt: skip
def test_text_and_json_are_read_alike_whatever_a_collector_puts_around(text: str) -> None:
    found = query(text)
    assert (found.operation, found.collection, found.expression) == ("search", "docs", 'name == "a"')
    assert (found.nq, found.topk, found.seconds, found.trace) == (3, 10, 1.5, "7c3a")
    assert found.time is not None


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("53.211248138s", 53.211248138), ("1m16.027648895s", 76.027648895), ("1h2m3.4s", 3723.4), ("12.3ms", 0.0123),
        ("845.1µs", 0.0008451), ("845.1μs", 0.0008451), ("845us", 0.000845), ("17ns", 1.7e-8), ("0s", 0),
        ("100h0m0s", 360000),
    ],
)  # fmt: skip
def test_durations_are_read_as_go_prints_them(text: str, seconds: float) -> None:
    assert query(line(duration=text)).seconds == seconds


@pytest.mark.parametrize(
    "text", ["", "5", "-5s", "s", "5 s", "1s1m", "5s5s", "nan", "1e3s", "999999999h", "５s", '"5s']
)
def test_a_line_without_a_duration_is_damaged(text: str) -> None:
    with pytest.raises(Broken):
        list(parse(line(duration=text or "?").replace(b"[duration=?]", b"")))


@pytest.mark.parametrize("cut", range(len(HEAD) + 14, len(line(dsl='"a == 1"')) - 1, 7))
def test_a_line_that_was_cut_is_damaged(cut: int) -> None:
    with pytest.raises(Broken):
        list(parse(line(dsl='"a == 1"')[:cut]))


def test_a_line_that_another_was_written_into_still_tells_of_the_other() -> None:
    assert query(line(collection="first")[:120] + line(collection="second")).collection == "second"


@pytest.mark.parametrize(
    "text",
    [
        AS_TEXT + AS_TEXT,
        AS_TEXT + "\r" + AS_TEXT,
        as_json() + as_json(),
        json.dumps([json.loads(as_json())] * 2),
        json.dumps([{"log": AS_TEXT}, {"log": as_json()}]),
        json.dumps({"data": {"result": [{"stream": {"pod": "p"}, "values": [["1", AS_TEXT], ["2", AS_TEXT]]}]}}),
        json.dumps({"hits": {"hits": [{"_source": {"message": AS_TEXT}}, {"_source": json.loads(as_json())}]}}),
    ],
    ids=["text", "old line ends", "json", "array", "array of lines", "answer of Loki", "answer of Elasticsearch"],
)
def test_several_slow_queries_in_one_line_are_all_read(text: str) -> None:
    assert [found.trace for found in parse(text.encode())] == ["7c3a"] * 2


def test_what_is_whole_beside_something_damaged_is_read(logs: Callable[..., Any]) -> None:
    report = logs((as_json() + as_json()[:150]).encode())
    assert (report["slow_queries"], report["skipped"]["damaged"]) == (1, 1)


@pytest.mark.parametrize(
    "text",
    [
        f'{HEAD} ["Search received"] [dsl="a == \\"Search slow\\""]',
        f'{HEAD} ["Search slow down"] [duration=5s]',
        f"{HEAD} [Query slow] [duration=5s]",
        as_json(message="Search received", dsl='a == "Search slow"'),
        as_json(message=["Search slow"]),
        "Search slow",
    ],
)
def test_what_only_mentions_a_slow_query_is_none(text: str) -> None:
    assert not list(parse(text.encode()))


def test_the_level_of_a_collection_is_told_by_the_guarantee_timestamp() -> None:
    def level(lag: float, **fields: str) -> str:
        start = 1795333355.638 - 2 - lag
        return query(line(guarantee_timestamp=str(int(start * 1000) << 18), **fields)).consistency

    default = {"ConsistencyLevel": "Strong", "useDefaultConsistency": "true"}
    assert (level(0, **default), level(5, **default), level(60, **default)) == ("Strong", "Bounded", "default")
    assert (level(0), level(5), level(60)) == ("Strong", "Bounded", "")
    assert level(5, ConsistencyLevel="Strong", useDefaultConsistency="false") == "Strong"
    assert query(line(guarantee_timestamp="1", **default)).consistency == "Eventually"


@pytest.mark.parametrize(
    ("expressions", "text"),
    [
        (["id == 5", "id==7", "id == -0x1F", "id == 1.5e3"], "id == ?"),
        (["id in [1]", "id IN [1, 2, -3]", 'id in ["a, b", "c]"]'], "id in [...]"),
        (['a == "x" or a == "y"', 'a=="x" || a=="y" || a=="z"', "(a == 1) or ((a == 2 or a == 3) or a == 4)"],
         "a == ? or ..."),
        (["a != 1 and a != 2 and a != 3", "a != 1 && a != 2"], "a != ? and ..."),
        (["a > 1 and (b == 2 or b == 3)"], "a > ? and (b == ? or ...)"),
        (["a > 1 and b == 2 or c == 3"], "a > ? and b == ? or c == ?"),
        (['meta["color"] == "red"'], 'meta["color"] == ?'),
        (['meta["size"] == "red"'], 'meta["size"] == ?'),
        (["json_contains_any(tags, [1, 2])"], "json_contains_any(tags, [...])"),
        (["a - 5 > 3", "a - 7 > -3"], "a - ? > ?"),
        (["age > {min} and not (name like 'a%')", 'age > 5 && NOT (name LIKE "b")'], "age > ? and not (name like ?)"),
        (["1 < a < 5"], "? < a < ?"),
        (["a is not null"], "a is not null"),
        (["向量 == '值'"], "向量 == ?"),
        (["", "  ", "()"], ""),
    ],
)  # fmt: skip
def test_expressions_that_differ_in_literals_only_have_one_shape(expressions: list[str], text: str) -> None:
    assert {shape(expression).text for expression in expressions} == {text}


def test_chains_lists_and_patterns_are_measured() -> None:
    assert shape(" or ".join(f'name like "u{number}%"' for number in range(25))).terms == 25
    nested = "a == 0"
    for number in range(1, 25):
        nested = f"({nested} or a == {number})"
    assert shape(nested).terms == 25
    assert shape(f"id in {list(range(5000))}").values == 5000
    assert shape('id in ["a,b", "c"]').values == 2
    assert shape("a == 1 and b == 2") == shape("a == 3 and b == 4")
    assert shape("a == 1").terms == 0
    assert shape('name like "%x"').unanchored
    assert not shape('name like "x%"').unanchored


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"nq": "8000", "duration": "1m40s"}, "large NQ (8,000 vectors, 12.5ms each)"),
        ({"nq": "20", "duration": "2s"}, "large NQ (20 vectors, 100ms each)"),
        ({"nq": "2", "duration": "5s"}, "unknown (2.5s a vector)"),
        ({"nq": "1"}, "unknown"),
        ({"dsl": '"' + " or ".join(f"a == {number}" for number in range(25)) + '"'}, "OR chain (25 terms)"),
        ({"dsl": f'"id in {list(range(2000))}"'}, "long list (2,000 values)"),
        ({"dsl": r'"name like \"%x\""'}, "LIKE without prefix (starts with a wildcard)"),
        ({"search_params": PARAMS.replace("10", "16384")}, "large topk (16,384)"),
        ({"guarantee_timestamp": "0"}, "Strong consistency (waits for all writes)"),
        ({"nq": "900", "duration": "9s", "guarantee_timestamp": "0"},
         "large NQ (900 vectors, 10ms each); Strong consistency (waits for all writes)"),
    ],
)  # fmt: skip
def test_the_likely_cause_is_named_with_what_shows_it(
    fields: dict[str, str], says: str, thresher: Thresher, tmp_path: Path
) -> None:
    path = tmp_path / "proxy.log"
    path.write_bytes(line(**fields))
    header, row, *_ = thresher("logs", path).stdout.splitlines()
    at = header.index("likely cause")
    assert row[at : at + len(says)] == says
    assert row[at + len(says) : at + len(says) + 2].strip() == ""


def test_a_cause_of_some_queries_says_of_how_many(thresher: Thresher, tmp_path: Path) -> None:
    path = tmp_path / "proxy.log"
    path.write_bytes(b"\n".join([line(nq="900", duration="9s"), line(nq="800", duration="7s"), line(nq="1")]))
    assert "large NQ (900 vectors, 10ms each, 2 of 3); unknown (1 of 3)" in thresher("logs", path).stdout


def test_groups_come_in_the_order_asked_for(logs: Callable[..., Any]) -> None:
    texts = [line(collection="slowest", duration="9s"), *[line(collection="dearest", duration="4s")] * 3,
             *[line(collection="most", duration="2s")] * 5]  # fmt: skip
    for order, first in (("worst", "slowest"), ("total", "dearest"), ("count", "most")):
        groups = logs(*texts, options=("--sort", order))["groups"]
        assert groups[0]["collection"] == first
    report = logs(*texts, options=("--limit", "1"))
    assert [group["collection"] for group in report["groups"]] == ["slowest"]
    assert (report["slow_queries"], report["total"]) == (9, 31)


def test_only_so_many_groups_are_printed(thresher: Thresher, tmp_path: Path) -> None:
    path = tmp_path / "proxy.log"
    path.write_bytes(b"\n".join(line(collection=f"c{number}") for number in range(25)))
    lines = thresher("logs", path).stdout.splitlines()
    assert "... and 5 more groups (--limit 25 shows all)" in lines
    assert len([text for text in lines if "  search  " in text]) == 20


def test_collections_of_other_databases_are_told_apart(thresher: Thresher, tmp_path: Path) -> None:
    path = tmp_path / "proxy.log"
    path.write_bytes(b"\n".join([line(db="shop"), line(db="default"), line(db="shop")]))
    rows = thresher("logs", path).stdout.splitlines()[1:3]
    assert [row.split()[2:4] for row in rows] == [["2", "?"], ["1", "?"]]
    assert [row.split()[4] for row in rows] == ["shop.docs", "docs"]


def test_the_example_of_a_group_is_its_slowest_query(logs: Callable[..., Any]) -> None:
    texts = [line(dsl='"id == 5"', traceID="a", duration="2s"), line(dsl='"id == 6"', traceID="b", duration="7s"),
             line(dsl='"id == 7"', traceID="c", duration="3s")]  # fmt: skip
    (group,) = logs(*texts)["groups"]
    assert (group["count"], group["worst"], group["total"]) == (3, 7, 12)
    assert (group["slowest"]["trace"], group["slowest"]["expression"]) == ("b", "id == 6")


def test_damaged_lines_are_counted_and_the_first_is_named(thresher: Thresher, tmp_path: Path) -> None:
    path = tmp_path / "proxy.log"
    path.write_bytes(
        b"\n".join([b"other", line(), line()[:130], as_json()[:200].encode(), b"\xff\xfe\0Search slow", line()])
    )
    last = thresher("logs", path).stdout.splitlines()[-1]
    assert last.startswith("2 slow queries in 6 lines (")
    assert last.endswith(f"; skipped 2 damaged lines (the first: {path}:3)")


def test_invalid_utf_8_and_control_characters_do_not_reach_the_terminal(thresher: Thresher, tmp_path: Path) -> None:
    path = tmp_path / "proxy.log"
    path.write_bytes(
        line(collection="\x1b[31mred", dsl='"\x07 == 1"') + b"\n" + line(db="\x9b", dsl="\xff").replace(b"\xc3", b"")
    )
    stdout = thresher("logs", path).stdout
    assert "2 slow queries" in stdout
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f]", stdout)


def counted(*chunks: bytes) -> tuple[list[tuple[int, bytes]], Counts]:
    class Pieces(io.RawIOBase):
        """A stream that hands out one piece at a time, as a pipe does."""

        def __init__(self) -> None:
            self.left = list(chunks)

        def readable(self) -> bool:
            return True

        def readinto(self, buffer: Any) -> int:
            piece = self.left.pop(0) if self.left else b""
            buffer[: len(piece)] = piece
            return len(piece)

    counts = Counts()
    return list(lines_with(re.compile(b"slow"), io.BufferedReader(Pieces()), counts)), counts


@given(st.lists(st.sampled_from([b"slow", b"x", b"\n", b"a slow one\n", b"fast\n", b"slow slow", b"sl"]), max_size=20))
def test_lines_are_found_however_a_stream_is_cut_into_pieces(chunks: list[bytes]) -> None:
    text = b"".join(chunks)
    found, counts = counted(*chunks)
    numbered = enumerate(text.split(b"\n"), start=1)
    assert found == [(number, each) for number, each in numbered if b"slow" in each]
    assert counts.lines == len(text.split(b"\n")) - (text.endswith(b"\n") or not text)
    assert counts.bytes == len(text)


def test_a_line_without_end_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "LONGEST", 100)
    found, counts = counted(b"slow 1\nslow ", b"x" * 200, b"y" * 500, b" slow\nslow 3\n", b"fast\nslow 5")
    assert found == [(1, b"slow 1"), (3, b"slow 3"), (5, b"slow 5")]
    assert (counts.lines, counts.too_long) == (5, 1)


def of_cri(line: bytes, size: int, stream: bytes = b"stdout") -> list[bytes]:
    """The line as CRI runtimes keep it: in pieces of this size."""
    pieces = [line[start : start + size] for start in range(0, len(line), size)]
    flags = [b"P"] * (len(pieces) - 1) + [b"F"]
    return [b"2026-11-22T07:42:35.6Z " + stream + b" %b %b\n" % each for each in zip(flags, pieces, strict=True)]


def of_docker(line: str, size: int = 16384) -> list[bytes]:
    """The line as docker keeps it: in pieces of this size."""
    pieces = [f"{line}\n"[start : start + size] for start in range(0, len(line) + 1, size)]
    objects = ({"log": piece, "stream": "stdout", "time": "2026-11-22T07:42:35Z"} for piece in pieces)
    return [json.dumps(each, separators=(",", ":")).encode() + b"\n" for each in objects]


@given(st.lists(st.integers(1, 400), max_size=8), st.integers(10, 60))
def test_the_pieces_that_cri_runtimes_cut_lines_into_are_put_together(cuts: list[int], size: int) -> None:
    text = b"".join([*of_cri(b"fast", 9), *of_cri(b"x" * 99 + b" slow " + b"y" * 99, size), *of_cri(b"a slow one", 99)])
    chunks = [text[start:end] for start, end in itertools.pairwise([0, *sorted(cuts), len(text)])]
    found, counts = counted(*filter(None, chunks))
    assert [each.partition(b" F ")[2] for _, each in found] == [b"x" * 99 + b" slow " + b"y" * 99, b"a slow one"]
    assert [number for number, _ in found] == [text.count(b"\n") - 1, text.count(b"\n")]
    assert counts.lines == text.count(b"\n")


@pytest.mark.parametrize("cut", [of_docker, lambda text: of_cri(text.encode(), 16384)])
def test_long_lines_in_pieces_are_read(cut: Callable[[str], list[bytes]], logs: Callable[..., Any]) -> None:
    chain = " or ".join(f"id == {number}" for number in range(9000))
    lines = cut(line(dsl=f'"{chain}"').decode()) + cut(line().decode())
    assert len(lines) > 5
    report = logs(b"".join(lines))
    assert (report["slow_queries"], report["skipped"]["damaged"]) == (2, 0)
    assert {"OR chain", "unknown"} == {cause["cause"] for group in report["groups"] for cause in group["causes"]}


def test_objects_whose_collector_strips_the_end_of_the_line_are_no_pieces() -> None:
    text = b"".join(b'{"log":"slow","stream":"stdout"}\n' for _ in range(3))
    assert [number for number, _ in counted(text)[0]] == [1, 2, 3]


def test_the_hole_that_a_truncated_file_begins_with_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "LONGEST", 100)
    found, counts = counted(*[b"\0" * 90] * 5, b"\0\0slow 1\n")
    assert found == [(1, b"slow 1")]
    assert (counts.lines, counts.too_long) == (1, 0)


def test_queries_of_too_many_shapes_are_added_up(
    monkeypatch: pytest.MonkeyPatch, thresher: Thresher, tmp_path: Path
) -> None:
    monkeypatch.setattr(summary, "GROUPS", 30)
    monkeypatch.setattr(summary, "_KEPT", 5)
    path = tmp_path / "proxy.log"
    rare = [line(collection=f"c{number}", duration=f"{number}ms") for number in range(1, 200)]
    path.write_bytes(b"\n".join([*[line(collection="often", duration="2ms")] * 50, line(duration="1h"), *rare]))
    report = json.loads(thresher("logs", path, "--format", "json").stdout)
    assert [group["collection"] for group in report["groups"][:2]] == ["docs", "c199"]
    assert "often" in {group["collection"] for group in report["groups"]}
    assert len(report["groups"]) <= 30
    assert sum(group["count"] for group in report["groups"]) + report["rest"]["count"] == report["slow_queries"] == 250
    assert "queries of too many shapes to be told apart" in thresher("logs", path).stdout


def test_long_texts_are_cut_and_told_apart(logs: Callable[..., Any]) -> None:
    begins = " and ".join(f"field_with_a_long_name_{number} == 1" for number in range(14))
    report = logs(*(line(dsl=f'"{begins} and {name} == 1"', collection="c" * 5000) for name in "aab"))
    assert sorted(group["count"] for group in report["groups"]) == [1, 2]
    assert all(len(group["filter"]) < 450 and len(group["collection"]) < 300 for group in report["groups"])


def parts() -> st.SearchStrategy[bytes]:
    """Bytes that make lines nearly right: pieces of real ones, and anything."""
    pieces = [each[start : start + 25] for each, _ in RELEASES.values() for start in range(0, len(each), 25)]
    scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
    values = st.recursive(
        scalars | st.sampled_from(["Search slow", "5s"]),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(
            ["message", "msg", "duration", "time", "nq", "search_params", "key", "value", "dsl", "guarantee_timestamp",
             "collection", "ConsistencyLevel"]), inner, max_size=6),
        max_leaves=12,
    )  # fmt: skip
    objects = st.dictionaries(st.sampled_from(list(json.loads(as_json()))), values, max_size=6).map(
        lambda fields: as_json(**fields).encode()
    )
    return (
        objects
        | values.map(lambda value: json.dumps(value).encode())
        | st.sampled_from(pieces)
        | st.binary(max_size=20)
    )


@given(st.lists(parts(), max_size=12).map(b"".join))
def test_no_line_does_any_harm(text: bytes) -> None:
    log = b"log: " + text + b'["Search slow"]' + text + b"Query slow"
    found = summarise([("log", lambda: nullcontext(io.BytesIO(log)))])
    assert not found.findings
    assert found.counts.lines == text.count(b"\n") * 2 + 1


@given(
    st.lists(st.sampled_from([*"ab1.+-\"'\\[](){},;=<>|&%_ ", " or ", " and ", " in ", " like ", "name"])).map("".join)
)
def test_every_text_has_a_shape_of_bounded_size(text: str) -> None:
    assert len(shape(text * 100).text) <= 4000


@given(st.floats(min_value=0, max_value=1e9))
def test_times_are_printed_short_and_near_to_what_they_are(seconds: float) -> None:
    assert len(rounded(seconds)) <= 10 or seconds < 1e-6


@pytest.mark.parametrize(
    ("seconds", "printed"),
    [(0, "0ms"), (0.000845, "0.845ms"), (0.0125, "12.5ms"), (0.9996, "1s"), (8.311, "8.31s"), (59.99, "1m00s"),
     (99.9, "1m40s"), (3599.9, "1h00m"), (7500, "2h05m"), (90_000, "1d01h")],
)  # fmt: skip
def test_times_are_printed_as_people_say_them(seconds: float, printed: str) -> None:
    assert rounded(seconds) == printed


def endless() -> Iterator[bytes]:
    while True:
        yield line() + b"\n"


def test_ctrl_c_ends_reading_and_what_was_read_is_reported() -> None:
    command = [sys.executable, "-m", "generator", "logs"]
    reader, writer = os.pipe()
    with subprocess.Popen(
        command,
        stdin=reader,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # What a shell starts in the background has the signal ignored.
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    ) as process:
        os.close(reader)
        # The pipe holds less than this: once all is written, the command reads.
        for text, _ in zip(endless(), range(1000), strict=False):
            os.write(writer, text)
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=60)
        os.close(writer)
    assert (process.returncode, stderr) == (130, b"")
    assert stdout.splitlines()[-1].endswith(b"; interrupted")


def test_a_reader_that_leaves_ends_the_command_without_a_word(tmp_path: Path) -> None:
    path = tmp_path / "proxy.log"
    path.write_bytes(b"\n".join(line(collection=f"c{number}") for number in range(5000)))
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "generator", "logs", str(path), "--limit", "5000"]
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (3, b"")


def test_memory_stays_flat_whatever_is_read(tmp_path: Path) -> None:
    def peak(*pieces: bytes) -> float:
        """Megabytes that the command takes to read these pieces."""
        path = tmp_path / "proxy.log"
        with open(path, "wb") as file:
            file.writelines(pieces)
        with subprocess.Popen(
            [sys.executable, "-m", "generator", "logs", str(path)], stdout=subprocess.DEVNULL
        ) as process:
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0
        return usage.ru_maxrss / (1 << (20 if sys.platform == "darwin" else 10))

    usual = peak(line() + b"\n")
    assert peak(line(), *[b"x" * 1_000_000] * 64) < usual + 16
    assert peak(*[line(collection=f"c{number}" * 50) + b"\n" for number in range(10_000)]) < usual + 32
    assert peak(*[(b"fast " * 20 + b"\n") * 10_000] * 64) < usual + 8
