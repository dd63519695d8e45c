// A socket's lines: what far says, what near publishes, when they tell.
// SPDX-License-Identifier: MIT
#include "near/near.h"

void fari_set_flags(struct far_link *l, uint32_t slot, uint32_t flags,
    bool on) {
    struct fari_sock *s = fari_sock(l, slot);
    fari_lock_link(l);
    if (on) {
        fari_mark(s, flags);
    } else {
        fari_unmark(s, flags);
    }
    fari_unlock_link(l);
}

uint32_t fari_state(const struct far_link *l, uint32_t slot) {
    const struct far_far_line *line = fari_far_says(l, slot);
    return line ? far_load(&line->state) : 0;
}

// Far's word about errors.
static inline uint32_t error_word(const struct far_link *l, uint32_t slot) {
    const struct far_far_line *line = fari_far_says(l, slot);
    return line ? far_load(&line->err) : 0;
}

int fari_peek_error(const struct far_link *l, uint32_t slot) {
    uint32_t err = error_word(l, slot);
    bool seen = err >> 16 == fari_get(&fari_sock(l, slot)->err_seen);
    return seen ? FAR_OK : -(int)(err & 0xffffu);
}

// One call gets it, however many look.
FARI_APART static int take_error(struct far_link *l, uint32_t slot) {
    struct fari_sock *s = fari_sock(l, slot);
    fari_lock_link(l);
    uint32_t err = error_word(l, slot);
    bool mine = err >> 16 != s->err_seen;
    fari_set(&s->err_seen, err >> 16);
    fari_unlock_link(l);
    return mine ? -(int)(err & 0xffffu) : FAR_OK;
}

int fari_take_error(struct far_link *l, uint32_t slot) {
    uint32_t err = error_word(l, slot);
    bool seen = err >> 16 == fari_get(&fari_sock(l, slot)->err_seen);
    return seen ? FAR_OK : take_error(l, slot);
}

int fari_refresh_tx(struct far_link *l, uint32_t slot) {
    struct fari_sock *s = fari_sock(l, slot);
    const struct far_far_line *line = fari_far_says(l, slot);
    if (!line) {
        return FAR_OK;
    }
    uint32_t tail = far_load(&line->tx_tail);
    if (far_check_tail(tail, s->tx_tail, s->tx_head) != FAR_OK) {
        far_link_down(l);
        return FAR_EBADMSG;
    }
    // Far has read what we may now overwrite.
    FAR_RMB(FAR_AT_TX_ROOM);
    fari_set(&s->tx_tail, tail);
    return FAR_OK;
}

int fari_refresh_rx(struct far_link *l, uint32_t slot) {
    struct fari_sock *s = fari_sock(l, slot);
    const struct far_far_line *line = fari_far_says(l, slot);
    if (!line) {
        return FAR_OK;
    }
    uint32_t head = far_load(&line->rx_head);
    if (far_check_head(head, s->rx_head, s->rx_tail, l->lay.rx_ring) !=
        FAR_OK) {
        far_link_down(l);
        return FAR_EBADMSG;
    }
    // Pairs with far's FAR_WMB(): the bytes below head are visible.
    FAR_RMB(FAR_AT_RX_THEN);
    fari_set(&s->rx_head, head);
    // Stored before the head that reaches its mark.
    uint32_t urg = far_load(&line->urg);
    if (urg != s->urg_word) {
        fari_urg_news(l, slot, line, urg);
    }
    return FAR_OK;
}

void fari_publish_tx(struct far_link *l, uint32_t slot, uint32_t old_head) {
    uint32_t head = fari_sock(l, slot)->tx_head;
    fari_store_tx(l, slot, head);
    // Pairs with far's barrier between its tx_wake and its look at tx_head.
    FAR_SYNC(FAR_AT_TX_HEAD_WAKE);
    fari_tell_tx(l, slot, old_head, head);
}

void fari_publish_rx(struct far_link *l, uint32_t slot, bool force) {
    struct fari_sock *s = fari_sock(l, slot);
    uint32_t held_back = s->rx_tail - s->rx_pub;
    // Lazily, while far has room: a quarter of the ring, or all there is.
    if (held_back == 0 || (!force && s->rx_tail != s->rx_head &&
                              held_back < l->lay.rx_ring / 4u)) {
        return;
    }
    struct far_near_line *mine = fari_near_line(l, slot);
    // Our reads of the bytes before the tail that lets far overwrite them; and
    // the tail before the load of wake, as in fari_publish_tx().
    FAR_RMB(FAR_AT_RX_READ);
    far_store(&mine->rx_tail, s->rx_tail);
    FAR_CLEAN(FAR_AT_RX_TAIL, mine, sizeof *mine);
    FAR_SYNC(FAR_AT_RX_TAIL_WAKE);
    s->rx_pub = s->rx_tail;
    const struct far_far_line *theirs = fari_far_says(l, slot);
    bool tell = theirs && far_crossed(far_load(&theirs->rx_wake), s->rx_checked,
                              s->rx_tail);
    s->rx_checked = s->rx_tail;
    if (tell) {
        fari_kick(l, slot);
    }
}

bool fari_arm_tx(struct far_link *l, uint32_t slot) {
    struct fari_sock *s = fari_sock(l, slot);
    struct far_near_line *mine = fari_near_line(l, slot);
    uint32_t size = l->lay.tx_ring;
    uint32_t seen = s->tx_tail;
    // Below a third: when that is free. Above (a datagram that needs more): at
    // any progress. So one wake index serves all who wait.
    uint32_t wake =
        fari_has_room(l, slot) ? seen : s->tx_head - size + size / 3u - 1u;
    far_store(&mine->tx_wake, wake);
    FAR_CLEAN(FAR_AT_ARM_TX, mine, sizeof *mine);
    FAR_SYNC(FAR_AT_ARM_TX_LOOK);
    if (fari_refresh_tx(l, slot) != FAR_OK || fari_is_down(l)) {
        return false;
    }
    return fari_has_room(l, slot) ? s->tx_tail == seen
                                  : s->tx_tail - seen <= wake - seen;
}

