"""The docs' pictures: one per step, each taken by a test, small, and none unused."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from PIL import Image

from tests.stack.pictures import FOLDER, words_in

HERE = Path(__file__).parent
TAKEN = sorted(
    name
    for file in HERE.glob("test_browser_*.py")
    for name in re.findall(r'pictures\.take\("([\w-]+)"', file.read_text())
)


def test_each_picture_is_taken_by_one_step() -> None:
    assert sorted(file.stem for file in FOLDER.glob("*")) == TAKEN


@pytest.mark.parametrize("name", TAKEN)
def test_a_picture_is_small_and_carries_its_words(name: str) -> None:
    path = FOLDER / f"{name}.png"
    with Image.open(path) as image:
        assert image.size == (1280, 800)
    assert path.stat().st_size < 150_000
    assert words_in(path)
