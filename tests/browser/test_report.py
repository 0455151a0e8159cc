"""The report's page in a real browser: it asks for nothing, draws every figure, and says what the JSON says."""

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from discotrace.analysis.paper.formats import report_text
from tests.browser.conftest import Browser
from tests.unit.analysis.paper.made_up_report import BARS, UNDIVIDED, made_up_report

pytestmark = pytest.mark.browser

PHONE, DESK = 390, 1280  # widths in pixels


@pytest.fixture(scope="module")
def comparisons() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(report_text(made_up_report(), "json"))["comparisons"]
    return found


@pytest.fixture
def page(browser: Browser, tmp_path: Path) -> Browser:
    path = tmp_path / "report.html"
    path.write_text(report_text(made_up_report(), "html"), encoding="utf-8")
    browser.look(DESK)
    browser.open(path)
    return browser


def test_the_page_opens_without_a_word_on_the_console(page: Browser) -> None:
    assert page.logged("browser") == []


def test_the_page_asks_for_nothing_but_itself(page: Browser) -> None:
    assert [url for url in page.requests() if not url.startswith("data:")] == [page.ask("location.href")]


def test_every_figure_is_drawn_with_a_mark_for_each_value(page: Browser) -> None:
    drawn = page.ask(
        "[...document.querySelectorAll('section')].map(s => [s.id, s.querySelectorAll('.bars_marks path').length])"
    )
    expected = Counter[str]()
    for figure, bars in BARS.items():
        expected[figure] += sum(2 * len(labels) * (len(quantities) - 1) for _, labels, quantities in bars)
    for figure, plain in UNDIVIDED.items():
        expected[figure] += sum(2 * len(labels) for _, labels, _, _ in plain)
    assert {figure: marks for figure, marks in drawn if marks} == dict(expected)


def test_every_mark_is_as_high_as_its_value(page: Browser) -> None:
    """Heights of the marks of a panel stand to each other as the values in their words do."""
    panels = page.ask(
        "[...document.querySelectorAll('figure')].map(f => [...f.querySelectorAll('.bars_marks path')]"
        ".map(p => [p.getAttribute('aria-label'), p.getBBox().height]))"
    )
    assert len(panels) > 5
    for marks in panels:
        values = [float(re.search(r": ([\d.,]+) ", words)[1].replace(",", "")) for words, _ in marks]  # type: ignore[index]
        scale = sum(height for _, height in marks) / sum(values)
        for (words, height), value in zip(marks, values, strict=True):
            assert height == pytest.approx(scale * value, rel=0.01), words


def test_the_tables_hold_every_value_of_the_json(page: Browser, comparisons: list[dict[str, Any]]) -> None:
    rows = page.ask(
        "[...document.querySelectorAll('.comparisons tbody tr')].map(r => [r.dataset.key, "
        "...[...r.querySelectorAll('[data-value]')].map(c => [Number(c.dataset.value), c.textContent])])"
    )
    expected = {
        "/".join(one[k] for k in ("figure", "workload", "configuration", "quantity")): [
            one[k] for k in ("published", "ours", "error")
        ]
        for one in comparisons
    }
    assert {key: [value for value, _ in cells] for key, *cells in rows} == expected
    for key, *cells in rows:
        for value, text in cells:
            assert float(text.split()[0].replace(",", "")) == pytest.approx(value, rel=0.006, abs=0.051), key


def test_the_changes_that_matter_are_listed_the_greatest_first(page: Browser) -> None:
    listed = page.ask("[...document.querySelectorAll('.sensitivities [data-value]')].map(c => Number(c.dataset.value))")
    changes = [abs(one.change) for one in made_up_report().sensitivity if one.change]
    assert [abs(change) for change in listed] == sorted(changes, reverse=True)


def test_the_page_holds_the_json_itself(page: Browser) -> None:
    assert json.loads(page.ask("document.querySelector('#report').textContent")) == json.loads(
        report_text(made_up_report(), "json")
    )


def test_missed_goals_are_red_and_have_a_sign(page: Browser, comparisons: list[dict[str, Any]]) -> None:
    missed = [one for one in comparisons if one["met"] is False]
    cells = page.ask(
        "[...document.querySelectorAll('.comparisons td:last-child.is-missed')]"
        ".map(c => [c.textContent.trim()[0], getComputedStyle(c).color])"
    )
    assert [sign for sign, _ in cells] == ["✗"] * len(missed)
    assert {colour for _, colour in cells} == {"rgb(176, 0, 32)"}
    above = page.ask("[...document.querySelectorAll('.above_marks text')].map(t => t.textContent.at(-1))")
    assert above.count("✗") == len(missed)


def test_the_contents_lead_to_sections(page: Browser) -> None:
    targets = page.ask("[...document.querySelectorAll('nav a')].map(a => a.getAttribute('href'))")
    assert targets == [f"#{name}" for name in page.ask("[...document.querySelectorAll('section')].map(s => s.id)")]


@pytest.mark.parametrize("width", [PHONE, DESK])
def test_nothing_is_wider_than_the_screen(page: Browser, width: int) -> None:
    """Wide tables and charts scroll in themselves."""
    page.look(width)
    assert page.ask("document.documentElement.scrollWidth") == page.ask("document.documentElement.clientWidth") <= width


def test_a_phone_shows_text_of_charts_in_a_size_one_can_read(page: Browser) -> None:
    page.look(PHONE)
    heights = page.ask("[...document.querySelectorAll('.chart text')].map(t => t.getBoundingClientRect().height)")
    assert min(height for height in heights if height) >= 8


@pytest.mark.parametrize(("scheme", "is_light"), [("light", True), ("dark", False)])
def test_the_page_is_light_or_dark_as_preferred(page: Browser, scheme: str, is_light: bool) -> None:
    page.look(DESK, scheme)
    background = _brightness(page.ask("getComputedStyle(document.body).backgroundColor"))
    labels = _brightness(page.ask("getComputedStyle(document.querySelector('.role-axis-label text')).fill"))
    assert (background > labels) == is_light
    assert abs(background - labels) > 0.7
    assert page.ask("document.querySelector('.bars_marks path').getAttribute('fill')") == "#0072B2"


def test_printing_opens_what_is_folded_and_is_light(page: Browser) -> None:
    hidden = "[...document.querySelectorAll('details table')].filter(t => !t.checkVisibility()).length"
    assert page.ask(hidden) > 0
    page.look(DESK, "dark", "print")
    assert page.ask(hidden) == 0
    assert _brightness(page.ask("getComputedStyle(document.body).backgroundColor")) == 1


def _brightness(colour: str) -> float:
    """Mean of red, green and blue, from 0 to 1, of what the browser says a colour is."""
    parts = [int(part) for part in re.findall(r"\d+", colour)[:3]]
    return sum(parts) / 3 / 255
