/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "unit.h"

#include "base/clock.h"
#include "base/loop.h"

#include <signal.h>
#include <sys/wait.h>

#define MS 1000000ull

struct seen {
	struct vs_loop *loop;
	int calls, stop_after;
	int other_fd; /* removed by the first call */
	uint64_t at_ns;
};

static void on_call(void *data, int fd)
{
	struct seen *s = data;

	(void)fd;
	s->at_ns = vs_clock_mono_ns();
	if (++s->calls == s->stop_after)
		vs_loop_stop(s->loop);
}

static void on_readable(void *data, int fd)
{
	char c;

	assert_int_equal(read(fd, &c, 1), 1);
	on_call(data, fd);
}

static struct seen start(int stop_after)
{
	struct seen s = { .stop_after = stop_after, .other_fd = -1 };

	assert_int_equal(vs_loop_new(&s.loop), 0);
	return s;
}

static void one_shot_timer_fires_once_and_not_early(void **state)
{
	struct seen once = start(0), end = { .loop = once.loop, .stop_after = 1 };
	uint64_t armed_ns = vs_clock_mono_ns();
	int a = vs_loop_timer(once.loop, on_call, &once), b = vs_loop_timer(once.loop, on_call, &end);

	(void)state;
	assert_true(a >= 0 && b >= 0);
	vs_loop_arm(a, 10 * MS);
	vs_loop_arm(b, 40 * MS);
	assert_int_equal(vs_loop_run(once.loop), 0);
	assert_int_equal(once.calls, 1);
	assert_true(once.at_ns - armed_ns >= 10 * MS);
	vs_loop_free(&once.loop);
	assert_null(once.loop);
}

static void timer_armed_with_zero_fires_at_once(void **state)
{
	struct seen s = start(1);
	uint64_t begun_ns = vs_clock_mono_ns();

	(void)state;
	vs_loop_arm(vs_loop_timer(s.loop, on_call, &s), 0);
	assert_int_equal(vs_loop_run(s.loop), 0);
	assert_int_equal(s.calls, 1);
	assert_true(s.at_ns - begun_ns < 1000 * MS);
	vs_loop_free(&s.loop);
}

static void timer_that_was_not_armed_stays_silent(void **state)
{
	struct seen silent = start(0), end = { .loop = silent.loop, .stop_after = 1 };

	(void)state;
	assert_true(vs_loop_timer(silent.loop, on_call, &silent) >= 0);
	vs_loop_arm(vs_loop_timer(silent.loop, on_call, &end), 10 * MS);
	assert_int_equal(vs_loop_run(silent.loop), 0);
	assert_int_equal(silent.calls, 0);
	vs_loop_free(&silent.loop);
}

static void periodic_timer_fires_again_and_again(void **state)
{
	struct seen s = start(4);
	uint64_t begun_ns = vs_clock_mono_ns();

	(void)state;
	assert_true(vs_loop_every(s.loop, 5 * MS, on_call, &s) >= 0);
	assert_int_equal(vs_loop_run(s.loop), 0);
	assert_int_equal(s.calls, 4);
	assert_true(s.at_ns - begun_ns >= 20 * MS);
	vs_loop_free(&s.loop);
}

static void sleep_through_periods(void *data, int fd)
{
	struct seen *s = data;

	if (s->calls == 0)
		(void)usleep(50000);
	on_call(data, fd);
}

static void missed_periods_are_one_call(void **state)
{
	struct seen s = start(3);
	uint64_t begun_ns = vs_clock_mono_ns();

	(void)state;
	/* The first call, at 20 ms, sleeps over 40 and 60: the second comes at
	 * 70 for both, the third with the period at 80. */
	assert_true(vs_loop_every(s.loop, 20 * MS, sleep_through_periods, &s) >= 0);
	assert_int_equal(vs_loop_run(s.loop), 0);
	assert_true(s.at_ns - begun_ns >= 80 * MS);
	vs_loop_free(&s.loop);
}

