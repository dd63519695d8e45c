# Option 20: a function that is called when a socket becomes readable.
# SPDX-License-Identifier: MIT

import gc
import socket
import time

from checks import end, fails, same, true

SOL_SOCKET = socket.SOL_SOCKET
seen = []


def wait_for(condition):
    for _ in range(200):
        if condition():
            return
        time.sleep_ms(10)


def data(s):
    seen.append(s.recv(3))


def connection(s):
    seen.append(s.accept()[0])


listener = socket.socket()
listener.bind(("127.0.0.1", 0))
listener.listen(5)
same(listener.setsockopt(SOL_SOCKET, 20, connection), None, "set")
a = socket.socket()
a.connect(listener.getsockname())
wait_for(lambda: seen)
b = seen.pop()
true(isinstance(b, socket.socket), "accepted by the callback")
b.setsockopt(SOL_SOCKET, 20, data)
gc.collect()
a.send(b"abc")
wait_for(lambda: seen)
same(seen, [b"abc"], "while the script sleeps")
seen.clear()
a.send(b"abcdef")
wait_for(lambda: len(seen) == 2)
same(seen, [b"abc", b"def"], "again for what was left")
seen.clear()
time.sleep_ms(50)
same(seen, [], "not for nothing")
# While the main thread blocks in a call of another socket.
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
u.settimeout(0.3)
a.send(b"xyz")
fails(110, u.recv, 1)
same(seen, [b"xyz"], "while another call blocks")
seen.clear()
b.setsockopt(SOL_SOCKET, 20, None)
a.send(b"abc")
time.sleep_ms(100)
same(seen, [], "no more")
b.setsockopt(SOL_SOCKET, 20, data)
wait_for(lambda: seen)
same(seen, [b"abc"], "what waits already")
seen.clear()
a.close()
wait_for(lambda: seen)
time.sleep_ms(50)
same(seen, [b""], "the end, once")
b.close()
listener.close()
# An int or bytes there is SO_RCVTIMEO.
span = (1).to_bytes(8, "little") + bytes(8)
u.setsockopt(SOL_SOCKET, 20, span)
same(u.getsockopt(SOL_SOCKET, 20, 16), span, "SO_RCVTIMEO")
end()
