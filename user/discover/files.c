/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "discover/files.h"

#include "base/cleanup.h"
#include "discover/iter.h"
#include "discover/netns.h"
#include "discover/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sched.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

struct scan {
	vs_files_fn fn;
	void *data;
};

static void on_row(void *data, const void *row)
{
	const struct scan *s = data;

	s->fn(s->data, row);
}

#ifndef TUNGETDEVNETNS
#define TUNGETDEVNETNS _IO('T', 227)
#endif

/* Asks the tap itself, through a copy of its holder's descriptor. */
static int identify_tap(uint32_t pid, uint32_t fd, struct vs_file *row)
{
	vs_autoclose int tun = vs_netns_borrow_fd(pid, fd);
	vs_autoclose int home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	vs_autoclose int ns = -1;
	struct ifreq ifr = { 0 };
	struct stat st, here;
	uint64_t cookie;
	bool away;
	int r;

	if (tun < 0 || home < 0 || ioctl(tun, TUNGETIFF, &ifr))
		return -ENODEV;
	ns = ioctl(tun, TUNGETDEVNETNS);
	if (ns < 0 || fstat(ns, &st) || fstat(home, &here))
		return -ENODEV;
	/* Going elsewhere takes a right that we may not have; staying, none. */
	away = st.st_ino != here.st_ino;
	if (away && setns(ns, CLONE_NEWNET))
		return -ENODEV;
	row->ifindex = if_nametoindex(ifr.ifr_name);
	r = vs_netns_cookie(&cookie);
	row->netns_cookie = r ? 0 : cookie;
	if (away && setns(home, CLONE_NEWNET))
		return -errno;
	row->netns_inum = (uint32_t)st.st_ino;
	(void)snprintf(row->name, sizeof(row->name), "%.15s", ifr.ifr_name);
	return r ? r : (row->ifindex ? 0 : -ENODEV);
}

static void walk_process(void *data, uint32_t pid)
{
	struct scan *w = data;
	char path[64], target[64];
	vs_autodir DIR *dir = NULL;
	struct dirent *e;

	(void)snprintf(path, sizeof(path), "/proc/%u/fd", pid);
	dir = opendir(path);
	while (dir && (e = readdir(dir))) {
		ssize_t n = readlinkat(dirfd(dir), e->d_name, target, sizeof(target) - 1);
		struct vs_file row = { .pid = pid };

		if (n <= 0)
			continue;
		target[n] = '\0';
		row.fd = (uint32_t)strtoul(e->d_name, NULL, 10);
		if (strcmp(target, "anon_inode:kvm-vm") == 0)
			row.kind = VS_FILE_KVM;
		else if (strcmp(target, "/dev/net/tun") == 0 && !identify_tap(pid, row.fd, &row))
			row.kind = VS_FILE_TUN;
		else if (strcmp(target, "/dev/vhost-net") == 0)
			row.kind = VS_FILE_VHOST;
		else
			continue;
		w->fn(w->data, &row);
	}
}

int vs_files_scan(int iter_fd, vs_files_fn fn, void *data)
{
	struct scan s = { .fn = fn, .data = data };

	if (iter_fd >= 0)
		return vs_iter_read(iter_fd, sizeof(struct vs_file), on_row, &s);
	return vs_proc_each(walk_process, &s);
}
