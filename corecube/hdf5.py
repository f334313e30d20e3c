"""The one place that opens HDF5 files, and never runs anything that stands in them.

PyTables unpickles attributes already while a file is opened (PyTables issues 47 and 813). Here the
name ``pickle`` in its modules is replaced by an object that refuses, HDF5's plugin search is
switched off before the library starts, PyTables' own attributes are not looked at, links are never
followed, and only arrays whose type, layout, filter, size and chunks are within limits are read.
"""

from __future__ import annotations

import atexit
import contextlib
import errno
import math
import os
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from corecube.errors import ArchiveDamaged, ArchiveError, NoSpace
from corecube.hdf5layout import lies_inside

CHUNK_LIMIT: Final = 64 * 2**20
"""Decoded bytes of one chunk that are accepted; a small file can claim any size."""

SIZE_LIMIT: Final = 2**40
"""Decoded bytes of one array that are accepted; the largest real group has 0.4 GB."""

READ_LIMIT: Final = 2**34
"""Decoded bytes that are read at once, and no more than half of the machine's memory.

Chunks that are not stored cost nothing in a file, and honest chunks of zeros a thousandth of their
size: so a small file can ask for any amount of memory, and no ratio would tell it from a good one.
"""

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
        import tables.table

        for module in (tables.attributeset, tables.atom):
            if not hasattr(module, "pickle"):
                raise ArchiveError(
                    f"PyTables {tables.__version__} is not supported: its unpickling cannot be "
                    "switched off; install the version that corecube was tested with"
                )
            module.pickle = _RefusingPickle
        # it ends the process where a file's format version is no text, and we need none
        tables.utilsextension.read_f_attr = lambda *_: b""
        _ignore_indexes(tables.table)
        _check_ranks(tables)
        # runs before PyTables' own handler, which warns of each file that is still open
        atexit.register(_close_all, tables)
        _tables = tables
    return _tables


def _ignore_indexes(module: Any) -> None:
    """Open tables without the indexes of their columns, which need PyTables' own attributes."""
    original = module._index_pathname_of

    def place(table: Any) -> str:
        own: bool = table._v_file.params["PYTABLES_SYS_ATTRS"]
        return str(original(table)) if own else "/no index is looked for"

    module._index_pathname_of = place


def _check_ranks(tables: Any) -> None:
    """Refuse tables and ragged arrays of more than one axis, by which PyTables ends the process.

    It has room for one length and writes as many as the file says (seen with 3.11).
    """
    for kind, name in ((tables.Table, "_get_info"), (tables.VLArray, "_open_array")):
        setattr(kind, name, _of_one_axis(tables, getattr(kind, name)))


def _of_one_axis(tables: Any, original: Any) -> Any:
    def checked(leaf: Any) -> Any:
        # asks for the shape alone; it is no node of the file
        probe = tables.UnImplemented.__new__(tables.UnImplemented)
        probe._g_new(leaf._v_parent, leaf._v_name, False)
        shape, _, _ = probe._open_unimplemented()
        probe._g_close()
        if len(shape) != 1:
            raise ValueError(f"{len(shape)} axes instead of one")
        return original(leaf)

    return checked


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
        if not Path(path).exists():  # a writer has deleted it while it was opened
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path)) from error
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
    found = _found(file, path)
    if not isinstance(found, tables.CArray):  # an EArray is one; links and plain arrays are not
        raise ArchiveDamaged(f"{where} is no chunked array; it is not read")
    if found.dtype.kind not in _KINDS:
        raise ArchiveDamaged(f"{where} holds neither numbers nor text; it is not read")
    _check_limits(where, found, found.chunkshape)
    return found


_KINDS: Final = "biufS"
"""numpy's letters for the types that are read: numbers and text of a fixed length."""


def _found(file: Any, path: str) -> Any:
    tables = library()
    where = f"{file.filename}: {path}"
    try:
        # HDF5 itself follows a link in the middle of a path, also into another file
        for end in (i for i, letter in enumerate(path) if letter == "/" and i):
            if isinstance(file.get_node(path[:end]), tables.link.Link):
                raise ArchiveDamaged(f"{where} lies behind a link; links are not followed")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of kinds that PyTables does not know: refused below
            return file.get_node(path)
    except (tables.NoSuchNodeError, NameError) as error:  # NameError: no slash at the beginning
        raise ArchiveDamaged(f"{where} is missing; the file is damaged or not ours") from error
    except (tables.HDF5ExtError, _RefusingPickle.UnpicklingError, ValueError, TypeError) as error:
        raise ArchiveDamaged(f"{where} cannot be opened; the file is damaged") from error


def _check_limits(where: str, found: Any, chunk: Sequence[int]) -> None:
    if found.filters.complevel and found.filters.complib not in FILTERS:
        raise ArchiveDamaged(f"{where} is packed with '{found.filters.complib}'; it is not read")
    for what, shape, limit in (
        ("chunks", chunk, CHUNK_LIMIT), ("values", found.shape, SIZE_LIMIT)
    ):  # fmt: skip
        size = math.prod(map(int, shape)) * found.dtype.itemsize
        if size > limit:
            raise ArchiveDamaged(f"{where} has {what} of {size} bytes, more than corecube reads")


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
    check_amount(f"{file.filename}: {path}", array.shape, key, array.dtype.itemsize)
    try:
        return np.asarray(array[key])
    except (library().HDF5ExtError, MemoryError) as error:
        raise ArchiveDamaged(
            f"{file.filename}: {path} is damaged; find out more with 'corecube verify'"
        ) from error


