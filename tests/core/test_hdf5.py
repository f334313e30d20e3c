"""Files of strangers: nothing in them is run, nothing outside of them is read, errors are ours.

They are written with h5py, another binding with a copy of the HDF5 library of its own.
"""

from __future__ import annotations

import json
import os
import pickle
import random
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from corecube import hdf5
from corecube.errors import ArchiveDamaged, ArchiveError

SECRET = np.arange(10.0) + 777


class Evil:
    """Unpickled, it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (str(self.path), "w")


@pytest.fixture
def proof(tmp_path: Path) -> Iterator[Path]:
    """The file that a pickle would make; it must not be there in the end."""
    path = tmp_path / "RAN"
    yield path
    assert not path.exists(), "a pickle of the file was run"


def text_pickle(proof: Path) -> np.bytes_:
    """Return a pickle that PyTables takes for its own: protocol 0 in a fixed ASCII string."""
    return np.bytes_(pickle.dumps(Evil(proof), 0))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "hostile.h5"


def make(path: Path, fill: Callable[[Any], object] = lambda file: None) -> Path:
    """Write a file with good arrays /good and /g/d, and whatever `fill` adds."""
    with h5py.File(path, "w") as file:
        file.create_dataset("good", data=np.arange(10.0), chunks=(5,))
        file.create_dataset("g/d", data=np.arange(6, dtype="i2").reshape(2, 3), chunks=(2, 2))
        fill(file)
    return path


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    file = hdf5.open_file(path)
    try:
        yield file
    finally:
        file.close()


def assert_good(file: Any) -> None:
    np.testing.assert_array_equal(hdf5.read(file, "/good"), np.arange(10.0))
    np.testing.assert_array_equal(hdf5.read(file, "/g/d", (1, slice(1, 3))), [4, 5])


def refused(file: Any, name: str, says: str = ".") -> None:
    for work in (hdf5.node, hdf5.read):
        with pytest.raises(ArchiveDamaged, match=says) as caught:
            work(file, name)
        assert str(caught.value).startswith(f"{file.filename}: ") and name in str(caught.value)


def in_a_process(code: str, *arguments: object) -> str:
    """Run code that may crash; what it prints comes back."""
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", code, *map(str, arguments)],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"ended with {done.returncode}:\n{done.stderr}"
    return done.stdout


# -- what is good --------------------------------------------------------------------------------


def test_a_good_file_is_read(path: Path) -> None:
    with opened(make(path)) as file:
        assert_good(file)
        assert hdf5.read(file, "/good", slice(2, 4)).tolist() == [2, 3]


@pytest.mark.parametrize(
    "dtype", ["f4", "f8", "i1", "i8", "u1", "u2", "u4", "u8", "?", "S7", ">f4"]
)
def test_numbers_and_text_are_read(path: Path, dtype: str) -> None:
    values = np.array([0, 1, 1, 0, 1]).astype(dtype)
    make(path, lambda file: file.create_dataset("x", data=values, chunks=(2,), compression="gzip"))
    with opened(path) as file:
        found = hdf5.read(file, "/x")
        np.testing.assert_array_equal(found.astype(values.dtype), values)


def test_our_own_files_have_no_attributes_that_we_did_not_write(path: Path) -> None:
    tables = hdf5.library()
    file = hdf5.open_file(path, "w")
    for name in ("flux", "a b"):
        with hdf5.quiet():
            file.create_carray("/g", name, obj=np.arange(4.0), createparents=True)
    file.root._v_attrs.mine = 1
    file.close()
    with h5py.File(path) as other:
        assert dict(other.attrs) == {"mine": 1} and not other["g"].attrs
        assert not other["g/flux"].attrs
        np.testing.assert_array_equal(other["g/a b"][:], np.arange(4.0))
    with pytest.raises(tables.exceptions.FileModeError), opened(path) as file:
        file.root._v_attrs.mine = 2


def test_a_missing_file_and_a_missing_array(path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        hdf5.open_file(path)
    with opened(make(path)) as file:
        for name in (
            "/none",
            "/none/none",
            "/good/x",
            "/g/",
            "good",
            "",
            "/",
            "//",
            "/a\0b",
            "/g/.",
        ):
            refused(file, name)
        for name in ("/\udc80", "/" + "n" * 100_000, "/x" * 5000, "/_v_file", "/_f_close"):
            refused(file, name)
        assert_good(file)


# -- pickles -------------------------------------------------------------------------------------

NAMES = ("x", "CLASS", "TITLE", "FLAVOR", "FILTERS", "NROWS", "VERSION", "PYTABLES_FORMAT_VERSION")


def test_the_pickle_of_these_tests_runs_where_there_is_no_guard(tmp_path: Path, path: Path) -> None:
    proof = tmp_path / "RAN UNGUARDED"
    make(path, lambda file: file.attrs.update(x=text_pickle(proof)))
    in_a_process("import sys, tables; tables.open_file(sys.argv[1])", path)
    assert proof.exists(), "it would not show that a guard is missing"


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("place", ["/", "good", "g", "g/d"])
def test_a_pickle_in_an_attribute_is_not_run(
    path: Path, proof: Path, place: str, name: str
) -> None:
    make(path, lambda file: file[place].attrs.update({name: text_pickle(proof)}))
    with opened(path) as file:
        assert_good(file)
        for node in file.walk_nodes("/"):
            attributes = node._v_attrs
            for each in attributes._v_attrnames:
                assert not callable(attributes[each])
    assert not proof.exists()


@pytest.mark.parametrize("own", [True, False])
def test_a_pickle_in_a_row_of_objects_is_not_run(path: Path, proof: Path, own: bool) -> None:
    def fill(file: Any) -> None:
        rows = file.create_dataset("v", (1,), dtype=h5py.vlen_dtype(np.uint8), chunks=(1,))
        rows[0] = np.frombuffer(pickle.dumps(Evil(proof)), np.uint8)
        rows.attrs.update(
            CLASS=np.bytes_("VLARRAY"), PSEUDOATOM=np.bytes_("object"),
            VERSION=np.bytes_("1.4"), TITLE=np.bytes_("x"),
        )  # fmt: skip

    make(path, fill)
    with opened(path) as file:
        refused(file, "/v", "is no chunked array")
        assert_good(file)
    # and PyTables itself, used by somebody else in this process
    file = hdf5.library().open_file(str(path), pytables_sys_attrs=own)
    try:
        with pytest.raises(hdf5._RefusingPickle.UnpicklingError, match="does not unpickle"):
            file.root.v[0]
    finally:
        file.close()


def test_the_guard_holds_for_the_installed_pytables() -> None:
    tables = hdf5.library()
    assert tables.attributeset.pickle is tables.atom.pickle is hdf5._RefusingPickle
    for name in ("loads", "load", "dumps", "dump"):
        with pytest.raises(hdf5._RefusingPickle.UnpicklingError):
            getattr(hdf5._RefusingPickle, name)(b"N.")
    dangerous = {pickle, pickle.loads, pickle.load, pickle.Unpickler}
    left = {
        (name, key)
        for name, module in sys.modules.items()
        if name.partition(".")[0] == "tables"
        for key, value in vars(module).items()
        if isinstance(value, type(pickle) | type(pickle.loads) | type) and value in dangerous
    }
    # the package has the name by "from .atom import *"; the other writes pickles and reads none
    assert left <= {("tables", "pickle"), ("tables.hdf5extension", "pickle")}
    assert "pickle" not in Path(tables.__file__).read_text("utf-8")
    source = Path(tables.__file__).with_name("hdf5extension.pyx")
    if source.exists():
        used = [
            line.strip() for line in source.read_text("utf-8").splitlines() if "pickle." in line
        ]
        assert used == ["value = pickle.dumps(value, 0)"]


@pytest.mark.parametrize("module", ["attributeset", "atom"])
def test_a_pytables_without_a_place_for_the_guard_is_refused(
    monkeypatch: pytest.MonkeyPatch, path: Path, module: str
) -> None:
    tables = hdf5.library()
    make(path)
    monkeypatch.setattr(hdf5, "_tables", None)
    monkeypatch.delattr(getattr(tables, module), "pickle")
    for work in (hdf5.library, lambda: hdf5.open_file(path)):
        with pytest.raises(ArchiveError, match=f"PyTables {tables.__version__} is not supported"):
            work()
    assert hdf5._tables is None


def test_no_library_of_a_file_is_loaded_as_a_filter() -> None:
    code = """
