// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * packet_gen - sends a known number of Ethernet frames into an interface
 *
 *	packet_gen --dev IF [--count N] [--size BYTES] [--rate PPS] [--dst MAC] [--type HEX]
 *
 * Frames leave through a packet socket of the current network namespace, thus
 * through the interface's qdisc and the net_dev_* tracepoints: PACKET_QDISC_BYPASS
 * would take a path that fires neither. Each carries a sequence number and the
 * CLOCK_MONOTONIC time at which it was handed to the kernel. Prints one JSON
 * object: frames tried, accepted and refused (ENOBUFS: a qdisc or a driver
 * without a qdisc dropped it; ENETDOWN: the link is down).
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PG_STAMP_MAGIC	0x56535047u	/* as in pose/pose.h */
#define PG_NS_PER_S	1000000000ull
#define PG_SNDBUF_BYTES	(64 << 20)

struct pg_stamp {
	uint32_t magic;
	uint32_t seq;
	uint64_t sent_ns;
} __attribute__((packed));

static uint64_t pg_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * PG_NS_PER_S + (uint64_t)ts.tv_nsec;
}

static void pg_sleep_until(uint64_t ns)
{
	struct timespec ts = {
		.tv_sec = (time_t)(ns / PG_NS_PER_S),
		.tv_nsec = (long)(ns % PG_NS_PER_S),
	};

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL) == EINTR)
		;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "dev", required_argument, NULL, 'd' },  { "count", required_argument, NULL, 'n' },
		{ "size", required_argument, NULL, 's' }, { "rate", required_argument, NULL, 'r' },
		{ "dst", required_argument, NULL, 'm' },  { "type", required_argument, NULL, 't' },
		{},
	};
	uint64_t count = 1, size = 100, rate = 0, type = 0x88b5;
	uint64_t accepted = 0, nobufs = 0, netdown = 0, other = 0, begin_ns;
	unsigned char frame[65536] = {}, mac[6] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
	struct sockaddr_ll to = { .sll_family = AF_PACKET, .sll_halen = 6 };
	int sndbuf = PG_SNDBUF_BYTES, fd, c;
	const char *dev = NULL;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 'd':
			dev = optarg;
			break;
		case 'n':
			count = strtoull(optarg, NULL, 0);
			break;
		case 's':
			size = strtoull(optarg, NULL, 0);
			break;
		case 'r':
			rate = strtoull(optarg, NULL, 0);
			break;
		case 'm':
			if (sscanf(optarg, "%2hhx:%2hhx:%2hhx:%2hhx:%2hhx:%2hhx", &mac[0], &mac[1],
				   &mac[2], &mac[3], &mac[4], &mac[5]) != 6)
				return 2;
			break;
		case 't':
			type = strtoull(optarg, NULL, 0);
			break;
		default:
			return 2;
		}
	}
	if (!dev || size < ETH_HLEN + sizeof(struct pg_stamp) || size > sizeof(frame)) {
		fprintf(stderr, "packet_gen: --dev IF is required, --size is %zu to %zu\n",
			ETH_HLEN + sizeof(struct pg_stamp), sizeof(frame));
		return 2;
	}

	/* Protocol 0: this socket only sends, nothing is queued on it. */
	fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (fd < 0) {
		perror("packet_gen: socket");
		return 1;
	}
	/*
	 * Frames that wait in a qdisc stay charged to the socket; it must never be
	 * the socket that makes the sender wait.
	 */
	setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &sndbuf, sizeof(sndbuf));
	to.sll_ifindex = (int)if_nametoindex(dev);
	to.sll_protocol = htons((uint16_t)type);
	memcpy(to.sll_addr, mac, sizeof(mac));
	if (!to.sll_ifindex) {
		fprintf(stderr, "packet_gen: %s: %s\n", dev, strerror(errno));
		return 1;
	}
	memcpy(frame, mac, sizeof(mac));
	memcpy(frame + 6, (unsigned char[]){ 0x02, 0, 0, 0, 0, 0x99 }, 6);
	frame[12] = (unsigned char)(type >> 8);
	frame[13] = (unsigned char)type;
	prctl(PR_SET_TIMERSLACK, 1000);

	begin_ns = pg_now_ns();
	for (uint64_t i = 0; i < count; i++) {
		struct pg_stamp stamp = { .magic = PG_STAMP_MAGIC, .seq = (uint32_t)i };

		if (rate) {
			uint64_t due_ns = begin_ns + i * PG_NS_PER_S / rate;

			if (pg_now_ns() < due_ns)
				pg_sleep_until(due_ns);
		}
		stamp.sent_ns = pg_now_ns();
		memcpy(frame + ETH_HLEN, &stamp, sizeof(stamp));
		if (sendto(fd, frame, size, 0, (struct sockaddr *)&to, sizeof(to)) >= 0)
			accepted++;
		else if (errno == ENOBUFS)
			nobufs++;
		else if (errno == ENETDOWN)
			netdown++;
		else
			other++;
	}
	printf("{\"tried\":%" PRIu64 ",\"accepted\":%" PRIu64 ",\"bytes\":%" PRIu64 ",\"enobufs\":%" PRIu64
	       ",\"enetdown\":%" PRIu64 ",\"other\":%" PRIu64 ",\"seconds\":%.6f}\n",
	       count, accepted, accepted * size, nobufs, netdown, other,
	       (double)(pg_now_ns() - begin_ns) / (double)PG_NS_PER_S);
	return 0;
}
