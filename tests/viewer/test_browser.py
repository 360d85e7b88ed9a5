"""The viewer in Chromium: what a person does, by mouse and by keys, and what axe finds."""

import os
import shutil
import zipfile
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest

from plaudit.viewer.labelling import LabelOptions
from tests.support.viewing import TOKEN, Viewer, viewing
from tests.viewer.conftest import Write, not_ok, verdict
from tests.viewer.test_app import hostile, pair, pairwise, trace

playwright = pytest.importorskip("playwright.async_api", reason="needs the extra `browser`")
axe = pytest.importorskip("axe_playwright_python.async_playwright", reason="needs `browser`")
CHROMIUM = os.environ.get("PLAUDIT_CHROMIUM") or shutil.which("chromium")
pytestmark = [
    pytest.mark.full,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: `chromium` on the PATH"),
]
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
WIDE, NARROW = {"width": 1280, "height": 900}, {"width": 360, "height": 740}


class Person:
    """A page of a browser, and what it did that it must not."""

    def __init__(self, page: Any, viewer: Viewer) -> None:
        self.page, self.viewer = page, viewer
        self.wrong: list[str] = []
        page.on("dialog", self._dialog)
        page.on("request", self._request)
        page.on("pageerror", lambda error: self.wrong.append(f"error {error}"))

    async def _dialog(self, dialog: Any) -> None:
        self.wrong.append(f"dialog {dialog.message}")
        await dialog.dismiss()

    def _request(self, request: Any) -> None:
        if not request.url.startswith((self.viewer.url, "file:", "data:")):
            self.wrong.append(f"request {request.url}")

    async def open(self, path: str) -> None:
        await self.page.goto(self.viewer.url + path)

    async def click(self, selector: str) -> None:
        """Click what leads to another page, and wait for that page."""
        async with self.page.expect_navigation():
            await self.page.click(selector)

    async def press(self, key: str) -> None:
        """Press a key that leads to another page, and wait for that page."""
        async with self.page.expect_navigation():
            await self.page.keyboard.press(key)

    async def says(self, text: str) -> bool:
        """Whether a page says something; one of a file that is still indexed loads itself again."""
        for _ in range(40):
            with suppress(playwright.Error):  # It is just being loaded.
                found = " ".join((await self.page.inner_text("body")).split())
                if text in found:
                    return True
            await self.page.wait_for_timeout(100)
        return False


Look = Callable[..., AbstractAsyncContextManager[Person]]


@pytest.fixture
def look() -> Look:
    @asynccontextmanager
    async def look(*files: Path, options: LabelOptions | None = None) -> AsyncIterator[Person]:
        async with (
            viewing(*files, options=options, known=False) as viewer,
            playwright.async_playwright() as started,
        ):
            browser = await started.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
            try:
                page = await browser.new_page(viewport=WIDE)
                person = Person(page, viewer)
                await person.open(f"/?token={TOKEN}")
                yield person
                assert person.wrong == []
            finally:
                await browser.close()

    return look


def verdicts(count: int) -> list[dict[str, Any]]:
    return [verdict(n, reward=n / count, confidence=1 - n / count,
                    value="praise" if n % 2 else "blame",
                    metadata={"label": "praise" if n % 3 else "blame"})
            for n in range(count)]  # fmt: skip


async def test_a_bar_filters_and_a_row_opens(look: Look, write: Write) -> None:
    async with look(write(*verdicts(120), not_ok(120, "failed", "timeout"))) as person:
        await person.click("nav a:nth-of-type(2)")
        assert await person.says("121 of 121 verdicts")
        assert "token" not in person.page.url
        await person.click(".histogram a:nth-of-type(1)")
        assert await person.says("3 of 121 verdicts")
        assert "reward=0" in person.page.url
        await person.click("a.row")
        assert await person.says("What was judged")
        await person.click("a.up")
        assert await person.says("3 of 121 verdicts")
        await person.page.go_back()
        assert await person.says("What was judged")
        await person.open(person.viewer.first)
        await person.page.fill("[data-search]", "Text 77")
        await person.press("Enter")
        assert await person.page.locator("a.row").count() == 1