def check_amount(where: str, shape: Sequence[int], key: Any, itemsize: int) -> None:
    """Refuse to read more at once than there may be memory for.

    Parameters
    ----------
    where : str
        File and array, for the message.
    shape : sequence of int
    key : slice, tuple of slices or Ellipsis
    itemsize : int

    Raises
    ------
    ArchiveDamaged
    """
    parts = key if isinstance(key, tuple) else (key,)
    amount = itemsize
    for axis, length in enumerate(map(int, shape)):
        part = parts[axis] if axis < len(parts) and parts[0] is not Ellipsis else slice(None)
        amount *= len(range(*part.indices(length))) if isinstance(part, slice) else 1
    if amount > read_limit():
        raise ArchiveDamaged(
            f"{where} has {amount} bytes, more than corecube reads at once on this machine"
        )


def read_limit() -> int:
    """Return the bytes that are read at once at most: `READ_LIMIT`, or half of the memory."""
    try:
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):  # not known here
        return READ_LIMIT
    return min(READ_LIMIT, memory // 2) if memory > 0 else READ_LIMIT


@dataclass(frozen=True)
class Table:
    """A table of an open HDF5 file, as PyTables and h5py write them (compound type).

    Attributes
    ----------
    path : str
        From the root, as in ``/Data/Fibers``.
    rows : int
    columns : mapping of str to numpy.dtype
        Numbers and texts of a fixed length; a column with an array in each row has a dtype with a
        `shape`. Columns of other types are left out.
    """

    path: str
    rows: int
    columns: Mapping[str, np.dtype[Any]]
    _node: Any = field(repr=False)

    def read(
        self, columns: Sequence[str] | None = None, first: int = 0, last: int | None = None
    ) -> dict[str, npt.NDArray[Any]]:
        """Return columns of the rows `first` to `last` (exclusive).

        Parameters
        ----------
        columns : sequence of str, optional
            All that can be read where not given.
        first, last : int, optional
            All rows where not given; cut off at the number of rows.

        Returns
        -------
        dict of str to array (n,) or (n, ...)
            In native byte order; texts are bytes (dtype ``S``).

        Raises
        ------
        ArchiveDamaged
            If there is no such column, it holds neither numbers nor text, or a chunk is damaged.
        """
        where = f"{self._node._v_file.filename}: {self.path}"
        names = list(self.columns) if columns is None else list(columns)
        for name in names:
            if name not in self.columns:
                raise ArchiveDamaged(
                    f"{where} has no column '{name}' of numbers or text; it has: "
                    f"{', '.join(self.columns)}"
                )
        first = min(max(first, 0), self.rows)
        last = self.rows if last is None else min(max(last, first), self.rows)
        types = {name: self.columns[name] for name in names}
        step = max(1, _SLAB // max(1, self._node.rowsize))
        width = sum(dtype.itemsize for dtype in types.values())
        check_amount(where, (last - first,), Ellipsis, width)
        try:
            found = {
                name: np.empty((last - first, *dtype.shape), dtype.base)
                for name, dtype in types.items()
            }
            # HDF5 reads whole rows; a slab at a time keeps columns that are not asked for short
            for start in range(first, last, step):
                part = self._node.read(start, min(start + step, last))
                for name in names:
                    found[name][start - first : start - first + len(part)] = part[name]
        except (library().HDF5ExtError, MemoryError) as error:
            raise ArchiveDamaged(f"{where} is damaged or too large to be read") from error
        return found


_SLAB: Final = 16 * 2**20
"""Bytes of rows of a table that are read at a time."""


def table(file: Any, path: str) -> Table:
    """Return a table of an open file if it is safe to read.

    Parameters
    ----------
    file : tables.File
    path : str
        From the root, as in ``/Data/Fibers``.

    Raises
    ------
    ArchiveDamaged
        If there is no such table, it or a group above it is a link, its bytes lie outside of the
        file (external and virtual data sets), it is packed by a filter that is not ours, or it, its
        rows or its chunks are too large (`SIZE_LIMIT`, `CHUNK_LIMIT`).
    """
    where = f"{file.filename}: {path}"
    found = _found(file, path)
    if not isinstance(found, library().Table):
        raise ArchiveDamaged(f"{where} is no table; it is not read")
    if not found._chunked and not lies_inside(file.filename, found._get_obj_info().addr):
        raise ArchiveDamaged(f"{where} does not lie in this file; it is not read")
    _check_limits(where, found, found.chunkshape if found._chunked else (1,))
    names = found.dtype.names or ()
    columns = {name: found.dtype[name] for name in names if found.dtype[name].base.kind in _KINDS}
    return Table(path, int(found.nrows), columns, found)


def children(file: Any, path: str = "/") -> tuple[str, ...]:
    """Return the names of what stands in a group, links and hidden nodes left out.

    Raises
    ------
    ArchiveDamaged
        If there is no such group.
    """
    tables = library()
    found = _found(file, path)
    if not isinstance(found, tables.Group) or isinstance(found, tables.link.Link):
        raise ArchiveDamaged(f"{file.filename}: {path} is no group")
    return tuple(sorted({*found._v_groups, *found._v_leaves, *found._v_unknown}))
