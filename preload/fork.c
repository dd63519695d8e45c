// Processes: what a child has of its parent's sockets.
// SPDX-License-Identifier: MIT
#include "preload/preload.h"

#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>

// Before a fork each token is replaced by one whose other end farsockd holds. A
// child finds the same socket of the kernel's through it. A connected stream is
// carried over the token itself from then on: parent and child read and write
// it as any socket of the kernel's, which gives them the order and the ends
// that they would have natively.

static pthread_mutex_t sharing = PTHREAD_MUTEX_INITIALIZER;

void sharing_lock(void) {
    own_lock(&sharing);
}

void sharing_unlock(void) {
    own_unlock(&sharing);
}

// --- Sharing ---

// Puts a new token in the place of the old one, wherever that is. Under the
// lock: a descriptor that is closed meanwhile may be another file's at once.
static void replace_tokens(struct psock *s, int token, struct carried *c) {
    int flags = s->nonblock ? O_RDWR | O_NONBLOCK : O_RDWR;
    real()->fcntl(token, F_SETFL, flags);
    table_lock();
    for (int fd = 0; fd < fari_fds_top; fd++) {
        if (psock_at(fd) != s) {
            continue;
        }
        int cloexec = real()->fcntl(fd, F_GETFD) & FD_CLOEXEC;
        real()->dup3(token, fd, cloexec ? O_CLOEXEC : 0);
        if (c) {
            carried_set(fd, c);
        }
    }
    table_unlock();
}

// The descriptors are the kernel's from now on.
static void give_to_kernel(struct psock *s) {
    epoll_to_kernel(s);
    for (int fd = 0; fd < fari_fds_top; fd++) {
        if (psock_at(fd) == s) {
            table_drop(fd, false);
        }
    }
}

// It was shared before it had a peer, and a stream with one is carried.
static bool has_got_peer(const struct psock *s) {
    struct far_addr peer;
    call_begin(true);
    return s->type == SOCK_STREAM && s->goal.family &&
           far_getpeername(s->link->near, s->handle, &peer) >= 0;
}

// What was set for the socket is to hold for the token.
static void keep_timeout(const struct psock *s, int token, int opt) {
    struct timeval t;
    size_t len = sizeof t;
    if (far_getsockopt(s->link->near, s->handle, SOL_SOCKET, opt, &t, &len) ==
        FAR_OK) {
        real()->setsockopt(token, SOL_SOCKET, opt, &t, sizeof t);
    }
}

static void keep_timeouts(const struct psock *s, int token) {
    if (s->rcvtimeo) {
        keep_timeout(s, token, SO_RCVTIMEO);
    }
    if (s->sndtimeo) {
        keep_timeout(s, token, SO_SNDTIMEO);
    }
}

static int share(struct psock *s) {
    int pair[2];
    struct far_link *l = s->link->near;
    struct carried *c = calloc(1, sizeof *c);
    if (!c || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) {
        free(c);
        return FAR_EMFILE;
    }
    c->named = true;
    c->family = s->family;
    c->proto = s->proto ? s->proto : IPPROTO_TCP;
    call_begin(true);
    if (s->type == SOCK_STREAM) {
        far_getsockname(l, s->handle, &c->local);
        // It may connect only after this question, and before the next.
        if (far_getpeername(l, s->handle, &c->peer) < 0) {
            c->peer = s->goal;
        }
    }
    keep_timeouts(s, pair[0]);
    uint32_t family;
    uint32_t type;
    uint32_t proto;
    int err = far_posix_share(s->link->posix, s->handle, pair[0], pair[1]);
    bool moved =
        err >= 0 && far_sockinfo(l, s->handle, &family, &type, &proto) < 0;
    c->refs = 1; // ours
    if (err >= 0) {
        s->ino = token_mark(pair[0], s, moved);
        replace_tokens(s, pair[0], moved ? c : NULL);
        s->shared = true;
    }
    if (moved) {
        give_to_kernel(s);
    }
    carried_let_go(c);
    real()->close(pair[0]);
    real()->close(pair[1]);
    return err;
}

