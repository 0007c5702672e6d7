from __future__ import annotations

from pathlib import Path

import pytest
from tokenizers import Tokenizer as FastTokenizer
from tokenizers import decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from hexplan_runtime.request import Logprobs, TokenEvent, TokenLogprob
from hexplan_runtime.text import read_tokenizer
from hexplan_runtime.token_text import TokenTexts


def byte_level() -> PreTrainedTokenizerFast:
    """Return a tokenizer of single bytes, as GPT-2's begins."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    inner = FastTokenizer(models.BPE({one: at for at, one in enumerate(letters)}, []))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=inner)


def sentence_piece() -> PreTrainedTokenizerFast:
    """Return a tokenizer of a few words, and of bytes where it lacks one."""
    words = ["<unk>", *(f"<0x{byte:02X}>" for byte in range(256)), "\u2581the", "\u2581\u2581", "s"]
    vocab = {word: at for at, word in enumerate(words)}
    inner = FastTokenizer(models.BPE(vocab, [], byte_fallback=True, unk_token="<unk>"))
    inner.decoder = decoders.Sequence(
        [
            decoders.Replace("\u2581", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    return PreTrainedTokenizerFast(tokenizer_object=inner)


@pytest.mark.parametrize("make", [byte_level, sentence_piece])
@pytest.mark.parametrize("text", ["é", "日本", "🙂"])
def test_bytes_of_tokens_add_up_to_characters(make: object, text: str) -> None:
    tokenizer = make()  # type: ignore[operator]
    texts = TokenTexts(tokenizer)
    ids = tokenizer.encode(text, add_special_tokens=False)
    found = [texts.of(token) for token in ids]
    assert b"".join(one.data or b"" for one in found) == text.encode()
    assert found[0].text == f"bytes:\\x{text.encode()[0]:02x}"


def test_spaces_that_begin_a_token_are_kept() -> None:
    tokenizer = sentence_piece()
    texts = TokenTexts(tokenizer)
    found = [texts.of(tokenizer.convert_tokens_to_ids(one)) for one in ("▁the", "▁▁", "s")]
    assert [one.text for one in found] == [" the", "  ", "s"]
    assert found[0].data == b" the"


def test_tokens_of_a_text_add_up_to_it(austen: Path) -> None:
    tokenizer = read_tokenizer(austen)
    texts = TokenTexts(tokenizer)  # type: ignore[arg-type]
    text = "It is a truth\n  universally acknowledged, that"
    ids = tokenizer.encode(text, add_special_tokens=False)
    assert "".join(texts.of(token).text for token in ids) == text


def test_the_chosen_token_is_always_among_those_listed() -> None:
    texts = TokenTexts(byte_level())
    likeliest = (TokenLogprob(65, -0.5), TokenLogprob(66, -1.0))
    for chosen, listed in ((65, 2), (70, 3)):
        told = Logprobs(-0.5 if chosen == 65 else -9.0, likeliest)
        shown = texts.shown(TokenEvent(0, chosen, False, None, told), 7)
        assert shown is not None
        assert shown.chosen in shown.likeliest
        assert len(shown.likeliest) == listed
