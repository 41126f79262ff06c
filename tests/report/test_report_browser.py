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


# of every text: how its colour stands out from what is behind it (WCAG 2.2, 1.4.3)
_CONTRASTS = """() => {
    const rgb = (c) => c.match(/[\\d.]+/g).map(Number);
    const over = (top, below) => [0, 1, 2].map(
        i => (top[3] ?? 1) * top[i] + (1 - (top[3] ?? 1)) * below[i]);
    const behind = (e) => {
        if (!e) return [255, 255, 255];
        const own = rgb(getComputedStyle(e).backgroundColor);
        return (own[3] ?? 1) >= 1 ? own : over(own, behind(e.parentElement)); };
    const linear = (v) => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
    const light = (c) => c.slice(0, 3).map(v => linear(v / 255))
        .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
    const found = [];
    for (const e of document.querySelectorAll("body *")) {
        const own = [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
        if (!own || !e.getClientRects().length || e.closest("script, style")) continue;
        const style = getComputedStyle(e), svg = e instanceof SVGElement;
        const below = behind(svg ? e.closest("svg").parentElement : e);
        const ink = over(rgb(svg ? style.fill : style.color), below);
        const [high, low] = [light(ink), light(below)].sort((a, b) => b - a);
        const name = `${e.tagName}.${e.getAttribute("class") ?? ""}`;
        found.push([(high + 0.05) / (low + 0.05), name, e.textContent.slice(0, 30)]);
    }
    return found; }"""
# line boxes are taller than their letters: a third of them may lie upon each other
_OVERLAPS = """() => {
    const found = [];
    for (const chart of document.querySelectorAll("svg.chart")) {
        const texts = [...chart.querySelectorAll("text")]
            .filter(t => t.textContent.trim() && t.getClientRects().length);
        const boxes = texts.map(t => t.getBoundingClientRect());
        for (let i = 0; i < boxes.length; i++) for (let j = 0; j < i; j++) {
            const a = boxes[i], b = boxes[j];
            const wide = Math.min(a.right, b.right) - Math.max(a.left, b.left);
            const high = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
            if (wide > 1 && high > 0.35 * Math.min(a.height, b.height))
                found.push([chart.ariaLabel, texts[i].textContent, texts[j].textContent]);
        }
    }
    return found; }"""


@pytest.fixture(scope="module")
def five(five_by_three: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of five configurations with three seeds each."""
    return write_report(five_by_three, tmp_path_factory.mktemp("page") / "five.html")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_five_configurations_of_three_seeds(
    browser: Any, five: Path, width: int, scheme: str
) -> None:
    page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
    messages: list[str] = []
    page.on("console", lambda message: messages.append(message.text))
    page.on("pageerror", lambda error: messages.append(str(error)))
    page.goto(five.as_uri())
    # all but the fifteen runs, which are pages of their own
    page.evaluate("for (const d of document.querySelectorAll('details:not(.run)')) d.open = true")
    assert five.stat().st_size < 1_000_000
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    low = [found for found in page.evaluate(_CONTRASTS) if found[0] < 4.5]
    assert low == []
    assert page.evaluate(_OVERLAPS) == []
    for section in ("comparison", "paired", "cost", "curves"):
        told = page.locator(f"#{section}").inner_text()
        for name in ("painn", "egnn", "tfn", "gcn", "a_model_with_a_long_name"):
            assert name in told
    assert page.locator("#cost figure").count() == 2
    assert page.locator("#curves path.band").count() >= 15
    page.close()
    assert messages == []


def test_tables_are_sorted_and_restored(browser: Any, five: Path) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.goto(five.as_uri())
    table = page.locator("#cost table")
    head = table.locator("th").filter(has_text="parameters")

    def letters() -> list[str]:
        found: list[str] = table.locator("tbody .letter").all_inner_texts()
        return found

    before = letters()
    head.locator("button").click()
    assert (head.get_attribute("aria-sort"), letters()) == ("ascending", list("ABCDE"))
    head.locator("button").press("Enter")  # by keyboard, too
    assert (head.get_attribute("aria-sort"), letters()) == ("descending", list("EDCBA"))
    head.locator("button").click()
    assert (head.get_attribute("aria-sort"), letters()) == (None, before)
    page.locator("#cost th button").filter(has_text="time").click()
    assert letters() == list("EDCBA")  # "1 min 40 s" before "8 min 20 s"
    page.close()


def test_the_legend_puts_a_configuration_in_front(browser: Any, five: Path) -> None:
    page = browser.new_page(viewport={"width": 390, "height": 800}, has_touch=True)
    page.goto(five.as_uri())
    button = page.locator(".pick").nth(2)
    assert button.bounding_box()["height"] >= 44
    opacity = "e => getComputedStyle(e).opacity"
    button.click()
    assert button.get_attribute("aria-pressed") == "true"
    lines = page.locator("#curves svg").first
    assert lines.locator("path.line[data-g=C]").evaluate(opacity) == "1"
    assert float(lines.locator("path.line[data-g=A]").evaluate(opacity)) < 0.2
    button.click()
    page.mouse.move(0, 0)
    assert lines.locator("path.line[data-g=A]").evaluate(opacity) == "1"
    page.close()


def test_results_can_be_copied(browser: Any, five: Path) -> None:
    context = browser.new_context(permissions=["clipboard-read", "clipboard-write"])
    page = context.new_page()
    page.goto(five.as_uri())
    page.get_by_text("As Markdown or LaTeX").click()
    page.get_by_role("button", name="Copy LaTeX").click()
    page.get_by_role("button", name="Copied").wait_for()
    copied = page.evaluate("navigator.clipboard.readText()")
    context.close()
    assert copied.startswith("% \\usepackage{booktabs}")
    assert "a\\_model\\_with\\_a\\_long\\_name" in copied


def test_the_page_is_whole_without_script_and_on_paper(browser: Any, five: Path) -> None:
    context = browser.new_context(java_script_enabled=False, viewport={"width": 800, "height": 900})
    page = context.new_page()
    page.goto(five.as_uri())
    assert "a_model_with_a_long_name" in page.locator("#comparison").inner_text()
    assert page.locator("#comparison button:visible").count() == 0
    page.emulate_media(media="print")
    pdf = page.pdf(format="A4")
    context.close()
    assert pdf.startswith(b"%PDF")
    # closed runs stay closed: the comparison itself is a few pages
    assert 3 <= pdf.count(b"/Type /Page\n") <= 15


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
