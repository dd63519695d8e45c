// Sockets that change their link.
// SPDX-License-Identifier: MIT
#include "near/near.h"

// Under no lock. One that was closed meanwhile stays so.
static void set_use(struct far_link *l, uint32_t slot, uint8_t from,
    uint8_t to) {
    struct fari_sock *s = fari_sock(l, slot);
    fari_lock(l, &s->tx_lock);
    fari_lock(l, &s->rx_lock);
    if (to == FARI_MOVING) {
        fari_publish_rx(l, slot, true);
    }
    fari_lock_link(l);
    if (fari_use(s) == from) {
        fari_set_use(s, to);
    }
    fari_wake(l, FARI_WAIT_SOCK, slot);
    fari_unlock_link(l);
    fari_unlock(l, &s->rx_lock);
    fari_unlock(l, &s->tx_lock);
}

// Until far has answered.
static void wait_moved(struct far_link *l, uint32_t slot) {
    uint64_t until = fari_deadline(l, FARI_PART_MS);
    uint32_t w = fari_wait_begin(l, FARI_WAIT_SOCK, slot);
    while (fari_use(fari_sock(l, slot)) == FARI_MOVING && !fari_is_down(l)) {
        fari_wait_far(l, w, until);
    }
    fari_wait_end(l, w);
}

FARI_APART static int check_moving(struct far_link *l, uint32_t slot, int sock,
    _Atomic uint32_t *lock) {
    struct fari_sock *s = fari_sock(l, slot);
    while (fari_use(s) == FARI_MOVING && !fari_is_down(l)) {
        fari_unlock(l, lock);
        wait_moved(l, slot);
        fari_lock(l, lock);
    }
    if (sock == FARI_PINNED) {
        return fari_use(s) == FARI_MOVED ? FAR_ENOTCONN : FAR_OK;
    }
    return fari_is_open(l, slot, sock) ? FAR_OK : FAR_EBADF;
}

int fari_check_ring(struct far_link *l, uint32_t slot, int sock,
    _Atomic uint32_t *lock) {
    if (fari_use(fari_sock(l, slot)) != FARI_OPEN) {
        return check_moving(l, slot, sock, lock);
    }
    return fari_is_open(l, slot, sock) ? FAR_OK : FAR_EBADF;
}

// Nobody takes a datagram until let_rx(): neither one that is being moved, nor
// one that far brings before the move is over.
static void hold_rx(struct far_link *l, uint32_t slot) {
    struct fari_sock *s = fari_sock(l, slot);
    uint64_t until = fari_deadline(l, FARI_PART_MS);
    uint32_t w = fari_wait_begin(l, FARI_WAIT_SOCK, slot);
    bool busy = true;
    while (busy) {
        fari_lock(l, &s->rx_lock);
        fari_publish_rx(l, slot, true);
        fari_lock_link(l);
        busy = fari_has(s, FARI_RX_BUSY) && !fari_is_down(l);
        fari_mark(s, FARI_RX_BUSY);
        fari_unlock_link(l);
        fari_unlock(l, &s->rx_lock);
        if (busy) {
            fari_wait_far(l, w, until);
        }
    }
    fari_wait_end(l, w);
}

// moved: what the ring held is far's again, for all that share the socket.
static void let_rx(struct far_link *l, uint32_t slot, bool moved) {
    struct fari_sock *s = fari_sock(l, slot);
    fari_lock(l, &s->rx_lock);
    if (moved && fari_refresh_rx(l, slot) == FAR_OK) {
        fari_set(&s->rx_tail, s->rx_head);
        fari_publish_rx(l, slot, true);
    }
    fari_lock_link(l);
    fari_unmark(s, FARI_RX_BUSY);
    fari_changed(l, slot);
    fari_unlock_link(l);
    fari_unlock(l, &s->rx_lock);
}

int far_share(struct far_link *l, int sock) {
    uint32_t slot = fari_pin(l, sock);
    if (slot == FARI_NO_SLOT) {
        return FAR_EBADF;
    }
    bool stream = fari_type(fari_sock(l, slot)) == FAR_SOCK_STREAM;
    if (stream) {
        // Nobody may read or write what far is about to take over: a
        // connection, which it may become only now.
        set_use(l, slot, FARI_OPEN, FARI_MOVING);
    } else {
        hold_rx(l, slot);
    }
    int err = fari_ask(l, FAR_OP_SHARE, slot, NULL, 0, NULL, 0);
    if (stream) {
        bool moved = err >= 0 && (fari_state(l, slot) & FAR_ST_CLOSED);
        set_use(l, slot, FARI_MOVING, moved ? FARI_MOVED : FARI_OPEN);
    } else {
        let_rx(l, slot, err >= 0);
    }
    fari_unpin(l, slot);
    return err;
}

int far_adopt(struct far_link *l, uint32_t family, uint32_t type,
    uint32_t proto) {
    struct far_req_socket req = {
        .family = family,
        .type = type,
        .proto = proto,
    };
    uint32_t slot = fari_slot_new(l, &req.rings);
    if (slot == FARI_NO_SLOT) {
        return fari_is_down(l) ? FAR_ENETDOWN : FAR_EMFILE;
    }
    struct fari_ask ask = {
        .op = FAR_OP_ADOPT,
        .slot = slot,
        .req = &req,
        .req_len = sizeof req,
        .undo = slot,
    };
    int err = fari_request(l, &ask, FAR_FOREVER);
    if (err < 0) {
        if (!ask.left) {
            fari_lock_link(l);
            fari_slot_drop(l, slot);
            fari_unlock_link(l);
        }
        return err;
    }
    fari_has_streams(l);
    fari_slot_open(l, slot, family, type, proto);
    return fari_handle(l, slot);
}
