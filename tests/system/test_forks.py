#!/usr/bin/python3
# Unmodified programs that fork while other threads use their sockets.
# SPDX-License-Identifier: MIT
"""As test_preload.py: the same script runs natively, where its output is the
truth, and in an empty network namespace over a link."""

from harness import main, test
from preloaded import both

FREED = "165"  # what freed memory is filled with, so that nobody can use it


@test
def streams_that_sleep():
    """Threads sleep in connect, send and receive while their stream changes hands:
    every byte arrives, once."""
    both(
        """
        import os, random, socket, threading
        DATA = random.Random(7).randbytes(200000)
        l = socket.create_server(("127.0.0.1", 0))
        def fork():
            if os.fork() == 0: os._exit(0)
        def connect(c):
            try: c.connect(l.getsockname())
            except BlockingIOError: pass
        def send(s):
            s.sendall(DATA); s.shutdown(socket.SHUT_WR)
        def send_pieces(s):
            assert s.sendmsg([DATA[:7], DATA[7:]]) == len(DATA); s.shutdown(socket.SHUT_WR)
        def receive(s, got):
            while d := s.recv(3000): got += d
        def receive_all(s, got): got += s.recv(len(DATA), socket.MSG_WAITALL)
        good = 0
        for i in range(50):
            c = socket.socket(); c.setblocking(i % 3 < 2)
            t = threading.Thread(target=connect, args=(c,)); t.start()
            if i % 2: fork()
            s = l.accept()[0]; t.join(); c.setblocking(True)
            assert c.getpeername() == s.getsockname()
            got = bytearray(), bytearray()
            t = [threading.Thread(target=f, args=a) for f, a in ((send, (c,)),
                (send_pieces, (s,)), (receive, (s, got[0])), (receive_all, (c, got[1])))]
            for x in t: x.start()
            fork()
            for x in t: x.join()
            os.wait(); i % 2 and os.wait()
            good += (got[0] == DATA) + (got[1] == DATA)
            if [*got] != [DATA, DATA]: print(i, len(got[0]), len(got[1]))
            c.close(); s.close()
        print(good)
        """
    )


@test
def names_beside_closing():
    """A descriptor is closed while other threads ask for its names."""
    both(
        """
        import os, socket, threading
        l = socket.create_server(("127.0.0.1", 0))
        c = socket.create_connection(l.getsockname()); s = l.accept()[0]
        names = set(); odd = []; seen = threading.Event(); done = []
        fd = os.dup2(c.fileno(), 100); view = socket.socket(2, 1, 6, fileno=fd)
        os.close(fd)
        def ask(name):
            while not done:
                try: it = name()
                except OSError: continue
                if it not in names: odd.append(it)
                seen.set()
        t = [threading.Thread(target=ask, args=(f,))
             for f in (view.getsockname, view.getpeername)]
        for x in t: x.start()
        for i in range(25):
            c = socket.create_connection(l.getsockname()); s = l.accept()[0]
            names.add(c.getsockname()); names.add(c.getpeername())
            if os.fork() == 0: os._exit(0)
            os.wait(); seen.clear(); os.dup2(c.fileno(), fd)
            assert seen.wait(20)
            c.close(); os.close(fd); s.close()
        done.append(1)
        for x in t: x.join()
        view.detach(); print(odd[:3])
        """,
        MALLOC_PERTURB_=FREED,
    )


if __name__ == "__main__":
    main()
