"""Who may call a server, and where it may listen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import openai
import pytest
from openai import OpenAI
from support.runtime_plans import make_plan
from support.serving import Served, served

from hexplan.errors import InputError
from hexplan.model import Model
from hexplan_runtime.serve.access import OPEN_PATHS, Access, Door, open_door, read_keys
from hexplan_runtime.serve.settings import ServeSettings

KEYS = ("first-key-0123456789", "other-key-0123456789")
DOOR = Door("127.0.0.1", None, False, may_be_wildcard=False, may_be_public=False)


@pytest.fixture(scope="module")
def locked(austen: Path, austen_model: Model) -> Iterator[Served]:
    """Give a server that asks for a key."""
    plan = make_plan(austen_model, [((0, 6), (1,))])
    settings = ServeSettings("tiny", access=Access(keys=KEYS))
    with served(plan, austen, settings) as running:
        yield running


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "keys"
    path.write_text("# who may call\n" + "\n".join(KEYS) + "\n")
    path.chmod(0o600)
    return path


def test_only_clients_with_a_key_are_answered(locked: Served) -> None:
    for key in KEYS:
        with OpenAI(base_url=f"{locked.url}/v1", api_key=key) as client:
            assert [model.id for model in client.models.list()] == ["tiny"]
    for key in ("wrong-key-0123456789", KEYS[0][:-1], KEYS[0] + "0", "x"):
        client = OpenAI(base_url=f"{locked.url}/v1", api_key=key)
        with client, pytest.raises(openai.AuthenticationError, match="needed an API key"):
            client.models.list()


@pytest.mark.parametrize("path", ["/v1/models", "/plan", "/metrics", "/tokenizer_info", "/nothing"])
def test_nothing_about_the_plan_is_told_without_a_key(locked: Served, path: str) -> None:
    answer = httpx.get(locked.url + path)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.json()["error"]["code"] == "invalid_api_key"


@pytest.mark.parametrize("path", sorted(OPEN_PATHS))
def test_probes_and_the_bare_page_need_no_key(locked: Served, path: str) -> None:
    assert httpx.get(locked.url + path).status_code == 200


def test_keys_and_wrong_keys_are_not_logged(locked: Served) -> None:
    httpx.get(f"{locked.url}/plan", headers={"authorization": "Bearer canary-key"})
    assert not [line for line in locked.heard.lines if "canary" in line or KEYS[0] in line]


def test_a_page_of_another_site_may_not_call(austen_server: Served) -> None:
    ask = {"prompt": "a", "max_tokens": 1}
    for origin in ("https://evil.example", "null", "http://127.0.0.1:1", "http://["):
        answer = httpx.post(
            f"{austen_server.url}/v1/completions", json=ask, headers={"origin": origin}
        )
        assert answer.status_code == 403, origin
    own = httpx.post(
        f"{austen_server.url}/v1/completions", json=ask, headers={"origin": austen_server.url}
    )
    assert own.status_code == 200


def test_a_name_that_others_let_point_here_may_not_be_used(
    austen: Path, austen_model: Model
) -> None:
    plan = make_plan(austen_model, [((0, 6), (1,))])
    with served(plan, austen, ServeSettings("tiny", access=open_door(DOOR))) as running:
        port = httpx.URL(running.url).port
        names = {f"localhost:{port}": 200, "127.0.0.1": 200, f"evil.example:{port}": 403, "": 403}
        for name, status in names.items():
            answer = httpx.get(f"{running.url}/v1/models", headers={"host": name})
            assert answer.status_code == status, name


def test_loopback_needs_no_key(key_file: Path) -> None:
    assert open_door(DOOR).address == "127.0.0.1"
    assert open_door(replace(DOOR, key_file=key_file)).keys == KEYS


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"host": "0.0.0.0"}, "means every address"),
        ({"host": "::"}, "means every address"),
        ({"host": "[::]"}, "means every address"),
        ({"host": "0.0.0.0", "may_be_wildcard": True}, "no key is asked for"),
        ({"host": "192.0.2.1"}, "no address of this machine"),
        ({"host": "nowhere.invalid"}, "cannot find its address"),
        ({"is_insecure": True, "key_file": Path("keys")}, "exclude each other"),
    ],
)
def test_an_unsafe_address_is_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        open_door(replace(DOOR, **change))


def test_every_address_may_be_asked_for_with_a_key_or_without(key_file: Path) -> None:
    wide = replace(DOOR, host="0.0.0.0", may_be_wildcard=True)
    assert open_door(replace(wide, key_file=key_file)) == Access("0.0.0.0", KEYS, None)
    assert open_door(replace(wide, is_insecure=True)).keys == ()


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660])
def test_a_key_file_that_others_may_read_is_refused(key_file: Path, mode: int) -> None:
    key_file.chmod(mode)
    with pytest.raises(InputError, match="other users of this machine") as caught:
        read_keys(key_file)
    assert KEYS[0] not in str(caught.value)


@pytest.mark.parametrize(
    "text", ["", "\n", "# only a comment\n", "short\n", "schl\u00fcssel-0123456789\n"]
)
def test_a_key_file_without_good_keys_is_refused(key_file: Path, text: str) -> None:
    key_file.write_text(text)
    with pytest.raises(InputError, match="found"):
        read_keys(key_file)


def test_a_missing_key_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="keys"):
        read_keys(tmp_path / "keys")
