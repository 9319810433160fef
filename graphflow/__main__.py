"""`python -m graphflow` is the same as the command `graphflow`."""

import sys

from graphflow.cli import main

if __name__ == "__main__":
    sys.exit(main())
