"""The tour of the README, word for word."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

README = Path(__file__).parents[2] / "README.md"


def blocks() -> list[tuple[str, str]]:
    """Return language and text of the code blocks of the tour, in order."""
    tour = README.read_text().split("## Tour of five minutes")[1].split("\n## ")[0]
    return re.findall(r"```(\w*)\n(.*?)```", tour, re.DOTALL)


def test_the_tour_of_the_readme_works(tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    said = ""
    for language, text in blocks():
        command = [sys.executable, "-c", text] if language == "python" else ["sh", "-ec", text]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{text}\n{done.stderr}"
        assert "Traceback" not in done.stderr
        said += done.stdout
    assert len(list((tmp_path / "cutouts").glob("*.fits"))) == 5
    assert len(list((tmp_path / "spectra").glob("*.fits"))) == 1
    assert "sdss/7779-5-0279/r" in said
    assert "7099-56714-0002" in said
