"""A stranger's harm: what he hides in an archive, and what must stay as it is."""

from __future__ import annotations

import hashlib
import pickle
import re
from pathlib import Path
from typing import Any

import h5py
import numpy as np

SECRET = "s3cr3t-that-must-not-be-told"
ESCAPES = "a\x1b]0;owned\x07\n\x9b31m\u202eb"
HARMFUL = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
FIELD, PLATE = "toy/field/1", "toy/plate/1"
SHAPE = (300, 310)


class Evil:
    """Unpickled, it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (str(self.path), "w")


class World:
    """What lies beside the archive and must stay as it is."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ran = folder / "RAN"
        self.secret = folder / "secret.txt"
        self.secret.write_text(SECRET * 20)
        self.h5 = folder / "secret.h5"
        with h5py.File(self.h5, "w") as file:
            file.create_dataset("d", data=np.full((300, 310), 777, "f4"), chunks=(64, 64))
        (folder / "victims").mkdir()
        for name in ("1.7.h5", "2-aa.run", "state.3.json"):
            (folder / "victims" / name).write_text("precious")

    def pickle(self) -> np.bytes_:
        return np.bytes_(pickle.dumps(Evil(self.ran), 0))

    def state(self) -> dict[str, str]:
        return {
            str(path.relative_to(self.folder)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(self.folder.rglob("*")) if path.is_file()
        }  # fmt: skip
