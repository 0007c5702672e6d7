"""A placement and its flow, written as a `Plan` and read back."""
