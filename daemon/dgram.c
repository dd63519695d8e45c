// Datagrams from near: records in the ring, one system call each or for a run.
// SPDX-License-Identifier: MIT
#include "daemon/core.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/gate.h"
#include "daemon/run.h"
#include "daemon/translate.h"
#include "farsock/posix.h"
#include "farsock/proto.h"

#define ADDR_BYTES ((uint32_t)sizeof(struct far_addr))
#define HEAD_BYTES ((uint32_t)sizeof(struct far_dgram))

// A record in the tx ring, its header and address copied and checked.
struct record {
    struct far_dgram head;
    struct far_addr addr;
    uint8_t ctl[FAR_CTL_MAX];
    uint32_t payload; // ring position
    uint32_t end;
};

// Sent: bytes. Else one of these, or an errno below 0.
enum { BLOCKED = INT32_MIN };

// --- Results ---

static bool is_flushed(const struct sock *s, uint32_t end) {
    return s->flush_waits && s->flush_pos == end;
}

void dgram_cancel(struct sock *s, int32_t result) {
    if (s->flush_waits) {
        s->flush_waits = false;
        s->flushed_to = s->flush_pos;
        link_reply(s->link, s->flush_tag, result, NULL, 0);
    }
}

enum hold { SEND, HOLD, SKIP };

// What to do with a record: one whose result is asked for waits for that FLUSH,
// and is void if that FLUSH was answered before its turn (EAGAIN, or a caller
// that gave up: natively nothing was sent either).
static enum hold hold(const struct sock *s, uint32_t flags, uint32_t end) {
    if (flags & FAR_DGRAM_VOID) {
        return SKIP;
    }
    if (!(flags & FAR_DGRAM_SYNC) || is_flushed(s, end)) {
        return SEND;
    }
    return (int32_t)(s->flushed_to - end) >= 0 ? SKIP : HOLD;
}

static bool hears_errors(const struct sock *s) {
    return s->connected || s->recverr;
}

// ICMP on loopback answers before sendmsg() returns: near's next call must see
// it, so it is published before the reply.
static void take_answered_error(struct sock *s) {
    int err = hears_errors(s) ? take_so_error(s->fd) : 0;
    if (err) {
        sock_set_error(s, err);
    }
    if (err && s->recverr) {
        sock_refresh(s);
    }
}

static void answer_flush(struct sock *s, int32_t result) {
    if (result >= 0) {
        take_answered_error(s);
    }
    sock_publish(s);
    dgram_cancel(s, result);
}

static void want_out(struct sock *s) {
    s->tx_blocked = true;
    struct epoll_event ev = {
        .events = EPOLLIN | EPOLLPRI | EPOLLRDHUP | EPOLLOUT | EPOLLET,
        .data.ptr = &s->watch,
    };
    // Also when it is on: a new look, that reports room made meanwhile.
    epoll_ctl(s->link->engine->epoll_fd, EPOLL_CTL_MOD, s->fd, &ev);
    s->wants_out = true;
}

static void unwant_out(struct sock *s) {
    if (!s->wants_out) {
        return;
    }
    s->wants_out = false;
    struct epoll_event ev = {
        .events = EPOLLIN | EPOLLPRI | EPOLLRDHUP | EPOLLET,
        .data.ptr = &s->watch,
    };
    epoll_ctl(s->link->engine->epoll_fd, EPOLL_CTL_MOD, s->fd, &ev);
}

// A datagram as near wants it sent, copied and checked.
struct outgoing {
    const struct far_addr *addr;
    const uint8_t *ctl;
    uint32_t ctl_len;
    uint16_t flags;  // far_dgram_flag
    struct run *run; // NULL: it is one datagram
};

// Linux's MSG_PROBE: glibc has the number by an older name.
enum { HOST_MSG_PROBE = 0x10 };

static int send_flags(uint16_t flags) {
    return MSG_DONTWAIT | MSG_NOSIGNAL |
           (flags & FAR_DGRAM_MORE ? MSG_MORE : 0) |
           (flags & FAR_DGRAM_DONTROUTE ? MSG_DONTROUTE : 0) |
           (flags & FAR_DGRAM_CONFIRM ? MSG_CONFIRM : 0) |
           (flags & FAR_DGRAM_PROBE ? HOST_MSG_PROBE : 0);
}