async def test_both_orders_and_the_mask_are_seen(look: Look, write: Write) -> None:
    files = write(pairwise(), name="a.jsonl"), write(trace(0), trace(1), name="t.jsonl")
    async with look(*files) as person:
        orders, traces = person.viewer.slugs
        await person.open(f"/d/{orders}/0")
        sides = person.page.locator("section:has(h2:text('Both orders')) .sides > div")
        boxes = [await sides.nth(number).bounding_box() for number in (0, 1)]
        assert boxes[0]["y"] == boxes[1]["y"]  # Side by side.
        assert await person.says("A shown first: A")
        await person.open(f"/d/{traces}/0")
        painted = person.page.locator("svg.strip rect.fill")
        widths = [await painted.nth(n).evaluate("one => one.getBoundingClientRect().width")
                  for n in (0, 1)]  # fmt: skip
        assert widths[0] / widths[1] == pytest.approx(7 / 3, rel=0.02)
        await person.page.click("summary:has-text('Thought')")
        assert await person.page.is_visible("text=I search.")
        await person.click("section:has(h2:text('The group')) tr:not([aria-current]) a")
        assert await person.says("q/1")


async def test_two_files_are_compared(look: Look, write: Write) -> None:
    rows = verdicts(30)
    others = [row | {"value": "praise", "reward": 1.0} for row in rows]
    async with look(write(*rows), write(*others, name="b.jsonl")) as person:
        await person.page.select_option("select[name=first]", index=0)
        await person.click("form[action='/compare'] button")
        assert await person.says("50.0%")
        assert await person.says("McNemar p =")
        await person.click(".matrix a >> nth=1")
        await person.click("a.row >> nth=0")
        assert await person.says("disagrees with the label")


async def test_ten_labels_by_keys_one_taken_back_and_a_promise(look: Look, write: Write) -> None:
    sure = {"fields": {"raw_confidence": 0.95}}
    rows = [row | sure for row in verdicts(160)]
    path = write(*rows)
    options = LabelOptions(annotator="ada")
    place = path.with_name("out.labels.jsonl")
    async with look(path, options=options) as person:
        await person.open(person.viewer.first)
        await person.click("text=Label these verdicts")
        for key in "12u1s21121":
            await person.press(key)
        assert len(place.read_bytes().splitlines()) == 10
        await person.press("z")
        assert len(place.read_bytes().splitlines()) == 9
        shown = [msgspec.json.decode(line) for line in place.read_bytes().splitlines()]
        assert [row["answer"] for row in shown] == [
            "label", "label", "unsure", "label", "skipped", *["label"] * 4
        ]  # fmt: skip
        assert {row["label"] for row in shown} == {"praise", "blame", None}
        place.unlink()
    words = {row["index"]: row["value"] for row in rows}
    async with look(path, options=options) as person:
        await person.open(f"/label/{person.viewer.slugs[0]}")
        while not await person.page.locator("button[value=calibrate]").count():
            row = await person.page.get_attribute("input[name=row]", "value")
            key = await person.page.get_attribute(
                f"button[value='label:{words[int(row)]}']", "data-key"
            )
            await person.press(key)
        await person.click("button[value=calibrate]")
        assert await person.says("With 100 random labels, gate")
        assert path.with_name("out.calibration.json").exists()


async def test_an_export_opens_without_a_server(look: Look, write: Write, tmp_path: Path) -> None:
    async with look(write(*verdicts(12))) as person:
        await person.open(f"{person.viewer.first}?value=praise")
        async with person.page.expect_download() as saving:
            await person.page.click("text=Save them as a folder of pages")
        saved = await (await saving.value).path()
        with zipfile.ZipFile(saved) as packed:
            packed.extractall(tmp_path / "saved")
        index = next((tmp_path / "saved").rglob("index.html"))
        await person.page.goto(index.as_uri())
        assert await person.says("6 of 12 verdicts")
        await person.click("a.row >> nth=2")
        assert await person.says("What was judged")
        style = await person.page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert style != "rgba(0, 0, 0, 0)"  # The style came along.
        async with person.page.expect_download() as saving:
            await person.open(person.viewer.first)
            await person.page.click("text=Save these rows as JSON Lines")
        lines = Path(await (await saving.value).path()).read_bytes().splitlines()
        assert len(lines) == 12


