"""What fake_stripe needs besides the standard library: it comes with the extra `fake`, and is asked for by name."""

from importlib.util import find_spec

NEEDED = ("orjson", "httptools", "h2", "yaml")


def advice() -> str:
    """How to install what is missing, or an empty text when nothing is."""
    missing = [module for module in NEEDED if find_spec(module) is None]
    if not missing:
        return ""
    named = ", ".join(missing)
    return f"fake_stripe needs {named}: install cloneservice with its extra `fake`, pip install 'cloneservice[fake]'"
