// The console: a 16550.
// SPDX-License-Identifier: MIT
#include "virt.h"

#define UART      0x10000000u
#define DATA      (UART + 0u)
#define IER       (UART + 1u)
#define LSR       (UART + 5u)
#define LSR_READY 0x01u
#define LSR_EMPTY 0x20u

int virt_interrupt_char = -1;
volatile bool virt_interrupted;

// One writer and one reader, both this core's only thread.
static uint8_t buffer[4096];
static uint32_t head;
static uint32_t tail;

// The FIFOs stay as a reset leaves them, off: turning them on would clear what
// has come by then. QEMU gives the next character when this one has been read.
void virt_uart_init(void) {
    VIRT_REG8(IER) = 1; // an interrupt when something came
}

void virt_write(const char *text, size_t len) {
    for (size_t i = 0; i < len; i++) {
        while (!(VIRT_REG8(LSR) & LSR_EMPTY)) {
        }
        VIRT_REG8(DATA) = (uint8_t)text[i];
    }
}

// A full buffer leaves the rest where it is: the terminal then waits.
void virt_uart_take(void) {
    while (head - tail < sizeof buffer && (VIRT_REG8(LSR) & LSR_READY)) {
        int c = VIRT_REG8(DATA);
        if (c == virt_interrupt_char) {
            virt_interrupted = true;
        } else {
            buffer[head++ % sizeof buffer] = (uint8_t)c;
        }
    }
}

bool virt_readable(void) {
    virt_uart_take();
    return head != tail;
}

int virt_read(void) {
    return virt_readable() ? buffer[tail++ % sizeof buffer] : -1;
}
