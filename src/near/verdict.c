// Which destinations a datagram may go to without being asked after.
// SPDX-License-Identifier: MIT
#include "near/near.h"

#include <string.h>

// The errno of a send must come from the call that natively gives it, without a
// round trip for each datagram. A destination whose last send went is trusted
// with payloads up to that size; anything else is sent with a FLUSH, whose
// answer is the call's result.

struct fari_epochs fari_now_epochs(const struct far_link *l, uint32_t slot) {
    const struct far_far_ctl *ctl =
        (const struct far_far_ctl *)(const void *)(l->region +
                                                   (size_t)l->lay.far_at *
                                                       FAR_LINE);
    FAR_INV(FAR_AT_LINK_VERDICT, &ctl->verdict_epoch,
        sizeof ctl->verdict_epoch);
    // The socket's is as old as the line: far advances it with an error, and
    // who sends looks at that afterwards (or itself, and then near forgets).
    return (struct fari_epochs){
        .link = far_load(&ctl->verdict_epoch),
        .sock = far_load(&fari_far_line(l, slot)->verdict),
    };
}

static struct fari_verdict *verdict_of(struct far_link *l, uint32_t slot,
    const struct far_addr *addr) {
    uint32_t h = slot * 2654435761u;
    uint32_t ip[sizeof addr->ip / sizeof h] = {0};
    if (addr) {
        memcpy(ip, addr->ip, sizeof ip);
    }
    for (unsigned i = 0; addr && i < sizeof ip / sizeof *ip; i++) {
        h = (h ^ ip[i] ^ ip[i] >> 15) * 16777619u;
    }
    h ^= addr ? addr->port * 40503u : 0;
    return &l->verdicts[(h ^ h >> 15) % FARI_VERDICTS];
}

static bool same_addr(const struct far_addr *a, const struct far_addr *b) {
    return a->family == b->family && a->port == b->port &&
           a->scope == b->scope && a->flowinfo == b->flowinfo &&
           a->reserved == b->reserved &&
           memcmp(a->ip, b->ip, sizeof a->ip) == 0;
}

// Unlike any address that a caller gives: there reserved is zero.
static const struct far_addr connected_peer = {.reserved = 1};

// Under tx_lock, which guards the verdicts of this slot; a race with another
// slot's entry in the same place can only lose one.
bool fari_is_trusted(struct far_link *l, uint32_t slot,
    const struct far_addr *addr, size_t len, struct fari_epochs e) {
    fari_lock_link(l);
    const struct fari_verdict *v = verdict_of(l, slot, addr);
    bool trusted = v->gen == FARI_GET(fari_sock(l, slot)->gen) &&
                   v->slot == slot && v->link_epoch == e.link &&
                   v->sock_epoch == e.sock && len <= v->max_len &&
                   same_addr(&v->addr, addr ? addr : &connected_peer);
    fari_unlock_link(l);
    return trusted;
}

void fari_trust(struct far_link *l, uint32_t slot, const struct far_addr *addr,
    size_t len, struct fari_epochs e) {
    fari_lock_link(l);
    *verdict_of(l, slot, addr) = (struct fari_verdict){
        .slot = slot,
        .gen = FARI_GET(fari_sock(l, slot)->gen),
        .link_epoch = e.link,
        .sock_epoch = e.sock,
        .max_len = (uint32_t)len,
        .addr = addr ? *addr : connected_peer,
    };
    fari_unlock_link(l);
}

void fari_forget_verdicts(struct far_link *l, uint32_t slot) {
    fari_lock_link(l);
    for (uint32_t i = 0; i < FARI_VERDICTS; i++) {
        if (l->verdicts[i].slot == slot) {
            l->verdicts[i].gen = 0;
        }
    }
    fari_unlock_link(l);
}

// An address that an IPv6 socket sends to over IPv4.
bool fari_is_ipv4(const struct far_addr *a) {
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    return a->family == FAR_AF_INET ||
           (a->family == FAR_AF_INET6 &&
               memcmp(a->ip, mapped, sizeof mapped) == 0);
}
