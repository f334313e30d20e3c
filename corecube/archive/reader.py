"""The archive as readers see it: one state at a time, the newest when they ask."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from corecube.archive import latemasks
from corecube.archive import manifest as manifests
from corecube.archive.catalogue import Catalogue, ShotRecord
from corecube.archive.imageindex import ImageIndex
from corecube.archive.inside import inside
from corecube.archive.latemasks import LateMasks
from corecube.archive.layout import INDEX
from corecube.archive.regions import Box, Cone, Region
from corecube.archive.shotfile import StoredShot
from corecube.archive.skyindex import SkyIndex
from corecube.errors import ArchiveDamaged, ArchiveMissing

if TYPE_CHECKING:
    from corecube.angles import Position
    from corecube.archive.cubebands import PassbandsOf
    from corecube.archive.cubes import Cube
    from corecube.archive.names import Row
    from corecube.archive.query import Result
    from corecube.tabular import Rows

_OPEN_SHOTS = 32
"""Shot files that are kept open: opening one costs more than reading a fibre."""

_TRIES = 5
"""How often a question is asked again when a writer has deleted a file in between."""

_T = TypeVar("_T")


class State:
    """One state of the archive: immutable, but for the index files that it opens.

    Attributes
    ----------
    path : Path
    manifest : Manifest
    stamp : tuple
        Tells whether the manifest has been replaced.
    catalogue : Catalogue
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.manifest, self.stamp = manifests.load(path)
        self.catalogue = Catalogue.load(path, self.manifest)

    @cached_property
    def sky(self) -> SkyIndex:
        """The sky index of the fibres."""
        for run in self.manifest.runs:
            inside(self.path, f"{INDEX}/{run.file}")
        index = SkyIndex(self.path / INDEX, self.manifest.runs, self.manifest.dropped)
        index.open()
        return index

    @cached_property
    def images(self) -> ImageIndex:
        """The images with their footprints."""
        return ImageIndex(self.catalogue.by_identity.values())

    @cached_property
    def columns(self) -> dict[str, dict[str, tuple[str, str]]]:
        """Columns of the fibres of each instrument: type and unit by name."""
        known: dict[str, dict[str, tuple[str, str]]] = {}
        for shot in self.catalogue.by_identity.values():
            mine = known.setdefault(shot.instrument, {})
            for about in shot.groups.values():
                mine |= {name: (c[0], c[1]) for name, c in about.get("columns", {}).items()}
        return known


