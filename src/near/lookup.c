// Names, by far's resolver.
// SPDX-License-Identifier: MIT
#include "near/near.h"

#include <string.h>

// Room for host and service in one request record.
#define STRINGS_MAX                                                            \
    (FAR_RECORD_MAX - sizeof(struct far_msg) -                                 \
        sizeof(struct far_req_getaddrinfo))

static size_t length_of(const char *s) {
    size_t n = 0;
    while (s && s[n]) {
        n++;
    }
    return n;
}

// How a failed lookup is told: a link error is a system error.
static int system_error(int err, int *sys) {
    if (sys) {
        *sys = err;
    }
    return FAR_EAI_SYSTEM;
}

// A slow request's outcome: far's answer, or why it was given up.
static int ask_lookup(struct far_link *l, struct fari_ask *ask,
    uint64_t deadline_ns, int *sys) {
    ask->slow = true;
    ask->undo = FARI_NO_SLOT;
    ask->slot = FARI_NO_SLOT;
    int err = fari_request(l, ask, deadline_ns);
    if (ask->why) {
        return system_error(ask->why, sys);
    }
    if (err < 0 && !ask->answered) {
        return system_error(err, sys);
    }
    int32_t why = 0;
    if (err == FAR_EAI_SYSTEM && ask->got >= sizeof why) {
        memcpy(&why, ask->data, sizeof why);
        return system_error(why, sys);
    }
    return err;
}

// --- getaddrinfo ---

struct gai_reader {
    struct far_gai_entry *out;
    size_t max;
    struct far_gai_result *res;
};

static int read_gai(const uint8_t *data, uint32_t len, struct gai_reader *r) {
    struct far_rep_gai rep;
    if (len < sizeof rep) {
        return FAR_EAI_FAIL;
    }
    memcpy(&rep, data, sizeof rep);
    uint32_t at = (uint32_t)sizeof rep;
    uint32_t canon = FAR_ALIGN8((uint32_t)rep.canon_len);
    if (canon > len - at) {
        return FAR_EAI_FAIL;
    }
    uint32_t n = rep.canon_len < sizeof r->res->canon - 1u
                     ? rep.canon_len
                     : (uint32_t)sizeof r->res->canon - 1u;
    memcpy(r->res->canon, data + at, n);
    r->res->canon[n] = '\0';
    at += canon;
    uint32_t have = (len - at) / (uint32_t)sizeof *r->out;
    have = have < rep.count ? have : rep.count;
    have = have < r->max ? have : (uint32_t)r->max;
    if (have) {
        memcpy(r->out, data + at, have * sizeof *r->out);
    }
    // Only what is there counts, but for what the caller has no room for.
    r->res->count = have < r->max ? have : rep.count;
    return 0;
}

int far_getaddrinfo(struct far_link *l, const char *host, const char *service,
    const struct far_req_getaddrinfo *hints, struct far_gai_entry *out,
    size_t max, struct far_gai_result *res, int *sys, uint64_t deadline_ns) {
    size_t host_len = length_of(host);
    size_t service_len = length_of(service);
    *res = (struct far_gai_result){0};
    if (host_len + service_len > STRINGS_MAX) {
        return FAR_EAI_NONAME;
    }
    uint8_t strings[STRINGS_MAX];
    if (host_len) {
        memcpy(strings, host, host_len);
    }
    if (service_len) {
        memcpy(strings + host_len, service, service_len);
    }
    struct far_req_getaddrinfo req = *hints;
    req.host_len = host ? (uint16_t)host_len : FAR_NO_STRING;
    req.service_len = service ? (uint16_t)service_len : FAR_NO_STRING;
    req.reserved = 0;
    uint64_t data[FARI_LOOKUP_ROOM / sizeof(uint64_t)];
    struct fari_ask ask = {
        .op = FAR_OP_GETADDRINFO,
        .req = &req,
        .req_len = sizeof req,
        .more = strings,
        .more_len = (uint32_t)(host_len + service_len),
        .data = data,
        .room = sizeof data,
    };
    int err = ask_lookup(l, &ask, deadline_ns, sys);
    struct gai_reader r = {.out = out, .max = max, .res = res};
    return err < 0 ? err : read_gai((const uint8_t *)data, ask.got, &r);
}

// --- getnameinfo ---

static int copy_string(char *dst, size_t room, const uint8_t *src,
    uint32_t len) {
    if (!dst || room == 0) {
        return 0;
    }
    if (len >= room) {
        return FAR_EAI_OVERFLOW;
    }
    memcpy(dst, src, len);
    dst[len] = '\0';
    return 0;
}

int far_getnameinfo(struct far_link *l, const struct far_addr *addr,
    uint32_t flags, char *host, size_t host_len, char *service,
    size_t service_len, int *sys, uint64_t deadline_ns) {
    struct far_req_getnameinfo req = {.addr = *addr, .flags = flags};
    uint64_t data[FAR_REPLY_DATA_MAX / sizeof(uint64_t)];
    struct fari_ask ask = {
        .op = FAR_OP_GETNAMEINFO,
        .req = &req,
        .req_len = sizeof req,
        .data = data,
        .room = sizeof data,
    };
    int err = ask_lookup(l, &ask, deadline_ns, sys);
    struct far_rep_gni rep = {0};
    if (err < 0) {
        return err;
    }
    if (ask.got >= sizeof rep) {
        memcpy(&rep, data, sizeof rep);
    }
    if ((uint32_t)rep.host_len + rep.service_len + sizeof rep > ask.got) {
        return FAR_EAI_FAIL;
    }
    const uint8_t *strings = (const uint8_t *)data + sizeof rep;
    err = copy_string(host, host_len, strings, rep.host_len);
    return err ? err
               : copy_string(service, service_len, strings + rep.host_len,
                     rep.service_len);
}
