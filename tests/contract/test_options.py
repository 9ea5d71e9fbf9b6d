"""Options that a request overrides, and what is left of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from orchestrator.errors import ToolError
from orchestrator.render.cache import PictureCache
from orchestrator.render.engine import Renderer
from orchestrator.render.server import connect
from tests.contract.subject import Observe, Subject, pixels, pixels_of

#: An option that changes no picture of anybody while a test has it.
HARMLESS = "jpeg_quality"


def test_what_a_request_overrides_is_put_back_where_it_stands_in_the_config(subject: Subject, observe: Observe) -> None:
    """Trap: an option that is not yet in the server's config.json is not put back after a request that overrode it. So
    ours is set to its own value first.
    """
    client = subject.client
    before = client.options()[HARMLESS]
    other = before - 1 if before > 50 else before + 1
    try:
        subject.fresh(override_settings={HARMLESS: other})
        leaked = client.options()[HARMLESS] != before
        observe(f"an option that a request overrode {'stayed so' if leaked else 'was put back without our doing'}")
        client.set_options({HARMLESS: before})
        subject.fresh(override_settings={HARMLESS: other})
        assert client.options()[HARMLESS] == before
    finally:
        client.set_options({HARMLESS: before})


def test_our_renderer_leaves_the_options_as_they_were(subject: Subject, tmp_path: Path) -> None:
    before = subject.client.options()
    skip = 2 if before["CLIP_stop_at_last_layers"] == 1 else 1
    renderer = Renderer(subject.server, PictureCache(tmp_path))
    (picture,) = renderer.render([subject.recipe(clip_skip=skip)])
    assert picture.error == ""
    after = subject.client.options()
    assert after["CLIP_stop_at_last_layers"] == before["CLIP_stop_at_last_layers"]
    assert _chosen(subject, after) == _chosen(subject, before)
    assert subject.fresh().pictures == subject.draw().pictures


def test_another_checkpoint(subject: Subject, tmp_path: Path) -> None:
    """Trap: which one drew stands only in the answer; the option keeps its value, and the next request has the old one
    again.
    """
    models = subject.client.models()
    others = [one for one in models if one.filename != subject.server.checkpoint_path]
    if not others:
        pytest.skip("the server has one checkpoint only")
    before = subject.client.options()
    other = min(others, key=lambda one: _size(Path(one.filename)))
    try:
        server = connect(subject.client, other.title)
    except ToolError as error:
        pytest.skip(f"the server does not draw with {other.title}: {error}")
    if server.checkpoint_hash == subject.server.checkpoint_hash:
        pytest.skip("the server's checkpoints are copies of one")
    recipe = subject.recipe(checkpoint=server.checkpoint, checkpoint_hash=server.checkpoint_hash)
    (drawn,) = Renderer(server, PictureCache(tmp_path)).render([recipe])
    assert drawn.error == ""
    assert pixels_of(drawn.path.read_bytes()) != pixels(subject.draw())
    assert _chosen(subject, subject.client.options()) == _chosen(subject, before)
    again = subject.fresh()
    assert again.info.sd_model_hash == subject.server.checkpoint_hash
    assert pixels(again) == pixels(subject.draw())


def test_a_vae(subject: Subject) -> None:
    """Trap: an unknown one is left out in silence; the one used stands in info, on Forge as `Module 1` in the text."""
    vaes = subject.client.vaes()
    if not vaes:
        pytest.skip("the server has no VAE file")
    key = "sd_vae" if subject.dialect.has_sd_vae else "forge_additional_modules"
    before = subject.client.options().get(key)
    try:
        try:
            server = connect(subject.client, vae=vaes[0].model_name)
        except ToolError as error:
            pytest.skip(f"the server cannot draw with {vaes[0].model_name}: {error}")
        assert subject.client.options().get(key) == before
    finally:
        if before is not None and subject.client.options().get(key) != before:
            subject.client.set_options({key: before})
    if subject.dialect.has_sd_vae:
        assert server.vae_hash
    assert subject.fresh().pictures == subject.draw().pictures


def _chosen(subject: Subject, options: dict[str, Any]) -> str:
    """The file of the chosen checkpoint; that of the loaded one where none was ever chosen."""
    name = options["sd_model_checkpoint"]
    if name is None:
        return subject.server.checkpoint_path
    return next(one.filename for one in subject.client.models() if one.answers_to(name))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
