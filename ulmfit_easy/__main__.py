"""`python -m ulmfit_easy` is the command `ulmfit`."""

import sys

from ulmfit_easy.apps.cli import main

if __name__ == "__main__":
    sys.exit(main())
