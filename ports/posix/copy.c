// Copies of whose instructions any may fault.
// SPDX-License-Identifier: MIT
#include "ports/posix/copy.h"

#include <stdint.h>
#include <ucontext.h>

#if FAR_COPY_SHORT

extern const char far_copy_end[] __attribute__((visibility("hidden")));
extern const char far_copy_failed[] __attribute__((visibility("hidden")));
extern const char far_copy_wide_failed[] __attribute__((visibility("hidden")));

// rdi: to, rsi: from, rdx: n. Below 16 bytes two pieces that may overlap; else
// pieces of 16, and the last 16. No stack is used, so that what a fault leaves
// behind is whole.
__asm__(".text\n"
        ".p2align 5\n"
        ".hidden far_copy_short\n"
        ".globl far_copy_short\n"
        ".type far_copy_short, @function\n"
        "far_copy_short:\n"
        "    .cfi_startproc\n"
        "    cmpq $16, %rdx\n"
        "    jb 3f\n"
        "    xorl %eax, %eax\n"
        "    leaq -16(%rdx), %rcx\n"
        "    movups (%rsi,%rcx), %xmm1\n"
        "    subq $32, %rdx\n"
        "    jbe 2f\n"
        "1:  movups (%rsi,%rax), %xmm0\n"
        "    movups 16(%rsi,%rax), %xmm2\n"
        "    movups %xmm0, (%rdi,%rax)\n"
        "    movups %xmm2, 16(%rdi,%rax)\n"
        "    addq $32, %rax\n"
        "    cmpq %rdx, %rax\n"
        "    jb 1b\n"
        "2:  cmpq %rcx, %rax\n"
        "    jae 6f\n"
        "    movups (%rsi,%rax), %xmm0\n"
        "    movups %xmm0, (%rdi,%rax)\n"
        "6:  movups %xmm1, (%rdi,%rcx)\n"
        "    movl $1, %eax\n"
        "    ret\n"
        "3:  cmpl $8, %edx\n"
        "    jb 4f\n"
        "    movq (%rsi), %rax\n"
        "    movq -8(%rsi,%rdx), %rcx\n"
        "    movq %rax, (%rdi)\n"
        "    movq %rcx, -8(%rdi,%rdx)\n"
        "    movl $1, %eax\n"
        "    ret\n"
        "4:  cmpl $4, %edx\n"
        "    jb 5f\n"
        "    movl (%rsi), %eax\n"
        "    movl -4(%rsi,%rdx), %ecx\n"
        "    movl %eax, (%rdi)\n"
        "    movl %ecx, -4(%rdi,%rdx)\n"
        "    movl $1, %eax\n"
        "    ret\n"
        "5:  movzbl -1(%rsi,%rdx), %ecx\n"
        "    movzbl (%rsi), %eax\n"
        "    shrl %edx\n"
        "    movzbl (%rsi,%rdx), %r8d\n"
        "    leaq (%rdi,%rdx), %r9\n"
        "    movb %al, (%rdi)\n"
        "    movb %r8b, (%r9)\n"
        "    adcq %rdx, %rdx\n"
        "    movb %cl, -1(%rdi,%rdx)\n"
        "    movl $1, %eax\n"
        "    ret\n"
        "    .cfi_endproc\n"
        ".size far_copy_short, . - far_copy_short\n");

// The same, with n at least 128 and the processor's AVX. The first 32 bytes,
// then pieces of 128 to where a piece of 32 may begin, which is what makes it
// quick, and the last 128, which are read before anything is written.
__asm__(".text\n"
        ".p2align 5\n"
        ".hidden far_copy_wide\n"
        ".globl far_copy_wide\n"
        ".type far_copy_wide, @function\n"
        "far_copy_wide:\n"
        "    .cfi_startproc\n"
        "    vmovups (%rsi), %ymm8\n"
        "    addq $-128, %rdx\n" // where the last begin
        "    vmovups (%rsi,%rdx), %ymm4\n"
        "    vmovups 32(%rsi,%rdx), %ymm5\n"
        "    vmovups 64(%rsi,%rdx), %ymm6\n"
        "    vmovups 96(%rsi,%rdx), %ymm7\n"
        "    movl %edi, %eax\n"
        "    notl %eax\n"
        "    andl $31, %eax\n"
        "    incl %eax\n" // to the next place for 32: 1 to 32
        "    vmovups %ymm8, (%rdi)\n"
        "    cmpq %rdx, %rax\n"
        "    jae 2f\n"
        "    .p2align 4\n"
        "1:  vmovups (%rsi,%rax), %ymm0\n"
        "    vmovups 32(%rsi,%rax), %ymm1\n"
        "    vmovups 64(%rsi,%rax), %ymm2\n"
        "    vmovups 96(%rsi,%rax), %ymm3\n"
        "    vmovaps %ymm0, (%rdi,%rax)\n"
        "    vmovaps %ymm1, 32(%rdi,%rax)\n"
        "    vmovaps %ymm2, 64(%rdi,%rax)\n"
        "    vmovaps %ymm3, 96(%rdi,%rax)\n"
        "    subq $-128, %rax\n"
        "    cmpq %rdx, %rax\n"
        "    jb 1b\n"
        "2:  vmovups %ymm4, (%rdi,%rdx)\n"
        "    vmovups %ymm5, 32(%rdi,%rdx)\n"
        "    vmovups %ymm6, 64(%rdi,%rdx)\n"
        "    vmovups %ymm7, 96(%rdi,%rdx)\n"
        "    vzeroupper\n"
        "    movl $1, %eax\n"
        "    ret\n"
        ".hidden far_copy_wide_failed\n"
        ".globl far_copy_wide_failed\n"
        "far_copy_wide_failed:\n"
        "    vzeroupper\n"
        ".hidden far_copy_failed\n"
        ".globl far_copy_failed\n"
        "far_copy_failed:\n"
        "    xorl %eax, %eax\n"
        "    ret\n"
        "    .cfi_endproc\n"
        ".hidden far_copy_end\n"
        ".globl far_copy_end\n"
        "far_copy_end:\n"
        ".size far_copy_wide, . - far_copy_wide\n");

bool far_copy_fault(void *context) {
    greg_t *regs = ((ucontext_t *)context)->uc_mcontext.gregs;
    uintptr_t begin = (uintptr_t)far_copy_short;
    uintptr_t at = (uintptr_t)regs[REG_RIP];
    if (at - begin >= (uintptr_t)far_copy_end - begin) {
        return false;
    }
    regs[REG_RIP] = at < (uintptr_t)far_copy_wide
                        ? (greg_t)(uintptr_t)far_copy_failed
                        : (greg_t)(uintptr_t)far_copy_wide_failed;
    return true;
}

#else

bool far_copy_short(void *to, const void *from, size_t n) {
    (void)to;
    (void)from;
    return n == 0;
}

bool far_copy_wide(void *to, const void *from, size_t n) {
    return far_copy_short(to, from, n);
}

bool far_copy_fault(void *context) {
    (void)context;
    return false;
}

#endif
