// The first instructions of the core: hart 0 runs, the others sleep for ever.
// SPDX-License-Identifier: MIT

#if __riscv_xlen == 64
    #define STORE sd
    #define WORD  8
#else
    #define STORE sw
    #define WORD  4
#endif

    .section .init.start, "ax"
    .globl _start
_start:
    csrr t0, mhartid
    bnez t0, park
    csrw mie, zero
    .option push
    .option norelax
    la gp, __global_pointer$
    .option pop
    la sp, virt_stack_top
    la tp, virt_tls
    la t0, trap
    csrw mtvec, t0
    // Floating point, where there is one.
    li t0, 0x6000
    csrs mstatus, t0
    la t0, virt_bss_start
    la t1, virt_bss_end
1:  bgeu t0, t1, 2f
    STORE zero, 0(t0)
    addi t0, t0, WORD
    j 1b
2:  call virt_init
    li a0, 0
    li a1, 0
    call main
    call virt_exit
park:
    wfi
    j park

    // Nothing interrupts us (mstatus.MIE stays 0): a trap is a fault.
    .balign 4
trap:
    csrr a0, mcause
    csrr a1, mepc
    csrr a2, mtval
    la sp, virt_stack_top
    call virt_fault
    j park
