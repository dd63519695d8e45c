// Addresses: tuples, packed Linux sockaddrs.
// SPDX-License-Identifier: MIT

#include "modsocket.h"

#include <string.h>

#include "py/runtime.h"

#define SIN_SIZE      16 // bytes of Linux's struct sockaddr_in
#define SIN6_SIZE_MIN 24 // of sockaddr_in6 without its scope, as in RFC 2133
#define SIN6_SIZE     28
#define SOCKADDR_MAX  128
#define FLOWINFO_MAX  0xfffff

// --- Packed -----------------------------------------------------------------

static uint32_t get_be32(const uint8_t *p) {
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 |
           p[3];
}

int far_mp_addr_unpack(const uint8_t *buf, size_t len, struct far_addr *addr) {
    *addr = (struct far_addr){0};
    uint16_t family;
    if (len < sizeof(family) || len > SOCKADDR_MAX) {
        return FAR_EINVAL;
    }
    memcpy(&family, buf, sizeof(family));
    addr->family = family;
    if (family != FAR_AF_INET && family != FAR_AF_INET6 &&
        (family != FAR_AF_UNSPEC || len < SIN_SIZE)) {
        return FAR_OK; // the kernel judges the family
    }
    if (len < (family == FAR_AF_INET6 ? SIN6_SIZE_MIN : SIN_SIZE)) {
        return FAR_EINVAL;
    }
    addr->port = (uint16_t)(buf[2] << 8 | buf[3]);
    if (family != FAR_AF_INET6) {
        memcpy(addr->ip, buf + 4, 4);
        return FAR_OK;
    }
    addr->flowinfo = get_be32(buf + 4);
    memcpy(addr->ip, buf + 8, 16);
    if (len >= SIN6_SIZE) {
        memcpy(&addr->scope, buf + 24, 4);
    }
    return FAR_OK;
}

// --- Tuples -----------------------------------------------------------------

mp_obj_t far_mp_addr_new(const struct far_addr *addr) {
    char text[FAR_INET_TEXT];
    if (far_inet_ntop(addr->family, addr->ip, text) < 0) {
        return mp_const_none;
    }
    mp_obj_t items[4] = {
        mp_obj_new_str(text, strlen(text)),
        MP_OBJ_NEW_SMALL_INT(addr->port),
    };
    if (addr->family == FAR_AF_INET) {
        return mp_obj_new_tuple(2, items);
    }
    items[2] = mp_obj_new_int_from_uint(addr->flowinfo);
    items[3] = mp_obj_new_int_from_uint(addr->scope);
    return mp_obj_new_tuple(4, items);
}

// The names that need no resolver. False: ask it.
static bool get_known(const char *host, struct far_addr *addr) {
    if (host[0] == '\0') {
        return true; // any address: zero
    }
    if (addr->family == FAR_AF_INET && strcmp(host, "<broadcast>") == 0) {
        memset(addr->ip, 0xff, 4);
        return true;
    }
    return far_inet_pton(addr->family, host, addr->ip) == 1;
}

static void get_host(struct far_mp_socket *self, const char *host,
    struct far_addr *addr) {
    addr->family = (uint16_t)self->family;
    if (get_known(host, addr)) {
        return;
    }
    struct far_req_getaddrinfo hints = {
        .family = (int32_t)self->family,
        .type = self->type,
    };
    struct far_mp_names names;
    far_mp_names_get(&names, host, NULL, &hints);
    if (names.count > 0) {
        *addr = names.entries[0].addr;
    }
}

static void get_tuple(struct far_mp_socket *self, mp_obj_t obj,
    struct far_addr *addr) {
    size_t n;
    mp_obj_t *items;
    mp_obj_get_array(obj, &n, &items);
    bool v6 = self->family == FAR_AF_INET6;
    if (n < 2 || n > (v6 ? 4u : 2u)) {
        mp_raise_TypeError(v6 ? MP_ERROR_TEXT("address must be (host, port[, "
                                              "flow[, scope]])")
                              : MP_ERROR_TEXT("address must be (host, port)"));
    }
    // What can raise comes before what asks the far core.
    const char *host = far_mp_get_name(items[0]);
    if (host == NULL) {
        mp_raise_TypeError(MP_ERROR_TEXT("host must be a str"));
    }
    uint16_t port = (uint16_t)far_mp_get_int(items[1], 0, 0xffff);
    uint32_t flowinfo =
        n > 2 ? (uint32_t)far_mp_get_int(items[2], 0, FLOWINFO_MAX) : 0;
    uint32_t scope = n > 3 ? far_mp_get_u32(items[3]) : 0;
    get_host(self, host, addr);
    addr->port = port;
    addr->flowinfo = flowinfo;
    // "fe80::1%eth0" brings its own.
    addr->scope = scope != 0 ? scope : addr->scope;
}

void far_mp_addr_get(struct far_mp_socket *self, mp_obj_t obj,
    struct far_addr *addr) {
    *addr = (struct far_addr){0};
    mp_buffer_info_t packed;
    if (self->number < 0) {
        far_mp_raise(FAR_EBADF, FAR_NOWAIT);
    }
    if (mp_obj_is_type(obj, &mp_type_tuple) ||
        mp_obj_is_type(obj, &mp_type_list)) {
        get_tuple(self, obj, addr);
    } else if (!mp_obj_is_str(obj) &&
               mp_get_buffer(obj, &packed, MP_BUFFER_READ)) {
        far_mp_check(far_mp_addr_unpack(packed.buf, packed.len, addr));
    } else {
        mp_raise_TypeError(MP_ERROR_TEXT("address must be a tuple or bytes"));
    }
}
