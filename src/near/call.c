// The calls that ask far.
// SPDX-License-Identifier: MIT
#include "near/near.h"

#include <string.h>

static struct fari_ask ask_of(uint8_t op, uint32_t slot, const void *req,
    size_t len) {
    return (struct fari_ask){
        .op = op,
        .slot = slot,
        .req = req,
        .req_len = (uint32_t)len,
        .undo = FARI_NO_SLOT,
    };
}

// A question about one socket.
static int ask_far(struct far_link *l, int sock, uint8_t op, const void *req,
    size_t req_len, void *data, size_t room) {
    uint32_t slot = fari_pin(l, sock);
    if (slot == FARI_NO_SLOT) {
        return FAR_EBADF;
    }
    int err = fari_ask(l, op, slot, req, req_len, data, room);
    fari_unpin(l, slot);
    return err;
}

// Gives back the slot of a request that came to nothing. Of one that was left
// the answer is still to come, and undoes it.
static void drop_failed(struct far_link *l, const struct fari_ask *ask) {
    if (ask->left) {
        return;
    }
    fari_lock_link(l);
    fari_slot_drop(l, ask->undo);
    fari_unlock_link(l);
}

int far_socket(struct far_link *l, uint32_t family, uint32_t type,
    uint32_t proto) {
    struct far_req_socket req = {
        .family = family,
        .type = type,
        .proto = proto,
        .promise = FAR_PROMISE_WISH,
    };
    if (fari_is_down(l)) {
        return FAR_ENETDOWN;
    }
    uint32_t slot = fari_slot_new(l, &req.rings);
    if (slot == FARI_NO_SLOT) {
        return fari_is_down(l) ? FAR_ENETDOWN : FAR_EMFILE;
    }
    struct fari_ask ask = ask_of(FAR_OP_SOCKET, slot, &req, sizeof req);
    ask.undo = slot;
    int err = FAR_OK;
    if (!fari_promise_take(l, slot, &req)) {
        err = fari_request(l, &ask, FAR_FOREVER);
    }
    if (err < 0) {
        drop_failed(l, &ask);
        return err;
    }
    fari_slot_open(l, slot, family, type, proto);
    return fari_handle(l, slot);
}

int far_bind(struct far_link *l, int sock, const struct far_addr *addr) {
    struct far_req_addr req = {.addr = *addr};
    return ask_far(l, sock, FAR_OP_BIND, &req, sizeof req, NULL, 0);
}

int far_listen(struct far_link *l, int sock, int backlog) {
    struct far_req_listen req = {.backlog = backlog};
    return ask_far(l, sock, FAR_OP_LISTEN, &req, sizeof req, NULL, 0);
}

// --- connect ---

static int ask_connect(struct far_link *l, uint32_t slot,
    const struct far_addr *addr, bool waits) {
    struct far_req_addr req = {
        .addr = *addr,
        .flags = waits ? FAR_CONNECT_WAITS : 0,
    };
    struct fari_ask ask = ask_of(FAR_OP_CONNECT, slot, &req, sizeof req);
    int err = fari_request(l, &ask, FAR_FOREVER);
    if (err == FAR_ECONNABORTED) {
        // Far had fetched the socket's error before the kernel could say it.
        int real = fari_take_error(l, slot);
        return real != FAR_OK ? real : err;
    }
    return err;
}

// True if a far side that always answers "not yet" has kept a call too long.
static bool is_late(struct far_link *l, uint64_t deadline_ns) {
    return deadline_ns != FAR_FOREVER && fari_now(l) >= deadline_ns;
}

static int wait_connected(struct far_link *l, uint32_t slot,
    uint64_t deadline_ns, uint64_t *timeo_ns) {
    int err = is_late(l, deadline_ns) ? FAR_ETIMEDOUT : FAR_OK;
    uint32_t w = fari_wait_begin(l, FARI_WAIT_SOCK, slot);
    while (err == FAR_OK && !fari_is_down(l) &&
           (fari_state(l, slot) & FAR_ST_CONNECTING)) {
        err = fari_sleep(l, w, deadline_ns, fari_sock(l, slot)->sndtimeo_ms,
            timeo_ns);
    }
    fari_wait_end(l, w);
    return err == FAR_EAGAIN ? FAR_EINPROGRESS : err;
}

