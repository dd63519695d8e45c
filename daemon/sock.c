// A socket: its lines, its state, its turns.
// SPDX-License-Identifier: MIT
#include "daemon/core.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include "daemon/gate.h"
#include "daemon/log.h"
#include "daemon/translate.h"
#include "farsock/proto.h"

static bool is_stream(const struct sock *s) {
    return s->type == FAR_SOCK_STREAM;
}

static const struct far_near_line *near_line(const struct sock *s) {
    return &s->link->near_lines[s->slot];
}

void sock_wake(struct sock *s) {
    if (node_is_alone(&s->run)) {
        node_append(&s->link->run, &s->run);
    }
    link_wake(s->link);
}

void sock_again(struct sock *s) {
    if (node_is_alone(&s->run)) {
        node_append(&s->link->more, &s->run);
    }
    link_wake(s->link);
}

static void sock_ready(struct watch *w, uint32_t events) {
    struct sock *s = OF(w, struct sock, watch);
    s->events |= events;
    sock_wake(s);
}

// --- The far line ---

void sock_set_state(struct sock *s, uint32_t set, uint32_t clear) {
    uint32_t state = (s->state & ~clear) | set;
    if (state != s->state) {
        s->state = state;
        s->dirty = true;
    }
}

void sock_set_error(struct sock *s, int host_errno) {
    s->last_error = far_errno(host_errno);
    // 0 means "none yet", so the sequence skips nothing but may wrap past it:
    // the error number in the low half is never 0.
    s->err_seq = (s->err_seq + 1u) & 0xffffu;
    s->err = s->err_seq << 16 | (uint32_t)-s->last_error;
    s->dirty = true;
}

// Everything of a new socket before the generation that makes it count: near
// has the new one already, so meanwhile the line counts as zero. Near looks in
// that order, since it may have a promised one without an answer of ours.
static void init_line(struct sock *s) {
    struct far_far_line *line = sock_line(s);
    uint32_t base = s->link->layout.index_base;
    far_store(&line->tx_tail, base);
    far_store(&line->rx_head, base);
    far_store(&line->tx_wake, base);
    // Nobody waits for room yet: a wake just passed is 4 GiB away.
    far_store(&line->rx_wake, base - 1u);
    far_store(&line->state, s->state);
    far_store(&line->fin_pos, base);
    far_store(&line->err, 0);
    far_store(&line->verdict, 0);
    far_store(&line->urg, 0);
    FAR_WMB(FAR_AT_LINE_GEN);
    far_store(&line->gen, s->gen);
    FAR_CLEAN(FAR_AT_LINE_NEW, line, sizeof *line);
}

// There is nothing to do with what is in the tx ring: only more of it helps.
static bool tx_is_idle(const struct sock *s) {
    return tx_used(s) == 0 || s->tx_part_seen;
}

// In one word, so that near's poll sees a reset and its error at once.
static uint32_t state_word(const struct sock *s) {
    return (s->err & 0xffff0000u) | s->state;
}

static void store_line(struct sock *s) {
    struct far_far_line *line = sock_line(s);
    // Bytes, and a mark that is among them, before the indexes that announce
    // them; indexes before the state that says that they are final. What an
    // error voids before the error: who was told asks anew.
    if (s->dirty) {
        far_store(&line->verdict, s->verdict);
    }
    FAR_WMB(FAR_AT_FAR_DATA);
    far_store(&line->tx_tail, s->tx_tail);
    far_store(&line->rx_head, s->rx_head);
    if (tx_is_idle(s)) {
        far_store(&line->tx_wake, s->tx_head);
    }
    if (s->rx_full) {
        far_store(&line->rx_wake, s->rx_goal);
    }
    if (s->dirty) {
        far_store(&line->fin_pos, s->fin_pos);
        far_store(&line->err, s->err);
        FAR_WMB(FAR_AT_FAR_STATE);
        far_store(&line->state, state_word(s));
    }
    FAR_CLEAN(FAR_AT_FAR_LINE, line, sizeof *line);
}

// The next turn receives more, and near has not yet three quarters of a ring to
// read: then one wake-up does for both. Near sees what is published if it is
// awake. The wake is not lost: what was held back counts at the next check.
static bool is_held(const struct sock *s) {
    return s->rx_goes_on && rx_free(s) > s->rx_size / 4u;
}

