// SPDX-License-Identifier: GPL-2.0-or-later
#include "pose/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

static int pose_tap_up(const char *name)
{
	struct ifreq ifr = {};
	int s, r;

	s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (s < 0)
		return -errno;
	snprintf(ifr.ifr_name, IFNAMSIZ, "%s", name);
	r = ioctl(s, SIOCGIFFLAGS, &ifr);
	if (!r) {
		ifr.ifr_flags |= IFF_UP;
		r = ioctl(s, SIOCSIFFLAGS, &ifr);
	}
	r = r ? -errno : 0;
	close(s);
	return r;
}

static int pose_tap_queue_open(const struct pose_tap *tap, int queues)
{
	struct ifreq ifr = { .ifr_flags = IFF_TAP | IFF_NO_PI };
	int fd, r;

	if (tap->flags & POSE_TAP_VNET_HDR)
		ifr.ifr_flags |= IFF_VNET_HDR;
	if (queues > 1)
		ifr.ifr_flags |= IFF_MULTI_QUEUE;
	snprintf(ifr.ifr_name, IFNAMSIZ, "%s", tap->name);
	fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (ioctl(fd, TUNSETIFF, &ifr) ||
	    ((tap->flags & POSE_TAP_PERSIST) && ioctl(fd, TUNSETPERSIST, 1))) {
		r = -errno;
		close(fd);
		return r;
	}
	return fd;
}

void pose_tap_close(struct pose_tap *tap)
{
	for (int i = 0; i < tap->queues; i++)
		close(tap->fd[i]);
	tap->queues = 0;
}

int pose_tap_open(struct pose_tap *tap, const char *name, int queues, int flags)
{
	int r = 0;

	memset(tap, 0, sizeof(*tap));
	if (queues < 1 || queues > POSE_TAP_QUEUE__N || !*name || strlen(name) >= IFNAMSIZ)
		return -EINVAL;
	snprintf(tap->name, IFNAMSIZ, "%s", name);
	tap->flags = flags;
	while (!r && tap->queues < queues) {
		int fd = pose_tap_queue_open(tap, queues);

		if (fd < 0)
			r = fd;
		else
			tap->fd[tap->queues++] = fd;
	}
	if (!r && !(flags & POSE_TAP_DOWN))
		r = pose_tap_up(tap->name);
	if (r)
		pose_tap_close(tap);
	return r;
}
