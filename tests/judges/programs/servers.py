# Servers of protocols of their own, and what stands before others.
# SPDX-License-Identifier: MIT

from stage import DIGEST, case, expect, until

PORT, BEHIND = 7200, 7300


def files(st):
    """A web server beside farsockd, for what stands before it."""
    python = ("/usr/bin/python3", "-m", "http.server", "--bind", "127.0.0.1")
    st.native_server(*python, BEHIND, port=BEHIND)


def fetch(st, url, times=2, *words):
    ask = f"curl -sk {' '.join(words)} {url}/data | sha256sum"
    said = st.shell(f"for i in {' '.join('x' * times)}; do {ask}; done")
    expect(said.count(DIGEST), times, said)


@case("varnishd", "curl", moves=3 << 20)
def varnish(st):
    """varnishd: hundreds of threads, a child process, epoll and writev"""
    files(st)
    st.server("varnishd", "-F", "-a", "127.0.0.1:7200", "-b", "127.0.0.1:7300", "-n", st.dir / "varnish",
              "-j", "none", port=PORT)  # fmt: skip
    look = ("curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "http://127.0.0.1:7200/data")
    until("varnishd has compiled", lambda: st.native(*look) == "200", 60)
    fetch(st, "http://127.0.0.1:7200", 3)


@case("hitch", "openssl", "curl", moves=6 << 20)
def hitch(st):
    """hitch: TLS by libev, in processes that accept from one listener"""
    files(st)
    st.prepare(
        "openssl req -x509 -newkey rsa:2048 -nodes -keyout key -out all.pem -days 1 -subj /CN=x 2>/dev/null;"
        "cat key >> all.pem"
    )
    st.server("hitch", "--frontend=[127.0.0.1]:7200", "--backend=[127.0.0.1]:7300", "-u", "root",
              "--workers=2", "all.pem", port=PORT)  # fmt: skip
    fetch(st, "https://127.0.0.1:7200", 3)


@case("privoxy", "curl", moves=6 << 20)
def privoxy(st):
    """privoxy: a thread for each request"""
    files(st)
    st.server("privoxy", "--no-daemon", st.write("conf", "listen-address 127.0.0.1:7200\n"), port=PORT)
    fetch(st, "http://127.0.0.1:7300", 3, "-x", "http://127.0.0.1:7200")


def repository(st):
    st.prepare(
        "svnadmin create r; echo '[general]\nanon-access = write' > r/conf/svnserve.conf;"
        "mkdir t; cp data t; svn import -q t file://$PWD/r -m one"
    )


def check_out(st, *how):
    repository(st)
    st.server("svnserve", "-d", "--foreground", *how, "-r", st.dir, "--listen-host", "127.0.0.1",
              "--listen-port", PORT, port=PORT)  # fmt: skip
    url = "svn://127.0.0.1:7200/r"
    st.client("svn", "checkout", "-q", url, "copy")
    st.expect_file("copy/data")
    commit = "echo new > new && svn add -q new && svn commit -q -m two"
    return st.shell(f"cd copy && {commit} && svn info {url} | grep Revision")


@case("svnserve", "svn", moves=3 << 20)
def subversion(st):
    """svnserve: a process for each connection"""
    return check_out(st)


@case("svnserve", "svn", moves=3 << 20)
def subversion_threads(st):
    """svnserve: a thread for each connection"""
    return check_out(st, "-T")


@case("gdbserver", "gdb")
def gdbserver(st):
    """gdbserver: packets of a few bytes, one answer each"""
    st.server("gdbserver", "127.0.0.1:7200", "/bin/sleep", "100", port=PORT)
    orders = ("set sysroot /", "target remote 127.0.0.1:7200", "info registers cs", "kill")
    said = st.client("gdb", "-nx", "-batch", *(w for o in orders for w in ("-ex", o)))
    return [line for line in said.splitlines() if line.startswith("cs ")]


DIRECTORY = """\
include /etc/ldap/schema/core.schema
modulepath /usr/lib/ldap
moduleload back_mdb
database mdb
suffix dc=x
rootdn cn=root,dc=x
rootpw secret
"""
ROOT = "dn: dc=x\nobjectClass: dcObject\nobjectClass: organization\no: x\ndc: x\n\n"


@case("slapd", "ldapadd", "ldapsearch", moves=200000)
def ldap(st):
    """slapd and OpenLDAP's tools"""
    conf = st.write("slapd.conf", f"{DIRECTORY}directory {st.dir}\n")
    st.server("slapd", "-d", "0", "-f", conf, "-h", "ldap://127.0.0.1:7200/", port=PORT)
    people = (f"dn: cn=p{i},dc=x\nobjectClass: person\ncn: p{i}\nsn: {'s' * 500}\n\n" for i in range(200))
    entries = st.write("entries", ROOT + "".join(people))
    at = ("-x", "-H", "ldap://127.0.0.1:7200")
    st.client("ldapadd", *at, "-D", "cn=root,dc=x", "-w", "secret", "-f", entries)
    said = st.client("ldapsearch", *at, "-b", "dc=x", "-LLL", "-o", "ldif-wrap=no", "(cn=p*)")
    expect(said.count("s" * 500), 200, "entries")
    return said


@case("inetd", "ncat", moves=400000)
def inetd(st):
    """inetd hands connections to programs that read descriptor 0"""
    conf = st.write("inetd.conf", "7200 stream tcp nowait root /bin/cat cat\n")
    st.server("inetd", "-i", "-d", conf, port=PORT)
    return st.shell("head -c 200000 data | ncat 127.0.0.1 7200 | sha256sum; echo a line | ncat 127.0.0.1 7200")
