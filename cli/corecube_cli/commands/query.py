"""``corecube query``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from corecube_cli import failures
from corecube_cli.console import console, count
from corecube_cli.parameters import Archive, Json, command, help_text, new_app, words

if TYPE_CHECKING:
    from corecube import archive as archives
    from corecube_cli.asking import Answer

app = new_app()

_HELP = help_text(
    "Find images and spectra by position, time and other values.",
    "corecube query s82.corecube 38.301799 -0.133922 --radius 2arcsec",
    "corecube query s82.corecube 02:33:12.43 -00:08:02.1 --band r,i --format csv -o star.csv",
    "corecube query s82.corecube 38.3018 -0.1339 --cutouts cutouts --size 100 --spectra spectra",
    "corecube query s82.corecube 38.301799 -0.133922 --size 64 --level 1 --cube star.h5",
    "corecube query s82.corecube 38.301799 -0.133922 --cube grid.h5 --pixels 41,0.5 --bins own",
    "corecube query s82.corecube @targets.csv --radius 1arcsec --format votable -o found.vot",
    "corecube query s82.corecube --where \"class == 'QSO' and z > 2\" --columns z,class",
    more="A position is in degrees (38.3018 -0.1339), sexagesimal, a name of the form "
    "J023312.43-000802.1, or name:TARGET for a target of the archive; icrs, fk5, fk4, galactic or "
    "ecliptic may follow. @FILE is the same as --positions FILE. Without a position, everything "
    "that the filters select is found.",
)
_RADIUS = "2arcsec"
_SHOWN = 10
"""Targets without a match that are named on stderr."""


@command(app, "query", _HELP)
def query_archive(
    archive: Archive,
    position: Annotated[
        list[str] | None, typer.Argument(metavar="POSITION", help="Where to look.")
    ] = None,
    positions: Annotated[
        str | None,
        typer.Option("--positions", metavar="FILE", help="Look at each position of a table."),
    ] = None,
    radius: Annotated[
        str | None, typer.Option("--radius", "-r", metavar="R", help=f"Default: {_RADIUS}.")
    ] = None,
    box: Annotated[
        str | None,
        typer.Option("--box", metavar="RA1,RA2,DEC1,DEC2", help="Degrees; RA may pass 0."),
    ] = None,
    polygon: Annotated[
        str | None,
        typer.Option("--polygon", metavar="RA,DEC,RA,DEC,...", help="Corners in degrees."),
    ] = None,
    where: Annotated[
        str | None, typer.Option("--where", metavar="EXPR", help="A filter on columns.")
    ] = None,
    time: Annotated[
        str | None,
        typer.Option("--time", metavar="FROM..TO", help="MJD (TAI) or dates (UTC)."),
    ] = None,
    band: Annotated[
        list[str] | None, typer.Option("--band", metavar="r,i", help="Only images in these bands.")
    ] = None,
    instrument: Annotated[
        list[str] | None,
        typer.Option("--instrument", metavar="NAME", help="Only of these instruments."),
    ] = None,
    exposures: Annotated[
        bool, typer.Option("--exposures", help="Also the single exposures of spectra.")
    ] = False,
    columns: Annotated[
        list[str] | None,
        typer.Option("--columns", metavar="NAMES", help="More columns, as z or sdss.z."),
    ] = None,
    format: Annotated[
        str | None,
        typer.Option(
            "--format",
            "-f",
            metavar="FORMAT",
            help="table, csv, json, ecsv, votable or fits; default: by the name of the output.",
        ),
    ] = None,
    json: Json = False,
    output: Annotated[
        str,
        typer.Option("--output", "-o", metavar="FILE", help="Default: stdout.", show_default=False),
    ] = "-",
    cutouts: Annotated[
        str | None,
        typer.Option("--cutouts", metavar="DIR", help="Write a FITS cutout of each image."),
    ] = None,
    size: Annotated[
        int | None, typer.Option("--size", metavar="N", help="Pixels of a cutout; default: 64.")
    ] = None,
    spectra: Annotated[
        str | None,
        typer.Option("--spectra", metavar="DIR", help="Write a FITS file of each spectrum."),
    ] = None,
    cube: Annotated[
        str | None,
        typer.Option(
            "--cube", metavar="FILE", help="Write all images and spectra into one .h5 or .fits."
        ),
    ] = None,
    level: Annotated[
        int | None,
        typer.Option("--level", metavar="K", help="Of the cube: 0 all pixels (default), 1 half."),
    ] = None,
    wavelength: Annotated[
        str | None,
        typer.Option(
            "--wavelength", metavar="A..B", help="Of the cube's spectra and images, Angstrom."
        ),
    ] = None,
    unit: Annotated[
        str | None,
        typer.Option("--unit", metavar="UNIT", help="Of the cube: nanomaggy (default) or stored."),
    ] = None,
    pixels: Annotated[
        str | None,
        typer.Option(
            "--pixels",
            metavar="SIZE,SCALE",
            help="In the cube also the images on common pixels, SCALE arcsec each.",
        ),
    ] = None,
    bins: Annotated[
        str | None,
        typer.Option(
            "--bins",
            metavar="own|A..B,N",
            help="In the cube also the spectra on common bins: their own, or N with centres "
            "from A to B, Angstrom.",
        ),
    ] = None,
    weighted: Annotated[
        bool,
        typer.Option("--weighted", help="In the cube also the spectra times the passbands."),
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Replace cutouts, spectra and cubes that are there.")
    ] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Stop at a row of the file that is no position.")
    ] = False,
    fail_empty: Annotated[
        bool, typer.Option("--fail-empty", help="Exit with 7 if nothing is found.")
    ] = False,
) -> int:
    """Ask an archive and return the exit code."""
    from corecube.archive import open_archive
    from corecube_cli.answers import write_answer

    format = _format(format, json, output)
    text = " ".join(position or ())
    if text.startswith("@"):
        positions, text = _one_of("@FILE", positions, text[1:]), ""
    _check_together(text, positions, box, polygon, radius, cutouts)
    of_cube = {
        "--level": level, "--wavelength": wavelength, "--unit": unit, "--pixels": pixels,
        "--bins": bins, "--weighted": weighted or None,
    }  # fmt: skip
    _check_cube(cube, positions, of_cube)
    wanted = None
    if cube is not None:
        from corecube_cli.cubing import Wanted, check_cube, write_cube

        if pixels is not None and not text:
            raise failures.UsageProblem("--pixels needs a position, such as 38.3018 -0.1339")
        wanted = Wanted(
            cube, level or 0, wavelength, unit or "nanomaggy", pixels, bins, weighted=weighted
        )
        check_cube(wanted, force)
    select: dict[str, Any] = {
        "where": where, "time": time, "bands": words(band), "instruments": words(instrument),
        "exposures": exposures, "columns": words(columns),
        "size": size if size is not None or (cutouts is None and cube is None) else 64,
    }  # fmt: skip
    select = {
        key: value for key, value in select.items()
        if value is not None and value is not False and value != ()
    }  # fmt: skip
    with open_archive(archive) as opened:
        _warn_of_unknown(opened, select)
        answer = _ask(opened, text, positions, radius, box, polygon, select, strict)
        if cutouts is not None or spectra is not None:
            from corecube_cli.taking import write_files

            write_files(answer, cutouts, spectra, size or 64, force)
        if wanted is not None:
            write_cube(opened, answer, wanted)
        write_answer(answer, format, output)
    console.say(_counted(answer) + (f"; written to {output}" if output != "-" else ""))
    return failures.NOTHING_FOUND if fail_empty and not len(answer) else 0


def _counted(answer: Answer) -> str:
    if not len(answer):
        return "nothing found"
    spectra, images = len(answer.fibers), len(answer.images)
    return f"{count(spectra, 'spectrum', 'spectra')}, {count(images, 'image')}"


def _format(format: str | None, json: bool, output: str) -> str:
    from corecube_cli.formats import FORMATS
    from corecube_cli.outputs import SUFFIXES

    if format is None:
        if json:
            return "json"
        return SUFFIXES.get(Path(output).suffix.lower(), "table")
    if format not in FORMATS:
        raise typer.BadParameter(
            f"'{format}' is none of {', '.join(FORMATS)}", param_hint="--format"
        )
    return format


def _one_of(name: str, first: str | None, second: str) -> str:
    if first is not None:
        raise failures.UsageProblem(f"{name} and --positions both name a file; give one")
    return second


def _check_together(
    text: str,
    positions: str | None,
    box: str | None,
    polygon: str | None,
    radius: str | None,
    cutouts: str | None,
) -> None:
    """Refuse options that do not fit together."""
    given = {
        "a position": bool(text), "--positions": positions is not None, "--box": box is not None,
        "--polygon": polygon is not None,
    }  # fmt: skip
    several = [name for name, is_there in given.items() if is_there]
    if len(several) > 1:
        raise failures.UsageProblem(f"{' and '.join(several)} do not go together; give one")
    if not text and positions is None:
        for name, value in (("--radius", radius), ("--cutouts", cutouts)):
            if value is not None:
                raise failures.UsageProblem(f"{name} needs a position, such as 38.3018 -0.1339")


def _check_cube(cube: str | None, positions: str | None, given: dict[str, Any]) -> None:
    """Refuse what says how a cube is to be where there is none, and cubes of many positions."""
    for name, value in given.items():
        if value is not None and cube is None:
            raise failures.UsageProblem(f"{name} belongs to --cube FILE; name the file")
    if cube is not None and positions is not None:
        raise failures.UsageProblem("--cube needs one position or region, not a file of positions")


def _warn_of_unknown(opened: archives.Archive, select: dict[str, Any]) -> None:
    """Say which instruments and bands the archive does not have: a slip would find nothing."""
    shots = opened.state.catalogue.by_identity.values()
    if not shots:
        return
    known = {
        "instruments": {shot.instrument for shot in shots},
        "bands": {about["band"] for shot in shots for about in shot.images.values()},
    }
    for key, names in known.items():
        for name in select.get(key, ()):
            if name not in names:
                there = ", ".join(sorted(names - {""})) or "none"
                console.warn(f"the archive has no {key[:-1]} '{name}'; it has: {there}")


def _ask(
    opened: archives.Archive,
    text: str,
    positions: str | None,
    radius: str | None,
    box: str | None,
    polygon: str | None,
    select: dict[str, Any],
    strict: bool,
) -> Answer:
    from corecube.angles import parse_radius
    from corecube_cli import asking

    degrees = parse_radius(radius or _RADIUS)
    if positions is not None:
        return _ask_file(opened, positions, degrees, select, strict)
    if text:
        place = asking.read_position(opened, text)
        console.say(asking.understood(place, degrees))
        asked = {"ra": place.ra, "dec": place.dec, "radius_arcsec": degrees * 3600.0}
        result = opened.cone((place.ra, place.dec), degrees, **select)
        return asking.answer_of(opened, result, asked)
    if box is not None:
        corners = asking.numbers_of(box, "--box", 4)
        if len(corners) != 4:
            raise failures.UsageProblem(f"--box '{box}': give RA1,RA2,DEC1,DEC2 in degrees")
        console.say("box RA {} to {}, Dec {} to {} (ICRS, degrees)".format(*corners))
        from corecube.archive.regions import Box

        around = Box(*corners)
        found = opened.region(around, **select)
        return asking.answer_of(opened, found, {"box": corners}, around)
    if polygon is not None:
        numbers = asking.numbers_of(polygon, "--polygon", 6)
        pairs = [list(pair) for pair in zip(numbers[::2], numbers[1::2], strict=True)]
        shown = ", ".join(f"{ra} {dec}" for ra, dec in pairs)
        console.say(f"polygon {shown} (ICRS, degrees)")
        from corecube.archive.polygon import Polygon

        inside = Polygon(pairs)
        found = opened.region(inside, **select)
        return asking.answer_of(opened, found, {"polygon": pairs}, inside)
    return asking.answer_of(opened, opened.everything(**select), {})


def _ask_file(
    opened: archives.Archive, name: str, degrees: float, select: dict[str, Any], strict: bool
) -> Answer:
    from corecube.angles import format_radius
    from corecube.positions import read_positions
    from corecube_cli import asking

    table = read_positions(name, strict=strict)
    console.say(f"{table.understood}, radius {format_radius(degrees)}")
    for problem in table.problems[:_SHOWN]:
        console.failure(problem.place, problem.reason)
    answer = asking.ask_many(opened, table, degrees, select)
    answer.asked = {"positions": table.source, "radius_arcsec": degrees * 3600.0}
    for target in answer.unmatched[:_SHOWN]:
        label = f" {target['name']}" if target["name"] else ""
        where = f"row {target['row']}{label} ({target['ra']:.6f} {target['dec']:.6f})"
        console.say(f"no match: {where}: {target['reason']}")
    for what, all_of in (("targets without a match", answer.unmatched), ("rows", answer.skipped)):
        if len(all_of) > _SHOWN:
            console.say(f"... {len(all_of) - _SHOWN} more {what}; --format json names them all")
    return answer
