// The calls that are swept.
// SPDX-License-Identifier: MIT
#include <string.h>
#include <sys/socket.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <unistd.h>
#include <arpa/inet.h>

#include "tests/sweep/sweep.h"

static uint8_t bytes[LONG_BYTES * 4];

static int first(int r) {
    return r < 0 ? r : FAR_OK;
}

// --- Beginnings ---

static void stream_to(struct near *n, enum peer p) {
    int r = near_stream(n, 0, p);
    must(r == FAR_OK, "connect gives %d", r);
}

static void with_sink(struct near *n) {
    stream_to(n, PEER_SINK);
}

static void with_echo(struct near *n) {
    stream_to(n, PEER_ECHO);
}

static void until_bits(struct near *n, uint32_t events) {
    struct far_pollfd p = {.sock = n->s[0], .events = events};
    must(far_poll(n->l, &p, 1, FAR_FOREVER) == 1, "poll");
}

static void with_greeting(struct near *n) {
    stream_to(n, PEER_GREET);
    until_bits(n, FAR_POLLIN);
}

static void with_long(struct near *n) {
    stream_to(n, PEER_LONG);
    until_bits(n, FAR_POLLIN);
}

static void with_end(struct near *n) {
    stream_to(n, PEER_BYE);
    until_bits(n, FAR_POLLRDHUP);
    int r = far_recvfrom(n->l, n->s[0], bytes, GREETING, FAR_MSG_WAITALL, NULL,
        NULL, FAR_FOREVER);
    must(r == (int)GREETING, "recv gives %d", r);
}

static void with_socket(struct near *n) {
    n->s[0] = far_socket(n->l, FAR_AF_INET, FAR_SOCK_STREAM, 0);
    must(n->s[0] >= 0, "socket gives %d", n->s[0]);
}

static void with_bound(struct near *n) {
    struct far_addr any = loopback(0);
    with_socket(n);
    must(far_bind(n->l, n->s[0], &any) == FAR_OK, "bind");
}

static void with_listener(struct near *n) {
    with_bound(n);
    must(far_listen(n->l, n->s[0], 8) == FAR_OK, "listen");
}

