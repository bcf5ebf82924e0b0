"""Whatever is in a profile, a base or a fleet file: no traceback, no hang, no file changed, every line says where.

Inputs are drawn in three ways: text and bytes of any kind; examples with some of their parts dropped, given twice or
replaced; and whole profiles drawn from the JSON Schema, so that new settings are tried without an edit here.
"""

from __future__ import annotations

import gc
import json
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from generator import build, source
from generator.cli import main
from generator.profile.schema import _inlined
from tests.conftest import EXAMPLES

MEGABYTE = 1 << 20


class Raw(str):
    """YAML text that is written as it is, where other strings are quoted."""

    __slots__ = ()


# Maps are tuples of pairs, so that a key can be given twice.
Map = tuple[tuple[Any, Any], ...]


def as_map(value: object) -> Any:
    if isinstance(value, dict):
        return tuple((key, as_map(each)) for key, each in value.items())
    return [as_map(each) for each in value] if isinstance(value, list) else value


def written(value: Any) -> str:
    """The value as YAML in flow style."""
    if isinstance(value, Raw):
        return str(value)
    if isinstance(value, tuple):
        return "{" + ", ".join(f"{written(key)}: {written(each)}" for key, each in value) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(written, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


HOSTILE = [
    Raw(text)
    for text in (
        *("", '""', "~", "null", "true", "True", "yes", "[]", "{}", "[[]]", "[null]", "{a: {a: {a: {}}}}", "[{}, 5]"),
        *("0", "-1", "5", "010", "0x1F", "1:30", "1_000", "1e3", "1e400", ".inf", "-.INF", ".nan", "NaN", "9" * 400),
        *("0.5", "0.999999", "0.9999999999999999", "1", "1.0", "0.0", "-0.0", "-0", "100", "1" * 18),
        *("2020-01-01", "2020-01-01T00:00:00Z", "=", "<<", "!!binary aGk=", "!!python/object/apply:os.system [id]"),
        *("!!set {a}", "! x", "!x y", "&a x", "*a", "&a {a: *a}", "? x", "|", "- x", "%x", "@x", "`x`", "#x", "{", "]"),
        *(r'"\0"', r'"\ud800"', r'"\U0010ffff"', r'"\u202e"', r'"\u2028"', r'"\ufeff"', r'"\e"', r'"a\nb"', r'"a\tb"'),
        *('"é"', r'"e\u0301"', "я", '"рrod"', '"ｓearch"', r'"\u200d"', '"😀"', '" a"', '"a "', '" "', '"\u00a0"'),
        *("'{{ $value }}'", "'{{'", "'}}'", "'{% raw %}'", "'<< profile >>'", "'<%'", "'^0^'", "'^'", "'%s'", "'$1'"),
        *(r"""'a"} or vector(1) or up{b="'""", r"'\'", "'a|b'", "'.*'", "'('", "'`'", "\"'\"", "'# x'", "': x'"),
        *("../../x", "/dev/zero", "team.yaml", "./team.yaml", "profile.yaml", ".", "''", "'x/y'", "con", "-x"),
        *("0s", "1ms", "7s", "1m", "5m", "1d", "1h30m", "1.5s", "0.000001ms", "100 ms", "100", "-5s", "999999999999d"),
        *("20ms", "32ms", "33ms", "100ms", "1s", "131072ms", "131073ms", "1024ms", "0.5ms", "60s", "10m", "2h"),
        *("100%", "0%", "0.000001%", "99.999999%", "1x", "1.000001x", "999999x", "0/s", "0.000001/h", "999999999/s"),
        *("2.3.0", "2.4.6", "2.5", "2.6", "2.6.19", "3.0.1", "9.9", "a" * 64, "'" + "x" * 5000 + "'"),
    )
]  # fmt: skip
hostile = st.sampled_from(HOSTILE)
texts = st.text(st.sampled_from("aZ09_-./:{}[]()|\\\"'<>%$^#*&! ~é"), min_size=1, max_size=12)


@st.composite
def valid(draw: st.DrawFn, part: dict[str, Any]) -> Any:
    """Values that agree with a part of the schema, and now and then one that need not."""
    return draw(hostile if draw(st.integers(0, 12)) == 12 else _valid(part))


def _valid(part: dict[str, Any]) -> st.SearchStrategy[Any]:
    if "const" in part or "enum" in part:
        return st.sampled_from(part.get("enum") or [part["const"]])
    if "pattern" in part:
        return st.from_regex(part["pattern"], fullmatch=True)
    kinds = part.get("type", ())
    found = [_KINDS[kind](part) for kind in ([kinds] if isinstance(kinds, str) else kinds)]
    return st.one_of(*found) if found else hostile


def _object(part: dict[str, Any]) -> st.SearchStrategy[Any]:
    known = [st.tuples(st.just(key), valid(each)) for key, each in part.get("properties", {}).items()]
    if isinstance(more := part.get("additionalProperties"), dict):
        known.append(st.tuples(_valid(part["propertyNames"]), valid(more)))
    return st.lists(st.one_of(known), max_size=4).map(tuple) if known else st.just(())


_KINDS: dict[str, Callable[[dict[str, Any]], st.SearchStrategy[Any]]] = {
    "boolean": lambda _: st.booleans(),
    "integer": lambda part: st.integers(part.get("minimum", -9), part.get("maximum", 9999)),
    "number": lambda part: st.floats(part.get("minimum", 0), part.get("maximum", 1)).map(lambda x: Raw(f"{x:.6f}")),
    "string": lambda _: texts,
    "array": lambda part: st.lists(valid(part["items"]), max_size=3),
    "object": _object,
}  # fmt: skip

SCHEMA: dict[str, Any] = _inlined(build.schema(), build.schema())
SETTINGS = st.one_of([st.tuples(st.just(key), valid(part)) for key, part in SCHEMA["properties"].items()])
CORPUS: list[Map] = [as_map(yaml.safe_load(path.read_text("utf-8"))) for path in sorted(EXAMPLES.glob("*.yaml"))]


def places(value: Any, path: tuple[int, ...] = ()) -> list[tuple[int, ...]]:
    """The path of every part of the value; of a map's entries by their number."""
    inner = [each for _, each in value] if isinstance(value, tuple) else value if isinstance(value, list) else []
    return [path, *(place for number, each in enumerate(inner) for place in places(each, (*path, number)))]


def changed(value: Any, path: tuple[int, ...], change: Callable[[Any], list[Any]]) -> list[Any]:
    """The value with what stands at the path replaced by what `change` makes of it: nothing, one thing or several."""
    if not path:
        return change(value)
    first, *rest = path
    if isinstance(value, list):
        return [[*value[:first], *changed(value[first], tuple(rest), change), *value[first + 1 :]]]
    key, inner = value[first]
    entries = tuple((key, each) for each in changed(inner, tuple(rest), change))
    return [(*value[:first], *entries, *value[first + 1 :])]


def changes_to(other: Any) -> list[Callable[[Any], list[Any]]]:
    """What may become of a part: it goes, comes twice, gets company, is wrapped, or (more often) is another one."""
    return [
        lambda _: [],
        lambda each: [each, each],
        lambda each: [each, other],
        lambda each: [[each]],
        lambda _: [other],
        lambda _: [other],
    ]


@st.composite
def mutated(draw: st.DrawFn) -> Any:
    """An example, or an empty profile, of which a few parts are not what they were."""
    value: Any = draw(st.sampled_from(CORPUS))
    for _ in range(draw(st.integers(0, 3))):
        if draw(st.booleans()) and isinstance(value, tuple):
            entry = draw(SETTINGS)
            value = (*(each for each in value if each[0] != entry[0]), entry)
            continue
        other = draw(hostile | st.sampled_from(CORPUS) | SETTINGS.map(lambda entry: entry[1]))
        found = changed(value, draw(st.sampled_from(places(value))), draw(st.sampled_from(changes_to(other))))
        value = found[0] if found else ()
    return value


@st.composite
def mangled(draw: st.DrawFn, text: str) -> bytes:
    """The text with a few characters more, fewer or others; in another encoding, with other ends of lines."""
    for _ in range(draw(st.integers(0, 2))):
        start, end = sorted((draw(st.integers(0, len(text))), draw(st.integers(0, len(text)))))
        middle = draw(
            st.sampled_from([text[start:end] * 2, "", *HOSTILE, "\t", "\n", "\x00", "\x85", "\ufeff", "\n---\n"])
        )
        text = text[:start] + middle + text[end:]
    ends = draw(st.sampled_from(["\n", "\n", "\r\n", "\r"]))
    encoding = draw(st.sampled_from(["utf-8"] * 6 + ["utf-8-sig", "utf-16", "latin-1"]))
    return text.replace("\n", ends).encode(encoding, "replace")


wholes = mutated() | SETTINGS.map(lambda entry: (*CORPUS[2], entry)) | _valid(SCHEMA)
examples = st.sampled_from([path.read_text("utf-8") for path in sorted(EXAMPLES.glob("*.yaml"))])
FILES = st.one_of(
    wholes.map(lambda value: written(value).encode("utf-8", "replace")),
    wholes.map(lambda value: written(value).encode("utf-8", "replace")),
    (wholes.map(written) | examples).flatmap(mangled),
    st.text(max_size=200).map(lambda text: text.encode("utf-8", "replace")),
    st.binary(max_size=200),
)


def check(profile: bytes, base: bytes, accepted: list[bytes] | None = None) -> None:
    """Builds the profile, beside a file that it may extend; whatever they hold, the user can tell what to do."""
    with tempfile.TemporaryDirectory() as directory:
        files = {Path(directory, "profile.yaml"): profile, Path(directory, "team.yaml"): base}
        for path, content in files.items():
            path.write_bytes(content)
        out = Path(directory, "out")
        arguments = ["build", f"{directory}/profile.yaml", "--out", str(out), "--quiet"]
        started = time.process_time()
        result = CliRunner().invoke(main, arguments)
        gc.enable()
        assert time.process_time() - started < 5
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        lines = result.stderr.splitlines()
        assert all(re.match(r"/[^\n]*: .", line) for line in lines)
        assert result.stdout == ""
        assert all(path.read_bytes() == content for path, content in files.items())
        if result.exit_code == 2:
            assert any(": warning: " not in line and ": note: " not in line for line in lines)
            assert not out.exists()
            return
        assert result.exit_code == 0
        assert CliRunner().invoke(main, [*arguments, "--check"]).exit_code == 0
        gc.enable()
        for path in out.rglob("*.rules.yaml"):
            assert yaml.safe_load(path.read_bytes())["groups"]
            if accepted is not None:
                accepted.append(path.read_bytes())


def draw_and_check(number: int, accepted: list[bytes] | None = None) -> None:
    """Checks so many inputs, the same ones in every run."""

    @settings(
        max_examples=number,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(FILES, FILES)
    def one(profile: bytes, base: bytes) -> None:
        check(profile, base, accepted)

    one()


def test_no_input_ends_in_a_traceback_or_changes_a_file() -> None:
    draw_and_check(150)


@pytest.mark.e2e
def test_of_many_inputs_none_ends_in_a_traceback_and_promtool_takes_what_is_built(
    promtool: str, tmp_path: Path
) -> None:
    accepted: list[bytes] = []
    draw_and_check(1000, accepted)
    assert accepted
    for number, content in enumerate(accepted):
        (tmp_path / f"{number}.yaml").write_bytes(content)
    done = subprocess.run([promtool, "check", "rules", *map(str, tmp_path.iterdir())], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


HEAD = 'version: 1\nname: p\nmilvus: "2.6.19"\n'
ONE = HEAD + "selector: {namespace: v}\n"


def many(line: str, count: int) -> str:
    return "".join(line.replace("#", str(number)) + "\n" for number in range(count))


# What costs much to read, to check or to compile, as far as a file may be large; and what is said about it, if it is
# not compiled.
HEAVY = {
    "unknown keys": (ONE + many("key#: 1", 24_000), "unknown key"),
    "unknown alerts": (ONE + "alerts:\n" + many("  MilvusSearchLatency#: {}", 24_000), "unknown key"),
    "keys given twice": (ONE + many("name: p", 24_000), "given twice"),
    "wrong labels": (ONE + "labels:\n" + many("  a#: 5", 24_000), "is a number"),
    "many labels": (ONE + "labels:\n" + many("  a#: b", 4_600), ""),
    "too many labels": (ONE + "labels:\n" + many("  a#: b", 24_000), "characters in all"),
    "long annotations": (ONE + "annotations:\n" + many(f"  a#: {'é' * 4000}", 120), "characters in all"),
    "many selectors": (HEAD + f"selector: {{a: [{', '.join(f'n{number:05}' * 5 for number in range(1000))}]}}\n", ""),
    "too many selectors": (
        HEAD + "selector:\n" + many(f"  l#: [{', '.join(f'v{number}' for number in range(1000))}]", 20),
        "characters in all",
    ),
    "collections": (ONE + "collections:\n" + many(f"  {'x' * 60}#: {{thresholds: {{slow: 1s#ms}}}}", 99), ""),
    "collections that all differ": (
        ONE + "collections:\n" + many("  c#: {thresholds: {slow: 1s#ms}}", 500),
        "501 different sets of thresholds",
    ),
    "too many collections": (ONE + "collections:\n" + many("  c#: {thresholds: {slow: #ms}}", 9_000), "at most 500"),
    "many deployments": (HEAD + "deployments:\n" + many("  - selector: {a: b#}", 10_000), ""),
    "too many deployments": (HEAD + "deployments:\n" + many("  - {}", 40_000), "at most 10000"),
    "deployments that meet": (
        HEAD + "deployments:\n" + many("  - selector: {a: b}", 10_000),
        "selects the same series",
    ),
    "deployments of many kinds": (
        HEAD + "deployments:\n" + many("  - selector: {a: b#, c#: d}", 9_000),
        "different sets of labels",
    ),
    "deployments that all differ": (
        HEAD + "deployments:\n" + many("  - {selector: {a: b#}, window: 5m#ms}", 9_000),
        "more than 1000 rule sets",
    ),
    "deployments without identity": (
        HEAD + "identity: [c]\ndeployments:\n" + many("  - selector: {a: b#, c: d}", 10_000),
        "more than 1000 rule sets",
    ),
    "wrong deployments": (
        HEAD + "deployments:\n" + many("  - {selector: {a-b: c}, window: 1}", 8_000),
        "cannot be a name",
    ),
    "one long line": (f'a: "{"x" * 1_000_000}"\n', "1000000 characters"),
    "open brackets": ("[" * 1_000_000, "nested deeper"),
    "open braces": ("{" * 1_000_000, "a key that is no name"),
    "question marks": ("? " * 500_000, "a key that is no name"),
    "backslashes": ('a: "' + "\\" * 1_000_000, "not YAML"),
    "anchors": (many("a#: &x# 1", 20_000), "anchor"),
    "tags": (many("a#: !!binary 1", 20_000), "tag "),
    "directives": ("%TAG !e! tag:e,2000:\n" * 20_000, "not YAML"),
    "documents": ("---\na: 1\n" * 80_000, "a second YAML document"),
    "empty lines": ("a: >\n" + "\n" * 1_000_000, "unknown key"),
    "comments": (ONE + "#\n" * 400_000, ""),
    "a list of the same": (ONE + f"identity: [{'a, ' * 40_000}]\n", "at most 20"),
    "a long duration": (ONE + f"window: {'1h' * 2_000}\n", "is no duration"),
    "blanks in a duration": (ONE + f"window: '9{' ' * 4_000}!'\n", "is no duration"),
    "a long release": (HEAD.replace("2.6.19", "2." * 2_000) + "selector: {a: b}\n", "not in the catalog"),
    "a long URL": (ONE + f"runbook_base_url: https://{'a.' * 2_000}\n", "is not allowed"),
}


@pytest.mark.e2e
@pytest.mark.parametrize("name", HEAVY)
def test_no_input_takes_five_seconds_or_500_megabytes(name: str, tmp_path: Path) -> None:
    text, says = HEAVY[name]
    path = tmp_path / "profile.yaml"
    path.write_text(text[: source.MAX_BYTES], "utf-8")

    def limit() -> None:
        # Of processor time, and twice as much: the machine may be slow or busy.
        resource.setrlimit(resource.RLIMIT_CPU, (10, 10))
        resource.setrlimit(resource.RLIMIT_DATA, (500 * MEGABYTE, 500 * MEGABYTE))

    command = [sys.executable, "-m", "generator", "build", str(path), "--out", str(tmp_path / "out"), "--quiet"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, preexec_fn=limit)
    assert done.returncode == (2 if says else 0), done.stderr[-500:]
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert sorted(each.name for each in tmp_path.iterdir()) == (["profile.yaml"] if says else ["out", "profile.yaml"])
