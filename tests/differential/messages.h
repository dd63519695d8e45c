// Steps with pieces and control data, and those of ioctl() and of names.
// SPDX-License-Identifier: MIT
#ifndef MESSAGES_H
#define MESSAGES_H

#include "differential/executor.h"

#include <sys/uio.h>

#define PIECES   16
#define CTL_ROOM 1024

// "3,0,100" as pieces of the buffer. How many.
static int pieces_of(const char *text, uint8_t *buf, struct iovec *iov) {
    size_t at = 0;
    int n = 0;
    while (*text >= '0' && *text <= '9' && n < PIECES) {
        char *end;
        size_t len = strtoul(text, &end, 0);
        iov[n++] = (struct iovec){buf + at, len};
        at += len;
        text = *end == ',' ? end + 1 : end;
    }
    return n;
}

static size_t length_of(const struct iovec *iov, int count) {
    size_t n = 0;
    for (int i = 0; i < count; i++) {
        n += iov[i].iov_len;
    }
    return n;
}

// "LEVEL:TYPE:HEX+LEVEL:TYPE:HEX" as control data. Its bytes.
static size_t ctl_of(const char *text, uint8_t *to, size_t room) {
    char copy[LINE];
    char *rest = NULL;
    size_t at = 0;
    snprintf(copy, sizeof copy, "%s", text);
    for (char *w = strtok_r(copy, "+", &rest); w && text[0] != '-';
         w = strtok_r(NULL, "+", &rest)) {
        char *end;
        uint8_t data[256];
        int level = (int)strtol(w, &end, 0);
        int type = (int)strtol(end + 1, &end, 0);
        size_t len = bytes_of(end + 1, data, sizeof data);
        struct cmsghdr c = {CMSG_LEN(len), level, type};
        if (at + CMSG_SPACE(len) > room) {
            break;
        }
        memset(to + at, 0, CMSG_SPACE(len));
        memcpy(to + at, &c, sizeof c);
        memcpy(to + at + CMSG_LEN(0), data, len);
        at += CMSG_SPACE(len);
    }
    return at;
}

// Times and the labels that a kernel gives to flows are not compared, only that
// they are there.
static bool varies(const struct cmsghdr *c) {
    bool clock =
        c->cmsg_type == SCM_TIMESTAMP || c->cmsg_type == SCM_TIMESTAMPNS;
    return c->cmsg_level == SOL_SOCKET ? clock
                                       : c->cmsg_level == IPPROTO_IPV6 &&
                                             c->cmsg_type == FAR_IPV6_FLOWINFO;
}

static bool has_address(const struct cmsghdr *c) {
    return c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_ORIGDSTADDR;
}

static void say_ctl(struct step *s, struct msghdr *m) {
    for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
        size_t len = c->cmsg_len - CMSG_LEN(0);
        say(s, " %d:%d:", c->cmsg_level, c->cmsg_type);
        struct sockaddr_storage ss = {0};
        struct far_addr a;
        if (varies(c)) {
            say(s, "%zu", len);
        } else if (has_address(c) && len >= sizeof(struct sockaddr_in)) {
            memcpy(&ss, CMSG_DATA(c), sizeof(struct sockaddr_in));
            native_to_far(&a, &ss);
            say_addr(s, &a);
        } else {
            for (size_t i = 0; i < len; i++) {
                say(s, "%02x", CMSG_DATA(c)[i]);
            }
        }
    }
}

// sendmsg NAME PIECES FLAGS ADDR CTL wait|nowait
static void step_sendmsg(struct step *s) {
    static uint8_t buf[ROOM];
    uint64_t ctl[CTL_ROOM / 8];
    struct sock *k = sock(s);
    struct iovec iov[PIECES];
    struct sockaddr_storage ss;
    struct far_addr a;
    int count = pieces_of(word(s, 2), buf, iov);
    size_t len = length_of(iov, count);
    memcpy(buf, content(k, len), len < ROOM ? len : ROOM);
    struct msghdr m = {.msg_iov = iov, .msg_iovlen = (size_t)count};
    if (addr_at(s, 4, &a)) {
        m.msg_name = &ss;
        m.msg_namelen = native_from_far(&ss, &a);
    }
    m.msg_controllen = ctl_of(word(s, 5), (uint8_t *)ctl, sizeof ctl);
    m.msg_control = m.msg_controllen ? ctl : NULL;
    int r = k->net->sendmsg(k->handle, &m, (int)number(s, 3), waits(s));
    k->sent += r > 0 ? (uint32_t)r : 0;
    say_result(s, r);
}

