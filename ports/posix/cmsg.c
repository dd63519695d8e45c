// The host's control data (cmsg) and the link's.
// SPDX-License-Identifier: MIT
#include "farsock/posix.h"

#include <string.h>
#include <sys/time.h>
#include <time.h>

#include <linux/errqueue.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/socket.h>

#ifndef SO_TXTIME
    #define SO_TXTIME 61
#endif
#ifndef IP_CHECKSUM
    #define IP_CHECKSUM 23
#endif
#ifndef IP_RECVFRAGSIZE
    #define IP_RECVFRAGSIZE 25
#endif
#ifndef IPV6_ORIGDSTADDR
    #define IPV6_ORIGDSTADDR 74
#endif
#ifndef IPV6_RECVFRAGSIZE
    #define IPV6_RECVFRAGSIZE 77
#endif
#ifndef IPV6_FLOWINFO
    #define IPV6_FLOWINFO 11
#endif
#ifndef UDP_SEGMENT
    #define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
    #define UDP_GRO 104
#endif

#define COUNT(a) (sizeof(a) / sizeof *(a))

// What the link does not know: the level, with a type that nobody has, so that
// the kernel says what it says of such.
#define NO_TYPE 0x7ffffff0

struct form {
    uint16_t level, type;
    int host_level, host_type;
    enum far_ctl_form form;
};
static const struct form forms[] = {
#define X(level, lnum, name, num, form)                                        \
    {lnum, num, level, name, FAR_CTL_FORM_##form},
#include "farsock/ctl.def"
#undef X
};

// --- Host to link ---

static const struct form *of_host(int level, int type) {
    for (size_t i = 0; i < COUNT(forms); i++) {
        if (forms[i].host_level == level && forms[i].host_type == type) {
            return &forms[i];
        }
    }
    return NULL;
}

static uint32_t error_in(const void *data, uint32_t len, uint8_t *out) {
    struct sock_extended_err e = {0};
    uint32_t n = len < sizeof e ? len : (uint32_t)sizeof e;
    memcpy(&e, data, n);
    struct far_ctl_error f = {
        .err = (uint32_t)-far_posix_error((int)e.ee_errno),
        .origin = e.ee_origin,
        .type = e.ee_type,
        .code = e.ee_code,
        .info = e.ee_info,
        .data = e.ee_data,
    };
    far_posix_addr(&f.offender, (const uint8_t *)data + n, len - n);
    memcpy(out, &f, sizeof f);
    return sizeof f;
}

// Three times, or whatever else has that type (a program sends flags by it).
static uint32_t stamps_in(const void *data, uint32_t len, uint8_t *out) {
    struct timespec ts[3];
    struct far_ctl_stamps f;
    if (len != sizeof ts) {
        len = len < FAR_CTL_MAX ? len : FAR_CTL_MAX;
        memcpy(out, data, len);
        return len;
    }
    memcpy(ts, data, sizeof ts);
    for (int i = 0; i < 3; i++) {
        f.time[i][0] = ts[i].tv_sec;
        f.time[i][1] = ts[i].tv_nsec;
    }
    memcpy(out, &f, sizeof f);
    return sizeof f;
}

static uint32_t stamps_out(const uint8_t *data, uint8_t *out) {
    struct timespec ts[3];
    struct far_ctl_stamps f;
    memcpy(&f, data, sizeof f);
    for (int i = 0; i < 3; i++) {
        ts[i].tv_sec = (time_t)f.time[i][0];
        ts[i].tv_nsec = (long)f.time[i][1];
    }
    memcpy(out, ts, sizeof ts);
    return sizeof ts;
}

// The data of one item in the link's form; at most FAR_CTL_MAX bytes.
static uint32_t data_in(enum far_ctl_form form, const void *data, uint32_t len,
    uint8_t *out) {
    struct timeval tv = {0};
    struct timespec ts = {0};
    struct far_addr addr;
    int64_t t[2];
    switch (form) {
        case FAR_CTL_FORM_TIMEVAL:
            memcpy(&tv, data, len < sizeof tv ? len : sizeof tv);
            t[0] = tv.tv_sec;
            t[1] = tv.tv_usec;
            memcpy(out, t, sizeof t);
            return sizeof t;
        case FAR_CTL_FORM_TIMESPEC:
            memcpy(&ts, data, len < sizeof ts ? len : sizeof ts);
            t[0] = ts.tv_sec;
            t[1] = ts.tv_nsec;
            memcpy(out, t, sizeof t);
            return sizeof t;
        case FAR_CTL_FORM_ADDR:
            far_posix_addr(&addr, data, len);
            memcpy(out, &addr, sizeof addr);
            return sizeof addr;
        case FAR_CTL_FORM_ERROR:
            return error_in(data, len, out);
        case FAR_CTL_FORM_STAMPS:
            return stamps_in(data, len, out);
        case FAR_CTL_FORM_BYTES:
        default:
            len = len < FAR_CTL_MAX ? len : FAR_CTL_MAX;
            memcpy(out, data, len);
            return len;
    }
}

static struct far_ctl item_of(const struct cmsghdr *c, const struct form *f) {
    bool fits = c->cmsg_level >= 0 && c->cmsg_level < (int)FAR_CTL_NONE;
    return (struct far_ctl){
        .level = f      ? f->level
                 : fits ? (uint16_t)c->cmsg_level
                        : (uint16_t)FAR_CTL_NONE,
        .type = f ? f->type : 0xffffu,
    };
}

bool far_posix_ctl_good(const struct msghdr *from) {
    struct msghdr m = *from; // CMSG_NXTHDR wants one that may change
    const uint8_t *end = (const uint8_t *)m.msg_control + m.msg_controllen;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
        if (c->cmsg_len < sizeof *c ||
            c->cmsg_len > (size_t)(end - (const uint8_t *)c)) {
            return false;
        }
    }
    return true;
}

