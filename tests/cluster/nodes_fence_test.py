# SPDX-License-Identifier: BSD-3-Clause
"""The fence command of a site: a node that writes is cut off, and goes on running. Nobody sees its processes (they are
in a pid namespace of their own), so only the command, or an administrator's word, can say that it writes no more."""
import json
import os
import signal
import subprocess
import time

from nodes_load import Load
from nodes_rig import Nodes, run
from rig import SLOWNESS, TOOL, expect, wait_for

FENCE = """#!/bin/sh
# What the site wants it to do stands in a file beside it. Success means that nbdkit of the node is no more.
here=$(dirname "$0")
echo "$#:$*" >>"$here/fence-calls"
case $(cat "$here/fence-does") in
  fail) exit 1 ;;
  hang) exec sleep 1000 ;;
  wait) while [ "$(cat "$here/fence-does")" = wait ]; do sleep 0.05; done ;;
esac
kill -KILL "$(cat "$here/$1.pid")"
while kill -0 "$(cat "$here/$1.pid")" 2>/dev/null; do sleep 0.05; done
"""


class Site:
    """Three nodes that write; n3 is cut off."""

    def __init__(self, n, does):
        self.n = n
        (n.dir / "fence").write_text(FENCE)
        (n.dir / "fence").chmod(0o755)
        self.fence_does(does)
        n.start_agents()
        n.start_node_server(1, "--fence", n.dir / "fence", "--control", n.dir / "control")
        plugins = [n.start_node_plugin(node, hidden=True) for node in (1, 2, 3)]
        (n.dir / "n3.pid").write_text(str(n.nbdkit_of(2)))
        self.load = Load(n, plugins)
        self.load.goes_on()
        self.load.create("before", 1)
        self.load.goes_on()
        n.cut(3)

    def fence_does(self, what):
        (self.n.dir / "fence-does").write_text(what)

    def calls(self):
        path = self.n.dir / "fence-calls"
        return path.read_text().splitlines() if path.exists() else []

    def wait_for_call(self):
        wait_for(self.calls, 20, "the fence command to be run")
        expect(set(self.calls()) == {"1:n3"}, f"it was called with {self.calls()}")

    def word(self, node):
        done = subprocess.run([str(TOOL), "fence-confirm", node, "--control", str(self.n.dir / "control")],
                              capture_output=True, text=True, timeout=60 * SLOWNESS)
        return done.returncode, done.stderr.strip()

    def session(self):
        return next((s for s in json.loads(self.n.tool_on(1, "sessions", "--json")) if s["node"] == "n3"), None)

    def nothing_is_given_away(self, name):
        """Neither a snapshot without the node's word, nor what was reserved for it."""
        code, _, err = self.n.try_on(1, "create", f"vol@{name}")
        expect(code == 1 and "n3" in err, f"a create without proof for n3: exit {code}: {err}")
        session = self.session()
        expect(session is not None and session["chunks_reserved"] > 0, f"given away: {session}")

    def goes_on_without_n3(self):
        """Its chunks are free, and so are creates."""
        wait_for(lambda: self.session() is None, 20, "the end of n3's session")
        self.load.create("after", 2)
        self.load.goes_on((0, 1))

    def end(self):
        self.load.ending.set()
        self.n.kill(self.n.plugins.pop()[0])
        self.load.writers[2].join(30)
        self.load.writers[2].failure = None         # its nbdkit was killed
        self.load.stop()
        for name in ("before", "after"):
            self.load.is_one_instant(name, 0)
        self.n.heal(3)
        self.n.close_handles()
        for number in (0, 1):       # `unshare` itself does not heed SIGTERM
            os.kill(self.n.nbdkit_of(number), signal.SIGTERM)
        self.n.stop_nodes()
        self.n.check()


def nodes():
    # The lease is long enough for a word that is given while it lasts, on a machine that is busy.
    return Nodes(format_args=("--lease-ms", "4000", "--barrier-ms", "1500"))


def a_command_that_succeeds():
    with nodes() as n:
        site = Site(n, "wait")
        code, _, err = n.try_on(1, "create", "vol@at-once")
        expect(code == 1 and "n3" in err, f"a create before n3 was fenced: exit {code}: {err}")
        site.wait_for_call()
        begin = time.monotonic()
        site.fence_does("succeed")
        site.goes_on_without_n3()
        print(f"  the create went on {time.monotonic() - begin:.1f} s after n3 could be fenced")
        expect(not os.path.exists(f"/proc/{(n.dir / 'n3.pid').read_text()}"), "n3's nbdkit lives")
        expect(len(site.calls()) == 1, f"calls: {site.calls()}")
        site.end()


def a_command_that_fails_and_a_word():
    with nodes() as n:
        site = Site(n, "fail")
        code, err = site.word("n3")
        expect(code == 1 and "n3" in err, f"a word while n3 has a lease: exit {code}: {err}")
        code, err = site.word("n9")
        expect(code == 1 and "n9" in err, f"a word for a node that is not there: exit {code}: {err}")
        site.wait_for_call()
        site.nothing_is_given_away("failed")
        said = n.tool_on(1, "status")
        expect("node n3 is silent" in said and "csnap fence-confirm n3" in said, f"status: {said}")
        expect("exit status 1" in n.log("server-n1.log"), "the log does not say how the command ended")
        expect(len(site.calls()) == 1, f"it was run again at once: {site.calls()}")
        os.kill(n.nbdkit_of(2), signal.SIGKILL)
        expect(site.word("n3") == (0, ""), "the word was not taken")
        site.goes_on_without_n3()
        site.end()


def a_command_that_hangs_and_a_word():
    with nodes() as n:
        site = Site(n, "hang")
        site.wait_for_call()
        site.nothing_is_given_away("hangs")
        site.load.goes_on((0, 1))
        os.kill(n.nbdkit_of(2), signal.SIGKILL)
        expect(site.word("n3") == (0, ""), "the word was not taken")
        site.goes_on_without_n3()
        expect(len(site.calls()) == 1, f"calls: {site.calls()}")
        site.end()


def a_node_that_comes_back_before_the_command_succeeds():
    """What had failed is not remembered against it: its session is the same, and its writes go on."""
    with nodes() as n:
        site = Site(n, "fail")
        before = site.session()["session"]
        site.wait_for_call()
        site.nothing_is_given_away("failed")
        n.heal(3)
        site.load.goes_on()
        site.load.create("after", 3)
        expect(site.session()["session"] == before, "another session")
        code, err = site.word("n3")
        expect(code == 1 and "has expired" in err, f"a word for a node that lives: exit {code}: {err}")
        site.load.goes_on()
        site.end()


if __name__ == "__main__":
    run([a_command_that_succeeds, a_command_that_fails_and_a_word, a_command_that_hangs_and_a_word,
         a_node_that_comes_back_before_the_command_succeeds])