// Near waits for room, and it has written tiny datagrams: before a third of its
// ring is full of them again it keeps a processor for long, for which somebody
// quiet may wait. Beside such it goes on in small steps.
static bool is_told_early(const struct sock *s, uint32_t tx_wake) {
    return s->tx_tiny && s->link->engine->rival_ns &&
           s->tx_size - tx_used(s) >= RIVAL_ROOM &&
           tx_wake - s->tx_tail < s->tx_size;
}

void sock_publish(struct sock *s) {
    const struct far_near_line *near = near_line(s);
    store_line(s);
    // Indexes and wakes before the loads of near's wakes and indexes; pairs
    // with near, which stores in one line and then loads from the other.
    FAR_SYNC(FAR_AT_FAR_LINE_WAKE);
    FAR_INV(FAR_AT_FAR_WAKE_LOOK, near, sizeof *near);
    bool held = is_held(s);
    if (far_load(&near->gen) == s->gen) {
        uint32_t tx_wake = far_load(&near->tx_wake);
        uint32_t rx_wake = far_load(&near->rx_wake);
        s->dirty |= far_crossed(tx_wake, s->tx_checked, s->tx_tail) ||
                    is_told_early(s, tx_wake) ||
                    (!held && far_crossed(rx_wake, s->rx_checked, s->rx_head));
    }
    s->tx_checked = s->tx_tail;
    s->rx_checked = held ? s->rx_checked : s->rx_head;
    if (s->dirty) {
        s->dirty = false;
        link_kick(s->link, s->slot);
    }
    bool was_idle = tx_is_idle(s);
    uint32_t head = s->tx_head;
    if (!sock_look(s) || (was_idle && head != s->tx_head) ||
        (s->near_flags && !s->closing)) {
        sock_wake(s);
    }
}

// --- The near line ---

void sock_poison(struct sock *s, enum violation kind, const char *what) {
    if (s->fd >= 0) {
        sock_break(s, what, EBADMSG);
        link_violation(s->link, kind, what);
    }
}

void sock_break(struct sock *s, const char *what, int host_errno) {
    far_log(FAR_LOG_DEBUG, "link %u socket %u: %s", s->link->id, s->slot, what);
    s->abort = true;
    struct linger rst = {.l_onoff = 1, .l_linger = 0};
    setsockopt(s->fd, SOL_SOCKET, SO_LINGER, &rst, sizeof rst);
    engine_unwatch(s->link->engine, &s->watch, s->fd);
    close(s->fd);
    s->fd = -1;
    dgram_cancel(s, far_errno(host_errno));
    sock_set_state(s, FAR_ST_HUP | FAR_ST_DRAINED, FAR_ST_CONNECTING);
    sock_set_error(s, host_errno);
    sock_wake(s);
}

// Near has sent an urgent byte. One that far still has in the ring when the
// next comes is forgotten, as in the kernel's queue.
static void look_urgent(struct sock *s, const struct far_near_line *near,
    uint32_t count) {
    uint32_t end = far_load(&near->urg_end);
    // Not yet: its byte is not published, or what we see is still the last.
    if (end - s->tx_tail - 1u < tx_used(s) &&
        !(s->tx_urg && s->tx_urg_end == end)) {
        s->tx_urg = true;
        s->tx_urg_end = end;
        s->tx_urg_seen = count;
    }
}

