"""Tables of strangers: read by name and rows as another binding reads them, nothing in them run."""

from __future__ import annotations

import lzma
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corecube import hdf5
from corecube.errors import ArchiveDamaged

KIND = np.dtype(
    [("a", ">f4", (3,)), ("n", "S5"), ("b", "<i8"), ("u", ">u2"), ("p", "<f8", (2, 2))], align=True
)


def rows(count: int) -> np.ndarray[Any, Any]:
    values = np.zeros(count, KIND)
    rng = np.random.default_rng(count)
    values["a"], values["p"] = rng.normal(size=(count, 3)), rng.normal(size=(count, 2, 2))
    values["n"] = [f"n{number}" for number in range(count)]
    values["b"], values["u"] = rng.integers(-99, 99, count), rng.integers(0, 99, count)
    return values


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    file = hdf5.open_file(path)
    try:
        yield file
    finally:
        file.close()


def make(path: Path, fill: Callable[[Any], object], libver: Any = "earliest") -> Path:
    with h5py.File(path, "w", libver=libver) as file:
        fill(file)
    return path


@pytest.mark.parametrize("libver", ["earliest", ("earliest", "v110"), ("v110", "v110")])
@pytest.mark.parametrize(
    "options",
    [{}, {"chunks": (4,)}, {"chunks": (4,), "compression": "gzip", "fletcher32": True}],
    ids=["contiguous", "chunked", "packed"],
)
def test_a_table_is_read_as_h5py_reads_it(
    tmp_path: Path, options: dict[str, Any], libver: Any
) -> None:
    values = rows(50)
    path = make(
        tmp_path / "t.h5", lambda f: f.create_dataset("g/t", data=values, **options), libver
    )
    with opened(path) as file:
        table = hdf5.table(file, "/g/t")
        assert table.rows == 50 and list(table.columns) == ["a", "n", "b", "u", "p"]
        assert table.columns["a"].shape == (3,) and table.columns["p"].shape == (2, 2)
        found = table.read()
        for name in KIND.names or ():
            np.testing.assert_array_equal(found[name], values[name])
            assert found[name].dtype.isnative
        part = table.read(["b", "a"], 7, 9)
        assert list(part) == ["b", "a"]
        np.testing.assert_array_equal(part["b"], values["b"][7:9])
        np.testing.assert_array_equal(part["a"], values["a"][7:9])
        assert len(table.read(["b"], 48, 99)["b"]) == 2 and len(table.read(["b"], 60)["b"]) == 0
        with pytest.raises(ArchiveDamaged, match="has no column 'z' of numbers or text; it has: a"):
            table.read(["z"])


@given(first=st.integers(0, 60), count=st.integers(0, 60), slab=st.integers(1, 400))
def test_any_range_in_slabs_of_any_size(
    tmp_path_factory: pytest.TempPathFactory, first: int, count: int, slab: int
) -> None:
    values = rows(50)
    path = tmp_path_factory.mktemp("slabs") / "t.h5"
    make(path, lambda file: file.create_dataset("t", data=values, chunks=(7,)))
    with opened(path) as file, pytest.MonkeyPatch.context() as patch:
        patch.setattr(hdf5, "_SLAB", slab)
        found = hdf5.table(file, "/t").read(["b", "n"], first, first + count)
    np.testing.assert_array_equal(found["b"], values["b"][first : first + count])
    np.testing.assert_array_equal(found["n"], values["n"][first : first + count])


def test_columns_that_are_neither_numbers_nor_text_are_left_out(tmp_path: Path) -> None:
    kind = np.dtype([("a", "f4"), ("s", [("x", "f4"), ("y", "i2")]), ("c", "c8")])
    path = make(tmp_path / "t.h5", lambda file: file.create_dataset("t", (3,), kind, chunks=(2,)))
    with opened(path) as file:
        table = hdf5.table(file, "/t")
        assert list(table.columns) == ["a"] and list(table.read()) == ["a"]
        with pytest.raises(ArchiveDamaged, match="has no column 's'"):
            table.read(["s"])


