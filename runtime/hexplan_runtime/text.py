"""Text in, text out: prompts become token ids, and token ids become text as they come."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

from hexplan.errors import InputError
from hexplan_runtime.model.foreign import reason
from hexplan_runtime.model.tokenizer_files import load_tokenizer
from hexplan_runtime.request import SEED_LIMIT, FinishReason, Request, Sampling

if TYPE_CHECKING:
    from hexplan_runtime.launch.pipeline import Pipeline

_CONTEXT_TOKENS = 6
"""Prompt tokens that are decoded together with the first new ones, as a tokenizer may drop a space
at the start of a text. Chosen by trial."""
_UNFINISHED = "\ufffd"
"""What a tokenizer decodes an incomplete character to."""


class Tokenizer(Protocol):
    """The part of a transformers tokenizer that is used here."""

    def encode(self, text: str, *, add_special_tokens: bool = True) -> list[int]:
        """Return the ids of a text, with the tokens that begin every text if so asked."""
        ...

    def decode(
        self, ids: list[int], *, skip_special_tokens: bool, clean_up_tokenization_spaces: bool
    ) -> str:
        """Return the text of ids."""
        ...


class ChatTokenizer(Tokenizer, Protocol):
    """The part of one that is used for chats."""

    chat_template: str | None

    def apply_chat_template(
        self, conversation: list[dict[str, str]], *, add_generation_prompt: bool, tokenize: bool
    ) -> str:
        """Return a chat as text."""
        ...


@dataclass(frozen=True, slots=True)
class GenerationSettings:
    """How texts are continued."""

    max_tokens: int = 64
    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    seed: int = 0
    """Seed of the first prompt; each next prompt's is one larger."""
    model_folder: Path | None = None
    """Where the weights are; the folder that the plan names if None."""
    is_chat: bool = False
    """Whether each prompt is what a user says, for the tokenizer's chat template to wrap."""


@dataclass(frozen=True, slots=True)
class TextPiece:
    """A few new characters of one text."""

    prompt_index: int
    text: str
    is_last: bool
    finish_reason: FinishReason | None
    prompt_tokens: int = 0
    """Tokens of the prompt."""
    token_ids: tuple[int, ...] = ()
    """The tokens that were drawn since the piece before, a stop token included."""


class Detokenizer:
    """Turns ids into text as they come, and holds back a character until all its bytes are here."""

    def __init__(
        self, tokenizer: Tokenizer, prompt_ids: Sequence[int], *, shows_special: bool = False
    ) -> None:
        self._decode = _decoder(tokenizer, skips_special=not shows_special)
        self._ids = list(prompt_ids[-_CONTEXT_TOKENS:])
        self._context = 0
        self._shown = len(self._ids)

    def add(self, token_id: int) -> str:
        """Return the text that this token completes."""
        self._ids.append(token_id)
        new = self._new_text()
        if not new or new.endswith(_UNFINISHED):
            return ""
        self._context, self._shown = self._shown, len(self._ids)
        return new

    def flush(self) -> str:
        """Return what is still held back, whole or not."""
        new = self._new_text()
        self._context = self._shown = len(self._ids)
        return new

    def _new_text(self) -> str:
        before = self._decode(self._ids[self._context : self._shown])
        return self._decode(self._ids[self._context :])[len(before) :]


def _decoder(tokenizer: Tokenizer, *, skips_special: bool) -> Callable[[list[int]], str]:
    """Return what decodes ids without cleaning up spaces.

    Where transformers would only pass ids on, they go straight to what it passes them to: its own
    checks of each call take longer than the work, and every token is decoded twice.
    """
    from transformers import PreTrainedTokenizerFast

    kind, backend = type(tokenizer), getattr(tokenizer, "backend_tokenizer", None)
    passes_on = all(
        getattr(kind, name, None) is getattr(PreTrainedTokenizerFast, name)
        for name in ("decode", "_decode")
    )
    if passes_on and backend is not None:
        return partial(backend.decode, skip_special_tokens=skips_special)
    return partial(
        tokenizer.decode, skip_special_tokens=skips_special, clean_up_tokenization_spaces=False
    )


def read_tokenizer(folder: Path) -> Tokenizer:
    """Return the tokenizer of a model folder.

    Raises
    ------
    InputError
        The folder has none, or transformers cannot read or use it.
    """
    return cast("Tokenizer", load_tokenizer(folder))


def make_requests(
    tokenizer: Tokenizer,
    prompts: Sequence[str],
    settings: GenerationSettings,
    stop_ids: tuple[int, ...],
) -> list[Request]:
    """Return a request for each prompt."""
    requests = []
    for index, prompt in enumerate(prompts):
        ids = _encode(tokenizer, prompt, index, is_chat=settings.is_chat)
        if not ids:
            message = f"prompt {index}: empty, must have at least one token"
            raise InputError(message)
        seed = (settings.seed + index) % SEED_LIMIT
        sampling = Sampling(settings.temperature, settings.top_k, settings.top_p, seed)
        requests.append(Request(ids, settings.max_tokens, sampling, stop_ids))
    return requests


def _encode(
    tokenizer: Tokenizer, prompt: str, index: int, *, is_chat: bool = False
) -> tuple[int, ...]:
    try:
        if is_chat:
            chat = _as_chat(cast("ChatTokenizer", tokenizer), prompt)
            return tuple(tokenizer.encode(chat, add_special_tokens=False))
        return tuple(tokenizer.encode(prompt))
    except InputError:
        raise
    except Exception as error:  # such as a character that a small vocabulary lacks
        message = f"prompt {index}: the tokenizer cannot encode it: {reason(error)}"
        raise InputError(message) from error


def _as_chat(tokenizer: ChatTokenizer, prompt: str) -> str:
    """Return the text of a chat in which a user has said the prompt, and the model is next."""
    if not tokenizer.chat_template:
        message = "the model folder has no chat template, as base models have none"
        raise InputError(message, hint="leave out --chat to continue the texts as they stand")
    chat = [{"role": "user", "content": prompt}]
    return tokenizer.apply_chat_template(chat, add_generation_prompt=True, tokenize=False)


def stream_requests(
    pipeline: Pipeline, tokenizer: Tokenizer, requests: Sequence[Request]
) -> Iterator[TextPiece]:
    """Yield the text of requests on a running pipeline; a stop token is not shown."""
    decoders = [Detokenizer(tokenizer, request.prompt_ids) for request in requests]
    waiting: list[list[int]] = [[] for _ in requests]
    for event in pipeline.generate(requests):
        decoder, drawn = decoders[event.request_index], waiting[event.request_index]
        drawn.append(event.token_id)
        text = "" if event.finish_reason == "stop" else decoder.add(event.token_id)
        if event.is_last:
            text += decoder.flush()
        if text or event.is_last:
            yield TextPiece(
                event.request_index,
                text,
                event.is_last,
                event.finish_reason,
                len(requests[event.request_index].prompt_ids),
                tuple(drawn),
            )
            drawn.clear()
