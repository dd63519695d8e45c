// Streams that farsockd carries over their tokens.
// SPDX-License-Identifier: MIT
#include "preload/preload.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

// The kernel's calls do for their bytes. What concerns the connection is asked
// of farsockd over a slot that the token gives for as long as the question.

static struct carried *_Atomic all[FD_MAX];
static _Atomic int top;

// What one says is read and changed under this, and none goes meanwhile. Held
// while the process forks.
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

void carried_lock(void) {
    own_lock(&lock);
}

void carried_unlock(void) {
    own_unlock(&lock);
}

static struct carried *at(int fd) {
    return (unsigned)fd < FD_MAX ? atomic_load(&all[fd]) : NULL;
}

bool is_carried(int fd) {
    return at(fd) != NULL;
}

// A copy of it. False: it is none.
static bool look(int fd, struct carried *out) {
    carried_lock();
    const struct carried *c = at(fd);
    if (c) {
        *out = *c;
    }
    carried_unlock();
    return c != NULL;
}

bool carried_now(int fd) {
    if (!psock_at(fd) && !is_carried(fd)) {
        return false;
    }
    int saved = errno;
    sharing_lock();
    sharing_unlock();
    errno = saved;
    return is_carried(fd);
}

bool failed_carried(int fd) {
    return (errno == ENOTCONN || errno == EBADF) && carried_now(fd);
}

// Under the lock.
static void set(int fd, struct carried *c) {
    top = top > fd ? (int)top : fd + 1;
    c->refs++;
    atomic_store(&all[fd], c);
}

static void let_go(struct carried *c) {
    if (--c->refs == 0) {
        free(c);
    }
}

void carried_set(int fd, struct carried *c) {
    carried_lock();
    set(fd, c);
    carried_unlock();
}

void carried_let_go(struct carried *c) {
    carried_lock();
    let_go(c);
    carried_unlock();
}

void carried_dup(int fd, int copy) {
    if (!is_carried(fd)) {
        return;
    }
    carried_lock();
    struct carried *c = at(fd);
    if (c) {
        set(copy, c);
    }
    carried_unlock();
}

void carried_forget(int from, int to) {
    for (int fd = from; fd <= to && fd < top; fd++) {
        if (is_carried(fd)) {
            carried_lock();
            struct carried *c = atomic_exchange(&all[fd], NULL);
            if (c) {
                let_go(c);
            }
            carried_unlock();
        }
    }
}

// --- Questions ---

int carried_ask(int fd, carried_call *call, void *arg) {
    struct plink *l = link_get();
    struct carried c;
    if (!l || !look(fd, &c)) {
        return l ? FAR_EBADF : FAR_ENETDOWN;
    }
    call_begin(true);
    sharing_lock();
    int sock = far_posix_adopt(l->posix, fd, (uint32_t)c.family, SOCK_STREAM,
        (uint32_t)c.proto);
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
    int err = far_getsockname(l, sock, &c->local);
    return err < 0 ? err : far_getpeername(l, sock, &c->peer);
}

static void keep_names(int fd, const struct carried *names) {
    carried_lock();
    struct carried *c = at(fd);
    if (c) {
        c->local = names->local;
        c->peer = names->peer;
        c->named = true;
    }
    carried_unlock();
}

// Of one that another process made a carried one, the names are not known yet.
int carried_name(int fd, bool peer, struct sockaddr *sa, socklen_t *len) {
    struct carried c;
    int err = look(fd, &c) ? FAR_OK : FAR_EBADF;
    if (err == FAR_OK && !c.named) {
        err = carried_ask(fd, ask_names, &c);
        if (err >= 0) {
            keep_names(fd, &c);
        }
    }
    return err < 0 ? far_done(err)
                   : addr_give(peer ? &c.peer : &c.local, sa, len);
}