class Archive:
    """An archive, opened for reading.

    Readers take no lock. Each question is answered from one state; a writer that commits in
    between is seen by the next question.

    Parameters
    ----------
    path : path
        Folder ``NAME.corecube``.

    Raises
    ------
    ArchiveMissing, ArchiveDamaged, ArchiveTooNew
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self._lock = threading.RLock()
        self._shots: OrderedDict[str, StoredShot] = OrderedDict()
        self._state = self._retry(lambda: State(self.path))

    def __enter__(self) -> Archive:
        """Return itself; files are closed at the end of the block."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close all files."""
        self.close()

    def __repr__(self) -> str:
        """Return a line with the number of shots."""
        return f"<Archive {self.path} with {len(self.state.catalogue.by_number)} shots>"

    def close(self) -> None:
        """Close all files; asking again opens them again."""
        with self._lock:
            for shot in self._shots.values():
                shot.close()
            self._shots.clear()
            if "sky" in vars(self._state):
                self._state.sky.close()
                del self._state.sky

    @property
    def state(self) -> State:
        """The newest committed state."""
        with self._lock:
            if manifests.stamp(self.path) != self._state.stamp:
                old = self._state
                self._state = self._retry(lambda: State(self.path))
                if "sky" in vars(old):
                    old.sky.close()
            return self._state

    def _retry(self, ask: Callable[[], _T]) -> _T:
        """Ask again when a writer has replaced files between reading their names and opening."""
        for attempt in range(_TRIES):
            try:
                return ask()
            except ArchiveMissing:
                raise
            except (FileNotFoundError, ArchiveDamaged):
                if attempt == _TRIES - 1:
                    raise
        raise AssertionError("unreachable")

    # -- shots -------------------------------------------------------------------------------

    def record(self, identity: str) -> ShotRecord:
        """Return the catalogue's record of a shot, ``instrument/key``.

        Raises
        ------
        QueryError
            If there is none.
        """
        from corecube.archive.names import missing_shot

        found = self.state.catalogue.by_identity.get(identity)
        if found is None:
            raise missing_shot(self, identity)
        return found

    def shot(self, record: ShotRecord | str) -> StoredShot:
        """Return an opened shot with its late masks; it is kept open while others are asked for.

        Raises
        ------
        QueryError
            If there is none of this identity.
        ArchiveDamaged
            If its file or that of its late masks is missing or damaged.
        """
        if isinstance(record, str):
            record = self.record(record)
        # the file of late masks changes while that of the shot stays
        key = f"{record.file} {record.masks.get('file', '')}"
        with self._lock:
            found = self._shots.pop(key, None)
            if found is None:
                try:
                    late = self._late(record)
                except ArchiveDamaged:
                    now = self.state.catalogue.by_identity.get(record.identity)
                    if now is None or now.file != record.file or now.masks == record.masks:
                        raise
                    return self.shot(now)  # of the same file a writer has changed the masks
                try:
                    found = StoredShot(inside(self.path, record.file), self.path, late)
                except FileNotFoundError as error:
                    raise ArchiveDamaged(
                        f"{self.path / record.file}: is missing; it was replaced since, or the "
                        "archive is damaged; ask again, or run 'corecube verify'"
                    ) from error
                if (found.identity, found.generation) != (record.identity, record.generation):
                    found.close()
                    raise ArchiveDamaged(
                        f"{self.path / record.file}: is the file of {found.identity}, generation "
                        f"{found.generation}, and not of {record.identity}; run 'corecube repair'"
                    )
            self._shots[key] = found
            while len(self._shots) > _OPEN_SHOTS:
                self._shots.popitem(last=False)[1].close()
            return found

    def _late(self, record: ShotRecord) -> LateMasks | None:
        if not record.masks:
            return None
        path = inside(self.path, record.masks["file"])
        return latemasks.read(path, record.identity, record.generation)

    def shots(self, where: str | None = None) -> Rows:
        """Return a table of the shots.

        Parameters
        ----------
        where : str, optional
            A filter on its columns.
        """
        from corecube.archive.query import shot_table

        return shot_table(self, where)

    # -- questions ---------------------------------------------------------------------------

    def cone(
        self, position: Position | tuple[float, float] | str, radius: float | str, **select: Any
    ) -> Result:
        """Find fibres within a radius, and images that touch the circle.

        Parameters
        ----------
        position : str, Position or (ra, dec) in ICRS degrees
        radius : str or float
            ``"2 arcsec"``, or degrees.
        **select
            See `corecube.archive.selection.Select`.

        Raises
        ------
        QueryError
        """
        from corecube.angles import parse_position, parse_radius

        if isinstance(position, str):
            position = parse_position(position)
        ra, dec = position if isinstance(position, tuple) else (position.ra, position.dec)
        degrees = parse_radius(radius) if isinstance(radius, str) else radius
        return self.region(Cone(ra, dec, degrees), center=(ra, dec), **select)

    def box(
        self, ra_min: float, ra_max: float, dec_min: float, dec_max: float, **select: Any
    ) -> Result:
        """Find what lies in a box in RA and Dec (degrees); it may go through RA 0."""
        return self.region(Box(ra_min, ra_max, dec_min, dec_max), **select)

    def polygon(self, vertices: Sequence[Sequence[float]], **select: Any) -> Result:
        """Find what lies in a polygon of great circles through (ra, dec) in degrees."""
        from corecube.archive.polygon import Polygon

        return self.region(Polygon(vertices), **select)

    def region(
        self, region: Region, center: tuple[float, float] | None = None, **select: Any
    ) -> Result:
        """Find what lies in any region; `center` gives separations and cutouts their meaning."""
        from corecube.archive.query import Select, search
        from corecube.archive.targets import Targets

        wanted = Select.of(**select)
        radius = region.radius if isinstance(region, Cone) else 0.0
        targets = None if center is None else Targets.of(center, radius)
        return self._retry(lambda: search(self, region, targets, wanted))

    def crossmatch(self, positions: Any, radius: float | str, **select: Any) -> Result:
        """Find what lies around each of many positions.

        The same matches as a `cone` for each, much faster. `Result.fiber_matches` and
        `image_matches` say which position each belongs to, `unmatched` which have none.

        Parameters
        ----------
        positions : table, SkyCoord, or (ra, dec)
            A table has columns ``ra`` and ``dec`` in ICRS degrees; a pair holds two arrays.
        radius : str, float, or array_like of float with shape (m,)
            ``"2 arcsec"``, or degrees.
        **select
            See `corecube.archive.selection.Select`.

        Raises
        ------
        QueryError
            If a position is not one; its row is named.
        """
        from corecube.angles import parse_radius
        from corecube.archive.query import Select, search
        from corecube.archive.targets import Targets

        wanted = Select.of(**select)
        targets = Targets.of(positions, parse_radius(radius) if isinstance(radius, str) else radius)
        return self._retry(lambda: search(self, None, targets, wanted))

    def cube(
        self,
        place: Position | tuple[float, float] | str | Region,
        *,
        level: int = 0,
        wavelength: tuple[float, float] | None = None,
        size: int | None = None,
        radius: float | str | None = None,
        unit: str = "nanomaggy",
        weighted: bool = False,
        passbands: PassbandsOf | None = None,
        **select: Any,
    ) -> Cube:
        """Return every image and spectrum of a region at one resolution, part by part.

        Iterating reads the parts (`corecube.archive.cubeparts.CubePart`); ``cube.write(path)``
        makes one HDF5 or FITS file of them, which `corecube.archive.cubefiles.read_cube` reads.

        Parameters
        ----------
        place : str, Position, (ra, dec) in ICRS degrees, or a region
            Of images are given the blocks that touch the square of `size` pixels around a
            position, or the box around a region.
        level : int
            0 gives all pixels, each further level means of twice as many along each axis, also
            levels that the archive does not store.
        wavelength : (float, float), optional
            Angstrom; only bins of spectra that reach into it, and only images whose passband does.
            An image in a band of which no curve is known stays, and ``cube.about`` names it.
        size : int, optional
            Of the square, pixels of the image; 64 with neither `size` nor `radius`.
        radius : str or float, optional
            Of the cone in which fibres are taken, ``"2 arcsec"`` if not given. Without `size`
            images are cut to it too.
        unit : {"nanomaggy", "stored"}
            All in nanomaggies (images per original pixel; spectra as densities per frequency,
            f_lambda lambda**2 / c), or as stored.
        weighted : bool
            After each spectrum also the same times the merged passbands of its instrument: a part
            of the kind "weighted".
        passbands : callable, optional
            Gives the passbands of a shot's instrument; if not given the installed instruments do.
        **select
            See `corecube.archive.selection.Select`.

        Raises
        ------
        QueryError
        """
        from corecube.archive.cuberegions import region_of
        from corecube.archive.cubes import Cube

        result, region = region_of(self, place, radius, size, select)
        return Cube(
            self, result, region, level, wavelength, unit, weighted=weighted, passbands=passbands
        )

    def everything(self, **select: Any) -> Result:
        """Return all fibres and images that the filters select, also those without a position."""
        from corecube.archive.query import Select, search

        wanted = Select.of(**select)
        return self._retry(lambda: search(self, None, None, wanted))

    def fibers(self, where: str | None = None, **select: Any) -> Rows:
        """Return the table of all fibres that a filter selects."""
        return self.everything(where=where, **select).fibers

    def images(self, where: str | None = None, **select: Any) -> Rows:
        """Return the table of all images that a filter selects."""
        return self.everything(where=where, **select).images

    # -- names -------------------------------------------------------------------------------

    def get(self, name: str) -> Row:
        """Return the one shot, image or fibre of a full name, ``instrument/key/group/id``.

        Raises
        ------
        QueryError
            If there is none.
        """
        from corecube.archive.names import get

        return self._retry(lambda: get(self, name))

    def find(self, text: str) -> list[Row]:
        """Return everything that a name may mean.

        Parameters
        ----------
        text : str
            A full name, the end of one (``0412-51871-0308``, ``2820-3-122``), or a target.

        Raises
        ------
        QueryError
            If nothing fits.
        """
        from corecube.archive.names import find

        return self._retry(lambda: find(self, text))

    def rows(self, result: Result) -> Iterator[Row]:
        """Yield the fibres and images of a result as rows that give spectra and cutouts."""
        from corecube.archive.names import rows_of

        return rows_of(self, result)


def open_archive(path: Path | str) -> Archive:
    """Open an archive for reading; see `Archive`."""
    return Archive(path)
