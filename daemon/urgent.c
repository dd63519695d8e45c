// Urgent data of streams: where it lies in what the kernel gives.
// SPDX-License-Identifier: MIT
#include "daemon/core.h"

#include <errno.h>

#include <linux/sockios.h>
#include <sys/ioctl.h>

#include "daemon/translate.h"
#include "farsock/mem.h"

// The kernel's recv() stops at urgent data, but if it begins there it goes on
// behind it, and nothing tells. So before each recv() it must be sure that the
// first byte is not urgent, or that we know. Most of the time the event says so
// (rx_sure); else the kernel is asked. Both are right as long as there are
// bytes before what may come: where the queue is empty, we do not recv(), until
// the peer's end is there and nothing before it is urgent (rx_plain).
//
// From the first urgent byte on the kernel has it in line, so that no byte is
// lost, whenever the next comes: what near's program sees is near's affair.

static uint32_t queued(int fd) {
    int n = 0;
    return ioctl(fd, FIONREAD, &n) < 0 || n < 0 ? 0 : (uint32_t)n;
}

static bool is_at_mark(int fd) {
    int at = 0;
    return ioctl(fd, SIOCATMARK, &at) == 0 && at != 0;
}

static void set_inline(struct sock *s, int on) {
    setsockopt(s->fd, SOL_SOCKET, SO_OOBINLINE, &on, sizeof on);
    s->urg_inline = on != 0;
}

static void note_mark(struct sock *s, uint32_t pos, uint8_t byte) {
    uint32_t count = (s->urg >> 16) & 0xffffu;
    if (s->urg_ahead && s->urg_pos[count % FAR_MARKS] == pos) {
        return; // as announced
    }
    count = (count + 1u) & 0xffffu;
    s->urg_pos[count % FAR_MARKS] = pos;
    s->urg = count << 16 | byte;
    s->urg_ahead = true;
    s->dirty = true;
    // At once, and so one by one: near counts on it that there is never more
    // than one place that is not yet counted.
    struct far_far_line *line = sock_line(s);
    far_store(&line->urg_pos[count % FAR_MARKS], pos);
    FAR_WMB(FAR_AT_URG_PLACE);
    far_store(&line->urg, s->urg);
}

// The kernel stands at urgent data. False if it is announced only.
static bool meet_mark(struct sock *s) {
    uint8_t byte = 0;
    if (!s->urg_inline) {
        set_inline(s, 1);
    }
    if (recv(s->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) != 1) {
        return false;
    }
    note_mark(s, s->rx_head, byte);
    s->urg_ahead = false; // from here on it is behind us
    s->urg_hint = false;
    return true;
}

bool urgent_look(struct sock *s) {
    uint32_t n = queued(s->fd);
    // Not in line, bytes are counted up to the mark only.
    if (n > 0 && !s->urg_inline) {
        return true;
    }
    if (is_at_mark(s->fd) && meet_mark(s)) {
        return true;
    }
    // Where nothing more can come, recv() says why.
    if (n > 0 || s->failed || s->shut_rd ||
        (s->state & (FAR_ST_RDHUP | FAR_ST_HUP | FAR_ST_ERRQUEUE))) {
        return true;
    }
    s->rx_ready = false;
    return false;
}

// What is further on than near's ring has room for. Not in line for a moment:
// nothing is lost by that while there are bytes before it.
static int32_t look_ahead(struct sock *s) {
    uint8_t byte = 0;
    bool was = s->urg_inline;
    if (was) {
        set_inline(s, 0);
    }
    int32_t r = far_result((int)recv(s->fd, &byte, 1,
        MSG_OOB | MSG_PEEK | MSG_DONTWAIT));
    uint32_t n = queued(s->fd);
    if (was) {
        set_inline(s, 1);
    }
    if (r == 1 && n > 0) {
        note_mark(s, s->rx_head + n, byte);
    }
    return r;
}

int32_t urgent_find(struct sock *s) {
    if (is_at_mark(s->fd) && meet_mark(s)) {
        return 1;
    }
    return look_ahead(s);
}
