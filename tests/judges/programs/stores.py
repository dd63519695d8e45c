# Data bases, brokers and caches.
# SPDX-License-Identifier: MIT

import hashlib
import re
from pathlib import Path

from certificates import make_certificates
from harness import skip, until
from stage import DATA, DIGEST, case, expect

REDIS, MQTT, CACHE, QUEUE = 6379, 1883, 11211, 11300


def redis(st, port, *more):
    return st.server(
        "redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
        "--enable-debug-command", "yes", *more, port=port,
    )  # fmt: skip


def cli(st, *words, port=REDIS):
    return st.client("redis-cli", "-p", port, *words).strip()


@case("redis-server", "redis-cli", "redis-benchmark", fast=True, moves=3 << 20)
def redis_alone(st):
    """redis: a large value, a flood of commands, redis-benchmark"""
    redis(st, REDIS)
    expect(st.shell("redis-cli -x set big <data").strip(), "OK", "set")
    out = st.shell("redis-cli --raw get big | head -c 3145728 | sha256sum")
    expect(out.split()[0], DIGEST, "get")
    lines = "".join(f"set key{i} {'v' * (i % 100)}{i}\r\n" for i in range(20000))
    st.write("flood", lines)
    out = st.shell("redis-cli --pipe <flood")
    expect("errors: 0, replies: 20000" in out, True, out)
    out = st.client(
        "redis-benchmark",
        "-q",
        "-n",
        "4000",
        "-c",
        "20",
        "-P",
        "8",
        "-t",
        "set,incr,lrange_100",
    )
    expect(len(re.findall(r"[\d.]+ requests per second", out)) >= 4, True, out)
    return cli(
        st, "debug", "digest-value", "big", "key77", "key19999", "counter:__rand_int__"
    ), cli(st, "strlen", "key99")


@case("redis-server", "redis-cli", moves=3 << 20)
def redis_copies(st):
    """redis: a copy follows its master, with subscribers"""
    redis(st, REDIS)
    st.shell("redis-cli -x set big <data")
    redis(st, REDIS + 1, "--replicaof", "127.0.0.1", REDIS)
    until(
        "the copy",
        lambda: "link_status:up" in cli(st, "info", "replication", port=REDIS + 1),
    )
    ear = st.begin("redis-cli", "-p", REDIS + 1, "subscribe", "news")
    ear.expect("^1$")
    cli(st, "set", "later", "x")
    cli(st, "publish", "news", "hello")
    ear.expect("hello")
    cli(st, "wait", "1", "5000")
    digest = cli(st, "debug", "digest")
    expect(cli(st, "debug", "digest", port=REDIS + 1), digest, "the copy's digest")
    return digest


def broker(st, conf, port):
    """Its log says who has subscribed."""
    return st.server("sh", "-c", f"exec mosquitto -v -c {conf} 2>&1", port=port)


@case("mosquitto", "mosquitto_pub", "mosquitto_sub", fast=True)
def mosquitto(st):
    """mosquitto: each quality of service, retained, a large message"""
    conf = st.write("m.conf", f"listener {MQTT} 127.0.0.1\nallow_anonymous true\n")
    server = broker(st, conf, MQTT)
    said = []
    for quality in "012":
        ear = st.begin("mosquitto_sub", "-t", "t/#", "-q", quality, "-C", "50", "-v")
        server.expect("Sending SUBACK")
        st.shell(f"seq 1 50 | mosquitto_pub -t t/n -q {quality} -l")
        out = st.finish(ear)
        expect(
            re.findall(r"^t/n (\d+)$", out, re.M),
            [str(i) for i in range(1, 51)],
            f"messages of quality {quality}",
        )
        said.append(quality)
    st.client("mosquitto_pub", "-t", "kept", "-r", "-q", "1", "-f", "data")
    out = st.shell("mosquitto_sub -t kept -C 1 -N | sha256sum")
    expect(out.split()[0], DIGEST, "the retained message")
    st.client("mosquitto_pub", "-t", "kept", "-r", "-n")
    said.append(st.client("mosquitto_sub", "-t", "kept", "-W", "1", status=27))
    return said


@case("mosquitto", "mosquitto_sub", "openssl")
def mosquitto_tls(st):
    """mosquitto over TLS, with a last will"""
    make_certificates(st.dir)
    conf = st.write(
        "m.conf",
        f"listener 8883 127.0.0.1\nallow_anonymous true\nuser root\n"
        f"certfile {st.dir}/server.pem\nkeyfile {st.dir}/server.key\n",
    )
    server = broker(st, conf, 8883)
    where = ["-h", "localhost", "-p", "8883", "--cafile", "ca.pem"]
    ear = st.begin("mosquitto_sub", *where, "-t", "#", "-C", "1", "-v")
    server.expect("Sending SUBACK")
    dies = st.begin(
        "mosquitto_sub", *where, "-t", "x", "--will-topic", "gone", "--will-payload", "alas"
    )
    server.expect("Sending SUBACK")
    dies.kill()
    return st.finish(ear)


