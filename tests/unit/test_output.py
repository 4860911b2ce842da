"""A command's output: progress without debris on a terminal and in a log, and JSON for programs."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from include.gong.local import output as outputs
from include.gong.local.output import Output

ROOT = Path(__file__).parents[2]
AT_A_TERMINAL = """
import time
from include.gong.local.output import Output
with Output() as output:
    output.doing("histories 200 of 1,000 · 16 s left · users 1,250 · 50.0 calls/s")
    time.sleep(0.5)
    output.say("a line")
    time.sleep(0.3)
    output.doing("")
    output.result("the end", field=1)
"""


def test_in_a_narrow_terminal_progress_is_one_line_and_leaves_nothing() -> None:
    ours, theirs = pty.openpty()
    environment = {**os.environ, "COLUMNS": "40", "TERM": "xterm", "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, "-c", AT_A_TERMINAL], stdout=theirs, stderr=theirs, env=environment, cwd=ROOT
    ) as process:
        os.close(theirs)
        shown = ""
        while chunk := _read(ours):
            shown += chunk
        assert process.wait() == 0
    os.close(ours)
    assert "histories 200 of 1,0" in shown
    assert "0:00:00" in shown
    assert max(map(len, re.sub(r"\x1b\[[\d;?]*\w", "", shown).splitlines())) <= 40
    assert left_on_screen(shown) == ["a line", "the end"]


def left_on_screen(shown: str) -> list[str]:
    """Return the lines that a terminal shows in the end."""
    lines, row = [""], 0
    for part in re.findall(r"\x1b\[[\d;?]*\w|\r|\n|[^\x1b\r\n]+", shown):
        if part == "\n":
            row += 1
            lines += [""] * (row == len(lines))
        elif part == "\x1b[1A":
            row -= 1
        elif part == "\x1b[2K":
            lines[row] = ""
        elif not part.startswith(("\x1b", "\r")):
            lines[row] += part
    return [line for line in lines if line]


def _read(terminal: int) -> str:
    try:
        return os.read(terminal, 4096).decode(errors="replace")
    except OSError:  # its other side is closed
        return ""


def test_in_a_log_a_line_comes_at_once_and_then_at_intervals(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setattr(outputs, "_MAX_SILENCE_S", 0.6)
    with Output() as output:
        output.doing("Starting")
        time.sleep(0.8)
        assert capsys.readouterr().out == "Starting\n"
        time.sleep(0.8)
    assert re.fullmatch(r"(Starting \(\d s\)\n)+", capsys.readouterr().out)


def test_with_json_stdout_is_one_document(capsys: pytest.CaptureFixture[str]) -> None:
    with Output(as_json=True) as output:
        output.say("[bold]a line[/bold] " + "x" * 200)
        output.result("a text", number=1)
    shown = capsys.readouterr()
    assert json.loads(shown.out) == {"number": 1}
    assert shown.err == "[bold]a line[/bold] " + "x" * 200 + "\n"
