"""An instrument under test, with its files, and what is made of them once for all checks."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from corecube.frames import Fibers, Frame, Image
from corecube.plugins import Caller, load
from corecube.shots import Context, FileInfo, ShotPlan
from corecube.testing import chain
from corecube.testing.chain import Stages
from corecube.testing.model import DoesNotApply

_KEPT: Final = 400 * 2**20
"""Bytes of frames that are kept between checks."""

_SAMPLE: Final = 8
"""Entries that are looked at closely, spread over the shots."""


@dataclass(frozen=True)
class Entry:
    """One entry of a plan."""

    plan: ShotPlan
    name: str

    @property
    def where(self) -> str:
        """``key entry``."""
        return f"{self.plan.key} {self.name}"


class Case:
    """An instrument and the files to test it with.

    The files are copied, with all their folders, before the instrument sees them: it cannot harm
    them, and checks can damage and delete them.

    Parameters
    ----------
    instrument : str
        Its name; it must be installed.
    files : sequence of path
        Files of the instrument, which it must recognise, and folders, in which others may lie too.
    not_mine : sequence of path
        Files that it must refuse.
    config : dataclass, optional
        Its settings, the defaults where not given.
    simulate : mapping, optional
        Options for its simulator, chosen for small files; without them it is not checked.
    scratch : Path, optional
        An empty folder to work in; a temporary one that `close` removes where not given.

    Attributes
    ----------
    report : Report or None
        Of the ingest of all files, once there was one.
    refusal : Exception or None
        What the ingest of all files raised.
    kept : dict
        What several checks look at and one has found.

    Raises
    ------
    PluginError
        If the instrument cannot be used.
    FileNotFoundError
        If a file is missing.
    """

    def __init__(
        self,
        instrument: str,
        files: Sequence[Path | str],
        *,
        not_mine: Sequence[Path | str] = (),
        config: Any = None,
        simulate: Mapping[str, Any] | None = None,
        scratch: Path | None = None,
    ) -> None:
        self.caller: Caller = load(instrument)
        self.config = self.caller.instrument.config() if config is None else config
        self.simulate = simulate
        self.scratch = scratch or Path(tempfile.mkdtemp(prefix="corecube-testing-"))
        self._own = scratch is None
        self._read: dict[tuple[str, str], list[Stages]] = {}
        self.report: Any = None
        self.refusal: Exception | None = None
        self.kept: dict[str, Any] = {}
        self.originals = tuple(_plain(path) for path in files)
        self.inputs = self.scratch / "inputs"
        self.files, self.named = self.copy_files(self.originals, self.inputs)
        others = tuple(_plain(path) for path in not_mine)
        self.not_mine = self.copy_files(others, self.scratch / "others")[0]

    def close(self) -> None:
        """Remove all that was made; a folder that was given stays, empty."""
        self._read.clear()
        for path in self.scratch.iterdir():
            shutil.rmtree(path, ignore_errors=True)
        if self._own:
            self.scratch.rmdir()

    @property
    def name(self) -> str:
        """The instrument's name."""
        return self.caller.name

    # -- files -------------------------------------------------------------------------------

    def copy_files(self, paths: Iterable[Path], folder: Path) -> tuple[list[str], frozenset[str]]:
        """Copy files with all their folders below another one.

        Returns
        -------
        files : list of str
            The copies; of a folder, all files below it.
        named : frozenset of str
            Those of them that were named, not found in a folder.
        """
        files: dict[str, bool] = {}
        for path in paths:
            if path.is_dir():
                for inner in sorted(path.rglob("*")):
                    if inner.is_file() and not inner.name.startswith("."):
                        files.setdefault(str(_copy(inner, folder)), False)
            else:
                files[str(_copy(path, folder))] = True
        return list(files), frozenset(path for path, named in files.items() if named)

    def new_folder(self, name: str) -> Path:
        """Return an empty folder in the scratch folder."""
        return Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self.scratch))

    # -- infos and plans -----------------------------------------------------------------------

    @cached_property
    def infos(self) -> list[FileInfo]:
        """What the instrument says of those files that it takes."""
        return chain.infos_of(self.caller, self.config, self.files)

    @cached_property
    def plans(self) -> list[ShotPlan]:
        """The plans of these files."""
        found = chain.planned(self.caller, self.config, self.infos)
        if not found:
            raise DoesNotApply("there is no shot in the files given")
        return found

    @cached_property
    def sample(self) -> list[Entry]:
        """Up to 8 entries, spread over the shots."""
        left = [[Entry(plan, name) for name in plan.entries] for plan in self.plans]
        found: list[Entry] = []
        while any(left) and len(found) < _SAMPLE:
            found += [part.pop(0) for part in left if part]
        return found[:_SAMPLE]

    # -- frames ------------------------------------------------------------------------------

    def stages(self, entry: Entry) -> list[Stages]:
        """Return the frames of an entry on their way; what was read last is kept."""
        key = (entry.plan.key, entry.name)
        if key not in self._read:
            self._read[key] = self.read(entry)
            while len(self._read) > 1 and self._kept() > _KEPT:
                del self._read[next(iter(self._read))]
        return self._read[key]

    def _kept(self) -> int:
        return sum(stage.size for part in self._read.values() for stage in part)

    def read(self, entry: Entry, *, keep: bool = True) -> list[Stages]:
        """Read an entry anew."""
        with self.context(entry.plan) as context:
            return chain.stages(
                self.caller, self.config, entry.plan, entry.name, context, keep=keep
            )

    def all_stages(self) -> Iterator[tuple[Entry, Stages]]:
        """Yield the frames of the sample that can be read.

        Raises
        ------
        DoesNotApply
            If there is none.
        """
        found = False
        for entry in self.sample:
            try:
                read = self.stages(entry)
            except Exception:  # F0 says it
                continue
            for stage in read:
                found = True
                yield entry, stage
        if not found:
            raise DoesNotApply("no frame could be read")

    def frames(self) -> Iterator[tuple[str, Frame]]:
        """Yield the finished frames of the sample, then those that were derived from them."""
        for entry, stage in self.all_stages():
            yield f"{entry.where}: {stage.done.name}", stage.done
        if self.caller.has("derive_frames"):
            yield from self.derived()

    def images(self) -> Iterator[tuple[str, Image]]:
        """Yield the finished images; see `frames`."""
        return ((where, f) for where, f in self.frames() if isinstance(f, Image))

    def fibers(self) -> Iterator[tuple[str, Fibers]]:
        """Yield the finished blocks of fibres; see `frames`."""
        return ((where, f) for where, f in self.frames() if isinstance(f, Fibers))

    def derived(self) -> Iterator[tuple[str, Frame]]:
        """Yield the stored frames that were derived from others."""
        with self.archived() as archive:
            for record in archive.state.catalogue.by_identity.values():
                shot = archive.shot(record)
                for image in shot.images:
                    frame = shot.frame(image)
                    if frame.provenance.parents:
                        yield f"{record.identity}: {image}", frame
                for group in shot.groups:
                    block = shot.rows(group, 0, min(1, shot.row_count(group)))
                    if block.provenance.parents and not block.provenance.sources:
                        yield f"{record.identity}: {group}", block

    @contextmanager
    def context(self, plan: ShotPlan) -> Iterator[Context]:
        """Give what reading may use beside the plan; needed shots come from the archive."""
        scratch = tempfile.mkdtemp(dir=self.scratch)
        try:
            if not plan.needs:
                yield Context(scratch)
                return
            with self.archived() as archive:
                shots = {key: archive.shot(f"{self.name}/{key}") for key in plan.needs}
                yield Context(scratch, shots)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    # -- archives ----------------------------------------------------------------------------

    def ingest(self, files: Sequence[str], archive: Path) -> Any:
        """Ingest files in this process and return the report."""
        from corecube.pipeline import Options, ingest

        return ingest(list(files), archive, self.caller, self.config, Options(jobs=1))

    @cached_property
    def archive(self) -> Path:
        """The archive of all files."""
        path = self.scratch / "all.corecube"
        try:
            self.report = self.ingest(self.files, path)
        except Exception as error:  # A0 says it
            self.refusal = error
        return path

    @contextmanager
    def archived(self) -> Iterator[Any]:
        """Open the archive of all files.

        Raises
        ------
        DoesNotApply
            If nothing could be ingested.
        """
        from corecube.archive import open_archive

        if not (self.archive / "archive.json").exists():
            raise DoesNotApply("nothing could be ingested")
        with open_archive(self.archive) as archive:
            if not archive.state.catalogue.by_identity:
                raise DoesNotApply("nothing could be ingested")
            yield archive

    @cached_property
    def contents(self) -> dict[str, dict[str, Any]]:
        """What is in the archive of all files; see `corecube.testing.comparing.contents`."""
        from corecube.testing.comparing import contents

        with self.archived():  # there is one
            return contents(self.archive)

    @cached_property
    def smallest(self) -> ShotPlan:
        """The plan with the fewest bytes among those that need no other."""
        alone = [plan for plan in self.plans if not plan.needs]
        return min(alone or self.plans, key=lambda plan: sum(s.size for s in plan.sources))

    def has_calibrator(self) -> bool:
        """Say whether the instrument has a calibrator."""
        return self.caller.has("calibrate") or self.caller.has("calibration_factors")

    def has_noise_model(self) -> bool:
        """Say whether the instrument has a noise model."""
        return self.caller.has("estimate_noise") or self.caller.has("check_noise")


def _plain(path: str | Path) -> Path:
    """Return an absolute path without dots; links stay."""
    return Path(os.path.abspath(path))  # noqa: PTH100 - keeps symbolic links


def _copy(path: Path, folder: Path) -> Path:
    target = folder / path.relative_to(path.anchor)
    target.parent.mkdir(parents=True, exist_ok=True)
    if not target.exists():
        shutil.copy2(path, target)
        target.chmod(0o644)
    return target
