from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from orchestrator.dataset import foretell, foretold_file
from orchestrator.dataset.foretell import Asked, Foretold
from orchestrator.dataset.view import views
from tests.dataset_worlds import numbers, pictures, world

LEAN = Foretold("roll", "close-up", 11.0, 8.0, 14.0, 0.9, 10)
PROMPT = "ai_model_v4, close-up, looking at camera"


def grid(roll: float, weight: float = 0.8, progress: float = 1.0, seeds: int = 3):  # type: ignore[no-untyped-def]
    one = numbers(world(0))[0]
    assert one.face is not None
    seen = replace(one, face=replace(one.face, roll_deg=roll, framing="close-up"))
    return [(Asked(PROMPT, progress, weight, seed), seen) for seed in range(seeds)]


def test_what_came_as_foretold_is_said_to_have_held_and_what_did_not_is_not() -> None:
    (held,) = foretell.compare([LEAN], grid(12.0))
    assert (held.held, held.seen, held.pictures, held.seeds) == (True, 12.0, 3, 3)
    (missed,) = foretell.compare([LEAN], grid(-6.0))
    assert missed.held is False


def test_early_epochs_and_other_weights_are_not_looked_at() -> None:
    for pictures_ in (grid(12.0, weight=0.4), grid(12.0, progress=0.2)):
        (nothing,) = foretell.compare([LEAN], pictures_)
        assert (nothing.held, nothing.seen, nothing.pictures) == (None, None, 0)


def test_another_framing_is_not_held_against_it() -> None:
    (nothing,) = foretell.compare([replace(LEAN, framing="full body")], grid(12.0))
    assert nothing.held is None


def test_what_was_seen_stays_when_the_pictures_let_expect_something_else(tmp_path: Path) -> None:
    path = tmp_path / "v4.foretold.json"
    made = world(1, uniform=True)
    told = foretell.foretell(views(pictures(made), numbers(made), made.groups))
    assert {"roll", "framing obeyed", "background", "outfit"} == {one.what for one in told}
    foretold_file.keep(path, told)
    compared = foretell.compare(told, grid(1.0))
    foretold_file.keep_seen(path, compared)
    record = foretold_file.read(path)
    assert record is not None and len(record.compared) == len(record.foretold) == len(told)
    foretold_file.keep(path, told[:1])
    after = foretold_file.read(path)
    assert after is not None and after.compared == record.compared and len(after.foretold) == 1


def test_nothing_is_expected_of_what_the_captions_name() -> None:
    made = world(1, uniform=True)
    named = [replace(one, caption=f"{one.caption}, blue sweater") for one in pictures(made)]
    told = foretell.foretell(views(named, numbers(made), made.groups))
    assert "background" in {one.what for one in told} and "outfit" not in {one.what for one in told}


def test_a_damaged_file_is_no_expectation(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    assert foretold_file.read(path) is None
    path.write_text('{"foretold": [{"what": 1}]}', encoding="utf-8")
    assert foretold_file.read(path) is None
