"""Opening a stranger's HDF5 file runs nothing in it and reads nothing outside of it."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from corecube import hdf5
from corecube.archive.shotfile import StoredShot
from corecube.archive.shotwriter import ShotWriter
from corecube.errors import ArchiveDamaged, CorecubeError
from corecube.frames import Image
from corecube.shots import ShotPlan


class Evil:
    """Leaves a mark where it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.mark),)


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    return tmp_path / "it_ran"


@pytest.fixture
def hostile(tmp_path: Path, mark: Path) -> Callable[..., Path]:
    """A good shot file to which a function of h5py does something bad."""

    def make(change: Callable[[h5py.File], None], at_end: bytes = b"") -> Path:
        path = tmp_path / "shot.h5"
        flux = np.random.default_rng(0).normal(size=(40, 50)).astype("f4")
        writer = ShotWriter(path)
        writer.add_image("r", Image(name="r", flux=flux, unit="adu", error=np.abs(flux) + 1,
                                    mask=np.zeros(flux.shape, "u4")))  # fmt: skip
        about = {
            "instrument": "toy", "key": "a", "title": "", "kind": "science", "generation": 1,
            "fingerprint": "", "basis": "", "entries": {}, "created": "", "raw_bytes": 0,
        }  # fmt: skip
        writer.finish(about, {"plan": ShotPlan("a", "", {}).to_json(), "config": {}, "infos": []})
        with h5py.File(path, "r+") as file:
            change(file)
        if at_end:
            with path.open("ab") as raw:
                raw.write(at_end)
        return path

    return make


def read_all(path: Path) -> list[str]:
    """Do all that a reader may do; return the names of the errors, which must be ours."""
    errors = []
    try:
        shot = StoredShot(path)
    except CorecubeError as error:
        return [type(error).__name__]
    with shot:
        for act in (
            lambda: shot.history, lambda: shot.frame("r"), lambda: shot.plan,
            lambda: [shot.read(name) for name in shot.description["arrays"]],
            lambda: hdf5.read(shot._file, "/images/r/flux"),
            lambda: hdf5.read(shot._file, "/images/r/evil"),
        ):  # fmt: skip
            try:
                act()
            except CorecubeError as error:
                errors.append(type(error).__name__)
    return errors


PLACES = ["/", "/images/r", "/images/r/flux", "/description"]
NAMES = ["x", "CLASS", "TITLE", "VERSION", "FLAVOR", "FILTERS", "NROWS", "PYTABLES_FORMAT_VERSION"]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_no_pickle_in_an_attribute_runs(
    hostile: Any, mark: Path, place: str, name: str, protocol: int
) -> None:
    bomb = pickle.dumps(Evil(mark), protocol)

    def change(file: h5py.File) -> None:
        file[place].attrs.create(name, np.bytes_(bomb), dtype=f"S{len(bomb)}")

    path = hostile(change)
    read_all(path)
    # PyTables' own way through the tree, with our guard
    try:
        file = hdf5.open_file(path)
    except ArchiveDamaged:
        pass
    else:
        for node in file.root._f_walknodes():
            str(node._v_attrs)
        file.close()
    assert not mark.exists()


def test_the_bomb_is_a_real_one(hostile: Any, mark: Path) -> None:
    """Without the guard the same file does run: in a process without corecube."""
    bomb = pickle.dumps(Evil(mark), 0)

    def change(file: h5py.File) -> None:
        file["/"].attrs.create("x", np.bytes_(bomb), dtype=f"S{len(bomb)}")

    path = hostile(change)
    code = "import sys, tables; tables.open_file(sys.argv[1])"
    subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, check=False)
    assert mark.exists()


def test_no_pickle_in_a_row_runs(hostile: Any, mark: Path, tmp_path: Path) -> None:
    code = (
        "import sys, tables, numpy\n"
        "file = tables.open_file(sys.argv[1], 'a')\n"
        "array = file.create_vlarray('/images/r', 'evil', tables.VLUnicodeAtom())\n"
        "file.close()\n"
    )
    path = hostile(lambda file: None)
    subprocess.run([sys.executable, "-W", "ignore", "-c", code, str(path)], check=True)
    bomb = np.frombuffer(pickle.dumps(Evil(mark), 0), "u1")
    with h5py.File(path, "r+") as file:
        del file["/images/r/evil"]
        data = file.create_dataset("/images/r/evil", (1,), dtype=h5py.vlen_dtype("u1"))
        data[0] = bomb
        data.attrs["CLASS"] = np.bytes_("VLARRAY")
        data.attrs["PSEUDOATOM"] = np.bytes_("object")
        data.attrs["VERSION"] = np.bytes_("1.4")
    assert "ArchiveDamaged" in read_all(path)
    assert not mark.exists()


