// sendfile(2) and splice(2) from and to far sockets.
// SPDX-License-Identifier: MIT
#include "preload/preload.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/time.h>

#define PIECE  65536u
#define LITTLE 16384u // goes into a socket that polls writable, whole

// --- sendfile ---

static ssize_t read_piece(int in, void *buf, size_t len, const off_t *at) {
    return at ? pread(in, buf, len, *at) : read(in, buf, len);
}

// Bytes that were read and not sent are unread.
static void step_back(int in, off_t *at, ssize_t done, ssize_t had) {
    if (at) {
        *at += done;
    } else if (done < had) {
        lseek(in, (off_t)(done - had), SEEK_CUR);
    }
}

static ssize_t send_file(struct psock *s, int in, off_t *at, size_t count) {
    uint8_t buf[PIECE];
    ssize_t done = 0;
    do {
        size_t left = count - (size_t)done;
        ssize_t had = read_piece(in, buf, left < PIECE ? left : PIECE, at);
        if (had <= 0) {
            return done > 0 ? done : had;
        }
        call_part(done > 0);
        ssize_t n = far_send_bytes(s, buf, (size_t)had, 0, NULL, 0);
        int saved = errno;
        call_part(false);
        step_back(in, at, n > 0 ? n : 0, had);
        errno = saved;
        if (n < 0) {
            return done > 0 ? done : n;
        }
        done += n;
        if (n < had) {
            break;
        }
    } while ((size_t)done < count);
    return done;
}

static ssize_t send_file_at(struct psock *s, int in, off_t *at, size_t count) {
    off_t pos = 0;
    if (user_copy(&pos, at, sizeof pos) < 0) {
        return -1;
    }
    if (pos < 0) {
        errno = EINVAL;
        return -1;
    }
    ssize_t n = send_file(s, in, &pos, count);
    int saved = errno;
    if (user_copy(at, &pos, sizeof pos) < 0) {
        return -1;
    }
    errno = saved;
    return n;
}

EXPORT ssize_t sendfile(int out, int in, off_t *at, size_t count) {
    struct psock *s = psock_at(out);
    if (psock_at(in)) {
        errno = EINVAL; // as natively: it cannot be mapped
        return -1;
    }
    if (s) {
        return at ? send_file_at(s, in, at, count)
                  : send_file(s, in, NULL, count);
    }
    return real()->sendfile(out, in, at, count);
}

EXPORT ssize_t sendfile64(int out, int in, off64_t *at, size_t count) {
    _Static_assert(sizeof(off64_t) == sizeof(off_t), "64-bit Linux");
    return sendfile(out, in, at, count);
}

// --- splice ---

static bool wait_pipe(int fd, short events, unsigned flags) {
    struct pollfd p = {.fd = fd, .events = events};
    int fl = real()->fcntl(fd, F_GETFL);
    if ((flags & SPLICE_F_NONBLOCK) || fl < 0 || (fl & O_NONBLOCK)) {
        return true; // the call itself says EAGAIN
    }
    return real()->poll(&p, 1, -1) >= 0;
}

// Looks, writes to the pipe, then takes what went.
static ssize_t splice_in(struct psock *s, int out, size_t len, unsigned flags) {
    uint8_t buf[PIECE];
    len = len < PIECE ? len : PIECE;
    ssize_t n = far_recv_bytes(s, buf, len, MSG_PEEK, NULL, NULL);
    if (n == 0 && s->type != SOCK_STREAM) {
        return far_recv_bytes(s, buf, 0, 0, NULL, NULL);
    }
    if (n <= 0 || !wait_pipe(out, POLLOUT, flags)) {
        return n <= 0 ? n : -1;
    }
    n = real()->write(out, buf, (size_t)n < PIPE_BUF ? (size_t)n : PIPE_BUF);
    return n <= 0 ? n
                  : far_recv_bytes(s, buf, (size_t)n, MSG_DONTWAIT, NULL, NULL);
}

// Until when a send may sleep.
static uint64_t send_until(const struct psock *s, bool now) {
    struct timeval t;
    size_t len = sizeof t;
    if (now || !s->sndtimeo ||
        far_getsockopt(s->link->near, s->handle, FAR_SOL_SOCKET,
            FAR_SO_SNDTIMEO, &t, &len) < 0) {
        return now ? FAR_NOWAIT : FAR_FOREVER;
    }
    return far_posix_now() + (uint64_t)t.tv_sec * 1000000000u +
           (uint64_t)t.tv_usec * 1000u;
}

// Sleeps until what is read from a pipe can be sent: bytes that were read and
// then not sent would be lost.
static bool wait_room(struct psock *s, bool now) {
    struct far_pollfd p = {.sock = s->handle, .events = FAR_POLLOUT};
    call_begin(!s->sndtimeo);
    int n = far_poll(s->link->near, &p, 1, send_until(s, now));
    if (n == 0) {
        atomic_fetch_add(&s->full, 1);
        psock_mark(s);
        n = FAR_EAGAIN;
    }
    return far_done(n) >= 0;
}

static ssize_t splice_out(int in, struct psock *s, size_t len, unsigned flags) {
    uint8_t buf[LITTLE];
    if (!psock_use(s)) {
        return -1;
    }
    bool now = s->nonblock || (flags & SPLICE_F_NONBLOCK);
    if (!wait_pipe(in, POLLIN, flags) || !wait_room(s, now)) {
        return -1;
    }
    // An error that comes instead of bytes comes with none of them, too.
    if (s->type == SOCK_STREAM && far_send_bytes(s, buf, 0, 0, NULL, 0) < 0) {
        return -1;
    }
    ssize_t n = real()->read(in, buf, len < LITTLE ? len : LITTLE);
    return n <= 0 ? n
                  : far_send_bytes(s, buf, (size_t)n,
                        flags & SPLICE_F_MORE ? MSG_MORE : 0, NULL, 0);
}

EXPORT ssize_t splice(int in, off64_t *in_at, int out, off64_t *out_at,
    size_t len, unsigned flags) {
    struct psock *from = psock_at(in);
    struct psock *to = psock_at(out);
    if (!from && !to) {
        return real()->splice(in, in_at, out, out_at, len, flags);
    }
    if ((from && to) || (from && in_at) || (to && out_at)) {
        errno = from && to ? EINVAL : ESPIPE;
        return -1;
    }
    return from ? splice_in(from, out, len, flags)
                : splice_out(in, to, len, flags);
}
