from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

from textual.app import App, ComposeResult

from corecube_cli.browse.loading import Job, Loader
from corecube_cli.browse.places import Fiber, Place
from corecube_cli.browse.rowsources import Cells, Head
from corecube_cli.browse.rowtable import BLOCK, RowTable

MANY = 10_000_000


class Numbers:
    """Ten million rows that are made when they are asked for."""

    title = "numbers"
    heads: tuple[Head, ...] = (Head("row", "", True), Head("name"), Head("square", "pix2", True))
    count = MANY

    def __init__(self) -> None:
        self.asked: list[tuple[int, int]] = []

    def read(self, archive: Any, first: int, last: int) -> Cells:
        self.asked.append((first, last))
        if first <= 5_000_000 < last:
            raise OSError(5, "Input/output error")
        return [(str(n), f"name {n}", str(n * n)) for n in range(first, last)]

    def place(self, row: int) -> Place:
        return Fiber("a/b", "c", row)


class Host(App[None]):
    def __init__(self) -> None:
        super().__init__()
        self.loader = Loader(Path("none"), self._deliver)
        self.loader._opened = lambda: None  # type: ignore[method-assign, assignment, return-value]

    def _deliver(self, job: Job) -> None:
        self.call_from_thread(self.loader.finish, job)

    def compose(self) -> ComposeResult:
        yield RowTable(self.loader)

    def on_mount(self) -> None:
        self.loader.start()

    def on_unmount(self) -> None:
        self.loader.stop()


def lines(app: App[None]) -> list[str]:
    return [strip.text for strip in app.screen._compositor.render_strips()]


def test_ten_million_rows() -> None:
    """Rows are read in blocks, only those that were on the screen, and the ends are right."""
    source = Numbers()

    async def scene() -> None:
        app = Host()
        async with app.run_test(size=(80, 24)) as pilot:
            table = app.query_one(RowTable)
            table.focus()
            started = time.perf_counter()
            table.show(source)
            assert time.perf_counter() - started < 0.5  # does not depend on the number of rows
            for _ in range(300):
                await pilot.pause(0.02)
                if table.cells(0) is not None:
                    break
            await pilot.pause(0.1)
            assert lines(app)[2].split()[1:] == ["0", "name", "0", "0"] or "name 0" in lines(app)[2]
            assert "row" in lines(app)[0] and "pix2" in lines(app)[1]
            await pilot.press("G")
            for _ in range(300):
                await pilot.pause(0.02)
                if table.cells(MANY - 1) is not None:
                    break
            await pilot.pause(0.1)
            assert table.cursor == MANY - 1
            last = lines(app)[23]
            assert f"▶{MANY - 1}" in last.replace(" ", "") and f"name {MANY - 1}" in last
            assert lines(app)[0].split() == ["row", "name", "square"]  # the head has stayed
            await pilot.press("pageup", "k")
            await pilot.pause(0.1)
            assert table.cursor == MANY - 1 - 22 - 1
            table.move_to(5_000_000)
            for _ in range(300):
                await pilot.pause(0.02)
                if table.problem:
                    break
            await pilot.pause(0.1)
            assert "Input/output error" in lines(app)[2]  # one line, and the program goes on
            assert app.is_running
            for size in ((1, 1), (20, 5), (200, 60)):
                await pilot.resize_terminal(*size)
                await pilot.pause(0.05)

    asyncio.run(scene())
    read = sum(last - first for first, last in source.asked)
    assert read <= 8 * BLOCK


def test_a_newer_question_replaces_an_older_one() -> None:
    done: list[str] = []
    jobs: list[Job] = []
    loader = Loader(Path("none"), jobs.append)
    loader._opened = lambda: None  # type: ignore[method-assign, assignment, return-value]

    def slow(archive: Any) -> str:
        time.sleep(0.2)
        return "first"

    failed: list[str] = []
    loader.ask("view", slow, done.append, failed.append)
    loader.start()
    time.sleep(0.05)
    for name in ("second", "third"):
        loader.ask("view", lambda a, n=name: n, done.append, failed.append)  # type: ignore[misc]
    loader.ask("other", lambda a: 1 / 0, done.append, failed.append)
    assert loader.busy() > 0
    for _ in range(200):
        time.sleep(0.02)
        if len(jobs) == 3:
            break
    for job in jobs:
        loader.finish(job)
    loader.stop()
    assert done == ["third"]  # the first was overtaken while it ran, the second never began
    assert failed == ["ZeroDivisionError: division by zero"]
    assert loader.busy() == 0
