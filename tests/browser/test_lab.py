"""In a browser the lab computes as PyTorch does, says what is true, and explains a failure.

Runs start from the lab's own links. Where rounding decides what a run becomes, each of its steps is
compared, from PyTorch's own state.
"""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from math import log10
from typing import Any, NamedTuple
from urllib.parse import urlencode

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from oracles import NAMED
from playwright.sync_api import Browser, Page

from bookbuild.lab.links import WIDGET, controls
from tests.browser.serving import SITE, Site
from tests.browser.waiting import until
from zeroinit import Data, gap, signal, twins, units
from zeroinit.lab import DATA, STARTS, network, start_
from zeroinit.networks import MLP, linear_layers

pytestmark = pytest.mark.skipif(
    not (SITE / "_static/lab/lab.json").exists(), reason="the book was built without the lab"
)

STEPS = 500


class Setting(NamedTuple):
    """A setting of the lab's controls; names are those of its links."""

    activation: str = "tanh"
    start: str = "zeros"
    size: float = 1.0
    depth: int = 1
    width: int = 8
    optimizer: str = "sgd"
    lr: float = 0.1
    data: str = "xor"
    seed: int = 0

    def link(self, **more: object) -> str:
        sized = self.start in {"constant", "tied", "normal", "biases"}
        told = {k: v for k, v in self._asdict().items() if k != "size" or sized}
        return "#" + urlencode({**told, "steps": STEPS, **more}, safe=":,")

    def model(self) -> MLP:
        model = network(self.activation, self.depth, self.width)
        return start_(model, self.start, size=self.size, seed=self.seed)


SETTINGS = [
    *(Setting(a, "zeros", depth=2, data="half-plane") for a in ("relu", "tanh", "sigmoid", "gelu")),
    *(Setting(a, "constant", 0.5, depth=2) for a in ("relu", "tanh", "sigmoid", "gelu")),
    *(Setting(a, "xavier", depth=2, width=16, data="moons") for a in ("relu", "tanh", "gelu")),
    *(Setting(a, "kaiming", 1.0, 1, 32, "adam", 0.01, seed=3) for a in ("relu", "sigmoid", "gelu")),
    *(Setting("tanh", "tied", size, width=4) for size in (1e-7, 1e-3, 1.0)),
    Setting("gelu", "tied", 0.1, depth=3, width=17, optimizer="momentum", lr=0.01, data="moons"),
    Setting("tanh", "normal", 0.01, data="half-plane"),
    Setting("sigmoid", "normal", 1.0, depth=4, width=16, optimizer="adam", lr=0.01, seed=1),
    Setting("relu", "zero-last", width=16, optimizer="adam", lr=0.01, seed=5),
    Setting("gelu", "zero-last", depth=3, optimizer="momentum", lr=0.02, data="half-plane"),
    Setting("sigmoid", "biases", 1.0, depth=2, data="moons", seed=2),
    Setting("tanh", "biases", 0.5, width=2, optimizer="momentum", lr=0.02),
    Setting("relu", "kaiming", depth=4, width=2, data="half-plane", lr=0.05, seed=4),
    Setting("tanh", "lecun", depth=3, data="moons", seed=2),
    Setting("relu", "default", depth=4, width=32, seed=1),
]  # fmt: skip
# The rate is so high that the last bits of a step decide where the run goes.
CHAOTIC = [
    Setting("relu", "kaiming", depth=3, width=32, optimizer="adam", lr=0.1),
    Setting("tanh", "normal", 1.5, depth=4, width=16, lr=1.0, data="moons"),
]


