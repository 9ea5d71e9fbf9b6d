"""Mistakes in prompts and settings that A1111 answers with a 200 and another picture."""

from __future__ import annotations

import pytest

from orchestrator.a1111.models import LoraEntry
from orchestrator.render.lint import option_problems, prompt_problems
from orchestrator.render.names import server_version, split_sampler, unknown

LORAS = [LoraEntry(name=f"ai_model_v1-0000{n}0", alias="ai_model_v1") for n in (1, 2)]
SCHEDULERS = {"karras": "Karras", "Karras": "Karras", "sgm_uniform": "SGM Uniform", "SGM Uniform": "SGM Uniform"}


@pytest.mark.parametrize(
    ("prompt", "negative", "says"),
    [
        ("<ai_model_v1-000010:1.0>, close-up", "", "write <lora:ai_model_v1-000010:1.0>"),
        ("a", "<lora:ai_model_v1-000010:1>", "negative prompt holds a LoRA tag"),
        ("<lora:ai_model_v1-000010:1,0> a", "", "'1,0' is no number"),
        ("<lora:ai_model_v1-000010:> a", "", "'' is no number"),
        ("<lora:ai_model_v1-000010:te=x> a", "", "'x' is no number"),
        ("<lora:ai_model_v1:1> a", "", "is an alias"),
        ("<lora:AI_model_v1-000010:1> a", "", "no LoRA file 'AI_model_v1-000010'"),
        ("a # better", "", "takes what follows for a comment"),
    ],
)
def test_each_mistake_is_named(prompt: str, negative: str, says: str) -> None:
    found = prompt_problems(prompt, negative, LORAS)
    assert any(says in sentence for sentence in found), found


@pytest.mark.parametrize(
    "prompt",
    [
        "<lora:ai_model_v1-000010:1.0>, close-up",
        "<lora:ai_model_v1-000010>",
        "<lyco:ai_model_v1-000020:0.5:0.7>",
        "<lora:ai_model_v1-000010:te=0.5:unet=1>",
        "(looking up:1.4), [red:blue:0.5], a < b",
        "<hypernet:anime:1>",
    ],
)
def test_what_a1111_understands_is_no_mistake(prompt: str) -> None:
    assert prompt_problems(prompt, "bad hands", LORAS) == []


def test_options_that_spoil_every_picture() -> None:
    assert option_problems({"sd_lora": "None", "samples_format": "png", "lora_add_hashes_to_infotext": True}) == []
    spoilt = option_problems({"sd_lora": "x", "samples_format": "webp", "lora_add_hashes_to_infotext": False})
    assert [what.split()[2] for what, _, _ in spoilt] == ["adds", "does", "sends"]


@pytest.mark.parametrize(
    ("sampler", "scheduler", "taken"),
    [
        ("DPM++ 2M", "Karras", ("DPM++ 2M", "Karras")),
        ("DPM++ 2M Karras", "Automatic", ("DPM++ 2M", "Karras")),
        ("DPM++ 2M SGM Uniform", "", ("DPM++ 2M", "SGM Uniform")),
        ("Euler", "Automatic", ("Euler", "Automatic")),
        ("Nope Karras", "Automatic", ("Nope Karras", "Automatic")),
    ],
)
def test_the_schedule_in_a_sampler_s_name_is_taken_out(sampler: str, scheduler: str, taken: tuple[str, str]) -> None:
    assert split_sampler(sampler, scheduler, ["DPM++ 2M", "Euler"], SCHEDULERS) == taken


def test_a_server_without_schedules_keeps_them_in_the_name() -> None:
    assert split_sampler("DPM++ 2M", "Karras", ["DPM++ 2M", "DPM++ 2M Karras"], {}) == ("DPM++ 2M Karras", "")
    assert split_sampler("Euler", "Automatic", ["Euler"], {}) == ("Euler", "")


def test_an_alias_is_answered_with_the_name_that_works() -> None:
    assert "only as 'Euler a'" in unknown("sampler", "k_euler_a", ["Euler a"], {"k_euler_a": "Euler a"})
    assert "Did you mean 'Euler'?" in unknown("sampler", "euler", ["Euler", "DDIM"])
    assert "It has: DDIM, Euler." in unknown("sampler", "zzz", ["Euler", "DDIM"])


def test_the_fork_is_part_of_the_version() -> None:
    assert server_version("v1.10.1") == "A1111 v1.10.1"
    assert server_version("f2.0.1v1.10.1-previous-669-gdfdcbab6").startswith("Forge f2.0.1")
    assert server_version("classic") == "classic classic"
    assert server_version("") == ""
