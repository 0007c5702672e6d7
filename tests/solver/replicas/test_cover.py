"""The cheapest cover is that of a search over every choice."""

from __future__ import annotations

from itertools import product

from hypothesis import given
from hypothesis import strategies as st

from hexplan_solver.replicas.cover import Offer, cheapest_cover

OFFERS = st.lists(
    st.builds(
        Offer,
        layers=st.integers(0, 5),
        price=st.integers(0, 9).map(float),
        count=st.integers(0, 3),
    ),
    max_size=4,
)


@given(OFFERS, st.integers(0, 12), st.integers(1, 8))
def test_no_choice_of_offers_covers_the_layers_for_less(
    offers: list[Offer], need: int, most: int
) -> None:
    every = product(*(range(offer.count + 1) for offer in offers))
    prices = [
        sum(n * offer.price for n, offer in zip(counts, offers, strict=True))
        for counts in every
        if sum(counts) <= most
        and sum(n * offer.layers for n, offer in zip(counts, offers, strict=True)) >= need
    ]
    found = cheapest_cover(offers, need, most)
    assert (found is None) == (not prices)
    if found is not None:
        taken = list(zip(found.taken, offers, strict=True))
        assert found.price == min(prices)
        assert found.price == sum(n * offer.price for n, offer in taken)
        assert sum(n * offer.layers for n, offer in taken) >= need
        assert all(n <= offer.count for n, offer in taken)
        assert sum(found.taken) <= most
