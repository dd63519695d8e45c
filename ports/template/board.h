// What the SoC and its system give this port: the few things that a porter
// writes anew. What stands in board_sim.c is a simulation, for which threads
// and descriptors play the hardware; a port to a chip replaces that file and
// keeps this list. SPDX-License-Identifier: MIT
#ifndef FAR_TEMPLATE_BOARD_H
#define FAR_TEMPLATE_BOARD_H

#include <stddef.h>
#include <stdint.h>

// Context: T = task, I = interrupt handler. [TI]: both; it does not sleep.

// --- Clock ---

// How fast the counter below runs. Take the clock tree's word for it, not the
// data sheet's: farsock's time-outs are as wrong as this number, and `make
// port-check` compares the two cores' clocks.
#define BOARD_HZ 27000000u

// [TI] Ticks since some moment. It runs on while the core sleeps, never goes
// back and never wraps: a 32-bit counter of 27 MHz wraps every 159 seconds, so
// such a one must be widened (count the overflows in its interrupt, and read
// high, low, high again). RISC-V: rdtime (two harts may differ by some ticks).
uint64_t board_ticks(void);

// --- Doorbells ---

// [TI] Interrupts the other core. Whatever was stored and cleaned before must
// be there when its handler runs: put the barrier that orders memory before
// device registers in front of the register's store (RISC-V: fence w,o; arm64:
// dsb st). K230: a bit of the mailbox's CPU2DSP set register. Where the mailbox
// belongs to a driver of the SDK (on the K230 the IPCM driver), either take a
// channel that it leaves alone, or send one of its messages that interrupts
// (priority 1 there; messages of priority 0 wait for a timer of 10 ms).
void board_bell_ring(void);

// [T] From now on handler runs, as an interrupt handler, after each doorbell of
// the other core. Several that come close together may be one.
void board_bell_start(void (*handler)(void));

// [I] Takes the interrupt back at its source, first of all in the handler: a
// doorbell rung after this interrupts again. K230: the DSP2CPU clear register.
// If it came last, a doorbell that rings in between would be lost.
void board_bell_ack(void);

// --- Sleeping ---

// A count of events, and a sleep until it moves: the one thing that the port
// builds all its waiting from. With an RTOS: a counter, and an event flag or
// semaphore that everybody who sleeps gets. Without one: the counter and wfi,
// entered with interrupts masked, so that none slips in between the look and
// the sleep; wfi ends with a masked interrupt, too.

// [TI] How many there were; wraps.
uint32_t board_events(void);

// [TI] One more: whoever sleeps looks again.
void board_event(void);

// [T] Returns when board_events() is no longer seen, also if that was before
// the call; after ns at the latest (UINT64_MAX: never), and not much later;
// perhaps earlier for no reason. An RTOS tick makes it coarse: round up, never
// down.
void board_sleep(uint32_t seen, uint64_t ns);

// --- Memory ---

// The shared memory as this core sees it: the same bytes, in the same order, as
// farsockd maps. It is in no heap and no other core's memory map, lies at a
// multiple of 4 KiB and has a multiple of 8 KiB bytes. K230: a carve-out of the
// MMZ heap, by its physical address.
void *board_shared(uint64_t *bytes);

// The number of this doorbell as farsockd's side knows it, 0 if there is only
// one.
#define BOARD_BELL 0u

// Bytes of a cache line, as the hardware has it. Too large, and lines are left
// out: bytes get lost. Too small costs time. Up to 4096. Hardware whose lines
// have less than 64 bytes must not cache the memory (SPEC.md, "Cache lines").
#define BOARD_LINE 64u

// [TI] Writes the line at this address back to memory; drops it, so that the
// next load comes from there. In memory that neither core caches, both are
// empty; what a core reads then is always what is there, only slower.
// T-Head C908 (K230): th.dcache.cva and th.dcache.iva, then th.sync in
// FAR_SYNC. Never clean-and-invalidate where the peer writes: it would write a
// stale line over the peer's bytes. (The lines that farsock drops are never
// dirty here.)
void board_clean_line(uintptr_t at);
void board_drop_line(uintptr_t at);

#endif
