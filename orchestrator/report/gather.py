"""Workspace → report content: everything the workspace knows about all its versions, read from what the stages left on
disk.
"""

from __future__ import annotations

import datetime
import platform
import re
from pathlib import Path
from typing import Any

from orchestrator import __version__
from orchestrator.dataset.on_disk import built_pictures
from orchestrator.errors import InputError, ProfileError, StorageError, WorkspaceError
from orchestrator.evaluation.records import read_observations, read_scout, read_verdict
from orchestrator.evaluation.votes import begin
from orchestrator.files import read_json
from orchestrator.grid import manifest as manifests
from orchestrator.profile.load import load_profile
from orchestrator.profile.model import Profile
from orchestrator.render.cache import PictureCache
from orchestrator.report import content, foretold, gather_verdict
from orchestrator.training.record import RunRecord
from orchestrator.training.runs import current_run
from orchestrator.vision import measure, status
from orchestrator.workspace import Workspace

#: The weight at which the tilt of a version's grid pictures is shown: the one most people use a LoRA at.
TILT_WEIGHT = 0.8
_SETTINGS = (
    ("network_dim", "dim"), ("network_alpha", "alpha"), ("unet_lr", "U-Net learning rate"),
    ("optimizer_type", "optimizer"), ("lr_scheduler", "learning-rate schedule"),
    ("mixed_precision", "precision"), ("seed", "seed"),
)  # fmt: skip


def gather(profile: Profile, workspace: Workspace) -> content.ReportContent:
    """The report of the profile's version, with the versions before it that the workspace still has.

    What was not made, not measured or cannot be read is left out or said to be so. Raises `WorkspaceError` when there
    is nothing to report.
    """
    earlier, left_out = _earlier(profile, workspace)
    profiles = [*earlier, profile]
    versions = [_version(each, workspace) for each in profiles]
    if not any(v.dataset or v.training or v.grids for v in versions):
        raise WorkspaceError("There is nothing to report yet.", fix="Run `orchestrator run` first.")
    version = profile.subject.version
    observations = read_observations(workspace, version)
    verdict = read_verdict(workspace, version)
    run = _run(profile, workspace)
    if verdict and run and not set(verdict.lora_files) <= {file.sha256 for file in run.files}:
        left_out.append(
            f"The LoRA files of the current training run {run.name}: the verdict, its figures and the pictures of the "
            "rounds belong to other LoRA files. Run `orchestrator evaluate` again."
        )
    cache = PictureCache(workspace.cache)
    found = [gather_verdict.observed(observation, cache) for observation in observations]
    training_picture = next(iter(built_pictures(workspace, version)), None)
    simulated = any(grid.simulated for each in profiles for grid in _grids(each, workspace).values())
    votes = None
    try:
        votes = gather_verdict.votes(begin.taste(workspace, version))
    except WorkspaceError:
        left_out.append("The votes cannot be read, so they are left out.")
    return content.ReportContent(
        title=f"{profile.subject.name} {version}",
        created=f"{datetime.datetime.now().astimezone():%d %B %Y, %H:%M}",
        simulated=simulated or any(cache.proof(o.key).get("simulated") for o in observations[:1]),
        verdict=gather_verdict.section(verdict, _stems(found)) if verdict else None,
        deciding=gather_verdict.deciding(verdict, found, training_picture) if verdict else (),
        observations=tuple(found),
        tilt=tuple(row for each in profiles for row in _tilt(each, workspace)),
        foretold=foretold.rows(profiles, workspace),
        scout=gather_verdict.scouting(
            read_scout(workspace, version), [r.name for r in profile.evaluation.rounds], cache
        ),
        versions=tuple(versions),
        votes=votes,
        not_measured=_not_measured((*(verdict.not_measured if verdict else ()), *left_out)),
        software=_software(found),
    )


