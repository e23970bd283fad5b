"""A live figure computes what the package computes, says so, and harms no page where it cannot run.

The package trains in double precision here, from the start that the figure has drawn.
"""

import re
from collections.abc import Callable
from functools import partial
from itertools import chain

import pytest
import torch
import torch.nn.functional as F
from playwright.sync_api import Browser, Page

from bookbuild.live import FIGURES
from tests.browser.serving import SITE, WRITTEN, Site
from tests.browser.waiting import until
from zeroinit import (
    MLP,
    Data,
    distinct_units,
    half_plane,
    regression,
    train,
    units,
    xor,
    zeros_,
)
from zeroinit.escape import escape_step, hessian_eigenvalues, steps_per_decade, twins_at_rest
from zeroinit.networks import ACTIVATIONS, linear_layers

Visit = Callable[..., Page]
DATA = xor(64, dtype=torch.float64)
START = """
([widths, tied]) => {
  const network = new live.Network(widths, "tanh").draw(live.generator(0));
  return (tied ? network.tie() : network).parameters.map(p => [...p]);
}
"""
# Presses a button, or moves a slider by one, and returns how long that took, in milliseconds.
TOUCH = """
place => {
  const began = performance.now();
  const slider = place.querySelector("input");
  if (slider) slider.value = Number(slider.value) + 1;
  if (slider) slider.dispatchEvent(new Event("input"));
  else place.querySelector("button").click();
  return performance.now() - began;
}
"""

# Keeps how much of the screen moves, as browsers score it, without a touch.
MOVES = """
window.moved = 0;
new PerformanceObserver(list => list.getEntries().forEach(move => window.moved += move.value))
  .observe({type: "layout-shift", buffered: true});
"""

# The texts of pictures that end beyond the figure.
BEYOND = """
place => {
  const {left, right} = place.getBoundingClientRect();
  const box = text => text.getBoundingClientRect();
  return [...place.querySelectorAll("text")]
    .filter(text => box(text).left < left - 1 || box(text).right > right + 1)
    .map(text => text.textContent);
}
"""


def pages_of(figure: str) -> list[str]:
    """Return the pages that have a live figure."""
    mark = f'data-live="{figure}"'
    return [n for n in WRITTEN if (SITE / n).exists() and mark in (SITE / n).read_text("utf-8")]


PLACES = [(figure, page) for figure in FIGURES for page in pages_of(figure)]
each_place = pytest.mark.parametrize(("figure", "page"), PLACES)


def said(tab: Page, figure: str) -> str:
    """Return the sentence of a figure."""
    return tab.locator(f'[data-live="{figure}"] output').inner_text()


def numbers(sentence: str) -> list[float]:
    """Return the numbers of a sentence that are written in digits."""
    return [float(n.replace("−", "-")) for n in re.findall(r"−?\d+\.?\d*", sentence)]


def slide(tab: Page, figure: str, value: int) -> str:
    """Move the slider of a figure by its keys, and return the sentence."""
    slider = tab.locator(f'[data-live="{figure}"] input')
    slider.press("Home")
    for _ in range(value - int(slider.get_attribute("min") or 0)):
        slider.press("ArrowRight")
    return said(tab, figure)


def drawn(tab: Page, widths: list[int], tied: bool) -> MLP:
    """Return the network that a figure draws first."""
    model = MLP(widths, "tanh", dtype=torch.float64)
    start = torch.tensor(list(chain(*tab.evaluate(START, [widths, tied]))), dtype=torch.float64)
    torch.nn.utils.vector_to_parameters(start, model.parameters())
    return model


def test_each_figure_is_on_a_page() -> None:
    assert {figure for figure, _ in PLACES} == set(FIGURES)


@each_place
def test_without_scripts_it_is_hidden(figure: str, page: str, site: Site, browser: Browser) -> None:
    with browser.new_context(java_script_enabled=False) as context:
        tab = context.new_page()
        tab.goto(site.address + page)
        assert not tab.locator(f'[data-live="{figure}"]').is_visible()
        assert tab.locator("article figure img").first.is_visible()


