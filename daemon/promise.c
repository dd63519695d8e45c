// Sockets made before they are asked for.
// SPDX-License-Identifier: MIT
#include "daemon/core.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>
#include <sys/resource.h>

#include "farsock/proto.h"

// Of the descriptors there may be, those that promises leave to others: a part.
#define SPARE_PART 8u

static struct kind kind_of(const struct far_req_socket *req) {
    return (struct kind){req->family, req->type, req->proto};
}

static bool same_kind(const struct kind *a, const struct kind *b) {
    return a->family == b->family && a->type == b->type && a->proto == b->proto;
}

// What the kernel says of a new socket at once is of no use to anybody.
static void not_yet(struct watch *w, uint32_t events) {
    (void)w;
    (void)events;
}

static void store(struct link *l, uint32_t number) {
    l->promise.shown = number != 0;
    far_store(&l->far->promise, number);
    FAR_CLEAN(FAR_AT_PROMISE, &l->far->verdict_epoch, FAR_LINE);
}

static void show(struct link *l) {
    struct promise *p = &l->promise;
    p->number++;
    if (p->number <= FAR_PROMISE_WISH) {
        p->number = FAR_PROMISE_WISH + 1u;
    }
    far_store(&l->far->promise_family, p->kind.family);
    far_store(&l->far->promise_type, p->kind.type);
    far_store(&l->far->promise_proto, p->kind.proto);
    FAR_WMB(FAR_AT_PROMISE_KIND);
    store(l, p->number);
}

static struct sock *let_go(struct link *l) {
    struct sock *s = l->promise.sock;
    l->promise.sock = NULL;
    l->engine->promises--;
    return s;
}

static void drop(struct link *l) {
    struct sock *s = let_go(l);
    engine_unwatch(l->engine, &s->watch, s->fd);
    close(s->fd);
    free(s);
}

bool promise_revoke(struct link *l) {
    if (!l->promise.sock) {
        return false;
    }
    store(l, 0);
    // That there is none before the look whether near has taken it; pairs with
    // near, which says so and then looks: one of us sees the other.
    FAR_SYNC(FAR_AT_PROMISE_BACK_LOOK);
    FAR_INV(FAR_AT_PROMISE_TAKEN, &l->near->hdr, sizeof l->near->hdr);
    if (far_load(&l->near->hdr.taken) == l->promise.number) {
        return false;
    }
    drop(l);
    return true;
}

bool promises_revoke(struct engine *e) {
    int saved = errno;
    bool some = false;
    struct node *n = e->links.next;
    for (; e->promises && n != &e->links; n = n->next) {
        some |= promise_revoke(OF(n, struct link, all));
    }
    errno = saved;
    return some;
}

void promises_heed(struct engine *e, int fd) {
    if (e->promises && fd >= e->promise_fds) {
        promises_revoke(e);
    }
}

// One socket is no reason to make another.
void promise_asked(struct link *l, const struct far_req_socket *req) {
    struct promise *p = &l->promise;
    struct kind k = kind_of(req);
    bool again = same_kind(&k, &p->last);
    p->last = k;
    if (req->promise == FAR_PROMISE_NONE || req->type != FAR_SOCK_STREAM) {
        return;
    }
    if (again && p->sock && !same_kind(&k, &p->kind)) {
        promise_revoke(l);
    }
    p->due = again;
}

static bool has_descriptors(struct engine *e, int fd) {
    struct rlimit limit = {0};
    getrlimit(RLIMIT_NOFILE, &limit);
    rlim_t most = limit.rlim_cur - limit.rlim_cur / SPARE_PART;
    e->promise_fds = most < INT32_MAX ? (int)most : INT32_MAX;
    return fd < e->promise_fds;
}

static struct sock *make(struct link *l, const struct kind *k) {
    struct far_req_socket req = {
        .family = k->family, .type = k->type, .proto = k->proto};
    int fd = socket_open(l, &req);
    struct sock *s = NULL;
    if (fd >= 0 && has_descriptors(l->engine, fd)) {
        s = sock_make(l, fd, k, not_yet);
    }
    if (fd >= 0 && !s) {
        close(fd);
    }
    return s;
}

void promise_make(struct link *l) {
    struct promise *p = &l->promise;
    bool due = p->due;
    p->due = false;
    if (!due || l->dead) {
        return;
    }
    // One that near was about to take, and did not.
    if (p->sock && !p->shown) {
        promise_revoke(l);
    }
    if (p->sock || !link_has_room(l)) {
        return;
    }
    struct sock *s = make(l, &p->last);
    if (s) {
        p->kind = p->last;
        p->sock = s;
        l->engine->promises++;
        show(l);
    }
}

struct sock *promise_take(struct link *l, const struct far_req_socket *req) {
    const struct promise *p = &l->promise;
    struct kind k = kind_of(req);
    bool fits = p->sock && req->promise == p->number && same_kind(&k, &p->kind);
    return fits ? let_go(l) : NULL;
}

void promise_end(struct link *l) {
    if (l->promise.sock) {
        drop(l);
    }
}
