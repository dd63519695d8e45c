// Requests and their answers.
// SPDX-License-Identifier: MIT
#include "near/near.h"

#include <string.h>

// How long an interrupted call still waits for an answer that far gives at
// once (everything but lookups), so that its result is not lost for nothing.
#define FARI_GRACE_MS 100u

// Its result is a number.
static bool counts(uint8_t op) {
    return op == FAR_OP_GETIFADDRS || op == FAR_OP_RECV || op == FAR_OP_URGENT;
}

static bool is_lookup(uint8_t op) {
    return op == FAR_OP_GETADDRINFO || op == FAR_OP_GETNAMEINFO;
}

static uint32_t free_tag(const struct far_link *l) {
    for (uint32_t t = 1; t <= l->lay.tags; t++) {
        if (l->tags[t].state == FARI_TAG_FREE) {
            return t;
        }
    }
    return 0;
}

// Under the link's lock. Lookups may hold half of the tags, so that a resolver
// that hangs starves nobody.
static uint32_t take_tag(struct far_link *l, const struct fari_ask *ask) {
    uint32_t limit = l->lay.tags > 1 ? l->lay.tags / 2u : 1u;
    if (is_lookup(ask->op) && l->lookups >= limit) {
        return 0;
    }
    uint32_t t = free_tag(l);
    if (t) {
        l->tags[t].state = FARI_TAG_ASKED;
        l->tags[t].op = ask->op;
        l->tags[t].slot = ask->undo;
        l->tags[t].asked = fari_now(l);
        l->lookups += is_lookup(ask->op);
    }
    return t;
}

static void release_tag(struct far_link *l, uint32_t t) {
    struct fari_tag *tag = &l->tags[t];
    l->lookups -= is_lookup(tag->op);
    tag->state = FARI_TAG_FREE;
    fari_wake(l, FARI_WAIT_FREE, 0);
}

static int wait_for_tag(struct far_link *l, const struct fari_ask *ask,
    uint64_t deadline_ns, uint32_t *t) {
    uint32_t w = fari_wait_begin(l, FARI_WAIT_FREE, 0);
    int err = FAR_OK;
    do {
        fari_lock_link(l);
        *t = fari_is_down(l) ? 0 : take_tag(l, ask);
        fari_unlock_link(l);
        if (*t == 0) {
            err = fari_wait_step(l, w, deadline_ns);
        }
    } while (*t == 0 && err == FAR_OK);
    fari_wait_end(l, w);
    return *t ? FAR_OK : err;
}

static int get_tag(struct far_link *l, const struct fari_ask *ask,
    uint64_t deadline_ns, uint32_t *t) {
    fari_lock_link(l);
    bool down = fari_is_down(l);
    *t = down ? 0 : take_tag(l, ask);
    fari_unlock_link(l);
    if (down) {
        return FAR_ELINKDOWN;
    }
    return *t ? FAR_OK : wait_for_tag(l, ask, deadline_ns, t);
}

// The layout makes the ring large enough for every tag's request; if it is full
// all the same, far broke the rules.
static int put(struct far_link *l, const struct far_msg *m, const void *a,
    uint32_t a_len, const void *b, uint32_t b_len) {
    fari_lock_link(l);
    uint32_t before = l->cmd.head;
    int err = far_msg_put(&l->cmd, *m, a, a_len, b, b_len);
    bool ring = err == FAR_OK && far_msg_publish(&l->cmd);
    fari_age_kicks(l, before);
    fari_unlock_link(l);
    if (ring) {
        fari_bell(l);
    }
    if (err == FAR_EBADMSG || err == FAR_EAGAIN) {
        far_link_down(l);
        return FAR_ELINKDOWN;
    }
    return err;
}

static bool is_done(struct far_link *l, uint32_t t) {
    fari_lock_link(l);
    bool done = l->tags[t].state == FARI_TAG_DONE;
    fari_unlock_link(l);
    return done;
}

