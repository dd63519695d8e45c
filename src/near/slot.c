// Slots: handles, births, deaths.
// SPDX-License-Identifier: MIT
#include "near/near.h"

// How long a new socket waits for far to let go of a closed one's slot when all
// are in use.
#define FARI_SLOT_WAIT_MS 1000u

void fari_slots_init(struct far_link *l) {
    for (uint32_t i = 0; i < l->lay.sockets; i++) {
        fari_sock(l, i)->next_free =
            i + 1u < l->lay.sockets ? i + 1u : FARI_NO_SLOT;
        fari_sock(l, i)->kick_pos = l->lay.index_base;
    }
    l->free_slot = 0;
}

uint32_t fari_find(struct far_link *l, int handle) {
    uint32_t slot = far_slot(handle);
    if (handle < 0 || slot >= l->lay.sockets) {
        return FARI_NO_SLOT;
    }
    uint32_t use = fari_use(fari_sock(l, slot));
    bool open = use == FARI_OPEN || use == FARI_MOVING;
    return open && fari_handle(l, slot) == handle ? slot : FARI_NO_SLOT;
}

bool fari_is_open(struct far_link *l, uint32_t slot, int sock) {
    return sock == FARI_PINNED || fari_find(l, sock) == slot;
}

// Near is through with it, far perhaps not yet.
static bool is_closing(const struct fari_sock *s) {
    uint32_t use = fari_use(s);
    return use == FARI_CLOSING || use == FARI_MOVED;
}

uint32_t fari_pin(struct far_link *l, int handle) {
    fari_lock_link(l);
    uint32_t slot = fari_find(l, handle);
    if (slot != FARI_NO_SLOT) {
        fari_sock(l, slot)->users++;
    }
    fari_unlock_link(l);
    return slot;
}

// Under the link's lock.
static void give_back(struct far_link *l, uint32_t slot) {
    struct fari_sock *s = fari_sock(l, slot);
    fari_set_use(s, FARI_FREE);
    s->next_free = l->free_slot;
    l->free_slot = slot;
    l->open_count--;
    fari_wake(l, FARI_WAIT_FREE, 0);
}

// Under the link's lock: near's last word about a socket. The caller rings if
// true.
static bool say_closed(struct far_link *l, uint32_t slot) {
    struct fari_sock *s = fari_sock(l, slot);
    struct far_near_line *line = fari_near_line(l, slot);
    // Far may have let go already: of one that changed its link.
    if (fari_is_down(l) || (fari_state(l, slot) & FAR_ST_CLOSED)) {
        give_back(l, slot);
        return false;
    }
    far_store(&line->rx_tail, s->rx_tail);
    FAR_WMB(FAR_AT_CLOSE_LAST);
    far_store(&line->flags, FAR_NEAR_CLOSE);
    FAR_CLEAN(FAR_AT_CLOSE, line, sizeof *line);
    return fari_kick_locked(l, slot);
}

void fari_unpin(struct far_link *l, uint32_t slot) {
    struct fari_sock *s = fari_sock(l, slot);
    fari_lock_link(l);
    s->users--;
    bool ring = s->users == 0 && is_closing(s) && say_closed(l, slot);
    fari_unlock_link(l);
    if (ring) {
        fari_bell(l);
    }
}

// Under the link's lock. The lock words stay: a late call with a stale handle
// may still hold one, and finds out under it.
static void renew(struct far_link *l, uint32_t slot) {
    struct fari_sock *s = fari_sock(l, slot);
    uint32_t base = l->lay.index_base;
    uint32_t gen = FARI_GET(s->gen) + 1u;
    FARI_SET(s->gen, gen ? gen : 1u);
    fari_set(&s->tx_head, base);
    fari_set(&s->tx_tail, base);
    fari_set(&s->rx_tail, base);
    fari_set(&s->rx_head, base);
    s->rx_pub = s->rx_checked = base;
    s->tx_more = base - 1u;
    fari_set(&s->err_seen, 0);
    fari_set(&s->rcvlowat, 1);
    s->rcvtimeo_ms = s->sndtimeo_ms = 0;
    s->users = 0;
    FARI_SET(s->flags, 0);
    s->urg_count = 0;
    fari_set(&s->urg_word, 0);
    s->urg_end = base;
    FARI_SET(s->urg_state, FARI_URG_NONE);
    FARI_SET(s->stamped, 0);
    FARI_SET(s->over_v4, false);
    struct far_near_line *line = fari_near_line(l, slot);
    FAR_STEP();
    *line = (struct far_near_line){
        .tx_head = base,
        .rx_tail = base,
        .tx_wake = base - 1u,
        .rx_wake = base - 1u,
        .tx_more = base - 1u,
        .urg_end = base,
    };
    FAR_WMB(FAR_AT_RENEW_GEN);
    far_store(&line->gen, FARI_GET(s->gen));
    // Not cleaned: until the first store that tells far something, a line of
    // the last generation says the same, nothing.
}

