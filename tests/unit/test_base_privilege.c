/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "unit.h"

#include "base/privilege.h"

#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

/* What is given up cannot be had again, so each trial is a process of its own. */
static int in_child(int (*fn)(void))
{
	int status = 0;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0)
		_exit(fn());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static bool field_is(const char *name, const char *value)
{
	FILE *f = fopen("/proc/self/status", "re");
	char line[256];
	bool same = false;

	while (f && fgets(line, sizeof(line), f)) {
		size_t n = strlen(name);

		if (strncmp(line, name, n) == 0 && line[n] == ':')
			same = strncmp(line + n + 2, value, strlen(value)) == 0;
	}
	if (f)
		(void)fclose(f);
	return same;
}

static int drop_all(void)
{
	if (vs_privilege_drop(NULL, 0))
		return 1;
	return !(field_is("CapEff", "0000000000000000") && field_is("CapPrm", "0000000000000000") &&
		 field_is("CapInh", "0000000000000000") && field_is("CapAmb", "0000000000000000") &&
		 field_is("NoNewPrivs", "1"));
}

static void nothing_is_held_after_all_was_dropped(void **state)
{
	(void)state;
	assert_int_equal(in_child(drop_all), 0);
}

static int keep_two(void)
{
	/* Bits 19 and 38, or fewer: whoever runs this may hold none. */
	char had_none[] = "0000000000000000";
	bool none = field_is("CapPrm", had_none);

	if (vs_privilege_drop(NULL, VS_CAPABILITY(CAP_SYS_PTRACE) | VS_CAPABILITY(38)))
		return 1;
	return !(none ? field_is("CapPrm", had_none) : field_is("CapPrm", "0000004000080000")) ||
	       !field_is("NoNewPrivs", "1");
}

static void what_is_kept_is_held_and_nothing_else(void **state)
{
	(void)state;
	assert_int_equal(in_child(keep_two), 0);
}

static int exec_after(void)
{
	char *const argv[] = { (char *)"false", NULL }; /* which says so if it runs */

	if (vs_privilege_drop(NULL, 0))
		return 1;
	if (vs_privilege_deny_calls() == -ENOSYS)
		return 77;
	if (!execv("/bin/false", argv) || errno != EPERM)
		return 2;
	if (syscall(SYS_bpf, 0, NULL, 0) != -1 || errno != EPERM)
		return 3;
	if (syscall(SYS_unshare, 0) != -1 || errno != EPERM)
		return 4;
	/* and what a server needs goes on */
	return getpid() > 0 && field_is("Seccomp", "2") ? 0 : 5;
}

static void denied_calls_are_refused_and_others_work(void **state)
{
	int r;

	(void)state;
	r = in_child(exec_after);
	if (r == 77)
		skip();
	assert_int_equal(r, 0);
}

static void a_user_that_is_not_there_is_an_error(void **state)
{
	struct vs_privilege_user user;
	int saved = unit_hush();

	(void)state;
	assert_int_equal(vs_privilege_find_user("no-such-user-here", &user), -ENOENT);
	assert_int_equal(vs_privilege_find_user("a-name-that-is-much-longer-than-any-user-has", &user),
			 -ENOENT);
	unit_unhush(saved);
	assert_int_equal(vs_privilege_find_user("root", &user), 0);
	assert_int_equal(user.uid, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_held_after_all_was_dropped),
		cmocka_unit_test(what_is_kept_is_held_and_nothing_else),
		cmocka_unit_test(denied_calls_are_refused_and_others_work),
		cmocka_unit_test(a_user_that_is_not_there_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
