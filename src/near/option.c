// Socket options: some are near's own, the rest is far's.
// SPDX-License-Identifier: MIT
#include "near/near.h"

#include <string.h>

// Largest value that fits a request record.
#define VALUE_MAX                                                              \
    (FAR_RECORD_MAX - sizeof(struct far_msg) -                                 \
        sizeof(struct far_req_setsockopt))

static uint32_t *timeout_of(struct fari_sock *s, int level, int opt) {
    if (level != FAR_SOL_SOCKET) {
        return NULL;
    }
    if (opt == FAR_SO_RCVTIMEO) {
        return &s->rcvtimeo_ms;
    }
    return opt == FAR_SO_SNDTIMEO ? &s->sndtimeo_ms : NULL;
}

static int set_timeout(uint32_t *ms, const void *val, size_t len) {
    int64_t tv[2];
    if (len < sizeof tv) {
        return FAR_EINVAL;
    }
    memcpy(tv, val, sizeof tv);
    if (tv[1] < 0 || tv[1] >= 1000000) {
        return FAR_EDOM;
    }
    if (tv[0] < 0) {
        // As Linux: a negative time does not wait at all.
        *ms = 1;
        return FAR_OK;
    }
    // Longer than 24 days counts as for ever, as near enough.
    if (tv[0] > INT32_MAX / 1000) {
        *ms = 0;
        return FAR_OK;
    }
    // 32 bits hold both: some cores have no division of 64.
    *ms = (uint32_t)tv[0] * 1000u + ((uint32_t)tv[1] + 999u) / 1000u;
    return FAR_OK;
}

static int get_timeout(uint32_t ms, void *val, size_t *len) {
    int64_t tv[2] = {ms / 1000u, (int64_t)(ms % 1000u) * 1000};
    *len = *len < sizeof tv ? *len : sizeof tv;
    memcpy(val, tv, *len);
    return FAR_OK;
}

static bool is_hdrincl(int level, int opt) {
    return (level == FAR_IPPROTO_IP && opt == FAR_IP_HDRINCL) ||
           (level == FAR_IPPROTO_IPV6 && opt == FAR_IPV6_HDRINCL);
}

// What near must know of an option of SOL_SOCKET that far has set: v is what it
// has of the value, len bytes.
static void note_general(struct far_link *l, uint32_t slot, int opt,
    const int32_t v[2], size_t len) {
    struct fari_sock *s = fari_sock(l, slot);
    // More than half the ring cannot be promised to be there at once.
    uint32_t most = l->lay.rx_ring / 2u;
    uint32_t want = v[0] < 0 ? most : v[0] == 0 ? 1u : (uint32_t)v[0];
    bool stream = fari_type(s) == FAR_SOCK_STREAM;
    switch (opt) {
        case FAR_SO_LINGER:
            if (len >= 2 * sizeof *v) {
                fari_set_flags(l, slot, FARI_LINGER,
                    v[0] && v[1] > 0 && stream);
            }
            break;
        case FAR_SO_OOBINLINE:
            if (len >= sizeof *v) {
                fari_set_flags(l, slot, FARI_INLINE, v[0] != 0);
            }
            break;
        case FAR_SO_RCVLOWAT:
            if (len >= sizeof *v) {
                fari_set(&s->rcvlowat, want < most ? want : most);
            }
            break;
        case FAR_SO_TIMESTAMP:
        case FAR_SO_TIMESTAMPNS:
        case FAR_SO_TIMESTAMPING:
            FARI_SET(s->stamped, 1); // for good: what is off brings nothing
            break;
        default:
            break;
    }
}

static void note_option(struct far_link *l, uint32_t slot, int level, int opt,
    const void *val, size_t len) {
    struct fari_sock *s = fari_sock(l, slot);
    int32_t v[2] = {0};
    if (len) {
        memcpy(v, val, len < sizeof v ? len : sizeof v);
    }
    if (level == FAR_SOL_SOCKET) {
        note_general(l, slot, opt, v, len);
    } else if (is_hdrincl(level, opt)) {
        FARI_SET(s->own_headers, v[0] != 0);
    }
    if (fari_type(s) != FAR_SOCK_STREAM) {
        fari_forget_verdicts(l, slot);
    }
}

