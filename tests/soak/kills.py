"""Kill commands that write into an archive, at moments drawn over their run, and look for losses.

    python tests/soak/kills.py [--kills N] [--seed N] [--folder FOLDER] [--only WORD]

After each kill -9: the archive opens; every shot is bit for bit as before the command or as the
command makes it, and as the latter if this was reported; `verify` finds nothing; the same command
again leads to the archive of an undisturbed run; what the dead one left behind is gone. Prints a
table of the kills by phase; ends with 1 if anything was lost.

A third of the moments are drawn evenly over the run's time, the others evenly over its phases,
because most of these are short. Processes are forked, workers too: to start one would take longer
than the run.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import processes  # type: ignore[import-not-found]  # beside this file
from losses import look, remember  # type: ignore[import-not-found]
from phases import PHASES, Page  # type: ignore[import-not-found]
from scenarios import (  # type: ignore[import-not-found]
    Scenario,
    fresh,
    install,
    make_files,
    scenarios,
)

_ALONE = ("OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS", "NUMEXPR_MAX_THREADS")
_WARM = ("corecube", "corecube_cli", "tables", "numpy", "numcodecs", "typer", "click", "rich",
         "pluggy", "yaml", "toy", "lab", "json", "concurrent", "multiprocessing")  # fmt: skip


@dataclass
class Case:
    """A scenario with what is known of its undisturbed run.

    Attributes
    ----------
    scenario : Scenario
    place : Path
        Folder of its base archive and of the contents before and after.
    jobs : int
    batched : bool
        Whether shots that end together are registered together.
    seconds : float
    visits : dict
        Of each phase: number of visits and mean seconds.
    """

    scenario: Scenario
    place: Path
    jobs: int
    batched: bool
    seconds: float = 0.0
    visits: dict[int, tuple[int, float]] = field(default_factory=dict)

    @property
    def base(self) -> Path:
        return self.place / "base.corecube"

    def arguments(self, archive: Path) -> list[str]:
        """Return the command line."""
        jobs = ["--jobs", str(self.jobs)] if self.scenario.workers else []
        return [str(archive) if a == "ARCHIVE" else a for a in self.scenario.command] + jobs


def command(arguments: list[str], batched: bool = True) -> int:
    """Run the program in this process."""
    from corecube.pipeline import ingest as module
    from corecube_cli.main import main

    owner: Any = sys.modules[module.__module__]
    owner._BATCH_SECONDS = 1.0 if batched else 0.0
    processes.fork_workers()
    sys.argv = ["corecube", *arguments]
    return int(main())


def prepare(folder: Path) -> list[Case]:
    """Make files and base archives, and learn what the undisturbed runs lead to."""
    raw = folder / "raw"
    install(folder / "site")
    os.environ["CORECUBE_PLUGINS"] = "toy,lab"
    os.environ["XDG_CONFIG_HOME"] = str(folder / "config")
    os.environ["TMPDIR"] = str(folder / "tmp")
    (folder / "tmp").mkdir()
    os.environ.update(dict.fromkeys(_ALONE, "1"))  # with threads one cannot be forked safely
    warm = folder / "warm.json"

    def files() -> int:
        make_files(raw, importlib.import_module("toy"), importlib.import_module("lab"))
        return 0

    def first() -> int:
        code = command(scenarios_arguments(found[0], folder / "warm.corecube"))
        look_for = {name for name in sys.modules if name.split(".")[0] in _WARM}
        importlib.import_module("corecube.archive.verify")
        warm.write_text(json.dumps(sorted(look_for)))
        return code

    done(files, folder)
    found = scenarios(raw)
    done(first, folder)
    # what a run imports is imported here once; nothing is opened here, and no thread is started
    for name in json.loads(warm.read_text()):
        importlib.import_module(name)
    assert len(list(Path("/proc/self/task").iterdir())) == 1, "a process with threads is forked"
    cases = []
    for number, scenario in enumerate(found):
        place = folder / f"case{number}"
        place.mkdir()
        for arguments in scenario.base:
            argv = [str(place / "base.corecube") if a == "ARCHIVE" else a for a in arguments]
            done(partial(command, argv), folder)
        base = place / "base.corecube"
        if base.exists():
            done(partial(remember, base, place / "before"), folder)
        if scenario.damage is not None:
            scenario.damage(base)
        for jobs, batched in ((1, True), (1, False), (2, True), (2, False)):
            if scenario.workers or (jobs, batched) == (1, True):
                cases.append(Case(scenario, place, jobs, batched))
    return cases


def scenarios_arguments(scenario: Scenario, archive: Path) -> list[str]:
    return [str(archive) if a == "ARCHIVE" else a for a in (*scenario.command, "--jobs", "1")]


def done(work: Any, folder: Path) -> None:
    """Run in a forked process; it must succeed."""
    pid = processes.fork(work, folder / "said.txt")
    code = processes.end(pid)
    assert code == 0, f"{code}: {(folder / 'said.txt').read_text()}"
    assert processes.ends(pid)


def measure(case: Case, folder: Path, page: Page) -> None:
    """Let a case run undisturbed; remember what it leads to and how long its phases are."""
    archive, told = folder / "measured.corecube", folder / "visits.json"
    fresh(case.base, archive)
    with processes.bell() as (_, ringing):

        def run() -> int:
            page.mark(-1, ringing)
            began = time.monotonic()
            code = command(case.arguments(archive), case.batched)
            told.write_text(json.dumps([time.monotonic() - began, page.visits]))
            return code if case.scenario.damage is None or code != 3 else 0

        done(run, folder)
    case.seconds, visits = json.loads(told.read_text())
    case.visits = {}
    for phase in {phase for phase, _ in visits}:
        times = [seconds for p, seconds in visits if p == phase]
        case.visits[phase] = len(times), sum(times) / len(times)
    done(partial(remember, archive, case.place / "after"), folder)


def kill(case: Case, folder: Path, page: Page, draw: random.Random) -> tuple[int, str, str] | None:
    """Start a case and kill it; return phase, what is lost, and how; None if it ended before."""
    archive, said = folder / "a.corecube", folder / "killed.txt"
    fresh(case.base, archive)
    page.clear()
    by_phase = draw.random() < 2 / 3
    wanted = draw.choice(sorted(case.visits.keys() - {0})) if by_phase else 0
    count, mean = case.visits.get(wanted, (1, case.seconds)) if by_phase else (1, case.seconds)
    number = draw.randint(1, count)
    delay = draw.uniform(0, mean * 1.1)
    group = case.jobs > 1 and draw.random() < 0.4  # as the kernel does when a container ends
    at_once = case.jobs > 1 and draw.random() < 0.5
    with processes.bell() as (waiting, ringing):

        def run() -> int:
            page.mark(wanted, ringing)
            return command(case.arguments(archive), case.batched)

        pid = processes.fork(run, said)
        processes.wait_for_rings(waiting, number, pid)
        time.sleep(delay)
        (os.killpg if group else os.kill)(pid, signal.SIGKILL)
        code = processes.end(pid)
    phase = page.phase()
    how = (
        f"{case.scenario.name}, jobs {case.jobs}{', batched' if case.batched else ''}, in "
        f"'{PHASES[phase]}'{', the whole group' if group else ''}"
    )
    # half of the time the next one begins while orphaned workers are still ending
    lost = "" if at_once or processes.ends(pid) else "workers have outlived the coordinator"
    if code != -signal.SIGKILL:
        processes.ends(pid)
        if code == 0 or (code == 3 and case.scenario.damage is not None):
            return None
        return phase, f"exit code {code}: {said.read_text()}", how
    shutil.rmtree(folder / "killed.corecube", ignore_errors=True)
    if archive.exists() and not at_once:
        shutil.copytree(archive, folder / "killed.corecube")  # for those who search
    checked = folder / "checked.txt"
    again = case.arguments(archive)
    again = [*again[:-1], "1"] if case.scenario.workers else again

    def check() -> int:
        look(
            archive, case.place, said.read_text(), lambda: command(again),
            damaged=case.scenario.damage is not None, settled=not at_once,
        )  # fmt: skip
        return 0

    checker = processes.fork(check, checked)
    if processes.end(checker):
        lost = lost or checked.read_text()
    processes.ends(checker)
    if not processes.ends(pid):
        lost = lost or "workers have outlived the coordinator"
    return phase, lost, how


def table(counts: Counter[tuple[str, int]], names: list[str]) -> str:
    """Return kills by phase and scenario."""
    used = [p for p in range(len(PHASES)) if any(counts[name, p] for name in names)]
    width = max(map(len, names))
    lines = []
    for phase in used:
        total = sum(counts[name, phase] for name in names)
        lines.append(f"{PHASES[phase]:<22}{total:>6}")
    lines.append(f"{'all':<22}{sum(counts.values()):>6}")
    lines.append("")
    for name in names:
        lines.append(f"{name:<{width}}{sum(n for (s, _), n in counts.items() if s == name):>6}")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description="Kill -9 at moments drawn over a run.")
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, help="for scratch files; kept after a loss")
    parser.add_argument("--only", default="", metavar="WORD", help="only scenarios with this word")
    options = parser.parse_args()
    if options.folder:
        options.folder.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="corecube-soak-", dir=options.folder))
    processes.adopt()
    page, draw = Page(), random.Random(options.seed)
    began = time.monotonic()
    cases = [case for case in prepare(folder) if options.only in case.scenario.name]
    for case in cases:
        measure(case, folder, page)
    counts: Counter[tuple[str, int]] = Counter()
    losses: list[str] = []
    early = number = 0
    while number < options.kills:
        # every scenario as often as the others, whatever its jobs
        names = list(dict.fromkeys(case.scenario.name for case in cases))
        name = names[number % len(names)]
        case = draw.choice([case for case in cases if case.scenario.name == name])
        result = kill(case, folder, page, draw)
        if result is None:
            early += 1
            assert early < 20 + 2 * options.kills, "they always end before they can be killed"
            continue
        number += 1
        phase, lost, how = result
        counts[name, phase] += 1
        if lost:
            losses.append(f"kill {number} of seed {options.seed}: {how}\n{lost}")
            print(losses[-1], file=sys.stderr, flush=True)
            for item in ("a.corecube", "killed.corecube"):
                if (folder / item).exists():
                    shutil.copytree(folder / item, folder / f"lost{number}-{item}")
        if number % 100 == 0:
            print(f"{number} kills, {len(losses)} with losses", file=sys.stderr, flush=True)
    print(table(counts, list(dict.fromkeys(case.scenario.name for case in cases))))
    print(
        f"\n{number} kills -9 (seed {options.seed}) in {time.monotonic() - began:.0f} s, "
        f"{len(losses)} with losses; {early} runs ended before their moment"
    )
    if losses:
        print(f"what was found is in {folder}")
        return 1
    shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