def test_what_is_no_table_is_refused(tmp_path: Path) -> None:
    def fill(file: Any) -> None:
        file.create_dataset("array", data=np.arange(4.0), chunks=(2,))
        file.create_dataset("t", data=rows(3), chunks=(2,))
        file["soft"] = h5py.SoftLink("/t")
        file["outer"] = h5py.ExternalLink("none.h5", "/t")

    with opened(make(tmp_path / "t.h5", fill)) as file:
        for name in ("/array", "/soft", "/outer", "/", "/none"):
            with pytest.raises(ArchiveDamaged):
                hdf5.table(file, name)
        assert hdf5.children(file) == ("array", "t")
        with pytest.raises(ArchiveDamaged, match="is no group"):
            hdf5.children(file, "/t")


def test_limits_hold_for_tables_too(tmp_path: Path) -> None:
    wide = np.dtype([("a", "f8", (2**23 + 1,))])

    def fill(file: Any) -> None:
        file.create_dataset("wide", (1,), wide, chunks=(1,))
        file.create_dataset("long", (2**40,), KIND, chunks=(2,))
        file.create_dataset("chunk", (2**24,), KIND, chunks=(2**20,))

    with opened(make(tmp_path / "t.h5", fill)) as file:
        for name, says in (
            ("/wide", "has chunks of"), ("/long", "has values of"), ("/chunk", "has chunks of")
        ):  # fmt: skip
            with pytest.raises(ArchiveDamaged, match=says):
                hdf5.table(file, name)


@pytest.mark.parametrize("libver", ["earliest", ("v110", "v110")])
def test_a_table_that_lies_in_another_file_is_not_read(tmp_path: Path, libver: Any) -> None:
    secret = tmp_path / "secret.bin"
    secret.write_bytes(rows(4).tobytes())
    other = make(tmp_path / "o.h5", lambda file: file.create_dataset("t", data=rows(4)))

    def fill(file: Any) -> None:
        size = secret.stat().st_size
        file.create_dataset("x", (4,), KIND, external=[(str(secret), 0, size)])
        layout = h5py.VirtualLayout((4,), KIND)
        layout[:] = h5py.VirtualSource(str(other), "t", (4,))
        file.create_virtual_dataset("v", layout)

    path = make(tmp_path / "t.h5", fill, libver)
    with h5py.File(path) as file:  # it would give the secret away
        np.testing.assert_array_equal(file["x"][:], rows(4))
        np.testing.assert_array_equal(file["v"][:], rows(4))
    with opened(path) as file:
        for name in ("/x", "/v"):
            with pytest.raises(ArchiveDamaged, match="does not lie in this file; it is not read"):
                hdf5.table(file, name)


def test_a_header_in_several_blocks_is_understood(tmp_path: Path) -> None:
    """Attributes that come later move messages into further blocks of the header."""
    for libver in ("earliest", ("v110", "v110")):
        path = tmp_path / "t.h5"
        make(path, lambda file: file.create_dataset("t", data=rows(4)), libver)
        with h5py.File(path, "a", libver=libver) as file:
            for number in range(7):
                file["t"].attrs[f"text {number}"] = "x" * 300
        with opened(path) as file:
            np.testing.assert_array_equal(hdf5.table(file, "/t").read(["b"])["b"], rows(4)["b"])


