"""What launcher and ranks say to each other, other than tensors: one line of JSON each."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import ConfigDict, Field

from hexplan.frozen_model import FrozenModel
from hexplan.measured.observations import StepSeen
from hexplan.plan import Plan
from hexplan_runtime.model.architecture import Architecture
from hexplan_runtime.runner.kv_offload.host_traffic import HostTraffic

PEER_LOST: Final = 75
"""Exit code of a rank that lost a peer and is not to blame itself."""
REFUSED: Final = 76
"""Exit code of a rank that has reported why it cannot run the plan."""


class Across(FrozenModel):
    """What ends of edges between machines must know."""

    model_config = ConfigDict(hide_input_in_errors=True)

    address: str | None
    """The IP address of this end's machine where it listens; null for who listens nowhere."""
    listeners: tuple[str, str] = Field(repr=False)
    """Public and secret key of the ends that listen, in Z85."""
    callers: tuple[str, str] = Field(repr=False)
    """Public and secret key of the ends that call them."""
    first_port: int | None = None
    """Edge number `n` listens at this port + `n`; at one that the system chooses if null."""
    behind: tuple[str, ...] = ()
    """Hosts that other hosts cannot call: they call the others."""


class Listening(FrozenModel):
    """Where one end of an edge listens."""

    edge: int
    """Number of the edge."""
    address: str
    """`tcp://IP:PORT`."""


class EdgePlace(FrozenModel):
    """An edge that a launch has now."""

    number: int
    """Its number, which no other edge of the launch has ever had."""
    source: str
    """A stage id, or `entry`."""
    target: str
    """A stage id, or `exit`."""
    is_added: bool = False
    """Whether it was opened while the launch ran; such edges are never plain."""

    @property
    def ends(self) -> tuple[str, str]:
        """Source and target."""
        return self.source, self.target


class Directory(FrozenModel):
    """Where ends listen: what leaders say of theirs, and the coordinator of all."""

    edges: tuple[Listening, ...]
    """The edges between machines, in any order."""


class EdgeLost(FrozenModel):
    """The connection of an edge to another machine is lost."""

    source: str
    """A stage id, or `entry`."""
    target: str
    """A stage id, or `exit`."""
    message: str


class Assignment(FrozenModel):
    """What a rank gets on its stdin when it starts."""

    model_config = ConfigDict(hide_input_in_errors=True)

    plan: Plan
    """The whole plan."""
    architecture: Architecture
    """What config.json says beyond the plan."""
    model_folder: str
    """Where the weights are."""
    stage: int
    """Index of the rank's stage in the plan."""
    rank: int
    """Rank in the stage; 0 leads."""
    launcher_pid: int
    """The process that must be the rank's parent."""
    meeting_folder: str
    """Where the processes of the launch meet; only this user may enter it."""
    nonce: str
    """A random number that marks the messages of this launch, in hexadecimal digits."""
    is_observed: bool = False
    """Whether the leader reports its steps and messages."""
    across: Across | None = None
    """What edges to other machines need; null if there are none."""
    step_limit_s: float = 300.0
    """How long a step may take before the leader counts as hanging, and ends."""
    heals: bool = False
    """Whether a stage goes on when an edge of its is lost, as the launcher mends that."""
    generations: tuple[int, ...] = ()
    """How often each stage of the plan was lost before; never if empty."""
    attempt: int = 0
    """Numbers the starts of stages after the first ones."""
    directory: Directory | None = None
    """Where ends listen already, and where this stage's are to listen; null at the first start."""
    edges: tuple[EdgePlace, ...] = ()
    """The edges that the launch has now; those of the plan's routes if empty."""


class Renewal(FrozenModel):
    """What a leader must let go of, because other stages are lost."""

    number: int
    """Renewals of a launch are numbered from 1."""
    generations: tuple[int, ...]
    """How often each stage of the plan was lost so far."""
    floors: tuple[int, ...]
    """For each route: requests below this are over there."""
    others: tuple[int, ...]
    """Requests that are over, too."""


class Rerouting(FrozenModel):
    """What a stage that goes on must know of a plan with more stages and routes."""

    number: int
    """Reroutings of a launch are numbered from 1."""
    plan: Plan
    """The stages and routes so far, in their places, and the new ones behind them."""
    edges: tuple[EdgePlace, ...]
    """The edges that the launch has from now on; ends of others are closed."""


class RankOrder(FrozenModel):
    """What a rank hears once it is up; one of these."""

    renewal: Renewal | None = None
    """What to let go of; for leaders."""
    rerouting: Rerouting | None = None
    """Which routes there are from now on."""
    directory: Directory | None = None
    """Where the other ends of new edges listen; for leaders that have said where theirs do."""


class EndSeen(FrozenModel):
    """One end of a message over an edge."""

    source: str
    """A stage id, or `entry`."""
    target: str
    """A stage id, or `exit`."""
    is_sent: bool
    """Whether it left or arrived."""
    at_s: float
    """When its sending began, or when all of it was here, by this machine's monotonic clock."""
    tokens: int
    """Tokens that it carried."""
    bytes: int
    """Bytes that it carried, with its header."""


_Event = Literal[
    "loaded", "listening", "ready", "refused", "lost", "renewed", "rerouted", "seen", "fetched"
]


class Report(FrozenModel):
    """What a rank says on its stdout."""

    event: _Event
    """Weights are read; a leader listens for other machines; edges are up; the rank cannot run the
    plan; a leader's connection to another machine is gone; a leader has done a renewal; a rank
    knows new routes; what a leader observed; or what it has fetched from host memory."""
    number: int = 0
    """The renewal or rerouting that is done."""
    listening: tuple[Listening, ...] = ()
    """Where a leader listens for other machines."""
    bytes_read: int = 0
    """Bytes of weights taken from files, when loaded."""
    weights_bytes: int = 0
    """Bytes that they fill in memory, when loaded."""
    kv_bytes: int = 0
    """Bytes of the KV cache, when loaded."""
    lost: EdgeLost | None = None
    """The edge that is lost."""
    message: str = ""
    """Why it refused."""
    hint: str | None = None
    """What helps, when refused."""
    is_users: bool = True
    """Whether the plan or the model is to blame, and not the machines, when refused."""
    seen: tuple[StepSeen | EndSeen, ...] = ()
    """Steps and ends of messages, in the order in which they were noted."""
    traffic: HostTraffic | None = None
    """What it has fetched so far."""


def launch_mark(nonce: str) -> int:
    """Return the number that marks the messages of a launch."""
    return int(nonce[:15], 16)