bool fari_arm_rx(struct far_link *l, uint32_t slot, uint32_t seen) {
    struct fari_sock *s = fari_sock(l, slot);
    struct far_near_line *mine = fari_near_line(l, slot);
    fari_publish_rx(l, slot, true);
    far_store(&mine->rx_wake, seen);
    FAR_CLEAN(FAR_AT_ARM_RX, mine, sizeof *mine);
    FAR_SYNC(FAR_AT_ARM_RX_LOOK);
    return fari_refresh_rx(l, slot) == FAR_OK && !fari_is_down(l) &&
           s->rx_head == seen;
}

int fari_sleep(struct far_link *l, uint32_t waiter, uint64_t deadline_ns,
    uint32_t timeo_ms, uint64_t *timeo_ns) {
    bool kernel_style = deadline_ns == FAR_FOREVER && timeo_ms != 0;
    if (kernel_style && *timeo_ns == 0) {
        *timeo_ns = fari_deadline(l, timeo_ms);
    }
    int err = fari_wait_step(l, waiter, kernel_style ? *timeo_ns : deadline_ns);
    if (err == FAR_ELINKDOWN) {
        return FAR_OK; // looking again finds it
    }
    return err == FAR_ETIMEDOUT && kernel_style ? FAR_EAGAIN : err;
}

// Far's death counts as a reset that came after what had arrived.
bool fari_over_by_death(struct far_link *l, uint32_t slot, bool tell,
    int *result) {
    struct fari_sock *s = fari_sock(l, slot);
    if (!fari_is_down(l)) {
        return false;
    }
    fari_lock_link(l);
    *result = fari_has(s, FARI_DOWN_TOLD) ? 0 : FAR_ECONNRESET;
    fari_mark(s, tell ? FARI_DOWN_TOLD : 0);
    fari_unlock_link(l);
    return true;
}

// What the state alone says.
static int by_state(const struct fari_sock *s, uint32_t state) {
    if (fari_has(s, FARI_SHUT_WR)) {
        return FAR_EPIPE;
    }
    if (state & FAR_ST_CLOSED) {
        return FAR_ENOTCONN; // it changed its link
    }
    if (state & FAR_ST_CONNECTING) {
        return FAR_EAGAIN;
    }
    if ((state & FAR_ST_HUP) || !(state & FAR_ST_CONNECTED)) {
        return FAR_EPIPE;
    }
    return FAR_OK;
}

// Far is down, or has told an error.
FARI_APART static int by_error(struct far_link *l, uint32_t slot, bool tell,
    uint32_t state) {
    int err = FAR_OK;
    if (fari_over_by_death(l, slot, tell, &err)) {
        return err != FAR_OK ? err : FAR_EPIPE;
    }
    err = tell ? fari_take_error(l, slot) : fari_peek_error(l, slot);
    return err != FAR_OK ? err : by_state(fari_sock(l, slot), state);
}

int fari_may_send(struct far_link *l, uint32_t slot, bool tell) {
    const struct fari_sock *s = fari_sock(l, slot);
    const struct far_far_line *line = fari_far_says(l, slot);
    uint32_t state = line ? far_load(&line->state) : 0;
    // The error after the state.
    if (fari_is_down(l) ||
        (line && far_load(&line->err) >> 16 != fari_get(&s->err_seen))) {
        return by_error(l, slot, tell, state);
    }
    return by_state(s, state);
}

bool fari_stream_over(struct far_link *l, uint32_t slot, uint32_t hole,
    bool tell, int *result) {
    struct fari_sock *s = fari_sock(l, slot);
    const struct far_far_line *line = fari_far_says(l, slot);
    uint32_t state = line ? far_load(&line->state) : 0;
    if (state & FAR_ST_CLOSED) {
        *result = FAR_ENOTCONN; // it changed its link
        return true;
    }
    // The state before the index it speaks of: far stores them the other way.
    FAR_RMB(FAR_AT_STATE_THEN);
    if (fari_refresh_rx(l, slot) != FAR_OK || s->rx_head != s->rx_tail + hole) {
        return fari_over_by_death(l, slot, tell, result);
    }
    if ((state & FAR_ST_FIN) && far_load(&line->fin_pos) == s->rx_head) {
        *result = 0;
        return true;
    }
    if (fari_is_down(l)) {
        return fari_over_by_death(l, slot, tell, result);
    }
    if (state & FAR_ST_LISTENING) {
        *result = FAR_ENOTCONN; // a pending error stays
        return true;
    }
    bool ended = (state & FAR_ST_DRAINED) != 0;
    if ((ended || !(state & (FAR_ST_HUP | FAR_ST_FIN))) && line &&
        far_load(&line->err) >> 16 != fari_get(&s->err_seen)) {
        *result = tell ? fari_take_error(l, slot) : fari_peek_error(l, slot);
        if (*result != FAR_OK) {
            return true;
        }
    }
    // Of a connection, also one that has ended, far says when it has all that
    // came before shutdown(), or its error.
    bool shut =
        fari_has(s, FARI_SHUT_RD) && !(state & (FAR_ST_CONNECTED | FAR_ST_HUP));
    if (ended || shut) {
        *result = 0;
        return true;
    }
    if (!(state & (FAR_ST_CONNECTED | FAR_ST_CONNECTING | FAR_ST_HUP))) {
        *result = FAR_ENOTCONN;
        return true;
    }
    return false;
}
