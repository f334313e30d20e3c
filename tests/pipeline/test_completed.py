"""What the core adds to frames of an instrument: errors and masks that say what is not known."""

from __future__ import annotations

import numpy as np
import pytest

from corecube.frames import Image
from corecube.masks import value
from corecube.pipeline.work import completed


@pytest.mark.parametrize("wrong", [0.0, -1.0, np.nan, np.inf, -np.inf])
def test_an_error_that_is_no_positive_number_is_nan_and_named(wrong: float) -> None:
    error = np.full((4, 5), 2.0, np.float32)
    error[1, 2] = wrong
    image = Image(name="r", flux=np.ones((4, 5), np.float32), error=error, unit="nanomaggy")
    made = completed(image)
    assert made.error is not None and made.mask is not None
    there = np.zeros((4, 5), bool)
    there[1, 2] = True
    assert np.array_equal(np.isnan(made.error), there)
    assert np.array_equal(made.mask, np.where(there, value("no_error"), 0))


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_a_flux_that_is_no_number_is_no_data(wrong: float) -> None:
    flux = np.ones((4, 5), np.float32)
    flux[3, 0] = wrong
    image = Image(name="r", flux=flux, error=np.ones((4, 5), np.float32), unit="nanomaggy")
    mask = completed(image).mask
    assert mask is not None
    assert mask[3, 0] == value("no_data") and np.count_nonzero(mask) == 1


def test_a_frame_without_error_has_none_anywhere() -> None:
    made = completed(Image(name="r", flux=np.zeros((2, 2), np.float32), unit="nanomaggy"))
    assert made.error is not None and np.isnan(made.error).all()
    assert made.mask is not None and (made.mask == value("no_error")).all()
