"""The command line in a process that kills itself, or does worse, at a wanted call.

``python driver.py ingest ...`` with the environment variable DRIVER, a JSON object:

``faults``
    A list of ``{"target": "module:Class.function", "call": 1, "when": "before", "match": "",
    "do": "kill"}``: at the `call`-th call with arguments in whose repr `match` stands, in each
    process, it does what `do` says: ``kill`` itself, ``kill-parent``, ``wait`` (says so by the
    file ``path``, and waits until this is gone), ``remove`` the file ``path``, ``change`` it (it
    becomes a copy of ``other``), ``lose`` a page of the file in the first argument, ``cut`` it.
``batch``
    Seconds within which shots are registered together.
``mark``
    A file that is made when everything is imported.
``crash``
    A folder for what a power failure would leave behind; see `Disk`.

Worker processes import this module too, so faults come to pass in them as well.
"""

from __future__ import annotations

import importlib
import json
import os
import shutil
import signal
import stat
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ORDER: dict[str, Any] = json.loads(os.environ.get("DRIVER", "{}"))


def wrap(target: str, make: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
    """Replace a function by `make(function)`."""
    name, _, attribute = target.partition(":")
    owner: Any = importlib.import_module(name)
    *path, last = attribute.split(".")
    for part in path:
        owner = getattr(owner, part)
    setattr(owner, last, make(getattr(owner, last)))


def arm(fault: dict[str, Any]) -> None:
    """Make a fault come to pass."""
    left = fault.get("call", 1)

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            nonlocal left
            hit = fault.get("match", "") in repr((args, kwargs))
            left -= hit
            now = hit and left == 0
            if now and fault.get("when", "before") == "before":
                happen(fault, args)
            result = original(*args, **kwargs)
            if now and fault.get("when", "before") == "after":
                happen(fault, args)
            return result

        return wrapped

    wrap(fault["target"], make)


def happen(fault: dict[str, Any], args: tuple[Any, ...]) -> None:
    """Do what a fault says."""
    match fault.get("do", "kill"):
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "kill-parent":
            os.kill(os.getppid(), signal.SIGKILL)
        case "wait":
            Path(fault["path"]).touch()
            while Path(fault["path"]).exists():
                time.sleep(0.01)
        case "lose":  # a page of the file in the first argument, as a full disk does
            with Path(args[0]).open("r+b") as file:
                file.seek(fault["at"] % Path(args[0]).stat().st_size)
                file.write(bytes(4096))
        case "cut":
            os.truncate(args[0], Path(args[0]).stat().st_size - fault["bytes"])
        case "remove":
            Path(fault["path"]).unlink()
        case "change":
            shutil.copy(fault["other"], fault["path"])
        case other:
            raise ValueError(other)


class Disk:
    """What is on the disk for certain, and what a power failure would leave.

    A file's bytes are certain as they were at its last fsync, the names in a directory as they
    were at the directory's. After each step (fsync, rename, report of a shot) two folders are
    made: ``N-names``, all that is not certain is lost; ``N-bytes``, names are as they are now
    but bytes that are not certain are lost. ``N.json`` says which shots had been reported.

    Parameters
    ----------
    archive : Path
    folder : Path
    """

    def __init__(self, archive: Path, folder: Path) -> None:
        self.archive, self.folder = archive, folder
        self.files: dict[int, Path] = {}
        self.names: dict[int, dict[str, tuple[int, bool]]] = {}
        self.reported: list[str] = []
        self.steps = 0
        (folder / "bytes").mkdir(parents=True)
        fsync, replace = os.fsync, Path.replace
        self.base = next(path for path in archive.parents if path.exists())
        self._look(self.base)

        def synced(descriptor: int) -> None:
            fsync(descriptor)
            status = os.fstat(descriptor)
            path = Path(f"/proc/self/fd/{descriptor}").readlink()
            if stat.S_ISDIR(status.st_mode):
                self._look(path)
            else:
                kept = folder / "bytes" / f"{self.steps}-{status.st_ino}"
                shutil.copy(path, kept)
                self.files[status.st_ino] = kept
            self.step()

        def renamed(path: Path, target: Path) -> Path:
            result = replace(path, target)
            self.step()
            return result

        os.fsync = synced  # type: ignore[assignment]
        Path.replace = renamed  # type: ignore[assignment, method-assign]

        def make(original: Callable[..., Any]) -> Callable[..., Any]:
            def wrapped(watcher: Any, report: Any) -> None:
                original(watcher, report)
                if report.state == "ingested":
                    self.reported.append(report.identity)
                self.step()

            return wrapped

        wrap("corecube_cli.progress:Lines.shot", make)

    def _look(self, folder: Path) -> None:
        self.names[folder.stat().st_ino] = {
            item.name: (item.stat().st_ino, item.is_dir()) for item in folder.iterdir()
        }

    def step(self) -> None:
        """Write down what a power failure would leave now."""
        self.steps += 1
        place = self.folder / f"{self.steps:04d}"
        self._certain(self.base.stat().st_ino, Path(f"{place}-names"))
        if self.archive.exists():
            self._present(self.base, Path(f"{place}-bytes"))
        Path(f"{place}.json").write_text(json.dumps(self.reported))

    def _certain(self, inode: int, target: Path) -> None:
        target.mkdir()
        for name, (entry, is_folder) in self.names.get(inode, {}).items():
            if is_folder:
                self._certain(entry, target / name)
            else:
                self._file(entry, target / name)

    def _present(self, folder: Path, target: Path) -> None:
        target.mkdir()
        for item in folder.iterdir():
            if item.is_dir():
                self._present(item, target / item.name)
            else:
                self._file(item.stat().st_ino, target / item.name)

    def _file(self, inode: int, target: Path) -> None:
        if inode in self.files:
            os.link(self.files[inode], target)
        else:
            target.touch()


def prepare() -> None:
    """Arm all that is ordered; runs in workers too."""
    if "batch" in ORDER:
        module: Any = importlib.import_module("corecube.pipeline.ingest")
        module._BATCH_SECONDS = ORDER["batch"]
    for fault in ORDER.get("faults", ()):
        arm(fault)


if __name__ == "__main__":
    from corecube_cli.main import main

    prepare()
    if "crash" in ORDER:
        Disk(Path(sys.argv[sys.argv.index("--archive") + 1]), Path(ORDER["crash"]))
    if "mark" in ORDER:
        for module in ("pipeline.ingest", "pipeline.work", "archive.shotwriter", "archive.verify"):
            importlib.import_module(f"corecube.{module}")
        Path(ORDER["mark"]).touch()
    sys.exit(main())
elif __name__ == "__mp_main__":
    prepare()
