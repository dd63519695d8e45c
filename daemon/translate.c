// The host's numbers to the link's and back.
// SPDX-License-Identifier: MIT
#include "daemon/translate.h"

#include <errno.h>
#include <netdb.h>
#include <string.h>

#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>

#include "daemon/host_options.h"
#include "farsock/errors.h"
#include "farsock/posix.h"
#include "farsock/proto.h"

// Newer kernels' options that this libc's headers may lack.

#define COUNT(a) (sizeof(a) / sizeof *(a))

// --- Errors ---

int32_t far_errno(int host) {
    return far_posix_error(host);
}

int32_t far_result(long r) {
    return r < 0 ? far_errno(errno) : (int32_t)r;
}

static const struct {
    int host;
    int32_t far;
} eais[] = {
#define X(name, num, text) {EAI_##name, FAR_EAI_##name},
    FAR_EAI_ERRORS(X)
#undef X
};

int32_t far_eai_of(int host) {
    for (size_t i = 0; i < COUNT(eais); i++) {
        if (eais[i].host == host) {
            return eais[i].far;
        }
    }
    return host == 0 ? 0 : FAR_EAI_FAIL;
}

// --- Small numbers ---

struct pair {
    int host;
    uint32_t far;
};

static const struct pair families[] = {
    {AF_UNSPEC, FAR_AF_UNSPEC},
    {AF_INET, FAR_AF_INET},
    {AF_INET6, FAR_AF_INET6},
};
static const struct pair types[] = {
    {0, 0},
    {SOCK_STREAM, FAR_SOCK_STREAM},
    {SOCK_DGRAM, FAR_SOCK_DGRAM},
    {SOCK_RAW, FAR_SOCK_RAW},
};
static const struct pair shuts[] = {
    {SHUT_RD, FAR_SHUT_RD},
    {SHUT_WR, FAR_SHUT_WR},
    {SHUT_RDWR, FAR_SHUT_RDWR},
};
static const struct pair ai_flags[] = {
    {AI_PASSIVE, FAR_AI_PASSIVE},
    {AI_CANONNAME, FAR_AI_CANONNAME},
    {AI_NUMERICHOST, FAR_AI_NUMERICHOST},
    {AI_V4MAPPED, FAR_AI_V4MAPPED},
    {AI_ALL, FAR_AI_ALL},
    {AI_ADDRCONFIG, FAR_AI_ADDRCONFIG},
    {AI_NUMERICSERV, FAR_AI_NUMERICSERV},
};
static const struct pair ni_flags[] = {
    {NI_NUMERICHOST, FAR_NI_NUMERICHOST},
    {NI_NUMERICSERV, FAR_NI_NUMERICSERV},
    {NI_NOFQDN, FAR_NI_NOFQDN},
    {NI_NAMEREQD, FAR_NI_NAMEREQD},
    {NI_DGRAM, FAR_NI_DGRAM},
};

static int to_host(const struct pair *table, size_t n, uint32_t far) {
    for (size_t i = 0; i < n; i++) {
        if (table[i].far == far) {
            return table[i].host;
        }
    }
    return -1;
}

static uint32_t to_far(const struct pair *table, size_t n, int host) {
    for (size_t i = 0; i < n; i++) {
        if (table[i].host == host) {
            return table[i].far;
        }
    }
    return 0;
}

static int bits_to_host(const struct pair *table, size_t n, uint32_t far) {
    int host = 0;
    for (size_t i = 0; i < n; i++) {
        if (far & table[i].far) {
            host |= table[i].host;
            far &= ~table[i].far;
        }
    }
    return far ? host | (1 << 30) : host;
}

int host_family(uint32_t far) {
    return to_host(families, COUNT(families), far);
}

uint32_t far_family(int host) {
    return to_far(families, COUNT(families), host);
}

int host_socktype(uint32_t far) {
    return to_host(types, COUNT(types), far);
}

uint32_t far_socktype(int host) {
    return to_far(types, COUNT(types), host);
}

int host_shut(uint32_t far) {
    return to_host(shuts, COUNT(shuts), far);
}

int host_ai_flags(uint32_t far) {
    return bits_to_host(ai_flags, COUNT(ai_flags), far);
}

int host_ni_flags(uint32_t far) {
    return bits_to_host(ni_flags, COUNT(ni_flags), far);
}

// --- Options ---

static const struct {
    int32_t level, opt;
    int host_level, host_opt, kind;
} opts[] = {
#define X(level, lnum, name, num, kind)                                        \
    {lnum, num, level, name, FAR_OPT_##kind},
#include "farsock/sockopt.def"
#undef X
};

int host_opt(int32_t level, int32_t opt, int *host_level, int *host_name,
    int *kind) {
    // Those of groups are at both levels.
    bool is_group = opt >= FAR_MCAST_JOIN_GROUP &&
                    opt <= FAR_MCAST_LEAVE_SOURCE_GROUP &&
                    level == FAR_IPPROTO_IPV6;
    int32_t at = is_group ? FAR_IPPROTO_IP : level;
    for (size_t i = 0; i < COUNT(opts); i++) {
        if (opts[i].level == at && opts[i].opt == opt) {
            *host_level = is_group ? IPPROTO_IPV6 : opts[i].host_level;
            *host_name = opts[i].host_opt;
            *kind = opts[i].kind;
            return 0;
        }
    }
    return FAR_ENOPROTOOPT;
}

// --- Addresses ---

socklen_t host_addr(const struct far_addr *a, struct sockaddr_storage *out) {
    return far_posix_sockaddr(a, out);
}

void far_addr_of(const struct sockaddr_storage *sa, socklen_t len,
    struct far_addr *out) {
    far_posix_addr(out, sa, len);
}