@contextmanager
def lab_page(site: Site, browser: Browser) -> Iterator[tuple[Page, list[str]]]:
    """Open the lab, and collect errors and requests to other hosts."""
    with browser.new_context(reduced_motion="reduce") as context:
        tab = context.new_page()
        tab.set_default_timeout(30_000)
        wrong: list[str] = []

        def note(bad: bool, text: str) -> None:
            if bad:
                wrong.append(text)

        tab.on("pageerror", lambda it: wrong.append(str(it)))
        tab.on("console", lambda it: note(it.type in {"error", "warning"}, it.text))
        ours = (site.address, "data:")
        tab.on("request", lambda it: note(not it.url.startswith(ours), it.url))
        tab.goto(f"{site.address}lab.html")
        yield tab, wrong


@pytest.fixture(scope="module")
def tab(site: Site, browser: Browser) -> Iterator[Page]:
    """Return a page that holds the lab; in the end nothing may have gone wrong on it."""
    with lab_page(site, browser) as (tab, wrong):
        tab.click(".lab-step")
        until(tab, "document.querySelector('.lab').lab.state().step == 1")
        yield tab
        assert not wrong, "\n".join(wrong)


def state(tab: Page) -> dict[str, Any]:
    found: dict[str, Any] = tab.evaluate("document.querySelector('.lab').lab.state()")
    return found


def parameters(tab: Page) -> list[list[float]]:
    found: list[list[float]] = tab.evaluate("document.querySelector('.lab').lab.parameters()")
    return found


def train(tab: Page, link: str, steps: int = STEPS) -> dict[str, Any]:
    """Open a link of the lab, train to the end, and return the lab's state."""
    tab.evaluate("link => { location.hash = link }", link)
    tab.evaluate("() => new Promise(requestAnimationFrame)")
    tab.click(".lab-train")
    until(
        tab,
        "steps => { const s = document.querySelector('.lab').lab.state();"
        " return s.step >= steps || /^Diverged/.test(s.sentence) }",
        steps,
    )
    until(tab, "document.querySelector('.lab-train').textContent == 'Train'")
    return state(tab)


class Reference(NamedTuple):
    """A run of torch.optim, by step.

    Losses, gradient norms of layers, mean squares of their outputs, and the gap of the first.
    """

    model: MLP
    losses: list[float]
    norms: list[list[float]]
    signals: list[list[float]]
    gaps: list[float]


def reference(setting: Setting, data: Data, steps: int = STEPS) -> Reference:
    model = setting.model()
    optimizer = NAMED[setting.optimizer](model.parameters(), lr=setting.lr)
    losses, norms, gaps = [], [], []
    signals: list[list[float]] = []
    layers = linear_layers(model)
    for layer in layers:
        layer.register_forward_hook(lambda *call: signals[-1].append(call[-1].pow(2).mean().item()))
    for step in range(steps + 1):
        signals.append([])
        optimizer.zero_grad()
        loss = F.cross_entropy(model(data.x), data.y)
        loss.backward()
        losses.append(loss.item())
        gaps.append(gap(units(model, 1)))
        slopes = [[p.grad for p in layer.parameters() if p.grad is not None] for layer in layers]
        norms.append([float(torch.cat([g.flatten() for g in each]).norm()) for each in slopes])
        if step < steps:
            optimizer.step()
    return Reference(model, losses, norms, signals, gaps)


