"""Routes that list things, and those that change which models are listed or loaded."""

from __future__ import annotations

import csv
from functools import partial
from typing import Any

import psutil

from . import scripts
from .dialects import Name
from .facts import table
from .failures import ServerError
from .routing import NOT_CLASSIC, Call, Route

_GIB = 2**30
_MODEL_BYTES = 2.2 * _GIB


def _table(name: str, call: Call) -> Any:
    return table(name, call.engine.dialect.name)


def _empty_list(call: Call) -> list[Any]:
    return []


def prompt_styles(call: Call) -> list[dict[str, str]]:
    """GET /sdapi/v1/prompt-styles: those of styles.csv, read at every call."""
    path = call.engine.home / "styles.csv"
    if not path.is_file():
        return []
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file, skipinitialspace=True))
    return [{name: row.get(name) or "" for name in ("name", "prompt", "negative_prompt")} for row in rows]


def embeddings(call: Call) -> dict[str, Any]:
    """GET /sdapi/v1/embeddings."""
    return call.engine.embeddings.listing()


def refresh_embeddings(call: Call) -> None:
    """POST /sdapi/v1/refresh-embeddings."""
    call.engine.embeddings.refresh()


def vaes(call: Call) -> list[dict[str, str]]:
    """GET /sdapi/v1/sd-vae; /sd-modules on Forge."""
    return call.engine.vaes.listing()


def refresh_vae(call: Call) -> None:
    """POST /sdapi/v1/refresh-vae."""
    call.engine.vaes.refresh()


def options(call: Call) -> dict[str, Any]:
    """GET /sdapi/v1/options."""
    return call.engine.options.everything()


def set_options(call: Call) -> None:
    """POST /sdapi/v1/options. Only a checkpoint change waits for the queue; the others are set at once.

    Forge does not even load the checkpoint: the next picture pays for it.
    """
    engine = call.engine
    lazy = engine.dialect.loads_lazily
    name = call.body.get("sd_model_checkpoint")
    wanted = engine.checkpoints.find(name)
    if name is not None and wanted is None:
        raise ServerError("RuntimeError", f"model {name!r} not found")
    for key, value in call.body.items():
        if key == "sd_model_checkpoint" and lazy and wanted is not None and engine.checkpoints.holds(wanted):
            continue
        before = engine.options.put(key, value)
        if key == "sd_model_checkpoint" and before != value and not lazy:
            with engine.queue.turn():
                engine.change_checkpoint()
    engine.options.save()


def sd_models(call: Call) -> list[dict[str, Any]]:
    """GET /sdapi/v1/sd-models."""
    return call.engine.checkpoints.listing()


def refresh_checkpoints(call: Call) -> None:
    """POST /sdapi/v1/refresh-checkpoints: waits for the running job."""
    with call.place:
        call.engine.checkpoints.refresh()


def unload_checkpoint(call: Call) -> dict[str, Any]:
    """POST /sdapi/v1/unload-checkpoint: the next generation loads it again by itself."""
    with call.place:
        call.engine.checkpoints.loaded = None
    return {}


def reload_checkpoint(call: Call) -> dict[str, Any]:
    """POST /sdapi/v1/reload-checkpoint."""
    with call.place:
        call.engine.change_checkpoint()
    return {}


def loras(call: Call) -> list[dict[str, Any]]:
    """GET /sdapi/v1/loras (open even with --api-auth)."""
    return call.engine.loras.listing()


def refresh_loras(call: Call) -> None:
    """POST /sdapi/v1/refresh-loras (open even with --api-auth)."""
    call.engine.loras.refresh()


def script_list(call: Call) -> dict[str, list[str]]:
    """GET /sdapi/v1/scripts."""
    return scripts.listed(call.engine.dialect)


def script_info(call: Call) -> list[dict[str, Any]]:
    """GET /sdapi/v1/script-info: args[0].choices of the x/y/z plot is its table of axis numbers."""
    dialect = call.engine.dialect
    choices: dict[str, Any] = {
        "@checkpoints": call.engine.checkpoints.titles(),
        "@samplers": [entry["name"] for entry in table("samplers", dialect.name)],
    }
    answer = []
    for entry in scripts.entries(dialect):
        axes = table("plot-axes", dialect.name)["img2img" if entry["is_img2img"] else "txt2img"]
        filled = [
            {**arg, "choices": {**choices, "@axes": axes}[arg["choices"]]} if isinstance(arg["choices"], str) else arg
            for arg in entry["args"]
        ]
        answer.append({**entry, "args": filled})
    return answer


