# Servers and clients in languages with sockets of their own.
# SPDX-License-Identifier: MIT

from harness import skip
from stage import DIGEST, case, expect

PORT = 7100

TCL_SERVER = r"""
proc serve {s host port} {
    fconfigure $s -translation binary -blocking 0 -buffersize 100000
    fcopy $s $s -command [list done $s]
}
proc done {s args} { close $s }
socket -server serve -myaddr 127.0.0.1 7100
vwait forever
"""
TCL_CLIENT = r"""
set s [socket 127.0.0.1 7100]
fconfigure $s -translation binary -blocking 0
puts [lindex [fconfigure $s -peername] 2]
set f [open data rb]
fcopy $f $s -command [list sent $s]
proc sent {s args} { close $s write }
set out [open got wb]
fileevent $s readable { puts -nonewline $out [read $s]; if {[eof $s]} { set over 1 } }
vwait over
close $out
"""


@case("tclsh", moves=6 << 20)
def tcl(st):
    """tcl: fcopy back to whoever sent, and a half-closed connection"""
    st.server("tclsh", st.write("server.tcl", TCL_SERVER), port=PORT)
    said = st.client("tclsh", st.write("client.tcl", TCL_CLIENT))
    st.expect_file("got")
    return said


LOOP_SERVER = """
import asyncio, sys
if sys.argv[1] == "uvloop": import uvloop; uvloop.install()
async def serve(r, w):
    while d := await r.read(65536): w.write(d); await w.drain()
    w.close()
class Echo(asyncio.DatagramProtocol):
    def connection_made(self, t): self.t = t
    def datagram_received(self, d, a): self.t.sendto(d[::-1], a)
async def main():
    await asyncio.get_running_loop().create_datagram_endpoint(Echo, ("127.0.0.1", 7100))
    await (await asyncio.start_server(serve, "127.0.0.1", 7100)).serve_forever()
asyncio.run(main())
"""
LOOP_CLIENT = """
import asyncio, hashlib, sys
if sys.argv[1] == "uvloop": import uvloop; uvloop.install()
data = open("data", "rb").read()
async def one():
    r, w = await asyncio.open_connection("127.0.0.1", 7100)
    async def send(): w.write(data); await w.drain(); w.write_eof()
    got, _ = await asyncio.gather(r.read(-1), send())
    w.close(); await w.wait_closed()
    return hashlib.sha256(got).hexdigest()
class Ask(asyncio.DatagramProtocol):
    def connection_made(self, t): t.sendto(b"hello")
    def datagram_received(self, d, a): answer.set_result(d)
async def main():
    global answer
    answer = asyncio.get_running_loop().create_future()
    t, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        Ask, remote_addr=("127.0.0.1", 7100))
    print(await asyncio.wait_for(answer, 20)); t.close()
    print(*set(await asyncio.gather(*(one() for _ in range(8)))))
asyncio.run(main())
"""


def loops(st, kind):
    python = "/usr/bin/python3", "-c"
    if kind == "uvloop" and "no" in st.prepare(
        "/usr/bin/python3 -c 'import uvloop' || echo no"
    ):
        skip("no python3-uvloop here")
    st.server(*python, LOOP_SERVER, kind, port=PORT, udp=PORT)
    said = st.client(*python, LOOP_CLIENT, kind)
    expect(said.split(), ["b'olleh'", DIGEST], "what came back")
    return said


@case("python3", fast=True, moves=24 << 20)
def asyncio(st):
    """asyncio: eight streams at once, and datagrams"""
    return loops(st, "asyncio")


@case("python3", moves=24 << 20)
def uvloop(st):
    """uvloop (libuv): eight streams at once, and datagrams"""
    return loops(st, "uvloop")
