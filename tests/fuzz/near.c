// A far side that does anything, at any time, against the near library.
// SPDX-License-Identifier: MIT
#include <stdlib.h>

#include "farsock/proto.h"
#include "fuzz/near_calls.h"

// Of each thread: tests/scribble makes these calls from several.
static _Thread_local struct far_link *l;
static _Thread_local int socks[HANDLES];
static _Thread_local struct input in;

void check(bool good, const char *what) {
    if (!good) {
        far_side_fail(what);
    }
}

// --- What a step is made of ---

static _Thread_local uint32_t beside; // calls that sleep below this one
static _Thread_local bool alone; // the one that sleeps wants no other beside it

struct far_link *the_link(void) {
    return l;
}

struct input *choices(void) {
    return &in;
}

uint64_t deadline(uint8_t how) {
    uint64_t when = how % 3u == 0   ? FAR_NOWAIT
                    : how % 3u == 1 ? far_side_now() + 1000000u
                                    : FAR_FOREVER;
    far_side_call(when);
    return when;
}

int sock(uint8_t i) {
    return socks[i % HANDLES];
}

struct far_addr addr(void) {
    uint8_t family = take8(&in);
    if (family == 0x5a) { // IPv4, in IPv6
        return (struct far_addr){.family = FAR_AF_INET6,
            .ip = {[10] = 0xff, [11] = 0xff, [12] = 127, [15] = 1}};
    }
    return (struct far_addr){
        .family = family & 1       ? FAR_AF_INET
                  : family == 0xfe ? FAR_AF_UNSPEC
                                   : FAR_AF_INET6,
        .port = take8(&in),
        .ip = {127, 0, 0, 1},
        .scope = in.left % 32u == 7u,
        .flowinfo = in.left % 32u == 8u,
        .reserved = in.left % 32u == 9u,
    };
}

uint32_t send_flags(uint8_t how) {
    return (how & 0x01 ? FAR_MSG_OOB : 0) | (how & 0x02 ? FAR_MSG_MORE : 0) |
           (how & 0x04 ? FAR_MSG_DONTWAIT : 0) |
           (how & 0x08 ? FAR_MSG_DONTROUTE : 0) |
           (how & 0x10 ? FAR_MSG_CONFIRM : 0) |
           (how & 0x20 ? FAR_MSG_PROBE : 0);
}

uint32_t recv_flags(uint8_t how) {
    return (how & 0x01 ? FAR_MSG_OOB : 0) | (how & 0x02 ? FAR_MSG_PEEK : 0) |
           (how & 0x04 ? FAR_MSG_WAITALL : 0) |
           (how & 0x08 ? FAR_MSG_TRUNC : 0) |
           (how & 0x10 ? FAR_MSG_DONTWAIT : 0) |
           (how & 0x20 ? FAR_MSG_ERRQUEUE : 0);
}

static void keep(uint8_t i, int handle) {
    uint32_t family;
    uint32_t type;
    uint32_t proto;
    if (handle < 0) {
        return;
    }
    check(far_sockinfo(l, handle, &family, &type, &proto) == FAR_OK,
        "a new handle is none");
    if (sock(i) >= 0) {
        far_close_nowait(l, sock(i));
    }
    socks[i % HANDLES] = handle;
}

static void send_some(uint8_t i) {
    uint8_t buf[3000];
    uint8_t how = take8(&in);
    uint32_t len = take_number(&in) * 8u % sizeof buf;
    struct far_addr to = addr();
    memset(buf, how, sizeof buf);
    len += how & 0x20 && len < 900u ? 2000u : 0; // more than the ring holds
    int32_t n = far_sendto(l, sock(i), buf, len,
        how & 0x40 ? send_flags(take8(&in)) : 0, how & 0x80 ? &to : NULL,
        deadline(how));
    check(n <= (int32_t)len, "more was sent than was given");
}

