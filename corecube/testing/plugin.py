"""P: the plugin itself, before any frame."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from corecube import config as configuration
from corecube import hookspecs
from corecube.frames import Column, Fibers, check_name
from corecube.photometry.passbands import Passbands
from corecube.plugins import installed
from corecube.shots import FileInfo, ShotPlan
from corecube.testing.case import Case, Entry
from corecube.testing.comparing import frame_digest
from corecube.testing.model import DoesNotApply, check
from corecube.testing.processes import Ended, run

_LOAD_SECONDS: Final = 1.0
"""Processor time; 'corecube plugins list' loads all instruments."""

_SYSTEM: Final = ("/proc", "/sys", "/dev", "/etc", "/usr", "/lib", "/bin", "/opt")
"""Folders in which Python and its libraries may look while they are imported."""

_FORBIDDEN: Final = (
    "corecube.archive", "corecube.pipeline", "corecube.scheduler", "corecube_cli", "typer",
    "textual", "rich",
)  # fmt: skip
"""What an instrument must not need."""


@check("P1", "plugin", "loads by name in a fresh process, fast and silently, and reads nothing")
def loads_quietly(case: Case) -> Iterator[str]:
    """Load it in a fresh process and look at output, warnings, opened files and time."""
    ended = _loaded(case)
    for stream, text in (("stdout", ended.out), ("stderr", ended.err)):
        if text.strip():
            yield f"prints on {stream} while it is imported: {text.strip().splitlines()[0]}"
    found = ended.result
    if found["error"]:
        yield found["error"]
        return
    yield from (f"warns while it is imported: {text}" for text in found["warnings"])
    yield from (f"does {event} while it is imported" for event in found["events"])
    for path in _foreign(found["opened"]):
        yield f"opens {path} while it is imported"
    if found["seconds"] > _LOAD_SECONDS:
        again = _loaded(case, again=True).result["seconds"]  # the first import compiles
        if again > _LOAD_SECONDS:
            yield (
                f"takes {again:.1f} s to load; move imports of heavy packages into the functions "
                "that use them"
            )


def _loaded(case: Case, again: bool = False) -> Ended:
    if again or "loaded" not in case.kept:
        case.kept["loaded"] = run(case, "load", {})
    ended: Ended = case.kept["loaded"]
    if not ended.result:
        raise RuntimeError(f"the process that loads it {ended.end}")
    return ended


def _foreign(opened: list[str]) -> Iterator[str]:
    """Yield the paths that are neither of Python nor of installed packages."""
    roots = [sys.prefix, sys.base_prefix, *(part for part in sys.path if part), *_SYSTEM]
    real = tuple(os.path.realpath(root) for root in roots)
    for name in dict.fromkeys(opened):
        path = os.path.realpath(name)
        if not any(path == root or path.startswith(root + os.sep) for root in real):
            yield name


@check("P2", "plugin", "says what it is: title, API range, data version, settings with defaults")
def says_what_it_is(case: Case) -> Iterator[str]:
    """Look at what `corecube_instrument` returns."""
    about: Any = case.caller.instrument
    if not about.title.strip() or "\n" in about.title:
        yield f"the title {about.title!r} is not one line for people"
    first, last = about.api
    if not (isinstance(first, int) and first <= hookspecs.API <= last):
        yield f"the API range {about.api} does not hold {hookspecs.API}"
    if not isinstance(about.data_version, int) or about.data_version < 1:
        yield f"the data version {about.data_version!r} is no number from 1 on"
    if not dataclasses.is_dataclass(about.config):
        yield f"the settings {about.config!r} are no dataclass"
        return
    settings: Any = case.caller.instrument.config()
    plain = configuration.to_json(settings)
    if configuration.from_json(type(settings), json.loads(json.dumps(plain))) != settings:
        yield "the settings do not come back from JSON as they were"
    for name, part in configuration.schema(about.config).get("properties", {}).items():
        if not part.get("description"):
            yield f"the setting '{name}' has no description; give it one with config.about"


@check("P3", "plugin", "its hooks are valid, its columns have types and descriptions")
def columns_are_described(case: Case) -> Iterator[str]:
    """Look at what `corecube_archive_columns` promises, and at the passbands.

    Loading has looked at the hooks.
    """
    if case.caller.has("passbands"):
        bands = case.caller.call("passbands", config=case.config)
        if bands is not None and not isinstance(bands, Passbands):
            yield f"corecube_passbands gives {type(bands).__name__} in place of Passbands"
    promised = case.caller.call("archive_columns", config=case.config)
    for group, columns in (promised or {}).items():
        check_name(group, "group")
        names = [column.name for column in columns]
        for column in columns:
            if not isinstance(column, Column):
                yield f"group '{group}': {column!r} is no corecube.frames.Column"
            elif not column.description.strip():
                yield f"group '{group}': column '{column.name}' has no description"
            elif names.count(column.name) > 1:
                yield f"group '{group}': there are several columns '{column.name}'"


@check(
    "P4", "plugin", "works in a spawned process from plan and settings as JSON",
    needs=("F11",),
)  # fmt: skip
def works_from_json(case: Case) -> Iterator[str]:
    """Read an entry of each kind elsewhere and compare the frames with those read here."""
    for info in case.infos:
        if FileInfo.from_json(json.loads(json.dumps(info.to_json()))) != info:
            yield f"{Path(info.source.path).name}: its FileInfo does not come back from JSON"
    for plan in case.plans:
        if ShotPlan.from_json(json.loads(json.dumps(plan.to_json()))) != plan:
            yield f"the plan of {plan.key} does not come back from JSON"
    for entry in _one_of_each(case):
        yield from _read_elsewhere(case, entry, (), {})


@check("P5", "plugin", "imports no other instrument, no archive, no command line, no screen")
def imports_little(case: Case) -> Iterator[str]:
    """Look at the modules that come with it in a fresh process."""
    found = set(_loaded(case).result["modules"])
    own = {entry.module.partition(".")[0] for entry in installed()[case.name]}
    for name, entries in installed().items():
        modules = {entry.module.partition(".")[0] for entry in entries} - own
        if name != case.name and modules & found:
            yield f"imports the instrument '{name}'; what both need belongs in a third package"
    for name in _FORBIDDEN:
        if name in found:
            yield f"imports {name} when it is loaded"


@check(
    "P6", "plugin", "works with warnings as errors, LC_ALL=C, read-only input, elsewhere",
    needs=("P4",),
)  # fmt: skip
def works_elsewhere(case: Case) -> Iterator[str]:
    """Read an entry of each kind in a process that forgives nothing."""
    environment = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    folders = [path for path in case.inputs.rglob("*") if path.is_dir()]
    try:
        for folder in folders:
            folder.chmod(0o555)
        for entry in _one_of_each(case):
            yield from _read_elsewhere(case, entry, ("-W", "error"), environment)
    finally:
        for folder in folders:
            folder.chmod(0o755)


def _read_elsewhere(
    case: Case, entry: Entry, options: tuple[str, ...], environment: dict[str, str]
) -> Iterator[str]:
    order = {
        "plan": entry.plan.to_json(), "entry": entry.name, "archive": _archive_for(case, entry),
        "config": configuration.to_json(case.config),
    }  # fmt: skip
    ended = run(case, "read", order, options, environment)
    if not ended.result:
        yield f"{entry.where}: the process {ended.end}"
    elif ended.result["frames"] != [frame_digest(s.done) for s in case.stages(entry)]:
        yield f"{entry.where}: its frames differ from those read in this process"


def _archive_for(case: Case, entry: Entry) -> str:
    return str(case.archive) if entry.plan.needs else ""


def _one_of_each(case: Case) -> list[Entry]:
    """Return the first entry with an image, and the first with fibres."""
    found: dict[bool, Entry] = {}
    for entry, stage in case.all_stages():
        found.setdefault(isinstance(stage.done, Fibers), entry)
    return list({(e.plan.key, e.name): e for e in found.values()}.values())


@check("P7", "plugin", "its simulator writes files that it knows; a seed is a sky")
def simulates(case: Case) -> Iterator[str]:
    """Simulate twice with one seed and once with another."""
    first, second, other = (_simulated(case, seed) for seed in (1, 1, 2))
    if first.truth != second.truth:
        yield "the same seed gives another truth"
    taken = [path for path in first.files if _is_taken(case, path)]
    if not taken:
        yield "none of the simulated files is recognised"
    for path in first.files:
        name = path.relative_to(first.folder)
        twin = second.folder / name
        if not twin.exists() or twin.read_bytes() != path.read_bytes():
            yield f"{name}: the same seed gives another file"
        stranger = other.folder / name
        if path in taken and stranger.exists() and stranger.read_bytes() == path.read_bytes():
            yield f"{name}: another seed gives the same file"


@dataclasses.dataclass(frozen=True)
class Simulated:
    """A simulated sky: its folder, the truth, and its files."""

    folder: Path
    truth: str

    @property
    def files(self) -> list[Path]:
        """The files, sorted."""
        return sorted(path for path in self.folder.rglob("*") if path.is_file())


def _simulated(case: Case, seed: int) -> Simulated:
    if not case.caller.has("simulate"):
        raise DoesNotApply("the instrument has no simulator")
    if case.simulate is None:
        raise DoesNotApply("no options for its simulator were given")
    folder = case.new_folder(f"simulated{seed}")
    truth: Any = case.caller.call(
        "simulate", directory=folder, options=dict(case.simulate), seed=seed
    )
    return Simulated(folder, json.dumps(truth, sort_keys=True, allow_nan=False))


def _is_taken(case: Case, path: Path) -> bool:
    from corecube.testing.chain import identified

    return isinstance(identified(case.caller, case.config, str(path)), FileInfo)
