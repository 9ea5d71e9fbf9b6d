"""Options of the webui that spoil comparisons, or that somebody else's request left behind."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from orchestrator.doctor.finding import DRAWING, Finding, plain
from orchestrator.files import read_json
from orchestrator.render.lint import option_problems

AREA = "A1111 options"
#: Options that requests override, with the values they have on a new install (A1111 1.10.1).
_OVERRIDDEN = {
    "CLIP_stop_at_last_layers": 1,
    "sd_vae": "Automatic",
    "eta_noise_seed_delta": 0,
    "lora_add_hashes_to_infotext": True,
    "samples_format": "png",
}


def about_options(options: Mapping[str, Any], clip_skip: int | None) -> Iterator[Finding]:
    """What `options` spoil. `clip_skip` is the profile's; None without a profile.

    An option that is absent says nothing: Forge hides some that exist.
    """
    for what, why, fix in option_problems(options):
        yield Finding(AREA, plain(what.rstrip(".")), "blocker", DRAWING, why, plain(fix))
    layers = options.get("CLIP_stop_at_last_layers")
    if clip_skip is not None and isinstance(layers, int | float) and layers != clip_skip:
        yield Finding(
            AREA,
            f"clip skip is {layers:g}, the profile asks for {clip_skip}",
            "warning",
            cause="Our requests say their own, so pictures drawn in the webui by hand cannot be compared with ours.",
            fix=f"Settings > Stable Diffusion > Clip skip: {clip_skip}; or generation.clip_skip = {layers:g}.",
        )
    delta = options.get("eta_noise_seed_delta")
    if isinstance(delta, int | float) and delta != 0:
        yield Finding(
            AREA,
            f"eta noise seed delta is {delta:g}: seeds draw other noise than on other machines",
            "warning",
            cause="It is added to every seed by samplers that draw noise at each step (Euler a, SDE), and no picture "
            "can be drawn again once it is changed.",
            fix="Settings > Sampler parameters > Eta noise seed delta: 0.",
        )
    if options.get("img2img_color_correction") is True:
        yield Finding(
            AREA,
            "img2img corrects colors after drawing",
            "warning",
            cause="Varied pictures then differ from what the checkpoint drew.",
            fix="Settings > img2img > Apply color correction to img2img results: off.",
        )
    on = [name for key, name in (("face_restoration", "face restoration"), ("tiling", "tiling")) if options.get(key)]
    if on:
        yield Finding(
            AREA,
            f"{' and '.join(on)} {'are' if len(on) > 1 else 'is'} on in the webui; our pictures are drawn without",
            "optional",
            cause="Pictures drawn there by hand cannot be compared with ours.",
        )


def about_vae(options: Mapping[str, Any], known: list[str]) -> Iterator[Finding]:
    """A chosen VAE that is not there: A1111 goes on without a word."""
    chosen = str(options.get("sd_vae") or "")
    if chosen and chosen not in {"Automatic", "None", *known}:
        yield Finding(
            AREA,
            f"the chosen VAE {chosen!r} is not there",
            "warning",
            cause="A1111 goes on with another VAE, or none, and does not say so.",
            fix="Settings > VAE > SD VAE: choose one that is there; or set base.vae in the profile.",
        )


def about_leaks(options: Mapping[str, Any], flags: Mapping[str, Any]) -> Iterator[Finding]:
    """Options that stand otherwise in the running server than in its config.json, where that lies on this machine.

    Whoever sets an option saves it; only what a request overrode and the server did not put back differs.
    """
    name = flags.get("ui_settings_file")
    if not name or not Path(str(name)).is_file():
        return
    saved = read_json(Path(str(name)))
    if not isinstance(saved, dict):
        return
    for key, default in _OVERRIDDEN.items():
        written = saved.get(key, default)
        if key in options and options[key] is not None and options[key] != written:
            yield Finding(
                AREA,
                f"{key} is {options[key]!r} in the running server, {written!r} in its config.json",
                "warning",
                cause="A request of some other program overrode it, and A1111 did not put it back: it does so only for "
                "options that stand in config.json.",
                fix="Settings > Apply settings once (or start the webui anew), then ask the doctor again.",
            )
