"""Answers kept for the next who asks, as bytes: opt-in by route, keyed explicitly.

`policies.py` is what a feature says about its routes, `layer.py` answers, `cache.py` wires
both to the database's writes, and a store keeps the entries. docs/caching.md tells when not to.
"""

from app.caching.policies import Cached, Policies

__all__ = ["Cached", "Policies"]
