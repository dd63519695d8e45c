# Fetches a page over HTTPS and prints it, after checking the server's name
# against a certificate authority.
# SPDX-License-Identifier: MIT
#
# usage: https_client.py URL [CA_FILE]     CA_FILE: DER; none: no check
import socket
import ssl
import sys

URL = sys.argv[1] if len(sys.argv) > 1 else "https://127.0.0.1:8443/"
CA_FILE = sys.argv[2] if len(sys.argv) > 2 else None


def context():
    ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if CA_FILE:
        ctx.verify_mode = ssl.CERT_REQUIRED
        with open(CA_FILE, "rb") as f:
            ctx.load_verify_locations(f.read())
    else:
        ctx.verify_mode = ssl.CERT_NONE
    return ctx


def get(url):
    scheme, _, host, path = url.split("/", 3)
    port = "443"
    if ":" in host:
        host, port = host.split(":")
    family, kind, proto, _, addr = socket.getaddrinfo(
        host, int(port), 0, socket.SOCK_STREAM
    )[0]
    raw = socket.socket(family, kind, proto)
    raw.settimeout(10)
    raw.connect(addr)
    s = context().wrap_socket(raw, server_hostname=host)
    s.write("GET /%s HTTP/1.0\r\nHost: %s\r\n\r\n" % (path, host))
    status = s.readline().split(None, 2)
    print("status:", int(status[1]))
    while s.readline() not in (b"\r\n", b""):
        pass
    body = s.read()
    s.close()
    return body


print(str(get(URL), "utf-8"), end="")
