"""Two extensions nearly everybody has installed, ADetailer and ControlNet: their arguments, texts and effect."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from PIL import Image, ImageFilter

from . import pictures

DETECTORS = ("face_yolov8n.pt", "face_yolov8s.pt", "hand_yolov8n.pt", "person_yolov8n-seg.pt", "mediapipe_face_full")
MODULES = ("none", "canny", "depth_midas", "lineart_realistic", "openpose", "openpose_full", "tile_resample")
MODELS = (
    "control_v11p_sd15_canny [d14c016b]",
    "control_v11p_sd15_openpose [cab727d4]",
    "control_v11f1e_sd15_tile [a371b31b]",
)
_DETAIL_VERSION = "24.11.1"
_PLACES = ("", " 2nd", " 3rd", " 4th")
_PULL = 0.15
"""How far a control map of weight 1 pulls the picture towards itself."""


@dataclass(frozen=True)
class Extensions:
    """What the extensions do to one job."""

    texts: dict[str, Any] = field(default_factory=dict)
    details: int = 0
    """Passes of ADetailer over each picture."""
    maps: tuple[tuple[Image.Image, float], ...] = ()
    """ControlNet's maps with their weights."""

    def rework(self, image: Image.Image) -> Image.Image:
        """One finished picture."""
        for control, weight in self.maps:
            fitted = control.resize(image.size)
            image = Image.blend(image, fitted, max(0.0, min(1.0, _PULL * weight)))
        for _ in range(self.details):
            image = image.filter(ImageFilter.UnsharpMask(radius=2, percent=60))
        return image

    def shown(self, size: tuple[int, int]) -> list[Image.Image]:
        """The maps as ControlNet appends them AFTER the pictures, which have neither seed nor text of their own."""
        return [control.resize(size) for control, _ in self.maps]


def _switch(label: str) -> dict[str, Any]:
    return {"label": label, "value": False, "minimum": None, "maximum": None, "step": None, "choices": None}


def script_info(name: str) -> list[dict[str, Any]]:
    """The arguments /script-info lists for one of the two."""
    if name == "adetailer":
        return [_switch("Enable ADetailer"), _switch("Skip img2img"), {**_switch("ADetailer state"), "value": None}]
    return [{**_switch(f"ControlNet Unit {unit}"), "value": None} for unit in range(3)]


def read(scripts: Mapping[str, Any]) -> Extensions:
    """From a request's `alwayson_scripts`. What makes no sense is ignored, as scripts' errors are on the real server.

    Raises ServerError for a control image that cannot be read.
    """
    arguments = {str(name).lower(): (given or {}).get("args") or [] for name, given in scripts.items()}
    texts, details = _detailer(arguments.get("adetailer", []))
    control, maps = _control(arguments.get("controlnet", []))
    return Extensions({**texts, **control}, details, maps)


def _detailer(args: list[Any]) -> tuple[dict[str, Any], int]:
    switches = [arg for arg in args if isinstance(arg, bool)]
    units = [arg for arg in args if isinstance(arg, dict) and arg.get("ad_model", "None") in DETECTORS]
    if switches and not switches[0]:
        return {}, 0
    texts: dict[str, Any] = {}
    for place, unit in zip(_PLACES, units, strict=False):
        said = {
            "model": unit["ad_model"],
            "prompt": unit.get("ad_prompt") or None,
            "negative prompt": unit.get("ad_negative_prompt") or None,
            "confidence": unit.get("ad_confidence", 0.3),
            "dilate erode": unit.get("ad_dilate_erode", 4),
            "mask blur": unit.get("ad_mask_blur", 4),
            "denoising strength": unit.get("ad_denoising_strength", 0.4),
            "inpaint only masked": unit.get("ad_inpaint_only_masked", True),
            "inpaint padding": unit.get("ad_inpaint_only_masked_padding", 32),
        }
        texts |= {f"ADetailer {key}{place}": value for key, value in said.items() if value is not None}
    if texts:
        texts["ADetailer version"] = _DETAIL_VERSION
    return texts, len(units)


def _control(args: list[Any]) -> tuple[dict[str, Any], tuple[tuple[Image.Image, float], ...]]:
    texts: dict[str, Any] = {}
    maps = []
    for number, unit in enumerate(args):
        if not isinstance(unit, dict) or not unit.get("enabled", True):
            continue
        image = unit.get("image") or unit.get("input_image")
        image = image.get("image") if isinstance(image, dict) else image
        if not image or unit.get("model", "None") == "None":
            continue
        module, weight = str(unit.get("module", "none")), float(unit.get("weight", 1.0))
        maps.append((detect(pictures.flatten(pictures.decode(image)), module), weight))
        texts[f"ControlNet {number}"] = (
            f"Module: {module}, Model: {unit['model']}, Weight: {weight}, "
            f"Resize Mode: {unit.get('resize_mode', 'Crop and Resize')}, "
            f"Processor Res: {unit.get('processor_res', 512)}, Threshold A: 0.5, Threshold B: 0.5, "
            f"Guidance Start: {unit.get('guidance_start', 0.0)}, Guidance End: {unit.get('guidance_end', 1.0)}, "
            f"Pixel Perfect: {unit.get('pixel_perfect', False)}, Control Mode: {unit.get('control_mode', 'Balanced')}"
        )
    return texts, tuple(maps)


def detect(image: Image.Image, module: str) -> Image.Image:
    """A control map: the picture itself for `none` and tiles, its edges for every other preprocessor."""
    if module == "none" or module.startswith("tile"):
        return image.convert("RGB")
    return image.convert("L").filter(ImageFilter.FIND_EDGES).convert("RGB")
