"""The image on the screen: half blocks, zoom, pan, and a cursor that reads off."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar, Final

from textual.binding import Binding
from textual.strip import Strip
from textual.widget import Widget

from corecube_cli.browse import halfblocks, images, paint
from corecube_cli.browse.canvas import Canvas, strips
from corecube_cli.browse.fitting import joined
from corecube_cli.browse.viewport import Viewport

if TYPE_CHECKING:
    from textual import events

    from corecube_cli.browse.images import Facts, Region, Tile
    from corecube_cli.browse.loading import Loader

_ABOVE: Final = 3
"""Lines above the picture: name, read-out, scale."""
_FAR: Final = 10
_GREYS: Final = 64
_FEW_GREYS: Final = 24
"""Where a terminal has 256 colours: as many as its palette has greys."""
_IMAGE: Final = 64
"""First number of the styles of the picture; below it stand those of the texts."""


class ImageView(Widget, can_focus=True):
    """An image in half blocks with a cursor."""

    BINDINGS: ClassVar[list[Any]] = [
        Binding("left,h", "move(-1,0)", "Cursor", key_display="←→"),
        Binding("right,l", "move(1,0)", "Right", show=False),
        Binding("up,k", "move(0,1)", "Up", show=False),
        Binding("down,j", "move(0,-1)", "Down", show=False),
        Binding("shift+left,H,shift+h", f"move(-{_FAR},0)", "Far left", show=False),
        Binding("shift+right,L,shift+l", f"move({_FAR},0)", "Far right", show=False),
        Binding("shift+up,K,shift+k", f"move(0,{_FAR})", "Far up", show=False),
        Binding("shift+down,J,shift+j", f"move(0,-{_FAR})", "Far down", show=False),
        Binding("plus,equals_sign", "zoom(-1)", "Zoom", key_display="+-"),
        Binding("minus", "zoom(1)", "Out", show=False),
        Binding("0", "fit", "Whole", show=False),
        Binding("1", "original", "1:1", show=False),
        Binding("c", "center", "Centre", show=False),
        Binding("s", "stretch", "Stretch"),
        Binding("m", "marks", "Masks"),
        Binding("right_square_bracket", "app.step(1)", "Next", key_display="]"),
        Binding("left_square_bracket", "app.step(-1)", "Previous row", show=False),
    ]

    def __init__(self, loader: Loader, *, colored: bool = True, **named: Any) -> None:
        super().__init__(**named)
        self._loader = loader
        self._colored = colored
        self.facts: Facts | None = None
        self.x, self.y = 0, 0
        """The pixel under the cursor, 0-based."""
        self.stretch = halfblocks.STRETCHES[0]
        self.marks = True
        self.problem = ""
        self._port = Viewport((1, 1))
        self._fitted = self._opening = True
        self._region: Region | None = None
        self._tile: Tile | None = None
        self._limits: tuple[float, float] = (0.0, 1.0)
        self._compass = ""
        self._lines: list[Strip] | None = None

    # -- what is shown ---------------------------------------------------------------------------

    def show(self, facts: Facts) -> None:
        """Show an image: whole, or around the position that was asked for."""
        old = self.facts
        same = old is not None and old.shape == facts.shape and old.place.shot == facts.place.shot
        self.facts, self.problem = facts, ""
        self._region = self._tile = None
        self._limits = halfblocks.limits(facts.sample, self.stretch)
        self._compass = images.compass(facts)
        ny, nx = facts.shape
        if old is not None and old.place == facts.place and old.file == facts.file:
            pass
        elif facts.look_at is not None:
            self.x, self.y = (
                max(0, min(round(where), size - 1))
                for where, size in zip(facts.look_at, (nx, ny), strict=True)
            )
            zoom = self._port.zoom if same and not self._fitted else 0
            self._port = Viewport(facts.shape, zoom, float(self.x), float(self.y))
            self._fitted = False
        elif not same:
            self.x, self.y = nx // 2, ny // 2
            self._port = Viewport(facts.shape)
            self._fitted = self._opening = True
        self._changed()

    def move_to_pixel(self, x: int, y: int) -> None:
        """Put the cursor on a pixel, 0-based; the picture follows."""
        if self.facts is None:
            return
        ny, nx = self.facts.shape
        self.x, self.y = max(0, min(x, nx - 1)), max(0, min(y, ny - 1))
        if self._port.follow(self.x, self.y, *self._cells):
            self._fitted = False
        self._changed()

    def readout(self) -> list[str]:
        """Return what is known of the pixel under the cursor; dots where it is being read."""
        assert self.facts is not None
        parts = [f"x {self.x} y {self.y}"]
        if self._tile is not None and self._tile.holds(self.x, self.y):
            parts += self._tile.readout(self.x, self.y)
        else:
            parts.append("...")
        if self.facts.to_sky is not None:
            ra, dec = self.facts.to_sky(self.x, self.y)
            if math.isfinite(ra) and math.isfinite(dec):
                parts.append(f"{ra:.7f} {dec:.7f}")
        return parts

    def flags(self) -> list[str]:
        """Return the mask planes and bits of the pixel under the cursor; dots while it is read."""
        if self._tile is not None and self._tile.holds(self.x, self.y):
            return self._tile.flags(self.x, self.y)
        return ["..."]

    @property
    def _cells(self) -> tuple[int, int]:
        """Columns and lines of the picture."""
        return max(1, self.size.width), max(1, self.size.height - _ABOVE)

    def _changed(self) -> None:
        """Draw anew, and ask for what is missing."""
        if self.facts is not None and self.size.width:
            if self._fitted:
                self._port.fit(*self._cells)
                if self._opening:
                    self._port.thicken()
            self._ask()
        self._lines = None
        self.refresh()

    def _ask(self) -> None:
        """Ask for the tile of the cursor and the part of the image, if they are not there."""
        facts = self.facts
        assert facts is not None

        def failed(problem: str) -> None:
            self.problem = problem
            self._lines = None
            self.refresh()

        if self._tile is None or not self._tile.holds(self.x, self.y):
            x, y = self.x, self.y

            def take_tile(tile: Tile) -> None:
                self._tile = tile
                self._lines = None
                self.refresh()

            self._loader.ask("tile", lambda a: images.read_tile(a, facts, x, y), take_tile, failed)
        zoom = max(self._port.zoom, 0)
        rows, columns = self._port.blocks(*self._cells)
        if self._region is not None and self._region.holds(zoom, rows, columns):
            return
        wide_rows, wide_columns = self._port.blocks(*self._cells, margin=0.5)

        def take(region: Region) -> None:
            self._region = region
            self._lines = None
            self.refresh()

        self._loader.ask(
            "region",
            lambda a: images.read_region(a, facts, zoom, wide_rows, wide_columns),
            take,
            failed,
        )

    def on_resize(self) -> None:
        """Fit or keep the middle."""
        self._changed()

    def on_focus(self) -> None:
        """Say in the title that keys come here."""
        self._lines = None
        self.refresh()

    def on_blur(self) -> None:
        """Say in the title that keys go elsewhere."""
        self._lines = None
        self.refresh()

    # -- drawing ---------------------------------------------------------------------------------

    @property
    def _greys(self) -> int:
        if not self._colored:
            return len(halfblocks.RAMP)
        return _GREYS if self.app.console.color_system == "truecolor" else _FEW_GREYS

    def _style(self, number: int) -> Any:
        if number < _IMAGE:
            return paint.spectrum_style(number, self._colored)
        return paint.image_style(number - _IMAGE, self._greys, self._colored)

    def render_line(self, y: int) -> Strip:
        """Return a line of the drawing."""
        if self._lines is None:
            self._lines = strips(self._drawn(), self._style)
        if y < len(self._lines):
            return self._lines[y]
        return Strip.blank(self.size.width, self._style(0))

    def _drawn(self) -> Canvas:
        width, height = self.size.width, self.size.height
        canvas = Canvas.blank(height, width)
        facts = self.facts
        if facts is None:
            return canvas
        strong = paint.STRONG_STYLE if self.has_focus else paint.TEXT_STYLE
        if self.problem:
            canvas.write(_ABOVE, 1, joined([f"! {self.problem}"], width - 1), paint.MARK_STYLE)
        elif self._region is not None and height > _ABOVE:
            self._draw_picture(canvas, self._region)
        elif height > _ABOVE:
            canvas.write(_ABOVE, 1, "reading ...", paint.DIM_STYLE)
        low, high = self._limits
        title = "▶" * self.has_focus + " " * (not self.has_focus) + facts.name
        part = "" if self._port.whole(*self._cells) else " part"
        about = [
            self._port.scale + part, self._compass or "no WCS", "x masked" if self.marks else "",
            f"means of {self._port.step} x {self._port.step}" if self._port.step > 1 else "",
        ]  # fmt: skip
        paint.headline(canvas, 0, title, about, strong, keep=2)
        canvas.write(1, 1, joined(self.readout(), width - 1), paint.TEXT_STYLE)
        flags = " " + joined(self.flags(), width - 1)
        said = [f"{self.stretch} {low:.4g} to {high:.4g}", facts.unit]
        paint.headline(canvas, 2, flags, said, paint.TEXT_STYLE)
        return canvas

    def _draw_picture(self, canvas: Canvas, region: Region) -> None:
        columns, lines = self._cells
        lines = min(lines, canvas.size[0] - _ABOVE)
        values, inside, masked = self._port.pick(region, columns, lines)
        count = self._greys
        if self.stretch == halfblocks.STRETCHES[-1]:
            seen = values[inside & ~masked] if (inside & ~masked).any() else values[inside]
            self._limits = halfblocks.limits(seen, self.stretch)
        bright = halfblocks.levels(values, *self._limits, self.stretch, count)
        marked = masked & self.marks
        picture = halfblocks.half_blocks(bright, inside, marked, count, colored=self._colored)
        canvas.chars[_ABOVE:, :] = picture.chars
        canvas.styles[_ABOVE:, :] = picture.styles + _IMAGE
        column, row = self._port.cell_of(self.x, self.y, columns, lines)
        line = _ABOVE + lines - 1 - row // 2
        left, right = "⌈⌉" if row % 2 else "⌊⌋"
        for where, bracket in ((column - 1, left), (column + 1, right)):
            if 0 <= where < columns and _ABOVE <= line < canvas.size[0]:
                canvas.chars[line, where] = ord(bracket)
                style = int(canvas.styles[line, where])
                marks = (count + 1) ** 2
                if style == _IMAGE:
                    canvas.styles[line, where] = paint.MARK_STYLE
                elif style - _IMAGE <= marks:
                    canvas.styles[line, where] = style + marks

    # -- moving ----------------------------------------------------------------------------------

    def action_move(self, right: int, up: int) -> None:
        """Move by pixels of the screen, at least one of the image each."""
        step = self._port.step
        self.move_to_pixel(self.x + right * step, self.y + up * step)

    def action_zoom(self, way: int) -> None:
        """Zoom around the cursor."""
        if self.facts is not None and self._port.zoom_by(way, self.x, self.y, *self._cells):
            self._fitted = False
            self._changed()

    def action_fit(self) -> None:
        """Show the whole image."""
        self._fitted, self._opening = True, False
        self._changed()

    def action_original(self) -> None:
        """Show a pixel as a pixel, around the cursor."""
        if self.facts is not None:
            self._port = Viewport(self.facts.shape, 0, float(self.x), float(self.y))
            self._fitted = False
            self._changed()

    def action_center(self) -> None:
        """Put the cursor's pixel into the middle."""
        self._port.x, self._port.y = float(self.x), float(self.y)
        self._fitted = False
        self._changed()

    def action_stretch(self) -> None:
        """Take the next stretch."""
        place = halfblocks.STRETCHES.index(self.stretch) + 1
        self.stretch = halfblocks.STRETCHES[place % len(halfblocks.STRETCHES)]
        if self.facts is not None:
            self._limits = halfblocks.limits(self.facts.sample, self.stretch)
        self._changed()

    def action_marks(self) -> None:
        """Show or hide the marks of masked pixels."""
        self.marks = not self.marks
        self._changed()

    def on_click(self, event: events.Click) -> None:
        """Put the cursor there."""
        if self.facts is None or event.y < _ABOVE:
            return
        x, y = self._port.pixel_of(event.x, event.y - _ABOVE, *self._cells)
        ny, nx = self.facts.shape
        if 0 <= x < nx and 0 <= y < ny:
            self.move_to_pixel(x, y)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """Zoom in."""
        event.stop()
        self.action_zoom(-1)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """Zoom out."""
        event.stop()
        self.action_zoom(1)
