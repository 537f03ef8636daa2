/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * journal.h - the sink that writes to systemd's journal, with fields.
 *
 * MESSAGE is one sentence; MESSAGE_ID is the type's (model/event_types.h),
 * PRIORITY the severity's. VIRTSCOPE_TYPE, _VM, _VM_UUID, _VM_PID, _SEQ and _ID
 * are the envelope's, VIRTSCOPE_<KEY> each plain value of data, VIRTSCOPE_EVENT
 * the whole event as JSON. Values are the bytes as they are, newlines and all;
 * only MESSAGE, which is for terminals, has control characters escaped.
 *
 * Written in journald's native protocol (systemd.io/JOURNAL_NATIVE_PROTOCOL), not
 * by sd_journal_sendv(): that one waits for a journald that does not read, for
 * ever if need be, and reports success where there is no journald.
 *
 * What journald does not take at once (a host with 1,000 VMs begins with thousands
 * of events) waits in memory, up to a bound, until it reads again.
 *
 * Layer:   sink
 * State:   one struct vs_sink: a socket, and what waits for it
 * Threads: one
 */
#pragma once
#include "base/loop.h"
#include "sink/sink.h"

#define VS_JOURNAL_SOCKET	 "/run/systemd/journal/socket"
#define VS_JOURNAL_WAITING_BYTES (4u << 20)

/**
 * vs_journal_open() - make the socket. That journald runs is not needed: events
 * are lost, and counted, while it does not.
 * @loop: outlives the sink. NULL in tests: nothing is sent between calls
 * @path: VS_JOURNAL_SOCKET, but in tests
 *
 * Return: 0 or -errno. Logs: yes.
 */
int vs_journal_open(struct vs_loop *loop, const char *path, struct vs_sink **ret);

extern const struct vs_sink_ops vs_sink_journal;
