#!/usr/bin/python3
# What links may do: each way to the network, natively, allowed and refused.
# SPDX-License-Identifier: MIT

import contextlib
import errno
import os
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
from pathlib import Path

from harness import (
    BUILD,
    FARSOCK,
    FARSOCKD,
    PATIENCE_S,
    SANITIZED,
    TOP,
    Far,
    Native,
    asleep,
    check,
    check_equal,
    main,
    needs_preload,
    skip,
    test,
    until,
)
from oracle import PORT, wants
from resolver import no_such_name, with_resolver

PEER = "127.0.0.1"


class Ruled(Far):
    """A farsockd with a policy, which can be changed."""

    def __init__(self, text, prefix=()):
        self.conf_dir = Path(tempfile.mkdtemp(prefix="farsock-test-"))
        self.conf_dir.chmod(0o755)
        self.conf = self.conf_dir / "farsockd.conf"
        self.reloads = 0
        self.write(text)
        super().__init__(["--config", self.conf], prefix)

    def write(self, text):
        self.conf.write_text(text, encoding="utf-8")
        self.conf.chmod(0o644)

    def reload(self, text, says="reloaded "):
        self.write(text)
        before = self.daemon.stderr.count(says)
        self.daemon.send_signal(signal.SIGHUP)
        until(says, lambda: self.daemon.stderr.count(says) > before)

    def hits(self, text):
        """How often the rule was met."""
        return sum(int(r[3]) for r in self.dump() if r[0] == "rule" and r[4] == text)

    def __exit__(self, *args):
        shutil.rmtree(self.conf_dir, ignore_errors=True)
        return super().__exit__(*args)


def policy(default, *rules):
    return f"[policy]\ndefault = {default}\n" + "".join(f"rule = {r}\n" for r in rules)


def ip4(text):
    """An IPv4 address as the shell's numbers."""
    return struct.unpack("<i", socket.inet_aton(text))[0]


def ip6(text):
    return " ".join(str(n) for n in struct.unpack("<4i", socket.inet_pton(10, text)))


def text4(text):
    """Four bytes as a number."""
    return struct.unpack("<i", text)[0]


GROUP4, GROUP6 = "224.0.0.251", "ff02::fb"
IP, V6, TCP, SOL = 0, 41, 6, 1
UDP4, UDP6, TCP4, TCP6, RAW4 = "socket s 2 2", "socket s 10 2", "socket s 2 1", "socket s 10 1", "socket s 2 3 1"  # fmt: skip
SEE = "interfaces"

