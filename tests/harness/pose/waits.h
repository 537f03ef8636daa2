/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * waits - how long stamped frames were under way, without the error of a histogram
 *
 * Threads: one. State: every wait since the last report, up to a bound.
 */
#ifndef POSE_WAITS_H
#define POSE_WAITS_H

#include <stddef.h>
#include <stdint.h>

/*
 * Looks for packet_gen's stamp in @frame, which starts with the Ethernet header,
 * and notes its wait until now. Returns 0 (also without a stamp) or -ENOMEM.
 */
int pose_waits_note(const unsigned char *frame, size_t len);

/* Prints "stamped":N,"wait_us":{...} and starts anew. */
void pose_waits_report(void);

#endif
