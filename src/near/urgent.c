// Urgent data of streams: what MSG_OOB, SO_OOBINLINE and SIOCATMARK mean.
// SPDX-License-Identifier: MIT
#include "near/near.h"

// The urgent byte lies in the rx ring like any other. Far's line says where:
// the mark. What the byte is to a reader is decided here, as Linux does it.

// A mark that comes before the reader has left the last one. Linux drops the
// byte of that one if the reader stands at it, else it becomes plain data.
static void next_mark(struct fari_sock *s, uint32_t pos) {
    if (fari_urg_is_hole(s, s->rx_tail) && s->rx_head != s->rx_tail) {
        fari_set(&s->rx_tail, s->rx_tail + 1u);
    }
    if ((int32_t)(pos - s->rx_tail) >= 0) {
        FARI_SET(s->urg_pos, pos);
        FARI_SET(s->urg_state, FARI_URG_VALID);
    }
}

void fari_urg_news(struct far_link *l, uint32_t slot,
    const struct far_far_line *line, uint32_t word) {
    struct fari_sock *s = fari_sock(l, slot);
    uint32_t pos[FAR_MARKS];
    FAR_RMB(FAR_AT_URG_THEN);
    for (uint32_t i = 0; i < FAR_MARKS; i++) {
        pos[i] = far_load(&line->urg_pos[i]);
    }
    FAR_RMB(FAR_AT_URG_AGAIN);
    // Far stores a mark's place before the word that counts it: where the
    // oldest was there may be the place of the next, and of as many more as
    // were counted while we looked. Those that are left out so have been
    // replaced by later ones, which we see next time. (marks.pml)
    uint32_t last = word >> 16;
    uint32_t more = ((far_load(&line->urg) >> 16) - last + 1u) & 0xffffu;
    uint32_t sure = more < FAR_MARKS ? FAR_MARKS - more : 0;
    uint32_t count = (last - (s->urg_word >> 16)) & 0xffffu;
    count = count < sure ? count : sure;
    fari_set(&s->urg_word, word);
    for (uint32_t i = count; fari_type(s) == FAR_SOCK_STREAM && i > 0; i--) {
        next_mark(s, pos[(last - i + 1u) % FAR_MARKS]);
    }
}

// --- recv(MSG_OOB) ---

// Under rx_lock: the byte, if there is one that was not yet taken. FAR_EAGAIN:
// there is none.
static int32_t take_byte(struct far_link *l, uint32_t slot,
    const struct far_iov *iov, size_t len, uint32_t flags, uint32_t *out) {
    struct fari_sock *s = fari_sock(l, slot);
    uint32_t state = fari_state(l, slot);
    uint8_t byte = 0;
    fari_refresh_rx(l, slot);
    if (fari_urg(s) != FARI_URG_VALID) {
        return FAR_EAGAIN;
    }
    bool failed = (state & FAR_ST_DRAINED) || fari_peek_error(l, slot);
    if ((state & FAR_ST_HUP) && !(state & FAR_ST_FIN) && failed) {
        return FAR_ENOTCONN; // it was reset
    }
    byte = (uint8_t)s->urg_word;
    FARI_SET(s->urg_state,
        flags & FAR_MSG_PEEK ? FARI_URG_VALID : FARI_URG_READ);
    *out |= FAR_MSG_OOB | (len == 0 ? FAR_MSG_TRUNC : 0);
    if (len > 0 && !(flags & FAR_MSG_TRUNC)) {
        int err = fari_give(l, iov, &byte, 1);
        return err < 0 ? err : 1; // as natively, it is taken
    }
    return len > 0;
}

static int32_t try_byte(struct far_link *l, uint32_t slot,
    const struct far_iov *iov, size_t count, uint32_t flags, uint32_t *out) {
    struct fari_sock *s = fari_sock(l, slot);
    int32_t n = fari_lock_ring(l, slot, FARI_PINNED, &s->rx_lock);
    if (n == FAR_OK) {
        n = take_byte(l, slot, iov, fari_iov_len(iov, count), flags, out);
    }
    fari_unlock(l, &s->rx_lock);
    return n;
}

int fari_urg_none(struct far_link *l, uint32_t slot) {
    if (fari_state(l, slot) & FAR_ST_LISTENING) {
        return FAR_ENOTCONN;
    }
    return fari_has(fari_sock(l, slot), FARI_INLINE) ? FAR_EINVAL : FAR_EAGAIN;
}

int fari_urg_ask(struct far_link *l, uint32_t slot) {
    int r = fari_ask(l, FAR_OP_URGENT, slot, NULL, 0, NULL, 0);
    return r > 0 || r == FAR_ENETDOWN ? FAR_EINVAL : r;
}

static int32_t recv_pinned(struct far_link *l, uint32_t slot,
    const struct far_iov *iov, size_t count, uint32_t flags, uint32_t *out) {
    int err = fari_urg_none(l, slot);
    if (err != FAR_EAGAIN) {
        return err;
    }
    int32_t n = try_byte(l, slot, iov, count, flags, out);
    if (n != FAR_EAGAIN) {
        return n;
    }
    // None, or not yet: far knows, and which error that is.
    err = fari_urg_ask(l, slot);
    n = try_byte(l, slot, iov, count, flags, out);
    return n != FAR_EAGAIN ? n : err;
}

int32_t fari_urg_recv(struct far_link *l, uint32_t slot, int sock,
    const struct far_iov *iov, size_t count, uint32_t flags, uint32_t *out) {
    if (fari_pin(l, sock) != slot) {
        return FAR_EBADF;
    }
    int32_t n = recv_pinned(l, slot, iov, count, flags, out);
    fari_unpin(l, slot);
    return n;
}

// --- What is asked about the mark ---

int fari_urg_at_mark(struct far_link *l, uint32_t slot, int32_t *at) {
    struct fari_sock *s = fari_sock(l, slot);
    fari_lock(l, &s->rx_lock);
    fari_refresh_rx(l, slot);
    *at = fari_urg_is_at(s, s->rx_tail);
    bool known = fari_urg(s) != FARI_URG_NONE || s->rx_head != s->rx_tail;
    fari_unlock(l, &s->rx_lock);
    return known ? FAR_OK : FAR_EAGAIN;
}

uint32_t fari_urg_unread(struct far_link *l, uint32_t slot, uint32_t n) {
    struct fari_sock *s = fari_sock(l, slot);
    fari_lock(l, &s->rx_lock);
    if (fari_urg_is_hole(s, s->rx_tail)) {
        n = 0;
    } else if (!fari_has(s, FARI_INLINE)) {
        n = fari_urg_before(s, s->rx_tail, n);
    }
    fari_unlock(l, &s->rx_lock);
    return n;
}

int far_sockatmark(struct far_link *l, int sock) {
    struct far_ifreq arg = {0};
    int err = far_ioctl(l, sock, FAR_SIOCATMARK, &arg);
    return err < 0 ? err : arg.value != 0;
}