# What is done before; the call; what a rule says of it, after allow or deny;
# what is also needed where nothing else is allowed; how a refusal shows.
PATHS = {
    # connect() and what means the same.
    "connect": ([TCP4], f"connect s {PEER} {PORT}", f"connect tcp {PEER}:{PORT}", [], "EACCES"),
    "connect without waiting": ([TCP4], f"connect s {PEER} {PORT} nowait", f"connect tcp {PEER}", [], "EACCES"),
    "connect to all of 127/8": ([TCP4], f"connect s 127.9.9.9 {PORT}", "connect tcp loopback", [], "EACCES"),
    "connect to 0.0.0.0": ([TCP4], f"connect s 0.0.0.0 {PORT}", f"connect tcp {PEER}", [], "EACCES"),
    "connect to 0.0.0.0 when bound": ([TCP4, "bind s 127.0.0.7 0"], f"connect s 0.0.0.0 {PORT}", "connect tcp 127.0.0.7", ["bind any"], "EACCES"),
    "connect to ::": ([TCP6], f"connect s :: {PORT}", "connect tcp ::1", [], "EACCES"),
    "connect over IPv6": ([TCP6], f"connect s ::1 {PORT}", f"connect tcp [::1]:{PORT}", [], "EACCES"),
    "connect to mapped IPv4": ([TCP6], f"connect s ::ffff:{PEER} {PORT}", f"connect tcp {PEER}", [], "EACCES"),
    "connect to mapped 0.0.0.0": ([TCP6], f"connect s ::ffff:0.0.0.0 {PORT}", f"connect tcp {PEER}", [], "EACCES"),
    "connect with TCP_FASTOPEN_CONNECT": ([TCP4, f"setopt s {TCP} 30 1"], f"connect s {PEER} {PORT}", f"connect tcp {PEER}", [], "EACCES"),
    "connect a datagram socket": ([UDP4], f"connect s {PEER} {PORT}", f"connect udp {PEER}", [], "EACCES"),
    # Datagrams.
    "sendto": ([UDP4], f"sendto s hello {PEER} {PORT}", f"connect udp {PEER}:{PORT}", [], "EACCES"),
    "sendto 0.0.0.0": ([UDP4], f"sendto s hello 0.0.0.0 {PORT}", f"connect udp {PEER}", [], "EACCES"),
    "sendto ::": ([UDP6], f"sendto s hello :: {PORT}", "connect udp ::1", [], "EACCES"),
    "sendto mapped IPv4": ([UDP6], f"sendto s hello ::ffff:{PEER} {PORT}", f"connect udp {PEER}", [], "EACCES"),
    "sendto an IPv4 address from IPv6": ([UDP6], f"sendto s hello {PEER} {PORT}", f"connect udp {PEER}", [], "EACCES"),
    "sendto without a family": ([UDP4], f"sendto s hello @0:{PEER} {PORT}", f"connect udp {PEER}", [], "EACCES"),
    "sendmsg": ([UDP4], f"sendmsg s a,b to {PEER} {PORT}", f"connect udp {PEER}", [], "EACCES"),
    "sendmsg with an address on a connected socket": (
        [UDP4, "connect s 127.0.0.2 7"], f"sendmsg s hello to {PEER} {PORT}", f"connect udp {PEER}", ["connect udp 127.0.0.2"], "EACCES"),
    "sendto with a flag": ([UDP4], f"sendto s hello {PEER} {PORT} dontroute", f"connect udp {PEER}", [], "EACCES"),
    "sendto a multicast group": (
        [UDP4, f"setopt s {IP} 32 {ip4(PEER)}"], f"sendto s hello {GROUP4} {PORT}", f"connect udp {GROUP4}", ["bind udp loopback"], "EACCES"),
    "sendto broadcast": (
        [UDP4, f"setopt s {SOL} 6 1"], f"sendto s hello 127.255.255.255 {PORT}", "connect udp 127.255.255.255", [], "EACCES"),
    "a raw socket's sendto": ([RAW4], f"sendto s hellohello {PEER} 0", f"connect icmp {PEER}", ["bind icmp"], "EACCES"),
    # Local addresses.
    "bind": ([TCP4], f"bind s {PEER} 0", f"bind tcp {PEER}", [], "EACCES"),
    "bind a datagram socket": ([UDP4], f"bind s {PEER} 5353", f"bind udp {PEER}:5353", [], "EACCES"),
    "bind by a rule for listen": ([UDP4], f"bind s {PEER} 5353", f"listen udp {PEER}:5353", [], "EACCES"),
    "bind to mapped IPv4": ([UDP6], f"bind s ::ffff:{PEER} 0", f"bind udp {PEER}", [], "EACCES"),
    "bind to :: and so to IPv4": ([UDP6], "bind s :: 5353", "bind udp any:5353", [], "EACCES"),
    "bind without a family": ([UDP4], "bind s @0:0.0.0.0 5353", "bind udp ipv4:5353", [], "EACCES"),
    "bind to ::, of which IPv4 is denied": ([UDP6], "bind s :: 5353", "bind udp ipv4:5353", ["bind udp ipv6:5353"], "EACCES"),
    "listen": ([TCP4, f"bind s {PEER} 5353"], "listen s 5", f"listen tcp {PEER}:5353", ["bind tcp loopback"], "EACCES"),
    "listen without bind": ([TCP4], "listen s 5", "listen tcp ipv4", [], "EACCES"),
    "IP_PKTINFO's source": (
        [UDP4], f"sendmsg s hello to {PEER} {PORT} ctl 0 8 12 0 {ip4('127.0.0.9')} 0", "bind udp 127.0.0.9", ["connect udp loopback"], "EACCES"),
    "IPV6_PKTINFO's source": (
        [UDP6], f"sendmsg s hello to ::1 {PORT} ctl 41 50 20 {ip6('::1')} 0", "bind udp ::1", ["connect udp loopback"], "EACCES"),
    "IPV6_PKTINFO's mapped source": (
        [UDP6], f"sendmsg s hello to ::ffff:{PEER} {PORT} ctl 41 50 20 {ip6('::ffff:127.0.0.9')} 0", "bind udp 127.0.0.9", ["connect udp loopback"], "EACCES"),
    "IP_MULTICAST_IF's source": ([UDP4], f"setopt s {IP} 32 {ip4(PEER)}", f"bind udp {PEER}", [], "EACCES"),
    # Groups.
    "IP_ADD_MEMBERSHIP": ([UDP4], f"setopt s {IP} 35 {ip4(GROUP4)} {ip4(PEER)}", f"join {GROUP4}", [], "EACCES"),
    "IP_ADD_SOURCE_MEMBERSHIP": (
        [UDP4], f"setopt s {IP} 39 {ip4('232.1.1.1')} {ip4(PEER)} {ip4(PEER)}", "join 232.0.0.0/8", [], "EACCES"),
    "IPV6_JOIN_GROUP": ([UDP6], f"setopt s {V6} 20 {ip6(GROUP6)} 1", f"join {GROUP6}", [], "EACCES"),
    # Ways round the rules.
    "SO_BINDTODEVICE": ([TCP4], f"setopt s {SOL} 25 {text4(b'lo  '.replace(b' ', bytes(1)))}", "option device", [], "EPERM"),
    "IP_UNICAST_IF": ([UDP4], f"setopt s {IP} 50 {socket.htonl(1)}", "option device", [], "EPERM"),
    "IP_PKTINFO's interface": (
        [UDP4], f"sendmsg s hello to {PEER} {PORT} ctl 0 8 12 1 0 0", "option device", ["connect udp loopback"], "EPERM"),
    "IP_MULTICAST_IF's interface": ([UDP4], f"setopt s {IP} 32 0 0 1", "option device", [], "EPERM"),
    "IPV6_MULTICAST_IF": ([UDP6], f"setopt s {V6} 17 1", "option device", [], "EPERM"),
    "SO_BINDTOIFINDEX": ([TCP4], f"setopt s {SOL} 62 1", "option device", [], "EPERM"),
    "IPV6_UNICAST_IF": ([UDP6], f"setopt s {V6} 76 {socket.htonl(1)}", "option device", [], "EPERM"),
    "SO_MARK": ([TCP4], f"setopt s {SOL} 36 7", "option mark", [], "EPERM"),
    "IP_OPTIONS": ([UDP4], f"setopt s {IP} 4 {text4(bytes([131, 7, 4, 127]))} {text4(bytes([0, 0, 1, 0]))}", "option route", [], "EPERM"),
    "IP_FREEBIND": ([UDP4], f"setopt s {IP} 15 1", "option freebind", [], "EPERM"),
    "IP_TRANSPARENT": ([UDP4], f"setopt s {IP} 19 1", "option freebind", [], "EPERM"),
    "IPV6_FREEBIND": ([UDP6], f"setopt s {V6} 78 1", "option freebind", [], "EPERM"),
    "IP_HDRINCL": ([RAW4], f"setopt s {IP} 3 1", "option header", ["bind icmp"], "EPERM"),
    "a socket that writes headers": ([], "socket s 2 3 255", "option header", ["bind raw"], "EPERM"),
    "a raw socket": ([], "socket s 2 3 1", "any icmp", [], "EPERM"),
    "a raw socket of another protocol": ([], "socket s 2 3 89", "any raw", [], "EPERM"),
    # What can be seen.
    "getifaddrs": ([], "ifaddrs", SEE, [], "EACCES"),
    "if_nametoindex": ([], "ifindex lo", SEE, [], "EACCES"),
    "if_indextoname": ([], "ifname 1", SEE, [], "EACCES"),
    "SIOCGIFADDR": ([UDP4], "ifreq s 0x8915 lo", SEE, [], "EACCES"),
    "SIOCGIFFLAGS": ([UDP4], "ifreq s 0x8913 lo", SEE, [], "EACCES"),
    "getaddrinfo": ([], "lookup localhost 80 2 1", "lookup local*", [], "EAI -4"),
}  # fmt: skip


