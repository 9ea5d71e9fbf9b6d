"""What a server is, found out before anything is drawn: fork and version, checkpoint by hash, the names it knows.

A server tells its version and hashes a checkpoint only when it draws. So the first time it is asked for one tiny
picture, the probe; after that the answer is remembered (`memory`) for as long as nothing it lists has changed, and a
grid that is complete already needs no drawing at all.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from orchestrator.a1111.client import A1111
from orchestrator.a1111.dialect import Dialect
from orchestrator.a1111.infotext import parse
from orchestrator.a1111.models import Checkpoint, GenerationInfo, LoraEntry
from orchestrator.a1111.requests import Txt2Img, checked_request
from orchestrator.errors import InputError, InstallError, ToolError
from orchestrator.files import read_json, write_json
from orchestrator.render import lint, overrides, replaced
from orchestrator.render.names import server_version, split_sampler, unknown
from orchestrator.render.patience import Patience
from orchestrator.render.proof import used_vae
from orchestrator.render.recipe import Recipe, equal_numbers, has_lora_tag
from orchestrator.render.standing import settings_hash, standing
from orchestrator.render.waiting import persist

_MEMORY = "servers.json"
#: Checkpoints and VAEs of one server whose facts are kept: those of a large grid over both.
_MOST_REMEMBERED = 64


@dataclass(frozen=True)
class Server:
    """A server whose facts are known.

    `version` names fork and version (`A1111 v1.10.1`). `checkpoint_hash` is the short hash (10 digits) A1111 writes
    into its infotexts; `vae_hash` likewise, empty without a VAE file. `vae` is the one to ask for (empty = as the webui
    is set). `samplers` maps each name to the schedule it takes when asked for "Automatic"; `schedulers` each name and
    label of a schedule to its label, and is empty where schedules are part of the sampler's name (forge-classic).
    `probed` tells whether the facts were seen in a picture just now, or remembered.
    """

    client: A1111
    dialect: Dialect
    version: str
    checkpoint: str
    checkpoint_hash: str
    checkpoint_path: str
    vae: str
    vae_hash: str
    samplers: Mapping[str, str]
    schedulers: Mapping[str, str]
    simulated: bool
    vae_path: str = ""
    #: Where each VAE lies, on servers that are asked for it by its path (Forge).
    vae_paths: Mapping[str, str] = field(default_factory=dict, compare=False)
    aliases: Mapping[str, str] = field(default_factory=dict)
    #: Options of the webui that change pixels and that a request cannot override.
    standing: Mapping[str, Any] = field(default_factory=dict)
    probed: bool = True
    memory: Path | None = field(default=None, compare=False)

    @property
    def settings_hash(self) -> str:
        """Names `standing` in recipes."""
        return settings_hash(self.standing)

    def sampler(self, sampler: str, scheduler: str) -> tuple[str, str]:
        """(sampler, schedule) as this server takes them: `DPM++ 2M Karras` is put apart, or together."""
        return split_sampler(sampler, scheduler, self.samplers, self.schedulers)


def connect(client: A1111, checkpoint: str = "", vae: str = "", *, memory: Path | None = None) -> Server:
    """Find out what `client` talks to, with `checkpoint` (empty = the loaded one) and `vae` (empty = as set).

    Draws one 64×64 picture of one step, unless `memory` (a folder) knows this server and nothing it lists has changed.
    Raises `InputError` for an unknown checkpoint or VAE and for options that would spoil every picture.
    """
    options = client.options()
    for what, why, fix in lint.option_problems(options):
        raise InputError(what, cause=why, fix=fix)
    dialect = client.dialect()
    # "0" until the first job of a server that was just started (observed on 1.10.1).
    if memory is not None and dialect.keeps_replaced_loras and client.progress().state.job_timestamp == "0":
        replaced.forget(client.url, memory)
    samplers = client.samplers()
    schedulers = client.schedulers()
    models = client.models()
    entry = _checkpoint(models, checkpoint or str(options.get("sd_model_checkpoint") or ""))
    if checkpoint and entry is None:
        names = [known.model_name for known in models]
        raise InputError(unknown("checkpoint", checkpoint, names), fix="Correct `base.checkpoint` in the profile.")
    vae_path = _vae_path(client, vae) if vae else ""
    server = Server(
        client=client,
        dialect=dialect,
        version="",
        checkpoint=entry.title if entry else "",
        checkpoint_hash="",
        checkpoint_path=entry.filename if entry else "",
        vae=vae,
        vae_hash="",
        vae_path=vae_path,
        vae_paths={} if dialect.has_sd_vae else {known.model_name: known.filename for known in client.vaes()},
        samplers={s.name: s.options.get("scheduler", "automatic") for s in samplers},
        schedulers={name: s.label for s in schedulers for name in (s.name, s.label)},
        aliases={alias: s.name for s in samplers for alias in s.aliases},
        standing=standing(options),
        simulated=client.simulated,
        probed=False,
        memory=memory,
    )
    known = _remembered(server, options, entry)
    return known if known is not None else probe(server)


def probe(server: Server) -> Server:
    """`server` with the facts as one tiny picture shows them now. Raises `ToolError` when it does not draw with the
    checkpoint it was asked for.
    """
    client = server.client
    models = client.models()
    entry = next((one for one in models if one.filename == server.checkpoint_path), None) if server.checkpoint else None
    info, loaded = _draw_probe(server, entry)
    if entry and loaded and entry.filename != loaded.filename:
        # Somebody may have changed it in that moment; a file that cannot be loaded cannot be loaded twice.
        info, loaded = _draw_probe(server, entry)
    if not info.sd_model_hash:
        raise ToolError(
            f"A1111 at {client.url} does not say which checkpoint it drew with.",
            fix="Load a checkpoint in the webui and look that its name shows a hash, then run the same command again.",
        )
    if entry and loaded and entry.filename != loaded.filename:
        raise ToolError(
            f"A1111 did not load the checkpoint {entry.title}; it goes on with {loaded.title}.",
            cause="The file is damaged or does not fit into memory.",
            fix="Load it in the webui and read its console.",
        )
    found = replace(
        server,
        version=server_version(info.version) or server.dialect.name,
        checkpoint=loaded.title if loaded else (info.sd_model_name or ""),
        checkpoint_hash=info.sd_model_hash,
        checkpoint_path=loaded.filename if loaded else "",
        vae_hash=used_vae(info.sd_vae_hash, parse(next(iter(info.infotexts), None) or "")),
        simulated=client.simulated,
        probed=True,
    )
    _remember(found, client.options(), loaded)
    return found


def make_sure(server: Server) -> Server:
    """`server`, if it still is what was remembered of it; called before anything is drawn.

    Raises `InstallError` when it has become another one: the recipes were made for the one it was.
    """
    if server.probed:
        return server
    now = probe(server)
    before = (server.version, server.checkpoint_hash, server.vae_hash)
    after = (now.version, now.checkpoint_hash, now.vae_hash)
    if before != after:
        raise InstallError(
            f"A1111 at {server.client.url} has changed: it was {' '.join(filter(None, before))}, "
            f"it is {' '.join(filter(None, after))}.",
            cause="It was updated, or a file behind the same name is another one now. Its pictures may differ.",
            fix="Run the same command again: what has to be drawn anew then is.",
        )
    return now


def refuse_unknown(server: Server, recipes: Iterable[Recipe], loras: Sequence[LoraEntry]) -> None:
    """Raise one `InputError` that names everything in `recipes` A1111 would silently replace or leave out."""
    stems = {entry.name for entry in loras}
    problems: dict[str, None] = {}
    checked: set[tuple[object, ...]] = set()
    for recipe in recipes:
        # A grid of thousands has a handful of names and prompts.
        parts = (
            recipe.sampler,
            recipe.scheduler,
            recipe.prompt,
            recipe.negative_prompt,
            *(u.stem for u in recipe.loras),
            *(recipe.width, recipe.height, recipe.steps, recipe.cfg_scale, recipe.batch_size, recipe.seed < 2**63),
        )
        if parts in checked:
            continue
        checked.add(parts)
        if recipe.sampler not in server.samplers:
            problems[unknown("sampler", recipe.sampler, server.samplers, server.aliases)] = None
        problems.update(dict.fromkeys(_schedule_problems(server, recipe)))
        problems.update(dict.fromkeys(_request_problems(recipe)))
        for use in recipe.loras:
            if use.stem not in stems:
                others = " It would leave out the other LoRA files of that prompt too." * server.dialect.drops_all_loras
                problems[(lint.alias_hint(use.stem, loras) or unknown("LoRA", use.stem, stems)) + others] = None
        if has_lora_tag(recipe.prompt) or has_lora_tag(recipe.negative_prompt):
            problems[
                "A prompt holds a <lora:…> tag: name the LoRA under `loras` instead, so that its file can be proven."
            ] = None
        for text in (recipe.prompt, recipe.negative_prompt):
            problems.update(dict.fromkeys(lint.bare_tags(text)))
        problems.update(dict.fromkeys(lint.comment_problems(recipe.prompt, recipe.negative_prompt)))
    if problems:
        listed = "\n".join(f"  {problem}" for problem in problems)
        raise InputError(
            f"A1111 would not draw what is asked:\n{listed}", fix="Correct the profile and run the same command again."
        )


def _schedule_problems(server: Server, recipe: Recipe) -> list[str]:
    sampler, scheduler = recipe.sampler, recipe.scheduler
    if not server.schedulers:
        # Here a schedule is part of the sampler's name; one that goes with no sampler would be left out in silence.
        if scheduler.casefold() in {"", "automatic"}:
            return []
        ones = [name for name in server.samplers if name.startswith(sampler)]
        return [f"This A1111 has no {sampler!r} with the schedule {scheduler!r}. It has: {', '.join(ones) or 'none'}."]
    if scheduler not in server.schedulers:
        return [unknown("scheduler", scheduler, server.schedulers)]
    taken = next((name for name in server.schedulers if sampler.casefold().endswith(f" {name.casefold()}")), None)
    if sampler in server.samplers and taken:
        # reForge's "Euler A Turbo": the end of the name is cut off as a schedule, and another sampler draws.
        return [f"This A1111 cannot be asked for the sampler {sampler!r}: it takes {taken!r} for a schedule."]
    return []


def _request_problems(recipe: Recipe) -> list[str]:
    """What the request would be refused for before it is sent: impossible sizes, steps, seeds."""
    fields = {
        "width": recipe.width,
        "height": recipe.height,
        "steps": recipe.steps,
        "cfg_scale": recipe.cfg_scale,
        "batch_size": recipe.batch_size,
        "seed": recipe.seed,
    }
    try:
        checked_request(Txt2Img, fields)
    except InputError as error:
        return [error.what]
    return []


def vae_settings(server: Server, vae: str = "") -> dict[str, Any]:
    """The override_settings that ask for `vae` (empty = the server's). Forge knows it as an additional module, by its
    path.
    """
    wanted = vae or server.vae
    if not wanted:
        return {}
    if server.dialect.has_sd_vae:
        return {"sd_vae": wanted}
    path = server.vae_path if wanted == server.vae else server.vae_paths.get(wanted, "")
    return {"forge_additional_modules": [path] if path else []}


def _draw_probe(server: Server, entry: Checkpoint | None) -> tuple[GenerationInfo, Checkpoint | None]:
    client = server.client
    body = _probe(server, entry)
    settings: Mapping[str, Any] = body["override_settings"]
    patience = Patience()
    before = overrides.secure(client, {key: [value] for key, value in settings.items()}, patience)
    # At the start of a command nobody waits for a server that is not there.
    info = persist(client, lambda: client.txt2img(body), patience, waits=False).info
    overrides.put_back(client, before)
    return info, _loaded(client.models(), entry, info)


def _probe(server: Server, entry: Checkpoint | None) -> dict[str, Any]:
    # Another prompt than any other: a text encoder's conditioning that was kept from before a LoRA file changed is
    # thrown away with it (observed on A1111, Forge and reForge).
    return {
        "prompt": "probe",
        "steps": 1,
        "width": 64,
        "height": 64,
        "seed": 1,
        "override_settings": ({"sd_model_checkpoint": entry.title} if entry else {}) | vae_settings(server),
    }


def _loaded(models: Sequence[Checkpoint], asked: Checkpoint | None, info: GenerationInfo) -> Checkpoint | None:
    """The checkpoint that drew the probe, which has made A1111 hash it. Two copies of one file have the same hash."""
    same = [entry for entry in models if entry.hash == info.sd_model_hash]
    files = {entry.filename: entry for entry in same}
    if asked and asked.filename in files:
        return files[asked.filename]
    return next((entry for entry in same if entry.model_name == info.sd_model_name), same[0] if same else asked)


def _vae_path(client: A1111, name: str) -> str:
    """Where the VAE lies; empty for `Automatic` and `None`. A1111 goes on with another when it has not the one asked
    for, so an unknown name is an `InputError`.
    """
    if name in {"Automatic", "None"}:
        return ""
    known = client.vaes()
    entry = next((vae for vae in known if vae.model_name == name), None)
    if entry is None:
        names = [*(vae.model_name for vae in known), "Automatic", "None"]
        raise InputError(unknown("VAE", name, names), fix="Correct `base.vae` in the profile.")
    return entry.filename


def _checkpoint(models: Sequence[Checkpoint], name: str) -> Checkpoint | None:
    return next((entry for entry in models if entry.answers_to(name)), None)


_REMEMBERED = ("version", "checkpoint", "checkpoint_hash", "checkpoint_path", "vae_hash", "simulated")


def _remembered(server: Server, options: Mapping[str, Any], entry: Checkpoint | None) -> Server | None:
    if server.memory is None:
        return None
    known = read_json(server.memory / _MEMORY)
    said = (known.get(server.client.url) or {}).get(_fingerprint(server, options, entry)) if known else None
    if not isinstance(said, dict) or set(said) != set(_REMEMBERED) or said["simulated"] != server.client.simulated:
        return None
    return replace(server, **said)


def _remember(server: Server, options: Mapping[str, Any], entry: Checkpoint | None) -> None:
    if server.memory is None:
        return
    path = server.memory / _MEMORY
    everything = read_json(path) or {}
    # The newest few: one for each checkpoint and VAE that this workspace draws with.
    known = dict(list((everything.get(server.client.url) or {}).items())[-(_MOST_REMEMBERED - 1) :])
    known[_fingerprint(server, options, entry)] = {key: getattr(server, key) for key in _REMEMBERED}
    write_json(path, {**everything, server.client.url: known}, durable=False)


def _fingerprint(server: Server, options: Mapping[str, Any], entry: Checkpoint | None) -> str:
    """Whatever an update of the server, another option or another file would change; asking for it draws nothing."""
    file = entry.model_dump() if entry and entry.hash else None
    # How the checkpoint is spelt there changes with who set it last; `file` is what it means.
    options = {key: value for key, value in options.items() if key not in {"sd_model_checkpoint", "sd_checkpoint_hash"}}
    names = [server.samplers, server.schedulers, server.aliases]
    # A whole number that somebody overrode comes back as 2.0.
    facts = equal_numbers([server.dialect.name, options, names, file, server.vae, server.vae_path])
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode("utf-8")).hexdigest()
