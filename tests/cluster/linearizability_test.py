# SPDX-License-Identifier: BSD-3-Clause
"""The judge of histories (linearizability.py) by itself: histories that cannot be are found, those that can be are not,
and on all kinds of small ones it says what a search of all orders says."""
import itertools
import random

from linearizability import ALWAYS, NEVER, Operation, complaint

INITIAL = 0


def write(value, called, returned):
    return Operation(True, value, called, returned, "a")


def read(value, called, returned):
    return Operation(False, value, called, returned, "b")


PLANTED = {
    "a read of what was overwritten before it was called": [write(1, 0, 1), write(2, 2, 3), read(1, 4, 5)],
    "a read of the beginning after a write": [write(1, 0, 1), read(INITIAL, 2, 3)],
    "back to an older value": [write(1, 0, 9), write(2, 0, 9), read(1, 1, 2), read(2, 3, 4), read(1, 5, 6)],
    "two readers who disagree about the order of two writes": [
        write(1, 0, 1), write(2, 0, 1), read(1, 2, 3), read(2, 4, 5), read(1, 6, 7)],
    "a write that took effect after it was answered, and after another": [
        write(1, 0, 1), write(2, 2, 3), read(1, 2, 4), read(1, 5, 6)],
    "a lost write": [write(1, 0, 1), write(2, 2, 3), write(3, 0, 10), read(3, 2, 4), read(1, 5, 6)],
    "a value that nobody wrote": [write(1, 0, 1), read(7, 2, 3)],
    "a read of what was not called for yet": [read(1, 0, 1), write(1, 2, 3)],
    "an unanswered write that came back": [write(1, 0, NEVER), read(1, 1, 2), write(2, 3, 4), read(2, 5, 6),
                                           read(1, 7, 8)],
}
POSSIBLE = {
    "nothing": [],
    "one after the other": [write(1, 0, 1), read(1, 2, 3), write(2, 4, 5), read(2, 6, 7)],
    "a read of either side of a write beside it": [write(1, 0, 1), write(2, 2, 9), read(1, 3, 4), read(2, 5, 6)],
    "an unanswered write that took effect late": [write(1, 0, NEVER), write(2, 1, 2), read(2, 3, 4), read(1, 5, 6)],
    "an unanswered write that never took effect": [write(1, 0, NEVER), read(INITIAL, 5, 6)],
    "an unanswered read": [write(1, 0, 1), read(INITIAL, 2, NEVER)],
}


def some_order_fits(operations):
    """By trying all orders, and all choices of unanswered writes that took effect."""
    answered = [o for o in operations if o.returned != NEVER]
    pending = [o for o in operations if o.returned == NEVER and o.is_write]
    for count in range(len(pending) + 1):
        for chosen in itertools.combinations(pending, count):
            if any(fits(order) for order in itertools.permutations(answered + list(chosen))):
                return True
    return False


def fits(order):
    value, latest_call = INITIAL, ALWAYS
    for o in order:
        if o.returned < latest_call:        # it had returned before one in front of it was called
            return False
        latest_call = max(latest_call, o.called)
        if o.is_write:
            value = o.value
        elif o.value != value:
            return False
    return True


def random_history(rng):
    out, values = [], [INITIAL]
    for _ in range(rng.randint(1, 5)):
        called = rng.randint(0, 12)
        returned = NEVER if rng.random() < 0.1 else called + rng.randint(1, 6)
        if rng.random() < 0.5:
            values.append(len(values))
            out.append(Operation(True, values[-1], called, returned + 0.5))
        else:
            out.append(Operation(False, rng.choice([*values, len(values)]), called, returned + 0.5))
    return out


def main():
    for what, history in PLANTED.items():
        assert complaint(history, INITIAL), f"not found: {what}"
        assert not some_order_fits(history), f"the example is possible: {what}"
    for what, history in POSSIBLE.items():
        assert complaint(history, INITIAL) is None, f"{what}: {complaint(history, INITIAL)}"
    rng, counts = random.Random(1), {True: 0, False: 0}
    for _ in range(20000):
        history = random_history(rng)
        possible = some_order_fits(history)
        counts[possible] += 1
        assert possible == (complaint(history, INITIAL) is None), f"{history}: {complaint(history, INITIAL)}"
    print(f"{len(PLANTED)} planted histories found; {counts[True]} random ones are possible, {counts[False]} are not, "
          "and the judge agrees")


if __name__ == "__main__":
    main()
