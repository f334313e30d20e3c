"""``corecube plot``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from corecube_cli.console import console, count, width_of
from corecube_cli.parameters import Archive, command, help_text, new_app

app = new_app()

_HELP = help_text(
    "Draw all fluxes of one position in one unit, and list them.",
    "corecube plot s82.corecube 38.301799 -0.133922 -o star.png",
    "corecube plot s82.corecube 38.301799 -0.133922 --aperture 7.36arcsec --unit AB -o star.pdf",
    "corecube plot s82.corecube name:0412-51871-0308 -o star.png --format csv",
    more="POSITION is as for 'query'. Sums over an aperture of each image, the same under each "
    "fibre, spectra through passbands, and the catalogue's fluxes stand in one table, each with "
    "sigma and unit; the picture shows them with the spectra, and beside it, under the same name, "
    "lies a JSON file of the numbers. Passbands come from the instruments, or with --curves from a "
    "CSV file (band, wavelength, response) or a set of speclite, as sdss2010. Pictures need "
    "matplotlib.",
)
_ENDS = (".png", ".svg", ".pdf")
_FORMATS = ("table", "csv", "json")
_UNITS = ("flambda", "AB", "nanomaggy", "Jy")
_APERTURE = "3arcsec"
_MATCH = "2arcsec"
_SHORT = ("kind", "band", "wavelength", "flux", "sigma", "unit", "coverage", "name", "what", "note")
"""Columns for people; files have all."""
_DIGITS = {"wavelength": 6, "flux": 6, "sigma": 3, "coverage": 4}
"""Significant digits for people."""


@command(app, "plot", _HELP)
def plot_position(
    archive: Archive,
    position: Annotated[list[str], typer.Argument(metavar="POSITION", help="Where to look.")],
    output: Annotated[
        str,
        typer.Option("--output", "-o", metavar="FILE", help="The picture: .png, .svg or .pdf."),
    ],
    aperture: Annotated[
        str | None,
        typer.Option("--aperture", metavar="R", help=f"Radius on images; default: {_APERTURE}."),
    ] = None,
    radius: Annotated[
        str | None,
        typer.Option(
            "--radius", "-r", metavar="R",
            help=f"How far fibres and catalogued objects may lie; default: {_MATCH}.",
        ),
    ] = None,
    unit: Annotated[
        str,
        typer.Option(
            "--unit", metavar="UNIT",
            help="flambda (default; 1e-17 erg / (s cm2 Angstrom)), AB, nanomaggy or Jy.",
        ),
    ] = "flambda",
    exact: Annotated[
        bool,
        typer.Option(
            "--exact", help="Count pixels by their overlap with the aperture, not by their centre."
        ),
    ] = False,
    any_coverage: Annotated[
        bool,
        typer.Option(
            "--any-coverage", help="Take spectra through bands that they cover by less than 95 %."
        ),
    ] = False,
    curves: Annotated[
        str | None,
        typer.Option(
            "--curves", metavar="NAME", help="Passbands: a file, or a set of speclite."
        ),
    ] = None,
    format: Annotated[
        str,
        typer.Option(
            "--format", "-f", metavar="FORMAT",
            help="Of the table on stdout: table (default), csv or json.",
        ),
    ] = "table",
) -> int:  # fmt: skip
    """Draw and list all fluxes of a position and return the exit code."""
    from corecube.angles import parse_radius
    from corecube.archive import open_archive
    from corecube.measuring import SCALES, measure, panel_of, table_of
    from corecube.measuring.scales import numbers_of
    from corecube.photometry.curves import curves_of
    from corecube.reports import plain
    from corecube_cli.asking import read_position, understood
    from corecube_cli.failures import NOTHING_FOUND
    from corecube_cli.formats import write_rows
    from corecube_cli.outputs import check_writable, write_text
    from corecube_cli.settings import found_instrument

    picture = _checked(output, unit, format)
    beside = picture.with_suffix(".json")
    for path in (picture, beside):
        check_writable(str(path))
    passbands = None if curves is None else curves_of(curves)
    around, match = parse_radius(aperture or _APERTURE), parse_radius(radius or _MATCH)
    with open_archive(archive) as opened:
        where = read_position(opened, " ".join(position))
        console.say(understood(where, match))
        found = measure(
            opened, where.ra, where.dec, around * 3600.0, match=match * 3600.0, exact=exact,
            least=0.0 if any_coverage else 0.95, find=found_instrument, curves=passbands,
        )  # fmt: skip
    for line in found.says:
        console.warn(line)
    scale = SCALES[unit]
    numbers = plain(numbers_of(found, scale))
    text = json.dumps(numbers, indent=1, ensure_ascii=False, allow_nan=False)
    write_text(str(beside), text + "\n")
    written = [beside]
    table = table_of(found, scale)
    if format == "table":
        table = _for_people(table)
    write_rows(table, format, sys.stdout, width=width_of(sys.stdout), command=console.command)
    sys.stdout.flush()
    panel = panel_of(found, scale)
    if panel is None:
        console.say(f"nothing to draw there; the empty table is in {beside}")
        return NOTHING_FOUND
    if _drawn(panel, picture):
        written.insert(0, picture)
    fluxes = count(len(found.fluxes), "flux", "fluxes")
    spectra = count(len(found.spectra), "spectrum", "spectra")
    console.say(f"{fluxes} and {spectra}; written: {', '.join(map(str, written))}")
    return 0


def _checked(output: str, unit: str, format: str) -> Path:
    from corecube_cli.failures import UsageProblem

    picture = Path(output)
    if picture.suffix.lower() not in _ENDS:
        raise UsageProblem(f"'{output}': the name of a picture ends with {', '.join(_ENDS)}")
    if unit not in _UNITS:
        raise UsageProblem(f"'{unit}' is no unit of this command; there are: {', '.join(_UNITS)}")
    if format not in _FORMATS:
        raise UsageProblem(f"'{format}' is no format here; there are: {', '.join(_FORMATS)}")
    return picture


def _for_people(table: Any) -> Any:
    """Return fewer columns and digits."""
    from dataclasses import replace

    fields = {}
    for name in _SHORT:
        field = table[name]
        if name in _DIGITS:
            digits = _DIGITS[name]
            rounded = [float(f"{value:.{digits}g}") for value in field.values.tolist()]
            field = replace(field, values=rounded)
        fields[name] = field
    return type(table)(fields, table.meta)


def _drawn(panel: Any, path: Path) -> bool:
    from corecube_cli.drawing import can_draw, draw
    from corecube_cli.outputs import write_whole

    if not can_draw():
        return False
    data = draw(panel, path.suffix.lower()[1:])
    write_whole(path, lambda file: _all(file, data))
    return True


def _all(file: Any, data: bytes) -> None:
    file.write(data)
