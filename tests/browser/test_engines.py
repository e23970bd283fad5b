"""In Firefox and in WebKit the book opens without an error, and what a reader operates works."""

import os
from collections.abc import Iterator

import numpy as np
import pytest

from tests.browser.engines import LISTEN, Engine, Firefox, WebKit
from tests.browser.serving import ALIKE, PAGES, Site, serving
from tests.browser.test_lab import Setting, reference
from tests.browser.test_live import each_place
from tests.browser.test_predictions import ASKING
from tests.browser.waiting import PROBE
from zeroinit.lab import DATA

# As WebDriver names these keys.
ENTER, CONTROL, ESCAPE, HOME, RIGHT = "\ue007", "\ue009", "\ue00c", "\ue011", "\ue014"
# Opens a page in a frame as wide as a phone, and returns what is wrong.
ON_A_PHONE = """
async (address) => {
  const frame = document.createElement("iframe");
  frame.style = "position: fixed; inset: 0; width: 360px; height: 800px; border: 0";
  document.body.append(frame);
  await new Promise(loaded => { frame.onload = loaded; frame.src = address; });
  const {wrong, document: page} = frame.contentWindow;
  await page.fonts.ready;
  for (const {status, family} of page.fonts) if (status == "error") wrong.push(family);
  const bar = 360 - page.documentElement.clientWidth;  // of a phone it takes no room
  frame.style.width = `${360 + bar}px`;
  const {scrollWidth, clientWidth} = page.documentElement;
  if (scrollWidth > clientWidth) wrong.push(`${scrollWidth} wide, in ${clientWidth}`);
  frame.remove();
  return [...wrong];
}
"""


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with serving(LISTEN) as server:
        yield server


@pytest.fixture(scope="module", params=[Firefox, WebKit], ids=lambda kind: kind.__name__)
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    if not request.param.found():
        message = f"no {' and '.join(request.param.programs)}: apt-get install brings them"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(message)
    with request.param.started() as engine:
        yield engine


@pytest.fixture(autouse=True)
def nothing_goes_wrong(engine: Engine) -> Iterator[None]:
    yield
    assert not engine.wrong()


def test_each_page_opens_on_a_phone(engine: Engine, site: Site) -> None:
    engine.open(f"{site.address}404.html")
    for name in PAGES:
        if name not in ALIKE:
            assert engine.run(ON_A_PHONE, site.address + name) + engine.wrong() == [], name


def test_markup_that_is_put_into_a_page_runs_nothing(engine: Engine, site: Site) -> None:
    engine.open(f"{site.address}lab.html")
    assert engine.run(PROBE) == [0, False]
    assert len(engine.run("() => wrong.splice(0)")) >= 4  # what the policy refused
    engine.wrong()  # Firefox's console says the same


def test_the_page_turns_dark(engine: Engine, site: Site) -> None:
    engine.open(f"{site.address}index.html")
    light = engine.pixels("article h1")
    engine.click("[aria-label='Color mode']")
    engine.click(".theme-change-button[data-mode=dark]")
    engine.until("document.documentElement.dataset.theme == 'dark'")
    dark = engine.pixels("article h1")
    assert np.frombuffer(light, "u1").mean() > 200
    assert np.frombuffer(dark, "u1").mean() < 80
    engine.run("() => localStorage.clear()")


def test_search_finds_a_theorem_by_keyboard(engine: Engine, site: Site) -> None:
    engine.open(f"{site.address}symmetry.html")
    engine.press(CONTROL, "k")
    engine.until("document.activeElement.type == 'search'")
    engine.write("twins stay twins" + ENTER)
    engine.until("document.querySelector('#search-results li > a')")
    first = engine.run("() => document.querySelector('#search-results li > a').href")
    assert first.startswith(f"{site.address}symmetry.html")
    assert first.endswith("#theorem-twins-stay-twins")


def test_the_rows_of_the_atlas_are_filtered(engine: Engine, site: Site) -> None:
    engine.open(f"{site.address}atlas-of-architectures.html")
    engine.click(".filter-rows input")
    engine.write("transformers twins register")
    rows = engine.run(
        "() => [...document.querySelectorAll('.filter-rows ~ section tbody tr')]"
        ".filter(row => row.checkVisibility()).map(row => row.textContent)"
    )
    assert 1 <= len(rows) < 10
    assert all("twins" in row and "register" in row for row in rows)
    said = engine.run("() => document.querySelector('.filter-rows output').textContent")
    assert said.startswith(f"{len(rows)} of ")


