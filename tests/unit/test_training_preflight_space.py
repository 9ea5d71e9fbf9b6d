"""Whether a disk takes what a training will write, on real file systems where Linux lets us mount one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.errors import StorageError
from orchestrator.training import space

#: In a mount namespace of its own: nothing of it is seen outside, and it is gone with the process.
_MOUNTED = """
set -e
mount -t tmpfs -o size=1m none "$1"
{prepare}
exec "$2" -c '
import sys
from pathlib import Path
from orchestrator.training import space
for problem in space.problems(Path(sys.argv[1]) / "runs" / "v1" / "lora", 0):
    print(problem)
' "$1"
"""


def _on_a_mount(folder: Path, prepare: str) -> str:
    script = _MOUNTED.replace("{prepare}", prepare)
    inside = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
    try:
        subprocess.run([*inside, 'mount -t tmpfs none "$1"', "sh", str(folder)], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no file system may be mounted here")
    done = subprocess.run(
        [*inside, script, "sh", str(folder), sys.executable], check=True, capture_output=True, encoding="utf-8"
    )
    return done.stdout


@pytest.mark.parametrize(
    ("prepare", "words"),
    [
        ('head -c 2000000 /dev/zero > "$1/fill" 2>/dev/null || true', "the disk is full"),
        ('mount -o remount,ro "$1"', "mounted read-only"),
        ("true", "will need about 0 MB, and the disk has 1 MB left"),
    ],
)
def test_a_real_disk_that_takes_nothing(ugly_path: Path, prepare: str, words: str) -> None:
    said = _on_a_mount(ugly_path, prepare)
    assert words in said and len(said.splitlines()) == 1


def test_a_sound_disk_is_left_as_it_was(tmp_path: Path) -> None:
    assert space.problems(tmp_path / "runs" / "v1", 0) == []
    assert not list(tmp_path.iterdir())
    space.require(tmp_path / "runs", 0)
    with pytest.raises(StorageError, match="will need about"):
        space.require(tmp_path, 10**18)


def test_a_file_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("", encoding="utf-8")
    (problem,) = space.problems(tmp_path / "runs" / "v1", 0)
    assert problem.place == str(tmp_path / "runs") and problem.fix


def test_what_was_written_already_is_counted(tmp_path: Path) -> None:
    assert space.used(tmp_path / "missing") == 0
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "a").write_bytes(bytes(1000))
    (tmp_path / "b").write_bytes(bytes(500))
    (tmp_path / "dangling").symlink_to(tmp_path / "gone")
    assert 1500 <= space.used(tmp_path) < 1500 + 2 * len(str(tmp_path)) + 20
    assert space.free(tmp_path / "not" / "there") == pytest.approx(space.free(tmp_path), rel=0.2)


def test_paths_that_windows_does_not_take(tmp_path: Path) -> None:
    longest = "ai_model_v1-000080-state/random_states_0.pkl"
    room = space._LONGEST - len(str(tmp_path)) - 2 - len(longest)
    assert space.path_problem(tmp_path / ("x" * room), longest) is None
    problem = space.path_problem(tmp_path / ("x" * (room + 1)), longest)
    assert problem is not None and "260 characters" in problem.what and "long paths" in problem.fix


@pytest.mark.parametrize(("count", "words"), [(0, "0 MB"), (227e6, "227 MB"), (4.26e9, "4.3 GB"), (121e12, "121.0 TB")])
def test_sizes_are_said_in_peoples_units(count: float, words: str) -> None:
    assert space.size(int(count)) == words