def check_sentence(tab: Page, shown: dict[str, Any]) -> None:
    """Check what the sentence claims against the numbers shown, and what the next step changes."""
    before = parameters(tab)
    tab.click(".lab-step")
    until(tab, "at => document.querySelector('.lab').lab.state().step > at", shown["step"])
    after = parameters(tab)
    said, norms, width = shown["sentence"], shown["norms"][-1], shown["settings"]["width"]
    loss, entropy = shown["losses"][-1], shown["entropy"]
    collapsed = [k for k in shown["distinct"] if k < width]
    if said.startswith("Momentum alone"):
        assert not any(norms[:-1])
        assert before != after
    elif said.startswith("At rest"):
        assert not any(norms)
        assert before == after
    elif said.startswith("Dead"):
        assert not any(norms[:-1])
        assert norms[-1] > 0
        assert before[:-1] == after[:-1]
        assert (before[-1] == after[-1]) == said.startswith("Dead, and arrived")
    elif said.startswith("Collapsed"):
        assert re.findall(r"of layer (\d+) act as (\d+)", said) == [
            (str(i + 1), str(k)) for i, k in enumerate(shown["distinct"]) if k < width
        ]
        assert any(norms[:-1])
    elif said.startswith("Nearly collapsed"):
        assert shown["parted"] is None
        assert not collapsed
    elif said.startswith("Came apart"):
        assert f"at step {shown['parted']}" in said
        assert not collapsed
    elif said.startswith("Before training"):
        assert shown["step"] == 0
        assert not collapsed
    elif said.startswith("Learning"):
        assert loss < entropy
        assert not collapsed
    else:
        assert said.startswith("All units differ")
        assert loss >= entropy - 1e-4
        assert not collapsed
    assert all(
        float(x) == pytest.approx(loss, rel=1e-3) for x in re.findall(r"the loss is ([\d.]+)", said)
    )
    assert all(
        float(x) == pytest.approx(entropy, rel=1e-3)
        for x in re.findall(r"H\(p\) = ([\d.]+\d)", said)
    )


def name(setting: Setting) -> str:
    return "-".join(map(str, setting))


@pytest.mark.parametrize("setting", SETTINGS, ids=name)
def test_a_run_is_that_of_torch_optim(tab: Page, setting: Setting) -> None:
    shown = train(tab, setting.link())
    data = DATA[setting.data]()
    due = reference(setting, data)
    np.testing.assert_allclose(shown["losses"], due.losses, rtol=0, atol=1e-5)
    assert shown["entropy"] == pytest.approx(data.entropy, abs=1e-12)
    zero = np.array(due.norms) == 0
    assert (np.array(shown["norms"])[zero] == 0).all()
    np.testing.assert_allclose(shown["signals"], due.signals, rtol=1e-3, atol=1e-12)
    for layer in range(1, setting.depth + 1):
        if twins(due.model, layer) == [list(range(setting.width))]:
            assert shown["distinct"][layer - 1] == 1
    if setting.start == "tied":
        apart = [step for step, width in enumerate(due.gaps) if width > 0.1]
        assert shown["parted"] == (apart[0] if apart else None)
    check_sentence(tab, shown)


@pytest.mark.parametrize(
    ("setting", "steps", "said"),
    [
        (Setting("tanh", "zeros", data="half-plane", lr=0.5), 10, "Dead: "),
        (Setting("tanh", "zeros", data="half-plane", lr=0.5), 1000, "Dead, and arrived: "),
        (Setting("tanh", "zeros", data="moons"), 10, "At rest: "),
    ],
)
def test_a_network_is_dead_arrived_or_at_rest_as_its_next_step_moves_it(
    tab: Page, setting: Setting, steps: int, said: str
) -> None:
    shown = train(tab, setting.link(steps=steps), steps)
    assert shown["sentence"].startswith(said)
    check_sentence(tab, shown)


@pytest.mark.parametrize("start", STARTS)
def test_a_start_is_pytorchs_to_the_last_bit(tab: Page, start: str) -> None:
    for depth, width in ((1, 2), (3, 17)):
        setting = Setting(start=start, size=0.3, depth=depth, width=width, seed=4)
        tab.evaluate("link => { location.hash = link }", setting.link())
        until(
            tab,
            "([start, depth]) => { const s = document.querySelector('.lab').lab.state(); return"
            " s.distinct?.length == depth && s.settings.start == start && s.losses.length == 1 }",
            [start, depth],
        )
        for p, found in zip(setting.model().parameters(), parameters(tab), strict=True):
            assert torch.equal(p.detach().flatten(), torch.tensor(found))


