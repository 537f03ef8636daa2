/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "app/notify.h"

#include "unit.h"

#include <sys/socket.h>
#include <sys/un.h>

/* Plays the manager: binds an abstract socket and names it in NOTIFY_SOCKET. */
static int listen_as_manager(void)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int n = snprintf(a.sun_path + 1, sizeof(a.sun_path) - 1, "vs-notify-%d", (int)getpid());
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	char name[64];

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&a,
			      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n)),
			 0);
	(void)snprintf(name, sizeof(name), "@vs-notify-%d", (int)getpid());
	assert_int_equal(setenv("NOTIFY_SOCKET", name, 1), 0);
	return fd;
}

static void assert_heard(int fd, const char *text)
{
	char got[256] = "";

#ifdef VS_WITH_SYSTEMD
	assert_true(recv(fd, got, sizeof(got) - 1, 0) > 0);
	assert_memory_equal(got, text, strlen(text));
#else
	(void)text;
	assert_int_equal(recv(fd, got, sizeof(got) - 1, 0), -1);
#endif
}

static void manager_hears_each_state(void **state)
{
	int fd = listen_as_manager();

	(void)state;
	vs_notify_ready();
	assert_heard(fd, "READY=1");
	vs_notify_alive(1);
	assert_heard(fd, "WATCHDOG=1\nSTATUS=watching 1 VM");
	vs_notify_alive(200);
	assert_heard(fd, "WATCHDOG=1\nSTATUS=watching 200 VMs");
	vs_notify_reloading();
	assert_heard(fd, "RELOADING=1\nMONOTONIC_USEC=");
	vs_notify_stopping();
	assert_heard(fd, "STOPPING=1");
	assert_int_equal(unsetenv("NOTIFY_SOCKET"), 0);
	assert_int_equal(close(fd), 0);
}

static void without_manager_nothing_happens(void **state)
{
	(void)state;
	assert_int_equal(unsetenv("NOTIFY_SOCKET"), 0);
	vs_notify_ready();
	vs_notify_alive(3);
	vs_notify_reloading();
	vs_notify_stopping();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(manager_hears_each_state),
		cmocka_unit_test(without_manager_nothing_happens),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
