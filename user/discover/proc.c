/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "discover/proc.h"

#include "base/cleanup.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <mntent.h>
#include <string.h>
#include <sys/stat.h>

const char *const vs_vmm_names[] = { "qemu-system-", "qemu-kvm",    "kvm",   "cloud-hyperviso",
				     "firecracker",  "crosvm",	    "lkvm",  NULL };

/* Return: bytes read (NUL-terminated), or -errno. */
static ssize_t slurp(uint32_t pid, const char *file, char *buf, size_t size)
{
	char path[64];
	vs_autoclose int fd = -1;
	size_t got = 0;

	(void)snprintf(path, sizeof(path), "/proc/%u/%s", pid, file);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	while (got + 1 < size) {
		ssize_t n = read(fd, buf + got, size - 1 - got);

		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		got += (size_t)n;
	}
	buf[got] = '\0';
	return (ssize_t)got;
}

int vs_proc_start_time(uint32_t pid, uint64_t *ret)
{
	char buf[1024], *s;
	ssize_t n = slurp(pid, "stat", buf, sizeof(buf));

	if (n <= 0)
		return -ESRCH;
	/* The name, field 2, may hold anything; fields count from its end. */
	s = strrchr(buf, ')');
	for (int field = 2; s && field < 22; field++)
		s = strchr(s + 1, ' ');
	if (!s || sscanf(s, " %" SCNu64, ret) != 1)
		return -ESRCH;
	return 0;
}

static bool is_vmm_name(const char *name)
{
	for (const char *const *p = vs_vmm_names; *p; p++) {
		if (strcmp(*p, "kvm") == 0 ? strcmp(name, "kvm") == 0 : vs_text_starts(name, *p))
			return true;
	}
	return false;
}

bool vs_proc_is_vmm(uint32_t pid)
{
	char buf[4096], *base;
	ssize_t n = slurp(pid, "comm", buf, sizeof(buf));

	if (n <= 0)
		return false;
	buf[strcspn(buf, "\n")] = '\0';
	if (is_vmm_name(buf))
		return true;
	n = slurp(pid, "cmdline", buf, sizeof(buf));
	if (n <= 0)
		return false;
	base = strrchr(buf, '/');
	return is_vmm_name(base ? base + 1 : buf);
}

int vs_proc_cmdline(uint32_t pid, struct vs_cmdline *ret)
{
	const size_t size = 256 * 1024; /* QEMU lines of libvirt reach tens of KiB */
	vs_autofree char *buf = malloc(size);
	ssize_t n = buf ? slurp(pid, "cmdline", buf, size) : -ENOMEM;

	if (n < 0)
		return -ESRCH;
	vs_cmdline_parse(buf, (size_t)n, ret);
	return 0;
}

/* Mount point of the blkio hierarchy (@v1) or of the unified one. */
static bool cgroup_mount(bool v1, char *ret, size_t size)
{
	FILE *f = setmntent("/proc/self/mounts", "r");
	struct mntent *m;
	bool found = false;

	while (f && !found && (m = getmntent(f))) {
		if (v1 ? strcmp(m->mnt_type, "cgroup") == 0 && hasmntopt(m, "blkio") :
			 strcmp(m->mnt_type, "cgroup2") == 0) {
			(void)snprintf(ret, size, "%s", m->mnt_dir);
			found = true;
		}
	}
	if (f)
		(void)endmntent(f);
	return found;
}

static bool is_alone_in(const char *dir, uint32_t pid)
{
	char path[4096 + 16];
	vs_autofclose FILE *f = NULL;
	unsigned long other;
	bool any = false;

	(void)snprintf(path, sizeof(path), "%s/cgroup.procs", dir);
	f = fopen(path, "re");
	if (!f)
		return false;
	while (fscanf(f, "%lu", &other) == 1) {
		if (other != pid)
			return false;
		any = true;
	}
	return any;
}

static bool cgroup_id(uint32_t pid, const char *path, bool v1, uint64_t *ret)
{
	char mount[512], dir[4096], io_stat[4096 + 16];
	struct stat st;

	if (strcmp(path, "/") == 0 || strstr(path, "/../") || !cgroup_mount(v1, mount, sizeof(mount)))
		return false;
	(void)snprintf(dir, sizeof(dir), "%s%s", mount, path);
	(void)snprintf(io_stat, sizeof(io_stat), "%s/io.stat", dir);
	if (!v1 && access(io_stat, F_OK))
		return false;
	if (!is_alone_in(dir, pid) || stat(dir, &st))
		return false;
	*ret = st.st_ino; /* kernfs: the inode number is the cgroup's id */
	return true;
}

int vs_proc_cgroups(uint32_t pid, uint64_t ret[static 2])
{
	char buf[8192], *line, *save = NULL;
	int n = 0;

	if (slurp(pid, "cgroup", buf, sizeof(buf)) <= 0)
		return 0;
	for (line = strtok_r(buf, "\n", &save); line && n < 2; line = strtok_r(NULL, "\n", &save)) {
		char *controllers = strchr(line, ':'), *path;
		bool v1;

		path = controllers ? strchr(controllers + 1, ':') : NULL;
		if (!path)
			continue;
		*path++ = '\0';
		controllers++;
		v1 = *controllers != '\0';
		if (v1 && !strstr(controllers, "blkio"))
			continue;
		if (cgroup_id(pid, path, v1, &ret[n]))
			n++;
	}
	return n;
}

int vs_proc_each(void (*fn)(void *data, uint32_t pid), void *data)
{
	vs_autodir DIR *dir = opendir("/proc");
	struct dirent *e;

	if (!dir)
		return -errno;
	while ((e = readdir(dir))) {
		unsigned long pid = strtoul(e->d_name, NULL, 10);

		if (pid)
			fn(data, (uint32_t)pid);
	}
	return 0;
}
