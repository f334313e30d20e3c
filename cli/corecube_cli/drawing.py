"""Panels of a report as pictures: one style, safe for the colour-blind, every text as it is.

Colours are those of Okabe and Ito, "Color Universal Design" (2008). Vermilion and sky blue stand
for pixels that are masked and not positive, and for nothing else; pictures are grey, so that both
differ from every value.
"""

from __future__ import annotations

import io
import re
import textwrap
from functools import cache
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from corecube.figures import Panel, Series
from corecube.text import printable
from corecube_cli.console import console

EXTRA: Final = "pip install 'corecube[plot]'"
MASKED: Final = "#D55E00"
NOT_POSITIVE: Final = "#56B4E9"
BAND: Final = "#9CC7E8"
LINES: Final = ("#1B2A41", "#E69F00", "#0072B2", "#009E73", "#CC79A7", "#8C8C8C")
STYLES: Final = ("-", "--", ":")
"""The colours come again with another style of line."""

MARKERS: Final = ("o", "s", "^", "D", "v", "P")

NAMED: Final = 8
"""Series that a legend names."""

STRETCH: Final = (0.5, 99.5)
"""Percentiles of the valid values that the grey scale of a picture spans."""

_SPAN: Final = (0.2, 99.8)
"""Percentiles of the valid values that the axis of a line spans, with a margin."""

_CORE: Final = (2.0, 98.0)
"""The same for lines that points stand among."""

_DECADES: Final = 5.0
"""Ratio of highest to lowest value below which a logarithmic scale is no help."""

_STEEP: Final = 20.0
"""How far the highest value may lie above the median, in distances of the lowest below it, before
a linear scale leaves most of a picture black."""

_LOWEST: Final = 1e-12
"""Part of the highest value down to which a logarithmic axis goes."""

_PICTURE: Final = 7.2
"""Inches along the longer side of a picture; the labels need 3.2 beside and 1.9 below and above."""

_TO_THE_LEFT: Final = "RA"
"""The axis that rises to the left, as the sky is seen."""

_STYLE: Final[dict[str, Any]] = {
    "figure.dpi": 100, "figure.facecolor": "white",
    "font.family": "DejaVu Sans", "font.size": 12,
    "figure.constrained_layout.h_pad": 0.09, "figure.constrained_layout.w_pad": 0.12,
    "axes.titlesize": 14, "axes.titleweight": "bold", "axes.titlelocation": "left",
    "axes.titlepad": 12, "axes.labelsize": 12, "axes.linewidth": 0.8,
    "axes.spines.top": False, "axes.spines.right": False, "axes.formatter.use_mathtext": False,
    "axes.formatter.useoffset": False, "axes.unicode_minus": True,
    "xtick.direction": "out", "ytick.direction": "out",
    "legend.frameon": False, "legend.fontsize": 11,
    "svg.hashsalt": "corecube", "svg.fonttype": "path",
}  # fmt: skip

FloatArray = npt.NDArray[np.floating[Any]]


def can_draw() -> bool:
    """Tell whether matplotlib is there, and say what to do where it is not."""
    try:
        import matplotlib  # noqa: F401  # a broken one counts as absent too
    except ImportError:
        console.warn(f"no drawings without matplotlib; run: {EXTRA}")
        return False
    return True


