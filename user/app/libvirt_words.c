/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "app/libvirt_words.h"

#include <libvirt/libvirt.h>
#include <stddef.h>

/* A newer libvirt may use numbers that this one has no word for. */
#define WORD(list, i)                                                                     \
	((i) >= 0 && (size_t)(i) < sizeof(list) / sizeof((list)[0]) && (list)[i] ? (list)[i] : \
										   "unknown")

const char *vs_libvirt_state_name(int state)
{
	static const char *const names[] = {
		[VIR_DOMAIN_NOSTATE] = "nostate",   [VIR_DOMAIN_RUNNING] = "running",
		[VIR_DOMAIN_BLOCKED] = "blocked",   [VIR_DOMAIN_PAUSED] = "paused",
		[VIR_DOMAIN_SHUTDOWN] = "shutdown", [VIR_DOMAIN_SHUTOFF] = "shutoff",
		[VIR_DOMAIN_CRASHED] = "crashed",   [VIR_DOMAIN_PMSUSPENDED] = "pmsuspended",
	};

	return WORD(names, state);
}

const char *vs_libvirt_reason_name(int state, int reason)
{
	static const char *const running[] = {
		[VIR_DOMAIN_RUNNING_BOOTED] = "booted",
		[VIR_DOMAIN_RUNNING_MIGRATED] = "migrated",
		[VIR_DOMAIN_RUNNING_RESTORED] = "restored",
		[VIR_DOMAIN_RUNNING_FROM_SNAPSHOT] = "from_snapshot",
		[VIR_DOMAIN_RUNNING_UNPAUSED] = "unpaused",
		[VIR_DOMAIN_RUNNING_MIGRATION_CANCELED] = "migration_canceled",
		[VIR_DOMAIN_RUNNING_SAVE_CANCELED] = "save_canceled",
		[VIR_DOMAIN_RUNNING_WAKEUP] = "wakeup",
		[VIR_DOMAIN_RUNNING_CRASHED] = "crashed",
		[VIR_DOMAIN_RUNNING_POSTCOPY] = "postcopy",
		[VIR_DOMAIN_RUNNING_POSTCOPY_FAILED] = "postcopy_failed",
	};
	static const char *const paused[] = {
		[VIR_DOMAIN_PAUSED_USER] = "user",
		[VIR_DOMAIN_PAUSED_MIGRATION] = "migration",
		[VIR_DOMAIN_PAUSED_SAVE] = "save",
		[VIR_DOMAIN_PAUSED_DUMP] = "dump",
		[VIR_DOMAIN_PAUSED_IOERROR] = "ioerror",
		[VIR_DOMAIN_PAUSED_WATCHDOG] = "watchdog",
		[VIR_DOMAIN_PAUSED_FROM_SNAPSHOT] = "from_snapshot",
		[VIR_DOMAIN_PAUSED_SHUTTING_DOWN] = "shutting_down",
		[VIR_DOMAIN_PAUSED_SNAPSHOT] = "snapshot",
		[VIR_DOMAIN_PAUSED_CRASHED] = "crashed",
		[VIR_DOMAIN_PAUSED_STARTING_UP] = "starting_up",
		[VIR_DOMAIN_PAUSED_POSTCOPY] = "postcopy",
		[VIR_DOMAIN_PAUSED_POSTCOPY_FAILED] = "postcopy_failed",
	};

	switch (state) {
	case VIR_DOMAIN_RUNNING:
		return WORD(running, reason);
	case VIR_DOMAIN_PAUSED:
		return WORD(paused, reason);
	case VIR_DOMAIN_SHUTDOWN:
		return reason == VIR_DOMAIN_SHUTDOWN_USER ? "user" : "unknown";
	case VIR_DOMAIN_CRASHED:
		return reason == VIR_DOMAIN_CRASHED_PANICKED ? "panicked" : "unknown";
	default:
		return "unknown";
	}
}

const char *vs_libvirt_cause_of(int state, int reason)
{
	if (state != VIR_DOMAIN_RUNNING)
		return "";
	switch (reason) {
	case VIR_DOMAIN_RUNNING_BOOTED:
		return "boot";
	case VIR_DOMAIN_RUNNING_MIGRATED:
		return "migrated_in";
	case VIR_DOMAIN_RUNNING_RESTORED:
	case VIR_DOMAIN_RUNNING_FROM_SNAPSHOT:
		return "restored";
	default:
		return "";
	}
}

const char *vs_libvirt_start_cause(int detail)
{
	static const char *const causes[] = {
		[VIR_DOMAIN_EVENT_STARTED_BOOTED] = "boot",
		[VIR_DOMAIN_EVENT_STARTED_MIGRATED] = "migrated_in",
		[VIR_DOMAIN_EVENT_STARTED_RESTORED] = "restored",
		[VIR_DOMAIN_EVENT_STARTED_FROM_SNAPSHOT] = "restored",
		[VIR_DOMAIN_EVENT_STARTED_WAKEUP] = "boot",
	};

	return WORD(causes, detail);
}

const char *vs_libvirt_stop_reason(int detail)
{
	static const char *const reasons[] = {
		[VIR_DOMAIN_EVENT_STOPPED_SHUTDOWN] = "shutdown",
		[VIR_DOMAIN_EVENT_STOPPED_DESTROYED] = "destroyed",
		[VIR_DOMAIN_EVENT_STOPPED_CRASHED] = "crashed",
		[VIR_DOMAIN_EVENT_STOPPED_MIGRATED] = "migrated",
		[VIR_DOMAIN_EVENT_STOPPED_SAVED] = "saved",
		[VIR_DOMAIN_EVENT_STOPPED_FAILED] = "failed",
		[VIR_DOMAIN_EVENT_STOPPED_FROM_SNAPSHOT] = "from_snapshot",
	};

	return WORD(reasons, detail);
}

const char *vs_libvirt_io_action(int action)
{
	static const char *const actions[] = {
		[VIR_DOMAIN_EVENT_IO_ERROR_NONE] = "ignore",
		[VIR_DOMAIN_EVENT_IO_ERROR_PAUSE] = "pause",
		[VIR_DOMAIN_EVENT_IO_ERROR_REPORT] = "report",
	};

	return WORD(actions, action);
}

const char *vs_libvirt_close_reason(int reason)
{
	static const char *const reasons[] = {
		[VIR_CONNECT_CLOSE_REASON_ERROR] = "the connection broke",
		[VIR_CONNECT_CLOSE_REASON_EOF] = "libvirtd closed the connection",
		[VIR_CONNECT_CLOSE_REASON_KEEPALIVE] = "libvirtd does not answer",
	};

	return WORD(reasons, reason);
}
