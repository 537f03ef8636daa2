// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * vhost_drive - a guest's network driver without a guest
 *
 * Opens /dev/vhost-net, keeps the virtqueues in its own memory and has a tap as
 * back-end, so that real vhost workers run at full rate. It does exactly what it
 * is told on stdin, and counts what it did: packets, kicks and signals, by queue.
 * Run from a copy called qemu-system-x86_64 it poses as a VM, as posed_vm does.
 *
 *	qemu-system-x86_64 -name guest=NAME -uuid UUID [--tap SPEC]... [--disk PATH]...
 *
 * A queue pair is a /dev/vhost-net with two split rings:
 *
 *	tx: we fill a buffer, put its number into avail, kick (an eventfd); the
 *	    worker sends it through the tap, puts it into used, calls (an eventfd)
 *	rx: we put empty buffers into avail; the worker fills them with what the
 *	    tap got, puts them into used, calls
 *
 * vhost/ring.h describes the rings, vhost/pair.h the device, pose/pose.h how
 * commands and replies look. rx and tx are the guest's: rx is out of the host's
 * tap into us.
 *
 * Threads: one; the workers are the kernel's. State: vhost/nic.c, pose/disk.c.
 *
 * To add a command: write a cmd_ function, add its row to the table.
 */
#include "pose/disk.h"
#include "pose/pose.h"
#include "pose/waits.h"
#include "vhost/fault.h"
#include "vhost/pick.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define VD_TIMEOUT_MS	30000

/* --- vNICs ------------------------------------------------------------ */

static void cmd_open(const struct pose_args *args)
{
	const char *spec = pose_arg(args, "tap", "");
	char why[160] = "out of memory", text[320];
	int r;

	/* A SPEC has '=' itself; the first one was the argument's. */
	r = vd_nic_open(spec, why);
	if (r) {
		snprintf(text, sizeof(text), "open %s: %s", spec, why);
		pose_reply_failure(-r, text);
		return;
	}
	pose_reply_ok();
}

static void cmd_close(const struct pose_args *args)
{
	const char *tap = pose_arg(args, "tap", NULL);
	struct vd_nic *nic;

	for (int i = 0; (nic = vd_nic_at(i)); i++)
		if (!tap || !strcmp(tap, nic->tap.name)) {
			vd_nic_close(nic);
			pose_reply_ok();
			return;
		}
	pose_reply_error("close", ENODEV);
}

/* --- transmit --------------------------------------------------------- */

static bool vd_jobs_active(const struct vd_pick *pick)
{
	for (int i = 0; i < pick->n; i++)
		if (pick->lane[i]->job.active)
			return true;
	return false;
}

static void vd_jobs_wait(const struct vd_pick *pick, uint64_t timeout_ms)
{
	uint64_t now_ns = pose_now_ns(), end_ns = now_ns + timeout_ms * POSE_NS_PER_MS;

	while (vd_jobs_active(pick) && now_ns < end_ns) {
		vd_nics_run((int)((end_ns - now_ns) / POSE_NS_PER_MS) + 1);
		now_ns = pose_now_ns();
	}
}

/* One reply for the jobs that none has told of yet. */
static void vd_jobs_reply(const struct vd_pick *pick, const char *what, uint64_t timeout_ms)
{
	uint64_t posted = 0, used = 0, bytes = 0, kicks = 0, begin_ns = UINT64_MAX, done_ns = 0;
	char text[160];

	for (int i = 0; i < pick->n; i++) {
		struct vd_job *job = &pick->lane[i]->job;
		const struct vd_counts *now = &pick->lane[i]->pair.q[VD_TX].counts;

		if (!job->begin_ns || job->reported)
			continue;
		job->reported = !job->active;
		posted += job->posted;
		used += vd_job_used(job, &pick->lane[i]->pair);
		bytes += now->bytes - job->before.bytes;
		kicks += now->kicks - job->before.kicks;
		begin_ns = job->begin_ns < begin_ns ? job->begin_ns : begin_ns;
		done_ns = job->done_ns > done_ns ? job->done_ns : done_ns;
	}
	if (vd_jobs_active(pick)) {
		snprintf(text, sizeof(text),
			 "%s: %" PRIu64 " of %" PRIu64 " posted are used, more may be due, after %" PRIu64 " ms",
			 what, used, posted, timeout_ms);
		pose_reply_failure(ETIMEDOUT, text);
		return;
	}
	printf("{\"ok\":true,\"sent\":%" PRIu64 ",\"used\":%" PRIu64 ",\"bytes\":%" PRIu64
	       ",\"kicks\":%" PRIu64 ",\"ns\":%" PRIu64 "}\n",
	       posted, used, bytes, kicks, done_ns > begin_ns ? done_ns - begin_ns : 0);
}

