"""Steering: what changes logits before a token is picked, by what a request has drawn before."""