static void forget_shutdown(struct far_link *l, uint32_t slot) {
    fari_set_flags(l, slot, FARI_SHUT_RD | FARI_SHUT_WR, false);
}

// connect() has made the stream as new, though it gave an error perhaps: as
// natively, what was not yet received is gone, and shutdown() forgotten.
static void begin_anew(struct far_link *l, uint32_t slot) {
    struct fari_sock *s = fari_sock(l, slot);
    forget_shutdown(l, slot);
    fari_lock(l, &s->rx_lock);
    FARI_SET(s->urg_state, FARI_URG_NONE);
    if (fari_refresh_rx(l, slot) == FAR_OK && s->rx_tail != s->rx_head) {
        fari_set(&s->rx_tail, s->rx_head);
        fari_publish_rx(l, slot, true);
    }
    fari_unlock(l, &s->rx_lock);
}

static int connect_stream(struct far_link *l, uint32_t slot,
    const struct far_addr *addr, uint64_t deadline_ns) {
    const uint32_t old = FAR_ST_CONNECTED | FAR_ST_CONNECTING | FAR_ST_HUP;
    uint64_t timeo_ns = 0;
    fari_has_streams(l);
    for (;;) {
        bool was_old = (fari_state(l, slot) & old) != 0;
        int err = ask_connect(l, slot, addr, deadline_ns != FAR_NOWAIT);
        if (was_old && !(fari_state(l, slot) & old)) {
            begin_anew(l, slot);
        }
        if (deadline_ns == FAR_NOWAIT ||
            (err != FAR_EINPROGRESS && err != FAR_EALREADY)) {
            return err;
        }
        // As connect(2) does: wait for it, then ask what came of it.
        int waited = wait_connected(l, slot, deadline_ns, &timeo_ns);
        if (waited != FAR_OK) {
            // Of one that was under way before: EALREADY, as it was then.
            return waited == FAR_EINPROGRESS ? err : waited;
        }
    }
}

static int connect_dgram(struct far_link *l, uint32_t slot,
    const struct far_addr *addr) {
    int err = ask_connect(l, slot, addr, false);
    fari_forget_verdicts(l, slot);
    if (err >= 0) {
        FARI_SET(fari_sock(l, slot)->over_v4, fari_is_ipv4(addr));
    }
    return err;
}

int far_connect(struct far_link *l, int sock, const struct far_addr *addr,
    uint64_t deadline_ns) {
    uint32_t slot = fari_pin(l, sock);
    if (slot == FARI_NO_SLOT) {
        return FAR_EBADF;
    }
    bool stream = fari_type(fari_sock(l, slot)) == FAR_SOCK_STREAM;
    int err = stream ? connect_stream(l, slot, addr, deadline_ns)
                     : connect_dgram(l, slot, addr);
    // A datagram socket stays shut down.
    if (stream && err >= 0 && addr->family == FAR_AF_UNSPEC) {
        forget_shutdown(l, slot);
    }
    fari_unpin(l, slot);
    return err;
}

// --- accept ---

// What a new connection has from its listener, as far as near keeps it.
static void inherit(const struct fari_sock *from, struct fari_sock *to) {
    fari_set(&to->rcvlowat, from->rcvlowat);
    to->rcvtimeo_ms = from->rcvtimeo_ms;
    to->sndtimeo_ms = from->sndtimeo_ms;
    FARI_SET(to->stamped, FARI_GET(from->stamped));
    FARI_SET(to->flags,
        (uint8_t)(FARI_GET(from->flags) &
                  (FARI_LINGER | FARI_INLINE | FARI_SHUT_RD | FARI_SHUT_WR)));
}

