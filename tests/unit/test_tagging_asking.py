"""Asking a server for tags: which model, what is kept, and the user's options given back whatever happens."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from orchestrator.errors import ServerError, ServerUnreachable
from orchestrator.tagging.asking import DEEPDANBOORU, tag_pictures
from orchestrator.tagging.loan import borrowed_options, give_back, journal_of

USERS_OPTIONS = {
    "interrogate_return_ranks": False,
    "interrogate_deepbooru_score_threshold": 0.5,
    "deepbooru_use_spaces": True,
    "deepbooru_escape": True,
    "deepbooru_filter_tags": "",
    "interrogate_keep_models_in_memory": False,
    "sd_model_checkpoint": "mine",
}


class Server:
    """A server in memory that answers as A1111 does: by its options, and by the picture's bytes."""

    url = "http://127.0.0.1:7860"

    def __init__(self, *, wd14: tuple[str, ...] = (), deepdanbooru: bool = True) -> None:
        self.stored: dict[str, Any] = dict(USERS_OPTIONS)
        self.wd14 = wd14
        self.deepdanbooru = deepdanbooru
        self.asked: list[str] = []
        self.broken: set[bytes] = set()
        self.gone = False
        self.lock = threading.Lock()

    def options(self) -> Mapping[str, Any]:
        return dict(self.stored)

    def set_options(self, values: Mapping[str, Any], /) -> None:
        if self.gone:
            raise ServerUnreachable(self.url)
        if unknown := set(values) - set(self.stored):
            raise ServerError("/sdapi/v1/options", 500, "KeyError", str(unknown))
        self.stored.update(values)

    def tagger_models(self) -> list[str]:
        return list(self.wd14)

    def tags(self, picture: bytes, model: str, threshold: float = 0.0, /) -> dict[str, float]:
        self._ask(model, picture)
        return {"arm_up": 0.9, "general": 0.8, "rare": 0.001, "crossed arms": 0.002}

    def interrogate(self, picture: bytes, model: str = DEEPDANBOORU, /) -> str:
        if not self.deepdanbooru:
            raise ServerError("/sdapi/v1/interrogate", 500, "IndexError", "list index out of range")
        self._ask(model, picture)
        return "(arm_up:0.871), (solo:0.990)" if self.stored["interrogate_return_ranks"] else "arm up, solo"

    def _ask(self, model: str, picture: bytes) -> None:
        with self.lock:
            self.asked.append(model)
        if self.gone:
            raise ServerUnreachable(self.url)
        if picture in self.broken:
            raise ServerError("/tagger", 500, "ValueError", "no picture")


@pytest.fixture
def pictures(ugly_path: Path) -> list[Path]:
    paths = [ugly_path / f"{i}.png" for i in range(5)]
    for i, path in enumerate(paths):
        path.write_bytes(f"picture {i}".encode())
    return paths


def test_wd14_is_preferred_and_asked_once_per_picture(pictures: list[Path], tmp_path: Path) -> None:
    server = Server(wd14=("mld-caformer", "wd14-vit.v1", "wd-eva02-v3"))
    told: list[Path] = []
    tagged = tag_pictures(pictures, server, tmp_path / "tags", tmp_path, on_tagged=told.append)
    assert sorted(told) == pictures
    assert tagged.tagger is not None
    assert tagged.tagger.model == "wd-eva02-v3"
    assert tagged.seen_from == 0.35
    # names asked for are kept however unlikely, in Danbooru's spelling; unlikely others are not
    assert tagged.tags[0] == {"arm_up": 0.9, "general": 0.8, "crossed_arms": 0.002}
    assert len(server.asked) == 5
    assert server.stored == USERS_OPTIONS
    again = tag_pictures(pictures, server, tmp_path / "tags", tmp_path, on_tagged=told.append)
    assert again == tagged
    assert sorted(told[5:]) == pictures
    assert len(server.asked) == 5


def test_deepdanbooru_is_asked_with_ranks_and_the_options_come_back(pictures: list[Path], tmp_path: Path) -> None:
    server = Server()
    tagged = tag_pictures(pictures, server, tmp_path / "tags", tmp_path)
    assert tagged.tagger is not None
    assert tagged.tagger.model == DEEPDANBOORU
    assert tagged.known == {"arm_up"}
    assert tagged.tags[4] == {"arm_up": 0.871, "solo": 0.99}
    assert server.stored == USERS_OPTIONS
    assert not journal_of(server, tmp_path).exists()


