from __future__ import annotations

import io
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from vlprompt.data.fingerprint import dataset_fingerprint
from vlprompt.data.samples import Dataset, Sample
from vlprompt.errors import DataError, OutputError, SettingsError
from vlprompt.report import report_html, write_report

WIDTHS = {"desktop": (1280, 900), "phone": (360, 780)}


def _no_data(source):
    raise DataError(f"there is no folder {source}")


def _pictures(source) -> Dataset:
    """Twelve classes of squares, two test images each; classes as in the made-up records."""
    from tests.report.conftest import WORDS

    chance = np.random.default_rng(sum(map(ord, source)))

    def sample(label: int) -> Sample:
        pixels = np.full((60, 80, 3), chance.integers(0, 255, 3), np.uint8)
        pixels[15:45, 20:60] = chance.integers(0, 255, 3)
        return Sample(pixels, label, WORDS[label])

    return Dataset(source, tuple(map(sample, range(12))), (), tuple(sample(index % 12) for index in range(48)))


@pytest.fixture(scope="module")
def disagreeing(records):
    """The records with predictions in which every third one of CoOp is another."""

    def changed(record):
        choices = tuple((index + (record.method.label == "coop" and index % 3 == 0)) % 6 for index in range(24))
        shown = _pictures(record.dataset.source)
        facts = replace(record.dataset, fingerprint=dataset_fingerprint([*shown.train, *shown.test]))
        new = replace(record.results["new"], predictions=choices)
        return replace(record, dataset=facts, results={**record.results, "new": new})

    return [changed(record) for record in records]


@pytest.fixture(scope="module")
def page(disagreeing) -> str:
    return report_html(disagreeing, load=_pictures)


class _Tags(HTMLParser):
    VOID = frozenset({"meta", "img", "br"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.images: list[dict] = []

    def handle_starttag(self, tag, attributes):
        if tag == "img":
            self.images.append(dict(attributes))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_every_tag_is_closed(page):
    tags = _Tags()
    tags.feed(page)
    assert tags.open == []


def test_nothing_is_fetched_from_anywhere(page):
    assert not re.search(r'https?:|<script|<link|@import|url\(|(src|href|srcset)="(?!data:image/)', page)
    assert "default-src 'none'" in page


def test_pictures_are_in_the_file(page):
    tags = _Tags()
    tags.feed(page)
    assert len(tags.images) == 6 * (6 + 6 + 3)
    assert all(image["src"].startswith("data:image/webp;base64,") and "alt" in image for image in tags.images)


def test_the_page_says_what_was_found_and_how_to_repeat_it(page):
    for words in (
        "<h1>CoCoOp is", "vlprompt benchmark base-to-new", "--methods zero-shot,coop,cocoop", "--seeds 1,2,3",
        "A processor of two cores", "torch 2.14.1", "epochs 200", "The methods disagree on 8 of 24",
    ):  # fmt: skip
        assert words in page


def test_published_averages_are_set_apart(page):
    published = page[page.index("What was published") :]
    assert "not comparable with the numbers above" in published
    assert "71.69" in published
    assert "ViT-B/16 on 11 data sets of photographs" in published


def test_a_given_command_is_shown_as_it_is(records):
    assert "make demo &amp;&amp; true" in report_html(records, command="make demo && true", load=_no_data)


def test_whatever_a_user_names_is_escaped(record_of):
    bad = "<script>alert(1)</script>"
    records = [record_of(bad, method, seed, 70, 60, source=bad) for method in ("coop", "cocoop") for seed in (1, 2)]
    records = [
        replace(r, dataset=replace(r.dataset, template=bad + "{}"), machine=replace(r.machine, processor=bad))
        for r in records
    ]
    assert "<script" not in report_html(records, load=_no_data)


def test_pictures_that_have_gone_are_no_obstacle(records):
    page = report_html(records, load=_no_data)
    assert "<img" not in page
    assert "The pictures" not in page


def test_a_data_set_that_has_changed_shows_no_predictions(disagreeing):
    def changed(source) -> Dataset:
        dataset = _pictures(source)
        return replace(dataset, test=dataset.test[::-1])  # as many pictures, in another order

    assert "The methods disagree" in report_html(disagreeing, load=_pictures)
    page = report_html(disagreeing, load=changed)
    assert "The methods disagree" not in page
    assert "<img" not in page


@pytest.mark.parametrize("methods", [("zero-shot",), ("zero-shot", "coop"), ("coop", "cocoop")])
def test_some_of_the_methods_make_a_report_too(records, methods):
    assert "</html>" in report_html([r for r in records if r.method.label in methods], load=_no_data)


def test_one_run_alone_makes_a_report(record_of):
    assert "80.0" in report_html([record_of("a", "coop", 1, 80, 70)], load=_no_data)


def test_no_records_are_a_clear_error(tmp_path):
    with pytest.raises(SettingsError, match="no result records"):
        write_report(tmp_path / "report.html", [])


def test_a_place_that_cannot_be_written_is_a_clear_error(records, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError):
        write_report(tmp_path / "file" / "report.html", records, load=_no_data)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("device", WIDTHS)
def test_a_browser_shows_the_report(chromium, disagreeing, tmp_path, device, scheme):
    width, height = WIDTHS[device]
    chromium.open(write_report(tmp_path / "report.html", disagreeing, load=_pictures), width, height, scheme)

    screenshot = Image.open(io.BytesIO(chromium.screenshot())).convert("RGB")
    assert screenshot.width == width
    assert len(screenshot.getcolors(1 << 24)) > 500  # text, figures and pictures, not a blank page
    ground = np.asarray(screenshot.getpixel((2, 2))).mean()
    assert ground > 230 if scheme == "light" else ground < 40

    too_wide = (
        "[...document.querySelectorAll('body *')].filter(e => e.getBoundingClientRect().right > innerWidth + 1).length"
    )
    assert chromium.evaluate("document.documentElement.scrollWidth") <= width
    assert chromium.evaluate(too_wide) == 0
    assert chromium.evaluate("[...document.images].every(image => image.complete && image.naturalWidth > 0)")
    assert chromium.evaluate("getComputedStyle(document.querySelector('.chart rect')).fill") != "rgb(0, 0, 0)"

    requests = [
        event["params"]["request"]["url"]
        for event in chromium.events
        if event.get("method") == "Network.requestWillBeSent"
    ]
    assert [url for url in requests if not url.startswith(("file:", "data:"))] == []
    assert [event for event in chromium.events if event.get("method") == "Log.entryAdded"] == []  # no policy is broken


def test_a_hostile_name_is_text_everywhere_in_the_page(record_of):
    hostile = "<script>alert(1)</script>\"' onload=x\x1b[2J\u202e\udce9\ud800"
    made = [
        record_of(name, method, seed, 80, 70, backbone=hostile, source=hostile)
        for name in (hostile, f"{hostile}2")
        for method in ("coop", "cocoop", hostile)
        for seed in (1, 2)
    ]
    page = report_html(made)
    page.encode()
    assert "<script" not in page
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", page)
    assert not re.search(r"<[^>]*\sonload", page)
    assert page.count("&lt;script&gt;") > 10
