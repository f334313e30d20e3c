"""Real frames of six cameras against measured values."""

from __future__ import annotations

import bz2
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from corecube.frames import Fibers
from corecube.masks import valid, value
from corecube_ccdlab import plugin
from corecube_ccdlab.readout import read_out
from corecube_ccdlab.settings import CcdlabConfig
from corecube_ccdlab.statistics import clipped, pair_noise, photon_transfer
from corecube_ccdlab.tables import recipe_text

from astropy.io import fits  # isort: skip  # an independent reader


def raw(data: Path, name: str, hdu: int = 0) -> npt.NDArray[Any]:
    (path,) = (data / "ccdlab").glob(f"{name}*.bz2")
    with bz2.open(path) as file, fits.open(file) as content:
        return np.array(content[hdu].data)


def frame(shots: dict[str, Any], name: str) -> Any:
    return next(shot.frame(name) for shot in shots.values() if name in shot.images)


def test_overscans(golden: Any, real: Callable[[str], Any]) -> None:
    for path, levels in golden.OVERSCAN.items():
        folder, name = path.split("/")
        found = frame(real(folder), name).calibration
        assert_allclose(found["overscan_mean"].values, levels, atol=6e-5, err_msg=path)
        if path in golden.OVERSCAN_STD:
            std = golden.OVERSCAN_STD[path]
            assert_allclose(found["overscan_std"].values, std, atol=6e-4, err_msg=path)


def test_efosc_overscan_rows(golden: Any, data: Path) -> None:
    paths = sorted((data / "ccdlab" / "efosc").glob("*.bz2"))
    for path, level in zip(paths, golden.EFOSC_OVERSCAN, strict=True):
        image = raw(data, f"efosc/{path.name.removesuffix('.bz2')}")
        assert abs(np.median(image[1028:1030, 10:1010]) - level) <= 0.5


def test_read_noise_of_biases(real: Callable[[str], Any]) -> None:
    # pairs: EFOSC2 10.321, 10.238, 10.291, 10.284 on one row more; ISIS 3.8444; Kast, SAAO
    for folder, noise, tolerance in (
        ("efosc", (10.2835,), 0.002),
        ("isis", (3.8444,), 1e-4),
        ("kast", (2.8568, 2.6960), 1e-4),
        ("saao", (2.2776,), 0.003),  # all pairs, from column 3 on
    ):
        image = next(shot.frame("bias") for shot in real(folder).values() if "bias" in shot.images)
        assert_allclose(image.calibration["read_noise"].values, noise, atol=tolerance)


def test_saao_pairs(data: Path) -> None:
    biases = [raw(data, f"saao/a63810{n}").astype(float) for n in ("02", "03", "08", "16")]
    region = np.s_[:, 60:2090]
    assert pair_noise(biases[0][region], biases[1][region]) == pytest.approx(2.2758, abs=5e-5)
    assert pair_noise(biases[2][region], biases[3][region]) == pytest.approx(2.2794, abs=5e-5)


def test_gain_of_saao(data: Path) -> None:
    overscan = np.s_[:, 2060:2140]
    frames = [
        raw(data, f"saao/a63810{n}").astype(float) for n in ("02", "03", "08", "16", "60", "61")
    ]
    flat = [image - clipped(image[overscan]).mean for image in frames]
    bias = np.mean(flat[:4], axis=0)
    region = np.s_[46:101, 200:1900]
    first, second = (flat[n][region] - bias[region] for n in (4, 5))
    found = photon_transfer(first, second, 2.2776, np.ones(first.shape, bool))
    # 93,500 pixels in six bins: a variance scatters by 1.1 % in each.
    levels = np.array([7.5, 14.5, 19.1, 26.9, 38.7, 49.1]) * 1e3  # of other bins
    gain = np.interp(levels, found.level, found.gain)
    assert_allclose(gain, (1.235, 1.250, 1.213, 1.228, 1.269, 1.312), rtol=0.02)
    assert found.low == pytest.approx(1.24, abs=0.02)


def test_gain_of_kast_and_efosc_is_measured_in_the_master_flat(real: Callable[[str], Any]) -> None:
    for folder, gain in (("kast", (1.205, 1.247)), ("efosc", (1.20,)), ("saao", (1.24,))):
        flat = frame(real(folder), "flat")
        measured = flat.calibration["gain_measured"].values.mean(axis=1)
        # the brighter bins of SAAO have a gain of up to 1.31: correlated charge
        assert_allclose(measured, gain, rtol=0.03)


