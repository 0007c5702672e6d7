"""A stage in a rehearsal: what waits at it, and how its steps are formed and how long they take."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from hexplan.schedule.limits import least_prompt_tokens
from hexplan.step_limits import StepLimits
from hexplan_solver.served.rehearsal.clumps import Clump, Part
from hexplan_solver.simulate.pipeline_model import PipelineModel


class Queue:
    """What waits at one segment of a stage, decodes and prompts each in the order of arrival."""

    __slots__ = ("clumps", "decodes", "parts")

    def __init__(self) -> None:
        self.clumps: list[Clump] = []
        self.decodes = 0
        """Those of all clumps."""
        self.parts: deque[Part] = deque()

    def take_decodes(self, most: int) -> tuple[list[Clump], int]:
        """Take the decodes that came first, and say how many they are; a clump may be cut."""
        clumps, decodes = self.clumps, self.decodes
        if decodes <= most:
            self.clumps, self.decodes = [], 0
            return clumps, decodes
        left, first = most, 0
        while left >= clumps[first].decodes:
            left -= clumps[first].decodes
            first += 1
        taken, self.clumps = clumps[:first], clumps[first:]
        if left:
            cut = self.clumps[0]
            taken.append(Clump(cut.route, cut.batch, left))
            cut.decodes -= left
        self.decodes -= most
        return taken, most

    def take_parts(self, room: int) -> list[Part]:
        """Take prompt tokens that came first, at most so many; the last part may be cut."""
        parts = self.parts
        taken: list[Part] = []
        while parts and room:
            part = parts[0]
            if part.tokens <= room:
                room -= part.tokens
                taken.append(parts.popleft())
            else:
                taken.append(Part(part.prompt, part.start, room))
                part.start += room
                part.tokens -= room
                room = 0
        return taken


@dataclass(slots=True, eq=False)
class Step:
    """A batch that runs through one segment of a stage."""

    segment: int
    clumps: list[Clump]
    decodes: int
    parts: list[Part]
    seconds: float = 0.0


class RehearsedStage:
    """A stage with its queues, as in the simulator: one for each layer at which requests enter.

    Parameters
    ----------
    entries
        Those layers.
    context_tokens
        Context of every decode.
    """

    def __init__(
        self,
        pipeline: PipelineModel,
        position: int,
        entries: Sequence[int],
        limits: StepLimits,
        context_tokens: float,
    ) -> None:
        model = pipeline.stages[position]
        ends = [*entries[1:], model.layers[1]]
        self._layers = [end - enter for enter, end in zip(entries, ends, strict=True)]
        self._steps = model.steps
        self._ends_model = model.layers[1] == pipeline.num_layers
        self._limits, self._context_tokens = limits, context_tokens
        self._least_room = least_prompt_tokens(limits.tokens)
        self.last_segment = len(entries) - 1
        self.queues = [Queue() for _ in entries]
        self.running: Step | None = None
        self.due = 0
        """The event at which its next step begins; 0 if none is expected."""
        self.is_holding = False
        """Whether that waits for tokens of the last step to return."""
        self.busy_s = 0.0
        self._next_segment = 0
        self._decode_s: dict[tuple[int, int], float] = {}

    def next_step(self) -> Step | None:
        """Take what the next step holds, or nothing if nothing waits; segments take turns."""
        count = len(self.queues)
        for offset in range(count):
            segment = (self._next_segment + offset) % count
            queue = self.queues[segment]
            if queue.decodes or queue.parts:
                self._next_segment = (segment + 1) % count
                return self._form(segment, queue)
        return None

    def _form(self, segment: int, queue: Queue) -> Step:
        clumps, decodes = queue.take_decodes(self._limits.decodes)
        parts: list[Part] = []
        if queue.parts:
            parts = queue.take_parts(max(self._limits.tokens - decodes, self._least_room))
        step = Step(segment, clumps, decodes, parts)
        step.seconds = self._mixed_s(step) if parts else self._of_decodes_s(segment, decodes)
        self.busy_s += step.seconds
        return step

    def _of_decodes_s(self, segment: int, decodes: int) -> float:
        key = segment, decodes
        known = self._decode_s.get(key)
        if known is None:
            known = self._decode_s[key] = self._mixed_s(Step(segment, [], decodes, []))
        return known

    def _mixed_s(self, step: Step) -> float:
        prompt = rows = 0
        reach = 0.0
        for part in step.parts:
            prompt += part.tokens
            reach += part.tokens * (part.start + part.tokens / 2)
            rows += part.is_end
        context = step.decodes * self._context_tokens
        layer_s = self._steps.layer_s(prompt, reach, step.decodes, context)
        seconds = self._layers[step.segment] * layer_s
        if step.segment == self.last_segment:
            seconds += self._steps.step_s(len(step.parts) + step.decodes)
            if self._ends_model:
                seconds += self._steps.head_s(rows + step.decodes)
        return seconds