// Linux takes a probe for the beginning of a datagram then.
static bool is_corked(const struct sock *s) {
    int on = 0;
    socklen_t len = sizeof on;
    return !getsockopt(s->fd, IPPROTO_UDP, UDP_CORK, &on, &len) && on;
}

// Has the kernel cut up a run.
static void set_segment(struct msghdr *m, void *control, uint32_t bytes) {
    uint16_t segment = (uint16_t)bytes;
    m->msg_control = control;
    m->msg_controllen = CMSG_SPACE(sizeof segment);
    struct cmsghdr *c = CMSG_FIRSTHDR(m);
    c->cmsg_level = IPPROTO_UDP;
    c->cmsg_type = UDP_SEGMENT;
    c->cmsg_len = CMSG_LEN(sizeof segment);
    memcpy(CMSG_DATA(c), &segment, sizeof segment);
}

// The policy is asked of each datagram. Of a run all have the same destination.
static int ask_policy(struct sock *s, const struct outgoing *o,
    struct msghdr *m) {
    uint32_t count = o->run && s->link->policy ? o->run->count : 1u;
    int refused = 0;
    while (!refused && count-- > 0) {
        refused = gate_send(s, m);
    }
    if (o->run) {
        o->run->forbidden = refused != 0;
    }
    return refused;
}

static int32_t send_iov(struct sock *s, const struct outgoing *o,
    struct iovec *iov, int count) {
    struct sockaddr_storage to;
    struct msghdr m = {.msg_iov = iov, .msg_iovlen = (size_t)count};
    uint64_t control[HOST_CTL / 8u];
    if (o->flags & FAR_DGRAM_ADDR) {
        m.msg_namelen = host_addr(o->addr, &to);
        m.msg_name = &to;
    }
    if (o->ctl_len) {
        m.msg_control = control;
        m.msg_controllen = sizeof control;
        far_posix_ctl_out(&m, o->ctl, o->ctl_len);
    }
    int refused = ask_policy(s, o, &m);
    if (refused) {
        return -refused;
    }
    if (o->run) {
        m.msg_iov = o->run->iov;
        m.msg_iovlen = (size_t)o->run->pieces;
        set_segment(&m, control, o->run->segment);
    }
    if ((o->flags & FAR_DGRAM_PROBE) && is_corked(s)) {
        return 0;
    }
    ssize_t n;
    do {
        n = sendmsg(s->fd, &m, send_flags(o->flags));
    } while (n < 0 && errno == EINTR);
    if (n >= 0) {
        if (!(o->flags & FAR_DGRAM_PROBE)) {
            count_tx(s, (uint64_t)n);
        }
        return (int32_t)n;
    }
    return errno == EAGAIN ? BLOCKED : -errno;
}

// Sends the run or, where it is none that the kernel takes, the first of it:
// then o->run is NULL, and the result is of that one.
static int32_t send_run(struct sock *s, struct outgoing *o, struct iovec *iov,
    int count) {
    int32_t r = send_iov(s, o, iov, count);
    struct run *run = o->run;
    if (r >= 0 || r == BLOCKED || !run) {
        return r;
    }
    o->run = NULL;
    bool again = !run->forbidden && run_refused(s, run, -r);
    return again ? send_iov(s, o, iov, count) : r;
}

// Sends, and deals with failure: BLOCKED, or the record is done with.
static int32_t send_whole(struct sock *s, struct outgoing *o, struct iovec *iov,
    int count, bool flushed) {
    int32_t r = send_run(s, o, iov, count);
    if (r >= 0 || r == BLOCKED || flushed) {
        return r;
    }
    // Nobody waits for this one: the error shows at near's next call.
    sock_set_error(s, -r);
    s->verdict++;
    s->dirty = true;
    if (!hears_errors(s)) {
        return r;
    }
    // It may have been an earlier datagram's error, which the kernel reports
    // instead of sending. Natively the caller would get it and send again.
    int32_t again = send_iov(s, o, iov, count);
    if (again < 0 && again != BLOCKED && again != r) {
        sock_set_error(s, -again);
    }
    return again;
}

