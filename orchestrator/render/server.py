"""What a server is, found out once before anything is drawn: its version, its checkpoint by hash, the names it
knows.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from orchestrator.a1111.client import A1111
from orchestrator.a1111.models import Checkpoint, GenerationInfo, LoraEntry
from orchestrator.errors import InputError, ToolError
from orchestrator.render.recipe import Recipe, has_lora_tag


@dataclass(frozen=True)
class Server:
    """A server whose facts are known.

    `checkpoint_hash` is the short hash (10 digits) A1111 writes into its infotexts; `vae_hash` likewise, empty without
    a VAE file. `vae` is the one to ask for (empty = as the webui is set). `samplers` maps each name to the schedule it
    takes when asked for "Automatic".
    """

    client: A1111
    version: str
    checkpoint: str
    checkpoint_hash: str
    checkpoint_path: str
    vae: str
    vae_hash: str
    samplers: Mapping[str, str]
    schedulers: frozenset[str]
    simulated: bool


def connect(client: A1111, checkpoint: str = "", vae: str = "") -> Server:
    """Find out what `client` talks to, with `checkpoint` (empty = the loaded one) and `vae` (empty = as set).

    Draws one 64×64 picture of one step: only that makes A1111 load the checkpoint, hash it and say its version. Raises
    `InputError` for an unknown checkpoint or VAE and for options that would spoil every picture.
    """
    options = client.options()
    _refuse_options(options)
    samplers = {s.name: s.options.get("scheduler", "automatic") for s in client.samplers()}
    schedulers = frozenset(name for s in client.schedulers() for name in (s.name, s.label))
    if vae:
        _refuse_vae(vae, [known.model_name for known in client.vaes()])
    models = client.models()
    entry = _checkpoint(models, checkpoint or str(options.get("sd_model_checkpoint") or ""))
    if checkpoint and entry is None:
        names = [known.model_name for known in models]
        raise InputError(_unknown("checkpoint", checkpoint, names), fix="Correct `base.checkpoint` in the profile.")
    info = client.txt2img(_probe(entry, vae)).info
    if not info.sd_model_hash:
        raise ToolError(
            f"A1111 at {client.url} does not say which checkpoint it drew with.",
            fix="Load a checkpoint in the webui and look that its name shows a hash, then run the same command again.",
        )
    loaded = _loaded(client.models(), entry, info)
    if entry and loaded and entry.filename != loaded.filename:
        raise ToolError(
            f"A1111 did not load the checkpoint {entry.title}; it goes on with {loaded.title}.",
            cause="The file is damaged or does not fit into memory.",
            fix="Load it in the webui and read its console.",
        )
    return Server(
        client=client,
        version=info.version,
        checkpoint=loaded.title if loaded else (info.sd_model_name or ""),
        checkpoint_hash=info.sd_model_hash,
        checkpoint_path=loaded.filename if loaded else "",
        vae=vae,
        vae_hash=info.sd_vae_hash or "",
        samplers=samplers,
        schedulers=schedulers,
        simulated=client.simulated,
    )


def _probe(entry: Checkpoint | None, vae: str) -> dict[str, object]:
    settings = {"sd_model_checkpoint": entry.title} if entry else {}
    return {
        "prompt": "probe",
        "steps": 1,
        "width": 64,
        "height": 64,
        "seed": 1,
        "override_settings": settings | ({"sd_vae": vae} if vae else {}),
    }


def _loaded(models: Sequence[Checkpoint], asked: Checkpoint | None, info: GenerationInfo) -> Checkpoint | None:
    """The checkpoint that drew the probe, which has made A1111 hash it. Two copies of one file have the same hash."""
    same = [entry for entry in models if entry.hash == info.sd_model_hash]
    files = {entry.filename: entry for entry in same}
    if asked and asked.filename in files:
        return files[asked.filename]
    return next((entry for entry in same if entry.model_name == info.sd_model_name), same[0] if same else asked)


def refuse_unknown(server: Server, recipes: Iterable[Recipe], loras: Sequence[LoraEntry]) -> None:
    """Raise one `InputError` that names everything in `recipes` A1111 would silently replace or leave out."""
    stems = [entry.name for entry in loras]
    problems: dict[str, None] = {}
    for recipe in recipes:
        if recipe.sampler not in server.samplers:
            problems[_unknown("sampler", recipe.sampler, server.samplers)] = None
        if recipe.scheduler not in server.schedulers:
            problems[_unknown("scheduler", recipe.scheduler, server.schedulers)] = None
        for lora in recipe.loras:
            if lora.stem not in stems:
                problems[_unknown("LoRA", lora.stem, stems)] = None
        if has_lora_tag(recipe.prompt) or has_lora_tag(recipe.negative_prompt):
            problems[
                "A prompt holds a <lora:…> tag: name the LoRA under `loras` instead, so that its file can be proven."
            ] = None
        if "#" in recipe.prompt + recipe.negative_prompt:
            problems["A prompt holds a #: A1111 takes what follows for a comment and leaves it out."] = None
    if problems:
        listed = "\n".join(f"  {problem}" for problem in problems)
        raise InputError(
            f"A1111 would not draw what is asked:\n{listed}", fix="Correct the profile and run the same command again."
        )


def _refuse_options(options: Mapping[str, object]) -> None:
    """Raise `InputError` for settings of the webui that a request cannot override and that spoil every picture."""
    standing = str(options.get("sd_lora") or "None")
    if standing != "None":
        raise InputError(
            f"The webui adds the LoRA {standing} to every picture (option “Add network to prompt”).",
            cause="It would be in the baseline too, and nothing could be compared.",
            fix="Settings → Extra Networks → Add network to prompt: None.",
        )
    if options.get("lora_add_hashes_to_infotext") is False:
        raise InputError(
            "The webui does not write the hashes of LoRA files into its pictures.",
            cause="Without them nothing proves which LoRA a picture was drawn with.",
            fix="Settings → Extra Networks → Add Lora hashes to infotext: on.",
        )
    kind = str(options.get("samples_format") or "png")
    if kind != "png":
        raise InputError(
            f"The webui sends pictures as {kind}, which loses detail each time.",
            fix="Settings → Saving images/grids → File format for images: png.",
        )


def _refuse_vae(name: str, known: Sequence[str]) -> None:
    # A1111 goes on with another VAE, or none, when it does not have the one asked for.
    names = [*known, "Automatic", "None"]
    if name not in names:
        raise InputError(_unknown("VAE", name, names), fix="Correct `base.vae` in the profile.")


def _checkpoint(models: Sequence[Checkpoint], name: str) -> Checkpoint | None:
    return next((entry for entry in models if entry.answers_to(name)), None)


def _unknown(kind: str, name: str, known: Iterable[str]) -> str:
    names = sorted(set(known))
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    exact = next((n for n in names if n.casefold() == name.casefold()), None)
    hint = f" Did you mean {exact or close[0]!r}?" if exact or close else f" It has: {', '.join(names[:12]) or 'none'}."
    return f"A1111 has no {kind} {name!r}.{hint}"
