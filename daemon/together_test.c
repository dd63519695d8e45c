// Near library and engine as threads of one process over one region, with
// traffic of all kinds from many threads: what TSan sees both sides of.
// SPDX-License-Identifier: MIT
#include <linux/futex.h>
#include <limits.h>
#include <sys/syscall.h>

#include "daemon/rig_test.h"
#include "farsock/farsock.h"

#define PAIRS    3
#define LOST_NS  60000000000ull // nothing here takes that long
#define MOST     30000u
#define LISTENED 4

static uint32_t rounds = 30;

// --- A port whose far side is a thread ---

static uint64_t now_ns(void *ctx) {
    struct timespec t;
    (void)ctx;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void ring(int fd) {
    uint64_t one = 1;
    ssize_t n = write(fd, &one, sizeof one);
    (void)n;
}

static void notify(void *ctx) {
    ring(((struct rig *)ctx)->to_far);
}

static void wake(void *ctx) {
    ring(((struct rig *)ctx)->to_near);
}

static int wait(void *ctx, uint64_t deadline_ns) {
    const struct rig *r = ctx;
    struct pollfd p = {.fd = r->to_near, .events = POLLIN};
    uint64_t now = now_ns(NULL);
    uint64_t left = deadline_ns > now ? deadline_ns - now : 0;
    int ms = deadline_ns == FAR_FOREVER ? -1 : (int)(left / 1000000u) + 1;
    int n = poll(&p, 1, deadline_ns == 1 ? 0 : ms);
    uint64_t rung;
    if (n > 0 && read(r->to_near, &rung, sizeof rung) > 0) {
        return FAR_OK;
    }
    return FAR_ETIMEDOUT;
}

static void park(void *ctx, _Atomic uint32_t *word, uint32_t value,
    uint64_t deadline_ns) {
    (void)ctx;
    struct timespec t = {
        .tv_sec = (time_t)(deadline_ns / 1000000000u),
        .tv_nsec = (long)(deadline_ns % 1000000000u),
    };
    syscall(SYS_futex, word, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, value,
        deadline_ns == FAR_FOREVER ? NULL : &t, NULL, FUTEX_BITSET_MATCH_ANY);
}

static void unpark(void *ctx, _Atomic uint32_t *word) {
    (void)ctx;
    syscall(SYS_futex, word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, INT_MAX);
}

static const struct far_port port = {
    .now_ns = now_ns,
    .notify = notify,
    .wait = wait,
    .wake = wake,
    .park = park,
    .unpark = unpark,
};

// --- Two sockets of the link that talk to each other ---

static struct rig rig;
static struct far_link *l;
static atomic_uint wrong;

static uint64_t soon(void) {
    return now_ns(NULL) + LOST_NS;
}

// Threads cannot CHECK(): they count.
static bool good(bool ok, const char *what, long got) {
    if (!ok && atomic_fetch_add(&wrong, 1u) < 10) {
        printf("# %s: %ld\n", what, got);
    }
    return ok;
}

static bool is_fine(long r, const char *what) {
    return good(r >= 0, what, r);
}

static uint32_t next(uint32_t *seed) {
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

static uint8_t byte_at(uint32_t seed, uint32_t pos) {
    return (uint8_t)((pos + seed) * 2654435761u >> 24);
}

struct pair {
    int a, b;
    uint32_t seed;
    pthread_t threads[2];
};

static int open_at(uint32_t type, struct far_addr *at) {
    *at = (struct far_addr){.family = FAR_AF_INET, .ip = {127, 0, 0, 1}};
    int s = far_socket(l, FAR_AF_INET, type, 0);
    is_fine(s, "socket");
    is_fine(far_bind(l, s, at), "bind");
    is_fine(far_getsockname(l, s, at), "getsockname");
    return s;
}

static void connect_pair(struct pair *p) {
    struct far_addr at;
    int s = open_at(FAR_SOCK_STREAM, &at);
    is_fine(far_listen(l, s, LISTENED), "listen");
    p->a = far_socket(l, FAR_AF_INET, FAR_SOCK_STREAM, 0);
    is_fine(far_connect(l, p->a, &at, soon()), "connect");
    p->b = far_accept(l, s, NULL, soon());
    is_fine(p->b, "accept");
    is_fine(far_close(l, s, FAR_FOREVER), "close");
}

static void close_pair(const struct pair *p) {
    is_fine(far_close(l, p->a, FAR_FOREVER), "close");
    is_fine(far_close(l, p->b, FAR_FOREVER), "close");
}

// --- What the threads do ---

// One thread sends, another receives the same stream.
static void *sends(void *arg) {
    struct pair *p = arg;
    static _Thread_local uint8_t buf[MOST];
    uint32_t seed = p->seed;
    uint32_t pos = 0;
    for (uint32_t i = 0; i < rounds * 4u; i++) {
        uint32_t n = 1u + next(&seed) % (i % 4 ? 200u : MOST - 1u);
        for (uint32_t k = 0; k < n; k++) {
            buf[k] = byte_at(p->seed, pos + k);
        }
        if (!good(far_sendto(l, p->a, buf, n, 0, NULL, soon()) == (int32_t)n,
                "send", (long)i)) {
            break;
        }
        pos += n;
    }
    is_fine(far_shutdown(l, p->a, FAR_SHUT_WR), "shutdown");
    return NULL;
}

static void *receives(void *arg) {
    const struct pair *p = arg;
    static _Thread_local uint8_t buf[MOST];
    uint32_t seed = p->seed + 1u;
    for (uint32_t pos = 0;;) {
        struct far_pollfd f = {.sock = p->b, .events = FAR_POLLIN};
        if (next(&seed) % 2) {
            is_fine(far_poll(l, &f, 1, soon()), "poll");
        }
        uint32_t want = 1u + next(&seed) % (MOST - 1u);
        int32_t n = far_recvfrom(l, p->b, buf, want, 0, NULL, NULL, soon());
        if (n <= 0) {
            is_fine(n, "recv");
            return NULL;
        }
        for (int32_t k = 0; k < n; k++) {
            if (!good(buf[k] == byte_at(p->seed, pos + (uint32_t)k), "byte",
                    k)) {
                return NULL;
            }
        }
        pos += (uint32_t)n;
    }
}

// One byte there and back, without a copy.
static void *pings(void *arg) {
    struct pair p = {0};
    (void)arg;
    connect_pair(&p);
    for (uint32_t i = 0; i < rounds * 20u; i++) {
        int from = i % 2 ? p.b : p.a;
        int to = i % 2 ? p.a : p.b;
        void *out = NULL;
        const void *in = NULL;
        int32_t room = far_send_reserve(l, from, &out, 1, soon());
        if (!good(room == 1, "reserve", room)) {
            break;
        }
        *(uint8_t *)out = (uint8_t)i;
        is_fine(far_send_commit(l, from, 1), "commit");
        int32_t n = far_recv_peek(l, to, &in, 1, soon());
        if (!good(n == 1 && *(const uint8_t *)in == (uint8_t)i, "peek", n)) {
            break;
        }
        is_fine(far_recv_consume(l, to, 1), "consume");
    }
    close_pair(&p);
    return NULL;
}

static void *datagrams(void *arg) {
    struct far_addr at;
    struct far_addr from;
    uint32_t seed = (uint32_t)(uintptr_t)arg;
    static _Thread_local uint8_t out[20000];
    static _Thread_local uint8_t in[20000];
    int a = open_at(FAR_SOCK_DGRAM, &from);
    int b = open_at(FAR_SOCK_DGRAM, &at);
    for (uint32_t i = 0; i < rounds * 10u; i++) {
        uint32_t n = next(&seed) % (i % 16 ? 1000u : (uint32_t)sizeof out);
        for (uint32_t k = 0; k < n; k++) {
            out[k] = byte_at(seed, k);
        }
        int32_t sent = far_sendto(l, a, out, n, 0, &at, soon());
        int32_t got = far_recvfrom(l, b, in, sizeof in, 0, &from, NULL, soon());
        if (!good(sent == (int32_t)n && got == sent && !memcmp(in, out, n),
                "datagram", got)) {
            break;
        }
    }
    far_close_nowait(l, a);
    far_close_nowait(l, b);
    return NULL;
}

static void *churns(void *arg) {
    (void)arg;
    for (uint32_t i = 0; i < rounds * 2u; i++) {
        struct pair p = {0};
        uint8_t byte = 1;
        connect_pair(&p);
        is_fine(far_sendto(l, p.a, "x", 1, 0, NULL, soon()), "send");
        is_fine(far_close(l, p.a, FAR_FOREVER), "close");
        int32_t n = far_recvfrom(l, p.b, &byte, 1, 0, NULL, NULL, soon());
        good(n == 1 && byte == 'x', "last byte", n);
        n = far_recvfrom(l, p.b, &byte, 1, 0, NULL, NULL, soon());
        good(n == 0, "end", n);
        is_fine(far_close(l, p.b, FAR_FOREVER), "close");
    }
    return NULL;
}

static void *asks(void *arg) {
    (void)arg;
    for (uint32_t i = 0; i < rounds; i++) {
        struct far_req_getaddrinfo hints = {.type = FAR_SOCK_STREAM};
        struct far_gai_entry e[4];
        struct far_gai_result res;
        int sys = 0;
        is_fine(far_getaddrinfo(l, "127.0.0.1", "80", &hints, e, 4, &res, &sys,
                    soon()),
            "lookup");
        struct far_addr at;
        int s = open_at(FAR_SOCK_DGRAM, &at);
        int32_t on = 1;
        is_fine(far_setsockopt(l, s, FAR_SOL_SOCKET, FAR_SO_BROADCAST, &on,
                    sizeof on),
            "setsockopt");
        is_fine(far_close(l, s, FAR_FOREVER), "close");
    }
    return NULL;
}

// Interruptions that are nobody's, until told.
static atomic_bool over;
static void *interrupts(void *arg) {
    (void)arg;
    while (!over) {
        struct timespec t = {.tv_nsec = 2000000};
        nanosleep(&t, NULL);
        far_link_interrupt(l);
    }
    return NULL;
}

static void link_up(uint32_t base) {
    int err = FAR_OK;
    rig_up(&rig, (struct rig_options){.base = base});
    void *mem = malloc(far_link_size(&rig.layout));
    l = far_link_init(mem, rig.region, rig.bytes, &rig.layout, &port, &rig,
        &err);
    good(l != NULL, "link", err);
}

static void link_over(void) {
    far_link_down(l);
    rig_down(&rig);
    free(l);
}

TEST(every_kind_of_traffic_from_many_threads) {
    static void *(*const kinds[])(void *) = {
        pings, pings, datagrams, datagrams, churns, asks};
    pthread_t threads[sizeof kinds / sizeof *kinds];
    struct pair pairs[PAIRS];
    pthread_t interrupter;
    link_up(0xfffff000u);
    pthread_create(&interrupter, NULL, interrupts, NULL);
    for (uint32_t i = 0; i < PAIRS; i++) {
        pairs[i].seed = i * 1000u + 1u;
        connect_pair(&pairs[i]);
        pthread_create(&pairs[i].threads[0], NULL, sends, &pairs[i]);
        pthread_create(&pairs[i].threads[1], NULL, receives, &pairs[i]);
    }
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        pthread_create(&threads[i], NULL, kinds[i], (void *)(uintptr_t)i);
    }
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        pthread_join(threads[i], NULL);
    }
    for (uint32_t i = 0; i < PAIRS; i++) {
        pthread_join(pairs[i].threads[0], NULL);
        pthread_join(pairs[i].threads[1], NULL);
        close_pair(&pairs[i]);
    }
    over = true;
    pthread_join(interrupter, NULL);
    link_over();
    CHECK_EQ(wrong, 0);
}

