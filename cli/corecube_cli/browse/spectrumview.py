"""The spectrum on the screen: line, band, masks, axes, and a cursor that reads off."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np
from rich.cells import cell_len
from textual.binding import Binding
from textual.strip import Strip
from textual.widget import Widget

from corecube.text import printable
from corecube_cli.browse import braille, paint, ticks
from corecube_cli.browse.canvas import Canvas, strips
from corecube_cli.browse.fitting import joined

if TYPE_CHECKING:
    from textual import events

    from corecube_cli.browse.spectra import Spectrum

_GUTTER: Final = 10
"""Columns left of the axis."""
_ABOVE, _BELOW = 3, 3
"""Lines above the plot (name, read-out, axis) and below it (masks, axis, labels)."""
_FEWEST: Final = 8
"""Pixels that fill the width at most."""
_BIG: Final = 10
"""Columns that shift and an arrow move."""
_ROBUST: Final = (0.5, 99.5)
"""Percentiles of the short range of the y axis."""
_MARGIN: Final = 0.04
"""Of the range, above and below the line."""


class SpectrumView(Widget, can_focus=True):
    """A spectrum in braille with a cursor."""

    BINDINGS: ClassVar[list[Any]] = [
        Binding("left,h", "move(-1)", "Cursor", key_display="←→"),
        Binding("right,l", "move(1)", "Right", show=False),
        Binding("shift+left,H,shift+h", f"move(-{_BIG})", "Far left", show=False),
        Binding("shift+right,L,shift+l", f"move({_BIG})", "Far right", show=False),
        Binding("home,g", "end(0)", "First pixel", show=False),
        Binding("end,G,shift+g", "end(-1)", "Last pixel", show=False),
        Binding("plus,equals_sign,up,k", "zoom(-1)", "Zoom", key_display="+-"),
        Binding("minus,down,j", "zoom(1)", "Out", show=False),
        Binding("0", "whole", "Whole", show=False),
        Binding("r", "range", "Range"),
        Binding("n", "masked(1)", "Masked"),
        Binding("N,shift+n", "masked(-1)", "Previous masked", show=False),
        Binding("right_square_bracket", "app.step(1)", "Next", key_display="]"),
        Binding("left_square_bracket", "app.step(-1)", "Previous row", show=False),
    ]

    def __init__(self, *, colored: bool = True, **named: Any) -> None:
        super().__init__(**named)
        self._colored = colored
        self.spectrum: Spectrum | None = None
        self.cursor = 0
        """Place in `Spectrum.shown`."""
        self._first, self._last = 0, 0
        self.robust = False
        self._lines: list[Strip] | None = None

    # -- what is shown ---------------------------------------------------------------------------

    @property
    def pixel(self) -> int | None:
        """The pixel under the cursor, as the archive counts them."""
        if self.spectrum is None or not self.spectrum.shown.size:
            return None
        return int(self.spectrum.shown[self.cursor])

    def show(self, spectrum: Spectrum) -> None:
        """Show a spectrum; cursor and zoom stay where the wavelengths are the same."""
        old = self.spectrum
        same = old is not None and np.array_equal(
            old.wave[old.shown], spectrum.wave[spectrum.shown]
        )
        self.spectrum = spectrum
        if not same:
            self._first, self._last = 0, spectrum.shown.size
            self.cursor = self._brightest()
        self._redraw()

    def _brightest(self) -> int:
        """Return where the cursor begins: in the middle."""
        assert self.spectrum is not None
        return self.spectrum.shown.size // 2

    def move_to_pixel(self, pixel: int) -> None:
        """Put the cursor on a pixel, as the archive counts them."""
        if self.spectrum is not None and self.spectrum.shown.size:
            place = int(np.searchsorted(self.spectrum.shown, pixel))
            self._move_to(min(place, self.spectrum.shown.size - 1))

    def _redraw(self) -> None:
        self._lines = None
        self.refresh()

    def on_resize(self) -> None:
        """Draw for the new size."""
        self._redraw()

    def on_focus(self) -> None:
        """Say in the title that keys come here."""
        self._redraw()

    def on_blur(self) -> None:
        """Say in the title that keys go elsewhere."""
        self._redraw()

    def render_line(self, y: int) -> Strip:
        """Return a line of the drawing."""
        if self._lines is None:
            canvas = self._drawn()
            self._lines = strips(canvas, lambda n: paint.spectrum_style(n, self._colored))
        if y < len(self._lines):
            return self._lines[y]
        return Strip.blank(self.size.width, paint.spectrum_style(0, self._colored))

    # -- drawing ---------------------------------------------------------------------------------

    @property
    def _plot_width(self) -> int:
        return max(1, self.size.width - _GUTTER - 1)

    def _drawn(self) -> Canvas:
        width, height = self.size.width, self.size.height
        canvas = Canvas.blank(height, width)
        spectrum = self.spectrum
        if spectrum is None:
            return canvas
        strong = paint.STRONG_STYLE if self.has_focus else paint.TEXT_STYLE
        target = printable(spectrum.frame.target[0]) if spectrum.frame.target else ""
        title = "▶" * self.has_focus + " " * (not self.has_focus) + spectrum.name
        unit = spectrum.frame.unit or "no unit"
        if cell_len(title) + cell_len(target) + cell_len(unit) + 5 <= width:
            title = f"{title}  {target}".rstrip()
        paint.headline(canvas, 0, title, [unit, *spectrum.axis], strong, keep=1)
        if not spectrum.shown.size:
            related = "; its other spectra are below it in the tree, or with 'e' in the table"
            canvas.write(2, 1, f"no pixels are stored for this fibre{related}", paint.MARK_STYLE)
            return canvas
        pixel = int(spectrum.shown[self.cursor])
        canvas.write(1, 1, joined(spectrum.readout(pixel), width - 1), paint.TEXT_STYLE)
        flags = " " + joined(spectrum.flags(pixel), width - 1)
        rows = height - _ABOVE - _BELOW
        if rows < 1 or width < _GUTTER + 4:
            paint.headline(canvas, 2, flags, [], paint.TEXT_STYLE)
            return canvas
        said = self._draw_plot(canvas, spectrum, rows)
        paint.headline(canvas, 2, flags, said, paint.TEXT_STYLE)
        return canvas

    def _draw_plot(self, canvas: Canvas, spectrum: Spectrum, rows: int) -> list[str]:
        """Draw plot and axes; return what is said of them."""
        width = self._plot_width
        shown = spectrum.shown
        wave = spectrum.wave[shown]
        flux = spectrum.flux[shown].astype(np.float64)
        error = spectrum.error[shown].astype(np.float64)
        good = spectrum.good[shown]
        part = slice(self._first, self._last)
        x0, x1 = _edges(wave, self._first, self._last)
        lo, hi, said = self._limits(flux[part], error[part], good[part])
        window = braille.Window(x0, x1, lo, hi, width, rows)
        plot = braille.draw(wave, flux, error, good, window, colored=self._colored)
        left = _GUTTER + 1
        canvas.chars[_ABOVE : _ABOVE + rows, left : left + width] = plot.chars
        canvas.styles[_ABOVE : _ABOVE + rows, left : left + width] = plot.styles
        _y_axis(canvas, window, rows)
        some, every = braille.mask_row(wave, good, window)
        row = _ABOVE + rows
        canvas.write(row, 0, "masked".rjust(_GUTTER), paint.DIM_STYLE)
        marks = np.where(every, ord("x"), np.where(some, ord("·"), ord(" ")))
        canvas.chars[row, left : left + width] = marks
        canvas.styles[row, left : left + width] = paint.MARK_STYLE
        _x_axis(canvas, window, row + 1, spectrum.frame.wave.unit)
        self._draw_cursor(canvas, wave[self.cursor], window, rows)
        return [said, "band ±1 sigma" if np.isfinite(error[part]).any() else "errors not known"]

    def _limits(self, flux: Any, error: Any, good: Any) -> tuple[float, float, str]:
        """Return the range of the y axis and what is said of it."""
        values = flux[good]
        if not values.size:
            return 0.0, 1.0, "no valid pixel here"
        if self.robust:
            low, high = (float(part) for part in np.percentile(values, _ROBUST))
            said = f"y: {_ROBUST[0]:g} to {_ROBUST[1]:g} %, ▲▼ beyond"
        else:
            low, high = float(values.min()), float(values.max())
            spread = error[good & np.isfinite(error)]
            if spread.size:  # room for the band, but not for a few huge errors
                half = float(np.median(spread))
                low, high = low - half, high + half
            said = "y: all valid pixels"
        if not high > low:
            spread = error[good]
            spread = spread[np.isfinite(spread)]
            half = float(spread.max()) if spread.size and spread.max() > 0 else abs(low) or 1.0
            low, high = low - half, high + half
        margin = _MARGIN * (high - low)
        return low - margin, high + margin, said

    def _draw_cursor(self, canvas: Canvas, x: float, window: braille.Window, rows: int) -> None:
        place = int(braille.bins(np.array([x]), window.x0, window.x1, window.width)[0])
        if place < 0:
            return
        column = _GUTTER + 1 + place
        chars = canvas.chars[_ABOVE : _ABOVE + rows, column]
        chars[chars == ord(" ")] = ord("│")
        canvas.styles[_ABOVE : _ABOVE + rows, column] += paint.CURSOR
        canvas.write(_ABOVE + rows + 1, column, "▲", paint.MARK_STYLE)

    # -- moving ----------------------------------------------------------------------------------

    def _move_to(self, place: int) -> None:
        spectrum = self.spectrum
        if spectrum is None or not spectrum.shown.size:
            return
        self.cursor = max(0, min(place, spectrum.shown.size - 1))
        count = self._last - self._first
        if not self._first <= self.cursor < self._last:
            first = self.cursor - count // 2
            self._first = max(0, min(first, spectrum.shown.size - count))
            self._last = self._first + count
        self._redraw()

    def action_move(self, columns: int) -> None:
        """Move by columns of the screen, at least a pixel each."""
        step = max(1, round((self._last - self._first) / self._plot_width))
        self._move_to(self.cursor + columns * step)

    def action_end(self, to: int) -> None:
        """Move to the first or the last pixel."""
        if self.spectrum is not None:
            self._move_to(0 if to == 0 else self.spectrum.shown.size - 1)

    def action_zoom(self, way: int) -> None:
        """Halve or double what is shown, around the cursor."""
        if self.spectrum is None or not self.spectrum.shown.size:
            return
        total = self.spectrum.shown.size
        count = self._last - self._first
        wanted = count // 2 if way < 0 else count * 2
        wanted = max(min(_FEWEST, total), min(wanted, total))
        part = (self.cursor - self._first) / count if count else 0.5
        first = round(self.cursor - part * wanted)
        self._first = max(0, min(first, total - wanted))
        self._last = self._first + wanted
        self._redraw()

    def action_whole(self) -> None:
        """Show all pixels."""
        if self.spectrum is not None:
            self._first, self._last = 0, self.spectrum.shown.size
            self._redraw()

    def action_range(self) -> None:
        """Switch between the whole range of y and one without the extremes."""
        self.robust = not self.robust
        self._redraw()

    def action_masked(self, way: int) -> None:
        """Move to the next masked pixel that follows a valid one."""
        if self.spectrum is None:
            return
        bad = ~self.spectrum.good[self.spectrum.shown]
        begins = bad.copy()
        begins[1:] &= ~bad[:-1]
        places = np.flatnonzero(begins)
        places = places[places > self.cursor] if way > 0 else places[places < self.cursor]
        if places.size:
            self._move_to(int(places[0 if way > 0 else -1]))
        else:
            self.app.bell()

    def on_click(self, event: events.Click) -> None:
        """Put the cursor there."""
        spectrum = self.spectrum
        column = event.x - _GUTTER - 1
        if spectrum is None or not spectrum.shown.size or not 0 <= column < self._plot_width:
            return
        wave = spectrum.wave[spectrum.shown]
        x0, x1 = _edges(wave, self._first, self._last)
        x = x0 + (column + 0.5) * (x1 - x0) / self._plot_width
        place = int(np.searchsorted(wave, x))
        if place and (place == wave.size or x - wave[place - 1] < wave[place] - x):
            place -= 1
        self._move_to(place)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """Zoom in."""
        event.stop()
        self.action_zoom(-1)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """Zoom out."""
        event.stop()
        self.action_zoom(1)


def _edges(wave: Any, first: int, last: int) -> tuple[float, float]:
    """Return the outer edges of the pixels first .. last - 1."""
    if wave.size == 1:
        return float(wave[0]) - 0.5, float(wave[0]) + 0.5
    low, high = float(wave[first]), float(wave[last - 1])
    before = float(wave[first + 1] - wave[first]) if first + 1 < wave.size else 0.0
    before = before or float(wave[first] - wave[first - 1])
    behind = float(wave[last - 1] - wave[last - 2]) if last >= 2 else before
    return low - before / 2, high + behind / 2


def _y_axis(canvas: Canvas, window: braille.Window, rows: int) -> None:
    for row in range(rows):
        canvas.write(_ABOVE + row, _GUTTER, "│", paint.DIM_STYLE)
    values = ticks.ticks(window.lo, window.hi, max(3, rows // 3))
    for value, label in zip(values, ticks.labels(values), strict=True):
        row = int((window.hi - value) / (window.hi - window.lo) * rows)
        if 0 <= row < rows:
            canvas.write(_ABOVE + row, 0, label[:_GUTTER].rjust(_GUTTER), paint.TEXT_STYLE)
            canvas.write(_ABOVE + row, _GUTTER, "┤", paint.DIM_STYLE)


def _x_axis(canvas: Canvas, window: braille.Window, row: int, unit: str) -> None:
    left = _GUTTER + 1
    canvas.write(row, _GUTTER, "└" + "─" * window.width, paint.DIM_STYLE)
    canvas.write(row + 1, 0, unit[:_GUTTER].rjust(_GUTTER), paint.TEXT_STYLE)
    values = ticks.ticks(window.x0, window.x1, max(2, window.width // 12))
    free = left
    for value, label in zip(values, ticks.labels(values), strict=True):
        place = int((value - window.x0) / (window.x1 - window.x0) * window.width)
        if not 0 <= place < window.width:
            continue
        canvas.write(row, left + place, "┬", paint.DIM_STYLE)
        start = left + place - len(label) // 2
        start = min(start, left + window.width - len(label))
        if start >= free:
            canvas.write(row + 1, start, label, paint.TEXT_STYLE)
            free = start + len(label) + 1