@pytest.mark.parametrize("page", ["index.html", "zh/index.html"])
def test_nothing_on_the_screen_moves_when_it_comes(page: str, site: Site, browser: Browser) -> None:
    """Its place is kept while its scripts are on the way."""
    with browser.new_context(viewport={"width": 412, "height": 1000}) as context:
        tab = context.new_page()
        tab.add_init_script(MOVES)
        tab.route("**/live/**", lambda script: None)  # which waits
        tab.goto(site.address + page, wait_until="commit")
        place = tab.locator(".live").first
        until(tab, "performance.getEntriesByName('first-contentful-paint').length == 1")
        until(tab, "document.querySelector('.predict ol button') != null")  # of other scripts
        tab.wait_for_timeout(100)
        tab.evaluate("moved = 0")
        assert tab.evaluate("document.querySelector('.live').getBoundingClientRect().top") < 900
        assert not place.is_visible()
        tab.unroute_all()
        place.wait_for()
        tab.wait_for_timeout(100)
        assert tab.evaluate("moved") == 0


def test_its_place_is_given_up_if_its_scripts_do_not_come(site: Site, browser: Browser) -> None:
    with browser.new_context() as context:
        tab = context.new_page()
        tab.route("**/live/**", lambda route: route.abort())
        tab.goto(site.address + "index.html")
        place = "document.querySelector('.live')"
        assert tab.evaluate(f"{place}.offsetHeight") > 300
        tab.evaluate(f"{place}.getAnimations().forEach(animation => animation.finish())")
        assert tab.evaluate(f"{place}.offsetHeight") < 30


@each_place
def test_it_fits_a_phone_and_is_not_printed(figure: str, page: str, visit: Visit) -> None:
    tab = visit(page, width=360)
    place = tab.locator(f'[data-live="{figure}"]')
    assert place.is_visible()
    assert tab.evaluate("document.documentElement.scrollWidth") <= 360
    assert not place.evaluate(BEYOND)
    tab.emulate_media(media="print")
    assert not place.is_visible()
    tab.emulate_media(media="screen")


@each_place
def test_keys_change_picture_and_sentence(figure: str, page: str, visit: Visit) -> None:
    tab = visit(page)
    place = tab.locator(f'[data-live="{figure}"]')
    for control in place.locator("button, input, select").element_handles():
        control.focus()
        assert tab.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    look = "e => [...e.querySelectorAll('svg')].map(svg => svg.innerHTML).join()"
    before = place.evaluate(look), said(tab, figure)
    place.locator("button, input").first.focus()
    tab.keyboard.press("ArrowRight" if place.locator("input").count() else "Enter")
    after = place.evaluate(look), said(tab, figure)
    assert before[0] != after[0]
    assert before[1] != after[1]


@each_place
def test_a_touch_is_answered_within_a_tenth_of_a_second(
    figure: str, page: str, visit: Visit
) -> None:
    place = visit(page).locator(f'[data-live="{figure}"]')
    assert min(place.evaluate(TOUCH) for _ in range(6)) < 100  # others may use the processor


@each_place
def test_what_fails_is_away(figure: str, page: str, visit: Visit) -> None:
    tab = visit(page)
    place = tab.locator(f'[data-live="{figure}"]')
    tab.evaluate(
        "() => live.descend = live.Network.prototype.evaluate = () => { throw new Error('no') }"
    )
    place.evaluate(TOUCH)
    assert not place.is_visible()


