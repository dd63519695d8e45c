# Every name of the API once, against what is known without it.
# SPDX-License-Identifier: MIT

import errno
import select
import socket
import sys

from checks import end, fails, same, true

PEER = int(sys.argv[1])  # a native TCP echo
LOCAL = "127.0.0.1"
ENOTCONN, EISCONN, EDESTADDRREQ, EPIPE = 107, 106, 89, 32
EPROTONOSUPPORT, EAFNOSUPPORT, ENOPROTOOPT, EOPNOTSUPP = 93, 97, 92, 95
ECONNREFUSED, EADDRINUSE, EMSGSIZE = 111, 98, 90
EBADF, EINVAL, EAGAIN = errno.EBADF, errno.EINVAL, errno.EAGAIN


def pair(family=socket.AF_INET, host=LOCAL):
    listener = socket.socket(family)
    listener.bind((host, 0))
    listener.listen(1)
    near = socket.socket(family)
    near.connect(listener.getsockname())
    far, address = listener.accept()
    same(address, near.getsockname(), "accept's address")
    listener.close()
    return near, far


def udp(family=socket.AF_INET, host=LOCAL):
    s = socket.socket(family, socket.SOCK_DGRAM)
    s.bind((host, 0))
    return s


def constructor():
    for args, kwargs, want in (
        ((), {}, (2, 1)),
        ((socket.AF_INET6,), {}, (10, 1)),
        ((2, socket.SOCK_DGRAM), {}, (2, 2)),
        ((2, 1, 0), {}, (2, 1)),
        ((2, 1, socket.IPPROTO_TCP), {}, (2, 1)),
        ((2, 2, socket.IPPROTO_UDP), {}, (2, 2)),
        ((), {"family": 10, "type": 2}, (10, 2)),
        ((), {"af": 10, "type": 2, "proto": 17}, (10, 2)),
        ((2, 1, 0, None), {}, (2, 1)),
    ):
        with socket.socket(*args, **kwargs) as s:
            same((s.family, s.type), want, args)
            true(isinstance(s, socket.socket), "type")
    fails(EPROTONOSUPPORT, socket.socket, 2, 2, socket.IPPROTO_TCP)
    fails(EAFNOSUPPORT, socket.socket, 12345)
    fails(EAFNOSUPPORT, socket.socket, socket.AF_UNIX)
    fails(EINVAL, socket.socket, 2, 77)
    s = socket.socket()
    true(str(s).startswith("<socket fd=%d " % s.fileno()), s)
    s.close()


def addresses():
    s = socket.socket()
    same(s.getsockname(), ("0.0.0.0", 0), "unbound")
    fails(ENOTCONN, s.getpeername)
    s.bind(("", 0))
    host, port = s.getsockname()
    same(host, "0.0.0.0", "any")
    with socket.socket() as t:
        fails(EADDRINUSE, t.bind, ("0.0.0.0", port))
        fails(EADDRINUSE, t.bind, ["0.0.0.0", port])
        # struct sockaddr_in, as MicroPython's unix port makes it
        packed = bytes([2, 0, port >> 8, port & 255]) + bytes(12)
        fails(EADDRINUSE, t.bind, packed)
        fails(EADDRINUSE, t.bind, bytearray(packed))
        fails(EINVAL, t.bind, packed[:15])
        fails(EINVAL, t.bind, b"")
        fails(EINVAL, t.bind, bytes(200))
        fails(EAFNOSUPPORT, t.bind, b"\x07\x00" + packed[2:])
        fails(EADDRINUSE, t.bind, ("127.0.0.1", port))
        fails(99, t.bind, ("192.0.2.1", 0))
        fails(TypeError, t.bind, "127.0.0.1")
        fails(TypeError, t.bind, ("127.0.0.1",))
        fails(TypeError, t.bind, ("127.0.0.1", 1, 2))
        fails(TypeError, t.bind, (None, 1))
        fails(TypeError, t.bind, (1, 1))
        fails(TypeError, t.bind, ("127.0.0.1", "1"))
        fails(ValueError, t.bind, ("127.0.0.1", 65536))
        fails(ValueError, t.bind, ("127.0.0.1", -1))
        fails(ValueError, t.bind, ("127.0.0.1", 1 << 70))
        fails(ValueError, t.bind, ("127.0.0.1\0", 1))
        fails(-9, t.bind, ("::1", 0))
        t.bind(("localhost", 0))
        same(t.getsockname()[0], LOCAL, "a name")
    s.close()
    with socket.socket(socket.AF_INET6) as t:
        t.bind(("", 0))
        same(t.getsockname()[0], "::", "any")
        same(len(t.getsockname()), 4, "IPv6 address")
    with socket.socket(socket.AF_INET6) as t:
        t.bind(("::1", 0, 0, 0))
        port = t.getsockname()[1]
        packed = bytes([10, 0, port >> 8, port & 255]) + bytes(19) + b"\1"
        with socket.socket(10) as u:
            fails(EADDRINUSE, u.bind, packed)
            fails(EADDRINUSE, u.bind, packed + bytes(4))
            fails(EINVAL, u.bind, packed[:23])
            fails(ValueError, u.bind, ("::1", 0, 1 << 20))
            fails(TypeError, u.bind, ("::1", 0, 0, 0, 0))