import os, sys
class Watch:
    def find_spec(self, name, path=None, target=None):
        if name == "tables":
            print(os.environ.get("HDF5_PLUGIN_PRELOAD"))
sys.meta_path.insert(0, Watch())
from corecube import hdf5
assert "tables" not in sys.modules
hdf5.library()
"""
    assert in_a_process(code) == "::\n"


# -- what lies outside ---------------------------------------------------------------------------


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "secret.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("d", data=SECRET, chunks=(5,))
        file.create_dataset("deep/d", data=SECRET, chunks=(5,))
    return path


@pytest.mark.parametrize(
    "name", ["/link", "/all/d", "/all/deep/d", "//all/d", "/all//d", "/g/up/d"]
)
def test_a_link_to_another_file_is_not_followed(path: Path, secret: Path, name: str) -> None:
    def fill(file: Any) -> None:
        file["link"] = h5py.ExternalLink(str(secret), "/d")
        file["all"] = h5py.ExternalLink(str(secret), "/")
        file["g/up"] = h5py.SoftLink("/all")

    make(path, fill)
    with h5py.File(path) as other:  # it does follow: the file would give the secret away
        np.testing.assert_array_equal(other[name.replace("//", "/")][:], SECRET)
    with opened(path) as file:
        refused(file, name)
        assert_good(file)


@pytest.mark.parametrize("own", ["", "CARRAY", "EARRAY"])
def test_external_storage_is_not_read(path: Path, tmp_path: Path, own: str) -> None:
    outside = tmp_path / "secret.txt"
    outside.write_bytes(b"secret text")

    def fill(file: Any) -> None:
        array = file.create_dataset("x", (11,), "u1", external=[(str(outside), 0, 11)])
        if own:  # PyTables believes what a file says of the kind of its arrays
            array.attrs.update(CLASS=np.bytes_(own), EXTDIM=np.int32(0), VERSION=np.bytes_("1.1"))

    make(path, fill)
    with h5py.File(path) as other:
        assert other["x"][:].tobytes() == b"secret text"
    with opened(path) as file:
        refused(file, "/x", "is no chunked array")
        assert_good(file)


@pytest.mark.parametrize("own", ["", "CARRAY", "EARRAY"])
def test_a_virtual_array_is_not_read(path: Path, secret: Path, own: str) -> None:
    def fill(file: Any) -> None:
        layout = h5py.VirtualLayout((10,), "f8")
        layout[:] = h5py.VirtualSource(str(secret), "d", (10,))
        array = file.create_virtual_dataset("x", layout)
        if own:
            array.attrs.update(CLASS=np.bytes_(own), EXTDIM=np.int32(0))

    make(path, fill)
    with h5py.File(path) as other:
        np.testing.assert_array_equal(other["x"][:], SECRET)
    with opened(path) as file:
        refused(file, "/x", "is no chunked array")
        assert_good(file)


# -- links inside --------------------------------------------------------------------------------


def test_links_inside_the_file_are_not_followed(path: Path) -> None:
    def fill(file: Any) -> None:
        file["soft"] = h5py.SoftLink("/good")
        file["group"] = h5py.SoftLink("/g")
        file["loop"] = h5py.SoftLink("/loop")
        file["a"], file["b"] = h5py.SoftLink("/b"), h5py.SoftLink("/a")
        file["dangling"] = h5py.SoftLink("/nothing")

    with opened(make(path, fill)) as file:
        for name in ("soft", "group", "group/d", "loop", "loop/d", "a", "a/b/a", "b", "dangling"):
            refused(file, f"/{name}")
        refused(file, "/group/d", "lies behind a link; links are not followed")
        assert_good(file)


def test_a_group_that_contains_itself_does_not_hang(path: Path) -> None:
    def fill(file: Any) -> None:
        file["g/self"] = file["g"]
        file["g/root"] = file["/"]

    with opened(make(path, fill)) as file:
        assert_good(file)
        np.testing.assert_array_equal(hdf5.read(file, "/g/self/self/root/good"), np.arange(10.0))
        refused(file, "/g/self/self/none", "is missing")
        refused(file, "/g/self", "is no chunked array")


# -- sizes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(2**60,), (2**62,), (2**20, 2**24), (2**31, 2**31)], ids=str)
def test_an_array_that_claims_to_be_huge_is_refused(path: Path, shape: tuple[int, ...]) -> None:
    chunks = (64,) * len(shape)
    make(path, lambda file: file.create_dataset("x", shape, "f8", chunks=chunks))
    with opened(path) as file:
        size = 8 * int(np.prod(shape, dtype=object))
        refused(file, "/x", f"has values of {size} bytes, more than corecube reads")
        assert_good(file)


def test_a_bomb_is_refused_before_it_is_unpacked(path: Path) -> None:
    size = 512 * 2**20
    pack = zlib.compressobj(1)
    bomb = b"".join(pack.compress(bytes(2**22)) for _ in range(size // 2**22)) + pack.flush()
    assert len(bomb) < 4_000_000

    def fill(file: Any) -> None:
        options = {"chunks": (size,), "compression": "gzip"}
        array = file.create_dataset("x", (size,), "u1", **options)
        array.id.write_direct_chunk((0,), bomb)

    with opened(make(path, fill)) as file:
        refused(file, "/x", f"has chunks of {size} bytes, more than corecube reads")
        assert_good(file)


def test_the_largest_chunk_that_is_read(path: Path) -> None:
    def fill(file: Any) -> None:
        for name, extra in (("just", 0), ("more", 1)):
            chunk = (hdf5.CHUNK_LIMIT // 8 + extra,)
            file.create_dataset(name, (2**24,), "f8", chunks=chunk)

    with opened(make(path, fill)) as file:
        assert hdf5.read(file, "/just", slice(0, 3)).tolist() == [0, 0, 0]
        refused(file, "/more", "has chunks of")


def test_what_is_read_at_once_is_limited(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks that are not stored cost nothing in a file."""
    shape = (2**13, 2**12)

    def fill(file: Any) -> None:
        file.create_dataset("x", shape, "f4", chunks=(256, 256))
        kind = np.dtype([("a", "f4", (64,)), ("b", "f8")])
        file.create_dataset("t", (2**18,), kind, chunks=(256,))

    with opened(make(path, fill)) as file:
        monkeypatch.setattr(hdf5, "READ_LIMIT", 2**20)
        for key in (Ellipsis, slice(None), (slice(0, 300), slice(0, 2**12)), slice(0, 65)):
            with pytest.raises(ArchiveDamaged, match="more than corecube reads at once"):
                hdf5.read(file, "/x", key)
        assert not hdf5.read(file, "/x", (slice(0, 512), slice(0, 512))).any()
        assert hdf5.read(file, "/x", slice(2**13 - 64, None)).shape == (64, 2**12)
        assert hdf5.read(file, "/x", (slice(5, 5), slice(None))).shape == (0, 2**12)
        table = hdf5.table(file, "/t")
        with pytest.raises(ArchiveDamaged, match="more than corecube reads at once"):
            table.read(["a"])
        assert table.read(["b"], 0, 2**17)["b"].shape == (2**17,)
    assert hdf5.read_limit() <= 2**20
    monkeypatch.undo()
    assert 0 < hdf5.read_limit() <= hdf5.READ_LIMIT


