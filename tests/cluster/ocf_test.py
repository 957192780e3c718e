# SPDX-License-Identifier: BSD-3-Clause
"""The OCF agent: each verb in each state of the server, as a promotable clone, as a primitive, as rgmanager drives it,
and from a shell; its metadata; ocf-tester and shellcheck. No cluster runs: the agent must do without."""
import os
import pathlib
import re
import signal
import subprocess
import xml.etree.ElementTree as xml

import cluster_lab
from rig import SERVER, SLOWNESS, TOOL, Failure, Rig, expect, run, wait_for

AGENT = cluster_lab.HERE.parent.parent / "agent/ocf/csnap"
OK, GENERIC, ARGS, UNIMPLEMENTED, INSTALLED, CONFIGURED, NOT_RUNNING, MASTER, FAILED_MASTER = 0, 1, 2, 3, 5, 6, 7, 8, 9
CLONE = {"OCF_RESKEY_CRM_meta_promotable": "true", "OCF_RESKEY_CRM_meta_promoted_max": "1"}


class Driven(Rig):
    """A store, and a server that only the agent starts and stops."""

    def __init__(self, **more):
        super().__init__(**more)
        self.control = f"{self.dir}/run/control"
        self.parameters = {"store": self.store, "listen": f"unix:{self.dir}/server.sock", "node": "0",
                           "control": self.control, "log": f"{self.dir}/agent.log", "server": str(SERVER),
                           "tool": str(TOOL), "inspect_seconds": "20"}
        self.endpoints = [f"unix:{self.dir}/server.sock"]
        self.at_end.append(self.kill_server)

    def environment(self, clone=False, level=0, path=True, **parameters):
        env = {"OCF_ROOT": "/usr/lib/ocf", "OCF_RESOURCE_INSTANCE": "test", "OCF_RESOURCE_TYPE": "csnap",
               "OCF_RA_VERSION_MAJOR": "1", "OCF_RA_VERSION_MINOR": "0", "OCF_CHECK_LEVEL": str(level),
               "OCF_RESKEY_CRM_meta_timeout": str(int(10000 * SLOWNESS)), "OCF_RESKEY_CRM_meta_interval": "10000"}
        if path:
            env["PATH"] = "/usr/sbin:/usr/bin:/sbin:/bin"
        env.update({k: v for k, v in os.environ.items() if k.endswith("SAN_OPTIONS")})
        env.update(CLONE if clone else {})
        env.update({f"OCF_RESKEY_{k}": v for k, v in {**self.parameters, **parameters}.items()})
        return env

    def agent(self, verb, env=None, seconds=90, **how):
        with subprocess.Popen([str(AGENT), verb], env=env or self.environment(**how), stdout=subprocess.PIPE, text=True,
                              stderr=subprocess.PIPE, start_new_session=True) as process:
            try:
                self.said = process.communicate(timeout=seconds * SLOWNESS)[1]
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)      # as a manager does: with what the agent has called
                raise
        return process.returncode

    def expect_code(self, verb, code, **how):
        got = self.agent(verb, **how)
        expect(got == code, f"{verb} {how}: {got}, not {code}: {self.said}")

    def server_pid(self):
        said = subprocess.run([TOOL, "pid", "--control", self.control], capture_output=True, text=True).stdout.strip()
        return int(said) if said.isdigit() else None

    def kill_server(self):
        pid = self.server_pid()
        if pid:
            os.kill(pid, signal.SIGKILL)
            wait_for(lambda: self.server_pid() is None, 20, "the server to be gone")


# ---- states of the server, each made from nothing ----

def absent(_):
    pass


def standby(r):
    r.expect_code("start", OK, clone=True)


def master(r):
    standby(r)
    r.expect_code("promote", OK, clone=True)


def killed(r):
    master(r)
    r.kill_server()


def stopped(r):
    master(r)
    os.kill(r.server_pid(), signal.SIGSTOP)


def without_store(r):
    standby(r)
    os.truncate(r.store, 4096)


