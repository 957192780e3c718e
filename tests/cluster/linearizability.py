# SPDX-License-Identifier: BSD-3-Clause
"""Were the reads and writes of a register, which several clients did at once, as if each had happened at one instant
between its call and its return?

Every value is written once, so a read says which write it saw, and the question has a quick answer (P. Gibbons,
E. Korach: Testing shared memories, 1997). A value's write and its reads are a cluster. If its first return is before
its last call, the register held the value all that time (a forward zone); else all its operations have the time from
its last call to its first return in common (a backward zone). The history is linearizable if and only if no read
returned before its write was called, no two forward zones overlap, and no backward zone lies within a forward one.
"""
import math
from typing import NamedTuple

NEVER = math.inf            # the return of what was not answered: it may take effect at any time, or not at all
ALWAYS = -math.inf          # when what the register first held was written


class Operation(NamedTuple):
    is_write: bool
    value: int
    called: float
    returned: float
    who: str = ""

    def __str__(self):
        what = "write" if self.is_write else "read"
        return f"{what} of {self.value:#x} by {self.who} from {self.called} to {self.returned}"


class Zone:
    def __init__(self, operations):
        self.operations = operations
        self.first_return = min(o.returned for o in operations)
        self.last_call = max(o.called for o in operations)
        self.is_forward = self.first_return < self.last_call
        self.begin, self.end = sorted((self.first_return, self.last_call))

    def __str__(self):
        """The operations that make its bounds."""
        bounds = {min(self.operations, key=lambda o: o.returned), max(self.operations, key=lambda o: o.called)}
        return "; ".join(map(str, sorted(bounds, key=lambda o: o.called)))


def clusters(operations, initial):
    """({value: its operations, the write first}, or a complaint)."""
    found = {initial: [Operation(True, initial, ALWAYS, ALWAYS, "the beginning")]}
    for o in operations:
        if o.is_write:
            if o.value in found:
                raise ValueError(f"written twice, so this history cannot be judged: {o}")
            found[o.value] = [o]
    for o in operations:
        if o.is_write or o.returned == NEVER:
            continue
        if o.value not in found:
            return None, f"nobody wrote what was read: {o}"
        if o.returned < found[o.value][0].called:
            return None, f"read before it was written: {o}; {found[o.value][0]}"
        found[o.value].append(o)
    return found, None


def complaint(operations, initial):
    """One line about one register's history that cannot be, or None if it can."""
    found, wrong = clusters(operations, initial)
    if wrong:
        return wrong
    # A write that was neither answered nor read may as well never have happened.
    zones = [Zone(c) for c in found.values() if len(c) > 1 or c[0].returned != NEVER]
    forward = sorted((z for z in zones if z.is_forward), key=lambda z: z.begin)
    for one, next_one in zip(forward, forward[1:]):
        if next_one.begin < one.end:
            return f"two values at one time: {one} -- and -- {next_one}"
    for inner in sorted((z for z in zones if not z.is_forward), key=lambda z: z.begin):
        while forward and forward[0].end < inner.begin:
            forward.pop(0)
        if forward and forward[0].begin < inner.begin and inner.end < forward[0].end:
            return f"a value in the midst of another: {inner} -- within -- {forward[0]}"
    return None
