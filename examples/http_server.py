# Serves one page over HTTP.
# SPDX-License-Identifier: MIT
#
# usage: http_server.py [PORT [REQUESTS]]     0 requests: for ever
#
# Try it with: curl http://ADDRESS:8080/
import socket
import sys

PORT = int(sys.argv[1]) if len(sys.argv) > 1 else 8080
REQUESTS = int(sys.argv[2]) if len(sys.argv) > 2 else 0

PAGE = """<!DOCTYPE html>
<title>near core</title>
<p>Request %d, %s of %s. This core has no network of its own.</p>
"""

ANSWER = """HTTP/1.1 %s\r
Content-Type: text/html; charset=utf-8\r
Content-Length: %d\r
Connection: close\r
\r
"""


def serve(conn, number):
    request = str(conn.readline(), "utf-8").split()
    while conn.readline() not in (b"\r\n", b""):
        pass
    if len(request) < 3:
        return
    method, path = request[:2]
    status = "200 OK" if path == "/" else "404 Not Found"
    page = PAGE % (number, method, path)
    conn.write(ANSWER % (status, len(page)))
    if method != "HEAD":
        conn.write(page)
    print(method, path, status)


def main():
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(socket.getaddrinfo("0.0.0.0", PORT)[0][-1])
    s.listen(5)
    print("serving on", PORT)
    number = 0
    while REQUESTS == 0 or number < REQUESTS:
        conn, _ = s.accept()
        number += 1
        try:
            conn.settimeout(10)
            serve(conn, number)
        except OSError as e:
            print("request failed:", e)
        finally:
            conn.close()
    s.close()


main()
