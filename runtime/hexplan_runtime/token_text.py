"""The text and the bytes of single tokens, as logprobs show them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final, Protocol

from hexplan_runtime.request import Logprobs, TokenEvent, TokenLogprob
from hexplan_runtime.text import Detokenizer, Tokenizer

_INCOMPLETE: Final = "\ufffd"
"""What a tokenizer decodes bytes to that are no whole character."""
_SPACE: Final = "\u2581"
"""What stands for a space in the entries of many vocabularies; decoding drops the first one."""
_BYTE_ENTRY: Final = re.compile(r"<0x([0-9A-Fa-f]{2})>")


class EntryTokenizer(Tokenizer, Protocol):
    """A tokenizer that shows its vocabulary."""

    def convert_ids_to_tokens(self, ids: list[int]) -> list[str]:
        """Return the vocabulary's entries of ids."""
        ...


@dataclass(frozen=True, slots=True)
class TokenText:
    """What one token stands for."""

    text: str
    """Its text; where it is no whole character, `bytes:` and its bytes in hexadecimal digits."""
    data: bytes | None
    """Its bytes, if they are known."""


@dataclass(frozen=True, slots=True)
class ShownLogprob:
    """A token as it is shown, and the logarithm of its probability."""

    token: TokenText
    logprob: float | None
    """None of the first token of a prompt, before which there is nothing."""


@dataclass(frozen=True, slots=True)
class ShownLogprobs:
    """What is shown of a token that was picked."""

    chosen: ShownLogprob
    likeliest: tuple[ShownLogprob, ...]
    """Those asked for, and last the chosen one unless it is among them; none if none is asked."""
    offset: int
    """Characters of the text before the one that the token begins or continues."""


class TokenTexts:
    """Finds what tokens stand for, and remembers it."""

    def __init__(self, tokenizer: EntryTokenizer) -> None:
        self._tokenizer = tokenizer
        self._known: dict[int, TokenText] = {}

    def shown(self, event: TokenEvent, offset: int) -> ShownLogprobs | None:
        """Return what is shown of a new token, if its request asks for it."""
        told = event.logprobs
        if told is None:
            return None
        return self._shown_beside(event.token_id, told.chosen, told.likeliest, offset)

    def shown_prompt(
        self, ids: Sequence[int], told: Sequence[Logprobs], number: int
    ) -> tuple[ShownLogprobs, ...]:
        """Return what is shown of each token of a prompt, with so many of the likeliest."""
        first = ShownLogprobs(ShownLogprob(self.of(ids[0]), None), (), 0)
        shown, decoder = [first], Detokenizer(self._tokenizer, ())
        offset = len(decoder.add(ids[0]))
        for token, one in zip(ids[1:], told, strict=True):
            likeliest = one.likeliest[:number]
            shown.append(self._shown_beside(token, one.chosen, likeliest, offset))
            offset += len(decoder.add(token))
        return tuple(shown)

    def of(self, token_id: int) -> TokenText:
        """Return what a token stands for."""
        if token_id not in self._known:
            self._known[token_id] = self._read(token_id)
        return self._known[token_id]

    def _shown_beside(
        self, token_id: int, logprob: float, likeliest: Sequence[TokenLogprob], offset: int
    ) -> ShownLogprobs:
        chosen = self._shown(TokenLogprob(token_id, logprob))
        others = tuple(self._shown(one) for one in likeliest)
        if others and all(one.token_id != token_id for one in likeliest):
            others += (chosen,)
        return ShownLogprobs(chosen, others, offset)

    def _shown(self, one: TokenLogprob) -> ShownLogprob:
        return ShownLogprob(self.of(one.token_id), one.logprob)

    def _read(self, token_id: int) -> TokenText:
        text = self._tokenizer.decode(
            [token_id], skip_special_tokens=False, clean_up_tokenization_spaces=False
        )
        entry = self._tokenizer.convert_ids_to_tokens([token_id])[0] or ""  # None beyond its words
        spaces = len(entry) - len(entry.lstrip(_SPACE))
        if spaces:
            text = " " * spaces + text.lstrip(" ")
        if _INCOMPLETE not in text:
            return TokenText(text, text.encode(errors="replace"))
        data = _bytes_of(entry)
        if data is None:
            return TokenText(text, None)
        try:
            return TokenText(data.decode(), data)
        except UnicodeDecodeError:
            return TokenText("bytes:" + "".join(f"\\x{byte:02x}" for byte in data), data)


def _bytes_of(entry: str) -> bytes | None:
    """Return the bytes that an entry spells, byte by byte, in either of the two usual ways."""
    if byte := _BYTE_ENTRY.fullmatch(entry):
        return bytes.fromhex(byte[1])
    letters = _byte_letters()
    return bytes(letters[one] for one in entry) if entry and set(entry) <= set(letters) else None


@cache
def _byte_letters() -> dict[str, int]:
    """Return which letter stands for which byte in vocabularies of bytes, as GPT-2's has it.

    What can be printed stands for itself, and the others for letters from U+0100 on.
    """
    printed = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    hidden = [byte for byte in range(256) if byte not in printed]
    return {chr(byte): byte for byte in printed} | {
        chr(256 + index): byte for index, byte in enumerate(hidden)
    }