def test_the_guard_stands_in_the_installed_pytables() -> None:
    tables = hdf5.library()
    for module in (tables.attributeset, tables.atom):
        for call in (module.pickle.loads, module.pickle.load, module.pickle.dumps):
            with pytest.raises(Exception, match="corecube does not unpickle"):
                call(pickle.dumps(1))
    assert os.environ["HDF5_PLUGIN_PRELOAD"] == "::"


def test_without_a_place_for_the_guard_nothing_is_opened() -> None:
    code = (
        "import tables.attributeset, sys\n"
        "del tables.attributeset.pickle\n"
        "from corecube import hdf5\n"
        "from corecube.errors import ArchiveError\n"
        "try:\n    hdf5.library()\nexcept ArchiveError as error:\n    print(error)\n"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "is not supported: its unpickling cannot be switched off" in found.stdout


def replaced(file: h5py.File, name: str = "/images/r/flux") -> None:
    del file[name]


def external_link(file: h5py.File, secret: Path) -> None:
    replaced(file)
    file["/images/r/flux"] = h5py.ExternalLink(str(secret), "/x")


def external_group(file: h5py.File, secret: Path) -> None:
    del file["/images/r"]
    file["/images/r"] = h5py.ExternalLink(str(secret), "/")


def external_storage(file: h5py.File, secret: Path) -> None:
    replaced(file)
    file.create_dataset("/images/r/flux", (40, 50), "f4", external=[(str(secret), 0, 8000)])


def virtual(file: h5py.File, secret: Path) -> None:
    replaced(file)
    layout = h5py.VirtualLayout((40, 50), "f4")
    layout[...] = h5py.VirtualSource(str(secret), "x", shape=(40, 50))
    file.create_virtual_dataset("/images/r/flux", layout)


@pytest.mark.parametrize("change", [external_link, external_group, external_storage, virtual])
def test_nothing_outside_is_read(
    hostile: Any, tmp_path: Path, change: Callable[[h5py.File, Path], None]
) -> None:
    secret = tmp_path / "secret.h5"
    with h5py.File(secret, "w") as file:
        file.create_dataset("x", data=np.full((40, 50), 4711, "f4"), chunks=(40, 50))
        file.create_dataset("flux", data=np.full((40, 50), 4711, "f4"), chunks=(40, 50))
    path = hostile(lambda file: change(file, secret))
    with StoredShot(path) as shot:
        for name in ("/images/r/flux",):
            with pytest.raises(ArchiveDamaged):
                hdf5.read(shot._file, name)
            with pytest.raises(ArchiveDamaged):
                shot.read(name)
        with pytest.raises(ArchiveDamaged):
            shot.frame("r")


def soft_loop(file: h5py.File) -> None:
    replaced(file)
    file["/images/r/flux"] = h5py.SoftLink("/images/r/flux")


def group_in_itself(file: h5py.File) -> None:
    file["/images/r/again"] = file["/images"]
    replaced(file)


def huge(file: h5py.File) -> None:
    replaced(file)
    file.create_dataset("/images/r/flux", (2**58,), "f4", chunks=(1024,))


def huge_description(file: h5py.File) -> None:
    replaced(file, "/description")
    file.create_dataset("/description", (2**36,), "u1", chunks=(1024,))


def huge_chunk(file: h5py.File) -> None:
    replaced(file)
    file.create_dataset("/images/r/flux", (2**20, 2**20), "f4", chunks=(2**14, 2**14))


def bomb_of_zeros(file: h5py.File) -> None:
    replaced(file)
    file.create_dataset("/images/r/flux", (40, 2**25), "f4", chunks=(1, 2**25), compression="gzip")


def other_shape(file: h5py.File) -> None:
    replaced(file)
    file.create_dataset("/images/r/flux", (40, 51), "f4", chunks=(40, 51))


def other_type(file: h5py.File) -> None:
    replaced(file)
    file.create_dataset("/images/r/flux", (40, 50), "f8", chunks=(40, 50))


def table(file: h5py.File) -> None:
    replaced(file)
    file.create_dataset("/images/r/flux", (40,), np.dtype([("a", "f4")]), chunks=(40,))


def missing(file: h5py.File) -> None:
    replaced(file)


def a_group(file: h5py.File) -> None:
    replaced(file)
    file.create_group("/images/r/flux")


@pytest.mark.parametrize(
    "change",
    [
        soft_loop, group_in_itself, huge, huge_description, huge_chunk, bomb_of_zeros, other_shape,
        other_type, table, missing, a_group,
    ],
)  # fmt: skip
def test_what_is_not_as_described_is_damage(
    hostile: Any, change: Callable[[h5py.File], None]
) -> None:
    errors = read_all(hostile(change))
    assert errors and set(errors) == {"ArchiveDamaged"}


def test_a_description_that_is_not_ours_is_damage(hostile: Any) -> None:
    from corecube.archive.chunks import crc

    for text in (b"{}", b"[1]", b"\xff", b'{"images": 1}', json.dumps({"arrays": {}}).encode()):

        def change(file: h5py.File, text: bytes = text) -> None:
            del file["/description"]
            data = np.frombuffer(text, "u1")
            file.create_dataset("/description", data=data, chunks=data.shape)
            file.attrs["description_crc"] = np.uint32(crc(text))

        assert read_all(hostile(change)) == ["ArchiveDamaged"]


def test_700_bytes_appended_still_read_and_the_size_says_so(hostile: Any) -> None:
    path = hostile(lambda file: None, at_end=bytes(700))
    assert read_all(path) == ["ArchiveDamaged"]  # only of /images/r/evil, which there is not


FUZZ = """
import json, sys, warnings
from pathlib import Path
from corecube.errors import CorecubeError
from corecube.archive.shotfile import StoredShot
path = Path(sys.argv[1])
data = path.read_bytes()
for line in sys.stdin:
    kind, offset, bit = json.loads(line)
    changed = bytearray(data)
    if kind == "flip":
        changed[offset] ^= 1 << bit
    else:
        changed = changed[:offset]
    path.write_bytes(changed)
    try:
        with StoredShot(path) as shot:
            shot.history
            for name in shot.description["arrays"]:
                shot.read(name)
            shot.frame("r")
        said = "read"
    except CorecubeError as error:
        said = type(error).__name__
    except BaseException as error:
        said = f"!{type(error).__name__}: {error}"
    print(json.dumps([kind, offset, bit, said]), flush=True)
"""


def test_damage_anywhere_is_a_typed_error(hostile: Any) -> None:
    """Truncation at many places, and single flipped bits, in a child process that may die.

    What HDF5's own parser does with damaged metadata cannot be promised: it may crash. No Python
    error but ours comes out, and crashes stay below a hundredth.
    """
    path = hostile(lambda file: None)
    size = path.stat().st_size
    rng = np.random.default_rng(1)
    orders = [["cut", int(n), 0] for n in np.linspace(0, size - 1, 60).astype(int)]
    orders += [["flip", int(rng.integers(size)), int(rng.integers(8))] for _ in range(400)]
    orders += [["flip", offset, 3] for offset in range(0, 2048, 7)]
    data = path.read_bytes()
    crashes = 0
    results = []
    left = orders
    while left:
        path.write_bytes(data)
        text = "".join(json.dumps(order) + "\n" for order in left)
        found = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", FUZZ, str(path)],
            input=text, capture_output=True, text=True, timeout=240, check=False,
        )  # fmt: skip
        lines = [json.loads(line) for line in found.stdout.splitlines()]
        results += lines
        left = left[len(lines) :]
        if left:
            crashes += 1
            left = left[1:]
    strange = [line for line in results if line[3].startswith("!")]
    assert not strange, strange[:3]
    assert all(line[3] != "read" for line in results if line[0] == "cut")
    assert crashes <= len(orders) // 100


def test_damaged_files_are_typed_errors(tmp_path: Path) -> None:
    path = tmp_path / "x.h5"
    for data in (b"", b"<html>", b"\x89HDF\r\n\x1a\n", b"\x89HDF\r\n\x1a\n" + bytes(2000)):
        path.write_bytes(data)
        with pytest.raises(ArchiveDamaged, match="cannot be opened as HDF5"):
            hdf5.open_file(path)
    with pytest.raises(FileNotFoundError):
        hdf5.open_file(tmp_path / "none.h5")
