"""The other pages in a real browser: devices, one device, gateways and gaps, import, sign-in."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import DIST, Open, Site
from tests.browser.plant import OFFLINE, REAL, RESPONDING, SIMULATED, TAGS

AXE = DIST.parent / "node_modules" / "axe-core" / "axe.min.js"
PATHS = ["/", "/devices", "/devices/{device}", "/gateways", "/import"]


def test_the_device_list_is_filtered_by_its_address(site: Site, look: Open) -> None:
    page = look(f"{site.url}/devices?state=offline").page
    expect(page.get_by_test_id("device-row")).to_have_count(1)
    expect(page.get_by_test_id("device-row")).to_contain_text(f"{OFFLINE}号循环水泵")
    page.get_by_role("button", name="清除筛选").click()
    expect(page.get_by_text(f"共 {SIMULATED + REAL} 台")).to_be_visible()


def test_a_search_lands_in_the_address_and_survives_a_reload(site: Site, look: Open) -> None:
    page = look(f"{site.url}/devices").page
    page.get_by_role("searchbox").fill("P-012")
    expect(page.get_by_test_id("device-row")).to_have_count(1)
    expect(page).to_have_url(re.compile("q=P-012"))
    page.reload()
    expect(page.get_by_test_id("device-row")).to_have_count(1)


def test_a_device_page_shows_identity_presence_and_values(site: Site, look: Open) -> None:
    watched = look(f"{site.url}/devices/{site.plant.devices[RESPONDING - 1]}")
    page = watched.page
    expect(page.get_by_role("heading", name=f"{RESPONDING}号循环水泵")).to_be_visible()
    expect(page.get_by_text("来源：模拟")).to_be_visible()
    presence = page.get_by_role("table").filter(has_text="时长")
    expect(presence.get_by_text("有应答", exact=True).first).to_be_visible()
    values = page.get_by_role("table").filter(has_text="时效")
    for _, label, unit, _ in TAGS:
        expect(values.get_by_role("row").filter(has_text=label)).to_contain_text(unit)
    expect(page.get_by_label("转速 的趋势图")).to_be_visible()


def test_a_real_device_names_who_attested_it(site: Site, look: Open) -> None:
    page = look(f"{site.url}/devices/{site.plant.devices[-1]}").page
    expect(page.get_by_text("王工，2026-11-01")).to_be_visible()


def test_a_device_that_does_not_exist_is_said_so(site: Site, look: Open) -> None:
    page = look(f"{site.url}/devices/999999").page
    expect(page.get_by_role("alert")).to_contain_text("没有找到")


def test_gateways_and_gaps_say_what_was_missed_and_why(site: Site, look: Open) -> None:
    page = look(f"{site.url}/gateways").page
    expect(page.get_by_role("row").filter(has_text="一号线网关")).to_contain_text("观测中")
    expect(page.get_by_role("row").filter(has_text="网关未运行")).to_be_visible()


@pytest.mark.parametrize("size", [(1920, 1080), (390, 844)], ids=["screen", "phone"])
@pytest.mark.parametrize("path", PATHS)
def test_no_page_has_a_serious_barrier_or_complaint_or_calls_elsewhere(
    site: Site, look: Open, path: str, size: tuple[int, int]
) -> None:
    watched = look(site.url + path.format(device=site.plant.devices[0]), *size)
    expect(watched.page.get_by_role("heading", level=1)).to_have_count(1)
    watched.page.wait_for_load_state("load")
    watched.page.wait_for_timeout(1000)
    assert watched.page.evaluate("document.scrollingElement.scrollWidth") == size[0]
    assert [url for url in watched.requests if not url.startswith((site.url, "data:", "blob:"))] == []
    silent = "503 (Service Unavailable)"  # no gateway answers for a device's diagnostics here
    assert [said for said in watched.complaints if silent not in said] == []
    if not AXE.exists():
        pytest.skip("axe-core is not installed (npm ci installs it)")
    watched.page.evaluate(AXE.read_text("utf-8"))
    barriers = watched.page.evaluate(
        "axe.run(document, {resultTypes: ['violations']}).then(found => found.violations"
        ".map(one => [one.impact, one.id, one.nodes.map(node => String(node.target))]))"
    )
    assert barriers == []


def test_an_operator_screen_may_not_import(site: Site, look: Open) -> None:
    page = look(f"{site.url}/import").page
    expect(page.get_by_text("当前为只读查看")).to_be_visible()


def test_without_a_token_the_closed_site_shows_nothing_but_the_sign_in(closed_site: Site, look: Open) -> None:
    page = look(f"{closed_site.url}/devices").page
    expect(page.get_by_role("heading", name="登录点名平台")).to_be_visible()
    assert "循环水泵" not in page.content()
    page.get_by_label("访问令牌").fill("mst_wrong")
    page.get_by_role("button", name="登录").click()
    expect(page.get_by_role("alert")).to_contain_text("令牌无效")


def test_a_token_opens_the_site_and_an_import_names_each_mistake(
    closed_site: Site, look: Open, tmp_path: Path
) -> None:
    page = look(f"{closed_site.url}/import").page
    page.get_by_label("访问令牌").fill(closed_site.tokens["writer"])
    page.get_by_role("button", name="登录").click()
    expect(page.get_by_role("heading", name="导入设备")).to_be_visible()
    book = tmp_path / "book.csv"
    book.write_text("enterprise,code,name\nyl-steel,S-1,一号场所\n,S-2,二号场所\n", "utf-8")
    page.set_input_files("input[type=file]", book)
    mistakes = page.get_by_test_id("mistakes")
    expect(mistakes).to_be_visible()
    expect(mistakes.get_by_role("row").nth(1)).to_contain_text("3")
    expect(page.get_by_test_id("import")).to_have_count(0)


def test_a_book_without_mistakes_is_tried_dry_and_then_imported(
    closed_site: Site, look: Open, tmp_path: Path
) -> None:
    page = look(f"{closed_site.url}/import").page
    page.get_by_label("访问令牌").fill(closed_site.tokens["writer"])
    page.get_by_role("button", name="登录").click()
    book = tmp_path / "book.yaml"
    book.write_text("sites:\n  - {enterprise: yl-steel, code: yard, name: 堆场}\n", "utf-8")
    page.set_input_files("input[type=file]", book)
    expect(page.get_by_test_id("outcome")).to_contain_text("检查通过")
    page.get_by_test_id("import").click()
    expect(page.get_by_test_id("outcome")).to_contain_text("已导入")
    page.get_by_role("button", name="退出").click()
    expect(page.get_by_role("heading", name="登录点名平台")).to_be_visible()
