"""The factors from counts to flux: those that lead there, and those that do not."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corecube.frames import Array, Factor, Image
from corecube.masks import value
from corecube.reports import replay

SHAPE = (5, 7)


def image(flux: Any, **more: Any) -> Image:
    values = np.asarray(flux, dtype=np.float32)
    return Image(
        name="x",
        flux=values,
        error=np.ones_like(values),
        mask=np.zeros(values.shape, np.uint32),
        unit="nanomaggy",
        **more,
    )


def factor(name: str, operation: Any, values: Any) -> Factor:
    return Factor(name, operation, np.asarray(values, dtype=np.float64), "", "a test")


FACTORS = [
    factor("gain", "divide", 4.72),
    factor("sky", "add", -np.full(SHAPE, 137.0)),
    factor("flat", "multiply", np.linspace(0.004, 0.006, SHAPE[1])[None, :]),
]


def test_factors_that_can_be_undone_lead_to_the_flux() -> None:
    flux = np.random.default_rng(1).normal(0.01, 0.03, SHAPE)
    found = replay(image(flux), FACTORS)
    assert found["from"] == "flux" and found["pixels"] == 35
    # 137 counts stand beside 0.005 of them at least: 3e4 roundings of float64, 1e-16 each
    assert found["largest relative difference"] < 1e-10
    assert (found["not reversible"], found["reproduced"], found["says"]) == (0, True, [])


def test_a_layer_of_counts_is_what_the_factors_begin_with() -> None:
    counts = np.random.default_rng(2).poisson(700, SHAPE).astype(np.float64)
    flux: Any = counts
    for step in FACTORS:
        flux = step.apply(flux)
    layers = {"counts": Array(counts, "electron", ("y", "x"))}
    found = replay(image(flux, layers=layers), FACTORS)
    assert found["from"] == "layer counts"
    # the flux is rounded to float32: 6e-8 of its value
    assert found["largest relative difference"] < 1e-7 and found["reproduced"]
    # one factor that is 1 % off in one column is what the flux is off there
    bent = np.array(FACTORS[2].values)
    bent[0, 3] *= 1.01
    found = replay(image(flux, layers=layers), [*FACTORS[:2], factor("flat", "multiply", bent)])
    assert found["largest relative difference"] == pytest.approx(0.01, rel=1e-4)
    assert not found["reproduced"]
    assert found["says"] == ["the factors do not lead to the flux: off by 0.01, 1e-06 is allowed"]


@pytest.mark.parametrize(("operation", "bad"), [("multiply", 0.0), ("divide", np.nan)])
def test_a_factor_that_does_not_replay_is_said(operation: str, bad: float) -> None:
    flat = np.ones(SHAPE)
    flat[2, :3] = bad
    found = replay(image(np.ones(SHAPE)), [FACTORS[0], factor("flat", operation, flat)])
    assert (found["pixels"], found["not reversible"], found["reproduced"]) == (32, 3, False)
    assert found["says"] == ["factor 'flat' is zero or not finite in 3 valid pixels"]


def test_a_factor_may_be_zero_where_the_pixels_are_excluded() -> None:
    flat = np.ones(SHAPE)
    flat[2, :3] = 0.0
    frame = image(np.ones(SHAPE))
    assert frame.mask is not None
    frame.mask[2, :3] = value("not_calibrated")
    found = replay(frame, [factor("flat", "multiply", flat)])
    assert (found["pixels"], found["not reversible"], found["reproduced"]) == (32, 0, True)


def test_a_factor_of_another_shape_is_said() -> None:
    found = replay(image(np.ones(SHAPE)), [factor("flat", "multiply", np.ones((3, 4)))])
    assert found["says"] == ["factor 'flat' (3, 4) does not fit the flux (5, 7)"]
    assert not found["reproduced"] and found["largest relative difference"] is None
    larger = factor("flat", "multiply", np.ones((2, *SHAPE)))
    assert "does not fit" in replay(image(np.ones(SHAPE)), [larger])["says"][0]


def test_what_is_not_finite_in_the_flux_is_left_out() -> None:
    flux = np.ones(SHAPE)
    flux[0] = np.nan
    flux[1, 0] = np.inf
    found = replay(image(flux), FACTORS)
    assert (found["pixels"], found["reproduced"]) == (27, True)
    nothing = replay(image(np.full(SHAPE, np.nan)), FACTORS)
    assert (nothing["pixels"], nothing["largest relative difference"]) == (0, None)
    assert nothing["says"] == ["no pixel is valid: nothing was compared"]


@given(
    st.lists(
        st.tuples(st.sampled_from(["add", "multiply", "divide"]), st.floats(0.1, 10.0)), max_size=6
    ),
    st.integers(0, 2**32 - 1),
)
def test_any_chain_of_sound_factors_is_reproduced(
    steps: list[tuple[str, float]], seed: int
) -> None:
    # no sum in between is above 1e7 times the flux: 1e-9 is lost by cancellation at most
    flux = np.random.default_rng(seed).uniform(1.0, 2.0, SHAPE)
    factors = [factor(str(n), op, number) for n, (op, number) in enumerate(steps)]
    assert replay(image(flux), factors)["reproduced"]


def test_rows_are_taken_some_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    flux = np.random.default_rng(3).normal(1.0, 0.1, SHAPE)
    whole = replay(image(flux), FACTORS)
    monkeypatch.setattr(sys.modules["corecube.reports.replay"], "_PIXELS", 8)
    assert replay(image(flux), FACTORS) == whole
