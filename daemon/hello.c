// The first packet of a connection: what near wants, and whether it gets it.
// SPDX-License-Identifier: MIT
#include "daemon/hello.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "daemon/engine.h"
#include "daemon/ivshmem.h"

void hello_refuse(struct far_welcome *w, int err, const char *fmt, ...) {
    w->status = err;
    va_list args;
    va_start(args, fmt);
    vsnprintf(w->text, sizeof(w->text), fmt, args);
    va_end(args);
}

static int check_fields(const struct far_hello *hello, struct far_welcome *w) {
    if (hello->kind > FAR_HELLO_DUMP) {
        hello_refuse(w, FAR_EOPNOTSUPP, "unknown kind of connection %u",
            hello->kind);
    }
    w->features = hello->features & ENGINE_FEATURES;
    return w->status;
}

int hello_check(const void *packet, size_t len, struct far_hello *hello,
    struct far_welcome *w) {
    *w = (struct far_welcome){
        .magic = FAR_HELLO_MAGIC,
        .version = FAR_WIRE_VERSION,
        .status = FAR_OK,
    };
    memset(hello, 0, sizeof(*hello));
    memcpy(hello, packet, len < sizeof(*hello) ? len : sizeof(*hello));
    // Magic and version stand first in every version, whatever follows.
    if (len < offsetof(struct far_hello, kind) ||
        hello->magic != FAR_HELLO_MAGIC) {
        return FAR_EBADMSG;
    }
    if (hello->version != FAR_WIRE_VERSION) {
        hello_refuse(w, FAR_ELINKPROTO,
            "farsockd speaks protocol version %u, the near core version %u",
            FAR_WIRE_VERSION, hello->version);
        return w->status;
    }
    return len == sizeof(*hello) ? check_fields(hello, w) : FAR_EBADMSG;
}

// A wish, or the default where there is none, but not above max.
static uint32_t grant(uint32_t wish, uint32_t preset, uint32_t max) {
    uint32_t value = wish != 0 ? wish : preset;
    return value < max ? value : max;
}

int hello_layout(const struct far_hello *hello, const struct config *c,
    struct far_layout *out) {
    return far_layout_make(out,
        grant(hello->sockets, c->sockets, c->max_sockets),
        grant(hello->tags, c->tags, c->max_tags),
        grant(hello->tx_ring, c->tx_ring, c->max_ring),
        grant(hello->rx_ring, c->rx_ring, c->max_ring), hello->index_base);
}

void hello_name(const struct far_hello *hello, char *out, size_t room) {
    size_t n = 0;
    while (n < sizeof(hello->name) && n + 1 < room && hello->name[n] != '\0') {
        char c = hello->name[n];
        out[n++] = c >= ' ' && c <= '~' ? c : '?';
    }
    if (n == 0) {
        out[n++] = '-';
    }
    out[n] = '\0';
    // Rules know such a link by this name.
    size_t prefix = strlen(IVSHMEM_PREFIX);
    if (strncmp(out, IVSHMEM_PREFIX, prefix) == 0) {
        out[prefix - 1u] = '?';
    }
}
