// Datagrams from the peer: into the ring, several in one system call.
// SPDX-License-Identifier: MIT
#include "daemon/core.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/batch.h"
#include "daemon/gate.h"
#include "daemon/translate.h"
#include "farsock/posix.h"
#include "farsock/proto.h"

#define ADDR_BYTES ((uint32_t)sizeof(struct far_addr))
#define HEAD_BYTES ((uint32_t)sizeof(struct far_dgram))
#define RX_HEAD    (HEAD_BYTES + ADDR_BYTES)
// Of one datagram; all options together bring less.
#define RX_CTL  384u
#define RX_MOST (RX_HEAD + FAR_ALIGN8(FAR_DGRAM_MAX))

// A datagram as it came, but for its payload.
struct incoming {
    struct far_addr from;
    uint8_t ctl[FAR_CTL_MAX];
    uint32_t ctl_len;
    uint16_t flags; // far_dgram_flag
};

// Fills what is left of a gap for control data.
static void pad_ctl(struct incoming *in, uint32_t gap) {
    struct far_ctl item = {.level = FAR_CTL_NONE};
    if (in->ctl_len < gap) {
        item.len = gap - in->ctl_len - (uint32_t)sizeof item;
        memset(in->ctl + in->ctl_len, 0, gap - in->ctl_len);
        memcpy(in->ctl + in->ctl_len, &item, sizeof item);
        in->ctl_len = gap;
    }
}

static void put_head(struct sock *s, uint32_t len, const struct incoming *in) {
    uint32_t pos = s->rx_head;
    struct far_dgram head = {
        .len = len,
        .ctl_len = (uint16_t)in->ctl_len,
        .flags = in->flags,
    };
    far_ring_put(s->rx, s->rx_size, pos, &head, HEAD_BYTES);
    far_ring_put(s->rx, s->rx_size, pos + HEAD_BYTES, &in->from, ADDR_BYTES);
    if (in->ctl_len) {
        far_ring_put(s->rx, s->rx_size, pos + RX_HEAD, in->ctl, in->ctl_len);
    }
    s->rx_head += RX_HEAD + in->ctl_len;
}

enum { REFUSED = -2 }; // by the policy

// What came beside n bytes of payload. False: the policy refuses it.
static bool take_note(struct sock *s, struct msghdr *m, uint32_t room,
    struct incoming *in) {
    const struct sockaddr_storage *sa = m->msg_name;
    bool cut = false;
    if (!gate_receive(s, sa, m->msg_namelen)) {
        return false;
    }
    far_addr_of(sa, m->msg_namelen, &in->from);
    in->flags = FAR_DGRAM_ADDR;
    in->flags |= m->msg_flags & MSG_TRUNC ? FAR_DGRAM_TRUNC : 0;
    in->ctl_len = room ? far_posix_ctl_in(in->ctl, room, m, &cut) : 0;
    in->flags |= cut ? FAR_DGRAM_CTRUNC : 0;
    return true;
}

// Control data takes at most room bytes of the record.
static long recv_iov(struct sock *s, struct iovec *iov, int count,
    struct incoming *in, uint32_t room, int flags) {
    struct sockaddr_storage sa;
    uint64_t control[HOST_CTL / 8u];
    struct msghdr m = {
        .msg_name = &sa,
        .msg_namelen = sizeof sa,
        .msg_iov = iov,
        .msg_iovlen = (size_t)count,
        .msg_control = room ? control : NULL,
        .msg_controllen = room ? sizeof control : 0,
    };
    long n;
    do {
        n = recvmsg(s->fd, &m, MSG_DONTWAIT | flags);
    } while (n < 0 && errno == EINTR);
    if (n >= 0 && !take_note(s, &m, room, in)) {
        return REFUSED;
    }
    if (n >= 0) {
        count_rx(s, flags & MSG_PEEK ? 0 : (uint64_t)n);
    }
    return n;
}

static void recv_failed(struct sock *s, long n) {
    if (n == REFUSED) {
        return; // taken, and nobody's: the next one
    }
    if (errno == EAGAIN) {
        s->rx_ready = false;
    } else {
        sock_set_error(s, errno);
        if (s->recverr) {
            sock_refresh(s); // natively its queue is seen no later
        }
    }
}

