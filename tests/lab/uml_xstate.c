/*
 * Lets User-Mode Linux 6.1 run on processors whose extended register state is larger than it knows.
 *
 * User-Mode Linux keeps the floating point registers of its processes by ptrace(PTRACE_GETREGSET / PTRACE_SETREGSET,
 * NT_X86_XSTATE) with an area of 2696 bytes (FP_SIZE in arch/x86/um/os-Linux/registers.c: enough for AVX-512). On a
 * processor with AMX the area is about 11 kB. The host's kernel hands out as much as was asked for, but refuses to
 * take back less than the whole (xstateregs_set() in arch/x86/kernel/fpu/regset.c: EFAULT or EINVAL), and the guest
 * panics at its first switch of processes.
 *
 * Preloaded, this puts itself before the C library's ptrace() and completes such an area: what lies beyond the
 * guest's part is zero, "in its initial state", which the header's bit vector (XSTATE_BV, written by the guest from
 * what it was given) agrees with as no guest process uses AMX without being granted it (ARCH_REQ_XCOMP_PERM).
 *
 *   cc -shared -fPIC -O2 -o uml_xstate.so uml_xstate.c
 *   LD_PRELOAD=./uml_xstate.so linux.uml ...
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define XSTATE 0x202L /* NT_X86_XSTATE, include/uapi/linux/elf.h */

static char area[65536] __attribute__((aligned(64)));
static size_t whole; /* the size of the state on this processor, 0: not asked yet */

static long call(long request, pid_t pid, void *address, void *data)
{
	return syscall(SYS_ptrace, request, pid, address, data);
}

static long get_all(pid_t pid)
{
	struct iovec all = { area, sizeof area };
	long result = call(PTRACE_GETREGSET, pid, (void *)XSTATE, &all);

	if (result == 0)
		whole = all.iov_len;
	return result;
}

static long get(pid_t pid, struct iovec *part)
{
	if (get_all(pid) < 0)
		return -1;
	if (part->iov_len > whole)
		part->iov_len = whole;
	memcpy(part->iov_base, area, part->iov_len);
	return 0;
}

static long set(pid_t pid, struct iovec *part)
{
	struct iovec all = { area, 0 };

	if (whole == 0 && get_all(pid) < 0)
		return -1;
	if (part->iov_len >= whole)
		return call(PTRACE_SETREGSET, pid, (void *)XSTATE, part);
	memset(area, 0, whole);
	memcpy(area, part->iov_base, part->iov_len);
	all.iov_len = whole;
	return call(PTRACE_SETREGSET, pid, (void *)XSTATE, &all);
}

long ptrace(enum __ptrace_request request, ...)
{
	va_list rest;
	va_start(rest, request);
	pid_t pid = va_arg(rest, pid_t);
	void *address = va_arg(rest, void *);
	void *data = va_arg(rest, void *);
	va_end(rest);

	if (request == PTRACE_GETREGSET && (long)address == XSTATE)
		return get(pid, data);
	if (request == PTRACE_SETREGSET && (long)address == XSTATE)
		return set(pid, data);
	if (request == PTRACE_PEEKTEXT || request == PTRACE_PEEKDATA || request == PTRACE_PEEKUSER) {
		/* The system call stores the word where the C library's function returns it. */
		long word;
		long result = call(request, pid, address, &word);

		if (result < 0)
			return result;
		errno = 0;
		return word;
	}
	return call(request, pid, address, data);
}
