"""The one place that opens HDF5 files, and never runs anything that stands in them.

PyTables unpickles attributes already while a file is opened (PyTables issues 47 and 813). Here the
name ``pickle`` in its modules is replaced by an object that refuses, HDF5's plugin search is
switched off before the library starts, PyTables' own attributes are not looked at, links are never
followed, and only arrays whose type, layout, filter, size and chunks are within limits are read.
"""

from __future__ import annotations

import atexit
import contextlib
import math
import os
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from corecube.errors import ArchiveDamaged, ArchiveError, NoSpace

CHUNK_LIMIT: Final = 64 * 2**20
"""Decoded bytes of one chunk that are accepted; a small file can claim any size."""

SIZE_LIMIT: Final = 2**40
"""Decoded bytes of one array that are accepted; the largest real group has 0.4 GB."""

FILTERS: Final = frozenset({"blosc:lz4", "blosc:zstd", "blosc", "zlib", "blosc2:lz4", "blosc2"})
"""The filters that are accepted, as PyTables names them."""


class _RefusingPickle:
    """Stands where PyTables expects the module ``pickle``."""

    class UnpicklingError(Exception):
        """What PyTables expects to catch."""

    PicklingError = UnpicklingError

    @staticmethod
    def loads(*_: object, **__: object) -> Any:
        raise _RefusingPickle.UnpicklingError("corecube does not unpickle")

    load = dumps = dump = loads


_tables: ModuleType | None = None


def library() -> Any:
    """Return PyTables, imported once and guarded.

    Raises
    ------
    ArchiveError
        If this version of PyTables has no place for the guard.
    """
    global _tables
    if _tables is None:
        if "tables" not in sys.modules:
            # "::" is no folder: HDF5 loads no shared library as a filter (checked with strace)
            os.environ["HDF5_PLUGIN_PRELOAD"] = "::"
        import tables
        import tables.atom
        import tables.attributeset

        for module in (tables.attributeset, tables.atom):
            if not hasattr(module, "pickle"):
                raise ArchiveError(
                    f"PyTables {tables.__version__} is not supported: its unpickling cannot be "
                    "switched off; install the version that corecube was tested with"
                )
            module.pickle = _RefusingPickle
        # it ends the process where a file's format version is no text, and we need none
        tables.utilsextension.read_f_attr = lambda *_: b""
        # runs before PyTables' own handler, which warns of each file that is still open
        atexit.register(_close_all, tables)
        _tables = tables
    return _tables


def _close_all(tables: Any) -> None:
    for file in list(tables.file._open_files.handlers):
        file.close()


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silence PyTables' remark on names that are no Python identifiers."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", library().NaturalNameWarning)
        yield


def open_file(path: Path | str, mode: Literal["r", "w"] = "r") -> Any:
    """Open an HDF5 file with PyTables.

    Parameters
    ----------
    path : path
    mode : {"r", "w"}
        Read an existing file, or make a new one. No file is ever changed.

    Returns
    -------
    tables.File

    Raises
    ------
    ArchiveDamaged
        If it is no HDF5 file, or a damaged one.
    NoSpace
        If a new file cannot be made.
    FileNotFoundError
        If there is none.
    """
    tables = library()
    try:
        # The attributes that PyTables keeps for itself are not written, and not believed either:
        # a node whose class they misname ends in a wrong read or in a crash.
        return tables.open_file(str(path), mode, pytables_sys_attrs=False)
    except (
        tables.HDF5ExtError, tables.NodeError, ValueError, _RefusingPickle.UnpicklingError
    ) as error:  # fmt: skip
        if mode == "w":
            raise NoSpace(
                f"{path}: cannot be written; the disk is full or failing; free some space and run "
                "the same command again"
            ) from error
        raise ArchiveDamaged(f"{path}: cannot be opened as HDF5; it is truncated or damaged") from (
            error
        )


def node(file: Any, path: str) -> Any:
    """Return an array of an open file if it is safe to read.

    Parameters
    ----------
    file : tables.File
    path : str
        From the root, as in ``/images/r/flux``.

    Raises
    ------
    ArchiveDamaged
        If there is no such array, it or a group above it is a link, it holds neither numbers nor
        text, is not stored in chunks (external and virtual data sets are not), is packed by a
        filter that is not ours, or it or its chunks are too large (`SIZE_LIMIT`, `CHUNK_LIMIT`).
    """
    tables = library()
    where = f"{file.filename}: {path}"
    try:
        # HDF5 itself follows a link in the middle of a path, also into another file
        for end in (i for i, letter in enumerate(path) if letter == "/" and i):
            if isinstance(file.get_node(path[:end]), tables.link.Link):
                raise ArchiveDamaged(f"{where} lies behind a link; links are not followed")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of kinds that PyTables does not know: refused below
            found = file.get_node(path)
    except (tables.NoSuchNodeError, NameError) as error:  # NameError: no slash at the beginning
        raise ArchiveDamaged(f"{where} is missing; the file is damaged or not ours") from error
    except (tables.HDF5ExtError, _RefusingPickle.UnpicklingError, ValueError, TypeError) as error:
        raise ArchiveDamaged(f"{where} cannot be opened; the file is damaged") from error
    if not isinstance(found, tables.CArray):  # an EArray is one; links and plain arrays are not
        raise ArchiveDamaged(f"{where} is no chunked array; it is not read")
    if found.dtype.kind not in "biufS":
        raise ArchiveDamaged(f"{where} holds neither numbers nor text; it is not read")
    if found.filters.complevel and found.filters.complib not in FILTERS:
        raise ArchiveDamaged(f"{where} is packed with '{found.filters.complib}'; it is not read")
    for what, shape, limit in (
        ("chunks", found.chunkshape, CHUNK_LIMIT), ("values", found.shape, SIZE_LIMIT)
    ):  # fmt: skip
        size = math.prod(map(int, shape)) * found.dtype.itemsize
        if size > limit:
            raise ArchiveDamaged(f"{where} has {what} of {size} bytes, more than corecube reads")
    return found


def read(file: Any, path: str, key: Any = Ellipsis) -> npt.NDArray[Any]:
    """Return a part of an array.

    Parameters
    ----------
    file : tables.File
    path : str
    key : slice, tuple of slices or Ellipsis

    Raises
    ------
    ArchiveDamaged
        As `node`, and if a chunk does not pass its checksum.
    """
    array = node(file, path)
    try:
        return np.asarray(array[key])
    except (library().HDF5ExtError, MemoryError) as error:
        raise ArchiveDamaged(
            f"{file.filename}: {path} is damaged; find out more with 'corecube verify'"
        ) from error