def streams():
    a, b = pair()
    same(a.getpeername(), b.getsockname(), "peer")
    same(a.send(b"one"), 3, "send")
    same(b.recv(100), b"one", "recv")
    same(a.send("\u00e9", 0), 2, "a str goes as UTF-8")
    same(b.recv(1), b"\xc3", "half of it")
    same(b.recv(100, 0), b"\xa9", "the rest")
    same(a.sendall(b"two\nthree\nfour"), None, "sendall")
    same(b.recv(3, socket.MSG_PEEK), b"two", "peek")
    same(b.readline(), b"two\n", "readline")
    same(b.readline(2), b"th", "readline(2)")
    same(b.readline(-1), b"ree\n", "readline(-1)")
    same(b.readline(0), b"", "readline(0)")
    buf = bytearray(b"....")
    same(b.recv_into(buf, 2), 2, "recv_into")
    same(buf, bytearray([102, 111, 46, 46]), "recv_into")
    same(b.recv_into(memoryview(buf)[2:]), 2, "recv_into a part")
    same(buf, bytearray(b"four"), "recv_into")
    same(a.write(b"abcdef"), 6, "write")
    same(a.write("xyz", 2), 2, "write a part")
    same(a.write("xyz", 1, 2), 2, "write a part with an offset")
    same(b.read(6), b"abcdef", "read")
    same(b.readinto(buf), 4, "readinto")
    same(buf, bytearray(b"xyyz"), "readinto")
    a.write(b"12345678")
    same(b.readinto(buf, 3), 3, "readinto(3)")
    same(b.recv(5, socket.MSG_WAITALL), b"45678", "MSG_WAITALL")
    a.write(b"q")
    same(b.recvfrom(5), (b"q", None), "recvfrom")
    a.write(b"q")
    same(b.recvfrom_into(buf), (1, None), "recvfrom_into")
    same(a.read(0), b"", "read(0)")
    same(b.write(b""), 0, "write nothing")
    same(b.send(b""), 0, "send nothing")
    a.write(b"a\nb\n\nc")
    a.shutdown(socket.SHUT_WR)
    fails(EPIPE, a.send, b"x")
    same(b.readlines(), [b"a\n", b"b\n", b"\n", b"c"], "readlines")
    same(b.read(), b"", "end")
    same(b.read(5), b"", "the end stays")
    same(b.recv(5), b"", "the end stays")
    same(b.readline(), b"", "the end stays")
    same(b.readinto(buf), 0, "the end stays")
    b.write(bytes(range(256)) * 400)
    b.close()
    same(a.read(), bytes(range(256)) * 400, "read to the end")
    a.close()
    big = bytes(range(256)) * 1024
    with socket.create_connection((LOCAL, PEER), timeout=20) as s:
        same(s.gettimeout(), 20.0, "create_connection's timeout")
        s.settimeout(None)
        got = bytearray(len(big))
        view, sent, done = memoryview(got), 0, 0
        s.setblocking(False)
        poll = select.poll()
        poll.register(s, select.POLLIN | select.POLLOUT)
        while done < len(big):
            flags = poll.poll()[0][1]
            if flags & select.POLLOUT and sent < len(big):
                sent += s.write(memoryview(big)[sent:]) or 0
                if sent == len(big):
                    poll.modify(s, select.POLLIN)
            if flags & select.POLLIN:
                done += s.readinto(view[done:]) or 0
        true(got == big, "both ways at once")
    with socket.create_connection(("localhost", PEER), None, ("", 0)) as s:
        s.sendall(b"hello")
        same(s.read(5), b"hello", "echo")