def test_a_wd14_model_that_fails_leaves_deepdanbooru(pictures: list[Path], tmp_path: Path) -> None:
    server = Server(wd14=("wd14-v2",))
    server.tags = None  # type: ignore[assignment,method-assign]

    def refuse(picture: bytes, model: str, threshold: float = 0.0, /) -> dict[str, float]:
        raise ServerError("/tagger/v1/interrogate", 500, "TypeError", "positional arguments")

    server.tags = refuse  # type: ignore[method-assign]
    tagged = tag_pictures(pictures, server, tmp_path / "tags", tmp_path)
    assert tagged.tagger is not None
    assert tagged.tagger.model == DEEPDANBOORU


def test_without_any_tagger_nothing_is_made_up(pictures: list[Path], tmp_path: Path) -> None:
    server = Server(deepdanbooru=False)
    tagged = tag_pictures(pictures, server, tmp_path / "tags", tmp_path)
    assert tagged.tagger is None
    assert tagged.tags == (None,) * 5
    assert "IndexError" in tagged.not_measured
    assert server.stored == USERS_OPTIONS


@pytest.mark.parametrize("broken", [0, 3])
def test_a_picture_the_server_cannot_read_stays_without_tags(pictures: list[Path], tmp_path: Path, broken: int) -> None:
    server = Server(wd14=("wd14-v2",))
    server.broken = {pictures[broken].read_bytes()}
    told: list[Path] = []
    tagged = tag_pictures(pictures, server, tmp_path / "tags", tmp_path, on_tagged=told.append)
    assert [tags is None for tags in tagged.tags] == [i == broken for i in range(5)]
    assert sorted(told) == pictures


def test_a_damaged_answer_in_the_cache_is_asked_again(pictures: list[Path], tmp_path: Path) -> None:
    server = Server(wd14=("wd14-v2",))
    tag_pictures(pictures, server, tmp_path / "tags", tmp_path)
    next((tmp_path / "tags").rglob("*.json")).write_text("{half", encoding="utf-8")
    tag_pictures(pictures, server, tmp_path / "tags", tmp_path)
    assert len(server.asked) == 6


def test_options_come_back_after_an_error(tmp_path: Path) -> None:
    server = Server()
    with (
        pytest.raises(KeyboardInterrupt),
        borrowed_options(server, {"deepbooru_escape": False, "unheard": 1}, tmp_path),
    ):
        assert server.stored["deepbooru_escape"] is False
        raise KeyboardInterrupt
    assert server.stored == USERS_OPTIONS


def test_options_left_changed_by_a_crash_come_back_on_the_next_run(pictures: list[Path], tmp_path: Path) -> None:
    server = Server()
    with pytest.raises(ServerUnreachable), borrowed_options(server, {"deepbooru_escape": False}, tmp_path):
        server.gone = True
    journal = journal_of(server, tmp_path)
    assert json.loads(journal.read_text(encoding="utf-8"))["options"] == {"deepbooru_escape": True}
    server.gone = False
    assert server.stored["deepbooru_escape"] is False
    tag_pictures(pictures, server, tmp_path / "tags", tmp_path)
    assert server.stored == USERS_OPTIONS
    assert not journal.exists()


def test_one_servers_options_are_never_set_on_another(tmp_path: Path) -> None:
    here, there = Server(), Server()
    there.url = "http://192.168.0.9:7860"
    with pytest.raises(ServerUnreachable), borrowed_options(here, {"deepbooru_escape": False}, tmp_path):
        here.gone = True
    assert give_back(there, tmp_path) is False
    here.gone = False
    assert give_back(here, tmp_path) is True


def test_options_that_are_right_already_are_not_touched(tmp_path: Path) -> None:
    server = Server()
    server.set_options = None  # type: ignore[assignment,method-assign]
    with borrowed_options(server, {"deepbooru_escape": True}, tmp_path):
        assert not journal_of(server, tmp_path).exists()
