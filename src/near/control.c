// Control data that comes: to datagrams, errors and streams.
// SPDX-License-Identifier: MIT
#include "near/near.h"

#include <string.h>

// One item for the caller, cut to the room it has.
static void give_item(struct far_msghdr *m, size_t ctl_room,
    struct far_ctl item, const uint8_t *data) {
    size_t room = ctl_room - m->ctl_len;
    if (room < sizeof item + item.len) {
        m->flags |= FAR_MSG_CTRUNC;
        if (room <= sizeof item) {
            return;
        }
        item.len = (uint32_t)(room - sizeof item);
    }
    uint8_t *to = (uint8_t *)m->ctl + m->ctl_len;
    memcpy(to, &item, sizeof item);
    memcpy(to + sizeof item, data, item.len);
    size_t n = sizeof item + FAR_ALIGN8(item.len);
    m->ctl_len += n < room ? n : room;
}

void fari_give_ctl(struct far_msghdr *m, size_t room, const uint8_t *ctl,
    uint32_t len) {
    struct far_ctl item;
    for (uint32_t at = 0; at + sizeof item <= len;) {
        memcpy(&item, ctl + at, sizeof item);
        at += (uint32_t)sizeof item;
        if (item.len > len - at) {
            break;
        }
        if (item.level != FAR_CTL_NONE) {
            give_item(m, room, item, ctl + at);
        }
        at += FAR_ALIGN8(item.len);
    }
}

void fari_stream_ctl(struct far_link *l, uint32_t slot, uint32_t end,
    struct far_msghdr *m, size_t room) {
    uint8_t ctl[FAR_CTL_MAX];
    struct far_req_control req = {.end = end};
    struct fari_ask ask = {
        .op = FAR_OP_CONTROL,
        .slot = slot,
        .req = &req,
        .req_len = sizeof req,
        .data = ctl,
        .room = sizeof ctl,
        .undo = FARI_NO_SLOT,
    };
    if (fari_request(l, &ask, FAR_FOREVER) >= 0) {
        fari_give_ctl(m, room, ctl, ask.got);
    }
}
