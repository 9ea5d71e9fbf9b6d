"""Routes that look at or rework a finished picture: png-info, interrogate, the WD14 tagger extension, extras."""

from __future__ import annotations

import base64
import html
import re
import zlib
from typing import Any

from PIL import Image

from . import extensions, infotext, painting, pictures
from .facts import table
from .failures import ServerError, http_error
from .routing import NOT_CLASSIC, Call, Route

TAGGER_MODELS = ("wd14-convnext-v2", "wd14-vit-v2")
_THRESHOLDS = {"flat": 0.35, "nested": 0.0}
_LORA = re.compile(r"<lora:([^:>]+):")
_ESCAPED = re.compile(r"([\\()])")


def png_info(call: Call) -> dict[str, Any]:
    """POST /sdapi/v1/png-info: LoRA names in parameters.Prompt are rewritten to the preferred alias; `info` is
    untouched."""
    image = pictures.decode(call.fields["image"])
    text, items = pictures.stored_text(image)
    if not text:
        return {"info": "", "items": items, "parameters": {}}
    read = infotext.read(text)
    pairs = (pair.split(":", 1) for pair in str(read.get("Lora hashes", "")).split(",") if ":" in pair)
    hashes = {name.strip(): digits.strip() for name, digits in pairs}
    by_file_name = call.engine.options.get("lora_preferred_name") == "Filename"
    names = call.engine.loras.preferred_names(by_file_name)

    def preferred(found: re.Match[str]) -> str:
        return f"<lora:{names.get(hashes.get(found.group(1), ''), found.group(1))}:"

    read["Prompt"] = _LORA.sub(preferred, read["Prompt"])
    return {"info": text, "items": items, "parameters": read}


def _seen(image: Image.Image, model: str) -> dict[str, float]:
    plain = pictures.flatten(image)
    return painting.tags(plain, zlib.crc32(plain.tobytes()) ^ zlib.crc32(model.encode()))


def interrogate(call: Call) -> dict[str, str]:
    """POST /sdapi/v1/interrogate: `clip` fails as it does without its weights (200, "<error>"), `deepdanbooru`
    works."""
    model = call.fields["model"]
    if not call.fields["image"]:
        raise http_error(404, "Image not found")
    image = pictures.decode(call.fields["image"])
    if model not in {"clip", "deepdanbooru"}:
        raise http_error(404, "Model not found")
    with call.place:
        if model == "clip":
            return {"caption": "<error>"}
        return {"caption": _deepdanbooru(call, _seen(image, model))}


def _deepdanbooru(call: Call, seen: dict[str, float]) -> str:
    option = call.engine.options.get
    threshold = float(option("interrogate_deepbooru_score_threshold"))
    unwanted = {tag.strip().replace(" ", "_") for tag in str(option("deepbooru_filter_tags")).split(",")}
    kept = [
        (tag, p) for tag, p in seen.items() if p >= threshold and tag not in unwanted and not tag.startswith("rating:")
    ]
    kept.sort(key=(lambda pair: pair[0]) if option("deepbooru_sort_alpha") else (lambda pair: -pair[1]))
    words = []
    for tag, probability in kept:
        word = tag.replace("_", " ") if option("deepbooru_use_spaces") else tag
        word = _ESCAPED.sub(r"\\\1", word) if option("deepbooru_escape") else word
        words.append(f"({word}:{probability:.3f})" if option("interrogate_return_ranks") else word)
    return ", ".join(words)


def tagger_models(call: Call) -> dict[str, list[str]]:
    """GET /tagger/v1/interrogators."""
    return {"models": list(TAGGER_MODELS)}


def tagger(call: Call) -> dict[str, Any]:
    """POST /tagger/v1/interrogate: flat `{tag: p}` with the ratings mixed in, or nested by group, as the two
    forks answer."""
    fields, shape = call.fields, call.engine.settings.tagger
    if not fields["image"]:
        raise http_error(404, "Image not found")
    if fields["model"] not in TAGGER_MODELS:
        raise http_error(404, "Model not found")
    image = pictures.decode(fields["image"])
    with call.place:
        seen = _seen(image, fields["model"])
    threshold = fields["threshold"] if fields["threshold"] is not None else _THRESHOLDS[shape]
    general = {tag: p for tag, p in seen.items() if not tag.startswith("rating:") and p >= threshold}
    ratings = {"general": 0.93, "sensitive": 0.06, "questionable": 0.005, "explicit": 0.005}
    ratings |= {tag.removeprefix("rating:"): p for tag, p in seen.items() if tag.startswith("rating:")}
    caption = {"rating": ratings, "tag": general} if shape == "nested" else {**ratings, **general}
    return {"caption": caption}


def _upscaled(image: Image.Image, fields: dict[str, Any], name: str) -> Image.Image:
    if fields["resize_mode"] == 1:
        size = (fields["upscaling_resize_w"], fields["upscaling_resize_h"])
        if not fields["upscaling_crop"]:
            ratio = max(size[0] / image.width, size[1] / image.height)
            size = (round(image.width * ratio), round(image.height * ratio))
        return pictures.fit(image, *size, mode=1)
    by = fields["upscaling_resize"]
    size = (int(image.width * by), int(image.height * by))
    return image.resize(size, Image.Resampling.NEAREST if name == "Nearest" else Image.Resampling.LANCZOS)


