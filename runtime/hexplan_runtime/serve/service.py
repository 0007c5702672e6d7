"""The service: what the endpoints share, and how they generate."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from hexplan.plan import Plan
from hexplan_runtime.applying.view import Current
from hexplan_runtime.engine.core import EngineCore
from hexplan_runtime.launch.startup import RankStats
from hexplan_runtime.sampling.grammars import Grammars, read_vocabulary
from hexplan_runtime.serve.access import require_json
from hexplan_runtime.serve.answers import Answer, ChatForm, CompletionForm, Form
from hexplan_runtime.serve.bodies import Body, ChatBody, CompletionBody, Generating, parse
from hexplan_runtime.serve.event_stream import EventStream, unless_gone
from hexplan_runtime.serve.front import visit_of
from hexplan_runtime.serve.generation import Generation, Handoff, Serving
from hexplan_runtime.serve.health import Health
from hexplan_runtime.serve.jobs import Job, Room, TextRules, make_job, require_model
from hexplan_runtime.serve.metrics import Metrics
from hexplan_runtime.serve.parameters.constraints import Constraints
from hexplan_runtime.serve.plan_state import PlanState
from hexplan_runtime.serve.problems import TooSlow, Unavailable
from hexplan_runtime.serve.prompts import ChatTokenizer, Prompts
from hexplan_runtime.serve.settings import ServeSettings
from hexplan_runtime.token_text import TokenTexts

Read = TypeVar("Read", bound=Body)


@dataclass(frozen=True, slots=True)
class Launched:
    """A running plan, and what its model folder says."""

    current: Current
    core: EngineCore
    stats: tuple[RankStats, ...]
    tokenizer: ChatTokenizer
    stop_ids: tuple[int, ...]
    folder: Path


class Service:
    """Everything behind the endpoints."""

    def __init__(self, launched: Launched, settings: ServeSettings) -> None:
        current, core = launched.current, launched.core
        plan = current.plan
        self.settings = settings
        self.prompts = Prompts(launched.tokenizer, settings.chat_template)
        grammars = Grammars(lambda: read_vocabulary(launched.folder, plan.model.vocab))
        self.constraints = Constraints(grammars, launched.stop_ids)
        self.health = Health(current, core)
        self.state = PlanState(current, launched.stats)
        self.metrics = Metrics(
            current, settings.model_name, has_vllm_names=settings.has_vllm_metrics
        )
        self._launched = launched
        self._serving: Serving | None = None

    @property
    def room(self) -> Room:
        """How long requests may be by the plan that runs now."""
        plan = self._launched.current.plan
        return Room(_context_tokens(plan), self.settings.limits.output_tokens, plan.model.vocab)

    @asynccontextmanager
    async def lifespan(self, app: Starlette) -> AsyncIterator[None]:
        """Run what runs beside the endpoints."""
        handoff = Handoff(asyncio.get_running_loop(), self.health.progressed)
        self._serving = Serving(
            self._launched.core,
            handoff,
            self._launched.tokenizer,
            TokenTexts(self._launched.tokenizer),
            self.metrics,
            self.settings.limits.unread_tokens,
        )
        probe = asyncio.create_task(self.health.probe())
        try:
            yield
        finally:
            probe.cancel()

    async def completion(self, request: Request) -> Response:
        """Answer /v1/completions."""
        body = await self.read(request, CompletionBody)
        require_model(body.model, self.settings)
        prompts = await self.prompts.of_completion(body)
        job = make_job(body, prompts, self.room, self.settings, await self._rules(body))
        return await self._answer(request, job, CompletionForm())

    async def chat(self, request: Request) -> Response:
        """Answer /v1/chat/completions."""
        body = await self.read(request, ChatBody)
        require_model(body.model, self.settings)
        prompt = await self.prompts.of_chat(body)
        job = make_job(body, [prompt], self.room, self.settings, await self._rules(body))
        return await self._answer(request, job, ChatForm())

    async def read(self, request: Request, kind: type[Read]) -> Read:
        """Return the body of a request.

        Raises
        ------
        ApiError
            It is too large, comes too slowly, or has not the right form.
        """
        require_json(request.headers)
        try:
            async with asyncio.timeout(self.settings.limits.body_s):
                data = await request.body()
        except TimeoutError as error:
            message = f"the body did not arrive within {self.settings.limits.body_s:g} s"
            raise TooSlow(message, code="body_too_slow") from error
        return parse(kind, data)

    async def _rules(self, body: Generating) -> TextRules:
        return TextRules(self._launched.stop_ids, await self.constraints.grammar_of(body))

    async def _answer(self, request: Request, job: Job, form: Form) -> Response:
        if self._serving is None or self.health.is_draining:
            raise Unavailable("the server is about to end", code="draining")
        visit = visit_of(request.scope)
        visit.prompt_tokens = job.prompt_tokens
        generation = Generation(self._serving, job.sent_by(visit.client))
        answer = Answer(form, self.settings.model_name, visit.id, generation)

        def release() -> None:
            visit.completion_tokens = generation.completion_tokens
            generation.cancel()
            visit.cut = generation.cut

        generation.start()
        if job.streams:
            return EventStream(answer.events(), release)
        try:
            return JSONResponse(await unless_gone(request.receive, answer.whole()))
        finally:
            release()


def _context_tokens(plan: Plan) -> int:
    """Return how long a request may be: as the model was made for, and some route has room for."""
    kv_tokens = {stage.id: stage.room_tokens for stage in plan.stages}
    widest = max(min(kv_tokens[hop.stage] for hop in route.hops) for route in plan.routes)
    return min(plan.model.max_context, widest)
