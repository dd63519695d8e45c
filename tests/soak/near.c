// A near core with hundreds of sockets that do what comes to its mind.
// SPDX-License-Identifier: MIT
#include "tests/soak/soak.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#define CHUNK      20000u
#define LIMIT_MOST 200000u

enum kind {
    ECHO,
    SINK,
    DGRAM,
};

struct work {
    int sock; // -1: none
    enum kind kind;
    uint32_t key;
    uint32_t sink;
    uint64_t sent, got, limit;
    bool connected;
    bool lazy; // does not read for a while
    bool shut;
};

static struct work works[WORKS];
static struct far_posix *port;
static struct far_link *l;
static unsigned me;
static uint32_t next_key;
static uint8_t buf[CHUNK];

static uint32_t pick(uint32_t n) {
    return (uint32_t)random() % n;
}

static void drop(struct work *w) {
    int32_t reset[2] = {1, 0};
    if (w->kind != SINK && pick(10) == 0) {
        far_setsockopt(l, w->sock, FAR_SOL_SOCKET, FAR_SO_LINGER, reset,
            sizeof reset);
    }
    far_close(l, w->sock, FAR_NOWAIT);
    w->sock = -1;
    soak->open[me]--;
}

// --- Beginnings ---

static struct far_addr address(const struct work *w) {
    enum soak_port p = pick(4) ? SOAK_SINK : SOAK_BITES;
    if (w->kind == DGRAM) {
        p = SOAK_DGRAM;
    } else if (w->kind == ECHO) {
        uint32_t n = pick(10);
        p = n == 0 ? SOAK_RESET : n == 1 ? SOAK_SLOW : SOAK_ECHO;
    }
    return loopback(soak_ports[p]);
}

static void begin(struct work *w) {
    uint32_t n = pick(10);
    *w = (struct work){
        .kind = n < 5   ? ECHO
                : n < 8 ? SINK
                        : DGRAM,
        .key = next_key++,
        .limit = 1u + pick(LIMIT_MOST) / (1u + pick(100)),
        .lazy = pick(20) == 0,
    };
    uint32_t type = w->kind == DGRAM ? FAR_SOCK_DGRAM : FAR_SOCK_STREAM;
    w->sock = far_socket(l, FAR_AF_INET, type, 0);
    if (w->sock < 0) {
        w->sock = -1; // scarce, or far is dead
        return;
    }
    soak->open[me]++;
    soak->sockets++;
    struct far_addr to = address(w);
    uint32_t far_lives = soak->far_lives;
    int r = far_connect(l, w->sock, &to, FAR_NOWAIT);
    w->connected = r == FAR_OK;
    if (w->kind == SINK) {
        // The less the kernel takes, the more farsockd has to keep.
        int32_t small = 4608;
        far_setsockopt(l, w->sock, FAR_SOL_SOCKET, FAR_SO_SNDBUF, &small,
            sizeof small);
        w->sink = atomic_fetch_add(&soak->next_sink, 1u) % SINKS;
        soak->sinks[w->sink].taken = 0;
        soak->sinks[w->sink].far_lives = far_lives;
        soak->sinks[w->sink].key = w->key;
        w->limit += 8;
    }
    if (r < 0 && r != FAR_EINPROGRESS) {
        drop(w);
    }
}

// --- Bytes ---

static void make(const struct work *w, size_t n) {
    for (size_t i = 0; i < n; i++) {
        buf[i] = soak_byte(w->key, w->sent + i);
    }
    uint32_t head[2] = {w->key, w->sink};
    for (size_t i = 0; w->kind == SINK && i < n && w->sent + i < 8; i++) {
        buf[i] = ((const uint8_t *)head)[w->sent + i];
    }
}

static void send_some(struct work *w) {
    size_t left = (size_t)(w->limit - w->sent);
    size_t n = 1u + pick(CHUNK);
    n = n < left ? n : left;
    make(w, n);
    int r = far_sendto(l, w->sock, buf, n, pick(4) ? 0 : FAR_MSG_MORE, NULL,
        FAR_NOWAIT);
    if (r > 0) {
        w->sent += (uint64_t)r;
        if (w->kind == SINK) {
            soak->sinks[w->sink].taken = (uint32_t)w->sent;
        }
    } else if (r != FAR_EAGAIN) {
        drop(w);
    }
}

static void send_dgram(struct work *w) {
    size_t n = 4u + (pick(8) ? pick(1400) : pick(CHUNK - 4u));
    for (size_t i = 4; i < n; i++) {
        buf[i] = soak_byte(w->key, i);
    }
    memcpy(buf, &w->key, 4);
    int r = far_sendto(l, w->sock, buf, n, 0, NULL, FAR_NOWAIT);
    w->sent += n;
    if (r < 0 && r != FAR_EAGAIN) {
        drop(w);
    }
}

static void check(struct work *w, const uint8_t *p, size_t n, uint64_t at) {
    for (size_t i = 0; i < n; i++) {
        if (p[i] != soak_byte(w->key, at + i)) {
            soak_fail("near core %u got a wrong byte at %u of a %s", me,
                (unsigned)(at + i), w->kind == DGRAM ? "datagram" : "stream");
            return;
        }
    }
    soak->bytes += n;
}

// An answer may be for another socket, which had this port before.
static void take_dgram(struct work *w, size_t n) {
    uint32_t key = 0;
    memcpy(&key, buf, sizeof key);
    if (key == w->key) {
        size_t room = n < CHUNK ? n : CHUNK;
        check(w, buf + 4, room > 4 ? room - 4 : 0, 4);
        soak->dgrams++;
    }
}

