"""From a placement and its flow to a `Plan`, and back."""
