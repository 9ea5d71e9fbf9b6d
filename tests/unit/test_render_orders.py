"""Which request is sent when, and to which server."""

from __future__ import annotations

import threading
from itertools import pairwise, product

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.render.dispatch import Dispatcher
from orchestrator.render.orders import Order, orders
from orchestrator.render.recipe import LoraUse, Recipe


def use(epoch: int, weight: float) -> LoraUse:
    return LoraUse(f"m-{epoch:06d}", f"{epoch:064d}", "", weight)


GRID = [
    Recipe(prompt=prompt, seed=seed, loras=(use(epoch, weight),))
    for seed, prompt, weight, epoch in product((3, 1, 2), ("b", "a"), (0.8, 0.4), (10, 20, 30))
]
BASELINE = [Recipe(prompt="a", seed=seed) for seed in (1, 2)]


def changes(asked: list[Order]) -> int:
    return sum(a.files != b.files for a, b in pairwise(asked))


def test_lora_files_change_least_often_and_the_baseline_comes_first() -> None:
    asked = orders([*GRID, *BASELINE])
    assert [bool(order.recipes[0].loras) for order in asked[:3]] == [False, False, True]
    assert changes(asked) == 3
    weights = [order.recipes[0].loras[0].weight for order in asked[2:]]
    assert sum(a != b for a, b in pairwise(weights)) == 5, "then the weight: six runs of equal weights"


def test_a_batch_is_one_request_and_is_asked_for_whole() -> None:
    members = [Recipe(prompt="a", seed=100 + k, batch_size=4, batch_position=k) for k in range(4)]
    (whole,) = orders([members[2], members[0]])
    assert [recipe.seed for recipe in whole.recipes] == [100, 101, 102, 103]
    assert [recipe.key for recipe in whole.recipes] == [recipe.key for recipe in members]
    assert len(orders([members[0], members[0].evolve(batch_size=1)])) == 2


def test_two_servers_start_on_different_lora_files_and_help_each_other_at_the_end() -> None:
    dispatcher = Dispatcher(orders(GRID))
    first: list[Order] = []
    second: list[Order] = []
    for turn in range(len(GRID)):
        host = turn % 2
        order = dispatcher.next(host)
        assert order is not None
        (first, second)[host].append(order)
        dispatcher.done()
    assert dispatcher.finished()
    assert {o.recipes[0].key for o in first + second} == {recipe.key for recipe in GRID}
    assert first[0].files != second[0].files
    assert changes(first) + changes(second) <= 4


@given(st.lists(st.tuples(st.integers(0, 3), st.booleans()), max_size=120), st.integers(0, 20))
def test_whatever_is_given_back_is_drawn_in_the_end(turns: list[tuple[int, bool]], count: int) -> None:
    recipes = [Recipe(prompt="a", seed=k, loras=(use(k % 5, 1.0),)) for k in range(count)]
    dispatcher = Dispatcher(orders(recipes))
    done: list[str] = []
    for host, fails in [*turns, *[(0, False)] * (count + 1)]:
        if dispatcher.finished():
            break
        order = dispatcher.next(host)
        assert order is not None
        if fails:
            dispatcher.give_back(order)
        else:
            done.append(order.recipes[0].key)
            dispatcher.done()
    assert sorted(done) == sorted(recipe.key for recipe in recipes)
    assert not dispatcher.left()


def test_a_worker_without_work_waits_for_what_another_may_give_back() -> None:
    dispatcher = Dispatcher(orders([Recipe(prompt="a")]))
    order = dispatcher.next(0)
    assert order is not None
    got: list[Order | None] = []
    waiting = threading.Thread(target=lambda: got.append(dispatcher.next(1, wait_s=30.0)))
    waiting.start()
    dispatcher.give_back(order)
    waiting.join(20)
    assert got == [order]
    assert not dispatcher.finished()
    dispatcher.done()
    assert dispatcher.next(0) is None
    assert dispatcher.finished()
