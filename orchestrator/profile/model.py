"""The profile: everything a user asks for, as one frozen tree of models.

Read `Profile` first. Texts of prompts and captions may hold `{trigger}`, `{name}` and `{version}`; `Profile.fill` puts
them in.
"""

from __future__ import annotations

import unicodedata
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    field_validator,
    model_validator,
)

from orchestrator.files import file_stem

Framing = Literal["close-up", "upper body", "full body"]
#: What a picture of an evaluation round must show; `orchestrator.evaluation` knows the tags of each.
Expectation = Literal[
    "hand raised", "arms crossed", "hand on hip", "smile", "looking up", "close-up", "upper body", "full body"
]

#: What becomes of the corners a turned picture leaves empty.
Corners = Literal["crop", "reflect", "outpaint"]

#: A1111 takes seeds up to int64 and answers 500 beyond (observed on 1.10.1).
Seed = Annotated[int, Field(ge=0, le=2**63 - 1)]
#: A LoRA's weight as A1111 applies it; the article's grids run from 0.2 to 1.0.
Weight = Annotated[float, Field(ge=-2.0, le=4.0)]
Name = Annotated[str, Field(min_length=1, max_length=80)]
Epoch = Annotated[int, Field(ge=1, le=100_000)]


class _Part(BaseModel):
    # Built at the first use: a command that needs one part must not wait for all of them.
    model_config = ConfigDict(
        frozen=True, extra="forbid", str_strip_whitespace=True, use_attribute_docstrings=True, defer_build=True
    )


class Subject(_Part):
    """Who or what the LoRA is about, and which attempt this is."""

    name: Annotated[str, Field(min_length=1, max_length=80, pattern=r'^[^<>:"/\\|?*,(){}\[\]\x00-\x1f]+$')] = "ai_model"
    """Goes into file names and LoRA tags, so the characters these cannot hold are refused."""
    version: Annotated[str, Field(pattern=r"^v\d+[a-z0-9._-]*$")] = "v1"
    """v1, v2, … (v3b is fine too); part of the names of everything this version makes."""
    trigger: Name = "{name}_{version}"
    """The word that calls the subject; with name and version in it, two versions never share one."""


class Base(_Part):
    """The checkpoint everything builds on."""

    checkpoint: str = ""
    """As A1111 lists it (title, name or file name); empty = the one loaded now."""
    path: str = ""
    """The file sd-scripts trains on; empty = the file A1111 names for `checkpoint`."""
    vae: str = ""
    """As A1111 lists it; empty = whatever A1111 is set to."""
    clip_l: str = ""
    """Flux and SD3: the file of the first text encoder."""
    clip_g: str = ""
    """SD3: the file of the second text encoder."""
    t5xxl: str = ""
    """Flux and SD3: the file of the T5 text encoder."""
    ae: str = ""
    """Flux: the file of the autoencoder."""


class Generation(_Part):
    """How every picture is drawn unless a part below says otherwise."""

    negative_prompt: str = ""
    """Shared by every picture."""
    sampler: Name = "DPM++ 2M"
    """As A1111 lists it, without the schedule: upper and lower case matter, aliases do not work."""
    scheduler: Name = "Karras"
    """The schedule, by A1111's name or label."""
    steps: Annotated[int, Field(ge=1, le=150)] = 28
    """Sampling steps."""
    cfg_scale: Annotated[float, Field(ge=1.0, le=30.0)] = 6.0
    """How strictly the prompt is followed."""
    width: Annotated[int, Field(ge=64, le=4096, multiple_of=8)] = 512
    """Pixels; A1111 would silently round to a multiple of 8."""
    height: Annotated[int, Field(ge=64, le=4096, multiple_of=8)] = 512
    """Pixels, a multiple of 8."""
    clip_skip: Annotated[int, Field(ge=1, le=12)] = 1
    """Last layers of the text encoder left out + 1, as in A1111's settings."""


class UsedLora(_Part):
    """A LoRA file that A1111 already has, used to make pictures (the version before this one)."""

    name: Name
    """The file's stem as A1111 lists it; never the alias, which all epochs of a run share."""
    weight: Weight = 1.0
    """How strongly it acts; 1 = as trained."""