bool sock_look(struct sock *s) {
    const struct far_near_line *near = near_line(s);
    FAR_INV(FAR_AT_FAR_LOOK, near, sizeof *near);
    if (far_load(&near->gen) != s->gen) {
        return true;
    }
    uint32_t flags = far_load(&near->flags);
    // With CLOSE the indexes are final: they were stored before it.
    FAR_RMB(FAR_AT_FAR_FLAGS);
    s->near_flags |= flags & (FAR_NEAR_CLOSE | FAR_NEAR_RESET);
    if (s->fd < 0) {
        return true;
    }
    uint32_t tx_head = far_load(&near->tx_head);
    uint32_t rx_tail = far_load(&near->rx_tail);
    if (far_check_head(tx_head, s->tx_head, s->tx_tail, s->tx_size) != FAR_OK ||
        far_check_tail(rx_tail, s->rx_tail, s->rx_head) != FAR_OK) {
        sock_poison(s, VIOLATION_INDEX, "a socket's index is garbage");
        return false;
    }
    // Indexes before the bytes that they announce, or whose room we reuse.
    FAR_RMB(FAR_AT_FAR_INDEX);
    // Stored before its head. A later one is not yet ours.
    s->tx_more = far_load(&near->tx_more);
    s->tx_head = tx_head;
    s->rx_tail = rx_tail;
    uint32_t urg_count = far_load(&near->urg_count);
    if (urg_count != s->tx_urg_seen) {
        look_urgent(s, near, urg_count);
    }
    if (s->rx_full && (int32_t)(rx_tail - s->rx_goal) > 0) {
        s->rx_full = false;
        sock_wake(s);
    }
    return true;
}

int ring_iov(uint8_t *data, uint32_t size, uint32_t pos, uint32_t n,
    struct iovec iov[2]) {
    uint32_t first = far_ring_span(size, pos, n);
    iov[0] = (struct iovec){data + (pos & (size - 1u)), first};
    iov[1] = (struct iovec){data, n - first};
    return n > first ? 2 : 1;
}

void rx_wait_room(struct sock *s, uint32_t room) {
    uint32_t third = s->rx_size / 3u;
    uint32_t want = room > third ? room : third;
    // Room is want when rx_tail reaches this plus 1.
    s->rx_goal = s->rx_head - s->rx_size + want - 1u;
    s->rx_full = true;
}

// --- The kernel's side ---

int take_so_error(int fd) {
    int err = 0;
    socklen_t len = sizeof err;
    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len) < 0 ? 0 : err;
}

static uint32_t poll_bits(int fd) {
    struct pollfd p = {
        .fd = fd,
        .events = POLLIN | POLLOUT | POLLPRI | POLLRDHUP,
    };
    return poll(&p, 1, 0) > 0 ? (uint32_t)p.revents : 0;
}

bool is_connected(int fd) {
    struct sockaddr_storage sa;
    socklen_t len = sizeof sa;
    return getpeername(fd, (struct sockaddr *)&sa, &len) == 0;
}

static void take_error(struct sock *s) {
    int err = take_so_error(s->fd);
    if (err) {
        sock_set_error(s, err);
        s->failed |= is_stream(s) && err != EPIPE;
    }
    if (!err || (s->recverr && (poll_bits(s->fd) & POLLERR))) {
        sock_set_state(s, FAR_ST_ERRQUEUE, 0);
    }
}

static bool is_tcp(const struct sock *s) {
    return is_stream(s) && (s->proto == 0 || s->proto == IPPROTO_TCP);
}

// Somebody sleeps in connect(): natively it would return now. Asked only when
// near says so again, the kernel might tell of a reset that came later. TCP has
// only 0 to say of a connection that stands, and need not be asked.
static void end_connect(struct sock *s) {
    struct sockaddr_storage sa;
    if (!s->connect_waits) {
        return;
    }
    s->connect_told = is_tcp(s);
    if (s->connect_told) {
        s->connect_result = FAR_OK;
    } else {
        socklen_t len = host_addr(&s->goal, &sa);
        s->connect_result =
            far_result(connect(s->fd, (struct sockaddr *)&sa, len));
    }
    s->connect_known = true;
    s->connect_waits = false;
}

static void refresh_connecting(struct sock *s, uint32_t bits) {
    // One that was shut down both ways before it connected hangs up at once.
    if ((bits & POLLHUP) && !is_connected(s->fd)) {
        // Its rx ring is empty, so near may say so at once.
        s->failed = true;
        sock_set_state(s, FAR_ST_HUP | FAR_ST_RDHUP | FAR_ST_DRAINED,
            FAR_ST_CONNECTING);
    } else if (bits & (POLLOUT | POLLHUP)) {
        end_connect(s);
        sock_set_state(s, FAR_ST_CONNECTED, FAR_ST_CONNECTING);
    }
}

