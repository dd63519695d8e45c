// Sockets that far has made before they are asked for.
// SPDX-License-Identifier: MIT
#include "near/near.h"

static struct far_far_ctl *far_ctl(struct far_link *l) {
    return (struct far_far_ctl *)(void *)fari_at_line(l, l->lay.far_at);
}

static uint32_t number_now(const struct far_far_ctl *far) {
    FAR_INV(FAR_AT_PROMISE_LOOK, &far->verdict_epoch, FAR_LINE);
    return far_load(&far->promise);
}

static void say_taken(struct far_link *l, uint32_t n) {
    struct far_near_ctl *near = (struct far_near_ctl *)(void *)l->region;
    far_store(&near->hdr.taken, n);
    FAR_CLEAN(FAR_AT_PROMISE_TAKE, &near->hdr, sizeof near->hdr);
}

// Number of one that is as req says; 0: there is none.
static uint32_t find(struct far_link *l, const struct far_req_socket *req) {
    const struct far_far_ctl *far = far_ctl(l);
    uint32_t n = number_now(far);
    // What it is after the number that says that this is written.
    FAR_RMB(FAR_AT_PROMISE_THEN);
    bool fits = n > FAR_PROMISE_WISH && n != l->promise &&
                far_load(&far->promise_family) == req->family &&
                far_load(&far->promise_type) == req->type &&
                far_load(&far->promise_proto) == req->proto;
    return fits ? n : 0;
}

// Under the link's lock. False: far has taken it back.
static bool claim(struct far_link *l, uint32_t n) {
    say_taken(l, n);
    // That we take it before the look whether it is still there; pairs with
    // far, which takes it back and then looks: one of us sees the other.
    FAR_SYNC(FAR_AT_PROMISE_TAKE_LOOK);
    if (number_now(far_ctl(l)) != n) {
        say_taken(l, 0);
        return false;
    }
    l->promise = n;
    return true;
}

bool fari_promise_take(struct far_link *l, uint32_t slot,
    struct far_req_socket *req) {
    fari_lock_link(l);
    uint32_t n = find(l, req);
    bool took = n && claim(l, n);
    if (took) {
        struct far_msg m = {.op = FAR_OP_SOCKET, .sock = (uint16_t)slot};
        uint32_t before = l->cmd.head;
        req->promise = n;
        // Not published: nothing about this socket needs far before the next
        // message does. Without room who asks as always finds that out, too.
        took = far_msg_put(&l->cmd, m, req, sizeof *req, NULL, 0) == FAR_OK;
        // Who publishes it may be another processor, whose barriers do not wait
        // for what this one has sent to memory.
        FAR_WMB(FAR_AT_PROMISE_PUT);
        fari_age_kicks(l, before);
    }
    fari_unlock_link(l);
    return took;
}