class PictureSet(_Part):
    """Pictures to make: txt2img, or made from another set's pictures when `source` is given (straightened, varied by
    img2img, or both).
    """

    name: Name
    """The set's name and its folder under pictures/."""
    prompt: str = ""
    """May be empty only where nothing is drawn: a set that straightens its source and does no more."""
    count: Annotated[int, Field(ge=0, le=10_000)] = 0
    """How many pictures; seeds rise from `first_seed`. With a source: how many in total, dealt evenly over the source's
    pictures; 0 = one for each of them."""
    seeds_each: Annotated[int, Field(ge=0, le=10_000)] = 0
    """Instead of `count`: every source picture with every change and this many seeds (the same for all of them)."""
    first_seed: Seed = 1
    """The seed of the first picture; the others follow."""
    loras: tuple[UsedLora, ...] = ()
    """LoRA files to draw with; never write <lora:…> into the prompt itself."""
    source: str = ""
    """The picture set whose pictures are varied (img2img); empty = drawn from nothing (txt2img)."""
    changes: tuple[str, ...] = ()
    """Words added to the prompt one after the other over the pictures, so that only the subject stays the same."""
    denoising_strength: Annotated[float, Field(ge=0.0, le=1.0)] = 0.45
    """How far a variation may leave its source: 0 = not at all, 1 = only the prompt counts."""
    mask: str = ""
    """A picture whose white part is drawn anew while the black part stays; a relative path starts at the workspace."""
    mask_blur: Annotated[int, Field(ge=0, le=64)] = 4
    """How many pixels the mask's edge is softened by."""
    straighten: bool = False
    """Turn each source picture until its face is upright, before it is varied."""
    identity_floor: Annotated[float, Field(ge=0.0, le=1.0)] | Literal["own"] | None = None
    """How like its source's face (1 = the same, 0 = nothing alike) a varied picture must stay; those below are set
    aside in the folder `refused` and shown on a sheet. "own" = as like as the source set's pictures are among each
    other. Empty = not looked at.
    """
    corners: Corners = "crop"
    """What a straightened picture has where it was turned beyond its edge: cropped away; filled with its mirror image
    (`reflect`), which keeps the framing; or drawn anew by A1111 by this set's prompt (`outpaint`).
    """
    batch_size: Annotated[int, Field(ge=1, le=16)] = 1
    """Pictures the card draws at once: faster, but the pixels differ a little from those drawn one by one."""
    alwayson_scripts: dict[str, Any] = Field(default_factory=dict)
    """For the webui's extensions (ADetailer, ControlNet …), passed on as they are: name → { args = [ … ] }."""
    picked: bool = False
    """Nothing is drawn: `orchestrator pictures pick` fills the set."""

    @model_validator(mode="after")
    def _can_be_made(self) -> PictureSet:
        if self.picked:
            if self.model_fields_set - {"name", "picked"}:
                raise ValueError("a picked set is filled by hand: leave everything but its name out")
            return self
        if self.straighten and not self.source:
            raise ValueError("straighten needs a source: the picture set whose pictures are turned upright")
        if self.identity_floor is not None and not (self.source and self.prompt):
            raise ValueError("identity_floor compares varied pictures with their sources: give a source and a prompt")
        if self.corners != "crop" and not self.straighten:
            raise ValueError("corners only matter with straighten = true")
        if self.corners == "outpaint" and (not self.prompt or self.mask):
            raise ValueError("outpaint draws the corners by the prompt: give one, and no mask of your own")
        if self.mask and not self.source:
            raise ValueError("mask needs a source: the picture set whose pictures are changed in part")
        if not self.prompt and not (self.source and self.straighten):
            raise ValueError("give a prompt")
        if self.count and self.seeds_each:
            raise ValueError("give count (in total) or seeds_each (per picture and change), not both")
        if not self.source and self.count == 0 and self.seeds_each == 0:
            raise ValueError("give a count: how many pictures to draw")
        if self.batch_size > 1 and not self.seeds_each and (self.source or self.changes):
            raise ValueError("batch_size draws seeds of one prompt at once: give seeds_each instead of count")
        if self.first_seed + max(self.count, self.seeds_each, 1) > 2**63:
            raise ValueError("first_seed: the last seed would be larger than A1111 takes")
        return self


