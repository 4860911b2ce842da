"""The site that `make docs` builds is complete and loads nothing from another host."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import yaml

from tests.docs.conftest import build
from tests.support.documents import ROOT

_LOADING = {"src", "srcset", "data", "poster", "action"}


class _Page(HTMLParser):
    """A page's links, loaded files, and anchors."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[tuple[str, str, str]] = []
        self.anchors: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value for name, value in attrs if value}
        self.anchors |= {given[name] for name in ("id", "name") if name in given}
        self.links += [(tag, name, given[name]) for name in ("href", *_LOADING) if name in given]


@cache
def read(path: Path) -> _Page:
    page = _Page()
    page.feed(path.read_text(encoding="utf-8"))
    return page


def links(site: Path) -> Iterator[tuple[Path, str, str, str]]:
    for path in sorted(site.rglob("*.html")):
        for tag, name, value in read(path).links:
            yield path, tag, name, value


def _has(page: Path, anchor: str) -> bool:
    # The theme's own script makes anchors that begin with __.
    return not anchor or anchor.startswith("__") or anchor in read(page).anchors


def test_every_page_is_in_the_navigation_and_in_the_site(site: Path) -> None:
    nav = str(yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"])
    for page in (ROOT / "docs").rglob("*.md"):
        name = str(page.relative_to(ROOT / "docs"))
        assert f"'{name}'" in nav, f"{name} is in no menu"
        assert (site / name).with_suffix(".html").is_file()


def test_nothing_is_loaded_from_another_host(site: Path) -> None:
    loads = [
        (path.name, value)
        for path, tag, name, value in links(site)
        if (name in _LOADING or tag == "link") and (urlsplit(value).netloc or urlsplit(value).scheme)
    ]
    assert loads == []
    for style in site.rglob("*.css"):
        for target in re.findall(r"url\(([^)]*)\)|@import", style.read_text()):
            assert not re.match(r"""["']?(https?:)?//""", target), f"{style.name}: {target}"


def test_no_page_has_a_block_for_which_the_theme_loads_a_script(site: Path) -> None:
    for path in site.rglob("*.html"):
        assert not re.search(r'class="[^"]*\b(mermaid|pyodide|glightbox)\b', path.read_text()), path.name


def test_no_link_is_broken(site: Path) -> None:
    broken = []
    for path, _, _, value in links(site):
        parts = urlsplit(value)
        if parts.scheme or parts.netloc or path.name == "404.html":
            continue
        target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
        if (
            not target.exists()
            or value.startswith("/")
            or (target.suffix == ".html" and not _has(target, unquote(parts.fragment)))
        ):
            broken.append((path.name, value))
    assert broken == []


def test_no_link_of_the_readme_is_broken() -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", (ROOT / "README.md").read_text()):
        assert urlsplit(target).scheme or (ROOT / target).exists(), target


def test_every_picture_is_shown_and_no_other(site: Path) -> None:
    """The link to a picture still to be taken is in a comment until then."""
    taken = {path.name for path in (ROOT / "docs" / "pictures").glob("*.png")}
    sources = {value for _, tag, name, value in links(site) if (tag, name) == ("img", "src")}
    shown = {Path(value).name for value in sources if value.endswith(".png")}
    assert sources - {"assets/bench.svg"} == {value for value in sources if value.endswith(".png")}
    assert shown == taken


@pytest.mark.parametrize("target", ["nowhere.md", "connect.md#nowhere"])
def test_a_broken_link_fails_the_build(tmp_path: Path, target: str) -> None:
    shutil.copy(ROOT / "mkdocs.yml", tmp_path)
    config = yaml.safe_load((tmp_path / "mkdocs.yml").read_text())
    config["nav"], config["plugins"] = ["index.md", "connect.md"], []
    (tmp_path / "mkdocs.yml").write_text(yaml.safe_dump(config))
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "connect.md").write_text("# Connect\n")
    (tmp_path / "docs" / "index.md").write_text("# Home\n\n[there](connect.md)\n")
    assert build(tmp_path).returncode == 0
    (tmp_path / "docs" / "index.md").write_text(f"# Home\n\n[there]({target})\n")
    assert build(tmp_path).returncode != 0
