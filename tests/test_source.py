"""Reading YAML with positions: what is refused, and what is never done."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generator.source import Document, dotted, parse


def read(text: str) -> Document:
    document, findings = parse(text, "f.yaml")
    assert document
    assert not findings
    return document


def test_every_value_and_key_knows_where_it_stands() -> None:
    document = read("a:\n  - x\n  - {b: 1, c: two}\n")
    assert document.data == {"a": ["x", {"b": 1, "c": "two"}]}
    assert document.position(("a", 1, "c"))[1:3] == (3, 15)
    assert document.position(("a", 1, "c"), of_key=True)[1:3] == (3, 12)


def test_what_is_not_there_stands_where_it_would_belong() -> None:
    finding = read("a: {b: 1}\n").finding(("a", "missing", 2), "missing")
    assert (finding.line, finding.column, finding.path) == (1, 4, "a.missing[2]")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("12", 12), ("-3", -3), ("0", 0), ("1.50", 1.5), ("true", True), ("false", False), ("", None), ("null", None),
        ("5m", "5m"), ("2.6.19", "2.6.19"), ('"010"', "010"), ("'yes'", "yes"), ("|-\n  no", "no"), ("1.2.3", "1.2.3"),
    ],
)  # fmt: skip
def test_plain_values_mean_what_every_reader_takes_them_for(text: str, value: object) -> None:
    assert read(f"a: {text}\n").data == {"a": value}


@pytest.mark.parametrize(
    "text",
    ["yes", "No", "ON", "010", "0x1F", "0b1", "1_000", "1:30", "1e3", ".5", "5.", "+1", ".inf", "-.INF", ".nan",
     "NaN", "inf", "2020-01-01", "~", "=", "9" * 30],
)  # fmt: skip
def test_values_that_readers_disagree_on_are_refused(text: str) -> None:
    document, findings = parse(f"a: {text}\nb: 1\n", "f.yaml")
    assert [(finding.line, finding.column) for finding in findings] == [(1, 4)]
    assert document
    assert document.data == {"b": 1}


@pytest.mark.parametrize(
    "text", ["[" * 100_000, "{a: " * 50_000, "- " * 100_000, "a:\n" + "".join(" " * n + "a:\n" for n in range(1, 300))]
)
def test_deep_nesting_is_refused_before_anything_recurses(text: str) -> None:
    _, findings = parse(text, "f.yaml")
    assert "nested deeper than" in findings[-1].wrong


def test_positions_are_characters_not_bytes() -> None:
    _, findings = parse('é: "ü", x\n', "f.yaml")
    assert (findings[0].line, findings[0].column) == (1, 7)


@pytest.mark.parametrize(
    ("keys", "text"),
    [(("a", 0, "b-c"), "a[0].b-c"), ((), ""), (("a b",), "`a b`"), (("x\u202ey",), "`x\\u202ey`")],
)
def test_paths_are_readable_and_cannot_deceive(keys: tuple[str | int, ...], text: str) -> None:
    assert dotted(keys) == text


@settings(max_examples=300)
@given(st.text(alphabet=st.sampled_from("ab1:-[]{},\"'#&*!|>\n\t \u00e9~<?%@`"), max_size=80))
def test_no_text_ends_in_an_exception(text: str) -> None:
    document, findings = parse(text, "f.yaml")
    assert findings or document


def test_a_key_given_again_and_again_is_held_against_the_first() -> None:
    _, findings = parse("a: 1\na: 2\na: 3\n", "f.yaml")
    assert [finding.wrong for finding in findings] == ["given twice: first in line 1"] * 2