static bool peer_ended(int fd) {
    struct tcp_info info;
    socklen_t len = sizeof info;
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0) {
        return false;
    }
    return info.tcpi_state == TCP_CLOSE_WAIT ||
           info.tcpi_state == TCP_LAST_ACK || info.tcpi_state == TCP_CLOSING ||
           info.tcpi_state == TCP_TIME_WAIT;
}

static void refresh_connected(struct sock *s, uint32_t bits) {
    if ((bits & POLLHUP) && !(bits & POLLRDHUP)) {
        // connect(AF_UNSPEC), or connect() after a failed one: as new.
        sock_set_state(s, 0, ~0u);
        return;
    }
    uint32_t set = bits & POLLHUP ? FAR_ST_HUP : 0;
    set |= bits & POLLRDHUP ? FAR_ST_RDHUP : 0;
    // A FIN of which we know before any error: end of file comes before it.
    // shutdown() for reading looks the same, but an error comes before its end.
    bool fin = (bits & (POLLRDHUP | POLLHUP | POLLERR)) == POLLRDHUP &&
               (!s->shut_rd || peer_ended(s->fd));
    s->fin_seen |= fin;
    s->rx_plain |= fin && !(bits & POLLPRI) && !s->urg_hint;
    sock_set_state(s, set, 0);
}

static void refresh_stream(struct sock *s, uint32_t bits) {
    if (s->state & FAR_ST_LISTENING) {
        if (bits & POLLHUP) { // shutdown() of a listener
            sock_set_state(s, 0, FAR_ST_LISTENING | FAR_ST_ACCEPT);
        } else if (bits & POLLIN) {
            sock_set_state(s, FAR_ST_ACCEPT, 0);
        } else {
            sock_set_state(s, 0, FAR_ST_ACCEPT);
        }
    } else if (s->state & FAR_ST_CONNECTING) {
        refresh_connecting(s, bits);
    }
    if (s->state & (FAR_ST_CONNECTED | FAR_ST_HUP)) {
        refresh_connected(s, bits);
    }
    if ((s->state & FAR_ST_CONNECTED) && (bits & POLLOUT)) {
        s->tx_blocked = false;
    }
}

// Of a socket that was shut down for reading the kernel says readable, too.
static bool has_datagram(const struct sock *s, uint32_t bits) {
    if (shared_next(s) >= 0) {
        return true;
    }
    return (bits & POLLIN) &&
           (!(bits & POLLRDHUP) ||
               recv(s->fd, NULL, 0, MSG_PEEK | MSG_TRUNC | MSG_DONTWAIT) >= 0);
}

static void refresh_dgram(struct sock *s, uint32_t bits) {
    uint32_t set = bits & POLLHUP ? FAR_ST_HUP : 0;
    set |= bits & POLLRDHUP ? FAR_ST_RDHUP : 0;
    set |= bits & POLLPRI ? FAR_ST_PRI : 0;
    set |= s->shared && has_datagram(s, bits) ? FAR_ST_DATA : 0;
    sock_set_state(s, set,
        (FAR_ST_HUP | FAR_ST_RDHUP | FAR_ST_PRI | FAR_ST_DATA) & ~set);
}

void sock_refresh(struct sock *s) {
    if (s->fd < 0) {
        return;
    }
    uint32_t bits = poll_bits(s->fd);
    if (bits & POLLERR) {
        take_error(s);
    } else {
        sock_set_state(s, 0, FAR_ST_ERRQUEUE);
    }
    if (bits & (POLLIN | POLLRDHUP | POLLHUP)) {
        s->rx_ready = true;
    }
    if (is_stream(s)) {
        refresh_stream(s, bits);
    } else {
        refresh_dgram(s, bits);
    }
}

// Of a stream whose end near has: nothing but room, and that again.
static bool is_old_news(const struct sock *s, uint32_t ev) {
    const uint32_t odd =
        FAR_ST_HUP | FAR_ST_ERRQUEUE | FAR_ST_LISTENING | FAR_ST_CONNECTING;
    const uint32_t ended = FAR_ST_CONNECTED | FAR_ST_RDHUP | FAR_ST_FIN;
    return is_stream(s) && (s->state & (ended | odd)) == ended &&
           !(ev & ~(uint32_t)(EPOLLIN | EPOLLOUT | EPOLLRDHUP));
}