def test_dead_amplifiers(data: Path, real: Callable[[str], Any]) -> None:
    shots = real("virus")
    for amp, dead in (("LL", True), ("LU", True), ("RL", False), ("RU", False)):
        image = frame(shots, f"20180522T023753.4_053{amp}_zro")
        assert bool(image.calibration["dead"].values[0]) is dead
        assert ((image.mask & value("bad_detector")) != 0).all() == dead
        assert any("is dead" in note for note in image.provenance.notes) is dead
    counts = raw(data, "virus/20180522T023753.4_053LL_zro")
    assert np.count_nonzero(counts == 65535) == 863_819


def test_the_ramp_of_virus_is_followed(data: Path, real: Callable[[str], Any]) -> None:
    # Row 1 of the overscan reads 2181, row 500 2185; a row's level scatters by 3.4 / sqrt(32).
    good = frame(real("virus"), "20180522T023753.4_053RL_zro")
    counts = good.layers["counts"].values.astype(float)
    assert counts[500:700].mean() - counts[:4].mean() > 3.5
    assert abs(good.flux[500:700].mean() - good.flux[:4].mean()) < 2.0
    assert abs(good.flux[:10].mean()) < 1.0


def test_virus_read_noise_in_electrons(real: Callable[[str], Any]) -> None:
    shots = real("virus")
    for amp, noise, gain in (("RL", 2.951, 0.875), ("RU", 2.919, None)):
        image = frame(shots, f"20180522T023753.4_053{amp}_zro")
        if gain is not None:
            assert float(image.calibration["read_noise"].values[0]) * gain == pytest.approx(
                noise, abs=1e-3
            )


def test_assembly_of_two_amplifiers(data: Path, real: Callable[[str], Any]) -> None:
    image, counts = frame(real("kast"), "b10"), raw(data, "kast/b10")
    assert_array_equal(image.layers["counts"].values, counts[:, :2048])
    # The seam: counts jump by 0.9709, electrons hardly (0.9709 * 1.247 / 1.205 = 1.0047).
    flat = image.flux
    left = np.polynomial.Polynomial.fit(np.arange(924, 1024), flat[40:300, 924:1024].mean(0), 1)
    right = np.polynomial.Polynomial.fit(np.arange(1024, 1124), flat[40:300, 1024:1124].mean(0), 1)
    assert right(1023.5) / left(1023.5) == pytest.approx(1.0047, abs=0.004)


# -- the recipe ------------------------------------------------------------------------------------


def test_sbig_darks(golden: Any, data: Path, real: Callable[[str], Any]) -> None:
    shots = real("sbig")
    (key,) = [key for key in shots if key.endswith("dark-600s")]
    master = shots[key].frame("dark")
    counts = []
    for number, mean in enumerate(golden.SBIG_DARK_MEANS, 1):
        image = shots[key].frame(f"201103dark-{number:02d}")
        unsigned = image.layers["counts"].values
        assert unsigned.dtype == np.uint16
        signed = unsigned.view(np.int16)
        counts.append(signed)
        assert np.count_nonzero(signed < 0) == 5
        assert signed.mean() == pytest.approx(mean, abs=5e-11)
        assert_array_equal(signed, raw(data, f"sbig/201103dark-{number:02d}"))
        assert np.count_nonzero(image.mask & value("saturated")) == np.count_nonzero(signed == -1)
    signed_master = np.median(counts, axis=0)
    assert signed_master.mean() == pytest.approx(golden.SBIG["master_mean"], abs=1e-12)
    assert signed_master.std() == pytest.approx(golden.SBIG["master_std"], abs=1e-9)
    assert_array_equal(master.flux % 65536, signed_master % 65536)
    assert master.flux[0, 0] == 1137.0
    assert float(master.calibration["pedestal"].values) == 1135.0
    noise = np.sqrt(np.mean(np.square(golden.SBIG_NOISE)))
    # two pixels with a wrapped value in each pair are clipped either way
    assert float(master.calibration["dark_noise"].values[0]) == pytest.approx(noise, abs=1e-3)
    # the variance of the median of five: 58.2 adu2
    typical = master.error[valid(master.mask)]
    assert float(np.median(typical)) ** 2 == pytest.approx(58.2, abs=0.4)


def extracted(shots: dict[str, Any]) -> Fibers:
    (found,) = [s.frames["extracted"] for s in shots.values() if "extracted" in s.groups]
    assert isinstance(found, Fibers)
    return found


