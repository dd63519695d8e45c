// What the table of messages says.
// SPDX-License-Identifier: MIT
#include "farsock/errors.h"
#include "farsock/wire.h"

struct op {
    unsigned num;
    unsigned payload; // bytes at the least
    const char *name;
};

static const struct op ops[] = {
#define X(name, num, request, needs_socket, text)                              \
    {num, (unsigned)sizeof(struct request), #name},
#include "farsock/ops.def"
#undef X
};

static const struct op *find(unsigned num) {
    for (unsigned i = 0; i < sizeof ops / sizeof ops[0]; i++) {
        if (ops[i].num == num) {
            return &ops[i];
        }
    }
    return NULL;
}

int far_msg_check(const struct far_msg *m) {
    const struct op *op = find(m->op);
    if (op == NULL || m->flags != 0) {
        return FAR_EBADMSG;
    }
    if (m->op == FAR_OP_PAD) {
        return FAR_OK;
    }
    if (op->payload == sizeof(struct far_req_none)) {
        return m->len == 0 ? FAR_OK : FAR_EBADMSG;
    }
    return m->len >= op->payload && m->len <= FAR_RECORD_MAX - sizeof *m
               ? FAR_OK
               : FAR_EBADMSG;
}

const char *far_op_name(unsigned num) {
    const struct op *op = find(num);
    return op ? op->name : "?";
}
