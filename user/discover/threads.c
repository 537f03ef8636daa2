/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "discover/threads.h"

#include "base/cleanup.h"
#include "base/text.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

/* What stands before the number of a vCPU in a thread's name. */
static const char *const vcpu_names[] = {
	"CPU ",	       /* QEMU, debug-threads=on: "CPU 3/KVM", "CPU 3/TCG" */
	"ALL CPUs",    /* QEMU, one thread for all under emulation */
	"vcpu",	       /* cloud-hypervisor */
	"fc_vcpu ",    /* Firecracker */
	"crosvm_vcpu", /* crosvm */
	"kvm-vcpu-",   /* kvmtool */
};

static bool names_vcpu(const char *name, int *ret_index)
{
	for (size_t i = 0; i < sizeof(vcpu_names) / sizeof(vcpu_names[0]); i++) {
		const char *at;

		if (!vs_text_starts(name, vcpu_names[i]))
			continue;
		at = name + strlen(vcpu_names[i]);
		if (isdigit((unsigned char)*at)) {
			long n = strtol(at, NULL, 10);

			*ret_index = n <= INT16_MAX ? (int)n : -1;
			return true;
		}
		return strcmp(vcpu_names[i], "ALL CPUs") == 0;
	}
	return false;
}

enum vs_role vs_thread_role(const char *name, uint32_t flags, uint64_t guest_ns, int *ret_index)
{
	*ret_index = -1;
	/* A kernel thread here has borrowed the VMM's memory: nobody but vhost
	 * does that for a VM. Since 6.4 its workers are threads of the VMM that
	 * never leave the kernel; io_uring and KVM make such, too. */
	if (flags & VS_PF_KTHREAD)
		return VS_ROLE_WORKER;
	if (vs_text_starts(name, "vhost-") && (!flags || (flags & VS_PF_USER_WORKER)))
		return VS_ROLE_WORKER;
	if (names_vcpu(name, ret_index) || guest_ns)
		return VS_ROLE_VCPU;
	/* QEMU's iothreads carry the name of their object. */
	return vs_text_starts(name, "IO ") ? VS_ROLE_IOTHREAD : VS_ROLE_EMULATOR;
}

int vs_thread_parse_schedstat(const char *text, struct vs_thread_sample *ret)
{
	uint64_t run, delay, slices;

	if (sscanf(text, "%" SCNu64 " %" SCNu64 " %" SCNu64, &run, &delay, &slices) != 3)
		return -EINVAL;
	ret->run_ns = run;
	ret->run_delay_ns = delay;
	ret->slices = slices;
	return 0;
}

static int slurp(uint32_t tgid, uint32_t tid, const char *file, char *buf, size_t size)
{
	char path[64];
	vs_autoclose int fd = -1;
	ssize_t n;

	if (tgid)
		(void)snprintf(path, sizeof(path), "/proc/%u/task/%u/%s", tgid, tid, file);
	else
		(void)snprintf(path, sizeof(path), "/proc/%u/%s", tid, file);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	n = read(fd, buf, size - 1);
	if (n <= 0)
		return n < 0 ? -errno : -ESRCH;
	buf[n] = '\0';
	return 0;
}

int vs_thread_read(uint32_t tgid, uint32_t tid, struct vs_thread_sample *ret)
{
	char text[128], name[32];
	int r = slurp(tgid, tid, "schedstat", text, sizeof(text));

	if (!r)
		r = slurp(tgid, tid, "comm", name, sizeof(name));
	if (!r)
		r = vs_thread_parse_schedstat(text, ret);
	if (r)
		return r;
	name[strcspn(name, "\n")] = '\0';
	(void)vs_text_utf8(ret->name, sizeof(ret->name), name, strlen(name));
	ret->tid = tid;
	return 0;
}

int vs_threads_each(uint32_t pid, void (*fn)(void *data, uint32_t tid), void *data)
{
	char path[64];
	vs_autodir DIR *dir = NULL;
	struct dirent *e;

	(void)snprintf(path, sizeof(path), "/proc/%u/task", pid);
	dir = opendir(path);
	if (!dir)
		return -errno;
	while ((e = readdir(dir))) {
		unsigned long tid = strtoul(e->d_name, NULL, 10);

		if (tid)
			fn(data, (uint32_t)tid);
	}
	return 0;
}
