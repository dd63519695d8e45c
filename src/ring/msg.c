// Message rings.
// SPDX-License-Identifier: MIT
#include "ring/ring.h"

#include <string.h>

void far_msg_writer_init(struct far_msg_writer *w, struct far_msg_head *out,
    const struct far_msg_tail *in, uint8_t *data, uint32_t size,
    uint32_t base) {
    *w = (struct far_msg_writer){
        .out = out,
        .in = in,
        .data = data,
        .size = size,
        .head = base,
        .tail = base,
        .checked = base,
    };
}

void far_msg_reader_init(struct far_msg_reader *r,
    const struct far_msg_head *in, struct far_msg_tail *out,
    const uint8_t *data, uint32_t size, uint32_t base) {
    *r = (struct far_msg_reader){
        .in = in,
        .out = out,
        .data = data,
        .size = size,
        .tail = base,
        .head = base,
    };
}

static int refresh_tail(struct far_msg_writer *w) {
    FAR_INV(FAR_AT_MSG_TAIL_LOOK, w->in, sizeof *w->in);
    uint32_t tail = far_load(&w->in->tail);
    if (far_check_tail(tail, w->tail, w->head) != FAR_OK) {
        return FAR_EBADMSG;
    }
    // Pairs with the reader's barrier before it publishes its tail: it has
    // finished reading what we may now overwrite.
    FAR_RMB(FAR_AT_MSG_TAIL_ROOM);
    w->tail = tail;
    return FAR_OK;
}

static int make_room(struct far_msg_writer *w, uint32_t need) {
    if (w->size - (w->head - w->tail) >= need) {
        return FAR_OK;
    }
    int err = refresh_tail(w);
    if (err != FAR_OK) {
        return err;
    }
    return w->size - (w->head - w->tail) >= need ? FAR_OK : FAR_EAGAIN;
}

static void write_header(struct far_msg_writer *w, const struct far_msg *m) {
    far_ring_put(w->data, w->size, w->head, m, sizeof *m);
}

int far_msg_put(struct far_msg_writer *w, struct far_msg m, const void *a,
    uint32_t a_len, const void *b, uint32_t b_len) {
    uint32_t need = (uint32_t)sizeof m + FAR_ALIGN8(a_len + b_len);
    if (need > FAR_RECORD_MAX || need > w->size / 2u) {
        return FAR_EMSGSIZE;
    }
    uint32_t pad = far_ring_span(w->size, w->head, need);
    pad = pad < need ? pad : 0;
    int err = make_room(w, need + pad);
    if (err != FAR_OK) {
        return err;
    }
    if (pad) {
        struct far_msg fill = {
            .op = FAR_OP_PAD,
            .len = (uint16_t)(pad - sizeof fill),
        };
        write_header(w, &fill);
        w->head += pad;
    }
    m.len = (uint16_t)(a_len + b_len);
    write_header(w, &m);
    uint32_t at = w->head + (uint32_t)sizeof m;
    if (a_len) {
        far_ring_put(w->data, w->size, at, a, a_len);
    }
    if (b_len) {
        far_ring_put(w->data, w->size, at + a_len, b, b_len);
    }
    w->head += need;
    return FAR_OK;
}

bool far_msg_publish(struct far_msg_writer *w) {
    // Records before the head that announces them.
    FAR_WMB(FAR_AT_MSG_HEAD_DATA);
    far_store(&w->out->head, w->head);
    FAR_CLEAN(FAR_AT_MSG_HEAD, w->out, sizeof *w->out);
    // Head before the load of wake; pairs with far_msg_may_sleep(), which
    // stores wake before it loads head: one of us sees the other.
    FAR_SYNC(FAR_AT_MSG_HEAD_WAKE);
    FAR_INV(FAR_AT_MSG_WAKE_LOOK, w->in, sizeof *w->in);
    uint32_t wake = far_load(&w->in->wake);
    bool ring = far_crossed(wake, w->checked, w->head);
    w->checked = w->head;
    return ring;
}

bool far_msg_pending(struct far_msg_writer *w, uint32_t pos) {
    // The store that this message would announce, before the load of the tail:
    // a consumer publishes the tail past a KICK before it looks at the socket.
    FAR_SYNC(FAR_AT_MSG_PENDING);
    if (refresh_tail(w) != FAR_OK) {
        return false;
    }
    return (uint32_t)(w->head - w->tail) > (uint32_t)(w->head - pos);
}

static uint32_t head_now(const struct far_msg_reader *r) {
    FAR_INV(FAR_AT_MSG_HEAD_LOOK, r->in, sizeof *r->in);
    return far_load(&r->in->head);
}

// Loads the writer's head. 1 if there is something, 0, or FAR_EBADMSG.
static int refresh_head(struct far_msg_reader *r) {
    uint32_t head = head_now(r);
    if (far_check_head(head, r->head, r->tail, r->size) != FAR_OK ||
        head % 8u != 0) {
        return FAR_EBADMSG;
    }
    // Pairs with the writer's FAR_WMB(): the records below head are visible.
    FAR_RMB(FAR_AT_MSG_HEAD_THEN);
    r->head = head;
    return head != r->tail;
}

static void advance(struct far_msg_reader *r, uint32_t n) {
    r->tail += n;
    // Our reads before the tail that lets the writer overwrite them; the tail
    // before we look at the socket that a KICK names.
    FAR_RMB(FAR_AT_MSG_TAKEN);
    far_store(&r->out->tail, r->tail);
    FAR_CLEAN(FAR_AT_MSG_TAIL, r->out, sizeof *r->out);
    FAR_SYNC(FAR_AT_MSG_TAIL_SOCK);
}

int far_msg_get(struct far_msg_reader *r, struct far_msg *m, void *buf) {
    for (;;) {
        if (r->tail == r->head) {
            int some = refresh_head(r);
            if (some <= 0) {
                return some;
            }
        }
        far_ring_get(r->data, r->size, r->tail, m, sizeof *m);
        uint32_t whole = (uint32_t)sizeof *m + FAR_ALIGN8((uint32_t)m->len);
        if (whole > r->head - r->tail ||
            far_ring_span(r->size, r->tail, whole) < whole ||
            far_msg_check(m) != FAR_OK) {
            return FAR_EBADMSG;
        }
        if (m->op == FAR_OP_PAD) {
            advance(r, whole);
            continue;
        }
        if (m->len) {
            far_ring_get(r->data, r->size, r->tail + (uint32_t)sizeof *m, buf,
                m->len);
        }
        advance(r, whole);
        return 1;
    }
}

bool far_msg_may_sleep(struct far_msg_reader *r) {
    far_store(&r->out->wake, r->tail);
    FAR_CLEAN(FAR_AT_MSG_SLEEP, r->out, sizeof *r->out);
    FAR_SYNC(FAR_AT_MSG_SLEEP_LOOK);
    return refresh_head(r) == 0;
}

void far_msg_awake(struct far_msg_reader *r) {
    // Behind every head that comes; it goes out with the next CLEAN of tail.
    far_store(&r->out->wake, r->tail - 1u);
}

bool far_msg_is_read(struct far_msg_writer *w) {
    // What is put and not published far cannot read.
    return refresh_tail(w) != FAR_OK || w->tail == w->checked;
}

bool far_msg_is_there(struct far_msg_reader *r) {
    return refresh_head(r) != 0;
}

uint32_t far_msg_head(const struct far_msg_reader *r) {
    return head_now(r);
}
