"""Takes the docs' pictures, each with the words it shows, so that a test detects outdated ones.

`make pictures` takes them again; any other run compares the words of the page with those in the picture.
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, PngImagePlugin
from playwright.sync_api import Locator, Page

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "pictures"
ARE_TAKEN = bool(os.environ.get("GONG_PICTURES"))
GREY = "#d5dbe3"
_ROLES = "heading|button|tab|textbox|combobox|radio|checkbox|spinbutton|columnheader|searchbox|status|alert"
_PARAGRAPH = re.compile(r"^ *- paragraph: (.+)$", re.MULTILINE)
_MONTH = re.compile(r"\b(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]*\b")
_NAMED = re.compile(rf'^ *- \'?({_ROLES}) "((?:[^"\\]|\\.)+)"', re.MULTILINE)


# Shown only by the tests' stack: it has short deadlines and logs at DEBUG.
_OF_TESTS = re.compile(r"heading: Deadline|button: Press Ctrl.* to scroll")


def take(
    name: str,
    page: Page,
    *,
    of: Locator | None = None,
    hide: Sequence[Locator] = (),
    paragraphs: bool = False,
) -> None:
    """Take a picture of one step if GONG_PICTURES is set; else compare the page with docs/pictures.

    :param of: the element whose words count; default: the whole page. The picture always shows the window.
    :param hide: elements that differ each time, grey in the picture.
    :param paragraphs: their text counts, too.
    """
    words = shown(of or page.locator("body"), paragraphs=paragraphs)
    assert words, f"{name}: nothing to see"
    path = FOLDER / f"{name}.png"
    if ARE_TAKEN:
        _save(path, page.screenshot(mask=hide, mask_color=GREY, animations="disabled"), words)
    assert path.exists(), f"no docs/pictures/{name}.png: make pictures"
    others = set(words_in(path)) ^ set(words)
    assert not others, f"docs/pictures/{name}.png differs in {others}: make pictures, and look"


def shown(what: Locator, *, paragraphs: bool = False) -> list[str]:
    """Return the headings, labels and buttons that a screen reader finds, once each; any number is N."""
    snapshot = what.aria_snapshot()
    found = [f"{role}: {_plain(text)}" for role, text in _NAMED.findall(snapshot)]
    if paragraphs:
        found += [f"paragraph: {_MONTH.sub('MONTH', _plain(text))}" for text in _PARAGRAPH.findall(snapshot)]
    return sorted({words for words in found if not _OF_TESTS.match(words)})


def words_in(path: Path) -> list[str]:
    """Return the words stored in a picture."""
    with Image.open(path) as image:
        return str(image.info["words"]).splitlines()


def _plain(text: str) -> str:
    without_ids = re.sub(r"\b(manual|scheduled|backfill)__\S+", "RUN", text.replace('\\"', '"'))
    return re.sub(r"\d[\d.,:]*", "N", without_ids)


def _save(path: Path, png: bytes, words: list[str]) -> None:
    """Save with 256 colours: a third of the size, without a visible difference."""
    carried = PngImagePlugin.PngInfo()
    carried.add_itxt("words", "\n".join(words), zip=True)
    with Image.open(io.BytesIO(png)) as image:
        small = image.convert("RGB").quantize(256, dither=Image.Dither.NONE)
        path.parent.mkdir(exist_ok=True)
        small.save(path, optimize=True, pnginfo=carried)
