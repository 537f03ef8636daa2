/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "discover/links.h"

#include "abi.h"
#include "base/cleanup.h"

#include <errno.h>
#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>

int vs_links_open(void)
{
	/* No bind: the first message binds it. One is made per namespace and second. */
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

	return fd < 0 ? -errno : fd;
}

static int parse_stats(const struct nlmsghdr *h, struct vs_link_stats *ret)
{
	const struct if_stats_msg *m = NLMSG_DATA(h);
	const struct rtattr *a =
		(const void *)((const char *)m + NLMSG_ALIGN(sizeof(struct if_stats_msg)));
	int len = (int)(h->nlmsg_len - NLMSG_LENGTH(sizeof(*m)));
	struct rtnl_link_stats64 s = { 0 };

	for (; RTA_OK(a, len); a = RTA_NEXT(a, len)) {
		if (a->rta_type != IFLA_STATS_LINK_64)
			continue;
		memcpy(&s, RTA_DATA(a), RTA_PAYLOAD(a) < sizeof(s) ? RTA_PAYLOAD(a) : sizeof(s));
		ret->packets[VS_DIR_RX] = s.tx_packets;
		ret->bytes[VS_DIR_RX] = s.tx_bytes;
		ret->dropped[VS_DIR_RX] = s.tx_dropped;
		ret->packets[VS_DIR_TX] = s.rx_packets;
		ret->bytes[VS_DIR_TX] = s.rx_bytes;
		ret->dropped[VS_DIR_TX] = s.rx_dropped;
		return 0;
	}
	return -ENODATA;
}

int vs_links_stats(int fd, uint32_t ifindex, struct vs_link_stats *ret)
{
	static uint32_t seq;
	struct {
		struct nlmsghdr h;
		struct if_stats_msg m;
	} req = {
		.h = { .nlmsg_len = sizeof(req),
		       .nlmsg_type = RTM_GETSTATS,
		       .nlmsg_flags = NLM_F_REQUEST,
		       .nlmsg_seq = ++seq },
		.m = { .ifindex = ifindex,
		       .filter_mask = IFLA_STATS_FILTER_BIT(IFLA_STATS_LINK_64) },
	};
	char buf[4096] __attribute__((aligned(8)));

	if (send(fd, &req, sizeof(req), 0) != sizeof(req))
		return -errno;
	for (;;) {
		/* rtnetlink answers while it takes the request, or not at all. */
		ssize_t n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);
		struct nlmsghdr *h = (void *)buf;

		if (n < 0)
			return -errno;
		if (!NLMSG_OK(h, n))
			return -EBADMSG;
		if (h->nlmsg_seq != seq)
			continue; /* of a request that was given up */
		if (h->nlmsg_type == NLMSG_ERROR) {
			const struct nlmsgerr *e = NLMSG_DATA(h);

			return e->error ? e->error : -EBADMSG;
		}
		return parse_stats(h, ret);
	}
}

int vs_links_monitor_open(void)
{
	vs_autoclose int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK,
				     NETLINK_ROUTE);
	struct sockaddr_nl addr = { .nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK };

	if (fd < 0 || bind(fd, (struct sockaddr *)&addr, sizeof(addr)))
		return -errno;
	return vs_take_fd(fd);
}

static bool is_tap(const struct nlmsghdr *h)
{
	const struct ifinfomsg *m = NLMSG_DATA(h);
	const struct rtattr *a = IFLA_RTA(m), *b;
	int len = (int)(h->nlmsg_len - NLMSG_LENGTH(sizeof(*m))), inner;

	for (; RTA_OK(a, len); a = RTA_NEXT(a, len)) {
		if ((a->rta_type & NLA_TYPE_MASK) != IFLA_LINKINFO)
			continue;
		b = RTA_DATA(a);
		inner = (int)RTA_PAYLOAD(a);
		for (; RTA_OK(b, inner); b = RTA_NEXT(b, inner))
			if (b->rta_type == IFLA_INFO_KIND)
				return strncmp(RTA_DATA(b), "tun", RTA_PAYLOAD(b)) == 0 ||
				       strncmp(RTA_DATA(b), "macvtap", RTA_PAYLOAD(b)) == 0;
	}
	return false;
}

int vs_links_monitor_read(int fd)
{
	char buf[16384] __attribute__((aligned(8)));
	int changed = 0;

	for (;;) {
		ssize_t n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == ENOBUFS ? 1 : changed;
		for (struct nlmsghdr *h = (void *)buf; NLMSG_OK(h, n); h = NLMSG_NEXT(h, n))
			if ((h->nlmsg_type == RTM_NEWLINK || h->nlmsg_type == RTM_DELLINK) &&
			    is_tap(h))
				changed = 1;
	}
}
