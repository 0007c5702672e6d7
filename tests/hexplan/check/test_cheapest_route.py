"""The cheapest route agrees with a walk over all routes."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st
from support.plans import two_sites_plan

from hexplan.check.flow.cheapest import cheapest_route
from hexplan.check.lookup import Lookup

LAYERS = 6
BYTES = 192
SITES = {"e": "east", "w": "west"}
PLAN = two_sites_plan()
RANGES = st.tuples(st.integers(0, LAYERS - 1), st.integers(1, LAYERS)).filter(
    lambda layers: layers[0] < layers[1]
)
PLACES = st.lists(st.tuples(RANGES, st.sampled_from("ew")), min_size=1, max_size=6)
NAMES = [
    "trunk:east>west",
    "pair:e>w",
    "pair:coordinator>e",
    "nic-out:e",
    "nic-in:e",
    "nic-out:w",
    "nic-in:coordinator",
]
NAMES += [f"stage:s{index}" for index in range(6)]
NAMES += [f"link:s{i}>s{j}" for i in range(6) for j in range(6)] + ["link:entry>s0"]
PRICES = st.dictionaries(
    st.sampled_from(NAMES), st.fractions(min_value=0, max_value=2, max_denominator=12)
)

Place = tuple[tuple[int, int], str]


def routes(places: list[Place], reached: int, chain: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    """Yield every chain of stages from a layer on that ends at the last layer."""
    if reached == LAYERS:
        yield chain
    for index, ((first, end), host) in enumerate(places):
        is_start = not chain and first == 0
        # A host of one device has no interconnect: `e` reaches itself over nothing.
        is_cut_off = bool(chain) and places[chain[-1]][1] == host == "e"
        if is_start or (chain and first <= reached < end and not is_cut_off):
            yield from routes(places, end, (*chain, index))


def fare(prices: dict[str, Fraction], source: str, target: str, token_bytes: int) -> Fraction:
    """Return what a token pays between two hosts."""
    names = [f"pair:{source}>{target}", f"nic-out:{source}", f"nic-in:{target}"]
    if SITES.get(source, "east") == "east" and SITES.get(target, "east") == "west":
        names.append("trunk:east>west")
    return token_bytes * sum((prices.get(name, Fraction(0)) for name in names), Fraction(0))


def pays(prices: dict[str, Fraction], places: list[Place], chain: tuple[int, ...]) -> Fraction:
    """Return what a token pays on one route."""
    ends = ["entry", *(f"s{index}" for index in chain), "exit"]
    hosts = ["coordinator", *(places[index][1] for index in chain), "coordinator"]
    total = sum((prices.get(f"stage:{end}", Fraction(0)) for end in ends), Fraction(0))
    for step in range(len(ends) - 1):
        total += prices.get(f"link:{ends[step]}>{ends[step + 1]}", Fraction(0))
        if hosts[step] != hosts[step + 1]:
            token_bytes = 4 if "coordinator" in hosts[step : step + 2] else BYTES
            total += fare(prices, hosts[step], hosts[step + 1], token_bytes)
    return total


@settings(max_examples=150)
@given(PLACES, PRICES)
def test_the_cheapest_route_is_the_cheapest_of_all_routes(
    places: list[Place], prices: dict[str, Fraction]
) -> None:
    stages = tuple(
        PLAN.stages[0].model_copy(update={"id": f"s{index}", "layers": layers, "host": host})
        for index, (layers, host) in enumerate(places)
    )
    found = cheapest_route(Lookup.of(PLAN.model_copy(update={"stages": stages})), prices)
    every = [pays(prices, places, chain) for chain in routes(places, 0, ())]
    assert (found.price if found else None) == min(every, default=None)
    if found is not None:
        assert pays(prices, places, tuple(int(name[1:]) for name in found.stages)) == found.price


def test_a_chain_of_thousands_of_stages_is_no_trouble() -> None:
    stages = tuple(
        PLAN.stages[1].model_copy(update={"id": f"s{index}", "layers": (index, index + 1)})
        for index in range(2000)
    )
    model = PLAN.model.model_copy(update={"layers": 2000})
    plan = PLAN.model_copy(update={"stages": stages, "model": model})
    found = cheapest_route(Lookup.of(plan), {"stage:s7": Fraction(1, 3)})
    assert found is not None
    assert (found.price, len(found.stages)) == (Fraction(1, 3), 2000)
