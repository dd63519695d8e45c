// PCI, as much as one device needs.
// SPDX-License-Identifier: MIT
#include "pci.h"

#include "virt.h"

// PCI Local Bus Specification 3.0, chapter 6.
#define COMMAND       0x04u
#define COMMAND_MEM   0x2u
#define COMMAND_BUS   0x4u
#define STATUS_CAPS   (1u << 20) // of the word at COMMAND
#define BAR(n)        (0x10u + 4u * (n))
#define BAR_IO        0x1u
#define BAR_64        0x4u
#define CAP_FIRST     0x34u
#define CAP_MSIX      0x11u
#define MSIX_ENABLE   (1u << 31)
#define MSIX_MASK_ALL (1u << 30)

static uint64_t next_address = VIRT_PCI_MMIO;

// Gives BAR i an address aligned to its size. True if it takes two.
static bool assign(struct pci_device *d, uint32_t i) {
    uintptr_t at = d->config + BAR(i);
    uint32_t kind = VIRT_REG32(at);
    bool wide = (kind & BAR_64) != 0;
    if (kind & BAR_IO) {
        return false;
    }
    VIRT_REG32(at) = UINT32_MAX;
    uint64_t mask = VIRT_REG32(at) & ~0xfu;
    if (wide) {
        VIRT_REG32(at + 4u) = UINT32_MAX;
        mask |= (uint64_t)VIRT_REG32(at + 4u) << 32;
    } else {
        mask |= (uint64_t)UINT32_MAX << 32;
    }
    if ((uint32_t)mask == 0 && (mask >> 32 == UINT32_MAX || mask == 0)) {
        return wide;
    }
    uint64_t bytes = ~mask + 1u;
    uint64_t address = (next_address + bytes - 1u) & ~(bytes - 1u);
    next_address = address + bytes;
    VIRT_REG32(at) = (uint32_t)address;
    if (wide) {
        VIRT_REG32(at + 4u) = (uint32_t)(address >> 32);
    }
    d->bar[i] = (uintptr_t)address;
    d->bar_bytes[i] = bytes;
    return wide;
}

bool pci_find(struct pci_device *d, uint16_t vendor, uint16_t device) {
    uint32_t id = (uint32_t)device << 16 | vendor;
    for (uint32_t slot = 0; slot < 32; slot++) {
        uintptr_t config = VIRT_ECAM + (slot << 15);
        if (VIRT_REG32(config) != id) {
            continue;
        }
        *d = (struct pci_device){.config = config};
        VIRT_REG32(config + COMMAND) = 0;
        for (uint32_t i = 0; i < 6; i++) {
            i += assign(d, i);
        }
        VIRT_REG32(config + COMMAND) = COMMAND_MEM | COMMAND_BUS;
        return true;
    }
    return false;
}

static uintptr_t find_cap(const struct pci_device *d, uint8_t id) {
    if (!(VIRT_REG32(d->config + COMMAND) & STATUS_CAPS)) {
        return 0;
    }
    uint32_t at = VIRT_REG32(d->config + CAP_FIRST) & 0xfcu;
    // A list in 192 bytes has at most 48 members.
    for (int i = 0; i < 48 && at != 0; i++) {
        uint32_t head = VIRT_REG32(d->config + at);
        if ((head & 0xffu) == id) {
            return d->config + at;
        }
        at = head >> 8 & 0xfcu;
    }
    return 0;
}

bool pci_msix(const struct pci_device *d, uint64_t address, uint32_t data) {
    uintptr_t cap = find_cap(d, CAP_MSIX);
    if (cap == 0) {
        return false;
    }
    uint32_t where = VIRT_REG32(cap + 4u);
    uintptr_t bar = (where & 7u) < 6u ? d->bar[where & 7u] : 0;
    if (bar == 0) {
        return false;
    }
    uintptr_t entry = bar + (where & ~7u);
    VIRT_REG32(entry) = (uint32_t)address;
    VIRT_REG32(entry + 4u) = (uint32_t)(address >> 32);
    VIRT_REG32(entry + 8u) = data;
    VIRT_REG32(entry + 12u) = 0; // not masked
    VIRT_REG32(cap) = (VIRT_REG32(cap) | MSIX_ENABLE) & ~MSIX_MASK_ALL;
    return true;
}
