// For tests: an engine in a thread, and a near side written by hand, so that it
// can lie.
// SPDX-License-Identifier: MIT
#ifndef FARSOCKD_RIG_TEST_H
#define FARSOCKD_RIG_TEST_H

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "daemon/engine.h"
#include "daemon/log.h"
#include "farsock/proto.h"
#include "ring/ring.h"
#include "unit.h"

#define PATIENCE_MS 10000

// Near's private half of a socket.
struct near_sock {
    struct far_near_line *line;
    const struct far_far_line *far;
    uint8_t *tx;
    const uint8_t *rx;
    uint32_t tx_head, rx_tail;
    struct far_rings rings;
};

struct rig {
    struct engine *engine;
    struct link *link;
    pthread_t thread;
    struct far_layout layout;
    uint8_t *region;
    size_t bytes;
    int to_near, to_far, near_end, far_end;
    struct far_msg_writer cmd;
    struct far_msg_reader evt;
    struct near_sock socks[64];
    _Atomic bool gone;
    uint32_t kicked; // KICKED messages seen
    int32_t result;  // of the last reply
    uint32_t total;
    uint8_t data[FAR_RECORD_MAX];
    uint32_t len;
};

static inline void rig_gone(void *arg) {
    struct rig *r = arg;
    r->gone = true;
}

static inline void *rig_run(void *arg) {
    struct rig *r = arg;
    engine_run(r->engine);
    return NULL;
}

static inline void *rig_line(struct rig *r, uint32_t line) {
    return r->region + (size_t)line * FAR_LINE;
}

struct rig_options {
    uint32_t ring;
    uint32_t base;
    uint64_t orphan_link_bytes;
    uint32_t user_tokens;
    unsigned spare_lookups;
    struct engine *engine; // that serves another one already; NULL: its own
    const char *name;      // NULL: "rig"
    uid_t uid;
};

static inline void rig_prepare(struct rig *r, struct rig_options o) {
    memset(r, 0, sizeof *r);
    far_log_limit(FAR_LOG_ERROR);
    uint32_t ring = o.ring ? o.ring : 16384;
    far_layout_make(&r->layout, 64, 8, ring, ring, o.base);
    r->bytes = (size_t)far_layout_bytes(&r->layout);
    r->region = mmap(NULL, r->bytes, PROT_READ | PROT_WRITE,
        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    r->to_near = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    r->to_far = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    int pair[2];
    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair);
    r->near_end = pair[0];
    r->far_end = pair[1];
    struct engine_config config = {
        .orphan_link_bytes = o.orphan_link_bytes,
        .user_tokens = o.user_tokens,
        .resolver_spare = o.spare_lookups,
    };
    r->engine = o.engine ? o.engine : engine_new(&config);
    struct link_spec spec = {
        .region = r->region,
        .layout = r->layout,
        .bell_to_near = r->to_near,
        .bell_from_near = r->to_far,
        .hangup = r->far_end,
        .uid = o.uid,
        .gone = rig_gone,
        .arg = r,
    };
    snprintf(spec.name, sizeof spec.name, "%s", o.name ? o.name : "rig");
    struct far_near_ctl *near = (void *)r->region;
    struct far_far_ctl *far = rig_line(r, r->layout.far_at);
    near->cmd.head = near->evt.tail = near->evt.wake = r->layout.index_base;
    r->link = engine_link_new(r->engine, &spec);
    far_msg_writer_init(&r->cmd, &near->cmd, &far->cmd,
        rig_line(r, r->layout.cmd_at), r->layout.cmd_bytes,
        r->layout.index_base);
    far_msg_reader_init(&r->evt, &far->evt, &near->evt,
        rig_line(r, r->layout.evt_at), r->layout.evt_bytes,
        r->layout.index_base);
}

static inline void rig_start(struct rig *r) {
    pthread_create(&r->thread, NULL, rig_run, r);
}

static inline void rig_up(struct rig *r, struct rig_options o) {
    rig_prepare(r, o);
    rig_start(r);
}

// What is left when the engine serves it no more.
static inline void rig_free(struct rig *r) {
    munmap(r->region, r->bytes);
    close(r->to_near);
    close(r->to_far);
    close(r->far_end);
    if (r->near_end >= 0) {
        close(r->near_end);
    }
}

static inline void rig_down(struct rig *r) {
    engine_stop(r->engine);
    pthread_join(r->thread, NULL);
    engine_free(r->engine);
    rig_free(r);
}

static inline void rig_bell(struct rig *r) {
    uint64_t one = 1;
    ssize_t n = write(r->to_far, &one, sizeof one);
    (void)n;
}

static inline void rig_hang_up(struct rig *r) {
    close(r->near_end);
    r->near_end = -1;
}

