# The script ends, one way or another, while threads block in calls.
# SPDX-License-Identifier: MIT

import _thread
import select
import socket
import sys
import time


def start(function, *args):
    def run():
        print("came back with", function(*args))

    _thread.start_new_thread(run, ())


listener = socket.socket()
listener.bind(("127.0.0.1", 0))
listener.listen(5)
a = socket.socket()
a.connect(listener.getsockname())
b, _ = listener.accept()
datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
poll = select.poll()
poll.register(b, select.POLLIN)
start(listener.accept)
start(a.recv, 10)
start(datagrams.recvfrom, 10)
start(poll.poll)
start(select.select, [a], [], [])
start(socket.getaddrinfo, "slow.example.org", 80)
time.sleep_ms(200)
print("leaves")
if sys.argv[1] == "raise":
    raise RuntimeError("on purpose")
if sys.argv[1] == "exit":
    sys.exit(7)
