"""Probing: what is on every host, and what the lines between them really carry."""

from hexplan_runtime.net.addresses import local_address
from hexplan_runtime.net.gloo import LOOPBACK
from hexplan_runtime.probe.reach import SSH, Post, Reach
from hexplan_runtime.probe.surveying import Hear, Wish, survey

__all__ = ["LOOPBACK", "SSH", "Hear", "Post", "Reach", "Wish", "local_address", "survey"]
