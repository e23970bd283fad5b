"""A reader presses a choice, is told whether it is right and why, and is remembered there."""

import json
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.serving import SITE, WRITTEN, Site

ASKING = [name for name in WRITTEN if 'class="predict"' in (SITE / name).read_text("utf-8")]
ALL = "your-predictions.html"
BLOCKED = "Object.defineProperty(window, 'localStorage', {get() { throw new Error('blocked') }})"
FULL = "Storage.prototype.setItem = () => { throw new Error('full') }"
ODD = "localStorage.setItem('predictions', '{} of another page')"


@pytest.fixture
def reader(browser: Browser) -> Iterator[Page]:
    """The tab of a reader who knows nothing of the book."""
    with browser.new_context(reduced_motion="reduce") as context:
        context.set_default_timeout(5000)
        yield context.new_page()


def question(reader: Page) -> tuple[Locator, Locator, int]:
    """Return the first question of the open page, its choices, and the place of the right one."""
    field = reader.locator(".predict").first
    return field, field.locator("ol").first.locator("button"), right(field)


def right(field: Locator) -> int:
    """Return the place of the right choice."""
    return int(field.get_attribute("data-answer") or 0) - 1


def chosen(field: Locator) -> list[str]:
    """Return the choices that are marked."""
    return field.locator("[aria-pressed=true]").all_inner_texts()


@pytest.mark.parametrize("name", ASKING)
def test_a_press_is_answered(name: str, site: Site, reader: Page) -> None:
    reader.goto(site.address + name)
    for field in reader.locator(".predict").all():
        buttons, said = field.locator("ol").first.locator("button"), field.get_by_role("status")
        again = field.get_by_role("button", name="Choose again")
        assert field.locator("details").count() == 0
        for k in range(buttons.count()):
            assert said.inner_text() == ""
            buttons.nth(k).click()
            assert chosen(field) == [buttons.nth(k).inner_text()]
            reasons = said.locator("li:visible").all_inner_texts()
            assert reasons[0].startswith("Right." if k == right(field) else "Not quite.")
            assert len(reasons) == 1 + (k != right(field))
            assert reasons[-1].startswith("Right.")
            assert all(len(reason) > 20 for reason in reasons)
            again.click()
            assert chosen(field) == []
            expect(again).to_be_hidden()


def test_a_choice_is_remembered_and_forgotten(site: Site, reader: Page) -> None:
    for forget in ("Choose again", "Forget all"):
        reader.goto(site.address + ASKING[0])
        field, buttons, k = question(reader)
        words = buttons.nth(k).inner_text()
        buttons.nth(k).click()
        kept = json.loads(reader.evaluate("localStorage.predictions"))
        assert kept == {field.get_attribute("id"): k}
        reader.reload()
        assert chosen(field) == [words]
        assert field.get_by_role("status").inner_text().startswith("Right.")
        if forget == "Forget all":
            reader.goto(site.address + ALL)
        reader.get_by_role("button", name=forget).first.click()
        reader.goto(site.address + ASKING[0])
        assert chosen(field) == []


@pytest.mark.parametrize("broken", [BLOCKED, FULL, ODD])
def test_without_storage_it_works_and_nothing_is_remembered(
    broken: str, site: Site, reader: Page
) -> None:
    reader.add_init_script(broken)
    for _ in range(2):
        reader.goto(site.address + ASKING[0])
        field, buttons, k = question(reader)
        assert chosen(field) == []
        buttons.nth(k).click()
        assert field.get_by_role("status").inner_text().startswith("Right.")
    reader.goto(site.address + ALL)
    assert reader.locator(".tally output").inner_text().startswith("You have answered 0 of ")


def test_the_keyboard_chooses_and_keeps_its_place(site: Site, reader: Page) -> None:
    reader.goto(site.address + ASKING[0])
    field, buttons, _ = question(reader)
    buttons.nth(1).focus()
    reader.keyboard.press("Enter")
    expect(buttons.nth(1)).to_be_focused()
    expect(buttons.nth(0)).to_be_disabled()
    reader.keyboard.press("Tab")
    while not field.get_by_role("button", name="Choose again").evaluate(
        "it => it.matches(':focus')"
    ):
        reader.keyboard.press("Tab")  # over links in the reasons
    reader.keyboard.press("Space")
    expect(buttons.nth(0)).to_be_focused()


def test_all_questions_are_listed_with_the_choices(site: Site, reader: Page) -> None:
    reader.goto(site.address + ASKING[0])
    field, buttons, k = question(reader)
    words, wrong = buttons.nth(k - 1).inner_text(), (k or buttons.count()) - 1
    buttons.nth(wrong).click()
    asked = field.locator("legend").inner_text().removeprefix("Predict first. ")
    reader.goto(site.address + ALL)
    tally, all_of_them = reader.locator(".tally output"), reader.locator("article dd p a")
    count = sum((SITE / name).read_text("utf-8").count('class="predict"') for name in ASKING)
    assert all_of_them.count() == count
    assert tally.inner_text() == f"You have answered 1 of {count} questions, 0 of them right."
    listed = reader.locator("article dd", has_text=asked)
    assert listed.locator(".predicted :visible").first.inner_text() == (
        f"You chose: {words}. Not quite."
    )
    reader.get_by_role("link", name=asked).click()
    expect(field).to_be_in_viewport()
    reader.go_back()
    reader.get_by_role("button", name="Forget all").click()
    assert tally.inner_text() == f"You have answered 0 of {count} questions, 0 of them right."
    assert reader.locator(".predicted :visible").count() == 0


def test_without_scripts_the_answer_is_in_a_fold(site: Site, browser: Browser) -> None:
    with browser.new_context(java_script_enabled=False) as context:
        tab = context.new_page()
        tab.goto(site.address + ASKING[0])
        field = tab.locator(".predict").first
        assert field.get_by_role("button").count() == 0
        assert field.locator("> ol li:visible").count() >= 2
        fold = field.locator("details")
        expect(fold.locator("ol")).to_be_hidden()
        fold.locator("summary").click()
        assert fold.locator("li:visible", has_text="Right.").count() == 1
        tab.goto(site.address + ALL)
        assert tab.get_by_role("main").get_by_role("button", name="Forget all").count() == 0
        assert tab.locator("article dd a:visible").count() >= len(ASKING)


def test_nothing_is_chosen_by_colour_alone(site: Site, reader: Page) -> None:
    reader.goto(site.address + ASKING[0])
    _, buttons, k = question(reader)
    buttons.nth(k - 1).click()
    mark = "it => getComputedStyle(it, '::after').content"
    assert [button.evaluate(mark) for button in (buttons.nth(k), buttons.nth(k - 1))] == [
        '" ✓"',
        '" ✗"',
    ]
