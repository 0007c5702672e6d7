"""Prompts: from texts, chats and token ids to token ids."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

from jinja2 import TemplateError

from hexplan_runtime.serve.bodies import ChatBody, CompletionBody, Message
from hexplan_runtime.serve.jobs import PromptIds, prompts_of
from hexplan_runtime.serve.problems import ApiError, Json, JsonObject
from hexplan_runtime.text import Tokenizer

LONG_TEXT = 20_000
"""Longer texts are tokenized in a thread, so that other clients need not wait."""
NO_TEMPLATE = (
    "the model has no chat template, as base models have none: use /v1/completions, or start the "
    "server with --chat-template FILE"
)


class ChatTokenizer(Tokenizer, Protocol):
    """The part of a transformers tokenizer that a server uses."""

    chat_template: str | None
    bos_token: str | None
    eos_token: str | None
    pad_token: str | None
    unk_token: str | None

    def __len__(self) -> int: ...

    def apply_chat_template(
        self,
        conversation: list[JsonObject],
        *,
        tools: list[JsonObject] | None,
        chat_template: str | None,
        add_generation_prompt: bool,
        continue_final_message: bool,
        tokenize: bool,
        **variables: Json,
    ) -> str:
        """Return a chat as text."""
        ...

    def convert_ids_to_tokens(self, ids: list[int]) -> list[str]:
        """Return the vocabulary's entries of ids."""
        ...


class Prompts:
    """Turns what clients send into token ids.

    Parameters
    ----------
    template
        Replaces the chat template of the tokenizer.
    """

    def __init__(self, tokenizer: ChatTokenizer, template: str | None = None) -> None:
        self.tokenizer = tokenizer
        self._template = template

    @property
    def has_template(self) -> bool:
        """Whether chats can be turned into text."""
        return bool(self._template or self.tokenizer.chat_template)

    @property
    def template(self) -> str | None:
        """The chat template in use."""
        return self._template or self.tokenizer.chat_template

    async def of_completion(self, body: CompletionBody) -> list[PromptIds]:
        """Return the prompts of a completion.

        Raises
        ------
        ApiError
            A prompt is empty, or a token id is unknown.
        """
        adds = body.add_special_tokens is not False
        return [
            await self._one(p, adds=adds, echo=bool(body.echo)) for p in prompts_of(body.prompt)
        ]

    async def of_chat(self, body: ChatBody) -> PromptIds:
        """Return the prompt of a chat.

        Raises
        ------
        ApiError
            There is no chat template, or it refuses the messages.
        """
        text = self.chat_text(
            body.messages,
            tools=None if body.tool_choice == "none" else body.tools,
            continues=bool(body.continue_final_message),
            begins=body.add_generation_prompt,
            variables=body.chat_template_kwargs or {},
        )
        return PromptIds(tuple(await self.encode(text, adds=False)))

    def chat_text(
        self,
        messages: Sequence[Message],
        *,
        tools: list[JsonObject] | None = None,
        continues: bool = False,
        begins: bool | None = None,
        variables: JsonObject | None = None,
    ) -> str:
        """Return a chat as the text that the model continues."""
        if not self.has_template:
            raise ApiError(NO_TEMPLATE, param="messages", code="no_chat_template")
        if continues and begins:
            message = "continue_final_message and add_generation_prompt exclude each other"
            raise ApiError(message, param="continue_final_message")
        chat = [_plain(message, index) for index, message in enumerate(messages)]
        taken = {"tools", "chat_template", "tokenize", "conversation", "return_dict"}
        try:
            return self.tokenizer.apply_chat_template(
                chat,
                tools=tools,
                chat_template=self.template,
                add_generation_prompt=not continues if begins is None else begins,
                continue_final_message=continues,
                tokenize=False,
                **{name: value for name, value in (variables or {}).items() if name not in taken},
            )
        except (TemplateError, TypeError, ValueError, KeyError, AttributeError) as error:
            message = f"the chat template refuses the messages: {error}"
            raise ApiError(message, param="messages", code="invalid_value") from error

    async def encode(self, text: str, *, adds: bool) -> list[int]:
        """Return the ids of a text."""
        if len(text) < LONG_TEXT:
            return self.tokenizer.encode(text, add_special_tokens=adds)
        return await asyncio.to_thread(self.tokenizer.encode, text, add_special_tokens=adds)

    def decode(self, ids: Sequence[int], *, shows_special: bool = True) -> str:
        """Return the text of ids.

        Raises
        ------
        ApiError
            An id is not in the vocabulary.
        """
        wrong = next((t for t in ids if not 0 <= t < len(self.tokenizer)), None)
        if wrong is not None:
            message = f"token {wrong}, must be >= 0 and < {len(self.tokenizer)}"
            raise ApiError(message, param="tokens", code="invalid_value")
        return self.tokenizer.decode(
            list(ids), skip_special_tokens=not shows_special, clean_up_tokenization_spaces=False
        )

    async def _one(self, prompt: str | list[int], *, adds: bool, echo: bool) -> PromptIds:
        if isinstance(prompt, str):
            ids = await self.encode(prompt, adds=adds)
            return PromptIds(tuple(ids), prompt if echo else None)
        return PromptIds(tuple(prompt), self.decode(prompt, shows_special=False) if echo else None)


def _plain(message: Message, index: int) -> JsonObject:
    """Return a message with its content as one text, as templates for text expect it."""
    plain: JsonObject = message.model_dump(exclude_unset=True)
    if isinstance(message.content, list):
        plain["content"] = "".join(_part(part, index) for part in message.content)
    return plain


def _part(part: JsonObject, index: int) -> str:
    text = part.get("text")
    if part.get("type") not in ("text", "input_text") or not isinstance(text, str):
        message = f"messages.{index}.content: only parts `{{type: text, text: ...}}` are supported"
        raise ApiError(message, param=f"messages.{index}.content", code="invalid_value")
    return text
