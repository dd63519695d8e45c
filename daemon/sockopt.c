// Socket options: an allowlist, and the few that are not the kernel's.
// SPDX-License-Identifier: MIT
#include "daemon/core.h"

#include <errno.h>
#include <string.h>

#include <netinet/in.h>
#include <netinet/udp.h>

#include "daemon/gate.h"
#include "daemon/host_options.h"
#include "daemon/translate.h"
#include "farsock/proto.h"

struct far_linger { // FAR_OPT_LINGER as it travels
    int32_t on;
    int32_t seconds;
};

static bool is_sol(int32_t level, int32_t opt, int32_t which) {
    return level == FAR_SOL_SOCKET && opt == which;
}

static bool is_lowat(int host_level, int host_name) {
    return host_level == IPPROTO_TCP && host_name == TCP_NOTSENT_LOWAT;
}

// The kernel never sees SO_LINGER before the close: its close() would make the
// loop wait. Lengths are judged as it does.
static int32_t set_linger(struct sock *s, const void *val, uint32_t len) {
    struct far_linger v;
    if (len < sizeof v) {
        return FAR_EINVAL;
    }
    memcpy(&v, val, sizeof v);
    s->linger_on = v.on != 0;
    if (s->linger_on) {
        s->linger_s = v.seconds;
    }
    return FAR_OK;
}

// Near alone knows how much is readable, in ring and kernel; a threshold in the
// kernel would only keep data from the ring.
static int32_t set_rcvlowat(struct sock *s, const void *val, uint32_t len) {
    int32_t v;
    if (len < sizeof v) {
        return FAR_EINVAL;
    }
    memcpy(&v, val, sizeof v);
    // The kernel says what becomes of it, and makes its buffer fit.
    int one = 1;
    socklen_t size = sizeof v;
    if (setsockopt(s->fd, SOL_SOCKET, SO_RCVLOWAT, &v, sizeof v) < 0 ||
        getsockopt(s->fd, SOL_SOCKET, SO_RCVLOWAT, &v, &size) < 0) {
        return far_errno(errno);
    }
    setsockopt(s->fd, SOL_SOCKET, SO_RCVLOWAT, &one, sizeof one);
    s->rcvlowat = v;
    return FAR_OK;
}

// Options by which control data comes with each datagram. It stays so until the
// socket's end: turned off, they cost a gap in each record.
static bool asks_for_ctl(int level, int name) {
    switch (level) {
        case SOL_SOCKET:
            return name == SO_TIMESTAMP || name == SO_TIMESTAMPNS ||
                   name == SO_TIMESTAMPING || name == SO_RXQ_OVFL;
        case IPPROTO_IP:
            return name == IP_PKTINFO || name == IP_RECVTTL ||
                   name == IP_RECVTOS || name == IP_RECVOPTS ||
                   name == IP_RECVORIGDSTADDR || name == IP_RETOPTS ||
                   name == IP_CHECKSUM || name == IP_RECVFRAGSIZE;
        case IPPROTO_IPV6:
            return name == IPV6_RECVPKTINFO || name == IPV6_RECVHOPLIMIT ||
                   name == IPV6_RECVTCLASS || name == IPV6_FLOWINFO ||
                   name == IPV6_RECVORIGDSTADDR || name == IPV6_RECVFRAGSIZE;
        case IPPROTO_UDP:
            return name == UDP_GRO;
        default:
            return false;
    }
}

// The kernel's own is on once urgent data has come.
static void note_inline(struct sock *s, const void *val, uint32_t len) {
    int on = 0;
    memcpy(&on, val, len < sizeof on ? len : sizeof on);
    s->oob_inline = on != 0;
    s->urg_inline = on != 0;
    if (!on && s->urg) {
        on = 1;
        s->urg_inline = true;
        setsockopt(s->fd, SOL_SOCKET, SO_OOBINLINE, &on, sizeof on);
    }
}

// Bytes; 0 if it has neither form: nothing that the kernel takes is so short.
static uint32_t host_group(struct group_source_req *out, const void *val,
    uint32_t len) {
    struct far_group g = {0};
    uint32_t without = (uint32_t)offsetof(struct far_group, source);
    if (len != sizeof g && len != without) {
        return 0;
    }
    memcpy(&g, val, len);
    memset(out, 0, sizeof *out);
    out->gsr_interface = g.interface;
    host_addr(&g.group, &out->gsr_group);
    host_addr(&g.source, &out->gsr_source);
    return len == sizeof g ? sizeof *out : sizeof(struct group_req);
}

