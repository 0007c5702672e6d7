"""Queueing: which of all requests run next, and which make way for them.

The simulator and the engine tell a `RequestQueue` what requests were served, and ask it for their
order; `choices` says who runs by that order. No clock, no tensors: whoever calls tells the time.
"""