@pytest.mark.parametrize("kind", ["table", "ragged"])
@pytest.mark.parametrize("shape", [(2, 2), (1,) * 8, (1,) * 32, ()], ids=len)
def test_as_many_axes_as_a_file_says_end_no_process(
    tmp_path: Path, kind: str, shape: tuple[int, ...]
) -> None:
    """PyTables has room for the length of one; what it writes beyond would be the file's choice."""
    dtype = KIND if kind == "table" else h5py.vlen_dtype(np.int32)
    options = {"chunks": shape} if shape else {}
    path = make(tmp_path / "t.h5", lambda file: file.create_dataset("t", shape, dtype, **options))
    code = """
import sys, warnings
from corecube import hdf5
from corecube.errors import ArchiveDamaged
warnings.simplefilter("ignore")
file = hdf5.open_file(sys.argv[1])
for work in (hdf5.table, hdf5.node):
    try:
        work(file, "/t")
    except ArchiveDamaged as error:
        print("refused")
file.close()
"""
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", code, str(path)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.stdout, done.returncode) == ("refused\nrefused\n", 0), done.stderr


class Evil:
    """Unpickled, it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (str(self.path), "w")


@pytest.mark.parametrize("place", ["/", "t"])
@pytest.mark.parametrize("name", ["x", "CLASS", "TITLE", "FIELD_0_FILL", "FIELD_0_NAME", "NROWS"])
def test_a_pickle_beside_a_table_is_not_run(tmp_path: Path, place: str, name: str) -> None:
    proof = tmp_path / "RAN"
    path = make(tmp_path / "t.h5", lambda file: file.create_dataset("t", data=rows(4), chunks=(2,)))
    with h5py.File(path, "a") as file:
        file[place].attrs[name] = np.bytes_(pickle.dumps(Evil(proof), 0))
    code = (
        "import sys; from corecube import hdf5; f = hdf5.open_file(sys.argv[1]); "
        "print(hdf5.table(f, '/t').read(['n'])['n'][3]); f.close()"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, str(path)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.stdout, done.returncode) == ("b'n3'\n", 0), done.stderr
    assert not proof.exists()


def test_a_flipped_bit_in_a_checked_chunk_is_found(tmp_path: Path) -> None:
    values = rows(40)
    path = tmp_path / "t.h5"
    make(path, lambda file: file.create_dataset("t", data=values, chunks=(20,), fletcher32=True))
    data = bytearray(path.read_bytes())
    data[bytes(data).index(values[:20].tobytes()) + 100] ^= 4
    path.write_bytes(data)
    with opened(path) as file:
        table = hdf5.table(file, "/t")
        with pytest.raises(ArchiveDamaged, match="/t is damaged"):
            table.read(["b"], 0, 3)
        np.testing.assert_array_equal(table.read(["b"], 20)["b"], values["b"][20:])


def test_indexed_tables_of_pytables_are_opened_without_their_indexes(tmp_path: Path) -> None:
    tables = hdf5.library()
    path = tmp_path / "t.h5"
    with tables.open_file(str(path), "w") as file:
        table = file.create_table("/", "t", rows(30).astype(KIND.newbyteorder("=")))
        table.cols.b.create_index()
    with tables.open_file(str(path)) as file:
        assert file.root.t.cols.b.is_indexed, "PyTables itself still knows indexes"
    with opened(path) as file:
        assert hdf5.children(file) == ("t",)
        np.testing.assert_array_equal(hdf5.table(file, "/t").read(["b"])["b"], rows(30)["b"])


def test_a_genuine_hetdex_shot(data: Path, tmp_path: Path) -> None:
    packed = data / "hetdex" / "shot_h5" / "20260101v007_oneamp.h5.xz"
    if not packed.exists():
        pytest.skip("the real data have no HETDEX shot file")
    path = tmp_path / "one.h5"
    path.write_bytes(lzma.decompress(packed.read_bytes()))
    with opened(path) as file, h5py.File(path) as other:
        assert hdf5.children(file, "/Data") == ("FiberIndex", "Fibers", "Images")
        for name in ("/Data/Fibers", "/Data/FiberIndex", "/Data/Images", "/Shot"):
            table = hdf5.table(file, name)
            values = other[name][:]
            assert table.rows == len(values) and list(table.columns) == list(values.dtype.names)
            for column, found in table.read().items():
                assert found.tobytes() == values[column].tobytes(), (name, column)