# -- kinds of arrays -----------------------------------------------------------------------------

KINDS: dict[str, dict[str, Any]] = {
    "contiguous": {"data": np.arange(4.0)},
    "scalar": {"data": 4.0},
    "null": {"data": h5py.Empty("f8")},
    "complex": {"shape": (3,), "dtype": "c8", "chunks": (2,)},
    "record": {"shape": (3,), "dtype": [("a", "f4"), ("b", "i4")], "chunks": (2,)},
    "reference": {"shape": (3,), "dtype": h5py.ref_dtype, "chunks": (2,)},
    "ragged": {"shape": (3,), "dtype": h5py.vlen_dtype(np.uint8), "chunks": (2,)},
    "texts": {"shape": (3,), "dtype": h5py.string_dtype(), "chunks": (2,)},
    "opaque": {"shape": (3,), "dtype": h5py.opaque_dtype("M8[s]"), "chunks": (2,)},
    "array": {"shape": (3,), "dtype": ("f4", (2,)), "chunks": (2,)},
    "lzf": {"data": np.arange(100), "chunks": (50,), "compression": "lzf"},
}


# PyTables remarks that it does not know a type; that we refuse it is what matters.
@pytest.mark.filterwarnings("ignore:(?s).*UnImplemented:UserWarning")
@pytest.mark.parametrize("kind", KINDS)
def test_what_we_never_write_is_refused(path: Path, kind: str) -> None:
    make(path, lambda file: file.create_dataset("x", **KINDS[kind]))
    with opened(path) as file:
        with pytest.raises(ArchiveDamaged):
            hdf5.read(file, "/x")
        assert_good(file)


