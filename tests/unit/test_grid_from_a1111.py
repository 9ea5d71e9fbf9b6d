"""A1111's own sheets and pictures as definitions: what is taken over, and what is said not to be."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from orchestrator.a1111.infotext import write_fields
from orchestrator.errors import InputError
from orchestrator.grid.definition import AskedAxis, FurtherLora, Settings
from orchestrator.grid.from_a1111 import from_infotext, from_picture, from_text_file, lora_names, renamed, with_axes
from orchestrator.grid.reading import read

GOLDEN = Path(__file__).parents[1] / "golden" / "a1111_sheets"
LAST = (
    "Steps: 20, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 7, Seed: 5, Size: 512x768, "
    "Model hash: f3d717ddd8, Model: tiny"
)


def infotext(prompt: str = "a cat, <lora:style:0.7>, red hat", more: str = "", negative: str = "") -> str:
    return f"{prompt}\n" + (f"Negative prompt: {negative}\n" if negative else "") + LAST + more + ", Version: v1.10.1"


def plot(*axes: tuple[str, str]) -> str:
    fields = [
        f', {letter} Type: {label}, {letter} Values: "{values}"'
        for letter, (label, values) in zip("XYZ", axes, strict=False)
    ]
    return ", Script: X/Y/Z plot" + "".join(fields)


def test_a_sheet_as_a_running_1_10_1_wrote_it() -> None:
    found = from_infotext((GOLDEN / "replaced-by-seed.txt").read_text(encoding="utf-8"), "sheet")
    names = tuple(f"ai_model_v1-0000{epoch}" for epoch in (10, 20, 30))
    asked = found.definition
    assert asked.axes == (AskedAxis("lora", names), AskedAxis("seed", "1, 2"), AskedAxis("weight", "1"))
    assert (asked.x, asked.y, asked.baseline) == ("lora", "seed", False)
    assert (asked.prompt, asked.negative_prompt) == ("photo of ai_model woman", "bad")
    assert asked.settings == Settings("Euler", "Automatic", 1, 7.0, 64, 64, 1, "tinysd15_a")
    assert found.lora_hashes == {"ai_model_v1-000010": "67c16c315401"}
    assert (found.checkpoint_hash, found.version, found.notes) == ("f3d717ddd8", "v1.10.1", ())
    assert read(asked).problems == ()


def test_a_single_picture() -> None:
    found = from_infotext(infotext(negative="bad, <lora:x:1>"), "one")
    assert found.definition.axes == (AskedAxis("seed", "5"),)
    assert found.definition.prompt == "a cat, , red hat"
    assert found.definition.loras == (FurtherLora("style", 0.7),)
    assert found.definition.negative_prompt == "bad,"
    assert found.definition.settings == Settings("DPM++ 2M", "Karras", 20, 7.0, 512, 768, 1, "tiny")
    assert "negative prompt does nothing" in found.notes[0]
    assert not found.is_plot


def test_plain_axes_and_ranges() -> None:
    more = plot(("Steps", "10-30 (+10)"), ("Sampler", "Euler a, DPM++ 2M Karras"), ("Clip skip", "1,2"))
    asked = from_infotext(infotext(more=more), "g").definition
    assert [(axis.kind, axis.values) for axis in read(asked).axes and asked.axes] == [
        ("steps", "10-30 (+10)"), ("sampler", ("Euler a", "DPM++ 2M Karras")), ("clip skip", "1, 2"), ("seed", "5"),
    ]  # fmt: skip
    reading = read(asked)
    assert reading.problems == ()
    assert reading.values("steps") == ("10", "20", "30")


@pytest.mark.parametrize(
    ("values", "kind", "result"),
    [
        ("0.7>,0.9>,1>", "weight", ("0.7", "0.9", "1")),
        ("style,other", "lora", ("style", "other")),
        ("red hat,blue hat", "replace", ("red hat", "blue hat")),
        # The script replaces inside of words; ours does not, so whole prompts keep what was drawn.
        ("ca,ra", "prompt", ("a cat, , red hat", "a rat, , red hat")),
        ("bad,worse", "negative prompt", ("bad", "worse")),
    ],
)
def test_what_a_replacement_really_varies(values: str, kind: str, result: tuple[str, ...]) -> None:
    found = from_infotext(infotext(more=plot(("Prompt S/R", values)), negative="bad"), "g")
    assert found.notes == ()
    assert (found.definition.axes[0].kind, found.definition.axes[0].values) == (kind, result)
    assert read(found.definition).problems == ()


def test_a_lora_and_its_weight_on_two_axes() -> None:
    found = from_infotext(infotext(more=plot(("Prompt S/R", "style,other"), ("Prompt S/R", "0.7>,1>"))), "g")
    assert [axis.kind for axis in found.definition.axes] == ["lora", "weight", "seed"]
    assert found.definition.loras == ()
    assert (found.definition.x, found.definition.y) == ("lora", "weight")


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (plot(("Hires steps", "5,10")), "The axis 'Hires steps' (5, 10) is not one of ours"),
        (plot(("Denoising", "0.2,0.4")), "The axis 'Denoising'"),
        (plot(("Prompt S/R", "e,o")), "changes a LoRA and other words together"),
        (plot(("Prompt S/R", "dog,cow")), "changed nothing"),
        (plot(("Prompt S/R", "style:0.7,other:1")), "the name and the weight of a LoRA together"),
        (", Hires upscale: 2, Denoising strength: 0.5", "Hires upscale: 2 is not taken over"),
        (", RNG: CPU", "RNG: CPU is a setting of the webui"),
        (', TI hashes: "easyneg: 0123"', "Embeddings were used"),
        (", Variation seed: 3, Variation seed strength: 0.1", "Variation seed: 3 is not taken over"),
    ],
)
def test_what_is_not_taken_over_is_said(more: str, words: str) -> None:
    assert words in "\n".join(from_infotext(infotext(more=more), "g").notes)


def test_img2img_needs_the_picture_it_started_from() -> None:
    text = infotext(more=", Denoising strength: 0.4" + plot(("Denoising", "0.2,0.4")))
    with pytest.raises(InputError, match="img2img") as raised:
        from_infotext(text, "g")
    assert "--init" in raised.value.fix
    found = from_infotext(text, "g", init="start.png")
    assert found.definition.init == "start.png"
    assert found.definition.settings.denoising_strength == 0.4
    assert found.definition.axes[0] == AskedAxis("denoise", "0.2, 0.4")


@pytest.mark.parametrize("gone", ["Seed: 5, ", "Size: 512x768, ", "Sampler: DPM++ 2M, ", "CFG scale: 7, "])
def test_a_text_without_what_every_picture_has(gone: str) -> None:
    with pytest.raises(InputError, match="does not say all"):
        from_infotext(infotext().replace(gone, ""), "g")


def test_values_that_cannot_be_drawn() -> None:
    with pytest.raises(InputError, match="seed cannot be drawn again"):
        from_infotext(infotext(more=plot(("Seed", "abc"))), "g")


def test_pictures_without_their_text(ugly_path: Path) -> None:
    Image.new("RGB", (4, 4)).save(ugly_path / "a.png")
    with pytest.raises(InputError, match="does not say how it was drawn") as raised:
        from_picture(ugly_path / "a.png")
    assert "outputs/txt2img-grids" in raised.value.fix
    info = PngImagePlugin.PngInfo()
    info.add_text("parameters", infotext())
    Image.new("RGB", (4, 4)).save(ugly_path / "b.png", pnginfo=info)
    assert from_picture(ugly_path / "b.png").definition.name == "b"


def test_the_text_file_that_lies_beside_a_picture(ugly_path: Path) -> None:
    (ugly_path / "a.txt").write_text(infotext(), encoding="utf-8")
    assert from_text_file(ugly_path / "a.txt") == from_infotext(infotext(), "a")
    for content in (b"hello", b"\xff\xfe"):
        (ugly_path / "b.txt").write_bytes(content)
        with pytest.raises(InputError, match="does not say how a picture was drawn"):
            from_text_file(ugly_path / "b.txt")


def test_drawn_again_with_other_axes() -> None:
    asked = from_infotext(infotext(), "g").definition
    more = with_axes(asked, [AskedAxis("weight", "0.4-1 (+0.2)"), AskedAxis("seed", "1-3")])
    assert more.axes == (AskedAxis("weight", "0.4-1 (+0.2)"), AskedAxis("seed", "1-3"), AskedAxis("lora", ("style",)))
    assert more.loras == ()
    reading = read(more)
    assert (reading.problems, reading.baseline) == ((), True)
    steps = with_axes(asked, [AskedAxis("steps", "10, 20")])
    assert (steps.loras, steps.baseline) == (asked.loras, False)


def test_a_weight_of_none_or_several_loras_is_asked_back() -> None:
    asked = from_infotext(infotext("a cat"), "g").definition
    with pytest.raises(InputError, match="no one LoRA"):
        with_axes(asked, [AskedAxis("weight", "1, 2")])


def test_lora_files_are_called_as_the_server_calls_them() -> None:
    found = from_infotext(infotext(more=plot(("Prompt S/R", "style,other"))), "g")
    assert lora_names(found.definition) == ["style", "other"]
    asked = renamed(found, {"style": "style-here"})
    assert asked.axes[0].values == ("style-here", "other")


@given(data=st.data())
def test_no_text_leads_to_anything_but_one_sentence(data: st.DataObject) -> None:
    label = data.draw(st.sampled_from(["Prompt S/R", "Seed", "Steps", "Sampler", "Size", "CFG Scale", "Nothing", "?"]))
    values = data.draw(st.text("a1,-+()[] .x>:<", max_size=30))
    text = infotext(more=f", X Type: {label}, X Values: {write_fields({'v': values})[3:]}", negative="bad")
    start = data.draw(st.integers(0, len(text)))
    cut = data.draw(st.integers(0, 6))
    text = text[:start] + data.draw(st.text(max_size=6)) + text[start + cut :]
    try:
        found = from_infotext(text, "g")
    except InputError as error:
        assert error.fix
    else:
        assert isinstance(read(found.definition).problems, tuple)


def test_a_text_that_would_fill_the_memory_is_refused() -> None:
    bomb = infotext("a" * 50_000, more=plot(("Prompt S/R", "a," + "b" * 50_000)))
    assert "makes no prompts that could be drawn" in from_infotext(bomb, "g").notes[0]
    with pytest.raises(InputError, match="no person wrote"):
        from_infotext(infotext("a" * 300_000), "g")
    # a line without a colon
    with pytest.raises(InputError, match="does not say all"):
        from_infotext("a\nSteps: 1, " + "x" * 100_000, "g")
    for number in ("nan", "inf"):
        with pytest.raises(InputError, match="does not say all"):
            from_infotext(infotext().replace("CFG scale: 7", f"CFG scale: {number}"), "g")
