"""Who sends spans and metrics: each process by an id of its own, or a collector would mix up their counters."""

from __future__ import annotations

import contextlib
import importlib.metadata
import uuid
from functools import lru_cache

from opentelemetry.sdk.resources import Resource


@lru_cache(maxsize=1)
def resource() -> Resource:
    """This process; `OTEL_RESOURCE_ATTRIBUTES` may add to it."""
    attributes = {"service.name": "cloneservice", "service.instance.id": uuid.uuid4().hex}
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):  # a source tree that is not installed
        attributes["service.version"] = importlib.metadata.version("cloneservice")
    return Resource.create(attributes)
