// Addresses as text, for near cores whose C library has no inet_pton().
// SPDX-License-Identifier: MIT
#include "near/near.h"

#include <string.h>

static bool pton4(const char *text, uint8_t ip[4]) {
    uint8_t out[4];
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
        out[i] = (uint8_t)value;
    }
    memcpy(ip, out, sizeof out);
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

// An address of IPv6 as far as it was read.
struct reading {
    uint8_t ip[16];
    unsigned n; // bytes of it
    int gap;    // where "::" stands, -1: nowhere
};

// A group, or the IPv4 address that may end it all. False if it is neither.
static bool take_group(struct reading *r, const char **text) {
    const char *start = *text;
    unsigned value;
    unsigned digits = get_group(text, &value);
    if (**text == '.' && r->n <= 12 && pton4(start, r->ip + r->n)) {
        r->n += 4;
        while (**text != '\0') {
            ++*text;
        }
        return true;
    }
    if (digits == 0 || digits > 4 || r->n == sizeof r->ip) {
        return false;
    }
    r->ip[r->n++] = (uint8_t)(value >> 8);
    r->ip[r->n++] = (uint8_t)value;
    return true;
}

static bool take_groups(struct reading *r, const char *text) {
    while (*text != '\0') {
        if (text[0] == ':' && text[1] == ':') {
            if (r->gap >= 0) {
                return false;
            }
            r->gap = (int)r->n;
            text += 2;
            continue;
        }
        bool first = r->n == 0 || (int)r->n == r->gap;
        if (!first && *text++ != ':') {
            return false;
        }
        if (!take_group(r, &text)) {
            return false;
        }
    }
    return r->gap < 0 ? r->n == sizeof r->ip : r->n < sizeof r->ip;
}

static bool pton6(const char *text, uint8_t ip[16]) {
    struct reading r = {.gap = -1};
    if (!take_groups(&r, text)) {
        return false;
    }
    unsigned head = r.gap < 0 ? r.n : (unsigned)r.gap;
    unsigned tail = r.n - head;
    memset(ip, 0, sizeof r.ip);
    memcpy(ip, r.ip, head);
    memcpy(ip + sizeof r.ip - tail, r.ip + head, tail);
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

static char *ntop4(const uint8_t ip[4], char *text) {
    for (unsigned i = 0; i < 4; i++) {
        text = put_number(text, ip[i], 10);
        if (i < 3) {
            *text++ = '.';
        }
    }
    return text;
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

static char *ntop6(const uint8_t ip[16], char *text) {
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
            return ntop4(ip + 12, text);
        }
        text = put_number(text, (unsigned)ip[2 * i] << 8 | ip[2 * i + 1], 16);
    }
    *text = '\0';
    return text;
}

int far_inet_pton(uint32_t family, const char *text, uint8_t *ip) {
    if (family == FAR_AF_INET) {
        return pton4(text, ip);
    }
    return family == FAR_AF_INET6 ? pton6(text, ip) : FAR_EAFNOSUPPORT;
}

int far_inet_ntop(uint32_t family, const uint8_t *ip,
    char text[FAR_INET_TEXT]) {
    if (family == FAR_AF_INET) {
        return (int)(ntop4(ip, text) - text);
    }
    return family == FAR_AF_INET6 ? (int)(ntop6(ip, text) - text)
                                  : FAR_EAFNOSUPPORT;
}
