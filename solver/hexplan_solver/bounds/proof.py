"""The proof: bounds on the flow of every placement, and what each of them rests on."""

from __future__ import annotations

from dataclasses import dataclass

from hexplan.bound_proof import TRUSTED_WORDS, BoundProof, TrustedKind


@dataclass(frozen=True, slots=True)
class Proved:
    """A bound with the proof that `check` recomputes."""

    micro_tokens_per_s: int
    """No placement has a larger flow, in 1e-6 tokens/s."""
    how: BoundProof
    """What the plan's certificate states, so that the bound can be recomputed."""


@dataclass(frozen=True, slots=True)
class Trusted:
    """A bound that cannot be recomputed from the plan."""

    micro_tokens_per_s: int
    """No placement has a larger flow, in 1e-6 tokens/s, if the program is right."""
    kind: TrustedKind
    by: str
    """The program whose answer is trusted, and its version."""

    @property
    def sentence(self) -> str:
        """What the bound rests on, in words."""
        return f"{TRUSTED_WORDS[self.kind]} (trusted: {self.by})"


@dataclass(frozen=True, slots=True)
class Proof:
    """Bounds that hold for every placement of a problem."""

    proved: Proved
    trusted: Trusted | None
    """A lower bound that rests on trust, if there is one."""
    status: str
    """What the solver said of the search."""

    @property
    def best(self) -> int:
        """The lowest bound, in 1e-6 tokens/s: proved, or trusted if that is lower."""
        known = self.proved.micro_tokens_per_s
        return known if self.trusted is None else min(known, self.trusted.micro_tokens_per_s)
