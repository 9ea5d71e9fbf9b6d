"""What A1111 answers, shaped like the server's JSON; fields we do not use are left out.

Field lists were read from a running 1.10.1 (its /openapi.json) and its answers.
"""

from __future__ import annotations

import json
from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class _Answer(BaseModel):
    # Forks and extensions add fields; a new one must not break an old client. A null where we have a default is taken
    # as the default.
    model_config = ConfigDict(frozen=True, extra="ignore", protected_namespaces=())


class GenerationInfo(_Answer):
    """What was used to draw: the `info` text of txt2img and img2img."""

    all_prompts: list[str] = Field(default_factory=list)
    all_seeds: list[int | None] | None = None
    infotexts: list[str | None] = Field(default_factory=list)
    index_of_first_image: int = 0
    prompt: str = ""
    negative_prompt: str = ""
    seed: int = -1
    width: int = 0
    height: int = 0
    sampler_name: str = ""
    cfg_scale: float = 0.0
    steps: int = 0
    sd_model_name: str | None = None
    sd_model_hash: str | None = None
    sd_vae_name: str | None = None
    sd_vae_hash: str | None = None
    clip_skip: int | None = None
    restore_faces: bool | None = None
    denoising_strength: float | None = None
    version: str = ""
    extra_generation_params: dict[str, Any] = Field(default_factory=dict)


class Generated(_Answer):
    """The answer to txt2img and img2img. `images` are the bytes as sent, the server's own grid (if any) first."""

    images: list[bytes]
    info: GenerationInfo

    @property
    def pictures(self) -> list[bytes]:
        """The pictures without the grid that A1111 puts first when it saves several."""
        return self.images[self.info.index_of_first_image :]

    @property
    def infotexts(self) -> list[str | None]:
        """The infotext of each of `pictures`."""
        return self.info.infotexts[self.info.index_of_first_image :]


class LoraEntry(_Answer):
    """One line of /sdapi/v1/loras. `name` is the file's stem; `alias` is shared by all epochs of a run."""

    name: str
    alias: str = ""
    path: str = ""
    metadata: dict[str, Any] = Field(default_factory=dict)


class Sampler(_Answer):
    name: str
    aliases: list[str] = Field(default_factory=list)
    options: dict[str, str] = Field(default_factory=dict)


class Vae(_Answer):
    """One line of /sdapi/v1/sd-vae."""

    model_name: str
    filename: str = ""


class Scheduler(_Answer):
    name: str
    label: str = ""


class Checkpoint(_Answer):
    """One line of /sdapi/v1/sd-models. The hashes are None until A1111 has loaded the file once."""

    title: str
    model_name: str
    hash: str | None = None
    sha256: str | None = None
    filename: str = ""

    def answers_to(self, name: str) -> bool:
        """Whether A1111 takes `name` for this checkpoint: its title with or without hash, name, file name or hash."""
        file = self.filename.replace("\\", "/").rsplit("/", 1)[-1]
        # The title gains its " [hash]" when the file is first loaded; a profile written before must go on working.
        bare = self.title.removesuffix(f" [{self.hash}]")
        return bool(name) and name in {self.title, bare, self.model_name, file, self.hash, self.sha256}


class ProgressState(_Answer):
    job: str = ""
    job_count: int = 0
    sampling_step: int = 0
    sampling_steps: int = 0
    interrupted: bool = False


class Progress(_Answer):
    """The running job only: queued requests are invisible here."""

    progress: float = 0.0
    eta_relative: float = 0.0
    state: ProgressState = ProgressState()


def parse_info(text: str) -> GenerationInfo:
    """The `info` field, which A1111 sends as JSON inside a JSON string. Raises ValueError when it is not."""
    value = json.loads(text)
    if not isinstance(value, dict):
        raise ValueError("info is no object")
    return GenerationInfo.model_validate(value)
