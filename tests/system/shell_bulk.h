// The shell's many bytes: a pattern by position, sent and checked.
// SPDX-License-Identifier: MIT
#ifndef SHELL_BULK_H
#define SHELL_BULK_H

#include "shell.h"

#define BULK    (1u << 20)
#define PATTERN 251u // a prime, so that no shift by a power of two fits

static void pattern(uint8_t *buf, uint32_t pos, uint32_t len) {
    for (uint32_t i = 0; i < len; i++) {
        buf[i] = (uint8_t)((pos + i) % PATTERN);
    }
}

// Sends COUNT bytes of the pattern (nowait: until the buffers are full) in
// calls of at most STEP bytes.
static void call_sendn(struct call *c) {
    struct named *n = sock(c);
    uint32_t count = (uint32_t)number(c, 2);
    uint32_t step = number(c, 3) > 0 ? (uint32_t)number(c, 3) : BULK;
    uint8_t *buf = malloc(step);
    uint32_t done = 0;
    int r = 0;
    while (done < count && r >= 0) {
        uint32_t len = count - done < step ? count - done : step;
        pattern(buf, n->tx_pos, len);
        r = net->send(n->sock, buf, len, 0, NULL, !has(c, "nowait"));
        if (r > 0) {
            done += (uint32_t)r;
            n->tx_pos += (uint32_t)r;
        }
    }
    free(buf);
    answer(c, (int)done, r < 0 ? error_name(r) : "");
}

// Takes COUNT bytes, or what there is before the end or an error, in calls of
// at most STEP bytes.
static void call_recvn(struct call *c) {
    struct named *n = sock(c);
    uint32_t count = (uint32_t)number(c, 2);
    uint32_t step = number(c, 3) > 0 ? (uint32_t)number(c, 3) : BULK;
    uint8_t *buf = malloc(2 * (size_t)step);
    uint32_t done = 0;
    const char *good = "good";
    int r = 1;
    while (done < count && r > 0) {
        uint32_t len = count - done < step ? count - done : step;
        r = net->recv(n->sock, buf, len, 0, NULL, !has(c, "nowait"));
        if (r > 0) {
            pattern(buf + step, n->rx_pos, (uint32_t)r);
            good = memcmp(buf, buf + step, (size_t)r) ? "bad" : good;
            done += (uint32_t)r;
            n->rx_pos += (uint32_t)r;
        }
    }
    free(buf);
    char text[80];
    snprintf(text, sizeof text, "%s%s%s", good, r <= 0 ? " " : "",
        r < 0 ? error_name(r) : (r == 0 ? "end" : ""));
    answer(c, (int)done, text);
}

// As sendn, building in place.
static void call_buildn(struct call *c) {
    struct named *n = sock(c);
    uint32_t count = (uint32_t)number(c, 2);
    size_t step = number(c, 3) > 0 ? (size_t)number(c, 3) : BULK;
    uint32_t done = 0;
    int r = 1;
    while (done < count && r > 0) {
        void *p = NULL;
        size_t want = count - done < step ? count - done : step;
        r = net->reserve(n->sock, &p, want, !has(c, "nowait"));
        if (r > 0) {
            uint32_t got = (uint32_t)r;
            pattern(p, n->tx_pos, got);
            r = net->commit(n->sock, got);
            done += r < 0 ? 0 : got;
            n->tx_pos += got;
            r = r < 0 ? r : 1;
        }
    }
    answer(c, (int)done, r < 0 ? error_name(r) : "");
}

// As recvn, reading in place.
static void call_readn(struct call *c) {
    struct named *n = sock(c);
    uint32_t count = (uint32_t)number(c, 2);
    size_t step = number(c, 3) > 0 ? (size_t)number(c, 3) : BULK;
    uint8_t *should = malloc(step);
    uint32_t done = 0;
    const char *good = "good";
    int r = 1;
    while (done < count && r > 0) {
        const void *p = NULL;
        size_t want = count - done < step ? count - done : step;
        r = net->peek(n->sock, &p, want, !has(c, "nowait"));
        if (r > 0) {
            pattern(should, n->rx_pos, (uint32_t)r);
            good = memcmp(p, should, (size_t)r) ? "bad" : good;
            done += (uint32_t)r;
            n->rx_pos += (uint32_t)r;
            good = net->consume(n->sock, (size_t)r) ? "bad" : good;
        }
    }
    free(should);
    char text[80];
    snprintf(text, sizeof text, "%s%s%s", good, r <= 0 ? " " : "",
        r < 0 ? error_name(r) : (r == 0 ? "end" : ""));
    answer(c, (int)done, text);
}

#endif
