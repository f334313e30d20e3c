"""The browser as a program: without a terminal, in one, in tmux."""

from __future__ import annotations

import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from corecube_cli.main import run

Environ = dict[str, str]
SECONDS = 40


@pytest.fixture
def environ() -> Environ:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("TERM", "COLOR", "TMUX"))}
    path = os.pathsep.join(sys.path)
    return {**kept, "PYTHONPATH": path, "TERM": "xterm-256color", "LANG": "C.UTF-8"}


def words(archive: Path, *more: str) -> list[str]:
    return [sys.executable, "-m", "corecube_cli", "browse", str(archive), *more]


def test_without_a_terminal_it_is_one_line_and_2(toy_archive: Path, environ: Environ) -> None:
    done = subprocess.run(
        words(toy_archive), env=environ, stdin=subprocess.DEVNULL, capture_output=True, text=True,
        timeout=SECONDS,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("corecube: error: browse needs a terminal; use 'corecube info'")
    assert done.stderr.count("\n") == 1


def test_a_missing_archive_and_a_wrong_radius(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, toy_archive: Path
) -> None:
    assert run(["browse", str(tmp_path / "none.corecube")]) == 5
    error = capsys.readouterr().err
    assert "none.corecube" in error and error.count("\n") == 1
    assert run(["browse", str(toy_archive), "10 -20", "--radius", "3"]) == 2
    assert "has no unit" in capsys.readouterr().err


def plain(text: bytes) -> bytes:
    """Leave colours out."""
    return re.sub(rb"\x1b\[[0-9;]*m", b"", text)


class Terminal:
    """A program in a pseudo terminal."""

    def __init__(self, command: list[str], environ: Environ) -> None:
        self.master, slave = pty.openpty()
        import fcntl
        import struct
        import termios

        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.process = subprocess.Popen(
            command, env=environ, stdin=slave, stdout=slave, stderr=slave, start_new_session=True
        )
        os.close(slave)
        self.seen = b""

    def until(self, text: bytes) -> None:
        """Read until a text has come."""
        end = time.monotonic() + SECONDS
        while text not in self.seen:
            assert time.monotonic() < end, self.seen[-2000:]
            self.read(0.2)

    def read(self, seconds: float) -> None:
        ready, _, _ = select.select([self.master], [], [], seconds)
        if ready:
            try:
                self.seen += os.read(self.master, 1 << 16)
            except OSError:  # the other end is closed
                time.sleep(0.05)

    def ended(self) -> int:
        """Wait for the end."""
        end = time.monotonic() + SECONDS
        while self.process.poll() is None:
            assert time.monotonic() < end, "the program has not ended"
            self.read(0.1)
        self.read(0.1)
        return self.process.returncode

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self.master)


@pytest.fixture
def terminal(environ: Environ) -> Iterator[Callable[..., Terminal]]:
    opened: list[Terminal] = []

    def open_one(command: list[str], **more: str) -> Terminal:
        opened.append(Terminal(command, environ | more))
        return opened[-1]

    yield open_one
    for one in opened:
        one.close()


def test_in_a_terminal(terminal: Any, toy_archive: Path) -> None:
    screen = terminal(words(toy_archive))
    screen.until(b"all spectra")
    assert b"38;5;" in screen.seen or b"48;5;" in screen.seen
    os.write(screen.master, b"q")
    assert screen.ended() == 0
    assert b"\x1b[?1049l" in screen.seen  # the screen from before is back


@pytest.mark.parametrize("how", ["variable", "option"])
def test_without_colours(terminal: Any, toy_archive: Path, how: str) -> None:
    """NO_COLOR and --no-color: no colour is sent at all."""
    more = ["--no-color"] if how == "option" else []
    extra = {"NO_COLOR": "1"} if how == "variable" else {}
    screen = terminal(words(toy_archive, "10 -20", *more), **extra)
    screen.until(b"within")
    screen.until(b"pixel")
    os.write(screen.master, b"\x11")
    assert screen.ended() == 0
    codes = re.findall(rb"\x1b\[([0-9;]*)m", screen.seen)
    colours = [code for code in codes if re.search(rb"(^|;)(3[0-8]|4[0-8]|9[0-7]|10[0-7])", code)]
    assert not colours


