"""Seeds, batches and repeats: when two pictures are the same."""

from __future__ import annotations

import random

import pytest

from orchestrator.a1111.requests import Txt2Img
from orchestrator.errors import InputError
from tests.contract.subject import Observe, Subject, pixels, text_of


def test_a_repeat_is_the_same_byte_for_byte(subject: Subject) -> None:
    """Our cache stands on this: what was drawn once need not be drawn again, also with others in between."""
    first = subject.draw()
    subject.draw(seed=8)
    assert subject.fresh().pictures == first.pictures


def test_batches_one_after_the_other_are_single_pictures(subject: Subject) -> None:
    """The k-th picture has the seed plus k, and the pixels of a request of its own."""
    answer = subject.draw(n_iter=2)
    assert answer.info.all_seeds == [7, 8]
    assert [text_of(answer, k).fields["Seed"] for k in (0, 1)] == ["7", "8"]
    assert [pixels(answer, 0), pixels(answer, 1)] == [pixels(subject.draw()), pixels(subject.draw(seed=8))]


def test_batches_at_once_may_be_other_pictures(subject: Subject, observe: Observe) -> None:
    """Trap: a picture of a batch may differ by a level from the single one, so the batch size is part of a recipe."""
    answer = subject.draw(batch_size=2)
    assert answer.info.all_seeds == [7, 8]
    assert len(answer.images) == len(answer.pictures) == 2, "no grid where nothing is saved"
    same = pixels(answer) == pixels(subject.draw())
    observe(f"the first picture of a batch of 2 is {'' if same else 'not '}the single one")
    assert subject.fresh(batch_size=2).pictures == answer.pictures
    assert subject.recipe(batch_size=2).key != subject.recipe().key


def test_a_random_seed_is_told(subject: Subject) -> None:
    """Trap: the request that comes back says -1; only info says what was drawn."""
    answer = subject.fresh(seed=-1)
    assert answer.info.seed == (answer.info.all_seeds or [None])[0] != -1
    assert text_of(answer).fields["Seed"] == str(answer.info.seed)
    assert pixels(subject.fresh(seed=answer.info.seed)) == pixels(answer)


def test_large_seeds(subject: Subject) -> None:
    """Seeds go up to 2**63-1; above, the server fails late, and we refuse."""
    seed = 2**63 - 1 - random.randrange(1000)
    answer = subject.fresh(seed=seed)
    assert answer.info.all_seeds == [seed]
    with pytest.raises(InputError, match="seed"):
        Txt2Img(seed=2**63)
