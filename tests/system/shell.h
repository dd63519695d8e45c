// A line of the shell: its words, the sockets that they name, its answer.
// SPDX-License-Identifier: MIT
#ifndef SHELL_H
#define SHELL_H

#include "netapi.h"

#include <pthread.h>

#define SOCKETS 8192
#define WORDS   24
#define LINE    4096

static const struct net *net;

static struct named {
    char name[16];
    int sock;
    uint32_t tx_pos;
    uint32_t rx_pos;
} table[SOCKETS];
static pthread_mutex_t table_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t out_lock = PTHREAD_MUTEX_INITIALIZER;

struct call {
    char line[LINE]; // cut into words
    char id[16];
    char *words[WORDS];
    int count;
    char answer[LINE];
};

static struct named *find(const char *name) {
    struct named *found = NULL;
    pthread_mutex_lock(&table_lock);
    for (int i = 0; i < SOCKETS && !found; i++) {
        if (!table[i].name[0]) {
            snprintf(table[i].name, sizeof table[i].name, "%s", name);
            table[i].sock = -1;
        }
        if (!strcmp(table[i].name, name)) {
            found = &table[i];
        }
    }
    pthread_mutex_unlock(&table_lock);
    return found ? found : &table[0];
}

static const char *word(const struct call *c, int i) {
    return i < c->count ? c->words[i] : "";
}

static int number(const struct call *c, int i) {
    return (int)strtol(word(c, i), NULL, 0);
}

static struct named *sock(const struct call *c) {
    return find(word(c, 1));
}

static bool has(const struct call *c, const char *option) {
    for (int i = 2; i < c->count; i++) {
        if (!strcmp(c->words[i], option)) {
            return true;
        }
    }
    return false;
}

static int flags(const struct call *c) {
    return (has(c, "peek") ? MSG_PEEK : 0) |
           (has(c, "waitall") ? MSG_WAITALL : 0) |
           (has(c, "trunc") ? MSG_TRUNC : 0) | (has(c, "oob") ? MSG_OOB : 0) |
           (has(c, "more") ? MSG_MORE : 0) |
           (has(c, "dontroute") ? MSG_DONTROUTE : 0) |
           (has(c, "confirm") ? MSG_CONFIRM : 0) |
           (has(c, "eor") ? MSG_EOR : 0) |
           (has(c, "errqueue") ? MSG_ERRQUEUE : 0);
}

static const char *error_name(int err) {
    const char *name = strerrorname_np(-err);
    return name ? name : far_strerror(err);
}

// The result, and what else there is to say if it is no error.
static void answer(struct call *c, int result, const char *more) {
    if (result < 0) {
        snprintf(c->answer, sizeof c->answer, "%s", error_name(result));
    } else {
        snprintf(c->answer, sizeof c->answer, "%d%s%s", result,
            *more ? " " : "", more);
    }
}

static void addr_text(char *out, size_t size, const struct far_addr *a) {
    char ip[INET6_ADDRSTRLEN] = "-";
    if (a->family) {
        inet_ntop(a->family, a->ip, ip, sizeof ip);
    }
    snprintf(out, size, "%s %d", ip, a->port);
}

// ADDR PORT, "@FAMILY" for an address of that family and no content, or
// "@FAMILY:ADDR PORT" for one that says another family than it has.
static struct far_addr addr_at(const struct call *c, int i) {
    const char *other = strchr(word(c, i), ':');
    if (word(c, i)[0] == '@' && other) {
        struct far_addr a = net_addr(other + 1, number(c, i + 1));
        a.family = (uint16_t)strtol(word(c, i) + 1, NULL, 0);
        return a;
    }
    if (word(c, i)[0] == '@') {
        return (struct far_addr){
            .family = (uint16_t)strtol(word(c, i) + 1, NULL, 0)};
    }
    char text[64];
    snprintf(text, sizeof text, "%s", word(c, i));
    char *scope = strchr(text, '%'); // an interface's index
    if (scope) {
        *scope++ = '\0';
    }
    struct far_addr a = net_addr(text, number(c, i + 1));
    a.scope = scope ? (uint32_t)strtoul(scope, NULL, 0) : 0;
    return a;
}

// The word after option, 0 if it is not there.
static int after(const struct call *c, const char *option) {
    for (int i = 2; i < c->count; i++) {
        if (!strcmp(c->words[i], option)) {
            return i + 1;
        }
    }
    return 0;
}

#endif
