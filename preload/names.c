// Names and addresses, as the far core's resolver knows them.
// SPDX-License-Identifier: MIT
#include "preload/preload.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#define ENTRIES 128
// Those of international names, which do not cross. Unknown ones do, and come
// back as EAI_BADFLAGS.
#define IDN_FLAGS (AI_IDN | AI_CANONIDN | 0x300)

// --- getaddrinfo ---

// As freeaddrinfo() expects: the address behind its entry, the name apart.
static struct addrinfo *new_entry(const struct far_gai_entry *e, int flags) {
    struct addrinfo *a = calloc(1, sizeof *a + sizeof(struct sockaddr_storage));
    if (!a) {
        return NULL;
    }
    a->ai_flags = flags;
    a->ai_family = e->addr.family;
    a->ai_socktype = e->type;
    a->ai_protocol = e->proto;
    a->ai_addr = (struct sockaddr *)(void *)(a + 1);
    a->ai_addrlen = far_posix_sockaddr(&e->addr,
        (struct sockaddr_storage *)(void *)(a + 1));
    return a;
}

static int make_list(const struct far_gai_entry *e, uint32_t count,
    const char *canon, int flags, struct addrinfo **out) {
    struct addrinfo **tail = out;
    *out = NULL;
    for (uint32_t i = 0; i < count; i++) {
        *tail = new_entry(&e[i], flags);
        if (!*tail) {
            freeaddrinfo(*out);
            return EAI_MEMORY;
        }
        tail = &(*tail)->ai_next;
    }
    if (*out && canon[0]) {
        (*out)->ai_canonname = strdup(canon);
    }
    return *out ? 0 : EAI_NONAME;
}

// Too large for the stack of a thread: some have 16 KiB, and glibc's own needs
// less.
struct question {
    const char *host, *service;
    struct far_req_getaddrinfo hints;
    struct far_gai_entry entries[ENTRIES];
    struct far_gai_result result;
};

// Has no hints yet. NULL: no memory.
static struct question *new_question(const char *host, const char *service) {
    struct question *q = malloc(sizeof *q);
    if (q) {
        q->host = host;
        q->service = service;
        q->hints = (struct far_req_getaddrinfo){0};
        q->result = (struct far_gai_result){0};
    }
    return q;
}

static void end_question(struct question *q) {
    int saved = errno; // the answer may be there
    free(q);
    errno = saved;
}

// 0 or an EAI_..., with errno for EAI_SYSTEM.
static int ask(struct question *q) {
    struct plink *l = link_get();
    int sys = 0;
    if (!l) {
        return EAI_SYSTEM;
    }
    for (;;) {
        // A handler does not end it, as natively.
        call_begin(true);
        int err = far_getaddrinfo(l->near, q->host, q->service, &q->hints,
            q->entries, ENTRIES, &q->result, &sys, FAR_FOREVER);
        if (err != FAR_EAI_SYSTEM || sys != FAR_EINTR) {
            far_done(err == FAR_EAI_SYSTEM ? sys : 0);
            return err; // the numbers are glibc's
        }
    }
}

static int list_of(struct question *q, int flags, struct addrinfo **out) {
    int saved = errno;
    int err = ask(q);
    if (err) {
        return err;
    }
    errno = saved;
    uint32_t n = q->result.count < ENTRIES ? q->result.count : ENTRIES;
    return make_list(q->entries, n, q->result.canon, flags, out);
}

EXPORT int getaddrinfo(const char *restrict host, const char *restrict service,
    const struct addrinfo *restrict hints, struct addrinfo **restrict out) {
    struct addrinfo none = {.ai_flags = AI_V4MAPPED | AI_ADDRCONFIG};
    const struct addrinfo *h = hints ? hints : &none;
    struct question *q = new_question(host, service);
    if (!q) {
        return EAI_MEMORY;
    }
    q->hints = (struct far_req_getaddrinfo){
        .family = h->ai_family,
        .type = h->ai_socktype,
        .proto = h->ai_protocol,
        .flags = (uint32_t)(h->ai_flags & ~IDN_FLAGS),
    };
    int err = list_of(q, h->ai_flags, out);
    end_question(q);
    return err;
}