static inline void rig_put(struct rig *r, uint8_t op, uint32_t tag,
    uint32_t sock, const void *payload, size_t len) {
    struct far_msg m = {
        .op = op,
        .tag = (uint16_t)tag,
        .sock = (uint16_t)sock,
    };
    far_msg_put(&r->cmd, m, payload, (uint32_t)len, NULL, 0);
    if (far_msg_publish(&r->cmd)) {
        rig_bell(r);
    }
}

static inline void rig_kick(struct rig *r, uint32_t sock) {
    rig_put(r, FAR_OP_KICK, 0, sock, NULL, 0);
}

// Takes one message. False if none came in ms.
static inline bool rig_get(struct rig *r, struct far_msg *m, int ms) {
    uint64_t buf[FAR_RECORD_MAX / 8];
    for (;;) {
        if (far_msg_get(&r->evt, m, buf) == 1) {
            r->kicked += m->op == FAR_OP_KICKED;
            if (m->op == FAR_OP_REPLY) {
                struct far_reply rep;
                memcpy(&rep, buf, sizeof rep);
                r->result = rep.result;
                r->total = rep.total;
                r->len = m->len - (uint32_t)sizeof rep;
                memcpy(r->data, (uint8_t *)buf + sizeof rep, r->len);
            }
            return true;
        }
        if (!far_msg_may_sleep(&r->evt)) {
            continue;
        }
        struct pollfd p = {.fd = r->to_near, .events = POLLIN};
        if (poll(&p, 1, ms) <= 0) {
            return false;
        }
        uint64_t n;
        ssize_t got = read(r->to_near, &n, sizeof n);
        (void)got;
    }
}

enum { NO_REPLY = -9999 };

// The result of the request with this tag.
static inline int32_t rig_wait(struct rig *r, uint32_t tag) {
    struct far_msg m;
    while (rig_get(r, &m, PATIENCE_MS)) {
        if (m.op == FAR_OP_REPLY && m.tag == tag) {
            return r->result;
        }
    }
    return NO_REPLY;
}

static inline int32_t rig_ask(struct rig *r, uint8_t op, uint32_t sock,
    const void *payload, size_t len) {
    rig_put(r, op, 1, sock, payload, len);
    return rig_wait(r, 1);
}

// The same where no thread runs the engine.
static inline int32_t rig_ask_by_hand(struct rig *r, uint8_t op, uint32_t sock,
    const void *payload, size_t len) {
    struct far_msg m;
    rig_put(r, op, 1, sock, payload, len);
    for (int i = 0; i < PATIENCE_MS; i++) {
        engine_turn(r->engine, false);
        while (rig_get(r, &m, 0)) {
            if (m.op == FAR_OP_REPLY && m.tag == 1) {
                return r->result;
            }
        }
    }
    return NO_REPLY;
}

static inline void rig_pause(void) {
    struct timespec ms = {.tv_nsec = 1000000};
    nanosleep(&ms, NULL);
}

// Waits until (state & mask) == want. Polls, so that it needs no KICK.
static inline bool rig_state(struct rig *r, uint32_t sock, uint32_t mask,
    uint32_t want) {
    struct near_sock *s = &r->socks[sock];
    for (int i = 0; i < PATIENCE_MS; i++) {
        struct far_msg m;
        while (rig_get(r, &m, 0)) {
        }
        if (far_load(&s->far->gen) == s->rings.gen &&
            (far_load(&s->far->state) & mask) == want) {
            return true;
        }
        rig_pause();
    }
    return false;
}

static inline bool rig_is_gone(struct rig *r) {
    for (int i = 0; i < PATIENCE_MS && !r->gone; i++) {
        rig_pause();
    }
    return r->gone;
}

// --- Sockets ---

static inline void rig_place(struct rig *r, uint32_t slot) {
    struct near_sock *s = &r->socks[slot];
    struct far_layout *l = &r->layout;
    struct far_near_line *lines = rig_line(r, l->near_socks);
    struct far_far_line *far = rig_line(r, l->far_socks);
    uint8_t log2 = 0;
    while (1u << log2 < l->tx_ring) {
        log2++;
    }
    s->rings = (struct far_rings){
        .tx_at = l->tx_at + slot * (l->tx_ring / FAR_LINE),
        .rx_at = l->rx_at + slot * (l->rx_ring / FAR_LINE),
        .tx_log2 = log2,
        .rx_log2 = log2,
        .gen = s->rings.gen + 1u,
    };
    s->line = &lines[slot];
    s->far = &far[slot];
    s->tx = rig_line(r, s->rings.tx_at);
    s->rx = rig_line(r, s->rings.rx_at);
    s->tx_head = s->rx_tail = l->index_base;
    *s->line = (struct far_near_line){
        .tx_head = s->tx_head,
        .rx_tail = s->rx_tail,
        .tx_wake = s->tx_head - 1u,
        .rx_wake = s->rx_tail,
    };
    FAR_WMB();
    far_store(&s->line->gen, s->rings.gen);
}

