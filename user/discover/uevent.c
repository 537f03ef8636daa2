/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "discover/uevent.h"

#include "base/cleanup.h"
#include "base/text.h"

#include <errno.h>
#include <linux/netlink.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>

int vs_uevent_open(void)
{
	vs_autoclose int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
				     NETLINK_KOBJECT_UEVENT);
	struct sockaddr_nl addr = { .nl_family = AF_NETLINK, .nl_groups = 1 };

	if (fd < 0 || bind(fd, (struct sockaddr *)&addr, sizeof(addr)))
		return -errno;
	return vs_take_fd(fd);
}

uint32_t vs_uevent_parse(const char *text, size_t len)
{
	const char *end = text + len;
	unsigned long pid = 0;
	bool kvm = false;

	for (const char *s = text; s < end;) {
		size_t n = strnlen(s, (size_t)(end - s));

		if (s + n == end)
			break; /* cut */
		if (strcmp(s, "DEVNAME=kvm") == 0)
			kvm = true;
		else if (vs_text_starts(s, "PID="))
			pid = strtoul(s + 4, NULL, 10);
		s += n + 1;
	}
	return kvm && pid <= UINT32_MAX ? (uint32_t)pid : 0;
}

bool vs_uevent_is_module(const char *text, size_t len)
{
	const char *path = memchr(text, '@', len);
	static const char under[] = "@/module/";

	return path && (size_t)(text + len - path) >= sizeof(under) - 1 &&
	       memcmp(path, under, sizeof(under) - 1) == 0;
}

int vs_uevent_read(int fd, const struct vs_uevent_ops *ops)
{
	char buf[8192];

	for (;;) {
		struct sockaddr_nl from = { 0 };
		socklen_t len = sizeof(from);
		ssize_t n = recvfrom(fd, buf, sizeof(buf), MSG_DONTWAIT, (void *)&from, &len);
		uint32_t pid;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == ENOBUFS;
		if (from.nl_pid != 0) /* not the kernel: anybody can say things here */
			continue;
		pid = vs_uevent_parse(buf, (size_t)n);
		if (pid)
			ops->vm(ops->data, pid);
		else if (vs_uevent_is_module(buf, (size_t)n))
			ops->module(ops->data);
	}
}
