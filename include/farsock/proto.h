// Protocol numbers of families, types, flags and poll bits.
// SPDX-License-Identifier: MIT
#ifndef FARSOCK_PROTO_H
#define FARSOCK_PROTO_H

// No constant of a host crosses the link: lwIP, picolibc, NuttX and Linux all
// number them differently. These are the link's own (equal to Linux asm-generic
// so that a capture reads well); each edge translates. Socket options have
// their own table, sockopt.def.

enum far_af {
    FAR_AF_UNSPEC = 0,
    FAR_AF_INET = 2,
    FAR_AF_INET6 = 10,
};

enum far_socktype {
    FAR_SOCK_STREAM = 1,
    FAR_SOCK_DGRAM = 2,
    FAR_SOCK_RAW = 3,
};

enum far_msg_flag {
    FAR_MSG_OOB = 0x1,
    FAR_MSG_PEEK = 0x2,
    FAR_MSG_DONTROUTE = 0x4,
    FAR_MSG_CTRUNC = 0x8,
    FAR_MSG_PROBE = 0x10,
    FAR_MSG_TRUNC = 0x20,
    FAR_MSG_DONTWAIT = 0x40,
    FAR_MSG_EOR = 0x80,
    FAR_MSG_WAITALL = 0x100,
    FAR_MSG_CONFIRM = 0x800,
    FAR_MSG_ERRQUEUE = 0x2000,
    FAR_MSG_NOSIGNAL = 0x4000,
    FAR_MSG_MORE = 0x8000,
    FAR_MSG_WAITFORONE = 0x10000,
};

enum far_poll_bit {
    FAR_POLLIN = 0x1,
    FAR_POLLPRI = 0x2,
    FAR_POLLOUT = 0x4,
    FAR_POLLERR = 0x8,
    FAR_POLLHUP = 0x10,
    FAR_POLLNVAL = 0x20,
    FAR_POLLRDHUP = 0x2000,
};

enum far_shut {
    FAR_SHUT_RD = 0,
    FAR_SHUT_WR = 1,
    FAR_SHUT_RDWR = 2,
};

enum far_ioctl {
    FAR_SIOCOUTQ = 0x5411,
    FAR_FIONREAD = 0x541b,
    FAR_SIOCATMARK = 0x8905,
    FAR_SIOCGIFNAME = 0x8910,
    FAR_SIOCGIFFLAGS = 0x8913,
    FAR_SIOCGIFADDR = 0x8915,
    FAR_SIOCGIFDSTADDR = 0x8917,
    FAR_SIOCGIFBRDADDR = 0x8919,
    FAR_SIOCGIFNETMASK = 0x891b,
    FAR_SIOCGIFMETRIC = 0x891d,
    FAR_SIOCGIFMTU = 0x8921,
    FAR_SIOCGIFHWADDR = 0x8927,
    FAR_SIOCGIFINDEX = 0x8933,
    FAR_SIOCGIFTXQLEN = 0x8942,
    FAR_SIOCOUTQNSD = 0x894b,
};

enum far_ai_flag {
    FAR_AI_PASSIVE = 0x1,
    FAR_AI_CANONNAME = 0x2,
    FAR_AI_NUMERICHOST = 0x4,
    FAR_AI_V4MAPPED = 0x8,
    FAR_AI_ALL = 0x10,
    FAR_AI_ADDRCONFIG = 0x20,
    FAR_AI_NUMERICSERV = 0x400,
};

enum far_ni_flag {
    FAR_NI_NUMERICHOST = 0x1,
    FAR_NI_NUMERICSERV = 0x2,
    FAR_NI_NOFQDN = 0x4,
    FAR_NI_NAMEREQD = 0x8,
    FAR_NI_DGRAM = 0x10,
};

// How the value of a socket option travels (the kind column of sockopt.def).
// All little-endian.
enum far_opt_kind {
    FAR_OPT_INT,     // i32; Linux also takes one byte for some IP options
    FAR_OPT_LINGER,  // i32 onoff, i32 seconds
    FAR_OPT_TIMEVAL, // i64 seconds, i64 microseconds; kept by near
    FAR_OPT_MREQ,    // group[4], interface[4], i32 ifindex (Linux ip_mreqn)
    FAR_OPT_MREQ6,   // group[16], i32 ifindex
    FAR_OPT_NAME,    // bytes, a name, no terminator needed
    FAR_OPT_BYTES,   // bytes in Linux's layout (tcp_info and the like)
    FAR_OPT_GROUP,   // struct far_group, without its source where there is none
};

enum far_opt {
#define X(level, lnum, name, num, kind) FAR_##name = num,
#include "farsock/sockopt.def"
#undef X
};

// How control data travels (the form column of ctl.def). All little-endian.
enum far_ctl_form {
    FAR_CTL_FORM_BYTES,    // in Linux's layout, the same on all its machines
    FAR_CTL_FORM_TIMEVAL,  // i64 seconds, i64 microseconds
    FAR_CTL_FORM_TIMESPEC, // i64 seconds, i64 nanoseconds
    FAR_CTL_FORM_ADDR,     // struct far_addr
    FAR_CTL_FORM_ERROR,    // struct far_ctl_error
    FAR_CTL_FORM_STAMPS,   // struct far_ctl_stamps; of another size, bytes
};

enum far_ctl_type {
#define X(level, lnum, name, num, form) FAR_CTL_##name = num,
#include "farsock/ctl.def"
#undef X
};

enum far_level {
    FAR_SOL_SOCKET = 1,
    FAR_IPPROTO_IP = 0,
    FAR_IPPROTO_ICMP = 1,
    FAR_IPPROTO_TCP = 6,
    FAR_IPPROTO_UDP = 17,
    FAR_IPPROTO_IPV6 = 41,
    FAR_IPPROTO_ICMPV6 = 58,
    FAR_IPPROTO_RAW = 255,
};

#endif
