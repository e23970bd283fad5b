"""Every figure opens large, and is readable on a light page and on a dark one."""

import io
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from coloraide import Color
from PIL import Image
from playwright.sync_api import Page

from tests.browser.serving import SITE, WRITTEN

FILMED = [name for name in WRITTEN if 'class="film"' in (SITE / name).read_text("utf-8")]
DRAWN = [name for name in WRITTEN if "<figure" in (SITE / name).read_text("utf-8")]


@pytest.mark.parametrize("name", DRAWN, scope="module")
def test_ink_stands_out_from_the_page(opened: Page, turn: Callable[..., None]) -> None:
    wrong = []
    for theme in ("light", "dark"):
        turn(theme)
        page = Color(opened.evaluate("getComputedStyle(document.body).backgroundColor"))
        for image in opened.locator("article figure img").all():
            image.scroll_into_view_if_needed()
            image.evaluate("image => image.decode()")
            pixels = np.asarray(Image.open(io.BytesIO(image.screenshot())).convert("RGB"))
            packed = pixels @ np.array([1 << 16, 1 << 8, 1])  # as one number, which sorts fast
            seen, counts = np.unique(packed, return_counts=True)
            ground, *inks = (Color(f"#{seen[k]:06x}") for k in counts.argsort()[::-1][:400])
            which = f"{theme}: {image.get_attribute('alt')}"
            if ground.delta_e(page, method="2000") > 5:
                wrong.append(f"{which} stands on {ground}, the page on {page}")
            if not any(ink.contrast(ground) >= 7 for ink in inks):  # WCAG's for text, AAA
                wrong.append(f"{which} has no ink that stands out")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("name", DRAWN, scope="module")
def test_every_figure_opens_large_by_keyboard(opened: Page, turn: Callable[..., None]) -> None:
    turn("light")
    wrong = []
    for figure in opened.locator("article figure:has(img)").all():
        link, image = figure.locator("a:has(img)"), figure.locator("img")
        inline = image.evaluate("image => image.clientWidth")
        link.press("Enter")
        large = opened.locator("dialog[open] img")
        if not large.count() or large.evaluate("image => image.clientWidth") < 1.2 * inline:
            wrong.append(f"{image.get_attribute('alt')} does not open large")
        opened.keyboard.press("Escape")
        held = link.evaluate("it => it.matches(':focus')")
        if opened.locator("dialog[open]").count() or not held:
            wrong.append(
                f"{image.get_attribute('alt')} does not close, or loses the reader's place"
            )
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("name", DRAWN, scope="module")
def test_a_phone_shows_the_whole_figure_at_a_readable_size(opened: Page) -> None:
    opened.set_viewport_size({"width": 360, "height": 800})
    wrong = []
    for image in opened.locator("article figure img").all():
        image.scroll_into_view_if_needed()
        image.evaluate("image => image.decode()")
        left, right, scale = image.evaluate(
            "image => [image.x, image.x + image.width, image.width / image.naturalWidth]"
        )
        if left < 0 or right > 360 or scale < 0.64:  # letters of ten points have 8.5 pixels
            told = f"from {left:.0f} to {right:.0f}, {scale:.0%} of its size"
            wrong.append(f"{image.get_attribute('alt')}: {told}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("name", FILMED)
def test_each_step_of_a_film_shows_another_frame(name: str, visit: Callable[..., Page]) -> None:
    tab = visit(name)
    image = tab.locator("article figure:has(.film) img")
    step = tab.locator(".film").get_by_role("button", name="Step")
    frames = int(tab.locator(".film input").get_attribute("max") or 0) + 1
    assert frames > 2
    shown = []
    for _ in range(frames):
        tab.wait_for_timeout(200)  # to draw the frame
        shown.append(image.screenshot())
        step.click()
    assert all(one != other for one, other in pairwise(shown))
