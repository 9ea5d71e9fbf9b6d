"""Presets of the kohya_ss GUI (JSON), read as the GUI itself would hand them to sd-scripts.

The GUI leaves every "", False and 0 out of what it writes, so that sd-scripts' defaults take their place: a preset that
says max_grad_norm 0 was trained with 1.0. What was really trained is what is taken over here, and said.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.errors import InputError
from orchestrator.files import storage_error
from orchestrator.kohya import gui_launch, gui_lengths, gui_network, gui_words
from orchestrator.kohya.arguments import Argument
from orchestrator.kohya.gui_values import additional, is_zero, number, truth, typed
from orchestrator.kohya.gui_words import Note
from orchestrator.kohya.install import SCRIPT_NAME


@dataclass(frozen=True)
class Imported:
    """A preset in sd-scripts' words.

    `values` are arguments of `script` (a key that is not there was not set); `dataset` are keys of a dataset_config
    (resolution as [width, height] in pixels); `launch` has `gpus` and `cpu_threads`; `samples` has `prompts`,
    `every_epochs` and `sampler`; `base` has `path` and the further files of Flux and SD3; `pictures` is the folder of
    `<repeats>_<name>` folders it was trained on (all of them empty where the preset says nothing).
    """

    script: str
    family: str
    values: Mapping[str, Any]
    dataset: Mapping[str, Any]
    launch: Mapping[str, Any]
    samples: Mapping[str, Any]
    base: Mapping[str, str]
    pictures: str
    notes: tuple[Note, ...]


def read(path: Path) -> dict[str, Any]:
    """The preset in `path`. Raises `InputError` for a file that is none, `StorageError`."""
    try:
        found = json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise InputError(f"There is no preset at {path}.", fix="Name a .json that the kohya_ss GUI saved.") from None
    except (UnicodeDecodeError, ValueError) as error:
        raise InputError(
            f"{path} is no preset of the kohya_ss GUI: {error}.", fix="Name a .json that the GUI saved."
        ) from None
    except OSError as error:
        raise storage_error(error, path) from error
    if not isinstance(found, dict) or not {"LoRA_type", "network_dim", "unet_lr", "text_encoder_lr"} & set(found):
        raise InputError(
            f"{path} is no preset of the kohya_ss GUI's LoRA tab.",
            cause="It has none of LoRA_type, network_dim, unet_lr, text_encoder_lr.",
            fix="Save the preset on the GUI's LoRA tab, or name the right file.",
        )
    return found


def family(preset: Mapping[str, Any]) -> str:
    """Which kind of base model the preset trains (sd1, sd2, sdxl, flux, sd3). Raises `InputError` for another one."""
    for checkbox, name in gui_words.OTHER_MODELS.items():
        if truth(preset.get(checkbox)):
            raise InputError(
                f"The preset trains {name} models.", fix="SD1.5, SD2, SDXL, SD3 and Flux are trained here."
            )
    chosen = (kind for kind, (checkbox, _) in gui_words.CHECKBOXES.items() if truth(preset.get(checkbox)))
    return next(chosen, "sd2" if truth(preset.get("v2")) else "sd1")


def script(preset: Mapping[str, Any]) -> str:
    """The script the preset starts. Raises `InputError` as `family` does."""
    return gui_words.CHECKBOXES.get(family(preset), ("", SCRIPT_NAME))[1]


def convert(
    preset: Mapping[str, Any], arguments: Mapping[str, Argument], *, seen_per_epoch: int | None = None
) -> Imported:
    """The preset for an install that knows `arguments` (those of `script(preset)`).

    `seen_per_epoch` is how many pictures one epoch shows, repeats counted; without it a length in steps cannot be told
    in epochs. Raises `InputError` for a kind of model that is not trained here.
    """
    kind = family(preset)
    notes: list[Note] = []
    given = {key: value for key, value in preset.items() if value is not None}
    for key, fresh in gui_words.FRESH.items():
        if key not in given:
            given[key] = fresh
            notes.append(Note("ambiguous", key, None, f"{fresh}", "not in the file; what a fresh GUI shows is taken"))
    values: dict[str, Any] = {}
    for key, target in _targets(given, kind, arguments):
        value, lost = typed(key, given[key], arguments[target])
        notes += lost
        if not is_zero(value):
            values[target] = value
        elif not _zero_means_nothing(key, value, arguments[target], given):
            default = arguments[target].default
            why = f"the GUI writes no 0: it trained with {default}; for 0 write [training.extra] {target} = 0"
            notes.append(Note("ambiguous", key, given[key], f"{target} = {default}", why))
    values["network_module"], network_args, more = gui_network.network(given)
    notes += more
    if network_args:
        values["network_args"] = network_args
    for part in (_attention, _tokens, _trackers, gui_lengths.rates, _noted_noise, _optimizer):
        notes += part(given, values)
    if "text_encoder_lr" in values and "text_encoder_lr" in arguments and arguments["text_encoder_lr"].many:
        values["text_encoder_lr"] = [values["text_encoder_lr"]]
    notes += gui_lengths.length(given, values, seen_per_epoch)
    notes += gui_lengths.warmup(given, values, arguments)
    notes += _seed(given, values)
    notes += _dropped(given, kind, arguments)
    more_values, more = additional(str(given.get("additional_parameters") or ""), arguments)
    values |= more_values
    notes += more
    dataset, more = _dataset(given, values)
    notes += more
    launch, more = gui_launch.launch_of(given)
    notes += more
    samples, more = gui_launch.samples_of(given)
    notes += more
    values = {
        key: value
        for key, value in values.items()
        if key in gui_words.OURS_DIFFERS or key not in arguments or value != arguments[key].default
    }
    components = gui_words.COMPONENTS.get(kind, {})
    base = {ours: str(given[theirs]) for theirs, ours in components.items() if given.get(theirs)}
    if given.get("pretrained_model_name_or_path"):
        base["path"] = str(given["pretrained_model_name_or_path"])
    # Always written by the GUI, 0 included; sd-scripts' own default of 8 is slow for a few dozen pictures.
    values["max_data_loader_n_workers"] = int(number(given.get("max_data_loader_n_workers"), 0))
    values["cache_latents"] = truth(given.get("cache_latents"))
    if values.get("max_timestep") == 1000:  # all there are
        del values["max_timestep"]
    return Imported(
        script(preset), kind, values, dataset, launch, samples, base, str(given.get("train_data_dir") or ""),
        tuple(notes),
    )  # fmt: skip


def _targets(given: Mapping[str, Any], kind: str, arguments: Mapping[str, Argument]) -> Iterator[tuple[str, str]]:
    """Every word with an argument of the same meaning: the GUI's key, sd-scripts' name."""
    own = gui_words.OF_MODEL.get(kind, {})
    others = {key for words in gui_words.OF_MODEL.values() for key in words} - set(own)
    noise = str(given.get("noise_offset_type") or "Original")
    for key in given:
        target = own.get(key) or gui_words.RENAMED.get(key, key)
        if (
            target in arguments
            and key not in gui_words.SILENT
            and key not in gui_words.DROPPED
            and key not in others
            and key not in gui_words.COMPONENTS.get(kind, {})
            and gui_words.NOISE.get(key, noise) == noise
        ):
            yield key, target


def _zero_means_nothing(key: str, value: Any, argument: Argument, given: Mapping[str, Any]) -> bool:
    if isinstance(value, bool) or value in ("", [], None) or given[key] == "":
        return True
    return key in gui_words.ZERO_IS_UNSET or argument.default is None or is_zero(argument.default)


def _attention(given: Mapping[str, Any], values: dict[str, Any]) -> list[Note]:
    asked = given["xformers"]
    name = asked if isinstance(asked, str) and asked in {"xformers", "sdpa", "none"} else ""
    name = name or ("xformers" if truth(asked) else "none")
    values.pop("xformers", None)
    values |= {"xformers": True} if name == "xformers" else {"sdpa": name == "sdpa"}
    return []


def _tokens(given: Mapping[str, Any], values: dict[str, Any]) -> list[Note]:
    # 75 is what it is without; sd-scripts' own choices are 150 and 225.
    count = int(number(given.get("max_token_length"), 75))
    if any(truth(given.get(gui_words.CHECKBOXES[kind][0])) for kind in ("flux", "sd3")):
        return []  # these have other text encoders, and do not use it
    if count in (150, 225):
        values["max_token_length"] = count
    elif count not in (0, 75):
        return [Note("dropped", "max_token_length", count, "", "75, 150 or 225 are possible")]
    return []


def _trackers(given: Mapping[str, Any], values: dict[str, Any]) -> list[Note]:
    if not truth(given.get("use_wandb")):
        return []
    values["log_with"] = "wandb"
    return [Note("converted", "use_wandb", given["use_wandb"], "log_with = wandb")]


def _optimizer(given: Mapping[str, Any], values: dict[str, Any]) -> list[Note]:
    if given.get("optimizer"):
        values["optimizer_type"] = str(given["optimizer"])
        return []
    name = "AdamW8bit" if truth(given.get("use_8bit_adam")) else "AdamW"
    values["optimizer_type"] = name
    asked = given.get("use_8bit_adam")
    return [Note("converted", "use_8bit_adam", asked, f"optimizer_type = {name}", "the preset names no optimizer")]


def _noted_noise(given: Mapping[str, Any], values: dict[str, Any]) -> list[Note]:
    kind = str(given.get("noise_offset_type") or "Original")
    why = f"noise_offset_type is {kind}, and the GUI passes only what belongs to it"
    return [
        Note("dropped", key, given[key], "", why)
        for key, wanted in gui_words.NOISE.items()
        if wanted != kind and key != "multires_noise_discount" and not is_zero(number(given.get(key), 0))
    ]


def _seed(given: Mapping[str, Any], values: dict[str, Any]) -> list[Note]:
    seed = int(number(given.get("seed"), 0))
    if seed > 0:
        values["seed"] = seed
        return []
    return [Note("ambiguous", "seed", given.get("seed"), "", "random each time in the GUI; here it is fixed")]


def _dropped(given: Mapping[str, Any], kind: str, arguments: Mapping[str, Argument]) -> list[Note]:
    notes: list[Note] = []
    others = {key for words in gui_words.OF_MODEL.values() for key in words} - set(gui_words.OF_MODEL.get(kind, {}))
    own = gui_words.COMPONENTS.get(kind, {})
    unknown: list[str] = []
    for key, value in given.items():
        if key in own or is_zero(value) or (isinstance(value, str) and value.strip() in {"", "0", "0.0"}):
            continue
        if key in gui_words.DROPPED:
            usual = (key, value) in (("caption_extension", ".txt"), ("dynamo_backend", "no"))  # a value may be a list
            shown = "(not shown)" if key in gui_words.SECRET else value
            notes += [] if usual else [Note("dropped", key, shown, "", gui_words.DROPPED[key])]
        elif key not in gui_words.SILENT and key not in gui_network.WORDS and key not in gui_words.NOISE:
            target = gui_words.OF_MODEL.get(kind, {}).get(key) or gui_words.RENAMED.get(key, key)
            # Words of another kind of model are in every preset, and in no way in effect.
            if target not in arguments and key not in others and not key.startswith(gui_words.PREFIXES):
                unknown.append(key)
    if given.get("save_model_as") not in (None, "", "safetensors"):
        notes.append(Note("dropped", "save_model_as", given["save_model_as"], "", "always safetensors here"))
    if "save_state" in given and not truth(given["save_state"]):
        why = "states are saved here, so that a stopped training can go on; save_state = false leaves them out"
        notes.append(Note("dropped", "save_state", given["save_state"], "", why))
    if unknown:
        why = "this sd-scripts has no such arguments"
        notes.append(Note("dropped", ", ".join(sorted(unknown)), f"{len(unknown)} values", "", why))
    return notes


def _dataset(given: Mapping[str, Any], values: dict[str, Any]) -> tuple[dict[str, Any], list[Note]]:
    """Keys of a dataset_config, taken out of `values`; what is off in the GUI is off here, too."""
    dataset: dict[str, Any] = {"enable_bucket": False, "bucket_no_upscale": False, "batch_size": 1}
    for theirs, name in gui_words.OF_DATASET_FILE.items():
        if theirs in values:
            dataset[name] = values.pop(theirs)
    notes: list[Note] = []
    # A value of additional_parameters comes last, as on the command line.
    asked = values.pop("resolution", None) or given["max_resolution"]
    sides = [int(number(part, 0)) for part in str(asked).split(",") if part.strip()]
    if not 1 <= len(sides) <= 2 or min(sides) < 64:
        notes.append(Note("ambiguous", "max_resolution", asked, "512,512", "it is no size"))
        sides = [512, 512]
    dataset["resolution"] = [sides[0], sides[-1]]
    return dataset, notes