static inline int32_t rig_socket(struct rig *r, uint32_t slot, uint32_t type) {
    rig_place(r, slot);
    struct far_req_socket req = {
        .rings = r->socks[slot].rings,
        .family = FAR_AF_INET,
        .type = type,
    };
    return rig_ask(r, FAR_OP_SOCKET, slot, &req, sizeof req);
}

static inline struct far_req_addr rig_addr(uint16_t port) {
    return (struct far_req_addr){
        .addr = {.family = FAR_AF_INET, .port = port, .ip = {127, 0, 0, 1}},
    };
}

static inline void rig_publish_tx(struct rig *r, uint32_t slot) {
    FAR_WMB();
    far_store(&r->socks[slot].line->tx_head, r->socks[slot].tx_head);
    rig_kick(r, slot);
}

// Waits for n bytes to be free in the tx ring.
static inline bool rig_room(struct rig *r, uint32_t slot, uint32_t n) {
    struct near_sock *s = &r->socks[slot];
    for (int i = 0; i < PATIENCE_MS; i++) {
        if (r->layout.tx_ring - (s->tx_head - far_load(&s->far->tx_tail)) >=
            n) {
            FAR_RMB();
            return true;
        }
        rig_pause();
    }
    return false;
}

static inline bool rig_write(struct rig *r, uint32_t slot, const void *buf,
    uint32_t n) {
    struct near_sock *s = &r->socks[slot];
    if (!rig_room(r, slot, n)) {
        return false;
    }
    far_ring_put(s->tx, r->layout.tx_ring, s->tx_head, buf, n);
    s->tx_head += n;
    rig_publish_tx(r, slot);
    return true;
}

// Waits for n bytes and takes them.
static inline bool rig_read(struct rig *r, uint32_t slot, void *buf,
    uint32_t n) {
    struct near_sock *s = &r->socks[slot];
    for (int i = 0; i < PATIENCE_MS; i++) {
        if (far_load(&s->far->rx_head) - s->rx_tail >= n) {
            FAR_RMB();
            far_ring_get(s->rx, r->layout.rx_ring, s->rx_tail, buf, n);
            s->rx_tail += n;
            FAR_SYNC();
            far_store(&s->line->rx_tail, s->rx_tail);
            rig_kick(r, slot);
            return true;
        }
        rig_pause();
    }
    return false;
}

static inline void rig_close(struct rig *r, uint32_t slot, uint32_t flags) {
    FAR_WMB();
    far_store(&r->socks[slot].line->flags, FAR_NEAR_CLOSE | flags);
    rig_kick(r, slot);
}

// --- The native peer ---

static inline int peer_open(int type, uint16_t *port) {
    int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
    struct sockaddr_in sa = {
        .sin_family = AF_INET,
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    socklen_t len = sizeof sa;
    struct timeval patience = {.tv_sec = PATIENCE_MS / 1000};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    bind(fd, (struct sockaddr *)&sa, len);
    getsockname(fd, (struct sockaddr *)&sa, &len);
    *port = ntohs(sa.sin_port);
    if (type == SOCK_STREAM) {
        listen(fd, 16);
    }
    return fd;
}

// A stream in the slot, connected to a native socket, which is returned; -1.
static inline int rig_connect(struct rig *r, uint32_t slot) {
    uint16_t port;
    int listener = peer_open(SOCK_STREAM, &port);
    struct far_req_addr to = rig_addr(port);
    int fd = -1;
    if (rig_socket(r, slot, FAR_SOCK_STREAM) == FAR_OK) {
        int32_t err = rig_ask(r, FAR_OP_CONNECT, slot, &to, sizeof to);
        if (err == FAR_OK || err == FAR_EINPROGRESS) {
            fd = accept(listener, NULL, NULL);
        }
    }
    close(listener);
    struct timeval patience = {.tv_sec = PATIENCE_MS / 1000};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (!rig_state(r, slot, FAR_ST_CONNECTED, FAR_ST_CONNECTED)) {
        close(fd);
        fd = -1;
    }
    return fd;
}

// Byte number i of a stream, so that one that is lost or doubled shows.
static inline uint8_t pattern(size_t i) {
    return (uint8_t)(i * 7 + (i >> 8) * 13 + (i >> 16));
}

// Reads until the end of the stream: bytes, or -errno, or -1 for a wrong byte.
static inline long peer_drain(int fd) {
    uint8_t buf[65536];
    size_t at = 0;
    for (;;) {
        ssize_t n = recv(fd, buf, sizeof buf, 0);
        if (n <= 0) {
            return n < 0 ? -errno : (long)at;
        }
        for (ssize_t i = 0; i < n; i++) {
            if (buf[i] != pattern(at++)) {
                return -1;
            }
        }
    }
}

#endif