def test_a_filter_that_is_not_ours_is_refused(path: Path) -> None:
    tables = hdf5.library()
    with tables.open_file(str(path), "w") as file:
        for name in ("bzip2", "blosc2:zstd", "blosc:lz4"):
            filters = tables.Filters(5, name)
            file.create_carray("/", name.replace(":", "_"), obj=np.arange(50), filters=filters)
    with opened(path) as file:
        refused(file, "/bzip2", "is packed with 'bzip2'")
        refused(file, "/blosc2_zstd", "is packed with 'blosc2:zstd'")
        np.testing.assert_array_equal(hdf5.read(file, "/blosc_lz4"), np.arange(50))


def test_a_type_is_no_array(path: Path) -> None:
    with opened(make(path, lambda file: file.__setitem__("x", np.dtype("f4")))) as file:
        refused(file, "/x")


# -- attributes that mislead ---------------------------------------------------------------------

READ = """
import json, sys, warnings
warnings.simplefilter("ignore")
from corecube import hdf5
from corecube.errors import CorecubeError

untyped = []
for path in json.load(open(sys.argv[1])):
    try:
        file = hdf5.open_file(path)
    except CorecubeError:
        continue
    except Exception as error:
        untyped.append(f"{path}: open: {error!r}")
        continue
    for name in ("/good", "/g/d"):
        try:
            hdf5.read(file, name)
        except CorecubeError:
            pass
        except Exception as error:
            untyped.append(f"{path}: {name}: {error!r}")
    file.close()
print(json.dumps(untyped))
"""

