# Programs that hand bytes from one place to another.
# SPDX-License-Identifier: MIT


from certificates import make_certificates
from stage import DIGEST, case, expect

PORT = 7000


def first(text):
    return text.split()[0] if text.split() else "nothing"


@case("nc", fast=True, moves=3 << 20)
def nc(st):
    """nc: a file each way, UDP, IPv6, a port that is closed"""
    server = st.server("sh", "-c", f"nc -l 127.0.0.1 {PORT} | sha256sum", port=PORT)
    st.shell(f"nc -N 127.0.0.1 {PORT} <data")
    expect(first(server.line()), DIGEST, "what the server got")
    st.server("sh", "-c", f"nc -N -l ::1 {PORT + 1} <data", port=PORT + 1)
    expect(first(st.shell(f"nc -d ::1 {PORT + 1} | sha256sum")), DIGEST, "what it sent")
    server = st.server("nc", "-u", "-l", "127.0.0.1", PORT + 2, udp=PORT + 2)
    st.shell(f"echo datagram | nc -u -q0 127.0.0.1 {PORT + 2}")
    expect(server.line(), "datagram", "what came by UDP")
    st.shell(f"nc -z 127.0.0.1 {PORT + 3}", status=1)
    return st.shell(f"nc -v 127.0.0.1 {PORT + 3} 2>&1", status=1)


@case("socat", fast=True, moves=3 << 20)
def socat(st):
    """socat: forks and runs cat for each connection"""
    st.server(
        "socat", f"TCP-LISTEN:{PORT},reuseaddr,fork,bind=127.0.0.1", "EXEC:cat", port=PORT
    )
    many = [
        st.begin("sh", "-c", f"socat -t60 - TCP:127.0.0.1:{PORT} <data | sha256sum")
        for _ in range(4)
    ]
    for child in many:
        expect(first(st.finish(child)), DIGEST, "what came back")
    return st.shell(f"echo hello | socat -t9 - TCP:127.0.0.1:{PORT}")


@case("socat", fast=True, moves=10)
def socat_udp(st):
    """socat: UDP, a process for each datagram, and for each peer"""
    st.server("socat", f"UDP-RECVFROM:{PORT},fork,bind=127.0.0.1", "EXEC:rev", udp=PORT)
    out = [st.shell(f"echo hello{i} | socat -t1 - UDP:127.0.0.1:{PORT}") for i in range(3)]
    expect(out, [f"{i}olleh" for i in range(3)], "what came back")
    st.server(
        "socat", f"UDP-LISTEN:{PORT + 1},fork,bind=127.0.0.1", "EXEC:cat", udp=PORT + 1
    )
    return st.shell(f"echo datagram | socat -t1 - UDP:127.0.0.1:{PORT + 1}")


@case("socat", "openssl", moves=6 << 20)
def socat_tls(st):
    """socat: TLS to TCP, both ways, with a certificate"""
    make_certificates(st.dir)
    st.prepare("cat server.key server.pem >both.pem")
    st.server(
        "socat", f"TCP-LISTEN:{PORT},reuseaddr,fork,bind=127.0.0.1", "PIPE", port=PORT
    )
    st.server(
        "socat",
        f"OPENSSL-LISTEN:{PORT + 1},reuseaddr,fork,bind=127.0.0.1,cert=both.pem,verify=0",
        f"TCP:127.0.0.1:{PORT}",
        port=PORT + 1,
    )
    name = f"OPENSSL:localhost:{PORT + 1},cafile=ca.pem"
    out = st.shell(f"socat -t60 - {name} <data | sha256sum")
    expect(first(out), DIGEST, "what came back")
    return "came back"


@case("ncat", fast=True, moves=3 << 20)
def ncat(st):
    """ncat: keeps listening, TLS, a command for each connection, UDP"""
    st.server(
        "ncat", "-lk", "127.0.0.1", PORT, "-c", "head -c 3145728 | sha256sum", port=PORT
    )
    # The server forgets its command once the client has said all: it waits.
    hold = f"(cat data; cat hold) | ncat 127.0.0.1 {PORT} | (head -c 64; echo >hold)"
    for _ in range(2):
        expect(st.shell(f"mkfifo hold; {hold}; rm hold"), DIGEST, "what it got")
    st.server(
        "sh", "-c", f"ncat -l --ssl --send-only 127.0.0.1 {PORT + 1} <data", port=PORT + 1
    )
    out = st.shell(f"ncat --recv-only --ssl 127.0.0.1 {PORT + 1} | sha256sum")
    expect(first(out), DIGEST, "what came by TLS")
    server = st.server("ncat", "-ul", "127.0.0.1", PORT + 2, udp=PORT + 2)
    st.shell(f"echo datagram | ncat -u --send-only 127.0.0.1 {PORT + 2}")
    return server.line()


@case("tcpserver", "tcpclient", moves=3 << 20)
def tcpserver(st):
    """tcpserver runs cat for each tcpclient"""
    st.server("tcpserver", "-R", "-H", "-l0", "127.0.0.1", PORT, "cat", port=PORT)
    script = "(cat data >&7; exec 7>&-) & head -c 3145728 <&6 | sha256sum"
    out = st.client("tcpclient", "-R", "-H", "-l0", "127.0.0.1", PORT, "sh", "-c", script)
    expect(first(out), DIGEST, "what came back")
    return "came back"


@case("busybox", moves=3 << 20)
def busybox_nc(st):
    """busybox nc to busybox nc"""
    server = st.server(
        "sh", "-c", f"busybox nc -l -p {PORT + 1} | sha256sum", port=PORT + 1
    )
    st.shell(f"busybox nc 127.0.0.1 {PORT + 1} <data")
    expect(first(server.line()), DIGEST, "what came")
    return "came"


