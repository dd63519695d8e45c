// Time, the end, and files from the host.
// SPDX-License-Identifier: MIT
#include "virt.h"

#include <string.h>

#define MTIME    0x0200bff8u // 10 MHz
#define RTC      0x00101000u // goldfish: nanoseconds since 1970
#define FINISHER 0x00100000u

void virt_init(void) {
    virt_uart_init();
    virt_irq_init();
}

// --- Time ---

static uint64_t ticks(void) {
    // Of a 32-bit core the two halves may belong to different times.
    uint32_t high;
    uint32_t low;
    do {
        high = VIRT_REG32(MTIME + 4u);
        low = VIRT_REG32(MTIME);
    } while (high != VIRT_REG32(MTIME + 4u));
    return (uint64_t)high << 32 | low;
}

uint64_t virt_now_ns(void) {
    return ticks() * 100u;
}

uint64_t virt_date_ns(void) {
    uint32_t low = VIRT_REG32(RTC); // latches the high half
    return (uint64_t)VIRT_REG32(RTC + 4u) << 32 | low;
}

// --- The end ---

void virt_exit(int status) {
    uint32_t code = (uint32_t)status & 0xffffu;
    VIRT_REG32(FINISHER) = status == 0 ? 0x5555u : code << 16 | 0x3333u;
    for (;;) {
        __asm__ volatile("wfi");
    }
}

void virt_reset(void) {
    VIRT_REG32(FINISHER) = 0x7777u;
    for (;;) {
        __asm__ volatile("wfi");
    }
}

static void write_hex(uintptr_t v) {
    char text[2 * sizeof v + 1];
    size_t at = sizeof text;
    text[--at] = ' ';
    do {
        text[--at] = "0123456789abcdef"[v & 15u];
        v >>= 4;
    } while (v != 0);
    virt_write(text + at, sizeof text - at);
}

void virt_fault(uintptr_t cause, uintptr_t pc, uintptr_t value) {
    static const char text[] = "fault: mcause, mepc, mtval: ";
    virt_write(text, sizeof text - 1);
    write_hex(cause);
    write_hex(pc);
    write_hex(value);
    virt_write("\n", 1);
    virt_exit(99);
}

// --- Files from the host ---

struct entry {
    uint32_t name_len; // 0: the end
    uint32_t len;
};

static size_t up8(size_t n) {
    return (n + 7u) / 8u * 8u;
}

bool virt_given(size_t i, struct virt_file *out) {
    const uint8_t *at = virt_pack;
    if (memcmp(at, "FARPACK1", 8) != 0) {
        return false;
    }
    at += 8;
    for (;; i--) {
        struct entry e;
        memcpy(&e, at, sizeof e);
        size_t left = (size_t)(virt_pack_end - at) - sizeof e;
        if (e.name_len == 0 || e.name_len > left || e.len > left ||
            up8(e.name_len) + up8(e.len) > left) {
            return false;
        }
        at += sizeof e;
        if (i == 0) {
            *out = (struct virt_file){
                (const char *)at, e.name_len, at + up8(e.name_len), e.len};
            return true;
        }
        at += up8(e.name_len) + up8(e.len);
    }
}

bool virt_find(const char *name, struct virt_file *out) {
    for (size_t i = 0; virt_given(i, out); i++) {
        if (out->name_len == strlen(name) &&
            memcmp(out->name, name, out->name_len) == 0) {
            return true;
        }
    }
    return false;
}