class Group(_Part):
    """One group of the dataset: pictures of one framing with one caption."""

    name: Name
    """The group's name and part of its folder's."""
    caption: Annotated[str, Field(min_length=1)] = "{trigger}"
    """One line, the same for every picture of the group that has no caption file of its own."""
    sets: tuple[str, ...] = ()
    """Picture sets the group takes its pictures from, in this order."""
    folders: tuple[str, ...] = ()
    """Folders of the user's own pictures, relative to the workspace or absolute. What `orchestrator dataset import`
    brought into the group is taken too, after these.
    """
    count: Annotated[int, Field(ge=0, le=10_000)] = 0
    """How many pictures to take at most; 0 = all of them."""
    repeats: Annotated[int, Field(ge=1, le=1_000)] = 1
    """How often the trainer sees each picture per epoch."""
    regularisation: bool = False
    """Pictures of the class in general (`a woman`), not of the subject, so that the class does not become the subject:
    give them the class word as caption. sd-scripts then shows as many of them as of the others.
    """
    masks: str = ""
    """What of each picture is learned: a folder of masks with the pictures' names (white = learned, black = not), or
    "alpha" for the pictures' own transparency. Empty = all of it.
    """
    framing: Framing | None = None
    """What the check expects to see; empty = anything."""


class Limits(_Part):
    """What the dataset check warns about. Angles are degrees, + = clockwise on screen."""

    mean_roll: Annotated[float, Field(gt=0, le=90)] = 5.0
    """A group whose mean roll is further from upright than this is called tilted."""
    roll_spread: Annotated[float, Field(gt=0, le=90)] = 6.0
    """… when its rolls also spread less than this, the tilt will be locked into the LoRA."""
    imbalance: Annotated[float, Field(ge=1)] = 1.34
    """The largest group may have this many times the pictures (× repeats) of the smallest."""
    min_side: Annotated[int, Field(ge=64, le=8192)] = 512
    """The short side of a picture, in pixels."""
    duplicate_bits: Annotated[int, Field(ge=0, le=32)] = 6
    """Bits of 64 in which two pictures' difference hashes differ at most to be called duplicates (measured: ≤ 6)."""


class DatasetPlan(_Part):
    """What the LoRA is trained on."""

    resolution: Annotated[int, Field(ge=64, le=4096, multiple_of=64)] = 512
    """Side in pixels of the square the pictures are trained at; others keep their shape at that area."""
    groups: tuple[Group, ...] = ()
    """The groups, in the order of their folders."""
    limits: Limits = Limits()
    """What the check warns about."""
    balance: bool = False
    """Leave out copies, blurred and unreadable pictures and other people, and set the repeats so that the groups are
    seen equally often (`orchestrator dataset balance` says what that would do).
    """
    blocked_tags: tuple[str, ...] = ("1girl", "1boy", "solo", "looking at viewer")
    """What a tagger may say and no caption gets; `*` stands for any letters (`*hair`)."""


class Guard(_Part):
    """What is done while sd-scripts trains and nobody looks."""

    stalled_factor: Annotated[float, Field(ge=5)] = 30.0
    """No step for so many times the usual step's time is a stall …"""
    stalled_minutes: Annotated[float, Field(gt=0)] = 10.0
    """… and at least for so long."""
    start_minutes: Annotated[float, Field(gt=0)] = 30.0
    """How long the start (model, latents) may say nothing."""
    when_stalled: Literal["stop", "wait"] = "stop"
    """`stop` ends the training and keeps what is there; `wait` only says so."""
    out_of_memory: Literal["stop", "retry"] = "stop"
    """`retry` tries once more with the first remedy that fits (gradient checkpointing, 8-bit optimizer, smaller
    batches); `stop` only advises it."""
    restarts: Annotated[int, Field(ge=0, le=100)] = 2
    """How often a training that crashed is started again from its last state without a new epoch in between."""


class Launch(_Part):
    """How the trainer is started."""

    accelerate: bool = False
    """Through accelerate, as kohya_ss does; needed only for several graphics cards."""
    gpus: tuple[Annotated[int, Field(ge=0)], ...] = ()
    """Numbers of the graphics cards; several are trained on together."""
    cpu_threads: Annotated[int, Field(ge=0, le=256)] = 0
    """OMP_NUM_THREADS of the trainer; 0 = as the system is set."""


class Samples(_Part):
    """Pictures sd-scripts draws while it trains."""

    prompts: tuple[str, ...] = ()
    """What is drawn; braces are filled as in every prompt. Empty = nothing is drawn."""
    every_epochs: Annotated[int, Field(ge=0)] = 0
    """After so many epochs each; 0 = whenever a file is saved."""
    sampler: str = "euler_a"
    """By sd-scripts' name."""


