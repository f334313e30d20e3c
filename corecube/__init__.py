"""corecube: images and spectra of many instruments in one archive.

>>> import corecube
>>> archive = corecube.open("s82.corecube")  # doctest: +SKIP
>>> archive.cone("38.301799 -0.133922", "2 arcsec").fibers  # doctest: +SKIP
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__all__ = ["Archive", "CorecubeError", "Fibers", "Image", "open"]

if TYPE_CHECKING:
    from corecube.archive import Archive as Archive
    from corecube.archive import open_archive as open
    from corecube.errors import CorecubeError as CorecubeError
    from corecube.frames import Fibers as Fibers
    from corecube.frames import Image as Image
else:
    _WHERE = {
        "Archive": ("corecube.archive", "Archive"),
        "open": ("corecube.archive", "open_archive"),
        "CorecubeError": ("corecube.errors", "CorecubeError"),
        "Fibers": ("corecube.frames", "Fibers"),
        "Image": ("corecube.frames", "Image"),
    }

    def __getattr__(name: str) -> Any:
        from importlib import import_module

        if name not in _WHERE:
            raise AttributeError(f"module 'corecube' has no attribute '{name}'")
        module, attribute = _WHERE[name]
        return getattr(import_module(module), attribute)
