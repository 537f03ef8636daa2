// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The send+read loop: packets go into a tap through AF_PACKET and come back
 * out of the tun descriptor, in small batches, in one thread on one CPU.
 *
 * Both ends of the path that virtscope watches run in one loop, so a time per
 * packet is the whole price of that path and can be compared with the probe
 * attached and detached, within one life of this process.
 *
 * It makes a network namespace of its own at start, which goes away with it.
 * To pose as a VM, run a copy of it called qemu-system-x86_64 with
 * -name guest=NAME.  All options take QEMU's single dash.
 *
 * Reads commands from stdin, answers one line of JSON each:
 *   run SECONDS    send and read for that long
 *   drop N         send N packets, of which the ring keeps its length and
 *                  the rest is lost, then drain it
 *   sleep SECONDS  do nothing
 * Ends at end of file.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <net/if.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>

#define CHUNK_PACKETS 4096 /* a few milliseconds: short beside a time slice */
#define CHUNKS__N     65536

struct tap_loop {
	const char *tap;
	int batch;
	int size;
	int tun_fd;
	int send_fd;
	uint64_t sent;
	uint64_t refused; /* send() said ENOBUFS: only without a qdisc */
	uint64_t missed;  /* neither refused nor read back */
	uint8_t frame[ETH_FRAME_LEN];
	double chunks[CHUNKS__N]; /* ns per packet */
};

static struct tap_loop loop_state; /* too large for the stack */

static void die(const char *what)
{
	fprintf(stderr, "tap_loop: %s: %s\n", what, strerror(errno));
	exit(1);
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ull + ts.tv_nsec;
}

static void write_sysctl(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	/* Absent without IPv6, which is just what is wanted. */
	if (fd < 0)
		return;
	if (write(fd, text, strlen(text)) < 0)
		fprintf(stderr, "tap_loop: %s: %s\n", path, strerror(errno));
	close(fd);
}

static void loop_open(struct tap_loop *t)
{
	struct ifreq ifr = { .ifr_flags = IFF_TAP | IFF_NO_PI };
	struct sockaddr_ll address = { .sll_family = AF_PACKET };
	/* No protocol: receive nothing, so that only the tap sees a packet. */
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);

	if (fd < 0)
		die("packet socket");
	t->tun_fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (t->tun_fd < 0)
		die("/dev/net/tun");
	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", t->tap);
	if (ioctl(t->tun_fd, TUNSETIFF, &ifr))
		die("TUNSETIFF");
	if (ioctl(fd, SIOCGIFFLAGS, &ifr))
		die("SIOCGIFFLAGS");
	ifr.ifr_flags |= IFF_UP;
	if (ioctl(fd, SIOCSIFFLAGS, &ifr))
		die("SIOCSIFFLAGS");
	if (ioctl(fd, SIOCGIFINDEX, &ifr))
		die("SIOCGIFINDEX");
	address.sll_ifindex = ifr.ifr_ifindex;
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)))
		die("bind to the tap");
	t->send_fd = fd;

	memset(t->frame, 0x02, 2 * ETH_ALEN);
	t->frame[12] = 0x88; /* IEEE 802 local experimental ethertype */
	t->frame[13] = 0xb5;
}

static int loop_send(struct tap_loop *t)
{
	if (send(t->send_fd, t->frame, t->size, 0) == t->size) {
		t->sent++;
		return 1;
	}
	if (errno != ENOBUFS)
		die("send");
	t->refused++;
	return 0;
}

static int loop_read(struct tap_loop *t)
{
	uint8_t buffer[2 * ETH_FRAME_LEN];

	if (read(t->tun_fd, buffer, sizeof(buffer)) > 0)
		return 1;
	if (errno != EAGAIN)
		die("read from the tap");
	return 0;
}

static uint64_t loop_drain(struct tap_loop *t)
{
	uint64_t n = 0;

	while (loop_read(t))
		n++;
	return n;
}

static void loop_batch(struct tap_loop *t)
{
	int in_ring = 0;

	for (int i = 0; i < t->batch; i++)
		in_ring += loop_send(t);
	for (; in_ring > 0; in_ring--)
		if (!loop_read(t))
			t->missed++;
}

