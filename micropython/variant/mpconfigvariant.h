// MicroPython's unix port as a near core: features, and the hooks of wait.c.
// SPDX-License-Identifier: MIT

#define MICROPY_CONFIG_ROM_LEVEL (MICROPY_CONFIG_ROM_LEVEL_EXTRA_FEATURES)

#include "ports/unix/variants/mpconfigvariant_common.h"

// Where poll() is MicroPython's own loop over descriptors, an object without
// one makes every poll sleep a millisecond before any object is asked.
#undef MICROPY_PY_SELECT_POSIX_OPTIMISATIONS
#define MICROPY_PY_SELECT_POSIX_OPTIMISATIONS (0)
#undef MICROPY_PY_SELECT_SELECT
#define MICROPY_PY_SELECT_SELECT (1)

// The unix port would longjmp() out of its SIGINT handler, also through our
// code in the middle of a ring's update. As an exception that is pending, the
// interrupt needs whoever sleeps to be told: wait.c.
#undef MICROPY_ASYNC_KBD_INTR
#define MICROPY_ASYNC_KBD_INTR                      (0)
#define MICROPY_WRAP_MP_SCHED_KEYBOARD_INTERRUPT(f) far_mp_real_interrupt

// The main thread may sleep without end while another thread schedules.
#define MICROPY_SCHED_HOOK_SCHEDULED far_mp_scheduled()

#define MICROPY_MPHALPORT_H "far_mphalport.h"
