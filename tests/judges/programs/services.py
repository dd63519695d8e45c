# Names and time.
# SPDX-License-Identifier: MIT

import re

from stage import case, expect

PORT = 5353
ZONE = (
    "address=/one.test/192.0.2.1", "address=/one.test/2001:db8::1", "host-record=two.test,192.0.2.2",
    "cname=three.test,two.test", "mx-host=one.test,two.test,10", "ptr-record=2.2.0.192.in-addr.arpa,two.test",
    *(f"txt-record=long.test,{'x' * 200}{i}" for i in range(12)),
)  # fmt: skip


def dnsmasq(st):
    st.write("zone", "\n".join(ZONE))
    return st.server(
        "dnsmasq", "-k", "-C", st.dir / "zone", "-p", PORT, "-a", "127.0.0.1", "--bind-interfaces",
        "-R", "-h", "-u", "root", "--pid-file=", port=PORT, udp=PORT,
    )  # fmt: skip


def dig(st, port, *words):
    out = st.client("dig", "@127.0.0.1", "-p", port, "+nostats", "+nocmd", "+nocookie", "+tries=1",
                    "+timeout=20", *words)  # fmt: skip
    out = re.sub(r"id: \d+", "id", out)
    return sorted(line for line in out.splitlines() if line)


@case("dnsmasq", "dig", fast=True, moves=1000)
def dns(st):
    """dnsmasq answers dig by UDP, by TCP, and by TCP when UDP is too small"""
    dnsmasq(st)
    asked = (
        ("one.test", "A"), ("one.test", "AAAA"), ("three.test", "A"), ("one.test", "MX"),
        ("-x", "192.0.2.2"), ("none.two.test", "A"), ("+tcp", "long.test", "TXT"),
        ("+noedns", "long.test", "TXT"), ("+notcp", "+ignore", "+noedns", "long.test", "TXT"),
    )  # fmt: skip
    said = [dig(st, PORT, *words) for words in asked]
    expect("192.0.2.1" in str(said[0]), True, said[0])
    expect(str(said[7]).count("xxx") > 12, True, said[7])
    return said


@case("unbound", "dnsmasq", "dig")
def unbound(st):
    """unbound asks dnsmasq, by threads and many sockets"""
    dnsmasq(st)
    conf = st.write(
        "unbound.conf",
        f"""server:
  interface: 127.0.0.1@5300
  port: 5300
  num-threads: 2
  do-daemonize: no
  use-syslog: no
  username: ""
  chroot: ""
  directory: "{st.dir}"
  pidfile: ""
  module-config: iterator
  do-not-query-localhost: no
  local-zone: test. nodefault
forward-zone:
  name: "."
  forward-addr: 127.0.0.1@{PORT}
remote-control:
  control-enable: no
""",
    )
    st.server("unbound", "-d", "-c", conf, port=5300, udp=5300)
    said = [
        dig(st, 5300, "+noall", "+answer", "+nottlid", *words)
        for words in (
            ("two.test", "A"),
            ("three.test", "A"),
            ("+tcp", "one.test", "AAAA"),
            ("+noedns", "long.test", "TXT"),
        )
    ]
    expect("192.0.2.2" in str(said[0]), True, said[0])
    return said


@case("chronyd", "setpriv", moves=90)
def chrony(st):
    """chronyd asks chronyd what time it is"""
    server = st.write(
        "server.conf",
        f"local stratum 3\nallow 127.0.0.1\nport 1123\ncmdport 0\n"
        f"bindcmdaddress /\npidfile {st.dir}/a.pid\ndriftfile {st.dir}/drift\nbindaddress 127.0.0.1\n",
    )
    st.server("chronyd", "-x", "-d", "-u", "root", "-f", server, udp=1123)
    client = st.write(
        "client.conf",
        f"server 127.0.0.1 port 1123 iburst maxsamples 4\ncmdport 0\n"
        f"bindcmdaddress /\npidfile {st.dir}/b.pid\n",
    )
    out = st.shell(f"chronyd -x -Q -t 60 -u root -f {client} 2>&1")
    found = re.search(r"System clock wrong by (-?[\d.]+) seconds", out)
    expect(bool(found) and abs(float(found[1])) < 0.5, True, out)
    return "told"
