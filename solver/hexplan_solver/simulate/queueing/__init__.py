"""Simulations in which requests run by another order than that of their arrival."""
