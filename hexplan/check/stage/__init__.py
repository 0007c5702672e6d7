"""Rules about single stages: their shards, memory and speed."""
