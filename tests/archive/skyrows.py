"""Positions where searches of the sky go wrong, and the search of all rows."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
from hypothesis import strategies as st

from corecube.archive.skyindex import RECORD, Records, RunInfo, write_run
from corecube.archive.sphere import ARCSEC, antipode_haversine, haversine

RAS = [0.0, 45.0, 90.0, 135.0, 180.0, 359.99999999, 1e-9, 1e-20, 123.456]
DECS = [0.0, 90.0, -90.0, 89.9999, -89.9999, 89.99, 41.8103148957786, -41.8103148957786, 33.3]
ras = st.one_of(st.sampled_from(RAS), st.floats(0.0, 360.0, exclude_max=True))
decs = st.one_of(st.sampled_from(DECS), st.floats(-90.0, 90.0))
radii = st.one_of(
    st.sampled_from([0.0, 1e-9, ARCSEC, 3 * ARCSEC, 1 / 60, 0.5, 1.0, 10.0, 90.0, 170.0, 180.0]),
    st.floats(0.0, 180.0),
)


def brute(records: Records, ra: float, dec: float, radius: float) -> Records:
    """Every row, one formula, float64."""
    edge = np.sin(np.radians(180.0 - radius if radius > 90 else radius) * 0.5)
    if radius > 90:
        inside = antipode_haversine(ra, dec, records["ra"], records["dec"]) >= edge * edge
    else:
        inside = haversine(ra, dec, records["ra"], records["dec"]) <= edge * edge
    found: Records = records[inside]
    return found


def in_order(records: Records) -> Records:
    ordered: Records = records[np.lexsort((records["row"], records["shot"]))]
    return ordered


@functools.cache
def positions() -> Records:
    """Positions where searches go wrong: poles, RA 0, base-cell corners, clumps, duplicates."""
    rng = np.random.default_rng(17)
    ra = [rng.uniform(0, 360, 4000), rng.uniform(0, 360, 500)]
    dec = [np.degrees(np.arcsin(rng.uniform(-1, 1, 4000))), 90 - 10 ** rng.uniform(-6, 1, 500)]
    ra.append(rng.uniform(0, 360, 500))
    dec.append(-dec[1])
    for a in RAS:
        for d in DECS:
            scale = 10 ** rng.uniform(-6, 0, 30)
            ra.append(np.append(a + scale * rng.normal(size=30), [a, a]))
            dec.append(np.append(np.clip(d + scale * rng.normal(size=30), -90, 90), [d, d]))
    all_ra, all_dec = np.concatenate(ra), np.concatenate(dec)
    records = np.zeros(len(all_ra), RECORD)
    records["ra"] = np.mod(all_ra, 360.0) % 360.0
    records["dec"] = all_dec
    records["shot"] = rng.integers(1, 9, len(records))
    records["row"] = np.arange(len(records))
    return records


def write(path: Path, records: Records, cell: float = 4.0) -> RunInfo:
    return write_run(
        path, records["ra"], records["dec"], records["shot"], records["row"], cell_arcmin=cell
    )
