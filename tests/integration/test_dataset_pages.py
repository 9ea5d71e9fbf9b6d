"""The pages of the check and of the captions, in a real browser, with names that want to break out of them."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from orchestrator.dataset import DatasetPicture, caption_page, check, check_page
from orchestrator.pages.thumbnails import thumbnails
from orchestrator.profile.model import Limits
from tests.dataset_worlds import numbers, pictures, world
from tests.integration.browser import needs_browser, open_page

HOSTILE = '"><script>document.title="broken"</script><img src=x onerror=alert(1)>'


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Both pages of a tilted world in which one caption and one file name are hostile."""
    folder = tmp_path_factory.mktemp("pages") / "it's 初音"
    folder.mkdir()
    made = world(0)
    ones, measured = pictures(made), numbers(made)
    first = ones[0]
    ones[0] = DatasetPicture(
        Path("</script><b>x.png"), first.group, f"{HOSTILE}, {{{{ 7*7 }}}}", HOSTILE, first.sha256,
        caption_template=f"</textarea>{HOSTILE}",
    )  # fmt: skip
    real = folder / "real.png"
    Image.fromarray(np.random.default_rng(1).integers(0, 255, (64, 64, 3), dtype=np.uint8)).save(real)
    image = thumbnails([(real, "a" * 64)], folder / "cache")[real]
    images = {one.path: image for one in ones}
    result = check(ones, measured, Limits(), made.groups, trigger="ai_model_v4")
    first_page = folder / "v4.check.html"
    first_page.write_text(
        check_page.page("miku v4", result, ones, measured, images, limit_deg=5.0, created="today"), encoding="utf-8"
    )
    second = folder / "v4.captions.html"
    words = {one.sha256: ("red dress", HOSTILE) for one in ones}
    second.write_text(
        caption_page.page("miku v4", result, ones, measured, images, words, created="today"), encoding="utf-8"
    )
    return {"check": first_page, "captions": second}


def tried(page: Path, script: str) -> str:
    """The page's DOM after `script`, which its policy must let in: its hash is named beside the page's own."""
    from orchestrator.pages.page import _digest

    text = page.read_text(encoding="utf-8").replace(
        "script-src &#39;", f"script-src &#39;{_digest(script)}&#39; &#39;", 1
    )
    copy = page.with_name(f"tried-{page.name}")
    copy.write_text(text.replace("</body>", f"<script>{script}</script></body>"), encoding="utf-8")
    return open_page(copy)


@needs_browser
def test_a_finding_filters_its_pictures_and_nothing_hostile_runs(pages: dict[str, Path]) -> None:
    dom = tried(
        pages["check"],
        'document.querySelector(".finding [data-show]").click();'
        'document.body.dataset.shown = document.querySelectorAll(".one:not([hidden])").length;'
        'document.body.dataset.all = document.querySelectorAll(".one").length;',
    )
    shown, everything = (int(re.search(rf'data-{name}="(\d+)"', dom)[1]) for name in ("shown", "all"))  # type: ignore[index]
    assert 0 < shown < everything
    assert f"{shown} of {everything} pictures" in dom
    assert "<title>miku v4</title>" in dom
    assert "<b>x.png" not in dom and "{{ 7*7 }}" in dom


@needs_browser
def test_every_picture_has_its_dial_turned_as_its_head(pages: dict[str, Path]) -> None:
    dom = open_page(pages["check"])
    made = numbers(world(0))
    turns = [float(turn) for turn in re.findall(r'<g transform="rotate\(([-\d.]+)\)"', dom)]
    assert turns == [pytest.approx(one.face.roll_deg, abs=0.051) for one in made if one.face]


@needs_browser
def test_what_is_edited_is_marked_and_can_be_downloaded(pages: dict[str, Path]) -> None:
    dom = tried(
        pages["captions"],
        "document.querySelectorAll(\"[data-word='red dress']\")[3].click();"
        'document.body.dataset.fourth = document.querySelectorAll("textarea")[3].value;'
        'const made = []; URL.createObjectURL = (blob) => { made.push(blob); return "#made"; };'
        'document.getElementById("save").click();'
        "made[0].text().then((text) => { document.body.dataset.made = text; });",
    )
    assert 'data-fourth="' in dom
    fourth = re.search(r'data-fourth="([^"]*)"', dom)
    assert fourth and fourth[1].endswith("red dress")
    made = re.search(r'data-made="([^"]*)"', dom)
    assert made and "&quot;format&quot;:1" in made[1].replace(" ", "") and "red dress" in made[1]
    assert "1 downloaded as edited-captions.json" in dom
    assert "<title>miku v4</title>" in dom


def test_a_page_may_load_nothing_and_holds_all(pages: dict[str, Path]) -> None:
    for page in pages.values():
        text = page.read_text(encoding="utf-8")
        assert "default-src &#39;none&#39;" in text
        assert not re.search(r'(src|href)="(?!data:|#)', text)
        assert "innerHTML" not in text
        assert HOSTILE not in text
