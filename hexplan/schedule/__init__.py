"""Scheduling: what a stage runs next, which route a request takes, and when it is admitted.

The simulator and the runtime both call these functions, so that what is predicted is what runs.
They decide and change their own counts, and nothing else: no clock, no tensors, no messages.
"""