# What each verb answers in each state, for a promotable clone. monitor and status have their three levels. Where WAITS
# stands the verb does not end: the manager's time limit is what ends it, as for any agent.
WAITS = -1
VERBS = {"start", "stop", "recover", "reload", "reload-agent", "promote", "demote", "notify", "monitor", "validate-all",
         "meta-data", "usage", "status"}
UNTOUCHED = {"notify": OK, "validate-all": OK, "meta-data": OK, "usage": OK}
NOTHING_RUNS = UNTOUCHED | {"monitor": (NOT_RUNNING,) * 3, "status": (NOT_RUNNING,) * 3, "start": OK, "stop": OK,
                            "recover": OK, "promote": NOT_RUNNING, "demote": NOT_RUNNING, "reload": GENERIC,
                            "reload-agent": GENERIC}
IT_RUNS = UNTOUCHED | {verb: OK for verb in ("start", "stop", "recover", "promote", "demote", "reload", "reload-agent")}
MATRIX = {
    absent: NOTHING_RUNS,
    standby: IT_RUNS | {"monitor": (OK,) * 3, "status": (OK,) * 3},
    master: IT_RUNS | {"monitor": (MASTER,) * 3, "status": (MASTER,) * 3},
    killed: NOTHING_RUNS,
    stopped: IT_RUNS | {"monitor": (GENERIC,) * 3, "status": (GENERIC,) * 3, "start": WAITS, "promote": WAITS},
    without_store: IT_RUNS | {"monitor": (OK, GENERIC, GENERIC), "status": (OK, GENERIC, GENERIC), "promote": GENERIC,
                              "recover": GENERIC},
}
CHANGING = {"start", "stop", "recover", "promote", "demote"}
# Schemas of the metadata, and what each lacks of the standard, or forbids though the standard has it.
SCHEMAS = {
    "/usr/share/pcs/data/ocf-1.0.rng": "<!DOCTYPE[^>]*>",       # the standard, more strictly read than by other tools
    "/usr/share/resource-agents/metadata.rng": r"<!DOCTYPE[^>]*>|<special.*</special>| role=\"\w+\"",
}
RUNS_AFTER = {"start", "recover", "demote"}


def answer_is_right(r, state, verb, code, level=0):
    if code == WAITS:
        try:
            got = r.agent(verb, clone=True, seconds=3)
            raise Failure(f"{state.__name__} {verb}: {got}, and it should not have ended: {r.said}")
        except subprocess.TimeoutExpired:
            return
    r.expect_code(verb, code, clone=True, level=level)
    expect(code in (OK, NOT_RUNNING, MASTER) or verb in ("reload", "reload-agent", "migrate_to")
           or "ocf-exit-reason:" in r.said, f"{state.__name__} {verb}: no reason: {r.said}")


def verb_by_state():
    for state, answers in MATRIX.items():
        expect(set(answers) == VERBS, f"{state.__name__}: {set(answers) ^ VERBS}")
        with Driven() as r:         # these change nothing: one after the other
            state(r)
            before = r.server_pid()
            for verb in sorted(VERBS - CHANGING):
                for level, code in enumerate(answers[verb] if isinstance(answers[verb], tuple) else (answers[verb],)):
                    answer_is_right(r, state, verb, code, 10 * level)
            r.expect_code("migrate_to", UNIMPLEMENTED, clone=True)
            expect(r.server_pid() == before, f"{state.__name__}: another server: {r.server_pid()}, not {before}")
        for verb in sorted(CHANGING):
            with Driven() as r:
                state(r)
                answer_is_right(r, state, verb, answers[verb])
                if verb == "stop":
                    expect(r.server_pid() is None, f"{state.__name__} stop: the server lives")
                elif verb in RUNS_AFTER and answers[verb] == OK and state is not without_store:
                    r.expect_code("monitor", MASTER if (state, verb) == (master, "start") else OK, clone=True)
        print(f"  {state.__name__}: {len(answers)} verbs", flush=True)


