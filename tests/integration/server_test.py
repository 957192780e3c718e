# SPDX-License-Identifier: BSD-3-Clause
"""The server process: starting, stopping, standing by, taking over, and peers that misbehave."""
import os
import pathlib
import signal
import socket
import stat
import subprocess
import time

from rig import SERVER, SLOWNESS, Rig, expect, run, wait_for


def path_of(endpoint):
    return endpoint.removeprefix("unix:")


def connect(endpoint):
    s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    s.settimeout(10)
    s.connect(path_of(endpoint))
    return s


def seconds_until_closed(s):
    begin = time.monotonic()
    try:
        while s.recv(4096):
            pass
    except ConnectionResetError:
        pass
    return time.monotonic() - begin


def refused(args, code, words):
    done = subprocess.run([SERVER, *map(str, args)], capture_output=True, text=True, timeout=60 * SLOWNESS)
    lines = done.stderr.splitlines()
    expect(done.returncode == code, f"{args}: exit {done.returncode}, not {code}: {done.stderr}")
    expect(lines and words in lines[-1], f"{args}: {words!r} is not in {done.stderr!r}")


def what_it_refuses_to_start_with():
    with Rig() as r:
        here = f"unix:{r.dir}/x.sock"
        refused(["--store", r.store], 2, "--listen")
        refused(["--listen", here], 2, "--store")
        refused(["--store", r.store, "--listen", "tls:localhost:7000"], 2, "tls")
        refused(["--store", r.store, "--listen", here, "--election", "etcd"], 2, "file, pacemaker or corosync")
        refused(["--store", r.store, "--listen", here, "--election", "pacemaker"], 1, "--control")
        refused(["--store", r.store, "--listen", here, "--cache", "lots"], 2, "size")
        refused(["--store", r.store, "--listen", "tcp:192.0.2.1:7000"], 1, "loopback only until TLS")
        refused(["--store", r.origins["vol"], "--listen", here], 1, "csnap format")
        refused(["--store", r.store, "--listen", here, "--node", "99"], 1, "--node")
        refused(["--store", r.store, "--listen", here, "--lock", f"{r.dir}/lock"], 1, "--lock")
        refused(["--store", "nbd+unix:///?socket=/nonexistent", "--listen", here], 1, "")
        refused(["--store", r.store, "--listen", f"unix:{r.dir}/{'x' * 120}"], 2, "longer")
        refused(["--store", r.store, "--listen", f"unix:{r.store}"], 1, "no socket")


def it_starts_serves_and_stops_cleanly():
    with Rig() as r:
        server = r.start_server()
        where = pathlib.Path(path_of(r.endpoints[0]))
        expect(stat.S_IMODE(where.stat().st_mode) == 0o600, "the socket's mode is not 0600")
        refused(["--store", r.store, "--listen", r.endpoints[0]], 1, "another server answers there")
        expect(where.exists(), "the second server removed the first one's socket")
        r.tool("create", "vol@s")
        expect(r.kill(server, signal.SIGTERM) == 0, "the exit status after SIGTERM")
        expect(not where.exists(), "the socket file was left")
        expect(r.check()["snapshots"] == 1, "the snapshot is not in the store")
        r.restart_server()
        expect([s["snapshot"] for s in r.json("list")] == ["s"], "the list after a restart")
        r.stop()


def a_stale_socket_is_replaced_and_nothing_acknowledged_is_lost():
    with Rig() as r:
        for i in range(5):
            server = r.start_server() if i == 0 else r.restart_server()
            r.tool("create", f"vol@s{i}")
            r.kill(server)
            expect(pathlib.Path(path_of(r.endpoints[0])).exists(), "kill -9 should leave the socket file")
        r.restart_server()
        expect([s["snapshot"] for s in r.json("list")] == [f"s{i}" for i in range(5)], "one is missing")
        r.stop()
        r.check()


def tcp_on_loopback():
    with Rig() as r:
        probe = socket.socket()
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        r.start_server(listen=f"tcp:127.0.0.1:{port}")
        expect(r.json("status")["address"] == f"tcp:127.0.0.1:{port}", "the address")
        r.stop()


def a_standby_names_the_master_and_takes_over():
    with Rig() as r:
        first = r.start_server()
        r.tool("create", "vol@before")
        standby_address = f"unix:{r.dir}/standby.sock"
        standby = r.spawn([SERVER, "--store", r.store, "--listen", standby_address], "standby.log")
        wait_for(pathlib.Path(path_of(standby_address)).exists, 10, "the standby's socket")
        master_address = r.endpoints[0]
        r.endpoints[:] = [standby_address]   # the tool knows the standby only, and is led to the master
        expect(r.json("status")["address"] == master_address, "the standby leads nowhere")
        term = r.json("status")["term"]
        r.kill(first)
        begin = time.monotonic()
        status = r.json("status")
        seconds = time.monotonic() - begin
        print(f"  taken over after {seconds:.3f} s")
        expect(status["address"] == standby_address, f"{status}")
        expect(int(status["term"].split(".")[0]) > int(term.split(".")[0]), f"{status['term']} after {term}")
        expect(seconds < 2 * SLOWNESS, f"the takeover took {seconds:.2f} s")   # 0.5 s on a machine that is not busy
        r.tool("create", "vol@after")
        expect([s["snapshot"] for s in r.json("list")] == ["before", "after"], "the list after the takeover")
        expect(r.kill(standby, signal.SIGTERM) == 0, "the standby's exit status")
        r.check()


