/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/privilege.h"

#include "base/log.h"

#include <assert.h>
#include <errno.h>
#include <grp.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <linux/securebits.h>
#include <pwd.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Calls of libcap would do as well, for one more library in each process. */
struct sets {
	uint64_t effective, permitted, inheritable;
};

static int get_sets(struct sets *ret)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct d[2];

	if (syscall(SYS_capget, &header, d))
		return -errno;
	ret->effective = (uint64_t)d[1].effective << 32 | d[0].effective;
	ret->permitted = (uint64_t)d[1].permitted << 32 | d[0].permitted;
	ret->inheritable = (uint64_t)d[1].inheritable << 32 | d[0].inheritable;
	return 0;
}

static int set_sets(uint64_t keep)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct d[2] = {
		{ .effective = (uint32_t)keep, .permitted = (uint32_t)keep },
		{ .effective = (uint32_t)(keep >> 32), .permitted = (uint32_t)(keep >> 32) },
	};

	return syscall(SYS_capset, &header, d) ? -errno : 0;
}

int vs_privilege_find_user(const char *name, struct vs_privilege_user *ret)
{
	const struct passwd *p;

	errno = 0;
	p = strlen(name) < sizeof(ret->name) ? getpwnam(name) : NULL;
	if (!p)
		return vs_fail(errno ? errno : ENOENT, "user %s: %s", name,
			       errno ? strerror(errno) : "there is none of this name");
	(void)snprintf(ret->name, sizeof(ret->name), "%s", name);
	ret->uid = p->pw_uid;
	ret->gid = p->pw_gid;
	return 0;
}

/* These two need CAP_SETPCAP, which a service manager may have kept from us.
 * no_new_privs, which is set in any case, does the same for an exec. */
static void bound(uint64_t keep)
{
	const unsigned long bits = SECBIT_NOROOT | SECBIT_NOROOT_LOCKED |
				   SECBIT_NO_CAP_AMBIENT_RAISE | SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED;

	for (unsigned long i = 0; i < 64 && prctl(PR_CAPBSET_READ, i, 0, 0, 0) >= 0; i++)
		if (!(keep >> i & 1))
			(void)prctl(PR_CAPBSET_DROP, i, 0, 0, 0);
	(void)prctl(PR_SET_SECUREBITS, bits, 0, 0, 0);
}

static int become(const struct vs_privilege_user *user)
{
	if (initgroups(user->name, user->gid) || setresgid(user->gid, user->gid, user->gid) ||
	    setresuid(user->uid, user->uid, user->uid))
		return -errno;
	return 0;
}

static bool reached(const struct vs_privilege_user *user, uint64_t keep)
{
	struct sets now;
	uid_t r, e, s;

	if (get_sets(&now) || getresuid(&r, &e, &s))
		return false;
	return !(now.permitted & ~keep) && now.effective == now.permitted && !now.inheritable &&
	       prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 &&
	       (!user || (r == user->uid && e == user->uid && s == user->uid));
}

int vs_privilege_drop(const struct vs_privilege_user *user, uint64_t keep)
{
	struct sets held;
	int r = get_sets(&held);

	assert(!user || !keep);
	if (!r && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		r = -errno;
	if (!r) {
		bound(keep);
		(void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
		r = user ? become(user) : 0;
	}
	if (!r)
		r = set_sets(held.permitted & keep);
	if (!r && user && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0))
		r = -errno;
	if (!r && !reached(user, keep))
		r = -EPERM;
	if (r)
		vs_error("drop privileges%s%s: %s", user ? ", become user " : "",
			 user ? user->name : "", strerror(-r));
	return r;
}

#if defined(__x86_64__)
#define MACHINE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define MACHINE AUDIT_ARCH_AARCH64
#endif

#define DENY(name)                                             \
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_##name, 0, 1), \
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM)

int vs_privilege_deny_calls(void)
{
#ifdef MACHINE
	static struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, MACHINE, 1, 0),
		/* 32-bit calls have numbers of their own; nobody here makes any */
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
#ifdef __x86_64__
		/* x32's calls are these with a bit set */
		BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 0x40000000, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
#endif
		DENY(execve),
		DENY(execveat),
		DENY(ptrace),
		DENY(process_vm_readv),
		DENY(process_vm_writev),
		DENY(bpf),
		DENY(perf_event_open),
		DENY(userfaultfd),
		DENY(io_uring_setup),
		DENY(unshare),
		DENY(setns),
		DENY(mount),
		DENY(umount2),
		DENY(pivot_root),
		DENY(chroot),
		DENY(init_module),
		DENY(finit_module),
		DENY(delete_module),
		DENY(kexec_load),
		DENY(add_key),
		DENY(request_key),
		DENY(keyctl),
		DENY(settimeofday),
		DENY(clock_settime),
		DENY(adjtimex),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog program = { .len = sizeof(filter) / sizeof(filter[0]),
					    .filter = filter };

	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) ? -errno : 0;
#else
	return -ENOSYS;
#endif
}
