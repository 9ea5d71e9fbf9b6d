"""Which request a fault strikes depends on the request, not on when it comes."""

from __future__ import annotations

import random
from typing import Any

import pytest

from orchestrator.sandbox.a1111.faults import KINDS, Fault, Faults, parse
from orchestrator.sandbox.a1111.settings import Settings


def test_faults_are_read_with_share_and_times_in_the_order_of_the_table() -> None:
    assert parse("reset=0.05, oom=0.02x1,black,dropx2") == (
        Fault("drop", 1.0, 2),
        Fault("oom", 0.02, 1),
        Fault("black"),
        Fault("reset", 0.05),
    )
    assert parse("500=.5") == (Fault("500", 0.5),)
    assert parse("") == ()


@pytest.mark.parametrize("text", ["typo=0.1", "reset=1.5", "reset=-1", "reset=abc", "reset=0.1y2"])
def test_what_is_no_fault_is_refused_with_the_list(text: str) -> None:
    with pytest.raises(ValueError, match=r"kinds: proxy, drop.*slow|between 0 and 1"):
        Settings(faults=text)


def _requests() -> list[dict[str, Any]]:
    return [{"prompt": f"p{n % 7}", "seed": n, "width": 64, "force_task_id": str(random.random())} for n in range(400)]


def test_a_storm_is_the_same_whatever_the_order() -> None:
    requests = _requests() * 2
    random.shuffle(requests)

    def storm(seed: int, some: list[dict[str, Any]]) -> dict[tuple[int, int], str | None]:
        faults, found, asked = Faults("reset=0.2,oom=0.1", seed), {}, dict.fromkeys(range(400), 0)
        for request in some:
            found[request["seed"], asked[request["seed"]]] = faults.strikes(request)
            asked[request["seed"]] += 1
        return found

    one = storm(1, requests)
    assert one == storm(1, requests[::-1])
    assert one != storm(2, requests)
    struck = list(one.values())
    assert 40 < struck.count("oom") < 130 and 90 < struck.count("reset") < 230


def test_a_fault_with_times_spares_the_next_try() -> None:
    faults = Faults("mutex1", 0)
    assert [faults.strikes({"seed": 1}) for _ in range(3)] == ["mute", None, None]
    assert faults.strikes({"seed": 2}) == "mute"


def test_every_kind_says_what_happens() -> None:
    assert all(text for text in KINDS.values()) and len(KINDS) == 16
