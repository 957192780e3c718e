# SPDX-License-Identifier: BSD-3-Clause
"""What "meson install" puts where, and that it works from there."""
import json
import os
import pathlib
import subprocess
import tempfile

import rig
from rig import BUILD, SLOWNESS, Rig, Skip, expect, nbdkit_environment, run

SOURCE = pathlib.Path(__file__).resolve().parent.parent.parent


def call(*args, env=None):
    done = subprocess.run([str(a) for a in args], capture_output=True, text=True, timeout=120 * SLOWNESS, env=env)
    expect(done.returncode == 0, f"{' '.join(map(str, args))}: exit {done.returncode}: {done.stderr}{done.stdout}")
    return done.stdout


def plugin_directory():
    return call("pkg-config", "--variable=plugindir", "nbdkit").strip()


def name_of(target):
    """The resource agent has the name of the tool, and two files of systemd have one name."""
    path = pathlib.Path(target)
    if path.parent.name in ("sysusers.d", "tmpfiles.d"):
        return f"{path.parent.name}/{path.name}"
    return f"ocf/{path.name}" if "resource.d" in target else path.name


def installed_into(directory):
    """Copies the installed files into a directory, as a packager does; nothing is built."""
    plan = json.loads(call("meson", "introspect", "--installed", BUILD))
    missing = [source for source in plan if not os.path.exists(source)]
    if missing:
        raise Skip(f"not everything is built: {missing}")
    call("meson", "install", "-C", BUILD, "--no-rebuild", "--quiet", "--destdir", directory)
    return {name_of(target): pathlib.Path(directory) / target.lstrip("/") for target in plan.values()}


def what_is_installed_works():
    with tempfile.TemporaryDirectory(prefix="csnap-install-") as name:
        files = installed_into(name)
        expect(set(files) >= {"csnap", "csnap-metaserver", "nbdkit-csnap-plugin.so", "nbdkit-csnap-plugin.1"},
               f"installed: {sorted(files)}")
        found = {p for p in pathlib.Path(name).rglob("*") if p.is_file()}
        expect(found == set(files.values()), f"files that were not to be installed: {found - set(files.values())}")
        plugin = files["nbdkit-csnap-plugin.so"]
        expect(plugin.parent == pathlib.Path(name) / plugin_directory().lstrip("/"),
               f"nbdkit does not look for plugins in {plugin.parent}")
        about = dict(line.split("=", 1) for line in
                     call("nbdkit", plugin, "--dump-plugin", env=nbdkit_environment()).splitlines() if "=" in line)
        expect(about["name"] == "csnap" and about["max_thread_model"] == "parallel", f"--dump-plugin: {about}")
        version = call(files["csnap"], "--version").split()[-1]
        expect(about["version"] == version and call(files["csnap-metaserver"], "--version").split()[-1] == version,
               f"three versions: {about['version']}, {version}")
        expect(files["ocf/csnap"] == pathlib.Path(name) / "usr/lib/ocf/resource.d/csnap/csnap", "the resource agent")
        manual = files["nbdkit-csnap-plugin.1"].read_text()
        expect(manual.startswith(".\\\"") and "nbdkit-csnap-plugin" in manual, "the manual page")
        # From where they are, with nothing of the build directory: a whole life.
        built = rig.SERVER, rig.TOOL, rig.PLUGIN
        rig.SERVER, rig.TOOL, rig.PLUGIN = files["csnap-metaserver"], files["csnap"], plugin
        try:
            with Rig() as r:
                r.start_server()
                r.start_plugin()
                r.connect("vol").pwrite(b"x" * 512, 0)
                r.tool("create", "vol@s")
                r.stop()
                r.check()
        finally:
            rig.SERVER, rig.TOOL, rig.PLUGIN = built


def a_prefix_moves_programs_and_manual_but_not_the_plugin():
    """nbdkit looks for plugins in one directory only."""
    with tempfile.TemporaryDirectory(prefix="csnap-install-") as name:
        call("meson", "setup", name, SOURCE, "--prefix=/opt/csnap")
        plan = json.loads(call("meson", "introspect", "--installed", name))
        targets = {name_of(t): str(pathlib.Path(t).parent) for t in plan.values()}
        expect(targets["csnap"] == targets["csnap-metaserver"] == "/opt/csnap/bin", f"{targets}")
        expect(targets["nbdkit-csnap-plugin.1"] == "/opt/csnap/share/man/man1", f"{targets}")
        expect(targets["nbdkit-csnap-plugin.so"] == plugin_directory(), f"{targets}")


if __name__ == "__main__":
    run([what_is_installed_works, a_prefix_moves_programs_and_manual_but_not_the_plugin])
