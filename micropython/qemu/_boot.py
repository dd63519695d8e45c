# A file system in memory, filled with what the host gave.
# SPDX-License-Identifier: MIT
import vfs
import _farsock


def directories(name):
    import os

    at = name.find("/", 1)
    while at > 0:
        try:
            os.mkdir(name[:at])
        except OSError:
            pass
        at = name.find("/", at + 1)


def unpack():
    i = 0
    while True:
        given = _farsock.given(i)
        if given is None:
            return
        name, data = given
        if name[0] == "/":
            directories(name)
            with open(name, "wb") as f:
                f.write(data)
        i += 1


vfs.VfsFat.mkfs(_farsock.disk)
vfs.mount(_farsock.disk, "/")
unpack()
