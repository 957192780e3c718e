# SPDX-License-Identifier: BSD-3-Clause
"""csnap-metaserver --http: the pages, the figures, and that nobody can do harm through it."""
import http.client
import json
import re
import socket
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
            expect(found and found[1] in types, f"a bad line: {line}")
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
        expect(all((kind == "counter") == name.endswith("_total") for name, kind in types.items()), f"{types}")
        expect(json.loads(get(port, "/status.json")[2]) | {"uptime": 0} == r.json("status") | {"uptime": 0}, "status")
        expect(json.loads(get(port, "/sessions.json")[2])[0]["volumes"] == ["vol"], "sessions")
        expect(json.loads(get(port, "/snapshots.json")[2])[0]["snapshot"] == "one", "snapshots")
        expect(get(port, "/healthz")[::2] == (200, "master\n"), "healthz")
        status, kind, page = get(port, "/?x=1")
        expect(status == 200 and kind.startswith("text/html") and "</html>" in page, "the page")
        expect(not re.search(r"(src|href)=|https?:", page), "the page asks for something from elsewhere")
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
    run([pages_of_a_master, a_standby_says_so_and_takes_over, nothing_else_is_answered,
         slow_and_many_clients_do_not_disturb, only_loopback_is_served])
