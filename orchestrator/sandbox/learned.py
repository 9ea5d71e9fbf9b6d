"""What a simulated LoRA file holds, how it is learned from real pictures, and how it is kept in real tensors."""

from __future__ import annotations

import json
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean, pstdev
from typing import TYPE_CHECKING, Any

from .drawing.chance import normal, uniform
from .person import RGB, Person, from_values, mean_person, person_of, to_values
from .portrait import FRAMINGS, Framing, Garment, Scene
from .worlds import World

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from .look import Seen

    Tensor = NDArray[np.float32]


LOOKED_CLOSELY = 6
"""Pictures of a dataset whose face is read with care; it costs some tenths of a second for each."""


@dataclass(frozen=True)
class Group:
    """What was learned about one framing."""

    framing: Framing
    share: float
    """Share of this framing among the training pictures (counted with repeats), 0 … 1."""
    roll_deg: float
    """Mean head tilt, + = clockwise on screen."""
    roll_sd: float


@dataclass(frozen=True)
class Learned:
    """Everything a simulated LoRA does to a picture. Shares and diversities lie in 0 … 1."""

    person: Person
    firmness: float
    """How well the pictures agree about who it is."""
    groups: tuple[Group, ...]
    background_colour: RGB
    scene: Scene
    background_diversity: float
    outfit_colour: RGB
    garment: Garment
    outfit_diversity: float
    smile: float
    trigger: str
    """The first phrase most captions begin with; empty when there are no captions."""
    words: tuple[str, ...]
    """The other phrases of the captions, the most frequent first."""
    epoch: int
    progress: float
    """epoch / planned epochs, 0 … 1."""

    def group(self, framing: Framing) -> Group:
        """What was learned about this framing; where it was never shown, the mean of what was."""
        for group in self.groups:
            if group.framing == framing:
                return group
        if not self.groups:
            return Group(framing, 0.0, 0.0, 6.0)
        total = sum(group.share for group in self.groups) or 1.0
        mean = sum(group.share * group.roll_deg for group in self.groups) / total
        return Group(framing, 0.0, mean, 4.0)


def learn(
    pictures: Sequence[tuple[Path, str]],
    repeats: Sequence[int] | None = None,
    *,
    epoch: int,
    epochs: int,
    world: World = "story",
) -> Learned:
    """What a LoRA knows after `epoch` of `epochs`, from the pictures' pixels and captions.

    `pictures`: (file, caption). `repeats`: how often each is shown in an epoch (default 1). `world` is accepted so that
    callers pass one set of arguments everywhere; worlds differ in what a LoRA does, not in what it learns.
    Raises ValueError for no pictures, a wrong number of repeats, or an epoch outside 1 … epochs; OSError for a picture
    that cannot be read.
    """
    if not pictures:
        raise ValueError("no pictures to learn from")
    counts = list(repeats) if repeats is not None else [1] * len(pictures)
    if len(counts) != len(pictures):
        raise ValueError(f"{len(pictures)} pictures but {len(counts)} repeats")
    if not 1 <= epoch <= epochs:
        raise ValueError(f"epoch {epoch} is outside 1 … {epochs}")
    from .look import look_at_file

    seen = [(look_at_file(path), max(1, count)) for path, count in zip((p for p, _ in pictures), counts, strict=True)]
    trigger, words = caption_words([caption for _, caption in pictures])
    faces = [(one, count) for one, count in seen if one.found]
    if not faces:
        return foreign("".join(sorted(path.name for path, _ in pictures)), trigger, words, epoch, epoch / epochs)
    paths = [path for (path, _), (one, _) in zip(pictures, seen, strict=True) if one.found]
    person = _person_of(paths, [one for one, _ in faces])
    return _summary(faces, person, trigger, words, epoch, epoch / epochs)


