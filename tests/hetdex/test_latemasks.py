"""Lists that change: what they name, and their traps."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corecube.archive.reader import Archive
from corecube.errors import ConfigurationError, FileNotUnderstood
from corecube.masks import MaskSpan
from corecube_hetdex import lists, plugin
from corecube_hetdex.latemasks import distance, late_masks, within
from corecube_hetdex.settings import HetdexConfig

pytestmark = pytest.mark.xdist_group("hetdex")

SHOT = "hetdex/20260101v007"
AMP = "multi_319_074_052_RU"


@pytest.fixture
def masks(archive: Archive, tmp_path: Path) -> Callable[..., list[MaskSpan]]:
    def masks_of(**texts: str) -> list[MaskSpan]:
        paths: dict[str, Any] = {}
        for name, text in texts.items():
            paths[name] = tmp_path / f"{name}.list"
            paths[name].write_text(text)
        return list(late_masks(archive.shot(SHOT), HetdexConfig(**paths)))

    return masks_of


def rows(spans: list[MaskSpan], frame: str = "fibers") -> list[int]:
    return sorted({row for span in spans if span.frame == frame for row in span.row.tolist()})


def rows_of(archive: Archive, part: str) -> list[int]:
    ids = archive.shot(SHOT).texts("/fibers/fibers/id")
    return [row for row, name in enumerate(ids) if part in name]


def test_real_lists_are_read(hetdex_data: Path) -> None:
    folder = hetdex_data / "lists"
    bad = lists.bad_amplifiers(folder / "badamps.list")
    assert len(bad) == 346
    assert sum(part.multiframe == "multi_004_106_033_RL" for part in bad) >= 2
    assert len(lists.bad_amplifiers_of_shots(folder / "badamps_single.list")) <= 899
    assert len(lists.bad_fibers(folder / "badfib.tab")) == 119  # of 120 lines one stands twice
    assert len(lists.bad_boxes(folder / "badpix.list")) == 234
    shots = lists.bad_shots(folder / "badshots.list")
    assert 0 not in shots and 20170126003 in shots and len(shots) == 276
    tracks = lists.satellites(folder / "satellite_tracks.txt")
    assert len(tracks) == 546
    assert tracks[0] == lists.Track(20170322010, 1, 43.0805047, -0.270437067)
    meteors = lists.meteors(folder / "meteor.txt")
    assert len(meteors) == 96
    # the other order than satellites: intercept, slope
    assert meteors[0] == lists.Track(20170105009, 0, -2277.91968, 15.2037601)
    assert (
        len(lists.galaxies(folder / "rc3.ugc.hetdex.both.v8.csv.bz2")) == 1094
    )  # and a line without anything


def test_tracks_run_through_the_sky_of_their_shots(hetdex_data: Path) -> None:
    """With slope and intercept exchanged the lines would be nowhere near declination 90."""
    for track in lists.meteors(hetdex_data / "lists" / "meteor.txt"):
        ra = (50.0 - track.intercept) / track.slope if track.slope else 0.0
        assert -360 < ra < 720 or abs(track.intercept) < 90


def test_without_lists_there_is_nothing(masks: Callable[..., list[MaskSpan]]) -> None:
    assert masks() == []


def test_bad_amplifiers(masks: Callable[..., list[MaskSpan]], archive: Archive) -> None:
    text = (
        "ifuslot ampid multiframe date_start date_end\n"
        "# 74 RU multi_319_074_052_LU 20250101 20270101\n\n"
        f"74 LL {AMP} 20260101 20260101\n"  # ampid disagrees, the name counts
        f"74 RU {AMP} 20250101 20260301\n"  # the same again
        "74 RL multi_319_074_052_RL 20260102 20270101\n"  # from the next day on
    )
    spans = masks(badamps=text)
    expected = rows_of(archive, AMP)
    assert len(expected) == 336
    assert rows(spans) == rows(spans, "native") == expected
    assert all(s.plane == "late" for s in spans)
    image = [span for span in spans if span.frame == f"exp01_{AMP}"]
    assert len(image) == 1 and len(image[0].row) == 1032 and image[0].last.max() == 1031
    widths = {(s.frame, int(s.first.min()), int(s.last.max())) for s in spans}
    assert ("fibers", 0, 1035) in widths and ("native", 0, 1031) in widths
    assert {span.source for span in spans} == {f"badamps.list: {AMP}"}


def test_lists_of_one_shot(masks: Callable[..., list[MaskSpan]], archive: Archive) -> None:
    text = f"shotid multiframe\n20260101007 {AMP}\n20260101008 multi_319_074_052_LL\n"
    assert rows(masks(badamps_single=text)) == rows_of(archive, AMP)
    assert rows(masks(badfib=f"multiframe fibnum\n{AMP} 64\n")) == rows_of(archive, f"{AMP}_064")
    assert len(rows(masks(badshots="0\n20260101007\n"))) == 2576
    assert masks(badshots="0\n20260101008\n") == []


def test_bad_pixels(masks: Callable[..., list[MaskSpan]], archive: Archive) -> None:
    spans = masks(badpix=f"{AMP} 420 440 580 590\n")
    (image,) = [span for span in spans if span.frame == f"exp01_{AMP}"]
    assert image.row.tolist() == list(range(580, 591))
    assert set(image.first.tolist()) == {420} and set(image.last.tolist()) == {440}
    shot = archive.shot(SHOT)
    for row in rows_of(archive, AMP):
        native = shot.rows("native", row, row + 1)
        trace, wave = native.layers["trace"].values[0], native.wave.wavelength()[0]
        bad = [k for k in range(420, 441) if 580 <= trace[k] <= 590]
        assert bad == pixels(spans, "native", row)
        rectified = 3470 + 2.0 * np.arange(1036)
        near = np.abs(wave[None, :] - rectified[:, None]).argmin(axis=1)
        assert np.flatnonzero(np.isin(near, bad)).tolist() == pixels(spans, "fibers", row)


def pixels(spans: list[MaskSpan], frame: str, row: int) -> list[int]:
    found = []
    for span in spans:
        if span.frame == frame:
            for k in np.flatnonzero(span.row == row):
                found += list(range(span.first[k], span.last[k] + 1))
    return sorted(found)


def test_satellite_only_in_its_exposure(
    masks: Callable[..., list[MaskSpan]], archive: Archive
) -> None:
    # a line of constant Dec through source 1, in exposure 2
    spans = masks(satellites="20260101007 2 0.0 51.3967966\n20260101008 1 0.0 51.3967966\n")
    found = rows(spans)
    shot = archive.shot(SHOT)
    fibers = shot.rows("fibers", 0, shot.row_count("fibers"))
    columns = {column.name: values for column, values in fibers.columns.items()}
    off = np.abs(fibers.dec - 51.3967966) * 3600
    expected = np.flatnonzero((off <= 6.0) & (np.asarray(columns["expnum"]) == 2))
    assert found == expected.tolist() and len(found) > 50


def test_meteor_crosses_ra_0(masks: Callable[..., list[MaskSpan]], archive: Archive) -> None:
    # fitted in RA that goes on above 360: dec = a + b ra
    slope = -2.0
    intercept = 51.3967966 - slope * 360.0
    found = rows(masks(meteors=f"shotid a b\n20260101007 {intercept:.7f} {slope}\n"))
    shot = archive.shot(SHOT)
    fibers = shot.rows("fibers", 0, shot.row_count("fibers"))
    ra = np.where(fibers.ra < 180, fibers.ra + 360, fibers.ra)
    away = np.abs(intercept + slope * ra - fibers.dec) * 3600
    away /= np.hypot(1.0, slope / np.cos(np.radians(fibers.dec)))
    assert found == np.flatnonzero(away <= 12.0).tolist()
    assert np.count_nonzero(fibers.ra[found] < 180) > 10
    assert np.count_nonzero(fibers.ra[found] > 180) > 10


@given(
    st.floats(-5000, 5000), st.floats(-60, 60), st.floats(20, 340),
    st.floats(-0.2, 0.2), st.floats(-0.2, 0.2),
)  # fmt: skip
def test_distance_against_brute_force(
    slope: float, dec: float, ra: float, east: float, north: float
) -> None:
    """Against the nearest of a million points of the line, on the flat sky around the fibre."""
    track = lists.Track(1, 1, dec - slope * ra, slope)
    ra_f, dec_f = ra + east / 10 / np.cos(np.radians(dec)), dec + north / 10
    scale = np.cos(np.radians(dec_f))
    length = np.hypot(scale, slope)
    along = np.linspace(-0.05, 0.05, 1_000_001)  # degrees on the sky
    x = (ra - ra_f) * scale + along * scale / length
    y = track.intercept + slope * ra - dec_f + along * slope / length
    nearest = float(np.hypot(x, y).min()) * 3600
    found = float(distance(track, np.array([ra_f]), np.array([dec_f]))[0])
    # the points are 0.00036 arcsec apart; -5000 ra + ... loses 1e-9 degrees in float64
    assert found == pytest.approx(nearest, abs=2e-3)


def test_a_flat_track_is_not_moved_by_a_turn() -> None:
    track = lists.Track(1, 1, 50.0 - 1e-4 * 150.0, 1e-4)  # at Dec 50 in RA 150
    ra = np.array([150.0, 150.0, 150.0])
    # another turn of RA would have it 130 arcsec north or south
    found = distance(track, ra, np.array([50.0, 50.036, 49.964]))
    np.testing.assert_allclose(found, [0.0, 129.6, 129.6], atol=0.01)


def test_galaxy_is_three_times_its_ellipse() -> None:
    galaxy = lists.Galaxy("g", 150.0, 60.0, 2.0, 1.0, 90.0)  # its long axis points east
    minute = 1 / 60
    inside = within(
        galaxy,
        np.array([150 + 5.9 * minute / np.cos(np.radians(60)), 150.0, 150.0, 150.0]),
        np.array([60.0, 60 + 2.9 * minute, 60 + 3.1 * minute, 60 + 5.9 * minute]),
    )
    assert inside.tolist() == [True, True, False, False]


def test_galaxies_only_inform(masks: Callable[..., list[MaskSpan]]) -> None:
    text = (
        "Coords,PGC,SemiMajorAxis,SemiMinorAxis,PositionAngle\n"
        "23h59m59.541042s +51d23m48.46782s,PGC 1,0.05,0.05,0.0\n"
    )
    spans = masks(galaxies=text)
    # 0.15 arcmin around source 1: all fibres within 9 arcsec
    assert {span.plane for span in spans} == {"source"} and 100 < len(rows(spans)) < 150


@pytest.mark.parametrize("name", ["badamps", "badfib", "badpix", "badshots", "satellites"])
def test_a_list_of_another_kind_is_refused(masks: Callable[..., list[MaskSpan]], name: str) -> None:
    with pytest.raises(FileNotUnderstood, match="line 1"):
        masks(**{name: "this is no list\n"})


def test_a_missing_list_is_named(archive: Archive, tmp_path: Path) -> None:
    config = HetdexConfig(badamps=tmp_path / "nowhere.list")
    with pytest.raises(ConfigurationError, match=r"nowhere\.list"):
        list(plugin.corecube_late_masks(archive.shot(SHOT), config))


def test_lists_do_not_change_the_fingerprint(tmp_path: Path) -> None:
    from corecube import config

    one = config.fingerprint_fields(HetdexConfig())
    other = config.fingerprint_fields(HetdexConfig(badamps=tmp_path, meteors=tmp_path))
    assert one == other != config.fingerprint_fields(HetdexConfig(native=False))


def test_masks_change_without_ingesting_again(small: tuple[Path, Any], tmp_path: Path) -> None:
    import corecube
    from corecube.masks import value
    from corecube.pipeline import ingest
    from corecube.pipeline.latemasks import remask
    from corecube.plugins import load

    folder, truth = small
    path = tmp_path / "a.corecube"
    caller = load("hetdex")
    paths = [str(p) for p in folder.rglob("*LL.fits.gz")]
    ingest(paths, path, caller, caller.instrument.config())
    before = {p: p.stat().st_mtime_ns for p in (path / "shots").rglob("*.h5")}
    listed = tmp_path / "badshots.list"
    listed.write_text(f"{truth['shot'][:8]}{truth['shot'][9:]}\n")
    late = np.uint32(value("late"))
    for config, expected in (
        (HetdexConfig(badshots=listed), True), (HetdexConfig(), False),
    ):  # fmt: skip
        (done,) = remask(path, {"hetdex": (caller, config)})
        assert done.state == "changed", done.reason
        with corecube.open(path) as archive:
            shot = archive.shot(f"hetdex/{truth['shot']}")
            mask = shot.rows("fibers", 0, 2).mask
            assert mask is not None
            assert bool((mask & late != 0).all()) is expected
    assert {p: p.stat().st_mtime_ns for p in (path / "shots").rglob("*.h5")} == before


def test_each_list_comes_and_goes(small: tuple[Path, Any], tmp_path: Path) -> None:
    """With a list its fibres are masked, without it they are not; nothing is read anew."""
    import shutil

    import corecube
    from corecube.masks import value
    from corecube.pipeline import ingest
    from corecube.pipeline.latemasks import remask
    from corecube.plugins import load

    folder, truth = small
    raw = tmp_path / "raw"
    shutil.copytree(folder, raw)
    path = tmp_path / "a.corecube"
    caller = load("hetdex")
    kept = [p for p in raw.rglob("*") if p.is_file() and "multi_" not in p.name]
    paths = [*kept, *raw.rglob("multi*LL.fits.gz")]
    ingest([str(p) for p in paths], path, caller, caller.instrument.config())
    shutil.rmtree(raw)  # what follows works from the archive
    with corecube.open(path) as archive:
        fibers = archive.shot(f"hetdex/{truth['shot']}").rows("fibers", 0, 1)
    named = {column.name: values[0] for column, values in fibers.columns.items()}
    shotid, amp, exposure = named["shotid"], named["multiframe"], named["expnum"]
    ra, dec = float(fibers.ra[0]), float(fibers.dec[0])
    hours = ra / 15.0
    place = f"{int(hours)}h{int(hours % 1 * 60):02d}m{hours * 60 % 1 * 60:.6f}s "
    place += f"+{int(dec)}d{int(dec % 1 * 60):02d}m{dec * 60 % 1 * 60:.6f}s"
    assert dec > 0
    texts = {
        "badamps": f"ifuslot ampid multiframe date_start date_end\n1 LL {amp} 20000101 20990101\n",
        "badamps_single": f"shotid multiframe\n{shotid} {amp}\n",
        "badfib": f"multiframe fibnum\n{amp} {named['fibnum']}\n",
        "badpix": f"{amp} 0 1031 0 1031\n",
        "badshots": f"0\n{shotid}\n",
        "satellites": f"{shotid} {exposure} 0.0 {dec:.7f}\n",
        "meteors": f"shotid a b\n{shotid} {dec:.7f} 0.0\n",
        "galaxies": "Coords,PGC,SemiMajorAxis,SemiMinorAxis,PositionAngle\n"
        f"{place},PGC 1,0.05,0.05,0.0\n",
    }

    def state(plane: str) -> bool:
        with corecube.open(path) as archive:
            mask = archive.shot(f"hetdex/{truth['shot']}").rows("fibers", 0, 1).mask
        assert mask is not None
        return bool((mask & np.uint32(value(plane)) != 0).any())

    for name, text in texts.items():
        plane = "source" if name == "galaxies" else "late"
        listed = tmp_path / f"{name}.list"
        listed.write_text(text)
        assert not state(plane), name
        config = HetdexConfig(**dict[str, Any]({name: listed}))
        (done,) = remask(path, {"hetdex": (caller, config)})
        assert done.state == "changed" and state(plane), (name, done)
        (again,) = remask(path, {"hetdex": (caller, config)})
        assert again.state != "changed", name
        (done,) = remask(path, {"hetdex": (caller, HetdexConfig())})
        assert done.state == "changed" and not state(plane), (name, done)
