"""Raw frames through an archive: needs and links, two halves, new biases, no raw files."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import corecube
from corecube.pipeline import Options, Report, ingest
from corecube.plugins import load
from corecube_ccdlab import plugin
from corecube_ccdlab.settings import CcdlabConfig
from corecube_ccdlab.tables import recipe_text

Run = Callable[..., Report]


@pytest.fixture
def run() -> Run:
    def run_once(archive: Path, *paths: Path, **settings: Any) -> Report:
        given = [str(path) for path in paths]
        return ingest(given, archive, load("ccdlab"), CcdlabConfig(**settings), Options(jobs=1))

    return run_once


@pytest.fixture
def night(tmp_path: Path) -> dict[str, Any]:
    """A simulated night: 4 biases, 4 flats, 2 exposures."""
    folder = tmp_path / "night"
    folder.mkdir()
    options = {"calibrations": 4, "exposures": 2, "rows": 64}
    truth = plugin.corecube_simulate(folder, options, 21)
    files = {folder / name for name in truth["files"]}
    science = {path for path in files if path.name.startswith(truth["sources"][0]["name"])}
    return {
        "folder": folder, "science": sorted(science), "masters": sorted(files - science),
        "name": truth["sources"][0]["name"],
    }  # fmt: skip


def states(report: Report) -> dict[str, str]:
    return {Path(file.path).name: file.state for file in report.files}


def target(archive: Any, name: str) -> Any:
    """The shot of a target."""
    (found,) = [
        record
        for record in archive.state.catalogue.by_identity.values()
        if record.key.endswith(f"/{name}")
    ]
    return archive.shot(found)


def test_all_at_once_and_in_halves(
    tmp_path: Path, night: dict[str, Any], run: Run, compare: Any
) -> None:
    whole, halves, late = (tmp_path / f"{name}.corecube" for name in ("whole", "halves", "late"))
    report = run(whole, night["folder"])
    by_name = states(report)
    assert by_name.pop("truth.json") == "passed over"
    assert set(by_name.values()) == {"ingested"}
    everything = [*night["science"], *night["masters"]]
    run(halves, *everything[::2])
    run(halves, *everything[1::2])
    first = run(late, *night["science"])
    assert set(states(first).values()) == {"waiting"}
    assert "bias frames of saao-spupnic" in first.files[0].reason
    run(late, *night["masters"])
    for path in (halves, late):
        assert not compare.damages(path)
        with corecube.open(path) as archive, corecube.open(whole) as other:
            mine, theirs = target(archive, night["name"]), target(other, night["name"])
            assert mine.images == theirs.images and mine.plan == theirs.plan
            for image in mine.images:
                for field in ("flux", "error", "mask"):
                    ours, yours = (
                        getattr(mine.frame(image), field),
                        getattr(theirs.frame(image), field),
                    )
                    assert np.array_equal(ours, yours, equal_nan=True)
            assert np.array_equal(
                mine.rows("extracted", 0, 1).flux, theirs.rows("extracted", 0, 1).flux
            )
    before = compare.listing(whole)
    again = run(whole, night["folder"])
    assert set(states(again).values()) == {"unchanged", "passed over"}
    assert compare.listing(whole) == before


def test_new_biases_redo_the_targets(tmp_path: Path, night: dict[str, Any], run: Run) -> None:
    path = tmp_path / "a.corecube"
    biases = [file for file in night["masters"] if file.name.startswith("bias")]
    rest = [file for file in night["masters"] if file not in biases]
    run(path, *night["science"], *rest, *biases[:2])
    with corecube.open(path) as archive:
        shot = target(archive, night["name"])
        first = shot.frame("mean")
        links = {n: a.link for n, a in shot.frame(shot.images[0]).calibration.items() if a.link}
        assert set(links) == {"bias", "bias_error", "flat", "flat_error"}
        assert links["bias"].frame == "bias" and "/bias" in links["bias"].shot
    run(path, *biases[2:])
    with corecube.open(path) as archive:
        shot = target(archive, night["name"])
        second = shot.frame("mean")
        assert not np.array_equal(first.flux, second.flux)
        good = np.isfinite(second.error) & np.isfinite(first.error)
        # four biases instead of two: the common noise of the master is lower
        assert (second.error[good] < first.error[good]).mean() > 0.9
        bias = shot.frame(shot.images[0]).calibration["bias"]
        assert bias.link.generation > links["bias"].generation


def test_without_the_raw_files(tmp_path: Path, night: dict[str, Any], run: Run) -> None:
    path = tmp_path / "a.corecube"
    run(path, night["folder"])
    shutil.rmtree(night["folder"])
    config = CcdlabConfig()
    with corecube.open(path) as archive:
        shot = target(archive, night["name"])
        for name in shot.plan.entries:
            image = shot.frame(name)
            counts = image.layers["counts"].values.astype(np.float64)
            for factor in plugin.corecube_calibration_factors(image, config):
                counts = factor.apply(counts)
            good = np.isfinite(image.flux)
            np.testing.assert_allclose(counts[good], image.flux[good], rtol=1e-7, atol=1e-4)
            check = plugin.corecube_check_noise(image, config)
            assert check is not None and check.width == pytest.approx(1, abs=0.05)
        from corecube.figures import Subject

        for subject in (
            Subject(), Subject("image", "mean"), Subject("image", shot.images[0]),
            Subject("fiber", "extracted", 0),
        ):  # fmt: skip
            figures = plugin.corecube_report(shot, subject, config)
            assert figures is not None and figures.numbers
        whole = plugin.corecube_report(shot, Subject(), config)
        assert whole is not None
        said = whole.numbers["frames"][shot.images[0]]
        assert said["read_noise"]["source"].startswith("Read noise, measured from 3 pairs")
        assert said["bias"]["shot"].endswith("/bias")


def test_settings_redo_what_they_change(tmp_path: Path, night: dict[str, Any], run: Run) -> None:
    path = tmp_path / "a.corecube"
    run(path, night["folder"], flat=False, recipe="none")
    with corecube.open(path) as archive:
        shot = target(archive, night["name"])
        assert shot.groups == () and "flat" not in shot.frame(shot.images[0]).calibration
    run(path, night["folder"], gain=2.0)
    with corecube.open(path) as archive:
        image = target(archive, night["name"]).frame(f"{night['name']}_01")
        assert image.calibration["gain"].values.tolist() == [2.0]
        assert "setting" in image.calibration["gain"].description


def test_the_published_tables_from_the_archive(
    tmp_path: Path, data: Path, golden: Any, run: Run
) -> None:
    path = tmp_path / "a.corecube"
    folder = data / "ccdlab"
    report = run(path, folder / "sbig", folder / "sbig_arc", folder / "sbig_published")
    assert sorted(states(report).values()) == ["ingested"] * 9 + ["passed over"] * 2
    with corecube.open(path) as archive:
        fibers = target(archive, "hr8047").rows("extracted", 0, 1)
    published = folder / "sbig_published"
    assert recipe_text(fibers) == (published / golden.SBIG_SKY_SUBTRACTED).read_bytes()
    table = recipe_text(fibers, sky_subtracted=False)
    assert table == (published / golden.SBIG_RAW).read_bytes()
