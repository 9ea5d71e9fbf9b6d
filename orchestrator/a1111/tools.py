"""Finished pictures read and reworked by A1111: enlarged, described, tagged, asked for their infotext."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter

from orchestrator.a1111.models import PngInfo, Upscaled
from orchestrator.a1111.pictures import PictureSource, decode, encode, read
from orchestrator.a1111.requests import Upscale, UpscaleMany, checked_request
from orchestrator.a1111.routes import Routes, not_its_shape
from orchestrator.errors import ServerError

_PNG_INFO = TypeAdapter(PngInfo)


class Tools(Routes):
    """The routes for finished pictures."""

    def upscale(self, request: Upscale | Mapping[str, Any]) -> Upscaled:
        """Enlarge one picture. Raises `ServerError` for an unknown upscaler; one whose weights are missing only
        resizes, in silence.
        """
        route = "/sdapi/v1/extra-single-image"
        answer = self.post(route, checked_request(Upscale, request).body())
        return _upscaled(route, answer, lambda: [answer["image"]])

    def upscale_many(self, request: UpscaleMany | Mapping[str, Any]) -> Upscaled:
        """Enlarge several pictures alike, in their order."""
        route = "/sdapi/v1/extra-batch-images"
        answer = self.post(route, checked_request(UpscaleMany, request).body())
        return _upscaled(route, answer, lambda: answer["images"])

    def png_info(self, picture: PictureSource) -> PngInfo:
        """The infotext A1111 finds in a picture. Raises `PictureError`."""
        return self._post_read("/sdapi/v1/png-info", {"image": read(picture).text}, _PNG_INFO)

    def interrogate(self, picture: bytes, model: str = "deepdanbooru") -> str:
        """A caption by A1111's own interrogators (`deepdanbooru` or `clip`). Errors arrive as a caption ending in
        `<error>`; they are raised as `ServerError`.
        """
        route = "/sdapi/v1/interrogate"
        caption = str(self.post(route, {"image": encode(picture), "model": model})["caption"])
        if caption.rstrip().endswith("<error>"):
            raise ServerError(route, 200, "", f"{model} gave no caption", cause="Its weights are probably not there.")
        return caption

    def tagger_models(self) -> list[str]:
        """The models of the WD14 tagger extension; empty when the extension is not there."""
        try:
            return [str(name) for name in self.get("/tagger/v1/interrogators")["models"]]
        except ServerError as error:
            if error.status in {404, 500}:
                return []
            raise

    def tags(self, picture: bytes, model: str, threshold: float = 0.0) -> dict[str, float]:
        """Tag → probability by the WD14 tagger, in either of its two answer shapes (flat, or by group)."""
        body = {"image": encode(picture), "model": model, "threshold": threshold, "queue": "", "name_in_queue": ""}
        caption = self.post("/tagger/v1/interrogate", body)["caption"]
        flat: dict[str, float] = {}
        for name, value in caption.items():
            if isinstance(value, Mapping):
                flat.update({str(tag): float(p) for tag, p in value.items()})
            else:
                flat[str(name)] = float(value)
        return flat


def _upscaled(route: str, answer: Any, texts: Any) -> Upscaled:
    try:
        return Upscaled(images=[decode(text) for text in texts()], html_info=str(answer.get("html_info") or ""))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise not_its_shape(route, error) from error