def states():
    s = socket.socket()
    fails(ENOTCONN, s.recv, 1)
    fails(ENOTCONN, s.read, 1)
    fails(EPIPE, s.send, b"x")
    fails(EPIPE, s.write, b"x")
    fails(ENOTCONN, s.shutdown, socket.SHUT_RDWR)
    fails(EINVAL, s.shutdown, 7)
    fails(EINVAL, s.accept)
    s.bind((LOCAL, 0))
    unused = s.getsockname()
    s.close()
    with socket.socket() as s:
        fails(ECONNREFUSED, s.connect, unused)
    with socket.socket() as s:
        same(s.connect_ex(unused), ECONNREFUSED, "connect_ex")
        same(s.connect_ex((LOCAL, PEER)), 0, "connect_ex")
        fails(EISCONN, s.connect, (LOCAL, PEER))
        fails(EINVAL, s.listen, -5)
    with socket.socket() as s:
        s.bind((LOCAL, 0))
        s.listen(-5)
        s.listen()
        s.listen(None)
        same(s.getsockopt(1, socket.SO_ACCEPTCONN), 1, "listening")
        s.setblocking(False)
        fails(EAGAIN, s.accept)
        with socket.socket() as c:
            c.connect(s.getsockname())
            s.setblocking(True)
            child = s.accept()[0]
            same(child.getblocking(), True, "the child blocks")
            child.close()
    fails(ECONNREFUSED, socket.create_connection, unused)
    fails(ECONNREFUSED, socket.create_connection, unused, 1.0)


def datagrams():
    a, b = udp(), udp()
    fails(EDESTADDRREQ, a.send, b"x")
    same(a.sendto(b"one", b.getsockname()), 3, "sendto")
    same(b.recvfrom(100), (b"one", a.getsockname()), "recvfrom")
    same(a.sendto("two", 0, ("localhost", b.getsockname()[1])), 3, "flags")
    buf = bytearray(2)
    same(b.recvfrom_into(buf), (2, a.getsockname()), "cut")
    same(buf, bytearray(b"tw"), "cut")
    same(a.sendto(b"", b.getsockname()), 0, "empty")
    same(b.recv(10), b"", "empty")
    a.sendto(b"three", b.getsockname())
    same(b.recvfrom(2, socket.MSG_TRUNC)[0], b"th", "MSG_TRUNC")
    a.connect(b.getsockname())
    same(a.getpeername(), b.getsockname(), "connected")
    a.send(b"four")
    a.write(b"five")
    a.sendall("six")
    a.sendall(b"")
    for want in (b"four", b"five", b"six", b""):
        same(b.recv(1 << 30), want, "connected")
    fails(EMSGSIZE, a.send, bytes(70000))
    fails(EOPNOTSUPP, a.listen)
    fails(EOPNOTSUPP, a.accept)
    whole = bytes(range(256)) * 255
    same(a.send(whole), len(whole), "large")
    same(b.recv(65535), whole, "large")
    a.connect(bytes(2))  # AF_UNSPEC
    fails(EDESTADDRREQ, a.send, b"x")
    with udp(socket.AF_INET6, "::1") as c:
        same(c.sendto(b"six", c.getsockname()), 3, "IPv6")
        same(c.recvfrom(10), (b"six", c.getsockname()), "IPv6")
    fails(13, a.sendto, b"x", ("<broadcast>", 9))  # EACCES
    a.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    try:
        a.sendto(b"x", ("<broadcast>", 9))
    except OSError as e:
        same(e.errno, 101, "ENETUNREACH")
    a.close()
    b.close()
    for s in pair(socket.AF_INET6, "::1"):
        same(len(s.getpeername()), 4, "IPv6 stream")
        s.close()


