"""Applying: a running launch goes over from its plan to another one, and loses no request."""