static uint32_t log2_of(uint32_t size) {
    uint32_t n = 0;
    while (size > 1u) {
        size >>= 1;
        n++;
    }
    return n;
}

// Each slot has its own share of the pools: nothing to allocate, nothing to
// fragment. On posix pages that were never touched cost nothing.
static void place_rings(const struct far_link *l, uint32_t slot,
    struct far_rings *r) {
    const struct far_layout *lay = &l->lay;
    *r = (struct far_rings){
        .tx_at = lay->tx_at + slot * (lay->tx_ring / FAR_LINE),
        .rx_at = lay->rx_at + slot * (lay->rx_ring / FAR_LINE),
        .tx_log2 = (uint8_t)log2_of(lay->tx_ring),
        .rx_log2 = (uint8_t)log2_of(lay->rx_ring),
        .gen = FARI_GET(fari_sock(l, slot)->gen),
    };
}

static uint32_t take_slot(struct far_link *l, bool *closing) {
    fari_lock_link(l);
    uint32_t slot = l->free_slot;
    if (slot != FARI_NO_SLOT) {
        l->free_slot = fari_sock(l, slot)->next_free;
        l->open_count++;
        renew(l, slot);
    }
    *closing = false;
    for (uint32_t i = 0; slot == FARI_NO_SLOT && i < l->lay.sockets; i++) {
        *closing = *closing || is_closing(fari_sock(l, i));
    }
    fari_unlock_link(l);
    return slot;
}

uint32_t fari_slot_new(struct far_link *l, struct far_rings *rings) {
    bool closing = false;
    uint32_t slot = take_slot(l, &closing);
    if (slot == FARI_NO_SLOT && closing) {
        uint64_t until = fari_deadline(l, FARI_SLOT_WAIT_MS);
        uint32_t w = fari_wait_begin(l, FARI_WAIT_FREE, 0);
        do {
            slot = take_slot(l, &closing);
        } while (slot == FARI_NO_SLOT && closing &&
                 fari_wait_step(l, w, until) == FAR_OK);
        fari_wait_end(l, w);
    }
    if (slot != FARI_NO_SLOT) {
        place_rings(l, slot, rings);
    }
    return slot;
}

void fari_slot_open(struct far_link *l, uint32_t slot, uint32_t family,
    uint32_t type, uint32_t proto) {
    struct fari_sock *s = fari_sock(l, slot);
    s->family = (uint8_t)family;
    FARI_SET(s->type, (uint8_t)type);
    s->proto = (uint16_t)proto;
    FARI_SET(s->own_headers, type == FAR_SOCK_RAW && proto == FAR_IPPROTO_RAW);
    fari_set_use(s, FARI_OPEN);
}

// Under the link's lock.
void fari_slot_drop(struct far_link *l, uint32_t slot) {
    give_back(l, slot);
}

void fari_slot_kicked(struct far_link *l, uint32_t slot) {
    struct fari_sock *s = fari_sock(l, slot);
    if (is_closing(s) && s->users == 0 &&
        (fari_state(l, slot) & FAR_ST_CLOSED)) {
        give_back(l, slot);
    }
    fari_changed(l, slot);
}

void fari_age_kicks(struct far_link *l, uint32_t before) {
    if (((before ^ l->cmd.head) >> 30) == 0) {
        return;
    }
    for (uint32_t i = 0; i < l->lay.sockets; i++) {
        if (!far_msg_pending(&l->cmd, fari_sock(l, i)->kick_pos)) {
            fari_sock(l, i)->kick_pos = l->cmd.tail;
        }
    }
}

