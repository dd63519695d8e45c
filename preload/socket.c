// Making, naming and connecting sockets.
// SPDX-License-Identifier: MIT
#include "preload/preload.h"

#include <errno.h>
#include <string.h>

#define NO_FAMILY  0xfff0u
#define TYPE_FLAGS (SOCK_NONBLOCK | SOCK_CLOEXEC)

// The number that the program gets: a socket of the kernel's that is connected
// to nothing. It holds the descriptor's flags and is inherited, duplicated and
// closed as any other.
static int new_token(int flags) {
    return real()->socket(AF_UNIX, SOCK_STREAM | (flags & TYPE_FLAGS), 0);
}

static int give_descriptor(int token, struct plink *link, int handle,
    const struct psock *like, int flags) {
    struct psock *s =
        psock_new(link, handle, like->family, like->type, like->proto);
    if (!s || token >= FD_MAX) {
        far_close_nowait(link->near, handle);
        real()->close(token);
        errno = s ? EMFILE : ENOMEM;
        return -1;
    }
    s->nonblock = (flags & SOCK_NONBLOCK) != 0;
    table_set(token, s);
    return token;
}

static int drop_token(int token, int err) {
    real()->close(token);
    errno = err;
    return -1;
}

EXPORT int socket(int family, int type, int proto) {
    if (family != AF_INET && family != AF_INET6) {
        return real()->socket(family, type, proto);
    }
    int kind = type & ~TYPE_FLAGS;
    struct plink *link = link_get();
    if (!link) {
        return -1;
    }
    int token = new_token(type);
    if (token < 0) {
        return -1;
    }
    call_begin(true);
    int handle = far_socket(link->near, (uint32_t)family, (uint32_t)kind,
        (uint32_t)proto);
    if (handle < 0) {
        far_done(handle);
        return drop_token(token, errno);
    }
    struct psock like = {.family = family, .type = kind, .proto = proto};
    return give_descriptor(token, link, handle, &like, type);
}

static int accept_far(struct psock *s, struct sockaddr *sa, socklen_t *len,
    int flags) {
    if (flags & ~TYPE_FLAGS) {
        errno = EINVAL;
        return -1;
    }
    if (!psock_use(s)) {
        return -1;
    }
    int token = new_token(flags);
    if (token < 0) {
        return -1;
    }
    struct far_addr peer;
    call_begin(!s->rcvtimeo);
    int handle = far_accept(s->link->near, s->handle, &peer, wait_of(s, false));
    if (handle < 0) {
        atomic_fetch_add(&s->dry, handle == FAR_EAGAIN);
        psock_mark(s);
        far_done(handle);
        return drop_token(token, errno);
    }
    int fd = give_descriptor(token, s->link, handle, s, flags);
    if (fd < 0) {
        return fd;
    }
    if (sa && addr_give(&peer, sa, len) < 0) {
        int saved = errno;
        close(fd);
        errno = saved;
        return -1;
    }
    struct psock *child = psock_at(fd);
    if (child) { // nobody has closed it meanwhile
        child->rcvtimeo = (bool)s->rcvtimeo;
        child->sndtimeo = (bool)s->sndtimeo;
    }
    return fd;
}

static int accept_some(struct psock *s, struct sockaddr *sa, socklen_t *len,
    int flags) {
    int r = accept_far(s, sa, len, flags);
    if (r < 0 && errno == ENETDOWN) {
        dead_pause();
    }
    return r;
}

EXPORT int accept4(int fd, __SOCKADDR_ARG addr, socklen_t *len, int flags) {
    struct psock *s = psock_at(fd);
    return s ? accept_some(s, addr.__sockaddr__, len, flags)
             : real()->accept4(fd, addr, len, flags);
}

EXPORT int accept(int fd, __SOCKADDR_ARG addr, socklen_t *len) {
    struct psock *s = psock_at(fd);
    return s ? accept_some(s, addr.__sockaddr__, len, 0)
             : real()->accept(fd, addr, len);
}

EXPORT int bind(int fd, __CONST_SOCKADDR_ARG addr, socklen_t len) {
    struct psock *s = psock_at(fd);
    struct far_addr a;
    if (!s) {
        return real()->bind(fd, addr, len);
    }
    struct sockaddr_storage ss;
    int err = addr_take(&ss, addr.__sockaddr__, len);
    if (err == FAR_OK) {
        err = addr_refused(s, &ss, len, false);
    }
    if (err == FAR_OK) {
        err = addr_to_far(&ss, len, &a);
    }
    if (err != FAR_OK || !psock_use(s)) {
        return err != FAR_OK ? far_done(err) : -1;
    }
    call_begin(true);
    return far_done(far_bind(s->link->near, s->handle, &a));
}

static int connect_carried(__CONST_SOCKADDR_ARG addr, socklen_t len) {
    struct sockaddr_storage ss;
    int err = addr_take(&ss, addr.__sockaddr__, len);
    return far_done(err < 0 ? err : FAR_EISCONN);
}

