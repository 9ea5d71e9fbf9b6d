"""Which options of the webui the doctor speaks up about, and which it leaves in peace."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.doctor.finding import Examination, Finding, guarded
from orchestrator.doctor.options import about_leaks, about_options, about_vae
from orchestrator.errors import StorageError

HEALTHY = {
    "sd_lora": "None",
    "lora_add_hashes_to_infotext": True,
    "samples_format": "png",
    "face_restoration": False,
    "tiling": False,
    "CLIP_stop_at_last_layers": 1.0,
    "eta_noise_seed_delta": 0,
    "img2img_color_correction": False,
    "sd_vae": "Automatic",
}


@pytest.mark.parametrize("options", [HEALTHY, {}, {"sd_lora": None, "samples_format": None}])
def test_healthy_options_and_absent_ones_are_left_in_peace(options: dict[str, Any]) -> None:
    assert list(about_options(options, 1)) == []


@pytest.mark.parametrize(
    ("key", "value", "level", "says"),
    [
        ("sd_lora", "ミク_v1", "blocker", "ミク_v1"),
        ("lora_add_hashes_to_infotext", False, "blocker", "hashes"),
        ("samples_format", "jpg", "blocker", "jpg"),
        ("CLIP_stop_at_last_layers", 2.0, "warning", "clip skip is 2, the profile asks for 1"),
        ("eta_noise_seed_delta", 31337.0, "warning", "31337"),
        ("img2img_color_correction", True, "warning", "colors"),
        ("face_restoration", True, "optional", "face restoration is on"),
        ("tiling", True, "optional", "tiling is on"),
    ],
)
def test_each_option_that_spoils(key: str, value: object, level: str, says: str) -> None:
    (finding,) = about_options({**HEALTHY, key: value}, 1)
    assert (finding.level, bool(finding.stops)) == (level, level == "blocker")
    assert says in finding.what
    assert "→" not in finding.fix
    assert finding.fix or level == "optional"


def test_clip_skip_is_the_profiles_affair() -> None:
    assert list(about_options({"CLIP_stop_at_last_layers": 2.0}, 2)) == []
    assert list(about_options({"CLIP_stop_at_last_layers": 2.0}, None)) == []


def test_a_chosen_vae_that_is_gone() -> None:
    (finding,) = about_vae({"sd_vae": "gone.vae"}, ["there.vae"])
    assert "gone.vae" in finding.what
    for chosen in ("there.vae", "Automatic", "None", "", None):
        assert list(about_vae({"sd_vae": chosen}, ["there.vae"])) == []


def test_what_a_request_left_behind(ugly_path: Path) -> None:
    config = ugly_path / "config.json"
    flags = {"ui_settings_file": str(config)}
    assert list(about_leaks({"CLIP_stop_at_last_layers": 2.0}, flags)) == []  # another machine: nothing to compare with
    config.write_text(json.dumps({"sd_vae": "a.vae"}), encoding="utf-8")
    assert list(about_leaks({"CLIP_stop_at_last_layers": 1.0, "sd_vae": "a.vae"}, flags)) == []
    clip, vae = about_leaks({"CLIP_stop_at_last_layers": 2.0, "sd_vae": "Automatic"}, flags)
    assert "CLIP_stop_at_last_layers is 2.0 in the running server, 1 in its config.json" in clip.what
    assert "'a.vae' in its config.json" in vae.what
    config.write_text("[]", encoding="utf-8")
    assert list(about_leaks({"CLIP_stop_at_last_layers": 2.0}, flags)) == []


def test_a_check_that_fails_keeps_what_it_had_found() -> None:
    def breaks() -> Iterator[Finding]:
        yield Finding("x", "seen")
        raise ZeroDivisionError("oops")

    def full() -> Iterator[Finding]:
        raise StorageError("The disk is full.", fix="Free some space.")
        yield

    first, second = guarded("x", breaks, server="http://a")
    assert first.what == "seen"
    assert "the check itself failed (ZeroDivisionError: oops)" in second.what
    assert (second.level, second.server) == ("warning", "http://a")
    (third,) = guarded("x", full)
    assert "The disk is full." in third.what
    assert third.fix == "Free some space."


def test_what_is_ready_follows_from_the_blockers() -> None:
    found = Examination(
        (
            Finding("a", "fine", stops=("grids",)),
            Finding("b", "bad", "blocker", ("training",)),
            Finding("c", "so-so", "warning", ("pictures",)),
            Finding("d", "not set up", "optional"),
        )
    ).to_dict()
    assert found["ready"] == {"pictures": True, "training": False, "grids": True, "evaluation": True}
    assert (found["blockers"], found["warnings"]) == (1, 1)
    assert set(found["findings"][0]) == {"area", "what", "level", "stops", "cause", "fix", "server"}