static void cmd_send(const struct pose_args *args)
{
	uint64_t timeout_ms = pose_arg_u64(args, "timeout_ms", VD_TIMEOUT_MS);
	struct vd_plan plan = {
		.rate = pose_arg_u64(args, "rate", 0),
		.ms = pose_arg_u64(args, "ms", 0),
		.batch = (uint32_t)pose_arg_u64(args, "batch", 0),
		.bytes = (uint32_t)pose_arg_u64(args, "size", 100),
		.stamp = pose_arg_u64(args, "stamp", 1) != 0,
	};
	struct vd_pick pick;

	plan.count = pose_arg_u64(args, "count", plan.ms ? UINT64_MAX : 1);
	if (pose_eth_fill(args, plan.eth)) {
		pose_reply_error("send: address", EINVAL);
		return;
	}
	if (!vd_pick(&pick, args, true))
		return;
	if (vd_jobs_active(&pick)) {
		pose_reply_error("send: wait or stop first", EBUSY);
		return;
	}
	for (int i = 0; i < pick.n; i++) {
		int r = vd_job_start(&pick.lane[i]->job, &pick.lane[i]->pair, &plan);

		if (r) {
			pose_reply_error("send", -r);
			return;
		}
	}
	if (pose_arg_u64(args, "background", 0)) {
		pose_reply_ok();
		return;
	}
	vd_jobs_wait(&pick, timeout_ms);
	vd_jobs_reply(&pick, "send", timeout_ms);
}

static void cmd_wait(const struct pose_args *args)
{
	uint64_t timeout_ms = pose_arg_u64(args, "timeout_ms", VD_TIMEOUT_MS);
	struct vd_pick pick;

	if (!vd_pick(&pick, args, false))
		return;
	vd_jobs_wait(&pick, timeout_ms);
	vd_jobs_reply(&pick, "wait", timeout_ms);
}

static void cmd_stop(const struct pose_args *args)
{
	uint64_t timeout_ms = pose_arg_u64(args, "timeout_ms", 1000);
	struct vd_pick pick;

	if (!vd_pick(&pick, args, false))
		return;
	for (int i = 0; i < pick.n; i++)
		if (pick.lane[i]->job.active)
			vd_job_stop(&pick.lane[i]->job, &pick.lane[i]->pair);
	vd_jobs_wait(&pick, timeout_ms);
	vd_jobs_reply(&pick, "stop", timeout_ms);
}

/* --- receive ---------------------------------------------------------- */

static uint64_t vd_received(const struct vd_pick *pick)
{
	uint64_t n = 0;

	for (int i = 0; i < pick->n; i++)
		n += pick->lane[i]->pair.q[VD_RX].counts.packets - pick->lane[i]->rx_reported.packets;
	return n;
}

/* Until so many came since the last report, or nothing for so long. */
static void cmd_receive(const struct pose_args *args)
{
	uint64_t count = pose_arg_u64(args, "count", UINT64_MAX);
	uint64_t idle_ms = pose_arg_u64(args, "idle_ms", 300);
	uint64_t now_ns = pose_now_ns(), last_ns = now_ns, got, bytes = 0;
	uint64_t end_ns = now_ns + pose_arg_u64(args, "timeout_ms", VD_TIMEOUT_MS) * POSE_NS_PER_MS;
	struct vd_pick pick;

	if (!vd_pick(&pick, args, false))
		return;
	vd_nics_run(0);
	for (got = vd_received(&pick); got < count && now_ns < end_ns; now_ns = pose_now_ns()) {
		uint64_t before = got, until_ns = last_ns + idle_ms * POSE_NS_PER_MS;

		if (now_ns >= until_ns)
			break;
		vd_nics_run((int)((until_ns - now_ns) / POSE_NS_PER_MS) + 1);
		got = vd_received(&pick);
		if (got != before)
			last_ns = pose_now_ns();
	}
	printf("{\"ok\":true,\"queues\":[");
	for (int i = 0; i < pick.n; i++) {
		const struct vd_queue *q = &pick.lane[i]->pair.q[VD_RX];
		struct vd_counts *last = &pick.lane[i]->rx_reported;

		printf("%s{\"tap\":\"%s\",\"queue\":%d,\"packets\":%" PRIu64 ",\"bytes\":%" PRIu64
		       ",\"outstanding\":%u}",
		       i ? "," : "", pick.tap[i], pick.queue[i], q->counts.packets - last->packets,
		       q->counts.bytes - last->bytes, vd_ring_outstanding(&q->ring));
		bytes += q->counts.bytes - last->bytes;
		*last = q->counts;
	}
	printf("],\"packets\":%" PRIu64 ",\"bytes\":%" PRIu64 ",", got, bytes);
	pose_waits_report();
	printf("}\n");
}

/* --- figures ---------------------------------------------------------- */

