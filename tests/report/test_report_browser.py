"""The page in a real browser: light and dark, phone and desktop, without network or script."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from graphwright import report
from graphwright.report.figures import Bar, bar_chart
from graphwright.report.page import write_report

CHROMIUM = Path("/usr/bin/chromium")
PACKAGE = Path(report.__file__).parent
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM.exists(), reason="no /usr/bin/chromium on this machine"),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        yield running
        running.close()


@pytest.fixture(params=["one", "many", "failed"])
def page_file(request: Any, make_run: Callable[..., Any], tmp_path: Path) -> Path:
    one, failed = make_run(), make_run("failed", model="tfn", data__source="x" * 300)
    many = [one, failed, *(make_run(model="egnn", seed=s, mae=0.05 + s) for s in range(2))]
    many.append(make_run(seed=1, mae=0.03))  # two seeds of each: differences by pairs
    shown = {"title": "Layer 0", "values": [[0.2, 0.8], [-0.5, 0.1]]}
    one.metrics(matrices=[shown] * 3, checks={"causality": {"holds": True}})
    runs = {"one": [one], "many": many, "failed": [failed]}[request.param]
    return write_report([run.path for run in runs], tmp_path / "page.html")


def _luminance(colour: str) -> float:
    channels = [int(c) / 255 for c in re.findall(r"\d+", colour)[:3]]
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _contrast(one: str, other: str) -> float:
    high, low = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_holds_in_a_browser(
    browser: Any, page_file: Path, width: int, scheme: str
) -> None:
    page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
    messages: list[str] = []
    requests: list[str] = []
    page.on("console", lambda message: messages.append(message.text))
    page.on("pageerror", lambda error: messages.append(str(error)))
    page.on("request", lambda request: requests.append(request.url))
    page.goto(page_file.as_uri())
    page.evaluate("for (const d of document.querySelectorAll('details')) d.open = true")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    style = "getComputedStyle(document.body)"
    background, ink = page.evaluate(f"[{style}.backgroundColor, {style}.color]")
    muted = page.evaluate("getComputedStyle(document.querySelector('.facts dt, .eyebrow')).color")
    assert (_luminance(background) < 0.05) == (scheme == "dark")
    assert _contrast(background, ink) >= 4.5
    assert _contrast(background, muted) >= 4.5
    page.close()
    assert messages == []
    assert requests == [page_file.as_uri()]


def test_values_appear_under_the_pointer(
    browser: Any, make_run: Callable[..., Any], tmp_path: Path
) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.goto(write_report([make_run().path], tmp_path / "page.html").as_uri())
    chart = page.locator("#learning svg").first
    chart.scroll_into_view_if_needed()
    box = chart.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    tip = page.locator(".tip").inner_text()
    assert re.match(r"epoch \d+\n", tip)
    assert "train" in tip
    assert "val" in tip
    page.mouse.move(5, 5)
    assert page.locator(".tip").count() == 0
    page.close()


def test_a_link_to_a_folded_run_opens_it(
    browser: Any, make_run: Callable[..., Any], tmp_path: Path
) -> None:
    page = browser.new_page()
    runs = [make_run().path, make_run(model="egnn").path]
    page.goto(write_report(runs, tmp_path / "page.html").as_uri() + "#run-1")
    assert page.locator("#run-1").get_attribute("open") is not None
    assert page.locator("#run-0").get_attribute("open") is None
    page.close()


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize(
    "label", ["MMMMWWWW/mmmwww" * 4, "set_04/test_01_known_vehicle/" * 3, "iiiilll.,/" * 9, "short"]
)
def test_labels_of_bars_stay_clear_of_their_numbers(
    browser: Any, tmp_path: Path, label: str, width: int
) -> None:
    bars = [
        Bar(label=label, length=0.5, value=value, strong=strong)
        for value in ("0.4526 ± 0.0012", "5", "-1,234,567.1 ± 89.2")
        for strong in (True, False)
    ]
    style = "".join((PACKAGE / name).read_text() for name in ("theme.css", "chart.css", "page.css"))
    path = tmp_path / "bars.html"
    chart = bar_chart("bars", "Bars", bars).svg
    path.write_text(f"<style>{style}</style><div style='width:360px'>{chart}</div>")
    page = browser.new_page(viewport={"width": width, "height": 700})
    page.goto(path.as_uri())
    gaps = page.evaluate(
        """() => [...document.querySelectorAll(".bar-label")].map(one => {
            const number = one.nextElementSibling.getBoundingClientRect();
            return number.left - one.getBoundingClientRect().right; })"""
    )
    page.close()
    assert len(gaps) == len(bars)
    assert min(gaps) > 4
