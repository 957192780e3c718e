# SPDX-License-Identifier: BSD-3-Clause
"""The tool: exit statuses, one-line errors, what format refuses, and the shape of the JSON."""
import json
import os
import pathlib
import subprocess
import tempfile

from rig import SERVER, SLOWNESS, TOOL, Rig, expect, run


def call(*args, env=None):
    full = {k: v for k, v in os.environ.items() if k != "CSNAP_SERVER"} | (env or {})
    return subprocess.run([TOOL, *map(str, args)], capture_output=True, text=True, timeout=60 * SLOWNESS, env=full)


def expect_failure(code, words, *args, env=None):
    """Exit status `code`, nothing on stdout, one line on stderr that holds `words`."""
    done = call(*args, env=env)
    lines = done.stderr.splitlines()
    expect(done.returncode == code, f"{args}: exit {done.returncode}, not {code}: {done.stderr}")
    expect(len(lines) == 1 and lines[0].startswith("csnap: "), f"{args}: not one line: {done.stderr!r}")
    expect(words in lines[0], f"{args}: {words!r} is not in {lines[0]!r}")
    expect(done.stdout == "", f"{args}: printed {done.stdout!r}")


def expect_done(*args):
    done = call(*args)
    expect(done.returncode == 0, f"{args}: exit {done.returncode}: {done.stderr}")
    return done


def make_file(path, size):
    with open(path, "wb") as f:
        f.truncate(size)
    return path


def wrong_usage_is_exit_2():
    nowhere = {"CSNAP_SERVER": "unix:/nonexistent/socket"}
    expect_failure(2, "--help")
    expect_failure(2, "--help", "frobnicate")
    expect_failure(2, "no server is named", "list")
    expect_failure(2, "CSNAP_SERVER", "create", "vol@s")
    expect_failure(2, "VOLUME@SNAPSHOT", "create", "vol", env=nowhere)
    expect_failure(2, "snapshot name", "create", "vol@..", env=nowhere)
    expect_failure(2, "volume name", "delete", "vol/x@s", env=nowhere)
    expect_failure(2, "volume name", "list", "a b", env=nowhere)
    expect_failure(2, "stays with its volume", "rename", "vol@a", "other@b", env=nowhere)
    expect_failure(2, "snapshot name", "rename", "vol@a", "b!", env=nowhere)
    expect_failure(2, "same volume", "diff", "vol@a", "other@b", env=nowhere)
    expect_failure(2, "not offered yet", "diff", "vol@a", "vol", env=nowhere)
    expect_failure(2, "", "--server", "nonsense", "list")
    expect_failure(2, "VOLUME@SNAPSHOT", "hold", "vol", "tag", env=nowhere)
    expect_failure(2, "is no tag", "hold", "vol@s", "x" * 33, env=nowhere)
    expect_failure(2, "is no tag", "release", "vol@s", "a b", env=nowhere)
    expect_failure(2, "origin-first", "set", "vol", "--full", "sometimes", env=nowhere)
    expect_failure(2, "a volume has a policy", "set", "vol", "--priority", "3", env=nowhere)
    expect_failure(2, "a volume has a policy", "set", "vol", env=nowhere)
    expect_failure(2, "a snapshot has a priority", "set", "vol@s", "--full", "error", env=nowhere)
    for verb in ("clone", "rollback", "send", "receive"):
        expect_failure(2, f"'{verb}' is not offered yet", verb, "vol@s", "x")
        expect_failure(2, f"'{verb}' is not offered yet", verb, "--from", "vol@s")


def help_and_version():
    verbs = "format create list delete rename set hold release resize diff status sessions check dump restore"
    for verb in verbs.split():
        expect("Example: csnap " + verb in expect_done(verb, "--help").stdout, f"{verb} --help: no example")
    expect(expect_done("--version").stdout.startswith("csnap "), "--version")
    version = subprocess.run([SERVER, "--version"], capture_output=True, text=True, timeout=60 * SLOWNESS)
    expect(version.returncode == 0 and version.stdout.startswith("csnap-metaserver "), "the server's")


