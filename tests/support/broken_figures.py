"""Plans whose rates, times, origins or facts cannot be so."""

from __future__ import annotations

from decimal import Decimal

from support.broken_sustained import RATE, SIMULATED, SUSTAINED
from support.changes import broken, change_plan, change_predicted, change_stage
from support.plan_parts import link
from support.plans import profiled_plan, resealed, two_hosts_plan

from hexplan.catalog.shipped import find_device
from hexplan.device import DeviceType
from hexplan.plan import Plan, Unused
from hexplan.predicted import RateRun
from hexplan.workload import Slo

TWO = two_hosts_plan()
PROFILED = profiled_plan()
RUN = RateRun(
    policy="chunked",
    requests_per_s=Decimal(20),
    seeds=(0,),
    duration_s=Decimal(15),
    warmup_s=Decimal(5),
    requests=290,
    attainment=Decimal("0.95"),
)
TIMES = {"ttft_s": Decimal("0.05"), "tpot_s": Decimal("0.02")}
BASIS = "simulation of 290 requests at the SLO's rate"


def promised(**update: object) -> Plan:
    """Return the plan of two hosts, made for an SLO, with other figures in its prediction."""
    slo = Slo(ttft_s=Decimal("0.04"), tpot_s=Decimal(1), attainment=Decimal("0.9"))
    workload = TWO.workload.model_copy(update={"slo": slo})
    plan = change_plan(TWO, objective="slo", workload=workload)
    figures = {
        "slo_requests_per_s": Decimal(20),
        "latency_basis": BASIS,
        "run": RUN,
        **TIMES,
        **update,
    }
    return change_predicted(plan, **figures)


def ran(**update: object) -> Plan:
    """Return that plan with another run."""
    return promised(run=RUN.model_copy(update=update))


def timed(**update: object) -> Plan:
    """Return the plan of two hosts, made for latency at a rate, with other figures."""
    workload = TWO.workload.model_copy(update={"request_rate_per_s": 20.0})
    plan = change_plan(TWO, objective="latency", workload=workload)
    basis = "queueing model of formulation 9 over step times: datasheet"
    return change_predicted(plan, **{"latency_basis": basis, **TIMES, **update})


def ran_as_asked(**update: object) -> Plan:
    """Return that plan with its times from a run at the rate asked, and with another run."""
    run = RUN.model_copy(update={"attainment": None, **update})
    basis = f"simulation of {run.requests} requests at the rate asked for"
    return timed(run=run, latency_basis=basis)


AS_ASKED = ran_as_asked()
"""A flow of 54.6 requests/s, and a run at 20."""


def asked(plan: Plan, requests_per_s: int, requests: int) -> Plan:
    """Return a plan made for latency at a rate, with a run of 15 s that finished some requests."""
    workload = plan.workload.model_copy(update={"request_rate_per_s": float(requests_per_s)})
    update = {"attainment": None, "requests_per_s": Decimal(requests_per_s), "requests": requests}
    run = RUN.model_copy(update=update)
    basis = f"simulation of {requests} requests at the rate asked for"
    asking = change_plan(plan, objective="latency", workload=workload)
    return change_predicted(asking, run=run, latency_basis=basis, **TIMES)


def with_model(**update: object) -> Plan:
    """Return the plan of two hosts for a model with other facts."""
    return change_plan(TWO, model=TWO.model.model_copy(update=update))


def with_folder(**update: object) -> Plan:
    """Return the plan for a model from a folder with other facts."""
    return with_model(path="/models/tiny", **update)


def with_type(name: str, **update: object) -> Plan:
    """Return the profiled plan with one more device type of the catalog, which no host uses."""
    listed = find_device(name)
    assert listed is not None
    return with_types(listed.model_copy(update=update))


def with_types(*kinds: DeviceType) -> Plan:
    """Return the profiled plan with more device types."""
    types = (*PROFILED.cluster.device_types, *kinds)
    return resealed(PROFILED, device_types=types)


def with_spare(kind: str) -> Plan:
    """Return the plan of two hosts with an unused host that has one device."""
    spare = TWO.cluster.hosts[1].model_copy(update={"name": "spare", "devices": (kind,)})
    unused = (*TWO.unused, Unused(host="spare", device=0, reason="by hand"))
    return change_plan(resealed(TWO, hosts=(*TWO.cluster.hosts, spare)), unused=unused)


def served(factor: int) -> Plan:
    """Return the plan with a sustained rate so many times as large, by the formula."""
    rates = {
        "decode_tokens_per_s": RATE.decode_tokens_per_s * factor,
        "requests_per_s": RATE.requests_per_s * factor,
    }
    return change_predicted(SUSTAINED, sustained=RATE.model_copy(update=rates))


def measured(**update: object) -> Plan:
    """Return the plan with other simulated figures."""
    simulated = SIMULATED.model_copy(update=update)
    rate = RATE.model_copy(update={"simulated": simulated})
    return change_predicted(SUSTAINED, sustained=rate)


PROMISED = promised()
TIMED = timed()
SPARE = with_spare("Small")
USED_IN_PART = with_types(find_device("L4").used_in_part(1 << 30))  # type: ignore[union-attr]
GOOD_FIGURES = (
    PROMISED,
    TIMED,
    AS_ASKED,
    asked(TWO, 65, 960),
    SPARE,
    USED_IN_PART,
    with_type("L4"),
)

