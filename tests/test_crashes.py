"""What goes wrong while a build writes: it leaves the whole old tree or the whole new one, and says so in one line.

A build that dies at any moment is tried by one that kills itself before its n-th step, for every n until it gets
through. A step is whatever it does to a file or a directory of its own, as Python's audit events tell
(docs.python.org/3/library/audit_events.html). Between two steps nothing changes but the content of a file that nobody
reads before all is there.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from generator.output import sha256
from tests.conftest import Thresher
from tests.test_output import tree

Write = Callable[..., Path]
Mounted = Callable[..., subprocess.CompletedProcess[str]]

# Forks a child for each step to die at, so that imports and compiled templates are there already. In the directory N
# stands what the child that died before step N has left.
KILLER = """
import json, os, shutil, signal, sys
from pathlib import Path
from generator import output
from generator.cli import main

exchange, arguments = sys.argv[1] == "exchange", sys.argv[2:]
if not exchange:
    output._exchanged = lambda one, other: False

def build(fatal):
    here, steps = os.getcwd() + "/", 0

    def audit(event, what):
        nonlocal steps
        if event == "open" or event.startswith("os."):
            path = what[0] if what and isinstance(what[0], (str, os.PathLike)) else "/"
            if os.path.join(here, path).startswith(here):
                steps += 1
                if steps == fatal:
                    os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(audit)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    main(arguments)

def in_child(directory, fatal=0):
    process = os.fork()
    if not process:
        try:
            os.chdir(directory)
            build(fatal)
        except SystemExit as end:
            os._exit(end.code)
        finally:
            os._exit(70)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])

def look(directory):
    files = (path for path in sorted(Path(directory).rglob("*")) if path.is_file())
    return {path.relative_to(directory).as_posix(): output.sha256(path.read_bytes()) for path in files}

def copy(name):
    shutil.copytree("start", name)
    return name

os.chdir(copy("warm"))
try:
    main(arguments)
except SystemExit:
    os.chdir("..")

for fatal in range(1, 10_000):
    code = in_child(copy(f"{fatal}"), fatal)
    found = look(f"{fatal}")
    again = in_child(f"{fatal}")
    names = sorted(path.relative_to(f"{fatal}").as_posix() for path in Path(f"{fatal}").rglob("*"))
    print(json.dumps([code, found, again, look(f"{fatal}"), names]), flush=True)
    shutil.rmtree(f"{fatal}")
    if code != -signal.SIGKILL:
        break
