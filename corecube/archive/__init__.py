"""The archive: shot files, catalogue, sky index, and questions to them.

Names are imported when they are first used, so that ``import corecube.archive`` costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__all__ = ["Archive", "open_archive"]

if TYPE_CHECKING:
    from corecube.archive.reader import Archive as Archive
    from corecube.archive.reader import open_archive as open_archive
else:

    def __getattr__(name: str) -> Any:
        if name not in __all__:
            raise AttributeError(f"module 'corecube.archive' has no attribute '{name}'")
        from corecube.archive import reader

        return getattr(reader, name)