def peers(net):
    """Somebody to reach at PORT, over TCP and UDP."""
    listeners = [net.listener(PORT, "0.0.0.0"), net.listener(PORT, "::1")]
    return [*listeners, net.udp(PORT, "0.0.0.0")]


def walk(sh, path):
    before, call, *_ = PATHS[path]
    for line in before:
        wants(sh, line, "0")
    result = sh(call)
    sh("close s")
    return result


def compare_paths(text_of, expected):
    """Each path in a farsockd whose policy is text_of(path)."""
    wrong = []
    with Ruled("") as far:
        others = peers(far.net)
        sh = far.shell()
        for path in PATHS:
            far.reload(text_of(path))
            got, want = walk(sh, path), expected(path)
            if got != want:
                wrong.append(f"{path}: {got}, not {want}")
        for s in others:
            s.close()
    check(not wrong, "; ".join(wrong))


def native_results():
    with Native() as native:
        others = peers(native.net)
        sh = native.shell()
        results = {path: walk(sh, path) for path in PATHS}
        for s in others:
            s.close()
        return results


@test
def without_a_policy():
    """Without a policy every path gives what it gives natively."""
    native = native_results()
    refused = [p for p in PATHS if native[p] == PATHS[p][4]]
    check(not refused, "natively refused, so that nothing is shown:", refused)
    compare_paths(lambda path: "", native.get)


@test
def allowed():
    """Where only what a path needs is allowed, it gives what it gives natively."""
    native = native_results()
    compare_paths(
        lambda path: policy("deny", *(f"allow {r}" for r in (PATHS[path][2], *PATHS[path][3]))),
        native.get,
    )  # fmt: skip


@test
def denied():
    """Each path is refused by a rule, where everything else is allowed."""
    compare_paths(
        lambda path: policy("allow", f"deny {PATHS[path][2]}"), lambda path: PATHS[path][4]
    )


@test
def denied_by_default():
    """Each path is refused where it is not allowed, but all that it needs is."""
    compare_paths(
        lambda path: policy("deny", *(f"allow {r}" for r in PATHS[path][3])),
        lambda path: PATHS[path][4],
    )


@test
def paths_are_documented():
    """farsockd.conf(5) has a row for each path."""
    page = (TOP / "docs/man/farsockd.conf.5").read_text(encoding="utf-8")
    missing = [path for path in PATHS if f"\n{path}\t" not in page]
    check(not missing, "not in the table:", missing)


@test
def an_interface_by_its_address():
    """An interface that a link-local address brought leads to no other address."""
    name, other = "fe80::1", "2001:db8::2"
    with Ruled(policy("allow", "deny option device")) as far:
        with far.net.inside():
            for line in ("link add far0 type veth peer name far1", "link set far1 up", "link set far0 up",
                         f"addr add {name}/64 dev far0 nodad", "route add default dev far0",
                         "addr add 2001:db8::1/64 dev far0 nodad"):  # fmt: skip
                subprocess.run(["ip", "-6", *line.split()], check=True)
            index = socket.if_nametoindex("far0")
        sh = far.shell()
        near, send = f"fe80::2%{index} {PORT}", f"sendto s hello {other} {PORT}"
        # How the socket gets the interface.
        for got in (f"connect s {near}", f"bind s {name}%{index} 0", f"connect s ff02::1%{index} {PORT}"):
            wants(sh, UDP6, "0")
            wants(sh, send, "5")  # it has none
            wants(sh, "close s", "0")
            wants(sh, UDP6, "0")
            wants(sh, got, "0")
            wants(sh, f"sendto s hello {near}", "5")
            wants(sh, send, "EPERM")
            wants(sh, f"connect s {other} {PORT}", "EPERM")
            far.reload(policy("allow"))
            wants(sh, send, "5")
            far.reload(policy("allow", "deny option device"))
            wants(sh, "close s", "0")
        wants(sh, TCP6, "0")
        wants(sh, f"bind s {name}%{index} 0", "0")
        wants(sh, f"connect s {other} {PORT} nowait", "EPERM")


# --- Ports that the kernel chooses ---