// The payload is received in place, so that what comes before it must have its
// size by then: room for all that the options can bring.
static uint32_t ctl_gap(const struct sock *s) {
    return s->wants_ctl ? RX_CTL : 0;
}

// The kernel wrote n bytes behind the gap: they become a record.
static void put_record(struct sock *s, uint32_t n, struct incoming *in) {
    uint32_t head = RX_HEAD + ctl_gap(s);
    far_ring_clean(FAR_AT_FAR_DGRAM_RECV, s->rx, s->rx_size, s->rx_head + head,
        n);
    pad_ctl(in, ctl_gap(s));
    put_head(s, n, in);
    s->rx_head += FAR_ALIGN8(n);
}

// Receives into the ring, which has room for len bytes of payload.
static uint32_t recv_to_ring(struct sock *s, uint32_t len) {
    struct iovec iov[2];
    struct incoming in;
    uint32_t head = RX_HEAD + ctl_gap(s);
    int count = ring_iov(s->rx, s->rx_size, s->rx_head + head, len, iov);
    long n = recv_iov(s, iov, count, &in, ctl_gap(s), 0);
    if (n < 0) {
        recv_failed(s, n);
        return 0;
    }
    put_record(s, (uint32_t)n, &in);
    return head + (uint32_t)n;
}

// Pushes more of a datagram that is larger than the ring.
static uint32_t part_rx(struct sock *s) {
    struct dgram_part *p = &s->rx_part;
    uint32_t left = FAR_ALIGN8(p->len) - p->done;
    uint32_t n = rx_free(s) & ~7u;
    n = n < left ? n : left;
    far_ring_put(s->rx, s->rx_size, s->rx_head, p->buf + p->done, n);
    s->rx_head += n;
    p->done += n;
    if (n == left) {
        p->active = false;
    } else {
        rx_wait_room(s, 8);
    }
    return n;
}

static uint32_t recv_to_part(struct sock *s) {
    struct dgram_part *p = &s->rx_part;
    struct incoming in;
    if (rx_free(s) < RX_HEAD + ctl_gap(s)) {
        rx_wait_room(s, RX_HEAD + ctl_gap(s));
        return 0;
    }
    if (!p->buf) {
        p->buf = calloc(1, FAR_ALIGN8(FAR_DGRAM_MAX));
    }
    if (!p->buf) {
        return 0;
    }
    struct iovec iov = {p->buf, FAR_DGRAM_MAX};
    long n = recv_iov(s, &iov, 1, &in, ctl_gap(s), 0);
    if (n < 0) {
        recv_failed(s, n);
        return 0;
    }
    // Near takes a record in parts if it is larger than the ring: with the gap
    // that made it so here. Else another process has taken the datagram that we
    // looked at, and this one must come whole or not at all.
    pad_ctl(&in, ctl_gap(s));
    uint32_t whole = RX_HEAD + in.ctl_len + FAR_ALIGN8((uint32_t)n);
    if (whole <= s->rx_size && whole > rx_free(s)) {
        return RX_HEAD;
    }
    put_head(s, (uint32_t)n, &in);
    p->len = (uint32_t)n;
    p->done = 0;
    p->active = true;
    return RX_HEAD + part_rx(s);
}

uint32_t dgram_take(struct sock *s) {
    if (s->rx_part.active) {
        return part_rx(s);
    }
    if (rx_free(s) >= RX_MOST + ctl_gap(s)) {
        return recv_to_ring(s, FAR_DGRAM_MAX);
    }
    ssize_t len = recv(s->fd, NULL, 0, MSG_PEEK | MSG_TRUNC | MSG_DONTWAIT);
    if (len < 0) {
        recv_failed(s, len);
        return 0;
    }
    uint32_t need = RX_HEAD + ctl_gap(s) + FAR_ALIGN8((uint32_t)len);
    if (need > s->rx_size) {
        return recv_to_part(s);
    }
    if (need > rx_free(s)) {
        rx_wait_room(s, need);
        return 0;
    }
    return recv_to_ring(s, (uint32_t)len);
}

// A batch that came, in the order in which it did.
struct came {
    struct incoming in;
    uint32_t len;
    bool allowed;
    const uint8_t *payload; // NULL: it is where it belongs
};

