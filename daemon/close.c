// Closing: what near wrote still goes out, and its slot is free at once.
// SPDX-License-Identifier: MIT
#include "daemon/core.h"

#include <netinet/in.h>
#include <netinet/tcp.h>

#include "farsock/proto.h"

static void close_with_reset(struct sock *s) {
    struct linger rst = {.l_onoff = 1, .l_linger = 0};
    setsockopt(s->fd, SOL_SOCKET, SO_LINGER, &rst, sizeof rst);
    sock_finish(s);
}

static bool lingers(const struct sock *s) {
    return s->linger_on && s->linger_s > 0 && !s->link->dead;
}

static void close_begin(struct sock *s) {
    s->closing = true;
    dgram_cancel(s, FAR_ECANCELED);
    if (s->type != FAR_SOCK_STREAM) {
        return;
    }
    if (s->fd >= 0) {
        bulk_end(s); // the kernel takes what it has room for
    }
    if ((s->near_flags & FAR_NEAR_RESET) || (s->linger_on && !s->linger_s)) {
        // Natively what was written is on its way before the reset, if there
        // was a way.
        s->abort = true;
        s->cut = true;
        s->tx_dead |= (s->near_flags & FAR_NEAR_RESET) || s->link->reset;
    }
    // Natively unread data makes close() reset. What is unread in the kernel
    // it sees itself, what is in our ring it does not.
    s->abort |= s->rx_tail != s->rx_head;
    if (lingers(s) && (s->state & FAR_ST_CONNECTED) && !s->abort) {
        s->linger_until_ns =
            now_ns() + (uint64_t)(uint32_t)s->linger_s * 1000000000u;
        node_append(&s->link->engine->lingering, &s->linger);
    }
}

// All was given to the kernel. True if the peer has it, or never will.
static bool peer_has_it(const struct sock *s) {
    struct tcp_info info;
    socklen_t len = sizeof info;
    if (getsockopt(s->fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0) {
        return true;
    }
    // The states in which the kernel's own close() would wait.
    return info.tcpi_state != TCP_FIN_WAIT1 && info.tcpi_state != TCP_CLOSING &&
           info.tcpi_state != TCP_LAST_ACK;
}

static void linger_turn(struct sock *s) {
    if (!s->linger_wait) {
        s->linger_wait = true;
        shutdown(s->fd, SHUT_WR);
    }
    // The kernel reports the acknowledgement of the FIN as an event.
    if (peer_has_it(s)) {
        sock_finish(s);
    }
}

static uint32_t pump(struct sock *s) {
    if (s->type != FAR_SOCK_STREAM) {
        return dgram_tx(s, TURN_BYTES);
    }
    if (!(s->state & FAR_ST_CONNECTED)) {
        s->tx_dead = true;
    }
    return stream_tx(s, TURN_BYTES);
}

// Part of a datagram that will never be whole does not count.
static bool all_sent(const struct sock *s) {
    if (s->type == FAR_SOCK_STREAM) {
        return tx_used(s) == 0;
    }
    return !s->tx_blocked;
}

// Nothing is left to send.
static void sent_turn(struct sock *s) {
    if (s->fd >= 0 && s->abort) {
        close_with_reset(s);
    } else if (s->fd >= 0 && !node_is_alone(&s->linger)) {
        linger_turn(s);
    } else {
        sock_finish(s);
    }
}

void close_turn(struct sock *s) {
    bool reset = s->link->reset;
    if (!s->closing) {
        close_begin(s);
    }
    if (s->fd < 0 || reset) {
        s->fd < 0 ? sock_finish(s) : close_with_reset(s);
        return;
    }
    if (s->events & EPOLLOUT) {
        s->tx_blocked = false;
    }
    s->events = 0;
    uint32_t moved = pump(s);
    if (moved >= TURN_BYTES) {
        sock_publish(s);
        sock_wake(s);
        return;
    }
    if (s->fd >= 0 && !all_sent(s) && !s->cut) {
        // Blocked. Without room for an orphan the slot is kept until it went.
        if (node_is_alone(&s->linger) && orphan_take(s)) {
            sock_finish(s);
        }
        return;
    }
    sent_turn(s);
}

// Natively close() returns now, and the rest goes on in the background.
void close_expired(struct sock *s) {
    node_remove(&s->linger);
    s->linger_on = false;
    sock_wake(s);
}