// After a try: true if the record is done with.
static bool settle(struct sock *s, int32_t r, uint32_t end) {
    bool flushed = is_flushed(s, end);
    if (r == BLOCKED && !(flushed && s->flush_nowait)) {
        want_out(s);
        return false;
    }
    s->tx_tail = end;
    if (flushed) {
        answer_flush(s, r == BLOCKED ? FAR_EAGAIN : r < 0 ? far_errno(-r) : r);
    }
    return true;
}

// The record at tx_tail. 1; 0 if it is not yet all there; -1 if it never can
// be: s is poisoned.
static int read_record(struct sock *s, struct record *r) {
    if (tx_used(s) < HEAD_BYTES) {
        return 0;
    }
    far_ring_get(s->tx, s->tx_size, s->tx_tail, &r->head, HEAD_BYTES);
    uint32_t addr = r->head.flags & FAR_DGRAM_ADDR ? ADDR_BYTES : 0;
    if (r->head.len > FAR_DGRAM_MAX || r->head.ctl_len > FAR_CTL_MAX ||
        r->head.ctl_len % 8u != 0 || s->tx_tail % 8u != 0) {
        sock_poison(s, VIOLATION_RECORD, "a datagram's header is garbage");
        return -1;
    }
    uint32_t ctl = s->tx_tail + HEAD_BYTES + addr;
    r->payload = ctl + r->head.ctl_len;
    r->end = r->payload + FAR_ALIGN8(r->head.len);
    if (tx_used(s) < r->payload - s->tx_tail) {
        return 0;
    }
    if (addr) {
        far_ring_get(s->tx, s->tx_size, s->tx_tail + HEAD_BYTES, &r->addr,
            ADDR_BYTES);
    }
    if (r->head.ctl_len) {
        far_ring_get(s->tx, s->tx_size, ctl, r->ctl, r->head.ctl_len);
    }
    return 1;
}

// A record larger than the ring streams through the private buffer.
static bool part_begin(struct sock *s, struct dgram_part *p,
    const struct record *r) {
    if (!p->buf) {
        p->buf = malloc(FAR_ALIGN8(FAR_DGRAM_MAX));
    }
    if (!p->buf) {
        sock_break(s, "no memory for a large datagram", ENOBUFS);
        return false;
    }
    p->addr = r->addr;
    p->ctl_len = r->head.ctl_len;
    memcpy(p->ctl, r->ctl, p->ctl_len);
    p->len = r->head.len;
    p->flags = r->head.flags;
    p->end = r->end;
    p->done = 0;
    p->active = true;
    s->tx_tail = r->payload;
    return true;
}

// Bytes taken; 0 if it waits for near or for the kernel.
static uint32_t part_tx(struct sock *s) {
    struct dgram_part *p = &s->tx_part;
    uint32_t n = FAR_ALIGN8(p->len) - p->done;
    n = n < tx_used(s) ? n : tx_used(s);
    far_ring_get(s->tx, s->tx_size, s->tx_tail, p->buf + p->done, n);
    p->done += n;
    s->tx_tail += n;
    if (p->done < FAR_ALIGN8(p->len)) {
        return n;
    }
    enum hold what = hold(s, p->flags, p->end);
    if (what == HOLD) {
        s->tx_part_seen = true;
        return n;
    }
    struct iovec iov = {p->buf, p->len};
    int32_t r = 0;
    if (what == SEND) {
        struct outgoing o = {&p->addr, p->ctl, p->ctl_len, p->flags, NULL};
        r = send_whole(s, &o, &iov, 1, is_flushed(s, p->end));
    }
    p->active = !settle(s, r, p->end);
    return p->active ? n : n + 1u;
}

int dgram_iov(struct sock *s, uint32_t payload, uint32_t len,
    struct iovec iov[2]) {
    far_ring_inv(FAR_AT_FAR_DGRAM_SEND, s->tx, s->tx_size, payload, len);
    return ring_iov(s->tx, s->tx_size, payload, len, iov);
}

