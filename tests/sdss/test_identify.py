"""Which files are ours, by their content; and which files make a shot."""

from __future__ import annotations

import io
import random
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from corecube.errors import FileNotUnderstood
from corecube.shots import Context, FileHead, FileInfo, NotMine, ShotPlan
from corecube_sdss import plugin
from corecube_sdss.settings import SdssConfig

CONFIG = SdssConfig()


def identify(path: Path) -> FileInfo | NotMine | None:
    return plugin.corecube_identify(FileHead.of(str(path)), CONFIG)


def info(path: Path) -> FileInfo:
    found = identify(path)
    assert isinstance(found, FileInfo), found
    return found


def all_infos(sdss_data: Path) -> list[FileInfo]:
    found = [identify(path) for path in sorted(sdss_data.rglob("*")) if path.is_file()]
    return [one for one in found if isinstance(one, FileInfo)]


def test_every_real_file_is_known_or_passed_over(sdss_data: Path) -> None:
    passed_over = set()
    for path in sdss_data.rglob("*"):
        if path.is_file() and not isinstance(identify(path), FileInfo):
            passed_over.add(path.suffix)
    assert passed_over == {".md", ".dat"}


@pytest.mark.parametrize(
    ("name", "kind", "key", "entry", "rank"),
    [
        ("2820-3-0122/frame-g-002820-3-0122.fits.bz2", "frame", "2820-3-0122", "g", 0),
        ("1000-1-0100/frame-r-001000-1-0100.fits.bz2", "frame", "1000-1-0100", "r", 0),
        ("2583-2-0136/fpM-002583-r2-0136.fit.gz", "fpM", "2583-2-0136", "r", 0),
        ("2583-2-0136/psField-002583-2-0136.fit.gz", "psField", "2583-2-0136", "", 0),
        ("2583-2-0136/photoObj-002583-2-0136.fits", "photoObj", "2583-2-0136", "", 0),
        ("1000-1-0100/photoObj-001000-1-0100.fits", "photoObj", "1000-1-0100", "", 0),
        ("2583-2-0136/photoField-002583-2.fits.gz", "photoField", "", "", 0),
        ("spectra/spec-3126-54804-0211.fits", "spec", "3126-54804-104", "0211", 0),
        ("spectra/spec-7330-56684-0434.fits", "spec", "7330-56684-v5_10_0", "0434", 0),
        ("spectra/blue_star.fits.gz", "spec", "2377-53991-103", "0440", 0),
        ("spectra-full/spec-1325-52762-0133.fits.gz", "spec", "1325-52762-26", "0133", 1),
    ],
)
def test_files_under_any_name(
    sdss_data: Path, tmp_path: Path, name: str, kind: str, key: str, entry: str, rank: int
) -> None:
    found = info(sdss_data / name)
    assert (found.source.kind, found.key, found.entry, found.rank) == (kind, key, entry, rank)
    if kind == "fpM":
        return  # the filter stands only in its name
    other = tmp_path / "my data.bin"
    shutil.copy(sdss_data / name, other)
    again = info(other)
    assert (again.source.kind, again.key, again.entry, again.rank) == (kind, key, entry, rank)
    assert again.facts == found.facts
    assert FileInfo.from_json(found.to_json()) == found


def test_a_frame_is_known_by_its_head(sdss_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FileHead, "read", lambda self: pytest.fail("the whole file was unpacked"))
    found = info(sdss_data / "2820-3-0122/frame-z-002820-3-0122.fits.bz2")
    assert (found.key, found.entry) == ("2820-3-0122", "z")


def test_content_wins_over_a_wrong_name(sdss_data: Path, tmp_path: Path) -> None:
    wrong = tmp_path / "frame-g-002820-3-0130.fits.bz2"
    shutil.copy(sdss_data / "2820-3-0122/frame-g-002820-3-0122.fits.bz2", wrong)
    assert info(wrong).key == "2820-3-0122"