LOWEST, HIGHEST = 40000, 40007  # all that it has; rules deny those before DENIED
DENIED = 40002
# How a socket gets one; where it is, then, in getsockname()'s words; what refuses it.
CHOSEN = {
    "listen": ([TCP4, "listen s 5"], "listen tcp"),
    "listen over IPv6": ([TCP6, "listen s 5"], "listen tcp"),
    "bind to port 0 and listen": ([TCP4, f"bind s {PEER} 0", "listen s 5"], "listen tcp"),
    "bind to no port and listen": ([TCP4, f"setopt s {IP} 24 1", f"bind s {PEER} 0", "listen s 5"], "listen tcp"),
    "listen after a connection": ([TCP4, f"connect s {PEER} {PORT}", "connect s @0:0.0.0.0 0", "listen s 5"], "listen tcp"),
    "bind a stream": ([TCP4, f"bind s {PEER} 0"], "bind tcp"),
    "bind datagrams": ([UDP4, f"bind s {PEER} 0"], "listen udp"),
    "bind datagrams without a family": ([UDP4, "bind s @0:0.0.0.0 0"], "bind udp"),
    "bind datagrams over IPv6": ([UDP6, "bind s :: 0"], "bind udp ipv4"),
    "connect datagrams": ([UDP4, f"connect s {PEER} {PORT}"], "bind udp"),
    "connect datagrams again": ([UDP4, f"connect s {PEER} {PORT}", "connect s @0:0.0.0.0 0", f"connect s {PEER} {PORT}"], "bind udp"),
    "send": ([UDP4, f"sendto s hello {PEER} {PORT}"], "listen udp"),
    "send over IPv6": ([UDP6, f"sendto s hello ::ffff:{PEER} {PORT}"], "bind udp"),
    "send to nobody": ([UDP4, "send s hello"], "bind udp"),
}  # fmt: skip


def few_ports(net):
    with net.inside():
        Path("/proc/sys/net/ipv4/ip_local_port_range").write_text(f"{LOWEST} {HIGHEST}", encoding="ascii")


def port_of(sh, calls):
    """What each call gave, and the port that the socket has then."""
    results = [sh(call) for call in calls]
    port = int(sh("getsockname s").split()[-1])
    sh("close s")
    return results, port


@test
def ports_that_the_kernel_chooses():
    """A port that a rule denies by its number is not chosen, or the call is refused."""
    native = {}
    with Native() as world:
        few_ports(world.net)
        others = peers(world.net)
        sh = world.shell()
        for path, (calls, _) in CHOSEN.items():
            native[path], port = port_of(sh, calls)
            check(LOWEST <= port <= HIGHEST, f"{path}: natively at {port}")
        for s in others:
            s.close()
    with Ruled("") as far:
        few_ports(far.net)
        others = peers(far.net)
        sh = far.shell()
        for path, (calls, rule) in CHOSEN.items():
            where = rule if " ipv" in rule else f"{rule} any"
            far.reload(policy("allow", f"deny {where}:{LOWEST}-{DENIED - 1}"))
            for _ in range(8):
                results, port = port_of(sh, calls)
                check(DENIED <= port <= HIGHEST, f"{path}: at {port}")
                check_equal(results, native[path], path)
            far.reload(policy("allow", f"deny {where}:1-65535"))
            for _ in range(3):  # from the second time on at first sight
                check_equal(port_of(sh, calls)[0][-1], "EACCES", path)
            far.reload(policy("allow", f"deny {where}:{LOWEST}-{HIGHEST}", f"allow {where}"))
            check_equal(port_of(sh, calls)[0][-1], "EACCES", path)
            # A rule that allows comes first.
            far.reload(policy("allow", f"allow {where}:0", f"deny {where}:1-65535"))
            check_equal(port_of(sh, calls)[0], native[path], path)
        for s in others:
            s.close()


NAMED = PORT + 1
TO_PEER, DISSOLVE = f"connect s {PEER} {PORT}", "connect s @0:0.0.0.0 0"
# How a socket is at a port when its connection is dissolved.
DISSOLVED = [
    [UDP4, TO_PEER],
    [UDP4, f"sendto s hello {PEER} {PORT}", TO_PEER],
    [UDP4, f"bind s {PEER} 0", TO_PEER],
    [UDP4, f"bind s {PEER} 0"],
    [UDP4, f"setopt s {IP} 24 1", f"bind s {PEER} 0", TO_PEER],
    [UDP4, f"setopt s {IP} 51 {HIGHEST | HIGHEST << 16}", TO_PEER],
    [UDP4, f"bind s {PEER} {NAMED}", TO_PEER],
    [UDP6, f"connect s ::ffff:{PEER} {PORT}"],
    [UDP6, "bind s :: 0"],
    [TCP4, TO_PEER],
    [TCP4, f"bind s {PEER} 0", TO_PEER],
    [TCP4, f"bind s {PEER} {NAMED}", TO_PEER],
    [TCP4, f"setopt s {SOL} 2 1", f"bind s {PEER} 0", TO_PEER],
    [TCP4, "listen s 5"],
    [TCP6, "bind s :: 0", "listen s 5"],
]


def dissolved(sh, calls):
    """What each call gave, where the socket is at last, and its options."""
    results = [sh(call) for call in calls]
    port = int(sh("getsockname s").split()[-1])
    check(LOWEST <= port <= HIGHEST or port == NAMED, f"{calls}: at {port}")
    # A stream's getsockname() goes on to tell it. Who has none can be bound.
    results += [sh(DISSOLVE), sh("getsockname s").replace(str(port), "still")]
    results += [sh(f"getopt s {IP} {option}") for option in (24, 51)]
    results.append(sh("bind s :: 0" if "socket s 10" in calls[0] else f"bind s {PEER} 0"))
    sh("close s")
    return results


@test
def ports_of_what_is_dissolved():
    """A port that was chosen ends with a connection, whoever looked for it."""
    with Native() as world:
        few_ports(world.net)
        others = peers(world.net)
        sh = world.shell()
        native = [dissolved(sh, calls) for calls in DISSOLVED]
        for s in others:
            s.close()
    gone = [calls for calls, results in zip(DISSOLVED, native) if results[-1] != "EINVAL"]
    check_equal(gone, [c for c in DISSOLVED if str(NAMED) not in str(c)], "natively")
    denied = [f"deny listen {proto} any:{LOWEST}" for proto in ("tcp", "udp")]
    for rules in ("", policy("allow", *denied)):
        with Ruled(rules) as far:
            few_ports(far.net)
            others = peers(far.net)
            sh = far.shell()
            for calls, results in zip(DISSOLVED, native):
                check_equal(dissolved(sh, calls), results, calls)
            for s in others:
                s.close()