// One that is all there, or the run that it begins. As record_tx().
static uint32_t send_record(struct sock *s, const struct record *r,
    uint32_t most, uint32_t *count) {
    struct iovec iov[2];
    int pieces = dgram_iov(s, r->payload, r->head.len, iov);
    struct run run;
    const struct run_first first = {
        &r->addr, r->head.len, r->head.ctl_len, r->payload, r->head.flags};
    struct outgoing o = {&r->addr, r->ctl, r->head.ctl_len, r->head.flags,
        run_gather(s, &first, most, &run) ? &run : NULL};
    int32_t sent = send_whole(s, &o, iov, pieces, is_flushed(s, r->end));
    uint32_t end = o.run ? run.end : r->end;
    uint32_t size = end - s->tx_tail;
    *count += o.run ? run.count - 1u : 0;
    return settle(s, sent, end) ? size : 0;
}

// Bytes of the record that was dealt with, or of the run of at most so many; 0
// if none could be. Counts them.
static uint32_t record_tx(struct sock *s, uint32_t most, uint32_t *count) {
    struct record r;
    if (read_record(s, &r) <= 0) {
        s->tx_part_seen = true;
        return 0;
    }
    uint32_t size = r.end - s->tx_tail;
    if (size > s->tx_size) {
        return part_begin(s, &s->tx_part, &r) ? 1u : 0;
    }
    if (size > tx_used(s)) {
        sock_poison(s, VIOLATION_RECORD, "part of a datagram was published");
        return 0;
    }
    enum hold what = hold(s, r.head.flags, r.end);
    if (what == HOLD) {
        s->tx_part_seen = true;
        return 0;
    }
    if (what == SKIP) {
        settle(s, 0, r.end);
        return size;
    }
    return send_record(s, &r, most, count);
}

uint32_t dgram_tx(struct sock *s, uint32_t budget) {
    uint32_t moved = 0;
    s->tx_part_seen = false;
    s->tx_tiny = false;
    uint32_t count = 0;
    uint32_t share = engine_share(s->link->engine, TURN_DATAGRAMS);
    while (count < share) {
        if (s->fd < 0 || s->tx_blocked || moved >= budget ||
            (!s->tx_part.active && !tx_used(s))) {
            break;
        }
        uint32_t most = share - count++;
        uint32_t n =
            s->tx_part.active ? part_tx(s) : record_tx(s, most, &count);
        if (!n) {
            break;
        }
        moved += n;
        if (tx_used(s) &&
            (count == share || now_ns() >= s->link->turn_end_ns)) {
            s->tx_tiny = moved < budget;
            moved = moved < budget ? budget : moved;
            break;
        }
    }
    if (s->flush_waits && s->flush_nowait && s->tx_blocked) {
        // Held up by one before it.
        dgram_cancel(s, FAR_EAGAIN);
    }
    if (!s->tx_blocked) {
        unwant_out(s);
    }
    if (s->fd >= 0) {
        sock_try_shutdown(s);
    }
    return moved;
}

void dgram_flush(struct sock *s, uint32_t tag,
    const struct far_req_flush *req) {
    if (s->flush_waits) {
        sock_poison(s, VIOLATION_RECORD, "two FLUSH requests at a time");
        link_reply(s->link, tag, FAR_EBADMSG, NULL, 0);
        return;
    }
    s->flush_waits = true;
    s->flush_tag = tag;
    s->flush_pos = req->pos;
    s->flush_nowait = req->flags & FAR_FLUSH_NOWAIT;
    if (!s->tx_part.active && (int32_t)(s->tx_tail - req->pos) >= 0) {
        // It went before this request came (no FAR_DGRAM_SYNC): any failure
        // was published as that of an asynchronous send.
        sock_publish(s);
        dgram_cancel(s, FAR_OK);
        return;
    }
    s->tx_blocked = false; // a fresh try decides, as sendto() would
    if (dgram_tx(s, TURN_BYTES) >= TURN_BYTES) {
        sock_again(s); // the kernel has room anew: the next turn gets there
    }
}
