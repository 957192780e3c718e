# SPDX-License-Identifier: BSD-3-Clause
"""Real Pacemaker on three nodes, an nbdkit with a verifying load on each, and faults. After each: exactly one master,
all clients go on without an error, contents as the model has them, sectors that all nodes write linearizable, the store
whole. Cases are done in the order in which they are named; without names a part of them is, which has a fault of each
kind. scripts/soak-cluster does all of them again and again.

usage: pacemaker_test.py [--seed S] [CASE ...]
"""
import argparse
import time

import cluster_faults
import cluster_lab
from pacemaker_cluster import Cluster

SHORT = ["planned_move", "master_stopped_past_its_lease", "all_nbdkits_killed", "takeover_within_the_grace_of_another",
         "node_paused_and_continued", "node_dies_and_nothing_fences", "link_cut_inward"]


def main():
    faults = {f.__name__: f for f in cluster_faults.ALL}
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("cases", nargs="*", metavar="CASE")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.cases if name not in faults]
    if unknown:
        parser.error(f"no such case: {' '.join(unknown)}; there are {' '.join(faults)}")
    with Cluster(arguments.seed) as cluster:
        cluster.begin()
        for name in arguments.cases or SHORT:
            begin = time.monotonic()
            faults[name](cluster, cluster.rig.wait_for_one_master()[0])
            print(f"ok {name} ({time.monotonic() - begin:.1f} s)", flush=True)
        cluster.end()
        print("ok: " + cluster.rig.report())


if __name__ == "__main__":
    cluster_lab.enter(cluster_lab.PACEMAKER_PROGRAMS)
    main()