def no_server_answers():
    expect_failure(1, "", "--server", "unix:/nonexistent/socket", "--timeout", "1", "status")


def format_refuses():
    with tempfile.TemporaryDirectory(prefix="csnap-test-") as name:
        d = pathlib.Path(name)
        store, origin = make_file(d / "store", 64 << 20), make_file(d / "origin", 8 << 20)
        small = make_file(d / "small", 8192)
        o = f"vol={origin}"
        expect_failure(2, "--origin", "format", store)
        expect_failure(2, "NAME=DEVICE", "format", store, "--origin", "vol")
        expect_failure(2, "volume name", "format", store, "--origin", f"v@l={origin}")
        expect_failure(2, "two volumes", "format", store, "--origin", o, "--origin", o)
        expect_failure(2, "power of two", "format", store, "--origin", o, "--chunk-size", "3K")
        expect_failure(2, "power of two", "format", store, "--origin", o, "--chunk-size", "2M")
        expect_failure(2, "--full sometimes", "format", store, "--origin", o, "--full", "sometimes")
        expect_failure(2, "--nodes", "format", store, "--origin", o, "--nodes", "65")
        expect_failure(1, "", "format", d / "missing", "--origin", o)
        expect_failure(1, "volume vol", "format", store, "--origin", f"vol={d}/missing")
        expect_failure(1, "named twice", "format", store, "--origin", f"vol={store}")
        (d / "link").symlink_to(store)
        expect_failure(1, "named twice", "format", store, "--origin", f"vol={d}/link")
        expect_failure(1, "named twice", "format", store, "--origin", o, "--origin", f"vol2={origin}")
        expect_failure(1, "", "format", small, "--origin", o)
        expect_failure(1, "neither a block device nor", "format", d, "--origin", o)
        expect(not any((d / "store").read_bytes()), "a refused format wrote something")

        made = json.loads(expect_done("format", store, "--origin", o, "--json").stdout)
        expect(made["volumes"][0]["name"] == "vol" and made["chunk_size"] == 65536, f"format --json: {made}")
        before = store.read_bytes()
        expect_failure(1, "--force", "format", store, "--origin", o)
        expect(store.read_bytes() == before, "a refused format changed the store")
        again = expect_done("format", store, "--origin", o, "--force")
        expect(f"destroying csnap store {made['uuid']}" in again.stderr, f"--force: {again.stderr}")
        expect("csnap-metaserver --store" in again.stdout, "format does not say what to do next")


def format_refuses_what_a_server_runs_on():
    with Rig() as r:
        r.start_server()
        origin = r.origins["vol"]
        expect_failure(1, "is running on it", "format", r.store, "--origin", f"vol={origin}", "--force")
        r.stop()
        expect_done("format", r.store, "--origin", f"vol={origin}", "--force")


def check_and_dump():
    with tempfile.TemporaryDirectory(prefix="csnap-test-") as name:
        d = pathlib.Path(name)
        store, origin = make_file(d / "store", 64 << 20), make_file(d / "origin", 8 << 20)
        expect_failure(1, "no csnap store", "check", store)
        expect_failure(1, "no csnap store", "dump", store)
        expect_failure(1, "", "check", d / "missing")
        expect_done("format", store, "--origin", f"vol={origin}")
        report = json.loads(expect_done("check", store, "--json").stdout)
        expect(report["ok"] is True and report["errors"] == [] and report["volumes"] == 1, f"check: {report}")
        expect(expect_done("check", store).stdout.endswith("ok\n"), "check for people")
        json.loads(expect_done("dump", store).stdout)
        with open(store, "r+b") as f:       # both superblocks' copies stay; every block after them goes
            f.seek(2 * 4096)
            f.write(b"\xa5" * (1 << 20))
        done = call("check", store, "--json")
        expect(done.returncode == 1, f"check of a damaged store: exit {done.returncode}")
        report = json.loads(done.stdout)
        expect(report["ok"] is False and report["errors"], f"errors are not named: {report}")
        expect(len(done.stderr.splitlines()) == 1, f"check: {done.stderr!r}")


