// Datagram sockets that several processes have: nothing is read ahead.
// SPDX-License-Identifier: MIT
#include "daemon/core.h"

#include <stdlib.h>
#include <string.h>

#include "farsock/proto.h"

#define HEAD_BYTES ((uint32_t)sizeof(struct far_dgram))
#define RX_HEAD    (HEAD_BYTES + (uint32_t)sizeof(struct far_addr))

struct shared {
    struct engine *engine;
    struct node socks; // sock.share
    struct node kept;  // read ahead before it was shared, in order
    uint32_t refs;
};

// A record as it was in the ring.
struct kept {
    struct node node;
    uint32_t head; // bytes before the payload
    uint32_t size; // of all
    uint8_t record[];
};

static struct kept *first_kept(const struct shared *h) {
    return node_is_alone(&h->kept) ? NULL : OF(h->kept.next, struct kept, node);
}

static struct far_dgram header(const struct kept *k) {
    struct far_dgram d;
    memcpy(&d, k->record, sizeof d);
    return d;
}

static void forget(struct shared *h, struct kept *k) {
    h->engine->orphan_bytes -= k->size;
    node_remove(&k->node);
    free(k);
}

// --- What had been read ahead ---

// The record at pos, of which have bytes are in the ring; *n of them are its
// own. NULL: there is none. The ring is memory of the peer's as well.
static struct kept *keep(const struct sock *s, uint32_t pos, uint32_t have,
    uint32_t *n) {
    const struct dgram_part *p = &s->rx_part;
    struct engine *e = s->link->engine;
    struct far_dgram d;
    if (have < RX_HEAD) {
        return NULL;
    }
    far_ring_get(s->rx, s->rx_size, pos, &d, HEAD_BYTES);
    uint32_t head = RX_HEAD + d.ctl_len;
    uint32_t size = head + FAR_ALIGN8(d.len);
    if (d.len > FAR_DGRAM_MAX || d.ctl_len > FAR_CTL_MAX || d.ctl_len % 8u) {
        return NULL;
    }
    bool large = size > s->rx_size;
    if (large ? !p->active || p->len != d.len || have < head : have < size) {
        return NULL;
    }
    struct kept *k = e->orphan_bytes + size <= e->config.orphan_bytes
                         ? malloc(sizeof *k + size)
                         : NULL;
    if (k) {
        node_init(&k->node);
        k->head = head;
        k->size = size;
        far_ring_get(s->rx, s->rx_size, pos, k->record, large ? head : size);
        if (large) {
            memcpy(k->record + head, p->buf, FAR_ALIGN8(d.len));
        }
        *n = large ? have : size;
    }
    return k;
}

void shared_keep(struct sock *s) {
    struct shared *h = s->shared;
    uint32_t n = 0;
    struct kept *k = NULL;
    for (uint32_t pos = s->rx_tail;
         (k = keep(s, pos, s->rx_head - pos, &n)) != NULL; pos += n) {
        if (header(k).flags & FAR_DGRAM_COPY) {
            free(k);
            continue;
        }
        node_append(&h->kept, &k->node);
        h->engine->orphan_bytes += k->size;
    }
    s->rx_part.active = false;
    s->rx_full = false;
}

// --- Life ---

struct shared *shared_begin(struct sock *s) {
    struct shared *h = calloc(1, sizeof *h);
    if (!h) {
        return NULL;
    }
    h->engine = s->link->engine;
    node_init(&h->socks);
    node_init(&h->kept);
    shared_join(s, h);
    return h;
}

struct shared *shared_ref(struct shared *h) {
    h->refs++;
    return h;
}

void shared_unref(struct shared *h) {
    if (!h || --h->refs > 0) {
        return;
    }
    while (first_kept(h)) {
        forget(h, first_kept(h));
    }
    free(h);
}

void shared_join(struct sock *s, struct shared *h) {
    s->shared = shared_ref(h);
    node_append(&h->socks, &s->share);
    sock_set_state(s, FAR_ST_SHARED, 0);
}

void shared_leave(struct sock *s) {
    node_remove(&s->share);
    shared_unref(s->shared);
    s->shared = NULL;
}

// --- Receiving ---

int32_t shared_next(const struct sock *s) {
    const struct kept *k = s->shared ? first_kept(s->shared) : NULL;
    return k ? (int32_t)header(k).len : -1;
}

static void put(struct sock *s, const void *bytes, uint32_t n) {
    far_ring_put(s->rx, s->rx_size, s->rx_head, bytes, n);
    s->rx_head += n;
}

// The ring is not empty where there is no room: near looks at that first.
static void give_kept(struct sock *s, struct kept *k) {
    bool large = k->size > s->rx_size;
    if (rx_free(s) < (large ? k->head : k->size)) {
        return;
    }
    if (large && !dgram_begin_part(s, k->record + k->head, header(k).len)) {
        return;
    }
    put(s, k->record, large ? k->head : k->size);
    forget(s->shared, k);
}

static int32_t copy_kept(struct sock *s, const struct kept *k, uint32_t room) {
    struct far_dgram d = header(k);
    uint32_t len = d.len;
    if (rx_free(s) < k->head + 8u) {
        return FAR_OK;
    }
    uint32_t n = rx_free(s) - k->head;
    n = n < room ? n : room;
    d.len = len < n ? len : n;
    d.flags |= FAR_DGRAM_COPY;
    d.flags |= d.len < len ? FAR_DGRAM_TRUNC : 0;
    put(s, &d, HEAD_BYTES);
    put(s, k->record + HEAD_BYTES, k->head - HEAD_BYTES + FAR_ALIGN8(d.len));
    return (int32_t)len;
}

static int32_t recv_from_kernel(struct sock *s) {
    s->rx_ready = true;
    s->rx_full = false;
    dgram_take(s);
    // Nothing taken, and yet no EAGAIN: an error, or one that the policy does
    // not let in.
    return s->rx_ready ? FAR_OK : FAR_EAGAIN;
}

// The last one is gone, for all of them, before its receiver can tell anybody.
static void tell_others(struct sock *s) {
    const struct node *list = &s->shared->socks;
    for (struct node *n = list->next; n != list; n = n->next) {
        struct sock *other = OF(n, struct sock, share);
        if ((other->state & FAR_ST_DATA) && other->fd >= 0 && !other->closing) {
            sock_set_state(other, 0, FAR_ST_DATA);
            sock_publish(other);
        }
    }
}

int32_t shared_recv(struct sock *s, const struct far_req_recv *req) {
    bool peek = req->flags & FAR_RECV_PEEK;
    struct kept *k = first_kept(s->shared);
    uint32_t room = req->room < FAR_DGRAM_MAX ? req->room : FAR_DGRAM_MAX;
    int32_t r = FAR_OK;
    if (s->rx_part.active) {
        return FAR_OK; // whose end near has not yet taken
    }
    s->rx_ready = true;
    if (peek) {
        r = k ? copy_kept(s, k, room) : dgram_copy(s, room);
    } else if (k) {
        give_kept(s, k);
    } else {
        r = recv_from_kernel(s);
    }
    sock_refresh(s);
    if (r == FAR_EAGAIN && (s->state & FAR_ST_DATA)) {
        r = FAR_OK; // it came after the look, and is no news in the state
    }
    if (!(s->state & FAR_ST_DATA)) {
        tell_others(s);
    }
    return r;
}
