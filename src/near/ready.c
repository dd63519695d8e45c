// Readiness: poll bits from the lines, no message.
// SPDX-License-Identifier: MIT
#include "near/near.h"

static inline bool can_read(struct far_link *l, uint32_t slot, uint32_t state) {
    struct fari_sock *s = fari_sock(l, slot);
    uint32_t have = fari_get(&s->rx_head) - fari_get(&s->rx_tail);
    if (fari_type(s) != FAR_SOCK_STREAM) {
        const uint32_t shared = FAR_ST_SHARED | FAR_ST_DATA;
        return (have > 0 || (state & shared) == shared) &&
               !fari_has(s, FARI_RX_BUSY);
    }
    uint32_t hole = fari_urg_is_hole(s, fari_get(&s->rx_tail)) ? 1u : 0;
    return have >= fari_get(&s->rcvlowat) + hole ||
           (state & (FAR_ST_FIN | FAR_ST_DRAINED));
}

static uint32_t stream_bits(struct far_link *l, uint32_t slot, uint32_t state) {
    struct fari_sock *s = fari_sock(l, slot);
    if (state & FAR_ST_LISTENING) {
        return state & FAR_ST_ACCEPT ? FAR_POLLIN : 0;
    }
    uint32_t bits = 0;
    if (!(state & (FAR_ST_CONNECTED | FAR_ST_CONNECTING | FAR_ST_HUP))) {
        bits |= FAR_POLLOUT | FAR_POLLHUP;
    }
    if (state & FAR_ST_HUP) {
        bits |= FAR_POLLIN | FAR_POLLOUT | FAR_POLLHUP | FAR_POLLRDHUP;
    } else if (state & FAR_ST_CONNECTED) {
        bool room = fari_has_room(l, slot) || fari_has(s, FARI_SHUT_WR);
        bits |= room ? FAR_POLLOUT : 0;
        bits |= can_read(l, slot, state) ? FAR_POLLIN : 0;
        bits |= state & (FAR_ST_FIN | FAR_ST_RDHUP) ? FAR_POLLRDHUP : 0;
    }
    if (fari_has(s, FARI_SHUT_RD)) {
        bits |= FAR_POLLIN | FAR_POLLRDHUP;
    }
    return bits;
}

static uint32_t dgram_bits(struct far_link *l, uint32_t slot, uint32_t state) {
    struct fari_sock *s = fari_sock(l, slot);
    uint32_t bits = 0;
    bool busy = fari_has(s, FARI_TX_BUSY);
    bits |= fari_has_room(l, slot) && !busy ? FAR_POLLOUT : 0;
    bits |= can_read(l, slot, state) ? FAR_POLLIN : 0;
    bits |= state & FAR_ST_HUP ? FAR_POLLHUP : 0;
    if ((state & FAR_ST_RDHUP) || fari_has(s, FARI_SHUT_RD)) {
        bits |= FAR_POLLIN | FAR_POLLRDHUP;
    }
    return bits;
}

static uint32_t bits_of(struct far_link *l, uint32_t slot) {
    struct fari_sock *s = fari_sock(l, slot);
    const struct far_far_line *line = fari_far_says(l, slot);
    uint32_t state = line ? far_load(&line->state) : 0;
    uint32_t bits = fari_type(s) == FAR_SOCK_STREAM
                        ? stream_bits(l, slot, state)
                        : dgram_bits(l, slot, state);
    bits |=
        (state & FAR_ST_PRI) || fari_urg(s) == FARI_URG_VALID ? FAR_POLLPRI : 0;
    // An error that the state does not yet know of is not shown without what
    // the state will say beside it.
    bool known = state >> FAR_ST_ERR_SHIFT != fari_get(&s->err_seen);
    bool failed = (known && fari_peek_error(l, slot) != FAR_OK) ||
                  (state & FAR_ST_ERRQUEUE);
    // A listener keeps to itself what it had from an earlier connection.
    if (failed && !(state & FAR_ST_LISTENING)) {
        bits |= FAR_POLLERR;
    }
    if (fari_is_down(l)) {
        bits |= FAR_POLLIN | FAR_POLLOUT | FAR_POLLHUP | FAR_POLLRDHUP;
        bits |= fari_has(s, FARI_DOWN_TOLD) ? 0 : FAR_POLLERR;
    }
    return bits;
}

// Whether fari_refresh_rx() would find anything, without the lock: who moves
// these words meanwhile has looked itself.
static bool has_news(const struct far_link *l, uint32_t slot) {
    const struct fari_sock *s = fari_sock(l, slot);
    const struct far_far_line *line = fari_far_says(l, slot);
    return line && (far_load(&line->rx_head) != fari_get(&s->rx_head) ||
                       far_load(&line->urg) != fari_get(&s->urg_word));
}

static void look_rx(struct far_link *l, uint32_t slot, int sock, bool arm) {
    struct fari_sock *s = fari_sock(l, slot);
    if (!arm && !has_news(l, slot)) {
        return;
    }
    fari_lock(l, &s->rx_lock);
    if (fari_is_open(l, slot, sock)) {
        fari_refresh_rx(l, slot);
        if (arm &&
            s->rx_head - s->rx_tail <= s->rcvlowat) { // one may be urgent
            fari_arm_rx(l, slot, s->rx_head);
        }
    }
    fari_unlock(l, &s->rx_lock);
}