VALUES: dict[str, Any] = {
    "number": 3, "float": np.nan, "numbers": np.arange(5), "nothing": h5py.Empty("S1"),
    "no number": h5py.Empty("f8"), "texts": np.array([b"a", b"b"]), "text": "abc",
    "no utf-8": np.bytes_(b"\xff\xfe"), "other number": np.bytes_(b"I5\n."),
    "record": np.zeros(2, [("a", "f4")]), "group": np.bytes_("GROUP"), "index": np.bytes_("TINDEX"),
    "table": np.bytes_("TABLE"), "rows": np.bytes_("VLARRAY"), "earray": np.bytes_("EARRAY"),
    "old": np.bytes_("1.5"),
}  # fmt: skip


def untyped_errors(tmp_path: Path, paths: list[Path]) -> list[str]:
    """Read files in a process of its own, for a crash must not end the tests."""
    listed = tmp_path / "paths.json"
    listed.write_text(json.dumps([str(path) for path in paths]), "utf-8")
    errors: list[str] = json.loads(in_a_process(READ, listed))
    return errors


@pytest.mark.parametrize("name", [*NAMES, "EXTDIM", "PSEUDOATOM", "corecube_format"])
def test_attributes_of_a_wrong_type_are_harmless(tmp_path: Path, name: str) -> None:
    paths = []
    for key, value in VALUES.items():
        for place in ("/", "good", "g", "g/d"):
            path = tmp_path / f"{key} {place.replace('/', '_')}.h5"
            make(path)
            with h5py.File(path, "a") as file:
                file[place].attrs[name] = value
            paths.append(path)
    assert untyped_errors(tmp_path, paths) == []


