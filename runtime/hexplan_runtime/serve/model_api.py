"""What clients ask about the model: its name, its tokenizer, its tokens."""

from __future__ import annotations

import time
from importlib.metadata import version

from starlette.requests import Request
from starlette.responses import JSONResponse

from hexplan_runtime.serve.bodies import DetokenizeBody, TokenizeBody
from hexplan_runtime.serve.jobs import require_model
from hexplan_runtime.serve.problems import ApiError, JsonObject
from hexplan_runtime.serve.service import Service


class ModelApi:
    """Endpoints about the model."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._created = int(time.time())

    async def models(self, request: Request) -> JSONResponse:
        """Answer /v1/models."""
        return JSONResponse({"object": "list", "data": [self._card()]})

    async def model(self, request: Request) -> JSONResponse:
        """Answer /v1/models/{id}."""
        require_model(request.path_params["name"], self._service.settings)
        return JSONResponse(self._card())

    async def tokenize(self, request: Request) -> JSONResponse:
        """Answer /tokenize."""
        service = self._service
        body = await service.read(request, TokenizeBody)
        require_model(body.model, service.settings)
        if (body.prompt is None) == (body.messages is None):
            raise ApiError("needed either `prompt` or `messages`", param="prompt")
        if body.prompt is not None:
            text, adds = body.prompt, body.add_special_tokens is not False
        else:
            text = service.prompts.chat_text(body.messages or [], begins=body.add_generation_prompt)
            adds = bool(body.add_special_tokens)
        ids = await service.prompts.encode(text, adds=adds)
        tokenizer = service.prompts.tokenizer
        strings = tokenizer.convert_ids_to_tokens(ids) if body.return_token_strs else None
        room = service.room.context_tokens
        answer = {"count": len(ids), "max_model_len": room, "tokens": ids, "token_strs": strings}
        return JSONResponse(answer)

    async def detokenize(self, request: Request) -> JSONResponse:
        """Answer /detokenize."""
        body = await self._service.read(request, DetokenizeBody)
        require_model(body.model, self._service.settings)
        return JSONResponse({"prompt": self._service.prompts.decode(body.tokens)})

    async def tokenizer_info(self, request: Request) -> JSONResponse:
        """Answer /tokenizer_info."""
        tokenizer = self._service.prompts.tokenizer
        return JSONResponse(
            {
                "tokenizer_class": type(tokenizer).__name__,
                "bos_token": tokenizer.bos_token,
                "eos_token": tokenizer.eos_token,
                "pad_token": tokenizer.pad_token,
                "unk_token": tokenizer.unk_token,
                "chat_template": self._service.prompts.template,
            }
        )

    async def version(self, request: Request) -> JSONResponse:
        """Answer /version."""
        return JSONResponse({"version": version("hexplan")})

    def _card(self) -> JsonObject:
        name = self._service.settings.model_name
        return {
            "id": name,
            "object": "model",
            "created": self._created,
            "owned_by": "hexplan",
            "root": name,
            "parent": None,
            "max_model_len": self._service.room.context_tokens,
            "permission": [],
        }
