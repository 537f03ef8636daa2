/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cleanup.h - owned locals: freed when they leave scope, unless taken.
 *
 * Layer:   base
 * State:   none
 * Threads: any
 */
#pragma once
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static inline void vs_cleanup_free(void *p)
{
	free(*(void **)p);
}

static inline void vs_cleanup_close(int *fd)
{
	if (*fd >= 0)
		(void)close(*fd);
}

static inline void vs_cleanup_fclose(FILE **f)
{
	if (*f)
		(void)fclose(*f);
}

static inline void vs_cleanup_closedir(DIR **d)
{
	if (*d)
		(void)closedir(*d);
}

#define vs_cleanup(fn) __attribute__((cleanup(fn)))
#define vs_autofree    vs_cleanup(vs_cleanup_free)
#define vs_autoclose   vs_cleanup(vs_cleanup_close)
#define vs_autofclose  vs_cleanup(vs_cleanup_fclose)
#define vs_autodir     vs_cleanup(vs_cleanup_closedir)

/* Moves an owned pointer or descriptor out of its variable. */
#define vs_take_ptr(p)                      \
	({                                  \
		__typeof__(p) taken_ = (p); \
		(p) = NULL;                 \
		taken_;                     \
	})
#define vs_take_fd(fd)            \
	({                        \
		int taken_ = (fd); \
		(fd) = -1;        \
		taken_;           \
	})
