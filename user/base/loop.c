/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/loop.h"

#include "base/cleanup.h"
#include "base/clock.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <uthash.h>

struct watch {
	int fd;
	bool timer; /* drained and closed by the loop */
	bool dead;  /* removed while events for it may be pending */
	vs_loop_fn fn;
	void *data;
	struct watch *next_dead;
	UT_hash_handle hh;
};

struct on_signal {
	vs_loop_fn fn; /* NULL: ends the loop */
	void *data;
};

struct vs_loop {
	int epoll_fd;
	int signal_fd;
	sigset_t caught;
	struct on_signal on_signal[32]; /* by number; the real-time ones are not for us */
	int signal;
	bool stop;
	struct watch *watches; /* by fd */
	struct watch *dead;
};

int vs_loop_new(struct vs_loop **ret)
{
	struct vs_loop *loop = calloc(1, sizeof(*loop));

	if (!loop)
		return -ENOMEM;
	loop->signal_fd = -1;
	loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (loop->epoll_fd < 0) {
		int r = -errno;

		free(loop);
		return r;
	}
	*ret = loop;
	return 0;
}

static void bury(struct vs_loop *loop)
{
	while (loop->dead) {
		struct watch *w = loop->dead;

		loop->dead = w->next_dead;
		free(w);
	}
}

void vs_loop_free(struct vs_loop **loop)
{
	struct watch *w, *tmp;

	if (!*loop)
		return;
	HASH_ITER(hh, (*loop)->watches, w, tmp)
	{
		HASH_DEL((*loop)->watches, w);
		if (w->timer)
			(void)close(w->fd);
		free(w);
	}
	bury(*loop);
	(void)close((*loop)->epoll_fd);
	vs_cleanup_close(&(*loop)->signal_fd);
	free(*loop);
	*loop = NULL;
}

static int add(struct vs_loop *loop, int fd, vs_loop_fn fn, void *data, bool timer)
{
	struct watch *w = calloc(1, sizeof(*w));
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = w };

	if (!w)
		return -ENOMEM;
	w->fd = fd;
	w->fn = fn;
	w->data = data;
	w->timer = timer;
	if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &ev)) {
		int r = -errno;

		free(w);
		return r;
	}
	HASH_ADD_INT(loop->watches, fd, w);
	return 0;
}

int vs_loop_add(struct vs_loop *loop, int fd, vs_loop_fn fn, void *data)
{
	return add(loop, fd, fn, data, false);
}

void vs_loop_remove(struct vs_loop *loop, int fd)
{
	struct watch *w;

	HASH_FIND_INT(loop->watches, &fd, w);
	if (!w)
		return;
	(void)epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
	HASH_DEL(loop->watches, w);
	if (w->timer)
		(void)close(fd);
	w->dead = true;
	w->next_dead = loop->dead;
	loop->dead = w;
}

void vs_loop_want_write(struct vs_loop *loop, int fd, bool want)
{
	struct epoll_event ev = { .events = EPOLLIN | (want ? (uint32_t)EPOLLOUT : 0) };
	struct watch *w;

	HASH_FIND_INT(loop->watches, &fd, w);
	if (!w)
		return;
	ev.data.ptr = w;
	(void)epoll_ctl(loop->epoll_fd, EPOLL_CTL_MOD, fd, &ev);
}

int vs_loop_timer(struct vs_loop *loop, vs_loop_fn fn, void *data)
{
	vs_autoclose int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	int r;

	if (fd < 0)
		return -errno;
	r = add(loop, fd, fn, data, true);
	return r ? r : vs_take_fd(fd);
}

void vs_loop_arm(int timer_fd, uint64_t after_ns)
{
	struct itimerspec its = { 0 };

	if (!after_ns)
		after_ns = 1;
	its.it_value.tv_sec = (time_t)(after_ns / VS_NS_PER_S);
	its.it_value.tv_nsec = (long)(after_ns % VS_NS_PER_S);
	(void)timerfd_settime(timer_fd, 0, &its, NULL);
}

int vs_loop_every(struct vs_loop *loop, uint64_t period_ns, vs_loop_fn fn, void *data)
{
	struct itimerspec its = { 0 };
	int fd = vs_loop_timer(loop, fn, data);

	if (fd < 0)
		return fd;
	its.it_value.tv_sec = its.it_interval.tv_sec = (time_t)(period_ns / VS_NS_PER_S);
	its.it_value.tv_nsec = its.it_interval.tv_nsec = (long)(period_ns % VS_NS_PER_S);
	(void)timerfd_settime(fd, 0, &its, NULL);
	return fd;
}

static void on_signal(void *data, int fd)
{
	struct vs_loop *loop = data;
	struct signalfd_siginfo si;

	if (read(fd, &si, sizeof(si)) != sizeof(si))
		return;
	if (si.ssi_signo < 32 && loop->on_signal[si.ssi_signo].fn) {
		const struct on_signal *on = &loop->on_signal[si.ssi_signo];

		on->fn(on->data, (int)si.ssi_signo);
		return;
	}
	loop->signal = (int)si.ssi_signo;
	loop->stop = true;
}

int vs_loop_catch_signals(struct vs_loop *loop)
{
	(void)signal(SIGPIPE, SIG_IGN);
	(void)sigemptyset(&loop->caught);
	(void)sigaddset(&loop->caught, SIGINT);
	(void)sigaddset(&loop->caught, SIGTERM);
	if (sigprocmask(SIG_BLOCK, &loop->caught, NULL))
		return -errno;
	loop->signal_fd = signalfd(-1, &loop->caught, SFD_CLOEXEC | SFD_NONBLOCK);
	if (loop->signal_fd < 0)
		return -errno;
	return vs_loop_add(loop, loop->signal_fd, on_signal, loop);
}

int vs_loop_on_signal(struct vs_loop *loop, int signal, vs_loop_fn fn, void *data)
{
	if (signal <= 0 || signal >= 32 || loop->signal_fd < 0)
		return -EINVAL;
	if (sigismember(&loop->caught, signal))
		return -EBUSY;
	(void)sigaddset(&loop->caught, signal);
	loop->on_signal[signal] = (struct on_signal){ fn, data };
	if (sigprocmask(SIG_BLOCK, &loop->caught, NULL) ||
	    signalfd(loop->signal_fd, &loop->caught, 0) < 0)
		return -errno;
	return 0;
}

int vs_loop_run(struct vs_loop *loop)
{
	struct epoll_event evs[32];

	while (!loop->stop) {
		int n = epoll_wait(loop->epoll_fd, evs, 32, -1);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		for (int i = 0; i < n && !loop->stop; i++) {
			struct watch *w = evs[i].data.ptr;
			uint64_t expirations;

			if (w->dead)
				continue;
			if (w->timer &&
			    read(w->fd, &expirations, sizeof(expirations)) != sizeof(expirations))
				continue; /* re-armed meanwhile */
			w->fn(w->data, w->fd);
		}
		bury(loop);
	}
	return 0;
}

void vs_loop_stop(struct vs_loop *loop)
{
	loop->stop = true;
}

int vs_loop_signal(const struct vs_loop *loop)
{
	return loop->signal;
}
