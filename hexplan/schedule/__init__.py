"""Scheduling: what runs next, what travels together, and which route a request takes.

The simulator and the runtime both call these functions, so that what is predicted is what runs.
They decide and change their own counts, and nothing else: no clock, no tensors, no messages.
"""