def names():
    want = [(2, 1, 6, None, (LOCAL, 80))]
    same(socket.getaddrinfo(LOCAL, 80, 0, 1), want, "numeric")
    same(socket.getaddrinfo(LOCAL, "80", 0, 1), want, "a str port")
    same(socket.getaddrinfo(LOCAL, "http", 0, 1), want, "a service")
    same(socket.getaddrinfo(b"127.0.0.1", 80, type=1), want, "keywords")
    same(
        socket.getaddrinfo(host=LOCAL, port=80, family=2, proto=6, flags=0),
        want,
        "keywords",
    )
    same(
        sorted(socket.getaddrinfo("::1", 7)),
        [(10, t, p, None, ("::1", 7, 0, 0)) for t, p in ((1, 6), (2, 17), (3, 0))],
        "types",
    )
    same(
        socket.getaddrinfo(None, 5, 2, 2, 0, socket.AI_PASSIVE),
        [(2, 2, 17, None, ("0.0.0.0", 5))],
        "passive",
    )
    same(
        socket.getaddrinfo(None, 5, 2, 2), [(2, 2, 17, None, (LOCAL, 5))], "active"
    )
    same(
        socket.getaddrinfo("", 5, 2, 2), [(2, 2, 17, None, ("0.0.0.0", 5))], "empty"
    )
    got = socket.getaddrinfo("localhost", 9, 2, 1, 0, socket.AI_CANONNAME)
    same(got[0][3], "localhost", "canonical name")
    NONAME, SERVICE, SOCKTYPE, FAMILY, BADFLAGS = -2, -8, -7, -6, -1
    fails(NONAME, socket.getaddrinfo, "nosuch", 80, 0, 0, 0, socket.AI_NUMERICHOST)
    fails(NONAME, socket.getaddrinfo, None, None)
    fails(SERVICE, socket.getaddrinfo, LOCAL, "nosuchservice")
    fails(SOCKTYPE, socket.getaddrinfo, LOCAL, 80, 0, 99)
    fails(FAMILY, socket.getaddrinfo, LOCAL, 80, 99)
    fails(BADFLAGS, socket.getaddrinfo, LOCAL, 80, 0, 0, 0, 1 << 30)
    fails(ValueError, socket.getaddrinfo, "a\0b", 80)
    fails(TypeError, socket.getaddrinfo, 5, 80)
    fails(TypeError, socket.getaddrinfo, LOCAL)
    fails(TypeError, socket.getaddrinfo, LOCAL, [])
    long = "a" * 70000
    fails(OSError, socket.getaddrinfo, long, 80)
    same(socket.getnameinfo((LOCAL, 80), 3), (LOCAL, "80"), "getnameinfo")
    same(socket.getnameinfo((LOCAL, 80), 0), ("localhost", "http"), "names")
    same(socket.getnameinfo(("::1", 80, 0, 0), 3), ("::1", "80"), "getnameinfo")
    same(socket.gethostbyname("localhost"), LOCAL, "gethostbyname")


