// Control data of a stream's bytes: times, where an option asks for them.
// SPDX-License-Identifier: MIT
#include "daemon/core.h"

#include <stdlib.h>
#include <string.h>

#include "farsock/posix.h"

// Natively each receive gets that of the last segment it took from. Near's
// receives are others than ours: what came is kept for a while, by where it
// ends.
#define KEPT 64u
#define MOST 96u // bytes of one

struct stamps {
    uint32_t count; // ever
    struct {
        uint32_t end;
        uint32_t len;
        uint8_t ctl[MOST];
    } of[KEPT];
};

void stamps_note(struct sock *s, const struct msghdr *m) {
    bool cut = false;
    if (m->msg_controllen == 0) {
        return;
    }
    if (!s->stamps) {
        s->stamps = calloc(1, sizeof *s->stamps);
    }
    if (s->stamps) {
        uint32_t i = s->stamps->count++ % KEPT;
        s->stamps->of[i].end = s->rx_head;
        s->stamps->of[i].len =
            far_posix_ctl_in(s->stamps->of[i].ctl, MOST, m, &cut);
    }
}

uint32_t stamps_find(const struct sock *s, uint32_t end, uint8_t *ctl) {
    const struct stamps *t = s->stamps;
    uint32_t kept = !t ? 0 : t->count < KEPT ? t->count : KEPT;
    for (uint32_t n = kept; n > 0; n--) {
        uint32_t i = (t->count - n) % KEPT;
        if ((int32_t)(t->of[i].end - end) >= 0) {
            memcpy(ctl, t->of[i].ctl, t->of[i].len);
            return t->of[i].len;
        }
    }
    return 0;
}

void stamps_free(struct sock *s) {
    free(s->stamps);
}
