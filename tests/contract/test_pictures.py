"""What comes with a picture, and what is done with finished ones: our proof reads it, and varies and enlarges them."""

from __future__ import annotations

import base64
import hashlib
import io
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from orchestrator.a1111.requests import Img2Img, Txt2Img, Upscale
from orchestrator.errors import InputError, PictureError, ServerError
from orchestrator.render.payload import payload, settling
from orchestrator.render.proof import differences, picture_problems
from tests.contract.subject import PROMPT, Subject, pixels, size_of, text_of

IMG2IMG = "/sdapi/v1/img2img"


def test_the_fields_our_proof_reads(subject: Subject) -> None:
    answer = subject.draw()
    info, fields = answer.info, text_of(answer).fields
    assert (info.prompt, info.seed, info.steps, info.width, info.height) == (PROMPT, 7, 2, 64, 64)
    assert info.sampler_name == fields["Sampler"] == subject.sampler
    assert (fields["Steps"], fields["Seed"], fields["Size"]) == ("2", "7", "64x64")
    assert float(fields["CFG scale"]) == info.cfg_scale == 7
    assert text_of(answer).prompt == PROMPT
    assert ("Schedule type" in fields) == subject.dialect.has_schedulers
    options = subject.client.options()
    if options.get("add_model_hash_to_info", True):
        assert fields["Model hash"] == info.sd_model_hash
    if options.get("add_version_to_infotext", True):
        assert fields["Version"] == info.version != ""
    assert info.job_timestamp.isdigit()


def test_a_picture_is_a_png_that_holds_its_text(subject: Subject) -> None:
    """Each picture can be told from any other by the text inside."""
    answer = subject.draw()
    with Image.open(io.BytesIO(answer.pictures[0])) as image:
        assert (image.format, image.size) == ("PNG", (64, 64))
        inside = image.info.get("parameters")
    if subject.client.options().get("enable_pnginfo", True):
        assert inside == answer.infotexts[0]
        other = subject.draw(seed=8).infotexts[0] or ""
        assert picture_problems(subject.recipe(), answer.pictures[0], other) != []
    assert picture_problems(subject.recipe(), answer.pictures[0], answer.infotexts[0] or "") == []


def test_our_request_is_proven_and_any_other_is_not(subject: Subject) -> None:
    recipe = subject.recipe(negative_prompt="blurry")
    answer = subject.client.txt2img(payload(recipe, subject.server))
    default = subject.server.samplers[recipe.sampler]
    assert differences(recipe, answer, default) == []
    others: dict[str, Any] = {
        "prompt": "a lighthouse",
        "negative_prompt": "",
        "seed": 8,
        "steps": 3,
        "cfg_scale": 6.5,
        "width": 128,
        "sampler": next(name for name in subject.server.samplers if name != recipe.sampler),
        "checkpoint_hash": "0123456789",
        "server_version": f"{recipe.server_version}1",
        "clip_skip": recipe.clip_skip + 1,
        "batch_size": 2,
    }
    for name, value in others.items():
        assert differences(recipe.evolve(**{name: value}), answer, default) != [], name


def test_an_unknown_field(subject: Subject) -> None:
    """Trap: the server ignores a misspelt field in silence; our typed request does not send it."""
    answer = subject.client.post("/sdapi/v1/txt2img", {**subject.request(), "widht": 128})
    assert base64.b64decode(answer["images"][0]) == subject.draw().pictures[0]
    with pytest.raises(InputError, match="did you mean width"):
        Txt2Img.model_validate({**subject.request(), "widht": 128})


def test_png_info(subject: Subject) -> None:
    """What was written is read back: `info` as it stands, `parameters` with the LoRA's name by its alias."""
    answer = subject.draw()
    if not subject.client.options().get("enable_pnginfo", True):
        pytest.skip("the webui writes no text into its pictures")
    read = subject.client.png_info(answer.pictures[0])
    assert read.info == answer.infotexts[0]
    assert read.infotext.fields == text_of(answer).fields
    assert (read.parameters["Seed"], read.parameters["Prompt"]) == ("7", PROMPT)


