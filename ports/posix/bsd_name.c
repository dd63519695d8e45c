// getaddrinfo() and its relatives under their plain names.
// SPDX-License-Identifier: MIT
#define FARSOCK_BSD_NO_NAMES
#include "farsock/bsd.h"
#include "ports/posix/bsd.h"

#include <stdlib.h>
#include <string.h>

#define ENTRIES 64u

static const struct {
    int host, far;
} eais[] = {
#define X(name, num, text) {EAI_##name, FAR_EAI_##name},
    FAR_EAI_ERRORS(X)
#undef X
};

static int host_eai(int far, int sys) {
    if (far == FAR_EAI_SYSTEM) {
        errno = far_posix_errno(sys);
    }
    for (size_t i = 0; i < sizeof eais / sizeof *eais; i++) {
        if (eais[i].far == far) {
            return eais[i].host;
        }
    }
    return far == 0 ? 0 : EAI_FAIL;
}

struct entry {
    struct addrinfo ai; // first
    struct sockaddr_storage ss;
    char canon[256];
};

static struct addrinfo *list_of(const struct far_gai_entry *found, size_t n,
    const struct far_gai_result *res, int flags) {
    struct entry *e = calloc(n, sizeof *e);
    for (size_t i = 0; e && i < n; i++) {
        e[i].ai = (struct addrinfo){
            .ai_flags = flags,
            .ai_family = found[i].addr.family,
            .ai_socktype = found[i].type,
            .ai_protocol = found[i].proto,
            .ai_addrlen = far_posix_sockaddr(&found[i].addr, &e[i].ss),
            .ai_addr = (struct sockaddr *)&e[i].ss,
            .ai_next = i + 1u < n ? &e[i + 1u].ai : NULL,
        };
    }
    if (e && res->canon[0]) {
        memcpy(e[0].canon, res->canon, sizeof e[0].canon);
        e[0].ai.ai_canonname = e[0].canon;
    }
    return e ? &e->ai : NULL;
}

int far_bsd_getaddrinfo(const char *host, const char *service,
    const struct addrinfo *hints, struct addrinfo **out) {
    struct far_req_getaddrinfo req = {
        .flags = hints ? 0 : FAR_AI_V4MAPPED | FAR_AI_ADDRCONFIG,
    };
    struct far_gai_entry found[ENTRIES];
    struct far_gai_result res;
    struct far_posix *p = bsd_posix();
    int sys = FAR_ENETDOWN;
    if (hints) {
        req.family = hints->ai_family;
        req.type = hints->ai_socktype;
        req.proto = hints->ai_protocol;
        req.flags = (uint32_t)hints->ai_flags;
    }
    int err = FAR_EAI_SYSTEM;
    if (p) {
        err = far_getaddrinfo(far_posix_link(p), host, service, &req, found,
            ENTRIES, &res, &sys, FAR_FOREVER);
    }
    if (err < 0) {
        return host_eai(err, sys);
    }
    size_t n = res.count < ENTRIES ? res.count : ENTRIES;
    *out = n ? list_of(found, n, &res, (int)req.flags) : NULL;
    return n && !*out ? EAI_MEMORY : n ? 0 : EAI_NONAME;
}

void far_bsd_freeaddrinfo(struct addrinfo *list) {
    free(list);
}

int far_bsd_getnameinfo(const struct sockaddr *sa, socklen_t len, char *host,
    socklen_t host_len, char *service, socklen_t service_len, int flags) {
    struct far_addr a;
    struct far_posix *p = bsd_posix();
    int sys = FAR_ENETDOWN;
    far_posix_addr(&a, sa, len);
    if (!a.family) {
        return EAI_FAMILY;
    }
    int err = FAR_EAI_SYSTEM;
    if (p) {
        err = far_getnameinfo(far_posix_link(p), &a, (uint32_t)flags, host,
            host_len, service, service_len, &sys, FAR_FOREVER);
    }
    return host_eai(err, sys);
}

struct hostent *far_bsd_gethostbyname(const char *name) {
    static _Thread_local struct {
        struct hostent h;
        char name[256];
        char *none[1];
        char *list[ENTRIES + 1u];
        struct in_addr in[ENTRIES];
    } r;
    struct addrinfo hints = {
        .ai_family = AF_INET,
        .ai_socktype = SOCK_STREAM,
        .ai_flags = AI_CANONNAME,
    };
    struct addrinfo *list = NULL;
    size_t n = 0;
    if (far_bsd_getaddrinfo(name, NULL, &hints, &list) || !list) {
        h_errno = HOST_NOT_FOUND;
        return NULL;
    }
    const char *canon = list->ai_canonname ? list->ai_canonname : name;
    memset(r.name, 0, sizeof r.name);
    memcpy(r.name, canon, strnlen(canon, sizeof r.name - 1u));
    for (const struct addrinfo *a = list; a && n < ENTRIES; a = a->ai_next) {
        struct sockaddr_in in;
        memcpy(&in, a->ai_addr, sizeof in);
        r.in[n] = in.sin_addr;
        r.list[n] = (char *)&r.in[n];
        n++;
    }
    far_bsd_freeaddrinfo(list);
    r.list[n] = NULL;
    r.h = (struct hostent){
        .h_name = r.name,
        .h_aliases = r.none,
        .h_addrtype = AF_INET,
        .h_length = sizeof(struct in_addr),
        .h_addr_list = r.list,
    };
    return &r.h;
}