// What else changes when the kernel has taken an option.
static void note_option(struct sock *s, int host_level, int host_name,
    const void *val, uint32_t len) {
    s->wants_ctl |= asks_for_ctl(host_level, host_name);
    if (host_level == SOL_SOCKET && host_name == SO_OOBINLINE) {
        note_inline(s, val, len);
    }
    if (host_level == SOL_SOCKET && host_name == SO_REUSEPORT) {
        reuse_note(s);
    }
    bool is_recverr = (host_level == IPPROTO_IP && host_name == IP_RECVERR) ||
                      (host_level == IPPROTO_IPV6 && host_name == IPV6_RECVERR);
    if (is_recverr) {
        int on = 0;
        memcpy(&on, val, len < sizeof on ? len : sizeof on);
        s->recverr = on != 0;
    }
}

// No option of ours; which error that is depends on level and socket, so the
// kernel is asked about one that nobody has.
#define NO_OPTION 0x7ffffff0

static int32_t refuse_set(struct sock *s, int32_t level, const void *val,
    uint32_t len) {
    return setsockopt(s->fd, level, NO_OPTION, val, len) < 0 ? far_errno(errno)
                                                             : FAR_ENOPROTOOPT;
}

static int32_t refuse_get(struct sock *s, int32_t level) {
    int v = 0;
    socklen_t len = sizeof v;
    return getsockopt(s->fd, level, NO_OPTION, &v, &len) < 0 ? far_errno(errno)
                                                             : FAR_ENOPROTOOPT;
}

int32_t opt_set(struct sock *s, int32_t level, int32_t opt, const void *val,
    uint32_t len) {
    int host_level;
    int host_name;
    int kind;
    if (s->fd < 0) {
        return FAR_EBADF;
    }
    if (host_opt(level, opt, &host_level, &host_name, &kind) < 0) {
        return refuse_set(s, level, val, len);
    }
    if (kind == FAR_OPT_LINGER) {
        return set_linger(s, val, len);
    }
    if (is_lowat(host_level, host_name)) {
        bulk_end(s);
    }
    if (kind == FAR_OPT_TIMEVAL) {
        return FAR_OK; // near's affair
    }
    if (is_sol(level, opt, FAR_SO_RCVLOWAT)) {
        return set_rcvlowat(s, val, len);
    }
    struct group_source_req group;
    if (kind == FAR_OPT_GROUP) {
        len = host_group(&group, val, len);
        val = len ? &group : val;
    }
    int refused = gate_option(s, host_level, host_name, val, len);
    if (refused) {
        return far_errno(refused);
    }
    if (setsockopt(s->fd, host_level, host_name, val, len) < 0) {
        return far_errno(errno);
    }
    note_option(s, host_level, host_name, val, len);
    return FAR_OK;
}

static int32_t give(const void *from, uint32_t len, void *val, uint32_t size) {
    uint32_t n = len < size ? len : size;
    memcpy(val, from, n);
    return (int32_t)n;
}

static int32_t give_int(int32_t v, void *val, uint32_t size) {
    return give(&v, sizeof v, val, size);
}

// Values that are the host's numbers.
static int32_t translated(int32_t opt, int v) {
    switch (opt) {
        case FAR_SO_TYPE:
            return (int32_t)far_socktype(v);
        case FAR_SO_DOMAIN:
            return (int32_t)far_family(v);
        case FAR_SO_ERROR:
            return -far_errno(v);
        default:
            return v;
    }
}

static int32_t get_from_kernel(struct sock *s, int host_level, int host_name,
    void *val, uint32_t size) {
    socklen_t len = size;
    if (getsockopt(s->fd, host_level, host_name, val, &len) < 0) {
        return far_errno(errno);
    }
    return (int32_t)len;
}

int32_t opt_get(struct sock *s, int32_t level, int32_t opt, void *val,
    uint32_t size) {
    int host_level;
    int host_name;
    int kind;
    if (s->fd < 0) {
        return FAR_EBADF;
    }
    if (host_opt(level, opt, &host_level, &host_name, &kind) < 0) {
        return refuse_get(s, level);
    }
    if (kind == FAR_OPT_LINGER) {
        struct far_linger v = {s->linger_on, s->linger_s};
        return give(&v, sizeof v, val, size);
    }
    if (kind == FAR_OPT_TIMEVAL) {
        int64_t never[2] = {0, 0};
        return give(never, sizeof never, val, size);
    }
    if (is_sol(level, opt, FAR_SO_RCVLOWAT)) {
        return give_int(s->rcvlowat, val, size);
    }
    if (is_sol(level, opt, FAR_SO_OOBINLINE)) {
        return give_int(s->oob_inline, val, size);
    }
    if (is_lowat(host_level, host_name)) {
        bulk_end(s);
    }
    int32_t n = get_from_kernel(s, host_level, host_name, val, size);
    if (level == FAR_SOL_SOCKET && n == (int32_t)sizeof(int)) {
        int v;
        memcpy(&v, val, sizeof v);
        v = translated(opt, v);
        memcpy(val, &v, sizeof v);
    }
    return n;
}