static void recv_some(uint8_t i) {
    uint8_t how = take8(&in);
    size_t len = take_number(&in) % 3000u;
    uint8_t *buf = malloc(len ? len : 1); // just as long, for ASan
    struct far_addr from;
    uint32_t out = 0;
    uint32_t flags = (how & 0x10 ? FAR_MSG_PEEK : 0) |
                     (how & 0x20 ? FAR_MSG_WAITALL : 0) |
                     (how & 0x40 ? FAR_MSG_TRUNC : 0) |
                     (how & 0x80 ? recv_flags(take8(&in)) : 0);
    int32_t n =
        far_recvfrom(l, sock(i), buf, len, flags, &from, &out, deadline(how));
    check(n <= (int32_t)len ||
              ((flags & FAR_MSG_TRUNC) && n <= (int32_t)FAR_DGRAM_MAX),
        "more was received than there is room for");
    free(buf);
}

static void recv_msg(uint8_t i) {
    uint8_t how = take8(&in);
    size_t len = take_number(&in) % 600u;
    size_t room = (size_t)(how & 0xf0u) * 2u;
    uint8_t *buf = malloc(len ? len : 1);
    uint8_t *ctl = malloc(room ? room : 1);
    struct far_addr from;
    struct far_iov iov[2] = {{buf, len / 2u}, {buf + len / 2u, len - len / 2u}};
    struct far_msghdr m = {
        .name = &from,
        .iov = iov,
        .iov_count = 2,
        .ctl = ctl,
        .ctl_len = room,
    };
    uint32_t flags = how & 0x08 ? recv_flags(take8(&in)) : 0;
    int32_t n = far_recvmsg(l, sock(i), &m, flags, deadline(how));
    check(n <= (int32_t)len ||
              ((flags & FAR_MSG_TRUNC) && n <= (int32_t)FAR_DGRAM_MAX),
        "more was received than there is room for");
    check(n < 0 || m.ctl_len <= room, "more control data than room");
    free(ctl);
    free(buf);
}

static void send_msg(uint8_t i) {
    uint8_t buf[64] = {0};
    uint64_t ctl[200];
    struct far_addr to = addr();
    uint8_t how = take8(&in);
    struct far_iov iov = {buf, sizeof buf};
    take(&in, ctl, 64);
    struct far_msghdr m = {
        .name = how & 0x40 ? &to : NULL,
        .iov = &iov,
        .iov_count = 1,
        .ctl = ctl,
        .ctl_len = how == 0x3f ? sizeof ctl : how & 0x38u,
    };
    int32_t n = far_sendmsg(l, sock(i), &m, 0, deadline(how));
    check(n <= (int32_t)sizeof buf, "more was sent than was given");
}

static void in_place(uint8_t i) {
    void *to = NULL;
    const void *from = NULL;
    uint8_t how = take8(&in);
    size_t want = take_number(&in);
    if (beside) { // one task at a time
        return;
    }
    alone = true;
    int32_t n = far_send_reserve(l, sock(i), &to, want, deadline(how));
    check(n < 0 || ((size_t)n <= want && n <= (int32_t)FAR_SIDE_RING),
        "a wild span");
    if (n > 0) {
        memset(to, 1, (size_t)n);
    }
    size_t more = how & 0x80 ? 5000u : 0; // than was given
    if (n > 0 || how & 0x40) {
        check(far_send_commit(l, sock(i), (n > 0 ? (size_t)n : 0) + more) <= 0,
            "a commit's result");
    }
    n = far_recv_peek(l, sock(i), &from, want, deadline(how));
    check(n < 0 || ((size_t)n <= want && n <= (int32_t)FAR_SIDE_RING),
        "a wild span");
    if (n > 0 || how & 0x40) {
        check(far_recv_consume(l, sock(i), (n > 0 ? (size_t)n : 0) + more) <= 0,
            "its result");
    }
    alone = false;
}

static void options(uint8_t i) {
    uint8_t how = take8(&in);
    int32_t v[4] = {(int32_t)take_number(&in), 5, 0, 0};
    int level = how & 1 ? FAR_SOL_SOCKET : FAR_IPPROTO_TCP;
    int opt = take8(&in) % 64;
    size_t len = how >> 4;
    far_side_call(FAR_FOREVER);
    check(far_setsockopt(l, sock(i), level, opt, v, len) <= 0,
        "setsockopt's result");
    uint8_t *val = malloc(len ? len : 1);
    size_t got = len;
    int err = far_getsockopt(l, sock(i), level, opt, val, &got);
    check(err <= 0 && got <= len, "getsockopt's result");
    free(val);
}

