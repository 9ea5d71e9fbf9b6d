"""What a server is, found out once before anything is drawn: its version, its checkpoint by hash, the names it
knows.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from orchestrator.a1111.client import A1111
from orchestrator.a1111.models import Checkpoint, LoraEntry
from orchestrator.errors import InputError, ToolError
from orchestrator.render.recipe import Recipe, has_lora_tag


@dataclass(frozen=True)
class Server:
    """A server whose facts are known. `checkpoint_hash` is the short hash (10 digits) A1111 writes into its
    infotexts.
    """

    client: A1111
    version: str
    checkpoint: str
    checkpoint_hash: str
    checkpoint_path: str
    vae: str
    samplers: frozenset[str]
    schedulers: frozenset[str]
    simulated: bool


def connect(client: A1111, checkpoint: str = "", vae: str = "") -> Server:
    """Find out what `client` talks to, with `checkpoint` (empty = the loaded one) and `vae` (empty = as set).

    Draws one 64×64 picture of one step: only that makes A1111 load the checkpoint, hash it and say its version. Raises
    `InputError` for an unknown checkpoint and for an option that would put a LoRA into every picture.
    """
    options = client.options()
    _refuse_standing_lora(options)
    samplers = frozenset(s.name for s in client.samplers())
    schedulers = frozenset(name for s in client.schedulers() for name in (s.name, s.label))
    models = client.models()
    wanted = checkpoint or str(options.get("sd_model_checkpoint") or "")
    entry = _checkpoint(models, wanted, required=bool(checkpoint))
    probe = {
        "prompt": "probe",
        "steps": 1,
        "width": 64,
        "height": 64,
        "seed": 1,
        "override_settings": {"sd_model_checkpoint": entry.title} if entry else {},
        "override_settings_restore_afterwards": False,
    }
    info = client.txt2img(probe).info
    if not info.sd_model_hash:
        raise ToolError(
            f"A1111 at {client.url} does not say which checkpoint it drew with.",
            fix="Load a checkpoint in the webui and look that its name shows a hash, then run the same command again.",
        )
    # The probe has loaded the checkpoint, so that its hash is listed now.
    loaded = _checkpoint(client.models(), info.sd_model_hash, required=False) or entry
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
        samplers=samplers,
        schedulers=schedulers,
        simulated=client.simulated,
    )


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
        if any(line.lstrip().startswith("#") for line in recipe.prompt.splitlines()):
            problems["A prompt has a line that begins with #: A1111 takes it for a comment and leaves it out."] = None
    if problems:
        listed = "\n".join(f"  {problem}" for problem in problems)
        raise InputError(
            f"A1111 would not draw what is asked:\n{listed}", fix="Correct the profile and run the same command again."
        )


def _refuse_standing_lora(options: dict[str, object]) -> None:
    standing = str(options.get("sd_lora") or "None")
    if standing != "None":
        raise InputError(
            f"The webui adds the LoRA {standing} to every picture (option “Add network to prompt”).",
            cause="It would be in the baseline too, and nothing could be compared.",
            fix="Settings → Extra Networks → Add network to prompt: None.",
        )


def _checkpoint(models: Sequence[Checkpoint], name: str, *, required: bool) -> Checkpoint | None:
    found = next((entry for entry in models if entry.answers_to(name)), None)
    if found is None and required:
        names = [entry.model_name for entry in models]
        raise InputError(_unknown("checkpoint", name, names), fix="Correct `base.checkpoint` in the profile.")
    return found


def _unknown(kind: str, name: str, known: Iterable[str]) -> str:
    names = sorted(set(known))
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    exact = next((n for n in names if n.casefold() == name.casefold()), None)
    hint = f" Did you mean {exact or close[0]!r}?" if exact or close else f" It has: {', '.join(names[:12]) or 'none'}."
    return f"A1111 has no {kind} {name!r}.{hint}"
