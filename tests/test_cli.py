"""The command line: help with examples, exit codes, formats, and what `explain` says."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest

from generator import __version__
from generator.cli import main
from tests.conftest import EXAMPLES, ROOT, AsUser, Thresher

EXPECTED = Path(__file__).parent / "expected"
Write = Callable[..., Path]


@pytest.mark.parametrize("command", sorted(main.commands))
def test_help_of_every_command_shows_an_example(
    command: str, thresher: Thresher, expected: Callable[[Path, str], None]
) -> None:
    run = thresher(command, "--help")
    assert f"thresher {command} " in run.stdout.split("Example")[1]
    expected(EXPECTED / f"help-{command}.txt", run.stdout)


def test_the_module_runs_like_the_command() -> None:
    done = subprocess.run([sys.executable, "-m", "generator", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"thresher, version {__version__}\n"


@pytest.mark.parametrize(
    "arguments", [(), ("build",), ("nonsense",), ("catalog",), ("catalog", "diff", "2.3"), ("explain",)]
)
def test_wrong_use_ends_with_2_and_the_usage(arguments: tuple[str, ...], thresher: Thresher) -> None:
    run = thresher(*arguments)
    assert run.exit_code == 2
    assert "Usage: thresher" in run.output


@pytest.mark.parametrize("name", ["prod-search", "legacy", "shop", "early", "fleet"])
def test_explain_says_in_words_what_a_profile_watches(
    name: str, thresher: Thresher, expected: Callable[[Path, str], None]
) -> None:
    run = thresher("explain", EXAMPLES / f"{name}.yaml")
    assert run.exit_code == 0
    expected(EXPECTED / f"explain-{name}.txt", run.stdout)
    assert "^" not in run.stdout


def test_explain_tells_of_one_alert(thresher: Thresher) -> None:
    run = thresher("explain", EXAMPLES / "legacy.yaml", "MilvusSlowQueries")
    assert "take longer than 5s (measured at 4096 ms, -18%)" in run.stdout
    assert "MilvusDown" not in run.stdout
    run = thresher("explain", EXAMPLES / "legacy.yaml", "MilvusRequestsRejected")
    assert run.stdout.startswith('MilvusRequestsRejected{part="limiter"} is left out: ')


def test_explain_suggests_the_alert_that_was_meant(thresher: Thresher) -> None:
    run = thresher("explain", EXAMPLES / "legacy.yaml", "MilvusSlowQuery")
    assert run.exit_code == 2
    assert "did you mean MilvusSlowQueries?" in run.stderr


def test_the_report_of_a_build_comes_as_json(write: Write, thresher: Thresher) -> None:
    write("prod.yaml")
    run = thresher("build", "prod.yaml", "--format", "json")
    report = json.loads(run.stdout)
    assert run.stderr == ""
    assert [finding["severity"] for finding in report["findings"]] == ["warning"]
    assert report["profiles"][0]["thresholds"][0]["slow"]["measured"] == "measured at 1024 ms, +2%"
    assert set(report["changes"].values()) == {"new"}


def test_mistakes_come_as_json_and_as_workflow_commands(write: Write, thresher: Thresher) -> None:
    write("a.yaml", thresholds="{slow: 0s}")
    (finding, *_) = (
        each
        for each in json.loads(thresher("build", "a.yaml", "--format", "json").stdout)
        if each["severity"] == "error"
    )
    assert (finding["file"], finding["line"], finding["column"], finding["path"]) == (
        "a.yaml",
        5,
        20,
        "thresholds.slow",
    )
    lines = thresher("build", "a.yaml", "--format", "github").stdout.splitlines()
    assert lines[0].startswith(
        "::error file=a.yaml,line=5,col=20::thresholds.slow: 0s would be exceeded by every request"
    )


def test_workflow_commands_cannot_be_injected(write: Write, thresher: Thresher) -> None:
    write("a,b.yaml", name='"x\\n::error::y"')
    (line, *_) = thresher("build", "a,b.yaml", "--format", "github").stdout.splitlines()
    assert line.startswith("::error file=a%2Cb.yaml,")
    assert "\n" not in line


def test_many_profiles_get_a_line_each(write: Write, thresher: Thresher) -> None:
    paths = [write(f"p{number:02}.yaml") for number in range(12)]
    lines = thresher("build", *paths).stdout.splitlines()
    assert len(lines) == 13
    assert lines[0] == "p00: Milvus 2.6.19, 51 recorded series, 14 alerts"


def test_a_directory_stands_for_the_profiles_in_it(write: Write, thresher: Thresher) -> None:
    write("profiles/a.yaml")
    write("profiles/b.yml")
    write("profiles/notes.txt", "not a profile")
    assert thresher("build", "profiles", "--quiet").exit_code == 0
    assert sorted(path.name for path in Path("out").iterdir()) == ["a", "b"]


def test_hidden_files_in_a_directory_are_not_read(write: Write, thresher: Thresher) -> None:
    write("profiles/a.yaml")
    write("profiles/.a.yaml", "half a sw[")
    assert thresher("build", "profiles").exit_code == 0


def test_a_file_that_is_given_twice_is_compiled_once(write: Write, thresher: Thresher) -> None:
    path = write("profiles/a.yaml")
    Path("profiles/link.yaml").symlink_to("a.yaml")
    Path("elsewhere").symlink_to("profiles")
    run = thresher("build", "profiles", path, path.absolute(), "elsewhere")
    assert run.exit_code == 0, run.output
    assert run.stdout.splitlines()[-1] == "out: 3 new"


@pytest.mark.parametrize("options", [(), ("--prune",), ("--check",)])
def test_a_directory_without_profiles_is_a_mistake(options: tuple[str, ...], write: Write, thresher: Thresher) -> None:
    write("a.yaml")
    thresher("build", "a.yaml")
    Path("empty").mkdir()
    run = thresher("build", "empty", *options)
    assert run.exit_code == 2
    assert run.stderr == (
        "empty: no profile in this directory; give files that end in .yaml or .yml, or where they are\n"
    )
    assert Path("out/a/MANIFEST.json").exists()


def test_a_base_alone_is_a_mistake(write: Write, thresher: Thresher) -> None:
    write("a.yaml")
    thresher("build", "a.yaml")
    write("base.yaml", base="true", name="", selector="")
    says = "base.yaml: a base, which yields nothing by itself; give a profile that extends it"
    for command in (("build", "base.yaml", "--prune"), ("build", "base.yaml", "--check"), ("explain", "base.yaml")):
        run = thresher(*command)
        assert run.exit_code == 2
        assert says in run.stderr.splitlines()
    assert Path("out/a/MANIFEST.json").exists()
    assert thresher("build", "base.yaml", "a.yaml").exit_code == 0


def test_a_name_that_is_too_long_for_a_file_is_a_mistake(thresher: Thresher) -> None:
    for command in ("build", "explain"):
        run = thresher(command, "x" * 300)
        assert run.exit_code == 2
        assert "cannot be read: File name too long" in run.stderr
    assert thresher("test", "x" * 300).exit_code == 2


def test_a_directory_that_is_closed_is_a_mistake(write: Write, as_user: AsUser) -> None:
    path = write("closed/a.yaml")
    path.parent.chmod(0)
    for given, says in (
        ("closed", "closed: cannot be listed: Permission denied; give a directory that can be read\n"),
        ("closed/a.yaml", "closed/a.yaml: cannot be read: Permission denied; give the path of a readable YAML file\n"),
    ):
        run = as_user("build", given)
        assert (run.returncode, run.stderr) == (2, says)


def test_test_names_paths_that_do_not_exist(thresher: Thresher) -> None:
    run = thresher("test", "nope", "neither")
    assert run.exit_code == 2
    assert run.stderr.splitlines() == [
        f"{name}: there is no such file or directory; run `thresher build` first" for name in ("neither", "nope")
    ]


def test_the_schema_is_one_and_accepts_the_examples(thresher: Thresher) -> None:
    import yaml

    schema = json.loads(thresher("schema").stdout)
    jsonschema.Draft202012Validator.check_schema(schema)
    assert json.loads((EXAMPLES / "profile.schema.json").read_text("utf-8")) == schema
    for path in EXAMPLES.glob("*.yaml"):
        text = path.read_text("utf-8")
        assert text.startswith("# yaml-language-server: $schema=profile.schema.json\n")
        jsonschema.validate(yaml.safe_load(text), schema)


def test_the_profile_reference_is_what_the_schema_says(thresher: Thresher) -> None:
    assert (ROOT / "docs/profile.md").read_text("utf-8") == thresher("schema", "--markdown").stdout


def test_the_committed_output_of_the_examples_is_what_is_built_today(thresher: Thresher) -> None:
    run = thresher("build", EXAMPLES, "--out", EXAMPLES / "out", "--prune", "--check", "--quiet")
    assert run.exit_code == 0, run.stdout[:2000]


def test_the_command_starts_without_what_it_does_not_need() -> None:
    code = (
        "import sys, generator.cli; print(sorted({'jsonschema', 'jinja2', 'yaml', 'promql_parser'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
