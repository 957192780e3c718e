# SPDX-License-Identifier: BSD-3-Clause
"""The configurations of docs/cluster-guide.md, both the crm and the pcs ones, word for word: the tools take them, the
result passes crm_verify, and the scheduler places the master where the rules say. On a CIB file: no cluster runs."""
import os
import pathlib
import re
import shlex
import xml.etree.ElementTree as xml

import cluster_lab
from rig import Failure, expect, run

TOP = cluster_lab.HERE.parent.parent
NODES = ("n1", "n2", "n9")
# What a fence agent of the guide's name would say of itself; those of real hardware are in packages of their own.
FENCE_AGENT = """#!/bin/sh
cat <<END
<?xml version="1.0" ?>
<resource-agent name="fence_ipmilan" shortdesc="stands in for the real one">
<longdesc>of a test</longdesc><vendor-url>none</vendor-url><parameters>
PARAMETERS
</parameters><actions><action name="off"/><action name="reboot"/><action name="monitor"/><action name="status"/>
<action name="metadata"/></actions></resource-agent>
END
"""
PARAMETER = ('<parameter name="{}" unique="0" required="0"><content type="string"/><shortdesc lang="en">{}</shortdesc>'
             "</parameter>")


def commands(tool):
    guide = (TOP / "docs/cluster-guide.md").read_text()
    part = guide[guide.index("\n## Configure\n"):guide.index("\n## Without Pacemaker\n")]
    found = re.findall(rf"^    ({tool} (?:.*\\\n)*.*)$", part, re.M)
    return [shlex.split(c.replace("\\\n", " "), comments=True) for c in found]


def empty_configuration(path):
    path.write_text(cluster_lab.command("cibadmin", "--empty").stdout.replace(
        "<nodes/>", "<nodes>" + "".join(f'<node id="{n[1:]}" uname="{n}"/>' for n in NODES) + "</nodes>"))


def stand_in_for_the_fence_agent():
    folder = cluster_lab.LAB / "fence"
    folder.mkdir()
    names = ("ip", "username", "password", "lanplus", "pcmk_host_list", "pcmk_delay_base")
    agent = folder / "fence_ipmilan"
    agent.write_text(FENCE_AGENT.replace("PARAMETERS", "\n".join(PARAMETER.format(n, n) for n in names)))
    agent.chmod(0o755)
    cluster_lab.command("mount", "-t", "overlay", "-o", f"lowerdir={folder}:/usr/sbin", "fence", "/usr/sbin")


def with_all_nodes_up(path):
    """The same with a status: all nodes there, members of the guide's second domain, and with the agents' scores."""
    states = "".join(
        f'<node_state id="{n[1:]}" uname="{n}" in_ccm="true" crmd="online" join="member" expected="member">'
        f'<transient_attributes id="{n[1:]}"><instance_attributes id="s-{n}"><nvpair id="p-{n}" name="master-csnap" '
        f'value="10"/></instance_attributes></transient_attributes></node_state>' for n in NODES)
    text = path.read_text().replace("<cib ", '<cib have-quorum="1" ', 1)
    for n in NODES:
        text = text.replace(f'uname="{n}"/>', f'uname="{n}"><instance_attributes id="a-{n}"><nvpair id="d-{n}" '
                            f'name="csnap-domain" value="yes"/></instance_attributes></node>')
    running = path.with_suffix(".running.xml")
    running.write_text(re.sub(r"<status\s*/>|<status>\s*</status>", f"<status>{states}</status>", text))
    return running


def type_in(*words):
    """The tools give an agent some seconds to describe itself, which a busy machine may need for its start."""
    for _ in range(4):
        done = cluster_lab.command(*words, check=False, timeout=300)
        if done.returncode == 0:
            return
        if not re.search("does not provide valid metadata|no such resource agent", done.stderr):
            break
    raise Failure(f"{words}: {done.stdout}{done.stderr}")


def tried(tool):
    os.environ["HOME"] = str(cluster_lab.LAB / "tmp")
    path = cluster_lab.LAB / f"{tool}.xml"
    empty_configuration(path)
    typed = commands(tool)
    expect(len(typed) >= 6, f"the guide has {len(typed)} commands for {tool} only")
    for words in typed:
        if tool == "pcs":
            type_in("pcs", "-f", path, *words[1:])
        else:
            type_in("env", f"CIB_file={path}", *words)
    running = with_all_nodes_up(path)
    verified = cluster_lab.command("crm_verify", "--xml-file", running, "--verbose", "--verbose", check=False)
    expect(verified.returncode == 0 and not verified.stderr.strip(), f"crm_verify: {verified.stderr}")
    root = xml.fromstring(path.read_text())
    meta = {v.get("name"): v.get("value") for v in root.findall(".//clone/meta_attributes/nvpair")}
    expect(meta.get("promotable") == "true" and meta.get("promoted-max") == "1", f"the clone: {meta}")
    levels = sorted(v.get("value") for v in root.findall(".//op/instance_attributes/nvpair"))
    expect(levels == ["10", "20"], f"check levels {levels}")
    fenced = {p.get("id") for p in root.findall(".//primitive") if p.get("class") == "stonith"}
    expect(len(fenced) >= 2, f"fence devices: {fenced}")
    said = cluster_lab.command("crm_simulate", "--xml-file", running, "--simulate").stdout
    masters = re.findall(r"Promoted: \[ (.*) \]", said)
    expect(masters == ["n1"], f"the scheduler promotes {masters}: {said}")
    return root


def rules_of(root):
    return sorted((r.get("role") or "", r.get("score"), *(e.get(k) or "" for e in r for k in ("attribute", "operation",
                                                                                              "value")))
                  for r in root.findall(".//rule"))


def crm_and_pcs_say_the_same():
    stand_in_for_the_fence_agent()
    crm, pcs = tried("crm"), tried("pcs")
    expect(rules_of(crm) == rules_of(pcs), f"crm: {rules_of(crm)}; pcs: {rules_of(pcs)}")
    for root in (crm, pcs):
        together = root.find(".//rsc_colocation")
        expect((together.get("rsc"), together.get("with-rsc"), together.get("with-rsc-role"), together.get("score")) ==
               ("nbd-address", "csnap-clone", "Promoted", "INFINITY"), f"{together.attrib}")


if __name__ == "__main__":
    cluster_lab.enter({"crm": "crmsh", "pcs": "pcs", "crm_verify": "pacemaker-cli-utils", "cibadmin":
                       "pacemaker-cli-utils", "crm_simulate": "pacemaker-cli-utils"})
    cluster_lab.install_agent("csnap", pathlib.Path(TOP) / "agent/ocf")
    run([crm_and_pcs_say_the_same])
