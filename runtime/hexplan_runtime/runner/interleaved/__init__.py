"""Steps in two lanes: one computes while the sums of the other are under way."""
