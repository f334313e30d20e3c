"""What is done in fresh processes: ``python -m corecube.testing.child ORDER.json``.

The order is a JSON object with ``task`` (load, read, damage, ingest, open), ``instrument`` and
``result``, the file that the findings are written to. Nothing is printed: what comes out on stdout
and stderr comes from the instrument.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any


def main() -> None:
    """Do what the order says."""
    order = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    tasks = {"load": load, "read": read, "damage": damage, "ingest": ingest, "open": open_alone}
    found = tasks[order["task"]](order)
    done = Path(f"{order['result']}.new")
    done.write_text(json.dumps(found), encoding="utf-8")
    done.replace(order["result"])


def load(order: Mapping[str, Any]) -> dict[str, Any]:
    """Load an instrument and say what it did meanwhile."""
    import warnings

    from corecube import plugins
    from corecube.errors import PluginError

    opened: list[str] = []
    others: list[str] = []
    watching = True

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        if watching and event == "open" and isinstance(arguments[0], str | bytes):
            opened.append(os.fsdecode(arguments[0]))
        elif watching and event.startswith(("socket.", "subprocess.", "os.system", "os.fork")):
            others.append(event)

    plugins.installed()
    before = set(sys.modules)
    sys.addaudithook(watch)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        started = time.process_time()
        try:
            plugins.load(order["instrument"])
            error = ""
        except PluginError as problem:
            error = str(problem)
        seconds = time.process_time() - started
    watching = False
    return {
        "error": error, "seconds": seconds, "opened": opened, "events": sorted(set(others)),
        "warnings": [str(found.message) for found in warned],
        "modules": sorted(set(sys.modules) - before),
    }  # fmt: skip


def read(order: Mapping[str, Any]) -> dict[str, Any]:
    """Read an entry from plan and settings as JSON, and return a digest of each frame."""
    import tempfile

    from corecube import config as configuration
    from corecube.archive import open_archive
    from corecube.plugins import load as load_instrument
    from corecube.shots import Context, ShotPlan
    from corecube.testing import chain
    from corecube.testing.comparing import frame_digest

    caller = load_instrument(order["instrument"])
    config: Any = configuration.from_json(caller.instrument.config, order["config"])
    plan = ShotPlan.from_json(order["plan"])
    with ExitStack() as stack:
        scratch = stack.enter_context(tempfile.TemporaryDirectory())
        shots = {}
        if plan.needs:
            archive = stack.enter_context(open_archive(order["archive"]))
            shots = {key: archive.shot(f"{caller.name}/{key}") for key in plan.needs}
        found = chain.stages(
            caller, config, plan, order["entry"], Context(scratch, shots), keep=False, strict=True
        )
        return {"frames": [frame_digest(stage.done) for stage in found]}


def damage(order: Mapping[str, Any]) -> dict[str, Any]:
    """Read damaged files; see `corecube.testing.damage`."""
    from corecube.testing.damaging import damaged_reads

    return damaged_reads(order)


def ingest(order: Mapping[str, Any]) -> dict[str, Any]:
    """Ingest files."""
    from corecube import config as configuration
    from corecube.pipeline import Options
    from corecube.pipeline import ingest as run_ingest
    from corecube.plugins import load as load_instrument

    caller = load_instrument(order["instrument"])
    config: Any = configuration.from_json(caller.instrument.config, order["config"])
    report = run_ingest(order["files"], Path(order["archive"]), caller, config, Options(jobs=1))
    return {"exit": report.exit_code()}


def open_alone(order: Mapping[str, Any]) -> dict[str, Any]:
    """Open an archive and read of each shot an image and a few spectra."""
    from corecube.archive import open_archive

    frames = 0
    with open_archive(order["archive"]) as archive:
        for record in archive.state.catalogue.by_identity.values():
            shot = archive.shot(record)
            for name in shot.images[:1]:
                shot.frame(name)
                frames += 1
            for group in shot.groups:
                shot.rows(group, 0, min(3, shot.row_count(group)))
                frames += 1
    return {"frames": frames, "modules": sorted(sys.modules)}


if __name__ == "__main__":
    main()
