# Interpreters whose network is a library of their own, and servers in them.
# SPDX-License-Identifier: MIT

from harness import skip
from stage import DIGEST, case, expect

PORT = 7200

PHP_SERVER = """<?php
$d = file_get_contents("php://input");
echo strlen($d), " ", hash("sha256", $d), " ", $_SERVER["REMOTE_ADDR"], "\n";
"""
PHP_CLIENT = r"""<?php
echo hash("sha256", file_get_contents("http://127.0.0.1:7200/data")), "\n";
$c = stream_socket_client("tcp://127.0.0.1:7200");
fwrite($c, "GET /index.php HTTP/1.0\r\n\r\n");
echo stream_socket_get_name($c, true), " ", strlen(stream_get_contents($c)) > 10, "\n";
$s = socket_create(AF_INET, SOCK_STREAM, SOL_TCP); // an extension, bound deeply
echo socket_connect($s, "127.0.0.1", 7200), " ";
echo socket_write($s, "GET /index.php HTTP/1.0\r\n\r\n"), " ", socket_read($s, 8), "\n";
"""


@case("php", "curl", moves=6 << 20)
def php(st):
    """php serves, and asks by streams and by its extension for sockets"""
    st.write("index.php", PHP_SERVER)
    st.server("php", "-S", "127.0.0.1:7200", "-t", st.dir, port=PORT)
    said = st.client("curl", "-s", "--data-binary", "@data", "http://127.0.0.1:7200/index.php")
    expect(DIGEST in said, True, said)
    return said + st.client("php", st.write("client.php", PHP_CLIENT))


RUBY_SERVER = """
require "socket"
s = TCPServer.new("127.0.0.1", 7200)
loop { Thread.new(s.accept) { |c| while (d = c.readpartial(65536) rescue nil); c.write d; end; c.close } }
"""
RUBY_CLIENT = """
require "socket"; require "digest"
data = File.binread("data")
3.times {
  c = TCPSocket.new("127.0.0.1", 7200); got = +""
  t = Thread.new { while d = c.read(10000); got << d; end }
  c.write data; c.close_write; t.join; puts Digest::SHA256.hexdigest(got)
}
c = Socket.tcp("127.0.0.1", 7200)
c.write_nonblock "abc"; IO.select([c], nil, nil, 20); p c.read_nonblock(10)
begin; c.read_nonblock(10); rescue IO::WaitReadable; puts "would wait"; end
c.puts "line"; p c.gets, IO.copy_stream("data", c, 5000), c.read(5000).size
if fork.nil? then c.write "child"; exit! 0 end
Process.wait; p c.readpartial(100)
u = UDPSocket.new; u.bind("127.0.0.1", 0); u.connect("127.0.0.1", u.addr[1])
u.send "datagram", 0; p u.recvfrom(10)[0]
"""


@case("ruby", moves=18 << 20)
def ruby(st):
    """ruby: threads, buffered and non-blocking reads, copy_stream, a fork"""
    st.server("ruby", st.write("server.rb", RUBY_SERVER), port=PORT)
    said = st.client("ruby", st.write("client.rb", RUBY_CLIENT))
    expect(said.count(DIGEST), 3, said)
    return said


