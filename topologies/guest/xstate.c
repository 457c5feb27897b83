/*
 * Lets User-Mode Linux 6.1 run on processors with AMX (its own copy of the register area ends before the tiles).
 *
 * UML saves and restores its processes' extended registers by PTRACE_GETREGSET and PTRACE_SETREGSET with a buffer of
 * fixed size (about 2.7 kB). The host's kernel takes a SETREGSET of NT_X86_XSTATE only at the full size of its own
 * area, which with AMX is 11 kB, and answers EFAULT otherwise: the guest dies at its first process with
 * "ptrace set fp regs failed, errno = 14". This library, preloaded into linux.uml, hands the host the full size: what
 * UML saved, and the tiles in their initial state (a guest's program never has them: they must be asked for by
 * arch_prctl(ARCH_REQ_XCOMP_PERM), which UML does not pass on).
 *
 * UML calls ptrace from one thread and on small stacks: hence the static buffer.
 */
#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define XSTATE_BV_OFFSET 512                  /* Intel SDM vol. 1, 13.4.2: the XSAVE header follows the legacy area. */
#define TILE_COMPONENTS (UINT64_C(3) << 17)   /* XTILECFG and XTILEDATA, the components behind UML's buffer. */

static unsigned char area[65536];
static size_t area_size;

static long set_xstate(pid_t pid, void *kind, const struct iovec *from)
{
    struct iovec full = {area, sizeof area};
    uint64_t components;

    if (area_size == 0) {
        if (syscall(SYS_ptrace, PTRACE_GETREGSET, pid, kind, &full) != 0)
            return -1;
        area_size = full.iov_len;
        memset(area, 0, sizeof area);
    }
    memcpy(area, from->iov_base, from->iov_len < area_size ? from->iov_len : area_size);
    memcpy(&components, area + XSTATE_BV_OFFSET, sizeof components);
    components &= ~TILE_COMPONENTS;
    memcpy(area + XSTATE_BV_OFFSET, &components, sizeof components);
    full.iov_len = area_size;
    return syscall(SYS_ptrace, PTRACE_SETREGSET, pid, kind, &full);
}

long ptrace(enum __ptrace_request request, ...)
{
    va_list arguments;
    pid_t pid;
    void *address, *data;

    va_start(arguments, request);
    pid = va_arg(arguments, pid_t);
    address = va_arg(arguments, void *);
    data = va_arg(arguments, void *);
    va_end(arguments);

    if (request == PTRACE_SETREGSET && (uintptr_t)address == NT_X86_XSTATE)
        return set_xstate(pid, address, data);
    if (request == PTRACE_PEEKTEXT || request == PTRACE_PEEKDATA || request == PTRACE_PEEKUSER) {
        long word = 0; /* ptrace(2), C library/kernel differences: the library returns the word, the kernel stores it. */
        if (syscall(SYS_ptrace, request, pid, address, &word) != 0)
            return -1;
        errno = 0;
        return word;
    }
    return syscall(SYS_ptrace, request, pid, address, data);
}