static void names(uint8_t i) {
    struct far_addr a;
    struct far_req_getaddrinfo hints = {0};
    struct far_gai_entry out[3];
    struct far_gai_result res;
    int sys = 0;
    uint8_t how = take8(&in);
    far_side_call(FAR_FOREVER);
    check(far_getsockname(l, sock(i), &a) <= 0, "getsockname's result");
    check(far_getpeername(l, sock(i), &a) <= 0, "getpeername's result");
    memset(out, 0xa5, sizeof out);
    static char long_name[2000];
    memset(long_name, 'x', sizeof long_name - 1u);
    const char *name = how & 0x80 ? long_name : how & 0x40 ? NULL : "host";
    int err = far_getaddrinfo(l, name, how & 1 ? "80" : NULL, &hints, out, 3,
        &res, how & 0x20 ? NULL : &sys, deadline(how));
    check(err <= 0, "getaddrinfo's result");
    for (size_t k = 0; err == 0 && k < 3 && k < res.count; k++) {
        check(out[k].addr.reserved != 0xa5a5a5a5u ||
                  out[k].proto != -1515870811,
            "an entry is missing");
    }
    check(memchr(res.canon, 0, sizeof res.canon), "a name without an end");
    char host[40];
    char service[10];
    memset(host, 1, sizeof host);
    memset(service, 1, sizeof service);
    struct far_addr who = addr();
    size_t host_room = how & 0x10 ? sizeof host : how & 0x08 ? 2 : 0;
    err = far_getnameinfo(l, &who, 0, host, host_room, service, sizeof service,
        &sys, deadline(how));
    check(err <= 0, "getnameinfo's result");
    check(err < 0 || ((host_room == 0 || memchr(host, 0, host_room)) &&
                         memchr(service, 0, sizeof service)),
        "a name without an end");
}

static void interfaces(uint8_t i) {
    static const uint32_t requests[] = {FAR_FIONREAD, FAR_SIOCOUTQ,
        FAR_SIOCOUTQNSD, FAR_SIOCGIFNAME, FAR_SIOCGIFADDR, FAR_SIOCATMARK};
    struct far_ifreq arg = {0};
    struct far_ifaddr *out = malloc(20 * sizeof *out);
    char name[FAR_IF_NAME];
    far_side_call(FAR_FOREVER);
    check(far_ioctl(l, sock(i), requests[take8(&in) % 6u], &arg) <= 0,
        "ioctl's result");
    memset(out, 0xa5, 20 * sizeof *out);
    int most = take8(&in) % 21;
    int n = far_getifaddrs(l, out, (size_t)most);
    for (int k = 0; k < n && k < most; k++) {
        check(out[k].index != 0xa5a5a5a5u || out[k].flags != 0xa5a5a5a5u,
            "an entry is missing");
        check(memchr(out[k].name, 0, sizeof out[k].name), "a name without end");
    }
    far_if_nametoindex(l, most & 1 ? "lo" : most & 2 ? "" : "0123456789abcdef");
    memset(name, 1, sizeof name);
    if (far_if_indextoname(l, (uint32_t)most & 7u, name) >= 0) {
        check(memchr(name, 0, sizeof name), "a name without end");
    }
    free(out);
}

static void poll_all(uint8_t first) {
    struct far_pollfd fds[HANDLES];
    uint8_t how = take8(&in);
    bool some = false;
    (void)first;
    for (uint32_t i = 0; i < HANDLES; i++) {
        fds[i] = (struct far_pollfd){
            .sock = socks[i], .events = FAR_POLLIN | FAR_POLLOUT};
        some |= socks[i] >= 0;
    }
    how = some ? how : 1; // natively, too, it waits for nothing for ever
    int n = far_poll(l, fds, HANDLES, deadline(how));
    check(n <= (int)HANDLES, "more are ready than there are");
    far_mark(l, sock(how), how & 0x80);
    far_link_wait(l, far_link_events(l), deadline(how), NULL, NULL);
}

