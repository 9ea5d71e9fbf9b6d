"""The whole way: pictures by our renderer and by the webui's own plot, proven and the same."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

from orchestrator.a1111.xyz import PROMPT_SR, SEED, Axis, read_script, script_args, take_apart
from orchestrator.render.cache import PictureCache
from orchestrator.render.engine import Renderer
from orchestrator.render.recipe import LoraUse
from tests.contract.subject import PROMPT, Subject, Wire, pixels, pixels_of


def test_a_lora_at_two_weights_and_seeds(subject: Subject, tmp_path: Path) -> None:
    """Four pictures, each proven and unlike the others; asked for again they come from the cache, without a request."""
    entry = subject.lora()
    shown = str(entry.metadata.get("sshs_model_hash") or "")[:12]
    content = hashlib.sha256(f"{entry.path} {shown}".encode()).hexdigest()
    wire = Wire()
    with subject.another_client(wire) as client:
        renderer = Renderer(replace(subject.server, client=client), PictureCache(tmp_path))
        recipes = [
            subject.recipe(seed=seed, loras=(LoraUse(entry.name, content, shown, weight),))
            for weight in (0.5, 1.0)
            for seed in (7, 8)
        ]
        pictures = renderer.render(recipes)
        assert [picture.error for picture in pictures] == [""] * 4
        assert [picture.proof["proof"]["seed"] for picture in pictures] == [7, 8, 7, 8]
        for picture in pictures:
            assert set(picture.proof["proof"]["lora_hashes"]) == {entry.name}
            assert picture.proof["simulated"] == subject.client.simulated
        drawn = [pixels_of(picture.path.read_bytes()) for picture in pictures]
        assert len(set(drawn)) == 4
        asked = len(wire.bodies)
        again = renderer.render(recipes)
        assert all(picture.cached for picture in again)
        assert len(wire.bodies) == asked
    # The same picture by a request of its own, weight 1 being what a tag without a weight means.
    assert drawn[2] == pixels(subject.draw(prompt=f"<lora:{entry.name}> {PROMPT}"))


def test_the_webui_s_own_plot(subject: Subject) -> None:
    """A cell equals the picture of a single request pixel for pixel. Traps: the grid comes first, and it is saved into
    the user's folder whoever asks for it, unless an option is off; the request cannot override that one.
    """
    client = subject.client
    axes = [Axis(SEED, ("7", "8")), Axis(PROMPT_SR, ("person", "lighthouse"))]
    script = read_script(client.script_info())
    before = client.options()["grid_save"]
    client.set_options({"grid_save": False})
    try:
        answer = subject.fresh(script_name=script.name, script_args=script_args(script, axes))
    finally:
        client.set_options({"grid_save": before})
    cells = take_apart(answer, axes)
    assert [cell.at[:2] for cell in cells] == [(0, 0), (1, 0), (0, 1), (1, 1)]
    assert [(cell.error, cell.seed) for cell in cells] == [("", 7), ("", 8), ("", 7), ("", 8)]
    prompts = (PROMPT, PROMPT.replace("person", "lighthouse"))
    singles = [pixels(subject.draw(prompt=prompt, seed=seed)) for prompt in prompts for seed in (7, 8)]
    assert [pixels_of(cell.picture) for cell in cells] == singles
    assert len(answer.grids) == 1
