from __future__ import annotations

import json
from pathlib import Path

import pytest

from orchestrator.dataset.caption_review import Edit, apply, read_edits
from orchestrator.dataset.caption_store import Kept, compose
from orchestrator.dataset.model import DatasetPicture
from orchestrator.errors import InputError


def picture(caption: str = "{trigger}, close-up", **more: str) -> DatasetPicture:
    return DatasetPicture(Path("0001.png"), "close-up", caption, "set", "abc", caption_template=caption, **more)  # type: ignore[arg-type]


def test_an_edited_caption_counts_from_then_on() -> None:
    done = apply(
        [Edit("abc", "close-up/0001.png", "{trigger}, close-up", "{trigger}, close-up,\nred scarf,")], [picture()], {}
    )
    assert done.changed[0][1] == "{trigger}, close-up, red scarf"
    assert compose("{trigger}, close-up", None, done.kept["abc"]) == "{trigger}, close-up, red scarf"


def test_a_caption_that_changed_meanwhile_is_left_alone_and_named() -> None:
    edit = Edit("abc", "close-up/0001.png", "{trigger}, close-up", "{trigger}, hat")
    done = apply([edit], [picture("{trigger}, coat")], {})
    assert not done.changed and "another caption by now: '{trigger}, coat'" in done.refused[0]
    assert not apply([edit], [picture("{trigger}, hat")], {}).refused, "applied before: nothing to say"


def test_strangers_and_empty_captions_are_refused() -> None:
    done = apply([Edit("zzz", "x/1.png", "a", "b"), Edit("abc", "y", "{trigger}, close-up", " , ")], [picture()], {})
    assert len(done.refused) == 2 and not done.changed
    assert done.kept == {}


def test_kept_words_stay() -> None:
    kept = {"abc": Kept(("smile",))}
    done = apply([Edit("abc", "y", "{trigger}, close-up", "{trigger}")], [picture()], kept)
    assert done.kept["abc"] == Kept(("smile",), "{trigger}", "")


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"format": 1}', '{"format": 9, "captions": []}', '{"format": 1, "captions": [3]}', "\x00"]
)
def test_another_file_is_refused_in_words(tmp_path: Path, text: str) -> None:
    path = tmp_path / "captions.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError):
        read_edits(path)


def test_a_missing_file_and_one_of_the_page(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="There is no file"):
        read_edits(tmp_path / "captions.json")
    path = tmp_path / "ok.json"
    one = {"sha256": "abc", "group": "g", "file": "1.png", "was": "a", "caption": "b"}
    path.write_text(json.dumps({"format": 1, "captions": [one]}), encoding="utf-8")
    assert read_edits(path) == [Edit("abc", "g/1.png", "a", "b")]
