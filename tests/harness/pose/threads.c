/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "pose/threads.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/vhost.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

struct thread {
	char name[16];
	int cpu;	/* -1: any */
	bool burn;
	int tid;	/* 0 until it runs */
};

static void *thread_main(void *arg)
{
	struct thread *t = arg;
	bool burn = t->burn;
	cpu_set_t set;

	prctl(PR_SET_NAME, t->name);
	if (t->cpu >= 0) {
		CPU_ZERO(&set);
		CPU_SET(t->cpu, &set);
		sched_setaffinity(0, sizeof(set), &set);
	}
	/* The last touch: t is freed then. */
	__atomic_store_n(&t->tid, (int)syscall(SYS_gettid), __ATOMIC_SEQ_CST);
	for (;;)
		if (!burn)
			pause();
	return NULL;
}

/* Names come with _ for blanks: "CPU_0/KVM". */
void pose_cmd_threads(const struct pose_args *args)
{
	uint64_t count = pose_arg_u64(args, "count", 1);
	struct thread t = { .cpu = (int)pose_arg_u64(args, "cpu", (uint64_t)-1),
			       .burn = !strcmp(pose_arg(args, "mode", "sleep"), "burn") };
	pthread_attr_t attr;

	snprintf(t.name, sizeof(t.name), "%s", pose_arg(args, "name", "worker"));
	for (char *c = t.name; *c; c++)
		*c = *c == '_' ? ' ' : *c;
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 64 * 1024);
	printf("{\"ok\":true,\"tids\":[");
	for (uint64_t i = 0; i < count; i++) {
		pthread_t id;

		t.tid = 0;
		if (pthread_create(&id, &attr, thread_main, &t))
			break;
		while (!__atomic_load_n(&t.tid, __ATOMIC_SEQ_CST))
			sched_yield();
		printf("%s%d", i ? "," : "", t.tid);
	}
	printf("]}\n");
}

void pose_cmd_vhost(const struct pose_args *args)
{
	int fd = open("/dev/vhost-net", O_RDWR | O_CLOEXEC);

	(void)args;
	if (fd < 0 || ioctl(fd, VHOST_SET_OWNER))
		pose_reply_error("vhost", errno);
	else
		pose_reply_ok(); /* fd stays open: the worker lives with it */
}
