# SPDX-License-Identifier: BSD-3-Clause
"""nbdkit's filters over the plugin, as its man page tells: D4 and D5 of docs/architecture.md are shown here, and that
they end at the filter: neither the volume nor a snapshot is hurt."""
import contextlib
import subprocess

import nbd

from rig import CHUNK, SLOWNESS, Rig, expect, nbdkit_environment, run

OLD, NEW, OVERLAY = b"\x11" * CHUNK, b"\x22" * CHUNK, b"\x33" * CHUNK


@contextlib.contextmanager
def filtered(rig, *filters, extra=()):
    """The number of an nbdkit with these filters over the plugin."""
    number = rig.start_plugin(filters=[f"--filter={f}" for f in filters], extra=extra)
    yield number
    rig.close_handles()


def prepared(rig):
    rig.start_server()
    rig.start_plugin()
    h = rig.connect("vol")
    h.pwrite(OLD, 0)
    rig.tool("create", "vol@s")
    h.pwrite(NEW, 0)


def expect_untouched(rig):
    expect(bytes(rig.connect("vol", 0).pread(CHUNK, 0)) == NEW, "the volume changed")
    expect(bytes(rig.connect("vol@s", 0).pread(CHUNK, 0)) == OLD, "the snapshot changed")


def d5_one_overlay_of_the_cow_filter_serves_all_exports():
    with Rig() as r:
        prepared(r)
        with filtered(r, "cow") as n:
            r.connect("vol", n).pwrite(OVERLAY, 0)
            mixed = bytes(r.connect("vol@s", n).pread(CHUNK, 0))
            # If this fails nbdkit has mended the filter, and the man page's warning can name a version.
            expect(mixed == OVERLAY, "this nbdkit keeps an overlay for each export")
        expect_untouched(r)
        r.stop()
        r.check()


def d5_one_cache_of_the_cache_filter_serves_all_exports():
    with Rig() as r:
        prepared(r)
        with filtered(r, "cache", extra=["cache=writeback", "cache-on-read=true"]) as n:
            expect(bytes(r.connect("vol", n).pread(CHUNK, 0)) == NEW, "the volume through the cache")
            mixed = bytes(r.connect("vol@s", n).pread(CHUNK, 0))
            expect(mixed == NEW, "this nbdkit keeps a cache for each export")
        expect_untouched(r)
        r.stop()
        r.check()


def d5_one_cache_of_the_cacheextents_filter_serves_all_exports():
    def extents(handle):
        found = []
        handle.block_status(4 * CHUNK, 0, lambda _m, _o, entries, _e: found.extend(entries) or 0)
        return found
    with Rig() as r:
        prepared(r)
        r.tool("create", "vol@t")
        r.connect("vol", 0).pwrite(NEW, 2 * CHUNK)
        r.tool("create", "vol@u")
        plain = extents(r.connect("vol@t..u", 0)), extents(r.connect("vol@s..t", 0))
        expect(plain[0] != plain[1], "the differences should differ")
        with filtered(r, "cacheextents") as n:
            first, second = extents(r.connect("vol@t..u", n)), extents(r.connect("vol@s..t", n))
            expect(first[:2] == second[:2] and second != plain[1], "this nbdkit keeps extents for each export")
        r.stop()
        r.check()


def the_exportname_filter_makes_these_filters_safe():
    with Rig() as r:
        prepared(r)
        for name, extra in (("cow", []), ("cache", ["cache-on-read=true"]), ("cacheextents", [])):
            only = ["exportname-strict=true", "exportname=vol@s", *extra]
            with filtered(r, name, "exportname", extra=only) as n:
                expect(bytes(r.connect("vol@s", n).pread(CHUNK, 0)) == OLD, f"{name}: the snapshot")
                for other in ("vol", "vol@t", ""):
                    try:
                        r.connect(other, n)
                    except nbd.Error:
                        continue
                    expect(False, f"{name}: export {other!r} could be opened too")
        expect_untouched(r)
        r.stop()
        r.check()


def d4_the_blocksize_filter_hurts_at_most_its_own_nbdkit():
    """CVE-2025-47712: block status near 4 GiB overflows in the filter. nbdkit may end, or answer with an error."""
    size = 5 << 30
    with Rig(size=size, store=256 << 20) as r:
        prepared(r)
        number = r.start_plugin(filters=["--filter=blocksize"], extra=["minblock=64k"])
        h = r.connect("vol", number)
        answer = "an answer"
        try:
            h.block_status(0xffffffff, 65535, lambda *_: 0)
        except nbd.Error as e:
            answer = f"an error: {e}"
        process = r.plugins[number][0]
        print(f"  block status through the filter gave {answer}; nbdkit's status is {process.poll()}")
        r.close_handles()
        r.kill(process)
        del r.plugins[number]                       # its exit status is the filter's
        expect_untouched(r)
        # The server knows that it is dead; nobody waits for it.
        r.tool("create", "vol@after")
        r.stop()
        r.check()


def filters_that_only_pass_on_are_safe():
    """Some that people do use with it."""
    with Rig() as r:
        prepared(r)
        for filters in (["noextents"], ["log"], ["stats"], ["readahead"], ["retry"]):
            extra = {"log": [f"logfile={r.dir}/io.txt"], "stats": [f"statsfile={r.dir}/stats.txt"]}.get(filters[0], [])
            with filtered(r, *filters, extra=extra) as n:
                expect(bytes(r.connect("vol", n).pread(CHUNK, 0)) == NEW, f"{filters}: the volume")
                expect(bytes(r.connect("vol@s", n).pread(CHUNK, 0)) == OLD, f"{filters}: the snapshot")
        expect_untouched(r)
        listed = subprocess.run(["nbdinfo", "--list", r.uri("", 0)], capture_output=True, text=True,
                                timeout=60 * SLOWNESS, env=nbdkit_environment())
        expect(listed.returncode == 0, f"nbdinfo: {listed.stderr}")
        r.stop()
        r.check()


if __name__ == "__main__":
    run([d5_one_overlay_of_the_cow_filter_serves_all_exports, d5_one_cache_of_the_cache_filter_serves_all_exports,
         d5_one_cache_of_the_cacheextents_filter_serves_all_exports, the_exportname_filter_makes_these_filters_safe,
         d4_the_blocksize_filter_hurts_at_most_its_own_nbdkit, filters_that_only_pass_on_are_safe])