uint32_t far_posix_ctl_in(void *ctl, uint32_t room, const struct msghdr *from,
    bool *cut) {
    struct msghdr m = *from; // CMSG_NXTHDR wants one that may change
    uint8_t *to = ctl;
    uint8_t data[FAR_CTL_MAX];
    uint32_t n = 0;
    *cut = false;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
        uint32_t len = (uint32_t)(c->cmsg_len - CMSG_LEN(0));
        if (c->cmsg_level == SOL_SOCKET &&
            (c->cmsg_type == SCM_RIGHTS || c->cmsg_type == SCM_CREDENTIALS)) {
            continue; // Linux lets them pass, and they mean nothing
        }
        const struct form *f = of_host(c->cmsg_level, c->cmsg_type);
        struct far_ctl item = item_of(c, f);
        item.len =
            data_in(f ? f->form : FAR_CTL_FORM_BYTES, CMSG_DATA(c), len, data);
        uint32_t whole = (uint32_t)sizeof item + FAR_ALIGN8(item.len);
        if (whole > room - n) {
            *cut = true;
            break;
        }
        memset(to + n, 0, whole);
        memcpy(to + n, &item, sizeof item);
        memcpy(to + n + sizeof item, data, item.len);
        n += whole;
    }
    return n;
}

// --- Link to host ---

static const struct form *of_link(const struct far_ctl *item) {
    for (size_t i = 0; i < COUNT(forms); i++) {
        if (forms[i].level == item->level && forms[i].type == item->type) {
            return &forms[i];
        }
    }
    return NULL;
}

static uint32_t error_out(uint32_t level, const uint8_t *data, uint8_t *out) {
    struct far_ctl_error f;
    struct sockaddr_storage ss = {0};
    memcpy(&f, data, sizeof f);
    struct sock_extended_err e = {
        // Not -(int): far may write INT_MIN.
        .ee_errno = (uint32_t)far_posix_errno((int)(0u - f.err)),
        .ee_origin = f.origin,
        .ee_type = f.type,
        .ee_code = f.code,
        .ee_info = f.info,
        .ee_data = f.data,
    };
    // Unknown, it is zero, but of its family's size.
    uint32_t len = level == FAR_IPPROTO_IPV6 ? sizeof(struct sockaddr_in6)
                                             : sizeof(struct sockaddr_in);
    if (f.offender.family) {
        len = far_posix_sockaddr(&f.offender, &ss);
    }
    memcpy(out, &e, sizeof e);
    memcpy(out + sizeof e, &ss, len);
    return (uint32_t)sizeof e + len;
}

