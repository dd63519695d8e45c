// The port: a link over an ivshmem device.
// SPDX-License-Identifier: MIT
#include "ivshmem.h"

#include "pci.h"
#include "virt.h"

// QEMU, docs/specs/ivshmem-spec.
#define VENDOR   0x1af4u
#define DEVICE   0x1110u
#define POSITION 8u  // of BAR 0: our id
#define DOORBELL 12u // peer << 16 | vector

// Doorbells rung before QEMU knows its peers are lost: look again by then.
#define STEP_NS 5000000u

bool (*far_ivshmem_interrupted)(void);
struct far_ivshmem_bells far_ivshmem_bells;

static struct {
    struct pci_device pci;
    bool found;
    bool up;
    bool woken; // wake() before the wait
    struct far_join join;
} core;

// --- The port's hooks ---

static uint64_t now_ns(void *ctx) {
    (void)ctx;
    return virt_now_ns();
}

static void notify(void *ctx) {
    (void)ctx;
    if (core.join.far_bell != 0) {
        far_ivshmem_bells.rung++;
        // Memory before the register.
        __asm__ volatile("fence rw, o" : : : "memory");
        VIRT_REG32(core.pci.bar[0] + DOORBELL) = (core.join.far_bell - 1u)
                                                 << 16;
    }
}

static void wake(void *ctx) {
    (void)ctx;
    core.woken = true;
}

static bool interrupted(void *ctx) {
    (void)ctx;
    return far_ivshmem_interrupted != NULL && far_ivshmem_interrupted();
}

static int wait(void *ctx, uint64_t deadline_ns) {
    for (;;) {
        bool rung = virt_wait(core.woken ? 0 : deadline_ns);
        far_ivshmem_bells.taken += rung;
        if (core.up && !far_join_holds(&core.join)) {
            return FAR_ELINKDOWN;
        }
        if (rung || core.woken) {
            core.woken = false;
            return FAR_OK;
        }
        if (interrupted(ctx)) {
            return FAR_EINTR;
        }
        if (virt_now_ns() >= deadline_ns) {
            return FAR_ETIMEDOUT;
        }
    }
}

static const struct far_port port = {
    .now_ns = now_ns,
    .notify = notify,
    .wait = wait,
    .wake = wake,
    .interrupted = interrupted,
};

const struct far_join *far_ivshmem_join(void) {
    return &core.join;
}

// --- Link-up ---

static int find(void) {
    if (core.found) {
        return FAR_OK;
    }
    if (!pci_find(&core.pci, VENDOR, DEVICE) || core.pci.bar[2] == 0 ||
        !pci_msix(&core.pci, VIRT_IMSIC, VIRT_IRQ_BELL)) {
        return FAR_ENODEV;
    }
    core.found = true;
    return FAR_OK;
}

static int join(uint64_t deadline_ns) {
    core.up = false;
    core.join = (struct far_join){
        .region = (void *)core.pci.bar[2],
        .region_bytes = core.pci.bar_bytes[2],
        .bell = VIRT_REG32(core.pci.bar[0] + POSITION) + 1u,
        .port = &port,
    };
    far_join_begin(&core.join);
    for (;;) {
        int err = far_join_step(&core.join);
        if (err == FAR_OK) {
            return FAR_OK;
        }
        uint64_t now = virt_now_ns();
        if (now >= deadline_ns) {
            return err == FAR_EAGAIN ? FAR_ETIMEDOUT : err;
        }
        uint64_t next = now + STEP_NS;
        if (wait(NULL, next < deadline_ns ? next : deadline_ns) == FAR_EINTR) {
            return FAR_EINTR;
        }
    }
}

int far_ivshmem_up(void *mem, size_t mem_bytes, uint64_t deadline_ns,
    struct far_link **out) {
    int err = find();
    if (err == FAR_OK) {
        err = join(deadline_ns);
    }
    if (err != FAR_OK) {
        return err;
    }
    if (far_link_size(&core.join.layout) > mem_bytes) {
        return FAR_ENOMEM;
    }
    *out = far_link_init_joined(mem, &core.join, &err);
    core.up = *out != NULL;
    return err;
}