def test_a_start_moves_until_its_end_unless_motion_is_unwanted(
    site: Site, browser: Browser, visit: Visit
) -> None:
    still = visit("index.html").locator('[data-live="start"]')
    still.locator("button").nth(2).click()
    due = still.locator("svg").first.inner_html()
    with browser.new_context(reduced_motion="no-preference") as context:
        tab = context.new_page()
        tab.set_viewport_size({"width": 1440, "height": 900})
        tab.goto(site.address + "index.html")
        moving = tab.locator('[data-live="start"]')
        moving.locator("button").nth(2).click()
        assert moving.locator("svg").first.inner_html() != due
        until(tab, "due => document.querySelector('[data-live=start] svg').innerHTML == due", due)


@pytest.mark.parametrize("name", ["All zero", "Tied", "Random"])
def test_the_sentence_of_a_start_is_that_of_the_package(name: str, visit: Visit) -> None:
    tab = visit("index.html")
    model = drawn(tab, [2, 16, 2], tied=name == "Tied")
    if name == "All zero":
        zeros_(model)
    tab.locator('[data-live="start"]').get_by_role("button", name=name).click()
    run = train(
        model, DATA, lr=0.5, steps=250, every=250,
        optimizer=partial(torch.optim.SGD, momentum=0.7),
    )  # fmt: skip
    moved = sum(int((p[0] != p[-1]).sum()) for p in run.parameters.values())
    count = sum(p.numel() for p in model.parameters())
    apart = torch.pdist(linear_layers(model)[0].weight.detach())
    sentence = said(tab, "start")
    assert sentence.startswith(name)
    assert numbers(sentence)[:5] == [
        250, round(run.losses[-1].item(), 3), round(DATA.entropy, 3), moved, count,
    ]  # fmt: skip
    together = bool(apart.max() < 1e-3)  # twins of the package are rounded differently
    assert together or apart.min() > 1e-3
    assert sentence.endswith("one place." if together else "16 places.")


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_gradients_that_are_zero_are_those_of_autograd(activation: str, visit: Visit) -> None:
    tab = visit("definition.html")
    place = tab.locator('[data-live="flow"]')
    place.locator("select").select_option(activation)
    data = half_plane(dtype=torch.float64)
    model = zeros_(MLP([2, 3, 2], activation, dtype=torch.float64))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    for step in range(4):
        optimizer.zero_grad()
        F.cross_entropy(model(data.x), data.y).backward()
        slopes = [p.grad for p in model.parameters() if p.grad is not None]
        zero = sum(int((slope == 0).sum()) for slope in slopes)
        sentence = said(tab, "flow")
        assert numbers(sentence)[:3] == [step, zero, 17]
        first, _, last, _ = (bool(slope.any()) for slope in slopes)
        assert ("every layer" in sentence, "not yet the first" in sentence, "dead" in sentence) == (
            first, last and not first, not last,
        )  # fmt: skip
        assert not first or "equal to the last bit" in sentence
        optimizer.step()
        place.get_by_role("button", name="Step").click()
    place.get_by_role("button", name="Reset").click()
    assert numbers(said(tab, "flow"))[0] == 0


@pytest.mark.parametrize("k", [2, 3, 6, 8, 9])
def test_the_step_at_which_a_twin_parts_is_that_of_the_package(k: int, visit: Visit) -> None:
    tab = visit("symmetry.html")
    sentence = slide(tab, "twins", k)
    model = drawn(tab, [2, 4, 2], tied=True)
    weight = linear_layers(model)[0].weight
    with torch.no_grad():
        weight[0, 0] += 10.0**-k if k < 9 else 0
    decayed = partial(torch.optim.SGD, weight_decay=0.01)
    run = train(model, DATA, lr=1.5, steps=450, optimizer=decayed)
    path = run.parameters["layers.0.weight"]
    gaps = (path[:, 0] - path[:, 1]).norm(dim=1)
    if k == 9:
        assert "not pulled" in sentence.lower()
        assert numbers(sentence)[-1] == gaps[-1] == 0
    else:
        assert f"step {int((gaps > 0.1).int().argmax())} on" in sentence
        assert distinct_units(units(model, 1)) == 2