@test
def ports_that_an_older_linux_keeps():
    """Before Linux 6.3 a port found under rules stays when a connection is dissolved."""
    if SANITIZED:
        skip("a sanitizer's run time takes these calls itself")
    calls = [UDP4, f"bind s {PEER} 0", TO_PEER]
    with tempfile.NamedTemporaryFile(prefix="farsock-test-") as plan:
        os.chmod(plan.name, 0o666)
        # Every setsockopt(IP_LOCAL_PORT_RANGE): see tests/scarcity/shim.c.
        plan.write(struct.pack("5i", 13, 0, 1 << 30, errno.ENOPROTOOPT, 0))
        plan.flush()
        prefix = ["env", f"LD_PRELOAD={BUILD / 'test/scarcity.so'}", f"FAULTS={plan.name}"]
        with Ruled(policy("allow", f"deny bind udp any:{LOWEST}-{DENIED - 1}"), prefix) as far:
            few_ports(far.net)
            others = peers(far.net)
            sh = far.shell()
            results = [sh(call) for call in calls]
            port = int(sh("getsockname s").split()[-1])
            check(DENIED <= port <= HIGHEST, f"at {port}")
            results.append(sh(DISSOLVE))
            check_equal(results, ["0"] * 4)
            check_equal(sh("getsockname s").split()[-1], str(port))
            check_equal(sh(f"bind s {PEER} 0"), "EINVAL")
            for s in others:
                s.close()


@test
def a_port_that_a_stream_only_had():
    """The port of a connection that is over is none that it listens at."""
    rules = (f"allow listen tcp any:{DENIED}-{HIGHEST}", "allow connect tcp any")
    with Ruled(policy("deny", *rules)) as far:
        few_ports(far.net)
        others = peers(far.net)
        sh = far.shell()
        for _ in range(8):  # most of them had one at which they may listen
            calls = CHOSEN["listen after a connection"][0]
            check_equal(port_of(sh, calls)[0], ["0", "0", "0", "EACCES"])
        far.reload(policy("deny", "allow listen tcp any:0", *rules))
        check_equal(port_of(sh, calls)[0], ["0", "0", "0", "0"])
        for s in others:
            s.close()


@test
def datagram_sockets_are_bound_as_the_rules_say():
    """After a reload a datagram socket takes and sends nothing where it may not be."""
    refusing = {"s": f"deny bind udp any:{PORT}", "c": "deny listen udp any:30000-65535"}
    with Ruled(policy("allow")) as far:
        peer = far.net.udp()
        send = f"sendto {{}} hello {PEER} {peer.getsockname()[1]}"
        sh = far.shell()
        wants(sh, UDP4, "0")
        wants(sh, f"bind s {PEER} {PORT}", "0")
        wants(sh, "socket c 2 2", "0")
        at = {}
        for name, rule in refusing.items():
            for _ in range(2):
                far.reload(policy("allow"))
                wants(sh, send.format(name), "5")
                at[name] = peer.recvfrom(9)[1]
                peer.sendto(b"answer", at[name])
                wants(sh, f"recv {name} 100", "6 answer")
                far.reload(policy("allow", rule))
                peer.sendto(b"refused", at[name])
                wants(sh, send.format(name), "EACCES")
                wants(sh, f"recv {name} 100 nowait", "EAGAIN")
                other = {"s": "c", "c": "s"}[name]
                wants(sh, send.format(other), "5")
                peer.recv(9)
        # What came meanwhile is gone.
        far.reload(policy("allow"))
        for name in at:
            wants(sh, f"recv {name} 100 nowait", "EAGAIN")


@test
def a_family_that_nobody_looks_at():
    """A raw socket's bind() is refused by its address, whatever its family is said to be."""
    with Ruled(policy("allow", "deny bind icmp 127.0.0.9")) as far:
        sh = far.shell()
        for family in (2, 0, 77):
            wants(sh, RAW4, "0")
            wants(sh, f"bind s @{family}:127.0.0.9 0", "EACCES")
            wants(sh, f"bind s @{family}:127.0.0.8 0", "0")
            wants(sh, "close s", "0")


@test
def names_that_mean_the_same():
    """A name that is written so that it does not look like itself is refused, too."""
    name, directory = "www.example.test", tempfile.TemporaryDirectory(dir="/var/tmp")
    Path(directory.name).chmod(0o755)
    same = ("WWW.Example.test.", r"ww\119.example.test", r"ww\w.example.test", "www.\uff45xample.test")
    with directory, Ruled(policy("allow", f"deny lookup {name}"), with_resolver(Path(directory.name))) as far:
        server = far.net.udp(53)
        sh = far.shell()
        for text in (name, *same):
            wants(sh, f"lookup {text} 80 2 1", "EAI -4")
        # None of them got there: the first question is the next one's.
        sh.begin("a", "lookup ww.example.test 80 2 1")
        question, asker = server.recvfrom(2000)
        check(b"\2ww\7example" in question, question)
        server.sendto(no_such_name(question), asker)
        wants(sh, "lookup 127.0.0.1 80 2 1", "1 127.0.0.1 80 type 1 proto 6")
        check_equal(sh.result("a"), "EAI -2")
        far.reload(policy("deny", "allow lookup *.example.test"))
        wants(sh, r"lookup ww\046example.test 80 2 1", "EAI -4")


# --- What comes in ---