def damage_leaves(path):
    """Flips a byte in every leaf of the index of exceptions (docs/format.md, section 2); how many there were."""
    found = 0
    with open(path, "r+b") as f:
        for block in range(os.path.getsize(path) // 4096):
            f.seek(block * 4096)
            header = f.read(64)
            if header[:6] == b"CSN1\x04\x00" and header[60:64] == bytes(4):
                f.seek(block * 4096 + 100)
                byte = f.read(1)[0]
                f.seek(block * 4096 + 100)
                f.write(bytes([byte ^ 1]))
                found += 1
    return found


def damage_is_found_by_level_20_alone():
    with Driven(size=4 << 20) as r:
        standby(r)
        r.expect_code("promote", OK, clone=True)
        r.start_plugin()
        h = r.connect("vol")
        r.tool("create", "vol@s")
        for chunk in range(64):
            h.pwrite(b"new", chunk * 65536)
        r.stop()
        r.expect_code("stop", OK, clone=True)       # all is in the index now, and in no cache
        r.expect_code("start", OK, clone=True)
        r.expect_code("promote", OK, clone=True)
        r.expect_code("monitor", MASTER, clone=True, level=20)
        leaves = damage_leaves(r.store)
        expect(leaves > 0, "no page of the index was found")
        r.expect_code("stop", OK, clone=True)
        r.expect_code("start", OK, clone=True)
        r.expect_code("promote", OK, clone=True)     # nothing needs that page yet
        r.expect_code("monitor", MASTER, clone=True, level=10)
        r.expect_code("monitor", FAILED_MASTER, clone=True, level=20)
        expect("not consistent" in r.said, f"the reason: {r.said}")


def parameters_and_programs_that_are_wrong():
    with Driven() as r:
        r.expect_code("validate-all", CONFIGURED, store="")
        r.expect_code("validate-all", ARGS, store="/nonexistent")
        r.expect_code("validate-all", INSTALLED, server="/nonexistent")
        r.expect_code("validate-all", OK, store="nbd+unix:///?socket=/nonexistent")
        r.expect_code("start", ARGS, store="/nonexistent", clone=True)
        r.expect_code("start", GENERIC, store=r.origins["vol"], clone=True)
        expect("csnap format" in r.said, f"the server's reason is not told: {r.said}")
        r.expect_code("stop", OK, store="/nonexistent", clone=True)
        # A probe on a node where nothing is installed, and a stop there.
        probe = r.environment(clone=True, tool="/nonexistent", server="/nonexistent")
        probe["OCF_RESKEY_CRM_meta_interval"] = "0"
        expect(r.agent("monitor", env=probe) == NOT_RUNNING, f"the probe: {r.said}")
        expect(r.agent("stop", env=probe) == OK, f"a stop where nothing is installed: {r.said}")


def as_rgmanager_and_from_a_shell():
    """Only start, stop, status and recover, no PATH, levels by OCF_CHECK_LEVEL; 0 or not 0."""
    with Driven() as r:
        def rg(verb, level=0):
            return r.agent(verb, level=level, path=False) == 0
        expect(not rg("status"), "status of nothing is good")
        expect(rg("start"), f"start: {r.said}")
        for level in (0, 10, 20):
            expect(rg("status", level), f"status at level {level}: {r.said}")
        r.tool("create", "vol@s")
        before = r.server_pid()
        os.kill(before, signal.SIGKILL)
        wait_for(lambda: r.server_pid() is None, 20, "the server to be gone")
        expect(not rg("status"), "status of a dead master is good")
        expect(rg("recover"), f"recover: {r.said}")
        expect(rg("status", 20) and r.server_pid() != before, "it came back")
        expect([s["snapshot"] for s in r.json("list")] == ["s"], "and is the master still")
        os.kill(r.server_pid(), signal.SIGSTOP)
        expect(not rg("status"), "status of a stopped server is good")
        expect(rg("recover") and rg("status", 10), f"recover of a stopped one: {r.said}")
        expect(rg("stop") and not rg("status"), f"stop: {r.said}")
        expect(rg("stop"), "a second stop")
        r.check()


def metadata_and_form():
    text = subprocess.run([str(AGENT), "meta-data"], capture_output=True, text=True, check=True,
                          env={"OCF_ROOT": "/usr/lib/ocf"}).stdout
    root = xml.fromstring(text)
    special = root.find("special")
    expect(special.get("tag") == "rgmanager" and special.find("attributes").get("maxinstances") == "1",
           "the extension for rgmanager")
    verbs = {a.get("name") for a in root.findall("actions/action")}
    wanted = {"start", "stop", "recover", "reload", "reload-agent", "promote", "demote", "notify", "monitor",
              "validate-all", "meta-data", "usage", "status"}
    expect(verbs == wanted, f"verbs: {verbs ^ wanted}")
    page = AGENT.with_name("ocf_csnap_csnap.pod").read_text()
    described = set(re.findall(r"B<([\w-]+)>", " ".join(re.findall(r"^=item (.*)$", page, re.M))))
    expect(described == wanted | {p.get("name") for p in root.findall("parameters/parameter")},
           f"the manual page describes {described}")
    depths = {a.get("depth") for a in root.findall("actions/action") if a.get("name") == "monitor"}
    expect(depths == {"0", "10", "20"}, f"levels {depths}")
    for action in root.findall("actions/action"):
        expect(re.fullmatch(r"\d+s", action.get("timeout")) is not None, "a timeout without a unit")
    for parameter in root.findall("parameters/parameter"):
        expect(parameter.find("longdesc").text and parameter.find("content").get("type"), parameter.get("name"))
    for schema, known in SCHEMAS.items():
        expect(os.path.exists(schema), f"{schema} is not there (scripts/install-packages cluster)")
        said = subprocess.run(["xmllint", "--noout", "--nonet", "--relaxng", schema, "-"], capture_output=True,
                              text=True, input=re.sub(known, "", text, flags=re.DOTALL))
        expect(said.returncode == 0, f"not valid by {schema}: {said.stderr}")
    expect(subprocess.run(["shellcheck", "-s", "sh", AGENT]).returncode == 0, "shellcheck")
    bashisms = subprocess.run(["dash", "-n", AGENT], capture_output=True, text=True)
    expect(bashisms.returncode == 0, bashisms.stderr)


def ocf_tester():
    """The DTD that ocf-tester uses lacks two things of the standard: reload-agent, and <special>."""
    dtd = pathlib.Path("/usr/share/resource-agents/ra-api-1.dtd")
    whole = dtd.read_text().replace("actions) >", "actions,special*) >").replace("|reload|", "|reload|reload-agent|")
    whole += ("\n<!ELEMENT special (attributes)>\n<!ATTLIST special tag CDATA #REQUIRED>\n<!ELEMENT attributes EMPTY>\n"
              "<!ATTLIST attributes maxinstances CDATA #IMPLIED>\n")
    corrected = cluster_lab.LAB / "ra-api-1.dtd"
    corrected.write_text(whole)
    cluster_lab.command("mount", "--bind", corrected, dtd)
    for clone in (False, True):
        with Driven() as r:
            env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "OCF_ROOT": "/usr/lib/ocf", **(CLONE if clone else {})}
            options = [f for k, v in r.parameters.items() for f in ("-o", f"{k}={v}")]
            done = subprocess.run(["ocf-tester", "-n", "test", *options, AGENT], env=env, capture_output=True,
                                  text=True, timeout=300 * SLOWNESS)
            expect(done.returncode == 0, f"ocf-tester (clone: {clone}): {done.stdout}{done.stderr}")


if __name__ == "__main__":
    cluster_lab.enter({"ocf-tester": "resource-agents", "xmllint": "libxml2-utils", "shellcheck": "shellcheck"})
    run([metadata_and_form, parameters_and_programs_that_are_wrong, verb_by_state, as_rgmanager_and_from_a_shell,
         damage_is_found_by_level_20_alone, ocf_tester])
