"""``corecube export``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from corecube_cli.console import console, count, size_text
from corecube_cli.failures import PARTLY
from corecube_cli.parameters import Archive, command, help_text, new_app

if TYPE_CHECKING:
    from corecube import archive as archives
    from corecube.archive.catalogue import ShotRecord

app = new_app()

_HELP = help_text(
    "Write shots as HDF5 files for other tools, or spectra in other bins.",
    "corecube export s82.corecube --plain --output plain",
    "corecube export s82.corecube sdss/2820-3-0122 --plain --output plain",
    'corecube export s82.corecube --where "start > 53000" --plain --output plain',
    "corecube export s82.corecube 7330-56684-0434 --rebin 3600..10400,4620 --output bins",
    more="A file for each shot, with all arrays: also errors, levels and wavelengths that the "
    "archive computes, arrays of other shots, and masks that lists named later. Any HDF5 library "
    "reads it. Without a NAME all shots are written. The files written are printed. With --rebin "
    "each spectrum becomes a FITS table of bins of equal width: flux kept, errors propagated, and "
    "how far bins are covered and correlated.",
)


@command(app, "export", _HELP)
def export_shots(
    archive: Archive,
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="NAME", help="Of shots (all if not given) or spectra."),
    ] = None,
    plain: Annotated[
        bool,
        typer.Option("--plain", help="HDF5 with no filters but its own (the only form of shots)."),
    ] = False,
    rebin: Annotated[
        str | None,
        typer.Option(
            "--rebin", metavar="A..B,N", help="N bins whose centres reach from A to B, Angstrom."
        ),
    ] = None,
    output: Annotated[
        str | None, typer.Option("--output", "-o", metavar="DIR", help="Made if it is not there.")
    ] = None,
    instrument: Annotated[
        str | None, typer.Option("--instrument", "-i", metavar="NAME", help="Only of this one.")
    ] = None,
    where: Annotated[
        str | None,
        typer.Option("--where", metavar="FILTER", help="Only shots like this: 'fibers > 100'."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace files that are there.")] = False,
) -> int:
    """Write the files and return the exit code."""
    from corecube.archive import open_archive
    from corecube.archive.plainfile import export_plain
    from corecube.errors import ArchiveDamaged, NoSpace
    from corecube.text import printable
    from corecube_cli.failures import UsageProblem
    from corecube_cli.fitsfiles import file_name
    from corecube_cli.outputs import folder_for, refuse_existing

    if rebin is not None:
        from corecube_cli.rebinned import write_rebinned

        if plain or instrument is not None or where is not None:
            raise UsageProblem("--rebin goes with names of spectra and --output alone")
        if not output:
            raise UsageProblem("say where to: --output DIR")
        with open_archive(archive) as opened:
            write_rebinned(opened, names or [], rebin, output, force)
        return 0
    if not plain:
        raise UsageProblem("say in which form: --plain is the only one")
    if not output:
        raise UsageProblem("say where to: --output DIR")
    failed, written = 0, 0
    with open_archive(archive) as opened:
        records = _chosen(opened, names or [], instrument, where)
        if not records:
            console.say("no shot is selected; nothing was written")
            return 0
        folder = folder_for(output)
        taken: set[str] = set()
        paths = [
            folder / file_name(record.instrument, record.key, taken=taken, suffix=".h5")
            for record in records
        ]
        refuse_existing(paths, force)
        for record, path in zip(records, paths, strict=True):
            try:
                written += export_plain(opened.shot(record), path)
            except NoSpace:
                raise
            except ArchiveDamaged as error:
                console.error(f"{record.identity}: {error}")
                failed += 1
                continue
            print(printable(str(path)))
    console.say(f"{count(len(records) - failed, 'shot')} written, {size_text(written)}")
    return PARTLY if failed else 0


def _chosen(
    opened: archives.Archive, names: list[str], instrument: str | None, where: str | None
) -> list[ShotRecord]:
    """Return the shots that are named, or all, as far as the filters take them."""
    from corecube.archive.names import ShotRow
    from corecube.errors import QueryError
    from corecube_cli.naming import the_one

    rows = [the_one(opened, name) for name in names]
    for row in rows:
        if not isinstance(row, ShotRow):
            raise QueryError(f"{row.name} is a part of a shot; name the shot")
    known = opened.state.catalogue.by_identity
    found = {row.record.identity: row.record for row in rows} if names else dict(known)
    if where is not None:
        table = opened.shots(where)
        taken = {f"{row['instrument']}/{row['shot']}" for row in map(table.row, range(len(table)))}
        found = {name: record for name, record in found.items() if name in taken}
    instruments = {record.instrument for record in known.values()}
    if instrument is not None and instrument not in instruments:
        raise QueryError(
            f"the archive has no shot of '{instrument}'; it has: "
            f"{', '.join(sorted(instruments)) or 'none'}"
        )
    return [r for r in found.values() if instrument in (None, r.instrument)]