// The caller goes; the answer, when it comes, is undone.
static void leave(struct far_link *l, uint32_t t) {
    fari_lock_link(l);
    if (l->tags[t].state == FARI_TAG_DONE) {
        l->tags[t].state = FARI_TAG_LEFT;
        fari_answer(l, &(struct far_msg){.tag = (uint16_t)t}, NULL);
    } else {
        l->tags[t].state = FARI_TAG_LEFT;
    }
    fari_unlock_link(l);
}

// FAR_OK: answered, the tag is DONE and ours. Else the tag is no longer ours.
static int wait_answer(struct far_link *l, struct fari_ask *ask, uint32_t t,
    uint64_t deadline_ns) {
    uint32_t w = fari_wait_begin(l, FARI_WAIT_TAG, t);
    uint64_t until = ask->slow ? deadline_ns : FAR_FOREVER;
    int err = FAR_OK;
    int why = FAR_OK;
    while (!is_done(l, t)) {
        err = fari_wait_step(l, w, until);
        if (err == FAR_OK) {
            continue;
        }
        if (why == FAR_OK && err != FAR_ELINKDOWN) {
            // Lookups and waiting FLUSHes are cancelled and so answered at
            // once; the rest is about to be answered anyway.
            why = err;
            until = fari_deadline(l, FARI_GRACE_MS);
            struct far_msg m = {.op = FAR_OP_CANCEL, .tag = (uint16_t)t};
            put(l, &m, NULL, 0, NULL, 0);
        } else if (err != FAR_EINTR) {
            break;
        } else if (fari_now(l) >= until) {
            break;
        } else {
            fari_pause(l);
        }
    }
    fari_wait_end(l, w);
    if (is_done(l, t)) {
        ask->why = ask->slow ? why : FAR_OK;
        return FAR_OK;
    }
    leave(l, t);
    ask->left = true;
    return why ? why : err;
}

static void copy_part(struct fari_ask *ask, const struct fari_tag *tag) {
    uint32_t room = ask->room - ask->got;
    uint32_t n = tag->len < room ? tag->len : room;
    if (n) {
        memcpy((uint8_t *)ask->data + ask->got, tag->data, n);
    }
    ask->got += n;
    ask->total = tag->total;
}

// One message and its answer, with a tag that we hold; after an error we do not
// hold it any more.
static int exchange(struct far_link *l, struct fari_ask *ask, uint32_t t,
    const struct far_msg *m, uint64_t deadline_ns) {
    int err = put(l, m, ask->req, ask->req_len, ask->more, ask->more_len);
    if (err != FAR_OK) {
        fari_lock_link(l);
        release_tag(l, t);
        fari_unlock_link(l);
        return err;
    }
    return wait_answer(l, ask, t, deadline_ns);
}

// Answers longer than a record come in parts, under the same tag.
static int fetch_rest(struct far_link *l, struct fari_ask *ask, uint32_t t) {
    int err = FAR_OK;
    while (err == FAR_OK && ask->got < ask->room && ask->got < ask->total) {
        struct far_req_fetch req = {.offset = ask->got};
        struct fari_ask part = {
            .op = FAR_OP_FETCH,
            .req = &req,
            .req_len = sizeof req,
            .undo = FARI_NO_SLOT,
        };
        struct far_msg m = {.op = FAR_OP_FETCH, .tag = (uint16_t)t};
        fari_lock_link(l);
        l->tags[t].state = FARI_TAG_ASKED;
        fari_unlock_link(l);
        err = exchange(l, &part, t, &m, FAR_FOREVER);
        if (err == FAR_OK) {
            uint32_t before = ask->got;
            copy_part(ask, &l->tags[t]);
            if (ask->got == before) {
                break; // far has less than it said
            }
        }
    }
    return err;
}