def numbers():
    same(socket.inet_pton(2, "1.2.3.4"), b"\1\2\3\4", "inet_pton")
    same(socket.inet_ntop(2, b"\1\2\3\4"), "1.2.3.4", "inet_ntop")
    for text, want in (
        ("::", "::"),
        ("::1", "::1"),
        ("1::", "1::"),
        ("FE80::AbCd", "fe80::abcd"),
        ("0:0:1:0:0:0:0:1", "0:0:1::1"),
        ("2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"),
        ("2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"),
        ("::ffff:1.2.3.4", "::ffff:1.2.3.4"),
        ("::1.2.3.4", "::1.2.3.4"),
        ("1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"),
        ("1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:102:304"),
    ):
        same(socket.inet_ntop(10, socket.inet_pton(10, text)), want, text)
    for text in (
        "", ":", ":::", "1:", ":1", "1::2::3", "12345::", "g::", "::1.2.3",
        "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "1:2:3:4:5:6:7::8", "::1 ", "1.2.3.4",
    ):  # fmt: skip
        fails(EINVAL, socket.inet_pton, 10, text)
    for text in ("", "1", "1.2.3", "1.2.3.4.", "1.2.3.256", "01.2.3.4", "1..2.3",
                 "1.2.3.4 ", "a.b.c.d", "99999999999.1.1.1", "::1"):  # fmt: skip
        fails(EINVAL, socket.inet_pton, 2, text)
    fails(EAFNOSUPPORT, socket.inet_pton, 1, "x")
    fails(EAFNOSUPPORT, socket.inet_ntop, 1, b"x")
    fails(ValueError, socket.inet_ntop, 2, b"123")
    fails(ValueError, socket.inet_ntop, 10, b"123")
    same(socket.inet_aton("1.2.3.4"), b"\1\2\3\4", "inet_aton")
    same(socket.inet_ntoa(b"\1\2\3\4"), "1.2.3.4", "inet_ntoa")
    same(socket.htons(0x1234), 0x3412, "htons")
    same(socket.ntohs(0x1234), 0x3412, "ntohs")
    same(socket.htonl(0xFF345678), 0x785634FF, "htonl")
    same(socket.ntohl(0x12345678), 0x78563412, "ntohl")
    same(
        socket.sockaddr(b"\2\0\x1f\x90\x7f\0\0\1" + bytes(8)),
        (2, b"\x7f\0\0\1", 8080),
        "sockaddr",
    )
    same(
        socket.sockaddr(b"\x0a\0\0\x50\0\0\0\5" + bytes(15) + b"\1" + b"\2\0\0\0"),
        (10, bytes(15) + b"\1", 80, 5, 2),
        "sockaddr",
    )
    same(socket.sockaddr(b"\1\0abc"), (1, b"abc"), "sockaddr")
    fails(EINVAL, socket.sockaddr, b"\2\0")
    fails(TypeError, socket.sockaddr, "abc")


