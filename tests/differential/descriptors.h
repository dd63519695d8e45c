// Steps of descriptors and of the C library, which a link's handles have not
// got
// ("native" programs only).
// SPDX-License-Identifier: MIT
#ifndef DESCRIPTORS_H
#define DESCRIPTORS_H

#include "differential/messages.h"

#include <sys/epoll.h>
#include <sys/select.h>

// flags NAME: what fcntl() says of the descriptor.
static void step_flags(struct step *s) {
    const struct sock *k = sock(s);
    say_result(s, native_result(fcntl(k->handle, F_GETFL)));
    say(s, " ");
    say_result(s, native_result(fcntl(k->handle, F_GETFD)));
}

// setfl NAME FLAGS: O_NONBLOCK stays until the next call that waits or not.
static void step_setfl(struct step *s) {
    const struct sock *k = sock(s);
    say_result(s, native_result(fcntl(k->handle, F_SETFL, (int)number(s, 2))));
}

// accept4 NAME NEW FLAGS
static void step_accept4(struct step *s) {
    const struct sock *k = sock(s);
    struct sockaddr_storage ss = {0};
    struct far_addr peer;
    socklen_t len = sizeof ss;
    native_block(k->handle, false);
    int r = native_result(accept4(k->handle, (struct sockaddr *)&ss, &len,
        (int)number(s, 3)));
    if (r < 0) {
        say_result(s, r);
        return;
    }
    struct sock *new = find(word(s, 2));
    if (new->open) {
        new->net->close(new->handle);
    }
    prepare(new, r, true);
    native_to_far(&peer, &ss);
    say(s, "0 %u", len);
    say_addr(s, &peer);
}

// dup NAME NEW
static void step_dup(struct step *s) {
    const struct sock *k = sock(s);
    int r = native_result(dup(k->handle));
    if (r >= 0) {
        struct sock *new = find(word(s, 2));
        if (new->open) {
            new->net->close(new->handle);
        }
        new->handle = r;
        new->open = true;
        new->stream = k->stream;
        r = 0;
    }
    say_result(s, r);
}

// read, readv NAME PIECES; write, writev NAME PIECES
static void step_read(struct step *s) {
    const struct sock *k = sock(s);
    struct iovec iov[PIECES];
    int count = pieces_of(word(s, 2), NULL, iov);
    size_t len = length_of(iov, count);
    uint8_t *buf = room_for(len);
    pieces_of(word(s, 2), buf, iov);
    native_block(k->handle, false);
    long r = word(s, 0)[4] ? readv(k->handle, iov, count)
                           : read(k->handle, buf, len);
    r = native_result(r);
    say_result(s, (int)r);
    if (r > 0) {
        size_t n = (size_t)r < len ? (size_t)r : len;
        mask(k, buf, n);
        say(s, " %016llx", (unsigned long long)hash_of(HASH_START, buf, n));
    }
    say(s, "%s", canary_lives(buf, len) ? "" : " OVERRUN");
}

static void step_write(struct step *s) {
    static uint8_t buf[ROOM];
    struct sock *k = sock(s);
    struct iovec iov[PIECES];
    int count = pieces_of(word(s, 2), buf, iov);
    size_t len = length_of(iov, count);
    memcpy(buf, content(k, len), len < ROOM ? len : ROOM);
    native_block(k->handle, true);
    long r = word(s, 0)[5] ? writev(k->handle, iov, count)
                           : write(k->handle, buf, len);
    r = native_result(r);
    k->sent += r > 0 ? (uint32_t)r : 0;
    say_result(s, (int)r);
}

// sendmmsg NAME COUNT LENGTH FLAGS ADDR
static void step_sendmmsg(struct step *s) {
    static uint8_t buf[ROOM];
    struct sock *k = sock(s);
    struct sockaddr_storage ss;
    struct far_addr a;
    struct mmsghdr v[PIECES] = {0};
    struct iovec iov[PIECES];
    unsigned count = (unsigned)number(s, 2);
    size_t len = (size_t)number(s, 3);
    bool to = addr_at(s, 5, &a);
    memcpy(buf, content(k, len * PIECES), len * PIECES);
    for (unsigned i = 0; i < count && i < PIECES; i++) {
        iov[i] = (struct iovec){buf + i * len, len};
        v[i].msg_hdr.msg_iov = &iov[i];
        v[i].msg_hdr.msg_iovlen = 1;
        if (to) {
            v[i].msg_hdr.msg_name = &ss;
            v[i].msg_hdr.msg_namelen = native_from_far(&ss, &a);
        }
    }
    native_block(k->handle, true);
    int r = native_result(sendmmsg(k->handle, v, count,
        (int)number(s, 4) | MSG_NOSIGNAL));
    say_result(s, r);
    for (int i = 0; i < r; i++) {
        k->sent += v[i].msg_len;
        say(s, " %u", v[i].msg_len);
    }
}

// recvmmsg NAME COUNT LENGTH FLAGS [wait]
static void step_recvmmsg(struct step *s) {
    const struct sock *k = sock(s);
    struct sockaddr_storage ss[PIECES] = {0};
    struct mmsghdr v[PIECES] = {0};
    struct iovec iov[PIECES];
    unsigned count = (unsigned)number(s, 2);
    size_t len = (size_t)number(s, 3);
    uint8_t *buf = room_for(len * PIECES);
    for (unsigned i = 0; i < count && i < PIECES; i++) {
        iov[i] = (struct iovec){buf + i * len, len};
        v[i].msg_hdr.msg_iov = &iov[i];
        v[i].msg_hdr.msg_iovlen = 1;
        v[i].msg_hdr.msg_name = &ss[i];
        v[i].msg_hdr.msg_namelen = sizeof ss[i];
    }
    native_block(k->handle, true);
    int r = native_result(recvmmsg(k->handle, v, count,
        (int)number(s, 4) | (waits(s) ? 0 : MSG_DONTWAIT), NULL));
    say_result(s, r);
    for (int i = 0; i < r; i++) {
        struct far_addr from;
        size_t n = v[i].msg_len < len ? v[i].msg_len : len;
        native_to_far(&from, &ss[i]);
        mask(k, iov[i].iov_base, n);
        say(s, " %u 0x%x %u %016llx", v[i].msg_len,
            (unsigned)v[i].msg_hdr.msg_flags, v[i].msg_hdr.msg_namelen,
            (unsigned long long)hash_of(HASH_START, iov[i].iov_base, n));
        say_addr(s, &from);
    }
}