// Those that are as long as was guessed lie where they belong, if all before
// them do. The others make room for each other first.
static void place_batch(struct sock *s, struct came *came, uint32_t count) {
    bool odd = false;
    for (uint32_t i = 0; i < count; i++) {
        struct msghdr *m = batch_get(s, i, &came[i].len);
        came[i].allowed = take_note(s, m, ctl_gap(s), &came[i].in);
        odd |= !came[i].allowed || FAR_ALIGN8(came[i].len) != s->rx_guess;
        came[i].payload = odd ? batch_copy(s, i) : NULL;
    }
}

static uint32_t put_batch(struct sock *s, uint32_t count) {
    struct came came[BATCH_MOST];
    uint32_t head = RX_HEAD + ctl_gap(s);
    uint32_t moved = 0;
    place_batch(s, came, count);
    for (uint32_t i = 0; i < count; i++) {
        struct came *c = &came[i];
        if (!c->allowed) {
            continue; // taken, and nobody's
        }
        if (c->payload) {
            far_ring_put(s->rx, s->rx_size, s->rx_head + head, c->payload,
                c->len);
        }
        put_record(s, c->len, &c->in);
        count_rx(s, c->len);
        moved += head + c->len;
    }
    s->rx_guess = FAR_ALIGN8(came[count - 1u].len);
    return moved;
}

// How many fit, whatever their lengths.
static uint32_t batch_room(const struct sock *s, uint32_t most) {
    uint32_t n = rx_free(s) / (RX_MOST + ctl_gap(s));
    n = n < BATCH_MOST ? n : BATCH_MOST;
    return n < most ? n : most;
}

// Takes at most so many; how many it took.
static uint32_t take_some(struct sock *s, uint32_t most, uint32_t *moved) {
    uint32_t room = batch_room(s, most);
    if (s->rx_part.active || room < 2 || !batch_begin(s->link->engine)) {
        *moved += dgram_take(s);
        return 1;
    }
    int n = batch_recv(s, room, RX_HEAD + ctl_gap(s), s->wants_ctl);
    if (n <= 0) {
        recv_failed(s, -1);
        return 1;
    }
    // Fewer than there is room for: that was all, and what comes is an event.
    s->rx_ready = (uint32_t)n == room;
    *moved += put_batch(s, (uint32_t)n);
    return (uint32_t)n;
}

uint32_t dgram_rx(struct sock *s, uint32_t budget) {
    uint32_t moved = 0;
    uint32_t taken = 0;
    s->rx_taken = 0;
    uint32_t share = engine_share(s->link->engine, TURN_DATAGRAMS);
    while (s->fd >= 0 && !s->rx_full && moved < budget &&
           (s->rx_part.active || (s->rx_ready && !s->shared))) {
        if (taken == share) {
            return budget;
        }
        uint32_t before = moved;
        uint32_t n = take_some(s, share - taken, &moved);
        s->rx_taken += moved > before ? n : 0;
        taken += n;
    }
    return moved;
}

int32_t dgram_copy(struct sock *s, uint32_t room) {
    uint32_t head = RX_HEAD + ctl_gap(s);
    if (rx_free(s) < head + 8u) {
        return FAR_OK;
    }
    uint32_t n = rx_free(s) - head;
    n = n < room ? n : room;
    struct iovec iov[2];
    struct incoming in;
    int count = ring_iov(s->rx, s->rx_size, s->rx_head + head, n, iov);
    long len = recv_iov(s, iov, count, &in, ctl_gap(s), MSG_PEEK | MSG_TRUNC);
    if (len == REFUSED) {
        recv(s->fd, NULL, 0, MSG_DONTWAIT);
        return FAR_OK;
    }
    if (len < 0) {
        recv_failed(s, len);
        return s->rx_ready ? FAR_OK : FAR_EAGAIN;
    }
    n = (uint32_t)len < n ? (uint32_t)len : n;
    in.flags |= FAR_DGRAM_COPY;
    put_record(s, n, &in);
    return (int32_t)len;
}

bool dgram_begin_part(struct sock *s, const uint8_t *payload, uint32_t len) {
    struct dgram_part *p = &s->rx_part;
    if (!p->buf) {
        p->buf = calloc(1, FAR_ALIGN8(FAR_DGRAM_MAX));
    }
    if (!p->buf) {
        return false;
    }
    memcpy(p->buf, payload, len);
    p->len = len;
    p->done = 0;
    p->active = true;
    return true;
}
