"""`python -m ulmfit_easy` is the command `ulmfit`."""

import sys

from ulmfit_easy.apps.cli import main

sys.exit(main())
