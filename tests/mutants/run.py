"""Break promises on purpose, one at a time, in a copy of the tree, and see their tests fail.

    python tests/mutants/run.py [WORD ...]     only mutants whose promise has all the words

Ends with 1 if a mutant lives: then a promise has no test that can fail.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from mutants import MUTANTS, Mutant  # type: ignore[import-not-found]  # beside this file

ROOT = Path(__file__).resolve().parents[2]
COPIED = ("corecube", "cli", "plugins", "tests", "examples", "docs", "benchmarks")
FILES = ("pyproject.toml", "README.md", "Makefile", "constraints.txt", "CHANGELOG.md")


def main(words: list[str]) -> int:
    """Try the mutants; return the exit code."""
    chosen = [m for m in MUTANTS if all(word in m.promise for word in words)]
    lived = []
    with tempfile.TemporaryDirectory(prefix="corecube-mutants-") as folder:
        tree = Path(folder) / "tree"
        tree.mkdir()
        for name in COPIED:
            shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
        for name in FILES:
            shutil.copy2(ROOT / name, tree / name)
        for mutant in chosen:
            started = time.monotonic()
            killed_by = _killed_by(mutant, tree)
            seconds = time.monotonic() - started
            what = f"killed  {killed_by}" if killed_by else "LIVES"
            print(f"{seconds:5.0f} s  {mutant.promise:66}  {what}", flush=True)
            if not killed_by:
                lived.append(mutant)
    print(f"{len(chosen) - len(lived)} of {len(chosen)} mutants killed")
    return 1 if lived or not chosen else 0


def _killed_by(mutant: Mutant, tree: Path) -> str:
    """Return the first test that fails with the mutant, "" if none does."""
    path = tree / mutant.file
    text = path.read_text(encoding="utf-8")
    if text.count(mutant.old) != 1:
        raise SystemExit(
            f"{mutant.file}: has {text.count(mutant.old)} places of the mutant "
            f"'{mutant.promise}'; bring it up to date"
        )
    path.write_text(text.replace(mutant.old, mutant.new), encoding="utf-8")
    try:
        done = subprocess.run(
            [
                sys.executable, "-m", "pytest", "-x", "-q", "--no-header", "--tb=no", "-rfE",
                "-p", "no:cacheprovider", *shlex.split(mutant.tests),
            ],
            cwd=tree, env=_environment(tree), capture_output=True, text=True, check=False,
        )  # fmt: skip
    finally:
        path.write_text(text, encoding="utf-8")
    if done.returncode == 0:
        return ""
    for line in done.stdout.splitlines():
        if line.startswith(("FAILED ", "ERROR ")):
            return line.split()[1]
    raise SystemExit(f"pytest ended with {done.returncode}:\n{done.stdout}{done.stderr}")


def _environment(tree: Path) -> dict[str, str]:
    """Let the copy's modules be found before the installed ones, in subprocesses too."""
    plugins = sorted(str(folder) for folder in (tree / "plugins").iterdir() if folder.is_dir())
    path = os.pathsep.join([str(tree), str(tree / "cli"), *plugins])
    data = os.environ.get("CORECUBE_TEST_DATA") or str(ROOT.parent / "shared" / "data")
    # all examples, and the same ones each time
    fixed = {"CI": "true", "CORECUBE_EXAMPLES": "100"}
    return os.environ | fixed | {"PYTHONPATH": path, "CORECUBE_TEST_DATA": data}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