ERLANG = """
-module(s). -export([s/0,c/0]).
s() -> {ok,L}=gen_tcp:listen(7200,[binary,{active,true},{ip,{127,0,0,1}},{reuseaddr,true}]), a(L).
a(L) -> {ok,S}=gen_tcp:accept(L), P=spawn(fun() -> receive go -> e(S) end end),
    gen_tcp:controlling_process(S,P), P ! go, a(L).
e(S) -> receive {tcp,S,D} -> gen_tcp:send(S,D), e(S); {tcp_closed,S} -> ok end.
c() -> {ok,D}=file:read_file("data"),
    {ok,S}=gen_tcp:connect({127,0,0,1},7200,[binary,{active,false}]),
    spawn_link(fun() -> gen_tcp:send(S,D) end), {ok,R}=gen_tcp:recv(S,byte_size(D)),
    io:format("~p ~p ~p~n",[R==D, inet:peername(S), gen_tcp:recv(S,1,50)]),
    io:format("~p~n",[gen_tcp:connect({127,0,0,1},7209,[])]),
    {ok,U}=gen_udp:open(0,[binary,{active,false},{ip,{127,0,0,1}}]), {ok,N}=inet:port(U),
    gen_udp:send(U,{127,0,0,1},N,"hi"), {ok,{_,_,M}}=gen_udp:recv(U,0,20000),
    io:format("~p~n",[M]), init:stop().
"""


@case("erl", "erlc", moves=6 << 20)
def erlang(st):
    """erlang: active and passive sockets of its own poll threads"""
    st.write("s.erl", ERLANG)
    st.prepare("erlc s.erl")
    st.server("erl", "-noshell", "-noinput", "-s", "s", "s", port=PORT)
    said = st.client("erl", "-noshell", "-noinput", "-s", "s", "c")
    expect(said.startswith("true"), True, said)
    return said


PERL_SERVER = """
use HTTP::Daemon;
my $d = HTTP::Daemon->new(LocalAddr => "127.0.0.1", LocalPort => 7200, ReuseAddr => 1) or die;
$SIG{CHLD} = "IGNORE";
while (my $c = $d->accept) {
    if (fork) { close $c; next }
    while (my $r = $c->get_request) { $c->send_file_response("data") }
    exit
}
"""


@case("perl", "curl", moves=6 << 20)
def perl_daemon(st):
    """HTTP::Daemon of perl forks for each connection"""
    # Whether the module is there.
    if "no" in st.prepare("perl -MHTTP::Daemon -e 1 2>/dev/null || echo no"):
        skip("no HTTP::Daemon here")
    st.server("perl", st.write("server.pl", PERL_SERVER), port=PORT)
    url = "http://127.0.0.1:7200/"
    said = st.shell(f"for i in 1 2; do curl -s {url} | sha256sum; done; curl -s {url} {url} | wc -c")
    expect(said.count(DIGEST), 2, said)
    return said


APPLICATION = """
import hashlib
def app(environ, start):
    d = environ["wsgi.input"].read(); start("200 OK", [])
    return [hashlib.sha256(d).hexdigest().encode(), b" ", d]
"""


@case("gunicorn", "curl", moves=12 << 20)
def gunicorn(st):
    """gunicorn: processes with threads accept from one listener"""
    st.write("app.py", APPLICATION)
    st.server("gunicorn", "-w", "2", "--threads", "2", "-b", "127.0.0.1:7200", "app:app", port=PORT)
    once = "curl -s --data-binary @data http://127.0.0.1:7200/ | head -c 64; echo"
    said = st.shell(f"for i in 1 2 3 4; do {once}; done")
    expect(said.split(), [DIGEST] * 4, said)


ZMQ = """
import sys, zmq
s = zmq.Context().socket(zmq.REP if sys.argv[1] == "server" else zmq.REQ)
if sys.argv[1] == "server":
    s.bind("tcp://127.0.0.1:7200")
    while True: s.send(s.recv()[::-1])
s.connect("tcp://127.0.0.1:7200")
d = open("data", "rb").read()
for i in range(3): s.send(d); print(s.recv() == d[::-1])
"""


@case("/usr/bin/python3", moves=18 << 20)
def zeromq(st):
    """zeromq's own threads and messages"""
    if "no" in st.prepare("/usr/bin/python3 -c 'import zmq' 2>/dev/null || echo no"):
        skip("no zmq for python3 here")
    script = st.write("zmq_both.py", ZMQ)
    st.server("/usr/bin/python3", script, "server", port=PORT)
    return st.client("/usr/bin/python3", script, "client")
