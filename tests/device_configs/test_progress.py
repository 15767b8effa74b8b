"""Progress on a terminal, which a pty stands for, and as lines in a log."""

import contextlib
import os
import pty
import sys
import threading

import pytest

from splitwatt.device_configs.errors import SplitwattError
from splitwatt.device_configs.files import inside, write_atomic
from splitwatt.device_configs.progress import Progress


def test_a_terminal_shows_a_bar_with_counts_and_time_left(monkeypatch):
    ours, theirs = pty.openpty()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    with open(theirs, "w") as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        pieces = []

        def read():  # at once: a terminal holds little that nobody reads
            with contextlib.suppress(OSError):  # the end of a terminal
                while piece := os.read(ours, 1 << 16):
                    pieces.append(piece)

        reader = threading.Thread(target=read)
        reader.start()
        with Progress(4, "samples") as progress:
            progress.begin("LC1 [bold]on[/bold] \x1b[31mcpu")
            progress.extend(2)
            progress.advance(3)
            progress.note("a note [red]that stays[/red]")
            progress._bar.refresh()
    reader.join()
    os.close(ours)
    shown = b"".join(pieces).decode()
    assert "3/6" in shown and "left" in shown
    # Names and notes are text: neither markup nor escape sequences of theirs act.
    assert "LC1 [bold]on[/bold]" in shown and "\x1b[31m" not in shown
    assert "a note [red]that stays[/red]" in shown


def test_a_log_gets_a_line_when_all_is_done(capsys):
    with Progress(2, "samples") as progress:
        progress.begin("LC1", 0)
        progress.advance(2)
    assert "2 of 2 samples, LC1" in capsys.readouterr().err


def test_files_that_cannot_be(tmp_path):
    with pytest.raises(SplitwattError, match="could not be written: "):
        (tmp_path / "file").write_bytes(b"")
        write_atomic(str(tmp_path / "file" / "below"), b"x")
    with pytest.raises(SplitwattError, match="is not a file name inside"):
        inside(str(tmp_path), "a\0b")
