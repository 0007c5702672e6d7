"""The state of a simulated stage: what waits there, and what runs."""

from __future__ import annotations

from dataclasses import dataclass

from hexplan.schedule.micro_batches import hold_s
from hexplan.schedule.step import WholeStepLimits, next_step, next_whole_step
from hexplan.step_limits import StepLimits
from hexplan_solver.flow.network import OUTSIDE
from hexplan_solver.simulate.pipeline_model import NO_LIMIT, PipelineModel
from hexplan_solver.simulate.policy import Policy
from hexplan_solver.simulate.token_group import TokenGroup


@dataclass(frozen=True, slots=True)
class RunningStep:
    """A batch that runs through one segment of a stage."""

    segment: int
    groups: list[TokenGroup]
    seconds: float


class StageState:
    """A stage with its queues.

    Requests may enter in the middle of its layers. The layers between two entries are a segment,
    and each segment has a queue. A batch runs its segment, then joins what waits at the next one.
    After a segment, the stage turns to the next segment, in a circle, at which something waits.
    This gives the order of Helix's simulator, which runs a stage layer by layer, in fewer events.
    """

    def __init__(
        self, pipeline: PipelineModel, stage: int, entries: tuple[int, ...], policy: Policy
    ) -> None:
        self.model = model = pipeline.stages[stage]
        self._policy = policy
        self._layers = [
            b - a for a, b in zip(entries, [*entries[1:], model.layers[1]], strict=True)
        ]
        self._ends_model = model.layers[1] == pipeline.num_layers
        self._intake_s = pipeline.activation_bytes * policy.intake_s_per_byte
        max_prompts = model.max_prompts if policy.obeys_profile else NO_LIMIT
        max_decodes = model.max_decode_tokens if policy.obeys_profile else NO_LIMIT
        self._max_decodes = min(max_decodes, policy.max_decode_tokens)
        self._whole_limits = WholeStepLimits(
            self._max_decodes, max_prompts, policy.max_prompt_tokens
        )
        self._step_limits = (
            None
            if policy.chunk_tokens is None
            else StepLimits(tokens=policy.chunk_tokens, decodes=self._max_decodes)
        )
        self.queues: list[list[TokenGroup]] = [[] for _ in entries]
        self.step: RunningStep | None = None
        """What runs now."""
        self.wakes = 0
        """How often a step was due; a wake that another one has overtaken does nothing."""
        self.is_waking = False
        """Whether its next step is due."""
        self.is_holding = False
        """Whether that waits for tokens of the last step to return."""
        self.is_down = False
        self.begun_s = 0.0
        """When the step began."""
        self.past_busy_s = 0.0
        """Time in steps that have ended."""
        self.largest_step = [0, 0]
        """The most prompt and decode tokens in a step."""
        self._next_segment = 0
        self._away_s = away_s(pipeline, stage) if policy.is_paced else None

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

    def hold_s(self, step: RunningStep) -> float:
        """Return how long to wait for the tokens of the step that has ended."""
        if self._away_s is None or not any(not g.is_prompt or g.is_prompt_end for g in step.groups):
            return 0.0
        return hold_s(step.seconds, self._away_s)

    @property
    def waiting_tokens(self) -> int:
        """Tokens that wait at it."""
        return sum(group.tokens for queue in self.queues for group in queue)

    def drop_lost(self) -> None:
        """Drop what waits of requests whose KV is lost."""
        for queue in self.queues:
            queue[:] = [kept for group in queue if (kept := group.without_lost())]

    def next_step(self) -> RunningStep | None:
        """Take the next batch, or nothing if nothing waits."""
        count = len(self.queues)
        for offset in range(count):
            segment = (self._next_segment + offset) % count
            if self.queues[segment]:
                self._next_segment = (segment + 1) % count
                return self._step(segment)
        return None

    def _step(self, segment: int) -> RunningStep:
        groups = self._take(segment)
        prompt = decode = context = rows = prompts = 0
        reach = 0.0
        for group in groups:
            if group.is_prompt:
                prompt += group.tokens
                reach += group.tokens * (group.start + group.tokens / 2)
                rows += group.is_prompt_end
                prompts += 1
            else:
                decode += group.tokens
                context += group.context
        seconds = self._layers[segment] * self.model.steps.layer_s(prompt, reach, decode, context)
        if segment == 0:
            seconds += (prompt + decode) * self._intake_s
        if segment == self.last_segment:
            seconds += self.model.steps.step_s(prompts + decode)
            if self._ends_model:
                seconds += self.model.steps.head_s(rows + decode)
        if prompt > self.largest_step[0]:
            self.largest_step[0] = prompt
        if decode > self.largest_step[1]:
            self.largest_step[1] = decode
        return RunningStep(segment, groups, seconds)

    def _take(self, segment: int) -> list[TokenGroup]:
        queue = self.queues[segment]
        if len(queue) == 1 and not queue[0].is_prompt and queue[0].tokens <= self._max_decodes:
            self.queues[segment] = []
            return queue
        if self._step_limits is None:
            taken, self.queues[segment] = next_whole_step(queue, self._whole_limits)
        else:
            taken, self.queues[segment] = next_step(queue, self._step_limits)
        if self._policy.decodes_go_first:
            taken.sort(key=lambda group: group.is_prompt)
        return taken


def away_s(pipeline: PipelineModel, stage: int) -> float | None:
    """Return the latency to the coordinator and back; None if a stage is not a whole route."""
    if pipeline.is_split:
        return None
    met = [edge for edge in pipeline.edges if stage in (edge.source, edge.target)]
    if any(OUTSIDE not in (edge.source, edge.target) for edge in met):
        return None
    return sum(edge.latency_s for edge in met)