static int connect_far(struct psock *s, __CONST_SOCKADDR_ARG addr,
    socklen_t len) {
    struct far_addr a;
    struct sockaddr_storage ss;
    int err = addr_take(&ss, addr.__sockaddr__, len);
    if (err != FAR_OK) {
        return far_done(err);
    }
    if (!psock_use(s)) {
        return -1;
    }
    int refused = addr_refused(s, &ss, len, true);
    err = addr_to_far(&ss, len, &a);
    bool told = refused != FAR_OK && len >= sizeof a.family;
    if (told) {
        // What comes before the address is far's to say, and what comes of it.
        a = (struct far_addr){.family = NO_FAMILY};
        err = FAR_OK;
    }
    if (err != FAR_OK) {
        return far_done(err);
    }
    s->goal = a;
    call_begin(!s->sndtimeo);
    err = far_connect(s->link->near, s->handle, &a, wait_of(s, false));
    if (told && err == (s->family == AF_INET ? FAR_EAFNOSUPPORT : FAR_EINVAL)) {
        err = refused;
    }
    if (err == FAR_EINPROGRESS) {
        atomic_fetch_add(&s->full, 1); // its end is an edge
    }
    psock_mark(s);
    return far_done(err);
}

EXPORT int connect(int fd, __CONST_SOCKADDR_ARG addr, socklen_t len) {
    struct psock *s = psock_at(fd);
    if (s) {
        int r = connect_far(s, addr, len);
        // What changes hands while it connects is connected.
        return now_carried(fd, r) ? 0 : r;
    }
    return is_carried(fd) ? connect_carried(addr, len)
                          : real()->connect(fd, addr, len);
}

EXPORT int listen(int fd, int backlog) {
    struct psock *s = psock_at(fd);
    if (!s) {
        return real()->listen(fd, backlog);
    }
    if (!psock_use(s)) {
        return -1;
    }
    call_begin(true);
    int err = far_listen(s->link->near, s->handle, backlog);
    psock_mark(s);
    return far_done(err);
}

EXPORT int shutdown(int fd, int how) {
    struct psock *s = psock_at(fd);
    if (!s) {
        return real()->shutdown(fd, how);
    }
    if (!psock_use(s)) {
        return -1;
    }
    call_begin(true);
    int r = far_shutdown(s->link->near, s->handle, how);
    if (r == FAR_OK || r == FAR_ENOTCONN) {
        // As natively, an edge, also if it changes nothing.
        atomic_fetch_add(&s->dry, 1);
        atomic_fetch_add(&s->full, 1);
    }
    r = far_done(r);
    psock_mark(s);
    return now_carried(fd, r) ? real()->shutdown(fd, how) : r;
}

typedef int name_call(struct far_link *l, int sock, struct far_addr *addr);

static int name_of(struct psock *s, name_call *ask, struct sockaddr *sa,
    socklen_t *len) {
    struct far_addr a;
    if (!psock_use(s)) {
        return -1;
    }
    call_begin(true);
    int err = ask(s->link->near, s->handle, &a);
    return err < 0 ? far_done(err) : addr_give(&a, sa, len);
}

// Another thread closed it, or put another there, since its name was asked for.
static bool is_changed(int fd) {
    return psock_at(fd) || is_carried(fd) || real()->fcntl(fd, F_GETFD) < 0;
}

// Of a token that is about to be closed, or was duplicated just now, by another
// thread: there is no socket yet, or any more.
static int kernels_name(int fd, int r, const struct sockaddr *sa) {
    sa_family_t family = AF_UNSPEC;
    if (r == 0 && fari_fds_top > 0 &&
        user_copy(&family, &sa->sa_family, sizeof family) == 0 &&
        family == AF_UNIX && (token_is(fd) || is_changed(fd))) {
        errno = EBADF;
        return -1;
    }
    return r;
}

EXPORT int getsockname(int fd, __SOCKADDR_ARG addr, socklen_t *len) {
    struct psock *s = psock_at(fd);
    int r = s ? name_of(s, far_getsockname, addr.__sockaddr__, len) : -1;
    if (s && !now_carried(fd, r)) {
        return r;
    }
    return is_carried(fd) ? carried_name(fd, false, addr.__sockaddr__, len)
                          : kernels_name(fd, real()->getsockname(fd, addr, len),
                                addr.__sockaddr__);
}

EXPORT int getpeername(int fd, __SOCKADDR_ARG addr, socklen_t *len) {
    struct psock *s = psock_at(fd);
    int r = s ? name_of(s, far_getpeername, addr.__sockaddr__, len) : -1;
    if (s && !now_carried(fd, r)) {
        return r;
    }
    return is_carried(fd) ? carried_name(fd, true, addr.__sockaddr__, len)
                          : kernels_name(fd, real()->getpeername(fd, addr, len),
                                addr.__sockaddr__);
}
