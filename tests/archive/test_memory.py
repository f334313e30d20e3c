"""What a writer keeps of the frames that it has written."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from corecube.archive.shotwriter import ShotWriter
from corecube.frames import Array, Bits, Fibers
from corecube.spectral import Spectral
from corecube.tracesets import TraceSet

ROWS, PIXELS = 64, 30
"""Two full chunks of fibres: rows beyond them wait in memory for the next ones."""


def waves() -> dict[str, Spectral]:
    """Wavelengths of each kind that has values per fibre."""
    traces = TraceSet("legendre", 0, PIXELS - 1, np.tile([3.6, 0.1], (ROWS, 1)))
    rows = np.tile(np.linspace(4000.0, 5000.0, PIXELS), (ROWS, 1))
    return {"rows": Spectral(rows), "traces": Spectral(count=PIXELS, traces=traces)}


@pytest.mark.parametrize("kind", ["rows", "traces"])
def test_no_pixel_of_a_first_block_stays(
    tmp_path: Path, fibers: Callable[..., Fibers], kind: str
) -> None:
    wave = waves()[kind]
    layer, bits = np.ones((ROWS, PIXELS), "f4"), np.zeros((ROWS, PIXELS), "u2")
    block = fibers(
        "stars", ROWS, PIXELS, wave=wave, layers={"sky": Array(layer, "", ("fiber", "wave"))},
        bits={"dq": Bits(bits, ("A",))},
    )  # fmt: skip
    writer = ShotWriter(tmp_path / "shot.h5")
    pixels: list[Any] = [block.flux, block.error, block.mask, layer, bits]
    if wave.values is not None:
        pixels.append(wave.values)
    kept = [weakref.ref(values) for values in pixels]
    writer.add_block("e", block)
    del wave, layer, bits, block, pixels
    assert [ref() for ref in kept] == [None] * len(kept)
    writer.close()