_FACTS = (
    broken(
        "a Llama with experts by its family",
        with_model(family="mixtral", path="/models/tiny"),
        "HEX113",
    ),
    broken("a Qwen3 without norms", with_model(family="qwen3", path="/models/tiny"), "HEX113"),
    broken("a name of the catalog on another model", with_model(name="llama-2-7b"), "HEX114"),
    broken("a field that differs from nothing", with_model(given=("ffn",)), "HEX114"),
    broken("a hash without a folder", with_model(config_sha256="0" * 64), "HEX114"),
    broken(
        "a link rule with an end that is nowhere",
        resealed(TWO, links=(*TWO.cluster.links, link("nowhere", "lab"))),
        "HEX115",
    ),
    broken("more memory than the datasheet has", with_type("L4", memory_bytes=1 << 40), "HEX116"),
    broken("another origin than the datasheet", with_type("L4", origin="measured"), "HEX116"),
    broken("another generation", with_type("L4", arch="hopper"), "HEX116"),
    broken(
        "a calibration that the catalog does not have",
        with_type(
            "L4",
            origin=f"{find_device('L4').origin}; the cluster file gives efficiency",  # type: ignore[union-attr]
            efficiency=TWO.cluster.device_types[0].efficiency,
        ),
        "HEX116",
    ),
    broken(
        "a datasheet of an unknown device",
        with_types(
            TWO.cluster.device_types[0].model_copy(update={"origin": "datasheet: a leaflet"})
        ),
        "HEX116",
    ),
    broken("an unused device of an unknown type", with_spare("Tiny"), "HEX106"),
    broken(
        "a datasheet that is called a profile",
        change_stage(TWO, 0, speed_origin="measured profile"),
        "HEX408",
    ),
    broken(
        "a profile that is called a datasheet",
        change_stage(PROFILED, 0, speed_origin="datasheet"),
        "HEX408",
    ),
)
_RATES = (
    broken("a formula above what is possible", served(100), "HEX717"),
    broken(
        "a simulation above what is possible",
        measured(requests_per_s=Decimal(900), decode_tokens_per_s=Decimal(9000), requests=10**6),
        "HEX717",
    ),
    broken(
        "an SLO's rate above what is possible",
        promised(
            slo_requests_per_s=Decimal(900),
            run=RUN.model_copy(update={"requests_per_s": Decimal(900)}),
        ),
        "HEX717",
    ),
    broken(
        "another basis of the formula",
        change_predicted(SUSTAINED, sustained=RATE.model_copy(update={"basis": "measured"})),
        "HEX714",
    ),
    broken(
        "half the decodes of an output",
        change_predicted(
            SUSTAINED, sustained=RATE.model_copy(update={"decode_tokens_per_s": Decimal(300)})
        ),
        "HEX714",
    ),
    broken("fewer requests than finished", measured(requests=3000), "HEX714"),
)
_TIMES = (
    broken("a first token before the prompt has run", measured(ttft_s=Decimal("0.001")), "HEX718"),
    broken("tokens faster than a step", measured(tpot_s=Decimal("0.0001")), "HEX718"),
    broken("a promised first token too early", promised(ttft_s=Decimal("0.001")), "HEX718"),
    broken("a queue without service", timed(tpot_s=Decimal("0.0001")), "HEX718"),
    broken("a prompt that takes no time", timed(ttft_s=Decimal("0.001")), "HEX718"),
)
_PROMISES = (
    broken("an SLO without a rate", promised(slo_requests_per_s=None), "HEX719"),
    broken("an SLO's rate without an SLO", change_plan(PROMISED, workload=TWO.workload), "HEX719"),
    broken(
        "an SLO's rate without a run",
        promised(
            run=None, latency_basis="queueing model of formulation 9 over step times: datasheet"
        ),
        "HEX719",
    ),
    broken("a run at another rate", ran(requests_per_s=Decimal(19)), "HEX719"),
    broken("a promise that was not kept", ran(attainment=Decimal("0.89")), "HEX719"),
    broken("more than all requests", ran(attainment=Decimal("1.01")), "HEX719"),
    broken("means that break a promise that all kept", ran(attainment=Decimal(1)), "HEX719"),
    broken("a run that counts a seed twice", ran(seeds=(0, 0)), "HEX714"),
    broken("times that another run gave", promised(latency_basis="a guess"), "HEX720"),
    broken("a run at another rate than asked", ran_as_asked(requests_per_s=Decimal(19)), "HEX711"),
    broken("a run that falls behind", ran_as_asked(requests=150), "HEX711"),
    broken(
        "a basis of an SLO at the rate asked",
        change_predicted(AS_ASKED, latency_basis=BASIS),
        "HEX720",
    ),
    broken(
        "a run far above what is possible",
        asked(TWO, 900, 14_000),
        "HEX717",
    ),
    broken("times of another origin", timed(latency_basis=BASIS), "HEX720"),
    broken("no time for the objective latency", timed(ttft_s=None), "HEX720"),
    broken(
        "a basis of no times",
        change_predicted(TWO, latency_basis=BASIS),
        "HEX720",
    ),
)
BROKEN_FIGURES = _FACTS + _RATES + _TIMES + _PROMISES
