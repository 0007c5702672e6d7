"""A stage at work: what waits at it, and what it takes into its next step."""

from __future__ import annotations

from dataclasses import dataclass

from hexplan_solver.simulate.parcel import Parcel
from hexplan_solver.simulate.pipeline import NO_LIMIT, Pipeline
from hexplan_solver.simulate.policy import Policy


@dataclass(frozen=True, slots=True)
class Step:
    """A batch on its way through a part of the stage's layers."""

    segment: int
    parcels: list[Parcel]
    seconds: float


class Station:
    """A stage with its queues.

    Requests may enter in the middle of its layers. The layers between two entries are a segment,
    and each segment has a queue. A batch runs its segment, then joins what waits at the next one.
    After a segment, the stage turns to the next one, in a circle, at which something waits: that
    is how a stage runs layer by layer (Helix's simulator), without a step for each layer.
    """

    def __init__(
        self, pipeline: Pipeline, stage: int, entries: tuple[int, ...], policy: Policy
    ) -> None:
        self.model = model = pipeline.stages[stage]
        self._policy = policy
        self._layers = [
            b - a for a, b in zip(entries, [*entries[1:], model.layers[1]], strict=True)
        ]
        self._ends_model = model.layers[1] == pipeline.num_layers
        self._intake_s = pipeline.activation_bytes * policy.intake_s_per_byte
        self._max_prompts = model.max_prompts if policy.obeys_profile else NO_LIMIT
        limit = model.max_decode_tokens if policy.obeys_profile else NO_LIMIT
        self._max_decodes = min(limit, policy.max_decode_tokens)
        self.queues: list[list[Parcel]] = [[] for _ in entries]
        self.step: Step | None = None
        """What runs now."""
        self.is_waking = False
        """Whether it will start by itself."""
        self.is_down = False
        self.begun_s = 0.0
        """When it began."""
        self.past_busy_s = 0.0
        """Time in steps that have ended."""
        self.num_steps = 0
        self.largest_step = [0, 0]
        """The most prompt and decode tokens in a step."""
        self._at = 0

    @property
    def last_segment(self) -> int:
        """Position of the last segment."""
        return len(self._layers) - 1

    def busy_s(self, now_s: float) -> float:
        """Return the time spent in steps so far."""
        return self.past_busy_s + (0.0 if self.step is None else now_s - self.begun_s)

    def end_step(self, now_s: float) -> None:
        """Put the step away, whether it came to its end or not."""
        self.past_busy_s, self.step = self.busy_s(now_s), None

    @property
    def waiting_tokens(self) -> int:
        """Tokens that wait at it."""
        return sum(parcel.tokens for queue in self.queues for parcel in queue)

    def drop_lost(self) -> None:
        """Throw away what waits of requests whose KV is lost."""
        for queue in self.queues:
            queue[:] = [kept for parcel in queue if (kept := parcel.without_lost())]

    def next_step(self) -> Step | None:
        """Take the next batch, or nothing if nothing waits."""
        count = len(self.queues)
        for offset in range(count):
            segment = (self._at + offset) % count
            if self.queues[segment]:
                self._at = (segment + 1) % count
                return self._step(segment)
        return None

    def _step(self, segment: int) -> Step:
        parcels = self._take(segment)
        prompt = decode = context = rows = 0
        reach = 0.0
        for parcel in parcels:
            if parcel.is_prompt:
                prompt += parcel.tokens
                reach += parcel.tokens * (parcel.start + parcel.tokens / 2)
                rows += parcel.is_prompt_end
            else:
                decode += parcel.tokens
                context += parcel.context
        seconds = self._layers[segment] * self.model.steps.layer_s(prompt, reach, decode, context)
        if segment == 0:
            seconds += (prompt + decode) * self._intake_s
        if self._ends_model and segment == self.last_segment:
            seconds += self.model.steps.head_s(rows + decode)
        if prompt > self.largest_step[0]:
            self.largest_step[0] = prompt
        if decode > self.largest_step[1]:
            self.largest_step[1] = decode
        self.num_steps += 1
        return Step(segment, parcels, seconds)

    def _take(self, segment: int) -> list[Parcel]:
        queue = self.queues[segment]
        if len(queue) == 1 and not queue[0].is_prompt and queue[0].tokens <= self._max_decodes:
            self.queues[segment] = []
            return queue
        decodes = min(self._max_decodes, sum(p.tokens for p in queue if not p.is_prompt))
        taken, self.queues[segment] = (
            self._take_whole(queue, decodes)
            if self._policy.chunk_tokens is None
            else self._take_chunks(queue, decodes, self._policy.chunk_tokens)
        )
        if self._policy.decodes_go_first:
            taken.sort(key=lambda parcel: parcel.is_prompt)
        return taken

    def _take_whole(self, queue: list[Parcel], decodes: int) -> tuple[list[Parcel], list[Parcel]]:
        taken: list[Parcel] = []
        left: list[Parcel] = []
        prompts = prompt_tokens = 0
        for parcel in queue:
            if not parcel.is_prompt:
                decodes = _take_decodes(parcel, decodes, taken, left)
                continue
            fits = prompt_tokens + parcel.tokens <= self._policy.max_prompt_tokens
            if prompts < self._max_prompts and (fits or not prompts):
                prompts += 1
                prompt_tokens += parcel.tokens
                taken.append(parcel)
            else:
                left.append(parcel)
        return taken, left

    def _take_chunks(
        self, queue: list[Parcel], decodes: int, budget: int
    ) -> tuple[list[Parcel], list[Parcel]]:
        taken: list[Parcel] = []
        left: list[Parcel] = []
        room = max(budget - decodes, budget // 4, 1)
        for parcel in queue:
            if not parcel.is_prompt:
                decodes = _take_decodes(parcel, decodes, taken, left)
            elif parcel.tokens <= room:
                room -= parcel.tokens
                taken.append(parcel)
            else:
                if room:
                    taken.append(parcel.split(room))
                    room = 0
                left.append(parcel)
        return taken, left


def _take_decodes(parcel: Parcel, room: int, taken: list[Parcel], left: list[Parcel]) -> int:
    """Take as many decodes as there is room for, and return the room left."""
    if parcel.tokens <= room:
        taken.append(parcel)
        return room - parcel.tokens
    if room:
        taken.append(parcel.split(room))
    left.append(parcel)
    return 0
