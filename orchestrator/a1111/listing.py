"""What A1111 has: samplers, checkpoints, LoRAs, scripts … Reading a folder again is here too."""

from __future__ import annotations

from pydantic import TypeAdapter

from orchestrator.a1111.models import (
    Checkpoint,
    Embeddings,
    FaceRestorer,
    LoraEntry,
    Module,
    PromptStyle,
    Sampler,
    Scheduler,
    ScriptInfo,
    Scripts,
    Upscaler,
    Vae,
)
from orchestrator.a1111.routes import Routes

_SAMPLERS = TypeAdapter(list[Sampler])
_SCHEDULERS = TypeAdapter(list[Scheduler])
_CHECKPOINTS = TypeAdapter(list[Checkpoint])
_VAES = TypeAdapter(list[Vae])
_MODULES = TypeAdapter(list[Module])
_LORAS = TypeAdapter(list[LoraEntry])
_EMBEDDINGS = TypeAdapter(Embeddings)
_SCRIPTS = TypeAdapter(Scripts)
_SCRIPT_INFO = TypeAdapter(list[ScriptInfo])
_UPSCALERS = TypeAdapter(list[Upscaler])
_FACE_RESTORERS = TypeAdapter(list[FaceRestorer])
_STYLES = TypeAdapter(list[PromptStyle])


class Listing(Routes):
    """The routes that list."""

    def samplers(self) -> list[Sampler]:
        """A1111 takes their names alone, in this case of letters, and not their aliases; others it replaces in
        silence.
        """
        return self._read("/sdapi/v1/samplers", _SAMPLERS)

    def schedulers(self) -> list[Scheduler]:
        """Empty where a schedule is a part of the sampler's name (classic)."""
        return self._read_if_there("/sdapi/v1/schedulers", _SCHEDULERS) or []

    def models(self) -> list[Checkpoint]:
        """The checkpoints A1111 knows."""
        return self._read("/sdapi/v1/sd-models", _CHECKPOINTS)

    def vaes(self) -> list[Vae]:
        """The VAE files A1111 knows; on Forge, which has no list of them, all `modules`."""
        found = self._read_if_there("/sdapi/v1/sd-vae", _VAES)
        if found is None:
            return [Vae(model_name=module.model_name, filename=module.filename) for module in self.modules()]
        return found

    def modules(self) -> list[Module]:
        """Forge's VAEs and text encoders; empty elsewhere."""
        return self._read_if_there("/sdapi/v1/sd-modules", _MODULES) or []

    def loras(self) -> list[LoraEntry]:
        """The LoRA files A1111 knows. This route is not covered by --api-auth: it proves nothing about credentials."""
        return self._read("/sdapi/v1/loras", _LORAS)

    def embeddings(self) -> Embeddings:
        return self._read("/sdapi/v1/embeddings", _EMBEDDINGS)

    def scripts(self) -> Scripts:
        return self._read("/sdapi/v1/scripts", _SCRIPTS)

    def script_info(self) -> list[ScriptInfo]:
        return self._read("/sdapi/v1/script-info", _SCRIPT_INFO)

    def upscalers(self) -> list[Upscaler]:
        return self._read("/sdapi/v1/upscalers", _UPSCALERS)

    def face_restorers(self) -> list[FaceRestorer]:
        return self._read("/sdapi/v1/face-restorers", _FACE_RESTORERS)

    def prompt_styles(self) -> list[PromptStyle]:
        return self._read("/sdapi/v1/prompt-styles", _STYLES)

    def refresh_checkpoints(self) -> None:
        """Make A1111 read its checkpoint folder again. Waits for the picture being drawn."""
        self.post("/sdapi/v1/refresh-checkpoints")

    def refresh_loras(self) -> None:
        """Make A1111 read its LoRA folder again. Only while nothing is drawn: the list is cleared outside the queue
        lock.
        """
        self.post("/sdapi/v1/refresh-loras")

    def refresh_vae(self) -> None:
        self.post("/sdapi/v1/refresh-vae")

    def refresh_embeddings(self) -> None:
        self.post("/sdapi/v1/refresh-embeddings")