def test_sbig_tables_byte_for_byte(golden: Any, data: Path, real: Callable[[str], Any]) -> None:
    fibers = extracted(real("sbig"))
    assert fibers.flux.dtype == np.float64 and fibers.unit == "adu" and fibers.wave.unit == "pix"
    published = data / "ccdlab" / "sbig_published"
    assert recipe_text(fibers) == (published / golden.SBIG_SKY_SUBTRACTED).read_bytes()
    table = recipe_text(fibers, sky_subtracted=False)
    assert table == (published / golden.SBIG_RAW).read_bytes()
    assert fibers.flux.mean() == pytest.approx(golden.SBIG["spectrum_mean"], abs=1e-10)
    assert fibers.layers["raw"].values.mean() == pytest.approx(golden.SBIG["raw_mean"], abs=1e-10)


def test_sbig_recipe_numbers(golden: Any, real: Callable[[str], Any]) -> None:
    from corecube_ccdlab.derive import _recipe_image
    from corecube_ccdlab.extraction import rows_above_sky

    (shot,) = [s for s in real("sbig").values() if "extracted" in s.groups]
    frames = [shot.frame(f"201103hr8047-{n}") for n in (10, 11, 12)]
    image, gain, unit = _recipe_image(shot.frame("mean"), frames)
    assert unit == "adu" and gain == pytest.approx(1.57, abs=1e-6)
    assert image.mean() == pytest.approx(golden.SBIG["mean"], abs=1e-10)
    assert image.std() == pytest.approx(golden.SBIG["std"], abs=1e-9)
    spectrum = rows_above_sky(image, np.ones(image.shape))
    for name in ("sky_mean", "four_sigma", "threshold"):
        assert spectrum.numbers[name] == pytest.approx(golden.SBIG[name], abs=1e-12)
    rows = {n: int(v) for n, v in spectrum.numbers.items() if "row" in n}
    assert rows == {
        "rows_selected": 35, "first_row": 484, "last_row": 518,
        "first_sky_row": 568, "last_sky_row": 602,
    }  # fmt: skip
    # with unit variances: 35 rows of star and 35 of sky over 35 squared
    assert_allclose(spectrum.variance, 2 / 35)


def test_the_signed_reading_changes_nothing(golden: Any, real: Callable[[str], Any]) -> None:
    (shot,) = [s for s in real("sbig").values() if "extracted" in s.groups]
    mean = np.zeros((1024, 1536))
    (dark,) = [s.frame("dark") for s in real("sbig").values() if "dark" in s.images]
    for number in (10, 11, 12):
        signed = shot.frame(f"201103hr8047-{number}").layers["counts"].values.view(np.int16)
        mean += signed - np.where(dark.flux > 32767, dark.flux - 65536, dark.flux).astype(float)
    mean /= 3
    star, sky = mean[483:518].sum(axis=0), mean[567:602].sum(axis=0)
    assert_array_equal((star - sky) / 35, extracted(real("sbig")).flux[0])


# -- spectra of the others -------------------------------------------------------------------------


def test_stars_are_found(real: Callable[[str], Any]) -> None:
    # Rows and columns across the dispersion, from 0: HILT600 68, SN2024xuo 70 to 72, Feige 66 170.
    for folder, target, low, high in (
        ("saao", "HILT600", 67, 69), ("saao", "SN2024xuo", 69, 73), ("kast", "Feige 66", 169, 171),
        ("efosc", "EG21", 541, 548), ("efosc", "J061856-315835", 540, 547),
    ):  # fmt: skip
        for shot in real(folder).values():
            for group in shot.groups:
                fibers = shot.frames[group]
                if fibers.target == (target,):
                    rows = {c.name: v[0] for c, v in fibers.columns.items() if "row" in c.name}
                    centre = (rows["first_row"] + rows["last_row"]) / 2 - 1
                    assert low <= centre <= high, (target, centre)
                    assert np.isfinite(fibers.error[0][valid(fibers.mask[0])]).all()


def test_flux_of_eg21(data: Path, make_shots: Callable[..., Any]) -> None:
    paths = sorted((data / "ccdlab" / "efosc").glob("*.bz2"))
    shots = make_shots([p for p in paths if "T19_0" in p.name or "29T01" in p.name], flat=False)
    fibers = extracted(shots)
    counts = fibers.flux[0] / 1.20
    # boxcar of 25 pixels, ADU, median of 21 rows, within 1 %
    for row, level in ((300, 13295), (515, 25990), (700, 18929), (900, 12151)):
        assert np.median(counts[row - 10 : row + 11]) == pytest.approx(level, rel=0.01)


