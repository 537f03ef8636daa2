/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "discover/netns.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "discover/links.h"

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

int vs_netns_cookie_of(int fd, uint64_t *ret)
{
	socklen_t len = sizeof(*ret);
	struct stat st;

	if (!getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, ret, &len))
		return 0;
	if (errno != ENOPROTOOPT || stat("/proc/thread-self/ns/net", &st))
		return -errno;
	*ret = st.st_ino; /* as vs_dev_netns() in bpf/compat.bpf.h */
	return 0;
}

int vs_netns_cookie(uint64_t *ret)
{
	vs_autoclose int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	return fd < 0 ? -errno : vs_netns_cookie_of(fd, ret);
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

/* Moves the thread to @ns_fd; the tour is there if that is where @cookie is. */
static int go(struct vs_netns_tour *t, int ns_fd, uint64_t cookie)
{
	vs_autoclose int links = -1;
	uint64_t there;
	int r;

	if (setns(ns_fd, CLONE_NEWNET))
		return -errno;
	links = vs_links_open();
	r = links < 0 ? links : vs_netns_cookie_of(links, &there);
	if (r || there != cookie)
		return r ? r : -ENOENT;
	t->links_fd = vs_take_fd(links);
	t->here = cookie;
	return 0;
}

static int go_to_process(struct vs_netns_tour *t, uint32_t pid, uint64_t cookie)
{
	vs_autoclose int ns = -1;
	char path[64];

	(void)snprintf(path, sizeof(path), "/proc/%u/ns/net", pid);
	ns = open(path, O_RDONLY | O_CLOEXEC);
	return ns < 0 ? -ENOENT : go(t, ns, cookie);
}

static int go_to_tap(struct vs_netns_tour *t, uint32_t pid, uint32_t tun_fd, uint64_t cookie)
{
	vs_autoclose int tun = vs_netns_borrow_fd(pid, tun_fd);
	vs_autoclose int ns = tun < 0 ? -1 : ioctl(tun, TUNGETDEVNETNS);

	return ns < 0 ? -ENOENT : go(t, ns, cookie);
}

int vs_netns_visit(struct vs_netns_tour *t, uint32_t pid, uint32_t tun_fd, uint64_t cookie)
{
	int r;

	if (t->here == cookie)
		return 0;
	vs_cleanup_close(&t->links_fd);
	t->links_fd = -1;
	t->here = 0;
	if (t->home_fd < 0)
		t->home_fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	if (t->home_fd < 0)
		return -errno;
	r = go_to_process(t, pid, cookie);
	return r ? go_to_tap(t, pid, tun_fd, cookie) : 0;
}

void vs_netns_return(struct vs_netns_tour *t)
{
	vs_cleanup_close(&t->links_fd);
	if (t->home_fd >= 0 && setns(t->home_fd, CLONE_NEWNET))
		vs_error("return to the own network namespace: %s; link figures are wrong from "
			 "here on, restart virtscope",
			 strerror(errno));
	vs_cleanup_close(&t->home_fd);
	*t = (struct vs_netns_tour)VS_NETNS_TOUR;
}
