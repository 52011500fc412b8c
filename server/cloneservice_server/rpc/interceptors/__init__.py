"""Concerns that every RPC shares, one per module, listed outermost first in `app.py`."""