static void take_events(struct sock *s) {
    uint32_t ev = s->events;
    s->events = 0;
    if (is_old_news(s, ev)) {
        s->tx_blocked &= !(ev & EPOLLOUT);
        return;
    }
    if (ev & EPOLLOUT) {
        s->tx_blocked = false;
    }
    if (ev & (EPOLLIN | EPOLLPRI | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) {
        s->rx_ready = true;
    }
    s->rx_sure = (ev & (EPOLLIN | EPOLLPRI)) == EPOLLIN;
    s->urg_hint |= (ev & EPOLLPRI) != 0;
    // The mask is as old as the last epoll_wait(), and a request may have
    // changed everything since: for what is more than data ask again.
    if ((ev & ~(uint32_t)(EPOLLIN | EPOLLOUT)) || (ev && s->shared) ||
        (ev && (s->state & (FAR_ST_CONNECTING | FAR_ST_LISTENING)))) {
        sock_refresh(s);
    }
}

// --- Turns ---

static bool is_alone(const struct sock *s) {
    struct engine *e = s->link->engine;
    if (e->runner != s) {
        e->runner = s;
        e->runs = 0;
    } else if (e->runs < TURNS_LONG) {
        e->runs++;
    }
    return e->runs >= TURNS_ALONE;
}

// What a turn moves at most.
struct share {
    uint32_t tx, rx;
};

// More in one go is fewer of everything else: of looks for events that are
// none, of wake-ups of near, and of switches to the peer.
static struct share share_of(const struct sock *s, bool alone) {
    uint32_t n = engine_share(s->link->engine, TURN_BYTES);
    if (!is_stream(s)) {
        return (struct share){n, n};
    }
    return alone && n == TURN_BYTES
               ? (struct share){TURN_TX_ALONE, TURN_RX_ALONE}
               : (struct share){n, n * TURN_RX_PART};
}

uint32_t sock_turn(struct sock *s) {
    bool looked = sock_look(s);
    bool alone = is_alone(s);
    s->rx_goes_on = false;
    if (s->link->dead || (s->near_flags & FAR_NEAR_CLOSE)) {
        close_turn(s);
        return TURN_BYTES;
    }
    if (s->fd < 0 || !looked) {
        sock_publish(s);
        return 0;
    }
    take_events(s);
    struct share n = share_of(s, alone);
    n.tx = is_stream(s) ? stream_share(s, n.tx) : n.tx;
    n.tx = n.tx > TURN_BYTES ? bulk_share(s, n.tx) : n.tx; // of a stream
    uint32_t moved = is_stream(s) ? stream_tx(s, n.tx) : dgram_tx(s, n.tx);
    bulk_note(s, n.tx, moved);
    if (moved && s->fd >= 0 && s->rx_ready) {
        sock_publish(s); // near need not wait for what is received
    }
    uint32_t got = is_stream(s) ? stream_rx(s, n.rx) : dgram_rx(s, n.rx);
    bool again = s->fd >= 0 && (moved >= n.tx || got >= n.rx);
    trickle_note(s, moved, got);
    s->rx_goes_on = again && is_stream(s) && s->rx_ready && !s->rx_full;
    sock_publish(s);
    if (again) {
        sock_again(s);
    }
    s->link->engine->bulk |= moved + got > QUIET_BYTES;
    return moved + got;
}

bool sock_flush(struct sock *s, uint32_t to) {
    uint32_t share = engine_share(s->link->engine, TURN_BYTES);
    uint32_t moved = is_stream(s) ? stream_tx(s, share) : dgram_tx(s, share);
    return s->fd < 0 || moved < share || (int32_t)(s->tx_tail - to) >= 0;
}

void sock_try_shutdown(struct sock *s) {
    if (!s->shut_waits || (int32_t)(s->tx_tail - s->shut_pos) < 0) {
        return;
    }
    s->shut_waits = false;
    shutdown(s->fd, host_shut((uint32_t)s->shut_how));
    sock_refresh(s);
}

// --- Life ---

bool link_has_room(struct link *l) {
    uint32_t max = l->spec.max_sockets;
    uint32_t promised = l->promise.sock != NULL;
    return max == 0 || l->sockets + promised < max ||
           (promise_revoke(l) && l->sockets < max);
}

static void place_rings(struct sock *s, const struct far_rings *r) {
    uint8_t *region = s->link->spec.region;
    uint32_t base = s->link->layout.index_base;
    s->tx = region + (size_t)r->tx_at * FAR_LINE;
    s->rx = region + (size_t)r->rx_at * FAR_LINE;
    s->tx_size = 1u << r->tx_log2;
    s->rx_size = 1u << r->rx_log2;
    s->tx_tail = s->rx_head = s->tx_head = s->rx_tail = base;
    s->tx_checked = s->rx_checked = s->fin_pos = s->flushed_to = base;
    s->tx_more = base - 1u;
    s->tx_urg_end = base;
}

struct sock *sock_make(struct link *l, int fd, const struct kind *kind,
    void (*ready)(struct watch *w, uint32_t events)) {
    struct sock *s = calloc(1, sizeof *s);
    if (!s) {
        return NULL;
    }
    s->watch.ready = ready;
    s->link = l;
    s->fd = fd;
    s->family = kind->family;
    s->type = kind->type;
    s->proto = kind->proto;
    s->rcvlowat = 1;
    s->policy_proto =
        (uint8_t)gate_proto(host_socktype(kind->type), (int)kind->proto);
    s->policy_seen = l->policy_epoch;
    node_init(&s->run);
    node_init(&s->linger);
    node_init(&s->held);
    node_init(&s->share);
    node_init(&s->reuse);
    // A datagram sent gives room, and so an event: only when it is wanted.
    uint32_t events = EPOLLIN | EPOLLPRI | EPOLLRDHUP;
    events |= kind->type == FAR_SOCK_STREAM ? EPOLLOUT : 0;
    if (engine_watch(l->engine, &s->watch, fd, events) < 0) {
        // The system's limit of watches, which natively no socket meets.
        errno = errno == ENOSPC ? ENOBUFS : errno;
        free(s);
        return NULL;
    }
    return s;
}

void sock_place(struct sock *s, uint32_t slot, const struct far_rings *rings) {
    struct link *l = s->link;
    s->watch.ready = sock_ready;
    s->slot = slot;
    s->gen = rings->gen;
    place_rings(s, rings);
    l->slots[slot].sock = s;
    l->slots[slot].last_gen = s->gen;
    l->sockets++;
    l->engine->total.sockets++;
    init_line(s);
}

struct sock *sock_new(struct link *l, uint32_t slot,
    const struct far_rings *rings, int fd, uint32_t family, uint32_t type,
    uint32_t proto) {
    if (!link_has_room(l)) {
        errno = EMFILE;
        return NULL;
    }
    struct kind kind = {family, type, proto};
    promises_heed(l->engine, fd);
    struct sock *s = sock_make(l, fd, &kind, sock_ready);
    if (!s && promises_revoke(l->engine)) {
        s = sock_make(l, fd, &kind, sock_ready);
    }
    if (s) {
        sock_place(s, slot, rings);
    }
    return s;
}

static void publish_closed(struct sock *s) {
    struct far_far_line *line = sock_line(s);
    s->state |= FAR_ST_CLOSED;
    // After this near may use slot and rings again: our reads are over.
    FAR_RMB(FAR_AT_CLOSED_LAST);
    far_store(&line->state, state_word(s));
    FAR_CLEAN(FAR_AT_CLOSED, line, sizeof *line);
    link_tell_closed(s->link, s->slot);
}

void sock_finish(struct sock *s) {
    struct link *l = s->link;
    dgram_cancel(s, FAR_ECANCELED);
    shared_leave(s);
    if (s->fd >= 0) {
        engine_unwatch(l->engine, &s->watch, s->fd);
        close(s->fd);
    }
    node_remove(&s->run);
    node_remove(&s->linger);
    node_remove(&s->held);
    node_remove(&s->reuse);
    s->dirty = false;
    // A link that we end has a near that lives: it shall see the link's death,
    // not a socket that was closed.
    if (!l->dead) {
        publish_closed(s);
    }
    l->slots[s->slot].sock = NULL;
    l->sockets--;
    l->incoming -= s->incoming;
    stamps_free(s);
    free(s->tx_part.buf);
    free(s->rx_part.buf);
    free(s);
}
