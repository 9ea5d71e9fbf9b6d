"""Routes that paint: txt2img, img2img."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import Any

from . import answers, extensions, pictures, plot, scripts, striking
from . import job as jobs
from .dialects import Dialect
from .engine import Engine
from .facts import table
from .failures import ServerError, http_error
from .job import Job, Kind
from .processed import Processed
from .routing import Call, Route


def _check_scripts(kind: Kind, fields: dict[str, Any], dialect: Dialect) -> str | None:
    """The selectable script asked for, by its listed name."""
    own = {
        entry["name"]: entry["is_alwayson"]
        for entry in scripts.entries(dialect)
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
    script = _check_scripts(kind, fields, engine.dialect)
    job = jobs.build(kind, fields, engine.dialect)
    task = engine.tasks.queue(fields["force_task_id"], kind)
    entry = _entry(call, job, task)
    try:
        done, form, quality = _draw(call, job, task, fields, script)
        entry.update(pictures=done.sampled, seed=done.seed)
        striking.finished(done, call.fault, engine.dialect)
        images = done.images if fields["send_images"] else []
        encoded = [base64.b64encode(pictures.encode(image, form, quality)) for image in images]
        entry["status"] = 200
        return answers.generation_bytes(encoded, _echo(kind, fields, job), done.info(engine.dialect.version))
    except ServerError as failed:
        entry["status"] = failed.status
        raise
    finally:
        unheard = call.fault in striking.UNANSWERED or not engine.life.connections.alive(call.client)
        entry["answered"] = entry["status"] is not None and not unheard
        engine.ledger.write(entry)


def _entry(call: Call, job: Job, task: str) -> dict[str, Any]:
    asked = {key: getattr(job, key) for key in ("kind", "seed", "prompt", "width", "height", "steps", "batch_size")}
    return {"task": task, **asked, "fault": call.fault, "pictures": 0, "status": None, "answered": False}


def _draw(call: Call, job: Job, task: str, fields: dict[str, Any], script: str | None) -> tuple[Processed, str, int]:
    engine, kind = call.engine, job.kind
    with call.place:
        engine.card.take()
        if kind == "img2img":
            mask = pictures.decode(fields["mask"]) if fields["mask"] else None
            images = tuple(pictures.decode(image) for image in fields["init_images"])
            job = jobs.with_images(job, images, mask, fields)
        engine.state.begin(f"scripts_{kind}")
        try:
            job = replace(job, extensions=extensions.read(fields["alwayson_scripts"] or {}))
            engine.tasks.start(task)
            _check_names(engine, fields, kind)
            done = _run(engine, striking.prepare(engine, job, call.fault), script, fields["script_args"] or [])
            engine.tasks.finish(task)
            engine.leak()
        finally:
            engine.card.halfway = None
            engine.state.end()
        # read inside the queue: a later request may change them
        return done, str(engine.options.get("samples_format")), engine.options.get("jpeg_quality")


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


def undrawn(call: Call, kind: Kind) -> None:
    """The ledger's line for a request that a fault kept out of the queue."""
    call.engine.ledger.write(
        _entry(call, jobs.build(kind, call.fields, call.engine.dialect), str(call.fields["force_task_id"] or ""))
    )


_TXT2IMG, _IMG2IMG = "StableDiffusionProcessingTxt2Img", "StableDiffusionProcessingImg2Img"
ROUTES = (
    Route("POST", "/sdapi/v1/txt2img", txt2img, _TXT2IMG, "TextToImageResponse", queued=True, draws=True),
    Route("POST", "/sdapi/v1/img2img", img2img, _IMG2IMG, "ImageToImageResponse", queued=True, draws=True),
)