class TrainingPlan(_Part):
    """How sd-scripts trains. Names are ours; `orchestrator.training.plan` translates them."""

    preset: str = ""
    """A shipped preset whose values fill in what is not given here (`8gb`, `12gb`); empty = the defaults below."""
    epochs: Epoch = 80
    """Passes over the dataset."""
    save_every: Epoch = 10
    """A LoRA file every so many epochs; the last epoch is always saved."""
    batch_size: Annotated[int, Field(ge=1, le=64)] = 1
    """Pictures per step."""
    dim: Annotated[int, Field(ge=1, le=1024)] = 32
    """Rank of the LoRA (network_dim)."""
    alpha: Annotated[float, Field(gt=0, le=1024)] = 16.0
    """Scales what is learned by alpha / dim (network_alpha)."""
    unet_lr: Annotated[float, Field(gt=0, le=10)] = 1e-4
    """Learning rate of the U-Net; 1.0 for optimizers that find their own (Prodigy, D-Adaptation)."""
    text_encoder_lr: Annotated[float, Field(ge=0, le=10)] = 5e-5
    """Learning rate of the text encoder; 0 = it is not trained."""
    optimizer: Name = "AdamW8bit"
    """By sd-scripts' name; AdamW8bit needs bitsandbytes there."""
    lr_scheduler: Name = "cosine"
    """How the learning rate runs: constant, cosine, …"""
    warmup_steps: Annotated[int, Field(ge=0)] = 0
    """Steps in which the learning rate rises from 0."""
    mixed_precision: Literal["no", "fp16", "bf16"] = "fp16"
    """fp16 halves the memory; bf16 needs an RTX 30 or newer."""
    gradient_checkpointing: bool = False
    """Saves memory, costs time: on for 8 GB, off for 12."""
    clip_skip: Annotated[int, Field(ge=1, le=12)] = 1
    """Last layers of the text encoder left out + 1."""
    seed: Annotated[int, Field(ge=1, le=2**31 - 1)] = 42
    """Of the training."""
    save_state: bool = True
    """Save what a resume needs beside each file (the newest few are kept)."""
    tensorboard: bool = True
    """Write loss and learning rate for TensorBoard, where the trainer's Python has it."""
    guard: Guard = Guard()
    launch: Launch = Launch()
    samples: Samples = Samples()
    extra: dict[str, Any] = Field(default_factory=dict)
    """Further arguments of sd-scripts by their own names, checked against the install before it is started."""


class Excluded(_Part):
    """Cells left out of a grid: those with an epoch AND a weight at or below the given ones (the article: ≤ 20 and ≤
    0.6).
    """

    epoch_up_to: int | None = None
    """This epoch and earlier ones."""
    weight_up_to: float | None = None
    """This weight and lower ones."""

    @model_validator(mode="after")
    def _says_something(self) -> Excluded:
        if self.epoch_up_to is None and self.weight_up_to is None:
            raise ValueError("give epoch_up_to, weight_up_to or both")
        return self

    @property
    def rule(self) -> str:
        """The same as text."""
        parts = [] if self.epoch_up_to is None else [f"epoch <= {self.epoch_up_to}"]
        parts += [] if self.weight_up_to is None else [f"weight <= {self.weight_up_to:g}"]
        return " and ".join(parts)


AxisKind = Literal[
    "epoch", "weight", "version", "lora", "prompt", "replace", "prompt weight", "seed", "sampler", "scheduler", "steps",
    "cfg", "size", "checkpoint", "vae", "clip skip", "denoise", "negative prompt", "styles", "option",
]  # fmt: skip
#: Names of forms in the places of errors (`load` takes them out again): what is a table is judged as one.
FORMS = AS_TABLE, AS_LIST, AS_TEXT = "as a table", "as a list", "as text"


def _form(value: Any) -> str | None:
    if isinstance(value, dict | BaseModel):
        return AS_TABLE
    return AS_LIST if isinstance(value, list | tuple) else AS_TEXT if isinstance(value, str) else None


def _values(value: Any) -> Any:
    each = value if isinstance(value, list | tuple) else [value]
    if not all(isinstance(one, str | int | float) and not isinstance(one, bool) for one in each):
        raise ValueError("write a list of texts or numbers, or a text such as 10-80 (+10)")
    return value


AxisValues = Annotated[str | int | float | tuple[str | int | float, ...], BeforeValidator(_values)]


class GridAxis(_Part):
    """One axis of a grid."""

    kind: AxisKind
    """What it varies."""
    values: AxisValues
    """A list, or text: `10-80 (+10)` by a step, `0.2-1.0 [5]` so many, `1-10`, `a, b`, `"one, with a comma", b`."""
    name: str = ""
    """What labels and rules call it; empty = its kind."""
    of: str = ""
    """Of `option` the option's name, of `prompt weight` the phrase."""


