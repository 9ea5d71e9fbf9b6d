"""Answers that say no, in each dialect's shape, as our client reads them. Nothing here is drawn to its end."""

from __future__ import annotations

import pytest

from orchestrator.errors import InputError, ServerError, ServerStarting
from tests.contract.subject import Subject

TXT2IMG = "/sdapi/v1/txt2img"


def test_a_field_of_another_type(subject: Subject) -> None:
    """422 in two shapes. Trap: Forge echoes what was sent, pictures included; we do not."""
    with pytest.raises(ServerError, match="width: ") as caught:
        subject.client.post(TXT2IMG, {**subject.request(), "width": "no number " * 50})
    assert caught.value.status == 422
    assert "no number" not in str(caught.value)
    with pytest.raises(InputError, match="width"):
        subject.client.txt2img({"width": "no number"})


def test_an_error_inside_the_server(subject: Subject) -> None:
    """500 with the exception's class; its text stands under `errors`, on Forge under `message`. Trap: Forge then closes
    the connection without saying so; the next request works all the same.
    """
    subject.must_be_idle()
    with pytest.raises(ServerError) as caught:
        subject.client.post(TXT2IMG, {**subject.request(), "steps": 0})
    assert (caught.value.status, caught.value.kind) == (500, "ZeroDivisionError")
    assert caught.value.text
    assert subject.client.samplers()
    assert subject.fresh().pictures == subject.draw().pictures


def test_an_unknown_script(subject: Subject) -> None:
    for changes in ({"script_name": "no such script"}, {"alwayson_scripts": {"no such script": {"args": []}}}):
        with pytest.raises(ServerError, match="Script 'no such script' not found") as caught:
            subject.fresh(**changes)
        assert caught.value.status == 422


def test_an_unknown_style_is_ignored(subject: Subject) -> None:
    """Trap: 200 and no style."""
    assert subject.draw(styles=["no such style"]).pictures == subject.draw().pictures


def test_an_unknown_route(subject: Subject) -> None:
    """Trap: while the server starts, every route answers like one that does not exist."""
    with pytest.raises(ServerStarting):
        subject.client.get("/sdapi/v1/no-such-route")


def test_a_wrong_method(subject: Subject) -> None:
    with pytest.raises(ServerError) as caught:
        subject.client.get(TXT2IMG)
    assert caught.value.status == 405


def test_an_unknown_option(subject: Subject) -> None:
    """500 KeyError, and nothing is changed."""
    before = subject.client.options()
    for ask in (
        lambda: subject.client.set_options({"no_such_option": 1}),
        lambda: subject.fresh(override_settings={"no_such_option": 1}),
    ):
        with pytest.raises(ServerError) as caught:
            ask()
        assert (caught.value.status, caught.value.kind) == (500, "KeyError")
    assert subject.client.options() == before


def test_an_option_of_another_type_is_not_sent(subject: Subject) -> None:
    """Trap: the server would take it, and could not list its options any more."""
    before = subject.client.options()
    with pytest.raises(InputError, match="jpeg_quality"):
        subject.client.set_options({"jpeg_quality": "high"})
    assert subject.client.options() == before
