"""`python -m cloneservice`: the command-line client."""

import sys

from cloneservice.cli import main

sys.exit(main())