def test_png_info_of_nothing(subject: Subject) -> None:
    blank = io.BytesIO()
    Image.new("RGB", (64, 64)).save(blank, "PNG")
    assert subject.client.png_info(blank.getvalue()).info == ""
    with pytest.raises(ServerError) as caught:
        subject.client.post("/sdapi/v1/png-info", {"image": "no picture"})
    assert (caught.value.status, caught.value.text) == (500, "Invalid encoded image")
    with pytest.raises(PictureError, match="not a picture"):
        subject.client.png_info(b"no picture")


def test_enlarging(subject: Subject) -> None:
    """Lanczos needs no weights. Trap: an upscaler whose weights are missing only resizes, and is named all the same."""
    picture = subject.draw().pictures[0]
    enlarged = subject.client.upscale(Upscale(image=picture, upscaler_1="Lanczos", upscaling_resize=2))
    assert size_of(enlarged.image) == (128, 128)
    assert "Lanczos" in enlarged.html_info
    with pytest.raises(ServerError, match="no such upscaler") as unknown:
        subject.client.upscale({"image": picture, "upscaler_1": "no such upscaler"})
    assert unknown.value.status == 500
    with pytest.raises(InputError, match="upscaling_resize"):
        Upscale(image=picture, upscaling_resize=0)
    with pytest.raises(ServerError) as zero:
        subject.client.post("/sdapi/v1/extra-single-image", {"image": "", "upscaling_resize": 0})
    assert zero.value.status == 422


def test_varying(subject: Subject) -> None:
    """The picture's own size (the server's default is 512×512), and the strength stands in info and text."""
    answer = subject.client.img2img(_variation(subject))
    assert size_of(answer.pictures[0]) == (64, 64)
    assert answer.info.denoising_strength == 0.5
    assert text_of(answer).fields["Denoising strength"] == "0.5"
    assert pixels(answer) != pixels(subject.draw())


def test_varying_after_the_same_request_is_reproducible(subject: Subject) -> None:
    """Trap: img2img takes noise from what the request before left behind, so ours is always the same tiny one."""
    picture = subject.draw().pictures[0]
    recipe = subject.recipe(init_sha256=hashlib.sha256(picture).hexdigest(), denoising_strength=0.5)
    text = base64.b64encode(picture).decode()
    drawn = []
    # The first without, the second with the head of a data: URL: both are taken.
    for head, before in (("", 8), ("data:image/png;base64,", 9)):
        subject.fresh(seed=before)
        subject.client.txt2img(settling(recipe, subject.server))
        drawn.append(pixels(subject.client.img2img({**_variation(subject), "init_images": [head + text]})))
    assert drawn[0] == drawn[1]


def test_pictures_to_vary_that_are_none(subject: Subject, tmp_path: Path) -> None:
    """No picture is a 404, something else than a list a 422, an empty list a 500. One that cannot be decoded is not
    sent here: its task would stand in the server's queue for ever.
    """
    plain = subject.request()
    for changes, status in (({}, 404), ({"init_images": "text"}, 422), ({"init_images": []}, 500)):
        with pytest.raises(ServerError) as caught:
            subject.client.post(IMG2IMG, {**plain, **changes})
        assert caught.value.status == status, changes
    note = tmp_path / "note.png"
    note.write_text("no picture", encoding="utf-8")
    for changes in ({}, {"init_images": "text"}, {"init_images": []}, {"init_images": [note]}):
        with pytest.raises(InputError):
            Img2Img.model_validate({**plain, **changes})


def test_two_pictures_to_vary_need_a_batch_of_two(subject: Subject) -> None:
    picture = base64.b64encode(subject.draw().pictures[0]).decode()
    with pytest.raises(ServerError, match="bad number of images") as caught:
        subject.client.post(IMG2IMG, {**subject.request(), "init_images": [picture, picture]})
    assert caught.value.status == 500
    with pytest.raises(InputError, match="2 pictures for a batch of 1"):
        Img2Img.model_validate({**subject.request(), "init_images": [picture, picture], "batch_size": 1})


def _variation(subject: Subject) -> dict[str, Any]:
    changes = {"prompt": f"{PROMPT}, night", "init_images": [subject.draw().pictures[0]], "denoising_strength": 0.5}
    small = {name: value for name, value in subject.request().items() if name not in {"width", "height"}}
    return small | changes
