"""`python -m cloneservice_server`, and the console script `cloneservice-server`."""

from __future__ import annotations

import sys

from cloneservice_server.cli import main

if __name__ == "__main__":
    sys.exit(main())
