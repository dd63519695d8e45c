# The hello and the welcome of a link's socket (farsock/posix.h), in Python.
# SPDX-License-Identifier: MIT

import array
import mmap
import os
import socket
import struct
from dataclasses import dataclass, field

from harness import PATIENCE_S, check, check_equal

MAGIC = 0x4F4C4548
VERSION = 1
LINK, SHOW, DUMP = 0, 1, 2
EIO, ENOMEM, EBUSY, EMFILE, EOPNOTSUPP, ELINKPROTO = 5, 12, 16, 24, 95, 201
HELLO = struct.Struct("<IHH6I32s")
WELCOME = struct.Struct("<IHHiIQI100s")
LAYOUT = struct.Struct("<16I")
PART_HEADER = 64  # bytes before the layout in far's part


def hello(kind=LINK, magic=MAGIC, version=VERSION, features=0, sockets=8, tags=0,
          tx_ring=0, rx_ring=0, index_base=0, name=b"test"):  # fmt: skip
    return HELLO.pack(
        magic, version, kind, features, sockets, tags, tx_ring, rx_ring, index_base, name
    )


@dataclass
class Welcome:
    version: int
    status: int
    features: int
    region_bytes: int
    far_at: int
    text: str
    fds: list = field(default_factory=list)


def connect(path):
    s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    s.connect(str(path))  # without a time limit it waits for a place in the queue
    s.settimeout(PATIENCE_S)
    return s


def welcome(s):
    """The answer, or None if the other side hung up."""
    room = socket.CMSG_SPACE(8 * 4)
    packet, control, _, _ = s.recvmsg(4096, room)
    fds = array.array("i")
    for _, _, data in control:
        fds.frombytes(data)
    if not packet:
        return None
    check_equal(len(packet), WELCOME.size, "bytes of the welcome")
    magic, version, _, status, features, size, far_at, text = WELCOME.unpack(packet)
    check_equal(magic, MAGIC, "magic of the welcome")
    text = text.split(b"\0")[0].decode()
    return Welcome(version, status, features, size, far_at, text, list(fds))


def refused(path, packet, status):
    """Say this, be refused with that; the text."""
    with connect(path) as s:
        s.send(packet)
        w = welcome(s)
        check(w is not None, "it hung up without an answer")
        check_equal(w.status, -status, w.text)
        check_equal(w.fds, [], "descriptors")
        check_equal(s.recv(1), b"", "after the refusal")
        check(w.text and "\n" not in w.text, repr(w.text))
        return w.text


class Near:
    """A link that makes no call. Without its own memory it is bare."""

    def __init__(self, path, **wishes):
        self.socket = connect(path)
        self.socket.send(hello(**wishes))
        self.welcome = welcome(self.socket)
        check(self.welcome is not None, "no welcome")
        check_equal(self.welcome.status, 0, self.welcome.text)
        check_equal(len(self.welcome.fds), 3, "descriptors")

    def layout(self):
        """As far published it: sockets, tags, tx_ring, rx_ring."""
        size = self.welcome.region_bytes
        with mmap.mmap(self.welcome.fds[0], size, prot=mmap.PROT_READ) as m:
            at = self.welcome.far_at * 64
            check_equal(m[at : at + 4], b"FASK", "magic of far's part")
            words = LAYOUT.unpack_from(m, at + PART_HEADER)
        check_equal((words[0] * 64, words[1] * 64), (size, at), "lines, far_at")
        return words[2], words[3], words[12], words[13]

    def ended(self):
        """Wait until farsockd hangs up."""
        check_equal(self.socket.recv(1), b"", "what farsockd sent")

    def close(self):
        self.socket.close()
        for fd in self.welcome.fds:
            os.close(fd)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def text_of(path, kind):
    """What show or dump prints."""
    with connect(path) as s:
        s.send(hello(kind))
        w = welcome(s)
        check_equal(w.status, 0, w.text)
        text = b""
        while packet := s.recv(65536):
            text += packet
        return text.decode()
