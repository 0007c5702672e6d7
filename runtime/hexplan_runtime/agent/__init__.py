"""The agent: one process on each host of a launch, which starts and watches the ranks there."""
