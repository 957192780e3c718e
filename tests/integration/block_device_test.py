# SPDX-License-Identifier: BSD-3-Clause
"""Real block devices, which the plugin and the server open with O_DIRECT: with sectors of 512 and of 4096 bytes.

Needs root and loop devices; is skipped without.
"""
import os
import random
import subprocess

from blackbox_test import BlackBox
from loop_devices import devices, in_mounts_of_our_own, mount, need_root, unmount
from rig import BUILD, PLUGIN, SLOWNESS, Rig, expect, nbdkit_environment, run

SIZE = 4 << 20


def raw_content(device):
    """What is on the device itself, past any page cache of ours."""
    done = subprocess.run(["dd", f"if={device}", "bs=1M", "iflag=direct"], capture_output=True, check=True,
                          timeout=60 * SLOWNESS)
    return done.stdout


def a_life_on_devices(sector, nodes=2, unit=None):
    """Random operations on two nodes; kill -9 of everything at once; then all of it reads as before. Nodes write
    whole sectors: of two that write parts of one sector at once the device itself keeps only one's."""
    unit = unit or sector
    with devices(SIZE, 96 << 20, sector=sector) as (origin, store):
        with Rig(size=SIZE, origin_device=origin, store_device=store) as r:
            r.start_server()
            for _ in range(nodes):
                r.start_plugin()
            box = BlackBox(r, nodes, random.Random(sector), unit, trims=unit >= sector)
            for _ in range(40):
                box.step()
            r.tool("create", "vol@last")
            box.model.snapshots["last"] = (bytes(box.model.origin), {})
            box.model.order.append("last")
            for process in [p[0] for p in r.plugins] + [r.servers[0][0]]:
                r.kill(process)
            expect(raw_content(origin) == bytes(box.model.origin), "the origin device itself is not the volume")
            r.check()
            r.restart_server()
            for node in range(nodes):
                r.restart_plugin(node)
            box.readers.clear()
            box.handles = [r.connect("vol", node) for node in range(nodes)]
            box.verify_all()
            for _ in range(10):
                box.step()
            box.verify_all()
            box.readers.clear()
            box.handles.clear()
            r.stop()
            r.check()


def a_life_on_devices_with_sectors_of_512_bytes():
    a_life_on_devices(512)


def a_life_on_devices_with_sectors_of_4096_bytes():
    a_life_on_devices(4096)


def one_node_may_write_parts_of_sectors():
    """Within one nbdkit, neighbours in a sector do not hurt each other."""
    a_life_on_devices(4096, nodes=1, unit=512)


def unit_cases_on_devices():
    for sector in (512, 4096):
        with devices(1 << 20, sector=sector) as (device,):
            done = subprocess.run([BUILD / "tests/unit/device/device_test", "[.block]"], capture_output=True,
                                  text=True, timeout=120 * SLOWNESS,
                                  env={**os.environ, "CSNAP_TEST_BLOCK_DEVICE": device})
            expect(done.returncode == 0 and "All tests passed" in done.stdout, f"{sector}: {done.stdout}{done.stderr}")


def devices_in_use_are_refused():
    """A mounted store would be destroyed; a mounted origin would be written by two at once."""
    need_root("mounting")
    with devices(32 << 20, 64 << 20) as (used, store):
        subprocess.run(["mkfs.ext4", "-q", used], check=True)
        with Rig(origin_device=used, store_device=store) as r:
            r.start_server()
            mounted = r.dir / "mounted"
            mounted.mkdir()
            mount(used, mounted)
            try:
                code, _, err = r.try_tool("format", used, "--origin", f"vol={store}", "--force", server=False)
                expect(code == 1 and "mounted on" in err, f"format of a mounted store: exit {code}: {err}")
                done = subprocess.run(["nbdkit", "-f", "-U", r.dir / "x.sock", PLUGIN, "server=" + r.endpoints[0],
                                       f"store={store}", "--run", "nbdinfo $uri"], capture_output=True, text=True,
                                      timeout=60 * SLOWNESS, env=nbdkit_environment())
                expect(done.returncode != 0, "a mounted origin was served")
                expect("mounted on" in done.stderr, f"the reason: {done.stderr}")
            finally:
                unmount(mounted)
            r.start_plugin()
            r.stop()


if __name__ == "__main__":
    in_mounts_of_our_own()
    run([unit_cases_on_devices, a_life_on_devices_with_sectors_of_512_bytes,
         a_life_on_devices_with_sectors_of_4096_bytes, one_node_may_write_parts_of_sectors, devices_in_use_are_refused])
