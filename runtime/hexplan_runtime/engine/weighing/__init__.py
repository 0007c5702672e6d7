"""Weighing: what routes pass, and what they weigh for it."""
