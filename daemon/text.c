// Numbers and addresses as people read them.
// SPDX-License-Identifier: MIT
#include "daemon/text.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "farsock/errors.h"
#include "farsock/proto.h"

const char *text_addr(char out[static TEXT_ADDR], const struct far_addr *a) {
    char ip[INET6_ADDRSTRLEN] = "?";
    if (a->family == FAR_AF_INET) {
        inet_ntop(AF_INET, a->ip, ip, sizeof(ip));
        snprintf(out, TEXT_ADDR, "%s:%u", ip, a->port);
    } else if (a->family == FAR_AF_INET6) {
        char scope[16] = "";
        if (a->scope != 0) {
            snprintf(scope, sizeof(scope), "%%%u", a->scope);
        }
        inet_ntop(AF_INET6, a->ip, ip, sizeof(ip));
        snprintf(out, TEXT_ADDR, "[%s%s]:%u", ip, scope, a->port);
    } else {
        snprintf(out, TEXT_ADDR, "-");
    }
    return out;
}

const char *text_age(char out[static TEXT_AGE], uint64_t ns) {
    uint64_t ms = ns / 1000000u;
    unsigned long long s = ms / 1000u;
    if (s < 10) {
        snprintf(out, TEXT_AGE, "%llu.%03u s", s, (unsigned)(ms % 1000u));
    } else if (s < 60) {
        snprintf(out, TEXT_AGE, "%llu.%u s", s, (unsigned)(ms % 1000u / 100u));
    } else if (s < 3600) {
        snprintf(out, TEXT_AGE, "%llu min %llu s", s / 60u, s % 60u);
    } else if (s < 86400) {
        snprintf(out, TEXT_AGE, "%llu h %llu min", s / 3600u, s / 60u % 60u);
    } else {
        snprintf(out, TEXT_AGE, "%llu d %llu h", s / 86400u, s / 3600u % 24u);
    }
    return out;
}

const char *text_size(char out[static TEXT_SIZE], uint64_t bytes) {
    static const char units[] = "KMGT";
    if (bytes < 1024) {
        snprintf(out, TEXT_SIZE, "%u", (unsigned)bytes);
        return out;
    }
    double value = (double)bytes / 1024.0;
    size_t u = 0;
    // 1023.95 would print as 1024.0
    while (value >= 1023.95 && u + 1 < strlen(units)) {
        value /= 1024.0;
        u++;
    }
    snprintf(out, TEXT_SIZE, "%.1f%c", value, units[u]);
    return out;
}

const char *text_err(int err) {
    switch (err) {
        case FAR_OK:
            return "-";
#define X(name, num, text)                                                     \
    case FAR_E##name:                                                          \
        return "E" #name;
            FAR_ERRORS(X)
#undef X
        default:
            return "?";
    }
}
