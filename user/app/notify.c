/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "app/notify.h"

#ifdef VS_WITH_SYSTEMD
#include "base/clock.h"

#include <inttypes.h>
#include <systemd/sd-daemon.h>

void vs_notify_ready(void)
{
	(void)sd_notify(0, "READY=1");
}

void vs_notify_alive(uint32_t vms)
{
	(void)sd_notifyf(0, "WATCHDOG=1\nSTATUS=watching %" PRIu32 " VM%s", vms, vms == 1 ? "" : "s");
}

void vs_notify_reloading(void)
{
	/* The time is for Type=notify-reload of systemd 253 and later; older ones ignore it. */
	(void)sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64, vs_clock_mono_ns() / 1000);
}

void vs_notify_stopping(void)
{
	(void)sd_notify(0, "STOPPING=1");
}
#else
void vs_notify_ready(void)
{
}

void vs_notify_alive(uint32_t vms)
{
	(void)vms;
}

void vs_notify_reloading(void)
{
}

void vs_notify_stopping(void)
{
}
#endif