def test_an_fpm_needs_its_name(sdss_data: Path, tmp_path: Path) -> None:
    source = sdss_data / "2583-2-0136/fpM-002583-r2-0136.fit.gz"
    other, wrong = tmp_path / "mask.fit.gz", tmp_path / "fpM-002583-r2-0137.fit.gz"
    shutil.copy(source, other)
    shutil.copy(source, wrong)
    found = identify(other)
    assert isinstance(found, NotMine) and "name does not tell its filter" in found.reason
    with pytest.raises(FileNotUnderstood, match="HDU 0 is of 2583-2-0136"):
        identify(wrong)


def fits_file(path: Path, data: Any, **cards: Any) -> Path:
    hdu = fits.PrimaryHDU(data)
    for name, number in cards.items():
        hdu.header[name] = number
    hdu.writeto(path)
    return path


def test_old_and_new_relatives_are_refused_with_a_reason(tmp_path: Path) -> None:
    fpc = fits_file(
        tmp_path / "a", np.zeros((4, 4), np.uint16), RUN=1, CAMCOL=1, FILTER="r", SOFTBIAS=1000
    )
    spspec = fits_file(tmp_path / "b", np.zeros((5, 9), np.float32), PLATEID=266, FIBERID=1)
    atlas = fits_file(tmp_path / "fpAtlas-001000-1-0100.fit", None, RUN=1000, CAMCOL=1)
    sdss5 = tmp_path / "spec-015000-59146-4375786564.fits"
    columns = [fits.Column(name, "E", array=[3.6]) for name in ("FLUX", "LOGLAM", "IVAR")]
    row = [fits.Column("CATALOGID", "K", array=[4375786564])]
    fits.HDUList(
        [fits.PrimaryHDU(), *(fits.BinTableHDU.from_columns(part) for part in (columns, row))]
    ).writeto(sdss5)
    for path, reason in (
        (fpc, "fpC image"),
        (spspec, "spSpec spectrum"),
        (atlas, "fpAtlas"),
        (sdss5, "SDSS-V"),
    ):
        found = identify(path)
        assert isinstance(found, NotMine) and reason in found.reason, found
    assert identify(fits_file(tmp_path / "c", np.zeros((4, 4)), RUN=5)) is None
    assert identify(fits_file(tmp_path / "d", None)) is None


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "an empty file"),
        (b"\n  <!DOCTYPE html><html><body>404</body></html>", "a web page"),
        (b"# a README", "not a FITS file"),
        (b"SIMPLE  =                    T".ljust(80) + b"X".ljust(80), "no END card"),
    ],
)
def test_what_is_no_fits_file(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "frame-r-001000-1-0100.fits"
    path.write_bytes(content)
    found = identify(path)
    assert isinstance(found, NotMine) and reason in found.reason


def test_damaged_files_of_ours_are_named(sdss_data: Path, tmp_path: Path) -> None:
    for name, size in (
        ("spectra/spec-3126-54804-0211.fits", 3000),
        ("spectra/spec-3126-54804-0211.fits", 60000),
    ):
        path = tmp_path / "x.fits"
        path.write_bytes((sdss_data / name).read_bytes()[:size])
        with pytest.raises(FileNotUnderstood, match=r"x.fits: HDU \d"):
            identify(path)
    wrong = tmp_path / "renamed.fits.bz2"
    content = (sdss_data / "2820-3-0122/frame-r-002820-3-0122.fits.bz2").read_bytes()
    wrong.write_bytes(content[: len(content) * 6 // 10])
    with pytest.raises(FileNotUnderstood, match=r"renamed\.fits\.bz2: the bz2 data are truncated"):
        identify(wrong)


def test_plans_of_all_real_files(sdss_data: Path) -> None:
    plans = {
        plan.key: plan for plan in plugin.corecube_plan_shots(all_infos(sdss_data), {}, CONFIG)
    }
    assert len(plans) == 6 + 13
    field = plans["2820-3-0122"]
    assert list(field.entries) == ["u", "g", "r", "i", "z"] and not field.companions
    globular = plans["2583-2-0136"]
    assert [source.kind for source in globular.entries["r"]] == ["frame", "fpM"]
    assert [s.kind for s in globular.companions] == ["psField", "photoField", "photoObj"]
    assert [s.kind for s in plans["1000-1-0100"].companions] == ["psField", "photoObj"]
    plate = plans["1325-52762-26"]
    assert list(plate.entries) == ["0133"]
    assert plate.grids["coadd"] == (35792, 39634)
    assert plate.grids["b1-00020717"] == (0, 2039) and plate.grids["r1-00020756"] == (0, 2046)
    for plan in plans.values():
        assert ShotPlan.from_json(plan.to_json()) == plan


def test_the_order_of_files_does_not_matter(sdss_data: Path) -> None:
    infos = all_infos(sdss_data)
    first = list(plugin.corecube_plan_shots(infos, {}, CONFIG))
    random.Random(3).shuffle(infos)
    again = list(plugin.corecube_plan_shots(infos, {}, CONFIG))
    assert again == first
    assert [list(plan.entries) for plan in again] == [list(plan.entries) for plan in first]


def test_companions_alone_wait(sdss_data: Path) -> None:
    infos = [
        info(path)
        for path in sorted((sdss_data / "2583-2-0136").iterdir())
        if "frame" not in path.name
    ]
    assert len(infos) == 4
    assert list(plugin.corecube_plan_shots(infos, {}, CONFIG)) == []


def test_the_full_file_is_taken_over_the_lite_one(sdss_data: Path, tmp_path: Path) -> None:
    full = sdss_data / "spectra-full/spec-7338-57859-0739.fits"
    lite = tmp_path / "spec-7338-57859-0739.fits"
    with fits.open(full) as file:
        fits.HDUList([file[k] for k in range(4)]).writeto(lite)
    infos = [info(lite), info(full)]
    assert infos[0].key == infos[1].key and infos[0].entry == infos[1].entry
    (plan,) = plugin.corecube_plan_shots(infos, {}, CONFIG)
    assert plan.entries["0739"][0].path == str(full)
    (plan,) = plugin.corecube_plan_shots(infos[:1], {}, CONFIG)
    assert list(plan.grids) == ["coadd"]


def test_grids_span_all_fibres(
    small_field: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("two")
    options = {"rows": 64, "columns": 80, "stars": 6, "bands": "r", "spectra": 6, "packed": False}
    truth = plugin.corecube_simulate(folder, options, 3)
    infos = [info(folder / name) for name in truth["files"]]
    plan = next(p for p in plugin.corecube_plan_shots(infos, {}, CONFIG) if "v5" in p.key)
    firsts = [spectrum["first"] for spectrum in truth["spectra"]]
    assert plan.grids["coadd"] == (min(firsts), max(firsts) + 4600 - 1)


def replaced(path: Path, change: Any) -> Path:
    with fits.open(path) as file:
        change(file)
        out = io.BytesIO()
        file.writeto(out)
    path.write_bytes(out.getvalue())
    return path


def drop(number: int) -> Any:
    return lambda file: file.pop(number)


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (drop(1), "HDU 1 holds a BINTABLE, an image was expected"),
        (drop(2), "HDU 2 has no column ALLSKY"),
        (drop(3), "HDU 3 is missing"),
        (lambda f: (f.pop(), f.pop()), "HDU 2 is missing"),
        (lambda f: (f.pop(), f.pop(), f.pop()), "HDU 1 is missing"),
        (lambda f: f[0].header.set("BUNIT", "Jy"), "HDU 0: BUNIT is 'Jy' instead of 'nanomaggy'"),
        (lambda f: f[0].header.__delitem__("CD1_2"), "HDU 0: card CD1_2 is missing"),
        (lambda f: f[0].header.set("CTYPE1", "RA---SIN"), "HDU 0: the projection is"),
        (lambda f: f[0].header.set("CRVAL1", "north"), "HDU 0: card CRVAL1 should be a number"),
        (lambda f: f[1].data.__setitem__(3, 0.0), r"HDU 1: \(80,\) calibration factors"),
        (lambda f: setattr(f[1], "data", np.ones(5, np.float32)), r"HDU 1: \(5,\) calibration"),
        (
            lambda f: f[2].data["ALLSKY"].__setitem__((0, 3, 3), np.nan),
            "HDU 2: XINTERP and YINTERP",
        ),
        (lambda f: f[3].data["FIELD"].__setitem__(0, 9), "HDU 3 says"),
        (lambda f: f[3].data["A"].__setitem__(0, np.nan), "HDU 3: a term is no number"),
        (lambda f: f[3].data["CAMCOL"].__setitem__(0, 2), "the header is of"),
    ],
)
def test_broken_frames_have_clear_lines(
    small_field: dict[str, Any], change: Any, line: str
) -> None:
    path = small_field["folder"] / small_field["files"][0]
    (plan,) = plugin.corecube_plan_shots([info(path)], {}, CONFIG)
    replaced(path, change)
    with pytest.raises(FileNotUnderstood, match=line) as caught:
        list(plugin.corecube_read_frames(plan, "r", CONFIG, Context("")))
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_unit_and_time_are_noted(small_field: dict[str, Any], read_frames: Any) -> None:
    def change(file: Any) -> None:
        del file[0].header["BUNIT"]
        file[3].data["MJD"][0] = np.nan

    path = replaced(small_field["folder"] / small_field["files"][0], change)
    (frame,) = read_frames(path)
    assert any("no BUNIT card" in note for note in frame.provenance.notes)
    assert any("card TAI" in note for note in frame.provenance.notes)
    with fits.open(path) as file:
        tai = file[0].header["TAI"]
    assert (frame.times.start[0] + 53.907456 / 86400 - tai / 86400) * 86400 == pytest.approx(
        0, abs=1e-5
    )


def test_companions_of_another_field(small_field: dict[str, Any], sdss_data: Path) -> None:
    frame = info(small_field["folder"] / small_field["files"][0])
    other = info(sdss_data / "1000-1-0100/psField-001000-1-0100.fit.gz")
    (plan,) = plugin.corecube_plan_shots([frame], {}, CONFIG)
    wrong = ShotPlan(plan.key, plan.title, plan.entries, (other.source,), settings=plan.settings)
    with pytest.raises(FileNotUnderstood, match="this psField is of 1000-1-0100"):
        list(plugin.corecube_read_frames(wrong, "r", CONFIG, Context("")))


def test_a_cut_out_that_moved_its_reference_pixel(
    small_field: dict[str, Any], read_frames: Any
) -> None:
    path = small_field["folder"] / small_field["files"][0]
    (whole,) = read_frames(path)

    def cut(file: Any) -> None:
        file[0].data = file[0].data[10:60, 20:70].copy()
        file[0].header["CRPIX1"] -= 20
        file[0].header["CRPIX2"] -= 10
        file[1].data = file[1].data[20:70].copy()

    replaced(path, cut)
    (part,) = read_frames(path)
    assert part.calibration["origin"].values.tolist() == [20, 10]
    assert np.array_equal(part.error, whole.error[10:60, 20:70], equal_nan=True)
    assert np.array_equal(part.times.start, whole.times.start[10:60])


def test_files_of_others_are_never_an_error(tmp_path: Path) -> None:
    spectrum = [fits.Column(name, "E", array=[3.6]) for name in ("flux", "loglam", "ivar")]
    catalogue = [
        fits.Column(name, "E", array=[1.0])
        for name in ("FIELD", "NMGYPERCOUNT", "GAIN", "DARK_VARIANCE")
    ]
    for number, (columns, expected) in enumerate(((spectrum, NotMine), (catalogue, type(None)))):
        path = tmp_path / f"{number}.fits"
        table = fits.BinTableHDU.from_columns(columns)
        table.header["NOTE"] = "x"
        fits.HDUList([fits.PrimaryHDU(), table]).writeto(path)
        # A card that cannot be read, as other software writes them.
        path.write_bytes(
            path.read_bytes().replace(b"NOTE    = 'x       '", b"NOTE    = 1.2.3     ")
        )
        assert isinstance(identify(path), expected)
