"""Whose request it is, where clients are to be served alike."""

from __future__ import annotations

import pytest
from starlette.datastructures import Headers

from hexplan_runtime.serve.access import Access, Gate
from hexplan_runtime.serve.bodies import CompletionBody
from hexplan_runtime.serve.jobs import Job, PromptIds, Room, TextRules, make_job
from hexplan_runtime.serve.settings import ServeSettings

KEYS = ("first-key-0123456789", "other-key-0123456789")


def job(**fields: object) -> Job:
    body = CompletionBody.model_validate({"prompt": "a", "max_tokens": 2, **fields})
    return make_job(
        body, [PromptIds((1, 2))], Room(64, None, 100), ServeSettings("tiny"), TextRules(())
    )


def client_of(asked: Job) -> set[str]:
    return {one.request.client for one in asked.choices if one.request is not None}


def with_key(access: Access, key: str) -> str:
    return Gate(access).require("/v1/completions", Headers({"authorization": f"Bearer {key}"}))


def test_clients_are_told_apart_by_their_keys() -> None:
    names = [with_key(Access(keys=KEYS), key) for key in KEYS]
    assert names[0] != names[1]
    assert not any(key in name for key in KEYS for name in names)
    assert client_of(job(user="ann", n=2).sent_by(names[1])) == {names[1]}


@pytest.mark.parametrize("keys", [(), KEYS[:1]])
def test_with_one_key_for_all_they_are_told_apart_by_the_user(keys: tuple[str, ...]) -> None:
    name = with_key(Access(keys=keys), KEYS[0])
    assert client_of(job(user="ann").sent_by(name)) == {"ann"}
    assert client_of(job().sent_by(name)) == {""}


def test_a_user_that_is_no_text_names_nobody() -> None:
    assert client_of(job(user={"id": 4}).sent_by("")) == {""}