# -- damage --------------------------------------------------------------------------------------


def test_a_truncated_file_is_refused_wherever_it_ends(path: Path, tmp_path: Path) -> None:
    whole = make(path).read_bytes()
    places = {*range(0, 100, 7), *range(100, len(whole), len(whole) // 40), len(whole) - 1}
    for place in sorted(places):
        part = tmp_path / f"{place}.h5"
        part.write_bytes(whole[:place])
        with pytest.raises(ArchiveDamaged, match="cannot be opened as HDF5") as caught:
            hdf5.open_file(part)
        assert str(caught.value).startswith(f"{part}: ")


@pytest.mark.parametrize(
    "data", [b"", b"\x89", b"<html><body>404</body>" * 50, bytes(4096), b"\x89HDF\r\n\x1a\n"],
    ids=["empty", "one byte", "HTML", "zeros", "magic"],
)  # fmt: skip
def test_what_is_no_hdf5_file_is_refused(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    with pytest.raises(
        ArchiveDamaged, match="cannot be opened as HDF5; it is truncated or damaged"
    ):
        hdf5.open_file(path)


def test_bytes_behind_the_end_change_nothing(path: Path) -> None:
    whole = make(path).read_bytes()
    path.write_bytes(whole + random.Random(1).randbytes(700))
    with opened(path) as file:
        assert_good(file)


def test_a_flipped_bit_in_checked_values_is_found(path: Path) -> None:
    values = np.random.default_rng(1).normal(size=1000).astype("f4")
    make(path, lambda file: file.create_dataset("x", data=values, chunks=(500,), fletcher32=True))
    whole = bytearray(path.read_bytes())
    place = bytes(whole).index(values[:500].tobytes())
    draw = random.Random(2)
    for _ in range(50):
        damaged = whole.copy()
        damaged[place + draw.randrange(2000)] ^= 1 << draw.randrange(8)
        path.write_bytes(damaged)
        with opened(path) as file:
            with pytest.raises(ArchiveDamaged, match="/x is damaged; find out more with"):
                hdf5.read(file, "/x")
            np.testing.assert_array_equal(hdf5.read(file, "/x", slice(500, None)), values[500:])


def test_flipped_bits_anywhere_are_typed_errors_or_harmless(tmp_path: Path, path: Path) -> None:
    whole = make(path).read_bytes()
    draw = random.Random(4)
    paths = []
    for number in range(200):
        damaged = bytearray(whole)
        # the first kilobytes hold the structure, which no checksum guards
        damaged[draw.randrange(min(len(whole), 4000))] ^= 1 << draw.randrange(8)
        paths.append(tmp_path / f"{number}.h5")
        paths[-1].write_bytes(damaged)
    assert untyped_errors(tmp_path, paths) == []


def test_the_limits_are_those_that_are_documented() -> None:
    assert hdf5.CHUNK_LIMIT == 64 * 2**20 and hdf5.SIZE_LIMIT == 2**40
    assert "bzip2" not in hdf5.FILTERS and "blosc:lz4" in hdf5.FILTERS
    assert os.environ.get("HDF5_PLUGIN_PRELOAD") in ("::", None)