// epoll NAME:EVENTS...: a new one, asked twice without waiting.
static void step_epoll(struct step *s) {
    struct epoll_event got[WORDS];
    int fd = epoll_create1(EPOLL_CLOEXEC);
    for (int i = 1; i < s->count; i++) {
        char *colon = strchr(s->words[i], ':');
        struct epoll_event e = {.data.u32 = (uint32_t)i};
        e.events = colon ? (uint32_t)strtoul(colon + 1, NULL, 0) : 0;
        if (colon) {
            *colon = 0;
        }
        const struct sock *k = find(s->words[i]);
        say_result(s,
            native_result(epoll_ctl(fd, EPOLL_CTL_ADD, k->handle, &e)));
        say(s, " ");
    }
    for (int turn = 0; turn < 2; turn++) {
        int n = epoll_wait(fd, got, WORDS, 0);
        say(s, "%s%d", turn ? " then " : "", n);
        // In the order of the words: the kernel's is that of the events.
        for (int i = 1; i < s->count; i++) {
            for (int j = 0; j < n; j++) {
                if (got[j].data.u32 == (uint32_t)i) {
                    say(s, " %s:0x%x", s->words[i], got[j].events);
                }
            }
        }
    }
    close(fd);
}

// select NAME...: for reading, writing and urgent data, without waiting.
static void step_select(struct step *s) {
    fd_set set[3];
    struct timeval none = {0};
    int top = 0;
    for (int i = 0; i < 3; i++) {
        FD_ZERO(&set[i]);
    }
    for (int i = 1; i < s->count; i++) {
        const struct sock *k = find(s->words[i]);
        for (int j = 0; j < 3 && k->handle < FD_SETSIZE && k->handle >= 0;
             j++) {
            FD_SET(k->handle, &set[j]);
            top = k->handle >= top ? k->handle + 1 : top;
        }
    }
    int r = native_result(select(top, &set[0], &set[1], &set[2], &none));
    say_result(s, r);
    for (int i = 1; r >= 0 && i < s->count; i++) {
        const struct sock *k = find(s->words[i]);
        for (int j = 0; j < 3 && k->handle < FD_SETSIZE && k->handle >= 0;
             j++) {
            if (FD_ISSET(k->handle, &set[j])) {
                say(s, " %s:%c", s->words[i], "rwx"[j]);
            }
        }
    }
}

// Behind the port, which is not the same in each run.
static void say_room(struct step *s, const uint8_t *sa, socklen_t len) {
    say(s, " %u ", len);
    for (size_t i = 0; i < 40; i++) {
        if (i != 2 && i != 3) {
            say(s, "%02x", sa[i]);
        }
    }
}

// length CALL NAME ADDR LENGTH: bind, connect, sendto with an address of that
// many bytes; getsockname, getpeername, recvfrom with room for so many.
static void step_length(struct step *s) {
    struct sock *k = find(word(s, 2));
    const char *call = word(s, 1);
    struct far_addr a;
    uint8_t sa[256];
    memset(sa, CANARY_IS, sizeof sa);
    bool there = addr_at(s, 3, &a);
    struct sockaddr_storage ss;
    native_from_far(&ss, &a);
    socklen_t len = (socklen_t)number(s, 4);
    struct sockaddr *p = (struct sockaddr *)sa;
    if (there) {
        memcpy(sa, &ss, sizeof ss);
    }
    native_block(k->handle, false);
    if (!strcmp(call, "bind")) {
        say_result(s, native_result(bind(k->handle, p, len)));
    } else if (!strcmp(call, "connect")) {
        say_result(s, native_result(connect(k->handle, p, len)));
    } else if (!strcmp(call, "sendto")) {
        int r = native_result(sendto(k->handle, content(k, 10), 10,
            MSG_NOSIGNAL | MSG_DONTWAIT, p, len));
        k->sent += r > 0 ? (uint32_t)r : 0;
        say_result(s, r);
    } else if (!strcmp(call, "recvfrom")) {
        uint8_t byte[10];
        int r = native_result(recvfrom(k->handle, byte, sizeof byte,
            MSG_DONTWAIT, p, &len));
        say_result(s, r);
        say_room(s, sa, len);
    } else {
        bool local = !strcmp(call, "getsockname");
        int r = native_result(local ? getsockname(k->handle, p, &len)
                                    : getpeername(k->handle, p, &len));
        say_result(s, r);
        say_room(s, sa, len);
    }
}

// nameinfo ADDR FLAGS
static void step_nameinfo(struct step *s) {
    char host[256] = "";
    char service[64] = "";
    struct sockaddr_storage ss;
    struct far_addr a;
    addr_at(s, 1, &a);
    socklen_t len = native_from_far(&ss, &a);
    int r = getnameinfo((struct sockaddr *)&ss, len, host, sizeof host, service,
        sizeof service, (int)number(s, 2));
    say(s, "%d %s %s", r, host, service);
}

#endif
