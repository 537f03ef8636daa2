/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * daemon.h - what runs once a second, and how events leave.
 *
 * One struct holds what cmd_run.c has made; the tick takes a sample from the
 * source and gives it, in turn, to whoever looks at samples.
 *
 * Layer:   app
 * State:   struct vs_daemon, cmd_run.c's
 * Threads: one
 */
#pragma once
#include "base/loop.h"
#include "detect/anomaly.h"
#include "detect/burst.h"
#include "model/event.h"
#include "model/pace.h"
#include "serve/control.h"
#include "serve/event_memory.h"
#include "serve/http.h"
#include "sink/sinks.h"
#include "source/source.h"

#include <sys/utsname.h>

struct vs_held_event;
struct vs_config;
struct vs_settings;

struct vs_daemon {
	struct vs_loop *loop;
	struct vs_settings *settings;
	struct vs_source source;
	struct vs_sinks *sinks;
	struct vs_event_memory *memory; /* one of the sinks writes to it */
	struct vs_events events;
	struct vs_burst_detector *bursts;
	struct vs_anomaly_detector *anomalies;
	struct vs_control *control;
	struct vs_http *http; /* NULL: not served */
	struct vs_sample sample; /* the last one, sorted */
	struct vs_held_event *held; /* of VMs whose start was not told yet */
	/* what self.lost has told of so far */
	uint64_t lost_told[VS_LOST__N];
	uint64_t recursion_told, slots_told;
	uint32_t ticks;
	struct vs_pace pace; /* of them */
	bool failed; /* the source is lost: the exit status says so */
	struct utsname uts;
};

#define VS_DAEMON_TICK_NS VS_NS_PER_S

/* Wraps an event and gives it to the sinks. Takes @data's reference. A vs_emit_fn;
 * @daemon is the struct vs_daemon. */
void vs_daemon_emit(void *daemon, const char *type, const char *severity,
		    const struct vs_event_vm *vm, json_t *data);

/* The same for an event that was found in samples: never before the VM's start.
 * @type and @severity are static. */
void vs_daemon_tell(struct vs_daemon *d, const struct vs_vm_sample *vm, const char *type,
		    const char *severity, json_t *data);

/* The listener of the source. @data is the struct vs_daemon. */
struct vs_source_listener vs_daemon_listener(struct vs_daemon *d);

/* Our rhythm and our sinks, into @self: see vs_window_own. @daemon is the struct
 * vs_daemon (daemon_losses.c). */
void vs_daemon_fill_self(void *daemon, struct vs_self_sample *self);

/* A vs_loop_fn for the periodic timer. */
void vs_daemon_tick(void *daemon, int fd);

/* self.lost for what was lost since it was last called; the first time, for all
 * (daemon_losses.c). */
void vs_daemon_tell_losses(struct vs_daemon *d);

/* Opens the sinks that the configuration asks for, and the memory (daemon_sinks.c).
 * Return: 0 or -errno. Logs: yes. */
int vs_daemon_open_sinks(struct vs_daemon *d, const struct vs_config *c);
/* From the sinks of @old to those of @c, which afterwards says what is open. Logs: yes. */
void vs_daemon_change_sinks(struct vs_daemon *d, const struct vs_config *old, struct vs_config *c);

/* SIGHUP (daemon_reload.c): the configuration again, then files by their names. A
 * vs_loop_fn. No sample is lost: the tick runs before or after, and late ticks sample, too. */
void vs_daemon_reload(void *daemon, int signal);

/* Frees everything, in order; sinks last but one, so that all is told. */
void vs_daemon_done(struct vs_daemon *d);
