"""Prints what a command does: lines, a line of progress, and with --json the result as one JSON document."""

import json
import sys
import threading
import time
from typing import Any

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Column

_FIRST_LINE_AFTER_S = 0.5
_SECONDS_BETWEEN_LINES = 3.0
_MAX_SILENCE_S = 4.0


class Output:
    """A command's output; use it as a context, at whose end the progress is removed.

    On a terminal, progress is one line that is rewritten and never wraps. Elsewhere it is a line every few
    seconds.

    :param as_json: print the result as JSON on stdout, and everything else on stderr.
    """

    def __init__(self, *, as_json: bool = False) -> None:
        self._as_json = as_json
        stream = sys.stderr if as_json else sys.stdout
        self._console = Console(
            stderr=as_json, force_terminal=stream.isatty(), highlight=False, markup=False, emoji=False
        )
        self._text = self._printed = ""
        self._line = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False, table_column=Column(ratio=1, no_wrap=True)),
            TimeElapsedColumn(),
            expand=True,  # so that the text is cut, and neither of the others
            console=self._console,
            transient=True,
            disable=not stream.isatty() or self._console.is_dumb_terminal,
        )
        self._task = self._line.add_task("", total=None)
        self._began_at = time.monotonic()
        self._printed_at = self._began_at + _FIRST_LINE_AFTER_S - _SECONDS_BETWEEN_LINES
        self._ended = threading.Event()

    def __enter__(self) -> "Output":
        if self._line.disable:
            threading.Thread(target=self._print_progress, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._line.stop()

    def say(self, text: str) -> None:
        """Print a line."""
        self._console.print(text, soft_wrap=True)
        self._printed_at = time.monotonic()

    def doing(self, text: str) -> None:
        """Show this as the progress, until something else is shown; empty: nothing."""
        self._text = text
        if not self._line.disable:
            self._line.update(self._task, description=text)
            self._line.start() if text else self._line.stop()

    def result(self, text: str, **fields: Any) -> None:
        """Print the result: its fields with --json, else the text."""
        if self._as_json:
            print(json.dumps(fields, default=str), flush=True)
        elif text:
            self.say(text)

    def _print_progress(self) -> None:
        while not self._ended.wait(0.1):
            text, silence = self._text, time.monotonic() - self._printed_at
            if text and silence >= (_MAX_SILENCE_S if text == self._printed else _SECONDS_BETWEEN_LINES):
                again = f" ({time.monotonic() - self._began_at:.0f} s)" if text == self._printed else ""
                self._printed = text
                self.say(f"{text}{again}")
