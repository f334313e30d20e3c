"""``python -m corecube_cli`` is `corecube`."""

from __future__ import annotations

import sys

from corecube_cli.main import main

if __name__ == "__main__":
    sys.exit(main())
