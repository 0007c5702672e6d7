"""The rules of how a stage runs: how its devices share the work, and what a step may hold."""

from __future__ import annotations

from hexplan.check.rules import Rule

SHARING_IMPOSSIBLE = Rule(
    "HEX212",
    "sharing-impossible",
    "A stage is `sp` or `shift` only with several devices of one type that have equally many KV"
    " heads; `shift` cuts no block of quantised weights.",
)
SHARING_NOT_ALLOWED = Rule(
    "HEX213",
    "sharing-not-allowed",
    "A stage of several devices is parallel in a way that `limits.parallel` lists.",
)
SHIFT_TOKENS_MISPLACED = Rule(
    "HEX214",
    "shift-tokens-misplaced",
    "A stage has `shift_tokens` if it is `shift`, and only then.",
)
SHIFT_TOKENS_WRONG = Rule(
    "HEX407",
    "shift-tokens-wrong",
    "`shift_tokens` is a multiple of the stage's devices; a step of so many tokens is faster tensor"
    " parallel, one with a token more for each device is not.",
)
STEP_TOO_LARGE = Rule(
    "HEX307",
    "step-too-large",
    "A step holds no more tokens than workspace is kept for, and its decodes leave a fourth of them"
    " to prompts.",
)