// --- getnameinfo ---

static int (*real_getnameinfo(void))(const struct sockaddr *, socklen_t, char *,
    socklen_t, char *, socklen_t, int) {
    int (*f)(const struct sockaddr *, socklen_t, char *, socklen_t, char *,
        socklen_t, int);
    void *p = dlsym(RTLD_NEXT, "getnameinfo");
    memcpy(&f, &p, sizeof f);
    return f;
}

// Of internationalised names; glibc takes them and does nothing.
#define NI_PAST 0xc0

// Needs nobody's knowledge.
static bool is_plain(const struct far_addr *a, int flags) {
    return (flags & NI_NUMERICHOST) && (flags & NI_NUMERICSERV) && !a->scope;
}

EXPORT int getnameinfo(const struct sockaddr *restrict sa, socklen_t len,
    char *restrict host, socklen_t host_len, char *restrict service,
    socklen_t service_len, int flags) {
    struct far_addr a;
    struct plink *l = NULL;
    struct sockaddr_storage ss;
    bool far = sa && addr_take(&ss, sa, len) == FAR_OK &&
               addr_to_far(&ss, len, &a) == FAR_OK &&
               (a.family == AF_INET || a.family == AF_INET6) &&
               !is_plain(&a, flags);
    if (far) {
        l = link_get();
        if (!l) {
            return EAI_SYSTEM;
        }
    }
    if (!far) {
        return real_getnameinfo()(sa, len, host, host_len, service, service_len,
            flags);
    }
    int sys = 0;
    call_begin(true);
    int err = far_getnameinfo(l->near, &a, (uint32_t)(flags & ~NI_PAST), host,
        host_len, service, service_len, &sys, FAR_FOREVER);
    if (err == EAI_SYSTEM) {
        far_done(sys);
    }
    return err;
}

// --- gethostbyname and its family ---

// Carves aligned pieces from the caller's buffer.
struct room {
    char *at;
    size_t left;
};

static void *carve(struct room *r, size_t size) {
    size_t pad = (size_t)(-(uintptr_t)r->at & (sizeof(void *) - 1));
    if (r->left < pad || r->left - pad < size) {
        return NULL;
    }
    void *p = r->at + pad;
    r->at += pad + size;
    r->left -= pad + size;
    return p;
}

static char *carve_text(struct room *r, const char *text) {
    size_t n = strlen(text) + 1;
    char *p = carve(r, n);
    return p ? memcpy(p, text, n) : NULL;
}

static bool fill_host(struct hostent *h, const struct question *q,
    struct room *r) {
    uint32_t n = q->result.count < ENTRIES ? q->result.count : ENTRIES;
    size_t size = h->h_addrtype == AF_INET ? 4 : 16;
    h->h_length = (int)size;
    h->h_name = carve_text(r, q->result.canon[0] ? q->result.canon : q->host);
    h->h_aliases = carve(r, sizeof(char *));
    h->h_addr_list = carve(r, (n + 1) * sizeof(char *));
    if (!h->h_name || !h->h_aliases || !h->h_addr_list) {
        return false;
    }
    h->h_aliases[0] = NULL;
    uint32_t used = 0;
    for (uint32_t i = 0; i < n; i++) {
        char *a = carve(r, size);
        if (!a) {
            return false;
        }
        memcpy(a, q->entries[i].addr.ip, size);
        h->h_addr_list[used++] = a;
    }
    h->h_addr_list[used] = NULL;
    return true;
}

static int to_h_errno(int eai) {
    switch (eai) {
        case EAI_NONAME:
            return HOST_NOT_FOUND;
        case EAI_AGAIN:
            return TRY_AGAIN;
        case -5: // EAI_NODATA
        case -9: // EAI_ADDRFAMILY
            return NO_DATA;
        case EAI_SYSTEM:
            return NETDB_INTERNAL;
        default:
            return NO_RECOVERY;
    }
}