def a_standby_stops_without_touching_the_store():
    with Rig() as r:
        r.start_server()
        standby_address = f"unix:{r.dir}/standby.sock"
        standby = r.spawn([SERVER, "--store", r.store, "--listen", standby_address], "standby.log")
        wait_for(pathlib.Path(path_of(standby_address)).exists, 10, "the standby's socket")
        term = r.json("status")["term"]
        expect(r.kill(standby, signal.SIGTERM) == 0, "the standby's exit status")
        expect(r.json("status")["term"] == term, "the master's term changed")
        r.stop()


def garbage_closes_only_that_connection():
    with Rig() as r:
        r.start_server()
        others = [connect(r.endpoints[0]) for _ in range(3)]
        bad = connect(r.endpoints[0])
        bad.sendall(os.urandom(200))
        expect(seconds_until_closed(bad) < 5 * SLOWNESS, "the connection stayed open")
        # A frame's header that promises more than a frame may have: nothing is allocated for it.
        bad = connect(r.endpoints[0])
        bad.sendall(b"CSNP\x01\x00\x01\x00" + (0x7fffffff).to_bytes(4, "little") + bytes(28))
        expect(seconds_until_closed(bad) < 5 * SLOWNESS, "the connection stayed open")
        for s in others:
            s.setblocking(False)
            try:
                expect(s.recv(1) is None, "another connection was closed")
            except BlockingIOError:
                pass
        r.tool("create", "vol@s")
        closed = [line for line in r.log("server0.log").splitlines() if "closed:" in line]
        expect(len(closed) == 2, f"not one line for each: {closed}")
        for _ in range(100):
            bad = connect(r.endpoints[0])
            bad.sendall(b"x" * 50)
            bad.close()
        r.tool("status")
        closed = [line for line in r.log("server0.log").splitlines() if "closed:" in line]
        expect(len(closed) <= 25, f"the log was flooded: {len(closed)} lines")
        r.stop()


def deadlines_for_silence_and_slow_frames():
    with Rig(server_args=["--handshake-deadline-ms", "600", "--frame-deadline-ms", "400"]) as r:
        r.start_server()
        silent = connect(r.endpoints[0])
        expect(0.3 < seconds_until_closed(silent) < 5 * SLOWNESS, "a silent connection's end")
        slow = connect(r.endpoints[0])
        begin = time.monotonic()
        try:
            for byte in b"CSNP\x01\x00\x01\x00" + (60).to_bytes(4, "little") + bytes(60):
                slow.sendall(bytes([byte]))
                time.sleep(0.05)
        except OSError:
            pass
        expect(0.3 < time.monotonic() - begin < 2.5 * SLOWNESS, "a frame byte by byte was not cut off")
        expect("no hello in time" in r.log("server0.log"), "the reason is not in the log")
        r.tool("create", "vol@s")
        r.stop()


def a_store_on_nbd_needs_a_lock_file_and_a_failed_write_ends_the_server():
    with Rig() as r:
        trigger, listen = r.dir / "fail", f"unix:{r.dir}/s.sock"
        r.spawn(["nbdkit", "-f", "-U", r.dir / "store.sock", "--filter=error", "memory", "64M",
                 "error-pwrite=EIO", "error-pwrite-rate=100%", f"error-pwrite-file={trigger}"], "store.log")
        wait_for((r.dir / "store.sock").exists, 10, "nbdkit")
        r.store = f"nbd+unix:///?socket={r.dir}/store.sock"
        r.tool("format", r.store, "--origin", f"vol={r.origins['vol']}", server=False)
        refused(["--store", r.store, "--listen", listen], 1, "--lock")
        args = [SERVER, "--store", r.store, "--listen", listen, "--lock", r.dir / "lock"]
        r.endpoints.append(listen)
        server = r.spawn(args, "server.log")
        r.tool("create", "vol@kept")
        trigger.touch()
        expect(r.try_tool("create", "vol@lost", timeout=2)[0] == 1, "a create succeeded that was not written")
        expect(server.wait(timeout=30 * SLOWNESS) == 1, f"the exit status is {server.returncode}")
        expect("failed" in r.log("server.log").splitlines()[-1], "the reason is not in the log")
        trigger.unlink()
        server = r.spawn(args, "server.log")
        expect([s["snapshot"] for s in r.json("list")] == ["kept"], "the list after the failure")
        expect(r.kill(server, signal.SIGTERM) == 0, "the exit status")
        r.check()


def too_many_connections_are_refused_and_the_old_kept():
    with Rig(server_args=["--connections-max", "4"]) as r:
        r.start_server()
        time.sleep(0.2)                      # the tool's own connection has ended
        held = [connect(r.endpoints[0]) for _ in range(4)]
        time.sleep(0.2)
        extra = connect(r.endpoints[0])
        expect(seconds_until_closed(extra) < 2 * SLOWNESS, "one too many was not refused")
        held[0].setblocking(False)
        try:
            expect(held[0].recv(1) is None, "an old connection was closed")
        except BlockingIOError:
            pass
        for s in held:
            s.close()
        wait_for(lambda: r.try_tool("status", timeout=1)[0] == 0, 10, "room for new connections")
        r.stop()


if __name__ == "__main__":
    run([what_it_refuses_to_start_with, it_starts_serves_and_stops_cleanly,
         a_stale_socket_is_replaced_and_nothing_acknowledged_is_lost, tcp_on_loopback,
         a_standby_names_the_master_and_takes_over, a_standby_stops_without_touching_the_store,
         garbage_closes_only_that_connection, deadlines_for_silence_and_slow_frames,
         a_store_on_nbd_needs_a_lock_file_and_a_failed_write_ends_the_server,
         too_many_connections_are_refused_and_the_old_kept])