def _person_of(paths: Sequence[Path], seen: Sequence[Seen]) -> Person:
    """Who the pictures show: all of them at a glance, and the `LOOKED_CLOSELY` clearest with care."""
    from .look import person_in_file

    glance = mean_person([one.person for one in seen])
    ranked = sorted(range(len(seen)), key=lambda index: -seen[index].sureness)
    # Spread over the ranking rather than its top: the mean must stand for all of the pictures.
    step = max(1, len(ranked) // LOOKED_CLOSELY)
    chosen = ranked[::step][:LOOKED_CLOSELY]
    care = mean_person([person_in_file(paths[index]) for index in chosen])
    chosen_glance = mean_person([seen[index].person for index in chosen])
    triples = zip(to_values(glance), to_values(care), to_values(chosen_glance), strict=True)
    return from_values([all_ + (close - first) for all_, close, first in triples])


def _summary(
    faces: Sequence[tuple[Seen, int]], person: Person, trigger: str, words: tuple[str, ...], epoch: int, progress: float
) -> Learned:
    shown = [one for one, count in faces for _ in range(min(count, 50))]
    columns = zip(*(to_values(one.person) for one in shown), strict=True)
    scatter = fmean(pstdev(column) for column in columns)
    groups = []
    for framing in FRAMINGS:
        rolls = [one.roll_deg for one in shown if one.framing == framing]
        if rolls:
            groups.append(Group(framing, len(rolls) / len(shown), fmean(rolls), pstdev(rolls)))
    scenes = Counter(one.background.scene for one in shown)
    garments = Counter(one.outfit.garment for one in shown)
    return Learned(
        person=person,
        firmness=max(0.2, min(1.0, 1.25 - 2.0 * scatter)),
        groups=tuple(groups),
        background_colour=_mean_colour([one.background.colour for one in shown]),
        scene=scenes.most_common(1)[0][0],
        background_diversity=_diversity([one.background.colour for one in shown], scenes),
        outfit_colour=_mean_colour([one.outfit.colour for one in shown]),
        garment=garments.most_common(1)[0][0],
        outfit_diversity=_diversity([one.outfit.colour for one in shown], garments),
        smile=fmean(one.smile for one in shown),
        trigger=trigger,
        words=words,
        epoch=epoch,
        progress=progress,
    )


def caption_words(captions: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    """The trigger (the phrase most captions begin with) and the other phrases, the most frequent first."""
    split = [[part.strip() for part in caption.split(",") if part.strip()] for caption in captions]
    firsts = Counter(parts[0] for parts in split if parts)
    trigger = firsts.most_common(1)[0][0] if firsts else ""
    others = Counter(part for parts in split for part in parts if part != trigger)
    return trigger, tuple(word for word, _ in others.most_common(24))


def starter(
    person_seed: int,
    trigger: str,
    close_up_roll_deg: float = 14.0,
    close_up_roll_sd: float = 1.5,
    other_roll_deg: float = 2.0,
    epoch: int = 40,
    progress: float = 0.75,
) -> Learned:
    """A LoRA as somebody would bring it along: made from dials instead of pictures.

    By default the close-ups are locked at a tilt, as in the story the demo retells.
    """
    return Learned(
        person=person_of(person_seed),
        firmness=1.0,
        groups=(
            Group("close-up", 10 / 23, close_up_roll_deg, close_up_roll_sd),
            Group("upper body", 8 / 23, other_roll_deg, 3.0),
            Group("full body", 5 / 23, 0.0, 3.0),
        ),
        background_colour=(196, 200, 206),
        scene="gradient",
        background_diversity=0.75,
        outfit_colour=(70, 98, 140),
        garment="sweater",
        outfit_diversity=0.65,
        smile=0.35,
        trigger=trigger,
        words=("close-up", "upper body", "full body"),
        epoch=epoch,
        progress=progress,
    )


def foreign(
    content: str, trigger: str = "", words: tuple[str, ...] = (), epoch: int = 1, progress: float = 0.3
) -> Learned:
    """A mild effect decided by a hash, for a LoRA file (or pictures) the sandbox knows nothing about."""
    return Learned(
        person=person_of(int(uniform("foreign", content) * 2**31)),
        firmness=0.3,
        groups=(Group("upper body", 1.0, 2.0 * normal("foreign roll", content), 5.0),),
        background_colour=(188, 190, 194),
        scene="plain",
        background_diversity=0.9,
        outfit_colour=(110, 112, 118),
        garment="t-shirt",
        outfit_diversity=0.9,
        smile=0.3,
        trigger=trigger,
        words=words,
        epoch=epoch,
        progress=progress,
    )


# ── tensors ──────────────────────────────────────────────────────────────────────────────────────────────────────────

_MAGIC = b"SIMLORA1"

_MODULES: dict[str, tuple[int, int]] = {
    **{f"lora_te_text_model_encoder_layers_{i}_self_attn_{p}_proj": (768, 768) for i in (0, 5, 11) for p in "qkv"},
    **{f"lora_te_text_model_encoder_layers_{i}_mlp_fc1": (768, 3072) for i in (0, 11)},
    **{
        f"lora_unet_{block}_attentions_{a}_transformer_blocks_0_attn{n}_to_{p}": (
            768 if n == 2 and p in "kv" else width,
            width,
        )
        for block, width in (("down_blocks_0", 320), ("down_blocks_1", 640), ("up_blocks_3", 320))
        for a in (0, 1)
        for n in (1, 2)
        for p in "qkv"
    },
}
"""SD 1.5 module names as sd-scripts writes them -> (inputs, outputs). A selection: all 264 would only fill the disk."""


def tensors(learned: Learned, dim: int, alpha: float, seed: int, *, parts: str = "lora_") -> dict[str, Tensor]:
    """The LoRA as float32 tensors under sd-scripts' names (`….lora_down.weight`, `….lora_up.weight`, `….alpha`); only
    of the modules whose names begin with `parts`.

    What was learned is carried by the signs of the `lora_up` weights, so it survives saving as fp16 or bf16 and
    scaling; their size grows with progress. `dim`: rank, at least 1. Raises ValueError for a smaller one.
    """
    import numpy as np

    if dim < 1:
        raise ValueError(f"the rank must be at least 1, not {dim}")
    random = np.random.default_rng(abs(seed))
    bits = np.unpackbits(np.frombuffer(_packed(learned), dtype=np.uint8)).astype(np.float32) * 2.0 - 1.0
    size = 0.004 + 0.012 * learned.progress
    made: dict[str, Tensor] = {}
    start = 0
    for name in sorted(name for name in _MODULES if name.startswith(parts)):
        inputs, outputs = _MODULES[name]
        up = (size * (0.25 + np.abs(random.standard_normal((outputs, dim), dtype=np.float32)))).astype(np.float32)
        signs = np.where(random.random(up.size) < 0.5, -1.0, 1.0).astype(np.float32)
        here = bits[start : start + up.size]
        signs[: here.size] = here
        start += here.size
        made[f"{name}.alpha"] = np.asarray(alpha, dtype=np.float32)
        made[f"{name}.lora_down.weight"] = (
            random.standard_normal((dim, inputs), dtype=np.float32) * (inputs**-0.5)
        ).astype(np.float32)
        made[f"{name}.lora_up.weight"] = up * signs.reshape(up.shape)
    return made


def from_tensors(mapping: Mapping[str, Any]) -> Learned | None:
    """What a file made by `tensors` holds; None for any other LoRA file, or a damaged one."""
    import numpy as np

    ups = [
        np.asarray(mapping[key], dtype=np.float32).ravel() for key in sorted(mapping) if key.endswith(".lora_up.weight")
    ]
    if not ups:
        return None
    signs = np.concatenate(ups)
    if not np.isfinite(signs).all() or signs.size < 1024:
        return None
    return _unpacked(np.packbits(signs > 0).tobytes())


def _packed(learned: Learned) -> bytes:
    content = asdict(learned) | {"person": [round(value, 5) for value in to_values(learned.person)]}
    blob = zlib.compress(json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode("utf-8"), 9)
    return _MAGIC + len(blob).to_bytes(4, "big") + zlib.crc32(blob).to_bytes(4, "big") + blob


def _unpacked(packed: bytes) -> Learned | None:
    if packed[:8] != _MAGIC:
        return None
    length = int.from_bytes(packed[8:12], "big")
    blob = packed[16 : 16 + length]
    if len(blob) != length or zlib.crc32(blob) != int.from_bytes(packed[12:16], "big"):
        return None
    content = json.loads(zlib.decompress(blob))
    content["person"] = from_values(content["person"])
    content["groups"] = tuple(Group(**group) for group in content["groups"])
    for name in ("background_colour", "outfit_colour", "words"):
        content[name] = tuple(content[name])
    return Learned(**content)


def _mean_colour(colours: Sequence[RGB]) -> RGB:
    red, green, blue = (round(fmean(channel)) for channel in zip(*colours, strict=True))
    return red, green, blue


def _diversity(colours: Sequence[RGB], kinds: Mapping[Any, int]) -> float:
    """0 all the same … 1 as mixed as it gets: the spread of the colours and of the kinds."""
    spread = fmean(pstdev(channel) for channel in zip(*colours, strict=True)) / 45.0
    total = sum(kinds.values())
    mixed = 1.0 - sum((count / total) ** 2 for count in kinds.values())
    return max(0.0, min(1.0, 0.6 * spread + 0.6 * mixed))