// Far stores the error, and then the state that says that it is over: what near
// sees between the two is as before.
TEST(poll_shows_a_resets_error_and_its_hang_up_at_once) {
    struct pair p;
    link_up(0);
    connect_pair(&p);
    struct far_far_line *lines = rig_line(&rig, rig.layout.far_socks);
    const uint32_t all = FAR_POLLIN | FAR_POLLOUT | FAR_POLLRDHUP;
    struct far_pollfd f[2] = {{p.a, all, 0}, {p.b, all, 0}};
    CHECK_EQ(far_poll(l, f, 2, FAR_NOWAIT), 2);
    CHECK_EQ(f[0].revents | f[1].revents, FAR_POLLOUT);
    for (uint32_t i = 0; i < rig.layout.sockets; i++) {
        far_store(&lines[i].err, 1u << 16 | (uint32_t)-FAR_ECONNRESET);
    }
    CHECK_EQ(far_poll(l, f, 2, FAR_NOWAIT), 2);
    CHECK_EQ(f[0].revents | f[1].revents, FAR_POLLOUT);
    for (uint32_t i = 0; i < rig.layout.sockets; i++) {
        far_store(&lines[i].state, FAR_ST_CONNECTED | FAR_ST_HUP |
                                       FAR_ST_DRAINED | 1u << FAR_ST_ERR_SHIFT);
    }
    CHECK_EQ(far_poll(l, f, 2, FAR_NOWAIT), 2);
    CHECK_EQ(f[0].revents & f[1].revents, all | FAR_POLLERR | FAR_POLLHUP);
    link_over();
}

int main(void) {
    static const struct test_case cases[] = {
        CASE(poll_shows_a_resets_error_and_its_hang_up_at_once),
        {"every_kind_of_traffic_from_many_threads",
            every_kind_of_traffic_from_many_threads},
    };
    const char *full = getenv("FARSOCK_FULL");
    rounds = full && full[0] ? 300 : rounds;
    return run_tests(cases, (int)(sizeof cases / sizeof cases[0]));
}
