// Time, waiting and the console for MicroPython.
// SPDX-License-Identifier: MIT
#include "py/mphal.h"

#include "py/runtime.h"
#include "py/stream.h"
#include "lib/oofatfs/ff.h"
#include "shared/readline/readline.h"
#include "shared/timeutils/timeutils.h"

#include "link.h"
#include "modsocket_link.h"
#include "virt.h"

#define NS_PER_MS 1000000u
#define NS_PER_US 1000u

// --- Ctrl-C ---

void mp_hal_set_interrupt_char(int c) {
    virt_interrupt_char = c;
}

void far_mp_look(void) {
    virt_uart_take();
    if (virt_interrupted) {
        virt_interrupted = false;
        mp_sched_keyboard_interrupt();
    }
}

// --- Waiting ---

// In place of the port's wait(): also ends for the console.
static int wait_all(void *arg, uint64_t deadline_ns) {
    (void)arg;
    bool rung = virt_wait(deadline_ns);
    if (virt_readable() || virt_interrupted) {
        return FAR_ETIMEDOUT;
    }
    return rung || virt_now_ns() < deadline_ns ? FAR_OK : FAR_ETIMEDOUT;
}

// A KICK that was taken since the last wait may be about an object that was
// asked before it: then all are asked once more.
void far_mp_wait(mp_uint_t timeout_ms) {
    static uint32_t seen;
    uint64_t deadline = timeout_ms == (mp_uint_t)-1
                            ? FAR_FOREVER
                            : virt_now_ns() + (uint64_t)timeout_ms * NS_PER_MS;
    struct far_mp_link *link = far_mp_link_current();
    if (link == NULL) {
        wait_all(NULL, deadline);
        return;
    }
    struct far_link *near = far_mp_link_near(link);
    uint32_t events = far_link_events(near);
    if (events == seen) {
        far_link_wait(near, events, deadline, wait_all, NULL);
    }
    seen = events;
}

static void delay_until(uint64_t end) {
    while (virt_now_ns() < end) {
        mp_handle_pending(true);
        virt_wait(end);
        far_mp_look();
    }
}

void mp_hal_delay_ms(mp_uint_t ms) {
    uint64_t end = virt_now_ns() + (uint64_t)ms * NS_PER_MS;
    mp_handle_pending(true);
    delay_until(end);
    mp_handle_pending(true);
}

void mp_hal_delay_us(mp_uint_t us) {
    uint64_t end = virt_now_ns() + (uint64_t)us * NS_PER_US;
    while (virt_now_ns() < end) {
    }
}

// --- Time ---

mp_uint_t mp_hal_ticks_ms(void) {
    return (mp_uint_t)(virt_now_ns() / NS_PER_MS);
}

mp_uint_t mp_hal_ticks_us(void) {
    return (mp_uint_t)(virt_now_ns() / NS_PER_US);
}

mp_uint_t mp_hal_ticks_cpu(void) {
    return (mp_uint_t)virt_now_ns();
}

uint64_t mp_hal_time_ns(void) {
    return virt_date_ns();
}

// Of files: the FAT file system asks for it.
DWORD get_fattime(void) {
    timeutils_struct_time_t t;
    timeutils_seconds_since_epoch_to_struct_time(virt_date_ns() / 1000000000u,
        &t);
    return (DWORD)(t.tm_year - 1980) << 25 | (DWORD)t.tm_mon << 21 |
           (DWORD)t.tm_mday << 16 | (DWORD)t.tm_hour << 11 |
           (DWORD)t.tm_min << 5 | (DWORD)t.tm_sec / 2u;
}

// --- Console ---

uintptr_t mp_hal_stdio_poll(uintptr_t poll_flags) {
    uintptr_t ready = poll_flags & MP_STREAM_POLL_WR;
    if ((poll_flags & MP_STREAM_POLL_RD) && virt_readable()) {
        ready |= MP_STREAM_POLL_RD;
    }
    return ready;
}

static bool reads_line;

int mp_hal_stdin_rx_chr(void) {
    for (;;) {
        int c = virt_read();
        if (c >= 0) {
            return c == '\n' && reads_line ? '\r' : c;
        }
        virt_wait(UINT64_MAX);
        far_mp_look();
        mp_handle_pending(true);
    }
}

mp_uint_t mp_hal_stdout_tx_strn(const char *str, size_t len) {
    virt_write(str, len);
    return len;
}

int far_mp_readline(vstr_t *line, const char *prompt) {
    nlr_buf_t nlr;
    reads_line = true;
    if (nlr_push(&nlr) == 0) {
        int end = readline(line, prompt);
        nlr_pop();
        reads_line = false;
        return end;
    }
    reads_line = false;
    nlr_jump(nlr.ret_val);
}
