"""What is compiled for one profile serves the next; nobody can see that in the output."""

from __future__ import annotations

import tempfile
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generator.build import build
from generator.findings import Finding
from generator.names import Names
from tests.conftest import EXAMPLES


def files(*paths: Path) -> dict[PurePosixPath, bytes]:
    built = [each for each in build(paths) if not isinstance(each, Finding)]
    assert built
    return {path: content for each in built for path, content in each.files.items()}


def without_placeholders(*paths: Path) -> dict[PurePosixPath, bytes]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Names, "stand_in", lambda _, text, **__: text)
        return files(*paths)


PROFILES = sorted(EXAMPLES.glob("*.yaml"))


def test_the_examples_are_the_same_with_and_without_placeholders() -> None:
    assert files(*PROFILES) == without_placeholders(*PROFILES)


def test_a_profile_is_the_same_alone_and_after_others() -> None:
    together = files(*PROFILES)
    for path in PROFILES:
        if path.stem != "team":
            alone = files(path)
            assert alone == {each: content for each, content in together.items() if each in alone}


_TEXTS = st.text(st.sampled_from("abZ09._-/'\"\\ {}$é|*:%#^01^"), min_size=1, max_size=20).filter(
    lambda text: "{{" not in text and text == text.strip()
)

# Names of deployments as people choose them, or anything else.
_SEVERAL = st.lists(st.from_regex(r"\A[a-c]{1,2}-[0-9]\Z"), min_size=3, max_size=5, unique=True) | st.lists(
    _TEXTS, min_size=1, max_size=4, unique=True
)


@settings(max_examples=12)
@given(_SEVERAL, _TEXTS, _TEXTS, st.integers(2, 30), st.integers(400, 2000))
def test_no_text_of_a_profile_shows_the_difference(
    values: list[str], label: str, annotation: str, healthy: int, slow: int
) -> None:
    def quoted(text: str) -> str:
        return "'" + text.replace("'", "''") + "'"

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "p.yaml")
        path.write_text(
            'version: 1\nname: p\nmilvus: "2.6.19"\n'
            f"selector: {{ns: [{', '.join(map(quoted, values))}], job: milvus}}\nlabels: {{team: {quoted(label)}}}\n"
            f"annotations: {{hint: {quoted(annotation)}}}\n"
            f"thresholds: {{healthy: {healthy}ms, slow: {slow}ms}}\n",
            "utf-8",
        )
        assert files(path) == without_placeholders(path)
