// Streams that farsockd carries over their tokens.
// SPDX-License-Identifier: MIT
#include "preload/preload.h"

#include <errno.h>
#include <stdlib.h>

// The kernel's calls do for their bytes. What concerns the connection is asked
// of farsockd over a slot that the token gives for as long as the question.

static struct carried *_Atomic all[FD_MAX];
static _Atomic int top;

struct carried *carried_at(int fd) {
    return (unsigned)fd < FD_MAX ? atomic_load(&all[fd]) : NULL;
}

bool carried_now(int fd) {
    if (!psock_at(fd) && !carried_at(fd)) {
        return false;
    }
    int saved = errno;
    sharing_lock();
    sharing_unlock();
    errno = saved;
    return carried_at(fd) != NULL;
}

bool now_carried(int fd, ssize_t n) {
    return n < 0 && (errno == ENOTCONN || errno == EBADF) && carried_now(fd);
}

void carried_set(int fd, struct carried *c) {
    int now = top;
    while (now <= fd && !atomic_compare_exchange_weak(&top, &now, fd + 1)) {
    }
    atomic_fetch_add(&c->refs, 1);
    atomic_store(&all[fd], c);
}

void carried_forget(int from, int to) {
    for (int fd = from; fd <= to && fd < top; fd++) {
        struct carried *c = atomic_exchange(&all[fd], NULL);
        if (c && atomic_fetch_sub(&c->refs, 1) == 1) {
            free(c);
        }
    }
}

// --- Questions ---

int carried_ask(int fd, carried_call *call, void *arg) {
    struct plink *l = link_get();
    const struct carried *c = carried_at(fd);
    if (!l || !c) {
        return l ? FAR_EBADF : FAR_ENETDOWN;
    }
    call_begin(true);
    sharing_lock();
    int sock = far_posix_adopt(l->posix, fd, (uint32_t)c->family, SOCK_STREAM,
        (uint32_t)c->proto);
    sharing_unlock();
    if (sock < 0) {
        return sock == FAR_ENOENT ? FAR_ENETDOWN : sock;
    }
    int r = call(l->near, sock, arg);
    far_close_nowait(l->near, sock);
    return r;
}

static int ask_names(struct far_link *l, int sock, void *arg) {
    struct carried *c = arg;
    struct far_addr local;
    struct far_addr peer;
    int err = far_getsockname(l, sock, &local);
    err = err < 0 ? err : far_getpeername(l, sock, &peer);
    if (err >= 0) {
        sharing_lock();
        c->local = local;
        c->peer = peer;
        c->named = true;
        sharing_unlock();
    }
    return err;
}

// Of one that another process made a carried one, the names are not known yet.
int carried_name(int fd, bool peer, struct sockaddr *sa, socklen_t *len) {
    struct carried *c = carried_at(fd);
    int err = c && !c->named ? carried_ask(fd, ask_names, c) : FAR_OK;
    return !c || err < 0 ? far_done(c ? err : FAR_EBADF)
                         : addr_give(peer ? &c->peer : &c->local, sa, len);
}