static void look_tx(struct far_link *l, uint32_t slot, int sock, bool arm) {
    struct fari_sock *s = fari_sock(l, slot);
    fari_lock(l, &s->tx_lock);
    if (fari_is_open(l, slot, sock)) {
        if (!fari_has_room(l, slot)) {
            fari_refresh_tx(l, slot);
        }
        if (arm && !fari_has_room(l, slot)) {
            fari_arm_tx(l, slot);
        }
    }
    fari_unlock(l, &s->tx_lock);
}

// Refreshes what the events need and arms it. The bits after that.
static uint32_t look(struct far_link *l, int sock, uint32_t events, bool arm) {
    uint32_t slot = fari_find(l, sock);
    if (slot == FARI_NO_SLOT) {
        return FAR_POLLNVAL;
    }
    if (events & (FAR_POLLIN | FAR_POLLPRI)) {
        look_rx(l, slot, sock, arm);
    }
    if (events & FAR_POLLOUT) {
        look_tx(l, slot, sock, arm);
    }
    return bits_of(l, slot);
}

// Most of many sockets: an open one that waits for bytes, of which there are
// none, and of which far says nothing else. True if it has no bits of those.
static inline bool is_quiet(const struct far_link *l, int sock,
    uint32_t events) {
    const uint32_t shown = FAR_POLLIN | FAR_POLLPRI | FAR_POLLRDHUP;
    uint32_t slot = far_slot(sock);
    if (sock < 0 || slot >= l->lay.sockets || (events & ~shown)) {
        return false;
    }
    const struct fari_sock *s = fari_sock(l, slot);
    const struct far_far_line *line = fari_far_says(l, slot);
    if (!line || far_load(&line->rx_head) != fari_get(&s->rx_tail) ||
        fari_use(s) != FARI_OPEN || fari_handle(l, slot) != sock) {
        return false;
    }
    uint32_t state = fari_type(s) == FAR_SOCK_STREAM ? FAR_ST_CONNECTED : 0;
    return far_load(&line->state) ==
               (fari_get(&s->err_seen) << FAR_ST_ERR_SHIFT | state) &&
           far_load(&line->urg) == fari_get(&s->urg_word) &&
           fari_urg(s) == FARI_URG_NONE && FARI_GET(s->flags) == 0 &&
           !fari_is_down(l);
}

// quiet: a look that found nothing has been made.
FARI_APART static uint32_t ready(struct far_link *l, int sock, uint32_t events,
    bool arm, bool quiet) {
    uint32_t asked = events | FAR_POLLERR | FAR_POLLHUP | FAR_POLLNVAL;
    uint32_t bits = quiet ? 0 : look(l, sock, events, false) & asked;
    if (bits == 0 && arm) {
        bits = look(l, sock, events, true) & asked;
    }
    return bits;
}

uint32_t far_ready(struct far_link *l, int sock, uint32_t events, bool arm) {
    bool quiet = !FARI_SMALL && is_quiet(l, sock, events);
    return quiet && !arm ? 0 : ready(l, sock, events, arm, quiet);
}

uint32_t far_mark(struct far_link *l, int sock, bool arm) {
    uint32_t slot = fari_find(l, sock);
    if (slot == FARI_NO_SLOT) {
        return 0;
    }
    if (arm) {
        struct fari_sock *s = fari_sock(l, slot);
        fari_lock(l, &s->rx_lock);
        if (fari_is_open(l, slot, sock)) {
            fari_arm_rx(l, slot, s->rx_head);
        }
        fari_unlock(l, &s->rx_lock);
    }
    const struct far_far_line *line = fari_far_says(l, slot);
    if (!line) {
        // Far has not heard of one that it had promised: that it will is no
        // event.
        return 0;
    }
    uint32_t came = far_load(&line->rx_head) - l->lay.index_base;
    // State and error rarely change: spread, so that they do not cancel out
    // with the bytes that came.
    return came + far_load(&line->state) * 0x9e3779b1u +
           (far_load(&line->err) ^ far_load(&line->urg)) * 0x85ebca6bu;
}

static size_t ask_all(struct far_link *l, struct far_pollfd *fds, size_t count,
    bool arm) {
    size_t ready = 0;
    for (size_t i = 0; i < count; i++) {
        fds[i].revents = 0;
        if (fds[i].sock >= 0) {
            // Once one is ready nobody will sleep: no need to arm the rest.
            fds[i].revents =
                far_ready(l, fds[i].sock, fds[i].events, arm && ready == 0);
            ready += fds[i].revents != 0;
        }
    }
    return ready;
}

int far_poll(struct far_link *l, struct far_pollfd *fds, size_t count,
    uint64_t deadline_ns) {
    size_t ready = ask_all(l, fds, count, false);
    if (ready > 0) {
        return (int)ready;
    }
    if (deadline_ns == FAR_NOWAIT) {
        fari_glance(l);
        return (int)ask_all(l, fds, count, false);
    }
    int err = FAR_OK;
    uint32_t w = fari_wait_begin(l, FARI_WAIT_ANY, 0);
    while ((ready = ask_all(l, fds, count, true)) == 0) {
        err = fari_wait_step(l, w, deadline_ns);
        if (err == FAR_ELINKDOWN) {
            // Far is gone, and yet nothing is ready: there is no socket.
            err = fari_idle(l, deadline_ns);
        }
        if (err == FAR_EINTR || err == FAR_ETIMEDOUT) {
            break;
        }
    }
    fari_wait_end(l, w);
    return ready > 0 || err != FAR_EINTR ? (int)ready : err;
}