@test
def who_may_connect_in():
    """A peer that may not connect in is reset; the next one is accepted."""
    with Ruled(policy("deny", "allow listen tcp any", "allow accept tcp 127.0.0.2")) as far:
        sh = far.shell()
        wants(sh, TCP4, "0")
        wants(sh, f"bind s 0.0.0.0 {PORT}", "0")
        wants(sh, "listen s 50", "0")
        sh.begin("a", "accept s c")
        far.daemon.send_signal(signal.SIGSTOP)  # so that all of them wait there
        strangers = [far.net.connect(PORT) for _ in range(40)]
        far.daemon.send_signal(signal.SIGCONT)
        for s in strangers:
            with contextlib.suppress(ConnectionResetError):
                check_equal(s.recv(1), b"", "a stranger got")
        check(sh.waits("a"), "a stranger was accepted")
        with far.net.inside():
            friend = socket.create_connection((PEER, PORT), PATIENCE_S, ("127.0.0.2", 0))
        check_equal(sh.result("a"), "0 127.0.0.2")
        wants(sh, "send c hello", "5")
        check_equal(friend.recv(5), b"hello")
        check_equal(far.hits("default deny"), 40)
        # A listener that newer rules forbid takes nobody.
        far.reload(policy("deny", "allow accept tcp any"))
        sh.begin("a", "accept s d")
        with contextlib.suppress(ConnectionResetError):
            late = far.net.connect(PORT)
            check_equal(late.recv(1), b"")
        check(sh.waits("a"))
        for s in (friend, *strangers):
            s.close()


@test
def who_may_send():
    """Datagrams come from whom the rules name, and from whom we may send to."""
    rules = ("allow bind udp any", "allow accept udp 127.0.0.2", "allow connect udp 127.0.0.3")
    with Ruled(policy("deny", *rules)) as far:
        sh = far.shell()
        for kind in (UDP4, "socket s 2 2 136"):
            wants(sh, kind, "0")
            wants(sh, f"bind s {PEER} {PORT}", "0")
            for host, count in (("127.0.0.1", 80), ("127.0.0.2", 5), ("127.0.0.4", 80), ("127.0.0.3", 5)):
                with far.net.inside():
                    s = socket.socket(2, 2, 136 if "136" in kind else 0)
                s.bind((host, 0))
                for _ in range(count):
                    s.sendto(host.encode(), (PEER, PORT))
                s.close()
            for host in ("127.0.0.2", "127.0.0.3"):
                for _ in range(5):
                    wants(sh, "recv s 100", f"9 {host}")
            wants(sh, "recv s 100 nowait", "EAGAIN")
            wants(sh, "close s", "0")


# --- Changes ---


@test
def verdicts_end_with_a_reload():
    """A destination that near trusts is refused after a reload, and allowed again."""
    allow, deny = policy("allow"), policy("allow", f"deny connect udp {PEER}")
    with Ruled(allow) as far:
        peer = far.net.udp(PORT)
        sh = far.shell()
        wants(sh, UDP4, "0")
        wants(sh, "socket c 2 2", "0")
        wants(sh, f"connect c {PEER} {PORT}", "0")
        send = {"s": f"sendto s hello {PEER} {PORT}", "c": "send c hello"}
        for _ in range(3):
            far.reload(allow)
            for name in ("s", "c"):
                for _ in range(5):
                    wants(sh, send[name], "5")
                    check_equal(peer.recv(9), b"hello")
            far.reload(deny)
            for name in ("s", "c"):
                wants(sh, send[name], "EACCES")
                wants(sh, send[name], "EACCES")
        peer.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            check(False, "it came all the same:", peer.recv(9))
        check_equal(far.hits(f"deny connect udp {PEER}"), 4)


@test
def a_datagram_under_way():
    """A datagram that went without asking is refused when its turn comes."""
    with Ruled(policy("allow")) as far:
        peer = far.net.udp(PORT)
        sh = far.shell()
        wants(sh, UDP4, "0")
        send = f"sendto s hello {PEER} {PORT}"
        # Where caches are not coherent near trusts from the second one on: the
        # first was sent before it had looked at the socket's line.
        for _ in range(2):
            wants(sh, send, "5")
            check_equal(peer.recv(9), b"hello")
        until("farsockd sleeps", lambda: asleep(far.pid))
        far.write(policy("deny"))
        far.daemon.send_signal(signal.SIGSTOP)
        far.daemon.send_signal(signal.SIGHUP)
        wants(sh, send, "5")  # near trusts, and the policy changes before its turn
        far.daemon.send_signal(signal.SIGCONT)
        until("the new rules", lambda: "reloaded" in far.daemon.stderr)
        check_equal(sh.ask("ping"), "0")
        wants(sh, send, "EACCES")
        peer.settimeout(0.2)
        with contextlib.suppress(TimeoutError):
            check_equal(peer.recv(9), b"hello", "at most what went before the reload")
            with contextlib.suppress(TimeoutError):
                check(False, "it came all the same:", peer.recv(9))


@test
def connections_stay():
    """A connection stays when the rules change; new ones are refused."""
    with Ruled(policy("allow")) as far:
        listener = far.net.listener(PORT)
        sh = far.shell()
        wants(sh, TCP4, "0")
        wants(sh, f"connect s {PEER} {PORT}", "0")
        peer, _ = listener.accept()
        far.reload(policy("deny"))
        wants(sh, "send s hello", "5")
        check_equal(peer.recv(9), b"hello")
        wants(sh, "socket c 2 1", "0")
        wants(sh, f"connect c {PEER} {PORT}", "EACCES")


@test
def a_bad_file_changes_nothing():
    """A file that is wrong leaves the old rules, and says its line."""
    with Ruled(policy("allow", f"deny connect tcp {PEER}")) as far:
        sh = far.shell()
        for bad, line, *words in BAD:
            far.reload(bad, says=f"{far.conf}:{line}: ")
            last = [x for x in far.daemon.stderr.splitlines() if f"{far.conf}:" in x][-1]
            for word in ("nothing changes", *words):
                check(word in last, word, "is not in", last)
            wants(sh, TCP4, "0")
            wants(sh, f"connect s {PEER} {PORT}", "EACCES")
            wants(sh, f"connect s 127.0.0.2 {PORT}", "ECONNREFUSED")
            wants(sh, "close s", "0")
        far.conf.unlink()
        far.daemon.send_signal(signal.SIGHUP)
        until("a line", lambda: "No such file" in far.daemon.stderr)
        wants(sh, TCP4, "0")
        wants(sh, f"connect s {PEER} {PORT}", "EACCES")
        far.reload(policy("allow"))
        wants(sh, f"connect s {PEER} {PORT}", "ECONNREFUSED")


