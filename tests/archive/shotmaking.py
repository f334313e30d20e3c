"""What shot files for tests are made of."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from corecube.frames import Fibers
from corecube.shots import ShotPlan
from corecube.spectral import Spectral

DESCRIPTION: dict[str, Any] = {
    "instrument": "toy", "key": "a/b", "title": "Δ", "kind": "science", "generation": 3,
    "fingerprint": "f", "basis": "b", "entries": {}, "created": "", "raw_bytes": 0,
}  # fmt: skip
HISTORY: dict[str, Any] = {
    "plan": ShotPlan("a/b", "Δ", {}).to_json(), "config": {"x": 1}, "infos": [],
}  # fmt: skip


def same(one: npt.NDArray[Any], two: npt.NDArray[Any]) -> bool:
    """Say whether type, shape and bytes are equal: NaN and the sign of zero too."""
    one, two = np.asarray(one), np.asarray(two)
    return (one.dtype, one.shape, one.tobytes()) == (two.dtype, two.shape, two.tobytes())


def spectra(first: int, ids: tuple[str, ...], width: int = 10, **more: Any) -> Fibers:
    shape = (len(ids), width)
    rng = np.random.default_rng(first)
    return Fibers(
        name=more.pop("name", "coadd"), flux=rng.normal(size=shape).astype("f4"),
        error=rng.uniform(1, 2, shape).astype("f4"), mask=np.zeros(shape, "u4"), unit="adu",
        wave=more.pop("wave", Spectral.log_grid(first, width)), id=ids,
        ra=np.zeros(len(ids)), dec=np.zeros(len(ids)), **more,
    )  # fmt: skip
