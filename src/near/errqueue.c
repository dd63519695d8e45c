// recvmsg(MSG_ERRQUEUE): what the far core's kernel keeps about errors.
// SPDX-License-Identifier: MIT
#include "near/near.h"

// Bytes of payload that a call takes: an error quotes less of its datagram.
#define MOST 2048u

struct answer {
    struct far_rep_errqueue head;
    uint8_t rest[FAR_CTL_MAX + MOST]; // control data, then payload
};

static int ask(struct far_link *l, uint32_t slot, struct answer *a,
    size_t room) {
    struct far_req_errqueue req = {
        .room = room < MOST ? (uint32_t)room : MOST,
    };
    struct fari_ask q = {
        .op = FAR_OP_ERRQUEUE,
        .slot = slot,
        .req = &req,
        .req_len = sizeof req,
        .data = a,
        .room = sizeof *a,
        .undo = FARI_NO_SLOT,
    };
    int err = fari_request(l, &q, FAR_FOREVER);
    const struct far_dgram *d = &a->head.dgram;
    if (err < 0) {
        return err == FAR_ENETDOWN ? FAR_EAGAIN : err;
    }
    bool whole = q.got >= sizeof a->head && d->ctl_len <= FAR_CTL_MAX &&
                 d->len <= req.room &&
                 q.got >= sizeof a->head + d->ctl_len + d->len;
    return whole ? FAR_OK : FAR_EBADMSG;
}

int32_t fari_errqueue_recv(struct far_link *l, uint32_t slot,
    struct far_msghdr *m) {
    struct answer a;
    size_t ctl_room = m->ctl ? m->ctl_len : 0;
    m->ctl_len = 0;
    m->flags = 0;
    int err = ask(l, slot, &a, fari_iov_len(m->iov, m->iov_count));
    if (err != FAR_OK) {
        return err;
    }
    const struct far_dgram *d = &a.head.dgram;
    m->flags = FAR_MSG_ERRQUEUE;
    m->flags |= d->flags & FAR_DGRAM_TRUNC ? FAR_MSG_TRUNC : 0;
    m->flags |= d->flags & FAR_DGRAM_CTRUNC ? FAR_MSG_CTRUNC : 0;
    if (m->name) {
        *m->name = a.head.to;
    }
    fari_give_ctl(m, ctl_room, a.rest, d->ctl_len);
    err = fari_give(l, m->iov, a.rest + d->ctl_len, d->len);
    return err != FAR_OK ? err : (int32_t)d->len;
}