BAD = (
    ("[policy]\nrule = permit connect\n", 2, "allow or deny"),
    ("[policy]\nrule = allow fly\n", 2, "fly", "none of"),
    ("[policy]\nrule = allow connect tcp 10.0.0.1/8\n", 2, "below /8"),
    ("[policy]\nrule = allow connect tcp 10.0.0.0/33\n", 2, "/33"),
    ("[policy]\nrule = allow connect tcp 10.0.0.256\n", 2, "no address"),
    ("[policy]\nrule = allow connect tcp ::ffff:1.2.3.4\n", 2, "IPv4"),
    ("[policy]\nrule = allow connect tcp any:80-70\n", 2, "80-70"),
    ("[policy]\nrule = allow connect tcp any:65536\n", 2, "65536"),
    ("[policy]\nrule = allow connect tcp [::1\n", 2, "[ADDRESS]:PORTS"),
    ("[policy]\nrule = allow connect tcp any any\n", 2, "too much"),
    ("[policy]\nrule = allow connect,lookup any\n", 2, "of their own"),
    ("[policy]\nrule = allow lookup\n", 2, "pattern"),
    ("[policy]\nrule = allow option sound\n", 2, "device"),
    ("[policy]\ndefault = maybe\n", 2, "neither"),
    ("[policy]\ndefault = deny\ndefault = deny\n", 3, "twice"),
    ("[policy]\nlinks = a\n", 2, "all others"),
    ("[policy a]\nusers = nobody-of-this-name\n", 2, "there is no"),
    ("[policy a]\n[policy a]\n", 2, "twice"),
    ("[policy]\ncolour = red\n", 2, "unknown key"),
    ("[policyx]\n", 1, "unknown section"),
    (f"[policy {'x' * 32}]\n", 1, "longer"),
    ("[policy]\nrule = allow connect tcp any:" + ",".join("1" * 17) + "\n", 2, "16 ranges"),
)


# --- Which link ---


@test
def sections():
    """A link's section is found by its user, its group and its name."""
    needs_preload()
    text = (
        "[policy by-user]\nusers = 12345\ndefault = allow\n"
        "[policy by-name]\nlinks = pyth*\ngroups = 0\ndefault = allow\n"
        f"[policy]\ndefault = allow\nrule = deny connect tcp {PEER}\n"
    )
    with Ruled("[daemon]\nmode = 0666\n" + text) as far:
        listener = far.net.listener(PORT)
        script = f"import socket; socket.create_connection(('{PEER}', {PORT})); print('there')"
        run = [FARSOCK, "run", "/usr/bin/python3", "-c", script]
        check_equal(far.near(*run).end(), ["there"])
        check(far.near("setpriv", "--regid", "7", "--clear-groups", *run).end(1) == [])
        user = ["setpriv", "--reuid", "12345", "--regid", "7", "--clear-groups"]
        check_equal(far.near(*user, *run).end(), ["there"])
        sh = far.shell()
        wants(sh, TCP4, "0")
        wants(sh, f"connect s {PEER} {PORT}", "EACCES")
        until(
            "only the shell's link is shown, with its section",
            lambda: [r[-2] for r in far.dump() if r[0] == "link"] == ["policy"],
        )
        far.reload(text.split("[policy]")[0])  # nobody is for the shell
        wants(sh, f"connect s 127.0.0.2 {PORT}", "EACCES")
        listener.close()


@test
def shared_sockets():
    """A socket of a parent is looked at again when its child takes it."""
    needs_preload()
    script = f"""
import os, socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.connect(("{PEER}", {PORT}))
print(s.send(b"hello"), flush=True)
sys.stdin.readline()
if os.fork() == 0:
    try:
        print(s.send(b"hello"), flush=True)
    except OSError as e:
        print("refused", flush=True)
    os._exit(0)
os.wait()
"""
    for rules, answer in ((policy("allow"), "5"), (policy("deny"), "refused")):
        with Ruled(policy("allow")) as far:
            peer = far.net.udp(PORT)
            child = far.near(FARSOCK, "run", "/usr/bin/python3", "-c", script)
            check_equal(child.line(), "5")
            far.reload(rules)
            child.write("\n")
            check_equal(child.line(), answer)
            child.end()
            peer.close()


@test
def carried_connections():
    """Who has a connection that came in asks about it, wherever it may connect."""
    needs_preload()
    script = f"""
import os, socket
l = socket.create_server(("{PEER}", {PORT}))
print("there", flush=True)
s = l.accept()[0]
if os.fork() == 0:
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    print(s.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY), flush=True)
    os._exit(0)
os.wait()
"""
    rules = ("allow listen tcp any", "allow accept tcp any")
    with Ruled(policy("deny", *rules)) as far:
        child = far.near(FARSOCK, "run", "/usr/bin/python3", "-c", script)
        child.expect("there")
        peer = far.net.connect(PORT)
        check_equal(child.line(), "1")
        child.end()
        peer.close()


# --- Names ---


