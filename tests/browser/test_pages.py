"""The report and the live page in a browser."""

from __future__ import annotations

import io
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
from playwright.sync_api import Page
from toy_data import toy_arrays
from typer.testing import CliRunner

from solsa.host.cli import app

SOLSA = Path(sys.executable).with_name("solsa")


def solsa(*arguments: object) -> None:
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    assert result.exit_code == 0, result.output


def pixels(page: Page) -> np.ndarray:
    """Screenshot, float [height, width, 3]."""
    return matplotlib.image.imread(io.BytesIO(page.screenshot()))[..., :3]


def until(page: Page, epochs: int) -> int:
    """Wait until the page shows so many epochs; the page's own rules forbid it to evaluate what is asked here."""
    for _ in range(300):
        shown = page.get_attribute("body", "data-epochs")
        if shown is not None and int(shown) >= epochs:
            return int(shown)
        page.wait_for_timeout(100)
    raise AssertionError(f"the page shows {shown} epochs after 30 s, not {epochs}")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two classes that a small network tells apart, enough samples for a run of some seconds."""
    np.savez(tmp_path / "toy.npz", **toy_arrays(n=40, steps=12))
    return tmp_path / "toy.npz"


@pytest.fixture
def running(tmp_path: Path) -> Iterator[str]:
    """Address of the live page of a run that goes on until it is ended; it learns noise, so it never comes to rest."""
    rng = np.random.default_rng(0)
    data = tmp_path / "toy.npz"
    np.savez(data, X=rng.normal(size=(40, 12, 3)), y=rng.integers(2, size=40))
    command = [SOLSA, "learn", data, "--epochs", "9999", "--live", "--out", tmp_path / "run"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        found = None
        for line in process.stdout:
            found = re.search(r"http://127\.0\.0\.1:\d+/", line)
            if found:
                break
        assert found, "the run has named no page"
        yield found[0]
        process.terminate()
        process.stdout.read()


def test_the_live_page_moves_with_the_run(running: str, page: Page) -> None:
    page.goto(running)
    seen = until(page, 1)
    before = pixels(page)
    weights = page.evaluate("document.querySelector('#weights canvas').toDataURL()")
    raster = page.inner_html("#raster")
    until(page, seen + 3)
    after = pixels(page)
    assert page.evaluate("document.querySelector('#weights canvas').toDataURL()") != weights
    assert page.inner_html("#raster") != raster
    assert len(page.query_selector_all("#curve circle")) >= 2 * (seen + 3)
    assert len(page.query_selector_all("#histograms svg")) == 2
    assert "toy on 3-64-2, device golden" in page.inner_text("h1")
    assert "epoch" in page.inner_text("#where")
    # The screenshots: something is drawn in every quarter, and it has changed.
    height, width = before.shape[0] // 2, before.shape[1] // 2
    for part in (after[:height, :width], after[:height, width:], after[height:, :width], after[height:, width:]):
        assert part.std() > 0.03
    assert np.abs(after - before).max() > 0.3


def test_watch_shows_a_run_that_is_over(data: Path, tmp_path: Path, page: Page) -> None:
    solsa("learn", data, "--epochs", 2, "--out", tmp_path / "run")
    command = [SOLSA, "watch", tmp_path / "run", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        found = re.search(r"http://127\.0\.0\.1:\d+/", process.stdout.readline())
        assert found
        page.goto(found[0])
        page.wait_for_selector("body[data-phase=done]", timeout=30_000)
        assert "finished" in page.inner_text("#where")
        assert pixels(page).std() > 0.03
        process.send_signal(signal.SIGINT)
        try:
            assert process.wait(10) == 0
        finally:
            process.kill()


def test_the_report_opens_without_a_network(data: Path, tmp_path: Path, page: Page) -> None:
    solsa("learn", data, "--epochs", 3, "--out", tmp_path / "run")
    solsa("report", tmp_path / "run")
    alone = tmp_path / "alone"
    alone.mkdir()
    (tmp_path / "run" / "report.html").rename(alone / "report.html")
    page.context.set_offline(True)
    page.goto((alone / "report.html").as_uri())
    assert page.title() == "solsa: toy on 3-64-2"
    images = page.evaluate("[...document.images].map(i => [i.complete, i.naturalWidth, i.src.slice(0, 10)])")
    assert len(images) == 6
    assert all(complete and width > 500 and source == "data:image" for complete, width, source in images)
    assert pixels(page).std() > 0.03