@pytest.mark.parametrize(
    ("page", "button", "due"),
    [
        ("symmetry", "article h2 a.headerlink", "document.querySelector('h2 a.headerlink').href"),
        ("api", ".highlight:has(.gp) .copybtn", "'zero = torch.zeros'"),
    ],
)
def test_what_is_copied_can_be_pasted(
    engine: Engine, site: Site, page: str, button: str, due: str
) -> None:
    engine.open(f"{site.address}{page}.html")
    engine.click(button)
    engine.run("() => document.querySelector('main').prepend(document.createElement('textarea'))")
    engine.click("textarea")
    engine.press(CONTROL, "v")
    engine.until("document.querySelector('textarea').value")
    copied = engine.run("() => document.querySelector('textarea').value")
    assert copied.startswith(engine.run(f"() => {due}"))


def test_each_frame_of_a_film_is_drawn(engine: Engine, site: Site) -> None:
    engine.open(f"{site.address}symmetry.html")
    shown = []
    for key in (RIGHT, HOME, RIGHT, RIGHT, HOME):
        engine.run("() => document.querySelector('.film input').focus()")
        engine.press(key)
        engine.run("() => new Promise(drawn => setTimeout(drawn, 500))")
        shown.append(np.frombuffer(engine.pixels("figure:has(.film) img"), "u1").astype(int))
    first, *others = shown[1:]  # the page still moves while it loads the image
    second, third, again = (np.abs(one - first).mean() for one in others)
    assert (others[0] != others[1]).any()
    assert again < min(second, third) / 10


def test_a_figure_opens_large(engine: Engine, site: Site) -> None:
    engine.open(f"{site.address}symmetry.html")
    small = engine.run("() => document.querySelector('.enlarge img').width")
    engine.click(".enlarge")
    engine.until(f"document.querySelector('dialog.enlarged[open] img')?.width > 1.2 * {small}")
    engine.press(ESCAPE)
    engine.until("document.activeElement.matches('.enlarge')")
    assert not engine.run("() => document.querySelector('.enlarged')")


@each_place
def test_a_live_figure_answers(engine: Engine, site: Site, figure: str, page: str) -> None:
    place = f"[data-live={figure}]"
    words = f"document.querySelector('{place} output').textContent"
    engine.open(site.address + page)
    before, said = engine.pixels(f"{place} svg"), engine.run(f"() => {words}")
    if engine.run(f"() => Boolean(document.querySelector('{place} input'))"):
        engine.run(f"() => document.querySelector('{place} input').focus()")
        engine.press(RIGHT)
    else:
        engine.click(f"{place} button")
    engine.until(f"{words} != {said!r}")
    assert engine.pixels(f"{place} svg") != before


def test_a_prediction_is_answered_and_remembered(engine: Engine, site: Site) -> None:
    chosen = "document.querySelector('.predict [aria-pressed=true]').textContent"
    answer = "document.querySelector('.predict [role=status]').innerText"
    engine.open(site.address + ASKING[0])
    right = engine.run("() => document.querySelector('.predict').dataset.answer")
    engine.click(f".predict ol > :nth-child({right}) button")
    shown = engine.run(f"() => [{chosen}, {answer}]")
    assert shown[1].startswith("Right.")
    engine.open(site.address + ASKING[1])
    engine.open(site.address + ASKING[0])
    assert engine.run(f"() => [{chosen}, {answer}]") == shown
    engine.run("() => localStorage.clear()")


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        (
            Setting("tanh", "zeros", data="half-plane", lr=0.05),
            "Dead: only the output bias has a gradient, so only it moves."
            " The loss is {loss:.4f}; it can fall to H(p) = {entropy:.4f} and no further.",
        ),
        (
            Setting("gelu", "tied", 2e-3, depth=2, optimizer="adam", data="moons"),
            "Came apart at step {parted}: there the units of layer 1 first differed by more than a"
            " tenth. Learning: the loss is {loss:.4f}, below H(p) = {entropy:.4f}, ",
        ),
    ],
)
def test_the_lab_trains_as_pytorch_does(
    engine: Engine, site: Site, setting: Setting, said: str
) -> None:
    state = "document.querySelector('.lab').lab?.state()"
    engine.open(f"{site.address}lab.html{setting.link(steps=20)}")
    engine.until(f"{state}?.step === 0")
    engine.click(".lab-train")
    engine.until(f"{state}.step == 20")
    engine.click(".lab-step")
    engine.until(f"{state}.step == 21")
    shown = engine.run(f"() => {state}")
    data = DATA[setting.data]()
    due = reference(setting, data, 21)
    np.testing.assert_allclose(shown["losses"], due.losses, rtol=0, atol=1e-5)
    parted = next((step for step, gap in enumerate(due.gaps) if gap > 0.1), None)
    numbers = {"loss": due.losses[-1], "entropy": data.entropy, "parted": parted}
    assert shown["sentence"].startswith(said.format(**numbers))
