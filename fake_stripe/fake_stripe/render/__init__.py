"""From stored objects to what a client reads: expansion, lists, search, JSON."""
