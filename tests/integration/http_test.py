# SPDX-License-Identifier: BSD-3-Clause
"""csnap-metaserver --http: the pages, the figures, and that nobody can do harm through it."""
import http.client
import json
import pathlib
import re
import shutil
import socket
import subprocess
import time

from rig import Rig, expect, run, wait_for


def start_with_http(rig, number=0):
    """Returns the port that the server chose."""
    rig.start_server(wait=number == 0, extra=("--http", "127.0.0.1:0"))
    pattern = re.compile(r"serving HTTP on 127\.0\.0\.1:(\d+)")
    wait_for(lambda: pattern.search(rig.log(f"server{number}.log")), 20, "the address of the page")
    return int(pattern.search(rig.log(f"server{number}.log"))[1])


def get(port, path, method="GET"):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.getheader("Content-Type"), answer.read().decode()
    finally:
        connection.close()


def figures(port):
    """{name with labels: value}, and the type of each name."""
    status, kind, text = get(port, "/metrics")
    expect(status == 200 and kind.startswith("text/plain; version=0.0.4"), f"/metrics: {status} {kind}")
    values, types = {}, {}
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            expect(name not in types, f"{name} is declared twice")
            types[name] = kind
        elif not line.startswith("#"):
            found = re.fullmatch(r'([a-z_]+)(\{(?:[a-z_]+="(?:[^"\\\n]|\\.)*",?)+\})? (-?[0-9.]+)', line)
            part = found and re.fullmatch(r"(.*)_(bucket|sum|count)", found[1])
            of_histogram = part and types.get(part[1]) == "histogram"
            expect(found and (found[1] in types or of_histogram), f"a bad line: {line}")
            values[found[1] + (found[2] or "")] = float(found[3])
    return values, types


def pages_of_a_master():
    with Rig() as r:
        port = start_with_http(r)
        r.start_plugin()
        h = r.connect("vol")
        h.pwrite(b"a" * 65536, 0)
        r.tool("create", "vol@one")
        h.pwrite(b"b" * 65536, 0)
        h.flush()
        values, types = figures(port)
        for name, want in (("csnap_master", 1), ("csnap_sessions", 1), ('csnap_volume_snapshots{volume="vol"}', 1),
                           ('csnap_volume_exceptions{volume="vol"}', 1), ("csnap_chunks_copied_total", 1),
                           ('csnap_store_used_bytes{by="snapshots"}', 65536)):
            expect(values.get(name) == want, f"{name} is {values.get(name)}, not {want}")
        for name, at_least in (("csnap_commit_chunks", 1), ("csnap_create_pause_seconds", 1),
                               ("csnap_log_batch_seconds", 2), ("csnap_checkpoint_seconds", 0)):
            counts = [v for key, v in values.items() if key.startswith(name + "_bucket")]
            expect(counts == sorted(counts) and counts[-1] == values[name + "_count"] >= at_least, f"{name}: {counts}")
        of_one = values['csnap_commit_chunks_bucket{le="1"}']
        expect(of_one == 1 == values["csnap_commit_chunks_sum"], f"commits of one chunk: {of_one}")
        expect(all((kind == "counter") == name.endswith("_total") for name, kind in types.items()), f"{types}")
        expect(json.loads(get(port, "/status.json")[2]) | {"uptime": 0} == r.json("status") | {"uptime": 0}, "status")
        expect(json.loads(get(port, "/sessions.json")[2])[0]["volumes"] == ["vol"], "sessions")
        expect(json.loads(get(port, "/snapshots.json")[2])[0]["snapshot"] == "one", "snapshots")
        expect(get(port, "/healthz")[::2] == (200, "master\n"), "healthz")
        status, kind, page = get(port, "/?x=1")
        expect(status == 200 and kind.startswith("text/html") and "</html>" in page, "the page")
        expect(not re.search(r"(src|href)=|https?:", page), "the page asks for something from elsewhere")
        r.stop()


def expressions():
    """What the dashboard and the alerts ask Prometheus for."""
    folder = pathlib.Path(__file__).resolve().parents[2] / "docs/monitoring"
    found = [target["expr"] for panel in json.loads((folder / "dashboard.json").read_text())["panels"]
             for target in panel["targets"]]
    return found + re.findall(r"expr: (.*)", (folder / "alerts.yml").read_text())


