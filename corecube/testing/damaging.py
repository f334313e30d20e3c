"""Damaged files, read in a process that may hang, crash or eat memory."""

from __future__ import annotations

import json
import random
import resource
import signal
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from corecube import config as configuration
from corecube.errors import CorecubeError
from corecube.files import packing_of
from corecube.plugins import load
from corecube.shots import Context, FileInfo
from corecube.testing import chain
from corecube.testing.comparing import frame_digest
from corecube.testing.runner import told

_HANG: Final = 10
"""Seconds after which a read is taken for endless."""

_CUTS, _FLIPS = 10, 50
"""Damages of each kind, as far as the time given reaches."""

_LEAST: Final = 4
"""Damages that are tried in any case."""

_HEAD: Final = 11520
"""Bytes at the beginning, which get half of the flipped bits."""


def damages(data: bytes, seed: int) -> Iterator[tuple[str, int, bytes]]:
    """Yield damaged copies of a file's bytes: kind, place, bytes; kinds take turns."""
    chance = random.Random(seed)
    size = len(data)
    cuts = [(2 * step + 1) * size // (2 * _CUTS) for step in range(_CUTS - 1)] + [size - 1]
    chance.shuffle(cuts)
    for number in range(_FLIPS):
        if number % (_FLIPS // _CUTS) == 0:
            cut = cuts.pop()
            yield "cut", cut, data[:cut]
        place = chance.randrange(min(size, _HEAD) if number % 2 else size)
        flipped = bytearray(data)
        flipped[place] ^= 1 << chance.randrange(8)
        yield "flip", place, bytes(flipped)


def damaged_reads(order: Mapping[str, Any]) -> dict[str, Any]:
    """Read damaged copies of a file.

    Parameters
    ----------
    order : mapping
        ``instrument``, ``config``, ``files`` (all that belong together), ``target`` (one of them),
        ``seconds`` (time to spend), ``log`` (a file that says what is being tried), ``archive``.

    Returns
    -------
    dict
        ``tries``; ``cut`` and ``flip``: lists of [place, what came of it], where that is "" for an
        error of ours that names the file, "read" or "other" for a read that gave the same or other
        values, "refused" if the file was not taken, or what is wrong; ``memory``: peak over that of
        a good read.
    """
    caller = load(order["instrument"])
    config: Any = configuration.from_json(caller.instrument.config, order["config"])
    reader = _Reader(caller, config, order["files"], order["target"], order["archive"])
    target = Path(order["target"])
    packed = target.read_bytes()
    variants = [packed]
    if packing_of(packed):
        from corecube.files import read_unpacked

        variants.insert(0, read_unpacked(str(target)))
    found: dict[str, Any] = {"tries": 0, "cut": [], "flip": []}
    good = reader.read()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    log = Path(order["log"])
    for variant in variants:
        ends = time.monotonic() + order["seconds"] / len(variants)
        for number, (kind, place, data) in enumerate(damages(variant, order["seed"])):
            if number >= _LEAST and time.monotonic() > ends:
                break
            log.write_text(json.dumps([kind, place]), encoding="ascii")
            target.write_bytes(data)
            signal.alarm(_HANG)
            try:
                read = reader.read()
                what = "refused" if read is None else ("read" if read == good else "other")
            except CorecubeError as error:
                what = "" if target.name in str(error) else f"no file is named: {told(error)}"
            except Exception as error:
                what = told(error)
            finally:
                signal.alarm(0)
            found["tries"] += 1
            found[kind].append([place, what])
    found["memory"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / before
    return found


class _Reader:
    """Reads the entry that a file belongs to."""

    def __init__(
        self, caller: Any, config: Any, files: list[str], target: str, archive: str
    ) -> None:
        self.caller, self.config, self.target = caller, config, target
        self.archive = archive
        others = [path for path in files if path != target]
        self.others = chain.infos_of(caller, config, others)

    def read(self) -> list[str] | None:
        """Return the digests of the frames, None if the file is not taken."""
        info = chain.identified(self.caller, self.config, self.target)
        if not isinstance(info, FileInfo):
            return None
        for plan in chain.planned(self.caller, self.config, [*self.others, info]):
            for entry, sources in plan.entries.items():
                paths = {source.path for source in (*sources, *plan.companions)}
                if self.target in paths:
                    return self._read(plan, entry)
        return None

    def _read(self, plan: Any, entry: str) -> list[str]:
        import tempfile

        from corecube.archive import open_archive

        with tempfile.TemporaryDirectory() as scratch:
            if not plan.needs:
                context = Context(scratch)
                return self._digests(plan, entry, context)
            with open_archive(self.archive) as archive:
                name = self.caller.name
                shots = {key: archive.shot(f"{name}/{key}") for key in plan.needs}
                return self._digests(plan, entry, Context(scratch, shots))

    def _digests(self, plan: Any, entry: str, context: Context) -> list[str]:
        read = chain.stages(self.caller, self.config, plan, entry, context, keep=False)
        return [frame_digest(stage.done) for stage in read]