def flags(call: Call) -> dict[str, Any]:
    """GET /sdapi/v1/cmd-flags, the password of --api-auth included, in clear text. Forge fails on its own --port, and
    shows all flags in the failure."""
    home = str(call.engine.home)

    def placed(value: Any) -> Any:
        if isinstance(value, list):
            return [placed(item) for item in value]
        return value.replace("{home}", home) if isinstance(value, str) else value

    settings = call.engine.settings
    own = {
        "api_auth": settings.api_auth,
        "nowebui": not settings.webui,
        "timeout_keep_alive": int(settings.keep_alive_seconds),
    }
    shown = {key: own[key] if key in own else placed(value) for key, value in table("flags").items()}
    if call.engine.dialect.pydantic2:  # --port is a number where the model says text
        wrong = {"type": "string_type", "loc": ("response", "port"), "msg": "Input should be a valid string"}
        raise ServerError("ResponseValidationError", f"1 validation errors:\n  {wrong}\n  input: {shown}")
    return shown


def memory(call: Call) -> dict[str, Any]:
    """GET /sdapi/v1/memory."""
    used, total = psutil.Process().memory_info().rss, psutil.virtual_memory().total
    ram = {"free": total - used, "used": used, "total": total}
    size = call.engine.settings.vram_gb
    if size is None:
        return {"ram": ram, "cuda": {"error": "unavailable"}}
    card = size * _GIB
    busy = _MODEL_BYTES if call.engine.checkpoints.loaded is not None else 0.3 * _GIB
    now = {"current": busy, "peak": _MODEL_BYTES}
    cuda = {
        "system": {"free": card - busy, "used": busy, "total": card},
        "active": now,
        "allocated": now,
        "reserved": now,
        "inactive": {"current": 0, "peak": 0},
        "events": {"retries": 0, "oom": 0},
    }
    return {"ram": ram, "cuda": cuda}


_API = "/sdapi/v1"
_NOT_FORGE: frozenset[Name] = frozenset({"a1111", "reforge", "classic"})
ROUTES = (
    Route("GET", f"{_API}/options", options),
    Route("POST", f"{_API}/options", set_options, "", threaded=True),
    Route("GET", f"{_API}/cmd-flags", flags),
    Route("GET", f"{_API}/samplers", partial(_table, "samplers"), response="[SamplerItem]"),
    Route("GET", f"{_API}/schedulers", partial(_table, "schedulers"), response="[SchedulerItem]", only=NOT_CLASSIC),
    Route("GET", f"{_API}/upscalers", partial(_table, "upscalers"), response="[UpscalerItem]"),
    Route(
        "GET",
        f"{_API}/latent-upscale-modes",
        partial(_table, "latent-upscale-modes"),
        response="[LatentUpscalerModeItem]",
    ),
    Route("GET", f"{_API}/sd-models", sd_models, response="[SDModelItem]"),
    Route("GET", f"{_API}/sd-vae", vaes, response="[SDVaeItem]", only=_NOT_FORGE),
    Route("GET", f"{_API}/sd-modules", vaes, only=frozenset({"forge"}), own=False),
    Route("GET", f"{_API}/hypernetworks", _empty_list, response="[HypernetworkItem]", only=NOT_CLASSIC),
    Route("GET", f"{_API}/face-restorers", partial(_table, "face-restorers"), response="[FaceRestorerItem]"),
    Route(
        "GET",
        f"{_API}/realesrgan-models",
        partial(_table, "realesrgan-models"),
        response="[RealesrganItem]",
        only=NOT_CLASSIC,
    ),
    Route("GET", f"{_API}/prompt-styles", prompt_styles, response="[PromptStyleItem]"),
    Route("GET", f"{_API}/extensions", _empty_list, response="[ExtensionItem]"),
    Route("GET", f"{_API}/embeddings", embeddings, response="EmbeddingsResponse"),
    Route("POST", f"{_API}/refresh-embeddings", refresh_embeddings),
    Route("POST", f"{_API}/refresh-checkpoints", refresh_checkpoints, queued=True),
    Route("POST", f"{_API}/refresh-vae", refresh_vae),
    Route("POST", f"{_API}/unload-checkpoint", unload_checkpoint, queued=True),
    Route("POST", f"{_API}/reload-checkpoint", reload_checkpoint, queued=True),
    Route("GET", f"{_API}/memory", memory, response="MemoryResponse"),
    Route("GET", f"{_API}/scripts", script_list, response="ScriptsList"),
    Route("GET", f"{_API}/script-info", script_info, response="[ScriptInfo]"),
    Route("GET", f"{_API}/loras", loras, login=False),
    Route("POST", f"{_API}/refresh-loras", refresh_loras, login=False),
)