def dashboard_and_alerts_ask_for_figures_that_are_there():
    with Rig() as r:
        port = start_with_http(r)
        r.start_plugin()
        r.connect("vol")        # until then there may be no session, and no figure of one
        there = {key.split("{")[0] for key in figures(port)[0]}
        asked = expressions()
        names = {name for text in asked for name in re.findall(r"csnap_[a-z_]+", text)}
        expect(len(asked) > 20 and not names - there, f"nobody has these figures: {names - there}")
        with open(r.dir / "rules.yml", "w") as f:       # as rules, for promtool to read
            rules = [{"record": f"csnap:check{n}", "expr": text.replace("$__rate_interval", "1m")}
                     for n, text in enumerate(asked)]
            json.dump({"groups": [{"name": "csnap", "rules": rules}]}, f)
        for words, given in ((["rules", f.name], ""), (["metrics"], get(port, "/metrics")[2])):
            if shutil.which("promtool"):    # Debian has it in the package of the daemon
                done = subprocess.run(["promtool", "check", *words], input=given, capture_output=True, text=True)
                expect(done.returncode == 0, f"promtool: {done.stdout} {done.stderr}")
        r.stop()


def a_standby_says_so_and_takes_over():
    with Rig() as r:
        start_with_http(r)
        port = start_with_http(r, 1)
        expect(get(port, "/healthz")[2] == "standby\n", "healthz")
        expect(figures(port)[0] == {"csnap_master": 0}, "metrics")
        expect(json.loads(get(port, "/status.json")[2]) == {"role": "standby"}, "status")
        r.kill(r.servers[0][0])
        wait_for(lambda: get(port, "/healthz")[2] == "master\n", 20, "the takeover")
        r.stop()


def nothing_else_is_answered():
    with Rig() as r:
        port = start_with_http(r)
        expect(get(port, "/../etc/passwd")[0] == 404, "a path from elsewhere")
        expect(get(port, "/metrics", "POST")[0] == 405, "POST")
        expect(get(port, "/metrics", "HEAD")[::2] == (200, ""), "HEAD")
        code, _, err = r.try_tool("status", "--json")
        expect(code == 0, err)
        for bad in (b"\0" * 100, b"GET / HTTP/1.1\r\n" + b"x: " + b"y" * 100000 + b"\r\n\r\n", b"\r\n\r\n"):
            with socket.create_connection(("127.0.0.1", port), timeout=20) as s:
                try:
                    s.sendall(bad)
                    while s.recv(4096):
                        pass
                except ConnectionError:
                    pass
        expect(get(port, "/healthz")[0] == 200, "after bad requests")
        r.stop()


def slow_and_many_clients_do_not_disturb():
    with Rig() as r:
        port = start_with_http(r)
        r.start_plugin()
        idle = [socket.create_connection(("127.0.0.1", port), timeout=20) for _ in range(100)]
        begin = time.monotonic()
        r.tool("create", "vol@s")
        expect(time.monotonic() - begin < 10, "a create waited for idle readers of the page")
        wait_for(lambda: answers(port), 20, "the idle ones to be closed")
        for s in idle:
            s.close()
        r.stop()
        r.check()


def answers(port):
    try:
        return get(port, "/healthz")[0] == 200
    except (OSError, http.client.HTTPException):
        return False


def only_loopback_is_served():
    with Rig() as r:
        for where, text in (("0.0.0.0:0", "only loopback"), ("nonsense", "is not HOST:PORT")):
            process = r.start_server(wait=False, extra=("--http", where))
            expect(process.wait(timeout=20) in (1, 2), f"--http {where} was taken")
            expect(text in r.log(f"server{len(r.servers) - 1}.log"), r.log("server0.log"))


if __name__ == "__main__":
    run([pages_of_a_master, dashboard_and_alerts_ask_for_figures_that_are_there, a_standby_says_so_and_takes_over,
         nothing_else_is_answered, slow_and_many_clients_do_not_disturb, only_loopback_is_served])
