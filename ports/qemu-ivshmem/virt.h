// QEMU's RISC-V virt machine, as much of it as a near core needs. One hart, no
// interrupt handlers: what comes is taken between two instructions of wfi.
// SPDX-License-Identifier: MIT
#ifndef VIRT_H
#define VIRT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// --- Registers ---

#define VIRT_REG32(at) (*(volatile uint32_t *)(uintptr_t)(at))
#define VIRT_REG8(at)  (*(volatile uint8_t *)(uintptr_t)(at))

#define VIRT_ECAM     0x30000000u // PCI configuration space
#define VIRT_PCI_MMIO 0x40000000u // 1 GiB for BARs
#define VIRT_IMSIC    0x24000000u // hart 0's machine-level file

// --- What comes (irq.c) ---

enum virt_irq {
    VIRT_IRQ_BELL = 1, // the link's doorbell
    VIRT_IRQ_UART = 2,
};

// Enables the timer's and the IMSIC's interrupts as wake-ups of wfi.
void virt_irq_init(void);

// Sleeps until something comes or until deadline_ns of virt_now_ns() (0: does
// not sleep). Takes what came: the console's characters go to its buffer.
// True if the doorbell was among it, now or before.
bool virt_wait(uint64_t deadline_ns);

// For measuring: does not sleep, but looks again and again.
extern bool virt_busy;

// --- Time (virt.c) ---

uint64_t virt_now_ns(void);  // since the start
uint64_t virt_date_ns(void); // since 1970

// --- Console (uart.c) ---

void virt_uart_init(void);
void virt_write(const char *text, size_t len);
// The next character, -1 if there is none. Does not wait.
int virt_read(void);
bool virt_readable(void);
// Moves what has come to the buffer. The character `interrupt` does not go
// there: it makes virt_interrupted true.
void virt_uart_take(void);
extern int virt_interrupt_char; // -1: none
extern volatile bool virt_interrupted;

// --- The rest of the machine ---

// Called at the start, before main().
void virt_init(void);
// Ends the machine: QEMU's exit status.
_Noreturn void virt_exit(int status);
_Noreturn void virt_reset(void);
_Noreturn void virt_fault(uintptr_t cause, uintptr_t pc, uintptr_t value);

// A file that the host put into memory before the start (farsock-qemu packs
// them, QEMU's loader device places them). Its bytes stay there.
struct virt_file {
    const char *name; // not terminated
    size_t name_len;
    const void *data;
    size_t len;
};
// The i-th; the one of that name. False if there is none.
bool virt_given(size_t i, struct virt_file *out);
bool virt_find(const char *name, struct virt_file *out);

// Random bytes of the virtio device. False if there is none.
bool virt_random(void *buf, size_t len);

// Memory behind the program.
extern uint8_t virt_free[];
extern uint8_t virt_ram_end[];
extern const uint8_t virt_pack[];
extern const uint8_t virt_pack_end[];
extern uint8_t virt_stack_top[];
extern uint8_t virt_stack_bottom[];

#endif
