"""Scenes in the browser, on small archives."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import corecube
from corecube import masks
from corecube.text import number_text
from corecube_cli.browse import images
from corecube_cli.browse.app import BrowseApp
from corecube_cli.browse.helptext import Help
from corecube_cli.main import run

Browse = Any
Scene = Any
SIZES = [(80, 24), (200, 60)]
HARMFUL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def value_text(value: Any, error: Any) -> str:
    """What the screen must say of a value: all digits of its type."""
    sigma = number_text(error) if np.isfinite(error) else "?"
    return f"{number_text(value) if not np.isnan(value) else '--'} ± {sigma}"


@pytest.mark.parametrize("size", SIZES)
def test_from_the_tree_to_a_spectrum_and_back(
    browse: Browse, toy_archive: Path, size: tuple[int, int]
) -> None:
    async def scene(s: Scene) -> None:
        assert "toy.corecube" in s.text and "3 shots" in s.lines[0]
        assert "all spectra  3" in s.text and "plate/1  9 spectra" in s.text
        await s.press("down", "down", "enter")  # all spectra
        assert s.app.has_class("at-rows")
        assert "toy: all spectra" in s.text and "3 rows" in s.text
        assert "10.0000000" in s.text and "a-2" in s.text
        assert "toy/plate/1/stars/a-0" in s.text  # the view follows
        await s.press("j", "enter")
        assert s.app.has_class("at-view")
        assert "toy/plate/1/stars/a-1" in s.text
        assert s.app.spectrum.spectrum.place.row == 1
        await s.press("q")
        assert s.app.is_running  # q quits only from the top
        await s.press("escape")
        assert s.app.has_class("at-rows")
        await s.press("escape")
        assert s.app.has_class("at-tree")
        await s.pilot.press("q")
        await s.until(lambda: not s.app.is_running, "the end")
        assert s.app.return_value == 0

    browse(toy_archive, scene, size)


def test_a_rest_that_ends_while_enter_is_pressed_changes_nothing(
    browse: Browse, toy_archive: Path
) -> None:
    async def scene(s: Scene) -> None:
        await s.press("down", "down", "enter")
        source = s.app.rows.source
        s.app._later(lambda: s.app._open(source.place(0), focus=False))
        on_its_way = s.app._rest._callback  # the timer has run out, but Enter is handled first
        s.app._open(source.place(1), focus=True)
        on_its_way()
        await s.quiet()
        assert s.app.has_class("at-view")
        assert s.app.spectrum.spectrum.place.row == 1

    browse(toy_archive, scene, (80, 24))


def test_the_read_out_is_what_is_stored(browse: Browse, toy_archive: Path) -> None:
    with corecube.open(toy_archive) as archive:
        stored: Any = archive.get("toy/plate/1/stars/a-1").spectrum()  # type: ignore[union-attr]
        picture: Any = archive.get("toy/field/2/g").frame()  # type: ignore[union-attr]

    async def scene(s: Scene) -> None:
        await s.press("enter")
        for pixel in (0, 3, 5):
            s.app.spectrum.move_to_pixel(pixel)
            await s.quiet()
            assert f"pixel {pixel} " in s.text
            assert value_text(stored.flux[0, pixel], stored.error[0, pixel]) in s.text
            assert f"{stored.wave.wavelength()[pixel]:.10g} Angstrom" in s.text
            assert "mask none" in s.text

    browse(toy_archive, scene, question="toy/plate/1/stars/a-1")

    async def look(s: Scene) -> None:
        await s.press("enter")
        assert s.app.image.facts.levels > 0
        for x, y in ((0, 0), (499, 299), (123, 45)):
            s.app.image.move_to_pixel(x, y)
            await s.quiet()
            assert f"x {x} y {y} " in s.text
            assert value_text(picture.flux[y, x], picture.error[y, x]) in s.text
            own = {0: "", 1: "own a", 2: "own b", 3: "own a, b"}[(y * 500 + x) % 4]
            assert own in s.text
            ra, dec = (float(part) for part in picture.wcs.all_pix2world(x, y, 0))
            assert f"{ra:.7f} {dec:.7f}" in s.text

    browse(toy_archive, look, question="toy/field/2/g")


def test_a_position_gives_spectra_and_images_in_one_list(browse: Browse, toy_archive: Path) -> None:
    async def scene(s: Scene) -> None:
        await s.press("slash")
        await s.press(*"10 -20", "tab", *["backspace"] * 8, *"1arcsec", "enter")
        assert "10.000000 -20.000000 (ICRS, degrees) within 1.000 arcsec" in s.text
        rows = [line.split()[:2] for line in s.lines if "toy/" in line and "deg" not in line]
        assert [kind.strip("▶") for kind, _ in rows[:3]] == ["spectrum", "spectrum", "image"]
        await s.press("j", "j", "enter")
        assert s.app.image.facts.name == "toy/field/1/r"
        x, y = s.app.image.x, s.app.image.y
        ra, dec = s.app.image.facts.to_sky(x, y)
        assert abs(dec + 20) < 1e-4 and abs(ra - 10) < 2e-4  # the cursor stands there
        await s.find("nobody")
        assert "there is nothing named 'nobody'" in s.text
        assert s.app.prompt.display
        await s.press(*["backspace"] * 6, *"10 -95", "enter")
        assert "! no position in '10 -95'" in s.text
        await s.press("escape")
        assert not s.app.prompt.display and s.app.has_class("at-view")
        await s.press("slash", "up", "up", "enter")  # what was asked before
        assert "nobody" in s.app.prompt.problem
        await s.press("escape")
        await s.find("row 2")
        assert s.app.rows.cursor == 1 and s.app.has_class("at-rows")

    browse(toy_archive, scene)


def test_exposures_and_what_lies_at_the_same_place(browse: Browse, toy_archive: Path) -> None:
    async def scene(s: Scene) -> None:
        await s.press("e")
        assert "more spectra of toy/plate/1/stars/a-1" in s.text
        assert s.app.rows.source.count == 2
        assert "toy/plate/1/single/a-1.0" in s.text
        await s.press("x")
        assert s.app.rows.source.count == 3  # itself, its neighbour 0.3 arcsec away, the image
        await s.press("e", "d")
        assert s.app.has_class("at-details")
        assert "stars/a-" in s.app.details.plain and "gain" in s.app.details.plain
        await s.press("d")
        assert s.app.has_class("at-rows")

    browse(toy_archive, scene, question="toy/plate/1/stars/a-1")


def test_odd_frames(browse: Browse, odd: Any) -> None:
    """Wavelengths in pixels, NaN, no place on the sky, no WCS, no pixels at all."""
    with corecube.open(odd.path) as archive:
        picture: Any = archive.get("odd/odd/1/detector").frame()  # type: ignore[union-attr]

    async def scene(s: Scene) -> None:
        await s.press("enter")
        assert "no WCS" in s.text
        for x, y in ((6, 5), (20, 10), (299, 199)):
            s.app.image.move_to_pixel(x, y)
            await s.quiet()
            names = ", ".join(masks.names(int(picture.mask[y, x]))) or "none"
            assert f"mask {names}" in s.text
            assert value_text(picture.flux[y, x], picture.error[y, x]) in s.text
        s.app.image.move_to_pixel(20, 10)
        await s.press("1")
        assert any("x" in line for line in s.lines[4:])  # the masked pixel has its glyph
        for key in ("plus",) * 6 + ("minus",) * 14 + ("0", "s", "s", "m", "c", "L", "J"):
            await s.pilot.press(key)
        await s.quiet()
        await s.press("x")
        assert s.app.is_running

    browse(odd.path, scene, question="odd/odd/1/detector")

    async def spectra(s: Scene) -> None:
        await s.press("down", "down", "enter", "enter")
        view = s.app.spectrum
        assert view.spectrum.shown.size == 40
        view.move_to_pixel(3)
        await s.quiet()
        assert "pixel 3 " in s.text and "mask cosmic_ray" in s.text and "pix" in s.text
        for key in ("left", "right", "plus", "plus", "plus", "minus", "0", "r", "n", "N", "end"):
            await s.pilot.press(key)
        await s.press("right_square_bracket")
        assert view.spectrum.shown.size == 30  # the padding is not shown
        await s.press("right_square_bracket")
        assert "no valid pixel here" in s.text
        assert s.app.is_running

    browse(odd.path, spectra)

    async def all_of_them(s: Scene) -> None:
        await s.press("down", "down", "enter")
        assert s.app.rows.source.count == 6
        await s.press("end")
        assert "no pixels are stored" in s.text
        await s.press("e", "enter")
        assert s.app.spectrum.spectrum.name == "odd/odd/1/of sources/f2"

    browse(odd.path, all_of_them, (200, 60))


@pytest.mark.parametrize("size", [(50, 14)])
def test_extreme_frames(browse: Browse, odd: Any, tmp_path: Path, size: tuple[int, int]) -> None:
    (tmp_path / "more.file").write_bytes(b"ODD2")
    odd.ingest("odd", tmp_path / "more.file", odd.path)

    async def scene(s: Scene) -> None:
        for name in ("one", "slit", "masked", "nan", "constant"):
            await s.find(f"odd/odd/2/{name}")
            await s.press("enter")
            assert s.app.image.facts.name == f"odd/odd/2/{name}"
            picture = "".join(s.lines[-8:-1])
            if name in ("masked", "nan"):
                assert "xxx" in picture
                await s.press("m")
                assert "xxx" not in "".join(s.lines[-8:-1])
                await s.press("m")
            if name == "slit":  # not a line of one pixel
                assert "part" in s.text and s.app.image._port.step == 1
            assert ("7.0 ± 1.0 adu" in s.text) == (name == "one")
            assert ("-- ± ? adu" in s.text) == (name == "nan")
            for key in ("s", "s", "s", "minus", "0", "L"):
                s.app.simulate_key(key)
            await s.quiet()
            assert ("part" in s.lines[1]) == (name == "slit" and not s.app.image._port.whole(
                *s.app.image._cells))  # fmt: skip
        for name, words in (
            ("spectra/nan", "-- ± ?"), ("spectra/constant", "1.0 ± ?"),
            ("spectra/huge", "band ±1 sigma"), ("spectra/no error", "1.0 ± ?"),
            ("short/one", "5000 Angstrom"),
        ):  # fmt: skip
            await s.find(f"odd/odd/2/{name}")
            await s.press("enter")
            assert words in s.text and "no unit" in s.text
            for key in ("plus", "r", "n", "end", "0"):
                s.app.simulate_key(key)
            await s.quiet()
        assert s.app.is_running

    browse(odd.path, scene, size)


@pytest.mark.parametrize("size", SIZES)
def test_text_from_files_is_shown_and_not_obeyed(
    browse: Browse, odd: Any, size: tuple[int, int]
) -> None:
    async def scene(s: Scene) -> None:
        seen = [s.text]
        await s.press("enter", "d", "pagedown")
        seen += [s.text, s.app.details.plain]
        await s.press("escape", "escape", "escape", "home", "j", "j", "j", "right", "d", "end")
        seen += [s.text, s.app.details.plain]
        await s.press("escape")
        await s.find("name:f1")
        seen.append(s.text)
        everything = "\n".join(seen)
        assert not HARMFUL.search(everything)
        assert "[/] [bold]b[/bold] [@click=app.quit]c[/]" in everything
        assert "\\x1b]52;c;eA==\\x07" in everything and "\\u202e :smile:" in everything
        assert s.app.is_running

    browse(odd.path, scene, size, question="odd/odd/1/extracted/f0")


@pytest.mark.parametrize("size", [(1, 1), (20, 5), (49, 24), (80, 13)])
def test_a_terminal_too_small_says_so(
    browse: Browse, toy_archive: Path, size: tuple[int, int]
) -> None:
    async def scene(s: Scene) -> None:
        if size[0] >= 20:
            assert s.text.strip().startswith("corecube browse nee")
        await s.pilot.resize_terminal(80, 24)
        await s.quiet()
        assert "all spectra" in s.text

    browse(toy_archive, scene, size)


def test_resizing_everywhere(browse: Browse, toy_archive: Path) -> None:
    async def scene(s: Scene) -> None:
        await s.press("enter")
        for size in ((200, 60), (50, 14), (3, 3), (110, 30), (1, 1), (80, 24)):
            await s.pilot.resize_terminal(*size)
            await s.quiet()
        assert "toy/plate/1/stars/a-0" in s.text
        await s.press("escape")
        for size in ((200, 60), (50, 14), (2, 1), (80, 24)):
            await s.pilot.resize_terminal(*size)
            await s.quiet()
        assert s.app.is_running

    browse(toy_archive, scene, question="toy/plate/1/stars/a-0")


def test_a_damaged_shot_is_a_line_and_the_rest_goes_on(browse: Browse, toy_archive: Path) -> None:
    path = next((toy_archive / "shots" / "toy" / "field").glob("1.*.h5"))
    path.write_bytes(path.read_bytes()[:2000])

    async def scene(s: Scene) -> None:
        await s.find("field/1/r")
        await s.press("enter")
        assert "! " in s.text and "field/1" in s.text and "damaged" in s.text
        await s.find("field/2/g")
        await s.press("enter")
        assert s.app.image.facts.name == "toy/field/2/g" and s.app.image.display

    browse(toy_archive, scene)


def test_a_missing_file_is_a_line_in_the_table_too(browse: Browse, toy_archive: Path) -> None:
    path = next((toy_archive / "shots" / "toy" / "plate").glob("1.*.h5"))

    async def scene(s: Scene) -> None:
        path.unlink()
        await s.press("down", "down", "enter")
        assert "! " in s.text and "is missing" in s.text
        await s.press("escape", "down", "enter")
        assert s.app.rows.source.count == 2  # the images

    browse(toy_archive, scene)


def test_what_others_write_is_seen(
    browse: Browse, toy: Any, toy_archive: Path, tmp_path: Path
) -> None:
    async def scene(s: Scene) -> None:
        assert "3 shots" in s.lines[0]
        new = toy.image(tmp_path / "new.toy", "field/9", "z", ra=77.0, dec=7.0)
        environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        words = ["-q", "ingest", "-i", "toy", str(new), "-a", str(toy_archive), "-j", "1"]
        subprocess.run(
            [sys.executable, "-m", "corecube_cli", *words], env=environ, check=True, timeout=60
        )
        await s.find("77 7")
        assert "toy/field/9/z" in s.text  # the next question sees it
        await s.until(lambda: "4 shots" in s.lines[0], "the new tree")

    browse(toy_archive, scene)


def test_help_names_every_key(browse: Browse, toy_archive: Path) -> None:
    async def scene(s: Scene) -> None:
        await s.press("question_mark")
        assert type(s.app.screen) is Help
        assert "everywhere" in s.text and "go to a position or a name" in s.text
        await s.press("j", "j", "k", "escape")
        assert type(s.app.screen) is not Help
        assert "Go to" in s.lines[-1] and "Help" in s.lines[-1]

    browse(toy_archive, scene)


def test_the_mouse_does_the_same(browse: Browse, toy_archive: Path) -> None:
    async def scene(s: Scene) -> None:
        await s.pilot.click("#rows", offset=(5, 3))
        await s.quiet()
        assert s.app.rows.cursor == 1
        await s.pilot.click("#rows", offset=(5, 3))
        await s.quiet()
        assert s.app.has_class("at-view")
        await s.pilot.click("#spectrum", offset=(12, 8))
        await s.quiet()
        assert s.app.spectrum.pixel == 0

    browse(toy_archive, scene, question="10 -20")


def test_a_read_in_the_event_loop_is_caught(
    browse: Browse, toy_archive: Path, monkeypatch: pytest.MonkeyPatch,
    only_the_archives_thread: list[str],
) -> None:  # fmt: skip
    """The guard of all other scenes: a question to the archive, or a file that is opened."""

    def asks(app: BrowseApp) -> None:
        app.loader._opened().record("toy/plate/1")

    def opens(app: BrowseApp) -> None:
        (app.path / "manifest.json").read_bytes()

    async def scene(s: Scene) -> None:
        await s.press("question_mark")

    monkeypatch.setattr(BrowseApp, "action_help", asks)
    with pytest.raises(AssertionError, match=r"Archive\.record in MainThread"):
        browse(toy_archive, scene)
    only_the_archives_thread.clear()
    monkeypatch.setattr(BrowseApp, "action_help", opens)
    with pytest.raises(AssertionError, match=r"manifest\.json"):
        browse(toy_archive, scene)


def test_a_wide_screen_begins_with_all_shots(browse: Browse, toy_archive: Path) -> None:
    async def scene(s: Scene) -> None:
        assert "all shots   3 rows" in s.text and s.app.branches.has_focus
        assert "generation" in s.app.details.plain  # those of the tree's line, not of the row's
        s.app.rows.focus()
        await s.press("j", "enter")
        assert s.app.has_class("at-tree") and s.app.branches.has_focus
        assert s.app.branches.cursor_node.data == s.app.rows.source.place(1)

    browse(toy_archive, scene, (200, 60))

    async def small(s: Scene) -> None:
        assert "all shots" not in s.text
        await s.pilot.resize_terminal(200, 60)
        await s.quiet()
        assert "all shots   3 rows" in s.text

    browse(toy_archive, small)


def test_an_archive_that_is_removed_is_said(browse: Browse, toy_archive: Path) -> None:
    async def scene(s: Scene) -> None:
        toy_archive.rename(toy_archive.with_suffix(".gone"))
        await s.press("down", "down", "enter")
        assert s.app.is_running and "! " in s.text and "there is no archive" in s.text
        toy_archive.with_suffix(".gone").rename(toy_archive)
        await s.find("field/2/g")
        await s.press("enter")
        assert s.app.image.facts.name == "toy/field/2/g"

    browse(toy_archive, scene)


def test_keys_and_sizes_in_any_order(browse: Browse, toy_archive: Path) -> None:
    """Nothing that is typed, at whatever size, ends the browser or leaves it waiting."""
    words = (
        "enter up down left right j k h l g G plus minus n N r s m c 0 1 e x d tab shift+tab space "
        "question_mark escape slash pageup pagedown home end right_square_bracket"
    )
    keys = words.split()
    rng = np.random.default_rng(20261121)

    async def scene(s: Scene) -> None:
        for size in ((80, 24), (7, 3), (200, 60), (50, 14), (120, 31)):
            await s.pilot.resize_terminal(*size)
            for key in rng.choice(keys, 60).tolist():
                s.app.simulate_key(key)
        await s.pilot.resize_terminal(80, 24)
        await s.quiet()
        assert s.app.is_running
        await s.press("escape", "escape", "escape", "escape", "escape")
        assert s.app.has_class("at-tree")

    browse(toy_archive, scene, question="10 -20")


def test_the_unit_and_the_end_of_a_long_name_are_kept(
    browse: Browse, toy: Any, tmp_path: Path
) -> None:
    long = "a-very-long-name-of-a-plate-that-fills-all-of-a-line-of-a-terminal"
    toy.fibers(tmp_path / "raw" / "p.toy", f"plate/{long}", "fibre")
    archive = tmp_path / "long.corecube"
    words = ["-q", "ingest", "-i", "toy", str(tmp_path / "raw"), "-a", str(archive), "-j", "1"]
    assert run(words) == 0

    async def scene(s: Scene) -> None:
        await s.press("enter")
        assert s.lines[1].startswith("▶toy/plate/a-very")
        assert "…" in s.lines[1] and "/stars/fibre-0" in s.lines[1] and "nanomaggy" in s.lines[1]

    browse(archive, scene, question=f"toy/plate/{long}/stars/fibre-0")


def test_a_slow_disk_stops_neither_keys_nor_sizes(
    browse: Browse, toy_archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = threading.Event()
    plain = images.read_region

    def slow(*args: Any) -> Any:
        assert gate.wait(30)
        return plain(*args)

    monkeypatch.setattr(images, "read_region", slow)

    async def scene(s: Scene) -> None:
        s.app._search("toy/field/2/g", "2arcsec")
        await s.until(lambda: "reading ..." in s.text and "reading" in s.lines[0], "the wait")
        await s.pilot.press("enter", "plus", "minus", "s", "l", "J")
        for size in ((200, 60), (20, 5), (80, 24)):
            await s.pilot.resize_terminal(*size)
        await s.pilot.press("escape", "escape", "home", "down")
        assert s.app.has_class("at-tree") and s.app.branches.cursor_line == 1
        assert not gate.is_set() and s.app.loader.busy() > 0
        gate.set()
        await s.quiet()
        assert s.app.image._region is not None and s.app.has_class("at-tree")

    browse(toy_archive, scene)
