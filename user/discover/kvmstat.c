/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "discover/kvmstat.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

/* The two that count vCPUs' polling: in vain, and until something came. */
static const char *const polling[] = { "halt_poll_success_ns", "halt_poll_fail_ns" };

bool vs_kvmstat_is_exit(const char *name)
{
	/* Of x86, without "exit" in their names. */
	static const char *const more[] = { "hypercalls",   "insn_emulation", "irq_injections",
					    "nmi_injections", "irq_window",     "nmi_window",
					    "req_event" };

	if (strstr(name, "exit"))
		return true;
	for (size_t i = 0; i < sizeof(more) / sizeof(more[0]); i++)
		if (strcmp(name, more[i]) == 0)
			return true;
	return false;
}

static bool is_polling(const char *name)
{
	return strcmp(name, polling[0]) == 0 || strcmp(name, polling[1]) == 0;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(a, b);
}

int vs_kvmstat_names(const char *path, struct vs_kvm_names *ret)
{
	vs_autodir DIR *dir = opendir(path);
	uint32_t times = 0;
	struct dirent *e;

	if (!dir)
		return -errno;
	memset(ret, 0, sizeof(*ret));
	while ((e = readdir(dir)) && ret->n < VS_KVM_STAT__N) {
		if (strlen(e->d_name) >= sizeof(ret->name[0]) ||
		    (!vs_kvmstat_is_exit(e->d_name) && !is_polling(e->d_name)))
			continue;
		memcpy(ret->name[ret->n++], e->d_name, strlen(e->d_name) + 1);
	}
	if (!ret->n)
		return -ENOENT;
	qsort(ret->name, ret->n, sizeof(ret->name[0]), by_name);
	for (uint32_t i = 0; i < ret->n; i++) {
		ret->exits[i] = !is_polling(ret->name[i]);
		times += !ret->exits[i];
	}
	ret->polling = times == 2;
	return 0;
}

int vs_kvmstat_check(const char *dir)
{
	struct vs_kvm_names names;
	struct vs_kvm_sample values = { 0 };
	int r = vs_kvmstat_names(dir, &names);

	/* Directly below lie the sums over all VMs. */
	return r ? r : vs_kvmstat_read(dir, ".", &names, &values);
}

int vs_kvmstat_each(const char *path, void (*fn)(void *data, uint32_t tid, const char *name),
		    void *data)
{
	vs_autodir DIR *dir = opendir(path);
	struct dirent *e;

	if (!dir)
		return -errno;
	while ((e = readdir(dir))) {
		char *dash;
		unsigned long tid = strtoul(e->d_name, &dash, 10);

		if (tid && *dash == '-')
			fn(data, (uint32_t)tid, e->d_name);
	}
	return 0;
}

int vs_kvmstat_read(const char *dir, const char *vm, const struct vs_kvm_names *names,
		    struct vs_kvm_sample *ret)
{
	char path[4096], text[32];
	vs_autoclose int at = -1;

	(void)snprintf(path, sizeof(path), "%s/%s", dir, vm);
	at = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (at < 0)
		return -errno;
	for (uint32_t i = 0; i < names->n; i++) {
		vs_autoclose int fd = openat(at, names->name[i], O_RDONLY | O_CLOEXEC);
		ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

		if (n <= 0)
			return errno ? -errno : -EIO;
		text[n] = '\0';
		ret->value[i] += strtoull(text, NULL, 10);
	}
	return 0;
}
