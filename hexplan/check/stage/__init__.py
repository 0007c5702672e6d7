"""Rules on one stage: shards, memory, and how fast it is."""