async def test_keys_are_enough(look: Look, write: Write) -> None:
    async with look(write(*verdicts(120))) as person:
        await person.open(person.viewer.first)
        for key in "jjk":
            await person.page.keyboard.press(key)
        await person.press("Enter")
        assert await person.says("s-0")
        await person.press("j")
        assert "/1?" in person.page.url
        await person.press("k")
        await person.press("u")
        await person.press("n")
        assert "after=49" in person.page.url
        await person.press("p")
        await person.page.keyboard.press("/")
        await person.page.keyboard.type("Text 9")
        await person.press("Enter")
        assert await person.page.locator("a.row").count() == 11
        await person.page.keyboard.press("?")
        assert await person.page.is_visible("#help")
        await person.page.keyboard.press("Escape")
        assert not await person.page.is_visible("#help")
        seen: set[str] = set()
        for _ in range(120):  # By Tab alone all of what can be done is reached.
            await person.page.keyboard.press("Tab")
            seen.add(await person.page.evaluate(
                "(document.activeElement.getAttribute('name') ||"
                " document.activeElement.getAttribute('class'))"
            ))  # fmt: skip
        assert {"skip", "brand", "text", "reward", "columns", "row"} <= seen


def pages(person: Person) -> list[str]:
    """A page of each kind, with hostile texts in it."""
    first, second, traces, pairs, rows = person.viewer.slugs
    return [
        "/", f"/d/{first}", f"/d/{first}/0", f"/d/{first}/2", f"/d/{first}/3",
        f"/d/{first}?sort=-reward",
        f"/d/{traces}", f"/d/{traces}/0", f"/d/{pairs}", f"/d/{pairs}/0", f"/d/{rows}/0",
        f"/compare/{first}/{second}", f"/compare/{first}/{second}/0", f"/label/{first}", "/nothing",
    ]  # fmt: skip


@pytest.fixture
def every_kind(write: Write) -> list[Path]:
    rows = [pairwise(0, reward=0.3), pairwise(1, reward=0.8), not_ok(2, "failed", "timeout")]
    first = write(*map(hostile, rows))
    first.write_bytes(first.read_bytes() + b'{"id": <script>alert(1)</script>\n')
    changed = hostile(pairwise(0, reward=-0.3)) | {"value": "B"}
    return [
        first,
        write(changed, hostile(pairwise(1)), name="b.jsonl"),
        write(hostile(trace(0)), hostile(trace(1)), name="traces.jsonl"),
        write(hostile(pair(0)), hostile(pair(1, margin=0.3)), name="pairs.jsonl"),
        write(hostile({"id": "x", "prompt": "y", "a": [{"b": 1}]}), name="rows.jsonl"),
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
async def test_axe_finds_nothing_and_hostile_texts_do_nothing(
    look: Look, every_kind: list[Path], scheme: str, size: dict[str, int]
) -> None:
    found: list[str] = []
    async with look(*every_kind, options=LabelOptions(annotator="ada")) as person:
        await person.page.emulate_media(color_scheme=scheme)
        await person.page.set_viewport_size(size)
        for path in pages(person):
            await person.open(path)
            results = await axe.Axe().run(person.page)
            found += [
                f"{path}: {one['id']}: {node['html'][:200]}"
                for one in results.response["violations"]
                for node in one["nodes"]
            ]
            over = await person.page.evaluate(
                "document.documentElement.scrollWidth - document.documentElement.clientWidth"
            )
            found += [f"{path}: {over} pixels too wide"] if over > 0 else []
            if path not in ("/", "/nothing"):
                assert await person.says("<script>alert(1)</script>"), path
    assert "\n".join(found) == ""
