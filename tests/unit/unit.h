/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * unit.h - what every unit test includes first.
 *
 * A test is a static function whose name is the claim it makes; one that is
 * not registered in its file's table is unused, and that is a compile error.
 */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "app/options.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* main() is not linked, and the table of commands lies next to it. */
const struct vs_command vs_commands[] __attribute__((weak)) = {
	{ NULL, 0, NULL, NULL, NULL },
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Tests of what a program says on stderr would only clutter the output. */
static inline int unit_hush(void)
{
	int saved = dup(STDERR_FILENO), null = open("/dev/null", O_WRONLY | O_CLOEXEC);

	assert_true(saved >= 0 && null >= 0);
	assert_true(dup2(null, STDERR_FILENO) >= 0);
	(void)close(null);
	return saved;
}

static inline void unit_unhush(int saved)
{
	assert_true(dup2(saved, STDERR_FILENO) >= 0);
	(void)close(saved);
}

/* A directory of its own for one test; unit_remove_dir() takes plain files. */
static inline char *unit_make_dir(void)
{
	char *dir = strdup("/tmp/virtscope-unit-XXXXXX");

	assert_non_null(dir);
	assert_non_null(mkdtemp(dir));
	return dir;
}

static inline void unit_remove_dir(char *dir, const char *const *files)
{
	char path[256];

	for (; *files; files++) {
		(void)snprintf(path, sizeof(path), "%s/%s", dir, *files);
		(void)unlink(path);
	}
	assert_int_equal(rmdir(dir), 0);
	free(dir);
}

/* A fixed sequence: a failure can be repeated. (xorshift64*, Vigna 2014) */
static inline uint64_t unit_random(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * 2685821657736338717ull;
}