static void readable_descriptor_calls_its_function(void **state)
{
	struct seen s = start(3);
	int p[2];

	(void)state;
	assert_int_equal(pipe(p), 0);
	assert_int_equal(write(p[1], "abc", 3), 3);
	assert_int_equal(vs_loop_add(s.loop, p[0], on_readable, &s), 0);
	assert_int_equal(vs_loop_run(s.loop), 0);
	assert_int_equal(s.calls, 3);
	vs_loop_free(&s.loop);
	assert_int_equal(close(p[0]), 0); /* it stayed ours */
	assert_int_equal(close(p[1]), 0);
}

static void on_hangup(void *data, int fd)
{
	char c;

	assert_int_equal(read(fd, &c, 1), 0);
	on_call(data, fd);
}

static void hangup_calls_the_function_too(void **state)
{
	struct seen s = start(1);
	int p[2];

	(void)state;
	assert_int_equal(pipe(p), 0);
	(void)close(p[1]);
	assert_int_equal(vs_loop_add(s.loop, p[0], on_hangup, &s), 0);
	assert_int_equal(vs_loop_run(s.loop), 0);
	vs_loop_free(&s.loop);
	(void)close(p[0]);
}

static void descriptor_that_cannot_be_watched_is_refused(void **state)
{
	struct seen s = start(1);

	(void)state;
	assert_int_equal(vs_loop_add(s.loop, -1, on_call, &s), -EBADF);
	vs_loop_free(&s.loop);
}

/* The first of two that are ready takes the other one away. */
static void remove_other(void *data, int fd)
{
	struct seen *s = data;

	vs_loop_remove(s->loop, s->other_fd);
	on_readable(data, fd);
}

static void removed_inside_a_callback_means_not_called_in_the_same_round(void **state)
{
	/* Both are ready, so both are in one round; whichever comes first. */
	struct seen a = start(0), b = { .loop = a.loop }, end = { .loop = a.loop, .stop_after = 1 };
	int p[2][2];

	(void)state;
	assert_int_equal(pipe(p[0]), 0);
	assert_int_equal(pipe(p[1]), 0);
	a.other_fd = p[1][0];
	b.other_fd = p[0][0];
	assert_int_equal(vs_loop_add(a.loop, p[0][0], remove_other, &a), 0);
	assert_int_equal(vs_loop_add(a.loop, p[1][0], remove_other, &b), 0);
	assert_int_equal(write(p[0][1], "x", 1), 1);
	assert_int_equal(write(p[1][1], "x", 1), 1);
	vs_loop_arm(vs_loop_timer(a.loop, on_call, &end), 20 * MS);
	assert_int_equal(vs_loop_run(a.loop), 0);
	assert_int_equal(a.calls + b.calls, 1);
	vs_loop_free(&a.loop);
	for (int i = 0; i < 4; i++)
		(void)close(p[i / 2][i % 2]);
}

static void remove_myself(void *data, int fd)
{
	struct seen *s = data;

	vs_loop_remove(s->loop, fd);
	on_call(data, fd);
}

static void timer_may_remove_itself_inside_its_callback(void **state)
{
	struct seen s = start(0), end = { .loop = s.loop, .stop_after = 1 };
	int timer = vs_loop_every(s.loop, 2 * MS, remove_myself, &s);

	(void)state;
	vs_loop_arm(vs_loop_timer(s.loop, on_call, &end), 20 * MS);
	assert_int_equal(vs_loop_run(s.loop), 0);
	assert_int_equal(s.calls, 1);
	assert_int_equal(fcntl(timer, F_GETFD), -1); /* the loop owned and closed it */
	vs_loop_free(&s.loop);
}

struct replace {
	struct seen base;
	int fresh[2];
};

/* Close the other descriptor and open one that gets its number. */
static void replace_other(void *data, int fd)
{
	struct replace *r = data;
	int old = r->base.other_fd;

	if (old >= 0) {
		vs_loop_remove(r->base.loop, old);
		(void)close(old);
		assert_int_equal(pipe(r->fresh), 0);
		assert_int_equal(vs_loop_add(r->base.loop, r->fresh[0], on_call, &r->base), 0);
		r->base.other_fd = -1;
	}
	on_readable(data, fd);
}