def test_positions(real: Callable[[str], Any]) -> None:
    fibers = {
        f.target[0]: f
        for folder in ("saao", "isis", "efosc", "kast", "sbig")
        for s in real(folder).values()
        for f in [s.frames[g] for g in s.groups]
    }
    # 06:45:13.3725 +02:08:14.69; 18:01:53.882 +62:54:27.10; degrees in the header
    for target, ra, dec in (
        ("HILT600", 101.30571895, 2.13741257),
        ("GDR2", 270.4745083, 62.9075278),
        ("EG21", 47.6295, -68.59913),
    ):
        assert_allclose((fibers[target].ra[0], fibers[target].dec[0]), (ra, dec), atol=1e-7)
    # Kast writes places of date: J1217+3905 is 12:17 +39:05 in J2000, 39:00:40 in its header.
    kast = fibers["J1217p3905"]
    assert kast.ra[0] == pytest.approx(184.2, abs=0.1)
    assert kast.dec[0] == pytest.approx(39 + 5.5 / 60, abs=0.6 / 60)
    assert np.isnan(fibers["hr8047"].ra[0]) and np.isnan(fibers["hr8047"].dec[0])


def test_times(real: Callable[[str], Any]) -> None:
    # 2025-04-17T18:00:29 UTC, 1200 s; TAI is 37 s ahead
    times = frame(real("saao"), "SN2024xuo_science").times
    start = 60782 + (18 * 3600 + 29 + 37) / 86400
    assert_allclose(times.span, (start, start + 1200 / 86400), rtol=0, atol=1e-9)
    assert times.quality == "exact"


# -- what every frame promises ---------------------------------------------------------------------


@pytest.mark.parametrize("folder", ["sbig", "saao", "kast", "isis", "efosc", "virus"])
def test_factors_and_errors_of_all_frames(folder: str, real: Callable[[str], Any]) -> None:
    config = CcdlabConfig()
    for shot in real(folder).values():
        for name in shot.plan.entries:
            image = shot.frame(name)
            counts = image.layers["counts"].values.astype(np.float64)
            for factor in plugin.corecube_calibration_factors(image, config):
                counts = factor.apply(counts)
            # float32 keeps 24 binary digits
            good = np.isfinite(image.flux)
            assert_allclose(counts[good], image.flux[good], rtol=1e-7, atol=1e-4)
            assert image.unit == ("adu" if image.calibration.get("gain") is None else "electron")
            ok = valid(image.mask)
            assert np.isfinite(image.flux[ok]).all() and (image.error[ok] > 0).all()
            assert image.provenance.sources and image.header


@pytest.mark.parametrize("folder", ["saao", "kast"])
def test_noise_of_biases(folder: str, real: Callable[[str], Any]) -> None:
    for shot in real(folder).values():
        if "bias" in shot.images:
            for name in shot.images:
                check = plugin.corecube_check_noise(shot.frame(name), CcdlabConfig())
                # counts in steps of 0.4 sigma widen the check by up to 4 %
                assert check is not None and check.width == pytest.approx(1.0, abs=0.05)


def test_a_shot_without_its_masters_waits(data: Path, made: Any, tmp_path: Path) -> None:
    science = data / "ccdlab" / "saao" / "HILT600_science.fits.bz2"
    shots, waiting = made([science], CcdlabConfig(), tmp_path)
    assert not shots and len(waiting) == 1
    assert waiting[0].facts["waiting_for"].startswith("bias frames of saao-spupnic")
    shots, waiting = made([science], CcdlabConfig(without_masters=True), tmp_path)
    assert list(shots) == ["2025-04-17/HILT600"] and not waiting


def test_readout_needs_a_section_that_fits(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    from corecube.errors import FileNotUnderstood
    from corecube.files import read_unpacked
    from corecube.fits import Fits
    from corecube_ccdlab.detector import Amplifier, presets
    from corecube_ccdlab.headers import Cards

    path = data / "ccdlab" / "saao" / "a6381002.fits.bz2"
    cards = Cards(Fits(read_unpacked(str(path)), str(path)), path.name)
    for amp, said in (
        (Amplifier(data="[3:1989,:]", overscan="[2061:2150,:]"), "runs beyond"),
        (Amplifier(data="TRIMSEC"), "TRIMSEC"),
    ):
        detector = replace(presets()["saao-spupnic"], amplifiers=(amp,))
        with pytest.raises(FileNotUnderstood, match=said):
            read_out(cards, detector, str(path))
