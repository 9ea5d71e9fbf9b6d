"""What a grid is made from on this machine: LoRA files, checkpoints, styles and names, as the server has them."""

from __future__ import annotations

import difflib
import hashlib
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.errors import InputError, PictureError
from orchestrator.files import open_picture
from orchestrator.grid.cells import DeployedLora
from orchestrator.grid.definition import Definition, FurtherLora
from orchestrator.grid.parts import lora_parts, style_names
from orchestrator.grid.reading import Reading
from orchestrator.pictures.recipes import find_loras
from orchestrator.profile.model import UsedLora
from orchestrator.render.names import unknown
from orchestrator.render.recipe import LoraUse, Recipe
from orchestrator.render.server import Server, connect

if TYPE_CHECKING:
    from orchestrator.a1111.models import LoraEntry

#: Options that an axis of their own, or every request, sets.
_OWN_AXIS = {
    "sd_model_checkpoint": "checkpoint",
    "sd_vae": "vae",
    "forge_additional_modules": "vae",
    "CLIP_stop_at_last_layers": "clip skip",
}
_TRUTHS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


@dataclass(frozen=True)
class Stock:
    """The things a grid's values name. `problems` are the names that nothing answers to.

    `runs` maps each version to its epochs' files, `loras` a file's stem to it (both at weight 1), `models` each
    (checkpoint, VAE) pair as written to the fields of a recipe, `styles` a name to its prompt and negative prompt,
    `options` an option's name to each text of its axis as the option's own type.
    """

    base: Recipe
    sampler: Callable[[str, str], tuple[str, str]]
    runs: Mapping[str, Mapping[int, LoraUse]] = field(default_factory=dict)
    loras: Mapping[str, LoraUse] = field(default_factory=dict)
    models: Mapping[tuple[str, str], Mapping[str, str]] = field(default_factory=dict)
    styles: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    problems: tuple[str, ...] = ()


def take_stock(
    reading: Reading,
    server: Server,
    runs: Mapping[str, Sequence[DeployedLora]],
    root: Path = Path(),
    known: Mapping[str, LoraUse] | None = None,
) -> Stock:
    """Find everything `reading` names on `server`; `runs` has the deployed files of each of its versions.

    `root` is where a relative init picture starts; `known` are LoRA files that are called otherwise there. What is not
    there is told in `Stock.problems`, all of it; a checkpoint that the server never hashed is loaded once, to know what
    it is.
    """
    definition = reading.definition
    problems: list[str] = []
    _sampler_problems(reading, server, problems)
    return Stock(
        base=_base(definition, server, root, problems),
        sampler=lambda sampler, scheduler: server.sampler(sampler, server.schedulers.get(scheduler, scheduler)),
        runs={version: _by_epoch(files) for version, files in runs.items()},
        loras=_loras(reading, server, known or {}, problems),
        models=_models(reading, server, problems),
        styles=_styles(reading, server, problems),
        options=_options(reading, server, problems),
        problems=tuple(problems),
    )


def _by_epoch(files: Iterable[DeployedLora]) -> dict[int, LoraUse]:
    found = {file.lora.epoch: LoraUse(file.stem, file.lora.sha256, file.shown_hash, 1.0) for file in files}
    return dict(sorted(found.items()))


def _base(definition: Definition, server: Server, root: Path, problems: list[str]) -> Recipe:
    settings = definition.settings
    sampler, scheduler = server.sampler(settings.sampler, server.schedulers.get(settings.scheduler, settings.scheduler))
    base = Recipe(
        prompt="", steps=settings.steps, cfg_scale=settings.cfg_scale, sampler=sampler, scheduler=scheduler,
        width=settings.width, height=settings.height, clip_skip=settings.clip_skip, checkpoint=server.checkpoint,
        checkpoint_hash=server.checkpoint_hash, vae=server.vae, vae_hash=server.vae_hash,
        server_version=server.version, settings_hash=server.settings_hash,
    )  # fmt: skip
    if not definition.init:
        return base
    path = (root / Path(definition.init).expanduser()).resolve()
    try:
        open_picture(path)
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    except (PictureError, OSError) as error:
        problems.append(f"init: {error.what if isinstance(error, PictureError) else error}")
        return base
    return base.evolve(init_path=path, init_sha256=sha256, denoising_strength=settings.denoising_strength)


def _sampler_problems(reading: Reading, server: Server, problems: list[str]) -> None:
    settings = reading.definition.settings
    schedulers = reading.values("scheduler")
    for name in reading.values("sampler") or (settings.sampler,):
        bare, schedule = server.sampler(name, settings.scheduler)
        if bare not in server.samplers:
            problems.append(unknown("sampler", name, server.samplers, server.aliases))
        elif schedulers and server.schedulers and bare != name:
            problems.append(f"the sampler {name!r} brings the schedule {schedule} along, and there is a scheduler axis")
    for name in schedulers:
        if server.schedulers and name not in server.schedulers:
            problems.append(unknown("scheduler", name, server.schedulers))
    labels = [server.schedulers.get(name, name) for name in schedulers]
    problems += [f"axis scheduler: {name!r} stands here twice" for name in set(labels) if labels.count(name) > 1]


