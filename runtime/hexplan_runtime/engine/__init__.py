"""Requests under way: which route each takes, and what is sent for it next."""