def _earlier(profile: Profile, workspace: Workspace) -> tuple[list[Profile], list[str]]:
    """The profiles of earlier versions, `lora.v3.toml` beside lora.toml, and a sentence for each that cannot be read.

    A profile that was kept when work went back to an earlier version is none of its past.
    """
    ours = _number(profile.subject.version)
    found: dict[str, Profile] = {}
    left_out: list[str] = []
    for path in sorted(workspace.root.glob("lora.v*.toml")):
        if _number(path.name.removeprefix("lora.").removesuffix(".toml")) >= ours:
            continue
        try:
            earlier = load_profile(path)
        except (InputError, StorageError) as error:
            # Without the file's place: a report is sent away.
            why = "; ".join(error.problems) if isinstance(error, ProfileError) else "it cannot be opened"
            left_out.append(f"The version in {path.name} is left out: {why}.")
            continue
        if _number(earlier.subject.version) < ours:
            found[earlier.subject.version] = earlier
    return sorted(found.values(), key=lambda each: _number(each.subject.version)), left_out


def _number(version: str) -> tuple[int, str]:
    """`v4` < `v4b` < `v10`."""
    match = re.match(r"v(\d+)(.*)", version)
    return (int(match[1]), match[2]) if match else (0, version)


def _version(profile: Profile, workspace: Workspace) -> content.VersionSection:
    return content.VersionSection(
        name=profile.subject.version,
        trigger=profile.trigger,
        dataset=_dataset(profile, workspace),
        training=_training(profile, workspace),
        grids=tuple(content.GridSection(folder) for folder in _grids(profile, workspace)),
    )


def _grids(profile: Profile, workspace: Workspace) -> dict[Path, manifests.Manifest]:
    folders = [workspace.grid(f"{profile.subject.version} {grid.name}") for grid in profile.grids]
    return {folder: manifest for folder in folders if (manifest := manifests.find(folder)) is not None}


def _dataset(profile: Profile, workspace: Workspace) -> content.DatasetSection | None:
    version = profile.subject.version
    manifest, check = read_json(workspace.dataset(version) / "manifest.json"), read_json(workspace.check(version)) or {}
    if not isinstance(manifest, dict):
        return None
    looked_at = {row["group"]: row for row in check.get("groups", ())}
    return content.DatasetSection(
        total=len(manifest["pictures"]),
        fingerprint=manifest["fingerprint"],
        findings=tuple(
            content.FindingRow(f["level"], f["group"], f["what"], f["means"], f["fix"])
            for f in check.get("findings", ())
        ),
        groups=tuple(
            _group(group, looked_at.get(group["name"], {}), manifest["pictures"], workspace.dataset(version))
            for group in manifest["groups"]
        ),
    )


def _group(
    group: dict[str, Any], row: dict[str, Any], pictures: list[dict[str, Any]], folder: Path
) -> content.GroupRow:
    ours = [entry for entry in pictures if entry["group"] == group["name"]]
    return content.GroupRow(
        name=group["name"],
        count=group["count"],
        repeats=group["repeats"],
        caption=group["caption"],
        roll_mean=row.get("roll_mean"),
        roll_sd=row.get("roll_sd"),
        faces=row.get("faces") if row.get("looked") else None,
        framing=", ".join(f"{count} {framing}" for framing, count in row.get("framings", {}).items()),
        min_side=row.get("min_side"),
        pictures=tuple(
            content.ReportPicture(
                folder / entry["file"],
                f"{group['name']} {number}",
                {
                    "caption": entry["caption"],
                    "sha256": entry["sha256"],
                    "set": entry["from"]["set"],
                    **entry["from"]["origin"],
                },
            )
            for number, entry in enumerate(ours, start=1)
        ),
    )


def _run(profile: Profile, workspace: Workspace) -> RunRecord | None:
    try:
        return current_run(workspace, profile.run_name)
    except WorkspaceError:
        return None


