// Where things of a socket are, and what is asked of them all over: within its
// callers, or where code shall be small a function of its own (place.c).
// SPDX-License-Identifier: MIT
#ifndef FARI_PLACE_H
#define FARI_PLACE_H

#include "near/near.h"

FARI_PLACE struct fari_sock *fari_sock(const struct far_link *l,
    uint32_t slot) {
    return &l->socks[slot];
}

FARI_PLACE struct far_near_line *fari_near_line(const struct far_link *l,
    uint32_t slot) {
    return (struct far_near_line *)(void *)fari_at_line(l,
        l->lay.near_socks + slot);
}

FARI_PLACE struct far_far_line *fari_far_line(const struct far_link *l,
    uint32_t slot) {
    return (struct far_far_line *)(void *)fari_at_line(l,
        l->lay.far_socks + slot);
}

FARI_PLACE const struct far_far_line *fari_far_says(const struct far_link *l,
    uint32_t slot) {
    const struct far_far_line *line = fari_far_line(l, slot);
    FAR_INV(FAR_AT_NEAR_LOOK, line, sizeof *line);
    uint32_t gen = FARI_GET(fari_sock(l, slot)->gen);
    if (far_load(&line->gen) != gen) {
        return NULL;
    }
    // Far may just now have heard of one that it had promised: what follows is
    // not what the slot's last socket left.
    FAR_RMB(FAR_AT_NEAR_LOOK_THEN);
    return line;
}

FARI_PLACE uint8_t *fari_tx_ring(const struct far_link *l, uint32_t slot) {
    return fari_at_line(l, l->lay.tx_at) + (size_t)slot * l->lay.tx_ring;
}

FARI_PLACE uint8_t *fari_rx_ring(const struct far_link *l, uint32_t slot) {
    return fari_at_line(l, l->lay.rx_at) + (size_t)slot * l->lay.rx_ring;
}

FARI_PLACE bool fari_has_room(const struct far_link *l, uint32_t slot) {
    const struct fari_sock *s = fari_sock(l, slot);
    uint32_t size = l->lay.tx_ring;
    return size - (fari_get(&s->tx_head) - fari_get(&s->tx_tail)) >= size / 3u;
}

FARI_PLACE int fari_lock_ring(struct far_link *l, uint32_t slot, int sock,
    _Atomic uint32_t *lock) {
    fari_lock(l, lock);
    return fari_check_ring(l, slot, sock, lock);
}

FARI_PLACE bool fari_urg_is_at(const struct fari_sock *s, uint32_t pos) {
    return fari_urg(s) != FARI_URG_NONE && FARI_GET(s->urg_pos) == pos;
}

FARI_PLACE bool fari_urg_is_hole(const struct fari_sock *s, uint32_t pos) {
    return fari_urg_is_at(s, pos) && !fari_has(s, FARI_INLINE);
}

#endif
