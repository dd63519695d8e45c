// What needs every CLEAN, INV and barrier of both sides, in parts: two sockets
// of one link talk to each other through farsockd's loopback, every byte is
// checked, and who sleeps beside bytes or room times out.
// SPDX-License-Identifier: MIT
//
//   usage: memory PART SECONDS [SEED [INDEX_BASE [LOST_SECONDS]]]
//
// Prints "ok ROUNDS", or ends with 1 at the first wrong result.

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "farsock/mem.h"
#include "farsock/posix.h"
#include "ports/posix/map.h"

#define MOST  20000u // bytes of one round
#define DGRAM 9000u  // more than a ring

static struct far_link *l;
static struct far_posix *posix;
static uint32_t seed = 1;
static uint32_t base = 0xffff8000u; // wraps soon
static uint64_t until;
static uint64_t lost_ns = 10000000000u; // nothing here takes that long
static uint8_t out[MOST];
static uint8_t in[MOST];
static bool interrupt;
static bool beats; // nobody reports a death but silence

static uint64_t soon(void) {
    return far_posix_now() + lost_ns;
}

static void fail(const char *what, long a, long b) {
    fprintf(stderr, "memory: %s: %ld, %ld\n", what, a, b);
    exit(1);
}

static long must(const char *what, long r) {
    if (r < 0) {
        fprintf(stderr, "memory: %s: %s\n", what, far_strerror((int)r));
        exit(1);
    }
    return r;
}

static uint32_t next(void) {
    seed = seed * 1664525u + 1013904223u;
    return seed >> 8;
}

static void fill(uint8_t *p, uint32_t len) {
    for (uint32_t i = 0; i < len; i++) {
        p[i] = (uint8_t)next();
    }
}

static bool is_interrupted(void *arg) {
    (void)arg;
    return interrupt;
}

static void open_link(void) {
    struct far_posix_options o = {
        .sockets = 6,
        .ring = 2048,
        .index_base = base,
        .wait_s = 5,
        .interrupted = is_interrupted,
        .beat = beats,
    };
    must("link", far_posix_open(&posix, &o));
    l = far_posix_link(posix);
}

// --- Pairs ---

struct pair {
    int a, b;
};

static struct far_addr loopback(uint16_t port) {
    return (struct far_addr){
        .family = FAR_AF_INET, .port = port, .ip = {127, 0, 0, 1}};
}

static int listener(struct far_addr *at) {
    *at = loopback(0);
    int s = (int)must("socket", far_socket(l, FAR_AF_INET, FAR_SOCK_STREAM, 0));
    must("bind", far_bind(l, s, at));
    must("listen", far_listen(l, s, 4));
    must("getsockname", far_getsockname(l, s, at));
    return s;
}

static struct pair connect_to(int s, const struct far_addr *at) {
    struct pair p;
    p.a = (int)must("socket", far_socket(l, FAR_AF_INET, FAR_SOCK_STREAM, 0));
    must("connect", far_connect(l, p.a, at, soon()));
    p.b = (int)must("accept", far_accept(l, s, NULL, soon()));
    int32_t on = 1;
    must("nodelay", far_setsockopt(l, p.a, 6, 1, &on, sizeof on));
    return p;
}

static struct pair stream_pair(void) {
    struct far_addr at;
    int s = listener(&at);
    struct pair p = connect_to(s, &at);
    must("close", far_close(l, s, soon()));
    return p;
}

static int dgram_socket(struct far_addr *at) {
    *at = loopback(0);
    int s = (int)must("socket", far_socket(l, FAR_AF_INET, FAR_SOCK_DGRAM, 0));
    must("bind", far_bind(l, s, at));
    must("getsockname", far_getsockname(l, s, at));
    return s;
}

// --- Moving bytes ---

static void put(int s, const uint8_t *p, uint32_t len) {
    long n = must("send", far_sendto(l, s, p, len, 0, NULL, soon()));
    if (n != (long)len) {
        fail("send took", n, len);
    }
}

// The same by the long way, as bytes in several pieces go.
static void put_pieces(int s, const uint8_t *p, uint32_t len) {
    struct far_iov iov[] = {
        {.len = 0}, {.base = (void *)(uintptr_t)p, .len = len}};
    struct far_msghdr m = {.iov = iov, .iov_count = 2};
    long n = must("sendmsg", far_sendmsg(l, s, &m, 0, soon()));
    if (n != (long)len) {
        fail("sendmsg took", n, len);
    }
}

