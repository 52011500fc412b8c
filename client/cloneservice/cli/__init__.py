"""The `cloneservice` command: the Python client in a shell."""

from cloneservice.cli._main import main

__all__ = ["main"]