static int set_at_far(struct far_link *l, uint32_t slot, int level, int opt,
    const void *val, size_t len) {
    struct far_req_setsockopt req = {.level = level, .opt = opt};
    struct fari_ask ask = {
        .op = FAR_OP_SETSOCKOPT,
        .slot = slot,
        .req = &req,
        .req_len = sizeof req,
        .more = val,
        .more_len = (uint32_t)len,
        .undo = FARI_NO_SLOT,
    };
    int err = fari_request(l, &ask, FAR_FOREVER);
    if (err >= 0) {
        note_option(l, slot, level, opt, val, len);
    }
    return err;
}

int far_setsockopt(struct far_link *l, int sock, int level, int opt,
    const void *val, size_t len) {
    uint32_t slot = fari_pin(l, sock);
    if (slot == FARI_NO_SLOT) {
        return FAR_EBADF;
    }
    int err = FAR_EINVAL;
    uint32_t *ms = timeout_of(fari_sock(l, slot), level, opt);
    if (ms) {
        err = set_timeout(ms, val, len);
    } else if (len <= INT32_MAX) {
        // No option looks at more; natively a value may be longer, too.
        err = set_at_far(l, slot, level, opt, val,
            len < VALUE_MAX ? len : VALUE_MAX);
    }
    fari_unpin(l, slot);
    return err;
}

static int get_at_far(struct far_link *l, uint32_t slot, int level, int opt,
    void *val, size_t *len) {
    struct far_req_getsockopt req = {
        .level = level,
        .opt = opt,
        .size = *len < FAR_REPLY_DATA_MAX ? (uint32_t)*len
                                          : (uint32_t)FAR_REPLY_DATA_MAX,
    };
    struct fari_ask ask = {
        .op = FAR_OP_GETSOCKOPT,
        .slot = slot,
        .req = &req,
        .req_len = sizeof req,
        .data = val,
        .room = req.size,
        .undo = FARI_NO_SLOT,
    };
    int err = fari_request(l, &ask, FAR_FOREVER);
    *len = err >= 0 ? ask.got : 0;
    return err < 0 ? err : FAR_OK;
}

static int get_error(struct far_link *l, uint32_t slot, void *val,
    size_t *len) {
    int err = fari_take_error(l, slot);
    if (err == FAR_OK) {
        err = get_at_far(l, slot, FAR_SOL_SOCKET, FAR_SO_ERROR, val, len);
        int32_t none = 0;
        // Far may have fetched it just before it read our question.
        if (err == FAR_OK && *len == sizeof none &&
            memcmp(val, &none, sizeof none) == 0) {
            int late = fari_take_error(l, slot);
            int32_t v = -late;
            memcpy(val, &v, sizeof v);
        }
        return err;
    }
    int32_t v = -err;
    *len = *len < sizeof v ? *len : sizeof v;
    memcpy(val, &v, *len);
    return FAR_OK;
}

int far_getsockopt(struct far_link *l, int sock, int level, int opt, void *val,
    size_t *len) {
    uint32_t slot = fari_pin(l, sock);
    if (slot == FARI_NO_SLOT) {
        return FAR_EBADF;
    }
    int err = FAR_OK;
    const uint32_t *ms = timeout_of(fari_sock(l, slot), level, opt);
    if (ms) {
        err = get_timeout(*ms, val, len);
    } else if (level == FAR_SOL_SOCKET && opt == FAR_SO_ERROR) {
        err = get_error(l, slot, val, len);
    } else {
        err = get_at_far(l, slot, level, opt, val, len);
    }
    fari_unpin(l, slot);
    return err;
}
