// SPDX-License-Identifier: GPL-2.0-or-later
#include "pose/pose.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

uint64_t pose_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * POSE_NS_PER_S + (uint64_t)ts.tv_nsec;
}

void pose_sleep_ms(uint64_t ms)
{
	struct timespec ts = {
		.tv_sec = (time_t)(ms / 1000),
		.tv_nsec = (long)(ms % 1000 * POSE_NS_PER_MS),
	};

	while (nanosleep(&ts, &ts) && errno == EINTR)
		;
}

const char *pose_arg(const struct pose_args *args, const char *key, const char *fallback)
{
	for (int i = 0; i < args->n; i++)
		if (!strcmp(args->key[i], key))
			return args->val[i];
	return fallback;
}

uint64_t pose_arg_u64(const struct pose_args *args, const char *key, uint64_t fallback)
{
	const char *s = pose_arg(args, key, NULL);

	return s ? strtoull(s, NULL, 0) : fallback;
}

void pose_reply_failure(int err, const char *text)
{
	printf("{\"ok\":false,\"error\":\"%s\",\"errno\":%d}\n", text, err);
}

void pose_reply_error(const char *what, int err)
{
	char text[256];

	snprintf(text, sizeof(text), "%s: %s", what, strerror(err));
	pose_reply_failure(err, text);
}

void pose_reply_ok(void)
{
	printf("{\"ok\":true}\n");
}

static int pose_mac_parse(const char *text, unsigned char *mac)
{
	return sscanf(text, "%2hhx:%2hhx:%2hhx:%2hhx:%2hhx:%2hhx", &mac[0], &mac[1], &mac[2], &mac[3],
		      &mac[4], &mac[5]) == 6 ? 0 : -EINVAL;
}

int pose_eth_fill(const struct pose_args *args, unsigned char eth[POSE_ETH_BYTES])
{
	uint64_t type = pose_arg_u64(args, "type", 0x88b5);

	if (pose_mac_parse(pose_arg(args, "dst", "ff:ff:ff:ff:ff:ff"), eth) ||
	    pose_mac_parse(pose_arg(args, "src", "02:00:00:00:00:01"), eth + 6))
		return -EINVAL;
	eth[12] = (unsigned char)(type >> 8);
	eth[13] = (unsigned char)type;
	return 0;
}

void pose_commands_print(const struct pose_command *commands, int n)
{
	for (int i = 0; i < n; i++)
		printf("  %-9s %s\n", commands[i].name, commands[i].help);
	printf("  %-9s %s\n", "quit", "end; so does the end of stdin");
}

/* Returns false when the program shall end. */
static bool pose_command_run(const struct pose_command *commands, int n, char *line)
{
	struct pose_args args = {};
	char *save = NULL, *name, *word;

	name = strtok_r(line, " \t\n", &save);
	if (!name)
		return true;
	while ((word = strtok_r(NULL, " \t\n", &save))) {
		char *eq = strchr(word, '=');

		if (!eq && !args.word) {
			args.word = word;
			continue;
		}
		if (!eq || args.n == POSE_ARG__N) {
			pose_reply_error(word, EINVAL);
			return true;
		}
		*eq = '\0';
		args.key[args.n] = word;
		args.val[args.n++] = eq + 1;
	}
	if (!strcmp(name, "quit")) {
		pose_reply_ok();
		return false;
	}
	for (int i = 0; i < n; i++)
		if (!strcmp(name, commands[i].name)) {
			commands[i].run(&args);
			return true;
		}
	pose_reply_error(name, ENOSYS);
	return true;
}

int pose_serve(const struct pose_command *commands, int n, void (*wait_input)(void))
{
	char line[1024];
	size_t len = 0;

	/* Not stdio: buffered input would hide a second line from poll(). */
	for (;;) {
		ssize_t got;
		char *eol;

		wait_input();
		got = read(0, line + len, sizeof(line) - 1 - len);
		if (got <= 0)
			return 0;
		len += (size_t)got;
		line[len] = '\0';
		while ((eol = strchr(line, '\n'))) {
			*eol++ = '\0';
			if (!pose_command_run(commands, n, line))
				return 0;
			len -= (size_t)(eol - line);
			memmove(line, eol, len + 1);
		}
		if (len == sizeof(line) - 1)
			return 1;
	}
}
