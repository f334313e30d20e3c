"""Drawings: any panel gives a picture, the same each time, with every text as it is."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from corecube.figures import Panel, Series

pytest.importorskip("matplotlib", reason="the extra `plot` is not installed")

from corecube_cli.drawing import MASKED, NOT_POSITIVE, draw

NAN = float("nan")
HOSTILE = "\x1b[31m$\\frac{$_^ \u202e<b>&\ud800 \U0001f600 μÅ " + "long " * 40


def pixels(panel: Panel) -> Any:
    from PIL import Image

    with Image.open(io.BytesIO(draw(panel))) as picture:
        return np.asarray(picture.convert("RGB")).reshape(-1, 3)


def count(found: Any, color: str) -> int:
    wanted = [int(color[k : k + 2], 16) for k in (1, 3, 5)]
    return int(np.count_nonzero(np.all(found == wanted, axis=1)))


def lines(*values: Any, kind: Any = "lines", **more: Any) -> Panel:
    series = tuple(Series(f"s{n}", np.asarray(v, dtype=float)) for n, v in enumerate(values))
    return Panel("x", "A title", kind, series, "x", "y", **more)


def strange() -> Iterator[Panel]:
    rows: list[Any] = [
        [], [1.0], [NAN], [NAN, NAN], [2.0, 2.0, 2.0], [np.inf, 1.0, -np.inf], [0.0, 0.0],
        [-1.0, -2.0], [1e300, -1e300], [1e-300, 1e300], [0.0, 1e-320, 5.0],
    ]  # fmt: skip
    for values in rows:
        for kind in ("lines", "points", "histogram"):
            yield lines(values, kind=kind, log=kind == "points")
        yield lines(values, log=True)
    yield lines()
    yield lines(*[[1.0, 2.0]] * 30)
    masked = Series("x", np.arange(5.0), valid=np.zeros(5, bool), error=np.full(5, NAN))
    yield Panel("x", "all masked", "lines", (masked,), log=True)
    yield Panel("x", "", "points", (masked,), "RA", "Dec", "deg", "deg")
    for picture in (
        np.zeros((0, 4)), np.full((4, 5), NAN), np.ones((4, 5)), -np.ones((4, 5)),
        np.zeros((1, 3000)), np.array([[1e300, -1e300], [np.inf, 0]]), np.ones((300, 1)),
    ):  # fmt: skip
        for log in (False, True):
            yield Panel("x", "", "image", (Series("p", picture),), x_unit="pix", log=log)


STRANGE = list(strange())


@pytest.mark.parametrize("panel", STRANGE, ids=[f"{p.kind}-{n}" for n, p in enumerate(STRANGE)])
def test_any_panel_can_be_drawn(panel: Panel) -> None:
    assert draw(panel, dpi=40).startswith(b"\x89PNG")


@pytest.mark.parametrize("format", ["png", "svg", "pdf"])
def test_a_panel_gives_the_same_bytes_each_time(format: str) -> None:
    panel = lines([1.0, 3.0, 2.0], [2.0, 1.0, NAN], x_unit="Angstrom", y_unit="nanomaggy")
    first = draw(panel, format)
    assert first == draw(panel, format)
    assert first.startswith({"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}[format])


def test_hostile_texts_are_drawn_as_they_are() -> None:
    series = (Series(HOSTILE, np.arange(3.0)), Series(f"_{HOSTILE}", np.ones(3), masked=HOSTILE))
    panel = Panel("x", HOSTILE, "lines", series, HOSTILE, HOSTILE)
    assert draw(panel).startswith(b"\x89PNG")
    text = draw(panel, "svg").decode()
    assert "\x1b" not in text and "\u202e" not in text


def test_masked_and_not_positive_pixels_have_colours_of_their_own() -> None:
    values = np.random.default_rng(0).uniform(1.0, 1000.0, (40, 50))
    plain = Panel("x", "", "image", (Series("p", values),), x_unit="pix", log=True)
    found = pixels(plain)
    assert (count(found, MASKED), count(found, NOT_POSITIVE)) == (0, 0)
    values[:20] = -1.0
    valid = np.ones(values.shape, bool)
    valid[:10] = False
    marked = Panel("x", "", "image", (Series("p", values, valid=valid),), x_unit="pix", log=True)
    found = pixels(marked)
    # a quarter of the picture each, and a patch in the legend
    ratio = count(found, MASKED) / count(found, NOT_POSITIVE)
    assert count(found, MASKED) > 10_000 and ratio == pytest.approx(1.0, abs=0.05)
    # the first row is below: the upper half is grey
    assert np.flatnonzero(np.all(found == [0xD5, 0x5E, 0x00], axis=1)).min() > len(found) / 2


def test_masked_pixels_of_a_line_are_marked_and_leave_the_axis_alone() -> None:
    y = np.random.default_rng(0).normal(1.0, 0.1, 300)
    valid = np.ones(300, bool)
    assert count(pixels(Panel("x", "", "lines", (Series("f", y, valid=valid),))), MASKED) == 0
    y[100:110], valid[100:110] = 1e6, False
    panel = Panel("x", "", "lines", (Series("f", y, valid=valid, masked="masked: saturated"),))
    assert count(pixels(panel), MASKED) > 20
    assert b"1000000" not in draw(panel, "svg")


def test_matplotlib_s_own_settings_are_left_alone() -> None:
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    draw(lines([1.0, 2.0]))
    assert dict(mpl.rcParams) == before