def options():
    s = socket.socket()
    S = socket
    for level, opt, value in (
        (S.SOL_SOCKET, S.SO_REUSEADDR, 1),
        (S.SOL_SOCKET, S.SO_KEEPALIVE, 1),
        (S.SOL_SOCKET, S.SO_PRIORITY, 3),
        (S.IPPROTO_TCP, S.TCP_NODELAY, 1),
        (S.IPPROTO_TCP, S.TCP_KEEPIDLE, 77),
        (S.IPPROTO_IP, S.IP_TTL, 33),
        (S.IPPROTO_IP, S.IP_TOS, 16),
    ):
        same(s.setsockopt(level, opt, value), None, opt)
        same(s.getsockopt(level, opt), value, opt)
        packed = value.to_bytes(4, "little")
        s.setsockopt(level, opt, packed)
        s.setsockopt(level, opt, bytearray(packed))
        same(s.getsockopt(level, opt, 4), packed, opt)
    s.setsockopt(S.SOL_SOCKET, S.SO_KEEPALIVE, False)
    same(s.getsockopt(S.SOL_SOCKET, S.SO_KEEPALIVE), 0, "a bool")
    same(s.getsockopt(S.SOL_SOCKET, S.SO_TYPE), 1, "SO_TYPE")
    same(s.getsockopt(S.SOL_SOCKET, S.SO_DOMAIN), 2, "SO_DOMAIN")
    same(s.getsockopt(S.SOL_SOCKET, S.SO_PROTOCOL), 6, "SO_PROTOCOL")
    same(s.getsockopt(S.SOL_SOCKET, S.SO_ERROR), 0, "SO_ERROR")
    linger = b"\1\0\0\0\2\0\0\0"
    s.setsockopt(S.SOL_SOCKET, S.SO_LINGER, linger)
    same(s.getsockopt(S.SOL_SOCKET, S.SO_LINGER, 8), linger, "SO_LINGER")
    s.setsockopt(S.SOL_SOCKET, S.SO_LINGER, bytes(8))
    span = (5).to_bytes(8, "little") + (250000).to_bytes(8, "little")
    for opt in (S.SO_RCVTIMEO, S.SO_SNDTIMEO):
        s.setsockopt(S.SOL_SOCKET, opt, span)
        same(s.getsockopt(S.SOL_SOCKET, opt, 16), span, "timeval")
        s.setsockopt(S.SOL_SOCKET, opt, bytes(16))
    s.setsockopt(S.IPPROTO_TCP, S.TCP_CONGESTION, "reno")
    same(s.getsockopt(S.IPPROTO_TCP, S.TCP_CONGESTION, 16)[:5], b"reno\0", "a name")
    true(len(s.getsockopt(S.IPPROTO_TCP, S.TCP_INFO, 192)) > 100, "TCP_INFO")
    fails(ENOPROTOOPT, s.setsockopt, S.SOL_SOCKET, 9999, 1)
    fails(ENOPROTOOPT, s.getsockopt, S.SOL_SOCKET, 9999)
    fails(EINVAL, s.setsockopt, S.SOL_SOCKET, S.SO_KEEPALIVE, b"\1")
    fails(EINVAL, s.getsockopt, S.SOL_SOCKET, S.SO_TYPE, 2000)
    fails(TypeError, s.setsockopt, S.SOL_SOCKET, S.SO_KEEPALIVE, None)
    fails(TypeError, s.setsockopt, S.SOL_SOCKET, S.SO_KEEPALIVE, 1.5)
    fails(TypeError, s.setsockopt, S.SOL_SOCKET, S.SO_KEEPALIVE)
    s.close()
    with socket.socket(2, 2) as u:
        group = socket.inet_aton("239.1.2.3")
        loop = socket.inet_aton(LOCAL)
        u.setsockopt(0, S.IP_MULTICAST_IF, loop)
        same(u.getsockopt(0, S.IP_MULTICAST_IF, 4), loop, "IP_MULTICAST_IF")
        u.setsockopt(0, S.IP_ADD_MEMBERSHIP, group + loop)
        fails(EADDRINUSE, u.setsockopt, 0, S.IP_ADD_MEMBERSHIP, group + loop)
        u.setsockopt(0, S.IP_DROP_MEMBERSHIP, group + loop)
        fails(99, u.setsockopt, 0, S.IP_DROP_MEMBERSHIP, group + loop + bytes(4))
        fails(EINVAL, u.setsockopt, 0, S.IP_ADD_MEMBERSHIP, group)
        u.setsockopt(0, S.IP_MULTICAST_TTL, 4)
        same(u.getsockopt(0, S.IP_MULTICAST_TTL), 4, "IP_MULTICAST_TTL")
        u.bind(("", 0))
        u.setsockopt(0, S.IP_ADD_MEMBERSHIP, group + loop)
        u.sendto(b"all", ("239.1.2.3", u.getsockname()[1]))
        same(u.recv(10), b"all", "multicast")
    with socket.socket(10) as s6:
        s6.setsockopt(S.IPPROTO_IPV6, S.IPV6_V6ONLY, 1)
        same(s6.getsockopt(S.IPPROTO_IPV6, S.IPV6_V6ONLY), 1, "IPV6_V6ONLY")