// recvmsg NAME PIECES FLAGS CTL_ROOM wait|nowait
static void step_recvmsg(struct step *s) {
    uint64_t ctl[CTL_ROOM / 8];
    struct sock *k = sock(s);
    struct iovec iov[PIECES];
    struct sockaddr_storage ss = {0};
    struct far_addr from = {0};
    int count = pieces_of(word(s, 2), NULL, iov);
    size_t len = length_of(iov, count);
    uint8_t *buf = room_for(len);
    pieces_of(word(s, 2), buf, iov);
    size_t room = (size_t)number(s, 4);
    struct msghdr m = {
        .msg_name = &ss,
        .msg_namelen = sizeof ss,
        .msg_iov = iov,
        .msg_iovlen = (size_t)count,
        .msg_control = room ? ctl : NULL,
        .msg_controllen = room < sizeof ctl ? room : sizeof ctl,
    };
    memset(ctl, CANARY_IS, sizeof ctl);
    int r = k->net->recvmsg(k->handle, &m, (int)number(s, 3), waits(s));
    say_result(s, r);
    if (r >= 0) {
        size_t n = (size_t)r < len ? (size_t)r : len;
        mask(k, buf, n);
        say(s, " %016llx", (unsigned long long)hash_of(HASH_START, buf, n));
        native_to_far(&from, &ss);
        say_addr(s, &from);
        say(s, " %u 0x%x %zu", m.msg_namelen, (unsigned)m.msg_flags,
            m.msg_controllen);
        say_ctl(s, &m);
    }
    if (!canary_lives(buf, len) ||
        (room < sizeof ctl && ((uint8_t *)ctl)[room] != CANARY_IS)) {
        say(s, " OVERRUN");
    }
}

// ioctl NAME REQUEST: one that gives a number.
static void step_ioctl(struct step *s) {
    struct sock *k = sock(s);
    int value[64] = {-7};
    int r = k->net->ioctl(k->handle, (unsigned long)number(s, 2), value);
    say_result(s, r);
    if (r >= 0) {
        say(s, " %d", value[0]);
    }
}

static int lookup_native(const char *host, const char *service,
    const struct far_req_getaddrinfo *want, struct far_gai_entry *to,
    size_t max) {
    struct addrinfo hints = {.ai_flags = (int)want->flags,
        .ai_family = (int)want->family,
        .ai_socktype = (int)want->type};
    struct addrinfo *list = NULL;
    int r = getaddrinfo(host, service, &hints, &list);
    int n = 0;
    for (const struct addrinfo *a = r ? NULL : list; a && (size_t)n < max;
         a = a->ai_next) {
        struct sockaddr_storage ss = {0};
        memcpy(&ss, a->ai_addr, a->ai_addrlen);
        to[n].type = a->ai_socktype;
        to[n].proto = a->ai_protocol;
        native_to_far(&to[n++].addr, &ss);
    }
    if (r == 0) {
        freeaddrinfo(list);
    }
    return r ? r : n;
}

// lookup HOST SERVICE FAMILY TYPE [FLAGS]
static void step_lookup(struct step *s) {
    struct far_gai_entry e[8];
    const char *host = word(s, 1)[0] == '-' ? NULL : word(s, 1);
    const char *service = word(s, 2)[0] == '-' ? NULL : word(s, 2);
    struct far_req_getaddrinfo want = {.family = (int)number(s, 3),
        .type = (int)number(s, 4),
        .flags = s->count > 5 ? (uint32_t)number(s, 5) : 0};
    struct far_gai_result res;
    int r = 0;
    if (is_far) {
        r = far_getaddrinfo(the_link(), host, service, &want, e, 8, &res, NULL,
            FAR_FOREVER);
        r = r < 0 ? r : (int)res.count;
    } else {
        r = lookup_native(host, service, &want, e, 8);
    }
    say(s, "%d", r);
    for (int i = 0; i < r && i < 8; i++) {
        say_addr(s, &e[i].addr);
        say(s, " %u %u", (unsigned)e[i].type, (unsigned)e[i].proto);
    }
}

#endif