static void connect_one(uint8_t i) {
    struct far_addr to = addr();
    uint8_t how = take8(&in);
    check(far_connect(l, sock(i), &to, deadline(how)) <= 0, "connect's result");
}

static void listen_one(uint8_t i) {
    struct far_addr at = addr();
    far_side_call(FAR_FOREVER);
    check(far_bind(l, sock(i), &at) <= 0, "bind's result");
    check(far_listen(l, sock(i), 5) <= 0, "listen's result");
}

static void accept_one(uint8_t i) {
    struct far_addr from;
    uint8_t how = take8(&in);
    keep(how, far_accept(l, sock(i), &from, deadline(how)));
}

static void socket_one(uint8_t i) {
    static const uint32_t types[] = {
        FAR_SOCK_STREAM, FAR_SOCK_DGRAM, FAR_SOCK_STREAM, FAR_SOCK_RAW};
    uint8_t how = take8(&in);
    far_side_call(FAR_FOREVER);
    keep(i, far_socket(l, how & 0x10 ? FAR_AF_INET6 : FAR_AF_INET,
                types[how & 3u], how & 0x40 ? how & 0x20 ? 255 : 1 : 0));
}

static void share_one(uint8_t i) {
    uint8_t how = take8(&in);
    far_side_call(FAR_FOREVER);
    far_share(l, sock(i));
    if (how & 1) {
        keep(how >> 6, far_adopt(l, FAR_AF_INET,
                           how & 2 ? FAR_SOCK_STREAM : FAR_SOCK_DGRAM, 0));
    }
}

static void close_one(uint8_t i) {
    uint8_t how = take8(&in);
    int s = sock(i);
    socks[i % HANDLES] = -1;
    if (how & 0x80) {
        far_close_nowait(l, s);
    } else {
        far_close(l, s, deadline(how));
    }
}

static void shutdown_one(uint8_t i) {
    far_side_call(FAR_FOREVER);
    far_shutdown(l, sock(i), take8(&in) % 4);
}

typedef void call(uint8_t i);
static call *const calls[32] = {
    socket_one,
    connect_one,
    listen_one,
    accept_one,
    send_some,
    recv_some,
    recv_some,
    recv_msg,
    send_msg,
    in_place,
    options,
    names,
    interfaces,
    poll_all,
    share_one,
    close_one,
    shutdown_one,
    call_sendmmsg,
    call_recvmmsg,
    call_urgent,
    call_wait,
    call_wait_beside,
    call_beat,
    call_interrupt,
    call_tune,
    call_look,
    send_some,
    recv_some,
    recv_msg,
    send_msg,
    socket_one,
    poll_all,
};

static void step(void) {
    static call *const rare[8] = {call_crowd, call_hold, call_long,
        call_timeout, call_option, call_pieces, call_stale};
    uint8_t op = take8(&in);
    uint8_t which = op >> 3 & 7u;
    if ((op & 0xc7u) == 0xc7u && rare[which]) {
        rare[which](op >> 6);
    } else {
        calls[op % 32u](op >> 6);
    }
}

void far_side_beside(void) {
    if (!alone && l) {
        beside++;
        step();
        beside--;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    in = (struct input){data, size};
    if (size < 4 || size > 4096) {
        return -1;
    }
    size_t part = take8(&in) * size / 512u;
    struct input changes = split(&in, part);
    memset(socks, 0xff, sizeof socks);
    beside = 0;
    alone = false;
    l = NULL;
    calls_begin();
    l = far_side_begin(&in, changes, take8(&in));
    while (l && in.left > 0) {
        step();
    }
    for (uint8_t i = 0; l && i < HANDLES; i++) {
        recv_some(i);
        send_some(i);
        far_side_call(FAR_FOREVER);
        far_close(l, sock(i), FAR_FOREVER);
    }
    far_side_end();
    return 0;
}