def lifetimes():
    s = socket.socket()
    number = s.fileno()
    true(number >= 0, "fileno")
    with socket.socket() as t:
        true(t.fileno() != number, "unique")
    same(s.detach(), number, "detach")
    same(s.fileno(), -1, "detached")
    fails(EBADF, s.getsockname)
    s.close()
    t = socket.socket(fileno=number)
    same((t.fileno(), t.family, t.type), (number, 2, 1), "taken")
    t.bind((LOCAL, 0))
    u = socket.socket(fileno=number)
    same(u.getsockname(), t.getsockname(), "the same socket")
    t.close()
    fails(EBADF, u.getsockname)
    v = socket.socket()
    u.close()
    same(v.getsockname(), ("0.0.0.0", 0), "not closed by another's number")
    v.close()
    fails(EBADF, socket.socket, fileno=number)
    fails(EBADF, socket.socket, fileno=1000000)
    fails(ValueError, socket.socket, fileno=-1)
    fails(TypeError, socket.socket, fileno="3")
    with socket.socket() as s:
        same(s.makefile(), s, "makefile")
        same(s.makefile("rwb", 0), s, "makefile")
        same(s.makefile("rb", buffering=0), s, "makefile")
        fails(ValueError, s.makefile, "a")
        fails(TypeError, s.makefile, 5)
    same(s.fileno(), -1, "with closes")
    same(s.close(), None, "close again")
    same(s.detach(), -1, "detach a closed one")
    true(str(s).startswith("<socket fd=-1 "), "print a closed one")
    addr = (LOCAL, 1)
    for name, args in (
        ("bind", (addr,)), ("listen", ()), ("accept", ()), ("connect", (addr,)),
        ("send", (b"",)), ("sendall", (b"",)), ("sendto", (b"", addr)),
        ("recv", (1,)), ("recv", (0,)), ("recvfrom", (1,)), ("recv_into", (bytearray(1),)),
        ("recvfrom_into", (bytearray(1),)), ("read", ()), ("read", (0,)),
        ("readinto", (bytearray(1),)), ("readline", ()), ("readlines", ()),
        ("write", (b"",)), ("write", (b"x",)), ("setsockopt", (1, 2, 1)),
        ("setsockopt", (1, 20, None)), ("getsockopt", (1, 2)), ("settimeout", (1,)),
        ("gettimeout", ()), ("setblocking", (True,)), ("getblocking", ()),
        ("shutdown", (0,)), ("getsockname", ()), ("getpeername", ()), ("makefile", ()),
    ):  # fmt: skip
        fails(EBADF, getattr(s, name), *args)
    poll = select.poll()
    poll.register(s, select.POLLIN)
    same(poll.poll(0), [(s, 0x20)], "a closed one in poll")

    class Mine(socket.socket):
        def shout(self):
            return self.getsockname()

    m = Mine(socket.AF_INET, socket.SOCK_DGRAM)
    same(m.shout(), ("0.0.0.0", 0), "a subclass")
    m.close()


def polling():
    a, b = pair()
    p = select.poll()
    IN, OUT, HUP = 1, 4, 0x10
    p.register(a, IN | OUT)
    same(p.poll(0), [(a, OUT)], "idle")
    p.modify(a, IN)
    same(p.poll(10), [], "nothing")
    b.send(b"x")
    same(p.poll(2000), [(a, IN)], "data")
    same(select.select([a, b], [b], [], 2), ([a], [b], []), "select")
    a.recv(1)
    same([e[:2] for e in p.ipoll(0)], [], "read")
    b.close()
    same(p.poll(2000), [(a, IN)], "the peer's end")
    p.modify(a, IN | OUT)
    same(p.poll(2000), [(a, IN | OUT)], "the peer's end")
    with socket.socket() as s:
        p = select.poll()
        p.register(s, IN | OUT)
        same(p.poll(0), [(s, OUT | HUP)], "a new one")
    a.close()


def nothing():
    a, b = pair()
    b.settimeout(5)
    a.send(b"x")
    same(b.recv(1, socket.MSG_PEEK), b"x", "there")
    same(b.recv(0), b"", "nothing asked")
    same(b.recv(1), b"x", "still there")
    a.close()
    b.close()


class Sub(socket.socket):
    pass


class Early(socket.socket):
    def __init__(self):
        poller = select.poll()
        poller.register(self, select.POLLIN)
        fails(EBADF, poller.poll, 0)
        super().__init__()


def subclasses():
    listener = socket.socket()
    listener.bind((LOCAL, 0))
    listener.listen(1)
    near = Sub()
    near.connect(listener.getsockname())
    far, _ = listener.accept()
    poller = select.poll()
    poller.register(near, select.POLLIN | select.POLLOUT)
    same([events for _, events in poller.poll(0)], [select.POLLOUT], "poll")
    print("a stream", file=near)
    same(far.readline(), b"a stream\n", "print")
    for s in near, far, listener, Early():
        s.close()


for part in (
    constructor, addresses, streams, states, datagrams, names, numbers, options,
    lifetimes, polling, nothing, subclasses,
):  # fmt: skip
    part()
end()
