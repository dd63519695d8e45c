// Streams: ring memory straight to sendmsg() and from recvmsg().
// SPDX-License-Identifier: MIT
#include "daemon/core.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

static uint32_t least(uint32_t a, uint32_t b) {
    return a < b ? a : b;
}

// --- Near to peer ---

// False: nothing can be sent any more; what is in the ring, and what comes, is
// lost as it is in a kernel's queue. True: an error passed by on a connection
// that lives (IP_RECVERR); natively the caller would send again.
static bool send_failed(struct sock *s, int err) {
    if (err != EPIPE) {
        sock_set_error(s, err);
    }
    sock_refresh(s);
    if (err != EPIPE && !(s->state & FAR_ST_HUP)) {
        return true;
    }
    s->failed |= err != EPIPE;
    // EPIPE says what near sees in the state; without that state it is news.
    if (err == EPIPE && !(s->state & FAR_ST_HUP) && !s->err) {
        sock_set_error(s, err);
    }
    return false;
}

static long send_some(struct sock *s, uint32_t n) {
    struct iovec iov[2];
    struct msghdr m = {
        .msg_iov = iov,
        .msg_iovlen = (size_t)ring_iov(s->tx, s->tx_size, s->tx_tail, n, iov),
    };
    far_ring_inv(FAR_AT_FAR_SEND, s->tx, s->tx_size, s->tx_tail, n);
    bool more = n == tx_used(s) && s->tx_more == s->tx_head;
    // The last one before an urgent byte goes with it.
    more = more || (s->tx_urg && s->tx_tail + n + 1u == s->tx_urg_end);
    bool urgent = s->tx_urg && s->tx_tail + n == s->tx_urg_end;
    int flags = MSG_DONTWAIT | MSG_NOSIGNAL | (more ? MSG_MORE : 0) |
                (urgent ? MSG_OOB : 0);
    long sent;
    do {
        sent = sendmsg(s->fd, &m, flags);
    } while (sent < 0 && errno == EINTR);
    return sent;
}

// Of n bytes, those that one call takes. An urgent byte goes by itself: of what
// the kernel takes it marks the last, also where that is only a part.
static uint32_t piece(const struct sock *s, uint32_t n) {
    uint32_t urgent = s->tx_urg_end - s->tx_tail;
    return s->tx_urg ? least(n, urgent > 1 ? urgent - 1 : 1) : n;
}

#define SEGMENT_TURNS 64u

// It changes with the path's MTU, seldom.
static uint32_t segment_of(struct sock *s) {
    int bytes = 1; // where nobody knows
    socklen_t len = sizeof bytes;
    if (s->segment_turns == 0) {
        s->segment_turns = SEGMENT_TURNS;
        getsockopt(s->fd, IPPROTO_TCP, TCP_MAXSEG, &bytes, &len);
        s->segment = bytes > 0 ? (uint32_t)bytes : 1u;
        bulk_begin(s);
    }
    s->segment_turns--;
    return s->segment;
}

uint32_t stream_share(struct sock *s, uint32_t n) {
    if (s->tx_blocked || tx_used(s) <= n) {
        return n;
    }
    uint32_t rest = n % segment_of(s);
    return rest < n ? n - rest : n;
}

uint32_t stream_tx(struct sock *s, uint32_t budget) {
    uint32_t moved = 0;
    bool again = true; // after an error, once
    if (s->state & FAR_ST_CONNECTING) {
        return 0;
    }
    while (tx_used(s) && !s->tx_blocked && moved < budget) {
        if (s->tx_dead) {
            moved += tx_used(s);
            s->tx_tail = s->tx_head;
            s->tx_urg = false;
            break;
        }
        long sent = send_some(s, piece(s, least(tx_used(s), budget - moved)));
        if (sent >= 0) {
            s->tx_tail += (uint32_t)sent;
            count_tx(s, (uint64_t)sent);
            s->tx_urg &= s->tx_tail != s->tx_urg_end;
            moved += (uint32_t)sent;
        } else if (errno == EAGAIN) {
            s->tx_blocked = true;
            bulk_hold(s);
        } else {
            s->tx_dead = !send_failed(s, errno) || !again;
            again = false;
        }
    }
    sock_try_shutdown(s);
    return moved;
}

