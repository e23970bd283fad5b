"""Wait for a page, and probe it, as its policy allows; Playwright's own way to wait is not."""

from time import monotonic

from playwright.sync_api import Page


def until(tab: Page, true: str, arg: object = None) -> None:
    """Wait until a script returns true."""
    end = monotonic() + 30
    while not tab.evaluate(true, arg):
        assert monotonic() < end, f"waited in vain for {true} {arg}"
        tab.wait_for_timeout(20)


# Markup as a hole in a script might put it into a page. It returns how often a script of it ran,
# and whether its style was applied.
PROBE = """
async () => {
  window.probe = 0;
  const place = document.body.appendChild(document.createElement("div"));
  place.innerHTML = `<img src="data:," onerror="probe++"><p style="color: rgb(1, 2, 3)">.</p>`;
  place.appendChild(document.createElement("script")).textContent = "probe++";
  place.appendChild(document.createElement("a")).href = "javascript:probe++";
  place.lastChild.click();
  await new Promise(over => setTimeout(over, 300));
  const styled = getComputedStyle(place.querySelector("p")).color == "rgb(1, 2, 3)";
  place.remove();
  return [window.probe, styled];
}
"""