bool fari_kick_locked(struct far_link *l, uint32_t slot) {
    struct fari_sock *s = fari_sock(l, slot);
    if (fari_is_down(l) || far_msg_pending(&l->cmd, s->kick_pos)) {
        return false;
    }
    struct far_msg m = {.op = FAR_OP_KICK, .sock = (uint16_t)slot};
    uint32_t before = l->cmd.head;
    if (far_msg_put(&l->cmd, m, NULL, 0, NULL, 0) != FAR_OK) {
        // The layout has room for a KICK of every socket: far broke the rules.
        fari_break(l);
        return false;
    }
    s->kick_pos = l->cmd.head;
    far_store(&l->count.kicks, l->count.kicks + 1u);
    fari_age_kicks(l, before);
    return far_msg_publish(&l->cmd);
}

void fari_kick(struct far_link *l, uint32_t slot) {
    fari_lock_link(l);
    bool ring = fari_kick_locked(l, slot);
    fari_unlock_link(l);
    if (ring) {
        fari_bell(l);
    }
}

// Marks a socket closed; its calls that still run end it when they leave. The
// slot, or FARI_NO_SLOT.
static uint32_t begin_close(struct far_link *l, int handle, uint8_t *flags) {
    uint32_t slot = fari_find(l, handle);
    if (slot == FARI_NO_SLOT) {
        return slot;
    }
    struct fari_sock *s = fari_sock(l, slot);
    bool ring = false;
    fari_lock(l, &s->tx_lock);
    fari_lock(l, &s->rx_lock);
    fari_lock_link(l);
    if (fari_find(l, handle) == FARI_NO_SLOT) {
        slot = FARI_NO_SLOT;
    } else {
        *flags = FARI_GET(s->flags);
        fari_set_use(s, FARI_CLOSING);
        ring = s->users == 0 && say_closed(l, slot);
        // Who polls it now is told.
        fari_wake(l, FARI_WAIT_SOCK, slot);
    }
    fari_unlock_link(l);
    fari_unlock(l, &s->rx_lock);
    fari_unlock(l, &s->tx_lock);
    if (ring) {
        fari_bell(l);
    }
    return slot;
}

// SO_LINGER: until far has sent what was written, which it says by CLOSED.
static void linger(struct far_link *l, uint32_t slot, uint32_t gen,
    uint64_t deadline_ns) {
    uint32_t w = fari_wait_begin(l, FARI_WAIT_SOCK, slot);
    for (;;) {
        fari_lock_link(l);
        bool gone = FARI_GET(fari_sock(l, slot)->gen) != gen ||
                    fari_use(fari_sock(l, slot)) != FARI_CLOSING ||
                    fari_sock(l, slot)->users != 0;
        fari_unlock_link(l);
        if (gone || fari_wait_step(l, w, deadline_ns) != FAR_OK) {
            break;
        }
    }
    fari_wait_end(l, w);
}

int far_close(struct far_link *l, int sock, uint64_t deadline_ns) {
    uint8_t flags = 0;
    uint32_t gen = 0;
    uint32_t slot = fari_find(l, sock);
    if (slot != FARI_NO_SLOT) {
        gen = FARI_GET(fari_sock(l, slot)->gen);
        slot = begin_close(l, sock, &flags);
    }
    if (slot == FARI_NO_SLOT) {
        return FAR_EBADF;
    }
    if ((flags & FARI_LINGER) && deadline_ns != FAR_NOWAIT) {
        linger(l, slot, gen, deadline_ns);
    }
    return FAR_OK;
}

void far_close_nowait(struct far_link *l, int sock) {
    uint8_t flags = 0;
    begin_close(l, sock, &flags);
}

int far_sockinfo(struct far_link *l, int sock, uint32_t *family, uint32_t *type,
    uint32_t *proto) {
    uint32_t slot = fari_find(l, sock);
    if (slot == FARI_NO_SLOT) {
        return FAR_EBADF;
    }
    *family = fari_sock(l, slot)->family;
    *type = fari_type(fari_sock(l, slot));
    *proto = fari_sock(l, slot)->proto;
    return FAR_OK;
}
