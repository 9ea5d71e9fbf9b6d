"""Which kind of model a base checkpoint is, told from its tensors' names, and what sd-scripts needs to train it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from orchestrator.errors import InputError, Problem, TrainingRefused
from orchestrator.kohya import weights
from orchestrator.kohya.install import SCRIPT_NAME

Family = Literal["sd1", "sd2", "sdxl", "sd3", "flux"]
#: Name parts that only one family has (the single-file layouts of their publishers).
_MARKS: tuple[tuple[str, Family], ...] = (
    ("conditioner.embedders.1.", "sdxl"),
    ("cond_stage_model.model.", "sd2"),
    ("cond_stage_model.transformer.", "sd1"),
    ("joint_blocks.", "sd3"),
    ("double_blocks.", "flux"),
    ("transformer_blocks.0.attn.add_k_proj.", "flux"),
)
#: Files that some mark above fits, or none, and that are no base checkpoint we train on: a part of a tensor's name →
#: what the file is.
_OTHERS = (
    ("lora_unet_", "is a LoRA file, no checkpoint"),
    (".lora_A.", "is a LoRA file, no checkpoint"),
    (".quant_state.", "is a 4-bit model (NF4), which sd-scripts cannot train"),
    ("distilled_guidance_layer.", "is a Chroma model, which is not trained so far"),
    ("double_stream_modulation_img.", "is a Flux 2 model, which is not trained so far"),
    ("byt5_in.", "is a HunyuanImage model, which is not trained so far"),
    ("cap_embedder.", "is a Lumina model, which is not trained so far"),
)
_TITLES: Mapping[Family, str] = {"sd1": "SD1.5", "sd2": "SD2", "sdxl": "SDXL", "sd3": "SD3", "flux": "Flux"}
_SCRIPTS: Mapping[Family, str] = {
    "sdxl": "sdxl_train_network.py",
    "sd3": "sd3_train_network.py",
    "flux": "flux_train_network.py",
}
_PIPELINES: Mapping[str, Family] = {
    "StableDiffusionPipeline": "sd1",
    "StableDiffusionXLPipeline": "sdxl",
    "StableDiffusion3Pipeline": "sd3",
    "FluxPipeline": "flux",
}
#: What sd-scripts reads as a pickle. A pickle must not be opened just to look.
_PICKLES = frozenset({".ckpt", ".pt", ".pth", ".bin"})
_COMPONENTS: Mapping[Family, tuple[str, ...]] = {
    "sd3": ("clip_l", "clip_g", "t5xxl"),
    "flux": ("clip_l", "t5xxl", "ae"),
}
#: Component → what it is, a tensor that sd-scripts wants in its file, where the usual one is to be had.
_ABOUT: Mapping[str, tuple[str, str, str]] = {
    "clip_l": (
        "first text encoder (CLIP-L)",
        "text_model.encoder.layers.0.mlp.fc1.weight",
        "clip_l.safetensors of huggingface.co/comfyanonymous/flux_text_encoders",
    ),
    "clip_g": (
        "second text encoder (CLIP-G)",
        "text_model.encoder.layers.31.mlp.fc1.weight",
        "clip_g.safetensors of huggingface.co/stabilityai/stable-diffusion-3.5-large",
    ),
    "t5xxl": (
        "T5 text encoder",
        "encoder.block.0.layer.0.SelfAttention.k.weight",
        "t5xxl_fp16.safetensors of huggingface.co/comfyanonymous/flux_text_encoders",
    ),
    "ae": (
        "autoencoder",
        "decoder.up.0.block.0.conv1.weight",
        "ae.safetensors of huggingface.co/black-forest-labs/FLUX.1-dev",
    ),
}


@dataclass(frozen=True)
class BaseModel:
    """A base checkpoint: a file, or a folder in the diffusers layout.

    `components` are the further files it needs, by sd-scripts' argument (`clip_l`, `clip_g`, `t5xxl`, `ae`): Flux needs
    all of its, SD3 those that are not inside its checkpoint, the others none.
    """

    path: Path
    family: Family
    components: Mapping[str, Path] = field(default_factory=dict)

    @property
    def script(self) -> str:
        """The script of sd-scripts that trains a LoRA on it."""
        return _SCRIPTS.get(self.family, SCRIPT_NAME)

    @property
    def network_module(self) -> str:
        """sd-scripts' module of a LoRA for it."""
        return {"flux": "networks.lora_flux", "sd3": "networks.lora_sd3"}.get(self.family, "networks.lora")

    @property
    def title(self) -> str:
        """The family's name for people."""
        return _TITLES[self.family]