def repair():
    with tempfile.TemporaryDirectory(prefix="csnap-test-") as name:
        d = pathlib.Path(name)
        store, origin = make_file(d / "store", 64 << 20), make_file(d / "origin", 8 << 20)
        expect_failure(1, "no csnap store", "check", "--repair", store)
        expect_done("format", store, "--origin", f"vol={origin}")
        whole = store.read_bytes()
        with open(store, "r+b") as f:
            for block in (0, 2, 5):
                f.seek(block * 4096 + 200)
                f.write(b"\xa5" * 100)
        report = json.loads(expect_done("check", "--repair", store, "--json").stdout)
        expect(report["ok"] and len(report["repaired"]) == 3 and report["not_repaired"] == [], f"repair: {report}")
        expect(store.read_bytes() == whole, "what was repaired is not as before")
        expect("nothing was repaired" in expect_done("check", "--repair", store).stdout, "repair of a whole store")
    with Rig() as r:
        r.start_server()
        expect_failure(1, "is running on it", "check", "--repair", r.store)


def dump_and_restore():
    with Rig() as r:
        r.start_server()
        r.start_plugin()
        origin = r.uri("vol")
        before = subprocess.run(["qemu-io", "-f", "raw", "-c", "write -P 17 0 1M", origin], capture_output=True)
        expect(before.returncode == 0, f"qemu-io: {before}")
        r.tool("create", "vol@s")
        subprocess.run(["qemu-io", "-f", "raw", "-c", "write -P 34 64k 256k", origin], check=True, capture_output=True)
        expect_failure(1, "is running on it", "restore", "/dev/null", r.store, "--force")
        r.stop()
        dump = r.dir / "store.json"
        dump.write_text(expect_done("dump", r.store).stdout)
        expect_failure(1, "--force", "restore", dump, r.store)
        (r.dir / "cut.json").write_text(dump.read_text()[:-100])
        with open(r.store, "r+b") as f:       # the superblocks stay; slots, log and pages go
            f.seek(2 * 4096)
            f.write(b"\xa5" * (1 << 20))
        expect_failure(1, "line", "restore", r.dir / "cut.json", r.store, "--force")
        half = call("check", r.store)
        expect(half.returncode == 1 and "interrupted" in half.stdout + half.stderr, f"{half}")
        made = json.loads(expect_done("restore", dump, r.store, "--force", "--json").stdout)
        expect(made["restore_generation"] == 2 and made["snapshots"] == 1 and made["exceptions"] > 0, f"{made}")
        expect_done("check", r.store)
        r.restart_server()
        r.restart_plugin(0)
        for pattern, where in (("17 0 1M", "vol@s"), ("34 64k 256k", "vol"), ("17 512k 512k", "vol")):
            done = subprocess.run(["qemu-io", "-r", "-f", "raw", "-c", f"read -P {pattern}", r.uri(where)],
                                  capture_output=True, text=True)
            expect("Pattern verification failed" not in done.stdout and done.returncode == 0, f"{where}: {done}")
        r.stop()
        r.check()


def separate_metadata():
    with tempfile.TemporaryDirectory(prefix="csnap-test-") as name:
        d = pathlib.Path(name)
        data, meta, origin = (make_file(d / n, 64 << 20) for n in ("data", "meta", "origin"))
        expect_failure(1, "named twice", "format", data, "--metadata", data, "--origin", f"vol={origin}")
        expect_done("format", data, "--metadata", meta, "--origin", f"vol={origin}")
        expect_failure(1, "--metadata", "check", data)
        expect_done("check", data, "--metadata", meta)


