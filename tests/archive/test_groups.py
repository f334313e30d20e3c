"""Groups without pixels, wavelengths by traces, images of fibres, places on the detector."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import corecube
from corecube.archive.shotfile import StoredShot
from corecube.archive.shotwriter import ShotWriter
from corecube.archive.verify import verify
from corecube.errors import ArchiveDamaged, FrameError, QueryError
from corecube.frames import Array, Column, Fibers, Image
from corecube.shots import ShotPlan
from corecube.spectral import Spectral
from corecube.tracesets import TraceSet

Store = Callable[..., Any]
Make = Callable[..., Any]
Z = Column("z", "float64", "", "Redshift.")


def damages(place: Path) -> list[str]:
    with corecube.open(place) as archive:
        return [d.what for _, part in verify(archive) for d in part]


# -- no pixels -----------------------------------------------------------------------------------


@pytest.mark.parametrize("wave", [Spectral(np.empty(0)), Spectral.log_grid(35000, 0)])
def test_a_parent_without_pixels(place: Path, store: Store, fibers: Make, wave: Spectral) -> None:
    parents = fibers("stars", 3, 0, wave=wave, columns={Z: np.arange(3.0)})
    more = fibers("stars", 2, 0, 3, wave=wave, columns={Z: np.arange(2.0) + 10})
    child = fibers(
        "b1", 4, 20, parent="stars", parent_id=("stars-0", "stars-0", "stars-2", "stars-4")
    )
    record = store("plate/1", [parents, more, child])
    assert damages(place) == []
    with corecube.open(place) as archive:
        shot = archive.shot(record)
        found = shot.rows("stars", 1, 5)
        for values, dtype in ((found.flux, "f4"), (found.error, "f4"), (found.mask, "u4")):
            assert values is not None and values.shape == (4, 0) and values.dtype == dtype
        assert found.wave.size == 0 and found.wave.wavelength().shape == (0,)
        names = {path for path in shot.description["arrays"] if path.startswith("/fibers/stars/")}
        stored = set(shot._file.root.fibers.stars._v_children)
        assert {"flux", "error", "mask"} <= {name.rsplit("/", 1)[-1] for name in names}
        assert not {"flux", "error", "mask", "wave"} & stored, "no pixel array is stored"
        rows = archive.fibers("z > 1", columns=["z"])
        assert rows["id"].values.tolist() == ["stars-2", "stars-3", "stars-4"]
        assert rows["z"].values.tolist() == [2, 10, 11]
        near = archive.cone((2.0, 0.0), 0.1, exposures=True).fibers
        assert near["group"].values.tolist() == ["stars", "b1"]
        row: Any = archive.get("lab/plate/1/stars/stars-0")
        assert row.spectrum().flux.shape == (1, 0)
        assert [more.name for more in row.related()] == [
            "lab/plate/1/b1/b1-0", "lab/plate/1/b1/b1-1",
        ]  # fmt: skip


def test_show_and_spectra_of_a_fibre_without_pixels(
    place: Path, store: Store, fibers: Make, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    from corecube_cli.main import run

    store("plate/1", [fibers("stars", 3, 0, wave=Spectral(np.empty(0)))])
    assert run(["show", str(place), "lab/plate/1/stars/stars-1"]) == 0
    assert "pixels" in capsys.readouterr().out
    assert run(["show", str(place), "lab/plate/1", "--json"]) == 0
    assert run(["query", str(place), "1", "0", "--spectra", str(tmp_path / "s")]) == 0, (
        capsys.readouterr().err
    )


# -- traces --------------------------------------------------------------------------------------


def traces(count: int, seed: int = 0, jump: Any = None, xmax: float = 40.0) -> TraceSet:
    rng = np.random.default_rng(seed)
    coefficients = np.zeros((count, 4))
    coefficients[:, 0] = 3.6 + rng.normal(0, 1e-3, count)
    coefficients[:, 1] = 0.05
    coefficients[:, 2:] = rng.normal(0, 1e-4, (count, 2))
    return TraceSet("legendre", 0.0, xmax, coefficients, jump)


@given(counts=st.lists(st.integers(0, 4), min_size=1, max_size=4), jump=st.booleans())
def test_traces_come_back_row_for_row(counts: list[int], jump: bool) -> None:
    import tempfile

    step = (10.0, 20.0, 0.3) if jump else None
    sets = [traces(count, seed, step) for seed, count in enumerate(counts)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "s.h5"
        writer = ShotWriter(path)
        first = 0
        for each, count in zip(sets, counts, strict=True):
            wave = Spectral(traces=each, count=41, medium="vacuum", specsys="topocentric")
            flux = np.ones((count, 41), "f4")
            writer.add_block("e", Fibers(
                name="b1", flux=flux, unit="electron", error=flux, mask=np.zeros(flux.shape, "u4"),
                wave=wave, id=tuple(f"{first + row}" for row in range(count)),
                ra=np.zeros(count), dec=np.zeros(count),
            ))  # fmt: skip
            first += count
        about = {
            "instrument": "lab", "key": "k", "title": "", "kind": "science", "generation": 1,
            "fingerprint": "", "basis": "", "entries": {}, "created": "", "raw_bytes": 0,
        }  # fmt: skip
        plan = ShotPlan("k", "", {}).to_json()
        writer.finish(about, {"plan": plan, "config": {}, "infos": []})
        coefficients = np.concatenate([each.coefficients for each in sets])
        with StoredShot(path) as shot:
            listed = shot.description["arrays"]
            assert "/fibers/b1/wave" not in listed
            assert listed["/fibers/b1/wave_coefficients"]["shape"] == [sum(counts), 4]
            for low in range(sum(counts) + 1):
                for high in range(low, sum(counts) + 1):
                    found = shot.rows("b1", low, high).wave
                    assert found.traces is not None and found.count == 41
                    assert found.traces.coefficients.tobytes() == coefficients[low:high].tobytes()
                    assert found.traces.describe() == sets[0].describe()
                    assert (found.medium, found.specsys) == ("vacuum", "topocentric")
            start = 0
            for each, count in zip(sets, counts, strict=True):
                found = shot.rows("b1", start, start + count).wave
                expected = np.power(10.0, each.evaluate(np.arange(41.0)))
                np.testing.assert_array_equal(found.wavelength(), expected)
                start += count


def test_blocks_whose_traces_differ_in_more_than_coefficients_are_refused(
    tmp_path: Path, fibers: Make
) -> None:
    first = fibers("b1", 2, 41, wave=Spectral(traces=traces(2), count=41))
    others = [
        Spectral(traces=traces(2, xmax=41.0), count=41),
        Spectral(traces=traces(2, jump=(1.0, 2.0, 0.1)), count=41),
        Spectral(traces=TraceSet("legendre", 0.0, 40.0, traces(2).coefficients[:, :3]), count=41),
        Spectral(np.linspace(4000, 5000, 41)),
        Spectral(traces=traces(2), count=41, medium="air"),
    ]
    for number, wave in enumerate(others):
        writer = ShotWriter(tmp_path / f"{number}.h5")
        writer.add_block("e", first)
        with pytest.raises(FrameError, match="wavelengths of a block differ"):
            writer.add_block("e", fibers("b1", 2, 41, 5, wave=wave))
        writer.close()


# -- images of fibres, and the detector ------------------------------------------------------------


@pytest.fixture
def shot(place: Path, store: Store, image: Make, fibers: Make) -> Any:
    """Two blocks that count their images each in its own way."""
    wave = np.linspace(4000.0, 4040.0, 41)
    trace = np.add.outer([10.0, 20.0, 30.0], np.linspace(0, 2, 41)).astype("f4")

    def block(first: int, images: tuple[str, ...], image: list[int]) -> Fibers:
        made: Fibers = fibers(
            "stars", 3, 41, first, wave=Spectral(np.tile(wave + first, (3, 1))), images=images,
            image=np.array(image, "i4"),
            layers={"trace": Array(trace + np.float32(first), "pix", ("fiber", "wave"))},
        )  # fmt: skip
        return made

    images = [image(name, (60, 41)) for name in ("A", "B", "C")]
    return store(
        "night/1", [block(0, ("B", "A"), [0, 1, -1]), *images, block(3, ("C", "A"), [1, 0, 0])]
    )


def test_images_are_counted_anew_and_kept(place: Path, shot: Any) -> None:
    with corecube.open(place) as archive:
        stored = archive.shot(shot)
        assert stored.group("stars")["images"] == ["B", "A", "C"]
        names = []
        for row in range(6):
            fiber = stored.rows("stars", row, row + 1)
            assert fiber.image is not None and fiber.image.dtype == np.int32
            names.append(fiber.images[fiber.image[0]] if fiber.image[0] >= 0 else None)
        assert names == ["B", "A", None, "A", "C", "C"]
        block = stored.rows("stars", 3, 6)
        assert block.image is not None
        assert (block.images, block.image.tolist()) == (("A", "C"), [0, 1, 1])


def test_a_wavelength_is_found_on_the_detector(place: Path, shot: Any) -> None:
    with corecube.open(place) as archive:
        stored = archive.shot(shot)
        assert stored.locate("stars", 0, 4000.0) == ("B", 10.0, 0.0)
        found = stored.locate("stars", 1, 4010.25)
        assert found is not None and found[0] == "A"
        # the row is the float32 trace, between two pixels
        np.testing.assert_allclose(found[1:], (20.0 + 10.25 / 20, 10.25), rtol=2e-7)
        assert stored.locate("stars", 2, 4010.0) is None, "it names no image"
        for row in (0, 1):
            assert stored.locate("stars", row, 3999.9) is None
            assert stored.locate("stars", row, 4040.1) is None
            assert stored.locate("stars", row, float("nan")) is None
        fiber: Any = archive.get("lab/night/1/stars/stars-4")
        assert fiber.locate(4043.0) == ("C", 25.0, 40.0)
        with pytest.raises(QueryError, match="has no row 6"):
            stored.locate("stars", 6, 4000.0)


def test_locate_needs_images_and_a_trace(place: Path, store: Store, fibers: Make) -> None:
    record = store("n", [fibers("plain", 2, 9)])
    with (
        corecube.open(place) as archive,
        pytest.raises(QueryError, match="names no images or has no layer 'trace'"),
    ):
        archive.shot(record).locate("plain", 0, 4500.0)


def test_locate_with_traces_as_wavelengths(
    place: Path, store: Store, image: Make, fibers: Make
) -> None:
    each = traces(2)
    layer = Array(np.tile(np.arange(41, dtype="f4") * 2, (2, 1)), "pix", ("fiber", "wave"))
    record = store("n", [image("A", (90, 41)), fibers(
        "b1", 2, 41, wave=Spectral(traces=each, count=41), images=("A",),
        image=np.zeros(2, "i4"), layers={"trace": layer},
    )])  # fmt: skip
    waves = np.power(10.0, each.evaluate(np.arange(41.0)))
    with corecube.open(place) as archive:
        for row in range(2):
            found = archive.shot(record).locate("b1", row, float(waves[row, 17]))
            assert found is not None
            np.testing.assert_allclose(found[1:], (34.0, 17.0), rtol=1e-9)


def test_blocks_with_and_without_images_do_not_mix(tmp_path: Path, fibers: Make) -> None:
    writer = ShotWriter(tmp_path / "s.h5")
    writer.add_block("e", fibers("s", 2, 9, images=("A",), image=np.zeros(2, "i4")))
    with pytest.raises(FrameError, match="images of a block differ"):
        writer.add_block("e", fibers("s", 2, 9, 5))
    writer.close()


# -- a shot that is still being written ------------------------------------------------------------


def test_a_shot_is_read_while_it_is_written(tmp_path: Path, image: Make, fibers: Make) -> None:
    path = tmp_path / "s.h5"
    writer = ShotWriter(path)
    first = image("r", (300, 310), header="SIMPLE")
    blocks = [fibers("stars", 40, 700, 0), fibers("stars", 33, 700, 40)]
    child = fibers("one", 2, 9, parent="stars", parent_id=("stars-0", "stars-1"))
    writer.add_image("e", first)
    for block in (*blocks, child):
        writer.add_block("e", block)
    about = {
        "instrument": "lab", "key": "k", "title": "", "kind": "science", "generation": 1,
        "fingerprint": "", "basis": "", "entries": {}, "created": "", "raw_bytes": 0,
    }  # fmt: skip
    history = {"plan": ShotPlan("k", "", {}).to_json(), "config": {"x": 1}, "infos": []}
    with writer.readable(about, history, tmp_path) as shot:
        assert (shot.images, shot.groups, shot.config) == (("r",), ("stars", "one"), {"x": 1})
        found = shot.frame("r")
        assert found.flux.tobytes() == first.flux.tobytes() and found.header == "SIMPLE"
        flux = np.concatenate([block.flux for block in blocks])
        assert shot.rows("stars", 0, 73).flux.tobytes() == flux.tobytes()
        assert shot.rows("stars", 39, 42).id == ("stars-39", "stars-40", "stars-41")
        assert [len(part.id) for part in shot.blocks("stars", 30)] == [30, 30, 13]
    with pytest.raises(FrameError, match="group 'stars' was read already; derived frames need"):
        writer.check([fibers("stars", 2, 700, 99)], {})
    mean = image("mean", (300, 310), seed=5)
    writer.check([mean, fibers("extracted", 3, 9)], {})
    writer.add_image("", mean)
    writer.add_block("", fibers("extracted", 3, 9, parent="stars", parent_id=("stars-0",) * 3))
    writer.finish(about, history)
    with StoredShot(path) as stored:
        assert stored.images == ("r", "mean") and stored.groups == ("stars", "one", "extracted")
        assert stored.rows("stars", 0, 73).flux.tobytes() == flux.tobytes()
        assert stored.frame("mean").flux.tobytes() == mean.flux.tobytes()
        assert stored.rows("extracted", 0, 3).flux.shape == (3, 9)
        assert stored.frame("r").header == "SIMPLE"


def test_what_is_not_there_yet_is_a_clear_error(tmp_path: Path, image: Make) -> None:
    writer = ShotWriter(tmp_path / "s.h5")
    about = {"instrument": "lab", "key": "k", "generation": 1}
    shot = writer.readable(about, {"plan": {}, "config": {}, "infos": []}, tmp_path)
    with pytest.raises(QueryError, match="has no image 'r'; it has: nothing"):
        shot.frame("r")
    with pytest.raises(ArchiveDamaged, match="has no array /headers"):
        shot.read("/headers")
    writer.close()


def test_a_name_is_an_image_or_a_derived_one_not_both(tmp_path: Path, image: Make) -> None:
    writer = ShotWriter(tmp_path / "s.h5")
    writer.add_image("e", image("r"))
    with pytest.raises(FrameError, match="two images have the name 'r'"):
        writer.check([image("r")], {})
    assert isinstance(image("x"), Image)
    writer.close()
