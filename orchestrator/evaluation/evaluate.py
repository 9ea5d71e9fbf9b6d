"""The arrow from LoRA files to the verdict: scout, draw the rounds, measure, judge, keep."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from orchestrator.evaluation.identity import Anchors, find_centres
from orchestrator.evaluation.inputs import fingerprint, lora_files
from orchestrator.evaluation.judge import score
from orchestrator.evaluation.meanwhile import measured_meanwhile
from orchestrator.evaluation.observations import BASELINE, CellId, Observation
from orchestrator.evaluation.racing import run_race
from orchestrator.evaluation.records import check_scouted_for, write_observations, write_scout, write_verdict
from orchestrator.evaluation.rounds import Observed, Place, Shown, observe, plan_rounds
from orchestrator.evaluation.scout import Draws, Look, ScoutResult, scout
from orchestrator.evaluation.verdict import Verdict
from orchestrator.evaluation.weighing import judge
from orchestrator.grid.cells import DeployedLora, MakeRecipe
from orchestrator.profile.model import Profile, Round
from orchestrator.render.engine import OnPicture, Picture
from orchestrator.tagging.asking import Tagged, TagServer, tag_pictures
from orchestrator.tagging.tags import FRAMINGS
from orchestrator.vision.model import NOT_MEASURED, Measurement
from orchestrator.workspace import Workspace

OnLooked = Callable[[Path], None]
OnPart = Callable[[int], None]
At = tuple[CellId, str, int]
#: Pictures → measurements, in their order; `orchestrator.vision.measure` with its cache filled in.
Measure = Callable[[Sequence[Path], OnLooked | None], Sequence[Measurement]]


@dataclass(frozen=True)
class Eyes:
    """What looks at pictures: faces by `measure`, tags by the server's tagger (`model` empty = the best it has)."""

    measure: Measure
    server: TagServer
    #: Folder of answers already got.
    cache: Path
    #: Folder that remembers changed options of the server until they are back.
    journals: Path
    model: str = ""

    def tags(self, pictures: Sequence[Path], on_tagged: OnLooked | None = None) -> Tagged:
        """The tags of the pictures."""
        return tag_pictures(pictures, self.server, self.cache, self.journals, model=self.model, on_tagged=on_tagged)


def workspace_eyes(workspace: Workspace, server: TagServer, *, model: str = "") -> Eyes:
    """The eyes of a workspace: its cache of measurements and tags, the vision extra where it is installed."""

    def measure(pictures: Sequence[Path], on_measured: OnLooked | None = None) -> Sequence[Measurement]:
        from orchestrator.vision import measure as measure_faces

        tell = None if on_measured is None else (lambda path, seen: on_measured(path))
        return measure_faces(list(pictures), workspace.cache, on_measured=tell)

    return Eyes(measure, server, workspace.tags, workspace.journals, model)


def scout_seeds(
    profile: Profile,
    workspace: Workspace,
    make_recipe: MakeRecipe,
    renderer: Draws,
    eyes: Eyes,
    *,
    on_picture: OnPicture | None = None,
    on_tagged: OnLooked | None = None,
) -> ScoutResult:
    """Find the seeds that obey the profile's rounds without LoRA, and keep them in the workspace."""

    def look_at(drawn: Sequence[tuple[Picture, Round]]) -> list[Look]:
        paths = [picture.path for picture, _ in drawn]
        tagged = eyes.tags(paths, on_tagged)
        # Faces decide framings only; a pose is the tagger's, and seeds are scouted without an identity to compare.
        faces = any(round_.expects in FRAMINGS for round_ in profile.evaluation.rounds)
        measured = eyes.measure(paths, None) if faces else [None] * len(paths)
        looks = []
        for (_, round_), tags, seen in zip(drawn, tagged.tags, measured, strict=True):
            found = score(round_.expects, tags, tagged.known, seen)
            looks.append(
                Look(
                    None if found is None else found >= tagged.seen_from,
                    found,
                    tagged.not_measured if found is None else "",
                )
            )
        return looks

    result = scout(
        profile.evaluation.rounds,
        profile.scouting,
        make_recipe,
        renderer,
        look_at,
        trigger=profile.trigger,
        fill=profile.fill,
        on_picture=on_picture,
    )
    write_scout(workspace, profile.subject.version, result, fingerprint(profile, make_recipe))
    return result


