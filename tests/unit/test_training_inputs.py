"""What a training reads from a dataset's folder: captions and pictures as sd-scripts would see them."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from orchestrator.errors import DatasetError
from orchestrator.training import captions, inputs, picture_facts


def fill(folder: Path, count: int = 2, caption: str = "ai_model_v1, face") -> None:
    """Pictures of another time, so that what is learned of them may be kept."""
    folder.mkdir(parents=True)
    for number in range(count):
        Image.new("RGB", (64, 48), (number, 0, 0)).save(folder / f"{number:04d}.png")
        (folder / f"{number:04d}.txt").write_text(caption, encoding="utf-8")
    age(folder)


def age(folder: Path) -> None:
    then = time.time() - 60
    for path in folder.iterdir():
        os.utime(path, (then, then))


def said(folder: Path) -> dict[str, str]:
    return {problem.what: problem.place for problem in inputs.look(folder).problems}


CAPTIONS: list[tuple[bytes, str]] = [
    (b"", "is empty"),
    (b" \n\n", "is empty"),
    (b"\nai_model", "first line of its caption is empty"),
    ("\ufeffai_model".encode(), "byte order mark"),
    ("ai_model, 初音ミク".encode("cp932"), "probably cp932"),
    ("ai_model, café".encode("cp1252"), "is not UTF-8"),
    ("ai_model".encode("utf-16"), "UTF-16"),
    (b"ai\0model", "NUL"),
]


@pytest.mark.parametrize(("data", "words"), CAPTIONS)
def test_a_caption_that_spoils_a_training_is_named_with_its_cure(data: bytes, words: str) -> None:
    caption = captions.parse(data)
    assert words in caption.problem and caption.fix and not caption.text


def test_only_japanese_is_called_cp932() -> None:
    assert "cp932" not in captions.parse("ai_model, café".encode("cp1252")).problem


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0\ufeff")), min_size=1, max_size=4))
def test_the_first_line_is_what_python_reads_there(lines: list[str]) -> None:
    """sd-scripts reads text with Python's line ends: `open(…).readlines()[0].strip()`."""
    import io

    data = "\n".join(lines).encode()
    caption = captions.parse(data)
    read = io.TextIOWrapper(io.BytesIO(data), encoding="utf-8").readlines()
    first = read[0].strip() if read else ""
    assert caption.text == (first if not caption.problem else "")
    assert bool(caption.problem) == (not first)
    assert bool(caption.doubt) == (bool(first) and any(line.strip() for line in read[1:]))


def test_a_missing_caption_is_looked_for_under_other_names(tmp_path: Path) -> None:
    folder = tmp_path / "1_face"
    fill(folder, 3)
    (folder / "0000.txt").rename(folder / "0000.caption")
    (folder / "0001.txt").unlink()
    (folder / "0002.png").rename(folder / "0002_1_2_3_4.png")  # a face's place, as the face detector writes it
    looked = inputs.look(tmp_path)
    found = {problem.place: problem for problem in looked.problems}
    assert found["1_face/0000.png"].fix == "rename 0000.caption to 0000.txt"
    assert "write 0001.txt" in found["1_face/0001.png"].fix
    assert "would take 0002.txt for it" in found["1_face/0002_1_2_3_4.png"].what
    assert looked.dataset is None


def test_two_pictures_of_one_stem_share_a_caption(tmp_path: Path) -> None:
    fill(tmp_path / "1_face", 3)
    Image.new("RGB", (64, 64)).save(tmp_path / "1_face" / "0002.jpg")
    (problem,) = inputs.look(tmp_path).problems
    assert problem.place == "1_face/0002.jpg and 0002.png" and "0002.txt" in problem.what and problem.fix


@pytest.mark.skipif(os.name == "nt", reason="Windows knows no difference")
@pytest.mark.parametrize(("name", "seen"), [("a.Png", False), ("a.PNG", True), ("a.jpeg", True), ("a.Jpg", False)])
def test_a_suffix_in_mixed_letters_is_not_seen_on_linux(tmp_path: Path, name: str, seen: bool) -> None:
    folder = tmp_path / "1_face"
    fill(folder, 1)
    Image.new("RGB", (64, 64)).save(folder / name)
    (folder / "a.txt").write_text("ai_model", encoding="utf-8")
    assert (inputs.look(tmp_path).dataset is not None) is seen


def test_a_picture_that_only_a_note_turns_upright_is_refused(tmp_path: Path) -> None:
    fill(tmp_path / "1_face", 1)
    image = Image.new("RGB", (64, 48))
    exif = image.getexif()
    exif[0x0112] = 6
    image.save(tmp_path / "1_face" / "0000.png", exif=exif)
    (problem,) = inputs.look(tmp_path).problems
    assert "turns it upright" in problem.what and "dataset build" in problem.fix


def test_what_nobody_would_read_is_a_doubt(tmp_path: Path) -> None:
    folder = tmp_path / "1_face"
    fill(folder, 1, "ai_model\nand more\n")
    Image.new("RGB", (8, 8)).save(folder / "b.gif")
    (folder / "left over.txt").write_text("x", encoding="utf-8")
    fill(folder / "inner", 1)
    fill(tmp_path / "no repeats", 1)
    (folder / ".hidden.gif").write_bytes(b"")
    looked = inputs.look(tmp_path)
    assert looked.dataset is not None and looked.dataset.groups[0].captions == ("ai_model",)
    places = {doubt.place for doubt in looked.doubts}
    assert places == {"1_face/0000.png", "1_face/b.gif", "1_face/left over.txt", "1_face/inner", "no repeats"}
    assert all(doubt.fix for doubt in looked.doubts)