static void get(int s, uint8_t *p, uint32_t len, bool all) {
    uint32_t flags = all ? FAR_MSG_WAITALL : 0;
    for (uint32_t got = 0; got < len;) {
        long n = must("recv",
            far_recvfrom(l, s, p + got, len - got, flags, NULL, NULL, soon()));
        if (n == 0) {
            fail("early end", got, len);
        }
        got += (uint32_t)n;
    }
}

static void same(const char *what, uint32_t len) {
    for (uint32_t i = 0; i < len; i++) {
        if (in[i] != out[i]) {
            fail(what, i, len);
        }
    }
}

static void get_end(int s) {
    uint8_t byte;
    long n = must("end", far_recvfrom(l, s, &byte, 1, 0, NULL, NULL, soon()));
    if (n != 0) {
        fail("no end", n, 0);
    }
}

static void poll_for(int s, uint32_t events) {
    struct far_pollfd f = {.sock = s, .events = events};
    long n = must("poll", far_poll(l, &f, 1, soon()));
    if (n != 1 || !(f.revents & events)) {
        fail("poll finds", n, f.revents);
    }
}

// --- Parts: one round each ---

static struct pair p;

static void begin_pair(void) {
    p = stream_pair();
}

// One byte there and back: somebody sleeps each time.
static void ping(void) {
    for (int i = 0; i < 50; i++) {
        struct pair q = i % 2 ? (struct pair){p.b, p.a} : p;
        fill(out, 1);
        put(q.a, out, 1);
        if (i % 4 == 2) {
            poll_for(q.b, FAR_POLLIN);
        }
        get(q.b, in, 1, false);
        same("ping", 1);
    }
}

// Several sends in a row, at odd times: while far serves one, the next comes.
static void drip(void) {
    for (int i = 0; i < 20; i++) {
        uint32_t count = 1u + next() % 4u;
        fill(out, count);
        for (uint32_t k = 0; k < count; k++) {
            for (uint32_t n = next() % 60000u; n > 0; n--) {
                atomic_signal_fence(memory_order_seq_cst);
            }
            if (i % 4 < 2) {
                put(p.a, out + k, 1);
            } else {
                put_pieces(p.a, out + k, 1);
            }
        }
        get(p.b, in, count, i % 2);
        same("drip", count);
    }
}

static void bulk(void) {
    uint32_t len = 1u + next() % (MOST - 1u);
    fill(out, len);
    put(p.a, out, len);
    get(p.b, in, len, next() % 2);
    same("bulk", len);
}

static void dawdle(void) {
    uint32_t n = next() % 16u ? next() % 600u : next() % 20000u;
    while (n-- > 0) {
        atomic_signal_fence(memory_order_seq_cst);
    }
}

// Hand-shakes as fast as they go, at random distances: one byte or a few,
// either way, and somebody waits for the last of them.
static void hammer(void) {
    for (int i = 0; i < 100; i++) {
        struct pair q = i % 2 ? (struct pair){p.b, p.a} : p;
        uint32_t count = 1u + next() % 3u;
        fill(out, count);
        for (uint32_t k = 0; k < count; k++) {
            dawdle();
            put(q.a, out + k, 1);
        }
        dawdle();
        get(q.b, in, count, true);
        same("hammer", count);
    }
}

// Fills both rings and the kernel, then empties them: room is waited for.
static void full(void) {
    static uint32_t sent_at;
    static uint32_t got_at;
    uint32_t under_way = 0;
    for (;;) {
        for (uint32_t i = 0; i < 4096; i++) {
            out[i] = (uint8_t)((sent_at + i) * 2654435761u >> 24);
        }
        long n =
            far_sendto(l, p.a, out, 4096, 0, NULL, far_posix_now() + 3000000u);
        if (n <= 0) {
            break;
        }
        sent_at += (uint32_t)n;
        under_way += (uint32_t)n;
    }
    while (under_way) {
        long n = must("recv",
            far_recvfrom(l, p.b, in, sizeof in, 0, NULL, NULL, soon()));
        for (long i = 0; i < n; i++) {
            if (in[i] !=
                (uint8_t)((got_at + (uint32_t)i) * 2654435761u >> 24)) {
                fail("full", i, n);
            }
        }
        got_at += (uint32_t)n;
        under_way -= (uint32_t)n;
    }
    poll_for(p.a, FAR_POLLOUT);
}

