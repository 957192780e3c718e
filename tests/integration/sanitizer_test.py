# SPDX-License-Identifier: BSD-3-Clause
"""In a build with sanitizers: what they report in a server or in nbdkit fails the test, also if the process is killed
at once. (A report is provoked by a signal that stands for a bad access.)"""
import signal

from rig import Failure, Rig, expect, run, wait_for


def expect_noticed(process_of):
    try:
        with Rig() as r:
            r.start_server()
            r.start_plugin()
            process = process_of(r)
            process.send_signal(signal.SIGSEGV)
            wait_for(lambda: "SEGV" in r.sanitizer_reports(), 10, "a report")
            r.kill(process)
    except Failure as e:
        expect("sanitizer" in str(e), f"another failure: {e}")
        return
    raise Failure("nothing was noticed")


def a_report_of_nbdkit_is_noticed():
    expect_noticed(lambda r: r.plugins[0][0])


def a_report_of_the_server_is_noticed():
    expect_noticed(lambda r: r.servers[0][0])


if __name__ == "__main__":
    run([a_report_of_nbdkit_is_noticed, a_report_of_the_server_is_noticed])
