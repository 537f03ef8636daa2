/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * loop.h - the event loop: descriptors, one-shot and periodic timers, signals.
 *
 * Layer:   base
 * State:   struct vs_loop, its owner's
 * Threads: one; callbacks run inside vs_loop_run()
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct vs_loop;

typedef void (*vs_loop_fn)(void *data, int fd);

/* Return: 0 or -errno. Logs: never. */
int vs_loop_new(struct vs_loop **ret);
/* Closes timers and the signal descriptor, not descriptors of others. */
void vs_loop_free(struct vs_loop **loop);

/* Calls @fn when @fd is readable (or hung up). @fd stays the caller's. */
int vs_loop_add(struct vs_loop *loop, int fd, vs_loop_fn fn, void *data);
/* Safe inside callbacks; unknown descriptors are ignored. */
void vs_loop_remove(struct vs_loop *loop, int fd);

/* Whether @fn of vs_loop_add() is to be called while @fd takes bytes, too. */
void vs_loop_want_write(struct vs_loop *loop, int fd, bool want);

/* A periodic timer; expirations that were missed are delivered as one call.
 * Return: its descriptor (the loop owns it) or -errno. */
int vs_loop_every(struct vs_loop *loop, uint64_t period_ns, vs_loop_fn fn, void *data);

/* A timer that is armed by vs_loop_arm(). Return: its descriptor or -errno. */
int vs_loop_timer(struct vs_loop *loop, vs_loop_fn fn, void *data);
/* Fires once after @after_ns (0: as soon as possible). */
void vs_loop_arm(int timer_fd, uint64_t after_ns);

/* SIGINT and SIGTERM end vs_loop_run(); SIGPIPE is ignored. */
int vs_loop_catch_signals(struct vs_loop *loop);

/**
 * vs_loop_on_signal() - call @fn from the loop for each @signal, instead of the
 * signal's own effect. Several that come before the loop sees them are one call.
 * @fn: gets the number of the signal where others get a descriptor
 *
 * One per signal, for the life of the loop; vs_loop_catch_signals() comes first.
 * Return: 0 or -errno, -EBUSY if somebody has that signal. Logs: never.
 */
int vs_loop_on_signal(struct vs_loop *loop, int signal, vs_loop_fn fn, void *data);

/* Runs until vs_loop_stop() or a signal. Return: 0 or -errno. */
int vs_loop_run(struct vs_loop *loop);
void vs_loop_stop(struct vs_loop *loop);
/* The signal that ended the loop, 0 if none did. */
int vs_loop_signal(const struct vs_loop *loop);
