// Random bytes: the virtio entropy device on the MMIO bus.
// SPDX-License-Identifier: MIT
#include "virt.h"

#include <string.h>

// Virtual I/O Device (VIRTIO) 1.2, sections 2.7 and 4.2.
#define SLOTS        8u
#define SLOT(n)      (0x10001000u + 0x1000u * (n))
#define MAGIC        0x000u
#define VERSION      0x004u
#define DEVICE_ID    0x008u
#define DRV_FEATURES 0x020u
#define DRV_SELECT   0x024u
#define QUEUE_SELECT 0x030u
#define QUEUE_SIZE   0x038u
#define QUEUE_READY  0x044u
#define NOTIFY       0x050u
#define STATUS       0x070u
#define DESC_LOW     0x080u
#define AVAIL_LOW    0x090u
#define USED_LOW     0x0a0u

#define ID_ENTROPY       4u
#define F_VERSION_1_HIGH 1u // bit 32

struct desc {
    uint64_t addr;
    uint32_t len;
    uint16_t flags; // 2: the device writes
    uint16_t next;
};
struct avail {
    uint16_t flags;
    uint16_t idx;
    uint16_t ring[1];
};
struct used {
    uint16_t flags;
    uint16_t idx;
    struct {
        uint32_t id;
        uint32_t len;
    } ring[1];
};

static struct {
    _Alignas(16) struct desc desc;
    _Alignas(16) struct avail avail;
    _Alignas(16) struct used used;
    uint8_t data[64];
} queue;
static uint32_t device; // 0: not looked for, 1: there is none

static uint32_t find(void) {
    for (uint32_t i = 0; i < SLOTS; i++) {
        uint32_t at = SLOT(i);
        if (VIRT_REG32(at + MAGIC) == 0x74726976u &&
            VIRT_REG32(at + VERSION) == 2 &&
            VIRT_REG32(at + DEVICE_ID) == ID_ENTROPY) {
            return at;
        }
    }
    return 1;
}

static void set_address(uint32_t reg, const void *at) {
    uint64_t a = (uintptr_t)at;
    VIRT_REG32(device + reg) = (uint32_t)a;
    VIRT_REG32(device + reg + 4u) = (uint32_t)(a >> 32);
}

static void start(void) {
    VIRT_REG32(device + STATUS) = 0;
    VIRT_REG32(device + STATUS) = 1u | 2u; // seen it, can drive it
    VIRT_REG32(device + DRV_SELECT) = 1;
    VIRT_REG32(device + DRV_FEATURES) = F_VERSION_1_HIGH;
    VIRT_REG32(device + DRV_SELECT) = 0;
    VIRT_REG32(device + DRV_FEATURES) = 0;
    VIRT_REG32(device + STATUS) = 1u | 2u | 8u; // features agreed
    VIRT_REG32(device + QUEUE_SELECT) = 0;
    VIRT_REG32(device + QUEUE_SIZE) = 1;
    set_address(DESC_LOW, &queue.desc);
    set_address(AVAIL_LOW, &queue.avail);
    set_address(USED_LOW, &queue.used);
    VIRT_REG32(device + QUEUE_READY) = 1;
    VIRT_REG32(device + STATUS) = 1u | 2u | 8u | 4u;
}

// One round: bytes in queue.data. The device answers within microseconds.
static uint32_t ask(void) {
    volatile struct used *used = &queue.used;
    uint16_t before = used->idx;
    queue.desc = (struct desc){
        .addr = (uintptr_t)queue.data, .len = sizeof queue.data, .flags = 2};
    queue.avail.ring[0] = 0;
    __asm__ volatile("fence rw, rw" : : : "memory");
    *(volatile uint16_t *)&queue.avail.idx = (uint16_t)(queue.avail.idx + 1u);
    __asm__ volatile("fence rw, o" : : : "memory");
    VIRT_REG32(device + NOTIFY) = 0;
    uint64_t until = virt_now_ns() + 2000000000u;
    while (used->idx == before && virt_now_ns() < until) {
    }
    __asm__ volatile("fence rw, rw" : : : "memory");
    uint32_t len = used->ring[0].len;
    return used->idx == before       ? 0
           : len < sizeof queue.data ? len
                                     : (uint32_t)sizeof queue.data;
}

bool virt_random(void *buf, size_t len) {
    uint8_t *out = buf;
    if (device == 0) {
        device = find();
        if (device != 1) {
            start();
        }
    }
    while (device != 1 && len > 0) {
        uint32_t got = ask();
        uint32_t n = got < len ? got : (uint32_t)len;
        if (n == 0) {
            return false;
        }
        memcpy(out, queue.data, n);
        out += n;
        len -= n;
    }
    return len == 0;
}