@test
def names():
    """Names and addresses are asked for as the rules say; numbers always may."""
    needs_preload()
    script = f"""
import socket
for call in (
    lambda: socket.getaddrinfo("LOCALHOST", 80, socket.AF_INET)[0][4],
    lambda: socket.getaddrinfo("localhost.evil", 80),
    lambda: socket.getaddrinfo("127.0.0.1", 80)[0][4],
    lambda: socket.getaddrinfo(None, 80, socket.AF_INET)[0][4],
    lambda: socket.getnameinfo(("{PEER}", 80), socket.NI_NUMERICSERV),
    lambda: socket.getnameinfo(("{PEER}", 80), socket.NI_NAMEREQD | socket.NI_NUMERICSERV),
    lambda: socket.getnameinfo(("::1", 80), socket.NI_NUMERICHOST | socket.NI_NUMERICSERV),
):
    try:
        print(*call())
    except socket.gaierror as e:
        print(e.args[0] == socket.EAI_FAIL)
"""
    known = socket.getnameinfo((PEER, 80), socket.NI_NUMERICSERV)[0]
    if known == PEER:
        skip("this machine has no name for 127.0.0.1")
    run = [FARSOCK, "run", "/usr/bin/python3", "-c", script]
    numbers = "127.0.0.1 80"
    with Ruled(policy("deny", "allow lookup localhost", "allow reverse loopback")) as far:
        got = far.near(*run).end()
        check_equal(got, [numbers, "True", numbers, numbers, f"{known} 80", f"{known} 80", "::1 80"])
        far.reload(policy("deny"))
        got = far.near(*run).end()
        check_equal(got, ["True", "True", numbers, numbers, f"{PEER} 80", "True", "::1 80"])


@test
def fast_open_is_not_carried():
    """MSG_FASTOPEN makes no connection, and so goes round no rule."""
    needs_preload()
    script = f"""
import socket
s = socket.socket()
try:
    s.sendto(b"hello", socket.MSG_FASTOPEN, ("{PEER}", {PORT}))
except OSError as e:
    print(type(e).__name__)
"""
    with Ruled(policy("deny")) as far:
        listener = far.net.listener(PORT)
        got = far.near(FARSOCK, "run", "/usr/bin/python3", "-c", script).end()
        check_equal(got, ["BrokenPipeError"])
        listener.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            check(False, "a connection came:", listener.accept())


# --- Told and counted ---


@test
def told_and_counted():
    """Refusals are logged once a second for each rule, and counted."""
    rule = f"deny connect tcp {PEER}:{PORT}"
    with Ruled(policy("allow", rule)) as far:
        sh = far.shell()
        wants(sh, TCP4, "0")
        for _ in range(200):
            wants(sh, f"connect s {PEER} {PORT}", "EACCES")
        wants(sh, f"connect s {PEER} {PORT + 1}", "ECONNREFUSED")
        lines = [x for x in far.daemon.stderr.splitlines() if "refused connect" in x]
        check(1 <= len(lines) <= 20, len(lines), "lines")
        for word in (f"tcp {PEER}:{PORT}", "[policy]", "line 3", rule, "shell"):
            check(word in lines[0], word, "is not in", lines[0])
        check_equal(far.hits(rule), 200)
        check(far.hits("default allow") >= 1)
        shown = "\n".join(far.show())
        check("policy:" in shown and f"200  {rule}" in shown, shown)


def check_config(text, *call):
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as f:
        f.write(text)
        f.flush()
        args = [FARSOCKD, "--config", f.name, "--check-config"]
        args += ["--explain", *call] if call else []
        done = subprocess.run(args, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr


@test
def reads_back():
    """What --check-config prints is a file that says the same, however long."""
    ports = ",".join(f"{n}-{n + 1}" for n in range(100, 124, 2))
    for text in (
        # Its words are longer than a line may be.
        f"[policy]\nrule=allow connect,bind,listen,accept udp [2001:db8:1:2:3::6]:{ports}\n",
        f"[policy]\nrule=allow lookup {'a' * 180}\n",  # as long as a line may be
        f"[daemon]\nallow-groups = {','.join(['4294967294'] * 16)}\n[policy]\n",
        "\ufeff\f[policy]\nrule = allow interfaces\n",  # before a section
    ):
        status, out = check_config(text)
        check_equal(status, 0, out)
        check("[policy" in out, out)
        check_equal(check_config(out), (0, out))


@test
def in_words():
    """--check-config says what each rule does, and --explain what decides."""
    text = policy(
        "deny",
        "allow connect tcp 10.0.0.0/8:80,8000-8100",
        "deny connect any ipv4",
        "allow connect tcp ipv6",
        "allow listen tcp any:80",
        "allow lookup *.Example.org",
    )
    status, out = check_config(text)
    check_equal(status, 0, out)
    for line in ("# allows connecting and sending to 10.0.0.0/8, port 80, 8000 to 8100 by tcp",
                 "# refuses connecting and sending to any IPv4 address",
                 "# allows looking up the name *.example.org",
                 "nobody may connect in"):  # fmt: skip
        check(line in out, line, "is not in", out)
    check_equal(check_config(out), (0, out))
    for call, *words in (
        ("connect tcp 10.1.2.3:80", "allowed", "line 3"),
        ("connect tcp 10.1.2.3:81", "refused", "line 4"),
        ("connect tcp [::ffff:10.1.2.3]:81", "write IPv4"),
        ("connect tcp [2001:db8::1]:81", "allowed", "line 5"),
        ("connect tcp [64:ff9b::10.1.2.3]:81", "refused", "line 4"),
        ("connect tcp [2002:a01:203::1]:81", "refused", "line 4"),
        ("connect tcp [::1]:81", "allowed", "line 5"),
        ("connect udp [2001:db8::1]:81", "refused", "default is to deny"),
        ("listen tcp 0.0.0.0:80", "allowed", "line 6"),
        ("lookup WWW.example.org.", "allowed", "line 7"),
        ("lookup example.org", "refused"),
        ("option mark", "refused"),
        ("connect tcp any", "not one call"),
        ("connect", "not one call"),
        ("dance", "none of"),
    ):
        _, out = check_config(text, call)
        for word in words:
            check(word in out, call, word, "is not in", out)
    check_equal(check_config("", "connect tcp 1.2.3.4:5")[1].count("allowed"), 1)


if __name__ == "__main__":
    main()
