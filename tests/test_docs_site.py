"""The documentation as a site: it builds without a warning, needs no network, and is complete."""

from __future__ import annotations

import contextlib
import functools
import http.server
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from docs_blocks import ROOT
from graphwright.cli import app
from graphwright.config.io import flatten, to_dict
from graphwright.config.presets import TASKS, resolve_preset

CHROMIUM = Path("/usr/bin/chromium")
ASSET = re.compile(r"<(?:script|link|img|iframe)[^>]+(?:src|href)=\"?(https?://[^\" >]+)")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as `make docs` builds it."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr, done.stderr
    return folder


def _text(page: Path) -> str:
    """What a page says, without its tags."""
    return re.sub(r"<[^>]+>", "", page.read_text()).replace("&gt;", ">").replace("&amp;", "&")


def test_every_page_is_built(site: Path) -> None:
    """Pages of docs/, notebooks, and files elsewhere that are linked to."""
    sources = [page.relative_to(ROOT / "docs") for page in (ROOT / "docs").rglob("*.md")]
    wanted = [page.with_suffix(".html") for page in sources]
    wanted += [Path(f"notebooks/{task}.html") for task in TASKS]
    wanted += [Path(name) for name in ("changelog.html", "contributing.html", "404.html")]
    assert [page for page in wanted if not (site / page).is_file()] == []
    assert list(site.glob("files/examples/*.html"))


def test_nothing_comes_from_elsewhere(site: Path) -> None:
    """No font, script, style or image of another server."""
    pages = list(site.rglob("*.html"))
    assert [found for page in pages for found in ASSET.findall(page.read_text())] == []


def test_every_command_is_in_the_reference(site: Path) -> None:
    """With its options."""
    text = _text(site / "reference/commands.html")
    for name, command in app.commands.items():
        assert f"graphwright {name}" in text
        options = [one for one in command.params if isinstance(one, click.Option)]
        assert [one.opts[0] for one in options if one.opts[0] not in text] == []
    assert "graphwright nas search" in text


@pytest.mark.parametrize("task", TASKS)
def test_every_setting_is_in_the_reference(site: Path, task: str) -> None:
    """Of a task's default and of what its sections can be swapped for."""
    config = resolve_preset(task)
    keys = set(flatten(to_dict(config)))
    for section, options in config.groups.items():
        keys |= {f"{section}.{key}" for one in options.values() for key in flatten(to_dict(one))}
    pages = ("reference/settings.html", f"reference/settings_{task}.html")
    shown = set(re.findall(r"[\w.]+", " ".join(_text(site / page) for page in pages)))
    # entries of a mapping are no keys of the schema
    missing = {key for key in keys if key not in shown and key.rpartition(".")[0] not in shown}
    assert missing <= {"task", "schema_version"}


def test_reference_says_what_the_source_says(site: Path) -> None:
    """A comment behind a field, a string below it, a range, a default."""
    shared = _text(site / "reference/settings.html")
    assert "largest gradient norm; 0 does not clip" in shared
    assert "float ≥ 0, < 1" in shared.replace("&lt;", "<")
    assert "Radial functions of the distance." in _text(site / "reference/settings_geometry.html")
    calls = _text(site / "reference/python.html")
    assert "Train, evaluate and export one configuration in a new run folder." in calls


def test_search_knows_all_pages(site: Path) -> None:
    """The index that the page's own script searches."""
    index = json.loads((site / "search/search_index.json").read_text())
    places = {entry["location"].partition("#")[0] for entry in index["docs"]}
    assert {"training.html", "reference/commands.html", "start/nas.html"} <= places


@pytest.mark.browser
@pytest.mark.skipif(not CHROMIUM.exists(), reason="no /usr/bin/chromium on this machine")
def test_in_a_browser(site: Path) -> None:
    """At both widths nothing overflows; search answers; a copied command has no prompt."""
    sync_api = pytest.importorskip("playwright.sync_api")
    with _served(site) as base, sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        for width in (1280, 390):
            page = browser.new_page(viewport={"width": width, "height": 844})
            asked: list[str] = []
            page.on("request", lambda request, asked=asked: asked.append(request.url))
            for name in ("index.html", "start/genes.html", "reference/settings_canbus.html"):
                page.goto(base + name)
                assert page.evaluate("document.documentElement.scrollWidth") <= width
            assert [url for url in asked if not url.startswith((base, "data:"))] == []
        page = browser.new_page()
        page.goto(base + "start/genes.html")
        code = page.locator("code:has(.gp)").nth(1)
        code.evaluate("block => block.setAttribute('data-md-copying', '')")
        assert code.inner_text().strip().startswith("printf")
        page.goto(base + "index.html?q=requeue+precision")
        page.wait_for_selector(".md-search-result__item", timeout=20_000)
        browser.close()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextlib.contextmanager
def _served(folder: Path) -> Iterator[str]:
    handler = functools.partial(_Quiet, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()
