"""F1, F2, F12: what an instrument does with files before and while it reads them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from corecube.files import digest
from corecube.shots import FileHead, FileInfo
from corecube.testing import chain
from corecube.testing.case import Case
from corecube.testing.model import check
from corecube.testing.runner import told

_READ_LIMIT: Final = 256 * 1024
"""Bytes beyond the head; the first block of a bzip2 file is less."""

_SMALL: Final = 2**20
"""Bytes; a file up to this size may be read whole where its head does not decide."""

_UNPACKED: Final = 32 * 2**20
"""Bytes that may be read where such a file is packed: of its unpacked copy."""

_TIME_LIMIT: Final = 0.05
"""Seconds of processor time for one file."""

_TRIES: Final = 3


def _card(text: str) -> bytes:
    return text.ljust(80).encode()


_EMPTY_FITS: Final = b"".join(
    map(_card, ("SIMPLE  =                    T", "BITPIX  =                    8",
                "NAXIS   =                    0", "END"))
).ljust(2880)  # fmt: skip

_STRANGERS: Final = {
    "empty.fits": b"",
    "one.fits": b"S",
    "page.fits": b"<!DOCTYPE html>\n<html><body>404 Not Found</body></html>\n",
    "notes.txt": b"Seeing was 1.2 arcsec, thin clouds after 3 h.\n",
    "noise.dat": bytes(range(256)) * 16,
    "bare.fits": _EMPTY_FITS,
    "empty.h5": b"\x89HDF\r\n\x1a\n" + bytes(88),
    "empty.json": b"{}\n",
}
"""Files that are nobody's."""


@check("F1", "frame", "recognises its files, and says no to others without an error")
def recognises(case: Case) -> Iterator[str]:
    """Identify all files, those of others, and files that are nobody's."""
    for path in case.files:
        name = Path(path).name
        try:
            said = chain.identified(case.caller, case.config, path)
        except Exception as error:
            yield f"{name}: {told(error)}"
            continue
        if path in case.named and not isinstance(said, FileInfo):
            yield f"{name} is not recognised{_reason(said)}"
        if isinstance(said, FileInfo) and not said.source.kind:
            yield f"{name}: its source has no kind"
    folder = case.new_folder("strangers")
    for name, data in _STRANGERS.items():
        (folder / name).write_bytes(data)
    others = [*case.not_mine, *(str(folder / name) for name in _STRANGERS)]
    for path in others:
        try:
            said = chain.identified(case.caller, case.config, path)
        except Exception as error:
            yield f"{Path(path).name}, a file of others: {told(error)}"
            continue
        if isinstance(said, FileInfo):
            yield f"{Path(path).name}, a file of others, is taken for a {said.source.kind}"


def _reason(said: object) -> str:
    reason = getattr(said, "reason", "")
    return f": {reason}" if reason else ""


@check("F2", "frame", "recognition reads at most 256 kB of a file above 1 MB, in 50 ms on average")
def recognises_fast(case: Case) -> Iterator[str]:
    """Count what is read and how long it takes."""
    found = []
    for path in case.files:
        head = FileHead.of(path)
        seconds, size = float("inf"), 0
        for _ in range(_TRIES):
            before, started = _bytes_read(), time.process_time()
            case.caller.call("identify", file=head, config=case.config)
            seconds = min(seconds, time.process_time() - started)
            size = _bytes_read() - before
        if size > _limit(head):
            yield f"{Path(path).name}: {size} bytes are read to recognise it"
        found.append((seconds, Path(path).name))
    if sum(seconds for seconds, _ in found) > _TIME_LIMIT * len(found):
        seconds, name = max(found)
        yield f"{1000 * seconds:.0f} ms are needed to recognise {name}"


def _limit(head: FileHead) -> int:
    if head.source.size > _SMALL:
        return _READ_LIMIT
    return _UNPACKED if head.packing else _SMALL


def _bytes_read() -> int:
    """Return the bytes that this process has read, 0 where the system does not count them."""
    try:
        text = Path("/proc/self/io").read_text(encoding="ascii")
    except OSError:
        return 0
    return int(text.partition("rchar:")[2].split(maxsplit=1)[0])


@check("F12", "frame", "leaves its input files as they are")
def leaves_files_alone(case: Case) -> Iterator[str]:
    """Compare the copies that it has read with the files they were made of."""
    for entry in case.sample:
        try:
            case.stages(entry)
        except Exception:  # F0 says it
            continue
    known = set(case.files)
    for copy in case.files:
        original = Path("/", *Path(copy).relative_to(case.inputs).parts)
        if digest(copy) != digest(str(original)):
            yield f"{original.name} has been changed"
        elif Path(copy).stat().st_mtime_ns != original.stat().st_mtime_ns:
            yield f"{original.name}: its time of change has been changed"
    for path in case.inputs.rglob("*"):
        if path.is_file() and str(path) not in known:
            yield f"{path.name} has been written beside the input files"
