"""Waiting for a condition: the only way in which these tests let time pass."""

import time

POLL_S = 0.02


def wait_until(condition, timeout_s, what):
    """Returns the condition's first true value. `what` completes "waited in vain for …"; it may be a function."""
    deadline = time.monotonic() + timeout_s
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {timeout_s} s in vain for {what() if callable(what) else what}")
        time.sleep(POLL_S)
    return value
