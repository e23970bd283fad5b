"""Copying gives code without prompts, and the address of a heading."""

from collections.abc import Callable

from playwright.sync_api import Page, expect


def test_code_copies_without_prompts(visit: Callable[..., Page]) -> None:
    tab = visit("api.html")
    tab.context.grant_permissions(["clipboard-read", "clipboard-write"])
    block = tab.locator("div.highlight:has(.gp)").first
    block.hover()
    block.locator("button.copybtn").click()
    copied = tab.evaluate("navigator.clipboard.readText()")
    shown = block.locator("pre").inner_text().splitlines()
    typed = [line[4:] for line in shown if line.startswith((">>> ", "... "))]
    assert typed
    assert copied.splitlines() == typed


def test_a_heading_copies_its_address(visit: Callable[..., Page]) -> None:
    tab = visit("symmetry.html")
    tab.context.grant_permissions(["clipboard-read", "clipboard-write"])
    link = tab.locator("article h2 a.headerlink").first
    link.press("Enter")
    expect(tab.get_by_role("status").filter(has_text="Link copied")).to_have_count(1)
    assert tab.evaluate("navigator.clipboard.readText()") == link.evaluate("link => link.href")
