"""Whether a server has what the profile names: A1111 draws with something else where it has not, and does not say
so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from orchestrator.a1111.client import A1111
from orchestrator.a1111.dialect import Dialect
from orchestrator.a1111.models import LoraEntry
from orchestrator.doctor.finding import DRAWING, Finding, plain
from orchestrator.doctor.options import about_vae
from orchestrator.errors import ServerError, ServerStarting
from orchestrator.profile.model import Profile
from orchestrator.render.lint import alias_hint
from orchestrator.render.names import split_sampler, unknown

AREA = "Names"


def about_names(client: A1111, profile: Profile, dialect: Dialect, options: Mapping[str, Any]) -> Iterator[Finding]:
    """Sampler, schedule, checkpoint and VAE of the profile."""
    problems = [*_sampler(client, profile, dialect), *_checkpoint(client, profile, options)]
    vaes = _vaes(client, dialect)
    vae = profile.base.vae
    if vae and vae not in {"Automatic", "None", *vaes}:
        problems.append(_missing(unknown("VAE", vae, [*vaes, "Automatic", "None"]), "base.vae"))
    elif not vae:
        problems += about_vae(options, vaes) if dialect.has_sd_vae else ()
    yield from problems
    if all(problem.area != AREA or problem.level == "optional" for problem in problems):
        checkpoint = profile.base.checkpoint or f"{options.get('sd_model_checkpoint') or 'a checkpoint'} (loaded)"
        yield Finding(AREA, f"{profile.generation.sampler}, {profile.generation.scheduler}, {checkpoint}")


def about_loras(profile: Profile, loras: Sequence[LoraEntry]) -> Iterator[Finding]:
    """The LoRA files that the profile's picture sets are drawn with."""
    stems = {entry.name for entry in loras}
    wanted = {lora.name: picture_set.name for picture_set in profile.pictures for lora in picture_set.loras}
    for name, picture_set in wanted.items():
        if name in stems:
            continue
        hint = alias_hint(name, loras) or unknown("LoRA", name, stems)
        yield Finding(
            AREA,
            plain(hint.rstrip(".")),
            "blocker",
            ("pictures",),
            f"The picture set {picture_set!r} is drawn with it; A1111 would leave it out without a word.",
            "Put the file into the LoRA folder, or correct `loras` in lora.toml.",
        )


def _sampler(client: A1111, profile: Profile, dialect: Dialect) -> Iterator[Finding]:
    samplers = client.samplers()
    names = [entry.name for entry in samplers]
    aliases = {alias: entry.name for entry in samplers for alias in entry.aliases}
    schedulers = client.schedulers() if dialect.has_schedulers else []
    labels = {name: entry.label for entry in schedulers for name in (entry.name, entry.label)}
    sampler, schedule = split_sampler(profile.generation.sampler, profile.generation.scheduler, names, labels)
    if sampler not in names:
        yield _missing(unknown("sampler", sampler, names, aliases), "generation.sampler")
    if labels and schedule not in labels:
        yield _missing(unknown("scheduler", schedule, labels), "generation.scheduler")


def _checkpoint(client: A1111, profile: Profile, options: Mapping[str, Any]) -> Iterator[Finding]:
    models = client.models()
    name = profile.base.checkpoint
    if name and not any(model.answers_to(name) for model in models):
        yield _missing(unknown("checkpoint", name, [model.model_name for model in models]), "base.checkpoint")
    elif not models:
        yield Finding(
            AREA,
            "there is no checkpoint",
            "blocker",
            DRAWING,
            "models/Stable-diffusion is empty, or the webui was started with another --ckpt-dir.",
            "Put a checkpoint there and press the refresh button beside its list in the webui.",
        )
    elif not name and not options.get("sd_model_checkpoint"):
        yield Finding(
            AREA,
            "neither the profile nor the webui says which checkpoint; the loaded one is drawn with",
            "optional",
            cause="reForge says so only once another checkpoint was chosen in the webui.",
            fix=f"Name it as base.checkpoint in lora.toml; there are: {', '.join(m.model_name for m in models[:6])}.",
        )


def _vaes(client: A1111, dialect: Dialect) -> list[str]:
    route = "/sdapi/v1/sd-vae" if dialect.has_sd_vae else "/sdapi/v1/sd-modules"
    try:
        return [str(entry["model_name"]) for entry in client.get(route)]
    except (ServerError, ServerStarting):
        return []


def _missing(sentence: str, key: str) -> Finding:
    return Finding(
        AREA,
        sentence.rstrip("."),
        "blocker",
        DRAWING,
        "A1111 answers 200 and draws with another one.",
        f"Correct `{key}` in lora.toml.",
    )
