# Prints what the module and its objects have, for the runner to compare.
# SPDX-License-Identifier: MIT

import socket

for name in sorted(dir(socket)):
    value = getattr(socket, name)
    if isinstance(value, bool) or not isinstance(value, int):
        print("other", name)
    else:
        print("constant", name, value)

for name in sorted(dir(socket.socket)):
    print("method", name)

import usocket

print("usocket", usocket is socket, hasattr(socket, "error"))