class GridPlan(_Part):
    """A comparison grid. The short form is epoch × weight × seed; `axes` vary anything else."""

    name: Name
    """Names its sheets and its folder."""
    prompt: str = ""
    """Of every cell, unless an axis gives prompts; the baseline goes without the trigger."""
    negative_prompt: str | None = None
    """Empty text = none; left out = that of [generation]."""
    seeds: Annotated[tuple[Seed, ...], Field(min_length=1)] = (123456789,)
    """One page for each."""
    epochs: tuple[Epoch, ...] = ()
    """Empty = every saved epoch. With `axes` it counts only where it is written."""
    weights: Annotated[tuple[Weight, ...], Field(min_length=1)] = (0.2, 0.4, 0.6, 0.8, 1.0)
    """The columns. With `axes` they count only where they are written."""
    axes: Annotated[
        Annotated[dict[str, AxisValues], Tag(AS_TABLE)] | Annotated[tuple[GridAxis, ...], Tag(AS_LIST)],
        Discriminator(
            _form, custom_error_type="axes", custom_error_message='write them as { steps = "10-40 (+10)", … }'
        ),
    ] = ()
    """Further axes, in their order: `{ steps = "10-40 (+10)", cfg = "4, 6, 8" }`, or tables `[[grids.axes]]`."""
    x: str = ""
    """The axis that lies across, by kind or name; empty = the second."""
    y: str = ""
    """The axis that lies down; empty = the first. The others are pages."""
    baseline: bool | None = None
    """Whether there are cells without LoRA and trigger; left out = wherever a LoRA is varied."""
    exclude: tuple[
        Annotated[
            Annotated[str, Tag(AS_TEXT)] | Annotated[Excluded, Tag(AS_TABLE)],
            Discriminator(_form, custom_error_type="rule", custom_error_message="write a rule: epoch <= 20"),
        ],
        ...,
    ] = ()
    """Cells that need not be drawn, as rules over the axes: `epoch <= 20 and weight <= 0.6`."""
    loras: tuple[UsedLora, ...] = ()
    """Further LoRA files every cell but the baseline is drawn with."""
    init: str = ""
    """The picture img2img starts from; a relative path starts at the workspace. Empty = txt2img."""
    denoising_strength: Annotated[float, Field(ge=0.0, le=1.0)] = 0.45
    """With `init`: how far it may be left."""

    @field_validator("seeds", "epochs", "weights")
    @classmethod
    def _no_repeats(cls, values: tuple[float, ...]) -> tuple[float, ...]:
        if len(set(values)) != len(values):
            raise ValueError("a value stands here twice")
        return values


class Scouting(_Part):
    """The hunt, without LoRA, for seeds that obey the poses at all."""

    candidates: Annotated[int, Field(ge=1, le=10_000)] = 64
    """How many seeds are tried."""
    first_seed: Seed = 1000
    """The first of them; the others follow."""
    keep: Annotated[int, Field(ge=2, le=1_000)] = 24
    """How many obeying seeds the rounds use; a race begins with few of them. The other ones confirm its winner."""


class Round(_Part):
    """One evaluation round: a pose every cell is asked for."""

    name: Name
    """How the verdict calls it."""
    prompt: Annotated[str, Field(min_length=1)]
    """What every cell is asked for."""
    expects: Expectation
    """What the pictures must show."""


class Racing(_Part):
    """How the rounds are drawn: few seeds for every cell, more only for cells that may still be the best, and one
    confirmation.
    """

    on: bool = True
    """`false` draws every cell on every seed, whatever it costs."""
    start: Annotated[int, Field(ge=2, le=1_000)] = 4
    """Seeds every cell is drawn on."""
    step: Annotated[int, Field(ge=1, le=1_000)] = 4
    """Further seeds at each look for cells that may still be the best, up to `scouting.keep`."""
    confirm: Annotated[int, Field(ge=0, le=1_000)] = 16
    """Fresh seeds the best three are compared on once, at the end: of those that obey and are not kept. 0 = none."""
    budget: Annotated[int, Field(ge=1, le=1_000_000)] = 900
    """Pictures the rounds may take in all."""


class Evaluation(_Part):
    """The final test: rounds × scouted seeds × epochs × weights."""

    rounds: tuple[Round, ...] = ()
    """The poses."""
    epochs: tuple[Epoch, ...] = ()
    """Empty = every saved epoch."""
    weights: Annotated[tuple[Weight, ...], Field(min_length=1)] = (0.4, 0.6, 0.8, 1.0)
    """The weights to test."""
    racing: Racing = Racing()


