"""Reading requests and prompts exactly as leniently as the real server."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.sandbox.a1111 import infotext, job, plot_axes, prompts, samplers
from orchestrator.sandbox.a1111.failures import InvalidBody, ServerError
from orchestrator.sandbox.a1111.fields import read_body, read_json

TXT2IMG = "StableDiffusionProcessingTxt2Img"


@pytest.mark.parametrize(
    ("field", "sent", "held"),
    [
        ("width", "64", 64),
        ("width", 64.7, 64),
        ("steps", 1.9, 1),
        ("seed", "7", 7),
        ("cfg_scale", 7, 7.0),
        ("send_images", "no", False),
        ("prompt", 5, "5"),
        ("width", None, None),
    ],
)
def test_sloppy_values_are_coerced(field: str, sent: Any, held: Any) -> None:
    assert read_body(TXT2IMG, {field: sent})[field] == held


@pytest.mark.parametrize(
    ("field", "sent", "kind"),
    [
        ("width", "abc", "type_error.integer"),
        ("seed", "", "type_error.integer"),
        ("prompt", ["a"], "type_error.str"),
        ("override_settings", "x", "type_error.dict"),
        ("send_images", "maybe", "type_error.bool"),
        ("script_args", "x", "type_error.list"),
    ],
)
def test_values_that_cannot_be_coerced_are_named(field: str, sent: Any, kind: str) -> None:
    with pytest.raises(InvalidBody) as refused:
        read_body(TXT2IMG, {field: sent, "steps": 3})
    assert [(p["loc"], p["type"]) for p in refused.value.problems] == [(["body", field], kind)]


def test_every_problem_is_listed_and_unknown_keys_are_not() -> None:
    with pytest.raises(InvalidBody) as refused:
        read_body("ExtrasBatchImagesRequest", {"resize_mode": 2, "upscaling_resize": 0, "zzz": 1})
    kinds = {p["loc"][-1]: p["type"] for p in refused.value.problems}
    assert kinds == {
        "resize_mode": "value_error.const",
        "upscaling_resize": "value_error.number.not_gt",
        "imageList": "value_error.missing",
    }


@pytest.mark.parametrize(
    ("raw", "content_type"),
    [(b"", None), (b"[]", "application/json"), (b"{}", "text/plain"), (b"{", "application/json"), (b"\xff", None)],
)
def test_bodies_that_are_no_json_object_are_refused(raw: bytes, content_type: str | None) -> None:
    with pytest.raises(InvalidBody):
        read_json(raw, content_type)


@pytest.mark.parametrize(
    ("sent", "scheduler", "used"),
    [
        ("DPM++ 2M Karras", None, ("DPM++ 2M", "Karras")),
        ("Euler a Karras", "Uniform", ("Euler a", "Uniform")),
        ("euler", None, ("DPM++ 2M", "Karras")),
        ("k_euler_a", None, ("DPM++ 2M", "Karras")),
        ("Euler", None, ("Euler", "Automatic")),
        ("Euler", "karras", ("Euler", "Karras")),
        ("Euler", "no such", ("Euler", "Automatic")),
    ],
)
def test_sampler_names_fall_back_without_a_word(sent: str, scheduler: str | None, used: tuple[str, str]) -> None:
    name, chosen = samplers.choose(sent, scheduler)
    assert (name, samplers.schedule_type(name, chosen)) == used


def test_lora_tags_are_cut_out_and_lookalikes_are_not() -> None:
    text, tags = prompts.split_tags("a <lora:one:0.5:0.7> b <lyco:two> <ai_model_v1:1.0> <ai_model_v1-000010:1.0>")
    assert text == "a  b   <ai_model_v1-000010:1.0>"
    assert [(tag.name, tag.weights()) for tag in tags] == [("one", (0.5, 0.7)), ("two", (1.0, 1.0))]
    with pytest.raises(ValueError, match="abc"):
        prompts.LoraTag(("x", "abc")).weights()
    assert prompts.LoraTag(("x", "te=0.2", "unet=0.9")).weights() == (0.2, 0.9)


def test_comment_lines_are_stripped() -> None:
    assert prompts.strip_comments("# first\na cat\n#second\nb #keep").split("\n") == ["a cat", "", "b #keep"]


def test_infotext_is_shaped_like_the_real_one() -> None:
    written = infotext.write("cat", "bad", {"Steps": 2, "CFG scale": 7.0, "Lora hashes": "a: 01, b: 02", "VAE": None})
    assert written == 'cat\nNegative prompt: bad\nSteps: 2, CFG scale: 7.0, Lora hashes: "a: 01, b: 02"'
    assert infotext.write("cat", "", {"Steps": 2}) == "cat\nSteps: 2"


_WORDS = st.text(
    st.characters(codec="utf-8", exclude_characters="\r\n\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"), max_size=30
)


@given(_WORDS, _WORDS.map(str.strip))
def test_what_is_written_is_read_back(value: str, prompt: str) -> None:
    prompt = prompt if not prompt.startswith("Negative prompt:") else "x"
    shown = {"Steps": 2, "Sampler": "Euler", "Seed": 1, "Lora hashes": f"n: {value or 'x'}", "Size": "64x72"}
    read = infotext.read(infotext.write(prompt, "", shown))
    assert read["Lora hashes"] == f"n: {value or 'x'}"
    assert (read["Prompt"], read["Size-1"], read["Size-2"], read["RNG"]) == (prompt.strip(), "64", "72", "GPU")


@pytest.mark.parametrize(
    ("label", "text", "values"),
    [
        ("Seed", "1-3", [1, 2, 3]),
        ("Seed", "10-20 [3]", [10, 15, 20]),
        ("Seed", "1-10 (+2)", [1, 3, 5, 7, 9]),
        ("Seed", "7, -1", [7, -1]),
        ("CFG Scale", "6, 7.5", [6.0, 7.5]),
        ("CFG Scale", "1-3", [1.0, 2.0, 3.0]),
        ("Prompt S/R", 'cat, "dog, big", bird', ["cat", "dog, big", "bird"]),
        ("Sampler", "Euler", []),
        ("Nothing", "", [0]),
    ],
)
def test_plot_values_are_read_like_the_real_script(label: str, text: str, values: list[Any]) -> None:
    number = plot_axes.table("plot-axes")["txt2img"].index(label)
    assert plot_axes.values(plot_axes.axis("txt2img", number), text, [], False) == values


@pytest.mark.parametrize(("number", "kind"), [("Seed", "TypeError"), (99, "IndexError"), (13, "NotImplementedError")])
def test_bad_axis_types_are_refused(number: Any, kind: str) -> None:
    with pytest.raises(ServerError) as refused:
        plot_axes.axis("txt2img", number)
    assert refused.value.kind == kind


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"width": None}, "TypeError"),
        ({"width": 0}, "RuntimeError"),
        ({"steps": 0}, "ZeroDivisionError"),
        ({"steps": -1}, "RuntimeError"),
        ({"batch_size": 0}, "IndexError"),
        ({"prompt": None}, "AssertionError"),
        ({"width": 100000}, "OutOfMemoryError"),
    ],
)
def test_impossible_jobs_fail_under_the_real_names(changes: dict[str, Any], kind: str) -> None:
    with pytest.raises(ServerError) as refused:
        job.check(job.build("txt2img", read_body(TXT2IMG, changes)), 2048)
    assert refused.value.kind == kind


def test_seeds_rise_and_stand_still_with_a_subseed_strength() -> None:
    fields = read_body(TXT2IMG, {"seed": 5, "subseed": 9, "batch_size": 2, "n_iter": 2})
    assert job.seeds(job.build("txt2img", fields)) == ([5, 6, 7, 8], [9, 10, 11, 12])
    varied = job.build("txt2img", fields | {"subseed_strength": 0.3})
    assert job.seeds(varied) == ([5, 5, 5, 5], [9, 10, 11, 12])
    with pytest.raises(ServerError, match="Overflow"):
        job.fixed(2**64)
    assert job.fixed(-5) == -5