static void recv_some(struct work *w) {
    int r = far_recvfrom(l, w->sock, buf, 1u + pick(CHUNK), 0, NULL, NULL,
        FAR_NOWAIT);
    if (r == FAR_EAGAIN) {
        return;
    }
    if (r <= 0) {
        // A stream that was told to end, and by far's death or a reset.
        if (r == 0 && w->kind == ECHO && !w->shut && far_link_is_up(l)) {
            soak_fail("a stream ended by itself at %u", (unsigned)w->got);
        }
        drop(w);
        return;
    }
    if (w->kind == DGRAM) {
        take_dgram(w, (size_t)r);
        return;
    }
    check(w, buf, (size_t)r, w->got);
    w->got += (uint64_t)r;
    if (w->kind == ECHO && w->got > w->sent) {
        soak_fail("more came back than was sent");
    }
}

static void end_one(struct work *w) {
    if (w->kind == ECHO && w->got < w->sent && pick(20)) {
        return; // wait for the rest
    }
    if (w->kind == ECHO && w->got == w->sent && !w->shut && pick(2)) {
        w->shut = far_shutdown(l, w->sock, FAR_SHUT_WR) == FAR_OK;
        return;
    }
    if (!w->shut || pick(4) == 0) {
        drop(w);
    }
}

static void step(struct work *w, uint32_t bits) {
    if (!w->connected) {
        int32_t err = 0;
        size_t len = sizeof err;
        far_getsockopt(l, w->sock, FAR_SOL_SOCKET, FAR_SO_ERROR, &err, &len);
        w->connected = err == 0;
        if (err) {
            drop(w);
            return;
        }
    }
    if ((bits & (FAR_POLLIN | FAR_POLLHUP | FAR_POLLERR)) &&
        !(w->lazy && pick(50))) {
        recv_some(w);
    }
    if (w->sock < 0 || !(bits & FAR_POLLOUT)) {
        return;
    }
    if (w->sent >= w->limit) {
        end_one(w);
    } else if (w->kind == DGRAM) {
        send_dgram(w);
    } else {
        send_some(w);
    }
}

// Requests that anybody may make at any time.
static void ask_something(struct work *w) {
    struct far_addr a;
    int32_t val = 0;
    size_t len = sizeof val;
    struct far_ifreq arg = {0};
    struct far_req_getaddrinfo hints = {.type = FAR_SOCK_STREAM};
    struct far_gai_entry e[4];
    struct far_gai_result res;
    switch (pick(5)) {
        case 0:
            far_getsockname(l, w->sock, &a);
            break;
        case 1:
            far_getsockopt(l, w->sock, FAR_SOL_SOCKET, FAR_SO_SNDBUF, &val,
                &len);
            break;
        case 2:
            far_ioctl(l, w->sock, FAR_FIONREAD, &arg);
            break;
        case 3:
            far_getaddrinfo(l, "localhost", "80", &hints, e, 4, &res, NULL,
                far_posix_now() + 200000000u);
            break;
        default:
            far_if_nametoindex(l, "lo");
            break;
    }
}

// --- Life ---

static void hang_up(void) {
    struct far_counters near;
    struct far_counters far;
    bool down = !far_link_is_up(l);
    for (int i = 0; i < WORKS; i++) {
        if (works[i].sock >= 0) {
            if (down && works[i].kind == SINK) {
                soak->sinks[works[i].sink].key = 0; // nobody is told of it
            }
            drop(&works[i]);
        }
    }
    far_link_counters(l, &near, &far);
    soak->rescues += near.rescues + far.rescues;
    far_posix_close(port);
    port = NULL;
    l = NULL;
}

static bool link_up(const char *path) {
    struct far_posix_options o = {
        .path = path,
        .name = "soak",
        .wait_s = 1,
        .sockets = WORKS,
        .ring = 16384u << pick(3),
        .index_base = (uint32_t)random(),
        .quiet = true,
        .rescue = soak->rescue != 0,
        .beat = pick(2) != 0,
    };
    if (far_posix_open(&port, &o) != FAR_OK) {
        return false; // scarce, or just killed
    }
    l = far_posix_link(port);
    return true;
}

static void turn(void) {
    struct far_pollfd p[WORKS];
    for (int i = 0; i < WORKS; i++) {
        struct work *w = &works[i];
        if (w->sock < 0 && pick(2) == 0) {
            begin(w);
        }
        bool out = w->sock >= 0 && !w->shut && (w->sent < w->limit || pick(4));
        bool in = w->sock >= 0 && !(w->lazy && pick(20));
        p[i] = (struct far_pollfd){
            .sock = w->sock,
            .events = (out ? FAR_POLLOUT : 0) | (in ? FAR_POLLIN : 0),
        };
    }
    far_poll(l, p, WORKS, far_posix_now() + 20000000u);
    for (int i = 0; i < WORKS; i++) {
        if (works[i].sock >= 0 && p[i].revents) {
            step(&works[i], p[i].revents);
        }
    }
    struct work *w = &works[pick(WORKS)];
    if (w->sock >= 0) {
        ask_something(w);
    }
    soak->alive[me]++;
}

_Noreturn void soak_near(unsigned number, unsigned seed, const char *path) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    close_range(3, ~0u, 0); // the native side's
    me = number;
    srandom(seed);
    next_key = seed * 1000003u;
    faulty_be(FAULTY_NEAR);
    for (int i = 0; i < WORKS; i++) {
        works[i].sock = -1;
    }
    soak->open[me] = 0;
    while (!soak->stop && !soak->failed) {
        soak->alive[me]++;
        if (!l && !link_up(path)) {
            continue;
        }
        turn();
        if (!far_link_is_up(l) || pick(2000) == 0) {
            hang_up();
        }
    }
    if (l) {
        hang_up();
    }
    _exit(0);
}
