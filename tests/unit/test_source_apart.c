/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "unit.h"

#include "source/apart_protocol.h"

#include <sys/socket.h>

#define HEAD offsetof(struct vs_apart_message, text)

static struct vs_apart_message m, got;
static int pair[2];

static int set_up(void **state)
{
	(void)state;
	memset(&m, 0, sizeof(m));
	memset(&got, 0, sizeof(got));
	return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair);
}

static int done(void **state)
{
	(void)state;
	(void)close(pair[0]);
	return pair[1] >= 0 ? close(pair[1]) : 0;
}

static int descriptors(void)
{
	int n = 0;

	for (int fd = 0; fd < 64; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static void a_message_arrives_with_its_text_and_its_descriptor(void **state)
{
	int file = open("/dev/null", O_RDONLY | O_CLOEXEC), theirs = -1;

	(void)state;
	m.type = VS_APART_DONE;
	m.value = 1ull << 40;
	m.text_n = 5;
	memcpy(m.text, "hello", 5);
	assert_int_equal(vs_apart_send(pair[0], &m, file, 0), 0);
	assert_int_equal(vs_apart_receive(pair[1], &got, &theirs, 0), 0);
	assert_memory_equal(&got, &m, HEAD + 5);
	assert_true(theirs >= 0 && theirs != file);
	assert_true(fcntl(theirs, F_GETFD) & FD_CLOEXEC);
	(void)close(theirs);
	(void)close(file);
}

static void the_longest_text_arrives(void **state)
{
	(void)state;
	m.text_n = VS_APART_TEXT__N;
	memset(m.text, 'x', sizeof(m.text));
	assert_int_equal(vs_apart_send(pair[0], &m, -1, 0), 0);
	assert_int_equal(vs_apart_receive(pair[1], &got, NULL, 0), 0);
	assert_memory_equal(&got, &m, sizeof(m));
}

static void messages_of_another_length_than_they_say_are_refused(void **state)
{
	static char long_one[sizeof(m) + 1];

	(void)state;
	for (size_t n = 1; n < HEAD; n++) {
		assert_int_equal(send(pair[0], &m, n, 0), n);
		assert_int_equal(vs_apart_receive(pair[1], &got, NULL, 0), -EBADMSG);
	}
	m.text_n = 9;
	for (size_t n = HEAD; n < HEAD + 20; n++) {
		assert_int_equal(send(pair[0], &m, n, 0), n);
		assert_int_equal(vs_apart_receive(pair[1], &got, NULL, 0), n == HEAD + 9 ? 0 : -EBADMSG);
	}
	m.text_n = UINT32_MAX;
	assert_int_equal(send(pair[0], &m, sizeof(m), 0), sizeof(m));
	assert_int_equal(vs_apart_receive(pair[1], &got, NULL, 0), -EBADMSG);
	m.text_n = VS_APART_TEXT__N;
	memcpy(long_one, &m, sizeof(m));
	assert_int_equal(send(pair[0], long_one, sizeof(long_one), 0), sizeof(long_one));
	assert_int_equal(vs_apart_receive(pair[1], &got, NULL, 0), -EBADMSG);
}

static void a_descriptor_that_comes_with_nonsense_is_closed(void **state)
{
	int file = open("/dev/null", O_RDONLY | O_CLOEXEC), theirs = -1, before = descriptors();
	struct iovec iov = { &m, 3 };
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))] = { 0 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control,
			      .msg_controllen = sizeof(control) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

	(void)state;
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &file, sizeof(file));
	assert_int_equal(sendmsg(pair[0], &msg, 0), 3);
	assert_int_equal(vs_apart_receive(pair[1], &got, &theirs, 0), -EBADMSG);
	assert_int_equal(theirs, -1);
	/* nor does it stay where nobody was prepared for one */
	iov.iov_len = HEAD;
	assert_int_equal(sendmsg(pair[0], &msg, 0), HEAD);
	assert_int_equal(vs_apart_receive(pair[1], &got, NULL, 0), 0);
	assert_int_equal(descriptors(), before);
	(void)close(file);
}

static void the_other_ends_end_is_told(void **state)
{
	(void)state;
	assert_int_equal(vs_apart_receive(pair[0], &got, NULL, MSG_DONTWAIT), -EAGAIN);
	(void)close(pair[1]);
	pair[1] = -1;
	assert_int_equal(vs_apart_receive(pair[0], &got, NULL, 0), -EPIPE);
	assert_int_equal(vs_apart_send(pair[0], &m, -1, 0), -EPIPE);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, done)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_message_arrives_with_its_text_and_its_descriptor),
		TEST(the_longest_text_arrives),
		TEST(messages_of_another_length_than_they_say_are_refused),
		TEST(a_descriptor_that_comes_with_nonsense_is_closed),
		TEST(the_other_ends_end_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
