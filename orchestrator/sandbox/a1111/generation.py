"""Routes that paint: txt2img, img2img."""

from __future__ import annotations

import base64
from typing import Any

from . import answers, pictures, plot
from . import job as jobs
from .engine import Engine
from .facts import table
from .failures import ServerError, http_error
from .job import Job, Kind
from .processed import Processed
from .routing import Call, Route


def _check_scripts(kind: Kind, fields: dict[str, Any]) -> str | None:
    """The selectable script asked for, by its listed name."""
    own = {
        entry["name"]: entry["is_alwayson"]
        for entry in table("script-info")
        if entry["is_img2img"] == (kind == "img2img")
    }
    names = {name.lower(): name for name in own}
    wanted = fields["script_name"]
    found = names.get(str(wanted).lower()) if wanted else None
    if wanted and (found is None or own[found]):
        raise http_error(422, f"Script '{wanted}' not found")
    for name in fields["alwayson_scripts"] or {}:
        always = names.get(str(name).lower())
        if always is None:
            raise http_error(422, f"Script '{name}' not found")
        if not own[always]:
            raise http_error(422, "Cannot have a selectable script in the always on scripts params")
    return found


def _generate(call: Call, kind: Kind) -> bytes:
    engine = call.engine
    fields = jobs.fill_from_infotext(kind, call.fields, call.body)
    if kind == "img2img" and fields["init_images"] is None:
        raise http_error(404, "Init image not found")
    script = _check_scripts(kind, fields)
    job = jobs.build(kind, fields)
    task = engine.tasks.queue(fields["force_task_id"], kind)
    with call.place:
        engine.card.take()
        if kind == "img2img":
            mask = pictures.decode(fields["mask"]) if fields["mask"] else None
            images = tuple(pictures.decode(image) for image in fields["init_images"])
            job = jobs.with_images(job, images, mask, fields)
        engine.state.begin(f"scripts_{kind}")
        try:
            engine.tasks.start(task)
            _check_names(engine, fields, kind)
            done = _run(engine, job, script, fields["script_args"] or [])
            engine.tasks.finish(task)
        finally:
            engine.state.end()
        # read inside the queue: a later request may change them
        form, quality = str(engine.options.get("samples_format")), engine.options.get("jpeg_quality")
    encoded = (
        [base64.b64encode(pictures.encode(i, form, quality)) for i in done.images] if fields["send_images"] else []
    )
    return answers.generation_bytes(encoded, _echo(kind, fields, job), done.info())


def _run(engine: Engine, job: Job, script: str | None, script_args: list[Any]) -> Processed:
    if script is None:
        return engine.process(job)
    if script != "x/y/z plot":
        raise ServerError(
            "NotImplementedError", f"this simulated server has only the x/y/z plot, not the script '{script}'"
        )
    return plot.run(engine, job, script_args)


def _check_names(engine: Engine, fields: dict[str, Any], kind: Kind) -> None:
    upscaler = fields.get("hr_upscaler") if kind == "txt2img" and fields["enable_hr"] else None
    if upscaler is not None:
        known = {entry["name"] for entry in [*table("upscalers"), *table("latent-upscale-modes")]}
        if upscaler not in known:
            raise ServerError("Exception", f"could not find upscaler named {upscaler}")
    for key in ("refiner_checkpoint", "hr_checkpoint_name"):
        name = fields.get(key)
        if name and name not in ("None", "Use same checkpoint") and engine.checkpoints.find(name) is None:
            raise ServerError("Exception", f"Could not find checkpoint with name {name}")


def _echo(kind: Kind, fields: dict[str, Any], job: Job) -> dict[str, Any]:
    echoed = dict(fields)
    if kind == "img2img" and not fields["include_init_images"]:
        echoed["init_images"] = echoed["mask"] = None
    return echoed


def txt2img(call: Call) -> bytes:
    """POST /sdapi/v1/txt2img."""
    return _generate(call, "txt2img")


def img2img(call: Call) -> bytes:
    """POST /sdapi/v1/img2img."""
    return _generate(call, "img2img")


ROUTES = (
    Route("POST", "/sdapi/v1/txt2img", txt2img, "StableDiffusionProcessingTxt2Img", "TextToImageResponse", queued=True),
    Route(
        "POST", "/sdapi/v1/img2img", img2img, "StableDiffusionProcessingImg2Img", "ImageToImageResponse", queued=True
    ),
)
