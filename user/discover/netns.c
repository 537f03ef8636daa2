/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "discover/netns.h"

#include "base/cleanup.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif
#ifndef TUNGETDEVNETNS
#define TUNGETDEVNETNS _IO('T', 227)
#endif

int vs_netns_cookie(uint64_t *ret)
{
	vs_autoclose int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	socklen_t len = sizeof(*ret);

	struct stat st;

	if (fd < 0)
		return -errno;
	if (!getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, ret, &len))
		return 0;
	if (errno != ENOPROTOOPT || stat("/proc/thread-self/ns/net", &st))
		return -errno;
	*ret = st.st_ino; /* as vs_dev_netns() in bpf/compat.bpf.h */
	return 0;
}

int vs_netns_borrow_fd(uint32_t pid, uint32_t fd)
{
	vs_autoclose int pidfd = (int)syscall(SYS_pidfd_open, (pid_t)pid, 0);
	int got;

	if (pidfd < 0)
		return -errno;
	got = (int)syscall(SYS_pidfd_getfd, pidfd, (int)fd, 0);
	return got < 0 ? -errno : got;
}

/* Moves the thread to @ns_fd if that is where @cookie is, else stays. */
static int enter_if(int ns_fd, int home_fd, uint64_t cookie)
{
	uint64_t here;
	int r;

	if (setns(ns_fd, CLONE_NEWNET))
		return -errno;
	r = vs_netns_cookie(&here);
	if (!r && here == cookie)
		return 0;
	if (setns(home_fd, CLONE_NEWNET))
		return vs_fail(errno, "return to the own network namespace: %s", strerror(errno));
	return r ? r : -ENOENT;
}

int vs_netns_enter(struct vs_netns_visit *visit, uint32_t pid, uint32_t tun_fd, uint64_t cookie)
{
	vs_autoclose int home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	char path[64];
	int r = -ENOENT;

	if (home < 0)
		return -errno;
	(void)snprintf(path, sizeof(path), "/proc/%u/ns/net", pid);
	{
		vs_autoclose int ns = open(path, O_RDONLY | O_CLOEXEC);

		if (ns >= 0)
			r = enter_if(ns, home, cookie);
	}
	if (r) {
		vs_autoclose int tun = vs_netns_borrow_fd(pid, tun_fd);
		vs_autoclose int ns = tun < 0 ? -1 : ioctl(tun, TUNGETDEVNETNS);

		if (ns < 0)
			return r;
		r = enter_if(ns, home, cookie);
	}
	if (!r)
		visit->home_fd = vs_take_fd(home);
	return r;
}

void vs_netns_leave(struct vs_netns_visit *visit)
{
	if (setns(visit->home_fd, CLONE_NEWNET))
		vs_error("return to the own network namespace: %s; link figures are wrong from "
			 "here on, restart virtscope",
			 strerror(errno));
	(void)close(visit->home_fd);
	visit->home_fd = -1;
}
