"""The chosen LoRA as a folder to give away: the file under its clean name, a model card, sample pictures, and what a
model site asks for.

Nothing here praises: what the verdict does not know, the card says it does not know.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator import __version__
from orchestrator.errors import InputError
from orchestrator.evaluation.observations import CellId, Observation
from orchestrator.evaluation.verdict import Verdict
from orchestrator.evaluation.votes.taste import Taste
from orchestrator.files import beside, write_json, write_text
from orchestrator.lora.catalog import LoraFile
from orchestrator.lora.deploy import copy_whole

CARD_NAME = "README.md"
SITE_NAME = "civitai.json"
SAMPLES = "samples"
#: Of each round, the pictures in the middle of the cell's own: neither its luckiest nor its worst.
SAMPLES_PER_ROUND = 2
#: Base models as Civitai writes them.
_BASES = {"sd1": "SD 1.5", "sd2": "SD 2.1", "sdxl": "SDXL 1.0", "sd3": "SD 3", "flux": "Flux.1 D"}
_SETTINGS = (
    ("network_dim", "dim"), ("network_alpha", "alpha"), ("unet_lr", "U-Net learning rate"),
    ("text_encoder_lr", "text encoder learning rate"), ("optimizer_type", "optimizer"),
    ("lr_scheduler", "learning-rate schedule"), ("resolution", "resolution"), ("train_batch_size", "batch size"),
    ("seed", "seed"),
)  # fmt: skip


@dataclass(frozen=True)
class Sample:
    """One picture of the winner, with the recipe it was drawn by."""

    path: Path
    round: str
    seed: int
    recipe: Mapping[str, Any]


@dataclass(frozen=True)
class About:
    """Everything a card tells. `record`: the training run's record as plain values."""

    name: str
    trigger: str
    lora: LoraFile
    cell: CellId
    verdict: Verdict
    record: Mapping[str, Any]
    dataset: Mapping[str, Any]
    samples: Sequence[Sample] = ()
    taste: Taste | None = None
    simulated: bool = False


def check_winner(verdict: Verdict, files: Sequence[LoraFile]) -> tuple[CellId, LoraFile]:
    """The recommended cell and its file. Raises `InputError` where the verdict recommends nothing, or is about other
    files than those of the run.
    """
    cell = verdict.recommended
    if cell is None or cell.epoch is None:
        raise InputError(
            "There is no winner to publish.",
            cause=verdict.sentences[0] if verdict.sentences else "",
            fix="Name an epoch yourself: `orchestrator lora publish EPOCH NAME`.",
        )
    lora = next((file for file in files if file.epoch == cell.epoch), None)
    if lora is None or lora.sha256 not in verdict.lora_files:
        raise InputError(
            f"The verdict is about another file than the run's epoch {cell.epoch}.",
            cause="The version was trained again since, or the file was removed.",
            fix="Run `orchestrator evaluate` again.",
        )
    return cell, lora


