"""Names and numbers of the archive's files: format 2, written down in docs/format.md."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, Final

import numpy as np

FORMAT: Final = 2
SUFFIX: Final = ".corecube"
DESCRIPTION: Final = "archive.json"
MANIFEST: Final = "manifest.json"
LOCK: Final = "lock"
SHOTS: Final = "shots"
MASKS: Final = "masks"
INDEX: Final = "index"
CATALOGUE: Final = "catalogue"
DAMAGED: Final = "damaged"

PLAIN: Final = "plain"
"""The profile of archives that store every array."""
SMALL: Final = "small"
"""The profile of archives without pyramids, and without errors that a recipe gives."""
PROFILES: Final = (PLAIN, SMALL)

FIBER_CHUNK: Final = 32
"""Most fibres in a chunk."""

_FIBER_PIXELS: Final = FIBER_CHUNK * 1040
"""Pixels in a chunk of fibres: 133 kB of float32, so that one spectrum is read quickly."""


def fiber_rows(width: int) -> int:
    """Return the fibres in a chunk of an array with `width` wavelengths."""
    return max(1, min(FIBER_CHUNK, _FIBER_PIXELS // max(1, width)))


def shot_path(instrument: str, key: str, generation: int) -> str:
    """Return the path of a shot file below the archive's folder; no name is used twice."""
    return f"{SHOTS}/{instrument}/{key}.{generation}.h5"


def shot_of_path(path: str) -> tuple[str, str, int]:
    """Return instrument, key and generation of a path that `shot_path` made.

    Raises
    ------
    ValueError
        If it is no such path.
    """
    parts = Path(path).parts
    name, number = parts[-1].removesuffix(".h5").rsplit(".", 1)
    if parts[0] != SHOTS or len(parts) < 3:
        raise ValueError(path)
    return parts[1], "/".join((*parts[2:-1], name)), int(number)


def mask_path(instrument: str, key: str, generation: int, unique: str) -> str:
    """Return the path of a shot's late masks below the archive's folder."""
    return f"{MASKS}/{instrument}/{key}.{generation}.{unique}.mask"


def archive_of(path: Path, instrument: str, key: str, generation: int) -> Path | None:
    """Return the folder of the archive that a shot file lies in, None if it lies in none."""
    parts = Path(shot_path(instrument, key, generation)).parts
    return Path(*path.parts[: -len(parts)]) if path.parts[-len(parts) :] == parts else None


def to_text(data: Any) -> str:
    """Return JSON text; NaN and infinity become null, numpy's numbers plain ones.

    Lone surrogates, by which Python writes the bytes of file names that are not UTF-8, become
    JSON escapes: the text can be encoded, and reads back as it was.
    """
    text = json.dumps(_plain(data), allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def _plain(data: Any) -> Any:
    if isinstance(data, dict):
        return {str(name): _plain(value) for name, value in data.items()}
    if isinstance(data, list | tuple):
        return [_plain(value) for value in data]
    if isinstance(data, np.ndarray):
        return _plain(data.tolist())
    if isinstance(data, np.generic):
        return _plain(data.item())
    if isinstance(data, float) and not math.isfinite(data):
        return None
    if isinstance(data, Path):
        return str(data)
    return data
