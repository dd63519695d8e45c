// Time, waiting and the console for MicroPython.
// SPDX-License-Identifier: MIT
#ifndef FAR_MPHALPORT_H
#define FAR_MPHALPORT_H

#include <stddef.h>

#include "py/mpconfig.h"
#include "shared/runtime/interrupt_char.h"

void mp_hal_set_interrupt_char(int c);

// Waits for the doorbell, a character or the time, whichever is first.
#define MICROPY_INTERNAL_WFE(timeout_ms) far_mp_wait(timeout_ms)
void far_mp_wait(mp_uint_t timeout_ms);

// input(): a line may also end as in a file that is the terminal's input.
#define mp_hal_readline far_mp_readline
struct _vstr_t;
int far_mp_readline(struct _vstr_t *line, const char *prompt);

// Nothing interrupts this core.
#define MICROPY_BEGIN_ATOMIC_SECTION()    (0)
#define MICROPY_END_ATOMIC_SECTION(state) (void)(state)

#endif