def choose_samples(observations: Sequence[Observation], cell: CellId, recipes: Mapping[str, Any]) -> list[Sample]:
    """Pictures from the middle of each round's, by identity and obedience. `recipes`: by the pictures' keys."""
    found = []
    mine = [o for o in observations if o.cell == cell and o.drawn and o.path and Path(o.path).is_file()]
    for name in dict.fromkeys(o.round for o in mine):
        ranked = sorted(
            (o for o in mine if o.round == name), key=lambda o: ((o.identity or 0.0) + (o.obedience or 0.0), o.seed)
        )
        start = max(0, (len(ranked) - SAMPLES_PER_ROUND) // 2)
        found += [
            Sample(Path(o.path), o.round, o.seed, recipes.get(o.key) or {})
            for o in ranked[start : start + SAMPLES_PER_ROUND]
        ]
    return found


def write_package(folder: Path, about: About) -> Path:
    """Write the folder and return its card. What is written again is replaced whole; other files are left alone.

    Raises `StorageError` when the disk is full.
    """
    copy_whole(about.lora, folder / f"{about.name}.safetensors")
    names = []
    for number, sample in enumerate(about.samples, start=1):
        # The pictures keep what A1111 wrote in them: sites read prompts and hashes from there.
        names.append(f"{SAMPLES}/{number:02d}-{sample.seed}{sample.path.suffix}")
        _copy(sample.path, folder / names[-1])
    write_json(folder / SITE_NAME, site_data(about, names))
    return write_text(folder / CARD_NAME, card_text(about, names))


def card_text(about: About, samples: Sequence[str] = ()) -> str:
    """The model card in Markdown."""
    weight, verdict = about.cell.weight, about.verdict
    family = str((about.record.get("base") or {}).get("family", ""))
    parts = [
        f"# {about.name}",
        "*Simulated: file and pictures come from a sandbox, not from a real model.*" if about.simulated else "",
        "\n".join(
            [
                f"- **Use it as** `<lora:{about.name}:{weight:g}>`"
                + (f" with `{about.trigger}`" if about.trigger else ""),
                f"- **Trigger word**: {f'`{about.trigger}`' if about.trigger else 'none'}",
                f"- **Recommended weight**: {weight:g}",
                f"- **Base model**: {_BASES.get(family, about.lora.base_model or 'not known')}"
                + (f" (trained on {about.lora.base_model})" if about.lora.base_model and family in _BASES else ""),
            ]
        ),
        "## How it was chosen",
        verdict.text,
        _figures(about),
        verdict.rule if verdict.outcome == "may be best" else "",
        f"Blind votes: {' '.join(about.taste.sentences)}" if about.taste and about.taste.votes else "",
        _listed("What was not measured", verdict.not_measured),
        _listed("Known trade-offs", verdict.trade_offs),
        _pictures(about, samples),
        "## Training",
        _training(about),
        "## Provenance",
        _provenance(about),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def site_data(about: About, samples: Sequence[str] = ()) -> dict[str, Any]:
    """What Civitai's form for a new model version asks for, under its own field names, and the pictures with their
    generation data. `hashes`: AutoV2 is the first 10 digits of the file's sha256, AutoV3 A1111's 12 of the weights.
    """
    record = about.record
    values = record.get("values") or {}
    family = str((record.get("base") or {}).get("family", ""))
    return {
        "name": about.name,
        "type": "LORA",
        "baseModel": _BASES.get(family, "Other"),
        "trainedWords": [about.trigger] if about.trigger else [],
        "description": about.verdict.text,
        "settings": {"strength": about.cell.weight},
        "epochs": about.cell.epoch,
        "steps": _steps(about),
        "clipSkip": values.get("clip_skip"),
        "tags": ["lora"],
        "files": [
            {
                "name": f"{about.name}.safetensors",
                "sizeKB": round(about.lora.size / 1024, 1),
                "hashes": {
                    "SHA256": about.lora.sha256.upper(),
                    "AutoV2": about.lora.sha256[:10].upper(),
                    "AutoV3": about.lora.shown_hash.upper(),
                },
            }
        ],
        "images": [
            {"file": name, "meta": _generation(sample)} for name, sample in zip(samples, about.samples, strict=False)
        ],
    }


def _generation(sample: Sample) -> dict[str, Any]:
    recipe = sample.recipe
    named = {
        "prompt": "prompt", "negativePrompt": "negative_prompt", "sampler": "sampler", "scheduler": "scheduler",
        "steps": "steps", "cfgScale": "cfg_scale", "width": "width", "height": "height",
    }  # fmt: skip
    found = {theirs: recipe[ours] for theirs, ours in named.items() if recipe.get(ours) is not None}
    return {**found, "seed": sample.seed}


def _figures(about: About) -> str:
    result = about.verdict.result(about.cell)
    if result is None:
        return ""
    rows = ["| measured on its pictures | mean | 95 % interval | |", "|---|---|---|---|"]
    rows[0] = rows[0].replace("95 %", f"{about.verdict.confidence:.0%}".replace("%", " %"))
    for figure in result.figures:
        chance = (
            "chance unknown" if figure.low is None or figure.high is None else f"{figure.low:.2f} to {figure.high:.2f}"
        )
        counted = "" if figure.measured == figure.pictures else f"{figure.measured} of {figure.pictures} pictures"
        rows.append(f"| {figure.metric} | {figure.mean:.2f} | {chance} | {counted} |")
    return "\n".join(rows) if len(rows) > 2 else ""


def _pictures(about: About, samples: Sequence[str]) -> str:
    if not samples:
        return ""
    shown = [
        f"![{sample.round}, seed {sample.seed}]({name})" for name, sample in zip(samples, about.samples, strict=True)
    ]
    return (
        "## Pictures\n\nThe middle pictures of each round by what was measured, at the recommended weight: neither the "
        "best nor the worst.\n\n" + "\n".join(shown)
    )


def _training(about: About) -> str:
    record, dataset = about.record, about.dataset
    values = record.get("values") or {}
    rows = [f"- epoch {about.cell.epoch} of {record.get('epochs', 'not known')}, {_steps(about) or 'unknown'} steps"]
    rows += [f"- {words}: {values[key]}" for key, words in _SETTINGS if values.get(key) not in (None, "")]
    groups = dataset.get("groups") or ()
    if groups:
        listed = ", ".join(f"{group['count']} × {group['name']} (repeats {group['repeats']})" for group in groups)
        rows.append(f"- dataset: {len(dataset.get('pictures') or ())} pictures: {listed}")
    return "\n".join(rows)


def _steps(about: About) -> int | None:
    epochs = about.record.get("epochs")
    ends = [attempt.get("steps") for attempt in about.record.get("attempts") or () if attempt.get("steps")]
    if not epochs or not ends or not about.cell.epoch:
        return None
    return round(max(int(last) for _, last in ends) * about.cell.epoch / int(epochs))


def _provenance(about: About) -> str:
    record, base, trainer = about.record, about.record.get("base") or {}, about.record.get("trainer") or {}
    rows = {
        "file": f"{about.lora.path.name}, sha256 `{about.lora.sha256}`, A1111 shows `{about.lora.shown_hash}`",
        "training run": f"{record.get('name', '')}, fingerprint `{record.get('fingerprint', '')}`",
        "base checkpoint": f"{Path(str(base.get('path', ''))).name}, sha256 `{base.get('sha256', '')}`",
        "dataset": f"fingerprint `{about.dataset.get('fingerprint', 'not known')}`",
        "evaluation": f"`{about.verdict.fingerprint}`",
        # Not where it lies: a card is given away.
        "trainer": " ".join(str(trainer[key]) for key in ("script", "version") if trainer.get(key)),
        "made with": f"orchestrator {__version__}",
    }
    return "\n".join(f"- {name}: {value}" for name, value in rows.items() if value)


def _listed(title: str, sentences: Sequence[str]) -> str:
    return f"{title}:\n\n" + "\n".join(f"- {sentence}" for sentence in sentences) if sentences else ""


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    # A1111 lists what ends in .safetensors: a half-written copy must not.
    with beside(target, ".part") as half:
        shutil.copyfile(source, half)