static void zerocopy(void) {
    void *to;
    const void *from;
    uint32_t done = 0;
    long n = must("reserve", far_send_reserve(l, p.a, &to, 900, soon()));
    fill(out, (uint32_t)n);
    memcpy(to, out, (size_t)n);
    must("commit", far_send_commit(l, p.a, (size_t)n));
    while (done < (uint32_t)n) {
        long got = must("peek", far_recv_peek(l, p.b, &from, 900, soon()));
        memcpy(in + done, from, (size_t)got);
        must("consume", far_recv_consume(l, p.b, (size_t)got));
        done += (uint32_t)got;
    }
    same("zerocopy", (uint32_t)n);
}

static struct far_addr at_b;

static void begin_dgram(void) {
    struct far_addr at_a;
    p.a = dgram_socket(&at_a);
    p.b = dgram_socket(&at_b);
}

static void dgram(void) {
    uint32_t len = next() % (next() % 8 ? 700u : DGRAM);
    struct far_addr from;
    fill(out, len);
    long n = must("sendto", far_sendto(l, p.a, out, len, 0, &at_b, soon()));
    long got = must("recvfrom",
        far_recvfrom(l, p.b, in, sizeof in, 0, &from, NULL, soon()));
    if (n != (long)len || got != n || from.family != FAR_AF_INET) {
        fail("datagram", n, got);
    }
    same("datagram", len);
}

// A listener that stays, connections that come and go: slots are used again at
// once, ends and resets must arrive.
static int life_listener;
static struct far_addr life_at;

static void begin_life(void) {
    life_listener = listener(&life_at);
}

static void life(void) {
    struct pair q = connect_to(life_listener, &life_at);
    uint32_t len = 1u + next() % 3000u;
    fill(out, len);
    put(q.a, out, len);
    uint32_t how = next() % 4;
    if (how == 0) {
        must("shutdown", far_shutdown(l, q.a, FAR_SHUT_WR));
    } else if (how < 3) {
        must("close", far_close(l, q.a, soon()));
    }
    get(q.b, in, len, how % 2);
    same("last bytes", len);
    if (how == 3) {
        must("close", far_close(l, q.a, soon()));
    }
    get_end(q.b);
    if (how == 0) {
        put(q.b, out, 1);
        get(q.a, in, 1, false);
        must("close", far_close(l, q.a, soon()));
    }
    int32_t on[2] = {1, 3};
    must("linger",
        far_setsockopt(l, q.b, FAR_SOL_SOCKET, FAR_SO_LINGER, on, sizeof on));
    uint64_t start = far_posix_now();
    must("close", far_close(l, q.b, soon()));
    if (far_posix_now() - start > lost_ns / 2u) {
        fail("nobody says closed", 0, 0);
    }
}

// Links one after the other.
static void join(void) {
    far_posix_close(posix);
    open_link();
    struct far_addr at;
    int s = dgram_socket(&at);
    must("close", far_close(l, s, soon()));
}

// Answers of several records.
static void lookup(void) {
    struct far_ifaddr list[64];
    uint16_t port = 0;
    must("interfaces", far_getifaddrs(l, list, 64));
    struct far_addr at;
    int s = dgram_socket(&at);
    port = at.port;
    must("getsockname", far_getsockname(l, s, &at));
    if (at.port != port) {
        fail("port", at.port, port);
    }
    must("close", far_close(l, s, soon()));
}

// Far's counters are today's.
static void counts(void) {
    struct far_counters near;
    struct far_counters far;
    uint64_t lost = far_posix_now() + lost_ns / 4u;
    ping();
    do {
        far_link_counters(l, &near, &far);
        if (far_posix_now() > lost) {
            fail("far's counters", (long)far.wakeups, (long)far.kicks);
        }
        usleep(100);
    } while (far.wakeups == 0);
}

// A mark changes when bytes come, without a wait that would look.
static void mark(void) {
    uint32_t before = far_mark(l, p.b, false);
    uint64_t lost = soon();
    fill(out, 1);
    put(p.a, out, 1);
    while (far_mark(l, p.b, false) == before) {
        if (far_posix_now() > lost) {
            fail("the mark stays", 0, 0);
        }
        usleep(50);
    }
    get(p.b, in, 1, false);
    same("mark", 1);
}

