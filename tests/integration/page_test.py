# SPDX-License-Identifier: BSD-3-Clause
"""The page of csnap-metaserver --http in headless Chromium: what it shows is what the store has, it needs nothing from
elsewhere, fits a phone, has a name for everything that is drawn, and says so when its server is gone.
CSNAP_SCREENSHOTS: a directory for pictures of it."""
import base64
import json
import os
import pathlib
import re
import shutil
import signal
import time
import urllib.request

from http_test import start_with_http
from rig import CHUNK, SLOWNESS, Failure, Rig, Skip, expect, run, wait_for


class Browser:
    """A Chromium with a profile of its own, over the WebDriver protocol (https://www.w3.org/TR/webdriver2/)."""

    def __init__(self, rig):
        for program in ("chromium", "chromedriver"):
            if shutil.which(program) is None:
                raise Skip(f"there is no {program} (Debian: chromium-driver)")
        self.rig = rig
        rig.at_end.insert(0, self.close)
        self.base = f"http://127.0.0.1:{self.port_of_a_driver()}"
        # No sandbox: it needs rights that a container may not give; nothing but our own page is opened. No shared
        # memory of the machine, whose size is not ours to know.
        words = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
                 "--disable-background-networking", "--disable-component-update", f"--user-data-dir={rig.dir}/chromium"]
        asked = {"capabilities": {"alwaysMatch": {"goog:chromeOptions": {"args": words}}}}
        self.session = f"{self.base}/session/{self.call('POST', f'{self.base}/session', asked)['sessionId']}"

    def port_of_a_driver(self):
        """A chromedriver ends if the free port that it chose for IPv6 is taken for IPv4: then another one chooses."""
        started = re.compile(r"started successfully on port (\d+)")
        for n in range(5):
            log = f"chromedriver{n}.log"
            driver = self.rig.spawn(["chromedriver", "--port=0"], log)
            wait_for(lambda: started.search(self.rig.log(log)) or driver.poll() is not None, 60, "chromedriver")
            if found := started.search(self.rig.log(log)):
                return found[1]
        raise Failure(f"no chromedriver: {self.rig.log(log)}")

    @staticmethod
    def call(method, url, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with direct.open(request, timeout=60 * SLOWNESS) as answer:
            return json.load(answer)["value"]

    def open(self, url):
        self.call("POST", f"{self.session}/url", {"url": url})

    def window(self, width, height):
        """Of the page, as a phone's: the window itself cannot be as narrow."""
        self.developer("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1,
                       mobile=True)

    def script(self, text):
        return self.call("POST", f"{self.session}/execute/sync", {"script": text, "args": []})

    def text(self, element):
        return self.script(f"return document.getElementById('{element}').textContent")

    def developer(self, command, **arguments):
        return self.call("POST", f"{self.session}/goog/cdp/execute", {"cmd": command, "params": arguments})

    def picture(self, name):
        if directory := os.environ.get("CSNAP_SCREENSHOTS"):
            png = base64.b64decode(self.call("GET", f"{self.session}/screenshot"))
            (pathlib.Path(directory) / name).write_bytes(png)

    def close(self):
        """A Chromium is no child of ours: all that have our profile are ended, whatever chromedriver thinks."""
        profile = f"--user-data-dir={self.rig.dir}/chromium".encode()
        for process in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                if profile in (process / "cmdline").read_bytes():
                    os.kill(int(process.name), signal.SIGKILL)
            except (FileNotFoundError, ProcessLookupError):
                pass                # it has ended meanwhile


def store_in_use(r):
    port = start_with_http(r)
    r.start_plugin()
    h = r.connect("vol")
    for n, name in enumerate(("monday", "tuesday", "wednesday")):
        h.pwrite(bytes([n + 1]) * 4 * CHUNK, 0)
        r.tool("create", f"vol@{name}")
    h.pwrite(b"9" * 4 * CHUNK, 0)
    h.flush()
    return port, h


def what_the_store_has():
    with Rig() as r:
        port, h = store_in_use(r)
        b = Browser(r)
        b.open(f"http://127.0.0.1:{port}/")
        wait_for(lambda: "master" in b.text("role"), 20, "the page to have its figures")
        status = r.json("status")
        expect(f"term {status['term']}" in b.text("role"), f"role: {b.text('role')}")
        volumes = b.text("volumes")
        expect("vol, " in volumes and "3 snapshots, 12 chunks kept" in volumes, f"volumes: {volumes}")
        dots = b.script("return [...document.querySelectorAll('.line i')].map(e => e.title.split(',')[0])")
        expect(dots == ["monday", "tuesday", "wednesday"], f"the timeline: {dots}")
        expect("768.0 KiB in snapshots" in b.text("space"), f"space: {b.text('space')}")
        rows = b.script("return [...document.querySelectorAll('#sessions tr')].map(r => r.children[2].textContent)")
        expect(rows == ["vol"], f"clients: {rows}")

        def shows_a_rate():
            if shows_a_rate.next < 128:
                h.pwrite(os.urandom(CHUNK), CHUNK * shows_a_rate.next)
                shows_a_rate.next += 1
                time.sleep(0.2)     # the page looks every two seconds, and needs two looks
            found = re.match(r"(\d+) chunks copied/s", b.text("rates"))
            return found and int(found[1]) > 0
        shows_a_rate.next = 4        # the first chunks have their copies
        wait_for(shows_a_rate, 20, "a rate of copies")
        b.picture("page.png")
        loaded = b.script("return performance.getEntriesByType('resource').map(e => e.name)")
        expect(loaded and all(u.startswith(f"http://127.0.0.1:{port}/") for u in loaded), f"loaded: {loaded}")
        r.stop()


def a_phone_and_a_screen_reader():
    with Rig() as r:
        port, _ = store_in_use(r)
        b = Browser(r)
        b.window(360, 740)
        b.open(f"http://127.0.0.1:{port}/")
        wait_for(lambda: "master" in b.text("role"), 20, "the page to have its figures")
        wide = b.script("return [document.documentElement.scrollWidth, innerWidth]")
        expect(wide[0] <= wide[1] == 360, f"the page is wider than the phone: {wide}")
        b.picture("page-phone.png")
        nodes = b.developer("Accessibility.getFullAXTree")["nodes"]
        named = [(n["role"]["value"], n.get("name", {}).get("value", "")) for n in nodes if not n.get("ignored")]
        for role in ("image", "heading", "table", "columnheader", "status"):
            mine = [name for kind, name in named if kind == role]
            expect(mine, f"there is no {role}: {sorted({kind for kind, _ in named})}")
            if role in ("image", "heading", "columnheader"):
                expect(all(mine), f"a {role} without a name: {mine}")
        expect(("image", "monday, tuesday, wednesday") in named, f"the timeline is not told: {named}")
        expect(b.script("return document.documentElement.lang") == "en", "the language is not said")
        r.stop()


def a_server_that_goes_and_comes():
    with Rig() as r:
        port, _ = store_in_use(r)
        b = Browser(r)
        b.open(f"http://127.0.0.1:{port}/")
        wait_for(lambda: "master" in b.text("role"), 20, "the page to have its figures")
        r.kill(r.servers[0][0])
        wait_for(lambda: "no answer" in b.text("role"), 20, "the page to say that its server is gone")
        r.server_args = [*r.server_args, "--http", f"127.0.0.1:{port}"]
        r.restart_server()
        wait_for(lambda: "master" in b.text("role"), 20, "the page to go on by itself")
        r.stop()


if __name__ == "__main__":
    run([what_the_store_has, a_phone_and_a_screen_reader, a_server_that_goes_and_comes])
