// PCI, as much as one device needs: no firmware has looked at the bus before.
// SPDX-License-Identifier: MIT
#ifndef VIRT_PCI_H
#define VIRT_PCI_H

#include <stdbool.h>
#include <stdint.h>

struct pci_device {
    uintptr_t config;
    uintptr_t bar[6]; // 0: none
    uint64_t bar_bytes[6];
};

// Finds a device on bus 0, gives its BARs addresses and enables it. False if
// there is none. cost: some hundred configuration accesses
bool pci_find(struct pci_device *d, uint16_t vendor, uint16_t device);

// Has MSI-X vector 0 write data to address. False if it has no MSI-X.
bool pci_msix(const struct pci_device *d, uint64_t address, uint32_t data);

#endif
