"""The searches of `cone` at 5e7 rows: on demand, for it needs 20 GB of memory and of disk.

The table peers would need an hour to be built, so the tree alone stays of the others.
"""

from __future__ import annotations

from pathlib import Path

from cone import AT_5E7, NONE, POSITIONS, at_size, compared
from measuring import Result


def measure(scratch: Path, quick: bool) -> Result:
    small = at_size(scratch, 100_000, NONE, POSITIONS, tables=False)
    large = at_size(scratch, 50_000_000, AT_5E7, POSITIONS, tables=False)
    return [*small, *large, *compared(small, large)]