// --- Peer to near ---

// recv gave 0: nothing comes any more. Near returns end of file before the
// error or after it, as the kernel's recv would have.
static void received_end(struct sock *s) {
    s->rx_ready = false;
    if ((s->failed || s->shut_rd) && !s->fin_seen) {
        sock_set_state(s, FAR_ST_DRAINED, 0);
        return;
    }
    if (s->fin_pos != s->rx_head) {
        s->fin_pos = s->rx_head;
        s->dirty = true;
    }
    sock_set_state(s, FAR_ST_FIN, 0);
}

static long recv_some(struct sock *s, uint32_t n) {
    struct iovec iov[2];
    struct msghdr m = {
        .msg_iov = iov,
        .msg_iovlen = (size_t)ring_iov(s->rx, s->rx_size, s->rx_head, n, iov),
    };
    long got;
    uint64_t control[FAR_CTL_MAX / 8u];
    if (s->wants_ctl) {
        m.msg_control = control;
        m.msg_controllen = sizeof control;
    }
    do {
        got = recvmsg(s->fd, &m, MSG_DONTWAIT);
    } while (got < 0 && errno == EINTR);
    if (got > 0) {
        far_ring_clean(FAR_AT_FAR_RECV, s->rx, s->rx_size, s->rx_head,
            (uint32_t)got);
        s->rx_head += (uint32_t)got;
        if (s->wants_ctl) {
            stamps_note(s, &m);
        }
        count_rx(s, (uint64_t)got);
    }
    return got;
}

static void recv_failed(struct sock *s, int err) {
    if (err == EAGAIN) {
        s->rx_ready = false;
    } else if (err == ENOTCONN) {
        s->rx_ready = false;
        sock_refresh(s);
        s->rx_ready = false;
    } else {
        // The next recv says what is behind the error, data or the end.
        s->failed |= err != EPIPE;
        sock_set_error(s, err);
        sock_refresh(s);
    }
}

// No error of the network stays; one that does is ours, and would keep
// everybody waiting.
#define RX_ERRORS 8u // in one turn

static void note_failure(struct sock *s, int err, uint32_t *errors) {
    recv_failed(s, err);
    if (s->rx_ready && ++*errors == RX_ERRORS) {
        sock_break(s, "receiving fails for ever", err);
    }
}

// After a short count. Before the call the peer's FIN was there, and so all
// that comes before it: behind what was received there is nothing but the end.
static bool ends_here(const struct sock *s) {
    return s->rx_plain && s->fin_seen && !s->failed && !s->urg_hint &&
           !(s->state & FAR_ST_HUP);
}

uint32_t stream_rx(struct sock *s, uint32_t budget) {
    uint32_t moved = 0;
    uint32_t errors = 0;
    if (!(s->state & FAR_ST_CONNECTED)) {
        return 0;
    }
    while (s->rx_ready && !s->rx_full && moved < budget && s->fd >= 0) {
        if (rx_free(s) == 0) {
            rx_wait_room(s, 1);
            break;
        }
        if (!s->rx_sure && !s->rx_plain && !urgent_look(s)) {
            break;
        }
        s->rx_sure = false;
        uint32_t want = least(rx_free(s), budget - moved);
        long got = recv_some(s, want);
        if (got < 0) {
            note_failure(s, errno, &errors);
        } else if (got == 0) {
            received_end(s);
        } else {
            moved += (uint32_t)got;
            if (s->shut_rd && !s->failed) {
                sock_set_state(s, 0, FAR_ST_DRAINED); // more may be behind it
            }
            // A short count means empty, and saves a call; but not at urgent
            // data, which it stops at, nor when the end is behind it.
            uint32_t odd = FAR_ST_RDHUP | FAR_ST_HUP;
            if ((uint32_t)got < want && !(s->state & odd) && !s->failed &&
                !s->urg_hint) {
                s->rx_ready = false;
            } else if ((uint32_t)got < want && ends_here(s)) {
                received_end(s);
            }
        }
    }
    // An event that is older than this says nothing any more.
    s->rx_sure = false;
    s->events &= ~(uint32_t)EPOLLIN;
    if (s->urg_hint && s->rx_full && s->fd >= 0) {
        urgent_find(s);
    }
    return moved;
}
