"""The voting page over real HTTP, and in a real browser by keyboard."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from PIL import Image, PngImagePlugin

from orchestrator.evaluation.observations import CellId, Observation
from orchestrator.evaluation.votes.questions import plan_questions
from orchestrator.evaluation.votes.record import Votes, read_votes, write_votes
from orchestrator.evaluation.votes.server import Booth, Open, voting
from orchestrator.evaluation.votes.taste import taste_of
from tests.integration.browsing import Visit, chromium, visiting

if TYPE_CHECKING:
    from playwright.sync_api import Browser

DARK, LIGHT = CellId(40, 0.8), CellId(60, 0.6)
SECRET = "<lora:my_secret_stem:0.8>"


@pytest.fixture(scope="module")
def observations(tmp_path_factory: pytest.TempPathFactory) -> list[Observation]:
    """A dark and a light cell on six seeds, each picture with its recipe written in."""
    folder = tmp_path_factory.mktemp("votes") / "it's a 'folder' é 初音"
    folder.mkdir()
    found = []
    for cell, level in ((DARK, 40), (LIGHT, 210)):
        for seed in range(6):
            path = folder / f"{cell.epoch}-{seed}.png"
            info = PngImagePlugin.PngInfo()
            info.add_text("parameters", SECRET)
            Image.new("RGB", (160, 160), (level, level, 20 * seed)).save(path, pnginfo=info)
            found.append(Observation(cell, "hand raised", seed, path=str(path), metrics={"identity": level / 255}))
    return found


@pytest.fixture
def opened(observations: list[Observation], ugly_path: Path) -> Iterator[Open]:
    path = ugly_path / "votes.json"
    votes = Votes(tuple(plan_questions(observations, (DARK, LIGHT), 7, number=1)), (), "this")
    write_votes(path, votes)
    with voting(Booth(votes, path, lambda given: taste_of(given, observations).sentences)) as page:
        yield page


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def visit(browser: Browser, opened: Open) -> Iterator[Visit]:
    with visiting(browser) as visit:
        visit.page.goto(opened.url)
        shown(visit, 0)
        yield visit


def shown(visit: Visit, number: int) -> None:
    visit.page.wait_for_selector(f"body[data-shown='{number}']")


def press(visit: Visit, key: str, then: int) -> None:
    visit.page.keyboard.press(key)
    shown(visit, then)


def level(visit: Visit, side: str) -> int:
    """How light the picture on that side is."""
    script = """(side) => { const image = document.getElementById(`${side}-picture`);
        const canvas = document.createElement("canvas"); canvas.width = canvas.height = 1;
        const pen = canvas.getContext("2d"); pen.drawImage(image, 0, 0, 1, 1);
        return pen.getImageData(0, 0, 1, 1).data[0]; }"""
    return int(visit.ask(script, side))


def ask(page: Open, path: str, **changes: Any) -> httpx.Response:
    """A request as the page makes it, with `changes`: method, headers, json, token."""
    url = urlsplit(page.url)
    token = changes.pop("token", parse_qs(url.query)["token"][0])
    headers = {"X-Token": token, **changes.pop("headers", {})}
    address = f"http://{url.netloc}{path}" + (f"?token={token}" if path == "/" or path.startswith("/picture") else "")
    return httpx.request(changes.pop("method", "GET"), address, headers=headers, timeout=10, **changes)


def test_a_voter_with_a_taste_votes_by_keyboard_and_is_understood(visit: Visit, opened: Open) -> None:
    booth = opened.booth
    for number in range(7):
        lighter = "ArrowLeft" if level(visit, "left") > level(visit, "right") else "ArrowRight"
        press(visit, lighter, number + 1)
        assert read_votes(booth.path) == booth.votes, "kept before the next one is shown"
    assert len(booth.votes.answers) == 7
    words = visit.page.inner_text("#closing")
    assert words.startswith("You ")
    assert LIGHT.label in words.partition("(")[0].partition(":")[0]
    assert "Of 1 pairs shown twice you answered 1 alike." in words
    assert {*booth.votes.answers} == {"left", "right"}, "sides are mixed"
    visit.page.keyboard.press("ArrowLeft")
    assert len(booth.votes.answers) == 7, "after the last there is nothing to vote on"
    visit.page.click("#enough")
    assert booth.ended.wait(60)


def test_ties_and_undo(visit: Visit, opened: Open) -> None:
    press(visit, "ArrowDown", 1)
    press(visit, "ArrowLeft", 2)
    assert opened.booth.votes.answers == ("tie", "left")
    assert visit.page.inner_text("#count") == "3 of 7"
    assert float(visit.ask("document.getElementById('progress').value")) == 2
    press(visit, "Backspace", 1)
    press(visit, "Backspace", 0)
    assert opened.booth.votes.answers == ()
    assert visit.page.is_disabled("#undo")
    press(visit, "ArrowRight", 1)
    stored = json.loads(opened.booth.path.read_text(encoding="utf-8"))
    assert stored["answers"] == ["right"]


def test_keys_pressed_faster_than_pictures_load_are_no_votes(visit: Visit, opened: Open) -> None:
    for _ in range(6):
        visit.page.keyboard.press("ArrowLeft")
    time.sleep(0.3)
    visit.page.wait_for_load_state("networkidle")
    given = len(opened.booth.votes.answers)
    assert 1 <= given <= 6
    assert visit.page.inner_text("#count") == f"{given + 1} of 7", "every vote was for a pair that was on the screen"


def test_the_page_is_gone_on_with_where_it_was_left(
    browser: Browser, visit: Visit, opened: Open, observations: list[Observation]
) -> None:
    press(visit, "ArrowLeft", 1)
    press(visit, "ArrowDown", 2)
    kept = read_votes(opened.booth.path)
    assert kept is not None
    with voting(Booth(kept, opened.booth.path, lambda given: ())) as again, visiting(browser) as later:
        later.page.goto(again.url)
        shown(later, 2)
        assert later.page.inner_text("#count") == "3 of 7"


def test_it_is_blind(visit: Visit, opened: Open) -> None:
    press(visit, "ArrowLeft", 1)
    page = visit.page.content() + ask(opened, "/state").text + " ".join(visit.requests)
    for telling in (SECRET, "my_secret", DARK.label, LIGHT.label, "40-", "60-", ".png"):
        assert telling not in page
    for side in ("left", "right"):
        answer = ask(opened, f"/picture/1/{side}")
        assert SECRET.encode() not in answer.content
        with Image.open(io.BytesIO(answer.content)) as picture:
            assert picture.size == (160, 160)
            assert not picture.text  # type: ignore[attr-defined]
    assert ask(opened, "/picture/0/left").status_code == 404, "what was asked is not shown again"
    assert ask(opened, "/picture/5/left").status_code == 404, "nor what comes later"


def test_the_colours_of_the_page_follow_the_system(browser: Browser, opened: Open) -> None:
    found = []
    for scheme in ("light", "dark"):
        with visiting(browser, color_scheme=scheme, viewport={"width": 420, "height": 800}) as small:
            small.page.goto(opened.url)
            shown(small, 0)
            found.append(small.ask("getComputedStyle(document.body).backgroundColor"))
            assert small.ask("document.documentElement.scrollWidth <= innerWidth")
    assert found[0] != found[1]


@pytest.mark.parametrize("path", ["/", "/state", "/picture/0/left"])
def test_nobody_gets_in_without_the_token(opened: Open, path: str) -> None:
    assert ask(opened, path).status_code == 200
    assert ask(opened, path, token="guessed").status_code == 403
    assert ask(opened, path, token="").status_code == 403
    assert ask(opened, path, headers={"Host": "evil.example"}).status_code == 403
    assert ask(opened, path, headers={"Origin": "http://evil.example"}).status_code == 403


def test_votes_that_do_not_fit_are_refused(opened: Open) -> None:
    good = {"number": 0, "answer": "tie"}
    for token in ("", "guessed"):
        assert ask(opened, "/vote", method="POST", json=good, token=token).status_code == 403
    for bad in ({}, {"number": 0}, {"number": 1, "answer": "left"}, {"number": 0, "answer": "up"}, {"number": "0", "answer": "left"}):  # fmt: skip # noqa: E501
        assert ask(opened, "/vote", method="POST", json=bad).status_code == 409
    for raw in (b"", b"[]", b"{", b'{"number": 0, "answer": "' + b"x" * 100_000):
        assert ask(opened, "/vote", method="POST", content=raw).status_code == 409
    assert opened.booth.votes.answers == ()
    assert ask(opened, "/vote", method="POST", json=good).json()["number"] == 1
    assert ask(opened, "/vote", method="POST", json=good).status_code == 409, "the same vote twice counts once"
    assert ask(opened, "/vote").status_code == 405
    assert len(opened.booth.votes.answers) == 1


def test_it_listens_on_this_machine_only(opened: Open) -> None:
    assert urlsplit(opened.url).hostname == "127.0.0.1"
