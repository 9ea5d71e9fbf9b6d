"""What A1111 answers, shaped like the server's JSON; fields we do not use are left out.

Field lists were read from a running 1.10.1 (its /openapi.json) and its answers.
"""

from __future__ import annotations

import json
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from orchestrator.a1111.infotext import Infotext, parse


class _Answer(BaseModel):
    # Forks and extensions add fields; a new one must not break an old client.
    model_config = ConfigDict(frozen=True, extra="ignore", protected_namespaces=())

    @model_validator(mode="before")
    @classmethod
    def _null_is_the_default(cls, values: Any) -> Any:
        if not isinstance(values, dict) or None not in values.values():
            return values
        return {name: value for name, value in values.items() if value is not None}


class GenerationInfo(_Answer):
    """What was used to draw: the `info` text of txt2img and img2img."""

    #: None for a cell of a plot that was not drawn.
    all_prompts: list[str | None] = Field(default_factory=list)
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
    #: The second in which the job began, as in /sdapi/v1/progress.
    job_timestamp: str = ""
    extra_generation_params: dict[str, Any] = Field(default_factory=dict)


class Generated(_Answer):
    """The answer to txt2img and img2img. `images` are the bytes as sent: the server's own grids (if any) first, then
    the pictures, then what extensions add (ControlNet's maps).
    """

    images: list[bytes]
    info: GenerationInfo

    @property
    def pictures(self) -> list[bytes]:
        """The pictures alone. After an interrupt they are fewer than were asked for."""
        return self.images[self._first : self._end]

    @property
    def grids(self) -> list[bytes]:
        """The sheets that A1111 puts first when it saves several pictures, and those of its X/Y/Z plot."""
        return self.images[: self._first]

    @property
    def extras(self) -> list[bytes]:
        """What extensions added after the pictures."""
        return self.images[self._end :]

    @property
    def infotexts(self) -> list[str | None]:
        """The infotext of each of `pictures`."""
        return self.info.infotexts[self._first : self._end]

    @property
    def _first(self) -> int:
        return self.info.index_of_first_image

    @property
    def _end(self) -> int:
        # Each picture has an infotext, a map of an extension has none. The seeds are no measure where there are
        # infotexts: an interrupted request lists those of pictures it never drew.
        if self.info.infotexts:
            return len(self.info.infotexts)
        return self._first + len(self.info.all_seeds) if self.info.all_seeds else len(self.images)


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


class Module(_Answer):
    """One line of Forge's /sdapi/v1/sd-modules: a VAE or a text encoder."""

    model_name: str
    filename: str = ""


class Scheduler(_Answer):
    name: str
    label: str = ""


class Upscaler(_Answer):
    """One line of /sdapi/v1/upscalers. Listed is what A1111 would fetch when first used, too."""

    name: str
    model_name: str | None = None
    model_path: str | None = None
    scale: float = 4.0


class FaceRestorer(_Answer):
    name: str


class PromptStyle(_Answer):
    name: str
    prompt: str = ""
    negative_prompt: str = ""


class Embedding(_Answer):
    """A textual inversion. `vectors` is how many of the prompt's tokens it takes."""

    step: int | None = None
    sd_checkpoint: str | None = None
    sd_checkpoint_name: str | None = None
    shape: int = 0
    vectors: int = 0


class Embeddings(_Answer):
    """By name; `skipped` are those the loaded checkpoint cannot use."""

    loaded: dict[str, Embedding] = Field(default_factory=dict)
    skipped: dict[str, Embedding] = Field(default_factory=dict)


class Scripts(_Answer):
    """The names `script_name` and `alwayson_scripts` may hold, in lower case as A1111 compares them."""

    txt2img: list[str] = Field(default_factory=list)
    img2img: list[str] = Field(default_factory=list)


class ScriptArgument(_Answer):
    label: str = ""
    value: Any = None
    minimum: float | None = None
    maximum: float | None = None
    step: float | None = None
    choices: list[Any] | None = None


class ScriptInfo(_Answer):
    """One script and its arguments in the order of `script_args`; most stand once for each of txt2img and img2img."""

    name: str
    is_alwayson: bool = False
    is_img2img: bool = False
    args: list[ScriptArgument] = Field(default_factory=list)


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
    #: Whether the job was cut off; this and its `job_timestamp` stay until the next one begins.
    interrupted: bool = False
    job_timestamp: str = ""


class Progress(_Answer):
    """The running job only: queued requests are invisible here."""

    progress: float = 0.0
    eta_relative: float = 0.0
    state: ProgressState = ProgressState()


class MemoryUse(_Answer):
    """Bytes."""

    free: float = 0.0
    used: float = 0.0
    total: float = 0.0


class GraphicsMemory(_Answer):
    """`system` is the whole card, other programs included; None without one, and `error` then says why."""

    system: MemoryUse | None = None
    #: What the server itself keeps, `current` and `peak`.
    reserved: dict[str, float] = Field(default_factory=dict)
    events: dict[str, int] = Field(default_factory=dict)
    error: str = ""


class Memory(_Answer):
    """`ram` counts the server's own process as used."""

    ram: MemoryUse = MemoryUse()
    cuda: GraphicsMemory = GraphicsMemory()


class PngInfo(_Answer):
    """What A1111 reads out of a picture. `info` is the infotext as it stands there (empty = none). In `parameters`
    A1111 has written LoRA names anew, by its preferred alias.
    """

    info: str = ""
    items: dict[str, Any] = Field(default_factory=dict)
    parameters: dict[str, Any] = Field(default_factory=dict)

    @property
    def infotext(self) -> Infotext:
        """`info` taken apart."""
        return parse(self.info)


class Upscaled(_Answer):
    """The answer to the extras routes. A1111 names an upscaler in `html_info` even when it lacked its weights and only
    resized.
    """

    images: list[bytes]
    html_info: str = ""

    @property
    def image(self) -> bytes:
        """The first picture."""
        return self.images[0]


def parse_info(text: str) -> GenerationInfo:
    """The `info` field, which A1111 sends as JSON inside a JSON string. Raises ValueError when it is not."""
    value = json.loads(text)
    if not isinstance(value, dict):
        raise ValueError("info is no object")
    return GenerationInfo.model_validate(value)
