// MicroPython on this core: a script that the host gave, or a terminal.
// SPDX-License-Identifier: MIT
#include <stdlib.h>
#include <string.h>

#include "py/builtin.h"
#include "py/compile.h"
#include "py/gc.h"
#include "py/mphal.h"
#include "py/runtime.h"
#include "py/stackctrl.h"
#include "shared/runtime/gchelper.h"
#include "shared/readline/readline.h"
#include "shared/runtime/pyexec.h"

#include "disk.h"
#include "virt.h"

#define STACK_ROOM 8192u // for what runs when Python's stack is full

// --- The script ---

// sys.argv: one word a line. The first is the script's name.
static qstr set_argv(void) {
    struct virt_file f;
    qstr name = MP_QSTR__lt_stdin_gt_;
    if (!virt_find("argv", &f)) {
        return name;
    }
    const char *word = f.data;
    const char *end = word + f.len;
    while (word < end) {
        const char *stop = memchr(word, '\n', (size_t)(end - word));
        stop = stop != NULL ? stop : end;
        if (word == f.data) {
            name = qstr_from_strn(word, (size_t)(stop - word));
        }
        mp_obj_list_append(mp_sys_argv,
            mp_obj_new_str(word, (size_t)(stop - word)));
        word = stop + 1;
    }
    return name;
}

static int status_of(mp_obj_t exception) {
    if (!mp_obj_is_subclass_fast(MP_OBJ_FROM_PTR(mp_obj_get_type(exception)),
            MP_OBJ_FROM_PTR(&mp_type_SystemExit))) {
        mp_obj_print_exception(&mp_plat_print, exception);
        return 1;
    }
    mp_obj_t value = mp_obj_exception_get_value(exception);
    mp_int_t status = 1;
    if (value == mp_const_none) {
        return 0;
    }
    return mp_obj_get_int_maybe(value, &status) ? (int)status & 0xff : 1;
}

static int run(const char *text, size_t len, qstr name) {
    nlr_buf_t nlr;
    if (nlr_push(&nlr) == 0) {
        mp_lexer_t *lex = mp_lexer_new_from_str_len(name, text, len, 0);
        mp_parse_tree_t tree = mp_parse(lex, MP_PARSE_FILE_INPUT);
        mp_obj_t module = mp_compile(&tree, name, false);
        mp_hal_set_interrupt_char(CHAR_CTRL_C);
        mp_call_function_0(module);
        mp_hal_set_interrupt_char(-1);
        mp_handle_pending(true);
        nlr_pop();
        return 0;
    }
    mp_hal_set_interrupt_char(-1);
    mp_handle_pending(false);
    return status_of(MP_OBJ_FROM_PTR(nlr.ret_val));
}

static void boot(void) {
    static const char text[] = "import _boot";
    run(text, sizeof text - 1, MP_QSTR__boot);
}

// --- The terminal ---

static void talk(void) {
    for (;;) {
        int code = pyexec_mode_kind == PYEXEC_MODE_RAW_REPL
                       ? pyexec_raw_repl()
                       : pyexec_friendly_repl();
        if (code != 0) {
            return;
        }
    }
}

static void start(void) {
    mp_stack_set_top(virt_stack_top);
    mp_stack_set_limit((mp_uint_t)(virt_stack_top - virt_stack_bottom) -
                       STACK_ROOM);
    gc_init(virt_free, virt_ram_end);
    mp_init();
    boot();
}

// What has a finaliser is closed, sockets too.
static void finish(void) {
    gc_sweep_all();
    mp_deinit();
}

int main(void) {
    struct virt_file script;
    if (virt_find("script", &script)) {
        start();
        int status = run(script.data, script.len, set_argv());
        finish();
        return status;
    }
    for (;;) {
        start();
        talk();
        mp_hal_stdout_tx_str("MPY: soft reboot\r\n");
        finish();
    }
}

// --- What MicroPython asks of a port ---

void gc_collect(void) {
    gc_collect_start();
    gc_helper_collect_regs_and_stack();
    gc_collect_end();
}

void nlr_jump_fail(void *val) {
    (void)val;
    mp_hal_stdout_tx_str("uncaught exception\n");
    virt_exit(98);
}

// --- _farsock: what the host gave, the disk, and the machine's reset ---

// given(i): name and bytes of the i-th file, None behind the last.
static mp_obj_t given(mp_obj_t index) {
    struct virt_file f;
    if (!virt_given((size_t)mp_obj_get_int(index), &f)) {
        return mp_const_none;
    }
    mp_obj_t pair[] = {
        mp_obj_new_str(f.name, f.name_len),
        mp_obj_new_memoryview('B', f.len, (void *)f.data),
    };
    return mp_obj_new_tuple(MP_ARRAY_SIZE(pair), pair);
}
static MP_DEFINE_CONST_FUN_OBJ_1(given_obj, given);

static mp_obj_t reset(void) {
    virt_reset();
}
static MP_DEFINE_CONST_FUN_OBJ_0(reset_obj, reset);

static const mp_rom_map_elem_t globals_table[] = {
    {MP_ROM_QSTR(MP_QSTR___name__), MP_ROM_QSTR(MP_QSTR__farsock)},
    {MP_ROM_QSTR(MP_QSTR_given), MP_ROM_PTR(&given_obj)},
    {MP_ROM_QSTR(MP_QSTR_disk), MP_ROM_PTR(&far_disk)},
    {MP_ROM_QSTR(MP_QSTR_reset), MP_ROM_PTR(&reset_obj)},
};
static MP_DEFINE_CONST_DICT(globals, globals_table);

const mp_obj_module_t far_mp_module = {
    .base = {&mp_type_module},
    .globals = (mp_obj_dict_t *)&globals,
};
MP_REGISTER_MODULE(MP_QSTR__farsock, far_mp_module);
