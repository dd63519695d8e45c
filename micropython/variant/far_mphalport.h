// The unix port's hardware layer, with waits that end when something happens.
// SPDX-License-Identifier: MIT

#ifndef FAR_MPHALPORT_H
#define FAR_MPHALPORT_H

#include "ports/unix/mphalport.h"

// The port's own sleeps 500 us whatever happens. All of these are in wait.c.
#undef MICROPY_INTERNAL_WFE
#define MICROPY_INTERNAL_WFE(timeout_ms) far_mp_wait(timeout_ms)
void far_mp_wait(mp_uint_t timeout_ms);

#define mp_hal_delay_ms(ms) far_mp_delay_ms(ms)
void far_mp_delay_ms(mp_uint_t ms);

void far_mp_real_interrupt(void);
void far_mp_scheduled(void);

#endif