// One connection if there is one: its slot, or an error.
static int accept_one(struct far_link *l, uint32_t slot,
    struct far_addr *peer) {
    struct far_req_accept req = {0};
    uint32_t child = fari_slot_new(l, &req.rings);
    if (child == FARI_NO_SLOT) {
        return fari_is_down(l) ? FAR_ENETDOWN : FAR_EMFILE;
    }
    req.slot = child;
    struct far_rep_accept rep = {0};
    struct fari_ask ask = ask_of(FAR_OP_ACCEPT, slot, &req, sizeof req);
    ask.undo = child;
    ask.data = &rep;
    ask.room = sizeof rep;
    int err = fari_request(l, &ask, FAR_FOREVER);
    if (err < 0) {
        drop_failed(l, &ask);
        return err;
    }
    const struct fari_sock *s = fari_sock(l, slot);
    inherit(s, fari_sock(l, child));
    fari_slot_open(l, child, s->family, fari_type(s), s->proto);
    if (peer) {
        *peer = rep.peer;
    }
    return (int)child;
}

static int wait_acceptable(struct far_link *l, uint32_t slot,
    uint64_t deadline_ns, uint64_t *timeo_ns) {
    int err = is_late(l, deadline_ns) ? FAR_ETIMEDOUT : FAR_OK;
    uint32_t w = fari_wait_begin(l, FARI_WAIT_SOCK, slot);
    while (err == FAR_OK && !fari_is_down(l) &&
           (fari_state(l, slot) & (FAR_ST_LISTENING | FAR_ST_ACCEPT)) ==
               FAR_ST_LISTENING) {
        err = fari_sleep(l, w, deadline_ns, fari_sock(l, slot)->rcvtimeo_ms,
            timeo_ns);
    }
    fari_wait_end(l, w);
    return err;
}

int far_accept(struct far_link *l, int sock, struct far_addr *peer,
    uint64_t deadline_ns) {
    uint32_t slot = fari_pin(l, sock);
    if (slot == FARI_NO_SLOT) {
        return FAR_EBADF;
    }
    uint64_t timeo_ns = 0;
    int got = 0;
    fari_has_streams(l);
    for (;;) {
        got = accept_one(l, slot, peer);
        if (got != FAR_EAGAIN || deadline_ns == FAR_NOWAIT) {
            break;
        }
        int err = wait_acceptable(l, slot, deadline_ns, &timeo_ns);
        if (err != FAR_OK) {
            got = err;
            break;
        }
    }
    fari_unpin(l, slot);
    return got < 0 ? got : fari_handle(l, (uint32_t)got);
}

// --- the rest ---

int far_shutdown(struct far_link *l, int sock, int how) {
    struct far_req_shutdown req = {.how = (uint32_t)how};
    uint32_t slot = fari_pin(l, sock);
    if (slot == FARI_NO_SLOT) {
        return FAR_EBADF;
    }
    // A listener, or a stream that connects, is as new afterwards. Else Linux
    // marks the directions, even when it says ENOTCONN.
    const uint32_t busy = FAR_ST_LISTENING | FAR_ST_CONNECTING;
    bool was_busy = (fari_state(l, slot) & busy) != 0;
    int err = fari_ask(l, FAR_OP_SHUTDOWN, slot, &req, sizeof req, NULL, 0);
    if (was_busy) {
        if (err >= 0 && !(fari_state(l, slot) & busy)) {
            forget_shutdown(l, slot);
        }
    } else if (how >= FAR_SHUT_RD && how <= FAR_SHUT_RDWR &&
               (err >= 0 || err == FAR_ENOTCONN)) {
        static const uint8_t marks[] = {
            [FAR_SHUT_RD] = FARI_SHUT_RD,
            [FAR_SHUT_WR] = FARI_SHUT_WR,
            [FAR_SHUT_RDWR] = FARI_SHUT_RD | FARI_SHUT_WR,
        };
        fari_lock_link(l);
        fari_mark(fari_sock(l, slot), marks[how]);
        fari_changed(l, slot);
        fari_unlock_link(l);
    }
    fari_unpin(l, slot);
    return err;
}

static int ask_name(struct far_link *l, int sock, uint8_t op,
    struct far_addr *addr) {
    *addr = (struct far_addr){0};
    return ask_far(l, sock, op, NULL, 0, addr, sizeof *addr);
}

int far_getsockname(struct far_link *l, int sock, struct far_addr *addr) {
    return ask_name(l, sock, FAR_OP_GETSOCKNAME, addr);
}

int far_getpeername(struct far_link *l, int sock, struct far_addr *addr) {
    return ask_name(l, sock, FAR_OP_GETPEERNAME, addr);
}