def _rework(call: Call, encoded: str) -> tuple[Image.Image, str]:
    fields = call.fields
    image = pictures.decode(encoded)
    kept = {key: value for key, value in image.info.items() if isinstance(value, str)}
    image = image.convert("RGB")
    known = {entry["name"] for entry in table("upscalers")}
    names = [fields["upscaler_1"], fields["upscaler_2"]]
    for name in names:
        if name not in known:
            raise ServerError("AssertionError", f"could not find upscaler named {name}")
    done: dict[str, Any] = {}
    if names[0] != "None":
        by, to = fields["upscaling_resize"], f"{fields['upscaling_resize_w']}x{fields['upscaling_resize_h']}"
        done |= {"Postprocess upscale by": by} if fields["resize_mode"] == 0 else {"Postprocess upscale to": to}
        done["Postprocess upscaler"] = names[0]
        first = _upscaled(image, fields, names[0])
        if names[1] != "None" and fields["extras_upscaler_2_visibility"] > 0:
            done["Postprocess upscaler 2"] = names[1]
            first = Image.blend(first, _upscaled(image, fields, names[1]), fields["extras_upscaler_2_visibility"])
        image = first
    for key, label in (("gfpgan_visibility", "GFPGAN visibility"), ("codeformer_visibility", "CodeFormer visibility")):
        if fields[key] > 0:  # without its weights the real one names itself too, and changes nothing
            done[label] = round(fields[key], 3)
    said = ", ".join(f"{key}: {infotext.quote(value)}" for key, value in done.items())
    image.info = {**kept, "postprocessing": said}
    return image, said


def _encoded(call: Call, image: Image.Image) -> str:
    return base64.b64encode(pictures.encode(image, str(call.engine.options.get("samples_format")))).decode()


def _html(said: str) -> str:
    return f"<p>{html.escape(said)}</p>"


def extra_single(call: Call) -> dict[str, Any]:
    """POST /sdapi/v1/extra-single-image: every upscaler is a plain resize, as the real ones are without their
    weights."""
    pictures.decode(call.fields["image"])
    with call.place:
        image, said = _rework(call, call.fields["image"])
    return {"html_info": _html(said), "image": _encoded(call, image)}


def extra_batch(call: Call) -> dict[str, Any]:
    """POST /sdapi/v1/extra-batch-images."""
    with call.place:
        done = [_rework(call, item["data"]) for item in call.fields["imageList"]]
    return {"html_info": _html(done[0][1] if done else ""), "images": [_encoded(call, image) for image, _ in done]}


def control_models(call: Call) -> dict[str, Any]:
    """GET /controlnet/model_list (open even with --api-auth, as all of /controlnet)."""
    return {"model_list": list(extensions.MODELS)}


def control_modules(call: Call) -> dict[str, Any]:
    """GET /controlnet/module_list."""
    return {"module_list": list(extensions.MODULES), "module_detail": {}}


def control_types(call: Call) -> dict[str, Any]:
    """GET /controlnet/control_types."""
    modules, models = list(extensions.MODULES), ["None", *extensions.MODELS]
    every = {"module_list": modules, "model_list": models, "default_option": "none", "default_model": "None"}
    return {"control_types": {"All": every}}


def control_detect(call: Call) -> dict[str, Any]:
    """POST /controlnet/detect: the maps of the pictures sent."""
    images = call.body.get("controlnet_input_images") or []
    if not images:
        raise http_error(422, "No image selected")
    module = str(call.body.get("controlnet_module", "none"))
    maps = [extensions.detect(pictures.flatten(pictures.decode(image)), module) for image in images]
    return {"images": [base64.b64encode(pictures.encode(one)).decode() for one in maps], "info": "Success"}


_API = "/sdapi/v1"
ROUTES = (
    Route("POST", f"{_API}/png-info", png_info, "PNGInfoRequest", "PNGInfoResponse", threaded=True),
    Route("POST", f"{_API}/interrogate", interrogate, "InterrogateRequest", queued=True, only=NOT_CLASSIC),
    Route(
        "POST",
        f"{_API}/extra-single-image",
        extra_single,
        "ExtrasSingleImageRequest",
        "ExtrasSingleImageResponse",
        queued=True,
    ),
    Route(
        "POST",
        f"{_API}/extra-batch-images",
        extra_batch,
        "ExtrasBatchImagesRequest",
        "ExtrasBatchImagesResponse",
        queued=True,
    ),
    Route("GET", "/controlnet/model_list", control_models, login=False, own=False),
    Route("GET", "/controlnet/module_list", control_modules, login=False, own=False),
    Route("GET", "/controlnet/control_types", control_types, login=False, own=False),
    Route("POST", "/controlnet/detect", control_detect, "", login=False, threaded=True, own=False),
    Route("GET", "/tagger/v1/interrogators", tagger_models, own=False),
    Route("POST", "/tagger/v1/interrogate", tagger, "TaggerInterrogateRequest", queued=True, own=False),
)
