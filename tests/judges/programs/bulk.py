# Programs that measure: they move much, and count what was lost.
# SPDX-License-Identifier: MIT

import json
import re

from stage import case, expect

PORT = 5201


def iperf3(st, *options, client=None):
    """What it measured. The server may still be at the test before, and binds its
    port anew after each."""
    for _ in range(50):
        out = (client or st.client)(
            "iperf3", "-c", "127.0.0.1", "-J", *options, status=None
        )
        got = json.loads(out)
        if not re.search("busy|refused", got.get("error", "")):
            break
    expect(got.get("error"), None, f"{options}")
    return got["end"]


@case("iperf3", fast=True, moves=64 << 20)
def iperf3_tcp(st):
    """iperf3: TCP, the other way, four at once, both ways"""
    st.server("iperf3", "-s", "-B", "127.0.0.1", port=PORT)
    said = []
    for options in ((), ("-R",), ("-P", "4"), ("-P", "4", "-R"), ("--bidir",)):
        end = iperf3(st, "-n", "16M", *options)
        sent, got = end["sum_sent"]["bytes"], end["sum_received"]["bytes"]
        # It stops counting when one side is done, with bytes still on their way.
        expect(sent > 1 << 20 and got > 1 << 18, True, f"{options}: {sent}, {got} bytes")
        said.append(len(end["streams"]))
    return said


@case("iperf3", fast=True, moves=1 << 20)
def iperf3_udp(st):
    """iperf3: UDP at 5 Mbit/s, both ways, loses no more than natively"""
    options = (), ("-R",), ("-P", "2"), ("-R", "-P", "2")
    return lose_little(st, [("-b", "5M", "-l", "1000", *o) for o in options])


@case("iperf3", moves=8 << 20)
def iperf3_udp_fast(st):
    """iperf3: UDP at 100 Mbit/s loses no more than natively"""
    return lose_little(st, [("-b", "100M", "-l", "1400")])


def lose_little(st, all_options):
    """A busy machine loses some natively, too: it is asked at the same time."""
    st.server("iperf3", "-s", "-B", "127.0.0.1", port=PORT)
    st.native_server("iperf3", "-s", "-B", "127.0.0.1", "-p", PORT + 1, port=PORT + 1)
    for options in all_options:
        options = ("-u", "-t", "1", *options)
        lost, beside = [], []
        for _ in range(3):
            end = iperf3(st, *options)["sum"]
            expect(end["packets"] > 300, True, f"{options}: {end['packets']} datagrams")
            lost.append(end["lost_percent"])
            if lost[-1] < 1:
                break
            end = iperf3(st, *options, "-p", str(PORT + 1), client=st.native)["sum"]
            beside.append(end["lost_percent"])
        expect(min(lost) < max([0, *beside]) + 2, True, f"{lost} % lost, natively {beside}")
    return "as natively"


@case("iperf", moves=32 << 20)
def iperf2(st):
    """iperf 2: TCP, both ways, threads, UDP"""
    st.server("iperf", "-s", "-p", PORT, port=PORT)
    out = st.client(
        "iperf", "-c", "127.0.0.1", "-p", PORT, "-n", "16M", "-P", "4", "-f", "m"
    )
    expect(bool(re.search(r"SUM.* 64\.\d MBytes", out)), True, out[-400:])
    out = st.client("iperf", "-c", "127.0.0.1", "-p", PORT, "-n", "16M", "-R", "-f", "m")
    expect(bool(re.search(r" 16\.\d MBytes", out)), True, out[-400:])
    st.server("iperf", "-s", "-u", "-p", PORT + 1, udp=PORT + 1)
    command = f"iperf -c 127.0.0.1 -p {PORT + 1} -u -b 2M -l 1000 -t 1"
    loses_little(st, command, r"\d+/ *\d+ +\((\S+?)%\)")
    return "sent"


def loses_little(st, command, pattern):
    """The pattern's group is how many percent were lost. A busy machine loses
    some: it may be asked again."""
    said = []
    for _ in range(4):
        said.append(st.client(*command.split()))
        lost = re.search(pattern, said[-1])
        if lost and float(lost[1]) < 5:
            return
    expect(said, "less than 5 % lost", command)


@case("nuttcp", moves=32 << 20)
def nuttcp(st):
    """nuttcp: both ways, TCP and UDP"""
    st.server("nuttcp", "-S", "--nofork", port=5000)
    for options in ((), ("-r",)):
        out = st.client("nuttcp", *options, "-n32m", "127.0.0.1")
        expect("32.0000 MB" in out, True, out)
    for options in ((), ("-r",)):
        command = f"nuttcp {' '.join(options)} -u -R2m -l1000 -T1 127.0.0.1"
        loses_little(st, command, r"([\d.]+) %loss")
    return "sent"


@case("qperf", moves=1 << 20)
def qperf(st):
    """qperf: throughput and latency of TCP and UDP"""
    st.server("qperf", port=19765)
    out = st.client(
        "qperf", "127.0.0.1", "-t", "1", "tcp_bw", "tcp_lat", "udp_lat", "udp_bw"
    )
    rates = re.findall(r"(bw|latency|send_bw|recv_bw) += +([\d.]+)", out)
    expect(len(rates) == 5 and all(float(n) > 0 for _, n in rates), True, out)
    return [name for name, _ in rates]


@case("sockperf")
def sockperf(st):
    """sockperf: each datagram and each byte comes back, in order"""
    said = []
    for options in ((), ("--tcp",)):
        bound = {"port": 11111} if options else {"udp": 11111}
        server = st.server("sockperf", "sr", "-i", "127.0.0.1", *options, **bound)
        for size in ("14", "1400"):
            out = st.client(
                "sockperf", "ping-pong", "-i", "127.0.0.1", "-t", "1", "-m", size, *options
            )
            dropped = re.search(
                r"dropped messages = (\d+); # duplicated messages = (\d+); # out-of-order messages = (\d+)",
                out,
            )
            expect(bool(dropped), True, out[-600:])
            said.append(dropped.groups())
        server.kill()
    return said
