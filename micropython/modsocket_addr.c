// Addresses: numbers as text, tuples, packed Linux sockaddrs.
// SPDX-License-Identifier: MIT

#include "modsocket.h"

#include <string.h>

#include "py/runtime.h"

#define SIN_SIZE      16 // bytes of Linux's struct sockaddr_in
#define SIN6_SIZE_MIN 24 // of sockaddr_in6 without its scope, as in RFC 2133
#define SIN6_SIZE     28
#define SOCKADDR_MAX  128
#define FLOWINFO_MAX  0xfffff

// --- Text -------------------------------------------------------------------

bool far_mp_pton4(const char *text, uint8_t ip[4]) {
    for (unsigned i = 0; i < 4; i++) {
        unsigned value = 0, digits = 0;
        for (; *text >= '0' && *text <= '9' && digits < 4; digits++) {
            value = value * 10u + (unsigned)(*text++ - '0');
        }
        // A leading zero means octal to some and decimal to others.
        bool octal = digits > 1 && text[-(int)digits] == '0';
        if (digits == 0 || octal || value > 255 ||
            *text++ != (i < 3 ? '.' : '\0')) {
            return false;
        }
        ip[i] = (uint8_t)value;
    }
    return true;
}

static int hex_digit(char c) {
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

// Up to four hexadecimal digits. Returns how many, *text after them.
static unsigned get_group(const char **text, unsigned *value) {
    unsigned digits = 0;
    *value = 0;
    for (int d; digits < 5 && (d = hex_digit(**text)) >= 0; digits++) {
        *value = *value << 4 | (unsigned)d;
        ++*text;
    }
    return digits;
}

bool far_mp_pton6(const char *text, uint8_t ip[16]) {
    uint8_t out[16] = {0};
    unsigned n = 0;
    int gap = -1; // where "::" stands
    if (*text == ':' && *++text != ':') {
        return false;
    }
    for (bool more = true; more;) {
        const char *group = text;
        unsigned value;
        unsigned digits = get_group(&text, &value);
        if (*text == '.' && n <= 12 && far_mp_pton4(group, out + n)) {
            n += 4;
            break;
        }
        if (digits > 4 || (digits > 0 && n == 16)) {
            return false;
        }
        if (digits > 0) {
            out[n++] = (uint8_t)(value >> 8);
            out[n++] = (uint8_t)value;
        } else if (*text != ':' && gap != (int)n) {
            return false; // ends in a single colon, or is no address at all
        }
        more = *text == ':';
        if (digits == 0 && more) {
            if (gap >= 0) {
                return false;
            }
            gap = (int)n;
        }
        if (more) {
            text++;
        } else if (*text != '\0') {
            return false;
        }
    }
    if (gap < 0 ? n != 16 : n == 16) {
        return false;
    }
    if (gap >= 0) {
        size_t tail = n - (unsigned)gap;
        memmove(out + 16 - tail, out + gap, tail);
        memset(out + gap, 0, 16 - n);
    }
    memcpy(ip, out, 16);
    return true;
}

static char *put_number(char *to, unsigned value, unsigned base) {
    if (value >= base) {
        to = put_number(to, value / base, base);
    }
    *to++ = "0123456789abcdef"[value % base];
    *to = '\0';
    return to;
}

void far_mp_ntop4(const uint8_t ip[4], char text[FAR_MP_ADDR_TEXT]) {
    for (unsigned i = 0; i < 4; i++) {
        text = put_number(text, ip[i], 10);
        if (i < 3) {
            *text++ = '.';
        }
    }
}

// The first of the longest runs of two or more zero groups.
static unsigned longest_gap(const uint8_t ip[16], unsigned *first) {
    unsigned best = 1;
    *first = 8;
    for (unsigned i = 0, run = 0; i < 8; i++) {
        run = ip[2 * i] == 0 && ip[2 * i + 1] == 0 ? run + 1 : 0;
        if (run > best) {
            best = run;
            *first = i + 1 - run;
        }
    }
    return *first < 8 ? best : 0;
}

void far_mp_ntop6(const uint8_t ip[16], char text[FAR_MP_ADDR_TEXT]) {
    unsigned first;
    unsigned gap = longest_gap(ip, &first);
    // As glibc: compatible and mapped addresses end like IPv4.
    bool v4 = first == 0 &&
              (gap == 6 || (gap == 5 && ip[10] == 0xff && ip[11] == 0xff));
    for (unsigned i = 0; i < 8; i++) {
        if (i == first) {
            *text++ = ':';
            i += gap - 1;
            if (i == 7) {
                *text++ = ':';
            }
            continue;
        }
        if (i > 0) {
            *text++ = ':';
        }
        if (v4 && i == 6) {
            far_mp_ntop4(ip + 12, text);
            return;
        }
        text = put_number(text, (unsigned)ip[2 * i] << 8 | ip[2 * i + 1], 16);
    }
    *text = '\0';
}

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
    char text[FAR_MP_ADDR_TEXT];
    if (addr->family == FAR_AF_INET) {
        far_mp_ntop4(addr->ip, text);
    } else if (addr->family == FAR_AF_INET6) {
        far_mp_ntop6(addr->ip, text);
    } else {
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
    if (addr->family == FAR_AF_INET6) {
        return far_mp_pton6(host, addr->ip);
    }
    if (strcmp(host, "<broadcast>") == 0) {
        memset(addr->ip, 0xff, 4);
        return true;
    }
    return far_mp_pton4(host, addr->ip);
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