MEMCACHED_CLIENT = """
import hashlib, random, socket, struct
data = open("data", "rb").read()
s = socket.create_connection(("127.0.0.1", 11211)); f = s.makefile("rwb")
for i in range(200):
    value = data[i * 5000 : i * 5000 + i * 20]
    f.write(b"set k%d 0 0 %d\\r\\n%s\\r\\n" % (i, len(value), value))
f.write(b"set big 0 0 900000\\r\\n" + data[:900000] + b"\\r\\n"); f.flush()
print({f.readline() for _ in range(201)})
f.write(b"get big " + b" ".join(b"k%d" % i for i in range(200)) + b"\\r\\n"); f.flush()
sum = hashlib.sha256()
while (line := f.readline()) != b"END\\r\\n":
    n = int(line.split()[3]); sum.update(f.read(n)); f.readline()
print(sum.hexdigest())
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); u.settimeout(20)
for i in range(20):
    u.sendto(struct.pack("!4H", i, 0, 1, 0) + b"get k%d\\r\\n" % i, ("127.0.0.1", 11211))
    print(len(u.recv(2000)))
"""


@case("memcached", fast=True, moves=1 << 20)
def memcached(st):
    """memcached with four threads, by TCP and UDP"""
    st.server("memcached", "-u", "root", "-l", "127.0.0.1", "-p", CACHE, "-U", CACHE, "-I", "2m",
              port=CACHE, udp=CACHE)  # fmt: skip
    out = st.client("/usr/bin/python3", "-c", MEMCACHED_CLIENT)
    digest = hashlib.sha256(DATA[:900000])
    for i in range(200):
        digest.update(DATA[i * 5000 : i * 5000 + i * 20])
    expect(out.splitlines()[1], digest.hexdigest(), "values")
    return out


QUEUE_CLIENT = """
import hashlib, socket
s = socket.create_connection(("127.0.0.1", 11300)); f = s.makefile("rwb")
data = open("data", "rb").read()
for i in range(100):
    job = data[i * 1000 : i * 1000 + i * 600]
    f.write(b"put 0 0 60 %d\\r\\n%s\\r\\n" % (len(job), job)); f.flush(); f.readline()
sum = hashlib.sha256()
for i in range(100):
    f.write(b"reserve\\r\\n"); f.flush(); _, n, size = f.readline().split()
    sum.update(f.read(int(size))); f.readline()
    f.write(b"delete %s\\r\\n" % n); f.flush(); assert f.readline() == b"DELETED\\r\\n"
print(sum.hexdigest())
"""


@case("beanstalkd", moves=1 << 20)
def beanstalkd(st):
    """beanstalkd: a hundred jobs"""
    st.server("beanstalkd", "-l", "127.0.0.1", "-p", QUEUE, "-z", "65536", port=QUEUE)
    digest = hashlib.sha256()
    for i in range(100):
        digest.update(DATA[i * 1000 : i * 1000 + i * 600])
    expect(st.client("/usr/bin/python3", "-c", QUEUE_CLIENT), digest.hexdigest(), "jobs")
    return "all"


@case("psql", "setpriv", moves=1 << 20)
def postgresql(st):
    """postgresql: a process for each connection; COPY, a large result, pgbench"""
    found = [
        p
        for p in sorted(Path("/usr/lib/postgresql").glob("*/bin"))
        if (p / "initdb").exists()
    ]
    if not found:
        skip("no postgresql server here")
    home = st.dir / "db"
    home.mkdir()
    home.chmod(0o777)
    # It refuses to be root's.
    nobody = "setpriv --reuid=65534 --regid=65534 --clear-groups"
    st.prepare(
        f"{nobody} {found[-1]}/initdb -D {home}/d -A trust -U far --no-sync -E UTF8 --locale=C >&2"
    )
    st.server(*nobody.split(), found[-1] / "postgres", "-D", home / "d", "-k", home, "-c", "fsync=off",
              "-c", "listen_addresses=127.0.0.1", "-p", 5433, port=5433)  # fmt: skip
    sql = "psql -h 127.0.0.1 -p 5433 -U far -d postgres -qAtX -v ON_ERROR_STOP=1"
    until(
        "it is ready",
        lambda: st.shell(f"{sql} -c 'select 1' 2>/dev/null || echo no") == "1",
    )
    said = [st.shell(f"{sql} -c 'create table t (n int, s text)'")]
    st.write("rows", "".join(f"{i}\t{'x' * (i % 200)}{i}\n" for i in range(20000)))
    st.shell(f"{sql} -c '\\copy t from rows'")
    said.append(
        st.shell(f"{sql} -c 'select md5(string_agg(s, $$,$$ order by n)), count(*) from t'")
    )
    out = st.shell(f"{sql} -F '\t' -c 'select * from t order by n' | sha256sum")
    expect(out.split()[0], st.digest("rows"), "the rows")
    st.shell(f"{found[-1]}/pgbench -h 127.0.0.1 -p 5433 -U far -i -q postgres 2>&1")
    out = st.shell(
        f"{found[-1]}/pgbench -h 127.0.0.1 -p 5433 -U far -c 6 -j 2 -t 50 -n postgres"
    )
    said += re.findall(r"number of (?:transactions actually|failed).*", out)
    return said