@case("nc.traditional", moves=3 << 20)
def nc_traditional(st):
    """the other nc: a file, and UDP"""
    server = st.server(
        "sh", "-c", f"nc.traditional -l -p {PORT} | sha256sum", port=PORT
    )
    st.shell(f"nc.traditional -q 0 127.0.0.1 {PORT} <data")
    expect(first(server.line()), DIGEST, "what came")
    server = st.server("nc.traditional", "-u", "-l", "-p", PORT + 1, udp=PORT + 1)
    st.shell(f"echo datagram | nc.traditional -u -q 0 127.0.0.1 {PORT + 1}")
    return server.line()


PERL_SERVER = r"""
use IO::Socket::INET; use IO::Select;
my $l = IO::Socket::INET->new(Listen => 9, LocalAddr => "127.0.0.1:7000", ReuseAddr => 1) or die;
my $set = IO::Select->new($l);
while (1) {
    for my $s ($set->can_read) {
        if ($s == $l) { $set->add($l->accept); next; }
        my $n = sysread($s, my $b, 65536);
        if (!$n) { $set->remove($s); close $s; next; }
        my $at = 0;
        while ($at < $n) { $at += syswrite($s, $b, $n - $at, $at) // die; }
    }
}
"""
PERL_CLIENT = r"""
use IO::Socket::INET; use Digest::SHA;
my @all = map { IO::Socket::INET->new(PeerAddr => "127.0.0.1:7000") or die } 1..5;
open my $f, "<:raw", "data"; local $/; my $data = <$f>;
for my $s (@all) {
    my $sum = Digest::SHA->new(256); my $at = 0;
    while ($at < length $data) {
        my $n = syswrite($s, substr($data, $at, 30000)); my $got = 0;
        while ($got < $n) { my $r = sysread($s, my $b, $n - $got) or die; $got += $r; $sum->add($b); }
        $at += $n;
    }
    print $sum->hexdigest, " ", $s->peerport, "\n"; close $s;
}
"""


@case("perl", fast=True, moves=15 << 20)
def perl(st):
    """perl: a server with select, a client of five connections"""
    st.server("perl", "-e", PERL_SERVER, port=PORT)
    expect(set(st.client("perl", "-e", PERL_CLIENT).split()), {DIGEST, "7000"}, "sums")
    return "equal"


@case("openssl", fast=True, moves=3 << 20)
def openssl(st):
    """openssl s_server and s_client: a file, a session that is resumed"""
    make_certificates(st.dir)
    st.server("openssl", "s_server", "-accept", f"127.0.0.1:{PORT}", "-cert", "server.pem",
              "-key", "server.key", "-WWW", "-quiet", port=PORT)  # fmt: skip
    ask = f"openssl s_client -connect 127.0.0.1:{PORT} -servername localhost -CAfile ca.pem"
    out = st.shell(
        f"printf 'GET /data HTTP/1.0\\r\\n\\r\\n' | {ask} -quiet -verify_return_error 2>/dev/null"
        f" | sed '1,/^\\r$/d' | sha256sum"
    )
    expect(first(out), DIGEST, "the file")
    said = []
    for version in ("-tls1_2", "-tls1_3"):
        out = st.shell(
            f"printf 'GET /server.pem HTTP/1.0\\r\\n\\r\\n' | {ask} {version} -ign_eof"
        )
        said += [line for line in out.splitlines() if "Verif" in line or "New, TLS" in line]
    st.shell(f"{ask} -tls1_2 -sess_out sess </dev/null >/dev/null 2>&1")
    out = st.shell(f"{ask} -tls1_2 -sess_in sess </dev/null 2>&1 | grep -E '^(New|Reused)'")
    return said, out


@case("openssl", fast=True)
def dtls(st):
    """openssl over UDP: DTLS"""
    make_certificates(st.dir)
    server = st.server("openssl", "s_server", "-dtls", "-accept", f"127.0.0.1:{PORT}", "-cert",
              "server.pem", "-key", "server.key", "-quiet", udp=PORT)  # fmt: skip
    out = st.shell(
        f"(echo by DTLS; sleep 1) | openssl s_client -dtls -connect 127.0.0.1:{PORT} -CAfile ca.pem"
        f" 2>/dev/null | grep 'Verification'"
    )
    expect(server.line(), "by DTLS", "what came")
    return out


@case("stunnel4", "socat", "openssl", moves=9 << 20)
def stunnel(st):
    """stunnel to stunnel: TLS between two programs without it"""
    make_certificates(st.dir)
    st.server(
        "socat", f"TCP-LISTEN:{PORT},reuseaddr,fork,bind=127.0.0.1", "PIPE", port=PORT
    )
    common = "foreground = yes\npid =\nsyslog = no\n"
    far = st.write(
        "far.conf",
        f"{common}[s]\naccept = 127.0.0.1:{PORT + 1}\n"
        f"connect = 127.0.0.1:{PORT}\ncert = server.pem\nkey = server.key\n",
    )
    near = st.write(
        "near.conf",
        f"{common}[c]\nclient = yes\naccept = 127.0.0.1:{PORT + 2}\n"
        f"connect = 127.0.0.1:{PORT + 1}\nCAfile = ca.pem\nverifyChain = yes\n",
    )
    st.server("stunnel4", far, port=PORT + 1)
    st.server("stunnel4", near, port=PORT + 2)
    many = [
        st.begin("sh", "-c", f"socat -t60 - TCP:127.0.0.1:{PORT + 2} <data | sha256sum")
        for _ in range(3)
    ]
    for child in many:
        expect(first(st.finish(child)), DIGEST, "what came back")
    return "came back"
