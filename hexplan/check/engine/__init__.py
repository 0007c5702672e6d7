"""Rules on plans for an engine that does not run all plans."""
