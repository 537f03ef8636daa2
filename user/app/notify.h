/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * notify.h - what the service manager is told: ready, alive, reloading, ending.
 *
 * Every function does nothing where no manager listens (NOTIFY_SOCKET is not
 * set: a terminal, a container) and in a build WITH_SYSTEMD=0. Each message is one
 * datagram; the manager's queue holds minutes of them, so a busy one delays nobody.
 *
 * Layer:   app
 * State:   none (libsystemd reads NOTIFY_SOCKET and WATCHDOG_USEC)
 * Threads: main
 */
#pragma once
#include <stdint.h>

/* After the first sample, and again at the end of a reload. Logs: never. */
void vs_notify_ready(void);

/* From the tick, once a second: feeds the watchdog (WatchdogSec= of the unit) and
 * says in `systemctl status` how many VMs there are. A daemon whose tick hangs is
 * killed and started anew. Logs: never. */
void vs_notify_alive(uint32_t vms);

/* At SIGHUP, before anything is read again. vs_notify_ready() ends it. */
void vs_notify_reloading(void);

/* Before the clean-up, so that its time counts as stopping. */
void vs_notify_stopping(void);