static void a_new_descriptor_with_an_old_number_gets_no_old_event(void **state)
{
	struct replace r = { .base = start(0), .fresh = { -1, -1 } };
	struct seen end = { .loop = r.base.loop, .stop_after = 1 };
	int p[2][2];

	(void)state;
	assert_int_equal(pipe(p[0]), 0);
	assert_int_equal(pipe(p[1]), 0);
	r.base.other_fd = p[1][0];
	assert_int_equal(vs_loop_add(r.base.loop, p[0][0], replace_other, &r), 0);
	assert_int_equal(vs_loop_add(r.base.loop, p[1][0], on_readable, &r.base), 0);
	assert_int_equal(write(p[0][1], "x", 1), 1);
	assert_int_equal(write(p[1][1], "x", 1), 1);
	vs_loop_arm(vs_loop_timer(r.base.loop, on_call, &end), 20 * MS);
	assert_int_equal(vs_loop_run(r.base.loop), 0);
	assert_int_equal(r.fresh[0], p[1][0]); /* the number was reused, or nothing was tried */
	assert_int_equal(r.base.calls, 1);
	vs_loop_free(&r.base.loop);
	(void)close(p[0][0]);
	(void)close(p[0][1]);
	(void)close(p[1][1]);
	(void)close(r.fresh[0]);
	(void)close(r.fresh[1]);
}

static void removing_an_unknown_descriptor_does_nothing(void **state)
{
	struct seen s = start(1);

	(void)state;
	vs_loop_remove(s.loop, 12345);
	vs_loop_free(&s.loop);
}

/* In a child: the loop changes the process's signal mask. */
static void check_signal(int sig)
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		struct vs_loop *loop;

		if (vs_loop_new(&loop) || vs_loop_catch_signals(loop))
			_exit(1);
		(void)kill(getpid(), sig);
		if (vs_loop_run(loop))
			_exit(2);
		_exit(vs_loop_signal(loop) == sig ? 0 : 3);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void sigterm_and_sigint_end_the_loop(void **state)
{
	(void)state;
	check_signal(SIGTERM);
	check_signal(SIGINT);
}

static void on_hup(void *data, int number)
{
	assert_int_equal(number, SIGHUP);
	on_call(data, number);
}

/* In a process of its own, since signals stay blocked in the one that asked. */
static void a_signal_with_a_callback_calls_it_and_the_loop_goes_on(void **state)
{
	pid_t pid = fork();
	int status;

	(void)state;
	if (!pid) {
		struct seen s = start(0), end = { .loop = s.loop, .stop_after = 1 };
		int timer = vs_loop_timer(s.loop, on_call, &end);
		bool refused = vs_loop_on_signal(s.loop, SIGHUP, on_hup, &s) == -EINVAL;

		(void)signal(SIGHUP, SIG_IGN); /* as run does before it can serve it */
		(void)vs_loop_catch_signals(s.loop);
		refused &= vs_loop_on_signal(s.loop, SIGTERM, on_hup, &s) == -EBUSY;
		refused &= vs_loop_on_signal(s.loop, 64, on_hup, &s) == -EINVAL;
		if (!refused || vs_loop_on_signal(s.loop, SIGHUP, on_hup, &s))
			_exit(1);
		(void)kill(getpid(), SIGHUP);
		vs_loop_arm(timer, 50 * MS);
		if (vs_loop_run(s.loop) || s.calls != 1 || vs_loop_signal(s.loop))
			_exit(2);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_shot_timer_fires_once_and_not_early),
		cmocka_unit_test(timer_armed_with_zero_fires_at_once),
		cmocka_unit_test(timer_that_was_not_armed_stays_silent),
		cmocka_unit_test(periodic_timer_fires_again_and_again),
		cmocka_unit_test(missed_periods_are_one_call),
		cmocka_unit_test(readable_descriptor_calls_its_function),
		cmocka_unit_test(hangup_calls_the_function_too),
		cmocka_unit_test(descriptor_that_cannot_be_watched_is_refused),
		cmocka_unit_test(removed_inside_a_callback_means_not_called_in_the_same_round),
		cmocka_unit_test(timer_may_remove_itself_inside_its_callback),
		cmocka_unit_test(a_new_descriptor_with_an_old_number_gets_no_old_event),
		cmocka_unit_test(removing_an_unknown_descriptor_does_nothing),
		cmocka_unit_test(sigterm_and_sigint_end_the_loop),
		cmocka_unit_test(a_signal_with_a_callback_calls_it_and_the_loop_goes_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