static void vd_counts_print(const char *name, struct vd_queue *q)
{
	const struct vd_counts *c = &q->counts;

	vd_queue_errors_fetch(q);
	printf(",\"%s\":{\"posted\":%" PRIu64 ",\"used\":%" PRIu64 ",\"outstanding\":%u"
	       ",\"packets\":%" PRIu64 ",\"bytes\":%" PRIu64 ",\"kicks\":%" PRIu64
	       ",\"kicks_spared\":%" PRIu64 ",\"kicks_withheld\":%" PRIu64 ",\"calls\":%" PRIu64
	       ",\"wakeups\":%" PRIu64 ",\"errors\":%" PRIu64 "}",
	       name, c->posted, c->used, vd_ring_outstanding(&q->ring), c->packets, c->bytes, c->kicks,
	       c->kicks_spared, c->kicks_withheld, c->calls, c->wakeups, c->errors);
}

static void cmd_stats(const struct pose_args *args)
{
	struct vd_pick pick;

	if (!vd_pick(&pick, args, false))
		return;
	vd_nics_run(0);
	printf("{\"ok\":true,\"queues\":[");
	for (int i = 0; i < pick.n; i++) {
		struct vd_pair *pair = &pick.lane[i]->pair;

		printf("%s{\"tap\":\"%s\",\"queue\":%d,\"sending\":%s", i ? "," : "", pick.tap[i],
		       pick.queue[i], pick.lane[i]->job.active ? "true" : "false");
		vd_counts_print("rx", &pair->q[VD_RX]);
		vd_counts_print("tx", &pair->q[VD_TX]);
		printf("}");
	}
	printf("]}\n");
}

static const struct pose_command commands[] = {
	{ "open", cmd_open, "tap=SPEC: plug a vNIC" },
	{ "close", cmd_close, "[tap=NAME]: unplug it" },
	{ "send", cmd_send,
	  "[count=N] [ms=MS] [size=BYTES] [rate=PER_S] [batch=FRAMES_PER_KICK] [stamp=0]\n"
	  "            [type=] [dst=] [src=] [background=1] [timeout_ms=]: transmit; through the\n"
	  "            first tap and queue if none is named; replies when all is used" },
	{ "wait", cmd_wait, "[timeout_ms=]: until what is sent in the background is used" },
	{ "stop", cmd_stop, "[timeout_ms=]: post no more of it" },
	{ "receive", cmd_receive,
	  "[count=N] [idle_ms=MS] [timeout_ms=]: what came since the last receive" },
	VD_FAULT_COMMANDS,
	POSE_DISK_COMMANDS,
	{ "stats", cmd_stats, "all counts since the tap was opened" },
};

#define VD_COMMAND__N ((int)(sizeof(commands) / sizeof(commands[0])))

static void vd_help(void)
{
	printf("usage: qemu-system-x86_64 [-name guest=NAME,...] [-uuid UUID] [--tap SPEC]...\n"
	       "                          [--disk PATH]...\n"
	       "Poses as a VM whose vNICs are served by vhost-net; commands come on stdin.\n\n"
	       "SPEC is " VD_NIC_SPEC_HELP ";\n"
	       "at most %d taps of %d queues, rings up to %d, 256 if absent.\n"
	       "Options of QEMU's are skipped. Copy the program to a file called qemu-system-x86_64\n"
	       "to have it found as a VM.\n\n"
	       "commands; [tap=NAME|all] [queue=N|all] choose for all but open, close and stall:\n",
	       VD_NIC__N, POSE_TAP_QUEUE__N, VD_RING_MAX);
	pose_commands_print(commands, VD_COMMAND__N);
}

static void vd_wait_input(void)
{
	struct pollfd fds[] = {
		{ .fd = 0, .events = POLLIN },
		{ .fd = vd_nics_fd(), .events = POLLIN },
	};

	for (;;) {
		if (poll(fds, 2, vd_nics_more() ? 0 : -1) < 0 && errno != EINTR)
			return;
		if (fds[0].revents)
			return;
		vd_nics_run(0);
	}
}

int main(int argc, char **argv)
{
	char why[160] = "out of memory";
	int status;

	if (argc > 1 && !strcmp(argv[1], "--help")) {
		vd_help();
		return 0;
	}
	if (vd_nics_init()) {
		perror("vhost_drive: epoll_create1");
		return 1;
	}
	for (int i = 1; i + 1 < argc; i++) {
		int r = 0;

		if (!strcmp(argv[i], "--tap")) {
			r = vd_nic_open(argv[i + 1], why);
		} else if (!strcmp(argv[i], "--disk")) {
			r = pose_disk_open(argv[i + 1]);
			if (r)
				snprintf(why, sizeof(why), "open with O_DIRECT: %s", strerror(-r));
		}
		if (r) {
			fprintf(stderr, "vhost_drive: %s %s: %s\n", argv[i], argv[i + 1], why);
			vd_nics_done();
			return 1;
		}
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("{\"ok\":true,\"pid\":%d}\n", (int)getpid());
	status = pose_serve(commands, VD_COMMAND__N, vd_wait_input);
	vd_nics_done();
	return status;
}
