"""Whether everything is here that corecube needs, and works."""

from __future__ import annotations

import os
import platform
import re
import secrets
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Final

import numpy as np

from corecube.errors import CorecubeError
from corecube_cli.console import console, is_terminal, size_text

OK: Final = "ok"
NOTE: Final = "note"
BAD: Final = "FAIL"

_LITTLE: Final = 1e9
"""Bytes; less free space is worth a note."""


@dataclass(frozen=True)
class Finding:
    """One line of the report.

    Attributes
    ----------
    state : {"ok", "note", "FAIL"}
    what, detail : str
    """

    state: str
    what: str
    detail: str


def examine(directory: str) -> Iterator[Finding]:
    """Yield what was found, in the order of the report.

    Parameters
    ----------
    directory : str
        Where writing is tried.
    """
    yield Finding(OK, "python", f"{platform.python_version()} on {platform.platform()}")
    yield from _packages()
    yield from _guarded("hdf5", _hdf5)
    yield from _guarded(f"folder {directory}", lambda: _folder(Path(directory)))
    yield from _terminal()
    yield from _guarded("configuration", _instruments)


def _guarded(what: str, check: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    """Run a check; what it raises is a finding."""
    try:
        yield from check()
    except (CorecubeError, OSError, ImportError, AttributeError) as error:
        lines = str(error).splitlines() or [type(error).__name__]
        for line in lines:
            yield Finding(BAD, what, line)


def _packages() -> Iterator[Finding]:
    """Yield the versions of what is needed, and of what the extras would bring."""
    yield Finding(OK, "corecube", version("corecube"))
    for requirement in requires("corecube") or ():
        name = re.split(r"[ ;<>=!~\[(]", requirement, maxsplit=1)[0]
        extra = re.search(r"""extra\s*==\s*['"]([^'"]+)['"]""", requirement)
        if name == "corecube" or (extra and extra[1] in ("dev", "all")):
            continue
        bounds = requirement.partition(";")[0].removeprefix(name).strip()
        try:
            found = version(name)
        except PackageNotFoundError:
            if extra:
                how = f"not installed; pip install 'corecube[{extra[1]}]' if you want it"
                yield Finding(OK, name, how)
            else:
                yield Finding(BAD, name, f"not installed; run: pip install '{name}{bounds}'")
            continue
        if _inside(found, bounds):
            yield Finding(OK, name, found)
        else:
            yield Finding(NOTE, name, f"{found}, corecube was tested with {bounds}")


def _inside(found: str, bounds: str) -> bool:
    """Say whether a version lies within bounds such as ``>=1.7,<2``."""

    def numbers(text: str) -> tuple[int, ...]:
        return tuple(int(part) for part in re.findall(r"\d+", text)[:3])

    for bound in filter(None, (part.strip() for part in bounds.split(","))):
        match = re.match(r"(>=|<=|==|<|>)\s*(.+)", bound)
        if match is None:
            continue
        mine, other = numbers(found), numbers(match[2])
        good = {
            ">=": mine >= other, "<": mine < other, "<=": mine <= other, ">": mine > other,
            "==": mine[: len(other)] == other,
        }  # fmt: skip
        if not good[match[1]]:
            return False
    return True


def _hdf5() -> Iterator[Finding]:
    """Yield the HDF5 library and the filters that shot files may use."""
    from corecube import hdf5

    tables = hdf5.library()
    yield Finding(OK, "hdf5", f"{tables.hdf5_version}; never unpickles")
    for name in ("zlib", "blosc", "blosc2"):
        found = tables.which_lib_version(name)
        if found is None:
            yield Finding(BAD, f"filter {name}", "is missing in this PyTables")
        else:
            yield Finding(OK, f"filter {name}", str(found[1]))
    compressors = tables.blosc_compressor_list()
    missing = [name for name in ("lz4", "zstd") if name not in compressors]
    state = BAD if missing else OK
    yield Finding(state, "blosc compressors", " ".join(compressors))


def _folder(folder: Path) -> Iterator[Finding]:
    """Write what an ingest writes: a locked folder, a shot file, a rename; then take it away."""
    from corecube.archive.durable import sync_directory, write_file
    from corecube.archive.lock import WriterLock

    if not folder.is_dir():
        yield Finding(BAD, "folder", f"{folder} is not there; name one that is")
        return
    trial = folder / f".corecube-doctor-{secrets.token_hex(4)}"
    trial.mkdir()
    try:
        with WriterLock(trial):
            write_file(trial / "file", [b"x" * 4096])
            write_file(trial / "file", [b"y" * 4096])
            sync_directory(trial)
            if (trial / "file").read_bytes() != b"y" * 4096:
                yield Finding(BAD, "folder", f"{folder}: a file is not replaced by a rename")
                return
            _hdf5_trial(trial / "trial.h5")
    finally:
        shutil.rmtree(trial, ignore_errors=True)
    yield Finding(OK, "folder", f"{folder.resolve()}: writing, locking and HDF5 work")
    free = shutil.disk_usage(folder).free
    yield Finding(NOTE if free < _LITTLE else OK, "free space", size_text(free))


def _hdf5_trial(path: Path) -> None:
    """Write an array with each filter and read it back.

    Raises
    ------
    CorecubeError
        If it does not come back as it was.
    """
    from corecube import hdf5
    from corecube.errors import ArchiveDamaged

    tables = hdf5.library()
    values = np.arange(4096, dtype=np.float32).reshape(64, 64)
    file = hdf5.open_file(path, "w")
    try:
        for number, complib in enumerate(("zlib", "blosc:lz4", "blosc:zstd")):
            file.create_carray(
                "/", f"a{number}", obj=values, chunkshape=(16, 64),
                filters=tables.Filters(complevel=5, complib=complib, shuffle=True),
            )  # fmt: skip
    finally:
        file.close()
    file = hdf5.open_file(path)
    try:
        for number in range(3):
            if not np.array_equal(hdf5.read(file, f"/a{number}"), values):
                raise ArchiveDamaged(f"{path}: an array does not come back as it was written")
    finally:
        file.close()


def _terminal() -> Iterator[Finding]:
    encoding = getattr(sys.stdout, "encoding", None) or "?"
    size = shutil.get_terminal_size()
    kind = f"{os.environ.get('TERM', 'none')}, {size.columns} x {size.lines}"
    if not is_terminal(sys.stdout):
        kind = "stdout is no terminal"
    colors = "colours" if console.colored(sys.stdout) else "no colours"
    good = encoding.lower().replace("-", "") in ("utf8", "utf8sig")
    yield Finding(OK if good else NOTE, "terminal", f"{kind}, {encoding}, {colors}")


def _instruments() -> Iterator[Finding]:
    from corecube import config
    from corecube.plugins import installed
    from corecube_cli.settings import GENERAL, all_plugins

    sections: dict[str, type] = dict(GENERAL)
    for plugin in all_plugins():
        if plugin.state == "ok" and plugin.instrument is not None:
            sections[plugin.name] = plugin.instrument.config
            yield Finding(OK, f"instrument {plugin.name}", f"{plugin.who}")
        elif plugin.state == "disabled":
            yield Finding(NOTE, f"instrument {plugin.name}", plugin.message)
        else:
            yield Finding(BAD, f"instrument {plugin.name}", plugin.message)
    files = config.configuration_files()
    config.load_settings(sections, files, others=set(installed()) - set(sections))
    yield Finding(OK, "configuration", ", ".join(str(file) for file in files) or "no file")
