// The one table of error numbers.
// SPDX-License-Identifier: MIT
#ifndef FARSOCK_ERRORS_H
#define FARSOCK_ERRORS_H

// The number is protocol, not libc: it is what travels between the cores. It
// equals Linux's asm-generic value, so that a capture can be read with
// `errno -l`. Each edge (daemon, language binding, preload) translates to and
// from its own errno.
// clang-format off
#define FAR_ERRORS(X)                                                   \
    X(PERM,              1, "operation not permitted")                  \
    X(NOENT,             2, "no such file or directory")                \
    X(INTR,              4, "interrupted")                              \
    X(IO,                5, "input/output error")                       \
    X(NXIO,              6, "no such device or address")                \
    X(BADF,              9, "bad socket")                               \
    X(AGAIN,            11, "would block")                              \
    X(NOMEM,            12, "out of memory")                            \
    X(ACCES,            13, "permission denied")                        \
    X(FAULT,            14, "bad address")                              \
    X(BUSY,             16, "busy")                                     \
    X(EXIST,            17, "exists")                                   \
    X(NODEV,            19, "no such device")                           \
    X(INVAL,            22, "invalid argument")                         \
    X(NFILE,            23, "too many open files in the system")        \
    X(MFILE,            24, "too many open files")                      \
    X(NOTTY,            25, "not a terminal or unknown ioctl")          \
    X(NOSPC,            28, "no space left")                            \
    X(SPIPE,            29, "illegal seek")                             \
    X(PIPE,             32, "broken pipe")                              \
    X(DOM,              33, "argument out of domain")                   \
    X(RANGE,            34, "result out of range")                      \
    X(NAMETOOLONG,      36, "name too long")                            \
    X(NOSYS,            38, "not supported by the far core")            \
    X(NOMSG,            42, "no message of that kind")                  \
    X(NODATA,           61, "no data available")                        \
    X(PROTO,            71, "protocol error")                           \
    X(BADMSG,           74, "malformed message")                        \
    X(OVERFLOW,         75, "value too large")                          \
    X(NOTSOCK,          88, "not a socket")                             \
    X(DESTADDRREQ,      89, "destination address required")             \
    X(MSGSIZE,          90, "message too long")                         \
    X(PROTOTYPE,        91, "wrong protocol for this socket type")      \
    X(NOPROTOOPT,       92, "unknown socket option")                    \
    X(PROTONOSUPPORT,   93, "protocol not supported")                   \
    X(SOCKTNOSUPPORT,   94, "socket type not supported")                \
    X(OPNOTSUPP,        95, "operation not supported")                  \
    X(PFNOSUPPORT,      96, "protocol family not supported")            \
    X(AFNOSUPPORT,      97, "address family not supported")             \
    X(ADDRINUSE,        98, "address in use")                           \
    X(ADDRNOTAVAIL,     99, "address not available")                    \
    X(NETDOWN,         100, "network is down")                          \
    X(NETUNREACH,      101, "network unreachable")                      \
    X(NETRESET,        102, "network dropped the connection")           \
    X(CONNABORTED,     103, "connection aborted")                       \
    X(CONNRESET,       104, "connection reset")                         \
    X(NOBUFS,          105, "no buffer space")                          \
    X(ISCONN,          106, "already connected")                        \
    X(NOTCONN,         107, "not connected")                            \
    X(SHUTDOWN,        108, "already shut down")                        \
    X(TOOMANYREFS,     109, "too many references")                      \
    X(TIMEDOUT,        110, "timed out")                                \
    X(CONNREFUSED,     111, "connection refused")                       \
    X(HOSTDOWN,        112, "host is down")                             \
    X(HOSTUNREACH,     113, "host unreachable")                         \
    X(ALREADY,         114, "already in progress")                      \
    X(INPROGRESS,      115, "in progress")                              \
    X(CANCELED,        125, "cancelled")                                \
    X(OWNERDEAD,       130, "the owner of a lock died")                 \
    X(LINKDOWN,        200, "the far core went away")                   \
    X(LINKPROTO,       201, "the far core speaks another version")
// clang-format on

enum far_err {
    FAR_OK = 0,
#define X(name, num, text) FAR_E##name = -(num),
    FAR_ERRORS(X)
#undef X
};

// Failures of name lookups, a number space of their own (as in getaddrinfo(3);
// values as in glibc). Negative, and returned where a far_err would be only by
// the lookup calls, whose comments say so.
// clang-format off
#define FAR_EAI_ERRORS(X)                                               \
    X(BADFLAGS,     1, "bad flags")                                     \
    X(NONAME,       2, "name or service not known")                     \
    X(AGAIN,        3, "temporary failure in name resolution")          \
    X(FAIL,         4, "failure in name resolution")                    \
    X(NODATA,       5, "no address associated with the name")           \
    X(FAMILY,       6, "family not supported")                          \
    X(SOCKTYPE,     7, "socket type not supported")                     \
    X(SERVICE,      8, "service not supported for this socket type")    \
    X(ADDRFAMILY,   9, "no address of this family")                     \
    X(MEMORY,      10, "out of memory")                                 \
    X(SYSTEM,      11, "system error")                                  \
    X(OVERFLOW,    12, "argument buffer overflow")
// clang-format on

enum far_eai {
#define X(name, num, text) FAR_EAI_##name = -(num),
    FAR_EAI_ERRORS(X)
#undef X
};

// Short lower-case English text for err (a far_err), never NULL; unknown
// numbers give "unknown error". The string is static: do not free it.
const char *far_strerror(int err);

// The same for a far_eai.
const char *far_gai_strerror(int eai);

#endif