// Under the lock.
static int share_at(int fd) {
    int err = FAR_OK;
    struct psock *s = psock_at(fd) ? psock_hold(fd) : NULL;
    if (!s) {
        return FAR_OK;
    }
    if (s->kind == PSOCK_FAR && far_link_is_up(s->link->near) &&
        (!s->shared || has_got_peer(s))) {
        err = share(s);
    }
    psock_let_go(s);
    return err;
}

// A link's own messages come by here, too, some of them under the lock: with
// tokens that are not yet, or no more, those of sockets of ours.
int share_fd(int fd) {
    const struct psock *s = psock_at(fd);
    if (!s || s->kind != PSOCK_FAR) {
        return FAR_OK;
    }
    sharing_lock();
    int err = share_at(fd);
    sharing_unlock();
    return err;
}

static void share_all(share_which *which) {
    for (int fd = 0; fd < fari_fds_top; fd++) {
        if (psock_at(fd) && which(fd)) {
            share_at(fd);
        }
    }
}

void share_some(share_which *which) {
    sharing_lock();
    share_all(which);
    sharing_unlock();
}

static bool every(int fd) {
    (void)fd;
    return true;
}

void psock_carry(int fd) {
    struct far_addr peer;
    struct psock *s = psock_at(fd);
    if (!s || s->type != SOCK_STREAM || !psock_use(s)) {
        return;
    }
    call_begin(true);
    own_lock(&sharing);
    s = psock_hold(fd);
    if (s && s->kind == PSOCK_FAR &&
        far_getpeername(s->link->near, s->handle, &peer) >= 0) {
        share(s);
    }
    if (s) {
        psock_let_go(s);
    }
    own_unlock(&sharing);
}

static void before_fork(void) {
    sharing_lock();
    share_all(every);
    table_lock();
    epoll_before_fork();
    carried_lock();
}

static void in_parent(void) {
    carried_unlock();
    epoll_after_fork(false);
    table_unlock();
    own_unlock(&sharing);
}

// The link is the parent's: what is in its memory must not be touched.
static void in_child(void) {
    hold_forget();
    table_inherit();
    carried_unlock();
    epoll_after_fork(true);
    table_unlock();
    own_unlock(&sharing);
    link_forget_after_fork();
}

__attribute__((constructor)) static void start(void) {
    real();
    pthread_atfork(before_fork, in_parent, in_child);
}

// A child that shares our memory would change our table of descriptors.
EXPORT pid_t vfork(void) {
    return real()->fork();
}

// --- Adopting ---

static int token_of(const struct psock *s) {
    for (int fd = 0; fd < fari_fds_top; fd++) {
        if (psock_at(fd) == s) {
            return fd;
        }
    }
    return -1;
}

// The other way of keep_timeout(): the near library has this socket anew.
static void take_timeout(struct psock *s, int token, int opt,
    _Atomic bool *set) {
    struct timeval t = {0};
    socklen_t len = sizeof t;
    if (real()->getsockopt(token, SOL_SOCKET, opt, &t, &len) == 0 &&
        (t.tv_sec || t.tv_usec)) {
        far_setsockopt(s->link->near, s->handle, SOL_SOCKET, opt, &t, sizeof t);
        *set = true;
    }
}

static int adopt(struct psock *s) {
    struct plink *l = link_get();
    int token = token_of(s);
    if (!l || token < 0 || !s->shared) {
        return FAR_ENETDOWN;
    }
    int handle = far_posix_adopt(l->posix, token, (uint32_t)s->family,
        (uint32_t)s->type, (uint32_t)s->proto);
    if (handle >= 0) {
        s->link = l;
        s->handle = handle;
        psock_in_slot(s);
        take_timeout(s, token, SO_RCVTIMEO, &s->rcvtimeo);
        take_timeout(s, token, SO_SNDTIMEO, &s->sndtimeo);
        atomic_store(&s->kind, PSOCK_FAR);
        psock_mark(s);
    }
    return handle == FAR_ENOENT ? FAR_ENETDOWN : handle;
}

bool psock_adopt(struct psock *s) {
    call_begin(true);
    own_lock(&sharing);
    int err = s->kind == PSOCK_INHERITED ? adopt(s) : 0;
    own_unlock(&sharing);
    return far_done(err < 0 ? err : 0) == 0;
}
