"""The simulated shot of our own: its truth comes back, its errors are right."""

from __future__ import annotations

import bz2
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from corecube.errors import ConfigurationError
from corecube.frames import Fibers
from corecube_hetdex import astrometry, plugin, simulate
from corecube_hetdex.settings import HetdexConfig
from corecube_hetdex.simulated_files import bundle

pytestmark = pytest.mark.xdist_group("hetdex")


def separation(*places: Any) -> Any:
    return astrometry.separation(*(np.asarray(place, dtype=np.float64) for place in places))


Frames = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def frames(small: tuple[Path, Any], read: Callable[..., Any]) -> Frames:
    found: Frames = read(*(path for path in sorted(small[0].rglob("*")) if path.is_file()))
    return found


def column(fibers: Fibers, name: str) -> Any:
    return next(values for key, values in fibers.columns.items() if key.name == name)


def test_bundle_is_the_real_one(hetdex_data: Path) -> None:
    with bz2.open(hetdex_data / "shot20180611v017" / "074.addin.bz2") as file:
        table = np.loadtxt(file)[:, 2:4]
    ours = np.concatenate([bundle()[amp] for amp in ("LL", "LU", "RL", "RU")])
    np.testing.assert_allclose(ours, table, atol=1e-6)


def test_every_file_is_known(small: tuple[Path, Any]) -> None:
    from corecube.shots import FileHead, FileInfo

    folder, truth = small
    paths = {path.name: path for path in folder.rglob("*") if path.is_file()}
    for name in truth["files"]:
        info = plugin.corecube_identify(FileHead.of(str(paths[name])), HetdexConfig())
        assert isinstance(info, FileInfo), name
        assert info.key in (truth["shot"], "")


def test_brightest_fibres_are_at_the_sources(small: tuple[Path, Any], frames: Frames) -> None:
    _, truth = small
    blocks = [found["fibers"] for found in frames.values()]
    ra, dec = (np.concatenate([getattr(b, axis) for b in blocks]) for axis in ("ra", "dec"))
    red = np.concatenate([np.nan_to_num(b.flux[:, 700:900]).mean(axis=1) for b in blocks])
    for source in truth["sources"]:
        near = separation(ra, dec, source["ra"], source["dec"]) < 6
        assert near.sum() > 30
        weights = np.where(near, red, 0.0)
        weights[weights < 0.2 * weights.max()] = 0.0
        centre = np.array([np.average(ra - source["ra"], weights=weights)
                           * np.cos(np.radians(source["dec"])),
                           np.average(dec - source["dec"], weights=weights)]) * 3600  # fmt: skip
        # fibres are 1.5 arcsec wide, and refraction moves red light by 0.15 arcsec
        assert np.hypot(*centre) < 0.5, source


def test_line_flux_comes_back(small: tuple[Path, Any], frames: Frames) -> None:
    """The sum over all fibres around a source, over the part of the sky that they cover."""
    _, truth = small
    covered = 0.945 * 0.97  # three dithers fill 0.947; 8 arcsec hold 0.97 to 0.99 of a Moffat
    blocks = [found["fibers"] for found in frames.values()]
    for source in truth["sources"]:
        (line,) = source["lines"]
        total, variance = np.zeros(1036), np.zeros(1036)
        for block in blocks:
            near = separation(block.ra, block.dec, source["ra"], source["dec"]) < 8.0
            total += np.nansum(block.flux[near], axis=0)
            variance += np.nansum(block.error[near].astype(float) ** 2, axis=0)
        wave = 3470 + 2.0 * np.arange(1036)
        at = np.abs(wave - line["wave"]) < 9
        beside = (np.abs(wave - line["wave"]) < 60) & (np.abs(wave - line["wave"]) > 15)
        flux = 2 * (total[at].sum() - np.median(total[beside]) * at.sum())
        error = 2 * np.sqrt(variance[at].sum())
        expected = covered * line["flux"]
        # 3.5 sigma of noise, and 15 % for fibres at the edge of the IFU and the missing one
        assert abs(flux - expected) < 3.5 * error + 0.15 * line["flux"], source


def test_positions_agree_with_the_truth(small: tuple[Path, Any], frames: Frames) -> None:
    _, truth = small
    for found in frames.values():
        fibers = found["fibers"]
        point = truth["ra0"], truth["dec0"], truth["pa"]
        ra, dec = simulate.to_sky(point, column(fibers, "fpx"), column(fibers, "fpy"))
        assert separation(fibers.ra, fibers.dec, ra, dec).max() < 1e-5
        # the rows of RL are out of order in the table
        assert column(fibers, "table_offset").max() < 0.0004


def test_errors_have_pulls_of_width_1(frames: Frames) -> None:
    seen = set()
    for found in frames.values():
        for frame in found.values():
            check = plugin.corecube_check_noise(frame, HetdexConfig())
            assert check is not None
            # 100,000 pixels: 0.3 %; sources steepen spectra a little
            assert check.width == pytest.approx(1.0, abs=0.02), frame.name
            seen.add("image" if frame.name.startswith("exp") else frame.name)
            if frame.name == "native":
                # the quoted variance follows the sky with slope 1, above the read noise
                assert check.floor == pytest.approx(simulate.READ_NOISE**2, rel=0.15)
                assert check.slope == pytest.approx(1.0, abs=0.2)
    assert seen == {"fibers", "native", "image"}


def test_factors_replay(frames: Frames) -> None:
    for found in frames.values():
        fibers = found["fibers"]
        values = fibers.layers["counts"].values.astype(np.float64)
        for factor in plugin.corecube_calibration_factors(fibers, HetdexConfig()):
            values = factor.apply(values)
        good = np.isfinite(fibers.flux)
        scale = np.abs(fibers.flux[good]) + 1e-3
        assert np.max(np.abs(values[good] - fibers.flux[good]) / scale) < 1e-6


def test_a_seed_is_a_sky(tmp_path: Path) -> None:
    options = {"exposures": 1, "images": "none", "sources": 1, "faults": False}
    truths = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        (tmp_path / name).mkdir()
        truths.append(plugin.corecube_simulate(tmp_path / name, options, seed))
    first, again, other = truths
    assert first == again
    assert json.loads(json.dumps(first)) == first
    assert first["shot"] != other["shot"] or first["ra0"] != other["ra0"]
    for one in (tmp_path / "a").rglob("*"):
        if one.is_file():
            same = tmp_path / "b" / one.relative_to(tmp_path / "a")
            assert one.read_bytes() == same.read_bytes()


def test_many_ifus_have_places_of_their_own() -> None:
    options = simulate.Options(ifus=78)
    sky = simulate._sky(np.random.default_rng(1), options)
    places = np.array([slot[1:3] for slot in sky.slots])
    assert len({slot[0] for slot in sky.slots}) == len({slot[4] for slot in sky.slots}) == 78
    apart = np.hypot(*(places[:, None] - places[None]).transpose(2, 0, 1))
    assert apart[~np.eye(78, dtype=bool)].min() > 98


@pytest.mark.parametrize(
    ("options", "words"),
    [({"ifus": 79}, "1 to 78"), ({"images": "some"}, "none, one, all"), ({"x": 1}, "no option")],
)
def test_wrong_options(tmp_path: Path, options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        plugin.corecube_simulate(tmp_path, options, 1)