def draw(panel: Panel, format: str = "png", dpi: int = 160) -> bytes:
    """Draw a panel.

    Parameters
    ----------
    panel : Panel
    format : {"png", "svg", "pdf"}
    dpi : int
        Pixels of a PNG per inch; most panels are 10 inches wide.

    Returns
    -------
    bytes
        The same for the same panel, with the same matplotlib.
    """
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with mpl.rc_context(), np.errstate(all="ignore"):
        mpl.rcdefaults()
        parameters: Any = mpl.rcParams  # its own types name each key
        parameters.update(_STYLE)
        figure = Figure(figsize=_size(panel), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.add_subplot()
        wide = int((figure.get_figwidth() - (1.8 if panel.kind == "image" else 1.2)) * 8.5)
        title = re.sub(
            r"(\d+) x (\d+) pixels", "\\1\u00a0x\u00a0\\2\u00a0pixels", _text(panel.title)
        )
        axes.set_title("\n".join(textwrap.wrap(title, max(wide, 30))[:3]))
        axes.set_xlabel(_label(panel.x_label, panel.x_unit))
        if panel.kind == "image":
            _image(figure, axes, panel)
        else:
            axes.set_ylabel(_label(panel.y_label, panel.y_unit))
            {"lines": _lines, "points": _points, "histogram": _histogram}[panel.kind](axes, panel)
            _legend(axes, NAMED + sum(series.marks for series in panel.series))
        stream = io.BytesIO()
        undated = {"png": {}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}[format]
        figure.savefig(stream, format=format, dpi=dpi, metadata=undated)
        return stream.getvalue()


def _size(panel: Panel) -> tuple[float, float]:
    """Return width and height in inches."""
    if panel.kind != "image":
        if any(series.marks for series in panel.series):
            return 10.0, 6.8  # a long legend
        return (10.0, 5.2) if not _on_sky(panel) else (8.0, 7.2)
    ny, nx = panel.series[0].y.shape
    if not _square(panel):
        return 10.4, 6.0
    wide = _PICTURE * min(1.0, nx / ny)
    return wide + 3.2, max(wide * ny / nx + 1.9, 3.6)


def _square(panel: Panel) -> bool:
    ny, nx = panel.series[0].y.shape
    return max(nx, ny) <= 3 * min(nx, ny) and panel.x_unit == "pix"


def _on_sky(panel: Panel) -> bool:
    return panel.x_label == _TO_THE_LEFT and panel.x_unit == "deg"


# -- lines and points ----------------------------------------------------------------------------


def _lines(axes: Any, panel: Panel) -> None:
    marked, banded = 0, False
    for place, series in enumerate(panel.series):
        if series.marks:
            _bars(axes, series, place, marked)
            marked += 1
            continue
        x = _places(series)
        good = _good(series, panel.log)
        y = np.where(good, series.y, np.nan)
        color, style = _look(place)
        if _on_sky(panel):
            style = STYLES[place % len(STYLES)]  # outlines of one field lie upon each other
        if series.error is not None:
            with np.errstate(invalid="ignore"):
                low, high = y - series.error, y + series.error
            axes.fill_between(
                x, low, high, color=BAND, linewidth=0.6 if y.size > 500 else 0.0,
                step="mid", label=None if banded else "1-sigma error", zorder=1,
            )  # fmt: skip
            banded = True
        axes.plot(
            x, y, color=color, linestyle=style if y.size > 1 else "none",
            linewidth=float(np.clip(1600 / max(y.size, 1), 0.5, 1.5)),
            marker="" if y.size > 1 else "o", drawstyle="steps-mid" if y.size > 60 else "default",
            label=_name(series, place), zorder=2 + place / 100,
        )  # fmt: skip
    _limits(axes, panel)
    _marks(axes, panel)


def _bars(axes: Any, series: Series, place: int, marked: int) -> None:
    """Draw points with bars among lines: open, and smaller one by one, so that each is seen."""
    good = _good(series, False)
    color, _ = _look(place)
    error = None if series.error is None else np.where(series.error > 0, series.error, 0.0)[good]
    axes.errorbar(
        _places(series)[good], series.y[good], error, fmt=MARKERS[marked % len(MARKERS)],
        color=color, markersize=max(11.0 - 2.0 * marked, 4.0), markerfacecolor="white",
        markeredgewidth=1.6, capsize=3, elinewidth=1.4, label=_name(series, place),
        zorder=6 + place / 100,
    )  # fmt: skip


def _points(axes: Any, panel: Panel) -> None:
    for place, series in enumerate(panel.series):
        good = _good(series, panel.log)
        x = _places(series)[good]
        size = 36 if x.size < 60 else max(1.0, min(36.0, 4e3 / x.size))
        color, _ = _look(place)
        marker = MARKERS[place % len(MARKERS)]
        axes.scatter(
            x, series.y[good], s=size, color=color, marker=marker, linewidths=0, alpha=0.9,
            label=_name(series, place), rasterized=x.size > 10_000,
        )  # fmt: skip
        if series.error is not None:
            axes.errorbar(
                x, series.y[good], series.error[good], fmt="none", ecolor=_paler(color), zorder=0
            )
    _limits(axes, panel)
    _marks(axes, panel)


def _limits(axes: Any, panel: Panel) -> None:
    """Span the valid values: neither masked ones nor a few outliers stretch the axis."""
    if _on_sky(panel):
        axes.invert_xaxis()
        declination = [float(np.nanmedian(s.y)) for s in panel.series if np.isfinite(s.y).any()]
        if declination:
            axes.set_aspect(1.0 / max(np.cos(np.radians(declination[0])), 0.05), "datalim")
        return
    values = [series.y[_good(series, panel.log)] for series in panel.series]
    kept = [part for part in values if part.size]
    if not kept:
        return
    few = sum(part.size for part in kept) < 200
    joined = any(series.marks for series in panel.series)  # then noise is not what is looked at
    span = (0, 100) if few else _CORE if joined else _SPAN
    spans = [np.percentile(part, span if part.size > 60 else (0, 100)) for part in kept]
    low, high = min(span[0] for span in spans), max(span[1] for span in spans)
    if panel.log and high > _DECADES * low:
        low = max(low, high * _LOWEST)
        axes.set_yscale("log", nonpositive="mask")
        axes.set_ylim(low / (high / low) ** 0.06 * 0.9, high * (high / low) ** 0.10 * 1.1)
        _plain_numbers(axes.yaxis, low, high)
    else:
        reach = (high - low) or abs(high) or 1.0
        axes.set_ylim(low - 0.10 * reach, high + 0.14 * reach)
    if panel.y_unit.startswith("mag"):
        axes.invert_yaxis()  # what is brighter stands higher
    if panel.x_label.startswith("frame"):
        axes.xaxis.get_major_locator().set_params(integer=True)
    places = np.concatenate([_places(s)[np.isfinite(_places(s))] for s in panel.series])
    if places.size and places.max() > places.min():
        margin = 0.01 * (places.max() - places.min())
        axes.set_xlim(places.min() - margin, places.max() + margin)
    elif places.size:
        axes.set_xlim(places[0] - 0.5, places[0] + 0.5)


def _marks(axes: Any, panel: Panel) -> None:
    """Mark masked pixels at their values, and all of them along the lower edge."""
    named: set[str] = set()
    for series in panel.series:
        if series.valid is None or series.valid.all():
            continue
        bad = ~series.valid
        x = _places(series)[bad]
        label = _text(series.masked)
        axes.scatter(
            x, series.y[bad], s=22, marker="x", color=MASKED, linewidths=1.2, zorder=5,
            label=None if label in named else label,
        )  # fmt: skip
        axes.plot(
            x, np.full(x.size, 0.012), transform=axes.get_xaxis_transform(), linestyle="none",
            marker="|", markersize=7, color=MASKED, markeredgewidth=1.0, zorder=5,
        )  # fmt: skip
        named.add(label)
    low = [series for series in panel.series if panel.log and _not_positive(series).any()]
    for series in low[:1]:
        x = _places(series)[_not_positive(series)]
        axes.plot(
            x, np.full(x.size, 0.035), transform=axes.get_xaxis_transform(), linestyle="none",
            marker="|", markersize=7, color=NOT_POSITIVE, zorder=4, label="not positive",
        )  # fmt: skip


def _histogram(axes: Any, panel: Panel) -> None:
    values = [s for s in panel.series if s.x is None]
    curves = [s for s in panel.series if s.x is not None]
    shown = [s.y[_good(s, False)].astype(np.float64) for s in values]
    if curves:
        low = min(float(s.x.min()) for s in curves if s.x is not None)
        high = max(float(s.x.max()) for s in curves if s.x is not None)
    else:
        joined = np.concatenate(shown) if shown else np.zeros(0)
        low, high = np.percentile(joined, (0.1, 99.9)) if joined.size else (0.0, 1.0)
        high = high if high > low else low + 1.0
    most = max((part.size for part in shown), default=0)
    edges = np.linspace(low, high, int(np.clip(most**0.4, 12, 50)) + 1)
    for place, (series, part) in enumerate(zip(values, shown, strict=True)):
        color, _ = _look(place + 2)
        found = np.histogram(part, edges)[0].astype(np.float64)
        off = part.size - int(found.sum())
        if curves and part.size:
            found /= part.size * (edges[1] - edges[0])
        name = _name(series, place) + (f" ({off} beyond the axis)" if off else "")
        axes.stairs(found, edges, fill=True, color=_paler(color), zorder=1)
        axes.stairs(found, edges, color=color, linewidth=1.4, label=name, zorder=2)
    for series in curves:
        axes.plot(series.x, series.y, color=LINES[0], linestyle="--", linewidth=1.6,
                  label=_text(series.label), zorder=3)  # fmt: skip
    axes.set_xlim(low, high)
    axes.set_ylim(0.0, axes.get_ylim()[1] * 1.12)


def _legend(axes: Any, named: int) -> None:
    handles, labels = axes.get_legend_handles_labels()
    if len(handles) > named + 1:
        left = len(handles) - named
        handles, labels = handles[: named + 1], [*labels[:named], f"... and {left} more"]
    if len(handles) > 1:
        # beside nothing that is drawn: below the axes, as many in a row as there is room for
        labels = [textwrap.shorten(label, 80, placeholder="...") for label in labels]
        room = int(axes.figure.get_figwidth() * 10.0 / (max(map(len, labels)) + 9))
        legend = axes.figure.legend(
            handles, labels, loc="outside lower center", ncols=int(np.clip(room, 1, 4))
        )
        for line in legend.get_lines():
            line.set_linewidth(max(line.get_linewidth(), 1.8))


# -- pictures ------------------------------------------------------------------------------------


def _image(figure: Any, axes: Any, panel: Panel) -> None:
    from matplotlib.colors import AsinhNorm, ListedColormap, LogNorm, Normalize
    from matplotlib.patches import Patch

    (series,) = panel.series
    values = np.array(series.y, dtype=np.float64)
    bad = ~np.isfinite(values)
    if series.valid is not None:
        bad |= ~series.valid
    low_ones = ~bad & ~(values > 0) if panel.log else np.zeros(values.shape, bool)
    kept = values[~bad & ~low_ones]
    norm: Any
    log = steep = False
    if kept.size:
        low, high = np.percentile(kept, STRETCH)
        if not high > low:
            low, high = float(kept.min()), float(kept.max())
        if not high > low:
            low, high = (low / 2, low * 2) if panel.log else (low - 0.5, low + 0.5)
        log = panel.log and high > _DECADES * low
        norm = LogNorm(low, high) if log else Normalize(low, high)
        middle = float(np.median(kept))
        steep = not log and high - middle > _STEEP * (middle - low) > 0
        if steep:
            norm = AsinhNorm(3.0 * (middle - low), low, high)
    else:
        norm = Normalize(0.0, 1.0)
    ny, nx = values.shape
    extent = (-0.5, max(nx, 1) * panel.block - 0.5, -0.5, max(ny, 1) * panel.block - 0.5)
    aspect = "equal" if _square(panel) else "auto"
    how: dict[str, Any] = {
        "origin": "lower", "extent": extent, "aspect": aspect, "interpolation": "nearest",
    }  # fmt: skip
    picture = axes.imshow(np.where(bad | low_ones, np.nan, values), cmap="gray", norm=norm, **how)
    axes.set_facecolor("white")
    axes.set_ylabel(_label(panel.y_label, "pix" if panel.x_unit == "pix" else ""))
    for side in ("top", "right"):
        axes.spines[side].set_visible(True)
    handles = []
    for where, color, name in (
        (bad, MASKED, series.masked),
        (low_ones, NOT_POSITIVE, f"not positive: {np.count_nonzero(low_ones)}"),
    ):  # fmt: skip
        if where.any():
            axes.imshow(
                np.where(where, 1.0, np.nan), cmap=ListedColormap([color]), vmin=0, vmax=1, **how
            )
            handles.append(Patch(color=color, label=_text(name)))
    if kept.size:
        ends = (bool(kept.min() < norm.vmin), bool(kept.max() > norm.vmax))
        extend = {(True, True): "both", (True, False): "min", (False, True): "max"}.get(ends)
        beside = axes.inset_axes((1.025, 0.0, 0.035, 1.0))
        bar = figure.colorbar(picture, cax=beside, extend=extend or "neither")
        if log:
            _plain_numbers(bar.ax.yaxis, low, high)
        elif steep:
            _asinh_ticks(bar.ax.yaxis, norm)
        bar.set_label(_label(series.label, panel.y_unit) + (", asinh scale" if steep else ""))
        bar.outline.set_linewidth(0.6)
    if handles:
        figure.legend(handles=handles, loc="outside lower left", ncols=min(2, len(handles)))


def _plain_numbers(axis: Any, low: float, high: float) -> None:
    """Label a logarithmic axis with 0.01, 0.1, 1 in place of powers."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    steps = (1.0,) if high > 100 * low else (1.0, 2.0, 5.0)
    axis.set_major_locator(LogLocator(10.0, steps))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def _asinh_ticks(axis: Any, norm: Any) -> None:
    """Label zero and the powers of ten beyond the linear part, which do not crowd."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    first = int(np.ceil(np.log10(norm.linear_width)))
    powers = [10.0**k for k in range(first, int(np.floor(np.log10(norm.vmax))) + 1)]
    axis.set_major_locator(FixedLocator([0.0, *powers]))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_locator(NullLocator())


# -- small things --------------------------------------------------------------------------------


def _places(series: Series) -> FloatArray:
    return np.arange(series.y.size, dtype=np.float64) if series.x is None else series.x


def _good(series: Series, log: bool) -> npt.NDArray[np.bool_]:
    good = np.isfinite(series.y)
    if series.valid is not None:
        good &= series.valid
    if log:
        good &= ~_not_positive(series)
    return good


def _not_positive(series: Series) -> npt.NDArray[np.bool_]:
    with np.errstate(invalid="ignore"):
        low: npt.NDArray[np.bool_] = np.isfinite(series.y) & (series.y <= 0)
    return low if series.valid is None else low & series.valid


def _look(place: int) -> tuple[str, str]:
    return LINES[place % len(LINES)], STYLES[place // len(LINES) % len(STYLES)]


def _paler(color: str) -> tuple[float, ...]:
    """Return a colour mixed with white, which needs no transparency."""
    from matplotlib.colors import to_rgb

    return tuple(0.3 * part + 0.7 for part in to_rgb(color))


def _name(series: Series, place: int) -> str:
    text = _text(series.label) or f"series {place + 1}"
    return f" {text}" if text.startswith("_") else text  # a leading _ hides it from the legend


def _label(text: str, unit: str) -> str:
    shown = _unit(unit)
    return f"{_text(text)} ({shown})" if shown else _text(text)


@cache
def _unit(unit: str) -> str:
    """Return a unit as people write it, or as it is where astropy does not know it."""
    if unit == "Angstrom":
        return "\u00c5"
    if not re.search("[0-9]", unit):
        return _text(unit)
    from astropy.units import Unit

    try:
        return _text(str(Unit(unit).to_string("unicode", fraction=False)).removeprefix("1\u00d7"))
    except ValueError:
        return _text(unit)


def _text(text: str) -> str:
    """Return a text with only what the font can draw."""
    known = _characters()
    shown = "".join(part if ord(part) in known else "?" for part in printable(text, 200))
    return shown.replace("$", r"\$")  # else what is between two of them is taken for mathematics


@cache
def _characters() -> frozenset[int]:
    from matplotlib.font_manager import FontProperties, findfont, get_font

    return frozenset(get_font(findfont(FontProperties(family="DejaVu Sans"))).get_charmap())