static int finish(struct far_link *l, struct fari_ask *ask, uint32_t t) {
    // DONE: nobody else touches the tag until we release it.
    int result = l->tags[t].result;
    if (result > 0 && !counts(ask->op)) {
        result = FAR_OK; // no number that such a call could return
    }
    copy_part(ask, &l->tags[t]);
    int err = result >= 0 ? fetch_rest(l, ask, t) : FAR_OK;
    if (err != FAR_OK) {
        return err;
    }
    fari_lock_link(l);
    release_tag(l, t);
    fari_unlock_link(l);
    ask->answered = !fari_is_down(l);
    return result;
}

int fari_request(struct far_link *l, struct fari_ask *ask,
    uint64_t deadline_ns) {
    uint32_t t = 0;
    ask->got = 0;
    ask->why = FAR_OK;
    ask->answered = false;
    ask->left = false;
    int err = get_tag(l, ask, deadline_ns, &t);
    if (err == FAR_OK) {
        struct far_msg m = {
            .op = ask->op,
            .tag = (uint16_t)t,
            .sock = (uint16_t)(ask->slot == FARI_NO_SLOT ? 0 : ask->slot),
        };
        err = exchange(l, ask, t, &m, deadline_ns);
    }
    if (err == FAR_OK) {
        err = finish(l, ask, t);
    }
    return err == FAR_ELINKDOWN ? FAR_ENETDOWN : err;
}

int fari_ask(struct far_link *l, uint8_t op, uint32_t slot, const void *req,
    size_t req_len, void *data, size_t room) {
    struct fari_ask ask = {
        .op = op,
        .slot = slot,
        .req = req,
        .req_len = (uint32_t)req_len,
        .data = data,
        .room = (uint32_t)room,
        .undo = FARI_NO_SLOT,
    };
    return fari_request(l, &ask, FAR_FOREVER);
}

static void undo(struct far_link *l, const struct fari_tag *tag) {
    if (tag->slot == FARI_NO_SLOT) {
        return;
    }
    if (tag->result >= 0 && !fari_is_down(l)) {
        fari_set_use(fari_sock(l, tag->slot), FARI_CLOSING);
        struct far_near_line *line = fari_near_line(l, tag->slot);
        far_store(&line->flags, FAR_NEAR_CLOSE);
        FAR_CLEAN(FAR_AT_UNDO, line, sizeof *line);
        if (fari_kick_locked(l, tag->slot)) {
            fari_bell(l);
        }
    } else {
        fari_slot_drop(l, tag->slot);
    }
}

void fari_answer(struct far_link *l, const struct far_msg *m, const void *buf) {
    if (m->tag < 1 || m->tag > l->lay.tags) {
        return;
    }
    struct fari_tag *tag = &l->tags[m->tag];
    if (buf && (tag->state == FARI_TAG_ASKED || tag->state == FARI_TAG_LEFT)) {
        struct far_reply rep;
        memcpy(&rep, buf, sizeof rep);
        tag->result = rep.result;
        tag->total = rep.total;
        tag->len = (uint16_t)(m->len - sizeof rep);
        memcpy(tag->data, (const uint8_t *)buf + sizeof rep, tag->len);
    }
    if (tag->state == FARI_TAG_ASKED) {
        tag->state = FARI_TAG_DONE;
        fari_wake(l, FARI_WAIT_TAG, m->tag);
    } else if (tag->state == FARI_TAG_LEFT) {
        undo(l, tag);
        release_tag(l, m->tag);
    }
}

void fari_answer_all(struct far_link *l) {
    for (uint32_t t = 1; t <= l->lay.tags; t++) {
        struct fari_tag *tag = &l->tags[t];
        if (tag->state == FARI_TAG_ASKED) {
            tag->result = FAR_ENETDOWN;
            tag->total = 0;
            tag->len = 0;
            tag->state = FARI_TAG_DONE;
            fari_wake(l, FARI_WAIT_TAG, t);
        }
    }
}