// Only hearts speak for longer than silence may last: both sides live.
static void beat(void) {
    usleep((FAR_SILENT_MS + 500u) * 1000u);
    ping();
}

// --- Without farsockd ---

static uint64_t init_now(void *ctx) {
    (void)ctx;
    return far_posix_now();
}

// Near's header and indexes are in memory, not only in near's cache, before
// near tells far of them: a link begins in memory that is seen from both sides.
static void init(void) {
    static const struct far_port port = {.now_ns = init_now};
    struct far_layout lay;
    int err = FAR_OK;
    must("layout", far_layout_make(&lay, 4, 2, 1024, 1024, base));
    size_t bytes = (size_t)far_layout_bytes(&lay);
    size_t far_at = (size_t)lay.far_at * FAR_LINE;
    int fd = memfd_create("memory", 0);
    if (fd < 0 || ftruncate(fd, (off_t)far_map_file_bytes(bytes)) < 0) {
        fail("memfd", fd, errno);
    }
    uint8_t *memory =
        mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    void *far = far_map(fd, bytes, far_at, false);
    struct far_far_ctl *ctl = (struct far_far_ctl *)(void *)(memory + far_at);
    const struct far_near_ctl *near =
        (const struct far_near_ctl *)(void *)memory;
    ctl->hdr.magic = FAR_WIRE_MAGIC;
    ctl->hdr.version = FAR_WIRE_VERSION;
    void *region = far_map(fd, bytes, far_at, true);
    void *mem = malloc(far_link_size(&lay));
    must("init",
        far_link_init(mem, region, bytes, &lay, &port, NULL, &err) ? 0 : err);
    uint64_t lost = far_posix_now() + lost_ns / 4u; // what is posted arrives
    while (near->hdr.magic != FAR_WIRE_MAGIC ||
           far_load(&near->evt.wake) != (base & ~7u) - 1u) {
        if (far_posix_now() > lost) {
            fail("near's part is not in memory", 0, 0);
        }
        usleep(100);
    }
    far_unmap(region, bytes);
    far_unmap(far, bytes);
    munmap(memory, bytes);
    free(mem);
    close(fd);
}

// --- Parts with somebody at stdin ---

static void say(const char *what) {
    puts(what);
    fflush(stdout);
}

static void heed(void) {
    char line[32];
    if (!fgets(line, sizeof line, stdin)) {
        exit(1);
    }
}

// Traffic is over; what is shown must be so.
static void show(void) {
    p = stream_pair();
    ping();
    fill(out, 100);
    put(p.a, out, 100);
    poll_for(p.b, FAR_POLLIN);
    get(p.b, in, 100, true);
    say("there");
    heed();
}

// A request is left, its answer comes later: its socket must go.
static void undo(void) {
    say("stop"); // farsockd
    heed();
    interrupt = true;
    int s = far_socket(l, FAR_AF_INET, FAR_SOCK_STREAM, 0);
    interrupt = false;
    if (s != FAR_EINTR) {
        fail("not interrupted", s, 0);
    }
    say("go");
    heed();
    // Takes the answer.
    struct far_addr at;
    dgram_socket(&at);
    say("undone");
    heed();
}

// A socket that far has promised is had while far stands still.
static void promise(void) {
    for (int i = 0; i < 3; i++) {
        int s =
            (int)must("socket", far_socket(l, FAR_AF_INET, FAR_SOCK_STREAM, 0));
        must("close", far_close(l, s, soon()));
    }
    say("stop"); // farsockd
    heed();
    interrupt = true;
    int s = far_socket(l, FAR_AF_INET, FAR_SOCK_STREAM, 0);
    interrupt = false;
    must("promised socket", s);
    say("go");
    heed();
    struct far_addr at = loopback(0);
    must("bind", far_bind(l, s, &at));
    say("taken");
    heed();
}

// Who takes a promised socket and who uses it are two tasks, each with posted
// stores of its own.
static struct handover {
    pthread_t taker;
    _Atomic int turn; // the taker's: odd
    int s;
} hand;