def verbs_against_a_server():
    with Rig(volumes=("vol", "vol2"), size=(8 << 20) + 4096) as r:
        r.start_server()
        server = ["--server", r.endpoints[0]]
        expect(json.loads(expect_done(*server, "list", "--json").stdout) == [], "an empty list")
        expect("no snapshots" in expect_done(*server, "list").stdout, "an empty list for people")
        created = expect_done(*server, "create", "vol@a", "vol2@a", "--priority", "-3", "--json").stdout
        made = json.loads(created)
        expect(made["number"] == 1, f"create: {made}")
        expect_done(*server, "create", "vol@b")
        both = json.loads(expect_done(*server, "list", "--json").stdout)
        expect([(s["volume"], s["snapshot"], s["number"]) for s in both] ==
               [("vol", "a", 1), ("vol", "b", 2), ("vol2", "a", 1)], f"list: {both}")
        expect(both[0]["priority"] == -3 and both[0]["size"] == (8 << 20) + 4096, f"{both[0]}")
        expect(both[0]["state"] == "live", f"{both[0]}")
        expect(both[0]["created"] == made["created"] > 1_600_000_000_000, f"{both[0]}")
        one = json.loads(expect_done("list", "vol2", "--json", *server).stdout)
        expect(len(one) == 1 and one[0]["volume"] == "vol2", f"list vol2: {one}")
        expect(json.loads(expect_done(*server, "diff", "vol@a", "vol@b", "--json").stdout) == [], "diff")
        expect_done(*server, "rename", "vol@a", "vol@c")
        expect_done(*server, "rename", "vol@c", "d")
        expect_failure(1, "", *server, "create", "vol@d")
        expect_failure(1, "", *server, "create", "none@d")
        expect_failure(1, "", *server, "delete", "vol@a")
        expect_failure(1, "", *server, "list", "none")
        expect_failure(1, "1 before it", *server, "delete", "vol@d", "vol@nothing")
        expect_done(*server, "set", "vol@b", "--priority", "-7")
        held = json.loads(expect_done(*server, "hold", "vol@b", "backup", "--json").stdout)
        expect(held == {"snapshot": "vol@b", "held_by": "backup"}, f"hold: {held}")
        expect_failure(1, "held by 'backup' already", *server, "hold", "vol@b", "backup")
        expect_failure(1, "held by 'backup'", *server, "delete", "vol@b")
        b = [s for s in json.loads(expect_done(*server, "list", "vol", "--json").stdout) if s["snapshot"] == "b"][0]
        expect((b["priority"], b["holds"]) == (-7, ["backup"]), f"list: {b}")
        expect_failure(1, "not held by 'other'", *server, "release", "vol@b", "other")
        expect_done(*server, "release", "vol@b", "backup")
        expect_done(*server, "set", "vol2", "--full", "origin-first")
        policies = [v["when_full"] for v in json.loads(expect_done(*server, "status", "--json").stdout)["volumes"]]
        expect(policies == ["error", "origin-first"], f"status: {policies}")
        expect_failure(1, "no volume", *server, "set", "none", "--full", "error")
        expect("was not enlarged" in expect_done(*server, "resize").stdout, "resize of what is as before")
        table = expect_done(*server, "list").stdout
        expect("vol@b" in table and "vol@d" not in table, f"list after delete: {table}")

        status = json.loads(expect_done(*server, "status", "--json").stdout)
        for key in ("volumes", "snapshots", "exceptions", "store", "term", "epoch", "sessions", "reaper",
                    "role", "address", "conditions", "uptime"):
            expect(key in status, f"status has no {key}")
        for key in ("total", "free", "reserved", "metadata", "chunk_size", "uuid", "device"):
            expect(key in status["store"], f"status.store has no {key}")
        expect((status["role"], status["address"], status["epoch"]) == ("master", r.endpoints[0], 2),
               f"{status}")
        volumes = [(v["name"], v["snapshots"]) for v in status["volumes"]]
        expect(volumes == [("vol", 1), ("vol2", 1)], f"{status}")
        expect("vol2" in expect_done(*server, "status").stdout, "status for people")
        expect(json.loads(expect_done(*server, "sessions", "--json").stdout) == [], "sessions")
        r.stop()
        r.check()


if __name__ == "__main__":
    run([wrong_usage_is_exit_2, help_and_version, no_server_answers, format_refuses,
         format_refuses_what_a_server_runs_on, check_and_dump, repair, dump_and_restore,
         separate_metadata, verbs_against_a_server])
