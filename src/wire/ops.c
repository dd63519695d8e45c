// What the table of messages says.
// SPDX-License-Identifier: MIT
#include "farsock/errors.h"
#include "farsock/wire.h"

// Bytes of its payload at the least, or -1.
static int payload_of(unsigned num) {
    switch (num) {
#define X(name, num, request, needs_socket, text)                              \
    case num:                                                                  \
        return (int)sizeof(struct request);
#include "farsock/ops.def"
#undef X
        default:
            return -1;
    }
}

int far_msg_check(const struct far_msg *m) {
    int least = payload_of(m->op);
    if (least < 0 || m->flags != 0) {
        return FAR_EBADMSG;
    }
    if (m->op == FAR_OP_PAD) {
        return FAR_OK;
    }
    if (least == (int)sizeof(struct far_req_none)) {
        return m->len == 0 ? FAR_OK : FAR_EBADMSG;
    }
    return m->len >= least && m->len <= FAR_RECORD_MAX - sizeof *m
               ? FAR_OK
               : FAR_EBADMSG;
}