def identify(path: Path, components: Mapping[str, Path | str] | None = None) -> BaseModel:
    """The base checkpoint at `path` with the `components` that belong to it (`clip_l`, `clip_g`, `t5xxl`, `ae`; an
    empty value is none).

    Only headers are read. Raises `InputError` when the checkpoint is missing, damaged, or of a kind we do not train;
    `TrainingRefused` (one, too) with everything that is wrong with the components, each with its place in the profile.
    """
    family, names = _folder(path) if path.is_dir() else _file(path)
    given = {name: Path(value) for name, value in (components or {}).items() if str(value) not in {"", "."}}
    problems = list(_component_problems(family, names, given))
    if problems:
        raise TrainingRefused(problems)
    needed = _COMPONENTS.get(family, ())
    return BaseModel(path, family, {name: given[name] for name in needed if name in given})


def looks_like_hub_id(path: Path | str) -> bool:
    """Whether `path` is the id of a model on the Hugging Face hub (`owner/name`) and no file of this machine."""
    text = Path(path).as_posix()
    owner, slash, name = text.partition("/")
    return (
        bool(slash and owner.strip(".~") and name)
        and "/" not in name
        and Path(name).suffix.lower() not in (_PICKLES | {".safetensors", ".sft", ".gguf"})
        and not Path(path).exists()
    )


def _refused(what: str, fix: str, cause: str = "") -> InputError:
    return InputError(f"{what}.", cause=cause, fix=f"{fix}.")