def test_the_waits_are_those_of_the_package(visit: Visit) -> None:
    tab = visit("how-long-it-takes.html")
    saddle = twins_at_rest(DATA, 4, lr=1.5, steps=2000, weight_decay=0.01)
    lowest = hessian_eigenvalues(saddle, DATA, weight_decay=0.01)[0].item()
    level = 0.8 * F.cross_entropy(saddle(DATA.x), DATA.y).item()
    point = torch.nn.utils.parameters_to_vector(saddle.parameters()).detach()
    way = torch.randn(len(point), generator=torch.Generator().manual_seed(0), dtype=point.dtype)
    waits = {}
    for k in (1, 2, 7, 12):
        torch.nn.utils.vector_to_parameters(
            point + 10.0**-k * way / way.norm(), saddle.parameters()
        )
        decayed = partial(torch.optim.SGD, weight_decay=0.01)
        run = train(saddle, DATA, lr=1.5, steps=940, optimizer=decayed, every=940)
        waits[k] = int(escape_step(run.losses, level))
        decade = steps_per_decade(lowest, lr=1.5)
        sentence = slide(tab, "escape", k)
        law = waits[1] + (k - 1) * decade
        assert f"leave at step {waits[k]};" in sentence
        assert f"is at {law:.1f}." in sentence
        assert f"takes {decade:.1f} steps" in sentence
    assert tab.locator('[data-live="escape"] .live-mark').count() == 12


@pytest.mark.parametrize("activation", ["relu", "tanh", "gelu", "sigmoid", "softplus"])
@pytest.mark.parametrize("zeroed", [(1, 2, 3, 4), (2, 3), (2,), (4,), ()], ids=str)
def test_the_zeros_of_four_layers_are_those_of_autograd(
    activation: str, zeroed: tuple[int, ...], visit: Visit
) -> None:
    tab = visit("gradients.html")
    place = tab.locator('[data-live="zeros"]')
    place.locator("select").select_option(activation)
    model = MLP([2, 8, 8, 8, 2], activation, dtype=torch.float64)
    model.load_state_dict(drawn(tab, model.widths, tied=False).state_dict())
    for k, layer in enumerate(linear_layers(model), 1):
        torch.nn.init.zeros_(layer.bias)
        if k in zeroed:
            zeros_(layer)
        else:
            place.locator("button").nth(k - 1).click()
    run = train(model, half_plane(dtype=torch.float64), lr=0.5, steps=6)
    letters = [f"{letter}{index}" for index in "¹²³⁴" for letter in "Wb"]
    alive = torch.stack([slope[:6].flatten(1).any(1) for slope in run.gradients.values()])
    first = [letter for letter, row in zip(letters, alive, strict=True) if row[0]]
    never = [letter for letter, row in zip(letters, alive, strict=True) if not row.any()]
    layers, now, later = said(tab, "zeros").removesuffix(".").split(". ")
    assert numbers(layers) == (list(zeroed) if len(zeroed) < 4 else [])
    assert re.findall("[Wb].", now) == (first if "every" not in now else [])
    assert re.findall("[Wb].", later) == never
    assert ("every" in now, "every" in later) == (len(first) == 8, not never)
    assert place.locator("text[data-kind=zeros]").count() == int((~alive).sum())


def descended(w: float, v: float) -> list[float]:
    """Return the start of a descent of the tanh network, its end, and both losses, rounded."""
    model = MLP([1, 1, 1], "tanh", bias=False, dtype=torch.float64)
    torch.nn.utils.vector_to_parameters(torch.tensor([w, v]).to(torch.float64), model.parameters())
    x = torch.linspace(-2, 2, 9, dtype=torch.float64)[:, None]
    run = train(model, Data(x, x.sin()), lr=0.1, steps=500, loss=F.mse_loss, every=500)
    ends = [round(p[-1].item(), 2) for p in run.parameters.values()]
    return [w, v, *ends, *(round(loss.item(), 3) for loss in run.losses[[0, -1]])]


