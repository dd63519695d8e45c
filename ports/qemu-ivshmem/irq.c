// Interrupts without handlers: the IMSIC collects them, wfi ends at the first.
// SPDX-License-Identifier: MIT
#include "virt.h"

// RISC-V Advanced Interrupt Architecture, chapters 3 and 4.
#define MISELECT    "0x350"
#define MIREG       "0x351"
#define MTOPEI      "0x35c"
#define EIDELIVERY  0x70u
#define EITHRESHOLD 0x72u
#define EIE0        0xc0u

#define MTIMECMP  0x02004000u
#define MIE_TIMER (1u << 7)
#define MIE_EXT   (1u << 11)

// The APLIC turns the console's wire into a message.
#define APLIC           0x0c000000u
#define APLIC_DOMAIN    (APLIC + 0x0000u)
#define APLIC_SOURCE(n) (APLIC + 4u * (n))
#define APLIC_MSI_LOW   (APLIC + 0x1bc0u)
#define APLIC_MSI_HIGH  (APLIC + 0x1bc4u)
#define APLIC_ENABLE    (APLIC + 0x1edcu)
#define APLIC_TARGET(n) (APLIC + 0x3000u + 4u * (n))
#define DOMAIN_IE       (1u << 8)
#define DOMAIN_MSI      (1u << 2)
#define SOURCE_RISING   4u
#define UART_WIRE       10u

bool virt_busy;

static bool bell; // rung, and not yet told

static void imsic_write(uintptr_t reg, uintptr_t value) {
    __asm__ volatile("csrw " MISELECT ", %0\n\tcsrw " MIREG ", %1"
                     :
                     : "r"(reg), "r"(value)
                     : "memory");
}

// Claims the most urgent one: its number, 0 if there is none.
static uint32_t claim(void) {
    uintptr_t top;
    __asm__ volatile("csrrw %0, " MTOPEI ", zero" : "=r"(top) : : "memory");
    return (uint32_t)(top >> 16) & 0x7ffu;
}

static void aplic_init(void) {
    VIRT_REG32(APLIC_MSI_LOW) = VIRT_IMSIC >> 12;
    VIRT_REG32(APLIC_MSI_HIGH) = 0;
    VIRT_REG32(APLIC_SOURCE(UART_WIRE)) = SOURCE_RISING;
    VIRT_REG32(APLIC_TARGET(UART_WIRE)) = VIRT_IRQ_UART;
    VIRT_REG32(APLIC_DOMAIN) = DOMAIN_IE | DOMAIN_MSI;
    VIRT_REG32(APLIC_ENABLE) = UART_WIRE;
}

static void set_timer(uint64_t ns) {
    uint64_t at = ns == UINT64_MAX ? ns : ns / 100u + (ns % 100u != 0);
    VIRT_REG32(MTIMECMP + 4u) = UINT32_MAX; // not early in between
    VIRT_REG32(MTIMECMP) = (uint32_t)at;
    VIRT_REG32(MTIMECMP + 4u) = (uint32_t)(at >> 32);
}

void virt_irq_init(void) {
    set_timer(UINT64_MAX);
    imsic_write(EITHRESHOLD, 0);
    imsic_write(EIE0, 1u << VIRT_IRQ_BELL | 1u << VIRT_IRQ_UART);
    imsic_write(EIDELIVERY, 1);
    aplic_init();
    __asm__ volatile("csrs mie, %0" : : "r"(MIE_TIMER | MIE_EXT));
}

static bool take(void) {
    uint32_t id;
    bool any = false;
    while ((id = claim()) != 0) {
        any = true;
        bell |= id == VIRT_IRQ_BELL;
    }
    // Always: a character that came while the buffer was full rings no more.
    virt_uart_take();
    __asm__ volatile("fence iorw, iorw" : : : "memory");
    return any;
}

bool virt_wait(uint64_t deadline_ns) {
    if (!take() && !bell && !virt_interrupted && deadline_ns > virt_now_ns()) {
        if (!virt_busy) {
            // What comes from here on is pending, and wfi does not sleep.
            set_timer(deadline_ns);
            __asm__ volatile("wfi" : : : "memory");
            set_timer(UINT64_MAX);
        }
        take();
    }
    bool rung = bell;
    bell = false;
    return rung;
}