def _folder(path: Path) -> tuple[Family, frozenset[str]]:
    try:
        index = json.loads((path / "model_index.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise _refused(
            f"{path} is a folder, but no diffusers model (it has no model_index.json)",
            "Name the checkpoint file itself in [base] path of lora.toml",
        ) from None
    except (OSError, ValueError) as error:
        raise _refused(f"{path / 'model_index.json'} cannot be read ({error})", "Download the model again") from None
    pipeline = index.get("_class_name", "") if isinstance(index, dict) else ""
    usual: Family = "sdxl" if (path / "text_encoder_2").is_dir() else "sd1"
    family = _PIPELINES.get(pipeline, usual)
    if pipeline and pipeline not in _PIPELINES:
        raise _refused(f"{path} is a {pipeline} model, which is not trained so far", "Choose another base checkpoint")
    if family == "sd3":
        raise _refused(
            f"{path} is a folder in the diffusers layout, and sd-scripts reads SD3 models as one file only",
            "Name the publisher's .safetensors file",
        )
    parts = [f"diffusion_pytorch_model-0000{number}-of-00003.safetensors" for number in (1, 2, 3)]
    if family == "flux" and not all((path / "transformer" / part).is_file() for part in parts):
        raise _refused(
            f"{path / 'transformer'} lacks files of the Flux model ({parts[0]} and its two siblings)",
            "Download them again, or name the publisher's single .safetensors file",
        )
    if family == "sd1" and _hidden_size(path / "text_encoder" / "config.json") == 1024:
        family = "sd2"
    return family, frozenset()


def _hidden_size(config: Path) -> int:
    try:
        return int(json.loads(config.read_text(encoding="utf-8"))["hidden_size"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0


def _file(path: Path) -> tuple[Family, frozenset[str]]:
    if not path.is_file():
        if looks_like_hub_id(path):
            raise _refused(
                f"{path.as_posix()} is no file of this machine; it looks like a model's id on the Hugging Face hub",
                "Download its checkpoint once and name that file in [base] path of lora.toml",
                "Nothing is downloaded for a training: it would wait for the network at night.",
            )
        raise _refused(
            f"There is no base checkpoint at {path}",
            "Name a file on this machine in [base] path of lora.toml",
            "It was moved, or A1111 runs on another machine and its path means nothing here.",
        )
    suffix = path.suffix.lower()
    if suffix in _PICKLES:
        return "sd1", frozenset()
    if suffix not in {".safetensors", ".sft"}:
        raise _refused(f"sd-scripts cannot read {path.name} ({suffix or 'no ending'})", "Take a .safetensors file")
    header = weights.read_header(path)
    if not header.complete:
        raise _refused(
            f"The base checkpoint {path} is shorter than it should be",
            "Download it again",
            "Its download was probably cut off.",
        )
    names = frozenset(header.tensors)
    for mark, what in _OTHERS:
        if any(mark in name for name in names):
            raise _refused(f"{path.name} {what}", "Choose an SD1.5, SD2, SDXL, SD3 or Flux checkpoint")
    family = next((family for mark, family in _MARKS if any(mark in name for name in names)), None)
    if family is None and any(name.startswith(("decoder.", "first_stage_model.")) for name in names):
        raise _refused(f"{path.name} is a VAE, no checkpoint", "Choose an SD1.5, SD2, SDXL, SD3 or Flux checkpoint")
    if family is None and not any(name.startswith("model.diffusion_model.") for name in names):
        raise _refused(
            f"{path.name} holds no model that sd-scripts could train",
            "Take a whole checkpoint in one file, or the folder of a diffusers model",
            "It may be a part of a model, an embedding or a ControlNet.",
        )
    if family == "sd3" and not any(name.startswith("model.diffusion_model.joint_blocks.") for name in names):
        raise _refused(
            f"{path.name} is an SD3 model in a layout that sd-scripts does not read", "Take the publisher's file"
        )
    if family == "sd3" and not any(name.startswith("first_stage_model.") for name in names):
        raise _refused(f"{path.name} is an SD3 model without its VAE", "Take the publisher's whole file")
    entrance = header.tensors.get("img_in.weight") or header.tensors.get("model.diffusion_model.img_in.weight")
    if family == "flux" and entrance and len(entrance.shape) == 2 and entrance.shape[1] != 64:
        raise _refused(
            f"{path.name} is a Flux model for filling or control, whose LoRAs sd-scripts does not train",
            "Take FLUX.1-dev or a checkpoint made from it",
        )
    if suffix == ".sft" and family not in {"flux", "sd3"}:
        raise _refused(f"sd-scripts takes {path.name} for a pickle because of its ending", "Rename it to .safetensors")
    return family or "sd1", names


def _component_problems(family: Family, inside: frozenset[str], given: Mapping[str, Path]) -> Iterator[Problem]:
    for name in _COMPONENTS.get(family, ()):
        title, _, source = _ABOUT[name]
        place = f"base.{name}"
        if name in given:
            yield from _wrong_file(place, name, given[name])
        elif not any(tensor.startswith(f"text_encoders.{name}.") for tensor in inside):
            yield Problem(
                place, f"a {_TITLES[family]} model needs its {title}, and none is named", f"download {source}"
            )


def _wrong_file(place: str, name: str, path: Path) -> Iterator[Problem]:
    title, mark, source = _ABOUT[name]
    if not path.is_file():
        yield Problem(place, f"there is no file {path}", f"name the {title}, such as {source}")
        return
    try:
        header = weights.read_header(path)
    except InputError as error:
        yield Problem(place, error.what.rstrip("."), error.fix.rstrip("."))
        return
    if not header.complete:
        yield Problem(place, f"{path} is shorter than it should be", "download it again")
        return
    # sd-scripts loads these without asking whether a single tensor fits, and fails minutes later.
    fits = mark in header.tensors and not (name == "clip_l" and _ABOUT["clip_g"][1] in header.tensors)
    if name == "ae" and fits:
        entrance = header.tensors.get("decoder.conv_in.weight")
        fits = entrance is not None and entrance.shape[1:2] == (16,)  # the VAE of SD1.5 and SDXL has 4
    if not fits:
        other = next(
            (_ABOUT[key][0] for key in ("clip_g", "clip_l", "t5xxl", "ae") if _ABOUT[key][1] in header.tensors), ""
        )
        seen = f", it looks like the {other}" if other and other != title else ""
        yield Problem(place, f"{path.name} is not the {title}{seen}", f"name the {title}, such as {source}")
