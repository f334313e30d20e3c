"""Archives of a stranger's: whatever he likes, under checksums, digests and seals that are right.

None of these is a secret: who writes an archive computes them as we do.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from corecube.archive import seal
from corecube.archive.layout import to_text

Change = Callable[[Any], Any]


class Forger:
    """Changes an archive and keeps all that guards it in order."""

    def __init__(self, path: Path) -> None:
        self.path = path

    # -- JSON ----------------------------------------------------------------------------------

    def manifest(self, change: Change) -> None:
        """Change the manifest's JSON; what `change` returns replaces it, if it is not None."""
        path = self.path / "manifest.json"
        data = json.loads(path.read_bytes())
        data.pop("crc", None)
        data = _changed(data, change)
        crc = zlib.crc32(to_text(data).encode())
        path.write_text(to_text({**data, "crc": crc}))

    def manifest_text(self, text: str) -> None:
        """Put any text in its place, with the checksum of what it says if it says anything."""
        (self.path / "manifest.json").write_text(text)

    def records(self, log: str, change: Change) -> None:
        """Change the list of records of a log, ``catalogue`` or ``sources``."""
        lines = self._log(log).read_bytes().split(b"\n")[:-1]
        records = _changed([json.loads(line.partition(b" ")[2]) for line in lines], change)
        self.log_texts(log, [to_text(record).encode() for record in records])

    def log_texts(self, log: str, texts: list[bytes]) -> None:
        """Replace the records of a log by any texts."""
        data = b"".join(b"%08x %b\n" % (zlib.crc32(text), text) for text in texts)
        self._log(log).write_bytes(data)
        self.manifest(lambda m: m[log].update(length=len(data)))

    def record(self, identity: str, change: Change) -> None:
        """Change the catalogue's record of a shot."""

        def do(records: list[Any]) -> None:
            for record in records:
                if f"{record.get('instrument')}/{record.get('key')}" == identity:
                    change(record)

        self.records("catalogue", do)

    def _log(self, log: str) -> Path:
        manifest = json.loads((self.path / "manifest.json").read_bytes())
        return self.path / str(manifest[log]["file"])

    # -- shot files ----------------------------------------------------------------------------

    def file(self, identity: str) -> Path:
        """Return the file of a shot."""
        found: list[str] = []
        self.record(identity, lambda r: found.append(r["file"]))
        return self.path / found[-1]

    def hdf5(self, identity: str, change: Change) -> None:
        """Change the file of a shot with h5py, and seal and register it anew."""
        path = self.file(identity)
        with h5py.File(path, "r+") as file:
            change(file)
        self.settle(identity)

    def described(self, identity: str, change: Change, part: str = "description") -> None:
        """Change the JSON of a shot's description or provenance."""

        data = json.loads(_read_bytes(self.file(identity), f"/{part}"))
        self.described_text(identity, to_text(_changed(data, change)).encode(), part)

    def described_text(self, identity: str, text: bytes, part: str = "description") -> None:
        """Put any text into the place of the description or provenance of a shot."""
        self.hdf5(identity, lambda file: self._put(file, part, text))

    def _put(self, file: Any, part: str, text: bytes) -> None:
        del file[part]
        data = np.frombuffer(text, np.uint8)
        file.create_dataset(part, data=data, chunks=(max(1, min(len(data), 60_000)),))
        if part == "description":
            file.attrs["description_crc"] = np.int64(zlib.crc32(text))

    def settle(self, identity: str) -> None:
        """Seal the file of a shot and write its size and digest into the catalogue."""
        path = self.file(identity)
        reseal(path)
        data = path.read_bytes()
        digest = hashlib.sha256(data).hexdigest()
        self.record(identity, lambda r: r.update(size=len(data), sha256=digest))


def _changed(data: Any, change: Change) -> Any:
    result = change(data)
    return data if result is None else result


def _read_bytes(path: Path, node: str) -> bytes:
    """Read with PyTables, for h5py has no blosc."""
    from corecube import hdf5

    file = hdf5.open_file(path)
    try:
        return bytes(hdf5.read(file, node).tobytes())
    finally:
        file.close()


def reseal(path: Path) -> None:
    """Seal a shot file anew."""
    places: list[tuple[int, int, int]] = []

    def look(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and item.chunks:
            for number in range(item.id.get_num_chunks()):
                chunk = item.id.get_chunk_info(number)
                places.append((chunk.byte_offset, chunk.size, 0))

    with h5py.File(path, "r") as file:
        file.visititems(look)
    data = path.read_bytes()
    if data.endswith(b"ccseal1\n"):
        path.write_bytes(data[: int.from_bytes(data[-24:-16], "little")])
    seal.seal(path, sorted(places))


# -- any value anywhere ----------------------------------------------------------------------------


def mutate(forger: Forger, part: str, identity: str, values: Any, rng: Any) -> str:
    """Change one value of a part of an archive at random; return what was changed.

    Parameters
    ----------
    forger : Forger
    part : str
        ``manifest``, ``catalogue``, ``sources``, ``about``, ``state``, ``description`` or
        ``provenance`` (of the shot `identity`).
    identity : str
    values : sequence
        What may stand there.
    rng : numpy.random.Generator
    """
    said: list[str] = []

    def change(data: Any) -> None:
        places = list(_places(data))
        *path, last = places[int(rng.integers(len(places)))]
        owner = data
        for name in path:
            owner = owner[name]
        value = values[int(rng.integers(len(values)))]
        said.append(f"{part} {[*path, last]} = {value!r}")
        dice = rng.random()
        if dice < 0.15 and isinstance(owner, dict):
            del owner[last]
            said[-1] += " (deleted)"
        elif dice < 0.25 and isinstance(owner, dict):
            owner[str(value)] = json.loads(json.dumps(owner[last]))
            said[-1] += " (a name)"
        else:
            owner[last] = value

    if part == "manifest":
        forger.manifest(change)
    elif part in ("catalogue", "sources"):
        forger.records(part, change)
    elif part in ("about", "state"):
        path = forger.path / "archive.json"
        if part == "state":
            path = next((forger.path / "catalogue").glob("state.*.json"))
        path.write_text(to_text(_changed(json.loads(path.read_bytes()), change)))
    else:
        forger.described(identity, change, part)
    return said[0]


def _places(data: Any, path: tuple[Any, ...] = ()) -> Any:
    if path:
        yield path
    if isinstance(data, dict):
        for name, value in data.items():
            yield from _places(value, (*path, name))
    elif isinstance(data, list):
        for number, value in list(enumerate(data))[:4]:
            yield from _places(value, (*path, number))
