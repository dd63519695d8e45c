# Cases about a second or two, on a machine that may stand still as long.
# SPDX-License-Identifier: MIT
import functools
import threading
import time

from harness import Failed, diagnose

STILL_S = 0.3  # as long as this a thread that has nothing to do waits nowhere
TRIES = 10


class Watch:
    """How long this process stood still at most."""

    def __enter__(self):
        self.longest = 0
        self.end = threading.Event()
        self.thread = threading.Thread(target=self._look, daemon=True)
        self.thread.start()
        return self

    def _look(self):
        last = time.monotonic()
        while not self.end.wait(0.02):
            now = time.monotonic()
            self.longest = max(self.longest, now - last)
            last = now

    def __exit__(self, *error):
        self.end.set()
        self.thread.join()


def steadily(function):
    """Decorator: a case that is tried anew if it failed and the machine stood still
    meanwhile, which its times do not allow for."""

    @functools.wraps(function)
    def run():
        for left in reversed(range(TRIES)):
            with Watch() as watch:
                try:
                    return function()
                except Failed as e:
                    error = e
            if watch.longest < STILL_S or not left:
                raise error
            diagnose(f"the machine stood still for {watch.longest:.1f} s: {error}")
        return None

    return run