static int compare_doubles(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void loop_run(struct tap_loop *t, double seconds)
{
	uint64_t start = now_ns(), end = start + seconds * 1e9, t0 = start, t1;
	size_t n = 0;

	t->sent = t->refused = t->missed = 0;
	do {
		uint64_t sent_before = t->sent;

		for (int i = 0; i < CHUNK_PACKETS; i += t->batch)
			loop_batch(t);
		t1 = now_ns();
		t->chunks[n++] = (double)(t1 - t0) / (t->sent - sent_before);
		t0 = t1;
	} while (t1 < end && n < CHUNKS__N);
	qsort(t->chunks, n, sizeof(t->chunks[0]), compare_doubles);
	printf("{\"packets\":%llu,\"refused\":%llu,\"missed\":%llu,"
	       "\"ns_per_packet\":%.2f,\"median_ns_per_packet\":%.2f}\n",
	       (unsigned long long)t->sent, (unsigned long long)t->refused,
	       (unsigned long long)t->missed, (double)(t1 - start) / t->sent,
	       t->chunks[n / 2]);
}

static void loop_drop(struct tap_loop *t, uint64_t n)
{
	uint64_t read_back;

	t->sent = t->refused = 0;
	for (uint64_t i = 0; i < n; i++)
		loop_send(t);
	read_back = loop_drain(t);
	printf("{\"packets\":%llu,\"lost\":%llu}\n", (unsigned long long)n,
	       (unsigned long long)(n - read_back));
}

static void pin_to(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		die("sched_setaffinity");
}

int main(int argc, char **argv)
{
	enum { OPT_TAP, OPT_BATCH, OPT_SIZE, OPT_CPU, OPT_IGNORED };
	static const struct option options[] = {
		{ "tap", required_argument, NULL, OPT_TAP },
		{ "batch", required_argument, NULL, OPT_BATCH },
		{ "size", required_argument, NULL, OPT_SIZE },
		{ "cpu", required_argument, NULL, OPT_CPU },
		/* What a VM has on its command line, for who looks at it. */
		{ "name", required_argument, NULL, OPT_IGNORED },
		{ "uuid", required_argument, NULL, OPT_IGNORED },
		{}
	};
	struct tap_loop *t = &loop_state;
	char line[128];
	int opt;

	t->tap = "benchtap0";
	t->batch = 16;
	t->size = 64;
	while ((opt = getopt_long_only(argc, argv, "", options, NULL)) != -1) {
		if (opt == OPT_TAP)
			t->tap = optarg;
		else if (opt == OPT_BATCH)
			t->batch = atoi(optarg);
		else if (opt == OPT_SIZE)
			t->size = atoi(optarg);
		else if (opt == OPT_CPU)
			pin_to(atoi(optarg));
		else if (opt != OPT_IGNORED)
			return 2;
	}
	if (t->batch < 1 || t->batch > 256 || t->size < ETH_HLEN ||
	    t->size > ETH_FRAME_LEN) {
		fprintf(stderr, "tap_loop: batch 1..256, size 14..1514\n");
		return 2;
	}
	if (unshare(CLONE_NEWNET))
		die("cannot make a network namespace (needs root)");
	write_sysctl("/proc/sys/net/ipv6/conf/all/disable_ipv6", "1");
	write_sysctl("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1");
	setvbuf(stdout, NULL, _IOLBF, 0);
	loop_open(t);
	puts("{\"ready\":true}");

	while (fgets(line, sizeof(line), stdin)) {
		double value;

		if (sscanf(line, "run %lf", &value) == 1) {
			loop_run(t, value);
		} else if (sscanf(line, "drop %lf", &value) == 1) {
			loop_drop(t, (uint64_t)value);
		} else if (sscanf(line, "sleep %lf", &value) == 1) {
			usleep((useconds_t)(value * 1e6));
			puts("{\"slept\":true}");
		} else {
			puts("{\"error\":\"unknown command\"}");
		}
	}
	return 0;
}
