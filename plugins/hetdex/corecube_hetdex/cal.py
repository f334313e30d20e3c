"""Calibrated spectra of an IFU: five images of 1344 rows, three exposures of four amplifiers.

The file has no labels; the order of its rows is the only way to join them: exposure, then LL, LU,
RL, RU, then fibre. The images are calfib, calfibe, calfib_counts, calfibe_counts, calfib_ffsky.

Source: HETDEX/hetdex_api, h5tools/append_calfib.py.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO, Final

import numpy as np
import numpy.typing as npt

from corecube.errors import FileNotUnderstood
from corecube.fits import Fits
from corecube.shots import Context, Source
from corecube_hetdex.frames import RECTIFIED, WAVE
from corecube_hetdex.names import AMPS, FIBERS, Exposure

Singles = npt.NDArray[np.float32]

COLUMNS: Final = len(WAVE)
ROWS: Final = 3 * len(AMPS) * FIBERS
"""Three exposures of four amplifiers of 112 fibres."""

_HEAD: Final = 16 * 2880
"""Bytes of a header that are looked at; real ones have one or two blocks of 2880."""

_kept: weakref.WeakKeyDictionary[Context, tuple[str, bytes]] = weakref.WeakKeyDictionary()
"""The last packed file of a shot: its twelve entries follow each other."""


def first_row(exposure: Exposure) -> int:
    """Return the row of the amplifier's first fibre."""
    return (exposure.number - 1) * len(AMPS) * FIBERS + AMPS.index(exposure.amplifier.amp) * FIBERS


def read_rows(source: Source, exposure: Exposure, context: Context) -> Mapping[str, Singles]:
    """Read the rows of one amplifier in one exposure.

    Of a file that is not packed only these rows are read; a packed one is unpacked once for all
    entries that follow each other, and kept (28 MB).

    Parameters
    ----------
    source : Source
    exposure : Exposure
    context : Context

    Returns
    -------
    mapping of str to float32 array (112, 1036)
        Those of `RECTIFIED` that the file has.

    Raises
    ------
    FileNotUnderstood
        If an image has another shape, its name is another one's, or it is cut.
    """
    if not 1 <= exposure.number <= 3:
        raise FileNotUnderstood(
            f"{source.path}: has exposures 1 to 3, not {exposure.number}, by the order of its rows"
        )
    with _opened(source, context) as file:
        return _read(file, source.path, first_row(exposure))


def _opened(source: Source, context: Context) -> BinaryIO:
    import io

    found = _kept.get(context)
    if found is not None and found[0] == source.path:
        return io.BytesIO(found[1])
    file = context.open(source)
    if isinstance(file, io.BytesIO):  # it was packed
        _kept[context] = source.path, file.getvalue()
    return file


def check(file: BinaryIO, name: str) -> None:
    """Check that a file has its images to the end; their pixels are not read.

    Parameters
    ----------
    file : file
        Seekable, unpacked.
    name : str
        Of the file, for errors.

    Raises
    ------
    FileNotUnderstood
        As `read_rows`.
    """
    size = file.seek(0, 2)
    for number, (_, offset) in enumerate(_images(file, name)):
        if offset + 4 * ROWS * COLUMNS > size:
            raise FileNotUnderstood(f"{name}: image {number} is cut; fetch the file again")


def _images(file: BinaryIO, name: str) -> Iterator[tuple[str, int]]:
    """Yield what each image is, and where its pixels begin."""
    offset = 0
    for number, kind in enumerate(RECTIFIED):
        file.seek(offset)
        head = file.read(_HEAD)
        if number >= 2 and not head:
            break
        # a header within a file looks like that of a file of its own, but for its first card
        header = Fits(_as_first(head), f"{name}: image {number}", partial=True)
        shape, data = header.shape(0), header.data_offset(0)
        if shape != (ROWS, COLUMNS) or header.header(0).get("BITPIX") != -32 or data is None:
            raise FileNotUnderstood(
                f"{name}: image {number} is {shape} instead of {(ROWS, COLUMNS)} float32; "
                "fetch the file again"
            )
        extname = str(header.header(0).get("EXTNAME", kind)).strip().lower()
        if extname not in (kind, "primary"):
            raise FileNotUnderstood(
                f"{name}: image {number} is called {extname}, {kind} was expected there"
            )
        yield kind, offset + data
        offset += data + -(-4 * ROWS * COLUMNS // 2880) * 2880


def _read(file: BinaryIO, name: str, row: int) -> dict[str, Singles]:
    found: dict[str, Singles] = {}
    width = 4 * COLUMNS
    for number, (kind, offset) in enumerate(_images(file, name)):
        file.seek(offset + row * width)
        rows = file.read(FIBERS * width)
        if len(rows) != FIBERS * width:
            raise FileNotUnderstood(f"{name}: image {number} is cut; fetch the file again")
        values = np.frombuffer(rows, ">f4").reshape(FIBERS, COLUMNS)
        found[kind] = values.astype(np.float32)
    return found


def _as_first(head: bytes) -> bytes:
    if not head.startswith(b"XTENSION"):
        return head
    first = b"SIMPLE  =                    T".ljust(80)
    return first + head[80:]


def is_empty(arrays: Mapping[str, Any]) -> bool:
    """Return True if all rows are zero: the amplifier was missing when the file was made."""
    return not any(np.any(values) for values in arrays.values())