static int give_host(const struct question *q, int family, struct hostent *h,
    struct room r, struct hostent **out, int *err) {
    h->h_addrtype = family;
    if (!fill_host(h, q, &r)) {
        *err = NETDB_INTERNAL;
        errno = ERANGE;
        return ERANGE;
    }
    *out = h;
    return 0;
}

static int host_of(struct question *q, struct hostent *h, struct room r,
    struct hostent **out, int *err) {
    int eai = ask(q);
    if (eai) {
        *err = to_h_errno(eai);
        return eai == EAI_SYSTEM ? errno : eai == EAI_AGAIN ? EAGAIN : 0;
    }
    return give_host(q, q->hints.family, h, r, out, err);
}

EXPORT int gethostbyname2_r(const char *restrict name, int family,
    struct hostent *restrict h, char *restrict buf, size_t len,
    struct hostent **restrict out, int *restrict err) {
    struct question *q = new_question(name, NULL);
    *out = NULL;
    if (!q) {
        *err = NETDB_INTERNAL;
        return ENOMEM;
    }
    q->hints.family = family;
    q->hints.type = SOCK_STREAM;
    q->hints.flags = AI_CANONNAME;
    int r = host_of(q, h, (struct room){buf, len}, out, err);
    end_question(q);
    return r;
}

EXPORT int gethostbyname_r(const char *restrict name,
    struct hostent *restrict h, char *restrict buf, size_t len,
    struct hostent **restrict out, int *restrict err) {
    return gethostbyname2_r(name, AF_INET, h, buf, len, out, err);
}

static int name_of(struct question *q, struct plink *l,
    const struct far_addr *a, struct hostent *h, struct room r,
    struct hostent **out, int *err) {
    int sys = 0;
    call_begin(true);
    int eai = far_getnameinfo(l->near, a, FAR_NI_NAMEREQD, q->result.canon,
        sizeof q->result.canon, NULL, 0, &sys, FAR_FOREVER);
    if (eai) {
        *err = to_h_errno(eai);
        return 0;
    }
    q->result.count = 1;
    q->entries[0].addr = *a;
    return give_host(q, a->family, h, r, out, err);
}

EXPORT int gethostbyaddr_r(const void *restrict addr, socklen_t addr_len,
    int family, struct hostent *restrict h, char *restrict buf, size_t len,
    struct hostent **restrict out, int *restrict err) {
    struct far_addr a = {.family = (uint16_t)family};
    socklen_t size = family == AF_INET ? 4 : family == AF_INET6 ? 16 : 0;
    struct plink *l = link_get();
    *out = NULL;
    if (!l || size == 0 || addr_len < size) {
        *err = NETDB_INTERNAL;
        return l ? EINVAL : ENETDOWN;
    }
    memcpy(a.ip, addr, size);
    struct question *q = new_question("", NULL);
    if (!q) {
        *err = NETDB_INTERNAL;
        return ENOMEM;
    }
    int r = name_of(q, l, &a, h, (struct room){buf, len}, out, err);
    end_question(q);
    return r;
}

// As glibc's, all threads': of a thread's own it would take from its stack.
static char answer[8192];
static struct hostent answer_head;

EXPORT struct hostent *gethostbyname2(const char *name, int family) {
    struct hostent *h = NULL;
    int err = 0;
    if (gethostbyname2_r(name, family, &answer_head, answer, sizeof answer, &h,
            &err) != 0 ||
        !h) {
        h_errno = err;
    }
    return h;
}

EXPORT struct hostent *gethostbyname(const char *name) {
    return gethostbyname2(name, AF_INET);
}

EXPORT struct hostent *gethostbyaddr(const void *addr, socklen_t len,
    int family) {
    struct hostent *h = NULL;
    int err = 0;
    if (gethostbyaddr_r(addr, len, family, &answer_head, answer, sizeof answer,
            &h, &err) != 0 ||
        !h) {
        h_errno = err;
    }
    return h;
}
