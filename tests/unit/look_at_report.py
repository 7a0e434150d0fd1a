"""Look at a run report in Chromium as a reader does, and print what there is to see, as JSON.

    python look_at_report.py CHROMIUM FOLDER GROUP PICTURES

It runs in the environment that has Playwright (`epbell_tb.browser`), and knows nothing of the project.
"""

import json
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

_SIZE = {"width": 1400, "height": 1000}


class Reader:
    """A reader's browser: what he sees, what he does, what went wrong."""

    def __init__(self, browser, root, scheme):
        self.root = root
        self.context = browser.new_context(color_scheme=scheme, viewport=_SIZE, reduced_motion="reduce")
        self.page = self.context.new_page()
        self.page.set_default_timeout(60_000)
        self.trouble = []
        self.asked = []
        self.page.on("pageerror", lambda error: self.trouble.append(str(error)))
        self.page.on("console", lambda said: said.type == "error" and self.trouble.append(said.text))
        self.page.on("request", lambda request: self.asked.append(request.url))

    def open(self, path):
        self.page.goto(f"{self.root.as_uri()}/{path}")

    def names(self):
        """Return the scenarios of the table, those that are to be seen, from above."""
        return self.page.locator("#runs tbody tr:visible th").all_text_contents()

    def entries(self):
        """Return what the ladder says, line by line."""
        return self.page.locator("#drawing .entry").evaluate_all("all => all.map(one => one.ariaLabel)")

    def count(self):
        return self.page.locator("#drawing .entry").count()


def table(reader):
    page = reader.page
    reader.open("index.html")
    seen = {"first": page.locator("main h2").first.text_content(), "names": reader.names()}
    page.get_by_role("button", name="rings").click()
    seen["by rings"] = reader.names()
    page.get_by_role("button", name="rings").click()
    seen["by rings, down"] = reader.names()
    sorted_by = page.locator("th[aria-sort]")
    seen["sorted"] = sorted_by.evaluate_all("all => all.map(one => [one.innerText, one.ariaSort])")
    page.get_by_label("name").fill("good")
    seen["good"] = [reader.names(), page.locator("#shown").text_content()]
    page.get_by_role("button", name="show all").click()
    page.get_by_label("verdict").select_option("fail")
    seen["fail"] = reader.names()
    page.reload()
    seen["fail, reloaded"] = reader.names()
    seen["bars"] = page.locator("figure rect").count()
    return seen


def ladder(reader, group, pictures):
    page = reader.page
    page.get_by_role("row").get_by_role("link", name="ladder").click()
    page.locator("#drawing .entry").first.wait_for()
    seen = {"title": page.locator("h1").text_content(), "trouble": page.locator("#trouble").inner_text()}
    seen["entries"] = reader.entries()
    seen["levels"] = page.locator("#drawing .level").count()
    page.screenshot(path=pictures / "ladder.png", full_page=True)
    page.locator("#drawing .entry .hit").first.click()
    seen["details"] = page.locator("#details").inner_text()
    for kind in ("host", "endpoint", "cpu", "interrupt"):
        page.locator(f"[name=kind][value={kind}]").uncheck()
        seen[f"without {kind}"] = reader.count()
        page.locator(f"[name=kind][value={kind}]").check()
    page.get_by_label("with", exact=True).fill("tag 5")
    seen["tag 5"] = reader.entries()
    page.get_by_label("with", exact=True).fill("")
    page.get_by_label("as a table").check()
    seen["rows"] = page.locator("#drawing tbody tr").count()
    page.get_by_label("as a table").uncheck()
    reader.open(f"ladder.html#{group}/long_one")
    page.locator("#drawing .entry").first.wait_for()
    seen["long"] = [reader.count(), page.locator("#place").text_content()]
    page.get_by_role("button", name="later").click()
    seen["later"] = [reader.count(), page.locator("#place").text_content()]
    page.get_by_label("to clock").fill("20")
    page.get_by_label("to clock").press("Enter")
    chosen = page.locator(".entry.chosen").get_attribute("aria-label")
    seen["clock 20"] = [page.locator("#place").text_content(), chosen]
    before = page.locator("#drawing svg").bounding_box()["height"]
    page.get_by_label("zoom").fill("48")
    seen["zoom"] = page.locator("#drawing svg").bounding_box()["height"] / before
    for name in ("it_is_missing", "../../etc/passwd"):
        reader.open("index.html")
        reader.open(f"ladder.html#{group}/{name}")
        seen[name] = page.locator("header").inner_text()
    return seen


def colours(reader):
    """Return how bright text and background are, 0 to 255."""
    reader.open("index.html")
    style = "getComputedStyle(document.body)"
    numbers = "match(/\\d+/g).map(Number)"
    found = [reader.page.evaluate(f"{style}.{name}.{numbers}") for name in ("color", "backgroundColor")]
    return [sum(colour[:3]) / 3 for colour in found]


def main(chromium, folder, group, pictures):
    """Look, print, and leave pictures."""
    with sync_playwright() as playwright:
        # As root, and in containers, its sandbox cannot be had; nothing but our own pages is opened.
        browser = playwright.chromium.launch(executable_path=chromium, chromium_sandbox=False)
        light, dark = (Reader(browser, Path(folder), scheme) for scheme in ("light", "dark"))
        seen = {"table": table(light), "ladder": ladder(light, group, Path(pictures))}
        seen["light"], seen["dark"] = colours(light), colours(dark)
        for name, reader in (("light", light), ("dark", dark)):
            reader.page.screenshot(path=Path(pictures) / f"{name}.png", full_page=True)
        seen["trouble"] = light.trouble + dark.trouble
        seen["asked"] = light.asked + dark.asked
        browser.close()
    print(json.dumps(seen))


if __name__ == "__main__":
    main(*sys.argv[1:])
