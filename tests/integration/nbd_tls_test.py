# SPDX-License-Identifier: BSD-3-Clause
"""nbdkit's own TLS in front of the plugin, as the user guide tells: with certificates of both sides, and with a
pre-shared key. Whoever has neither gets nothing; what was said is in nbdkit's log, and the volume is not hurt."""
import os
import pathlib
import secrets
import socket as socket_module
import subprocess
import threading

import nbd

from rig import CHUNK, SLOWNESS, Failure, Rig, expect, nbdkit_environment, run, wait_for

OLD, NEW = b"\x11" * CHUNK, b"\x22" * CHUNK


# ---- identities ----
def openssl(*words):
    done = subprocess.run(["openssl", *map(str, words)], capture_output=True, text=True)
    expect(done.returncode == 0, f"openssl {words[0]}: {done.stderr}")


class Authority:
    """A certificate authority, and directories of certificates as nbdkit, libnbd and qemu want them."""

    def __init__(self, directory, name):
        self.directory = pathlib.Path(directory) / name
        self.directory.mkdir()
        self.key, self.certificate = self.directory / "key.pem", self.directory / "ca-cert.pem"
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", 2,
                "-subj", f"/CN={name}", "-addext", "basicConstraints=critical,CA:TRUE",
                "-addext", "keyUsage=critical,keyCertSign", "-keyout", self.key, "-out", self.certificate)

    def issue(self, who, role, days=1):
        """A directory for `who`; role: server or client. Negative days: it has ended."""
        home = self.directory / who
        home.mkdir()
        (home / "ca-cert.pem").write_bytes(self.certificate.read_bytes())
        key, request, extensions = home / f"{role}-key.pem", home / "request", home / "extensions"
        extensions.write_text(f"subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage={role}Auth\n"
                              "keyUsage=critical,digitalSignature\n")
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", f"/CN={who}",
                "-keyout", key, "-out", request)
        openssl("x509", "-req", "-in", request, "-CA", self.certificate, "-CAkey", self.key, "-CAcreateserial",
                "-days", days, "-extfile", extensions, "-out", home / f"{role}-cert.pem")
        return home


def psk_file(directory, name, *users):
    path = pathlib.Path(directory) / name
    path.write_text("".join(f"{user}:{secrets.token_hex(32)}\n" for user in users))
    path.chmod(0o600)
    return path


# ---- the server ----
def start(rig, *tls):
    """A server, a snapshot of OLD, and NEW in the volume; the port of an nbdkit that takes only TLS. It is TCP: over
    Unix sockets libnbd 1.14 does not look whose certificate it gets."""
    rig.start_server()
    plain = rig.start_plugin()
    h = rig.connect("vol", plain)
    h.pwrite(OLD, 0)
    rig.tool("create", "vol@s")
    h.pwrite(NEW, 0)
    rig.close_handles()
    for _ in range(5):      # somebody else may take the port first
        with socket_module.create_server(("127.0.0.1", 0)) as s:
            port = s.getsockname()[1]
        words = ["nbdkit", "-f", "-i", "127.0.0.1", "-p", port, "--tls=require", *tls, *rig.plugins[plain][2][4:]]
        process = rig.spawn(words, "tls.log", nbdkit_environment())
        if listens(process, port):
            rig.tls_nbdkit = process
            return port
    raise Failure(f"no nbdkit: {rig.log('tls.log')}")


def listens(process, port):
    """False: nbdkit ended. It is looked for itself: what answers on the port may be somebody else's."""
    def decided():
        if process.poll() is not None:
            return True
        mine = {os.readlink(fd) for fd in pathlib.Path(f"/proc/{process.pid}/fd").iterdir()}
        table = pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]
        return any(f"socket:[{fields[9]}]" in mine and fields[1].endswith(f":{port:04X}") and fields[3] == "0A"
                   for fields in map(str.split, table))
    wait_for(decided, 20, "nbdkit with TLS")
    return process.poll() is None


def address(port, export, user="", **arguments):
    words = "&".join(f"{name.replace('_', '-')}={value}" for name, value in arguments.items())
    return f"nbds://{user}{'@' if user else ''}localhost:{port}/{export}?{words}"


def connect(rig, port, export, **identity):
    h = nbd.NBD()
    h.add_meta_context("base:allocation")
    h.set_uri_allow_local_file(True)
    h.connect_uri(address(port, export, **identity))
    rig.handles.append(h)
    expect(h.get_tls_negotiated(), "no TLS")
    return h


def is_refused(what, action):
    try:
        action()
    except nbd.Error as e:
        print(f"  {what}: {e.string}")
        return
    raise Failure(f"{what} was let in")


def can_use(rig, port, **identity):
    """Reads, writes, sees what differs, and keeps what it flushed."""
    h = connect(rig, port, "vol", **identity)
    expect(bytes(h.pread(CHUNK, 0)) == NEW, "the volume")
    h.pwrite(OLD, 5 * CHUNK, nbd.CMD_FLAG_FUA)
    h.flush()
    expect(bytes(h.pread(CHUNK, 5 * CHUNK)) == OLD, "what was written")
    expect(h.can_multi_conn(), "multi-conn is not offered over TLS")
    expect(bytes(connect(rig, port, "vol@s", **identity).pread(CHUNK, 0)) == OLD, "the snapshot")


def end(rig):
    rig.close_handles()
    rig.tls_nbdkit.terminate()
    expect(rig.tls_nbdkit.wait(30 * SLOWNESS) == 0, "nbdkit with TLS did not end well")
    rig.stop()
    rig.check()


