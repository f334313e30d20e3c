"""Trace sets in tables, against values computed elsewhere with 15 digits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from corecube.errors import FileNotUnderstood
from corecube.fits import Fits
from corecube.shots import FileHead, NotMine
from corecube.tracesets import TraceSet
from corecube_boss import plugin
from corecube_boss.factors import row_factor
from corecube_boss.settings import BossConfig
from corecube_boss.traces import trace_set, upside_down

SETS = (
    *("legendre_nojump", "legendre_jump", "chebyshev_jump", "poly_nojump", "poly_jump"),
    "legendre_offset",
)


def table_of(path: Path) -> TraceSet:
    return trace_set(Fits(path.read_bytes()).table(1), path.name)


@pytest.mark.parametrize("name", SETS)
def test_values_and_row_factors(boss_data: Path, name: str) -> None:
    expected: dict[str, Any] = json.loads((boss_data / "tracesets/expected.json").read_text())[name]
    traces = table_of(boss_data / "tracesets" / expected["file"])
    assert traces.function == expected["func"]
    assert (len(traces.coefficients), traces.size) == (
        expected["ntrace"],
        expected["npix_default"],
    )
    # Fifteen digits are given.
    assert_allclose(traces.evaluate(expected["x"]), expected["y"], rtol=1e-12, atol=1e-15)
    flat = TraceSet(traces.function, traces.xmin, traces.xmax, traces.coefficients)
    assert_allclose(flat.evaluate(expected["x"]), expected["y_ignore_jump"], rtol=1e-12, atol=1e-15)
    if "R" in expected:
        rows = np.array(expected["R_rows"]) - int(traces.xmin)
        found = row_factor(traces, traces.size)[:, rows]
        # Twelve digits are given; a difference of two values near 3.9 loses four of them.
        assert_allclose(found, expected["R"], rtol=1e-9)


def test_tables_alone_are_passed_over(boss_data: Path) -> None:
    for path in (boss_data / "tracesets").glob("*.fits"):
        found = plugin.corecube_identify(FileHead.of(str(path)), BossConfig())
        assert isinstance(found, NotMine) and "trace set" in found.reason


def test_another_function_is_refused(tmp_path: Path) -> None:
    columns = [
        fits.Column("FUNC", "16A", array=["chebyshev_split"]),
        fits.Column("XMIN", "D", array=[0.0]),
        fits.Column("XMAX", "D", array=[4111.0]),
        fits.Column("COEFF", "4D", dim="(2,2)", array=np.ones((1, 2, 2))),
    ]
    path = tmp_path / "a.fits"
    fits.BinTableHDU.from_columns(columns).writeto(path)
    with pytest.raises(FileNotUnderstood, match="chebyshev_split"):
        table_of(path)


@given(
    st.sampled_from(["legendre", "chebyshev", "poly"]),
    st.lists(st.floats(-2, 2), min_size=1, max_size=7),
    st.integers(2, 300),
)
def test_turned_around(function: Any, coefficients: list[float], rows: int) -> None:
    traces = TraceSet(function, 0.0, rows - 1.0, np.array([coefficients]))
    assert_allclose(
        upside_down(traces).evaluate(), traces.evaluate()[:, ::-1], rtol=1e-12, atol=1e-12
    )


def test_a_jump_is_not_turned_around() -> None:
    traces = TraceSet("legendre", 0.0, 9.0, np.ones((1, 2)), (3.0, 5.0, 0.3))
    with pytest.raises(FileNotUnderstood, match="jump"):
        upside_down(traces)
