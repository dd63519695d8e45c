#!/usr/bin/python3
# Many threads on one link.
# SPDX-License-Identifier: MIT

import selectors
import threading

from harness import LONG, SANITIZED, Far, check, main, program, test

ROUNDS = 3000 if LONG else 100 if SANITIZED else 600


class Echo:
    """A TCP and a UDP port that send back what comes, until left."""

    def __init__(self, net):
        self.tcp = net.listener()
        self.udp = net.udp()
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join()
        self.tcp.close()
        self.udp.close()

    def _serve(self):
        with selectors.DefaultSelector() as s:
            s.register(self.tcp, selectors.EVENT_READ, self._accept)
            s.register(self.udp, selectors.EVENT_READ, self._datagram)
            while not self.stop.is_set():
                for key, _ in s.select(0.1):
                    key.data(s, key.fileobj)

    def _accept(self, s, listener):
        peer = listener.accept()[0]
        s.register(peer, selectors.EVENT_READ, self._stream)

    @staticmethod
    def _datagram(_, sock):
        data, address = sock.recvfrom(65536)
        sock.sendto(data, address)

    @staticmethod
    def _stream(s, peer):
        try:
            data = peer.recv(65536)
            peer.settimeout(20)
            peer.sendall(data)
        except OSError:
            data = b""
        if not data:
            s.unregister(peer)
            peer.close()


def run(far):
    with Echo(far.net) as echo:
        ports = [s.getsockname()[1] for s in (echo.tcp, echo.udp)]
        near = far.near(program("threads"), *ports, ROUNDS)
        line = near.line(100)
        check(line and line.startswith("ok "), "said", line)
        near.end()


@test
def many_threads():
    """Threads that echo, churn, poll, look up and interrupt do not disturb."""
    with Far() as far:
        run(far)


@test
def many_threads_in_two_processes():
    """The same in two processes at the same time."""
    with Far() as far:
        both = [threading.Thread(target=run, args=(far,)) for _ in range(2)]
        for t in both:
            t.start()
        for t in both:
            t.join()
        check(far.dump() is not None)


if __name__ == "__main__":
    main()
