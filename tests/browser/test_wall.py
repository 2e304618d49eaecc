"""The wall in a real browser: two counts that nobody confuses, live, and honest when it is not."""

import re
import urllib.parse

from playwright.sync_api import expect

from muster.presence import State
from tests.browser.conftest import Open, Site
from tests.browser.plant import REAL, SIMULATED

UNCOUNTED = 2  # one offline, one that only answers
REHEARSAL = SIMULATED + REAL - UNCOUNTED


def test_rehearsal_and_official_stand_apart_and_are_drawn_differently(site: Site, look: Open) -> None:
    page = look(site.url).page
    rehearsal, official = page.get_by_test_id("count-rehearsal"), page.get_by_test_id("count-official")
    expect(official).to_have_text(str(REAL))
    expect(rehearsal).to_have_text(re.compile(r"^1[34]$"))
    expect(page.get_by_text("含模拟与重放设备，不作正式依据")).to_be_visible()
    style = "element => getComputedStyle(element).backgroundClip"
    assert rehearsal.evaluate(style) == "text"
    assert official.evaluate(style) != "text"


def test_the_wall_fills_a_full_hd_screen_without_scrolling(site: Site, look: Open) -> None:
    page = look(site.url).page
    expect(page.get_by_test_id("count-official")).to_have_text(str(REAL))
    assert page.evaluate(
        "[document.scrollingElement.scrollHeight, document.scrollingElement.scrollWidth]"
    ) == [1080, 1920]
    inside = page.locator("main section, main aside").evaluate_all(
        "all => all.every(one => one.getBoundingClientRect().bottom <= innerHeight + 1)"
    )
    assert inside


def test_the_wall_reads_on_a_phone_without_sideways_scrolling(site: Site, look: Open) -> None:
    page = look(site.url, 390, 844, touch=True).page
    expect(page.get_by_test_id("count-official")).to_have_text(str(REAL))
    assert page.evaluate("document.scrollingElement.scrollWidth") == 390
    expect(page.get_by_test_id("field")).to_have_attribute("data-devices", str(SIMULATED + REAL))


def test_a_device_that_falls_offline_leaves_the_count_without_a_reload(site: Site, look: Open) -> None:
    page = look(site.url).page
    rehearsal = page.get_by_test_id("count-rehearsal")
    expect(rehearsal).to_have_text(str(REHEARSAL))
    device = site.plant.devices[0]
    try:
        site.plant.set_state(device, State.OFFLINE, "connection-refused")
        expect(rehearsal).to_have_text(str(REHEARSAL - 1))
    finally:
        site.plant.set_state(device, State.CONNECTED, "value")
    expect(rehearsal).to_have_text(str(REHEARSAL))


def test_numbers_are_never_shown_as_live_once_the_platform_is_gone(site: Site, look: Open) -> None:
    page = look(site.url).page
    expect(page.get_by_test_id("count-rehearsal")).to_have_text(str(REHEARSAL))
    site.api.kill()
    try:
        expect(page.get_by_role("alert")).to_contain_text("不是现在")
        expect(page.get_by_test_id("wall")).to_have_attribute("data-stale", "true")
        expect(page.get_by_text("已中断")).to_be_visible()
    finally:
        site.api.start()
    expect(page.get_by_test_id("wall")).to_have_attribute("data-stale", "false", timeout=20_000)
    expect(page.get_by_role("alert")).to_have_count(0)


def test_a_past_second_is_shown_as_it_was_known_then_and_as_it_is_known_now(site: Site, look: Open) -> None:
    at = urllib.parse.quote(site.plant.held_up.isoformat(timespec="seconds").replace("+00:00", "Z"))
    page = look(f"{site.url}/?at={at}&known=then").page
    rehearsal = page.get_by_test_id("count-rehearsal")
    expect(rehearsal).to_have_text("0")
    expect(page.get_by_text("正在回看，不是现在")).to_be_visible()
    page.get_by_role("radio", name="现在所知").click()
    expect(rehearsal).to_have_text(str(SIMULATED + REAL))
    expect(page.get_by_text("事后补到的数据更正了当时的数")).to_be_visible()
    page.get_by_role("button", name="回到现在").click()
    expect(rehearsal).to_have_text(str(REHEARSAL))


def test_the_second_looked_at_can_be_moved(site: Site, look: Open) -> None:
    page = look(site.url).page
    page.get_by_role("button", name="回看").click()
    expect(page).to_have_url(re.compile(r"at="))
    before = page.url
    page.get_by_role("button", name="−60 秒").click()
    expect(page).not_to_have_url(before)


def test_english_is_one_click_away_and_stays(site: Site, look: Open) -> None:
    page = look(site.url).page
    expect(page.get_by_role("heading", name="演练")).to_be_visible()
    page.get_by_role("button", name="English").click()
    expect(page.get_by_role("heading", name="Rehearsal")).to_be_visible()
    page.reload()
    expect(page.get_by_role("heading", name="Official")).to_be_visible()
    assert page.evaluate("document.documentElement.lang") == "en"


def test_the_field_can_be_walked_with_the_keyboard(site: Site, look: Open) -> None:
    page = look(site.url).page
    expect(page.get_by_test_id("count-rehearsal")).to_have_text(str(REHEARSAL))
    page.get_by_test_id("field").focus()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_test_id("field").get_by_role("status")).to_contain_text("1号循环水泵")
    page.keyboard.press("ArrowRight")
    expect(page.get_by_test_id("field").get_by_role("status")).to_contain_text("2号循环水泵")
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{site.url}/devices/{site.plant.devices[1]}")


def test_every_uncounted_device_is_there_with_its_reason(site: Site, look: Open) -> None:
    page = look(site.url).page
    reasons = page.get_by_role("table").filter(has_text="未计入原因")
    expect(reasons).to_be_visible()
    expect(reasons.get_by_role("row")).not_to_have_count(1)
    assert "excluded." not in reasons.inner_text()
