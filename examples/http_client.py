# Fetches a page over HTTP and prints it.
# SPDX-License-Identifier: MIT
#
# usage: http_client.py [URL]
import socket
import sys

URL = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8080/"


def split(url):
    scheme, _, host, path = url.split("/", 3)
    if scheme != "http:":
        raise ValueError("only http: here, see https_client.py")
    port = "80"
    if ":" in host:
        host, port = host.split(":")
    return host, int(port), "/" + path


def get(url):
    host, port, path = split(url)
    family, kind, proto, _, addr = socket.getaddrinfo(
        host, port, 0, socket.SOCK_STREAM
    )[0]
    s = socket.socket(family, kind, proto)
    s.settimeout(10)
    s.connect(addr)
    s.write("GET %s HTTP/1.0\r\nHost: %s\r\n\r\n" % (path, host))

    status = s.readline().split(None, 2)
    print("status:", int(status[1]))
    length = None
    while True:
        line = s.readline()
        if line in (b"\r\n", b""):
            break
        name, _, value = str(line, "utf-8").partition(":")
        if name.lower() == "content-length":
            length = int(value)
    body = s.read() if length is None else s.read(length)
    s.close()
    return body


print(str(get(URL), "utf-8"), end="")
