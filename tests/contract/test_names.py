"""Names the server does not know: it answers 200 and takes another, so we look them up and check what was used."""

from __future__ import annotations

import pytest

from orchestrator.errors import InputError, OrchestratorError, ServerError
from orchestrator.render.proof import differences
from orchestrator.render.server import refuse_unknown
from tests.contract.subject import Subject, pixels, text_of

UNKNOWN = "no such sampler"


def refused(subject: Subject, **changes: object) -> str:
    """What our renderer says of a recipe before it sends anything."""
    with pytest.raises(InputError) as caught:
        refuse_unknown(subject.server, [subject.recipe(**changes)], subject.client.loras())
    return str(caught.value)


def used_instead(subject: Subject, name: str) -> str:
    """The sampler that is used for a name the server does not take; empty = it says 404."""
    if subject.dialect.has_schedulers:
        return subject.draw(sampler_name=name).info.sampler_name
    with pytest.raises(ServerError) as caught:
        subject.fresh(sampler_name=name)
    assert caught.value.status == 404
    return ""


def test_an_unknown_sampler(subject: Subject) -> None:
    """Trap: 200 and another sampler (classic: 404)."""
    instead = used_instead(subject, UNKNOWN)
    assert "no sampler 'no such sampler'" in refused(subject, sampler=UNKNOWN)
    if instead:
        assert instead in subject.server.samplers
        recipe, answer = subject.recipe(sampler=UNKNOWN), subject.draw(sampler_name=UNKNOWN)
        assert f"sampler: asked {UNKNOWN}, used {instead}" in differences(recipe, answer)


def test_a_sampler_in_other_letters(subject: Subject) -> None:
    """Trap: names are case-sensitive."""
    known = subject.server.samplers
    fallback = used_instead(subject, UNKNOWN)
    name = next(n for n in known if n != fallback and n.swapcase() not in known)
    assert used_instead(subject, name.swapcase()) == fallback
    assert f"Did you mean {name!r}?" in refused(subject, sampler=name.swapcase())


def test_a_sampler_by_its_alias(subject: Subject) -> None:
    """Trap: the aliases it lists are not taken."""
    fallback = used_instead(subject, UNKNOWN)
    known, aliases = subject.server.samplers, subject.server.aliases
    alias = next((a for a, name in aliases.items() if name != fallback and a not in known), None)
    if alias is None:
        pytest.skip("the server lists no alias")
    assert used_instead(subject, alias) == fallback
    assert f"only as {aliases[alias]!r}" in refused(subject, sampler=alias)


def test_an_unknown_schedule(subject: Subject) -> None:
    """Trap: 200 and Automatic (classic: there are none, and the field is ignored)."""
    if not subject.dialect.has_schedulers:
        other = subject.draw(scheduler="no such schedule")
        assert pixels(other) == pixels(subject.draw())
        assert "Schedule type" not in text_of(other).fields
        return
    plain = [name for name, own in subject.server.samplers.items() if own == "automatic"]
    sampler = subject.sampler if subject.sampler in plain else next(iter(plain), None)
    if sampler is None:
        pytest.skip("every sampler has a schedule of its own")
    answer = subject.draw(sampler_name=sampler, scheduler="no such schedule")
    assert text_of(answer).fields["Schedule type"] == "Automatic"
    assert "no scheduler 'no such schedule'" in refused(subject, scheduler="no such schedule")
    asked = subject.recipe(sampler=sampler, scheduler="no such schedule")
    assert any(one.startswith("schedule: ") for one in differences(asked, answer, "automatic"))


def test_a_schedule_by_name_and_by_label(subject: Subject) -> None:
    """Both are taken; what is written is the label."""
    both = [one for one in subject.client.schedulers() if one.name not in {one.label, "automatic"}]
    # Some of them ask for a model's training schedule: those every version has are tried first.
    common = [one for one in both if one.name in {"karras", "exponential", "sgm_uniform"}] or both
    if not common:
        pytest.skip("the server has no schedules")
    name, label = common[0].name, common[0].label
    by_name, by_label = subject.draw(scheduler=name), subject.draw(scheduler=label)
    assert text_of(by_name).fields["Schedule type"] == text_of(by_label).fields["Schedule type"] == label
    assert pixels(by_name) == pixels(by_label)


def test_a_sampler_with_the_schedule_in_its_name(subject: Subject) -> None:
    """Trap: what scripts of before 1.9 send is put apart silently; on classic it is a sampler of its own."""
    name, bare, schedule = "DPM++ 2M Karras", "DPM++ 2M", "Karras"
    samplers, schedulers = subject.server.samplers, subject.server.schedulers
    if bare not in samplers:
        pytest.skip(f"the server has no {bare}")
    if subject.dialect.has_schedulers:
        assert subject.server.sampler(name, "Automatic") == (bare, schedulers["karras"])
        answer = subject.draw(sampler_name=name)
        assert answer.info.sampler_name == bare
        assert text_of(answer).fields["Schedule type"] == schedule
    else:
        if name not in samplers:
            pytest.skip(f"the server has no {name}")
        assert subject.server.sampler(bare, schedule) == (name, "")
        answer = subject.draw(sampler_name=name)
        assert answer.info.sampler_name == name
    asked = subject.recipe(sampler=bare, scheduler=schedule)
    assert differences(asked, answer) == []


def test_an_unknown_checkpoint_in_a_request(subject: Subject) -> None:
    """Trap: 200 with the loaded one; only the hash in the answer tells."""
    answer = subject.fresh(override_settings={"sd_model_checkpoint": "no such checkpoint"})
    loaded = subject.server.checkpoint_hash
    assert answer.info.sd_model_hash == loaded
    assert pixels(answer) == pixels(subject.draw())
    asked = subject.recipe(checkpoint_hash="0123456789")
    assert differences(asked, answer) == [f"checkpoint: asked 0123456789, used {loaded}"]


def test_a_name_in_the_recipe_that_the_server_has_is_not_refused(subject: Subject) -> None:
    try:
        refuse_unknown(subject.server, [subject.recipe()], subject.client.loras())
    except OrchestratorError as error:
        pytest.fail(str(error))