def test_a_kind_that_a_plug_in_may_read_is_refused(tmp_path: Path) -> None:
    fill(tmp_path / "1_face", 1)
    (tmp_path / "1_face" / "b.avif").write_bytes(b"x")
    (problem,) = inputs.look(tmp_path).problems
    assert problem.place == "1_face/b.avif"


def test_one_fault_of_many_files_is_said_once(tmp_path: Path) -> None:
    fill(tmp_path / "1_face", 30)
    for file in (tmp_path / "1_face").glob("*.txt"):
        file.write_bytes("初音ミク".encode("cp932"))
    (problem,) = inputs.look(tmp_path).problems
    assert problem.place.startswith("1_face/0000.png, ") and problem.place.endswith(" and 24 more")


def test_every_kind_of_fault_is_found_in_one_look(tmp_path: Path) -> None:
    fill(tmp_path / "1_face", 5)
    fill(tmp_path / "2_empty", 0)
    folder = tmp_path / "1_face"
    (folder / "0000.png").write_bytes(b"no picture")
    (folder / "0001.png").write_bytes((folder / "0001.png").read_bytes()[:60])
    (folder / "0002.txt").unlink()
    (folder / "0003.txt").mkdir() if not (folder / "0003.txt").unlink() else None
    (folder / "0004.png").unlink()
    (folder / "0004.png").symlink_to(folder / "gone.png")
    with pytest.raises(DatasetError) as caught:
        inputs.read_dataset(tmp_path)
    for number in range(5):
        assert f"1_face/{number:04d}.png: " in caught.value.what
    assert "2_empty: holds no pictures" in caught.value.what


def test_a_folder_that_is_not_there_is_one_problem(tmp_path: Path) -> None:
    (problem,) = inputs.look(tmp_path / "missing").problems
    assert "no dataset" in problem.what and "dataset build" in problem.fix


def test_what_was_learned_of_a_picture_is_kept_until_it_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset, cache = tmp_path / "v1", tmp_path / "cache"
    fill(dataset / "1_face", 3)
    (dataset / "1_face" / "0002.png").write_bytes(b"no picture")
    age(dataset / "1_face")
    first = inputs.look(dataset, cache)
    examined: list[str] = []
    real = picture_facts.examine
    monkeypatch.setattr(picture_facts, "examine", lambda path: (examined.append(path.name), real(path))[1])
    assert inputs.look(dataset, cache) == first and not examined
    Image.new("RGB", (64, 48), (9, 9, 9)).save(dataset / "1_face" / "0002.png")
    mended = inputs.look(dataset, cache)
    assert examined == ["0002.png"] and mended.dataset is not None
    assert mended.dataset == inputs.look(dataset).dataset  # without a cache: nothing that was kept has been believed
    # Written a moment ago: the next write may come within the same tick of the file system's clock.
    examined.clear()
    inputs.look(dataset, cache)
    assert examined == ["0002.png"]


def test_a_picture_that_is_gone_leaves_nothing_behind(tmp_path: Path) -> None:
    dataset, cache = tmp_path / "v1", tmp_path / "cache"
    fill(dataset / "1_face", 3)
    inputs.look(dataset, cache)
    (dataset / "1_face" / "0002.png").unlink()
    (dataset / "1_face" / "0002.txt").unlink()
    inputs.look(dataset, cache)
    (kept,) = json.loads((cache / picture_facts.NAME).read_text(encoding="utf-8")).values()
    assert len(kept) == 2


@pytest.mark.parametrize("damage", ["", "[]", '{"x": 1}', "{"])
def test_a_damaged_cache_is_done_without(tmp_path: Path, damage: str) -> None:
    dataset, cache = tmp_path / "v1", tmp_path / "cache"
    fill(dataset / "1_face")
    cache.mkdir()
    text = damage.replace('"x"', json.dumps(str(dataset.absolute())))
    (cache / picture_facts.NAME).write_text(text, encoding="utf-8")
    assert inputs.look(dataset, cache).dataset == inputs.look(dataset).dataset


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path: Path) -> None:
    fill(tmp_path / "v1" / "1_face")
    (tmp_path / "cache").write_text("a file", encoding="utf-8")
    assert inputs.look(tmp_path / "v1", tmp_path / "cache" / "inner").dataset is not None
    weights = tmp_path / "base.ckpt"
    weights.write_bytes(b"weights")
    assert len(inputs.checkpoint_sha256(weights, tmp_path / "cache" / "inner")) == 64


def test_pictures_keep_their_own_sizes_and_captions(tmp_path: Path) -> None:
    fill(tmp_path / "1_face", 2)
    Image.new("RGB", (80, 32)).save(tmp_path / "1_face" / "0001.png")
    (tmp_path / "1_face" / "0001.txt").write_text(" ai_model, smile \n", encoding="utf-8")
    dataset = inputs.read_dataset(tmp_path)
    assert dataset.groups[0].sizes == ((64, 48), (80, 32))
    assert dataset.groups[0].captions == ("ai_model_v1, face", "ai_model, smile")