class VerdictPlan(_Part):
    """How the verdict weighs what was measured. The three shares are scaled to sum to 1."""

    identity: Annotated[float, Field(ge=0)] = 0.5
    """Share of being the same person."""
    obedience: Annotated[float, Field(ge=0)] = 0.4
    """Share of doing what the prompt says."""
    upright: Annotated[float, Field(ge=0)] = 0.1
    """Share of holding the head straight."""
    practical_tie: Annotated[float, Field(gt=0, lt=1)] = 0.01
    """Differences of utility (0…1) below this do not matter in practice."""
    confidence: Annotated[float, Field(ge=0.5, lt=1)] = 0.95
    """Of every interval."""
    min_face_rate: Annotated[float, Field(ge=0, le=1)] = 0.8
    """Cells in which a face was found in fewer pictures than this are out of the ranking."""

    @model_validator(mode="after")
    def _weighs_something(self) -> VerdictPlan:
        if self.identity + self.obedience + self.upright <= 0:
            raise ValueError("identity, obedience and upright are all 0: nothing would be weighed")
        return self


class Profile(_Part):
    """What the user asks for, from the first picture to the verdict."""

    subject: Subject = Subject()
    base: Base = Base()
    generation: Generation = Generation()
    pictures: tuple[PictureSet, ...] = ()
    dataset: DatasetPlan = DatasetPlan()
    training: TrainingPlan = TrainingPlan()
    grids: tuple[GridPlan, ...] = ()
    scouting: Scouting = Scouting()
    evaluation: Evaluation = Evaluation()
    verdict: VerdictPlan = VerdictPlan()

    @property
    def trigger(self) -> str:
        """The trigger word with name and version put in."""
        return _fill(self.subject.trigger, name=self.subject.name, version=self.subject.version)

    @property
    def run_name(self) -> str:
        """The name of this version's training run and of its LoRA files."""
        return f"{self.subject.name}_{self.subject.version}"

    def fill(self, text: str) -> str:
        """`text` with `{trigger}`, `{name}` and `{version}` put in. Other braces stay as they are: prompts use them."""
        return _fill(text, trigger=self.trigger, name=self.subject.name, version=self.subject.version)

    def picture_set(self, name: str) -> PictureSet | None:
        """The picture set of that name."""
        return next((s for s in self.pictures if s.name == name), None)

    @model_validator(mode="after")
    def _names_agree(self) -> Profile:
        problems: list[str] = []
        for place, names in (
            ("pictures", [s.name for s in self.pictures]),
            ("grids", [g.name for g in self.grids]),
            ("dataset.groups", [g.name for g in self.dataset.groups]),
        ):
            problems += [*_repeated(place, names), *_sharing_a_folder(place, names)]
        problems += _repeated("evaluation.rounds", [r.name for r in self.evaluation.rounds])
        earlier: set[str] = set()
        for picture_set in self.pictures:
            if picture_set.source and picture_set.source not in earlier:
                problems.append(
                    f"pictures.{picture_set.name}.source: no picture set {picture_set.source!r} stands above it"
                )
            earlier.add(picture_set.name)
        for group in self.dataset.groups:
            problems += [
                f"dataset.groups.{group.name}.sets: there is no picture set {name!r}"
                for name in group.sets
                if name not in earlier
            ]
        if problems:
            raise ValueError("\n".join(problems))
        return self


def _fill(text: str, **values: str) -> str:
    # Not str.format: prompts hold braces of their own (dynamic prompts), and a stray one must not raise.
    for key, value in values.items():
        text = text.replace("{" + key + "}", value)
    return text


def _repeated(place: str, names: list[str]) -> list[str]:
    seen: set[str] = set()
    twice: list[str] = []
    for name in names:
        if name.casefold() in seen:
            twice.append(f"{place}: the name {name!r} stands twice")
        seen.add(name.casefold())
    return twice


def _sharing_a_folder(place: str, names: list[str]) -> list[str]:
    """Different names that come to the same folder; Windows and macOS take no notice of upper and lower case."""
    first: dict[str, str] = {}
    shared: list[str] = []
    for name in names:
        earlier = first.setdefault(unicodedata.normalize("NFC", file_stem(name)).casefold(), name)
        if earlier.casefold() != name.casefold():
            shared.append(f"{place}: the names {earlier!r} and {name!r} give the same folder")
    return shared
