from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.runtime_plans import make_plan
from transformers import AutoTokenizer

from hexplan.errors import InputError
from hexplan.model import Model
from hexplan.plan import Plan
from hexplan_runtime.launch.startup import RankStats
from hexplan_runtime.launching import continue_prompts
from hexplan_runtime.text import (
    Detokenizer,
    GenerationSettings,
    TextPiece,
    Tokenizer,
    make_requests,
    read_tokenizer,
)

AUSTEN = Path(__file__).parents[2] / "models" / "austen-3m"


@cache
def tokenizer() -> Tokenizer:
    """Return a byte-level BPE tokenizer, for which one character may be several tokens."""
    return read_tokenizer(AUSTEN)


def plain_ids(text: str) -> list[int]:
    """Return the ids of a text without the tokens that mark its ends."""
    marks = set(tokenizer().encode(""))
    return [token for token in tokenizer().encode(text) if token not in marks]


def pieces_of(ids: Sequence[int], prompt_ids: Sequence[int] = ()) -> list[str]:
    detokenizer = Detokenizer(tokenizer(), prompt_ids)
    return [*(detokenizer.add(token) for token in ids), detokenizer.flush()]


@given(st.text(max_size=40))
def test_pieces_add_up_to_the_text(text: str) -> None:
    assert "".join(pieces_of(plain_ids(text))) == text


@given(st.text(max_size=40), st.text(max_size=20))
def test_a_prompt_before_it_does_not_change_a_text(text: str, prompt: str) -> None:
    assert "".join(pieces_of(plain_ids(text), plain_ids(prompt))) == text


@pytest.mark.parametrize("text", ["naïve — “quoted”", "日本語のテキスト", "👩‍🚀 and 🏖️", "e\u0301"])  # noqa: RUF001
def test_no_piece_breaks_a_character(text: str) -> None:
    ids = plain_ids(text)
    assert len(ids) > len(text) / 2
    pieces = pieces_of(ids)
    assert all("\ufffd" not in piece for piece in pieces)
    assert "".join(pieces) == text


def test_bytes_that_never_become_a_character_are_shown_at_the_end() -> None:
    ids = plain_ids("日")
    assert len(ids) > 1
    assert pieces_of(ids[:1]) == ["", "\ufffd"]


def test_each_prompt_has_its_own_seed() -> None:
    settings = GenerationSettings(max_tokens=5, temperature=0.5, top_p=0.9, top_k=4, seed=10)
    first, second = make_requests(tokenizer(), ["It is", "Emma"], settings, (1,))
    assert (first.sampling.seed, second.sampling.seed) == (10, 11)
    assert (first.sampling.top_k, first.sampling.top_p, first.stop_ids) == (4, 0.9, (1,))
    assert first.prompt_ids == tuple(tokenizer().encode("It is"))


def test_a_folder_without_a_tokenizer_is_refused(llama: Path, tmp_path: Path) -> None:
    for folder in (llama, tmp_path):
        with pytest.raises(InputError, match="found no tokenizer file, needed tokenizer.json"):
            read_tokenizer(folder)


@pytest.mark.parametrize("text", ["", "{", "{}", "[]", '{"model": {"type": "BPE"}}', "null"])
def test_a_corrupt_tokenizer_is_named_and_is_no_bug(tmp_path: Path, text: str) -> None:
    for name in ("config.json", "tokenizer_config.json", "tokenizer.json"):
        (tmp_path / name).write_bytes((AUSTEN / name).read_bytes())
    (tmp_path / "tokenizer.json").write_text(text)
    with pytest.raises(InputError, match="tokenizer.json: transformers cannot read") as caught:
        read_tokenizer(tmp_path)
    assert caught.value.hint == "is the file whole? If not, download it again"


def test_prompts_are_continued_as_text(austen: Path, austen_model: Model) -> None:
    """Two prompts through two stages; greedy, so that one alone says the same as both."""
    plan = make_plan(austen_model, [((0, 3), (1,)), ((3, 6), (1,))])
    settings = GenerationSettings(max_tokens=12, model_folder=austen)
    prompts = ["It was a very", "Emma could not"]
    pieces = pieces_of_launch(plan, prompts, settings)
    assert {piece.prompt_index for piece in pieces if piece.is_last} == {0, 1}
    for index in range(2):
        mine = [piece for piece in pieces if piece.prompt_index == index]
        assert mine[-1].is_last
        assert mine[-1].finish_reason in ("length", "stop")
        assert not any(piece.is_last for piece in mine[:-1])
        assert len("".join(piece.text for piece in mine).split()) > 4
    alone = pieces_of_launch(plan, prompts[:1], settings)
    assert text_of(alone, 0) == text_of(pieces, 0)


class Kept:
    """Keeps what a launch tells."""

    def __init__(self) -> None:
        self.ranks: list[str] = []
        self.pieces: list[TextPiece] = []
        self.num_tokens = 0

    def ready(self, stats: Sequence[RankStats], elapsed_s: float) -> None:
        self.ranks = [rank.stage for rank in stats]

    def piece(self, piece: TextPiece) -> None:
        self.pieces.append(piece)

    def done(self, num_tokens: int, elapsed_s: float) -> None:
        self.num_tokens = num_tokens


def pieces_of_launch(
    plan: Plan, prompts: list[str], settings: GenerationSettings
) -> list[TextPiece]:
    kept = Kept()
    continue_prompts(plan, prompts, settings, kept)
    assert kept.ranks == ["s0", "s1"]
    assert len(prompts) <= kept.num_tokens <= len(prompts) * settings.max_tokens
    return kept.pieces


def text_of(pieces: list[TextPiece], index: int) -> str:
    return "".join(piece.text for piece in pieces if piece.prompt_index == index)


def test_a_chat_is_the_template_around_what_the_user_says() -> None:
    template = "{% for m in messages %}<{{ m.role }}> {{ m.content }}{% endfor %}<reply>"
    chatty = AutoTokenizer.from_pretrained(AUSTEN)
    chatty.chat_template = template
    (request,) = make_requests(chatty, ["Hello"], GenerationSettings(is_chat=True), ())
    expected = chatty.encode("<user> Hello<reply>", add_special_tokens=False)
    assert list(request.prompt_ids) == expected


def test_a_chat_without_a_template_is_refused_with_what_helps() -> None:
    with pytest.raises(InputError, match="no chat template") as caught:
        make_requests(tokenizer(), ["Hello"], GenerationSettings(is_chat=True), ())
    assert "leave out --chat" in str(caught.value.hint)
