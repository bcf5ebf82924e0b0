"""The container file: what it copies is there, what it runs as is not root, and it builds where there is an engine."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from generator import __version__
from tests.conftest import ROOT

INSTRUCTIONS = [
    line.split()
    for line in (ROOT / "Dockerfile").read_text("utf-8").replace("\\\n", " ").splitlines()
    if line and not line.startswith("#")
]
LET_THROUGH = {
    line[1:] for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines() if line.startswith("!")
}  # fmt: skip


def test_everything_that_is_copied_exists_and_is_let_through() -> None:
    copied = [name for kind, *words in INSTRUCTIONS if kind == "COPY" for name in words[:-1] if words[0][:2] != "--"]
    assert "generator" in copied
    assert set(copied) == LET_THROUGH
    assert all((ROOT / name).exists() for name in copied)


def test_what_is_built_from_is_pinned_and_what_runs_is_not_root() -> None:
    images = [words[0] for kind, *words in INSTRUCTIONS if kind == "FROM"]
    assert images
    assert all(":" in image and not image.endswith(":latest") for image in images)
    assert ["USER", "65534:65534"] in INSTRUCTIONS[-4:]


@pytest.mark.e2e
def test_the_container_runs_the_command_and_has_promtool() -> None:
    engine = next((each for each in ("docker", "podman") if shutil.which(each)), "docker")
    if not shutil.which(engine) or subprocess.run([engine, "info"], capture_output=True, check=False).returncode:
        pytest.skip("there is no container engine")
    built = subprocess.run([engine, "build", "-q", ROOT], capture_output=True, text=True, check=True).stdout.strip()
    run = [engine, "run", "--rm", built]
    done = subprocess.run([*run, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"thresher, version {__version__}\n"
    with_git = subprocess.run([*run[:3], "--entrypoint", "git", built, "--version"], check=False)
    assert with_git.returncode == 0
    run[2:2] = ["--entrypoint", "promtool"]
    assert "promtool, version" in subprocess.run([*run, "--version"], capture_output=True, text=True, check=True).stdout
