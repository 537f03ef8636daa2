/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * libvirt_words.h - libvirt's numbers as words; "unknown" for those it has added
 * since.
 *
 * Layer:   app; linked into virtscope-libvirt only
 * State:   none
 * Threads: any
 */
#pragma once

const char *vs_libvirt_state_name(int state);
/* Of a state; both as of virDomainGetState(). */
const char *vs_libvirt_reason_name(int state, int reason);
/* How the domain came to run, as in vm.start, as far as its state still says so;
 * "" if it does not. */
const char *vs_libvirt_cause_of(int state, int reason);
/* Of the lifecycle events: how it began, why it ended. */
const char *vs_libvirt_start_cause(int detail);
const char *vs_libvirt_stop_reason(int detail);
const char *vs_libvirt_io_action(int action);
const char *vs_libvirt_close_reason(int reason);