static int dial(struct near *n) {
    struct far_addr a;
    must(far_getsockname(n->l, n->s[0], &a) == FAR_OK, "getsockname");
    struct sockaddr_in sa = {
        .sin_family = AF_INET,
        .sin_port = htons(a.port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    n->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return connect(n->fd, (struct sockaddr *)&sa, sizeof sa);
}

static void with_caller(struct near *n) {
    with_listener(n);
    must(dial(n) == 0, "a native connect");
    until_bits(n, FAR_POLLIN);
}

static void with_dgram(struct near *n) {
    must(near_dgram(n, 0) == FAR_OK, "a datagram socket");
}

static void with_answer(struct near *n) {
    struct far_addr to = loopback(peer_ports[PEER_ANSWERS]);
    with_dgram(n);
    must(far_sendto(n->l, n->s[0], "hello", 5, 0, &to, FAR_FOREVER) == 5,
        "sendto");
    until_bits(n, FAR_POLLIN);
}

// --- Sending to those who count ---

static int note_sent(int r) {
    notes->sent += r > 0 ? (uint32_t)r : 0;
    return r;
}

static int send_pattern(struct near *n, size_t len, uint32_t flags) {
    fill(bytes, notes->sent, len);
    return note_sent(far_sendto(n->l, n->s[0], bytes, len, flags, NULL,
        FAR_FOREVER));
}

static int send_dgram(struct near *n, size_t len) {
    struct far_addr to = loopback(peer_ports[PEER_DGRAMS]);
    uint32_t number = notes->run << 16 | notes->dgrams;
    fill(bytes, 0, len);
    memcpy(bytes, &number, sizeof number);
    int r = far_sendto(n->l, n->s[0], bytes, len, 0, &to, FAR_FOREVER);
    notes->dgrams += r >= 0;
    return r;
}

static void with_known_dgram(struct near *n) {
    with_dgram(n);
    must(send_dgram(n, 1000) == 1000, "sendto");
}

static void with_full_sink(struct near *n) {
    with_sink(n);
    fill(bytes, 0, RING / 2u);
    must(note_sent(far_sendto(n->l, n->s[0], bytes, RING / 2u, 0, NULL,
             FAR_FOREVER)) > 0,
        "send");
}

// --- Receiving ---

static int take(struct near *n, size_t len, uint32_t flags) {
    int r =
        far_recvfrom(n->l, n->s[0], bytes, len, flags, NULL, NULL, FAR_FOREVER);
    must(r <= 0 || is_pattern(bytes, n->read_at[0], (size_t)r),
        "wrong bytes at %zu", n->read_at[0]);
    if (!(flags & FAR_MSG_PEEK)) {
        n->read_at[0] += r > 0 ? (size_t)r : 0;
    }
    return r;
}

// --- The calls ---

static int do_link(struct near *n) {
    return open_link(n, 0);
}

static int do_relink(struct near *n) {
    n->s[0] = -1;
    far_posix_close(n->port);
    n->port = NULL;
    n->l = NULL;
    return open_link(n, 0);
}

static int do_socket(struct near *n) {
    n->s[0] = far_socket(n->l, FAR_AF_INET, FAR_SOCK_STREAM, 0);
    return first(n->s[0]);
}

static int do_bind(struct near *n) {
    struct far_addr any = loopback(0);
    return far_bind(n->l, n->s[0], &any);
}

static int do_listen(struct near *n) {
    return far_listen(n->l, n->s[0], 8);
}

static int connect_to(struct near *n, enum peer p) {
    struct far_addr to = loopback(peer_ports[p]);
    return far_connect(n->l, n->s[0], &to, FAR_FOREVER);
}

static int do_connect(struct near *n) {
    return connect_to(n, PEER_SINK);
}

static int do_connect_refused(struct near *n) {
    return connect_to(n, PEER_REFUSES);
}

static int do_connect_dgram(struct near *n) {
    return connect_to(n, PEER_ANSWERS);
}

static int do_accept(struct near *n) {
    n->s[1] = far_accept(n->l, n->s[0], NULL, FAR_FOREVER);
    return first(n->s[1]);
}

static int do_accept_nothing(struct near *n) {
    return far_accept(n->l, n->s[0], NULL, FAR_NOWAIT);
}

static int do_send(struct near *n) {
    return send_pattern(n, 100, 0);
}

static int do_send_large(struct near *n) {
    return send_pattern(n, LONG_BYTES, 0);
}

static int do_send_more(struct near *n) {
    int r = send_pattern(n, 100, FAR_MSG_MORE);
    return r < 0 ? r : send_pattern(n, 100, 0);
}

static int do_sendmsg(struct near *n) {
    fill(bytes, notes->sent, 3000);
    struct far_iov iov[3] = {
        {bytes, 1000}, {bytes + 1000, 1}, {bytes + 1001, 1999}};
    struct far_msghdr m = {.iov = iov, .iov_count = 3};
    return note_sent(far_sendmsg(n->l, n->s[0], &m, 0, FAR_FOREVER));
}

static int do_sendmmsg(struct near *n) {
    struct far_iov iov[2] = {{bytes, 500}, {bytes + 500, 500}};
    struct far_mmsghdr v[2] = {
        {.hdr = {.iov = &iov[0], .iov_count = 1}},
        {.hdr = {.iov = &iov[1], .iov_count = 1}},
    };
    fill(bytes, notes->sent, 1000);
    int r = far_sendmmsg(n->l, n->s[0], v, 2, 0, FAR_FOREVER);
    for (int i = 0; i < r; i++) {
        note_sent((int)v[i].len);
    }
    return r;
}

static int do_reserve(struct near *n) {
    void *p = NULL;
    int r = far_send_reserve(n->l, n->s[0], &p, 1000, FAR_FOREVER);
    if (r <= 0) {
        return r;
    }
    fill(p, notes->sent, (size_t)r);
    int err = far_send_commit(n->l, n->s[0], (size_t)r);
    return err < 0 ? err : note_sent(r);
}

static int do_recv(struct near *n) {
    return take(n, 100, 0);
}

static int do_recv_peek(struct near *n) {
    return take(n, 100, FAR_MSG_PEEK);
}

static int do_recv_all(struct near *n) {
    return take(n, LONG_BYTES, FAR_MSG_WAITALL);
}

static int do_recv_end(struct near *n) {
    return far_recvfrom(n->l, n->s[0], bytes, 100, 0, NULL, NULL, FAR_FOREVER);
}

static int ping(struct near *n, size_t len) {
    fill(bytes, n->read_at[0], len);
    return far_sendto(n->l, n->s[0], bytes, len, 0, NULL, FAR_FOREVER);
}

static int do_ping(struct near *n) {
    return ping(n, 10);
}

static int do_recv_waits(struct near *n) {
    int r = ping(n, 10);
    return r < 0 ? r : take(n, 10, 0);
}

static int do_recvmsg(struct near *n) {
    struct far_iov iov[2] = {{bytes, 50}, {bytes + 50, 50}};
    struct far_msghdr m = {.iov = iov, .iov_count = 2};
    int r = far_recvmsg(n->l, n->s[0], &m, 0, FAR_FOREVER);
    n->read_at[0] += r > 0 ? (size_t)r : 0;
    must(r <= 0 || is_pattern(bytes, 0, (size_t)r), "wrong bytes");
    return r;
}

static int do_peek(struct near *n) {
    const void *p = NULL;
    int r = far_recv_peek(n->l, n->s[0], &p, 100, FAR_FOREVER);
    if (r <= 0) {
        return r;
    }
    must(is_pattern(p, 0, (size_t)r), "wrong bytes");
    n->read_at[0] += (size_t)r;
    int err = far_recv_consume(n->l, n->s[0], (size_t)r);
    return err < 0 ? err : r;
}

static int do_sendto(struct near *n) {
    return send_dgram(n, 1000);
}

static int do_sendto_large(struct near *n) {
    return send_dgram(n, LONG_BYTES);
}

static int do_sendto_many(struct near *n) {
    int r = FAR_OK;
    for (int i = 0; i < 6 && r >= 0; i++) {
        r = send_dgram(n, 1000);
    }
    return r;
}

static int do_recvfrom(struct near *n) {
    struct far_addr from;
    int r =
        far_recvfrom(n->l, n->s[0], bytes, 100, 0, &from, NULL, FAR_FOREVER);
    must(r <= 0 || !memcmp(bytes, "hello", 5), "wrong bytes");
    return r;
}

static int answer_of(struct near *n, size_t len) {
    struct far_addr to = loopback(peer_ports[PEER_ANSWERS]);
    fill(bytes, 0, len);
    int r = far_sendto(n->l, n->s[0], bytes, len, 0, &to, FAR_FOREVER);
    memset(bytes, 0, len);
    if (r < 0) {
        return r;
    }
    r = far_recvfrom(n->l, n->s[0], bytes, len, 0, NULL, NULL, FAR_FOREVER);
    must(r <= 0 || is_pattern(bytes, 0, (size_t)r), "wrong bytes");
    return r;
}

static int do_recvfrom_waits(struct near *n) {
    return answer_of(n, 1000);
}

static int do_recvfrom_large(struct near *n) {
    return answer_of(n, LONG_BYTES);
}

static int do_recvmmsg(struct near *n) {
    struct far_iov iov[2] = {{bytes, 50}, {bytes + 50, 50}};
    struct far_mmsghdr v[2] = {
        {.hdr = {.iov = &iov[0], .iov_count = 1}},
        {.hdr = {.iov = &iov[1], .iov_count = 1}},
    };
    return far_recvmmsg(n->l, n->s[0], v, 2, FAR_MSG_WAITFORONE, FAR_FOREVER);
}

static int do_shutdown_wr(struct near *n) {
    return far_shutdown(n->l, n->s[0], FAR_SHUT_WR);
}

static int do_shutdown_both(struct near *n) {
    return far_shutdown(n->l, n->s[0], FAR_SHUT_RDWR);
}

static int do_close(struct near *n) {
    int r = far_close(n->l, n->s[0], FAR_FOREVER);
    n->s[0] = -1;
    return r;
}

static int do_close_nowait(struct near *n) {
    far_close_nowait(n->l, n->s[0]);
    n->s[0] = -1;
    return FAR_OK;
}

static void with_linger(struct near *n) {
    int32_t on[2] = {1, 5};
    with_full_sink(n);
    must(far_setsockopt(n->l, n->s[0], FAR_SOL_SOCKET, FAR_SO_LINGER, on,
             sizeof on) == FAR_OK,
        "SO_LINGER");
}

static int poll_for(struct near *n, uint32_t events, uint64_t until) {
    struct far_pollfd p = {.sock = n->s[0], .events = events};
    int r = far_poll(n->l, &p, 1, until);
    return r > 0 && !(p.revents & events) ? FAR_ENETDOWN : r;
}

static int do_poll_ready(struct near *n) {
    return poll_for(n, FAR_POLLIN, FAR_FOREVER);
}

static int do_poll_waits(struct near *n) {
    int r = ping(n, 10);
    return r < 0 ? r : poll_for(n, FAR_POLLIN, FAR_FOREVER);
}

static int do_poll_times_out(struct near *n) {
    int r = poll_for(n, FAR_POLLIN, far_posix_now() + 3000000u);
    return r > 0 ? FAR_ENETDOWN : r; // it is not readable but by death
}

static int lookup(struct near *n, const char *host, uint32_t flags) {
    struct far_req_getaddrinfo hints = {
        .family = FAR_AF_INET, .type = FAR_SOCK_STREAM, .flags = flags};
    struct far_gai_entry e[8];
    struct far_gai_result res;
    return far_getaddrinfo(n->l, host, "80", &hints, e, 8, &res, NULL,
        FAR_FOREVER);
}

static int do_getaddrinfo(struct near *n) {
    return lookup(n, "localhost", 0);
}

static int do_getaddrinfo_numeric(struct near *n) {
    return lookup(n, "127.0.0.1", FAR_AI_NUMERICHOST);
}

static int do_getnameinfo(struct near *n) {
    struct far_addr a = loopback(80);
    char host[64];
    char service[32];
    return far_getnameinfo(n->l, &a, FAR_NI_NUMERICHOST | FAR_NI_NUMERICSERV,
        host, sizeof host, service, sizeof service, NULL, FAR_FOREVER);
}

static int do_getifaddrs(struct near *n) {
    struct far_ifaddr a[8];
    return first(far_getifaddrs(n->l, a, 8));
}

static int do_getsockname(struct near *n) {
    struct far_addr a;
    return far_getsockname(n->l, n->s[0], &a);
}

static int do_getpeername(struct near *n) {
    struct far_addr a;
    return far_getpeername(n->l, n->s[0], &a);
}

static int do_setsockopt(struct near *n) {
    int32_t on = 1;
    return far_setsockopt(n->l, n->s[0], FAR_IPPROTO_TCP, FAR_TCP_NODELAY, &on,
        sizeof on);
}

static int do_getsockopt(struct near *n) {
    int32_t val = 0;
    size_t len = sizeof val;
    return first(far_getsockopt(n->l, n->s[0], FAR_SOL_SOCKET, FAR_SO_ERROR,
        &val, &len));
}

static int do_tcp_info(struct near *n) {
    uint8_t val[256];
    size_t len = sizeof val;
    return first(far_getsockopt(n->l, n->s[0], FAR_IPPROTO_TCP, FAR_TCP_INFO,
        val, &len));
}

static int do_ioctl(struct near *n) {
    struct far_ifreq arg = {0};
    int r = far_ioctl(n->l, n->s[0], FAR_FIONREAD, &arg);
    must(r < 0 || arg.value == (int32_t)GREETING || arg.value > 0,
        "FIONREAD gives %d", (int)arg.value);
    return r;
}

static int do_ioctl_interface(struct near *n) {
    struct far_ifreq arg = {.name = "lo"};
    return far_ioctl(n->l, n->s[0], FAR_SIOCGIFADDR, &arg);
}

static int share(struct near *n) {
    int pair[2];
    must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0, "pair");
    int r = far_posix_share(n->port, n->s[0], pair[0], pair[1]);
    close(pair[1]);
    n->fd = pair[0];
    return r;
}

static int adopt(struct near *n) {
    n->s[1] = far_posix_adopt(n->port, n->fd, FAR_AF_INET, FAR_SOCK_DGRAM, 0);
    return first(n->s[1]);
}

static void with_shared_dgram(struct near *n) {
    with_dgram(n);
    must(share(n) == FAR_OK, "share");
}

// clang-format off
const struct sweep_call sweep_calls[] = {
    {"link-up",             NULL,             do_link,             0, SWEEP_LINK},
    {"re-link",             with_greeting,    do_relink,           0, 0},
    {"socket",              NULL,             do_socket,           0, 0},
    {"bind",                with_socket,      do_bind,             0, 0},
    {"listen",              with_bound,       do_listen,           0, 0},
    {"connect",             with_socket,      do_connect,          0, 0},
    {"connect, refused",    with_socket,      do_connect_refused,  FAR_ECONNREFUSED, SWEEP_ENDS},
    {"connect, datagrams",  with_dgram,       do_connect_dgram,    0, 0},
    {"accept",              with_caller,      do_accept,           0, 0},
    {"accept, nobody",      with_listener,    do_accept_nothing,   FAR_EAGAIN, 0},
    {"send",                with_sink,        do_send,             100, 0},
    {"send, beyond ring",   with_sink,        do_send_large,       LONG_BYTES, 0},
    {"send, MSG_MORE",      with_sink,        do_send_more,        100, 0},
    {"sendmsg",             with_sink,        do_sendmsg,          3000, 0},
    {"sendmmsg",            with_sink,        do_sendmmsg,         2, 0},
    {"send, not waiting",   with_echo,        do_ping,             10, SWEEP_LOOKS},
    {"send, no copy",       with_sink,        do_reserve,          1000, 0},
    {"recv",                with_greeting,    do_recv,             100, 0},
    {"recv, MSG_PEEK",      with_greeting,    do_recv_peek,        100, 0},
    {"recv, waiting",       with_echo,        do_recv_waits,       10, 0},
    {"recv, beyond ring",   with_long,        do_recv_all,         LONG_BYTES, 0},
    {"recv, end",           with_end,         do_recv_end,         0, SWEEP_ENDS},
    {"recvmsg",             with_greeting,    do_recvmsg,          100, 0},
    {"recv, no copy",       with_greeting,    do_peek,             100, 0},
    {"sendto, first",       with_dgram,       do_sendto,           1000, 0},
    {"sendto, again",       with_known_dgram, do_sendto,           1000, 0},
    {"sendto, beyond ring", with_dgram,       do_sendto_large,     LONG_BYTES, 0},
    {"sendto, many",        with_known_dgram, do_sendto_many,      1000, 0},
    {"recvfrom",            with_answer,      do_recvfrom,         5, 0},
    {"recvfrom, waiting",   with_dgram,       do_recvfrom_waits,   1000, 0},
    {"recvfrom, large",     with_dgram,       do_recvfrom_large,   LONG_BYTES, 0},
    {"recvmmsg",            with_answer,      do_recvmmsg,         1, 0},
    {"shutdown, write",     with_full_sink,   do_shutdown_wr,      0, SWEEP_ENDS},
    {"shutdown, both",      with_full_sink,   do_shutdown_both,    0, SWEEP_ENDS},
    {"close",               with_full_sink,   do_close,            0, 0},
    {"close, finaliser",    with_full_sink,   do_close_nowait,     0, 0},
    {"close, lingering",    with_linger,      do_close,            0, 0},
    {"close, unread",       with_greeting,    do_close,            0, 0},
    {"close, listener",     with_caller,      do_close,            0, 0},
    {"close, datagrams",    with_known_dgram, do_close,            0, 0},
    {"poll",                with_greeting,    do_poll_ready,       1, 0},
    {"poll, waiting",       with_echo,        do_poll_waits,       1, 0},
    {"poll, time is over",  with_sink,        do_poll_times_out,   0, 0},
    {"getaddrinfo",         NULL,             do_getaddrinfo,      0, SWEEP_LOOKUP},
    {"getaddrinfo, number", NULL,             do_getaddrinfo_numeric, 0, SWEEP_LOOKUP},
    {"getnameinfo",         NULL,             do_getnameinfo,      0, SWEEP_LOOKUP},
    {"getifaddrs",          NULL,             do_getifaddrs,       0, 0},
    {"getsockname",         with_sink,        do_getsockname,      0, 0},
    {"getpeername",         with_sink,        do_getpeername,      0, 0},
    {"setsockopt",          with_sink,        do_setsockopt,       0, 0},
    {"getsockopt",          with_sink,        do_getsockopt,       0, 0},
    {"getsockopt, long",    with_sink,        do_tcp_info,         0, 0},
    {"ioctl",               with_greeting,    do_ioctl,            0, 0},
    {"ioctl, interface",    with_socket,      do_ioctl_interface,  0, 0},
    {"share, stream",       with_greeting,    share,               0, SWEEP_ENDS},
    {"share, datagrams",    with_dgram,       share,               0, 0},
    {"adopt",               with_shared_dgram, adopt,              0, 0},
};
// clang-format on
const size_t sweep_call_count = sizeof sweep_calls / sizeof *sweep_calls;