static uint32_t time_out(enum far_ctl_form form, const uint8_t *data,
    uint8_t *out) {
    int64_t t[2];
    memcpy(t, data, sizeof t);
    if (form == FAR_CTL_FORM_TIMEVAL) {
        struct timeval tv = {.tv_sec = t[0], .tv_usec = t[1]};
        memcpy(out, &tv, sizeof tv);
        return sizeof tv;
    }
    struct timespec ts = {.tv_sec = t[0], .tv_nsec = t[1]};
    memcpy(out, &ts, sizeof ts);
    return sizeof ts;
}

// The data of one item as the host has it, at most FAR_CTL_MAX bytes or as many
// as a form has.
static uint32_t data_out(const struct form *f, const uint8_t *data,
    uint32_t len, uint8_t *out) {
    enum far_ctl_form form = f ? f->form : FAR_CTL_FORM_BYTES;
    struct far_addr addr;
    struct sockaddr_storage ss;
    bool is_time =
        form == FAR_CTL_FORM_TIMEVAL || form == FAR_CTL_FORM_TIMESPEC;
    if (is_time && len >= 2 * sizeof(int64_t)) {
        return time_out(form, data, out);
    }
    if (form == FAR_CTL_FORM_ERROR && len >= sizeof(struct far_ctl_error)) {
        return error_out(f->level, data, out);
    }
    if (form == FAR_CTL_FORM_STAMPS && len == sizeof(struct far_ctl_stamps)) {
        return stamps_out(data, out);
    }
    if (form == FAR_CTL_FORM_ADDR && len >= sizeof addr) {
        memcpy(&addr, data, sizeof addr);
        len = far_posix_sockaddr(&addr, &ss);
        memcpy(out, &ss, len);
        return len;
    }
    memcpy(out, data, len);
    return len;
}

// As the kernel's put_cmsg(): what does not fit is cut.
static void put_host(struct msghdr *m, size_t room, int level, int type,
    const uint8_t *data, uint32_t len) {
    size_t left = room - m->msg_controllen;
    struct cmsghdr c = {.cmsg_level = level, .cmsg_type = type};
    if (left < sizeof c) {
        m->msg_flags |= MSG_CTRUNC;
        return;
    }
    c.cmsg_len = CMSG_LEN(len);
    if (left < c.cmsg_len) {
        m->msg_flags |= MSG_CTRUNC;
        c.cmsg_len = left;
    }
    uint8_t *at = (uint8_t *)m->msg_control + m->msg_controllen;
    memcpy(at, &c, sizeof c);
    memcpy(at + CMSG_LEN(0), data, c.cmsg_len - CMSG_LEN(0));
    size_t space = CMSG_SPACE(len);
    m->msg_controllen += space < left ? space : left;
}

void far_posix_ctl_out(struct msghdr *m, const void *ctl, uint32_t len) {
    size_t room = m->msg_control ? m->msg_controllen : 0;
    const uint8_t *from = ctl;
    uint8_t data[FAR_CTL_MAX + sizeof(struct sockaddr_storage)];
    struct far_ctl item;
    m->msg_controllen = 0;
    for (uint32_t at = 0; at + sizeof item <= len;) {
        memcpy(&item, from + at, sizeof item);
        at += (uint32_t)sizeof item;
        if (item.len > len - at || item.len > FAR_CTL_MAX) {
            return;
        }
        const struct form *f = of_link(&item);
        uint32_t n = data_out(f, from + at, item.len, data);
        put_host(m, room, f ? f->host_level : item.level,
            f ? f->host_type : NO_TYPE, data, n);
        at += FAR_ALIGN8(item.len);
    }
}