def evaluate(
    profile: Profile,
    workspace: Workspace,
    seeds: Sequence[int],
    loras: Sequence[DeployedLora],
    references: Sequence[Path],
    make_recipe: MakeRecipe,
    renderer: Draws,
    eyes: Eyes,
    *,
    fresh: Sequence[int] = (),
    on_part: OnPart | None = None,
    on_picture: OnPicture | None = None,
    on_tagged: OnLooked | None = None,
    on_measured: OnLooked | None = None,
) -> Verdict:
    """Race the cells over `seeds`, confirm on `fresh`, judge, and keep observations and verdict in the workspace.

    `references`: the dataset's pictures, whose faces are the identity wanted. `on_part`: told how many pictures come
    next, before each look. Raises `InputError` when there is nothing to test, `WorkspaceError` when the version's seeds
    were scouted for other rounds, and whatever the renderer and the server raise; pictures and measurements got until
    then are kept, so that the same call goes on where it was stopped.
    """
    made_from = fingerprint(profile, make_recipe)
    check_scouted_for(workspace, profile.subject.version, made_from)
    plan, racing = profile.evaluation, profile.evaluation.racing
    every = (*seeds, *(seed for seed in fresh if seed not in set(seeds)))
    places = plan_rounds(plan, every, loras, make_recipe, trigger=profile.trigger, fill=profile.fill)
    cells = tuple(dict.fromkeys(place.cell for place in places if not place.cell.is_baseline))
    shown: dict[At, Shown] = {}
    observed = Observed((), Anchors(), ())
    tagging = Tagged(())
    trained_on = eyes.measure(list(references), None)
    wanted = _dataset(trained_on)

    def see(asked: Mapping[CellId, Sequence[int]]) -> Sequence[Observation]:
        nonlocal observed, tagging
        on = {cell: set(of) for cell, of in asked.items()}
        ours = [place for place in places if place.seed in on.get(place.cell, ())]
        new = [place for place in ours if _at(place) not in shown]
        if on_part is not None:
            on_part(len(new))
        tagging = _show(new, shown, renderer, eyes, tagging, on_picture, on_tagged, on_measured)
        seen = [shown[_at(place)] for place in ours]
        found = observe(ours, seen, plan.rounds, wanted, tagging.known, tagging.seen_from, trained_on)
        said = (*found.not_measured, *_reasons(tagging, (s.measurement for s in seen if s.measurement)))
        observed = Observed(found.observations, found.anchors, tuple(dict.fromkeys(said)))
        return observed.observations

    if racing.on:
        verdict = run_race(
            cells, seeds, fresh, len(plan.rounds), racing, profile.verdict, see, lambda: observed.not_measured
        )
    else:
        see(dict.fromkeys((*cells, BASELINE), tuple(seeds)))
        verdict = judge(
            observed.observations,
            profile.verdict,
            not_measured=observed.not_measured,
            unconfirmed="`racing` is off in the profile",
        )
    files = lora_files(places)
    verdict = replace(verdict, fingerprint=made_from, lora_files=files)
    write_observations(workspace, profile.subject.version, observed.observations, observed.anchors, made_from, files)
    write_verdict(workspace, profile.subject.version, verdict)
    return verdict


def _show(
    new: Sequence[Place],
    shown: dict[At, Shown],
    renderer: Draws,
    eyes: Eyes,
    before: Tagged,
    on_picture: OnPicture | None,
    on_tagged: OnLooked | None,
    on_measured: OnLooked | None,
) -> Tagged:
    """Draw places, tag and measure their pictures, and put them to those shown. Gives what the tagger knows by now."""
    with measured_meanwhile(lambda paths: eyes.measure(paths, None)) as measure_soon:

        def arrived(picture: Picture) -> None:
            measure_soon(picture)
            if on_picture is not None:
                on_picture(picture)

        pictures = renderer.render([place.recipe for place in new], arrived)
        drawn = [picture for picture in pictures if not picture.error]
        paths = [picture.path for picture in drawn]
        # Tags while the server's checkpoint is loaded.
        tagged = eyes.tags(paths, on_tagged)
    faces = eyes.measure(paths, on_measured) if paths else ()
    measured = {picture.key: seen for picture, seen in zip(drawn, faces, strict=True)}
    tags = {picture.key: found for picture, found in zip(drawn, tagged.tags, strict=True)}
    for place, picture in zip(new, pictures, strict=True):
        shown[_at(place)] = (
            Shown(key=picture.key, error=picture.error)
            if picture.error
            else Shown(picture.key, picture.path, measured[picture.key], tags[picture.key])
        )
    if not paths and before.tagger:
        return before
    return Tagged((), tagged.tagger or before.tagger, tagged.known | before.known, tagged.not_measured)


def _at(place: Place) -> At:
    return place.cell, place.round, place.seed


def _dataset(wanted: Sequence[Measurement]) -> Anchors:
    """The centres of the dataset's faces, of one embedding only."""
    name = next((seen.embedding_name for seen in wanted if seen.identity is not None), "")
    faces = [
        (seen.face.framing, seen.identity)
        for seen in wanted
        if seen.face is not None and seen.identity is not None and seen.embedding_name == name
    ]
    return find_centres(faces, name)


def _reasons(tagged: Tagged, measured: Iterable[Measurement]) -> list[str]:
    """Why tags or faces were not measured at all, in the words of who could not."""
    said = [] if tagged.tagger else [f"No tags: {tagged.not_measured.rstrip('.')}."]
    blind = next((seen.missing for seen in measured if seen.missing.startswith(NOT_MEASURED)), "")
    if blind:
        said.append(f"Faces {blind.rstrip('.')}.")
    return said
