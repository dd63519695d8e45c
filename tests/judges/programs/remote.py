# Programs to work on and to watch another machine.
# SPDX-License-Identifier: MIT

import os
import stat
from pathlib import Path

from harness import skip
from stage import DIGEST, case, expect, which


@case("sshd", "dbclient", "dropbearkey", "ssh-keygen", moves=6 << 20)
def dropbear(st):
    """dropbear's client at sshd: a command, a file each way"""
    if os.getuid() != 0:
        skip("sshd is for root")
    Path("/run/sshd").mkdir(exist_ok=True)
    st.prepare(
        "ssh-keygen -q -t ed25519 -N '' -f host; dropbearkey -t ed25519 -f key;"
        "dropbearkey -y -f key | grep ^ssh- >authorized"
    )
    os.chmod(st.dir, stat.S_IRWXU)
    conf = st.write(
        "sshd_config",
        f"Port 2225\nListenAddress 127.0.0.1\nHostKey {st.dir}/host\nUsePAM no\n"
        f"AuthorizedKeysFile {st.dir}/authorized\nPermitRootLogin yes\nStrictModes no\n"
        f"PidFile none\nUseDNS no\nPrintLastLog no\n",
    )
    st.server(which("sshd"), "-D", "-e", "-f", conf, port=2225)
    ssh = f"dbclient -y -i {st.dir}/key -p 2225 root@127.0.0.1"
    said = st.shell(f"{ssh} 'echo out; exit 7' 2>/dev/null", status=7)
    got = st.shell(f"{ssh} sha256sum <data 2>/dev/null")
    expect(got.split()[0], DIGEST, "what it got")
    got = st.shell(f"{ssh} cat {st.dir}/data 2>/dev/null | sha256sum")
    expect(got.split()[0], DIGEST, "what it sent")
    return said


@case("snmpd", "snmpget", "snmpbulkwalk", moves=500)
def snmp(st):
    """snmpd: a value, a walk, and a wrong name that nobody answers"""
    conf = st.write("snmpd.conf", "rocommunity far\nsysContact someone\nsysName thing\n")
    st.server("snmpd", "-f", "-C", "-c", conf, "-Lo", "-I", "-smux", "-p", st.dir / "pid",
              "udp:127.0.0.1:1161", udp=1161, SNMP_PERSISTENT_DIR=st.dir)  # fmt: skip
    ask = ("-v2c", "-On", "-t", "5", "127.0.0.1:1161")
    system = ".1.3.6.1.2.1.1"
    said = [st.client("snmpget", "-c", "far", *ask, f"{system}.4.0", f"{system}.5.0")]
    walk = st.client("snmpbulkwalk", "-c", "far", *ask, system)
    expect("someone" in walk and "thing" in walk, True, walk)
    st.client("snmpget", "-c", "other", "-r0", "-v2c", "-t", "1", "127.0.0.1:1161",
              f"{system}.4.0", status=1)  # fmt: skip
    return said
