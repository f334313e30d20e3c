"""The simulated plate, and the conformance kit on it and on real files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from corecube.errors import ConfigurationError
from corecube.frames import Fibers
from corecube_boss import plugin
from corecube_boss.checks import electrons_of
from corecube_boss.factors import identity
from corecube_boss.settings import BossConfig
from corecube_boss.simulate import true_flux
from corecube_boss.simulated_files import Fiber

CONFIG = BossConfig()


@pytest.fixture(scope="module")
def simulated(
    read: Callable[..., list[Any]], tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, Any], dict[str, list[Fibers]]]:
    folder = tmp_path_factory.mktemp("simulated")
    truth = dict(plugin.corecube_simulate(folder, {"fibers": 3, "cameras": "b1,r1"}, 11))
    assert truth == json.loads((folder / "truth.json").read_text())
    groups: dict[str, list[Fibers]] = {}
    for frame in read(folder):
        groups.setdefault(frame.name, []).append(frame)
    return truth, groups


def source(truth: dict[str, Any], fiber: str) -> Fiber:
    (part,) = (p for p in truth["sources"] if p["name"].endswith(f"-{fiber}"))
    return Fiber(
        int(fiber), part["ra"], part["dec"], "", part["class"], part["z"], part["level"],
        part["slope"], tuple(map(tuple, part["lines"])),
    )  # fmt: skip


def test_pulls_against_the_truth(simulated: tuple[dict[str, Any], dict[str, list[Fibers]]]) -> None:
    truth, groups = simulated
    cameras = [blocks[0] for name, blocks in groups.items() if name != "coadd"]
    assert len(cameras) == 2
    for fibers in cameras:
        assert fibers.error is not None
        for row, fiber in enumerate(fibers.id):
            good = np.isfinite(fibers.error[row])
            true = true_flux(source(truth, fiber), fibers.wave.wavelength()[row])
            pulls = ((fibers.flux[row] - true) / fibers.error[row])[good]
            assert good.sum() > 2500
            # the mean of 2700 values is good to 0.02, their width to 0.014
            assert abs(pulls.mean()) < 0.1 and abs(pulls.std() - 1) < 0.06
        deviation = identity(fibers)
        assert deviation is not None
        assert np.nanmedian(np.abs(deviation)) < 3e-7  # float32 in the files
        found = electrons_of(fibers, CONFIG)
        assert found is not None
        ratio = found.quoted[found.used] / found.predicted[found.used]
        # quoted with the true counts, predicted with those found: the same in the middle
        assert abs(np.median(ratio) - 1) < 0.02


def test_positions_and_coadds(simulated: tuple[dict[str, Any], dict[str, list[Fibers]]]) -> None:
    truth, groups = simulated
    blocks = groups["coadd"]
    ids = [fiber for block in blocks for fiber in block.id]
    assert sorted(ids) == sorted(part["name"][-4:] for part in truth["sources"])
    for block in blocks:
        for row, fiber in enumerate(block.id):
            known = source(truth, fiber)
            assert (block.ra[row], block.dec[row]) == (known.ra, known.dec)
            columns = {column.name: values[row] for column, values in block.columns.items()}
            assert columns["z"] == np.float32(known.z) and columns["class"] == known.kind


@pytest.mark.parametrize(
    "options", [{"fibers": 0}, {"cameras": "b3"}, {"exposures": 0}, {"spec": 9}, {"stars": 3}]
)
def test_wrong_options(tmp_path: Path, options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        plugin.corecube_simulate(tmp_path, options, 1)