static void *take_sockets(void *arg) {
    (void)arg;
    for (int turn = 1;; turn += 2) {
        while (atomic_load(&hand.turn) != turn) {
            sched_yield();
        }
        hand.s = far_socket(l, FAR_AF_INET, FAR_SOCK_STREAM, 0);
        atomic_store(&hand.turn, turn + 1);
    }
    return NULL;
}

static void begin_handover(void) {
    if (pthread_create(&hand.taker, NULL, take_sockets, NULL) != 0) {
        fail("no thread", 0, 0);
    }
}

static void handover(void) {
    int turn = atomic_fetch_add(&hand.turn, 1) + 1;
    while (atomic_load(&hand.turn) == turn) {
        sched_yield();
    }
    must("socket of another task", hand.s);
    struct far_addr at = loopback(0);
    must("bind", far_bind(l, hand.s, &at));
    must("close", far_close(l, hand.s, soon()));
}

// A destination that was good becomes unreachable: the next send says so.
static void route(void) {
    struct far_addr to = {
        .family = FAR_AF_INET, .port = 9, .ip = {10, 9, 9, 9}};
    int s = (int)must("socket", far_socket(l, FAR_AF_INET, FAR_SOCK_DGRAM, 0));
    for (int i = 0; i < 3; i++) {
        must("sendto", far_sendto(l, s, "x", 1, 0, &to, soon()));
    }
    say("there");
    heed();
    long r = far_sendto(l, s, "x", 1, 0, &to, soon());
    if (r != FAR_EHOSTUNREACH && r != FAR_ENETUNREACH) {
        fail("sent", r, 0);
    }
}

static const struct part {
    const char *name;
    void (*begin)(void);
    void (*round)(void);
    bool once;
} parts[] = {
    {"ping", begin_pair, ping, false},
    {"drip", begin_pair, drip, false},
    {"bulk", begin_pair, bulk, false},
    {"hammer", begin_pair, hammer, false},
    {"full", begin_pair, full, false},
    {"zerocopy", begin_pair, zerocopy, false},
    {"dgram", begin_dgram, dgram, false},
    {"life", begin_life, life, false},
    {"handover", begin_handover, handover, false},
    {"join", NULL, join, false},
    {"lookup", NULL, lookup, false},
    {"count", begin_pair, counts, false},
    {"mark", begin_pair, mark, false},
    {"beat", begin_pair, beat, true},
    {"init", NULL, init, true},
    {"show", NULL, show, true},
    {"undo", NULL, undo, true},
    {"promise", NULL, promise, true},
    {"route", NULL, route, true},
};

// Some calls have no deadline: whoever hangs in one is ended soon after the
// time that any call may take.
static void watch(unsigned seconds) {
    alarm(seconds + (unsigned)(lost_ns / 1000000000u) + 2u);
}

static void run(const struct part *part, unsigned seconds) {
    uint32_t rounds = 0;
    if (part->begin) {
        part->begin();
    }
    do {
        watch(part->once ? seconds : 0);
        part->round();
        rounds++;
    } while (!part->once && far_posix_now() < until);
    printf("ok %u\n", rounds);
    struct far_counters near;
    struct far_counters far;
    if (l) {
        far_link_counters(l, &near, &far);
        printf("rescues %u %u, doorbells %u %u\n", near.rescues, far.rescues,
            near.doorbells, far.doorbells);
    }
}

int main(int argc, char **argv) {
    if (argc < 3) {
        fprintf(stderr,
            "usage: memory PART SECONDS [SEED [INDEX_BASE [LOST_SECONDS]]]\n");
        return 2;
    }
    seed = argc > 3 ? (uint32_t)strtoul(argv[3], NULL, 0) : seed;
    lost_ns = argc > 5 ? (uint64_t)(strtod(argv[5], NULL) * 1e9) : lost_ns;
    base = argc > 4 ? (uint32_t)strtoul(argv[4], NULL, 0) : base;
    watch(0);
    beats = strcmp(argv[1], "beat") == 0;
    if (strcmp(argv[1], "init") != 0) {
        open_link();
    }
    until = far_posix_now() + (uint64_t)(strtod(argv[2], NULL) * 1e9);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        if (strcmp(parts[i].name, argv[1]) == 0) {
            run(&parts[i], (unsigned)strtod(argv[2], NULL));
            far_posix_close(posix);
            return 0;
        }
    }
    fprintf(stderr, "memory: no part %s\n", argv[1]);
    return 2;
}