"""


@dataclass(frozen=True)
class Death:
    """What a build with this exit code left in its directory (hashes of files by path), and the next one made of it."""

    code: int
    files: dict[str, str]
    next_code: int
    next_files: dict[str, str]
    next_names: list[str]

    def below(self, directory: str) -> dict[str, str]:
        """The files in one of the directories, by their paths in there."""
        top = f"{directory}/"
        return {name.removeprefix(top): digest for name, digest in self.files.items() if name.startswith(top)}


def look(directory: Path) -> dict[str, str]:
    return {name: sha256(content) for name, content in tree(directory).items()}


def names(directory: Path) -> list[str]:
    return sorted(path.relative_to(directory).as_posix() for path in directory.rglob("*"))


def first_build(write: Write, _: Thresher) -> list[str]:
    return ["build", str(write("p.yaml")), "--out", "pa/b/out"]


def change(write: Write, thresher: Thresher) -> list[str]:
    write("p.yaml")
    write("q.yaml")
    assert thresher("build", "p.yaml", "q.yaml").exit_code == 0
    write("out/p/rules/by-hand.yaml", "mine")
    write("out/p/notes/README.md", "mine")
    write("p.yaml", thresholds="{slow: 2s}")
    return ["build", "p.yaml", "q.yaml"]


def change_of_all(write: Write, thresher: Thresher) -> list[str]:
    arguments = change(write, thresher)
    write("q.yaml", thresholds="{slow: 2s}")
    return arguments


def removal(write: Write, thresher: Thresher) -> list[str]:
    change(write, thresher)
    return ["build", "q.yaml", "--prune"]


@pytest.mark.e2e
@pytest.mark.parametrize(
    ("scenario", "exchange"),
    [(first_build, True), (change, False), (change, True), (change_of_all, True), (removal, True)],
    ids=lambda value: value.__name__ if callable(value) else "exchanged" if value else "moved aside",
)
def test_a_build_that_dies_at_any_step_leaves_the_old_tree_or_the_new_one_and_the_next_repairs(
    scenario: Callable[[Write, Thresher], list[str]],
    exchange: bool,
    write: Write,
    thresher: Thresher,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    start = tmp_path / "start"
    start.mkdir()
    monkeypatch.chdir(start)
    arguments = scenario(write, thresher)
    old = look(start)
    shutil.copytree(start, tmp_path / "done")
    monkeypatch.chdir(tmp_path / "done")
    assert thresher(*arguments).exit_code == 0
    new, all_names = look(Path()), names(Path())
    command = [sys.executable, "-c", KILLER, "exchange" if exchange else "no exchange", *arguments, "--quiet"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    deaths = [Death(*json.loads(line)) for line in done.stdout.splitlines()]
    assert [death.code for death in deaths] == [-signal.SIGKILL] * (len(deaths) - 1) + [0], done.stderr
    out = "pa" if scenario is first_build else "out"
    before, after = (Death(0, files, 0, {}, []).below(out) for files in (old, new))
    left = [death.below(out) for death in deaths]
    assert before in left
    assert left.count(after) > 1
    for death, files in zip(deaths, left, strict=True):
        # Where two directories cannot be swapped in one step, the old tree stands aside for a moment.
        moved = not exchange and not files and death.below(".out.thresher-old") == before
        assert files in (before, after) or moved
        assert (death.next_code, death.next_files, death.next_names) == (0, new, all_names)


IN_A_SMALL_FILE_SYSTEM = """
mount -t tmpfs -o "$1" tmpfs disk || exit 77
cp -a out disk/out || exit 77
if [ -n "$2" ]; then mount -o "remount,$2" disk || exit 77; fi
shift 2
"$@"
code=$?
cp -a disk after
exit $code
"""


@pytest.fixture
def mounted() -> Mounted:
    """Runs a command where the directory `disk` is a file system of its own, which holds a copy of `out`.

    What it holds afterwards is copied to `after`.
    """
    private = ["unshare", "--user", "--map-root-user", "--mount"]
    if not shutil.which("unshare") or subprocess.run([*private, "true"], capture_output=True, check=False).returncode:
        pytest.skip("file systems cannot be mounted here")

    def run(options: str, then: str, *command: str) -> subprocess.CompletedProcess[str]:
        Path("disk").mkdir()
        shell = [*private, "sh", "-c", IN_A_SMALL_FILE_SYSTEM, "sh", options, then, *command]
        done = subprocess.run(shell, capture_output=True, text=True, check=False)
        if done.returncode == 77:
            pytest.skip(f"a file system cannot be mounted here: {done.stderr}")
        return done

    return run


def changed_profiles(write: Write, thresher: Thresher) -> list[str]:
    for slow in (1, 2):
        for name in "pq":
            write(f"{name}.yaml", thresholds=f"{{slow: {slow}s}}")
        if slow == 1:
            assert thresher("build", "p.yaml", "q.yaml").exit_code == 0
    return [sys.executable, "-m", "generator", "build", "p.yaml", "q.yaml", "--quiet", "--out"]


def expect_refusal(done: subprocess.CompletedProcess[str], why: str, old: dict[str, bytes]) -> None:
    """One clear line, and everything as it was."""
    assert done.returncode == 3, done.stderr
    assert done.stderr.startswith("cannot write disk/out: ")
    assert done.stderr.endswith(f"{why}; nothing was changed\n")
    assert len(done.stderr.splitlines()) == 1
    assert tree(Path("after/out")) == old
    assert [path.name for path in Path("after").iterdir()] == ["out"]


@pytest.mark.parametrize("kilobytes", [0, 40, 250])
def test_on_a_full_disk_there_is_one_clear_line_and_the_tree_stays_as_it_was(
    kilobytes: int, write: Write, thresher: Thresher, mounted: Mounted
) -> None:
    command = changed_profiles(write, thresher)
    old = tree(Path("out"))
    used = sum(-(-len(content) // 4096) * 4 for content in old.values())
    expect_refusal(mounted(f"size={used + kilobytes}k", "", *command, "disk/out"), "No space left on device", old)


@pytest.mark.parametrize("more", [0, 3, 12])
def test_without_room_for_more_files_there_is_one_clear_line_and_the_tree_stays_as_it_was(
    more: int, write: Write, thresher: Thresher, mounted: Mounted
) -> None:
    command = changed_profiles(write, thresher)
    old, used = tree(Path("out")), len(names(Path("out"))) + 2
    run = mounted(f"size=9m,nr_inodes={used + more}", "", *command, "disk/out")
    expect_refusal(run, "No space left on device", old)


def test_on_a_read_only_disk_there_is_one_clear_line(write: Write, thresher: Thresher, mounted: Mounted) -> None:
    command = changed_profiles(write, thresher)
    old = tree(Path("out"))
    expect_refusal(mounted("size=9m", "ro", *command, "disk/out"), "Read-only file system", old)


def test_a_mount_point_itself_is_refused_with_a_hint(write: Write, thresher: Thresher, mounted: Mounted) -> None:
    command = changed_profiles(write, thresher)
    old = tree(Path("out"))
    run = mounted("size=9m", "", *command, "disk")
    assert run.returncode == 3
    assert run.stderr.count("\n") == 1
    assert "disk is a mount point: give a directory inside it" in run.stderr
    assert tree(Path("after/out")) == old
    assert sorted(os.listdir()) == ["after", "disk", "out", "p.yaml", "q.yaml"]


@pytest.mark.parametrize("most", [0, 50_000])
def test_where_files_must_not_be_large_there_is_one_clear_line(most: int, write: Write, thresher: Thresher) -> None:
    command = changed_profiles(write, thresher)
    old = tree(Path("out"))
    limits = f"import os, resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, ({most}, {most})); "
    limited = [sys.executable, "-c", limits + "os.execv(sys.argv[1], sys.argv[1:])", *command, "out"]
    run = subprocess.run(limited, capture_output=True, text=True, check=False)
    assert run.returncode == 3
    assert run.stderr == "cannot write out: File too large; nothing was changed\n"
    assert tree(Path("out")) == old
    assert sorted(os.listdir()) == ["out", "p.yaml", "q.yaml"]


def test_of_builds_at_once_the_last_one_wins_as_a_whole(write: Write, thresher: Thresher) -> None:
    builds, trees = [], []
    for number in range(4):
        files = [str(write(f"{number}/{name}.yaml", thresholds=f"{{slow: 1{number}00ms}}")) for name in "pq"]
        assert thresher("build", *files, "--out", f"{number}/out").exit_code == 0
        trees.append(tree(Path(f"{number}/out")))
        builds += [[sys.executable, "-m", "generator", "build", *files, "--quiet"]] * 2
    running = [subprocess.Popen(build, stderr=subprocess.PIPE) for build in builds]
    assert [process.communicate()[1] for process in running] == [b""] * len(builds)
    assert [process.returncode for process in running] == [0] * len(builds)
    assert tree(Path("out")) in trees
    assert sorted(os.listdir()) == ["0", "1", "2", "3", "out"]
