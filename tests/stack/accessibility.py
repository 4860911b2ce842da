"""Checks pages for accessibility barriers with axe."""

from __future__ import annotations

from importlib.resources import files

from playwright.sync_api import Page

_AXE = files("axe_playwright_python") / "axe.min.js"
_RUN = "async () => (await axe.run(document, {rules: {'target-size': {enabled: true}}})).violations"

_TOO_WIDE = """() => {
  const root = document.documentElement;
  if (root.scrollWidth <= root.clientWidth) return [];
  const wide = [...document.querySelectorAll("body *")].filter(
    (each) => each.getBoundingClientRect().right > root.clientWidth && !each.closest(".scroll"));
  return ["the page", ...wide.map((each) => `${each.tagName} ${each.className}`)];
}"""


def barriers(page: Page) -> list[str]:
    """Return all barriers, each with its elements."""
    page.evaluate(_AXE.read_text())
    return [
        f"{found['id']} ({found['impact']}): {[node['target'] for node in found['nodes']]}"
        for found in page.evaluate(_RUN)
    ]


def too_wide(page: Page) -> list[str]:
    """Return elements that make the whole page scroll sideways."""
    return list(page.evaluate(_TOO_WIDE))
