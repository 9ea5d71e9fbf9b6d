from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from orchestrator.dataset import caption_store, collect
from orchestrator.dataset.caption_store import Kept, changed, compose, replace_words, tidy, with_words
from orchestrator.errors import WorkspaceError
from orchestrator.profile.model import Profile
from orchestrator.workspace import Workspace

PART = st.text(st.characters(categories=["L", "N"], include_characters=" _"), min_size=1, max_size=8).filter(str.strip)


def profile(version: str = "v1", caption: str = "{trigger}, close-up") -> Profile:
    groups = [{"name": "own", "caption": caption, "folders": ["mine"]}]
    return Profile.model_validate({"subject": {"name": "miku", "version": version}, "dataset": {"groups": groups}})


@pytest.fixture
def workspace(ugly_path: Path) -> Workspace:
    """Two pictures of the user's own, one with a caption beside it."""
    space = Workspace(ugly_path)
    (ugly_path / "mine").mkdir()
    for name, shade in (("a", 10), ("b", 200)):
        Image.new("RGB", (64, 64), (shade, 0, 0)).save(ugly_path / "mine" / f"{name}.png")
    (ugly_path / "mine" / "a.txt").write_text("{trigger}, red dress, smiling\n", encoding="utf-8")
    return space


def captions(space: Workspace, of: Profile) -> list[tuple[str, str]]:
    return [(one.caption, one.caption_from) for one in collect(of, space)]


def test_a_file_beside_wins_over_the_group_and_what_is_kept_over_both(workspace: Workspace) -> None:
    assert captions(workspace, profile()) == [("miku_v1, red dress, smiling", "file"), ("miku_v1, close-up", "group")]
    pictures = collect(profile(), workspace)
    after, seen = changed(pictures, {}, lambda caption: replace_words(caption, "red dress", "school uniform"))
    caption_store.write(workspace, after)

    assert [(one.path.name, new) for one, new in seen] == [("a.png", "{trigger}, school uniform, smiling")]
    assert captions(workspace, profile("v2"))[0] == ("miku_v2, school uniform, smiling", "kept")
    assert (workspace.root / "mine" / "a.txt").read_text(encoding="utf-8") == "{trigger}, red dress, smiling\n"

    (workspace.root / "mine" / "a.txt").write_text("miku, waving", encoding="utf-8")
    assert captions(workspace, profile())[0] == ("miku, waving", "file"), "the user's newer word counts"


def test_a_kept_caption_moves_with_the_picture(workspace: Workspace) -> None:
    pictures = collect(profile(), workspace)
    caption_store.write(workspace, changed(pictures, {}, lambda caption: with_words(caption, ["outdoors"]))[0])
    (workspace.root / "mine" / "b.png").rename(workspace.root / "mine" / "renamed.png")
    assert captions(workspace, profile())[1] == ("miku_v1, close-up, outdoors", "kept")


def test_words_of_a_picture_go_where_the_template_says(workspace: Workspace) -> None:
    digest = collect(profile(), workspace)[1].sha256
    caption_store.write(workspace, {digest: Kept(words=("smile", "hat"))})
    assert captions(workspace, profile(caption="{trigger}, {tags}, close-up"))[1][0] == "miku_v1, smile, hat, close-up"
    assert captions(workspace, profile())[1][0] == "miku_v1, close-up, smile, hat"
    caption_store.write(workspace, {})
    assert captions(workspace, profile(caption="{trigger}, {tags}, close-up"))[1][0] == "miku_v1, close-up"


def test_a_damaged_store_is_not_passed_over_and_the_state_before_is_kept(workspace: Workspace) -> None:
    caption_store.write(workspace, {"a" * 64: Kept(words=("one",))})
    caption_store.write(workspace, {"a" * 64: Kept(words=("two",))})
    assert '"one"' in workspace.captions_before.read_text(encoding="utf-8")
    workspace.captions.write_text('{"format": 1, "pictures": [', encoding="utf-8")
    with pytest.raises(WorkspaceError, match="cannot be read"):
        collect(profile(), workspace)
    workspace.captions.write_text('{"format": 99, "pictures": {}}', encoding="utf-8")
    with pytest.raises(WorkspaceError, match="newer"):
        collect(profile(), workspace)


def test_whole_parts_are_replaced_and_nothing_that_only_looks_like_them() -> None:
    caption = "miku, red, red hair, tired"
    assert replace_words(caption, "RED", "blue") == "miku, blue, red hair, tired"
    assert replace_words(caption, "red", "") == "miku, red hair, tired"
    assert replace_words(caption, "*red*", r"\1") == r"miku, \1, \1 hair, ti\1"
    assert with_words("miku, Smile", ["smile", "hat"]) == "miku, Smile, hat"


@given(st.lists(PART, min_size=1, max_size=6), PART, PART)
def test_a_replaced_part_is_gone_and_the_others_stay(parts: list[str], old: str, new: str) -> None:
    after = replace_words(", ".join(parts), old, new).split(", ")
    expected = [new.strip() if p.strip().casefold() == old.strip().casefold() else p.strip() for p in parts]
    assert after == expected


@given(st.lists(PART, max_size=5))
def test_tidying_twice_changes_nothing(parts: list[str]) -> None:
    once = tidy(" ,, ".join(parts))
    assert tidy(once) == once
    assert compose("{trigger}, {tags}", None, Kept(words=tuple(parts))).startswith("{trigger}")


def test_a_tagger_s_word_for_another_framing_is_left_out_of_a_group_that_names_its_own() -> None:
    kept = Kept(("upper body", "portrait", "long hair"))
    assert compose("{trigger}, close-up", None, kept) == "{trigger}, close-up, long hair"
    assert compose("{trigger}, {tags}", None, kept) == "{trigger}, upper body, portrait, long hair"


def test_words_are_put_first_and_not_twice_whether_braces_are_filled_or_not() -> None:
    def fill(text: str) -> str:
        return text.replace("{trigger}", "miku_v1")

    assert with_words("a woman", ["{trigger}"], first=True, fill=fill) == "{trigger}, a woman"
    assert with_words("miku_v1, a woman", ["{trigger}"], first=True, fill=fill) == "miku_v1, a woman"