def _loras(reading: Reading, server: Server, known: Mapping[str, LoraUse], problems: list[str]) -> dict[str, LoraUse]:
    named = [name for value in reading.values("lora") for name, _ in lora_parts(value, problems)]
    named += [further.name for further in reading.definition.loras]
    found = {name: use for name, use in known.items() if name in named}
    if set(named) <= found.keys():
        return found
    listed = server.client.loras()
    for name in dict.fromkeys(name for name in named if name not in found):
        use = _find(FurtherLora(name), listed, problems)
        if use is not None:
            found[name] = use
    return found


def _find(further: FurtherLora, listed: Sequence[LoraEntry], problems: list[str]) -> LoraUse | None:
    try:
        return find_loras([UsedLora(name=further.name)], listed)[0]
    except InputError as error:
        problems.append(error.what)
        return None


def _models(reading: Reading, server: Server, problems: list[str]) -> dict[tuple[str, str], dict[str, str]]:
    """What each (checkpoint, VAE) is. The server tells a VAE's hash only in a picture, and a checkpoint's once it was
    loaded.
    """
    settings = reading.definition.settings
    checkpoints, vaes = reading.values("checkpoint"), reading.values("vae")
    if not checkpoints and not vaes:
        return {}
    listed = server.client.models()
    entries = {name: next((entry for entry in listed if entry.answers_to(name)), None) for name in checkpoints}
    names = [entry.model_name for entry in listed]
    missing = [unknown("checkpoint", name, names) for name, entry in entries.items() if entry is None]
    files = [entry.filename for entry in entries.values() if entry is not None]
    missing += [f"axis checkpoint: {name} is named twice" for name in set(files) if files.count(name) > 1]
    if vaes:
        known = [*(vae.model_name for vae in server.client.vaes()), "Automatic", "None"]
        missing += [unknown("VAE", name, known) for name in vaes if name not in known]
    if missing:
        problems += missing
        return {}
    found = {}
    for checkpoint in checkpoints or (settings.checkpoint,):
        for vae in vaes or (settings.vae,):
            one = connect(server.client, checkpoint, vae, memory=server.memory)
            found[checkpoint, vae] = {
                "checkpoint": one.checkpoint,
                "checkpoint_hash": one.checkpoint_hash,
                "vae": one.vae,
                "vae_hash": one.vae_hash,
            }
    return found


def _styles(reading: Reading, server: Server, problems: list[str]) -> dict[str, tuple[str, str]]:
    names = [name for value in reading.values("styles") for name in style_names(value)]
    if not names:
        return {}
    # A style parts others with that line: a heading among the styles.
    known = {s.name: (s.prompt or "", s.negative_prompt or "") for s in server.client.prompt_styles()}
    problems += [unknown("style", name, known) for name in dict.fromkeys(names) if name not in known]
    return {name: known[name] for name in names if name in known}


def _options(reading: Reading, server: Server, problems: list[str]) -> dict[str, dict[str, Any]]:
    axes = [axis for axis in reading.axes if axis.kind.name == "option"]
    if not axes:
        return {}
    present = server.client.options()
    found: dict[str, dict[str, Any]] = {}
    for axis in axes:
        if axis.of in _OWN_AXIS:
            problems.append(f"axis {axis.name}: {axis.of} has an axis of its own, {_OWN_AXIS[axis.of]!r}")
        elif axis.of not in present:
            close = difflib.get_close_matches(axis.of, present, n=1, cutoff=0.5)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            problems.append(f"axis {axis.name}: A1111 has no option {axis.of!r}.{hint}")
        else:
            found[axis.of] = {}
            for text in axis.values:
                try:
                    found[axis.of][text] = _typed(text, present[axis.of])
                except ValueError:
                    problems.append(
                        f"axis {axis.name}: {text!r} is not of the option's kind; it is {present[axis.of]!r} now"
                    )
    return found


def _typed(text: str, present: Any) -> Any:
    """`text` as the type the option has. A1111 takes a wrong one and fails later."""
    if isinstance(present, bool):
        if text.casefold() not in _TRUTHS:
            raise ValueError(text)
        return _TRUTHS[text.casefold()]
    if isinstance(present, int | float):
        value = float(text)
        if not math.isfinite(value):
            raise ValueError(text)
        return int(value) if value == int(value) else value
    if isinstance(present, str):
        return text
    if present is None:
        return text
    raise ValueError(text)