def _training(profile: Profile, workspace: Workspace) -> content.TrainingSection | None:
    run = _run(profile, workspace)
    if run is None:
        return None
    deployed = _deployed_stems(profile, workspace)
    return content.TrainingSection(
        status=run.status,
        seconds=run.seconds,
        final_loss=run.final_loss,
        losses=tuple(sorted(run.losses.items())),
        files=tuple(
            content.LoraFileRow(f.file, f.epoch, f.sha256, f.size, deployed.get(f.sha256, "")) for f in run.files
        ),
        settings=(
            *((words, str(run.values[key])) for key, words in _SETTINGS if key in run.values),
            ("epochs", str(run.epochs)),
            ("base checkpoint", Path(run.base.get("path", "")).name),
        ),
    )


def _deployed_stems(profile: Profile, workspace: Workspace) -> dict[str, str]:
    """File sha256 → stem, from the recipes of the grids that were drawn with it."""
    loras = (
        lora
        for grid in _grids(profile, workspace).values()
        for entry in grid.cells
        for lora in (grid.recipe_of(entry) or {}).get("loras", ())
    )
    return {lora["sha256"]: lora["stem"] for lora in loras}


def _stems(found: list[content.Observed]) -> dict[int, str]:
    """Epoch → deployed stem, from the recipes of the rounds."""
    stems = {}
    for each in found:
        loras = each.picture.provenance.get("loras") or ()
        if each.epoch is not None and loras:
            stems[each.epoch] = str(loras[0]["stem"])
    return stems


def _tilt(profile: Profile, workspace: Workspace) -> list[content.TiltRow]:
    """The rolls of the first group's training pictures, and of the first grid's pictures with and without the LoRA."""
    if not status().available or not profile.dataset.groups or not profile.grids:
        return []
    version, group = profile.subject.version, profile.dataset.groups[0]
    trained = [
        path for path in built_pictures(workspace, version) if path.parent.name.partition("_")[2].startswith(group.name)
    ]
    rows = [content.TiltRow(version, f"{group.name}: training pictures", _rolls(trained, workspace), "training")]
    folder = workspace.grid(f"{version} {profile.grids[0].name}")
    manifest = manifests.find(folder)
    if manifest:
        drawn = [entry for entry in manifest.cells if entry.picture]
        weights = manifest.axis("weight")
        weight = min(weights.values, key=lambda text: abs(float(text) - TILT_WEIGHT)) if weights else None
        bare = [folder / entry.picture for entry in drawn if entry.is_baseline]
        with_lora = [
            folder / entry.picture
            for entry in drawn
            if not entry.is_baseline and manifest.value_of(entry, "weight") == weight
        ]
        rows.append(content.TiltRow(version, f"{manifest.name}: without LoRA", _rolls(bare, workspace), "baseline"))
        words = "with LoRA" if weight is None else f"weight {weight}, all epochs"
        rows.append(content.TiltRow(version, f"{manifest.name}: {words}", _rolls(with_lora, workspace), "lora"))
    return [row for row in rows if row.rolls]


def _rolls(paths: list[Path], workspace: Workspace) -> tuple[float, ...]:
    return tuple(seen.face.roll_deg for seen in measure(paths, workspace.cache) if seen.face is not None)


def _not_measured(sentences: tuple[str, ...]) -> tuple[str, ...]:
    advice = status().advice
    return (*sentences, advice) if advice and not any(advice in s for s in sentences) else sentences


def _software(found: list[content.Observed]) -> tuple[tuple[str, str], ...]:
    server = next(
        (
            str(each.picture.provenance["server_version"])
            for each in found
            if each.picture.provenance.get("server_version")
        ),
        "",
    )
    eyes = status()
    rows = [
        ("orchestrator", __version__),
        ("A1111", server),
        ("faces measured by", eyes.backend),
        ("Python", platform.python_version()),
    ]
    return tuple((name, value) for name, value in rows if value)
