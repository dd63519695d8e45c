// What tokens say of themselves to whoever gets one.
// SPDX-License-Identifier: MIT
#include "preload/preload.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>

// A token that farsockd knows has a name as a socket of the kernel's, and that
// says for what it stands. So the descriptor is all that has to go from one
// process to another: over execve(), through the hands of a program that knows
// nothing of it, in a message. farsockd believes the descriptor, not the name.
//
// "farsock/" kind family "." type "." protocol "." inode, the numbers in hex:
// no two sockets have the same inode, and so not the same name.

#define MARK       "farsock/"
#define MARK_LEN   (sizeof MARK - 1u)
#define NAME_MAX_  64
#define FDS_LOOKED 1024 // where there is no /proc

struct token_is {
    bool carried;
    int family, type, proto;
    ino_t ino;
};

static ino_t inode_of(int fd) {
    struct stat st;
    return fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode) ? st.st_ino : 0;
}

ino_t token_mark(int token, const struct psock *s, bool carried) {
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    ino_t ino = inode_of(token);
    int n = snprintf(un.sun_path + 1, NAME_MAX_, MARK "%c%x.%x.%x.%lx",
        carried ? 'c' : 's', (unsigned)s->family, (unsigned)s->type,
        (unsigned)s->proto, (unsigned long)ino);
    socklen_t len =
        (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1u + (size_t)n);
    real()->bind(token, (__CONST_SOCKADDR_ARG){.__sockaddr_un__ = &un}, len);
    return ino;
}

static bool parse(const char *text, struct token_is *out) {
    unsigned long v[4];
    char *end = NULL;
    out->carried = *text++ == 'c';
    for (int i = 0; i < 4; i++) {
        v[i] = strtoul(text, &end, 16);
        if (end == text || *end != (i < 3 ? '.' : '\0')) {
            return false;
        }
        text = end + 1;
    }
    out->family = (int)v[0];
    out->type = (int)v[1];
    out->proto = (int)v[2];
    out->ino = v[3];
    return true;
}

static bool read_mark(int fd, struct token_is *out) {
    struct sockaddr_un un = {0};
    socklen_t len = sizeof un;
    const socklen_t least =
        offsetof(struct sockaddr_un, sun_path) + 1u + (socklen_t)MARK_LEN + 1u;
    __SOCKADDR_ARG at = {.__sockaddr_un__ = &un};
    if (real()->getsockname(fd, at, &len) < 0 || un.sun_family != AF_UNIX ||
        len < least || len >= sizeof un ||
        memcmp(un.sun_path, "\0" MARK, MARK_LEN + 1u) != 0) {
        return false;
    }
    return parse(un.sun_path + 1 + MARK_LEN, out) && inode_of(fd) == out->ino;
}

bool token_is(int fd) {
    struct token_is t;
    return read_mark(fd, &t);
}

// --- Taking up ---

static bool take_known(int fd, const struct token_is *t) {
    bool known = false;
    table_lock();
    for (int i = 0; i < fari_fds_top && !known; i++) {
        struct psock *s = psock_at(i);
        if (s && s->shared && s->ino == t->ino) {
            table_set(fd, s);
            known = true;
        }
    }
    table_unlock();
    return known;
}

static void take_shared(int fd, const struct token_is *t) {
    if (take_known(fd, t)) {
        return;
    }
    struct psock *s = psock_new(NULL, -1, t->family, t->type, t->proto);
    if (s) {
        s->kind = PSOCK_INHERITED;
        s->shared = true;
        s->ino = t->ino;
        s->nonblock = (real()->fcntl(fd, F_GETFL) & O_NONBLOCK) != 0;
        table_lock();
        table_set(fd, s);
        table_unlock();
    }
}

static void take_carried(int fd, const struct token_is *t) {
    struct carried *c = calloc(1, sizeof *c);
    if (c) {
        c->family = t->family;
        c->proto = t->proto;
        carried_set(fd, c);
    }
}

void token_take(int fd) {
    struct token_is t;
    if (fd < 0 || fd >= FD_MAX || !read_mark(fd, &t)) {
        return;
    }
    if (t.carried) {
        take_carried(fd, &t);
    } else {
        take_shared(fd, &t);
    }
}

// What the program before us left open.
__attribute__((constructor)) static void take_all(void) {
    DIR *d = opendir("/proc/self/fd");
    if (!d) {
        for (int fd = 0; fd < FDS_LOOKED; fd++) {
            token_take(fd);
        }
        return;
    }
    for (struct dirent *e = readdir(d); e; e = readdir(d)) {
        if (e->d_name[0] != '.') {
            token_take((int)strtol(e->d_name, NULL, 10));
        }
    }
    closedir(d);
}