def test_a_dumb_terminal_is_refused(terminal: Any, toy_archive: Path) -> None:
    screen = terminal(words(toy_archive), TERM="dumb")
    assert screen.ended() == 2
    assert b"browse needs a terminal" in screen.seen and b"\x1b" not in screen.seen


def test_a_damaged_catalogue_ends_with_5_and_a_clean_screen(
    terminal: Any, toy_archive: Path
) -> None:
    for path in (toy_archive / "catalogue").iterdir():
        data = path.read_bytes()
        path.write_bytes(data[:100] + b"#" * 20 + data[120:])
    screen = terminal(words(toy_archive))
    assert screen.ended() == 5
    last = screen.seen.rpartition(b"\x1b[?1049l")[2] or screen.seen
    assert b"corecube: error:" in plain(last) and b"Traceback" not in screen.seen


def test_in_tmux(environ: Environ, toy_archive: Path, tmp_path: Path) -> None:
    """Keys, sizes and the look in a real terminal emulator."""
    tmux = shutil.which("tmux")
    if tmux is None:
        pytest.skip("tmux is not installed")
    call = [tmux, "-S", str(tmp_path / "tmux"), "-f", "/dev/null"]

    def do(*arguments: str) -> str:
        done = subprocess.run(
            [*call, *arguments], env=environ, capture_output=True, text=True, timeout=SECONDS
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def until(text: str) -> str:
        end = time.monotonic() + SECONDS
        while True:
            shown = do("capture-pane", "-p", "-t", "browse")
            if text in shown:
                return shown
            assert time.monotonic() < end, shown
            time.sleep(0.1)

    command = " ".join(f"'{word}'" for word in words(toy_archive))
    # tmux itself does not always learn the exit code (3.3a)
    command += "; echo back in the shell with $?; sleep 60"
    do("new-session", "-d", "-s", "browse", "-x", "80", "-y", "24", command)
    try:
        until("all spectra")
        do("send-keys", "-t", "browse", "/")
        until("go to")
        do("send-keys", "-t", "browse", "-l", "10 -20")
        do("send-keys", "-t", "browse", "Enter")
        shown = until("mask none")
        assert "within 2.000 arcsec" in shown and "Angstrom" in shown
        do("resize-window", "-t", "browse", "-x", "120", "-y", "40")
        until("all images")
        do("resize-window", "-t", "browse", "-x", "20", "-y", "5")
        until("corecube browse nee")
        do("resize-window", "-t", "browse", "-x", "80", "-y", "24")
        until("within 2.000 arcsec")
        do("send-keys", "-t", "browse", "Escape")
        until("all images")
        do("send-keys", "-t", "browse", "q")
        until("back in the shell with 0")
    finally:
        do("kill-server")


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 129)]
)
def test_signals_end_it_and_give_the_screen_back(
    terminal: Any, toy_archive: Path, number: signal.Signals, code: int
) -> None:
    screen = terminal(words(toy_archive))
    screen.until(b"all spectra")
    screen.process.send_signal(number)
    assert screen.ended() == code
    assert b"\x1b[?1049l" in screen.seen and b"Traceback" not in screen.seen


def test_a_terminal_that_is_closed_ends_it(terminal: Any, toy_archive: Path) -> None:
    """Without a signal, as under nohup: no program is left that runs for nobody."""
    screen = terminal(words(toy_archive))
    screen.until(b"all spectra")
    os.close(screen.master)
    screen.master = os.open(os.devnull, os.O_RDWR)
    assert screen.process.wait(SECONDS) == 129


def test_a_bug_ends_with_1_and_a_saved_traceback(
    terminal: Any, toy_archive: Path, tmp_path: Path
) -> None:
    code = (
        "import sys; from corecube_cli.browse import app; from corecube_cli.main import main\n"
        "app.BrowseApp.action_help = lambda self: 1 / 0\n"
        f"sys.argv = ['corecube', 'browse', {str(toy_archive)!r}]; sys.exit(main())"
    )
    screen = terminal([sys.executable, "-c", code], TMPDIR=str(tmp_path))
    screen.until(b"all spectra")
    os.write(screen.master, b"?")
    assert screen.ended() == 1
    last = screen.seen.rpartition(b"\x1b[?1049l")[2]
    assert b"corecube: error:" in plain(last) and b"Traceback" not in last
    assert "ZeroDivisionError" in next(tmp_path.glob("corecube-*-traceback.txt")).read_text("utf-8")