@pytest.mark.parametrize("setting", CHAOTIC, ids=name)
def test_where_rounding_decides_each_step_is_pytorchs(tab: Page, setting: Setting) -> None:
    train(tab, setting.link(steps=1), 1)
    data, model = DATA[setting.data](), setting.model()
    optimizer = NAMED[setting.optimizer](model.parameters(), lr=setting.lr)
    adam = setting.optimizer == "adam"
    for step in range(30):
        ps = list(model.parameters())
        means = [optimizer.state[p].get("exp_avg", torch.zeros_like(p)) for p in ps]
        squares = [optimizer.state[p].get("exp_avg_sq", torch.zeros_like(p)) for p in ps]
        weights = [1 - 0.9**step, 1 - 0.999**step] if adam else [1.0 * (step > 0)] * 2
        of_each = zip(ps, means, squares, strict=True)
        before = [torch.stack(three).detach().flatten().tolist() for three in of_each] + [weights]
        found = tab.evaluate("state => document.querySelector('.lab').lab.step(state)", before)
        loss = F.cross_entropy(model(data.x), data.y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        assert found[len(ps) + 1][0] == pytest.approx(loss.item(), rel=1e-5, abs=1e-6)
        for p, after in zip(ps, found, strict=False):
            bound = 1e-5 * (float(p.detach().abs().max()) + setting.lr)
            moved = p.detach().flatten()
            np.testing.assert_allclose(after[: len(moved)], moved, rtol=0, atol=bound)


def says(tab: Page, pattern: str) -> str:
    """Wait until the lab's sentence fits a pattern, and return it."""
    until(
        tab,
        "p => new RegExp(p, 's').test(document.querySelector('.lab-says').textContent)",
        pattern,
    )
    return tab.inner_text(".lab-says")


@pytest.mark.parametrize(
    ("link", "noted", "name", "taken"),
    [
        ("#lr=-1", r"lr=-1.*0\.5 is taken", "lr", 0.5),
        ("#lr=fast", r"lr=fast.*0\.5 is taken", "lr", 0.5),
        ("#width=7", r"width=7.*8 is taken", "width", 8),
        ("#start=ones", r"start=ones.*zeros is taken", "start", "zeros"),
        ("#start=tied&size=2", r"size=2.*0\.001 is taken", "size", 0.001),
        ("#steps=1.5", r"steps=1\.5.*1000 is taken", "steps", 1000),
        ("#colour=red", "colour.*left out", "start", "zeros"),
        ("#data=own&points=0:0:7,9:9:1", "Points left out: 2", "data", "own"),
        ("#data=own&points=", "“points” is empty", "data", "own"),
        ("#data=own&points=0x1:0:0", "Points left out: 1", "data", "own"),
        ("#points=0:0:1", "“points” has no use", "data", "xor"),
        ("#size=0.5", "“size” has no use with start=zeros", "start", "zeros"),
        ("#width=4&width=16", "twice: its last value", "width", 16),
        ("#lr=0x10", r"lr=0x10.*0\.5 is taken", "lr", 0.5),
    ],
)
def test_a_wrong_link_falls_back_and_says_so(
    tab: Page, link: str, noted: str, name: str, taken: object
) -> None:
    tab.evaluate("link => { location.hash = link }", link)
    says(tab, noted)
    assert state(tab)["settings"][name] == taken
    assert str(tab.locator(f".lab [name={name}]").input_value()) == str(taken)


@pytest.mark.parametrize("name", ["activation", "data", "lr", "points", "steps", "<b id=sown>"])
def test_a_link_plants_no_markup(tab: Page, name: str) -> None:
    values = {"data": "own", name: "<b id=sown>,0:0:<b id=sown>,&quot;"}
    tab.evaluate("link => { location.hash = link }", f"#{urlencode(values)}")
    says(tab, "left out|is taken")
    assert not tab.locator("#sown").count()


def test_the_lab_offers_what_the_build_reads(tab: Page) -> None:
    found = tab.evaluate("document.querySelector('.lab').lab.controls")
    due = controls(WIDGET.read_text("utf-8"))
    assert found == due._asdict()
    assert list(found["defaults"]) == list(due.defaults)


@pytest.mark.parametrize("start", STARTS)
def test_a_seed_is_offered_where_it_decides_the_start(tab: Page, start: str) -> None:
    setting = Setting(start=start, size=0.5)
    one, two = (start_(network("tanh", 1, 8), start, size=0.5, seed=seed) for seed in (0, 1))
    decides = any(
        not torch.equal(p, q) for p, q in zip(one.parameters(), two.parameters(), strict=True)
    )
    tab.evaluate("link => { location.hash = link }", setting.link())
    until(tab, "start => document.querySelector('.lab').lab.state().settings.start == start", start)
    assert tab.locator(".lab [name=seed]").is_visible() == decides


def test_a_wrong_value_that_enter_submits_falls_back_and_says_so(tab: Page) -> None:
    tab.evaluate("location.hash = 'start=kaiming&steps=5'")
    until(tab, "document.querySelector('.lab').lab.state().settings.steps == 5")
    tab.fill(".lab [name=lr]", "-3")
    tab.press(".lab [name=lr]", "Enter")
    until(tab, "document.querySelector('.lab').lab.state().step == 5")
    assert "lr=-3" in says(tab, r"0\.5 is taken")


def test_before_the_first_step_nothing_is_said_to_learn(tab: Page) -> None:
    tab.evaluate("location.hash = 'start=kaiming'")
    said = says(tab, "^Before training: all units differ")
    shown = state(tab)
    assert ("already below" in said) == (shown["losses"][0] < shown["entropy"])


@pytest.mark.parametrize("size", [1e-2, 1e-3])
def test_the_step_that_leaves_the_plateau_is_said_and_listed(tab: Page, size: float) -> None:
    setting = Setting("tanh", "normal", size, width=4, lr=0.4, data="half-plane")
    shown = train(tab, setting.link(steps=100), 100)
    escaped = next(k for k, x in enumerate(shown["losses"]) if x < 0.9 * shown["entropy"])
    assert f"first below nine tenths of H(p) at step {escaped}." in shown["sentence"]
    listed = tab.locator(".lab-table tbody th").all_text_contents()
    assert str(escaped) in listed


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("width", [2, 4, 16, 17, 32])
def test_twins_stay_equal_at_every_width_in_this_browser(
    tab: Page, width: int, optimizer: str
) -> None:
    setting = Setting("tanh", "constant", 0.1, 1, width, optimizer, 0.05)
    assert train(tab, setting.link(steps=1500), 1500)["distinct"] == [1]


def test_units_in_one_place_are_counted(tab: Page) -> None:
    tab.evaluate(
        "() => { const { prototype } = CanvasRenderingContext2D, { fillText } = prototype;"
        " window.drawn = []; prototype.fillText = function (text, ...at) {"
        " drawn.push(String(text)); fillText.call(this, text, ...at) } }"
    )
    for link, label in (
        ("start=constant&width=4", "×4"),
        ("start=biases&width=4", "4 here, 4 different"),
        ("start=tied&size=1e-7&width=4", "4 here, 4 different"),
    ):
        tab.evaluate("link => { drawn = []; location.hash = link }", link)
        until(tab, "label => drawn.includes(label)", label)


def hidden(tab: Page, parts: str) -> list[str]:
    """Return which parts of the lab are out of the window, or behind something else."""
    found: list[str] = tab.evaluate(
        "parts => [...document.querySelectorAll(parts)].filter(e => {"
        " const r = e.getBoundingClientRect();"
        " const at = document.elementFromPoint(r.left + r.width / 2, r.top + r.height / 2);"
        " return !(e.contains(at) && r.top >= 0 && r.bottom <= innerHeight)"
        " }).map(e => e.name || e.className)",
        parts,
    )
    return found


@pytest.mark.parametrize(("width", "height"), [(1280, 900), (390, 844)])
def test_a_link_leads_to_the_controls_that_it_sets(
    site: Site, browser: Browser, width: int, height: int
) -> None:
    with browser.new_context(viewport={"width": width, "height": height}) as context:
        tab = context.new_page()
        tab.goto(f"{site.address}lab.html#start=tied&size=0.25")
        for size in ("0.25", "0.5"):
            tab.wait_for_timeout(500)
            assert tab.input_value(".lab [name=start]") == "tied"
            assert tab.input_value(".lab [name=size]") == size
            controls = ".lab-controls label:not([hidden]) :is(select, [type=number])"
            assert not hidden(tab, f"{controls}, .lab-train, .lab-says")
            tab.evaluate("scrollTo(0, document.body.scrollHeight)")
            tab.wait_for_timeout(500)
            tab.evaluate("location.hash = 'start=tied&size=0.5'")


def test_a_link_shows_step_0_and_leads_back_to_its_page(site: Site, browser: Browser) -> None:
    with lab_page(site, browser) as (tab, wrong):
        tab.goto(f"{site.address}symmetry.html")
        link = tab.locator("article a[href*='lab.html#start=tied']").first
        link.click()
        until(tab, "document.querySelector('.lab')?.lab?.state().losses.length == 1")
        assert tab.evaluate("document.querySelector('.lab').lab.state().step") == 0
        assert not hidden(tab, ".lab-back a, .lab-train, .lab-says")
        back = tab.locator(".lab-back a")
        assert "Symmetry" in back.inner_text()
        back.click()
        assert tab.url == f"{site.address}symmetry.html"
        tab.goto(f"{site.address}lab.html")
        assert not tab.locator(".lab-back").is_visible()
        assert not wrong


@pytest.mark.parametrize(("width", "height"), [(1280, 900), (360, 740)])
def test_what_is_pressed_and_said_stays_in_view(
    site: Site, browser: Browser, width: int, height: int
) -> None:
    with browser.new_context(viewport={"width": width, "height": height}) as context:
        tab = context.new_page()
        tab.goto(f"{site.address}lab.html#start=kaiming&steps=20")
        tab.click(".lab-train")
        says(tab, "^(Learning|All units)")
        for part in (".lab-view", ".lab-units", ".lab-controls"):
            tab.evaluate("part => document.querySelector(part).scrollIntoView()", part)
            tab.wait_for_timeout(500)
            assert not hidden(tab, ".lab-train, .lab-count, .lab-says"), part
        if width > height:
            tab.evaluate("document.querySelector('.lab-view').scrollIntoView()")
            tab.wait_for_timeout(500)
            lowest = tab.evaluate(
                "Math.max(...[...document.querySelectorAll('.lab-plots > div')]"
                ".map(e => e.getBoundingClientRect().bottom))"
            )
            assert lowest <= height


def test_points_of_both_classes_are_asked_for(tab: Page) -> None:
    tab.evaluate("location.hash = 'data=own'")
    says(tab, "place points of both classes")
    tab.click(".lab-train")
    says(tab, "place points of both classes")
    tab.evaluate("location.hash = 'data=own&points=1:1:0,2:1:0'")
    says(tab, "place a point of class B")
    tab.click(".lab-step")
    assert state(tab)["step"] == 0


def test_own_points_are_placed_by_keyboard_and_by_click_and_come_back_by_link(tab: Page) -> None:
    tab.evaluate("location.hash = 'data=own&start=kaiming'")
    until(tab, "document.querySelector('.lab').lab.state().settings.data == 'own'")
    tab.click(".lab-remove")
    answer = tab.locator(".lab-answer")
    answer.focus()
    for key in (*["ArrowRight"] * 3, "Enter", *["ArrowUp"] * 2, "Enter", "Delete"):
        tab.keyboard.press(key)
    tab.check(".lab [name=class][value='1']")
    box = answer.bounding_box()
    assert box
    answer.click(position={"x": box["width"] / 4, "y": box["height"] / 4})
    until(tab, "/points=0.3:0:0,-1.[45]\\d*:1.[45]\\d*:1$/.test(location.hash)")
    x, y = re.findall(r"(-?1\.[45]\d*)", tab.evaluate("location.hash"))
    shown = train(tab, tab.evaluate("location.hash") + "&steps=5", 5)
    data = Data(torch.tensor([[0.3, 0.0], [float(x), float(y)]]), torch.tensor([0, 1]))
    setting = Setting(start="kaiming", lr=0.5, data="own")
    np.testing.assert_allclose(shown["losses"], reference(setting, data, 5).losses, atol=1e-5)


def test_a_rate_that_diverges_stops_the_run_with_its_step(tab: Page) -> None:
    setting = Setting("relu", "kaiming", lr=1000.0, depth=4, width=32)
    shown = train(tab, setting.link(steps=100_000), 100_000)
    assert f"Diverged at step {shown['step']}" in shown["sentence"]
    assert not np.isfinite(shown["losses"][-1])
    assert np.isfinite(shown["losses"][:-1]).all()
    tab.click(".lab-reset")
    until(tab, "document.querySelector('.lab').lab.state().step == 0")


def test_a_link_brings_a_state_back(tab: Page) -> None:
    there = train(tab, Setting("gelu", "kaiming", depth=2, seed=2).link(steps=37), 37)
    link = tab.evaluate("location.hash")
    train(tab, Setting().link(steps=3), 3)
    back = train(tab, link, 37)
    assert back == there


def test_the_table_holds_the_numbers(tab: Page) -> None:
    shown = train(tab, Setting("relu", "kaiming", depth=2).link(steps=37), 37)
    body = tab.evaluate(
        "[...document.querySelectorAll('.lab-table tbody tr')]"
        ".map(row => [...row.cells].map(cell => +cell.textContent))"
    )
    escaped = {shown["escaped"]} - {None}
    assert [int(row[0]) for row in body] == sorted({0, 1, 2, 5, 10, 20, 37} | escaped)
    for step, loss, *layers in ([*row[:8]] for row in body):
        assert loss == pytest.approx(shown["losses"][int(step)], rel=1e-3)
        assert layers[:3] == pytest.approx(shown["norms"][int(step)], rel=1e-3)
        assert layers[3:] == pytest.approx(shown["signals"][int(step)], rel=1e-3)
    assert body[-1][8:] == shown["distinct"]


@pytest.mark.parametrize("start", ["zeros", "default", "lecun", "kaiming"])
def test_each_layer_has_a_row_with_its_mean_square(tab: Page, start: str) -> None:
    setting = Setting("relu", start, depth=3)
    tab.evaluate("link => { location.hash = link }", setting.link())
    says(tab, "^(Before|Dead)")
    due = [row.signal for row in signal(setting.model(), DATA["xor"]().x)]
    cells = tab.locator(".lab-signals > span").all_inner_texts()
    rows = [cells[3 * k : 3 * k + 3] for k in range(4)]
    assert [row[0] for row in rows] == ["layer 1", "layer 2", "layer 3", "output"]
    assert [float(row[2]) for row in rows] == pytest.approx(due, rel=1e-3)
    assert [row[1] for row in rows] == ["●" if size else "×" for size in due]
    middles = tab.evaluate(
        "[...document.querySelectorAll('.lab-signals b')].map(e => {"
        " const [dot, scale] = [e, e.parentElement].map(x => x.getBoundingClientRect());"
        " return (dot.left + dot.width / 2 - scale.left) / scale.width })"
    )
    scale = [(log10(size) + 12) / 16 if size else 0 for size in due]  # from 10⁻¹² to 10⁴
    assert middles == pytest.approx(scale, abs=0.01)
    said = tab.get_attribute(".lab-signals", "aria-label") or ""
    told = [f"{name} {size}" for name, _, size in rows]
    assert f"now: {', '.join(told)}" in said
    factor = re.findall(r"from layer 1 to the output it is multiplied by (\S+)\.$", said)
    assert [float(x) for x in factor] == (
        [pytest.approx(due[-1] / due[0], rel=1e-3)] if due[0] else []
    )
    tab.evaluate("location.hash = 'data=own&points=1:1:0'")  # nothing to train
    says(tab, "place a point of class B")
    assert tab.locator(".lab-signals b").count() == 0


def test_nothing_heavy_loads_before_the_first_press(site: Site, browser: Browser) -> None:
    site.sent.clear()
    with lab_page(site, browser) as (tab, wrong):
        tab.wait_for_load_state("networkidle")
        before = {path for path in site.sent if "/_static/lab/" in path}
        light = ("app", "canvases", "charts", "run", "sentence", "settings")
        assert before == {"/_static/lab/lab.json", *(f"/_static/lab/{name}.js" for name in light)}
        tab.click(".lab-step")
        until(tab, "document.querySelector('.lab').lab.state().step == 1")
        loaded = {path: size for path, size in site.sent.items() if "/_static/lab/" in path}
        assert sum(loaded.values()) <= 4_000_000, json.dumps(loaded, indent=1)
        assert not wrong


@pytest.mark.parametrize("name", ["*.wasm.gz", "*.onnx", "lab.json", "engine.js", "ort.wasm"])
def test_a_blocked_load_leaves_the_still_and_says_why(
    name: str, site: Site, browser: Browser
) -> None:
    with browser.new_context() as context:
        tab = context.new_page()
        tab.route(f"**/{name}*", lambda route: route.abort())
        tab.goto(f"{site.address}lab.html")
        tab.click(".lab-train")
        says(tab, "did not load.*picture below")
        assert tab.inner_text(".lab-train") == "Try again"
        assert tab.locator("article figure img").first.is_visible()
        assert tab.locator(".lab-missed a[href='#fig-still']").is_visible()
        assert not tab.locator(".lab-plots").is_visible()
        assert "http" not in tab.inner_text(".lab-says")
        tab.unroute(f"**/{name}*")
        tab.click(".lab-train")
        until(tab, "document.querySelector('.lab').lab.state().step > 0")
        assert tab.locator(".lab-plots").is_visible()


@pytest.mark.parametrize("name", ["app.js", "settings.js"])
def test_a_blocked_script_leaves_the_still_and_is_loaded_again_by_a_press(
    name: str, site: Site, browser: Browser
) -> None:
    with browser.new_context() as context:
        tab = context.new_page()
        tab.route(f"**/lab/{name}*", lambda route: route.abort())
        tab.goto(f"{site.address}lab.html#start=kaiming")
        says(tab, "did not load.*picture below")
        assert tab.locator(".lab-missed a[href='#fig-still']").is_visible()
        assert not tab.locator(".lab-plots").is_visible()
        assert "http" not in tab.inner_text(".lab-says")
        tab.unroute(f"**/lab/{name}*")
        with tab.expect_navigation():
            tab.click(".lab-train")
        until(tab, "document.querySelector('.lab').lab?.state().losses.length == 1")
        assert tab.url == f"{site.address}lab.html#start=kaiming"
        assert tab.input_value(".lab [name=start]") == "kaiming"
        assert tab.locator(".lab-plots").is_visible()


def test_from_disk_the_lab_says_how_to_see_it(browser: Browser) -> None:
    with browser.new_context() as context:
        tab = context.new_page()
        tab.goto((SITE / "lab.html").as_uri())
        tab.click(".lab-train")
        says(tab, "make serve")


def test_without_javascript_a_still_and_a_sentence_stand_there(
    site: Site, browser: Browser
) -> None:
    with browser.new_context(java_script_enabled=False) as context:
        tab = context.new_page()
        tab.goto(f"{site.address}lab.html")
        assert not tab.locator(".lab").is_visible()
        assert tab.locator(".lab-without").is_visible()
        assert tab.locator("article figure img").first.is_visible()