@pytest.mark.parametrize(("name", "start"), [("A", (0.7, -0.9)), ("B", (0.8, -0.9))])
def test_a_path_ends_where_that_of_the_package_ends(
    name: str, start: tuple[float, float], visit: Visit
) -> None:
    tab = visit("why-the-start-matters.html")
    place = tab.locator('[data-live="paths"]')
    place.get_by_role("button", name=name, exact=True).click()
    sentence = said(tab, "paths")
    due = descended(*start)
    assert numbers(sentence) == due
    assert ("upper right" if due[2] > 0 else "lower left") in sentence
    assert due[2] * due[3] > 0
    place.get_by_role("button", name="Zero").click()
    assert "exactly zero" in said(tab, "paths")
    stage = place.get_by_role("application")
    for key, times in (("ArrowRight", round(10 * start[0])), ("ArrowDown", round(-10 * start[1]))):
        for _ in range(times):
            stage.press(key)
    assert numbers(said(tab, "paths")) == [*start]
    stage.press("Enter")
    assert said(tab, "paths") == sentence


def test_a_press_on_the_map_begins_where_it_points(visit: Visit) -> None:
    tab = visit("why-the-start-matters.html")
    place = tab.locator('[data-live="paths"]')
    stage = place.get_by_role("application")
    stage.scroll_into_view_if_needed()  # a click would scroll, and move what is measured
    box = stage.bounding_box()
    assert box is not None
    for x, y in ((0.3, 0.2), (0.7, 0.8)):
        stage.click(position={"x": x * box["width"], "y": y * box["height"]})
        found = numbers(said(tab, "paths"))
        assert found == descended(*found[:2])
        mark = place.locator("circle").last.bounding_box()
        assert mark is not None
        middle = mark["x"] + mark["width"] / 2, mark["y"] + mark["height"] / 2
        asked = box["x"] + x * box["width"], box["y"] + y * box["height"]
        assert middle == pytest.approx(asked, abs=box["width"] / 320 * 4)  # a start is rounded


def test_the_solutions_are_those_of_the_package(visit: Visit) -> None:
    tab = visit("linear-regression.html")
    place = tab.locator('[data-live="valley"]')
    x, y = torch.tensor([[1.0, 2.0]]).double(), torch.tensor([3.0]).double()
    for name, start in (("Zero", [0.0, 0.0]), ("Elsewhere", [1.5, -2.0])):
        place.get_by_role("button", name=name).click()
        end = regression.limit(x, y, torch.tensor(start).double())
        loss = round((x @ end - y).square().mean().item(), 3)
        sentence = said(tab, "valley")
        found = numbers(sentence)
        assert found[:2] == start
        assert found[2:6] == pytest.approx([*end.tolist(), loss, end.norm().item()], abs=6e-4)
        assert ("No solution has a smaller norm" in sentence) == (name == "Zero")


@pytest.mark.parametrize("zero", ["A = 0", "B = 0", "A = B = 0", "no zero"])
def test_the_factor_that_moves_first_is_that_of_the_package(zero: str, visit: Visit) -> None:
    tab = visit("zero-on-purpose.html")
    model = MLP([2, 16, 2], "tanh", bias=False, dtype=torch.float64)
    start = drawn(tab, model.widths, tied=False)
    for name, layer, other in zip("AB", linear_layers(model), linear_layers(start), strict=True):
        layer.load_state_dict({"weight": other.weight * (name not in zero)})
    run = train(model, half_plane(dtype=torch.float64), lr=0.5, steps=40)
    tab.locator('[data-live="factors"]').get_by_role("button", name=zero, exact=True).click()
    sentence = said(tab, "factors").removeprefix(f"{zero}: ")
    a, b = run.wakes().values()
    before, after = run.losses[[0, -1]].tolist()
    moves = f"A first moves at step {a}, B at step {b}" if a else "neither moves in 40 steps"
    assert sentence == f"{moves}. The loss goes from {before:.3f} to {after:.3f}."
