"""Every file in profiles/bad is refused: with the expected words, and with nothing written.

What each must get lies beside it (NAME.txt); `pytest --refresh` writes those files anew.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Thresher

BAD = Path(__file__).parent / "profiles" / "bad"


@pytest.mark.parametrize("name", sorted(path.name for path in BAD.glob("*.yaml")))
def test_is_refused_and_nothing_is_written(
    name: str,
    thresher: Thresher,
    expected: Callable[[Path, str], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(BAD)
    run = thresher("build", name, "--out", tmp_path / "out")
    assert run.exit_code == 2
    assert run.stdout == ""
    assert not (tmp_path / "out").exists()
    assert os.listdir(tmp_path) == []
    expected((BAD / name).with_suffix(".txt"), run.stderr)


def test_mistakes_of_all_files_are_reported_in_one_run_sorted_by_place(thresher: Thresher, tmp_path: Path) -> None:
    files = [BAD / "threshold-is-zero.yaml", BAD / "key-is-misspelled.yaml", BAD / "is-not-yaml.yaml"]
    run = thresher("build", *files, "--out", tmp_path / "out")
    assert run.exit_code == 2
    reported = [line.split(":")[0] for line in run.stderr.splitlines()]
    assert reported == sorted(reported)
    assert {Path(name).name for name in reported} == {path.name for path in files}


def test_one_mistake_keeps_every_other_profile_from_being_written(
    thresher: Thresher, write: Callable[..., Path], tmp_path: Path
) -> None:
    good = write("good.yaml")
    assert thresher("build", good).exit_code == 0
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    write("good.yaml", thresholds="{slow: 2s}")
    assert thresher("build", good, BAD / "threshold-is-zero.yaml").exit_code == 2
    after = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path != tmp_path / "good.yaml"}
    assert after == {path: time for path, time in before.items() if path in after}
    assert after.keys() == before.keys() - {tmp_path / "good.yaml"}


@pytest.mark.parametrize("path", ["/dev/zero", "/dev/null", "."])
def test_what_is_no_regular_file_is_refused_without_being_read(path: str, thresher: Thresher, tmp_path: Path) -> None:
    run = thresher("explain", path)
    assert run.exit_code == 2
    assert "not a regular file" in run.stderr
    assert thresher("build", "/dev/zero", "--out", tmp_path / "out").exit_code == 2


def test_a_fifo_is_refused_without_waiting_for_a_writer(thresher: Thresher, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo.yaml")
    assert "not a regular file" in thresher("build", tmp_path / "fifo.yaml", "--out", tmp_path / "out").stderr


def test_two_files_with_one_name_are_refused(thresher: Thresher, write: Callable[..., Path]) -> None:
    write("a.yaml", name="same")
    write("b.yaml", name="same")
    run = thresher("build", "a.yaml", "b.yaml")
    assert run.exit_code == 2
    says = "b.yaml:2:7: name: same is also the name in a.yaml:2; give each profile a name of its own"
    assert says in run.stderr.splitlines()


@pytest.mark.parametrize("part", ["labels", "annotations", "selector", "collections"])
def test_texts_that_would_make_every_rule_a_long_one_are_refused(
    part: str, write: Callable[..., Path], thresher: Thresher
) -> None:
    value = "{}" if part == "collections" else "b"
    entries = [f"{'a' * 200}{number:03}: {value}" for number in range(20 if part == "selector" else 200)]
    if part == "selector":
        entries[0] = f"a: [{', '.join('b' * 100 + str(number) for number in range(400))}]"
    write("p.yaml", **{part: "{" + ", ".join(entries) + "}"})
    run = thresher("build", "p.yaml")
    assert run.exit_code == 2
    assert f"p.yaml:{5 if part != 'selector' else 4}:1: {part}: " in run.stderr
    assert "characters in all; at most 32768: they are repeated in many rules" in run.stderr


def test_more_sets_of_thresholds_than_anybody_could_evaluate_are_refused(
    write: Callable[..., Path], thresher: Thresher
) -> None:
    entries = ", ".join(f"c{number}: {{thresholds: {{slow: 1s{number}ms}}}}" for number in range(100))
    write("p.yaml", collections=f"{{{entries}}}")
    run = thresher("build", "p.yaml")
    assert run.exit_code == 2
    assert run.stderr.endswith(
        "p.yaml:5:1: collections: 101 different sets of thresholds; at most 100 in one profile\n"
    )
