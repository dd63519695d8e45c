// The shell's sendmsg and recvmsg: pieces, control data, flags.
// SPDX-License-Identifier: MIT
#ifndef SHELL_MSG_H
#define SHELL_MSG_H

#include "net_many.h"
#include "shell.h"

#include <time.h>

#define PIECES 16

// "a,b,c" as pieces of text, or sizes of them.
static int split(char *text, char **parts) {
    int n = 0;
    for (char *p = text; p && n < PIECES; n++) {
        parts[n] = p;
        p = strchr(p, ',');
        if (p) {
            *p++ = '\0';
        }
    }
    return n;
}

// "ctl LEVEL TYPE BYTES NUMBER..." to the end of the line, of which BYTES
// count.
static size_t control(const struct call *c, void *buf, size_t size) {
    size_t used = 0;
    int i = after(c, "ctl");
    memset(buf, 0, size);
    while (i && i + 2 < c->count) {
        struct cmsghdr *h = (void *)((char *)buf + used);
        size_t len = (size_t)number(c, i + 2);
        h->cmsg_level = number(c, i);
        h->cmsg_type = number(c, i + 1);
        h->cmsg_len = CMSG_LEN(len);
        int32_t v[8] = {0};
        int n = 0;
        for (i += 3; n < 8 && i < c->count && strcmp(c->words[i], "ctl"); i++) {
            v[n++] = (int32_t)strtol(c->words[i], NULL, 0);
        }
        memcpy(CMSG_DATA(h), v, len < sizeof v ? len : sizeof v);
        used += CMSG_SPACE(len);
        i = i < c->count ? i + 1 : 0;
    }
    return used;
}

// NAME TEXT,TEXT... [to ADDR PORT] [FLAG]... [lie LEN] [ctl ...]
// lie: what the first item of control data says that its length is.
static void call_sendmsg(struct call *c) {
    struct iovec iov[PIECES];
    char *parts[PIECES];
    uint64_t ctl[64];
    struct sockaddr_storage ss;
    int count = split(c->words[2], parts);
    for (int i = 0; i < count; i++) {
        size_t len = strcmp(parts[i], "-") ? strlen(parts[i]) : 0;
        iov[i] = (struct iovec){parts[i], len};
    }
    struct msghdr m = {.msg_iov = iov, .msg_iovlen = (size_t)count};
    int to = after(c, "to");
    if (to) {
        struct far_addr a = addr_at(c, to);
        m.msg_namelen = native_from_far(&ss, &a);
        m.msg_name = &ss;
    }
    m.msg_controllen = control(c, ctl, sizeof ctl);
    m.msg_control = m.msg_controllen ? ctl : NULL;
    int lie = after(c, "lie");
    if (lie) {
        ((struct cmsghdr *)(void *)ctl)->cmsg_len = (size_t)number(c, lie);
    }
    answer(c, net->sendmsg(sock(c)->sock, &m, flags(c), !has(c, "nowait")), "");
}

// A time is right if it is about now; of three, the first.
static size_t time_text(char *out, size_t size, const struct cmsghdr *h) {
    long t[2];
    memcpy(t, CMSG_DATA(h), sizeof t);
    bool fraction = h->cmsg_type == SO_TIMESTAMP ? t[1] < 1000000 : t[1] > 0;
    bool good = labs(t[0] - (long)time(NULL)) < 60 && fraction;
    return (size_t)snprintf(out, size, good ? "now" : "wrong");
}

static size_t ctl_text(char *out, size_t size, struct msghdr *m) {
    size_t used = 0;
    for (struct cmsghdr *h = CMSG_FIRSTHDR(m); h; h = CMSG_NXTHDR(m, h)) {
        size_t len = h->cmsg_len - CMSG_LEN(0);
        used += (size_t)snprintf(out + used, size - used,
            " %d/%d:", h->cmsg_level, h->cmsg_type);
        if (h->cmsg_level == SOL_SOCKET) {
            used += len == 16 || len == 48
                        ? time_text(out + used, size - used, h)
                        : (size_t)snprintf(out + used, size - used, "%zu bytes",
                              len);
            continue;
        }
        for (size_t i = 0; i < len; i++) {
            used += (size_t)snprintf(out + used, size - used, "%02x",
                CMSG_DATA(h)[i]);
        }
    }
    return used;
}

static void received_text(char *out, size_t size, const struct iovec *iov,
    int count, int n, struct msghdr *m) {
    struct far_addr a = {0};
    char addr[80];
    size_t used = 0;
    for (int i = 0; i < count; i++) {
        int len = n < (int)iov[i].iov_len ? n : (int)iov[i].iov_len;
        used += (size_t)snprintf(out + used, size - used, "%.*s,", len,
            (char *)iov[i].iov_base);
        n -= len;
    }
    if (m->msg_namelen) {
        native_to_far(&a, m->msg_name);
    }
    addr_text(addr, sizeof addr, &a);
    used += (size_t)snprintf(out + used, size - used, " %s 0x%x ctl %zu", addr,
        (unsigned)m->msg_flags, (size_t)m->msg_controllen);
    ctl_text(out + used, size - used, m);
}

// NAME SIZE,SIZE... [FLAG]... [room BYTES]
static void call_recvmsg(struct call *c) {
    static char bytes[PIECES][4096];
    struct iovec iov[PIECES];
    char *parts[PIECES];
    uint64_t ctl[64] = {0};
    struct sockaddr_storage ss = {0};
    int count = split(c->words[2], parts);
    for (int i = 0; i < count; i++) {
        iov[i] = (struct iovec){bytes[i], strtoul(parts[i], NULL, 0)};
    }
    struct msghdr m = {
        .msg_name = &ss,
        .msg_namelen = sizeof ss,
        .msg_iov = iov,
        .msg_iovlen = (size_t)count,
        .msg_control = ctl,
        .msg_controllen =
            has(c, "room") ? (size_t)number(c, after(c, "room")) : sizeof ctl,
    };
    int n = net->recvmsg(sock(c)->sock, &m, flags(c), !has(c, "nowait"));
    char text[2000] = "";
    if (n >= 0) {
        received_text(text, sizeof text, iov, count, n, &m);
    }
    answer(c, n, text);
}

// NAME LENGTH,LENGTH... [nowait]: sendmmsg() and recvmmsg(), and what each of
// them moved; of a message that went in part only that.
static void call_many(struct call *c) {
    char *parts[PIECES];
    size_t wish[MANY];
    size_t lens[MANY];
    size_t sum = 0;
    bool sends = c->words[0][0] == 's';
    int count = split(c->words[2], parts);
    count = count < MANY ? count : MANY;
    for (int i = 0; i < count; i++) {
        sum += lens[i] = wish[i] = strtoul(parts[i], NULL, 0);
    }
    uint8_t *buf = calloc(1, sum + 1u);
    if (!buf) {
        abort();
    }
    bool native = net == &net_native;
    int r = (native ? native_many : over_many)(sock(c)->sock, buf, lens, count,
        sends, !has(c, "nowait"));
    free(buf);
    char text[400] = "";
    for (int i = 0; i < r; i++) {
        char *at = text + strlen(text);
        size_t room = (size_t)(text + sizeof text - at);
        bool part = sends && lens[i] < wish[i];
        snprintf(at, room, part ? "%spart" : "%s%zu", i ? "," : "", lens[i]);
    }
    answer(c, r, text);
}

#endif
