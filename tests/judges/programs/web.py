# Servers and clients of HTTP.
# SPDX-License-Identifier: MIT

import hashlib
import re
import signal
from pathlib import Path

from certificates import make_certificates
from harness import until
from stage import DATA, DIGEST, case, expect

HTTP, HTTPS = 8080, 8443
URL = f"http://127.0.0.1:{HTTP}"
URLS = f"https://localhost:{HTTPS}"
MANY = 40  # small files


def files(st):
    """www/data, and small ones."""
    www = st.dir / "www"
    www.mkdir()
    (www / "data").write_bytes(DATA)
    for i in range(MANY):
        (www / f"small{i}").write_bytes(DATA[i * 1000 : i * 1000 + 1 + i * i * 10])
    return www


def sum_of_small():
    digest = hashlib.sha256()
    for i in range(MANY):
        digest.update(DATA[i * 1000 : i * 1000 + 1 + i * i * 10])
    return digest.hexdigest()


def nginx(st, workers, more="", tls=False):
    files(st)
    (st.dir / "up").mkdir()
    (st.dir / "up").chmod(0o777)
    process = f"worker_processes {workers};" if workers else "master_process off;"
    listen = f"listen 127.0.0.1:{HTTP}; listen [::1]:{HTTP};"
    if tls:
        make_certificates(st.dir)
        listen += (
            f"listen 127.0.0.1:{HTTPS} ssl http2; ssl_certificate server.pem;"
            f"ssl_certificate_key server.key;"
        )
    paths = " ".join(
        f"{p}_temp_path {st.dir}/tmp_{p};"
        for p in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    st.write(
        "nginx.conf",
        f"daemon off; {process} user root; pid {st.dir}/pid; error_log stderr;\n"
        f"events {{ worker_connections 512; }}\n"
        f"http {{ access_log off; sendfile on; {paths} client_max_body_size 99m;\n"
        f"  server {{ {listen} root {st.dir}/www;\n"
        f"    location /up/ {{ root {st.dir}; dav_methods PUT DELETE; }}\n"
        f"    {more} }} }}\n",
    )
    ports = (HTTP, HTTPS) if tls else HTTP
    return st.server("nginx", "-p", st.dir, "-c", st.dir / "nginx.conf", port=ports)


def fetch(st, options, url):
    return st.shell(f"curl -sS {options} {url} | sha256sum").split()[0]


def fetch_all(st, options, url):
    """What curl can ask a server for."""
    expect(fetch(st, options, f"{url}/data"), DIGEST, "the file")
    part = fetch(st, f"{options} -r 1000-70999", f"{url}/data")
    expect(part, hashlib.sha256(DATA[1000:71000]).hexdigest(), "a range")
    twice = st.shell(
        f"curl -sS {options} -w '%{{num_connects}} %{{http_code}}\\n' -o one {url}/data "
        f"-o two {url}/small9 -o three {url}/none"
    )
    st.expect_file("one")
    head = st.shell(f"curl -sSI {options} {url}/data | grep -i '^content-length'")
    st.client("mkdir", "-p", "many")
    st.shell(
        f"curl -sSZ {options} --parallel-max 20 '{url}/small[0-{MANY - 1}]' -o many/#1"
    )
    joined = b"".join((st.dir / f"many/{i}").read_bytes() for i in range(MANY))
    expect(hashlib.sha256(joined).hexdigest(), sum_of_small(), "many at once")
    st.client("rm", "-r", "many")
    return f"{twice}; {head.strip()}"


def upload(st, options, url):
    code = st.shell(f"curl -sS {options} -w '%{{http_code}}' -T data {url}/up/new")
    st.expect_file("up/new")
    (st.dir / "up/new").unlink()
    return code


@case("curl", "nginx", fast=True, moves=3 << 20)
def nginx_alone(st):
    """nginx without workers: files, ranges, many at once, uploads"""
    nginx(st, 0)
    return fetch_all(st, "", URL) + upload(st, "", URL)


@case("curl", "nginx", moves=3 << 20)
def nginx_workers(st):
    """nginx with three workers"""
    nginx(st, 3)
    return fetch_all(st, "", URL) + upload(st, "", URL)


@case("curl", "nginx", "openssl", fast=True, moves=3 << 20)
def nginx_tls(st):
    """nginx with workers over TLS, HTTP 1.1 and 2"""
    nginx(st, 2, tls=True)
    safe = "--cacert ca.pem"
    return [
        fetch_all(st, f"{safe} {version}", URLS) + upload(st, f"{safe} {version}", URLS)
        for version in ("--http1.1", "--http2")
    ]


@case("curl", "nginx")
def nginx_ipv6(st):
    """nginx over IPv6, reloaded while it serves"""
    server = nginx(st, 2)
    url = f"http://[::1]:{HTTP}/data"
    expect(fetch(st, "-g", url), DIGEST, "the file")
    before = children(server.pid)
    server.send_signal(signal.SIGHUP)
    until("other workers", lambda: not before & children(server.pid))
    expect(fetch(st, "-g", url), DIGEST, "the file after the reload")
    return "served"


def children(pid):
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    return set(text.split())


@case("nginx", "ab", fast=True, moves=1 << 20)
def ab(st):
    """ab asks nginx 3000 times over 20 connections"""
    nginx(st, 2)
    out = st.client("ab", "-q", "-k", "-n", "3000", "-c", "20", f"{URL}/small9")
    wanted = r"(Complete requests|Failed requests|HTML transferred|Document Length): +(\d+)"
    return re.findall(wanted, out)


@case("nginx", "wrk", moves=100 << 10)
def wrk(st):
    """wrk keeps 50 connections to nginx busy"""
    nginx(st, 2)
    out = st.client("wrk", "-t2", "-c50", "-d2s", f"{URL}/small9")
    served = int(re.search(r"(\d+) requests in", out)[1])
    expect(served > 0, True, f"{served} requests")
    return re.findall(r"Socket errors.*|Non-2xx.*", out)


@case("nginx", "wget", fast=True, moves=3 << 20)
def wget(st):
    """wget fetches, and goes on where it stopped"""
    nginx(st, 1)
    st.client("wget", "-q", "-O", "got", f"{URL}/data")
    st.expect_file("got")
    (st.dir / "data").rename(st.dir / "whole")
    (st.dir / "data").write_bytes(DATA[:1234567])
    st.client("wget", "-q", "-c", f"{URL}/data")
    st.expect_file("data")
    out = st.client("wget", "-nv", "-O", "-", f"{URL}/none", status=8)
    return out


@case("nginx", "aria2c", moves=3 << 20)
def aria2(st):
    """aria2c fetches a file in parts over eight connections"""
    nginx(st, 2)
    st.client("aria2c", "-q", "-x8", "-s8", "-k1M", "-o", "got", f"{URL}/data")
    st.expect_file("got")
    return "fetched"


@case("lighttpd", "curl", moves=3 << 20)
def lighttpd(st):
    """lighttpd serves curl"""
    www = files(st)
    conf = st.write(
        "lighttpd.conf",
        f'server.document-root = "{www}"\nserver.port = {HTTP}\n'
        f'server.bind = "127.0.0.1"\nserver.upload-dirs = ("{st.dir}")\n',
    )
    st.server("lighttpd", "-D", "-f", conf, port=HTTP)
    return fetch_all(st, "", URL)


@case("haproxy", "nginx", "curl", moves=6 << 20)
def haproxy(st):
    """haproxy between curl and nginx, by TCP and by HTTP"""
    nginx(st, 1)
    conf = st.write(
        "haproxy.cfg",
        "defaults\n timeout connect 9s\n timeout client 9s\n timeout server 9s\n"
        f"listen a\n mode http\n bind 127.0.0.1:8001\n server s 127.0.0.1:{HTTP} check inter 100\n"
        f"listen b\n mode tcp\n bind 127.0.0.1:8002\n server s 127.0.0.1:{HTTP}\n",
    )
    st.server("haproxy", "-db", "-f", conf, port=(8001, 8002))
    return [fetch_all(st, "", f"http://127.0.0.1:{port}") for port in (8001, 8002)]


@case("apache2", "curl", moves=3 << 20)
def apache(st):
    """apache2: processes with threads, and each process's own listener"""
    www = files(st)
    conf = st.write(
        "apache.conf",
        "".join(
            f"LoadModule {m}_module /usr/lib/apache2/modules/mod_{m}.so\n"
            for m in ("mpm_event", "authz_core")
        )
        + f"ServerRoot {st.dir}\nPidFile {st.dir}/pid\nErrorLog {st.dir}/errors\n"
        f"ServerName localhost\nListen 127.0.0.1:{HTTP}\nUser nobody\nGroup nogroup\n"
        f"StartServers 2\nThreadsPerChild 8\nMaxRequestWorkers 32\nDocumentRoot {www}\n",
    )
    st.server("apache2", "-D", "FOREGROUND", "-f", conf, port=HTTP)
    return fetch_all(st, "", URL)


@case("siege", "nginx", moves=500 << 10)
def siege(st):
    """siege: 500 requests of ten users"""
    nginx(st, 2)
    out = st.client("siege", "-q", "-j", "-b", "-c10", "-r50", f"{URL}/small9")
    return re.findall(r'"(transactions|availability|failed_transactions)":\s+([\d.]+)', out)


@case("microsocks", "nginx", "curl", moves=3 << 20)
def socks(st):
    """microsocks between curl and nginx: SOCKS 5"""
    nginx(st, 1)
    st.server("microsocks", "-i", "127.0.0.1", "-p", "1080", port=1080)
    return fetch_all(st, "-x socks5h://127.0.0.1:1080 --noproxy ''", URL)


@case("tinyproxy", "nginx", "curl", moves=3 << 20)
def tinyproxy(st):
    """tinyproxy between curl and nginx"""
    nginx(st, 1)
    conf = st.write(
        "tiny.conf", "Port 8888\nListen 127.0.0.1\nLogLevel Error\nUser root\nGroup root\n"
    )
    st.server("tinyproxy", "-d", "-c", conf, port=8888)
    return fetch_all(st, "-x http://127.0.0.1:8888 --noproxy ''", URL)


@case("python3", "curl", fast=True, moves=3 << 20)
def http_server(st):
    """python3 -m http.server serves curl"""
    www = files(st)
    st.server("/usr/bin/python3", "-m", "http.server", "-b", "127.0.0.1", "-d", www,
              HTTP, port=HTTP)  # fmt: skip
    expect(fetch(st, "", f"{URL}/data"), DIGEST, "the file")
    return fetch_all_simple(st)


def fetch_all_simple(st):
    """Without ranges."""
    st.shell(f"curl -sSZ --parallel-max 10 '{URL}/small[0-{MANY - 1}]' -o s#1")
    joined = b"".join((st.dir / f"s{i}").read_bytes() for i in range(MANY))
    expect(hashlib.sha256(joined).hexdigest(), sum_of_small(), "many at once")
    return st.shell(f"curl -sS -w '%{{http_code}}' -o /dev/null {URL}/none")


@case("busybox", fast=True, moves=3 << 20)
def busybox(st):
    """busybox httpd serves busybox wget"""
    www = files(st)
    st.server("busybox", "httpd", "-f", "-p", f"127.0.0.1:{HTTP}", "-h", www, port=HTTP)
    st.client("busybox", "wget", "-q", "-O", "got", f"{URL}/data")
    st.expect_file("got")
    st.client("busybox", "wget", "-q", "-O", "small", f"{URL}/small7")
    return st.digest("small")


NODE_SERVER = """
const fs = require('fs');
require('http').createServer((q, a) => {
  if (q.method === 'POST') q.pipe(a); else fs.createReadStream('data').pipe(a);
}).listen(8080, '127.0.0.1');
"""
NODE_CLIENT = """
const http = require('http'), fs = require('fs'), crypto = require('crypto');
const agent = new http.Agent({keepAlive: true, maxSockets: 5});
function ask(method, body) {
  return new Promise((good, bad) => {
    const q = http.request({port: 8080, host: '127.0.0.1', agent, method}, a => {
      const h = crypto.createHash('sha256');
      a.on('data', d => h.update(d)); a.on('end', () => good(h.digest('hex')));
    });
    q.on('error', bad);
    if (body) fs.createReadStream(body).pipe(q); else q.end();
  });
}
Promise.all([...Array(12).keys()].map(i => ask(i % 2 ? 'POST' : 'GET', i % 2 && 'data')))
  .then(all => { console.log([...new Set(all)].join()); agent.destroy(); });
"""


@case("node", moves=10 << 20)
def node(st):
    """node serves node, 12 requests over 5 connections"""
    st.server("node", st.write("server.js", NODE_SERVER), port=HTTP)
    expect(st.client("node", st.write("client.js", NODE_CLIENT)).strip(), DIGEST, "sums")
    return "equal"


@case("nghttpd", "h2load", "openssl", moves=1 << 20)
def h2load(st):
    """h2load asks nghttpd 2000 times by HTTP/2 over TLS"""
    make_certificates(st.dir)
    www = files(st)
    st.server("nghttpd", "-d", www, "-a", "127.0.0.1", HTTPS, "server.key", "server.pem",
              port=HTTPS)  # fmt: skip
    out = st.client("h2load", "-n2000", "-c10", "-m10", f"{URLS}/small9")
    return re.findall(r"requests: .*|status codes: .*", out)