# ---- the cases ----
def certificates_of_both_sides():
    with Rig() as r:
        ours, other = Authority(r.dir, "ours"), Authority(r.dir, "other")
        server = ours.issue("server", "server")
        n = start(r, "--tls-verify-peer", f"--tls-certificates={server}")
        good = ours.issue("alice", "client")
        can_use(r, n, tls_certificates=good)
        nobody = r.dir / "nobody"
        nobody.mkdir()
        (nobody / "ca-cert.pem").write_bytes(ours.certificate.read_bytes())
        for what, home in (("no certificate", nobody),
                           ("a certificate that has ended", ours.issue("late", "client", -1)),
                           ("a certificate of another authority", other.issue("mallory", "client"))):
            if home.parent == other.directory:      # it believes our server: only the server can refuse it
                (home / "ca-cert.pem").write_bytes(ours.certificate.read_bytes())
            is_refused(what, lambda home=home: connect(r, n, "vol", tls_certificates=home).pread(CHUNK, 0))
        is_refused("a client that asks for plain NBD", lambda: nbd.NBD().connect_tcp("127.0.0.1", str(n)))
        stranger = ours.directory / "wary"
        stranger.mkdir()
        for name in ("client-cert.pem", "client-key.pem"):
            (stranger / name).write_bytes((good / name).read_bytes())
        (stranger / "ca-cert.pem").write_bytes(other.certificate.read_bytes())
        is_refused("a server whose authority the client does not know",
                   lambda: connect(r, n, "vol", tls_certificates=stranger))
        can_use(r, n, tls_certificates=good)
        end(r)


def a_shared_key():
    with Rig() as r:
        keys = psk_file(r.dir, "keys", "alice", "bob")
        n = start(r, f"--tls-psk={keys}")
        can_use(r, n, user="alice", tls_psk_file=keys)
        is_refused("a wrong key", lambda: connect(r, n, "vol", user="alice",
                                                  tls_psk_file=psk_file(r.dir, "guess", "alice")))
        is_refused("an unknown user", lambda: connect(r, n, "vol", user="eve",
                                                      tls_psk_file=psk_file(r.dir, "eve", "eve")))
        is_refused("a client that asks for plain NBD", lambda: nbd.NBD().connect_tcp("127.0.0.1", str(n)))
        can_use(r, n, user="bob", tls_psk_file=keys)
        end(r)


class StrippingProxy:
    """Between client and nbdkit: answers "TLS is not supported here", to see if the client goes on in the clear."""

    def __init__(self, upstream):
        self.upstream = upstream
        self.listener = socket_module.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]

    def serve_one(self):
        """Greets as nbdkit does and refuses the first option (NBD_OPT_STARTTLS) as unsupported."""
        client, _ = self.listener.accept()
        client.settimeout(20 * SLOWNESS)
        with client, socket_module.create_connection(("127.0.0.1", self.upstream)) as server:
            client.sendall(server.recv(18, socket_module.MSG_WAITALL))
            client.recv(4, socket_module.MSG_WAITALL)                   # its flags
            option = client.recv(16, socket_module.MSG_WAITALL)[8:12]
            reply = bytes.fromhex("0003e889045565a9") + option + bytes.fromhex("80000001") + bytes(4)
            client.sendall(reply)
            return option, client.recv(64)


def a_proxy_that_strips_tls_gets_no_data():
    with Rig() as r:
        keys = psk_file(r.dir, "keys", "alice")
        n = start(r, f"--tls-psk={keys}")
        proxy = StrippingProxy(n)
        h = nbd.NBD()
        h.set_uri_allow_local_file(True)
        h.aio_connect_uri(address(proxy.port, "vol", user="alice", tls_psk_file=keys))
        option, after = served_meanwhile(proxy, h)
        expect(option == bytes.fromhex("00000005"), f"the client began with option {option.hex()}")
        expect(after[8:12] in (b"", bytes.fromhex("00000002")), f"more than a goodbye in the clear: {after.hex()}")
        end(r)


def served_meanwhile(proxy, h):
    said = []
    thread = threading.Thread(target=lambda: said.append(proxy.serve_one()))
    thread.start()
    is_refused("a server without TLS", lambda: wait_for(lambda: h.poll(100) == -1 or h.aio_is_ready(), 20, "an end"))
    expect(not h.aio_is_ready(), "connected without TLS")
    thread.join(20 * SLOWNESS)
    expect(said, "the proxy saw no end of the connection")
    return said[0]


def stock_tools():
    """qemu-img and nbdcopy, each with its own way to name an identity."""
    with Rig() as r:
        authority = Authority(r.dir, "ours")
        n = start(r, "--tls-verify-peer", f"--tls-certificates={authority.issue('server', 'server')}")
        home, out = authority.issue("alice", "client"), r.dir / "copy"
        subprocess.run(["nbdcopy", address(n, "vol@s", tls_certificates=home), out], check=True, timeout=60 * SLOWNESS)
        expect(out.read_bytes()[:CHUNK] == OLD, "nbdcopy's copy")
        image = f"driver=nbd,server.type=inet,server.host=localhost,server.port={n},export=vol@s,tls-creds=tls0"
        subprocess.run(["qemu-img", "convert", "--object", f"tls-creds-x509,id=tls0,dir={home},endpoint=client",
                        "--image-opts", image, "-O", "raw", f"{out}2"], check=True, timeout=60 * SLOWNESS)
        expect(pathlib.Path(f"{out}2").read_bytes()[:CHUNK] == OLD, "qemu-img's copy")
        end(r)


if __name__ == "__main__":
    run([certificates_of_both_sides, a_shared_key, a_proxy_that_strips_tls_gets_no_data, stock_tools])
